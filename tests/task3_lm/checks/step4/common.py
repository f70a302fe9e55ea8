"""4단계의 검사들이 함께 쓰는 것.

모델은 앞 토큰 하나만 보는 표(bigram)이고 행렬곱이 없어, 어느 장치에서나 값이 같습니다. 앞 단계에서 불러온 함수는 여기서
따로 적은 것으로 바꾸어, 앞 단계가 비어 있어도 이 단계를 검사합니다.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.fabric.plugins import Precision
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, TensorDataset

from course.checks.words import (
    fail,
    known_as,
    other_todos_may_be_missing,
    show,
)
from course.checks.workspace import plain_fabric
from nlpbook.checkpoints import rng_state, set_rng_state
from nlpbook.language.runs import RunFolder
from nlpbook.position import Position
from tests.task3_lm.checks import support

VOCAB, LENGTH = 5, 4
ATOL = 1e-5


# ── 함께 쓰는 작은 모델과 데이터


@known_as("GPT")
class Bigram(torch.nn.Module):
    """앞 토큰의 번호로 표를 찾아 다음 토큰의 로짓을 냅니다. 지나간 것을 모두 적어 둡니다.

    Attributes:
        seen: 부를 때마다의 (입력, 드롭아웃이 켜졌는가, 기울기를 따라가는가, Fabric을 거쳤는가).
    """

    def __init__(self, dropout: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        self.vocab_size, self.tokenizer = VOCAB, SimpleNamespace(to_text=lambda: "{}")
        values = torch.randn(VOCAB, VOCAB, generator=torch.Generator().manual_seed(seed))
        self.table = torch.nn.Embedding(VOCAB, VOCAB, _weight=values)
        self.bias = torch.nn.Parameter(values.diagonal().clone())
        self.lm_head = torch.nn.Embedding(VOCAB, VOCAB, _weight=values)
        self.lm_head.weight = self.table.weight  # GPT처럼 한 가중치를 두 이름으로 씁니다(weight tying).
        self.dropout = torch.nn.Dropout(dropout)
        self.seen, self.through_fabric = [], False

    def forward(self, ids):
        follows = torch.is_grad_enabled() and any(one.requires_grad for one in self.parameters())
        note = (ids.detach().cpu(), self.dropout.training, follows, self.through_fabric)
        self.seen.append(SimpleNamespace(**dict(zip(("ids", "training", "grad", "wrapped"), note, strict=True))))
        self.through_fabric = False
        return self.dropout(self.table(ids)) + self.bias

    def values(self):
        return torch.cat([one.detach().flatten() for one in self.parameters()]).cpu()


class Part:
    """토큰 파일의 자리에 놓이는 것: 토큰과 바이트의 수만 압니다."""

    def __init__(self, tokens, num_bytes):
        self.tokens, self.num_bytes = tokens, num_bytes

    def __len__(self):
        return self.tokens

    @property
    def bytes_per_token(self):
        return self.num_bytes / self.tokens


class WindowsOf(TensorDataset):
    """창들과, 그 글의 토큰 하나가 담은 바이트."""

    def __init__(self, numbers, bytes_per_token, device="cpu"):
        super().__init__(*pair_of(numbers, device))
        self.bytes_per_token = bytes_per_token


@known_as("LMData")
class Windows:
    """학습할 창 여섯과 검증할 창 다섯. 창의 내용은 모두 다릅니다."""

    def __init__(self):
        self.train, self.valid = Part(60, 150), Part(40, 100)

    def train_dataloader(self):
        return DataLoader(WindowsOf(range(6), self.train.bytes_per_token), batch_size=2, shuffle=True)

    def val_dataloader(self):
        return DataLoader(WindowsOf(range(10, 15), self.valid.bytes_per_token), batch_size=2)


def pair_of(numbers, device="cpu"):
    """번호마다 정해진 창의 (입력, 정답), 둘 다 (개수, LENGTH)."""
    windows = [random.Random(number).choices(range(VOCAB), k=LENGTH + 1) for number in numbers]
    windows = torch.tensor(windows, device=device)
    return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()


def loss_of(logits, targets):
    """평균 교차 엔트로피."""
    return functional.cross_entropy(logits.reshape(-1, logits.size(-1)), targets.reshape(-1))


@torch.no_grad()
def accuracy_of(logits, targets):
    return (logits.max(dim=-1).indices == targets).float().mean()


def adamw(model, config):
    return torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=0.1)


def sgd(model, config):
    return torch.optim.SGD(model.parameters(), lr=config.learning_rate)


class SwappedArguments(Exception):
    """로짓의 자리에 정답을 받았습니다."""


def logits_first(function):
    """로짓과 정답의 자리가 바뀌면 `SwappedArguments`를 냅니다."""

    def run(logits, targets):
        if not torch.is_floating_point(logits):
            raise SwappedArguments
        return function(logits, targets)

    return run


@contextmanager
def building(load, device):
    """블록 안에서는 앞 단계의 함수가 여기의 것으로 바뀌고, 그것으로 Trainer를 만들 수 있습니다."""
    before, step4 = rng_state(), load(4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step4, "learning_rate_at", lambda step, total_steps, config: config.learning_rate)
        patch.setattr(step4, "compute_loss", logits_first(loss_of))
        patch.setattr(step4, "accuracy_of", logits_first(accuracy_of))

        def build(model, optimizer=sgd, rates=lambda step: 0.5 / (1 + step), fabric=None, run_folder=None, **changes):
            settings = {"learning_rate": 0.5, "num_epochs": 3, "max_grad_norm": 1e9, **changes}
            config = support.tiny_config(**settings)
            patch.setattr(step4, "configure_optimizer", optimizer)
            trainer = step4.Trainer(model, Windows(), config, fabric or plain_fabric(device), run_folder)
            trainer.scheduler = LambdaLR(trainer.optimizer, lambda step: rates(step) / config.learning_rate)
            trainer.interrupt = SimpleNamespace(requested=False)
            trainer.model.register_forward_pre_hook(lambda *_: setattr(model, "through_fabric", True))
            trainer.model.train()
            return trainer

        yield build
    set_rng_state(before)


# ── 4-1 끝났는가

EPOCHS, BATCHES, PER_EPOCH = 4, 6, 3  # 에포크, 에포크마다의 배치, 에포크마다의 스텝(배치 둘에 한 스텝)


# ── 4-3, 4-4 한 스텝


class Watched(Precision):
    """16비트 학습처럼 손실을 불려 역전파하고, 자르거나 고치기 전에 기울기를 되돌립니다. 한 일을 차례대로 적습니다.

    Attributes:
        scale: 손실을 불리는 배수.
        beats: 한 일의 이름들.
        summed: 마지막 역전파 뒤의 기울기. 자르기 전의 것입니다.
        used: 가중치를 고칠 때마다의 기울기(되돌린 것)와, 되돌리기 전의 것.
        where, places: 학습의 진행을 답하는 함수와, 기울기를 자를 때마다 물은 답.
    """

    precision = "32-true"

    def __init__(self, model, scale):
        self.model, self.scale, self.is_scaled, self.where = model, scale, False, lambda: None
        self.clear()

    def clear(self):
        self.beats, self.used, self.summed, self.places = [], [], None, []

    def grads(self):
        """지금의 기울기를 불리지 않은 크기로. 없는 것은 0입니다."""
        found = [torch.zeros_like(one) if one.grad is None else one.grad for one in self.model.parameters()]
        return torch.cat([one.detach().flatten() for one in found]).cpu() / (self.scale if self.is_scaled else 1.0)

    def backward(self, tensor, model, *args, **kwargs):
        if not isinstance(tensor, torch.Tensor):
            shown = {"expected": "손실 텐서", "got": type(tensor).__name__}
            fail("fabric.backward에 텐서가 아닌 것을 건넸습니다.", idea="역전파", symptom="no-graph", **shown)
        self.beats.append("backward")
        super().backward(tensor * self.scale, model, *args, **kwargs)
        self.is_scaled = True
        self.summed = self.grads()

    def unscale_gradients(self, optimizer=None):
        self.beats.append("clip")
        self.places.append(self.where())
        self._unscale()

    def _unscale(self):
        if self.is_scaled:
            for one in self.model.parameters():
                if one.grad is not None:
                    one.grad.div_(self.scale)
        self.is_scaled = False

    def optimizer_step(self, optimizer, **kwargs):
        self.beats.append("step")
        raw, before = self.is_scaled, self.grads()
        self._unscale()
        before *= self.scale if raw else 1.0
        self.used.append(SimpleNamespace(grads=self.grads(), raw=before))
        return super().optimizer_step(optimizer, **kwargs)


def gradient_of(model, group, change=lambda logits, targets: (logits, targets)):
    """배치들을 하나로 이어 붙인 것의 평균 손실과 기울기, 평균 정확도. 모델은 건드리지 않습니다.

    Args:
        change: 손실을 구하기 전에 로짓과 정답을 (잘못) 바꾸는 버릇.
    """
    table = model.table.weight.detach().clone().requires_grad_()
    bias = model.bias.detach().clone().requires_grad_()
    ids, targets = (torch.cat(parts) for parts in zip(*group, strict=True))
    with torch.enable_grad():
        logits, targets = change(table[ids] + bias, targets)
        loss = loss_of(logits, targets)
        grads = dict(zip(("table.weight", "bias"), torch.autograd.grad(loss, [table, bias]), strict=True))
    flat = torch.cat([grads[name].flatten() for name, _ in model.named_parameters()]).cpu()
    return SimpleNamespace(
        loss=loss.item(),
        grads=flat,
        accuracy=accuracy_of(logits, targets).item(),
        of_inputs=accuracy_of(logits, ids[:, : logits.size(1)]).item(),
    )


def shifted(logits, targets):
    """이미 한 칸 밀린 정답을 또 미는 버릇."""
    return logits[:, :-1], targets[:, 1:]


def softmax_first(logits, targets):
    """로짓 대신 확률을 건네는 버릇."""
    return logits.softmax(dim=-1), targets


def step_with(trainer, group, todo_id):
    """`train_step`을 부릅니다. 알아본 예외는 무엇이 틀렸는지로 바꿉니다. 다른 TODO가 비어 있으면 None입니다."""
    try:
        with other_todos_may_be_missing(todo_id):
            return trainer.train_step(group)
    except SwappedArguments:
        shown = {"expected": "로짓, 정답", "got": "정답, 로짓"}
        message = "로짓과 정답의 자리를 바꾸어 건넸습니다."
        name_for(todo_id, message, idea="인수의 차례", symptom="swapped-arguments", **shown)
    except RuntimeError as error:
        about = str(error)
        if "fabric.backward" in about:
            shown = {"expected": "self.fabric.backward(손실)", "got": "손실.backward()"}
            name_for(todo_id, "Fabric을 거치지 않고 역전파했습니다.", idea="역전파", symptom="plain-backward", **shown)
        if "does not require grad" in about:
            shown = {"expected": "기울기가 이어진 손실", "got": "기울기가 끊긴 손실"}
            name_for(todo_id, "기울기가 끊긴 손실로 역전파했습니다.", idea="역전파", symptom="no-graph", **shown)
        if "non-empty TensorList" in about or "expects a non-empty" in about:
            shown = {"expected": f"배치마다 하나씩 {len(group)}개", "got": "0개"}
            name_for(todo_id, "losses나 accuracies가 비어 있습니다.", idea="모으기", symptom="not-collected", **shown)
        raise
    except TypeError as error:
        if "expected Tensor as element" in str(error):
            shown = {"expected": "텐서", "got": str(error).rsplit("got ", 1)[-1]}
            message = "losses나 accuracies에 텐서가 아닌 것을 모았습니다."
            name_for(todo_id, message, idea="모으기", symptom="not-tensors", **shown)
        if in_forward(error):
            shown = {"expected": "self.model(입력)", "got": "입력 말고도 건넴"}
            message = "모델에 입력 말고도 다른 것을 건넸습니다."
            name_for(todo_id, message, idea="forward", symptom="targets-to-model", **shown)
        raise
    except AttributeError as error:
        if error.name == "scaler":
            walked = "backward" in getattr(trainer.fabric.strategy.precision, "beats", [])
            shown = {"expected": "self.fabric에 맡김", "got": "self.scaler"}
            if walked and todo_id == "4-4":
                fail(idea="Fabric", symptom="own-scaler", **shown)
            if not walked:
                message = "Trainer에 없는 scaler를 찾았습니다."
                name_for(todo_id, message, idea="Fabric", symptom="own-scaler", **shown)
        if error.name == "param_groups" and todo_id == "4-4":
            shown = {"expected": "모델, 옵티마이저", "got": "옵티마이저, 모델"}
            fail(idea="인수의 차례", symptom="swapped-arguments", **shown)
        raise


def in_forward(error):
    """모델의 forward가 받지 않는 인수를 받았는가."""
    return "forward() takes" in str(error) or "forward() got an unexpected" in str(error)


def name_for(todo_id, message, **more):
    """4-3의 실수입니다. 4-4를 검사하는 중이었다면 그 TODO의 실수로 적지 않습니다."""
    if todo_id != "4-3":
        more, message = {**more, "symptom": None}, f"TODO 4-3이 틀려 여기까지 오지 못했습니다: {message}"
    fail(message, **more)


HABITS = {"shifted-again": shifted, "softmax-first": softmax_first}


def watch_schedule(trainer, watched):
    """`scheduler.step`을 부를 때마다 적습니다. 받은 인수는 `watched.given`에 담깁니다."""
    move, watched.given = trainer.scheduler.step, []
    watched.where = lambda: vars(trainer.position).copy()

    def schedule(*args, **kwargs):
        watched.beats.append("schedule")
        watched.given += [*args, *kwargs.values()]
        return move(*args, **kwargs)

    trainer.scheduler.step = schedule


# ── 4-7, 4-8 남기고 되돌리기

PLACE = {"epoch": 1, "batch": 2, "step": 3}
BEST, BAD = 1.2345678901234567, 2


def place_shown(place):
    """진행을 화면에 보일 글로. 딕셔너리면 딕셔너리라고 적습니다."""
    if isinstance(place, dict):
        return "딕셔너리 " + ", ".join(f"{name}={show(value)}" for name, value in place.items())
    return show(place).replace("{", "딕셔너리 ").replace("}", "")


def seeded(seed):
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)


def walk(trainer, count):
    """학생의 `train_step` 없이 배웁니다. 드롭아웃과 입력이 세 가지 난수를 모두 씁니다."""
    device = trainer.fabric.device
    for _ in range(count):
        trainer.optimizer.zero_grad()
        numbers = [random.randrange(50), int(np.random.randint(50)), int(torch.randint(50, (1,)))]
        ids, targets = pair_of(numbers, device)
        loss_of(trainer.gpt(ids), targets).backward()
        trainer.optimizer.step()
        trainer.scheduler.step()


def train_three_steps(new_trainer, folder):
    """세 스텝을 배운 Trainer."""
    seeded(5)
    trainer = new_trainer(Bigram(dropout=0.5, seed=3), adamw, learning_rate=0.1, run_folder=RunFolder(folder))
    seeded(5)
    walk(trainer, 3)
    trainer.position, trainer.best_val_loss, trainer.bad_epochs, trainer.best_step = Position(**PLACE), BEST, BAD, 2
    return trainer


NEEDED = {
    "model_state_dict": "no-weights",
    "optimizer_state_dict": "no-optimizer",
    "scheduler_state_dict": "no-scheduler",
    "position": "no-position",
    "best_val_loss": "no-best",
    "bad_epochs": "no-best",
    "rng_states": "no-rng",
}


def same(one, other):
    if isinstance(one, dict):
        alike = isinstance(other, dict) and one.keys() == other.keys()
        return alike and all(same(one[name], other[name]) for name in one)
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one.cpu(), other.cpu())
    return one == other


def draw(state):
    """그 난수 상태에서 이어 뽑은 세 수: 파이썬, NumPy, PyTorch."""
    before = rng_state()
    set_rng_state(state)
    drawn = [random.random(), float(np.random.rand()), float(torch.rand(1))]
    set_rng_state(before)
    return drawn
