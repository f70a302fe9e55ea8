"""사람이 고칠 수 있는 오류. 명령줄에서는 traceback 없이 이 문장만 보여 줍니다."""

from __future__ import annotations

import errno

from console_text import with_particles

DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
DISK_FULL_WORDS = ("no space left on device", "disk quota exceeded", "os error 28)", "not enough space on the disk")


class UserError(Exception):
    """무엇이 잘못되었고 무엇을 하면 되는지 한국어로 적은 오류.

    Args:
        message: 화면에 보일 문장. `"'quik'을(를)"`처럼 두 꼴로 적은 조사는 앞말에 맞는 하나가 됩니다.
    """

    def __init__(self, message: str) -> None:
        super().__init__(with_particles(message))


def is_disk_full(error: BaseException | None) -> bool:
    """디스크에 빈 자리가 없어서 난 예외인가. 원인으로 매달린 예외까지 봅니다.

    라이브러리마다 모양이 다릅니다: 파이썬은 OSError의 번호, safetensors와 tokenizers는 글, PyTorch는 쓰던 중의
    OSError를 매단 RuntimeError입니다.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            return True
        if any(words in str(error).lower() for words in DISK_FULL_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False
