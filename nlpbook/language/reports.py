"""언어 모델 학습의 화면: 에포크의 보고, 학습 곡선, 이어 쓴 글의 기록."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlpbook import plots
from nlpbook.language.config import LMConfig
from nlpbook.language.runs import RunFolder
from nlpbook.paths import shown
from nlpbook.screen import say
from nlpbook.tracking import file_loggers, wandb_logger

MEASURES = {"loss": "loss", "ppl": "perplexity", "acc": "accuracy", "bpb": "bits_per_byte"}  # 줄인 이름 → 지표


def loggers_of(config: LMConfig, run: RunFolder) -> list[Any]:
    """학습의 값을 적을 곳들: CSV, TensorBoard, (설정에 있으면) W&B."""
    loggers = file_loggers(run.path)
    if config.wandb_project:
        loggers.append(wandb_logger(config.wandb_project, run.path, run.path.name, config.to_dict()))
    return loggers


def report_end(
    run: RunFolder, history: list[dict[str, float]], best_step: int | None, best_val_loss: float, seconds: float
) -> None:
    """학습을 마친 뒤: 학습 곡선을 그리고, 무엇이 어디에 남았는지 적습니다."""
    learning_curve(history, run.learning_curve, best_step)
    if best_step is not None:
        say(f"가장 좋은 검증 손실 {best_val_loss:.4f} ({best_step:,}스텝): {shown(run.best_model)}")
    say(f"학습 곡선: {shown(run.learning_curve)}")
    say(f"{seconds:.0f}초 걸렸습니다. 이어서: python step5_cli_and_serving.py generate")


def suggest_learning_rate(rates: list[float], losses: list[float], config: LMConfig) -> None:
    """학습률 찾기의 결과를 그림으로 남기고, 알맞은 학습률을 제안합니다."""
    suggestion = suggested_rate(rates, losses)
    path = Path(config.output) / config.project / "lr_finder.png"
    plots.line(rates, losses, path, xlabel="learning rate", ylabel="loss", log_x=True, mark=suggestion)
    say(f"제안하는 학습률: {suggestion:.1e} (그림: {shown(path)}). 학습할 때: --learning_rate {suggestion:.1e}")


def report_epoch(title: str, train: Mapping[str, float], valid: Mapping[str, float], lr: float) -> None:
    """에포크 하나를 화면에 적습니다.

    Args:
        title: 예: `"Epoch 1/10"`.
        train, valid: `loss`, `perplexity`, `accuracy`, `bits_per_byte`의 값.
    """
    say(title)
    for name, one in (("Train", train), ("Val  ", valid)):
        say(
            f"  {name} Loss: {one['loss']:.4f}, PPL: {one['perplexity']:,.2f}, Acc: {one['accuracy']:.4f}, "
            f"BPB: {one['bits_per_byte']:.3f}"
        )
    say(f"  LR: {lr:.1e}")


OVERFITTING = (
    "  ⚠️  과적합입니다: 검증 손실이 가장 좋을 때보다 많이 커졌습니다. --dropout이나 --weight_decay를 키우거나, "
    "--patience로 일찍 멈추거나, 글을 늘려 보세요."
)


def write_sample(text: str, step: int, path: Path | None) -> None:
    """지금 모델이 이어 쓴 글을 화면에 보이고, `path`(없으면 아무 데도)에 덧붙입니다."""
    say("  ✍️  " + text.replace("\n", " / "))
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as out:
            out.write(f"[{step:,}스텝]\n{text}\n\n")


def metrics_row(name: str, values: Mapping[str, float]) -> dict[str, float]:
    """로거에 적을 값들. 이름 앞에 `train_`이나 `val_`이 붙습니다.

    Args:
        values: `loss`, `perplexity`, `accuracy`, `bits_per_byte`의 값.
    """
    return {f"{name}_{short}": values[long] for short, long in MEASURES.items()}


def learning_curve(history: list[dict[str, float]], path: Path, best_step: int | None) -> None:
    """에포크마다의 손실과 정확도를 PNG로 그립니다."""
    renamed = [
        {{"train_loss": "loss", "train_acc": "acc"}.get(name, name): value for name, value in row.items()}
        for row in history
        if "val_loss" in row
    ]
    plots.learning_curve(renamed, path, best_step)


def suggested_rate(rates: list[float], losses: list[float]) -> float:
    """학습률을 올려 가며 잰 손실에서 알맞은 학습률을 고릅니다. (Smith 2017; fastai의 'steep'과 'minimum/10'의 사이)

    손실을 매끄럽게 한 뒤, 가장 가파르게 내려간 곳과 가장 낮은 곳의 10분의 1 가운데 작은 것입니다.

    Args:
        rates: 차례로 커지는 학습률.
        losses: 그때의 손실.
    """
    smooth, average = [], 0.0
    for count, loss in enumerate(losses, start=1):
        average = 0.9 * average + 0.1 * loss
        smooth.append(average / (1 - 0.9**count))
    lowest = min(range(len(smooth)), key=smooth.__getitem__)
    slopes = [
        (smooth[i + 1] - smooth[i - 1]) / math.log(rates[i + 1] / rates[i - 1])
        for i in range(1, max(2, lowest))
        if i + 1 < len(smooth)
    ]
    steepest = 1 + min(range(len(slopes)), key=slopes.__getitem__) if slopes else lowest
    return min(rates[steepest], rates[lowest] / 10)
