"""빔 탐색을 빠르게: 같은 대화의 빔들은 대화를 읽은 것(교차 어텐션의 키와 값)도 같습니다.

빔 탐색은 스텝마다 살아남은 빔의 기억(캐시)을 차례대로 옮겨 적습니다. 쓰던 요약의 기억은 빔마다 다르지만 대화의 기억은
같으므로, 옮겨 적어도 달라지는 것이 없습니다. 대화가 요약보다 열 배쯤 길어, 이 헛일이 쓰는 시간의 2할쯤입니다.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import DynamicCache, EncoderDecoderCache

from nlpbook.hardware import cpu_has_bf16


class DialogueReadOnce(EncoderDecoderCache):
    """대화를 읽은 것은 옮겨 적지 않는 캐시."""

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        self.self_attention_cache.reorder_cache(beam_idx)  # type: ignore[arg-type]


@contextmanager
def fast_beams(model: Any) -> Iterator[None]:
    """블록 안에서는 `model.generate`가 대화를 읽은 것을 옮겨 적지 않습니다. 나오는 번호는 같습니다.

    디코더뿐인 모델은 그대로입니다. 여러 쓰레드가 함께 쓰는 모델에는 쓰지 않습니다.
    """
    if not model.config.is_encoder_decoder:
        yield
        return
    generate = model.generate
    before = vars(model).get("generate")  # 누가 이미 감쌌으면 그것

    def with_cache(*inputs: Any, **more: Any) -> Any:
        config = model.config.get_text_config(decoder=True)
        cache = DialogueReadOnce(DynamicCache(config=config), DynamicCache(config=config))
        return generate(*inputs, **{"past_key_values": cache, **more})

    model.generate = with_cache
    try:
        yield
    finally:
        del model.generate
        if before is not None:
            model.generate = before


def native_dtype(device: str) -> torch.dtype:
    """이 장치가 곱셈을 타고난 16비트. 없으면 32비트입니다. 지수의 범위가 32비트와 같은 bf16만 고릅니다."""
    if device == "cuda" and torch.cuda.get_device_capability()[0] >= 8:
        return torch.bfloat16
    return torch.bfloat16 if device == "cpu" and cpu_has_bf16() else torch.float32
