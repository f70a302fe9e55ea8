"""요약의 페이지: 말풍선, 몫, 잘린 것. 자판만으로도, 좁은 화면과 어두운 화면에서도."""

from __future__ import annotations

import pytest
from flask import Flask, jsonify, render_template, request

from nlpbook import serving
from nlpbook.summarization.requests import Limits, read_summarization
from tests.browser.opening import opened
from tests.listening import serve

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]

LIMITS = Limits(("#Person1#", "#Person2#", "#Person3#"), turns=9, characters=400, num_beams=6, max_length=70)
CUT = "대화가 길어 마지막 1마디는 다 읽지 못했습니다."


def stand_in() -> Flask:
    """정해 둔 대로 답하는 서버. 마지막 말은 읽지 못했다고 합니다."""
    app = serving.new_app("시험")
    given = {"limits": LIMITS, "num_beams": 4, "max_length": 50, "parameters": 1234567}
    app.add_url_rule("/sum/", view_func=lambda: render_template("serve_sum.html", **given), endpoint="sum")

    @app.post("/sum/api")
    def summarize():
        asked = read_summarization(request, LIMITS, 4, 50)
        last = len(asked.turns) - 1
        turns = [
            {
                "speaker": turn.speaker,
                "tag": turn.tag,
                "text": turn.text,
                "share": 0.75 if number == 0 else 0.25 / max(1, last - 1) if number < last else 0.0,
                "read": number < last,
            }
            for number, turn in enumerate(asked.turns)
        ]
        summary = f"#Person1#은 <b>{asked.max_length}</b>에 #Person2#를 만납니다."
        more = {"num_beams": asked.num_beams, "max_length": asked.max_length, "seconds": 0.25}
        return jsonify(summary=summary, turns=turns, notices=[CUT], **more)

    return app


@pytest.fixture(scope="module")
def address() -> str:
    return f"http://127.0.0.1:{serve(stand_in(), threads=4)}/sum/"


def write_and_send(page) -> None:
    """자판만으로: 적고, Enter로 줄을 바꾸고, Ctrl+Enter로 보냅니다."""
    page.keyboard.type("민수: 오늘 세 시에 볼까?")
    page.keyboard.press("Enter")
    page.keyboard.type("지영: <i>좋아</i>")
    page.keyboard.press("Enter")
    page.keyboard.type("민수: " + "아주긴낱말" * 20)
    page.keyboard.press("Control+Enter")
    page.locator("#summary").wait_for()


def test_a_dialogue_is_summarized_with_the_keyboard_alone(page, address):
    opened(page, address)
    write_and_send(page)
    assert page.locator("#summary").inner_text() == "민수 #Person1#은 <b>50</b>에 지영 #Person2#를 만납니다."
    assert page.locator("li").count() == 3
    assert page.locator("li.right .who").inner_text() == "지영 · #Person2#"
    assert page.locator("li.looked .meter").inner_text() == "75.0%"
    assert page.locator("li.unread .meter").inner_text() == "다 읽지 못했습니다"
    assert page.locator(".notice").inner_text() == CUT
    assert "증거는 아닙니다" in page.locator(".about").inner_text()
    assert page.locator("#result i:not(.meter i), #result b:not(.meter b)").count() == 0  # 글은 글로 남습니다.
    assert page.evaluate("document.activeElement.id") == "dialogue"


def test_nothing_sticks_out_of_the_screen(page, address):
    opened(page, address)
    write_and_send(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_no_serious_violation_of_accessibility(page, address):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core가 없습니다")
    opened(page, address)
    write_and_send(page)
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []


def test_length_and_beams_are_chosen_with_arrow_keys(phone, address):
    opened(phone, address)
    for name, before in (("길이", "50"), ("빔", "4")):
        slider = phone.get_by_role("slider", name=name, exact=True)
        slider.focus()
        phone.keyboard.press("ArrowRight")
        assert slider.evaluate("one => one.parentElement.querySelector('output').value") == str(int(before) + 1)
    phone.locator("#dialogue").focus()
    write_and_send(phone)
    assert "<b>51</b>" in phone.locator("#summary").inner_text()


def test_an_example_fills_the_box_and_a_refusal_is_told(phone, address):
    opened(phone, address)
    phone.get_by_role("button", name="회의 미루기").click()
    phone.locator("#summary").wait_for()
    assert phone.locator("#dialogue").input_value().startswith("민수: 지영 씨")
    phone.fill("#dialogue", "이름 없는 글")
    phone.get_by_role("button", name="요약하기").click()
    phone.locator("#result .error", has_text="이름: 말").wait_for()
