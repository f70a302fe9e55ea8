"""1-2의 검사: 설정."""

from __future__ import annotations

import pytest
import torch

from course.checks.recognising import explained, when
from course.checks.words import assert_equal, fail, todo
from tests.task1_cls.checks import support
from tests.task1_cls.checks.step1.common import MANNERS, SHAPES, attempt, reaches_the_end, right_config, stored


@pytest.fixture(scope="module")
def config_trial(load):
    from transformers import PreTrainedConfig

    trial = attempt(load(1), "1-2")
    number = {"idea": "property", "expected": "수를 읽기", "got": "수를 부르기"}
    with explained(when("TypeError: 'int' object is not callable", "called-number", **number)):
        value = stored(trial, "1-2")
    if isinstance(value, type) or not isinstance(value, PreTrainedConfig):
        got = f"{value.__name__} 클래스" if isinstance(value, type) else type(value).__name__
        fail(idea="설정", expected="BertConfig", got=got, symptom="not-a-config")
    reaches_the_end(trial)
    return trial


@todo("1-2")
def test_config_has_the_number_of_labels(config_trial):
    """설정의 라벨 수는 말뭉치의 라벨 수입니다. 이름을 붙이기 전에 이미 그렇습니다."""
    # 이 자리 아래의 주어진 코드가 id2label을 붙이면 라벨 수도 함께 2가 되어 실수가 가려집니다. 그래서 그 직전의 수를
    # 봅니다. 주어진 코드는 lm_config를 두 번(id2label, label2id를 붙이려고) 읽습니다.
    seen = config_trial.seen
    got = seen[-2] if len(seen) >= 2 else config_trial.value.num_labels
    if got == 5:
        fail(idea="분류 머리의 크기", expected=2, got=got, symptom="no-num-labels")
    if got != 2:
        fail(idea="분류 머리의 크기", expected=2, got=got, symptom="other-count")


@todo("1-2")
def test_config_describes_the_pretrained_body(config_trial):
    """층, 차원, 어휘의 수는 사전학습 모델의 것입니다."""
    got, want = config_trial.value, right_config()
    assert_equal(got.model_type, want.model_type, idea="사전학습", message="다른 종류의 모델의 설정입니다.")
    if all(getattr(got, name) == getattr(type(want)(), name) for name in SHAPES):
        fail(
            idea="from_pretrained",
            expected=f"차원 {want.hidden_size}",
            got=f"차원 {got.hidden_size}",
            symptom="fresh-config",
        )
    for name in (*SHAPES, "num_attention_heads", "pad_token_id"):
        here, there = getattr(got, name), getattr(want, name)
        if here != there:
            fail(idea="사전학습", expected=there, got=here, symptom="other-config", name=name)
    for name in MANNERS:
        here, there = getattr(got, name, None), getattr(want, name, None)
        if here != there:
            fail(idea="사전학습", expected=there, got=here, symptom="other-setting", name=name)


@todo("1-2")
def test_config_makes_a_working_classifier(config_trial):
    """이 설정으로 만든 모델은 라벨마다 점수를 하나씩 냅니다."""
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_config(config_trial.value).eval()
    with torch.no_grad():
        got = model(torch.tensor([[2, 7, 3]]), return_dict=True).logits
    assert_equal(tuple(got.shape), (1, 2), idea="로짓의 모양", message="이 설정의 모델이 내는 로짓의 모양이 다릅니다.")
    kind = config_trial.value.problem_type
    if kind not in (None, "single_label_classification"):
        fail(idea="과제의 종류", expected="라벨 하나 고르기", got=kind, symptom="other-problem")


@todo("1-2")
def test_the_corpus_tells_how_many_labels_there_are(load, config_trial):
    """라벨이 셋인 말뭉치라면 라벨 수도 셋입니다."""
    if config_trial.value.num_labels != 2:
        return  # 라벨이 둘일 때부터 틀린 것은 앞의 검사가 말합니다.
    trial = attempt(load(1), "1-2", labels={"0": "부정", "1": "긍정", "2": "중립"})
    stored(trial, "1-2")
    got = trial.seen[-2] if len(trial.seen) >= 2 else trial.value.num_labels
    if got != 3:
        fail(idea="분류 머리의 크기", expected="라벨이 셋이면 3", got=got, symptom="fixed-count")


@todo("1-2")
def test_other_kinds_of_models_have_their_own_config(load, config_trial):
    """사전학습 모델이 BERT가 아니면, 그 종류의 설정입니다."""
    trial = attempt(load(1), "1-2", folder=support.tiny_electra())
    got = type(stored(trial, "1-2")).__name__
    if got != "ElectraConfig":
        fail(idea="Auto 클래스", expected="ElectraConfig", got=got, symptom="one-family")
