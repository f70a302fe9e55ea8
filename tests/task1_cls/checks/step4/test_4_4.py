"""4-4의 검사: 때맞추어 검증하기."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from course.checks.words import assert_equal, fail, show, todo
from nlpbook.errors import UserError
from nlpbook.position import Position
from tests.task1_cls.checks.step4.common import (
    PER_EPOCH,
    PRINT_STEPS,
    TOTAL,
    ModelLoader,
    ValLoader,
    WithDropout,
    method_of,
    one_process,
)


def validations(new_trainer, device, val_steps, rank=0, processes=1, **broken):
    """열 스텝을 걸으며 `after_step`을 부른 기록.

    Args:
        broken: 대신 부를 evaluate나 record.

    Returns:
        (검증들, 기록들, 스텝 뒤의 모드들). 검증은 (스텝, 로더, 학습 모드인가), 기록은 (스텝, 값).
    """
    evaluated, recorded, kept, modes = [], [], [], []
    model = WithDropout()
    dropout = model.plain[0][1]

    def evaluate(self, loader):
        evaluated.append((self.position.step, loader, dropout.training))
        return {"val_loss": 1.0 / self.position.step, "val_acc": self.position.step / 100}

    def record(self, metrics=None, **unpacked):
        recorded.append((self.position.step, "풀어서 건넨 값들" if unpacked else metrics))

    trainer = new_trainer(
        fabric=one_process(device, rank, processes),
        model=model,
        train_loader=range(PER_EPOCH),
        val_loader=ValLoader(),
        print_steps=PRINT_STEPS,
        report=lambda: None,
        steps_per_epoch=PER_EPOCH,
        total_steps=TOTAL,
        val_steps=val_steps,
        kept=kept,
        save_checkpoint=lambda: None,
    )
    for function in (evaluate, record):
        setattr(trainer, function.__name__, broken.get(function.__name__) or method_of(trainer, function))
    trainer.keep_if_good = trainer.tracker.log = lambda *args, **kwargs: kept.append(trainer.position.step)
    trainer.config.learning.num_epochs = TOTAL // PER_EPOCH
    trainer.model.train()
    for step in range(1, TOTAL + 1):
        trainer.position = Position((step - 1) // PER_EPOCH, (step - 1) % PER_EPOCH + 1, step)
        trainer.after_step({"loss": torch.tensor(0.5), "acc": torch.tensor(0.5)})
        modes.append(dropout.training)
        trainer.model.train()
    return trainer, evaluated, recorded, modes


def at(condition):
    """그 조건에 맞는 스텝들. 조건은 (스텝, val_steps) → 검증하는 횟수."""
    return lambda every: [step for step in range(1, TOTAL + 1) for _ in range(int(condition(step, every)))]


# 흔한 실수가 검증하는 스텝들. 어느 val_steps에서나 그대로여야 그 실수입니다.
SCHEDULES = {
    "never": at(lambda step, every: False),
    "every-step": at(lambda step, every: True),
    "no-last": at(lambda step, every: step % every == 0),
    "twice": at(lambda step, every: (step % every == 0) + (step == TOTAL)),
    "evaluated-twice": at(lambda step, every: 2 * (step % every == 0 or step == TOTAL)),
    "both-conditions": at(lambda step, every: step % every == 0 and step == TOTAL),
    "only-last": at(lambda step, every: step == TOTAL),
    "batch-count": at(lambda step, every: ((step - 1) % PER_EPOCH + 1) % every == 0 or step == TOTAL),
    "per-epoch": at(lambda step, every: step % PER_EPOCH == 0 or step == TOTAL),
    "print-steps": at(lambda step, every: step % PRINT_STEPS == 0 or step == TOTAL),
    "one-early": at(lambda step, every: (step + 1) % every == 0 or step == TOTAL),
    "both-early": at(lambda step, every: (step + 1) % every == 0 or step + 1 == TOTAL),
    "one-late": at(lambda step, every: (step - 1) % every == 0 or step == TOTAL),
    "last-early": at(lambda step, every: step % every == 0 or step == TOTAL - 1),
    "inverted": at(lambda step, every: step % every != 0 or step == TOTAL),
    "turned-round": at(lambda step, every: every % step == 0 or step == TOTAL),
    "quotient": at(lambda step, every: step // every == 0 or step == TOTAL),
    "epoch-ends": at(lambda step, every: step % every == 0 or step % PER_EPOCH == 0),
    "from-then-on": at(lambda step, every: step >= every or step == TOTAL),
}
SAME_NAME = dict.fromkeys(("one-late", "last-early", "both-early"), "one-early")
SAME_NAME |= {"print-steps": "other-steps", "per-epoch": "other-steps"}
EVERY = (3, 4, 5, 1, 20)


def check_schedule(validated, val_steps):
    """검증한 스텝들이 val_steps의 배수와 마지막 스텝인지. `validated(3)`은 3스텝마다일 때 검증한 스텝들입니다."""
    got, want = validated(val_steps), sorted({*range(val_steps, TOTAL + 1, val_steps), TOTAL})
    if got == want:
        return
    every = {one: validated(one) for one in EVERY}
    names = [name for name, steps in SCHEDULES.items() if all(steps(one) == got for one, got in every.items())]
    shown = {"idea": "검증 주기", "expected": f"{want}스텝", "got": f"{got}스텝", "every": val_steps}
    symptom = SAME_NAME.get(names[0], names[0]) if names else None
    fail(f"{val_steps}스텝마다 검증해야 하는데, 검증한 스텝이 다릅니다.", symptom=symptom, **shown)


@todo("4-4")
@pytest.mark.parametrize("val_steps", EVERY)
def test_validation_comes_every_val_steps_and_at_the_end(new_trainer, device, val_steps):
    """val_steps 스텝마다, 그리고 맨 마지막 스텝에서 한 번씩 검증합니다."""
    check_schedule(lambda every: [step for step, _, _ in validations(new_trainer, device, every)[1]], val_steps)


@todo("4-4")
def test_validation_reads_the_validation_loader_in_eval_mode(new_trainer, device):
    """검증은 드롭아웃을 끈 평가 모드에서, 검증 로더로 합니다."""
    trainer, evaluated, _, _ = validations(new_trainer, device, 3)
    if any(loader is trainer.train_loader for _, loader, _ in evaluated):
        fail(idea="검증", expected="val_loader", got="train_loader", symptom="train-loader")
    if others := [loader for _, loader, _ in evaluated if loader is not trainer.val_loader]:
        got = "모델의 val_dataloader()" if isinstance(others[0], ModelLoader) else type(others[0]).__name__
        fail(idea="검증", expected="self.val_loader", got=got, symptom="other-loader")
    if any(training for _, _, training in evaluated):
        fail(idea="train/eval", expected="평가 모드", got="학습 모드", symptom="no-eval")


@todo("4-4")
def test_training_mode_is_restored(new_trainer, device):
    """검증이 끝나면 학습 모드로 돌아옵니다."""
    _, _, _, modes = validations(new_trainer, device, 3)
    if not all(modes):
        fail(idea="train/eval", expected="학습 모드", got="평가 모드", symptom="stay-eval")


@todo("4-4")
def test_every_validation_is_recorded(new_trainer, device):
    """검증할 때마다 그 값을 record에 건넵니다."""
    trainer, evaluated, recorded, _ = validations(new_trainer, device, 3)
    steps = dict.fromkeys(step for step, _, _ in evaluated)
    want = [(step, {"val_loss": 1.0 / step, "val_acc": step / 100}) for step in steps]
    if evaluated and not recorded:
        fail(
            idea="기록", expected=f"{len(want)}번", got="0번", symptom="own-record" if trainer.kept else "not-recorded"
        )
    if len(recorded) < len(want):
        shown = {"expected": f"{len(want)}번", "got": f"{len(recorded)}번"}
        fail(idea="기록", symptom="not-recorded", **shown)
    for (_, got), (_, metrics) in zip(recorded, want, strict=False):
        if got != metrics:
            what = ", ".join(map(str, got)) if isinstance(got, dict) else show(got)
            fail(
                idea="기록",
                expected="val_loss, val_acc가 든 딕셔너리",
                got=f"딕셔너리({what})" if isinstance(got, dict) else what,
                symptom="other-record",
            )
    steps = [step for step, _ in want], [step for step, _ in recorded]
    assert_equal(steps[1], steps[0], idea="기록", message="record를 부른 스텝이 검증한 스텝과 다릅니다.")


@todo("4-4")
def test_every_process_validates(new_trainer, device):
    """검증은 모든 프로세스가 함께 합니다. 값을 모으려면 서로가 있어야 하기 때문입니다."""
    _, zero, zero_recorded, _ = validations(new_trainer, device, 3, rank=0, processes=2)
    _, evaluated, recorded, _ = validations(new_trainer, device, 3, rank=1, processes=2)
    if not evaluated or not recorded:
        fail(
            "0번이 아닌 프로세스가 검증이나 기록에 오지 않았습니다.",
            idea="여러 프로세스",
            expected="모든 프로세스가 evaluate와 record를 부름",
            got="1번 프로세스는 부르지 않음" if not evaluated else "1번 프로세스는 evaluate만 부름",
            symptom="rank-zero-only" if zero and not evaluated else "record-on-zero" if zero_recorded else None,
        )


@todo("4-4")
@pytest.mark.parametrize("step", [2, 3])
def test_a_stop_signal_is_heard_on_any_step(new_trainer, step):
    """멈추라는 신호는 검증하는 스텝이든 아니든 들립니다."""
    saved = []
    trainer = new_trainer(
        model=WithDropout(),
        evaluate=lambda loader: {"val_loss": 0.5, "val_acc": 0.5},
        record=lambda metrics: None,
        save_checkpoint=lambda: saved.append(True),
        interrupt=SimpleNamespace(requested=True),
        position=Position(0, step, step),
        train_loader=range(PER_EPOCH),
        val_loader=["검증 로더"],
        steps_per_epoch=PER_EPOCH,
        total_steps=TOTAL,
        val_steps=3,
    )
    stopped = False
    try:
        trainer.after_step({"loss": torch.tensor(0.5), "acc": torch.tensor(0.5)})
    except KeyboardInterrupt:
        stopped = True
    if not (stopped and saved):
        fail(idea="Ctrl-C", expected="저장하고 멈춤", got="계속함", symptom="early-return")


@todo("4-4")
@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("evaluate", UserError("손실이 nan이 되었습니다.")),
        ("record", OSError(28, "No space left on device")),
        ("evaluate", KeyboardInterrupt()),  # Ctrl-C를 두 번 누르면 검증하는 도중에도 바로 옵니다.
    ],
    ids=["evaluate", "record", "stop"],
)
def test_an_error_of_the_validation_gets_out(new_trainer, device, where, error):
    """검증이나 기록에서 난 오류는 after_step 밖으로 나갑니다."""
    raised = []

    def broken(*args, **kwargs):
        raised.append(error)
        raise error

    got_out = False
    try:
        validations(new_trainer, device, 3, **{where: broken})
    except type(error):
        got_out = True
    if raised and not got_out:
        shown = {"expected": f"{type(error).__name__}이(가) 밖으로 나감", "got": "오류 없이 끝남"}
        fail(idea="예외", symptom="swallowed", where=f"self.{where}", error=type(error).__name__, **shown)
