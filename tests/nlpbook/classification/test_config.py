"""설정: 옵션 이름, 기본 학습률, 저장과 되살리기."""

from __future__ import annotations

import json

import pytest

from nlpbook.classification.config import (
    ClassificationConfig,
    ClassificationTrainArguments,
    LearningConfig,
    ModelConfig,
    ServeConfig,
    TestConfig,
    TrainConfig,
)
from nlpbook.errors import UserError
from nlpbook.settings import PANELS

KINDS = (TrainConfig, TestConfig, ServeConfig)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_one_option_with_its_own_name(kind: type[ClassificationConfig]):
    in_groups = sum(len(group.__dataclass_fields__) for group in kind.groups().values())
    assert len(kind.options()) == in_groups
    assert set(kind.groups()) <= set(PANELS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_is_explained_in_korean(kind: type[ClassificationConfig]):
    for name, (_, field) in kind.options().items():
        assert any("가" <= letter <= "힣" for letter in field.metadata["help"]), name


def test_commands_differ_only_in_their_own_group():
    assert "num_epochs" in TrainConfig.options()
    assert "num_epochs" not in TestConfig.options()
    assert "server_port" in ServeConfig.options()
    assert "server_port" not in TrainConfig.options()


@pytest.mark.parametrize(
    ("pretrained", "expected"),
    [("ko-bert-tiny", 5e-4), ("./data/models/ko-bert-tiny", 5e-4), ("beomi/KcELECTRA-base", 5e-5)],
)
def test_the_default_learning_rate_fits_the_model(pretrained, expected):
    assert TrainConfig(model=ModelConfig(pretrained=pretrained)).learning.learning_rate == expected


def test_a_given_learning_rate_is_kept():
    assert TrainConfig(learning=LearningConfig(learning_rate=0.0)).learning.learning_rate == 0.0


def test_saved_arguments_come_back_the_same(tmp_path, tiny_config):
    tiny_config.env.job_name = "한글 이름"
    tiny_config.save(tmp_path / "new" / "arguments.json")
    assert TrainConfig.load(tmp_path / "new" / "arguments.json") == tiny_config
    assert "한글 이름" in (tmp_path / "new" / "arguments.json").read_text(encoding="utf-8")


def test_another_command_reads_what_train_saved(tmp_path, tiny_config):
    tiny_config.save(tmp_path / "arguments.json")
    loaded = TestConfig.load(tmp_path / "arguments.json")
    assert loaded.model == tiny_config.model
    assert loaded.evaluation == TestConfig().evaluation


def test_a_group_added_later_gets_its_defaults(tmp_path):
    (tmp_path / "old.json").write_text(json.dumps({"learning": {"seed": 3}}))
    loaded = TrainConfig.load(tmp_path / "old.json")
    assert loaded.learning.seed == 3
    assert loaded.hardware == TrainConfig().hardware


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "읽을 수 없습니다"),
        (b"\xff\xfe", "읽을 수 없습니다"),
        (b"[]", "사전이 아닙니다"),
        (b'{"learning": 3}', "learning이.*사전이 아닙니다"),
        (b'{"learning": {"momentum": 0.9}}', "momentum"),
    ],
)
def test_a_broken_arguments_file_is_reported(tmp_path, content, said):
    path = tmp_path / "arguments.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        TrainConfig.load(path)
    assert str(path) in str(caught.value)


def test_a_missing_arguments_file_says_to_train_first(tmp_path):
    with pytest.raises(UserError, match="먼저 train"):
        TrainConfig.load(tmp_path / "arguments.json")


def test_the_names_of_ratsnlp_reach_the_groups_and_read_back():
    config = ClassificationTrainArguments(
        pretrained_model_name="beomi/KcELECTRA-base",
        max_seq_length=64,
        batch_size=8,
        epochs=1,
        monitor="max val_acc",
        fp16=True,
        tpu_cores=0,
    )
    assert (config.model.pretrained, config.model.seq_len) == ("beomi/KcELECTRA-base", 64)
    assert (config.hardware.train_batch, config.learning.num_epochs, config.hardware.precision) == (8, 1, "16-mixed")
    assert (config.max_seq_length, config.batch_size, config.fp16, config.seed) == (64, 8, True, 7)
    assert config.learning.learning_rate == 5e-5


def test_an_unknown_name_of_ratsnlp_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="batch_sizes.*혹시 batch_size"):
        ClassificationTrainArguments(batch_sizes=3)
