"""학생의 코드가 도는 프로세스를 가두고 끝내는 일: 물려받은 통로를 막고, 남긴 프로세스를 모두 끝냅니다.

후손을 세고 고아를 거두는 일은 리눅스에서만 됩니다. 다른 곳에서는 같은 무리(process group)까지만 끝냅니다.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>
TRIES = 1000  # 끝내는 동안에도 새로 뜨는 것이 있으므로 되풀이하되, 언제까지나 하지는 않습니다.


def adopt_orphans() -> None:
    """이제부터 후손의 부모가 먼저 죽으면 이 프로세스의 자식이 됩니다. 그래서 데몬이 되어도 거둘 수 있습니다."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """부모가 죽으면 이 프로세스도 끝납니다."""
    if sys.platform != "win32":
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_when_parent_ends() -> None:
    """부모가 죽으면 이 프로세스도 끝나게 지켜봅니다. 쓰레드를 띄우므로, fork할 프로세스에서는 부르지 않습니다.

    fork 없이 직접 검사하는 프로세스는 학생의 끝나지 않는 코드 안에 있을 수 있어, 입력이 끝난 것을 보지 못합니다.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    if sys.platform != "win32":  # Windows에서는 부모가 죽어도 getppid가 그대로입니다.
        threading.Thread(target=watch, daemon=True).start()


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def block_inherited() -> None:
    """부모에게서 물려받은 통로를 모두 아무 데도 아닌 곳으로 돌립니다.

    닫지 않고 돌립니다. 닫은 번호를 새 파일이 쓰게 되면, 그 번호를 지닌 옛 객체가 사라질 때 새 파일을 닫습니다.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in _open_numbers():
        with contextlib.suppress(OSError):
            os.fstat(number)
            os.dup2(nowhere, number)


def _open_numbers() -> list[int]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            return [int(name) for name in os.listdir(folder)]  # noqa: PTH208
    return list(range(256))


def ends_within(child: int, seconds: float) -> bool:
    """자식이 그 안에 끝나는가. 거두지는 않습니다."""
    import select

    if hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):  # 옛 커널
            watching = os.pidfd_open(child)
            try:
                return bool(select.select([watching], [], [], max(seconds, 0))[0])
            finally:
                os.close(watching)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        time.sleep(0.005)
    return False


def descendants(parent: int) -> set[int]:
    """프로세스의 모든 후손."""
    found: set[int] = set()
    left = [parent]
    while left:
        new = _children(left.pop()) - found
        found |= new
        left += new
    return found


def _children(parent: int) -> set[int]:
    found: set[int] = set()
    for file in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(map(int, file.read_text().split()))
    return found


def end(child: int, kept: Collection[int] = ()) -> None:
    """자식과 그 무리, 그리고 그것이 남긴 후손을 모두 끝내고 거둡니다.

    Args:
        kept: 이 프로세스의 다른 자식들. 그대로 둡니다.
    """
    for kill in (os.kill, os.killpg):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)
    for _ in range(TRIES):
        left = descendants(os.getpid()).difference(kept)
        if not left:
            return
        kill_all(left)
        for one in left:  # 손주는 그 부모가 죽은 다음에 자식이 됩니다.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(one, 0)


def kill_all(processes: Collection[int]) -> None:
    for one in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, signal.SIGKILL)
