"""시작하기 전에 물어 볼 것: 모델의 위치(position)가 설정의 길이만큼 있는지. 공통인 것은 `nlpbook.limits`에 있습니다."""

from __future__ import annotations

from torch import nn

from nlpbook.errors import UserError
from nlpbook.limits import position_limit
from nlpbook.summarization.architectures import architecture
from nlpbook.summarization.config import SummarizationConfig


def require_lengths(config: SummarizationConfig, model: nn.Module) -> None:
    """설정의 길이만큼 모델이 읽고 쓸 수 있는지 봅니다. 위치를 표로 배우지 않는 모델(T5)에는 상한이 없습니다.

    Raises:
        UserError: 대화나 요약이, 디코더뿐인 모델이면 둘을 더한 것이 위치보다 길 때.
    """
    limit = position_limit(model)
    if limit is None:
        return
    encoder, decoder = config.tokenizer.encoder_max_len, config.tokenizer.decoder_max_len
    written = max(decoder, config.generation.max_length)
    if architecture(config.model.architecture).decoder_only:
        if encoder + written > limit:
            raise UserError(
                f"디코더뿐인 모델은 대화와 요약을 이어 읽습니다. tokenizer.encoder_max_len {encoder}과(와) 요약의 상한 "
                f"{written}을(를) 더하면 모델의 위치 {limit}개보다 깁니다. 하나를 줄여 주세요."
            )
        return
    for name, length in (("tokenizer.encoder_max_len", encoder), ("요약의 상한", written)):
        if length > limit:
            raise UserError(f"{name} {length}은(는) 모델의 위치 {limit}개보다 깁니다. {limit} 이하로 적어 주세요.")
