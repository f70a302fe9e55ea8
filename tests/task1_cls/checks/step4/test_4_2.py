"""4-2의 검사: 한 스텝의 박자."""

from __future__ import annotations

import copy
import re
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import Precision

from course.checks.words import assert_close, assert_equal, close, fail, known_as, matches, show, todo

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
        self.modes = []  # 순전파할 때마다 학습 모드였는가
        self.shares, self.shared = True, []  # 프로세스끼리 기울기를 맞추는가, 순전파할 때마다 그랬는가

    def forward(self, **batch):
        self.beats += ["forward"] if self.through_fabric else ["bypass", "forward"]
        self.through_fabric = False
        self.modes.append(self.training)
        self.shared.append(self.shares)
        # 딕셔너리에 담으면 Fabric이 loss.backward()를 예외로 막습니다. 검사가 먼저 알아보고 말해 주려고 비켜 갑니다.
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
        shown = {"idea": "training_step", "expected": "배치(딕셔너리) 하나"}
        if unpacked:
            fail(got=", ".join(unpacked), symptom="unpacked-batch", **shown)
        if batch is None:
            fail("training_step에 배치를 건네지 않았습니다.", got="아무것도 건네지 않음", **shown)
        return {"loss": self.lang_model(**batch).loss, "acc": torch.tensor(0.25)}

    def forward(self, *args, **kwargs):
        self._not_a_training_step("모델을 바로 부름")

    def validation_step(self, *args, **kwargs):
        self._not_a_training_step("validation_step")

    def test_step(self, *args, **kwargs):
        self._not_a_training_step("test_step")

    def _not_a_training_step(self, got):
        fail(idea="training_step", expected="training_step", got=got, symptom="other-step")


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
            got = type(tensor).__name__
            fail(idea="역전파", expected="손실 텐서", got=got, symptom="backward-other")
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


def watch_sharing(fabric, line):
    """`fabric.no_backward_sync` 안의 순전파를 적습니다. 프로세스가 하나면 그 안팎의 값이 같습니다."""
    real = fabric.no_backward_sync

    @contextmanager
    def no_backward_sync(module, enabled=True):
        with real(module, enabled):
            before, line.shares = line.shares, line.shares and not enabled
            try:
                yield
            finally:
                line.shares = before

    fabric.no_backward_sync = no_backward_sync


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
    """박자를 하나하나 손으로 셈한 것: 스텝마다의 (손실, 기울기의 크기, 고친 뒤의 가중치, 다음 학습률)."""
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


def line_trainer(new_trainer, device):
    """선을 학습하는 루프와, 그 박자를 적는 것들."""
    beats: list[str] = []
    line = Line(beats)
    precision = ScaledGradients(beats, line)
    fabric = Fabric(accelerator=device, devices=1, plugins=precision)
    watch_sharing(fabric, line)
    wrapped, optimizer = fabric.setup(line, torch.optim.SGD(line.parameters(), lr=RATE))
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=DECAY)
    next_rate = scheduler.step
    told = []  # scheduler.step에 건넨 것들

    def schedule(*args, **kwargs):
        beats.append("schedule")
        told.extend(show(one) for one in (*args, *kwargs.values()) if one is not None)
        return next_rate(*args, **kwargs)

    scheduler.step = schedule
    model = LineModel(line, wrapped)
    model.config = None  # 아래에서 루프의 설정을 담습니다. NSMCModel도 제 설정을 압니다.
    parts = {"fabric": fabric, "model": model, "optimizer": optimizer, "scheduler": scheduler}
    trainer = new_trainer(**parts, steps_per_epoch=3, total_steps=3)
    trainer.config.learning.max_grad_norm = LIMIT
    model.config = trainer.config
    model.train()
    return trainer, SimpleNamespace(beats=beats, line=line, precision=precision, told=told)


@pytest.fixture
def steps(new_trainer, device):
    """`train_step`을 세 번 부른 기록. 스텝마다의 박자, 결과, 가중치, 학습률과 손으로 셈한 값."""
    trainer, seen = line_trainer(new_trainer, device)
    beats, line, precision = seen.beats, seen.line, seen.precision
    batches = line_batches(device)
    records = []
    for batch, want in zip(batches, line_reference(batches, device), strict=True):
        beats.clear()
        outputs = train_step(trainer, batch)
        records.append(
            SimpleNamespace(
                beats=list(beats),
                outputs=outputs,
                weights=[*line.weight.tolist(), line.bias.item()],
                rate=trainer.optimizer.param_groups[0]["lr"],
                norm_left=precision.norm(),
                want=want,
            )
        )
    made = SimpleNamespace(records=records, precision=precision, position=copy.copy(trainer.position))
    made.told = seen.told
    made.shared = line.shared
    made.modes = [*line.modes, trainer.model.training, line.training]
    made.accumulates = False
    if "step" not in records[0].beats:  # 여러 배치를 모아 고치는 답이라면, 계속 부르면 언젠가는 고칩니다.
        for _ in range(32):
            train_step(trainer, batches[1])
        made.accumulates = "step" in beats or any("step" in record.beats for record in records)
    return made


def train_step(trainer, batch):
    """학생의 `train_step`를 부릅니다. 알아본 예외는 무엇이 틀렸는지로 바꿉니다."""
    try:
        return trainer.train_step(batch)
    except AttributeError as error:
        if match := re.search(r"'dict' object has no attribute '(loss|acc)'", str(error)):
            shown = {"expected": f'["{match[1]}"]', "got": f".{match[1]}", "name": match[1]}
            fail(idea="training_step의 결과", symptom="dot-loss", **shown)
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
    """한 스텝에는 순전파, 역전파, 자르기, 고치기, 학습률이 한 번씩 있습니다."""
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
            idea="역전파",
            expected="fabric.backward 한 번",
            got="loss.backward" if by_hand else "역전파 없음",
            symptom="plain-backward" if by_hand else "no-backward",
        )
    if "step" not in beats:
        fail(
            idea="옵티마이저",
            expected="배치마다 optimizer.step 한 번",
            got="몇 배치에 한 번" if steps.accumulates else "0번",
            symptom="accumulates" if steps.accumulates else "no-step",
        )
    if "clip" not in beats:
        used = steps.precision.used[0]
        elsewhere = used.was_scaled and used.before <= 2 * LIMIT
        fail(
            idea="기울기 자르기",
            expected=f"크기 {LIMIT} 이하",
            got=f"크기 {used.norm:.4f}",
            symptom="clip-outside" if elsewhere else "no-clip",
        )
    if "schedule" not in beats:
        fail(
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
                    idea="한 스텝의 박자",
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
                idea="한 스텝의 박자",
                expected="네 박자",
                got=" → ".join(beats),
            )
        shown = {"expected": "backward → clip → step → schedule", "got": " → ".join(beats)}
        if at["step"] < at["backward"]:
            fail(idea="박자의 차례", symptom="step-first", **shown)
        if at["clip"] < at["backward"]:
            fail(idea="박자의 차례", symptom="clip-early", **shown)
        if at["clip"] > at["step"]:
            fail(idea="박자의 차례", symptom="clip-late", **shown)
        if at["schedule"] < at["step"]:
            fail(idea="박자의 차례", symptom="schedule-first", **shown)
        if steps.precision.used[number].norm == 0:
            fail(
                idea="박자의 차례",
                expected=f"기울기의 크기 {min(record.want.norm, LIMIT):.4f}",
                got="0",
                symptom="zero-late",
            )


@todo("4-2")
def test_gradients_of_earlier_steps_do_not_pile_up(steps):
    """기울기는 스텝마다 새로 구합니다."""
    if any(steps.precision.piled_up):
        fail(
            "앞 스텝의 기울기 위에 새 기울기를 더했습니다.",
            idea="기울기 지우기",
            expected="역전파 앞의 기울기 0",
            got="앞 스텝의 기울기",
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
            expected="세 스텝의 기울기",
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
    if big.norm > LIMIT and cosine < 0.9999 and float(big.grads.abs().max()) <= LIMIT * 1.001:
        return "clip-by-value"
    return "wrong-limit" if matches(big.norm, used[2].norm, 1e-3) else None


@todo("4-2")
def test_three_steps_match_the_arithmetic(steps):
    """세 스텝의 손실, 가중치, 학습률이 손으로 셈한 것과 같습니다."""
    for record in steps.records:
        if not isinstance(record.outputs, dict) or not {"loss", "acc"} <= set(record.outputs):
            fail(
                idea="스텝의 결과",
                expected="loss와 acc가 든 딕셔너리",
                got=", ".join(record.outputs) if isinstance(record.outputs, dict) else type(record.outputs).__name__,
                symptom="not-outputs",
            )
        numbers = [name for name in ("loss", "acc") if not isinstance(record.outputs[name], torch.Tensor)]
        if numbers:
            shown = {"expected": "텐서", "got": type(record.outputs[numbers[0]]).__name__, "name": numbers[0]}
            fail(idea="스텝의 결과", symptom="loss-number", **shown)
        assert_close(
            record.outputs["loss"],
            record.want.loss,
            atol=1e-5,
            idea="한 스텝",
            message="돌려준 손실이 고치기 전의 손실과 다릅니다.",
        )
        assert_close(
            record.weights, record.want.weights, atol=1e-6, idea="한 스텝", message="고친 뒤의 가중치가 다릅니다."
        )
        assert_close(
            record.rate,
            record.want.rate,
            atol=1e-9,
            idea="학습률 스케줄",
            message="다음 스텝의 학습률이 다릅니다.",
            symptom="schedule-told" if steps.told else None,
            told=", ".join(steps.told[:1]),
        )
    if steps.position.step != 3:
        shown = {"expected": "3스텝", "got": f"{steps.position.step}스텝"}
        message = "세 번 배운 뒤의 스텝 수가 다릅니다. 스텝을 세는 줄은 이 자리의 바로 아래에 있습니다."
        fail(message, idea="진행", symptom="counted-twice" if steps.position.step == 6 else None, **shown)


@todo("4-2")
def test_learning_happens_in_training_mode(steps):
    """학습 모드에서 배우고, 스텝이 끝나도 학습 모드입니다."""
    if not all(steps.modes):
        fail(idea="train/eval", expected="학습 모드", got="평가 모드", symptom="eval-mode")


@todo("4-2")
def test_processes_share_their_gradients(steps):
    """프로세스가 여럿이면 스텝마다 기울기를 서로 맞춥니다. DDP는 순전파를 할 때 맞출지 말지를 정합니다."""
    if not all(steps.shared):
        shown = {"expected": "no_backward_sync 밖", "got": "no_backward_sync 안"}
        fail(idea="여러 프로세스", symptom="not-shared", **shown)


@todo("4-2")
def test_an_infinite_gradient_does_not_stop_the_training(new_trainer, device):
    """기울기가 무한대여도 스텝을 마칩니다. 16비트에서는 그런 스텝을 Fabric이 건너뜁니다."""
    trainer, seen = line_trainer(new_trainer, device)
    batch = line_batches(device)[0]
    train_step(trainer, batch)
    steps_usually = "step" in seen.beats
    seen.beats.clear()
    overflowing = {**batch, "labels": torch.full_like(batch["labels"], torch.inf)}
    try:
        train_step(trainer, overflowing)
    except RuntimeError as error:
        if "non-finite" not in str(error):
            raise
        shown = {"expected": "스텝을 마침", "got": type(error).__name__}
        fail(idea="기울기 자르기", symptom="stops-at-overflow", **shown)
    if steps_usually and "step" not in seen.beats:
        shown = {"expected": "optimizer.step을 부름", "got": "부르지 않음"}
        fail(idea="16비트", symptom="own-skip", **shown)
    assert_equal(seen.beats[-1:], ["schedule"], idea="한 스텝의 박자", message="스텝을 끝까지 마치지 않았습니다.")
