"""3-2의 검사: 두 묶음."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from course.checks.recognising import explained
from course.checks.words import assert_close, fail, matches, todo
from tests.task3_lm.checks import support
from tests.task3_lm.checks.step3.common import stopped

NOT_TENSORS = "can't optimize a non-leaf|one of the params is str"
OPTIMIZER_ERRORS = [
    stopped("more than one parameter group", "duplicate", expected="저마다 한 번씩"),
    stopped(NOT_TENSORS, "not-parameters", expected="파라미터의 목록"),
    stopped("KeyError: 'params'", "no-params-key", expected="params와 weight_decay"),
    stopped("one of the params is list", "not-dicts", expected='{"params": …, "weight_decay": …}'),
    stopped("not supported between instances of", "not-a-number", expected="차원의 수"),
    stopped("in ordered collections", "set", expected="목록(list)"),
]


class Small(nn.Module):
    """GPT와 같은 이름과 차원의 파라미터를 가진 작은 모듈. 머리는 토큰 임베딩과 가중치를 함께 씁니다."""

    def __init__(self) -> None:
        super().__init__()
        self.token_embedding, self.position_embedding = nn.Embedding(5, 4), nn.Embedding(3, 4)
        block = {"norm1": nn.LayerNorm(4), "qkv": nn.Linear(4, 6), "projection": nn.Linear(6, 4)}
        self.blocks = nn.ModuleList([nn.ModuleDict(block)])
        self.norm = nn.LayerNorm(4)
        self.lm_head = nn.Linear(4, 5, bias=False)
        self.lm_head.weight = self.token_embedding.weight


class Varied(Small):
    """차원이 0, 3, 4인 파라미터도, 아주 작은 행렬과 긴 1차원도 있는 모듈."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.conv, self.patches = nn.Conv1d(4, 4, 3), nn.Conv2d(3, 4, 2, bias=False)
        self.narrow, self.wide_norm = nn.Linear(2, 1), nn.LayerNorm(40)


@pytest.fixture
def varied(device):
    return Varied().to(device)


@pytest.fixture
def small(device):
    return Small().to(device)


@pytest.fixture
def config():
    return support.tiny_config()


def decays_of(step3: Any, model: nn.Module, config: Any) -> dict[int, list[float]]:
    """옵티마이저가 가진 파라미터(의 id)마다, 담긴 묶음들의 weight_decay."""
    with explained(*OPTIMIZER_ERRORS):
        optimizer = step3.configure_optimizer(model, config)
    if not isinstance(optimizer, torch.optim.Optimizer):
        kind = type(optimizer).__name__
        fail("configure_optimizer의 결과가 옵티마이저가 아닙니다.", idea="AdamW", expected="AdamW", got=kind)
    decays: dict[int, list[float]] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            decays.setdefault(id(parameter), []).append(group["weight_decay"])
    return decays


def kind_of(name: str, parameter: nn.Parameter) -> str:
    if parameter.dim() >= 2:
        return "embedding" if "embedding" in name else "matrix"
    return "norm" if "norm" in name and name.endswith("weight") else "bias"


@todo("3-2")
def test_every_parameter_is_in_one_group(step3, small, config):
    """파라미터는 저마다 꼭 한 묶음에 있습니다. 함께 쓰는 가중치도 한 번만 셉니다."""
    decays = decays_of(step3, small, config)
    own = dict(small.named_parameters())
    counts = {name: len(decays.get(id(parameter), [])) for name, parameter in own.items()}
    if twice := [name for name, count in counts.items() if count > 1]:
        fail(idea="파라미터의 묶음", expected="한 번", got=f"{counts[twice[0]]}번", symptom="duplicate")
    if decays and not any(counts.values()):
        count = f"{len(decays)}개"
        fail(idea="파라미터의 묶음", expected="모델의 파라미터", got=count, symptom="not-parameters")
    if lost := [name for name, count in counts.items() if not count]:
        found = f"{len(counts) - len(lost)}개"
        fail(idea="파라미터의 묶음", expected=f"{len(own)}개", got=found, symptom="missing", name=lost[0])
    if len(decays) > len(own):
        count = f"{len(decays)}개"
        fail(idea="파라미터의 묶음", expected=f"{len(own)}개", got=count, symptom="not-parameters")


@todo("3-2")
def test_frozen_parameters_stay_out(step3, small, config):
    """얼려 둔(requires_grad=False) 파라미터는 옵티마이저에 없습니다."""
    frozen = {"position_embedding.weight": small.position_embedding.weight, "qkv.bias": small.blocks[0]["qkv"].bias}
    for parameter in frozen.values():
        parameter.requires_grad_(False)
    decays = decays_of(step3, small, config)
    if found := [name for name, parameter in frozen.items() if id(parameter) in decays]:
        fail(idea="얼린 파라미터", expected="0개", got=f"{len(found)}개", symptom="frozen", name=found[0])


@todo("3-2")
def test_only_matrices_are_decayed(step3, small, varied, config):
    """weight decay는 행렬에만, 설정의 값으로 걸립니다."""
    decays, want = decays_of(step3, small, config), config.weight_decay
    found: dict[str, set[float]] = {"embedding": set(), "matrix": set(), "norm": set(), "bias": set()}
    for name, parameter in small.named_parameters():
        found[kind_of(name, parameter)].update(decays.get(id(parameter), []))
    matrices, vectors = found["embedding"] | found["matrix"], found["norm"] | found["bias"]
    recognise_decay(found, matrices, vectors, want, config.learning_rate)
    for name, parameter in small.named_parameters():
        for got in decays.get(id(parameter), []):
            expected = want if parameter.dim() >= 2 else 0.0
            if not matches(got, expected, 1e-9):
                recognise_rule(varied, decays_of(step3, varied, config), name)
            message = f"{name}의 weight_decay가 다릅니다."
            assert_close(got, expected, atol=1e-9, idea="weight decay", message=message)


@todo("3-2")
def test_any_number_of_dimensions_is_welcome(step3, small, varied, config):
    """0차원도 3차원도 꼭 한 묶음에 있고, 2차원 이상이면 모두 decay가 걸립니다."""
    usual = decays_of(step3, small, config)
    if not all(usual.get(id(one)) == [config.weight_decay * (one.dim() >= 2)] for one in small.parameters()):
        return  # 흔한 파라미터에서도 틀린 답은 다른 검사가 말합니다.
    decays, idea = decays_of(step3, varied, config), "차원의 수"
    for name, parameter in varied.named_parameters():
        got, kind = decays.get(id(parameter), []), f"{parameter.dim()}차원"
        if len(got) != 1:
            message = f"{kind}인 {name}이(가) 꼭 한 묶음에 있지 않습니다."
            unusual = "exactly-one-and-two" if parameter.dim() not in (1, 2) else None
            symptom = "duplicate" if got else unusual
            fail(message, idea=idea, expected="한 번", got=f"{len(got)}번", symptom=symptom, name=name, kind=kind)
        want = config.weight_decay if parameter.dim() >= 2 else got[0]  # 0차원은 어느 묶음에 있어도 괜찮습니다.
        want = 0.0 if parameter.dim() == 1 else want
        symptom = "only-two-dimensions" if parameter.dim() > 2 and matches(got[0], 0.0, 1e-9) else None
        if symptom is None and not matches(got[0], want, 1e-9):
            recognise_rule(varied, decays, name)
        message = f"{kind}인 {name}의 weight_decay가 다릅니다."
        assert_close(got[0], want, atol=1e-9, idea=idea, message=message, symptom=symptom, name=name, kind=kind)


def recognise_rule(model: nn.Module, decays: dict[int, list[float]], name: str) -> None:
    """차원의 수가 아니라 값의 수로 나누었는지 알아봅니다. `name`은 decay가 틀린 파라미터입니다."""
    sizes: dict[bool, list[int]] = {True: [], False: []}  # decay가 걸린 것과 걸리지 않은 것의 값의 수
    for parameter in model.parameters():
        sizes[any(decays.get(id(parameter), []))].append(parameter.numel())
    if all(sizes.values()) and min(sizes[True]) > max(sizes[False]):
        fail(idea="차원의 수", expected="차원의 수로 나눔", got="값의 수로 나눔", symptom="by-size", name=name)


@todo("3-2")
def test_groups_say_nothing_but_the_decay(step3, small, config):
    """학습률과 두 beta는 묶음이 아니라 AdamW가 받습니다. 모든 묶음에서 설정의 값입니다."""
    with explained(*OPTIMIZER_ERRORS):
        optimizer = step3.configure_optimizer(small, config)
    for group in getattr(optimizer, "param_groups", []):
        got, want = [group["lr"], *group["betas"]], [config.learning_rate, config.beta1, config.beta2]
        assert_close(got, want, atol=1e-9, idea="묶음의 설정", symptom="own-settings")


def recognise_decay(
    found: dict[str, set[float]], matrices: set[float], vectors: set[float], want: float, rate: float
) -> None:
    default = torch.optim.AdamW([torch.zeros(1)]).defaults["weight_decay"]
    idea, to_matrices, to_vectors = "weight decay", f"행렬에 {want}", "1차원에 0"

    def say(symptom: str, expected: str, got: Any) -> None:
        fail(idea=idea, expected=expected, got=got, symptom=symptom)

    if matrices == vectors == {default}:
        say("no-decay-key", f"{want}와 0", f"모두 {default}")
    if vectors == {default}:
        say("default-decay", to_vectors, default)
    if matrices == {default}:
        say("default-for-matrices", to_matrices, default)
    if matrices == vectors == {0.0}:
        say("none-decayed", to_matrices, "모두 0")
    if matrices == vectors == {want}:
        say("all-decayed", to_vectors, f"모두 {want}")
    if matrices == {0.0} and vectors == {want}:
        say("reversed", to_matrices, f"행렬에 0, 1차원에 {want}")
    if found["norm"] == {want}:
        say("norms-decayed", to_vectors, want)
    if want in found["bias"]:
        say("biases-decayed", to_vectors, want)
    if found["embedding"] == {0.0}:
        say("embeddings-not-decayed", to_matrices, 0)
    if vectors == {0.0} and len(matrices) == 1 and matches(next(iter(matrices)), want * rate, 1e-9):
        say("decay-times-rate", to_matrices, next(iter(matrices)))
    if vectors == {0.0} and len(matrices) == 1 and matrices != {want}:
        say("not-the-setting", to_matrices, next(iter(matrices)))
