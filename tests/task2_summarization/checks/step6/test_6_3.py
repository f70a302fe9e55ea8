"""6-3의 검사: 시도가 어떻게 끝났는지 정합니다."""

from __future__ import annotations

from typing import Any

import pytest

from course.checks.recognising import explained, require_value, sound, when
from course.checks.words import CheckFailed, assert_equal, fail, todo
from nlpbook.errors import UserError
from nlpbook.sweeps.loop import MetricMissing, Pruned, Skipped
from nlpbook.sweeps.study import COMPLETE, FAILED, INTERRUPTED, PRUNED, SKIPPED, Outcome
from todo import TodoNotDone

IDEA = "시도의 끝"
METRIC = "best/rouge_combined_f1"
METRICS = {"eval_loss": 5.31, "eval_rouge_combined_f1": 0.273, "eval_rouge_sum": 0.819}


def outcome_of(load, trial: Any) -> Outcome:
    directly = when(f"KeyError: .*{METRIC}", "looked-up-directly", idea=IDEA, expected="metric_in", got=METRIC)
    with explained(directly):
        got = load(6).attempt(trial, METRIC)
    require_value(got, "outcome")
    if not isinstance(got, Outcome):
        fail("outcome에 Outcome이 아닌 것이 담겼습니다.", idea=IDEA, expected="Outcome(…)", got=type(got).__name__)
    return got


class Raising:
    """`error`로 끝나는 시도."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        raise self.error

    def require_once(self) -> None:
        """자리의 코드가 예외를 잡을 수 있으므로, 부르고 난 다음에 묻습니다."""
        if self.calls > 1:
            fail(idea=IDEA, symptom="twice", expected="한 번", got=f"{self.calls}번")


def ending(load, trial: Raising) -> Outcome | BaseException:
    """`outcome`이나, 자리의 코드가 잡지 않고 내보낸 시도의 예외.

    except 안의 코드가 새로 낸 예외는 시도의 예외와 떼어 다시 냅니다. 이어져 있으면 이 검사가 지어낸 "메모리가 모자란"
    오류를 정말 그랬던 것으로 알게 됩니다.
    """
    try:
        return outcome_of(load, trial)
    except (CheckFailed, TodoNotDone):
        raise
    except BaseException as raised:  # noqa: BLE001
        escaped, before = raised, raised.__context__
    if escaped is trial.error:
        return escaped
    escaped.__context__ = None
    text_less = before is trial.error and not str(trial.error)
    if text_less and sound(lambda: outcome_of(load, Raising(RuntimeError("까닭이 있습니다"))).status == FAILED):
        about = {"expected": "까닭 한 줄(글)", "got": type(escaped).__name__, "name": type(trial.error).__name__}
        fail(idea=IDEA, symptom="reason-crashes", **about)
    raise escaped


@todo("6-3")
def test_a_finished_trial_has_its_value_and_metrics(load):
    """끝까지 한 시도의 값은 견주는 지표의 것입니다."""
    calls: list[int] = []

    def trial() -> dict[str, float]:
        calls.append(1)
        return dict(METRICS)

    got = outcome_of(load, trial)
    if len(calls) > 1:
        fail(idea=IDEA, symptom="twice", expected="한 번", got=f"{len(calls)}번")
    if got.status == FAILED and METRIC in str(got.error):
        fail(idea=IDEA, symptom="looked-up-directly", expected="metric_in", got=METRIC)
    if isinstance(got.value, dict) and isinstance(got.metrics, float):
        shown = {"expected": "Outcome(끝, 값, 지표들)", "got": "Outcome(끝, 지표들, 값)"}
        fail(idea=IDEA, symptom="fields-swapped", **shown)
    assert_equal(got.status, COMPLETE, idea=IDEA, message="끝까지 한 시도의 끝이 다릅니다.")
    if got.value != METRICS["eval_rouge_combined_f1"]:
        if got.value in METRICS.values():
            name = next(name for name, value in METRICS.items() if value == got.value)
            fail(idea=IDEA, symptom="other-metric", expected=METRIC, got=name, name=name)
        fail("시도의 값이 견주는 지표의 값과 다릅니다.", idea=IDEA, expected=0.273, got=got.value)
    if dict(got.metrics) != METRICS:
        fail(idea=IDEA, symptom="metrics-lost", expected=", ".join(METRICS), got=", ".join(got.metrics) or "없음")


@todo("6-3")
@pytest.mark.parametrize(
    ("error", "status", "symptom"),
    [
        (Pruned(), PRUNED, "pruned-failed"),
        (Skipped("kogpt2: 닿을 수 없습니다"), SKIPPED, "skipped-failed"),
        (KeyboardInterrupt(), INTERRUPTED, "interrupt-failed"),
    ],
)
def test_an_early_end_is_not_a_failure(load, error, status, symptom):
    """일찍 멈춘 것, 건너뛴 것, 사람이 멈춘 것은 실패와 다릅니다."""
    trial = Raising(error)
    got = ending(load, trial)
    trial.require_once()
    if isinstance(got, KeyboardInterrupt):
        fail(idea=IDEA, symptom="interrupt-escapes", expected=f"Outcome({status!r})", got="KeyboardInterrupt")
    if isinstance(got, BaseException):
        fail(f"{type(error).__name__}이(가) 밖으로 나갔습니다.", idea=IDEA, expected=f"Outcome({status!r})", got="예외")
    if got.status == FAILED:
        fail(idea=IDEA, symptom=symptom, expected=status, got=FAILED)
    assert_equal(got.status, status, idea=IDEA, message=f"{type(error).__name__}일 때의 끝이 다릅니다.")
    if status == SKIPPED and (not isinstance(got.error, str) or "kogpt2" not in got.error):
        fail(idea=IDEA, symptom="reason-lost", expected="kogpt2: 닿을 수 없습니다", got=got.error)
    if status == SKIPPED and got.error != str(error):
        fail(idea=IDEA, symptom="reason-decorated", expected=str(error), got=got.error)


@todo("6-3")
@pytest.mark.parametrize(
    "error",
    [RuntimeError("CUDA out of memory"), MemoryError(), UserError("발산했습니다"), KeyError("없음"), AssertionError()],
)
def test_any_error_ends_only_this_trial(load, error):
    """어떤 오류든 이 시도만 끝냅니다."""
    trial = Raising(error)
    got = ending(load, trial)
    trial.require_once()
    if isinstance(got, BaseException):
        fail(idea=IDEA, symptom="escapes", expected="Outcome('failed')", got=type(error).__name__)
    assert_equal(got.status, FAILED, idea=IDEA, message=f"{type(error).__name__}일 때의 끝이 다릅니다.")
    if got.error == "" == str(error):
        fail(idea=IDEA, symptom="empty-reason", expected="까닭 한 줄(글)", got="빈 글", name=type(error).__name__)
    if not isinstance(got.error, str) or not got.error:
        fail(idea=IDEA, symptom="reason-lost", expected="까닭 한 줄(글)", got=repr(got.error))


@todo("6-3")
def test_a_missing_metric_stops_the_search(load):
    """견줄 지표가 없으면 다음 시도에서도 없습니다."""
    for trial in (lambda: {"eval_loss": 5.31}, Raising(MetricMissing("오지 않았습니다"))):
        if not sound(lambda: outcome_of(load, lambda: dict(METRICS)).status == COMPLETE):
            return  # 앞의 검사가 말합니다.
        try:
            got = outcome_of(load, trial)
        except MetricMissing:
            continue
        fail(idea=IDEA, symptom="metric-swallowed", expected="MetricMissing", got=f"Outcome({got.status!r})")
