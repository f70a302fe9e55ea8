"""3-5의 검사: 바이트당 비트."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from course.checks.recognising import Explanation, Wrong, recognise
from course.checks.words import close, fail, matches, show, todo
from tests.task3_lm.checks.step3.common import EXACT, FINE, LARGE, METRIC_ERRORS, SHARE, metric, roundings, stopped

# 한 지표를 다른 지표에서 구한 답도 그 TODO와 상관없이 검사하도록, 검사하는 동안 다른 지표를 이것으로 바꿉니다.
PERPLEXITY = property(lambda self: math.exp(self.loss) if self.loss <= 700 else math.inf)
BITS_ERRORS = [*METRIC_ERRORS, stopped("has no attribute 'ln'", "no-ln", expected="자연로그의 이름")]
OVERFLOW = stopped("OverflowError|ValueError", "through-exp", expected="보통의 수")


def bits_of(step3: Any, loss: float, size: float = 2.5, known: Sequence[Explanation] = BITS_ERRORS) -> float:
    return metric(step3, "bits_per_byte", loss, size, known)


def wrong_bits(loss: float, size: float) -> Wrong:
    """바이트당 비트와 헷갈리는 값들."""
    ln2, want = math.log(2), loss / math.log(2) / size
    return [
        ("still-nats", loss / size),
        ("still-tokens", loss / ln2),
        ("times-ln2", loss * ln2 / size),
        ("times-bytes", loss / ln2 * size),
        ("times-bytes", loss * size),
        ("times-both", loss * ln2 * size),
        ("log-of-loss", math.log2(loss) / size),
        ("log-of-loss", math.log2(loss / size)),
        ("log-of-loss", math.log(loss) / size),
        ("log-of-loss", math.log2(loss)),
        *[("per-bit", one / 8) for one in (want, want * 64, loss / size, loss / ln2, loss / ln2 / size**2)],
        *[("base-ten", loss / math.log(one) / size) for one in (8, 10)],
        ("base-ten", loss / math.log10(2) / size),
        *[("size-in-the-log", loss / log(2 * size)) for log in (math.log, math.log2)],
        *[("size-in-the-log", loss / one) for one in (math.log(2 / size), math.log(2, size)) if abs(one - ln2) > 0.01],
        ("halved", loss / 2 / size),
        ("loss-itself", loss),
        *[("of-perplexity", math.exp(loss) / one) for one in (1, size, ln2, ln2 * size)],
        ("of-perplexity", math.log2(math.exp(loss) / size)),
        *[("of-perplexity", one) for one in (2**want, math.exp(want), math.exp(loss / size))],
        ("upside-down", 1 / want),
        ("upside-down", size / loss / ln2),
        ("of-accuracy", 0.25 / ln2 / size),
        ("sign", -want),
        *[("rounded-ln2", loss / one / size) for one in (0.7, 0.69, 0.693, 0.694, 0.6931, 0.6932)],
        *[("rounded-ln2", loss * one / size) for one in (1.4, 1.44, 1.443, 1.45)],
        ("integer", loss / ln2 // size),
        ("integer", loss // ln2 / size),
        ("integer", loss // size / ln2),
        ("integer", loss / ln2 / int(size)),
        *roundings(want),
    ]


@todo("3-5")
@pytest.mark.parametrize(("loss", "size"), [(3.7, 2.3), (1.2, 4.0)])
def test_bits_per_byte_changes_both_units(step3, monkeypatch, loss, size):
    """nat은 비트로, 토큰은 바이트로 바꿉니다. 반올림하지 않습니다."""
    monkeypatch.setattr(step3.Metrics, "perplexity", PERPLEXITY)
    got, want = bits_of(step3, loss, size), loss / (size * 0.6931471805599453)
    if close(got, want, FINE):
        return
    recognise(got, wrong_bits(loss, size), atol=SHARE, idea="바이트당 비트", expected=want)
    if matches(got, bits_of(step3, loss, 2 * size), FINE):
        fail(idea="바이트당 비트", expected=show(want), got=show(got), symptom="fixed-bytes")
    fail("바이트당 비트가 다릅니다.", idea="바이트당 비트", expected=show(want), got=show(got))


@todo("3-5")
def test_bits_per_byte_of_a_large_loss_is_an_ordinary_number(step3, monkeypatch):
    """나누기만 하므로, 혼란도가 float에 담기지 않는 손실에서도 값은 보통의 수입니다."""
    monkeypatch.setattr(step3.Metrics, "perplexity", PERPLEXITY)
    if not close(bits_of(step3, 3.0), 3.0 / (2.5 * 0.6931471805599453), FINE):
        return  # 흔한 손실에서도 틀린 답은 앞의 검사가 말합니다.
    for loss in (*LARGE, 800.0):
        got, want = bits_of(step3, loss, known=[OVERFLOW, *BITS_ERRORS]), loss / (2.5 * 0.6931471805599453)
        if close(got / want, 1.0, EXACT):
            continue
        more = {"idea": "float의 범위", "expected": show(want), "got": show(got), "loss": f"{loss:.0f}"}
        if not math.isfinite(got):
            fail(symptom="infinite", **more)
        symptom = "clamped" if got < want and matches(got, bits_of(step3, 900.0, known=[OVERFLOW]), EXACT) else None
        fail(f"손실이 {loss:.0f}일 때의 값이 다릅니다.", symptom=symptom, **more)
