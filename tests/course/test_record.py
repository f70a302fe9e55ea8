"""판정 적어 두기: 같으면 말이 없고, 달라지거나 사라지거나 새로 생긴 판정은 모두 보입니다."""

from __future__ import annotations

from dataclasses import replace

import pytest

from course.author.record import Said, differences, read, write
from course.home import CourseError

SAID = Said("task1-tiny", "1-1", "mistake", "three-times: 세 배", "wrong", "three-times", "✗ 1-1  세 배\n")


def test_what_is_written_is_read_back(tmp_path):
    file = tmp_path / "verdicts.jsonl"
    odd = replace(SAID, answer="둘째", says="줄 하나\u2028와 \x85 글자\n")
    write(file, [SAID, odd])
    assert read(file) == [SAID, odd]


def test_equal_verdicts_say_nothing():
    assert list(differences([SAID], [SAID])) == []


@pytest.mark.parametrize("change", [{"says": "✗ 1-1  네 배\n"}, {"state": "right"}, {"symptom": None}])
def test_a_changed_verdict_is_shown(change):
    (said,) = differences([SAID], [replace(SAID, **change)])
    assert said.startswith("task1-tiny 1-1 mistake three-times: 세 배\n")


def test_a_verdict_that_came_or_went_is_shown():
    assert len(list(differences([SAID], []))) == len(list(differences([], [SAID]))) == 1


def test_a_file_that_is_no_record_is_refused(tmp_path):
    file = tmp_path / "verdicts.jsonl"
    for content in ("", "{}\n", "[1]\n"):
        file.write_text(content, encoding="utf-8")
        if content:
            with pytest.raises(CourseError, match="course record"):
                read(file)
    with pytest.raises(CourseError, match="course record"):
        read(tmp_path / "none.jsonl")
