"""2단계의 검사: 어텐션, 블록, 묶은 가중치, 초기화, 모델의 길.

견줄 값은 학생의 코드를 거치지 않고 구합니다. 블록과 모델을 볼 때는 그 안의 부품을 손으로 만든 것으로 바꾸어, 앞 TODO의
실수가 뒤 TODO의 탓이 되지 않게 합니다.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from course.checks.words import CheckFailed, assert_close, close, fail, known_as, matches, show, todo
from nlpbook.language.layers import Dropout
from tests.task3_lm import support

BATCH, HEADS, LENGTH, WIDTH = 2, 3, 5, 4  # 축을 헷갈리면 모양부터 달라지도록 모두 다릅니다. WIDTH는 차원/헤드입니다.
EMBED, MAX_LENGTH, LAYERS, VOCAB = HEADS * WIDTH, 8, 3, 40
ATOL = 2e-2  # 값은 1쯤입니다. fp32의 차이는 1e-6, bf16 행렬곱의 차이는 1e-2를 넘지 않고, 실수는 0.1 넘게 다릅니다.


def config(**changes: Any) -> Any:
    sizes = {"d_embed": EMBED, "num_heads": HEADS, "num_layers": LAYERS, "max_seq_len": MAX_LENGTH}
    return support.tiny_config(**{**sizes, **changes})


def normal(*shape: int, seed: int = 3) -> torch.Tensor:
    """어느 장치에서나 같은 정규분포의 값."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def scatter(module: nn.Module, scale: float = 0.6, seed: int = 5) -> None:
    """모든 파라미터를 제각각으로 채웁니다. 1이나 0으로 남은 것이 있으면 빠뜨려도 티가 나지 않습니다."""
    for index, parameter in enumerate(module.parameters()):
        around = 1.0 if parameter.dim() == 1 else 0.0
        parameter.data = around + scale * normal(*parameter.shape, seed=seed + index)


# nanoGPT, minGPT, Hugging Face가 같은 것을 부르는 이름들. 옮겨 적은 코드가 여기에서 멈춥니다.
FOREIGN = (
    "_init_weights|_tie_weights|attn|attn_dropout|bias|block_size|c_attn|c_fc|c_proj|config|drop|embed_dim|embed_tokens|"
    "flash|get_input_embeddings|get_output_embeddings|h|head|head_dim|k_proj|key|layers|ln_1|ln_2|ln_f|mask|n_embd|n_head|"
    "n_layer|pos_emb|q_proj|query|resid_dropout|residual_dropout|split_size|tie_weights|tok_emb|transformer|tril|"
    "v_proj|value|wpe|wte"
)

OURS = "'(?:CausalSelfAttention|MLP|Block|GPT)'"


@contextmanager
def explained(*known: tuple[str, str, str, str, str]) -> Iterator[None]:
    """알려진 예외로 멈췄으면, 그것이 무슨 실수인지 말합니다. `known`은 (글의 모양, 문장, 개념, 기대, 증상)입니다."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, AssertionError) as error:
        got = f"{type(error).__name__}: {str(error).splitlines()[0][:70]}" if str(error) else type(error).__name__
        for pattern, message, idea, expected, symptom in known:
            if re.search(pattern, str(error)):
                failure = CheckFailed(message, idea=idea, expected=expected, got=got, symptom=symptom)
                raise failure.with_traceback(error.__traceback__) from None
        if isinstance(error, AttributeError) and (
            found := re.search(rf"{OURS} object has no attribute '({FOREIGN})'$", str(error))
        ):
            message, idea = "이 파일에 없는 이름입니다.", "부품의 이름"
            about = {"expected": "__init__에 있는 이름", "got": found[1], "symptom": "foreign-name"}
            raise CheckFailed(message, idea=idea, **about).with_traceback(error.__traceback__) from None
        raise


def recognise(got: Any, wrong: list[tuple[str, str, torch.Tensor]], *, idea: str, expected: Any) -> None:
    """틀린 값들의 표(증상, 문장, 값)에서 같은 것을 찾으면, 그 실수라고 말합니다. 옳은 값이 아닐 때만 부릅니다."""
    for symptom, message, value in wrong:
        if matches(got, value, ATOL):
            fail(message, idea=idea, expected=show(expected), got=show(got), symptom=symptom)


def sound(asked: Callable[[], bool]) -> bool:
    """이 TODO의 첫 검사가 볼 것이 맞는가. 틀렸다면 그 검사가 말하므로, 다음 검사들은 말을 보태지 않습니다."""
    with suppress(Exception):
        return asked()
    return False


def require_tensor(got: Any, name: str, symptom: str | None = None) -> None:
    if not isinstance(got, torch.Tensor):
        kind = "None" if got is None else type(got).__name__
        fail(f"{name}이(가) 텐서가 아닙니다.", idea="텐서", expected="텐서", got=kind, symptom=symptom)


def require_shape(got: torch.Tensor, want: tuple, known: dict[tuple, tuple[str, str]], *, idea: str, what: str) -> None:
    """모양이 다르면, 아는 모양인지(모양 → 문장, 증상) 보고 그렇다고 말합니다."""
    shape = tuple(got.shape)
    if shape != want:
        message, symptom = known.get(shape, (f"{what}의 모양이 다릅니다.", None))
        fail(message, idea=idea, expected=want, got=shape, symptom=symptom)


# ── 2-1 질의, 열쇠, 값을 헤드마다 나누기


@pytest.fixture
def attention(load, device):
    """가중치도 편향도 0이 아닌 어텐션, 평가 모드."""
    made = load(2).CausalSelfAttention(config())
    scatter(made)
    return made.to(device).eval()


@pytest.fixture
def hidden(device):
    return normal(BATCH, LENGTH, EMBED).to(device)


def split(attention: Any, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """학생의 heads가 나눈 셋."""
    axes = ("나눈 조각의 크기가 맞지 않습니다.", "축의 크기", f"(배치, 길이, {EMBED})인 조각 셋", "wrong-size")
    fixed = ("설정이 아닌 수로 나누려 했습니다.", "축의 크기", f"{HEADS}개의 헤드, {WIDTH}차원", "fixed-size")
    real = ("축의 크기가 정수가 아닙니다.", "몫", f"{WIDTH}", "float-size")
    flow = "축의 차례를 바꾼 텐서는 view로 나눌 수 없습니다."
    with explained(
        ("values to unpack", "셋으로 나뉘지 않았습니다.", "split과 chunk", "조각 셋", "not-three"),
        (r"shape '\[.*\b(?:16|32|64|96|128|192|256|384|512|768|1024|2304)\b.*\]' is invalid", *fixed),
        ("failed to unpack the object at pos|must be tuple of ints|cannot be interpreted as an integer", *real),
        (r"shape '\[.*\]' is invalid|split_with_sizes|unflatten", *axes),
        ("view size is not compatible", flow, "view와 reshape", "나눈 다음 축 바꾸기", "view-after-transpose"),
    ):
        made = attention.heads(x)
    for name, one in zip(("query", "key", "value"), made, strict=True):
        require_tensor(one, name, "not-tensor")
    return made


@torch.no_grad()
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
def wrong_heads(attention: Any, x: torch.Tensor, want: torch.Tensor) -> list[tuple[str, str, torch.Tensor]]:
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
    inside, misplaced = (
        "질의, 열쇠, 값을 나누기 전에 헤드부터 나누었습니다.",
        "질의, 열쇠, 값이 제자리에 있지 않습니다.",
    )
    return [
        ("view-only", "축을 바꾸지 않고 모양만 바꾸었습니다.", torch.stack(view_only)),
        ("head-first", inside, torch.stack(per_head)),
        ("head-first", inside, every_third),
        ("crossed", "헤드의 수와 헤드의 차원을 바꾸어 나누었습니다.", torch.stack(crossed)),
        ("no-qkv", "self.qkv를 지나지 않았습니다.", plain),
        ("no-qkv", "self.qkv를 지나지 않았습니다.", x.reshape(batch, HEADS, length, WIDTH).expand(3, -1, -1, -1, -1)),
        ("no-bias", "self.qkv의 편향을 더하지 않았습니다.", no_bias),
        *[("scaled-early", "질의와 열쇠의 크기를 미리 바꾸었습니다.", one) for one in scaled],
        *[("extra-math", "나누는 것 말고 다른 계산을 했습니다.", one) for one in (*bent, *normed)],
        *[("same-three", "셋이 모두 같습니다.", want[[number] * 3]) for number in range(3)],
        *[("order", misplaced, want[[*order]]) for order in itertools.permutations(range(3))],
        *[("slice-twice", "한 조각을 두 번 썼습니다.", want[[*o]]) for o in itertools.product(range(3), repeat=3)],
    ]


@todo("2-1")
def test_heads_are_the_slices_of_the_projection(attention, hidden):
    """헤드마다의 질의, 열쇠, 값은 qkv에서 그 헤드의 행으로 구한 것입니다."""
    got, want = split(attention, hidden), reference_heads(attention, hidden)
    known = {
        (BATCH, LENGTH, HEADS, WIDTH): ("헤드 축이 길이 축의 뒤에 있습니다.", "no-transpose"),
        (BATCH, LENGTH, EMBED): ("헤드로 나누지 않았습니다.", "not-split"),
        (BATCH, LENGTH, 3 * EMBED): ("질의, 열쇠, 값으로 나누지 않았습니다.", "not-three"),
        (BATCH * HEADS, LENGTH, WIDTH): ("배치와 헤드를 한 축으로 합쳤습니다.", "merged-batch"),
        (BATCH, WIDTH, LENGTH, HEADS): ("헤드의 수와 헤드의 차원을 바꾸어 나누었습니다.", "crossed"),
        (BATCH, LENGTH, WIDTH, HEADS): ("헤드의 수와 헤드의 차원을 바꾸어 나누었습니다.", "crossed"),
        (BATCH, HEADS, WIDTH, LENGTH): ("길이 축이 맨 뒤로 갔습니다.", "length-last"),
        (BATCH, HEADS, LENGTH, 3 * WIDTH): ("질의, 열쇠, 값으로 나누지 않았습니다.", "not-three"),
    }
    joined = "배치를 길이에 이어 붙였습니다.", "batch-lost"
    known |= dict.fromkeys([(1, HEADS, BATCH * LENGTH, WIDTH), (1, BATCH * LENGTH, HEADS, WIDTH)], joined)
    known |= dict.fromkeys([(HEADS, BATCH * LENGTH, WIDTH), (BATCH * LENGTH, HEADS, WIDTH)], joined)
    for axes in itertools.permutations((BATCH, HEADS, LENGTH, WIDTH)):
        known.setdefault(axes, ("네 축의 차례가 다릅니다.", "axis-order"))
    for name, one in zip(("query", "key", "value"), got, strict=True):
        require_shape(one, (BATCH, HEADS, LENGTH, WIDTH), known, idea="헤드 나누기", what=name)
    together = torch.stack(got)
    if not close(together, want, ATOL):
        recognise(together, wrong_heads(attention, hidden, want), idea="헤드 나누기", expected=want)
        if matches(together.flatten().sort().values, want.flatten().sort().values, ATOL):
            more = {"expected": "제자리에 있는 값", "got": "자리가 뒤섞인 값"}
            fail("값은 모두 있지만 자리가 뒤섞였습니다.", idea="헤드 나누기", symptom="scrambled", **more)
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
        fail("나눈 값에 드롭아웃을 걸었습니다.", idea="드롭아웃의 자리", symptom="dropout-early", **more)


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
            message = f"{name}의 기울기가 self.qkv에 닿지 않습니다."
            fail(message, idea="기울기", expected="0이 아닌 기울기", got="없음", symptom="cut-graph", name=name)


# ── 2-2 앞의 자리들의 값을 섞기


@pytest.fixture
def tensors(device):
    """질의, 열쇠, 값. 무게가 고르지 않도록 크게 흩어 놓았습니다."""
    return [1.5 * normal(BATCH, HEADS, LENGTH, WIDTH, seed=20 + i).to(device) for i in range(3)]


def mix(attention: Any, *tensors: torch.Tensor) -> torch.Tensor:
    """학생의 attend가 섞은 것."""
    cut = "가림의 크기가 글의 길이와 다릅니다.", "가림의 모양", "(길이, 길이)인 가림", "mask-not-cut"
    axes = "질의와 열쇠의 축이 맞지 않아 곱할 수 없습니다.", "행렬곱의 축", "(길이, 차원/헤드) × (차원/헤드, 길이)"
    cells = "모양이 다른 두 텐서를 칸끼리 셈했습니다.", "칸끼리의 곱", "행렬곱(@)"
    with explained(
        (rf"(must match|match the existing|expandable|expanded size|broadcast).*\b{MAX_LENGTH}\b", *cut),
        (rf"\b{MAX_LENGTH}\b.*(must match|match the existing|expandable|expanded size|broadcast)", *cut),
        (r"must match .* dimension [01]$", *axes, "key-not-transposed"),
        (r"must match .* dimension [23]$", *cells, "elementwise"),
        ("Expected size for first two|mat1 and mat2|batch1|size mismatch|inconsistent", *axes, "key-not-transposed"),
    ):
        given, allowed = [one.clone() for one in tensors], attention.allowed
        before = allowed.clone()
        got = attention.attend(*given)
    for name, one, kept in zip(("query", "key", "value"), given, tensors, strict=True):
        if not torch.equal(one, kept):
            message, say = f"건네받은 {name}를 그 자리에서 고쳤습니다.", {"expected": "새 텐서", "name": name}
            fail(message, idea="in-place 연산", got=f"값이 달라진 {name}", symptom="in-place", **say)
    if attention.allowed is not allowed or not torch.equal(allowed, before):
        attention.allowed = before
        message, expected = "가림의 표(self.allowed)를 바꾸어 놓았습니다.", "처음 그대로인 self.allowed"
        fail(message, idea="버퍼", expected=expected, got="달라진 self.allowed", symptom="mask-overwritten")
    require_tensor(got, "mixed", "not-tensor")
    batch, heads, length, width = tensors[2].shape
    known = {
        (batch, heads, length, length): ("무게로 값을 섞지 않았습니다.", "no-value"),
        (batch, length, heads, width): ("헤드를 벌써 합치기 시작했습니다.", "merged-early"),
        (batch, length, heads * width): ("헤드를 벌써 합쳤습니다.", "merged-early"),
    }
    require_shape(got, (batch, heads, length, width), known, idea="값 섞기", what="mixed")
    return got


def mixes_rightly(attention: Any, tensors: list[torch.Tensor]) -> bool:
    return close(mix(attention, *tensors), functional.scaled_dot_product_attention(*tensors, is_causal=True), ATOL)


def attended(scores: torch.Tensor, allowed: torch.Tensor, value: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """점수를 가려 섞은 것. 볼 것이 하나도 없는 자리는 NaN입니다."""
    return scores.masked_fill(~allowed, -math.inf).softmax(dim) @ value


@torch.no_grad()
def wrong_mixes(query: Any, key: Any, value: Any) -> list[tuple[str, str, torch.Tensor]]:
    """헷갈리기 쉬운 섞기들."""
    raw = query @ key.transpose(-2, -1)
    scores, ones = raw / math.sqrt(WIDTH), torch.ones(LENGTH, LENGTH, dtype=torch.bool, device=query.device)
    past = ones.tril()
    weights = scores.masked_fill(~past, -math.inf).softmax(-1)
    other, seen = "내적을 다른 수로 나누었습니다.", "뒤의 자리를 보았습니다."
    axis, after = "softmax의 축이 다릅니다.", "softmax를 한 다음에 가렸습니다."
    zeroed = scores.masked_fill(~past, 0.0)
    return [
        ("no-scale", "내적을 나누지 않았습니다.", attended(raw, past, value)),
        ("scale-not-root", "제곱근이 아니라 차원 그대로 나누었습니다.", attended(raw / WIDTH, past, value)),
        ("scale-up", "나누지 않고 곱했습니다.", attended(raw * math.sqrt(WIDTH), past, value)),
        *[("scale-other", other, attended(raw / math.sqrt(n), past, value)) for n in (EMBED, LENGTH, HEADS, BATCH)],
        *[
            ("scale-other", other, attended(raw / math.sqrt(n), past, value))
            for n in (MAX_LENGTH, WIDTH + 1, 64, WIDTH**4)
        ],
        ("no-mask", seen, attended(scores, ones, value)),
        ("no-mask", seen, attended(raw, ones, value)),
        ("mask-transposed", "앞이 아니라 뒤를 보았습니다.", attended(scores, ones.triu(), value)),
        ("peek", "바로 다음 자리를 보았습니다.", attended(scores, ones.tril(1), value)),
        ("zero-mask", "가릴 점수를 0으로 채웠습니다.", attended(zeroed, ones, value)),
        ("zero-mask", "가릴 점수를 0으로 채웠습니다.", zeroed.masked_fill(~past, 1e-9).softmax(-1) @ value),
        ("mask-after", after, (scores.softmax(-1) * past) @ value),
        ("mask-after", after, scores.softmax(-1).masked_fill(~past, -math.inf) @ value),
        *[("softmax-axis", axis, attended(scores, past, value, dim)) for dim in (-2, 1, 0)],
        ("no-softmax", "점수를 무게로 바꾸지 않았습니다.", zeroed @ value),
        ("no-softmax", "합이 1이 아닌 무게입니다.", scores.masked_fill(~past, -math.inf).sigmoid() @ value),
        ("no-softmax", "점수를 무게로 바꾸지 않았습니다.", scores.masked_fill(~past, -math.inf) @ value),
        *[("not-mixed", "앞의 자리들을 섞지 않았습니다.", one) for one in (query, key, value)],
        ("not-value", "값이 아닌 것을 섞었습니다.", weights @ key),
        ("not-value", "값이 아닌 것을 섞었습니다.", weights @ query),
        ("weights-transposed", "무게의 축을 바꾸어 섞었습니다.", weights.transpose(-2, -1) @ value),
        ("key-query", "질의와 열쇠가 바뀌었습니다.", attended(scores.transpose(-2, -1), past, value)),
    ]


def recognise_wrong_mask(got: torch.Tensor, query: Any, key: Any, value: Any) -> None:
    """볼 것이 하나도 없는 자리를 만드는 가림. 그 자리의 값은 NaN, 0, 평균 가운데 하나라 빼고 봅니다."""
    ones = torch.ones(LENGTH, LENGTH, dtype=torch.bool, device=query.device)
    scores = query @ key.transpose(-2, -1) / math.sqrt(WIDTH)
    expected = "앞의 자리들과 자신"
    cases = [
        (ones.triu(1), slice(0, -1), "mask-reversed", "보아도 되는 자리를 가렸습니다.", "뒤의 자리들"),
        (ones.tril(-1), slice(1, None), "self-hidden", "자기 자신을 가렸습니다.", "앞의 자리들만"),
    ]
    for allowed, rows, symptom, message, seen in cases:
        if matches(got[..., rows, :], attended(scores, allowed, value)[..., rows, :], ATOL):
            fail(message, idea="인과 가림", expected=expected, got=seen, symptom=symptom)


@todo("2-2")
def test_mixed_values_match_the_reference(attention, tensors):
    """PyTorch의 scaled_dot_product_attention(is_causal=True)과 같습니다."""
    got = mix(attention, *tensors)
    want = functional.scaled_dot_product_attention(*tensors, is_causal=True)
    if close(got, want, ATOL):
        return
    recognise_wrong_mask(got, *tensors)
    recognise(got, wrong_mixes(*tensors), idea="인과 어텐션", expected=want)
    if not got.isfinite().all():
        count = f"{int((~got.isfinite()).sum())}개가 수가 아님"
        if matches(got[..., -1, :], want[..., -1, :], ATOL) and got[..., :-1, :].isnan().all():
            message, say = "가릴 점수를 양의 무한대로 채웠습니다.", {"expected": "-inf", "got": "inf"}
            fail(message, idea="softmax와 -inf", symptom="positive-inf", **say)
        message = "섞은 값에 수가 아닌 것(NaN, inf)이 있습니다."
        fail(message, idea="softmax와 -inf", expected="모두 유한한 수", got=count, symptom="not-finite")
    query, key, value = tensors
    again = mix(attention, query, key, value + torch.arange(LENGTH, device=value.device)[:, None].eq(LENGTH - 1) * 9.0)
    if not matches(again[..., :-1, :], got[..., :-1, :], ATOL):
        more = {"expected": "앞의 자리들과 자신", "got": "뒤의 자리까지"}
        fail("뒤의 자리의 값이 섞였습니다.", idea="인과 가림", symptom="leak", **more)
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
        if not close(changed[..., :place, :], before[..., :place, :], 1e-3):
            message = "뒤의 자리를 바꾸었더니 앞의 값이 달라졌습니다."
            got = f"{place}번째부터 바꾸자 그 앞의 값이 달라짐"
            fail(message, idea="인과 가림", expected="달라지지 않음", got=got, symptom="weak-mask")


@todo("2-2")
def test_far_apart_scores_stay_finite(attention, tensors, device):
    """점수가 아주 작아도 뒤의 자리는 섞이지 않고, 값은 유한합니다."""
    if not sound(lambda: mixes_rightly(attention, tensors)):
        return
    query, key = torch.full((1, 1, 3, 4), 30.0), torch.full((1, 1, 3, 4), -30.0)  # 점수는 모두 -1,800입니다.
    value = torch.tensor([1.0, 3.0, 800.0])[:, None].expand(1, 1, 3, 4)
    got = mix(attention, query.to(device), key.to(device), value.to(device))[0, 0, :, 0]
    want = torch.tensor([1.0, 2.0, 268.0])
    if not close(got[:2], want[:2], ATOL):
        message = "점수가 아주 작을 때 뒤의 자리가 섞였거나 수가 아닌 값이 나왔습니다."
        fail(message, idea="softmax와 -inf", expected=show(want[:2]), got=show(got[:2]), symptom="weak-mask")


@todo("2-2")
@pytest.mark.parametrize("length", [1, MAX_LENGTH])
def test_every_length(attention, tensors, device, length):
    """한 토큰도, max_seq_len을 꽉 채운 글도 됩니다."""
    if not sound(lambda: mixes_rightly(attention, tensors)):
        return
    tensors = [normal(1, HEADS, length, WIDTH, seed=30 + i).to(device) for i in range(3)]
    want = functional.scaled_dot_product_attention(*tensors, is_causal=True)
    got = mix(attention, *tensors)
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
    for name, leaf in zip(("query", "key", "value"), leaves, strict=True):
        if leaf.grad is None or not leaf.grad.abs().sum() > 0:  # NaN도 여기서 걸립니다.
            state = "없음" if leaf.grad is None else "0이거나 수가 아님"
            message = f"{name}에 기울기가 닿지 않습니다."
            fail(message, idea="기울기", expected="0이 아닌 기울기", got=state, symptom="cut-graph", name=name)


DROPPED = 0.5


@pytest.fixture
def dropping(load, device):
    """`dropping(training)`: 드롭아웃이 절반인 어텐션이 섞은 것과, 드롭아웃이 없을 때의 무게.

    값이 단위행렬 둘을 이어 붙인 것이라 섞은 값의 앞뒤 절반이 곧 무게입니다. 무게를 떨구었다면 두 절반이 같습니다.
    """
    attention = load(2).CausalSelfAttention(config(dropout=DROPPED)).to(device)
    attention.output_dropout.p = 0.9
    shape = (16, HEADS, LENGTH)
    query, key = (normal(*shape, WIDTH, seed=seed).to(device) for seed in (40, 41))
    value = torch.eye(LENGTH, device=device).repeat(1, 2).expand(*shape, 2 * LENGTH)
    query, key = (functional.pad(one, (0, 2 * LENGTH - WIDTH)) for one in (query, key))

    def run(training: bool) -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(7)
        attention.train(training)
        want = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return mix(attention, query, key, value), want

    return run


@todo("2-2")
def test_dropout_is_off_in_evaluation(attention, tensors, dropping):
    """평가 모드에서는 아무 무게도 떨구지 않습니다."""
    if not sound(lambda: mixes_rightly(attention, tensors)):
        return
    got, want = dropping(training=False)
    if close(got, want, ATOL):
        return
    zeros = (got[..., :LENGTH].abs() < 1e-6).float().mean().item()
    if zeros > 0.55:  # 가린 자리만 0이라면 0.4입니다.
        message = "평가할 때에도 드롭아웃이 켜져 있습니다."
        more = {"expected": "모든 무게", "got": f"무게의 {(zeros - 0.4) / 0.6:.0%}를 떨굼"}
        fail(message, idea="train/eval", symptom="dropout-in-eval", **more)
    fail("평가 모드에서 섞은 값이 기대와 다릅니다.", idea="인과 어텐션", expected=show(want), got=show(got))


@todo("2-2")
def test_dropout_drops_weights_while_learning(dropping):
    """학습 모드에서는 무게의 일부가 0이 되고, 남은 것은 1/(1 - p)배가 됩니다."""
    if not sound(lambda: close(*dropping(training=False), ATOL)):
        return
    got, want = (one.detach() for one in dropping(training=True))
    if matches(got, want, ATOL):
        message = "학습할 때 무게에 드롭아웃이 걸리지 않았습니다."
        more = {"expected": "무게의 절반이 0", "got": "모든 무게가 그대로"}
        fail(message, idea="드롭아웃", symptom="no-dropout", **more)
    first, second = got[..., :LENGTH], got[..., LENGTH:]
    kept, weights = first > 1e-8, want[..., :LENGTH]
    doubled = torch.where(kept, weights / (1 - DROPPED), 0.0)
    if not close(first, second, ATOL):
        message = "무게가 아니라 섞은 값에 드롭아웃을 걸었습니다."
        more = {"expected": "떨군 무게로 섞은 값", "got": "섞은 뒤에 떨군 값"}
        fail(message, idea="드롭아웃의 자리", symptom="dropout-on-values", **more)
    if matches(first, torch.where(kept, weights / 0.1, 0.0), ATOL):
        message = "다른 드롭아웃을 걸었습니다."
        more = {"expected": "attention_dropout", "got": "output_dropout"}
        fail(message, idea="드롭아웃의 자리", symptom="other-dropout", **more)
    share = kept.float().mean().item() / 0.6  # 볼 수 있는 자리는 25칸 가운데 15칸입니다.
    if not close(first, doubled, 2 * ATOL) or not 0.3 < share < 0.7:
        message = "떨구고 남은 무게가 원래 무게의 두 배가 아닙니다."
        more = {"expected": "0이거나 무게의 1/(1 - p)배", "got": "그 밖의 값"}
        fail(message, idea="드롭아웃의 자리", symptom="dropout-elsewhere", **more)


# ── 2-3 블록


class Part(nn.Module):
    """부품을 대신하는 손으로 만든 것. 자리를 섞고, 곧지 않습니다."""

    def __init__(self, how: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.how, self.gain = how, nn.Parameter(torch.tensor(1.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gain * self.how(x)


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


STEPS: dict[str, tuple[Any, ...]] = {  # 증상 → 문장, 그렇게 하는 한 걸음(x, 부품, 정규화)들. 빈 증상은 옳은 걸음입니다.
    "": ("", lambda x, part, norm: x + part(norm(x))),
    "post-norm": (
        "더한 다음에 정규화했습니다.",
        lambda x, part, norm: norm(x + part(x)),
        lambda x, part, norm: norm(x + part(norm(x))),
    ),
    "norm-outside": ("부품이 낸 것을 정규화했습니다.", lambda x, part, norm: x + norm(part(x))),
    "no-norm": ("부품이 정규화하지 않은 x를 읽었습니다.", lambda x, part, norm: x + part(x)),
    "no-residual": (
        "더하지 않고 바꾸었습니다.",
        lambda x, part, norm: part(norm(x)),
        lambda x, part, norm: part(x),
    ),
    "normed-stream": ("더해지는 x까지 정규화했습니다.", lambda x, part, norm: norm(x) + part(norm(x))),
    "first-only": ("결과의 첫 글만 더했습니다.", lambda x, part, norm: x + part(norm(x))[0]),
    "x-twice": ("x를 두 번 더했습니다.", lambda x, part, norm: x + x + part(norm(x))),
    "not-added": (
        "더하지 않고 빼거나 곱했습니다.",
        lambda x, part, norm: x - part(norm(x)),
        lambda x, part, norm: x * part(norm(x)),
    ),
}


def wrong_streams(block: Any, x: torch.Tensor, a: Callable) -> list[tuple[str, str, torch.Tensor]]:
    """헷갈리기 쉬운 블록들."""
    m, n1, n2 = block.mlp, block.norm1, block.norm2
    h, y = x + a(n1(x)), n1(x)
    normed = n2(y + a(y))
    lost, same = "어텐션의 결과가 남지 않았습니다.", "두 곳에 같은 정규화를 썼습니다."
    first = "MLP가 어텐션보다 먼저입니다."
    table = [
        ("attention-lost", lost, x + m(n2(x))),
        ("attention-lost", lost, x + m(n2(h))),
        ("attention-lost", lost, x + m(n2(a(n1(x))))),
        ("attention-lost", lost, x + m(normed)),
        ("mlp-lost", "MLP의 결과가 남지 않았습니다.", h),
        ("parallel", "MLP가 어텐션을 더하기 전의 x를 읽었습니다.", h + m(n2(x))),
        ("attention-only", "MLP가 어텐션의 결과만 읽었습니다.", h + m(n2(a(n1(x))))),
        ("same-norm", same, h + m(n1(h))),
        ("same-norm", same, x + a(n2(x)) + m(n2(x + a(n2(x))))),
        ("norms-swapped", "두 정규화가 바뀌었습니다.", x + a(n2(x)) + m(n1(x + a(n2(x))))),
        ("mlp-first", first, (x + m(n2(x))) + a(n1(x + m(n2(x))))),
        ("mlp-first", first, (x + m(n1(x))) + a(n2(x + m(n1(x))))),
        ("nothing", "x가 그대로입니다.", x),
        ("normed-stream", STEPS["normed-stream"][0], n2(h) + m(n2(h))),
    ]
    steps = [(symptom, message, how) for symptom, (message, *hows) in STEPS.items() for how in hows]
    for one, two in itertools.product(steps, repeat=2):
        if symptom := one[0] or two[0]:
            middle = one[2](x, a, n1)
            table.append((symptom, one[1] or two[1], two[2](middle, m, n2)))
    return table


def through(block: Any, x: torch.Tensor, *attend: Callable) -> Any:
    """학생의 forward가 낸 것."""
    with explained():
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
    require_shape(got, tuple(want.shape), {}, idea="블록", what="블록의 출력")
    if not close(got, want, ATOL):
        recognise(got, wrong_streams(block, x, a), idea="pre-norm residual", expected=want)
        if not matches(block(x.clone(), a), block(x.clone(), a), ATOL):
            more = {"expected": "부품이 낸 그대로", "got": "부를 때마다 다른 값"}
            fail("부품이 낸 것을 한 번 더 떨구었습니다.", idea="드롭아웃", symptom="dropout-again", **more)
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
        message = "건네받은 attend를 여러 번 불렀습니다."
        more = {"expected": "한 번", "got": f"{len(calls)}번"}
        fail(message, idea="KV 캐시의 자리", symptom="attend-twice", **more)
    with torch.no_grad():
        own = stream + block.attention(block.norm1(stream))
        own = own + block.mlp(block.norm2(own))
    if matches(got, own, ATOL):
        message = "건네받은 attend를 쓰지 않았습니다."
        more = {"expected": "건네받은 attend", "got": "self.attention"}
        fail(message, idea="KV 캐시의 자리", symptom="ignores-attend", **more)
    check_block(got, block, stream, given)


@todo("2-3")
def test_the_callers_tensor_is_left_alone(block, stream):
    """건네받은 x를 고치지 않습니다. 고치면 역전파에 쓸 값이 사라집니다."""
    if not sound(lambda: adds_rightly(block, stream)):
        return
    kept = stream.clone()
    block(stream)
    if not close(stream, kept, 0):
        message = "건네받은 x를 그 자리에서 고쳤습니다."
        more = {"expected": "새 텐서", "got": "값이 달라진 x"}
        fail(message, idea="in-place 연산", symptom="in-place", **more)


@todo("2-3")
def test_gradient_flows_through_the_block(block, stream):
    """기울기가 x와 모든 부품에 닿습니다."""
    if not sound(lambda: adds_rightly(block, stream)):
        return
    stream.requires_grad_()
    got = block(stream * 1.0)
    if got.requires_grad:
        in_place = "건네받은 x를 그 자리에서 고쳐, 역전파에 쓸 값이 사라졌습니다."
        with explained(("inplace operation", in_place, "in-place 연산", "새 텐서", "in-place")):
            got.square().sum().backward()
    parts = {"x": stream, **dict(block.named_parameters())}
    cut = [name for name, one in parts.items() if one.grad is None or not one.grad.abs().sum() > 0]
    if cut:
        message = "기울기가 닿지 않는 것이 있습니다."
        more = {"expected": "0이 아닌 기울기", "got": f"{', '.join(cut[:4])}에 없음"}
        fail(message, idea="기울기", symptom="cut-graph", name=cut[0], **more)


# ── 모델: 2-4와 2-5를 거치지 않고 만들기


def nothing(_: Any) -> None:
    """init_weights 대신."""


def gpt(module: Any, device: str, vocab: int = VOCAB, **changes: Any) -> Any:
    """학생의 2-4와 2-5를 거치지 않은 GPT. 가중치는 여기서 묶어 두었습니다."""
    settings, made = config(**changes), module.GPT.__new__(module.GPT)
    with patch.object(module.GPT, "init_weights", nothing):
        with suppress(Exception):  # 2-4가 비었거나 멈춰도 그 앞의 부품은 모두 있습니다.
            made.__init__(settings, vocab)
        if not hasattr(made, "lm_head"):
            made.__init__(settings, vocab)  # 다른 데에서 멈췄습니다. 그대로 보입니다.
    made.token_embedding = nn.Embedding(vocab, settings.d_embed)
    made.lm_head = nn.Linear(settings.d_embed, vocab, bias=False)
    made.lm_head.weight = made.token_embedding.weight
    return made.to(device)


# ── 2-4 가중치 묶기


@pytest.fixture
def tied(load, device):
    """학생이 묶은 모델. 2-5는 부르지 않습니다."""
    module = load(2)
    torch.manual_seed(2)
    kinds = "Parameter가 들어갈 자리에 다른 것을 넣었습니다.", "Parameter", "token_embedding의 Parameter"
    taped = "값을 그 자리에서 베껴 넣으려 했습니다.", "가중치 묶기", "같은 Parameter 하나"
    settings = config()
    before = dict(vars(settings))
    with (
        patch.object(module.GPT, "init_weights", nothing),
        explained(
            ("cannot assign .* as parameter", *kinds, "not-a-parameter"), ("leaf Variable", *taped, "copied-in-place")
        ),
    ):
        made = module.GPT(settings, VOCAB).to(device)
    added = [name for name, value in vars(settings).items() if name not in before or before[name] != value]
    if added and getattr(made.lm_head, "weight", None) is not made.token_embedding.weight:
        message, got = "묶지 않고 설정(config)에 표시만 했습니다.", f"config.{added[0]}"
        fail(message, idea="가중치 묶기", expected="설정은 그대로", got=got, symptom="config-flag")
    return made


@todo("2-4")
def test_one_parameter_serves_both(tied):
    """lm_head와 token_embedding의 가중치는 같은 Parameter 하나입니다."""
    head, table = tied.lm_head, tied.token_embedding
    expected, idea = "같은 Parameter 하나", "가중치 묶기"
    if not isinstance(head, nn.Linear) or not isinstance(table, nn.Embedding):
        got = f"lm_head는 {type(head).__name__}, token_embedding은 {type(table).__name__}"
        kinds = "Linear와 Embedding"
        fail("층을 통째로 바꾸었습니다.", idea=idea, expected=kinds, got=got, symptom="module-tied")
    if head.weight is table.weight:
        return
    got, symptom = "서로 다른 두 Parameter", "separate"
    if head.weight is tied.position_embedding.weight or table.weight is tied.position_embedding.weight:
        got, symptom = "position_embedding의 Parameter", "position-tied"
    elif [name for name, _ in [*head.named_parameters(), *table.named_parameters()] if name != "weight"]:
        got, symptom = "weight가 아닌 이름에 담은 Parameter", "other-name"
    elif head.weight.shape != table.weight.shape:
        got, symptom = f"모양이 {tuple(head.weight.shape)}인 다른 Parameter", "other-shape"
    elif head.weight.data_ptr() == table.weight.data_ptr():
        got, symptom = "값은 함께 쓰지만 서로 다른 두 Parameter", "shared-data"
    elif matches(head.weight, table.weight, 0):
        got, symptom = "값만 같은 두 Parameter", "copied"
    fail("두 가중치가 같은 Parameter가 아닙니다.", idea=idea, expected=expected, got=got, symptom=symptom)


@todo("2-4")
def test_tied_weight_is_the_whole_table_and_learns(tied):
    """묶은 가중치는 (어휘, 차원)이고 배울 수 있으며, 다른 것과는 묶이지 않습니다."""
    weight = getattr(tied.lm_head, "weight", None)
    if weight is not getattr(tied.token_embedding, "weight", None) or not isinstance(tied.lm_head, nn.Linear):
        return  # 묶이지 않았습니다. 앞의 검사가 말합니다.
    if not isinstance(weight, nn.Parameter) or tuple(weight.shape) != (VOCAB, EMBED):
        shape, want = show(tuple(getattr(weight, "shape", ()))), (VOCAB, EMBED)
        message = "묶은 가중치의 모양이 (어휘, 차원)이 아닙니다."
        fail(message, idea="가중치의 모양", expected=want, got=shape, symptom="other-shape")
    if not weight.requires_grad:
        message = "묶은 가중치가 배우지 않게 되었습니다."
        fail(message, idea="requires_grad", expected="True", got="False", symptom="frozen")
    if weight is tied.position_embedding.weight:
        message = "자리 임베딩까지 함께 묶었습니다."
        got = "position_embedding도 같은 것"
        fail(message, idea="가중치 묶기", expected="둘만", got=got, symptom="position-tied")
    if getattr(tied.lm_head, "bias", None) is not None:
        message = "lm_head에 편향이 생겼습니다."
        fail(message, idea="가중치 묶기", expected="편향 없음", got="편향 있음", symptom="bias-added")


# ── 2-5 초기화

STD, DEEP = 0.02, 0.02 / math.sqrt(2 * LAYERS)
ENOUGH = {"d_embed": 48, "max_seq_len": 64}  # 어느 행렬에나 값이 2,000개는 넘어, 표준편차가 2% 안에서 드러납니다.


@pytest.fixture
def fresh(load, device):
    """init_weights를 부르기 전의 모델. 블록 밖에도 묶이지 않은 Linear가 하나 있습니다."""
    torch.manual_seed(4)
    made = gpt(load(2), device, vocab=200, **ENOUGH)
    made.extra = nn.Linear(ENOUGH["d_embed"], 2).to(device)
    return made


@pytest.fixture
def started(fresh):
    """학생이 초기화한 모델과, 그 앞의 값들."""
    before = {name: one.detach().clone() for name, one in fresh.named_parameters()}
    torch.manual_seed(6)
    empty = "편향이 없는 Linear의 편향(None)을 채우려고 했습니다."
    kinds = "Parameter가 들어갈 자리에 다른 것을 넣었습니다."
    truth = "편향이 있는지를 텐서의 참/거짓으로 물었습니다."
    tables = "Embedding의 편향을 채우려고 했습니다."
    taped, every = "기울기를 재는 중에 값을 고쳤습니다.", "가중치가 없는 모듈까지 채우려고 했습니다."
    pairs = "이름과 모듈의 짝을 내지 않는 것을 둘로 풀었습니다."
    with explained(
        (r"'NoneType' object|not NoneType", empty, "편향이 없는 Linear", "편향이 있을 때만 채우기", "none-bias"),
        ("object has no attribute 'weight'", every, "모듈의 종류", "Linear와 Embedding만", "every-module"),
        ("'Embedding' object has no attribute 'bias'", tables, "Embedding의 편향", "Linear의 편향만", "embedding-bias"),
        ("Boolean value of Tensor", truth, "None인지 묻기", "편향이 있을 때만 채우기", "bias-truth"),
        ("unpack", pairs, "named_modules", "이름과 모듈의 짝", "modules-not-named"),
        ("cannot assign", kinds, "Parameter", "있던 Parameter의 값만 채우기", "not-a-parameter"),
        ("leaf Variable that requires grad", taped, "nn.init", "torch.no_grad", "needs-grad"),
    ):
        fresh.init_weights()
    return fresh, before


def matrices(model: Any) -> dict[str, tuple[torch.Tensor, float]]:
    """행렬마다의 이름 → (값, 있어야 할 표준편차)."""
    made = {"token_embedding": (model.token_embedding.weight, STD)}
    made["position_embedding"] = (model.position_embedding.weight, STD)
    for index, block in enumerate(model.blocks):
        made[f"blocks.{index}.attention.qkv"] = (block.attention.qkv.weight, STD)
        made[f"blocks.{index}.mlp.expand"] = (block.mlp.expand.weight, STD)
        made[f"blocks.{index}.attention.projection"] = (block.attention.projection.weight, DEEP)
        made[f"blocks.{index}.mlp.projection"] = (block.mlp.projection.weight, DEEP)
    return made


def spreads_rightly(one: torch.Tensor, want: float) -> bool:
    one = one.detach().float()
    return close(one.std() / want, 1.0, 0.1) and close(one.mean() / want, 0.0, 0.15)


def recognise_spread(model: Any, before: dict[str, torch.Tensor]) -> None:
    """표준편차가 틀린 행렬들에서 무엇을 잘못했는지 알아봅니다."""
    parts = matrices(model)
    spread = {name: one.detach().float().std().item() for name, (one, _) in parts.items()}
    is_deep = {name: name.endswith("projection") for name in parts}
    wrong = [name for name, (_, want) in parts.items() if not matches(spread[name] / want, 1.0, 0.1)]
    same = [name for name in wrong if matches(parts[name][0], before[f"{name}.weight"], 0)]
    kinds = {"embedding": "Embedding", "qkv": "Linear", "expand": "Linear", "projection": "Linear"}
    first = wrong[0]
    want, got = f"{first}의 표준편차 {parts[first][1]:.4f}", f"{spread[first]:.4f}"
    say = {"idea": "초기화", "expected": want, "got": got, "name": first}
    inside = [name for name in parts if name.startswith("blocks.")]
    if len(same) == len(parts):
        fail("모든 가중치가 처음 그대로입니다.", symptom="nothing-filled", **{**say, "name": same[0]})
    if same == inside and not matches(model.extra.weight, before["extra.weight"], 0):
        more = {**say, "name": same[0]}
        fail("블록 안의 층이 처음 그대로입니다.", symptom="blocks-skipped", **more)
    if same:
        kind = next(kinds[end] for end in kinds if same[0].endswith(end))
        symptom = "embedding-skipped" if kind == "Embedding" else "linear-skipped"
        fail(f"{kind} 가운데 초기화하지 않은 것이 있습니다.", symptom=symptom, **{**say, "name": same[0]})
    if set(wrong) == {name for name in parts if is_deep[name]} and all(
        matches(spread[name] / STD, 1.0, 0.1) for name in wrong
    ):
        fail("x에 더해지는 projection의 표준편차를 줄이지 않았습니다.", symptom="no-residual-std", **say)
    if all(is_deep[name] and matches(spread[name] / STD, 1.0, 0.1) for name in wrong):
        fail("projection 가운데 표준편차를 줄이지 않은 것이 있습니다.", symptom="some-projections", **say)
    if all(not is_deep[name] and matches(spread[name] / DEEP, 1.0, 0.1) for name in wrong):
        if "blocks.0.attention.qkv" not in wrong and "blocks.1.attention.qkv" in wrong:
            fail("projection이 아닌 것 가운데 일부의 표준편차가 작습니다.", symptom="std-leaks", **say)
        fail("projection이 아닌 것까지 표준편차를 줄였습니다.", symptom="all-residual-std", **say)
    if all(matches(spread[name] / (DEEP if not is_deep[name] else STD), 1.0, 0.1) for name in wrong):
        if len(wrong) < len(parts):
            fail("더 작은 표준편차를 다른 층에 썼습니다.", symptom="other-layers", **say)
        fail("두 표준편차가 바뀌었습니다.", symptom="std-swapped", **say)
    if all(matches(spread[name], 1.0, 0.1) for name in wrong):
        fail("표준편차가 1입니다.", symptom="std-one", **say)
    if all(matches(spread[name], math.sqrt(parts[name][1]), 0.1 * spread[name]) for name in wrong):
        fail("표준편차의 제곱근을 썼습니다.", symptom="std-root", **say)
    if any(matches(spread[name], parts[name][1] ** 2, 0.1 * spread[name]) for name in wrong):
        fail("표준편차가 아니라 분산을 썼습니다.", symptom="std-squared", **say)
    if any(spread[name] == 0 for name in wrong):
        fail("모든 값이 같습니다.", symptom="constant", **say)


@todo("2-5")
def test_matrices_have_the_right_spread(started):
    """Linear와 Embedding의 표준편차는 0.02, x에 더해지는 projection만 더 작습니다."""
    model, before = started
    for name, (one, want) in matrices(model).items():
        spread, mean = one.detach().float().std().item(), one.detach().float().mean().item()
        if not close(spread / want, 1.0, 0.1):
            recognise_spread(model, before)
            more = {"expected": f"{name}의 표준편차 {want:.4f}", "got": f"{spread:.4f}"}
            fail("표준편차가 다릅니다.", idea="초기화", symptom="other-std", name=name, **more)
        if not close(mean / want, 0.0, 0.15):
            expected = f"{name}의 평균 0"
            fail("평균이 0이 아닙니다.", idea="초기화", expected=expected, got=f"{mean:.4f}", symptom="mean", name=name)


@todo("2-5")
def test_every_layer_is_drawn_anew(started):
    """블록마다 다른 값에서 시작합니다."""
    model, _ = started
    first, second = (model.blocks[index].mlp.expand.weight for index in (0, 1))
    if first.std() > 0 and matches(first, second, 0):  # 모두 한 값이면 앞의 검사가 말합니다.
        message, more = "블록들이 똑같은 값에서 시작합니다.", {"expected": "블록마다 다른 값", "got": "모두 같은 값"}
        fail(message, idea="초기화", symptom="same-draw", **more)


@todo("2-5")
def test_values_follow_the_normal_distribution(started):
    """표준편차의 두 배를 넘는 값이 4.6%쯤 있습니다. 고른 분포나 자른 분포에는 없습니다."""
    model, _ = started
    if not sound(lambda: all(spreads_rightly(*one) for one in matrices(model).values())):
        return
    values = torch.cat([(one.detach() / one.detach().std()).flatten() for one, _ in matrices(model).values()])
    far = (values.abs() > 2).float().mean().item()
    if not close(far, 0.0455, 0.01):
        message = "정규분포가 아닙니다."
        expected = "표준편차의 두 배를 넘는 값이 4.6%"
        fail(message, idea="정규분포", expected=expected, got=f"{far:.1%}", symptom="not-normal")


@todo("2-5")
def test_biases_are_zero_and_norms_untouched(started):
    """Linear의 편향은 0이고, LayerNorm은 1과 0 그대로입니다."""
    model, before = started
    for name, module in model.named_modules():
        if isinstance(module, nn.LayerNorm):
            for part, want in (("weight", 1.0), ("bias", 0.0)):
                value = getattr(module, part)
                if not close(value, torch.full_like(value, want), 1e-6):
                    expected, got = f"{name}.{part}는 모두 {want:.0f}", show(value[:3])
                    message = "LayerNorm의 값을 바꾸었습니다."
                    fail(message, idea="LayerNorm", expected=expected, got=got, symptom="norm-touched", name=name)
        if not isinstance(module, nn.Linear) or module is model.lm_head:
            continue
        skipped = module is model.extra or matches(module.weight, before[f"{name}.weight"], 0)
        bias = None if skipped else module.bias
        if bias is not None and not close(bias, torch.zeros_like(bias), 1e-6):
            symptom = "bias-kept" if matches(bias, before[f"{name}.bias"], 0) else "bias-not-zero"
            expected = f"{name}.bias는 모두 0"
            fail("편향이 0이 아닙니다.", idea="편향", expected=expected, got=show(bias[:3]), symptom=symptom, name=name)


@todo("2-5")
def test_parameters_stay_the_same_and_learn(started):
    """값만 채웁니다. 묶은 가중치는 묶인 채이고, 모두 배울 수 있습니다."""
    model, before = started
    if model.lm_head.weight is not model.token_embedding.weight:
        message = "묶어 둔 가중치가 풀렸습니다."
        more = {"expected": "같은 Parameter 하나", "got": "서로 다른 두 Parameter"}
        fail(message, idea="가중치 묶기", symptom="untied", **more)
    now = dict(model.named_parameters())
    if frozen := [name for name in before if name not in now or not now[name].requires_grad]:
        message = "배울 수 없게 된 가중치가 있습니다."
        more = {"expected": "requires_grad=True", "got": f"{frozen[0]}는 아님"}
        fail(message, idea="requires_grad", symptom="frozen", name=frozen[0], **more)


# ── 2-6 모델이 로짓을 내는 길


def stage(number: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """블록을 대신하는 계산. 블록마다 다르고, 차례를 바꾸면 결과가 다릅니다."""
    slope, shift = (0.8, 1.3, 0.6)[number], (0.5, -0.4, 0.2)[number]
    return lambda x: 1.5 * torch.tanh(slope * x.roll(number + 1, -1) + x.cumsum(1) / 4 + shift)


@known_as("Block")
class Station(Part):
    """부를 때마다 받은 것과 낸 것을 적어 두는 블록."""

    def __init__(self, number: int) -> None:
        super().__init__(stage(number))
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, x: torch.Tensor, attend: Callable | None = None) -> torch.Tensor:
        made = super().forward(x if attend is None else attend(x))
        self.seen.append((x, made))
        return made


@pytest.fixture
def model(load, device):
    """블록을 손으로 만든 것으로 바꾼 GPT, 평가 모드. 로짓은 1쯤의 값입니다."""
    made = gpt(load(2), device, dropout=DROPPED)
    made.blocks = nn.ModuleList(Station(number) for number in range(LAYERS))
    made.token_embedding.weight.data = normal(VOCAB, EMBED, seed=80).to(device) * 0.7
    made.lm_head.weight = made.token_embedding.weight
    made.position_embedding.weight.data = normal(MAX_LENGTH, EMBED, seed=81).to(device)
    scatter(made.norm, seed=82)
    return made.to(device).eval()


@pytest.fixture
def ids(device):
    """자리의 수보다 큰 번호가 섞인 토큰들. 한 줄 안에 같은 토큰이 두 번 있습니다."""
    return torch.tensor([[7, 31, 7, 22, 39], [12, 0, 25, 33, 9]], device=device)


def run(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """학생의 forward가 낸 로짓."""
    batch, length = ids.shape
    places = "자리 번호가 자리 임베딩의 표를 벗어났습니다."
    sizes = "토큰 임베딩과 자리 임베딩의 모양이 맞지 않습니다."
    order = "정규화 층이나 lm_head가 받을 수 없는 모양을 받았습니다."
    numbers, number = "0부터 length-1까지", "자리 임베딩에 텐서가 아닌 수 하나를 건넸습니다."
    moved = "자리 번호가 ids와 다른 장치에 있습니다."
    with explained(
        ("index out of range|out of bounds|device-side", places, "자리 번호", numbers, "position-index"),
        ("argument 'indices'.*not int", number, "자리 번호", f"{numbers}의 텐서", "position-number"),
        ("same device|CUDA|NVIDIA|Cannot copy", moved, "장치", "ids와 같은 장치", "device"),
        ("size of tensor a", sizes, "자리 임베딩", f"({length}, {EMBED})를 더하기", "position-shape"),
        ("normalized_shape|mat1 and mat2|same dtype", order, "지나는 차례", "블록들 → norm → lm_head", "wrong-order"),
        ("ModuleList", "블록들의 목록을 함수처럼 불렀습니다.", "ModuleList", "블록을 하나씩 부르기", "called-list"),
    ):
        got = model(ids)
    require_tensor(got, "logits", "not-tensor")
    squeezed = "크기가 1인 축이 사라졌습니다.", "squeezed"
    known = {
        (batch, VOCAB): ("마지막 자리의 로짓만 남겼습니다.", "last-only"),
        (batch, 1, VOCAB): ("마지막 자리의 로짓만 남겼습니다.", "last-only"),
        (batch, length, EMBED): ("lm_head를 지나지 않았습니다.", "no-head"),
        (batch, length): ("로짓이 아니라 고른 토큰을 담았습니다.", "argmax"),
        (batch * length, VOCAB): ("배치와 길이를 한 축으로 합쳤습니다.", "flattened"),
        (batch, length - 1, VOCAB): ("한 자리의 로짓을 잘라 냈습니다.", "shifted"),
        (VOCAB,): squeezed,
        (batch, VOCAB, length): ("길이 축이 어휘 축의 뒤로 갔습니다.", "vocab-first"),
    }
    require_shape(got, (batch, length, VOCAB), known, idea="로짓의 모양", what="logits")
    return got


def reference(model: Any, x: torch.Tensor, numbers: tuple[int, ...] = tuple(range(LAYERS))) -> torch.Tensor:
    """x에서 시작해 블록들과 norm, lm_head를 지난 것."""
    for number in numbers:
        x = stage(number)(x)
    x = functional.layer_norm(x, (EMBED,), model.norm.weight, model.norm.bias)
    return x @ model.lm_head.weight.T


@torch.no_grad()
def wrong_logits(model: Any, ids: torch.Tensor) -> list[tuple[str, str, torch.Tensor]]:
    """헷갈리기 쉬운 길들."""
    length, places, norm = ids.size(1), model.position_embedding.weight, model.norm
    token, position = model.token_embedding.weight[ids], places[:length]
    x, head = token + position, model.lm_head.weight.T
    path = [x]
    for number in range(LAYERS):
        path.append(stage(number)(path[-1]))
    added, each = x, x
    for number in range(LAYERS):
        added, each = added + stage(number)(added), norm(stage(number)(each))
    count = torch.arange(length, device=ids.device)[:, None]
    other, constant = "자리 번호가 다릅니다.", "자리마다 같은 자리 임베딩을 더했습니다."
    fewer = "지나지 않은 블록이 있습니다."
    right = reference(model, x)
    table = [
        ("no-position", "자리 임베딩을 더하지 않았습니다.", reference(model, token)),
        (
            "token-table",
            "자리 번호를 토큰의 표에서 찾았습니다.",
            reference(model, token + model.token_embedding.weight[:length]),
        ),
        ("no-token", "토큰 임베딩이 빠졌습니다.", reference(model, position.expand_as(token))),
        ("multiplied", "더하지 않고 곱했습니다.", reference(model, token * position)),
        ("embedding-scaled", "토큰 임베딩을 키웠습니다.", reference(model, token * math.sqrt(EMBED) + position)),
        ("no-norm", "마지막 norm을 지나지 않았습니다.", path[-1] @ head),
        ("norm-first", "norm이 블록들보다 먼저입니다.", stage(2)(stage(1)(stage(0)(norm(x)))) @ head),
        ("norm-each", "블록마다 norm을 지났습니다.", each @ head),
        ("norm-each", "블록마다 norm을 지났습니다.", norm(each) @ head),
        ("norm-each", "블록마다 norm을 지났습니다.", norm(stage(2)(norm(stage(1)(norm(stage(0)(norm(x))))))) @ head),
        ("extra-residual", "블록이 더한 것을 한 번 더 더했습니다.", norm(added) @ head),
        ("softmax", "로짓이 아니라 확률을 담았습니다.", right.softmax(-1)),
        ("log-softmax", "로짓이 아니라 확률의 로그를 담았습니다.", right.log_softmax(-1)),
        *[("fewer-blocks", fewer, one @ head) for one in (x, token, norm(token))],
        ("position-raw", "자리 번호를 그대로 더했습니다.", reference(model, token + count)),
        ("position-raw", "자리 번호를 그대로 더했습니다.", reference(model, token + count + 1)),
    ]
    for rows in (places[1 : length + 1], places[:length].flip(0), places[-length:]):
        table.append(("position-other", other, reference(model, token + rows)))
    for row in places:
        table.append(("position-constant", constant, reference(model, token + row)))
    for many in range(LAYERS + 1):
        for numbers in itertools.product(range(LAYERS), repeat=many):
            if len(set(numbers)) < LAYERS:
                table.append(("fewer-blocks", fewer, reference(model, x, numbers)))
            elif numbers != tuple(range(LAYERS)):
                table.append(("block-order", "블록의 차례가 다릅니다.", reference(model, x, numbers)))
    return table


@todo("2-6")
def test_logits_follow_the_whole_path(model, ids):
    """토큰 + 자리 → 블록들 → norm → lm_head."""
    got = run(model, ids)
    positions = model.position_embedding.weight[:LENGTH]
    want = reference(model, model.token_embedding.weight[ids] + positions)
    if close(got, want, ATOL):
        return
    seen = [got, *(read for read, _ in model.blocks[0].seen)]
    if any((one == 0).float().mean() > 0.2 for one in seen):
        more = {"expected": "평가할 때는 모든 값", "got": "값의 일부가 0"}
        fail("평가할 때에도 드롭아웃이 켜져 있습니다.", idea="train/eval", symptom="dropout-in-eval", **more)
    recognise(got, wrong_logits(model, ids), idea="모델의 길", expected=want)
    assert_close(got, want, atol=ATOL, idea="모델의 길", message="로짓이 기대와 다릅니다.")


@torch.no_grad()
def goes_rightly(model: Any, ids: torch.Tensor) -> bool:
    x = model.token_embedding.weight[ids] + model.position_embedding.weight[: ids.size(1)]
    return close(run(model, ids), reference(model, x), ATOL)


@todo("2-6")
@pytest.mark.parametrize("shape", [(1, 1), (3, MAX_LENGTH)])
def test_every_batch_and_length(model, ids, device, shape):
    """한 토큰도, max_seq_len을 꽉 채운 글도 됩니다."""
    if not sound(lambda: goes_rightly(model, ids)):
        return
    ids = (torch.arange(math.prod(shape), device=device) * 17 % VOCAB).view(shape)
    want = reference(model, model.token_embedding.weight[ids] + model.position_embedding.weight[: shape[1]])
    message = f"배치 {shape[0]}개, 길이 {shape[1]}인 글에서 로짓이 다릅니다."
    assert_close(run(model, ids), want, atol=ATOL, idea="글의 길이", message=message)


@todo("2-6")
def test_dropout_falls_once_on_the_sum(model, ids, device):
    """학습 모드에서는 토큰과 자리를 더한 것에 한 번, 그 뒤에는 걸리지 않습니다."""
    if not sound(lambda: goes_rightly(model, ids)):
        return
    ids = (torch.arange(8 * MAX_LENGTH, device=device) * 17 % VOCAB).view(8, MAX_LENGTH)
    plain = reference(model, model.token_embedding.weight[ids] + model.position_embedding.weight)
    for block in model.blocks:
        block.seen.clear()
    torch.manual_seed(8)
    got = run(model.train(), ids)
    start, last = model.blocks[0].seen[0][0], model.blocks[-1].seen[-1][1]
    total = model.token_embedding.weight[ids] + model.position_embedding.weight
    idea, half = "드롭아웃", "더한 값의 절반이 0"
    if matches(start, total, ATOL):
        late = not matches(got, plain, ATOL)
        message = "더한 것이 아니라 그 뒤에 드롭아웃을 걸었습니다." if late else "드롭아웃을 걸지 않았습니다."
        symptom = "dropout-elsewhere" if late else "no-dropout"
        fail(message, idea=idea, expected=half, got="더한 값이 그대로", symptom=symptom)
    kept = start != 0
    share, doubled = kept.float().mean().item(), torch.where(kept, total / (1 - DROPPED), 0.0)
    if not close(start, doubled, ATOL) or not 0.35 < share < 0.65:
        message = "토큰과 자리를 더한 것에 한 번 거는 드롭아웃이 아닙니다."
        expected, got_share = half, f"0인 값이 {1 - share:.0%}"
        fail(message, idea=idea, expected=expected, got=got_share, symptom="dropout-elsewhere")
    flow = [(one.seen[-1][1], two.seen[-1][0]) for one, two in itertools.pairwise(model.blocks)]
    norm = functional.layer_norm(last, (EMBED,), model.norm.weight, model.norm.bias)
    if any(not close(made, read, ATOL) for made, read in [*flow, (norm @ model.lm_head.weight.T, got)]):
        more = {"expected": "처음에 한 번", "got": "블록들 사이나 뒤에도 걸림"}
        fail("드롭아웃을 여러 번 걸었습니다.", idea=idea, symptom="dropout-elsewhere", **more)


class Elsewhere(TorchFunctionMode):
    """GPU 없이도 장치가 섞이는 것을 봅니다: 장치를 적지 않고 만든 텐서가 모델의 텐서와 한 계산에 들어가는 순간.

    GPU에서는 그런 텐서만 CPU에 있어 멈춥니다. `.to`로 옮긴 것, 색인, 0차원의 수는 GPU에서도 괜찮습니다.
    """

    MAKERS = (torch.arange, torch.tensor, torch.zeros, torch.ones, torch.full, torch.linspace, torch.as_tensor)
    MOVERS = (torch.Tensor.to, torch.Tensor.type_as, torch.Tensor.__getitem__, torch.Tensor.__setitem__)

    def __init__(self) -> None:
        super().__init__()
        self.left: list[torch.Tensor] = []
        self.mixed: list[str] = []

    def _is_left(self, func: Any, kwargs: dict[str, Any]) -> bool:
        return func in self.MAKERS and kwargs.get("device") is None and kwargs.get("out") is None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        tensors = [one for one in [*args, *kwargs.values()] if isinstance(one, torch.Tensor) and one.dim()]
        left = [one for one in tensors if any(one is other for other in self.left)]
        if func in self.MOVERS:
            self.left = [one for one in self.left if one is not made]
        elif left and len(left) < len(tensors):
            self.mixed.append(getattr(func, "__name__", str(func)))
        elif isinstance(made, torch.Tensor) and (left or self._is_left(func, kwargs)):
            self.left.append(made)
        return made


@todo("2-6")
def test_positions_are_on_the_same_device(model, ids):
    """ids가 어느 장치에 있든 됩니다."""
    if not sound(lambda: goes_rightly(model, ids)):
        return
    message, say = "자리 번호가 ids와 다른 장치에 있습니다.", {"expected": "ids와 같은 장치", "got": "언제나 CPU"}
    with Elsewhere() as devices, explained(("same device", message, "장치", say["expected"], "device")):
        model(ids)
    if devices.mixed:
        fail(message, idea="장치", symptom="device", **say)


@todo("2-6")
def test_gradient_reaches_every_parameter(model, ids):
    """손실의 기울기가 모든 가중치에 닿습니다."""
    if not sound(lambda: goes_rightly(model, ids)):
        return
    got = run(model, ids)
    if got.requires_grad:
        got.square().sum().backward()
    parameters = dict(model.named_parameters())
    cut = [name for name, one in parameters.items() if one.grad is None or not one.grad.abs().sum() > 0]
    if cut:
        more = {"expected": "0이 아닌 기울기", "got": f"{', '.join(cut[:3])}에 없음"}
        fail("기울기가 닿지 않는 가중치가 있습니다.", idea="기울기", symptom="cut-graph", name=cut[0], **more)
