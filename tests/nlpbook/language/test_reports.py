"""언어 모델 학습의 화면: 에포크의 보고, 경고, 이어 쓴 글, 학습률 찾기의 제안, 그림."""

from __future__ import annotations

import math

import pytest
import torch

from nlpbook.language import reports
from nlpbook.language.config import LMConfig
from nlpbook.language.reports import (
    learning_curve,
    metrics_row,
    report_end,
    report_epoch,
    suggest_learning_rate,
    suggested_rate,
    write_sample,
)
from nlpbook.language.runs import RunFolder


def metrics(loss: float, accuracy: float = 0.25) -> dict[str, float]:
    bits = loss / math.log(2) / 2
    return {"loss": loss, "perplexity": math.exp(loss), "accuracy": accuracy, "bits_per_byte": bits}


def test_an_epoch_is_reported_in_the_form_of_the_guide(capsys):
    report_epoch("Epoch 1/2", metrics(6.0), metrics(5.0), 3e-4)
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 1/2",
        "  Train Loss: 6.0000, PPL: 403.43, Acc: 0.2500, BPB: 4.328",
        "  Val   Loss: 5.0000, PPL: 148.41, Acc: 0.2500, BPB: 3.607",
        "  LR: 3.0e-04",
    ]


def test_every_metric_is_named_after_its_side():
    assert metrics_row("val", metrics(1.0, 0.5)) == {
        "val_loss": 1.0,
        "val_ppl": math.e,
        "val_acc": 0.5,
        "val_bpb": pytest.approx(0.7213, abs=1e-4),
    }


def test_a_sample_is_shown_in_one_line_and_kept_whole(tmp_path, capsys):
    for _ in range(2):
        write_sample("첫 줄\n둘째 줄", 1200, tmp_path / "run" / "samples.txt")
    assert "첫 줄 / 둘째 줄" in capsys.readouterr().out
    kept = (tmp_path / "run" / "samples.txt").read_text(encoding="utf-8")
    assert kept == "[1,200스텝]\n첫 줄\n둘째 줄\n\n" * 2


def test_a_sample_of_no_run_is_only_shown(capsys):
    write_sample("첫 줄", 3, None)
    assert "첫 줄" in capsys.readouterr().out


def test_the_end_of_a_training_says_what_lies_where(tmp_path, capsys, assert_picture):
    run = RunFolder(tmp_path)
    row = {"step": 10, **metrics_row("train", metrics(6.0)), **metrics_row("val", metrics(5.0)), "lr": 1e-3}
    report_end(run, [row], 10, 5.0, 12.4)
    said = capsys.readouterr().out
    assert "가장 좋은 검증 손실 5.0000 (10스텝)" in said
    assert "12초" in said
    assert_picture(run.learning_curve)


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
