"""틀린 요청 5,000개를 받아도 서비스는 503 말고는 5xx가 없고, 오류를 뱉지 않고, 메모리가 늘지 않습니다."""

from __future__ import annotations

import logging
import socket
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from flask import Flask

from course.checks.loading import load_step
from nlpbook.paths import ROOT
from tests.listening import serve
from tests.services.malformed import requests

pytestmark = pytest.mark.slow
COUNT = 5_000


def classifier() -> Flask:
    from nlpbook.classification.config import ServeConfig

    step5 = load_step(ROOT / "solutions" / "task1-cls", "step5_cli_and_serving")
    model = SimpleNamespace(infer_one=lambda text: SimpleNamespace(label="긍정", negative=0.25, positive=0.75))
    model.eval = lambda: model
    return step5.build_web_app(model, ServeConfig())


def language_model() -> Flask:
    from nlpbook.language.config import LMConfig, ServeConfig
    from nlpbook.language.tokens import TextTokenizer

    folder = ROOT / "solutions" / "task3-lm"
    step5 = load_step(folder, "step5_cli_and_serving")
    step1 = sys.modules["step1_tokenizer_and_data"]
    tokenizer = step1.train_tokenizer(["여우가 곰을 만났습니다."] * 3, 300)
    assert isinstance(tokenizer, TextTokenizer)
    torch.manual_seed(5)
    model = step5.GPT(LMConfig(d_embed=16, num_heads=2, num_layers=1, max_seq_len=32), len(tokenizer), tokenizer)
    return step5.build_web_app(model, ServeConfig(max_new_tokens=4))


def summarizer() -> Flask:
    from nlpbook.summarization.config import SummarizationConfig
    from nlpbook.summarization.requests import Limits

    step5 = load_step(ROOT / "solutions" / "task2-summarization", "step5_cli_and_serving")
    config = SummarizationConfig().merge({"generation.max_length": 5, "generation.num_beams": 1})
    model, tokenizer = import_module("step1_config_and_model").load_model_and_tokenizer(config)
    limits = Limits(("#Person1#", "#Person2#"), turns=9, max_length=5, num_beams=1)
    return step5.build_web_app(step5.Summarizer(model, tokenizer, 40), limits, max_parallel=1)


SERVICES = {
    "classifier": ("/api", classifier),
    "summarizer": ("/api", summarizer),
    "lm": ("/api/generate", language_model),
}


def status_of(port: int, raw: bytes, complete: bool) -> int | None:
    """요청 하나의 대답의 상태. 대답 없이 끊었으면 None입니다."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(raw)
        if not complete:  # 더 기다릴 것이 없음을 알려야, 나머지를 기다리던 서버가 끊습니다.
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while b"\r\n" not in answer and (piece := connection.recv(4096)):
            answer += piece
    return int(answer.split()[1]) if answer else None


def resident_bytes() -> int | None:
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * 4096 if pages.is_file() else None


@pytest.mark.parametrize("service", SERVICES)
def test_malformed_requests_do_no_harm(service, caplog):
    if not (ROOT / "solutions").is_dir():
        pytest.skip("해답이 없는 배포판입니다")
    address, build = SERVICES[service]
    port = serve(build(), threads=2)
    made = list(requests(20261130, COUNT, address))
    wrong = []
    answered: Counter[int | None] = Counter()
    with caplog.at_level(logging.ERROR):
        before = None
        for number, (raw, complete) in enumerate(made):
            status = status_of(port, raw, complete)
            answered[status] += 1
            if status is not None and status >= 500 and status not in (501, 503):
                wrong.append((number, status, raw[:200]))
            if number == COUNT // 5:
                before = resident_bytes()  # 처음 불러오는 것들이 다 들어온 뒤부터 셉니다.
    assert wrong == []
    assert answered[400] > COUNT / 10 and answered[422] > COUNT / 10, answered  # 거절한 것이 서비스의 여러 곳입니다.
    assert [one.getMessage() for one in caplog.records] == []
    if before:
        assert resident_bytes() - before < 30 * 2**20
