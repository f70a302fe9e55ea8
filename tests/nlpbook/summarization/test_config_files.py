"""설정 파일과 층: 이름으로 찾기, 여러 이름, 옛 파일, 값이 온 곳, 고칠 수 있는 오류."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nlpbook.errors import UserError
from nlpbook.summarization.config_files import (
    command_line_layer,
    environment_layer,
    find_config,
    migrate,
    problems_in,
    read_config_file,
    resolved,
    trial_layer,
)
from nlpbook.summarization.layers import config_of, plain

OLD = """\
general:
  data_path: ../data/
  model_name: digit82/kobart-summarization
  output_dir: ./
tokenizer:
  encoder_max_len: 509
  decoder_max_len: 97
  bos_token: <s>
  eos_token: </s>
  special_tokens: ['#Person1#', '#Person2#', '#PhoneNumber#']
training:
  overwrite_output_dir: true
  num_train_epochs: 21
  learning_rate: 1e-5
  per_device_train_batch_size: 50
  per_device_eval_batch_size: 34
  warmup_ratio: 0.13
  weight_decay: 0.017
  lr_scheduler_type: cosine
  optim: adamw_torch
  gradient_accumulation_steps: 3
  evaluation_strategy: epoch
  save_strategy: steps
  save_total_limit: 5
  fp16: true
  load_best_model_at_end: true
  seed: 43
  logging_dir: ./logs
  logging_strategy: epoch
  predict_with_generate: true
  generation_max_length: 101
  do_train: true
  do_eval: true
  early_stopping_patience: 4
  early_stopping_threshold: 0.001
  report_to: wandb
wandb:
  entity: 우리팀
  project: 우리프로젝트
  name: 우리실험
inference:
  ckt_path: model/ckpt
  result_path: ./prediction/
  no_repeat_ngram_size: 3
  early_stopping: false
  generate_max_length: 101
  num_beams: 5
  batch_size: 33
  remove_tokens: ['<usr>', '<s>']
"""


def written(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def config_in(folder: Path, text: str) -> Any:
    return resolved(read_config_file(written(folder, text)).values)


# ── 찾기


@pytest.fixture
def folder(tmp_path) -> Path:
    names = ("experiments/quick", "models/t5", "base/default", "base_config", "sweep/grid", "experiments/t5")
    for name in names:
        written(tmp_path / "configs", "general: {seed: 5}", f"{name}.yaml")
    return tmp_path / "configs"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("quick", "experiments/quick"),
        ("quick.yaml", "experiments/quick"),
        ("t5", "experiments/t5"),
        ("models/t5", "models/t5"),
        ("base_config", "base_config"),
        ("config/base_config.yaml", "base_config"),
        ("../config/base_config.yaml", "base_config"),
        ("configs/models/t5.yaml", "models/t5"),
        ("config/models/t5", "models/t5"),
    ],
)
def test_a_config_is_found_by_name_and_by_the_guides_paths(folder, tmp_path, monkeypatch, name, found):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert find_config(name, folder) == folder / f"{found}.yaml"


def test_my_own_file_comes_before_ours(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = written(tmp_path, "general: {seed: 6}", "config/base_config.yaml")
    assert find_config("config/base_config.yaml", folder).resolve() == mine
    assert find_config(mine, folder) == mine


@pytest.mark.parametrize("name", ["quik", "grid", "models", "config/nothing.yaml", "quick.txt"])
def test_an_unknown_name_is_told_with_those_there_are(folder, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path / "configs" / "sweep")
    with pytest.raises(UserError) as caught:
        find_config(name, folder)
    assert "있는 것: quick, t5, base_config, default" in str(caught.value)
    assert name != "quik" or "혹시 quick" in str(caught.value)


# ── 읽기


def test_spellings_of_both_guides_are_taken(tmp_path):
    config = config_in(
        tmp_path, "training: {epochs: 21, batch_size: 9, learning_rate: 1e-5, label_smoothing_factor: .1}"
    )
    training = config.training
    assert (training.num_train_epochs, training.per_device_train_batch_size) == (21, 9)
    assert training.learning_rate == 1e-5
    assert training.label_smoothing == 0.1
    sources = config.sources()
    assert sources["training.num_train_epochs"].endswith("mine.yaml 1번째 줄(training.epochs)")
    assert sources["training.learning_rate"].endswith("mine.yaml 1번째 줄")
    assert sources["training.weight_decay"] == "기본값"


def test_two_spellings_that_agree_are_fine_and_that_differ_are_named(tmp_path):
    assert config_in(tmp_path, "training:\n  epochs: 4\n  num_train_epochs: '4'").training.epochs == 4
    with pytest.raises(UserError, match=r"2번째 줄의 training.epochs\(4\).*3번째 줄의 training.num_train_epochs\(5\)"):
        config_in(tmp_path, "training:\n  epochs: 4\n  num_train_epochs: 5")


@pytest.mark.parametrize(
    ("text", "name", "experiment"),
    [
        ("general: {model_name: 가/나}", "가/나", None),
        ("model: {checkpoint: 가/나}", "가/나", None),
        ("experiment: {name: 다}", "ko-bart-tiny", "다"),
        ("meta: {experiment_name: 다}", "ko-bart-tiny", "다"),
    ],
)
def test_two_fields_that_mean_the_same_go_together(tmp_path, text, name, experiment):
    config = config_in(tmp_path, text)
    assert config.general.model_name == config.model.checkpoint == name
    assert config.meta.experiment_name == config.experiment.name
    assert experiment in (None, config.experiment.name)


def test_the_checkpoint_wins_over_the_model_name_and_says_so(tmp_path):
    config = config_in(tmp_path, "general: {model_name: 가/나}\nmodel: {checkpoint: 다/라}")
    assert config.model.checkpoint == "다/라"
    assert ["model.checkpoint" in one for one in config.notices()] == [True]


def test_a_later_kind_of_warmup_replaces_the_earlier(tmp_path):
    steps = config_in(tmp_path, "training: {warmup_steps: 70}").training
    assert (steps.warmup_steps, steps.warmup_ratio) == (70, None)
    ratio = resolved({"training": {**trial_layer({"warmup_steps": 70})["training"], **ratio_layer()}}).training
    assert (ratio.warmup_steps, ratio.warmup_ratio) == (None, 0.3)


def ratio_layer() -> dict[str, Any]:
    return trial_layer({"warmup_ratio": 0.3})["training"]


@pytest.mark.parametrize(
    ("text", "enabled"),
    [
        ("mode: offline", True),
        ("mode: disabled", False),
        ("project: 가", False),
        ("enabled: false, mode: online", False),
    ],
)
def test_wandb_follows_its_mode_unless_enabled_is_written(tmp_path, text, enabled):
    assert config_in(tmp_path, f"wandb: {{{text}}}").wandb.enabled is enabled


def test_an_emptied_group_and_an_empty_file_are_the_defaults(tmp_path):
    for text in ("", "training:\ngeneral: {}\n", "# 아무것도 없음\n"):
        assert read_config_file(written(tmp_path, text)).values == {}


# ── 오류


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training:\n  epoch: 3", "mine.yaml 2번째 줄.*training.epoch.*혹시 epochs"),
        ("training:\n  lerning_rate: 3", "2번째 줄.*training.lerning_rate.*혹시 learning_rate"),
        ("\ntrainning: {epochs: 3}", "2번째 줄.*trainning.*혹시 training"),
        ("training:\n  learning_rate: 빠르게", "2번째 줄의 training.learning_rate.*'빠르게'.*수를"),
        ("training:\n  epochs: 2.5", r"2번째 줄\(training.epochs\)의 training.num_train_epochs.*정수를"),
        ("training: 3", "1번째 줄의 training.*사전이 아닙니다"),
        ("training:\n  learning_rate: {peak: 3}", "learning_rate.*수를"),
        (
            "model:\n  architecture: kobert",
            "2번째 줄의 model.architecture.*'kobart', 't5', 'mt5', 'kogpt2'.*혹시 kobart",
        ),
        ("wandb: {mode: onlin}", "wandb.mode.*혹시 online"),
        ("- training", "YAML이 아닙니다"),
        ("training: [", "YAML의 모양이 아닙니다"),
        ("training: {epochs: 3}\ntraining: {fp16: true}", "2번째 줄이.*YAML의 모양이 아닙니다.*training"),
        ("\ninherits: ../models/none.yaml", "2번째 줄의 inherits.*없습니다: ../models/none.yaml"),
        ("inherits: {a: 1}", "inherits에는 부모 파일의 경로를"),
    ],
)
def test_a_bad_file_is_one_sentence_with_file_line_and_nearest(tmp_path, text, said):
    with pytest.raises(UserError, match=said) as caught:
        read_config_file(written(tmp_path, text))
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert problems_in(tmp_path / "mine.yaml") == [str(caught.value)]


def test_a_group_that_is_also_a_value_is_told(tmp_path):
    with pytest.raises(UserError, match="1번째 줄의 training에는 값이 아니라 항목들을"):
        read_config_file(written(tmp_path, "training: 3\ntraining.epochs: 4"))


def test_a_parent_given_by_name_is_told_with_its_path(tmp_path):
    written(tmp_path, "training: {epochs: 4}", "task/configs/experiments/quick.yaml")
    for place, way in {"my.yaml": "task/configs/experiments", "task/configs/models/my.yaml": "../experiments"}.items():
        path = written(tmp_path, "inherits: quick", place)
        with pytest.raises(UserError, match=f"혹시 {way}/quick.yaml 인가요"):
            read_config_file(path)


def test_a_missing_parent_is_told_with_what_lies_there(tmp_path):
    written(tmp_path, "", "models/kobart.yaml")
    path = written(tmp_path, "inherits: ../models/kobrt.yaml", "experiments/mine.yaml")
    with pytest.raises(UserError, match="혹시 kobart.yaml 인가요.*있는 것: kobart.yaml"):
        read_config_file(path)


def test_every_problem_of_a_file_is_listed(tmp_path):
    path = written(tmp_path, "training:\n  epoch: 3\n  fp16: 가\ngeneral: {seed: -1}\nmodel: {size: 3}")
    problems = problems_in(path)
    assert len(problems) == 4
    for one, said in zip(problems, ("training.epoch", "training.fp16", "general.seed", "model.size"), strict=True):
        assert said in one
    assert problems_in(written(tmp_path, "training: {epochs: 3}")) == []
    assert "같은 것을 다르게" in problems_in(written(tmp_path, "training: {epochs: 3, num_epochs: 4}"))[0]


# ── 파일이 아닌 곳


def test_environment_variables_are_cast_and_remembered():
    given = {"LEARNING_RATE": "1e-4", "BATCH_SIZE": "9", "NUM_EPOCHS": "4", "MODEL_NAME": "가/나", "OUTPUT_DIR": "결과"}
    given |= {"WANDB_PROJECT": "다", "WANDB_ENTITY": "", "WANDB_MODE": "offline", "PATH": "/bin"}
    config = config_of(environment_layer(given))
    assert (config.training.learning_rate, config.training.batch_size, config.training.epochs) == (1e-4, 9, 4)
    assert config.general.model_name == config.model.checkpoint == "가/나"
    assert (config.general.output_dir, config.wandb.project, config.wandb.mode) == ("결과", "다", "offline")
    assert config.wandb.entity is None
    assert config.sources()["training.learning_rate"] == "환경 변수 LEARNING_RATE"
    with pytest.raises(UserError, match="환경 변수 BATCH_SIZE의 training.per_device_train_batch_size.*정수를"):
        environment_layer({"BATCH_SIZE": "많이"})


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--num_epochs", "5"], "training.num_train_epochs", 5),
        (["--num-epochs=5"], "training.num_train_epochs", 5),
        (["--epochs", "5"], "training.num_train_epochs", 5),
        (["training.learning_rate=1e-4"], "training.learning_rate", 1e-4),
        (["--training.learning-rate", "1e-4"], "training.learning_rate", 1e-4),
        (["learning_rate=1e-4"], "training.learning_rate", 1e-4),
        (["--length_penalty", "-0.5"], "generation.length_penalty", -0.5),
        (["--gradient_checkpointing", "--num_beams", "3"], "training.gradient_checkpointing", True),
        (["--experiment.tags=[가, 나]"], "experiment.tags", ["가", "나"]),
        (["--train-data", "내 글.csv"], "data.train", "내 글.csv"),
        (["--val-data", "검증.csv"], "data.dev", "검증.csv"),
        (["wandb.entity=null"], "wandb.entity", None),
        (["model_name=a=b"], "general.model_name", "a=b"),
        (["--num_epochs", "5", "--num_epochs", "6"], "training.num_train_epochs", 6),
        ({"batch_size": 7}, "training.per_device_train_batch_size", 7),
    ],
)
def test_words_of_the_command_line(words, name, value):
    config = config_of(command_line_layer(words))
    assert config[name] == value
    assert config.sources()[name].startswith("명령줄")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--num_epoch", "3"], "num_epoch.*혹시 num_epochs"),
        (["quick"], "모양이 아닙니다: quick"),
        (["training.epoch=3"], "training.epoch.*혹시 epochs"),
        (["tags=가"], "experiment.tags 또는 wandb.tags"),
        (["--epochs", "3", "--num_epochs", "4"], r"epochs\('3'\).*num_epochs\('4'\)"),
        (["learning_rate=빠르게"], "training.learning_rate.*수를"),
        (["banana=3"], "모르는 항목이 있습니다: banana"),
    ],
)
def test_a_bad_word_is_one_sentence(words, said):
    with pytest.raises(UserError, match=said) as caught:
        command_line_layer(words)
    assert "명령줄" in str(caught.value) or "모양이 아닙니다" in str(caught.value)


def test_a_trial_may_be_flat_dotted_or_nested():
    trial = {"learning_rate": 3e-5, "training.epochs": 7, "generation": {"num_beams": 6}}
    config = config_of(trial_layer(trial))
    assert (config.training.learning_rate, config.training.epochs, config.generation.num_beams) == (3e-5, 7, 6)
    assert config.sources()["training.learning_rate"] == "시도"
    assert trial_layer(None) == trial_layer({}) == {}
    with pytest.raises(UserError, match="시도.*많이"):
        trial_layer({"num_beams": "많이"})


# ── 옛 파일


def test_an_old_file_is_migrated_by_itself(tmp_path):
    config = config_in(tmp_path, OLD)
    assert config.data.train == "../data/train.csv"
    assert config.data.dev == "../data/dev.csv"
    assert config.model.checkpoint == "digit82/kobart-summarization"
    assert config.tokenizer.speaker_tags == ["#Person1#", "#Person2#", "#PhoneNumber#"]
    assert (config.tokenizer.encoder_max_len, config.tokenizer.decoder_max_len) == (509, 97)
    assert (config.training.epochs, config.training.batch_size, config.training.eval_batch_size) == (21, 50, 34)
    assert (config.general.seed, config.training.early_stopping_patience) == (43, 4)
    assert (config.wandb.enabled, config.wandb.entity, config.experiment.name) == (True, "우리팀", "우리실험")
    generation = {"no_repeat_ngram_size": 3, "early_stopping": False, "max_length": 101, "num_beams": 5}
    assert {name: config.generation[name] for name in generation} == generation
    prediction = {"checkpoint": "model/ckpt", "result_path": "./prediction/", "batch_size": 33}
    assert {name: config.prediction[name] for name in prediction} == prediction
    assert config.prediction.remove_tokens == ["<usr>", "<s>"]


def test_what_an_old_file_asks_for_in_vain_is_said(tmp_path):
    config = config_in(tmp_path, OLD)
    assert set(config.unused) == {"training.save_strategy", "training.logging_strategy"}
    assert len(config.notices()) == 2


@pytest.mark.parametrize("report", ["none", "[tensorboard]"])
def test_an_old_file_that_reports_elsewhere_keeps_wandb_off(tmp_path, report):
    text = OLD.replace("report_to: wandb", f"report_to: {report}")
    assert not config_in(tmp_path, text).wandb.enabled


def test_migrating_writes_a_file_that_says_the_same(tmp_path):
    before = config_in(tmp_path, OLD)
    values = migrate(tmp_path / "mine.yaml", tmp_path / "new.yaml")
    assert yaml.safe_load((tmp_path / "new.yaml").read_text(encoding="utf-8")) == values
    assert not {"inference", "unused"} & set(values)
    assert values["training"]["learning_rate"] == 1e-5
    assert problems_in(tmp_path / "new.yaml") == []
    after = resolved(read_config_file(tmp_path / "new.yaml").values)
    after.unused = before.unused
    assert after == before


def test_migrating_keeps_the_parents(tmp_path):
    written(tmp_path, "general: {seed: 5}", "base/default.yaml")
    path = written(tmp_path, "inherits: ../base/default.yaml\ntraining: {epochs: 4}", "experiments/mine.yaml")
    migrate(path, tmp_path / "new.yaml")
    assert read_config_file(tmp_path / "new.yaml").parents == read_config_file(path).parents
    assert plain(read_config_file(tmp_path / "new.yaml").values) == {"training": {"num_train_epochs": 4}}


def test_an_old_section_in_a_new_file_is_unknown(tmp_path):
    with pytest.raises(UserError, match="모르는 항목이 있습니다: inference"):
        config_in(tmp_path, "model: {architecture: t5}\ninference: {num_beams: 3}")
