"""설정이 적힌 곳들: YAML 파일, 환경 변수, 명령줄, 시도(trial). 곳마다 층(`layers`) 하나를 만듭니다.

파일을 부모부터 읽어 가는 일과, 층을 차례로 포개는 일은 1단계(`step1_config_and_model.py`)가 합니다.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from console_text import did_you_mean
from nlpbook.errors import UserError
from nlpbook.paths import require_regular_file, shown, write_text
from nlpbook.settings import COMMAND_LINE, KeyPath
from nlpbook.summarization.config import SummarizationConfig
from nlpbook.summarization.layers import Entry, Layer, Sourced, config_of, layer_of, leaves
from nlpbook.summarization.old_files import is_old_file, migrated
from nlpbook.summarization.spellings import ENVIRONMENT, PLAIN_NAMES, SPELLINGS
from nlpbook.yaml_files import read_yaml

# 부모 파일을 적는 항목: `inherits: ../models/kobart.yaml`. 여럿이면 목록이고, 뒤에 적은 부모가 앞섭니다.
INHERITS = "inherits"
TRIAL = "시도"
SUFFIXES = (".yaml", ".yml")
FOLDER_NAMES = ("config", "configs")
GROUPS = {path[0] for path in (leaf.path for leaf in SummarizationConfig.leaves())}


class ConfigFile(NamedTuple):
    """설정 파일 하나.

    Attributes:
        path: 파일의 경로.
        values: 이 파일에 적힌 것만. 사전 안의 사전이고, 값은 `Sourced`입니다.
        parents: 물려받는 파일들, 적힌 차례대로.
    """

    path: Path
    values: Layer
    parents: list[Path]


# ── 파일 찾기


def config_names(folder: Path) -> dict[str, Path]:
    """이름으로 부를 수 있는 설정 파일들: 이름 → 경로. 이름이 같으면 실험의 것이 앞섭니다."""
    files = sorted(path for suffix in SUFFIXES for path in folder.rglob(f"*{suffix}") if path.parent.name != "sweep")
    order = {"experiments": 0, folder.name: 1, "models": 2, "base": 3}
    found: dict[str, Path] = {}
    for path in sorted(files, key=lambda path: order.get(path.parent.name, 4)):
        found.setdefault(path.stem, path)
    return found


def find_config(name: str | Path, folder: Path) -> Path:
    """설정 파일을 이름이나 경로로 찾습니다.

    Args:
        name: 이름(`"baseline_kobart"`)이나 경로. `config/base_config.yaml`처럼 적어도 `folder` 안에서 찾습니다.
        folder: 우리 설정 파일들이 있는 폴더.

    Raises:
        UserError: 그런 것이 없을 때. 있는 것들을 말합니다.
    """
    given = Path(name).expanduser()
    for path in _candidates(given, folder):
        if path.exists() and not path.is_dir():
            return path
    known = config_names(folder)
    if len(given.parts) == 1 and given.stem in known and given.suffix in ("", *SUFFIXES):
        return known[given.stem]
    raise UserError(
        f"설정 '{name}'을(를) 찾을 수 없습니다.{did_you_mean(given.stem, known)} 있는 것: {', '.join(known)}. "
        "내 파일이라면 경로를 적어 주세요."
    )


def _candidates(given: Path, folder: Path) -> Iterator[Path]:
    if given.suffix in SUFFIXES:
        yield given
    if not given.is_absolute():  # config/…와 configs/…는 우리 폴더의 것이기도 합니다.
        starts = [index + 1 for index, part in enumerate(given.parts) if part in FOLDER_NAMES]
        inside = folder.joinpath(*given.parts[max(starts, default=0) :])
        yield from (inside.with_name(inside.name + suffix) for suffix in ("", *SUFFIXES))


# ── 파일 읽기


def read_config_file(path: Path | str) -> ConfigFile:
    """설정 파일 하나를 읽습니다. 부모의 것은 읽지 않습니다. 옛 단일 설정 파일은 지금의 모양으로 옮깁니다.

    Raises:
        UserError: 파일을 읽을 수 없거나, 모르는 항목이나 맞지 않는 값이 있을 때. 파일과 몇 번째 줄인지 적습니다.
    """
    entries, parents = _entries(Path(path))
    return ConfigFile(Path(path), layer_of(entries), parents)


def problems_in(path: Path | str) -> list[str]:
    """파일 하나에서 고칠 것들을 한 문장씩. 비어 있으면 맞습니다. 부모의 것은 보지 않습니다."""
    try:
        entries, _ = _entries(Path(path))
    except UserError as error:
        return [str(error)]
    found = [problem for one in entries if (problem := _problem(lambda one=one: layer_of([one])))]
    return found or [problem for problem in [_problem(lambda: layer_of(entries))] if problem]


def _problem(attempt: Any) -> str | None:
    try:
        attempt()
    except UserError as error:
        return str(error)
    return None


def migrate(path: Path | str, to: Path | str | None = None) -> dict[str, Any]:
    """옛 파일이나 다른 이름으로 적은 파일을 지금의 이름으로 옮긴 값들. `to`를 적으면 YAML로도 씁니다.

    Raises:
        UserError: 파일을 읽을 수 없거나, 모르는 항목이나 맞지 않는 값이 있을 때.
    """
    config_file = read_config_file(path)
    config = config_of(config_file.values)
    values: dict[str, Any] = {}
    if config_file.parents:
        values[INHERITS] = [_relative(one, Path(to or path).parent) for one in config_file.parents]
    for key, _ in leaves({name: one for name, one in config_file.values.items() if name != "unused"}):
        values.setdefault(key[0], {})[key[1]] = config[".".join(key)]
    if to is not None:
        write_text(to, yaml.safe_dump(values, allow_unicode=True, sort_keys=False))
    return values


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def circle(paths: Sequence[Path]) -> UserError:
    """물려받기가 맴돌 때의 오류. `paths`는 따라온 파일들이고, 마지막이 다시 만난 것입니다."""
    start = list(paths).index(paths[-1])
    way = " → ".join(shown(one) for one in paths[start:])
    return UserError(f"설정 파일의 {INHERITS}가 맴돕니다: {way}. 한 곳의 {INHERITS}를 지워 주세요.")


def _entries(path: Path) -> tuple[list[Entry], list[Path]]:
    require_regular_file(path)
    values, lines = read_yaml(path)
    if not isinstance(values, Mapping):
        raise UserError(f"{shown(path)} 은(는) 이름마다 값을 적은 YAML이 아닙니다. 예: training: {{epochs: 3}}")
    values = {name: one for name, one in values.items() if not (one is None and name in (*GROUPS, "inference"))}
    parents = _parents(path, values.pop(INHERITS, None), lines.get((INHERITS,), 1))

    def source(key: KeyPath) -> str:
        return f"{shown(path)} {lines[key]}번째 줄" if key in lines else shown(path)

    found = [Entry(".".join(key), ".".join(key), value, source(key)) for key, value in leaves(values)]
    return (list(migrated(found)) if is_old_file(values) else found), parents


def _parents(path: Path, given: Any, line: int) -> list[Path]:
    names = [given] if isinstance(given, str) else given or []
    here = f"{shown(path)} {line}번째 줄의 {INHERITS}"
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise UserError(f"{here}에는 부모 파일의 경로를 적어 주세요. 예: {INHERITS}: ../models/kobart.yaml")
    parents = []
    for name in names:
        parent = Path(os.path.normpath(path.parent / name))
        if not parent.is_file():
            beside = sorted(one.name for suffix in SUFFIXES for one in parent.parent.glob(f"*{suffix}"))
            known = f" 그 폴더에 있는 것: {', '.join(beside)}." if beside else ""
            close = _named_elsewhere(name, path) or did_you_mean(parent.name, beside)
            raise UserError(f"{here}가 가리키는 파일이 없습니다: {name}.{close}{known}")
        parents.append(parent)
    return parents


def _named_elsewhere(name: str, path: Path) -> str:
    """가까운 configs 폴더에 그 이름의 설정이 있으면, `path`에서 본 그 경로를 묻는 문장. 없으면 빈 글."""
    wanted = Path(name).name.removesuffix(Path(name).suffix if Path(name).suffix in SUFFIXES else "")
    here = path.parent.resolve()
    for home in (here, here.parent, here.parent.parent, Path.cwd()):
        for folder in (home, *(home / one for one in FOLDER_NAMES), *sorted(home.glob("*/configs"))):
            found = config_names(folder).get(wanted) if folder.name in FOLDER_NAMES else None
            if found is not None and found.resolve() != path.resolve():
                return f" 이 파일에서 본 경로를 적습니다. 혹시 {_relative(found.resolve(), here)} 인가요?"
    return ""


# ── 파일이 아닌 곳


def environment_layer(environment: Mapping[str, str] | None = None) -> Layer:
    """환경 변수의 층. 이름은 `spellings.ENVIRONMENT`에 있고, 빈 글은 적지 않은 것입니다.

    Args:
        environment: 환경 변수 이름 → 글. 없으면 `os.environ`입니다.

    Raises:
        UserError: 값이 맞지 않을 때.
    """
    given = os.environ if environment is None else environment
    return layer_of(
        Entry(name, name, given[variable], f"환경 변수 {variable}")
        for variable, name in ENVIRONMENT.items()
        if given.get(variable, "").strip()
    )


def command_line_layer(overrides: Mapping[str, Any] | Iterable[str] = ()) -> Layer:
    """명령줄의 층.

    Args:
        overrides: `["--num_epochs", "3", "training.learning_rate=1e-4"]`처럼 명령줄에 적은 말들이나, 이름 → 값.

    Raises:
        UserError: 이름=값의 모양이 아니거나, 모르는 이름이거나, 값이 맞지 않을 때.
    """
    pairs = overrides.items() if isinstance(overrides, Mapping) else _words(overrides)
    return layer_of(Entry(full_name(name), name, value, COMMAND_LINE) for name, value in pairs)


def trial_layer(trial: Mapping[str, Any] | None = None) -> Layer:
    """탐색(sweep)의 시도가 고른 값들의 층. 묶음을 적은 이름도, 안 적은 이름도 됩니다.

    Raises:
        UserError: 모르는 이름이거나 값이 맞지 않을 때.
    """
    pairs = ((".".join(path), value) for path, value in leaves(trial or {}))
    return layer_of(Entry(full_name(name, TRIAL), name, value, TRIAL) for name, value in pairs)


def full_name(name: str, source: str = COMMAND_LINE) -> str:
    """묶음 없이 적은 이름을 점으로 이은 이름으로: `num-epochs` → `training.num_train_epochs`.

    Args:
        source: 어디에 적은 이름인지. 오류에 적습니다.

    Raises:
        UserError: 모르는 이름이거나, 어느 묶음의 것인지 알 수 없을 때.
    """
    name = name.replace("-", "_")
    if "." in name:
        return name
    options = {leaf.option: ".".join(leaf.path) for leaf in SummarizationConfig.leaves()}
    known = {**options, **PLAIN_NAMES}
    if name in known:
        return known[name]
    inside = sorted({one for one in (*options.values(), *SPELLINGS) if one.rpartition(".")[2] == name})
    if len(inside) == 1:
        return inside[0]
    hint = f" {' 또는 '.join(inside)} 가운데 하나를 적어 주세요." if inside else did_you_mean(name, known)
    raise UserError(f"{source}에 모르는 항목이 있습니다: {name}.{hint}")


def _words(words: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """명령줄의 말들을 (이름, 값)으로: `--이름 값`, `--이름=값`, `--이름`(true), `이름=값`."""
    left = [words] if isinstance(words, str) else list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        bare = re.sub(r"^--?(?=[A-Za-z])", "", name.strip())
        if equals:
            yield bare, value.strip()
        elif bare == name:
            raise UserError(f"이름=값이나 --이름 값의 모양이 아닙니다: {word}. 예: training.learning_rate=1e-4")
        elif left and not re.match(r"--?[A-Za-z]", left[0]):
            yield bare, left.pop(0)
        else:
            yield bare, True


# ── 다 포갠 뒤


def resolved(layer: Mapping[str, Any]) -> SummarizationConfig:
    """다 포갠 층을 설정으로 바꾸고, 항목끼리 어긋나지 않는지 봅니다.

    `wandb.enabled`는 적지 않고 `wandb.mode`만 적었다면 그것을 따릅니다.

    Args:
        layer: 사전 안의 사전. 값은 `Sourced`이거나 그냥 값입니다.

    Raises:
        UserError: 모르는 이름, 맞지 않는 값, 어긋나는 항목이 있을 때.
    """
    wandb = layer.get("wandb", {})
    if isinstance(mode := wandb.get("mode"), Sourced) and "enabled" not in wandb:
        enabled = Sourced(mode.value != "disabled", f"{mode.source}의 wandb.mode")
        layer = {**layer, "wandb": {**wandb, "enabled": enabled}}
    return config_of(layer).require_consistent()
