"""옵티마이저의 묶음: weight decay를 거는 것과 걸지 않는 것."""

from __future__ import annotations

import torch
from torch import nn

from nlpbook.optimization import decay_groups


def test_only_matrices_decay():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    model[0].bias.requires_grad_(False)
    decayed, free = decay_groups(model, 0.1)
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert [p.shape for p in decayed["params"]] == [torch.Size([4, 3])]
    assert {id(p) for p in free["params"]} == {id(model[1].weight), id(model[1].bias)}
