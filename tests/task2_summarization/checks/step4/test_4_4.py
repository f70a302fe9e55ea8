"""4-4의 검사: 조기 종료."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from transformers import EarlyStoppingCallback, TrainerCallback

from course.checks.recognising import explained, recognise, require_value, when
from course.checks.side_effects import no_side_effects
from course.checks.words import fail, known_as, todo
from tests.task2_summarization.checks.step4.common import Rows, arguments_of, new_trainer, settings

IDEA = "조기 종료"
PATIENCE, THRESHOLD = 7, 0.03
SIZE = "training.batch_size=6"
STEPS = (len(Rows.lengths) // 6, -(-len(Rows.lengths) // 6))  # 한 에포크의 스텝 수: 마지막 배치를 버릴 때와 셀 때


@known_as("SummarizationTrainer")
class Recorded:
    """학생의 함수가 만든 것이 받은 인수들."""

    def __init__(self, **given: Any) -> None:
        self.given = given


class Report(TrainerCallback):
    """`self.running.callbacks()`가 내는 것."""


class Pruning(TrainerCallback):
    """부른 쪽이 건넨 것(`self.callbacks`)."""


@pytest.fixture
def callbacks(load, monkeypatch):
    """학생의 함수가 Trainer에 건넨 콜백들."""
    step = load(4)
    monkeypatch.setattr(step, "SummarizationTrainer", Recorded)

    def made(*words: str, validating: bool = True) -> list[Any]:
        config = settings(*words)
        trainer = new_trainer(
            step,
            config=config,
            eval_dataset=Rows() if validating else None,
            model=SimpleNamespace(config=SimpleNamespace(decoder_start_token_id=11)),
            running=SimpleNamespace(callbacks=lambda: [Report()]),
            callbacks=[Pruning()],
            args=arguments_of(config),
        )
        known = (
            when("not iterable", "not-a-list", idea="목록", expected="목록에 더하기"),
            when(
                "unexpected keyword argument '(?P<got>\\w+)'",
                "wrong-argument",
                idea="인수",
                expected="early_stopping_patience",
            ),
        )
        with explained(*known), no_side_effects(settings=config):
            got = trainer._create_trainer()
        if len(trainer.callbacks) != 1:
            fail(idea="목록", expected="callbacks", got="self.callbacks", symptom="other-list")
        return list(require_value(got.given["callbacks"], "callbacks"))

    return made


def stopping(found: list[Any]) -> list[Any]:
    return [one for one in found if isinstance(one, EarlyStoppingCallback)]


def with_patience(
    callbacks: Any,
    *,
    patience: int = PATIENCE,
    threshold: float = THRESHOLD,
    metric: str = "eval_rouge_sum",
    beam_stops: bool = True,
    validating: bool = True,
) -> list[Any]:
    """그렇게 적은 설정으로 만든 콜백들."""
    training = {
        "early_stopping_patience": patience,
        "early_stopping_threshold": threshold,
        "metric_for_best_model": metric,
    }
    words = [f"training.{name}={value}" for name, value in training.items()]
    return callbacks(*words, f"generation.early_stopping={beam_stops}", SIZE, validating=validating)


def the_one(callbacks: Any) -> Any:
    """콜백들 가운데 조기 종료."""
    found = with_patience(callbacks)
    if any(one is EarlyStoppingCallback for one in found):
        fail(idea=IDEA, expected="EarlyStoppingCallback(…)", got="EarlyStoppingCallback", symptom="class-given")
    if any(isinstance(one, (list, tuple)) for one in found):
        fail(idea="목록", expected="콜백 하나씩", got="목록 안의 목록", symptom="list-in-list")
    chosen = stopping(found)
    if not chosen:
        if stopping(with_patience(callbacks, validating=False)) or stopping(with_patience(callbacks, patience=0)):
            fail(idea=IDEA, expected="EarlyStoppingCallback", got="없음", symptom="inverted")
        fail(idea=IDEA, expected="EarlyStoppingCallback", got="없음", symptom="never-added")
    if len(chosen) > 1:
        fail("조기 종료를 두 번 더했습니다.", idea=IDEA, expected="하나", got=f"{len(chosen)}개")
    return chosen[0]


def patience_is_fixed(callbacks: Any, name: str) -> bool:
    """설정을 바꾸어도 같은 값인가."""
    others = stopping(with_patience(callbacks, patience=PATIENCE + 4, threshold=5 + THRESHOLD))
    return bool(others) and getattr(others[0], name) == getattr(the_one(callbacks), name)


@todo("4-4")
def test_the_patience_is_that_of_the_config(callbacks):
    """설정의 에포크만큼 참습니다."""
    got = the_one(callbacks).early_stopping_patience
    if got != PATIENCE:
        about = {"idea": IDEA, "expected": PATIENCE, "got": got}
        wrong = [("arguments-swapped", THRESHOLD), *[("in-steps", PATIENCE * steps) for steps in STEPS]]
        if not patience_is_fixed(callbacks, "early_stopping_patience"):
            wrong += [("one-off", PATIENCE + 1), ("one-off", PATIENCE - 1)]
        recognise(got, wrong, idea=IDEA, expected=PATIENCE)
        if patience_is_fixed(callbacks, "early_stopping_patience"):
            fail(symptom="default-patience" if got == 1 else "fixed-patience", **about)
        fail("참는 에포크의 수가 설정의 것과 다릅니다.", **about)


@todo("4-4")
def test_the_threshold_is_that_of_the_config(callbacks):
    """설정의 차이보다 크게 나아져야 나아진 것입니다."""
    one = the_one(callbacks)
    got = one.early_stopping_threshold
    if one.early_stopping_patience == PATIENCE and got != THRESHOLD:
        about = {"idea": IDEA, "expected": THRESHOLD, "got": got}
        if patience_is_fixed(callbacks, "early_stopping_threshold"):
            fail(symptom="no-threshold" if got == 0 else "fixed-threshold", **about)
        recognise(got, [("threshold-cut", int(THRESHOLD))], idea=IDEA, expected=THRESHOLD, shown=str(got))
        fail("나아졌다고 볼 차이가 설정의 것과 다릅니다.", **about)


@todo("4-4")
def test_the_threshold_has_no_direction(callbacks):
    """손실로 고를 때도 나아졌다고 볼 차이는 설정의 것 그대로입니다. 방향은 콜백이 알고, 차이의 크기와 견줍니다."""
    usual, by_loss = (stopping(with_patience(callbacks, metric=metric)) for metric in ("eval_rouge_sum", "eval_loss"))
    if not usual or usual[0].early_stopping_threshold != THRESHOLD:
        return  # 앞의 검사가 말합니다.
    if not by_loss:
        fail("손실로 고를 때 조기 종료를 더하지 않았습니다.", idea=IDEA, expected="EarlyStoppingCallback", got="없음")
    got = by_loss[0].early_stopping_threshold
    if got != THRESHOLD:
        negated = [("threshold-negated", -THRESHOLD)]
        recognise(got, negated, idea=IDEA, expected=f"{THRESHOLD}", shown=f"{got}")
        fail("손실로 고를 때, 나아졌다고 볼 차이가 설정의 것과 다릅니다.", idea=IDEA, expected=THRESHOLD, got=got)


@todo("4-4")
def test_the_end_of_a_beam_is_another_stop(callbacks):
    """generation.early_stopping은 빔 서치를 언제 마칠지이고, 학습과는 상관이 없습니다."""
    if stopping(with_patience(callbacks)) and not stopping(with_patience(callbacks, beam_stops=False)):
        fail(idea=IDEA, expected="EarlyStoppingCallback", got="없음", symptom="beam-switch")


@todo("4-4")
def test_a_patience_of_zero_trains_to_the_end(callbacks):
    """early_stopping_patience가 0이면 끝까지 합니다."""
    found = stopping(with_patience(callbacks, patience=0))
    if found and stopping(with_patience(callbacks)):
        fail(idea=IDEA, expected="없음", got=f"참을성 {found[0].early_stopping_patience}", symptom="always-added")


@todo("4-4")
def test_a_patience_of_one_is_a_patience_too(callbacks):
    """early_stopping_patience가 1이면 한 에포크를 참습니다."""
    if not stopping(with_patience(callbacks)):
        return  # 앞의 검사가 말합니다.
    if not stopping(with_patience(callbacks, patience=1)):
        fail(idea=IDEA, expected="참을성 1", got="없음", symptom="one-ignored")


@todo("4-4")
def test_a_threshold_of_zero_stops_too(callbacks):
    """early_stopping_threshold가 0이어도 조기 종료를 합니다. 조금이라도 나아지면 나아진 것입니다."""
    if stopping(with_patience(callbacks)) and not stopping(with_patience(callbacks, threshold=0.0)):
        fail(idea=IDEA, expected="EarlyStoppingCallback", got="없음", symptom="zero-threshold-ignored")


@todo("4-4")
def test_without_validation_nothing_can_stop_it(callbacks):
    """검증하지 않으면 나아졌는지 알 수 없으므로 멈추지 않습니다."""
    if stopping(with_patience(callbacks)) and stopping(with_patience(callbacks, validating=False)):
        fail(idea=IDEA, expected="없음", got="EarlyStoppingCallback", symptom="without-validation")


@todo("4-4")
@pytest.mark.parametrize("patience", [0, PATIENCE])
def test_the_other_callbacks_stay(callbacks, patience):
    """진행을 보이는 것과 부른 쪽이 건넨 것은 그대로 있습니다."""
    found = [type(one).__name__ for one in callbacks(f"training.early_stopping_patience={patience}")]
    missing = [name for name in ("Report", "Pruning") if name not in found]
    if missing:
        got = ", ".join(found) or "없음"
        fail(idea="목록", expected="전의 콜백도 함께", got=got, symptom="others-lost")
