"""검사가 정말 틀린 답을 걸러 내는지 기계적으로 재어 봅니다(변이 시험, mutation testing).

해답의 자리를 한 군데씩 망가뜨린 답(변이)을 만들어 검사합니다: 연산자 바꾸기, 상수 바꾸기, 인수 빼기, 문장 지우기, 조건
뒤집기. 통과해 버린 변이는 검사가 약하다는 뜻이거나, 뜻이 같은 답입니다. 뜻이 같은 것은 TODO의 표(`3-4.yaml`)의
`equivalents`에 까닭과 함께 적어 둡니다.

변이를 만드는 일은 작은 AST 변환으로 직접 합니다. mutmut이나 cosmic-ray는 파일 전체와 제 나름의 실행기를 전제로 해서,
자리 하나만 바꾸어 따뜻한 검사 프로세스로 묻는 데에 맞지 않습니다.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from course.author.copies import solved_copy
from course.book.regions import code_of, splice
from course.book.tables import read_tables
from course.book.tasks import Task
from course.checks.checker import Checker
from course.home import CourseError

SWAPS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
}

Change = Callable[[Any], object]  # 만들 때 본 것과 같은 종류의 마디를 받아, 제자리에서 바꿉니다.


@dataclass(frozen=True)
class Mutant:
    """망가뜨린 답 하나.

    Attributes:
        what: 무엇을 바꾸었는지. 예: `"인수 빼기: drop_last=False"`.
        code: 자리의 코드 전체.
    """

    todo: str
    what: str
    code: str


def mutants(todo_id: str, code: str) -> list[Mutant]:
    """자리의 코드에서 만들 수 있는 모든 변이. 같은 코드는 한 번만 냅니다."""
    tree = ast.parse(code)
    original = ast.unparse(tree)
    made: dict[str, Mutant] = {}
    for what, changed in _mutate(tree):
        text = ast.unparse(ast.fix_missing_locations(changed))
        if text != original:
            made.setdefault(text, Mutant(todo_id, what, text + "\n"))
    return list(made.values())


def _mutate(tree: ast.Module) -> Iterator[tuple[str, ast.Module]]:
    wording = set(_wording(tree))
    for index, node in enumerate(ast.walk(tree)):
        for what, change in () if node in wording else _changes(node):
            changed = copy.deepcopy(tree)
            change(next(one for i, one in enumerate(ast.walk(changed)) if i == index))
            yield what, changed


def _wording(tree: ast.Module) -> Iterator[ast.AST]:
    """`raise`하는 오류의 글. 무엇이라고 적을지는 학생의 것이라 바꾸어 보지 않습니다. 끼운 값은 바꾸어 봅니다."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise):
            yield from (one for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str))


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    """이 마디를 바꾸는 방법들. 바꾸는 함수는 복사본의 같은 마디에 적용됩니다."""
    for field in ("body", "orelse"):
        block = getattr(node, field, None)
        if isinstance(block, list):
            for position, statement in enumerate(block):
                yield f"문장 지우기: {_short(statement)}", _deleting(field, position)
    if isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
        yield f"연산자 바꾸기: {_short(node)}", lambda one: setattr(one, "op", SWAPS[type(one.op)]())
    if isinstance(node, ast.BoolOp):
        yield f"연산자 바꾸기: {_short(node)}", lambda one: setattr(one, "op", SWAPS[type(one.op)]())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield f"비교 바꾸기: {_short(node)}", lambda one: one.ops.__setitem__(0, SWAPS[type(one.ops[0])]())
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        for value in (True, False):
            yield (
                f"조건을 {value}로: {_short(node.test)}",
                lambda one, value=value: setattr(one, "test", ast.Constant(value)),
            )
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield f"부호 빼기: {_short(node)}", _unsigned
    if isinstance(node, ast.Constant):
        yield from _constants(node)
    if isinstance(node, ast.Call):
        for position, argument in enumerate(node.args):
            yield f"인수 빼기: {_short(argument)}", lambda one, position=position: one.args.pop(position)
        for position, keyword in enumerate(node.keywords):
            yield f"인수 빼기: {_short(keyword)}", lambda one, position=position: one.keywords.pop(position)
        if len(node.args) >= 2:
            yield f"인수 바꾸기: {_short(node)}", lambda one: one.args.reverse()


def _deleting(field: str, position: int) -> Change:
    def change(node: ast.AST) -> None:
        block = getattr(node, field)
        block.pop(position)
        if not block and field == "body":
            block.append(ast.Pass())

    return change


def _unsigned(node: ast.UnaryOp) -> None:
    """`-x`를 `+x`로, `not x`를 `bool(x)`로."""
    if isinstance(node.op, ast.USub):
        node.op = ast.UAdd()
    else:
        node.operand = ast.UnaryOp(ast.Not(), node.operand)


def _constants(node: ast.Constant) -> Iterator[tuple[str, Change]]:
    value = node.value
    if isinstance(value, bool):
        others: list[object] = [not value]
    elif isinstance(value, int):
        others = [value + 1, value - 1]
    elif isinstance(value, float):
        others = [value * 2, 0.0]
    elif isinstance(value, str):
        others = [value + "_"]
    else:
        others = []
    for other in others:
        yield f"상수 바꾸기: {value!r} → {other!r}", lambda one, other=other: setattr(one, "value", other)


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 70 else text[:67] + "…"


@dataclass
class Outcome:
    """TODO 하나를 재어 본 결과."""

    todo: str
    total: int
    equivalent: list[Mutant]
    survivors: list[Mutant]

    @property
    def killed_share(self) -> float:
        """뜻이 다른 변이 가운데 걸러 낸 비율, 0~1."""
        real = self.total - len(self.equivalent)
        return 1.0 if real == 0 else 1 - len(self.survivors) / real


def known_equivalents(task: Task) -> dict[tuple[str, str], str]:
    """(TODO, 변이의 코드) → 뜻이 같은 까닭.

    Raises:
        CourseError: 파일을 읽을 수 없을 때.
    """
    try:
        return {
            (todo_id, ast.unparse(ast.parse(one["code"]))): one["reason"]
            for todo_id, table in read_tables(task).items()
            for one in table.get("equivalents", [])
        }
    except (KeyError, TypeError, SyntaxError) as error:
        raise CourseError(f"{task.name}의 표에서 equivalents를 읽을 수 없습니다: {error}") from None


def audit(task: Task, todo_ids: list[str], checker: Checker, timeout: float = 20.0) -> Iterator[Outcome]:
    """TODO마다 모든 변이를 검사합니다. 하나가 끝날 때마다 결과를 냅니다.

    Raises:
        CourseError: 해답부터 검사를 통과하지 못할 때. 무엇이든 거르는 검사는 변이도 모두 거릅니다.
    """
    equivalents = known_equivalents(task)
    with solved_copy(task) as folder:
        for todo_id in todo_ids:
            file = folder / task.step_of(todo_id).file_name
            solution = file.read_text(encoding="utf-8")
            untouched = checker.check(task, folder, [todo_id], timeout=timeout)[todo_id]
            if not untouched.is_right:
                raise CourseError(f"해답이 TODO {todo_id}의 검사를 통과하지 못해 잴 수 없습니다: {untouched.title}")
            equivalent, survivors = [], []
            made = mutants(todo_id, code_of(solution, todo_id))
            for mutant in made:
                if (todo_id, mutant.code.strip()) in equivalents:
                    equivalent.append(mutant)
                    continue
                file.write_text(splice(solution, todo_id, mutant.code), encoding="utf-8")
                if checker.check(task, folder, [todo_id], timeout=timeout)[todo_id].is_right:
                    survivors.append(mutant)
            file.write_text(solution, encoding="utf-8")
            yield Outcome(todo_id, len(made), equivalent, survivors)
