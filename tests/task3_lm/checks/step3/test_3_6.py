"""3-6의 검사: 정확도."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from course.checks.recognising import Explanation, Wrong, explained, recognise, sound
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_close, close, fail, matches, show, todo
from tests.task3_lm.checks.step3.common import (
    ATOL,
    EXACT,
    NO_F,
    REUSED,
    VOCAB,
    fail_of_ones,
    of_ones,
    picked,
    stopped,
    tensors,
)


@pytest.fixture
def cube(device):
    """배치, 길이, 어휘의 크기가 모두 같아, 축을 헷갈려도 멈추지 않는 로짓과 정답."""
    return tensors(device, 9, 9, 9)


ACCURACY_ERRORS = [
    stopped("'bool' object has no attribute", "one-bool", expected="자리마다의 참과 거짓"),
    NO_F,
    REUSED,
    stopped("complex dtype. Got: Bool", "mean-of-bool", expected="실수로 바꾼 것의 평균"),
    stopped("could not infer output dtype", "mean-of-int", expected="실수로 바꾼 것의 평균"),
]
# 모양이 어긋나 멈춘 것은, 모든 축의 크기가 같아도 멈출 때에만 이름을 붙입니다. 축을 헷갈린 것이 먼저입니다.
UNLIKE_ANYWAY = stopped("must match the size of tensor", "unlike-shapes", expected="targets와 같은 모양")


def accuracy_from(
    step3: Any, logits: torch.Tensor, targets: torch.Tensor, known: Sequence[Explanation] = ACCURACY_ERRORS
) -> torch.Tensor:
    """`accuracy_of`의 결과. 난수를 썼거나 수 하나인 텐서가 아니면 그렇다고 말합니다."""
    with explained(*known), no_side_effects(random_state=True):
        got = step3.accuracy_of(logits, targets)
    if not isinstance(got, torch.Tensor):
        kind = type(got).__name__
        symptom = "one-bool" if isinstance(got, bool) else "not-a-tensor" if isinstance(got, numbers.Real) else None
        fail("정확도가 텐서가 아닙니다.", idea="자료형", expected="텐서", got=kind, symptom=symptom)
    if got.shape != ():
        shape = f"모양 {tuple(got.shape)}"
        fail(idea="비율", expected="모양 ()", got=shape, symptom="not-scalar")
    return got


def recognise_all_or_nothing(step3: Any, got: torch.Tensor, logits: torch.Tensor, want: Any) -> None:
    """모두 맞혔을 때만 1이거나, 모두 틀렸을 때만 0인 정확도인가. 옳은 값이 아닐 때만 부릅니다."""
    best, idea = logits.argmax(dim=-1), "비율"
    whole = not got.is_floating_point() and got.dtype != torch.bool
    if matches(got, 0.0, 0.0) and matches(accuracy_from(step3, logits, best), 1.0, EXACT):
        symptom = "all-or-nothing"
        if whole:
            symptom = "floor-division"
        fail(idea=idea, expected=show(want), got=show(got), symptom=symptom)
    if matches(got, 1.0, 0.0) and matches(accuracy_from(step3, logits, (best + 1) % logits.size(-1)), 0.0, EXACT):
        fail(idea=idea, expected=show(want), got=show(got), symptom="all-or-nothing")


def wrong_accuracies(logits: torch.Tensor, targets: torch.Tensor) -> Wrong:
    """정확도와 헷갈리는 값들."""
    best = logits.argmax(dim=-1)
    hits = (best == targets).float()
    batch, length, vocab = logits.shape
    mixed = (best.t().flatten() == targets.flatten()).float().mean()
    pairs = best.flatten()[:, None] == targets.flatten()
    return [
        ("count", hits.sum()),
        ("percent", hits.mean() * 100),
        ("reversed", 1 - hits.mean()),
        ("argmin", (logits.argmin(dim=-1) == targets).float().mean()),
        ("shifted-again", (best[:, :-1] == targets[:, 1:]).float().mean()),
        ("shifted-again", (best[:, 1:] == targets[:, :-1]).float().mean()),
        ("divisor", hits.sum() / batch),
        ("divisor", hits.sum() / length),
        ("divisor", hits.sum() / vocab),
        ("divisor", hits.mean() / batch),
        ("divisor", hits.sum() / logits.numel()),
        ("part-only", hits[:, -1].mean()),
        ("part-only", hits[1].mean()),
        ("ignored-token", hits[targets != 0].mean()),
        ("ignored-token", hits[targets != 0].sum() / hits.numel()),
        ("part-only", hits[:, :-1].mean()),
        ("mixed-order", mixed),
        ("whole-windows", hits.amin(dim=1).mean()),
        ("whole-windows", hits.amax(dim=1).mean()),
        *[("rounded", round(hits.mean().item(), digits)) for digits in (1, 2)],
        *[("top-k", in_top(logits, targets, k)) for k in (2, 3, 5) if k < vocab],
        ("keepdim", pairs.float().mean()),
        ("values", (logits.amax(dim=-1) == targets).float().mean()),
        ("flat", (logits.argmax() == targets).float().mean()),
        ("probability", picked(logits.softmax(-1), targets).mean()),
        ("sure-only", ((best == targets) & (logits.softmax(-1).amax(-1) > 0.5)).float().mean()),
        ("own-predictions", 1.0),
    ]


def in_top(logits: torch.Tensor, targets: torch.Tensor, k: int) -> torch.Tensor:
    return (logits.topk(k, dim=-1).indices == targets[..., None]).any(-1).float().mean()


def confused_axes(logits: torch.Tensor, targets: torch.Tensor) -> Wrong:
    """모든 축의 크기가 같을 때에만 값이 나오는, 축을 헷갈린 정확도들."""
    kept = logits.argmax(dim=-1, keepdim=True)
    return [
        ("wrong-axis", (logits.argmax(dim=1) == targets).float().mean()),
        ("wrong-axis", (logits.argmax(dim=0) == targets).float().mean()),
        ("keepdim", (kept == targets).float().mean()),
        ("values", (logits == targets[..., None]).float().mean()),
    ]


@todo("3-6")
def test_accuracy_is_the_share_of_right_positions(step3, batch):
    """정확도는 모든 자리 가운데 맞힌 자리의 비율, 0~1입니다."""
    logits, targets = batch
    want = (logits.argmax(-1) == targets).double().mean()
    got = accuracy_from(step3, logits.clone(), targets.clone())
    if not close(got, want, ATOL):
        recognise_all_or_nothing(step3, got, logits, want)
        recognise(got, wrong_accuracies(logits, targets), atol=EXACT, idea="정확도", expected=want)
    assert_close(got, want, atol=ATOL, idea="정확도", message="맞힌 자리의 비율과 다릅니다.")


def gives_a_wrong_value(step3: Any, logits: torch.Tensor, targets: torch.Tensor) -> bool:
    """흔한 배치에서 멈추지 않고 틀린 값을 내는가."""
    want = (logits.argmax(-1) == targets).double().mean()
    return sound(lambda: abs(float(accuracy_from(step3, logits.clone(), targets.clone()) - want)) > ATOL)


@todo("3-6")
def test_accuracy_of_confusable_axes(step3, batch, cube):
    """배치, 길이, 어휘의 크기가 같아도 어휘의 축에서 고릅니다."""
    logits, targets = cube
    if gives_a_wrong_value(step3, *batch):
        return  # 축의 크기가 달라도 값이 나오는 틀린 답은 앞의 검사가 말합니다. 축을 헷갈렸다면 거기에서 멈춥니다.
    want = (logits.argmax(-1) == targets).double().mean()
    got = accuracy_from(step3, logits.clone(), targets.clone(), [*ACCURACY_ERRORS, UNLIKE_ANYWAY])
    if not close(got, want, ATOL):
        recognise_all_or_nothing(step3, got, logits, want)
        wrong = [*confused_axes(logits, targets), *wrong_accuracies(logits, targets)]
        recognise(got, wrong, atol=EXACT, idea="argmax의 축", expected=want)
    message = "배치, 길이, 어휘의 크기가 같을 때의 정확도가 다릅니다."
    assert_close(got, want, atol=ATOL, idea="argmax의 축", message=message)


@todo("3-6")
def test_accuracy_can_be_one_and_zero(step3, batch):
    """모두 맞히면 1, 모두 틀리면 0입니다."""
    logits, _ = batch
    best = logits.argmax(dim=-1)
    for targets, want in ((best, 1.0), ((best + 1) % VOCAB, 0.0)):
        message = f"모두 {'맞힌' if want else '틀린'} 배치의 정확도가 다릅니다."
        assert_close(accuracy_from(step3, logits, targets), want, atol=ATOL, idea="정확도", message=message)


@todo("3-6")
def test_one_window_or_one_position_has_an_accuracy_too(step3, batch):
    """창이 하나뿐이거나 창의 길이가 1이어도 견준 자리 가운데의 비율입니다."""
    logits, targets = batch
    hits = (logits.argmax(-1) == targets).double()
    if not close(accuracy_from(step3, logits.clone(), targets.clone()), hits.mean(), EXACT):
        return  # 흔한 크기에서도 틀린 답은 앞의 검사가 말합니다.
    for part in (slice(None), slice(1)), (slice(1, 2), slice(None)), (slice(5, 6), slice(1)):
        got = of_ones(accuracy_from, step3, logits[part].clone(), targets[part].clone())
        fail_of_ones(logits[part], got, hits[part].mean(), close(got, hits[part].mean(), ATOL))


@todo("3-6")
def test_accuracy_leaves_its_inputs_alone(step3, batch):
    """로짓과 정답은 부른 사람의 것입니다. 견준 뒤에도 그대로입니다."""
    with no_side_effects(inputs={"로짓": batch[0], "정답": batch[1]}):
        accuracy_from(step3, *batch)
