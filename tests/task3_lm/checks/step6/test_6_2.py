"""6-2의 검사: GPT-2 → 우리."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from transformers import GPT2LMHeadModel

from course.checks.recognising import explained, when
from course.checks.words import assert_close, close, fail, matches, show, todo
from tests.task3_lm.checks.step6.common import (
    ATOL,
    VOCAB,
    WIDTH,
    OurModel,
    is_reshaped,
    names,
    scattered,
    some_ids,
    their_model,
)


class FakePretrained:
    """`GPT2Config.from_pretrained`와 `GPT2LMHeadModel.from_pretrained`를 대신합니다. 폴더를 읽지 않습니다."""

    def __init__(self, made: Any) -> None:
        self.made = made

    def from_pretrained(self, *_: Any, **__: Any) -> Any:
        return self.made


@pytest.fixture
def theirs() -> GPT2LMHeadModel:
    return scattered(their_model(), 5)


@pytest.fixture
def read(load, theirs, monkeypatch):
    """`from_pretrained`를 우리 모델(OurModel)로 부르는 함수."""
    step = load(6)
    monkeypatch.setattr(step, "resolve_pretrained", lambda name, *_: name)
    monkeypatch.setattr(transformers, "GPT2Config", FakePretrained(theirs.config))
    monkeypatch.setattr(transformers, "GPT2LMHeadModel", FakePretrained(theirs))
    monkeypatch.setattr(step, "TextTokenizer", SimpleNamespace(load=lambda name: None))

    loaded: list[OurModel] = []

    class Model(OurModel):
        """채우지 않은 채로 남은 가중치를 알아볼 수 있도록, 모두 0.5에서 시작합니다."""

        def __init__(self, *inputs: Any) -> None:
            super().__init__(*inputs)
            with torch.no_grad():
                for one in self.parameters():
                    one.fill_(0.5)
            loaded.append(self)

    def call() -> OurModel:
        loaded.clear()
        replaced = r"'(?P<got>_IncompatibleKeys|NoneType|(?:collections\.Ordered)?[dD]ict)' object has no"
        with explained(
            when(replaced, "model-replaced", idea="load_state_dict", expected="채운 model"),
            _explain_key,
            _explain_loading,
        ):
            made = step.GPT.from_pretrained.__func__(Model, "작은 GPT-2")
        if not isinstance(made, OurModel):
            message, kind = "우리 모델을 돌려주지 않았습니다.", type(made).__name__
            fail(message, idea="from_pretrained의 약속", expected="가중치를 채운 model", got=kind)
        filled = [one for one in loaded if not matches(one.norm.weight, torch.full_like(one.norm.weight, 0.5), 0)]
        if filled and made not in filled:
            got = f"새로 만든 {len(loaded) - 1}개"
            fail(idea="같은 객체", expected="위에서 만든 model", got=got, symptom="other-instance")
        return made

    return call


def _explain_key(error: Exception) -> None:
    """딕셔너리에 없는 이름에서 무엇이 틀렸는지."""
    if not isinstance(error, KeyError):
        return
    name = str(error.args[0]) if error.args else ""
    got = f"KeyError: {name!r}"
    if name in ("lm_head", "transformer.lm_head.weight"):
        fail(idea="이름의 짝", expected="lm_head.weight", got=got, symptom="lm-head")
    if name in names():
        fail(idea="이름의 짝", expected=names()[name][0], got=name, symptom="our-name-in-theirs")
    if name.startswith("transformer"):
        fail(idea="이름의 짝", expected="우리의 이름", got=got, symptom="wrong-way")


def _explain_loading(error: Exception) -> None:
    """load_state_dict가 알린 것에서 무엇이 틀렸는지."""
    text = str(error)
    if "leaf Variable" in text:
        got = "배울 값을 그 자리에서 고침"
        fail(idea="no_grad", expected="기울기를 재지 않고 베낌", got=got, symptom="needs-grad")
    if "Error(s) in loading" not in text and "must match the size" not in text:
        return
    if "Unexpected key(s)" in text and "transformer." in text:
        got = "transformer.wte.weight"
        fail(idea="이름의 짝", expected="token_embedding.weight", got=got, symptom="their-names")
    if "size mismatch for token_embedding" in text or f"size of tensor b ({VOCAB})" in text:
        got = f"({WIDTH}, {VOCAB})"
        fail(idea="눕혀 둔 것", expected=f"({VOCAB}, {WIDTH})", got=got, symptom="embeddings-turned")
    size = r"torch\.Size\(\[([\d, ]+)\]\)"
    shapes = re.findall(rf"size mismatch for blocks\.[^\n]*? shape {size}[^\n]*? model is {size}", text)
    laid = [(got, want) for got, want in shapes if got.split(", ")[::-1] == want.split(", ")]
    if {*re.findall(r"size of tensor \w \((\d+)\)", text)} == {str(WIDTH), str(3 * WIDTH)}:  # copy_가 알린 크기입니다.
        laid = [(f"{WIDTH}, {3 * WIDTH}", f"{3 * WIDTH}, {WIDTH}")]
    if laid:
        got, want = laid[0]
        fail(idea="눕혀 둔 것", expected=f"({want})", got=f"({got})", symptom="no-transpose")
    if 'Missing key(s) in state_dict: "lm_head.weight".' in text:
        got = "lm_head.weight가 빠짐"
        fail(idea="load_state_dict", expected="모든 이름", got=got, symptom="lm-head-missing")
    if "Missing key(s)" in text:
        got = f"{text.count(chr(34)) // 2}개가 빠짐"
        fail(idea="load_state_dict", expected="모든 이름", got=got, symptom="missing-keys")


def wanted_from(theirs: GPT2LMHeadModel) -> dict[str, torch.Tensor]:
    """GPT-2의 가중치를 우리의 이름과 방향으로 놓은 것."""
    weights = theirs.state_dict()
    return {ours: weights[name].t() if laid else weights[name] for ours, (name, laid) in names().items()}


@todo("6-2")
def test_every_weight_is_taken_over(read, theirs):
    """GPT-2의 모든 가중치가 우리 모델의 제자리에 있습니다."""
    got, want = read().state_dict(), wanted_from(theirs)
    wrong = [name for name in want if not close(got[name], want[name], 0)]
    if not wrong:
        return
    if kinds := {str(got[name].dtype) for name in wrong} - {"torch.float32"}:
        say = {"expected": "torch.float32", "got": kinds.pop(), "symptom": "other-dtype"}
        fail(idea="dtype", **say)
    left = [name for name in wrong if matches(got[name], torch.full_like(got[name], 0.5), 0)]
    if len(left) == len(want):
        fail(idea="load_state_dict", expected="GPT-2의 가중치", got="처음의 가중치", symptom="nothing-loaded")
    if left:
        count = f"{len(want) - len(left)}개"
        fail(idea="이름의 짝", expected=f"{len(want)}개", got=count, symptom="some-left", name=left[0])
    name = wrong[0]
    if all(matches(got[one], want[one].half().float(), 0) for one in wrong):
        values = {"expected": show(want[name].flatten()[:3]), "got": show(got[name].flatten()[:3]), "name": name}
        fail(idea="dtype", symptom="rounded", **values)
    flat = [one for one in wrong if want[one].dim() == 2 and matches(got[one], want[one].t(), 0)]
    if flat and flat == wrong:
        values = {"expected": "다시 세운 (4, 4)", "got": "누워 있는 (4, 4)", "name": flat[0]}
        fail(idea="모양과 값", symptom="square-missed", **values)
    if any(want[one].dim() == 2 and is_reshaped(got[one], want[one].t()) for one in wrong):
        values = {"expected": "행과 열을 바꾼 값", "got": "차례가 그대로인 값", "name": name}
        fail(idea="모양과 값", symptom="reshaped", **values)
    if all(".qkv." in one and same_rows(got[one], want[one]) for one in wrong):
        values = {"expected": "GPT-2가 놓은 차례", "got": "뒤섞인 차례", "name": name}
        fail(idea="qkv의 차례", symptom="qkv-rearranged", **values)
    fail(f"{name}의 값이 GPT-2의 것과 다릅니다.", idea="이름의 짝", expected=show(want[name]), got=show(got[name]))


def same_rows(got: torch.Tensor, want: torch.Tensor) -> bool:
    """줄의 차례만 다르고 줄마다의 값은 같은가."""
    rows = [sorted(one.reshape(len(one), -1).tolist()) for one in (got, want)]
    return rows[0] == rows[1]


@todo("6-2")
def test_every_weight_can_still_learn(read):
    """읽은 뒤에도 모든 가중치를 이어서 배울 수 있습니다."""
    frozen = [name for name, one in read().named_parameters() if not one.requires_grad]
    if frozen:
        more = {"expected": "requires_grad=True", "got": f"{frozen[0]}는 아님"}
        fail(idea="requires_grad", symptom="frozen", name=frozen[0], **more)


@todo("6-2")
def test_the_head_stays_tied_to_the_embedding(read):
    """옮긴 뒤에도 lm_head와 토큰 임베딩은 같은 가중치 하나입니다."""
    model = read()
    if model.lm_head.weight is not model.token_embedding.weight:
        fail(idea="가중치 묶기", expected="같은 Parameter 하나", got="둘", symptom="untied")


@todo("6-2")
def test_the_model_says_what_gpt2_says(read, theirs):
    """읽은 모델의 로짓은 GPT-2의 것과 같습니다."""
    with torch.no_grad():
        got, want = read()(some_ids()), theirs(some_ids()).logits
    message = "읽은 모델의 로짓이 GPT-2와 다릅니다."
    assert_close(got, want, atol=ATOL, idea="같은 모델인가", message=message)
