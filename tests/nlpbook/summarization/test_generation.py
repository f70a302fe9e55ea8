"""요약을 쓸 때의 것들: 토큰이 어느 말의 것인지, 교차 어텐션, 8비트."""

from __future__ import annotations

import pytest
import torch

from nlpbook.errors import UserError
from nlpbook.paths import MODELS
from nlpbook.summarization.generation import NO_TURN, cross_attentions, quantized, saved_bytes, turn_numbers
from tests.nlpbook.summarization import tiny_models

DIALOGUE = "#Person1#: 오늘 3시에  볼까? 😊\n#Person2#: 네, 좋아요!\n#Person1#: 그럼 도서관에서 뵐게요."


@pytest.fixture(scope="module")
def embedded():
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    place = MODELS / "ko-bart-tiny"
    model = AutoModelForSeq2SeqLM.from_pretrained(place, attn_implementation="eager")
    return model.eval(), AutoTokenizer.from_pretrained(place)


def pieces_of(tokenizer, dialogue, numbers, number):
    ids = tokenizer(dialogue)["input_ids"][: len(numbers)]
    chosen = [one for one, turn in zip(ids, numbers, strict=True) if turn == number]
    return tokenizer.decode(chosen).split()


def test_every_token_knows_its_turn(embedded):
    _, tokenizer = embedded
    numbers = turn_numbers(tokenizer, DIALOGUE, 512)
    assert (numbers[0], numbers[-1]) == (NO_TURN, NO_TURN)
    assert numbers[1:-1] == sorted(numbers[1:-1])
    for number, turn in enumerate(DIALOGUE.split("\n")):
        assert pieces_of(tokenizer, DIALOGUE, numbers, number) == turn.split()


def test_a_turn_cut_off_has_no_token(embedded):
    _, tokenizer = embedded
    numbers = turn_numbers(tokenizer, DIALOGUE, 30)
    assert len(numbers) == 30
    assert set(numbers) == {NO_TURN, 0, 1}


@pytest.mark.parametrize("name", ["kobart", "t5", "mt5"])
def test_every_architecture_tells_where_it_looked(tmp_path, name):
    from transformers import AutoModelForSeq2SeqLM

    from nlpbook.summarization.architectures import load_tokenizer

    folder = tiny_models.make(name, tmp_path / name)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = load_tokenizer(name, str(folder), 60)
    ids = torch.tensor([tokenizer("비가 와서\n네, 3시에", truncation=True, max_length=60)["input_ids"]])
    weights = cross_attentions(model, ids, torch.ones_like(ids), torch.tensor([2, 9, 8, 7, 1]))
    assert weights is not None
    assert weights.shape == (1, 2, 4, ids.shape[1])
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(1, 2, 4))
    numbers = turn_numbers(tokenizer, "비가 와서\n네, 3시에", 60)
    assert len(numbers) == ids.shape[1]
    assert {0, 1} <= set(numbers)


def test_a_decoder_only_model_has_no_cross_attention(tmp_path):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_models.make("kogpt2", tmp_path / "gpt"))
    ids = torch.tensor([[5, 6]])
    assert cross_attentions(model, ids, torch.ones_like(ids), ids[0]) is None


def test_an_attention_that_does_not_tell_is_named(tmp_path):
    from transformers import AutoModelForSeq2SeqLM

    model = AutoModelForSeq2SeqLM.from_pretrained(
        tiny_models.make("kobart", tmp_path / "b"), attn_implementation="sdpa"
    )
    ids = torch.tensor([[5, 6]])
    with pytest.raises(UserError, match="eager"):
        cross_attentions(model, ids, torch.ones_like(ids), torch.tensor([2, 5, 1]))


def test_eight_bits_are_smaller_and_nearly_the_same(embedded):
    model, tokenizer = embedded
    small = quantized(model, "int8")
    assert saved_bytes(small) < 0.6 * saved_bytes(model)
    ids = torch.tensor([tokenizer(DIALOGUE)["input_ids"]])
    start = torch.tensor([[1, 0, 9]])
    with torch.no_grad():
        want, got = (one(input_ids=ids, decoder_input_ids=start).logits for one in (model, small))
    assert not torch.equal(got, want)
    assert torch.nn.functional.cosine_similarity(got.flatten(), want.flatten(), dim=0) > 0.99
    assert type(model.lm_head) is torch.nn.Linear  # 건네받은 모델은 그대로입니다.
    assert quantized(model, "none") is model


def test_a_kind_of_quantization_nobody_knows_is_refused(embedded):
    with pytest.raises(UserError, match="none, int8"):
        quantized(embedded[0], "int4")


def test_eight_bits_are_for_the_cpu(embedded):
    with pytest.raises(UserError, match="--device cpu"):
        quantized(OnMeta(), "int8")


class OnMeta:
    device = torch.device("meta")
