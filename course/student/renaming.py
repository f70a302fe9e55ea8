"""새 판에서 바뀐 이름의 표(`tests/<과제>/checks/renamed.yaml`)를 읽고, 학생의 코드에서 옮길 곳을 찾습니다.

    names: {args: config, optimize: train_step}   # 파이썬의 이름. 점 뒤의 것(self.args)과 인수의 이름도 봅니다
    strings: {model: model_state_dict}            # 글 전체가 이것인 문자열
    new_questions: {"5-2": 왜 물음이 바뀌었는지 한 문장}

`{args: {to: config, todos: ["4-6"]}}`처럼 적으면 그 TODO의 자리에서만 옮깁니다. 옮기는 것은 토큰입니다: 주석과 다른
문자열의 속은 그대로이고, f-문자열에서는 중괄호 속의 식만 봅니다. 어느 것이 옳은지는 여기서 모릅니다. 가능한 모습들을
덜 옮긴 것부터 내어 놓으면, `course.student.carrying`이 검사로 고릅니다.
"""

from __future__ import annotations

import ast
import io
import re
import token
import tokenize
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import yaml

from course.book.regions import lines_of
from course.home import CourseError

FILE_NAME = "renamed.yaml"
NAME, ATTRIBUTE, KEYWORD, STRING = "name", "attribute", "keyword", "string"
LITERAL = re.compile(r"(?is)(?P<prefix>[a-z]*)(?P<quote>'''|\"\"\"|'|\")(?P<body>.*)(?P=quote)")
F_STRING = re.compile(r"(?i)(?:f|rf|fr)['\"]")
NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
Edit = tuple[int, int, str]  # 글에서의 시작과 끝, 그 자리에 올 글
Renamed = Mapping[str, str]  # 옛 이름 → 새 이름


@dataclass(frozen=True)
class Entry:
    """표의 한 줄. `todos`가 비었으면 어디에서나 옮깁니다."""

    old: str
    new: str
    todos: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Table:
    """바뀐 이름들과, 물음이 바뀐 TODO → 그 까닭."""

    names: frozenset[Entry] = frozenset()
    strings: frozenset[Entry] = frozenset()
    new_questions: Mapping[str, str] = field(default_factory=dict)

    def since(self, other: Table) -> Table:
        """`other`에는 없던 것만."""
        asked = {todo: why for todo, why in self.new_questions.items() if other.new_questions.get(todo) != why}
        return Table(self.names - other.names, self.strings - other.strings, asked)

    def names_for(self, todo_id: str) -> dict[str, str]:
        return _for(self.names, todo_id)

    def strings_for(self, todo_id: str) -> dict[str, str]:
        return _for(self.strings, todo_id)

    def __bool__(self) -> bool:
        return bool(self.names or self.strings or self.new_questions)


def _for(entries: frozenset[Entry], todo_id: str) -> dict[str, str]:
    return {one.old: one.new for one in entries if not one.todos or todo_id in one.todos}


def read_table(text: str, file: str) -> Table:
    """표를 읽습니다.

    Raises:
        CourseError: YAML이 깨졌거나 표의 모양이 아닐 때.
    """
    try:
        content = yaml.safe_load(text) or {}
        names, strings = (frozenset(_entries(content.pop(kind, None) or {})) for kind in ("names", "strings"))
        asked = {str(todo): str(why).strip() for todo, why in (content.pop("new_questions", None) or {}).items()}
        if content:
            raise ValueError(f"모르는 항목 {', '.join(map(str, content))}")
        if wrong := [one for entry in names for one in (entry.old, entry.new) if not one.isidentifier()]:
            raise ValueError(f"이름이 아닌 것 {', '.join(wrong)}")
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise CourseError(f"{file}을(를) 읽을 수 없습니다. 저장소를 다시 받아 주세요: {error}") from None
    return Table(names, strings, asked)


def _entries(rows: dict[str, Any]) -> Iterator[Entry]:
    for old, new in rows.items():
        if isinstance(new, dict):
            yield Entry(str(old), str(new["to"]), frozenset(map(str, new["todos"])))
        else:
            yield Entry(str(old), str(new))


@dataclass(frozen=True)
class Found:
    """글에서 찾은 이름이나 문자열 하나.

    Attributes:
        kind: `NAME`, `ATTRIBUTE`(점 뒤의 이름), `KEYWORD`(부를 때 적는 인수의 이름), `STRING`.
        line: 몇 번째 줄에 있는지, 0부터.
        text: 이름. 문자열이면 그 값입니다.
    """

    kind: str
    text: str
    start: int
    end: int
    line: int


def find_names(text: str) -> list[Found]:
    """글의 모든 이름과 문자열.

    Raises:
        ValueError: 파이썬이 읽을 수 없는 글일 때.
    """
    starts = [0, *accumulate(map(len, lines_of(text)))]
    return [
        Found(kind, name, start, end, bisect_right(starts, start) - 1) for kind, name, start, end in _tokens(text, 0)
    ]


def _tokens(text: str, base: int) -> Iterator[tuple[str, str, int, int]]:
    starts = [0, *accumulate(map(len, lines_of(text)))]
    try:
        kept = [one for one in tokenize.generate_tokens(io.StringIO(text, newline="").readline) if one.string.strip()]
    except (tokenize.TokenError, SyntaxError) as error:
        raise ValueError(str(error)) from None
    depth = 0
    for before, one, after in zip([None, *kept], kept, [*kept[1:], None], strict=False):
        start, end = starts[one.start[0] - 1] + one.start[1], starts[one.end[0] - 1] + one.end[1]
        if one.type in (token.NAME, token.STRING) and text[start:end] != one.string:
            raise ValueError("토큰의 자리를 알 수 없습니다.")
        if one.type == token.OP:
            depth += (one.string in "([{") - (one.string in ")]}")
        elif one.type == token.NAME:
            is_keyword = depth > 0 and after is not None and after.string == "="
            kind = ATTRIBUTE if before and before.string == "." else KEYWORD if is_keyword else NAME
            yield kind, one.string, base + start, base + end
        elif one.type == token.STRING and F_STRING.match(one.string):  # 3.11까지의 f-문자열은 토큰 하나입니다.
            for begin, stop in f_string_fields(one.string):
                yield from _tokens(f"({one.string[begin:stop]})", base + start + begin - 1)
        elif one.type == token.STRING and (value := _value(one.string)) is not None:
            yield STRING, value, base + start, base + end


def _value(literal: str) -> str | None:
    value = ast.literal_eval(literal)
    return value if isinstance(value, str) else None


def f_string_fields(literal: str) -> list[tuple[int, int]]:
    """f-문자열 하나에서 중괄호 속 식들의 자리. 서식(`:` 뒤) 속의 식도 셉니다."""
    match = LITERAL.fullmatch(literal)
    return _fields(literal, *match.span("body"))[0] if match else []


def _fields(text: str, at: int, stop: int, in_format: bool = False) -> tuple[list[tuple[int, int]], int]:
    """`at`부터의 식들과, 읽기를 멈춘 곳. 서식은 그것을 감싼 중괄호가 닫히는 곳까지입니다."""
    found: list[tuple[int, int]] = []
    while at < stop:
        if not in_format and text[at : at + 2] in ("{{", "}}"):
            at += 2
        elif text[at] == "}" and in_format:
            break
        elif text[at] == "{":
            end = _end_of_field(text, at + 1, stop)
            found.append((at + 1, end))
            colon = re.compile(r"(?:!\w)?:?").match(text, end)
            at = colon.end() if colon else end
            if text[at - 1] == ":" and at > end:
                inner, at = _fields(text, at, stop, in_format=True)
                found += inner
            at += 1
        else:
            at += 1
    return found, at


def _end_of_field(text: str, at: int, stop: int) -> int:
    """식이 끝나는 곳: 괄호와 문자열의 밖에서 처음 만나는 `}`, `:`, `!`(`!=`은 아닙니다)."""
    depth, quote = 0, ""
    while at < stop:
        one = text[at]
        if quote:
            quote = "" if one == quote else quote
        elif one in "'\"":
            quote = one
        elif depth == 0 and (one in "}:" or (one == "!" and text[at + 1] != "=")):
            return at
        else:
            depth += (one in "([{") - (one in ")]}")
        at += 1
    return stop


@dataclass
class Reading:
    """파일 하나를 읽은 것. 어느 줄들에서 무엇을 옮길지 여러 번 묻습니다.

    Raises:
        ValueError: 파이썬이 읽을 수 없는 글일 때.
    """

    text: str

    def __post_init__(self) -> None:
        self.found = find_names(self.text)
        try:
            self.tree = ast.parse(self.text)
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise ValueError(str(error)) from None

    def ways(self, lines: Collection[int], names: Renamed, strings: Renamed, own_too: bool = True) -> list[list[Edit]]:
        """이 줄들에서 옮기는 방법들, 덜 옮기는 것부터. 옮길 것이 없으면 비었습니다.

        그 줄들이 스스로 담는 이름과 부를 때의 인수 이름은 학생의 것일 수도, 새 판의 것일 수도 있어 둘 다 내어 놓습니다.
        모두 학생의 것이라면 하나도 옮기지 않는 것이 첫 방법입니다.

        Args:
            own_too: 스스로 담는 이름까지 옮긴 것도 낼지.
        """
        here = [one for one in self.found if one.line in lines]
        clashing = self.clashes(lines, names)
        own = self._bound(lines)
        made: list[list[Edit]] = []
        for with_keywords in (True, False):
            for kept in (own, set()) if own_too else (own,):
                edits = [
                    (one.start, one.end, _literal(self.text[one.start : one.end], strings[one.text]))
                    if one.kind == STRING
                    else (one.start, one.end, names[one.text])
                    for one in here
                    if (one.kind == STRING and one.text in strings)
                    or (one.kind == ATTRIBUTE and one.text in names and (ATTRIBUTE, one.text) not in clashing)
                    or (one.kind == KEYWORD and one.text in names and with_keywords)
                    or (one.kind == NAME and one.text in names.keys() - kept and (NAME, one.text) not in clashing)
                ]
                if edits not in made:
                    made.append(edits)
        return made if any(made) else []

    def clashes(self, lines: Collection[int], names: Renamed) -> set[tuple[str, str]]:
        """새 이름을 이 줄들이 이미 다른 것의 이름으로 쓰고 있어 옮길 수 없는 (종류, 옛 이름)들."""
        nodes = [node for node in ast.walk(self.tree) if getattr(node, "lineno", 0) - 1 in lines]
        used = self._bound(lines) | {node.id for node in nodes if isinstance(node, ast.Name)}
        attributes = {(ast.unparse(node.value), node.attr) for node in nodes if isinstance(node, ast.Attribute)}
        moving = {old: new for old, new in names.items() if new not in names}  # 서로 자리를 바꾸는 것은 괜찮습니다.
        taken = {(NAME, old) for old, new in moving.items() if {old, new} <= used}
        return taken | {(ATTRIBUTE, old) for owner, old in attributes if (owner, moving.get(old)) in attributes}

    def _bound(self, lines: Collection[int]) -> set[str]:
        """이 줄들이 스스로 담는 이름들: 대입, 인수, import, def."""
        bound: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.alias) and node.lineno - 1 in lines:
                bound.add(node.asname or node.name.split(".")[0])
            elif getattr(node, "lineno", 0) - 1 not in lines:
                continue
            elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                bound.add(node.id)
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            elif isinstance(node, NAMED):
                bound.add(node.name or "")
        return bound


def _literal(old: str, value: str) -> str:
    """`old`처럼 따옴표를 쓴, 값이 `value`인 문자열."""
    match = LITERAL.fullmatch(old)
    written = match and f"{match['prefix']}{match['quote']}{value}{match['quote']}"
    try:
        return written if written and _value(written) == value else repr(value)
    except (SyntaxError, ValueError):
        return repr(value)


def applied(text: str, edits: Collection[Edit]) -> str:
    """겹치지 않는 고침들을 모두 한 글."""
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text
