"""옵티마이저에 파라미터를 건네는 법."""

from __future__ import annotations

from torch import nn
from torch.optim.lr_scheduler import LambdaLR


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """AdamW에 줄 두 묶음: 행렬에는 weight decay를 걸고, 편향과 정규화 층(1차원)에는 걸지 않습니다.

    편향이나 LayerNorm을 0으로 끌어당기면 층의 크기 조절 자체가 망가집니다. (GPT-3 논문 부록 B, nanoGPT)
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def follow_schedule(scheduler: LambdaLR) -> None:
    """다음 스텝의 학습률을 지금의 계획에 맞춥니다. 이어 하면서 에포크를 늘리면, 저장된 학습률은 옛 계획의 것입니다."""
    for group, base, rule in zip(
        scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
    ):
        group["lr"] = base * rule(scheduler.last_epoch)
