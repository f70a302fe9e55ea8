"""두 창에서 함께 고쳐도 아무것도 잃지 않고, 고치다 실패하면 아무 일도 없던 것이며, 쓰다 만 파일은 치워집니다."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from course.author.build import build
from course.book import backups, locking
from course.book.backups import overwrite, undo
from course.book.leftovers import clear_leftovers
from course.book.locking import editing, undisturbed
from course.book.regions import code_of
from course.home import ROOT, CourseError, Home
from course.student.edits import reset, reveal
from tests.course.workshop import STEP1

WAY = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
SLOW_REVEAL = """
import sys
from pathlib import Path
from course.book.tasks import Task
from course.home import Home
from course.student import edits

splice = edits.splice

def slowly(*words):
    print("read", flush=True)
    sys.stdin.readline()
    return splice(*words)

edits.splice = slowly
edits.reveal(Task(Home(Path(sys.argv[1])), "task1-tiny"), "1-1", even_untried=True)
"""
HOLD = """
import sys
from pathlib import Path
from course.book import locking
from course.home import Home

with getattr(locking, sys.argv[2])(Home(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.readline()
"""


class Other:
    """다른 창의 프로세스. 한 줄을 말할 때까지 기다리고, 보내 주면 끝납니다."""

    def __init__(self, code, *words):
        command = [sys.executable, "-c", code, *map(str, words)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, text=True, env=WAY, **pipes)
        assert self._process.stdout.readline().strip() in ("read", "held")

    def go_on(self):
        self._process.communicate("\n", timeout=60)
        assert self._process.returncode == 0


@pytest.fixture
def waiting(monkeypatch):
    """이 프로세스가 잠금을 기다리기 시작하면 켜지는 신호."""
    signal = threading.Event()
    pause = threading.Event()
    monkeypatch.setattr(locking.time, "sleep", lambda seconds: (signal.set(), pause.wait(seconds)))
    return signal


@pytest.fixture
def school(workshop):
    build(workshop.home)
    return workshop


def test_two_reveals_at_once_lose_no_edit(school, waiting):
    other = Other(SLOW_REVEAL, school.root)  # 파일을 읽고, 쓰기 전에 멈춰 있습니다.
    mine = threading.Thread(target=reveal, args=(school.task, "1-2", True))
    mine.start()
    assert waiting.wait(30)
    other.go_on()
    mine.join(60)
    text = school.step1.read_text(encoding="utf-8")
    assert [code_of(text, one) for one in ("1-1", "1-2")] == [code_of(STEP1, one) for one in ("1-1", "1-2")]
    undo(school.home)
    undo(school.home)
    assert code_of(school.step1.read_text(encoding="utf-8"), "1-1").startswith("todo(")


@pytest.mark.parametrize(("theirs", "mine"), [("editing", undisturbed), ("undisturbed", editing), ("editing", editing)])
def test_edits_wait_for_checks_and_checks_for_edits(school, waiting, theirs, mine):
    other = Other(HOLD, school.root, theirs)
    done = threading.Event()

    def take():
        with mine(school.home):
            done.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert waiting.wait(30)
    assert not done.is_set()
    other.go_on()
    thread.join(60)
    assert done.is_set()


def test_two_checks_do_not_wait_for_each_other(school):
    other = Other(HOLD, school.root, "undisturbed")
    with undisturbed(school.home):
        pass
    other.go_on()


def test_waiting_ends_with_one_sentence(school, monkeypatch):
    monkeypatch.setattr(locking, "PATIENCE", 0.0)
    other = Other(HOLD, school.root, "editing")
    with pytest.raises(CourseError, match="다른 창의 실습 도구"), editing(school.home):
        pass
    other.go_on()


def test_locking_again_in_the_same_process_does_not_wait(school):
    with undisturbed(school.home), editing(school.home), editing(school.home):
        overwrite(school.home, [(school.step1, "x")], "reveal 1-1")
    assert school.step1.read_text(encoding="utf-8") == "x"


def test_place_that_cannot_be_written_is_not_locked(tmp_path):
    (tmp_path / ".course").write_text("폴더가 아닌 것", encoding="utf-8")
    with undisturbed(Home(tmp_path)):
        pass


# 실패한 일


@pytest.fixture
def failing(school, monkeypatch):
    """`failing(이름)`: 그 이름의 파일에는 쓸 수 없습니다. `failing()`이면 다시 쓸 수 있습니다."""
    put = backups._put

    def make(name=None):
        def broken(home, path, content):
            if path.name == name and ".course" not in path.parts:
                raise PermissionError(path)
            put(home, path, content)

        monkeypatch.setattr(backups, "_put", broken)

    return make


def test_undo_after_a_failed_reset_undoes_what_was_done_before(school, failing):
    reveal(school.task, "1-1", even_untried=True)
    failing("step1_numbers.py")
    with pytest.raises(PermissionError):
        reset(school.task, "1")
    failing()
    [edit] = undo(school.home)
    assert edit.what == "undo reveal 1-1"
    assert code_of(school.step1.read_text(encoding="utf-8"), "1-1").startswith("todo(")


def test_edit_of_many_files_that_fails_changes_none(school, failing):
    one, new, other = school.step1, school.root / "new/made.py", school.task.exercise / "step2_quadruple.py"
    before = [one.read_bytes(), other.read_bytes()]
    failing(other.name)
    with pytest.raises(PermissionError):
        overwrite(school.home, [(one, "1"), (new, "2"), (other, "3")], "update")
    assert [one.read_bytes(), other.read_bytes()] == before
    assert not new.parent.exists()
    with pytest.raises(CourseError, match="무를 일이 없습니다"):
        undo(school.home)


def test_failed_undo_keeps_its_entry(school, failing):
    before = school.step1.read_bytes()
    reveal(school.task, "1-1", even_untried=True)
    failing("step1_numbers.py")
    with pytest.raises(PermissionError):
        undo(school.home)
    failing()
    undo(school.home)
    assert school.step1.read_bytes() == before


# 쓰다 만 파일


def test_temporary_files_of_dead_processes_go_and_those_of_living_ones_stay(school):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    school.write("nlpbook/made.py", "x\n")
    overwrite(school.home, [(school.root / "nlpbook/made.py", "y\n")], "update")
    places = ["task1-tiny/.step1_numbers.py", ".course/.progress.json", "nlpbook/.made.py", ".README.md"]
    left = [school.write(f"{place}.{dead.pid}.tmp", "반") for place in places]
    stay = [school.write(name, "내 것") for name in (f".README.md.{os.getpid()}.tmp", ".mine.tmp", "x.12.tmp")]
    clear_leftovers(school.home)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in stay)
