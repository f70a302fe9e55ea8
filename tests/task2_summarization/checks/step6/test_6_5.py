"""6-5의 검사: 이어 할 때 무엇을 다시 하는지."""

from __future__ import annotations

from typing import Any

import pytest

from course.checks.recognising import recognise, sound
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


def planned(count: int, attempts: list, retry: int, counted: Any = None, new: bool = True) -> list:
    """옳은 답이나, 실패를 달리 센 답.

    Args:
        counted: (그 자리의 시도들, 모든 시도들) → 실패한 수. None이면 그 자리의 실패를 셉니다.
        new: 한 번도 하지 않은 자리도 적는가.
    """
    made = []
    for slot in range(count):
        mine = sorted((one for one in attempts if one.slot == slot), key=lambda one: one.attempt)
        if not mine:
            made += [(slot, 0)] if new else []
            continue
        failures = counted(mine, attempts) if counted else sum(one.status in BAD for one in mine)
        if mine[-1].status == INTERRUPTED or (mine[-1].status in BAD and failures <= retry):
            made.append((slot, mine[-1].attempt + 1))
    return made


def wrong_plans(count: int, attempts: list, retry: int) -> list[tuple[str, list]]:
    """실패한 수를 달리 셌을 때의 것."""
    ways = [
        ("attempts-counted", lambda mine, _: len(mine)),
        ("all-slots-counted", lambda _, every: sum(one.status in BAD for one in every)),
    ]
    plans = [(symptom, planned(count, attempts, retry, counted)) for symptom, counted in ways]
    return [*plans, ("new-lost", planned(count, attempts, retry, new=False))]


@todo("6-5")
def test_a_new_search_has_every_slot_once(load):
    """처음에는 모든 자리를 0번 시도로 적어 둡니다."""
    got = wanted(load, 4, [], 0)
    want = [(slot, 0) for slot in range(4)]
    if got == [(slot, 0) for slot in range(1, 5)]:
        fail(idea=IDEA, symptom="from-one", expected="자리 0~3", got="자리 1~4")
    wrong = [("first-is-one", [(slot, 1) for slot in range(4)]), ("new-lost", []), ("slot-lost", want[:-1])]
    wrong += [("pair-swapped", [(0, slot) for slot in range(4)])]
    recognise(got, wrong, idea=IDEA, expected=want)
    assert_equal(got, want, idea=IDEA, message="처음 적어 둘 것이 다릅니다.")


@todo("6-5")
def test_slots_past_the_count_are_left_alone(load):
    """count를 줄여 이어 하면, 그 밖의 자리는 더 하지 않습니다. 자리는 0부터 count-1까지입니다."""
    ended = [(0, COMPLETE), (2, FAILED), (3, FAILED), (5, INTERRUPTED), (6, COMPLETE), (8, KILLED)]
    attempts = [attempt_of(slot, 0, status) for slot, status in ended]
    if sound(lambda: wanted(load, 9, attempts, 4) == planned(9, attempts, 4)):
        got, want = wanted(load, 3, attempts, 4), planned(3, attempts, 4)
        past = [one for one in got if one[0] >= 3]
        if past and [one for one in got if one[0] < 3] == want:
            fail(idea=IDEA, symptom="past-the-count", expected=str(want), got=str(got), count=3, slot=past[0][0])
        assert_equal(got, want, idea=IDEA, message="count를 줄여 이어 할 때 다시 할 것이 다릅니다.")


@todo("6-5")
@pytest.mark.parametrize("status", SETTLED)
def test_what_is_done_or_under_way_is_left_alone(load, status):
    """마쳤거나, 일찍 멈췄거나, 기다리거나, 하고 있는 자리는 다시 하지 않습니다."""
    got = wanted(load, 3, [attempt_of(1, 0, status)], 6)
    again = [one for one in got if one[0] == 1]
    if again:
        symptom = {COMPLETE: "done-again", PRUNED: "pruned-again"}.get(status, "under-way-again")
        fail(idea=IDEA, symptom=symptom, expected="자리 1은 그대로", got=f"{again[0]} 다시 함", status=status)
    assert_equal(got, [(0, 0), (2, 0)], idea=IDEA, message="남은 자리가 다릅니다.")


@todo("6-5")
def test_what_a_person_stopped_is_done_again(load):
    """사람이 멈춘 자리는 몇 번이든, retry가 0이어도 다시 합니다."""
    stopped = [attempt_of(0, number, INTERRUPTED) for number in range(5)]
    got = wanted(load, 1, stopped, 0)
    if got == []:
        fail(idea=IDEA, symptom="interrupted-lost", expected="[(0, 5)]", got="[]")
    if got in ([(0, 0)], [(0, 4)]):
        fail(idea=IDEA, symptom="number-again", expected="(0, 5)", got=str(got[0]))
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
            one_more = not wanted(load, 1, [attempt_of(0, n, status) for n in range(retry + 2)], retry)
            endless = bool(wanted(load, 1, [attempt_of(0, n, status) for n in range(retry + 43)], retry))
            symptom = "one-too-many" if one_more else "no-limit" if endless else None
            shown = {"expected": f"{retry}번까지", "got": f"{failures}번 실패한 뒤 또 함"}
            fail("실패한 자리를 retry보다 많이 다시 합니다.", idea=IDEA, symptom=symptom, **shown)
        if want and not got:
            one_fewer = failures == retry and wanted(load, 1, attempts, retry + 1) == want
            never = not wanted(load, 1, attempts[:1], 43)
            symptom = "one-too-few" if one_fewer else "never-retried" if never else None
            shown = {"expected": f"{retry}번까지", "got": f"{failures}번 실패한 뒤 그만둠", "status": status}
            fail("실패한 자리를 retry보다 적게 다시 합니다.", idea=IDEA, symptom=symptom, **shown)
        if got and got[0] in [(0, 0), (0, failures - 1)]:
            fail(idea=IDEA, symptom="number-again", expected=want[0], got=str(got[0]))
        if len(got) > 1 and got[0] == want[0] and {slot for slot, _ in got} == {0}:
            fail(idea=IDEA, symptom="all-at-once", expected=want, got=got)
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
        attempt_of(3, 0, FAILED),
        attempt_of(4, 1, COMPLETE),  # 사람이 멈추었다가 다시 해서 마친 자리
        attempt_of(4, 0, INTERRUPTED),
    ]
    got = wanted(load, 5, attempts, 2)
    want = [(0, 3), (1, 0), (3, 1)]  # 처음 하는 자리가 다시 하는 자리들 사이에 있습니다.
    if sorted(got) == want and got != want:
        fail(idea=IDEA, symptom="out-of-order", expected=str(want), got=str(got))
    if got != want:
        recognise(got, wrong_plans(5, attempts, 2), idea=IDEA, expected=want)
    again = [slot for slot, _ in got if slot in (2, 4)]
    if again:
        shown = {"expected": f"자리 {again[0]}: 마쳤음", "got": f"자리 {again[0]}: 다시 함"}
        fail(idea=IDEA, symptom="not-last", before={2: "실패했지만", 4: "사람이 멈추었지만"}[again[0]], **shown)
    if len(got) != len(set(got)):
        fail("같은 자리를 두 번 적었습니다.", idea=IDEA, expected=want, got=got)
    assert_equal(got, want, idea=IDEA, message="다시 할 것이 다릅니다.")
