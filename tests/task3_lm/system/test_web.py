"""웹 서비스에 요청을 보냅니다."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from http.client import HTTPConnection

import pytest
import torch

from nlpbook.language.config import ServeConfig
from tests.task3_lm.system.running import FOLDER, STEP5, explained, run, slow, words

if not FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)


@pytest.fixture
def client(steps, model):
    """한 번에 한 글만 쓰는 서버."""
    return steps.step5.build_web_app(model, ServeConfig(max_parallel=1, max_new_tokens=40)).test_client()


def events_of(text: str) -> list[dict]:
    parts = text.split("\n\n")
    assert parts.pop() == ""
    assert all(part.startswith("data: ") and "\n" not in part for part in parts)
    return [json.loads(part.removeprefix("data: ")) for part in parts]


def test_the_page_and_the_health_check_answer(client, model):
    page = client.get("/").get_data(as_text=True)
    assert "<textarea" in page
    assert f"{model.num_parameters():,}개의 모델" in page
    assert 'max="40"' in page
    assert client.get("/healthz").get_json() == {"status": "ok", "parameters": model.num_parameters()}


def test_a_plain_answer_and_a_streamed_one_say_the_same(client):
    asked = {"prompt": "작은 여우", "max_tokens": 12, "seed": 3}
    plain = client.post("/api/generate", json=asked).get_json()
    streamed = client.post("/api/generate", json=asked | {"stream": True})
    assert streamed.mimetype == "text/event-stream"
    *tokens, end = events_of(streamed.get_data(as_text=True))
    assert plain["prompt"] == "작은 여우"
    assert plain["text"] == end["text"] == "".join(one["text"] for one in tokens)
    assert plain["reason"] == end["reason"] in ("length", "end_of_text")
    assert plain["tokens"] == sum(one["probability"] is not None for one in tokens) <= 12


def test_events_are_sent_while_the_text_is_still_being_written(client, steps, monkeypatch):
    """첫 사건을 받았을 때 모델은 한두 토큰만 골랐습니다. 다 쓴 뒤에 보내는 것이 아닙니다."""
    picked: list[int] = []
    monkeypatch.setattr(steps.step5, "pick", lambda *_: picked.append(1) or torch.tensor([len(picked) + 40]))
    response = client.post("/api/generate", json={"prompt": "여우", "max_tokens": 30, "stream": True})
    chunks = response.iter_encoded()
    next(chunks)
    assert 1 <= len(picked) <= 2
    rest = b"".join(chunks)
    assert len(picked) == 30
    assert b'"done": true' in rest


def test_one_text_too_many_is_answered_with_503_until_a_stream_is_closed(client):
    asked = {"prompt": "여우", "max_tokens": 30, "stream": True}
    first = client.post("/api/generate", json=asked)
    busy = client.post("/api/generate", json=asked)
    assert busy.status_code == 503
    assert "잠시 뒤" in busy.get_json()["error"]
    first.close()
    assert client.post("/api/generate", json=asked | {"stream": False}).status_code == 200
    with client.post("/api/generate", json=asked) as whole:
        assert events_of(whole.get_data(as_text=True))[-1]["done"]
    assert client.post("/api/generate", json=asked | {"stream": False}).status_code == 200


def test_a_failure_while_writing_frees_its_place_and_is_explained(client, steps, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("boom")

    with monkeypatch.context() as patch:
        patch.setattr(steps.step5, "pick", broken)
        failed = client.post("/api/generate", json={"prompt": "여우"})
    assert failed.status_code == 500
    assert re.search("[가-힣]", failed.get_json()["error"])
    assert client.post("/api/generate", json={"prompt": "여우", "max_tokens": 1}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "JSON"),
        (b'{"prompt": 3}', 422, "문자열"),
        (b'{"prompt": "a", "max_tokens": 41}', 422, "40"),
        (b'{"prompt": "a", "temperature": -1}', 422, "temperature"),
        (b'{"prompt": "' + b"abc " * 100 + b'"}', 422, "앞글이 .*토큰"),
        (b"x" * 100_000, 413, "너무 큽니다"),
    ],
)
def test_a_bad_request_is_answered_in_korean_and_takes_no_place(client, body, status, said):
    for _ in range(2):
        answer = client.post("/api/generate", data=body)
        assert answer.status_code == status
        assert re.search(said, answer.get_json()["error"])
    assert client.post("/api/generate", json={"prompt": "a", "max_tokens": 1}).status_code == 200


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", "/api/generate", 405)])
def test_wrong_addresses_and_methods_are_answered_in_json(client, method, path, status):
    answer = client.open(path, method=method)
    assert answer.status_code == status
    assert re.search("[가-힣]", answer.get_json()["error"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def post(base: str, **asked: object) -> tuple[int, dict]:
    body = json.dumps(asked).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{base}/api/generate", data=body)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@slow
def test_server_answers_streams_and_stops_over_http(trained, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    port = free_port()
    asked = {"output": trained.parents[1], "server_port": port, "max_parallel": 1, "max_new_tokens": 100_000}
    server = subprocess.Popen(
        [sys.executable, str(STEP5), "serve", *words(asked)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
    )
    try:
        base = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                assert json.load(urllib.request.urlopen(f"{base}/healthz"))["status"] == "ok"
                break
            except OSError:
                assert server.poll() is None, server.stdout.read().decode()
                time.sleep(0.1)  # 다른 프로세스가 뜨기를 기다립니다.
        assert "<textarea" in urllib.request.urlopen(base).read().decode()
        status, answer = post(base, prompt="작은 여우", max_tokens=5, seed=1)
        assert (status, answer["prompt"]) == (200, "작은 여우")
        assert post(base, prompt="a", max_tokens=100_001)[0] == 422

        for seed in range(20):  # 글의 끝을 뽑아 벌써 끝난 글은 자리를 비웁니다. 그러면 다른 글로 다시 합니다.
            with closing(HTTPConnection("127.0.0.1", port)) as connection:
                endless = {"prompt": "여우", "max_tokens": 100_000, "stream": True, "seed": seed}
                connection.request("POST", "/api/generate", json.dumps(endless))
                first = connection.getresponse().readline()
                assert events_of(first.decode() + "\n")[0]["alternatives"]
                if post(base, prompt="곰")[0] == 503:  # 첫 사건은 받았고, 글은 아직 쓰는 중입니다.
                    break
        else:
            raise AssertionError("쓰는 중에도 다른 글을 받습니다")
        for _ in range(200):
            if post(base, prompt="곰", max_tokens=1)[0] == 200:
                break
            time.sleep(0.05)  # 서버는 다음 토큰을 보내려다 끊긴 것을 압니다.
        else:
            raise AssertionError("연결을 끊었는데도 자리가 비지 않습니다")
        explained(run(STEP5, "serve", *words(asked)), f"포트 {port}")
    finally:
        server.terminate()
        server.wait()


def test_a_text_nobody_waits_for_is_written_no_further(client, steps, monkeypatch):
    picked: list[int] = []
    monkeypatch.setattr(steps.step5, "pick", lambda *_: picked.append(1) or torch.tensor([len(picked) + 40]))
    asked = {"prompt": "여우", "max_tokens": 30, "stream": True}
    left = {"waitress.client_disconnected": lambda: len(picked) > 3}
    for stream in (True, False):
        picked.clear()
        with client.post("/api/generate", json=asked | {"stream": stream}, environ_overrides=left) as answer:
            assert answer.status_code == 200
            answer.get_data()
        assert len(picked) == 4
