"""6-4의 검사: 끝까지 한 시도들의 통계."""

from __future__ import annotations

from statistics import fmean, median
from typing import Any

import pytest

from course.checks.recognising import recognise, require_value, sound
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_equal, fail, todo
from nlpbook.sweeps.study import COMPLETE, FAILED, INTERRUPTED, KILLED, PRUNED
from tests.task2_summarization.checks.step6.common import line

IDEA = "견줄 수 있는 것끼리"
DIGITS = 9  # 더하는 차례에 따라 마지막 자리는 다를 수 있습니다.
NAMES = ("best", "average", "min", "max")
# 일찍 멈춘 시도에 가장 큰 값과 가장 작은 값이 있습니다. 값이 없는 줄도, 끝까지 했는데 값이 0인 줄도 있습니다.
RECORDS = [
    line(PRUNED, 0.93, 3),
    line(COMPLETE, 0.31, 5),
    line(FAILED, None, 7),
    line(COMPLETE, 0.47, 11),
    line(KILLED, None, 13),
    line(COMPLETE, 0.0, 17),
    line(COMPLETE, 0.22, 29),
    line(PRUNED, -0.04, 19),
    line(INTERRUPTED, None, 23),
]
# 값이 0인 줄이 가장 좋은 것도 가장 나쁜 것도 아닙니다.
SIGNED = [*RECORDS, line(COMPLETE, -0.13, 37), line(PRUNED, -0.58, 41)]


def finished(records: list[dict[str, Any]]) -> list[float]:
    """끝까지 한 시도들의 값."""
    return [one["value"] for one in records if one["status"] == COMPLETE]


def found_in(load, records: list[dict[str, Any]], maximize: bool) -> dict[str, Any]:
    with no_side_effects(inputs={"records": records}):
        try:
            got = load(6).summarize(records, maximize)
        except (ValueError, IndexError, ZeroDivisionError) as error:
            if any(one["status"] == COMPLETE for one in records):
                raise
            fail(idea=IDEA, symptom="empty-crash", expected="None 넷", got=type(error).__name__)
        except TypeError as error:
            if "NoneType" not in str(error) or not runs_on_finished(load, records, maximize):
                raise
            fail(idea=IDEA, symptom="all-counted", expected="끝까지 한 시도만", got="값이 없는 시도도 견줌")
    require_value(got, "found")
    missing = [name for name in NAMES if name not in got]
    if missing == list(NAMES) and not any(one["status"] == COMPLETE for one in records):
        fail(idea=IDEA, symptom="empty-dict", expected="None 넷", got=got or "빈 딕셔너리")
    if missing:
        fail("found에 빠진 이름이 있습니다.", idea=IDEA, expected=", ".join(NAMES), got=f"{', '.join(missing)} 없음")
    return got


def runs_on_finished(load, records: list[dict[str, Any]], maximize: bool) -> bool:
    """끝까지 한 줄만 건네면 None 때문에 멈추지 않는가. 그렇다면 줄의 value가 None이어서 멈춘 것입니다."""
    try:
        load(6).summarize([one for one in records if one["status"] == COMPLETE], maximize)
    except TypeError:
        return False
    return True


@todo("6-4")
@pytest.mark.parametrize(("maximize", "best"), [(True, 11), (False, 17)])
def test_the_best_is_the_best_of_the_finished(load, maximize, best):
    """가장 좋은 줄은 끝까지 한 것 가운데 있고, 목표에 따라 다릅니다."""
    got = found_in(load, RECORDS, maximize)["best"]
    want = next(one for one in RECORDS if one["trial"] == best)
    if got == want:
        return
    if isinstance(got, float):
        fail(idea=IDEA, symptom="value-not-line", expected=f"시도 {best}의 줄", got=got)
    number = got.get("trial") if isinstance(got, dict) else None
    if number in (3, 19):
        fail(idea=IDEA, symptom="all-counted", expected=f"시도 {best}", got=f"일찍 멈춘 시도 {number}")
    if got is None and starts_from_zero(load, maximize):
        about = {"expected": f"시도 {best}의 줄", "got": "None", "side": "큰" if maximize else "작은"}
        fail(idea=IDEA, symptom="started-from-zero", **about)
    other = {True: 17, False: 11}[maximize]
    if number == other:
        goal = "클수록" if maximize else "작을수록"
        fail(idea=IDEA, symptom="wrong-way", expected=f"시도 {best}", got=f"시도 {number}", goal=goal)
    if number == 29 and not maximize and sound(lambda: found_in(load, RECORDS, True)["best"]["trial"] == 11):
        fail(idea=IDEA, symptom="zero-dropped", expected=f"시도 {best}", got=f"시도 {number}")
    fail("가장 좋은 줄이 다릅니다.", idea=IDEA, expected=want, got=got)


def best_of_one(load, value: float, maximize: bool) -> Any:
    """끝까지 한 시도가 하나뿐일 때의 best에서 꺼낸 값. 고르지 못했으면 None입니다."""
    best = found_in(load, [line(FAILED, None, 47), line(COMPLETE, value, 43)], maximize)["best"]
    return best["value"] if isinstance(best, dict) else best


def starts_from_zero(load, maximize: bool) -> bool:
    """끝까지 한 시도가 하나뿐이어도, 그 값이 0보다 나을 때만 고르는가."""
    better = 0.37 if maximize else -0.37
    return sound(
        lambda: (
            best_of_one(load, better, maximize) == better
            and all(best_of_one(load, one, maximize) is None for one in (-better, 0.0))
        )
    )


@todo("6-4")
@pytest.mark.parametrize("maximize", [True, False])
def test_any_value_can_be_the_best(load, maximize):
    """끝까지 한 시도가 하나뿐이면, 그 값이 0이든 0보다 크든 작든 그것이 가장 좋습니다."""
    for value in (0.37, 0.0, -0.37):
        if not sound(lambda value=value: best_of_one(load, value, maximize) is None):
            continue  # 줄이 아닌 것과 멈추는 것은 다른 검사들이 말합니다.
        about = {"expected": f"값이 {value}인 시도", "got": "None"}
        if starts_from_zero(load, maximize):
            side = "큰" if maximize else "작은"
            fail(idea=IDEA, symptom="started-from-zero", side=side, **about)
        if value == 0 and sound(lambda: best_of_one(load, 0.37, maximize) == 0.37):
            fail(idea=IDEA, symptom="zero-dropped", **about)
        fail("끝까지 한 시도가 하나 있는데 best가 None입니다.", idea=IDEA, **about)


@todo("6-4")
@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("records", [SIGNED, RECORDS])
def test_the_numbers_are_of_the_finished(load, records, maximize):
    """평균, 최소, 최대도 끝까지 한 것들의 것입니다. 목표가 무엇이든 같습니다."""
    if records is RECORDS and not sound(lambda: numbers_in(load, SIGNED, maximize) == three(finished(SIGNED))):
        return  # 앞의 줄들에서 말합니다.
    values = finished(records)
    everything = [one["value"] for one in records if one["value"] is not None]
    numbers = numbers_in(load, records, maximize)
    want = three(values)
    if numbers == want:
        return
    best = max(values) if maximize else min(values)
    if numbers == three([one for one in values if one != best]) and best != 0:
        about = {"expected": shown(want), "got": shown(numbers), "best": best}
        fail(idea=IDEA, symptom="best-dropped", **about)
    wrong = [
        ("min-max-swapped", [want[0], want[2], want[1]]),
        ("zero-dropped", three([one for one in values if one])),
        ("zero-dropped", three([one for one in values if one > 0])),
        ("all-counted", three(everything)),
        ("all-counted", [three(everything)[0], *want[1:]]),
        ("all-counted", [want[0], *three(everything)[1:]]),
        ("divided-by-all", [round(sum(values) / len(records), DIGITS), *want[1:]]),
        ("median", [round(median(values), DIGITS), *want[1:]]),
        *[("median", [one, *want[1:]]) for one in sorted(values)[1:-1]],
        ("middle-of-ends", [round((max(values) + min(values)) / 2, DIGITS), *want[1:]]),
    ]
    recognise(numbers, wrong, idea=IDEA, expected=shown(want), shown=shown(numbers))
    fail(
        "average, min, max 가운데 끝까지 한 것들의 것이 아닌 수가 있습니다.",
        idea=IDEA,
        expected=shown(want),
        got=shown(numbers),
    )


def numbers_in(load, records: list[dict[str, Any]], maximize: bool) -> list[Any]:
    """학생의 average, min, max."""
    got = found_in(load, records, maximize)
    return [got[name] if name != "average" else round(got[name], DIGITS) for name in NAMES[1:]]


def three(values: list[float]) -> list[float]:
    """평균, 최소, 최대."""
    return [round(fmean(values), DIGITS), min(values), max(values)]


def shown(numbers: list[float]) -> str:
    return ", ".join(f"{name} {number}" for name, number in zip(NAMES[1:], numbers, strict=True))


@todo("6-4")
def test_nothing_finished_gives_none(load):
    """끝까지 한 것이 없어도 멈추지 않습니다."""
    for records in ([], [line(FAILED, None, 29), line(PRUNED, 0.61, 31)]):
        got = found_in(load, records, True)
        if any(got[name] in (0.61, *records) for name in NAMES):
            fail(idea=IDEA, symptom="all-counted", expected="None 넷", got=got)
        assert_equal({name: got[name] for name in NAMES}, dict.fromkeys(NAMES), idea=IDEA, message="None이 아닙니다.")
