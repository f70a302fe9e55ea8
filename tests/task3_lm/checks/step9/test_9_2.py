"""9-2의 검사: 위치만큼 돌리기(RoPE)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from course.checks.recognising import Wrong, explained, recognise, require_shape, require_tensor, sound, when
from course.checks.side_effects import no_side_effects, on_one_device
from course.checks.words import assert_close, close, fail, matches, show, todo
from tests.task3_lm.checks.step9.common import ATOL
from tests.task3_lm.checks.support import normal

BATCH, HEADS, LENGTH, WIDTH = (
    2,
    3,
    5,
    14,
)  # 절반은 7: 어느 축과도 다르고, 칸의 수와 속도의 수를 헷갈리면 모양이 다릅니다.
BASE = 10_000.0
PLACES = [3, 4, 9, 17, 29]  # 0에서 시작하지도, 이어지지도 않습니다.


def turned(x: torch.Tensor, positions: torch.Tensor, base: float = BASE) -> torch.Tensor:
    """복소수로 돌린 것. 짝 하나가 복소수 하나입니다."""
    front, back = x.double().chunk(2, dim=-1)
    points = torch.complex(front, back)
    powers = torch.arange(points.size(-1), device=x.device, dtype=torch.float64) / points.size(-1)
    angles = positions.double()[:, None] / base**powers
    points = points * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([points.real, points.imag], dim=-1).float()


def turned_by(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    front, back = x.chunk(2, dim=-1)
    return torch.cat([front * angles.cos() - back * angles.sin(), front * angles.sin() + back * angles.cos()], dim=-1)


def wrong_turns(x: torch.Tensor, positions: torch.Tensor, base: float = BASE) -> Wrong:
    """헷갈리기 쉬운 돌리기들."""
    half = x.size(-1) // 2
    index = torch.arange(half, device=x.device)
    angles = positions[:, None] / base ** (index / half)
    front, back = x[..., :half], x[..., half:]
    cos, sin = angles.cos(), angles.sin()
    in_turn = positions.new_tensor(range(x.size(-2)))
    even, odd = x[..., 0::2], x[..., 1::2]
    interleaved = torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
    yield "interleaved", interleaved.flatten(-2)
    yield "interleaved", torch.cat([interleaved[..., 0], interleaved[..., 1]], dim=-1)
    yield "backwards", turned_by(x, -angles)
    yield "from-zero", turned(x, in_turn, base)
    yield "from-zero", turned(x, in_turn + 1, base)
    for shift in (1, -1):
        yield "shifted-places", turned(x, positions + shift, base)
    if base != BASE:
        yield "own-base", turned(x, positions, BASE)
    yield "one-speed", turned_by(x, positions[:, None] * torch.ones_like(angles))
    ends = index / max(half - 1, 1)  # linspace처럼 끝까지
    for wrong in (index / (2 * half), 2 * index / half, index, -index / half, (index + 1) / half, ends):
        yield "other-speeds", turned_by(x, positions[:, None] / base**wrong)
    yield "other-speeds", turned_by(x, positions[:, None] / base ** (index / half) / 2)
    new_front, new_back = front * cos - back * sin, front * sin + back * cos
    yield "already-turned", torch.cat([new_front, new_front * sin + back * cos], dim=-1)
    yield "already-turned", torch.cat([front * cos - new_back * sin, new_back], dim=-1)
    yield "no-cross", torch.cat([front * cos, back * cos], dim=-1)
    yield "no-cross", torch.cat([front * cos, back * sin], dim=-1)
    yield "no-cross", torch.cat([front * cos - back * sin, back * cos], dim=-1)
    yield "sign", torch.cat([front * cos + back * sin, front * sin + back * cos], dim=-1)
    yield "sign", torch.cat([front * cos - back * sin, front * sin - back * cos], dim=-1)
    yield "sign", torch.cat([front * cos - back * sin, back * cos - front * sin], dim=-1)
    yield "halves-swapped", torch.cat(turned(x, positions, base).chunk(2, dim=-1)[::-1], dim=-1)
    yield "woven", torch.stack(turned(x, positions, base).chunk(2, dim=-1), dim=-1).flatten(-2)
    yield "degrees", turned_by(x, torch.deg2rad(angles))
    yield "to-degrees", turned_by(x, torch.rad2deg(angles))
    yield "added", x + torch.cat([cos, sin], dim=-1)
    yield "added", x + torch.cat([sin, cos], dim=-1)
    yield "added", x + torch.cat([angles, angles], dim=-1)
    yield "not-turned", x


@pytest.fixture
def x(device):
    return 1.5 * normal(BATCH, HEADS, LENGTH, WIDTH, seed=31).to(device)


@pytest.fixture
def positions(device):
    return torch.tensor(PLACES, device=device)


def rotate(load: Any, x: torch.Tensor, positions: torch.Tensor, *base: float) -> torch.Tensor:
    """학생이 돌린 것."""
    module, given, places = load(9), x.detach().clone(), positions.clone()
    given.requires_grad_(x.requires_grad)
    length, half = x.size(-2), x.size(-1) // 2
    shape = {"idea": "각의 모양", "expected": "(길이, 차원/2)"}
    with (
        explained(
            when(
                rf"\({half}\) must match|\(({half}|{2 * half})\) at non-singleton dimension 3", "angle-shape", **shape
            ),
            when(rf"\({length}\) must match the size of tensor", "angle-shape", **shape),
        ),
        no_side_effects(inputs={"x": given, "positions": places}, random_state=True),
        on_one_device("x와 같은 장치"),
    ):
        got = module.rotate(x if x.requires_grad else given, places, *base)
    require_tensor(got, "rotated")
    require_shape(got, tuple(x.shape), idea="돌리기", what="rotated", wrong={(*x.shape[:-1], half): "half-lost"})
    return got


def turns_rightly(load: Any, x: torch.Tensor, positions: torch.Tensor) -> bool:
    return close(rotate(load, x, positions), turned(x, positions), ATOL)


@todo("9-2")
def test_turned_by_the_angle_of_the_place(load, x, positions):
    """짝마다, 위치마다 제 각만큼 돌립니다."""
    got, want = rotate(load, x, positions), turned(x, positions)
    if not close(got, want, ATOL):
        recognise(got, wrong_turns(x, positions), atol=ATOL, idea="RoPE", expected=want)
        assert_close(got, want, atol=ATOL, idea="RoPE", message="돌린 값이 기대와 다릅니다.")


@todo("9-2")
def test_base_decides_the_speeds(load, x, positions):
    """base를 건네면 속도가 달라집니다."""
    if not sound(lambda: turns_rightly(load, x, positions)):
        return
    got, want = rotate(load, x, positions, 71.0), turned(x, positions, 71.0)
    if not close(got, want, ATOL):
        recognise(got, wrong_turns(x, positions, 71.0), atol=ATOL, idea="RoPE의 속도", expected=want)
        assert_close(got, want, atol=ATOL, idea="RoPE의 속도", message="base가 71일 때 돌린 값이 다릅니다.")


@todo("9-2")
def test_only_the_distance_is_left_in_the_product(load, device):
    """돌린 질의와 열쇠의 내적은 두 위치를 함께 옮겨도 그대로입니다."""
    query, key = (normal(1, 1, 1, WIDTH, seed=seed).to(device) for seed in (32, 33))
    one = torch.tensor([0], device=device)
    if not sound(lambda: turns_rightly(load, query, one + 5)):
        return
    products = []
    for shift in (0, 13, 640):
        both = rotate(load, query, one + shift + 6), rotate(load, key, one + shift)
        products.append(float((both[0] * both[1]).sum()))
    if max(products) - min(products) > ATOL:
        fail("두 위치를 함께 옮기자 내적이 달라졌습니다.", idea="상대 위치", expected="모두 같음", got=show(products))


@todo("9-2")
@pytest.mark.parametrize("shape", [(1, 1, 1, 2), (3, 2, 11, 8)])
def test_every_shape(load, device, x, positions, shape):
    """한 토큰도, 칸이 둘뿐인 벡터도 돕니다."""
    if not sound(lambda: turns_rightly(load, x, positions)):  # 칸이 둘뿐이면 서로 다른 실수의 값이 같기도 합니다.
        return
    other, places = normal(*shape, seed=34).to(device), torch.arange(shape[2], device=device) + 6
    got, want = rotate(load, other, places), turned(other, places)
    if not close(got, want, ATOL):
        recognise(got, wrong_turns(other, places), atol=ATOL, idea="RoPE", expected=want)
        assert_close(got, want, atol=ATOL, idea="RoPE", message=f"모양이 {shape}일 때 돌린 값이 다릅니다.")


@todo("9-2")
def test_gradient_is_turned_back(load, x, positions):
    """기울기는 반대로 돌아 x까지 닿습니다."""
    if not sound(lambda: turns_rightly(load, x, positions)):
        return
    leaf, push = x.clone().requires_grad_(), normal(*x.shape, seed=35).to(x.device)
    got = rotate(load, leaf, positions)
    if got.requires_grad:
        (got * push).sum().backward()
    want = turned(push, -positions)
    if leaf.grad is None or matches(leaf.grad, torch.zeros_like(want), ATOL):
        fail(idea="기울기", expected="0이 아닌 기울기", got="x에 없음", symptom="cut-graph", name="x")
    assert_close(leaf.grad, want, atol=ATOL, idea="기울기", message="x에 닿은 기울기가 기대와 다릅니다.")
