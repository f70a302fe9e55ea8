"""어떤 파일을 글로 읽을지 고릅니다: 폴더 속의 `.txt`들, 그리고 글이 아닌 것을 글로 배우지 않기.

건너뛴 것은 조용히 지나치지 않고 세어서 알립니다. 열면 멈추어 버리는 것(파이프, 장치)은 열기 전에 알립니다.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from nlpbook.errors import UserError
from nlpbook.paths import require_regular_file, shown

TEXT_SUFFIX = ".txt"
HEAD = 64 * 1024  # 글인지 알아볼 때 읽는 앞부분(바이트)
SAMPLED_LINES = 20  # 앞부분에서 JSON인지 볼 줄의 수
UTF16 = (b"\xff\xfe", b"\xfe\xff")  # 읽을 때 UTF-8이 아니라고 알립니다.
BINARY = {  # 파일의 첫 바이트들 → 사람이 부르는 이름
    b"PK\x03\x04": "압축 파일이나 문서(zip, docx, hwpx)",
    b"%PDF": "PDF",
    b"\xd0\xcf\x11\xe0": "한글이나 오피스 문서(hwp, doc)",
    b"\x1f\x8b": "gzip 압축 파일",
    b"\x89PNG": "그림",
    b"\xff\xd8\xff": "그림",
    b"PAR1": "parquet",
    b"SQLite": "데이터베이스",
}
# 한 파일 전체가 JSON 하나일 때의 처음: `{ "이름":` 또는 `[ { "`
JSON_START = re.compile(r'\s*(\{\s*"(?:[^"\\]|\\.)*"\s*:|\[\s*\{\s*")')
NOTEBOOK = re.compile(r'\s*\{\s*"(cells|nbformat|metadata)"\s*:')


@dataclass
class TextFolder:
    """폴더에서 찾은 글들.

    Attributes:
        files: 읽을 파일들. 하위 폴더의 것까지, 폴더에서의 경로순입니다.
        hidden: 건너뛴 숨김 파일과 숨김 폴더의 수(`._이름`, `.git`, `__MACOSX`).
        others: 건너뛴 다른 형식의 확장자 → 수. README와 LICENSE는 글의 설명이므로 세지 않습니다.
    """

    path: Path
    files: list[Path] = field(default_factory=list)
    hidden: int = 0
    others: Counter[str] = field(default_factory=Counter)

    def summary(self) -> str | None:
        """건너뛴 것이나 하위 폴더가 있으면 사람에게 알릴 한 줄, 없으면 None."""
        skipped = [f"숨김 파일 {self.hidden:,}개"] if self.hidden else []
        skipped += [f"{suffix} {count:,}개" for suffix, count in sorted(self.others.items())]
        folders = len({file.parent for file in self.files} - {self.path})
        if not (skipped or folders):
            return None
        inner = f"(하위 폴더 {folders:,}개에서도)" if folders else ""
        rest = f" 읽지 않은 것: {', '.join(skipped)}." if skipped else ""
        return f"{shown(self.path)} 폴더에서 {TEXT_SUFFIX} 파일 {len(self.files):,}개를 읽습니다{inner}.{rest}"


def find_texts(folder: Path) -> TextFolder:
    """폴더와 그 하위 폴더의 `.txt` 파일들. 확장자는 대문자여도 됩니다.

    Raises:
        UserError: 글이 하나도 없거나, 하위 폴더가 자기를 담은 폴더를 가리키거나, `.txt`가 보통 파일이 아닐 때.
    """
    found = TextFolder(folder)
    seen: set[Path] = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        real = Path(here).resolve()
        if real in seen:
            raise UserError(
                f"{shown(here)} 은(는) 이미 읽은 폴더를 다시 가리키는 링크입니다. 링크를 지우고 다시 실행해 주세요."
            )
        seen.add(real)
        visible = [name for name in folders if not _is_hidden(name)]
        found.hidden += len(folders) - len(visible)
        folders[:] = sorted(visible)
        for name in names:
            _sort_in(found, Path(here) / name)
    found.files.sort()
    if not found.files:
        skipped = f" {summary}" if (summary := found.summary()) else ""
        raise UserError(f"{folder} 폴더에 .txt 파일이 없습니다. UTF-8 글을 .txt로 넣어 주세요.{skipped}")
    return found


def _refuse(error: OSError) -> None:
    raise UserError(f"폴더를 읽을 수 없습니다: {shown(error.filename)} ({error.strerror}).")


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _sort_in(found: TextFolder, path: Path) -> None:
    if _is_hidden(path.name):
        found.hidden += 1
    elif path.suffix.lower() == TEXT_SUFFIX:
        require_plain_text(path)
        found.files.append(path)
    elif path.stem.upper() not in ("README", "LICENSE"):
        found.others[path.suffix.lower() or "확장자 없는 파일"] += 1


def require_plain_text(path: Path) -> None:
    """글이 아닌 것이 뻔한 파일을, 배우기 전에 이름을 불러 알립니다. 앞부분만 읽습니다.

    Raises:
        UserError: 보통 파일이 아니거나, 열 수 없거나, 이진 파일이거나, JSON(노트북, JSON Lines)일 때.
    """
    require_regular_file(path)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise UserError(f"글을 읽을 수 없습니다: {shown(path)} ({error.strerror}).") from None
    if head.startswith(UTF16):
        return
    if kind := _binary_kind(head):
        raise UserError(f"{shown(path)} 은(는) 글이 아니라 {kind}입니다. 글만 UTF-8 .txt로 저장해 --data에 주세요.")
    text = head.decode("utf-8-sig", "replace")
    if path.suffix.lower() == ".ipynb" or NOTEBOOK.match(text):
        raise UserError(f"{shown(path)} 은(는) 노트북(.ipynb)입니다. 글만 UTF-8 .txt로 저장해 --data에 주세요.")
    if _is_json(text, whole=len(head) < HEAD):
        raise UserError(
            f"{shown(path)} 은(는) 글이 아니라 JSON입니다. 그대로 배우면 모델이 괄호와 \\uac00 같은 기호를 배웁니다. "
            "글이 든 항목만 꺼내 UTF-8 .txt로 저장해 --data에 주세요."
        )


def _binary_kind(head: bytes) -> str | None:
    for start, kind in BINARY.items():
        if head.startswith(start):
            return kind
    return "이진 파일" if b"\0" in head else None


def _is_json(text: str, whole: bool) -> bool:
    """JSON 하나이거나, 줄마다 JSON인가(JSON Lines). 괄호로 시작하는 보통 글은 아닙니다."""
    if JSON_START.match(text):
        return True
    lines = text.split("\n")
    lines = [line for line in (lines if whole else lines[:-1]) if line.strip()][:SAMPLED_LINES]
    return bool(lines) and all(_is_json_record(line) for line in lines)


def _is_json_record(line: str) -> bool:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, (dict, list)) or "\\u" in line  # 따옴표로 감싼 줄은 소설의 대화이기도 합니다.
