"""심화 과제는 해 본 것만 검사하고, 남은 일로 세지 않으며, 누구의 길도 막지 않습니다."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from course import cli
from course.author.build import build, out_of_step
from course.book.gone import put_missing
from course.book.regions import splice, to_exercise
from course.book.tables import Answers
from course.book.tasks import Task, all_tasks
from course.checks.verdict import NOT_STARTED, RIGHT
from course.home import ROOT, CourseError, Home
from course.student import commands
from course.student.progress import Progress
from course.student.status import Row, write_page
from course.student.watch import Watch
from tests.course.test_watch import FakeChecker
from tests.course.workshop import STEP1, STEP2

STRETCH = '''"""심화 과제"""


def cube(number):
    # [TODO 9-1] 세제곱을 answer에 담으세요.
    # 힌트: 세 번 곱합니다.
    answer = number**3
    # [END 9-1]
    return answer
'''
TABLE = "difficulty: 2\nminutes: 15\nhints: [몇 번 곱하나요?]\nexplains: 곱하기의 되풀이\n"
CHECK = """
from course.checks.words import assert_equal, todo


@todo("9-1")
def test_cube(load):
    assert_equal(load(9).cube(5), 125, idea="세제곱", message="세제곱이 아닙니다.")
"""
FILE = "stretch9_tasks.py"


@pytest.fixture
def school(workshop):
    """심화 과제 하나가 더 있는 저장소. 아무것도 풀지 않았습니다."""
    workshop.write(f"solutions/task1-tiny/{FILE}", STRETCH)
    workshop.write("tests/task1_tiny/checks/step9/test_9_1.py", CHECK)
    workshop.write("tests/task1_tiny/checks/step9/9-1.yaml", TABLE)
    workshop.task = Task(workshop.home, "task1-tiny")
    build(workshop.home)
    return workshop


@pytest.fixture
def run(school, capsys, monkeypatch):
    """`run("check", "tiny")` → (종료 코드, 화면). 판정은 자리의 글로 합니다."""

    class Fake(FakeChecker):
        def __init__(self, *_, **__):
            super().__init__()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def check(self, task, folder, todo_ids, *_):
            return super().check(task, folder, todo_ids)

    monkeypatch.setattr(cli, "Checker", Fake)

    def command(*words):
        code = cli.main(list(words), school.home)
        return code, " ".join(capsys.readouterr().out.split())

    return command


def solve(school, stretch=None):
    """앞의 것을 모두 풉니다. `stretch`는 심화 과제의 답입니다."""
    school.write("task1-tiny/step1_numbers.py", STEP1)
    school.write("task1-tiny/step2_quadruple.py", STEP2)
    if stretch is not None:
        school.write(f"task1-tiny/{FILE}", splice(to_exercise(STRETCH), "9-1", stretch))


def test_untouched_stretch_task_is_neither_shown_nor_counted(run, school):
    solve(school)
    code, out = run("check", "tiny")
    assert code == 0
    assert out.endswith("3/3 맞았습니다.")
    assert "9-1" not in out


def test_tried_stretch_task_is_shown_but_does_not_fail_the_rest(run, school):
    solve(school, "answer = wrong")
    code, out = run("check", "tiny")
    assert code == 0
    assert "✗ 9-1" in out
    assert "3/3 맞았습니다. 심화 과제는 0/1입니다." in out


@pytest.mark.parametrize("where", ["9", "9-1"])
@pytest.mark.parametrize(("answer", "code"), [(None, 1), ("answer = wrong", 1), ("answer = number**3", 0)])
def test_stretch_task_asked_for_by_name_counts_like_any_other(run, school, where, answer, code):
    solve(school, answer)
    assert run("check", "tiny", where)[0] == code


def test_status_tells_stretch_tasks_on_a_line_of_their_own(run, school):
    solve(school)
    out = run("status")[1]
    assert "step9" not in out
    assert "심화 과제(하고 싶은 사람만): task1-tiny 0/1" in out
    assert "다음 TODO" not in out
    told = json.loads(run("status", "--json")[1])
    assert [one["step"] for one in told["steps"]] == ["step1_numbers.py", "step2_quadruple.py"]
    assert told["stretch"] == [{"task": "task1-tiny", "step": FILE, "done": 0, "todos": 1}]
    assert [one["todo"] for one in told["todos"] if one["stretch"]] == ["9-1"]


def test_page_counts_without_stretch_tasks_and_shows_them_last(tmp_path):
    facts = {"task": "task1-tiny", "goal": "", "title": "", "attempts": 0, "hints": 0, "revealed": False}
    done = {**facts, "busy": None, "file_hash": "", "state": RIGHT}
    rows = [
        Row(step=FILE, todo="9-1", stretch=True, **{**done, "state": NOT_STARTED}),
        Row(step="a.py", todo="1-1", **done),
    ]
    write_page(rows, tmp_path / "status.html", Home(ROOT).templates)
    page = (tmp_path / "status.html").read_text(encoding="utf-8")
    assert "TODO 1개 가운데 1개를 마쳤습니다" in page
    assert page.index("<h2>a</h2>") < page.index("<h2>stretch9_tasks (심화, 하고 싶은 사람만)</h2>")


def test_hint_reset_and_diff_work_on_a_stretch_task(run, school, capsys, monkeypatch):
    monkeypatch.setattr(commands, "console", Console(highlight=False, width=80))
    assert "심화 9-1 세제곱을 answer에 담으세요. ★★☆ 15분" in run("hint", "tiny", "9-1")[1]
    solve(school, "answer = wrong")
    assert "+answer = wrong" in run("diff", "tiny", "9-1")[1]
    assert run("reset", "tiny", "9-1")[0] == 0
    assert (school.task.exercise / FILE).read_text(encoding="utf-8") == to_exercise(STRETCH)
    assert run("reveal", "tiny", "9-1", "--yes")[0] == 0
    assert "number**3" in (school.task.exercise / FILE).read_text(encoding="utf-8")


def test_stretch_file_an_old_update_did_not_bring_is_put_there_untouched(school):
    (school.task.exercise / FILE).unlink()
    (edit,) = put_missing(school.home)
    assert edit.path.read_text(encoding="utf-8") == to_exercise(STRETCH)
    assert put_missing(school.home) == []


def test_guide_table_shows_difficulty_and_minutes_where_the_table_has_them(school):
    guide = "<!-- todos task1-tiny 1 -->\n<!-- /todos -->\n<!-- todos task1-tiny 9 -->\n<!-- /todos -->\n"
    school.write(school.guide.name, guide)
    build(school.home)
    text = school.guide.read_text(encoding="utf-8")
    assert "| 9-1 | 세제곱을 answer에 담으세요. | ★★☆ | 15분 |" in text
    assert "| 1-1 | 두 배를 answer에 담으세요. |\n" in text
    assert out_of_step(school.home) == []


def test_half_an_effort_is_one_korean_sentence(school):
    school.write("tests/task1_tiny/checks/step9/9-1.yaml", "difficulty: 2\n")
    with pytest.raises(CourseError, match="9-1.yaml"):
        Answers.load(school.task)


@pytest.fixture
def watching(school):
    """모두 풀었고 심화 과제만 빈 학생의 폴더를 보는 watch."""
    solve(school)
    console = Console(file=io.StringIO(), width=80, highlight=False, color_system=None)
    one = Watch([school.task], FakeChecker(), console, Progress(school.home))
    one.start()
    return one


def save(one, name, text):
    """저장하고, 그 뒤로 화면에 나온 글."""
    one.console.file.seek(0)
    one.console.file.truncate()
    path = one.tasks[0].exercise / name
    path.write_text(text, encoding="utf-8")
    one.on_save({path})
    return one.console.file.getvalue()


def test_watch_checks_a_stretch_task_when_its_file_is_saved(watching):
    screen = save(watching, FILE, splice(to_exercise(STRETCH), "9-1", "answer = wrong"))
    assert "✗ 9-1" in screen
    screen = save(watching, FILE, splice(to_exercise(STRETCH), "9-1", "answer = 1"))
    assert "✓ 9-1" in screen
    assert "왜: 곱하기의 되풀이" in screen


def test_watch_congratulates_before_the_stretch_tasks_and_offers_them(watching):
    save(watching, "step2_quadruple.py", to_exercise(STEP2))
    watching.start()
    assert watching.current[1] == "2-1"
    screen = save(watching, "step2_quadruple.py", STEP2)
    assert "모든 TODO를 마쳤습니다" in screen
    assert "python task1-tiny/step2_quadruple.py --help" in screen
    assert "심화 과제가 1개 있습니다. 여기서 마쳐도 됩니다." in screen
    assert "3/3" in screen
    assert watching.current[1] == "9-1"


def test_watch_never_leads_to_a_stretch_task_while_others_are_open(watching):
    save(watching, "step1_numbers.py", to_exercise(STEP1))
    watching.position = len(watching.todos) - 1
    assert watching.todos[watching.first_open(watching.position)][1] == "1-1"
    screen = save(watching, FILE, STRETCH)
    assert "✓ 9-1" in screen
    assert watching.current[1] == "1-1"


def test_stretch_file_is_read_without_the_steps_before_it(school):
    school.install_engine()
    solve(school, "answer = number * number * number")
    school.write("task1-tiny/step1_numbers.py", "이것은 파이썬이 아닙니다 ((")
    with cli.Checker(school.home) as checker:
        verdict = checker.check(school.task, school.task.exercise, ["9-1"])["9-1"]
    assert verdict.is_right, verdict
    assert list(verdict.hashes) == [FILE]


REAL = [task for task in all_tasks(Home(ROOT)) if task.solution.is_dir()]
TRIED = [(task, todo_id) for task in REAL for todo_id in task.regions() if task.is_stretch(todo_id)]


@pytest.mark.parametrize(("task", "todo_id"), TRIED, ids=lambda one: getattr(one, "short", one))
def test_every_stretch_task_has_three_rungs(task, todo_id):
    answers, region = Answers.load(task), task.regions()[todo_id]
    assert region.hint
    assert len(answers.hints[todo_id]) == 3
    assert "____" in answers.hints[todo_id][-1]
    assert answers.explanations[todo_id]
    assert f'"{todo_id}": show_' in (task.solution / task.step_of(todo_id).file_name).read_text(encoding="utf-8")
