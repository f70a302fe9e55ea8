"""설정의 틀: dataclass의 필드 하나가 명령줄 옵션 하나가 되고, 실행마다 JSON으로 저장되어 그대로 되살아납니다.

옵션의 이름, 기본값, 설명은 설정 클래스에 한 번만 적습니다. 필드는 옵션이거나, 그 자신이 `Settings`인 묶음입니다.

    @dataclass
    class Training(Settings):
        epochs: int = option(3, "에포크 수.", min=1)

    @dataclass
    class Config(Settings):
        seed: int = option(7, "난수 시드.", group="learning")        # config.seed
        training: Training = group(Training)                         # config.training.epochs

값은 어디에서 오든(명령줄, YAML, JSON, 환경 변수, 대입) 필드의 종류로 바뀌고, 맞지 않으면 그 자리에서 거절됩니다.
어떤 옵션이 있는지는 여기에 없습니다.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, make_dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard, get_type_hints

from console_text import did_you_mean
from nlpbook.casting import Refused, cast
from nlpbook.errors import UserError
from nlpbook.paths import located, portable, shown, write_json

PANELS = {
    "env": "이름과 버전",
    "data": "데이터",
    "model": "모델",
    "hardware": "장치",
    "printing": "화면 출력",
    "learning": "학습",
    "evaluation": "평가",
    "generation": "생성",
    "export": "내보내기",
    "server": "서버",
}
DEFAULT, CODE, COMMAND_LINE = "기본값", "코드", "명령줄"  # 값이 온 곳
KeyPath = tuple[str, ...]  # 묶음의 이름들과 필드의 이름. 예: ("training", "epochs")


class UnknownSetting(UserError):
    """설정에 없는 이름을 적었습니다.

    Attributes:
        owner: 그 이름을 찾은 설정 클래스.
        name: 적은 이름.
    """

    def __init__(self, message: str, owner: type, name: str) -> None:
        super().__init__(message)
        self.owner = owner
        self.name = name


class WrongValue(UserError):
    """필드의 종류나 범위에 맞지 않는 값을 적었습니다. `value`가 그 값입니다."""

    def __init__(self, message: str, value: Any) -> None:
        super().__init__(message)
        self.value = value


class Leaf(NamedTuple):
    """옵션 하나: 설정 안의 경로, 도움말의 묶음, 그것을 적은 클래스, 필드, 종류."""

    path: KeyPath
    group: str
    owner: type
    field: Field
    kind: Any

    @property
    def option(self) -> str:
        return self.field.metadata["option"] or self.field.name


def option(
    default: Any,
    help: str,
    name: str | None = None,
    choices: tuple[str, ...] = (),
    group: str | None = None,
    **bounds: float,
) -> Any:
    """명령줄에도 나타나는 dataclass 필드.

    Args:
        default: 기본값.
        help: `--help`에 보일 설명.
        name: 옵션 이름. 없으면 필드 이름을 씁니다.
        choices: 고를 수 있는 값들. 비었으면 아무 값이나.
        group: 도움말에서 나누어 보일 묶음: `PANELS`의 이름이거나 보일 제목. 필드가 묶음 안에 있으면 그 묶음이 앞섭니다.
        bounds: `min=…`, `max=…`. 수의 범위(양 끝을 포함).
    """
    metadata = {"help": help, "option": name, "choices": choices, "group": group, **bounds}
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def group(kind: type[Settings], title: str | None = None) -> Any:
    """묶음인 필드. `title`은 도움말에 보일 제목이고, 없으면 `PANELS`에서 필드의 이름으로 찾습니다."""
    return field(default_factory=kind, metadata={"title": title})


def with_defaults(kind: type[Settings], **defaults: Any) -> Any:
    """`kind`의 옵션들을 기본값만 바꾸어 물려주는 클래스. 예: `class Mine(with_defaults(Learning, epochs=10)): …`."""
    changed = []
    for name, default in defaults.items():
        before = kind.__dataclass_fields__[name].metadata
        changed.append((name, hints(kind)[name], field(default=default, metadata=before)))
    return make_dataclass(kind.__name__, changed, bases=(kind,), namespace={"__module__": kind.__module__})


def default_of(one: Field) -> Any:
    """dataclass 필드의 기본값."""
    return one.default if one.default_factory is MISSING else one.default_factory()


def read_settings(path: Path | str) -> Any:
    """저장한 설정 파일의 JSON. 옮겨도 맞게 적은 경로(`nlpbook.paths.portable`)는 지금의 자리로 되돌립니다.

    Raises:
        UserError: 파일이 없거나 JSON이 아닐 때.
    """
    try:
        return located(json.loads(Path(path).read_text(encoding="utf-8")), Path(path).parent)
    except FileNotFoundError:
        raise UserError(f"설정 파일이 없습니다: {path}. 먼저 train으로 학습해 주세요.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(
            f"설정 파일을 읽을 수 없습니다: {path} ({error}). 다시 학습하거나 파일을 고쳐 주세요."
        ) from None


@cache
def hints(kind: type) -> dict[str, Any]:
    """필드의 이름 → 종류."""
    return get_type_hints(kind)


@dataclass
class Settings:
    """모든 설정의 부모. 물려받은 클래스도 `@dataclass`로 꾸밉니다.

    사전처럼도 읽습니다: `dict(config)`, `config["seed"]`, `config["training"]["epochs"]`.
    """

    def __new__(cls, *args: Any, **given: Any) -> Any:
        for name in given:
            if name not in cls.names():
                raise cls._unknown(name, cls.__name__, cls)
        return super().__new__(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dataclass_fields__:
            raise self._unknown(name, type(self).__name__, type(self))
        again = name in self.__dict__
        object.__setattr__(self, name, self._cast(name, value, lambda path: type(self).__name__, ()))
        self._origins().pop(name, None)
        if again:  # 만든 뒤에 고쳐 담은 것. 기본값과 같은 값이어도 고른 것입니다.
            self._origins()[name] = CODE

    def keys(self) -> list[str]:
        return [one.name for one in fields(self)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __getitem__(self, name: str) -> Any:
        """필드나 묶음의 값. 점으로 이은 이름(`"training.epochs"`)도 됩니다."""
        first, _, rest = name.partition(".")
        if first not in self:
            raise self._unknown(first, type(self).__name__, type(self))
        value = getattr(self, first)
        return value[rest] if rest else value

    def __setitem__(self, name: str, value: Any) -> None:
        *groups, last = name.split(".")
        owner = self[".".join(groups)] if groups else self
        setattr(owner, last, value)

    # ── 무엇이 있는가

    @classmethod
    def names(cls) -> Collection[str]:
        """만들 때 받는 이름들."""
        return cls.__dataclass_fields__

    @classmethod
    def known_names(cls) -> Collection[str]:
        """모르는 이름을 보았을 때 가까운 것을 찾을 이름들."""
        return cls.names()

    @classmethod
    def leaves(cls, path: KeyPath = (), within: str | None = None) -> Iterator[Leaf]:
        """옵션들을 적은 차례로."""
        for one in fields(cls):
            kind = hints(cls)[one.name]
            here = (*path, one.name)
            if _is_group(kind):
                yield from kind.leaves(here, ".".join(here))
            elif "help" in one.metadata:
                yield Leaf(here, within or one.metadata["group"] or "", cls, one, kind)

    @classmethod
    def groups(cls) -> dict[str, type]:
        """도움말에서 나누어 보일 묶음의 이름 → 그 옵션들을 적은 클래스."""
        return {leaf.group: leaf.owner for leaf in cls.leaves()}

    @classmethod
    def options(cls) -> dict[str, tuple[str, Field]]:
        """옵션 이름 → (묶음 이름, 필드). 예: `"data_name" → ("data", <name>)`."""
        return {leaf.option: (leaf.group, leaf.field) for leaf in cls.leaves()}

    @classmethod
    def cast(cls, name: str, value: Any) -> Any:
        """`value`를 필드의 종류로. 범위와 고를 수 있는 것도 봅니다.

        Raises:
            Refused: 맞지 않을 때. 무엇을 적으면 되는지 말합니다.
        """
        limits = cls.__dataclass_fields__[name].metadata if name in cls.__dataclass_fields__ else {}
        return cast(value, hints(cls).get(name, Any), limits.get("choices", ()), limits.get("min"), limits.get("max"))

    @classmethod
    def panel(cls, name: str) -> str:
        """묶음의 이름 → 도움말에 보일 제목."""
        first = name.partition(".")[0]
        title = cls.__dataclass_fields__[first].metadata.get("title") if first in cls.__dataclass_fields__ else None
        return title or PANELS.get(name, name)

    # ── 만들기

    @classmethod
    def of(cls, options: Mapping[str, Any]):
        """명령줄의 옵션에서 만듭니다. `options.given`이 있으면 거기 적힌 것만 명령줄에서 온 것으로 적어 둡니다.

        Raises:
            UserError: 모르는 옵션이거나 값이 맞지 않을 때.
        """
        paths = {leaf.option: leaf.path for leaf in cls.leaves()}
        for name in options:
            if name not in paths:
                raise UnknownSetting(f"모르는 옵션입니다: {name}.{did_you_mean(name, paths)}", cls, name)
        made = cls._build(_nested({paths[name]: value for name, value in options.items()}), lambda path: COMMAND_LINE)
        for name in getattr(options, "given", options):
            made._note(paths[name], COMMAND_LINE)
        return made

    @classmethod
    def from_dict(
        cls,
        values: Any,
        source: str | Callable[[KeyPath], str] = "설정",
        where: Callable[[KeyPath], str] | None = None,
        skip: Collection[str] = (),
    ):
        """사전에서 만듭니다. 빠진 것은 기본값이 되고, 값은 필드의 종류로 바뀝니다.

        Args:
            values: 이름 → 값. 묶음은 사전 안의 사전입니다.
            source: 어디에서 온 값인지. 오류에 적히고, `sources()`가 돌려줍니다. 항목마다 다르면, 경로를 받아 답하는
                함수입니다.
            where: 항목의 경로 → 오류에 적을 자리(예: 파일과 줄). 없으면 `source`입니다.
            skip: 이 설정에 없어도 되는 이름들.

        Raises:
            UserError: 사전이 아니거나, 모르는 항목이 있거나, 값이 맞지 않을 때.
        """
        source_of = source if callable(source) else lambda path: source
        made = cls._build(values, where or source_of, skip=skip)
        for path in _paths(values):
            if path[0] in cls.names():
                made._note(path, source_of(path))
        return made

    @classmethod
    def load(cls, path: Path | str):
        """`save`가 쓴 파일을 읽습니다. 이 명령이 쓰지 않는 묶음(예: 평가할 때의 server)은 건너뜁니다.

        Raises:
            UserError: 파일이 없거나, JSON이 아니거나, 모르는 항목이나 맞지 않는 값이 있을 때.
        """
        return cls.from_dict(read_settings(path), str(path), skip=PANELS)

    @classmethod
    def load_yaml(cls, path: Path | str):
        """YAML 파일을 읽습니다. `${다른.항목}`처럼 다른 값을 가리킬 수 있습니다.

        Raises:
            UserError: 파일이 없거나, 모르는 항목이나 맞지 않는 값이 있을 때. 파일과 몇 번째 줄인지 적습니다.
        """
        from nlpbook.yaml_files import read_yaml

        values, lines = read_yaml(path)

        def where(key: KeyPath) -> str:
            return f"{shown(path)} {lines[key]}번째 줄" if key in lines else shown(path)

        return cls.from_dict(values, shown(path), where)

    def merge(self, values: Mapping[str, Any] | Iterable[str], source: str = CODE):
        """몇 가지를 바꾼 복사본.

        Args:
            values: 사전 안의 사전이나 점으로 이은 이름(`{"training.epochs": 5}`). `"training.epochs=5"` 모양의 글들도
                됩니다.

        Raises:
            UserError: 모르는 이름이나 맞지 않는 값이 있을 때.
        """
        given = _nested({tuple(name.split(".")): value for name, value in _pairs(values)})
        made = type(self)._build(_merged(self.to_dict(), given), lambda path: source)
        for path, origin in self.sources().items():
            if origin not in (DEFAULT, CODE):
                made._note(tuple(path.split(".")), origin)
        for path in _paths(given):
            made._note(path, source)
        return made

    def copy(self, **changes: Any):
        """몇 가지를 바꾼 복사본. 나머지가 어디에서 왔는지는 그대로 남습니다."""
        return self.merge(changes)

    def with_environment(self, environment: Mapping[str, str] | None = None, prefix: str = ""):
        """환경 변수(`LEARNING_RATE=1e-4`)가 옵션의 이름과 같으면 그 값으로 바꾼 복사본."""
        environment = os.environ if environment is None else environment
        made = self
        for leaf in self.leaves():
            name = prefix + leaf.option.upper()
            if name in environment:
                made = made.merge({".".join(leaf.path): environment[name]}, f"환경 변수 {name}")
        return made

    # ── 꺼내기

    def to_dict(self) -> dict[str, Any]:
        """이름 → 값. 묶음은 사전 안의 사전입니다."""
        return asdict(self)

    def save(self, path: Path | str) -> None:
        """JSON으로 저장합니다. `load`가 같은 설정을 되살립니다."""
        write_json(Path(path), portable(self.to_dict(), Path(path).parent))

    def sources(self, path: KeyPath = ()) -> dict[str, str]:
        """점으로 이은 이름 → 값이 온 곳: 기본값, 명령줄, 코드, 환경 변수 이름, 파일 이름."""
        found: dict[str, str] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            here = (*path, one.name)
            if isinstance(value, Settings):
                found |= value.sources(here)
            else:
                default = self._cast(one.name, default_of(one), str, ())
                origin = DEFAULT if value == default else CODE
                found[".".join(here)] = self._origins().get(one.name, origin)
        return found

    def to_text(self) -> str:
        """모든 값과 그것이 온 곳을 YAML의 모양으로: `learning_rate: 0.0001  # 명령줄`."""
        lines: list[str] = []
        opened: list[str] = []
        for name, origin in self.sources().items():
            *groups, last = name.split(".")
            for depth, one in enumerate(groups):
                if opened[: depth + 1] != groups[: depth + 1]:
                    lines.append(f"{'  ' * depth}{one}:")
            opened = groups
            shown_value = json.dumps(self[name], ensure_ascii=False, default=str)
            lines.append(f"{'  ' * len(groups)}{last}: {shown_value}  # {origin}")
        return "\n".join(lines) + "\n"

    # ── 안에서 쓰는 것

    @classmethod
    def _build(
        cls,
        values: Any,
        where: Callable[[KeyPath], str],
        path: KeyPath = (),
        skip: Collection[str] = (),
        root: type[Settings] | None = None,
    ):
        """사전을 확인하며 만듭니다. 묶음 안의 사전도 마찬가지입니다."""
        root = root or cls
        if not isinstance(values, Mapping):
            what = f"의 {'.'.join(path)}" if path else ""
            raise UserError(
                f"{where(path)}{what}이(가) 이름마다 값을 적은 사전이 아닙니다. 고치거나 다시 만들어 주세요."
            )
        given = {}
        for name, value in values.items():
            if name not in cls.names():
                if name in skip:
                    continue
                raise cls._unknown(str(name), where((*path, str(name))), root, path)
            kind = hints(cls).get(name)
            if _is_group(kind) and not isinstance(value, Settings):
                given[name] = kind._build(value, where, (*path, name), root=root)
            else:
                given[name] = cls._cast(name, value, where, path)
        try:
            return cls(**given)
        except UserError as error:  # 값 하나하나는 맞지만 서로 어긋날 때
            raise UserError(f"{where(path)}: {error}") from None

    @classmethod
    def _cast(cls, name: str, value: Any, where: Callable[[KeyPath], str], path: KeyPath) -> Any:
        here = (*path, name)
        kind = hints(cls).get(name, Any)
        if _is_group(kind):
            return value if isinstance(value, kind) else kind._build(value, where, here)
        try:
            return cls.cast(name, value)
        except Refused as reason:
            raise WrongValue(f"{where(here)}의 {'.'.join(here)} 값이 맞지 않습니다: {reason}", value) from None

    @classmethod
    def _unknown(cls, name: str, where: str, root: type[Settings], path: KeyPath = ()) -> UnknownSetting:
        elsewhere = {leaf.path[-1]: ".".join(leaf.path) for leaf in root.leaves()}
        known = [*cls.known_names(), *elsewhere]
        hint = f" 혹시 {elsewhere[name]} 인가요?" if name in elsewhere else did_you_mean(name, known)
        if not hint:
            hint = f" 쓸 수 있는 것: {', '.join(cls.names())}."
        shown_name = ".".join((*path, name))
        return UnknownSetting(f"{where}에 모르는 항목이 있습니다: {shown_name}.{hint}", cls, name)

    def _origins(self) -> dict[str, str]:
        return self.__dict__.setdefault("_sources", {})

    def _note(self, path: KeyPath, source: str) -> None:
        owner = self
        for name in path[:-1]:
            owner = getattr(owner, name)
            if not isinstance(owner, Settings):
                return
        owner._origins()[path[-1]] = source


def _is_group(kind: Any) -> TypeGuard[type[Settings]]:
    return isinstance(kind, type) and issubclass(kind, Settings)


def _pairs(values: Mapping[str, Any] | Iterable[str]) -> Iterator[tuple[str, Any]]:
    if isinstance(values, Mapping):
        yield from values.items()
        return
    for one in values:
        name, equals, value = one.partition("=")
        if not equals:
            raise UserError(f"이름=값 모양이 아닙니다: {one}. 예: learning_rate=1e-4")
        yield name.strip(), value.strip()


def _nested(values: Mapping[KeyPath, Any]) -> dict[str, Any]:
    """경로 → 값을 사전 안의 사전으로."""
    made: dict[str, Any] = {}
    for path, value in values.items():
        made = _merged(made, _wrapped(path, value))
    return made


def _wrapped(path: KeyPath, value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    return value


def _merged(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """`new`의 값이 앞서는 새 사전. 사전끼리는 안까지 합칩니다."""
    both = dict(old)
    for name, value in new.items():
        before = both.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            value = _merged(dict(before), value)
        both[name] = value
    return both


def _paths(values: Mapping[str, Any], path: KeyPath = ()) -> Iterator[KeyPath]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _paths(value, (*path, str(name)))
        else:
            yield (*path, str(name))
