"""4단계의 검사: 반복, 한 걸음의 박자, 모으기, 검증, 남기기, 이어 하기.

루프는 `__init__`을 거치지 않고 만들어, 앞 단계나 다른 TODO가 비어 있어도 저마다 검사할 수 있습니다.
"""

from __future__ import annotations

import copy
import io
import random
import re
import threading
from contextlib import nullcontext
from functools import cache
from types import MethodType, SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import Precision

from course.checks.words import assert_close, assert_equal, close, fail, known_as, matches, show, todo
from nlpbook.checkpoints import LAST, Checkpoint, CheckpointSaver, rng_state, set_rng_state
from nlpbook.errors import UserError
from nlpbook.position import Position
from nlpbook.tracking import Tracker
from tests.task1_cls import support
from todo import TodoNotDone


@pytest.fixture
def new_loop(load, device):
    """빈 루프에 검사에 필요한 것만 붙여 줍니다."""

    def build(**parts):
        kind = load(4).TrainingLoop
        loop = kind.__new__(kind)
        loop.fabric = one_process(device)
        loop.args = support.tiny_args()
        loop.tracker = Tracker()
        loop.position = Position()
        loop.print_steps = 10**9
        loop.interrupt = SimpleNamespace(requested=False)
        loop.advance = lambda count=1: None
        for name, part in parts.items():
            setattr(loop, name, part)
        return loop

    return build


@known_as("Fabric")
class OneProcess:
    """이름만 Fabric인 것. 프로세스가 몇 개이고 그 가운데 몇 번인지 압니다."""

    def __init__(self, device, rank=0, processes=1):
        self.world_size, self.global_rank, self.local_rank = processes, rank, rank
        self.is_global_zero = rank == 0
        self.device = torch.device(device)
        self.strategy = SimpleNamespace(precision=SimpleNamespace(state_dict=dict, load_state_dict=lambda state: None))

    def barrier(self, name=None):
        pass

    def print(self, *args, **kwargs):
        pass

    log = log_dict = print

    def autocast(self):
        return nullcontext()

    def to_device(self, obj):
        return obj

    def __getattr__(self, name):
        if hasattr(Fabric, name) and not name.startswith("_"):
            fail(
                f"fabric.{name}은(는) 이 자리에서 부를 함수가 아닙니다.",
                idea="Fabric",
                expected="할 일과 힌트에 적힌 함수",
                got=f"fabric.{name}",
            )
        raise AttributeError(f"'Fabric' object has no attribute '{name}'")


def one_process(device, rank=0, processes=1):
    return OneProcess(device, rank, processes)


def method_of(loop, function):
    """루프의 메서드처럼 보이게 합니다. 인수를 잘못 건넸을 때의 오류가 진짜와 같아집니다."""
    function.__qualname__ = f"TrainingLoop.{function.__name__}"
    return MethodType(function, loop)


# ── 4-1 에포크와 배치의 반복 ──────────────────────────────────────────────────────────────────────────────────

EPOCHS, BATCHES = 3, 4


class Batches:
    """에포크마다 배치 넷을 내는 로더. 배치에 제 (에포크, 번호)가 적혀 있고, `LengthBatchSampler`처럼 움직입니다."""

    def __init__(self):
        self.batch_sampler, self.epoch, self.first, self.asked, self.loop = self, 0, 0, 0, None
        self.started = 0  # start_at을 부른 횟수

    def start_at(self, epoch, batch=0):
        self.epoch, self.first = epoch, batch
        self.started += 1

    def __len__(self):
        return BATCHES

    def __iter__(self):
        self.asked += 1
        if self.asked > 20:
            never_ends(self.loop.position.epoch)
        for number in range(self.first, BATCHES):
            ids = torch.tensor([[self.epoch, number]])
            yield {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.tensor([0])}


def never_ends(epoch):
    fail(
        "반복이 끝나지 않습니다.",
        idea="에포크",
        expected=f"{EPOCHS}에포크",
        got="끝없는 반복",
        symptom="no-next-epoch" if epoch == 0 else "too-many-epochs",
    )


class ByHand:
    """optimize를 부르지 않고 손수 학습하려 할 때 불리는 것들. 불려도 아무 일이 없습니다."""

    def step(self, *args, **kwargs):
        pass

    zero_grad = step


NOTHING = "아무것도 건네지 않음"


def walk(new_loop, position, stop=None):
    """`run()`을 부르고, 무엇을 배웠는지 적은 것을 돌려줍니다.

    Args:
        stop: 이 예외를 두 번째 after_step이 일으킵니다. 루프의 `stopped_at`은 그때까지 배운 수(그런 때가 오지 않았으면
            None), `got_out`은 예외가 run() 밖으로 나왔는지입니다.

    Returns:
        (루프, 배운 배치들, after_step에 건넨 것들). 배치는 (에포크, 번호), 건넨 것은 (무엇, 그때의 진행).
    """
    learned, told = [], []

    def optimize(self, batch):
        if len(learned) > 10 * EPOCHS * BATCHES:
            never_ends(self.position.epoch)
        learned.append(tuple(batch["input_ids"][0].tolist()))
        self.position.next_batch()
        return {"loss": torch.tensor(0.5), "acc": torch.tensor(0.5), "of": learned[-1]}

    def after_step(self, outputs=NOTHING):
        if isinstance(outputs, dict):
            what = outputs.get("of", "배치" if "input_ids" in outputs else "다른 사전")
        else:
            what = NOTHING if outputs is NOTHING else type(outputs).__name__
        told.append((what, self.position.to_dict()))
        if stop and len(told) == 2:
            self.stopped_at = len(learned)
            raise stop

    def save_last(self):
        pass

    loop = new_loop(
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
        total_steps=EPOCHS * BATCHES,
    )
    loop.train_loader.loop = loop
    loop.optimize, loop.after_step = method_of(loop, optimize), method_of(loop, after_step)
    loop.save_last = method_of(loop, save_last)
    for name in ("evaluate", "record", "report", "keep_if_good"):
        setattr(loop, name, work_of_after_step(name))
    loop.args.learning.num_epochs = EPOCHS
    loop.fabric.is_global_zero = False
    loop.fabric.backward = lambda loss, *args, **kwargs: loss.backward()
    loop.fabric.clip_gradients = lambda *args, **kwargs: None
    try:
        loop.run()
    except BaseException as error:
        if error is not stop:
            raise
        loop.got_out = True
    return loop, learned, told


def work_of_after_step(name):
    """after_step이 걸음마다 알아서 부르는 메서드. 반복 안에서 또 부르면 실패합니다."""

    def called(*args, **kwargs):
        shown = {"expected": "after_step이 부름", "got": f"self.{name}"}
        fail("after_step이 할 일을 반복에서 또 했습니다.", idea="after_step", symptom="extra-work", **shown)

    return called


def lessons(first_epoch=0, first_batch=0):
    """그 자리부터 끝까지의 (에포크, 번호)."""
    every = [(epoch, batch) for epoch in range(EPOCHS) for batch in range(BATCHES)]
    return every[first_epoch * BATCHES + first_batch :]


@todo("4-1")
def test_every_batch_of_every_epoch_is_learned_once(new_loop):
    """에포크마다 모든 배치를 한 번씩, 그 에포크의 순서로 배웁니다."""
    loop, learned, _ = walk(new_loop, Position())
    if learned != lessons():
        name_lessons(loop, learned, lessons())
    if loop.position.epoch > EPOCHS:
        counted_too_often(loop)


def counted_too_often(loop):
    numbers = {"expected": f"마친 에포크 {EPOCHS}", "got": f"마친 에포크 {loop.position.epoch}"}
    fail("에포크를 너무 많이 세었습니다.", idea="진행", symptom="next-epoch-inside", **numbers)


def name_lessons(loop, learned, want):
    """배운 배치들이 다를 때, 무엇을 잘못했는지 알아봅니다."""
    shown = {"expected": f"배치 {len(want)}개", "got": f"배치 {len(learned)}개"}
    epochs = {"idea": "에포크의 수", "expected": f"에포크 {EPOCHS}번", "got": f"에포크 {len(learned) / BATCHES:g}번"}
    if not learned:
        fail("배운 배치가 하나도 없습니다.", idea="optimize", symptom="nothing-learned", **shown)
    if learned == want[:BATCHES] * EPOCHS:
        fail(
            "에포크마다 같은 순서로 읽었습니다.",
            idea="에포크마다의 순서",
            expected="에포크 번호 0, 1, 2",
            got="에포크 번호 0, 0, 0",
            symptom="taken-once" if loop.train_loader.started else "not-remaining",
        )
    if learned == want[:BATCHES] and loop.position.epoch == EPOCHS:
        fail("에포크를 넘긴 뒤에도 배치 번호가 그대로입니다.", idea="진행", symptom="batch-left", **shown)
    if learned == want[:BATCHES] and (loop.position.epoch == 0 or loop.train_loader.asked > 1):
        fail("첫 에포크 뒤로는 배운 배치가 없습니다.", idea="진행", symptom="no-next-epoch", **shown)
    if learned == [batch for batch in want for _ in range(len(learned) // len(want))]:
        fail("같은 배치를 거듭 배웠습니다.", idea="한 걸음", symptom="same-batch", **shown)
    if learned[: len(want)] == want:
        fail("정한 것보다 여러 에포크를 배웠습니다.", symptom="too-many-epochs", **epochs)
    if learned == want[: len(learned)]:
        fail("정한 에포크를 다 배우지 않고 끝났습니다.", symptom="too-few-epochs", **epochs)
    if learned == [(epoch + 1, batch) for epoch, batch in want]:
        numbers = {"expected": "에포크 번호 0, 1, 2", "got": "에포크 번호 1, 2, 3"}
        fail("0번 에포크를 건너뛰었습니다.", idea="진행", symptom="epoch-first", **numbers)
    if loop.position.epoch > EPOCHS:
        counted_too_often(loop)
    assert_equal(len(learned), len(want), idea="두 겹 반복", message="배운 배치의 수가 다릅니다.")
    assert_equal(learned, want, idea="두 겹 반복", message="배운 배치의 순서가 다릅니다.")


@todo("4-1")
def test_after_step_follows_every_step(new_loop):
    """걸음마다 곧바로, 그 걸음의 결과를 들고 after_step을 부릅니다."""
    _, learned, told = walk(new_loop, Position())
    if len(told) < len(learned):
        fail(
            "after_step을 걸음마다 부르지 않았습니다.",
            idea="걸음과 에포크",
            expected=f"{len(learned)}번",
            got=f"{len(told)}번",
            symptom="after-step-outside" if learned == lessons() else None,
        )
    others = [what for what, _ in told if isinstance(what, str)]
    if NOTHING in others:
        message, shown = "after_step에 아무것도 건네지 않았습니다.", {"expected": "optimize의 결과", "got": NOTHING}
        fail(message, idea="걸음의 결과", symptom="after-step-empty", **shown)
    if others:
        fail(
            "after_step에 그 걸음의 결과가 아닌 것을 건넸습니다.",
            idea="걸음의 결과",
            expected="optimize의 결과",
            got=others[0],
            symptom="after-step-batch",
        )
    assert_equal(
        [what for what, _ in told],
        learned,
        idea="걸음의 결과",
        message="after_step에 건넨 것이 그 걸음의 결과가 아닙니다.",
    )
    places = [{"epoch": epoch, "batch": batch + 1, "step": i} for i, (epoch, batch) in enumerate(learned, start=1)]
    for i, ((_, got), want) in enumerate(zip(told, places, strict=True), start=1):
        if got["step"] == 2 * i:
            shown = {"expected": f"{i}걸음", "got": f"{2 * i}걸음"}
            fail("한 걸음을 두 번 세었습니다.", idea="진행", symptom="counted-twice", **shown)
        assert_equal(got, want, idea="진행", message="after_step을 부를 때의 진행(position)이 다릅니다.")


@todo("4-1")
def test_finished_epochs_are_counted(new_loop):
    """끝까지 걸으면 마친 에포크는 num_epochs이고, 다음 에포크의 첫 배치 앞에 서 있습니다."""
    loop, _, _ = walk(new_loop, Position())
    want = {"epoch": EPOCHS, "batch": 0, "step": EPOCHS * BATCHES}
    assert_equal(loop.position.to_dict(), want, idea="진행", message="다 걸은 뒤의 진행(position)이 다릅니다.")


@todo("4-1")
@pytest.mark.parametrize(("epoch", "batch"), [(1, 2), (0, 1), (2, 0), (0, BATCHES), (2, BATCHES), (EPOCHS, 0)])
def test_resumed_training_walks_only_what_is_left(new_loop, epoch, batch):
    """이어 하는 학습은 멈춘 자리의 다음 배치부터, 남은 것만 배웁니다."""
    _, learned, _ = walk(new_loop, Position(epoch, batch, epoch * BATCHES + batch))
    want = lessons(epoch, batch)
    if len(learned) > len(want):
        _, fresh, _ = walk(new_loop, Position())
        fail(
            "이어 하는 학습이 정한 것보다 오래 걸립니다.",
            idea="이어 하기",
            expected=f"남은 배치 {len(want)}개",
            got=f"배운 배치 {len(learned)}개",
            symptom=longer_than_left(epoch, batch, learned, want) if fresh == lessons() else None,
        )
    if learned != want and learned in skipped_again(epoch, batch, want) and walk(new_loop, Position())[1] == lessons():
        lost = [one for one in want if one not in learned]
        shown = {"expected": f"남은 배치 {len(want)}개", "got": f"배운 배치 {len(learned)}개", "lost": len(lost)}
        fail("이미 건너뛴 배치를 또 건너뛰었습니다.", idea="이어 하기", symptom="skipped-twice", **shown)
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
def test_what_stops_a_step_stops_the_run(new_loop, error):
    """after_step이 일으킨 Ctrl-C나 오류는 그 자리에서 학습을 멈추고, run을 부른 쪽까지 전해집니다."""
    loop, learned, _ = walk(new_loop, Position(), stop=error)
    name = type(error).__name__
    if loop.stopped_at is None:
        shown = {"expected": "걸음마다 한 번", "got": "두 번도 부르지 않음"}
        fail("after_step을 부르지 않아 멈추는 것을 볼 수 없습니다.", idea="Ctrl-C", **shown)
    more = len(learned) - loop.stopped_at
    if more or not loop.got_out:
        got = f"배치 {more}개를 더 배움" if more else "멈췄지만 알리지 않음"
        shown = {"expected": f"{name}이(가) run 밖으로 나감", "got": got, "error": name}
        fail(f"after_step이 일으킨 {name}을(를) 반복이 삼켰습니다.", idea="Ctrl-C", symptom="swallowed", **shown)


# ── 4-2 한 걸음의 박자 ────────────────────────────────────────────────────────────────────────────────────────

LIMIT = 0.7  # 기본값(1.0)이 아닌 한계. 첫 배치와 셋째 배치의 기울기는 이보다 훨씬 크고, 둘째는 작습니다.
RATE, DECAY = 0.05, 0.5
SCALE = 1024.0


class Line(torch.nn.Module):
    """점 네 개를 지나는 선. 손실은 제곱 오차의 평균입니다. `lang_model`의 자리에 놓입니다."""

    def __init__(self, beats):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([0.5, -0.4, 0.3]))
        self.bias = torch.nn.Parameter(torch.tensor(0.1))
        self.beats, self.through_fabric = beats, False

    def forward(self, **batch):
        self.beats += ["forward"] if self.through_fabric else ["bypass", "forward"]
        self.through_fabric = False
        # 사전에 담으면 Fabric이 loss.backward()를 예외로 막습니다. 검사가 먼저 알아보고 말해 주려고 비켜 갑니다.
        return SimpleNamespace(loss=line_loss(batch, self.weight, self.bias))


def line_loss(batch, weight, bias):
    return (batch["input_ids"].float() @ weight + bias - batch["labels"]).square().mean()


@known_as("NSMCModel")
class LineModel(torch.nn.Module):
    """`NSMCModel`처럼, 감싸지 않은 모델 안에 Fabric이 감싼 lang_model이 있습니다."""

    def __init__(self, line, wrapped):
        super().__init__()
        self.lang_model = wrapped
        wrapped.register_forward_pre_hook(lambda *_: setattr(line, "through_fabric", True))

    def training_step(self, batch=None, batch_idx=0, **unpacked):
        if batch is None or unpacked:
            fail(
                "배치를 풀어서 건넸습니다.",
                idea="training_step",
                expected="배치(사전) 하나",
                got=", ".join(unpacked) or "아무것도 건네지 않음",
                symptom="unpacked-batch",
            )
        return {"loss": self.lang_model(**batch).loss, "acc": torch.tensor(0.25)}

    def forward(self, *args, **kwargs):
        self._not_a_training_step("모델을 바로 부름")

    def validation_step(self, *args, **kwargs):
        self._not_a_training_step("validation_step")

    def test_step(self, *args, **kwargs):
        self._not_a_training_step("test_step")

    def _not_a_training_step(self, got):
        message = "학습의 한 걸음(training_step)이 아닌 것을 불렀습니다."
        fail(message, idea="training_step", expected="training_step", got=got, symptom="other-step")


class ScaledGradients(Precision):
    """16비트 학습처럼 손실을 크게 불려 역전파하고, 자르기나 고치기 전에 기울기를 되돌립니다. 박자를 적어 둡니다."""

    precision = "32-true"

    def __init__(self, beats, line):
        self.beats, self.line, self.is_scaled = beats, line, False
        self.piled_up, self.used = [], []

    def norm(self):
        return sum(float(one.grad.square().sum()) for one in self.line.parameters() if one.grad is not None) ** 0.5

    def backward(self, tensor, model, *args, **kwargs):
        if not isinstance(tensor, torch.Tensor):
            message, got = "손실(텐서)이 아닌 것을 역전파했습니다.", type(tensor).__name__
            fail(message, idea="역전파", expected="손실 텐서", got=got, symptom="backward-other")
        self.beats.append("backward")
        self.piled_up.append(self.norm() > 0)
        self.is_scaled = True
        super().backward(tensor * SCALE, model, *args, **kwargs)

    def unscale_gradients(self, optimizer=None):
        self.beats.append("clip")
        self._unscale()

    def _unscale(self):
        if self.is_scaled:
            for one in self.line.parameters():
                if one.grad is not None:
                    one.grad.div_(SCALE)
        self.is_scaled = False

    def optimizer_step(self, optimizer, **kwargs):
        self.beats.append("step")
        scaled_norm = self.norm()
        was_scaled = self.is_scaled
        self._unscale()
        grads = [torch.zeros_like(one) if one.grad is None else one.grad for one in self.line.parameters()]
        grads = torch.cat([one.flatten() for one in grads]).cpu()
        self.used.append(SimpleNamespace(norm=self.norm(), grads=grads, before=scaled_norm, was_scaled=was_scaled))
        return super().optimizer_step(optimizer, **kwargs)


def line_batches(device):
    """기울기가 큰 것, 작은 것, 큰 것."""
    points = torch.tensor([[1, 2, 0], [0, 1, 3], [2, 0, 1], [1, 1, 1]], device=device)
    small = torch.tensor([[0.03], [0.04], [0.02], [0.05]], device=device)
    labels = torch.tensor([[3.0, -2.0, 4.0, 1.0], [0.02, 0.05, 0.01, 0.03], [-5.0, 1.0, 2.0, -3.0]], device=device)
    ids = (points.float(), points.float() * small, points.flip(0).float())
    return [
        {"input_ids": one, "attention_mask": torch.ones_like(points), "labels": label}
        for one, label in zip(ids, labels, strict=True)
    ]


def line_reference(batches, device):
    """박자를 하나하나 손으로 셈한 것: 걸음마다의 (손실, 기울기의 크기, 고친 뒤의 가중치, 다음 학습률)."""
    line = Line([]).to(device)
    weight, bias = line.weight.detach().clone(), line.bias.detach().clone()
    steps, rate = [], RATE
    for batch in batches:
        weight.requires_grad_(True)
        bias.requires_grad_(True)
        loss = line_loss(batch, weight, bias)
        grads = torch.autograd.grad(loss, [weight, bias])
        norm = sum(float(one.square().sum()) for one in grads) ** 0.5
        cut = min(1.0, LIMIT / norm)
        weight, bias = (one.detach() - rate * cut * grad for one, grad in zip((weight, bias), grads, strict=True))
        rate *= DECAY
        flat, weights = torch.cat([one.flatten() for one in grads]).cpu(), [*weight.tolist(), bias.item()]
        steps.append(SimpleNamespace(loss=loss.item(), norm=norm, grads=flat, weights=weights, rate=rate))
    return steps


@pytest.fixture
def steps(new_loop, device):
    """`optimize`를 세 번 부른 기록. 걸음마다의 박자, 결과, 가중치, 학습률과 손으로 셈한 값."""
    beats: list[str] = []
    line = Line(beats)
    precision = ScaledGradients(beats, line)
    fabric = Fabric(accelerator=device, devices=1, plugins=precision)
    wrapped, optimizer = fabric.setup(line, torch.optim.SGD(line.parameters(), lr=RATE))
    model = LineModel(line, wrapped)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=DECAY)
    next_rate = scheduler.step

    told = []  # scheduler.step에 건넨 것들

    def schedule(*args, **kwargs):
        beats.append("schedule")
        told.extend(show(one) for one in (*args, *kwargs.values()) if one is not None)
        return next_rate(*args, **kwargs)

    scheduler.step = schedule
    loop = new_loop(
        fabric=fabric,
        model=model,
        optimizer=optimizer,
        scheduler=scheduler,
        steps_per_epoch=3,
        total_steps=3,
    )
    loop.args.learning.max_grad_norm = LIMIT
    model.train()
    batches = line_batches(device)
    records = []
    for batch, want in zip(batches, line_reference(batches, device), strict=True):
        beats.clear()
        outputs = optimize(loop, batch)
        records.append(
            SimpleNamespace(
                beats=list(beats),
                outputs=outputs,
                weights=[*line.weight.tolist(), line.bias.item()],
                rate=optimizer.param_groups[0]["lr"],
                norm_left=precision.norm(),
                want=want,
            )
        )
    made = SimpleNamespace(records=records, precision=precision, position=copy.copy(loop.position), told=told)
    made.accumulates = False
    if "step" not in records[0].beats:  # 여러 배치를 모아 고치는 답이라면, 계속 부르면 언젠가는 고칩니다.
        for _ in range(32):
            optimize(loop, batches[1])
        made.accumulates = "step" in beats or any("step" in record.beats for record in records)
    return made


def optimize(loop, batch):
    """학생의 `optimize`를 부릅니다. 알아본 예외는 무엇이 틀렸는지로 바꿉니다."""
    try:
        return loop.optimize(batch)
    except AttributeError as error:
        if match := re.search(r"'dict' object has no attribute '(loss|acc)'", str(error)):
            shown = {"expected": f'["{match[1]}"]', "got": f".{match[1]}", "name": match[1]}
            fail("사전의 값을 점으로 꺼내려 했습니다.", idea="training_step의 결과", symptom="dot-loss", **shown)
        raise


BEATS = {
    "forward": "손실 구하기(training_step)",
    "backward": "역전파(fabric.backward)",
    "clip": "자르기(fabric.clip_gradients)",
    "step": "가중치 고치기(optimizer.step)",
    "schedule": "학습률 옮기기(scheduler.step)",
}


@todo("4-2")
def test_no_beat_is_missing(steps):
    """한 걸음에는 순전파, 역전파, 자르기, 고치기, 학습률이 한 번씩 있습니다."""
    first = steps.records[0]
    beats = first.beats
    if "bypass" in beats:
        fail(
            "Fabric이 감싼 lang_model을 거치지 않고 손실을 구했습니다.",
            idea="Fabric",
            expected="self.model.training_step",
            got="감싸지 않은 모델",
        )
    if "forward" not in beats:
        fail("손실을 구하지 않았습니다.", idea="순전파", expected="training_step 한 번", got="0번")
    if "backward" not in beats:
        by_hand = first.norm_left > 0 or first.weights != [*Line([]).weight.tolist(), Line([]).bias.item()]
        fail(
            "fabric.backward를 부르지 않았습니다.",
            idea="역전파",
            expected="fabric.backward 한 번",
            got="loss.backward" if by_hand else "역전파 없음",
            symptom="plain-backward" if by_hand else "no-backward",
        )
    if "step" not in beats:
        fail(
            "가중치를 고치지 않았습니다.",
            idea="옵티마이저",
            expected="배치마다 optimizer.step 한 번",
            got="몇 배치에 한 번" if steps.accumulates else "0번",
            symptom="accumulates" if steps.accumulates else "no-step",
        )
    if "clip" not in beats:
        used = steps.precision.used[0]
        elsewhere = used.was_scaled and used.before <= 2 * LIMIT
        fail(
            "기울기를 fabric에게 맡겨 자르지 않았습니다.",
            idea="기울기 자르기",
            expected=f"크기 {LIMIT} 이하",
            got=f"크기 {used.norm:.4f}",
            symptom="clip-outside" if elsewhere else "no-clip",
        )
    if "schedule" not in beats:
        fail(
            "학습률을 다음 걸음으로 옮기지 않았습니다.",
            idea="학습률 스케줄",
            expected=f"다음 학습률 {first.want.rate:.4f}",
            got=f"{first.rate:.4f}",
            symptom="no-schedule",
        )
    for record in steps.records:
        for beat, name in BEATS.items():
            count = record.beats.count(beat)
            if count != 1:
                fail(
                    f"{name}을(를) 걸음마다 한 번씩 하지 않았습니다.",
                    idea="한 걸음의 박자",
                    expected=f"{name} 한 번",
                    got=f"{count}번",
                    symptom="beat-twice" if count > 1 else "beat-skipped",
                    beat=name,
                )


@todo("4-2")
def test_beats_come_in_order(steps):
    """역전파 → 자르기 → 고치기 → 학습률의 차례입니다."""
    for number, record in enumerate(steps.records):
        beats = [beat for beat in record.beats if beat != "bypass"]
        at = {beat: beats.index(beat) for beat in beats}
        if not {"backward", "clip", "step", "schedule"} <= set(at):
            fail(
                "빠진 박자가 있어 차례를 볼 수 없습니다.",
                idea="한 걸음의 박자",
                expected="네 박자",
                got=" → ".join(beats),
            )
        shown = {"expected": "backward → clip → step → schedule", "got": " → ".join(beats)}
        if at["step"] < at["backward"]:
            fail("역전파보다 먼저 가중치를 고쳤습니다.", idea="박자의 차례", symptom="step-first", **shown)
        if at["clip"] < at["backward"]:
            fail("역전파보다 먼저 기울기를 잘랐습니다.", idea="박자의 차례", symptom="clip-early", **shown)
        if at["clip"] > at["step"]:
            fail("가중치를 고친 뒤에 기울기를 잘랐습니다.", idea="박자의 차례", symptom="clip-late", **shown)
        if at["schedule"] < at["step"]:
            fail("가중치보다 학습률을 먼저 바꾸었습니다.", idea="박자의 차례", symptom="schedule-first", **shown)
        if steps.precision.used[number].norm == 0:
            fail(
                "가중치를 고칠 때 기울기가 비어 있습니다.",
                idea="박자의 차례",
                expected=f"기울기의 크기 {min(record.want.norm, LIMIT):.4f}",
                got="0",
                symptom="zero-late",
            )


@todo("4-2")
def test_gradients_of_earlier_steps_do_not_pile_up(steps):
    """기울기는 걸음마다 새로 구합니다."""
    if any(steps.precision.piled_up):
        fail(
            "앞 걸음의 기울기 위에 새 기울기를 더했습니다.",
            idea="기울기 지우기",
            expected="역전파 앞의 기울기 0",
            got="앞 걸음의 기울기",
            symptom=None if steps.accumulates else "no-zero-grad",
        )


@todo("4-2")
def test_gradients_are_cut_at_the_limit(steps):
    """기울기 전체의 크기가 max_grad_norm을 넘으면 거기까지 줄이고, 넘지 않으면 그대로 둡니다."""
    used, wants = steps.precision.used, [record.want.norm for record in steps.records]
    if len(used) != len(wants) or any(steps.precision.piled_up) or any(one.norm == 0 for one in used):
        fail(
            "앞의 박자가 틀려 자른 크기를 볼 수 없습니다.",
            idea="기울기 자르기",
            expected="세 걸음의 기울기",
            got="다른 것",
        )
    for one, norm in zip(used, wants, strict=True):
        want = min(norm, LIMIT)
        if close(one.norm, want, 1e-3):
            continue
        by_fabric = all("clip" in record.beats for record in steps.records)
        symptom = cutting_symptom(used, steps.records) if by_fabric else None
        shown = {"expected": f"{want:.4f}", "got": f"{one.norm:.4f}", "limit": LIMIT}
        fail("자른 뒤의 기울기의 크기가 다릅니다.", idea="기울기 자르기", symptom=symptom, **shown)


def cutting_symptom(used, records):
    """자른 크기가 다를 때의 증상. 둘째 배치의 기울기는 한계보다 작아 자르지 않습니다."""
    big, small = used[0], used[1]
    cosine = torch.nn.functional.cosine_similarity(big.grads, records[0].want.grads, dim=0)
    if matches(records[0].weights, records[0].want.weights, 1e-4) and small.norm < LIMIT:
        return "scaled-loss"  # 첫 배치는 잘려서 같아지고, 자르지 않는 둘째에서 드러납니다.
    if matches(big.norm, LIMIT, 1e-3):
        return None  # 자르기는 맞습니다. 다른 까닭으로 가중치가 달라졌습니다.
    if cosine > 0.9999 and any(matches(float(big.grads.norm(p)), LIMIT, 1e-3) for p in (1, torch.inf)):
        return "other-norm"
    if big.norm > LIMIT and float(big.grads.abs().max()) <= LIMIT * 1.001:
        return "clip-by-value"
    return "wrong-limit" if matches(big.norm, used[2].norm, 1e-3) else None


@todo("4-2")
def test_three_steps_match_the_arithmetic(steps):
    """세 걸음의 손실, 가중치, 학습률이 손으로 셈한 것과 같습니다."""
    for record in steps.records:
        if not isinstance(record.outputs, dict) or not {"loss", "acc"} <= set(record.outputs):
            fail(
                "outputs에 training_step의 결과가 담겨 있지 않습니다.",
                idea="걸음의 결과",
                expected="loss와 acc가 든 사전",
                got=", ".join(record.outputs) if isinstance(record.outputs, dict) else type(record.outputs).__name__,
                symptom="not-outputs",
            )
        numbers = [name for name in ("loss", "acc") if not isinstance(record.outputs[name], torch.Tensor)]
        if numbers:
            shown = {"expected": "텐서", "got": type(record.outputs[numbers[0]]).__name__, "name": numbers[0]}
            fail("outputs의 텐서를 수로 바꾸었습니다.", idea="걸음의 결과", symptom="loss-number", **shown)
        assert_close(
            record.outputs["loss"],
            record.want.loss,
            atol=1e-5,
            idea="한 걸음",
            message="돌려준 손실이 고치기 전의 손실과 다릅니다.",
        )
        assert_close(
            record.weights, record.want.weights, atol=1e-6, idea="한 걸음", message="고친 뒤의 가중치가 다릅니다."
        )
        assert_close(
            record.rate,
            record.want.rate,
            atol=1e-9,
            idea="학습률 스케줄",
            message="다음 걸음의 학습률이 다릅니다.",
            symptom="schedule-told" if steps.told else None,
            told=", ".join(steps.told[:1]),
        )
    if steps.position.step != 3:
        shown = {"expected": "3걸음", "got": f"{steps.position.step}걸음"}
        fail("걸음 수를 여기서도 세었습니다.", idea="진행", symptom="counted-twice", **shown)


# ── 4-3 흩어진 값 모으기 ──────────────────────────────────────────────────────────────────────────────────────


class Deadlock(Exception):
    """어떤 프로세스는 기다리는데 다른 프로세스는 오지 않습니다."""


class Processes:
    """프로세스 여럿을 쓰레드로 흉내 냅니다. `all_gather`는 모두가 불러야 끝나고, 모양이 같아야 합니다."""

    def __init__(self, count, device):
        self.count, self.device = count, device
        self.meeting, self.box, self.gone = threading.Condition(), {}, set()
        self.gathered_lists, self.was_asked = False, False

    def run(self, work, parts):
        """프로세스마다 `work(fabric, 제 몫)`을 부른 결과들."""
        results, errors = {}, {}

        def one(rank):
            try:
                results[rank] = work(self.fabric(rank), parts[rank])
            except BaseException as error:  # noqa: BLE001  쓰레드 안의 예외를 부른 쪽으로 옮깁니다.
                errors[rank] = error
            finally:
                with self.meeting:
                    self.gone.add(rank)
                    self.meeting.notify_all()

        threads = [threading.Thread(target=one, args=(rank,), daemon=True) for rank in range(self.count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for rank in sorted(errors, key=lambda rank: isinstance(errors[rank], Deadlock)):
            raise errors[rank]
        return [results[rank] for rank in range(self.count)]

    def fabric(self, rank):
        fabric = one_process(self.device, rank, self.count)
        rounds = iter(range(10**6))

        def all_gather(data, group=None, sync_grads=False):
            self.was_asked = True
            if isinstance(data, dict):
                return {name: all_gather(one) for name, one in data.items()}
            if isinstance(data, (list, tuple)):
                self.gathered_lists = True
                return type(data)(all_gather(one) for one in data)
            data = torch.as_tensor(data, device=self.device)
            return torch.stack(self._meet(next(rounds), rank, data)) if self.count > 1 else data

        def all_reduce(*args, **kwargs):
            shown = {"expected": "fabric.all_gather", "got": "fabric.all_reduce"}
            fail("모으지 않고 하나로 합쳤습니다.", idea="all_gather", symptom="all-reduce", **shown)

        fabric.all_gather, fabric.all_reduce = all_gather, all_reduce
        return fabric

    def _meet(self, number, rank, data):
        with self.meeting:
            came = self.box.setdefault(number, {})
            came[rank] = data
            self.meeting.notify_all()
            self.meeting.wait_for(lambda: len(came) == self.count or self.gone - came.keys(), timeout=30)
            if len(came) < self.count or len({one.shape for one in came.values()}) > 1:
                raise Deadlock
        return [came[one] for one in range(self.count)]


def scattered(whole, processes):
    """`evaluation_loader`처럼 한 장씩 돌려 나눈 값들. 모자라면 마지막을 되풀이합니다."""
    short = -len(whole) % processes
    cards = torch.cat([whole, *[whole[-1:]] * short])
    return [cards[rank::processes].clone() for rank in range(processes)]


def predictions(count, device):
    """같은 값이 여러 번 나오는 예측들, (count,) int64."""
    return torch.tensor([2, 0, 1, 1, 0, 2, 2, 1, 0, 0, 1, 2, 0], device=device)[:count]


def probabilities(count, device):
    """(count, 3) float32."""
    return torch.arange(3.0 * count, device=device).reshape(count, 3).sin()


def tables(count, device):
    """예문마다 표 하나, (count, 2, 3) float32."""
    return torch.arange(6.0 * count, device=device).reshape(count, 2, 3).cos()


def gather_everywhere(load, device, whole, processes):
    """프로세스마다 모은 결과를 견주어 봅니다."""
    gather, parts, world = load(4).gather, scattered(whole, processes), Processes(processes, device)
    count = len(whole)
    try:
        results = world.run(lambda fabric, values: gather(fabric, values, count), parts)
    except Deadlock:
        fail(
            "모든 프로세스가 함께 all_gather를 부르지 않아 서로 기다리다 멈췄습니다.",
            idea="all_gather",
            expected=f"프로세스 {processes}개가 같은 모양으로",
            got="멈춤",
            symptom="rank-zero-only",
        )
    except (TypeError, ValueError):
        if world.gathered_lists:
            not_a_tensor("list", "all_gather에 텐서가 아니라 목록을 건네, 모은 것을 한 텐서로 되돌리지 못했습니다.")
        raise
    for own, got in zip(parts, results, strict=True):
        check_gathered(got, whole, own, parts, world.was_asked)


def not_a_tensor(got, message="모은 것이 텐서가 아닙니다."):
    fail(message, idea="all_gather", expected="텐서", got=got, symptom="not-a-tensor")


def check_gathered(got, whole, own, parts, was_asked=True):
    """모은 것이 옳은지. `was_asked`는 all_gather를 불렀는지입니다."""
    if not isinstance(got, torch.Tensor):
        not_a_tensor("아직 비어 있음" if got is None or got is ... else type(got).__name__)
    if got.dtype != whole.dtype and got.shape == whole.shape and matches(got, whole.to(got.dtype), 1e-6):
        shown = {"expected": show_dtype(whole), "got": show_dtype(got)}
        fail("모은 값의 dtype이 달라졌습니다.", idea="dtype", symptom="other-dtype", **shown)
    if close(got, whole, 0):
        return
    count, shapes = len(whole), {"expected": tuple(whole.shape), "got": tuple(got.shape)}
    blocks, everything = torch.cat(parts), torch.stack(parts, dim=1).flatten(0, 1)
    if len(parts) > 1 and any(matches(got, one, 0) for one in (own, own[:count])):
        symptom = "own-only" if was_asked else "never-gathered"
        fail("제 몫만 돌려주었습니다.", idea="all_gather", symptom=symptom, **shapes)
    if got.dim() == whole.dim() + 1:
        fail("프로세스 축이 남아 있습니다.", idea="프로세스 축", symptom="not-merged", **shapes)
    if got.dim() > 0 and len(got) > count and matches(got[:count], whole, 0):
        fail("되풀이한 예문을 떼지 않았습니다.", idea="되풀이한 예문", symptom="repeats", **shapes)
    if len(parts) > 1 and any(matches(got, one, 0) for one in (blocks, blocks[:count])):
        shown = {"expected": show(whole[:4].flatten()[:4]), "got": show(got[:4].flatten()[:4])}
        fail("프로세스별로 이어 붙였습니다.", idea="순서", symptom="blocks", **shown)
    name_values(got, whole, everything, shapes)


def show_dtype(values):
    return str(values.dtype).removeprefix("torch.")


def without_equals(got, whole, everything):
    """값이 같은 예문을 하나만 남긴 것인가."""
    kept = torch.unique(got, dim=0) if got.dim() == whole.dim() else got
    every = [torch.unique(whole, dim=0), torch.unique_consecutive(everything, dim=0)]
    has_equals, has_none = len(every[0]) < len(whole), len(kept) == len(got)
    return any(matches(got, one, 0) for one in every) or (has_equals and has_none and matches(kept, every[0], 0))


def name_values(got, whole, everything, shapes):
    """모은 값이 다를 때, 무엇을 잘못했는지 알아봅니다."""
    count, first = len(whole), {"expected": show(whole.flatten()[:6]), "got": show(got.flatten()[:6])}
    if got.dim() > 0 and len(got) < count and matches(got, whole[: len(got)], 0):
        fail("진짜 예문까지 떼어 냈습니다.", idea="예문의 수", symptom="too-short", **shapes)
    if len(everything) > count and matches(got, everything[-count:], 0):
        fail("뒤가 아니라 앞에서 떼어 냈습니다.", idea="되풀이한 예문", symptom="cut-front", **first)
    if matches(got, whole.sort(dim=0).values, 0) or matches(got, everything.sort(dim=0).values[:count], 0):
        fail("예문의 순서가 아니라 값의 크기대로 늘어놓았습니다.", idea="순서", symptom="sorted", **first)
    if got.dim() > 0 and without_equals(got, whole, everything):
        fail("값이 같은 예문을 지웠습니다.", idea="되풀이한 예문", symptom="unique", **shapes)
    if got.dim() < whole.dim():
        symptom = "flatten-all" if got.dim() < 2 else "two-axes"
        fail("예문마다의 모양이 사라졌습니다.", idea="축", symptom=symptom, **shapes)
    same_values = matches(got.flatten().sort().values, whole.flatten().sort().values, 0)
    if whole.dim() > 1 and (got.shape != whole.shape or same_values):
        rows = {"expected": f"{shapes['expected']} {first['expected']}", "got": f"{shapes['got']} {first['got']}"}
        fail("예문마다의 줄이 흐트러졌습니다.", idea="축", symptom="rows-broken", **rows)
    assert_equal(shapes["got"], shapes["expected"], idea="축", message="모은 값의 모양이 다릅니다.")
    assert_close(got, whole, atol=0, idea="순서", message="모은 값의 순서가 혼자 읽은 것과 다릅니다.")


def works_with(load, device, values_of, processes):
    """프로세스가 그만큼일 때는 옳은가."""
    whole = values_of(6, device)
    try:
        results = Processes(processes, device).run(
            lambda fabric, values: load(4).gather(fabric, values, 6), scattered(whole, processes)
        )
    except Exception:  # noqa: BLE001  무엇으로 멈추든 맞지 않는 것입니다.
        return False
    return all(isinstance(one, torch.Tensor) and matches(one, whole, 0) for one in results)


def only_one_process_fails(load, device, values_of):
    """프로세스가 둘일 때만 옳은가, 여럿이면 언제나 옳은가. 그에 맞는 증상."""
    if not works_with(load, device, values_of, 2):
        return None
    return "one-process" if works_with(load, device, values_of, 3) else "two-processes"


@todo("4-3")
@pytest.mark.parametrize("count", [5, 1])
@pytest.mark.parametrize("values_of", [predictions, probabilities, tables])
def test_one_process_keeps_its_values(load, device, values_of, count):
    """프로세스가 하나뿐이면 제 값이 그대로 모은 값입니다. 예문이 하나여도 그렇습니다."""
    whole = values_of(count, device)
    gather, world = load(4).gather, Processes(1, device)
    try:
        (got,) = world.run(lambda fabric, values: gather(fabric, values, count), [whole.clone()])
    except TodoNotDone:
        raise
    except (IndexError, RuntimeError, ValueError, TypeError) as error:
        if not (symptom := only_one_process_fails(load, device, values_of)):
            raise
        fail(
            "프로세스가 하나일 때 멈췄습니다.",
            idea="프로세스 축",
            expected=tuple(whole.shape),
            got=type(error).__name__,
            symptom=symptom,
        )
    is_wrong = isinstance(got, torch.Tensor) and not close(got, whole, 0)
    if is_wrong and (symptom := only_one_process_fails(load, device, values_of)):
        shown = {"expected": show(whole), "got": show(got)}
        fail("프로세스가 하나일 때 값이 달라졌습니다.", idea="프로세스 축", symptom=symptom, **shown)
    check_gathered(got, whole, whole, [whole])


@todo("4-3")
@pytest.mark.parametrize(("processes", "count"), [(2, 8), (3, 9)])
def test_values_come_back_in_the_order_of_one_process(load, device, processes, count):
    """모은 예측은 한 프로세스가 혼자 읽은 것과 같은 순서입니다."""
    gather_everywhere(load, device, predictions(count, device), processes)


@todo("4-3")
@pytest.mark.parametrize(("processes", "count"), [(2, 7), (3, 10), (3, 11), (3, 1)])
def test_repeated_examples_are_dropped(load, device, processes, count):
    """수를 맞추려고 되풀이한 예문은 세지 않습니다."""
    gather_everywhere(load, device, predictions(count, device), processes)


@todo("4-3")
@pytest.mark.parametrize(
    ("values_of", "processes", "count"),
    [(probabilities, 2, 8), (probabilities, 2, 7), (probabilities, 3, 10), (tables, 2, 3)],
)
def test_rows_stay_whole(load, device, values_of, processes, count):
    """(예문, 라벨 수)인 확률도, 축이 더 많은 값도 예문마다의 모양을 지키며 모입니다."""
    gather_everywhere(load, device, values_of(count, device), processes)


# ── 4-4 때맞추어 검증하기 ─────────────────────────────────────────────────────────────────────────────────────

PER_EPOCH, TOTAL, PRINT_STEPS = 5, 10, 2


@cache
def plain_fabric(device):
    """한 프로세스의 Fabric. 만들 때마다 설치된 패키지를 모두 훑으므로 한 번만 만듭니다."""
    return Fabric(accelerator=device, devices=1)


@known_as("NSMCModel")
class WithDropout(torch.nn.Module):
    """드롭아웃이 있는 작은 모델. `TrainingLoop`의 모델처럼 lang_model만 Fabric이 감쌌습니다.

    Attributes:
        plain: 감싸기 전의 lang_model. `parameters()`나 `state_dict()`에 두 번 나오지 않도록 튜플에 담아 둡니다.
    """

    def __init__(self, device="cpu"):
        super().__init__()
        self.plain = (torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5)),)
        self.lang_model = plain_fabric(device).setup_module(self.plain[0])
        self.loaded = False  # 바깥 모델에 load_state_dict를 불렀는가

    def load_state_dict(self, state_dict, *args, **kwargs):
        self.loaded = True
        return super().load_state_dict(state_dict, *args, **kwargs)

    def training_step(self, batch, batch_idx=0):
        """루프를 검사할 때 손수 학습하는 답이 부르는 것."""
        return {"loss": torch.zeros((), requires_grad=True), "acc": torch.tensor(0.5)}

    def val_dataloader(self):
        """모델의 로더. 프로세스마다 나누지 않았으므로 루프는 쓰지 않습니다."""
        return ModelLoader()


@known_as("DataLoader")
class ModelLoader:
    def __iter__(self):
        return iter([{}])


class ValLoader(ModelLoader):
    """루프의 val_loader."""


def validations(new_loop, device, val_steps, rank=0, processes=1):
    """열 걸음을 걸으며 `after_step`을 부른 기록.

    Returns:
        (검증들, 기록들, 걸음 뒤의 모드들). 검증은 (걸음, 로더, 학습 모드인가), 기록은 (걸음, 값).
    """
    evaluated, recorded, kept, modes = [], [], [], []
    model = WithDropout()
    dropout = model.plain[0][1]

    def evaluate(self, loader):
        evaluated.append((self.position.step, loader, dropout.training))
        return {"val_loss": 1.0 / self.position.step, "val_acc": self.position.step / 100}

    def record(self, metrics=None, **unpacked):
        recorded.append((self.position.step, "풀어서 건넨 값들" if unpacked else metrics))

    loop = new_loop(
        fabric=one_process(device, rank, processes),
        model=model,
        train_loader=range(PER_EPOCH),
        val_loader=ValLoader(),
        print_steps=PRINT_STEPS,
        report=lambda outputs: None,
        steps_per_epoch=PER_EPOCH,
        total_steps=TOTAL,
        val_steps=val_steps,
        kept=kept,
        save_last=lambda: None,
    )
    loop.evaluate, loop.record = method_of(loop, evaluate), method_of(loop, record)
    loop.keep_if_good = loop.tracker.log = lambda *args, **kwargs: kept.append(loop.position.step)
    loop.args.learning.num_epochs = TOTAL // PER_EPOCH
    loop.model.train()
    for step in range(1, TOTAL + 1):
        loop.position = Position((step - 1) // PER_EPOCH, (step - 1) % PER_EPOCH + 1, step)
        loop.after_step({"loss": torch.tensor(0.5), "acc": torch.tensor(0.5)})
        modes.append(dropout.training)
        loop.model.train()
    return loop, evaluated, recorded, modes


def at(condition):
    """그 조건에 맞는 걸음들. 조건은 (걸음, val_steps) → 검증하는 횟수."""
    return lambda every: [step for step in range(1, TOTAL + 1) for _ in range(int(condition(step, every)))]


# 흔한 실수가 검증하는 걸음들. 어느 val_steps에서나 그대로여야 그 실수입니다.
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
    "one-late": at(lambda step, every: (step - 1) % every == 0 or step == TOTAL),
    "last-early": at(lambda step, every: step % every == 0 or step == TOTAL - 1),
    "inverted": at(lambda step, every: step % every != 0 or step == TOTAL),
    "quotient": at(lambda step, every: step // every == 0 or step == TOTAL),
    "from-then-on": at(lambda step, every: step >= every or step == TOTAL),
}
SAME_NAME = {"one-late": "one-early", "last-early": "one-early", "print-steps": "other-steps"}
SAME_NAME["per-epoch"] = "other-steps"
EVERY = (3, 4, 5, 1, 20)


def check_schedule(validated, val_steps):
    """검증한 걸음들이 val_steps의 배수와 마지막 걸음인지. `validated(3)`은 3걸음마다일 때 검증한 걸음들입니다."""
    got, want = validated(val_steps), sorted({*range(val_steps, TOTAL + 1, val_steps), TOTAL})
    if got == want:
        return
    every = {one: validated(one) for one in EVERY}
    names = [name for name, steps in SCHEDULES.items() if all(steps(one) == got for one, got in every.items())]
    shown = {"idea": "검증 주기", "expected": f"{want}걸음", "got": f"{got}걸음", "every": val_steps}
    symptom = SAME_NAME.get(names[0], names[0]) if names else None
    fail(f"{val_steps}걸음마다 검증해야 하는데, 검증한 걸음이 다릅니다.", symptom=symptom, **shown)


@todo("4-4")
@pytest.mark.parametrize("val_steps", EVERY)
def test_validation_comes_every_val_steps_and_at_the_end(new_loop, device, val_steps):
    """val_steps 걸음마다, 그리고 맨 마지막 걸음에서 한 번씩 검증합니다."""
    check_schedule(lambda every: [step for step, _, _ in validations(new_loop, device, every)[1]], val_steps)


@todo("4-4")
def test_validation_reads_the_validation_loader_in_eval_mode(new_loop, device):
    """검증은 드롭아웃을 끈 평가 모드에서, 검증 로더로 합니다."""
    loop, evaluated, _, _ = validations(new_loop, device, 3)
    if any(loader is loop.train_loader for _, loader, _ in evaluated):
        fail(
            "학습 데이터로 검증했습니다.",
            idea="검증",
            expected="val_loader",
            got="train_loader",
            symptom="train-loader",
        )
    if others := [loader for _, loader, _ in evaluated if loader is not loop.val_loader]:
        got = "모델의 val_dataloader()" if isinstance(others[0], ModelLoader) else type(others[0]).__name__
        message = "루프의 검증 로더가 아닌 것을 evaluate에 건넸습니다."
        fail(message, idea="검증", expected="self.val_loader", got=got, symptom="other-loader")
    if any(training for _, _, training in evaluated):
        fail("학습 모드에서 검증했습니다.", idea="train/eval", expected="평가 모드", got="학습 모드", symptom="no-eval")


@todo("4-4")
def test_training_mode_is_restored(new_loop, device):
    """검증이 끝나면 학습 모드로 돌아옵니다."""
    _, _, _, modes = validations(new_loop, device, 3)
    if not all(modes):
        step = modes.index(False) + 1
        fail(
            f"{step}걸음 뒤에 모델이 평가 모드에 남아 있습니다.",
            idea="train/eval",
            expected="학습 모드",
            got="평가 모드",
            symptom="stay-eval",
        )


@todo("4-4")
def test_every_validation_is_recorded(new_loop, device):
    """검증할 때마다 그 값을 record에 건넵니다."""
    loop, evaluated, recorded, _ = validations(new_loop, device, 3)
    steps = dict.fromkeys(step for step, _, _ in evaluated)
    want = [(step, {"val_loss": 1.0 / step, "val_acc": step / 100}) for step in steps]
    if evaluated and not recorded:
        fail(
            "검증만 하고 record에 건네지 않았습니다.",
            idea="기록",
            expected=f"{len(want)}번",
            got="0번",
            symptom="own-record" if loop.kept else "not-recorded",
        )
    if len(recorded) < len(want):
        shown = {"expected": f"{len(want)}번", "got": f"{len(recorded)}번"}
        fail("record에 건네지 않은 검증이 있습니다.", idea="기록", symptom="not-recorded", **shown)
    for (step, got), (_, metrics) in zip(recorded, want, strict=False):
        if got != metrics:
            what = ", ".join(map(str, got)) if isinstance(got, dict) else show(got)
            fail(
                f"{step}걸음에 record에 건넨 것이 그때의 검증 값이 아닙니다.",
                idea="기록",
                expected="val_loss, val_acc가 든 사전",
                got=f"사전({what})" if isinstance(got, dict) else what,
                symptom="other-record",
            )
    steps = [step for step, _ in want], [step for step, _ in recorded]
    assert_equal(steps[1], steps[0], idea="기록", message="record를 부른 걸음이 검증한 걸음과 다릅니다.")


@todo("4-4")
def test_every_process_validates(new_loop, device):
    """검증은 모든 프로세스가 함께 합니다. 값을 모으려면 서로가 있어야 하기 때문입니다."""
    _, zero, zero_recorded, _ = validations(new_loop, device, 3, rank=0, processes=2)
    _, evaluated, recorded, _ = validations(new_loop, device, 3, rank=1, processes=2)
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
def test_a_stop_signal_is_heard_on_any_step(new_loop, step):
    """멈추라는 신호는 검증하는 걸음이든 아니든 들립니다."""
    saved = []
    loop = new_loop(
        model=WithDropout(),
        evaluate=lambda loader: {"val_loss": 0.5, "val_acc": 0.5},
        record=lambda metrics: None,
        save_last=lambda: saved.append(True),
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
        loop.after_step({"loss": torch.tensor(0.5), "acc": torch.tensor(0.5)})
    except KeyboardInterrupt:
        stopped = True
    if not (stopped and saved):
        fail(
            "멈추라는 신호를 듣지 못했습니다.",
            idea="Ctrl-C",
            expected="저장하고 멈춤",
            got="계속함",
            symptom="early-return",
        )


# ── 4-5 좋은 것만 남기기 ──────────────────────────────────────────────────────────────────────────────────────

# 검증마다의 (손실, 정확도). 어느 쪽에도 같은 값이 두 번 나오고, 남은 것 가운데 가장 나쁜 것과 비기기도 합니다. 넷째나
# 다섯째 자리에서야 갈리는 값들도 있습니다. 파일 이름에는 여섯째 자리까지 적힙니다.
VALUES = [
    (0.623418, 0.503164),
    (0.571206, 0.701427),
    (0.581952, 0.603142),
    (0.571248, 0.603142),
    (0.571132, 0.603218),
    (0.713091, 0.701427),
    (0.571109, 0.701451),
    (0.492315, 0.402633),
    (0.571109, 0.752318),
]


@known_as("CheckpointSaver")
class WatchedSaver(CheckpointSaver):
    """무엇을 저장했는지 적어 두는 saver."""

    def __init__(self, *args):
        super().__init__(*args)
        self.saved, self.asked = [], []
        self.metrics, self.step = {}, 0  # 지금의 검증 값과 걸음 수

    def is_worth_keeping(self, value):
        self._must_be_a_number(value)
        self.asked.append((value, self.metrics))
        return super().is_worth_keeping(value)

    def best(self):
        if not self.checkpoints():
            message, shown = "아직 아무것도 없는데 best를 물었습니다.", {"expected": "is_worth_keeping", "got": "best"}
            fail(message, idea="남길 것 고르기", symptom="best-of-none", **shown)
        return super().best()

    @staticmethod
    def _must_be_a_number(value):
        if isinstance(value, (str, dict, list, tuple)) or value is None:
            got = f"'{value}'(이)라는 글" if isinstance(value, str) else type(value).__name__
            shown = {"expected": "수", "got": got, "symptom": "not-a-number"}
            fail("saver에 건넨 값이 수가 아닙니다.", idea="saver.metric", **shown)

    def save_best(self, weights, value, step):
        if isinstance(value, bool):
            shown = {"expected": show(self.metrics[self.metric]), "got": value, "symptom": "kept-answer"}
            fail("검증 값 대신 물음의 답을 저장했습니다.", idea="is_worth_keeping", **shown)
        if isinstance(weights, (int, float)) or (isinstance(step, float) and isinstance(value, int)):
            kinds = " · ".join(type(one).__name__ for one in (weights, value, step))
            fail(
                "save_best의 인수를 다른 차례로 건넸습니다.",
                idea="save_best의 인수",
                expected="가중치(dict) · 값(float) · 걸음 수(int)",
                got=kinds,
                symptom="swapped",
            )
        if not isinstance(weights, dict) or not all(isinstance(one, torch.Tensor) for one in weights.values()):
            got = type(weights).__name__
            fail(
                "가중치(state_dict)가 아닌 것을 저장하려 했습니다.",
                idea="state_dict",
                expected="이름 → 텐서",
                got=got,
                symptom="not-weights",
            )
        self._must_be_a_number(value)
        if not isinstance(step, (int, float)):
            shown = {"expected": "걸음 수(int)", "got": type(step).__name__}
            fail("저장한 걸음 수가 다릅니다.", idea="진행", symptom="wrong-step", **shown)
        weights_then = {name: one.clone() for name, one in weights.items()}
        then = {"weights": weights_then, "metrics": self.metrics, "step_then": self.step}
        self.saved.append(SimpleNamespace(value=value, step=step, **then))
        return super().save_best(weights, value, step)


def keep_all(new_loop, device, folder, saving_mode, num_saving, again_at=0):
    """검증 값들을 차례로 건넵니다. 검증할 때마다 가중치가 달라집니다.

    Args:
        again_at: 이만큼 검증한 뒤에는 새 루프가 같은 폴더에서 이어 합니다.

    Returns:
        (saver, 저장했어야 하는 것들). 저장했어야 하는 것은 (값, 걸음 수, 가중치).
    """
    saver = WatchedSaver(folder, saving_mode, num_saving)
    model = WithDropout(device)
    held, want = [], []
    for number, (loss, acc) in enumerate(VALUES, start=1):
        if number in (1, again_at + 1):
            loop = new_loop(model=model, saver=saver, steps_per_epoch=PER_EPOCH, total_steps=100)
            loop.args.learning.saving_mode, loop.args.learning.num_saving = saving_mode, num_saving
            loop.save_last = lambda: (folder / LAST).touch()
        step = number * 7
        loop.position = Position(step // PER_EPOCH, step % PER_EPOCH, step)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(number)
        value = acc if saving_mode.endswith("val_acc") else loss
        goodness = value if saving_mode.startswith("max") else -value
        if len(held) < num_saving or goodness > held[-1]:
            held = sorted([*held, goodness], reverse=True)[:num_saving]
            want.append((value, step, {k: v.clone() for k, v in model.plain[0].state_dict().items()}))
        saver.metrics, saver.step = {"val_loss": loss, "val_acc": acc}, step
        given = dict(saver.metrics)
        try:
            loop.keep_if_good(given)
        except KeyError as error:
            if isinstance(name := error.args[0], str) and name not in saver.metrics:
                shown = {"expected": f"val_loss 또는 val_acc(지금은 {saver.metric})", "got": name}
                fail("metrics에 없는 이름으로 꺼냈습니다.", idea="saver.metric", symptom="wrong-key", **shown)
            raise
        if given != saver.metrics:
            shown = {"expected": ", ".join(saver.metrics), "got": ", ".join(given) or "빈 사전"}
            fail("받은 metrics를 바꾸었습니다.", idea="부른 쪽의 값", symptom="changed-metrics", **shown)
    return saver, want


def check_saved(saver, want, saving_mode):
    got, values = [one.value for one in saver.saved], [value for value, _, _ in want]
    if got == values:
        return
    name_metric(saver)
    shown = {"idea": "남길 것 고르기", "mode": saving_mode}
    shown |= {"expected": f"{len(want)}번 저장", "got": f"{len(got)}번 저장"}
    if not got:
        never_saved(saver, shown)
    if got == [value for value in values for _ in range(2)]:
        fail("같은 것을 두 번 저장했습니다.", symptom="saved-twice", **shown)
    symptom = next((name for name, saved in habits(saver) if got == saved), None)
    if symptom == "always-save":
        fail("검증할 때마다 저장했습니다.", symptom=symptom, **shown)
    message = f"{saving_mode}일 때 저장할 것을 빠뜨렸거나, 저장하지 않을 것을 저장했습니다."
    fail(message, symptom=symptom, **{**shown, "expected": show(values), "got": show(got)})


def name_metric(saver):
    """saver에 건넨 값이 saver.metric의 것이 아니면 실패합니다."""
    used = [*saver.asked, *((one.value, one.metrics) for one in saver.saved)]
    other = "val_loss" if saver.metric == "val_acc" else "val_acc"
    shown = {"idea": "saving_mode", "expected": saver.metric}
    if used and all(value == metrics[other] for value, metrics in used):
        fail("다른 값을 보고 골랐습니다.", got=other, symptom="fixed-metric", **shown)
    for value, metrics in used:
        if any(value == round(one, digits) for one in metrics.values() for digits in range(6) if value != one):
            shown = {"idea": "saver.metric", "expected": metrics[saver.metric], "got": value}
            fail("검증 값을 반올림하여 건넸습니다.", symptom="rounded", **shown)
        if value not in metrics.values():
            shown = {"idea": "saver.metric", "expected": metrics[saver.metric], "got": value}
            fail("검증 값을 바꾸어 건넸습니다.", symptom="changed-value", **shown)
    if any(value != metrics[saver.metric] for value, metrics in used):
        message, got = "물어본 값과 저장한 값이 서로 다른 것입니다.", "val_loss와 val_acc를 섞음"
        fail(message, got=got, symptom="mixed-metrics", **shown)


def habits(saver):
    """흔한 실수가 저장하는 값들. `held`는 남아 있는 것들, 좋은 것부터입니다. 이 안에서는 클수록 좋습니다."""
    sign, count = (1 if saver.higher_is_better else -1), saver.num_saving
    values = [sign * (loss if saver.metric == "val_loss" else acc) for loss, acc in VALUES]
    rules = [
        ("always-save", lambda one, held: True),
        ("only-first", lambda one, held: not held),
        ("ties", lambda one, held: len(held) < count or one >= held[-1]),
        ("only-best", lambda one, held: not held or one > held[0]),
        ("wrong-direction", lambda one, held: len(held) < count or sign * one > min(sign * two for two in held)),
        ("wrong-direction", lambda one, held: not held or sign * one > sign * held[0]),
    ]
    for least in (1e-4, 1e-3, 1e-2):  # 이만큼은 나아져야 한다고 여길 때
        rules.append(("margin", lambda one, held, least=least: len(held) < count or one > held[-1] + least))
    made = []
    for name, is_worth in rules:
        held, saved = [], []
        for value in values:
            if is_worth(value, held):
                saved.append(sign * value)
                held = sorted([*held, value], reverse=True)[:count]
        made.append((name, saved))
    return made


def never_saved(saver, shown):
    """`save_best`를 한 번도 부르지 않았습니다."""
    if files := sorted(path.name for path in saver.folder.iterdir()):
        fail("save_best가 아닌 것으로 저장했습니다.", symptom="own-file", **{**shown, "got": files[0]})
    fail("아무것도 저장하지 않았습니다.", symptom="never-saved", **shown)


MODES = pytest.mark.parametrize(
    ("saving_mode", "num_saving"), [("max val_acc", 2), ("min val_loss", 2), ("min val_loss", 1)]
)


@todo("4-5")
@MODES
def test_only_the_good_ones_are_saved(new_loop, device, tmp_path, saving_mode, num_saving):
    """saving_mode가 고르는 값으로, 남길 만한 것만 저장합니다."""
    saver, want = keep_all(new_loop, device, tmp_path, saving_mode, num_saving)
    check_saved(saver, want, saving_mode)


@todo("4-5")
@MODES
def test_the_step_is_written(new_loop, device, tmp_path, saving_mode, num_saving):
    """걸음 수는 처음부터 센 것입니다."""
    saver, _ = keep_all(new_loop, device, tmp_path, saving_mode, num_saving)
    for one in saver.saved:
        if one.step != one.step_then:
            shown = {"expected": one.step_then, "got": one.step}
            fail("저장한 걸음 수가 다릅니다.", idea="진행", symptom="wrong-step", **shown)


@todo("4-5")
def test_the_weights_of_that_moment_are_saved(new_loop, device, tmp_path):
    """그때의 lang_model의 가중치를, lang_model의 이름으로 저장합니다."""
    saver, want = keep_all(new_loop, device, tmp_path, "max val_acc", 2)
    for one, (_, _, weights) in zip(saver.saved, want, strict=False):
        if set(one.weights) != set(weights):
            fail(
                "저장한 가중치의 이름이 lang_model의 것과 다릅니다.",
                idea="state_dict",
                expected=sorted(weights)[0],
                got=sorted(one.weights)[0] if one.weights else "없음",
                symptom="wrong-weights",
            )
        for name, tensor in weights.items():
            assert_close(
                one.weights[name], tensor, atol=0, idea="state_dict", message=f"저장한 {name}이 그때의 것과 다릅니다."
            )


@todo("4-5")
def test_the_best_come_first_in_the_folder(new_loop, device, tmp_path):
    """폴더에는 좋은 것부터 num_saving개가 남습니다."""
    saver, _ = keep_all(new_loop, device, tmp_path, "min val_loss", 2)
    kept = [one.value for one in saver.checkpoints()]
    assert_equal(
        kept,
        sorted(loss for loss, _ in VALUES)[:2],
        idea="남길 것 고르기",
        message="남은 체크포인트가 다릅니다.",
    )


@todo("4-5")
@pytest.mark.parametrize(("saving_mode", "num_saving"), [("max val_acc", 2), ("min val_loss", 1)])
def test_a_resumed_training_asks_the_folder(new_loop, device, tmp_path, saving_mode, num_saving):
    """이어 하는 학습은 앞서 남긴 체크포인트와도 견줍니다."""
    first, _ = keep_all(new_loop, device, tmp_path / "first", saving_mode, num_saving)
    saver, want = keep_all(new_loop, device, tmp_path / "again", saving_mode, num_saving, again_at=2)
    got, values = [one.value for one in saver.saved], [value for value, _, _ in want]
    symptom = "own-memory" if got != [one.value for one in first.saved] else None
    message = "이어 하는 학습이 폴더에 남아 있는 것과 견주지 않았습니다."
    assert_equal(got, values, idea="이어 하기", message=message, symptom=symptom)


# ── 4-6 이어 하기 ─────────────────────────────────────────────────────────────────────────────────────────────


class Trained:
    """드롭아웃이 있는 작은 모델과 AdamW, 스케줄러. 학생의 코드 없이 스스로 걸을 수 있습니다."""

    def __init__(self, seed, device):
        torch.manual_seed(seed)
        self.model = WithDropout(device)
        (self.lang_model,) = self.model.plain
        self.optimizer = torch.optim.AdamW(self.lang_model.parameters(), lr=0.1)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: 1 / (1 + step))
        self.device = device

    def walk(self, count):
        for _ in range(count):
            self.optimizer.zero_grad()
            inputs = torch.rand(8, 2, device=self.device) + float(np.random.rand()) + random.random()
            (self.lang_model(inputs) - 1).square().mean().backward()
            self.optimizer.step()
            self.scheduler.step()

    def weights(self):
        return torch.cat([one.detach().flatten() for one in self.lang_model.parameters()])


class UnusedSaver(CheckpointSaver):
    """되돌릴 때 열어 볼 까닭이 없는 체크포인트 폴더. 되돌릴 것은 모두 받은 state에 있습니다."""

    def __init__(self):
        super().__init__("없는 폴더")

    def checkpoints(self):
        return [Checkpoint(self._opened("checkpoints"), 0.5, 3)]

    def best(self):
        return Checkpoint(self._opened("best"), 0.5, 3)

    def load_last(self, device="cpu"):
        self._opened("load_last")

    @staticmethod
    def _opened(name):
        shown = {"expected": "state에 든 것", "got": f"saver.{name}()"}
        fail(
            "받은 state가 아니라 체크포인트 폴더에서 되돌리려 했습니다.",
            idea="이어 하기",
            symptom="from-folder",
            **shown,
        )


def seeded_again(*args, **kwargs):
    shown = {"expected": "저장한 자리", "got": "seed_everything이 정한 처음"}
    fail("난수를 되돌리지 않고 새로 시작했습니다.", idea="난수", symptom="reseeded", **shown)


def restore(loop, state):
    """학생의 `restore`를 부릅니다. 알아본 예외는 무엇이 틀렸는지로 바꿉니다."""
    loop.saver, loop.fabric.seed_everything = UnusedSaver(), seeded_again
    loop.train_loader, loop.val_loader, loop.val_steps = Batches(), ValLoader(), 2
    try:
        loop.restore(state)
    except RuntimeError as error:
        if "for NSMCModel" in str(error) and "lang_model." in str(error):
            outer_model("오류")
        raise
    except TypeError as error:
        if "list indices must be integers" in str(error):
            shown = {"expected": "이 프로세스의 난수(사전)", "got": "프로세스마다의 난수가 든 목록"}
            fail("모든 프로세스의 난수를 통째로 건넸습니다.", idea="난수", symptom="all-ranks", **shown)
        raise
    except KeyError as error:
        if error.args[0] in ("param_groups", "state"):
            shown = {"expected": "옵티마이저의 상태", "got": "다른 것의 상태"}
            fail("옵티마이저에 다른 것의 상태를 넣었습니다.", idea="state_dict", symptom="other-state", **shown)
        raise


def outer_model(got):
    shown = {"expected": "self.model.lang_model", "got": got}
    message = "가중치를 lang_model이 아니라 바깥 모델에 넣으려 했습니다."
    fail(message, idea="state_dict", symptom="outer-model", **shown)


@pytest.fixture
def resumed(new_loop, device):
    """세 걸음 걷고 저장한 학습과, 그 상태로 되돌린 새 루프. 두 프로세스 가운데 1번입니다."""
    before = rng_state()
    seeds = {}
    for seed in (11, 22):
        random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
        seeds[seed] = rng_state()
    old = Trained(3, device)
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    old.walk(3)
    mine = rng_state()
    state = {
        "model": old.lang_model.state_dict(),
        "optimizer": old.optimizer.state_dict(),
        "scheduler": old.scheduler.state_dict(),
        "scaler": {},
        "position": {"epoch": 1, "batch": 1, "step": 3},
        "rng": [seeds[11], mine, seeds[22]],
        "history": [{"step": 3, "loss": 0.5}],
    }
    kept = io.BytesIO()
    torch.save(state, kept)
    kept.seek(0)

    new = Trained(4, device)
    fresh = new.weights()
    random.seed(6), np.random.seed(6), torch.manual_seed(6)
    untouched, seed_before = rng_state(), torch.initial_seed()
    fabric = one_process(device, rank=1, processes=3)
    loop = new_loop(
        fabric=fabric,
        model=new.model,
        optimizer=new.optimizer,
        scheduler=new.scheduler,
        steps_per_epoch=2,
        total_steps=8,
    )
    restore(loop, torch.load(kept, map_location=device, weights_only=True))
    after, seed = rng_state(), torch.initial_seed()
    yield SimpleNamespace(
        loop=loop,
        old=old,
        new=new,
        fresh=fresh,
        rng=after,
        seed=seed,
        seed_before=seed_before,
        mine=mine,
        others=[seeds[11], seeds[22]],
        untouched=untouched,
    )
    set_rng_state(before)


def draw(state):
    """그 난수 상태에서 이어 뽑은 세 수: 파이썬, NumPy, PyTorch."""
    set_rng_state(state)
    return [random.random(), float(np.random.rand()), float(torch.rand(1))]


def draw_after(seed):
    """그 시드로 새로 시작했을 때 뽑는 세 수."""
    random.seed(seed), np.random.seed(seed % 2**32), torch.manual_seed(seed)
    return [random.random(), float(np.random.rand()), float(torch.rand(1))]


@todo("4-6")
def test_weights_are_restored(resumed):
    """가중치가 저장한 때와 같습니다."""
    parameters = resumed.loop.model.lang_model.parameters()
    got, want = torch.cat([one.detach().flatten() for one in parameters]), resumed.old.weights()
    if matches(got, resumed.fresh, 0) and resumed.loop.model.loaded:
        outer_model("맞는 이름이 없어 아무것도 바뀌지 않음")
    if matches(got, resumed.fresh, 0):
        fail(
            "가중치를 되돌리지 않았습니다.", idea="이어 하기", expected=show(want), got=show(got), symptom="no-weights"
        )
    assert_close(got, want, atol=0, idea="이어 하기", message="가중치가 저장한 때와 다릅니다.")


@todo("4-6")
def test_the_optimizer_remembers(resumed):
    """AdamW가 기억하던 기울기의 평균과 걸음 수가 돌아옵니다."""
    got, want = (one.optimizer.state_dict()["state"] for one in (resumed.loop, resumed.old))
    if not got:
        fail(
            "옵티마이저가 아무것도 기억하지 못합니다.",
            idea="옵티마이저의 상태",
            expected=f"파라미터 {len(want)}개의 평균",
            got="없음",
            symptom="no-optimizer",
        )
    for number, kept in want.items():
        for name, value in kept.items():
            mine = got.get(number, {}).get(name) if isinstance(got.get(number, {}), dict) else None
            if mine is None:
                shown = {"expected": f"파라미터마다의 {name}", "got": "없음"}
                message = "옵티마이저가 기억해야 할 것이 제자리에 없습니다."
                fail(message, idea="옵티마이저의 상태", symptom="other-state", **shown)
            assert_close(
                mine, value, atol=0, idea="옵티마이저의 상태", message=f"옵티마이저의 {name}이 저장한 때와 다릅니다."
            )
    owned = {id(one) for group in resumed.loop.optimizer.param_groups for one in group["params"]}
    if not all(id(one) in owned for one in resumed.loop.model.lang_model.parameters()):
        shown = {"expected": "옵티마이저가 쥔 파라미터", "got": "새로 만든 파라미터"}
        message = "모델의 파라미터가 옵티마이저가 고치는 것과 다른 것이 되었습니다."
        fail(message, idea="옵티마이저", symptom="other-parameters", **shown)
    rates = [[group["lr"] for group in one.optimizer.param_groups] for one in (resumed.loop, resumed.old)]
    tops = (
        resumed.loop.args.learning.learning_rate,
        *(one["initial_lr"] for one in resumed.old.optimizer.param_groups),
    )
    symptom = "lr-reset" if any(matches(one, top, 1e-12) for one in rates[0] for top in tops) else None
    message = "옵티마이저의 학습률이 저장한 때와 다릅니다."
    assert_close(rates[0], rates[1], atol=1e-12, idea="옵티마이저의 상태", message=message, symptom=symptom)


@todo("4-6")
def test_the_schedule_goes_on(resumed):
    """학습률 스케줄이 멈춘 걸음에서 이어집니다."""
    got, want = (one.scheduler.state_dict()["last_epoch"] for one in (resumed.loop, resumed.old))
    if got != want:
        fail(
            "학습률 스케줄이 멈춘 걸음에 있지 않습니다.",
            idea="학습률 스케줄",
            expected=f"{want}걸음",
            got=f"{got}걸음",
            symptom="no-scheduler" if got == 0 else None,
        )
    assert_close(
        resumed.loop.scheduler.get_last_lr(),
        resumed.old.scheduler.get_last_lr(),
        atol=1e-12,
        idea="학습률 스케줄",
        message="학습률이 저장한 때와 다릅니다.",
    )


@todo("4-6")
def test_the_position_is_restored(resumed):
    """몇 에포크, 몇 배치, 몇 걸음까지 왔는지 되살아납니다."""
    got, want = resumed.loop.position, Position(epoch=1, batch=1, step=3)
    if isinstance(got, dict):
        fail(
            "진행이 Position이 아니라 사전입니다.",
            idea="Position",
            expected="Position",
            got="dict",
            symptom="position-dict",
        )
    if got == Position():
        fail("진행을 되돌리지 않았습니다.", idea="이어 하기", expected=want, got=got, symptom="no-position")
    if got != want:
        name_position(got, want)
    for name in ("epoch", "batch", "step"):
        assert_equal(type(getattr(got, name)), int, idea="Position", message=f"position.{name}이 정수가 아닙니다.")


def name_position(got, want):
    """되돌린 진행이 다를 때, 무엇을 잘못했는지 알아봅니다."""
    shown = {"idea": "Position", "expected": want, "got": show(got)}
    if not isinstance(got, Position):
        fail("진행이 Position이 아닙니다.", symptom="not-position", **shown)
    values, wants = list(vars(got).values()), list(vars(want).values())
    if any(isinstance(one, dict) for one in values):
        fail("사전을 통째로 Position의 첫 값에 담았습니다.", symptom="position-dict", **shown)
    if any(isinstance(one, str) for one in values):
        fail("진행의 값이 아니라 이름을 담았습니다.", symptom="position-names", **shown)
    if sorted(values) == sorted(wants):
        fail("진행의 값들을 서로 다른 자리에 담았습니다.", symptom="position-other", **shown)
    if all(one in (0, kept) for one, kept in zip(values, wants, strict=True)):
        fail("진행의 일부만 되돌렸습니다.", symptom="position-part", **shown)
    if got.epoch == want.epoch + 1:
        fail("마치지 않은 에포크를 마친 것으로 적었습니다.", symptom="epoch-skipped", **shown)
    fail("되돌린 진행(position)이 저장한 것과 어긋납니다.", symptom="position-changed", **shown)


@todo("4-6")
def test_random_numbers_go_on(resumed):
    """난수는 이 프로세스가 저장한 자리에서 이어집니다."""
    got, want = draw(resumed.rng), draw(resumed.mine)
    if any(matches(got, draw(other), 0) for other in resumed.others):
        fail(
            "다른 프로세스의 난수로 되돌렸습니다.",
            idea="난수",
            expected="1번 프로세스의 난수",
            got="다른 프로세스의 난수",
            symptom="wrong-rank",
        )
    if matches(got, draw(resumed.untouched), 0):
        fail("난수를 되돌리지 않았습니다.", idea="난수", expected=show(want), got=show(got), symptom="no-rng")
    if resumed.seed != resumed.seed_before and matches(got[2:], draw_after(resumed.seed)[2:], 0):
        shown = {"expected": "저장한 자리", "got": f"시드 {resumed.seed}의 처음"}
        fail("난수를 되돌리지 않고 새로 시작했습니다.", idea="난수", symptom="reseeded", **shown)
    names = ("파이썬", "NumPy", "PyTorch")
    wrong = [name for name, one, other in zip(names, got, want, strict=True) if one != other]
    if wrong:
        fail(
            f"{', '.join(wrong)}의 난수가 저장한 자리에서 이어지지 않습니다.",
            idea="난수",
            expected=show(want),
            got=show(got),
            symptom="some-rng",
            wrong=", ".join(wrong),
        )


@todo("4-6")
def test_two_more_steps_are_the_same_as_never_stopping(resumed):
    """이어 한 두 걸음의 가중치가 한 번도 멈추지 않은 학습과 같습니다."""
    set_rng_state(resumed.mine)
    resumed.old.walk(2)
    loop = resumed.loop
    going_on = copy.copy(resumed.new)
    going_on.lang_model = loop.model.lang_model
    going_on.optimizer, going_on.scheduler = loop.optimizer, loop.scheduler
    set_rng_state(resumed.rng)
    going_on.walk(2)
    assert_close(
        going_on.weights(),
        resumed.old.weights(),
        atol=1e-6,
        idea="이어 하기",
        message="이어 한 학습이 멈추지 않은 학습과 달라졌습니다.",
    )


# ── 단계 파일 전체 ────────────────────────────────────────────────────────────────────────────────────────────


def test_mixed_precision_reaches_every_linear_layer(load, tmp_path):
    """bf16-mixed로 만든 루프에서는 training_step 안의 Linear가 모두 bfloat16으로 셈합니다."""
    step4 = load(4)
    model = support.build(step4)
    saver = CheckpointSaver(tmp_path, model.args.learning.saving_mode, 1)
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    loop = step4.TrainingLoop(fabric, model, saver)
    layers = {name: one for name, one in loop.model.lang_model.named_modules() if isinstance(one, torch.nn.Linear)}
    dtypes = {}
    for name, layer in layers.items():
        layer.register_forward_hook(lambda _, __, output, name=name: dtypes.update({name: output.dtype}))
    loop.model.train()
    loop.model.training_step(support.batch_of(model))
    assert_equal(
        {name: dtypes.get(name) for name in layers},
        dict.fromkeys(layers, torch.bfloat16),
        idea="autocast",
        message="정밀도(bf16-mixed)가 training_step의 계산에 닿지 않았습니다.",
    )
    assert layers
    assert {one.dtype for one in loop.model.parameters()} == {torch.float32}  # 가중치는 32비트로 남습니다.
