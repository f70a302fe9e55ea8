"""처음 보는 답 세기: 파일의 답을 빠짐없이 읽고, 통과와 거절과 이름 댄 것을 갈라 셉니다."""

from __future__ import annotations

from dataclasses import replace

import pytest

from course.author.record import Said
from course.author.unseen import Tally, read_answers, tally
from course.book.tasks import all_tasks
from course.home import ROOT, CourseError, Home

WRITTEN = """### wrong: 두 배만 했습니다
value = 2 * x

### right: 더해도 같습니다
value = x + x + x
# ### 줄의 처음이 아니면 답의 일부입니다
"""
SAID = Said("task1-cls", "1-1", "wrong", "두 배만 했습니다", "wrong", "twice", "✗")


@pytest.fixture
def task():
    return next(one for one in all_tasks(Home(ROOT)) if one.short == "cls")


def test_every_answer_of_a_file_is_read(task, tmp_path):
    (tmp_path / "cls").mkdir()
    (tmp_path / "cls" / "1-1.txt").write_text(WRITTEN, encoding="utf-8")
    wrong, right = read_answers(tmp_path, task, ["1-1", "1-2"])
    assert (wrong.kind, wrong.what, wrong.code) == ("wrong", "두 배만 했습니다", "value = 2 * x\n")
    assert right.code.endswith("답의 일부입니다\n")


def test_words_before_the_first_answer_are_refused(task, tmp_path):
    (tmp_path / "cls").mkdir()
    (tmp_path / "cls" / "1-1.txt").write_text("value = 2\n" + WRITTEN, encoding="utf-8")
    with pytest.raises(CourseError, match="### wrong"):
        read_answers(tmp_path, task, ["1-1"])


def test_passed_named_explained_and_refused_are_told_apart():
    said = [
        SAID,
        replace(SAID, state="right", symptom=None),
        replace(SAID, state="broken", symptom=None),
        replace(SAID, symptom=None),
        replace(SAID, kind="right", state="right", symptom=None),
        replace(SAID, kind="right"),
    ]
    counted = tally(said)
    assert counted == Tally(wrong=4, passed=1, named=1, explained=1, right=2, refused=1)
    assert (counted.judged, counted.told) == (1 - 2 / 6, 0.5)
