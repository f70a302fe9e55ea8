"""3단계의 여러 TODO가 함께 쓰는 준비(fixture)."""

from __future__ import annotations

import pytest

from tests.task3_lm.checks.step3.common import BATCH, LENGTH, VOCAB, tensors


@pytest.fixture
def step3(load):
    return load(3)


@pytest.fixture
def batch(device):
    return tensors(device, BATCH, LENGTH, VOCAB)
