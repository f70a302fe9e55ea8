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

from course import __version__
from course.book.leftovers import is_alive
from course.book.locking import undisturbed
from course.book.manifest import tampered
from course.book.regions import Region, RegionError, lines_of, parse
from course.book.tables import Answers, table_files
from course.book.tasks import Task
from course.checks import processes
from course.checks.messages import CRASH, FORGED, TIMEOUT, Job, Reply
from course.checks.originals import Originals
from course.checks.verdict import BROKEN, NOT_STARTED, Verdict, judge
from course.home import CourseError, Home

TEMPORARY = "course-"  # 검사 프로세스의 임시 폴더: course-<부른 프로세스>-…
DEFAULT_TIMEOUT = 60.0  # 초. 검사 하나는 1초 안에 끝나므로, 이만큼 걸리면 끝나지 않는 코드입니다.


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
        answers = self._answers_of(task)
        verdicts = {}
        for ids in _by_step(todo_ids).values():
            for file in map(task.check_file, ids):
                if not file.is_file():
                    raise CourseError(f"{task.name}의 검사 파일이 없습니다: {file}. 저장소를 다시 받아 주세요.")
            if changed := tampered(task):
                verdicts |= {todo_id: distrusted(todo_id, changed) for todo_id in ids}
                continue
            job = Job(task.name, folder, ids, device, timeout)
            reply = self._ask_guarded(job)
            for todo_id in ids:
                # 하나가 프로세스를 멈추거나 죽였습니다. 나머지까지 틀렸다고 하지 않도록 하나씩 다시 봅니다.
                again = (reply.died or reply.rewritten) and len(ids) > 1
                alone = self._ask_guarded(replace(job, todos=[todo_id])) if again else reply
                verdicts[todo_id] = point_to_region(judge(todo_id, alone, answers), task, folder)
        for verdict in verdicts.values():
            verdict.course_version, verdict.device = __version__, device
        return verdicts

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
            self._end()
            return Reply(died=TIMEOUT if line is None else FORGED if line else CRASH)
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


def point_to_region(verdict: Verdict, task: Task, folder: Path) -> Verdict:
    """판정을 자리와 이어 줍니다: 어디인지 모르면 제 자리를 가리키고, 남의 자리에서 멈췄으면 그렇다고 말합니다."""
    if verdict.is_right:
        return verdict
    file_name = verdict.file or task.step_of(verdict.todo).file_name
    try:
        regions = parse((folder / file_name).read_text(encoding="utf-8-sig"), file_name)
    except (OSError, UnicodeDecodeError, RegionError):
        return verdict
    own = next((region for region in regions if region.id == verdict.todo), None)
    if own is not None and verdict.state == BROKEN and is_untouched(folder / file_name, own):
        return Verdict(verdict.todo, NOT_STARTED, "아직 시작하지 않았습니다", file=file_name, line=own.code_begin + 1)
    if verdict.line is None:
        if own is not None:
            verdict.file, verdict.line = file_name, own.code_begin + 1
            if verdict.error not in ("", "SyntaxError", "Interrupted"):
                verdict.says = f"이 TODO가 만든 것을 검사가 쓰다가 멈췄습니다. {verdict.says}".rstrip()
    elif verdict.error:
        _blame(verdict, verdict.line, regions)
    return verdict


def is_untouched(file: Path, region: Region) -> bool:
    """자리에 아직 `todo("…")` 한 줄뿐인가. 주석은 보지 않습니다."""
    code = lines_of(file.read_text(encoding="utf-8-sig"))[region.code_begin : region.end]
    bare = [line.split("#")[0].strip() for line in code]
    return [line for line in bare if line] == [f'todo("{region.id}")']


def _blame(verdict: Verdict, line: int, regions: list[Region]) -> None:
    """`line`에서 멈췄습니다. 이 TODO의 자리가 아닌 곳에서 멈췄으면, 어느 자리를 보아야 하는지 말합니다."""
    where = next((region for region in regions if region.begin < line <= region.end), None)
    if where is None and verdict.error in ("NameError", "UnboundLocalError"):
        verdict.says = (
            "위의 TODO가 만들어야 할 이름을 쓰는 줄입니다. 자리 안에서 같은 철자의 이름에 값을 담았는지, "
            "if나 for의 안에서만 담지는 않았는지 보세요."
        )
    elif where is not None and where.id != verdict.todo:
        verdict.says = f"{verdict.says} 멈춘 줄은 TODO {where.id}의 자리입니다. 그것부터 고쳐 주세요.".strip()


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
