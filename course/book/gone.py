"""옛 판에는 있었지만 지금은 없는 파일들과, 옛 판의 `update`가 모르는 새 파일.

남아 있는 옛 파일은 백업으로 옮기고, 빠진 새 파일은 해답의 것으로 채웁니다.

옛 판의 `update`는 새 파일을 더하고 바꾸기만 하므로, 자리를 옮긴 파일은 옛 자리에도 남습니다. 그래서 새 판이 처음 시작할
때(`clear_away`) 치웁니다. 목록(`gone.txt`)에는 한 줄에 경로 하나씩 적혀 있고, 빠진 것이 없는지 시험이 git의 기록과
견줍니다.
"""

from __future__ import annotations

from pathlib import Path

from course.book.backups import Edit, overwrite_along
from course.book.regions import to_exercise
from course.book.tasks import DOOR, all_tasks
from course.home import Home

LIST = "course/book/gone.txt"


def gone_paths(text: str) -> list[str]:
    """목록의 경로들. `#` 뒤는 설명입니다."""
    lines = (line.split("#")[0].strip() for line in text.split("\n"))
    return [line for line in lines if line]


def left_behind(home: Home) -> list[Path]:
    """목록에 있는데 아직 남아 있는 파일들."""
    listed = home.root / LIST
    names = gone_paths(listed.read_text(encoding="utf-8")) if listed.is_file() else []
    return [path for name in names if (path := home.root / name).is_file()]


def clear_away(home: Home) -> list[Edit]:
    """남아 있는 옛 파일을 백업으로 옮깁니다. 방금 한 `update`의 하나로 적어, 한 번의 `undo`로 함께 돌아옵니다."""
    return overwrite_along(home, [(path, None) for path in left_behind(home)], "update")


def put_missing(home: Home) -> list[Edit]:
    """실습 폴더에 빠진, 라이브러리로 가는 문과 심화 과제를 둡니다. 옛 판의 `update`는 아는 단계 파일만 나릅니다."""
    writes: list[tuple[Path, str | bytes | None]] = []
    for task in all_tasks(home):
        names = [DOOR, *(step.file_name for step in task.steps if step.is_stretch)] if task.exercise.is_dir() else []
        for name in names:
            source = task.solution / name
            if source.is_file() and not (task.exercise / name).exists():
                text = source.read_text(encoding="utf-8")
                writes.append((task.exercise / name, text if name == DOOR else to_exercise(text, name)))
    return overwrite_along(home, writes, "update")
