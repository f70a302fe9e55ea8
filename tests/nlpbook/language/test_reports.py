"""언어 모델 학습의 화면: 에포크의 보고, 경고, 이어 쓴 글, 학습률 찾기의 제안, 그림."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from nlpbook.language import reports
from nlpbook.language.config import LMConfig
from nlpbook.language.reports import (
    learning_curve,
    metrics_row,
    report_epoch,
    report_sample_and_advice,
    suggest_learning_rate,
    suggested_rate,
)
from nlpbook.position import Position
from nlpbook.tracking import Tracker


def metrics(loss: float, accuracy: float = 0.25) -> SimpleNamespace:
    return SimpleNamespace(
        loss=loss, perplexity=math.exp(loss), accuracy=accuracy, bits_per_byte=loss / math.log(2) / 2
    )


def trainer(**changes: object) -> SimpleNamespace:
    """보고에 드는 것만 있는 Trainer: 두 에포크 가운데 첫째를 마쳤습니다."""
    values = {
        "config": LMConfig(num_epochs=2, sample_tokens=3, overfit_margin=0.5),
        "position": Position(epoch=1, step=1200),
        "scheduler": SimpleNamespace(get_last_lr=lambda: [3e-4]),
        "tracker": Tracker(),
        "gpt": "모델",
        "run_folder": None,
        "best_val_loss": 5.0,
        "bad_epochs": 0,
        "finished": False,
    }
    return SimpleNamespace(**values | changes)


def test_an_epoch_is_reported_in_the_form_of_the_guide(capsys):
    one = trainer()
    report_epoch(one, metrics(6.0), metrics(5.0))
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 1/2",
        "  Train Loss: 6.0000, PPL: 403.43, Acc: 0.2500, BPB: 4.328",
        "  Val   Loss: 5.0000, PPL: 148.41, Acc: 0.2500, BPB: 3.607",
        "  LR: 3.0e-04",
    ]
    (row,) = one.tracker.history
    assert row["step"] == 1200
    assert row["lr"] == 3e-4
    assert row["train_loss"] == 6.0
    assert row["val_ppl"] == pytest.approx(148.413, abs=1e-3)


def test_every_metric_is_named_after_its_side():
    assert metrics_row("val", metrics(1.0, 0.5)) == {
        "val_loss": 1.0,
        "val_ppl": math.e,
        "val_acc": 0.5,
        "val_bpb": pytest.approx(0.7213, abs=1e-4),
    }


def test_a_sample_is_shown_in_one_line_and_kept_whole(tmp_path, capsys):
    run = SimpleNamespace(path=tmp_path)
    for _ in range(2):
        report_sample_and_advice(trainer(run_folder=run), metrics(5.0), lambda *asked: f"{asked}\n둘째 줄")
    said = capsys.readouterr().out
    assert "('모델', '옛날 옛적에', 3, 7) / 둘째 줄" in said
    kept = (tmp_path / "samples.txt").read_text(encoding="utf-8")
    assert kept == "[1,200걸음]\n('모델', '옛날 옛적에', 3, 7)\n둘째 줄\n\n" * 2


def never(*_: object) -> str:
    raise AssertionError("이어 쓰지 않아야 합니다")


@pytest.mark.parametrize("config", [{"sample_tokens": 0}, {"strategy": "fsdp"}])
def test_no_sample_is_written_when_not_wanted_or_not_possible(config, capsys):
    report_sample_and_advice(trainer(config=LMConfig(**config)), metrics(5.0), never)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("loss", "warned"), [(5.0, False), (5.5, False), (5.51, True), (4.0, False)])
def test_overfitting_is_warned_of_beyond_the_margin_only(capsys, loss, warned):
    report_sample_and_advice(trainer(), metrics(loss), lambda *_: "")
    assert ("과적합" in capsys.readouterr().out) is warned


@pytest.mark.parametrize(("finished", "epoch", "told"), [(True, 1, True), (True, 2, False), (False, 1, False)])
def test_stopping_early_is_told_only_when_it_was_early(capsys, finished, epoch, told):
    one = trainer(finished=finished, position=Position(epoch=epoch), bad_epochs=3)
    report_sample_and_advice(one, metrics(5.0), lambda *_: "")
    assert ("3에포크 동안 나아지지 않아" in capsys.readouterr().out) is told


# ── 학습률 찾기 ──

RATES = [1e-6 * 10 ** (6 * index / 99) for index in range(100)]


def valley(bottom: float) -> list[float]:
    """학습률이 `bottom`일 때 가장 낮고, 그 백분의 1까지는 거의 내려가지 않는 손실."""
    return [6 - 3 / (1 + (bottom / 30 / rate) ** 2) + (rate / bottom / 3) ** 4 for rate in RATES]


@pytest.mark.parametrize("bottom", [1e-4, 1e-3, 1e-2])
def test_the_suggestion_lies_on_the_slope_before_the_bottom(bottom):
    losses = valley(bottom)
    lowest = RATES[min(range(100), key=losses.__getitem__)]
    suggestion = suggested_rate(RATES, losses)
    assert suggestion in RATES or suggestion == pytest.approx(lowest / 10, rel=2)
    assert lowest / 100 < suggestion < lowest


def test_noise_does_not_move_the_suggestion_far():
    torch.manual_seed(5)
    noisy = [loss + 0.05 * torch.randn(()).item() for loss in valley(1e-3)]
    clean = suggested_rate(RATES, valley(1e-3))
    assert clean / 5 < suggested_rate(RATES, noisy) < clean * 5


@pytest.mark.parametrize("count", [1, 2, 3])
def test_even_a_few_losses_give_a_number(count):
    suggestion = suggested_rate(RATES[:count], [3.0 - index for index in range(count)])
    assert 0 < suggestion <= RATES[count - 1]


def test_losses_that_only_rise_suggest_something_small():
    assert suggested_rate(RATES, [float(index) for index in range(100)]) <= RATES[0]


def test_the_suggestion_is_drawn_and_said_with_how_to_use_it(tmp_path, capsys, assert_picture):
    suggest_learning_rate(RATES, valley(1e-3), LMConfig(output=str(tmp_path)))
    said = capsys.readouterr().out
    number = said.split("--learning_rate ")[1].split()[0]
    assert float(number) == pytest.approx(suggested_rate(RATES, valley(1e-3)), rel=0.05)
    assert_picture(tmp_path / "task3-lm" / "lr_finder.png")


# ── 그림 ──


def test_the_learning_curve_is_drawn_from_the_epochs_alone(tmp_path, monkeypatch):
    row = {"step": 10, **metrics_row("train", metrics(6.0)), **metrics_row("val", metrics(5.0)), "lr": 1e-3}
    drawn: list = []
    monkeypatch.setattr(reports.plots, "learning_curve", lambda *asked: drawn.append(asked))
    learning_curve([{"step": 5, "loss": 9.0}, row], tmp_path / "curve.png", 10)
    ((rows, path, best),) = drawn
    assert (path, best) == (tmp_path / "curve.png", 10)
    assert [(one["step"], one["loss"], one["acc"], one["val_loss"]) for one in rows] == [(10, 6.0, 0.25, 5.0)]
