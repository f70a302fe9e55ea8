"""진짜 브라우저(headless Chromium)로 templates/의 페이지를 엽니다. 브라우저가 없으면 까닭을 말하고 건너뜁니다."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator

import pytest
from flask import Flask, Response, jsonify, render_template, request

from nlpbook import serving
from nlpbook.serving import read_json, read_text
from nlpbook.summarization.requests import Limits
from tests.listening import serve

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    """이 기계에 설치된 Chromium이나 Chrome."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("Chromium이 없습니다(Debian과 Ubuntu에서는 apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright가 없습니다")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(params=[(360, "light"), (1440, "dark")], ids=["phone", "dark-desktop"])
def page(chromium, request) -> Iterator:
    """새 창 하나. 페이지의 스크립트가 오류를 내면 시험이 실패합니다."""
    yield from _page(chromium, *request.param)


@pytest.fixture
def phone(chromium) -> Iterator:
    yield from _page(chromium, 360, "light")


def _page(chromium, width: int, scheme: str) -> Iterator:
    context = chromium.new_context(viewport={"width": width, "height": 740}, color_scheme=scheme)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    # 4xx로 답한 요청을 브라우저가 적어 두는 것("Failed to load resource")은 페이지의 오류가 아닙니다.
    opened.on(
        "console", lambda one: errors.append(one.text) if one.type == "error" and "resource" not in one.text else 0
    )
    yield opened
    context.close()
    assert errors == []


class Site:
    """페이지마다의 API를 흉내 내는 서버. 언제 무엇을 답할지는 시험이 정합니다."""

    def __init__(self) -> None:
        self.gate = threading.Event()  # "기다려"로 시작하는 문장은 이것이 켜져야 답합니다.
        self.port = serve(self.app(), threads=4)

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def app(self) -> Flask:
        app = serving.new_app("시험")
        app.add_url_rule(
            "/cls/", view_func=lambda: render_template("serve_cls.html", model_name="시험"), endpoint="cls"
        )
        app.add_url_rule(
            "/lm/", view_func=lambda: render_template("serve_lm.html", limit=200, parameters=1234567), endpoint="lm"
        )

        limits = Limits(("#Person1#", "#Person2#"), turns=9, max_length=40, num_beams=4)
        app.add_url_rule(
            "/sum/",
            view_func=lambda: render_template(
                "serve_sum.html", limits=limits, num_beams=2, max_length=30, parameters=3487680
            ),
            endpoint="sum",
        )

        @app.post("/sum/api")
        def summarize():
            dialogue = read_json(request, "{}")["dialogue"]
            told = [line.split(": ", 1) for line in dialogue.splitlines()]
            turns = [
                {"speaker": who, "tag": f"#Person{i % 2 + 1}#", "text": text, "share": (0.7, 0.3)[i % 2], "read": True}
                for i, (who, text) in enumerate(told)
            ]
            return jsonify(
                summary="#Person1#은 <b>약속</b>을 잡습니다.",
                turns=turns,
                notices=["대화가 길어 뒤를 읽지 못했습니다."],
                num_beams=2,
                max_length=30,
                seconds=0.5,
            )

        @app.post("/cls/api")
        def judge():
            text = read_text(request)
            if text.startswith("프록시"):
                return Response("<h1>502 Bad Gateway</h1>", status=502, mimetype="text/html")
            if text.startswith("기다려"):
                self.gate.wait()
            label = "부정" if "싫" in text else "긍정"
            return jsonify(sentence=text, prediction=label, negative=0.2, positive=0.8, tokens=140, tokens_read=128)

        @app.post("/lm/api/generate")
        def write():
            prompt = read_json(request, "{}")["prompt"]

            def events():
                for number in range(60):
                    share = (number % 9 + 1) / 10
                    others = [{"text": "곰", "probability": share}, {"text": "<b>", "probability": 0.05}]
                    yield event({"text": f"여우{number} ", "probability": share, "alternatives": others})
                    if number == 3 and prompt.startswith("기다려"):
                        self.gate.wait()
                    if number == 3 and prompt.startswith("끊어져"):
                        return
                yield event({"done": True, "reason": "length", "text": ""})

            return Response(events(), mimetype="text/event-stream")

        return app


def event(value: dict) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


@pytest.fixture(scope="session")
def site() -> Site:
    return Site()
