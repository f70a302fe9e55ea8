"""웹 서비스: 다른 사이트와 틀린 연결을 waitress까지 넣어 시험합니다."""

from __future__ import annotations

import http.client
import json
import socket
import threading

import pytest
from flask import Flask, jsonify, render_template, request
from werkzeug.exceptions import ServiceUnavailable

from nlpbook import serving
from tests.listening import serve


class Served:
    """이 프로세스의 쓰레드에서 듣는 서버와, 그 안에서 일어난 일."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.left = threading.Event()
        self.port = serve(self.app(), threads=2)

    def app(self) -> Flask:
        app = serving.new_app("시험")

        @app.get("/healthz")
        def healthz():
            return jsonify(status="ok")

        @app.get("/page")
        def page():
            return render_template("serve_cls.html", model_name="<script>alert(1)</script>")

        @app.post("/echo")
        def echo():
            return jsonify(serving.read_json(request, '"재미있어요"'))

        @app.post("/busy")
        def busy():
            raise ServiceUnavailable("지금은 다른 글을 쓰고 있습니다.")

        @app.post("/endless")
        def endless():
            def steps():
                while True:
                    self.started.set()
                    yield 1

            try:
                for _ in serving.while_connected(steps()):
                    pass
            finally:
                self.left.set()
            return jsonify(status="nobody reads this")

        return app

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer, content

    def send(self, raw: bytes) -> tuple[int, dict]:
        """글자 그대로 보낸 요청의 (상태, JSON)."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(raw)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status, json.loads(answer.read())


@pytest.fixture(scope="module")
def served() -> Served:
    return Served()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9164", "localhost.evil.example", "127.0.0.1.evil.example"]
)
def test_a_host_that_is_not_ours_is_refused(served, host):
    answer, content = served.ask("GET", "/healthz", Host=host)
    assert answer.status == 400
    assert "Host" in json.loads(content)["error"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9164", "[::1]:9164"])
def test_names_of_this_machine_are_ours(served, host):
    assert served.ask("GET", "/healthz", Host=host)[0].status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"])
def test_a_form_of_another_site_is_refused(served, origin):
    answer, content = served.ask("POST", "/echo", b'"a"', Origin=origin, Content_Type="text/plain")
    assert answer.status == 403
    assert "다른 사이트" in json.loads(content)["error"]


def test_our_own_page_may_post(served):
    answer, content = served.ask("POST", "/echo", b'"a"', Origin=f"http://127.0.0.1:{served.port}")
    assert (answer.status, json.loads(content)) == (200, "a")


@pytest.mark.parametrize("path", ["/page", "/healthz", "/nowhere"])
def test_every_answer_is_protected(served, path):
    answer, _ = served.ask("GET", path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_only_the_scripts_of_the_template_run(served):
    policies = set()
    for _ in range(2):
        answer, content = served.ask("GET", "/page")
        page = content.decode()
        policy = answer.headers["Content-Security-Policy"]
        nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
        assert page.count("<script") == page.count(f'<script nonce="{nonce}">') == 1
        assert page.count("<style") == page.count(f'<style nonce="{nonce}">') == 1
        assert page.startswith("<!doctype html>")
        policies.add(policy)
    assert len(policies) == 2  # 번호는 대답마다 다릅니다.


def test_a_wrong_method_says_which_are_right(served):
    answer, _ = served.ask("GET", "/echo")
    assert answer.status == 405
    assert "POST" in answer.headers["Allow"]


def test_a_busy_server_says_when_to_come_back(served):
    answer, content = served.ask("POST", "/busy", b"")
    assert (answer.status, json.loads(content)["error"]) == (503, "지금은 다른 글을 쓰고 있습니다.")
    assert int(answer.headers["Retry-After"]) > 0


def test_half_a_surrogate_pair_in_a_key_is_answered(served):
    answer, content = served.ask("POST", "/echo", b'{"\\ud800": "\\udfff"}')
    assert (answer.status, json.loads(content)) == (200, {"?": "?"})


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(b"NONSENSE\r\n\r\n", 400, id="no request line"),
        pytest.param(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400, id="length"),
        pytest.param(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", 413, id="too big"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 300_000 + b"\r\n\r\n", 431, id="header"),
        pytest.param(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501, id="encoding"),
    ],
)
def test_the_servers_own_refusals_are_the_same_json(served, raw, status):
    answered, body = served.send(raw)
    assert answered == status
    assert set(body) == {"error"}
    assert any("가" <= letter <= "힣" for letter in body["error"])


def test_half_open_connections_do_not_stop_the_server(served):
    waiting = [socket.create_connection(("127.0.0.1", served.port), timeout=60) for _ in range(150)]
    try:
        for one in waiting:
            one.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
        assert served.ask("GET", "/healthz")[0].status == 200
    finally:
        for one in waiting:
            one.close()


def test_an_abandoned_request_ends_at_once(served):
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        connection.sendall(b"POST /endless HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        assert served.started.wait(60)
    assert served.left.wait(60)
