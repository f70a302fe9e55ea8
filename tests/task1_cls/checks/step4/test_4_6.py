"""4-6의 검사: 이어 하기."""

from __future__ import annotations

import copy
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from course.checks.words import assert_close, assert_equal, fail, matches, show, todo
from course.checks.workspace import plain_fabric, workspace
from nlpbook.checkpoints import Checkpoint, CheckpointSaver, rng_state, set_rng_state, write_state
from nlpbook.position import Position
from tests.task1_cls.checks.step4.common import Batches, ValLoader, WithDropout, one_process

PLACE = {"epoch": 4, "batch": 5, "step": 37}  # 서로도, 프로세스의 번호나 기본값과도 다른 수


class Trained:
    """드롭아웃이 있는 작은 모델과 AdamW, 스케줄러. 학생의 코드 없이 스스로 배울 수 있습니다."""

    def __init__(self, seed, device):
        torch.manual_seed(seed)
        self.model = WithDropout(device)
        (self.lang_model,) = self.model.plain
        self.optimizer = torch.optim.AdamW(self.lang_model.parameters(), lr=0.1)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: 1 / (1 + step))
        self.device = device

    def learn(self, count):
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
        fail(idea="이어 하기", symptom="from-folder", **shown)


def seeded_again(*args, **kwargs):
    shown = {"expected": "저장한 자리", "got": "seed_everything이 정한 처음"}
    fail(idea="난수", symptom="reseeded", **shown)


def load_checkpoint(trainer, path):
    """학생의 `load_checkpoint`를 부릅니다. 알아본 예외는 무엇이 틀렸는지로 바꿉니다."""
    trainer.saver, trainer.fabric.seed_everything = UnusedSaver(), seeded_again
    trainer.train_loader, trainer.val_loader, trainer.val_steps = Batches(), ValLoader(), 2
    try:
        trainer.load_checkpoint(path)
    except RuntimeError as error:
        if "for NSMCModel" in str(error) and "lang_model." in str(error):
            outer_model("오류")
        raise
    except TypeError as error:
        if "list indices must be integers" in str(error):
            shown = {"expected": "이 프로세스의 난수(딕셔너리)", "got": "프로세스마다의 난수가 든 목록"}
            fail(idea="난수", symptom="all-ranks", **shown)
        raise
    except KeyError as error:
        if error.args[0] in ("param_groups", "state"):
            shown = {"expected": "옵티마이저의 상태", "got": "다른 것의 상태"}
            fail(idea="state_dict", symptom="other-state", **shown)
        raise


def outer_model(got):
    shown = {"expected": "self.model.lang_model", "got": got}
    fail(idea="state_dict", symptom="outer-model", **shown)


@pytest.fixture
def resumed(new_trainer, device):
    """세 스텝 배우고 저장한 학습과, 그 상태로 되돌린 새 루프. 두 프로세스 가운데 1번입니다."""
    before = rng_state()
    seeds = {}
    for seed in (11, 22):
        random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
        seeds[seed] = rng_state()
    old = Trained(3, device)
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    old.learn(3)
    mine = rng_state()
    state = {
        "model_state_dict": old.lang_model.state_dict(),
        "optimizer_state_dict": old.optimizer.state_dict(),
        "scheduler_state_dict": old.scheduler.state_dict(),
        "scaler_state_dict": {},
        "position": dict(PLACE),
        "rng_states": [seeds[11], mine, seeds[22]],
        "history": [{"step": 3, "loss": 0.5}],
    }
    path = workspace() / "step4" / "last.pt"
    write_state(path, state)

    new = Trained(4, device)
    fresh = new.weights()
    random.seed(6), np.random.seed(6), torch.manual_seed(6)
    untouched, seed_before = rng_state(), torch.initial_seed()
    fabric = one_process(device, rank=1, processes=3)
    trainer = new_trainer(
        fabric=fabric,
        model=new.model,
        optimizer=plain_fabric(device).setup_optimizers(new.optimizer),
        scheduler=new.scheduler,
        steps_per_epoch=8,
        total_steps=64,
    )
    load_checkpoint(trainer, path)
    after, seed = rng_state(), torch.initial_seed()
    yield SimpleNamespace(
        trainer=trainer,
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
    parameters = resumed.trainer.model.lang_model.parameters()
    got, want = torch.cat([one.detach().flatten() for one in parameters]), resumed.old.weights()
    if matches(got, resumed.fresh, 0) and resumed.trainer.model.loaded:
        outer_model("맞는 이름이 없어 아무것도 바뀌지 않음")
    if matches(got, resumed.fresh, 0):
        fail(idea="이어 하기", expected=show(want), got=show(got), symptom="no-weights")
    assert_close(got, want, atol=0, idea="이어 하기", message="가중치가 저장한 때와 다릅니다.")


@todo("4-6")
def test_the_optimizer_remembers(resumed):
    """AdamW가 기억하던 기울기의 평균과 스텝 수가 돌아옵니다."""
    got, want = (one.optimizer.state_dict()["state"] for one in (resumed.trainer, resumed.old))
    if not got:
        fail(idea="옵티마이저의 상태", expected=f"파라미터 {len(want)}개의 평균", got="없음", symptom="no-optimizer")
    for number, kept in want.items():
        for name, value in kept.items():
            mine = got.get(number, {}).get(name) if isinstance(got.get(number, {}), dict) else None
            if mine is None:
                shown = {"expected": f"파라미터마다의 {name}", "got": "없음"}
                fail(idea="옵티마이저의 상태", symptom="other-state", **shown)
            assert_close(
                mine, value, atol=0, idea="옵티마이저의 상태", message=f"옵티마이저의 {name}이 저장한 때와 다릅니다."
            )
    owned = {id(one) for group in resumed.trainer.optimizer.param_groups for one in group["params"]}
    if not all(id(one) in owned for one in resumed.trainer.model.lang_model.parameters()):
        shown = {"expected": "옵티마이저가 쥔 파라미터", "got": "새로 만든 파라미터"}
        fail(idea="옵티마이저", symptom="other-parameters", **shown)
    rates = [[group["lr"] for group in one.optimizer.param_groups] for one in (resumed.trainer, resumed.old)]
    tops = (
        resumed.trainer.config.learning.learning_rate,
        *(one["initial_lr"] for one in resumed.old.optimizer.param_groups),
    )
    symptom = "lr-reset" if any(matches(one, top, 1e-12) for one in rates[0] for top in tops) else None
    message = "옵티마이저의 학습률이 저장한 때와 다릅니다."
    assert_close(rates[0], rates[1], atol=1e-12, idea="옵티마이저의 상태", message=message, symptom=symptom)


@todo("4-6")
def test_the_schedule_goes_on(resumed):
    """학습률 스케줄이 멈춘 스텝에서 이어집니다."""
    got, want = (one.scheduler.state_dict()["last_epoch"] for one in (resumed.trainer, resumed.old))
    if got != want:
        fail(
            "학습률 스케줄이 멈춘 스텝에 있지 않습니다.",
            idea="학습률 스케줄",
            expected=f"{want}스텝",
            got=f"{got}스텝",
            symptom="no-scheduler" if got == 0 else None,
        )
    assert_close(
        resumed.trainer.scheduler.get_last_lr(),
        resumed.old.scheduler.get_last_lr(),
        atol=1e-12,
        idea="학습률 스케줄",
        message="학습률이 저장한 때와 다릅니다.",
    )


@todo("4-6")
def test_the_position_is_restored(resumed):
    """몇 에포크, 몇 배치, 몇 스텝까지 왔는지 되살아납니다."""
    got, want = resumed.trainer.position, Position(**PLACE)
    if isinstance(got, dict):
        fail(idea="Position", expected="Position", got="dict", symptom="position-dict")
    if got == Position():
        fail(idea="이어 하기", expected=want, got=got, symptom="no-position")
    if got != want:
        name_position(got, want)
    for name in ("epoch", "batch", "step"):
        assert_equal(type(getattr(got, name)), int, idea="Position", message=f"position.{name}이 정수가 아닙니다.")


def name_position(got, want):
    """되돌린 진행이 다를 때, 무엇을 잘못했는지 알아봅니다."""
    shown = {"idea": "Position", "expected": want, "got": show(got)}
    if not isinstance(got, Position):
        fail(symptom="not-position", **shown)
    values, wants = list(vars(got).values()), list(vars(want).values())
    if any(isinstance(one, dict) for one in values):
        fail(symptom="position-dict", **shown)
    if any(isinstance(one, str) for one in values):
        fail(symptom="position-names", **shown)
    if sorted(values) == sorted(wants):
        fail(symptom="position-other", **shown)
    if all(one in (0, kept) for one, kept in zip(values, wants, strict=True)):
        fail(symptom="position-part", **shown)
    if got.epoch == want.epoch + 1:
        fail(symptom="epoch-skipped", **shown)
    fail(symptom="position-changed", **shown)


@todo("4-6")
def test_random_numbers_go_on(resumed):
    """난수는 이 프로세스가 저장한 자리에서 이어집니다."""
    got, want = draw(resumed.rng), draw(resumed.mine)
    if any(matches(got, draw(other), 0) for other in resumed.others):
        fail(idea="난수", expected="1번 프로세스의 난수", got="다른 프로세스의 난수", symptom="wrong-rank")
    if matches(got, draw(resumed.untouched), 0):
        fail(idea="난수", expected=show(want), got=show(got), symptom="no-rng")
    if resumed.seed != resumed.seed_before and matches(got[2:], draw_after(resumed.seed)[2:], 0):
        shown = {"expected": "저장한 자리", "got": f"시드 {resumed.seed}의 처음"}
        fail(idea="난수", symptom="reseeded", **shown)
    names = ("파이썬", "NumPy", "PyTorch")
    wrong = [name for name, one, other in zip(names, got, want, strict=True) if one != other]
    if wrong:
        fail(idea="난수", expected=show(want), got=show(got), symptom="some-rng", wrong=", ".join(wrong))


@todo("4-6")
def test_two_more_steps_are_the_same_as_never_stopping(resumed):
    """이어 한 두 스텝의 가중치가 한 번도 멈추지 않은 학습과 같습니다."""
    set_rng_state(resumed.mine)
    resumed.old.learn(2)
    trainer = resumed.trainer
    going_on = copy.copy(resumed.new)
    going_on.lang_model = trainer.model.lang_model
    going_on.optimizer, going_on.scheduler = trainer.optimizer, trainer.scheduler
    set_rng_state(resumed.rng)
    going_on.learn(2)
    assert_close(
        going_on.weights(),
        resumed.old.weights(),
        atol=1e-6,
        idea="이어 하기",
        message="이어 한 학습이 멈추지 않은 학습과 달라졌습니다.",
    )
