"""설정의 틀: dataclass의 필드 하나가 명령줄 옵션 하나가 되고, 실행마다 JSON으로 저장되어 그대로 되살아납니다.

옵션의 이름, 기본값, 설명은 과제마다의 설정 클래스에 한 번만 적습니다. 묶음으로 나눈 설정(`args.model.seq_len`)은
`GroupedArguments`에서, 납작한 설정(`config.seq_len`)은 `FlatArguments`에서 물려받습니다. 어떤
옵션이 있는지는 여기에 없습니다.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from nlpbook.errors import UserError
from nlpbook.paths import write_text

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
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


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
        group: 도움말에서 나누어 보일 묶음(`PANELS`의 이름). 묶음마다 dataclass가 따로 있으면 적지 않습니다.
        bounds: `min=…`, `max=…`. 수의 범위(양 끝을 포함).
    """
    return field(default=default, metadata={"help": help, "option": name, "choices": choices, "group": group, **bounds})


def default_of(one: Field) -> Any:
    """dataclass 필드의 기본값."""
    return one.default if one.default_factory is MISSING else one.default_factory()


def read_settings(path: Path | str) -> Any:
    """저장한 설정 파일의 JSON.

    Raises:
        UserError: 파일이 없거나 JSON이 아닐 때.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"설정 파일이 없습니다: {path}. 먼저 train으로 학습해 주세요.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(
            f"설정 파일을 읽을 수 없습니다: {path} ({error}). 다시 학습하거나 파일을 고쳐 주세요."
        ) from None


class GroupedArguments:
    """묶음(env, data, model, …)마다 dataclass가 따로 있는 설정. 물려받은 dataclass의 필드 하나가 묶음 하나입니다."""

    @classmethod
    def groups(cls) -> dict[str, type]:
        """묶음의 이름 → dataclass. 이름이 `PANELS`에 있는 필드가 묶음입니다."""
        return {name: kind for name, kind in get_type_hints(cls).items() if name in PANELS}

    @classmethod
    def options(cls) -> dict[str, tuple[str, Field]]:
        """옵션 이름 → (묶음 이름, 필드). 예: `"data_name" → ("data", <name>)`."""
        return {
            (one.metadata["option"] or one.name): (group, one)
            for group, kind in cls.groups().items()
            for one in fields(kind)
        }

    def to_dict(self) -> dict[str, dict[str, Any]]:
        return {group: asdict(getattr(self, group)) for group in self.groups()}

    def save(self, path: Path | str) -> None:
        """JSON으로 저장합니다. `load`가 같은 설정을 되살립니다."""
        write_text(path, json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path | str):
        """`save`가 쓴 파일을 읽습니다. 이 명령이 쓰지 않는 묶음(예: 평가할 때의 server)은 건너뜁니다.

        Raises:
            UserError: 파일이 없거나, JSON이 아니거나, 모르는 항목이 있을 때.
        """
        saved = read_settings(path)
        if not isinstance(saved, dict) or not all(isinstance(group, dict) for group in saved.values()):
            raise UserError(f"설정 파일이 묶음마다 항목을 적은 JSON이 아닙니다: {path}. 다시 학습해 주세요.")
        made = {}
        for group, kind in cls.groups().items():
            known = {one.name for one in fields(kind)}
            unknown = set(saved.get(group, {})) - known
            if unknown:
                raise UserError(f"{path}의 {group}에 모르는 항목이 있습니다: {', '.join(sorted(unknown))}")
            made[group] = kind(**saved.get(group, {}))
        return cls(**made)


@dataclass
class FlatArguments:
    """묶음 없이 필드가 곧 옵션인 설정. `nlpbook.cli.with_options`가 읽는 모양을 갖춥니다."""

    @classmethod
    def groups(cls) -> dict[str, type]:
        """도움말에서 나누어 보일 묶음의 이름 → 이 클래스."""
        return {one.metadata["group"]: cls for one in fields(cls)}

    @classmethod
    def options(cls) -> dict[str, tuple[str, Field]]:
        """옵션 이름 → (묶음 이름, 필드)."""
        return {(one.metadata["option"] or one.name): (one.metadata["group"], one) for one in fields(cls)}

    @classmethod
    def of(cls, options: dict[str, Any]):
        """명령줄의 옵션에서 만듭니다."""
        names = {name: field.name for name, (_, field) in cls.options().items()}
        return cls(**{names[name]: value for name, value in options.items()})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def save(self, path: Path | str) -> None:
        """JSON으로 저장합니다. `load`가 같은 설정을 되살립니다."""
        write_text(path, json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path | str):
        """`save`가 쓴 파일을 읽습니다.

        Raises:
            UserError: 파일이 없거나, JSON이 아니거나, 모르는 항목이 있을 때.
        """
        return cls.from_dict(read_settings(path), str(path))

    @classmethod
    def from_dict(cls, saved: Any, source: str = "설정"):
        """사전에서 만듭니다. 사전이 아니거나 모르는 항목이 있으면 `UserError`."""
        if not isinstance(saved, dict):
            raise UserError(f"{source}이(가) 이름마다 값을 적은 사전이 아닙니다. 다시 학습해 주세요.")
        unknown = set(saved) - {one.name for one in fields(cls)}
        if unknown:
            raise UserError(f"{source}에 모르는 항목이 있습니다: {', '.join(sorted(unknown))}")
        return cls(**saved)
