"""2-4의 검사: 디코더의 입력."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from course.checks.recognising import (
    Wrong,
    explained,
    recognise,
    require_shape,
    require_tensor,
    require_value,
    when,
)
from course.checks.side_effects import on_one_device
from course.checks.words import assert_equal, fail, todo
from tests.task2_summarization.checks.step2.common import IGNORED, shifted
from tests.task2_summarization.checks.support import PAD, START

LABELS = [  # 진짜 토큰에는 채움과 시작의 번호(9, 11)도 있습니다. 마지막 줄은 모두 빈칸입니다.
    [7, 31, 42, PAD, 53, 5],
    [7, 64, 5, IGNORED, IGNORED, IGNORED],
    [75, START, 86, 5, IGNORED, IGNORED],
    [IGNORED] * 6,
]
OTHER_PAD = 17  # 번호를 직접 적은 답은 둘 가운데 하나에서 드러납니다.
OTHER_START = 19


@pytest.fixture
def shift(load):
    """학생의 `shift_right`. 라벨을 바꾸었는지도 봅니다."""
    step = load(2)

    def watched(labels: Tensor, pad_id: int, start_id: int) -> Tensor:
        given = labels.clone()
        with explained(AS_INDEX):
            got = require_value(step.shift_right(given, pad_id, start_id), "inputs")
        if not torch.equal(given, labels):
            row = next(i for i, (one, two) in enumerate(zip(given, labels, strict=True)) if not torch.equal(one, two))
            expected, came = labels[row].tolist(), given[row].tolist()
            fail(idea="제자리에서 바꾸기", expected=expected, got=came, symptom="in-place")
        require_tensor(got, "inputs", symptom="not-tensor")
        return got

    return watched


AS_INDEX = when(
    f"index {IGNORED} is out of bounds", "ignored-as-index", idea="자리와 값", expected="-100인 자리", got="-100번 자리"
)


def wrong_inputs(labels: Tensor, pad_id: int, start_id: int) -> Wrong:
    """흔한 실수를 했을 때의 디코더 입력."""
    blank = labels == IGNORED
    filled = labels.masked_fill(blank, pad_id)
    first = labels[:, :1]
    with_start = filled.clone()
    with_start[:, 0] = start_id
    want = shifted(labels, pad_id, start_id)
    down = filled.roll(1, dims=0)
    raw = torch.cat([torch.full_like(first, start_id), labels[:, :-1]], dim=1)
    gone = raw == IGNORED
    ends = [torch.full_like(first, one) for one in (start_id, pad_id, IGNORED)]
    return [
        ("not-shifted", labels),
        ("not-shifted", filled),
        ("not-shifted", with_start),
        ("blanks-left", raw),
        *[("shifted-left", torch.cat([filled[:, 1:], end], dim=1)) for end in [*ends, filled[:, :1]]],
        *[("shifted-left", torch.cat([labels[:, 1:], end], dim=1)) for end in [*ends, first]],
        ("shifted-left", torch.cat([torch.full_like(first, start_id), filled[:, 2:], ends[1]], dim=1)),
        ("start-is-pad", want.masked_fill(torch.arange(labels.shape[1]) == 0, pad_id)),
        ("no-start", filled.roll(1, dims=1)),
        ("no-start", labels.roll(1, dims=1)),
        ("no-start", torch.cat([filled[:, :1], filled[:, :-1]], dim=1)),
        ("ids-swapped", shifted(labels, start_id, pad_id)),
        ("mask-before-shift", raw.masked_fill(blank, pad_id)),
        ("mask-before-shift", filled_first(raw, blank, pad_id, start_id)),
        *[("first-row-only", made) for made in started_rows(labels, pad_id, start_id)],
        *[("rows-run-on", made) for made in flat_rolls(labels, pad_id, start_id)],
        ("shifted-down", down),
        ("shifted-down", torch.cat([torch.full_like(first, start_id), down[:, 1:]], dim=1)),
        ("shifted-down", torch.cat([torch.full_like(filled[:1], start_id), filled[:-1]])),
        ("shifted-twice", shifted(shifted(labels, pad_id, start_id), pad_id, start_id)),
        *[("other-fill", raw.masked_fill(gone, one)) for one in (0, 1, 5, -IGNORED, start_id)],
        (
            "loop-overwrites",
            torch.cat([torch.full_like(first, start_id), filled[:, :1].expand(-1, labels.shape[1] - 1)], dim=1),
        ),
        *[("one-start", one) for one in begun_once(want, pad_id)],
        ("only-start", torch.full_like(labels, start_id)),
        ("below-pad", raw.clamp(min=pad_id)),
        ("inner-start", torch.cat([want[:, :1], want[:, 1:].masked_fill(want[:, 1:] == start_id, pad_id)], dim=1)),
    ]


def filled_first(raw: Tensor, blank: Tensor, pad_id: int, start_id: int) -> Tensor:
    """밀기 전의 빈칸 자리를 채운 다음 첫 칸에 시작을 놓은 것."""
    made = raw.masked_fill(blank, pad_id)
    made[:, 0] = start_id
    return made


def started_rows(labels: Tensor, pad_id: int, start_id: int) -> list[Tensor]:
    """시작 토큰을 첫 칸이 아니라 첫 줄에 적은 것들. 첫 칸에 남은 것은 처음에 채운 것이나 라벨의 것입니다."""
    made = []
    filled = labels.masked_fill(labels == IGNORED, pad_id)
    for first in (pad_id, 0, filled[:, 0], filled[:, -1]):
        one = shifted(labels, pad_id, start_id)
        one[:, 0] = first
        one[0] = start_id
        made.append(one)
    filled[0] = start_id
    return [*made, filled]


def begun_once(want: Tensor, pad_id: int) -> list[Tensor]:
    """첫 줄의 첫 칸에만 시작 토큰을 놓은 것들."""
    made = []
    for first in (pad_id, 0):
        one = want.clone()
        one[1:, 0] = first
        made.append(one)
    return made


def flat_rolls(labels: Tensor, pad_id: int, start_id: int) -> list[Tensor]:
    """줄의 끝이 다음 줄의 앞으로 넘어가게 민 것들. 축을 적지 않은 roll이 그렇습니다."""
    plain = labels.roll(1)
    begun = plain.clone()
    begun[0, 0] = start_id
    return [made for one in (plain, begun) for made in (one, one.masked_fill(one == IGNORED, pad_id))]


def check(got: Tensor, labels: Tensor, pad_id: int = PAD, start_id: int = START) -> None:
    """틀렸으면 무엇을 했는지 말합니다. 처음으로 다른 줄을 보입니다."""
    width = labels.shape[1]
    rows = labels.shape[0]
    wrong = {(width, rows): "transposed", (rows, width + 1): "too-wide", (rows, width - 1): "too-narrow"}
    require_shape(got, tuple(labels.shape), idea="모양", what="inputs", wrong=wrong)
    want = shifted(labels, pad_id, start_id)
    if not torch.equal(got.to(want.dtype), want):
        row = next(i for i in range(rows) if got[i].tolist() != want[i].tolist())
        more = {"expected": f"{want[row].tolist()}", "shown": f"{got[row].tolist()}"}
        if width > 1 and rows > 1:  # 한 칸이나 한 줄에서는 여러 실수가 같은 값을 냅니다.
            recognise(got, wrong_inputs(labels, pad_id, start_id), atol=0, idea="한 칸 밀기", **more)
            left = got == IGNORED
            if left.any() and torch.equal(got.masked_fill(left, pad_id).to(want.dtype), want):
                at = next(i for i in range(rows) if left[i].any())
                said = {"expected": f"{want[at].tolist()}", "got": f"{got[at].tolist()}"}
                fail(idea="빈칸", symptom="some-blanks-left", **said)
        assert_equal(got[row].tolist(), want[row].tolist(), idea="한 칸 밀기", message=f"{row}번 줄이 다릅니다.")
    if got.dtype != torch.int64:
        kind = str(got.dtype).removeprefix("torch.")
        fail(idea="자료형", expected="int64", got=kind, symptom="other-dtype")


@todo("2-4")
def test_each_place_holds_the_token_before_it(shift):
    """i번째 자리에는 i-1번째 정답이, 첫 자리에는 시작 토큰이 있습니다."""
    labels = torch.tensor(LABELS)
    check(shift(labels, PAD, START), labels)


@todo("2-4")
def test_ids_are_the_ones_given(shift):
    """채움과 시작의 번호는 받은 것입니다."""
    labels = torch.tensor(LABELS)
    check(shift(labels, OTHER_PAD, OTHER_START), labels, OTHER_PAD, OTHER_START)


@todo("2-4")
def test_a_label_of_one_token_becomes_the_start(shift):
    """한 칸짜리 라벨이면 시작 토큰뿐입니다."""
    labels = torch.tensor([[5], [IGNORED], [7]])
    check(shift(labels, PAD, START), labels)


@todo("2-4")
def test_one_summary_alone_is_shifted_too(shift):
    """배치가 하나뿐이어도 두 축이 남습니다."""
    labels = torch.tensor(LABELS[2:3])
    check(shift(labels, PAD, START), labels)


@todo("2-4")
def test_inputs_live_where_the_labels_do(shift):
    """새로 만든 것도 라벨과 같은 장치에 있습니다."""
    labels = torch.tensor(LABELS)
    with on_one_device("라벨과 같은 장치") as devices:
        got = shift(labels, PAD, START)
    devices.require_moved(got)
