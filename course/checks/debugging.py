"""검사 하나를 사람이 보고 있는 프로세스에서 돌립니다. `input()`과 `breakpoint()`와 pdb가 터미널과 이어집니다.

여기서 본 것은 통과로 세지 않습니다: 학생의 코드가 도구와 같은 프로세스에서 돌고, 시간도 메모리도 가두지 않습니다.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from course.book.tables import Answers
from course.book.tasks import Task
from course.checks.messages import Job
from course.checks.plugin import run
from course.checks.verdict import BROKEN, Verdict, judge

QUIT = Verdict(
    "", BROKEN, "디버거를 끝내 검사를 멈췄습니다", "판정까지 보려면 디버거에서 c(계속)를 눌러 끝까지 가세요."
)


def check_here(task: Task, job: Job) -> Verdict:
    """이 프로세스에서 검사한 판정. 찍은 것은 이미 화면에 나왔으므로 판정에 담지 않습니다."""
    [todo_id] = job.todos
    with _as_in_the_worker(task):
        reply = run(task, job.folder, job.todos, job.device, is_watched=True)
    verdict = judge(todo_id, reply, Answers.load(task))
    if "bdb.py" in verdict.traceback or verdict.error == "BdbQuit":
        return Verdict(todo_id, QUIT.state, QUIT.title, QUIT.says, file=verdict.file, line=verdict.line)
    return verdict


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
