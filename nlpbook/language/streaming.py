"""토큰이 나오는 대로 글자로 바꾸고, 그것을 사건(event)으로 냅니다."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor

from nlpbook.language.tokens import TextTokenizer

UNSURE = 3  # UTF-8 한 글자는 많아야 네 바이트라, 다 오지 않은 글자는 세 바이트(� 셋)를 넘지 않습니다.


class StreamDecoder:
    """토큰을 하나씩 받아, 새로 읽을 수 있게 된 글을 돌려줍니다. 모두 이으면 한꺼번에 바꾼 글과 같습니다.

    한 글자(한글 3바이트, 😀 4바이트)가 여러 토큰에 걸치기도 하고, 토큰 하나가 앞 글자의 끝과 다음 글자의 처음을
    담기도 합니다. 아직 다 오지 않은 글자는 글 끝의 �로 보이므로, 끝의 �만 미루어 둡니다. 정말로 잘못된 바이트라면
    다음 글자가 올 때(늦어도 `finish`에서) 그대로 나옵니다.
    """

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self.tokenizer = tokenizer
        self.ids: list[int] = []
        self.shown = 0  # decode(self.ids) 가운데 이미 내놓은 글자 수

    def push(self, token: int) -> str:
        """토큰 하나. 아직 글자가 되지 않았으면 빈 글입니다."""
        self.ids.append(token)
        text = self.tokenizer.decode(self.ids)
        unsure = len(text) - len(text.rstrip("\N{REPLACEMENT CHARACTER}"))
        ready = len(text) - min(unsure, UNSURE)
        new, self.shown = text[self.shown : ready], max(self.shown, ready)
        if self.shown == len(text):  # 길어져도 느려지지 않도록, 다 내놓았으면 마지막 토큰만 남깁니다.
            self.ids = self.ids[-1:]
            self.shown = len(self.tokenizer.decode(self.ids))
        return new

    def finish(self) -> str:
        """남은 것을 모두 내놓습니다."""
        rest = self.tokenizer.decode(self.ids)[self.shown :]
        self.ids, self.shown = [], 0
        return rest


def token_events(
    tokenizer: TextTokenizer, steps: Iterable[tuple[Tensor, Tensor]], alternatives: int = 5
) -> Iterator[dict[str, Any]]:
    """글 하나를 이어 쓰는 일을 사건으로 냅니다: 토큰마다 하나, 마지막에 `{"done": True, "reason": …, "text": …}`.

    Args:
        steps: 한 스텝마다 (고른 토큰 (1,), 확률 (1, 어휘)).
        alternatives: 토큰마다 함께 보일 후보의 수.

    Yields:
        `{"text": 새로 읽을 수 있게 된 글, "probability": 그 토큰의 확률, "alternatives": [{"text", "probability"},
        …]}`.
    """
    decoder, text, reason = StreamDecoder(tokenizer), "", "length"
    for tokens, probabilities in steps:
        token = int(tokens.item())
        best = probabilities[0].topk(min(alternatives, probabilities.size(1)))
        if token == tokenizer.end_id:
            reason = "end_of_text"
            break
        piece = decoder.push(token)
        text += piece
        yield {
            "text": piece,
            "probability": round(probabilities[0, token].item(), 4),
            "alternatives": [
                {"text": tokenizer.decode([one]) or tokenizer.end_of_text, "probability": round(share, 4)}
                for one, share in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            ],
        }
    rest = decoder.finish()
    if rest:
        yield {"text": rest, "probability": None, "alternatives": []}
    yield {"done": True, "reason": reason, "text": text + rest}


def collected(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """`token_events`를 끝까지 받아 한꺼번에 답할 것: `{"text", "tokens"(쓴 토큰의 수), "reason"}`."""
    *pieces, end = events
    count = sum(one["probability"] is not None for one in pieces)
    return {"text": end["text"], "tokens": count, "reason": end["reason"]}
