"""한 탐색의 시도(trial)들: 자리를 정해 두고, 프로세스들이 하나씩 가져가 하고, 끝을 적습니다.

시도할 수만큼 자리(slot)를 미리 적어 둡니다. 격자라면 자리마다 한 점이고, 아니면 가져갈 때 값을 고릅니다. 프로세스는 빈
자리를 하나 차지하는데, 저장소가 한 프로세스만 성공하게 하므로 잃는 자리도, 두 번 하는 자리도 없습니다. 무작위로 고르는
값은 시드와 자리의 번호가 정하므로, 프로세스가 몇이든 몇 번 멈추었든 같습니다.

끝은 다섯 가지입니다.
    complete     끝까지 했습니다              pruned   가망이 없어 일찍 멈췄습니다
    failed       오류로 끝났습니다            skipped  이 기계에서는 할 수 없어 건너뛰었습니다
    interrupted  사람이 멈췄습니다            killed   프로세스가 꺼져 끝을 적지 못했습니다
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import string
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, UpdateFinishedTrialError
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from nlpbook.errors import UserError
from nlpbook.paths import write_json
from nlpbook.process import is_running
from nlpbook.sweeps import space
from nlpbook.sweeps.config import Parameter, Sweep
from nlpbook.sweeps.storages import beating, patient

COMPLETE, PRUNED, FAILED, SKIPPED = "complete", "pruned", "failed", "skipped"
STATUS = {
    "complete": "마침",
    "pruned": "일찍 멈춤",
    "failed": "실패",
    "skipped": "건너뜀",
    "interrupted": "사람이 멈춤",
    "killed": "꺼짐",
}
INTERRUPTED, KILLED, SURPLUS, WAITING, RUNNING = "interrupted", "killed", "surplus", "waiting", "running"
FINISHED = (COMPLETE, PRUNED, FAILED, SKIPPED, INTERRUPTED, KILLED)
STATES = {TrialState.WAITING: WAITING, TrialState.RUNNING: RUNNING}
OWNERLESS = 15  # 초. 차지한 뒤 이만큼 지나도록 누구인지 적지 못했으면 그사이에 꺼진 것입니다.
STARTUP = 10  # TPE가 배우기 전에 무작위로 고르는 시도의 수
ID_LETTERS = string.ascii_lowercase + string.digits

Suggest = Callable[[Any, Parameter], Any]


class Attempt(NamedTuple):
    """저장소에 적힌 시도 하나.

    Attributes:
        number: 저장소에서의 번호.
        slot, attempt: 몇 번째 자리의 몇 번째(0부터) 시도인가.
        status: `complete` 같은 끝, 또는 `waiting`, `running`.
        value: 견주는 지표의 값. 끝까지 하지 않았으면 None일 수 있습니다.
    """

    number: int
    slot: int
    attempt: int
    status: str
    value: float | None
    parameters: dict[str, Any]
    raw: dict[str, Any]
    facts: dict[str, Any]
    started: datetime | None
    finished: datetime | None
    steps: dict[int, float]

    @property
    def seconds(self) -> float | None:
        """걸린 시간(초)."""
        return (self.finished - self.started).total_seconds() if self.started and self.finished else None


Remaining = Callable[[int, Sequence[Attempt], int], list[tuple[int, int]]]


def remaining(count: int, attempts: Sequence[Attempt], retry: int = 0) -> list[tuple[int, int]]:
    """새로 적어 둘 (자리, 몇 번째 시도)들. 하고 있거나 기다리는 자리는 들지 않습니다.

    Args:
        count: 자리의 수.
        attempts: 지금까지의 시도.
        retry: 실패한 자리를 몇 번까지 다시 할지. 사람이 멈춘 것은 세지 않고 다시 합니다.
    """
    wanted = []
    for slot in range(count):
        mine = [one for one in attempts if one.slot == slot]
        if not mine:
            wanted.append((slot, 0))
            continue
        last = max(mine, key=lambda one: one.attempt)
        bad = sum(one.status in (FAILED, KILLED, SKIPPED) for one in mine)
        if last.status == INTERRUPTED or (last.status in (FAILED, KILLED, SKIPPED) and bad <= retry):
            wanted.append((slot, last.attempt + 1))
    return wanted


class Outcome(NamedTuple):
    """시도 하나의 끝.

    Attributes:
        status: `complete`, `pruned`, `failed`, `skipped`, `interrupted`.
        value: 견주는 지표의 값. complete일 때만 꼭 있습니다.
        metrics: 모든 지표.
        error: 왜 실패했는지 한 문장.
    """

    status: str
    value: float | None = None
    metrics: Mapping[str, float] = {}
    error: str | None = None


@dataclass
class Claim:
    """차지한 시도 하나. 하는 동안 아는 것을 `facts`에 적어 둡니다(실행 폴더, 모델의 경로)."""

    trial: optuna.Trial
    trial_id: int
    number: int
    slot: int
    attempt: int
    parameters: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    finished: bool = False


class BySlot(BaseSampler):
    """자리마다 새로 시드를 정하는 고르개. 같은 자리는 어느 프로세스가 언제 가져가도 같은 난수를 씁니다."""

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._made = cache(lambda slot: make((seed * 1_000_003 + slot) % 2**32))

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        return self._made(trial.user_attrs.get("slot", trial.number))

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> dict[str, Any]:
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(self, study: Any, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)


def sampler_for(sweep: Sweep, seed: int) -> BaseSampler:
    """격자는 자리에 값이 이미 있고, bayes는 TPE, random은 무작위입니다."""
    if sweep.method != "bayes":
        return BySlot(lambda mixed: RandomSampler(seed=mixed), seed)
    return BySlot(lambda mixed: TPESampler(seed=mixed, n_startup_trials=STARTUP, constant_liar=True), seed)


def pruner_for(sweep: Sweep) -> BasePruner:
    """W&B의 hyperband는 정해진 검증의 번호에서 견주므로, Optuna의 successive halving과 같은 것입니다."""
    early = sweep.early_terminate
    return SuccessiveHalvingPruner(early.first, early.eta) if early else NopPruner()


def new_id() -> str:
    """새 탐색의 번호. W&B의 것과 모양이 같습니다."""
    return "".join(secrets.choice(ID_LETTERS) for _ in range(8))


class Search:
    """저장소에 든 탐색 하나.

    Args:
        pending: 끝났지만 저장소에 아직 적지 못한 시도를 두는 폴더.
        remaining: 어느 자리를 새로 적어 둘지 정하는 함수.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: BaseStorage,
        sweep: Sweep,
        pending: Path,
        remaining: Remaining = remaining,
    ) -> None:
        self.study = study
        self.storage = storage
        self.sweep = sweep
        self.pending = pending
        self._remaining = remaining
        self._study_id = storage.get_study_id_from_name(study.study_name)

    @classmethod
    def create(cls, storage: BaseStorage, sweep: Sweep, id: str, seed: int, pending: Path, **more: Any) -> Search:
        """새 탐색을 적습니다.

        Raises:
            UserError: 그 번호의 탐색이 이미 있을 때.
        """
        space.require_supported(sweep)
        try:
            study = optuna.create_study(
                storage=storage,
                study_name=study_name(sweep, id),
                direction="maximize" if sweep.maximize else "minimize",
                sampler=sampler_for(sweep, seed),
                pruner=pruner_for(sweep),
            )
        except DuplicatedStudyError:
            raise UserError(f"번호가 {id}인 탐색이 이미 있습니다. 이어 하려면 --resume을 덧붙여 주세요.") from None
        study.set_user_attr("definition", sweep.definition)
        study.set_user_attr("seed", seed)
        return cls(study, storage, sweep, pending, **more)

    @classmethod
    def load(cls, storage: BaseStorage, sweep: Sweep, id: str, pending: Path, **more: Any) -> Search:
        """있는 탐색을 엽니다.

        Raises:
            UserError: 그런 탐색이 없거나, 탐색 파일이 그때와 다를 때.
        """
        name = study_name(sweep, id)
        try:
            study = optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            front = study_name(sweep, "")
            known = [one.removeprefix(front) for one in optuna.get_all_study_names(storage) if one.startswith(front)]
            listed = f" 있는 번호: {', '.join(known)}." if known else " 먼저 --resume 없이 시작해 주세요."
            raise UserError(f"탐색 {sweep.name}에 번호가 {id}인 것이 없습니다.{listed}") from None
        written = study.user_attrs.get("definition")
        if written is not None and written != json.loads(json.dumps(sweep.definition)):
            changed = [name for name in sweep.definition if written.get(name) != json.loads(_text(sweep, name))]
            raise UserError(
                f"번호가 {id}인 탐색은 지금의 {sweep.path.name}과 다른 탐색입니다(달라진 것: {', '.join(changed)}). "
                "파일을 되돌리거나, --resume 없이 새로 시작해 주세요."
            )
        study.sampler = sampler_for(sweep, study.user_attrs.get("seed", 0))
        study.pruner = pruner_for(sweep)
        return cls(study, storage, sweep, pending, **more)

    # ── 자리

    @patient
    def plan(self, count: int, retry: int = 0) -> int:
        """자리가 `count`개가 되도록, 그리고 다시 할 것을 적어 둡니다.

        Returns:
            새로 적어 둔 수.
        """
        points = space.grid_points(self.sweep.varied) if self.sweep.method == "grid" else None
        count = count if points is None else min(count, len(points))
        attempts = self.attempts()
        tried = {one.slot: one.raw for one in attempts if one.raw}
        wanted = self._remaining(count, attempts, retry)
        for slot, attempt in wanted:
            raw = points[slot] if points is not None else tried.get(slot, {})
            self.study.enqueue_trial(raw, user_attrs={"slot": slot, "attempt": attempt})
        self.study.set_user_attr("plan", {"count": count, "retry": retry})
        return len(wanted)

    @property
    def planned(self) -> tuple[int, int]:
        """(자리의 수, 다시 할 수)."""
        plan = self.study.user_attrs.get("plan", {"count": 0, "retry": 0})
        return plan["count"], plan["retry"]

    @patient
    def claim(self, owner: Mapping[str, Any] | None = None, suggest: Suggest = space.suggest) -> Claim | None:
        """기다리는 자리를 하나 차지하고, 시도할 값을 고릅니다.

        Args:
            owner: 누가 하는지에 더해 적을 것. 예: `{"worker": 2}`.
            suggest: Optuna의 Trial과 `Parameter`에서 값 하나를 고르는 함수.

        Returns:
            차지한 것. 기다리는 자리가 없으면 None입니다.
        """
        while self._trials((TrialState.WAITING,)):
            with warnings.catch_warnings():  # 살아 있음을 알리는 일은 `working`이 합니다.
                warnings.filterwarnings("ignore", message="Heartbeat of storage")
                trial = self.study.ask()
            trial_id = self.storage.get_trial_id_from_study_id_trial_number(self._study_id, trial.number)
            here = {"pid": os.getpid(), "host": platform.node(), **(owner or {})}
            self.storage.set_trial_user_attr(trial_id, "owner", here)
            if self._is_surplus(trial):
                self.storage.set_trial_user_attr(trial_id, "outcome", {"status": SURPLUS})
                self.storage.set_trial_state_values(trial_id, state=TrialState.FAIL)
                continue
            parameters = {name: suggest(trial, one) for name, one in self.sweep.parameters.items()}
            self.storage.set_trial_user_attr(trial_id, "parameters", parameters)
            facts = trial.user_attrs
            return Claim(trial, trial_id, trial.number, facts["slot"], facts["attempt"], parameters)
        return None

    def _is_surplus(self, mine: optuna.Trial) -> bool:
        """할 것이 아닌가: 마지막 자리를 남이 먼저 가져가 Optuna가 새로 만든 것이거나, 두 곳에서 같은 순간에 적어 둔
        같은 자리입니다. 같은 자리라면 번호가 앞선 것이 진짜입니다."""
        facts = mine.user_attrs
        if "slot" not in facts:
            return True
        key = (facts["slot"], facts["attempt"])
        return any(
            (one.user_attrs.get("slot"), one.user_attrs.get("attempt")) == key and one.number < mine.number
            for one in self._trials()
        )

    # ── 끝

    def finish(self, claim: Claim, outcome: Outcome) -> bool:
        """시도의 끝을 적습니다. 저장소에 닿지 못해도 잃지 않도록, 먼저 이 기계의 파일에 적어 둡니다.

        Returns:
            적었으면 참. 너무 오래 소식이 없어 남이 이미 끝난 것으로 적었으면 거짓입니다.
        """
        letter = {
            "trial_id": claim.trial_id,
            "status": outcome.status,
            "value": outcome.value,
            "facts": {**claim.facts, "metrics": dict(outcome.metrics), "error": outcome.error},
        }
        path = self.pending / f"{self.study.study_name.rpartition('/')[2]}-{claim.number}.json"
        write_json(path, letter)
        sent = self._send(letter)
        path.unlink(missing_ok=True)
        claim.finished = True
        return sent

    @patient
    def _send(self, letter: Mapping[str, Any]) -> bool:
        trial_id, status, value = letter["trial_id"], letter["status"], letter["value"]
        state = {COMPLETE: TrialState.COMPLETE, PRUNED: TrialState.PRUNED}.get(status, TrialState.FAIL)
        try:
            self.storage.set_trial_user_attr(trial_id, "outcome", {**letter["facts"], "status": status})
            values = None if value is None or state == TrialState.FAIL else [value]
            self.storage.set_trial_state_values(trial_id, state=state, values=values)
        except UpdateFinishedTrialError:
            return False
        return True

    def deliver(self) -> None:
        """꺼지기 전에 이 기계의 파일에만 적어 둔 끝을 저장소에 적습니다."""
        front = f"{self.study.study_name.rpartition('/')[2]}-"
        for path in sorted(self.pending.glob(f"{front}*.json")):
            number = path.stem.removeprefix(front)
            alive = any(str(one.number) == number and self._alive(one) for one in self.attempts())
            if not alive:
                self._send(json.loads(path.read_text(encoding="utf-8")))
                path.unlink(missing_ok=True)

    @patient
    def bury(self) -> list[int]:
        """하던 프로세스가 꺼진 시도를 끝난 것(killed)으로 적습니다. 다른 기계의 것은 소식이 끊겼을 때입니다.

        Returns:
            끝난 것으로 적은 시도의 번호.
        """
        self.deliver()
        before = {one.number for one in self.attempts() if one.status == RUNNING}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            fail_stale_trials(self.study)
        for trial in self._trials((TrialState.RUNNING,)):
            if not self._alive(attempt_of(trial)):
                try:
                    self.storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL)
                except UpdateFinishedTrialError:
                    continue
        return sorted(before - {one.number for one in self.attempts() if one.status == RUNNING})

    def _alive(self, one: Attempt) -> bool:
        if one.status != RUNNING:
            return False
        owner = one.facts.get("owner")
        if owner is None:
            age = (datetime.now(one.started.tzinfo) - one.started).total_seconds() if one.started else 0
            return age < OWNERLESS
        return owner["host"] != platform.node() or is_running(owner["pid"])

    # ── 보기

    @patient
    def attempts(self) -> list[Attempt]:
        """모든 시도, 번호순. 겹쳐 적혀 버린 자리는 뺍니다."""
        return [one for one in map(attempt_of, self._trials()) if one.status != SURPLUS]

    def _trials(self, states: Iterable[TrialState] | None = None) -> list[FrozenTrial]:
        wanted = tuple(states) if states is not None else None
        return self.storage.get_all_trials(self._study_id, deepcopy=False, states=wanted)

    @patient
    def report(self, claim: Claim, step: int, value: float) -> bool:
        """`step`번째 검증의 값을 적습니다. 그만두는 것이 나으면 참입니다."""
        claim.trial.report(value, step)
        return claim.trial.should_prune()

    def working(self, claim: Claim) -> Any:
        """시도를 하는 동안의 `with`. 다른 기계가 살아 있음을 알게 합니다."""
        return beating(self.storage, claim.trial_id)


def study_name(sweep: Sweep, id: str) -> str:
    """저장소에서의 이름."""
    return f"{sweep.name}/{id}"


def sweep_id_of(search: Search) -> str:
    """탐색의 번호."""
    return search.study.study_name.rpartition("/")[2]


def attempt_of(trial: FrozenTrial) -> Attempt:
    """저장소의 시도를 우리가 보는 모양으로."""
    attrs = trial.user_attrs
    outcome = attrs.get("outcome", {})
    status = STATES.get(trial.state) or {TrialState.COMPLETE: COMPLETE, TrialState.PRUNED: PRUNED}.get(trial.state)
    if "slot" not in attrs:
        status = SURPLUS
    value = trial.value if trial.state == TrialState.COMPLETE else None
    return Attempt(
        number=trial.number,
        slot=attrs.get("slot", trial.number),
        attempt=attrs.get("attempt", 0),
        status=status or outcome.get("status", KILLED),
        value=value,
        parameters=attrs.get("parameters", {}),
        raw=dict(trial.params),
        facts={"owner": attrs.get("owner"), **outcome},
        started=trial.datetime_start,
        finished=trial.datetime_complete,
        steps=dict(trial.intermediate_values),
    )


def utc_text(moment: datetime | None) -> str | None:
    """시각을 글로. 저장소는 이 기계의 시각을 시간대 없이 적습니다."""
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds") if moment else None


def _text(sweep: Sweep, name: str) -> str:
    return json.dumps(sweep.definition[name])
