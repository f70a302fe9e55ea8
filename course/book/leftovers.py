"""갑자기 끝난 프로세스가 쓰다 만 임시 파일을 치웁니다. 파일은 옆에 쓴 뒤 이름을 바꾸므로, 남은 것은 버려도 됩니다."""

from __future__ import annotations

import os
import re
import sys

from course.book.backups import Journal
from course.book.tasks import all_tasks
from course.home import Home

ASIDE = re.compile(r"\..+\.(\d+)\.tmp")  # `course.home.write_text`와 `course.book.backups`가 짓는 이름


def clear_leftovers(home: Home) -> None:
    """도구가 쓰는 폴더들에서, 이제 없는 프로세스의 것만 지웁니다. 지울 수 없는 것은 둡니다."""
    journal = Journal.latest(home)
    edited = {(home.root / str(path)).parent for path, *_ in journal.files} if journal else set()
    for folder in {home.root, home.state, *(task.exercise for task in all_tasks(home)), *edited}:
        for path in folder.glob(".*.tmp"):
            match = ASIDE.fullmatch(path.name)
            if match and not is_alive(int(match[1])):
                path.unlink(missing_ok=True)


def is_alive(process: int) -> bool:
    """그 번호의 프로세스가 있는가. 알 수 없는 곳(Windows)에서는 언제나 있다고 봅니다."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
