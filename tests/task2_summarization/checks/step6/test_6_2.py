"""6-2의 검사: 검증마다 몇 번째인지와 지표를 알립니다."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from types import SimpleNamespace
from typing import Any

from transformers import TrainerControl, TrainerState

from course.checks.recognising import recognise, sound
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_equal, fail, todo
from nlpbook.sweeps.loop import Pruned, TrialContext

IDEA = "검증의 횟수"
STEPS = (130, 260, 390)
EPOCHS = (0.47, 0.94, 1.41)  # 한 에포크에 두 번쯤 검증합니다. 내려도, 반올림해도, 올려도 1, 2, 3이 아닙니다.


LOSSES, SCORES = (4.7, 5.7, 3.7), (0.17, 0.13, 0.21)  # 둘째 검증에서는 나빠집니다.


def metrics_at(number: int) -> dict[str, float]:
    return {"eval_loss": LOSSES[number], "eval_rouge_combined_f1": SCORES[number], "epoch": EPOCHS[number]}


class Context(TrialContext):
    """진짜 문맥. 알리는 말의 차례가 바뀌었으면 그렇다고 합니다."""

    def report(self, step: Any, metrics: Any) -> None:
        if isinstance(step, Mapping):
            shown = {"expected": "report(횟수, 지표들)", "got": "report(지표들, 횟수)"}
            fail(idea="인수의 차례", symptom="arguments-swapped", **shown)
        if not isinstance(metrics, Mapping):
            fail(idea="지표", symptom="one-metric", expected="지표들", got=f"{type(metrics).__name__} {metrics}")
        super().report(step, metrics)


class Told:
    """검증을 세 번 하는 동안 알린 것들.

    Attributes:
        reports: (횟수, 지표들)들.
        lengths: 알릴 때마다의, 기록의 줄 수.
        control: 학습을 멈추라는 표시가 있는 것.
    """

    def __init__(self, load: Any, tmp_path: Any, stop_at: int | None = None) -> None:
        self.reports: list[tuple[int, dict[str, float]]] = []
        self.lengths: list[int] = []
        self.control = TrainerControl()
        self.stop_at = stop_at
        self.context = Context(number=41, outputs=tmp_path, base={}, tell=self.tell)
        callback = load(6).ReportEvaluations(self.context)
        rows: list[dict[str, float]] = []
        for number, step in enumerate(STEPS):
            metrics = metrics_at(number)
            rows += [{"loss": 4.1 - number, "step": step - 60}, {"loss": 3.9 - number, "step": step}]
            rows.append({**metrics, "step": step})  # Trainer는 기록에 적은 다음에 알립니다.
            self.lengths.append(len(rows))
            state = TrainerState(global_step=step, epoch=EPOCHS[number], log_history=list(rows), max_steps=STEPS[-1])
            with no_side_effects(inputs={"metrics": metrics}):
                callback.on_evaluate(SimpleNamespace(), state, self.control, metrics=metrics)

    def tell(self, step: int, metrics: Any) -> None:
        self.reports.append((step, dict(metrics)))
        if len(self.reports) == self.stop_at:
            raise Pruned


@todo("6-2")
def test_evaluations_are_counted_from_one(load, tmp_path):
    """1, 2, 3번째 검증입니다."""
    told = Told(load, tmp_path)
    if told.reports and not told.context.history:
        fail(idea="알리는 곳", symptom="told-directly", expected="context.report", got="context.tell")
    if [metrics for _, metrics in told.reports] == [metrics_at(0), metrics_at(2)]:
        fail(idea=IDEA, symptom="worse-untold", expected="1, 2, 3번째 검증", got="처음과 셋째 검증")
    numbers = [step for step, _ in told.reports]
    if numbers != [1, 2, 3]:
        wrong = [
            ("global-step", list(STEPS)),
            ("epoch", list(EPOCHS)),
            *[("epoch", [way(one) for one in EPOCHS]) for way in (int, round, ceil)],
            ("log-rows", told.lengths),
            ("log-rows", [one - 1 for one in told.lengths]),
            ("from-zero", [0, 1, 2]),
            ("not-counted", [0, 0, 0]),
            ("not-counted", [1, 1, 1]),
            ("not-told", []),
        ]
        recognise(numbers, wrong, idea=IDEA, expected="1, 2, 3", shown=", ".join(map(str, numbers)) or "알리지 않음")
        fail("알린 검증의 횟수가 다릅니다.", idea=IDEA, expected=[1, 2, 3], got=numbers)


@todo("6-2")
def test_the_metrics_are_told_as_they_are(load, tmp_path):
    """지표들을 모두, 그대로 알립니다."""
    for number, (_, metrics) in enumerate(Told(load, tmp_path).reports):
        want = metrics_at(number)
        if set(metrics) < set(want):
            got = ", ".join(metrics) or "없음"
            fail(idea="지표", symptom="some-metrics", expected=", ".join(want), got=got)
        assert_equal(metrics, want, idea="지표", message="알린 지표가 검증이 낸 것과 다릅니다.")


@todo("6-2")
def test_pruning_reaches_the_trainer(load, tmp_path):
    """가망이 없다는 신호(Pruned)가 학습을 멈춥니다."""
    if not sound(lambda: len(Told(load, tmp_path).reports) == len(STEPS)):
        return  # 앞의 검사가 말합니다.
    try:
        told = Told(load, tmp_path, stop_at=2)
    except Pruned:
        return
    quietly = told.control.should_training_stop
    symptom = "stopped-quietly" if quietly else "swallowed"
    fail(idea="일찍 멈추기", symptom=symptom, expected="Pruned", got="보통의 멈춤" if quietly else "멈추지 않음")
