"""웹 요청에서 대화를 읽습니다: 말마다 한 줄의 `이름: 말`을, 모델이 배운 `#Person1#: 말`로."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Request
from werkzeug.exceptions import UnprocessableEntity

from nlpbook.serving import read_json, whole_characters
from nlpbook.text import has_visible_character

EXAMPLE = '{"dialogue": "민수: 오늘 3시에 볼까?\\n지영: 좋아, 도서관에서 보자."}'
TURN = re.compile(r"\s*(?P<speaker>#Person\d+#|[^:：]{1,12}?)\s*[:：]\s*(?P<text>.*)")
TAG = re.compile(r"#Person\d+#")


@dataclass(frozen=True)
class Limits:
    """한 요청이 부탁할 수 있는 것의 상한.

    Attributes:
        turns, characters: 대화의 말의 수와 글자 수.
        speakers: 화자 태그들. 모델이 아는 것만큼만 받습니다.
        num_beams, max_length: 빔의 수와 요약의 토큰 수.
    """

    speakers: tuple[str, ...]
    turns: int = 100
    characters: int = 8_000
    num_beams: int = 8
    max_length: int = 128


@dataclass(frozen=True)
class Turn:
    """말 하나. `tag`는 모델이 읽는 화자이고, `speaker`는 사람이 적은 이름입니다."""

    speaker: str
    tag: str
    text: str

    def __str__(self) -> str:
        return f"{self.tag}: {self.text}"


@dataclass(frozen=True)
class Asked:
    """요청 하나."""

    turns: tuple[Turn, ...]
    num_beams: int
    max_length: int

    @property
    def dialogue(self) -> str:
        """모델이 읽을 모양의 대화. 말마다 한 줄입니다."""
        return "\n".join(map(str, self.turns))


def read_summarization(request: Request, limits: Limits, num_beams: int, max_length: int) -> Asked:
    """웹 요청의 JSON 본문을 읽습니다. 예: `{"dialogue": "민수: …\\n지영: …", "num_beams": 4, "max_length": 60}`.

    Args:
        num_beams, max_length: 요청에 없을 때의 값.

    Raises:
        BadRequest: JSON이 아닐 때(400).
        RequestEntityTooLarge: 본문이 너무 클 때(413).
        UnprocessableEntity: 값이 맞지 않거나 모르는 항목이 있을 때(422).
    """
    body = read_json(request, EXAMPLE)
    if not isinstance(body, dict) or not isinstance(body.get("dialogue"), str):
        raise UnprocessableEntity(f"대화를 문자열로 주세요. 예: {EXAMPLE}")
    if unknown := sorted(body.keys() - {"dialogue", "num_beams", "max_length"}):
        raise UnprocessableEntity(
            f"모르는 항목이 있습니다: {', '.join(unknown)}. 쓸 수 있는 것: dialogue, num_beams, max_length"
        )
    turns = read_turns(whole_characters(body["dialogue"]), limits)
    return Asked(
        turns,
        _whole_number(body, "num_beams", 1, limits.num_beams, num_beams),
        _whole_number(body, "max_length", 2, limits.max_length, max_length),
    )


def _whole_number(body: dict[str, object], name: str, low: int, high: int, default: int) -> int:
    value = body.get(name, min(default, high))
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UnprocessableEntity(f"{name}은(는) {low}에서 {high}까지의 정수여야 합니다.")
    return value


def read_turns(dialogue: str, limits: Limits) -> tuple[Turn, ...]:
    """글을 말들로. 이름이 없는 줄은 앞사람의 말에 이어집니다.

    이름은 나온 차례대로 `#Person1#`, `#Person2#`, …가 됩니다. 이미 태그로 적은 것은 그대로 둡니다.

    Raises:
        UnprocessableEntity: 비었거나, 이름이 없거나, 상한을 넘을 때(422).
    """
    if len(dialogue) > limits.characters:
        raise UnprocessableEntity(f"대화가 너무 깁니다. {limits.characters:,}자까지 받습니다.")
    said: list[tuple[str, str]] = []
    for line in filter(None, map(str.strip, dialogue.splitlines())):
        match = TURN.fullmatch(line)
        if match and has_visible_character(match["speaker"]):
            said.append((match["speaker"].strip(), match["text"].strip()))
        elif said:
            speaker, before = said[-1]
            said[-1] = (speaker, f"{before} {line}".strip())
        else:
            raise UnprocessableEntity("말마다 한 줄에 '이름: 말'의 모양으로 적어 주세요. 예: 민수: 오늘 3시에 볼까?")
    said = [(speaker, text) for speaker, text in said if has_visible_character(text)]
    if not said:
        raise UnprocessableEntity("대화가 비어 있습니다. '이름: 말'을 한 줄 이상 적어 주세요.")
    if len(said) > limits.turns:
        raise UnprocessableEntity(f"말이 {len(said)}마디입니다. {limits.turns}마디까지 받습니다.")
    tags = tags_of([speaker for speaker, _ in said], limits.speakers)
    return tuple(Turn(speaker, tags[speaker], text) for speaker, text in said)


def tags_of(speakers: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """이름 → 화자 태그. 태그로 적은 이름은 그것이 제 태그입니다.

    Raises:
        UnprocessableEntity: 모델이 아는 태그보다 화자가 많을 때(422).
    """
    names = list(dict.fromkeys(speakers))
    written = [name for name in names if TAG.fullmatch(name)]
    if unknown := [name for name in written if name not in known]:
        raise UnprocessableEntity(f"모르는 화자입니다: {unknown[0]}. 쓸 수 있는 것: {', '.join(known)}")
    free = [tag for tag in known if tag not in written]
    others = [name for name in names if name not in written]
    if len(others) > len(free):
        raise UnprocessableEntity(f"화자가 {len(names)}명입니다. {len(known)}명까지 받습니다.")
    return {name: name for name in written} | dict(zip(others, free, strict=False))
