"""2-5의 검사: 대화를 배치로.

요약이 없는 항목들로 봅니다. 라벨을 묶는 2-6이 비어 있어도 검사됩니다.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from course.checks.recognising import Wrong, explained, recognise, require_value, when
from course.checks.words import CheckFailed, assert_equal, fail, todo
from tests.task2_summarization.checks.step2.common import filled, what_changed
from tests.task2_summarization.checks.support import PAD, START

LENGTHS = [5, 13, 3, 10]  # 가장 긴 13은 어느 수의 배수로 올려도 달라집니다.
OTHER_PAD = 17


@pytest.fixture
def rows():
    """길이가 다른 대화 넷. 글 안과 끝에도 채움 토큰(과 0)이 있습니다."""
    made = [list(range(20 * (i + 1), 20 * (i + 1) + n)) for i, n in enumerate(LENGTHS)]
    made[0][2] = PAD
    made[1][4] = 0
    made[2][-1] = PAD
    made[3][6] = OTHER_PAD
    return made


@pytest.fixture
def collate(load):
    """대화들을 묶는 학생의 Collator. 받은 목록을 바꾸었는지도 봅니다."""
    step = load(2)
    ragged = "expected sequence of length|equal size|must match the size"

    def collated(rows: list[list[int]], pad_id: int = PAD) -> tuple[Tensor, Tensor]:
        features = [{"input_ids": list(row)} for row in rows]
        given = copy.deepcopy(features)
        with explained(when(ragged, "not-padded", idea="채움(padding)", expected="모두 같은 길이")):
            batch = step.Collator(pad_id, START)(features)
        if features != given:
            fail(idea="부작용", expected="받은 그대로", got=what_changed(given, features), symptom="in-place")
        ids = checked(batch["input_ids"], "input_ids", len(rows))
        mask = checked(batch["attention_mask"], "attention_mask", len(rows))
        less = max(map(len, rows)) - 1
        if mask.shape[1] == less and torch.equal(mask, filled([[1] * (len(row) - 1) for row in rows], 0)):
            fail(
                idea="attention_mask",
                expected=f"({len(rows)}, {less + 1})",
                got=tuple(mask.shape),
                symptom="end-masked",
            )
        if mask.shape != ids.shape and mask.shape[1] == len(rows) and bool((mask == 1).all()):
            shapes = {"expected": f"{tuple(ids.shape)}", "got": f"{tuple(mask.shape)}"}
            fail(idea="배치의 모양", symptom="mask-of-batch", **shapes)
        assert_equal(tuple(mask.shape), tuple(ids.shape), idea="배치의 모양", message="두 텐서의 모양이 다릅니다.")
        return ids, mask

    return collated


def checked(got: Any, name: str, count: int) -> Tensor:
    """(배치, 길이)의 텐서. 아니면 무엇이 왔는지 말합니다."""
    require_value(got, name)
    if not isinstance(got, Tensor):
        kind = type(got).__name__
        fail(idea="텐서", expected="텐서", got=kind, symptom="not-tensor", name=name)
    shape = tuple(got.shape)
    if len(shape) != 2 or shape[0] != count:
        symptom = "transposed" if shape[1:] == (count,) else "other-shape"
        fail(idea="배치의 모양", expected=f"({count}, 길이)", got=shape, symptom=symptom, name=name)
    return got


@todo("2-5")
def test_width_is_the_longest_of_the_batch(collate, rows):
    """길이는 이 배치에서 가장 긴 대화에 꼭 맞춥니다."""
    batches = (rows, rows[::2], rows[2:])  # 13칸, 5칸, 10칸
    widths = [collate(batch)[0].shape[1] for batch in batches]
    longest = [max(map(len, batch)) for batch in batches]
    for got, want in zip(widths, longest, strict=True):
        if got == want:
            continue
        said = {"expected": f"{want}칸", "got": f"{got}칸"}
        if got < want:
            fail(idea="채움(padding)", symptom="cut", **said)
        if len(set(widths)) == 1 and not grows(collate, rows, got):
            fail(idea="채움(padding)", symptom="fixed-width", **said)
        unit = next(
            (unit for unit in (64, 32, 16, 8, 4, 2) if widths == [-(-one // unit) * unit for one in longest]), 0
        )
        if unit:
            fail(idea="채움(padding)", symptom="rounded-width", unit=unit, **said)
        fail("가장 긴 대화와 길이가 다릅니다.", idea="채움(padding)", **said)


def grows(collate: Any, rows: list[list[int]], width: int) -> bool:
    """`width`보다 긴 대화가 있으면 배치도 길어지는지. 길이를 못 박은 답은 자르거나 멈춥니다."""
    try:
        return collate([*rows, [20] * (width + 1)])[0].shape[1] > width
    except (CheckFailed, ValueError, RuntimeError):
        return False


def wrong_ids(rows: list[list[int]], pad_id: int) -> Wrong:
    """오른쪽에 `pad_id`를 채우지 않았을 때의 번호들."""
    ordered = sorted(rows, key=len)
    return [
        ("left", filled(rows, pad_id, left=True)),
        *[("other-fill", filled(rows, one)) for one in (0, 1, -100, START, PAD)],
        *[("other-order", filled(one, pad_id)) for one in (ordered, ordered[::-1], rows[::-1])],
    ]


@todo("2-5")
def test_dialogues_stay_and_blanks_are_the_pad_token(collate, rows):
    """대화는 왼쪽에 그대로 있고, 오른쪽 빈칸은 pad_id로 채웁니다. 순서는 받은 그대로입니다."""
    for pad_id in (PAD, OTHER_PAD):
        got = collate(rows, pad_id)[0]
        want = filled(rows, pad_id)
        if not torch.equal(got.to(want.dtype), want):
            more = {"expected": f"{want[2].tolist()}", "shown": f"{got[2].tolist()}"}
            recognise(got, wrong_ids(rows, pad_id), atol=0, idea="채움(padding)", pad=pad_id, **more)
        for row, (ids, right) in enumerate(zip(got.tolist(), want.tolist(), strict=True)):
            message = f"{row}번 대화의 토큰이나 빈칸이 다릅니다."
            assert_equal(ids, right, idea="채움(padding)", message=message)
        check_dtype(got, "input_ids")


def until_pad(is_pad: Tensor) -> list[Tensor]:
    """처음 나온 채움의 앞까지만 1인 것들. 채움이 없는 줄은 모두 1이거나(cumsum) 모두 0입니다(argmax)."""
    before = is_pad.cumsum(dim=1) == 0
    return [before, before & is_pad.any(dim=1, keepdim=True)]


def wrong_masks(rows: list[list[int]], pad_id: int) -> Wrong:
    """마스크를 길이가 아닌 것에서 알아냈을 때의 값들."""
    ids = filled(rows, pad_id)
    want = filled([[1] * len(row) for row in rows], 0)
    return [
        ("mask-of-ids", ids != pad_id),
        *[("first-pad", one) for one in until_pad(ids == pad_id)],
        ("mask-of-zeros", ids != 0),
        ("mask-of-zeros", filled(rows, 0) != 0),
        ("one-more", torch.arange(want.shape[1]) <= want.sum(dim=1, keepdim=True)),
        ("end-masked", want * (want.cumsum(dim=1) < want.sum(dim=1, keepdim=True))),
        *[("mask-of-scores", (1 - want) * low) for low in (float(torch.finfo(torch.float32).min), -1e9, -1e4)],
        ("mask-of-places", want * want.cumsum(dim=1)),
        ("mask-of-places", want * (want.cumsum(dim=1) - 1)),
        ("mask-reversed", 1 - want),
        ("mask-reversed", ids == pad_id),
        ("mask-of-ones", torch.ones_like(want)),
        ("mask-fill", filled([[1] * len(row) for row in rows], pad_id)),
        ("mask-left", filled([[1] * len(row) for row in rows], 0, left=True)),
        ("mask-is-ids", ids),
        ("mask-is-ids", filled(rows, 0)),
    ]


@todo("2-5")
def test_mask_tells_tokens_from_blanks(collate, rows):
    """attention_mask는 진짜 토큰이 1, 채운 자리가 0입니다. 글 안의 채움 토큰도 진짜 토큰입니다."""
    for pad_id in (PAD, OTHER_PAD):
        got = collate(rows, pad_id)[1]
        want = filled([[1] * len(row) for row in rows], 0)
        if not torch.equal(got.to(want.dtype), want):
            index = next(i for i in range(len(rows)) if got[i].tolist() != want[i].tolist())
            more = {"expected": f"{want[index].tolist()}", "shown": f"{got[index].long().tolist()}"}
            finite = got.double().nan_to_num(neginf=-1e9)
            recognise(finite, wrong_masks(rows, pad_id), atol=0, idea="attention_mask", row=index, **more)
            message = f"{index}번 대화의 마스크가 다릅니다."
            assert_equal(got[index].tolist(), want[index].tolist(), idea="attention_mask", message=message)
        check_dtype(got, "attention_mask")


def check_dtype(got: Tensor, name: str) -> None:
    """번호와 표시는 정수입니다."""
    if got.dtype != torch.int64:
        kind = str(got.dtype).removeprefix("torch.")
        fail(idea="자료형", expected="int64", got=kind, symptom="other-dtype", name=name)


@todo("2-5")
def test_one_dialogue_is_a_batch_too(collate, rows):
    """대화가 하나뿐이어도 두 축이 남습니다."""
    ids, mask = collate(rows[1:2])
    assert_equal(ids.tolist(), rows[1:2], idea="배치의 모양", message="대화 하나의 input_ids가 다릅니다.")
    assert_equal(mask.tolist(), [[1] * 13], idea="배치의 모양", message="대화 하나의 attention_mask가 다릅니다.")
