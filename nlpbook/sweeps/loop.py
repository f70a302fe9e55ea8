"""시도 하나를 하고 끝을 적는 일, 그리고 자리가 없어질 때까지 되풀이하는 일.

시도의 함수는 `(값들, 문맥) → 지표들`입니다. 검증할 때마다 `context.report(step, metrics)`를 부르면, 가망이 없는 시도는
거기에서 `Pruned`로 멈춥니다.
"""

from __future__ import annotations

import gc
import math
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from nlpbook.errors import UserError
from nlpbook.interrupt import postponed
from nlpbook.screen import say
from nlpbook.sweeps import space, study
from nlpbook.sweeps.config import metric_name
from nlpbook.sweeps.results import SweepFolder
from nlpbook.sweeps.study import COMPLETE, FAILED, INTERRUPTED, PRUNED, SKIPPED, Claim, Outcome, Search

EXPERIMENTS = "experiments"


class Pruned(Exception):
    """가망이 없는 시도를 일찍 멈춥니다."""


class Skipped(Exception):
    """이 기계에서는 할 수 없는 시도입니다(닿을 수 없는 모델). 문장은 무엇을 왜 건너뛰는지입니다."""


class MetricMissing(UserError):
    """견줄 지표가 오지 않았습니다. 다음 시도에서도 오지 않을 것이므로 탐색을 멈춥니다."""


@dataclass
class TrialContext:
    """시도의 함수가 받는 문맥.

    Attributes:
        number: 시도의 번호(0부터).
        outputs: 결과를 모으는 폴더. `folder`가 이 아래에 생깁니다.
        tell: 지표를 알리는 곳.
        best_of: 지표들 가운데 가장 좋은 것을 고르는 함수.
        base: 탐색을 시작할 때 정한, 시도마다 같은 것. 예: `{"base_config": "quick"}`.
        history: 지금까지 알린 지표들.
    """

    number: int
    outputs: Path
    base: Mapping[str, Any]
    tell: Callable[[int, Mapping[str, float]], None]
    best_of: Callable[[list[dict[str, float]]], dict[str, float]] = lambda history: history[-1]
    facts: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    made: Path | None = None

    @property
    def folder(self) -> Path:
        """이 시도만의 실행 폴더 `experiments/<시각>_<16진수 8자>/`. 처음 부를 때 혼자 차지합니다."""
        while self.made is None:
            name = f"{datetime.now():%Y%m%d_%H%M%S}_{secrets.token_hex(4)}"
            path = self.outputs / EXPERIMENTS / name
            try:
                path.mkdir(parents=True, exist_ok=False)
            except FileExistsError:
                continue
            self.made = path
            self.note(run=path)
        return self.made

    def note(self, run: Path | str | None = None, model: Path | str | None = None) -> None:
        """실행 폴더와 모델의 폴더를 적어 둡니다. 옮겨도 맞도록 `outputs`를 담은 폴더에서 센 경로로 남습니다."""
        for name, path in (("run", run), ("model", model)):
            if path is not None:
                self.facts[name] = relative(Path(path), self.outputs.parent)

    def best(self) -> dict[str, float]:
        """알린 지표들 가운데 견주는 지표가 가장 좋을 때의 것. 알린 것이 없으면 비어 있습니다."""
        return self.best_of(self.history) if self.history else {}

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """`step`번째(1부터) 검증의 지표를 알립니다.

        Raises:
            Pruned: 이 시도를 그만두는 것이 나을 때.
            MetricMissing: 견줄 지표가 없을 때.
        """
        self.history.append(dict(metrics))
        self.tell(step, metrics)


Trial = Callable[[dict[str, Any], TrialContext], Mapping[str, float]]


def relative(path: Path, start: Path) -> str:
    """`start`에서 센 경로. 그 아래에 없으면 전체 경로입니다. 어느 운영체제에서나 `/`로 나눕니다."""
    path, start = path.resolve(), start.resolve()
    return path.relative_to(start).as_posix() if path.is_relative_to(start) else path.as_posix()


def metric_in(metrics: Mapping[str, float], name: str) -> float:
    """지표들에서 `name`의 값. `best/`와 `eval_`은 붙어 있어도, 없어도 됩니다.

    Raises:
        MetricMissing: 없을 때. 온 것들을 말합니다.
    """
    if name in metrics:
        return float(metrics[name])
    wanted = metric_name(name)
    for given, value in metrics.items():
        if metric_name(given) == wanted:
            return float(value)
    raise MetricMissing(
        f"시도에서 지표 {name}이(가) 오지 않았습니다. 온 것: {', '.join(metrics) or '없음'}. 탐색 파일의 metric.name을 "
        "그 가운데 하나로 적어 주세요."
    )


def attempt(run: Callable[[], Mapping[str, float]], metric: str) -> Outcome:
    """시도 하나를 하고 끝을 정합니다. 오류는 이 시도만 끝냅니다.

    Args:
        run: 시도를 하고 지표들을 돌려주는 함수.

    Raises:
        MetricMissing: 견줄 지표가 오지 않았을 때. 탐색이 멈춥니다.
    """
    try:
        metrics = run()
        value = metric_in(metrics, metric)
    except Pruned:
        return Outcome(PRUNED)
    except Skipped as reason:
        return Outcome(SKIPPED, error=str(reason))
    except KeyboardInterrupt:
        return Outcome(INTERRUPTED)
    except MetricMissing:
        raise
    except Exception as error:  # noqa: BLE001  남은 시도를 위해, 무엇이든 이 시도만 끝냅니다.
        return Outcome(FAILED, error=sentence_of(error))
    return Outcome(COMPLETE, value, metrics)


def finite(outcome: Outcome, metric: str) -> Outcome:
    """NaN이나 무한대는 견줄 수 없으므로 실패로 봅니다."""
    if outcome.value is None or math.isfinite(outcome.value):
        return outcome
    return outcome._replace(status=FAILED, value=None, error=f"지표 {metric}이(가) {outcome.value}입니다.")


def sentence_of(error: BaseException) -> str:
    """시도가 왜 실패했는지 한 줄로."""
    if "out of memory" in str(error).lower() or isinstance(error, MemoryError):
        return "메모리가 모자랐습니다."
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return first if isinstance(error, UserError) else f"{type(error).__name__}: {first}"[:300]


@dataclass(frozen=True)
class Pieces:
    """탐색을 이루는 조각들. 단계에서 직접 쓴 것으로 바꿀 수 있습니다."""

    suggest: study.Suggest = space.suggest
    attempt: Callable[[Callable[[], Mapping[str, float]], str], Outcome] = attempt
    remaining: study.Remaining = study.remaining


def run_trials(
    search: Search,
    trial: Trial,
    results: SweepFolder,
    base: Mapping[str, Any] | None = None,
    pieces: Pieces | None = None,
    worker: int | None = None,
) -> int:
    """기다리는 자리가 없어질 때까지 차지하고, 하고, 적습니다.

    Args:
        worker: 여러 프로세스 가운데 몇 번째인가. 기록에 남습니다.

    Returns:
        한 시도의 수.

    Raises:
        KeyboardInterrupt: 사람이 멈췄을 때. 하던 것의 끝을 적은 뒤입니다.
    """
    pieces = pieces or Pieces()
    owner = {} if worker is None else {"worker": worker}
    done = 0
    while True:
        claim: Claim | None = None
        try:
            with postponed():
                claim = search.claim(owner, pieces.suggest)
            if claim is None:
                search.bury()
                if not search.plan(*search.planned):  # 꺼진 프로세스의 자리를 다시 할 것이 있으면 이어서 합니다.
                    return done
                continue
            outcome = _one(search, claim, trial, results, base or {}, pieces)
        except KeyboardInterrupt:
            if claim is not None and not claim.finished:  # 시도의 바깥에서 멈췄습니다.
                search.finish(claim, Outcome(INTERRUPTED))
                results.record(search)
            raise
        done += 1
        if outcome.status == INTERRUPTED:
            raise KeyboardInterrupt


def _one(
    search: Search,
    claim: Claim,
    trial: Trial,
    results: SweepFolder,
    base: Mapping[str, Any],
    pieces: Pieces,
) -> Outcome:
    """시도 하나: 하고, 끝을 적고, 결과 파일에 남깁니다."""
    sweep = search.sweep
    choose = partial(best_of, metric=sweep.metric, maximize=sweep.maximize)
    context = TrialContext(claim.number, results.outputs, base, _teller(search, claim), choose, claim.facts)
    say(f"시도 {claim.slot + 1}/{search.planned[0]}: {line_of(search, claim.parameters)}")
    try:
        with search.working(claim):
            outcome = pieces.attempt(lambda: trial(dict(claim.parameters), context), search.sweep.metric)
        outcome = finite(outcome, search.sweep.metric)
    except UserError as error:
        search.finish(claim, Outcome(FAILED, error=str(error)))
        results.record(search)
        raise
    if outcome.status in (PRUNED, INTERRUPTED) and not outcome.metrics and context.history:
        outcome = outcome._replace(metrics=context.best())
    with postponed():
        if not search.finish(claim, outcome):
            say("  소식이 오래 끊겨 이 시도는 이미 끝난 것으로 적혔습니다. 결과를 적지 않습니다.")
        results.record(search)
    say("  " + told(outcome, search.sweep.metric))
    tidy_memory()
    return outcome


def _teller(search: Search, claim: Claim) -> Callable[[int, Mapping[str, float]], None]:
    """검증의 지표를 저장소에 적고, 그만둘지 묻는 함수."""
    seen: list[float] = []
    early = search.sweep.early_terminate

    def tell(step: int, metrics: Mapping[str, float]) -> None:
        seen.append(metric_in(metrics, search.sweep.metric))
        best = max(seen) if search.sweep.maximize else min(seen)
        if search.report(claim, step, seen[-1] if early and early.strict else best):
            raise Pruned

    return tell


def best_of(history: list[dict[str, float]], metric: str, maximize: bool) -> dict[str, float]:
    """알린 지표들 가운데 견주는 지표가 가장 좋을 때의 것."""
    choose = max if maximize else min
    return choose(history, key=lambda metrics: metric_in(metrics, metric))


def line_of(search: Search, parameters: Mapping[str, Any]) -> str:
    """바꾸어 보는 값들을 한 줄로."""
    return "  ".join(f"{name}={short(parameters[name])}" for name in search.sweep.varied if name in parameters)


def short(value: Any) -> str:
    """값을 짧게."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def told(outcome: Outcome, metric: str) -> str:
    """시도의 끝을 한 줄로."""
    if outcome.status == COMPLETE:
        return f"→ {metric_name(metric)} {outcome.value:.4f}"
    if outcome.status == PRUNED:
        return "→ 가망이 없어 일찍 멈췄습니다"
    if outcome.status == INTERRUPTED:
        return "→ 멈췄습니다. 이어 하면 다시 합니다"
    return f"→ {'건너뜁니다' if outcome.status == SKIPPED else '실패'}: {outcome.error}"


def tidy_memory() -> None:
    """시도가 쓰던 메모리를 돌려줍니다. torch를 쓰지 않았으면 읽지도 않습니다."""
    gc.collect()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
