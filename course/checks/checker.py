"""학생의 폴더를 검사해 판정을 냅니다. 검사는 따로 뜬 프로세스(`worker`)가 하고, 여기서는 일을 건네고 답을 풉니다."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from console_text import with_particles
from course import __version__
from course.book.guide import place_of
from course.book.leftovers import is_alive
from course.book.locking import undisturbed
from course.book.manifest import tampered
from course.book.tables import Answers, table_files
from course.book.tasks import Task
from course.checks import processes
from course.checks.blame import Blame
from course.checks.messages import CRASH, FORGED, TIMEOUT, Job, Reply
from course.checks.originals import Originals
from course.checks.stopping import last_place
from course.checks.verdict import BROKEN, Verdict, judge
from course.home import CourseError, Home

TEMPORARY = "course-"  # 검사 프로세스의 임시 폴더: course-<부른 프로세스>-…
DEFAULT_TIMEOUT = 60.0  # 초. 검사 하나는 1초 안에 끝나므로, 이만큼 걸리면 끝나지 않는 코드입니다.
SOON = 5.0  # 초. 끝나지 않는 자리를 이미 알 때, 같은 자리에 걸리는지 보는 시간입니다.


class Checker:
    """검사 프로세스 하나. 여러 번 물어볼수록 빠릅니다.

    `with Checker(home) as checker: checker.check(task, folder, ["3-4"])`

    Args:
        trusting: 검사하는 동안 검사와 도구의 파일이 바뀌어도 되돌리지 않습니다. 스스로 쓴 답만 검사하는, 강의를 고치는
            사람의 것입니다: 그동안 고친 것을 되돌리면 안 됩니다.
    """

    def __init__(self, home: Home, trusting: bool = False) -> None:
        self._home = home
        self._trusting = trusting
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary: str | None = None  # 그 프로세스의 임시 파일들이 있는 폴더
        self._warmed: set[str] = set()  # 이 프로세스가 라이브러리를 읽어 둔 과제들
        self._originals = Originals(home)
        self._answers: dict[str, tuple[list[int], Answers]] = {}

    def __enter__(self) -> Checker:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        if self._process is not None:
            to_worker, from_worker = _pipes(self._process)
            to_worker.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
            self._end()
            from_worker.close()

    def check(
        self, task: Task, folder: Path, todo_ids: list[str], device: str = "cpu", timeout: float = DEFAULT_TIMEOUT
    ) -> dict[str, Verdict]:
        """TODO마다의 판정.

        Args:
            task: 과제.
            folder: 단계 파일들이 있는 폴더.
            todo_ids: 검사할 TODO들.

        Raises:
            CourseError: 검사 파일이 없거나 깨졌을 때.
        """
        verdicts: dict[str, Verdict] = {}
        alone = Job(task.name, folder, [], device, timeout)
        blame = Blame(task, folder, lambda one: self._judged(replace(alone, todos=[one]), task, blame)[one])
        for ids in _by_step(todo_ids).values():
            for file in map(task.check_file, ids):
                if not file.is_file():
                    raise CourseError(f"{task.name}의 검사 파일이 없습니다: {file}. 저장소를 다시 받아 주세요.")
            if changed := tampered(task):
                verdicts |= {todo_id: distrusted(todo_id, changed) for todo_id in ids}
            else:
                verdicts |= self._judged(replace(alone, todos=ids), task, blame)
        return {one: self._finished(task, verdict, device) for one, verdict in blame.settle(verdicts).items()}

    @staticmethod
    def _finished(task: Task, verdict: Verdict, device: str) -> Verdict:
        """누가 어디서 검사했는지 적고, 조사와 명령의 예를 맞춘 판정."""
        says = verdict.says.replace("{todo}", f"{task.short} {verdict.todo}")
        said = {"title": with_particles(verdict.title), "says": with_particles(says)}
        if verdict.idea:
            said["guide"] = place_of(task.home, task.name, verdict.todo)
        return replace(verdict, course_version=__version__, device=device, **said)

    def _judged(self, job: Job, task: Task, blame: Blame) -> dict[str, Verdict]:
        """한 단계의 TODO들의 판정.

        하나가 프로세스를 멈추거나 죽였으면, 나머지까지 틀렸다고 하지 않도록 하나씩 다시 봅니다.
        """
        answers = self._answers_of(task)
        reply = self._ask_patiently(job, blame)
        verdicts = {}
        for todo_id in job.todos:
            again = len(job.todos) > 1 and reply.must_be_asked_alone(todo_id)
            if reply.died == TIMEOUT and blame.todo_at(reply.stopped_at) == todo_id:  # 제 자리가 끝나지 않았습니다.
                again = False
            alone = self._ask_patiently(replace(job, todos=[todo_id]), blame) if again else reply
            verdicts[todo_id] = judge(todo_id, alone, answers)
        return verdicts

    def _ask_patiently(self, job: Job, blame: Blame) -> Reply:
        """끝나지 않는 자리를 이미 알면, 그 자리에 또 걸리는 TODO마다 오래 기다리지 않습니다."""
        if blame.endless and job.timeout > SOON:
            reply = self._ask_guarded(replace(job, timeout=SOON))
            if reply.died != TIMEOUT or blame.todo_at(reply.stopped_at) in blame.endless:
                return reply
        reply = self._ask_guarded(job)
        stuck = blame.todo_at(reply.stopped_at)
        if reply.died == TIMEOUT and stuck is not None:
            blame.endless.add(stuck)
        return reply

    def check_here(self, task: Task, folder: Path, todo_id: str, device: str = "cpu") -> Verdict:
        """이 프로세스에서 검사한 판정. 학생의 `input()`과 `breakpoint()`가 이 터미널과 이어집니다.

        Raises:
            CourseError: 검사 파일이 없거나 깨졌을 때.
        """
        from course.checks.debugging import check_here, is_quit

        job = Job(task.name, folder, [todo_id], device, DEFAULT_TIMEOUT)
        blame = Blame(task, folder, lambda one: self._judged(replace(job, todos=[one]), task, blame)[one])
        seen = check_here(task, job)
        verdict = seen if is_quit(seen) else blame.settle({todo_id: seen})[todo_id]
        return self._finished(task, verdict, device)

    def measure(
        self,
        task: Task,
        folder: Path,
        todo_ids: list[str],
        precision: str,
        device: str = "cpu",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Reply:
        """판정하는 대신, 검사가 견준 값들의 차이를 잽니다.

        Args:
            precision: 행렬곱의 정밀도, `course.checks.measuring.PRECISIONS`의 하나.

        Returns:
            `comparisons`까지 있는 답. 프로세스가 멈췄거나 죽었으면 그것이 None입니다.
        """
        return self.ask(Job(task.name, folder, todo_ids, device, timeout, precision))

    def _ask_guarded(self, job: Job) -> Reply:
        """검사하는 동안 검사나 도구의 파일이 바뀌었으면 되돌리고, 그 답은 세지 않습니다."""
        if self._trusting or job.folder.resolve().is_relative_to(self._home.solutions.resolve()):
            return self.ask(job)
        with undisturbed(self._home):
            self._originals.look()
            reply = self.ask(job)
            rewritten = self._originals.restore()
        return Reply(rewritten=rewritten) if rewritten else reply

    def _answers_of(self, task: Task) -> Answers:
        """과제의 표. 읽는 데 0.1초쯤 걸리므로, 파일이 바뀌었을 때만 다시 읽습니다."""
        times = [path.stat().st_mtime_ns for path in table_files(task)]
        if self._answers.get(task.name, (None,))[0] != times:
            self._answers[task.name] = times, Answers.load(task)
        return self._answers[task.name][1]

    def ask(self, job: Job) -> Reply:
        """일 하나를 검사 프로세스에 건네고 답을 받습니다. 프로세스가 없거나 죽었으면 새로 띄웁니다."""
        job = replace(job, nonce=secrets.token_hex(8))
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process, self._warmed = self._start(), set()
        to_worker, from_worker = _pipes(self._process)
        try:
            to_worker.write(job.to_json() + b"\n")
            to_worker.flush()
            # 과제를 처음 검사할 때는 라이브러리를 읽는 시간이 더 듭니다. 그 밖에는 프로세스가 스스로 시간을 지킵니다.
            line = _readline(from_worker, job.timeout + (5 if job.task in self._warmed else 60))
            self._warmed.add(job.task)
        except BrokenPipeError:
            line = b""
        except KeyboardInterrupt:  # 받지 않은 답이 다음 물음의 답이 되지 않도록
            self._end()
            raise
        reply = _answer_to(job, line)
        if reply is None:
            place = last_place(Path(self._temporary or os.devnull))
            self._end()
            return Reply(died=TIMEOUT if line is None else FORGED if line else CRASH, stopped_at=place)
        return reply

    def _end(self) -> None:
        """검사 프로세스를 그 후손과 함께 곧바로 끝내고, 남긴 임시 파일을 치웁니다."""
        if self._process is not None:
            left = processes.descendants(self._process.pid)
            self._process.kill()
            processes.kill_all(left)
            self._process.wait()
            self._process = None
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _start(self) -> subprocess.Popen[bytes]:
        _clear_leftovers()
        self._temporary = tempfile.mkdtemp(prefix=f"{TEMPORARY}{os.getpid()}-")
        environment = {
            **os.environ,
            **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), self._temporary),
            "PYTHONPATH": os.pathsep.join([str(self._home.root), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PYTHONIOENCODING": "utf-8",
            "TOKENIZERS_PARALLELISM": "false",  # 쓰레드를 띄운 토크나이저는 fork한 자식에서 멈출 수 있습니다.
            "OMP_NUM_THREADS": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # 설치된 다른 플러그인이 검사를 바꾸거나 늦추지 않도록
        }
        return subprocess.Popen(
            [sys.executable, "-m", "course.checks.worker", str(self._home.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._home.root,
            env=environment,
            start_new_session=True,  # Ctrl-C는 이 프로세스만 받고, 검사 프로세스는 여기서 끝냅니다.
        )


def _answer_to(job: Job, line: bytes | None) -> Reply | None:
    """그 물음의 답. 온전하지 않거나 다른 물음의 것이면 None."""
    try:
        reply = Reply.from_json(line or b"")
    except ValueError:
        return None
    return reply if reply.nonce == job.nonce else None


def _clear_leftovers() -> None:
    """갑자기 끝난 프로세스가 남긴 임시 폴더를 치웁니다."""
    for folder in Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*-*"):
        owner = folder.name.removeprefix(TEMPORARY).split("-")[0]
        if owner.isdigit() and not is_alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def distrusted(todo_id: str, changed: list[str]) -> Verdict:
    """검사 파일이 배포된 것과 다를 때의 판정. 통과로 세지 않습니다."""
    says = (
        f"달라진 파일: {', '.join(changed)}. 저장소를 다시 받거나, git으로 받았다면 "
        "`git checkout HEAD -- tests`로 되돌려 주세요."
    )
    return Verdict(todo_id, BROKEN, "검사 파일이 배포된 것과 다릅니다", says)


def _by_step(todo_ids: list[str]) -> dict[int, list[str]]:
    steps: dict[int, list[str]] = {}
    for todo_id in todo_ids:
        steps.setdefault(int(todo_id.split("-")[0]), []).append(todo_id)
    return steps


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """검사 프로세스로 들어가는 줄과 나오는 줄."""
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def _readline(stream: IO[bytes], timeout: float) -> bytes | None:
    """한 줄을 기다립니다. 시간이 다 되면 None. Windows의 파이프는 select로 기다릴 수 없어 쓰레드를 씁니다."""
    box: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=lambda: box.put(stream.readline()), daemon=True).start()
    try:
        return box.get(timeout=timeout)
    except queue.Empty:
        return None
