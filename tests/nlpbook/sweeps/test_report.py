"""결과를 보는 페이지: 시도가 0개이거나 모두 실패했어도, 밖에서 받는 것 없이."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from nlpbook.errors import UserError
from nlpbook.sweeps import drawings
from nlpbook.sweeps.report import Page, write_report

VOID = {"meta", "link", "circle", "rect", "line", "polyline", "br"}


class Balanced(HTMLParser):
    """연 것은 닫혀야 합니다."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def page_of(folder) -> str:
    text = write_report(folder.outputs, folder.path.name).read_text(encoding="utf-8")
    Balanced(text)
    assert not re.search(r"(src|href)=\"(?!data:)|@import|url\(", text)  # 밖에서 받는 것이 없습니다
    assert "prefers-color-scheme" in text or "light-dark(" in text
    assert 'name="viewport"' in text
    return text


def test_the_page_shows_all_there_is(sweep_with, capsys):
    parameters = {"x": {"values": [0.1, 0.3, 0.6]}, "seed": {"values": [5, 8]}, "fixed": {"value": 3}}
    folder = sweep_with(parameters, metric={"name": "best/score", "goal": "maximize"})
    text = page_of(folder)
    for title in ("지나온 길", "평행 좌표", "중요도", "시드에 따른 흩어짐", "모든 시도"):
        assert f"<h2>{title}</h2>" in text
    assert text.count("<svg") == 4
    assert "0.9800" in text
    told = capsys.readouterr().out
    assert "중요도" in told and "0.9800" in told


def test_importance_finds_what_matters(sweep_with):
    folder = sweep_with({"x": {"values": [0.1, 0.3, 0.6]}, "k": {"values": ["a", "b", "c"]}})
    importance = Page(folder.read_info(), folder.records()).importance
    assert importance["x"] > 0.9
    assert sum(importance.values()) == pytest.approx(1)


def test_seeds_of_one_point_stand_together(sweep_with):
    folder = sweep_with({"x": {"values": [0.1, 0.3]}, "seed": {"values": [5, 8, 13]}})
    spreads = Page(folder.read_info(), folder.records()).spreads()
    assert [(label, len(values)) for label, values in spreads] == [("x=0.3", 3), ("x=0.1", 3)]


def test_a_point_tried_with_one_seed_has_no_spread(sweep_with):
    folder = sweep_with({"x": {"values": [0.1, 0.3]}, "seed": {"values": [5]}})
    assert Page(folder.read_info(), folder.records()).spreads() == []


def test_no_trial_at_all(sweep_with):
    folder = sweep_with({"x": {"values": [0.1]}})
    folder.lines.unlink()
    text = page_of(folder)
    assert "아직 끝난 시도가 없습니다" in text
    assert "<svg" not in text


def test_one_trial(sweep_with):
    text = page_of(sweep_with({"x": {"values": [0.1]}}))
    assert "0.7800" in text
    assert "평행 좌표" not in text


def test_all_failed(sweep_with, capsys):
    text = page_of(sweep_with({"trouble": {"values": ["error", "memory", "skip"]}}))
    assert "끝까지 한 시도가 없습니다" in text
    assert "일부러 낸 오류" in text
    assert "끝까지 한 시도가 없습니다" in capsys.readouterr().out


def test_what_people_wrote_is_text(sweep_with):
    text = page_of(sweep_with({"x": {"values": [0.1]}, "<b>": {"values": ["<script>alert(1)</script>", "b"]}}))
    assert "<script>" not in text


def test_the_command_that_trains_the_best_again(sweep_with):
    folder = sweep_with({"x": {"values": [0.1, 0.3]}, "name": {"value": "두 낱말"}})
    info = {**folder.read_info(), "rerun": "python train.py --config {config}", "base": {"config": "quick"}}
    assert Page(info, folder.records()).rerun() == 'python train.py --config quick name="두 낱말" x=0.3'


def test_an_unknown_sweep_tells_those_there_are(sweep_with):
    folder = sweep_with({"x": {"values": [0.1]}})
    with pytest.raises(UserError, match="있는 것: small"):
        write_report(folder.outputs, "smell")


def test_large_spans_are_placed_by_their_logarithm():
    heights, ticks = drawings._column([1e-6, 1e-4, 1e-2])
    assert heights[1] == pytest.approx((heights[0] + heights[2]) / 2)
    assert [text for _, text in ticks] == ["1e-06", "0.01"]
