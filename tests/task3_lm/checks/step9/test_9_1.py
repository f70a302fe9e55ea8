"""9-1의 검사: RMSNorm과 SwiGLU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.nn import functional

from course.checks.recognising import Wrong, explained, recognise, require_shape, require_tensor, sound, when
from course.checks.side_effects import no_side_effects, on_one_device
from course.checks.words import assert_close, close, fail, matches, todo
from tests.task3_lm.checks.support import normal

BATCH, LENGTH, WIDTH, WIDE, EPS = 3, 5, 7, 11, 0.09  # eps가 커야, 더한 곳이 다르면 값도 다릅니다.
NORM_ATOL = 2e-2  # einsum으로 제곱하면 bf16의 차이가 5e-3쯤이고, 가장 가까운 실수는 0.1쯤입니다.
ATOL = 6e-2  # 행렬곱이 셋이라 bf16의 차이는 4e-2쯤이고, 가장 가까운 실수는 0.2쯤입니다.
NEAR = 2e-3, 1e-2  # 이름을 붙일 때: 정규화의 실수들 사이, 섞기의 실수들 사이보다 작습니다.
NAMES = ("x", "scale", "gate", "up", "down")
Tensors = list[torch.Tensor]


def made(device: str, batch: int, length: int, width: int, wide: int, seed: int) -> Tensors:
    """x, scale, gate, up, down. x의 평균은 0이 아니고, scale은 1이 아닙니다."""
    shapes = ((batch, length, width), (width,), (wide, width), (wide, width), (width, wide))
    x, scale, gate, up, down = (normal(*shape, seed=seed + i) for i, shape in enumerate(shapes))
    parts = 0.5 * x + 0.4, 1.3 + 0.3 * scale, 0.5 * gate, 0.5 * up, 0.5 * down
    return [one.to(device) for one in parts]


def normed_by_torch(x: torch.Tensor, scale: torch.Tensor, eps: float) -> torch.Tensor:
    return functional.rms_norm(x.double(), scale.shape, scale.double(), eps).float()


def mixed_by_hand(normed: torch.Tensor, weights: Sequence[torch.Tensor], opened: Any = None) -> torch.Tensor:
    """칸마다의 곱을 `down`으로 줄인 것. `opened`는 (문, 넓힌 것)을 섞는 법입니다."""
    gate, up, down = weights
    doors = torch.einsum("bld,wd->blw", normed.double(), gate.double())
    wide = torch.einsum("bld,wd->blw", normed.double(), up.double())
    inside = opened(doors, wide) if opened else doors * doors.sigmoid() * wide
    return torch.einsum("blw,dw->bld", inside, down.double()).float()


def reference(x: torch.Tensor, scale: torch.Tensor, *weights: torch.Tensor, eps: float) -> Tensors:
    normed = normed_by_torch(x, scale, eps)
    return [normed, mixed_by_hand(normed, weights)]


def wrong_norms(x: torch.Tensor, scale: torch.Tensor, eps: float) -> Wrong:
    """헷갈리기 쉬운 정규화들."""
    square = x.square().mean(-1, keepdim=True)
    size = (square + eps).sqrt()
    centred = x - x.mean(-1, keepdim=True)
    yield "centred", functional.layer_norm(x, scale.shape, scale, eps=eps)
    yield "centred", centred / size * scale
    yield "centred", centred / (centred.square().mean(-1, keepdim=True).sqrt() + eps) * scale
    yield "no-root", x / (square + eps) * scale
    yield "sum-not-mean", x / (x.square().sum(-1, keepdim=True) + eps).sqrt() * scale
    yield "sum-not-mean", x / (x.norm(dim=-1, keepdim=True) + eps) * scale
    yield "sum-not-mean", functional.normalize(x, dim=-1) * scale
    yield "eps-outside", x / (square.sqrt() + eps) * scale
    for other in (0.0, 1e-5, 1e-6):
        yield "no-eps", x / (square + other).sqrt() * scale
    yield "no-scale", x / size
    yield "scale-plus-one", x / size * (1 + scale)
    for axes in ((0,), (1,), (0, 1), (1, 2), (0, 1, 2)):
        yield "other-axis", x / (x.square().mean(axes, keepdim=True) + eps).sqrt() * scale
    yield "multiplied", x * size * scale
    yield "mean-then-square", x / (x.mean(-1, keepdim=True).square() + eps).sqrt() * scale
    for unbiased in (True, False):
        variance = x.var(-1, keepdim=True, unbiased=unbiased)
        yield "spread", x / (variance + eps).sqrt() * scale
        yield "spread", x / (variance.sqrt() + eps) * scale
    yield "only-scaled", x * scale
    yield "only-scaled", x


def wrong_mixes(x: torch.Tensor, normed: torch.Tensor, scale: torch.Tensor, weights: Tensors) -> Wrong:
    """헷갈리기 쉬운 섞기들."""
    silu = functional.silu
    yield "unscaled", mixed_by_hand(normed / scale, weights)
    gate, up, down = weights
    yield "gate-swapped", mixed_by_hand(normed, (up, gate, down))
    others = [torch.sigmoid, torch.relu, torch.tanh, functional.gelu]
    others += [lambda t: functional.gelu(t, approximate="tanh"), lambda t: t.softmax(-1)]
    for other in others:
        yield "other-gate", mixed_by_hand(normed, weights, lambda doors, wide, other=other: other(doors) * wide)
    yield "no-silu", mixed_by_hand(normed, weights, lambda doors, wide: doors * wide)
    yield "one-branch", mixed_by_hand(normed, weights, lambda doors, wide: silu(doors))
    yield "one-branch", mixed_by_hand(normed, weights, lambda doors, wide: silu(wide))
    yield "silu-after", mixed_by_hand(normed, weights, lambda doors, wide: silu(doors * wide))
    yield "both-silu", mixed_by_hand(normed, weights, lambda doors, wide: silu(doors) * silu(wide))
    yield "added-branches", mixed_by_hand(normed, weights, lambda doors, wide: silu(doors) + wide)
    right = mixed_by_hand(normed, weights)
    yield "residual-too", x + right
    yield "residual-too", normed + right
    yield "not-normed", mixed_by_hand(x, weights)
    doors, wide = (
        (functional.linear(one, gate) for one in (x, normed)),
        (functional.linear(one, up) for one in (normed, x)),
    )
    for door, value in zip(doors, wide, strict=True):
        yield "not-normed", functional.linear(silu(door) * value, down)


@pytest.fixture
def tensors(device):
    return made(device, BATCH, LENGTH, WIDTH, WIDE, seed=71)


def feed(load: Any, tensors: Tensors, eps: float = EPS) -> Tensors:
    """학생의 [정규화한 x, 섞은 값]."""
    module = load(9)
    given = [one if one.requires_grad else one.clone() for one in tensors]
    (batch, length, width), wide = tensors[0].shape, len(tensors[2])
    rows = batch * length
    sizes = rf"\(?{rows}x{width} and {wide}x{width}|\(?{rows}x{wide} and {width}x{wide}"
    apart = rf"tensor a \({width}\) must match the size of tensor b \({length}\)"
    with (
        explained(
            when(sizes, "not-transposed", idea="가중치의 모양", expected=f"({wide}, {width})와 ({width}, {wide})"),
            when(apart, "no-keepdim", idea="남은 축", expected=f"({batch}, {length}, 1)", got=f"({batch}, {length})"),
        ),
        no_side_effects(inputs=dict(zip(NAMES, given, strict=True)), random_state=True),
        on_one_device("x와 같은 장치"),
    ):
        normed, mixed = module.gated_feed_forward(*given, eps=eps)
    shape = tuple(tensors[0].shape)
    for name, got in (("normed", normed), ("mixed", mixed)):
        require_tensor(got, name)
        wide_left = {(*shape[:2], wide): "not-narrowed"} if name == "mixed" else None
        require_shape(got, shape, idea="모양", what=name, wrong=wide_left)
    return [normed, mixed]


def feeds_rightly(load: Any, tensors: Tensors) -> bool:
    return all(close(*pair, ATOL) for pair in zip(feed(load, tensors), reference(*tensors, eps=EPS), strict=True))


def require_norm(got: Tensors, want: Tensors, tensors: Tensors, eps: float) -> None:
    if not close(got[0], want[0], NORM_ATOL):
        if matches(got[0], want[1], NEAR[1]) and matches(got[1], want[0], NEAR[0]):
            fail(idea="돌려주는 차례", expected="normed, mixed", got="mixed, normed", symptom="outputs-swapped")
        wrong = wrong_norms(tensors[0], tensors[1], eps)
        recognise(got[0], wrong, atol=NEAR[0], idea="RMSNorm", expected=want[0])
        assert_close(got[0], want[0], atol=NORM_ATOL, idea="RMSNorm", message="정규화한 x가 기대와 다릅니다.")


def require_mix(got: torch.Tensor, want: Tensors, tensors: Tensors) -> None:
    if not close(got, want[1], ATOL):
        wrong = wrong_mixes(tensors[0], want[0], tensors[1], tensors[2:])
        recognise(got, wrong, atol=NEAR[1], idea="SwiGLU", expected=want[1])
        assert_close(got, want[1], atol=ATOL, idea="SwiGLU", message="SwiGLU의 결과가 기대와 다릅니다.")


@todo("9-1")
def test_norm_divides_by_the_root_mean_square(load, tensors):
    """자리마다 제곱의 평균의 제곱근으로 나누고 scale을 곱합니다."""
    require_norm(feed(load, tensors), reference(*tensors, eps=EPS), tensors, EPS)


@todo("9-1")
def test_one_branch_is_the_gate_of_the_other(load, tensors):
    """SiLU를 한 gate가 up에 칸마다 곱해지고, down이 줄입니다."""
    got, want = feed(load, tensors), reference(*tensors, eps=EPS)
    if close(got[0], want[0], NORM_ATOL):  # 정규화가 틀렸으면 앞의 검사가 말합니다.
        require_mix(got[1], want, tensors)


@todo("9-1")
@pytest.mark.parametrize(("shape", "eps"), [((1, 1, 4, 10), 0.17), ((2, 6, 9, 3), 0.02)])
def test_every_shape_and_eps(load, device, tensors, shape, eps):
    """한 자리뿐이어도, 넓힌 차원이 더 좁아도, eps가 달라도 됩니다."""
    if not sound(lambda: feeds_rightly(load, tensors)):  # 한 자리뿐이면 서로 다른 실수의 값이 같기도 합니다.
        return
    others = made(device, *shape, seed=83)
    got, want = feed(load, others, eps), reference(*others, eps=eps)
    require_norm(got, want, others, eps)
    require_mix(got[1], want, others)


@todo("9-1")
def test_gradients_match_the_reference(load, tensors):
    """기울기는 두 결과에서 x와 네 가중치까지 닿습니다."""
    if not sound(lambda: feeds_rightly(load, tensors)):
        return
    push = normal(BATCH, LENGTH, WIDTH, seed=91).to(tensors[0].device)
    leaves, own = ([one.clone().requires_grad_() for one in tensors] for _ in range(2))
    for one in feed(load, leaves):
        if one.requires_grad:
            (one * push).sum().backward(retain_graph=True)
    for one in reference(*own, eps=EPS):
        (one * push).sum().backward(retain_graph=True)
    for name, leaf, want in zip(NAMES, leaves, own, strict=True):
        if leaf.grad is None or matches(leaf.grad, torch.zeros_like(leaf), 1e-6):
            fail(idea="기울기", expected="0이 아닌 기울기", got=f"{name}에 없음", symptom="cut-graph", name=name)
        scale = float(want.grad.abs().max())
        message = f"{name}에 닿은 기울기가 기대와 다릅니다."
        assert_close(leaf.grad / scale, want.grad / scale, atol=ATOL, idea="기울기", message=message)
