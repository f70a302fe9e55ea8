"""설정의 틀: 종류 맞추기, 모르는 이름, YAML, 고쳐 쓰기, 값이 온 곳."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass

import pytest

from nlpbook.errors import UserError
from nlpbook.settings import Settings, UnknownSetting, WrongValue, group, option, with_defaults


@dataclass
class Training(Settings):
    epochs: int = option(3, "에포크 수.", min=1)
    learning_rate: float = option(1e-3, "학습률.", min=0, max=1)
    half: bool = option(False, "반정밀도로.")
    names: list[str] = option(["하나"], "이름들.")


@dataclass
class Config(Settings):
    seed: int = option(7, "난수 시드.", group="learning")
    kind: str = option("small", "모델.", choices=("small", "large"), group="model")
    limit: int | None = option(None, "상한.", min=1, group="data")
    note: str | None = option(None, "메모.", group="env")
    training: Training = group(Training, "학습 묶음")


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("training.learning_rate", "1e-4", 1e-4),
        ("training.learning_rate", 1, 1.0),
        ("training.half", "false", False),
        ("training.half", "True", True),
        ("training.epochs", "5", 5),
        ("training.epochs", 5.0, 5),
        ("training.epochs", "1e3", 1000),
        ("training.names", ("가", "나"), ["가", "나"]),
        ("training.names", "[가, '나']", ["가", "나"]),
        ("seed", str(2**60 + 1), 2**60 + 1),
        ("limit", "null", None),
        ("limit", None, None),
        ("note", "none", "none"),
        ("note", 3, "3"),
    ],
)
def test_a_value_becomes_the_kind_of_its_field_wherever_it_comes_from(name, given, kept):
    for made in (Config().merge({name: given}), assigned(name, given)):
        assert made[name] == kept
        assert type(made[name]) is type(kept)


def assigned(name: str, value: object) -> Config:
    config = Config()
    config[name] = value
    return config


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("training.learning_rate", "빠르게", "수를"),
        ("training.learning_rate", True, "수를"),
        ("training.learning_rate", float("nan"), "수를"),
        ("training.learning_rate", 2, "1 이하"),
        ("training.epochs", 2.5, "정수를"),
        ("training.epochs", float("inf"), "정수를"),
        ("training.epochs", 0, "1 이상"),
        ("training.epochs", None, "정수를"),
        ("training.half", 3, "true 또는 false"),
        ("training.names", 3, "목록"),
        ("kind", "larg", "'small', 'large'.*혹시 large"),
        ("note", False, "따옴표"),
        ("training", 3, "사전이 아닙니다"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(name, given, said):
    for attempt in (lambda: Config().merge({name: given}), lambda: assigned(name, given)):
        with pytest.raises(UserError, match=said) as caught:
            attempt()
        assert name.split(".")[-1] in str(caught.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sede": 3}, "sede.*혹시 seed"),
        ({"training": {"epoch": 3}}, "training.epoch.*혹시 epochs"),
        ({"learning_rate": 3}, "혹시 training.learning_rate"),
        ({"banana": 3}, "쓸 수 있는 것: seed, kind"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(values, said):
    with pytest.raises(UnknownSetting, match=said):
        Config.from_dict(values, "a.json")


def test_a_typo_in_code_is_refused_too():
    with pytest.raises(UnknownSetting, match="혹시 seed"):
        Config(sed=3)
    with pytest.raises(UnknownSetting, match="혹시 epochs"):
        Config().training.epoch = 3
    with pytest.raises(UnknownSetting, match="혹시 seed"):
        Config()["sed"]


def test_it_reads_like_a_dict():
    config = Config(seed=3)
    assert dict(config)["training"]["epochs"] == config["training"]["epochs"] == config["training.epochs"] == 3
    assert Config(**config) == config
    assert "seed" in config and "sede" not in config
    assert Config(**config.to_dict()) == config


def test_two_configs_share_nothing():
    one, other = Config(), Config()
    one.training.names.append("둘")
    one.training.epochs = 9
    assert other == Config()
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one


def test_the_command_line_and_the_groups_are_read_from_the_fields():
    assert list(Config.options()) == ["seed", "kind", "limit", "note", "epochs", "learning_rate", "half", "names"]
    assert Config.options()["epochs"][0] == "training"
    assert (Config.panel("training"), Config.panel("model")) == ("학습 묶음", "모델")
    config = Config.of({"epochs": 5, "seed": "3"})
    assert (config.training.epochs, config.seed) == (5, 3)
    with pytest.raises(UnknownSetting, match="모르는 옵션입니다: epoch. 혹시 epochs"):
        Config.of({"epoch": 5})


def test_other_defaults_keep_help_and_bounds():
    @dataclass
    class Longer(with_defaults(Training, epochs=10)):
        pass

    assert (Longer().epochs, Training().epochs) == (10, 3)
    with pytest.raises(WrongValue, match="1 이상"):
        Longer(epochs=0)
    with pytest.raises(WrongValue):
        with_defaults(Training, epochs="많이")()


YAML = """\
seed: 3
training:
  learning_rate: 1e-5
  epochs: ${seed}
"""


def test_yaml_reads_numbers_and_references(tmp_path):
    (tmp_path / "a.yaml").write_text(YAML, encoding="utf-8")
    config = Config.load_yaml(tmp_path / "a.yaml")
    assert (config.training.learning_rate, config.training.epochs) == (1e-5, 3)
    assert isinstance(config.training.learning_rate, float)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("seed: 3\ntraining:\n  epoch: 3\n", 3, "training.epoch.*혹시 epochs"),
        ("\nseed: 셋\n", 2, "정수를"),
        ("training:\n  learning_rate: 5\n", 2, "1 이하"),
        ("training: 3\n", 1, "사전이 아닙니다"),
        ("seed: [1\ntraining: 3\n", 2, "YAML"),
        ("seed: 1\nseed: 2\n", 2, "YAML"),
    ],
)
def test_a_wrong_yaml_names_the_file_and_the_line(tmp_path, monkeypatch, text, line, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=f"a.yaml {line}번째 줄.*{said}"):
        Config.load_yaml("a.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "없습니다"),
        ("한글".encode("cp949"), "UTF-8"),
        (b"seed: ${nothing}\n", "풀 수 없습니다"),
        (b"- 1\n- 2\n", "사전이 아닙니다"),
        (b"hello\n", "hello"),
        (b"a: 1\x00\n", "YAML"),
    ],
)
def test_what_is_no_settings_file_is_one_sentence(tmp_path, content, said):
    if content is not None:
        (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        Config.load_yaml(tmp_path / "a.yaml")
    assert "a.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_an_empty_yaml_is_all_defaults(tmp_path):
    (tmp_path / "a.yaml").write_text("# 아직 없음\n", encoding="utf-8")
    assert Config.load_yaml(tmp_path / "a.yaml") == Config()


def test_every_value_knows_where_it_came_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(YAML, encoding="utf-8")
    config = Config.load_yaml("a.yaml").with_environment({"LEARNING_RATE": "1e-4", "OTHER": "x"})
    config = config.merge(["training.half=true"], "명령줄")
    config.note = "내 것"
    assert config.sources() == {
        "seed": "a.yaml",
        "kind": "기본값",
        "limit": "기본값",
        "note": "코드",
        "training.epochs": "a.yaml",
        "training.learning_rate": "환경 변수 LEARNING_RATE",
        "training.half": "명령줄",
        "training.names": "기본값",
    }
    assert "training:\n  epochs: 3  # a.yaml\n  learning_rate: 0.0001  # 환경 변수 LEARNING_RATE\n" in config.to_text()


def test_a_value_put_in_later_was_chosen_even_if_it_is_the_default():
    config = Config(seed=7)
    assert config.sources()["seed"] == "기본값"
    config.seed = 7
    assert config.sources()["seed"] == "코드"


def test_a_wrong_environment_variable_is_named():
    with pytest.raises(UserError, match="환경 변수 SEED.*정수를"):
        Config().with_environment({"SEED": "셋"})


def test_an_override_needs_an_equals_sign():
    with pytest.raises(UserError, match="이름=값"):
        Config().merge(["seed"])


def test_merge_leaves_the_original_alone():
    config = Config()
    assert config.copy(seed=3).seed == 3
    assert config == Config()
