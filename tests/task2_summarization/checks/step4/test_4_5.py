"""4-5의 검사: 가장 좋은 모델을 저장하고, 그것의 값을 돌려주기."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoTokenizer
from transformers.trainer_callback import TrainerState

from course.checks.recognising import explained, require_value, when
from course.checks.side_effects import no_side_effects
from course.checks.words import fail, known_as, show, todo
from nlpbook.summarization.trainer import SummarizationTrainer
from tests.task2_summarization.checks import models, support
from tests.task2_summarization.checks.step4.common import Rows, new_trainer, settings

IDEA = "가장 좋은 모델"
# 가장 좋았던 스텝. 처음도 마지막도 아니고, 손실이 가장 낮은 것(1248)도 rouge_sum이 가장 높은 것(936)도 아닙니다.
BEST = 624
LAST = 1560
METRIC = "eval_rouge2"
SCORES = {
    312: (0.61, 3.9, 0.17),
    BEST: (0.87, 2.7, 0.43),
    936: (0.93, 2.8, 0.31),
    1248: (0.44, 2.4, 0.23),
    LAST: (0.72, 3.3, 0.29),
}  # 스텝 → rouge_sum, eval_loss, rouge2. 스텝은 파이썬이 하나만 만들어 두는 작은 수(256까지)보다 큽니다.
# 손실이 가장 낮은 것과 rouge_sum이 가장 높은 것이 다른 자리에 있는 또 하나의 기록. 무엇을 보고 골랐는지 가립니다.
OTHER_SCORES = {312: SCORES[936], BEST: SCORES[BEST], 936: SCORES[312], 1248: SCORES[LAST], LAST: SCORES[1248]}


ARGUMENTS = SimpleNamespace(metric_for_best_model=METRIC, greater_is_better=True, should_save=True)


class History(list):
    """학습의 기록. 가장 좋았던 스텝을 목록의 번호로 쓰면 그렇다고 말합니다."""

    best: int | None = None

    def __getitem__(self, index: Any) -> Any:
        if index == self.best and index is not None:
            fail(idea="기록", expected="그 스텝의 줄", got=f"{index}번째 줄", symptom="step-as-index")
        return super().__getitem__(index)


def history(best: int | None = BEST, scores_of: dict[int, Any] = SCORES) -> History:
    """에포크마다의 기록. `best`가 None이면 검증하지 않은 학습의 것입니다.

    체크포인트에서 읽은 기록처럼, 같은 스텝의 수도 저마다 다른 객체입니다.
    """
    rows = History()
    rows.best = best
    for number, (same_step, (rouge, loss, rouge2)) in enumerate(scores_of.items(), start=1):
        step = int(str(same_step))
        rows.append({"loss": 5.0 - number, "learning_rate": 1e-3 / number, "epoch": number - 0.5, "step": step - 4})
        rows.append({"loss": 4.5 - number, "learning_rate": 9e-4 / number, "epoch": float(number), "step": step})
        scores = {"eval_loss": loss, "eval_rouge_sum": rouge, "eval_rouge1": rouge - rouge2, METRIC: rouge2}
        if best is not None:
            rows.append({**scores, "epoch": float(number), "step": step})
    rows.append({"train_runtime": 71.0, "train_loss": 2.2, "epoch": 5.0, "step": LAST})
    return rows


@known_as("DistributedDataParallel")
class Wrapped(nn.Module):
    """여러 프로세스로 학습할 때 모델을 감싸는 것. 저장할 줄은 모릅니다."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


@known_as("SummarizationTrainer")
class Finished:
    """끝난 학습. `Trainer`처럼 모델과 토크나이저를 함께 저장할 줄도 압니다."""

    def __init__(self, model: Any, tokenizer: Any, rows: History, best: int | None, checkpoint: Path) -> None:
        self.model = model
        self.processing_class = tokenizer
        self.model_wrapped = Wrapped(model)
        self.args = ARGUMENTS
        self.accelerator = SimpleNamespace(unwrap_model=lambda one: getattr(one, "module", one))
        self.state = TrainerState(log_history=rows, best_global_step=best, global_step=LAST)
        if best is not None:
            self.state.best_metric = SCORES[best][2]
            self.state.best_model_checkpoint = str(checkpoint)

    def save_model(self, output_dir: Any = None, _internal_call: bool = False) -> None:
        self.model.save_pretrained(output_dir)
        self.processing_class.save_pretrained(output_dir)

    _save = save_model

    def is_world_process_zero(self) -> bool:
        return True

    def evaluate(self, *given: Any, **named: Any) -> Any:
        fail(idea=IDEA, expected="기록에 있는 값", got="다시 잰 값", symptom="evaluated-again")

    def __getattr__(self, name: str) -> Any:
        if hasattr(SummarizationTrainer, name):
            fail(f"이 검사는 self.trainer.{name}을(를) 주지 않습니다.", idea="검사가 주는 것", got=f"trainer.{name}")
        raise AttributeError(f"'SummarizationTrainer' object has no attribute {name!r}")


def checkpoint_in(folder: Path, model: Any) -> Path:
    """가장 좋았던 체크포인트. 가중치 말고 이어 하는 데 쓰는 것들도 있습니다."""
    place = folder / f"checkpoint-{BEST}"
    model.save_pretrained(place)
    for name in ("optimizer.pt", "trainer_state.json"):
        (place / name).write_text("{}", encoding="utf-8")
    return place


class Saving:
    """학생의 함수로 저장한 것.

    Attributes:
        best: 돌려받은 것.
        final: 저장할 폴더.
        tried: 모델이나 토크나이저를 저장한 곳들. 어디든 저장했으면 비어 있지 않습니다.
    """

    def __init__(
        self, step: Any, folder: Path, best: int | None, scores: dict[int, Any] = SCORES, is_same: bool = False
    ) -> None:
        self.model = models.model("kobart")
        self.tokenizer = support.tokenizer()
        rows = history(best, scores)
        if is_same:  # 한 번에 끝난 학습의 기록처럼, 가장 좋았던 스텝의 수가 그 줄의 것과 같은 객체입니다.
            best = next(row["step"] for row in rows if row["step"] == best and "eval_loss" in row)
        finished = Finished(self.model, self.tokenizer, rows, best, checkpoint_in(folder, self.model))
        config = settings(f"training.metric_for_best_model={METRIC}")
        trainer = new_trainer(
            step,
            folder / "run",
            model=self.model,
            tokenizer=self.tokenizer,
            trainer=finished,
            eval_dataset=Rows() if best else None,
            config=config,
            args=ARGUMENTS,
            running=SimpleNamespace(evaluate=Finished.evaluate, is_main=True),
        )
        self.final = trainer.run.final_model
        self.tried: list[Any] = []
        before = [dict(row) for row in rows]
        with pytest.MonkeyPatch.context() as patch, explained(*known(best)):
            for kind in (type(self.model), type(self.tokenizer)):
                patch.setattr(kind, "save_pretrained", self._watched(kind.save_pretrained))
            with no_side_effects(weights=self.model, modes=self.model):
                self.best = require_value(trainer.save_best(), "best")
        if list(rows) != before:
            fail(idea="부작용", expected="그대로", got="바뀐 기록", symptom="history-changed")

    def _watched(self, real: Any) -> Any:
        def save_pretrained(one: Any, *given: Any, **named: Any) -> Any:
            self.tried.append([*given, *named.values()][:1])
            return real(one, *given, **named)

        return save_pretrained


def known(best: int | None) -> list[Any]:
    """알아보는 예외들. 검증한 학습과 하지 않은 학습에서 까닭이 다릅니다."""
    wrapped = when(
        "DistributedDataParallel' object has no attribute 'save_pretrained'",
        "wrapped-model",
        idea="저장",
        expected="self.model",
    )
    if best is not None:
        about = {"idea": "토크나이저", "expected": "save_pretrained", "got": "save_vocabulary"}
        return [blame_the_row, wrapped, when("vocab_file", "vocabulary-only", **about)]
    empty = "KeyError: |StopIteration|IndexError|empty sequence|empty iterable|NoneType"
    return [when(empty, "needs-validation", idea="기록", expected="빈 딕셔너리")]


def blame_the_row(error: Exception) -> None:
    """학습의 줄에서 검증의 이름을 꺼내려다 멈췄으면 그렇다고 말합니다."""
    if isinstance(error, KeyError) and str(error.args[0]).startswith("eval_"):
        shown = {"expected": "검증의 줄", "got": f"학습의 줄에서 {error.args[0]}을(를) 꺼내려다 멈췄습니다"}
        fail(idea="기록", symptom="train-row", **shown)


@pytest.fixture(scope="module")
def saving(load, tmp_path_factory):
    return Saving(load(4), tmp_path_factory.mktemp("best"), BEST)


def require_files(saving: Saving) -> None:
    """모델이 정해진 자리에 있는지 봅니다."""
    files = {path.name for path in saving.final.iterdir()} if saving.final.is_dir() else set()
    if not files:
        symptom = "elsewhere" if saving.tried else "nothing-saved"
        fail(idea="저장", expected="folder에 저장한 모델", got="빈 폴더", symptom=symptom)
    if "optimizer.pt" in files:
        fail(idea="저장", expected="모델과 토크나이저", got="optimizer.pt까지", symptom="whole-checkpoint")
    if "model.safetensors" in files:
        return
    weights = sorted(name for name in files if name.endswith((".bin", ".pt", ".pth", ".ckpt", ".safetensors")))
    if weights and "config.json" not in files:
        fail(idea="저장", expected="config.json", got=weights[0], symptom="no-config")
    if weights:
        message = "가중치가 from_pretrained가 읽는 이름으로 저장되지 않았습니다. save_pretrained로 저장해 주세요."
        fail(message, idea="저장", expected="model.safetensors", got=weights[0])
    inside = next(saving.final.rglob("model.safetensors"), None)
    if inside is not None:
        place = inside.parent.relative_to(saving.final).as_posix()
        fail(idea="저장", expected="model.safetensors", got=f"folder/{place}", symptom="in-subfolder")
    fail(idea="저장", expected="model.safetensors", got=", ".join(sorted(files)[:4]), symptom="no-model")


@todo("4-5")
def test_the_model_is_saved(saving):
    """from_pretrained가 읽는 모양으로, 지금의 가중치가 그 정밀도로 저장됩니다."""
    require_files(saving)
    if not (saving.final / "config.json").is_file():
        fail(idea="저장", expected="config.json", got="model.safetensors", symptom="no-config")
    saved = load_file(saving.final / "model.safetensors")
    own = saving.model.state_dict()
    cast = [str(one.dtype)[6:] for name, one in saved.items() if one.dtype != own[name].dtype]
    if cast:
        fail(idea="정밀도", expected="float32", got=cast[0], symptom="saved-cast")
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


def name_a_row_of_training(got: dict[str, Any]) -> None:
    """검증의 값이 없는 딕셔너리면, 무엇이 담겼는지 말합니다."""
    if any(name.startswith("eval_") for name in got):
        return
    names = ", ".join(map(str, got)) or "빈 딕셔너리"
    about = {"idea": "기록", "expected": "검증의 줄", "got": names}
    if not got:
        fail(symptom="nothing-kept", **about)
    trained = [row for row in history() if "eval_loss" not in row]
    if any(got.items() <= row.items() for row in trained):
        fail(symptom="train-row", **{**about, "got": f"{names}이(가) 담겼습니다"})
    validated = [row for row in history() if "eval_loss" in row]
    if any(set(got.values()) <= set(row.values()) for row in validated):
        fail(symptom="names-changed", **about)
    fail("best에 eval_로 시작하는 이름이 없습니다.", **about)


def step_of(got: Any, scores: dict[int, Any]) -> int | None:
    """담긴 값들이 모두 그 스텝의 검증에서 온, 하나뿐인 스텝."""
    values = {name: one for name, one in got.items() if name.startswith("eval_")} if isinstance(got, dict) else {}
    rows = {row["step"]: row for row in history(BEST, scores) if "eval_loss" in row}
    found = [step for step, row in rows.items() if values and values.items() <= row.items()]
    return found[0] if len(found) == 1 else None


# 증상 → 두 기록에서 저마다 고를 스텝
PICKED = {
    "last-row": (LAST, LAST),
    "first-row": (312, 312),
    "highest-rouge": (936, 312),
    "lowest-loss": (1248, LAST),
}


@todo("4-5")
def test_the_scores_are_those_of_the_best_step(load, tmp_path, saving):
    """가장 좋았던 스텝의 검증 값입니다."""
    got = saving.best
    want = next(row for row in history() if "eval_loss" in row and row["step"] == BEST)
    if isinstance(got, (int, float)):
        fail(idea=IDEA, expected="딕셔너리", got=f"{type(got).__name__} {show(got)}", symptom="not-a-row")
    if not isinstance(got, dict):
        fail(idea=IDEA, symptom="not-a-dict", expected="줄 하나(딕셔너리)", got=type(got).__name__)
    if not got and step_of(Saving(load(4), tmp_path / "same", BEST, is_same=True).best, SCORES) == BEST:
        fail(idea="같은 수", expected="==", got="is", symptom="compared-by-is")
    name_a_row_of_training(got)
    picked = step_of(got, SCORES)
    if picked not in (None, BEST):
        again = step_of(Saving(load(4), tmp_path, BEST, OTHER_SCORES).best, OTHER_SCORES)
        symptom = next((name for name, both in PICKED.items() if both == (picked, again)), "other-step")
        fail(idea=IDEA, symptom=symptom, expected=f"스텝 {BEST}의 값", got=f"스텝 {picked}의 값")
    names = [name for name in want if name.startswith("eval_")]
    missing = [name for name in names if got.get(name) is None]
    if missing:
        fail(idea=IDEA, expected=", ".join(want), got=", ".join(got), symptom="scores-lost", name=missing[0])
    changed = [name for name in names if got[name] != want[name]]
    if changed:
        shown = {"expected": f"{changed[0]}={want[changed[0]]}", "got": f"{changed[0]}={got[changed[0]]}"}
        fail("best가 가장 좋았던 스텝의 값이 아닙니다.", idea=IDEA, **shown)
    mixed = [name for name in got if name not in want and any(name in row for row in history())]
    if mixed:
        shown = {"expected": ", ".join(want), "got": ", ".join(mixed)}
        fail(idea="기록", symptom="rows-mixed", **shown)


@todo("4-5")
def test_the_last_step_may_be_the_best(load, tmp_path, saving):
    """마지막 스텝이 가장 좋았으면, 같은 스텝에 학습을 마친 기록도 있습니다."""
    if not isinstance(saving.best, dict) or saving.best.get("eval_loss") != SCORES[BEST][1]:
        return  # 앞의 검사가 말합니다.
    got = Saving(load(4), tmp_path, LAST).best
    name_a_row_of_training(got)
    if got.get("eval_loss") != SCORES[LAST][1]:
        shown = {"expected": f"스텝 {LAST}의 값", "got": f"eval_loss {got.get('eval_loss')}"}
        fail("마지막 스텝이 가장 좋았을 때의 값이 다릅니다.", idea=IDEA, **shown)


@todo("4-5")
def test_without_validation_there_is_nothing_to_tell(load, tmp_path):
    """검증하지 않았으면 빈 딕셔너리입니다. 모델은 그래도 저장합니다."""
    got = Saving(load(4), tmp_path, None)
    require_files(got)
    if got.best:
        fail(idea=IDEA, expected="빈 딕셔너리", got=", ".join(got.best), symptom="made-up")
