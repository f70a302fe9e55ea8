"""1단계의 검사들이 함께 쓰는 것.

설정의 세 TODO는 서로를 부릅니다. 뒤의 것을 검사할 때는 앞의 것이 비어 있거나 틀려도 되도록 옳은 것을 대신 둡니다.
화자 태그의 두 TODO(1-5, 1-6)는 작은 토크나이저에 새 태그를 더하며 봅니다.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from course.checks.words import fail
from nlpbook.summarization.layers import Sourced
from tests.task2_summarization.checks import support

Tree = dict[str, Any]  # 딕셔너리 안의 딕셔너리


def layered(*layers: Mapping[str, Any]) -> Tree:
    """층들을 차례로 포갠 새 딕셔너리. 1-1의 것과 따로 쓴, 그것의 기준입니다."""
    made: Tree = {}
    for layer in layers:
        pile(made, layer)
    return made


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """학생의 1-1 자리에 대신 두는 것. 이름을 적어 부를 수도 있습니다."""
    for one in (base, over):
        if not isinstance(one, Mapping):
            kind = "None" if one is None else type(one).__name__
            fail(
                f"merged에 사전이 아닌 것({kind})을 건넸습니다.",
                idea="층",
                expected="딕셔너리",
                got=kind,
                symptom="not-a-layer",
            )
    return layered(base, over)


def pile(under: Tree, layer: Mapping[str, Any]) -> None:
    for name in layer:
        if isinstance(layer[name], Mapping) and isinstance(under.get(name), dict):
            pile(under[name], layer[name])
        else:
            under[name] = copy.deepcopy(layer[name])


def shallow(*layers: Mapping[str, Any]) -> Tree:
    """맨 위의 이름만 보고 포갠 것: 딕셔너리가 만나면 통째로 바뀝니다."""
    made: Tree = {}
    for layer in layers:
        made |= layer
    return made


def values_of(tree: Any) -> Any:
    """온 곳을 뗀 값들."""
    if isinstance(tree, Mapping):
        return {name: values_of(one) for name, one in tree.items()}
    return tree.value if isinstance(tree, Sourced) else tree


def require_dict(got: Any, name: str, idea: str) -> None:
    """딕셔너리가 아니면 무엇이 왔는지 말합니다."""
    if not isinstance(got, dict):
        kind = "None" if got is None else got.__name__ if isinstance(got, type) else type(got).__name__
        fail(f"{name}이(가) 딕셔너리가 아닙니다.", idea=idea, expected="dict", got=kind)


def write(folder: Path, **texts: str) -> dict[str, Path]:
    """YAML 파일들을 씁니다: 이름 → 경로."""
    made = {}
    for name, text in texts.items():
        made[name] = folder / f"{name}.yaml"
        made[name].write_text(text, encoding="utf-8")
    return made


# ── 1-5, 1-6: 화자 태그

# 조각이 저마다 다르고, 조각의 수도 다릅니다. support의 토크나이저가 이미 아는 태그와는 겹치지 않습니다.
NEW_TAGS = ["#Person12#", "#Person231#", "#Person32#"]


def new_tokenizer() -> Any:
    """새 태그를 아직 모르는 토크나이저. `<usr>`는 이름 없는 특수 토큰입니다."""
    made = support.tokenizer()
    made.add_special_tokens({"extra_special_tokens": ["<usr>"]})
    return made


def registered(tokenizer: Any, tags: Sequence[str] = NEW_TAGS) -> Any:
    """태그를 보통 토큰으로 더한 사본. 1-5의 것과 따로 쓴, 그것의 기준입니다."""
    made = copy.deepcopy(tokenizer)
    for tag in tags:
        made.add_tokens(AddedToken(tag, normalized=False, special=False))
    return made


def pieces_of(tags: Sequence[str] = NEW_TAGS) -> dict[str, list[int]]:
    """등록하기 전에 태그가 나뉘던 조각들의 번호."""
    return {tag: support.body_of(tag) for tag in tags}
