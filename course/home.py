"""저장소의 폴더와 파일. 어디서 실행해도 같은 곳을 가리킵니다."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOLUTIONS = ROOT / "solutions"
STATE = ROOT / ".course"


class CourseError(Exception):
    """사람에게 그대로 보일, 한국어 한 문장의 오류."""


def write_text(path: Path, text: str) -> None:
    """UTF-8로 옆에 쓴 뒤 이름을 바꿉니다."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("w", encoding="utf-8", newline="\n") as out:
            out.write(text)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
