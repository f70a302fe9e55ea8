"""어디까지 했는지는 언제나 지금의 파일을 검사해서 압니다."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser

import pytest
from rich.console import Console

from course.author.build import build
from course.book.tasks import all_tasks
from course.checks.verdict import NOT_STARTED, RIGHT, WRONG, Verdict
from course.home import ROOT, Home
from course.student.progress import Progress, minutes
from course.student.status import Row, collect, next_line, to_json, to_table, write_page


class FakeChecker:
    """`todo("1-1")`이 남은 파일은 시작 전, "wrong"이 든 파일은 틀림, 나머지는 맞음."""

    def check(self, task, folder, todo_ids):
        verdicts = {}
        for one in todo_ids:
            file = task.step_of(one).file_name
            text = (folder / file).read_text(encoding="utf-8")
            state = NOT_STARTED if f'todo("{one}")' in text else WRONG if "wrong" in text else RIGHT
            verdicts[one] = Verdict(one, state, state, hashes={file: str(hash(text))})
        return verdicts


@pytest.fixture
def rows(workshop):
    """지금의 파일에서 모은 줄들."""
    build(workshop.home)
    return lambda: collect([(workshop.task, list(workshop.task.regions()))], FakeChecker(), Progress(workshop.home))


def states(rows):
    return {row.todo: row.state for row in rows}


def test_state_follows_the_present_file_and_never_a_record(rows, workshop):
    solved = (workshop.task.solution / "step1_numbers.py").read_text(encoding="utf-8")
    untouched = workshop.step1.read_text(encoding="utf-8")
    assert set(states(rows()).values()) == {NOT_STARTED}
    workshop.step1.write_text(solved, encoding="utf-8")
    Progress(workshop.home).record(workshop.task, Verdict("1-1", RIGHT, ""))
    assert states(rows()) == {"1-1": RIGHT, "1-2": RIGHT, "2-1": NOT_STARTED}
    workshop.step1.write_text(untouched, encoding="utf-8")
    assert states(rows())["1-1"] == NOT_STARTED


def test_row_carries_the_hash_of_the_checked_file(rows, workshop):
    before = {row.todo: row.file_hash for row in rows()}
    workshop.step1.write_text("# wrong\n", encoding="utf-8")
    after = {row.todo: row.file_hash for row in rows()}
    assert before["1-1"] != after["1-1"]
    assert before["2-1"] == after["2-1"] != ""


def test_traces_are_shown_beside_the_state(rows, workshop):
    progress = Progress(workshop.home)
    for state in (WRONG, WRONG, RIGHT):
        progress.record(workshop.task, Verdict("1-1", state, ""))
    progress.see_hint(workshop.task, "1-1", 3)
    progress.see_solution(workshop.task, "1-2")
    first, second, _ = rows()
    assert (first.attempts, first.hints, first.revealed) == (3, 1, False)
    assert first.minutes is not None
    assert (second.attempts, second.revealed, second.minutes) == (0, True, None)


ROWS = [
    Row(
        "task1-tiny",
        "step1_numbers.py",
        "1-1",
        "두 배",
        RIGHT,
        "맞았습니다",
        3,
        1,
        False,
        frozenset({(0.0, 744.0)}),
        "aa",
    ),
    Row("task1-tiny", "step1_numbers.py", "1-2", "넓이", WRONG, "틀렸습니다", 2, 0, True, None, "aa"),
    Row("task1-tiny", "step2_quadruple.py", "2-1", "네 배", NOT_STARTED, "시작 전", 0, 0, False, None, "bb"),
]


def test_json_sums_up_each_step_and_lists_each_todo():
    told = json.loads(json.dumps(to_json(ROWS)))
    assert told["steps"] == [
        {"task": "task1-tiny", "step": "step1_numbers.py", "done": 1, "todos": 2},
        {"task": "task1-tiny", "step": "step2_quadruple.py", "done": 0, "todos": 1},
    ]
    assert [one["todo"] for one in told["todos"]] == ["1-1", "1-2", "2-1"]
    assert told["todos"][0]["file_hash"] == "aa"


def test_time_on_several_todos_at_once_is_counted_once_and_breaks_are_not(workshop):
    file = workshop.home.state / "progress.json"
    file.parent.mkdir(exist_ok=True)
    at = "2026-11-30T10:{:02}:00+00:00".format
    saved = {
        "task1-tiny/1-1": {"started": at(0), "tried": [at(0), at(8), at(40)], "first_right": at(44)},
        "task1-tiny/1-2": {"started": at(0), "first_right": at(8)},
    }
    file.write_text(json.dumps(saved), encoding="utf-8")
    progress = Progress(workshop.home)
    first, second = (progress.busy(workshop.task, one) for one in ("1-1", "1-2"))
    assert minutes(first) == 12
    assert minutes(second) == 8
    assert minutes(first | second) == 12


def test_next_todo_is_told_with_its_difficulty_and_minutes(rows, workshop):
    workshop.write("tests/task1_tiny/checks/step1/1-1.yaml", "difficulty: 3\nminutes: 25\n")
    assert next_line(rows(), "task1-tiny") == "다음 TODO: task1-tiny 1-1  두 배를 answer에 담으세요.  ★★★ 25분"
    assert to_json(rows())["todos"][0]["effort"] == {"difficulty": 3, "minutes": 25}
    workshop.step1.write_text((workshop.task.solution / "step1_numbers.py").read_text("utf-8"), encoding="utf-8")
    assert next_line(rows(), "task1-tiny") == "다음 TODO: task1-tiny 2-1  double을 두 번 부르세요."
    assert next_line([one for one in rows() if one.done], "task1-tiny") == ""


def test_next_todo_is_one_of_the_task_at_hand():
    rows = [*ROWS, Row("task2-tiny", "step1_other.py", "1-1", "세 배", WRONG, "틀렸습니다", 1, 0, False, None, "cc")]
    assert next_line(rows, "task2-tiny") == "다음 TODO: task2-tiny 1-1  세 배"
    assert next_line(rows, "task3-tiny") == "다음 TODO: task1-tiny 1-2  넓이"


def test_table_fits_in_80_columns_without_color():
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(to_table(ROWS))
    text = console.file.getvalue()
    assert "\x1b" not in text
    for part in ("step1_numbers", "1/2", "█░", "12분", "step2_quadruple", "0/1"):
        assert part in text


def test_table_names_every_step_of_the_course_in_full():
    rows = [
        Row(task.name, step.file_name, f"{step.number}-{number}", "", NOT_STARTED, "", 9, 9, False, None, "")
        for task in all_tasks(Home(ROOT))
        for step in task.steps
        for number in range(9)
    ]
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(to_table(rows))
    assert "…" not in console.file.getvalue()


class Page(HTMLParser):
    """열고 닫는 태그를 세고, 보이는 글을 모읍니다."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.links, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def page(tmp_path):
    def write(rows):
        path = tmp_path / "깊은 폴더" / "status.html"
        write_page(rows, path, Home(ROOT).templates)
        return Page(path.read_text(encoding="utf-8"))

    return write


def test_page_is_whole_html_that_needs_no_other_file(page):
    made = page(ROWS)
    assert made.open == []
    assert made.links == []
    assert made.tags.count("section") == 2
    assert made.tags.count("li") == 3
    for part in ("TODO 3개 가운데 1개를 마쳤습니다", "33%", "본 힌트 1개", "12분", "틀렸습니다", "해답 봄"):
        assert part in made.text
    assert "시작 전" not in made.text


def test_page_shows_what_students_write_as_text(page):
    trick = "<script>alert('1')</script> & \"<b>\""
    made = page([Row(trick, trick, "1-1", trick, WRONG, trick, 1, 0, False, None, "")])
    assert "script" not in made.tags
    assert made.text.count("<script>alert('1')</script> & \"<b>\"") == 4


def test_page_without_any_todo_is_still_a_page(page):
    assert "0%" in page([]).text
