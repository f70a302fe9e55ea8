"""나누어 돌릴 때 한 파일의 시험은 한 프로세스가 맡아, 무거운 준비를 한 번만 합니다(뿌리의 conftest.py)."""

from __future__ import annotations

import os

import pytest

SEEN: set[int] = set()


@pytest.mark.parametrize("number", range(6))
def test_every_test_of_this_file_runs_in_one_process(number):
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("나누어 돌리지 않았습니다")
    SEEN.add(number)
    assert len(SEEN) == number + 1
