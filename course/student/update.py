"""새 판의 실습 파일을 학생의 파일에 합칩니다(세 갈래 병합, TODO마다).

자리 속의 답은 학생의 것이 남고, 자리 밖의 설명과 뼈대는 새 판을 따릅니다. 자리 밖을 학생도 고쳤고 새 판도 고친 줄은 새
판을 쓰되, 학생의 줄을 주석으로 남겨 표시합니다. 답을 뺀 뼈대는 언제나 바른 파이썬입니다. 고치기 전의 파일은 모두
남습니다.
"""

from __future__ import annotations

import ast
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from merge3 import Merge3

from course.book.backups import in_style_of, overwrite
from course.book.gone import LIST, gone_paths
from course.book.locking import editing
from course.book.manifest import listed, received_file
from course.book.regions import Region, RegionError, lines_of, parse
from course.book.tasks import STEP_NAME, TASK_NAME, Task, is_companion
from course.book.untouched import read_student_file, untouched_text
from course.home import CourseError, Home
from course.student.edits import same_code

MINE, THEIRS, CLOSE = "# <<<<<<< 내가 고친 것", "# ======= 새 판", "# >>>>>>>"
PLACE = "\0{}\n"  # 병합하는 동안 자리의 코드를 대신하는 줄. 파이썬 파일에는 나올 수 없는 글자입니다.
UPDATED = (
    "course",
    "nlpbook",
    "tests",
    "solutions",
    "templates",
    "scripts",
    "benchmarks",
    "notebooks",
    "docs",
    "data",
)
UPDATED_FILES = (
    *(".py", ".typed", ".yaml", ".yml", ".toml", ".json", ".csv", ".txt", ".md"),
    *(".html", ".ipynb", ".sh", ".bat", ".png", ".safetensors"),
)


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
        surroundings_moved: 자리 밖이 달라졌는가.
        set_aside: 자리 밖에 학생이 쓴 것을 합칠 수 없어, 새 판의 뼈대에 답만 옮겼는가.
    """

    text: str = ""
    kept: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    removed: dict[str, str] = field(default_factory=dict)
    changed_goals: list[str] = field(default_factory=list)
    conflicts: int = 0
    surroundings_moved: bool = False
    set_aside: bool = False


@dataclass(frozen=True)
class _Parts:
    """자리와 나머지로 나눈 파일. 줄은 모두 `\\n`으로 끝나고, `lines`에서는 자리의 코드가 한 줄짜리 표시입니다."""

    regions: dict[str, Region]
    codes: dict[str, str]
    lines: list[str]


def merge(base: str, mine: str, theirs: str, file: str = "<글>") -> Merged:
    """세 갈래 병합.

    Args:
        base: 학생이 받았던 처음 모습.
        mine: 학생의 파일.
        theirs: 새 판의 처음 모습.

    Raises:
        RegionError: 학생의 파일이나 새 판의 자리 표시가 깨졌거나 지워졌을 때.
    """
    old, own, new = (_split(text, file) for text in (base, mine, theirs))
    if gone := [todo_id for todo_id in old.codes if todo_id not in own.codes]:
        raise RegionError(f"{file}에서 TODO {', '.join(gone)}의 표시 줄이 지워졌습니다.")
    result = Merged(
        added=[todo_id for todo_id in new.codes if todo_id not in old.codes],
        changed_goals=[
            one.id for one in new.regions.values() if one.id in old.regions and _told(one) != _told(old.regions[one.id])
        ],
        surroundings_moved=old.lines != new.lines,
    )
    codes = dict(new.codes)
    for todo_id, code in own.codes.items():
        before = old.codes.get(todo_id, "")
        if todo_id in new.codes and code != before:  # 주석만 더했어도 학생의 글입니다.
            codes[todo_id] = _indented(code, own.regions[todo_id].indent, new.regions[todo_id].indent)
            if not same_code(code, before):
                result.kept.append(todo_id)
        elif todo_id not in old.codes:  # 학생이 스스로 만든 자리
            codes[todo_id] = code
    gone_codes = {PLACE.format(todo_id): code for todo_id, code in own.codes.items() if todo_id not in new.codes}
    lines, result.conflicts = _merge_lines(old.lines, own.lines, new.lines, gone_codes)
    own_places = [todo_id for todo_id in codes if todo_id not in new.codes and PLACE.format(todo_id) in lines]
    if not _is_sound(lines, {**codes, **new.codes}, [*new.codes, *own_places]):
        lines, result.conflicts, result.set_aside, own_places = new.lines, 0, old.lines != own.lines, []
    result.text = _filled(lines, codes)
    result.removed = {
        todo_id: code
        for todo_id, code in own.codes.items()
        if todo_id not in new.codes and todo_id not in own_places and not same_code(code, old.codes.get(todo_id, ""))
    }
    return result


def _split(text: str, file: str) -> _Parts:
    if "\0" in text:
        raise RegionError(f"{file}에 파이썬 파일에 있을 수 없는 글자(NUL)가 있습니다.")
    lines = [line.rstrip("\r\n") + "\n" for line in lines_of(text)] or ["\n"]
    regions = {region.id: region for region in parse("".join(lines), file)}
    codes: dict[str, str] = {}
    rest: list[str] = []
    at = 0
    for region in regions.values():
        codes[region.id] = "".join(lines[region.code_begin : region.end])
        rest += [*lines[at : region.code_begin], PLACE.format(region.id)]
        at = region.end
    return _Parts(regions, codes, rest + lines[at:])


def _told(region: Region) -> tuple[str, str]:
    return region.goal, region.hint


def _indented(code: str, old: str, new: str) -> str:
    """자리가 안이나 밖으로 옮겨 갔으면 답의 들여쓰기도 옮깁니다."""
    if old == new:
        return code
    return "".join(new + line.removeprefix(old) if line.strip() else line for line in lines_of(code))


def _merge_lines(old: list[str], own: list[str], new: list[str], gone_codes: dict[str, str]) -> tuple[list[str], int]:
    """자리 밖의 줄들을 합칩니다. 둘 다 고친 곳은 새 판의 것이고, 학생의 줄은 그 위에 주석으로 남습니다.

    Args:
        gone_codes: 새 판에 없는 자리의 표시 → 그 코드. 주석으로 남길 때 씁니다.

    Returns:
        (합친 줄들, 주석으로 남긴 곳의 수).
    """
    lines: list[str] = []
    conflicts = 0
    for kind, *parts in Merge3(old, own, new).merge_groups():
        lines_before, lines_own = (parts[0], parts[1]) if kind == "conflict" else ([], [])
        remark = [
            line
            for one in lines_own
            if one not in lines_before and one not in parts[-1]
            for line in (lines_of(gone_codes.get(one, "")) if one.startswith("\0") else [one])
            if line.strip()
        ]
        if remark:
            conflicts += 1
            indent = remark[0][: len(remark[0]) - len(remark[0].lstrip())]
            lines.append(f"{indent}{MINE}\n")
            lines += [f"{indent}# {line.removeprefix(indent)}" for line in remark]
            lines += [f"{indent}{THEIRS}\n", *parts[-1], f"{indent}{CLOSE}\n"]
        else:
            lines += parts[-1]
    return lines, conflicts


def _filled(lines: list[str], codes: dict[str, str]) -> str:
    return "".join(codes.get(line[1:].strip(), "") if line.startswith("\0") else line for line in lines)


def _is_sound(lines: list[str], codes: dict[str, str], todo_ids: list[str]) -> bool:
    """합친 뼈대가 바른 파이썬이고, 있어야 할 자리가 꼭 하나씩 있는가."""
    places = [line[1:].strip() for line in lines if line.startswith("\0")]
    text = _filled(lines, codes)
    try:
        ast.parse(text)
        found = [region.id for region in parse(text)]
    except (SyntaxError, ValueError):  # RegionError도 ValueError입니다.
        return False
    return sorted(found) == sorted(places) == sorted(todo_ids)


class Source:
    """새 판이 든 폴더나 zip. 어느 쪽이든 저장소 안의 경로로 읽습니다.

    Attributes:
        files: 저장소 안의 경로 → 내용. 새 판이 갈아 끼우는 것만 있습니다.

    Raises:
        CourseError: 없거나, 깨졌거나, 이 강의의 저장소가 아닐 때.
    """

    def __init__(self, home: Home, path: Path) -> None:
        if path.is_dir():
            if path.resolve() == home.root.resolve():
                raise CourseError("지금 쓰고 있는 폴더입니다. 새 판의 폴더나 내려받은 zip 파일을 주세요.")
            names = [one.relative_to(path).as_posix() for one in path.rglob("*") if one.is_file()]
            self.files = {inner: (path / name).read_bytes() for name, inner in _updated(names).items()}
        elif zipfile.is_zipfile(path):
            self.files = _read_zip(path)
        else:
            raise CourseError(f"새 판을 찾지 못했습니다: {path}. 저장소의 폴더나 내려받은 zip 파일을 주세요.")
        if not self.steps():
            raise CourseError(f"{path}에는 단계 파일이 없습니다. 이 강의의 저장소가 맞는지 확인해 주세요.")
        for name in self.steps():
            try:
                parse(self.text(name), name)
            except ValueError as error:
                raise CourseError(f"새 판의 {name}이(가) 깨졌습니다. 다시 받아 주세요: {error}") from None

    def steps(self) -> list[str]:
        return sorted(name for name in self.files if _is_step(name))

    def text(self, name: str) -> str:
        return self.files[name].decode("utf-8-sig")

    def checks_of(self, task: Task) -> dict[str, bytes]:
        """과제의 검사 파일들: 검사의 폴더에서 잰 이름 → 내용."""
        folder = task.checks.relative_to(task.home.root).as_posix() + "/"
        names = [name for name in self.files if name.startswith(folder) and name.endswith(".py")]
        return {name.removeprefix(folder): self.files[name] for name in names}


def _read_zip(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if any(_leads_outside(name) for name in names):
                raise CourseError(
                    f"{path.name}에 폴더 밖으로 나가는 경로가 들어 있어 쓰지 않았습니다. 다시 받아 주세요."
                )
            return {inner: archive.read(name) for name, inner in _updated(names).items()}
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # RuntimeError: 암호가 걸린 zip
        raise CourseError(f"{path.name}을(를) 풀 수 없습니다. 다시 받아 주세요: {error}") from None


def _leads_outside(name: str) -> bool:
    return name.startswith("/") or "\\" in name or ":" in name or ".." in PurePosixPath(name).parts


def _updated(names: list[str]) -> dict[str, str]:
    """갈아 끼울 파일의 이름 → 저장소 안의 경로. GitHub의 zip처럼 모두를 담은 맨 앞의 폴더(`저장소-main/`)는 뗍니다."""
    tops = {"", *(f"{name.split('/')[0]}/" for name in names)} - {f"{top}/" for top in UPDATED}
    for top in sorted(tops):
        inner = {name: name.removeprefix(top) for name in names if name.startswith(top)}
        if any(_is_step(one) for one in inner.values()):
            return {name: one for name, one in inner.items() if _is_updated(one)}
    return {}


def _is_step(name: str) -> bool:
    parts = name.split("/")
    return len(parts) == 2 and bool(TASK_NAME.fullmatch(parts[0])) and bool(STEP_NAME.fullmatch(parts[1]))


def _is_updated(name: str) -> bool:
    """새 판이 갈아 끼우는 파일인가. 학생의 결과(`output/`)와 설정은 건드리지 않습니다."""
    if _is_step(name):
        return True
    if "__pycache__" in name or not name.endswith(UPDATED_FILES):
        return False
    first = name.split("/")[0]
    return first in UPDATED or is_companion(name) or ("/" not in name and name != "course-gate.yaml")


@dataclass
class Report:
    """합친 일 전체.

    Attributes:
        merged: 단계 파일 → 결과.
        left_alone: 표시가 깨져 그대로 둔 파일 → 까닭.
        created: 새로 생긴 단계 파일.
        replaced: 갈아 끼운 그 밖의 파일.
        backup: 옛 파일을 남긴 폴더. 바꾼 것이 없으면 None.
    """

    merged: dict[str, Merged] = field(default_factory=dict)
    left_alone: dict[str, str] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    backup: Path | None = None


def update(home: Home, source: Source) -> Report:
    """단계 파일은 합치고, 나머지는 새 판으로 갈아 끼웁니다. 한 번의 `undo`로 모두 되돌릴 수 있습니다."""
    with editing(home):
        return _update(home, source)


def _update(home: Home, source: Source) -> Report:
    report = Report()
    writes: list[tuple[Path, str | bytes | None]] = []
    for name in source.steps():
        task = Task(home, name.split("/")[0])
        path = home.root / name
        theirs = source.text(name)
        mine = _mine(task, path, source)
        if not mine.exists():
            report.created.append(name)
            writes.append((path, theirs))
        else:
            try:
                base = untouched_text(task, mine.name)
            except CourseError as error:
                report.left_alone[name] = str(error)
                continue
            try:
                merged = merge(base, read_student_file(mine), theirs, mine.name)
            except (CourseError, RegionError) as error:
                report.left_alone[name] = str(error)
                writes.append((task.pristine(mine.name), base))  # 고친 뒤 다시 합칠 때 견줄 것
                continue
            report.merged[name] = merged
            writes.append((path, in_style_of(mine, merged.text)))
            if mine != path:
                writes += [(old, None) for old in (mine, task.solution / mine.name) if old.is_file()]
        has_solution = f"solutions/{name}" in source.files
        writes.append((task.pristine(path.name), None if has_solution else theirs))
    for name, content in source.files.items():
        if _is_step(name) or _same(home.root / name, content):
            continue
        if is_companion(name) and _changed_by_student(home, name):
            report.left_alone[name] = f"고쳐 쓰신 파일입니다. 새 판의 것은 solutions/{name}에 있습니다."
            continue
        report.replaced.append(name)
        writes.append((home.root / name, content))
    for task in {Task(home, name.split("/")[0]) for name in source.steps()}:
        if received := source.checks_of(task):
            writes.append((received_file(task), listed(received)))
    for name in gone_paths(source.files.get(LIST, b"").decode("utf-8")):
        if (home.root / name).is_file():
            writes.append((home.root / name, None))
    edits = overwrite(home, writes, "update")
    kept = next((edit.kept for edit in edits if edit.kept), None)
    report.backup = kept and home.backup / kept.relative_to(home.backup).parts[0]
    return report


def _mine(task: Task, path: Path, source: Source) -> Path:
    """학생의 단계 파일. 새 판이 단계의 이름을 바꾸었으면 옛 이름의 것입니다(학생이 만든 사본은 아닙니다)."""
    wanted = STEP_NAME.fullmatch(path.name)
    if wanted is None or path.exists() or not path.parent.is_dir():
        return path
    known = {PurePosixPath(name).name for name in source.steps() if name.startswith(f"{path.parent.name}/")}
    for one in sorted(path.parent.iterdir()):
        match = STEP_NAME.fullmatch(one.name)
        ours = (task.solution / one.name).is_file() or task.pristine(one.name).is_file()
        if match and match[1] == wanted[1] and ours and one.name not in known:
            return one
    return path


def _changed_by_student(home: Home, name: str) -> bool:
    """단계 곁의 파일(설정, 스크립트)을 학생이 고쳤는가. 받은 때의 것은 옛 해답의 것과 같습니다."""
    mine, given = home.root / name, home.solutions / name
    return mine.is_file() and given.is_file() and not _same(mine, given.read_bytes())


def _same(path: Path, content: bytes) -> bool:
    """같은 파일인가. 줄바꿈의 종류(git의 autocrlf)는 보지 않습니다."""
    return path.is_file() and path.read_bytes().replace(b"\r\n", b"\n") == content.replace(b"\r\n", b"\n")
