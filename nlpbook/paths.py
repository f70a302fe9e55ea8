"""프로젝트의 폴더들. 어디서 실행해도 같은 곳을 가리키도록 이 파일의 위치에서 셉니다."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"
MODELS = DATA / "models"
TEMPLATES = ROOT / "templates"
OUTPUT = ROOT / "output"


def shown(path: Path | str) -> str:
    """사람에게 보일 경로. 지금 폴더 아래에 있으면 짧게, 아니면 전체를 적습니다."""
    path = Path(path)
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@contextmanager
def written_aside(path: Path | str):
    """파일을 옆에 쓰고 다 쓴 뒤에 이름을 바꿉니다. 도중에 꺼져도 반쯤 쓴 파일이 남의 눈에 띄지 않습니다.

    Yields:
        임시 파일의 경로. 블록이 예외 없이 끝나면 `path`가 되고, 예외가 나면 지워집니다.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """UTF-8 글을 옆에 쓴 뒤 이름을 바꿉니다. 줄바꿈은 어느 운영체제에서나 `\\n`입니다."""
    with written_aside(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as out:
        out.write(text)


def write_json(path: Path, content: Any) -> None:
    """사람이 읽을 수 있게 들여 쓴 JSON."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
