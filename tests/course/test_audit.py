"""약한 검사에서 살아남는 변이를 찾고, 뜻이 같은 것은 세지 않습니다."""

from __future__ import annotations

import ast

import pytest

from course.author.audit import audit, known_equivalents, mutants
from course.book.regions import code_of
from course.book.tasks import all_tasks
from course.checks.verdict import RIGHT, WRONG, Verdict
from course.home import ROOT, CourseError, Home

TASKS = [task for task in all_tasks(Home(ROOT)) if task.solution.is_dir()]


def codes(code):
    return {one.code.strip() for one in mutants("1-1", code)}


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("x = a + b", {"x = a - b", "pass"}),
        ("x = a < b", {"x = a <= b", "pass"}),
        ("x = a and b", {"x = a or b", "pass"}),
        ("x = not a", {"x = not not a", "pass"}),
        ("x = -1", {"x = +1", "x = -2", "x = -0", "pass"}),
        ("x = True", {"x = False", "pass"}),
        ("x = 'a'", {"x = 'a_'", "pass"}),
        ("x = 0.5", {"x = 1.0", "x = 0.0", "pass"}),
        ("f(a, k=b)", {"f(k=b)", "f(a)", "pass"}),
        ("f(a, b)", {"f(b)", "f(a)", "f(b, a)", "pass"}),
        ("a()\nb()", {"b()", "a()"}),
        ("x = a if b else c", {"x = a if True else c", "x = a if False else c", "pass"}),
        ("return None", {"pass"}),
        (
            "raise E(f'수 {n + 1}개')",
            {"raise E(f'수 {n - 1}개')", "raise E(f'수 {n + 2}개')", "raise E(f'수 {n + 0}개')", "raise E()", "pass"},
        ),
    ],
)
def test_each_place_is_broken_once(code, changed):
    assert codes(code) == changed


def test_statements_inside_blocks_are_deleted_too():
    assert "for x in y:\n    pass" in codes("for x in y:\n    z(x)")
    assert "if a:\n    b()" in codes("if a:\n    b()\nelse:\n    c()")


def test_mutants_are_distinct_valid_python_and_name_what_changed():
    made = mutants("1-1", "for i in range(1, 10):\n    if i % 2 == 0:\n        total = total + i\n")
    assert len({one.code for one in made}) == len(made)
    for one in made:
        ast.parse(one.code)
        assert ": " in one.what


class WeakChecker:
    """더하기인지 곱하기인지만 보는 약한 검사. 1-1의 값이 2가 아니어도 모릅니다."""

    def check(self, task, folder, todo_ids, **_):
        text = (folder / task.step(1).file_name).read_text(encoding="utf-8")
        code = code_of(text, "1-1")
        state = RIGHT if "number *" in code else WRONG
        return {one: Verdict(one, state, "") for one in todo_ids}


def test_survivor_of_a_weak_check_is_found(workshop):
    [outcome] = audit(workshop.task, ["1-1"], WeakChecker())
    assert sorted(one.code.strip() for one in outcome.survivors) == ["answer = number * 1", "answer = number * 3"]
    assert (outcome.total, outcome.killed_share) == (4, 0.5)


def test_check_that_rejects_even_the_solution_measures_nothing(workshop):
    class StrictChecker:
        def check(self, task, folder, todo_ids, **_):
            return {one: Verdict(one, WRONG, "무엇이든 틀림") for one in todo_ids}

    with pytest.raises(CourseError, match="무엇이든 틀림"):
        list(audit(workshop.task, ["1-1"], StrictChecker()))


def test_equivalent_with_a_reason_is_not_a_survivor(workshop):
    entry = "equivalents:\n  - {code: 'answer = (number * 3)  # 모양은 달라도 같은 코드', reason: 셋이든 둘이든}\n"
    workshop.write("tests/task1_tiny/checks/step1/1-1.yaml", entry)
    [outcome] = audit(workshop.task, ["1-1"], WeakChecker())
    assert [one.code.strip() for one in outcome.equivalent] == ["answer = number * 3"]
    assert len(outcome.survivors) == 1
    assert outcome.killed_share == pytest.approx(2 / 3)


def test_solution_itself_is_never_touched(workshop):
    before = {path: path.read_bytes() for path in workshop.task.solution.iterdir()}
    list(audit(workshop.task, ["1-1", "1-2"], WeakChecker()))
    assert {path: path.read_bytes() for path in workshop.task.solution.iterdir()} == before


@pytest.mark.parametrize(
    "content", ["equivalents: [{code: x = 1}]", "equivalents: [{code: 'x = (', reason: 까닭}]", "- 1", "equivalents: ["]
)
def test_broken_table_is_one_sentence(workshop, content):
    workshop.write("tests/task1_tiny/checks/step1/1-1.yaml", content)
    with pytest.raises(CourseError, match=r"equivalents|1-1\.yaml"):
        known_equivalents(workshop.task)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.short)
def test_every_listed_equivalent_is_a_present_mutant_with_a_reason(task):
    made = {}
    for (todo_id, code), reason in known_equivalents(task).items():
        if todo_id not in made:
            solution = (task.solution / task.step_of(todo_id).file_name).read_text(encoding="utf-8")
            made[todo_id] = {one.code.strip() for one in mutants(todo_id, code_of(solution, todo_id))}
        assert code in made[todo_id], f"{todo_id}: 해답이 바뀌어 이제 없는 변이입니다.\n{code}"
        assert len(reason) > 10
