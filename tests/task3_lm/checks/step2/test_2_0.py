"""2-0의 검사: 손으로 적은 층 정규화."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from course.checks.recognising import (
    Wrong,
    explained,
    gradients_of,
    recognise,
    require_gradients,
    require_shape,
    require_tensor,
    sound,
    when,
)
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_close, close, fail, matches, show, todo
from tests.task3_lm.checks.step2.common import BATCH, EMBED, LENGTH, normal

EPS = 0.3  # 제곱근의 안과 밖이 뚜렷이 다르도록 큽니다.
FAR, FAR_ATOL = 3000.0, 0.02  # fp32에서 3000의 제곱은 1 단위로만 적힙니다. 평균을 먼저 빼면 차이는 1e-3쯤입니다.
ATOL = 1e-4  # 값은 10을 넘지 않습니다. 행렬곱이 없어 fp32의 차이는 1e-5보다 작고, 실수는 1e-2 넘게 다릅니다.


@pytest.fixture
def layer_norm(load):
    return load(2).layer_norm


@pytest.fixture
def given(device):
    """정규화할 x와 weight, bias. 벡터마다 평균과 크기가 다르고, 하나는 거의 한 값이라 eps가 없으면 크게 달라집니다."""
    spread = 1.0 + normal(BATCH, LENGTH, 1, seed=90).abs()
    x = 1.5 * normal(BATCH, LENGTH, 1, seed=91) + spread * normal(BATCH, LENGTH, EMBED, seed=92)
    x[1, 3] = 0.7 + 0.004 * normal(EMBED, seed=93)
    weight = 1.0 + 0.6 * normal(EMBED, seed=94)
    bias = normal(EMBED, seed=95)
    return [one.to(device) for one in (x, weight, bias)]


def normalize(layer_norm: Callable, given: list[torch.Tensor], eps: float = EPS) -> torch.Tensor:
    """학생의 layer_norm이 낸 것."""
    lost = rf"tensor a \((?:{EMBED}|{LENGTH})\) must match the size of tensor b \((?:{LENGTH}|{BATCH})\)"
    with (
        explained(
            when(lost, "no-keepdim", idea="keepdim", expected=f"({BATCH}, {LENGTH}, 1)인 평균과 분산"),
            when("name '(?P<got>self)' is not defined", "no-self", idea="함수", expected="인수의 이름"),
        ),
        no_side_effects(inputs=dict(zip(("x", "weight", "bias"), given, strict=True)), random_state=True),
    ):
        got = layer_norm(*given, eps)
    require_tensor(got, "normalized", symptom="not-tensor")
    require_shape(got, (BATCH, LENGTH, EMBED), idea="LayerNorm", what="normalized")
    return got


def reference(given: list[torch.Tensor], eps: float = EPS) -> torch.Tensor:
    return functional.layer_norm(given[0], (EMBED,), *given[1:], eps)


@torch.no_grad()
def wrong_norms(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> Wrong:
    """헷갈리기 쉬운 정규화들."""

    def scaled(centred: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        return centred / (variance + EPS).sqrt() * weight + bias

    def over(*axes: int) -> torch.Tensor:
        return scaled(x - x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True))

    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    unbiased = x.var(-1, keepdim=True)
    squares = x.square().mean(-1, keepdim=True)
    plain = centred / (variance + EPS).sqrt()
    return [
        ("unbiased", scaled(centred, unbiased)),
        ("unbiased", centred / (unbiased.sqrt() + EPS) * weight + bias),
        ("eps-outside", centred / (variance.sqrt() + EPS) * weight + bias),
        ("no-root", centred / (variance + EPS) * weight + bias),
        ("std-again", scaled(centred, variance.sqrt())),
        ("not-divided", scaled(centred, centred.square().sum(-1, keepdim=True))),
        ("rms", scaled(x, squares)),
        ("raw-square", scaled(centred, squares)),
        ("not-centred", scaled(x, variance)),
        ("deviation", scaled(centred, centred.abs().mean(-1, keepdim=True).square())),
        ("deviation", centred / (centred.abs().mean(-1, keepdim=True) + EPS) * weight + bias),
        *[("wrong-axis", over(axis)) for axis in (0, 1)],
        *[("whole-batch", over(*axes)) for axes in ((0, 1, 2), (1, 2), (0, 1))],
        ("whole-batch", scaled(x - x.mean(), x.var())),
        ("whole-batch", scaled(x - x.mean(), variance)),
        *[("whole-batch", scaled(centred, x.var(correction=one))) for one in (0, 1)],
        ("precedence", x - x.mean(-1, keepdim=True) / (variance + EPS).sqrt() * weight + bias),
        ("no-affine", plain),
        ("no-weight", plain + bias),
        ("no-bias", plain * weight),
        ("bias-first", (plain + bias) * weight),
        ("swapped", plain * bias + weight),
    ]


@todo("2-0")
def test_vectors_are_normalized_like_the_library(layer_norm, given):
    """PyTorch의 layer_norm과 같습니다."""
    got, want = normalize(layer_norm, given), reference(given)
    if close(got, want, ATOL):
        return
    recognise(got, wrong_norms(*given), atol=ATOL, idea="LayerNorm", expected=want)
    if matches(normalize(layer_norm, given, eps=7 * EPS), got, 0):
        expected, came = f"eps={EPS}와 {7 * EPS:.1f}에서 다른 값", "같은 값"
        fail(idea="LayerNorm의 eps", expected=expected, got=came, symptom="eps-unused")
    assert_close(got, want, atol=ATOL, idea="LayerNorm", message="정규화한 값이 기대와 다릅니다.")


@todo("2-0")
def test_a_large_mean_leaves_the_variance(layer_norm, given):
    """평균이 흩어짐보다 훨씬 큰 벡터에서도 같습니다. 흐르는 x에는 그런 칸이 있습니다."""
    if not sound(lambda: normalizes_rightly(layer_norm, given)):
        return
    x, weight, bias = given
    far = [x + FAR, weight, bias]
    got, want = normalize(layer_norm, far), reference([one.double() for one in far]).float()
    if not close(got, want, FAR_ATOL):
        shown = {"expected": show(want[0, 0, :3]), "got": show(got[0, 0, :3])}
        fail(idea="자릿수", symptom="cancelled", **shown)


def normalizes_rightly(layer_norm: Callable, given: list[torch.Tensor]) -> bool:
    return close(normalize(layer_norm, given), reference(given), ATOL)


class Heard(TorchFunctionMode):
    """블록 안에서 부른 PyTorch의 함수들의 이름."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


@todo("2-0")
def test_it_is_written_by_hand(layer_norm, given):
    """라이브러리의 층 정규화를 부르지 않습니다."""
    if not sound(lambda: normalizes_rightly(layer_norm, given)):
        return
    with Heard() as heard:
        layer_norm(*given, EPS)
    if heard.names & {"layer_norm", "native_layer_norm"}:
        fail(idea="LayerNorm", expected="평균과 분산부터 손으로", got="PyTorch의 layer_norm", symptom="library")


@todo("2-0")
def test_gradient_reaches_x_weight_and_bias(layer_norm, given):
    """x, weight, bias에 기울기가 닿습니다. 평균과 분산을 지나는 길도 있습니다."""
    if not sound(lambda: normalizes_rightly(layer_norm, given)):
        return
    leaves = [one.requires_grad_() for one in given]
    got = normalize(layer_norm, leaves)
    if got.requires_grad:
        got.square().sum().backward()
    parts = dict(zip(("x", "weight", "bias"), leaves, strict=True))
    require_gradients(parts, gradients_of(reference(leaves), parts))
