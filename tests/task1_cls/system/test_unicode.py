"""풀어 적은(NFD) 리뷰도 모아 쓴 것과 똑같이 배우고 읽습니다."""

from __future__ import annotations

import unicodedata
from types import SimpleNamespace

import pytest

from course.checks.loading import load_step
from course.home import ROOT
from nlpbook.classification.datasets import ClassificationDataset
from nlpbook.classification.nsmc import ClassificationExample, NsmcCorpus
from tests.task1_cls.checks import support

FOLDER = ROOT / "solutions" / "task1-cls"
if not FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)


@pytest.fixture(scope="module")
def model():
    return load_step(FOLDER, "step3_training_steps").NSMCModel(support.tiny_config()).eval()


@pytest.mark.parametrize("text", support.SENTENCES)
def test_a_decomposed_review_is_predicted_like_the_composed_one(model, text):
    spread = unicodedata.normalize("NFD", text)
    assert spread != text
    assert model.infer_one(spread) == model.infer_one(text)


def test_texts_nobody_sees_are_predicted_like_an_empty_one(model):
    assert {model.infer_one(text) for text in ("", " ", "\u200b", "\u3164\ufeff", "\x01")} == {model.infer_one("")}


def test_a_corpus_of_decomposed_reviews_gives_the_same_tokens(model):
    def dataset(form: str) -> ClassificationDataset:
        examples = [ClassificationExample(unicodedata.normalize(form, text), "1") for text in support.SENTENCES]
        corpus = SimpleNamespace(get_examples=lambda mode, config: examples, get_labels=NsmcCorpus().get_labels)
        return ClassificationDataset(support.tiny_config(), corpus, model.lm_tokenizer)

    assert [*dataset("NFD")] == [*dataset("NFC")]
