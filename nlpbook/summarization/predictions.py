"""요약을 파일에 적습니다. 도중에 꺼져도 쓴 데까지 남고, 다시 실행하면 이어서 같은 파일이 됩니다.

배치 하나를 쓸 때마다 일지(journal)에 한 줄을 더합니다. 다 쓰면 CSV를 옆에 쓴 뒤 이름을 바꾸고, 일지를 지웁니다. 묶는
법이 달라지면 채움의 수가 달라져 요약도 달라질 수 있으므로, 이어 할 때도 처음과 같은 배치로 씁니다.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nlpbook.errors import UserError
from nlpbook.paths import full_disk_explained, require_writable_folder, shown, written_aside

COLUMNS = ("fname", "summary")


class Journal:
    """쓴 데까지의 기록.

    Args:
        path: 기록할 파일.
        facts: 요약을 정하는 것들(대화, 모델, 생성 설정, 배치 크기). 앞의 기록과 다르면 처음부터 씁니다.

    Attributes:
        summaries: 예문 번호 → 요약.
        restarted: 앞의 기록이 있었지만 다른 것의 기록이라 쓰지 않았는가.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path = path
        self.summaries: dict[int, str] = {}
        self.restarted = False
        self._mark = json.loads(json.dumps({"facts": dict(facts)}, ensure_ascii=False))
        kept = self._read()
        path.parent.mkdir(parents=True, exist_ok=True)
        with full_disk_explained(path):
            path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in kept), encoding="utf-8")

    def _read(self) -> list[dict[str, Any]]:
        """온전한 줄들. 꺼지던 순간의 반쯤 쓴 마지막 줄은 버립니다."""
        if not self.path.is_file():
            return [self._mark]
        lines = self.path.read_bytes().split(b"\n")[:-1]  # 줄바꿈까지 쓴 것만
        entries = [one for one in map(_entry, lines) if one is not None]
        if not entries or entries[0] != self._mark:
            self.restarted = bool(entries)
            return [self._mark]
        for one in entries[1:]:
            self.summaries.update(zip(one["numbers"], one["summaries"], strict=True))
        return entries

    def has(self, numbers: Sequence[int]) -> bool:
        """이 예문들의 요약을 모두 적어 두었는가."""
        return all(number in self.summaries for number in numbers)

    def add(self, numbers: Sequence[int], summaries: Sequence[str]) -> None:
        """배치 하나의 요약을 적습니다. 돌아오면 파일에 적힌 것입니다.

        Raises:
            ValueError: 번호와 요약의 수가 다를 때.
        """
        self.summaries.update(zip(numbers, summaries, strict=True))
        line = json.dumps({"numbers": list(numbers), "summaries": list(summaries)}, ensure_ascii=False)
        with full_disk_explained(self.path), self.path.open("ab") as out:
            out.write(line.encode("utf-8", "replace") + b"\n")

    def close(self) -> None:
        """다 썼습니다. 기록을 지웁니다."""
        self.path.unlink(missing_ok=True)


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        read = json.loads(line)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def journal_of(path: Path) -> Path:
    """결과 파일 곁의 일지."""
    return path.with_name(f"{path.name}.part")


def require_output(source: Path, target: Path) -> Path:
    """요약을 적을 파일의 이름이 쓸 만한지, 쓰기 전에 봅니다.

    Raises:
        UserError: 읽을 파일과 같거나, 폴더이거나, 쓸 수 없을 때.
    """
    target = target.expanduser()
    if target.is_dir():
        raise UserError(f"--output {shown(target)} 은(는) 폴더입니다. CSV 파일의 이름까지 적어 주세요.")
    if target.exists() and source.exists() and target.samefile(source):
        raise UserError("--input 과 --output 이 같은 파일입니다. 읽은 대화를 덮어쓰지 않도록 다른 이름을 적어 주세요.")
    require_writable_folder(target.parent)
    return target


def write_predictions(path: Path, names: Sequence[str], summaries: Sequence[str]) -> None:
    """`fname,summary`의 CSV. UTF-8이고, 줄바꿈은 어느 운영체제에서나 `\\n`입니다."""
    with written_aside(path) as aside, aside.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(zip(names, summaries, strict=True))


def length_ordered_batches(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """긴 것부터 `batch_size`개씩 묶은 번호들. 길이가 같으면 앞의 것부터입니다."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    return [order[first : first + batch_size] for first in range(0, len(order), batch_size)]


def without(text: str, tokens: Sequence[str]) -> str:
    """요약에서 `tokens`를 지운 것."""
    for token in tokens:
        text = text.replace(token, " ")
    return " ".join(text.split()) if tokens else text
