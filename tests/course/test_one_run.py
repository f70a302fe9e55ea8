"""한 실행 안에서: 한 단계의 방들은 준비를 함께 쓰고, 두 과제는 섞이지 않습니다."""

from __future__ import annotations

import os
import subprocess
import sys

from course.book.tasks import Task
from tests.course.workshop import CONFTEST

SHARED = """
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def warm(load, tmp_path_factory):
    with Path("built.txt").open("a") as out:
        out.write("한 번\\n")
    return load(1)
"""
CHECK = """
from course.checks.words import todo


@todo("{todo}")
def test_answer(warm, load):
    assert warm is load(1)
    assert warm.ANSWER == {answer}
"""


def test_rooms_of_a_step_share_what_is_warm_and_tasks_do_not_mix(workshop):
    workshop.install_engine()
    for number, name in ((1, "tiny"), (2, "other")):
        checks = f"tests/task{number}_{name}/checks"
        workshop.write(f"solutions/task{number}-{name}/step1_numbers.py", f"ANSWER = {number}\n")
        workshop.write(f"{checks}/conftest.py", CONFTEST)
        workshop.write(f"{checks}/step1/conftest.py", SHARED)
        for todo in ("1-1", "1-2"):
            file = f"{checks}/step1/test_{todo.replace('-', '_')}.py"
            workshop.write(file, CHECK.format(todo=todo, answer=number))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", "-k", "test_answer"]
    environment = {**os.environ, "PYTHONPATH": str(workshop.root)}
    done = subprocess.run(command, cwd=workshop.root, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert "4 passed" in done.stdout, done.stdout
    assert (workshop.root / "built.txt").read_text(encoding="utf-8").splitlines() == ["한 번"] * 2


def test_steps_of_a_copy_without_solutions_ignore_copies_and_old_names(workshop):
    workshop.drop_solutions()
    for name in ("step1_numbers", "step1_a_copy", "step2_renamed"):
        workshop.write(f"task1-tiny/{name}.py", "")
    assert [step.file_name for step in Task(workshop.home, "task1-tiny").steps] == [
        "step1_numbers.py",
        "step2_renamed.py",
    ]


def test_deleted_step_of_a_copy_without_solutions_is_still_known(workshop):
    workshop.drop_solutions()
    workshop.write("task1-tiny/step1_numbers.py", "")
    assert [step.number for step in Task(workshop.home, "task1-tiny").steps] == [1, 2]
