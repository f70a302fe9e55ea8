"""2-6의 검사: 모델이 로짓을 내는 길."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
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
from course.checks.side_effects import on_one_device
from course.checks.words import assert_close, close, fail, known_as, matches, todo
from tests.task3_lm.checks.step2.common import (
    ATOL,
    DROPPED,
    EMBED,
    FOREIGN_NAME,
    LAYERS,
    LENGTH,
    MAX_LENGTH,
    VOCAB,
    Part,
    gpt,
    normal,
    scatter,
)


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
    numbers = "0부터 length-1까지"
    outside = "index out of range|out of bounds|device-side"
    order = "normalized_shape|mat1 and mat2|same dtype"
    with explained(
        when(outside, "position-index", idea="자리 번호", expected=numbers),
        when("argument 'indices'.*not int", "position-number", idea="자리 번호", expected=f"{numbers}의 텐서"),
        when("same device|CUDA|NVIDIA|Cannot copy", "other-device", idea="장치", expected="ids와 같은 장치"),
        when("size of tensor a", "position-shape", idea="위치 임베딩", expected=f"({length}, {EMBED})를 더하기"),
        when(order, "wrong-order", idea="지나는 차례", expected="블록들 → norm → lm_head"),
        when(r"\[ModuleList\] is missing", "called-list", idea="ModuleList", expected="블록을 하나씩 부르기"),
        FOREIGN_NAME,
    ):
        got = model(ids)
    require_tensor(got, "logits", symptom="not-tensor")
    wrong = {
        (batch, VOCAB): "last-only",
        (batch, 1, VOCAB): "last-only",
        (batch, length, EMBED): "no-head",
        (batch, length): "argmax",
        (batch * length, VOCAB): "flattened",
        (batch, length - 1, VOCAB): "shifted",
        (batch, VOCAB, length): "vocab-first",
    }
    if batch * length == 1:
        wrong[VOCAB,] = "squeezed"
    require_shape(got, (batch, length, VOCAB), idea="로짓의 모양", what="logits", wrong=wrong)
    return got


def reference(model: Any, x: torch.Tensor, numbers: tuple[int, ...] = tuple(range(LAYERS))) -> torch.Tensor:
    """x에서 시작해 블록들과 norm, lm_head를 지난 것."""
    for number in numbers:
        x = stage(number)(x)
    x = functional.layer_norm(x, (EMBED,), model.norm.weight, model.norm.bias)
    return x @ model.lm_head.weight.T


@torch.no_grad()
def wrong_logits(model: Any, ids: torch.Tensor) -> Wrong:
    """헷갈리기 쉬운 길들."""
    length, places, norm = ids.size(1), model.position_embedding.weight, model.norm
    token, position = model.token_embedding.weight[ids], places[:length]
    x, head = token + position, model.lm_head.weight.T
    path = [x]
    for number in range(LAYERS):
        path.append(stage(number)(path[-1]))
    added, each, again = x, x, x
    for number in range(LAYERS):
        again = stage(number)(again + position)
        added, each = added + stage(number)(added), norm(stage(number)(each))
    count = torch.arange(length, device=ids.device)[:, None]
    right = reference(model, x)
    table = [
        ("no-position", reference(model, token)),
        (
            "token-table",
            reference(model, token + model.token_embedding.weight[:length]),
        ),
        ("no-token", reference(model, position.expand_as(token))),
        ("multiplied", reference(model, token * position)),
        ("embedding-scaled", reference(model, token * math.sqrt(EMBED) + position)),
        ("no-norm", path[-1] @ head),
        ("norm-first", stage(2)(stage(1)(stage(0)(norm(x)))) @ head),
        ("norm-each", each @ head),
        ("norm-each", norm(each) @ head),
        ("norm-each", norm(stage(2)(norm(stage(1)(norm(stage(0)(norm(x))))))) @ head),
        ("extra-residual", norm(added) @ head),
        ("position-again", norm(again) @ head),
        ("softmax", right.softmax(-1)),
        ("log-softmax", right.log_softmax(-1)),
        *[("fewer-blocks", one @ head) for one in (x, token, norm(token))],
        ("position-raw", reference(model, token + count)),
        ("position-raw", reference(model, token + count + 1)),
    ]
    for rows in (places[1 : length + 1], places[:length].flip(0), places[-length:]):
        table.append(("position-other", reference(model, token + rows)))
    table.append(("position-by-token", reference(model, token + places[ids % len(places)])))
    by_text = places[: len(token), None]  # 자리가 아니라 글에 번호를 매긴 것
    table.append(("position-other", reference(model, token + by_text)))
    for row in places:
        table.append(("position-constant", reference(model, token + row)))
    for many in range(LAYERS + 1):
        for numbers in itertools.product(range(LAYERS), repeat=many):
            if len(set(numbers)) < LAYERS:
                table.append(("fewer-blocks", reference(model, x, numbers)))
            elif numbers != tuple(range(LAYERS)):
                table.append(("block-order", reference(model, x, numbers)))
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
        fail(idea="train/eval", symptom="dropout-in-eval", **more)
    recognise(got, wrong_logits(model, ids), atol=ATOL, idea="모델의 길", expected=want)
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
        symptom = "dropout-elsewhere" if late else "no-dropout"
        fail(idea=idea, expected=half, got="더한 값이 그대로", symptom=symptom)
    kept = start != 0
    share, doubled = kept.float().mean().item(), torch.where(kept, total / (1 - DROPPED), 0.0)
    if not close(start, doubled, ATOL) or not 0.35 < share < 0.65:
        expected, got_share = half, f"0인 값이 {1 - share:.0%}"
        fail(idea=idea, expected=expected, got=got_share, symptom="dropout-elsewhere")
    flow = [(one.seen[-1][1], two.seen[-1][0]) for one, two in itertools.pairwise(model.blocks)]
    norm = functional.layer_norm(last, (EMBED,), model.norm.weight, model.norm.bias)
    if any(not close(made, read, ATOL) for made, read in [*flow, (norm @ model.lm_head.weight.T, got)]):
        more = {"expected": "처음에 한 번", "got": "블록들 사이나 뒤에도 걸림"}
        fail(idea=idea, symptom="dropout-elsewhere", **more)


@todo("2-6")
def test_positions_are_on_the_same_device(model, ids):
    """ids가 어느 장치에 있든 됩니다."""
    if not sound(lambda: goes_rightly(model, ids)):
        return
    same = "ids와 같은 장치"
    known = when("same device", "other-device", idea="장치", expected=same)
    with on_one_device(same, only_tensors_know=True), explained(known, FOREIGN_NAME):
        model(ids)


@todo("2-6")
def test_gradient_reaches_every_parameter(model, ids):
    """손실의 기울기가 모든 가중치에 닿습니다."""
    if not sound(lambda: goes_rightly(model, ids)):
        return
    got = run(model, ids)
    if got.requires_grad:
        got.square().sum().backward()
    parts = dict(model.named_parameters())
    x = model.token_embedding(ids) + model.position_embedding.weight[: ids.size(1)]
    for block in model.blocks:
        x = block(x)
    x = functional.layer_norm(x, (EMBED,), model.norm.weight, model.norm.bias)
    require_gradients(parts, gradients_of(x @ model.lm_head.weight.T, parts))
