"""학습 곡선의 점은 배치 하나의 운이 아니라, 지난 점 뒤의 평균입니다."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from nlpbook.classification.config import TrainConfig
from nlpbook.position import Position
from nlpbook.tracking import Tracker


def test_a_point_is_the_mean_since_the_last_one(load):
    kind = load(4).Trainer
    trainer = kind.__new__(kind)
    trainer.__dict__ |= {
        "config": TrainConfig(),
        "tracker": Tracker(),
        "fabric": SimpleNamespace(is_global_zero=True),
        "scheduler": SimpleNamespace(get_last_lr=lambda: [0.1]),
        "interrupt": SimpleNamespace(requested=False),
        "advance": lambda: None,
        "recent": [],
        "print_steps": 3,
        "val_steps": 10**9,
        "total_steps": 10**9,
        "steps_per_epoch": 6,
    }
    for step in range(1, 7):
        trainer.position = Position(0, step, step)
        trainer.after_step({"loss": torch.tensor(float(step)), "acc": torch.tensor(step / 10)})
    rows = [(row["step"], row["loss"], row["acc"]) for row in trainer.tracker.history]
    assert rows == [(3, 2.0, pytest.approx(0.2)), (6, 5.0, pytest.approx(0.5))]
