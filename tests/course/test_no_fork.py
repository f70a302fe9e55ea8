"""fork가 없는 운영체제의 길(Windows, macOS): 미리 뜬 프로세스가 직접 검사하고, 멈추면 새로 뜹니다."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course.book.regions import splice
from course.book.tasks import find_task
from course.checks.checker import Checker
from course.home import ROOT, Home


@pytest.fixture
def checker(monkeypatch):
    monkeypatch.setenv("COURSE_NO_FORK", "1")
    with Checker(Home(ROOT), trusting=True) as one:
        yield one


@pytest.mark.slow
def test_saved_changes_are_seen_and_a_hang_does_not_last(checker, tmp_path):
    task = find_task(Home(ROOT), "cls")
    for step in task.steps:
        shutil.copy(task.solution / step.file_name, tmp_path)
    file = tmp_path / task.step_of("3-4").file_name
    solution = file.read_text(encoding="utf-8")
    wrong = splice(solution, "3-4", "negative, positive = 0.5, 0.25")
    hanging = splice(solution, "3-4", "while True:\n    pass")
    states = []
    for text in (solution, wrong, solution, hanging, solution):
        file.write_text(text, encoding="utf-8")
        states.append(checker.check(task, tmp_path, ["3-4"], timeout=5)["3-4"].state)
    assert states == ["right", "wrong", "right", "broken", "right"]


ASKING = """
import sys
from pathlib import Path
from course.book.tasks import find_task
from course.checks.checker import Checker
from course.home import ROOT, Home
with Checker(Home(ROOT), trusting=True) as checker:
    checker.check(find_task(Home(ROOT), "cls"), Path(sys.argv[1]), ["3-4"], timeout=600)
"""


def is_alive(pid: int) -> bool:
    """끝났지만 아무도 거두지 않은 것(좀비)은 살아 있지 않습니다."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:  # /proc이 없는 운영체제이거나, 그 사이에 사라졌습니다.
        return not Path("/proc").is_dir()
    except ProcessLookupError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows에서는 부모가 죽은 것을 알 수 없습니다")
def test_an_endless_answer_ends_when_the_tool_is_killed(tmp_path):
    task = find_task(Home(ROOT), "cls")
    for step in task.steps:
        shutil.copy(task.solution / step.file_name, tmp_path)
    file = tmp_path / task.step_of("3-4").file_name
    told = tmp_path / "pid"
    code = f"import os, pathlib\npathlib.Path({str(told)!r}).write_text(str(os.getpid()))\nwhile True:\n    pass"
    file.write_text(splice(file.read_text(encoding="utf-8"), "3-4", code), encoding="utf-8")
    tool = subprocess.Popen(
        [sys.executable, "-c", ASKING, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"COURSE_NO_FORK": "1", "PYTHONPATH": str(ROOT)},
    )
    try:
        while not (told.is_file() and told.read_text()):
            assert tool.poll() is None
            time.sleep(0.1)
        worker = int(told.read_text())
        assert worker != tool.pid
    finally:
        tool.kill()
        tool.wait()
    while is_alive(worker):
        time.sleep(0.1)
