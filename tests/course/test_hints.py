"""힌트의 세 단: 어디를 볼지, 다음 질문, 답의 모양. 있는 이름만 말하고, 해답의 코드를 옮겨 적지 않습니다."""

from __future__ import annotations

import ast
import builtins
import importlib
import keyword
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from course.book.regions import code_of
from course.book.tables import Answers
from course.book.tasks import Task, all_tasks
from course.home import ROOT, Home

TASKS = {task.short: task for task in all_tasks(Home(ROOT)) if task.solution.is_dir()}
LADDERS = [(task, todo_id, hints) for task in TASKS.values() for todo_id, hints in Answers.load(task).hints.items()]
LIBRARIES = ("torch", "torch.nn", "torch.nn.init", "torch.nn.functional", "torch.utils.data", "math", "json", "random")
SOURCES = (  # 불러오면 몇 초가 걸리므로, 정의한 이름을 글에서 읽습니다.
    "transformers/tokenization_utils_base.py",
    "transformers/modeling_utils.py",
    "transformers/training_args.py",
    "transformers/trainer.py",
    "transformers/generation/configuration_utils.py",
    "lightning/fabric/fabric.py",
)
LONGEST_COPY = 40  # 빈칸을 뺀 글자의 수. 해답의 코드가 이만큼 이어지면 옮겨 적은 것입니다.
WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
CODE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|_\w+)(?:\.[A-Za-z_]\w*)*", re.ASCII)  # 점이나 밑줄이 든 말
QUOTED = re.compile(r"`([^`]+)`")
PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+|\w+\.(?:py|yaml|md|pt|json|csv)\b", re.ASCII)
SECTION = re.compile(r"""가이드(?:는|의|에서)?(?: \d단계의?)? ['"]([^'"]+)['"]""")


def label(value: object) -> str:
    return getattr(value, "short", value if isinstance(value, str) else "")


every_ladder = pytest.mark.parametrize(("task", "todo_id", "hints"), LADDERS, ids=label)


@cache
def proved_text(task: Task) -> str:
    """있는 이름만 나오는 글: 해답, 해답이 쓰는 라이브러리(다른 과제의 것은 뺍니다), 검사를 통과한 다른 옳은 답."""
    answers = "\n".join(one.code for one in Answers.load(task).also_right)
    steps = "\n".join(path.read_text(encoding="utf-8") for path in task.solution.rglob("*.py"))
    files = [*ROOT.glob("*.py"), *(ROOT / "nlpbook").glob("*.py")]
    for folder in (ROOT / "nlpbook").iterdir():
        if f"nlpbook.{folder.name}" in steps:
            files += folder.rglob("*.py")
    return "\n".join([answers, steps, *(path.read_text(encoding="utf-8") for path in files)])


@cache
def library() -> dict[str, object]:
    """파이썬과 PyTorch에서, 힌트가 짧게 부르는 것들."""
    modules = {name.rpartition(".")[2]: importlib.import_module(name) for name in LIBRARIES}
    torch = modules["torch"]
    return {**modules, "Tensor": torch.Tensor, "Module": modules["nn"].Module, "Optimizer": torch.optim.Optimizer}


@cache
def defined_in_libraries() -> frozenset[str]:
    """불러오지 않고 읽은 라이브러리의 함수와 메서드, 필드."""
    found = set()
    for source in SOURCES:
        package, _, rest = source.partition("/")
        path = Path(find_spec(package).origin).parent / rest
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r"^ *(?:def )?(\w+)(?:\(|:)", text, re.MULTILINE))
    return frozenset(found)


@cache
def known_words(task: Task) -> frozenset[str]:
    found = {*WORD.findall(proved_text(task)), *keyword.kwlist, *library(), *defined_in_libraries()}
    for owner in (*library().values(), builtins, str, dict, list):
        found |= set(dir(owner))
    return frozenset(found)


def unknown_names(task: Task, hint: str) -> set[str]:
    """힌트가 말하지만 어디에도 없는 이름: 낱말 하나, 또는 점으로 이은 둘."""
    text = PATH.sub(" ", re.sub(r'"[^"]*"', '""', hint)).replace("____", " ")
    code = [*QUOTED.findall(text), *CODE.findall(text)]
    made_here = set(re.findall(r"(\w+) = ", text))
    words = {word for part in code for word in WORD.findall(part) if len(word) > 1}
    pairs = {pair for part in code for pair in re.findall(r"(?=\b([A-Za-z_]\w+)\.([A-Za-z_]\w*))", part, re.ASCII)}
    strange = {f"{owner}.{name}" for owner, name in pairs if not _is_known_pair(task, owner, name)}
    return (words - known_words(task) | strange) - made_here


def _is_known_pair(task: Task, owner: str, name: str) -> bool:
    if owner in library():
        return hasattr(library()[owner], name)
    text = proved_text(task)
    if re.search(rf"\b{owner}\.{name}\b", text) or hasattr(library()["Tensor"], name):
        return True
    if name in defined_in_libraries():
        return True
    return f"class {owner}" in text and f"def {name}(" in text


def stale_attributes(task: Task, todo_id: str, hint: str) -> set[str]:
    """`self`의 속성 가운데 그 단계의 파일에 없는 것."""
    step = (task.solution / task.step_of(todo_id).file_name).read_text(encoding="utf-8")
    names = set(re.findall(r"\bself\.([a-z]\w*)", hint, re.ASCII))
    return {name for name in names if not re.search(rf"\bself\.{name}\b", step)}


def copied(task: Task, todo_id: str, hint: str) -> set[str]:
    """힌트에 그대로 적힌, 해답의 이어진 글자들."""
    step = (task.solution / task.step_of(todo_id).file_name).read_text(encoding="utf-8")
    solution = _bare_code(code_of(step, todo_id))
    size = min(LONGEST_COPY, len(solution))
    pieces = (solution[start : start + size] for start in range(len(solution) - size + 1))
    said = _without_blanks(hint)
    return {piece for piece in pieces if piece in said}


def _without_blanks(text: str) -> str:
    return re.sub(r"[\s`]", "", text).replace("'", '"')


def _bare_code(code: str) -> str:
    """주석과 빈칸을 뺀 코드."""
    return _without_blanks(ast.unparse(ast.parse(code)))


@cache
def guide_sections() -> frozenset[str]:
    pages = [*(ROOT / "docs" / "guide").glob("*.md"), ROOT / "README_stepwise_learning.md"]
    lines = (line for page in pages for line in page.read_text(encoding="utf-8").splitlines())
    return frozenset(line.lstrip("#").strip() for line in lines if line.startswith("#"))


@every_ladder
def test_names_in_hints_exist(task, todo_id, hints):
    for hint in hints:
        assert not unknown_names(task, hint), hint
        assert not stale_attributes(task, todo_id, hint), hint


@every_ladder
def test_guide_sections_named_in_hints_exist(task, todo_id, hints):
    assert set(SECTION.findall("\n".join(hints))) <= guide_sections()


@every_ladder
def test_no_hint_copies_the_solution(task, todo_id, hints):
    for hint in hints:
        assert not copied(task, todo_id, hint), hint


@every_ladder
def test_there_are_three_rungs(task, todo_id, hints):
    assert len(hints) == 3


@every_ladder
def test_the_second_rung_asks(task, todo_id, hints):
    assert "?" in hints[1]


@pytest.mark.parametrize(
    "hint",
    [
        "self.args.model의 값을 보세요.",
        "설정의 hardware.train_batch를 보세요.",
        "`torch.soft_max(x)`를 찍어 보세요.",
        "Tensor.maskedfill의 문서를 보세요.",
        "loss_on(학습률)을 부릅니다.",
    ],
)
def test_a_name_that_is_nowhere_is_noticed(hint):
    task = TASKS["lm"]
    assert unknown_names(task, hint) | stale_attributes(task, "4-4", hint)


@pytest.mark.parametrize(
    ("todo_id", "hint"),
    [
        ("3-4", "`value = math.exp(self.loss)`"),
        ("3-1", "`functional.cross_entropy(logits.flatten(0, 1), targets.____())`"),
    ],
)
def test_a_hint_that_is_the_solution_is_noticed(todo_id, hint):
    assert copied(TASKS["lm"], todo_id, hint)
