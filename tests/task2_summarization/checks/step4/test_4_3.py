"""4-3의 검사: 여러 배치를 모아도 큰 배치 하나와 같은 손실.

기준은 cross_entropy를 거치지 않고, 로짓에서 하나씩 셈한 것입니다.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.modeling_outputs import Seq2SeqLMOutput

from course.checks.recognising import Wrong, explained, recognise, require_tensor, require_value, sound, when
from course.checks.side_effects import no_side_effects, on_one_device
from course.checks.words import assert_close, close, fail, matches, todo
from tests.task2_summarization.checks import support
from tests.task2_summarization.checks.step4.common import arguments_of, new_trainer, settings

IDEA = "모은 배치의 손실"
ATOL = 1e-5
IGNORED = -100
SMOOTHING = 0.17
TOTAL = 23  # 한 번에 모으는 배치 전부의 라벨 수. 이 배치의 것(11)도, 자리의 수(18)도 아닙니다.
GATHERED = 7  # 한 번에 모으는 배치의 수
ROWS, LENGTH, VOCABULARY = 3, 6, 13


def example() -> tuple[Tensor, Tensor]:
    """로짓 (3, 6, 13)과 라벨 (3, 6). 세는 라벨은 줄마다 5, 4, 2개이고, 0번과 채움 토큰도 있습니다."""
    draw = torch.Generator().manual_seed(47)
    logits = 3 * torch.randn(ROWS, LENGTH, VOCABULARY, generator=draw)
    labels = torch.randint(0, VOCABULARY, (ROWS, LENGTH), generator=draw)
    labels[0, 1] = 0
    labels[1, 2] = support.PAD  # 끝 토큰을 채움으로도 쓰는 모델에서는 세는 라벨입니다.
    for row, count in enumerate((5, 4, 2)):
        labels[row, count:] = IGNORED
    return logits, labels


def each(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """세는 라벨마다의 손실, (라벨 수,)."""
    picked = labels != IGNORED
    chances = logits.double()[picked].log_softmax(-1)
    right = chances.gather(1, labels[picked].unsqueeze(1)).squeeze(1)
    return -(1 - smoothing) * right - smoothing * chances.mean(-1)


class Loss:
    """학생의 함수로 구한 손실."""

    def __init__(self, step: Any, smoothing: float = 0.0, decoder_only: bool = False) -> None:
        gathered = f"training.gradient_accumulation_steps={GATHERED}"
        self.config = settings(f"training.label_smoothing={smoothing}", gathered)
        arguments = arguments_of(self.config)
        self.trainer = new_trainer(step, config=self.config, decoder_only=decoder_only, args=arguments)

    def __call__(self, logits: Tensor, labels: Tensor, count: Any = TOTAL) -> Tensor:
        known = (
            when(
                "Expected input batch_size|Expected target size",
                "not-flattened",
                idea="모양",
                expected="(배치 × 길이, 어휘)와 (배치 × 길이,)",
            ),
            when(
                "unsupported operand .*and 'NoneType'|div.*NoneType",
                "none-count",
                idea="None",
                expected="이 배치의 라벨 수",
            ),
            when("Target -100 is out of bounds", "other-ignored", idea="-100", expected="ignore_index=-100"),
        )
        given = {"logits": logits, "labels": labels}
        guards = no_side_effects(inputs=given, settings=self.config), on_one_device("로짓과 같은 장치")
        with explained(*known), guards[0], guards[1]:
            got = self.trainer.compute_loss(Seq2SeqLMOutput(logits=logits), labels, count)
        require_tensor(require_value(got, "loss"), "loss", idea=IDEA, symptom="not-tensor")
        return got


@pytest.fixture
def loss(load):
    step = load(4)
    return lambda *given, **more: Loss(step, *given, **more)


def wrong_losses(logits: Tensor, labels: Tensor, smoothing: float, count: float) -> Wrong:
    """흔한 실수를 했을 때의 손실."""
    losses = each(logits, labels, smoothing)
    total, own = losses.sum(), len(losses)
    rows = labels.shape[0]
    counted = labels != IGNORED
    by_row = [one.mean() for one in losses.split(counted.sum(1).tolist())]
    even = -logits.double().log_softmax(-1).mean(-1)
    bare = -logits.double()[counted].gather(1, labels[counted].unsqueeze(1)).sum()
    twice = each(logits.softmax(-1), labels, smoothing)
    garbled = logits.reshape(rows, logits.shape[2], -1).transpose(1, 2)
    plain = each(logits, labels, 0.0).sum()
    padded = labels.masked_fill(labels == IGNORED, 0)
    sideways = labels.t().reshape(labels.shape), logits.transpose(0, 1).reshape(logits.shape)
    spread = (1 - smoothing) * plain + smoothing * even[counted].sum() * logits.shape[-1]
    return [
        ("own-mean", total / own),
        ("own-mean-too", total / own / count),
        ("summed", total),
        ("negated", -total / count),
        *[("by-accumulation", total / divisor / GATHERED) for divisor in (count, own)],
        *[("order-mixed", each(logits, sideways[0], smoothing).sum() / divisor) for divisor in (count, own)],
        *[("order-mixed", each(sideways[1], labels, smoothing).sum() / divisor) for divisor in (count, own)],
        *[("smoothing-summed", spread / divisor) for divisor in (count, own) if smoothing],
        ("by-cells", total / labels.numel()),
        ("by-rows", total / rows),
        ("no-smoothing", plain / count),
        ("no-smoothing", plain / own),
        ("fixed-smoothing", each(logits, labels, 0.1).sum() / count),
        ("padding-counted", each(logits, padded, smoothing).sum() / count),
        ("padding-counted", each(logits, padded, smoothing).mean()),
        ("shifted-again", each(logits[:, :-1], labels[:, 1:], smoothing).sum() / count),
        ("shifted-again", each(logits[:, :-1], labels[:, 1:], smoothing).mean()),
        *[("softmax-twice", twice.sum() / divisor) for divisor in (count, own)],
        *[("axes-garbled", each(garbled, labels, smoothing).sum() / divisor) for divisor in (count, own)],
        *[("raw-scores", ((1 - smoothing) * bare + smoothing * even[counted].sum()) / one) for one in (count, own)],
        *[("raw-scores", bare / divisor) for divisor in (count, own)],
        ("padding-smoothed", (total + smoothing * even[~counted].sum()) / count),
        *[("by-sentence", torch.stack(by_row).sum() / divisor) for divisor in (count, rows, own)],
        ("by-sentence", torch.stack(by_row).sum()),
        ("by-sentence-rescaled", torch.stack(by_row).mean() * own / count),
    ]


@todo("4-3")
@pytest.mark.parametrize("smoothing", [0.0, SMOOTHING])
def test_the_sum_is_divided_by_the_labels_of_all_batches(loss, smoothing):
    """세는 라벨의 손실을 더해, 모으는 배치 전부의 라벨 수로 나눕니다."""
    logits, labels = example()
    got = loss(smoothing)(logits, labels)
    want = each(logits, labels, smoothing).sum() / TOTAL
    if got.shape != want.shape and got.numel() != 1:
        fail(idea="모양", expected="수 하나 ()", got=f"모양 {tuple(got.shape)}", symptom="not-reduced")
    if not close(got.reshape(()), want, ATOL):
        wrong = wrong_losses(logits, labels, smoothing, TOTAL)
        recognise(got.reshape(()), wrong, atol=ATOL, idea=IDEA, expected=want, shown=got)
        multiplied = [("multiplied", want * TOTAL * TOTAL)]  # 큰 수라 32비트의 끝자리가 흔들립니다.
        recognise(got.reshape(()), multiplied, atol=1e-2, idea=IDEA, expected=want, shown=got)
    message = "손실이 라벨마다의 교차 엔트로피의 합을 num_items_in_batch로 나눈 것과 다릅니다."
    if matches(got.reshape(()), want.floor(), 0.0):
        message = "손실에서 소수점 아래가 사라졌습니다. 정수로 깎은 곳(//, int, round)이 있는지 보세요."
    assert_close(got.reshape(()), want, atol=ATOL, idea=IDEA, message=message)


def right_sum(loss: Any) -> bool:
    logits, labels = example()
    wanted = each(logits, labels, SMOOTHING).sum() / TOTAL
    return close(loss(SMOOTHING)(logits, labels).reshape(()), wanted, ATOL)


@todo("4-3")
def test_the_count_may_be_a_tensor(loss):
    """num_items_in_batch는 텐서로도 옵니다. 검증은 1을 건네, 배치들의 손실의 합을 얻습니다."""
    logits, labels = example()
    if not sound(lambda: right_sum(loss)):
        return
    total = each(logits, labels, SMOOTHING).sum()
    for count in (torch.tensor(TOTAL), 1):
        got = loss(SMOOTHING)(logits, labels, count).reshape(()) / TOTAL
        want = total / count / TOTAL
        if close(got, want, ATOL):
            continue
        shown = {"expected": f"{want * TOTAL:.4f}", "got": f"{got * TOTAL:.4f}"}
        if count == 1 and matches(got * TOTAL, each(logits, labels, SMOOTHING).mean(), ATOL):
            fail(idea=IDEA, symptom="one-refused", **shown)
        fail(f"num_items_in_batch가 {count!r}일 때의 손실이 다릅니다.", idea=IDEA, **shown)


@todo("4-3")
def test_without_a_count_it_is_the_mean_of_this_batch(loss):
    """num_items_in_batch가 없으면 이 배치의 라벨 수로 나눕니다."""
    logits, labels = example()
    got = loss(SMOOTHING)(logits, labels, None)
    want = each(logits, labels, SMOOTHING).mean()
    if not sound(lambda: right_sum(loss)) or close(got.reshape(()), want, ATOL):
        return
    total = want * len(each(logits, labels, 0.0))
    wrong = [
        ("none-summed", total),
        ("none-by-cells", total / labels.numel()),
        ("none-by-rows", total / ROWS),
        ("none-some-left-out", total / (labels > 0).sum()),
        ("none-some-left-out", total / ((labels != IGNORED) & (labels != support.PAD)).sum()),
        ("none-some-left-out", total / ((labels > 0) & (labels != support.PAD)).sum()),
    ]
    recognise(got.reshape(()), wrong, atol=ATOL, idea="None", expected=want, shown=got)
    for number, name in ((support.PAD, f"채움 토큰의 번호({support.PAD})"), (0, "0")):
        missed = [("none-ignored-counted", total / (labels != number).sum())]
        recognise(got.reshape(()), missed, atol=ATOL, idea="None", expected=want, shown=got, name=name)
    message = "num_items_in_batch가 없을 때의 손실이 이 배치의 평균과 다릅니다."
    assert_close(got.reshape(()), want, atol=ATOL, idea="None", message=message)


@todo("4-3")
def test_the_gradient_reaches_every_logit(loss):
    """기울기가 세는 자리의 로짓마다 옳게 이어집니다."""
    if not sound(lambda: right_sum(loss)):
        return
    logits, labels = example()
    mine, reference = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    got = loss(SMOOTHING)(mine, labels)
    if not got.requires_grad:
        fail(idea="기울기", expected="이어진 기울기", got="끊긴 기울기", symptom="cut-graph", name="logits")
    got.backward()
    (each(reference, labels, SMOOTHING).sum() / TOTAL).backward()
    assert_close(mine.grad, reference.grad, atol=ATOL, idea="기울기", message="로짓의 기울기가 다릅니다.")


@todo("4-3")
def test_half_precision_logits_are_summed_in_full(loss):
    """16비트인 로짓도 32비트로 바꾸어 더합니다."""
    if not sound(lambda: right_sum(loss)):
        return
    logits, labels = example()
    if loss(SMOOTHING)(logits, labels).dtype == torch.float64:
        fail(idea="정밀도", expected="float32", got="float64", symptom="double-returned")
    half = logits.bfloat16()
    got = loss(SMOOTHING)(half, labels)
    want = each(half, labels, SMOOTHING).sum() / TOTAL
    if got.dtype != torch.float32 and got.dtype != torch.float64:
        rounded = [
            ("half-returned", want.float().to(got.dtype)),
            ("half-returned", (want * TOTAL).to(got.dtype) / TOTAL),
        ]
        recognise(got.reshape(()), rounded, atol=ATOL, idea="정밀도", expected="float32", shown=str(got.dtype)[6:])
        kind = str(got.dtype).removeprefix("torch.")
        fail(idea="정밀도", expected="float32", got=kind, symptom="half-sum")
    if not close(got.reshape(()), want, ATOL):
        fail(idea="정밀도", expected=f"{want:.5f}", got=f"{float(got):.5f}", symptom="half-sum")


@todo("4-3")
def test_a_decoder_only_model_is_judged_by_the_next_token(loss):
    """디코더뿐인 모델의 로짓과 라벨은 이미 한 칸 밀려 있습니다."""
    if not sound(lambda: right_sum(loss)):
        return
    logits, labels = example()
    got = loss(SMOOTHING, decoder_only=True)(logits, labels)
    want = each(logits[:, :-1], labels[:, 1:], SMOOTHING).sum() / TOTAL
    if close(got.reshape(()), want, ATOL):
        return
    again = each(logits[:, :-2], labels[:, 2:], SMOOTHING).sum() / TOTAL
    unmoved = [each(logits[:, first:], labels[:, first:], SMOOTHING).sum() / TOTAL for first in (0, 1)]
    wrong = [("shifted-again", again), *(("not-shifted", one) for one in unmoved)]
    recognise(got.reshape(()), wrong, atol=ATOL, idea="한 칸 밀기", expected=want, shown=got)
    message = "디코더뿐인 모델의 손실이 다릅니다."
    assert_close(got.reshape(()), want, atol=ATOL, idea="한 칸 밀기", message=message)
