"""사람이 고칠 수 있는 오류. 명령줄에서는 traceback 없이 이 문장만 보여 줍니다."""

from __future__ import annotations


class UserError(Exception):
    """무엇이 잘못되었고 무엇을 하면 되는지 한국어로 적은 오류.

    Args:
        message: 화면에 그대로 보일 문장.
    """


def diverged(step: int, what: str, lr: str) -> UserError:
    """학습이 발산했다는 오류.

    Args:
        step: 몇 걸음째인지.
        what: 무엇이 어떻게 되었는지. 예: `"손실이 nan이(가) 되었습니다"`.
        lr: 그 걸음의 학습률.
    """
    return UserError(
        f"{step:,}걸음째에 {what}(학습률 {lr}). --learning_rate를 10분의 1로 줄여 다시 학습해 주세요. "
        "그 전에 저장한 체크포인트는 그대로 있습니다."
    )
