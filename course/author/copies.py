"""해답의 복사본: 자리에 다른 답을 넣어 가며 검사할 폴더."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from course.book.tasks import Task


@contextmanager
def solved_copy(task: Task) -> Iterator[Path]:
    """블록 안에서만 있는, 이 과제의 해답을 모두 베껴 둔 폴더."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve() / "answers"
        folder.mkdir()
        for step in task.steps:
            shutil.copy(task.solution / step.file_name, folder)
        yield folder
