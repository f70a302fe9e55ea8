"""학습의 진행과 기록: 간격, 자리, 이어 할 때의 기록, CSV와 TensorBoard 파일."""

from __future__ import annotations

import csv
import math

import pytest
import torch

from nlpbook.errors import UserError
from nlpbook.tracking import LossGuard, Position, Tracker, file_loggers, log_to, say, steps_between


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


def rows_of(folder) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def test_metrics_are_written_to_csv_and_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = Tracker(file_loggers(tmp_path))
    tracker.log(5, loss=0.75, lr=0.001)
    tracker.save()
    tracker.log(10, val_loss=0.5, val_acc=1)
    tracker.save()
    assert rows_of(tmp_path) == [
        {"step": "5", "loss": "0.75", "lr": "0.001"},
        {"step": "10", "val_loss": "0.5", "val_acc": "1.0"},
    ]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(one.step, one.value) for one in events.Scalars("loss")] == [(5, 0.75)]


def test_restoring_drops_what_came_after_the_checkpoint(tmp_path):
    killed = Tracker(file_loggers(tmp_path))
    killed.log(1, loss=0.9)
    checkpoint = list(killed.history)
    killed.log(2, loss=0.1)
    killed.save()

    resumed = Tracker(file_loggers(tmp_path))
    resumed.restore(checkpoint)
    resumed.log(2, loss=0.8)
    resumed.save()
    assert resumed.history == [{"step": 1, "loss": 0.9}, {"step": 2, "loss": 0.8}]
    assert rows_of(tmp_path) == [{"step": "1", "loss": "0.9"}, {"step": "2", "loss": "0.8"}]


def test_a_process_without_loggers_still_keeps_history():
    tracker = Tracker()
    tracker.log(1, loss=0.5)
    tracker.save()
    assert tracker.history == [{"step": 1, "loss": 0.5}]


def test_what_is_said_is_kept_in_the_log_and_appended_to(tmp_path, capsys):
    log = tmp_path / "run" / "train.log"
    for message in ("첫 학습 [1/2]", "이어 한 학습"):
        with log_to(log):
            say(message)
    say("기록 밖의 말")
    assert [line.split(" ", 2)[2] for line in log.read_text(encoding="utf-8").splitlines()] == [
        "첫 학습 [1/2]",
        "이어 한 학습",
    ]
    assert "첫 학습 [1/2]" in capsys.readouterr().out


def test_other_processes_write_no_log(tmp_path):
    with log_to(tmp_path / "train.log", enabled=False):
        say("조용히")
    assert list(tmp_path.iterdir()) == []


def guarded(*losses: float) -> LossGuard:
    guard = LossGuard()
    for step, loss in enumerate(losses, start=1200):
        guard.note(step, 3e-3, torch.tensor(loss))
    return guard


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_with_its_first_step_and_rate(bad):
    with pytest.raises(UserError, match=rf"^1,201걸음째에 손실이 {bad}.*학습률 3\.0e-03.*--learning_rate"):
        guarded(2.0, bad, math.nan).check()


def test_finite_losses_are_forgotten_once_seen():
    guard = guarded(2.0, 1e30, -1.0)
    guard.check()
    assert guard.seen == []
