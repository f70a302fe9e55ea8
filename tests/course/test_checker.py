"""학생의 코드가 무엇을 하든 판정이 나오고, 다음 검사는 멀쩡하며, 틀린 답은 통과하지 못합니다."""

from __future__ import annotations

import os
import select
import sys

import pytest

from course.book.regions import splice, to_exercise
from course.home import CourseError
from tests.course.workshop import ODD, STEP1, STEP2, checking_workshop

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="fork로 가두는 검사")


@pytest.fixture(scope="module")
def school(tmp_path_factory):
    """도구까지 갖춘 작은 저장소와, 검사 프로세스 하나."""
    with checking_workshop(tmp_path_factory.mktemp("school")) as workshop:
        yield workshop


@pytest.fixture
def check(school, tmp_path):
    """`check(step1, "1-1")`: 그 내용의 1단계를 검사한 판정들."""

    def run(step1, *todo_ids, step2=STEP2, timeout=30.0):
        (tmp_path / "step1_numbers.py").write_text(step1, encoding="utf-8")
        (tmp_path / "step2_quadruple.py").write_text(step2, encoding="utf-8")
        verdicts = school.checker.check(school.task, tmp_path, list(todo_ids), timeout=timeout)
        return [verdicts[one] for one in todo_ids]

    return run


def answering(code, todo_id="1-1"):
    return splice(STEP1, todo_id, code)


def states(verdicts):
    return [one.state for one in verdicts]


def test_right_answers_pass_with_every_check_counted(check):
    verdicts = check(STEP1, "1-1", "1-2", "2-1")
    assert [(one.state, one.checks) for one in verdicts] == [("right", 2), ("right", 1), ("right", 1)]


def test_wrong_answer_tells_what_was_expected(check):
    [verdict] = check(answering("answer = number * 3"), "1-1")
    assert (verdict.state, verdict.expected, verdict.got, verdict.idea) == ("wrong", "4", "6", "곱셈")


def test_reseeding_the_global_random_state_is_named_where_it_was_done(check):
    verdicts = check(answering("import random\nrandom.seed(42)\nanswer = number * 2"), "1-1", "1-2", "2-1")
    assert states(verdicts) == ["wrong", "right", "right"]
    assert (verdicts[0].title, verdicts[0].symptom) == ("전역 난수의 시드를 다시 정했습니다", "reseeds")
    assert "random.seed" in verdicts[0].says
    assert STEP1.splitlines()[verdicts[0].line - 2].strip().startswith("answer =")


def test_a_wrong_answer_that_also_reseeds_hears_of_its_own_mistake(check):
    [verdict] = check(answering("import random\nrandom.seed(42)\nanswer = number * 3"), "1-1")
    assert (verdict.title, verdict.got) == ("두 배가 아닙니다.", "6")


@pytest.mark.parametrize(
    "code",
    [
        "import random\nrandom.Random(42).random()\nanswer = number * 2",
        "import random\nbefore = random.getstate()\nrandom.seed(42)\nrandom.setstate(before)\nanswer = number * 2",
    ],
    ids=["a generator of its own", "put back"],
)
def test_a_seed_that_changes_nothing_for_others_is_right(check, code):
    assert states(check(answering(code), "1-1")) == ["right"]


def test_untouched_todo_is_not_started_and_those_who_need_it_are_blocked(check):
    step1 = to_exercise(STEP1)
    mine, other = check(step1, "1-1", "2-1")
    assert (mine.state, other.state) == ("not started", "blocked")
    assert "1-1" in other.title
    assert (other.file, other.line) == ("step1_numbers.py", step1.split('todo("1-1")')[0].count("\n") + 1)


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_untouched_todo_is_not_started_whatever_stands_above_it(check, odd, newline):
    step1 = splice(f"# 위{odd}의 글\n{to_exercise(STEP1)}", "1-2", "return = 3")
    mine, other = check(step1.replace("\n", newline), "1-1", "1-2")
    assert (mine.state, other.state) == ("not started", "broken")
    assert step1.split("\n")[mine.line - 1].strip().startswith('todo("1-1")')


def test_syntax_error_is_located(check):
    [verdict] = check(answering("answer = = 2"), "1-1")
    assert verdict.state == "broken"
    assert "SyntaxError" in verdict.title
    assert (verdict.file, verdict.line) == ("step1_numbers.py", 9)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param("raise ValueError('펑')", "ValueError: 펑", id="exception"),
        pytest.param("raise ValueError('\\ud800')", "ValueError", id="text that is not UTF-8"),
        pytest.param("answer = double(number)", "RecursionError", id="endless recursion"),
        pytest.param("import sys; sys.exit(0)", "SystemExit", id="sys.exit"),
        pytest.param("answer = bytearray(1 << 50)", "MemoryError", id="memory"),
        pytest.param("answer = int(input())", "키보드로 답하기를", id="input"),
        pytest.param("import os; os._exit(0)", "프로세스가 죽었습니다", id="os._exit"),
        pytest.param("import os; os.abort()", "프로세스가 죽었습니다", id="abort"),
    ],
)
def test_bad_code_breaks_only_its_own_todo(check, code, said):
    bad, next_one = check(answering(code), "1-1", "1-2")
    assert bad.state == "broken"
    assert said in bad.title
    assert next_one.is_right


def test_endless_loop_is_stopped_and_only_its_todo_is_broken(check):
    bad, next_one = check(answering("while True: pass"), "1-1", "1-2", timeout=2)
    assert bad.state == "broken"
    assert "제시간에" in bad.title
    assert next_one.is_right


def test_flood_of_prints_does_not_disturb_the_verdict(check):
    code = "for _ in range(20_000): print('{}' * 50)\nimport os; os.write(1, b'{}\\n' * 9)\nanswer = number * 2"
    assert states(check(answering(code), "1-1", "1-2")) == ["right", "right"]


def test_what_the_region_prints_is_shown_and_nothing_else(check):
    step1 = splice(STEP1, "1-1", "print('두 배', number)\nprint('끝', end='')\nanswer = number * 2")
    step1 = step1.replace("    return answer", "    print('뼈대가 찍은 것')\n    return answer")
    right, other = check(step1, "1-1", "1-2")
    assert (right.printed, other.printed) == (["두 배 2", "끝"], [])
    [wrong] = check(step1.replace("number * 2", "4 if number == 2 else 0"), "1-1")
    assert (wrong.state, wrong.printed) == ("wrong", ["두 배 3", "끝"])


def test_only_the_last_lines_of_a_flood_are_kept(check):
    [verdict] = check(answering("for i in range(999): print(i, 'x' * 999)\nanswer = number * 2"), "1-1")
    assert len(verdict.printed) <= 20
    assert max(map(len, verdict.printed)) <= 160


@pytest.mark.parametrize("code", ["breakpoint()", "import pdb; pdb.set_trace()", "input('?')"])
def test_asking_someone_in_a_check_is_told(check, code):
    [verdict] = check(answering(f"{code}\nanswer = number * 2"), "1-1")
    assert verdict.state == "broken"
    assert "물어볼 사람이 없습니다" in verdict.says


def test_reading_standard_input_does_not_steal_the_next_job(check):
    assert states(check(answering("import os; os.read(0, 9); answer = number * 2"), "1-1")) == ["right"]
    assert states(check(STEP1, "1-1")) == ["right"]


def test_processes_started_by_the_student_end_with_the_check(check, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    code = f"import subprocess; subprocess.Popen(['sleep', '99'], stdout=open({str(pipe)!r}, 'w'))\nanswer = number * 2"
    assert states(check(answering(code), "1-1")) == ["right"]
    assert select.select([reader], [], [], 10)[0], "아직 누가 파이프를 쥐고 있습니다"
    os.close(reader)


def test_change_left_behind_does_not_reach_the_next_check(check):
    assert check(answering("import math; math.pi = 0; answer = number * 2"), "1-1")[0].is_right
    assert check(STEP1, "1-2")[0].is_right


@pytest.mark.parametrize(
    "trick",
    [
        "import pytest; pytest.skip('통과', allow_module_level=True)",
        "import pytest; pytest.xfail('통과')",
        "import pytest; pytest.exit('통과', 0)",
        "raise KeyboardInterrupt",
        "import course.checks.words as c; c.fail = lambda *a, **k: None",
        "import course.checks.words as c; c.CheckFailed.__init__ = lambda *a, **k: None",
        "import course.checks.words as c; c._compare = lambda *a, **k: True",
        "import sys\nsys.modules['tests.task1_tiny.checks.step1.test_1_1'].fail = lambda *a, **k: None",
        "import _pytest.python as p; p.Function.runtest = lambda self: None",
        "import builtins; builtins.round = lambda *a: 3.14",
    ],
)
def test_trick_at_import_never_turns_a_wrong_answer_right(check, trick):
    wrong = splice(splice(STEP1, "1-1", "answer = 0"), "1-2", "return 0")
    assert "right" not in states(check(wrong + trick, "1-1", "1-2"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("conftest.py", "import course.checks.words\ncourse.checking.fail = lambda *a, **k: None\n"),
        ("pytest.ini", "[pytest]\naddopts = --collect-only\n"),
        ("course.py", "raise ValueError\n"),
        ("pytest.py", "raise ValueError\n"),
    ],
)
def test_file_beside_the_steps_does_not_change_the_verdict(check, tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    wrong = splice(STEP1, "1-2", "return 0")
    assert states(check(wrong, "1-1", "1-2")) == ["right", "wrong"]


@pytest.mark.parametrize("how", ["import pytest; pytest.exit('그만', 0)", "raise KeyboardInterrupt"])
def test_stopping_after_the_first_passed_check_is_not_a_pass(check, how):
    code = f"answer = number * 2\nif number == 3:\n    {how}"
    [verdict] = check(answering(code), "1-1")
    assert (verdict.state, verdict.title) == ("broken", "검사가 끝나기 전에 실행이 중단되었습니다")


def test_verdict_carries_the_hashes_of_the_files_it_read(check):
    [before], [same] = check(STEP1, "2-1"), check(STEP1, "2-1")
    [after] = check(STEP1 + "# 고침\n", "2-1")
    assert before.hashes.keys() == {"step1_numbers.py", "step2_quadruple.py"}
    assert same.hashes == before.hashes
    assert after.hashes["step1_numbers.py"] != before.hashes["step1_numbers.py"]
    assert after.hashes["step2_quadruple.py"] == before.hashes["step2_quadruple.py"]


@pytest.mark.parametrize("content", ["", "def test_nothing(): pass\n", "def broken(:\n"])
def test_check_file_without_a_runnable_check_is_a_failure(school, content, check):
    file = school.root / "tests/task1_tiny/checks/step2/test_2_1.py"
    kept = file.read_text(encoding="utf-8")
    try:
        file.write_text(content, encoding="utf-8")
        [verdict] = check(STEP1, "2-1")
    finally:
        file.write_text(kept, encoding="utf-8")
    assert (verdict.state, verdict.checks) == ("broken", 0)


def test_deleted_check_file_is_one_clear_error(school, tmp_path):
    with pytest.raises(CourseError, match="검사 파일이 없습니다"):
        school.checker.check(school.task, tmp_path, ["9-1"])


def test_missing_step_file_is_broken(school, tmp_path):
    assert school.checker.check(school.task, tmp_path, ["1-1"])["1-1"].state == "broken"
