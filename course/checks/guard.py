"""학생의 코드가 검사 도구를 바꿔치기했는지 알아챕니다.

검사와 학생의 코드는 한 프로세스에서 돌므로 작정한 공격을 모두 막지는 못합니다. `assert_close`나 pytest의 함수를
아무것도 하지 않는 것으로 바꾸는 흔한 속임수를 봅니다.
"""

from __future__ import annotations

import sys
from typing import Any

WATCHED = (
    "builtins",
    "course.checks.words",
    "course.checks.recognising",
    "course.checks.side_effects",
    "course.checks.guard",
    "course.checks.plugin",
    "_pytest.outcomes",
    "_pytest.python",
    "_pytest.runner",
)
Tools = dict[str, Any]


def remember() -> Tools:
    """지켜볼 함수와 클래스들. 클래스는 그 메서드까지 봅니다."""
    tools: Tools = {}
    for name, module in list(sys.modules.items()):
        if name not in WATCHED and not name.startswith("tests."):
            continue
        for key, value in list(vars(module).items()):
            if callable(value):
                tools[f"{name}.{key}"] = value
            if isinstance(value, type) and value.__module__ == name:
                tools |= {f"{name}.{key}.{method}": one for method, one in vars(value).items() if callable(one)}
    return tools


def changed(before: Tools) -> list[str]:
    """그때와 달라진 것들의 이름."""
    now = remember()
    return [name for name, tool in before.items() if now.get(name) is not tool]
