"""4-2의 검사: 에포크의 반복."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from course.checks.words import (
    fail,
    known_as,
    show,
    todo,
)
from nlpbook.checkpoints import rng_state, set_rng_state
from nlpbook.position import Position
from tests.task3_lm.checks import support
from tests.task3_lm.checks.step4.common import BATCHES, PER_EPOCH, Bigram, seeded


class EndlessEpochs(Exception):
    pass


@known_as("Metrics")
class Result:
    """검증의 결과."""

    def __init__(self, loss):
        self.loss, self.accuracy = loss, 0.5


class Other:
    """검증 결과가 아닌 것."""

    def __init__(self, what):
        self.what = show(what) if isinstance(what, (int, float, str, tuple, type(None))) else type(what).__name__


NOTHING = "없음"


def watched_kind(kind, val_losses, note):
    """`train()`은 그대로이고, 그것이 부르는 것은 여기의 것인 Trainer. 부를 때마다 `note(이름, 무엇)`을 부릅니다."""

    @known_as("Trainer")
    class Walked(kind):
        @property
        def finished(self):
            epoch, patience = self.position.epoch, self.config.patience
            return epoch >= self.config.num_epochs or (patience > 0 and self.bad_epochs >= patience)

        def train_epoch(self):
            note("train_epoch", self.position.epoch)
            if not torch.is_grad_enabled() or torch.is_inference_mode_enabled():
                shown = {"expected": "기울기를 따라감", "got": "꺼져 있음"}
                fail(idea="기울기", symptom="no-gradients", **shown)
            if self.position.epoch == self.stop_at or self.interrupt.requested:
                raise KeyboardInterrupt
            self.position.step += PER_EPOCH - self.position.batch // 2
            self.position.batch = BATCHES

        def evaluate(self, loader=None):
            note("evaluate", self.position.epoch)
            if loader is self.train_loader:
                shown = {"expected": "evaluate()", "got": "evaluate(self.train_loader)"}
                fail(idea="검증", symptom="train-loader", **shown)
            if self.position.epoch == self.interrupted_at:
                self.interrupt.requested = True
            return Result(val_losses[min(self.position.epoch, len(val_losses) - 1)])

        def finish_epoch(self, metrics=NOTHING):
            note("finish_epoch", metrics.loss if isinstance(metrics, Result) else Other(metrics))
            loss = getattr(metrics, "loss", 0.0)
            self.bad_epochs = 0 if loss < self.best_val_loss else self.bad_epochs + 1
            self.best_val_loss = min(self.best_val_loss, loss)
            self.position.next_epoch()

        def is_best(self, val_loss):
            shown = {"expected": "finish_epoch만 부름", "got": "train에서도 부름"}
            fail(idea="조기 종료", symptom="best-twice", **shown)

        def save_checkpoint(self, best=False):
            note("save_checkpoint")

    return Walked


def roll():
    """파이썬, NumPy, PyTorch의 난수를 하나씩 뽑습니다. 정말 학습하면 드롭아웃이 이렇게 합니다."""
    return random.random(), float(np.random.rand()), float(torch.rand(1))


def seeds():
    """난수의 지금 자리. 뽑지 않고 견줄 수 있는 것입니다."""
    return hash(random.getstate()), int(np.random.get_state()[2]), torch.get_rng_state().sum().item()


@pytest.fixture
def walk_epochs(load, bare):
    """`train()`을 부르고, 무엇을 어떤 차례로 불렀는지 적은 것을 돌려줍니다."""

    def walk(val_losses, patience=0, epoch=0, num_epochs=4, batch=0, bad=0, rank=0, processes=1, **stops):
        """`stop_at`번째 에포크는 배우다가, `interrupted_at`번째는 검증하다가 Ctrl-C를 받습니다."""
        calls, changes = [], []
        stop_at = stops.get("stop_at")
        trainer = bare(
            bad_epochs=bad,
            best_val_loss=1.25 if epoch else math.inf,
            config=support.tiny_config(num_epochs=num_epochs, patience=patience, grad_accumulation=2),
            position=Position(epoch, batch, epoch * PER_EPOCH + batch // 2),
            model=Bigram(),
            train_loader=["학습 로더"],
            val_loader=["검증 로더"],
            fabric=SimpleNamespace(world_size=processes, global_rank=rank, is_global_zero=rank == 0),
            best_step=None,
            run_folder=None,
            stop_at=stop_at,
            interrupted_at=stops.get("interrupted_at"),
            interrupt=SimpleNamespace(requested=False),
            steps_per_epoch=PER_EPOCH,
            total_steps=num_epochs * PER_EPOCH,
        )

        def here():
            names = ("bad_epochs", "best_val_loss", "best_step")
            return {name: getattr(trainer, name) for name in names} | vars(trainer.position)

        def compare():
            """지난번에 부른 뒤로 train이 스스로 바꾼 것을 적습니다."""
            now = here()
            changes.extend((one, trainer.seen[one], now[one]) for one in now if now[one] != trainer.seen[one])
            if seeds() != trainer.drawn:
                changes.append(("rng", None, None))

        def note(name, what=None):
            compare()
            calls.append((name, what))
            if len(calls) > 60 and rank == 0:
                raise EndlessEpochs
            if len(calls) > 60:
                raise KeyboardInterrupt  # 0번만 에포크를 마무리하면 나머지는 끝나지 않습니다.
            roll()
            trainer.drawn = seeds()

        kind = watched_kind(load(4).Trainer, val_losses, note)
        for name in ("train_epoch", "finish_epoch"):  # 그 안에서 바뀌는 것은 train의 탓이 아닙니다.
            setattr(kind, name, remembering(getattr(kind, name), here))
        trainer.__class__ = kind
        before = rng_state()
        seeded(77)
        trainer.seen, trainer.drawn, stopped = here(), seeds(), False
        try:
            trainer.train()
            compare()
        except EndlessEpochs:
            order = [name for name, _ in calls]
            shown = {"expected": f"{num_epochs}에포크", "got": "끝없는 반복"}
            symptom = "endless" if "finish_epoch" in order else "not-finished"
            if stop_at is not None and "finish_epoch" in order:
                symptom = "interrupt-swallowed"
                shown = {"expected": "거기서 멈춤(KeyboardInterrupt)", "got": "멈추지 않고 끝없이 되풀이했습니다"}
            fail(idea="반복", symptom=symptom, **shown)
        except KeyboardInterrupt:
            stopped = True
        except TypeError as error:
            if "'bool' object is not callable" not in str(error):
                raise
            shown = {"expected": "self.finished", "got": "self.finished()"}
            fail(idea="property", symptom="called-property", **shown)
        finally:
            set_rng_state(before)
        calls = [one for one in calls if one[0] in BEAT]
        return SimpleNamespace(calls=calls, order=[name for name, _ in calls], changes=changes, stopped=stopped)

    return walk


def remembering(method, here):
    """부르고 난 뒤의 상태를 `self.seen`에 적어 두는 메서드."""

    def run(self, *args, **kwargs):
        try:
            return method(self, *args, **kwargs)
        finally:
            self.seen = here()

    return run


BEAT = ["train_epoch", "evaluate", "finish_epoch"]


@todo("4-2")
def test_every_epoch_trains_then_validates_then_finishes(walk_epochs):
    """에포크마다 배우고, 재고, 마무리하는 차례입니다."""
    got = walk_epochs([3.0, 2.0, 1.5, 1.0]).order
    missing = [name for name in BEAT if name not in got]
    if missing:
        shown = {"expected": " → ".join(BEAT), "got": " → ".join(dict.fromkeys(got)) or "아무것도 부르지 않음"}
        symptom = {"evaluate": "no-evaluate", "finish_epoch": "not-finished"}.get(missing[0], "no-training")
        fail(idea="에포크", symptom=symptom, **shown)
    if got == BEAT:
        shown = {"expected": "4에포크", "got": "1에포크", "patience": 0}
        # patience가 있으면 끝까지 간다면, 한 번만 도는 것이 아니라 patience 0을 잊은 것입니다.
        own = walk_epochs([3.0, 2.0, 1.5, 1.0], patience=3).order == BEAT * 4
        fail(idea="반복", symptom="own-patience" if own else "one-epoch", **shown)
    if got != BEAT * 4:
        outside = got.count("train_epoch") == 4 and got.count("evaluate") < 4
        shown = {"expected": " → ".join(BEAT), "got": " → ".join(got[:4])}
        symptom = "evaluate-outside" if outside else "evaluate-first" if got[0] == "evaluate" else None
        if got == BEAT * 2:
            symptom, shown = "counted-twice", {"expected": "4에포크", "got": "2에포크"}
        fail("에포크마다의 차례가 다릅니다.", idea="에포크", symptom=symptom, **shown)


@todo("4-2")
def test_finish_epoch_gets_the_validation_result(walk_epochs):
    """finish_epoch에는 그 에포크의 검증 결과를 건넵니다."""
    calls, want = walk_epochs([3.0, 2.0, 1.5, 1.0]).calls, [3.0, 2.0, 1.5, 1.0]
    got = [what for name, what in calls if name == "finish_epoch"]
    if len(got) == 4 and got != want and "evaluate" in dict(calls):
        wrong = next((one.what for one in got if isinstance(one, Other)), "다른 에포크의 결과")
        shown = {"expected": "evaluate()가 돌려준 것", "got": wrong}
        fail(idea="검증", symptom="other-result", **shown)


def walks_in_order(walk_epochs):
    """처음부터 배울 때의 차례는 맞는가. 아니라면 첫 검사가 말합니다."""
    return walk_epochs([3.0, 2.0, 1.5, 1.0]).order == BEAT * 4


@todo("4-2")
def test_every_process_does_the_same(walk_epochs):
    """프로세스가 여럿이어도 모두가 배우고, 재고, 마무리합니다. 그 안에서 서로의 값을 모으기 때문입니다."""
    losses = [3.0, 2.0, 1.5, 1.0]
    got = walk_epochs(losses, rank=1, processes=2).order
    if got != BEAT * 4 and walk_epochs(losses, processes=2).order == BEAT * 4:
        missing = ", ".join(name for name in BEAT if got.count(name) < 4)
        shown = {"expected": "모든 프로세스가 부름", "got": f"1번 프로세스는 {missing or '다른 차례'}"}
        fail(idea="여러 프로세스", symptom="rank-zero-only", missing=missing, **shown)


@todo("4-2")
def test_early_stopping_ends_the_loop(walk_epochs):
    """finished가 참이 되면 에포크가 남았어도 멈춥니다."""
    walked = walk_epochs([2.0, 1.0, 1.5, 1.2, 1.1, 1.1, 1.1, 1.1], patience=2, num_epochs=8)
    got = walked.order.count("train_epoch")
    if got != 4 and walks_in_order(walk_epochs):
        others = walked.changes or any(isinstance(what, Other) for _, what in walked.calls)
        symptom = "only-epochs" if got == 8 else None if others else "own-patience"
        shown = {"expected": "4에포크", "got": f"{got}에포크", "patience": 2}
        fail("조기 종료를 지키지 않았습니다.", idea="조기 종료", symptom=symptom, **shown)


@todo("4-2")
@pytest.mark.parametrize(("epoch", "left"), [(2, 2), (4, 0)])
def test_resumed_training_walks_only_what_is_left(walk_epochs, epoch, left):
    """이어 하는 학습은 남은 에포크만 배웁니다."""
    if not walks_in_order(walk_epochs):
        fail("처음부터 배우는 차례가 틀려 볼 수 없습니다.", idea="에포크", expected=" → ".join(BEAT), got="다른 차례")
    got = walk_epochs([3.0, 2.0, 1.5, 1.0], epoch=epoch).order.count("train_epoch")
    if got != left:
        symptom = "once-anyway" if left == 0 and got == 1 else "from-zero" if got == 4 else None
        shown = {"expected": f"{left}에포크", "got": f"{got}에포크"}
        fail(f"{epoch}에포크를 마친 학습이 남은 것보다 더 배웠습니다.", idea="이어 하기", symptom=symptom, **shown)


@todo("4-2")
def test_train_leaves_the_state_to_the_others(walk_epochs):
    """train은 부르기만 합니다. 에포크의 중간에서 이어 하는 자리도, 난수도, 가장 좋은 값도 스스로 바꾸지 않습니다."""
    for epoch, bad in ((0, 0), (2, 1)):
        changes = walk_epochs([2.0, 1.0, 1.5, 1.375], epoch=epoch, batch=4, bad=bad).changes
        if any(name == "rng" for name, *_ in changes):
            shown = {"expected": "이어지는 난수", "got": "다시 심은 난수"}
            fail(idea="난수", symptom="reseeds", **shown)
        for name, before, after in changes:
            shown = {"expected": f"{name} = {show(before)}", "got": f"{name} = {show(after)}"}
            symptom = "moved-position" if name in ("epoch", "batch", "step") else "moved-best"
            if name == "epoch":  # 에포크를 또 센 것은 첫 검사가 말합니다.
                symptom = None
            message = "train이 학습의 상태를 스스로 바꾸었습니다."
            fail(message, idea="이어 하기", symptom=symptom, **shown)


@todo("4-2")
def test_an_interrupt_ends_the_training(walk_epochs):
    """train_epoch이 낸 KeyboardInterrupt는 train을 부른 곳까지 나갑니다. 배우다 만 에포크는 마무리하지 않습니다."""
    walked = walk_epochs([3.0, 2.0, 1.5, 1.0], stop_at=1)
    if walked.order[:4] != [*BEAT, "train_epoch"] or ("train_epoch", 1) not in walked.calls:
        fail("중간에 멈출 때까지의 차례가 다릅니다.", idea="에포크", expected=" → ".join(BEAT), got="다른 차례")
    if walked.order[4:] or not walked.stopped:
        then = " → ".join(walked.order[4:6])
        got = f"멈추라는 신호 뒤에 {then}(으)로 이어졌습니다" if then else "아무 일도 없던 것처럼 끝났습니다"
        shown = {"expected": "거기서 멈춤(KeyboardInterrupt)", "got": got}
        fail(idea="Ctrl-C", symptom="interrupt-swallowed", **shown)


@todo("4-2")
def test_an_interrupt_while_validating_is_not_lost(walk_epochs):
    """검증하다가 받은 Ctrl-C는 다음 에포크의 첫 스텝이 저장하고 KeyboardInterrupt로 알립니다."""
    if not walks_in_order(walk_epochs):
        fail("처음부터 배우는 차례가 틀려 볼 수 없습니다.", idea="에포크", expected=" → ".join(BEAT), got="다른 차례")
    walked = walk_epochs([3.0, 2.0, 1.5, 1.0], interrupted_at=1)
    if not walked.stopped:
        shown = {"expected": "KeyboardInterrupt", "got": "검증하다가 받은 신호에는 아무 일도 없던 것처럼 끝났습니다"}
        fail(idea="Ctrl-C", symptom="interrupt-swallowed", **shown)
