"""언어 모델의 지표: 창마다의 손실과 정확도."""

from __future__ import annotations

import math

import pytest
import torch

from nlpbook.language.metrics import window_scores


def test_window_scores_match_a_count_by_hand():
    torch.manual_seed(2)
    logits, targets = torch.randn(3, 4, 5), torch.randint(5, (3, 4))
    scores = window_scores(logits, targets)
    assert scores.shape == (3, 2)
    for row in range(3):
        losses, right = [], 0
        for place in range(4):
            values = [math.exp(one) for one in logits[row, place].tolist()]
            losses.append(-math.log(values[targets[row, place]] / sum(values)))
            right += values.index(max(values)) == targets[row, place].item()
        assert scores[row].tolist() == pytest.approx([sum(losses) / 4, right / 4], abs=1e-5)


def test_window_scores_keep_no_gradient():
    logits = torch.randn(1, 2, 3, requires_grad=True)
    assert not window_scores(logits, torch.tensor([[0, 2]])).requires_grad
