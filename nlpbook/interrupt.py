"""Ctrl-C와 SIGTERM을 스텝 사이에서 받아들입니다. 가중치를 고치는 도중이 아니므로 멈춘 자리를 그대로 저장할 수 있습니다.

SIGTERM은 컨테이너나 작업 관리기(SLURM, Kubernetes)가 프로세스를 내릴 때 보냅니다. Ctrl-C와 같게 다룹니다.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class InterruptFlag:
    """`with` 안에서 첫 Ctrl-C나 SIGTERM은 `requested`만 참으로 바꾸고, 두 번째는 바로 멈춥니다(KeyboardInterrupt).

    Args:
        enabled: 거짓이면 아무것도 바꾸지 않습니다(프로세스가 여럿이면 서로 다른 스텝에서 멈추기 때문입니다).
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled and in_main_thread()
        self.requested = False

    def __enter__(self) -> InterruptFlag:
        if self.enabled:
            self.before = {one: signal.signal(one, self._on_signal) for one in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: Any) -> None:
        if self.enabled:
            for one, handler in self.before.items():
                signal.signal(one, handler)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        again = " 한 번 더 누르면 바로 멈춥니다." if number == signal.SIGINT else ""
        print(f"\n이번 스텝을 마치고 저장한 뒤 멈춥니다.{again}", file=sys.stderr, flush=True)


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """블록 안에서는 SIGTERM도 Ctrl-C처럼 KeyboardInterrupt가 됩니다. 열어 둔 것을 닫고 나갈 수 있습니다."""
    if not in_main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def postponed() -> Iterator[None]:
    """블록 안에서 온 Ctrl-C와 SIGTERM은 블록이 끝난 뒤에 다룹니다. 반쯤 하다 멈추면 안 되는 짧은 일을 감쌉니다."""
    if not in_main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {one: signal.signal(one, lambda number, frame: came.append((number, frame))) for one in kinds}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        for number, frame in came[:1]:
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)
            elif handler == signal.SIG_DFL:
                signal.raise_signal(number)


def in_main_thread() -> bool:
    """시그널은 파이썬의 주 쓰레드에서만 다룰 수 있습니다(노트북의 도구들은 다른 쓰레드에서 돌기도 합니다)."""
    return threading.current_thread() is threading.main_thread()
