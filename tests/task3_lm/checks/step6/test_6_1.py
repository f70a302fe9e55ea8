"""6-1의 검사: 우리 → GPT-2."""

from __future__ import annotations

import pytest
import torch

from course.checks.recognising import explained, when
from course.checks.side_effects import InputsKept
from course.checks.words import assert_close, close, fail, matches, show, todo
from tests.task3_lm.checks.step6.common import (
    ATOL,
    LAID,
    LAYERS,
    OurModel,
    is_reshaped,
    names,
    scattered,
    some_ids,
    their_model,
)


@pytest.fixture
def ours(device) -> dict[str, torch.Tensor]:
    return scattered(OurModel(), 3).to(device).state_dict()


def converted(load, ours) -> dict[str, torch.Tensor]:
    given = dict(ours)
    kept = InputsKept(given)
    with explained(
        when("ValueError: .*unpack", "no-items", idea="딕셔너리의 반복", expected="이름과 텐서의 짝"),
        when("KeyError: .*lm_head", "lm-head", idea="묶인 가중치", expected="lm_head는 뺍니다"),
    ):
        made = load(6).to_gpt2_weights(given)
    if not isinstance(made, dict) or not all(isinstance(one, torch.Tensor) for one in made.values()):
        kinds = sorted({type(one).__name__ for one in made.values()}) if isinstance(made, dict) else type(made).__name__
        fail(idea="state_dict", expected="이름마다 텐서", got=show(kinds), symptom="not-tensors")
    kept.check()
    return made


@todo("6-1")
def test_every_weight_gets_its_gpt2_name(load, ours):
    """lm_head를 뺀 모든 가중치가 GPT-2의 이름으로 있습니다."""
    made, wanted = converted(load, ours), {theirs for theirs, _ in names().values()}
    if "lm_head.weight" in made:
        fail(idea="묶인 가중치", expected="담지 않음", got="담음", symptom="lm-head-kept")
    if made and set(made) <= set(ours):
        name = min(made)
        fail(idea="이름의 짝", expected=names()[name][0], got=name, symptom="our-names")
    missing, extra = sorted(wanted - set(made)), sorted(set(made) - wanted)
    count, all_of = f"{len(made)}개", f"{len(wanted)}개"
    if extra:
        fail(idea="이름의 짝", expected=missing[0] if missing else "없음", got=extra[0], symptom="odd-names")
    if missing == ["transformer.wte.weight"]:
        fail(idea="묶인 가중치", expected=missing[0], got="없음", symptom="embedding-dropped")
    if missing and len(made) <= 1:
        fail(idea="반복", expected=all_of, got=count, symptom="only-one")
    if missing:
        fail(idea="이름의 짝", expected=all_of, got=count, symptom="some-missing", name=missing[0])


@todo("6-1")
def test_only_the_laid_down_matrices_are_transposed(load, ours):
    """블록 안 Linear의 행렬만 눕고, 임베딩과 나머지는 그대로입니다."""
    made = converted(load, ours)
    pairs = {name: (made[theirs], laid) for name, (theirs, laid) in names().items() if theirs in made}
    wrong = {}
    for name, (got, laid) in pairs.items():
        want = ours[name].t() if laid else ours[name]
        if not close(got, want, 0):
            wrong[name] = (got, want)
    if not wrong:
        return
    if kinds := {str(got.dtype) for got, _ in wrong.values()} - {"torch.float32"}:
        say = {"expected": "torch.float32", "got": kinds.pop(), "symptom": "other-dtype"}
        fail(idea="dtype", **say)
    flat = [name for name, (got, _) in wrong.items() if names()[name][1] and matches(got, ours[name], 0)]
    turned = [name for name, (got, _) in wrong.items() if not names()[name][1] and matches(got, ours[name].t(), 0)]
    name = next(iter(wrong))
    got, want = wrong[name]
    about = {"idea": "Conv1D와 Linear", "expected": tuple(want.shape), "got": tuple(got.shape), "name": name}
    if turned and flat:
        fail(symptom="reversed", **about)
    if turned:
        fail(symptom="embeddings-laid", **about)
    cut = [one for one, (got, _) in wrong.items() if ours[one].dim() == 2 and is_reshaped(got, ours[one])]
    if cut and any(ours[one].size(0) != ours[one].size(1) for one in cut):
        values = {"expected": "행과 열을 바꾼 값", "got": "차례가 그대로인 값", "name": cut[0], "idea": "모양과 값"}
        fail(symptom="reshaped", **values)
    if flat and all(ours[one].size(0) == ours[one].size(1) for one in flat):
        values = {"expected": "눕힌 (4, 4)", "got": "그대로인 (4, 4)", "name": flat[0], "idea": "모양과 값"}
        fail(symptom="square-missed", **values)
    if len(flat) == LAYERS * len(LAID):
        fail(symptom="no-transpose", **about)
    if flat:
        about |= {"expected": tuple(ours[flat[0]].t().shape), "got": tuple(ours[flat[0]].shape), "name": flat[0]}
        fail(symptom="some-flat", **about)
    if tuple(got.shape) == tuple(want.shape):
        about |= {"expected": "우리 모델의 값", "got": "다른 값"}
    fail(f"{name}의 값이 다릅니다.", **about)


@todo("6-1")
def test_gpt2_with_these_weights_says_the_same(load, ours, device):
    """옮긴 가중치를 넣은 GPT-2의 로짓은 우리 모델의 것과 같습니다."""
    made = converted(load, ours)
    theirs, model = their_model().to(device), scattered(OurModel(), 3).to(device)
    shapes = {name: tuple(one.shape) for name, one in theirs.state_dict().items()}
    fitting = {name: one for name, one in made.items() if shapes.get(name) == tuple(one.shape)}
    theirs.load_state_dict(fitting, strict=False)
    theirs.tie_weights()
    with torch.no_grad():
        got, want = theirs(some_ids(device)).logits, model(some_ids(device))
    message = "옮긴 GPT-2의 로짓이 우리 모델과 다릅니다."
    assert_close(got, want, atol=ATOL, idea="같은 모델인가", message=message)
