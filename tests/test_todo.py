"""빈 자리의 낱말 `todo`: 닿으면 한 문장으로 알리고, 닿기 전에는 아무것도 바꾸지 않습니다."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from course.home import ROOT
from todo import TodoNotDone, todo


def run_step(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """학생처럼 단계 파일을 실행합니다."""
    step = folder / "task1-cls" / "step1_basic_structure.py"
    step.parent.mkdir()
    step.write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    return subprocess.run(
        [sys.executable, str(step)], env=environment, capture_output=True, text=True, encoding="utf-8"
    )


def test_an_empty_region_is_told_in_plain_words(tmp_path):
    done = run_step(tmp_path, 'from todo import todo\n\ntodo("1-1")\n')
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "아직 여기까지입니다. TODO 1-1을 아직 채우지 않았습니다: step1_basic_structure.py 3번째 줄",
        "  채운 뒤 검사하기: python -m course check cls 1-1",
    ]


def test_another_error_keeps_its_traceback(tmp_path):
    code = 'from todo import TodoNotDone, todo\ntry:\n    todo("1-1")\nexcept TodoNotDone:\n    pass\n1 / 0\n'
    done = run_step(tmp_path, code)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_other_errors_go_to_the_hook_that_was_there(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: told.append(error))
    for _ in range(2):  # 두 번 닿아도 한 겹입니다.
        with pytest.raises(TodoNotDone):
            todo("1-1")
    error = ValueError("값")
    sys.excepthook(ValueError, error, None)
    assert told == [(ValueError, error, None)]
