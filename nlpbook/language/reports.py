"""언어 모델 학습의 화면: 에포크의 보고, 학습 곡선, 이어 쓴 글의 기록."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nlpbook import plots
from nlpbook.language.config import LMConfig
from nlpbook.paths import shown
from nlpbook.screen import Stopwatch, log_to, say
from nlpbook.tracking import file_loggers, wandb_logger


@contextmanager
def recorded(trainer: Any) -> Iterator[None]:
    """학습 한 번을 실행 폴더에 적습니다: 설정과 기록을 열고, 끝나면 학습 곡선을 그립니다.

    Args:
        trainer: 4단계의 `Trainer`. 0번 프로세스의 것만 적습니다.
    """
    if not trainer.fabric.is_global_zero:
        yield
        return
    run, watch = trainer.run_folder, Stopwatch()
    with log_to(run.path / "train.log"):
        _open(trainer)
        try:
            yield
        except KeyboardInterrupt:
            if run.last_state.is_file():
                say("같은 명령에 --resume을 붙이면 마지막으로 저장한 곳부터 이어 갑니다.")
            raise
        learning_curve(trainer.tracker.history, run.learning_curve, trainer.best_step)
        say(f"가장 좋은 검증 손실 {trainer.best_val_loss:.4f} ({trainer.best_step:,}걸음): {shown(run.best_model)}")
        say(f"학습 곡선: {shown(run.learning_curve)}")
        say(f"{watch.seconds:.0f}초 걸렸습니다. 이어서: python step5_cli_and_serving.py generate")


def _open(trainer: Any) -> None:
    """설정을 저장하고, 로거를 열고, 무엇을 얼마나 배울지 적습니다."""
    config, run, data, fabric = trainer.config, trainer.run_folder, trainer.data, trainer.fabric
    config.save(run.arguments)
    trainer.tracker.loggers = file_loggers(run.path)
    if config.wandb_project:
        trainer.tracker.loggers.append(wandb_logger(config.wandb_project, run.path, run.path.name, config.to_dict()))
    say(f"실행 폴더: {run}")
    say(f"학습 {len(data.train):,}토큰, 검증 {len(data.valid):,}토큰, 어휘 {len(data.tokenizer):,}개")
    steps = f"에포크마다 {trainer.steps_per_epoch:,}걸음, 모두 {trainer.total_steps:,}걸음"
    say(f"파라미터 {trainer.gpt.num_parameters():,}개, {steps}")
    say(f"장치 {fabric.device.type} × {fabric.world_size}, 정밀도 {fabric.strategy.precision.precision}")


def suggest_learning_rate(rates: list[float], losses: list[float], config: LMConfig) -> None:
    """학습률 찾기의 결과를 그림으로 남기고, 알맞은 학습률을 제안합니다."""
    suggestion = suggested_rate(rates, losses)
    path = Path(config.output) / config.project / "lr_finder.png"
    plots.line(rates, losses, path, xlabel="learning rate", ylabel="loss", log_x=True, mark=suggestion)
    say(f"제안하는 학습률: {suggestion:.1e} (그림: {shown(path)}). 학습할 때: --learning_rate {suggestion:.1e}")


def report_epoch(trainer: Any, train: Any, valid: Any) -> None:
    """에포크 하나를 화면과 로거에 적습니다.

    Args:
        trainer: 4단계의 `Trainer`.
        train, valid: `loss`, `perplexity`, `accuracy`, `bits_per_byte`가 있는 것.
    """
    lr = trainer.scheduler.get_last_lr()[0]
    say(f"Epoch {trainer.position.epoch}/{trainer.config.num_epochs}")
    for name, one in (("Train", train), ("Val  ", valid)):
        say(
            f"  {name} Loss: {one.loss:.4f}, PPL: {one.perplexity:,.2f}, Acc: {one.accuracy:.4f}, "
            f"BPB: {one.bits_per_byte:.3f}"
        )
    say(f"  LR: {lr:.1e}")
    trainer.tracker.log(trainer.position.step, **metrics_row("train", train), **metrics_row("val", valid), lr=lr)


def report_sample_and_advice(trainer: Any, valid: Any, generate_text: Callable[..., str]) -> None:
    """지금 모델이 이어 쓴 글, 과적합 경고, 조기 종료를 알립니다."""
    config = trainer.config
    if config.sample_tokens and config.strategy != "fsdp":  # fsdp에서는 가중치가 흩어져 있습니다.
        text = generate_text(trainer.gpt, config.sample_prompt, config.sample_tokens, config.seed)
        write_sample(text, trainer.position.step, trainer.run_folder and trainer.run_folder.path)
    if valid.loss > trainer.best_val_loss + config.overfit_margin:
        say(OVERFITTING)
    if trainer.finished and trainer.position.epoch < config.num_epochs:
        say(f"  {trainer.bad_epochs}에포크 동안 나아지지 않아 일찍 멈춥니다(조기 종료).")


OVERFITTING = (
    "  ⚠️  과적합입니다: 검증 손실이 가장 좋을 때보다 많이 커졌습니다. --dropout이나 --weight_decay를 키우거나, "
    "--patience로 일찍 멈추거나, 글을 늘려 보세요."
)


def write_sample(text: str, step: int, folder: Path | None) -> None:
    """지금 모델이 이어 쓴 글을 화면에 보이고, 실행 폴더의 samples.txt에 덧붙입니다."""
    say("  ✍️  " + text.replace("\n", " / "))
    if folder:
        with (folder / "samples.txt").open("a", encoding="utf-8") as out:
            out.write(f"[{step:,}걸음]\n{text}\n\n")


def metrics_row(name: str, metrics: Any) -> dict[str, float]:
    """로거에 적을 값들. 이름 앞에 `train_`이나 `val_`이 붙습니다."""
    return {
        f"{name}_loss": metrics.loss,
        f"{name}_ppl": metrics.perplexity,
        f"{name}_acc": metrics.accuracy,
        f"{name}_bpb": metrics.bits_per_byte,
    }


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
