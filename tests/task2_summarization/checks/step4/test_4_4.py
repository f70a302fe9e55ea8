"""4-4의 검사: 조기 종료."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from transformers import EarlyStoppingCallback, TrainerCallback

from course.checks.recognising import explained, when
from course.checks.side_effects import no_side_effects
from course.checks.words import fail, known_as, todo
from tests.task2_summarization.checks.step4.common import Rows, new_trainer, settings

IDEA = "조기 종료"
PATIENCE, THRESHOLD = 7, 0.03


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
            args=None,
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
            fail(
                idea="부작용",
                expected="그대로",
                got="늘어난 self.callbacks",
                symptom="inputs-changed",
                name="self.callbacks",
            )
        return list(got.given["callbacks"])

    return made


def stopping(found: list[Any]) -> list[Any]:
    return [one for one in found if isinstance(one, EarlyStoppingCallback)]


def with_patience(callbacks: Any, **more: Any) -> list[Any]:
    words = (f"training.early_stopping_patience={PATIENCE}", f"training.early_stopping_threshold={THRESHOLD}")
    return callbacks(*words, **more)


def the_one(callbacks: Any) -> Any:
    """콜백들 가운데 조기 종료."""
    found = with_patience(callbacks)
    if any(one is EarlyStoppingCallback for one in found):
        fail(idea=IDEA, expected="EarlyStoppingCallback(…)", got="EarlyStoppingCallback", symptom="class-given")
    if any(isinstance(one, (list, tuple)) for one in found):
        fail(idea="목록", expected="콜백 하나씩", got="목록 안의 목록", symptom="list-in-list")
    chosen = stopping(found)
    if not chosen:
        fail(idea=IDEA, expected="EarlyStoppingCallback", got="없음", symptom="never-added")
    if len(chosen) > 1:
        fail("조기 종료를 두 번 더했습니다.", idea=IDEA, expected="하나", got=f"{len(chosen)}개")
    return chosen[0]


@todo("4-4")
def test_the_patience_is_that_of_the_config(callbacks):
    """설정의 에포크만큼 참습니다."""
    got = the_one(callbacks).early_stopping_patience
    if got != PATIENCE:
        symptom = {1: "default-patience", THRESHOLD: "arguments-swapped"}.get(got)
        message = "" if symptom else "참는 에포크의 수가 다릅니다."
        fail(message, idea=IDEA, expected=PATIENCE, got=got, symptom=symptom)


@todo("4-4")
def test_the_threshold_is_that_of_the_config(callbacks):
    """설정의 차이보다 크게 나아져야 나아진 것입니다."""
    one = the_one(callbacks)
    got = one.early_stopping_threshold
    if one.early_stopping_patience == PATIENCE and got != THRESHOLD:
        symptom = "no-threshold" if got == 0 else None
        message = "" if symptom else "나아졌다고 볼 차이가 다릅니다."
        fail(message, idea=IDEA, expected=THRESHOLD, got=got, symptom=symptom)


@todo("4-4")
def test_a_patience_of_zero_trains_to_the_end(callbacks):
    """early_stopping_patience가 0이면 끝까지 합니다."""
    found = stopping(callbacks("training.early_stopping_patience=0"))
    if found:
        fail(idea=IDEA, expected="없음", got=f"참을성 {found[0].early_stopping_patience}", symptom="always-added")


@todo("4-4")
def test_a_patience_of_one_is_a_patience_too(callbacks):
    """early_stopping_patience가 1이면 한 에포크를 참습니다."""
    if not stopping(with_patience(callbacks)):
        return  # 앞의 검사가 말합니다.
    if not stopping(callbacks("training.early_stopping_patience=1")):
        fail(idea=IDEA, expected="참을성 1", got="없음", symptom="one-ignored")


@todo("4-4")
def test_without_validation_nothing_can_stop_it(callbacks):
    """검증하지 않으면 나아졌는지 알 수 없으므로 멈추지 않습니다."""
    if stopping(with_patience(callbacks, validating=False)):
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
