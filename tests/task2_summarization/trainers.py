"""시험들이 함께 쓰는 아주 작은 학습: 네 구조의 작은 모델, 짧은 대화 몇 개, 그것을 배우는 설정.

토크나이저는 내장 모델의 것이고 가중치는 시드를 정한 난수입니다. 한 스텝이 몇 밀리초라, 여러 번 죽이고 이어 할
수 있습니다.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch

from course.checks.loading import load_step
from course.home import ROOT
from nlpbook.summarization.architectures import load_tokenizer
from nlpbook.summarization.causal import CausalSummarizationDataset

FOLDER = ROOT / "solutions" / "task2-summarization"
PLACES = ["역", "공원", "도서관", "병원", "학교", "시장", "카페"]
DIALOGUES = [
    f"#Person1#: {3 + number % 8}시에 {PLACES[number % 7]}에서 볼까요?\n"
    f"#Person2#: 네, {'늦지 않을게요 ' * (number % 4)}좋아요."
    for number in range(23)
]
SUMMARIES = [f"#Person1#과 #Person2#는 {3 + number % 8}시에 {PLACES[number % 7]}에서 만납니다." for number in range(23)]


@cache
def lesson(name: str = "step4_model_trainer") -> Any:
    """해답의 단계."""
    return load_step(FOLDER, name)


def tiny_model(name: str = "kobart", dropout: float = 0.1) -> Any:
    """구조 `name`의 작은 모델."""
    import transformers

    ids = {"pad_token_id": 3, "bos_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 1}
    rows = 4007
    with torch.random.fork_rng():
        torch.manual_seed(11)
        if name == "kobart":
            config = transformers.BartConfig(
                vocab_size=rows,
                d_model=16,
                encoder_layers=1,
                decoder_layers=1,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                encoder_ffn_dim=32,
                decoder_ffn_dim=32,
                max_position_embeddings=200,
                dropout=dropout,
                forced_eos_token_id=None,
                **ids,
            )
            return transformers.BartForConditionalGeneration(config)
        if name in ("t5", "mt5"):
            kind = transformers.MT5Config if name == "mt5" else transformers.T5Config
            config = kind(
                vocab_size=rows,
                d_model=16,
                d_kv=8,
                d_ff=32,
                num_layers=1,
                num_heads=2,
                dropout_rate=dropout,
                tie_word_embeddings=name == "t5",
                **ids,
            )
            model = (
                transformers.MT5ForConditionalGeneration if name == "mt5" else transformers.T5ForConditionalGeneration
            )
            return model(config)
        ids.pop("decoder_start_token_id")
        config = transformers.GPT2Config(
            vocab_size=rows,
            n_positions=200,
            n_embd=16,
            n_layer=1,
            n_head=2,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
            **ids,
        )
        return transformers.GPT2LMHeadModel(config)


def tokenizer() -> Any:
    """화자 태그를 아는 내장 모델의 토크나이저."""
    made = load_tokenizer("kobart", "ko-bart-tiny", 200)
    lesson("step1_config_and_model").register_speakers(made, [f"#Person{number}#" for number in range(1, 8)])
    return made


def config(folder: Path | str, *overrides: str) -> Any:
    """`folder`에 결과를 두는, 세 에포크의 작은 설정."""
    made = lesson("step1_config_and_model").load_config(
        "quick",
        [
            "training.num_train_epochs=3",
            "training.per_device_train_batch_size=4",
            "training.logging_steps=1",
            "training.learning_rate=0.01",
            "training.precision=32-true",
            "generation.max_length=12",
            "generation.num_beams=2",
            "tokenizer.encoder_max_len=64",
            "tokenizer.decoder_max_len=32",
            "general.device=cpu",
            f"general.output_dir={folder}",
            *overrides,
        ],
        environment={},
    )
    return made


def datasets(words: Any, made: Any, train: int = 19, dev: int = 5) -> tuple[Any, Any]:
    """학습과 검증 데이터셋. 구조에 맞는 종류입니다."""
    kind = lesson("step2_dialogue_dataset").DialogueSummarizationDataset
    if made.model.architecture == "kogpt2":
        kind = CausalSummarizationDataset
    lengths = made.tokenizer.encoder_max_len, made.tokenizer.decoder_max_len
    return (
        kind(DIALOGUES[:train], SUMMARIES[:train], words, *lengths),
        kind(DIALOGUES[-dev:], SUMMARIES[-dev:], words, *lengths) if dev else None,
    )


def trainer(
    folder: Path | str, *overrides: str, name: str = "kobart", train: int = 19, dev: int = 5, **more: Any
) -> Any:
    """작은 모델의 `ModelTrainer`."""
    made = config(folder, f"model.architecture={name}", *overrides)
    words = tokenizer()
    train_dataset, eval_dataset = datasets(words, made, train, dev)
    more.setdefault("use_wandb", False)
    dropout = more.pop("dropout", 0.1)
    return lesson().create_trainer(made, tiny_model(name, dropout), words, train_dataset, eval_dataset, **more)


def weights(folder: Path | str) -> dict[str, torch.Tensor]:
    """저장한 모델의 가중치."""
    from safetensors.torch import load_file

    return load_file(Path(folder) / "model.safetensors")


def same_weights(one: Path | str, other: Path | str) -> bool:
    """두 폴더의 모델이 한 비트까지 같은가."""
    here, there = weights(one), weights(other)
    return here.keys() == there.keys() and all(torch.equal(here[name], there[name]) for name in here)


def state_of(checkpoint: Path | str) -> dict[str, Any]:
    """체크포인트의 상태."""
    return json.loads((Path(checkpoint) / "trainer_state.json").read_text(encoding="utf-8"))
