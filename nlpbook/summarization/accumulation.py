"""배치를 모아 한 스텝을 걸을 때의 기울기. `Trainer`가 하는 그대로 하되 가중치는 고치지 않습니다."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

DROPOUTS = ("dropout", "activation_dropout", "attention_dropout", "dropout_rate")


def without_dropout(model: Any) -> Any:
    """드롭아웃을 모두 끈 그 모델. 학습 모드에서도 같은 배치는 같은 기울기를 냅니다."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in DROPOUTS:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    return model


def accumulated_gradient(trainer: Any, batches: Sequence[Sequence[dict[str, Any]]]) -> torch.Tensor:
    """배치들의 기울기를 모은 것, (파라미터의 수,).

    Args:
        trainer: `Seq2SeqTrainer`나 그것을 물려받은 것.
        batches: 배치마다의 데이터셋 항목들.
    """
    collated = iter([trainer.data_collator(list(batch)) for batch in batches])
    samples, count = trainer.get_batch_samples(collated, len(batches), trainer.args.device)
    trainer.current_gradient_accumulation_steps = len(samples)
    trainer.model.zero_grad()
    for sample in samples:
        trainer.training_step(trainer.model_wrapped, sample, count)
    trained = [one for one in trainer.model.parameters() if one.grad is not None]
    gradient = torch.cat([one.grad.flatten() for one in trained]).clone()
    trainer.model.zero_grad()
    return gradient
