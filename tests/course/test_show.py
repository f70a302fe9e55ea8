"""판정과 TODO는 80칸에서도, 색이 없어도 읽힙니다."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from course.author.build import build
from course.book.tables import Answers
from course.checks.verdict import BLOCKED, BROKEN, NOT_STARTED, RIGHT, WRONG, Verdict
from course.student.show import problem_line, show_todo, show_verdict
from tests.course.workshop import ODD

LONG = (
    "두 확률의 합이 1.214입니다. 두 라벨 중 하나만 고르는 문제에서는 합이 1이어야 합니다. [대괄호]와 :smile:도 그대로. "
    * 3
)


@pytest.fixture
def shown(workshop):
    """`shown(판정)`: 80칸, 색 없는 화면의 줄들."""

    def show(verdict, **more):
        console = Console(file=io.StringIO(), width=80, highlight=False, color_system=None)
        show_verdict(console, workshop.home, workshop.task.exercise, verdict, **more)
        return console.file.getvalue().splitlines()

    return show


@pytest.mark.parametrize(
    ("state", "mark"), [(RIGHT, "✓"), (NOT_STARTED, "·"), (BLOCKED, "·"), (WRONG, "✗"), (BROKEN, "!")]
)
def test_state_is_readable_without_color(shown, state, mark):
    assert shown(Verdict("1-1", state, "어떤 말"))[0].rstrip() == f"{mark} 1-1  어떤 말"


def test_mistake_comes_first_then_place_values_question_and_idea(shown):
    values = {"expected": "합 1.000", "got": "합 1.214", "idea": "softmax", "file": "step1_numbers.py", "line": 9}
    lines = shown(Verdict("1-1", WRONG, "시그모이드를 썼습니다", "어느 함수일까요?", **values), seconds=0.314)
    assert [line.strip() for line in lines] == [
        "✗ 1-1  시그모이드를 썼습니다  0.31초",
        "task1-tiny/step1_numbers.py:9",
        "기대: 합 1.000",
        "나온 값: 합 1.214",
        "어느 함수일까요?",
        "관련된 개념: softmax",
    ]


def test_what_the_student_printed_stands_under_the_question(shown):
    lines = shown(Verdict("1-1", WRONG, "틀렸습니다", "생각해 보세요.", printed=["모양 [3]", "[b]끝"]))
    below = [line.rstrip() for line in lines[1:]]
    assert below == ["    생각해 보세요.", "    찍은 것:", "      모양 [3]", "      [b]끝"]


def test_nothing_is_wider_than_80_columns(shown):
    code = "값 = 함수(" + "아주_긴_이름, " * 20
    verdict = Verdict(
        "1-1", BROKEN, LONG, LONG, LONG, LONG, LONG, file="step1_numbers.py", line=9, code=code, column=99
    )
    lines = shown(verdict, with_traceback=True)
    assert max(map(cell_len, lines)) <= 80
    assert "[대괄호]와 :smile:도" in " ".join(" ".join(lines).split())


def test_caret_stands_under_the_error_even_after_wide_letters(shown):
    verdict = Verdict("1-1", BROKEN, "문법", file="step1_numbers.py", line=9, code="글 = '가나' = 2", column=9)
    code, caret = shown(verdict)[2:4]
    assert cell_len(caret[: caret.index("^")]) == cell_len(code[: code.index("= 2")])


def test_traceback_comes_only_when_asked(shown):
    verdict = Verdict("1-1", BROKEN, "멈췄습니다", traceback="Traceback (most recent call last):\n  …")
    assert "Traceback" not in "".join(shown(verdict))
    assert "Traceback" in "".join(shown(verdict, with_traceback=True))


def test_right_answer_is_one_line(shown):
    assert len(shown(Verdict("1-1", RIGHT, "맞았습니다", file="step1_numbers.py", line=9))) == 1


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_editors_are_pointed_at_the_line_python_counts(workshop, odd, newline):
    lines = [f"# 위{odd}의 글", "def double(number):", "        answer = = 2", "", "x = 1"]
    workshop.write("task1-tiny/step1_numbers.py", newline.join(lines))
    for number, column in ((3, 9), (4, 1), (5, 1)):
        verdict = Verdict("1-1", BROKEN, "멈췄습니다", file="step1_numbers.py", line=number)
        line = problem_line(workshop.home, workshop.task.exercise, verdict)
        assert line.startswith(f"task1-tiny/step1_numbers.py:{number}:{column}: error")


@pytest.fixture
def todo_shown(workshop):
    build(workshop.home)

    def show(seen=0, **more):
        console = Console(file=io.StringIO(), width=80, highlight=False, color_system=None)
        show_todo(console, workshop.task, "1-1", Answers(hints={"1-1": ["둘째", "셋째"]}), seen, **more)
        return console.file.getvalue()

    return show


@pytest.mark.parametrize(("seen", "hints"), [(0, 0), (1, 1), (2, 2), (9, 2)])
def test_only_the_hints_seen_so_far_are_shown(todo_shown, seen, hints):
    text = todo_shown(seen)
    assert [one in text for one in ("힌트: 더하기로도 됩니다.", "힌트 2: 둘째", "힌트 3: 셋째")] == [
        number <= hints for number in range(3)
    ]


@pytest.mark.parametrize(("progress", "filled"), [((0, 23), 0), ((23, 23), 30), ((0, 0), 0), ((1, 3), 10)])
def test_progress_bar_fills_up(todo_shown, progress, filled):
    text = todo_shown(progress=progress)
    assert text.count("█") == filled
    assert f"{progress[0]}/{progress[1]}" in text


def test_place_of_a_wrecked_file_is_where_it_was_at_first(todo_shown, workshop):
    whole = todo_shown()
    workshop.step1.write_text("def double(:\n", encoding="utf-8")
    assert todo_shown() == whole
