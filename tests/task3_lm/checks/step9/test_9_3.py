"""9-3의 검사: 묶음 질의 어텐션."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from course.checks.recognising import Wrong, explained, recognise, require_shape, require_tensor, sound, when
from course.checks.side_effects import no_side_effects, on_one_device
from course.checks.words import assert_close, close, fail, matches, todo
from tests.task3_lm.checks.step9.common import ATOL
from tests.task3_lm.checks.support import normal

BATCH, HEADS, KEY_HEADS, LENGTH, WIDTH = 2, 12, 3, 5, 7  # 묶음은 4개씩. 모두 다릅니다.
NAMES = ("query", "key", "value")


def mixed_by_hand(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """질의 헤드를 하나씩, 제 열쇠 헤드와 짝지어 섞은 것."""
    group = query.size(1) // key.size(1)
    heads = [
        functional.scaled_dot_product_attention(
            query[:, head], key[:, head // group], value[:, head // group], is_causal=True
        )
        for head in range(query.size(1))
    ]
    return torch.stack(heads, dim=1)


def attended(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, allowed: torch.Tensor, scale: float
) -> torch.Tensor:
    scores = query @ key.transpose(-2, -1) * scale
    return scores.masked_fill(~allowed, -math.inf).softmax(-1) @ value


@torch.no_grad()
def wrong_mixes(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> Wrong:
    """헷갈리기 쉬운 섞기들."""
    group, length, width = query.size(1) // key.size(1), query.size(2), query.size(3)
    ones = torch.ones(length, length, dtype=torch.bool, device=query.device)
    past, scale = ones.tril(), 1 / math.sqrt(width)
    key_own, value_own = (one.repeat_interleave(group, dim=1) for one in (key, value))
    key_tiled, value_tiled = (one.repeat(1, group, 1, 1) for one in (key, value))
    yield "tiled", attended(query, key_tiled, value_tiled, past, scale)
    yield "tiled-one", attended(query, key_own, value_tiled, past, scale)
    yield "tiled-one", attended(query, key_tiled, value_own, past, scale)
    for key_one, value_one in ((key[:, :1], value[:, :1]), (key.mean(1, True), value.mean(1, True))):
        yield "one-head", attended(query, key_one, value_one, past, scale)
    pooled = query.unflatten(1, (-1, group)).mean(dim=2).repeat_interleave(group, dim=1)
    yield "pooled-queries", attended(pooled, key_own, value_own, past, scale)
    yield "no-mask", attended(query, key_own, value_own, ones, scale)
    yield "mask-transposed", attended(query, key_own, value_own, ones.triu(), scale)
    yield "self-hidden", attended(query, key_own, value_own, ones.tril(-1), scale).nan_to_num(0.0)
    yield "peek", attended(query, key_own, value_own, ones.tril(1), scale)
    scores = query @ key_own.transpose(-2, -1) * scale
    yield "mask-after", (scores.softmax(-1) * past) @ value_own
    yield "zero-scores", (scores * past).softmax(-1) @ value_own
    for other in (1.0, 1 / width, 1 / math.sqrt(query.size(1)), 1 / math.sqrt(length), 1 / math.sqrt(width * group)):
        yield "scale", attended(query, key_own, value_own, past, other)


def named(got: torch.Tensor, want: torch.Tensor, tensors: list[torch.Tensor]) -> None:
    """알아본 실수라면 그것을 말합니다. 볼 것이 없는 자리의 NaN은 0으로 보고 견줍니다."""
    plain = got.nan_to_num(0.0)
    recognise(plain, wrong_mixes(*tensors), atol=ATOL, idea="묶음 질의", expected=want, shown=got)


@pytest.fixture
def tensors(device):
    """질의, 열쇠, 값."""
    heads = (HEADS, KEY_HEADS, KEY_HEADS)
    return [1.5 * normal(BATCH, count, LENGTH, WIDTH, seed=41 + i).to(device) for i, count in enumerate(heads)]


def mix(load: Any, *tensors: torch.Tensor) -> torch.Tensor:
    """학생이 섞은 것."""
    module, (query, key, _) = load(9), tensors
    given = [one if one.requires_grad else one.clone() for one in tensors]
    heads = {"idea": "헤드의 짝", "expected": f"질의 헤드 {query.size(1)}개마다 하나씩"}
    numbers = {str(query.size(1)), str(key.size(1))}
    several = "|".join(rf"\({one}\) must match.*\({other}\)" for one in numbers for other in numbers if one != other)
    with (
        explained(
            when(several or "no such text", "heads-differ", got=f"헤드 {key.size(1)}개", **heads),
            when("num_heads|Number of heads", "heads-differ", got=f"헤드 {key.size(1)}개", **heads),
        ),
        no_side_effects(inputs=dict(zip(NAMES, given, strict=True)), random_state=True),
        on_one_device("query와 같은 장치"),
    ):
        got = module.grouped_attention(*given)
    require_tensor(got, "mixed")
    wrong = {(query.size(0), key.size(1), *query.shape[2:]): "key-heads-left"}
    require_shape(got, tuple(query.shape), idea="값 섞기", what="mixed", wrong=wrong)
    return got


def mixes_rightly(load: Any, tensors: list[torch.Tensor]) -> bool:
    return close(mix(load, *tensors), mixed_by_hand(*tensors), ATOL)


@todo("9-3")
def test_neighbouring_queries_share_a_key(load, tensors):
    """이웃한 질의 헤드들이 열쇠와 값의 헤드 하나를 함께 씁니다."""
    got, want = mix(load, *tensors), mixed_by_hand(*tensors)
    if not close(got, want, ATOL):
        named(got, want, tensors)
        assert_close(got, want, atol=ATOL, idea="묶음 질의", message="섞은 값이 기대와 다릅니다.")


@todo("9-3")
@pytest.mark.parametrize(("heads", "key_heads", "length"), [(6, 1, 4), (5, 5, 3), (8, 4, 1), (6, 2, 11)])
def test_every_group_and_length(load, device, tensors, heads, key_heads, length):
    """열쇠 헤드가 하나뿐이어도(multi-query), 질의만큼 있어도, 한 토큰뿐이어도 됩니다."""
    if not sound(lambda: mixes_rightly(load, tensors)):  # 한 토큰뿐이면 서로 다른 실수의 값이 같기도 합니다.
        return
    others = [normal(3, count, length, 10, seed=51 + i).to(device) for i, count in enumerate((heads, key_heads) * 2)]
    others = [others[0], others[1], others[3]]
    got, want = mix(load, *others), mixed_by_hand(*others)
    if not close(got, want, ATOL):
        named(got, want, others)
        about = f"질의 헤드 {heads}개, 열쇠 헤드 {key_heads}개, 길이 {length}일 때 섞은 값이 다릅니다."
        assert_close(got, want, atol=ATOL, idea="묶음 질의", message=about)


@todo("9-3")
def test_gradients_match_the_reference(load, tensors):
    """묶음의 기울기는 함께 쓰는 열쇠 하나에 모입니다."""
    if not sound(lambda: mixes_rightly(load, tensors)):
        return
    push = normal(BATCH, HEADS, LENGTH, WIDTH, seed=47).to(tensors[0].device)
    leaves = [one.clone().requires_grad_() for one in tensors]
    got = mix(load, *leaves)
    if got.requires_grad:
        (got * push).sum().backward()
    own = [one.clone().requires_grad_() for one in tensors]
    (mixed_by_hand(*own) * push).sum().backward()
    for name, leaf, reference in zip(NAMES, leaves, own, strict=True):
        if leaf.grad is None or matches(leaf.grad, torch.zeros_like(leaf), 1e-6):
            fail(idea="기울기", expected="0이 아닌 기울기", got=f"{name}에 없음", symptom="cut-graph", name=name)
        scale = float(reference.grad.abs().max())
        message = f"{name}에 닿은 기울기가 기대와 다릅니다."
        assert_close(leaf.grad / scale, reference.grad / scale, atol=ATOL, idea="기울기", message=message)
