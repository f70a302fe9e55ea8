"""여러 배치를 모은 기울기는 큰 배치 하나의 것과 같습니다: 네 구조에서, 라벨 평활화가 있든 없든, 프로세스가 몇이든."""

from __future__ import annotations

import pytest
import torch
from transformers import Seq2SeqTrainer

from nlpbook.summarization.accumulation import accumulated_gradient, without_dropout
from tests.task2_summarization import trainers

if not trainers.FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)

BATCH = 4


def gradients(trainer, items):
    """큰 배치 하나의 기울기와, 넷으로 나누어 모은 기울기."""
    parts = [items[first : first + BATCH] for first in range(0, len(items), BATCH)]
    return accumulated_gradient(trainer, [items]), accumulated_gradient(trainer, parts)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", ["kobart", "t5", "mt5", "kogpt2"])
def test_four_accumulated_batches_are_one_batch_of_four_times_the_size(tmp_path, name, smoothing):
    made = trainers.trainer(tmp_path, f"training.label_smoothing={smoothing}", name=name)
    without_dropout(made.model)
    items = [made.train_dataset[index] for index in range(4 * BATCH)]
    whole, parts = gradients(made.trainer, items)
    assert torch.allclose(parts, whole, atol=1e-6 * float(whole.abs().max()) * 10)
    answers = [sum(label != -100 for label in item["labels"]) for item in items]
    assert len({sum(answers[first : first + BATCH]) for first in range(0, len(items), BATCH)}) > 1


@pytest.mark.parametrize("name", ["kobart", "t5", "mt5", "kogpt2"])
def test_the_loss_is_that_of_the_model(tmp_path, name):
    """평활화가 없으면, 배치 하나의 손실은 모델이 스스로 구한 것과 같습니다."""
    made = trainers.trainer(tmp_path, "training.label_smoothing=0", name=name)
    batch = made.collator()([made.train_dataset[index] for index in range(5)])
    made.model.eval()
    with torch.no_grad():
        outputs = made.model(**batch)
    assert float(made.compute_loss(outputs, batch["labels"])) == pytest.approx(float(outputs.loss), abs=1e-5)


@pytest.mark.parametrize(("name", "inflated"), [("kobart", 4), ("t5", 4), ("mt5", 4), ("kogpt2", 1)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_what_the_library_does_without_us(tmp_path, name, inflated, smoothing):
    """라이브러리가 고쳐지면 이 시험이 알려 줍니다: 그때는 장의 설명과 `SummarizationTrainer`를 다시 보세요."""
    made = trainers.trainer(tmp_path, f"training.label_smoothing={smoothing}", name=name)
    without_dropout(made.model)
    plain = Seq2SeqTrainer(
        model=made.model, args=made.args, data_collator=made.collator(), eval_dataset=made.eval_dataset
    )
    whole, parts = gradients(plain, [made.train_dataset[index] for index in range(4 * BATCH)])
    assert float(parts.norm() / whole.norm()) == pytest.approx(1 if smoothing else inflated, rel=0.02)
