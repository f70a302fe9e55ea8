"""검사와 표, 도구와 라이브러리의 파일들이 검사하는 동안 바뀌지 않는지 봅니다. 바뀌었으면 되돌립니다.

검사하기 전의 것이 원본입니다. 강사가 검사와 검사 사이에 고친 것은 그대로 쓰입니다. 되돌릴 때 바뀐 것은 백업에 남습니다.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from course.book.backups import overwrite
from course.book.tasks import all_tasks
from course.home import Home

LIBRARY = ("course", "nlpbook")
Mark = tuple[int, int, int, int]  # 고친 때, 속성이 바뀐 때, 크기, 번호: 시각을 되돌려 놓아도 달라집니다.


class Originals:
    """한 저장소의 원본들. `look`과 `restore` 사이에 검사합니다."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._marks: dict[str, Mark] = {}
        self._contents: dict[str, bytes] = {}

    def look(self) -> None:
        """지금의 파일들을 원본으로 삼습니다. 앞서 읽은 뒤로 그대로인 것은 다시 읽지 않습니다."""
        now = dict(self._files())
        for name, mark in now.items():
            if self._marks.get(name) != mark and not name.endswith(".pyc"):
                with contextlib.suppress(FileNotFoundError):
                    self._contents[name] = Path(name).read_bytes()
        for name in self._marks.keys() - now.keys():
            self._contents.pop(name, None)
        self._marks = now

    def restore(self) -> list[str]:
        """원본과 달라진 파일을 되돌립니다.

        Returns:
            달라졌던 파일들, 저장소에서부터. 그대로면 비었습니다.
        """
        now = dict(self._files())
        suspects = {name for name in now.keys() | self._marks.keys() if now.get(name) != self._marks.get(name)}
        if not suspects:
            return []
        for name in suspects:
            if name.endswith(".pyc"):  # 소스와 다른 바이트코드일 수 있습니다. 없으면 다시 만들어집니다.
                Path(name).unlink(missing_ok=True)
        files = [(Path(name), self._contents.get(name)) for name in suspects if not name.endswith(".pyc")]
        changed = overwrite(self._home, files, "restore", can_undo=False)
        return sorted(self._home.shown(edit.path) for edit in changed)

    def _files(self) -> Iterator[tuple[str, Mark]]:
        root = self._home.root
        yield from _in_folder(str(root), deep=False)
        for folder in (*(root / name for name in LIBRARY), *(task.checks for task in all_tasks(self._home))):
            yield from _in_folder(str(folder), deep=True)


def _in_folder(folder: str, deep: bool) -> Iterator[tuple[str, Mark]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for one in entries:
        if one.name.startswith("."):
            continue
        if one.is_dir(follow_symlinks=False):
            if deep:
                yield from _in_folder(one.path, deep)
        elif deep or one.name.endswith((".py", ".toml")):
            with contextlib.suppress(FileNotFoundError):
                about = one.stat()
                yield one.path, (about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_ino)
