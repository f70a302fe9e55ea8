"""1-4의 검사: 창의 내용."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from course.checks.words import fail, todo
from tests.task3_lm.checks.step1.common import LENGTH, STRIDE, TOTAL

PLACES = (0, 1, 5, 8)  # 마지막 것은 마지막 창입니다: 8 x 4 + 6 + 1 = 39


@cache
def tokens() -> np.ndarray:
    """서로 다르고 이웃과도 차이가 고르지 않은 번호들. 메모리 맵처럼 읽기만 됩니다."""
    made = np.random.default_rng(5).permutation(np.arange(60_000, 60_000 + 7 * TOTAL, 7)).astype("uint16")
    made.flags.writeable = False
    return made


def window(step: Any, index: int) -> tuple[list[int], list[int]]:
    """학생의 `index`번째 창. 텐서로 바꿀 수 없는 것을 담았으면 그렇다고 말합니다."""
    dataset = step.WindowDataset(tokens(), LENGTH, STRIDE)
    try:
        inputs, targets = dataset[index]
        again = [dataset[index] for _ in range(4)]
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        fail(idea="슬라이스", expected="읽기만", got=f"ValueError: {error}", symptom="in-place")
    except AttributeError as error:
        if "no attribute 'astype'" not in str(error):
            raise
        kind = str(error).split("'")[1]
        fail(idea="배열", expected="numpy 배열", got=kind, symptom="not-array")
    except TypeError as error:
        if "expected np.ndarray" not in str(error):
            raise
        fail(idea="창", expected=f"토큰 {LENGTH}개", got="토큰 1개", symptom="one-token")
    if any(not torch.equal(inputs, one) or not torch.equal(targets, two) for one, two in again):
        fail(idea="창", expected="언제나 같은 창", got="다른 창", symptom="random-window", index=index)
    if inputs.dim() != 1 or targets.dim() != 1:
        got = f"{tuple(inputs.shape)}, {tuple(targets.shape)}"
        fail(idea="창의 모양", expected=f"({LENGTH},), ({LENGTH},)", got=got, symptom="extra-axis")
    return inputs.tolist(), targets.tolist()


def part(start: int, stop: int) -> list[int]:
    """`tokens()`의 한 부분. 앞으로 벗어난 자리는 파이썬의 슬라이스를 따릅니다."""
    return tokens()[start:stop].tolist()


@todo("1-4")
def test_inputs_start_at_the_window(load):
    """입력은 start에서 시작하는 max_seq_len개의 토큰입니다."""
    for index in PLACES:
        got, targets = window(load(1), index)
        start = index * STRIDE
        want = part(start, start + LENGTH)
        if got == want:
            continue
        shifted = part(start + 1, start + LENGTH + 1)
        known = {
            "swapped": got == shifted and targets == want,
            "not-shifted": got == shifted and targets == shifted,
            "index-not-start": got == part(index, index + LENGTH),
            "window-plus-one": got == part(start, start + LENGTH + 1),
            "window-minus-one": got == part(start, start + LENGTH - 1),
            "to-the-end": got == part(start, TOTAL),
            "starts-early": got == part(start - 1, start - 1 + LENGTH),
            "length-is-stop": got == part(start, LENGTH),
            "length-is-stride": got == part(index * LENGTH, (index + 1) * LENGTH),
            "narrow-ints": got == narrowed(want),
            "stride-is-length": got == part(start, start + STRIDE),
        }
        blame("입력", "inputs", index, got, want, known)


@todo("1-4")
def test_targets_are_one_token_later(load):
    """정답의 i번째는 입력의 i번째 바로 다음 토큰입니다."""
    for index in PLACES:
        inputs, got = window(load(1), index)
        start = index * STRIDE
        want = part(start + 1, start + LENGTH + 1)
        if got == want:
            continue
        plain = part(start, start + LENGTH)
        known = {
            "not-shifted": got == plain and inputs == plain,
            "swapped": got == plain and inputs == want,
            "starts-early": got == plain and inputs == part(start - 1, start - 1 + LENGTH),
            "index-not-start": got == part(index + 1, index + LENGTH + 1),
            "shifted-back": got == (part(start - 1, start - 1 + LENGTH) if start else part(-1, LENGTH - 1)),
            "shifted-two": got == part(start + 2, start + LENGTH + 2),
            "shifted-stride": got == part(start + STRIDE, start + STRIDE + LENGTH),
            "window-minus-one": got == part(start + 1, start + LENGTH),
            "window-plus-one": got == part(start + 1, start + LENGTH + 2),
            "narrow-ints": got == narrowed(want),
            "next-window": got == part(start + LENGTH, start + 2 * LENGTH),
            "one-token": got == part(start + LENGTH, start + LENGTH + 1),
            "to-the-end": got == part(start + 1, TOTAL),
            "length-is-stop": got == part(start + 1, LENGTH + 1),
            "length-is-stride": got == part(index * LENGTH + 1, (index + 1) * LENGTH + 1),
            "stride-is-length": got == part(start + 1, start + STRIDE + 1),
            "rolled": got == [*plain[1:], plain[0]],
            "made-up-last": len(got) == LENGTH and got[:-1] == want[:-1],
            "value-plus-one": got == [(one + 1) % 2**16 for one in plain],
        }
        blame("정답", "targets", index, got, want, known)


def narrowed(tokens: list[int]) -> list[int]:
    """부호가 있는 16비트에 담았을 때의 번호. 32,767보다 큰 것은 음수가 됩니다."""
    return np.array(tokens).astype("int16").tolist()


def blame(what: str, name: str, index: int, got: list[int], want: list[int], known: dict[str, bool]) -> None:
    """틀린 창을 말합니다. 길이부터 다르면 길이를, 같으면 값을 적습니다."""
    symptom = next((one for one, is_it in known.items() if is_it), "other-window")
    length = len(got) != len(want)
    fail(
        idea="창",
        expected=f"{len(want)}개" if length else want,
        got=f"{len(got)}개" if length else got,
        symptom=symptom,
        what=what,
        name=name,
    )
