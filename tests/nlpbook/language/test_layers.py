"""드롭아웃: 버리는 비율, 남은 것의 크기, 기울기, 시드. 하는 일은 `nn.Dropout`과 같고 빠르기만 다릅니다."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nlpbook.language.layers import Dropout

MANY = 200_000


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(11)


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_the_wanted_share_is_dropped_and_the_rest_scaled_up(p):
    """20만 개의 비율은 표준편차의 다섯 배 안에 있습니다."""
    out = Dropout(p)(torch.ones(MANY))
    assert (out == 0).float().mean().item() == pytest.approx(p, abs=5 * (p * (1 - p) / MANY) ** 0.5)
    assert torch.allclose(out[out != 0], torch.tensor(1 / (1 - p)))


def test_the_expectation_is_the_input_like_that_of_torch():
    x = torch.randn(64)
    ours = torch.stack([Dropout(0.3)(x) for _ in range(4000)])
    theirs = torch.stack([nn.Dropout(0.3)(x) for _ in range(4000)])
    for statistic in (torch.mean, torch.std):
        assert torch.allclose(statistic(ours, 0), statistic(theirs, 0), atol=0.12)
    assert torch.allclose(ours.mean(0), x, atol=0.12)


def test_every_place_is_dropped_as_often_as_any_other():
    """64비트 난수를 넷으로 나누어 써도, 자리마다 고르고 이웃과 상관없습니다."""
    kept = torch.stack([Dropout(0.5)(torch.ones(32)) != 0 for _ in range(8000)]).float()
    assert torch.allclose(kept.mean(0), torch.full((32,), 0.5), atol=0.035)
    correlation = torch.corrcoef(kept.T) - torch.eye(32)
    assert correlation.abs().max() < 0.07


def test_the_gradient_passes_exactly_where_the_value_did():
    x = torch.randn(3, 5, 7, requires_grad=True)
    out = Dropout(0.4)(x)
    upstream = torch.randn_like(out)
    out.backward(upstream)
    kept = (out != 0).float() / (1 - 0.4)
    assert torch.allclose(out, x.detach() * kept)
    assert torch.allclose(x.grad, upstream * kept)


@pytest.mark.parametrize("layer", [Dropout(0.5).eval(), Dropout(0.0)], ids=["evaluating", "p=0"])
def test_nothing_is_dropped_and_no_random_number_drawn_when_not_asked_to(layer):
    x = torch.randn(1000)
    before = torch.get_rng_state()
    assert torch.equal(layer(x), x)
    assert torch.equal(torch.get_rng_state(), before)


def test_everything_can_be_dropped():
    x = torch.randn(9, requires_grad=True)
    out = Dropout(1.0)(x)
    assert torch.equal(out, torch.zeros(9))
    out.sum().backward()
    assert torch.equal(x.grad, torch.zeros(9))


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2,), (3,), (4,), (5,), (3, 3), (2, 3, 7)])
def test_any_shape_will_do(shape):
    x = torch.full(shape, 2.0)
    out = Dropout(0.5)(x)
    assert out.shape == x.shape
    assert set(out.flatten().tolist()) <= {0.0, 4.0}


def test_a_transposed_view_is_dropped_like_any_other():
    x = torch.arange(1.0, 13).reshape(3, 4).t()
    out = Dropout(0.5)(x)
    assert out.shape == (4, 3)
    assert torch.equal(out[out != 0], 2 * x[out != 0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_type_of_the_input_is_kept(dtype):
    x = torch.ones(MANY, dtype=dtype, requires_grad=True)
    out = Dropout(0.5)(x)
    out.sum().backward()
    assert out.dtype == x.grad.dtype == dtype
    assert set(out.unique().tolist()) == {0.0, 2.0}
    assert (out == 0).float().mean().item() == pytest.approx(0.5, abs=0.01)


def test_the_same_seed_drops_the_same_and_the_next_call_something_else():
    layer, x = Dropout(0.5), torch.ones(100)
    torch.manual_seed(3)
    first, second = layer(x), layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    assert torch.equal(layer(x), second)
    assert not torch.equal(first, second)


def test_integers_are_left_to_torch(monkeypatch):
    monkeypatch.setattr(nn.Dropout, "forward", lambda self, x: "torch")
    assert Dropout(0.5)(torch.ones(4, dtype=torch.long)) == "torch"
    assert isinstance(Dropout(0.5)(torch.ones(4)), torch.Tensor)
