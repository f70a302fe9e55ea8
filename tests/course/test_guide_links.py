"""검사는 개념을 가이드의 그 자리와 이어 줍니다."""

from __future__ import annotations

import io
import re
from collections import Counter

import pytest
from rich.console import Console

from course.book.guide import marks, place_of, slug_of
from course.book.tasks import all_tasks
from course.checks.verdict import WRONG, Verdict
from course.home import ROOT, Home
from course.student.show import show_verdict

HOME = Home(ROOT)
TODOS = [(task, todo_id) for task in all_tasks(HOME) for todo_id in task.regions()]
GUIDE = """# 과제

## 3단계 한 스텝

### TODO

<!-- todos task1-tiny 3 -->
<!-- /todos -->

### 핵심 개념

#### 로짓에서 `확률`로
<!-- idea task1-tiny 3-3 3-4 -->

```python
#### 제목이 아닙니다
```

## 3단계 한 스텝
#### 어려운 것
<!-- idea task1-tiny 3-5 -->
"""


def headings(text):
    """제목들의 앵커. 코드 속의 것은 뺍니다."""
    titles = re.findall(r"^#{1,6} (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    return [slug_of(title) for title in titles]


@pytest.mark.parametrize(("task", "todo_id"), TODOS, ids=[f"{task.short} {todo_id}" for task, todo_id in TODOS])
def test_every_todo_leads_to_a_heading_of_the_guide(task, todo_id):
    page, _, anchor = place_of(HOME, task.name, todo_id).partition("#")
    assert anchor in headings((ROOT / page).read_text(encoding="utf-8"))


def test_every_mark_names_a_todo_and_none_is_named_twice():
    known = {(task.name, todo_id) for task, todo_id in TODOS}
    named = Counter(
        (task, name)
        for page in HOME.guide_pages()
        for task, name, _ in marks(page.read_text(encoding="utf-8"))
        if "-" in name
    )
    assert set(named) <= known
    assert [one for one, times in named.items() if times > 1] == []


def test_idea_is_the_heading_above_its_mark_and_the_step_stands_in_for_it():
    found = {name: anchor for _, name, anchor in marks(GUIDE)}
    assert found == {"3": "3단계-한-스텝", "3-3": "로짓에서-확률로", "3-4": "로짓에서-확률로", "3-5": "어려운-것"}


def test_table_under_a_heading_of_its_own_leads_to_that_heading():
    page = "## 모든 단계\n\n### 심화 과제\n\n<!-- todos task1-tiny 9 -->\n<!-- /todos -->\n"
    assert list(marks(page)) == [("task1-tiny", "9", "심화-과제")]


def test_same_heading_again_gets_a_number():
    again = GUIDE.replace("#### 어려운 것\n", "")
    assert {name: anchor for _, name, anchor in marks(again)}["3-5"] == "3단계-한-스텝-1"


def test_todo_without_a_guide_has_no_place(workshop):
    assert place_of(workshop.home, "task1-tiny", "1-1") == ""


@pytest.mark.parametrize("is_terminal", [True, False])
def test_place_is_always_readable_and_a_link_only_where_terminals_know_them(workshop, is_terminal):
    paper = Console(file=io.StringIO(), width=80, force_terminal=is_terminal, legacy_windows=False)
    verdict = Verdict("1-1", WRONG, "틀렸습니다", idea="softmax", guide="docs/guide/a.md#로짓에서-확률로")
    show_verdict(paper, workshop.home, workshop.task.exercise, verdict)
    text = paper.file.getvalue()
    assert "docs/guide/a.md#로짓에서-확률로" in text
    assert ("\x1b]8;" in text) is is_terminal
    assert ((workshop.root / "docs/guide/a.md").as_uri() in text) is is_terminal
