"""요약할 줄 아는 네 가지 구조(architecture)와, 저마다 다른 토크나이저를 같은 모양으로 만드는 일.

| 이름 | 허브의 모델 | 구조 | 토크나이저 |
|---|---|---|---|
| kobart | digit82/kobart-summarization | 인코더-디코더 | BPE, 시작·끝을 스스로 붙이지 않음 |
| t5 | paust/pko-t5-small | 인코더-디코더 | BPE, 끝을 붙임 |
| mt5 | google/mt5-small | 인코더-디코더 | SentencePiece, 끝을 붙임 |
| kogpt2 | skt/kogpt2-base-v2 | 디코더뿐 | BPE, 아무것도 붙이지 않음 |

여기를 지난 토크나이저는 `AutoTokenizer.from_pretrained(저장한 폴더)(글)`만으로 학습할 때와 같은 번호를 냅니다: 시작과
끝은 후처리기(post-processor)가 붙이고, `token_type_ids`는 내지 않습니다(`generate`가 받지 않습니다).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from console_text import did_you_mean
from nlpbook.errors import UserError
from nlpbook.pretrained import resolve_pretrained

SAMPLE = "네, 3시에 뵐게요!"  # 토크나이저가 한국어를 되살리는지 보는 글
OFFLINE = "내장 모델은 --config quick (ko-bart-tiny) 입니다."  # 네트워크 없이도 되는 것
PROMPT_END = "\n요약:"  # 디코더뿐인 모델에게 대화가 끝났음을 알리는 말


@dataclass(frozen=True)
class Architecture:
    """구조 하나.

    Attributes:
        name: 설정의 `model.architecture`에 적는 이름.
        checkpoint: 허브의 이름.
        decoder_only: 디코더뿐인가. 대화와 요약을 한 줄로 이어 읽고, 요약의 자리만 배웁니다.
        plain_fast: `AutoTokenizer`가 다른 종류로 읽을 수 있어, 저장된 tokenizer.json을 그대로 읽어야 하는가.
        adds_bos: 후처리기가 글의 앞에 시작 토큰을 붙여야 하는가.
        unsafe_in_fp16: 16비트(fp16)로 배우면 손실이 NaN이 되기 쉬운가 (transformers#11735).
    """

    name: str
    checkpoint: str
    decoder_only: bool = False
    plain_fast: bool = False
    adds_bos: bool = False
    unsafe_in_fp16: bool = False


ARCHITECTURES = {
    one.name: one
    for one in (
        Architecture("kobart", "digit82/kobart-summarization", plain_fast=True, adds_bos=True),
        Architecture("t5", "paust/pko-t5-small", unsafe_in_fp16=True),
        Architecture("mt5", "google/mt5-small", unsafe_in_fp16=True),
        Architecture("kogpt2", "skt/kogpt2-base-v2", decoder_only=True, plain_fast=True),
    )
}


def architecture(name: str) -> Architecture:
    """이름의 구조.

    Raises:
        UserError: 모르는 이름일 때.
    """
    if name not in ARCHITECTURES:
        hint = did_you_mean(name, ARCHITECTURES)
        raise UserError(f"모르는 구조입니다: {name!r}.{hint} 쓸 수 있는 것: {', '.join(ARCHITECTURES)}.")
    return ARCHITECTURES[name]


def load_tokenizer(name: str, checkpoint: str, max_length: int) -> Any:
    """구조에 맞는 종류로 읽은 토크나이저. 시작과 끝을 스스로 붙입니다.

    Args:
        name: 구조의 이름.
        checkpoint: 내장 모델의 이름, 폴더, 또는 허브의 이름.
        max_length: 저장할 때 함께 적어 둘 글의 최대 길이(토큰).

    Returns:
        transformers의 토크나이저. 채움 토큰이 있고, `input_ids`와 `attention_mask`만 냅니다.

    Raises:
        UserError: 모델을 찾을 수 없거나, 이 종류로는 한국어를 되살리지 못할 때.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    kind = architecture(name)
    place = resolve_pretrained(checkpoint, OFFLINE)
    loader = PreTrainedTokenizerFast if kind.plain_fast else AutoTokenizer
    tokenizer = loader.from_pretrained(place, trust_remote_code=False)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    tokenizer.model_max_length = max_length
    name_special_tokens(tokenizer)
    if kind.adds_bos:
        surround(tokenizer)
    require_round_trip(tokenizer, checkpoint, name)
    return tokenizer


def name_special_tokens(tokenizer: Any) -> None:
    """설정 파일에 이름이 없어도 어휘에 있는 특수 토큰은 제 이름을 갖게 합니다.

    Raises:
        UserError: 채움이나 끝으로 쓸 토큰이 어휘에 없을 때.
    """
    known = tokenizer.get_vocab()
    usual = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    for role, token in usual.items():
        if getattr(tokenizer, role) is None and token in known:
            setattr(tokenizer, role, token)
    if tokenizer.pad_token is None or tokenizer.eos_token is None:
        raise UserError(
            "이 토크나이저에는 채움(<pad>)이나 끝(</s>) 토큰이 없어 요약을 배울 수 없습니다. 다른 모델을 골라 주세요."
        )


def surround(tokenizer: Any) -> None:
    """글마다 `<s> … </s>`가 되도록 후처리기를 답니다. 끝이 없으면 모델은 멈추는 법을 배우지 못합니다(KoBART)."""
    from tokenizers import processors

    bos = tokenizer.bos_token
    eos = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} $B {eos}",
        special_tokens=[(bos, tokenizer.bos_token_id), (eos, tokenizer.eos_token_id)],
    )


def require_round_trip(tokenizer: Any, checkpoint: str, name: str) -> None:
    """한국어를 번호로 바꾸었다가 되돌리면 그대로인지 봅니다. 종류를 잘못 읽은 토크나이저는 여기서 드러납니다.

    Raises:
        UserError: 되돌린 글이 다를 때.
    """
    back = tokenizer.decode(tokenizer(SAMPLE)["input_ids"], skip_special_tokens=True)
    if "".join(back.split()) != "".join(SAMPLE.split()):
        raise UserError(
            f"{checkpoint} 의 토크나이저가 한국어를 되살리지 못합니다({SAMPLE!r} → {back!r}). model.architecture가 "
            f"{name}이 맞는지 확인해 주세요."
        )


def generation_settings(generation: Any, tokenizer: Any, decoder_only: bool = False) -> dict[str, Any]:
    """설정의 `generation`을 `generate`와 `GenerationConfig`가 받는 이름으로. 길이와 빔은 여기에서만 정해집니다.

    Args:
        generation: `num_beams`, `length_penalty`, `no_repeat_ngram_size`, `max_length`, `min_length`가 있는 설정.
        decoder_only: 디코더뿐인 모델은 앞글이 길이에 들어가므로, 새로 쓸 토큰의 수로 적습니다.
    """
    length = "max_new_tokens" if decoder_only else "max_length"
    return {
        "num_beams": generation.num_beams,
        "length_penalty": generation.length_penalty if generation.num_beams > 1 else 1.0,
        "no_repeat_ngram_size": generation.no_repeat_ngram_size,
        "early_stopping": generation.early_stopping and generation.num_beams > 1,
        length: generation.max_length,
        "min_length": 0 if decoder_only else generation.min_length,
        "do_sample": False,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }


def settle_generation(model: Any, tokenizer: Any, generation: Any) -> None:
    """생성 설정을 한곳(`model.generation_config`)에 새로 적습니다. 저장된 모델의 설정이 운에 따라 남지 않도록.

    허브의 요약 모델에는 디코더의 시작이 `<usr>`로 적힌 것이 있습니다. 시작은 모델의 설정을 따르되, 그것이 없거나
    어휘에서 `<usr>`이면 끝 토큰(BART의 관습)으로 바꿉니다.
    """
    from transformers import GenerationConfig

    settings = generation_settings(generation, tokenizer, decoder_only=not model.config.is_encoder_decoder)
    if model.config.is_encoder_decoder:
        start = model.config.decoder_start_token_id
        stray = tokenizer.get_vocab().get("<usr>")
        if start is None or start == stray:
            start = tokenizer.eos_token_id
        model.config.decoder_start_token_id = start
        settings["decoder_start_token_id"] = start
    model.config.pad_token_id = tokenizer.pad_token_id
    model.config.eos_token_id = tokenizer.eos_token_id
    model.config.bos_token_id = tokenizer.bos_token_id
    model.config.forced_eos_token_id = None
    model.config.forced_bos_token_id = None
    model.generation_config = GenerationConfig(**settings)


def resize_embedding_rows(model: Any, size: int) -> None:
    """임베딩의 행을 `size`개로. 출력층이 따로인 모델(mT5, T5 1.1)은 따로인 채로 남습니다.

    transformers는 크기를 바꾼 뒤 입력과 출력의 가중치를 하나로 묶는데(tie), 따로 배운 출력층은 그때 사라집니다.
    줄이지는 않습니다: 허브의 모델에는 어휘보다 행이 많은 것이 있습니다.
    """
    import torch

    before = model.get_input_embeddings().weight.shape[0]
    if size <= before:
        return
    head = model.get_output_embeddings()
    apart = head.weight is not model.get_input_embeddings().weight
    learned = head.weight.detach().clone()
    model.resize_token_embeddings(size, mean_resizing=False)
    if apart:
        wider = torch.nn.Linear(head.in_features, size, bias=False, device=learned.device, dtype=learned.dtype)
        with torch.no_grad():
            wider.weight[:before] = learned
            wider.weight[before:] = learned.mean(dim=0)
        model.set_output_embeddings(wider)
