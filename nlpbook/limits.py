"""오래 걸리는 일을 시작하기 전에 물어 볼 것: 모델이 읽을 수 있는 길이와, 화면에 적을 줄의 모양.

한 시간 학습한 뒤에야 틀린 줄의 모양으로 멈추거나, 긴 문장을 만나서야 자리가 모자라 멈추지 않게 합니다. 값 하나하나의
종류와 범위는 `nlpbook.settings`가 봅니다.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Any

import torch
from torch import nn

from console_text import did_you_mean
from nlpbook.errors import UserError
from nlpbook.pretrained import resolve_pretrained

POSITION_TABLES = ("position_embeddings", "embed_positions", "wpe")  # transformers의 모델들이 자리를 적어 두는 표


def require_format(option: str, template: str, sample: Mapping[str, Any]) -> None:
    """줄의 모양을 보기 값으로 한 번 적어 봅니다.

    Args:
        option: 옵션의 이름. 오류에 적습니다.
        template: `str.format`의 모양. 예: `"val_loss={val_loss:.4f}"`.
        sample: 쓸 수 있는 이름 → 실제와 종류가 같은 보기 값.

    Raises:
        UserError: 모르는 이름이 있거나, 값을 그 모양으로 적을 수 없을 때.
    """
    known = f"쓸 수 있는 이름: {', '.join(sample)}."
    try:
        names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
        for name in names:
            if name.split(".")[0].split("[")[0] not in sample:
                close = did_you_mean(name, sample)
                raise UserError(f"--{option}에 모르는 이름 {{{name}}}이(가) 있습니다.{close} {known}")
        template.format(**sample)
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise UserError(
            f"--{option} {template!r}의 모양대로 적을 수 없습니다({error}). "
            f"{{step}}이나 {{loss:.4f}}처럼 적어 주세요. {known}"
        ) from None


def position_limit(model: nn.Module) -> int | None:
    """모델이 한 번에 읽을 수 있는 토큰 수. 자리를 표로 배우지 않는 모델(T5, RoPE)은 None입니다.

    RoBERTa 계열은 표의 앞자리를 채움(padding)에 내주고 그 다음부터 셉니다. 514자리의 표로 512토큰까지 읽습니다.
    """
    limits = [
        table.num_embeddings - _first_position(table)
        for name, table in model.named_modules()
        if isinstance(table, nn.Embedding) and name.rpartition(".")[2] in POSITION_TABLES
    ]
    return min(limits, default=None)


def _first_position(table: nn.Embedding) -> int:
    """첫 토큰의 자리 번호."""
    if table.padding_idx is not None:
        return table.padding_idx + 1
    return getattr(table, "offset", 0)  # BART는 표가 두 자리 밀려 있습니다.


def require_positions(name: str, seq_len: int, model: nn.Module | None = None) -> None:
    """문장의 길이가 모델의 자리를 넘지 않는지 봅니다.

    Args:
        name: 사전학습 모델의 이름이나 폴더.
        seq_len: 문장 하나의 최대 토큰 수.
        model: 이미 만든 모델. 없으면 설정만 읽어 가중치 없이 만들어 봅니다.

    Raises:
        UserError: 모델을 찾을 수 없거나, 길이가 모델의 자리보다 길 때.
    """
    limit = position_limit(model or _without_weights(name))
    if limit is not None and seq_len > limit:
        raise UserError(
            f"--seq_len {seq_len}은(는) 모델 '{name}'이(가) 읽을 수 있는 {limit}토큰보다 깁니다. "
            f"--seq_len을 {limit} 이하로 적어 주세요."
        )


def _without_weights(name: str) -> nn.Module:
    """설정의 모양대로 만든, 메모리를 쓰지 않는(meta) 모델."""
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(resolve_pretrained(name))
    with torch.device("meta"):
        return AutoModel.from_config(config)
