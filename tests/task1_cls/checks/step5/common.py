"""5단계의 검사들이 함께 쓰는 것."""

from __future__ import annotations

from typing import Any

from nlpbook.classification.config import ServeConfig, TestConfig, TrainConfig
from nlpbook.settings import default_of

KINDS = {"train": TrainConfig, "test": TestConfig, "serve": ServeConfig}


# ── 5-3 옵션에서 설정으로


def options_of(kind: type) -> dict[str, Any]:
    """명령줄에 아무것도 적지 않았을 때 함수가 받는 옵션: 모든 이름과 기본값."""
    return {name: default_of(one) for name, (_, one) in kind.options().items()}
