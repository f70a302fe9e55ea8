"""웹 요청에서 앞글과 고르는 법을 읽습니다."""

from __future__ import annotations

from dataclasses import fields

from flask import Request
from werkzeug.exceptions import UnprocessableEntity

from nlpbook.errors import UserError
from nlpbook.language.sampling import Sampling
from nlpbook.serving import MAX_CHARACTERS, read_json, whole_characters


def read_generation(request: Request, max_tokens: int) -> tuple[str, Sampling, bool]:
    """웹 요청의 JSON 본문을 읽습니다. 예: `{"prompt": "옛날 옛적에", "max_tokens": 50, "stream": true}`.

    Args:
        max_tokens: 한 요청이 이어 쓸 수 있는 토큰 수의 상한.

    Returns:
        (앞글, 고르는 법, 조금씩 보낼지). 앞글은 NFC로 모아 쓴 것이고, 보이는 글자가 없으면 빈 글입니다. 대답의 prompt와
        그 안의 자리는 이 앞글의 것입니다.

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
