"""4-1의 검사: 언제 검증하고 저장하며, 무엇을 가장 좋은 것으로 볼지."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import Seq2SeqTrainingArguments

from course.checks.recognising import explained, when
from course.checks.side_effects import no_side_effects
from course.checks.words import fail, todo
from nlpbook.summarization.arguments import argument_values
from tests.task2_summarization.checks.step4.common import Rows, new_trainer, settings

IDEA = "학습의 인자"
# 하나하나 라이브러리의 기본값과 다릅니다.
CHOSEN = (
    "training.learning_rate=3e-4",
    "training.batch_size=7",
    "training.eval_batch_size=11",
    "training.label_smoothing=0.17",
    "training.save_total_limit=6",
    "training.logging_steps=29",
    "training.gradient_accumulation_steps=3",
    "generation.max_length=57",
    "general.seed=83",
)


@pytest.fixture
def arguments(load):
    """학생의 함수가 만든 인자들."""
    step = load(4)

    def made(*words: str, validating: bool = True) -> Any:
        config = settings("training.early_stopping_patience=4", *words)
        trainer = new_trainer(step, config=config, eval_dataset=Rows() if validating else None)
        matching = "requires the save and eval strategy to match"
        differ = {"idea": "저장과 검증의 때", "expected": "둘 다 에포크마다", "got": "서로 다른 때"}
        known = (
            when(matching, "strategies-differ", **differ) if validating else chooses_nothing(matching),
            when("multiple of the evaluation steps", "strategies-differ", **differ),
            when(
                "unexpected keyword argument '(?P<got>evaluation_strategy)'",
                "old-name",
                idea="이름",
                expected="eval_strategy",
            ),
        )
        with explained(*known), no_side_effects(settings=config):
            got = trainer._create_training_args()
        return got

    return made


def chooses_nothing(pattern: str) -> Any:
    """검증 데이터가 없을 때 이 예외는, load_best_model_at_end가 참일 때만 납니다."""
    name = "load_best_model_at_end"
    return when(pattern, "chooses-nothing", idea=IDEA, expected=f"{name}=False", got=f"{name}=True")


def text(value: Any) -> str:
    return str(getattr(value, "value", value))


def require_bool(value: Any, name: str) -> None:
    """참과 거짓을 글로 적었으면 그렇다고 말합니다. 비어 있지 않은 글은 모두 참입니다."""
    if isinstance(value, str):
        fail(idea="참과 거짓", expected="True나 False", got=f"{name}={value!r}", symptom="text-for-bool")


def require(got: Any, name: str, want: Any, symptoms: dict[Any, str] | None = None) -> None:
    """인자 하나가 `want`인지 봅니다. 아니면 알아보는 값인지 보고 말합니다."""
    value = getattr(got, name)
    if isinstance(want, bool):
        require_bool(value, name)
    value = text(value) if isinstance(want, str) else value
    if value != want:
        symptom = (symptoms or {}).get(value)
        message = "" if symptom else f"{name}이(가) 다릅니다."
        fail(message, idea=IDEA, expected=f"{name}={want}", got=f"{name}={value}", symptom=symptom, name=name)


SAVING = {"no": "no-saving", "steps": "by-steps", "best": "only-best"}
# 언제나 같아야 하는 인자들이 매달릴 만한 설정. 첫째는 아무것도 바꾸지 않습니다.
SITUATIONS = ("general.seed=83", "training.early_stopping_patience=0", "training.metric_for_best_model=eval_loss")


@todo("4-1")
@pytest.mark.parametrize("words", SITUATIONS)
def test_it_validates_and_saves_after_every_epoch(arguments, words):
    """검증도 저장도, 설정이 어떻든 에포크마다 합니다."""
    got = arguments(words)
    require(got, "eval_strategy", "epoch", {"no": "no-validation", "steps": "by-steps"})
    require(got, "save_strategy", "epoch", SAVING)


@todo("4-1")
@pytest.mark.parametrize("words", SITUATIONS)
def test_the_validation_writes_summaries(arguments, words):
    """ROUGE를 재려면 요약을 써 보아야 합니다. 손실로 고를 때도 ROUGE를 함께 잽니다."""
    require(arguments(words), "predict_with_generate", True, {False: "no-generation"})


@todo("4-1")
@pytest.mark.parametrize("words", SITUATIONS)
def test_the_best_model_is_loaded_at_the_end(arguments, words):
    """조기 종료를 하든 하지 않든, 끝나면 가장 좋은 것을 불러옵니다."""
    got = arguments(words)
    if not got.load_best_model_at_end and arguments().load_best_model_at_end:
        name, value = words.rsplit(".", 1)[1].split("=")
        about = {"expected": "load_best_model_at_end=True", "got": "load_best_model_at_end=False"}
        fail(idea=IDEA, symptom="sometimes-loaded", **about, name=f"{name}이(가) {value}")
    require(got, "load_best_model_at_end", True, {False: "last-kept"})


@todo("4-1")
@pytest.mark.parametrize("metric", ["eval_rougeL", "rouge2", "eval_loss"])
def test_the_best_is_chosen_by_the_metric_of_the_config(arguments, metric):
    """고르는 지표는 설정에 적힌 것입니다."""
    got = arguments(f"training.metric_for_best_model={metric}").metric_for_best_model
    want = metric if metric.startswith("eval_") else f"eval_{metric}"
    if got is None:
        fail(idea="지표", expected=want, got="None", symptom="default-metric")
    if got not in (want, want.removeprefix("eval_")):
        symptom = "default-metric" if got in ("loss", "eval_loss") else "fixed-metric"
        fail(idea="지표", expected=want, got=got, symptom=symptom)


@todo("4-1")
@pytest.mark.parametrize(
    ("metric", "greater"), [("eval_rouge_sum", True), ("rouge1", True), ("eval_loss", False), ("loss", False)]
)
def test_a_higher_rouge_and_a_lower_loss_are_better(arguments, metric, greater):
    """ROUGE는 클수록, 손실은 작을수록 좋습니다. 설정에는 eval_을 빼고 적어도 됩니다."""
    got = is_greater_better(arguments, metric)
    if got != greater:
        expected, came = ("클수록" if one else "작을수록" for one in (greater, got))
        if metric == "loss" and not is_greater_better(arguments, "eval_loss"):
            fail(idea="방향", expected=expected, got=came, symptom="bare-loss")
        symptom = "rouge-minimised" if greater else "loss-maximised"
        fail(idea="방향", expected=expected, got=came, symptom=symptom, name=metric)


def is_greater_better(arguments: Any, metric: str) -> bool:
    value = arguments(f"training.metric_for_best_model={metric}").greater_is_better
    require_bool(value, "greater_is_better")
    return bool(value)


@todo("4-1")
def test_without_validation_nothing_is_chosen(arguments):
    """검증 데이터가 없으면 검증하지도, 고르지도 않습니다. 저장은 합니다."""
    got = arguments(validating=False)
    require(got, "eval_strategy", "no", {"epoch": "validates-nothing", "steps": "validates-nothing"})
    require(got, "load_best_model_at_end", False, {True: "chooses-nothing"})
    if text(got.save_strategy) == "steps" and text(arguments().save_strategy) == "epoch":
        fail(idea=IDEA, symptom="saved-with-validation", expected="save_strategy=epoch", got="save_strategy=steps")
    require(got, "save_strategy", "epoch", SAVING)


@todo("4-1")
def test_the_patience_survives_a_resume(arguments):
    """이어 할 때, 조기 종료가 지금까지 참은 에포크의 수를 되살립니다."""
    require(arguments(), "restore_callback_states_from_checkpoint", True, {False: "patience-forgotten"})


@todo("4-1")
def test_what_the_config_says_is_kept(arguments):
    """학습률과 배치처럼 values에 이미 담긴 것은 그대로입니다."""
    got = arguments(*CHOSEN)
    given = argument_values(settings(*CHOSEN), Path(got.output_dir))
    wanted = Seq2SeqTrainingArguments(**given)
    changed = [name for name in given if getattr(got, name) != getattr(wanted, name)]
    if not changed:
        return
    plain = Seq2SeqTrainingArguments(output_dir=got.output_dir)
    lost = [name for name in changed if getattr(got, name) == getattr(plain, name)]
    symptom = "values-lost" if "learning_rate" in lost and len(lost) > 1 else "value-replaced"
    name = next(iter(lost if symptom == "values-lost" else changed))
    shown = {"expected": f"{name}={getattr(wanted, name)}", "got": f"{name}={getattr(got, name)}"}
    fail(idea=IDEA, symptom=symptom, name=name, **shown)


@todo("4-1")
def test_a_checkpoint_can_be_resumed_from(arguments):
    """체크포인트에는 옵티마이저와 스케줄러도 들어야 이어 할 수 있습니다."""
    require(arguments(), "save_only_model", False, {True: "weights-only"})
