"""학생의 코드가 검사 도구를 바꿔치기했는지 알아챕니다.

검사와 학생의 코드는 한 프로세스에서 돌므로 작정한 공격을 모두 막지는 못합니다. `assert_close`나 pytest의 함수를
아무것도 하지 않는 것으로 바꾸거나, 그 속의 코드(`__code__`)나 기본값을 갈아 끼우는 속임수를 봅니다.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

WATCHED = ("builtins", "todo", "json", "json.encoder", "_pytest.outcomes", "_pytest.python", "_pytest.runner")
ROOMS = ("course.", "tests.")
Tools = dict[str, list[Any]]


class Guard:
    """검사 한 번을 지켜보는 pytest 플러그인. 학생의 파일을 읽기 전의 도구를 기억합니다."""

    def __init__(self) -> None:
        self._tools: Tools = {}
        self._changed = independent()  # 학생의 코드가 돌기 전에 챙겨 둡니다.

    def pytest_collection_finish(self) -> None:
        self._tools.update(remember())

    def pledge(self) -> Callable[[], list[str]]:
        """달라진 도구의 이름들을 말하는 함수. 나중에 이 모듈이나 내장 함수가 바뀌어도 그대로입니다."""
        tools, changed = self._tools, self._changed
        return lambda: changed(tools)


def remember() -> Tools:
    """지켜볼 함수와 클래스들의 지금 모습. 클래스는 그 메서드까지 봅니다."""
    tools: Tools = {}
    for name, module in list(sys.modules.items()):
        if name not in WATCHED and not name.startswith(ROOMS):
            continue
        for key, value in list(vars(module).items()):
            if callable(value):
                tools[f"{name}.{key}"] = list(parts(value))
            if isinstance(value, type) and value.__module__ == name:
                for method, one in vars(value).items():
                    if callable(one) or isinstance(one, (property, classmethod, staticmethod)):
                        tools[f"{name}.{key}.{method}"] = list(parts(one))
    return tools


def parts(value: Any, depth: int = 3) -> Iterator[Any]:
    """갈아 끼울 수 있는 부분들: 그 자신과, 함수라면 그 코드와 기본값과 품은 함수들."""
    yield value
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    for one in (value.fget, value.fset) if isinstance(value, property) else (value,):
        if isinstance(one, FunctionType):
            yield one.__code__
            yield from one.__defaults__ or ()
            yield from (one.__kwdefaults__ or {}).values()
            for cell in (one.__closure__ or ()) if depth else ():
                try:
                    held = cell.cell_contents
                except ValueError:  # 아직 빈 것
                    continue
                if callable(held):
                    yield from parts(held, depth - 1)


def changed(before: Tools) -> list[str]:
    """그때와 달라진 것들의 이름."""
    now = remember()
    return [name for name, tool in before.items() if not is_same(now.get(name, []), tool)]


def is_same(now: list[Any], before: list[Any]) -> bool:
    return len(now) == len(before) and all(one is other for one, other in zip(now, before, strict=True))


def independent() -> Callable[[Tools], list[str]]:
    """`changed`의, 이 모듈이나 파이썬의 내장 함수가 나중에 바뀌어도 그대로인 복사본."""
    own: dict[str, Any] = {**globals(), "__builtins__": dict(vars(builtins))}
    for name, value in globals().items():
        if isinstance(value, FunctionType) and value.__module__ == __name__:
            own[name] = FunctionType(value.__code__, own, name, value.__defaults__, value.__closure__)
    return own["changed"]
