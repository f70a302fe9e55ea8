"""누구의 잘못인지 가립니다: 예외는 한 번 말하고, 그 뒤의 것은 막히며, 손대지 않은 것은 틀리지 않습니다."""

from __future__ import annotations

import os
import sys

import pytest

from course.book.regions import splice, to_exercise
from tests.course.workshop import STEP1, STEP2, checking_workshop

EXERCISE = to_exercise(STEP1)
FORKS = hasattr(os, "fork") and sys.platform != "darwin"


@pytest.fixture(scope="module")
def school(tmp_path_factory):
    with checking_workshop(tmp_path_factory.mktemp("school")) as workshop:
        yield workshop


@pytest.fixture
def check(school, tmp_path):
    """`check(step1, "1-1", "2-1")`: 그 내용의 1단계를 검사한 판정들. 내용이 None이면 파일이 없습니다."""

    def run(step1, *todo_ids, step2=STEP2, timeout=30.0):
        if step1 is not None:
            content = step1 if isinstance(step1, bytes) else step1.encode()
            (tmp_path / "step1_numbers.py").write_bytes(content)
        (tmp_path / "step2_quadruple.py").write_text(step2, encoding="utf-8")
        verdicts = school.checker.check(school.task, tmp_path, list(todo_ids), timeout=timeout)
        return [verdicts[one] for one in todo_ids]

    return run


def states(verdicts):
    return [one.state for one in verdicts]


# ── 예외는 한 번 말합니다


def test_exception_is_said_once_and_those_behind_it_are_blocked(check):
    first, untouched, behind = check(splice(EXERCISE, "1-1", "answer = nubmer"), "1-1", "1-2", "2-1")
    assert [first.state, untouched.state, behind.state] == ["broken", "not started", "blocked"]
    assert "nubmer" in first.says
    assert (behind.title, behind.says) == ("먼저 TODO 1-1을 고쳐야 검사할 수 있습니다", "")
    assert (behind.file, behind.line) == (first.file, first.line)
    assert (behind.error, behind.code, behind.symptom) == ("", "", None)


def test_asked_alone_the_blocked_todo_says_what_stopped_it(check):
    [behind] = check(splice(STEP1, "1-1", "answer = nubmer"), "2-1")
    assert behind.state == "blocked"
    assert "NameError" in behind.says


def test_untouched_todo_is_never_red_whatever_stops_before_it(check):
    step2 = to_exercise(STEP2).replace("import step1_numbers", "import step1_numbers\nstep1_numbers.double(1)")
    for code in ("answer = nubmer", "answer = (1", "raise KeyboardInterrupt", "import os; os._exit(1)"):
        assert states(check(splice(STEP1, "1-1", code), "2-1", step2=step2)) == ["not started"]


def test_a_region_that_is_right_is_not_blamed_for_what_it_was_given(check):
    step2 = splice(STEP2, "2-1", "return step1_numbers.double(None)")
    [verdict] = check(STEP1, "2-1", step2=step2)
    assert (verdict.state, verdict.error, verdict.file) == ("broken", "TypeError", "step1_numbers.py")
    assert "TODO 1-1의 자리이지만 그 자리는 맞았습니다" in verdict.says


def test_name_a_region_did_not_make_blocks_what_needs_it(check):
    verdicts = check(splice(STEP1, "1-1", "result = number * 2"), "1-1", "1-2", "2-1")
    assert states(verdicts) == ["broken", "right", "blocked"]
    assert "같은 철자의 이름" in verdicts[0].says


FALLS = "try:\n    answer = number * 2 + int('')\nexcept ValueError as answer:\n    answer = number * 2"


@pytest.mark.parametrize("more", ["", "\nanswer += 0"], ids=["read below the region", "read in the region"])
def test_name_that_an_except_block_deletes_is_told_of(check, more):
    [verdict] = check(splice(STEP1, "1-1", FALLS + more), "1-1")
    assert (verdict.state, verdict.error) == ("broken", "UnboundLocalError")
    assert "except … as answer" in verdict.says


def test_name_that_an_except_block_deletes_is_not_blamed_for_another(check):
    [verdict] = check(splice(STEP1, "1-1", FALLS.replace("as answer", "as wrong") + "\nanswer += nubmer"), "1-1")
    assert verdict.error == "NameError"
    assert "except …" not in verdict.says


@pytest.mark.parametrize("code", ["answer = (1", "for one in number:"], ids=["in the region", "seen below the region"])
def test_syntax_error_is_said_by_its_region(check, code):
    verdicts = check(splice(splice(STEP1, "1-1", code), "1-2", "return 3"), "1-1", "1-2", "2-1")
    assert states(verdicts) == ["broken", "blocked", "blocked"]


def test_syntax_error_outside_every_touched_region_is_said_once_and_not_in_red(check):
    verdicts = check(EXERCISE.replace("def double(number):", "def double(number)"), "1-1", "1-2", "2-1")
    assert states(verdicts) == ["blocked"] * 3
    assert [one.title.startswith("먼저 step1_numbers.py") for one in verdicts] == [False, True, True]
    assert "콜론" in verdicts[0].says


@pytest.mark.skipif(not FORKS, reason="fork로 가두는 검사")
def test_endless_region_is_pointed_to_and_those_behind_it_are_blocked(check):
    loop = splice(STEP1, "1-1", "while True:\n    number += 0")
    first, fine, behind = check(loop, "1-1", "1-2", "2-1", timeout=2)
    assert [first.state, fine.state, behind.state] == ["broken", "right", "blocked"]
    assert "제시간에" in first.title
    assert loop.splitlines()[first.line - 1].strip() in ("while True:", "number += 0")


def test_todo_that_ends_the_run_does_not_make_the_others_look_interrupted(check):
    verdicts = check(splice(STEP1, "1-1", "raise KeyboardInterrupt"), "1-1", "1-2")
    assert states(verdicts) == ["broken", "right"]


def test_one_todo_that_tampers_is_not_held_against_the_others(check):
    code = "import course.checks.words as words\nwords.fail = print\nanswer = number"
    verdicts = check(splice(EXERCISE, "1-1", code), "1-1", "1-2")
    assert states(verdicts) == ["wrong", "not started"]


# ── 망가진 파일


@pytest.mark.parametrize(
    ("step1", "said"),
    [
        (None, "step1_numbers.py 파일이 없습니다"),
        ("\n \n", "step1_numbers.py 파일이 비어 있습니다"),
        ("# 한글".encode("cp949"), "step1_numbers.py가 UTF-8이 아닙니다"),
        (EXERCISE[: EXERCISE.index("[END 1-1]")], "step1_numbers.py가 중간에서 끝납니다: TODO 1-1부터 없습니다"),
        (EXERCISE[: EXERCISE.index("def area")], "step1_numbers.py가 중간에서 끝납니다: TODO 1-2부터 없습니다"),
    ],
    ids=["deleted", "empty", "not UTF-8", "cut inside a region", "cut between regions"],
)
def test_wrecked_file_is_said_once_in_its_own_words(check, step1, said):
    verdicts = check(step1, "1-1", "1-2", "2-1")
    assert [one.title for one in verdicts].count(said) == 1
    assert sum("course reset tiny 1" in one.says for one in verdicts) == 1
    assert verdicts[-1].state == "blocked" or verdicts[-1].title.startswith("먼저 TODO")
    assert not any("Error" in one.title for one in verdicts)


def test_a_wrecked_earlier_step_is_said_where_only_a_later_one_is_asked(check):
    [verdict] = check(None, "2-1")
    assert (verdict.state, verdict.title) == ("blocked", "먼저 step1_numbers.py를 고쳐야 검사할 수 있습니다")
    assert "step1_numbers.py 파일이 없습니다" in verdict.says


@pytest.mark.parametrize("mark", ["    # [END 1-1]\n", "    # [TODO 1-1] 두 배를 answer에 담으세요.\n"])
def test_missing_mark_is_named_with_its_file_beside_a_true_verdict(check, mark):
    right, other = check(STEP1.replace(mark, ""), "1-1", "1-2")
    assert (right.state, other.state, other.says) == ("right", "right", "")
    assert right.says.startswith("step1_numbers.py")
    assert "1-1] 줄이" in right.says
    [wrong] = check(splice(STEP1, "1-1", "answer = 0").replace(mark, ""), "1-1")
    assert (wrong.state, wrong.title) == ("wrong", "두 배가 아닙니다.")
    assert "1-1] 줄이" in wrong.says


def test_empty_region_without_the_import_of_todo_is_still_not_started(check):
    verdicts = check(EXERCISE.replace("from todo import todo\n", ""), "1-1", "1-2", "2-1")
    assert states(verdicts) == ["not started", "not started", "blocked"]
    assert ["from todo import todo" in one.says for one in verdicts] == [True, False, False]
