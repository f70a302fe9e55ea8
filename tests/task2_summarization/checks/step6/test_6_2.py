"""6-2의 검사: 검증마다 몇 번째인지와 지표를 알립니다."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from course.checks.recognising import recognise
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_equal, fail, todo
from nlpbook.sweeps.loop import Pruned, TrialContext

IDEA = "검증의 횟수"
STEPS = (130, 260, 390)
EPOCHS = (1.31, 2.62, 3.93)


def metrics_at(number: int) -> dict[str, float]:
    return {"eval_loss": 5.7 - number, "eval_rouge_combined_f1": 0.13 + 0.04 * number, "epoch": EPOCHS[number]}


def told(load, tmp_path, stop_at: int | None = None) -> list[tuple[int, dict[str, float]]]:
    """검증을 세 번 하는 동안 알린 것들."""
    reports: list[tuple[int, dict[str, float]]] = []

    def tell(step: int, metrics: Any) -> None:
        reports.append((step, dict(metrics)))
        if len(reports) == stop_at:
            raise Pruned

    callback = load(6).ReportEvaluations(TrialContext(number=41, outputs=tmp_path, base={}, tell=tell))
    for number, step in enumerate(STEPS):
        state = SimpleNamespace(global_step=step, epoch=EPOCHS[number], log_history=[], max_steps=STEPS[-1])
        metrics = metrics_at(number)
        with no_side_effects(inputs={"metrics": metrics}):
            callback.on_evaluate(SimpleNamespace(), state, SimpleNamespace(), metrics=metrics)
    return reports


@todo("6-2")
def test_evaluations_are_counted_from_one(load, tmp_path):
    """1, 2, 3번째 검증입니다."""
    reports = told(load, tmp_path)
    numbers = [step for step, _ in reports]
    if numbers != [1, 2, 3]:
        wrong = [
            ("global-step", list(STEPS)),
            ("epoch", list(EPOCHS)),
            ("epoch", [int(one) for one in EPOCHS] if [int(one) for one in EPOCHS] != [1, 2, 3] else None),
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
    for number, (_, metrics) in enumerate(told(load, tmp_path)):
        want = metrics_at(number)
        if set(metrics) < set(want):
            got = ", ".join(metrics) or "없음"
            fail(idea="지표", symptom="some-metrics", expected=", ".join(want), got=got)
        assert_equal(metrics, want, idea="지표", message="알린 지표가 검증이 낸 것과 다릅니다.")


@todo("6-2")
def test_pruning_reaches_the_trainer(load, tmp_path):
    """가망이 없다는 신호(Pruned)가 학습을 멈춥니다."""
    try:
        told(load, tmp_path, stop_at=2)
    except Pruned:
        return
    fail(idea="일찍 멈추기", symptom="swallowed", expected="Pruned", got="멈추지 않음")
