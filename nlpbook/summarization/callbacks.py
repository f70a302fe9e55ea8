"""학습하는 동안 사람에게 보이고 적는 것: 진행 막대와 에포크의 줄, CSV와 TensorBoard와 W&B, 발산과 멈춤의 신호."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from transformers import TrainerCallback

from nlpbook.interrupt import InterruptFlag
from nlpbook.loss_guard import require_finite
from nlpbook.screen import progress_bar
from nlpbook.tracking import Tracker

SPEEDS = ("train_loss", "train_runtime", "train_samples_per_second", "train_steps_per_second")
SCORES = ("eval_loss", "eval_rouge1", "eval_rouge2", "eval_rougeL", "eval_rouge_sum")


class ProgressReport(TrainerCallback):
    """진행 막대와, 에포크마다 한 줄.

    Args:
        say: 한 줄을 사람에게 보이는 함수.
        metric: 가장 좋은 것을 고르는 지표. 새 기록이면 줄 끝에 적습니다.
    """

    def __init__(self, say: Callable[[str], None], metric: str) -> None:
        self.say = say
        self.metric = metric
        self.open = ExitStack()
        self.advance: Callable[..., None] | None = None
        self.loss: float | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        advance = self.open.enter_context(progress_bar("학습", state.max_steps))
        if state.global_step:
            advance(state.global_step)
        self.advance = advance

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.advance is not None:
            self.advance(1, "" if self.loss is None else f"loss={self.loss:.3f}")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        self.loss = (logs or {}).get("loss", self.loss)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
        if not state.is_world_process_zero or self.advance is None:
            return
        value = metrics[self.metric]
        before = state.best_metric
        best = before is None or (value > before if args.greater_is_better else value < before)
        learned = "" if self.loss is None else f"loss {self.loss:.3f}  "
        self.say(
            f"에포크 {state.epoch:g}/{args.num_train_epochs:g}  {learned}{sentence_of(metrics)}"
            + ("  ← 지금까지 가장 좋은 것" if best else "")
        )

    def close(self) -> None:
        """막대를 닫습니다. 오류로 멈추어도 부릅니다."""
        self.open.close()
        self.advance = None


def sentence_of(metrics: dict[str, float]) -> str:
    """검증 값들을 한 줄로."""
    return (
        f"eval_loss {metrics['eval_loss']:.3f}  rouge_sum {metrics['eval_rouge_sum']:.3f} (R1 "
        f"{metrics['eval_rouge1']:.3f} R2 {metrics['eval_rouge2']:.3f} RL {metrics['eval_rougeL']:.3f})"
    )


class DivergenceGuard(TrainerCallback):
    """손실이 NaN이나 무한대가 되면 무엇을 하면 되는지 알리고 멈춥니다.

    Raises:
        UserError: 기록하는 스텝의 평균 손실이 유한하지 않을 때.
    """

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if logs and "loss" in logs:
            require_finite(state.global_step, logs.get("learning_rate", 0.0), logs["loss"])


class StopOnSignal(TrainerCallback):
    """Ctrl-C나 SIGTERM을 받으면 하던 스텝을 마치고, 저장하고, 멈춥니다.

    Args:
        flag: 신호를 받았는지.

    Raises:
        KeyboardInterrupt: 저장한 뒤.
    """

    def __init__(self, flag: InterruptFlag) -> None:
        self.flag = flag

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.flag.requested:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.flag.requested:
            raise KeyboardInterrupt


class FileRecord(TrainerCallback):
    """잰 값을 `Tracker`(CSV, TensorBoard)에 적습니다. 이어 하면 체크포인트까지의 기록을 되살립니다."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.tracker.restore([_numbers(row) for row in state.log_history])

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        self.tracker.log(state.global_step, **{k: v for k, v in _numbers(logs or {}).items() if k != "step"})

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.tracker.save()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.tracker.save()


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in row.items() if isinstance(value, (int, float))}


class WandbRecord(TrainerCallback):
    """W&B에 가이드의 이름으로 적습니다: 검증의 `SCORES`와, 끝에 학습의 `SPEEDS`.

    Args:
        logger: `log(metrics, step)`이 있는 것(`nlpbook.tracking.WandbLogger`).
    """

    def __init__(self, logger: Any) -> None:
        self.logger = logger

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        chosen = {name: value for name, value in (logs or {}).items() if name in (*SPEEDS, *SCORES)}
        if chosen and state.is_world_process_zero:
            self.logger.log(chosen, state.global_step)


class AfterEvaluation(TrainerCallback):
    """검증할 때마다 `report`를 부릅니다. 여기에서 난 예외는 학습을 멈춥니다.

    Args:
        report: `TrainerCallback.on_evaluate`와 같은 인수(args, state, control, metrics=…)를 받습니다.
    """

    def __init__(self, report: Callable[..., None]) -> None:
        self.report = report

    def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.report(args, state, control, **given)
