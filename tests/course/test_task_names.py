"""과제의 이름들: 명령에는 짧은 이름도, 긴 이름도 적습니다."""

from __future__ import annotations

from pathlib import Path

import pytest

from course.book.tasks import find_task
from course.home import CourseError, Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    for name in ("task1-cls", "task2-summarization", "task4-tiny", "task5-summer", "task6-sun"):
        (tmp_path / "solutions" / name).mkdir(parents=True)
    return Home(tmp_path)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("cls", "task1-cls"),
        ("task1", "task1-cls"),
        ("task1-cls/", "task1-cls"),
        ("summarization", "task2-summarization"),
        ("task2", "task2-summarization"),
        ("summer", "task5-summer"),
        ("tiny", "task4-tiny"),
        ("sun", "task6-sun"),
    ],
)
def test_a_task_is_found_by_each_of_its_names(home, name, found):
    assert find_task(home, name).name == found


@pytest.mark.parametrize(("name", "short"), [("cls", "cls"), ("tiny", "tiny"), ("summer", "sum")])
def test_a_short_name_is_short(home, name, short):
    assert find_task(home, name).short == short


def test_a_short_name_of_one_task_finds_it(tmp_path):
    (tmp_path / "solutions" / "task2-summarization").mkdir(parents=True)
    assert find_task(Home(tmp_path), "sum").name == "task2-summarization"


def test_a_short_name_of_two_tasks_is_asked_about(home):
    with pytest.raises(CourseError, match="어느 과제인지 알 수 없습니다: summarization, summer"):
        find_task(home, "sum")


@pytest.mark.parametrize("name", ["su", "summa", "task9", ""])
def test_an_unknown_name_is_told_with_those_there_are(home, name):
    with pytest.raises(CourseError, match="있는 과제: cls, sum, tiny, sum, sun"):
        find_task(home, name)
