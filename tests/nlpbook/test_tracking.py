"""잰 값의 기록: 이어 할 때의 기록, CSV와 TensorBoard 파일."""

from __future__ import annotations

import csv

from nlpbook.tracking import Tracker, file_loggers


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
