"""2-1의 검사: 대화를 토큰 번호로."""

from __future__ import annotations

import pytest

from course.checks.recognising import Wrong
from course.checks.words import todo
from tests.task2_summarization.checks import support
from tests.task2_summarization.checks.step2.common import CAPS, check_encoding

LONG = support.DIALOGUES[-1]


@pytest.fixture
def check(load):
    """학생의 함수가 대화를 `cap`개까지 옳게 바꾸는지 봅니다."""
    encode = load(2).encode_dialogue

    def checked(text: str, cap: int, adds_start: bool = True) -> None:
        lines: Wrong = [("first-line", support.encoded(one, cap, adds_start)) for one in text.splitlines()[:1]]
        words = support.tokenizer().convert_tokens_to_ids(text.split())
        whole: Wrong = [("whole-words", words[:cap])] if words else []
        check_encoding(encode, text, cap, "ids", adds_start, [*lines, *whole])

    return checked


@todo("2-1")
def test_a_long_dialogue_is_cut_and_still_ends(check):
    """상한보다 긴 대화는 뒤를 자르되, 끝 토큰은 남습니다."""
    for cap in CAPS:
        check(LONG, cap)


@todo("2-1")
def test_a_dialogue_that_fits_is_whole(check):
    """상한에 들어오는 대화는 그대로이고, 채우지 않습니다. 빈 대화도 시작과 끝이 있습니다."""
    for text in support.DIALOGUES[:-1]:
        check(text, 3 * len(text) + 5)


@todo("2-1")
def test_the_cap_counts_the_first_and_last_token(check):
    """상한은 시작과 끝까지 더한 길이입니다. 꼭 맞는 대화는 잘리지 않습니다."""
    text = support.DIALOGUES[0]
    fits = len(support.encoded(text))
    for cap in (fits, fits + 1, fits - 1):
        check(text, cap)


@todo("2-1")
def test_a_tokenizer_without_a_start_token_works_too(check):
    """T5처럼 끝만 붙이는 토크나이저도 있습니다."""
    for cap in CAPS:
        check(LONG, cap, adds_start=False)
    check(support.DIALOGUES[0], 83, adds_start=False)
