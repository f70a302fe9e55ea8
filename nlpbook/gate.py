"""동시에 들어오는 일의 수를 막는 문."""

from __future__ import annotations

import threading

from werkzeug.exceptions import ServiceUnavailable


class Turnstile:
    """동시에 쓰는 글의 수를 `limit`까지로 막습니다.

    with turnstile:  # 자리가 없으면 503으로 답합니다.
        …
    """

    def __init__(self, limit: int) -> None:
        self.slots = threading.BoundedSemaphore(limit)

    def enter(self) -> None:
        """자리를 하나 차지합니다. 없으면 503으로 답합니다."""
        if not self.slots.acquire(blocking=False):
            raise ServiceUnavailable("지금은 다른 글을 쓰고 있습니다. 잠시 뒤에 다시 보내 주세요.")

    def leave(self) -> None:
        self.slots.release()

    def __enter__(self) -> Turnstile:
        self.enter()
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()
