"""고쳐진 검사로 얻은 통과는 통과가 아닙니다."""

from __future__ import annotations

import pytest

from course import __version__
from course.book import manifest as trust
from course.book.tasks import all_tasks
from course.home import ROOT, Home


@pytest.fixture
def checks(workshop):
    return workshop.root / "tests" / "task1_tiny"


def test_checks_as_handed_out_are_trusted(workshop):
    assert trust.tampered(workshop.task) == []


def test_windows_line_ends_are_no_tampering(workshop, checks):
    file = checks / "test_step1.py"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert trust.tampered(workshop.task) == []


@pytest.mark.parametrize("change", ["edited", "added", "no manifest", "broken manifest"])
def test_changed_checks_are_told(workshop, checks, change):
    if change == "edited":
        (checks / "test_step1.py").write_text("def test_nothing(): pass\n", encoding="utf-8")
    elif change == "added":
        (checks / "conftest.py").write_text("", encoding="utf-8")
    elif change == "no manifest":
        trust.manifest_file(workshop.task).unlink()
    else:
        trust.manifest_file(workshop.task).write_text("{", encoding="utf-8")
    assert trust.tampered(workshop.task)


def test_every_task_of_this_repository_has_a_manifest_in_step():
    assert all(trust.tampered(task) == [] for task in all_tasks(Home(ROOT)) if task.tests.is_dir())


def test_version_is_the_one_of_the_project_file():
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
