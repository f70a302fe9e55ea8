"""설정의 층: 값마다 어디에서 왔는지가 붙어 다니는, 사전 안의 사전.

한 곳(파일 하나, 환경 변수, 명령줄, 시도)에서 온 값들이 층 하나입니다. 층을 만들 때 다른 이름을 우리 이름으로 바꾸고,
모르는 이름과 맞지 않는 값을 그 자리에서 거절합니다. 층을 차례로 포개는 일은 1단계가 합니다.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from nlpbook.casting import Refused, cast
from nlpbook.errors import UserError
from nlpbook.settings import KeyPath
from nlpbook.summarization.config import SummarizationConfig
from nlpbook.summarization.spellings import FIXED, RIVALS, SAME, SPELLINGS

Layer = dict[str, Any]  # 이름 → `Sourced`, 또는 묶음의 이름 → 사전


class Sourced(NamedTuple):
    """값 하나와, 그것이 온 곳. 예: `Sourced("1e-4", "환경 변수 LEARNING_RATE")`."""

    value: Any
    source: str


class Entry(NamedTuple):
    """적힌 항목 하나: 점으로 이은 이름, 적힌 그대로의 이름, 값, 온 곳."""

    name: str
    written: str
    value: Any
    source: str


def leaves(layer: Mapping[str, Any], path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """(경로, 값)들. 값은 사전이 아닌 것입니다."""
    for name, value in layer.items():
        here = (*path, str(name))
        if isinstance(value, Mapping):
            yield from leaves(value, here)
        else:
            yield here, value


def plain(layer: Mapping[str, Any]) -> dict[str, Any]:
    """온 곳을 뗀, 값만의 사전."""
    return {
        name: plain(one) if isinstance(one, Mapping) else one.value if isinstance(one, Sourced) else one
        for name, one in layer.items()
    }


def config_of(layer: Mapping[str, Any]) -> SummarizationConfig:
    """다 포갠 층을 설정으로. 값은 필드의 종류로 바뀌고, 온 곳은 `config.sources()`에 남습니다.

    Args:
        layer: 사전 안의 사전. 값은 `Sourced`이거나 그냥 값입니다.

    Raises:
        UserError: 모르는 이름이나 맞지 않는 값이 있을 때. 어디에 적혔는지도 말합니다.
    """
    sources = {path: one.source for path, one in leaves(layer) if isinstance(one, Sourced)}

    def source_of(path: KeyPath) -> str:
        return next((source for here, source in sources.items() if here[: len(path)] == path), "설정")

    return SummarizationConfig.from_dict(plain(layer), source_of)


def layer_of(entries: Iterable[Entry]) -> Layer:
    """한 곳에 적힌 항목들에서 층 하나를 만듭니다.

    Raises:
        UserError: 같은 것을 다르게 적었거나, 모르는 이름이나 맞지 않는 값이 있을 때.
    """
    made = respelled(entries)
    config_of(made)
    return made


def respelled(entries: Iterable[Entry]) -> Layer:
    """다른 이름을 우리 이름으로 바꾸고, 함께 정해지는 항목을 채운 층.

    Raises:
        UserError: 같은 것을 두 이름으로 다르게 적었을 때.
    """
    found: dict[str, Entry] = {}
    unused: dict[str, Sourced] = {}
    for one in entries:
        if one.name in FIXED:
            if not _is_what_we_do(one):
                unused[one.name] = Sourced(one.value, one.source)
            continue
        name = SPELLINGS.get(one.name, one.name)
        if (before := found.get(name)) and before.written != one.written and not _agree(name, before.value, one.value):
            raise UserError(
                f"{before.source}의 {before.written}({before.value!r})과(와) {one.source}의 {one.written}"
                f"({one.value!r})은(는) 같은 것을 다르게 말합니다. 하나만 적어 주세요."
            )
        found[name] = one
    values = {name: Sourced(one.value, _source(name, one)) for name, one in found.items()}
    layer = _nested(_completed(values))
    return {**layer, "unused": unused} if unused else layer


def _is_what_we_do(one: Entry) -> bool:
    fixed = FIXED[one.name][0]
    return fixed is None or str(one.value).lower() == str(fixed).lower()


def _source(name: str, one: Entry) -> str:
    """온 곳. 다른 이름으로 적었으면 그 이름도: `명령줄(batch_size)`."""
    written = one.written.replace("-", "_").rpartition(".")[2]
    return one.source if written == name.rpartition(".")[2] else f"{one.source}({one.written})"


def _agree(name: str, one: Any, other: Any) -> bool:
    """필드의 종류로 바꾼 두 값이 같은가."""
    kinds = {".".join(leaf.path): leaf.kind for leaf in SummarizationConfig.leaves()}
    try:
        return cast(one, kinds.get(name, Any)) == cast(other, kinds.get(name, Any))
    except Refused:
        return one == other


def _completed(values: dict[str, Sourced]) -> dict[str, Sourced]:
    """한쪽만 적힌 두 항목의 다른 쪽을 채웁니다(`SAME`, `RIVALS`)."""
    made = dict(values)
    for one, other in SAME:
        for here, there in ((one, other), (other, one)):
            if here in values and there not in values:
                made[there] = Sourced(values[here].value, f"{values[here].source}의 {here}")
    for one, other in RIVALS:
        for here, there in ((one, other), (other, one)):
            if here in values and there not in values and values[here].value is not None:
                made[there] = Sourced(None, f"{values[here].source}의 {here}")
    return made


def _nested(values: Mapping[str, Sourced]) -> Layer:
    made: Layer = {}
    for name, value in values.items():
        *groups, last = name.split(".")
        owner = made
        for one in groups:
            owner = owner.setdefault(one, {})
            if isinstance(owner, Sourced):
                raise UserError(
                    f"{owner.source}의 {one}에는 값이 아니라 항목들을 적어 주세요. 예: {name}={value.value}"
                )
        owner[last] = value
    return made
