"""글로 적힌 값을 설정 필드의 종류로 바꿉니다. 환경 변수와 YAML, 명령줄은 수도 글로 건넵니다.

뜻이 하나뿐인 것만 바꿉니다: `"1e-4"` → 0.0001, `"false"` → False, 3 → 3.0. 나머지는 고치지 않고 거절합니다.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from console_text import did_you_mean

WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
NOTHING = ("null", "none", "")


class Refused(ValueError):
    """값을 바꿀 수 없습니다. 문장은 무엇을 적으면 되는지입니다."""


def cast(
    value: Any, kind: Any, choices: Sequence[Any] = (), low: float | None = None, high: float | None = None
) -> Any:
    """`value`를 `kind`로 바꿉니다.

    Args:
        kind: 필드의 타입 힌트. 예: `float`, `int | None`, `list[str]`.
        choices: 고를 수 있는 값들. 비었으면 아무 값이나.
        low, high: 수의 범위(양 끝을 포함).

    Raises:
        Refused: 바꿀 수 없거나, 고를 수 없거나, 범위 밖일 때.
    """
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        arms = [arm for arm in get_args(kind) if arm is not type(None)]
        nothing = NOTHING if str not in arms else NOTHING[:1]
        if len(arms) < len(get_args(kind)) and (value is None or (isinstance(value, str) and value.lower() in nothing)):
            return None
        return _first(arms, lambda arm: cast(value, arm, choices, low, high))
    if origin in (list, tuple):
        item = (get_args(kind) or (Any,))[0]
        return origin(cast(one, item, choices, low, high) for one in _items(value))
    if origin is Literal:
        return _chosen(value, get_args(kind))
    made = PLAIN[kind](value) if kind in PLAIN else value
    if choices:
        _chosen(made, choices)
    if low is not None and not made >= low:
        raise Refused(f"{value!r}. {low:g} 이상이어야 합니다.")
    if high is not None and not made <= high:
        raise Refused(f"{value!r}. {high:g} 이하여야 합니다.")
    return made


def _first(arms: Sequence[Any], attempt: Callable[[Any], Any]) -> Any:
    for arm in arms[:-1]:
        try:
            return attempt(arm)
        except Refused:
            continue
    return attempt(arms[-1])


def _items(value: Any) -> Sequence[Any]:
    if isinstance(value, str):
        inside = value.strip()
        if inside.startswith("[") and inside.endswith("]"):
            return [part.strip().strip("'\"") for part in inside[1:-1].split(",") if part.strip()]
        return [value]
    if isinstance(value, (list, tuple)):
        return value
    raise Refused(f"{value!r}. 목록을 적어 주세요. 예: [하나, 둘]")


def _chosen(value: Any, choices: Sequence[Any]) -> Any:
    if value in choices:
        return value
    close = did_you_mean(str(value), map(str, choices))
    raise Refused(
        f"{value!r}은(는) 고를 수 있는 값이 아닙니다. 고를 수 있는 값: {', '.join(map(repr, choices))}.{close}"
    )


def _integer(value: Any) -> int:
    made = _number(value, "정수를 적어 주세요.")
    if not math.isfinite(made) or made != int(made):
        raise Refused(f"{value!r}. 정수를 적어 주세요.")
    return value if isinstance(value, int) else int(value) if _is_digits(value) else int(made)


def _is_digits(value: Any) -> bool:
    """float를 거치면 아래 자리를 잃을 만큼 큰 정수도 그대로 읽도록."""
    return isinstance(value, str) and value.strip().lstrip("+-").isdigit()


def _number(value: Any, wanted: str = "수를 적어 주세요.") -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise Refused(f"{value!r}. {wanted}")
    try:
        made = float(value)
    except (ValueError, OverflowError):
        raise Refused(f"{value!r}. {wanted}") from None
    if math.isnan(made):
        raise Refused(f"{value!r}. {wanted}")
    return made


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in WORDS:
        return WORDS[value.strip().lower()]
    raise Refused(f"{value!r}. true 또는 false를 적어 주세요.")


def _text(value: Any) -> str:
    if isinstance(value, (str, Path)) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise Refused(f"{value!r}. 글을 적어 주세요. YAML에서는 따옴표로 감쌉니다.")


def _path(value: Any) -> Path:
    return Path(_text(value))


PLAIN: dict[Any, Callable[[Any], Any]] = {bool: _truth, int: _integer, float: _number, str: _text, Path: _path}
