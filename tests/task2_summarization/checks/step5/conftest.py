"""5단계의 여러 TODO가 함께 쓰는 준비(fixture)."""

from __future__ import annotations

import pytest


@pytest.fixture
def step(load):
    return load(5)
