"""검사가 배포된 그대로인지 봅니다. 고쳐진 검사의 통과는 통과가 아닙니다.

`build`가 검사 파일들의 해시를 `tests/<과제>/manifest.json`에 적고, 검사할 때마다 견줍니다. 줄바꿈의 차이(Windows의
CRLF)는 보지 않습니다. 작정한 사람은 목록까지 고칠 수 있으므로, 채점은 강사의 저장소에 있는 검사로
합니다(`--target <제출 폴더>`).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from course.book.tasks import Task

MANIFEST = "manifest.json"


def manifest_file(task: Task) -> Path:
    return task.tests / MANIFEST


def manifest_text(task: Task) -> str:
    """지금 있는 검사 파일들의 목록과 해시(JSON)."""
    return json.dumps(_hashes(task), indent=2) + "\n"


def tampered(task: Task) -> list[str]:
    """목록과 다른 검사 파일의 이름들. 비어 있으면 배포된 그대로입니다."""
    try:
        wanted = json.loads(manifest_file(task).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [MANIFEST]
    now = _hashes(task)
    return sorted(name for name in wanted.keys() | now.keys() if wanted.get(name) != now.get(name))


def _hashes(task: Task) -> dict[str, str]:
    files = [*task.tests.glob("test_step*.py"), *task.tests.glob("support.py"), *task.tests.glob("conftest.py")]
    return {path.name: _hash(path) for path in sorted(files)}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
