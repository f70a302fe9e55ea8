"""5단계의 검사들이 함께 쓰는 것."""

from __future__ import annotations

from nlpbook.classification.config import ServeConfig, TestConfig, TrainConfig

KINDS = {"train": TrainConfig, "test": TestConfig, "serve": ServeConfig}  # 준 명령들과 그 설정
