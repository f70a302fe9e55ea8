"""프로세스의 준비: 부를 때만 바뀌고, 사람이 정한 값은 그대로 둡니다."""

from __future__ import annotations

import logging
import os

from nlpbook.process import prepare_process

LIGHTNING = "lightning.fabric.utilities.rank_zero"


def test_preparing_makes_room_and_hushes_lightning(monkeypatch):
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    monkeypatch.setattr(logging.getLogger(LIGHTNING), "level", logging.INFO)
    prepare_process()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "8192"
    assert logging.getLogger(LIGHTNING).level == logging.WARNING


def test_a_capacity_someone_chose_is_kept(monkeypatch):
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "3")
    prepare_process()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "3"
