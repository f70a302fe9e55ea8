"""`course/`의 방들은 아래만 봅니다: home ← book ← checks ← student, author ← cli, magic."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

COURSE = Path(__file__).resolve().parents[2] / "course"
NEVER = {  # 방이나 파일 → 알아서는 안 되는 것들
    "home": {"book", "checks", "student", "author", "cli", "magic"},
    "book": {"checks", "student", "author", "cli", "magic"},
    "checks": {"student", "author", "cli", "magic"},
    "student": {"author", "cli", "magic"},
    "author": {"student", "cli", "magic"},
}
MAY_KNOW_CLI = {"course.magic", "course.bootstrap", "course.__main__"}


def name_of(path: Path) -> str:
    parts = path.relative_to(COURSE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(COURSE.rglob("*.py"))}


def imports_of(text: str) -> set[str]:
    """불러오는 모듈들의 이름. 함수 속의 것도 셉니다. `from a import b`의 b가 모듈이면 `a.b`입니다."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "점으로 시작하는 import는 쓰지 않습니다"
            inner = {f"{node.module}.{one.name}" for one in node.names}
            modules = inner & MODULES.keys()
            found |= modules or {node.module}
    return found


IMPORTS = {name: imports_of(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def room_of(module: str) -> str:
    """`course.book.tasks`의 방은 `book`, `course.cli`의 방은 `cli`입니다."""
    return module.split(".")[1] if "." in module else ""


def circle(start: str) -> list[str]:
    """`start`에서 나와 `start`로 돌아오는 길. 없으면 비었습니다."""
    paths = [[start]]
    seen: set[str] = set()
    while paths:
        path = paths.pop()
        for one in IMPORTS.get(path[-1], set()) & MODULES.keys():
            if one == start:
                return [*path, one]
            if one not in seen:
                seen.add(one)
                paths.append([*path, one])
    return []


def test_imports_inside_functions_and_of_submodules_are_seen():
    text = "def late():\n    from course.book import regions\n    import course.cli\n    from course.home import Home\n"
    assert imports_of(text) == {"course.book.regions", "course.cli", "course.home"}


@pytest.mark.parametrize("room", NEVER)
def test_room_knows_nothing_above_or_beside_it(room):
    arrows = [
        (name, one)
        for name, imported in IMPORTS.items()
        if room_of(name) == room
        for one in imported
        if one.startswith("course.") and room_of(one) in NEVER[room]
    ]
    assert arrows == []


def test_only_the_ways_in_know_the_command_line():
    assert {name for name, imported in IMPORTS.items() if "course.cli" in imported} <= MAY_KNOW_CLI


@pytest.mark.parametrize("module", MODULES)
def test_no_import_leads_back_to_where_it_started(module):
    assert circle(module) == []


@pytest.mark.parametrize("module", MODULES)
def test_the_engine_does_not_know_the_library(module):
    assert {one for one in IMPORTS[module] if one.split(".")[0] == "nlpbook"} == set()
