"""페이지를 여는 한 곳. 시험은 page.goto를 스스로 부르지 않습니다."""

from __future__ import annotations


def opened(page, address: str) -> None:
    """페이지를 열고, 처음 초점이 글 칸에 갈 때까지 기다립니다. 그 전에 친 글자는 어디에도 들어가지 않습니다."""
    page.goto(address)
    page.locator("textarea:focus").wait_for()
