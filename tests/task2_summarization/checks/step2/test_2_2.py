"""2-2의 검사: 요약을 라벨로."""

from __future__ import annotations

import pytest

from course.checks.recognising import Wrong
from course.checks.words import todo
from tests.task2_summarization.checks import support
from tests.task2_summarization.checks.step2.common import CAPS, ENDS, IGNORED, check_encoding

LONG = support.SUMMARIES[-1]


@pytest.fixture
def check(load):
    """학생의 함수가 요약을 `cap`개까지 옳게 바꾸는지 봅니다."""
    encode = load(2).encode_summary

    def checked(text: str, cap: int, adds_start: bool = True) -> None:
        check_encoding(encode, text, cap, "labels", adds_start, wrong_labels(text, cap, adds_start))

    return checked


def wrong_labels(text: str, cap: int, adds_start: bool) -> Wrong:
    """배치를 묶을 때 할 일을 여기서 했거나, 끝 토큰을 잘못 다루었을 때의 번호들."""
    want = support.encoded(text, cap, adds_start)
    body = support.body_of(text)
    end = want[-1:]
    without_first = "no-start" if len(want) < cap else "specials-dropped"  # 자른 것이면 길이로 가려집니다.
    dropped = without_first if adds_start else "shifted"
    return [
        *[
            ("specials-ignored", [IGNORED if one in some else one for one in want])
            for some in (support.SPECIAL, ENDS, {support.END})
        ],
        *[("shifted", [one, *want[:-1]]) for one in (*support.SPECIAL, IGNORED)],
        *[("shifted", [*want[1:], one]) for one in (*support.SPECIAL, IGNORED)],
        ("ignored-here", want + [IGNORED] * (cap - len(want))),
        ("ignored-here", [IGNORED, *want[1:]]),
        ("ignored-here", [IGNORED if one == support.PAD else one for one in want]),
        ("end-twice", want + end),
        ("end-twice", support.encoded(text, cap - 1, adds_start) + end),
        ("no-start", body[: cap - 1] + end),
        (dropped, want[1:]),
    ]


@todo("2-2")
def test_a_long_summary_is_cut_and_still_ends(check):
    """상한보다 긴 요약도 끝 토큰으로 끝납니다."""
    for cap in CAPS:
        check(LONG, cap)


@todo("2-2")
def test_a_summary_that_fits_is_whole(check):
    """상한에 들어오는 요약은 그대로이고, 채우지 않습니다. 빈 요약에도 끝이 있습니다."""
    for text in support.SUMMARIES[:-1]:
        check(text, 3 * len(text) + 5)


@todo("2-2")
def test_the_cap_counts_the_first_and_last_token(check):
    """상한은 시작과 끝까지 더한 길이입니다. 꼭 맞는 요약은 잘리지 않습니다."""
    text = support.SUMMARIES[2]
    fits = len(support.encoded(text))
    for cap in (fits, fits + 1, fits - 1):
        check(text, cap)


@todo("2-2")
def test_a_tokenizer_without_a_start_token_works_too(check):
    """T5처럼 끝만 붙이는 토크나이저도 있습니다."""
    for cap in CAPS:
        check(LONG, cap, adds_start=False)
    check(support.SUMMARIES[0], 83, adds_start=False)
