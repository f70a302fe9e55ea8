"""끝나지 않거나 죽은 검사가 학생의 어느 줄을 돌고 있었는지 적어 둡니다.

파이썬의 `faulthandler`가 적으므로, 끝나지 않는 C의 셈 속에서도, 죽는 순간에도 적힙니다.
"""

from __future__ import annotations

import contextlib
import faulthandler
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from course.book.tasks import STEP_NAME

NAME = "stopped"
FRAME = re.compile(r'^ +File "(.+)", line (\d+)', re.MULTILINE)
EARLIER = 1.0  # 초. 시간이 다 되기 이만큼 앞에 적습니다.


@contextmanager
def noted_in(folder: Path, timeout: float) -> Iterator[None]:
    """블록이 `timeout`초 가까이 끝나지 않거나 죽으면, 그때의 줄을 `folder`의 파일에 적습니다."""
    with (folder / NAME).open("w") as file:
        faulthandler.enable(file)
        faulthandler.dump_traceback_later(timeout - min(EARLIER, timeout / 10), file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            faulthandler.disable()


def last_place(folder: Path) -> list:
    """적힌 것에서 학생의 (단계 파일, 줄). 적히지 않았으면 비었습니다.

    경로의 한글은 적을 때 다른 글자로 바뀌므로 파일의 이름만 봅니다.
    """
    text = ""
    with contextlib.suppress(OSError):
        text = (folder / NAME).read_text(encoding="utf-8", errors="replace")
    for path, line in FRAME.findall(text):  # 가장 깊은 줄이 맨 위에 있습니다.
        name = re.split(r"[/\\]", path)[-1]
        if STEP_NAME.fullmatch(name):
            return [name, int(line)]
    return []
