"""1-3의 검사: 창의 수."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from course.checks.words import fail, todo
from tests.task3_lm.checks.step1.common import windows

GRID = [
    (total, length, stride) for total, length, stride in product(range(27), (1, 2, 3, 5, 8), (1, 2, 3, 4, 8, 11))
] + [(1_000, 8, 3), (1_000, 8, 8), (65_537, 256, 256), (65_536, 256, 256)]


@cache
def right_counts() -> list[int]:
    return [windows(*case) for case in GRID]


# 흔히 헷갈리는 셈. 모두 0보다 작아지지 않게 하여 견줍니다.
WRONG_COUNTS: dict[str, list[Callable[[int, int, int], float]]] = {
    "no-target": [
        lambda total, length, stride: (total - length) // stride + 1 if total >= length else 0,
        lambda total, length, stride: (total - length) // stride + 1,
        lambda total, length, stride: (total - length + 1) // stride + 1,
    ],
    "one-less": [lambda total, length, stride: (total - length - 1) // stride],
    "one-more": [lambda total, length, stride: (total - length - 1) // stride + 2],
    "target-minus": [
        lambda total, length, stride: (total - length - 2) // stride + 1,
        lambda total, length, stride: (total - length) // stride,
        lambda total, length, stride: windows(total, length, stride) if total > length + 1 else 0,
    ],
    "no-stride": [
        lambda total, length, stride: total,
        lambda total, length, stride: total - length,
        lambda total, length, stride: total - length - 1,
        lambda total, length, stride: total - length + 1,
    ],
    "length-is-stride": [
        lambda total, length, stride: (total - length - 1) // length + 1,
        lambda total, length, stride: (total - 1) // length,
        lambda total, length, stride: total // length,
        lambda total, length, stride: total // (length + 1),
    ],
    "no-length": [
        lambda total, length, stride: total // stride,
        lambda total, length, stride: (total - 1) // stride,
        lambda total, length, stride: (total - 1) // stride + 1,
        lambda total, length, stride: math.ceil(total / stride),
    ],
    "partial": [
        lambda total, length, stride: math.ceil((total - length - 1) / stride) + 1 if total > length else 0,
        lambda total, length, stride: math.ceil((total - length) / stride) + 1 if total >= length else 0,
    ],
    "truncated": [lambda total, length, stride: int((total - length - 1) / stride) + 1],
    "precedence": [
        lambda total, length, stride: total - length - 1 // stride + 1,
        lambda total, length, stride: total - (length + 1) // stride + 1,
    ],
    "two-lengths": [lambda total, length, stride: (total - 2 * length) // stride + 1],
    "roles-swapped": [
        lambda total, length, stride: (total - stride - 1) // length + 1,
        lambda total, length, stride: (total - stride) // length + 1,
        lambda total, length, stride: (total - stride) // length,
    ],
    "at-least-one": [lambda total, length, stride: max(1, windows(total, length, stride))],
}


def counted(step: Any, total: int, length: int, stride: int) -> int | None:
    """학생의 `len(dataset)`. 음수여서 파이썬이 받지 않으면 None입니다."""
    dataset = step.WindowDataset(np.zeros(total, dtype="uint16"), length, stride)
    try:
        return len(dataset)
    except ValueError as error:
        if "should return >= 0" not in str(error):
            raise
        return None
    except TypeError as error:
        if "cannot be interpreted as an integer" not in str(error):
            raise
        kind = str(error).split("'")[1]
        symptom = "not-int" if kind == "float" else None
        message = "창의 수가 정수가 아닙니다."
        fail(message, idea="몫", expected="int", got=kind, symptom=symptom, **case_of(total, length, stride))


def case_of(total: int, length: int, stride: int) -> dict[str, Any]:
    case = f"토큰 {total}개, 길이 {length}, 간격 {stride}"
    return {"case": case, "total": total, "length": length, "stride": stride}


@todo("1-3")
def test_windows_are_counted_as_by_hand(load):
    """창의 수는 하나씩 세어 본 것과 같습니다. 글이 길든 짧든, 간격이 길이보다 좁든 넓든 그렇습니다."""
    step, want = load(1), right_counts()
    got = [counted(step, *case) for case in GRID]
    if got == want:
        return
    known = [one or 0 for one in got]  # 음수는 0으로 보고, 그것 말고도 다른지부터 봅니다.
    wrong = [index for index, (a, b) in enumerate(zip(known, want, strict=True)) if a != b]
    if not wrong or None in got and len(set(got)) == 1:
        index = got.index(None)
        expected = f"{want[index]}개"
        fail(idea="짧은 글", expected=expected, got="음수", symptom="negative", **case_of(*GRID[index]))
    symptom = next((name for name, rules in WRONG_COUNTS.items() for rule in rules if same(known, rule)), "other-count")
    if len(set(got)) == 1:
        symptom = "constant"
    # 설명하기 쉬운 보기를 고릅니다: 창이 두셋이고, 길이와 간격이 1이 아닌 것.
    index = next((i for i in wrong if want[i] in (2, 3) and GRID[i][1] >= 3 and GRID[i][2] >= 2), wrong[0])
    case, count = case_of(*GRID[index]), known[index]
    fail(
        idea="창의 수",
        expected=f"{want[index]}개",
        got=f"{count}개" if got[index] is not None else "음수",
        symptom=symptom,
        last=(count - 1) * case["stride"] + case["length"],
        **case,
    )


def same(got: list[int], rule: Callable[[int, int, int], float]) -> bool:
    return got == [max(0, rule(*case)) for case in GRID]
