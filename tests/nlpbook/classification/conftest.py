"""감성분석의 시험이 함께 쓰는 것: 작은 설정."""

from __future__ import annotations

import pytest

from nlpbook.classification.config import TrainConfig
from tests.task1_cls.checks import support


@pytest.fixture
def tiny_config() -> TrainConfig:
    """아주 작은 모델과 말뭉치를 가리키는 설정."""
    return support.tiny_config()
