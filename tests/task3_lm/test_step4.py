"""4단계의 검사: 언제 끝내고, 어떻게 걷고, 무엇을 재고, 무엇을 남기고 되돌리는지.

모델은 앞 토큰 하나만 보는 표(bigram)이고 행렬곱이 없어, 어느 장치에서나 값이 같습니다. 앞 단계에서 불러온 함수는 여기서
따로 적은 것으로 바꾸어, 앞 단계가 비어 있어도 이 단계를 검사합니다.
"""

from __future__ import annotations

import math
import pickle
import random
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import Precision
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, TensorDataset

from course.checks.words import (
    assert_close,
    assert_equal,
    close,
    fail,
    known_as,
    matches,
    other_todos_may_be_missing,
    show,
    todo,
)
from nlpbook.checkpoints import rng_state, set_rng_state
from nlpbook.language.runs import RunFolder
from nlpbook.position import Position
from tests.task3_lm import support
from todo import todo as stop_here

VOCAB, LENGTH = 5, 4
ATOL = 1e-5


# ── 함께 쓰는 작은 모델과 데이터 ──────────────────────────────────────────────────────────────────────────────


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
        note = (ids.detach().cpu(), self.dropout.training, torch.is_grad_enabled(), self.through_fabric)
        self.seen.append(SimpleNamespace(**dict(zip(("ids", "training", "grad", "wrapped"), note, strict=True))))
        self.through_fabric = False
        return self.dropout(self.table(ids)) + self.bias

    def values(self):
        return torch.cat([one.detach().flatten() for one in self.parameters()]).cpu()


class Part:
    """토큰 파일의 자리에 놓이는 것: 토큰의 수와 바이트의 수만 압니다."""

    def __init__(self, tokens, num_bytes):
        self.tokens, self.num_bytes = tokens, num_bytes

    def __len__(self):
        return self.tokens


@known_as("LMData")
class Windows:
    """학습할 창 여섯과 검증할 창 다섯. 창의 내용은 모두 다릅니다."""

    def __init__(self):
        self.train, self.valid = Part(60, 150), Part(40, 100)

    def train_dataloader(self):
        return DataLoader(TensorDataset(*pair_of(range(6))), batch_size=2, shuffle=True)

    def val_dataloader(self):
        return DataLoader(TensorDataset(*pair_of(range(10, 15))), batch_size=2)


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


@cache
def plain_fabric(device):
    """한 프로세스의 32비트 Fabric. 만들 때마다 설치된 패키지를 훑으므로 한 번만 만듭니다."""
    return Fabric(accelerator=device, devices=1, precision="32-true")


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


@pytest.fixture
def new_trainer(load, device):
    """작은 Trainer를 만드는 함수."""
    with building(load, device) as build:
        yield build


@pytest.fixture
def bare(load):
    """`__init__`을 거치지 않고, 검사에 필요한 것만 붙인 Trainer."""

    def build(**parts):
        kind = load(4).Trainer
        trainer = kind.__new__(kind)
        for name, part in {"position": Position(), "best_val_loss": math.inf, "bad_epochs": 0, **parts}.items():
            setattr(trainer, name, part)
        return trainer

    return build


# ── 4-1 끝났는가 ──────────────────────────────────────────────────────────────────────────────────────────────

EPOCHS, BATCHES, PER_EPOCH = 4, 6, 3  # 에포크, 에포크마다의 배치, 에포크마다의 걸음(배치 둘에 한 걸음)


@cache
def plain_settings():
    return vars(support.tiny_config(grad_accumulation=2))


def finished_at(bare, epoch, patience, bad_epochs, walked=0):
    """그때의 답. `walked`는 이 에포크에서 더 걸었지만 아직 마무리하지 않은 걸음의 수입니다."""
    trainer = bare(
        position=Position(epoch, walked * 2, epoch * PER_EPOCH + walked),
        config=SimpleNamespace(**{**plain_settings(), "num_epochs": EPOCHS, "patience": patience}),
        bad_epochs=bad_epochs,
        best_val_loss=1.5 if epoch > bad_epochs else math.inf,
        best_step=(epoch - bad_epochs) * PER_EPOCH if epoch > bad_epochs else None,
        steps_per_epoch=PER_EPOCH,
        total_steps=EPOCHS * PER_EPOCH,
        train_loader=[None] * BATCHES,
    )
    before = state_of_walk(trainer)
    done = trainer.finished
    if done is None or done is ... or callable(done) or isinstance(done, str):
        shown = {"expected": "참 또는 거짓", "got": show(done)}
        fail("done에 참이나 거짓이 담기지 않았습니다.", idea="조건", symptom="not-a-truth", **shown)
    after, again = state_of_walk(trainer), trainer.finished
    if after != before or bool(again) != bool(done):
        name = next((name for name in before if before[name] != after[name]), None)
        shown = {"expected": f"{name} = {show(before[name])}", "got": f"{name} = {show(after[name])}"} if name else {}
        shown = shown or {"expected": "두 번 모두 같은 답", "got": f"{show(done)}, {show(again)}"}
        fail("물어보기만 했는데 Trainer가 달라졌습니다.", idea="property", symptom="asking-changes", **shown)
    return bool(done)


def state_of_walk(trainer):
    """학습의 진행을 적은 값들."""
    names = ("bad_epochs", "best_val_loss", "best_step")
    settings = {name: getattr(trainer.config, name) for name in ("num_epochs", "patience")}
    return {name: getattr(trainer, name) for name in names} | vars(trainer.position) | settings


def should_finish(epoch, patience, bad_epochs):
    return epoch >= EPOCHS or (patience > 0 and bad_epochs >= patience)


CASES = [(e, p, b) for e in (0, 1, 3, 4, 5) for p in (0, 1, 2, 3) for b in (0, 1, 2, 3, 4) if b <= e]
EPOCH_RULES = {
    None: lambda e: e >= EPOCHS,
    "one-epoch-more": lambda e: e > EPOCHS,
    "one-epoch-less": lambda e: e + 1 >= EPOCHS,
    "exact-epoch": lambda e: e == EPOCHS,
    "only-early-stopping": lambda e: False,
}
PATIENCE_RULES = {
    None: lambda e, p, b: p > 0 and b >= p,
    "always-patience": lambda e, p, b: b >= p,
    "one-late": lambda e, p, b: p > 0 and b > p,
    "one-soon": lambda e, p, b: p > 0 and b + 1 >= p,
    "exact-patience": lambda e, p, b: p > 0 and b == p,
    "no-early-stopping": lambda e, p, b: False,
    "any-bad": lambda e, p, b: p > 0 and b > 0,
    "epochs-as-bad": lambda e, p, b: p > 0 and e >= p,
    "epochs-as-limit": lambda e, p, b: p > 0 and b >= EPOCHS,
    "only-patience": lambda e, p, b: p > 0,
}
STOPPING = {
    **{name: lambda e, p, b, rule=rule: e >= EPOCHS or rule(e, p, b) for name, rule in PATIENCE_RULES.items() if name},
    **{
        name: lambda e, p, b, rule=rule: rule(e) or (p > 0 and b >= p)
        for name, rule in EPOCH_RULES.items()
        if name is not None
    },
    "both-needed": lambda e, p, b: e >= EPOCHS and p > 0 and b >= p,
    "wrong-group": lambda e, p, b: (e >= EPOCHS or p > 0) and b >= p,
    "reversed": lambda e, p, b: not should_finish(e, p, b),
    "always": lambda e, p, b: True,
    "never": lambda e, p, b: False,
    "exact": lambda e, p, b: e == EPOCHS or (p > 0 and b == p),
}
STOP_NAMES = {
    "one-epoch-less": "one-epoch-more",
    "always": "reversed",
    "exact-epoch": "exact",
    "exact-patience": "exact",
    "only-early-stopping": "no-last-epoch",
    "never": "no-last-epoch",
    "one-soon": "one-late",
    "any-bad": "other-patience",
    "epochs-as-bad": "other-patience",
    "epochs-as-limit": "other-patience",
    "only-patience": "other-patience",
}


def stopping_rule(got):
    """그 답들을 내는 규칙의 이름과, 그 규칙이 틀리게 답하는 경우들. 두 가지를 함께 틀렸으면 기다림 쪽을 말합니다."""
    for name, rule in STOPPING.items():
        if all(got[case] == bool(rule(*case)) for case in CASES):
            return name, [case for case in CASES if got[case] != should_finish(*case)]
    for first, of_epochs in EPOCH_RULES.items():
        for second, of_patience in PATIENCE_RULES.items():
            if first and second and all(got[c] == bool(of_epochs(c[0]) or of_patience(*c)) for c in CASES):
                own = [c for c in CASES if bool(STOPPING[second](*c)) == got[c] != should_finish(*c)]
                return (second, own) if own else (None, [])
    return None, []


@todo("4-1")
def test_training_ends_at_the_right_epoch(bare):
    """에포크를 다 걸었거나, patience만큼 나아지지 않으면 끝입니다."""
    got, unset = {}, None
    for case in CASES:
        try:
            got[case] = finished_at(bare, *case)
        except UnboundLocalError as error:
            if "'done'" not in str(error):
                raise
            unset = error
    if unset is not None:
        if not got:  # 어느 때에도 담기지 않았습니다. 이름의 철자가 다른지도 모릅니다.
            raise unset
        shown = {"expected": "참 또는 거짓", "got": "아무것도 담기지 않음"}
        fail("done에 아무것도 담기지 않는 때가 있습니다.", idea="조건", symptom="not-a-truth", **shown)
    wrong = [case for case in CASES if got[case] != should_finish(*case)]
    if not wrong:
        return
    name, own = stopping_rule(got)
    case = (own or wrong)[0]
    epoch, patience, bad = case
    words = {True: "끝", False: "계속"}
    fail(
        f"{EPOCHS}에포크 가운데 {epoch}에포크를 걷고 {bad}에포크째 나아지지 않았을 때(patience {patience})가 다릅니다.",
        idea="조기 종료",
        expected=words[should_finish(*case)],
        got=words[got[case]],
        symptom=STOP_NAMES.get(name, name),
        epoch=epoch,
        patience=patience,
        bad=bad,
    )


@todo("4-1")
def test_only_finished_epochs_count(bare):
    """걸음이 아니라 마친 에포크로 정합니다. 에포크의 중간이나, 마지막 걸음 뒤 아직 검증하지 않은 때도 그렇습니다."""
    for case in CASES:
        if case[0] < EPOCHS:
            for walked in (2, PER_EPOCH):
                whole, part = finished_at(bare, *case), finished_at(bare, *case, walked=walked)
                if whole != part:
                    words = {True: "끝", False: "계속"}
                    shown = {"expected": words[should_finish(*case)], "got": words[part], "walked": walked}
                    message = "에포크를 마무리하기 전의 걸음이 답을 바꾸었습니다."
                    fail(message, idea="에포크와 걸음", symptom="by-steps", **shown)


# ── 4-2 에포크의 반복 ─────────────────────────────────────────────────────────────────────────────────────────


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
            if self.position.epoch == self.stop_at:
                raise KeyboardInterrupt
            self.position.step += PER_EPOCH - self.position.batch // 2
            self.position.batch = BATCHES

        def evaluate(self, loader=None):
            note("evaluate", self.position.epoch)
            if loader is self.train_loader:
                shown = {"expected": "evaluate()", "got": "evaluate(self.train_loader)"}
                fail("학습한 글로 검증했습니다.", idea="검증", symptom="train-loader", **shown)
            return Result(val_losses[min(self.position.epoch, len(val_losses) - 1)])

        def finish_epoch(self, metrics=NOTHING):
            note("finish_epoch", metrics.loss if isinstance(metrics, Result) else Other(metrics))
            loss = getattr(metrics, "loss", 0.0)
            self.bad_epochs = 0 if loss < self.best_val_loss else self.bad_epochs + 1
            self.best_val_loss = min(self.best_val_loss, loss)
            self.position.next_epoch()

        def is_best(self, val_loss):
            shown = {"expected": "finish_epoch만 부름", "got": "train에서도 부름"}
            fail("finish_epoch이 부를 is_best를 먼저 불렀습니다.", idea="조기 종료", symptom="best-twice", **shown)

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

    def walk(val_losses, patience=0, epoch=0, num_epochs=4, batch=0, stop_at=None, bad=0):
        calls, changes = [], []
        trainer = bare(
            bad_epochs=bad,
            best_val_loss=1.25 if epoch else math.inf,
            config=support.tiny_config(num_epochs=num_epochs, patience=patience, grad_accumulation=2),
            position=Position(epoch, batch, epoch * PER_EPOCH + batch // 2),
            model=Bigram(),
            train_loader=["학습 로더"],
            val_loader=["검증 로더"],
            fabric=SimpleNamespace(world_size=1, global_rank=0, is_global_zero=True),
            best_step=None,
            run_folder=None,
            stop_at=stop_at,
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
            if len(calls) > 60:
                raise EndlessEpochs
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
            fail("반복이 끝나지 않습니다.", idea="반복", symptom=symptom, **shown)
        except KeyboardInterrupt:
            stopped = True
        except TypeError as error:
            if "'bool' object is not callable" not in str(error):
                raise
            shown = {"expected": "self.finished", "got": "self.finished()"}
            fail("self.finished를 함수처럼 불렀습니다.", idea="property", symptom="called-property", **shown)
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
        fail(f"{missing[0]}을(를) 부르지 않았습니다.", idea="에포크", symptom=symptom, **shown)
    if got == BEAT:
        shown = {"expected": "4에포크", "got": "1에포크", "patience": 0}
        # patience가 있으면 끝까지 걷는다면, 한 번만 걷는 것이 아니라 patience 0을 잊은 것입니다.
        own = walk_epochs([3.0, 2.0, 1.5, 1.0], patience=3).order == BEAT * 4
        fail("한 에포크만 걸었습니다.", idea="반복", symptom="own-patience" if own else "one-epoch", **shown)
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
        fail("finish_epoch에 검증 결과가 아닌 것을 건넸습니다.", idea="검증", symptom="other-result", **shown)


def walks_in_order(walk_epochs):
    """처음부터 걸을 때의 차례는 맞는가. 아니라면 첫 검사가 말합니다."""
    return walk_epochs([3.0, 2.0, 1.5, 1.0]).order == BEAT * 4


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
    """이어 하는 학습은 남은 에포크만 걷습니다."""
    if not walks_in_order(walk_epochs):
        fail("처음부터 걷는 차례가 틀려 볼 수 없습니다.", idea="에포크", expected=" → ".join(BEAT), got="다른 차례")
    got = walk_epochs([3.0, 2.0, 1.5, 1.0], epoch=epoch).order.count("train_epoch")
    if got != left:
        symptom = "once-anyway" if left == 0 and got == 1 else "from-zero" if got == 4 else None
        shown = {"expected": f"{left}에포크", "got": f"{got}에포크"}
        fail(f"{epoch}에포크를 마친 학습이 남은 것보다 더 걸었습니다.", idea="이어 하기", symptom=symptom, **shown)


@todo("4-2")
def test_train_leaves_the_state_to_the_others(walk_epochs):
    """train은 부르기만 합니다. 에포크의 중간에서 이어 하는 자리도, 난수도, 가장 좋은 값도 스스로 바꾸지 않습니다."""
    for epoch, bad in ((0, 0), (2, 1)):
        changes = walk_epochs([2.0, 1.0, 1.5, 1.375], epoch=epoch, batch=4, bad=bad).changes
        if any(name == "rng" for name, *_ in changes):
            shown = {"expected": "이어지는 난수", "got": "다시 심은 난수"}
            fail("학습하는 동안 난수의 시드를 다시 심었습니다.", idea="난수", symptom="reseeds", **shown)
        for name, before, after in changes:
            shown = {"expected": f"{name} = {show(before)}", "got": f"{name} = {show(after)}"}
            symptom = "moved-position" if name in ("epoch", "batch", "step") else "moved-best"
            if name == "epoch":  # 에포크를 또 센 것은 첫 검사가 말합니다.
                symptom = None
            message = "train이 학습의 상태를 스스로 바꾸었습니다."
            fail(message, idea="이어 하기", symptom=symptom, **shown)


@todo("4-2")
def test_an_interrupt_ends_the_training(walk_epochs):
    """train_epoch이 낸 KeyboardInterrupt는 train을 부른 곳까지 나갑니다. 걷다 만 에포크는 마무리하지 않습니다."""
    walked = walk_epochs([3.0, 2.0, 1.5, 1.0], stop_at=1)
    if walked.order[:4] != [*BEAT, "train_epoch"] or ("train_epoch", 1) not in walked.calls:
        fail("중간에 멈출 때까지의 차례가 다릅니다.", idea="에포크", expected=" → ".join(BEAT), got="다른 차례")
    if walked.order[4:] or not walked.stopped:
        then = " → ".join(walked.order[4:6])
        got = f"멈추라는 신호 뒤에 {then}(으)로 이어졌습니다" if then else "아무 일도 없던 것처럼 끝났습니다"
        shown = {"expected": "거기서 멈춤(KeyboardInterrupt)", "got": got}
        fail("멈추라는 신호를 삼켰습니다.", idea="Ctrl-C", symptom="interrupt-swallowed", **shown)


# ── 4-3, 4-4 한 걸음 ──────────────────────────────────────────────────────────────────────────────────────────


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
                fail("Trainer에 없는 scaler를 찾았습니다.", idea="Fabric", symptom="own-scaler", **shown)
            if not walked:
                message = "Trainer에 없는 scaler를 찾았습니다."
                name_for(todo_id, message, idea="Fabric", symptom="own-scaler", **shown)
        if error.name == "param_groups" and todo_id == "4-4":
            shown = {"expected": "모델, 옵티마이저", "got": "옵티마이저, 모델"}
            message = "clip_gradients에 모델과 옵티마이저를 바꾸어 건넸습니다."
            fail(message, idea="인수의 차례", symptom="swapped-arguments", **shown)
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
GROUPS = [[(0, 1), (2, 3), (4, 5)], [(6, 8), (9, 11)], [(7, 13)]]  # 배치 셋, 둘, 하나. 마지막 묶음은 작습니다.


@pytest.fixture(scope="module")
def accumulated(load, device):
    """학습률 0으로 `train_step`을 세 번 부른 기록. 4-4가 비어 있으면 건너뜁니다."""
    with pytest.MonkeyPatch.context() as patch, building(load, device) as new_trainer:
        if hasattr(load(4), "todo"):
            patch.setattr(load(4), "todo", lambda one: None if one == "4-4" else stop_here(one))
        return accumulate(new_trainer, device)


def watch_schedule(trainer, watched):
    """`scheduler.step`을 부를 때마다 적습니다. 받은 인수는 `watched.given`에 담깁니다."""
    move, watched.given = trainer.scheduler.step, []
    watched.where = lambda: vars(trainer.position).copy()

    def schedule(*args, **kwargs):
        watched.beats.append("schedule")
        watched.given += [*args, *kwargs.values()]
        return move(*args, **kwargs)

    trainer.scheduler.step = schedule


def accumulate(new_trainer, device):
    model = Bigram()
    watched = Watched(model, scale=1.0)
    fabric = Fabric(accelerator=device, devices=1, plugins=watched)
    trainer = new_trainer(model, rates=lambda step: 0.0, fabric=fabric, grad_accumulation=3)
    watch_schedule(trainer, watched)
    records = []
    for number, numbers in enumerate(GROUPS):
        trainer.position = Position(0, number * 3, number)
        before = vars(trainer.position).copy()
        group = [pair_of(one, device) for one in numbers]
        want, parts = gradient_of(model, group), [gradient_of(model, [one]) for one in group]
        swapped = gradient_of(model, [pair[::-1] for pair in group])
        habits = {name: gradient_of(model, group, one) for name, one in HABITS.items()}
        watched.clear()
        model.seen.clear()
        given = [*group]
        result = step_with(trainer, given, "4-3")
        at_step = watched.used[0].grads if watched.used else watched.grads()
        records.append(
            SimpleNamespace(
                group=group,
                want=want,
                parts=parts,
                swapped=swapped,
                habits=habits,
                left=len(given),
                moved=[one for one in watched.places[:1] if one != before],
                result=result,
                grads=at_step,
                beats=watched.beats,
                seen=[*model.seen],
            )
        )
    return records


@todo("4-3")
def test_every_batch_is_read_and_propagated(accumulated):
    """배치마다 한 번씩, Fabric이 감싼 모델을 지나 역전파합니다."""
    for record in accumulated:
        count, seen, back = len(record.group), record.seen, record.beats.count("backward")
        if len(seen) == 1 < count and len(seen[0].ids) == 2 * count:
            shown = {"expected": f"배치 {count}개를 하나씩", "got": "이어 붙인 배치 하나"}
            fail("배치들을 하나로 이어 붙여 한꺼번에 읽었습니다.", idea="기울기 누적", symptom="one-big-batch", **shown)
        if not all(one.training for one in seen):
            shown = {"expected": "학습 모드", "got": "평가 모드"}
            fail("모델을 평가 모드로 바꾸고 배웠습니다.", idea="train/eval", symptom="eval-mode", **shown)
        if not all(one.wrapped for one in seen):
            shown = {"expected": "self.model", "got": "감싸지 않은 모델"}
            fail("Fabric이 감싸지 않은 모델로 로짓을 구했습니다.", idea="Fabric", symptom="unwrapped", **shown)
        if back == 0:
            shown = {"expected": f"{count}번", "got": "0번"}
            fail("역전파를 하지 않았습니다.", idea="역전파", symptom="no-backward", **shown)
        read = len({tuple(one.ids.flatten().tolist()) for one in seen})
        if read < count:
            shown = {"expected": f"배치 {count}개", "got": f"{read}개"}
            fail("배치를 모두 읽지 않았습니다.", idea="기울기 누적", symptom="some-batches", **shown)
        if back == 1 < count:
            shown = {"expected": f"배치마다, 모두 {count}번", "got": "1번"}
            fail("역전파를 한 번만 했습니다.", idea="기울기 누적", symptom="one-backward", **shown)
        last = len(record.beats) - record.beats[::-1].index("backward")
        if "step" in record.beats[:last]:
            shown = {"expected": "배치들을 다 모은 뒤 한 번", "got": "배치마다"}
            fail("배치마다 가중치를 고쳤습니다.", idea="기울기 누적", symptom="step-inside", **shown)
        if "clip" in record.beats[:last]:
            shown = {"expected": "배치들을 다 모은 뒤 한 번", "got": "배치마다"}
            fail("배치마다 기울기를 잘랐습니다.", idea="기울기 누적", symptom="clip-inside", **shown)
        if len(seen) != count or back != count:
            shown = {"expected": f"순전파와 역전파 {count}번씩", "got": f"순전파 {len(seen)}번, 역전파 {back}번"}
            fail("배치마다 한 번씩 역전파하지 않았습니다.", idea="기울기 누적", **shown)
        if stepped_before(record.beats[last:]) and len(record.group) == 1:
            shown = {"expected": "TODO 4-4에서 한 번", "got": "여기에서도 한 번"}
            fail("모으기만 할 곳에서 가중치까지 고쳤습니다.", idea="한 걸음", symptom="step-early", **shown)


def stepped_before(beats):
    """한 걸음의 일(자르기, 고치기, 학습률)을 차례대로 다 하기 전에, 가중치나 학습률을 이미 한 번 고쳤는가."""
    return beats[-3:] == ["clip", "step", "schedule"] and bool({"step", "schedule"} & {*beats[:-3]})


@todo("4-3")
def test_what_was_given_is_only_read(accumulated):
    """받은 배치들의 목록도, 학습의 진행도 그대로 둡니다. 부른 쪽(train_epoch)이 그것으로 셉니다."""
    for record in accumulated:
        if record.left != len(record.group):
            shown = {"expected": f"배치 {len(record.group)}개", "got": f"{record.left}개"}
            fail("받은 목록의 배치들을 없앴습니다.", idea="인수", symptom="batches-changed", **shown)
        if record.moved:
            place = place_shown(record.moved[0])
            fail("진행을 여기서도 세었습니다.", idea="진행", expected="세지 않음", got=place, symptom="counted-here")


@todo("4-3")
def test_gradients_equal_those_of_one_big_batch(accumulated):
    """모인 기울기는 배치들을 이어 붙인 큰 배치의 것과 같습니다. 마지막의 작은 묶음도 그렇습니다."""
    before = torch.zeros_like(accumulated[0].grads)  # 앞의 걸음이 남긴 기울기
    for record in accumulated:
        count, want, got = len(record.group), record.want.grads, record.grads
        if "backward" not in record.beats:
            fail("역전파가 없어 기울기를 볼 수 없습니다.", idea="역전파", expected=f"{count}번", got="0번")
        if not close(got, want, ATOL):
            size = f"{float(want.norm()):.4f}", f"{float(got.norm()):.4f}"
            shown = {"idea": "기울기 누적", "expected": f"크기 {size[0]}", "got": f"크기 {size[1]}", "count": count}
            last = record.parts[-1].grads
            backwards = record.swapped.grads
            wrong = [
                ("zero-late", "역전파한 뒤에 기울기를 지웠습니다.", torch.zeros_like(want)),
                ("not-divided", "손실을 나누지 않고 역전파했습니다.", want * count),
                ("fixed-divisor", "묶음의 크기가 아니라 설정의 수로 나누었습니다.", want * count / 3),
                ("zero-inside", "배치마다 기울기를 지웠습니다.", last),
                ("zero-inside", "배치마다 기울기를 지웠습니다.", last / count),
                ("divided-twice", "손실을 두 번 나누었습니다.", want / count),
                ("by-batch-size", "배치의 수가 아니라 창의 수로 나누었습니다.", want * count / 2),
                ("by-batch-size", "배치의 수가 아니라 길이로 나누었습니다.", want * count / LENGTH),
                ("reversed-sign", "손실의 부호를 뒤집었습니다.", -want),
                ("swapped-pair", "입력과 정답을 서로 바꾸었습니다.", backwards),
                ("shifted-again", "이미 밀린 정답을 또 밀었습니다.", record.habits["shifted-again"].grads),
                ("softmax-first", "로짓 대신 확률로 손실을 구했습니다.", record.habits["softmax-first"].grads),
            ]
            for symptom, message, value in wrong:
                if matches(got, value, ATOL):
                    fail(message, symptom=symptom, **shown)
            if any(matches(got, before + one, ATOL) for one in (want, want * count, want * count / 3)):
                fail("지난 걸음의 기울기 위에 새 기울기를 더했습니다.", symptom="no-zero-grad", **shown)
            fail("모인 기울기가 큰 배치 하나의 것과 다릅니다.", **shown)
        before = got


@todo("4-3")
def test_losses_and_accuracies_are_collected(accumulated):
    """돌려주는 손실과 정확도는 배치들의 평균이고, 손실에는 기울기가 매달려 있지 않습니다."""
    for record in accumulated:
        if record.result is None:  # 4-4가 비어 있어 끝까지 가지 못했습니다.
            return
        loss, accuracy = record.result
        if loss.requires_grad:
            shown = {"expected": "기울기가 없는 손실", "got": "기울기가 매달린 손실"}
            fail("모은 손실에 기울기가 매달려 있습니다.", idea="detach", symptom="attached", **shown)
        count, want = len(record.group), record.want
        shown = {"idea": "모으기", "expected": f"{want.loss:.4f}", "got": show(loss), "count": count}
        if not close(loss, want.loss, ATOL):
            if matches(loss, want.accuracy, ATOL) and matches(accuracy, want.loss, ATOL):
                fail("손실과 정확도를 서로 바꾸어 모았습니다.", symptom="swapped-lists", **shown)
            if len({tuple(one.ids.flatten().tolist()) for one in record.seen}) < count:
                fail("배치를 모두 읽지 않아 평균이 다릅니다.", **shown)
            wrong = [
                ("scaled-loss", "나눈 손실을 모았습니다.", want.loss / count),
                ("scaled-loss", "나눈 손실을 모았습니다.", want.loss / 3),
                ("only-last", "마지막 배치의 손실만 모았습니다.", record.parts[-1].loss),
                ("only-last", "첫 배치의 손실만 모았습니다.", record.parts[0].loss),
            ]
            for symptom, message, value in wrong:
                if matches(loss, value, ATOL):
                    fail(message, symptom=symptom, **shown)
            fail("돌려준 손실이 배치들의 평균과 다릅니다.", **shown)
        shown |= {"expected": f"{want.accuracy:.4f}", "got": show(accuracy)}
        if not close(accuracy, want.accuracy, ATOL):
            symptom = "only-last" if matches(accuracy, record.parts[-1].accuracy, ATOL) else None
            if matches(accuracy, want.of_inputs, ATOL):
                symptom = "accuracy-of-inputs"
            fail("돌려준 정확도가 배치들의 평균과 다릅니다.", symptom=symptom, **shown)


LIMIT, RATES = 0.25, [0.5, 0.2, 0.3, 0.7]
SURE = 6.0  # 둘째 묶음은 이만큼 자신 있게 맞혀, 기울기가 한계보다 작습니다.


@pytest.fixture(scope="module")
def steps(load, device):
    """기울기가 큰 것, 작은 것, 큰 것으로 `train_step`을 세 번 부른 기록."""
    with building(load, device) as new_trainer:
        return take_steps(new_trainer, device)


def cut(grads):
    """크기가 LIMIT을 넘으면 거기까지 줄인 기울기."""
    return grads * min(1.0, LIMIT / float(grads.norm()))


def take_steps(new_trainer, device):
    model = Bigram()
    watched = Watched(model, scale=1024.0)
    fabric = Fabric(accelerator=device, devices=1, plugins=watched)
    settings = {"max_grad_norm": LIMIT, "grad_accumulation": 2}
    trainer = new_trainer(model, rates=lambda step: RATES[min(step, 3)], fabric=fabric, **settings)
    watch_schedule(trainer, watched)
    records, start = [], Position()
    for number, numbers in enumerate([[(0, 1), (2, 3)], [(6, 8), (6, 8)], [(4, 9)]]):
        trainer.position = Position(**vars(start))
        group = [pair_of(one, device) for one in numbers]
        with torch.no_grad():
            for place, target in zip(group[0][0].flatten(), group[0][1].flatten(), strict=True):
                model.table.weight[place, target] = SURE if number == 1 else -1.0
        watched.clear()
        before = model.values()
        step_with(trainer, group, "4-4")
        if watched.summed is None or not float(watched.summed.norm()) > 0:
            shown = {"expected": "역전파한 기울기", "got": "기울기 없음"}
            fail("기울기가 없어 그다음을 볼 수 없습니다. TODO 4-3부터 고쳐 주세요.", idea="역전파", **shown)
        after, rate = model.values(), trainer.optimizer.param_groups[0]["lr"]
        last = len(watched.beats) - watched.beats[::-1].index("backward")
        want = cut(watched.summed)
        records.append(
            SimpleNamespace(
                beats=watched.beats[last:],
                early=watched.beats[:last],
                summed=watched.summed,
                used=watched.used,
                want=want,
                before=before,
                after=after,
                rate=rate,
                place=place_shown(trainer.position) if trainer.position != start else None,
                given=[*watched.given],
                number=number,
            )
        )
        watched.given.clear()
        start = Position(0, start.batch + len(group), start.step + 1)  # 걸음을 세는 것은 train_epoch입니다.
    return records


BEATS = {
    "clip": "기울기 자르기(fabric.clip_gradients)",
    "step": "가중치 고치기(optimizer.step)",
    "schedule": "학습률 옮기기(scheduler.step)",
}
MISSING = {"clip": "no-clip", "step": "no-step", "schedule": "no-schedule"}


@todo("4-4")
def test_clip_step_and_schedule_happen_once_in_order(steps):
    """자르기 → 고치기 → 학습률의 차례로 한 번씩입니다. 배치를 몇 개 모으든 부를 때마다 한 걸음입니다."""
    some = {beat for record in steps for beat in record.beats}
    idle = next((record for record in steps if not record.beats), None)
    if idle is not None and some:
        shown = {"expected": "부를 때마다 한 걸음", "got": f"{idle.number + 1}번째에는 아무것도 하지 않았습니다"}
        fail("어떤 때에는 가중치를 고치지 않았습니다.", idea="기울기 누적", symptom="waits-again", **shown)
    for record in steps:
        beats = record.beats
        shown = {"idea": "한 걸음의 차례", "expected": "clip → step → schedule"}
        shown["got"] = " → ".join(beats) or "아무것도 하지 않음"
        if "clip" not in beats and record.used and clipped_elsewhere(record):
            fail("Fabric을 거치지 않고 기울기를 잘랐습니다.", symptom="clip-outside", **shown)
        if "step" not in beats and not matches(record.after, record.before, 0):
            message = "Fabric을 거치지 않고 가중치를 고쳤습니다."
            fail(message, symptom="step-outside", **shown)
        if "schedule" not in beats and "schedule" in some:
            fail("학습률을 어떤 걸음에서만 옮겼습니다.", symptom="schedule-sometimes", **shown)
        for beat, name in BEATS.items():
            if beat not in beats:
                fail(f"{name}을(를) 하지 않았습니다.", symptom=MISSING[beat], **shown)
        for beat, name in BEATS.items():
            if beats.count(beat) != 1:
                fail(f"{name}을(를) 한 걸음에 여러 번 했습니다.", symptom="twice", name=name, **shown)
        if beats.index("clip") > beats.index("step"):
            fail("가중치를 고친 뒤에 기울기를 잘랐습니다.", symptom="clip-late", **shown)
        if beats.index("schedule") < beats.index("step"):
            fail("가중치보다 학습률을 먼저 바꾸었습니다.", symptom="schedule-first", **shown)


def clipped_elsewhere(record):
    """Fabric을 거치지 않고 잘랐다면, 불린 채인 기울기(의 크기나 값)가 한계에 맞추어져 있습니다."""
    raw = record.used[0].raw
    return float(raw.norm()) <= 2 * LIMIT or float(raw.abs().max()) <= LIMIT * 1.001


@todo("4-4")
def test_gradients_are_cut_at_the_limit(steps):
    """기울기 전체의 크기가 max_grad_norm을 넘으면 거기까지 줄이고, 넘지 않으면 그대로 둡니다."""
    for record in steps:
        if not record.used or "clip" not in record.beats:
            fail(
                "자르기나 고치기가 빠져 자른 크기를 볼 수 없습니다.", idea="기울기 자르기", expected="둘 다", got="하나"
            )
        got, want = record.used[0].grads, record.want
        if close(got, want, ATOL):
            continue
        norm = float(got.norm())
        shown = {"idea": "기울기 자르기", "expected": f"크기 {float(want.norm()):.4f}", "got": f"크기 {norm:.4f}"}
        shown["limit"] = LIMIT
        if norm == 0:
            fail("가중치를 고치기 전에 기울기를 지웠습니다.", symptom="zero-before-step", **shown)
        if record.beats.index("clip") > record.beats.index("step"):
            fail("자르지 않은 기울기로 가중치를 고쳤습니다.", symptom="clip-late", **shown)
        if matches(got, record.summed.clamp(-LIMIT, LIMIT), ATOL):
            fail("기울기의 값을 하나하나 잘랐습니다.", symptom="clip-by-value", **shown)
        count = record.early.count("backward")
        if count > 1 and any(matches(got, cut(record.summed * times), ATOL) for times in (count, 1 / count)):
            fail("다 모은 기울기를 또 나누거나 곱했습니다.", symptom="scaled-again", count=count, **shown)
        direction = functional.cosine_similarity(got, want, dim=0)
        if direction > 0.9999 and any(matches(float(got.norm(p)), LIMIT, ATOL) for p in (1, torch.inf)):
            fail("크기를 다른 방법(norm_type)으로 쟀습니다.", symptom="other-norm", **shown)
        if direction > 0.9999:
            fail("설정의 max_grad_norm과 다른 한계로 잘랐습니다.", symptom="wrong-limit", **shown)
        fail("고칠 때의 기울기가 max_grad_norm까지 자른 것과 다릅니다.", **shown)


@todo("4-4")
def test_weights_and_rate_match_the_arithmetic(steps):
    """세 걸음의 가중치와 다음 학습률이 손으로 셈한 것과 같습니다."""
    for record in steps:
        if not record.used:
            fail("옵티마이저로 가중치를 고치지 않았습니다.", idea="옵티마이저", expected="고침", got="그대로")
        want = record.before - RATES[record.number] * record.want
        message = "고친 뒤의 가중치가 손으로 셈한 것과 다릅니다."
        assert_close(record.after, want, atol=ATOL, idea="한 걸음", message=message)
        if record.place:
            shown = {"expected": "세지 않음", "got": record.place}
            fail("걸음 수를 여기서도 세었습니다.", idea="진행", symptom="counted-twice", **shown)
        message = "다음 걸음의 학습률이 스케줄과 다릅니다."
        more = {"idea": "학습률 스케줄", "symptom": "schedule-by-number" if record.given else None}
        assert_close(record.rate, RATES[record.number + 1], atol=1e-9, message=message, **more)


# ── 4-5 검증 ──────────────────────────────────────────────────────────────────────────────────────────────────


def evaluate(trainer, *loader):
    """`evaluate`를 부릅니다. scores를 잘못 모아 멈춘 것은 무엇이 틀렸는지로 바꿉니다."""
    try:
        return trainer.evaluate(*loader)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        shown = {"idea": "모으기", "expected": "배치마다 (창, 2) 텐서 하나", "got": type(error).__name__}
        about = str(error)
        if "non-empty" in about:
            fail("scores가 비어 있습니다.", symptom="not-collected", **{**shown, "got": "0개"})
        if "must be tuple of Tensors" in about or "expected Tensor as element" in about:
            fail("scores에 window_scores의 결과가 차례로 담기지 않았습니다.", symptom="not-appended", **shown)
        if "zero-dimensional" in about or "must be an iterable" in about or "argument after *" in about:
            fail("scores에 배치의 점수를 모양이 다르게 담았습니다.", symptom="other-scores", **shown)
        if in_forward(error):
            shown = {"expected": "self.model(입력)", "got": "입력 말고도 건넴"}
            message = "모델에 입력 말고도 다른 것을 건넸습니다."
            fail(message, idea="forward", symptom="targets-to-model", **shown)
        raise


def scores_of(model, windows):
    """드롭아웃을 끈 모델의, 창들에 걸친 (평균 손실, 정확도)."""
    one = gradient_of(model, [windows])
    return [one.loss, one.accuracy]


@pytest.fixture(scope="module")
def validated(load, device):
    """드롭아웃이 있는 모델의 검증. 검증 로더는 창 다섯을 둘씩 냅니다."""
    with building(load, device) as new_trainer:
        return validate(new_trainer, device)


def validate(new_trainer, device):
    model = Bigram(dropout=0.5)
    trainer = new_trainer(model)
    result = evaluate(trainer)
    grad_is_on = torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    if not all(isinstance(getattr(result, name, None), float) for name in ("loss", "accuracy")):
        got = type(result).__name__
        fail("evaluate의 결과가 Metrics가 아닙니다.", idea="검증", expected="Metrics", got=got, symptom="early-return")
    want = scores_of(model, pair_of(range(10, 15), device))
    seen = [*model.seen]
    return SimpleNamespace(
        trainer=trainer, model=model, result=result, seen=seen, want=want, grad_is_on=grad_is_on, device=device
    )


@todo("4-5")
def test_validation_is_done_in_eval_mode_without_gradients(validated):
    """드롭아웃을 끄고, 기울기를 따라가지 않으며 잽니다."""
    seen = validated.seen
    if seen and not all(one.wrapped for one in seen):
        shown = {"expected": "self.model", "got": "감싸지 않은 모델"}
        fail("Fabric이 감싸지 않은 모델로 로짓을 구했습니다.", idea="Fabric", symptom="unwrapped", **shown)
    if any(one.training for one in seen):
        shown = {"expected": "평가 모드", "got": "학습 모드"}
        if not seen[0].training:
            fail("배치 사이에 학습 모드로 돌아갔습니다.", idea="train/eval", symptom="train-inside", **shown)
        fail("학습 모드에서 검증했습니다.", idea="train/eval", symptom="no-eval", **shown)
    if any(one.grad for one in seen):
        shown = {"expected": "torch.no_grad() 안", "got": "기울기를 따라감"}
        fail("검증하며 기울기를 따라갔습니다.", idea="no_grad", symptom="with-gradients", **shown)


@todo("4-5")
def test_training_mode_returns_after_validation(validated):
    """검증이 끝나면 학습 모드로 돌아옵니다."""
    if not (validated.model.dropout.training and validated.trainer.model.training):
        shown = {"expected": "학습 모드", "got": "평가 모드"}
        fail("검증한 뒤 모델이 평가 모드에 남아 있습니다.", idea="train/eval", symptom="stay-eval", **shown)
    if not validated.grad_is_on:
        shown = {"expected": "기울기를 따라감", "got": "따라가지 않음"}
        fail("검증한 뒤에도 기울기를 끈 채로 두었습니다.", idea="no_grad", symptom="grad-left-off", **shown)


@todo("4-5")
def test_every_window_is_scored_once(validated):
    """검증 글의 모든 창을 한 번씩 잽니다."""
    got = sorted(tuple(row) for one in validated.seen for row in one.ids.tolist())
    want = sorted(tuple(row) for row in pair_of(range(10, 15))[0].tolist())
    if got != want:
        train = {tuple(row) for row in pair_of(range(6))[0].tolist()}
        symptom = "train-loader" if got and set(got) <= train else "some-batches" if len(got) < len(want) else None
        shown = {"expected": f"검증 창 {len(want)}개", "got": f"창 {len(got)}개"}
        fail("검증한 창이 검증 글의 창과 다릅니다.", idea="검증", symptom=symptom, **shown)


@todo("4-5")
def test_the_result_matches_the_reference(validated):
    """손실과 정확도가 창들의 평균과 같습니다."""
    got = [validated.result.loss, validated.result.accuracy]
    if close(got, validated.want, ATOL):
        return
    shown = {"idea": "모으기", "expected": show(validated.want), "got": show(got)}
    if matches(got, validated.want[::-1], ATOL):
        fail("손실과 정확도의 자리를 바꾸었습니다.", symptom="other-scores", **shown)
    fail("검증의 손실과 정확도가 모든 창의 평균과 다릅니다.", symptom=wrong_scores(validated), **shown)


def wrong_scores(validated):
    """드롭아웃이 꺼져 있고 모든 창을 보았는데 값이 다르면, 모은 점수가 이상한 것입니다."""
    clean = validated.seen and not any(one.training for one in validated.seen)
    got = [validated.result.loss, validated.result.accuracy]
    for name, habit in HABITS.items():
        one = gradient_of(validated.model, [pair_of(range(10, 15), validated.device)], habit)
        if clean and matches(got, [one.loss, one.accuracy], ATOL):
            return name
    return "other-scores" if clean and sum(len(one.ids) for one in validated.seen) == 5 else None


@todo("4-5")
def test_another_loader_can_be_given(new_trainer, device):
    """다른 로더를 주면 그것을 잽니다."""
    model = Bigram(dropout=0.5)
    trainer = new_trainer(model)
    windows = pair_of(range(20, 23), device)
    result = evaluate(trainer, DataLoader(TensorDataset(*windows), batch_size=2))
    got = [len(one.ids) for one in model.seen]
    if sum(got) == 5:
        shown = {"expected": "받은 로더의 창 3개", "got": "검증 로더의 창 5개"}
        fail("받은 로더가 아니라 검증 로더를 읽었습니다.", idea="인수", symptom="fixed-loader", **shown)
    if result is not None and sum(got) == 3 and not any(one.training for one in model.seen):
        want = scores_of(model, windows)
        message = "다른 로더의 손실과 정확도가 다릅니다."
        assert_close([result.loss, result.accuracy], want, atol=ATOL, idea="검증", message=message)


# ── 4-6 가장 좋은 것 ──────────────────────────────────────────────────────────────────────────────────────────

VAL_LOSSES = [3.0, 2.0, 2.5, 2.0, 2.25, 1.99, 1.99, 2.01, 1.0, 1.25, 1.0 - 1e-7, 0.5]
SMALL = 0.02  # 이보다 작게 나아진 것을 세지 않았다면, 얼마 넘게 나아지기를 바란 것입니다.


def habit(improves=lambda loss, best, last: loss < best, reset=True, count=True, keep=True):
    """검증 손실들에 그 버릇대로 답한 기록."""
    best, bad, last, rows = math.inf, 0, math.inf, []
    for loss in VAL_LOSSES:
        improved = improves(loss, best, last)
        best = loss if improved and keep else best
        bad = (0 if reset else bad) if improved else bad + bool(count)
        last = loss
        rows.append((improved, best, bad))
    return rows


def count_then_more():
    """나아졌으면 0으로 되돌리고, 그런 뒤에 언제나 하나를 세는 버릇."""
    best, bad, rows = math.inf, 0, []
    for loss in VAL_LOSSES:
        improved = loss < best
        best, bad = (loss, 1) if improved else (best, bad + 1)
        rows.append((improved, best, bad))
    return rows


def only_worse_counts():
    """가장 낮은 값과 같은 것은 나아진 것으로도, 나아지지 않은 것으로도 세지 않는 버릇."""
    best, bad, rows = math.inf, 0, []
    for loss in VAL_LOSSES:
        bad = 0 if loss < best else bad + (loss > best)
        rows.append((loss < best, min(loss, best), bad))
        best = min(loss, best)
    return rows


def every_count():
    """나아졌든 아니든 에포크마다 세는 버릇."""
    return [(improved, best, number) for number, (improved, best, _) in enumerate(habit(), start=1)]


def min_first():
    """가장 낮은 값을 먼저 고치고 나서 견주는 버릇. 제 값과 견주므로 나아지는 일이 없습니다."""
    return [(False, best, number) for number, (_, best, _) in enumerate(habit(), start=1)]


def latest_as_best():
    """나아지지 않아도 가장 낮은 값을 지금 것으로 고치는 버릇."""
    return [(row[0], loss, row[2]) for row, loss in zip(habit(lambda a, _, last: a < last), VAL_LOSSES, strict=True)]


def judged(bare):
    """검증 손실마다 `is_best`가 답한 것과 고쳐 적은 것, 그리고 best_step."""
    trainer = bare(position=Position(0, 0, 0), best_step=None)
    rows, steps = [], []
    for number, loss in enumerate(VAL_LOSSES, start=1):
        trainer.position = Position(number, 0, number * 3)
        try:
            improved = trainer.is_best(loss)
        except UnboundLocalError as error:
            if not rows or "'improved'" not in str(error):
                raise
            shown = {"expected": "improved = False", "got": "improved가 없음"}
            message = "나아지지 않았을 때 improved에 아무것도 담지 않았습니다."
            fail(message, idea="조건", symptom="unset", **shown)
        except AttributeError as error:
            if error.obj is not trainer:
                raise
            shown = {"expected": "self.best_val_loss, self.bad_epochs", "got": f"self.{error.name}"}
            fail("Trainer에 없는 이름을 썼습니다.", idea="속성", symptom="other-attribute", **shown)
        rows.append((bool(improved), trainer.best_val_loss, trainer.bad_epochs))
        steps.append(trainer.best_step)
    return rows, steps


@todo("4-6")
def test_best_and_patience_are_counted(bare):
    """가장 낮은 값과, 나아지지 않은 에포크의 수를 에포크마다 맞게 고쳐 적습니다."""
    rows, steps = judged(bare)
    want = habit()
    if rows == want:
        best = [3, 6, 6, 6, 6, 18, 18, 18, 27, 27, 33, 36]  # 가장 낮은 값이 나온 걸음
        if steps != best:
            number = next(index for index, (one, two) in enumerate(zip(steps, best, strict=True)) if one != two)
            shown = {"expected": f"best_step = {best[number]}", "got": f"best_step = {steps[number]}"}
            early = steps == [None] * len(best)
            message = "가장 좋은 걸음(best_step)이 적히지 않았습니다."
            fail(message, idea="return", symptom="early-return" if early else None, **shown)
        return
    habits = {
        "tie-counts": habit(lambda loss, best, _: loss <= best),
        "reversed": [(not row[0], *row[1:]) for row in want],
        "upside-down": habit(lambda loss, best, _: loss > best),
        "not-reset": habit(reset=False),
        "not-counted": habit(count=False),
        "not-kept": habit(keep=False),
        "versus-last": latest_as_best(),
        "always-counts": every_count(),
        "tie-ignored": only_worse_counts(),
        "counted-steps": [(*row[:2], row[2] * 3) for row in want],
        "min-first": min_first(),
    }
    names = [name for name, one in habits.items() if rows == one]
    if rows == count_then_more():
        names = ["always-counts"]
    if not names and all(row[0] for row in rows):
        names = ["not-kept"]
    if not names and [row[:2] for row in rows] == [row[:2] for row in want] and {row[2] for row in rows} <= {0, 1}:
        names = ["not-added"]
    number = next(index for index, (one, two) in enumerate(zip(rows, want, strict=True)) if one != two)
    parts = ("improved", "best_val_loss", "bad_epochs")
    which = next(i for i in range(3) if rows[number][i] != want[number][i])
    if not names and number > 0 and 0 < want[number - 1][1] - VAL_LOSSES[number] < SMALL and not rows[number][0]:
        names = ["min-delta"]
    if not names and which == 2 and want[number][0] and rows[number][2] > 0:
        names = ["not-reset"]
    shown = {"expected": f"{parts[which]} = {want[number][which]}", "got": f"{parts[which]} = {rows[number][which]}"}
    fail(
        f"검증 손실이 차례로 {', '.join(map(str, VAL_LOSSES[: number + 1]))}일 때 {parts[which]}이(가) 다릅니다.",
        idea="가장 좋은 모델",
        symptom=names[0] if names else None,
        loss=VAL_LOSSES[number],
        best=want[number - 1][1] if number else math.inf,
        **shown,
    )


@todo("4-6")
def test_the_best_of_a_resumed_run_is_not_forgotten(bare):
    """이어 하는 학습은 저장된 값에서 이어 셉니다."""
    trainer = bare(best_val_loss=1.25, bad_epochs=2, best_step=6, position=Position(3, 0, 9))
    first = bool(trainer.is_best(1.5)), trainer.best_val_loss, trainer.bad_epochs
    second = bool(trainer.is_best(0.5)), trainer.best_val_loss, trainer.bad_epochs
    for got, want in ((first, (False, 1.25, 3)), (second, (True, 0.5, 0))):
        assert_equal(
            got, want, idea="이어 하기", message="저장된 값에서 이어 세지 않았습니다(나아짐, 가장 낮은 값, 수)."
        )
    trainer = bare(best_val_loss=0.0, bad_epochs=0, best_step=6, position=Position(3, 0, 9))
    got = bool(trainer.is_best(0.25)), trainer.best_val_loss, trainer.bad_epochs
    message, more = "가장 낮은 값이 0.0일 때가 다릅니다(나아짐, 가장 낮은 값, 수).", {}
    if got == (True, 0.25, 0) and first == (False, 1.25, 3):
        more = {"symptom": "zero-as-unset"}
    assert_equal(got, (False, 0.0, 1), idea="가장 좋은 모델", message=message, **more)


# ── 4-7, 4-8 남기고 되돌리기 ──────────────────────────────────────────────────────────────────────────────────

PLACE = {"epoch": 1, "batch": 2, "step": 3}
BEST, BAD = 1.2345678901234567, 2


def place_shown(place):
    """진행을 화면에 보일 글로. 사전이면 사전이라고 적습니다."""
    if isinstance(place, dict):
        return "사전 " + ", ".join(f"{name}={show(value)}" for name, value in place.items())
    return show(place).replace("{", "사전 ").replace("}", "")


def seeded(seed):
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)


def walk(trainer, count):
    """학생의 `train_step` 없이 걷습니다. 드롭아웃과 입력이 세 가지 난수를 모두 씁니다."""
    device = trainer.fabric.device
    for _ in range(count):
        trainer.optimizer.zero_grad()
        numbers = [random.randrange(50), int(np.random.randint(50)), int(torch.randint(50, (1,)))]
        ids, targets = pair_of(numbers, device)
        loss_of(trainer.gpt(ids), targets).backward()
        trainer.optimizer.step()
        trainer.scheduler.step()


def train_three_steps(new_trainer, folder):
    """세 걸음을 걸은 Trainer."""
    seeded(5)
    trainer = new_trainer(Bigram(dropout=0.5, seed=3), adamw, learning_rate=0.1, run_folder=RunFolder(folder))
    seeded(5)
    walk(trainer, 3)
    trainer.position, trainer.best_val_loss, trainer.bad_epochs, trainer.best_step = Position(**PLACE), BEST, BAD, 2
    return trainer


FACTS = {"epoch", "best_step", "sums", "scaler", "history", "config", "vocab_size", "tokenizer"}
NEEDED = {
    "model_state_dict": "no-weights",
    "optimizer_state_dict": "no-optimizer",
    "scheduler": "no-scheduler",
    "position": "no-position",
    "best_val_loss": "no-best",
    "bad_epochs": "no-best",
    "rng": "no-rng",
}


@pytest.fixture(scope="module")
def saved(load, device, tmp_path_factory):
    """`save_checkpoint()`가 남긴 파일의 내용과, 저장할 때의 난수."""
    with building(load, device) as new_trainer:
        return save(train_three_steps(new_trainer, tmp_path_factory.mktemp("saved")))


def save(trained):
    mine, before = rng_state(), copy_of(trained)
    folder = trained.run_folder
    try:
        trained.save_checkpoint()
        state = torch.load(folder.last_state, map_location="cpu", weights_only=True)
        changed = next((name for name, one in before.items() if not same(one, copy_of(trained)[name])), None)
        set_rng_state(mine)
        trained.save_checkpoint(best=True)
        again = torch.load(folder.last_state, map_location="cpu", weights_only=True)
        trained.run_folder = None
        trained.save_checkpoint()
    except UnboundLocalError as error:
        if "'state'" not in str(error):
            raise
        trained.save_checkpoint(best=True)  # 이것도 멈추면, 어느 때에도 담지 않은 것입니다.
        shown = {"expected": "언제나 사전", "got": "best일 때만 사전"}
        fail("가장 좋을 때에만 state를 만들었습니다.", idea="조건", symptom="only-when-best", **shown)
    except (pickle.UnpicklingError, pickle.PicklingError, AttributeError, TypeError) as error:
        about = str(error)
        if "|=" in about or (isinstance(error, AttributeError) and error.obj is None):
            not_a_state(about)
        if "pickle" not in about and "Unpickler" not in about and not isinstance(error, pickle.UnpicklingError):
            raise
        kind = next((name for name in ("Position", "Scheduler", "LambdaLR") if name in about), "메서드나 객체")
        shown = {"expected": "텐서, 수, 글과 그것들의 사전", "got": kind}
        fail("객체를 그대로 저장해 다시 읽을 수 없습니다.", idea="체크포인트", symptom="whole-object", **shown)
    finally:
        trained.run_folder = folder
    return SimpleNamespace(trainer=trained, state=state, again=again, mine=mine, before=before, changed=changed)


def not_a_state(about):
    """state가 사전이 아니거나, 실행 폴더가 없는 학습도 여기에서 파일에 쓰려 했습니다."""
    quoted = about.split("'")
    got = quoted[1] if "|=" in about else "실행 폴더가 없으면 멈추는 코드"
    shown = {"expected": "사전", "got": "None" if got == "NoneType" else got}
    fail("state에 저장할 것들의 사전이 담기지 않았습니다.", idea="사전", symptom="saved-here", **shown)


def copy_of(trainer):
    """저장해도 그대로여야 하는 것들의 사본."""
    return {
        "가중치": {name: one.detach().clone() for name, one in trainer.gpt.state_dict().items()},
        "진행": vars(trainer.position).copy(),
        "best_val_loss": trainer.best_val_loss,
        "bad_epochs": trainer.bad_epochs,
        "스케줄러": trainer.scheduler.last_epoch,
        "모드": trainer.gpt.training,
    }


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return one == other


def content_of(value):
    """저장된 것이 무엇인지, 화면에 보일 글."""
    if not isinstance(value, dict):
        return show(value) if isinstance(value, (int, float, str)) else f"{type(value).__name__}"
    if "param_groups" in value:
        return "옵티마이저의 state_dict"
    if "last_epoch" in value:
        return "스케줄러의 state_dict"
    if value and all(isinstance(one, torch.Tensor) for one in value.values()):
        return "가중치"
    return show(value)


@todo("4-7")
def test_everything_is_saved_under_its_name(saved):
    """그대로 이어 하는 데 필요한 것이 모두, load_checkpoint가 찾는 이름으로 있습니다."""
    state = saved.state
    missing = [name for name in NEEDED if name not in state]
    if not missing:
        return
    extra = sorted(map(str, state.keys() - FACTS - NEEDED.keys()))
    shown = {"idea": "체크포인트", "expected": missing[0], "name": missing[0]}
    if extra:
        message = f"{missing[0]}이(가) 다른 이름으로 있습니다."
        fail(message, symptom="other-name", **shown, got=", ".join(extra))
    shown["got"] = ", ".join(name for name in NEEDED if name in state) or "없음"
    fail(f"{missing[0]}을(를) 저장하지 않았습니다.", symptom=NEEDED[missing[0]], **shown)


@todo("4-7")
def test_the_best_state_is_as_complete_as_the_last(saved):
    """가장 좋을 때의 저장에도 모든 것이 있습니다. 그 파일(last.pt)에서도 이어 하기 때문입니다."""
    missing = [name for name in NEEDED if name in saved.state and name not in saved.again]
    if missing:
        shown = {"expected": ", ".join(NEEDED), "got": ", ".join(name for name in NEEDED if name in saved.again)}
        message = "가장 좋을 때(best=True)의 저장에 빠진 것이 있습니다."
        fail(message, idea="체크포인트", symptom="best-incomplete", missing=", ".join(missing), **shown)
    for name in ("position", "best_val_loss", "bad_epochs"):
        one, other = saved.state.get(name), saved.again.get(name)
        message = f"가장 좋을 때(best=True)에 저장한 {name}이(가) 다릅니다."
        assert_equal(other, one, idea="체크포인트", message=message)


@todo("4-7")
def test_saving_changes_nothing(saved):
    """저장은 담기만 합니다. 저장한 뒤의 학습은 저장하지 않은 것과 같아야 합니다."""
    if saved.changed:
        shown = {"expected": f"그대로인 {saved.changed}", "got": f"달라진 {saved.changed}"}
        fail("저장하면서 학습의 상태를 바꾸었습니다.", idea="체크포인트", symptom="saving-changes", **shown)


def kept(saved, name):
    """저장된 것 하나. 이름이 틀렸거나 저장하면서 바뀐 것은 앞의 검사가 말합니다."""
    state = saved.state
    if saved.changed:
        shown = {"expected": "그대로", "got": f"달라진 {saved.changed}"}
        fail("저장하면서 학습의 상태가 바뀌어 볼 수 없습니다.", idea="체크포인트", **shown)
    if name not in state:
        fail(f"{name}이(가) 없어 볼 수 없습니다.", idea="체크포인트", expected=name, got="없음")
    return state[name]


@todo("4-7")
def test_weights_and_the_optimizer_are_saved(saved):
    """가중치와 옵티마이저의 기억이 저장할 때와 같습니다."""
    weights = kept(saved, "model_state_dict")
    wanted = saved.before["가중치"]
    shown = {"idea": "state_dict", "expected": "모델의 가중치", "got": content_of(weights)}
    if isinstance(weights, dict) and weights and weights.keys() < wanted.keys():
        missing = ", ".join(name for name in wanted if name not in weights)
        shown |= {"expected": ", ".join(wanted), "got": ", ".join(weights), "missing": missing}
        fail("model_state_dict에 빠진 이름이 있습니다.", symptom="some-weights", **shown)
    if not isinstance(weights, dict) or weights.keys() != wanted.keys():
        fail("model_state_dict에 모델의 가중치가 아닌 것이 있습니다.", symptom="other-state", **shown)
    for name, one in wanted.items():
        message = f"저장한 가중치 {name}이(가) 모델의 것과 다릅니다."
        lossy = weights[name].dtype != one.dtype or matches(weights[name], one, 0.05)
        more = {"idea": "state_dict", "symptom": "lossy-weights" if lossy else "other-state"}
        if weights[name].dtype != one.dtype:
            fail(message, expected=str(one.dtype), got=str(weights[name].dtype), **more)
        assert_close(weights[name], one, atol=0, message=message, **more)
    memory, wanted = kept(saved, "optimizer_state_dict"), saved.trainer.optimizer.state_dict()
    if (
        not isinstance(memory, dict)
        or memory.keys() != wanted.keys()
        or memory["state"].keys() != wanted["state"].keys()
    ):
        shown |= {"expected": "옵티마이저의 state_dict", "got": content_of(memory)}
        fail("optimizer_state_dict에 옵티마이저의 상태가 아닌 것이 있습니다.", symptom="other-state", **shown)


@todo("4-7")
def test_the_schedule_and_the_position_are_saved(saved):
    """스케줄러와 진행이 저장할 때와 같습니다."""
    schedule, wanted = kept(saved, "scheduler"), saved.trainer.scheduler.state_dict()
    if not isinstance(schedule, dict) or schedule.get("last_epoch") != wanted["last_epoch"]:
        shown = {"idea": "state_dict", "expected": "스케줄러의 state_dict", "got": content_of(schedule)}
        fail("scheduler에 스케줄러의 상태가 아닌 것이 있습니다.", symptom="other-state", **shown)
    position = kept(saved, "position")
    if position != PLACE:
        shown = {"idea": "Position", "expected": place_shown(PLACE), "got": place_shown(position)}
        whole = isinstance(position, dict) and position.keys() == PLACE.keys()
        symptom = "moved-position" if whole else "other-position"
        fail("position이 지금의 진행과 다릅니다.", symptom=symptom, **shown)


@todo("4-7")
def test_the_best_values_are_saved(saved):
    """가장 좋은 값과 나아지지 않은 에포크의 수가 저장할 때와 같습니다."""
    got = [kept(saved, name) for name in ("best_val_loss", "bad_epochs")]
    got = [one.item() if isinstance(one, torch.Tensor) and one.numel() == 1 else one for one in got]
    if got != [BEST, BAD]:
        shown = {"idea": "조기 종료", "expected": f"{BEST}, {BAD}", "got": ", ".join(map(repr, got))}
        if isinstance(got[0], (float, torch.Tensor)) and matches(got[0], BEST, 0.05) and got[1] == BAD:
            fail("best_val_loss가 지금의 값과 조금 다릅니다.", symptom="rounded-best", **shown)
        fail("best_val_loss와 bad_epochs가 지금의 값과 다릅니다.", symptom="other-best", **shown)


@todo("4-7")
def test_random_states_of_every_process_are_saved(saved):
    """난수는 모든 프로세스의 것이 목록으로 있습니다."""
    everyone = kept(saved, "rng")
    if not isinstance(everyone, (list, tuple)) or len(everyone) != 1 or not isinstance(everyone[0], dict):
        shown = {"expected": "프로세스마다의 난수가 든 목록", "got": type(everyone).__name__}
        fail("rng에 모든 프로세스의 난수가 들어 있지 않습니다.", idea="난수", symptom="other-rng", **shown)
    if draw(everyone[0]) != draw(saved.mine):
        shown = {"expected": show(draw(saved.mine)), "got": show(draw(everyone[0]))}
        fail("저장한 난수가 저장할 때의 것이 아닙니다.", idea="난수", symptom="other-rng", **shown)


@todo("4-7")
def test_a_run_started_from_the_file_is_the_same(saved, new_trainer):
    """저장된 것만으로 이어 간 두 걸음이, 멈추지 않은 두 걸음과 비트까지 같습니다."""
    state = saved.state
    if any(name not in state for name in NEEDED) or not isinstance(state["rng"], list) or saved.changed:
        fail("빠진 것이 있어 이어 갈 수 없습니다.", idea="이어 하기", expected=", ".join(NEEDED), got="일부")
    set_rng_state(saved.mine)
    walk(saved.trainer, 2)
    other = new_trainer(Bigram(dropout=0.5, seed=4), adamw, learning_rate=0.1)
    other.gpt.load_state_dict(state["model_state_dict"], strict=False)  # 빠진 이름은 앞의 검사가 말합니다.
    other.optimizer.load_state_dict(state["optimizer_state_dict"])
    other.scheduler.load_state_dict(state["scheduler"])
    set_rng_state(state["rng"][0])
    walk(other, 2)
    message = "저장된 상태로 이어 간 학습이 멈추지 않은 학습과 달라졌습니다."
    assert_close(other.gpt.values(), saved.trainer.gpt.values(), atol=0, idea="이어 하기", message=message)


def draw(state):
    """그 난수 상태에서 이어 뽑은 세 수: 파이썬, NumPy, PyTorch."""
    before = rng_state()
    set_rng_state(state)
    drawn = [random.random(), float(np.random.rand()), float(torch.rand(1))]
    set_rng_state(before)
    return drawn


@known_as("Fabric")
class SecondOfThree:
    """세 프로세스 가운데 1번인 것처럼 보이는 Fabric."""

    global_rank, world_size, is_global_zero, local_rank = 1, 3, False, 1

    def __init__(self, fabric):
        self._fabric = fabric

    def __getattr__(self, name):
        return getattr(self._fabric, name)


def state_of(trainer, rng):
    """손으로 담은 체크포인트."""
    return {
        "model_state_dict": trainer.gpt.state_dict(),
        "optimizer_state_dict": trainer.optimizer.state_dict(),
        "scheduler": trainer.scheduler.state_dict(),
        "position": dict(PLACE),
        "best_val_loss": BEST,
        "bad_epochs": BAD,
        "rng": rng,
        "epoch": PLACE["epoch"],
        "best_step": 2,
        "sums": torch.tensor([1.0, 0.5, 2.0]),
        "scaler": {},
        "history": [{"step": 3, "val_loss": BEST}],
        "config": trainer.config.to_dict(),
        "vocab_size": VOCAB,
        "tokenizer": "{}",
    }


def restore(trainer, path):
    """`load_checkpoint`를 부릅니다. 알아본 예외는 무엇이 틀렸는지로 바꿉니다."""
    try:
        trainer.load_checkpoint(path)
    except TypeError as error:
        if "list indices must be integers" in str(error):
            shown = {"expected": "이 프로세스의 난수(사전)", "got": "프로세스마다의 난수가 든 목록"}
            fail("모든 프로세스의 난수를 통째로 건넸습니다.", idea="난수", symptom="all-ranks", **shown)
        raise
    except KeyError as error:
        if error.args[0] in ("param_groups", "state"):
            shown = {"expected": "옵티마이저의 상태", "got": "다른 것의 상태"}
            fail("옵티마이저에 다른 것의 상태를 넣었습니다.", idea="state_dict", symptom="other-state", **shown)
        if error.args[0] not in NEEDED:
            name = str(error.args[0])
            shown = {"expected": ", ".join(NEEDED), "got": name if len(name) < 30 else "다른 이름"}
            fail("저장할 때와 다른 이름으로 찾았습니다.", idea="체크포인트", symptom="other-name", **shown)
        raise


@pytest.fixture(scope="module")
def resumed(load, device, tmp_path_factory):
    """세 걸음을 걷고 저장한 학습과, 그 파일로 되돌린 새 Trainer. 세 프로세스 가운데 1번입니다."""
    with building(load, device) as new_trainer:
        return resume(new_trainer, tmp_path_factory.mktemp("resumed"))


def resume(new_trainer, folder):
    trained = train_three_steps(new_trainer, folder)
    mine = rng_state()
    others = []
    for seed in (11, 22):
        seeded(seed)
        others.append(rng_state())
    path = folder / "hand-made.pt"
    everyone = [others[0], mine, others[1]]
    torch.save(state_of(trained, everyone), path)
    # 되돌릴 Trainer는 이미 다른 곳까지 걸었고, 그 실행 폴더에는 다른 체크포인트가 있습니다.
    new = new_trainer(Bigram(dropout=0.5, seed=4), adamw, learning_rate=0.1, run_folder=RunFolder(folder / "elsewhere"))
    seeded(8)
    walk(new, 4)
    new.position, new.best_val_loss, new.bad_epochs, new.best_step = Position(2, 1, 8), 0.5, 1, 7
    save_elsewhere(new, everyone)
    fresh = SimpleNamespace(
        weights=new.gpt.values(),
        memory=[one["exp_avg"].clone() for one in new.optimizer.state_dict()["state"].values()],
        schedule=new.scheduler.last_epoch,
        position=Position(**vars(new.position)),
    )
    new.fabric = SecondOfThree(new.fabric)
    seeded(6)
    untouched = rng_state()
    restore(new, str(path))
    return SimpleNamespace(
        old=trained, new=new, fresh=fresh, rng=rng_state(), mine=mine, others=others, untouched=untouched
    )


def save_elsewhere(trainer, rng):
    """실행 폴더의 last.pt와 best_model.pt. 가중치가 모두 1씩 큽니다."""
    state = state_of(trainer, rng)
    state["model_state_dict"] = {name: one + 1 for name, one in state["model_state_dict"].items()}
    memory = state["optimizer_state_dict"]["state"].items()
    memory = {number: {**one, "exp_avg": one["exp_avg"] + 1} for number, one in memory}
    state["optimizer_state_dict"] = {**state["optimizer_state_dict"], "state": memory}
    trainer.run_folder.last_state.parent.mkdir(parents=True)
    for path in (trainer.run_folder.last_state, trainer.run_folder.best_model):
        torch.save(state, path)


def still_fresh(resumed):
    """되돌리기 전 그대로인 것: (가중치, 옵티마이저의 기억)."""
    memory = [one["exp_avg"] for one in resumed.new.optimizer.state_dict()["state"].values()]
    kept = not memory or all(matches(one, other, 0) for one, other in zip(memory, resumed.fresh.memory, strict=True))
    return matches(resumed.new.gpt.values(), resumed.fresh.weights, 0), kept


@todo("4-8")
def test_weights_are_restored(resumed):
    """가중치가 저장한 때와 같습니다."""
    got, want = resumed.new.gpt.values(), resumed.old.gpt.values()
    shown = {"expected": show(want[:3]), "got": show(got[:3])}
    if all(still_fresh(resumed)):
        fail("가중치도 옵티마이저도 되돌리지 않았습니다.", idea="이어 하기", symptom="nothing-loaded", **shown)
    if still_fresh(resumed)[0]:
        fail("가중치를 되돌리지 않았습니다.", idea="이어 하기", symptom="no-weights", **shown)
    if matches(got, resumed.fresh.weights + 1, ATOL):
        fail("받은 파일이 아니라 실행 폴더의 것을 읽었습니다.", idea="인수", symptom="other-file", **shown)
    assert_close(got, want, atol=0, idea="이어 하기", message="가중치가 저장한 때와 다릅니다.")


@todo("4-8")
def test_the_optimizer_remembers(resumed):
    """AdamW가 기억하던 기울기의 평균과 걸음 수가 돌아옵니다."""
    got, want = (one.optimizer.state_dict()["state"] for one in (resumed.new, resumed.old))
    nothing, kept = still_fresh(resumed)
    if not got or kept:
        shown = {"expected": f"파라미터 {len(want)}개의 평균", "got": "되돌리기 전 그대로" if got else "없음"}
        symptom = "nothing-loaded" if nothing else "no-optimizer"
        fail("옵티마이저가 저장한 때를 기억하지 못합니다.", idea="옵티마이저의 상태", symptom=symptom, **shown)
    for number, memory in want.items():
        for name, value in memory.items():
            message = f"옵티마이저의 {name}이(가) 저장한 때와 다릅니다."
            mine = got.get(number, {}).get(name, torch.zeros(0))
            assert_close(mine, value, atol=0, idea="옵티마이저의 상태", message=message)


@todo("4-8")
def test_the_schedule_goes_on(resumed):
    """학습률 스케줄이 멈춘 걸음에서 이어집니다."""
    got, want = (one.scheduler.last_epoch for one in (resumed.new, resumed.old))
    if got != want:
        shown = {"expected": f"{want}걸음", "got": f"{got}걸음"}
        start = resumed.fresh.schedule
        symptom = "no-scheduler" if got == start else "scheduler-replayed" if got > start else None
        fail("학습률 스케줄이 멈춘 걸음에 있지 않습니다.", idea="학습률 스케줄", symptom=symptom, **shown)


@todo("4-8")
def test_the_learning_rate_is_the_saved_one(resumed):
    """다음 걸음의 학습률이 저장한 때의 것입니다."""
    memory, wanted = (one.optimizer.state_dict()["state"] for one in (resumed.new, resumed.old))
    other = not all(number in memory and same(memory[number], one) for number, one in wanted.items())
    if other or resumed.new.scheduler.last_epoch != resumed.old.scheduler.last_epoch:  # 다른 검사가 말합니다.
        fail("옵티마이저나 스케줄러부터 다릅니다.", idea="학습률 스케줄", expected="저장한 때와 같음", got="다름")
    got, want = ([group["lr"] for group in one.optimizer.param_groups] for one in (resumed.new, resumed.old))
    if not all(math.isclose(one, other) for one, other in zip(got, want, strict=True)):
        shown = {"expected": show(want), "got": show(got)}
        message = "다음 걸음의 학습률이 저장한 때와 다릅니다."
        fail(message, idea="학습률 스케줄", symptom="lr-reset", **shown)


@todo("4-8")
def test_the_rest_is_restored_too(resumed):
    """자리 아래의 줄(restore_facts)까지 가서, 가장 좋은 걸음과 에포크의 손실 합도 돌아옵니다."""
    if resumed.new.best_step != 2:
        shown = {"expected": "best_step = 2", "got": f"best_step = {resumed.new.best_step}"}
        fail("자리 아래의 restore_facts에 닿지 못했습니다.", idea="return", symptom="early-return", **shown)


@todo("4-8")
def test_the_position_is_restored(resumed):
    """몇 에포크, 몇 배치, 몇 걸음까지 왔는지 되살아납니다."""
    got, want = resumed.new.position, Position(**PLACE)
    shown = {"idea": "Position", "expected": place_shown(want), "got": place_shown(got)}
    if not isinstance(got, Position) or any(not isinstance(one, int) for one in vars(got).values()):
        fail("진행이 수가 담긴 Position이 아닙니다.", symptom="position-dict", **shown)
    if got == resumed.fresh.position:
        fail("진행을 되돌리지 않았습니다.", symptom="no-position", **shown)
    if got != want:
        fail("되돌린 진행이 저장한 것과 다릅니다.", symptom="other-position", **shown)


@todo("4-8")
def test_the_best_values_are_restored(resumed):
    """가장 좋은 값과 나아지지 않은 에포크의 수가 돌아옵니다."""
    got, want = [resumed.new.best_val_loss, resumed.new.bad_epochs], [BEST, BAD]
    shown = {"idea": "조기 종료", "expected": str(want), "got": str(got)}
    if got == want[::-1]:
        fail("best_val_loss와 bad_epochs를 서로 바꾸어 담았습니다.", symptom="swapped-best", **shown)
    if got[0] != BEST:
        fail("best_val_loss를 되돌리지 않았습니다.", symptom="no-best", **shown)
    if got[1] != BAD:
        fail("bad_epochs를 되돌리지 않았습니다.", symptom="no-best", **shown)


@todo("4-8")
def test_random_numbers_go_on(resumed):
    """난수는 이 프로세스가 저장한 자리에서 이어집니다."""
    got, want = draw(resumed.rng), draw(resumed.mine)
    if any(got == draw(other) for other in resumed.others):
        shown = {"expected": "1번 프로세스의 난수", "got": "다른 프로세스의 난수"}
        fail("다른 프로세스의 난수로 되돌렸습니다.", idea="난수", symptom="wrong-rank", **shown)
    shown = {"idea": "난수", "expected": show(want), "got": show(got)}
    if got == draw(resumed.untouched):
        fail("난수를 되돌리지 않았습니다.", symptom="no-rng", **shown)
    if not any(one == other for one, other in zip(got, want, strict=True)):
        fail("저장한 난수와 다른 난수를 심었습니다.", symptom="reseeded", **shown)
    names = ("파이썬", "NumPy", "PyTorch")
    wrong = ", ".join(name for name, one, other in zip(names, got, want, strict=True) if one != other)
    if wrong:
        fail(f"{wrong}의 난수가 저장한 자리에서 이어지지 않습니다.", symptom="some-rng", wrong=wrong, **shown)


@todo("4-8")
def test_two_more_steps_are_the_same_as_never_stopping(resumed):
    """이어 한 두 걸음의 가중치가 한 번도 멈추지 않은 학습과 비트까지 같습니다."""
    set_rng_state(resumed.mine)
    walk(resumed.old, 2)
    set_rng_state(resumed.rng)
    resumed.new.gpt.train()
    walk(resumed.new, 2)
    got, want = resumed.new.gpt.values(), resumed.old.gpt.values()
    message = "이어 한 학습이 멈추지 않은 학습과 달라졌습니다."
    assert_close(got, want, atol=0, idea="이어 하기", message=message)


# ── 4-9 학습률 찾기 ───────────────────────────────────────────────────────────────────────────────────────────

LOWEST, HIGHEST = 1e-6, 1.0


@pytest.fixture
def find(load, device, monkeypatch):
    """정해 둔 손실들을 내는 모델로 학습률을 찾은 기록: (학습률, 손실), 그리고 정말 걸은 학습률."""
    step4 = load(4)

    def run(losses, num_steps):
        walked = []

        @known_as("Trainer")
        class Losses:
            def __init__(self, model, data, config, fabric=None, run_folder=None):
                self.optimizer = SimpleNamespace(param_groups=[{"lr": 0.1}, {"lr": 0.1}])
                self.train_loader = [pair_of([0]), pair_of([1])]

            def train_step(self, batches):
                if len(walked) >= 3 * num_steps:
                    shown = {"expected": f"{num_steps}걸음 이하", "got": "끝없는 반복"}
                    fail("걸음이 끝나지 않습니다.", idea="반복", symptom="too-many", **shown)
                walked.append([float(group["lr"]) for group in self.optimizer.param_groups])
                value = losses[min(len(walked), len(losses)) - 1]
                return torch.tensor(value), torch.tensor(0.5)

        monkeypatch.setattr(step4, "Trainer", Losses)
        config = SimpleNamespace(learning_rate=0.1)
        found = step4.find_learning_rate(Bigram(), Windows(), config, plain_fabric(device), num_steps)
        return SimpleNamespace(rates=[float(one) for one in found[0]], losses=[*map(float, found[1])], walked=walked)

    return run


def exponents(rates):
    """학습률의 상용로그. 0 이하는 -99입니다."""
    return [math.log10(one) if one > 0 else -99.0 for one in rates]


@todo("4-9")
@pytest.mark.parametrize("num_steps", [4, 7])
def test_rates_grow_by_the_same_ratio(find, num_steps):
    """학습률은 lowest에서 시작해 같은 비율로 커져, num_steps번째에 highest가 됩니다."""
    found = find([2.0, 1.75, 1.5, 1.25, 1.0, 1.25, 1.5], num_steps)
    got, ratio = exponents(found.rates), HIGHEST / LOWEST
    want = [6 * index / (num_steps - 1) - 6 for index in range(num_steps)]
    if close(got, want, 1e-4):
        return
    shown = {"idea": "같은 비율", "expected": rates_shown(10**one for one in want), "got": rates_shown(found.rates)}
    count = len(found.rates)
    if not found.walked:
        shown |= {"expected": f"{num_steps}걸음", "got": "0걸음"}
        fail("한 걸음도 걷지 않았습니다.", symptom="nothing", **shown)
    if count != len(found.losses):
        shown |= {"expected": "같은 수", "got": f"학습률 {count}개, 손실 {len(found.losses)}개"}
        fail("학습률과 손실을 짝지어 담지 않았습니다.", symptom="uneven", **shown)
    if count == 0:
        shown |= {"expected": f"{num_steps}개", "got": "0개"}
        fail("하나도 담지 않고 멈추었습니다.", symptom="stops-at-once", **shown)
    wrong = [
        ("off-by-one", [6 * i / num_steps - 6 for i in range(num_steps)]),
        ("off-by-one", [6 * (i + 1) / num_steps - 6 for i in range(num_steps)]),
        ("off-by-one", [6 * (i + 1) / (num_steps - 1) - 6 for i in range(num_steps)]),
        ("linear", exponents(LOWEST + (HIGHEST - LOWEST) * i / (num_steps - 1) for i in range(num_steps))),
        ("linear", exponents(LOWEST + (HIGHEST - LOWEST) * i / num_steps for i in range(num_steps))),
        ("linear", exponents(LOWEST * ratio * i / (num_steps - 1) for i in range(num_steps))),
        ("logspace-of-values", [LOWEST + (HIGHEST - LOWEST) * i / (num_steps - 1) for i in range(num_steps)]),
        ("downwards", want[::-1]),
        ("from-one", [one + 6 for one in want]),
        ("same-rate", got[:1] * num_steps),
        ("precedence", [6 * i - 6 - math.log10(num_steps - 1) for i in range(num_steps)]),
    ]
    for symptom, values in wrong:
        if matches(got, values, 1e-4):
            fail("학습률이 같은 비율로 lowest에서 highest까지 커지지 않습니다.", symptom=symptom, **shown)
    ratios = [after - one for one, after in zip(got, got[1:], strict=False)]
    if count == num_steps and matches(got[0], -6.0, 1e-4) and matches(ratios, [ratios[0]] * len(ratios), 1e-4):
        message = "학습률이 같은 비율로 커지지만 highest에서 끝나지 않습니다."
        fail(message, symptom="fixed-ratio", **shown)
    if count != num_steps:
        shown |= {"expected": f"{num_steps}개", "got": f"{count}개"}
        symptom = "stops-early" if count < num_steps else "too-many"
        fail("모은 학습률의 수가 num_steps와 다릅니다.", symptom=symptom, **shown)
    fail("학습률이 같은 비율로 lowest에서 highest까지 커지지 않습니다.", **shown)


def rates_shown(rates):
    return ", ".join(f"{one:.1e}" for one in [*rates][:4])


@todo("4-9")
def test_losses_belong_to_their_rates(find):
    """모은 손실은 그 학습률로 걸은 걸음의 것이고, 걸음마다 한 번만 걷습니다."""
    losses = [2.0, 1.75, 1.5, 1.25, 1.0]
    found = find(losses, 5)
    if len(found.walked) > 5 and len(found.rates) < len(found.walked):
        shown = {"expected": "5걸음", "got": f"{len(found.walked)}걸음"}
        fail("학습률 하나로 여러 걸음을 걸었습니다.", idea="한 걸음", symptom="walked-twice", **shown)
    if len(found.walked) != 5:
        fail("걸음의 수가 다릅니다.", idea="반복", expected="5걸음", got=f"{len(found.walked)}걸음")
    if len(found.rates) != len(found.losses):
        fail("학습률과 손실의 수가 다릅니다.", idea="모으기", expected="같은 수", got="다른 수", symptom="uneven")
    message = "모은 손실이 그 걸음의 손실이 아닙니다."
    shown = {"idea": "모으기", "symptom": "other-losses"}
    assert_close(found.losses, losses, atol=1e-6, message=message, **shown)
    walked = [one[0] for one in found.walked]
    if not close(exponents(found.rates), exponents(walked), 1e-4):
        shown = {"expected": rates_shown(walked), "got": rates_shown(found.rates)}
        fail("모은 학습률이 정말 걸은 학습률과 다릅니다.", idea="모으기", symptom="other-rates", **shown)


STOPS = [
    # (손실들, 담을 개수, 무엇을 보는지)
    ([3.0, 2.0, 1.0, 0.5, 1.75, 2.0, 2.125, 0.75, 0.5], 6, "가장 낮던 값의 4배"),
    ([1.0, 8.0, 1.0, 1.0], 1, "둘째에서 넘음"),
    ([2.0, 1.0, 3.5, 4.0, 2.0, 5.0, 1.0], 5, "앞의 손실이 아니라 가장 낮던 손실"),
]


@todo("4-9")
@pytest.mark.parametrize(("losses", "count"), [one[:2] for one in STOPS], ids=[one[2] for one in STOPS])
def test_it_stops_when_the_loss_explodes(find, losses, count):
    """가장 낮던 손실의 4배를 넘으면, 그 값을 담지 않고 멈춥니다."""
    found = find(losses, len(losses))
    when = "손실이 가장 낮던 값의 4배를 넘었을 때"
    # 무엇의 4배든 8.0은 넘습니다. 거기서도 멈추지 않으면 멈출 줄 모르는 것입니다.
    endless = len(find(STOPS[1][0], 4).walked) == 4
    check_stop(find, found, losses, count, when, never="no-stop" if endless else "other-limit", other="other-limit")


@todo("4-9")
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("count", [2, 0])
def test_it_stops_when_the_loss_is_not_finite(find, bad, count):
    """유한하지 않은 손실은 담지 않고 멈춥니다. 첫 걸음이어도 그렇습니다."""
    losses = [2.0, 1.5][:count] + [bad] + [1.0, 0.75]
    try:
        found = find(losses, len(losses))
    except ValueError as error:
        if "empty" not in str(error):  # min()이 빈 목록을 받았습니다.
            raise
        shown = {"expected": "빈 두 목록", "got": "ValueError"}
        fail("첫 손실을 아직 모으지 않았는데 min을 구했습니다.", idea="빈 목록", symptom="min-of-empty", **shown)
    check_stop(find, found, losses, count, f"손실이 {bad}일 때", never="not-finite", other="not-finite")


def check_stop(find, found, losses, count, when, never, other):
    """`count`개를 담고 그다음 걸음에서 멈추었는가. `never`는 끝까지 걸었을 때, `other`는 그 밖의 증상입니다."""
    got, walked = len(found.losses), len(found.walked)
    shown = {
        "idea": "멈추기",
        "expected": f"{count}개를 담고 멈춤",
        "got": f"{got}개를 담고 {walked}걸음",
        "when": when,
    }
    if got == count and walked == count + 1:
        message = f"{when} 앞에서 모은 손실이 다릅니다."
        assert_close(found.losses, losses[:count], atol=1e-6, idea="모으기", message=message)
        return
    message = f"{when} 제때 멈추지 않았습니다."
    if len(find([1.0] * 5, 5).walked) != 5:  # 걸음의 수부터 틀렸습니다. 다른 검사가 말합니다.
        fail(message, **shown)
    if got == count + 1 == walked:
        fail(message, symptom="kept-the-last", **shown)
    if walked == len(losses) and count <= got < walked:
        fail(message, symptom="went-on", **shown)
    fail(message, symptom=never if got == walked == len(losses) else other, **shown)


# ── 단계 파일 전체 ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_interrupted_run_ends_like_one_that_never_stopped(load, device, tmp_path):
    """작은 GPT를 도중에 끊었다가 이어 하면, 끊지 않은 학습과 비트까지 같습니다."""
    step4 = load(4)
    config = support.tiny_config(
        dropout=0.3, num_epochs=2, grad_accumulation=2, stride=200, job_version="4", num_layers=1, val_ratio=0.1
    )
    data = step4.LMData(config, tmp_path / "tokens")

    def run(stop_at=None, resume=False, folder="one"):
        torch.manual_seed(config.seed)
        model = step4.GPT(config, len(data.tokenizer), data.tokenizer)
        trainer = step4.Trainer(model, data, config, plain_fabric(device), RunFolder(tmp_path / folder))
        if resume:
            trainer.load_checkpoint(trainer.run_folder.last_state)
        after_step = trainer.after_step

        def stop():
            if trainer.position.step == stop_at:
                trainer.interrupt.requested = True
            after_step()

        trainer.after_step = stop
        if stop_at:
            with pytest.raises(KeyboardInterrupt):
                trainer.train()
        else:
            trainer.train()
        return trainer

    whole = run()
    run(stop_at=whole.steps_per_epoch + 2, folder="two")
    resumed = run(resume=True, folder="two")
    assert resumed.position == whole.position
    assert resumed.best_val_loss == whole.best_val_loss
    for one, other in zip(whole.gpt.parameters(), resumed.gpt.parameters(), strict=True):
        assert torch.equal(one, other)
    assert whole.run_folder.best_model.is_file()
