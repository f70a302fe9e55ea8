"""파일을 고치되 무엇도 잃지 않는 일: 옛 내용을 남기고, 일지에 적고, 무릅니다(undo).

고치기 전의 파일은 언제나 `.course/backup/`에 바이트 그대로 남습니다. 무엇을 왜 고치는지는 여기서 모릅니다.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from merge3 import Merge3

from course.book.locking import editing
from course.book.regions import lines_of
from course.home import CourseError, Home

JOURNAL = "journal.json"
ANY_BYTES = "surrogateescape"  # UTF-8이 아닌 바이트도 그대로 돌아오는 길
AFTER = "after"  # 백업 폴더에서, 고친 뒤의 내용을 두는 곳. 그 뒤에 학생이 더 쓴 것을 가려내는 데 씁니다.


@dataclass(frozen=True)
class Edit:
    """파일 하나를 고친 일.

    Attributes:
        path: 고친 파일.
        kept: 고치기 전의 내용을 남겨 둔 파일. 새로 만든 파일이면 None.
        what: 무엇을 했는지. 예: `"reveal 1-2"`.
    """

    path: Path
    kept: Path | None
    what: str


def refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise CourseError(f"{path.name}이(가) 파일이 아니라 폴더입니다. 폴더의 이름을 바꾼 뒤 다시 해 주세요.")


def in_style_of(path: Path, text: str) -> bytes:
    """`text`를 지금의 파일처럼 저장할 바이트: 줄바꿈(섞였으면 많은 쪽)과 BOM을 따릅니다."""
    old = path.read_bytes() if path.is_file() else b""
    if old.count(b"\r\n") * 2 > old.count(b"\n"):
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    return (codecs.BOM_UTF8 if old.startswith(codecs.BOM_UTF8) else b"") + text.encode()


def overwrite(
    home: Home, files: Sequence[tuple[Path, str | bytes | None]], what: str, can_undo: bool = True
) -> list[Edit]:
    """파일들을 새 내용으로 바꾸고, 무를 수 있게 옛 내용을 남깁니다. 내용이 같은 파일은 건드리지 않습니다.

    Args:
        home: 백업을 남길 저장소.
        files: (파일, 새 내용). 내용이 None이면 지웁니다.
        what: 무엇을 하는지.
        can_undo: `undo`로 무를 수 있게 적어 둘지.

    Raises:
        CourseError: 파일의 자리에 폴더가 있을 때.
        OSError: 쓸 수 없는 파일이 있을 때. 어느 때든 아무것도 바꾸지 않고, 무를 일도 남기지 않습니다.
    """
    with editing(home):
        return _overwrite(home, files, what, can_undo)


def _overwrite(home: Home, files: Sequence[tuple[Path, str | bytes | None]], what: str, can_undo: bool) -> list[Edit]:
    wanted = {path: text.encode() if isinstance(text, str) else text for path, text in files}
    for path in wanted:
        refuse_folder(path)
    before = {path: path.read_bytes() if path.is_file() else None for path in wanted}
    changed = [path for path in wanted if before[path] != wanted[path]]
    if not changed:
        return []
    keeps = can_undo or any(before[path] is not None for path in changed)
    folder = _new_backup_folder(home) if keeps else home.state  # 남길 것이 없으면 빈 폴더를 만들지 않습니다.
    edits = [Edit(path, _keep(home, folder, path, before[path]), what) for path in changed]
    if can_undo:
        record = [
            _noted(home, [edit.path, edit.kept, _keep(home, folder / AFTER, edit.path, wanted[edit.path])])
            for edit in edits
        ]
        Journal(folder, what, record, []).write(home)
    try:
        _put_all(home, {path: wanted[path] for path in changed}, before)
    except OSError:
        if can_undo:
            (folder / JOURNAL).rename(folder / f"{JOURNAL}.failed")
        raise
    return edits


def _put_all(home: Home, wanted: Mapping[Path, bytes | None], before: Mapping[Path, bytes | None]) -> None:
    """모두 쓰거나, 하나라도 쓸 수 없으면 모두 그대로 둡니다.

    Raises:
        OSError: 쓸 수 없는 파일이 있을 때.
    """
    done: list[Path] = []
    try:
        for path, content in wanted.items():
            _put(home, path, content)
            done.append(path)
    except OSError:
        for path in done:
            with contextlib.suppress(OSError):
                _put(home, path, before[path])
        raise


@dataclass(frozen=True)
class Journal:
    """고친 일 하나를 적어 둔 일지.

    Attributes:
        folder: 옛 내용을 남긴 폴더.
        what: 무엇을 했는지. 예: `"update"`.
        files: (파일, 고치기 전의 내용, 고친 뒤의 내용)의 경로들, 저장소에서부터. 없던 것은 None.
        settled: 그 일에 뒤따라 한 일들의 이름. 다시 하지 않습니다.
    """

    folder: Path
    what: str
    files: list[list[str | None]]
    settled: list[str]

    @classmethod
    def latest(cls, home: Home) -> Journal | None:
        """가장 나중에 고친, 아직 무르지 않은 일. 없거나 읽을 수 없으면 None."""
        journals = sorted(home.backup.glob(f"*/{JOURNAL}"))
        return cls.read(journals[-1].parent) if journals else None

    @classmethod
    def read(cls, folder: Path) -> Journal | None:
        """그 폴더의 일지. 없거나 읽을 수 없으면 None."""
        try:
            record = json.loads((folder / JOURNAL).read_text(encoding="utf-8"))
            files = [[path, kept, after] for path, kept, after in record["files"]]
            return cls(folder, record["what"], files, list(record.get("settled", [])))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def write(self, home: Home) -> None:
        record = {"what": self.what, "files": self.files, "settled": self.settled}
        _put(home, self.folder / JOURNAL, json.dumps(record, ensure_ascii=False, indent=2).encode())

    def settle(self, home: Home, name: str) -> None:
        """이 일에 뒤따르는 `name`을 했다고 적습니다."""
        now = Journal.read(self.folder)
        if now is not None:
            replace(now, settled=[*now.settled, name]).write(home)

    def before(self, home: Home, path: Path) -> tuple[bool, bytes | None]:
        """(그 일이 고친 파일인가, 고치기 전의 내용)."""
        for name, kept, _ in self.files:
            if name == home.shown(path):
                return True, _read(home, kept)
        return False, None


def overwrite_along(home: Home, files: Sequence[tuple[Path, str | bytes | None]], what: str) -> list[Edit]:
    """파일들을 바꾸되, 바로 앞의 일이 `what`이면 그 일의 하나로 적습니다. 무를 때 함께 돌아옵니다.

    그 일이 고친 파일에 학생이 그 뒤로 더 썼으면 함께 적을 수 없으므로, 따로 적습니다.
    """
    if not files:  # 할 일이 없으면 다른 창의 검사를 기다리지도 않습니다.
        return []
    with editing(home):
        return _overwrite_along(home, files, what)


def _overwrite_along(home: Home, files: Sequence[tuple[Path, str | bytes | None]], what: str) -> list[Edit]:
    journal = Journal.latest(home)
    wanted = {path: text.encode() if isinstance(text, str) else text for path, text in files}
    now = {path: path.read_bytes() if path.is_file() else None for path in wanted}
    changed = [path for path in wanted if wanted[path] != now[path]]
    if not changed or journal is None or journal.what != what:
        return overwrite(home, files, what)
    known = {path: (kept, after) for path, kept, after in journal.files if path}
    if any(_moved_on(home, known[home.shown(path)][1], now[path]) for path in changed if home.shown(path) in known):
        return overwrite(home, files, what)
    edits: list[Edit] = []
    for path in changed:
        name, after = home.shown(path), _keep(home, journal.folder / AFTER, path, wanted[path])
        if name in known:
            noted = known[name][0]
            kept = noted and home.root / noted
        else:
            kept = _keep(home, journal.folder, path, now[path])
        known[name] = (kept and home.shown(kept), after and home.shown(after))
        edits.append(Edit(path, kept or None, what))
    record = [[name, *both] for name, both in known.items()]
    replace(journal, files=record).write(home)
    try:
        _put_all(home, {path: wanted[path] for path in changed}, now)
    except OSError:
        journal.write(home)
        raise
    return edits


def _moved_on(home: Home, after: str | None, now: bytes | None) -> bool:
    """적어 둔 `after` 뒤로 파일이 또 달라졌는가. 읽을 수 없으면 그렇다고 봅니다."""
    try:
        return _read(home, after) != now
    except OSError:
        return True


def _new_backup_folder(home: Home) -> Path:
    """이름이 겹치지 않고, 시계가 뒤로 가도 언제나 맨 뒤에 오는 백업 폴더."""
    backup = home.backup
    backup.mkdir(parents=True, exist_ok=True)
    while True:
        last = max((one.name for one in backup.glob("[0-9]*")), default="")
        folder = backup / max(datetime.now().strftime("%Y%m%d-%H%M%S-%f"), f"{last}+")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder


def _keep(home: Home, folder: Path, path: Path, content: bytes | None) -> Path | None:
    """백업 폴더에 내용을 남깁니다. 없던 파일이면 남길 것이 없습니다."""
    if content is None:
        return None
    inside = path.is_relative_to(home.root)
    kept = folder / (path.relative_to(home.root) if inside else Path(path.parent.name) / path.name)
    _put(home, kept, content)
    return kept


def _noted(home: Home, paths: list[Path | None]) -> list[str | None]:
    """일지에 적을 경로들. 저장소를 옮겨도 무를 수 있도록 저장소 안의 경로로 적습니다."""
    return [path and home.shown(path) for path in paths]


def _put(home: Home, path: Path, content: bytes | None) -> None:
    """옆에 쓴 뒤 이름을 바꿉니다. 내용이 None이면 파일과, 그래서 빈 폴더가 된 것을 지웁니다."""
    if content is None:
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if not folder.is_relative_to(home.root) or folder == home.root or any(folder.iterdir()):
                return
            folder.rmdir()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def undo(home: Home) -> list[Edit]:
    """가장 나중에 고친 일을 무릅니다. 여러 번 부르면 그 앞의 일도 차례로 무릅니다.

    고친 뒤에 학생이 더 쓴 것은 그대로 두고 고친 곳만 되돌립니다. 같은 곳이면 옛것이 돌아옵니다. 무르기 전의 파일도
    남습니다.

    Raises:
        CourseError: 무를 일이 없거나, 남겨 둔 것을 읽을 수 없을 때.
        OSError: 쓸 수 없는 파일이 있을 때. 아무것도 바꾸지 않았으니, 고친 뒤 다시 무를 수 있습니다.
    """
    with editing(home):
        return _undo(home)


def _undo(home: Home) -> list[Edit]:
    journals = sorted(home.backup.glob(f"*/{JOURNAL}"))
    if not journals:
        raise CourseError("무를 일이 없습니다.")
    journal = journals[-1]
    try:
        record = json.loads(journal.read_text(encoding="utf-8"))
        what = f"undo {record['what']}"
        files = [(home.root / path, _read(home, kept), _read(home, after)) for path, kept, after in record["files"]]
    except (OSError, ValueError, TypeError, KeyError):
        journal.rename(journal.with_suffix(".broken"))
        raise CourseError(
            f"{home.shown(journal.parent)}에 남겨 둔 것을 읽을 수 없어 무르지 못했습니다. "
            "다시 undo를 하면 그 앞의 일을 무릅니다."
        ) from None
    unwound = [(path, _unwound(path, kept, after)) for path, kept, after in files]
    edits = overwrite(home, unwound, what, can_undo=False)
    journal.rename(journal.with_suffix(".undone"))
    return edits


def _read(home: Home, noted: str | None) -> bytes | None:
    return (home.root / noted).read_bytes() if noted is not None else None


def _unwound(path: Path, before: bytes | None, after: bytes | None) -> bytes | None:
    """`before`를 `after`로 고친 일을 지금의 파일에서 무른 내용."""
    refuse_folder(path)
    now = path.read_bytes() if path.is_file() else None
    if now == after or now is None:
        return before
    if before is None:  # 만들어 준 파일에 학생이 더 썼으니 지우지 않습니다.
        return now
    if after is None:
        return before
    base, ours, theirs = (lines_of(one.decode(errors=ANY_BYTES)) for one in (after, now, before))
    merged = "".join(line for _, *parts in Merge3(base, ours, theirs).merge_groups() for line in parts[-1])
    return merged.encode(errors=ANY_BYTES)
