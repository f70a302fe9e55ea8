"""9-4의 검사: 라벨 다듬기."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from course.checks.recognising import Wrong, recognise, require_value, sound
from course.checks.side_effects import no_side_effects, on_one_device
from course.checks.words import assert_close, close, fail, matches, show, todo
from tests.task1_cls.checks.step9.common import normal

ATOL = 1e-4  # 값은 1쯤이고 행렬곱이 없어 차이는 1e-6쯤입니다.
LABELS = [3, 0, 4, 1, 1, 3, 2]
SMOOTHING = 0.3


def spread(labels: torch.Tensor, count: int, smoothing: float) -> torch.Tensor:
    """다듬은 정답의 분포."""
    targets = torch.full((len(labels), count), smoothing / count, device=labels.device)
    targets[torch.arange(len(labels), device=labels.device), labels] += 1 - smoothing
    return targets


def against(targets: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """글마다의 손실."""
    return -(targets * logits.log_softmax(-1)).sum(-1)


def smallest(count: int, smoothing: float) -> float:
    """로그 확률이 정답의 분포와 같을 때의 손실. smoothing은 0보다 큽니다."""
    label = torch.tensor([count - 1])
    best = spread(label, count, smoothing).log()
    return functional.cross_entropy(best, label, label_smoothing=smoothing).item()


def wrong_losses(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> Wrong:
    """헷갈리기 쉬운 손실들."""
    count = logits.size(-1)
    hot = functional.one_hot(labels, count).float()
    targets = spread(labels, count, smoothing)
    others = hot * (1 - smoothing) + (1 - hot) * smoothing / (count - 1)
    yield "not-smoothed", against(hot, logits).mean()
    yield "others-only", against(others, logits).mean()
    yield "not-taken-away", against(hot + smoothing / count, logits).mean()
    yield "not-shared", against(hot * (1 - smoothing) + smoothing, logits).mean()
    yield "only-scaled", against(hot * (1 - smoothing), logits).mean()
    yield "summed", against(targets, logits).sum()
    yield "mean-of-all", against(targets, logits).mean() / count
    yield "no-log", -(targets * logits.softmax(-1)).sum(-1).mean()
    yield "no-softmax", -(targets * logits).sum(-1).mean()
    yield "no-softmax", (logits.softmax(-1) - targets).square().sum(-1).mean()
    yield "softmax-twice", against(targets, logits.softmax(-1)).mean()
    yield "answer-overwritten", against(hot * (1 - smoothing) + (1 - hot) * smoothing / count, logits).mean()
    yield "upside-down", against(hot * smoothing + (1 - smoothing) / count, logits).mean()
    yield "sign", -against(targets, logits).mean()
    yield "gap", against(targets, logits).mean() - smallest(count, smoothing)


def wrong_floors(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> Wrong:
    """헷갈리기 쉬운 가장 작은 손실들."""
    count = logits.size(-1)
    each = against(spread(labels, count, smoothing), logits)
    right = smallest(count, smoothing)
    held = 1 - smoothing + smoothing / count
    yield "floor-zero", 0.0
    yield "floor-sign", -right
    yield "floor-uniform", math.log(count)
    yield "floor-of-one", -math.log(held)
    yield "floor-of-one", -math.log(1 - smoothing)
    yield "floor-of-one", -held * math.log(held)
    yield "floor-others", -(1 - smoothing) * math.log(1 - smoothing) - smoothing * math.log(smoothing / (count - 1))
    yield "floor-summed", right * len(LABELS)
    yield "floor-bits", right / math.log(2)
    yield "floor-is-loss", each.mean()
    yield "floor-of-one-text", each.min()
    for other in (smoothing, smoothing / 2):  # 라벨이 둘일 때의 것
        yield "floor-of-two", -(1 - other) * math.log(1 - other) - other * math.log(other)
    yield "floor-of-share", smoothing * math.log(count)
    yield "floor-of-share", -smoothing * math.log(smoothing)


@pytest.fixture
def batch(device):
    """(로짓, 라벨). 라벨은 다섯이고 글은 일곱입니다."""
    return 2.3 * normal(len(LABELS), 5, seed=83).to(device), torch.tensor(LABELS, device=device)


def ask(load: Any, logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> tuple[torch.Tensor, torch.Tensor]:
    """학생의 두 값."""
    module, given = load(9), {"logits": logits if logits.requires_grad else logits.clone(), "labels": labels.clone()}
    with no_side_effects(inputs=given, random_state=True), on_one_device("로짓과 같은 장치"):
        made = module.smoothed_loss(*given.values(), smoothing)
    values = [torch.as_tensor(require_value(one, name)) for one, name in zip(made, ("loss", "floor"), strict=True)]
    for name, one in zip(("loss", "floor"), values, strict=True):
        if one.dim():
            fail(idea="평균", expected="0차원", got=f"모양 {tuple(one.shape)}", symptom="not-averaged", name=name)
    return values[0], values[1]


def loss_is_right(load: Any, batch: tuple[torch.Tensor, torch.Tensor]) -> bool:
    want = functional.cross_entropy(*batch, label_smoothing=SMOOTHING)
    return close(ask(load, *batch, SMOOTHING)[0], want, ATOL)


@todo("9-4")
@pytest.mark.parametrize(("count", "smoothing"), [(5, SMOOTHING), (3, 0.14), (9, 0.62)])
def test_loss_matches_pytorch(load, device, count, smoothing):
    """손실은 cross_entropy(label_smoothing=…)과 같습니다."""
    logits = 2.3 * normal(len(LABELS), count, seed=84).to(device)
    labels = torch.tensor(LABELS, device=device) % count
    got, want = (
        ask(load, logits, labels, smoothing)[0],
        functional.cross_entropy(logits, labels, label_smoothing=smoothing),
    )
    if not close(got, want, ATOL):
        recognise(got, wrong_losses(logits, labels, smoothing), atol=ATOL, idea="다듬은 교차 엔트로피", expected=want)
        assert_close(got, want, atol=ATOL, idea="다듬은 교차 엔트로피", message="손실이 기대와 다릅니다.")


@todo("9-4")
@pytest.mark.parametrize(("count", "smoothing"), [(5, SMOOTHING), (3, 0.14), (9, 0.62)])
def test_floor_is_the_loss_of_a_perfect_model(load, batch, device, count, smoothing):
    """가장 작은 손실은, 모델이 정답의 분포를 그대로 냈을 때의 것입니다. 로짓과는 상관없습니다."""
    if not sound(lambda: loss_is_right(load, batch)):
        return
    logits, labels = 2.3 * normal(len(LABELS), count, seed=85).to(device), torch.tensor(LABELS, device=device) % count
    _, got = ask(load, logits, labels, smoothing)
    want = smallest(count, smoothing)
    if not close(got, want, ATOL):
        wrong = wrong_floors(logits, labels, smoothing)
        recognise(got, wrong, atol=ATOL, idea="가장 작은 손실", expected=show(want), count=count)
        assert_close(got, want, atol=ATOL, idea="가장 작은 손실", message="가장 작은 손실이 기대와 다릅니다.")


@todo("9-4")
def test_without_smoothing_the_floor_is_zero(load, batch):
    """다듬지 않으면 보통의 교차 엔트로피이고, 가장 작은 손실은 0입니다."""
    if not sound(lambda: loss_is_right(load, batch)):
        return
    loss, floor = ask(load, *batch, 0.0)
    assert_close(loss, functional.cross_entropy(*batch), atol=ATOL, idea="교차 엔트로피", message="손실이 다릅니다.")
    if floor.isnan():
        fail(idea="0·log 0", expected="0", got="NaN", symptom="floor-nan")
    assert_close(
        floor, 0.0, atol=ATOL, idea="가장 작은 손실", message="smoothing이 0일 때의 가장 작은 손실이 0이 아닙니다."
    )


@todo("9-4")
def test_gradient_is_probability_minus_target(load, batch):
    """로짓에 닿는 기울기는 (확률 - 정답의 분포)를 글의 수로 나눈 것입니다."""
    if not sound(lambda: loss_is_right(load, batch)):
        return
    leaf = batch[0].clone().requires_grad_()
    loss, _ = ask(load, leaf, batch[1], SMOOTHING)
    if loss.requires_grad:
        loss.backward()
    want = (batch[0].softmax(-1) - spread(batch[1], 5, SMOOTHING)) / len(LABELS)
    if leaf.grad is None or matches(leaf.grad, torch.zeros_like(want), 1e-6):
        fail(idea="기울기", expected="0이 아닌 기울기", got="로짓에 없음", symptom="cut-graph", name="logits")
    assert_close(leaf.grad, want, atol=ATOL, idea="기울기", message="로짓에 닿은 기울기가 기대와 다릅니다.")


def cut_losses(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> Wrong:
    """확률의 로그를 구하기 전에 아주 작은 수를 더하거나 거기에서 자른 손실들."""
    targets, shares = spread(labels, logits.size(-1), smoothing), logits.softmax(-1)
    for power in range(5, 46):
        least = 10.0**-power
        for one in (shares + least, shares.clamp(min=least)):
            yield "log-cut", -(targets * one.log()).sum(-1).mean()
    tiny = torch.finfo(shares.dtype)
    for least in (tiny.tiny, tiny.eps):
        yield "log-cut", -(targets * shares.clamp(min=least).log()).sum(-1).mean()
        yield "log-cut", -(targets * (shares + least).log()).sum(-1).mean()


@todo("9-4")
def test_loss_of_a_very_sure_model(load, batch):
    """로짓의 차이가 아주 커도 손실은 유한합니다. 확률은 float32에서 0이 되지만 로그 확률은 그렇지 않습니다."""
    if not sound(lambda: loss_is_right(load, batch)):
        return
    logits, labels = 25 * batch[0], batch[1]
    got = ask(load, logits, labels, SMOOTHING)[0]
    want = functional.cross_entropy(logits, labels, label_smoothing=SMOOTHING)
    gap = float((logits.amax(-1) - logits.amin(-1)).max())
    shown: dict[str, Any] = {"idea": "로그 확률", "expected": show(want), "gap": f"{gap:.0f}"}
    if not got.isfinite():
        fail(symptom="log-of-zero", got=show(got), **shown)
    if not close(got / want, 1.0, ATOL):
        ratios = [(name, value / want) for name, value in cut_losses(logits, labels, SMOOTHING)]
        recognise(got / want, ratios, atol=ATOL, shown=got, **shown)
        fail("로짓의 차이가 클 때의 손실이 기대와 다릅니다.", idea="로그 확률", expected=show(want), got=show(got))
