"""2-3의 검사: 블록."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

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
from nlpbook.language.layers import Dropout
from tests.task3_lm.checks.step2.common import (
    ATOL,
    BATCH,
    DROPPED,
    EMBED,
    FOREIGN_NAME,
    LENGTH,
    Part,
    config,
    normal,
    scatter,
)


@known_as("CausalSelfAttention")
class FakeAttention(Part):
    """어텐션을 대신하는 것. 드롭아웃은 이미 걸었다고 보고, 한 번 더 걸면 드러나도록 진짜처럼 있기만 합니다."""

    def __init__(self, how: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__(how)
        self.attention_dropout, self.output_dropout = Dropout(DROPPED), Dropout(DROPPED)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)


@known_as("MLP")
class FakeMLP(Part):
    """MLP를 대신하는 것."""

    def __init__(self, how: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__(how)
        self.dropout = Dropout(DROPPED)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)


def given(x: torch.Tensor) -> torch.Tensor:
    """5단계의 KV 캐시처럼 밖에서 주는 어텐션."""
    return 1.5 * torch.sin(x.flip(1) + 0.3)


@pytest.fixture
def block(load, device):
    """어텐션과 MLP를 손으로 만든 것으로 바꾼 블록. 두 정규화의 가중치는 서로 다릅니다."""
    made = load(2).Block(config(dropout=DROPPED))
    made.attention = FakeAttention(lambda x: torch.tanh(x.cumsum(1) - 0.5))
    made.mlp = FakeMLP(lambda x: x.roll(1, -1).square() / 2)
    scatter(made.norm1, seed=50)
    scatter(made.norm2, seed=60)
    return made.to(device).train()


@pytest.fixture
def stream(device):
    """블록에 들어가는 x. 평균이 0이 아니고 크기가 1이 아니라, 정규화를 빠뜨리면 값이 다릅니다."""
    return (1.0 + 2.0 * normal(BATCH, LENGTH, EMBED, seed=70)).to(device)


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
    m, n1, n2 = block.mlp, block.norm1, block.norm2
    h, y = x + a(n1(x)), n1(x)
    normed = n2(y + a(y))
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
        ("normed-stream", n2(h) + m(n2(h))),
    ]
    for (first, attend), (second, widen) in itertools.product(STEPS, repeat=2):
        if symptom := first or second:
            table.append((symptom, widen(attend(x, a, n1), m, n2)))
    return table


def through(block: Any, x: torch.Tensor, *attend: Callable) -> Any:
    """학생의 forward가 낸 것."""
    with explained(FOREIGN_NAME):
        return block(x, *attend)


@torch.no_grad()
def adds_rightly(block: Any, x: torch.Tensor) -> bool:
    h = x + block.attention(block.norm1(x))
    return close(through(block, x.clone()), h + block.mlp(block.norm2(h)), ATOL)


@torch.no_grad()
def check_block(got: Any, block: Any, x: torch.Tensor, a: Callable) -> None:
    h = x + a(block.norm1(x))
    want = h + block.mlp(block.norm2(h))
    require_tensor(got, "x")
    require_shape(got, tuple(want.shape), idea="블록", what="블록의 출력")
    if not close(got, want, ATOL):
        recognise(got, wrong_streams(block, x, a), atol=ATOL, idea="pre-norm residual", expected=want)
        if not matches(block(x.clone(), a), block(x.clone(), a), ATOL):
            more = {"expected": "부품이 낸 그대로", "got": "부를 때마다 다른 값"}
            fail(idea="드롭아웃", symptom="dropout-again", **more)
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
    with torch.no_grad():
        own = stream + block.attention(block.norm1(stream))
        own = own + block.mlp(block.norm2(own))
    if matches(got, own, ATOL):
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
def test_gradient_flows_through_the_block(block, stream):
    """기울기가 x와 모든 부품에 닿습니다."""
    if not sound(lambda: adds_rightly(block, stream)):
        return
    stream.requires_grad_()
    got = block(stream * 1.0)
    if got.requires_grad:
        with explained(when("inplace operation", "in-place", idea="in-place 연산", expected="새 텐서")):
            got.square().sum().backward()
    parts = {"x": stream, **dict(block.named_parameters())}
    mixed = stream + block.attention(block.norm1(stream))
    require_gradients(parts, gradients_of(mixed + block.mlp(block.norm2(mixed)), parts))
