"""단계 파일 속의 TODO 자리(region)를 찾고 바꿉니다.

자리는 `# [TODO 1-2] 할 일`로 시작하고 `# [END 1-2]`로 끝납니다. 시작 줄 바로 아래의 주석은 힌트이고, 그 밑이 학생이
쓰는 코드입니다. 자리는 겹치지 않습니다.
"""

from __future__ import annotations

import ast
import io
import re
import token
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from console_text import with_particles

BEGIN = re.compile(r"^(?P<indent>[ \t]*)#\s*\[TODO (?P<id>\d+-\d+)\]\s*(?P<goal>.*?)\s*$")
END = re.compile(r"^[ \t]*#\s*\[END (?P<id>\d+-\d+)\]\s*$")
HINT = "힌트:"
PROMISED = "이 아래에서 쓰는 이름:"


class RegionError(ValueError):
    """자리의 표시가 어긋났습니다. 문장에 파일과 줄 번호가 있습니다.

    Attributes:
        todo: 표시가 어긋난 TODO. 예: `"1-2"`. 하나가 아니면 빈 글.
        line: 살펴볼 줄(1부터). 표시가 하나도 없으면 None.
    """

    def __init__(self, message: str, todo: str = "", line: int | None = None) -> None:
        super().__init__(with_particles(message))
        self.todo, self.line = todo, line


@dataclass(frozen=True)
class Region:
    """TODO 자리 하나. 줄 번호는 0부터, `lines[begin]`이 시작 표시이고 `lines[end]`가 끝 표시입니다.

    Attributes:
        id: `"1-2"`.
        goal: 시작 표시에 적힌 할 일.
        hint: 힌트. 여러 줄이면 빈칸 하나로 이었습니다.
        indent: 표시 앞의 빈칸.
        code_begin: 학생의 코드가 시작하는 줄.
    """

    id: str
    goal: str
    hint: str
    indent: str
    begin: int
    code_begin: int
    end: int

    @property
    def step(self) -> int:
        return int(self.id.split("-")[0])


def parse(text: str, file: str | Path = "<글>") -> list[Region]:
    """글에서 모든 자리를 순서대로 찾습니다.

    Raises:
        RegionError: 짝이 맞지 않거나, 겹치거나, 같은 번호가 두 번 나올 때.
    """
    regions, errors = whole_regions(text, file)
    if errors:
        raise errors[0]
    return regions


def whole_regions(text: str, file: str | Path = "<글>") -> tuple[list[Region], list[RegionError]]:
    """표시가 온전한 자리들과, 어긋난 표시들. 한 자리의 표시가 지워져도 나머지 자리는 알 수 있습니다."""
    lines = lines_of(text)
    regions: list[Region] = []
    errors: list[RegionError] = []
    opened: re.Match[str] | None = None
    begin = 0
    for number, line in enumerate(lines):
        if match := BEGIN.match(line):
            if opened:
                errors.append(_no_end(file, opened["id"], begin))
            opened, begin = match, number
        elif match := END.match(line):
            where = f"{file} {number + 1}번째 줄"
            if not opened or opened["id"] != match["id"]:
                said = f"{where}: [END {match['id']}]에 맞는 [TODO {match['id']}] 줄이 위에 없습니다."
                errors.append(RegionError(said, match["id"], number + 1))
                continue
            if any(region.id == match["id"] for region in regions):
                said = f"{where}: TODO {match['id']}의 자리가 두 번 나옵니다."
                errors.append(RegionError(said, match["id"], number + 1))
            else:
                code_begin, hint = _hint(lines, begin + 1, number)
                regions.append(Region(opened["id"], opened["goal"], hint, opened["indent"], begin, code_begin, number))
            opened = None
    if opened:
        errors.append(_no_end(file, opened["id"], begin))
    return regions, errors


def _no_end(file: str | Path, todo_id: str, begin: int) -> RegionError:
    where = f"{file} {begin + 1}번째 줄: [TODO {todo_id}]"
    return RegionError(f"{where}에 맞는 [END {todo_id}] 줄이 없습니다.", todo_id, begin + 1)


def _hint(lines: list[str], begin: int, end: int) -> tuple[int, str]:
    """시작 표시 아래에 이어지는 주석 줄들의 끝과, 그 가운데 힌트의 글."""
    number = begin
    while number < end and lines[number].lstrip().startswith("#"):
        number += 1
    words = " ".join(line.strip().lstrip("#").strip() for line in lines[begin:number])
    return number, words.split(HINT, 1)[1].strip() if HINT in words else ""


def find(text: str, todo_id: str, file: str | Path = "<글>") -> Region:
    """번호로 자리 하나를 찾습니다.

    Raises:
        RegionError: 그런 번호가 없을 때.
    """
    for region in parse(text, file):
        if region.id == todo_id:
            return region
    raise RegionError(f"{file}에 [TODO {todo_id}] … [END {todo_id}] 자리가 없습니다.", todo_id)


def code_of(text: str, todo_id: str, file: str | Path = "<글>") -> str:
    """자리의 코드를 들여쓰기 없이 돌려줍니다. 여러 줄에 걸친 글(문자열)의 속은 값이므로 그대로 둡니다."""
    region = find(text, todo_id, file)
    lines = [line.rstrip("\r\n") + "\n" for line in lines_of(text)[region.code_begin : region.end]]
    bare = [line.removeprefix(region.indent) if line.strip() else line for line in lines]
    inside = _inside_strings(bare)
    return "".join(lines[number] if number in inside else line for number, line in enumerate(bare))


def splice(text: str, todo_id: str, code: str) -> str:
    """자리의 코드를 `code`(들여쓰기 없음)로 바꿉니다. 표시와 힌트, 나머지 줄은 그대로입니다.

    `splice(text, todo_id, code_of(text, todo_id)) == text`입니다.
    """
    region = find(text, todo_id)
    lines, new = lines_of(text), lines_of(code)
    newline, inside = _newline(text), _inside_strings(new)
    body = [
        ("" if number in inside or not line.strip() else region.indent) + line.rstrip("\r\n") + newline
        for number, line in enumerate(new)
    ]
    return "".join(lines[: region.code_begin] + body + lines[region.end :])


def _inside_strings(lines: list[str]) -> set[int]:
    """여러 줄에 걸친 글의 속에서 시작하는 줄의 번호(0부터). 문법이 틀렸으면 읽을 수 있는 데까지 봅니다."""
    inside: set[int] = set()
    opened: list[int] = []  # 파이썬 3.12부터 f-문자열은 시작과 끝이 따로 나옵니다.
    begins, ends = ({getattr(token, f"{kind}STRING_{end}", None) for kind in "FT"} for end in ("START", "END"))
    try:
        for one in tokenize.generate_tokens(iter(lines).__next__):
            if one.type in begins:
                opened.append(one.start[0])
            elif one.type in ends:
                inside.update(range(opened.pop(), one.end[0]))
            elif one.type == token.STRING:
                inside.update(range(one.start[0], one.end[0]))
    except (tokenize.TokenError, SyntaxError, IndexError):
        pass
    return inside


def to_exercise(text: str, file: str | Path = "<글>") -> str:
    """해답 파일을 실습 파일로 바꿉니다: 모든 자리의 코드가 `todo("…")` 한 줄이 됩니다."""
    solved = text  # 자리를 하나 바꿀 때마다 줄 번호가 밀리므로, 쓰이는 이름은 언제나 해답에서 찾습니다.
    for region in parse(solved, file):
        names = names_needed(solved, region)
        note = "여기를 지우고 채워 주세요." + (f" {PROMISED} {', '.join(names)}" if names else "")
        text = splice(text, region.id, f'todo("{region.id}")  # {note}')
    return with_todo_import(text)


def is_untouched(text: str, region: Region) -> bool:
    """자리에 아직 `todo("…")` 한 줄뿐인가. 주석은 보지 않습니다."""
    bare = [line.split("#")[0].strip() for line in lines_of(text)[region.code_begin : region.end]]
    return [line for line in bare if line] == [f'todo("{region.id}")']


def is_first_look(text: str) -> bool:
    """모든 자리에 아직 `todo("…")` 한 줄뿐인가."""
    regions, errors = whole_regions(text)
    return bool(regions) and not errors and all(is_untouched(text, one) for one in regions)


def promised_names(text: str) -> dict[str, list[str]]:
    """실습 파일의 처음 모습에서, TODO → 그 자리가 만들기로 한 이름들(`to_exercise`가 적은 것)."""
    lines = lines_of(text)
    found: dict[str, list[str]] = {}
    for region in whole_regions(text)[0]:
        code = "".join(lines[region.code_begin : region.end])
        names = code.partition(PROMISED)[2].split("\n")[0]
        found[region.id] = [name.strip() for name in names.split(",") if name.strip()]
    return found


def names_needed(text: str, region: Region) -> list[str]:
    """자리의 코드가 만들고, 같은 함수의 자리 아래에서(또는 `self.…`로 어디서든) 쓰이는 이름들."""
    tree = ast.parse(text)
    function = _innermost_function(tree, region)
    made: dict[str, None] = {}
    used: set[str] = set()
    scope = function or tree
    # `[x for x in …]`의 x는 그 안에서만 삽니다.
    local = {id(one) for node in ast.walk(scope) for one in _own_names(node)}
    for node in ast.walk(scope):
        line = getattr(node, "lineno", 0) - 1
        inside = region.code_begin <= line < region.end
        if isinstance(node, ast.Name):
            if inside and isinstance(node.ctx, ast.Store) and id(node) not in local:
                made[node.id] = None
            elif line > region.end and isinstance(node.ctx, ast.Load) and id(node) not in local:
                used.add(node.id)
        elif inside and _is_own_attribute(node) and isinstance(node.ctx, ast.Store):
            name = ast.unparse(node)
            made[name] = None
            used.add(name)
    return [name for name in made if name in used]


def _own_names(node: ast.AST) -> list[ast.Name]:
    """함축(comprehension)이라면, 그 안에서만 사는 이름들이 나오는 곳."""
    if not isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return []
    names = [one for one in ast.walk(node) if isinstance(one, ast.Name)]
    targets = [one for each in node.generators for one in ast.walk(each.target)]
    bound = {one.id for one in targets if isinstance(one, ast.Name)}
    return [one for one in names if one.id in bound]


def _is_own_attribute(node: ast.AST) -> TypeGuard[ast.Attribute]:
    """`self.이름`인가. 자리에서 만든 것의 속성(`tokenizer.decoder`)은 아닙니다: 답을 미리 알려 줍니다."""
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _innermost_function(tree: ast.AST, region: Region) -> ast.AST | None:
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.lineno - 1 < region.begin
        and (node.end_lineno or 0) - 1 >= region.end - 1
    ]
    return max(around, key=lambda node: node.lineno, default=None)


TODO_IMPORT = re.compile(r"^(from todo import|import todo)\b", re.MULTILINE)


def with_todo_import(text: str) -> str:
    """실습 파일이 쓰는 `todo`를 마지막 import 아래에 더합니다. 이미 있거나, 읽을 수 없는 파일이면 그대로입니다."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return text
    if TODO_IMPORT.search(text):
        return text
    lines, newline = lines_of(text), _newline(text)
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    if not imports:  # docstring은 첫 문장이어야 docstring입니다.
        after = (tree.body[0].end_lineno or 0) if ast.get_docstring(tree) is not None else 0
        return "".join([*lines[:after], f"from todo import todo{newline}", newline, *lines[after:]])
    after = imports[-1].end_lineno or 0
    noqa = "  # noqa: E402" if "noqa: E402" in lines[after - 1] else ""
    return "".join([*lines[:after], f"from todo import todo{noqa}{newline}", *lines[after:]])


def lines_of(text: str) -> list[str]:
    """줄바꿈을 지닌 줄들. 파이썬이 세는 대로 `\\n`, `\\r\\n`, `\\r`에서만 나눕니다.

    단계 파일의 글은 언제나 이것으로 나눕니다. `splitlines`는 \\x0c나 \\u2028에서도 나누어 줄 번호가 어긋납니다.
    """
    return io.StringIO(text, newline="").readlines()


def _newline(text: str) -> str:
    return "\r\n" if lines_of(text)[:1] and lines_of(text)[0].endswith("\r\n") else "\n"
