"""2-1의 검사: 질의, 열쇠, 값을 헤드마다 나누기."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
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
from course.checks.words import assert_close, close, fail, matches, todo
from tests.task3_lm.checks.step2.common import (
    ATOL,
    BATCH,
    DROPPED,
    EMBED,
    FOREIGN_NAME,
    HEADS,
    LENGTH,
    MAX_LENGTH,
    WIDTH,
    config,
    normal,
    scatter,
)


@pytest.fixture
def hidden(device):
    return normal(BATCH, LENGTH, EMBED).to(device)


def split(attention: Any, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """학생의 heads가 나눈 셋."""
    usual = r"shape '\[.*\b(?:16|32|64|96|128|192|256|384|512|768|1024|2304)\b.*\]' is invalid"
    real = r"tuple of ints.*\bfloat\b|'float' object cannot be interpreted as an integer"
    sizes = r"shape '\[.*\]' is invalid|split_with_sizes|unflatten"
    with explained(
        when("values to unpack", "not-three", idea="split과 chunk", expected="조각 셋"),
        when(usual, "fixed-size", idea="축의 크기", expected=f"{HEADS}개의 헤드, {WIDTH}차원"),
        when(real, "float-size", idea="몫", expected=f"{WIDTH}"),
        when(sizes, "wrong-size", idea="축의 크기", expected=f"(배치, 길이, {EMBED})인 조각 셋"),
        when("view size is not", "view-after-transpose", idea="view와 reshape", expected="나눈 다음 축 바꾸기"),
        FOREIGN_NAME,
    ):
        made = attention.heads(x)
    for name, one in zip(("query", "key", "value"), made, strict=True):
        require_tensor(one, name, symptom="not-tensor")
    return made


def reference_heads(attention: Any, x: torch.Tensor) -> torch.Tensor:
    """헤드 하나의 것을, qkv의 가중치에서 그 헤드의 행만 잘라 하나씩 구한 것. (3, 배치, 헤드, 길이, 차원/헤드)."""
    weight = attention.qkv.weight.reshape(3, HEADS, WIDTH, EMBED)
    bias = attention.qkv.bias.reshape(3, HEADS, WIDTH)
    parts = []
    for part in range(3):
        heads = [functional.linear(x, weight[part, head], bias[part, head]) for head in range(HEADS)]
        parts.append(torch.stack(heads, dim=1))
    return torch.stack(parts)


def splits_rightly(attention: Any, x: torch.Tensor) -> bool:
    return close(torch.stack(split(attention, x)), reference_heads(attention, x), ATOL)


@torch.no_grad()
def wrong_heads(attention: Any, x: torch.Tensor, want: torch.Tensor) -> Wrong:
    """헷갈리기 쉬운 나누기들."""
    batch, length, _ = x.shape
    whole = attention.qkv(x)
    sizes = batch, length, HEADS, WIDTH
    per_head = whole.view(batch, length, HEADS, 3 * WIDTH).transpose(1, 2).chunk(3, dim=-1)
    every_third = whole.view(*sizes, 3).permute(4, 0, 2, 1, 3)
    view_only = [part.reshape(batch, HEADS, length, WIDTH) for part in whole.chunk(3, -1)]
    crossed = [part.reshape(batch, length, WIDTH, HEADS).permute(0, 3, 1, 2) for part in whole.chunk(3, -1)]
    plain = x.reshape(sizes).transpose(1, 2).expand(3, -1, -1, -1, -1)
    no_bias = functional.linear(x, attention.qkv.weight).view(batch, length, 3, HEADS, WIDTH).permute(2, 0, 3, 1, 4)
    scaled = [torch.stack([want[0] * one, want[1] * two, want[2]]) for one, two in ((0.5, 1), (1, 0.5))]
    bent = want.relu(), functional.gelu(want), want.tanh(), want.sigmoid(), want.softmax(-1)
    whole_norm = functional.layer_norm(want, (WIDTH,)), functional.normalize(want, dim=-1)
    normed = [*whole_norm, *(torch.cat([one[:2], want[2:]]) for one in whole_norm)]
    return [
        ("view-only", torch.stack(view_only)),
        ("head-first", torch.stack(per_head)),
        ("head-first", every_third),
        ("crossed", torch.stack(crossed)),
        ("no-qkv", plain),
        ("no-qkv", x.reshape(batch, HEADS, length, WIDTH).expand(3, -1, -1, -1, -1)),
        ("no-bias", no_bias),
        *[("scaled-early", one) for one in scaled],
        *[("extra-math", one) for one in (*bent, *normed)],
        *[("same-three", want[[number] * 3]) for number in range(3)],
        *[("order", want[[*order]]) for order in itertools.permutations(range(3))],
        *[("slice-twice", want[[*o]]) for o in itertools.product(range(3), repeat=3)],
    ]


def keeps_four_heads(load: Any, hidden: torch.Tensor) -> bool:
    """헤드가 둘인 어텐션도 넷으로 나누는가. 여기서는 헤드의 차원이 우연히 흔한 헤드의 수(4)와 같습니다."""
    made = load(2).CausalSelfAttention(config(num_heads=2)).to(hidden.device)
    return split(made, hidden)[0].size(1) == WIDTH


@todo("2-1")
def test_heads_are_the_slices_of_the_projection(load, attention, hidden):
    """헤드마다의 질의, 열쇠, 값은 qkv에서 그 헤드의 행으로 구한 것입니다."""
    got, want = split(attention, hidden), reference_heads(attention, hidden)
    wrong = {
        (BATCH, LENGTH, HEADS, WIDTH): "no-transpose",
        (BATCH, LENGTH, EMBED): "not-split",
        (BATCH, LENGTH, 3 * EMBED): "not-three",
        (BATCH * HEADS, LENGTH, WIDTH): "merged-batch",
        (BATCH, WIDTH, LENGTH, HEADS): "crossed",
        (BATCH, LENGTH, WIDTH, HEADS): "axis-order",
        (BATCH, HEADS, WIDTH, LENGTH): "length-last",
        (BATCH, HEADS, LENGTH, 3 * WIDTH): "not-three",
        (1, HEADS, BATCH * LENGTH, WIDTH): "batch-lost",
        (1, BATCH * LENGTH, HEADS, WIDTH): "batch-lost",
        (HEADS, BATCH * LENGTH, WIDTH): "batch-lost",
        (BATCH * LENGTH, HEADS, WIDTH): "batch-lost",
    }
    if tuple(got[0].shape) == (BATCH, WIDTH, LENGTH, HEADS) and keeps_four_heads(load, hidden):
        fail(idea="헤드의 수", expected=f"설정의 {HEADS}개", got=f"언제나 {WIDTH}개", symptom="fixed-heads")
    for axes in itertools.permutations((BATCH, HEADS, LENGTH, WIDTH)):
        wrong.setdefault(axes, "axis-order")
    for name, one in zip(("query", "key", "value"), got, strict=True):
        require_shape(one, (BATCH, HEADS, LENGTH, WIDTH), idea="헤드 나누기", what=name, wrong=wrong)
    together = torch.stack(got)
    if not close(together, want, ATOL):
        recognise(together, wrong_heads(attention, hidden, want), atol=ATOL, idea="헤드 나누기", expected=want)
        if matches(together.flatten().sort().values, want.flatten().sort().values, ATOL):
            more = {"expected": "제자리에 있는 값", "got": "자리가 뒤섞인 값"}
            fail(idea="헤드 나누기", symptom="scrambled", **more)
    message = "헤드마다의 질의, 열쇠, 값이 기대와 다릅니다."
    assert_close(together, want, atol=ATOL, idea="헤드 나누기", message=message)


@todo("2-1")
@pytest.mark.parametrize("shape", [(1, 1), (3, MAX_LENGTH)])
def test_any_batch_and_length(attention, hidden, device, shape):
    """배치와 길이가 달라도 나눕니다."""
    x = normal(*shape, EMBED).to(device)
    if not sound(lambda: splits_rightly(attention, hidden)):
        return
    got, want = split(attention, x), reference_heads(attention, x)
    if any(one.shape != want[0].shape for one in got):
        shapes = tuple(got[0].shape)
        fail("다른 크기의 배치에서 모양이 다릅니다.", idea="배치와 길이", expected=tuple(want[0].shape), got=shapes)
    message = "다른 크기의 배치에서 값이 다릅니다."
    assert_close(torch.stack(got), want, atol=ATOL, idea="배치와 길이", message=message)


@todo("2-1")
def test_nothing_is_dropped_while_learning(load, hidden, device):
    """학습 모드에서도 나누기만 합니다. 드롭아웃은 뒤의 TODO들이 겁니다."""
    made = load(2).CausalSelfAttention(config(dropout=DROPPED))
    scatter(made)
    made = made.to(device).eval()
    want = reference_heads(made, hidden)
    if not sound(lambda: matches(torch.stack(split(made, hidden)), want, ATOL)):
        return
    got = torch.stack(split(made.train(), hidden))
    if not matches(got, want, ATOL):
        more = {"expected": "나눈 그대로", "got": "일부가 0인 값"}
        fail(idea="드롭아웃의 자리", symptom="dropout-early", **more)


@todo("2-1")
def test_gradient_reaches_the_projection(attention, hidden):
    """질의, 열쇠, 값에서 qkv의 가중치까지 기울기가 이어집니다."""
    if not sound(lambda: splits_rightly(attention, hidden)):
        return
    for index, (name, one) in enumerate(zip(("query", "key", "value"), split(attention, hidden), strict=True)):
        attention.zero_grad()
        if one.requires_grad:
            one.square().sum().backward(retain_graph=True)
        rows = attention.qkv.weight.grad
        if rows is None or not rows[index * EMBED : (index + 1) * EMBED].abs().sum() > 0:
            fail(idea="기울기", expected="0이 아닌 기울기", got="없음", symptom="cut-graph", name=name)
    hidden.requires_grad_()
    parts = {"x": hidden, "qkv.weight": attention.qkv.weight, "qkv.bias": attention.qkv.bias}
    attention.zero_grad()
    torch.stack(split(attention, hidden)).square().sum().backward()
    require_gradients(parts, gradients_of(reference_heads(attention, hidden), parts))
