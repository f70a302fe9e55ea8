"""실습 파일이 쓰는 낱말 하나, `todo`. 아직 채우지 않은 자리를 알립니다.

`course/`(검사 도구)와 `nlpbook/`(라이브러리)이 서로를 모른 채 함께 아는 것이라 따로 둡니다(`command_line.py`처럼).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from console_text import with_particles


class TodoNotDone(NotImplementedError):
    """채우지 않은 TODO에 코드가 닿았습니다.

    Attributes:
        todo_id: `"1-2"`처럼 단계와 번호.
        file: `todo(...)`를 부른 파일.
        line: 그 줄 번호(1부터).
    """

    def __init__(self, todo_id: str, file: str, line: int) -> None:
        self.todo_id = todo_id
        self.file = Path(file)
        self.line = line
        where = f"{self.file.name} {line}번째 줄"
        super().__init__(with_particles(f"TODO {todo_id}을(를) 아직 채우지 않았습니다: {where}"))


def todo(todo_id: str) -> NoReturn:
    """실습 파일의 빈 자리입니다. 이 줄을 지우고 코드를 채우면 됩니다.

    Raises:
        TodoNotDone: 언제나. 어느 파일 몇 번째 줄의 무슨 TODO인지 담깁니다.
    """
    if not isinstance(sys.excepthook, _PlainWords):
        sys.excepthook = _PlainWords(sys.excepthook)
    caller = sys._getframe(1)
    raise TodoNotDone(todo_id, caller.f_code.co_filename, caller.f_lineno)


class _PlainWords:
    """`python stepN.py`로 실행했을 때, 긴 traceback 대신 무엇을 하면 되는지 한 문장으로 알립니다.

    빈 자리에 닿을 때 비로소 `sys.excepthook`이 되고, 다른 예외는 그때까지의 것(`before`)에 넘깁니다.
    """

    def __init__(self, before: Callable[[type[BaseException], BaseException, TracebackType | None], object]) -> None:
        self.before = before

    def __call__(self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not isinstance(error, TodoNotDone):
            self.before(kind, error, traceback)
            return
        task = error.file.parent.name
        short = task.split("-", 1)[-1]
        print(f"아직 여기까지입니다. {error}", file=sys.stderr)
        print(f"  채운 뒤 검사하기: python -m course check {short} {error.todo_id}", file=sys.stderr)
