"""9-1의 검사: 토큰의 수로 자른 배치."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from course.checks.recognising import Wrong, recognise, sound
from course.checks.side_effects import no_side_effects
from course.checks.words import fail, todo

# 짧은 것부터 여섯 개까지는 6 × 17 = 102칸으로 한도에 꼭 맞습니다. 26 다음의 61은 훌쩍 깁니다.
# 앞서 담은 것의 길이로 센 것과 담은 다음에 센 것은 다른 배치가 됩니다.
LENGTHS = [13, 61, 3, 17, 5, 23, 11, 26, 19, 97, 7, 17]
BUDGET = 102
Batches = list[list[int]]  # 길이들로 적은 배치. 길이순입니다.


def packed(lengths: list[int], budget: int) -> Batches:
    """옳은 배치들."""
    return sorted(runs_of(lengths, budget))


def runs_of(lengths: list[int], budget: int) -> Batches:
    """짧은 것부터, 가장 긴 것에 맞추어 채워도 한도 안인 데까지 자른 것. 만든 차례대로입니다."""
    left, made = sorted(lengths), []
    while left:
        count = 1
        while count < len(left) and (count + 1) * left[count] <= budget:
            count += 1
        made.append(left[:count])
        left = left[count:]
    return made


def rounded(lengths: list[int], budget: int, unit: int) -> Batches:
    """`unit`보다 많이 담을 수 있으면 그 배수까지만 담은 것."""
    left, made = sorted(lengths), []
    while left:
        count = len(runs_of(left, budget)[0])
        if count > unit:
            count -= count % unit
        made.append(left[:count])
        left = left[count:]
    return sorted(made)


def greedy(lengths: list[int], fits: Any, late: bool = False) -> Batches:
    """`fits(담은 것, 지금 것)`이 거짓이면 새 배치를 엽니다. `late`면 담은 다음에 엽니다."""
    made: Batches = [[]]
    for length in lengths:
        if late:
            made[-1].append(length)
            if not fits(made[-1][:-1], length):
                made.append([])
        else:
            if made[-1] and not fits(made[-1], length):
                made.append([])
            made[-1].append(length)
    return sorted(sorted(one) for one in made if one)


def by_place(lengths: list[int], budget: int) -> Batches:
    """길이순으로 담되, 번호 대신 몇 번째인지로 꺼낸 길이를 보고 닫은 것."""
    made: Batches = [[]]
    for length, other in zip(sorted(lengths), lengths, strict=True):
        if made[-1] and (len(made[-1]) + 1) * other > budget:
            made.append([])
        made[-1].append(length)
    return sorted(made)


def wrong_batches(lengths: list[int], budget: int) -> Wrong:
    """헷갈리기 쉬운 배치들."""
    in_order = sorted(lengths)

    def padded(batch: list[int], length: int) -> bool:
        return (len(batch) + 1) * max([*batch, length]) <= budget

    yield "sum-of-tokens", greedy(in_order, lambda batch, length: sum(batch) + length <= budget)
    yield "one-too-many", greedy(in_order, lambda batch, length: len(batch) * length <= budget)
    yield "one-too-many", greedy(in_order, padded, late=True)
    yield "one-too-many", greedy(in_order, lambda batch, length: (len(batch) + 1) * length < budget, late=True)
    yield "one-too-many", greedy(in_order, lambda batch, length: len(batch) * batch[-1] <= budget)
    yield "short-of-full", greedy(in_order, lambda batch, length: (len(batch) + 1) * length < budget)
    yield "short-of-full", greedy(in_order, lambda batch, length: (len(batch) + 2) * length <= budget)
    yield "longest-forgotten", greedy(in_order, lambda batch, length: (len(batch) + 1) * batch[-1] <= budget)
    yield "longest-forgotten", greedy(in_order, lambda batch, length: (len(batch) + 1) * batch[0] <= budget)
    yield "place-for-number", by_place(lengths, budget)
    yield "not-by-length", greedy(lengths, padded)
    yield "not-by-length", greedy(lengths, lambda batch, length: (len(batch) + 1) * length <= budget)
    yield "from-the-longest", greedy(in_order[::-1], padded)
    yield "alone", [[one] for one in in_order]
    for unit in (8, 4, 2):
        yield "size-rounded", rounded(lengths, budget, unit)


def ask(load: Any, lengths: list[int], budget: int, seed: int = 5) -> list[list[int]]:
    """학생의 배치들, 예문의 번호로."""
    module, given = load(9), {"lengths": list(lengths)}
    with no_side_effects(inputs=given, random_state=True):
        made = module.token_batches(*given.values(), budget, torch.Generator().manual_seed(seed))
    if not all(isinstance(batch, list) and all(type(one) is int for one in batch) for batch in made):
        fail(
            "batches에 예문 번호의 목록이 아닌 것이 있습니다.", idea="배치", expected="[[2, 6], …]", got=str(made)[:60]
        )
    return made


def by_length(batches: list[list[int]], lengths: list[int]) -> Batches:
    return sorted(sorted(lengths[index] for index in batch) for batch in batches)


def require_right(load: Any, lengths: list[int], budget: int) -> None:
    made, want = ask(load, lengths, budget), packed(lengths, budget)
    counts = Counter(index for batch in made for index in batch)
    if any(not 0 <= index < len(lengths) for index in counts):
        got = next(index for index in counts if not 0 <= index < len(lengths))
        symptom = "lengths-instead" if set(counts) <= set(lengths) else None
        shown = {"expected": f"0~{len(lengths) - 1}", "got": str(got)}
        fail("batches에 없는 예문의 번호가 있습니다.", idea="예문의 번호", symptom=symptom, **shown)
    if len({id(batch) for batch in made}) < len(made):
        fail(idea="목록", expected="배치마다 새 목록", got="같은 목록이 여러 번", symptom="same-list")
    if twice := [index for index, count in counts.items() if count > 1]:
        fail(idea="배치", expected="모두 한 번씩", got=f"{twice[0]}번 예문이 {counts[twice[0]]}번", symptom="twice")
    if [] in made:
        fail(idea="배치", expected="빈 배치 없음", got=f"빈 배치 {made.count([])}개", symptom="empty-batch")
    require_nothing_lost(lengths, budget, [index for index in range(len(lengths)) if index not in counts])
    got = by_length(made, lengths)
    if got != want:
        shown = {"expected": shape_of(want), "shown": shape_of(got)}
        recognise(got, wrong_batches(lengths, budget), idea="칸 수의 한도", **shown)
        fail("나뉜 배치가 기대와 다릅니다.", idea="칸 수의 한도", expected=shape_of(want), got=shape_of(got))


def require_nothing_lost(lengths: list[int], budget: int, lost: list[int]) -> None:
    """빠진 예문이 있으면, 마지막 배치인지, 너무 긴 것인지, 다른 것인지 말합니다."""
    if not lost:
        return
    last = len(runs_of(lengths, budget)[-1])
    tail = sorted(sorted(range(len(lengths)), key=lambda index: lengths[index])[-last:])
    shown = {"expected": f"예문 {len(lengths)}개", "got": f"예문 {len(lengths) - len(lost)}개"}
    if lost == [index for index, length in enumerate(lengths) if length > budget]:
        fail(idea="긴 예문", symptom="long-dropped", **shown)
    if lost == tail:
        fail(idea="마지막 배치", symptom="last-lost", **shown)
    fail(idea="배치", symptom="lost", name=f"{lost[0]}번(길이 {lengths[lost[0]]})", **shown)


def shape_of(batches: Batches) -> str:
    """배치마다의 예문 수와 칸 수."""
    return ", ".join(f"{len(one)}×{one[-1]}" for one in batches[:6])


def packs_rightly(load: Any) -> bool:
    return sound(lambda: by_length(ask(load, LENGTHS, BUDGET), LENGTHS) == packed(LENGTHS, BUDGET))


@todo("9-1")
def test_batches_are_full_but_never_over_the_budget(load):
    """가장 긴 예문에 맞추어 채운 칸 수가 한도를 넘기 바로 전까지 담습니다."""
    require_right(load, LENGTHS, BUDGET)


@todo("9-1")
@pytest.mark.parametrize(
    ("lengths", "budget"),
    [
        ([61, 53, 79], 43),
        ([61, 53, 79, 22, 23], 46),
        ([8, 8, 8, 8, 8, 8, 8], 24),
        ([9, 4, 6], 700),
        ([15], 31),
        ([6, 6, 7, 7, 7, 9, 9, 30, 31], 62),
        ([2, 9, *[2] * 10, 4], 30),  # 첫 배치는 8의 배수가 아닌 열하나입니다.
    ],
)
def test_every_length_and_budget(load, lengths, budget):
    """모두 한도보다 길어도, 길이가 같아도, 한 배치로 다 되어도 됩니다."""
    if not packs_rightly(load):  # 예문이 적으면 서로 다른 실수의 배치가 같기도 합니다.
        return
    require_right(load, lengths, budget)


@todo("9-1")
def test_nothing_in_nothing_out(load):
    """예문이 없으면 배치도 없습니다."""
    if not packs_rightly(load):
        return
    if made := ask(load, [], BUDGET):
        fail(idea="배치", expected="[]", got=str(made), symptom="empty-batch")
