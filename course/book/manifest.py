"""검사가 나누어 준 그대로인지 봅니다. 고쳐진 검사의 통과는 통과가 아닙니다.

해답 없이 나누어 준 것에는 검사 파일들의 해시가 `checks/manifest.json`에 들어 있고, 검사할 때마다 견줍니다. 그것이
없으면 git의 마지막 커밋과 견줍니다. 해답이 있는 저장소는 검사를 고치는 사람의 것이므로 견주지 않습니다. 줄바꿈의
차이(Windows의 CRLF)는 보지 않습니다. 작정한 사람은 목록까지 고칠 수 있으므로, 채점은 강사의 저장소에 있는 검사로
합니다(`--target <제출 폴더>`).
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


def manifest_text(task: Task) -> str:
    """지금 있는 검사 파일들의 목록과 해시(JSON)."""
    return json.dumps(_hashes(task, _sha256), indent=2) + "\n"


def tampered(task: Task) -> list[str]:
    """나누어 준 것과 다른 검사 파일의 이름들. 비어 있으면 그대로이거나, 견줄 것이 없습니다."""
    if manifest_file(task).is_file():
        try:
            wanted = dict(json.loads(manifest_file(task).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return [MANIFEST]
        return _differences(wanted, _hashes(task, _sha256))
    return [] if task.solution.is_dir() else changed_since_commit(task)


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
    files = _files(task)
    return {path.relative_to(task.checks).as_posix(): of(path.read_bytes().replace(b"\r\n", b"\n")) for path in files}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
