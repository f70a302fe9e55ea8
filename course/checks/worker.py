"""라이브러리를 미리 읽어 둔 프로세스. 검사할 때마다 자기를 복제(fork)해 그 안에서 돌립니다.

torch와 transformers를 읽는 데만 몇 초가 걸리므로, 한 번 읽어 두고 갈라져 나온 자식이 검사만 합니다. 자식은 끝나면
사라지므로 학생의 코드가 무엇을 망가뜨려도 다음 검사는 깨끗합니다. fork가 없는 운영체제(Windows)에서는 이 프로세스가
직접 검사하고, 멈추거나 죽으면 부른 쪽이 새로 띄웁니다.

저장소의 경로를 인수로 받아 뜨고, 표준 입력으로 한 줄에 하나씩 일을 받고(JSON), 표준 출력으로 한 줄에 하나씩 답합니다.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import mmap
import os
import secrets
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from course.book.tasks import STEP_NAME, Task
from course.checks import processes
from course.checks.guard import Guard
from course.checks.loading import without_bytecode
from course.checks.messages import CRASH, TIMEOUT, Job, Reply
from course.checks.plugin import quiet, run
from course.checks.stopping import last_place, noted_in
from course.home import Home

# macOS의 시스템 라이브러리는 fork 뒤를 보장하지 않습니다. 환경 변수는 fork 없는 길을 어디서나 시험하려고 둡니다.
CAN_FORK = hasattr(os, "fork") and sys.platform != "darwin" and not os.environ.get("COURSE_NO_FORK")
MEMORY_LIMIT = 8 * 1024**3
ANSWER_LIMIT = 64 * 1024**2  # 답의 크기. 쓰지 않은 쪽은 메모리를 차지하지 않습니다.
HEAD = 16  # 맨 앞의, 물음마다 다른 글
TAMPERED = b"tampered "
FILE_LIMIT = 2 * 1024**3  # 파일 하나의 크기. 끝없는 print는 pytest의 임시 파일에 쌓입니다.


def serve(home: Home, requests: BinaryIO, answers: BinaryIO) -> None:
    """일이 올 때마다 하나씩 처리합니다. 입력이 끝나면 돌아옵니다."""
    warmed: set[str] = set()
    for line in requests:
        job = Job.from_json(line)
        task = Task(home, job.task)
        if task.name not in warmed:
            warm_up(task)
            warmed.add(task.name)
        reply = in_child(task, job) if CAN_FORK else in_this_process(task, job)
        answers.write(replace(reply, nonce=job.nonce).to_json() + b"\n")
        answers.flush()


def warm_up(task: Task) -> None:
    """과제가 쓰는 무거운 것들을 미리 읽습니다. 검사 폴더의 `support.py`에 `warm()`이 있으면 부릅니다."""
    if (task.checks / "support.py").is_file():
        with without_bytecode():
            support = importlib.import_module(f"tests.{task.tests.name}.checks.support")
        support.warm()
    import_what_steps_import(task)
    warm_up_pytest(task.home)
    gc.collect()
    gc.freeze()  # 자식이 쓰레기를 모으느라 부모의 메모리를 복사하지 않도록


def import_what_steps_import(task: Task) -> None:
    """단계 파일의 import 문을 미리 실행합니다. 학생의 파일이 아니라, 나누어 준 처음 모습의 것입니다."""
    for step in task.steps:
        for node in ast.walk(ast.parse(task.first_look(step.file_name) or "")):
            from_step = isinstance(node, ast.ImportFrom) and STEP_NAME.fullmatch(f"{node.module}.py")
            if isinstance(node, (ast.Import, ast.ImportFrom)) and not from_step:
                with contextlib.suppress(ImportError):
                    exec(ast.unparse(node), {})  # 이름까지 불러야 늦게 읽히는 것(transformers)이 읽힙니다.


def warm_up_pytest(home: Home) -> None:
    """pytest의 부품들을 미리 읽습니다. 검사 파일은 읽지 않습니다: 고친 검사가 언제나 그대로 쓰이도록."""
    with tempfile.TemporaryDirectory() as nothing:
        pytest.main([nothing, "--collect-only", *quiet(home)])


def run_job(task: Task, job: Job, guard: Guard) -> Reply:
    """검사합니다. 일에 `precision`이 있으면 판정 대신 비교마다의 차이를 재고, 그때는 `guard`가 지켜보지 않습니다."""
    if job.precision is None:
        return run(task, job.folder, job.todos, job.device, plugins=[guard])
    from course.checks.measuring import measured_run

    return measured_run(task, job.folder, job.todos, job.device, job.precision)


def in_this_process(task: Task, job: Job) -> Reply:
    """fork가 없는 곳에서 검사합니다."""
    guard = Guard()
    tampered = guard.pledge()
    with noted_in(Path(tempfile.gettempdir()), job.timeout):
        reply = run_job(task, job, guard)
    return replace(reply, tampered=tampered())


def in_child(task: Task, job: Job) -> Reply:
    """자식 프로세스에서 검사하고 답을 받습니다. 시간이 다 되거나 죽으면 그 사실을 답합니다.

    자식은 답을 함께 쓰는 메모리에 적습니다. 학생의 코드가 도는 동안 답으로 이어지는 통로는 하나도 열려 있지 않습니다.
    """
    answer, nonce = mmap.mmap(-1, ANSWER_LIMIT), secrets.token_bytes(HEAD)
    others = processes.descendants(os.getpid())
    folder = tempfile.mkdtemp(prefix="c")
    child = os.fork()
    if child == 0:
        try:
            os.setsid()  # 학생의 코드가 띄운 프로세스까지 한 번에 끝내도록
            processes.die_with_parent()
            processes.block_inherited()
            tempfile.tempdir = os.environ["TMPDIR"] = folder
            _limit_resources()
            guard = Guard()
            tampered = guard.pledge()
            with noted_in(Path(folder), job.timeout):
                text = run_job(task, job, guard).to_json()
            # 여기서부터는 바꿔치기될 수 있는 함수를 부르지 않습니다: 이 함수는 이미 돌고 있으므로 그대로입니다.
            if names := tampered():
                text = TAMPERED + b", ".join([name.encode() for name in names])
            answer[HEAD : HEAD + text.__len__()] = text
            answer[:HEAD] = nonce  # 마지막에 적으므로, 적다 만 것은 답이 아닙니다.
        finally:
            os._exit(0)  # 부모에게서 물려받은 것들의 정리(atexit)를 되풀이하지 않습니다.
    in_time, place = False, []
    try:
        in_time = processes.ends_within(child, job.timeout)
    finally:
        processes.end(child, others)
        place = last_place(Path(folder))
        shutil.rmtree(folder, ignore_errors=True)
    with answer:
        return _read(answer, nonce) or Reply(died=CRASH if in_time else TIMEOUT, stopped_at=place)


def _read(answer: mmap.mmap, nonce: bytes) -> Reply | None:
    """적힌 답. 적지 않았거나 온전하지 않으면 None."""
    if answer[:HEAD] != nonce:
        return None
    text = answer[HEAD : max(answer.find(b"\0", HEAD), HEAD)]  # JSON에는 NUL이 없습니다.
    if text.startswith(TAMPERED):
        return Reply(tampered=text.removeprefix(TAMPERED).decode().split(", "))
    try:
        return Reply.from_json(text)
    except ValueError:
        return None


def _limit_resources() -> None:
    """끝없이 커지는 코드가 기계를 멈추게 하지 못하도록 자식의 메모리와 파일의 크기를 제한합니다."""
    try:
        import resource

        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY_LIMIT, in_use + MEMORY_LIMIT))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, FILE_LIMIT))
    except (ImportError, OSError, ValueError):
        pass


def main() -> None:
    # 학생의 print가 답과 섞이지 않도록, 답의 통로를 따로 챙기고 표준 출력은 표준 오류로 돌립니다.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    processes.adopt_orphans()
    if not CAN_FORK:
        processes.end_when_parent_ends()
    serve(Home(Path(sys.argv[1])), sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
