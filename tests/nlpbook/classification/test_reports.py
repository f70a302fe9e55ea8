"""평가 결과: 자신 있게 틀린 순서와 오답 페이지, 표."""

from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console

from nlpbook.classification.metrics import classification_report
from nlpbook.classification.reports import confident_mistakes, confusion_table, write_mistakes_page

NAMES = ("부정", "긍정")
TEXTS = ["하나", "둘", "셋", "넷"]
LABELS = [0, 0, 1, 1]
PROBS = torch.tensor([[0.4, 0.6], [0.9, 0.1], [0.95, 0.05], [0.7, 0.3]])


@pytest.fixture
def report():
    return classification_report(PROBS.argmax(-1), torch.tensor(LABELS), 2)


@pytest.fixture
def page(tmp_path, report):
    """`page(틀린 예문들)`은 오답 페이지의 HTML입니다."""

    def write(mistakes, subtitle: str = "모델", report=report) -> str:
        write_mistakes_page(tmp_path / "mistakes.html", mistakes, report, subtitle)
        return (tmp_path / "mistakes.html").read_text(encoding="utf-8")

    return write


def test_mistakes_come_most_confident_first():
    mistakes = confident_mistakes(TEXTS, LABELS, PROBS, NAMES, limit=10)
    assert [(one.text, one.label, one.predicted) for one in mistakes] == [
        ("셋", "긍정", "부정"),
        ("넷", "긍정", "부정"),
        ("하나", "부정", "긍정"),
    ]
    assert mistakes[0].confidence == pytest.approx(0.95)


@pytest.mark.parametrize("limit", [0, 2])
def test_no_more_mistakes_than_asked_for(limit):
    assert [one.text for one in confident_mistakes(TEXTS, LABELS, PROBS, NAMES, limit)] == ["셋", "넷"][:limit]


def test_the_page_lists_mistakes_in_order(page):
    html = page(confident_mistakes(TEXTS, LABELS, PROBS, NAMES, 10))
    assert html.index("셋") < html.index("넷") < html.index("하나")
    assert "95.0%" in html
    assert "25.00%" in html


def test_reviews_and_names_are_escaped(page):
    texts = ["<script>alert(1)</script>", "", '{중괄호} & "따옴표"', "넷"]
    html = page(confident_mistakes(texts, [1, 1, 1, 0], torch.tensor([[0.9, 0.1]] * 4), NAMES, 10), "<b>모델</b>")
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "<b>모델" not in html
    assert "{중괄호} &amp; &#34;따옴표&#34;" in html


def test_a_blank_review_is_shown_as_blank(page):
    assert "(빈 리뷰)" in page(confident_mistakes([""], [1], torch.tensor([[0.9, 0.1]]), NAMES, 1))


def test_a_perfect_model_has_no_mistakes_to_show(page):
    perfect = classification_report(torch.tensor(LABELS), torch.tensor(LABELS), 2)
    assert "틀린 문장이 없습니다" in page([], report=perfect)


def test_a_page_asked_to_show_none_does_not_claim_there_are_none(page):
    html = page([])
    assert "틀린 문장이 없습니다" not in html
    assert "<b>3</b>" in html


def test_the_table_counts_by_label(report):
    out = io.StringIO()
    Console(file=out, width=80).print(confusion_table(report, NAMES))
    rows = [line for line in out.getvalue().splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row.strip("│").split("│")] for row in rows] == [
        ["부정", "1", "1"],
        ["긍정", "2", "0"],
    ]
