"""3단계의 검사: 손실, 예측, 확률."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from course.checking import assert_close, assert_equal, close, fail, todo
from nlpbook.metrics import accuracy
from tests.task1_cls import support

TEXT = "배우들 연기가 좋아서 두 번 봤어요"
ATOL = 1e-4  # CPU와 CUDA fp32의 차이는 1e-6쯤, 가장 가까운 실수(토큰 하나를 덜 본 것)는 1e-2쯤입니다.


@pytest.fixture
def model(load, device):
    return support.build(load(3), device)


@pytest.fixture
def batch(model):
    return support.batch_of(model)


@pytest.fixture
def logits(model, batch):
    return support.reference_logits(model, batch)


def outputs_of(got, names, todo_name):
    """결과가 사전이고 이름들이 있는지."""
    if not isinstance(got, dict) or any(name not in got for name in names):
        kind = sorted(got) if isinstance(got, dict) else type(got).__name__
        fail(f"{todo_name}의 결과에 빠진 것이 있습니다.", idea="단계의 약속", expected=", ".join(names), got=kind)
    return got


def check_predictions(preds, logits):
    """예측은 문장마다 하나이고, 라벨 축에서 가장 큰 것입니다."""
    if not isinstance(preds, torch.Tensor):
        fail("예측이 텐서가 아닙니다.", idea="argmax", expected="(배치,) 텐서", got=type(preds).__name__)
    if preds.shape == (logits.shape[1],) and close(preds, logits.argmax(dim=0), 0):
        fail(
            "배치 축에서 골랐습니다.",
            idea="argmax의 축",
            expected=f"({len(logits)},)",
            got=tuple(preds.shape),
            symptom="argmax-dim0",
        )
    if preds.shape == (len(logits),) and close(preds, logits.argmin(dim=-1), 0):
        fail("가장 작은 로짓을 골랐습니다.", idea="argmax", expected=logits.argmax(-1), got=preds, symptom="argmin")
    assert_equal(tuple(preds.shape), (len(logits),), idea="argmax의 축", message="예측의 모양이 다릅니다.")
    assert_close(preds, logits.argmax(dim=-1), atol=0, idea="argmax", message="예측이 가장 큰 로짓의 라벨과 다릅니다.")


def check_labels(got, batch):
    assert_close(got, batch["labels"], atol=0, idea="정답", message="labels가 배치의 라벨과 다릅니다.")


@todo("3-1")
def test_loss_is_the_batch_cross_entropy(model, batch, logits):
    """손실은 배치의 교차 엔트로피의 평균입니다."""
    got = outputs_of(model.training_step(batch, 0), ("loss", "acc"), "training_step")["loss"]
    want = cross_entropy(logits, batch["labels"])
    if not isinstance(got, torch.Tensor):
        fail(
            "손실이 텐서가 아니어서 역전파할 수 없습니다.",
            idea="기울기",
            expected="텐서",
            got=type(got).__name__,
            symptom="loss-item",
        )
    if close(got, cross_entropy(logits.softmax(-1), batch["labels"]), ATOL):
        fail(
            "softmax를 두 번 했습니다.",
            idea="교차 엔트로피",
            expected=f"{want:.4f}",
            got=f"{got:.4f}",
            symptom="double-softmax",
        )
    if close(got, cross_entropy(logits, batch["labels"], reduction="sum"), ATOL * 10):
        fail(
            "손실을 평균하지 않고 더했습니다.",
            idea="평균 손실",
            expected=f"{want:.4f}",
            got=f"{got:.4f}",
            symptom="loss-sum",
        )
    assert_close(got, want, atol=ATOL, idea="교차 엔트로피", message="손실이 교차 엔트로피의 평균과 다릅니다.")


@todo("3-1")
def test_gradient_reaches_every_part(model, batch):
    """손실을 역전파하면 머리와 몸통에 모두 기울기가 닿습니다. 기울기를 구하는 일은 부른 쪽이 합니다."""
    got = outputs_of(model.training_step(batch, 0), ("loss", "acc"), "training_step")["loss"]
    parts = {
        "분류 머리": model.lang_model.classifier.weight,
        "임베딩": model.lang_model.bert.embeddings.word_embeddings.weight,
    }
    if any(part.grad is not None for part in parts.values()):
        fail(
            "training_step 안에서 역전파를 했습니다.",
            idea="한 걸음의 나눔",
            expected="기울기 없음",
            got="기울기 있음",
            symptom="backward-inside",
        )
    if not isinstance(got, torch.Tensor) or not got.requires_grad:
        fail(
            "손실에 기울기가 이어져 있지 않습니다.",
            idea="기울기",
            expected="requires_grad=True",
            got="False",
            symptom="loss-item",
        )
    got.backward()
    for name, part in parts.items():
        if part.grad is None or not part.grad.abs().sum() > 0:
            fail(f"{name}에 기울기가 닿지 않습니다.", idea="역전파", expected="0이 아닌 기울기", got="없음")


@todo("3-1")
def test_accuracy_is_the_share_of_right_predictions(model, batch, logits):
    """정확도는 맞힌 예문의 비율, 0~1입니다."""
    got = outputs_of(model.training_step(batch, 0), ("loss", "acc"), "training_step")["acc"]
    right = (logits.argmax(-1) == batch["labels"]).float()
    if close(got, right.sum(), 0):
        fail(
            "맞힌 개수를 세었습니다.",
            idea="정확도",
            expected=f"{right.mean():.4f}",
            got=f"{float(got):.0f}",
            symptom="acc-count",
        )
    assert_close(
        got,
        accuracy(logits.argmax(-1), batch["labels"]),
        atol=1e-6,
        idea="정확도",
        message="정확도가 맞힌 비율과 다릅니다.",
    )


@todo("3-2")
def test_validation_predictions(model, batch, logits):
    """예측과 정답을 예문마다 돌려줍니다."""
    got = outputs_of(model.validation_step(batch, 0), ("preds", "labels", "loss"), "validation_step")
    check_predictions(got["preds"], logits)
    check_labels(got["labels"], batch)


@todo("3-2")
def test_validation_loss_is_per_example(model, batch, logits):
    """손실은 평균하지 않은, 예문마다의 값입니다."""
    got = outputs_of(model.validation_step(batch, 0), ("preds", "labels", "loss"), "validation_step")["loss"]
    want = cross_entropy(logits, batch["labels"], reduction="none")
    if close(got, want.mean(), ATOL):
        fail(
            "배치의 평균을 돌려주었습니다.",
            idea="평균의 평균",
            expected=f"모양 ({len(want)},)",
            got="스칼라",
            symptom="loss-mean",
        )
    if close(got, cross_entropy(logits.softmax(-1), batch["labels"], reduction="none"), ATOL):
        fail("softmax를 두 번 했습니다.", idea="교차 엔트로피", expected=want, got=got, symptom="double-softmax")
    assert_close(got, want, atol=ATOL, idea="교차 엔트로피", message="예문마다의 손실이 다릅니다.")


@todo("3-2")
def test_validation_does_not_change_the_mode(model, batch):
    """평가 모드와 학습 모드를 바꾸는 일은 부른 쪽이 합니다."""
    model.validation_step(batch, 0)
    if model.training:
        fail(
            "validation_step이 모델을 학습 모드로 바꾸었습니다.",
            idea="train/eval",
            expected="평가 모드",
            got="학습 모드",
            symptom="train-mode",
        )


@todo("3-3")
def test_test_predictions(model, batch, logits):
    """예측과 정답을 예문마다 돌려줍니다."""
    got = outputs_of(model.test_step(batch, 0), ("preds", "labels", "probs"), "test_step")
    check_predictions(got["preds"], logits)
    check_labels(got["labels"], batch)


@todo("3-3")
def test_probabilities_of_every_example_sum_to_one(model, batch, logits):
    """확률은 문장마다, 라벨 축에서 softmax를 한 값입니다."""
    got = outputs_of(model.test_step(batch, 0), ("preds", "labels", "probs"), "test_step")["probs"]
    want = logits.softmax(dim=-1)
    if close(got, logits, ATOL):
        fail("로짓을 그대로 돌려주었습니다.", idea="softmax", expected=want[0], got=got[0], symptom="raw-logits")
    if close(got, logits.softmax(dim=0), ATOL):
        fail(
            "배치 축에서 softmax를 했습니다.", idea="softmax의 축", expected=want[0], got=got[0], symptom="softmax-dim0"
        )
    if close(got, logits.sigmoid(), ATOL):
        fail("시그모이드를 썼습니다.", idea="softmax", expected=want[0], got=got[0], symptom="sigmoid")
    assert_close(got, want, atol=ATOL, idea="softmax", message="확률이 로짓의 softmax와 다릅니다.")


@todo("3-4")
def test_probabilities_match_the_models_logits(model):
    """확률은 로짓에 softmax를 한 값입니다."""
    got = model.infer_one(TEXT)
    negative, positive = support.reference_probabilities(model, TEXT)
    pair = [got.negative, got.positive]
    if not all(isinstance(one, float) for one in pair):
        fail(
            "확률이 파이썬의 float이 아닙니다.",
            idea="JSON으로 보낼 값",
            expected="float",
            got=type(pair[0]).__name__,
            symptom="not-float",
        )
    if close(pair, [positive, negative], ATOL):
        fail(
            "라벨의 순서를 뒤집었습니다.",
            idea="라벨의 순서",
            expected=[negative, positive],
            got=pair,
            symptom="swapped",
        )
    if close(pair, [1.0, 1.0], ATOL):
        fail(
            "배치 축에서 softmax를 했습니다.",
            idea="softmax의 축",
            expected=[negative, positive],
            got=pair,
            symptom="softmax-dim0",
        )
    total = sum(pair)
    if not close(total, 1.0, ATOL):
        symptom = "sigmoid" if all(0 <= one <= 1 for one in pair) else "raw-logits"
        fail(
            "두 확률의 합이 1이 아닙니다.",
            idea="softmax",
            expected="합 1.000",
            got=f"합 {total:.3f}",
            symptom=symptom,
            sum=total,
        )
    assert_close(pair, [negative, positive], atol=ATOL, idea="softmax", message="확률이 로짓의 softmax와 다릅니다.")


@todo("3-4")
def test_long_text_is_truncated(model):
    """seq_len을 넘는 글도 잘려서 답을 얻습니다."""
    try:
        got = model.infer_one(support.LONG_TEXT)
    except (IndexError, RuntimeError) as error:
        fail(
            "긴 글에서 멈췄습니다.",
            idea="truncation",
            expected=f"{support.SEQ_LEN}토큰에서 자르기",
            got=type(error).__name__,
            symptom="no-truncation",
        )
    want = support.reference_probabilities(model, support.LONG_TEXT)
    if not close([got.negative, got.positive], want, ATOL):
        short = model.infer_one(TEXT)  # 짧은 글에는 맞게 답한다면, 다른 것은 자르는 일뿐입니다.
        right = close([short.negative, short.positive], support.reference_probabilities(model, TEXT), ATOL)
        fail(
            "긴 글의 답이 seq_len에서 자른 답과 다릅니다.",
            idea="truncation",
            expected=want,
            got=[got.negative, got.positive],
            symptom="no-truncation" if right else None,
        )


@todo("3-4")
def test_dropout_is_off(model):
    """같은 문장은 두 번 물어도 같은 답입니다. 학습 도중에 물어도 그렇습니다."""
    model.train()
    first, second = model.infer_one(TEXT), model.infer_one(TEXT)
    if not close([first.negative], [second.negative], 1e-7):
        fail(
            "같은 문장의 답이 부를 때마다 다릅니다.",
            idea="train/eval",
            expected=first.negative,
            got=second.negative,
            symptom="train-mode",
        )
