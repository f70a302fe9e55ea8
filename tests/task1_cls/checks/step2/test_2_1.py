"""2-1의 검사: 옵티마이저."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from course.checks.recognising import explained, when
from course.checks.side_effects import ModesKept, SettingsKept
from course.checks.words import assert_close, assert_equal, close, fail, matches, todo
from tests.task1_cls.checks import support
from tests.task1_cls.checks.step2.common import DECAY, LR, bare

ATOL = 1e-6


def classifier() -> torch.nn.Module:
    """작은 분류 모델. 1차원 가중치도 0이 아니어서, 0으로 당기면 드러납니다."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig.from_pretrained(str(support.tiny_model()), num_labels=2)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = BertForSequenceClassification(config).eval()
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.copy_(torch.rand_like(parameter) + 0.5)
    return made


@pytest.fixture
def model(load, device):
    made = bare(load)
    made.config.hardware.devices = 3  # 학습률에도 weight decay에도 섞이지 않는 수
    made.lang_model = classifier()
    return made.to(device)


STOPS = [
    when(
        "ValueError: .*more than one parameter group",
        "in-two-groups",
        idea="파라미터 묶음",
        expected="꼭 한 번씩",
        got="두 번",
    ),
    when(
        "TypeError: optimizer can only optimize Tensors, but one of the params is list",
        "nested-groups",
        idea="파라미터 묶음",
        expected="묶음의 목록",
        got="목록의 목록",
    ),
    when(
        "TypeError: .*not supported between instances of 'float' and '(?P<got>[^']*)'",
        "lr-not-number",
        idea="학습률",
        expected="수",
    ),
]


@pytest.fixture
def optimizer(model):
    settings, modes = SettingsKept(model.config), ModesKept(model)
    with explained(*STOPS):
        got = model.configure_optimizers()
    if isinstance(got, type):
        fail(idea="객체", expected="AdamW 객체", got="클래스", symptom="optimizer-class")
    if not isinstance(got, torch.optim.Optimizer):
        kind = type(got).__name__
        fail(idea="옵티마이저", expected="AdamW", got=kind, symptom="not-optimizer")
    settings.check()
    modes.check()
    return got


def other_kind(optimizer):
    """AdamW가 아닌 옵티마이저의 증상. AdamW이면 None."""
    name = type(optimizer).__name__
    return {"AdamW": None, "Adam": "adam", "SGD": "sgd"}.get(name, "other-optimizer")


def one_step(model: Any, optimizer: Any, gradient: float) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """모든 가중치의 기울기가 `gradient`일 때 한 스텝. 가중치의 이름 → (전, 후)."""
    before = {name: one.detach().clone() for name, one in model.lang_model.named_parameters()}
    for parameter in model.lang_model.parameters():
        parameter.grad = torch.full_like(parameter, gradient)
    optimizer.step()
    return {name: (before[name], one.detach()) for name, one in model.lang_model.named_parameters()}


def held(optimizer: Any) -> list[int]:
    return [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]


@todo("2-1")
def test_every_parameter_is_held_exactly_once(model, optimizer):
    """옵티마이저는 모든 학습 파라미터를 꼭 한 번씩 가집니다."""
    got = Counter(held(optimizer))
    parts = {name: got[id(one)] for name, one in model.lang_model.named_parameters()}
    missing = [name for name, count in parts.items() if count == 0]
    if missing:
        matrices = {name for name, one in model.lang_model.named_parameters() if one.dim() >= 2}
        half = set(missing) in (matrices, set(parts) - matrices)
        fail(
            idea="파라미터 묶음",
            expected=f"{len(parts)}개",
            got=f"{len(parts) - len(missing)}개",
            symptom="one-group" if half else "part-of-model",
        )
    twice = [name for name, count in parts.items() if count > 1]
    assert_equal(twice, [], idea="파라미터 묶음", message="두 번 들어간 가중치가 있습니다.")


@todo("2-1")
def test_nothing_is_frozen_or_moved(model, optimizer):
    """옵티마이저를 만들 뿐입니다. 가중치를 얼리거나, 모델의 모드와 가중치를 바꾸지 않습니다."""
    parameters = dict(model.lang_model.named_parameters())
    frozen = sum(not one.requires_grad for one in parameters.values())
    if frozen:
        got = f"{frozen}개가 얼어 있음"
        fail(idea="미세조정", expected="모두 학습", got=got, symptom="frozen")
    want = dict(classifier().named_parameters())
    for name, one in parameters.items():
        assert_close(one, want[name], atol=0, idea="옵티마이저", symptom="weights-moved", name=name)


@todo("2-1")
def test_learning_rate_comes_from_the_settings(optimizer):
    """학습률은 설정의 것입니다."""
    got = {float(group["lr"]) for group in optimizer.param_groups}
    if got == {1e-3}:
        fail(idea="학습률", expected=LR, got="0.001", symptom="default-lr")
    if not all(close(one, LR, 1e-8) for one in got):
        values = ", ".join(f"{one:g}" for one in sorted(got))
        fail(idea="학습률", expected=LR, got=values, symptom="other-lr")


@todo("2-1")
def test_learning_rate_may_be_zero(model, optimizer):
    """설정의 학습률이 0이면 0입니다."""
    if any(not matches(float(group["lr"]), LR, 1e-8) for group in optimizer.param_groups):
        return  # 언제나 다른 학습률은 다른 검사가 말합니다.
    model.config.learning.learning_rate = 0.0
    rates = {float(group["lr"]) for group in model.configure_optimizers().param_groups}
    if rates != {0.0}:
        got = ", ".join(f"{one:g}" for one in sorted(rates))
        fail(idea="학습률", expected="0", got=got, symptom="zero-lr")


@todo("2-1")
def test_biases_and_norms_are_not_decayed(model, optimizer):
    """기울기가 0이면 편향과 정규화 층은 그대로입니다."""
    moved = one_step(model, optimizer, 0.0)
    everything = all(id(one) in held(optimizer) for one in model.lang_model.parameters())
    still = all(matches(after, before, ATOL) for before, after in moved.values() if before.dim() >= 2)
    for name, (before, after) in moved.items():
        if before.dim() < 2 and not close(after, before, ATOL):
            symptom = "decay-swapped" if still else "decay-everywhere"
            fail(
                f"{name}도 0으로 당겨졌습니다.",
                idea="weight decay",
                expected=f"{before.flatten()[0]:.4f}",
                got=f"{after.flatten()[0]:.4f}",
                symptom=symptom if everything else None,  # 빠진 가중치가 있다는 것은 다른 검사가 말합니다.
                name=name,
            )


@todo("2-1")
def test_matrices_are_decayed_apart_from_the_gradient(model, optimizer):
    """기울기가 0이면 행렬은 (1 - 학습률 x weight decay)배가 됩니다. weight decay는 기울기에 섞이지 않습니다."""
    lr = float(optimizer.param_groups[0]["lr"])
    moved = one_step(model, optimizer, 0.0)
    everything = all(id(one) in held(optimizer) for one in model.lang_model.parameters())
    others_stay = all(matches(after, before, ATOL) for before, after in moved.values() if before.dim() < 2)
    for name, (before, after) in moved.items():
        if before.dim() < 2 or id(model.lang_model.get_parameter(name)) not in held(optimizer):
            continue
        want = before * (1 - lr * DECAY)
        if lr > 0 and matches(after, before - lr, lr * 1e-3):
            fail(
                "weight decay가 기울기에 섞여, 크기와 상관없이 모두 같은 만큼 줄었습니다.",
                idea="AdamW",
                expected=f"{want.flatten()[0]:.4f}",
                got=f"{after.flatten()[0]:.4f}",
                symptom=other_kind(optimizer),
                kind=type(optimizer).__name__,
            )
        if matches(after, before, ATOL):
            fail(
                f"{name}에 weight decay가 걸리지 않았습니다.",
                idea="weight decay",
                expected=f"{want.flatten()[0]:.4f}",
                got=f"{after.flatten()[0]:.4f}",
                symptom="no-decay" if everything and others_stay else None,
                name=name,
                kind=type(optimizer).__name__,
            )
        if not close(after, want, ATOL):
            fail(
                f"{name}이(가) 줄어든 양이 설정의 weight decay와 다릅니다.",
                idea="weight decay",
                expected=f"{want.flatten()[0]:.4f}",
                got=f"{after.flatten()[0]:.4f}",
                symptom=other_kind(optimizer) or ("other-decay" if everything and others_stay else None),
                name=name,
                kind=type(optimizer).__name__,
            )


@todo("2-1")
def test_first_step_is_adamw(model, optimizer):
    """Adam의 첫스텝은 기울기의 크기와 상관없이 학습률만큼, 기울기의 반대쪽입니다."""
    lr = float(optimizer.param_groups[0]["lr"])
    for name, (before, after) in one_step(model, optimizer, 0.5).items():
        if before.dim() >= 2 or id(model.lang_model.get_parameter(name)) not in held(optimizer):
            continue
        moved = float((after - before).mean())
        # 편향까지 당긴 답은 다른 검사가 잡습니다. 여기서는 그만큼(lr x decay x 값)을 눈감습니다.
        if lr > 0 and abs(moved + lr) > lr * 0.35:
            fail(
                "첫스텝의 크기나 방향이 Adam과 다릅니다.",
                idea="AdamW",
                expected=f"{-lr:.4f}",
                got=f"{moved:.4f}",
                symptom="maximize" if matches(moved, lr, lr * 0.35) else other_kind(optimizer),
                kind=type(optimizer).__name__,
            )
