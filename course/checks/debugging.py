"""검사 하나를 사람이 보고 있는 프로세스에서 돌립니다. `input()`과 `breakpoint()`와 pdb가 터미널과 이어집니다.

여기서 본 것은 통과로 세지 않습니다: 학생의 코드가 도구와 같은 프로세스에서 돌고, 시간도 메모리도 가두지 않습니다.
"""

from __future__ import annotations

import os
import pdb
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from course.book.tables import Answers
from course.book.tasks import Task
from course.checks.messages import Job
from course.checks.plugin import run
from course.checks.verdict import BROKEN, Verdict, judge

QUIT = Verdict(
    "", BROKEN, "디버거를 끝내 검사를 멈췄습니다", "판정까지 보려면 디버거에서 c(계속)를 눌러 끝까지 가세요."
)


class Quit(pytest.exit.Exception):
    """디버거의 `q`. 남은 검사까지 모두 그만둡니다."""


def check_here(task: Task, job: Job) -> Verdict:
    """이 프로세스에서 검사한 판정. 찍은 것은 이미 화면에 나왔으므로 판정에 담지 않습니다.

    Returns:
        디버거를 끝냈으면 `is_quit`인 것.
    """
    [todo_id] = job.todos
    with _as_in_the_worker(task), _one_quit_ends_all() as quits:
        reply = run(task, job.folder, job.todos, job.device, is_watched=True)
    if quits:
        return replace(QUIT, todo=todo_id)
    return judge(todo_id, reply, Answers.load(task))


def is_quit(verdict: Verdict) -> bool:
    """디버거를 끝내 멈춘 것인가. 코드의 잘못이 아니므로 누구의 탓인지 묻지 않습니다."""
    return verdict.title == QUIT.title


@contextmanager
def _one_quit_ends_all() -> Iterator[list[str]]:
    """블록 안에서는 디버거의 끝내기(`q`, Ctrl-D) 한 번이 검사를 모두 그만두게 합니다. 끝낸 것은 목록에 남습니다."""
    quits: list[str] = []

    def leave(debugger: pdb.Pdb, _: Any) -> None:
        debugger.set_quit()
        quits.append("q")
        raise Quit(QUIT.title)

    with patch.multiple(pdb.Pdb, do_quit=leave, do_q=leave, do_exit=leave, do_EOF=leave):
        yield quits


@contextmanager
def _as_in_the_worker(task: Task) -> Iterator[None]:
    """검사 프로세스가 도는 곳과 같은 곳에서: 저장소의 폴더에서, 쓰레드 하나로, 버릴 임시 폴더와 함께."""
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    before, path, temporary = os.getcwd(), list(sys.path), tempfile.tempdir  # noqa: PTH109  chdir로 돌아갈 곳
    with tempfile.TemporaryDirectory(prefix="course-debug-") as folder:
        os.chdir(task.home.root)
        sys.path.insert(0, str(task.home.root))
        tempfile.tempdir = folder
        try:
            yield
        finally:
            os.chdir(before)
            sys.path[:], tempfile.tempdir = path, temporary
