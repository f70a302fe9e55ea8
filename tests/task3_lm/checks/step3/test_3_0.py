"""3-0의 검사: AdamW의 한 스텝."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from course.checks.recognising import Wrong, recognise, require_shape, require_tensor, require_value, sound
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_close, close, todo
from tests.task3_lm.checks.support import normal

ATOL = 1e-5  # 값은 1쯤이고 행렬곱이 없어 차이는 1e-7쯤입니다. 가장 가까운 실수는 1e-3 넘게 다릅니다.
OPTIONS = {"lr": 0.17, "betas": (0.83, 0.94), "eps": 0.05, "weight_decay": 0.6}
NAMES = ("new_weight", "new_mean", "new_square")


def by_torch(grads: list[torch.Tensor], weight: torch.Tensor, **options: Any) -> list[list[torch.Tensor]]:
    """기울기마다 `torch.optim.AdamW`가 한 스텝 고친 뒤의 [가중치, mean, square]."""
    leaf = weight.clone().requires_grad_()
    optimizer = torch.optim.AdamW([leaf], foreach=False, **{**OPTIONS, **options})
    made = []
    for grad in grads:
        leaf.grad = grad.clone()
        optimizer.step()
        state = optimizer.state[leaf]
        made.append([leaf.detach().clone(), state["exp_avg"].clone(), state["exp_avg_sq"].clone()])
    return made


def updated(
    weight: torch.Tensor,
    mean: torch.Tensor,
    square: torch.Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    fixed: tuple[bool, bool] = (True, True),
    inside: bool = False,
) -> torch.Tensor:
    """두 이동평균에서 구한 가중치. `fixed`는 치우침을 고쳤는지, `inside`는 eps를 제곱근 안에 더했는지."""
    if fixed[0]:
        mean = mean / (1 - betas[0] ** step)
    if fixed[1]:
        square = square / (1 - betas[1] ** step)
    below = (square + eps).sqrt() if inside else square.sqrt() + eps
    return weight * (1 - lr * weight_decay) - lr * mean / below


def wrong_weights(weight: torch.Tensor, grad: torch.Tensor, before: list[torch.Tensor], step: int) -> Wrong:
    """헷갈리기 쉬운 스텝들의 새 가중치."""
    (beta1, beta2), lr, decay = OPTIONS["betas"], OPTIONS["lr"], OPTIONS["weight_decay"]
    mean, square = beta1 * before[0] + (1 - beta1) * grad, beta2 * before[1] + (1 - beta2) * grad**2
    no_decay = {**OPTIONS, "weight_decay": 0.0}
    pulled = grad + decay * weight
    mixed = beta1 * before[0] + (1 - beta1) * pulled, beta2 * before[1] + (1 - beta2) * pulled**2
    yield "adam-l2", updated(weight, *mixed, step, **no_decay)
    for fixed in ((False, False), (False, True), (True, False)):
        yield "no-correction", updated(weight, mean, square, step, fixed=fixed, **OPTIONS)
    yield "eps-inside", updated(weight, mean, square, step, inside=True, **OPTIONS)
    plain = updated(weight, mean, square, step, **no_decay)
    yield "decay-after", plain * (1 - lr * decay)
    yield "no-decay", plain
    yield "decay-without-lr", plain - decay * weight
    yield "decay-up", plain + lr * decay * weight
    for other in (step - 1, step + 1):
        yield "other-step", updated(weight, mean, square, other, **OPTIONS)
    yield "no-power", updated(weight, mean, square, 1, **OPTIONS)
    yield "uphill", weight * (2 - lr * decay) - plain
    yield "old-averages", updated(weight, before[0], before[1], step, **OPTIONS)
    yield "grad-only", weight * (1 - lr * decay) - lr * grad / ((square / (1 - beta2**step)).sqrt() + OPTIONS["eps"])
    for root in (square / (1 - beta2**step), torch.ones_like(square)):
        yield "no-root", weight * (1 - lr * decay) - lr * mean / (1 - beta1**step) / (root + OPTIONS["eps"])


def wrong_averages(grad: torch.Tensor, before: torch.Tensor, beta: float, other: float, step: int) -> Wrong:
    """헷갈리기 쉬운 이동평균들. `grad`는 더할 것(기울기나 그 제곱)입니다."""
    right = beta * before + (1 - beta) * grad
    yield "corrected-kept", right / (1 - beta**step)
    yield "betas-swapped", other * before + (1 - other) * grad
    yield "weights-swapped", (1 - beta) * before + beta * grad
    yield "summed", beta * before + grad
    yield "summed", before + (1 - beta) * grad
    yield "not-kept", before
    yield "not-kept", grad


def one_step(load: Any, weight: Any, grad: Any, mean: Any, square: Any, step: int, **options: Any) -> list[Any]:
    """학생의 한 스텝: [가중치, mean, square]."""
    module = load(3)
    given = {"weight": weight.clone(), "grad": grad.clone(), "mean": mean.clone(), "square": square.clone()}
    with no_side_effects(inputs=given, random_state=True):
        made = module.adamw_step(**given, step=step, **{**OPTIONS, **options})
    for name, got in zip(NAMES, made, strict=True):
        require_value(got, name)
        require_tensor(got, name)
        require_shape(got, tuple(weight.shape), idea="원소마다의 셈", what=name)
    return list(made)


@pytest.fixture
def run(device):
    """가중치, 기울기 다섯, 그리고 PyTorch의 스텝마다의 값."""
    shape = (4, 3)
    weight = 1.3 * normal(*shape, seed=61).to(device)
    grads = [0.7 * normal(*shape, seed=62 + i).to(device) for i in range(5)]
    return weight, grads, by_torch(grads, weight)


def steps_rightly(load: Any, run: Any, at: int) -> bool:
    weight, grads, want = run
    got = one_step(load, *(want[at - 1][0], grads[at], *want[at - 1][1:]), step=at + 1)
    return all(close(one, other, ATOL) for one, other in zip(got, want[at], strict=True))


@todo("3-0")
def test_step_matches_pytorch(load, run):
    """네 번째 스텝의 세 값이 torch.optim.AdamW와 같습니다."""
    weight, grads, want = run
    before, grad = want[2], grads[3]
    got = one_step(load, before[0], grad, *before[1:], step=4)
    beta1, beta2 = OPTIONS["betas"]
    if not close(got[1], want[3][1], ATOL):
        pulled = beta1 * before[1] + (1 - beta1) * (grad + OPTIONS["weight_decay"] * before[0])
        wrong = [("adam-l2-averages", pulled), *wrong_averages(grad, before[1], beta1, beta2, 4)]
        recognise(got[1], wrong, atol=ATOL, idea="이동평균", expected=want[3][1], name="new_mean")
        assert_close(got[1], want[3][1], atol=ATOL, idea="이동평균", message="new_mean이 기대와 다릅니다.")
    if not close(got[2], want[3][2], ATOL):
        not_squared = beta2 * before[2] + (1 - beta2) * grad
        recognise(got[2], [("not-squared", not_squared)], atol=ATOL, idea="제곱의 이동평균", expected=want[3][2])
        wrong = wrong_averages(grad**2, before[2], beta2, beta1, 4)
        recognise(got[2], wrong, atol=ATOL, idea="제곱의 이동평균", expected=want[3][2], name="new_square")
        assert_close(got[2], want[3][2], atol=ATOL, idea="이동평균", message="new_square가 기대와 다릅니다.")
    if not close(got[0], want[3][0], ATOL):
        wrong = wrong_weights(before[0], grad, before[1:], 4)
        recognise(got[0], wrong, atol=ATOL, idea="AdamW", expected=want[3][0])
        assert_close(got[0], want[3][0], atol=ATOL, idea="AdamW", message="new_weight가 기대와 다릅니다.")


@todo("3-0")
def test_first_step_from_nothing(load, run):
    """처음에는 두 이동평균이 0입니다."""
    weight, grads, want = run
    if not sound(lambda: steps_rightly(load, run, 3)):
        return
    nothing = torch.zeros_like(weight)
    got = one_step(load, weight, grads[0], nothing, nothing, step=1)
    for name, one, other in zip(NAMES, got, want[0], strict=True):
        assert_close(one, other, atol=ATOL, idea="첫 스텝", message=f"첫 스텝의 {name}가 기대와 다릅니다.")


@todo("3-0")
def test_other_numbers_give_other_steps(load, run):
    """네 수를 건네받은 대로 씁니다."""
    weight, grads, _ = run
    if not sound(lambda: steps_rightly(load, run, 3)):
        return
    for changed in ({"lr": 0.31}, {"betas": (0.71, 0.88)}, {"eps": 0.4}, {"weight_decay": 0.23}):
        want = by_torch(grads[:2], weight, **changed)
        got = one_step(load, want[0][0], grads[1], *want[0][1:], step=2, **changed)
        message = f"{next(iter(changed))}를 다르게 건네면 가중치가 기대와 다릅니다."
        assert_close(got[0], want[1][0], atol=ATOL, idea="옵티마이저의 설정", message=message)
