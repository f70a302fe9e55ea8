"""글쓰기의 설정: 고르는 법의 범위와, 앞글을 토큰으로 바꾸기."""

from __future__ import annotations

import pytest

from nlpbook.errors import UserError
from nlpbook.language.config import GenerateConfig
from nlpbook.language.sampling import Sampling, encode_prompt
from nlpbook.language.tokens import TextTokenizer
from tests.task3_lm.checks import support


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    """바이트 단위의 작은 토크나이저. 드문 글자는 바이트마다 토큰 하나가 됩니다."""
    return support.tokenizer()


LIMITS = {
    "max_tokens": (1, 100_000),
    "temperature": (0, 10),
    "top_k": (0, 1_000_000),
    "top_p": (0, 1),
    "repetition_penalty": (0.01, 100),
    "seed": (0, 2**63 - 1),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, limits in LIMITS.items() for value in limits])
def test_the_ends_of_every_range_are_inside(name, value):
    assert getattr(Sampling(**{name: value}), name) == value


OUTSIDE = [(name, value) for name, (low, high) in LIMITS.items() for value in (low - 1, high + 1)]


NOT_NUMBERS = [(name, value) for name in LIMITS for value in ("3", True, [1], float("nan"), float("inf"))]


NOT_WHOLE = [(name, 1.5) for name in ("max_tokens", "top_k", "seed")]


MISSING = [(name, None) for name in LIMITS if name != "seed"]


@pytest.mark.parametrize(("name", "value"), OUTSIDE + NOT_NUMBERS + NOT_WHOLE + MISSING)
def test_anything_outside_is_refused_by_name(name, value):
    with pytest.raises(UserError, match=rf"^{name}(은|는) .*이상 .*이하의 (정수|수)여야 합니다"):
        Sampling(**{name: value})


@pytest.mark.parametrize("temperature", [1e-9, 0.0009])
def test_a_temperature_too_close_to_zero_is_refused(temperature):
    with pytest.raises(UserError, match="temperature"):
        Sampling(temperature=temperature)


def test_the_command_and_the_web_have_the_same_defaults():
    assert Sampling.of(GenerateConfig()) == Sampling()


def test_an_empty_prompt_is_the_start_of_a_new_document(tokenizer):
    for prompt in ("", " \n", "\u200b\ufeff", "\u3164"):
        assert encode_prompt(tokenizer, prompt, 8) == [tokenizer.end_id]


def test_a_prompt_must_leave_room_for_one_token(tokenizer):
    assert len(encode_prompt(tokenizer, "a" * 7, 8)) == 7
    with pytest.raises(UserError, match="앞글이 8토큰.*7토큰까지"):
        encode_prompt(tokenizer, "a" * 8, 8)
