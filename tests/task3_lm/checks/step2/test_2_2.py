"""2-2의 검사: 앞의 자리들의 값을 섞고 헤드를 다시 잇기."""

from __future__ import annotations

import math
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
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_close, close, fail, matches, show, todo
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
)


@pytest.fixture
def tensors(device):
    """질의, 열쇠, 값. 가중치가 고르지 않도록 크게 흩어 놓았습니다."""
    return [1.5 * normal(BATCH, HEADS, LENGTH, WIDTH, seed=20 + i).to(device) for i in range(3)]


def joined(mixed: torch.Tensor) -> torch.Tensor:
    """헤드마다 섞은 것을 0번 헤드부터 옆으로 이은 것. (배치, 길이, 헤드 × 차원/헤드)."""
    return torch.cat(mixed.unbind(1), dim=-1)


def reference(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return joined(functional.scaled_dot_product_attention(query, key, value, is_causal=True))


def mix(attention: Any, *tensors: torch.Tensor) -> torch.Tensor:
    """학생의 attend가 섞어 이은 것."""
    unlike = "(must match|match the existing|expandable|expanded size|broadcast)"
    cut = rf"{unlike}.*\b{MAX_LENGTH}\b|\b{MAX_LENGTH}\b.*{unlike}"
    product = "Expected size for first two|mat1 and mat2|batch1|size mismatch|inconsistent"
    axes = {"idea": "행렬곱의 축", "expected": "(길이, 차원/헤드) × (차원/헤드, 길이)"}
    with explained(
        when(cut, "mask-not-cut", idea="가림의 모양", expected="(길이, 길이)인 가림"),
        when(r"must match .* dimension [01]$", "key-not-transposed", **axes),
        when(r"must match .* dimension [23]$", "elementwise", idea="칸끼리의 곱", expected="행렬곱(@)"),
        when(product, "key-not-transposed", **axes),
        when("view size is not", "view-after-transpose", idea="view와 reshape", expected="reshape이나 flatten"),
        when(r"shape '\[.*\]' is invalid", "wrong-size", idea="축의 크기", expected="(배치, 길이, 헤드 × 차원/헤드)"),
        FOREIGN_NAME,
    ):
        given, allowed = [one.clone() for one in tensors], attention.allowed
        before = allowed.clone()
        with no_side_effects(inputs=dict(zip(("query", "key", "value"), given, strict=True))):
            got = attention.attend(*given)
    if attention.allowed is not allowed or not torch.equal(allowed, before):
        attention.allowed = before
        expected = "처음 그대로인 self.allowed"
        fail(idea="버퍼", expected=expected, got="달라진 self.allowed", symptom="mask-overwritten")
    require_tensor(got, "mixed", symptom="not-tensor")
    batch, heads, length, width = tensors[2].shape
    wrong = {
        (batch, heads, length, length): "no-value",
        (batch, length, heads * length): "no-value",
        (batch, heads, length, width): "not-joined",
        (batch, length, heads, width): "not-joined",
        (batch, length, width): "heads-lost",
    }
    turned = (batch, heads * width, length)
    if got.numel() == tensors[2].numel() and batch > 1 and tuple(got.shape) != turned:
        wrong.setdefault(tuple(got.shape), "other-axes")
    require_shape(got, (batch, length, heads * width), idea="헤드 잇기", what="mixed", wrong=wrong)
    return got


def mixes_rightly(attention: Any, tensors: list[torch.Tensor]) -> bool:
    return close(mix(attention, *tensors), reference(*tensors), ATOL)


def attended(scores: torch.Tensor, allowed: torch.Tensor, value: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """점수를 가려 헤드마다 섞은 것. 볼 것이 하나도 없는 자리는 NaN입니다."""
    return scores.masked_fill(~allowed, -math.inf).softmax(dim) @ value


@torch.no_grad()
def wrong_mixes(query: Any, key: Any, value: Any) -> Wrong:
    """헷갈리기 쉬운 섞기들, 헤드마다."""
    raw = query @ key.transpose(-2, -1)
    scores, ones = raw / math.sqrt(WIDTH), torch.ones(LENGTH, LENGTH, dtype=torch.bool, device=query.device)
    past = ones.tril()
    weights = scores.masked_fill(~past, -math.inf).softmax(-1)
    zeroed = scores.masked_fill(~past, 0.0)
    return [
        ("no-scale", attended(raw, past, value)),
        ("scale-not-root", attended(raw / WIDTH, past, value)),
        ("scale-up", attended(raw * math.sqrt(WIDTH), past, value)),
        *[("scale-other", attended(raw / math.sqrt(n), past, value)) for n in (EMBED, LENGTH, HEADS, BATCH)],
        *[("scale-other", attended(raw / math.sqrt(n), past, value)) for n in (MAX_LENGTH, WIDTH + 1, 64, WIDTH**4)],
        ("no-mask", attended(scores, ones, value)),
        ("no-mask", attended(raw, ones, value)),
        ("mask-transposed", attended(scores, ones.triu(), value)),
        ("peek", attended(scores, ones.tril(1), value)),
        ("zero-mask", attended(zeroed, ones, value)),
        ("zero-mask", zeroed.masked_fill(~past, 1e-9).softmax(-1) @ value),
        ("mask-after", (scores.softmax(-1) * past) @ value),
        ("mask-after", scores.softmax(-1).masked_fill(~past, -math.inf) @ value),
        *[("softmax-axis", attended(scores, past, value, dim)) for dim in (-2, 1, 0)],
        ("no-softmax", zeroed @ value),
        ("no-softmax", scores.masked_fill(~past, -math.inf).sigmoid() @ value),
        ("no-softmax", scores.masked_fill(~past, -math.inf) @ value),
        *[("not-mixed", one) for one in (query, key, value)],
        ("not-value", weights @ key),
        ("not-value", weights @ query),
        ("weights-transposed", weights.transpose(-2, -1) @ value),
        ("key-query", attended(scores.transpose(-2, -1), past, value)),
    ]


@torch.no_grad()
def wrong_joins(attention: Any, mixed: torch.Tensor) -> Wrong:
    """옳게 섞은 것을 헷갈리기 쉽게 이은 것들."""
    batch, heads, length, width = mixed.shape
    shape = batch, length, heads * width
    right = joined(mixed)
    return [
        ("join-view-only", mixed.reshape(shape)),
        ("join-interleaved", mixed.permute(0, 2, 3, 1).reshape(shape)),
        ("heads-reversed", joined(mixed.flip(1))),
        ("projected-early", attention.projection(right)),
    ]


def recognise_wrong_mask(got: torch.Tensor, query: Any, key: Any, value: Any) -> None:
    """볼 것이 하나도 없는 자리를 만드는 가림. 그 자리의 값은 NaN, 0, 평균 가운데 하나라 빼고 봅니다."""
    ones = torch.ones(LENGTH, LENGTH, dtype=torch.bool, device=query.device)
    scores = query @ key.transpose(-2, -1) / math.sqrt(WIDTH)
    expected = "앞의 자리들과 자신"
    cases = [
        (ones.triu(1), slice(0, -1), "mask-reversed", "뒤의 자리들"),
        (ones.tril(-1), slice(1, None), "self-hidden", "앞의 자리들만"),
    ]
    for allowed, rows, symptom, seen in cases:
        if matches(got[:, rows], joined(attended(scores, allowed, value))[:, rows], ATOL):
            fail(idea="인과 가림", expected=expected, got=seen, symptom=symptom)


@todo("2-2")
def test_mixed_values_match_the_reference(attention, tensors):
    """PyTorch의 scaled_dot_product_attention(is_causal=True)을 이은 것과 같습니다."""
    got, want = mix(attention, *tensors), reference(*tensors)
    if close(got, want, ATOL):
        return
    recognise_wrong_mask(got, *tensors)
    wrong = [(symptom, joined(one)) for symptom, one in wrong_mixes(*tensors)]
    recognise(got, wrong, atol=ATOL, idea="인과 어텐션", expected=want)
    mixed = functional.scaled_dot_product_attention(*tensors, is_causal=True)
    recognise(got, wrong_joins(attention, mixed), atol=ATOL, idea="헤드 잇기", expected=want)
    if matches(got.flatten().sort().values, want.flatten().sort().values, 1e-4):
        more = {"expected": "제자리에 있는 값", "got": "자리가 뒤섞인 값"}
        fail(idea="헤드 잇기", symptom="scrambled", **more)
    if not got.isfinite().all():
        count = f"{int((~got.isfinite()).sum())}개가 수가 아님"
        if matches(got[:, -1], want[:, -1], ATOL) and got[:, :-1].isnan().all():
            say = {"expected": "-inf", "got": "inf"}
            fail(idea="softmax와 -inf", symptom="positive-inf", **say)
        fail(idea="softmax와 -inf", expected="모두 유한한 수", got=count, symptom="not-finite")
    query, key, value = tensors
    again = mix(attention, query, key, value + torch.arange(LENGTH, device=value.device)[:, None].eq(LENGTH - 1) * 9.0)
    if not matches(again[:, :-1], got[:, :-1], ATOL):
        more = {"expected": "앞의 자리들과 자신", "got": "뒤의 자리까지"}
        fail(idea="인과 가림", symptom="leak", **more)
    assert_close(got, want, atol=ATOL, idea="인과 어텐션", message="섞은 값이 기대와 다릅니다.")


@todo("2-2")
def test_the_future_changes_nothing(attention, tensors):
    """어느 자리의 뒤를 아무리 크게 바꾸어도 그 자리의 값은 그대로입니다."""
    if not sound(lambda: mixes_rightly(attention, tensors)):
        return
    query, key, value = tensors
    before = mix(attention, query, key, value)
    for place in range(1, LENGTH):
        later = torch.arange(LENGTH, device=query.device)[:, None] >= place
        changed = mix(attention, query, torch.where(later, key + 2, key), torch.where(later, value + 1000, value))
        if not close(changed[:, :place], before[:, :place], 1e-3):
            got = f"{place}번째부터 바꾸자 그 앞의 값이 달라짐"
            fail(idea="인과 가림", expected="달라지지 않음", got=got, symptom="weak-mask")


@todo("2-2")
def test_far_apart_scores_stay_finite(load, attention, tensors, device):
    """점수가 아주 작아도 뒤의 자리는 섞이지 않고, 값은 유한합니다."""
    if not sound(lambda: mixes_rightly(attention, tensors)):
        return
    single = load(2).CausalSelfAttention(config(d_embed=WIDTH, num_heads=1)).to(device).eval()
    query, key = torch.full((1, 1, 3, WIDTH), 30.0), torch.full((1, 1, 3, WIDTH), -30.0)  # 점수는 모두 -1,800입니다.
    value = torch.tensor([1.0, 3.0, 800.0])[:, None].expand(1, 1, 3, WIDTH)
    got = mix(single, query.to(device), key.to(device), value.to(device))[0, :, 0]
    want = torch.tensor([1.0, 2.0, 268.0])
    if not got.isfinite().all():
        fail(idea="softmax", expected=show(want[:2]), got=show(got[:2]), symptom="underflow")
    if not close(got[:2], want[:2], ATOL):
        fail(idea="softmax와 -inf", expected=show(want[:2]), got=show(got[:2]), symptom="weak-mask")


@todo("2-2")
@pytest.mark.parametrize("length", [1, MAX_LENGTH])
def test_every_length(attention, tensors, device, length):
    """한 토큰도, max_seq_len을 꽉 채운 글도 됩니다."""
    if not sound(lambda: mixes_rightly(attention, tensors)):
        return
    tensors = [normal(1, HEADS, length, WIDTH, seed=30 + i).to(device) for i in range(3)]
    got, want = mix(attention, *tensors), reference(*tensors)
    assert_close(got, want, atol=ATOL, idea="글의 길이", message=f"길이가 {length}인 글에서 섞은 값이 다릅니다.")


@todo("2-2")
def test_gradient_reaches_all_three(attention, tensors):
    """질의, 열쇠, 값에 모두 기울기가 닿고, 가린 자리에서 NaN이 생기지 않습니다."""
    if not sound(lambda: mixes_rightly(attention, tensors)):
        return
    leaves = [one.requires_grad_() for one in tensors]
    got = mix(attention, *leaves)
    if got.requires_grad:
        got.square().sum().backward()
    parts = dict(zip(("query", "key", "value"), leaves, strict=True))
    require_gradients(parts, gradients_of(reference(*leaves), parts))


@pytest.fixture
def dropping(load, device):
    """`dropping(training)`: 드롭아웃이 절반인 어텐션이 헤드마다 섞은 것과, 드롭아웃이 없을 때의 가중치.

    값이 단위행렬 둘을 이어 붙인 것이라 섞은 값의 앞뒤 절반이 곧 가중치입니다. 가중치를 떨구었다면 두 절반이 같습니다.
    """
    width = 2 * LENGTH
    attention = load(2).CausalSelfAttention(config(d_embed=HEADS * width, dropout=DROPPED)).to(device)
    attention.output_dropout.p = 0.9
    shape = (16, HEADS, LENGTH)
    query, key = (functional.pad(normal(*shape, WIDTH, seed=seed), (0, width - WIDTH)) for seed in (40, 41))
    given = [query.to(device), key.to(device), torch.eye(LENGTH, device=device).repeat(1, 2).expand(*shape, width)]

    def run(training: bool) -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(7)
        attention.train(training)
        want = functional.scaled_dot_product_attention(*given, is_causal=True)
        return mix(attention, *given).unflatten(-1, (HEADS, width)).transpose(1, 2), want

    return run


@todo("2-2")
def test_dropout_is_off_in_evaluation(attention, tensors, dropping):
    """평가 모드에서는 아무 가중치도 떨구지 않습니다."""
    if not sound(lambda: mixes_rightly(attention, tensors)):
        return
    got, want = dropping(training=False)
    if close(got, want, ATOL):
        return
    zeros = (got[..., :LENGTH].abs() < 1e-6).float().mean().item()
    if zeros > 0.55:  # 가린 자리만 0이라면 0.4입니다.
        more = {"expected": "모든 가중치", "got": f"가중치의 {(zeros - 0.4) / 0.6:.0%}를 떨굼"}
        fail(idea="train/eval", symptom="dropout-in-eval", **more)
    fail("평가 모드에서 섞은 값이 기대와 다릅니다.", idea="인과 어텐션", expected=show(want), got=show(got))


@todo("2-2")
def test_dropout_drops_weights_while_learning(dropping):
    """학습 모드에서는 가중치의 일부가 0이 되고, 남은 것은 1/(1 - p)배가 됩니다."""
    if not sound(lambda: close(*dropping(training=False), ATOL)):
        return
    got, want = (one.detach() for one in dropping(training=True))
    if matches(got, want, ATOL):
        more = {"expected": "가중치의 절반이 0", "got": "모든 가중치가 그대로"}
        fail(idea="드롭아웃", symptom="no-dropout", **more)
    first, second = got[..., :LENGTH], got[..., LENGTH:]
    kept, weights = first > 1e-8, want[..., :LENGTH]
    doubled = torch.where(kept, weights / (1 - DROPPED), 0.0)
    if not close(first, second, ATOL):
        more = {"expected": "떨군 가중치로 섞은 값", "got": "섞은 뒤에 떨군 값"}
        fail(idea="드롭아웃의 자리", symptom="dropout-on-values", **more)
    if matches(first, torch.where(kept, weights / 0.1, 0.0), ATOL):
        more = {"expected": "attention_dropout", "got": "output_dropout"}
        fail(idea="드롭아웃의 자리", symptom="other-dropout", **more)
    share = kept.float().mean().item() / 0.6  # 볼 수 있는 자리는 25칸 가운데 15칸입니다.
    if not close(first, doubled, 2 * ATOL) or not 0.3 < share < 0.7:
        more = {"expected": "0이거나 가중치의 1/(1 - p)배", "got": "그 밖의 값"}
        fail(idea="드롭아웃의 자리", symptom="dropout-elsewhere", **more)
