"""1-1의 검사: 말뭉치."""

from __future__ import annotations

from functools import cache

import pytest

from course.checks.words import assert_equal, fail, todo
from nlpbook.classification.config import ServeConfig, TestConfig, TrainConfig
from nlpbook.classification.nsmc import NsmcCorpus
from tests.task1_cls.checks import support
from tests.task1_cls.checks.step1.common import SPLITS, attempt, stored


@cache
def rows(mode: str) -> list[tuple[str, str]]:
    """작은 말뭉치의 (글, 라벨), 상한까지. 라이브러리를 거치지 않고 읽습니다."""
    lines = (support.tiny_corpus() / f"ratings_{mode}.txt").read_text(encoding="utf-8").splitlines()[1:]
    return [tuple(line.split("\t")[1:]) for line in lines[: SPLITS[mode]]]


@pytest.fixture(scope="module")
def data(load):
    value = stored(attempt(load(1), "1-1"), "1-1")
    if isinstance(value, type):
        fail(idea="객체", expected="객체", got="클래스", symptom="class-not-object")
    if not callable(getattr(value, "get_examples", None)):
        got = type(value).__name__
        is_examples = isinstance(value, list) and value and hasattr(value[0], "text")
        symptom = "not-a-corpus" if is_examples else "other-thing"
        fail(idea="말뭉치", expected="NsmcCorpus", got=got, symptom=symptom)
    return value


def examples(data, mode):
    """말뭉치가 스스로(다른 설정을 건네받지 않고) 읽은 예문들."""
    try:
        return [(one.text, one.label) for one in data.get_examples(mode)]
    except AttributeError:
        got = type(getattr(data, "config", None)).__name__
        symptom = "part-of-config" if got.endswith("Config") else "not-config"
        fail(idea="설정", expected="config", got=got, symptom=symptom)


@todo("1-1")
def test_corpus_reads_where_the_settings_say(data):
    """말뭉치는 설정(config)이 가리키는 폴더를 읽습니다."""
    got = examples(data, "train")
    default = [(one.text, one.label) for one in NsmcCorpus(TrainConfig()).get_examples("train")]
    shown = {"idea": "설정의 흐름", "expected": f"예문 {SPLITS['train']}개", "got": f"예문 {len(got)}개"}
    if got == default:
        fail(symptom="no-config", **shown)
    if len(got) == SPLITS["train"] and got == default[: len(got)]:
        fail(symptom="fixed-corpus", **shown)
    assert_equal(got, rows("train"), idea="설정의 흐름", message="학습 예문이 설정이 가리키는 파일과 다릅니다.")


@todo("1-1")
@pytest.mark.parametrize("mode", ["valid", "test"])
def test_corpus_keeps_the_splits_apart(data, mode):
    """검증과 평가의 예문도 설정이 가리키는 파일에서 옵니다."""
    got = examples(data, mode)
    assert_equal(len(got), SPLITS[mode], idea="갈래", message=f"{mode} 예문의 수가 다릅니다.")
    assert_equal(got, rows(mode), idea="갈래", message=f"{mode} 예문이 설정이 가리키는 파일과 다릅니다.")


@todo("1-1")
@pytest.mark.parametrize("command", [TestConfig, ServeConfig], ids=["test", "serve"])
def test_every_command_reads_where_its_settings_say(load, command):
    """평가와 서비스의 설정도 제가 가리키는 폴더를 읽습니다."""
    got = examples(stored(attempt(load(1), "1-1", command=command), "1-1"), "test")
    if got == [(one.text, one.label) for one in NsmcCorpus(TrainConfig()).get_examples("test")]:
        shown = {"expected": f"예문 {SPLITS['test']}개", "got": f"예문 {len(got)}개"}
        fail(idea="설정의 흐름", symptom="no-config", **shown)
    assert_equal(got, rows("test"), idea="설정의 흐름", message="평가 예문이 설정이 가리키는 파일과 다릅니다.")


@todo("1-1")
def test_corpus_knows_its_labels(data):
    """말뭉치는 라벨이 몇 개이고 이름이 무엇인지 압니다."""
    assert_equal(data.num_labels, 2, idea="라벨", message="말뭉치의 라벨 수가 다릅니다.")
    assert_equal(data.get_labels(), ["0", "1"], idea="라벨", message="라벨의 순서가 다릅니다.")
    assert_equal(tuple(data.label_names), ("부정", "긍정"), idea="라벨", message="라벨의 이름이 다릅니다.")
