"""언어 모델의 지표."""

from __future__ import annotations

import torch


@torch.no_grad()
def window_scores(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """창마다의 평균 손실(nat)과 정확도.

    Args:
        logits: (배치, 길이, 어휘).
        targets: (배치, 길이).

    Returns:
        (배치, 2). 창의 길이가 모두 같으므로, 창들의 평균이 곧 토큰들의 평균입니다.
    """
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")  # (배치, 길이)
    right = logits.argmax(dim=-1) == targets
    return torch.stack([losses.mean(dim=1), right.float().mean(dim=1)], dim=1)
