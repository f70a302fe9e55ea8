"""찍은 것을 잘랐으면 잘랐다고 보입니다."""

from __future__ import annotations

from course.checks.printing import LENGTH, shortened


def test_cut_line_ends_in_an_ellipsis():
    assert shortened("가" * LENGTH) == "가" * LENGTH
    assert shortened("가" * (LENGTH + 1)) == "가" * (LENGTH - 1) + "…"
