"""글을 이어 쓰는 설정과, 웹 요청에서 그것을 읽는 법."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from flask import Request
from torch import Tensor
from werkzeug.exceptions import ServiceUnavailable, UnprocessableEntity

from nlpbook.errors import UserError
from nlpbook.serving import MAX_CHARACTERS, read_json, whole_characters
from nlpbook.tokens import TextTokenizer


@dataclass(frozen=True)
class Sampling:
    """다음 토큰을 고르는 법.

    Attributes:
        max_tokens: 이어 쓸 토큰 수의 상한.
        temperature: 높을수록 다양하게. 0이면 언제나 가장 그럴듯한 것. 0에 너무 가까우면 나눌 수 없어 받지 않습니다.
        top_k: 확률이 높은 이만큼의 토큰 가운데서만. 0이면 모두.
        top_p: 확률의 합이 이만큼이 될 때까지의 토큰 가운데서만. 1이면 모두.
        repetition_penalty: 이미 나온 토큰의 점수를 깎는 정도. 1이면 깎지 않습니다.
        seed: 난수 시드. None이면 그때그때 다릅니다.

    Raises:
        UserError: 범위를 벗어난 값이 있을 때.
    """

    max_tokens: int = 100
    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 0.95
    repetition_penalty: float = 1.1
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, (kind, low, high) in RANGES.items():
            value = getattr(self, name)
            if name == "seed" and value is None:
                continue
            is_number = isinstance(value, kind) and not isinstance(value, bool)
            if not (is_number and low <= value <= high):
                what = "정수" if kind is int else "수"
                raise UserError(f"{name}은(는) {low:,} 이상 {high:,} 이하의 {what}여야 합니다: {value!r}")
        if 0 < self.temperature < COLDEST:
            raise UserError(f"temperature는 0이거나 {COLDEST} 이상이어야 합니다: {self.temperature!r}")

    @classmethod
    def of(cls, config: Any) -> Sampling:
        """같은 이름의 값들이 있는 설정에서 만듭니다."""
        return cls(**{one.name: getattr(config, one.name) for one in fields(cls)})


COLDEST = 0.001
RANGES: dict[str, tuple[Any, float, float]] = {
    "max_tokens": (int, 1, 100_000),
    "temperature": ((int, float), 0, 10),
    "top_k": (int, 0, 1_000_000),
    "top_p": ((int, float), 0, 1),
    "repetition_penalty": ((int, float), 0.01, 100),
    "seed": (int, 0, 2**63 - 1),
}


def read_generation(request: Request, max_tokens: int) -> tuple[str, Sampling, bool]:
    """웹 요청의 JSON 본문을 읽습니다. 예: `{"prompt": "옛날 옛적에", "max_tokens": 50, "stream": true}`.

    Args:
        max_tokens: 한 요청이 이어 쓸 수 있는 토큰 수의 상한.

    Returns:
        (앞글, 고르는 법, 조금씩 보낼지).

    Raises:
        BadRequest: JSON이 아닐 때(400).
        RequestEntityTooLarge: 본문이 너무 클 때(413).
        UnprocessableEntity: 값이 맞지 않거나 모르는 항목이 있을 때(422).
    """
    body = read_json(request, '{"prompt": "옛날 옛적에", "max_tokens": 50}')
    if not isinstance(body, dict) or not isinstance(body.get("prompt"), str):
        raise UnprocessableEntity('앞글을 문자열로 주세요. 예: {"prompt": "옛날 옛적에"}')
    prompt = whole_characters(body.pop("prompt"))
    stream = body.pop("stream", False)
    if not isinstance(stream, bool):
        raise UnprocessableEntity("stream은 true나 false여야 합니다.")
    if len(prompt) > MAX_CHARACTERS:
        raise UnprocessableEntity(f"앞글이 너무 깁니다. {MAX_CHARACTERS:,}자까지 받습니다.")
    known = {one.name for one in fields(Sampling)}
    if unknown := sorted(body.keys() - known):
        names = ", ".join(sorted(known))
        raise UnprocessableEntity(f"모르는 항목이 있습니다: {', '.join(unknown)}. 쓸 수 있는 것: {names}")
    if isinstance(body.get("max_tokens"), int) and body["max_tokens"] > max_tokens:
        raise UnprocessableEntity(f"max_tokens는 {max_tokens}까지 받습니다.")
    body.setdefault("max_tokens", min(Sampling.max_tokens, max_tokens))
    try:
        return prompt, Sampling(**body), stream
    except UserError as error:
        raise UnprocessableEntity(str(error)) from None


def encode_prompt(model: Any, prompt: str) -> list[int]:
    """앞글의 토큰 번호. 빈 앞글은 새 문서의 처음(글의 끝 토큰 다음)입니다.

    Args:
        model: `tokenizer`와 `config.max_seq_len`이 있는 언어 모델.

    Raises:
        UserError: 앞글이 모델의 문맥보다 길 때.
    """
    ids, limit = model.tokenizer.encode(prompt) or [model.tokenizer.end_id], model.config.max_seq_len
    if len(ids) >= limit:
        raise UserError(f"앞글이 {len(ids)}토큰인데, 이 모델은 {limit - 1}토큰까지 읽습니다. 앞글을 줄여 주세요.")
    return ids


class Turnstile:
    """동시에 이어 쓰는 글의 수를 `limit`까지로 막습니다."""

    def __init__(self, limit: int) -> None:
        self.slots = threading.BoundedSemaphore(limit)

    def enter(self) -> None:
        """자리를 하나 차지합니다. 없으면 503으로 답합니다."""
        if not self.slots.acquire(blocking=False):
            raise ServiceUnavailable("지금은 다른 글을 쓰고 있습니다. 잠시 뒤에 다시 보내 주세요.")

    def leave(self) -> None:
        self.slots.release()


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
        steps: 한 걸음마다 (고른 토큰 (1,), 확률 (1, 어휘)).
        alternatives: 토큰마다 함께 보일 후보의 수.

    Yields:
        `{"text": 새로 읽을 수 있게 된 글, "probability": 그 토큰의 확률, "alternatives": [{"text", "probability"},
        …]}`.
    """
    decoder, text, reason = StreamDecoder(tokenizer), "", "length"
    for tokens, probabilities in steps:
        token, best = tokens.item(), probabilities[0].topk(min(alternatives, probabilities.size(1)))
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
