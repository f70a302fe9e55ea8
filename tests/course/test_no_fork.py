"""fork가 없는 운영체제의 길(Windows, macOS): 미리 뜬 프로세스가 직접 검사하고, 멈추면 새로 뜹니다."""

from __future__ import annotations

import shutil

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
