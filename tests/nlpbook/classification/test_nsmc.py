"""감성분석의 말뭉치: 검증 나눔, 갈래마다의 예문, 상한."""

from __future__ import annotations

import pytest

from nlpbook.classification import nsmc
from nlpbook.classification.config import TrainConfig
from nlpbook.classification.nsmc import NsmcCorpus, split_for_validation
from nlpbook.corpora import read_nsmc
from nlpbook.errors import UserError


def texts_of(examples) -> list[str]:
    return [example.text for example in examples]


def test_validation_split_is_fixed_and_covers_everything_once():
    train, valid = split_for_validation(1000)
    assert (train, valid) == split_for_validation(1000)
    assert sorted(train + valid) == list(range(1000))
    assert len(valid) == 50
    assert train == sorted(train)
    assert valid != list(range(50))  # 파일의 앞뒤가 아니라 고루 뽑습니다.


def test_validation_split_keeps_at_least_one_example_on_each_side():
    assert [len(part) for part in split_for_validation(2)] == [1, 1]
    with pytest.raises(UserError, match="--valid_file"):
        split_for_validation(1)


@pytest.fixture
def corpus(write_reviews) -> tuple[NsmcCorpus, TrainConfig]:
    """검증 파일이 없는, 학습 100개와 평가 20개의 말뭉치."""
    write_reviews("mine/ratings_test.txt", [(f"평가 {i}", "1") for i in range(20)])
    path = write_reviews("mine/ratings_train.txt", [(f"학습 {i}", str(i % 2)) for i in range(100)])
    config = TrainConfig()
    config.data.home, config.data.name = str(path.parents[1]), "mine"
    return NsmcCorpus(config), config


def test_train_and_validation_share_the_train_file_without_overlap(corpus):
    reader, _ = corpus
    train, valid = texts_of(reader.get_examples("train")), texts_of(reader.get_examples("valid"))
    assert sorted(train + valid) == sorted(f"학습 {i}" for i in range(100))
    assert valid == texts_of(reader.get_examples("val"))


def test_training_never_opens_the_test_file(corpus, monkeypatch):
    opened = []
    monkeypatch.setattr(nsmc, "read_nsmc", lambda path, labels: opened.append(path.name) or read_nsmc(path, labels))
    corpus[0].get_examples("train")
    corpus[0].get_examples("valid")
    assert set(opened) == {"ratings_train.txt"}


def test_a_validation_file_is_used_whole_and_leaves_train_whole(corpus, write_reviews):
    write_reviews("mine/ratings_valid.txt", [("검증", "0")])
    assert texts_of(corpus[0].get_examples("valid")) == ["검증"]
    assert len(corpus[0].get_examples("train")) == 100


def test_a_named_validation_file_that_is_missing_is_an_error(corpus):
    reader, config = corpus
    config.data.valid_file = "my_valid.txt"
    with pytest.raises(UserError, match="my_valid.txt"):
        reader.get_examples("valid")


def test_max_samples_cap_each_split_on_its_own(corpus):
    reader, config = corpus
    whole = reader.get_examples("train")
    config.data.max_train_samples, config.data.max_valid_samples, config.data.max_test_samples = 7, 3, 1000
    assert reader.get_examples("train") == whole[:7]
    assert [len(reader.get_examples(mode)) for mode in ("valid", "test")] == [3, 20]


def test_an_unknown_split_is_refused(corpus):
    with pytest.raises(ValueError, match="mode"):
        corpus[0].get_examples("dev")


def test_a_missing_file_of_ones_own_corpus_is_named(write_reviews, tmp_path):
    write_reviews("home/mine/ratings_test.txt", [("리뷰", "1")])
    config = TrainConfig()
    config.data.home, config.data.name = str(tmp_path / "home"), "mine"
    with pytest.raises(UserError, match="mine.ratings_train.txt"):
        NsmcCorpus(config).get_examples("train")
