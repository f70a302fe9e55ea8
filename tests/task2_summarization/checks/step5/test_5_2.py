"""5-2의 검사: 말마다 받은 교차 어텐션의 몫."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from course.checks.recognising import explained, recognise, require_value, when
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_close, close, fail, matches, todo

IDEA = "교차 어텐션의 몫"
ATOL = 1e-5
LAYERS, HEADS, SUMMARY = 3, 5, 7  # 모두 다릅니다.
# 말의 길이가 저마다 다르고, 시작과 끝 말고도 가운데에 어느 말의 것도 아닌 토큰이 하나 있습니다.
TURNS = [-1, *[0] * 4, *[1] * 2, *[2] * 9, -1, *[3] * 6, -1]
READ = 4  # 읽은 말의 수
UNREAD = 2  # 잘려서 읽지 못한 말의 수


@pytest.fixture(scope="module")
def attentions() -> Tensor:
    """(층, 헤드, 요약 길이, 대화 길이). 층과 헤드와 토큰마다 본 곳이 다르고, 시작 토큰이 많이 받습니다."""
    generator = torch.Generator().manual_seed(29)
    scores = 2.5 * torch.randn(LAYERS, HEADS, SUMMARY, len(TURNS), generator=generator)
    scores[..., 0] += 1.5
    return scores.softmax(dim=-1)


def per_turn(received: list[float], mean: bool = False, special: int | None = None) -> Tensor:
    """토큰마다 받은 것을 말마다 모은 것, 합이 1이 되기 전의 것.

    Args:
        mean: 더하는 대신 말의 토큰 수로 나눕니다.
        special: 어느 말의 것도 아닌 토큰을 더할 말. None이면 뺍니다.
    """
    sums = [0.0] * (READ + UNREAD)
    for turn, one in zip(TURNS, received, strict=True):
        if turn >= 0:
            sums[turn] += one / (TURNS.count(turn) if mean else 1)
        elif special is not None:
            sums[special] += one
    return torch.tensor(sums)


def averaged(attentions: Tensor) -> list[float]:
    """토큰마다 받은 어텐션의 평균. 자리마다 하나씩 더합니다."""
    total = [0.0] * len(TURNS)
    for row in attentions.flatten(0, 2).tolist():
        total = [one + other for one, other in zip(total, row, strict=True)]
    return [one / (LAYERS * HEADS * SUMMARY) for one in total]


MAXIMA = ((0, 1), (0,), (1,), (2,))  # 평균하는 대신 가장 큰 것을 고를 만한 축들


def ends(side: int) -> list[bool]:
    """토큰마다, 그 말의 마지막(`side`가 1)이나 처음(-1) 토큰인가."""
    order = list(range(len(TURNS)))[::side]
    places = {TURNS[place]: place for place in order}
    return [places[turn] == place for place, turn in enumerate(TURNS)]


def to_one(values: Tensor) -> Tensor:
    return values / values.sum()


def wrong_shares(attentions: Tensor) -> list[tuple[str, Tensor]]:
    received = averaged(attentions)
    best = attentions.flatten(0, 2).amax(dim=0).tolist()
    dropped = [one if turn > 0 else 0.0 for turn, one in zip(TURNS, received, strict=True)]
    ways = [
        ("first-dropped", dropped, {}),
        ("special-as-last", received, {"special": READ + UNREAD - 1}),
        ("special-as-first", received, {"special": 0}),
        ("token-mean", received, {"mean": True}),
        ("one-layer", attentions[-1].mean(dim=(0, 1)).tolist(), {}),
        ("one-layer", attentions[0].mean(dim=(0, 1)).tolist(), {}),
        ("one-head", attentions[:, 0].mean(dim=(0, 1)).tolist(), {}),
        ("one-token", attentions[:, :, -1].mean(dim=(0, 1)).tolist(), {}),
        ("one-token", attentions[:, :, 0].mean(dim=(0, 1)).tolist(), {}),
        ("max", best, {}),
        *[("max", attentions.amax(dim=axes).flatten(0, -2).mean(dim=0).tolist(), {}) for axes in MAXIMA],
        ("last-dropped", [0.0 if turn == READ - 1 else one for turn, one in zip(TURNS, received, strict=True)], {}),
        ("not-accumulated", [one if last else 0.0 for one, last in zip(received, ends(1), strict=True)], {}),
        ("not-accumulated", [one if first else 0.0 for one, first in zip(received, ends(-1), strict=True)], {}),
        ("tokens-counted", [1.0] * len(TURNS), {}),
    ]
    made: list[tuple[str, Tensor]] = []
    for symptom, tokens, how in ways:
        values = per_turn(tokens, **how)
        made += [(symptom, to_one(values)), (symptom, values)]
    sums = per_turn(received)
    spoken = [turn >= 0 for turn in TURNS]
    chosen = attentions * torch.tensor(spoken)
    early = (chosen / chosen.sum(dim=-1, keepdim=True)).flatten(0, 2).mean(dim=0).tolist()
    made += [("normalised-early", to_one(per_turn(early)))]
    special = sum(one for one, turn in zip(received, TURNS, strict=True) if turn < 0)
    before, after = torch.tensor([special, *sums[:-1].tolist()]), torch.tensor([*sums[1:].tolist(), 0.0])
    made += [("shifted", one) for values in (before, after) for one in (to_one(values), values)]
    softmaxed = [("softmaxed", sums.softmax(dim=0)), ("softmaxed", to_one(sums).softmax(dim=0))]
    return [("not-one", sums), *softmaxed, *made, ("unread-shared", torch.full_like(sums, 1 / len(sums)))]


@pytest.fixture
def got(step, attentions) -> Any:
    """학생의 함수가 낸 몫들."""
    known = (
        when("list' object has no attribute 'tolist", "a-list", idea="텐서", expected="텐서", got="파이썬의 목록"),
        when("index out of range|out of bounds", "negative-index", idea="-1", expected="말의 번호", got="-1"),
        when(
            "dim 0 has size|must match|same size|shape of the mask",
            "lost-axis",
            idea="축",
            expected="대화 길이의 축",
            got="다른 축",
        ),
    )
    turns = torch.tensor(TURNS)
    with no_side_effects(inputs={"attentions": attentions, "turns": turns}, random_state=True), explained(*known):
        shares = step.turn_shares(attentions, turns, READ + UNREAD)
    return require_value(shares, "shares")


@todo("5-2")
def test_the_shares_are_those_of_the_turns(got, attentions):
    """층, 헤드, 요약의 토큰에 걸친 평균을 말마다 더하고, 합이 1이 되게 나눕니다."""
    want = to_one(per_turn(averaged(attentions)))
    if not isinstance(got, list) or any(isinstance(one, list) for one in got):
        fail("shares가 말마다 수 하나인 텐서가 아닙니다.", idea="축", expected=f"수 {len(want)}개", got=str(got)[:60])
    if len(got) != len(want):
        about = {"expected": f"{len(want)}개", "got": f"{len(got)}개"}
        fail(
            "말의 수와 몫의 수가 다릅니다.", idea="말의 수", symptom="read-only" if len(got) == READ else None, **about
        )
    if close(got, want, ATOL):
        return
    values = torch.tensor(got)
    shown = [round(one, 4) for one in got]
    expected = [round(one, 4) for one in want.tolist()]
    if bool(values.isnan().any()):
        fail("몫에 NaN이 있습니다.", idea=IDEA, expected=expected, got=shown)
    if values.sum() > 0 and not matches(values.sum(), 1.0, ATOL) and matches(to_one(values), want, ATOL):
        total = f"합 {values.sum().item():.4f}"
        fail(idea="합", expected="합 1", got=total, symptom="not-one")
    recognise(got, wrong_shares(attentions), atol=ATOL, idea=IDEA, expected=str(expected), shown=str(shown))
    unread = values[READ:]
    if bool((unread > ATOL).all()) and matches(unread, unread[:1].expand(UNREAD), ATOL):
        fail(idea=IDEA, symptom="unread-shared", expected=str(expected), got=str(shown))
    assert_close(got, want, atol=ATOL, idea=IDEA, message="말마다의 몫이 다릅니다.")
