"""프로세스 이야기: 계산을 시작하기 전의 준비와, 다른 프로세스가 살아 있는지.

모듈을 읽는 것만으로는 아무것도 바뀌지 않습니다. 준비는 명령(`nlpbook.cli.run`)과 `make_fabric`이 부르고, 노트북에서는
직접 부릅니다.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path


def prepare_process() -> None:
    """CPU의 행렬곱이 느려지지 않게 하고, Lightning의 영어 안내를 숨깁니다. 여러 번 불러도 됩니다."""
    # 문장 길이마다 행렬의 모양이 달라, oneDNN이 만들어 둔 커널을 버리고 다시 만들지 않도록 자리를 넉넉히 둡니다.
    # 첫 행렬곱보다 앞서기만 하면 됩니다.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")
    for name in ("lightning.fabric.utilities.rank_zero", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)  # "Using bfloat16 …" 같은 말은 우리가 한국어로 적습니다.


def is_running(pid: int) -> bool:
    """이 기계에 그 번호의 프로세스가 살아 있는가."""
    if pid <= 0:
        return False
    if sys.platform == "win32":
        return _is_running_on_windows(pid)
    try:
        os.kill(pid, 0)  # 시그널 0은 보내지 않고, 보낼 수 있는지만 봅니다.
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True  # 남의 프로세스입니다.
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """끝났지만 부모가 거두지 않은 프로세스인가. 시그널 0은 이것도 받습니다. Linux에서만 알 수 있습니다."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[:1] == ["Z"]  # 이름에 괄호와 빈칸이 들 수 있습니다.


def _is_running_on_windows(pid: int) -> bool:
    """Windows의 os.kill(pid, 0)은 Ctrl-C를 보내므로 쓸 수 없습니다."""
    import ctypes

    synchronize, still_waiting = 0x00100000, 0x00000102
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(synchronize, False, pid)
    if not handle:
        return False
    try:
        return kernel.WaitForSingleObject(handle, 0) == still_waiting
    finally:
        kernel.CloseHandle(handle)
