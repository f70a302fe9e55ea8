"""다 채운 2단계의 모델은 Hugging Face의 GPT-2와 같은 모델입니다: 가중치를 옮겨 담으면 로짓도 기울기도 같습니다."""

from __future__ import annotations

import pytest
import torch

from course.checks.words import assert_close
from tests.task3_lm.checks import support

VOCAB, BATCH, LENGTH = 50, 3, 7


@pytest.fixture
def pair(load, device):
    """가중치가 같은 두 모델: 이 과제의 GPT와 Hugging Face의 GPT-2."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = support.tiny_config(num_heads=3, num_layers=3, activation="gelu_new")
    torch.manual_seed(1)
    sizes = {"n_positions": config.max_seq_len, "n_embd": config.d_embed, "n_layer": 3, "n_head": 3}
    theirs = GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, initializer_range=0.3, **sizes)).to(device).eval()
    ours = load(2).GPT(config, VOCAB).to(device).eval()
    copy_weights(theirs.transformer, ours)
    return ours, theirs


@torch.no_grad()
def copy_weights(theirs, ours) -> None:
    """GPT-2의 Conv1D는 nn.Linear와 축이 반대입니다."""
    ours.token_embedding.weight.copy_(theirs.wte.weight)
    ours.position_embedding.weight.copy_(theirs.wpe.weight)
    pairs = [(ours.norm, theirs.ln_f)]
    for mine, block in zip(ours.blocks, theirs.h, strict=True):
        pairs += [(mine.norm1, block.ln_1), (mine.norm2, block.ln_2)]
        pairs += [(mine.attention.qkv, block.attn.c_attn), (mine.attention.projection, block.attn.c_proj)]
        pairs += [(mine.mlp.expand, block.mlp.c_fc), (mine.mlp.projection, block.mlp.c_proj)]
    for mine, other in pairs:
        other.bias.normal_(0, 0.3)
        mine.weight.copy_(other.weight.t())
        mine.bias.copy_(other.bias)


@pytest.fixture
def ids(device):
    return (torch.arange(BATCH * LENGTH, device=device) * 13 % VOCAB).view(BATCH, LENGTH)


def test_logits_equal_gpt2(pair, ids):
    ours, theirs = pair
    message = "로짓이 GPT-2와 다릅니다."
    assert_close(ours(ids), theirs(input_ids=ids).logits, atol=1e-4, idea="GPT-2", message=message)


def test_gradients_equal_gpt2(pair, ids):
    ours, theirs = pair
    for logits in (ours(ids), theirs(input_ids=ids).logits):
        logits.log_softmax(-1)[..., 3].mean().backward()
    embedding = ours.token_embedding.weight.grad, theirs.transformer.wte.weight.grad
    qkv = ours.blocks[0].attention.qkv.weight.grad, theirs.transformer.h[0].attn.c_attn.weight.grad.T
    for got, want in (embedding, qkv):
        assert_close(got, want, atol=1e-4, idea="GPT-2", message="기울기가 GPT-2와 다릅니다.")
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in ours.parameters())


def test_parameters_are_as_many_as_gpt2(pair):
    ours, theirs = pair
    assert ours.num_parameters() == theirs.num_parameters()


def test_no_position_sees_the_future(pair, ids):
    ours, _ = pair
    before = ours(ids)
    for place in range(1, LENGTH):
        changed = ids.clone()
        changed[:, place:] = (changed[:, place:] + 5) % VOCAB
        assert torch.allclose(ours(changed)[:, :place], before[:, :place], atol=1e-5)
        assert not torch.allclose(ours(changed)[:, place:], before[:, place:])
