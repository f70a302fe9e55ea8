"""탐색의 값들을 요약의 설정으로: 이름을 확인하고, 모델마다의 설정 파일을 겹칩니다.

설정 항목이 아닌 이름이 둘 있습니다.
    base_config    이 설정에서 시작합니다. 명령줄의 --base-config보다 앞섭니다
    model_config   configs/models/의 파일 하나를 겹칩니다. 구조와 체크포인트는 늘 짝이어야 하므로, 따로 바꾸지 않습니다
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from nlpbook.errors import UserError
from nlpbook.summarization.config_files import TRIAL, find_config, full_name, trial_layer
from nlpbook.summarization.layers import Sourced, leaves
from nlpbook.summarization.spellings import ENVIRONMENT, SPELLINGS

BASE, MODEL = "base_config", "model_config"
MODEL_GROUPS = ("model", "tokenizer", "training", "generation")
PAIR = ("model.architecture", "model.checkpoint")


def environment_now() -> dict[str, str]:
    """설정에 쓰이는 환경 변수들. 탐색을 시작할 때의 것을 모든 시도가 씁니다."""
    return {name: os.environ[name] for name in ENVIRONMENT if os.environ.get(name, "").strip()}


def field_of(name: str) -> str:
    """탐색 파일에 적은 이름 → 설정의 항목. 두 특별한 이름은 그대로입니다."""
    if name in (BASE, MODEL):
        return name
    full = full_name(name, TRIAL)
    return SPELLINGS.get(full, full)


def require_known(candidates: Iterable[tuple[str, str, list[Any]]], configs: Path) -> dict[str, str]:
    """이름과 값들이 설정에 맞는지 시작하기 전에 봅니다.

    Args:
        candidates: (이름, 적힌 곳, 살필 값들)들.
        configs: 설정 파일들이 있는 폴더.

    Returns:
        설정의 항목 → 탐색 파일에 적은 이름.

    Raises:
        UserError: 모르는 이름이거나, 맞지 않는 값이거나, 두 이름이 같은 항목일 때.
    """
    seen: dict[str, str] = {}
    for name, where, values in candidates:
        try:
            field = field_of(name)
            for value in values:
                if name in (BASE, MODEL):
                    find_config(str(value), configs)
                else:
                    trial_layer({name: value})
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        if field in seen:
            raise UserError(f"{where}: {name}과(와) {seen[field]}은(는) 같은 것({field})입니다. 하나만 적어 주세요.")
        seen[field] = name
    if all(field in seen for field in PAIR) and MODEL not in seen:
        raise UserError(
            "구조(architecture)와 체크포인트를 따로 바꾸면 맞지 않는 짝이 생깁니다. model_config의 values에 "
            "configs/models/의 이름들을 적어 주세요."
        )
    return seen


def overridden(fields: Mapping[str, str], environment: Mapping[str, str]) -> list[str]:
    """환경 변수 가운데, 탐색이 바꾸는 것이라 쓰이지 않는 것들."""
    return [name for name in environment if SPELLINGS.get(ENVIRONMENT[name], ENVIRONMENT[name]) in fields]


def trial_values(parameters: Mapping[str, Any], read_layer: Callable[[str], Mapping[str, Any]]) -> dict[str, Any]:
    """시도의 값들에 모델의 설정 파일을 겹친 것: 항목 → 값. 시도가 고른 값이 앞섭니다.

    Args:
        read_layer: 설정의 이름 → 그 파일과 부모들을 포갠 층.
    """
    values: dict[str, Any] = {}
    name = parameters.get(MODEL)
    if name is not None:
        layer = {group: one for group, one in read_layer(name).items() if group in MODEL_GROUPS}
        values = {".".join(key): one.value if isinstance(one, Sourced) else one for key, one in leaves(layer)}
    own = {field_of(key): value for key, value in parameters.items() if key not in (BASE, MODEL)}
    return {**values, **own}
