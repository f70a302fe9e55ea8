"""두 표의 증명: 실수는 모두 제 이름으로 걸리고, 다른 옳은 답은 모두 통과합니다."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest

from course.book.regions import splice
from course.book.tables import Answers, Mistake, RightAnswer
from course.book.tasks import Task, all_tasks
from course.checks.checker import Checker
from course.home import ROOT, Home

pytestmark = pytest.mark.spread

TASKS = [task for task in all_tasks(Home(ROOT)) if task.solution.is_dir()]
MISTAKES = [(task, one) for task in TASKS for one in Answers.load(task).mistakes]
ALSO_RIGHT = [(task, one) for task in TASKS for one in Answers.load(task).also_right]
TODOS = [(task, todo_id) for task in TASKS for todo_id in task.regions()]


def label(value: object) -> str:
    if isinstance(value, Mistake):
        return f"{value.todo}:{value.symptom}"
    return f"{value.todo}:right" if isinstance(value, RightAnswer) else getattr(value, "short", str(value))


@pytest.fixture(scope="module")
def checker():
    with Checker(Home(ROOT), trusting=True) as one:
        yield one


def with_answer(task: Task, todo_id: str, code: str, folder: Path) -> Path:
    """해답에서 자리 하나만 `code`로 바꾼 폴더."""
    for step in task.steps:
        shutil.copy(task.solution / step.file_name, folder)
    file = folder / task.step(int(todo_id.split("-")[0])).file_name
    file.write_text(splice(file.read_text(encoding="utf-8"), todo_id, code), encoding="utf-8")
    return folder


@pytest.mark.parametrize(("task", "mistake"), MISTAKES, ids=label)
def test_mistake_is_caught_and_named(checker, task, mistake, tmp_path):
    folder = with_answer(task, mistake.todo, mistake.code, tmp_path)
    verdict = checker.check(task, folder, [mistake.todo])[mistake.todo]
    assert verdict.state == "wrong", verdict
    assert verdict.title == mistake.name, verdict
    assert "{" not in verdict.says
    if verdict.also:
        warnings.warn(f"{mistake.todo} '{mistake.name}'은 다른 실수로도 보입니다: {', '.join(verdict.also)}")


@pytest.mark.parametrize(("task", "answer"), ALSO_RIGHT, ids=label)
def test_other_right_answer_passes(checker, task, answer, tmp_path):
    folder = with_answer(task, answer.todo, answer.code, tmp_path)
    verdict = checker.check(task, folder, [answer.todo])[answer.todo]
    assert verdict.is_right, verdict


@pytest.mark.parametrize(("task", "todo_id"), TODOS, ids=label)
def test_untouched_exercise_fails_with_its_todo_named(checker, task, todo_id, tmp_path):
    folder = with_answer(task, todo_id, f'from todo import todo\ntodo("{todo_id}")', tmp_path)
    verdict = checker.check(task, folder, [todo_id])[todo_id]
    assert verdict.state == "not started", verdict


@pytest.mark.parametrize("task", TASKS, ids=label)
def test_solutions_pass_every_check(checker, task):
    verdicts = checker.check(task, task.solution, list(task.regions()))
    assert [one for one in verdicts.values() if not one.is_right] == []
    assert all(one.checks for one in verdicts.values())


@pytest.mark.parametrize(("task", "todo_id"), TODOS, ids=label)
def test_every_todo_has_mistakes_right_answers_and_a_hint(task, todo_id):
    answers = Answers.load(task)
    assert len([one for one in answers.mistakes if one.todo == todo_id]) >= 3
    assert len([one for one in answers.also_right if one.todo == todo_id]) >= 2
    assert task.regions()[todo_id].hint
    assert task.regions()[todo_id].goal


@pytest.mark.parametrize(("task", "todo_id"), TODOS, ids=label)
def test_every_todo_states_its_difficulty_and_minutes(task, todo_id):
    effort = Answers.load(task).efforts[todo_id]
    assert effort.difficulty in (1, 2, 3)
    assert effort.minutes in range(5, 61, 5)
