"""2-3의 검사: 블록."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

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
from course.checks.words import assert_close, close, fail, known_as, matches, todo
from tests.task3_lm.checks.step2.common import (
    ATOL,
    BATCH,
    DROPPED,
    EMBED,
    FOREIGN_NAME,
    LENGTH,
    config,
    normal,
    scatter,
)


def given(x: torch.Tensor) -> torch.Tensor:
    """5단계의 KV 캐시처럼 밖에서 주는 어텐션."""
    return 1.5 * torch.sin(x.flip(1) + 0.3)


def made_block(load: Any, device: str, activation: str = "gelu") -> Any:
    """평가 모드의 블록. 두 정규화의 가중치는 서로 다르고, 어텐션은 하는 일만 손으로 만든 것으로 바꾸었습니다."""
    made = load(2).Block(config(dropout=DROPPED, activation=activation))
    gain = made.attention.gain = nn.Parameter(torch.tensor(1.0))

    @known_as("CausalSelfAttention.forward")
    def forward(x: torch.Tensor) -> torch.Tensor:
        return gain * torch.tanh(x.cumsum(1) - 0.5)

    made.attention.forward = forward
    scatter(made.norm1, seed=50)
    scatter(made.norm2, seed=60)
    for index, (layer, scale) in enumerate(((made.mlp.expand, 0.35), (made.mlp.projection, 0.15))):
        layer.weight.data = scale * normal(*layer.weight.shape, seed=65 + index)
        layer.bias.data = 0.3 * normal(*layer.bias.shape, seed=67 + index)
    return made.to(device).eval()


@pytest.fixture
def block(load, device):
    return made_block(load, device)


@pytest.fixture
def stream(device):
    """블록에 들어가는 x. 평균이 0이 아니고 크기가 1이 아니라, 정규화를 빠뜨리면 값이 다릅니다."""
    return (1.0 + 2.0 * normal(BATCH, LENGTH, EMBED, seed=70)).to(device)


def mlp_of(block: Any, approximate: str = "none", bend: Callable | None = None) -> Callable[[Any], Any]:
    """블록의 MLP가 드롭아웃 없이 할 일: 넓히고, 구부리고, 되돌립니다."""
    bend = bend or partial(functional.gelu, approximate=approximate)
    return lambda x: back(block, bend(wide(block, x)))


def wide(block: Any, x: torch.Tensor) -> torch.Tensor:
    return functional.linear(x, block.mlp.expand.weight, block.mlp.expand.bias)


def back(block: Any, x: torch.Tensor) -> torch.Tensor:
    return functional.linear(x, block.mlp.projection.weight, block.mlp.projection.bias)


STEPS: list[tuple[str, Callable]] = [  # (증상, 그렇게 하는 한 줄(x, 부품, 정규화)). 빈 증상은 옳은 것입니다.
    ("", lambda x, part, norm: x + part(norm(x))),
    ("post-norm", lambda x, part, norm: norm(x + part(x))),
    ("post-norm", lambda x, part, norm: norm(x + part(norm(x)))),
    ("norm-outside", lambda x, part, norm: x + norm(part(x))),
    ("no-norm", lambda x, part, norm: x + part(x)),
    ("no-residual", lambda x, part, norm: part(norm(x))),
    ("no-residual", lambda x, part, norm: part(x)),
    ("normed-stream", lambda x, part, norm: norm(x) + part(norm(x))),
    ("first-only", lambda x, part, norm: x + part(norm(x))[0]),
    ("x-twice", lambda x, part, norm: x + x + part(norm(x))),
    ("not-added", lambda x, part, norm: x - part(norm(x))),
    ("not-added", lambda x, part, norm: x * part(norm(x))),
]


def wrong_streams(block: Any, x: torch.Tensor, a: Callable) -> Wrong:
    """헷갈리기 쉬운 블록들."""
    m, n1, n2 = mlp_of(block), block.norm1, block.norm2
    h, y = x + a(n1(x)), n1(x)
    normed, read, gelu = n2(y + a(y)), n2(h), functional.gelu
    others = functional.relu, functional.leaky_relu, functional.elu, functional.silu, torch.tanh, torch.sigmoid
    table = [
        ("attention-lost", x + m(n2(x))),
        ("attention-lost", x + m(n2(h))),
        ("attention-lost", x + m(n2(a(n1(x))))),
        ("attention-lost", x + m(normed)),
        ("mlp-lost", h),
        ("parallel", h + m(n2(x))),
        ("attention-only", h + m(n2(a(n1(x))))),
        ("same-norm", h + m(n1(h))),
        ("same-norm", x + a(n2(x)) + m(n2(x + a(n2(x))))),
        ("norms-swapped", x + a(n2(x)) + m(n1(x + a(n2(x))))),
        ("mlp-first", (x + m(n2(x))) + a(n1(x + m(n2(x))))),
        ("mlp-first", (x + m(n1(x))) + a(n2(x + m(n1(x))))),
        ("nothing", x),
        ("gelu-missing", h + back(block, wide(block, read))),
        ("gelu-after", h + gelu(back(block, wide(block, read)))),
        ("gelu-first", h + back(block, wide(block, gelu(read)))),
        ("gelu-twice", h + gelu(m(read))),
        *[("other-activation", h + mlp_of(block, bend=one)(read)) for one in others],
        ("normed-stream", n2(h) + m(n2(h))),
    ]
    for (first, attend), (second, widen) in itertools.product(STEPS, repeat=2):
        if symptom := first or second:
            table.append((symptom, widen(attend(x, a, n1), m, n2)))
    return table


def through(block: Any, x: torch.Tensor, *attend: Callable) -> Any:
    """학생의 forward가 낸 것."""
    sizes = rf"tensor [ab] \((?:{EMBED}|{4 * EMBED})\)"
    with explained(
        when(r"\[ModuleDict\] is missing", "mlp-called", idea="ModuleDict", expected="안에 든 층을 차례로 부르기"),
        when(rf"size of {sizes} must match the size of {sizes}", "no-projection", idea="차원", expected=f"{EMBED}차원"),
        when(rf"\(\d+x{EMBED} and {4 * EMBED}x{EMBED}\)", "projection-first", idea="차원", expected=f"{4 * EMBED}"),
        FOREIGN_NAME,
    ):
        return block(x, *attend)


def reference(block: Any, x: torch.Tensor, a: Callable, approximate: str = "none") -> torch.Tensor:
    h = x + a(block.norm1(x))
    return h + mlp_of(block, approximate)(block.norm2(h))


@torch.no_grad()
def adds_rightly(block: Any, x: torch.Tensor) -> bool:
    return close(through(block, x.clone()), reference(block, x, block.attention), ATOL)


@torch.no_grad()
def check_block(got: Any, block: Any, x: torch.Tensor, a: Callable) -> None:
    want = reference(block, x, a)
    require_tensor(got, "x")
    require_shape(got, tuple(want.shape), idea="블록", what="블록의 출력")
    if not close(got, want, ATOL):
        recognise(got, wrong_streams(block, x, a), atol=ATOL, idea="pre-norm residual", expected=want)
        if not matches(block(x.clone(), a), block(x.clone(), a), ATOL):
            more = {"expected": "같은 값", "got": "다른 값"}
            fail(idea="train/eval", symptom="dropout-in-eval", **more)
    assert_close(got, want, atol=ATOL, idea="pre-norm residual", message="블록의 출력이 기대와 다릅니다.")


@todo("2-3")
def test_block_adds_attention_then_mlp(block, stream):
    """정규화 → 어텐션 → 더하기, 정규화 → MLP → 더하기."""
    check_block(through(block, stream.clone()), block, stream, block.attention)


@todo("2-3")
def test_given_attention_is_used(block, stream):
    """attend를 주면 블록의 어텐션 대신 그것을 씁니다."""
    if not sound(lambda: adds_rightly(block, stream)):
        return
    calls: list[torch.Tensor] = []

    def attend(x: torch.Tensor) -> torch.Tensor:
        calls.append(x)
        return given(x)

    got = block(stream.clone(), attend)
    if len(calls) > 1:
        more = {"expected": "한 번", "got": f"{len(calls)}번"}
        fail(idea="KV 캐시의 자리", symptom="attend-twice", **more)
    if matches(got, reference(block, stream, block.attention), ATOL):
        more = {"expected": "건네받은 attend", "got": "self.attention"}
        fail(idea="KV 캐시의 자리", symptom="ignores-attend", **more)
    check_block(got, block, stream, given)


@todo("2-3")
def test_the_callers_tensor_is_left_alone(block, stream):
    """건네받은 x를 고치지 않습니다. 고치면 역전파에 쓸 값이 사라집니다."""
    if not sound(lambda: adds_rightly(block, stream)):
        return
    kept = stream.clone()
    block(stream)
    if not close(stream, kept, 0):
        more = {"expected": "새 텐서", "got": "값이 달라진 x"}
        fail(idea="in-place 연산", symptom="in-place", **more)


@todo("2-3")
@pytest.mark.parametrize(("activation", "approximate"), [("gelu", "none"), ("gelu_new", "tanh")])
def test_activation_is_the_one_of_the_settings(load, device, stream, activation, approximate):
    """두 GELU의 차이는 1만분의 몇이라, 반올림이 그보다 훨씬 작은 배정밀도로 봅니다."""
    block, x = made_block(load, device, activation).double(), stream.double()
    if not sound(lambda: close(through(block, x.clone()), reference(block, x, block.attention), ATOL)):
        return
    got, want = through(block, x.clone()), reference(block, x, block.attention, approximate)
    other = "tanh" if approximate == "none" else "none"
    if matches(got, reference(block, x, block.attention, other), 1e-6):
        said = [f'approximate="{one}"' for one in (approximate, other)]
        fail(idea="GELU", expected=said[0], got=said[1], symptom="other-gelu")
    message = "GELU로 구부린 값이 기대와 조금 다릅니다."
    assert_close(got, want, atol=1e-6, idea="GELU", message=message)


@torch.no_grad()
def wrong_drops(block: Any, x: torch.Tensor, seed: int) -> Wrong:
    """드롭아웃을 다른 데에 건 것들. 학생의 것과 같은 시드로, 같은 층으로 떨굽니다."""
    drop, m, n2 = block.mlp.dropout, mlp_of(block), block.norm2
    a = block.attention(block.norm1(x))
    h = x + a

    def later(first: torch.Tensor, last: Callable) -> torch.Tensor:
        return first + last(m(n2(first)))

    ways = [
        ("dropout-early", lambda: h + back(block, drop(functional.gelu(wide(block, n2(h)))))),
        ("dropout-early", lambda: h + back(block, functional.gelu(drop(wide(block, n2(h)))))),
        ("dropout-early", lambda: h + m(drop(n2(h)))),
        ("dropout-on-stream", lambda: drop(h + m(n2(h)))),
        ("dropout-on-stream", lambda: drop(later(drop(x + a), torch.clone))),
        ("dropout-on-stream", lambda: drop(h + drop(m(n2(h))))),
        ("dropout-again", lambda: h + drop(drop(m(n2(h))))),
        ("dropout-again", lambda: later(x + drop(a), drop)),
        ("dropout-again", lambda: later(x + drop(a), torch.clone)),
    ]
    for symptom, way in ways:
        torch.manual_seed(seed)
        yield symptom, way()


@todo("2-3")
def test_dropout_falls_once_on_what_the_mlp_adds(block, device):
    """학습 모드에서 MLP가 x에 더하는 값은 절반이 0이고, 나머지는 두 배입니다."""
    x = (1.0 + 2.0 * normal(8, LENGTH, EMBED, seed=71)).to(device)
    if not sound(lambda: adds_rightly(block, x)):
        return
    with torch.no_grad():
        h = x + block.attention(block.norm1(x))
        added = mlp_of(block)(block.norm2(h))
    torch.manual_seed(8)
    got = through(block.train(), x.clone()).detach()
    say = {"idea": "드롭아웃", "expected": "MLP의 결과의 절반이 0"}
    if matches(got, h + added, ATOL):
        fail(symptom="no-dropout", got="결과가 그대로", **say)
    kept = (got - h).abs() > ATOL
    share = kept.float().mean().item()
    if not close(got - h, torch.where(kept, added / (1 - DROPPED), 0.0), 2 * ATOL) or not 0.35 < share < 0.65:
        recognise(got, wrong_drops(block, x, seed=8), atol=ATOL, shown="다른 데에 걸린 값", **say)
        fail("학습 모드에서 더한 값이 기대와 다릅니다.", got=f"0인 값이 {1 - share:.0%}", **say)


@todo("2-3")
def test_gradient_flows_through_the_block(block, stream):
    """기울기가 x와 모든 부품에 닿습니다."""
    if not sound(lambda: adds_rightly(block, stream)):
        return
    stream.requires_grad_()
    got = block(stream * 1.0)
    if got.requires_grad:
        with explained(when("inplace operation", "in-place", idea="in-place 연산", expected="새 텐서")):
            got.square().sum().backward()
    unused = [f"attention.{name}" for name, _ in block.attention.named_parameters() if name != "gain"]
    parts = {"x": stream, **{name: one for name, one in block.named_parameters() if name not in unused}}
    require_gradients(parts, gradients_of(reference(block, stream, block.attention), parts))
