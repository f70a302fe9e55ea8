"""새 판의 실습 파일을 학생의 파일에 합칩니다(세 갈래 병합, TODO마다).

자리 속의 답은 학생의 것이 남고, 자리 밖의 설명과 뼈대는 새 판을 따릅니다. 자리 밖을 학생도 고쳤고 새 판도 고친 줄은 새 판을
쓰되, 학생의 줄을 주석으로 남겨 표시합니다. 그래서 합친 파일은 언제나 바른 파이썬입니다. 고치기 전의 파일은 모두 남습니다.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from merge3 import Merge3

from course.edits import overwrite, read_student_file, same_code, untouched_text
from course.paths import ROOT, STEP_NAME, TASK_NAME, CourseError, Task
from course.regions import Region, RegionError, parse

MINE, THEIRS, CLOSE = "# <<<<<<< 내가 고친 것", "# ======= 새 판", "# >>>>>>>"
PLACE = "\0{}\n"  # 병합하는 동안 자리의 코드를 대신하는 줄. 파이썬 파일에는 나올 수 없는 글자입니다.
UPDATED = ("course", "nlpbook", "tests", "solutions", "templates", "scripts", "benchmarks", "notebooks", "docs")
UPDATED_FILES = (".py", ".yaml", ".yml", ".html", ".md", ".txt", ".toml", ".ipynb", ".json", ".png")


@dataclass
class Merged:
    """파일 하나를 합친 결과.

    Attributes:
        text: 합친 내용.
        kept: 학생의 답이 남은 TODO.
        added: 새 판에 새로 생긴 TODO.
        removed: 새 판에서 사라졌지만 학생이 답을 쓴 TODO → 그 답.
        changed_goals: 할 일이나 힌트가 달라진 TODO.
        conflicts: 주석으로 남긴 곳의 수.
    """

    text: str
    kept: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    removed: dict[str, str] = field(default_factory=dict)
    changed_goals: list[str] = field(default_factory=list)
    conflicts: int = 0


def merge(base: str, mine: str, theirs: str, file: str = "<글>") -> Merged:
    """세 갈래 병합.

    Args:
        base: 학생이 받았던 처음 모습.
        mine: 학생의 파일.
        theirs: 새 판의 처음 모습.

    Raises:
        RegionError: 학생의 파일이나 새 판의 자리 표시가 깨졌을 때.
    """
    base_codes, base_lines = _split(base, file)
    my_codes, my_lines = _split(mine, file)
    their_codes, their_lines = _split(theirs, file)
    result = Merged("")
    codes = {}
    for todo_id, code in their_codes.items():
        own = my_codes.get(todo_id)
        if own is not None and not same_code(own, base_codes.get(todo_id, "")):
            codes[todo_id] = own
            result.kept.append(todo_id)
        else:
            codes[todo_id] = code
        if todo_id not in base_codes:
            result.added.append(todo_id)
    for todo_id, own in my_codes.items():
        if todo_id not in their_codes and not same_code(own, base_codes.get(todo_id, "")):
            result.removed[todo_id] = own
    result.changed_goals = _changed_goals(base, theirs, file)
    lines: list[str] = []
    for kind, *parts in Merge3(base_lines, my_lines, their_lines).merge_groups():
        if kind != "conflict":
            lines += parts[0]
            continue
        _, own, new = parts
        remark = [line for line in own if not line.startswith("\0") and line.strip()]
        if remark:
            result.conflicts += 1
            indent = remark[0][: len(remark[0]) - len(remark[0].lstrip())]
            lines.append(f"{indent}{MINE}\n")
            lines += [f"{indent}# {line[len(indent) :] if line.startswith(indent) else line.lstrip()}" for line in remark]
            lines.append(f"{indent}{THEIRS}\n")
            lines += new
            lines.append(f"{indent}{CLOSE}\n")
        else:
            lines += new
    expanded = []
    seen: set[str] = set()
    for line in lines:
        if line.startswith("\0"):
            todo_id = line[1:].strip()
            if todo_id not in seen and todo_id in codes:
                expanded.append(codes[todo_id])
            seen.add(todo_id)
        else:
            expanded.append(line)
    result.text = "".join(expanded)
    return result


def _split(text: str, file: str) -> tuple[dict[str, str], list[str]]:
    """(자리마다의 코드, 코드를 한 줄짜리 표시로 바꾼 나머지). 줄바꿈은 `\\n`으로 맞춥니다."""
    text = text.replace("\r\n", "\n")
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    if lines[-1] == "":
        lines.pop()
    codes: dict[str, str] = {}
    rest: list[str] = []
    at = 0
    for region in parse(text, file):
        codes[region.id] = "".join(lines[region.code_begin : region.end])
        rest += [*lines[at : region.code_begin], PLACE.format(region.id)]
        at = region.end
    return codes, rest + lines[at:]


def _changed_goals(base: str, theirs: str, file: str) -> list[str]:
    def told(region: Region) -> tuple[str, str]:
        return region.goal, region.hint

    before = {region.id: told(region) for region in parse(base, file)}
    return [one.id for one in parse(theirs, file) if one.id in before and told(one) != before[one.id]]


class Source:
    """새 판이 든 폴더나 zip. 어느 쪽이든 저장소 안의 경로로 읽습니다.

    Raises:
        CourseError: 없거나 이 강의의 저장소가 아닐 때.
    """

    def __init__(self, path: Path) -> None:
        self.files: dict[str, bytes] = {}
        if path.is_dir():
            self.files = {
                one.relative_to(path).as_posix(): one.read_bytes()
                for one in path.rglob("*")
                if one.is_file() and _is_updated(one.relative_to(path).as_posix())
            }
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    inner = _inside_repository(name)
                    if inner and _is_updated(inner):
                        self.files[inner] = archive.read(name)
        else:
            raise CourseError(f"새 판을 찾지 못했습니다: {path}. 저장소의 폴더나 내려받은 zip 파일을 주세요.")
        if not any(_is_step(name) for name in self.files):
            raise CourseError(f"{path}에는 단계 파일이 없습니다. 이 강의의 저장소가 맞는지 확인해 주세요.")

    def steps(self) -> list[str]:
        return sorted(name for name in self.files if _is_step(name))


def _inside_repository(name: str) -> str | None:
    """zip 속 이름에서 맨 앞의 폴더(`저장소-main/`)를 뗍니다. 밖으로 나가는 경로는 버립니다."""
    parts = PurePosixPath(name).parts
    if name.endswith("/") or ".." in parts or name.startswith("/"):
        return None
    for start in (0, 1):
        inner = "/".join(parts[start:])
        if inner and (_is_updated(inner) or _is_step(inner)):
            return inner
    return None


def _is_step(name: str) -> bool:
    parts = name.split("/")
    return len(parts) == 2 and bool(TASK_NAME.fullmatch(parts[0])) and bool(STEP_NAME.fullmatch(parts[1]))


def _is_updated(name: str) -> bool:
    """새 판이 갈아 끼우는 파일인가. 학생의 결과(`output/`)와 설정은 건드리지 않습니다."""
    top = name.split("/")[0]
    if _is_step(name):
        return True
    if "__pycache__" in name or not name.endswith(UPDATED_FILES):
        return False
    return top in UPDATED or ("/" not in name and name != "course-gate.yaml")


@dataclass
class Report:
    """합친 일 전체.

    Attributes:
        merged: 단계 파일 → 결과.
        left_alone: 표시가 깨져 그대로 둔 파일 → 까닭.
        others: 갈아 끼운 그 밖의 파일의 수.
    """

    merged: dict[str, Merged] = field(default_factory=dict)
    left_alone: dict[str, str] = field(default_factory=dict)
    others: int = 0


def update(source: Source) -> Report:
    """단계 파일은 합치고, 나머지는 새 판으로 갈아 끼웁니다. 한 번의 `undo`로 모두 되돌릴 수 있습니다."""
    report, writes = Report(), []
    for name in source.steps():
        theirs = source.files[name].decode("utf-8-sig")
        path, task = ROOT / name, Task(name.split("/")[0])
        if not path.is_file():
            writes.append((path, theirs))
            continue
        mine = read_student_file(path)
        try:
            merged = merge(untouched_text(task, path.name), mine, theirs, path.name)
        except RegionError as error:
            report.left_alone[name] = str(error)
            continue
        report.merged[name] = merged
        writes.append((path, merged.text))
    for name, content in source.files.items():
        if not _is_step(name) and not name.endswith(".png"):
            path = ROOT / name
            if not path.is_file() or path.read_bytes() != content:
                report.others += 1
                writes.append((path, content.decode("utf-8")))
    overwrite(writes, "update")
    return report
