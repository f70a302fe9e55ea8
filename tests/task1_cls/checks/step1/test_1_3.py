"""1-3의 검사: 토크나이저."""

from __future__ import annotations

import pytest

from course.checks.words import assert_equal, fail, todo
from tests.task1_cls.checks import support
from tests.task1_cls.checks.step1.common import attempt, stored

TEXTS = [*support.SENTENCES[:4], "처음 보는 낱말도 Apple 123 ㅋㅋㅋ", ""]


@pytest.fixture(scope="module")
def got_tokenizer(load):
    trial = attempt(load(1), "1-3")
    value = stored(trial, "1-3")
    if isinstance(value, type) or not (callable(value) and hasattr(value, "convert_ids_to_tokens")):
        got = value.__name__ if isinstance(value, type) else type(value).__name__
        fail(idea="토크나이저", expected="글을 받아 토큰 번호를 내는 것", got=got, symptom="not-a-tokenizer")
    if trial.taught and value.get_vocab() != support.tokenizer().get_vocab():
        fail(idea="토큰 번호", expected="모델이 배운 번호", got="새로 매긴 번호", symptom="retrained")
    return value


@todo("1-3")
def test_tokenizer_speaks_the_models_numbers(got_tokenizer):
    """같은 낱말에 모델이 배운 것과 같은 번호를 붙입니다."""
    got, want = got_tokenizer.get_vocab(), support.tokenizer().get_vocab()
    if len(got) > len(want) and want.items() <= got.items():
        fail(idea="어휘", expected=f"{len(want)}개", got=f"{len(got)}개", symptom="grown-vocabulary")
    if got != want:
        fail(idea="토큰 번호", expected=f"어휘 {len(want)}개", got=f"어휘 {len(got)}개", symptom="other-tokenizer")


@todo("1-3")
def test_tokenizer_cuts_text_like_the_models_own(got_tokenizer):
    """같은 글을 같은 번호로 바꾸고, 앞뒤에 같은 특수 토큰을 붙입니다."""
    for text in TEXTS:
        want = support.tokenizer()(text)["input_ids"]
        ids = list(got_tokenizer(text)["input_ids"])
        if ids != want:
            message = f"{text!r}의 토큰 번호가 다릅니다."
            same_words = got_tokenizer.get_vocab() == support.tokenizer().get_vocab()  # 아니라면 다른 검사가 말합니다.
            symptom = "other-tokens" if same_words else None
            fail(message, idea="토큰 번호", expected=want, got=ids, symptom=symptom, text=text)


@todo("1-3")
def test_tokenizer_pads_and_truncates_like_the_models_own(got_tokenizer):
    """채우는 번호와 쪽, 자르는 쪽이 모델이 배운 것과 같습니다."""
    for name in ("pad_token_id", "cls_token_id", "sep_token_id", "unk_token_id", "mask_token_id"):
        got, want = getattr(got_tokenizer, name), getattr(support.tokenizer(), name)
        if got != want:
            message = f"{name}이(가) 다릅니다."
            symptom = "special-lost" if got is None else "special-token"
            fail(message, idea="특수 토큰", expected=want, got=got, symptom=symptom, name=name)
    texts = [support.LONG_TEXT, support.SENTENCES[3]]
    got, want = (
        one(texts, padding=True, truncation=True, max_length=9) for one in (got_tokenizer, support.tokenizer())
    )
    for name in ("input_ids", "attention_mask"):
        for here, there in zip(got[name], want[name], strict=True):
            if list(here) != there:
                message = "자르거나 채운 쪽이 다릅니다."
                alike = all(got_tokenizer(one)["input_ids"] == support.tokenizer()(one)["input_ids"] for one in TEXTS)
                symptom = "other-side" if alike else None
                fail(message, idea="채움과 자름", expected=there, got=list(here), symptom=symptom)


@todo("1-3")
def test_tokenizer_is_fast(got_tokenizer):
    """빠른(fast) 토크나이저는 토큰이 글의 어디에서 왔는지도 압니다."""
    if not getattr(got_tokenizer, "is_fast", False):
        fail(idea="빠른 토크나이저", expected="is_fast=True", got="False", symptom="slow")
    got = got_tokenizer("별로", return_offsets_mapping=True)["offset_mapping"]
    assert_equal([tuple(one) for one in got][1], (0, 2), idea="빠른 토크나이저", message="토큰의 자리가 다릅니다.")


@todo("1-3")
def test_slow_tokenizer_is_not_asked_for(load, monkeypatch):
    """use_fast=False라고 적지 않습니다. transformers 5는 못 본 체하지만, 그 앞의 판에서는 느린 것이 옵니다."""
    from transformers import AutoTokenizer

    asked, real = [], AutoTokenizer.from_pretrained
    monkeypatch.setattr(
        AutoTokenizer, "from_pretrained", lambda *args, **more: asked.append(more) or real(*args, **more)
    )
    stored(attempt(load(1), "1-3"), "1-3")
    if any(not more.get("use_fast", True) for more in asked):
        idea = "빠른 토크나이저"
        fail(idea=idea, expected="use_fast=True", got="use_fast=False", symptom="slow")
