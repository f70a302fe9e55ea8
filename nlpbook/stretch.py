"""심화 과제의 파일을 실행하면: 채운 것마다 무엇이 되었는지 보입니다. 무엇을 보일지는 그 파일이 정합니다."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout

from nlpbook.errors import UserError
from todo import TodoNotDone


def show_stretch(shows: Mapping[str, Callable[[], None]], chosen: Sequence[str]) -> None:
    """고른 심화 과제를 차례로 보입니다. 아직 채우지 않은 것은 그렇다고 한 줄만 적습니다.

    Args:
        shows: TODO의 번호 → 그것을 보이는 함수. 예: `{"9-2": show_rotation}`.
        chosen: 명령줄에 적은 번호들. 비었으면 모두입니다.

    Raises:
        UserError: 그런 번호가 없을 때.
    """
    unknown = [one for one in chosen if one not in shows]
    if unknown:
        raise UserError(f"이 파일에 없는 심화 과제입니다: {', '.join(unknown)}. 있는 것: {', '.join(shows)}")
    for todo_id in chosen or shows:
        said = io.StringIO()
        try:
            with redirect_stdout(said):
                shows[todo_id]()
        except TodoNotDone as error:  # 찍다 만 것은 보이지 않습니다.
            said = io.StringIO(f"■ {todo_id} 아직 비어 있습니다: {error.file.name} {error.line}번째 줄\n\n")
        finally:
            print(said.getvalue(), end="", flush=True)
