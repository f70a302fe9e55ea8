"""결과를 보는 페이지 하나(`report.html`)와, 화면에 보일 짧은 표.

페이지는 홀로 열립니다: 그림은 SVG로 그려 넣고, 밖에서 받는 것이 없습니다. 시도가 0개이거나 모두 실패했어도 됩니다.
"""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning

from nlpbook.errors import UserError
from nlpbook.pages import write_page
from nlpbook.paths import shown
from nlpbook.screen import say
from nlpbook.sweeps import drawings, space
from nlpbook.sweeps.config import DISTRIBUTIONS, Parameter, metric_name
from nlpbook.sweeps.loop import short
from nlpbook.sweeps.results import PREFIX, SweepFolder, summarize
from nlpbook.sweeps.study import COMPLETE, PRUNED, STATUS

SEEDS = ("seed", "general.seed", "training.seed")
FEWEST = 4  # 중요도를 말하려면 끝까지 한 시도가 이만큼은 있어야 합니다.
ON_SCREEN = 5


def write_report(outputs: Path, name: str) -> Path:
    """탐색의 페이지를 씁니다.

    Args:
        outputs: 결과를 모은 폴더.
        name: 탐색의 이름.

    Returns:
        쓴 파일.

    Raises:
        UserError: 그런 탐색의 결과가 없을 때. 있는 것들을 말합니다.
    """
    folder = SweepFolder(outputs, name.removeprefix(PREFIX))
    info = folder.read_info()
    if not info:
        found = [path.parent.name.removeprefix(PREFIX) for path in sorted(outputs.glob(f"{PREFIX}*/sweep_info.json"))]
        raise UserError(
            f"{shown(folder.path)} 에 탐색의 결과가 없습니다. 있는 것: {', '.join(found) or '없음'}. "
            "다른 바탕 설정으로 했다면 --base-config도 적어 주세요."
        )
    page = Page(info, folder.records())
    write_page(folder.report, "reports/sweep.html", **page.values())
    page.tell()
    say(f"페이지: {shown(folder.report)}")
    return folder.report


class Page:
    """탐색 하나의 결과.

    Args:
        info: `sweep_info.json`.
        records: 결과 줄들.
    """

    def __init__(self, info: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> None:
        self.info = info
        self.records = list(records)
        self.metric = metric_name(info["metric"])
        self.maximize = info["goal"] == "maximize"
        written = info["definition"]["parameters"]
        self.parameters = {name: Parameter(name, kind, facts, "") for name, (kind, facts) in written.items()}
        self.varied = [name for name, one in self.parameters.items() if one.kind != "constant"]
        self.complete = [one for one in self.records if one["status"] == COMPLETE]
        self.ranked = sorted(self.complete, key=lambda one: one["value"], reverse=self.maximize)
        self.summary = summarize(self.records, self.maximize)

    @property
    def best(self) -> Mapping[str, Any] | None:
        return self.ranked[0] if self.ranked else None

    # ── 화면

    def tell(self) -> None:
        """짧은 표를 화면에."""
        counts = f"시도 {len(self.records)}개, 마침 {len(self.complete)}개"
        say(f"■ {self.info['title']} ({self.info['sweep_id']}): {counts}")
        for one in self.ranked[:ON_SCREEN]:
            values = "  ".join(f"{name}={short(one['params'].get(name))}" for name in self.varied)
            say(f"  {self.metric} {one['value']:.4f}  시도 {one['slot'] + 1}  {values}")
        for name, weight in list(self.importance.items())[:ON_SCREEN]:
            say(f"  중요도 {weight:.2f}  {name}{self._note(name)}")
        if self.best is None:
            say("  끝까지 한 시도가 없습니다.")

    # ── 중요도

    @cached_property
    def importance(self) -> dict[str, float]:
        """값마다 지표를 얼마나 좌우했는지(PED-ANOVA), 합이 1. 시도가 적으면 비어 있습니다.

        상위 시도들에서 그 값이 전체와 얼마나 다르게 흩어져 있는지를 봅니다(Watanabe 외, 2023).
        """
        if len(self.complete) < FEWEST or len({one["value"] for one in self.complete}) == 1:
            return {}
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(direction="maximize" if self.maximize else "minimize")
        for one in self.complete:
            choices = {name: _distribution(self.parameters[name]) for name in self.varied}
            raw = {name: _raw(self.parameters[name], one["params"].get(name)) for name in self.varied}
            kept = {name: raw[name] for name in self.varied if raw[name] is not None}
            study.add_trial(
                optuna.trial.create_trial(
                    params=kept, distributions={name: choices[name] for name in kept}, value=one["value"]
                )
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.3)
            try:
                found = optuna.importance.get_param_importances(study, evaluator=evaluator)
            except (ValueError, RuntimeError, ZeroDivisionError):
                return {}
        return {name: weight for name, weight in found.items() if math.isfinite(weight)}

    def _note(self, name: str) -> str:
        return " (분위로 재었습니다)" if self.parameters[name].kind in space.BY_QUANTILE else ""

    # ── 시드

    def spreads(self) -> list[tuple[str, list[float]]]:
        """시드만 다른 시도들: (나머지 값들, 지표들). 같은 값을 두 시드로 해 본 것이 없으면 비어 있습니다."""
        seed = next((name for name in self.varied if name in SEEDS), None)
        if seed is None:
            return []
        groups: dict[str, list[float]] = {}
        for one in self.complete:
            rest = {name: one["params"].get(name) for name in self.varied if name != seed}
            label = "  ".join(f"{name}={short(value)}" for name, value in rest.items()) or "모두"
            groups.setdefault(label, []).append(one["value"])
        several = [(label, values) for label, values in groups.items() if len(values) > 1]
        return sorted(several, key=lambda pair: fmean(pair[1]), reverse=self.maximize)

    # ── 페이지

    def values(self) -> dict[str, Any]:
        """페이지의 틀(`templates/reports/sweep.html`)에 넣을 값들."""
        best = self.best
        return {
            "title": str(self.info["title"]),
            "facts": self._facts(),
            "best": best,
            "chosen": {name: short(best["params"].get(name)) for name in self.varied} if best else {},
            "rerun": self.rerun(),
            "drawings": self._drawings(),
            "head": ["시도", "끝", self.metric, *self.varied, "초", "까닭"],
            "rows": self._rows(),
        }

    def _facts(self) -> dict[str, str]:
        counts = {status: sum(one["status"] == status for one in self.records) for status in STATUS}
        facts = {
            "번호": self.info["sweep_id"],
            "방법": self.info["method"],
            "지표": f"{self.metric} ({'클수록' if self.maximize else '작을수록'} 좋음)",
            "시작": _moment(self.info.get("started", "")),
            "시도": ", ".join(f"{STATUS[one]} {count}" for one, count in counts.items() if count) or "없음",
        }
        if self.complete:
            numbers = (self.summary["average"], self.summary["min"], self.summary["max"])
            facts["평균 / 최소 / 최대"] = " / ".join(f"{one:.4f}" for one in numbers)
        return facts

    def rerun(self) -> str:
        """가장 좋은 시도의 값으로 다시 학습하는 명령. 과제가 알려 주지 않았으면 빈 글입니다."""
        command = self.info.get("rerun")
        if self.best is None or not command:
            return ""
        base = self.info.get("base", {})
        chosen = {**self.best["params"]}
        config = chosen.pop("base_config", base.get("config", ""))
        model = chosen.pop("model_config", None)
        words = [*base.get("overrides", []), *(f"{name}={_word(value)}" for name, value in chosen.items())]
        note = f"  # configs/models/{model}.yaml의 값들도 함께" if model else ""
        return " ".join([command.format(config=config), *words]) + note

    def _drawings(self) -> list[dict[str, Any]]:
        made = []
        if self.complete:
            points = [(one["slot"] + 1, one["value"]) for one in self.complete]
            text = "점은 시도, 선은 그때까지 가장 좋은 값입니다."
            made.append(_drawing("지나온 길", text, drawings.history(points, self.maximize, self.metric)))
        if len(self.complete) > 1 and self.varied:
            text = "선 하나가 시도 하나이고, 진할수록 좋은 시도입니다. 진한 선이 모이는 곳을 보세요."
            values = [one["value"] for one in self.complete]
            made.append(_drawing("평행 좌표", text, drawings.parallel(self._axes(), values, self.maximize)))
        if self.importance:
            labels = {name + self._note(name): weight for name, weight in self.importance.items()}
            text = "값마다 지표를 얼마나 좌우했는지입니다. 시도가 적으면 우연일 수 있습니다."
            made.append(_drawing("중요도", text, drawings.bars(labels)))
        elif self.complete:
            made.append(_drawing("중요도", f"값이 다른 시도를 {FEWEST}개는 끝까지 해야 말할 수 있습니다.", ""))
        if spreads := self.spreads():
            text = "시드만 다른 시도들입니다. 두 줄의 차이가 한 줄 안의 흩어짐보다 작으면, 아직 모르는 것입니다."
            head = ["값", "시드 수", "평균", "표준편차"]
            made.append(_drawing("시드에 따른 흩어짐", text, drawings.strips(spreads), head, _spread_rows(spreads)))
        return made

    def _axes(self) -> dict[str, list[Any]]:
        axes = {name: [one["params"].get(name) for one in self.complete] for name in self.varied}
        return {**axes, self.metric: [one["value"] for one in self.complete]}

    def _rows(self) -> list[list[Any]]:
        rows = []
        for one in self.ranked + [one for one in self.records if one["status"] != COMPLETE]:
            value = one["value"]
            if value is None and one["status"] == PRUNED:
                reached = one.get("metrics") or {}
                value = next((number for name, number in reached.items() if metric_name(name) == self.metric), None)
            rows.append(
                [
                    one["slot"] + 1,
                    STATUS.get(one["status"], one["status"]),
                    "" if value is None else f"{value:.4f}",
                    *(short(one["params"].get(name, "")) for name in self.varied),
                    "" if one["seconds"] is None else f"{one['seconds']:.1f}",
                    one.get("error") or "",
                ]
            )
        return rows


def _moment(text: str) -> str:
    """`2026-11-30T16:28:02+00:00`을 사람이 읽는 `2026-11-30 16:28 UTC`로."""
    return text[:16].replace("T", " ") + " UTC" if text.endswith("+00:00") else text


def _spread_rows(spreads: list[tuple[str, list[float]]]) -> list[list[Any]]:
    return [[label, len(values), f"{fmean(values):.4f}", f"± {stdev(values):.4f}"] for label, values in spreads]


def _drawing(
    title: str, text: str, drawing: str, head: Sequence[str] = (), rows: Sequence[Sequence[Any]] = ()
) -> dict[str, Any]:
    return {"title": title, "text": text, "drawing": drawing, "head": head, "rows": rows}


def _distribution(parameter: Parameter) -> Any:
    """중요도를 잴 때의 분포. 정의역만 맞으면 됩니다."""
    facts, kind = parameter.facts, parameter.kind
    if "values" in facts:
        return optuna.distributions.CategoricalDistribution([json.dumps(one) for one in facts["values"]])
    if kind == "int_uniform":
        return optuna.distributions.IntDistribution(facts["min"], facts["max"])
    if "min" in DISTRIBUTIONS[kind][0]:
        room = facts.get("q", 0)
        low = max(facts["min"] - room, facts["min"] / 2) if "log" in kind else facts["min"] - room
        return optuna.distributions.FloatDistribution(low, facts["max"] + room, log="log" in kind)
    return optuna.distributions.FloatDistribution(0, 1)


def _raw(parameter: Parameter, value: Any) -> Any:
    facts = parameter.facts
    if "values" in facts:
        return json.dumps(value)
    if value is None or "mu" not in facts:
        return value
    from statistics import NormalDist

    inside = math.log(max(value, 1e-300)) if "log" in parameter.kind else value
    return NormalDist(facts["mu"], facts["sigma"]).cdf(inside)


def _word(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return f'"{text}"' if re.search(r"\s", text) else text
