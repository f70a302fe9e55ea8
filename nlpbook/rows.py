"""길이가 저마다 다른 정수의 줄들을 텐서 하나에 이어 담습니다.

파이썬의 리스트로 두면 정수마다 수십 바이트가 들고, 보조 프로세스마다 통째로 베껴 보내야 합니다. 텐서에 이어 담으면
4바이트이고, PyTorch가 공유 메모리에 두므로 프로세스의 경계를 건너는 것은 그 자리의 이름뿐입니다.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import overload

import torch


class IntegerRows(Sequence[list[int]]):
    """읽기만 하는 줄들. `rows[3]`은 네 번째 줄의 정수 리스트입니다.

    Args:
        rows: 줄마다의 정수들. 정수는 32비트에 들어가야 합니다.
    """

    def __init__(self, rows: Iterable[Sequence[int]]) -> None:
        kept = list(rows)
        lengths = torch.tensor([0, *map(len, kept)], dtype=torch.int64)
        self._ends = lengths.cumsum(0)  # (줄 수 + 1,): 줄마다의 시작과, 맨 끝
        self._values = torch.tensor(list(chain.from_iterable(kept)), dtype=torch.int32)  # (모든 정수,)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> list[int]: ...

    @overload
    def __getitem__(self, index: slice) -> list[list[int]]: ...

    def __getitem__(self, index: int | slice) -> list[int] | list[list[int]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        start, stop = self._ends[index : index + 2].tolist()
        return self._values[start:stop].tolist()

    def __iter__(self) -> Iterator[list[int]]:
        return (self[i] for i in range(len(self)))

    @property
    def lengths(self) -> list[int]:
        """줄마다의 길이."""
        return self._ends.diff().tolist()
