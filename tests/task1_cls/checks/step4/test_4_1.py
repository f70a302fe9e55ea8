"""4-1의 검사: 에포크와 배치의 반복."""

from __future__ import annotations

import pytest
import torch

from course.checks.words import assert_equal, fail, todo
from nlpbook.errors import UserError
from nlpbook.position import Position
from tests.task1_cls.checks.step4.common import BATCHES, EPOCHS, Batches, ValLoader, WithDropout, method_of, never_ends


class ByHand:
    """train_step를 부르지 않고 손수 학습하려 할 때 불리는 것들. 불려도 아무 일이 없습니다."""

    def step(self, *args, **kwargs):
        pass

    zero_grad = step


NOTHING = "아무것도 건네지 않음"


def train(new_trainer, position, stop=None, epochs=EPOCHS, signal_at=None):
    """`train()`을 부르고, 무엇을 배웠는지 적은 것을 돌려줍니다.

    Args:
        stop: 이 예외를 두 번째 after_step이 일으킵니다. 루프의 `stopped_at`은 그때까지 배운 수(그런 때가 오지 않았으면
            None), `got_out`은 예외가 train() 밖으로 나왔는지입니다.
        signal_at: 이 번째 스텝을 배우는 동안 멈추라는 신호가 옵니다. 예외는 진짜처럼 그 뒤의 after_step이 일으킵니다.

    Returns:
        (루프, 배운 배치들, after_step에 건넨 것들). 배치는 (에포크, 번호), 건넨 것은 (무엇, 그때의 진행).
    """
    learned, told = [], []

    def train_step(self, batch):
        if len(learned) > 10 * EPOCHS * BATCHES:
            never_ends(self.position.epoch)
        if not torch.is_grad_enabled():
            fail(idea="기울기", expected="기울기를 따라감", got="꺼져 있음", symptom="no-gradients")
        learned.append(tuple(batch["input_ids"][0].tolist()))
        self.position.next_batch()
        self.interrupt.requested |= len(learned) == signal_at
        return {"loss": torch.tensor(0.5), "acc": torch.tensor(0.5), "of": learned[-1]}

    def after_step(self, outputs=NOTHING):
        if isinstance(outputs, dict):
            what = outputs.get("of", "배치" if "input_ids" in outputs else "다른 딕셔너리")
        else:
            what = NOTHING if outputs is NOTHING else type(outputs).__name__
        told.append((what, self.position.to_dict()))
        if stop and (self.interrupt.requested if signal_at else len(told) == 2):
            self.stopped_at = len(learned)
            raise stop

    def save_checkpoint(self):
        pass

    trainer = new_trainer(
        stopped_at=None,
        got_out=False,
        train_loader=Batches(),
        val_loader=ValLoader(),
        val_steps=BATCHES,
        model=WithDropout(),
        position=position,
        optimizer=ByHand(),
        scheduler=ByHand(),
        steps_per_epoch=BATCHES,
        total_steps=epochs * BATCHES,
    )
    trainer.train_loader.trainer = trainer
    trainer.train_step, trainer.after_step = method_of(trainer, train_step), method_of(trainer, after_step)
    trainer.save_checkpoint = method_of(trainer, save_checkpoint)
    for name in ("evaluate", "record", "report", "keep_if_good"):
        setattr(trainer, name, work_of_after_step(name))
    trainer.config.learning.num_epochs = epochs
    trainer.fabric.is_global_zero = False
    trainer.fabric.backward = lambda loss, *args, **kwargs: loss.backward()
    trainer.fabric.clip_gradients = lambda *args, **kwargs: None
    try:
        trainer.train()
    except BaseException as error:
        if error is not stop:
            raise
        trainer.got_out = True
    return trainer, learned, told


def work_of_after_step(name):
    """after_step이 스텝마다 알아서 부르는 메서드. 반복 안에서 또 부르면 실패합니다."""

    def called(*args, **kwargs):
        shown = {"expected": "after_step이 부름", "got": f"self.{name}"}
        fail(idea="after_step", symptom="extra-work", **shown)

    return called


def lessons(first_epoch=0, first_batch=0):
    """그 자리부터 끝까지의 (에포크, 번호)."""
    every = [(epoch, batch) for epoch in range(EPOCHS) for batch in range(BATCHES)]
    return every[first_epoch * BATCHES + first_batch :]


@todo("4-1")
def test_every_batch_of_every_epoch_is_learned_once(new_trainer):
    """에포크마다 모든 배치를 한 번씩, 그 에포크의 순서로 배웁니다."""
    trainer, learned, _ = train(new_trainer, Position())
    if learned != lessons():
        name_lessons(trainer, learned, lessons())
    if trainer.position.epoch > EPOCHS:
        counted_too_often(trainer)


def counted_too_often(trainer):
    numbers = {"expected": f"마친 에포크 {EPOCHS}", "got": f"마친 에포크 {trainer.position.epoch}"}
    fail(idea="진행", symptom="next-epoch-inside", **numbers)


def name_lessons(trainer, learned, want):
    """배운 배치들이 다를 때, 무엇을 잘못했는지 알아봅니다."""
    shown = {"expected": f"배치 {len(want)}개", "got": f"배치 {len(learned)}개"}
    epochs = {"idea": "에포크의 수", "expected": f"에포크 {EPOCHS}번", "got": f"에포크 {len(learned) / BATCHES:g}번"}
    if not learned:
        fail(idea="train_step", symptom="nothing-learned", **shown)
    if learned == want[:BATCHES] * EPOCHS:
        fail(
            idea="에포크마다의 순서",
            expected="에포크 번호 0, 1, 2",
            got="에포크 번호 0, 0, 0",
            symptom="taken-once" if trainer.train_loader.started else "not-remaining",
        )
    if learned == want[:BATCHES] and trainer.position.epoch == EPOCHS and trainer.position.batch == BATCHES:
        fail(idea="진행", symptom="batch-left", **shown)
    if learned == want[:BATCHES] and (trainer.position.epoch == 0 or trainer.train_loader.asked > 1):
        fail(idea="진행", symptom="no-next-epoch", **shown)
    if learned == [batch for batch in want for _ in range(len(learned) // len(want))]:
        fail(idea="한 스텝", symptom="same-batch", **shown)
    if learned[: len(want)] == want:
        fail(symptom="too-many-epochs", **epochs)
    if learned == want[: len(learned)]:
        fail(symptom="too-few-epochs", **epochs)
    if learned == [(epoch + 1, batch) for epoch, batch in want]:
        numbers = {"expected": "에포크 번호 0, 1, 2", "got": "에포크 번호 1, 2, 3"}
        fail(idea="진행", symptom="epoch-first", **numbers)
    if trainer.position.epoch > EPOCHS:
        counted_too_often(trainer)
    assert_equal(len(learned), len(want), idea="두 겹 반복", message="배운 배치의 수가 다릅니다.")
    assert_equal(learned, want, idea="두 겹 반복", message="배운 배치의 순서가 다릅니다.")


@todo("4-1")
def test_the_number_of_epochs_comes_from_the_settings(new_trainer):
    """에포크의 수를 다르게 정하면 배우는 수도 달라집니다."""
    longer = EPOCHS + 2
    _, learned, _ = train(new_trainer, Position(), epochs=longer)
    if len(learned) == EPOCHS * BATCHES == len(train(new_trainer, Position())[1]):
        shown = {"expected": f"에포크 {longer}번", "got": f"에포크 {EPOCHS}번"}
        fail(idea="에포크의 수", symptom="fixed-epochs", **shown)
    want, got = f"에포크 {longer}번", f"에포크 {len(learned) / BATCHES:g}번"
    assert_equal(got, want, idea="에포크의 수", message="설정을 바꾸었을 때 배운 에포크의 수가 다릅니다.")


@todo("4-1")
def test_after_step_follows_every_step(new_trainer):
    """스텝마다 곧바로, 그 스텝의 결과를 들고 after_step을 부릅니다."""
    _, learned, told = train(new_trainer, Position())
    if len(told) < len(learned):
        fail(
            "after_step을 스텝마다 부르지 않았습니다.",
            idea="스텝과 에포크",
            expected=f"{len(learned)}번",
            got=f"{len(told)}번",
            symptom="after-step-outside" if learned == lessons() else None,
        )
    others = [what for what, _ in told if isinstance(what, str)]
    if NOTHING in others:
        shown = {"expected": "train_step의 결과", "got": NOTHING}
        fail(idea="스텝의 결과", symptom="after-step-empty", **shown)
    if others:
        fail(idea="스텝의 결과", expected="train_step의 결과", got=others[0], symptom="after-step-batch")
    assert_equal(
        [what for what, _ in told],
        learned,
        idea="스텝의 결과",
        message="after_step에 건넨 것이 그 스텝의 결과가 아닙니다.",
    )
    places = [{"epoch": epoch, "batch": batch + 1, "step": i} for i, (epoch, batch) in enumerate(learned, start=1)]
    first = [got["step"] for _, got in told[:BATCHES]]
    if told and min(first) >= BATCHES and len(set(first)) == 1:
        shown = {"expected": "1스텝", "got": f"{first[0]}스텝"}
        fail(idea="진행", symptom="after-step-late", **shown)
    for i, ((_, got), want) in enumerate(zip(told, places, strict=True), start=1):
        if got["step"] == 2 * i:
            shown = {"expected": f"{i}스텝", "got": f"{2 * i}스텝"}
            fail(idea="진행", symptom="counted-twice", **shown)
        assert_equal(got, want, idea="진행", message="after_step을 부를 때의 진행(position)이 다릅니다.")


@todo("4-1")
def test_finished_epochs_are_counted(new_trainer):
    """끝까지 걸으면 마친 에포크는 num_epochs이고, 다음 에포크의 첫 배치 앞에 서 있습니다."""
    trainer, _, _ = train(new_trainer, Position())
    want = {"epoch": EPOCHS, "batch": 0, "step": EPOCHS * BATCHES}
    assert_equal(trainer.position.to_dict(), want, idea="진행", message="다 걸은 뒤의 진행(position)이 다릅니다.")


@todo("4-1")
@pytest.mark.parametrize(("epoch", "batch"), [(1, 2), (0, 1), (2, 0), (0, BATCHES), (2, BATCHES), (EPOCHS, 0)])
def test_resumed_training_learns_only_what_is_left(new_trainer, epoch, batch):
    """이어 하는 학습은 멈춘 자리의 다음 배치부터, 남은 것만 배웁니다."""
    _, learned, _ = train(new_trainer, Position(epoch, batch, epoch * BATCHES + batch))
    want = lessons(epoch, batch)
    if len(learned) > len(want):
        _, fresh, _ = train(new_trainer, Position())
        fail(
            "이어 하는 학습이 정한 것보다 오래 걸립니다.",
            idea="이어 하기",
            expected=f"남은 배치 {len(want)}개",
            got=f"배운 배치 {len(learned)}개",
            symptom=longer_than_left(epoch, batch, learned, want) if fresh == lessons() else None,
        )
    if (
        learned != want
        and learned in skipped_again(epoch, batch, want)
        and train(new_trainer, Position())[1] == lessons()
    ):
        lost = [one for one in want if one not in learned]
        shown = {"expected": f"남은 배치 {len(want)}개", "got": f"배운 배치 {len(learned)}개", "lost": len(lost)}
        fail(idea="이어 하기", symptom="skipped-twice", **shown)
    assert_equal(learned, want, idea="이어 하기", message="이어 하는 학습이 남은 배치를 그대로 배우지 않았습니다.")


def skipped_again(epoch, batch, want):
    """remaining_batches가 건너뛴 만큼 또 건너뛰었을 때 배우는 것들: 이어 하는 에포크에서만, 또는 에포크마다."""
    once = want[batch:] if batch < BATCHES else want
    every = [one for one in once if one[0] == epoch or one[1] >= batch]
    return once, every


def longer_than_left(epoch, batch, learned, want):
    """남은 것보다 오래 배웠을 때의 증상."""
    if batch > 0 and learned == lessons(epoch, 0):
        return "from-first-batch"
    again = len(learned) - len(want) == epoch * BATCHES  # 마친 에포크의 수만큼 더
    return "from-zero" if want and again and learned[: len(want)] == want else None


@todo("4-1")
@pytest.mark.parametrize("error", [KeyboardInterrupt(), UserError("손실이 nan이 되었습니다.")], ids=["stop", "error"])
def test_what_stops_a_step_stops_the_run(new_trainer, error):
    """after_step이 일으킨 Ctrl-C나 오류는 그 자리에서 학습을 멈추고, run을 부른 쪽까지 전해집니다."""
    trainer, learned, _ = train(new_trainer, Position(), stop=error)
    name = type(error).__name__
    if trainer.stopped_at is None:
        shown = {"expected": "스텝마다 한 번", "got": "두 번도 부르지 않음"}
        fail("after_step을 부르지 않아 멈추는 것을 볼 수 없습니다.", idea="Ctrl-C", **shown)
    more = len(learned) - trainer.stopped_at
    if more or not trainer.got_out:
        got = f"배치 {more}개를 더 배움" if more else "멈췄지만 알리지 않음"
        shown = {"expected": f"{name}이(가) run 밖으로 나감", "got": got, "error": name}
        fail(idea="Ctrl-C", symptom="swallowed", **shown)


@todo("4-1")
def test_a_signal_during_a_step_still_reaches_after_step(new_trainer):
    """멈추라는 신호가 온 스텝도 after_step까지 갑니다. 저장하고 멈추는 일은 거기에서 합니다."""
    _, usual, usually_told = train(new_trainer, Position())
    steps = [(what, place["step"]) for what, place in usually_told]
    if usual != lessons() or steps != [(one, i) for i, one in enumerate(usual, start=1)]:
        return  # 신호가 없을 때부터 다릅니다. 앞의 검사가 말합니다.
    trainer, learned, told = train(new_trainer, Position(), stop=KeyboardInterrupt(), signal_at=2)
    if len(told) < 2:
        got = "스텝을 더 배움" if len(learned) > 2 else "더 배우지 않고 끝남"
        fail(idea="Ctrl-C", expected="after_step을 부름", got=got, symptom="signal-first", calls=len(told))
    if not trainer.got_out:
        shown = {"expected": "KeyboardInterrupt가 train 밖으로 나감", "got": "멈췄지만 알리지 않음"}
        fail(idea="Ctrl-C", symptom="swallowed", error="KeyboardInterrupt", **shown)
