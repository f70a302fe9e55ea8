"""4-5의 검사: 검증."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader

from course.checks.words import (
    assert_close,
    close,
    fail,
    matches,
    show,
    todo,
)
from tests.task3_lm.checks.step4.common import (
    ATOL,
    HABITS,
    Bigram,
    WindowsOf,
    building,
    gradient_of,
    in_forward,
    pair_of,
)


def evaluate(trainer, *loader):
    """`evaluate`를 부릅니다. scores를 잘못 모아 멈춘 것은 무엇이 틀렸는지로 바꿉니다."""
    try:
        return trainer.evaluate(*loader)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        shown = {"idea": "모으기", "expected": "배치마다 (창, 2) 텐서 하나", "got": type(error).__name__}
        about = str(error)
        if "non-empty" in about and not trainer.gpt.seen:
            fail(symptom="short-skipped", **{**shown, "expected": "배치마다 한 번", "got": "모델을 부르지 않음"})
        if "non-empty" in about:
            fail(symptom="not-collected", **{**shown, "got": "0개"})
        if "must be tuple of Tensors" in about or "expected Tensor as element" in about:
            fail(symptom="not-appended", **shown)
        if any(sign in about for sign in ("zero-dimensional", "must be an iterable", "to unpack", "cannot unpack")):
            fail(symptom="other-scores", **shown)
        if in_forward(error):
            shown = {"expected": "self.model(입력)", "got": "입력 말고도 건넴"}
            fail(idea="forward", symptom="targets-to-model", **shown)
        raise


def scores_of(model, windows):
    """드롭아웃을 끈 모델의, 창들에 걸친 (평균 손실, 정확도)."""
    one = gradient_of(model, [windows])
    return [one.loss, one.accuracy]


@pytest.fixture(scope="module")
def validated(load, device):
    """드롭아웃이 있는 모델의 검증. 검증 로더는 창 다섯을 둘씩 냅니다."""
    with building(load, device) as new_trainer:
        return validate(new_trainer, device)


def validate(new_trainer, device):
    model = Bigram(dropout=0.5)
    trainer = new_trainer(model)
    result = evaluate(trainer)
    grad_is_on = torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    if not all(isinstance(getattr(result, name, None), float) for name in ("loss", "accuracy")):
        got = type(result).__name__
        fail(idea="검증", expected="Metrics", got=got, symptom="early-return")
    want = scores_of(model, pair_of(range(10, 15), device))
    seen = [*model.seen]
    return SimpleNamespace(
        trainer=trainer, model=model, result=result, seen=seen, want=want, grad_is_on=grad_is_on, device=device
    )


@todo("4-5")
def test_validation_is_done_in_eval_mode_without_gradients(validated):
    """드롭아웃을 끄고, 기울기를 따라가지 않으며 잽니다."""
    seen = validated.seen
    if seen and not all(one.wrapped for one in seen):
        shown = {"expected": "self.model", "got": "감싸지 않은 모델"}
        fail(idea="Fabric", symptom="unwrapped", **shown)
    if any(one.training for one in seen):
        shown = {"expected": "평가 모드", "got": "학습 모드"}
        if not seen[0].training:
            fail(idea="train/eval", symptom="train-inside", **shown)
        fail(idea="train/eval", symptom="no-eval", **shown)
    if any(one.grad for one in seen):
        shown = {"expected": "torch.no_grad() 안", "got": "기울기를 따라감"}
        fail(idea="no_grad", symptom="with-gradients", **shown)


@todo("4-5")
def test_training_mode_returns_after_validation(validated):
    """검증이 끝나면 학습 모드로 돌아옵니다."""
    if not (validated.model.dropout.training and validated.trainer.model.training):
        shown = {"expected": "학습 모드", "got": "평가 모드"}
        fail(idea="train/eval", symptom="stay-eval", **shown)
    if not validated.grad_is_on or not all(one.requires_grad for one in validated.model.parameters()):
        shown = {"expected": "기울기를 따라감", "got": "따라가지 않음"}
        fail(idea="no_grad", symptom="grad-left-off", **shown)


@todo("4-5")
def test_every_window_is_scored_once(validated):
    """검증 글의 모든 창을 한 번씩 잽니다."""
    got = sorted(tuple(row) for one in validated.seen for row in one.ids.tolist())
    want = sorted(tuple(row) for row in pair_of(range(10, 15))[0].tolist())
    if got != want:
        train = {tuple(row) for row in pair_of(range(6))[0].tolist()}
        symptom = "train-loader" if got and set(got) <= train else "some-batches" if len(got) < len(want) else None
        shown = {"expected": f"검증 창 {len(want)}개", "got": f"창 {len(got)}개"}
        fail("검증한 창이 검증 글의 창과 다릅니다.", idea="검증", symptom=symptom, **shown)


@todo("4-5")
def test_the_result_matches_the_reference(validated):
    """손실과 정확도가 창들의 평균과 같습니다."""
    got = [validated.result.loss, validated.result.accuracy]
    if close(got, validated.want, ATOL):
        return
    shown = {"idea": "모으기", "expected": show(validated.want), "got": show(got)}
    if matches(got, validated.want[::-1], ATOL):
        fail(symptom="other-scores", **shown)
    fail("검증의 손실과 정확도가 모든 창의 평균과 다릅니다.", symptom=wrong_scores(validated), **shown)


def wrong_scores(validated):
    """드롭아웃이 꺼져 있고 모든 창을 보았는데 값이 다르면, 모은 점수가 이상한 것입니다."""
    clean = validated.seen and not any(one.training for one in validated.seen)
    got = [validated.result.loss, validated.result.accuracy]
    for name, habit in HABITS.items():
        one = gradient_of(validated.model, [pair_of(range(10, 15), validated.device)], habit)
        if clean and matches(got, [one.loss, one.accuracy], ATOL):
            return name
    last = scores_of(validated.model, pair_of([14], validated.device))
    if clean and matches(got, [one / 5 for one in last], ATOL):
        return "last-batch-only"
    return "other-scores" if clean and sum(len(one.ids) for one in validated.seen) == 5 else None


@todo("4-5")
def test_another_loader_can_be_given(new_trainer, device):
    """다른 로더를 주면 그것을 잽니다."""
    model = Bigram(dropout=0.5)
    trainer = new_trainer(model)
    windows = pair_of(range(20, 23), device)
    result = evaluate(trainer, DataLoader(WindowsOf(range(20, 23), 3.75, device), batch_size=2))
    got = [len(one.ids) for one in model.seen]
    if sum(got) == 5:
        shown = {"expected": "받은 로더의 창 3개", "got": "검증 로더의 창 5개"}
        fail(idea="인수", symptom="fixed-loader", **shown)
    if result is not None and sum(got) == 3 and not any(one.training for one in model.seen):
        want = scores_of(model, windows)
        message = "다른 로더의 손실과 정확도가 다릅니다."
        assert_close([result.loss, result.accuracy], want, atol=ATOL, idea="검증", message=message)
