"""2-3의 검사: 대화와 요약의 데이터셋.

`encode_dialogue`와 `encode_summary` 자리에 옳은 것을 대신 둡니다. 2-1과 2-2가 비어 있어도 검사됩니다.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from torch import Tensor

from course.checks.recognising import explained, require_value, sound, when
from course.checks.words import fail, todo
from tests.task2_summarization.checks import support

DIALOGUE_CAP = 31
SUMMARY_CAP = 17  # 둘은 서로 다르고, 기본값(512, 128)이나 토크나이저의 상한과도 다릅니다.
DIALOGUES = support.DIALOGUES
SUMMARIES = support.SUMMARIES
DEFAULT_CAPS = (512, 128)


def encode_dialogue(tokenizer: Any, dialogue: str, max_len: int) -> list[int]:
    """학생의 2-1 자리에 대신 두는 것."""
    require_order("encode_dialogue", tokenizer, dialogue)
    return tokenizer(dialogue, truncation=True, max_length=max_len)["input_ids"]


def encode_summary(tokenizer: Any, summary: str, max_len: int) -> list[int]:
    """학생의 2-2 자리에 대신 두는 것."""
    require_order("encode_summary", tokenizer, summary)
    return tokenizer(summary, truncation=True, max_length=max_len)["input_ids"]


def require_order(name: str, tokenizer: Any, text: Any) -> None:
    """토크나이저와 글의 차례를 바꾸어 건넸으면 그렇다고 말합니다."""
    if isinstance(tokenizer, str) and hasattr(text, "convert_tokens_to_ids"):
        got = f"{name}(글, 토크나이저, …)"
        fail(idea="인수의 차례", expected=f"{name}(토크나이저, 글, …)", got=got, symptom="arguments-turned")


@pytest.fixture
def make(load, monkeypatch):
    """대화와 요약으로 학생의 데이터셋을 만드는 함수."""
    step = load(2)
    monkeypatch.setattr(step, "encode_dialogue", encode_dialogue)
    monkeypatch.setattr(step, "encode_summary", encode_summary)

    def made(summaries: Sequence[str] | None, **caps: int) -> Any:
        dialogues = list(DIALOGUES)
        given = None if summaries is None else list(summaries)
        dataset = step.DialogueSummarizationDataset(dialogues, given, support.tokenizer(), **caps)
        if dialogues != DIALOGUES or (given is not None and given != list(summaries or ())):
            fail(idea="부작용", expected="받은 그대로", got="달라진 목록", symptom="inputs-changed")
        return dataset

    return made


CAPS = {"encoder_max_len": DIALOGUE_CAP, "decoder_max_len": SUMMARY_CAP}


def items_of(dataset: Any) -> list[Mapping[str, list[int]]]:
    """학생이 담은 항목들. 딕셔너리의 목록이 아니면 무엇이 왔는지 말합니다."""
    items = require_value(dataset.items, "self.items")
    if not isinstance(items, list):
        kind = type(items).__name__
        fail(idea="목록", expected="딕셔너리의 목록", got=kind, symptom="not-list")
    if not items:
        kept = any(list(one) == DIALOGUES for one in vars(dataset).values() if isinstance(one, (list, tuple)))
        symptom = "text-kept" if kept else "empty-items"
        fail(idea="목록", expected=f"항목 {len(DIALOGUES)}개", got="0개", symptom=symptom)
    odd = next((one for one in items if not isinstance(one, Mapping)), None)
    if odd is not None:
        what = f"글 {odd!r}" if isinstance(odd, str) and len(odd) < 30 else type(odd).__name__
        fail(idea="항목", expected="딕셔너리", got=what, symptom="not-dicts")
    if len(items) == 1 and items[0].get("input_ids") == wanted(DIALOGUES[-1], DIALOGUE_CAP):
        fail(idea="반복", expected=f"항목 {len(DIALOGUES)}개", got="마지막 하나", symptom="only-last")
    if len(items) > 1 and all(one is items[0] for one in items):
        fail(idea="딕셔너리", expected="서로 다른 딕셔너리", got="같은 딕셔너리", symptom="same-dict")
    if len(items) != len(DIALOGUES):
        got = f"{len(items)}개"
        distinct = column(list(dict.fromkeys(DIALOGUES)), DIALOGUE_CAP)
        only_distinct = [item.get("input_ids", []) for item in items] == distinct  # 첫째를 빠뜨려도 가짓수는 같습니다.
        symptom = "duplicates-dropped" if only_distinct else "other-count"
        fail(idea="항목", expected=f"{len(DIALOGUES)}개", got=got, symptom=symptom)
    for item in items:
        if "input_ids" not in item:
            fail(idea="이름", expected="input_ids", got=", ".join(item), symptom="other-names")
    return items


def wanted(text: str, cap: int) -> list[int]:
    return support.encoded(text, cap)


def column(texts: Sequence[str], cap: int) -> list[list[int]]:
    return [wanted(text, cap) for text in texts]


@todo("2-3")
def test_every_dialogue_is_cut_at_its_own_cap(make):
    """대화마다 항목 하나, 차례대로. 대화의 상한은 encoder_max_len입니다."""
    got = [item["input_ids"] for item in items_of(make(SUMMARIES, **CAPS))]
    want = column(DIALOGUES, DIALOGUE_CAP)
    require_lists(got, "input_ids")
    if got == want:
        return
    known = {
        "still-text": got == DIALOGUES,
        "caps-swapped": got == column(DIALOGUES, SUMMARY_CAP),
        "texts-swapped": got == column(SUMMARIES, DIALOGUE_CAP),
        "padded": got in padded_to(want, DIALOGUE_CAP),
        "default-caps": got == column(DIALOGUES, DEFAULT_CAPS[0]),
    }
    blame(known, "input_ids", want, got)


@todo("2-3")
def test_every_summary_is_cut_at_its_own_cap(make):
    """요약은 labels입니다. 요약의 상한은 decoder_max_len입니다."""
    items = items_of(make(SUMMARIES, **CAPS))
    missing = [index for index, item in enumerate(items) if "labels" not in item]
    if missing == [SUMMARIES.index("")]:
        fail(idea="None과 빈 글", expected="labels", got="없음", symptom="empty-summary")
    if missing and len(missing) < len(items):
        got = ", ".join(f"{index}번" for index in missing)
        fail(idea="짝", expected="항목마다 labels", got=got, symptom="some-unlabelled")
    if missing:
        fail(idea="이름", expected="labels", got=", ".join(items[missing[0]]), symptom="other-names")
    got = [item["labels"] for item in items]
    want = column(SUMMARIES, SUMMARY_CAP)
    require_lists(got, "labels")
    if got == want:
        return
    labels = want
    last = dict(zip(DIALOGUES, want, strict=True))  # 같은 대화 가운데 마지막의 것
    known = {
        "still-text": got == SUMMARIES,
        "one-cap": got == column(SUMMARIES, DIALOGUE_CAP),
        "labels-of-dialogue": got in (column(DIALOGUES, SUMMARY_CAP), column(DIALOGUES, DIALOGUE_CAP)),
        "default-caps": got == column(SUMMARIES, DEFAULT_CAPS[1]),
        "padded": got in padded_to(want, SUMMARY_CAP),
        "looked-up-by-text": got
        in ([labels[DIALOGUES.index(one)] for one in DIALOGUES], [last[one] for one in DIALOGUES]),
        "first-summary": got == [wanted(SUMMARIES[0], SUMMARY_CAP)] * len(got),
    }
    blame(known, "labels", want, got)


def require_lists(got: list[Any], name: str) -> None:
    """번호는 목록에 담겨 있어야, 배치를 묶을 때 이어 붙여 채울 수 있습니다."""
    odd = next((one for one in got if isinstance(one, Tensor)), None)
    if odd is not None:
        fail(idea="목록", expected="번호의 목록", got=f"텐서 {tuple(odd.shape)}", symptom="tensors", name=name)


def padded_to(rows: list[list[int]], cap: int) -> list[list[list[int]]]:
    """여기서 상한이나 가장 긴 줄까지 채운 것들. 요약은 -100으로 채우기도 합니다."""
    widths = (cap, max(map(len, rows)))
    return [[row + [fill] * (width - len(row)) for row in rows] for width in widths for fill in (support.PAD, -100)]


def blame(known: Mapping[str, bool], name: str, want: list[list[int]], got: list[Any]) -> None:
    """틀린 열을 말합니다. 처음으로 다른 항목을 보입니다."""
    same = sorted(map(str, got)) == sorted(map(str, want))
    kinds = {"nested": got == [[row] for row in want], "other-order": same}
    symptom = next((one for one, is_it in {**known, **kinds}.items() if is_it), None)
    index = next(i for i, (one, two) in enumerate(zip(got, want, strict=True)) if one != two)
    length = f"{len(got[index])}개" if isinstance(got[index], (list, str)) else type(got[index]).__name__
    fail(
        "" if symptom else f"{index}번 항목의 {name}이(가) 다릅니다.",
        idea="항목",
        expected=f"{index}번 {len(want[index])}개",
        got=f"{index}번 {length}",
        symptom=symptom,
        name=name,
        encoder=DIALOGUE_CAP,
        decoder=SUMMARY_CAP,
    )


@todo("2-3")
def test_without_summaries_there_are_no_labels(make):
    """예측할 때는 요약이 없고, labels라는 이름도 없습니다."""
    why = "NoneType' object is not (subscriptable|iterable)|NoneType' has no len|must support iteration"
    with explained(when(why, "needs-summaries", idea="None", expected="요약 없이도 만들어짐")):
        dataset = make(None, **CAPS)
    if dataset.items == [] and sound(lambda: len(items_of(make(SUMMARIES, **CAPS))) == len(DIALOGUES)):
        fail(idea="None", expected=f"항목 {len(DIALOGUES)}개", got="0개", symptom="nothing-without")
    items = items_of(dataset)
    extra = next((item["labels"] for item in items if "labels" in item), "없음")
    if extra != "없음":
        fail(idea="None", expected="labels가 없는 딕셔너리", got=f"labels: {extra}", symptom="labels-anyway")
    got = [item["input_ids"] for item in items]
    if got != column(DIALOGUES, DIALOGUE_CAP):
        fail("요약이 없으면 input_ids가 달라집니다.", idea="항목", expected="같은 input_ids", got="다른 input_ids")


@todo("2-3")
def test_texts_are_encoded_once(make, load, monkeypatch):
    """번호로 바꾸는 일은 만들 때 끝납니다. 꺼낼 때는 담아 둔 것을 그대로 냅니다."""
    dataset = make(SUMMARIES, **CAPS)
    items_of(dataset)
    step = load(2)

    def too_late(*texts: Any, **more: Any) -> list[int]:
        fail(idea="한 번만", expected="만들 때", got="꺼낼 때", symptom="lazy")

    monkeypatch.setattr(step, "encode_dialogue", too_late)
    monkeypatch.setattr(step, "encode_summary", too_late)
    first, again = dataset[2], dataset[2]
    if first != again or first.get("input_ids") != wanted(DIALOGUES[2], DIALOGUE_CAP):
        fail("같은 항목을 두 번 꺼내니 달라집니다.", idea="한 번만", expected="같은 항목", got="다른 항목")
