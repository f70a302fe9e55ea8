"""4단계의 여러 TODO가 함께 쓰는 준비(fixture)."""

from __future__ import annotations

import math

import pytest

from nlpbook.position import Position
from tests.task3_lm.checks import support
from tests.task3_lm.checks.step4.common import building


@pytest.fixture
def new_trainer(load, device):
    """작은 Trainer를 만드는 함수."""
    with building(load, device) as build:
        yield build


@pytest.fixture
def bare(load):
    """`__init__`을 거치지 않고, 검사에 필요한 것만 붙인 Trainer."""

    def build(**parts):
        kind = load(4).Trainer
        trainer = kind.__new__(kind)
        usual = {"position": Position(), "best_val_loss": math.inf, "bad_epochs": 0, "config": support.tiny_config()}
        for name, part in {**usual, **parts}.items():
            setattr(trainer, name, part)
        return trainer

    return build
