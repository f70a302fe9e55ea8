"""저장소의 파일을 고치는 일들이 겹치지 않게 합니다: 고치는 이는 하나뿐이고, 검사하는 동안에는 아무도 고치지 않습니다.

검사끼리는 함께 돌 수 있습니다. 잠금은 `.course/lock`의 것이라, 프로세스가 어떻게 끝나든 운영체제가 풀어 줍니다. 한
프로세스 안에서는 다시 잠가도 기다리지 않습니다.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from course.home import CourseError, Home

PATIENCE = 90.0  # 초. 가장 오래 걸리는 검사 하나보다 깁니다.
PLACES = 1000  # Windows에서, 검사는 제 자리 하나를 잠그고 고치는 이는 모든 자리를 잠급니다.
_held: dict[Path, int] = {}  # 이 프로세스가 잠근 저장소 → 겹친 수


@contextmanager
def editing(home: Home) -> Iterator[None]:
    """블록 안에서는 다른 프로세스가 고치거나 검사하지 않습니다.

    Raises:
        CourseError: 다른 프로세스가 놓아 주지 않을 때.
    """
    with _locked(home, alone=True):
        yield


@contextmanager
def undisturbed(home: Home) -> Iterator[None]:
    """블록 안에서는 다른 프로세스의 도구가 파일을 고치지 않습니다.

    Raises:
        CourseError: 다른 프로세스가 놓아 주지 않을 때.
    """
    with _locked(home, alone=False):
        yield


@contextmanager
def _locked(home: Home, alone: bool) -> Iterator[None]:
    if _held.get(home.root):
        _held[home.root] += 1
        file = None
    else:
        file = _take(home, alone)
        _held[home.root] = 1
    try:
        yield
    finally:
        _held[home.root] -= 1
        if file is not None:
            os.close(file)  # 닫으면 풀립니다.


def _take(home: Home, alone: bool) -> int | None:
    """잠근 파일. 쓸 수 없는 저장소나 잠글 수 없는 파일 시스템이면 잠그지 않고 None입니다."""
    try:
        home.state.mkdir(parents=True, exist_ok=True)
        file = os.open(home.state / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return None
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            _try_to_lock(file, alone)
            return file
        except (BlockingIOError, PermissionError):
            if time.monotonic() > deadline:
                os.close(file)
                raise CourseError("다른 창의 실습 도구가 파일을 쓰고 있습니다. 끝난 뒤에 다시 해 주세요.") from None
            time.sleep(0.02)
        except OSError:
            os.close(file)
            return None


def _try_to_lock(file: int, alone: bool) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, 0 if alone else os.getpid() % PLACES, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, PLACES if alone else 1)
    else:
        import fcntl

        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
