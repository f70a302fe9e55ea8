"""6단계의 검사들이 함께 쓰는 것."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel

from course.checks.words import known_as, matches
from nlpbook.language.config import LMConfig

WIDTH, HEADS, LAYERS, LENGTH, VOCAB = (
    4,
    2,
    2,
    6,
    11,
)  # 어느 두 축의 길이도 우연히 같지 않습니다. 어텐션의 정사각형만 빼고요.
BLOCK = {
    "norm1": "ln_1",
    "attention.qkv": "attn.c_attn",
    "attention.projection": "attn.c_proj",
    "norm2": "ln_2",
    "mlp.expand": "mlp.c_fc",
    "mlp.projection": "mlp.c_proj",
}
LAID = ("attention.qkv", "attention.projection", "mlp.expand", "mlp.projection")  # GPT-2가 눕혀 두는 층
ATOL = 2e-3  # fp32의 차이는 1e-6쯤이고, 가중치를 16비트로 줄이기만 해도 로짓이 5e-3 넘게 다릅니다.


def names() -> dict[str, tuple[str, bool]]:
    """우리의 이름 → (GPT-2의 이름, 눕혀 두는가). 단계 파일의 표와는 따로 적은 것입니다."""
    made = {
        "token_embedding.weight": ("transformer.wte.weight", False),
        "position_embedding.weight": ("transformer.wpe.weight", False),
        "norm.weight": ("transformer.ln_f.weight", False),
        "norm.bias": ("transformer.ln_f.bias", False),
    }
    for layer in range(LAYERS):
        for ours, theirs in BLOCK.items():
            for kind in ("weight", "bias"):
                laid = ours in LAID and kind == "weight"
                made[f"blocks.{layer}.{ours}.{kind}"] = (f"transformer.h.{layer}.{theirs}.{kind}", laid)
    return made


class OurBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention, self.mlp = nn.Module(), nn.Module()
        self.attention.qkv, self.attention.projection = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp.expand, self.mlp.projection = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = (len(x), x.size(1), HEADS, WIDTH // HEADS)
        query, key, value = (one.view(shape).transpose(1, 2) for one in self.attention.qkv(self.norm1(x)).chunk(3, -1))
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attention.projection(mixed.transpose(1, 2).flatten(2))
        wide = functional.gelu(self.mlp.expand(self.norm2(x)), approximate="tanh")
        return x + self.mlp.projection(wide)


class OurModel(nn.Module):
    """2단계의 GPT와 이름도 계산도 같은 모델. 학생의 2단계를 거치지 않습니다."""

    def __init__(self, config: Any = None, vocab_size: int = VOCAB, tokenizer: Any = None) -> None:
        super().__init__()
        self.config, self.vocab_size, self.tokenizer = config, vocab_size, tokenizer
        self.token_embedding, self.position_embedding = nn.Embedding(VOCAB, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(OurBlock() for _ in range(LAYERS))
        self.norm, self.lm_head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCAB, bias=False)
        self.lm_head.weight = self.token_embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.token_embedding(ids) + self.position_embedding.weight[: ids.size(1)]
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.norm(x))


def scattered(model: nn.Module, seed: int) -> nn.Module:
    """모든 가중치를, 편향과 정규화의 것까지, 서로 다른 큰 값으로."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in model.parameters():
            one.copy_(torch.randn(one.shape, generator=generator))
    return model.eval()


def their_model() -> GPT2LMHeadModel:
    shape = GPT2Config(
        vocab_size=VOCAB, n_positions=LENGTH, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, bos_token_id=0, eos_token_id=0
    )
    return GPT2LMHeadModel(shape).eval()


def some_ids(device: str = "cpu") -> torch.Tensor:
    return torch.tensor([[1, 7, 3, 10, 2], [4, 4, 0, 9, 8]], device=device)


def is_reshaped(got: torch.Tensor, source: torch.Tensor) -> bool:
    """눕히는 대신 모양만 고쳐, 값의 차례가 그대로인가."""
    return got.shape == source.t().shape and matches(got.reshape(-1), source.reshape(-1), 0)


# ── 6-3 ONNX로 내보내기


@known_as("GPT")
class Positions(nn.Module):
    """GPT처럼 길이만큼의 자리를 잘라 쓰는 아주 작은 모델. 부품의 이름도 GPT의 것이지만, 블록은 하는 일이 없습니다."""

    def __init__(self) -> None:
        super().__init__()
        self.config = LMConfig(d_embed=3, num_heads=1, num_layers=1, max_seq_len=16, dropout=0.0)
        self.token_embedding = nn.Embedding(20, 3)
        self.blocks = nn.ModuleList([nn.Identity()])
        self.norm = nn.Identity()
        self.lm_head = nn.Linear(3, 20, bias=False)
        self.register_buffer("positions", torch.arange(48.0).view(16, 3))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.token_embedding(ids) + self.positions[: ids.size(1)]  # (배치, 길이, 차원)
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.norm(x))
