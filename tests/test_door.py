"""단계 파일 곁의 문(`nlpbook.py`): 어디에서 실행해도 제 저장소의 라이브러리를 씁니다."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from course.book.tasks import DOOR
from course.home import ROOT

DOORS = sorted(ROOT.glob(f"task*-*/{DOOR}"))
STEP = "import nlpbook.room\nimport nlpbook\nimport beside\nprint(nlpbook.OWNER, nlpbook.room.OWNER, beside.OWNER)\n"


def repository(folder: Path, owner: str) -> Path:
    """라이브러리와 뿌리의 모듈 하나, 과제 폴더 하나가 있는 저장소. 단계 파일을 돌려줍니다."""
    (folder / "nlpbook").mkdir(parents=True)
    for name in ("nlpbook/__init__.py", "nlpbook/room.py", "beside.py"):
        (folder / name).write_text(f"OWNER = {owner!r}\n", encoding="utf-8")
    task = folder / "task9-door"
    task.mkdir()
    (task / DOOR).write_bytes(DOORS[0].read_bytes())
    (task / "step1.py").write_text(STEP, encoding="utf-8")
    return task / "step1.py"


def run(step: Path, at: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, str(step)],
        cwd=at,
        env={**kept, "PYTHONUTF8": "1", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def test_every_task_has_the_same_door():
    assert len(DOORS) >= 3
    assert len({door.read_bytes() for door in DOORS}) == 1


def test_a_step_finds_its_own_library_from_anywhere(tmp_path):
    step = repository(tmp_path / "clone", "mine")
    for at in (step.parent, tmp_path, tmp_path / "clone"):
        assert run(step, at).stdout == "mine mine mine\n"


@pytest.mark.parametrize("where", ["path", "folder"])
def test_another_clone_is_never_used_instead(tmp_path, where):
    step = repository(tmp_path / "clone", "mine")
    other = repository(tmp_path / "other", "other").parents[1]
    done = run(step, other, PYTHONPATH=str(other)) if where == "path" else run(step, other)
    assert done.stdout == "mine mine mine\n"


def test_a_step_outside_of_a_repository_says_so(tmp_path):
    step = repository(tmp_path / "clone", "mine")
    lone = tmp_path / "elsewhere"
    lone.mkdir()
    for name in (DOOR, "step1.py"):
        (lone / name).write_bytes((step.parent / name).read_bytes())
    assert "강의 저장소 안에서 실행해 주세요" in run(lone / "step1.py", lone).stderr
