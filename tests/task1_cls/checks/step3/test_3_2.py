"""3-2의 검사: 검증 한 스텝."""

from __future__ import annotations

from functools import partial

from torch.nn import functional
from torch.nn.functional import cross_entropy

from course.checks.recognising import recognise
from course.checks.words import close, fail, matches, show, todo
from tests.task1_cls.checks.step3.common import (
    ATOL,
    VALIDATED,
    alone,
    check_alone,
    check_float32,
    check_half_model,
    check_labels,
    check_mode_stays,
    check_predictions,
    check_together,
    evaluated,
    preds_of,
    smoothed,
    unmasked_logits,
)


@todo("3-2")
def test_validation_predictions(model, batch, logits):
    """예측과 정답을 예문마다 돌려줍니다."""
    got = evaluated(model, "validation_step", batch, VALIDATED)
    again = partial(preds_of, model, "validation_step", VALIDATED)
    check_predictions(got["preds"], got["labels"], logits, batch, again)
    check_labels(got["labels"], batch, logits)
    check_alone(alone(model, "validation_step", batch, VALIDATED))
    check_together(model, "validation_step", batch, symptom="apart")


@todo("3-2")
def test_validation_leaves_the_mode_alone(model, batch):
    """학습 모드와 평가 모드는 부른 쪽이 정합니다."""
    check_mode_stays(model, "validation_step", batch, VALIDATED)


@todo("3-2")
def test_validation_loss_is_per_example(model, batch, logits):
    """손실은 평균하지 않은, 예문마다의 값입니다."""
    got = evaluated(model, "validation_step", batch, VALIDATED)["loss"]
    labels = batch["labels"]
    check_float32(got, "loss")
    want = cross_entropy(logits, labels, reduction="none")
    if close(got, want, ATOL):
        return
    for mean in (want.mean(), want.mean().expand(1), want.mean().expand(len(want))):
        if matches(got, mean, ATOL):
            fail(
                idea="평균의 평균",
                expected=f"모양 ({len(want)},)",
                got="모두 같은 평균" if got.dim() else "스칼라",
                symptom="loss-mean",
            )
    shapes = {(len(want), 1): "loss-2d", tuple(logits.shape): "loss-every-label"}
    if symptom := shapes.get(tuple(got.shape)):
        fail(idea="손실의 모양", expected=f"({len(want)},)", got=tuple(got.shape), symptom=symptom)
    for label in range(logits.shape[1]):
        if matches(got, want.where(labels != label, 0.0), ATOL):
            shown = {"expected": show(want[:6]), "got": show(got[:6]), "label": label}
            fail(idea="교차 엔트로피", symptom="label-ignored", **shown)
    mask = batch["attention_mask"]
    counts = {"문장마다의 토큰 수": mask.sum(1), "배치의 너비": mask.shape[1], "배치의 토큰을 모두 센 수": mask.sum()}
    for by, count in counts.items():
        if matches(got, want / count, ATOL / 10):
            shown = {"expected": show(want[:6]), "got": show(got[:6]), "by": by}
            fail(idea="교차 엔트로피", symptom="loss-per-token", **shown)
    masked = cross_entropy(unmasked_logits(model, batch), labels, reduction="none")
    own = cross_entropy(logits, logits.argmax(-1), reduction="none")
    double = cross_entropy(logits.softmax(-1), labels, reduction="none")
    wrong = [
        ("loss-sum", want.sum()),
        ("loss-divided", want / len(want)),
        ("double-softmax", double),
        ("no-mask", masked),
        ("own-preds", own),
        ("loss-sign", -want),
        *other_losses(logits, labels),
    ]
    few = got.flatten()[:6]
    recognise(got, wrong, atol=ATOL, idea="교차 엔트로피", expected=want[:6], shown=few)
    fail("예문마다의 손실이 다릅니다.", idea="교차 엔트로피", expected=show(want[:6]), got=show(few))


@todo("3-2")
def test_validation_loss_of_a_half_model_is_float32(model, batch, logits):
    """16비트로 읽은 모델에서도 손실은 32비트입니다."""
    want = cross_entropy(logits, batch["labels"], reduction="none")
    check_half_model(model, "validation_step", batch, VALIDATED, "loss", want)


def other_losses(logits, labels):
    """예문마다의 교차 엔트로피와 헷갈리는 손실들."""
    probs, target = logits.softmax(-1), labels.float()
    one_hot = functional.one_hot(labels, logits.shape[1]).float()
    bce, mse = functional.binary_cross_entropy_with_logits, functional.mse_loss
    return [
        ("no-log", functional.nll_loss(logits, labels, reduction="none")),
        ("no-log", functional.nll_loss(probs, labels, reduction="none")),
        ("no-log", 1 - probs.gather(1, labels[:, None])[:, 0]),
        ("no-log", probs.gather(1, labels[:, None])[:, 0]),
        ("other-loss", bce(logits[:, 1], target, reduction="none")),
        ("other-loss", bce(logits, one_hot, reduction="none").mean(-1)),
        ("other-loss", bce(logits, one_hot, reduction="none").sum(-1)),
        ("other-loss", mse(probs[:, 1], target, reduction="none")),
        ("other-loss", mse(probs, one_hot, reduction="none").mean(-1)),
        ("other-loss", mse(logits, one_hot, reduction="none").mean(-1)),
        *smoothed(logits, labels, "none"),
    ]
