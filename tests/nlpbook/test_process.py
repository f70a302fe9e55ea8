"""프로세스의 준비: 부를 때만 바뀌고, 사람이 정한 값은 그대로 둡니다."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from nlpbook.paths import ROOT
from nlpbook.process import prepare_process

LIGHTNING = "lightning.fabric.utilities.rank_zero"

# 새 파이썬에서 라이브러리를 모두 읽기 앞뒤로, 프로세스가 함께 쓰는 것을 견줍니다. 바깥 라이브러리가 바꾸는 것은 세지
# 않도록 먼저 읽습니다.
LOOK = """
import importlib, json, logging, os, pkgutil, signal, sys, warnings
import flask, huggingface_hub, lightning.fabric, lightning.pytorch, matplotlib, numpy, rich.text, tokenizers
import torch, torchmetrics, transformers, typer, typer.rich_utils, waitress, Korpora
import todo

def seen():
    loggers = {name: one.level for name, one in logging.root.manager.loggerDict.items() if hasattr(one, "level")}
    help_words = {name: value for name, value in vars(typer.rich_utils).items() if name.isupper()}
    return [dict(os.environ), loggers, logging.root.level, str(help_words), str(rich.text.Text.rstrip_end),
            str(sys.excepthook), str(signal.getsignal(signal.SIGINT)), matplotlib.get_backend(auto_select=False),
            torch.get_num_threads(), len(warnings.filters), str(torch.get_default_dtype())]

before = seen()
import nlpbook
for one in pkgutil.walk_packages(nlpbook.__path__, "nlpbook."):
    importlib.import_module(one.name)
after = seen()
print(json.dumps([[a, b] for a, b in zip(before, after) if a != b]))
"""


@pytest.mark.slow
@pytest.mark.spread
def test_reading_the_library_changes_nothing_in_the_process():
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"


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
