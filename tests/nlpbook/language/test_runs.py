"""언어 모델의 실행과 체크포인트: 이름 짓기, 다시 찾기, 읽지 말아야 할 파일."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from nlpbook.errors import UserError
from nlpbook.language import runs
from nlpbook.language.config import LMConfig, RunChoice
from nlpbook.language.runs import (
    RunFolder,
    find_run,
    load_model,
    new_run,
    read_checkpoint,
    require_same_shape,
    run_again,
)
from nlpbook.language.tokens import END_OF_TEXT, TextTokenizer
from tests.task3_lm.checks import support


class Tiny(nn.Module):
    """GPT처럼 만들어지는 가장 작은 모델."""

    def __init__(self, config: LMConfig, vocab_size: int, tokenizer: TextTokenizer) -> None:
        super().__init__()
        self.config, self.vocab_size, self.tokenizer = config, vocab_size, tokenizer
        self.layer = nn.Linear(config.d_embed, vocab_size)


def state_of(model: Tiny, **changes: object) -> dict:
    return {
        "model_state_dict": model.state_dict(),
        "config": model.config.to_dict(),
        "vocab_size": model.vocab_size,
        "tokenizer": model.tokenizer.to_text(),
    } | changes


@pytest.fixture
def model() -> Tiny:
    return Tiny(LMConfig(d_embed=8, num_heads=2), 5, support.tokenizer())


@pytest.fixture
def config_for(tmp_path):
    """`config_for(이름, 버전)`은 임시 폴더에 실행을 남기는 설정입니다."""

    def make(name: str | None = None, version: str | None = None, **more: object) -> LMConfig:
        return LMConfig(output=str(tmp_path), job_name=name, job_version=version, **more)

    return make


@pytest.fixture
def train(config_for):
    """`train(이름, 버전, 시각, 남긴 체크포인트…)`는 그때 시작한 실행을 하나 남깁니다."""

    def make(name: str, version: str, started: int, *checkpoints: str) -> RunFolder:
        config = config_for(name, version)
        run = new_run(config)
        config.save(run.arguments)
        run.note(started=f"2026-01-01T00:00:{started:02d}+00:00", pid=None)
        run.checkpoints.mkdir()
        for one in checkpoints:
            (run.checkpoints / one).touch()
        return run

    return make


# ── 실행 폴더 ──


def test_a_new_run_is_named_after_its_text_and_start(config_for, tmp_path):
    config = config_for(data="some/where/stories.txt")
    run = new_run(config)
    assert config.job_name == "stories"
    assert run.path == tmp_path / "task3-lm" / f"stories-{config.job_version}"
    assert run.path.is_dir()


def test_a_run_remembers_where_its_text_is(config_for, tmp_path, monkeypatch):
    """상대 경로로 학습한 실행을 다른 폴더에서 이어 해도 같은 글을 찾습니다. 이름으로 찾는 글은 이름 그대로입니다."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("글")
    (tmp_path / "tok").mkdir()
    config = config_for("a", "1", data="mine.txt", tokenizer="tok", data_home="corpora")
    new_run(config)
    assert (config.data, config.tokenizer) == (str(tmp_path / "mine.txt"), str(tmp_path / "tok"))
    assert config.data_home == str(tmp_path / "corpora")
    named = config_for("a", "2", tokenizer="skt/kogpt2-base-v2")
    new_run(named)
    assert (named.data, named.tokenizer) == ("lm-sample", "skt/kogpt2-base-v2")


def test_a_run_is_never_overwritten(train):
    train("a", "1", 1, "last.pt")
    with pytest.raises(UserError, match="--resume.*--job_version"):
        train("a", "1", 2)


@pytest.mark.parametrize(
    ("name", "version", "expected"), [(None, None, "b-1"), ("a", None, "a-2"), (None, "1", "b-1"), ("a", "1", "a-1")]
)
def test_the_latest_fitting_run_is_found(train, tmp_path, name, version, expected):
    for number, (job, one) in enumerate([("a", "1"), ("a", "2"), ("b", "1")], start=1):
        train(job, one, number, "best_model.pt")
    assert find_run(RunChoice(output=str(tmp_path), job_name=name, job_version=version)).path.name == expected


def test_a_run_killed_between_its_best_and_its_last_is_resumed_from_the_best(train, tmp_path):
    run = train("a", "1", 1, "best_model.pt")
    assert find_run(RunChoice(output=str(tmp_path)), resuming=True).resumable == run.best_model
    assert run_again(run) is run
    run.last_state.touch()
    assert run.resumable == run.last_state


def test_a_run_that_never_saved_is_not_resumed(train):
    with pytest.raises(UserError, match=r"last\.pt.*새로 학습"):
        run_again(train("a", "1", 1))


def test_a_run_without_the_needed_checkpoint_is_passed_over(train, tmp_path):
    """쓰려면 best_model.pt가, 이어 하려면 last.pt가 있어야 합니다."""
    choice = RunChoice(output=str(tmp_path))
    train("whole", "1", 1, "best_model.pt", "last.pt")
    train("interrupted", "1", 2, "last.pt")
    train("stillborn", "1", 3)
    assert find_run(choice).path.name == "whole-1"
    assert find_run(choice, resuming=True).path.name == "interrupted-1"


def test_when_nothing_else_is_there_the_stillborn_run_is_found(train, tmp_path):
    train("stillborn", "1", 1)
    assert find_run(RunChoice(output=str(tmp_path))).path.name == "stillborn-1"


@pytest.mark.parametrize("name", [None, "c"])
def test_no_run_says_to_train_first(tmp_path, name):
    with pytest.raises(UserError, match="먼저 train"):
        find_run(RunChoice(output=str(tmp_path), job_name=name))


# ── 체크포인트 ──


def test_a_model_comes_back_from_its_checkpoint_alone(model, tmp_path):
    torch.save(state_of(model), tmp_path / "best_model.pt")
    loaded = load_model(Tiny, tmp_path / "best_model.pt")
    assert torch.equal(loaded.layer.weight, model.layer.weight)
    assert loaded.config.to_dict() == model.config.to_dict()
    assert loaded.tokenizer.to_text() == model.tokenizer.to_text()
    assert not loaded.training


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint", b"PK\x03\x04half a zip"])
def test_a_missing_or_broken_checkpoint_is_reported_with_its_name(tmp_path, content):
    path = tmp_path / "best_model.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"best_model\.pt.*학습"):
        read_checkpoint(path)


def test_a_checkpoint_cut_short_is_reported(model, tmp_path):
    path = tmp_path / "best_model.pt"
    torch.save(state_of(model), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="깨졌다면"):
        read_checkpoint(path)


class Trap:
    """pickle로 읽으면 파일을 만드는 객체."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_reading_a_checkpoint_runs_no_code(model, tmp_path):
    marker, path = tmp_path / "executed", tmp_path / "best_model.pt"
    torch.save(state_of(model, epoch=Trap(marker)), path)
    with pytest.raises(UserError, match=r"best_model\.pt"):
        load_model(Tiny, path)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists()  # 덫이 정말 덫이었는지


@pytest.mark.parametrize("other", [[1, 2], {"model_state_dict": {}}, torch.zeros(3), {"w": torch.zeros(3)}])
def test_a_file_of_something_else_is_refused(tmp_path, other):
    torch.save(other, tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"other\.pt.*이 과제의 체크포인트가 아닙니다"):
        read_checkpoint(tmp_path / "other.pt")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"config": [1]}, id="config is a list"),
        pytest.param({"config": {"banana": 1}}, id="unknown setting"),
        pytest.param({"config": {"d_embed": 16, "num_heads": 2}}, id="other shape"),
        pytest.param({"vocab_size": 7}, id="other vocabulary"),
        pytest.param({"model_state_dict": {}}, id="no weights"),
        pytest.param({"tokenizer": "banana"}, id="tokenizer is no JSON"),
        pytest.param({"tokenizer": '{"tokenizer": {}}'}, id="no tokenizer"),
    ],
)
def test_a_checkpoint_at_odds_with_itself_is_refused_in_one_sentence(model, tmp_path, changes):
    torch.save(state_of(model, **changes), tmp_path / "odd.pt")
    with pytest.raises(UserError, match=r"odd\.pt"):
        load_model(Tiny, tmp_path / "odd.pt")


@pytest.mark.parametrize(
    ("changes", "vocab_size", "said"),
    [
        ({"d_embed": 16}, 5, "d_embed 8 ≠ 16"),
        ({"num_heads": 4}, 5, "num_heads 2 ≠ 4"),
        ({"num_layers": 2, "max_seq_len": 9}, 5, "num_layers 4 ≠ 2, max_seq_len 256 ≠ 9"),
        ({}, 6, "vocab_size 5 ≠ 6"),
    ],
)
def test_every_difference_in_shape_is_named(model, changes, vocab_size, said):
    config = LMConfig(**{"d_embed": 8, "num_heads": 2} | changes)
    with pytest.raises(UserError, match=said):
        require_same_shape(state_of(model), config, vocab_size, "best_model.pt")


def test_only_the_shape_must_fit(model):
    require_same_shape(state_of(model), LMConfig(d_embed=8, num_heads=2, dropout=0.5, num_epochs=3), 5, "x.pt")


def test_a_checkpoint_without_a_shape_does_not_fit(model):
    with pytest.raises(UserError, match="d_embed None ≠ 8"):
        require_same_shape(state_of(model, config={}), model.config, 5, "x.pt")


def test_another_tokenizer_of_the_same_size_is_refused(model):
    """크기가 같아도 번호의 뜻이 다르면, 손실이 크다는 것 말고는 아무 표시도 나지 않습니다."""
    from tokenizers import Tokenizer, models

    runs.require_same_tokenizer(model.tokenizer.to_text(), TextTokenizer.from_text(model.tokenizer.to_text()))
    vocabulary = {f"w{number}": number for number in range(len(model.tokenizer) - 1)}
    other = Tokenizer(models.WordLevel(vocabulary | {END_OF_TEXT: len(vocabulary)}, unk_token="w0"))
    assert len(TextTokenizer(other)) == len(model.tokenizer)
    with pytest.raises(UserError, match="토크나이저가.*달라졌습니다"):
        runs.require_same_tokenizer(model.tokenizer.to_text(), TextTokenizer(other))
