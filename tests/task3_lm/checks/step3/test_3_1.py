"""3-1의 검사: 손실."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from course.checks.recognising import Wrong, explained, recognise
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_close, close, fail, matches, todo
from tests.task3_lm.checks.step3.common import (
    ATOL,
    NO_F,
    REUSED,
    VOCAB,
    fail_of_ones,
    of_ones,
    picked,
    stopped,
)

UNLIKE = r"For 1D input|For 1D target|multi-target not supported|size mismatch \(got input"
LOSS_ERRORS = [
    NO_F,
    REUSED,
    stopped("modified by an inplace operation", "inputs-changed", expected="그대로인 로짓"),
    stopped("Expected target size", "unflattened", expected="(예문, 어휘)와 (예문,)"),
    stopped("class probabilities, got", "predictions-as-logits", expected="로짓"),
    stopped("not implemented for 'Long'", "swapped", expected="로짓, 정답의 차례"),
    stopped("to match target batch_size", "unlike-shapes", expected="같은 수의 예문"),
    stopped("expected target dtype", "not-int64", expected="정수(int64) 번호"),
    stopped("Boolean value of Tensor", "not-called", expected="만든 뒤에 부르기", at="_reduction.py"),
    stopped(UNLIKE, "unlike-shapes", expected="(예문, 어휘)와 (예문,)"),
]


def reference_losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """자리마다의 교차 엔트로피, (배치, 길이). 정의를 그대로 적습니다."""
    return logits.logsumexp(dim=-1) - picked(logits, targets)


def smoothed(logits: torch.Tensor, targets: torch.Tensor, share: float) -> torch.Tensor:
    """정답의 확률 가운데 `share`를 모든 토큰에 고르게 나누어 준(label smoothing) 손실."""
    return ((1 - share) * reference_losses(logits, targets) - share * logits.log_softmax(-1).mean(-1)).mean()


def wrong_losses(logits: torch.Tensor, targets: torch.Tensor) -> Wrong:
    """평균 교차 엔트로피와 헷갈리는 손실들."""
    each = reference_losses(logits, targets)
    mean, probs = each.mean(), logits.softmax(-1)
    batch, length, vocab = logits.shape
    one_hot = functional.one_hot(targets, vocab).float()
    best = logits.argmax(-1)
    return [
        ("shifted-again", reference_losses(logits[:, :-1], targets[:, 1:]).mean()),
        ("shifted-again", reference_losses(logits[:, 1:], targets[:, :-1]).mean()),
        ("sum", each.sum()),
        ("partly-averaged", each.sum() / batch),
        ("partly-averaged", each.sum() / length),
        ("divided-again", mean / batch),
        ("divided-again", mean / length),
        ("divided-again", mean / vocab),
        ("divided-again", mean / (batch * length)),
        ("double-softmax", reference_losses(probs, targets).mean()),
        ("no-log", -picked(logits, targets).mean()),
        ("no-log", -picked(probs, targets).mean()),
        ("sign", -mean),
        ("bits", mean / math.log(2)),
        ("perplexity", mean.exp()),
        ("part-only", each[:, -1].mean()),
        ("part-only", each[:, :-1].mean()),
        ("part-only", each[:, 1:].mean()),
        ("part-only", each[0].mean()),
        ("part-only", each[-1].mean()),
        ("ignored-token", each[targets != 0].mean()),
        ("mixed-rows", functional.cross_entropy(logits.transpose(0, 1).flatten(0, 1), targets.flatten())),
        ("mixed-rows", functional.cross_entropy(logits.flatten(0, 1), targets.t().flatten())),
        ("mixed-rows", functional.cross_entropy(logits.reshape(batch, vocab, length), targets)),
        ("mixed-rows", functional.cross_entropy(logits.permute(2, 0, 1).reshape(-1, vocab), targets.flatten())),
        ("mixed-rows", functional.cross_entropy(logits.transpose(1, 2).reshape(-1, vocab), targets.flatten())),
        ("wrong-axis", -picked(logits.log_softmax(1), targets).mean()),
        ("wrong-axis", -picked(logits.log_softmax(0), targets).mean()),
        ("own-predictions", reference_losses(logits, best).mean()),
        *[("smoothed", smoothed(logits, targets, share)) for share in (0.05, 0.1, 0.2)],
        ("other-loss", functional.mse_loss(logits, one_hot)),
        ("other-loss", functional.mse_loss(probs, one_hot)),
        ("other-loss", functional.binary_cross_entropy_with_logits(logits, one_hot)),
        ("other-loss", functional.mse_loss(best.float(), targets.float())),
        ("other-loss", functional.l1_loss(best.float(), targets.float())),
        ("other-loss", (best != targets).float().mean()),
    ]


def loss_of(step3: Any, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """`compute_loss`의 결과. 수 하나인 텐서가 아니면 그렇다고 말합니다."""
    with explained(*LOSS_ERRORS):
        got = step3.compute_loss(logits, targets)
    if not isinstance(got, torch.Tensor):
        kind = type(got).__name__
        symptom = "no-gradient" if hasattr(got, "__float__") else None
        fail("손실이 텐서가 아닙니다.", idea="기울기", expected="텐서", got=kind, symptom=symptom)
    if got.shape != ():
        shape = f"모양 {tuple(got.shape)}"
        fail(idea="평균 손실", expected="모양 ()", got=shape, symptom="not-scalar")
    return got


@todo("3-1")
def test_loss_is_the_mean_cross_entropy(step3, batch):
    """손실은 모든 자리의 교차 엔트로피를 평균한 값입니다."""
    logits, targets = batch
    got, want = loss_of(step3, logits.clone(), targets.clone()), reference_losses(logits, targets).mean()
    if not close(got, want, ATOL):
        recognise(got, wrong_losses(logits, targets), atol=ATOL, idea="교차 엔트로피", expected=want)
    message = "손실이 교차 엔트로피의 평균과 다릅니다."
    assert_close(got, want, atol=ATOL, idea="교차 엔트로피", message=message)


@todo("3-1")
def test_one_window_or_one_position_has_a_loss_too(step3, batch):
    """창이 하나뿐이거나 창의 길이가 1이어도 모든 자리의 평균입니다."""
    logits, targets = batch
    each = reference_losses(logits, targets)
    if not close(loss_of(step3, logits.clone(), targets.clone()), each.mean(), ATOL):
        return  # 흔한 크기에서도 틀린 답은 앞의 검사가 말합니다.
    for part in (slice(None), slice(1)), (slice(1), slice(None)), (slice(1), slice(1)):
        got = of_ones(loss_of, step3, logits[part].clone(), targets[part].clone())
        fail_of_ones(logits[part], got, each[part].mean(), close(got, each[part].mean(), ATOL))


@todo("3-1")
def test_loss_leaves_its_inputs_alone(step3, batch):
    """로짓과 정답은 부른 사람의 것입니다. 손실을 구한 뒤에도 그대로입니다."""
    with no_side_effects(inputs={"로짓": batch[0], "정답": batch[1]}):
        loss_of(step3, *batch)


@todo("3-1")
def test_gradient_reaches_every_logit(step3, batch):
    """손실의 기울기는 로짓마다 (확률 - 정답이면 1) / 자리의 수입니다."""
    logits, targets = batch[0].clone().requires_grad_(), batch[1]
    with no_side_effects(gradients=[logits]):
        got = loss_of(step3, logits, targets)
    reached = None
    if got.requires_grad:
        got.backward()
        reached = logits.grad
    if reached is None or matches(reached, torch.zeros_like(reached), 0):
        fail(idea="기울기", expected="0이 아닌 기울기", got="없음", symptom="no-gradient")
    want = logits.softmax(-1) - functional.one_hot(targets, VOCAB)
    message = "손실의 기울기가 교차 엔트로피의 것과 다릅니다."
    assert_close(reached * targets.numel(), want, atol=ATOL, idea="기울기", message=message)


@todo("3-1")
def test_confident_mistakes_have_a_finite_loss(step3, device):
    """모델이 정답을 굳게 아니라고 해도 손실은 유한합니다."""
    logits = torch.tensor([[[120.0, 0.0, 0.0], [1.0, 1.0, 1.0]]], device=device)
    targets = torch.tensor([[1, 2]], device=device)
    if not close(loss_of(step3, logits / 40, targets), reference_losses(logits / 40, targets).mean(), ATOL):
        return  # 흔한 로짓에서도 틀린 답은 앞의 검사가 말합니다.
    got, want = loss_of(step3, logits, targets), (120 + math.log(3)) / 2
    if not got.isfinite():
        fail(idea="log-softmax", expected=f"{want:.2f}", got=f"{got.item()}", symptom="overflow")
    assert_close(got, want, atol=0.01, idea="log-softmax", symptom="clamped")
