"""사람이 고칠 수 있는 오류. 명령줄에서는 traceback 없이 이 문장만 보여 줍니다."""

from __future__ import annotations


class UserError(Exception):
    """무엇이 잘못되었고 무엇을 하면 되는지 한국어로 적은 오류.

    Args:
        message: 화면에 그대로 보일 문장.
    """
