"""글이 들어오는 문: NFC로 모아 쓰기, 보이지 않는 글, 자를 수 있는 자리."""

from __future__ import annotations

import unicodedata

import pytest

from nlpbook.text import composed, has_visible_character, normalized, starts_character

INVISIBLE = {
    "nothing": "",
    "spaces": " \t\n\u00a0\u2003\u3000",
    "line and paragraph separators": "\u2028\u2029",
    "zero width": "\u200b\u200c\u200d\u2060",
    "byte order mark": "\ufeff",
    "control characters": "".join(map(chr, [*range(32), 127, *range(128, 160)])),
    "direction marks": "\u200e\u200f\u202a\u2066",
    "soft hyphen": "\u00ad",
    "Hangul fillers": "\u115f\u1160\u3164\uffa0",
    "Braille blank": "\u2800",
    "variation selectors alone": "\ufe0e\ufe0f\U000e0100",
    "tags alone": "\U000e0020\U000e007f",
    "a little of each": " \u200b\u3164\ufe0f\x01",
}
VISIBLE = ["가", "ㅋ", "\u1112\u1161", ".", "🎬", "❤\ufe0f", "a\u200b", "\u0301", "\ufffd", "⠁", "0"]


@pytest.mark.parametrize("text", INVISIBLE.values(), ids=INVISIBLE)
def test_what_nobody_sees_is_empty(text):
    assert not has_visible_character(text)
    assert normalized(text) == ""


@pytest.mark.parametrize("text", VISIBLE, ids=ascii)
def test_what_somebody_sees_stays(text):
    assert normalized(text) == composed(text) == unicodedata.normalize("NFC", text)


def test_a_decomposed_text_becomes_the_composed_one():
    text = " 배우들 연기가 좋아서 café\u200b "
    assert normalized(unicodedata.normalize("NFD", text)) == text


def test_wherever_a_text_may_be_cut_the_halves_compose_like_the_whole():
    text = (
        unicodedata.normalize("NFD", "각난닭 값 e\u0323\u0301 ㄱㅏ 漢字 が 👨\u200d👩 क़ \u1112\u119e\u11ab")
        + "가\u11a8"
    )
    for cut in range(1, len(text)):
        if starts_character(text[cut]):
            assert composed(text[:cut]) + composed(text[cut:]) == composed(text)
    assert sum(map(starts_character, text)) > len(text) / 3
