"""해답에서 실습 파일과 가이드의 표를 만듭니다."""

from __future__ import annotations

import pytest

from course.author.build import build, out_of_step
from course.book.regions import to_exercise
from course.home import ROOT, Home
from tests.course.workshop import GUIDE, STEP1


@pytest.fixture
def built(workshop):
    workshop.write(workshop.guide.name, GUIDE)
    build(workshop.home)
    return workshop


def test_exercises_of_this_repository_are_in_step():
    assert out_of_step(Home(ROOT)) == []


def test_build_writes_every_step_and_then_has_nothing_to_do(workshop):
    written = {path for path, _ in build(workshop.home)}
    assert written == {workshop.task.exercise / name for name in ("step1_numbers.py", "step2_quadruple.py")}
    assert (workshop.task.exercise / "step1_numbers.py").read_text(encoding="utf-8") == to_exercise(STEP1)
    assert out_of_step(workshop.home) == []
    assert build(workshop.home) == []


def test_missing_exercise_is_told(workshop):
    problems = out_of_step(workshop.home)
    assert "task1-tiny/step1_numbers.py가 없습니다." in problems
    assert "task1-tiny/step2_quadruple.py가 없습니다." in problems


def test_exercise_edited_by_hand_is_told(built):
    built.write("task1-tiny/step1_numbers.py", to_exercise(STEP1) + "\n# 손으로\n")
    [problem] = out_of_step(built.home)
    assert "task1-tiny/step1_numbers.py" in problem
    assert "다릅니다" in problem


def test_step_unknown_to_the_solution_is_told(built):
    built.write("task1-tiny/step9_extra.py", "")
    built.write("task1-tiny/notes.txt", "")
    [problem] = out_of_step(built.home)
    assert "task1-tiny/step9_extra.py" in problem


def test_file_is_kept_before_it_is_overwritten(built):
    mine = built.write("task1-tiny/step1_numbers.py", "# 내가 쓴 것\n")
    [(path, kept)] = build(built.home)
    assert path == mine
    assert kept.is_relative_to(built.root / ".course" / "backup")
    assert kept.read_text(encoding="utf-8") == "# 내가 쓴 것\n"
    assert mine.read_text(encoding="utf-8") == to_exercise(STEP1)


def test_guide_table_is_filled_and_the_rest_kept(built):
    rows = "| TODO | 할 일 |\n|---|---|\n| 1-1 | 두 배를 answer에 담으세요. |\n| 1-2 | 원의 넓이를 돌려주세요. |\n"
    assert built.guide.read_text(encoding="utf-8") == GUIDE.replace("옛 표\n", rows)


def test_guide_table_that_fell_behind_is_told(built):
    built.guide.write_text(GUIDE, encoding="utf-8")
    [problem] = out_of_step(built.home)
    assert built.guide.name in problem


def test_copy_without_solutions_is_never_out_of_step(built):
    for file in (built.root / "solutions" / "task1-tiny").iterdir():
        file.unlink()
    (built.root / "solutions" / "task1-tiny").rmdir()
    built.write("task1-tiny/step1_numbers.py", STEP1)
    assert out_of_step(built.home) == []
