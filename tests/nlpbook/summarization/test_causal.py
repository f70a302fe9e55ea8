"""디코더뿐인 모델: 앞글의 자리는 배우지 않고, 이어 쓸 때는 왼쪽을 채우며, 요약에 앞글이 섞이지 않습니다."""

from types import SimpleNamespace

import pytest
import torch
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM

from nlpbook.summarization import architectures
from nlpbook.summarization.causal import (
    IGNORED,
    CausalCollator,
    CausalSummarizationDataset,
    prompt_ids,
    summarize_by_continuing,
)
from tests.nlpbook.summarization import tiny_models

DIALOGUES = [
    "#Person1#: 안녕하세요, 오늘 점심은 무엇을 먹을까요?\n#Person2#: 네, 3시에 뵐게요!",
    "#Person1#: 네.",
    "#Person2#: 비가 와서 등산을 미루기로 했습니다.",
]
SUMMARIES = ["두 사람이 약속을 정합니다.", "네", "비가 와서 미루기로 했습니다." * 9]
GENERATION = SimpleNamespace(
    num_beams=2, length_penalty=1.0, no_repeat_ngram_size=0, max_length=7, min_length=0, early_stopping=True
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_models.make("kogpt2", tmp_path_factory.mktemp("kogpt2") / "model")


@pytest.fixture(scope="module")
def tokenizer(folder):
    made = architectures.load_tokenizer("kogpt2", str(folder), 48)
    made.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in ("#Person1#", "#Person2#")])
    return made


@pytest.fixture(scope="module")
def model(folder, tokenizer):
    made = AutoModelForCausalLM.from_pretrained(folder).eval()
    architectures.resize_embedding_rows(made, len(tokenizer))
    architectures.settle_generation(made, tokenizer, GENERATION)
    return made


def test_only_the_summary_is_learned_and_it_ends(tokenizer):
    dataset = CausalSummarizationDataset(DIALOGUES, SUMMARIES, tokenizer, encoder_max_len=29, decoder_max_len=11)
    for item, dialogue in zip(dataset, DIALOGUES, strict=True):
        prompt = prompt_ids(tokenizer, dialogue, 29)
        assert item["input_ids"][: len(prompt)] == prompt
        assert item["labels"][: len(prompt)] == [IGNORED] * len(prompt)
        assert item["labels"][len(prompt) :] == item["input_ids"][len(prompt) :]
        assert item["labels"][-1] == tokenizer.eos_token_id
        assert len(prompt) <= 29
        assert len(item["labels"]) - len(prompt) <= 11


def test_a_cut_prompt_still_asks_for_the_summary(tokenizer):
    asked = tokenizer(architectures.PROMPT_END, add_special_tokens=False)["input_ids"]
    assert prompt_ids(tokenizer, DIALOGUES[0], 13)[-len(asked) :] == asked


def test_padding_is_on_the_left_only_when_writing(tokenizer):
    collate = CausalCollator(tokenizer.pad_token_id)
    writing = collate([*CausalSummarizationDataset(DIALOGUES, None, tokenizer)])
    assert writing["attention_mask"][:, -1].tolist() == [1, 1, 1]
    learning = collate([*CausalSummarizationDataset(DIALOGUES, SUMMARIES, tokenizer)])
    assert learning["attention_mask"][:, 0].tolist() == [1, 1, 1]
    assert torch.equal(learning["labels"] == IGNORED, learning["labels"] < 0)


def test_summaries_together_equal_summaries_alone_and_hold_no_prompt(model, tokenizer):
    together = summarize_by_continuing(model, tokenizer, DIALOGUES, max_len=40, batch_size=2)
    alone = [summarize_by_continuing(model, tokenizer, [one], max_len=40)[0] for one in DIALOGUES]
    assert together == alone
    assert not any("요약:" in text for text in together)
