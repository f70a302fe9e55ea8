"""요약을 쓸 때의 것들: 요약이 대화의 어디를 보았는지(교차 어텐션), 8비트로 줄이기, 모델의 크기."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from nlpbook.errors import UserError

QUANTIZATIONS = ("none", "int8")
NO_TURN = -1  # 어느 말의 것도 아닌 토큰(시작과 끝)


def turn_numbers(tokenizer: Any, dialogue: str, max_len: int) -> list[int]:
    """모델이 읽는 토큰마다, 몇 번째 말(turn)의 것인지. 시작과 끝 토큰은 `NO_TURN`입니다.

    Args:
        dialogue: 말마다 한 줄인 대화.
        max_len: 대화의 길이의 상한(토큰). 잘려 나간 말의 번호는 나오지 않습니다.

    Returns:
        토큰 수만큼의 번호들. 0부터 셉니다.
    """
    encoded = tokenizer(dialogue, truncation=True, max_length=max_len, return_offsets_mapping=True)
    spans = encoded["offset_mapping"]  # 토큰마다 (첫 글자, 마지막 글자의 다음)
    return [dialogue.count("\n", 0, end) if end > start else NO_TURN for start, end in spans]


@torch.no_grad()
def cross_attentions(model: Any, input_ids: Tensor, attention_mask: Tensor, summary_ids: Tensor) -> Tensor | None:
    """다 쓴 요약을 한 번 더 읽으며 얻은 교차 어텐션. 디코더뿐인 모델에는 없으므로 None입니다.

    Args:
        input_ids, attention_mask: (1, 대화 길이).
        summary_ids: (요약 길이,). 디코더의 시작 토큰부터 끝 토큰까지.

    Returns:
        (층, 헤드, 요약 길이 - 1, 대화 길이) 32비트, CPU. 마지막 축의 합은 1입니다.
    """
    if not model.config.is_encoder_decoder:
        return None
    outputs = model(
        input_ids=input_ids,
        attention_mask=attention_mask,
        decoder_input_ids=summary_ids[None, :-1],  # 자리마다 다음 토큰을 고를 때 본 것
        output_attentions=True,
        use_cache=False,
    )
    layers = [layer[0] for layer in outputs.cross_attentions if layer is not None]
    if not layers:
        raise UserError(
            "이 어텐션 구현은 어디를 보았는지 알려 주지 않습니다. attn_implementation='eager'로 읽어 주세요."
        )
    return torch.stack(layers).float().cpu()


@contextmanager
def quiet_quantization() -> Iterator[None]:
    """torch.ao.quantization이 torchao로 옮겨 간다는 경고를 끕니다. 동적 양자화는 아직 여기에 있습니다."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*(torch.ao.quantization|quantize_per).*")
        yield


def quantized(model: Any, kind: str) -> Any:
    """행렬곱의 가중치를 8비트 정수로 줄인 복사본(동적 양자화). `"none"`이면 그대로입니다.

    가중치는 미리 -128~127의 정수로 바꾸고, 입력은 들어올 때마다 그 범위를 재어 바꿉니다. 임베딩과 정규화 층은 32비트로
    남습니다. CPU에서만 됩니다. https://docs.pytorch.org/docs/stable/quantization.html

    Raises:
        UserError: 모르는 종류이거나, CPU가 아니거나, 이 CPU에서 되지 않을 때.
    """
    if kind == "none":
        return model
    if kind != "int8":
        raise UserError(f"모르는 양자화입니다: {kind!r}. 쓸 수 있는 것: {', '.join(QUANTIZATIONS)}.")
    if model.device.type != "cpu":
        raise UserError("int8은 CPU에서만 됩니다. --device cpu 를 함께 적어 주세요.")
    with quiet_quantization():
        engines = [one for one in torch.backends.quantized.supported_engines if one != "none"]
        if not engines:
            raise UserError("이 기계의 PyTorch는 int8 양자화를 하지 못합니다. --quantize none 으로 실행해 주세요.")
        if torch.backends.quantized.engine not in engines:
            torch.backends.quantized.engine = engines[-1]
        per_row = torch.ao.quantization.qconfig.per_channel_dynamic_qconfig  # 출력 하나마다 눈금을 따로 둡니다.
        return torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {torch.nn.Linear: per_row})


def saved_bytes(model: Any) -> int:
    """가중치를 저장했을 때의 크기(바이트). 하나를 나누어 쓰는 가중치는 한 번만 셉니다."""
    target = io.BytesIO()
    with quiet_quantization():
        torch.save(model.state_dict(), target)
    return target.tell()
