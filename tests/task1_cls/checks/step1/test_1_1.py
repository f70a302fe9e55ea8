"""1-1의 검사: 말뭉치."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from course.checks.words import assert_equal, fail, todo
from course.checks.workspace import workspace
from nlpbook.classification.config import ServeConfig, TestConfig, TrainConfig
from nlpbook.classification.nsmc import NsmcCorpus
from nlpbook.errors import UserError
from tests.task1_cls.checks import support
from tests.task1_cls.checks.step1.common import SPLITS, attempt, is_from, reaches_the_end, stored


@cache
def rows(mode: str) -> list[tuple[str, str]]:
    """작은 말뭉치의 (글, 라벨), 상한까지. 라이브러리를 거치지 않고 읽습니다."""
    lines = (support.tiny_corpus() / f"ratings_{mode}.txt").read_text(encoding="utf-8").splitlines()[1:]
    return [tuple(line.split("\t")[1:]) for line in lines[: SPLITS[mode]]]


@pytest.fixture(scope="module")
def data(load):
    trial = attempt(load(1), "1-1")
    value = stored(trial, "1-1")
    reaches_the_end(trial)
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


FEWER = {"train": 13, "valid": 5, "test": 3}  # 둘째 모델의 상한. SPLITS의 어느 수와도 다릅니다.


@todo("1-1")
def test_every_model_reads_where_its_own_settings_say(load):
    """설정이 다른 두 모델을 차례로 만들면, 둘째 모델의 말뭉치는 둘째의 설정을 따릅니다."""
    first = examples(stored(attempt(load(1), "1-1"), "1-1"), "train")
    limits = {f"max_{mode}_samples": count for mode, count in FEWER.items()}
    second = stored(attempt(load(1), "1-1", data=limits), "1-1")
    if first != rows("train"):
        return  # 첫 모델부터 틀린 것은 다른 검사가 말합니다.
    for mode, count in FEWER.items():
        got = examples(second, mode)
        shown = {"expected": f"예문 {count}개", "got": f"예문 {len(got)}개"}
        if got == rows(mode):
            fail(idea="설정의 흐름", symptom="first-corpus", **shown)
        if got != rows(mode)[:count]:
            fail(f"둘째 모델의 {mode} 예문이 그 모델의 설정과 다릅니다.", idea="설정의 흐름", **shown)


MANY = 3001  # 작은 말뭉치에서는 드러나지 않는 상한(100개, 1000개, …)보다 많은 수


@cache
def many_rows() -> list[tuple[str, str]]:
    """많은 말뭉치의 (글, 라벨). 갈래마다 같습니다."""
    return [(f"{support.SENTENCES[i % 10]} {i}", str(i % 2)) for i in range(MANY)]


@cache
def many_reviews() -> Path:
    """갈래마다 예문이 `MANY`개인 말뭉치의 폴더."""
    folder = workspace() / "many-reviews"
    folder.mkdir(exist_ok=True)  # 검사 프로세스에서 갈라진 자식들이 이 폴더를 함께 씁니다.
    lines = [f"{i}\t{text}\t{label}" for i, (text, label) in enumerate(many_rows())]
    for mode in SPLITS:
        text = "\n".join(["id\tdocument\tlabel", *lines]) + "\n"
        (folder / f"ratings_{mode}.txt").write_text(text, encoding="utf-8", newline="\n")
    return folder


@todo("1-1")
def test_no_limit_means_every_example(load):
    """예문 수의 상한을 적지 않은 설정(None)이면 모두 읽습니다."""
    where = {"home": str(many_reviews().parent), "name": many_reviews().name}
    limits = {f"max_{mode}_samples": None for mode in SPLITS}
    corpus = stored(attempt(load(1), "1-1", data=where | limits), "1-1")
    for mode in SPLITS:
        got, want = examples(corpus, mode), many_rows()
        shown = {"expected": f"{len(want)}개", "got": f"{len(got)}개"}
        if len(got) < len(want) and got == want[: len(got)]:
            fail(idea="예문의 수", symptom="capped", **shown)
        if got != want:
            fail(f"상한이 없을 때의 {mode} 예문이 설정이 가리키는 파일과 다릅니다.", idea="설정의 흐름", **shown)


@todo("1-1")
def test_default_corpus_follows_the_other_settings_too(load):
    """말뭉치의 이름이 기본값이어도 나머지 설정은 따릅니다."""
    usual = TrainConfig().data
    limits = {f"max_{mode}_samples": count for mode, count in FEWER.items()}
    corpus = stored(attempt(load(1), "1-1", data={"home": usual.home, "name": usual.name} | limits), "1-1")
    for mode, count in FEWER.items():
        got = examples(corpus, mode)
        whole = [(one.text, one.label) for one in NsmcCorpus(TrainConfig()).get_examples(mode)]
        shown = {"expected": f"예문 {count}개", "got": f"예문 {len(got)}개"}
        if got == whole:
            fail(idea="설정의 흐름", symptom="no-config", **shown)
        if got != whole[:count]:
            fail(f"내장 말뭉치의 {mode} 예문이 설정과 다릅니다.", idea="설정의 흐름", **shown)


@todo("1-1")
def test_corpus_is_not_read_before_it_is_asked(load):
    """없는 말뭉치를 골라도 모델은 만들어지고, 예문을 달라고 할 때 UserError가 납니다."""
    trial = attempt(load(1), "1-1", data={"name": "no-such-corpus"})
    if isinstance(trial.error, (UserError, AssertionError)) and is_from(trial.error, trial.model, "1-1"):
        got = type(trial.error).__name__
        fail(idea="예문을 읽는 때", expected="만들 때는 읽지 않음", got=got, symptom="read-early")
    corpus = stored(trial, "1-1")
    for mode in SPLITS:
        try:
            got = len(examples(corpus, mode))
        except UserError:
            continue
        fail(idea="없는 말뭉치", expected="UserError", got=f"예문 {got}개", symptom="silent-fallback")


@todo("1-1")
def test_corpus_knows_its_labels(data):
    """말뭉치는 라벨이 몇 개이고 이름이 무엇인지 압니다."""
    assert_equal(data.num_labels, 2, idea="라벨", message="말뭉치의 라벨 수가 다릅니다.")
    assert_equal(data.get_labels(), ["0", "1"], idea="라벨", message="라벨의 순서가 다릅니다.")
    assert_equal(tuple(data.label_names), ("부정", "긍정"), idea="라벨", message="라벨의 이름이 다릅니다.")
