"""학습이 발산했는지(손실이나 가중치가 NaN이나 무한대인지) 보고, 무엇을 하면 되는지 알립니다."""

from __future__ import annotations

import math
from typing import Any

from nlpbook.errors import UserError


def diverged(step: int, what: str, lr: str) -> UserError:
    """학습이 발산했다는 오류.

    Args:
        step: 몇 스텝째인지.
        what: 무엇이 어떻게 되었는지. 예: `"손실이 nan이(가) 되었습니다"`.
        lr: 그 스텝의 학습률.
    """
    return UserError(
        f"{step:,}스텝째에 {what}(학습률 {lr}). --learning_rate를 10분의 1로 줄여 다시 학습해 주세요. "
        "그 전에 저장한 체크포인트는 그대로 있습니다."
    )


def require_finite(step: int, lr: float, loss: float) -> None:
    """손실이 유한한지 봅니다.

    Raises:
        UserError: NaN이나 무한대일 때. 몇 스텝째이고 그 스텝의 학습률이 얼마였는지 적습니다.
    """
    if not math.isfinite(loss):
        raise diverged(step, f"손실이 {loss}이(가) 되었습니다", f"{lr:.1e}")


class LossGuard:
    """손실이 NaN이나 무한대가 되었는지 봅니다. 수를 꺼내는 일은 GPU를 기다리게 하므로, 모아 두었다가 가끔 봅니다."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float, Any]] = []

    def note(self, step: int, lr: float, loss: Any) -> None:
        """`step`스텝째의 손실(텐서)을 기억합니다. `lr`은 그 스텝에 쓴 학습률입니다."""
        self.seen.append((step, lr, loss))

    def check(self) -> None:
        """기억한 손실이 모두 유한한지 봅니다.

        Raises:
            UserError: 유한하지 않은 것이 있을 때. 처음으로 그렇게 된 스텝과 그때의 학습률을 적습니다.
        """
        for step, lr, loss in self.seen:
            require_finite(step, lr, float(loss))
        self.seen.clear()
