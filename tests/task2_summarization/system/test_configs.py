"""1단계의 해답과 우리 설정 파일들: 가이드에 적힌 대로 읽히고, 파일마다 바꾸는 것만 적혀 있습니다."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from course.home import ROOT
from nlpbook.errors import UserError
from nlpbook.summarization import SummarizationConfig
from nlpbook.summarization.config_files import config_names, read_config_file
from nlpbook.summarization.layers import leaves
from nlpbook.summarization.spellings import ENVIRONMENT

FOLDER = ROOT / "solutions" / "task2-summarization"
FILES = sorted(path for path in (FOLDER / "configs").rglob("*.yaml") if path.parent.name != "sweep")
LEARNING = [
    path for path in FILES if path.name != "base_config.yaml"
]  # base_config는 무엇이 있는지 다 보여 주는 파일입니다.


# 기본값과 같아도 적는 것: 어떤 모델의 파일인지, 그리고 WANDB_MODE만으로는 켜지지 않게 꺼 둔 W&B.
SPOKEN_OUT = {"model.checkpoint", "wandb.enabled"}


@pytest.fixture
def step1(load, monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    return load(1)


def name_of(path: Path) -> str:
    return path.relative_to(FOLDER / "configs").as_posix()


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    return subprocess.run(
        [sys.executable, "step1_config_and_model.py", *words],
        cwd=FOLDER,
        env={**given, "PYTHONUTF8": "1", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_of_ours_is_right(step1, path):
    assert step1.ConfigManager().validate_config_file(path) == []
    assert step1.load_config(path).notices() == []
    assert step1.load_config(path.stem) == step1.load_config(path)


@pytest.mark.parametrize("path", LEARNING, ids=name_of)
def test_a_file_says_only_what_it_changes(step1, path):
    """물려받은 것과 같은 값을 다시 적으면, 바탕을 고쳐도 이 파일은 따라오지 않습니다."""
    file = read_config_file(path)
    inherited: dict[str, Any] = {}
    for parent in file.parents:
        inherited = step1.merged(inherited, step1.with_inheritance(parent))
    before, after = step1.resolved(inherited), step1.load_config(path)
    written = [".".join(key) for key, one in leaves(file.values) if "줄의 " not in one.source and one.value is not None]
    assert [name for name in written if before[name] == after[name] and name not in SPOKEN_OUT] == []


def test_every_model_of_the_guide_has_its_file(step1):
    checkpoints = {
        "kobart": "digit82/kobart-summarization",
        "t5": "paust/pko-t5-small",
        "mt5": "google/mt5-small",
        "kogpt2": "skt/kogpt2-base-v2",
    }
    for name, checkpoint in checkpoints.items():
        model = step1.load_config(name).model
        assert (model.architecture, model.checkpoint, model.load_pretrained) == (name, checkpoint, True)


def test_baseline_kobart_has_the_values_of_the_guide(step1):
    config = step1.load_config("baseline_kobart")
    training = config.training
    assert (training.epochs, training.batch_size, training.eval_batch_size) == (20, 50, 50)
    assert (training.learning_rate, training.weight_decay, training.warmup_steps) == (1e-5, 0.01, 500)
    assert (training.save_total_limit, training.logging_steps, training.dataloader_num_workers) == (3, 100, 4)
    assert (training.fp16, training.overwrite_output_dir) == (True, True)
    assert training.metric_for_best_model == "eval_rouge_sum"
    assert (config.generation.max_length, config.generation.num_beams) == (100, 4)
    assert (config.wandb.enabled, config.wandb.active, config.wandb.project) == (True, True, "nlp-competition")
    assert (config.experiment.name, config.experiment.tags) == ("baseline_kobart", ["baseline", "kobart"])
    assert config.general.output_dir == "./outputs"


def test_base_config_has_the_values_of_the_guide(step1):
    config = step1.load_config("config/base_config.yaml")
    assert config.meta.to_dict() == {
        "experiment_name": "dialogue_summarization",
        "version": "1.0",
        "description": "대화 요약 기본 실험",
    }
    assert (config.general.seed, config.general.device, config.general.output_dir) == (42, "auto", "./outputs")
    assert config.general.model_name == config.model.checkpoint == "digit82/kobart-summarization"
    assert (config.tokenizer.encoder_max_len, config.tokenizer.decoder_max_len) == (512, 128)
    training = config.training
    assert (training.batch_size, training.learning_rate, training.epochs) == (16, 5e-5, 3)
    assert (training.warmup_ratio, training.fp16) == (0.1, True)
    generation = {"num_beams": 4, "length_penalty": 1.0, "no_repeat_ngram_size": 2, "max_length": 100}
    assert {name: config.generation[name] for name in generation} == generation
    assert (config.wandb.project, config.wandb.entity) == ("nlp-dialogue-summarization", None)
    assert (config.wandb.mode, config.wandb.active) == ("online", True)


def test_quick_needs_neither_network_nor_account(step1):
    config = step1.load_config()
    assert config == step1.load_config("quick")
    assert config.model.checkpoint == SummarizationConfig().model.checkpoint
    assert not step1.load_config("quick", environment={"WANDB_MODE": "online"}).wandb.active


def test_the_guides_debug_mode_works(step1):
    config = step1.load_config("baseline_kobart")
    config.training.epochs = 2
    config.training.batch_size = 4
    config.wandb.enabled = False
    assert (config.training.num_train_epochs, config.training.per_device_train_batch_size) == (2, 4)
    assert not config.wandb.active
    assert dict(config)["training"]["epochs"] == 2


def test_the_guides_command_lines_and_environment_work(step1):
    given = {"LEARNING_RATE": "1e-4", "BATCH_SIZE": "8"}
    config = step1.load_config("config/base_config.yaml", environment=given)
    assert (config.training.learning_rate, config.training.batch_size) == (1e-4, 8)
    words = ["--train-data", "../data/train.csv", "--val-data", "../data/dev.csv"]
    config = step1.load_config("config/base_config.yaml", words)
    assert (config.data.train, config.data.dev) == ("../data/train.csv", "../data/dev.csv")


def test_the_manager_of_the_guide_works(step1, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manager = step1.ConfigManager()
    assert manager.load_config("config/base_config.yaml") == step1.load_config("base_config")
    assert manager.validate_config_file("config/base_config.yaml") == []
    (tmp_path / "one.yaml").write_text("inherits: two.yaml\ngeneral: {seed: 5}", encoding="utf-8")
    (tmp_path / "two.yaml").write_text("inherits: one.yaml", encoding="utf-8")
    (problem,) = manager.validate_config_file("one.yaml")
    assert "one.yaml → two.yaml → one.yaml" in problem
    (problem,) = manager.validate_config_file("no_such")
    assert "있는 것: baseline_kobart, quick" in problem
    (tmp_path / "two.yaml").write_text("training:\n  epoch: 3", encoding="utf-8")
    (problem,) = manager.validate_config_file("one.yaml")
    assert "two.yaml 2번째 줄" in problem
    with pytest.raises(UserError, match="two.yaml 2번째 줄"):
        manager.load_config("one.yaml")


def test_names_that_can_be_called_are_all_ours(step1):
    assert set(config_names(step1.CONFIGS)) == {path.stem for path in FILES}


@pytest.mark.slow
def test_the_step_shows_every_value_with_its_origin():
    shown = run("baseline_kobart", "--num_epochs", "5", LEARNING_RATE="1e-4")
    assert shown.returncode == 0, shown.stderr
    lines = {line.strip() for line in shown.stdout.splitlines()}
    assert "num_train_epochs: 5  # 명령줄(num_epochs)" in lines
    assert "learning_rate: 0.0001  # 환경 변수 LEARNING_RATE" in lines
    assert "weight_decay: 0.01  # 기본값" in lines
    assert any(line.startswith("warmup_steps: 500  # ") and "baseline_kobart.yaml" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["baseline"], ["quick", "--num_epoch", "3"], ["model.architecture=kobert"]])
def test_a_mistake_on_the_command_line_is_one_sentence(words):
    shown = run(*words)
    assert shown.returncode == 1
    assert shown.stderr.startswith("오류: ")
    assert "혹시" in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
