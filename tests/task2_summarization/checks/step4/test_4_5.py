"""4-5의 검사: 가장 좋은 모델을 저장하고, 그것의 값을 돌려주기."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer
from transformers.trainer_callback import TrainerState

from course.checks.recognising import explained, require_value, when
from course.checks.side_effects import no_side_effects
from course.checks.words import fail, known_as, show, todo
from tests.task2_summarization.checks import models, support
from tests.task2_summarization.checks.step4.common import new_trainer

IDEA = "가장 좋은 모델"
BEST = 26  # 가장 좋았던 스텝. 처음도 마지막도 아니고, rouge_sum이 가장 높은 것(39)도 아닙니다: 손실로 골랐습니다.
SCORES = {
    13: (0.61, 3.9),
    26: (0.87, 2.4),
    39: (0.93, 2.8),
    52: (0.44, 3.1),
    65: (0.72, 3.3),
}  # 스텝 → rouge_sum, eval_loss


def history() -> list[dict[str, float]]:
    rows: list[dict[str, float]] = []
    for number, (step, (rouge, loss)) in enumerate(SCORES.items(), start=1):
        rows += [
            {"loss": 5.0 - number, "learning_rate": 1e-3 / number, "epoch": number - 0.5, "step": step - 4},
            {"loss": 4.5 - number, "learning_rate": 9e-4 / number, "epoch": float(number), "step": step},
            {
                "eval_loss": loss,
                "eval_rouge_sum": rouge,
                "eval_rouge1": rouge / 2,
                "epoch": float(number),
                "step": step,
            },
        ]
    return [*rows, {"train_runtime": 71.0, "train_loss": 2.2, "epoch": 5.0, "step": 65}]


@known_as("SummarizationTrainer")
class Finished:
    """끝난 학습. `Trainer`처럼 모델과 토크나이저를 함께 저장할 줄도 압니다."""

    def __init__(self, model: Any, tokenizer: Any, rows: list[dict[str, float]], best: int | None) -> None:
        self.model = model
        self.processing_class = tokenizer
        metric = None if best is None else SCORES[best][1]
        self.state = TrainerState(log_history=rows, best_global_step=best, best_metric=metric, global_step=65)

    def save_model(self, output_dir: Any = None, _internal_call: bool = False) -> None:
        self.model.save_pretrained(output_dir)
        self.processing_class.save_pretrained(output_dir)


class Saving:
    """학생의 함수로 저장한 것."""

    def __init__(self, step: Any, folder: Path, rows: list[dict[str, float]], best: int | None) -> None:
        self.model = models.model("kobart")
        tokenizer = support.tokenizer()
        trainer = new_trainer(
            step,
            folder / "run",
            model=self.model,
            tokenizer=tokenizer,
            trainer=Finished(self.model, tokenizer, rows, best),
        )
        self.final = trainer.run.final_model
        self.before = [dict(row) for row in rows]
        known = (
            when("KeyError: 'eval_", "train-row", idea="기록", expected="검증의 줄", got="학습의 줄"),
            when(
                "KeyError: None|StopIteration|list index out of range|IndexError",
                "needs-validation",
                idea="기록",
                expected="빈 딕셔너리",
            ),
        )
        with explained(*known), no_side_effects(weights=self.model):
            self.best = require_value(trainer.save_best(), "best")
        if rows != self.before:
            fail(idea="부작용", expected="그대로", got="바뀐 기록", symptom="history-changed")


@pytest.fixture(scope="module")
def saving(load, tmp_path_factory):
    return Saving(load(4), tmp_path_factory.mktemp("best"), history(), BEST)


def require_files(saving: Saving) -> None:
    """모델이 정해진 자리에 있는지 봅니다."""
    if not saving.final.is_dir() or not any(saving.final.iterdir()):
        fail(idea="저장", expected="folder에 저장한 모델", got="빈 폴더", symptom="elsewhere")
    if not (saving.final / "model.safetensors").is_file():
        found = ", ".join(sorted(path.name for path in saving.final.iterdir())[:4])
        fail(idea="저장", expected="model.safetensors", got=found, symptom="no-model")


@todo("4-5")
def test_the_model_is_saved(saving):
    """from_pretrained가 읽는 모양으로, 지금의 가중치가 저장됩니다."""
    require_files(saving)
    if not (saving.final / "config.json").is_file():
        fail(idea="저장", expected="config.json", got="없음", symptom="no-config")
    saved = load_file(saving.final / "model.safetensors")
    own = saving.model.state_dict()
    different = [name for name, one in saved.items() if not torch.equal(one, own[name])]
    if different:
        fail("저장한 가중치가 모델의 것과 다릅니다.", idea="저장", expected="모델의 가중치", got=f"다른 {different[0]}")


@todo("4-5")
def test_the_tokenizer_is_saved_with_it(saving):
    """토크나이저도 함께 저장됩니다. 화자 태그를 아는 것이어야 합니다."""
    require_files(saving)
    if not (saving.final / "tokenizer.json").is_file():
        fail(idea="토크나이저", expected="tokenizer.json", got="없음", symptom="no-tokenizer")
    loaded = AutoTokenizer.from_pretrained(saving.final)
    text = support.SUMMARIES[0]
    if loaded(text)["input_ids"] != support.encoded(text):
        fail("저장한 토크나이저가 같은 글을 다르게 자릅니다.", idea="토크나이저", expected="같은 번호", got="다른 번호")


@todo("4-5")
def test_the_scores_are_those_of_the_best_step(saving):
    """가장 좋았던 스텝의 검증 값입니다."""
    got = saving.best
    want = next(row for row in history() if "eval_loss" in row and row["step"] == BEST)
    if not isinstance(got, dict):
        fail(idea=IDEA, expected="딕셔너리", got=f"{type(got).__name__} {show(got)}", symptom="not-a-row")
    shown = {"expected": f"스텝 {BEST}의 값", "got": f"스텝 {got.get('step', '?')}의 값"}
    if "eval_loss" not in got:
        symptom = "train-row" if "loss" in got or "train_loss" in got else "nothing-kept" if not got else None
        message = "" if symptom else "best에 검증 값(eval_loss)이 없습니다."
        fail(message, idea="기록", symptom=symptom, expected="검증의 줄", got=", ".join(got) or "빈 딕셔너리")
    if got["eval_loss"] != want["eval_loss"]:
        steps = {one[1]: step for step, one in SCORES.items()}
        symptom = {65: "last-row", 13: "first-row", 39: "highest-rouge"}.get(steps.get(got["eval_loss"], 0))
        message = "" if symptom else "best가 가장 좋았던 스텝의 값이 아닙니다."
        fail(message, idea=IDEA, symptom=symptom, **shown)
    missing = [name for name in ("eval_rouge_sum", "eval_rouge1") if got.get(name) != want[name]]
    if missing:
        fail(idea=IDEA, expected=", ".join(want), got=", ".join(got), symptom="scores-lost", name=missing[0])


@todo("4-5")
def test_without_validation_there_is_nothing_to_tell(load, tmp_path):
    """검증하지 않았으면 빈 딕셔너리입니다. 모델은 그래도 저장합니다."""
    rows = [row for row in history() if "eval_loss" not in row]
    got = Saving(load(4), tmp_path, rows, None)
    require_files(got)
    if got.best:
        fail(idea=IDEA, expected="빈 딕셔너리", got=", ".join(got.best), symptom="made-up")
