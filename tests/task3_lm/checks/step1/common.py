"""1단계의 검사들이 함께 쓰는 것.

창의 수와 내용은 하나씩 센 것에 견줍니다. 로더의 검사는 `WindowDataset` 자리에 옳은 것을 대신 둡니다. 1-3과 1-4가 틀려도
1-5는 제대로 검사됩니다.
"""

from __future__ import annotations

from typing import Any

# ── 1-1 토크나이저


def named(thing: Any) -> str:
    """담긴 것의 종류. 괄호 없이 클래스를 담았으면 그렇다고 적습니다."""
    return f"{thing.__name__} 클래스" if isinstance(thing, type) else type(thing).__name__


# ── 1-3 창의 수


def windows(total: int, length: int, stride: int) -> int:
    """하나씩 세어 본 창의 수: 창마다 입력 `length`개와, 마지막 정답을 위한 하나가 더 있어야 합니다."""
    return len([start for start in range(0, total, stride) if start + length < total])


# ── 1-4 창의 내용

LENGTH, STRIDE, TOTAL = 6, 4, 39
