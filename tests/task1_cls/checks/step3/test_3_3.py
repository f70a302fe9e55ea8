"""3-3의 검사: 평가 한 스텝."""

from __future__ import annotations

from functools import partial

from course.checks.recognising import recognise
from course.checks.words import assert_equal, close, fail, show, todo
from tests.task1_cls.checks.step3.common import (
    ATOL,
    TESTED,
    alone,
    check_alone,
    check_float32,
    check_labels,
    check_mode_stays,
    check_predictions,
    check_together,
    evaluated,
    preds_of,
    unmasked_logits,
)


@todo("3-3")
def test_test_predictions(model, batch, logits):
    """예측과 정답을 예문마다 돌려줍니다."""
    got = evaluated(model, "test_step", batch, TESTED)
    again = partial(preds_of, model, "test_step", TESTED)
    check_predictions(got["preds"], got["labels"], logits, batch, again, dim0="preds-dim0")
    check_labels(got["labels"], batch, logits)
    check_alone(alone(model, "test_step", batch, TESTED))
    check_together(model, "test_step", batch)


@todo("3-3")
def test_test_leaves_the_mode_alone(model, batch):
    """학습 모드와 평가 모드는 부른 쪽이 정합니다."""
    check_mode_stays(model, "test_step", batch, TESTED)


@todo("3-3")
def test_probabilities_of_every_example_sum_to_one(model, batch, logits):
    """확률은 문장마다, 라벨 축에서 softmax를 한 값입니다."""
    got = evaluated(model, "test_step", batch, TESTED)["probs"]
    check_float32(got, "probs")
    want = logits.softmax(dim=-1)
    if close(got, want, ATOL):
        return
    wrong = [
        ("raw-logits", logits),
        ("softmax-dim0", logits.softmax(dim=0)),
        ("sigmoid", logits.sigmoid()),
        ("log-softmax", logits.log_softmax(dim=-1)),
        ("double-softmax", want.softmax(dim=-1)),
        ("softmax-flat", logits.flatten().softmax(0).view_as(logits)),
        ("softmax-of-preds", logits.argmax(-1).float().softmax(-1)),
        ("plain-ratio", logits / logits.sum(dim=-1, keepdim=True)),
        ("swapped", want.flip(-1)),
        ("sorted-columns", want.sort(-1, descending=True).values),
        ("sorted-columns", want.sort(-1).values),
        ("percent", want * 100),
        ("hard-probs", want.round()),
        ("transposed", want.T),
        ("no-mask", unmasked_logits(model, batch).softmax(-1)),
    ]
    recognise(got, wrong, atol=ATOL, idea="softmax", expected=want[0], shown=got.flatten()[: want.shape[1]])
    one_each = zip(want, got.flatten(), strict=False)
    if got.numel() == len(want) and all((row - one).abs().min() <= ATOL for row, one in one_each):
        fail(idea="확률의 모양", expected=tuple(want.shape), got=tuple(got.shape), symptom="one-column")
    assert_equal(tuple(got.shape), tuple(want.shape), idea="확률의 모양", message="확률의 모양이 다릅니다.")
    message = "확률이 로짓의 softmax와 다릅니다."
    fail(message, idea="softmax", expected=f"첫 문장 {show(want[0])}", got=f"첫 문장 {show(got[0])}")
