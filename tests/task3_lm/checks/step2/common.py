"""2단계의 검사들이 함께 쓰는 것.

견줄 값은 학생의 코드를 거치지 않고 구합니다. 블록과 모델을 볼 때는 그 안의 부품을 손으로 만든 것으로 바꾸어, 앞 TODO의
실수가 뒤 TODO의 탓이 되지 않게 합니다.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from course.checks.recognising import when
from tests.task3_lm.checks import support

BATCH, HEADS, LENGTH, WIDTH = 2, 3, 5, 4  # 축을 헷갈리면 모양부터 달라지도록 모두 다릅니다. WIDTH는 차원/헤드입니다.
EMBED, MAX_LENGTH, LAYERS, VOCAB = HEADS * WIDTH, 8, 3, 40
ATOL = 2e-2  # 값은 1쯤입니다. fp32의 차이는 1e-6, bf16 행렬곱의 차이는 1e-2를 넘지 않고, 실수는 0.1 넘게 다릅니다.


def config(**changes: Any) -> Any:
    sizes = {"d_embed": EMBED, "num_heads": HEADS, "num_layers": LAYERS, "max_seq_len": MAX_LENGTH}
    return support.tiny_config(**{**sizes, **changes})


def normal(*shape: int, seed: int = 3) -> torch.Tensor:
    """어느 장치에서나 같은 정규분포의 값."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def scatter(module: nn.Module, scale: float = 0.6, seed: int = 5) -> None:
    """모든 파라미터를 제각각으로 채웁니다. 1이나 0으로 남은 것이 있으면 빠뜨려도 티가 나지 않습니다."""
    for index, parameter in enumerate(module.parameters()):
        around = 1.0 if parameter.dim() == 1 else 0.0
        parameter.data = around + scale * normal(*parameter.shape, seed=seed + index)


# nanoGPT, minGPT, Hugging Face가 같은 것을 부르는 이름들. 옮겨 적은 코드가 여기에서 멈춥니다.
FOREIGN = (
    "_init_weights|_tie_weights|act|attn|attn_dropout|bias|block_size|c_attn|c_fc|c_proj|config|drop|embed_dim|"
    "embed_tokens|fc1|fc2|flash|gelu|get_input_embeddings|get_output_embeddings|h|head|head_dim|k_proj|key|layers|"
    "ln_1|ln_2|ln_f|mask|mlpf|n_embd|n_head|n_layer|pos_emb|q_proj|query|resid_dropout|residual_dropout|split_size|"
    "tie_weights|tok_emb|transformer|tril|v_proj|value|wpe|wte"
)
OURS = "'(?:CausalSelfAttention|Block|ModuleDict|GPT)'"


FOREIGN_NAME = when(
    rf"{OURS} object has no attribute '(?P<got>{FOREIGN})'$",
    "foreign-name",
    idea="부품의 이름",
    expected="__init__에 있는 이름",
)


# ── 2-2 앞의 자리들의 값을 섞기

DROPPED = 0.5


# ── 2-3 블록


class Part(nn.Module):
    """부품을 대신하는 손으로 만든 것. 자리를 섞고, 곧지 않습니다."""

    def __init__(self, how: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.how, self.gain = how, nn.Parameter(torch.tensor(1.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gain * self.how(x)


# ── 모델: 2-4와 2-5를 거치지 않고 만들기


def nothing(_: Any) -> None:
    """init_weights 대신."""


def gpt(module: Any, device: str, vocab: int = VOCAB, **changes: Any) -> Any:
    """학생의 2-4와 2-5를 거치지 않은 GPT. 가중치는 여기서 묶어 두었습니다."""
    settings, made = config(**changes), module.GPT.__new__(module.GPT)
    with patch.object(module.GPT, "init_weights", nothing):
        with suppress(Exception):  # 2-4가 비었거나 멈춰도 그 앞의 부품은 모두 있습니다.
            made.__init__(settings, vocab)
        if not hasattr(made, "lm_head"):
            made.__init__(settings, vocab)  # 다른 데에서 멈췄습니다. 그대로 보입니다.
    made.token_embedding = nn.Embedding(vocab, settings.d_embed)
    made.lm_head = nn.Linear(settings.d_embed, vocab, bias=False)
    made.lm_head.weight = made.token_embedding.weight
    return made.to(device)
