"""자리의 코드가 찍은 것(`print`)을 모읍니다.

뼈대나 라이브러리가 찍는 것은 학생이 물어본 것이 아니므로 모으지 않습니다.
"""

from __future__ import annotations

import builtins
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from course.book.regions import RegionError, parse

LINES, LENGTH = 20, 160  # 검사마다 남기는 마지막 줄 수, 한 줄의 글자 수


class PrintLog:
    """`begin`과 `end` 사이에 `folder`의 자리에서 찍은 것.

    Attributes:
        test: 지금 도는 검사의 이름. 찍은 것은 이 이름에 모입니다.
    """

    def __init__(self, folder: Path) -> None:
        self.test = ""
        self._folder = str(folder)
        self._texts: dict[str, str] = {}
        self._inside: dict[str, set[int]] = {}  # 파일 → 자리 안의 줄 번호(1부터)
        self._original: Callable[..., None] | None = None

    def begin(self) -> None:
        self._original = original = builtins.print

        def told(*values: Any, **options: Any) -> None:
            original(*values, **options)
            frame = sys._getframe(1)
            if options.get("file") in (None, sys.stdout, sys.stderr) and self._is_in_region(frame):
                paper = io.StringIO()
                original(*values, **{**options, "file": paper})
                self._texts[self.test] = (self._texts.get(self.test, "") + paper.getvalue())[-LINES * LENGTH :]

        builtins.print = told

    def end(self) -> None:
        if self._original is not None:
            builtins.print, self._original = self._original, None

    def printed(self) -> dict[str, list[str]]:
        """검사의 이름 → 찍은 것의 마지막 줄들."""
        return {test: [shortened(line) for line in text.splitlines()[-LINES:]] for test, text in self._texts.items()}

    def _is_in_region(self, frame: Any) -> bool:
        file = frame.f_code.co_filename
        if str(Path(file).parent) != self._folder:
            return False
        if file not in self._inside:
            self._inside[file] = _lines_in_regions(Path(file))
        return frame.f_lineno in self._inside[file]


def shortened(line: str) -> str:
    """`LENGTH`글자를 넘지 않게 자른 줄. 잘랐으면 `…`로 끝납니다."""
    return line if len(line) <= LENGTH else line[: LENGTH - 1] + "…"


def _lines_in_regions(file: Path) -> set[int]:
    try:
        regions = parse(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, RegionError):
        return set()
    return {number + 1 for one in regions for number in range(one.code_begin, one.end)}
