"""검사가 나누어 준 그대로인지 봅니다. 고쳐진 검사의 통과는 통과가 아닙니다.

해답 없이 나누어 준 것에는 검사 파일들의 해시가 `checks/manifest.json`에 들어 있고, 검사할 때마다 견줍니다. 그것이
없으면 git의 마지막 커밋과 견줍니다. `update`로 받은 검사는 그 둘과 다르므로, 받을 때 적어 둔 것(`received_file`)과도
견줍니다. 해답이 있는 저장소는 검사를 고치는 사람의 것이므로 고친 검사로도 판정하고, `status`가 그렇다고 알립니다.
줄바꿈의 차이(Windows의 CRLF)는 보지 않습니다. 작정한 사람은 목록까지 고칠 수 있으므로, 채점은 강사의 저장소에 있는
검사로 합니다(`--target <제출 폴더>`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from course.book import git
from course.book.tasks import Task

MANIFEST = "manifest.json"
_compared: dict[Path, tuple[list, list[str]]] = {}  # 검사의 폴더 → (그때의 파일들, git과 다른 것들)


def manifest_file(task: Task) -> Path:
    return task.checks / MANIFEST


def received_file(task: Task) -> Path:
    """`update`가 가져온 검사들의 목록을 적어 두는 곳."""
    return task.home.state / "checks" / f"{task.name}.json"


def manifest_text(task: Task) -> str:
    """지금 있는 검사 파일들의 목록과 해시(JSON)."""
    return listed({path.relative_to(task.checks).as_posix(): path.read_bytes() for path in _files(task)})


def listed(files: dict[str, bytes]) -> str:
    """`checks`에서 잰 이름 → 내용을, 이름마다 해시를 적은 목록(JSON)으로."""
    return json.dumps({name: _sha256(content) for name, content in files.items()}, indent=2) + "\n"


def tampered(task: Task) -> list[str]:
    """나누어 준 것과 달라, 판정에 쓸 수 없는 검사 파일의 이름들. 비어 있으면 그대로이거나, 견줄 것이 없습니다."""
    if task.solution.is_dir() and not manifest_file(task).is_file():
        return []
    return changed(task)


def changed(task: Task) -> list[str]:
    """받은 것과 다른 검사 파일의 이름들: 목록이나 마지막 커밋과도, 마지막 `update`와도 다른 것."""
    if manifest_file(task).is_file():
        wanted = _list_in(manifest_file(task))
        found = [MANIFEST] if wanted is None else _differences(wanted, _hashes(task, _sha256))
    else:
        found = changed_since_commit(task)
    received = _list_in(received_file(task)) if found else None
    return found if received is None else min(found, _differences(received, _hashes(task, _sha256)), key=len)


def _list_in(file: Path) -> dict[str, str] | None:
    """적어 둔 목록. 없거나 읽을 수 없으면 None."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def changed_since_commit(task: Task) -> list[str]:
    """git의 마지막 커밋과 다른 검사 파일의 이름들. git으로 받은 것이 아니면 비어 있습니다.

    파일이 그대로인 동안에는 git을 다시 부르지 않습니다.
    """
    now = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in _files(task)]
    if _compared.get(task.checks, (None,))[0] != now:
        root = task.tests.parents[1]
        committed = {name: one for name, one in git.blobs(root, task.checks).items() if name.endswith(".py")}
        found = _differences(committed, _hashes(task, git.blob_hash)) if committed else []
        _compared[task.checks] = now, found
    return _compared[task.checks][1]


def _differences(wanted: dict[str, str], now: dict[str, str]) -> list[str]:
    return sorted(name for name in wanted.keys() | now.keys() if wanted.get(name) != now.get(name))


def _files(task: Task) -> list[Path]:
    return sorted(task.checks.rglob("*.py"))


def _hashes(task: Task, of: Callable[[bytes], str]) -> dict[str, str]:
    """`checks`에서 잰 이름 → 해시."""
    return {path.relative_to(task.checks).as_posix(): of(path.read_bytes()) for path in _files(task)}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()
