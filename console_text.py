"""사람이 읽을 글을 어느 콘솔에나 적고, 잘못 적은 이름에 가까운 이름을 묻습니다. 표준 라이브러리만 씁니다.

`course/`와 `nlpbook/`이 서로를 모른 채 함께 씁니다(`todo.py`처럼). `course/bootstrap.py`가 아무것도 설치하기 전에
부르므로 Python 3.8의 문법으로 적습니다.
"""

from __future__ import annotations

import io
import sys
from difflib import get_close_matches
from typing import Iterable  # noqa: UP035  Python 3.8


def make_printable() -> None:
    """화면이나 파일이 담지 못하는 글자(예: cp949의 ✅) 때문에 멈추지 않게 합니다. 여러 번 불러도 됩니다.

    한글을 담는 인코딩(cp949, UTF-8)은 그대로 두고 못 담는 글자만 `?`로 적습니다. 한글을 담지 못하는 인코딩은 UTF-8로
    바꿉니다.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):  # 노트북이나 시험의 것
            continue
        try:
            "가".encode(stream.encoding)
            stream.reconfigure(errors="replace")
        except (UnicodeEncodeError, LookupError):
            stream.reconfigure(encoding="utf-8", errors="replace")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """잘못 적은 이름에 덧붙일, 가까운 이름을 묻는 문장. 가까운 것이 없으면 빈 글입니다.

    Args:
        word: 사람이 적은 이름.
        known: 있는 이름들.
    """
    close = get_close_matches(word, list(known), n=2, cutoff=0.6)
    return f" 혹시 {' 또는 '.join(close)} 인가요?" if close else ""
