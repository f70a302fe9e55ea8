"""읽은 글의 지문: 이어 하는 학습이 처음의 글로 하고 있는지 봅니다.

크기와 내용(SHA-256)만 봅니다. 파일을 옮기거나 복사해도 같은 글이고, 한 글자를 고쳐 크기가 그대로여도 다른 글입니다.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nlpbook.errors import UserError

AT_ONCE = 1 << 20  # 한 번에 읽는 크기(바이트)
LISTED = 3  # 오류에 적는 파일의 수


def fingerprint(files: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """파일들의 이름 → 크기와 SHA-256. 1 GB에 2~3초 걸립니다.

    Args:
        files: 읽을 파일들. 이름은 이들을 함께 담은 폴더에서 세므로, 통째로 옮겨도 같습니다.
    """
    paths = [path.resolve() for path in files]
    if not paths:
        return {}
    home = Path(os.path.commonpath([path.parent for path in paths]))
    return {path.relative_to(home).as_posix(): _print_of(path) for path in paths}


def _print_of(path: Path) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(AT_ONCE):
            digest.update(block)
            size += len(block)
    return {"bytes": size, "sha256": digest.hexdigest()}


def dataset_fingerprint(dataset: Any) -> dict[str, Any]:
    """데이터셋의 예문들(이름 → 수의 목록)의 크기와 SHA-256. 파일이 아니라 학습이 읽는 번호를 봅니다."""
    digest, size = hashlib.sha256(), 0
    for index in range(len(dataset)):
        example = dataset[index]
        block = repr([(name, list(map(int, example[name]))) for name in sorted(example)]).encode()
        digest.update(block)
        size += len(block)
    return {"bytes": size, "sha256": digest.hexdigest()}


def changes(before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """무엇이 달라졌는지 파일마다 한 마디로. 같으면 빈 목록입니다.

    파일이 하나뿐이면 이름은 보지 않습니다. 이름만 바꾼 글은 같은 글입니다.
    """
    if len(before) == len(now) == 1 and [*before.values()] == [*now.values()]:
        return []
    found = []
    for name in sorted({*before, *now}):
        if name not in now:
            found.append(f"{name}이(가) 없어졌습니다")
        elif name not in before:
            found.append(f"{name}이(가) 새로 생겼습니다")
        elif before[name] != now[name]:
            sizes = f"{before[name]['bytes']:,} → {now[name]['bytes']:,}바이트"
            found.append(f"{name}의 내용이 바뀌었습니다({sizes})")
    return found


def require_same_data(
    before: Mapping[str, Mapping[str, Any]] | None, now: Mapping[str, Mapping[str, Any]], accepted: bool
) -> list[str]:
    """이어 하는 학습의 글이 처음과 같은지 봅니다.

    Args:
        before: 처음의 지문. 예전 판의 실행이라 없으면 None이고, 보지 않습니다.
        now: 지금의 지문.
        accepted: 사람이 바뀐 글을 받아들였는가.

    Returns:
        받아들인 변화들.

    Raises:
        UserError: 받아들이지 않은 변화가 있을 때. 무엇이 바뀌었는지 적습니다.
    """
    found = changes(before, now) if before else []
    if found and not accepted:
        more = f" 외 {len(found) - LISTED}개" if len(found) > LISTED else ""
        raise UserError(
            f"글이 이 학습을 시작할 때와 달라졌습니다: {', '.join(found[:LISTED])}{more}. 그때의 글로 되돌리거나, 바뀐 "
            "글로 이어 하려면 --accept_changed_data를 더하거나, 새로 학습해 주세요."
        )
    return found
