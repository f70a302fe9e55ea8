"""3단계의 검사들이 함께 쓰는 것: 학생의 코드도 rouge_score도 거치지 않는 ROUGE."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

KEYS = ("rouge1", "rouge2", "rougeL")
IGNORED = -100


class Overlap(NamedTuple):
    """짝 하나의 점수."""

    precision: float
    recall: float

    @property
    def fmeasure(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def overlap(key: str, reference: Sequence[str], prediction: Sequence[str]) -> Overlap:
    """두 조각 목록의 ROUGE. `key`는 `KEYS`의 하나입니다."""
    if key == "rougeL":
        common, sizes = longest_common(reference, prediction), (len(prediction), len(reference))
    else:
        size = int(key[-1])
        here, there = (Counter(runs(one, size)) for one in (prediction, reference))
        common, sizes = sum((here & there).values()), (sum(here.values()), sum(there.values()))
    return Overlap(*(common / size if size else 0.0 for size in sizes))


def runs(pieces: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """이어진 `size`개씩."""
    return [tuple(pieces[start : start + size]) for start in range(len(pieces) - size + 1)]


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """차례를 지키며 함께 있는 조각의 가장 많은 수(LCS)."""
    row = [0] * (len(other) + 1)
    for piece in one:
        before = row
        row = [0]
        for index, another in enumerate(other):
            row.append(before[index] + 1 if piece == another else max(before[index + 1], row[-1]))
    return row[-1]
