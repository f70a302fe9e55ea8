"""판정에 적는 글에는 검사할 때마다 달라지는 것이 없습니다. 같은 답에는 언제나 같은 글을 적습니다."""

from __future__ import annotations

import pytest

from console_text import readable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/tmp/course-129-e_clv1xw/c64d6pqf/pytest-of-me/pytest-0/test_none0/0번째/a.pt", "(임시 폴더)/0번째/a.pt"),
        (r"C:\Users\me\Temp\course-1-e_clv1xw\c1\pytest-of-me\pytest-3\test_x0\f.txt", r"(임시 폴더)\f.txt"),
        ("'/var/tmp/course-checks-abcd1234/x.pt'이 없음", "'(임시 폴더)/x.pt'이 없음"),
        ("/home/me/course-3-week/my.py", "/home/me/course-3-week/my.py"),
        ("<function f at 0x7f12>", "함수 f"),
    ],
)
def test_what_differs_each_time_is_left_out(text, shown):
    assert readable(text) == shown
