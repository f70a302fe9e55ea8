"""길이가 다른 정수의 줄들: 리스트처럼 읽히고, 프로세스를 건널 때 가볍습니다."""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler

import pytest

from nlpbook.rows import IntegerRows

ROWS = [[5, 3, 2**31 - 1], [], [7], [0, -4, 9, 11]]


def test_rows_read_like_the_lists_they_were_made_of():
    rows = IntegerRows(ROWS)
    assert len(rows) == len(ROWS)
    assert [*rows] == ROWS
    assert [rows[i] for i in range(-4, 4)] == ROWS + ROWS
    assert rows[1:3] == ROWS[1:3]
    assert rows.lengths == [3, 0, 1, 4]
    assert type(rows[0][0]) is int


@pytest.mark.parametrize("index", [4, -5])
def test_a_row_that_is_not_there_is_an_index_error(index):
    with pytest.raises(IndexError):
        IntegerRows(ROWS)[index]


def test_no_rows_are_no_rows():
    assert [*IntegerRows([])] == IntegerRows([]).lengths == []


def test_what_crosses_a_border_does_not_grow_with_the_rows():
    sizes = [len(ForkingPickler.dumps(IntegerRows([[1, 2, 3]] * count))) for count in (10, 10_000)]
    assert max(sizes) < 2_000
