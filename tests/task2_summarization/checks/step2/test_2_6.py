"""2-6의 검사: 라벨을 배치로.

`shift_right` 자리에 옳은 것을 대신 둡니다. 2-4가 비어 있거나 틀려도 검사됩니다.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from course.checks.recognising import Wrong, explained, recognise, when
from course.checks.words import assert_equal, fail, known_as, todo
from tests.task2_summarization.checks.step2.common import IGNORED, filled, shifted, what_changed
from tests.task2_summarization.checks.support import PAD, START

DIALOGUES = [[7, 21, 22, 23, 24, 25, 26, 27, 5], [7, 28, 5], [7, 29, 30, 31, 32, 33, 5], [7, 34, 35, 36, 5]]
SUMMARIES = [  # 길이의 차례가 대화와 다르고, 글 안에 채움의 번호(9)가 있습니다.
    [7, 41, PAD, 5],
    [7, 42, 43, 44, 45, 46, 5],
    [7, 47, 48, 49, PAD, 5],
    [7, 50, 5],
]
OTHER_PAD = 17
OTHER_START = 19


@known_as("shift_right")
def shift_right(labels: Any, pad_id: int, start_id: int) -> Tensor:
    """학생의 2-4 자리에 대신 두는 것."""
    return shifted(labels, pad_id, start_id)


@pytest.fixture
def collate(load, monkeypatch):
    """항목들을 묶는 학생의 Collator. 받은 목록을 바꾸었는지도 봅니다."""
    step = load(2)
    monkeypatch.setattr(step, "shift_right", shift_right)
    ragged = "expected sequence of length|equal size|must match the size"

    def collated(count: int = 4, pad_id: int = PAD, start_id: int = START) -> Mapping[str, Tensor]:
        pairs = zip(DIALOGUES[:count], SUMMARIES[:count], strict=True)
        features = [{"input_ids": list(ids), "labels": list(labels)} for ids, labels in pairs]
        given = copy.deepcopy(features)
        with explained(when(ragged, "not-padded", idea="채움(padding)", expected="모두 같은 길이")):
            batch = step.Collator(pad_id, start_id)(features)
        if features != given:
            fail(idea="부작용", expected="받은 그대로", got=what_changed(given, features), symptom="in-place")
        gone = [name for name in ("input_ids", "attention_mask") if name not in batch]
        if gone:
            fail(idea="딕셔너리", expected="이름 넷", got=", ".join(batch), symptom="batch-replaced", name=gone[0])
        alone = step.Collator(pad_id, start_id)([{"input_ids": one["input_ids"]} for one in features])
        for name in ("input_ids", "attention_mask"):
            if isinstance(alone[name], Tensor) and not torch.equal(torch.as_tensor(batch[name]), alone[name]):
                got = "달라진 것"
                fail(
                    idea="딕셔너리", expected="요약이 없을 때와 같은 것", got=got, symptom="dialogue-changed", name=name
                )
        for name in ("labels", "decoder_input_ids"):
            checked(batch, name)
        return batch

    return collated


def checked(batch: Mapping[str, Any], name: str) -> None:
    if name not in batch:
        fail(idea="이름", expected=name, got=", ".join(batch), symptom="other-names")
    if not isinstance(batch[name], Tensor):
        kind = type(batch[name]).__name__
        fail(idea="텐서", expected="텐서", got=kind, symptom="not-tensor", name=name)


def pads_ignored(ids: Tensor, pad_id: int) -> Tensor:
    return ids.masked_fill(ids == pad_id, IGNORED)


def wrong_labels(count: int, pad_id: int, start_id: int) -> Wrong:
    """흔한 실수를 했을 때의 라벨."""
    rows = SUMMARIES[:count]
    by_size = sorted(rows, key=len)
    want = filled(rows, IGNORED)
    with_pads = filled(rows, pad_id)
    wide = max(map(len, DIALOGUES[:count]))
    pads = torch.full((count, max(0, wide - want.shape[1])), IGNORED)
    return [
        ("labels-shifted", shifted(want, pad_id, start_id)),
        ("labels-shifted", shifted(want, IGNORED, start_id)),
        ("labels-shifted", pads_ignored(shifted(want, pad_id, start_id), pad_id)),
        ("labels-padded", with_pads),
        ("real-pad-ignored", with_pads.masked_fill(with_pads == pad_id, IGNORED)),
        *[("labels-cut", one) for one in (want[:, 1:], want[:, :-1])],
        *[("other-order", filled(one, IGNORED)) for one in (by_size, by_size[::-1], rows[::-1])],
        ("first-summary", filled([rows[0]] * count, IGNORED)),
        ("start-ignored", torch.cat([torch.full_like(want[:, :1], IGNORED), want[:, 1:]], dim=1)),
        ("end-ignored", want.masked_fill(want == 5, IGNORED)),
        ("end-dropped", filled([row[:-1] for row in rows], IGNORED)),
        ("left", filled(rows, IGNORED, left=True)),
        ("dialogue-width", torch.cat([want, pads], dim=1)),
        ("labels-of-dialogue", filled(DIALOGUES[:count], IGNORED)),
        ("labels-of-dialogue", filled(DIALOGUES[:count], pad_id)),
    ]


@todo("2-6")
def test_labels_are_the_summaries_and_blanks_are_ignored(collate):
    """라벨은 요약 그대로이고, 채운 자리만 -100입니다. 글 안의 채움 토큰은 정답입니다."""
    for pad_id, start_id in ((PAD, START), (OTHER_PAD, OTHER_START)):
        got = collate(pad_id=pad_id, start_id=start_id)["labels"]
        want = filled(SUMMARIES, IGNORED)
        judge(got, want, wrong_labels(4, pad_id, start_id), "labels")


def wrong_inputs(pad_id: int, start_id: int) -> Wrong:
    """흔한 실수를 했을 때의 디코더 입력."""
    labels = filled(SUMMARIES, IGNORED)
    with_pads = filled(SUMMARIES, pad_id)
    want = shifted(labels, pad_id, start_id)
    ids = filled(DIALOGUES, pad_id)
    return [
        ("not-shifted", labels),
        ("not-shifted", with_pads),
        ("shifted-twice", shifted(want, pad_id, start_id)),
        ("ids-swapped", shifted(labels, start_id, pad_id)),
        ("ignored-left", shifted(labels, IGNORED, start_id)),
        ("ignored-left", filled([[start_id, *row[:-1]] for row in SUMMARIES], IGNORED)),
        ("shifted-left", torch.cat([with_pads[:, 1:], torch.full_like(labels[:, :1], start_id)], dim=1)),
        ("same-id", shifted(labels, pad_id, pad_id)),
        ("same-id", shifted(labels, start_id, start_id)),
        ("inputs-shifted", shifted(ids, pad_id, start_id)),
        ("inputs-shifted", ids),
    ]


@todo("2-6")
def test_the_decoder_reads_the_labels_shifted_once(collate):
    """디코더의 입력은 라벨을 한 번 민 것입니다."""
    for pad_id, start_id in ((PAD, START), (OTHER_PAD, OTHER_START)):
        batch = collate(pad_id=pad_id, start_id=start_id)
        got, labels = batch["decoder_input_ids"], filled(SUMMARIES, IGNORED)
        if not torch.equal(batch["labels"], labels):
            return  # 라벨이 틀린 것은 앞의 검사가 말합니다. 민 것이 다른 까닭도 그것일 수 있습니다.
        want = shifted(labels, pad_id, start_id)
        judge(got, want, wrong_inputs(pad_id, start_id), "decoder_input_ids")


def is_of_own_numbers(got: Tensor, want: Tensor) -> bool:
    """채움과 시작의 자리만, 저마다 다른 한 번호로 바뀌었는가."""
    if got.shape != want.shape or len(want) != len(SUMMARIES):
        return False
    blanks = filled([[0] * len(row) for row in SUMMARIES], 1).roll(1, dims=1).bool()
    blanks[:, 0] = False
    places = (blanks, torch.zeros_like(blanks).index_fill(1, torch.tensor([0]), True))
    rest = ~(places[0] | places[1])
    return bool((got[rest] == want[rest]).all()) and all(len(got[one].unique()) == 1 for one in places)


def is_of_other_fill(got: Tensor, want: Tensor) -> bool:
    """라벨의 빈칸만, 모두 같은 다른 번호로 바뀌었는가."""
    blanks = want == IGNORED
    same = got.shape == want.shape and bool((got[~blanks] == want[~blanks]).all())
    return same and len(got[blanks].unique()) == 1


def judge(got: Tensor, want: Tensor, wrong: Wrong, name: str) -> None:
    """틀렸으면 무엇을 했는지 말합니다. 첫 줄을 보입니다."""
    if got.shape != want.shape or not torch.equal(got.to(want.dtype), want):
        more = {"expected": f"{want[0].tolist()}", "shown": f"{got[0].tolist()}" if got.dim() else f"{got}"}
        recognise(got, wrong, atol=0, idea="라벨의 배치", name=name, **more)
        if name == "labels" and is_of_other_fill(got, want):
            fail(idea="번호", expected=more["expected"], got=more["shown"], symptom="other-fill")
        if name == "decoder_input_ids" and is_of_own_numbers(got, want):
            fail(idea="번호", expected=more["expected"], got=more["shown"], symptom="own-numbers")
        shapes = f"{tuple(want.shape)}", f"{tuple(got.shape)}"
        if got.shape != want.shape:
            fail(f"{name}의 모양이 다릅니다.", idea="라벨의 배치", expected=shapes[0], got=shapes[1])
        index = next(i for i in range(len(want)) if got[i].tolist() != want[i].tolist())
        message = f"{name}의 {index}번 줄이 다릅니다."
        assert_equal(got[index].tolist(), want[index].tolist(), idea="라벨의 배치", message=message)
    if got.dtype != torch.int64:
        kind = str(got.dtype).removeprefix("torch.")
        fail(idea="자료형", expected="int64", got=kind, symptom="other-dtype", name=name)


@todo("2-6")
def test_one_summary_is_a_batch_too(collate):
    """요약이 하나뿐이면 빈칸이 없고, 두 축은 남습니다."""
    batch = collate(count=1)
    labels = torch.tensor(SUMMARIES[:1])
    judge(batch["labels"], labels, [], "labels")
    judge(batch["decoder_input_ids"], shifted(labels, PAD, START), [], "decoder_input_ids")
