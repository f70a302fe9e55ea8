"""serve의 페이지: 적고, 보내고, 봅니다. 자판만으로도, 좁은 화면과 어두운 화면에서도."""

from __future__ import annotations

import pytest

from tests.browser.opening import opened

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]

PAGES = ["cls", "lm", "sum"]


def seen(page, selector: str, text: str):
    """그 글이 보일 때까지 기다립니다."""
    page.locator(selector, has_text=text).first.wait_for()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_sticks_out_of_the_screen(page, site, name):
    opened(page, site.address(f"{name}/"))
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", PAGES)
def test_no_serious_violation_of_accessibility(page, site, name):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core가 없습니다")
    opened(page, site.address(f"{name}/"))
    page.keyboard.type("민수: 재미있어요")
    page.keyboard.press("Control+Enter" if name == "sum" else "Enter")
    seen(page, *{"cls": ("#history li", "긍정"), "lm": ("#status", "이르렀습니다"), "sum": ("#summary", "약속")}[name])
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []


def test_a_review_is_judged_with_the_keyboard_alone(page, site):
    opened(page, site.address("cls/"))
    page.keyboard.type("배우들 연기가 좋아요")
    page.keyboard.press("Enter")
    seen(page, ".verdict", "긍정")
    assert page.locator("#result .long").inner_text() == "“배우들 연기가 좋아요”"
    assert page.evaluate("document.activeElement.id") == "text"
    assert "앞 128토큰만" in page.locator("#result").inner_text()


def test_html_in_a_review_stays_text(page, site):
    opened(page, site.address("cls/"))
    page.fill("#text", "<img src=x onerror=alert(1)><b>굵게</b>")
    page.click("#go")
    seen(page, "#result .long", "<b>굵게</b>")
    assert page.locator("#result img, #history img, #result b").count() == 0


def test_the_answer_to_the_last_question_stays(page, site):
    site.gate.clear()
    opened(page, site.address("cls/"))
    page.fill("#text", "기다려 좋아요")
    page.keyboard.press("Enter")
    page.fill("#text", "싫어요")
    page.keyboard.press("Enter")
    seen(page, ".verdict", "부정")
    site.gate.set()
    page.fill("#text", "끝")
    page.keyboard.press("Enter")
    seen(page, "#history li", "끝")
    assert page.locator("#history li").count() == 2


@pytest.mark.parametrize(("text", "told"), [("프록시", "프록시"), ("  ", ""), ("가" * 2001, "너무 깁니다")])
def test_an_error_is_a_korean_sentence(page, site, text, told):
    opened(page, site.address("cls/"))
    page.fill("#text", text)
    page.keyboard.press("Enter")
    seen(page, "#result .error", told)
    assert "Unexpected token" not in page.locator("#result").inner_text()


def test_letters_are_counted_as_the_server_counts_them(page, site):
    opened(page, site.address("cls/"))
    page.fill("#text", "\u1100\u1161🎬 ")
    assert page.locator("#count").inner_text() == "2 / 2,000자"


def test_an_enter_that_ends_a_syllable_sends_nothing(page, site):
    opened(page, site.address("cls/"))
    page.fill("#text", "좋아요")
    fire = "(area, init) => area.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', cancelable: true, ...init}))"
    for init in ({"isComposing": True}, {"keyCode": 229}):
        assert page.locator("#text").evaluate(fire, init)  # 막지 않았습니다.
    assert page.locator("#result").is_hidden()
    assert not page.locator("#text").evaluate(fire, {})


def test_every_slider_has_its_name_and_its_value(page, site):
    opened(page, site.address("lm/"))
    for name in ("온도", "top-k", "top-p", "되풀이 벌점", "토큰 수"):
        slider = page.get_by_role("slider", name=name, exact=True)
        slider.focus()
        page.keyboard.press("ArrowLeft")
        assert slider.evaluate("one => one.parentElement.querySelector('output').value === one.value")


def test_a_text_is_written_and_spoken_once(page, site):
    opened(page, site.address("lm/"))
    page.click("#go")
    seen(page, "#status", "정한 길이에 이르렀습니다 · 60토큰")
    assert page.locator("#text .token").count() == 60
    assert page.locator("#text").inner_text().startswith("옛날 옛적에 물새골에여우0")
    assert page.locator("#spoken").inner_text().count("여우0") == 1
    assert page.locator("[aria-live=polite], [role=status]").count() == 1


def test_tokens_are_reached_with_arrow_keys(page, site):
    opened(page, site.address("lm/"))
    page.click("#go")
    seen(page, "#status", "이르렀습니다")
    page.locator("#go").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "여우2 "
    assert "30.0%" in page.locator("#tip").inner_text()
    assert "<b>" in page.locator("#tip").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.textContent") == "여우59 "


def test_a_text_can_be_stopped_while_it_is_written(page, site):
    site.gate.clear()
    opened(page, site.address("lm/"))
    page.fill("#prompt", "기다려")
    page.click("#go")
    seen(page, "#text .token", "여우3")
    page.keyboard.press("Escape")
    seen(page, "#status", "멈췄습니다 · 4토큰")
    site.gate.set()
    assert page.locator("#stop").is_disabled()


def test_a_server_that_dies_in_the_middle_is_told(page, site):
    opened(page, site.address("lm/"))
    page.fill("#prompt", "끊어져")
    page.click("#go")
    seen(page, "#status", "다 보내기 전에 끊어졌습니다")
    assert page.locator("#text .token").count() == 4


def test_what_is_being_written_stays_in_sight_on_a_phone(phone, site):
    site.gate.clear()
    opened(phone, site.address("lm/"))
    phone.fill("#prompt", "기다려")
    phone.click("#go")
    seen(phone, "#text .token", "여우3")
    box = phone.locator("#text .token").last.bounding_box()
    site.gate.set()
    assert 0 <= box["y"] < phone.viewport_size["height"] - box["height"]


def test_a_dialogue_is_shown_as_bubbles_with_who_is_who(page, site):
    opened(page, site.address("sum/"))
    page.keyboard.type("민수: 세 시에 볼까요?")
    page.keyboard.press("Enter")
    page.keyboard.type("지영: <i>좋아요</i>")
    page.keyboard.press("Control+Enter")
    seen(page, "#summary", "약속")
    assert page.locator("#summary").inner_text() == "민수 #Person1#은 <b>약속</b>을 잡습니다."
    assert page.locator("#result ol li").count() == 2
    assert page.locator("#result .bubble").nth(1).inner_text() == "<i>좋아요</i>"
    assert "70.0%" in page.locator("#result ol li").first.inner_text()
    assert "뒤를 읽지 못했습니다" in page.locator("#result").inner_text()
    assert page.evaluate("document.activeElement.id") == "dialogue"
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_the_summary_has_sliders_with_names(page, site):
    opened(page, site.address("sum/"))
    for name in ("길이", "빔"):
        page.get_by_role("slider", name=name, exact=True).focus()
