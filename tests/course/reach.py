"""검사의 소스를 읽어, 한 TODO의 검사가 어떤 실수를 부르는지 셉니다. 검사를 돌리지 않습니다."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from course.home import ROOT

SPEAKERS = {"fail", "CheckFailed", "assert_close", "assert_equal"}
TABLES = {"wrong", "curves"}  # `recognise`에 건넬 (증상, 값)들을 담는 이름


@dataclass(frozen=True)
class Spoken:
    """검사의 소스에 적힌 증상 하나.

    Attributes:
        says: 증상과 함께 문장도 적혀 있는가.
        mute: 문장이 있어야 할 곳인데 없는가.
    """

    place: str
    symptom: str
    says: bool = False
    mute: bool = False


class Module:
    """검사 파일 하나: 맨 위의 이름 → 그것을 만드는 문장, 다른 검사 파일에서 불러온 이름 → 그 모듈과 이름."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.made: dict[str, ast.stmt] = {}
        self.imported: dict[str, tuple[Path, str]] = {}
        for node in self.tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                self.made[node.name] = node
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = (one for target in targets for one in ast.walk(target) if isinstance(one, ast.Name))
                self.made |= {one.id: node for one in names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
                file = ROOT / (node.module.replace(".", "/") + ".py")
                self.imported |= {one.asname or one.name: (file, one.name) for one in node.names}

    @cached_property
    def fixtures(self) -> Module | None:
        """곁의 conftest.py. 그 함수들은 인수의 이름으로 불립니다."""
        path = self.path.with_name("conftest.py")
        return read(path) if path.is_file() and path != self.path else None

    def find(self, name: str) -> tuple[Module, ast.stmt] | None:
        """이름을 만드는 문장과, 그것이 있는 모듈."""
        if name in self.made:
            return self, self.made[name]
        if name in self.imported:
            file, original = self.imported[name]
            return read(file).find(original) if file.is_file() else None
        return self.fixtures.find(name) if self.fixtures else None


@cache
def read(path: Path) -> Module:
    return Module(path)


def reached(room: Path) -> list[tuple[Module, ast.stmt]]:
    """이 검사 파일의 문장들과, 거기에서 이름을 따라 닿는 다른 파일의 문장들."""
    start = read(room)
    left = [(start, node) for node in start.tree.body]
    found: dict[int, tuple[Module, ast.stmt]] = {}
    while left:
        module, node = left.pop()
        if id(node) in found:
            continue
        found[id(node)] = (module, node)
        names = {one.id if isinstance(one, ast.Name) else one.arg for one in ast.walk(node) if is_name(one)}
        left += [place for place in map(module.find, names) if place]
    return list(found.values())


def is_name(node: ast.AST) -> bool:
    return isinstance(node, (ast.Name, ast.arg))


def spoken(room: Path) -> list[Spoken]:
    """이 TODO의 검사가 부를 수 있는, 소스에 글자 그대로 적힌 증상들."""
    return [one for module, node in reached(room) for one in in_statement(module.path, node)]


def in_statement(path: Path, statement: ast.stmt) -> Iterator[Spoken]:
    for node in ast.walk(statement):
        where = f"{path.parent.name}/{path.name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call):
            given = {one.arg: one.value for one in node.keywords}
            symptom = given.get("symptom")
            says, mute = has_words(node, given), name_of(node) in SPEAKERS and not has_words(node, given)
            yield from (Spoken(where, one, says and is_certain(symptom), mute) for one in texts(symptom))
            if name_of(node) in ("when", "stopped") and len(node.args) > 1:
                yield from (Spoken(where, symptom) for symptom in texts(node.args[1]))
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            for value in (value for key, value in pairs if texts(key) == ["symptom"]):
                yield from (Spoken(where, symptom) for symptom in texts(value))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id == "symptom":
                yield from (Spoken(where, symptom) for symptom in texts(node.value))
            if node.targets[0].id in TABLES and isinstance(node.value, ast.List):
                yield from rows(where, node.value)
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.List) and is_table(statement):
            yield from rows(where, node.value)
        elif isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple) and is_table(statement):
            yield from (Spoken(where, symptom) for symptom in texts(node.value.elts[0]))


def has_words(call: ast.Call, given: dict[str | None, ast.expr]) -> bool:
    """이 부름에 문장이 적혀 있는가."""
    return "message" in given or (name_of(call) in ("fail", "CheckFailed") and bool(call.args))


def is_certain(symptom: ast.expr | None) -> bool:
    """언제나 글자 그대로의 증상인가. None일 수도 있으면 문장이 있어야 합니다."""
    if isinstance(symptom, ast.IfExp):
        return is_certain(symptom.body) and is_certain(symptom.orelse)
    return texts(symptom) != []


def is_table(statement: ast.stmt) -> bool:
    """틀린 값들의 표를 돌려주는 함수인가."""
    returns = statement.returns if isinstance(statement, ast.FunctionDef) else None
    return isinstance(returns, ast.Name) and returns.id == "Wrong"


def rows(where: str, table: ast.List) -> Iterator[Spoken]:
    """(증상, 값)들의 목록에 적힌 증상들."""
    for node in ast.walk(table):
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            yield from (Spoken(where, symptom) for symptom in texts(node.elts[0]))


def texts(value: ast.expr | None) -> list[str]:
    """글자 그대로 적힌 글들. `"x" if … else "y"`이면 둘 다입니다."""
    if isinstance(value, ast.IfExp):
        return [*texts(value.body), *texts(value.orelse)]
    return [value.value] if isinstance(value, ast.Constant) and isinstance(value.value, str) else []


def name_of(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""
