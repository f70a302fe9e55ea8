"""사람이 고칠 수 있는 오류. 명령줄에서는 traceback 없이 이 문장만 보여 줍니다."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """무엇이 잘못되었고 무엇을 하면 되는지 한국어로 적은 오류.

    Args:
        message: 화면에 그대로 보일 문장.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """잘못 적은 이름에 덧붙일, 가까운 이름을 묻는 문장. 가까운 것이 없으면 빈 글입니다.

    Args:
        word: 사람이 적은 이름.
        known: 있는 이름들.
    """
    close = get_close_matches(word, list(known), n=2, cutoff=0.6)
    return f" 혹시 {' 또는 '.join(close)} 인가요?" if close else ""
