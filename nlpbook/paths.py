"""프로젝트의 폴더들. 어디서 실행해도 같은 곳을 가리키도록 이 파일의 위치에서 셉니다."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nlpbook.errors import UserError, is_disk_full
from nlpbook.process import is_running

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


def require_writable_folder(path: Path | str) -> Path:
    """`path`가 이미 쓸 수 있는 폴더이거나 새로 만들 수 있는 폴더인지, 오래 걸리는 일을 시작하기 전에 봅니다.

    Raises:
        UserError: 그 이름이나 그것을 담을 이름이 파일이거나, 쓸 수 없는 폴더일 때.
    """
    path = Path(path).expanduser()
    existing = next(one for one in (path, *path.absolute().parents) if one.exists())
    if not existing.is_dir():
        raise UserError(f"{shown(existing)} 은(는) 폴더가 아니라 파일입니다. 결과를 둘 다른 폴더의 이름을 적어 주세요.")
    if not os.access(existing, os.W_OK):
        raise UserError(f"{shown(existing)} 폴더에 쓸 수 없습니다. 권한을 확인하거나 다른 폴더의 이름을 적어 주세요.")
    return path


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
def written_aside(path: Path | str) -> Iterator[Path]:
    """파일을 옆에 쓰고 다 쓴 뒤에 이름을 바꿉니다. 도중에 꺼져도 반쯤 쓴 파일이 남의 눈에 띄지 않습니다.

    Yields:
        임시 파일의 경로. 블록이 예외 없이 끝나면 `path`가 되고, 예외가 나면 지워집니다.

    Raises:
        UserError: 디스크에 빈 자리가 없을 때. 앞서 있던 파일은 그대로입니다.
    """
    path = Path(path)
    aside = aside_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with full_disk_explained(path):
            yield aside
            aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def folder_written_aside(path: Path | str) -> Iterator[Path]:
    """폴더를 옆에 쓰고 다 쓴 뒤에 이름을 바꿉니다. 있던 폴더는 새것이 다 쓰인 뒤에 사라집니다.

    Yields:
        임시 폴더의 경로(만들어져 있습니다).
    """
    path = Path(path)
    aside = aside_of(path)
    old = aside_of(path.with_name(f"{path.name}.old"))
    try:
        with full_disk_explained(path):
            aside.mkdir(parents=True)
            yield aside
            if path.exists():
                path.rename(old)
            aside.rename(path)
    finally:
        for one in (aside, old):
            shutil.rmtree(one, ignore_errors=True)


def aside_of(path: Path) -> Path:
    """다 쓸 때까지 쓰는 이름. 누가 쓰던 것인지 알 수 있게 프로세스의 번호를 적습니다."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


LEFT_OVER = re.compile(r"\..+?(?:\.(\d+))?\.tmp")  # 번호가 없는 것은 예전 판의 것입니다.


def remove_leftovers(folder: Path) -> list[Path]:
    """쓰던 프로세스가 죽어 남은 임시 파일과 폴더를 치웁니다. 살아 있는 프로세스의 것은 두고 봅니다.

    Returns:
        치운 것들.
    """
    removed = []
    for path in sorted(folder.rglob(".*.tmp")):
        match = LEFT_OVER.fullmatch(path.name)
        if match and not (match[1] and is_running(int(match[1]))):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            removed.append(path)
    return removed


@contextmanager
def full_disk_explained(path: Path | str) -> Iterator[None]:
    """디스크가 가득 찼다는 예외를, 어느 라이브러리의 것이든 한 문장으로 바꿉니다."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if is_disk_full(error):
            raise UserError(
                f"디스크에 빈 자리가 없어 {shown(path)} 을(를) 저장하지 못했습니다. 앞서 저장한 것은 그대로 있습니다. "
                "자리를 만든 뒤 다시 해 주세요. 학습하던 중이라면 --resume으로 이어집니다."
            ) from error
        raise


def write_text(path: Path | str, text: str) -> None:
    """UTF-8 글을 옆에 쓴 뒤 이름을 바꿉니다. 줄바꿈은 어느 운영체제에서나 `\\n`입니다."""
    with written_aside(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as out:
        out.write(text)


def write_json(path: Path, content: Any) -> None:
    """사람이 읽을 수 있게 들여 쓴 JSON."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def portable(value: Any, run: Path | None = None) -> Any:
    """저장할 값 속의 절대 경로 가운데 실행 폴더나 이 저장소 안의 것을, 옮겨도 맞는 모양으로 바꿉니다.

    `{run}/tokenizer.json`은 실행 폴더에서, `{checkout}/data`는 저장소에서 세는 경로입니다. `located`가 되돌립니다.
    사전과 목록은 속까지 바꾸고, 그 밖의 경로는 그대로 둡니다.
    """
    if isinstance(value, dict):
        return {name: portable(one, run) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(one, run) for one in value]
    if not isinstance(value, str) or not Path(value).is_absolute():
        return value
    for mark, base in (("{run}", run), ("{checkout}", ROOT)):
        if base is not None and Path(value).is_relative_to(base.resolve()):
            return f"{mark}/{Path(value).relative_to(base.resolve()).as_posix()}"
    return value


def located(value: Any, run: Path | None = None) -> Any:
    """`portable`이 바꾼 경로를, 실행 폴더와 저장소가 지금 놓인 곳의 절대 경로로 되돌립니다."""
    if isinstance(value, dict):
        return {name: located(one, run) for name, one in value.items()}
    if isinstance(value, list):
        return [located(one, run) for one in value]
    if isinstance(value, str):
        for mark, base in (("{run}", run), ("{checkout}", ROOT)):
            if base is not None and (value == mark or value.startswith(f"{mark}/")):
                return str(base.resolve() / value[len(mark) + 1 :])
    return value
