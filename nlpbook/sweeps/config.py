"""탐색 파일: W&B의 형식(`method`, `metric`, `parameters`, `early_terminate`)을 읽고, 시작하기 전에 틀린 곳을 알립니다.

    name: 학습률 찾기
    method: bayes                      # grid, random, bayes
    metric: {name: best/rouge_combined_f1, goal: maximize}
    parameters:
      learning_rate: {distribution: log_uniform_values, min: 1e-6, max: 1e-3}
      warmup_ratio: {values: [0.0, 0.1, 0.2]}
    early_terminate: {type: hyperband, min_iter: 3}    # 단위는 검증의 횟수입니다

이름과 규칙은 W&B가 공개한 형식(https://docs.wandb.ai/models/sweeps/sweep-config-keys)을 따릅니다. 같은 파일을 두
엔진이 읽습니다.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from console_text import did_you_mean
from nlpbook.errors import UserError
from nlpbook.paths import require_regular_file, shown
from nlpbook.yaml_files import read_yaml

METHODS = ("grid", "random", "bayes")
GOALS = ("minimize", "maximize")
SUFFIXES = (".yaml", ".yml")
UNUSED_KEYS = ("apiVersion", "kind", "controller", "program", "job", "image_uri", "command", "scheduler")
KEYS = ("name", "description", "method", "metric", "parameters", "early_terminate", "run_cap", "project", "entity")
RANGE = ("min", "max")
NORMAL = ("mu", "sigma")
# 분포의 이름 → (꼭 있어야 하는 것, 있어도 되는 것)
DISTRIBUTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "constant": (("value",), ()),
    "categorical": (("values",), ()),
    "categorical_w_probabilities": (("values", "probabilities"), ()),
    "int_uniform": (RANGE, ()),
    "uniform": (RANGE, ()),
    "q_uniform": (RANGE, ("q",)),
    "log_uniform_values": (RANGE, ()),
    "q_log_uniform_values": (RANGE, ("q",)),
    "inv_log_uniform_values": (RANGE, ()),
    "normal": (NORMAL, ()),
    "q_normal": (NORMAL, ("q",)),
    "log_normal": (NORMAL, ()),
    "q_log_normal": (NORMAL, ("q",)),
    "beta": (("a", "b"), ()),
    "q_beta": (("a", "b"), ("q",)),
}
OLD_DISTRIBUTIONS = {one.removesuffix("_values"): one for one in DISTRIBUTIONS if one.endswith("log_uniform_values")}
FACTS = ("value", "values", "probabilities", "min", "max", "mu", "sigma", "q", "a", "b")
STOPPING_KEYS = ("type", "min_iter", "max_iter", "s", "eta", "strict")
DEFAULT_ETA = 3
PREFIXES = ("best/", "eval/", "eval_")  # 지표의 이름 앞에 붙어도 같은 것으로 보는 말
KeyPath = tuple[str, ...]


class Parameter(NamedTuple):
    """바꾸어 볼 값 하나.

    Attributes:
        name: 점으로 이은 이름. 묶음 안에 적었으면 `training.learning_rate`처럼 됩니다.
        kind: 분포의 이름. `DISTRIBUTIONS`의 하나입니다.
        facts: 분포의 값들. 예: `{"min": 1e-6, "max": 1e-3}`.
        where: 적힌 곳. 예: `my_sweep.yaml 7번째 줄`.
    """

    name: str
    kind: str
    facts: dict[str, Any]
    where: str


class EarlyTerminate(NamedTuple):
    """가망이 없는 시도를 일찍 멈추는 법(successive halving).

    Attributes:
        first: 처음으로 견주는 검증의 번호. 그다음은 `first × eta`, `first × eta²`, …입니다.
        eta: 견줄 때마다 위에서 `1/eta`만 남깁니다.
        strict: 참이면 그때의 값을, 거짓이면 그때까지 가장 좋았던 값을 견줍니다.
    """

    first: int
    eta: int
    strict: bool


@dataclass(frozen=True)
class Sweep:
    """탐색 파일 하나.

    Attributes:
        name: 파일의 이름(확장자를 뺀 것). 결과가 `sweep_<name>/`에 모입니다.
        title: 파일에 적은 `name`. 없으면 파일의 이름입니다.
        metric: 견줄 지표의 이름. 적은 그대로(`best/`가 붙었을 수 있습니다).
        parameters: 이름 → 바꾸어 볼 값.
        count: `run_cap`. 없으면 None입니다.
        written: 파일에 적힌 그대로. W&B에는 이것을 보냅니다.
    """

    name: str
    title: str
    method: str
    metric: str
    goal: str
    parameters: dict[str, Parameter]
    early_terminate: EarlyTerminate | None
    count: int | None
    path: Path
    written: dict[str, Any] = field(repr=False)

    @property
    def maximize(self) -> bool:
        return self.goal == "maximize"

    @property
    def constants(self) -> dict[str, Any]:
        """언제나 같은 값들."""
        return {name: one.facts["value"] for name, one in self.parameters.items() if one.kind == "constant"}

    @property
    def varied(self) -> dict[str, Parameter]:
        """바꾸어 보는 것들."""
        return {name: one for name, one in self.parameters.items() if one.kind != "constant"}

    @cached_property
    def definition(self) -> dict[str, Any]:
        """무엇을 어떻게 찾는지. 이것이 같아야 같은 탐색입니다. 설명이나 적은 줄은 들지 않습니다."""
        return {
            "method": self.method,
            "metric": self.metric,
            "goal": self.goal,
            "parameters": {name: [one.kind, one.facts] for name, one in sorted(self.parameters.items())},
            "early_terminate": list(self.early_terminate) if self.early_terminate else None,
        }


def metric_name(name: str) -> str:
    """앞에 붙은 말을 뗀 지표의 이름: `best/rouge_combined_f1` → `rouge_combined_f1`."""
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def sweep_names(folder: Path) -> dict[str, Path]:
    """`folder`에 있는 탐색 파일들: 이름 → 경로."""
    return {path.stem: path for suffix in SUFFIXES for path in sorted(folder.glob(f"*{suffix}"))}


def find_sweep(name: str | Path, folder: Path) -> Path:
    """탐색 파일을 이름(`hyperparameter_sweep`)이나 경로로 찾습니다.

    Raises:
        UserError: 없을 때. 있는 것들을 말합니다.
    """
    known = sweep_names(folder)
    given = Path(name).expanduser()
    if given.suffix in SUFFIXES and given.exists():
        return given
    stem = given.name if given.suffix not in SUFFIXES else given.stem
    if stem in known and len(given.parts) == 1:
        return known[stem]
    raise UserError(
        f"탐색 '{name}'을(를) 찾을 수 없습니다.{did_you_mean(stem, known)} 있는 것: {', '.join(known) or '없음'}. "
        "내 파일이라면 경로를 적어 주세요."
    )


def read_sweep(path: Path | str, metric: str | None = None, goal: str = "maximize") -> Sweep:
    """탐색 파일을 읽고 살핍니다.

    Args:
        metric, goal: 파일에 지표를 적지 않았을 때의 것.

    Raises:
        UserError: 파일을 읽을 수 없거나, 형식에 맞지 않을 때. 파일과 몇 번째 줄인지 적습니다.
    """
    path = Path(path)
    require_regular_file(path)
    values, lines = read_yaml(path)
    return _Reader(path, lines).sweep(values, metric, goal)


class _Reader:
    """파일 하나를 살피며, 틀린 곳을 줄 번호와 함께 알립니다."""

    def __init__(self, path: Path, lines: Mapping[KeyPath, int]) -> None:
        self.path = path
        self.lines = lines

    def where(self, key: KeyPath) -> str:
        """`key`가 적힌 곳. 목록 안의 것처럼 줄을 모르면 그것을 담은 것의 줄입니다."""
        for end in range(len(key), 0, -1):
            if key[:end] in self.lines:
                return f"{shown(self.path)} {self.lines[key[:end]]}번째 줄"
        return shown(self.path)

    def wrong(self, key: KeyPath, problem: str) -> UserError:
        return UserError(f"{self.where(key)}: {problem}")

    def sweep(self, values: Any, metric: str | None, goal: str) -> Sweep:
        if not isinstance(values, Mapping) or not values:
            raise self.wrong((), "탐색 파일이 아닙니다. method와 parameters를 적어 주세요.")
        self._known(values, (*KEYS, *UNUSED_KEYS, "metrics"), ())
        if "metrics" in values:
            raise self.wrong(("metrics",), "지표는 하나만 견줄 수 있습니다. metric: {name: …, goal: …}로 적어 주세요.")
        method = values.get("method")
        if method not in METHODS:
            raise self.wrong(("method",), f"method는 {', '.join(METHODS)} 가운데 하나여야 합니다(지금: {method!r}).")
        metric, goal = self._metric(values.get("metric"), metric, goal)
        given = values.get("parameters")
        if not isinstance(given, Mapping) or not given:
            raise self.wrong(("parameters",), "parameters에 바꾸어 볼 값을 하나 이상 적어 주세요.")
        parameters = {one.name: one for one in self._parameters(given, ("parameters",), ())}
        if method == "grid":
            self._require_finite(parameters)
        cap = values.get("run_cap")
        if cap is not None and not (_is_integer(cap) and cap >= 1):
            raise self.wrong(("run_cap",), f"run_cap은 1 이상의 정수여야 합니다(지금: {cap!r}).")
        title = values.get("name")
        return Sweep(
            name=self.path.stem,
            title=str(title) if title else self.path.stem,
            method=method,
            metric=metric,
            goal=goal,
            parameters=parameters,
            early_terminate=self._early(values.get("early_terminate")),
            count=cap,
            path=self.path,
            written=dict(values),
        )

    def _known(self, values: Mapping[str, Any], known: tuple[str, ...], key: KeyPath) -> None:
        for name in values:
            if name not in known:
                hint = did_you_mean(str(name), known) or f" 쓸 수 있는 것: {', '.join(known)}."
                raise self.wrong((*key, str(name)), f"모르는 항목입니다: {'.'.join((*key, str(name)))}.{hint}")

    def _metric(self, given: Any, metric: str | None, goal: str) -> tuple[str, str]:
        if given is None:
            if metric is None:
                raise self.wrong((), "metric: {name: …, goal: …}로 무엇을 견줄지 적어 주세요.")
            return metric, goal
        if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
            raise self.wrong(("metric",), "metric에는 name을 적어 주세요. 예: {name: best/loss, goal: minimize}")
        self._known(given, ("name", "goal", "target"), ("metric",))
        chosen = given.get("goal", "minimize")  # W&B에서 적지 않은 goal은 minimize입니다.
        if chosen not in GOALS:
            raise self.wrong(("metric", "goal"), f"goal은 {' 또는 '.join(GOALS)}여야 합니다(지금: {chosen!r}).")
        return given["name"], chosen

    def _parameters(self, given: Mapping[str, Any], key: KeyPath, outer: KeyPath) -> Iterator[Parameter]:
        for short, facts in given.items():
            here = (*key, str(short))
            name = (*outer, str(short))
            if not isinstance(facts, Mapping):
                raise self.wrong(
                    here, f"{'.'.join(name)}에는 값을 고르는 법을 적어 주세요. 하나뿐이면 value: {facts!r}입니다."
                )
            if "parameters" in facts:
                inside = facts["parameters"]
                if not isinstance(inside, Mapping) or not inside:
                    raise self.wrong(here, f"{'.'.join(name)}.parameters가 비었습니다.")
                self._known(facts, ("parameters",), here)
                yield from self._parameters(inside, (*here, "parameters"), name)
            else:
                yield self._parameter(".".join(name), facts, here)

    def _parameter(self, name: str, given: Mapping[str, Any], key: KeyPath) -> Parameter:
        self._known(given, ("distribution", *FACTS), key)
        facts = {fact: value for fact, value in given.items() if fact != "distribution"}
        kind = given["distribution"] if "distribution" in given else self._inferred(name, facts, key)
        if kind in OLD_DISTRIBUTIONS:
            raise self.wrong(
                (*key, "distribution"),
                f"{name}의 {kind}은(는) W&B에서 없어졌습니다. {OLD_DISTRIBUTIONS[kind]}으로, 값을 그대로 적어 주세요.",
            )
        if kind not in DISTRIBUTIONS:
            hint = did_you_mean(str(kind), DISTRIBUTIONS)
            raise self.wrong((*key, "distribution"), f"{name}: 모르는 분포입니다: {kind!r}.{hint}")
        if kind == "categorical" and "probabilities" in facts:
            kind = "categorical_w_probabilities"
        needed, allowed = DISTRIBUTIONS[kind]
        missing = [fact for fact in needed if facts.get(fact) is None and not (fact == "value" and fact in facts)]
        if missing:
            raise self.wrong(key, f"{name}의 분포 {kind}에는 {', '.join(missing)}도 적어야 합니다.")
        extra = [fact for fact in facts if fact not in (*needed, *allowed)]
        if extra:
            raise self.wrong((*key, extra[0]), f"{name}의 분포 {kind}은(는) {', '.join(extra)}을(를) 쓰지 않습니다.")
        self._check(name, kind, facts, key)
        return Parameter(name, kind, facts, self.where(key))

    def _inferred(self, name: str, facts: Mapping[str, Any], key: KeyPath) -> str:
        if "value" in facts:
            return "constant"
        if "values" in facts:
            return "categorical"
        if "min" in facts and "max" in facts:
            return "int_uniform" if _is_integer(facts["min"]) and _is_integer(facts["max"]) else "uniform"
        raise self.wrong(key, f"{name}: 무엇을 시도할지 알 수 없습니다. value, values, 또는 min과 max를 적어 주세요.")

    def _check(self, name: str, kind: str, facts: dict[str, Any], key: KeyPath) -> None:
        for fact in ("min", "max", "mu", "sigma", "q", "a", "b"):
            if fact in facts and not _is_number(facts[fact]):
                raise self.wrong((*key, fact), f"{name}.{fact}은(는) 수여야 합니다(지금: {facts[fact]!r}).")
        if "min" in facts and facts["min"] > facts["max"]:
            raise self.wrong(
                (*key, "min"), f"{name}의 min {facts['min']}이(가) max {facts['max']}보다 큽니다. 둘을 바꾸어 주세요."
            )
        if "log_uniform" in kind and facts["min"] <= 0:
            raise self.wrong((*key, "min"), f"{name}: 로그로 고르려면 min이 0보다 커야 합니다(지금: {facts['min']}).")
        if kind == "int_uniform" and not all(_is_integer(facts[one]) for one in RANGE):
            raise self.wrong(key, f"{name}: int_uniform의 min과 max는 정수여야 합니다.")
        for fact in ("sigma", "q", "a", "b"):
            if fact in facts and facts[fact] <= 0:
                raise self.wrong((*key, fact), f"{name}.{fact}은(는) 0보다 커야 합니다(지금: {facts[fact]}).")
        if "values" in facts:
            self._values(name, facts, key)

    def _values(self, name: str, facts: Mapping[str, Any], key: KeyPath) -> None:
        values = facts["values"]
        if not isinstance(values, (list, tuple)) or not values:
            raise self.wrong((*key, "values"), f"{name}.values에는 시도할 값을 하나 이상, 목록으로 적어 주세요.")
        if any(values.index(one) != place for place, one in enumerate(values)):
            raise self.wrong((*key, "values"), f"{name}.values에 같은 값이 두 번 있습니다: {values}.")
        chances = facts.get("probabilities")
        if chances is None:
            return
        fine = isinstance(chances, (list, tuple)) and len(chances) == len(values)
        if not fine or not all(_is_number(one) and one >= 0 for one in chances) or abs(sum(chances) - 1) > 1e-6:
            raise self.wrong(
                (*key, "probabilities"), f"{name}.probabilities에는 값마다 하나씩, 합이 1인 확률을 적어 주세요."
            )

    def _require_finite(self, parameters: Mapping[str, Parameter]) -> None:
        for one in parameters.values():
            if one.kind not in ("constant", "categorical", "int_uniform", "q_uniform"):
                raise UserError(
                    f"{one.where}: {one.name}은(는) 값이 끝없이 많아 격자(grid)로 찾을 수 없습니다. values를 적거나 "
                    "method를 random이나 bayes로 바꾸어 주세요."
                )

    def _early(self, given: Any) -> EarlyTerminate | None:
        key = ("early_terminate",)
        if given is None:
            return None
        if not isinstance(given, Mapping) or given.get("type") != "hyperband":
            raise self.wrong(key, "early_terminate의 type은 hyperband뿐입니다. 예: {type: hyperband, min_iter: 3}")
        self._known(given, STOPPING_KEYS, key)
        for name, low in (("min_iter", 1), ("max_iter", 1), ("s", 1), ("eta", 2)):
            if name in given and not (_is_integer(given[name]) and given[name] >= low):
                raise self.wrong((*key, name), f"{name}은(는) {low} 이상의 정수여야 합니다(지금: {given[name]!r}).")
        eta = given.get("eta", DEFAULT_ETA)
        if ("min_iter" in given) == ("max_iter" in given) or ("max_iter" in given) != ("s" in given):
            raise self.wrong(key, "early_terminate에는 min_iter 하나, 또는 max_iter와 s를 함께 적어 주세요.")
        first = given["min_iter"] if "min_iter" in given else given["max_iter"] // eta ** given["s"]
        if first < 1:
            raise self.wrong(key, f"max_iter를 eta로 {given['s']}번 나누면 1보다 작습니다. s를 줄여 주세요.")
        strict = given.get("strict", False)
        if not isinstance(strict, bool):
            raise self.wrong((*key, "strict"), f"strict는 true나 false여야 합니다(지금: {strict!r}).")
        return EarlyTerminate(first, eta, strict)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
