"""3-3의 검사: 평가 한 스텝."""

from __future__ import annotations

from functools import partial

import torch

from course.checks.recognising import recognise
from course.checks.words import assert_equal, close, fail, matches, show, todo
from tests.task1_cls.checks.step3.common import (
    ATOL,
    TESTED,
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
    places = range(1, 6) if got.is_floating_point() else ()
    digits = next((one for one in places if matches(got, got.round(decimals=one), 1e-7)), None)
    if digits and matches(got, want.round(decimals=digits), ATOL):
        # 넷째 자리까지만 보이면 같아 보이므로 더 적습니다.
        expected, came = (f"[{', '.join(f'{one:.6f}' for one in row[0].tolist())}]" for row in (want, got))
        fail(idea="softmax", expected=expected, got=came, symptom="rounded-probs", digits=digits)
    if close(got, want, ATOL):
        return
    one, other = logits.sigmoid().unbind(-1)
    wrong = [
        ("one-sigmoid", torch.stack([1 - other, other], dim=-1)),
        ("one-sigmoid", torch.stack([one, 1 - one], dim=-1)),
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


@todo("3-3")
def test_probabilities_of_a_half_model_are_float32(model, batch, logits):
    """16비트로 읽은 모델에서도 확률은 32비트입니다."""
    check_half_model(model, "test_step", batch, TESTED, "probs", logits.softmax(dim=-1))
