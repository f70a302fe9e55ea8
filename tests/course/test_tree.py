"""저장소 전체의 약속."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from course.book.tasks import all_tasks

ROOT = Path(__file__).resolve().parents[2]
STEPS = [
    folder / step.file_name
    for task in all_tasks()
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
def test_step_is_short_enough_to_read(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    functions = [one for one in ast.walk(ast.parse(text)) if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert [one.name for one in functions if one.end_lineno - one.lineno + 1 > 50] == []


@pytest.mark.parametrize("path", STEPS, ids=name_of)
def test_step_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


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
