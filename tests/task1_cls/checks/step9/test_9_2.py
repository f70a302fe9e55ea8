"""9-2의 검사: 어텐션의 흐름."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from course.checks.recognising import Wrong, recognise, require_shape, require_tensor, sound
from course.checks.side_effects import no_side_effects, on_one_device
from course.checks.words import assert_close, close, todo
from tests.task1_cls.checks.step9.common import normal

BATCH, HEADS, LENGTH, LAYERS = 2, 3, 7, 4
ATOL = 5e-3  # 값은 0~1입니다. 행마다 합이 1인 표들의 곱이라 bf16 행렬곱의 차이도 2e-3쯤이고, 실수는 1e-2 넘게 다릅니다.


def weights_of(
    layers: int, device: str, batch: int = BATCH, length: int = LENGTH, seed: int = 81
) -> list[torch.Tensor]:
    """행마다 합이 1인 가중치. 몇 자리에 몰려 있습니다."""
    shape = (batch, HEADS, length, length)
    return [(2.5 * normal(*shape, seed=seed + index)).softmax(-1).to(device) for index in range(layers)]


def flowed(attentions: list[torch.Tensor]) -> torch.Tensor:
    """층마다, 자리마다, 가져온 몫을 하나씩 더한 것."""
    batch, _, length, _ = attentions[0].shape
    flow = torch.eye(length, dtype=torch.float64).repeat(batch, 1, 1)
    for weights in attentions:
        mean = weights.double().cpu().sum(1) / weights.size(1)
        after = torch.zeros_like(flow)
        for to in range(length):
            for through in range(length):
                share = 0.5 * mean[:, to, through] + (0.5 if to == through else 0.0)
                after[:, to] += share[:, None] * flow[:, through]
        flow = after
    return flow.float().to(attentions[0].device)


def chained(layers: list[torch.Tensor], upwards: bool = True) -> torch.Tensor:
    made = layers[0]
    for one in layers[1:]:
        made = one @ made if upwards else made @ one
    return made


def turned_each_time(layers: list[torch.Tensor]) -> torch.Tensor:
    """층마다 지금까지의 흐름을 뒤집어 곱한 것."""
    made = torch.eye(layers[0].size(-1), device=layers[0].device)
    for one in layers:
        made = one @ made.transpose(-2, -1)
    return made


@torch.no_grad()
def wrong_flows(attentions: list[torch.Tensor]) -> Wrong:
    """헷갈리기 쉬운 흐름들."""
    means = [one.mean(1) for one in attentions]
    eye = torch.eye(means[0].size(-1), device=means[0].device)
    halves = [(one + eye) / 2 for one in means]
    yield "no-residual", chained(means)
    yield "no-residual", chained(means, upwards=False)
    yield "not-halved", chained([one + eye for one in means])
    yield "downwards", chained(halves, upwards=False)
    yield "last-only", means[-1]
    yield "last-only", halves[-1]
    yield "first-only", means[0]
    yield "first-only", halves[0]
    for many in (means, halves):
        yield "averaged", sum(many) / len(many)
        yield "averaged", sum(many)
    yield "elementwise", torch.stack(halves).prod(0)
    yield "elementwise", torch.stack(means).prod(0)
    product = torch.stack(halves).prod(0)
    yield "elementwise", product / product.sum(-1, keepdim=True)
    yield "once-itself", (chained(means) + eye) / 2
    yield "layer-twice", chained([halves[0], *halves])
    yield "layer-twice", chained([*halves, halves[-1]])
    yield "one-head", chained([(one[:, 0] + eye) / 2 for one in attentions])
    yield "heads-summed", chained([(one.sum(1) + eye) / 2 for one in attentions])
    yield "heads-maximum", chained([(one.amax(1) + eye) / 2 for one in attentions])
    yield "heads-apart", chained([(one + eye) / 2 for one in attentions]).mean(1)
    yield "softmax-again", chained([(one + eye).softmax(-1) for one in means])
    yield "softmax-again", chained([one.softmax(-1) for one in halves])
    for many in (means, halves):
        yield "power-of-mean", torch.linalg.matrix_power(sum(many) / len(many), len(many))
    yield "turned-each-time", turned_each_time(halves)
    yield "transposed", chained(halves).transpose(-2, -1)
    yield "transposed", chained([one.transpose(-2, -1) for one in halves])


def roll(load: Any, attentions: list[torch.Tensor]) -> torch.Tensor:
    """학생의 흐름."""
    module, given = load(9), {f"attentions[{index}]": one.clone() for index, one in enumerate(attentions)}
    with no_side_effects(inputs=given, random_state=True), on_one_device("가중치와 같은 장치"):
        got = module.rollout(tuple(given.values()))
    require_tensor(got, "flow")
    batch, heads, length, _ = attentions[0].shape
    wrong = {(batch, heads, length, length): "heads-left", (heads, length, length): "batch-averaged"}
    wrong[length, length] = "one-text"
    require_shape(got, (batch, length, length), idea="흐름의 모양", what="flow", wrong=wrong)
    return got


def require_right(load: Any, attentions: list[torch.Tensor]) -> None:
    got, want = roll(load, attentions), flowed(attentions)
    if not close(got, want, ATOL):
        recognise(got, wrong_flows(attentions), atol=ATOL, idea="어텐션의 흐름", expected=want)
        assert_close(got, want, atol=ATOL, idea="어텐션의 흐름", message="흐름이 기대와 다릅니다.")


@todo("9-2")
def test_flow_through_all_layers(load, device):
    """층마다 반은 섞고 반은 그대로 둔 것을 아래에서 위로 잇습니다."""
    require_right(load, weights_of(LAYERS, device))


@todo("9-2")
@pytest.mark.parametrize(("layers", "batch", "length"), [(1, 3, 5), (2, 1, 2), (5, 1, 11)])
def test_any_number_of_layers_and_tokens(load, device, layers, batch, length):
    """층이 하나여도, 글이 하나여도 됩니다."""
    usual = weights_of(LAYERS, device)
    if not sound(
        lambda: close(roll(load, usual), flowed(usual), ATOL)
    ):  # 층이 하나면 서로 다른 실수의 값이 같기도 합니다.
        return
    require_right(load, weights_of(layers, device, batch, length, seed=91))
