"""Ctrl-C를 걸음 사이에서 받아들입니다. 가중치를 고치는 도중에 끊기지 않아, 멈춘 자리를 그대로 저장할 수 있습니다."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any


class InterruptFlag:
    """`with` 안에서 첫 Ctrl-C는 `requested`만 참으로 바꾸고, 두 번째는 평소처럼 바로 멈춥니다.

    Args:
        enabled: 거짓이면 아무것도 바꾸지 않습니다(프로세스가 여럿이면 서로 다른 걸음에서 멈추기 때문입니다).
    """

    def __init__(self, enabled: bool = True) -> None:
        # 시그널은 파이썬의 주 쓰레드에서만 다룰 수 있습니다(노트북의 도구들은 다른 쓰레드에서 돌기도 합니다).
        self.enabled = enabled and threading.current_thread() is threading.main_thread()
        self.requested = False

    def __enter__(self) -> InterruptFlag:
        if self.enabled:
            self.before = signal.signal(signal.SIGINT, self._on_interrupt)
        return self

    def __exit__(self, *_: Any) -> None:
        if self.enabled:
            signal.signal(signal.SIGINT, self.before)

    def _on_interrupt(self, *_: Any) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print("\n이번 걸음을 마치고 저장한 뒤 멈춥니다. 한 번 더 누르면 바로 멈춥니다.", file=sys.stderr)
