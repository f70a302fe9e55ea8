"""3-1의 검사: 학습 한 스텝."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional
from torch.nn.functional import cross_entropy

from course.checks.recognising import gradients_of, recognise, require_gradients
from course.checks.side_effects import no_side_effects
from course.checks.words import CheckFailed, assert_close, close, fail, matches, show, todo
from nlpbook.classification.metrics import accuracy
from tests.task1_cls.checks import support
from tests.task1_cls.checks.step3.common import (
    ATOL,
    asked,
    outputs_of,
    smoothed,
    squeezed,
    unmasked_logits,
)


@pytest.fixture
def steady(model):
    """드롭아웃이 0인 모델. 학습 모드에서도 같은 값을 냅니다."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def trained(model, batch):
    """학습 한 스텝의 결과. 부른 쪽의 배치와 가중치는 그대로입니다."""
    with no_side_effects(inputs=batch, settings=model.config, weights=model):
        return outputs_of(asked(model.training_step, batch, 0), ("loss", "acc"), "training_step")


def trained_alone(model, one):
    """예문이 하나뿐인 배치의 결과. 여럿일 때는 되던 것이 멈추면, 배치 축이 사라진 것입니다."""
    try:
        return trained(model, one)
    except (IndexError, RuntimeError, ValueError) as error:
        squeezed("(1, 라벨 수)", type(error).__name__)
    except CheckFailed as failure:
        if failure.symptom != "acc-shapes":
            raise
        squeezed(failure.expected, failure.got, "예측")


def wrong_losses(model, batch, logits):
    """평균 교차 엔트로피와 헷갈리는 손실들."""
    labels, probs = batch["labels"], logits.softmax(-1)
    target, one_hot = labels.float(), functional.one_hot(labels, logits.shape[1]).float()
    every = cross_entropy(logits, labels, reduction="none")
    mean, mask = every.mean(), batch["attention_mask"]
    return [
        ("loss-by-names", every.sum() / len(batch)),
        *(("label-ignored", every[labels != label].mean()) for label in range(logits.shape[1])),
        ("loss-divided", mean / mask.shape[1]),
        ("loss-divided", mean / mask.sum()),
        ("double-softmax", cross_entropy(probs, labels)),
        ("loss-sum", mean * len(labels)),
        ("loss-divided", mean / len(labels)),
        ("loss-divided", mean / model.config.hardware.devices),
        ("loss-sign", -mean),
        ("no-mask", cross_entropy(unmasked_logits(model, batch), labels)),
        ("own-preds", cross_entropy(logits, logits.argmax(-1))),
        ("no-log", functional.nll_loss(logits, labels)),
        ("no-log", functional.nll_loss(probs, labels)),
        ("other-loss", functional.binary_cross_entropy_with_logits(logits[:, 1], target)),
        ("other-loss", functional.binary_cross_entropy_with_logits(logits, one_hot)),
        ("other-loss", functional.mse_loss(probs[:, 1], target)),
        ("other-loss", functional.mse_loss(probs, one_hot)),
        ("other-loss", functional.mse_loss(logits, one_hot)),
        *smoothed(logits, labels, "mean"),
    ]


@todo("3-1")
def test_loss_is_the_batch_cross_entropy(steady, batch, logits):
    """손실은 배치의 교차 엔트로피의 평균입니다."""
    got = trained(steady, batch)["loss"]
    want = cross_entropy(logits, batch["labels"])
    if got is None:
        fail(idea="교차 엔트로피", expected=f"{want:.4f}", got="None", symptom="no-labels")
    if not isinstance(got, torch.Tensor):
        kind = type(got).__name__
        fail(idea="기울기", expected="텐서", got=kind, symptom="loss-item")
    if got.numel() != 1:
        shape = f"모양 {tuple(got.shape)}"
        fail(idea="평균 손실", expected="스칼라", got=shape, symptom="loss-not-scalar")
    if not close(got, want, ATOL):
        recognise(got, wrong_losses(steady, batch, logits), atol=ATOL, idea="교차 엔트로피", expected=want)
    assert_close(got, want, atol=ATOL, idea="교차 엔트로피", message="손실이 교차 엔트로피의 평균과 다릅니다.")
    one = {name: tensor[:1] for name, tensor in batch.items()}
    got = trained_alone(steady, one)["loss"]
    want = cross_entropy(support.reference_logits(steady, one), one["labels"])
    assert_close(got, want, atol=ATOL, idea="크기가 1인 축", symptom="squeezed", name="손실")


@todo("3-1")
def test_a_loss_that_is_not_a_number_stays_so(steady, batch, logits):
    """손실이 NaN이면 NaN 그대로입니다. 4단계가 그것을 보고 학습을 멈춥니다."""
    if not matches(trained(steady, batch)["loss"], cross_entropy(logits, batch["labels"]), ATOL):
        return  # 보통의 손실부터 다른 것은 다른 검사가 말합니다.
    with torch.no_grad():
        steady.lang_model.classifier.bias.fill_(float("nan"))
    got = trained(steady, batch)["loss"]
    if torch.isfinite(got).all():
        fail(idea="NaN", expected="nan", got=show(got), symptom="hidden-nan")


@todo("3-1")
def test_gradient_reaches_every_part(model, batch):
    """손실을 역전파하면 머리와 몸통에 모두 기울기가 닿습니다. 기울기를 구하는 일은 부른 쪽이 합니다."""
    with no_side_effects(gradients=model):
        got = trained(model, batch)["loss"]
    if not isinstance(got, torch.Tensor) or not got.requires_grad:
        fail(
            "손실에 기울기가 이어져 있지 않습니다.",
            idea="기울기",
            expected="requires_grad=True",
            got="False",
            symptom=None if got is None else "loss-item",
        )
    got.sum().backward()
    named = {"분류 머리": "classifier.weight", "임베딩": "bert.embeddings.word_embeddings.weight"}
    weights = dict(model.lang_model.named_parameters())
    parts = {name: weights[place] for name, place in named.items()}
    right = model.lang_model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    mean = cross_entropy(right, batch["labels"])
    require_gradients(parts, gradients_of(mean, parts) if close(got, mean, ATOL) else None)


@todo("3-1")
def test_accuracy_is_the_share_of_right_predictions(steady, batch, logits):
    """정확도는 맞힌 예문의 비율, 0~1입니다."""
    got = trained(steady, batch)["acc"]
    preds, labels = logits.argmax(-1), batch["labels"]
    right = (preds == labels).float()
    want = right.mean()
    try:
        shape = tuple(torch.as_tensor(got).shape)
    except (RuntimeError, TypeError, ValueError):
        fail(idea="정확도", expected=f"{want:.4f}", got=type(got).__name__, symptom="acc-not-number")
    if shape:
        fail(idea="정확도", expected="스칼라", got=f"모양 {shape}", symptom="acc-vector")
    is_tensor = isinstance(got, torch.Tensor)
    if close(got, accuracy(preds, labels), 1e-6):
        for i in (int(right.argmax()), int(right.argmin())):  # 맞힌 예문 하나와 빗나간 예문 하나
            check_accuracy_alone(steady, {name: tensor[i : i + 1] for name, tensor in batch.items()}, right[i])
        if not is_tensor:
            fail(idea="정확도", expected="수 하나인 텐서", got=type(got).__name__, symptom="acc-number")
        return
    if matches(got, right.sum(), 0):
        count = f"{float(got):.0f}"
        fail(idea="정확도", expected=f"{want:.4f}", got=count, symptom="acc-count")
    size = steady.config.hardware.train_batch
    wrong = [
        ("acc-percent", want * 100),
        ("acc-reversed", 1 - want),
        ("acc-always-one", 1.0),
        ("acc-divisor", right.sum() / size),
        ("acc-broadcast", (preds[:, None] == labels).float().mean()),
    ]
    if matches(got, 0.0, 0):
        recognise_zero(steady, batch, logits, want)
    for symptom, picked in (("softmax-dim0", logits.softmax(0).argmax(-1)), ("threshold", (logits[:, 1] > 0).long())):
        alike = matches(got, (picked == labels).float().mean(), ATOL)
        if alike and matches(trained(steady, {**batch, "labels": picked})["acc"], 1.0, 0):  # 그것만 다 맞습니다.
            fail(idea="정확도", expected=f"{want:.4f}", got=show(got), symptom=symptom)
    recognise(got, wrong, atol=ATOL, idea="정확도", expected=want)
    fail("정확도가 맞힌 비율과 다릅니다.", idea="정확도", expected=f"{want:.4f}", got=show(got))


def recognise_zero(model, batch, logits, want):
    """하나도 맞지 않았다는 답이 어디에서 왔는지, 다른 배치로 더 물어봅니다."""
    expected = f"{want:.4f}"
    perfect = trained(model, {**batch, "labels": logits.argmax(-1)})["acc"]
    if matches(perfect, 1.0, 0):
        fail(idea="정확도", expected=expected, got="0", symptom="acc-floor")
    # 가장 큰 로짓이 첫 줄에 오게 뒤집으면, 배치 전체에서 하나를 고른 답은 몇 개를 맞힙니다.
    flipped = {name: tensor.flip(0) for name, tensor in batch.items()}
    flat = (logits.flip(0).argmax() == flipped["labels"]).float().mean()
    if flat > 0 and matches(trained(model, flipped)["acc"], flat, 1e-6):
        fail(idea="argmax의 축", expected=expected, got="0.0000", symptom="argmax-flat")
    head = copy.deepcopy(model)
    with torch.no_grad():  # 로짓이 언제나 (0, 1)이면, 값과 번호가 같은 1입니다.
        head.lang_model.classifier.weight.zero_()
        head.lang_model.classifier.bias.copy_(torch.tensor([0.0, 1.0]))
    if matches(trained(head, {**batch, "labels": torch.ones_like(batch["labels"])})["acc"], 1.0, 0):
        fail(idea="argmax", expected=expected, got="0.0000", symptom="max-values")


def check_accuracy_alone(model, one, want):
    """예문이 하나뿐인 배치의 정확도는 0 아니면 1입니다."""
    got = trained_alone(model, one)["acc"]
    if not close(got, want, 0):
        squeezed(f"{want:.0f}", show(got), "예측")


@todo("3-1")
def test_earlier_gradients_stay(model, batch):
    """앞서 모아 둔 기울기를 지우지 않습니다. 지우는 때는 부른 쪽이 정합니다."""
    weight = model.lang_model.classifier.weight
    weight.grad = torch.ones_like(weight)
    with no_side_effects(gradients=[weight]):
        trained(model, batch)


@todo("3-1")
def test_dropout_stays_on_while_learning(model, batch):
    """학습 모드에서 부르면 드롭아웃이 켜진 채입니다. 같은 배치의 손실도 부를 때마다 다릅니다."""
    model.train()
    losses = [trained(model, batch)["loss"] for _ in range(4)]
    expected = "부를 때마다 다른 손실"
    if all(isinstance(one, torch.Tensor) and matches(one, losses[0], 0) for one in losses):
        fail(idea="train/eval", expected=expected, got="언제나 같은 손실", symptom="eval-mode")
    if not all(part.training for part in model.modules()):
        fail(idea="train/eval", expected="학습 모드", got="평가 모드", symptom="eval-mode")
