"""탐색을 시작하고, 이어 하고, 여러 프로세스로 나누어 하고, 결과를 말하는 일. 단계는 여기에 과제의 것만 건넵니다.

    TASK = SweepTask(file=Path(__file__), name="TASK", trial=run_trial, …)   # 모듈의 맨 위에 둡니다
    run_sweep(TASK, Request("quick_test", count=4))

여러 프로세스로 할 때 일꾼은 `file`을 새로 읽어 그 안의 `name`을 찾습니다.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from nlpbook.errors import UserError
from nlpbook.paths import require_writable_folder, shown, write_json
from nlpbook.screen import say
from nlpbook.sweeps import results as results_module
from nlpbook.sweeps import space, workers
from nlpbook.sweeps.config import Sweep, find_sweep, metric_name, read_sweep
from nlpbook.sweeps.loop import Pieces, Trial, run_trials, short
from nlpbook.sweeps.results import Summarize, SweepFolder
from nlpbook.sweeps.storages import HEARTBEAT, StorageLost, open_storage, without_password
from nlpbook.sweeps.study import COMPLETE, RUNNING, STATUS, Search, new_id, sweep_id_of
from nlpbook.sweeps.worker import STORAGE

ENGINES = ("optuna", "wandb")
COUNT = 20  # 격자가 아닌 탐색에서 --count를 적지 않았을 때
SEED = 42


def nothing_to_check(sweep: Sweep, base: Mapping[str, Any]) -> None:
    """살필 것이 없습니다."""


@dataclass(frozen=True)
class SweepTask:
    """과제가 탐색에 건네는 것.

    Attributes:
        file, name: 일꾼이 이것을 다시 찾을 파일과, 그 안의 이름.
        trial: `(값들, 문맥) → 지표들`.
        sweeps: 탐색 파일들이 있는 폴더.
        outputs: `base` → 결과를 모으는 폴더.
        metric, goal: 탐색 파일에 적지 않았을 때 견줄 것.
        prepare: 시작하기 전에 이름과 값들을 살피는 함수. 틀린 것이 있으면 UserError를 냅니다.
        gpus: `base` → 쓸 수 있는 GPU들.
        rerun: 고른 값으로 다시 학습하는 명령. `{config}`에 바탕 설정이 들어가고, 뒤에 `이름=값`들이 붙습니다.
    """

    file: Path
    name: str
    trial: Trial
    sweeps: Path
    outputs: Callable[[Mapping[str, Any]], Path]
    metric: str
    goal: str = "maximize"
    prepare: Callable[[Sweep, Mapping[str, Any]], None] = nothing_to_check
    pieces: Pieces = field(default_factory=Pieces)
    summarize: Summarize = results_module.summarize
    assign: workers.Assign = workers.assign
    gpus: Callable[[Mapping[str, Any]], list[str]] = lambda base: workers.visible_gpus()
    rerun: str = ""


@dataclass(frozen=True)
class Request:
    """사람이 시킨 것.

    Attributes:
        sweep: 탐색의 이름이나 파일의 경로.
        base: 시도마다 같은 것(기본 설정의 이름 등). JSON으로 적을 수 있어야 합니다.
        count: 마칠 시도의 수. 비우면 격자는 모든 점, 아니면 파일의 run_cap이나 20입니다. 이어 할 때는 처음의 수입니다.
        sweep_id, resume: 이어 할 탐색.
        storage: 데이터베이스의 주소. 비우면 결과 폴더의 파일입니다.
        retry: 실패한 시도를 몇 번까지 다시 할지.
        workers: 프로세스의 수. 0이면 이 프로세스에서 차례로 합니다.
        project, entity: W&B의 것.
    """

    sweep: str
    base: Mapping[str, Any] = field(default_factory=dict)
    count: int | None = None
    sweep_id: str | None = None
    resume: bool = False
    engine: str = "optuna"
    storage: str | None = None
    seed: int = SEED
    retry: int = 0
    workers: int = 0
    project: str | None = None
    entity: str | None = None
    heartbeat: int = HEARTBEAT


def run_sweep(task: SweepTask, request: Request) -> SweepFolder:
    """탐색을 시작하거나 이어서 끝까지 합니다.

    Returns:
        결과의 폴더.

    Raises:
        UserError: 시작할 수 없거나, 저장소에 닿을 수 없거나, 견줄 지표가 오지 않았을 때.
        KeyboardInterrupt: 사람이 멈췄을 때. 그때까지의 것은 적혀 있습니다.
    """
    sweep = read_sweep(find_sweep(request.sweep, task.sweeps), task.metric, task.goal)
    if request.engine not in ENGINES:
        raise UserError(f"--engine은 {' 또는 '.join(ENGINES)}입니다(지금: {request.engine}).")
    for name in ("count", "workers", "retry"):
        if (getattr(request, name) or 0) < 0 or (name == "count" and request.count == 0):
            raise UserError(f"--{name}은(는) {1 if name == 'count' else 0} 이상이어야 합니다.")
    task.prepare(sweep, request.base)
    outputs = require_writable_folder(task.outputs(request.base))
    folder = SweepFolder(outputs, sweep.name, task.summarize)
    if request.engine == "wandb":
        from nlpbook.sweeps.wandb_engine import run_on_wandb

        return run_on_wandb(task, request, sweep, folder)
    space.require_supported(sweep)
    environments = task.assign(request.workers, _gpus(task, request), workers.core_count())
    search = open_search(task, request, sweep, folder)
    if request.resume or request.sweep_id:
        buried = search.bury()
        if buried:
            say(f"꺼진 프로세스가 하던 시도 {len(buried)}개를 끝난 것으로 적었습니다. 다시 하려면 --retry 1을 주세요.")
    count, retry = count_of(request, sweep, search)
    search.plan(count, retry)
    try:
        if request.workers:
            _run_in_workers(task, request, sweep, folder, search, environments)
        else:
            run_trials(search, task.trial, folder, request.base, task.pieces)
    except StorageLost:  # 마친 것은 이 기계의 pending/에 있습니다. 저장소에 또 묻지 않습니다.
        raise
    except BaseException:
        finish_up(search, folder)
        raise
    finish_up(search, folder)
    return folder


def _gpus(task: SweepTask, request: Request) -> list[str]:
    return task.gpus(request.base) if request.workers else []


def count_of(request: Request, sweep: Sweep, search: Search) -> tuple[int, int]:
    """(마칠 시도의 수, 다시 할 수)."""
    planned, retry = search.planned
    count = request.count or planned or sweep.count
    if count is None:
        count = len(space.grid_points(sweep.varied)) if sweep.method == "grid" else COUNT
    return count, max(request.retry, retry)


def open_search(task: SweepTask, request: Request, sweep: Sweep, folder: SweepFolder) -> Search:
    """새 탐색을 만들거나, 이어 할 것을 엽니다. 새로 만들면 있던 결과는 비켜 둡니다."""
    more = {"remaining": task.pieces.remaining}
    info = folder.read_info()
    if request.resume or request.sweep_id:
        id = request.sweep_id or info.get("sweep_id")
        if id is None:
            raise UserError(f"이어 할 탐색이 없습니다: {shown(folder.path)}. --resume 없이 시작해 주세요.")
        if info.get("storage") and not request.storage:
            raise UserError(f"이 탐색은 데이터베이스에 있습니다. --storage도 적어 주세요: {info['storage']}")
        if not request.storage and not folder.journal.is_file():
            raise UserError(f"이어 할 탐색이 없습니다: {shown(folder.path)}. --resume 없이 시작해 주세요.")
        storage = open_storage(request.storage, folder.journal, request.heartbeat)
        search = Search.load(storage, sweep, id, folder.pending, **more)
        if info.get("sweep_id") != id:
            _write_info(request, sweep, folder, id, task.rerun)
        say(f"탐색을 이어 합니다. 번호(sweep id): {id}")
        return search
    running = _still_running(folder, sweep, info) if not request.storage else []
    if running:
        raise UserError(
            f"{shown(folder.path)} 의 탐색을 다른 프로세스({running[0]}번)가 하고 있습니다. 끝나기를 기다리거나, "
            "함께 하려면 --resume을 덧붙여 주세요."
        )
    id = new_id()
    storage = open_storage(request.storage, new_journal(folder, id), request.heartbeat)
    search = Search.create(storage, sweep, id, request.seed, folder.pending, **more)
    return _settled(task, request, sweep, folder, search, id)


def _settled(task: SweepTask, request: Request, sweep: Sweep, folder: SweepFolder, search: Search, id: str) -> Search:
    """시작할 수 있음을 안 다음에야 있던 결과를 비켜 두고, 저장소를 제자리에 놓습니다."""
    moved = folder.move_aside()
    if moved:
        say(f"지난 결과를 {shown(moved)} (으)로 비켜 두었습니다. 이어 하려던 것이라면 --resume을 덧붙이세요.")
    folder.path.mkdir(parents=True, exist_ok=True)
    if request.storage is None:
        new_journal(folder, id).rename(folder.journal)
        storage = open_storage(None, folder.journal)
        search = Search.load(storage, sweep, id, folder.pending, remaining=task.pieces.remaining)
    _write_info(request, sweep, folder, id, task.rerun)
    say(f"탐색 {sweep.title}을(를) 시작합니다. 번호(sweep id): {id}")
    return search


def new_journal(folder: SweepFolder, id: str) -> Path:
    """있던 결과를 비켜 두기 전까지 쓰는 저장소의 자리."""
    return folder.path.with_name(f".{folder.path.name}.{id}.journal")


def _still_running(folder: SweepFolder, sweep: Sweep, info: Mapping[str, Any]) -> list[int]:
    """이 기계에서 그 탐색을 지금 하고 있는 프로세스들."""
    if not folder.journal.is_file() or "sweep_id" not in info or info.get("storage"):
        return []
    try:
        search = Search.load(open_storage(None, folder.journal), sweep, info["sweep_id"], folder.pending)
    except UserError:  # 그사이 탐색 파일이 바뀌었습니다.
        return []
    search.bury()
    return [(one.facts["owner"] or {}).get("pid", 0) for one in search.attempts() if one.status == RUNNING]


def _write_info(request: Request, sweep: Sweep, folder: SweepFolder, id: str, rerun: str = "") -> None:
    folder.write_info(
        sweep_id=id,
        name=sweep.name,
        title=sweep.title,
        engine=request.engine,
        method=sweep.method,
        metric=sweep.metric,
        goal=sweep.goal,
        definition=sweep.definition,
        config=sweep.path.name,
        base=dict(request.base),
        seed=request.seed,
        count=request.count,
        storage=without_password(request.storage) if request.storage else None,
        rerun=rerun,
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def _run_in_workers(
    task: SweepTask,
    request: Request,
    sweep: Sweep,
    folder: SweepFolder,
    search: Search,
    environments: list[dict[str, str]],
) -> None:
    spec = folder.path / f"workers-{os.getpid()}-{secrets.token_hex(2)}.json"
    content = {
        "target": f"{task.file.resolve()}:{task.name}",
        "sweep": str(sweep.path.resolve()),
        "metric": task.metric,
        "goal": task.goal,
        "outputs": str(folder.outputs.resolve()),
        "id": sweep_id_of(search),
        "base": dict(request.base),
        "heartbeat": request.heartbeat,
    }
    write_json(spec, content)
    logs = folder.outputs.parent / workers.LOGS
    say(f"일꾼 {request.workers}이 나누어 합니다. 기록: {shown(logs)}")
    hidden = {STORAGE: request.storage} if request.storage else {}
    watch = _watcher(folder, search)
    try:
        for _ in range(1 + max(request.retry, search.planned[1])):
            codes = workers.run_workers(spec, environments, logs, hidden, watch)
            for number, code in enumerate(codes, start=1):
                if code:
                    say(f"일꾼 {number}이(가) 도중에 멈췄습니다(코드 {code}). {shown(logs / f'worker_{number}.log')}")
            search.bury()
            search.plan(*search.planned)
            if not any(one.status == "waiting" for one in search.attempts()):
                return
            if all(codes):
                break
    finally:
        spec.unlink(missing_ok=True)
    raise UserError(f"일꾼이 모두 멈췄습니다. {shown(logs)} 의 기록을 보고 고친 뒤 --resume으로 이어 주세요.")


def _watcher(folder: SweepFolder, search: Search) -> Callable[[], None]:
    """일꾼들이 적는 결과를 지켜보며 한 줄씩 말하는 함수."""
    told = len(folder.records())
    name = metric_name(search.sweep.metric)

    def watch() -> None:
        nonlocal told
        for one in folder.records()[told:]:
            told += 1
            value = f"{name} {one['value']:.4f}" if one["value"] is not None else one["status"]
            say(f"시도 {one['slot'] + 1}/{search.planned[0]} (일꾼 {one['worker']}): {value}")

    return watch


def finish_up(search: Search, folder: SweepFolder) -> None:
    """남은 줄을 적고, 무엇을 찾았는지 짧게 말합니다."""
    search.bury()
    records = folder.record(search)
    complete = [one for one in records if one["status"] == COMPLETE]
    counts = ", ".join(
        f"{STATUS.get(status, status)} {sum(one['status'] == status for one in records)}"
        for status in _statuses(records)
    )
    say(f"\n시도 {len(records)}개({counts or '없음'}). 결과: {shown(folder.path)}")
    if not complete:
        say("끝까지 한 시도가 없습니다." + (f" 마지막 오류: {records[-1]['error']}" if records else ""))
        return
    choose = max if search.sweep.maximize else min
    best = choose(complete, key=lambda one: one["value"])
    say(f"가장 좋은 것: 시도 {best['slot'] + 1}  {metric_name(search.sweep.metric)} {best['value']:.4f}")
    say("  " + "  ".join(f"{name}={short(best['params'][name])}" for name in search.sweep.varied))
    if best["model_path"]:
        say(f"  모델: {best['model_path']}")


def _statuses(records: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(one["status"] for one in records))
