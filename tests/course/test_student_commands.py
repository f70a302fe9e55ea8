"""학생이 치는 명령들. 파일이 어떻게 망가져 있어도 한 문장으로 답하고 아무것도 잃지 않습니다."""

from __future__ import annotations

import json
import random
import shutil

import pytest

from course import cli
from course.author.build import build
from course.book.regions import code_of, splice, to_exercise
from course.book.tasks import Task
from course.checks.verdict import BROKEN, NOT_STARTED, RIGHT, WRONG, Verdict
from course.student import commands as student_commands
from course.student.progress import Progress
from tests.course.workshop import STEP1, STEP2

BASE = to_exercise(STEP1)
SOLVED = splice(BASE, "1-1", "answer = number + number  # 내 생각\n")
NEW_STEP1 = STEP1.replace('"""1단계 · 수"""', '"""1단계 · 수와 넓이"""').replace("넓이를 돌려", "넓이를 구해 돌려")
HINTS = """
hints: [첫째 힌트, 둘째 힌트]
explains: 두 배는 곱하기 2입니다.
"""


@pytest.fixture
def school(workshop):
    """학생이 1-1을 푼 저장소."""
    build(workshop.home)
    workshop.step1.write_text(SOLVED, encoding="utf-8")
    workshop.write("tests/task1_tiny/checks/step1/1-1.yaml", HINTS)
    return workshop


@pytest.fixture
def run(school, capsys):
    """`run("reveal", "1-2")` → (종료 코드, 표준 출력, 표준 오류)."""

    def command(*arguments):
        code = cli.main([str(one) for one in arguments], school.home)
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def verdicts(monkeypatch):
    """검사 프로세스를 대신합니다. 판정은 자리의 글만 보고 냅니다."""

    class FakeChecker:
        def __init__(self, home):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def check(self, task, folder, todo_ids):
            return {one: self.judge(task, folder, one) for one in todo_ids}

        @staticmethod
        def judge(task, folder, todo_id):
            try:
                code = code_of((folder / task.step_of(todo_id).file_name).read_text(encoding="utf-8"), todo_id)
            except (OSError, ValueError):
                return Verdict(todo_id, BROKEN, "읽지 못했습니다")
            if "todo(" in code:
                return Verdict(todo_id, NOT_STARTED, "아직 시작하지 않았습니다")
            strict = "엄격" in task.check_file("1-1").read_text(encoding="utf-8")
            return Verdict(todo_id, WRONG, "곱하지 않았습니다") if strict else Verdict(todo_id, RIGHT, "맞았습니다")

    monkeypatch.setattr(student_commands, "Checker", FakeChecker)


@pytest.fixture
def new(tmp_path_factory):
    """새 판의 저장소."""
    folder = tmp_path_factory.mktemp("new")
    for name, text in (("step1_numbers.py", NEW_STEP1), ("step2_quadruple.py", STEP2)):
        for place, content in ((f"solutions/task1-tiny/{name}", text), (f"task1-tiny/{name}", to_exercise(text))):
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    return folder


# 어느 TODO인가


@pytest.mark.parametrize("where", [["1-1"], ["tiny", "1-1"], ["task1", "1-1"], ["task1-tiny/", "1-1"]])
def test_todo_is_found_by_any_name(school, where):
    assert student_commands.one_todo(school.home, where, "python -m course hint") == (school.task, "1-1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["hint", "9-9"], "TODO 9-9"),
        (["hint", "nope", "1-1"], "과제 'nope'"),
        (["reveal", "1"], "TODO 1"),
        (["reset", "7"], "TODO 7"),
        (["reset", "tiny", ""], "TODO "),
        (["diff", "1-"], "TODO 1-"),
        (["undo"], "무를 일이 없습니다"),
        (["update", "--from", "/nowhere"], "새 판을 찾지 못했습니다"),
    ],
)
def test_wrong_name_is_one_korean_sentence(run, verdicts, arguments, said):
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("오류: ")
    assert said in err
    assert err.count("\n") == 1


def test_number_in_two_tasks_asks_which_one(run, school):
    school.write("solutions/task2-other/step1_x.py", "# [TODO 1-1] 할 일\nx = 1\n# [END 1-1]\n")
    code, _, err = run("hint", "1-1")
    assert code == 1
    assert "tiny 1-1, other 1-1" in err


# 힌트


def test_hints_come_one_by_one_in_order_and_are_counted(run, school):
    shown = [run("hint", "1-1")[1] for _ in range(3)]
    assert [("첫째 힌트" in one, "둘째 힌트" in one, "여기까지" in one) for one in shown] == [
        (True, False, False),
        (True, True, False),
        (True, True, True),
    ]
    assert all("더하기로도 됩니다" in one for one in shown)
    assert Progress(school.home).hints_seen(school.task, "1-1") == 2
    assert Progress(school.home).hints_seen(school.task, "1-2") == 0


def test_todo_without_hints_says_so(run, school):
    code, out, _ = run("hint", "1-2")
    assert code == 0
    assert "여기까지" in out
    assert Progress(school.home).hints_seen(school.task, "1-2") == 0


def test_fewer_hints_in_a_new_version_do_not_uncount_those_seen(run, school):
    run("hint", "1-1")
    run("hint", "1-1")
    school.write("tests/task1_tiny/checks/step1/1-1.yaml", "hints: [하나]\n")
    assert "여기까지" in run("hint", "1-1")[1]
    assert Progress(school.home).hints_seen(school.task, "1-1") == 2


# 자취


def test_hint_seen_elsewhere_is_not_forgotten_by_one_who_started_earlier(school):
    watching = Progress(school.home)
    Progress(school.home).see_hint(school.task, "1-1", 2)
    watching.record(school.task, Verdict("1-1", RIGHT, "맞았습니다"))
    trace = Progress(school.home).of(school.task, "1-1")
    assert (trace.hints, trace.attempts) == (1, 1)
    Progress(school.home).see_hint(school.task, "1-1", 3)
    assert watching.hints_seen(school.task, "1-1") == 2
    Progress(school.home).see_solution(school.task, "1-1")
    assert watching.see_hint(school.task, "1-1", 3) == 3
    assert Progress(school.home).of(school.task, "1-1").revealed


def test_attempts_count_from_the_first_try_to_the_first_right(school):
    progress = Progress(school.home)
    for state in (NOT_STARTED, WRONG, RIGHT, WRONG, RIGHT):
        progress.record(school.task, Verdict("1-1", state, ""))
    trace = Progress(school.home).of(school.task, "1-1")
    assert trace.attempts == 4
    assert trace.started <= trace.first_right
    assert trace.tried[0] == trace.started


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"task1-tiny/1-1": 3}',
        b'{"x": {"hints": "two"}}',
        b'{"x": {"started": "yesterday"}}',
    ],
)
def test_broken_progress_is_put_aside_and_never_overwritten(run, school, content):
    for _ in range(2):
        school.root.joinpath(".course").mkdir(exist_ok=True)
        school.root.joinpath(".course/progress.json").write_bytes(content)
        assert run("hint", "1-1")[0] == 0
    aside = list((school.root / ".course").glob("progress.broken*.json"))
    assert [one.read_bytes() for one in aside] == [content] * 2
    assert Progress(school.home).hints_seen(school.task, "1-1") == 1


def test_progress_of_another_version_is_read(school):
    school.write(".course/progress.json", json.dumps({"task1-tiny/1-1": {"hints": 2, "mood": "좋음"}}))
    assert Progress(school.home).hints_seen(school.task, "1-1") == 2


# 해답 열기, 되돌리기, 견주기, 무르기


def test_reveal_tells_the_explanation_and_the_way_back(run, school):
    code, out, _ = run("reveal", "1-1")
    assert code == 0
    assert "task1-tiny/step1_numbers.py의 TODO 1-1에 해답을 넣었습니다." in out
    assert "두 배는 곱하기 2입니다." in out
    assert "python -m course undo" in out
    assert Progress(school.home).of(school.task, "1-1").revealed


def test_refused_reveal_is_not_counted(run, school):
    assert run("reveal", "1-2")[0] == 1
    assert not Progress(school.home).of(school.task, "1-2").revealed
    assert run("reveal", "1-2", "--yes")[0] == 0


def test_reset_and_undo_tell_where_the_other_file_is(run, school):
    out = run("reset", "1")[1]
    assert "쓰던 파일: .course" in out
    assert run("reset", "1")[1] == "이미 처음 모습입니다.\n"
    school.step1.write_text(school.step1.read_text(encoding="utf-8") + "# 더 쓴 것\n", encoding="utf-8")
    out = run("undo")[1]
    assert out.startswith("reset 1을 물렀습니다: task1-tiny/step1_numbers.py\n")
    assert "무르기 전의 파일: .course" in out
    assert school.step1.read_text(encoding="utf-8") == SOLVED + "# 더 쓴 것\n"


def test_diff_prints_every_character_as_it_is(run, school):
    line = 'answer = "[bold]:warning:[/]" + ' + "'긴 줄' + " * 30 + "''"
    school.step1.write_text(splice(BASE, "1-1", line), encoding="utf-8")
    assert f"\n+{line}\n" in run("diff", "1-1")[1]
    assert run("diff", "1-2")[1] == "바꾼 것이 없습니다.\n"


def test_file_that_cannot_be_written_is_one_sentence(run, school):
    shutil.rmtree(school.root / ".course", ignore_errors=True)
    (school.root / ".course").write_text("폴더가 아님", encoding="utf-8")
    code, _, err = run("reset", "1")
    assert code == 1
    assert err.startswith("오류: ")
    assert err.count("\n") == 1
    assert school.step1.read_text(encoding="utf-8") == SOLVED


# 새 판 받기


def test_update_tells_what_was_kept_and_what_changed(run, verdicts, new):
    code, out, _ = run("update", "--from", new)
    assert code == 0
    assert "task1-tiny/step1_numbers.py: 남은 답 1개 · 할 일이 바뀐 TODO 1-2\n" in out
    assert "옛 파일은 모두 .course" in out
    assert "판정이 달라진 TODO는 없습니다." in out


def test_update_tells_which_verdict_changed_and_why(run, verdicts, school, new):
    (new / "tests/task1_tiny/checks/step1").mkdir(parents=True)
    (new / "tests/task1_tiny/checks/step1/test_1_1.py").write_text("# 엄격해진 검사\n", encoding="utf-8")
    new_todo = "\n\n# [TODO 1-3] 반\nhalf = 0.5\n# [END 1-3]\n"
    (new / "task1-tiny/step1_numbers.py").write_text(to_exercise(NEW_STEP1 + new_todo), encoding="utf-8")
    (new / "solutions/task1-tiny/step1_numbers.py").write_text(NEW_STEP1 + new_todo, encoding="utf-8")
    out = run("update", "--from", new)[1]
    [line] = [line for line in out.splitlines() if " 1-1:" in line]
    assert "맞음 → 틀림. 곱하지 않았습니다." in line
    assert "검사가 바뀌었습니다" in line
    [line] = [line for line in out.splitlines() if " 1-3:" in line]
    assert "없음 → 시작 전." in line
    assert "새로 생긴 TODO입니다" in line


def test_update_tells_which_file_it_left_alone_and_why(run, verdicts, school, new):
    school.step1.write_text(SOLVED.replace("    # [END 1-1]\n", ""), encoding="utf-8")
    code, out, _ = run("update", "--from", new)
    assert code == 0
    [line] = [line for line in out.splitlines() if "그대로 두었습니다" in line]
    assert "step1_numbers.py" in line
    assert "[TODO 1-1]" in line


def test_missing_checks_do_not_keep_the_new_version_away(run, school, new):
    (school.root / "tests/task1_tiny/checks/step2/test_2_1.py").unlink()
    code, out, _ = run("update", "--from", new)
    assert code == 0
    assert "검사하지 못했습니다" in out
    assert "수와 넓이" in school.step1.read_text(encoding="utf-8")


# 망가진 파일


def cut(text, dice):
    return text[: dice.randrange(len(text))]


def drop_marks(text, dice):
    lines = text.splitlines(keepends=True)
    marks = [number for number, line in enumerate(lines) if "[TODO" in line or "[END" in line]
    gone = set(dice.sample(marks, dice.randint(1, len(marks))))
    return "".join(line for number, line in enumerate(lines) if number not in gone)


def double_lines(text, dice):
    lines = text.splitlines(keepends=True)
    begin, end = sorted(dice.sample(range(len(lines) + 1), 2))
    return "".join(lines[:end] + lines[begin:])


def shuffle_lines(text, dice):
    lines = text.splitlines(keepends=True)
    dice.shuffle(lines)
    return "".join(lines)


def git_conflict(text, dice):
    lines = text.splitlines(keepends=True)
    begin, end = sorted(dice.sample(range(len(lines) + 1), 2))
    both = ["<<<<<<< HEAD\n", *lines[begin:end], "=======\n", *lines[begin:end], ">>>>>>> main\n"]
    return "".join(lines[:begin] + both + lines[end:])


def mixed_line_ends(text, dice):
    return "".join(line.rstrip("\n") + dice.choice(("\n", "\r\n", "\r")) for line in text.splitlines(keepends=True))


def nul_inside(text, dice):
    at = dice.randrange(len(text))
    return f"{text[:at]}\0 1-1\n\0{text[at:]}"


def odd_marks(text, dice):
    return text.replace("[TODO", dice.choice(("[todo", "[TODO ", "[ TODO", "TODO"))).replace(
        "1-2", dice.choice(("1-1", "1-²"))
    )


WRECKS = {
    "cut": lambda text, dice: cut(text, dice).encode(),
    "cut inside a character": lambda text, dice: text.encode()[: dice.randrange(len(text))],
    "marks dropped": lambda text, dice: drop_marks(text, dice).encode(),
    "lines doubled": lambda text, dice: double_lines(text, dice).encode(),
    "lines shuffled": lambda text, dice: shuffle_lines(text, dice).encode(),
    "twice": lambda text, dice: (text + text).encode(),
    "git conflict": lambda text, dice: git_conflict(text, dice).encode(),
    "byte order marks": lambda text, dice: ("\ufeff" * dice.randint(1, 2) + text).encode(),
    "mixed line ends": lambda text, dice: mixed_line_ends(text, dice).encode(),
    "NUL": lambda text, dice: nul_inside(text, dice).encode(),
    "cp949": lambda text, dice: text.replace("·", "").encode("cp949"),
    "UTF-16": lambda text, dice: text.encode("utf-16"),
    "noise": lambda text, dice: dice.randbytes(dice.randrange(2000)),
    "empty": lambda text, dice: b"",
    "blank": lambda text, dice: b" \t\r\n" * dice.randrange(9),
    "tabs": lambda text, dice: text.replace("    ", "\t").encode(),
    "half tabs": lambda text, dice: text.replace("    ", "\t", dice.randint(1, 6)).encode(),
    "separators": lambda text, dice: text.replace("\n", "\u2028\n\x0c", dice.randint(1, 9)).encode(),
    "odd marks": lambda text, dice: odd_marks(text, dice).encode(),
    "folder": None,
    "gone": None,
}


@pytest.mark.parametrize("with_solutions", [True, False], ids=["with solutions", "without"])
@pytest.mark.parametrize("wreck", WRECKS)
def test_no_command_loses_a_byte_of_a_wrecked_file(run, verdicts, school, new, wreck, with_solutions):
    if not with_solutions:
        school.drop_solutions()
    dice = random.Random(wreck)
    commands = [
        ["reveal", "1-1"],
        ["reveal", "1-2", "--yes"],
        ["reset", "1-1"],
        ["reset", "tiny", "1"],
        ["diff", "1-2"],
        ["diff", "1"],
        ["hint", "1-1"],
        ["undo"],
        ["update", "--from", new],
    ]
    for _ in range(3):
        spoil(school.step1, WRECKS[wreck], wreck, dice)
        for command in dice.sample(commands, 5):
            before = bytes_of(school.step1)
            code, _, err = run(*command)
            assert code == (1 if err else 0), (command, err)
            assert err == "" or (err.startswith("오류: ") and err.count("\n") == 1), (command, err)
            assert "Traceback" not in err
            if before is not None and bytes_of(school.step1) != before:
                assert before in school.backups(), command


def spoil(path, how, name, dice):
    inside = path / "mine.txt"
    if inside.is_file():
        assert inside.read_text(encoding="utf-8") == "내 것"
        inside.unlink()
        path.rmdir()
    path.unlink(missing_ok=True)
    if name == "folder":
        path.mkdir()
        inside.write_text("내 것", encoding="utf-8")
    elif how:
        path.write_bytes(how(SOLVED, dice))


def bytes_of(path):
    return path.read_bytes() if path.is_file() else None


def test_wrecked_file_is_whole_again_after_one_reset_and_wrecked_again_after_undo(run, school):
    for wreck, how in WRECKS.items():
        if how:
            content = how(SOLVED, random.Random(wreck))
            school.step1.write_bytes(content)
            assert run("reset", "tiny", "1")[0] == 0
            assert code_of(school.step1.read_bytes().decode("utf-8-sig"), "1-1").startswith('todo("1-1")')
            run("undo")
            assert school.step1.read_bytes() == content, wreck


def test_hint_is_given_even_where_the_marks_are_erased_and_the_solutions_absent(run, school):
    school.drop_solutions()
    school.step1.write_text("", encoding="utf-8")
    code, out, _ = run("hint", "1-1")
    assert code == 0
    assert "1-1" in out
    assert Progress(school.home).hints_seen(school.task, "1-1") == 1


def test_broken_file_does_not_hide_the_todos_of_a_copy_without_solutions(run, school):
    school.drop_solutions()
    school.step1.write_text("깨짐 # [END 1-1]\n", encoding="utf-8")
    assert run("reset", "tiny", "1")[0] == 0
    assert school.step1.read_text(encoding="utf-8") == BASE
    assert Task(school.home, "task1-tiny").regions().keys() == {"1-1", "1-2", "2-1"}
