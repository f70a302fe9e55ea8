"""검사가 함께 쓰는 아주 작은 모델 둘: 인코더-디코더(BART)와 디코더뿐인 것(GPT-2).

가중치는 시드를 정한 난수이고, 크게 흩어져 있어 다른 글에는 다른 요약을 냅니다. 저장할 때는 16비트입니다: 허브에도
그렇게 저장된 모델이 있습니다.
"""

from __future__ import annotations

import atexit
import copy
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from tests.task2_summarization.checks import support

SAVED_DTYPES = {"kobart": torch.bfloat16, "kogpt2": torch.float16}  # 저장된 대로 읽은 것과, 하나로 적은 것이 다릅니다.
SPREAD = 0.4  # 가중치의 표준 편차. 기본값(0.02)으로는 어느 글에나 같은 요약을 냅니다.


def seq2seq(rows: int) -> Any:
    """임베딩이 `rows`행인 BART. 출력층은 입력 임베딩과 같은 것입니다."""
    from transformers import BartConfig, BartForConditionalGeneration

    config = BartConfig(
        vocab_size=rows,
        d_model=24,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=3,
        decoder_attention_heads=3,
        encoder_ffn_dim=40,
        decoder_ffn_dim=40,
        max_position_embeddings=520,
        init_std=SPREAD,
        dropout=0.3,
        pad_token_id=support.PAD,
        decoder_start_token_id=support.START,
        bos_token_id=support.tokenizer().bos_token_id,
        eos_token_id=support.tokenizer().eos_token_id,
        forced_eos_token_id=None,
    )
    return _drawn(BartForConditionalGeneration, config)


def decoder_only(rows: int) -> Any:
    """임베딩이 `rows`행인 GPT-2."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=rows,
        n_positions=72,
        n_embd=32,
        n_layer=1,
        n_head=4,
        initializer_range=SPREAD,
        pad_token_id=support.PAD,
        bos_token_id=support.tokenizer().bos_token_id,
        eos_token_id=support.tokenizer().eos_token_id,
    )
    return _drawn(GPT2LMHeadModel, config)


def _drawn(kind: Callable[[Any], Any], config: Any) -> Any:
    """시드를 정해 만든 모델, 평가 모드. 전역 난수는 건드리지 않습니다."""
    with torch.random.fork_rng():
        torch.manual_seed(83)
        return kind(config).eval()


MAKERS: dict[str, Callable[[int], Any]] = {"kobart": seq2seq, "kogpt2": decoder_only}  # 설정에 적는 구조의 이름


@cache
def _made(name: str, rows: int) -> Any:
    return MAKERS[name](rows)


def model(name: str, rows: int | None = None) -> Any:
    """그 구조의 새 모델, 32비트.

    Args:
        rows: 임베딩의 행 수. None이면 `support.tokenizer()`의 어휘만큼입니다.
    """
    return copy.deepcopy(_made(name, len(support.tokenizer()) if rows is None else rows))


@cache
def folder(name: str) -> Path:
    """그 구조의 모델과 토크나이저를 16비트로 저장한 폴더. 프로세스가 끝날 때 지워집니다."""
    place = _workspace() / name
    model(name).to(SAVED_DTYPES[name]).save_pretrained(place)
    support.tokenizer().save_pretrained(place)
    return place


@cache
def _workspace() -> Path:
    place = Path(tempfile.mkdtemp(prefix="course-checks-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


@cache
def saved_weights(name: str) -> dict[str, torch.Tensor]:
    """폴더에 저장된 가중치. 읽은 모델과 이름으로 견줍니다."""
    from safetensors.torch import load_file

    return load_file(folder(name) / "model.safetensors")


# ── 요약을 쓰는 모델

# 길이가 저마다 다르고, 길이순으로 늘어놓여 있지 않습니다. 하나에는 채움과 똑같은 글이 있습니다.
TALKS = [
    support.TURNS[1],
    "#Person1#: 네.",
    support.TURNS[4],
    "#Person3#: 빈칸은 <pad> <pad> <pad>로 채우나요?",
    "\n".join([support.TURNS[0], support.TURNS[3]]),
]
GENERATION = {"num_beams": 2, "max_length": 9, "no_repeat_ngram_size": 3}  # 어느 것도 기본값이 아닙니다.


def summarizer() -> Any:
    """요약을 쓰는 새 BART. 생성 설정은 `GENERATION`입니다."""
    from transformers import GenerationConfig

    made = model("kobart")
    tokens = {"pad_token_id": support.PAD, "decoder_start_token_id": support.START}
    eos = support.tokenizer().eos_token_id
    made.generation_config = GenerationConfig(**GENERATION, **tokens, eos_token_id=eos, do_sample=False)
    return made


@cache
@torch.no_grad()
def summary_ids() -> list[list[int]]:
    """`TALKS`마다, 채울 것이 없도록 혼자 쓰게 한 요약의 번호들."""
    writer = summarizer()
    rows = [torch.tensor([support.encoded(talk)]) for talk in TALKS]
    return [writer.generate(input_ids=row, attention_mask=torch.ones_like(row))[0].tolist() for row in rows]


def warm() -> None:
    """두 모델을 만들고, 폴더에 저장하고, 저장한 것을 한 번씩 읽고, 요약을 써 둡니다."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    for name, auto_class in (("kobart", AutoModelForSeq2SeqLM), ("kogpt2", AutoModelForCausalLM)):
        auto_class.from_pretrained(folder(name))
        saved_weights(name)
    summary_ids()
