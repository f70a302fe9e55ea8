"""5단계의 웹 서비스: 답의 모양, 상한, 잘린 것을 말하기, 함께 쓰는 설정, 동시에 온 요청."""

from __future__ import annotations

import http.client
import importlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from flask import request

from nlpbook.gate import Turnstile
from nlpbook.summarization.config import SummarizationConfig
from nlpbook.summarization.requests import Limits
from tests.listening import serve
from tests.task2_summarization import trainers

if not trainers.FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)

TALK = "민수: 오늘 3시에 역에서 볼까요?\n지영: 좋아요. <b>늦지</b> 않을게요 😊\n민수: 네."
MAX_LEN = 120
TAGS = ("#Person1#", "#Person2#", "#Person3#")


@pytest.fixture(scope="module")
def lesson():
    return trainers.lesson("step5_cli_and_serving")


@pytest.fixture(scope="module")
def summarizer(lesson):
    """배우지 않은 내장 모델. 무엇이든 씁니다."""
    config = SummarizationConfig().merge({"generation.max_length": 12, "generation.num_beams": 2})
    model, tokenizer = importlib.import_module("step1_config_and_model").load_model_and_tokenizer(config)
    model.set_attn_implementation("eager")
    return lesson.Summarizer(model, tokenizer, MAX_LEN)


@pytest.fixture(scope="module")
def app(lesson, summarizer):
    return lesson.build_web_app(summarizer, Limits(TAGS, turns=9, max_length=20, num_beams=3), max_parallel=1)


@pytest.fixture
def ask(app):
    def act(dialogue: Any = TALK, **more: Any):
        return app.test_client().post("/api", data=json.dumps({"dialogue": dialogue, **more}).encode())

    return act


def test_an_answer_has_everything_the_page_needs(ask):
    answer = ask().get_json()
    assert answer.keys() == {"summary", "turns", "notices", "num_beams", "max_length", "seconds"}
    assert (answer["num_beams"], answer["max_length"]) == (2, 12)
    assert [turn["speaker"] for turn in answer["turns"]] == ["민수", "지영", "민수"]
    assert [turn["tag"] for turn in answer["turns"]] == ["#Person1#", "#Person2#", "#Person1#"]
    assert answer["turns"][1]["text"] == "좋아요. <b>늦지</b> 않을게요 😊"
    assert sum(turn["share"] for turn in answer["turns"]) == pytest.approx(1, abs=1e-5)
    assert all(turn["read"] for turn in answer["turns"])
    assert not any(one in answer["summary"] for one in ("<s>", "</s>", "<pad>"))


def test_korean_is_sent_as_korean(ask):
    response = ask()
    assert "민수" in response.get_data(as_text=True)
    assert response.content_type == "application/json"


def test_the_summary_is_the_one_the_lesson_writes(lesson, summarizer, ask):
    """함께 쓰는 설정으로 물으면, 3단계의 summarize와 같은 요약입니다."""
    tagged = TALK.replace("민수", "#Person1#").replace("지영", "#Person2#")
    step3 = importlib.import_module("step3_rouge_metrics")
    [want] = step3.summarize(summarizer.model, summarizer.tokenizer, [tagged], MAX_LEN)
    assert ask().get_json()["summary"] == want


def test_one_request_does_not_change_the_next(summarizer, ask):
    before = ask().get_json()["summary"]
    settings = summarizer.model.generation_config.to_dict()
    other = ask(num_beams=3, max_length=5).get_json()
    assert (other["num_beams"], other["max_length"]) == (3, 5)
    assert ask().get_json()["summary"] == before
    assert summarizer.model.generation_config.to_dict() == settings


def test_requests_at_the_same_time_do_not_mix(lesson, summarizer):
    """서로 다른 빔과 길이로 한꺼번에 물어도, 하나씩 물은 것과 같은 답입니다."""
    app = lesson.build_web_app(summarizer, Limits(TAGS), max_parallel=8)
    wanted = [{"num_beams": 1 + number % 4, "max_length": 4 + 3 * number} for number in range(8)]

    def asked(more):
        body = json.dumps({"dialogue": TALK, **more}).encode()
        return app.test_client().post("/api", data=body).get_json()["summary"]

    alone = [asked(more) for more in wanted]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(asked, wanted))
    assert together == alone
    assert len(set(alone)) > 4


def test_what_was_cut_is_said(ask):
    long = "\n".join(
        f"민수: {number}시에 도서관 앞에서 만나기로 해요. 기차가 늦으면 연락 주세요." for number in range(9)
    )
    answer = ask(long, max_length=5).get_json()
    read = [turn["read"] for turn in answer["turns"]]
    assert read[0] and not read[-1]
    assert read == sorted(read, reverse=True)
    assert [turn["share"] for turn in answer["turns"]][-1] == 0
    assert f"마지막 {read.count(False)}마디" in answer["notices"][0]
    assert f"{MAX_LEN}토큰" in answer["notices"][0]
    assert "5토큰에서 잘렸습니다" in answer["notices"][-1]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\xff\xfe", 400),
        (b"[" * 60_000, 400),
        (b'{"dialogue": 3}', 422),
        (json.dumps({"dialogue": "가: 나", "num_beams": 4}).encode(), 422),
        (json.dumps({"dialogue": "가: 나", "max_length": 1}).encode(), 422),
        (json.dumps({"dialogue": "가: 나\n" * 10}).encode(), 422),
        (json.dumps({"dialogue": "\ud800: \u200b"}).encode(), 422),
        (b'"' + b"a" * 70_000 + b'"', 413),
    ],
)
def test_a_wrong_request_is_one_korean_sentence(app, body, status):
    response = app.test_client().post("/api", data=body)
    assert response.status_code == status
    error = response.get_json()["error"]
    assert any("가" <= letter <= "힣" for letter in error)


def test_the_page_says_the_limits_of_this_model(app):
    page = app.test_client().get("/").get_data(as_text=True)
    assert 'max="20"' in page
    assert 'max="3"' in page
    assert "3명, 9마디까지" in page
    assert app.test_client().get("/healthz").get_json() == {"status": "ok"}
    assert app.test_client().get("/nowhere").status_code == 404


def test_more_requests_than_places_are_asked_to_come_later(app, ask, summarizer, monkeypatch):
    """한 번에 하나만 씁니다. 오류로 끝난 요청도 자리를 비웁니다."""
    entered, leave = threading.Event(), threading.Event()
    before = type(summarizer).write

    def slow(self, *given):
        entered.set()
        assert leave.wait(30)
        return before(self, *given)

    monkeypatch.setattr(type(summarizer), "write", slow)
    first = []
    thread = threading.Thread(target=lambda: first.append(ask().status_code))
    thread.start()
    assert entered.wait(30)
    busy = ask()
    leave.set()
    thread.join(30)
    assert busy.status_code == 503
    assert "잠시 뒤" in busy.get_json()["error"]
    assert first == [200]

    def broken(self, *given):
        raise RuntimeError("고장")

    monkeypatch.setattr(type(summarizer), "write", broken)
    app.testing = False
    assert [ask().status_code for _ in range(3)] == [500, 500, 500]
    monkeypatch.setattr(type(summarizer), "write", before)
    assert ask().status_code == 200


def test_a_summary_nobody_waits_for_frees_its_place(app, ask, summarizer, monkeypatch):
    """쓰는 도중에 떠나면 다음 토큰에서 그치고, 자리는 다음 사람의 것입니다."""
    writing, left = threading.Event(), threading.Event()
    steps = []

    def until_they_leave(*_: Any) -> None:
        gone = request.environ["waitress.client_disconnected"]
        writing.set()
        while not gone():
            time.sleep(0.01)
        steps.append(1)

    leave = Turnstile.leave
    monkeypatch.setattr(Turnstile, "leave", lambda self: (leave(self), left.set()))
    connection = http.client.HTTPConnection("127.0.0.1", serve(app, threads=2))
    hook = summarizer.model.register_forward_pre_hook(until_they_leave)
    connection.request("POST", "/api", json.dumps({"dialogue": TALK}).encode())
    assert writing.wait(60)
    connection.close()
    assert left.wait(60)
    hook.remove()
    assert len(steps) == 1
    assert ask().status_code == 200


def test_eight_bits_answer_too(lesson, summarizer):
    small = lesson.quantized(summarizer.model, "int8")
    app = lesson.build_web_app(lesson.Summarizer(small, summarizer.tokenizer, MAX_LEN), Limits(TAGS))
    answer = app.test_client().post("/api", data=json.dumps({"dialogue": TALK}).encode()).get_json()
    assert sum(turn["share"] for turn in answer["turns"]) == pytest.approx(1, abs=1e-5)


def test_a_decoder_only_model_says_that_it_has_no_cross_attention(lesson, tmp_path):
    from transformers import AutoModelForCausalLM

    from nlpbook.summarization.architectures import load_tokenizer, settle_generation
    from tests.nlpbook.summarization import tiny_models

    folder = tiny_models.make("kogpt2", tmp_path / "gpt")
    tokenizer = load_tokenizer("kogpt2", str(folder), 50)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config = SummarizationConfig().merge({"generation.max_length": 9, "model.architecture": "kogpt2"})
    settle_generation(model, tokenizer, config.generation)
    app = lesson.build_web_app(lesson.Summarizer(model, tokenizer, 40), Limits(TAGS))
    answer = app.test_client().post("/api", data=json.dumps({"dialogue": "가: 비가 와요\n나: 네"}).encode()).get_json()
    assert [turn["share"] for turn in answer["turns"]] == [None, None]
    assert "비가" not in answer["summary"]
    assert answer["max_length"] == 9
