"""3-2의 검사: 토큰 번호를 글로."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from course.checks.recognising import explained, recognise, require_value, sound, when
from course.checks.side_effects import on_one_device
from course.checks.words import assert_equal, fail, todo
from tests.task2_summarization.checks import support
from tests.task2_summarization.checks.step3.common import IGNORED

IDEA = "글로 되돌리기"
# 시작과 끝, 화자 태그, 채움과 똑같은 글, 0번 토큰(줄바꿈)이 있고 길이가 저마다 다릅니다.
TEXTS = [
    support.SUMMARIES[0],
    "#Person1#과 #Person3#는 회의를 네 시로 미룹니다.",
    support.DIALOGUES[0].replace(" 😊", ""),
    "",
]


def rows_of(texts: list[str]) -> list[list[int]]:
    return [support.encoded(text) for text in texts]


def padded(rows: list[list[int]], value: int) -> Tensor:
    """오른쪽을 `value`로 채운 (줄, 길이)."""
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def ignored_everywhere() -> Tensor:
    """-100이 앞과 뒤, 글의 한가운데에 섞인 번호들. 디코더뿐인 모델의 라벨이 그렇습니다."""
    rows = rows_of(TEXTS)
    rows[0] = rows[0][1:]  # 시작이 없는 것: T5의 라벨이 그렇습니다.
    rows[1] = [IGNORED] * 4 + rows[1]
    rows[2] = rows[2][:6] + [IGNORED] * 3 + rows[2][6:]
    return padded(rows, IGNORED)


def predicted() -> Tensor:
    """모델이 쓴 것: 시작(BART에서는 끝 토큰) 뒤에 글이 있고, 채움 토큰으로 끝납니다. -100은 없습니다."""
    starts = (support.END, support.START)
    rows = [[starts[place % 2], *row] for place, row in enumerate(rows_of(TEXTS))]
    longest = max(rows, key=len)
    longest.pop()  # 상한까지 쓴 것에는 끝이 없습니다.
    return padded(rows, support.PAD)


def text_of(ids: list[int], *, keep: tuple[int, ...] = (), drop: tuple[int, ...] = ()) -> str:
    """번호들의 글. `decode`를 거치지 않고 조각을 이어 만듭니다.

    Args:
        keep: 남길 특수 토큰의 번호들.
        drop: 특수 토큰처럼 뺄 번호들.
    """
    dropped = {IGNORED, *support.SPECIAL, *drop} - set(keep)
    return support.tokenizer().decode([one for one in ids if one not in dropped]).strip()


def tag_ids() -> tuple[int, ...]:
    return tuple(support.tokenizer().convert_tokens_to_ids(support.TAGS))


def replaced(ids: Tensor, value: int) -> list[str]:
    """-100을 `value`로 바꾸었을 때의 글들."""
    return [text_of([value if one == IGNORED else one for one in row]) for row in ids.tolist()]


def until(row: list[int], end: int) -> list[int]:
    return row[: row.index(end)] if end in row else row


def tokens_of(row: list[int]) -> list[str]:
    """글로 잇지 않은 조각들. 특수 토큰은 뺍니다."""
    kept = [one for one in row if one != IGNORED and one not in support.SPECIAL]
    return support.tokenizer().convert_ids_to_tokens(kept)


def wrong_texts(ids: Tensor) -> list[tuple[str, Any]]:
    rows = ids.tolist()
    filled = [[support.PAD if one == IGNORED else one for one in row] for row in rows]
    whole = tuple(support.SPECIAL)
    tokenizer = support.tokenizer()
    kept = [text_of(row, keep=whole) for row in filled]
    return [
        ("special-kept", kept),
        ("special-kept", [one.replace(support.SPECIAL[support.PAD], "").strip() for one in kept]),
        *[("marks-left", [glue.join(tokens_of(row)).strip() for row in rows]) for glue in (" ", "")],
        ("cut-at-ignored", [text_of(until(row, support.PAD)) for row in filled]),
        ("zero-for-ignored", replaced(ids, 0)),
        *[("other-fill", replaced(ids, one)) for one in (1, 2, 3, 4)],
        ("wrapped", replaced(ids, IGNORED % len(tokenizer))),
        ("hundred", replaced(ids, -IGNORED)),
        ("last-token", replaced(ids, len(tokenizer) - 1)),
        ("tags-lost", [text_of(row, drop=tag_ids()) for row in rows]),
        *[("ends-cut", [text_of(row[start:end]) for row in rows]) for start, end in ((1, None), (0, -1), (1, -1))],
        ("zero-lost", [text_of(row, drop=(0,)) for row in rows]),
        ("cut-at-ignored", [text_of(until(row, IGNORED)) for row in rows]),
        ("cut-at-end", [text_of(until(row, support.END)) for row in rows]),
        ("cut-at-end", [one.split(support.SPECIAL[support.END])[0].strip() for one in kept]),
        ("all-padding", [""] * len(rows)),
        ("first-row", [text_of(rows[0])]),
    ]


@pytest.fixture
def decode(load):
    """학생의 함수. 받은 번호들을 바꾸지 않았는지도 봅니다."""
    step = load(3)
    known = when(
        "OverflowError|out of range integral|can't convert negative|negative int",
        "not-replaced",
        idea=f"{IGNORED}",
        expected="채움 토큰의 번호",
        got="OverflowError",
    )

    def decoded(ids: Tensor) -> Any:
        before = ids.clone()
        with explained(known), on_one_device("ids와 같은 장치"):
            got = step.decode(support.tokenizer(), ids)
        if not torch.equal(ids, before):
            fail(idea="부작용", expected=f"{IGNORED}이 그대로", got="바뀐 라벨", symptom="in-place")
        return require_value(got, "texts")

    return decoded


def check(decode: Any, ids: Tensor, want: list[str]) -> None:
    got = decode(ids)
    if got == want:
        return
    first = next((i for i, (one, two) in enumerate(zip(got, want, strict=False)) if one != two), 0)
    expected, shown = brief(want[first]), brief(got[first]) if first < len(got) else f"글 {len(got)}개"
    if len(got) != len(want):
        expected, shown = f"글 {len(want)}개", f"글 {len(got)}개"
    recognise(got, wrong_texts(ids), idea=IDEA, expected=expected, shown=shown)
    if got == [one for one in want if one]:
        fail(idea="배치", expected=expected, got=shown, symptom="empties-dropped")
    if len(got) == len(want) and all(isinstance(one, str) for one in got):
        check_leftovers(got, want, expected=expected, got=shown)
    flat = " ".join(one for one in want if one)
    if len(got) != len(want) and "".join("".join(got).split()) == "".join(flat.split()):
        fail(idea="배치", expected=expected, got=shown, symptom="one-by-one")
    assert_equal(len(got), len(want), idea="배치", message="글의 수가 줄의 수와 다릅니다.")
    fail("되돌린 글이 다릅니다.", idea=IDEA, expected=expected, got=shown)


def check_leftovers(texts: list[str], want: list[str], **said: str) -> None:
    """특수 토큰의 글만 더 있으면, 하나라도 그렇다고 말합니다."""
    specials = "|".join(map(re.escape, support.SPECIAL.values()))
    bare = ["".join(re.sub(specials, "", one).split()) for one in texts]
    if bare == ["".join(one.split()) for one in want] and any(re.search(specials, one) for one in texts):
        fail(idea=IDEA, symptom="special-kept", **said)


def brief(text: str, limit: int = 60) -> str:
    return repr(text if len(text) <= limit else text[:limit] + "…")


def right_texts() -> list[str]:
    return [text_of(row) for row in rows_of(TEXTS)]


@todo("3-2")
def test_ignored_places_are_read_as_padding(decode):
    """-100은 어디에 있든 아무 글도 아닙니다. 화자 태그는 남고, 시작과 끝은 빠집니다."""
    check(decode, ignored_everywhere(), right_texts())


@todo("3-2")
def test_predictions_are_read_the_same_way(decode):
    """모델이 쓴 번호들도 같은 글이 됩니다."""
    check(decode, predicted(), right_texts())


@todo("3-2")
def test_a_row_of_nothing_is_an_empty_text(decode):
    """모두 -100인 줄은 빈 글입니다."""
    if not sound(lambda: decode(ignored_everywhere()) == right_texts()):
        return
    row = torch.full((2, 7), IGNORED)
    row[0, :3] = torch.tensor(support.encoded("네")[:3])
    want = [text_of(row[0].tolist()), ""]
    assert_equal(decode(row), want, idea=IDEA, message="모두 -100인 줄을 되돌린 글이 다릅니다.")
