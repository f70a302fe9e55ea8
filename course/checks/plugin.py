"""검사를 고르고, 학생의 파일을 읽어 들이고, 결과를 사람이 읽을 판정의 재료로 모으는 pytest 플러그인.

pytest                                   해답을 검사합니다
pytest --target task                     학생의 폴더를 검사합니다
pytest tests/task1_cls --todo 3-4        TODO 하나만
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import pytest

from course.book.regions import RegionError, parse
from course.book.tasks import Task, all_tasks
from course.checks import seeding
from course.checks.loading import file_hash, load_step, without_bytecode
from course.checks.messages import ERROR, FAILED, INTERRUPTED, MISSING, WRONG, Failure, Reply, Result
from course.checks.printing import PrintLog
from course.checks.words import CheckFailed
from course.home import Home
from todo import TodoNotDone

SOLUTION, EXERCISE = "solutions", "task"
NO_MEMORY = re.compile(
    r"can't allocate memory|out of memory|Storage size calculation overflowed|Overflow when unpacking"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("course", "실습 검사")
    group.addoption("--target", default=SOLUTION, help="검사할 폴더: solutions, task(학생의 것), 또는 경로")
    group.addoption("--todo", default=None, help="이 TODO의 검사만. 예: 3-4")
    group.addoption("--device", default="cpu", help="검사에 쓸 장치: cpu 또는 cuda")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "todo(id): 이 검사가 확인하는 TODO")
    config.addinivalue_line("markers", "slow: 몇 초 넘게 걸리는 시험. 기본으로 함께 돕니다")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("--todo")
    if wanted is None:
        return
    chosen = [item for item in items if todo_of(item) == wanted]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def todo_of(item: pytest.Item) -> str | None:
    marker = item.get_closest_marker("todo")
    return marker.args[0] if marker else None


def target_folder(target: str, task: Task) -> Path:
    """`--target`이 가리키는, 이 과제의 단계 파일들이 있는 폴더."""
    if target == SOLUTION:
        return task.solution if task.solution.is_dir() else task.exercise
    if target == EXERCISE:
        return task.exercise
    folder = Path(target).resolve()
    return folder / task.name if (folder / task.name).is_dir() else folder


def task_of(home: Home, path: Path) -> Task:
    """이 검사 파일이 속한 과제."""
    for task in all_tasks(home):
        if task.tests in path.parents:
            return task
    raise LookupError(f"{path}은(는) 어느 과제의 검사도 아닙니다.")


class StepLoader:
    """단계 모듈을 번호로 읽습니다. 한 검사 실행 안에서는 한 번만 읽습니다.

    Attributes:
        hashes: 읽은 파일 이름 → 내용의 해시. 판정에 함께 적힙니다.
    """

    def __init__(self, task: Task, folder: Path) -> None:
        self.task, self.folder = task, folder
        self.hashes: dict[str, str] = {}
        self._loaded: dict[int, ModuleType] = {}

    def __call__(self, number: int) -> ModuleType:
        if number not in self._loaded:
            step = self.task.step(number)
            for one in [step] if step.is_stretch else self.task.steps:  # 단계는 앞 단계를 불러오므로 함께 읽힙니다.
                if one.number <= number and (self.folder / one.file_name).is_file():
                    self.hashes[one.file_name] = file_hash(self.folder / one.file_name)
            self._loaded[number] = load_step(self.folder, step.module)
        return self._loaded[number]


def step_loader(conftest: str) -> Any:
    """과제의 `conftest.py`가 갖출 fixture `load`: `load(3)`은 검사할 폴더의 3단계 모듈입니다.

    한 과제의 모든 검사가 한 실행 동안 함께 씁니다. 과제마다 제 것이 있어, 두 과제를 함께 돌려도 섞이지 않습니다.

    Args:
        conftest: 그 파일의 `__file__`.
    """

    @pytest.fixture(scope="session")
    def load(request: pytest.FixtureRequest) -> StepLoader:
        task = task_of(Home(request.config.rootpath), Path(conftest).resolve())
        loader = StepLoader(task, target_folder(request.config.option.target, task))
        hashes = request.config.stash.setdefault(HASHES, {})
        request.addfinalizer(lambda: hashes.update(loader.hashes))
        return loader

    return load


HASHES = pytest.StashKey[dict[str, str]]()


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """검사에 쓸 장치. `--device cuda`인데 GPU가 없으면 건너뜁니다."""
    import torch

    name = request.config.option.device
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("CUDA 장치가 없습니다")
    return name


class Recorder:
    """검사마다의 결과를 모읍니다."""

    def __init__(self, folder: Path, checks: Path, is_watched: bool = False) -> None:
        self._is_watched = is_watched
        self.folder = folder.resolve()
        self.checks = checks.resolve()
        self._seeds = seeding.SeedLog(self.folder, self.checks)
        self._prints = PrintLog(self.folder)
        self.results: list[Result] = []
        self.errors: list[str] = []
        self._collected: list[pytest.Item] = []
        self._reported: set[str] = set()

    def pytest_configure(self, config: pytest.Config) -> None:
        config.option.tbstyle = "native"  # 검사 파일을 읽지 못한 까닭이 마지막 줄에 오도록

    @pytest.hookimpl(wrapper=True)
    def pytest_load_initial_conftests(self) -> Any:
        with without_bytecode():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Any:
        with without_bytecode():  # 목록(manifest)의 해시는 소스의 것입니다.
            return (yield)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._collected = list(session.items)
        for item in session.items:
            item.repr_failure = _nothing_to_show  # 실패는 describe가 옮깁니다. pytest의 긴 설명은 아무도 읽지 않습니다.
        self._seeds.begin()
        if not self._is_watched:
            self._prints.begin()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._prints.test = item.name

    @property
    def printed(self) -> dict[str, list[str]]:
        """검사의 이름 → 자리에서 찍은 것."""
        return self._prints.printed()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo) -> Any:
        report = yield
        if report.when == "call" or report.outcome != "passed":
            result = Result(item.name, todo_of(item), report.outcome)
            if call.excinfo is not None:
                result.failure = describe(call.excinfo.value, self.folder, self.checks)
            if report.when != "teardown":
                self.results.append(result)
                self._reported.add(item.nodeid)
        return report

    def pytest_sessionfinish(self) -> None:
        """끝까지 가지 못한 검사, 시드를 다시 정한 답은 통과가 아닙니다."""
        self._seeds.end()
        self._prints.end()
        stopped = Failure(ERROR, "검사가 끝나기 전에 실행이 중단되었습니다", error=INTERRUPTED)
        for item in self._collected:
            if item.nodeid not in self._reported:
                self.results.append(Result(item.name, todo_of(item), FAILED, stopped))
        self._fail_what_reseeded()

    def _fail_what_reseeded(self) -> None:
        """다른 검사는 모두 통과했는데 자리의 코드가 시드를 다시 정한 TODO를 실패로 바꿉니다."""
        for (name, line), function in self._seeds.seeded.items():
            try:
                regions = parse((self.folder / name).read_text(encoding="utf-8-sig"))
            except (OSError, UnicodeDecodeError, RegionError):
                continue
            todo_id = next((one.id for one in regions if one.begin < line - 1 < one.end), None)
            results = [result for result in self.results if result.todo == todo_id]
            error = CheckFailed(idea="난수", got=f"{function}(…)", symptom=seeding.SYMPTOM)
            if all(result.passed for result in results):
                for result in results:
                    result.fail(describe(error, self.folder, self.checks).at(name, line))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(str(report.longrepr))


def _nothing_to_show(*_: Any, **__: Any) -> str:
    return ""


def describe(error: BaseException, folder: Path, checks: Path) -> Failure:
    """예외를 판정의 재료로 바꿉니다. `line`은 학생의 파일에서 예외에 가장 가까운 줄입니다.

    Args:
        folder: 학생의 단계 파일들이 있는 폴더.
        checks: 검사들이 있는 폴더. traceback은 이 두 곳의 첫 줄에서 시작합니다.
    """
    error = _limit_reached(error) or error
    since_check = _since_check(error.__traceback__, {folder, checks})
    frames = traceback.extract_tb(since_check)
    own = [frame for frame in frames if Path(frame.filename).resolve().parent == folder]
    where: dict[str, Any] = {}
    if own:
        where = {"file": Path(own[-1].filename).name, "line": own[-1].lineno, "code": (own[-1].line or "").strip()}
    message = str(error)
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).resolve().parent == folder:
        where, message = _where_unreadable(error), error.msg
    text = "".join(traceback.format_exception(type(error), error, since_check))[-20_000:]
    if isinstance(error, TodoNotDone):
        # 검사가 todo를 감싸 두었어도, 가리킬 곳은 학생의 줄입니다.
        where = {"file": error.file.name, "line": error.line, **where}
        return Failure(MISSING, missing=error.todo_id, traceback=text, **where)
    if isinstance(error, CheckFailed):
        return Failure(
            WRONG,
            error.message,
            idea=error.idea,
            expected=error.expected,
            got=error.got,
            symptom=error.symptom,
            values={name: _plain(value) for name, value in error.values.items()},
            traceback=text,
            **where,
        )
    names = [kind.__name__ for kind in type(error).__mro__]
    return Failure(ERROR, message[:500], error=names[0], bases=names[1:], traceback=text, **where)


def _limit_reached(error: BaseException | None) -> BaseException | None:
    """메모리나 재귀의 한도에 닿은 것이라면 그 예외. 검사의 `except`가 그것을 보고 다른 이름을 불렀을 수 있습니다.

    한도에 닿는 것이 바로 그 실수라면, 검사는 `except`를 나온 다음에 이름을 부릅니다.
    """
    while error is not None:
        if isinstance(error, (MemoryError, RecursionError)) or NO_MEMORY.search(str(error)):
            return error
        error = error.__context__
    return None


def _since_check(trace: TracebackType | None, ours: set[Path]) -> TracebackType | None:
    """검사나 학생의 파일에서 시작하는 traceback. 그 앞의 스무 줄 남짓은 pytest의 것입니다."""
    start = trace
    while start is not None and not ours & set(Path(start.tb_frame.f_code.co_filename).parents):
        start = start.tb_next
    return start or trace


def _where_unreadable(error: SyntaxError) -> dict[str, Any]:
    """파이썬이 읽지 못한 줄. `column`은 들여쓰기를 뺀 줄에서 몇 번째 글자인지(0부터)입니다."""
    line = (error.text or "").rstrip()
    code = line.lstrip()
    column = (error.offset or 0) - 1 - (len(line) - len(code))
    place = {"column": column} if code and 0 <= column <= len(code) else {}
    return {"file": Path(error.filename or "").name, "line": error.lineno, "code": code, **place}


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, float, str, bool)) or value is None else str(value)


def run(
    task: Task,
    folder: Path,
    todo_ids: list[str],
    device: str = "cpu",
    plugins: Iterable[object] = (),
    is_watched: bool = False,
) -> Reply:
    """이 프로세스에서 검사를 돌립니다.

    Args:
        plugins: 함께 쓸 pytest 플러그인들.
        is_watched: 사람이 터미널에서 보고 있습니다. 찍는 것을 모으지 않고 그대로 내보내며, 키보드도 이어 둡니다.
    """
    recorder = Recorder(folder, task.checks, is_watched)
    files = [str(task.check_file(todo_id)) for todo_id in todo_ids]
    keep = HashKeeper()
    # `--target 폴더`로 띄어 적으면, 아직 옵션을 모르는 pytest가 그 폴더도 시험으로 여겨 학생의 conftest.py를 읽습니다.
    pytest.main(
        [*files, f"--target={folder}", f"--device={device}", *_only(todo_ids), *quiet(task.home), *["-s"] * is_watched],
        plugins=[recorder, keep, *plugins],
    )
    wanted = set(todo_ids)
    results = [result for result in recorder.results if result.todo in wanted]
    return Reply(results, keep.hashes, recorder.errors, printed=recorder.printed)


class HashKeeper:
    """실행이 끝날 때 읽은 파일의 해시를 챙깁니다."""

    def __init__(self) -> None:
        self.hashes: dict[str, str] = {}

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.hashes = dict(session.config.stash.get(HASHES, {}))


def _only(todo_ids: list[str]) -> list[str]:
    return [f"--todo={todo_ids[0]}"] if len(todo_ids) == 1 else []


def quiet(home: Home) -> list[str]:
    """아무것도 적거나 남기지 않고, 저장소 밖의 설정을 읽지 않게 하는 pytest의 인수."""
    return [
        "-c",
        str(home.root / "pyproject.toml"),
        "-p",
        "no:cacheprovider",
        "-p",
        "no:terminal",
        "-p",
        "no:faulthandler",  # 멈춘 줄은 worker가 적습니다(`stopping`).
        "-p",
        "no:debugging",  # breakpoint()가 terminal 플러그인을 찾다 멈추는 대신, 표준 입력이 없다는 예외가 되도록
        "--assert=plain",
        f"--rootdir={home.root}",
        f"--confcutdir={home.root}",
    ]
