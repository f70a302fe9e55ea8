"""W&B의 서버가 값을 고르는 엔진(`--engine wandb`). 시도의 함수와 결과 파일은 optuna 엔진의 것과 같습니다.

탐색은 W&B의 서버가 있어야 합니다(오프라인에서는 되지 않습니다). `wandb login`을 한 뒤에 씁니다. 한 프로세스가 에이전트
하나이고, 여러 기계에서 같은 번호로 실행하면 서버가 나누어 줍니다.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from nlpbook.errors import UserError
from nlpbook.paths import shown
from nlpbook.screen import say
from nlpbook.sweeps.config import Sweep, metric_name
from nlpbook.sweeps.loop import TrialContext, best_of, finite, metric_in, tidy_memory, told
from nlpbook.sweeps.results import SweepFolder
from nlpbook.sweeps.study import COMPLETE, FAILED, INTERRUPTED, PRUNED, Outcome

if TYPE_CHECKING:
    from nlpbook.sweeps.cli import Request, SweepTask

SENT = ("name", "description", "method", "metric", "parameters", "early_terminate", "run_cap")
AGENT = {  # 시도의 실패는 우리가 적습니다. 처음 몇이 실패해도 에이전트는 계속합니다.
    "WANDB_AGENT_DISABLE_FLAPPING": "true",
    "WANDB_AGENT_MAX_INITIAL_FAILURES": "1000000",
}


def run_on_wandb(task: SweepTask, request: Request, sweep: Sweep, folder: SweepFolder) -> SweepFolder:
    """W&B에 탐색을 만들거나 이어서, 에이전트 하나로 시도합니다.

    Raises:
        UserError: W&B에 닿을 수 없거나 로그인하지 않았을 때.
    """
    if request.workers:
        raise UserError("W&B 엔진의 일꾼은 따로 실행합니다. 터미널마다 같은 --sweep-id로 6단계를 실행해 주세요.")
    if os.environ.get("WANDB_MODE", "online") != "online":
        raise UserError("W&B의 탐색은 서버가 있어야 합니다. WANDB_MODE를 지우거나 --engine optuna로 실행해 주세요.")
    import wandb

    info = folder.read_info()
    id = request.sweep_id or (info.get("sweep_id") if request.resume and info.get("engine") == "wandb" else None)
    if request.resume and id is None:
        raise UserError(f"이어 할 W&B 탐색이 없습니다: {shown(folder.path)}. --sweep-id로 번호를 적어 주세요.")
    if id is None:
        moved = folder.move_aside()
        if moved:
            say(f"지난 결과를 {shown(moved)} (으)로 비켜 두었습니다.")
        id = _explained(lambda: wandb.sweep(written_for(sweep), entity=request.entity, project=request.project))
    folder.write_info(
        sweep_id=id,
        name=sweep.name,
        title=sweep.title,
        engine="wandb",
        method=sweep.method,
        metric=sweep.metric,
        goal=sweep.goal,
        definition=sweep.definition,
        base=dict(request.base),
        rerun=task.rerun,
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
    )
    say(f"W&B 탐색 {sweep.title}. 번호(sweep id): {id}")
    count = request.count or sweep.count
    left = None if count is None else max(0, count - len(folder.records()))
    if left == 0:
        say(f"시도 {count}개를 이미 마쳤습니다. 더 하려면 --count를 늘려 주세요.")
        return folder
    agent = _Agent(task, request, sweep, folder, id)
    before = {name: os.environ.get(name) for name in AGENT}
    os.environ.update(AGENT)
    try:
        _explained(
            lambda: wandb.agent(id, function=agent.once, count=left, entity=request.entity, project=request.project)
        )
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    if agent.problem is not None:
        raise agent.problem
    return folder


def written_for(sweep: Sweep) -> dict[str, Any]:
    """W&B에 보낼 탐색: 파일에 적힌 그대로. 지표를 적지 않았으면 우리가 견주는 것을 적습니다."""
    sent = {name: value for name, value in sweep.written.items() if name in SENT}
    return {"name": sweep.title, "metric": {"name": sweep.metric, "goal": sweep.goal}, **sent}


def flat(config: Mapping[str, Any], names: Mapping[str, Any], outer: tuple[str, ...] = ()) -> dict[str, Any]:
    """W&B가 준 값들을 점으로 이은 이름으로. `names`에 있는 이름에서 멈추므로, 값이 사전인 것은 그대로입니다."""
    made: dict[str, Any] = {}
    for name, value in config.items():
        full = ".".join((*outer, name))
        if full in names:
            made[full] = value
        elif isinstance(value, Mapping):
            made |= flat(value, names, (*outer, name))
    return made


class _Agent:
    """W&B의 에이전트가 시도마다 부르는 것."""

    def __init__(self, task: SweepTask, request: Request, sweep: Sweep, folder: SweepFolder, id: str) -> None:
        self.task = task
        self.request = request
        self.sweep = sweep
        self.folder = folder
        self.id = id
        self.problem: UserError | None = None

    def once(self) -> None:
        """시도 하나. 에이전트는 예외를 삼키므로, 탐색을 멈출 문제는 `problem`에 적어 둡니다."""
        import wandb

        if self.problem is not None:
            return
        started = time.time()
        with wandb.init() as run:
            parameters = {**self.sweep.constants, **flat(dict(run.config), self.sweep.parameters)}

            def tell(step: int, metrics: Mapping[str, float]) -> None:
                metric_in(metrics, self.sweep.metric)
                run.log(dict(metrics))

            choose = partial(best_of, metric=self.sweep.metric, maximize=self.sweep.maximize)
            number = len(self.folder.records())
            context = TrialContext(number, self.folder.outputs, self.request.base, tell, choose)
            try:
                outcome = self.task.pieces.attempt(
                    lambda: self.task.trial(dict(parameters), context), self.sweep.metric
                )
            except UserError as error:
                self.problem = error
                outcome = Outcome(FAILED, error=str(error))
            outcome = finite(outcome, self.sweep.metric)
            if outcome.status in (PRUNED, INTERRUPTED) and context.history:
                outcome = outcome._replace(metrics=context.best())
            if outcome.value is not None:
                run.log({self.sweep.metric: outcome.value})
            run.finish(exit_code=0 if outcome.status in (COMPLETE, PRUNED) else 1)
        self.folder.append(self._line(run, parameters, context, outcome, started), self.sweep, self.id)
        say("  " + told(outcome, metric_name(self.sweep.metric)))
        tidy_memory()

    def _line(
        self, run: Any, parameters: dict[str, Any], context: TrialContext, outcome: Outcome, started: float
    ) -> dict[str, Any]:
        steps = {str(step): metric_in(one, self.sweep.metric) for step, one in enumerate(context.history, start=1)}
        return {
            "trial": context.number,
            "slot": context.number,
            "attempt": 0,
            "status": outcome.status,
            "metric": self.sweep.metric,
            "value": outcome.value,
            "params": parameters,
            "metrics": dict(outcome.metrics),
            "run": context.facts.get("run"),
            "model_path": context.facts.get("model"),
            "steps": steps,
            "started": datetime.fromtimestamp(started).astimezone().isoformat(timespec="seconds"),
            "seconds": round(time.time() - started, 3),
            "host": platform.node(),
            "pid": os.getpid(),
            "worker": None,
            "error": outcome.error,
            "wandb_run": getattr(run, "id", None),
        }


def _explained(call: Any) -> Any:
    """W&B의 오류를 한 문장으로."""
    import wandb

    try:
        return call()
    except (wandb.Error, ConnectionError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"W&B에 닿을 수 없습니다({first}). wandb login을 했는지, 네트워크가 되는지 확인하거나 "
            "--engine optuna로 실행해 주세요."
        ) from error
