"""발산 알아보기: 유한하지 않은 손실."""

from __future__ import annotations

import math

import pytest
import torch

from nlpbook.errors import UserError
from nlpbook.loss_guard import LossGuard


def guarded(*losses: float) -> LossGuard:
    guard = LossGuard()
    for step, loss in enumerate(losses, start=1200):
        guard.note(step, 3e-3, torch.tensor(loss))
    return guard


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_with_its_first_step_and_rate(bad):
    with pytest.raises(UserError, match=rf"^1,201스텝째에 손실이 {bad}.*학습률 3\.0e-03.*--learning_rate"):
        guarded(2.0, bad, math.nan).check()


def test_finite_losses_are_forgotten_once_seen():
    guard = guarded(2.0, 1e30, -1.0)
    guard.check()
    assert guard.seen == []
