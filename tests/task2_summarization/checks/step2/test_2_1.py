"""2-1의 검사: 대화를 토큰 번호로."""

from __future__ import annotations

import pytest

from course.checks.words import todo
from tests.task2_summarization.checks import support
from tests.task2_summarization.checks.step2.common import CAPS, check_encoding

LONG = support.DIALOGUES[-1]


@pytest.fixture
def encode(load):
    return load(2).encode_dialogue


@todo("2-1")
def test_a_long_dialogue_is_cut_and_still_ends(encode):
    """상한보다 긴 대화는 뒤를 자르되, 끝 토큰은 남습니다."""
    for cap in CAPS:
        check_encoding(encode, LONG, cap, "ids")


@todo("2-1")
def test_a_dialogue_that_fits_is_whole(encode):
    """상한에 들어오는 대화는 그대로이고, 채우지 않습니다. 빈 대화도 시작과 끝이 있습니다."""
    for text in support.DIALOGUES[:-1]:
        check_encoding(encode, text, 3 * len(text) + 5, "ids")


@todo("2-1")
def test_the_cap_counts_the_first_and_last_token(encode):
    """상한은 시작과 끝까지 더한 길이입니다. 꼭 맞는 대화는 잘리지 않습니다."""
    text = support.DIALOGUES[0]
    fits = len(support.encoded(text))
    for cap in (fits, fits + 1, fits - 1):
        check_encoding(encode, text, cap, "ids")


@todo("2-1")
def test_a_tokenizer_without_a_start_token_works_too(encode):
    """T5처럼 끝만 붙이는 토크나이저도 있습니다."""
    for cap in CAPS:
        check_encoding(encode, LONG, cap, "ids", adds_start=False)
    check_encoding(encode, support.DIALOGUES[0], 83, "ids", adds_start=False)
