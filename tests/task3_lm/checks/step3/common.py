"""3단계의 검사들이 함께 쓰는 것."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from course.checks.recognising import Explanation, Wrong, explained, when
from course.checks.words import CheckFailed, fail, show
from todo import TodoNotDone

BATCH, LENGTH, VOCAB = 6, 11, 13  # 서로 달라, 축을 헷갈리면 값이나 모양이 어긋납니다.
SEED = 9913  # 흔한 실수들의 값이 옳은 값과도, 서로와도 다른 시드
ATOL = 1e-3  # 견주는 값의 크기는 1쯤입니다. fp32의 차이는 1e-6쯤, 가장 가까운 실수는 1e-2쯤입니다.
EXACT = 1e-4  # 텐서를 쓰지 않는 식. 32비트로 계산해도 1e-6쯤 다릅니다.
FINE = 2e-5  # 소수 넷째 자리에서 반올림한 것과 3e-5쯤 다르게 고른 지표의 값
SHARE = 4e-6  # 지표를 옳은 값으로 나눈 것과 1의 차이. 지표의 실수를 서로 가려낼 때에도 씁니다.


stopped = partial(when, idea="건네는 것")  # 라이브러리가 받을 수 없는 것을 건네어 멈춘 실수


def tensors(device: str, *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    """크기가 1쯤인 로짓과 정답. 정답의 절반쯤은 로짓이 가장 큰 토큰이고, 0번 토큰도 있습니다."""
    generator = torch.Generator().manual_seed(SEED)
    logits = 1.5 * torch.randn(*shape, generator=generator)
    targets = torch.randint(shape[-1], shape[:-1], generator=generator)
    right = torch.rand(shape[:-1], generator=generator) < 0.4
    targets = torch.where(right, logits.argmax(dim=-1), targets)
    # 축을 적지 않은 argmax가 내는 번호(2)와, 번호가 아니라 값을 견준 것(3.0)이 우연히 맞는 자리를 둡니다.
    logits[0, 0, 2], logits[1, 1, 1], targets[1, 1] = logits.max() + 1, 3.0, 3
    # 하나도 맞히지 못한 창과 통째로 맞힌 창도 하나씩 둡니다.
    targets[0], targets[-1] = (logits[0].argmax(dim=-1) + 1) % shape[-1], logits[-1].argmax(dim=-1)
    targets[0, 0] = 0
    return logits.to(device), targets.to(device)


# ── 3-1 손실

NO_F = stopped("name 'F' is not defined", "alias", expected="이 파일이 불러온 이름")
REUSED = stopped("is being used in an in-place operation", "inputs-changed", expected="그대로인 로짓")


def picked(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """자리마다 정답의 점수, (배치, 길이)."""
    return scores.gather(-1, targets[..., None])[..., 0]


def of_ones(step: Callable, step3: Any, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """크기가 1인 축이 있는 로짓에서 부른 결과. 흔한 크기에서는 옳은 답이 멈추었으면 NaN입니다."""
    try:
        return step(step3, logits, targets)
    except (CheckFailed, IndexError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, TodoNotDone):
            raise
        return torch.tensor(math.nan)


def fail_of_ones(logits: torch.Tensor, got: torch.Tensor, want: torch.Tensor, is_right: bool) -> None:
    """크기가 1인 축이 있을 때만 틀렸다고 말합니다."""
    if not is_right:
        shape, came = tuple(logits.shape), "멈춤" if got.isnan() else show(got)
        fail(idea="크기가 1인 축", expected=show(want), got=came, symptom="of-ones", shape=str(shape))


# ── 3-4 혼란도, 3-5 바이트당 비트

NOT_A_TENSOR = "must be Tensor, not|'float' object has no attribute"
METRIC_ERRORS = [
    stopped("cannot assign to field", "assigned-to-self", expected="value에 담기"),
    stopped(NOT_A_TENSOR, "not-a-tensor", expected="파이썬의 수를 받는 함수"),
]
LARGE = (30.0, 100.0, 650.0)  # 이미 망가진 모델이나 잘못 건넨 정답의 손실


def metric(step3: Any, name: str, loss: float, size: float, known: Sequence[Explanation]) -> float:
    """손실과 토큰의 크기에서 구한 지표 하나."""
    made = step3.Metrics(loss, 0.25, size)
    with explained(*known):
        got = getattr(made, name)
    if isinstance(got, torch.Tensor):
        fail(idea="자료형", expected="float", got="Tensor", symptom="tensor")
    if not isinstance(got, numbers.Real):
        fail(f"{name}이(가) 수가 아닙니다.", idea="자료형", expected="float", got=type(got).__name__)
    return float(got)


def roundings(want: float) -> Wrong:
    """정수로 만들거나 소수 몇 자리에서 반올림한 값들."""
    return [
        ("integer", float(math.floor(want))),
        ("integer", float(math.ceil(want))),
        *[("rounded", round(want, digits)) for digits in (4, 3, 2, 1)],
    ]
