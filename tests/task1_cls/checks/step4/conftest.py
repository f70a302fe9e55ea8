"""4단계의 여러 TODO가 함께 쓰는 준비(fixture)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nlpbook.position import Position
from nlpbook.tracking import Tracker
from tests.task1_cls.checks import support
from tests.task1_cls.checks.step4.common import one_process


@pytest.fixture
def new_trainer(load, device):
    """빈 루프에 검사에 필요한 것만 붙여 줍니다."""

    def build(**parts):
        kind = load(4).Trainer
        trainer = kind.__new__(kind)
        trainer.fabric = one_process(device)
        trainer.config = support.tiny_config()
        trainer.tracker = Tracker()
        trainer.position = Position()
        trainer.print_steps = 10**9
        trainer.recent = []
        trainer.interrupt = SimpleNamespace(requested=False)
        trainer.advance = lambda count=1: None
        for name, part in parts.items():
            setattr(trainer, name, part)
        return trainer

    return build
