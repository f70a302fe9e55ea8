"""고쳐진 검사로 얻은 통과는 통과가 아닙니다."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from course import __version__
from course.book import git
from course.book import manifest as trust
from course.book.backups import undo
from course.book.tasks import Task
from course.home import ROOT
from course.student.status import changed_checks
from course.student.update import Source, update

NAME = "task1-tiny/step1_numbers.py"


def commit(root, message):
    """지금의 파일을 모두 커밋합니다."""
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "core.autocrlf=false"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", message]):
        subprocess.run(["git", *words], cwd=root, check=True)


@pytest.fixture
def checks(workshop):
    return workshop.task.checks


@pytest.fixture
def cloned(workshop, checks):
    """git으로 받은, 해답도 목록(manifest)도 없는 저장소."""
    if shutil.which("git") is None:
        pytest.skip("git이 없습니다")
    for step in workshop.task.steps:
        workshop.write(f"task1-tiny/{step.file_name}", workshop.task.first_look(step.file_name))
    shutil.rmtree(workshop.root / "solutions")
    trust.manifest_file(workshop.task).unlink()
    commit(workshop.root, "first")
    workshop.task = Task(workshop.home, "task1-tiny")
    return workshop


def change(checks, how):
    if how == "edited":
        (checks / "step1/test_1_1.py").write_text("def test_nothing(): pass\n", encoding="utf-8")
    elif how == "added":
        (checks / "step1/conftest.py").write_text("", encoding="utf-8")
    elif how == "removed":
        (checks / "step1/test_1_1.py").unlink()


def test_checks_as_handed_out_are_trusted(workshop):
    assert trust.tampered(workshop.task) == []


def test_windows_line_ends_are_no_tampering(workshop, checks):
    file = checks / "step1/test_1_1.py"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert trust.tampered(workshop.task) == []


@pytest.mark.parametrize("how", ["edited", "added", "removed"])
def test_changed_checks_are_told(workshop, checks, how):
    change(checks, how)
    assert trust.tampered(workshop.task) == [f"step1/{'conftest' if how == 'added' else 'test_1_1'}.py"]


@pytest.mark.parametrize("content", ["{", "[1]", "3"])
def test_broken_manifest_is_told(workshop, content):
    trust.manifest_file(workshop.task).write_text(content, encoding="utf-8")
    assert trust.tampered(workshop.task) == [trust.MANIFEST]


@pytest.mark.parametrize("how", ["edited", "added", "removed"])
def test_without_a_manifest_checks_are_compared_with_the_last_commit(cloned, checks, how):
    assert trust.tampered(cloned.task) == []
    change(checks, how)
    assert trust.tampered(cloned.task) == [f"step1/{'conftest' if how == 'added' else 'test_1_1'}.py"]


def test_windows_line_ends_are_the_committed_ones(cloned, checks):
    file = checks / "step1/test_1_1.py"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert trust.tampered(cloned.task) == []


def test_git_is_asked_once_while_nothing_changes(cloned, checks, monkeypatch):
    trust.tampered(cloned.task)
    monkeypatch.setattr(git, "blobs", lambda *_: pytest.fail("git을 다시 불렀습니다"))
    assert trust.tampered(cloned.task) == []


def test_checks_an_update_brought_are_trusted_and_edits_to_them_are_not(cloned, checks, tmp_path):
    """`update`로 받은 검사는 마지막 커밋과 다르지만, 고친 것이 아닙니다."""
    new = tmp_path / "new"
    shutil.copytree(cloned.root, new, ignore=shutil.ignore_patterns(".git", ".course"))
    (new / "tests/task1_tiny/checks/step1/conftest.py").write_bytes(b"# new\r\n")
    (new / "tests/task1_tiny/checks/step1/test_1_2.py").write_text("# new\n", encoding="utf-8")
    update(cloned.home, Source(cloned.home, new))
    assert trust.changed_since_commit(cloned.task) == ["step1/conftest.py", "step1/test_1_2.py"]
    assert trust.tampered(cloned.task) == []
    change(checks, "edited")
    assert trust.tampered(cloned.task) == ["step1/test_1_1.py"]
    undo(cloned.home)
    assert trust.tampered(cloned.task) == ["step1/test_1_1.py"]
    subprocess.run(["git", "checkout", "-q", "HEAD", "--", "tests"], cwd=cloned.root, check=True)
    assert trust.tampered(cloned.task) == []


def test_a_list_of_received_checks_that_cannot_be_read_changes_nothing(cloned, checks):
    trust.received_file(cloned.task).parent.mkdir(parents=True)
    trust.received_file(cloned.task).write_text("{", encoding="utf-8")
    assert trust.tampered(cloned.task) == []
    change(checks, "edited")
    change(checks, "added")
    assert trust.tampered(cloned.task) == ["step1/conftest.py", "step1/test_1_1.py"]


def test_status_tells_of_checks_that_were_changed_where_they_still_count(workshop, checks):
    trust.manifest_file(workshop.task).unlink()
    commit(workshop.root, "first")
    assert changed_checks([workshop.task]) == []
    change(checks, "edited")
    assert changed_checks([workshop.task]) == ["tests/task1_tiny/checks/step1/test_1_1.py"]


def test_author_with_solutions_may_edit_the_checks(workshop, checks):
    trust.manifest_file(workshop.task).unlink()
    commit(workshop.root, "first")
    change(checks, "edited")
    assert trust.tampered(workshop.task) == []
    assert trust.changed_since_commit(workshop.task) == ["step1/test_1_1.py"]


def test_copy_without_manifest_and_git_has_nothing_to_compare(workshop, checks):
    trust.manifest_file(workshop.task).unlink()
    shutil.rmtree(workshop.root / "solutions")
    change(checks, "edited")
    assert trust.tampered(workshop.task) == []


def test_first_look_is_found_in_git_even_after_the_answers_were_committed(cloned):
    file = cloned.root / NAME
    before = file.read_text(encoding="utf-8")
    file.write_text(before.replace('todo("1-1")', "answer = number * 2"), encoding="utf-8")
    commit(cloned.root, "my answers")
    assert cloned.task.first_look("step1_numbers.py") == before
    assert list(cloned.task.regions()) == ["1-1", "1-2", "2-1"]


def test_without_git_there_is_no_first_look(workshop):
    shutil.rmtree(workshop.root / "solutions")
    assert Task(workshop.home, "task1-tiny").first_look("step1_numbers.py") is None


def test_no_task_of_this_repository_carries_a_manifest():
    assert list((ROOT / "tests").rglob(trust.MANIFEST)) == []


def test_version_is_the_one_of_the_project_file():
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
