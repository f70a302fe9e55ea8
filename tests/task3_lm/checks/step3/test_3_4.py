"""3-4의 검사: 혼란도."""

from __future__ import annotations

import math
from typing import Any

import pytest

from course.checks.recognising import Wrong, recognise
from course.checks.words import close, fail, matches, show, todo
from tests.task3_lm.checks.step3.common import ATOL, FINE, LARGE, METRIC_ERRORS, SHARE, metric, roundings, stopped

BITS_PER_BYTE = property(lambda self: self.loss / math.log(2) / self.bytes_per_token)
PERPLEXITY_ERRORS = [
    *METRIC_ERRORS,
    stopped(r"unsupported operand type\(s\) for \^", "caret", expected="거듭제곱"),
    stopped("'float' object is not callable", "called-number", expected="지수 함수"),
]


def perplexity_of(step3: Any, loss: float, size: float = 2.5) -> float:
    return metric(step3, "perplexity", loss, size, PERPLEXITY_ERRORS)


def wrong_perplexities(loss: float) -> Wrong:
    """혼란도와 헷갈리는 값들. 정확도는 0.25, 토큰의 크기는 2.5입니다."""
    return [
        ("loss-itself", loss),
        ("base-two", 2**loss),
        ("base-two", 10**loss),
        *[("rounded-e", e**loss) for e in (3, 2.7, 2.71, 2.72, 2.718, 2.7182, 2.7183)],
        ("mixed-bases", math.exp(loss / math.log(2))),
        ("mixed-bases", 2 ** (loss * math.log(2))),
        ("exp-of-negative", math.exp(-loss)),
        ("exp-of-negative", -math.exp(loss)),
        ("log", math.log(loss)),
        ("log", math.log2(loss)),
        ("log", -math.log(loss)),
        ("per-byte", math.exp(loss) / 2.5),
        ("per-byte", math.exp(loss) * 2.5),
        ("per-byte", math.exp(loss / 2.5)),
        ("per-byte", math.exp(loss * 2.5)),
        ("per-byte", math.exp(loss / 2.5 / math.log(2))),
        ("square", loss**2),
        ("square", loss**math.e),
        ("square", loss * math.e),
        ("minus-one", math.expm1(loss)),
        ("inverse-accuracy", 1 / 0.25),
        ("of-accuracy", math.exp(0.25)),
        ("of-accuracy", math.exp(2.5)),
        *roundings(math.exp(loss)),
    ]


@todo("3-4")
@pytest.mark.parametrize("choices", [7.83145, 100.0, 1.0])
def test_perplexity_is_the_number_of_choices(step3, monkeypatch, choices):
    """손실이 ln(n)이면 혼란도는 n입니다. 자르지도 반올림하지도 않습니다."""
    monkeypatch.setattr(step3.Metrics, "bits_per_byte", BITS_PER_BYTE)
    loss, idea = math.log(choices), "혼란도"
    got = perplexity_of(step3, loss)
    if close(got / choices, 1.0, SHARE):
        return
    if loss > 0:  # 손실이 0이면 여러 실수의 값이 같습니다.
        recognise(got, wrong_perplexities(loss), atol=SHARE, idea=idea, expected=choices)
        if matches(got, perplexity_of(step3, loss / 2), FINE):
            fail(idea=idea, expected=show(choices), got=show(got), symptom="of-accuracy")
    fail("손실에서 구한 혼란도가 다릅니다.", idea=idea, expected=show(choices), got=show(got))


@todo("3-4")
def test_perplexity_of_a_large_loss_is_large(step3, monkeypatch):
    """손실이 700 이하이면 혼란도는 아무리 커도 float에 담깁니다."""
    monkeypatch.setattr(step3.Metrics, "bits_per_byte", BITS_PER_BYTE)
    if not close(perplexity_of(step3, 2.0) / math.exp(2.0), 1.0, SHARE):
        return  # 흔한 손실에서도 틀린 답은 앞의 검사가 말합니다.
    idea = "float의 범위"
    for loss in LARGE:
        got, want = perplexity_of(step3, loss), math.exp(loss)
        if close(got / want, 1.0, ATOL):
            continue
        more = {"idea": idea, "expected": f"{want:.4g}", "got": f"{got:.4g}", "loss": f"{loss:.0f}"}
        if math.isinf(got):
            # 32비트 실수는 e의 88제곱까지, 16비트 실수는 11제곱까지 담습니다.
            edges = [perplexity_of(step3, one) for one in (11.0, 11.2, 88.0, 89.0)]
            narrow = [math.isinf(one) for one in edges] in ([False, True, True, True], [False, False, False, True])
            symptom = "float32-overflow" if narrow else "infinite-too-early"
            fail(f"손실이 {loss:.0f}일 때 혼란도가 무한대입니다.", symptom=symptom, **more)
        symptom = "clamped" if got < want and matches(got / perplexity_of(step3, 690.0), 1.0, ATOL) else None
        fail(f"손실이 {loss:.0f}일 때의 혼란도가 다릅니다.", symptom=symptom, **more)


@todo("3-4")
def test_diverged_losses_are_reported_too(step3, monkeypatch):
    """손실이 아주 커도 멈추지 않고, 혼란도는 무한대입니다."""
    monkeypatch.setattr(step3.Metrics, "bits_per_byte", BITS_PER_BYTE)
    got = perplexity_of(step3, 5e3)
    if not got > 1e300:
        fail("아주 큰 손실의 혼란도가 작습니다.", idea="혼란도", expected="inf", got=show(got))
