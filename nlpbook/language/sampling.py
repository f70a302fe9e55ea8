"""글을 이어 쓰는 설정: 다음 토큰을 고르는 법과, 앞글을 토큰으로 바꾸는 법."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch

from nlpbook.errors import UserError
from nlpbook.language.tokens import TextTokenizer
from nlpbook.text import normalized


@dataclass(frozen=True)
class Sampling:
    """다음 토큰을 고르는 법.

    Attributes:
        max_tokens: 이어 쓸 토큰 수의 상한.
        temperature: 높을수록 다양하게. 0이면 언제나 가장 그럴듯한 것. 0에 너무 가까우면 나눌 수 없어 받지 않습니다.
        top_k: 확률이 높은 이만큼의 토큰 가운데서만. 0이면 모두.
        top_p: 확률의 합이 이만큼이 될 때까지의 토큰 가운데서만. 1이면 모두.
        repetition_penalty: 이미 나온 토큰의 점수를 깎는 정도. 1이면 깎지 않습니다.
        seed: 난수 시드. None이면 그때그때 다릅니다.

    Raises:
        UserError: 범위를 벗어난 값이 있을 때.
    """

    max_tokens: int = 100
    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 0.95
    repetition_penalty: float = 1.1
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, (kind, low, high) in RANGES.items():
            value = getattr(self, name)
            if name == "seed" and value is None:
                continue
            is_number = isinstance(value, kind) and not isinstance(value, bool)
            if not (is_number and low <= value <= high):
                what = "정수" if kind is int else "수"
                raise UserError(f"{name}은(는) {low:,} 이상 {high:,} 이하의 {what}여야 합니다: {value!r}")
        if 0 < self.temperature < COLDEST:
            raise UserError(f"temperature는 0이거나 {COLDEST} 이상이어야 합니다: {self.temperature!r}")

    @classmethod
    def of(cls, config: Any) -> Sampling:
        """같은 이름의 값들이 있는 설정에서 만듭니다."""
        return cls(**{one.name: getattr(config, one.name) for one in fields(cls)})

    def generator(self, device: torch.device) -> torch.Generator | None:
        """`seed`를 심은 그 장치의 난수. 시드가 없으면 None이고, 그러면 PyTorch의 전역 난수를 씁니다."""
        return None if self.seed is None else torch.Generator(device).manual_seed(self.seed)


COLDEST = 0.001
RANGES: dict[str, tuple[Any, float, float]] = {
    "max_tokens": (int, 1, 100_000),
    "temperature": ((int, float), 0, 10),
    "top_k": (int, 0, 1_000_000),
    "top_p": ((int, float), 0, 1),
    "repetition_penalty": ((int, float), 0.01, 100),
    "seed": (int, 0, 2**63 - 1),
}


def encode_prompt(tokenizer: TextTokenizer, prompt: str, max_seq_len: int) -> list[int]:
    """앞글의 토큰 번호. 보이는 글자가 없는 앞글은 새 문서의 처음(글의 끝 토큰 다음)입니다.

    Args:
        max_seq_len: 모델이 한 번에 보는 토큰 수. 앞글은 이보다 짧아야 합니다.

    Raises:
        UserError: 앞글이 모델의 문맥보다 길 때.
    """
    ids = tokenizer.encode(normalized(prompt)) or [tokenizer.end_id]
    if len(ids) >= max_seq_len:
        raise UserError(f"앞글이 {len(ids)}토큰인데, 이 모델은 {max_seq_len - 1}토큰까지 읽습니다. 앞글을 줄여 주세요.")
    return ids
