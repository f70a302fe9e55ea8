"""task3-lm의 검사가 함께 쓰는 것: 작은 글, 토크나이저, 설정.

글은 이 검사를 위해 지은 것이고, 토크나이저는 학생의 코드를 거치지 않고 여기서 만듭니다. 설정의 값은 흔한 실수가
드러나도록 서로 다르게 골랐습니다(배치 3, 헤드 2, 길이 8, …).
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # 검사 프로세스는 갈라집니다.

import torch

from course.checks.workspace import workspace

SENTENCES = [
    "작은 여우가 등불을 들고 언덕을 올랐습니다.",
    "곰은 꿀떡을 세 개나 먹고 낮잠을 잤습니다.",
    "까치가 날아와 큰 소리로 소식을 전했습니다.",
    "할머니는 방앗간에서 하얀 떡을 나누어 주었습니다.",
    "비가 그치자 돌다리 위로 무지개가 떴습니다.",
    "개구리는 우물가에서 밤새 노래를 불렀습니다.",
    "다람쥐는 도토리를 어디에 두었는지 잊었습니다.",
    "등대의 불빛이 바다 위에서 오래오래 반짝였습니다.",
]


def normal(*shape: int, seed: int) -> torch.Tensor:
    """어느 장치에서나 같은 정규분포의 값."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@cache
def tiny_text() -> Path:
    """줄마다 서로 다른 60줄짜리 글."""
    path = workspace() / "tiny.txt"
    lines = [f"{index}번째 이야기. {SENTENCES[index * 5 % 8]} {SENTENCES[index * 3 % 8]}" for index in range(60)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return path


@cache
def tokenizer() -> Any:
    """바이트 256개에 흔한 이웃 몇십 개를 더한 작은 토크나이저. 학생의 1단계를 거치지 않습니다."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from nlpbook.language.tokens import END_OF_TEXT, TextTokenizer

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(SENTENCES, trainer)
    return TextTokenizer(made, END_OF_TEXT)


def tiny_config(**changes: Any) -> Any:
    """작은 모델과 글을 가리키는 `LMConfig`. 드롭아웃이 없고 32비트로 계산합니다."""
    from nlpbook.language.config import LMConfig

    values = {
        "d_embed": 12,
        "num_heads": 2,
        "num_layers": 2,
        "max_seq_len": 8,
        "dropout": 0.0,
        "batch_size": 3,
        "num_epochs": 2,
        "learning_rate": 4e-3,
        "min_lr": 1e-3,
        "weight_decay": 0.2,
        "vocab_size": 300,
        "val_ratio": 0.25,
        "data": str(tiny_text()),
        "output": str(workspace() / "output"),
        "job_name": "check",
        "job_version": "1",
        "accelerator": "cpu",
        "precision": "32-true",
        "sample_tokens": 0,
    }
    return LMConfig(**{**values, **changes})


def warm() -> None:
    """검사 프로세스가 갈라지기 전에 한 번: 작은 모델을 한 번 움직여 봅니다."""
    import onnx  # noqa: F401
    import onnxruntime.quantization  # noqa: F401
    from lightning.fabric import Fabric
    from transformers import GPT2Config, GPT2LMHeadModel

    from nlpbook.pretrained import quiet_transformers

    torch.set_num_threads(1)
    quiet_transformers()
    tiny_text()
    tokenizer()
    fabric = Fabric(accelerator="cpu", devices=1)
    small = GPT2Config(vocab_size=300, n_positions=16, n_embd=12, n_layer=1, n_head=2)
    model = GPT2LMHeadModel(small)
    wrapped, optimizer = fabric.setup(model, torch.optim.AdamW(model.parameters(), fused=True))
    ids = torch.arange(16).reshape(2, 8)
    fabric.backward(wrapped(input_ids=ids, labels=ids).loss)
    optimizer.step()
    fabric.save(workspace() / "warm.pt", {"model": wrapped})
