"""2단계의 여러 TODO가 함께 쓰는 준비(fixture)."""

from __future__ import annotations

import pytest

from tests.task3_lm.checks.step2.common import config, scatter


@pytest.fixture
def attention(load, device):
    """가중치도 편향도 0이 아닌 어텐션, 평가 모드."""
    made = load(2).CausalSelfAttention(config())
    scatter(made)
    return made.to(device).eval()
