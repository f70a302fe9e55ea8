"""학습의 진행: 간격 옵션과 자리."""

from __future__ import annotations

import pytest

from nlpbook.position import Position, steps_between


@pytest.mark.parametrize(
    ("interval", "steps_per_epoch", "expected"),
    [(0.5, 100, 50), (1, 100, 100), (1.0, 7, 7), (30, 100, 30), (0.001, 100, 1), (0, 100, 1), (2, 1, 2), (0.1, 1, 1)],
)
def test_an_interval_is_a_share_of_an_epoch_up_to_1_and_steps_above(interval, steps_per_epoch, expected):
    assert steps_between(interval, steps_per_epoch) == expected


def test_position_counts_steps_through_epochs():
    position = Position()
    for _ in range(3):
        position.next_batch()
    position.next_epoch()
    position.next_batch()
    assert position.to_dict() == {"epoch": 1, "batch": 1, "step": 4}
    assert Position(**position.to_dict()) == position
