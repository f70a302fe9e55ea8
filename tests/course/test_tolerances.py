"""허용 오차는 옳은 답의 흔들림과 가장 가까운 실수 사이에 있고, 표는 지금의 검사와 맞습니다."""

from __future__ import annotations

import re

import pytest

from course import cli
from course.author.tolerances import Tolerance, largest, load, measured, stated
from course.book.tasks import all_tasks
from course.checks.checker import Checker
from course.checks.measuring import PRECISIONS, bf16_products
from course.checks.words import assert_close, close, compared_by, matches
from course.home import ROOT, CourseError, Home

TASKS = [task for task in all_tasks(Home(ROOT)) if task.solution.is_dir()]


def short(value):
    return getattr(value, "short", None)


@pytest.fixture(scope="module")
def drifts():
    """`drifts(task)`: 해답을 지금 이 기계에서 잰 것. 과제마다 한 번만 잽니다."""
    kept = {}
    with Checker(Home(ROOT)) as checker:

        def measure(task):
            if task.name not in kept:
                kept[task.name] = checker.measure(task, task.solution, list(task.regions()), "fp32", timeout=300)
            assert kept[task.name].comparisons is not None, kept[task.name]
            return kept[task.name]

        yield measure


@pytest.mark.parametrize("task", TASKS, ids=short)
def test_table_has_every_stated_tolerance_and_nothing_else(drifts, task):
    written = f"`python -m course tolerances {task.short} --write`로 다시 재어 주세요."
    assert sorted(one.key for one in load(task)) == sorted(largest(drifts(task))), written


@pytest.mark.parametrize("task", TASKS, ids=short)
def test_solution_stays_below_the_tolerances_on_this_machine(drifts, task):
    assert {key: drift for key, (drift, _) in largest(drifts(task)).items() if drift >= key[1]} == {}


@pytest.mark.parametrize("task", TASKS, ids=short)
def test_every_check_with_a_tolerance_is_measured(drifts, task):
    reached = {(one.file, one.line) for one in drifts(task).comparisons}
    places = stated(task).items()
    missed = [where for where, lines in places if not any((where[0], line) in reached for line in lines)]
    assert missed == [], "해답이 지나지 않는 비교입니다. 실수를 알아보는 것이라면 matches를 쓰세요."


@pytest.mark.parametrize(("task", "row"), [(task, row) for task in TASKS for row in load(task)], ids=lambda one: None)
def test_tolerance_is_between_the_drift_and_the_nearest_mistake(task, row):
    assert row.problems() == []
    assert not row.reason or (len(row.reason) > 10 and re.search("[가-힣]", row.reason))
    assert row.todo in task.regions()


def tolerance(**changed):
    return Tolerance(**{"todo": "1-1", "check": "test_x", "atol": 1e-4, "fp32": 1e-6, "bf16": 1e-5, **changed})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fp32": 1e-4}, "matches"),
        ({"bf16": 2e-4}, "reason"),
        ({"nearest": 1e-4, "mistake": "평균하지 않았습니다"}, "평균하지 않았습니다"),
    ],
)
def test_misplaced_tolerance_is_told(changed, said):
    [problem] = tolerance(**changed).problems()
    assert said in problem


@pytest.mark.parametrize("changed", [{}, {"nearest": 2e-4}, {"bf16": 2e-4, "reason": "기준을 fp32로만 셈합니다"}])
def test_tolerance_in_its_place_is_fine(changed):
    assert tolerance(**changed).problems() == []


CHECK = """
from course.checks.words import assert_close, fail, matches, todo


@todo("1-2")
def test_area(load):
    got = load(1).area(2.0)
    if matches(got, 3.14 * 4, {atol}):
        fail("원주율을 줄였습니다.", idea="원주율", symptom="short-pi")
    assert_close(got, 12.566370614359172, atol={atol}, idea="넓이", message="넓이가 다릅니다.")
"""
MISTAKE = """
mistakes:
  - {symptom: short-pi, name: 줄였습니다, code: return 3.14 * radius**2, says: 소수 아래}
"""


@pytest.fixture
def school(workshop):
    """`school(atol)`: 허용 오차가 그만큼인 검사 하나와 실수 하나가 있는 저장소."""
    workshop.install_engine()
    warm = "def warm():\n    import torch.nn.attention\n"  # 한 번만 읽도록
    workshop.write("tests/task1_tiny/checks/support.py", warm)

    def made(atol):
        workshop.write("tests/task1_tiny/checks/step1/test_1_2.py", CHECK.format(atol=atol))
        workshop.write("tests/task1_tiny/checks/step1/1-2.yaml", MISTAKE)
        return workshop.task

    return made


def test_mistake_is_measured_from_the_right_value_even_if_it_is_recognised(school, workshop):
    with Checker(workshop.home) as checker:
        [row] = measured(school(0.001), ["1-1", "1-2"], checker)
    assert (row.todo, row.check, row.atol, row.fp32, row.bf16) == ("1-2", "test_area", 0.001, 0, 0)
    assert row.nearest == pytest.approx(0.00637, rel=0.01)
    assert row.mistake == "줄였습니다"


def test_too_loose_tolerance_fails_the_command_and_is_written_with_its_reason(school, capsys):
    task = school(0.01)
    assert cli.main(["tolerances", "tiny", "1", "--write"], task.home) == 1
    out = capsys.readouterr().out
    assert "줄였습니다" in out
    assert max(len(line) for line in out.split("\n") if line.startswith("│")) <= 80
    [row] = load(task)
    assert row.nearest == pytest.approx(0.0064)
    path = task.checks / "tolerances.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "  reason: 사람이 적은 까닭\n", encoding="utf-8")
    cli.main(["tolerances", "tiny", "1-2", "--write"], task.home)
    assert [one.reason for one in load(task)] == ["사람이 적은 까닭"]
    cli.main(["tolerances", "tiny", "2", "--write"], task.home)  # 재지 않은 TODO의 줄은 남습니다.
    assert [one.todo for one in load(task)] == ["1-2"]


def test_solution_that_does_not_pass_is_not_measured(school, workshop):
    task = school(0.001)
    broken = "import nothing_like_this\n\n\n# [TODO 1-2] x\n# [END 1-2]\n"
    workshop.write("solutions/task1-tiny/step1_numbers.py", broken)
    with Checker(workshop.home) as checker, pytest.raises(CourseError, match="test_area"):
        list(measured(task, ["1-2"], checker))


def test_stated_finds_the_functions_that_judge(school):
    assert stated(school(0.001)) == {("step1/test_1_2.py", "test_area"): {10}}
    assert stated(school(0)) == {}


def test_broken_table_is_one_sentence(workshop):
    workshop.write("tests/task1_tiny/checks/tolerances.yaml", "- {todo: 1-1, nothing: 1}\n")
    with pytest.raises(CourseError, match="tolerances.yaml"):
        load(workshop.task)


def test_judging_and_recognising_are_told_apart():
    asked = []

    def compare(got, want, atol, judging):
        asked.append((atol, judging))
        return True

    with compared_by(compare):
        assert close(1.0, 2.0, 0.1)
        assert matches(1.0, 2.0, 0.2)
        assert_close(1.0, 2.0, atol=0.3, idea="", message="")
    assert asked == [(0.1, True), (0.2, False), (0.3, True)]
    assert not close(1.0, 2.0, 0.1)


@pytest.mark.parametrize("shape", [(2, 3, 4), (64, 64, 64)])
def test_bf16_products_round_products_of_any_size_forwards_and_backwards(shape):
    import torch
    from torch.nn.functional import linear, scaled_dot_product_attention

    rows, inner, columns = shape
    torch.manual_seed(0)
    left, right = torch.randn(1, rows, inner), torch.randn(columns, inner, requires_grad=True)

    def everything():
        with torch.inference_mode():
            attended, inferred = scaled_dot_product_attention(left, left, left), linear(left, right)
        product = linear(left, right)
        (gradient,) = torch.autograd.grad(product.square().sum(), right)
        return [attended, inferred, product, gradient, left + 1]

    exact = everything()
    with bf16_products():
        rounded = everything()
    assert [torch.equal(one, other) for one, other in zip(exact, rounded, strict=True)] == [False] * 4 + [True]
    want = linear(left.bfloat16().float(), right.bfloat16().float())
    assert torch.allclose(rounded[2], want, atol=1e-5)
    assert all(torch.equal(one, other) for one, other in zip(exact, everything(), strict=True))


@pytest.mark.parametrize("name", PRECISIONS)
def test_precision_is_put_back(name):
    import torch

    before = torch.get_float32_matmul_precision()
    with PRECISIONS[name]():
        pass
    assert torch.get_float32_matmul_precision() == before
