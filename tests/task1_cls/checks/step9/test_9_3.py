"""9-3의 검사: 길이에 따른 정확도와 신뢰 구간."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from course.checks.recognising import Wrong
from course.checks.side_effects import no_side_effects
from course.checks.words import close, fail, matches, show, todo

ATOL = 1e-5  # 값은 0~1이고 float의 셈이라 차이는 1e-7쯤입니다.
EDGES = [3, 12, 25, 31, 60]
FULL = EDGES[:-1]  # 구간마다 글이 있습니다.
Z = 1.96
Row = tuple[int, int, int, float, float, float]

# 길이 → (글의 수, 맞힌 수). 경계(12, 25)에 있는 글이 여럿이고, 밖(2, 60, 77)에도 있고, [25, 31)의 것은 다 맞혔습니다.
GROUPS = {2: (4, 1), 3: (5, 4), 11: (8, 3), 12: (7, 6), 20: (9, 2), 25: (6, 6), 60: (5, 2), 77: (3, 3)}
GAP_EDGES = [3, 12, 25, 31, 60, 84]
GAP = {4: (11, 7), 27: (3, 2), 61: (17, 9)}  # 가운데의 [12, 25)와 [31, 60)이 비었습니다.


def sample(groups: dict[int, tuple[int, int]], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """글마다의 (길이, 맞혔는가). 차례는 섞여 있습니다."""
    pairs = [(length, index < right) for length, (count, right) in groups.items() for index in range(count)]
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(93)).tolist()
    lengths = torch.tensor([pairs[index][0] for index in order], device=device)
    return lengths, torch.tensor([pairs[index][1] for index in order], device=device)


def wilson(right: float, count: float, z: float) -> tuple[float, float]:
    """(p - 비율)² = z²·p(1 - p)/n의 두 근. 이차방정식으로 풉니다."""
    a, b, c = count + z * z, 2 * right + z * z, right * right / count
    root = math.sqrt(b * b - 4 * a * c)
    return (b - root) / (2 * a), (b + root) / (2 * a)


def wald(right: float, count: float, z: float) -> tuple[float, float]:
    share = right / count
    half = z * math.sqrt(share * (1 - share) / count)
    return share - half, share + half


def too_wide(share: float, count: float, z: float) -> tuple[float, float]:
    """윌슨의 식에서 z²/4n²을 z²/4n으로 적은 것."""
    shrink = 1 + z**2 / count
    middle = (share + z**2 / (2 * count)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / count + z**2 / (4 * count))
    return middle - half, middle + half


def unbracketed(right: float, count: float, z: float) -> tuple[float, float]:
    """z²/2n을 괄호 없이 적어, 2로 나눈 뒤 n을 곱한 것."""
    share, shrink = right / count, 1 + z * z / count
    half = z / shrink * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    middle = (share + z * z / 2 * count) / shrink
    return middle - half, middle + half


def rows_of(
    lengths: list[int],
    correct: list[bool],
    edges: list[int],
    z: float = Z,
    *,
    left: bool = True,
    right: bool = False,
    last: bool = False,
    ends: Any = wilson,
) -> list[Row]:
    """구간마다의 줄. `left`와 `right`는 경계에 있는 글을 넣는가, `last`는 맨 끝 경계의 글만 더 넣는가입니다."""
    rows: list[Row] = []
    closed = edges if right else edges[-1:] if last else []
    for low, high in zip(edges, edges[1:], strict=False):
        inside = [
            is_right
            for length, is_right in zip(lengths, correct, strict=True)
            if low < length < high or (left and length == low) or (length == high and high in closed)
        ]
        if inside:
            hits = sum(inside)
            rows.append((low, high, len(inside), hits / len(inside), *ends(hits, len(inside), z)))
    return rows


def wrong_rows(lengths: list[int], correct: list[bool], edges: list[int], z: float) -> Wrong:
    """헷갈리기 쉬운 표들."""
    asked = (lengths, correct, edges, z)

    def changed(ends: Any) -> torch.Tensor:
        return torch.tensor(rows_of(*asked, ends=ends))

    total = len(lengths)
    yield "last-edge", torch.tensor(rows_of(*asked, last=True))
    yield (
        "outside-counted",
        torch.tensor(rows_of([min(max(one, edges[0]), edges[-1] - 1) for one in lengths], correct, edges, z)),
    )
    yield "outside-counted", torch.tensor(rows_of([max(one, edges[0]) for one in lengths], correct, edges, z))
    yield "outside-counted", torch.tensor(rows_of([min(one, edges[-1] - 1) for one in lengths], correct, edges, z))
    yield "order-lost", torch.tensor(rows_of(sorted(lengths), correct, edges, z))
    yield "both-edges", torch.tensor(rows_of(*asked, right=True))
    yield "upper-edge", torch.tensor(rows_of(*asked, left=False, right=True))
    yield "no-edge", torch.tensor(rows_of(*asked, left=False))
    yield "wald", changed(wald)
    yield "wald", changed(lambda right, count, z: tuple(min(1.0, max(0.0, one)) for one in wald(right, count, z)))
    for other in (1.0, 1.645, 2.0, 2.576, *([Z] if z != Z else [])):
        yield "other-z", changed(lambda right, count, _, other=other: wilson(right, count, other))
    yield "other-count", changed(lambda right, count, z: wilson(right / count * total, total, z))
    yield (
        "around-the-share",
        changed(
            lambda right, count, z: tuple(
                right / count + sign * (wilson(right, count, z)[1] - wilson(right, count, z)[0]) / 2 for sign in (-1, 1)
            )
        ),
    )
    yield "divided-then-multiplied", changed(unbracketed)
    yield "ends-swapped", changed(lambda right, count, z: wilson(right, count, z)[::-1])
    rows = rows_of(*asked)
    middles = [(*one[:3], (one[4] + one[5]) / 2, *one[4:]) for one in rows]
    yield "middle-as-share", torch.tensor(middles)
    yield "one-share", torch.tensor([(*one[:3], sum(correct) / total, *one[4:]) for one in rows])
    yield "one-share", changed(lambda _, count, z: wilson(sum(correct) / total * count, count, z))
    yield (
        "one-share",
        torch.tensor(
            [(*one[:3], sum(correct) / total, *wilson(sum(correct) / total * one[2], one[2], z)) for one in rows]
        ),
    )
    yield "count-not-squared", changed(lambda right, count, z: too_wide(right / count, count, z))
    upto = next((i for i, (one, low) in enumerate(zip(rows, edges, strict=False)) if one[0] != low), len(rows))
    yield "stopped-early", torch.tensor(rows[:upto])
    for least in sorted({row[2] for row in rows})[:-1]:
        if any(row[2] <= least and row[3] < 1 for row in rows):  # 다 맞힌 구간만 뺀 것일 수도 있습니다.
            yield "few-dropped", torch.tensor([row for row in rows if row[2] > least])
    yield "of-all", torch.tensor([(*one[:3], one[3] * one[2] / total, *one[4:]) for one in rows])
    yield "percent", torch.tensor([(*one[:3], *(100 * value for value in one[3:])) for one in rows])


def asked_rows(load: Any, lengths: torch.Tensor, correct: torch.Tensor, edges: list[int], *z: float) -> list[Row]:
    """학생의 표."""
    module, given = load(9), {"lengths": lengths.clone(), "correct": correct.clone(), "edges": list(edges)}
    with no_side_effects(inputs=given, random_state=True):
        try:
            made = module.accuracy_by_length(*given.values(), *z)
        except ZeroDivisionError:
            # 글이 없는 구간이 없는데도 나면, 빈 구간 때문이 아닙니다.
            module.accuracy_by_length(*sample(GROUPS, str(lengths.device)), FULL)
            made = None
    if made is None:
        more = {"expected": "글이 없는 구간은 빠짐", "got": "0으로 나눔"}
        fail(idea="빈 구간", symptom="empty-row", **more)
    kind = module.LengthRow
    for one in made:
        if not isinstance(one, kind):
            fail(idea="표의 줄", expected="LengthRow", got=type(one).__name__, symptom="not-rows")
    return [tuple(float(getattr(one, name)) for name in kind.__dataclass_fields__) for one in made]


def require_right(load: Any, groups: dict[int, tuple[int, int]], device: str, edges: list[int], *z: float) -> None:
    lengths, correct = sample(groups, device)
    got = asked_rows(load, lengths, correct, edges, *z)
    facts = lengths.tolist(), correct.tolist(), edges, *(z or (Z,))
    want = rows_of(*facts)
    about = {"expected": f"{len(want)}줄", "got": f"{len(got)}줄"}
    if len(got) > len(want) and any(row[2] == 0 or math.isnan(row[3]) for row in got):
        shown = {"expected": f"글이 있는 구간만 {len(want)}줄", "got": f"글이 없는 구간까지 {len(got)}줄"}
        fail(idea="빈 구간", symptom="empty-row", **shown)
    table, wanted = torch.tensor(got), torch.tensor(want)
    if len(got) == len(want) and close(table, wanted, ATOL):
        return
    counts = {"expected": "글의 수 " + show([int(row[2]) for row in want])}
    counts["got"] = "글의 수 " + show([int(row[2]) for row in got])
    for symptom, wrong in wrong_rows(*facts):
        if matches(table, wrong, ATOL):
            named = counts if counts["expected"] != counts["got"] else first_difference(got, want)
            fail(idea="구간마다의 셈", symptom=symptom, **named)
    if len(got) != len(want):
        fail("줄의 수가 다릅니다.", idea="구간", **about)
    fail("표가 기대와 다릅니다.", idea="구간마다의 셈", **first_difference(got, want))


def first_difference(got: list[Row], want: list[Row]) -> dict[str, str]:
    """처음으로 다른 칸."""
    names = ("low", "high", "count", "accuracy", "lower", "upper")
    for one, other in zip(got, want, strict=False):
        for name, value, right in zip(names, one, other, strict=True):
            if not matches(value, right, ATOL):
                place = f"[{other[0]}, {other[1]})의 {name}"
                return {"expected": f"{place} {right:.4f}", "got": f"{value:.4f}"}
    return {}


@todo("9-3")
def test_rows_match_the_formula(load, device):
    """구간마다 글의 수와 정확도, 윌슨 구간의 두 끝입니다."""
    require_right(load, GROUPS, device, EDGES)


@todo("9-3")
def test_empty_bins_are_left_out(load, device):
    """글이 없는 구간은 담지 않습니다."""
    require_right(load, GAP, device, GAP_EDGES)


@todo("9-3")
@pytest.mark.parametrize("z", [1.31, 2.93])
def test_other_confidence(load, device, z):
    """z를 다르게 건네면 구간의 폭이 달라집니다."""
    require_right(load, GROUPS, device, EDGES, z)
