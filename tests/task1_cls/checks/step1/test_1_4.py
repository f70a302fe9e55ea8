"""1-4의 검사: 모델."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

from course.checks.words import assert_equal, close, deviation, fail, matches, todo
from course.checks.workspace import workspace
from tests.task1_cls.checks import support
from tests.task1_cls.checks.step1.common import MANNERS, NOTHING, SHAPES, attempt, right_config, stored


@cache
def saved_weights() -> dict[str, torch.Tensor]:
    """작은 사전학습 모델의 몸통에 저장된 가중치."""
    from safetensors.torch import load_file

    weights = load_file(support.tiny_model() / "model.safetensors")
    return {name: value for name, value in weights.items() if name.startswith("bert.")}


@pytest.fixture(scope="module")
def classifier_trial(load):
    trial = attempt(load(1), "1-4")
    value = stored(trial, "1-4")
    if not isinstance(value, torch.nn.Module):
        got = f"{value.__name__} 클래스" if isinstance(value, type) else type(value).__name__
        fail(idea="모델", expected="nn.Module", got=got, symptom="not-a-model")
    return trial


@pytest.fixture
def classifier(classifier_trial, device):
    return classifier_trial.value.to(device)


def logits_of(classifier, device):
    """배치 하나(리뷰 3개)의 로짓. 토큰 번호는 라이브러리의 토크나이저로 만듭니다."""
    texts = support.SENTENCES[:3]
    batch = support.tokenizer()(texts, padding=True, return_tensors="pt").to(device)
    try:
        with torch.no_grad():
            output = classifier.eval()(**batch)
    except (TypeError, RuntimeError, ValueError):
        kind = type(classifier).__name__
        fail(idea="모델의 입력", expected="input_ids를 받는 모델", got=kind, symptom="cannot-read")
    if isinstance(output, tuple) and getattr(getattr(classifier, "config", None), "return_dict", None) is False:
        shown = {"expected": True, "got": False, "name": "return_dict"}
        fail(idea="설정의 흐름", symptom="other-setting", **shown)
    logits = getattr(output, "logits", None)
    if logits is None:
        logits = getattr(output, "start_logits", None)  # 질문에 답하는 머리: 토큰마다 점수를 냅니다.
        if logits is not None:
            logits = logits[..., None]
    if logits is None:
        fail(idea="분류 머리", expected="(3, 2)", got="없음", symptom="no-head")
    if logits.dim() == 3:
        fail(idea="분류 머리", expected="(3, 2)", got=tuple(logits.shape), symptom="other-head")
    return logits


@todo("1-4")
def test_model_gives_one_score_per_label(classifier, device):
    """리뷰마다, 라벨마다 점수를 하나씩 냅니다."""
    got = logits_of(classifier, device)
    if got.shape == (3, 5):
        fail(idea="분류 머리의 크기", expected="(3, 2)", got=tuple(got.shape), symptom="no-config")
    assert_equal(tuple(got.shape), (3, 2), idea="분류 머리의 크기", message="로짓의 모양이 (배치, 라벨 수)가 아닙니다.")


@todo("1-4")
def test_scores_are_those_of_the_last_layer(classifier, device):
    """로짓은 마지막 층이 낸 점수 그대로입니다. 확률로 바꾸는 일은 3단계가 합니다."""
    heads = [one for one in classifier.modules() if isinstance(one, torch.nn.Linear) and one.out_features == 2]
    seen: list[torch.Tensor] = []
    watching = [
        one.register_forward_hook(
            lambda layer, given, _: seen.append(torch.nn.functional.linear(given[0], layer.weight, layer.bias))
        )
        for one in heads
    ]
    try:
        logits = logits_of(classifier, device)
    finally:
        for one in watching:
            one.remove()
    if not seen or logits.shape != seen[-1].shape or deviation(logits, seen[-1]) <= 1e-3:
        return  # 모양이 다른 것은 다른 검사가 말합니다.
    kinds = {
        "확률(softmax)": seen[-1].softmax(-1),
        "확률의 로그(log_softmax)": seen[-1].log_softmax(-1),
        "0과 1 사이로 누른 값(sigmoid)": seen[-1].sigmoid(),
    }
    got = next((name for name, value in kinds.items() if matches(logits, value, 1e-3)), "한 번 더 바꾼 값")
    fail(idea="로짓", expected="마지막 층의 점수", got=got, symptom="not-logits")


@todo("1-4")
def test_model_brings_the_pretrained_weights(classifier_trial, classifier, device):
    """몸통의 가중치는 사전학습에서 배운 것입니다."""
    logits_of(classifier, device)
    got, want = classifier.state_dict(), saved_weights()
    same = [name for name, value in want.items() if name in got and close(got[name], value, 1e-6)]
    # 1차원은 배우기 전에도 0이나 1로 같습니다. 행렬은 자료형을 바꾸어도 0.01 안에서 같습니다.
    matrices = [name for name, value in want.items() if value.dim() == 2]
    if not any(name in got and close(got[name], want[name], 1e-2) for name in matrices):
        if any(one is classifier_trial.value for one in classifier_trial.loaded):
            fail(idea="사전학습", expected="저장된 가중치", got="덮어쓴 값", symptom="overwritten")
        fail(idea="사전학습", expected="저장된 가중치", got="새로 뽑은 난수", symptom="from-config")
    if len(same) != len(want):
        fail(idea="사전학습", expected=f"{len(want)}개", got=f"{len(same)}개", symptom="other-weights")


@todo("1-4")
def test_model_works_as_the_settings_say(classifier, device):
    """드롭아웃 같은 나머지도 건네받은 설정 그대로이고, 라벨을 주면 라벨 하나를 고르는 손실을 냅니다."""
    logits = logits_of(classifier, device)
    got, want = classifier.config, right_config()
    if any(getattr(got, name, None) != getattr(want, name, None) for name in SHAPES):
        return  # 다른 모양의 몸통은 가중치의 검사가 말합니다.
    rates = [{one.p for one in part.modules() if isinstance(one, torch.nn.Dropout)} for part in (classifier, twin())]
    pairs = [(name, getattr(got, name, None), getattr(want, name, None)) for name in MANNERS]
    for name, here, there in [*pairs, ("드롭아웃", *(", ".join(map(str, sorted(one))) for one in rates))]:
        if here != there:
            fail(idea="설정의 흐름", expected=there, got=here, symptom="other-setting", name=name)
    if logits.shape == (3, 2) and got.problem_type not in (None, "single_label_classification"):
        kind = got.problem_type
        fail(idea="설정의 흐름", expected="라벨 하나 고르기", got=kind, symptom="other-setting", name="problem_type")


@cache
def twin() -> torch.nn.Module:
    """1-2의 설정으로 만든 분류 모델. 모양만 봅니다."""
    from transformers import BertForSequenceClassification

    with torch.random.fork_rng(), torch.device("meta"):
        return BertForSequenceClassification(right_config())


@todo("1-4")
def test_model_knows_the_label_names(classifier):
    """모델은 건네받은 설정대로 라벨의 이름을 압니다. 저장한 모델이 "긍정", "부정"으로 답하게 됩니다."""
    got = [classifier.config.id2label.get(i) for i in range(2)]
    if got == ["LABEL_0", "LABEL_1"]:
        fail(idea="설정의 흐름", expected="부정, 긍정", got=", ".join(got), symptom="no-config")
    got = ", ".join(map(str, got))
    assert_equal(got, "부정, 긍정", idea="설정의 흐름", symptom="other-names")


@todo("1-4")
def test_every_weight_of_the_model_can_learn(classifier_trial):
    """몸통과 머리의 모든 가중치가 이 클래스의 것이고, 함께 배웁니다."""
    trial = classifier_trial
    own = list(trial.value.parameters())
    found = {id(parameter) for parameter in trial.model.parameters()}
    if any(id(parameter) not in found for parameter in own):
        fail(
            "모델의 가중치가 이 클래스의 파라미터로 등록되지 않았습니다.",
            idea="nn.Module",
            expected=len(own),
            got=len(found),
        )
    sealed = sum(one.is_inference() for one in (*own, *trial.value.buffers()))
    if sealed:
        got = f"추론 전용 텐서 {sealed}개"
        fail(idea="기울기", expected="배울 수 있는 텐서", got=got, symptom="inference-tensors", count=sealed)
    frozen = sum(not parameter.requires_grad for parameter in own)
    if frozen:
        body = sum(not parameter.requires_grad for parameter in trial.value.base_model.parameters())
        shown = {"expected": "모두 학습", "got": f"{frozen}개가 얼어 있음", "count": frozen}
        fail(idea="미세조정", symptom="frozen" if body else "frozen-head", **shown)


@cache
def trained_model() -> Path:
    """두 라벨을 이미 배운 분류 모델의 폴더. --init_from이 가리킬 만한 것이고, 임베딩의 줄이 토큰보다 37줄 많습니다."""
    from transformers import BertForSequenceClassification

    folder = workspace() / "trained-bert"
    shape = support.tiny_shape()
    shape.vocab_size += 37
    shape.num_labels = 2
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = BertForSequenceClassification(shape)
        torch.nn.init.normal_(model.classifier.bias)  # 새로 만든 머리의 0과 다르게
    model.save_pretrained(folder)
    support.tokenizer().save_pretrained(folder)
    return folder


@todo("1-4")
def test_model_keeps_all_that_the_folder_has(load, classifier_trial):
    """폴더에 배운 머리가 있으면 머리까지, 임베딩에 남는 줄이 있으면 그 줄까지 그대로 읽습니다."""
    from safetensors.torch import load_file

    model = stored(attempt(load(1), "1-4", folder=trained_model()), "1-4")
    got = model.state_dict()
    want = load_file(trained_model() / "model.safetensors")
    table = "bert.embeddings.word_embeddings.weight"
    if table in got and (rows := len(got[table])) != len(want[table]):
        fail(idea="임베딩", expected=f"{len(want[table])}줄", got=f"{rows}줄", symptom="resized")
    lost = [name for name, one in want.items() if name not in got or not close(got[name], one, 1e-6)]
    if any(name.startswith("bert.encoder") for name in lost):
        return  # 몸통의 가중치가 다르다는 것은 다른 검사가 말합니다.
    if lost:
        kept, names = len(want) - len(lost), ", ".join(lost)
        shown = {"expected": f"{len(want)}개", "got": f"{kept}개", "names": names}
        symptom = "head-lost" if all(name.startswith("classifier.") for name in lost) else "other-weights"
        fail(idea="사전학습", symptom=symptom, **shown)


@todo("1-4")
def test_other_kinds_of_models_bring_their_weights_too(load, classifier_trial):
    """사전학습 모델이 BERT가 아니면, 그 종류의 모델이 그 가중치로 만들어집니다."""
    from safetensors.torch import load_file
    from transformers import ElectraForSequenceClassification, PreTrainedModel

    folder = support.tiny_electra()
    shown = {"idea": "Auto 클래스", "expected": "ElectraForSequenceClassification", "symptom": "one-family"}
    trial = attempt(load(1), "1-4", folder=folder)
    if trial.error is not None and trial.value is NOTHING:
        fail(got=type(trial.error).__name__, **shown)
    got = stored(trial, "1-4")
    if not isinstance(got, ElectraForSequenceClassification):
        kind = type(got).__name__
        if kind.startswith("Electra") or not isinstance(got, PreTrainedModel):
            return  # 종류가 아니라 머리가 다르거나, 모델이 아닙니다. 그것은 다른 검사가 말합니다.
        fail(got=kind, **shown)
    want = {name: one for name, one in load_file(folder / "model.safetensors").items() if name.startswith("electra.")}
    here = got.state_dict()
    same = [name for name, one in want.items() if name in here and close(here[name], one, 1e-6)]
    if len(same) != len(want):
        fail(idea="사전학습", expected=f"{len(want)}개", got=f"{len(same)}개", symptom="other-weights")
