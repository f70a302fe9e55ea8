"""6-4의 검사: 끝까지 한 시도들의 통계."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import pytest

from course.checks.recognising import recognise, require_value
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_equal, fail, todo
from nlpbook.sweeps.study import COMPLETE, FAILED, INTERRUPTED, KILLED, PRUNED
from tests.task2_summarization.checks.step6.common import line

IDEA = "견줄 수 있는 것끼리"
DIGITS = 9  # 더하는 차례에 따라 마지막 자리는 다를 수 있습니다.
NAMES = ("best", "average", "min", "max")
# 일찍 멈춘 시도에 가장 큰 값과 가장 작은 값이 있습니다. 값이 없는 줄도 있습니다.
RECORDS = [
    line(PRUNED, 0.93, 3),
    line(COMPLETE, 0.31, 5),
    line(FAILED, None, 7),
    line(COMPLETE, 0.47, 11),
    line(KILLED, None, 13),
    line(COMPLETE, 0.22, 17),
    line(PRUNED, 0.04, 19),
    line(INTERRUPTED, None, 23),
]
DONE = [one for one in RECORDS if one["status"] == COMPLETE]
VALUES = [one["value"] for one in DONE]


def found_in(load, records: list[dict[str, Any]], maximize: bool) -> dict[str, Any]:
    with no_side_effects(inputs={"records": records}):
        try:
            got = load(6).summarize(records, maximize)
        except (ValueError, IndexError, ZeroDivisionError) as error:
            if any(one["status"] == COMPLETE for one in records):
                raise
            fail(idea=IDEA, symptom="empty-crash", expected="None 넷", got=type(error).__name__)
        except TypeError as error:
            if "NoneType" not in str(error) or not records:
                raise
            fail(idea=IDEA, symptom="all-counted", expected="끝까지 한 시도만", got="값이 없는 시도도 견줌")
    require_value(got, "found")
    missing = [name for name in NAMES if name not in got]
    if missing:
        fail("found에 빠진 이름이 있습니다.", idea=IDEA, expected=", ".join(NAMES), got=f"{', '.join(missing)} 없음")
    return got


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
    other = {True: 17, False: 11}[maximize]
    if number == other:
        goal = "클수록" if maximize else "작을수록"
        fail(idea=IDEA, symptom="wrong-way", expected=f"시도 {best}", got=f"시도 {number}", goal=goal)
    fail("가장 좋은 줄이 다릅니다.", idea=IDEA, expected=want, got=got)


@todo("6-4")
def test_the_numbers_are_of_the_finished(load):
    """평균, 최소, 최대도 끝까지 한 것들의 것입니다."""
    got = found_in(load, RECORDS, True)
    everything = [one["value"] for one in RECORDS if one["value"] is not None]
    assert_equal(got["min"], min(VALUES), idea=IDEA, message="min이 다릅니다.")
    assert_equal(got["max"], max(VALUES), idea=IDEA, message="max가 다릅니다.")
    average = round(got["average"], DIGITS)
    want = round(fmean(VALUES), DIGITS)
    if average != want:
        wrong = [
            ("all-counted", round(fmean(everything), DIGITS)),
            ("divided-by-all", round(sum(VALUES) / len(RECORDS), DIGITS)),
            ("median", sorted(VALUES)[1]),
        ]
        recognise(average, wrong, idea=IDEA, expected=want)
    assert_equal(average, want, idea=IDEA, message="average가 다릅니다.")


@todo("6-4")
def test_nothing_finished_gives_none(load):
    """끝까지 한 것이 없어도 멈추지 않습니다."""
    for records in ([], [line(FAILED, None, 29), line(PRUNED, 0.61, 31)]):
        got = found_in(load, records, True)
        if any(got[name] is not None for name in NAMES) and records:
            fail(idea=IDEA, symptom="all-counted", expected="None 넷", got=got)
        assert_equal({name: got[name] for name in NAMES}, dict.fromkeys(NAMES), idea=IDEA, message="None이 아닙니다.")
