"""저장소에 든 말뭉치와 모델이 약속을 지키는지."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations

import pytest
import torch

from nlpbook.classification.nsmc import NsmcCorpus
from nlpbook.paths import MODELS

SPLITS = {"train": 1200, "valid": 200, "test": 400}
MODEL = MODELS / "ko-bert-tiny"


@pytest.fixture(scope="module")
def examples():
    return {mode: NsmcCorpus().get_examples(mode) for mode in SPLITS}


@pytest.mark.parametrize(("mode", "least"), SPLITS.items())
def test_there_are_enough_balanced_reviews_of_fair_length(examples, mode, least):
    reviews = examples[mode]
    assert len(reviews) >= least
    assert 0.45 <= Counter(one.label for one in reviews)["1"] / len(reviews) <= 0.55
    assert all(2 <= len(one.text) <= 140 for one in reviews)


def bigrams(text: str) -> frozenset[str]:
    text = "".join(text.split())  # 띄어쓰기는 사람마다 달라 세지 않습니다.
    return frozenset(text[i : i + 2] for i in range(len(text) - 1))


def near_copies(left: list[str], right: list[str], limit: float = 0.5) -> Iterator[tuple[str, str]]:
    """글자 2-gram의 자카드 유사도가 `limit`을 넘는 쌍.

    그런 쌍은 2-gram을 드문 것부터 늘어놓았을 때 앞의 (1 - limit)쯤에서 반드시 하나를 함께 갖습니다(prefix filter,
    Chaudhuri 2006). 그래서 흔한 2-gram은 찾아보지 않아도 됩니다.
    """
    count = Counter(gram for text in (*left, *right) for gram in bigrams(text))

    def rare(text: str) -> list[str]:
        grams = sorted(bigrams(text), key=lambda gram: (count[gram], gram))
        return grams[: len(grams) - int(limit * len(grams))]

    holders = defaultdict(set)
    for text in right:
        for gram in rare(text):
            holders[gram].add(text)
    for text in left:
        own = bigrams(text)
        for other in set().union(*(holders[gram] for gram in rare(text))):
            theirs = bigrams(other)
            if len(own & theirs) > limit * len(own | theirs):
                yield text, other


def test_the_search_for_near_copies_finds_exactly_what_comparing_all_pairs_finds(examples):
    sample = [one.text for one in examples["train"][:150]]
    left, right = sample[:75] + ["정말 재미있는 영화였습니다"], sample[75:] + [sample[0] + "!", "재미있는 영화였습니다"]
    every = {(a, b) for a in left for b in right if len(bigrams(a) & bigrams(b)) > 0.3 * len(bigrams(a) | bigrams(b))}
    assert set(near_copies(left, right, limit=0.3)) == every
    assert {(sample[0], sample[0] + "!"), ("정말 재미있는 영화였습니다", "재미있는 영화였습니다")} <= every


@pytest.mark.parametrize(("one", "other"), combinations(SPLITS, 2))
def test_no_review_is_nearly_repeated_in_another_split(examples, one, other):
    texts = {mode: [example.text for example in examples[mode]] for mode in (one, other)}
    assert list(near_copies(texts[other], texts[one])) == []


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(MODEL))


@pytest.fixture(scope="module")
def masked_model():
    from transformers import AutoModelForMaskedLM

    return AutoModelForMaskedLM.from_pretrained(str(MODEL)).eval()


def test_the_model_is_small_and_complete(masked_model):
    assert sum(parameter.numel() for parameter in masked_model.parameters()) <= 4_000_000
    assert sum(file.stat().st_size for file in MODEL.iterdir()) <= 9_000_000
    assert {parameter.dtype for parameter in masked_model.parameters()} == {torch.float32}
    assert all(parameter.isfinite().all() for parameter in masked_model.parameters())


def test_the_model_learned_korean(examples, masked_model, tokenizer):
    """가린 토큰을, 가장 흔한 토큰만 대는 것보다 훨씬 잘 맞힙니다."""
    text = [one.text for one in examples["test"][:64]]
    inputs = tokenizer(text, padding=True, truncation=True, max_length=128, return_tensors="pt")
    ordinary = inputs["input_ids"] > max(tokenizer.all_special_ids)
    hidden = ordinary & (torch.arange(ordinary.shape[1]) % 7 == 3)
    answers = inputs["input_ids"][hidden].clone()
    inputs["input_ids"][hidden] = tokenizer.mask_token_id
    with torch.no_grad():
        guesses = masked_model(**inputs).logits[hidden].argmax(-1)
    commonest = answers.bincount().max() / len(answers)
    assert (guesses == answers).float().mean() > 2 * commonest


def test_fill_mask_gives_korean_words(masked_model, tokenizer):
    from transformers import pipeline

    answers = pipeline("fill-mask", model=masked_model, tokenizer=tokenizer, device="cpu")("이 영화 정말 [MASK] .")
    assert len(answers) == 5
    assert any("가" <= letter <= "힣" for one in answers for letter in one["token_str"])


def test_the_tokenizer_keeps_case_and_laughter(tokenizer):
    assert tokenizer("OST")["input_ids"] != tokenizer("ost")["input_ids"]
    for text in ("ㅋㅋㅋ", "ㅠㅠ", "OST", "재미있어요"):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == text


@pytest.mark.parametrize("mode", SPLITS)
def test_few_tokens_are_unknown(examples, tokenizer, mode):
    ids = tokenizer([one.text for one in examples[mode]], add_special_tokens=False)["input_ids"]
    tokens = [token for one in ids for token in one]
    assert tokens.count(tokenizer.unk_token_id) / len(tokens) < 0.005
