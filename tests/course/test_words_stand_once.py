"""실수의 말은 표에 한 번 있습니다: 검사가 부르는 증상은 모두 표에 있고, 표에 있는 것을 검사가 되풀이하지 않습니다."""

from __future__ import annotations

import pytest

from course.book.tables import COMMON, Answers
from course.book.tasks import all_tasks
from course.home import ROOT, Home
from tests.course.reach import in_statement, read, spoken

COURSE = ROOT / "course" / "checks"
TASKS = all_tasks(Home(ROOT))
ROOMS = [(task, todo_id) for task in TASKS for todo_id in task.regions()]
SPOKEN = {(task.name, todo_id): spoken(task.check_file(todo_id)) for task, todo_id in ROOMS}
KNOWN = {(task.name, todo_id): set(COMMON) for task, todo_id in ROOMS}
for task in TASKS:
    for mistake in Answers.load(task).mistakes:
        KNOWN[task.name, mistake.todo].add(mistake.symptom)
USERS: dict[tuple[str, str], set[str]] = {}  # (과제, 줄) → 그 줄에 닿는 TODO들. 함께 쓰는 파일의 줄이면 여럿입니다.
for (name, todo_id), many in SPOKEN.items():
    for one in many:
        USERS.setdefault((name, one.place), set()).add(todo_id)


@pytest.mark.parametrize(("task", "todo_id"), ROOMS, ids=lambda one: getattr(one, "short", one))
def test_every_symptom_a_check_names_stands_in_its_table(task, todo_id):
    """함께 쓰는 줄의 증상은, 그 줄에 닿는 TODO 가운데 하나의 표에만 있어도 됩니다. 그때는 문장도 적습니다."""
    lost = [
        f"{one.place}: {one.symptom}"
        for one in SPOKEN[task.name, todo_id]
        if not any(one.symptom in KNOWN[task.name, user] for user in USERS[task.name, one.place])
    ]
    assert lost == [], f"{todo_id}.yaml에 없는 증상입니다."


def test_every_symptom_the_words_name_stands_in_the_common_table():
    words = [read(COURSE / f"{name}.py") for name in ("words", "recognising", "side_effects")]
    spoken_there = [one for word in words for node in word.tree.body for one in in_statement(word.path, node)]
    assert len(spoken_there) > 8
    assert {one.symptom for one in spoken_there} <= COMMON.keys()


@pytest.mark.parametrize("task", TASKS, ids=lambda one: one.short)
def test_no_check_repeats_the_words_of_the_table(task):
    repeated = {
        f"{one.place}: {one.symptom}"
        for todo_id in task.regions()
        for one in SPOKEN[task.name, todo_id]
        if one.says and all(one.symptom in KNOWN[task.name, user] for user in USERS[task.name, one.place])
    }
    assert sorted(repeated) == [], "표에 있는 실수입니다. 문장은 학생에게 보이지 않으니 지워 주세요."


@pytest.mark.parametrize(("task", "todo_id"), ROOMS, ids=lambda one: getattr(one, "short", one))
def test_symptom_without_words_stands_in_the_table_of_every_todo_that_reaches_it(task, todo_id):
    """한 TODO의 표에라도 없으면, 그 학생은 아무 말도 읽지 못합니다."""
    mute = {
        one.place for one in SPOKEN[task.name, todo_id] if one.mute and one.symptom not in KNOWN[task.name, todo_id]
    }
    assert sorted(mute) == [], f"{todo_id}.yaml에 없는 증상이니, 검사에 문장도 적어 주세요."
