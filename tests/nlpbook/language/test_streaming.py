"""토큰이 나오는 대로 글자로 바꾸고 사건으로 내기."""

from __future__ import annotations

import json
import random

import pytest
import torch

from nlpbook.language.streaming import StreamDecoder, token_events
from nlpbook.language.tokens import TextTokenizer
from tests.task3_lm.checks import support


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    """바이트 단위의 작은 토크나이저. 드문 글자는 바이트마다 토큰 하나가 됩니다."""
    return support.tokenizer()


def byte_ids(tokenizer: TextTokenizer, data: bytes) -> list[int]:
    """바이트마다 토큰 하나."""
    from tokenizers.pre_tokenizers import ByteLevel

    table = {byte_of(letter): tokenizer.tokenizer.token_to_id(letter) for letter in ByteLevel.alphabet()}
    return [table[one] for one in data]


def byte_of(letter: str) -> int:
    """GPT-2의 바이트 → 글자 표를 거꾸로: 눈에 보이는 바이트는 제 글자, 나머지는 U+0100부터 차례로."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [one for one in range(256) if one not in visible]
    return ord(letter) if ord(letter) < 256 else hidden[ord(letter) - 256]


def streamed(tokenizer: TextTokenizer, ids: list[int]) -> list[str]:
    decoder = StreamDecoder(tokenizer)
    return [*(decoder.push(one) for one in ids), decoder.finish()]


@pytest.mark.parametrize("text", ["한글", "😀", "가😀나", "👨‍👩‍👧", "a", "café ﷽", "줄\n바꿈", " 빈칸 "], ids=ascii)
def test_a_character_split_over_tokens_appears_when_its_last_byte_comes(tokenizer, text):
    data = text.encode()
    pieces = streamed(tokenizer, byte_ids(tokenizer, data))
    shown = 0
    for count, piece in enumerate(pieces[:-1], start=1):
        shown += len(piece)
        assert text[:shown] == data[:count].decode(errors="ignore")
    assert "".join(pieces) == text
    assert pieces[-1] == ""


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x80", id="lone continuation"),
        pytest.param(b"a\x80\x80\x80\x80\x80b", id="many continuations"),
        pytest.param(b"\xea\xb0", id="cut at the end"),
        pytest.param(b"\xea\xb0a", id="cut in the middle"),
        pytest.param(b"\xf0\x9f\x98a\xf0\x9f\x98\x80", id="half an emoji, then a whole one"),
        pytest.param(b"\xff\xfe\xfd\xfc\xfb", id="never valid"),
        pytest.param(b"\xc0\xaf\xed\xa0\x80", id="overlong and surrogate"),
        pytest.param("정말 \ufffd 글자".encode(), id="a real replacement character"),
        pytest.param("\ufffd\ufffd\ufffd\ufffd\ufffd".encode(), id="nothing but replacement characters"),
    ],
)
def test_invalid_bytes_come_out_as_they_would_all_at_once(tokenizer, data):
    ids = byte_ids(tokenizer, data)
    assert "".join(streamed(tokenizer, ids)) == tokenizer.decode(ids)


def test_any_tokens_in_any_order_come_out_as_they_would_all_at_once(tokenizer):
    """토큰 하나가 앞 글자의 끝과 다음 글자의 처음을 함께 담기도 합니다. 특수 토큰이 섞여도 같습니다."""
    dice = random.Random(7)
    for _ in range(400):
        ids = [dice.randrange(len(tokenizer)) for _ in range(dice.randrange(1, 25))]
        assert "".join(streamed(tokenizer, ids)) == tokenizer.decode(ids)


def test_a_tokenizer_that_joins_words_with_spaces_streams_the_same():
    wordpiece = TextTokenizer.load("ko-bert-tiny")
    ids = wordpiece.encode("배우들 연기가 정말 좋아서 두 번 봤어요. 최고!")
    assert "".join(streamed(wordpiece, ids)) == wordpiece.decode(ids)


def test_streaming_a_long_text_does_not_slow_down(tokenizer):
    """글자가 될 때마다 앞의 것을 잊습니다."""
    decoder = StreamDecoder(tokenizer)
    longest = 0
    for token in tokenizer.encode("옛날 옛적에 여우가 살았습니다. 😀 " * 50):
        decoder.push(token)
        longest = max(longest, len(decoder.ids))
    assert longest < 16


def steps_of(tokenizer: TextTokenizer, ids: list[int], asked: list[int] | None = None):
    """정해진 토큰을 내는 스텝들. 확률은 고른 토큰이 0.5, 나머지가 고르게 나눕니다."""
    for token in ids:
        if asked is not None:
            asked.append(token)
        probabilities = torch.full((1, len(tokenizer)), 0.5 / (len(tokenizer) - 1))
        probabilities[0, token] = 0.5
        yield torch.tensor([token]), probabilities


def test_each_token_is_an_event_and_the_last_says_why_it_ended(tokenizer):
    ids = tokenizer.encode("작은 여우")
    *events, end = token_events(tokenizer, steps_of(tokenizer, ids))
    assert len(events) == len(ids)
    assert end == {"done": True, "reason": "length", "text": "작은 여우"}
    assert "".join(one["text"] for one in events) == "작은 여우"
    for token, event in zip(ids, events, strict=True):
        assert event["probability"] == 0.5
        assert len(event["alternatives"]) == 5
        assert event["alternatives"][0] == {"text": tokenizer.decode([token]), "probability": 0.5}


def test_the_end_of_text_ends_the_events_and_is_not_shown(tokenizer):
    ids = [*tokenizer.encode("여우"), tokenizer.end_id, *tokenizer.encode("뒤")]
    *events, end = token_events(tokenizer, steps_of(tokenizer, ids))
    assert end == {"done": True, "reason": "end_of_text", "text": "여우"}
    assert "".join(one["text"] for one in events) == "여우"


def test_a_character_that_never_finished_is_shown_before_the_end(tokenizer):
    ids = byte_ids(tokenizer, "가".encode()[:2])
    events = list(token_events(tokenizer, steps_of(tokenizer, ids)))
    assert events[-2] == {"text": "\ufffd", "probability": None, "alternatives": []}
    assert events[-1]["text"] == "\ufffd"


def test_events_come_as_soon_as_their_token_does(tokenizer):
    """첫 사건을 꺼낼 때 모델은 첫 토큰까지만 썼습니다."""
    asked: list[int] = []
    events = token_events(tokenizer, steps_of(tokenizer, tokenizer.encode("작은 여우가 등불을"), asked))
    assert asked == []
    next(events)
    assert len(asked) == 1
    next(events)
    assert len(asked) == 2


def test_events_are_json(tokenizer):
    events = list(token_events(tokenizer, steps_of(tokenizer, tokenizer.encode("여우\n"))))
    assert json.loads(json.dumps(events)) == events
