"""프로젝트의 폴더들. 어디서 실행해도 같은 곳을 가리키도록 이 파일의 위치에서 셉니다."""

from __future__ import annotations

import json
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nlpbook.errors import UserError

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
    except (ValueError, OSError, RuntimeError):  # 맴도는 링크는 Python 3.12까지 RuntimeError입니다.
        return str(path)


SPECIAL_FILES = {
    stat.S_IFIFO: "이름 있는 파이프(FIFO)",
    stat.S_IFSOCK: "소켓",
    stat.S_IFCHR: "장치",
    stat.S_IFBLK: "장치",
    stat.S_IFDIR: "폴더",
}


def require_regular_file(path: Path | str) -> None:
    """열어서 끝까지 읽을 수 있는 보통 파일인지, 열기 전에 봅니다. 파이프나 장치는 여는 것만으로 멈추어 버립니다.

    파일이 없는 것은 여기서 알리지 않습니다. 무엇이 없는지는 여는 쪽이 더 잘 압니다.

    Raises:
        UserError: 보통 파일이 아니거나, 링크가 저를 가리키며 맴돌 때.
    """
    try:
        kind = stat.S_IFMT(Path(path).stat().st_mode)
    except FileNotFoundError:
        return
    except OSError as error:  # 맴도는 링크(ELOOP)와 읽을 수 없는 폴더
        raise UserError(
            f"파일을 열 수 없습니다: {shown(path)} ({error.strerror}). 링크와 권한을 확인해 주세요."
        ) from None
    if kind != stat.S_IFREG:
        what = SPECIAL_FILES.get(kind, "특별한 파일")
        raise UserError(f"{shown(path)} 은(는) 보통 파일이 아니라 {what}입니다. 글이 든 파일을 주세요.")


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
