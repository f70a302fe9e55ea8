"""저장소 전체의 약속."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from course.book.tables import table_files
from course.book.tasks import all_tasks
from course.home import ROOT, Home

STEPS = [
    folder / step.file_name
    for task in all_tasks(Home(ROOT))
    for folder in (task.solution, task.exercise)
    if folder.is_dir()
    for step in task.steps
]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """git이 지켜보는 파일들."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if listed.returncode != 0:
        pytest.skip("git 저장소가 아닙니다")
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_there_are_steps_to_look_at():
    assert STEPS


@pytest.mark.parametrize("path", STEPS, ids=name_of)
def test_functions_of_a_step_are_short_enough_to_read(path):
    text = path.read_text(encoding="utf-8")
    functions = [one for one in ast.walk(ast.parse(text)) if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert [one.name for one in functions if one.end_lineno - one.lineno + 1 > 50] == []


@pytest.mark.parametrize("path", STEPS, ids=name_of)
def test_step_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "task", [task for task in all_tasks(Home(ROOT)) if task.checks.is_dir()], ids=lambda task: task.short
)
def test_every_todo_has_its_own_room(task):
    """방마다 검사 파일과 표가 있고, 그 파일의 검사는 모두 그 TODO의 것입니다."""
    rooms = {path.relative_to(task.checks).as_posix() for path in task.checks.rglob("test_*.py")}
    assert rooms == {task.check_file(todo_id).relative_to(task.checks).as_posix() for todo_id in task.regions()}
    assert [path.stem for path in table_files(task)] == list(task.regions())
    for todo_id in task.regions():
        body = ast.parse(task.check_file(todo_id).read_text(encoding="utf-8")).body
        tests = [one for one in body if isinstance(one, ast.FunctionDef) and one.name.startswith("test_")]
        assert tests
        for test in tests:
            assert f"todo('{todo_id}')" in map(ast.unparse, test.decorator_list), test.name


def test_tracked_text_is_utf8_with_unix_line_ends(tracked):
    wrong = []
    for path in tracked:
        content = path.read_bytes()
        if b"\0" in content:
            continue
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            wrong.append(f"{name_of(path)}: UTF-8이 아닙니다")
        if b"\r\n" in content:
            wrong.append(f"{name_of(path)}: CRLF")
    assert wrong == []
