"""6-5의 검사: 이어 할 때 무엇을 다시 하는지."""

from __future__ import annotations

import pytest

from course.checks.side_effects import no_side_effects
from course.checks.words import assert_equal, fail, todo
from nlpbook.sweeps.study import COMPLETE, FAILED, INTERRUPTED, KILLED, PRUNED, RUNNING, SKIPPED, WAITING
from tests.task2_summarization.checks.step6.common import attempt_of

IDEA = "이어 하기"
SETTLED = [COMPLETE, PRUNED, WAITING, RUNNING]
BAD = [FAILED, KILLED, SKIPPED]


def wanted(load, count: int, attempts: list, retry: int) -> list:
    with no_side_effects(inputs={"attempts": attempts}):
        got = load(6).remaining(count, attempts, retry)
    if not isinstance(got, list):
        fail("wanted가 목록이 아닙니다.", idea=IDEA, expected="[(자리, 몇 번째), …]", got=type(got).__name__)
    return [tuple(one) for one in got]


@todo("6-5")
def test_a_new_search_has_every_slot_once(load):
    """처음에는 모든 자리를 0번 시도로 적어 둡니다."""
    got = wanted(load, 4, [], 0)
    if got == [(slot, 0) for slot in range(1, 5)]:
        fail(idea=IDEA, symptom="from-one", expected="자리 0~3", got="자리 1~4")
    if got == [(slot, 1) for slot in range(4)]:
        fail("첫 시도는 0번입니다.", idea=IDEA, expected="(0, 0)", got="(0, 1)")
    assert_equal(got, [(slot, 0) for slot in range(4)], idea=IDEA, message="처음 적어 둘 것이 다릅니다.")


@todo("6-5")
@pytest.mark.parametrize("status", SETTLED)
def test_what_is_done_or_under_way_is_left_alone(load, status):
    """마쳤거나, 일찍 멈췄거나, 기다리거나, 하고 있는 자리는 다시 하지 않습니다."""
    got = wanted(load, 3, [attempt_of(1, 0, status)], 6)
    again = [one for one in got if one[0] == 1]
    if again:
        symptom = {COMPLETE: "done-again", PRUNED: "pruned-again"}.get(status, "under-way-again")
        fail(idea=IDEA, symptom=symptom, expected="자리 1은 그대로", got=f"{again[0]}을(를) 다시 함", status=status)
    assert_equal(got, [(0, 0), (2, 0)], idea=IDEA, message="남은 자리가 다릅니다.")


@todo("6-5")
def test_what_a_person_stopped_is_done_again(load):
    """사람이 멈춘 자리는 몇 번이든, retry가 0이어도 다시 합니다."""
    stopped = [attempt_of(0, number, INTERRUPTED) for number in range(5)]
    got = wanted(load, 1, stopped, 0)
    if got == []:
        fail(idea=IDEA, symptom="interrupted-lost", expected="[(0, 5)]", got="[]")
    if got == [(0, 0)]:
        fail(idea=IDEA, symptom="number-again", expected="(0, 5)", got="(0, 0)")
    assert_equal(got, [(0, 5)], idea=IDEA, message="사람이 멈춘 자리를 다시 하는 것이 다릅니다.")


@todo("6-5")
@pytest.mark.parametrize("status", BAD)
def test_a_failure_is_retried_up_to_the_limit(load, status):
    """실패한 자리는 retry번까지만 다시 합니다."""
    for retry, failures in ((0, 1), (2, 1), (2, 2), (2, 3), (4, 3)):
        attempts = [attempt_of(0, number, status) for number in range(failures)]
        got = wanted(load, 1, attempts, retry)
        want = [(0, failures)] if failures <= retry else []
        if got == want:
            continue
        if got and not want:
            fewer = not wanted(load, 1, [attempt_of(0, n, status) for n in range(retry + 2)], retry)
            symptom = "one-too-many" if fewer else "no-limit"
            fail(idea=IDEA, symptom=symptom, expected=f"{retry}번까지", got=f"{failures}번 실패한 뒤 또 함")
        if want and not got:
            enough = wanted(load, 1, attempts, retry + 1) == want
            symptom = "one-too-few" if enough else "never-retried"
            fail(
                idea=IDEA,
                symptom=symptom,
                expected=f"{retry}번까지",
                got=f"{failures}번 실패한 뒤 그만둠",
                status=status,
            )
        if got == [(0, 0)]:
            fail(idea=IDEA, symptom="number-again", expected=want[0], got="(0, 0)")
        fail("실패한 자리를 다시 하는 것이 다릅니다.", idea=IDEA, expected=want, got=got)


@todo("6-5")
def test_only_the_failures_of_the_slot_count(load):
    """다른 자리의 실패와, 사람이 멈춘 것은 세지 않습니다. 마지막 시도가 지금의 모습입니다."""
    attempts = [
        attempt_of(2, 1, COMPLETE),
        attempt_of(0, 0, FAILED),
        attempt_of(2, 0, FAILED),
        attempt_of(0, 1, INTERRUPTED),
        attempt_of(0, 2, KILLED),
        attempt_of(1, 0, FAILED),
    ]
    got = wanted(load, 4, attempts, 2)
    want = [(0, 3), (1, 1), (3, 0)]
    if sorted(got) == want and got != want:
        fail("자리의 차례대로가 아닙니다.", idea=IDEA, expected=want, got=got)
    if any(slot == 2 for slot, _ in got):
        fail(idea=IDEA, symptom="not-last", expected="자리 2는 마쳤음", got="자리 2를 다시 함")
    if len(got) != len(set(got)):
        fail("같은 자리를 두 번 적었습니다.", idea=IDEA, expected=want, got=got)
    assert_equal(got, want, idea=IDEA, message="다시 할 것이 다릅니다.")
