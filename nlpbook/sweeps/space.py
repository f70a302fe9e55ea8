"""탐색 공간: 탐색 파일의 분포를 Optuna가 고르는 값으로, 고른 값을 설정에 적을 값으로 바꿉니다.

| 탐색 파일의 분포 | Optuna가 고르는 것 |
|---|---|
| categorical, int_uniform, uniform, log_uniform_values, inv_log_uniform_values | 그대로 |
| q_uniform | min과 max 사이의 q의 배수 |
| q_log_uniform_values | 로그로 고른 뒤 q의 배수로 |
| normal, log_normal, 그 q_ 꼴, categorical_w_probabilities | 0과 1 사이의 분위(quantile) |
| beta, q_beta | 없습니다. 시작하기 전에 거절합니다 |

1/x의 로그가 고르다는 것과 x의 로그가 고르다는 것은 같은 말이라, inv_log_uniform_values는 log_uniform_values와 같습니다.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, Protocol

from nlpbook.errors import UserError
from nlpbook.sweeps.config import Parameter, Sweep

EDGE = 1e-9  # 분위 0과 1은 무한대입니다.
NO_OPTUNA = ("beta", "q_beta")
BY_QUANTILE = ("normal", "q_normal", "log_normal", "q_log_normal", "categorical_w_probabilities")
PLAIN = (type(None), bool, int, float, str)  # Optuna가 저장할 수 있는 고를 값


class Suggester(Protocol):
    """Optuna의 Trial 가운데 여기서 쓰는 것."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...


def require_supported(sweep: Sweep) -> None:
    """이 엔진이 고를 수 있는 분포들인지 봅니다.

    Raises:
        UserError: 없는 분포가 있을 때.
    """
    for one in sweep.parameters.values():
        if one.kind in NO_OPTUNA:
            raise UserError(
                f"{one.where}: {one.name}의 분포 {one.kind}은(는) optuna 엔진에 없습니다. uniform이나 normal로 "
                "바꾸거나 --engine wandb로 실행해 주세요."
            )
        if one.kind == "q_uniform" and not multiples(one):
            raise UserError(f"{one.where}: {one.name}의 min과 max 사이에 q의 배수가 없습니다. q를 줄여 주세요.")


def suggest(trial: Suggester, parameter: Parameter) -> Any:
    """`trial`이 고른 값. 설정에 그대로 적을 수 있는 값입니다."""
    name, kind, facts, _ = parameter
    if kind == "constant":
        return facts["value"]
    if kind == "categorical":
        return chosen(trial.suggest_categorical(name, choices(facts["values"])), facts["values"])
    if kind == "int_uniform":
        return trial.suggest_int(name, facts["min"], facts["max"])
    if kind == "uniform":
        return trial.suggest_float(name, facts["min"], facts["max"])
    if kind == "log_uniform_values":
        return trial.suggest_float(name, facts["min"], facts["max"], log=True)
    return suggest_special(trial, parameter)


def suggest_special(trial: Suggester, parameter: Parameter) -> Any:
    """Optuna에 그대로는 없는 분포에서 고른 값: q_ 꼴과, 분위로 고르는 것들."""
    name, kind, facts, _ = parameter
    q = facts.get("q", 1)
    if kind == "inv_log_uniform_values":
        return trial.suggest_float(name, facts["min"], facts["max"], log=True)
    if kind == "q_uniform":
        points = multiples(parameter)
        return _whole(trial.suggest_float(name, points[0], points[-1], step=q), q)
    if kind == "q_log_uniform_values":
        return _whole(round(trial.suggest_float(name, facts["min"], facts["max"], log=True) / q) * q, q)
    quantile = trial.suggest_float(name, EDGE, 1 - EDGE)
    if kind == "categorical_w_probabilities":
        sums = itertools.accumulate(facts["probabilities"])
        place = next((index for index, total in enumerate(sums) if quantile < total), len(facts["values"]) - 1)
        return facts["values"][place]
    value = NormalDist(facts["mu"], facts["sigma"]).inv_cdf(quantile)
    if "log" in kind:
        value = math.exp(value)
    return _whole(round(value / q) * q, q) if kind.startswith("q_") else value


def examples(parameter: Parameter) -> list[Any]:
    """시도할 수 있는 값들 가운데, 설정이 받을 수 있는지 미리 살필 것들: 값마다, 또는 범위의 두 끝."""
    facts = parameter.facts
    if "value" in facts:
        return [facts["value"]]
    if "values" in facts:
        return list(facts["values"])
    if parameter.kind == "q_uniform":
        return [multiples(parameter)[0], multiples(parameter)[-1]]
    if parameter.kind == "q_log_uniform_values":
        q = facts.get("q", 1)
        return [_whole(round(facts[end] / q) * q, q) for end in ("min", "max")]
    return [facts[end] for end in ("min", "max") if end in facts]


def choices(values: list[Any]) -> list[Any]:
    """Optuna에 건넬 고를 값들. 목록이나 사전처럼 Optuna가 담지 못하는 것이 있으면 JSON으로 적습니다."""
    return list(values) if all(isinstance(one, PLAIN) for one in values) else [json.dumps(one) for one in values]


def chosen(choice: Any, values: list[Any]) -> Any:
    """Optuna가 고른 것 → 파일에 적힌 값."""
    return values[choices(values).index(choice)]


def multiples(parameter: Parameter) -> list[float]:
    """min과 max 사이의 q의 배수들."""
    facts = parameter.facts
    q = facts.get("q", 1)
    first = math.ceil(facts["min"] / q - EDGE)
    last = math.floor(facts["max"] / q + EDGE)
    return [_whole(number * q, q) for number in range(first, last + 1)]


def _whole(value: float, q: float) -> float:
    """q가 정수면 정수로. 배치 크기처럼 정수여야 하는 값도 q_uniform으로 고를 수 있습니다."""
    return round(value) if float(q).is_integer() else float(f"{value:.12g}")


def grid_points(parameters: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    """격자의 모든 점. 값은 Optuna가 저장하는 모양입니다. 나중에 적은 것이 먼저 바뀝니다."""
    columns: list[list[Any]] = []
    for one in parameters.values():
        if one.kind == "categorical":
            columns.append(choices(one.facts["values"]))
        elif one.kind == "int_uniform":
            columns.append(list(range(one.facts["min"], one.facts["max"] + 1)))
        else:
            columns.append(multiples(one))
    return [dict(zip(parameters, values, strict=True)) for values in itertools.product(*columns)]
