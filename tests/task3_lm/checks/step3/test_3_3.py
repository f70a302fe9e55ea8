"""3-3의 검사: 학습률."""

from __future__ import annotations

import math
import numbers
from typing import Any

import torch

from course.checks.recognising import explained, recognise
from course.checks.words import assert_close, close, fail, matches, show, todo
from tests.task3_lm.checks import support
from tests.task3_lm.checks.step3.common import EXACT, stopped

HIGHEST, LOWEST = 4.5, 1.2  # 둘의 차이나 그 절반이 다시 둘 가운데 하나가 되지 않게
SPAN, MIDDLE = 3.3, 2.85
TOTAL, WARMUP = 25, 5
RATE_ERRORS = [stopped("ZeroDivisionError", "zero-division", expected="어느 설정에서나 학습률")]


def rates(step3: Any, steps: list[int], total: int, warmup_rate: float) -> list[float]:
    """스텝마다의 학습률. 가장 높은 것이 4.5, 가장 낮은 것이 1.2입니다."""
    config = support.tiny_config(learning_rate=HIGHEST, min_lr=LOWEST, warmup_rate=warmup_rate)
    made = []
    for step in steps:
        with explained(*RATE_ERRORS):
            got = step3.learning_rate_at(step, total, config)
        if isinstance(got, torch.Tensor):
            fail(idea="자료형", expected="float", got="Tensor", symptom="tensor")
        if not isinstance(got, numbers.Real):
            fail("학습률이 수가 아닙니다.", idea="자료형", expected="float", got=type(got).__name__)
        made.append(float(got))
    return made


def cosine(progress: float) -> float:
    """코사인의 반 바퀴: 4.5에서 1.2로."""
    return MIDDLE + SPAN / 2 * math.cos(math.pi * progress)


def is_usual(step3: Any) -> bool:
    """흔한 설정에서는 학습률이 옳은가. 아니라면 드문 설정에서 이름을 붙이지 않습니다. 다른 검사가 말합니다."""
    steps = range(TOTAL + 12)
    rising = [HIGHEST * (s + 1) / WARMUP for s in steps[:WARMUP]]
    falling = [cosine(min(1.0, (s - WARMUP) / (TOTAL - WARMUP))) for s in steps[WARMUP:]]
    return matches(rates(step3, list(steps), TOTAL, 0.2), rising + falling, EXACT)


@todo("3-3")
def test_warmup_rises_in_a_straight_line(step3):
    """warmup 동안 곧게 올라, 그 마지막 스텝에 가장 높습니다."""
    steps = list(range(WARMUP))
    got, want = rates(step3, steps, TOTAL, 0.2), [0.9, 1.8, 2.7, 3.6, 4.5]
    if close(got, want, EXACT):
        return
    curves = [
        ("starts-at-zero", lambda s: HIGHEST * s / WARMUP),
        ("starts-at-zero", lambda s: HIGHEST * s / (WARMUP - 1)),
        ("never-at-the-top", lambda s: HIGHEST * (s + 1) / (WARMUP + 1)),
        ("from-lowest", lambda s: LOWEST + SPAN * s / WARMUP),
        ("from-lowest", lambda s: LOWEST + SPAN * (s + 1) / WARMUP),
        ("from-lowest", lambda s: LOWEST + SPAN * s / (WARMUP - 1)),
        ("floor-in-warmup", lambda s: max(LOWEST, HIGHEST * (s + 1) / WARMUP)),
        ("fraction-only", lambda s: (s + 1) / WARMUP),
        ("fraction-only", lambda s: s / WARMUP),
        ("warmup-over-total", lambda s: HIGHEST * (s + 1) / TOTAL),
        ("warmup-over-total", lambda s: HIGHEST * s / TOTAL),
        ("no-warmup", lambda s: HIGHEST),
        ("no-warmup", lambda s: cosine(s / TOTAL)),
        ("overwritten", lambda s: cosine((s - WARMUP) / (TOTAL - WARMUP))),
        ("warmup-falls", lambda s: HIGHEST * (WARMUP - s) / WARMUP),
        ("warmup-falls", lambda s: HIGHEST * (1 - (s + 1) / WARMUP)),
        ("floor-division", lambda s: HIGHEST * ((s + 1) // WARMUP)),
        ("floor-division", lambda s: HIGHEST * (s + 1) // WARMUP),
        ("warmup-is-rate", lambda s: HIGHEST * (s + 1) / 0.2),
    ]
    wrong = [(symptom, [curve(s) for s in steps]) for symptom, curve in curves]
    recognise(got, wrong, atol=EXACT, idea="warmup", expected=want)
    fail("warmup 동안의 학습률이 다릅니다.", idea="warmup", expected=show(want), got=show(got))


@todo("3-3")
def test_cosine_falls_to_the_lowest(step3):
    """warmup이 끝난 스텝에서 가장 높고, 코사인의 반 바퀴를 따라 내려갑니다."""
    steps = list(range(WARMUP, TOTAL))
    got, left = rates(step3, steps, TOTAL, 0.2), TOTAL - WARMUP
    want = [cosine((s - WARMUP) / left) for s in steps]
    if close(got, want, EXACT):
        return
    curves = [
        ("counted-from-zero", lambda p, s: cosine(s / TOTAL)),
        ("counted-from-zero", lambda p, s: cosine(s / left)),
        ("divided-by-total", lambda p, s: cosine((s - WARMUP) / TOTAL)),
        ("ends-early", lambda p, s: cosine((s - WARMUP) / (left - 1))),
        ("ends-early", lambda p, s: cosine((s - WARMUP + 1) / left)),
        ("to-zero", lambda p, s: HIGHEST * (1 + math.cos(math.pi * p)) / 2),
        ("to-zero", lambda p, s: max(LOWEST, HIGHEST * (1 + math.cos(math.pi * p)) / 2)),
        ("to-zero", lambda p, s: SPAN * (1 + math.cos(math.pi * p)) / 2),
        ("to-zero", lambda p, s: max(LOWEST, SPAN * (1 + math.cos(math.pi * p)) / 2)),
        (
            "too-high",
            lambda p, s: LOWEST + HIGHEST * (1 + math.cos(math.pi * p)) / 2,
        ),
        ("too-high", lambda p, s: LOWEST + SPAN * (1 + math.cos(math.pi * p))),
        ("too-high", lambda p, s: HIGHEST + SPAN * (1 + math.cos(math.pi * p)) / 2),
        ("unscaled-cosine", lambda p, s: LOWEST + SPAN * math.cos(math.pi * p)),
        ("unscaled-cosine", lambda p, s: LOWEST + SPAN / 2 * math.cos(math.pi * p)),
        ("unscaled-cosine", lambda p, s: HIGHEST * math.cos(math.pi * p)),
        ("unscaled-cosine", lambda p, s: LOWEST + SPAN * (1 + math.cos(math.pi * p) / 2)),
        ("unscaled-cosine", lambda p, s: HIGHEST + math.cos(math.pi * p) / 2),
        ("not-half-a-turn", lambda p, s: cosine(p / math.pi)),
        ("not-half-a-turn", lambda p, s: cosine(2 * p)),
        ("not-half-a-turn", lambda p, s: cosine(3.14 * p / math.pi)),
        ("not-half-a-turn", lambda p, s: cosine(p / 2)),
        ("not-half-a-turn", lambda p, s: cosine(180 * p / math.pi)),
        ("not-half-a-turn", lambda p, s: LOWEST + SPAN * math.cos(math.pi * p / 2)),
        ("not-half-a-turn", lambda p, s: cosine(p / 180)),
        ("progress-outside", lambda p, s: LOWEST + SPAN * (1 - p) / 2),
        ("rises", lambda p, s: MIDDLE - SPAN / 2 * math.cos(math.pi * p)),
        ("linear", lambda p, s: HIGHEST - SPAN * p),
        ("linear", lambda p, s: HIGHEST * (1 - p)),
        ("no-cosine", lambda p, s: HIGHEST),
    ]
    wrong = [(symptom, [curve((s - WARMUP) / left, s) for s in steps]) for symptom, curve in curves]
    wrong.append(("warmup-too-long", [HIGHEST * (WARMUP + 1) / WARMUP, *want[1:]]))
    wrong.append(("warmup-too-long", [HIGHEST, *[cosine((s - WARMUP - 1) / (left - 1)) for s in steps[1:]]]))
    wrong.append(("stops-rising-late", [HIGHEST * (s + 1) / WARMUP for s in steps]))
    recognise(got, wrong, atol=EXACT, idea="코사인", expected=want)
    fail("warmup 뒤의 학습률이 다릅니다.", idea="코사인", expected=show(want), got=show(got))


@todo("3-3")
def test_rate_stays_at_the_lowest_beyond_the_end(step3):
    """total_steps부터는 lowest에 머뭅니다."""
    steps = [TOTAL, TOTAL + 1, TOTAL + 10, TOTAL + 20, TOTAL + 40]
    got, want = rates(step3, steps, TOTAL, 0.2), [LOWEST] * len(steps)
    if close(got, want, EXACT):
        return
    wrong = [
        ("rises-again", [cosine((s - 5) / 20) for s in steps]),
        ("ends-at-zero", [0.0] * len(steps)),
        ("ends-at-zero", [LOWEST, *[0.0] * (len(steps) - 1)]),
        ("ends-at-the-top", [HIGHEST] * len(steps)),
    ]
    recognise(got, wrong, atol=EXACT, idea="마지막 학습률", expected=want)
    fail("total_steps 뒤의 학습률이 lowest가 아닙니다.", idea="마지막 학습률", expected=show(want), got=show(got))


@todo("3-3")
def test_no_warmup_at_all(step3):
    """warmup_rate가 0이면 첫 스텝부터 코사인입니다."""
    steps = [0, 2, 4, 7, 8, 9, 20]
    got, want = rates(step3, steps, 8, 0.0), [cosine(min(1.0, s / 8)) for s in steps]
    message, idea, shown = "warmup_rate가 0일 때의 학습률이 다릅니다.", "warmup 없이", show(got)
    if not close(got, want, EXACT) and is_usual(step3):
        forced = [HIGHEST, *[cosine(min(1.0, (s - 1) / 7)) for s in steps[1:]]]
        recognise(got, [("forced-warmup", forced)], atol=EXACT, idea=idea, expected=want)
        if matches(got[:4], [got[0]] * 4, EXACT):
            fail(idea=idea, expected=show(want), got=shown, symptom="constant-without-warmup")
    assert_close(got, want, atol=EXACT, idea=idea, message=message)


@todo("3-3")
def test_warmup_is_a_whole_number_of_steps(step3):
    """warmup_rate와 total_steps를 곱한 것이 정수가 아니면 반올림한 스텝 수(3.6 → 4)를 씁니다."""
    got, want = rates(step3, [0, 1, 2, 3, 4, 8, 12], 12, 0.3), [1.125, 2.25, 3.375, 4.5, 4.5, MIDDLE, LOWEST]
    if close(got, want, EXACT):
        return
    if matches(got[:3], [HIGHEST * (s + 1) / 3.6 for s in range(3)], EXACT):
        fail(idea="warmup", expected=show(want[:4]), got=show(got[:4]), symptom="unrounded")
    fail("warmup이 4스텝일 때의 학습률이 다릅니다.", idea="warmup", expected=show(want), got=show(got))


@todo("3-3")
def test_one_single_step(step3):
    """한 스텝뿐인 학습은 가장 높은 학습률로 배웁니다."""
    got = rates(step3, [0, 1, 2], 1, 0.1)
    message = "total_steps가 1일 때의 학습률이 다릅니다."
    assert_close(got, [HIGHEST, LOWEST, LOWEST], atol=EXACT, idea="한 스텝", message=message)
