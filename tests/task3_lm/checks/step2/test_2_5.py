"""2-5의 검사: 초기화."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from course.checks.recognising import explained, sound, when
from course.checks.words import close, fail, matches, show, todo
from tests.task3_lm.checks.step2.common import FOREIGN_NAME, LAYERS, gpt

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
    none = "'NoneType' object|not NoneType"
    table = "'Embedding' object has no attribute 'bias'"
    some = "편향이 있을 때만 채우기"
    with explained(
        when(none, "none-bias", idea="편향이 없는 Linear", expected=some),
        when("object has no attribute 'weight'", "every-module", idea="모듈의 종류", expected="Linear와 Embedding만"),
        when(table, "embedding-bias", idea="Embedding의 편향", expected="Linear의 편향만"),
        when("Boolean value of Tensor", "bias-truth", idea="None인지 묻기", expected=some),
        when("unpack", "modules-not-named", idea="named_modules", expected="이름과 모듈의 짝"),
        when("cannot assign", "not-a-parameter", idea="Parameter", expected="있던 Parameter의 값만 채우기"),
        when("leaf Variable that requires grad", "needs-grad", idea="nn.init", expected="torch.no_grad"),
        FOREIGN_NAME,
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
    want, got = f"{first}의 표준편차가 {parts[first][1]:.4f}", f"{spread[first]:.4f}"
    say = {"idea": "초기화", "expected": want, "got": got, "name": first}
    inside = [name for name in parts if name.startswith("blocks.")]
    if len(same) == len(parts):
        fail(symptom="nothing-filled", **{**say, "name": same[0]})
    if same == inside and not matches(model.extra.weight, before["extra.weight"], 0):
        more = {**say, "name": same[0]}
        fail(symptom="blocks-skipped", **more)
    if same:
        kind = next(kinds[end] for end in kinds if same[0].endswith(end))
        symptom = "embedding-skipped" if kind == "Embedding" else "linear-skipped"
        fail(symptom=symptom, **{**say, "name": same[0]})
    if set(wrong) == {name for name in parts if is_deep[name]} and all(
        matches(spread[name] / STD, 1.0, 0.1) for name in wrong
    ):
        fail(symptom="no-residual-std", **say)
    if all(is_deep[name] and matches(spread[name] / STD, 1.0, 0.1) for name in wrong):
        fail(symptom="some-projections", **say)
    if all(not is_deep[name] and matches(spread[name] / DEEP, 1.0, 0.1) for name in wrong):
        if "blocks.0.attention.qkv" not in wrong and "blocks.1.attention.qkv" in wrong:
            fail(symptom="std-leaks", **say)
        fail(symptom="all-residual-std", **say)
    if all(matches(spread[name] / (DEEP if not is_deep[name] else STD), 1.0, 0.1) for name in wrong):
        if len(wrong) < len(parts):
            fail(symptom="other-layers", **say)
        fail(symptom="std-swapped", **say)
    if all(matches(spread[name], 1.0, 0.1) for name in wrong):
        fail(symptom="std-one", **say)
    if all(matches(spread[name], math.sqrt(parts[name][1]), 0.1 * spread[name]) for name in wrong):
        fail(symptom="std-root", **say)
    if any(matches(spread[name], parts[name][1] ** 2, 0.1 * spread[name]) for name in wrong):
        fail(symptom="std-squared", **say)
    if all(matches(one, torch.full_like(one, want), 1e-6) for one, want in map(parts.get, wrong)):
        fail(symptom="mean-for-std", **say)
    if any(spread[name] == 0 for name in wrong):
        fail(symptom="constant", **say)


@todo("2-5")
def test_matrices_have_the_right_spread(started):
    """Linear와 Embedding의 표준편차는 0.02, x에 더해지는 projection만 더 작습니다."""
    model, before = started
    for name, (one, want) in matrices(model).items():
        spread, mean = one.detach().float().std().item(), one.detach().float().mean().item()
        if not close(spread / want, 1.0, 0.1):
            recognise_spread(model, before)
            more = {"expected": f"{name}의 표준편차가 {want:.4f}", "got": f"{spread:.4f}"}
            fail(idea="초기화", symptom="other-std", name=name, **more)
        if not close(mean / want, 0.0, 0.15):
            expected = f"{name}의 평균 0"
            fail(idea="초기화", expected=expected, got=f"{mean:.4f}", symptom="mean", name=name)


@todo("2-5")
def test_every_layer_is_drawn_anew(started):
    """블록마다 다른 값에서 시작합니다."""
    model, _ = started
    first, second = (model.blocks[index].mlp.expand.weight for index in (0, 1))
    if first.std() > 0 and matches(first, second, 0):  # 모두 한 값이면 앞의 검사가 말합니다.
        more = {"expected": "블록마다 다른 값", "got": "모두 같은 값"}
        fail(idea="초기화", symptom="same-draw", **more)


@todo("2-5")
def test_values_follow_the_normal_distribution(started):
    """표준편차의 두 배를 넘는 값이 4.6%쯤 있습니다. 고른 분포나 자른 분포에는 없습니다."""
    model, _ = started
    if not sound(lambda: all(spreads_rightly(*one) for one in matrices(model).values())):
        return
    values = torch.cat([(one.detach() / one.detach().std()).flatten() for one, _ in matrices(model).values()])
    far = (values.abs() > 2).float().mean().item()
    if not close(far, 0.0455, 0.01):
        expected = "표준편차의 두 배를 넘는 값이 4.6%"
        fail(idea="정규분포", expected=expected, got=f"{far:.1%}", symptom="not-normal")


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
                    fail(idea="LayerNorm", expected=expected, got=got, symptom="norm-touched", name=name)
        if not isinstance(module, nn.Linear) or module is model.lm_head:
            continue
        skipped = module is model.extra or matches(module.weight, before[f"{name}.weight"], 0)
        bias = None if skipped else module.bias
        if bias is not None and not close(bias, torch.zeros_like(bias), 1e-6):
            symptom = "bias-kept" if matches(bias, before[f"{name}.bias"], 0) else "bias-not-zero"
            expected = f"{name}.bias는 모두 0"
            fail(idea="편향", expected=expected, got=show(bias[:3]), symptom=symptom, name=name)


@todo("2-5")
def test_parameters_stay_the_same_and_learn(started):
    """값만 채웁니다. 묶은 가중치는 묶인 채이고, 모두 배울 수 있습니다."""
    model, before = started
    if model.lm_head.weight is not model.token_embedding.weight:
        more = {"expected": "같은 Parameter 하나", "got": "서로 다른 두 Parameter"}
        fail(idea="가중치 묶기", symptom="untied", **more)
    now = dict(model.named_parameters())
    if removed := [name for name in before if name not in now and name != "lm_head.weight"]:
        more = {"expected": "있던 Parameter", "got": "없음"}
        fail(idea="Parameter", symptom="removed", name=removed[0], **more)
    if frozen := [name for name in before if name in now and not now[name].requires_grad]:
        more = {"expected": "requires_grad=True", "got": "requires_grad=False"}
        fail(idea="requires_grad", symptom="frozen", name=frozen[0], **more)
