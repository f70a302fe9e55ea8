"""학생의 코드는 판정을 지어낼 수 없습니다: 답의 통로에 쓰거나, 도구의 속을 갈아 끼우거나, 무엇을 남겨도 그렇습니다."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from course.book.leftovers import is_alive
from course.book.regions import splice
from course.checks import checker as checking
from course.checks import processes
from course.checks.checker import Checker
from course.checks.messages import PASSED, Reply, Result
from tests.course.workshop import STEP1, STEP2, Workshop

can_fork = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="fork로 가두는 검사")
linux = pytest.mark.skipif(sys.platform != "linux", reason="리눅스의 프로세스")
FORGED = Reply([Result("test_double_of_two", "1-1", PASSED)]).to_json()
WRITE_EVERYWHERE = """
import os
for number in range(64):
    for _ in range(3):
        try:
            os.write(number, {line} + b"\\n")
        except OSError:
            pass
answer = 0
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    workshop = Workshop(tmp_path_factory.mktemp("school"))
    workshop.install_engine()
    return workshop


@pytest.fixture
def asking(root, tmp_path):
    """`asking(checker)(1-1의 답)`: 그 답의 판정."""

    def to(checker):
        def ask(answer, timeout=30.0):
            (tmp_path / "step1_numbers.py").write_text(splice(STEP1, "1-1", answer), encoding="utf-8")
            (tmp_path / "step2_quadruple.py").write_text(STEP2, encoding="utf-8")
            return checker.check(root.task, tmp_path, ["1-1"], timeout=timeout)["1-1"]

        return ask

    return to


@pytest.fixture(scope="module")
def checker(root):
    with Checker(root.home) as one:
        yield one


@pytest.fixture
def check(checker, asking):
    return asking(checker)


RIGHT_ANSWER, WRONG_ANSWER = "answer = number * 2", "answer = number * 3"


# 통로


@can_fork
@pytest.mark.parametrize("line", [FORGED, b"{}", b"no json", b"\xff\xfe", b""], ids=ascii)
def test_writing_to_every_open_descriptor_changes_no_verdict(check, line):
    attack = WRITE_EVERYWHERE.replace("{line}", repr(line))
    assert [check(one).state for one in (attack, WRONG_ANSWER, WRONG_ANSWER)] == ["wrong"] * 3
    assert check(RIGHT_ANSWER).is_right


@pytest.mark.parametrize("line", [FORGED, b"no json"], ids=["an answer", "no answer"])
def test_without_fork_a_line_nobody_asked_for_is_never_an_answer(root, asking, monkeypatch, line):
    monkeypatch.setenv("COURSE_NO_FORK", "1")
    with Checker(root.home) as one:
        ask = asking(one)
        attacked = ask(WRITE_EVERYWHERE.replace("{line}", repr(line)))
        assert (attacked.state, attacked.title) == ("broken", "검사의 답에 다른 글이 섞였습니다")
        assert ask(WRONG_ANSWER).state == "wrong"
        assert ask(RIGHT_ANSWER).is_right


# 도구의 속


SWAP = "{0}.__code__ = (lambda *a, **k: {1}).__code__"


@can_fork
@pytest.mark.parametrize(
    "trick",
    [
        "import course.checks.words as w; " + SWAP.format("w.fail", None),
        "import course.checks.words as w; " + SWAP.format("w.CheckFailed.__init__", None),
        "import _pytest.python as p; " + SWAP.format("p.Function.runtest", None),
        "import course.checks.words as w; w.fail.__code__ = w.todo.__code__.replace(co_flags=15)",
        "import course.checks.messages as m; m.Reply.to_json = lambda self: FORGED",
        "import course.checks.messages as m; " + SWAP.format("m.Reply.to_json", "FORGED"),
        "import course.checks.plugin as p; p.Recorder.pytest_sessionfinish = lambda self: self.results.clear()",
        "import json; json.dumps = lambda *a, **k: FORGED.decode()",
        "import builtins; builtins.isinstance = lambda *a: False",
    ],
)
def test_swapping_what_is_inside_a_tool_is_seen(check, trick):
    verdict = check(f"FORGED = {FORGED!r}\n{trick}\nanswer = 0")
    assert not verdict.is_right
    assert check(RIGHT_ANSWER).is_right


@can_fork
@pytest.mark.parametrize("kept", ["changed", "remember", "parts", "is_same"])
def test_the_guard_cannot_be_put_to_sleep(check, kept):
    sleeping = f"import course.checks.guard as g; g.{kept}.__code__ = (lambda *a: []).__code__"
    fooled = "import course.checks.words as w; w.fail.__code__ = (lambda *a, **k: None).__code__"
    verdict = check(f"{sleeping}; {fooled}\nanswer = 0")
    assert verdict.title.startswith("단계 파일이 검사 도구를 바꿔치기했습니다")


# 프로세스


DAEMON = "os.setsid()\n    if os.fork(): os._exit(0)"


class Held:
    """이름 있는 파이프. 그것을 쥔 프로세스가 모두 끝났는지 압니다."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def wait_for_word(self) -> None:
        assert select.select([self._reader], [], [], 30)[0], "아무도 파이프에 쓰지 않았습니다"

    def is_let_go(self) -> bool:
        os.set_blocking(self._reader, True)
        closed = threading.Event()

        def read() -> None:
            while os.read(self._reader, 64):
                pass
            closed.set()

        threading.Thread(target=read, daemon=True).start()
        return closed.wait(20)


@linux
@pytest.mark.parametrize("daemonise", ["pass", DAEMON], ids=["child", "daemon"])
def test_process_an_answer_started_ends_with_it(check, tmp_path, daemonise):
    held = Held(tmp_path / "pipe")
    code = f"""
import os, sys
if os.fork() == 0:
    {daemonise}
    pipe = os.open({str(held.path)!r}, os.O_WRONLY)
    os.write(pipe, b"!")
    os.set_inheritable(pipe, True)
    os.execv(sys.executable, [sys.executable, "-c", "import signal; signal.pause()"])
answer = number * 2
if number == 3:
    while not os.path.exists({str(tmp_path / "go")!r}): pass
"""
    go = threading.Thread(target=lambda: (held.wait_for_word(), (tmp_path / "go").touch()))
    go.start()
    assert check(code).is_right
    go.join()
    assert held.is_let_go()


@linux
def test_answer_that_is_still_running_dies_with_the_worker(root, asking, tmp_path):
    held = Held(tmp_path / "pipe")
    code = f"import os; pipe = os.open({str(held.path)!r}, os.O_WRONLY); os.write(pipe, b'!')\nwhile True: pass"
    with Checker(root.home) as one:

        def kill_worker():
            held.wait_for_word()
            os.kill(one._process.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_worker)
        killer.start()
        assert asking(one)(code).state == "broken"
        killer.join()
        assert held.is_let_go()
        assert asking(one)(RIGHT_ANSWER).is_right


@linux
def test_other_children_of_the_worker_are_left_alone():
    mine = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    theirs = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        assert {mine.pid, theirs.pid} <= processes.descendants(os.getpid())
        processes.end(theirs.pid, processes.descendants(os.getpid()) - {theirs.pid})
        assert mine.poll() is None
        assert not is_alive(theirs.pid)
    finally:
        mine.kill()
        mine.wait()


# 임시 파일


@can_fork
def test_temporary_files_of_an_answer_go_with_it(check, tmp_path):
    word = tmp_path / "word"
    code = f"import tempfile; open({str(word)!r}, 'w').write(tempfile.mkdtemp())\nanswer = number * 2"
    assert check(code).is_right
    assert not Path(word.read_text()).exists()
    assert Path(word.read_text()).parent != Path(tempfile.gettempdir())


@can_fork
def test_temporary_files_of_a_checker_that_died_go_at_the_next_start(root, asking, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left, alive, other = (
        tmp_path / "tmp" / f"{checking.TEMPORARY}{name}" for name in (f"{dead.pid}-a", f"{os.getpid()}-b", "notes-c")
    )
    for folder in (left, alive, other):
        folder.mkdir(parents=True)
    with Checker(root.home) as one:
        assert asking(one)(RIGHT_ANSWER).is_right
        assert [folder.exists() for folder in (left, alive, other)] == [False, True, True]
    assert sorted((tmp_path / "tmp").iterdir()) == sorted([alive, other])
