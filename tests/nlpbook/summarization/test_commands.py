"""명령의 옵션: 설정의 항목은 두 이름으로도, 이름=값으로도 적을 수 있고, 적지 않은 것은 아무것도 덮지 않습니다."""

from __future__ import annotations

from typing import Any

import pytest

from nlpbook.cli import Options, new_app, run, with_options
from nlpbook.errors import UserError
from nlpbook.summarization.commands import (
    TRAINING,
    USING,
    PredictOptions,
    ServeOptions,
    TestOptions,
    TrainOptions,
    assignments,
)
from nlpbook.summarization.config import SummarizationConfig


@pytest.fixture
def call(capsys, monkeypatch):
    """`call("train", "--num_epochs", "3")` → 명령이 받은 옵션."""
    monkeypatch.setenv("COLUMNS", "110")

    def act(*words: str) -> Any:
        got = []
        app = new_app("시험")
        commands = {"train": (TrainOptions, TRAINING), "test": (TestOptions, USING)}
        commands |= {"predict": (PredictOptions, USING), "serve": (ServeOptions, USING)}
        for name, (kind, over) in commands.items():
            app.command(name)(with_options(kind, over)(got.append))
        with pytest.raises(SystemExit) as ended:
            run(app, list(words))
        act.shown = capsys.readouterr()
        return got[0] if got else ended.value.code

    return act


def given(options: Options) -> dict[str, Any]:
    return {name: options[name] for name in options.given}


def test_what_is_left_out_overrides_nothing(call):
    options = call("train")
    assert options.given == set()
    assert options["config"] == "quick"
    assert options["settings"] is None
    assert {options[name] for name in SummarizationConfig.options()} == {None}


@pytest.mark.parametrize("word", ["--num_epochs", "--num-epochs", "--epochs", "--num_train_epochs"])
def test_the_guides_names_mean_the_same(call, word):
    assert given(call("train", word, "3")) == {"num_train_epochs": 3}


def test_the_guides_command_line_works(call):
    words = ["--train-data", "a.csv", "--val-data", "b.csv", "--resume-from-checkpoint", "c"]
    assert given(call("train", "--config", "config/base_config.yaml", *words)) == {
        "config": "config/base_config.yaml",
        "train_data": "a.csv",
        "val_data": "b.csv",
        "resume_from_checkpoint": "c",
    }


def test_a_switch_can_be_turned_off_and_that_is_not_the_same_as_left_out(call):
    assert given(call("train", "--no_fp16")) == {"fp16": False}
    assert given(call("train", "--fp16")) == {"fp16": True}
    call("train", "--help")
    assert "--no_fp16" in call.shown.out


def test_settings_can_be_written_as_name_equals_value(call):
    options = call("train", "training.learning_rate=1e-4", "--num_beams", "2", "wandb.mode=offline")
    assert given(options) == {"num_beams": 2}
    assert assignments(options) == {"training.learning_rate": "1e-4", "wandb.mode": "offline"}


def test_a_word_that_is_neither_is_named():
    with pytest.raises(UserError, match="남는 말이 있습니다: quick"):
        assignments({"settings": ["a=1", "quick"]})
    assert assignments({}) == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--num_beams", "0"], "1 이상"),
        (["train", "--lr_scheduler_type", "cosin"], "cosine"),
        (["train", "--epoch", "3"], "--epochs"),
        (["predict", "--learning_rate", "1e-3"], "모르는 옵션"),
        (["serve", "--quantize", "int4"], "int8"),
        (["serve", "--server_port", "0"], "1 이상"),
    ],
    ids=" ".join,
)
def test_a_wrong_word_is_one_sentence(call, words, said):
    assert call(*words) == 2
    assert said in call.shown.err
    assert len(call.shown.err.splitlines()) == 1


@pytest.mark.parametrize("name", ["train", "test", "predict", "serve"])
def test_no_option_of_a_command_hides_a_setting(call, name):
    kind = {"train": TrainOptions, "test": TestOptions, "predict": PredictOptions, "serve": ServeOptions}[name]
    assert not set(kind.options()) & set(SummarizationConfig.options())
    assert call(name, "--help") == 0
    for option in kind.options():
        assert f"--{option}" in call.shown.out
