"""4단계의 검사: 반복, 한 걸음의 박자, 모으기, 검증, 남기기, 이어 하기.

루프는 `__init__`을 거치지 않고 만들어, 앞 단계나 다른 TODO가 비어 있어도 저마다 검사할 수 있습니다.
"""

from __future__ import annotations

import copy
import io
import random
import threading
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import Precision

from course.checking import assert_close, assert_equal, close, fail, show, todo
from nlpbook.checkpoints import CheckpointSaver, rng_state, set_rng_state
from nlpbook.tracking import Position, Tracker
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


def one_process(device, rank=0, processes=1):
    """이름만 Fabric인 것. 프로세스가 몇 개이고 그 가운데 몇 번인지 압니다."""
    return SimpleNamespace(
        world_size=processes,
        global_rank=rank,
        local_rank=rank,
        is_global_zero=rank == 0,
        device=torch.device(device),
        barrier=lambda name=None: None,
        strategy=SimpleNamespace(precision=SimpleNamespace(state_dict=dict, load_state_dict=lambda state: None)),
    )


# ── 4-1 에포크와 배치의 반복 ──────────────────────────────────────────────────────────────────────────────────

EPOCHS, BATCHES = 3, 4


class Batches:
    """에포크마다 배치 넷을 내는 로더. 배치에 제 (에포크, 번호)가 적혀 있고, `LengthBatchSampler`처럼 움직입니다."""

    def __init__(self):
        self.batch_sampler, self.epoch, self.first, self.asked = self, 0, 0, 0

    def start_at(self, epoch, batch=0):
        self.epoch, self.first = epoch, batch

    def __len__(self):
        return BATCHES

    def __iter__(self):
        self.asked += 1
        if self.asked > 20:
            never_ends()
        for number in range(self.first, BATCHES):
            ids = torch.tensor([[self.epoch, number]])
            yield {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.tensor([0])}


def never_ends():
    fail(
        "반복이 끝나지 않습니다.",
        idea="에포크",
        expected=f"{EPOCHS}에포크",
        got="끝없는 반복",
        symptom="no-next-epoch",
    )


def walk(new_loop, position):
    """`run()`을 부르고, 무엇을 배웠는지 적은 것을 돌려줍니다.

    Returns:
        (루프, 배운 배치들, after_step에 건넨 것들). 배치는 (에포크, 번호), 건넨 것은 (무엇, 그때의 진행).
    """
    learned, told = [], []

    def optimize(batch):
        if len(learned) > 10 * EPOCHS * BATCHES:
            never_ends()
        learned.append(tuple(batch["input_ids"][0].tolist()))
        loop.position.next_batch()
        return {"loss": torch.tensor(0.5), "acc": torch.tensor(0.5), "of": learned[-1]}

    def after_step(outputs):
        what = outputs.get("of", "batch" if "input_ids" in outputs else None) if isinstance(outputs, dict) else None
        told.append((what, loop.position.to_dict()))

    loop = new_loop(
        train_loader=Batches(),
        model=WithDropout(),
        position=position,
        steps_per_epoch=BATCHES,
        total_steps=EPOCHS * BATCHES,
        optimize=optimize,
        after_step=after_step,
    )
    loop.args.learning.num_epochs = EPOCHS
    loop.fabric.is_global_zero = False
    loop.run()
    return loop, learned, told


def lessons(first_epoch=0, first_batch=0):
    """그 자리부터 끝까지의 (에포크, 번호)."""
    every = [(epoch, batch) for epoch in range(EPOCHS) for batch in range(BATCHES)]
    return every[first_epoch * BATCHES + first_batch :]


@todo("4-1")
def test_every_batch_of_every_epoch_is_learned_once(new_loop):
    """에포크마다 모든 배치를 한 번씩, 그 에포크의 순서로 배웁니다."""
    loop, learned, _ = walk(new_loop, Position())
    want = lessons()
    if learned == lessons()[:BATCHES] * EPOCHS:
        fail(
            "에포크마다 같은 순서로 읽었습니다.",
            idea="에포크마다의 순서",
            expected="에포크 번호 0, 1, 2",
            got="에포크 번호 0, 0, 0",
            symptom="not-remaining",
        )
    if loop.position.epoch == 0 and learned == want[:BATCHES]:
        fail(
            "첫 에포크 뒤로는 배운 배치가 없습니다.",
            idea="진행",
            expected=f"배치 {len(want)}개",
            got=f"배치 {len(learned)}개",
            symptom="no-next-epoch",
        )
    if loop.position.epoch > EPOCHS:
        fail(
            "에포크를 너무 많이 세었습니다.",
            idea="진행",
            expected=f"마친 에포크 {EPOCHS}",
            got=f"마친 에포크 {loop.position.epoch}",
            symptom="next-epoch-inside",
        )
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
    if any(what == "batch" for what, _ in told):
        fail(
            "after_step에 배치를 건넸습니다.",
            idea="걸음의 결과",
            expected="optimize의 결과",
            got="배치",
            symptom="after-step-batch",
        )
    assert_equal(
        [what for what, _ in told],
        learned,
        idea="걸음의 결과",
        message="after_step에 건넨 것이 그 걸음의 결과가 아닙니다.",
    )
    places = [{"epoch": epoch, "batch": batch + 1, "step": i} for i, (epoch, batch) in enumerate(learned, start=1)]
    for (_, got), want in zip(told, places, strict=True):
        assert_equal(got, want, idea="진행", message="after_step을 부를 때의 진행(position)이 다릅니다.")


@todo("4-1")
def test_finished_epochs_are_counted(new_loop):
    """끝까지 걸으면 마친 에포크는 num_epochs이고, 다음 에포크의 첫 배치 앞에 서 있습니다."""
    loop, _, _ = walk(new_loop, Position())
    want = {"epoch": EPOCHS, "batch": 0, "step": EPOCHS * BATCHES}
    assert_equal(loop.position.to_dict(), want, idea="진행", message="다 걸은 뒤의 진행(position)이 다릅니다.")


@todo("4-1")
@pytest.mark.parametrize(("epoch", "batch"), [(1, 2), (2, 0), (0, BATCHES), (2, BATCHES), (EPOCHS, 0)])
def test_resumed_training_walks_only_what_is_left(new_loop, epoch, batch):
    """이어 하는 학습은 멈춘 자리의 다음 배치부터, 남은 것만 배웁니다."""
    _, learned, _ = walk(new_loop, Position(epoch, batch, epoch * BATCHES + batch))
    want = lessons(epoch, batch)
    if len(learned) > len(want):
        fail(
            "이어 하는 학습이 정한 것보다 오래 걸립니다.",
            idea="이어 하기",
            expected=f"남은 배치 {len(want)}개",
            got=f"배운 배치 {len(learned)}개",
            symptom="from-zero" if epoch > 0 and want and learned[: len(want)] == want else None,
        )
    assert_equal(learned, want, idea="이어 하기", message="이어 하는 학습이 남은 배치를 그대로 배우지 않았습니다.")


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


class LineModel(torch.nn.Module):
    """`NSMCModel`처럼, 감싸지 않은 모델 안에 Fabric이 감싼 lang_model이 있습니다."""

    def __init__(self, line, wrapped):
        super().__init__()
        self.lang_model = wrapped
        wrapped.register_forward_pre_hook(lambda *_: setattr(line, "through_fabric", True))

    def training_step(self, batch, batch_idx=0):
        return {"loss": self.lang_model(**batch).loss, "acc": torch.tensor(0.25)}


class ScaledGradients(Precision):
    """16비트 학습처럼 손실을 크게 불려 역전파하고, 자르기나 고치기 전에 기울기를 되돌립니다. 박자를 적어 둡니다."""

    precision = "32-true"

    def __init__(self, beats, line):
        self.beats, self.line, self.is_scaled = beats, line, False
        self.piled_up, self.used = [], []

    def norm(self):
        return sum(float(one.grad.square().sum()) for one in self.line.parameters() if one.grad is not None) ** 0.5

    def backward(self, tensor, model, *args, **kwargs):
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
        grads = [one.grad.abs().max().item() for one in self.line.parameters() if one.grad is not None]
        biggest = max(grads, default=0.0)
        self.used.append(SimpleNamespace(norm=self.norm(), biggest=biggest, before=scaled_norm, was_scaled=was_scaled))
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
        steps.append(SimpleNamespace(loss=loss.item(), norm=norm, weights=[*weight.tolist(), bias.item()], rate=rate))
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

    def schedule(*args, **kwargs):
        beats.append("schedule")
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
        outputs = loop.optimize(batch)
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
    return SimpleNamespace(records=records, precision=precision, position=loop.position)


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
            expected="optimizer.step 한 번",
            got="0번",
            symptom="no-step",
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
        for beat in ("forward", "backward", "clip", "step", "schedule"):
            count = record.beats.count(beat)
            if count != 1:
                fail(
                    "한 걸음에 같은 박자가 한 번이 아닙니다.",
                    idea="한 걸음의 박자",
                    expected=f"{beat} 한 번",
                    got=f"{count}번",
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
            symptom="no-zero-grad",
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
        symptom = None
        if one.norm > LIMIT and one.biggest <= LIMIT * 1.001:
            symptom = "clip-by-value"
        elif norm > LIMIT and close(used[0].norm, used[2].norm, 1e-3):
            symptom = "wrong-limit"
        shown = {"expected": f"{want:.4f}", "got": f"{one.norm:.4f}", "limit": LIMIT}
        fail("자른 뒤의 기울기의 크기가 다릅니다.", idea="기울기 자르기", symptom=symptom, **shown)


@todo("4-2")
def test_three_steps_match_the_arithmetic(steps):
    """세 걸음의 손실, 가중치, 학습률이 손으로 셈한 것과 같습니다."""
    for record in steps.records:
        if not isinstance(record.outputs, dict) or not {"loss", "acc"} <= set(record.outputs):
            fail(
                "training_step의 결과를 돌려주지 않았습니다.",
                idea="걸음의 결과",
                expected="loss, acc",
                got=show(record.outputs),
            )
        assert_close(
            record.outputs["loss"],
            record.want.loss,
            atol=1e-4,
            idea="한 걸음",
            message="돌려준 손실이 고치기 전의 손실과 다릅니다.",
        )
        assert_close(
            record.weights, record.want.weights, atol=1e-5, idea="한 걸음", message="고친 뒤의 가중치가 다릅니다."
        )
        assert_close(
            record.rate, record.want.rate, atol=1e-9, idea="학습률 스케줄", message="다음 걸음의 학습률이 다릅니다."
        )
    assert_equal(steps.position.step, 3, idea="진행", message="세 걸음 뒤의 걸음 수가 다릅니다.")


# ── 4-3 흩어진 값 모으기 ──────────────────────────────────────────────────────────────────────────────────────


class Deadlock(Exception):
    """어떤 프로세스는 기다리는데 다른 프로세스는 오지 않습니다."""


class Processes:
    """프로세스 여럿을 쓰레드로 흉내 냅니다. `all_gather`는 모두가 불러야 끝나고, 모양이 같아야 합니다."""

    def __init__(self, count, device):
        self.count, self.device = count, device
        self.meeting, self.box, self.gone = threading.Condition(), {}, set()

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
            if isinstance(data, dict):
                return {name: all_gather(one) for name, one in data.items()}
            if isinstance(data, (list, tuple)):
                return type(data)(all_gather(one) for one in data)
            data = torch.as_tensor(data, device=self.device)
            return torch.stack(self._meet(next(rounds), rank, data)) if self.count > 1 else data

        fabric.all_gather = all_gather
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


def gather_everywhere(load, device, whole, processes):
    """프로세스마다 모은 결과를 견주어 봅니다."""
    gather, parts = load(4).gather, scattered(whole, processes)
    count = len(whole)
    try:
        results = Processes(processes, device).run(lambda fabric, values: gather(fabric, values, count), parts)
    except Deadlock:
        fail(
            "모든 프로세스가 함께 all_gather를 부르지 않아 서로 기다리다 멈췄습니다.",
            idea="all_gather",
            expected=f"프로세스 {processes}개가 같은 모양으로",
            got="멈춤",
            symptom="rank-zero-only",
        )
    for own, got in zip(parts, results, strict=True):
        check_gathered(got, whole, own, torch.cat(parts), processes)


def check_gathered(got, whole, own, blocks, processes):
    if not isinstance(got, torch.Tensor):
        fail("모은 것이 텐서가 아닙니다.", idea="all_gather", expected=show(whole), got=type(got).__name__)
    if close(got, whole, 0):
        assert_equal(got.dtype, whole.dtype, idea="dtype", message="모은 값의 dtype이 달라졌습니다.")
        return
    count, shapes = len(whole), {"expected": tuple(whole.shape), "got": tuple(got.shape)}
    if processes > 1 and any(close(got, one, 0) for one in (own, own[:count])):
        fail("제 몫만 돌려주었습니다.", idea="all_gather", symptom="own-only", **shapes)
    if got.dim() > 0 and len(got) > count and close(got[:count], whole, 0):
        fail("되풀이한 예문을 떼지 않았습니다.", idea="되풀이한 예문", symptom="repeats", **shapes)
    if processes > 1 and any(close(got, one, 0) for one in (blocks, blocks[:count])):
        shown = {"expected": show(whole[:4].flatten()[:4]), "got": show(got[:4].flatten()[:4])}
        fail("프로세스별로 이어 붙였습니다.", idea="순서", symptom="blocks", **shown)
    if got.dim() != whole.dim():
        fail("예문마다의 모양이 사라졌습니다.", idea="축", symptom="flatten-all", **shapes)
    assert_equal(tuple(got.shape), tuple(whole.shape), idea="축", message="모은 값의 모양이 다릅니다.")
    assert_close(got, whole, atol=0, idea="순서", message="모은 값의 순서가 혼자 읽은 것과 다릅니다.")


@todo("4-3")
@pytest.mark.parametrize("values_of", [predictions, probabilities])
def test_one_process_keeps_its_values(load, device, values_of):
    """프로세스가 하나뿐이면 제 값이 그대로 모은 값입니다."""
    whole = values_of(5, device)
    try:
        (got,) = Processes(1, device).run(lambda fabric, values: load(4).gather(fabric, values, 5), [whole.clone()])
    except TodoNotDone:
        raise
    except (IndexError, RuntimeError, ValueError, TypeError) as error:
        fail(
            "프로세스가 하나일 때 멈췄습니다.",
            idea="프로세스 축",
            expected=tuple(whole.shape),
            got=type(error).__name__,
            symptom="one-process",
        )
    if not close(got, whole, 0):
        if isinstance(got, torch.Tensor) and whole.dim() > 1 and close(got, whole.flatten()[: len(got)], 0):
            shapes = {"expected": tuple(whole.shape), "got": tuple(got.shape)}
            fail("예문마다의 모양이 사라졌습니다.", idea="축", symptom="flatten-all", **shapes)
        columns = whole.dim() > 1 and close(got, whole.transpose(0, 1).flatten(0, 1)[:5], 0)
        fail(
            "프로세스가 하나일 때 값이 달라졌습니다.",
            idea="프로세스 축",
            expected=show(whole),
            got=show(got),
            symptom="one-process" if columns else None,
        )


@todo("4-3")
@pytest.mark.parametrize(("processes", "count"), [(2, 8), (3, 9)])
def test_values_come_back_in_the_order_of_one_process(load, device, processes, count):
    """모은 예측은 한 프로세스가 혼자 읽은 것과 같은 순서입니다."""
    gather_everywhere(load, device, predictions(count, device), processes)


@todo("4-3")
@pytest.mark.parametrize(("processes", "count"), [(2, 7), (3, 10), (3, 11)])
def test_repeated_examples_are_dropped(load, device, processes, count):
    """수를 맞추려고 되풀이한 예문은 세지 않습니다."""
    gather_everywhere(load, device, predictions(count, device), processes)


@todo("4-3")
@pytest.mark.parametrize(("processes", "count"), [(2, 8), (2, 7), (3, 10)])
def test_rows_stay_whole(load, device, processes, count):
    """(예문, 라벨 수)인 확률은 줄을 지키며 모입니다."""
    gather_everywhere(load, device, probabilities(count, device), processes)


# ── 4-4 때맞추어 검증하기 ─────────────────────────────────────────────────────────────────────────────────────

PER_EPOCH, TOTAL = 5, 10


@cache
def plain_fabric(device):
    """한 프로세스의 Fabric. 만들 때마다 설치된 패키지를 모두 훑으므로 한 번만 만듭니다."""
    return Fabric(accelerator=device, devices=1)


class WithDropout(torch.nn.Module):
    """드롭아웃이 있는 작은 모델. `TrainingLoop`의 모델처럼 lang_model만 Fabric이 감쌌습니다.

    Attributes:
        plain: 감싸기 전의 lang_model. `parameters()`나 `state_dict()`에 두 번 나오지 않도록 튜플에 담아 둡니다.
    """

    def __init__(self, device="cpu"):
        super().__init__()
        self.plain = (torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5)),)
        self.lang_model = plain_fabric(device).setup_module(self.plain[0])


def validations(new_loop, device, val_steps, rank=0, processes=1):
    """열 걸음을 걸으며 `after_step`을 부른 기록.

    Returns:
        (검증들, 기록들, 걸음 뒤의 모드들). 검증은 (걸음, 로더, 학습 모드인가), 기록은 (걸음, 값).
    """
    evaluated, recorded, modes = [], [], []
    model = WithDropout()
    dropout = model.plain[0][1]

    def evaluate(loader):
        evaluated.append((loop.position.step, loader, dropout.training))
        return {"val_loss": 1.0 / loop.position.step, "val_acc": loop.position.step / 100}

    def record(metrics):
        recorded.append((loop.position.step, dict(metrics) if isinstance(metrics, dict) else metrics))

    loop = new_loop(
        fabric=one_process(device, rank, processes),
        model=model,
        evaluate=evaluate,
        record=record,
        train_loader=range(PER_EPOCH),
        val_loader=["검증 로더"],
        steps_per_epoch=PER_EPOCH,
        total_steps=TOTAL,
        val_steps=val_steps,
    )
    loop.args.learning.num_epochs = TOTAL // PER_EPOCH
    loop.model.train()
    for step in range(1, TOTAL + 1):
        loop.position = Position((step - 1) // PER_EPOCH, (step - 1) % PER_EPOCH + 1, step)
        loop.after_step({"loss": torch.tensor(0.5), "acc": torch.tensor(0.5)})
        modes.append(dropout.training)
        loop.model.train()
    return loop, evaluated, recorded, modes


def check_schedule(got, val_steps):
    """검증한 걸음들이 val_steps의 배수와 마지막 걸음인지."""
    want = sorted({*range(val_steps, TOTAL + 1, val_steps), TOTAL})
    shown = {"idea": "검증 주기", "expected": f"{want}걸음", "got": f"{got}걸음"}
    if got == want:
        return
    if got and got == want[:-1]:
        fail("마지막 걸음에서 검증하지 않았습니다.", symptom="no-last", **shown)
    elif TOTAL % val_steps == 0 and got == [*want, TOTAL]:
        fail("마지막 걸음에서 두 번 검증했습니다.", symptom="twice", **shown)
    elif got == list(range(1, TOTAL + 1)):
        fail("걸음마다 검증했습니다.", symptom="every-step", **shown)
    by_batch = [step for step in range(1, TOTAL + 1) if ((step - 1) % PER_EPOCH + 1) % val_steps == 0 or step == TOTAL]
    if got == by_batch:
        fail("에포크마다 걸음을 새로 세었습니다.", symptom="batch-count", **shown)
    fail("검증한 걸음이 다릅니다.", **shown)


@todo("4-4")
@pytest.mark.parametrize("val_steps", [3, 4, 5, 1, 20])
def test_validation_comes_every_val_steps_and_at_the_end(new_loop, device, val_steps):
    """val_steps 걸음마다, 그리고 맨 마지막 걸음에서 한 번씩 검증합니다."""
    _, evaluated, _, _ = validations(new_loop, device, val_steps)
    check_schedule([step for step, _, _ in evaluated], val_steps)


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
    if any(loader is not loop.val_loader for _, loader, _ in evaluated):
        fail("검증 로더가 아닌 것을 evaluate에 건넸습니다.", idea="검증", expected="val_loader", got="다른 것")
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
    _, evaluated, recorded, _ = validations(new_loop, device, 3)
    want = [(step, {"val_loss": 1.0 / step, "val_acc": step / 100}) for step, _, _ in evaluated]
    if evaluated and not recorded:
        fail(
            "검증만 하고 record에 건네지 않았습니다.",
            idea="기록",
            expected=f"{len(want)}번",
            got="0번",
            symptom="not-recorded",
        )
    assert_equal(recorded, want, idea="기록", message="record에 건넨 값이 그 걸음의 검증 값과 다릅니다.")


@todo("4-4")
def test_every_process_validates(new_loop, device):
    """검증은 모든 프로세스가 함께 합니다. 값을 모으려면 서로가 있어야 하기 때문입니다."""
    _, zero, _, _ = validations(new_loop, device, 3, rank=0, processes=2)
    _, evaluated, recorded, _ = validations(new_loop, device, 3, rank=1, processes=2)
    if not evaluated or not recorded:
        fail(
            "0번이 아닌 프로세스가 검증에 오지 않았습니다.",
            idea="여러 프로세스",
            expected="모든 프로세스가 evaluate와 record를 부름",
            got="1번 프로세스는 부르지 않음",
            symptom="rank-zero-only" if zero and not evaluated else None,
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

# 검증 일곱 번의 (손실, 정확도). 어느 쪽에도 같은 값이 두 번 나오고, 남은 것 가운데 가장 나쁜 것과 비기기도 합니다.
VALUES = [(0.62, 0.50), (0.57, 0.70), (0.58, 0.60), (0.51, 0.60), (0.71, 0.70), (0.49, 0.40), (0.51, 0.75)]


class WatchedSaver(CheckpointSaver):
    """무엇을 저장했는지 적어 두는 saver."""

    def __init__(self, *args):
        super().__init__(*args)
        self.saved, self.asked = [], []

    def is_worth_keeping(self, value):
        self.asked.append(value)
        return super().is_worth_keeping(value)

    def save_best(self, weights, value, step):
        if isinstance(step, float) and isinstance(value, int):
            fail(
                "값과 걸음 수를 바꾸어 건넸습니다.",
                idea="save_best의 인수",
                expected="save_best(가중치, 값, 걸음 수)",
                got=f"값 {value}, 걸음 수 {step}",
                symptom="swapped",
            )
        if not isinstance(weights, dict) or not all(isinstance(one, torch.Tensor) for one in weights.values()):
            got = type(weights).__name__
            fail(
                "가중치(state_dict)가 아닌 것을 저장하려 했습니다.", idea="state_dict", expected="이름 → 텐서", got=got
            )
        self.saved.append(SimpleNamespace(value=value, step=step, weights={k: v.clone() for k, v in weights.items()}))
        return super().save_best(weights, value, step)


def keep_all(new_loop, device, folder, saving_mode, num_saving):
    """검증 값들을 차례로 건넵니다. 검증할 때마다 가중치가 달라집니다.

    Returns:
        (saver, 저장했어야 하는 것들). 저장했어야 하는 것은 (값, 걸음 수, 가중치).
    """
    saver = WatchedSaver(folder, saving_mode, num_saving)
    model = WithDropout(device)
    loop = new_loop(model=model, saver=saver, steps_per_epoch=PER_EPOCH, total_steps=100)
    held, want = [], []
    for number, (loss, acc) in enumerate(VALUES, start=1):
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
        loop.keep_if_good({"val_loss": loss, "val_acc": acc})
    return saver, want


def check_saved(saver, want, saving_mode):
    got = [one.value for one in saver.saved]
    values = [value for value, _, _ in want]
    other = 0 if saving_mode.endswith("val_acc") else 1
    if (got or saver.asked) and all(one in [pair[other] for pair in VALUES] for one in [*got, *saver.asked]):
        wrong = "val_loss" if other == 0 else "val_acc"
        fail("다른 값을 보고 골랐습니다.", idea="saving_mode", expected=saver.metric, got=wrong, symptom="fixed-metric")
    shown = {"idea": "남길 것 고르기", "expected": f"{len(want)}번 저장", "got": f"{len(got)}번 저장"}
    if got == [pair[1 - other] for pair in VALUES]:
        fail("검증할 때마다 저장했습니다.", symptom="always-save", **shown)
    if not got:
        fail("아무것도 저장하지 않았습니다.", symptom="never-saved", **shown)
    assert_equal(got, values, idea="남길 것 고르기", message=f"{saving_mode}일 때 저장한 값들이 다릅니다.")


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
    saver, want = keep_all(new_loop, device, tmp_path, saving_mode, num_saving)
    for one in saver.saved:
        steps = [step for value, step, _ in want if value == one.value]
        if not steps or one.step in steps:
            continue
        other = any(one.step in (step // PER_EPOCH, step % PER_EPOCH) for step in steps)
        symptom = "wrong-step" if other else None
        fail("저장한 걸음 수가 다릅니다.", idea="진행", expected=steps[0], got=one.step, symptom=symptom)


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
    assert_equal(
        [one.value for one in saver.checkpoints()],
        [0.49, 0.51],
        idea="남길 것 고르기",
        message="남은 체크포인트가 다릅니다.",
    )


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
    untouched = rng_state()
    fabric = one_process(device, rank=1, processes=3)
    loop = new_loop(
        fabric=fabric,
        model=new.model,
        optimizer=new.optimizer,
        scheduler=new.scheduler,
        steps_per_epoch=2,
        total_steps=8,
    )
    loop.restore(torch.load(kept, map_location=device, weights_only=True))
    after = rng_state()
    yield SimpleNamespace(
        loop=loop,
        old=old,
        new=new,
        fresh=fresh,
        rng=after,
        mine=mine,
        others=[seeds[11], seeds[22]],
        untouched=untouched,
    )
    set_rng_state(before)


def draw(state):
    """그 난수 상태에서 이어 뽑은 세 수: 파이썬, NumPy, PyTorch."""
    set_rng_state(state)
    return [random.random(), float(np.random.rand()), float(torch.rand(1))]


@todo("4-6")
def test_weights_are_restored(resumed):
    """가중치가 저장한 때와 같습니다."""
    parameters = resumed.loop.model.lang_model.parameters()
    got, want = torch.cat([one.detach().flatten() for one in parameters]), resumed.old.weights()
    if close(got, resumed.fresh, 0):
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
            mine = got.get(number, {}).get(name, torch.tensor(float("nan")))
            assert_close(
                mine, value, atol=0, idea="옵티마이저의 상태", message=f"옵티마이저의 {name}이 저장한 때와 다릅니다."
            )
    rates = [[group["lr"] for group in one.optimizer.param_groups] for one in (resumed.loop, resumed.old)]
    assert_close(
        rates[0], rates[1], atol=1e-12, idea="옵티마이저의 상태", message="옵티마이저의 학습률이 저장한 때와 다릅니다."
    )


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
    assert_equal(got, want, idea="이어 하기", message="진행(position)이 저장한 때와 다릅니다.")
    for name in ("epoch", "batch", "step"):
        assert_equal(type(getattr(got, name)), int, idea="Position", message=f"position.{name}이 정수가 아닙니다.")


@todo("4-6")
def test_random_numbers_go_on(resumed):
    """난수는 이 프로세스가 저장한 자리에서 이어집니다."""
    got, want = draw(resumed.rng), draw(resumed.mine)
    if any(close(got, draw(other), 0) for other in resumed.others):
        fail(
            "다른 프로세스의 난수로 되돌렸습니다.",
            idea="난수",
            expected="1번 프로세스의 난수",
            got="다른 프로세스의 난수",
            symptom="wrong-rank",
        )
    if close(got, draw(resumed.untouched), 0):
        fail("난수를 되돌리지 않았습니다.", idea="난수", expected=show(want), got=show(got), symptom="no-rng")
    names = ("파이썬", "NumPy", "PyTorch")
    wrong = [name for name, one, other in zip(names, got, want, strict=True) if one != other]
    if wrong:
        fail(
            f"{', '.join(wrong)}의 난수가 저장한 자리에서 이어지지 않습니다.",
            idea="난수",
            expected=show(want),
            got=show(got),
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
