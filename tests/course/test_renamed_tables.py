"""과제마다의 `renamed.yaml`이 지금의 해답과 맞습니다: 새 이름은 해답에 있고, 옛 이름은 해답의 자리에 없습니다."""

from __future__ import annotations

import pytest

from course.book.tasks import Task, all_tasks
from course.home import ROOT, Home
from course.student.carrying import table_file
from course.student.renaming import STRING, Table, find_names, read_table

TASKS = [task for task in all_tasks(Home(ROOT)) if table_file(task).is_file()]


def table_of(task: Task) -> Table:
    return read_table(table_file(task).read_text(encoding="utf-8"), table_file(task).name)


def words_in(task: Task, todo_id: str | None = None) -> tuple[set[str], set[str]]:
    """해답의 (이름, 문자열)들. `todo_id`를 주면 그 자리의 것만."""
    names: set[str] = set()
    strings: set[str] = set()
    for step in [task.step_of(todo_id)] if todo_id else task.steps:
        regions = {one.id: one for one in task.regions(task.solution).values()}
        text = (task.solution / step.file_name).read_text(encoding="utf-8")
        lines = range(regions[todo_id].code_begin, regions[todo_id].end) if todo_id else None
        for one in find_names(text):
            if lines is None or one.line in lines:
                (strings if one.kind == STRING else names).add(one.text)
    return names, strings


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.short)
def test_new_names_are_those_of_the_solution(task):
    if not task.solution.is_dir():
        pytest.skip("해답이 없는 배포판입니다")
    table = table_of(task)
    for kind, entries in enumerate((table.names, table.strings)):
        for entry in entries:
            assert entry.new in words_in(task)[kind], entry
            for todo_id in entry.todos:
                assert entry.old not in words_in(task, todo_id)[kind], (entry, todo_id)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.short)
def test_todos_of_the_table_exist(task):
    table = table_of(task)
    named = {todo_id for one in table.names | table.strings for todo_id in one.todos} | set(table.new_questions)
    assert named <= set(task.regions())
