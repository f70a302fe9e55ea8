"""9-1의 검사: 층 얼리기."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from course.checks.recognising import sound
from course.checks.side_effects import no_side_effects
from course.checks.words import fail, todo

LAYERS = 11  # 층의 번호가 두 자리까지 갑니다. "layer.1"은 "layer.10"의 앞부분이기도 합니다.
PARTS = ["embeddings", *range(LAYERS), "pooler", "classifier"]
State = list[bool | None]  # PARTS의 부품마다. None이면 부품 안에서 섞였습니다.


@cache
def template() -> Any:
    """층이 열하나인 작은 BERT. 드롭아웃이 셉니다."""
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"vocab_size": 83, "hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 28}
    drops = {"hidden_dropout_prob": 0.4, "attention_probs_dropout_prob": 0.35, "classifier_dropout": 0.45}
    config = BertConfig(num_hidden_layers=LAYERS, num_labels=4, initializer_range=0.3, **sizes, **drops)
    with torch.random.fork_rng():
        torch.manual_seed(71)
        return BertForSequenceClassification(config)


def parts_of(model: Any) -> list[Any]:
    body = model.base_model
    return [body.embeddings, *body.encoder.layer, body.pooler, torch.nn.ModuleList([model.dropout, model.classifier])]


def one_of(flags: list[bool]) -> bool | None:
    return flags[0] if all(flag == flags[0] for flag in flags) else None


def learning(model: Any) -> State:
    """부품마다, 파라미터가 기울기를 받는가."""
    return [one_of([one.requires_grad for one in part.parameters()]) for part in parts_of(model)]


def dropping(model: Any) -> State:
    """부품마다, 드롭아웃이 켜져 있는가."""
    leaves = [
        [one for one in part.modules() if isinstance(one, torch.nn.Dropout) and one.p > 0] for part in parts_of(model)
    ]
    return [one_of([one.training for one in many]) if many else None for many in leaves]


def chances(model: Any) -> list[float]:
    """드롭아웃 층마다의 확률."""
    return [one.p for one in model.modules() if isinstance(one, torch.nn.Dropout)]


def frozen_below(layers: int) -> State:
    return [index > layers for index in range(len(PARTS))]


def vectors_learn(model: Any, layers: int) -> bool:
    """얼릴 부품의 행렬만 얼고 1차원 파라미터는 모두 배우는가."""
    held = [one for part in parts_of(model)[: layers + 1] for one in part.parameters()]
    rest = [one for part in parts_of(model)[layers + 1 :] for one in part.parameters()]
    return all(one.requires_grad == (one.dim() == 1) for one in held) and all(one.requires_grad for one in rest)


def named(state: State) -> str:
    """배우지 않는 부품들을 글로."""
    names = [str(part) if isinstance(part, str) else f"층 {part}" for part in PARTS]
    kept = [name for name, one in zip(names, state, strict=True) if one is False]
    return ", ".join(kept) or "없음"


@pytest.fixture
def model(device):
    """평가 모드이고, 머리와 셋째 층이 얼려진 채로 온 모델."""
    import copy

    made = copy.deepcopy(template()).to(device).eval()
    for part in (made.classifier, made.base_model.encoder.layer[2]):
        part.requires_grad_(False)
    return made


def freeze(load: Any, model: Any, layers: int) -> None:
    with no_side_effects(weights=model, random_state=True):
        load(9).freeze(model, layers)


def freezes_rightly(load: Any, model: Any, layers: int) -> bool:
    freeze(load, model, layers)
    return learning(model) == frozen_below(layers)


@todo("9-1")
@pytest.mark.parametrize("layers", [3, 0, LAYERS])
def test_only_the_lower_parts_are_frozen(load, model, layers):
    """임베딩과 아래쪽 층만 기울기를 받지 않습니다."""
    before = learning(model)
    freeze(load, model, layers)
    got, want = learning(model), frozen_below(layers)
    if got == want:
        return
    about = {"idea": "얼리기", "expected": f"얼린 것: {named(want)}", "got": f"얼린 것: {named(got)}"}
    if any("requires_grad" in vars(part) for part in model.modules()):
        fail(symptom="module-attribute", **about)
    if got == before:
        fail(symptom="grads-on", **about)
    # 층을 모두 얼릴 때에는 몸통을 통째로 얼린 것과 pooler를 빠뜨린 것이 같아 보입니다.
    body: list[tuple[str, State]] = [
        ("body-frozen", [False] * (len(PARTS) - 1) + [True]),
        ("body-frozen", [False] * (len(PARTS) - 2) + [True] * 2),
        ("pooler-frozen", [*want[:-2], False, True]),
    ]
    known: list[tuple[str, State]] = [
        ("grads-on", [True] * len(PARTS)),
        ("all-frozen", [False] * len(PARTS)),
        *(body if layers < LAYERS else []),
        ("upside-down", [not one for one in want]),
        ("upper-layers", [False, *[index < LAYERS - layers for index in range(LAYERS)], True, True]),
        ("embeddings-left", [True, *want[1:]]),
        ("part-of-embeddings", [None, *want[1:]]),
        (
            "by-prefix",
            [
                False,
                *[not str(index).startswith(tuple(map(str, range(layers)))) for index in range(LAYERS)],
                True,
                True,
            ],
        ),
        *([("one-layer-off", frozen_below(layers + 1))] if layers < LAYERS else []),
        ("one-layer-off", frozen_below(layers - 1)),
    ]
    if vectors_learn(model, layers):
        fail(symptom="vectors-left", **{**about, "got": "얼릴 부품의 1차원 파라미터는 배움"})
    for symptom, state in known:
        if got == state:
            fail(symptom=symptom, **about)
    if got == [False if old is False else one for old, one in zip(before, want, strict=True)]:
        fail(symptom="not-thawed", **about)
    fail("얼린 부품이 기대와 다릅니다.", **about)


@todo("9-1")
@pytest.mark.parametrize("layers", [3, 0, LAYERS])
def test_frozen_parts_drop_nothing(load, model, layers):
    """얼린 부품의 드롭아웃은 꺼지고, 배우는 부품의 것은 켜집니다."""
    if not sound(lambda: freezes_rightly(load, model, layers)):
        return
    on, want = dropping(model), frozen_below(layers)
    where = [index for index, one in enumerate(on) if index != PARTS.index("pooler") and one is not want[index]]
    if not where:
        return
    about = {"idea": "train/eval", "expected": f"드롭아웃이 꺼진 것: {named(want)}"}
    about["got"] = f"드롭아웃이 꺼진 것: {named([one is not False for one in on])}"
    if len(chances(model)) == len(chances(template())) and chances(model) != chances(template()):
        fail(symptom="probability-changed", **about)
    if all(one is not False for one in on) and any(one and not wanted for one, wanted in zip(on, want, strict=True)):
        fail(symptom="dropout-on", **about)
    if all(one is not True for one in on):
        fail(symptom="all-eval", **about)
    fail("드롭아웃이 켜진 부품이 기대와 다릅니다.", **about)


@todo("9-1")
def test_two_readings_differ_only_above_the_frozen_layers(load, model, device):
    """학습 모드에서 두 번 읽으면, 얼린 층까지의 값은 같고 그 위는 드롭아웃 때문에 다릅니다."""
    if not sound(lambda: freezes_rightly(load, model, 3)):
        return
    ids = torch.arange(3, 29, device=device).view(2, 13)
    with torch.no_grad():
        first, second = (model(input_ids=ids, output_hidden_states=True).hidden_states for _ in range(2))
    same = [torch.allclose(one, other) for one, other in zip(first, second, strict=True)]  # 임베딩, 층마다
    if same != [True] * 4 + [False] * (LAYERS - 3):
        count = same.index(False) - 1 if False in same else LAYERS
        more = {"expected": "층 3개까지 같고 그 위는 다름", "got": f"층 {count}개까지 같음"}
        fail("두 번 읽은 값이 같은 층이 기대와 다릅니다.", idea="드롭아웃", **more)


@todo("9-1")
def test_parts_are_thawed_when_fewer_are_frozen_next(load, model):
    """넷을 얼렸다가 하나만 얼리면, 나머지는 다시 배웁니다."""
    if not sound(lambda: freezes_rightly(load, model, 4)):
        return
    freeze(load, model, 1)
    got, want = learning(model), frozen_below(1)
    if got != want:
        more = {"expected": f"얼린 것: {named(want)}", "got": f"얼린 것: {named(got)}"}
        fail(idea="다시 녹이기", symptom="not-thawed", **more)
    on = [one for index, one in enumerate(dropping(model)) if index != PARTS.index("pooler")]
    if on != [one for index, one in enumerate(want) if index != PARTS.index("pooler")]:
        more = {"expected": f"드롭아웃이 꺼진 것: {named(want)}"}
        more["got"] = f"드롭아웃이 꺼진 것: {named([one is not False for one in dropping(model)])}"
        fail("하나만 얼린 다음의 드롭아웃이 기대와 다릅니다.", idea="다시 녹이기", **more)
