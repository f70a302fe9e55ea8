"""라이브러리의 방들: 공통인 방은 과제를 모르고, 과제의 방(wing)은 서로를 모르며, 서로를 물고 도는 것이 없습니다."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nlpbook.paths import ROOT

LIBRARY = ROOT / "nlpbook"
FILES = sorted(LIBRARY.rglob("*.py"))
GENERAL = sorted(LIBRARY.glob("*.py"))
WINGS = sorted(one.parent.name for one in LIBRARY.glob("*/__init__.py"))
LAZY = {("nlpbook", "nlpbook.classification.datasets")}  # `nlpbook.data_collator`를 찾을 때에만


def name_of(path: Path) -> str:
    """파일의 모듈 이름. 예: `nlpbook/language/texts.py` → `nlpbook.language.texts`."""
    parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


def imports_of(source: str, module: str, is_package: bool = False) -> Iterator[tuple[str, bool]]:
    """글 속의 모든 import(함수 안의 것도): (모듈, 파일을 읽을 때 바로 읽히는가)."""
    tree = ast.parse(source)
    inside = {id(one) for scope in ast.walk(tree) if is_not_run(scope) for one in ast.walk(scope)}
    for node in ast.walk(tree):
        at_once = id(node) not in inside
        if isinstance(node, ast.Import):
            yield from ((one.name, at_once) for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: len(module.split(".")) - node.level + is_package]
                base = ".".join([*above, *filter(None, [base])])
            for one in node.names:
                full = f"{base}.{one.name}"
                yield (full if full in MODULES else base), at_once


def is_not_run(node: ast.AST) -> bool:
    """파일을 읽을 때 돌지 않는 곳인가: 함수의 몸, 또는 편집기와 형 검사만 읽는 `if TYPE_CHECKING:`."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))


def imported(module: str, at_once: bool = False) -> set[str]:
    path = MODULES[module]
    found = imports_of(path.read_text(encoding="utf-8"), module, path.name == "__init__.py")
    return {name for name, now in found if now or not at_once}


def wing_of(module: str) -> str | None:
    head, *rest = module.split(".")
    return rest[0] if head == "nlpbook" and rest and rest[0] in WINGS else None


def strangers(module: str) -> set[str]:
    """이 모듈이 알아서는 안 되는 방에서 불러온 것."""
    own = wing_of(module)
    return {one for one in imported(module) if wing_of(one) not in (None, own) and (module, one) not in LAZY}


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """되돌아오는 길 하나. 없으면 빈 목록."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for after in sorted(graph.get(node, ())):
            if found := walk(after, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := walk(node, []))), [])


def test_the_library_has_its_wings():
    assert {"classification", "language"} <= set(WINGS)
    assert len(GENERAL) > 10


@pytest.mark.parametrize("module", MODULES)
def test_a_room_knows_its_own_wing_and_the_general_rooms_only(module):
    assert strangers(module) == set()


def test_the_one_exception_is_still_there_and_lazy():
    for module, one in LAZY:
        assert one in imported(module)
        assert one not in imported(module, at_once=True)


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: {one for one in imported(module, at_once=True) if one in MODULES} for module in MODULES}
    assert cycle_in(graph) == []


@pytest.mark.parametrize("package", ["nlpbook", *(f"nlpbook.{wing}" for wing in WINGS)])
def test_every_name_a_package_promises_is_there(package):
    module = importlib.import_module(package)
    promised = [*getattr(module, "__all__", []), *getattr(module, "HOMES", [])]
    assert [name for name in promised if not hasattr(module, name)] == []
    assert set(getattr(module, "HOMES", [])) <= set(getattr(module, "__all__", []))


@pytest.mark.parametrize("module", MODULES)
def test_the_library_never_imports_the_engine_or_a_step(module):
    roots = {one.split(".")[0] for one in imported(module)}
    assert not [one for one in roots if one in ("course", "tests") or re.match(r"step\d", one)]


@pytest.mark.parametrize("path", GENERAL, ids=lambda path: path.name)
def test_a_general_room_names_no_task(path):
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"task[-_]?\d\w*(?:[-_][a-z]+)?|\bLMConfig\b|\blm_\w+|감성분석|언어 모델 과제", text) == []


# ── 위의 시험들이 어긋난 것을 알아보는지 ──


@pytest.mark.parametrize(
    "source",
    [
        "from nlpbook.language.texts import TextCorpus",
        "import nlpbook.language.texts",
        "from nlpbook.language import texts",
        "from .texts import TextCorpus",
        "from . import texts",
        "def late():\n    from nlpbook.language.texts import TextCorpus",
        "if TYPE_CHECKING:\n    from nlpbook.language.texts import TextCorpus",
    ],
)
def test_every_way_to_import_is_seen(source):
    found = dict(imports_of(source, "nlpbook.language.runs"))
    assert found == {"nlpbook.language.texts": not source.startswith(("def", "if"))}


def test_a_circle_is_found_wherever_it_lies():
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle_in({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}) == []
