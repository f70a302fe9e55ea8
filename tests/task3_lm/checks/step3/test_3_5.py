"""3-5의 검사: 바이트당 비트."""

from __future__ import annotations

import math
from typing import Any

import pytest

from course.checks.words import close, fail, matches, show, todo
from tests.task3_lm.checks.step3.common import EXACT, FINE, LARGE, METRIC_ERRORS, SHARE, metric, recognise, roundings

# 한 지표를 다른 지표에서 구한 답도 그 TODO와 상관없이 검사하도록, 검사하는 동안 다른 지표를 이것으로 바꿉니다.
PERPLEXITY = property(lambda self: math.exp(self.loss) if self.loss <= 700 else math.inf)
BITS_ERRORS = METRIC_ERRORS | {
    "has no attribute 'ln'": ("no-ln", "math에 없는 이름을 불렀습니다.", "자연로그의 이름"),
}
THROUGH_EXP = ("through-exp", "손실을 지수로 되돌렸다가 넘쳤습니다.", "보통의 수")
OVERFLOWS = {"OverflowError": THROUGH_EXP, "ValueError": THROUGH_EXP}


def bits_of(step3: Any, loss: float, size: float = 2.5, known: dict | None = None) -> float:
    return metric(step3, "bits_per_byte", loss, size, known or BITS_ERRORS)


def wrong_bits(loss: float, size: float) -> list[tuple[str, str, Any]]:
    """바이트당 비트와 헷갈리는 값들."""
    ln2, want = math.log(2), loss / math.log(2) / size
    times, eighth = "토큰의 크기로 나누지 않고 곱했습니다.", "바이트를 비트 여덟 개로 다시 나누었습니다."
    log, base = "손실의 로그를 구했습니다.", "밑이 2가 아닌 로그로 바꾸었습니다."
    choices, flipped = "손실이 아니라 혼란도를 나누었습니다.", "위와 아래가 뒤바뀌었습니다."
    inside = "토큰의 크기를 로그의 괄호 안에 넣었습니다."
    short, whole = "ln 2를 줄여 적었습니다.", "나눗셈에서 소수를 버렸습니다."
    return [
        ("still-nats", "nat을 비트로 바꾸지 않았습니다.", loss / size),
        ("still-tokens", "토큰을 바이트로 바꾸지 않았습니다.", loss / ln2),
        ("times-ln2", "ln 2로 나누지 않고 곱했습니다.", loss * ln2 / size),
        ("times-bytes", times, loss / ln2 * size),
        ("times-bytes", times, loss * size),
        ("times-both", "둘 다 나누지 않고 곱했습니다.", loss * ln2 * size),
        ("log-of-loss", log, math.log2(loss) / size),
        ("log-of-loss", log, math.log2(loss / size)),
        ("log-of-loss", log, math.log(loss) / size),
        ("log-of-loss", log, math.log2(loss)),
        *[("per-bit", eighth, one / 8) for one in (want, want * 64, loss / size, loss / ln2, loss / ln2 / size**2)],
        *[("base-ten", base, loss / math.log(one) / size) for one in (8, 10)],
        ("base-ten", base, loss / math.log10(2) / size),
        *[("size-in-the-log", inside, loss / log(2 * size)) for log in (math.log, math.log2)],
        ("halved", "ln 2가 아니라 2로 나누었습니다.", loss / 2 / size),
        ("loss-itself", "손실을 그대로 담았습니다.", loss),
        *[("of-perplexity", choices, math.exp(loss) / one) for one in (1, size, ln2, ln2 * size)],
        ("of-perplexity", choices, math.log2(math.exp(loss) / size)),
        ("upside-down", flipped, 1 / want),
        ("upside-down", flipped, size / loss / ln2),
        ("of-accuracy", "손실이 아니라 정확도에서 구했습니다.", 0.25 / ln2 / size),
        ("sign", "부호가 반대입니다.", -want),
        *[("rounded-ln2", short, loss / one / size) for one in (0.7, 0.69, 0.693, 0.694, 0.6931, 0.6932)],
        *[("rounded-ln2", short, loss * one / size) for one in (1.4, 1.44, 1.443, 1.45)],
        ("integer", whole, loss / ln2 // size),
        ("integer", whole, loss // ln2 / size),
        ("integer", whole, loss // size / ln2),
        ("integer", whole, loss / ln2 / int(size)),
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
        message = "토큰의 크기를 재지 않고 정해 두었습니다."
        fail(message, idea="바이트당 비트", expected=show(want), got=show(got), symptom="fixed-bytes")
    fail("바이트당 비트가 다릅니다.", idea="바이트당 비트", expected=show(want), got=show(got))


@todo("3-5")
def test_bits_per_byte_of_a_large_loss_is_an_ordinary_number(step3, monkeypatch):
    """나누기만 하므로, 혼란도가 float에 담기지 않는 손실에서도 값은 보통의 수입니다."""
    monkeypatch.setattr(step3.Metrics, "perplexity", PERPLEXITY)
    if not close(bits_of(step3, 3.0), 3.0 / (2.5 * 0.6931471805599453), FINE):
        return  # 흔한 손실에서도 틀린 답은 앞의 검사가 말합니다.
    for loss in (*LARGE, 800.0):
        got, want = bits_of(step3, loss, known=OVERFLOWS | BITS_ERRORS), loss / (2.5 * 0.6931471805599453)
        if close(got / want, 1.0, EXACT):
            continue
        more = {"idea": "float의 범위", "expected": show(want), "got": show(got), "loss": f"{loss:.0f}"}
        if not math.isfinite(got):
            fail(f"손실이 {loss:.0f}일 때 값이 유한하지 않습니다.", symptom="through-exp", **more)
        symptom = "clamped" if got < want and matches(got, bits_of(step3, 900.0, known=OVERFLOWS), EXACT) else None
        fail(f"손실이 {loss:.0f}일 때의 값이 다릅니다.", symptom=symptom, **more)
