"""6단계의 검사들이 함께 쓰는 것: 끝난 시도의 줄과, 저장소의 시도."""

from __future__ import annotations

from typing import Any

from nlpbook.sweeps.study import Attempt


def line(status: str, value: float | None, trial: int) -> dict[str, Any]:
    """결과 파일의 한 줄."""
    return {"status": status, "value": value, "trial": trial, "params": {"learning_rate": trial * 3e-5}}


def attempt_of(slot: int, attempt: int, status: str, number: int = 97) -> Attempt:
    """저장소에 적힌 시도 하나."""
    return Attempt(number, slot, attempt, status, None, {}, {}, {}, None, None, {})
