"""탐색(6, 7단계)을 끝에서 끝까지: 가이드의 명령, 다시 읽지 않는 시도, 시작하기 전의 거절."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from course.checks.loading import load_step
from nlpbook.errors import UserError
from nlpbook.paths import ROOT
from nlpbook.sweeps.config import read_sweep, sweep_names

HOME = ROOT / "solutions" / "task2-summarization"
SHIPPED = sweep_names(HOME / "configs" / "sweep")
LEAST = ["data.max_train_samples=24", "data.max_eval_samples=4", "training.num_train_epochs=2"]
TINY = """
method: grid
metric: {{name: rouge_combined_f1, goal: maximize}}
parameters:
  base_config: {{value: quick}}
  generation.num_beams: {{value: 1}}
  generation.max_length: {{value: 12}}
  training.per_device_train_batch_size: {{value: 12}}
  learning_rate: {{values: {rates}}}
"""


@pytest.fixture(scope="module")
def step6():
    """6단계의 모듈."""
    return load_step(HOME, "step6_sweep_runner")


@pytest.fixture
def tiny_sweep(tmp_path):
    def write(rates, name="tiny") -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(TINY.format(rates=rates), encoding="utf-8")
        return path

    return write


def ran(step: str, *words: str, environment: dict | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, str(HOME / step), *map(str, words)]
    env = {**os.environ, "PYTHONUTF8": "1", **(environment or {})}
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=env, timeout=600)


@pytest.mark.slow
def test_a_sweep_leaves_the_best_model_where_it_says(tiny_sweep, tmp_path):
    words = ["--base-config", "configs/base_config.yaml", "--sweep-config", tiny_sweep([2e-3, 1e-6])]
    done = ran("step6_sweep_runner.py", *words, f"output_dir={tmp_path / 'outputs'}", *LEAST)
    assert done.returncode == 0, done.stderr + done.stdout
    folder = tmp_path / "outputs" / "sweep_tiny"
    summary = json.loads((folder / "sweep_summary.json").read_text(encoding="utf-8"))
    lines = [json.loads(one) for one in (folder / "all_sweep_results.jsonl").read_text(encoding="utf-8").splitlines()]
    best = max(lines, key=lambda one: one["value"])
    assert summary["best_rouge_combined_f1"] == best["value"]
    model = tmp_path / summary["best_model_path"]
    assert (model / "model.safetensors").is_file()
    results = json.loads((model.parents[1] / "training_results.json").read_text(encoding="utf-8"))
    assert results["eval_metrics"]["eval_rouge_combined_f1"] == best["value"]  # 가장 좋은 에포크의 것
    assert not (model.parents[1] / "checkpoints").exists()
    assert len(list((tmp_path / "outputs" / "experiments").iterdir())) == 2


@pytest.mark.slow
def test_a_warm_trial_equals_a_fresh_one(step6, tiny_sweep, tmp_path):
    """앞의 시도가 무엇을 배웠든, 다음 시도는 새 프로세스에서 한 것과 같습니다."""
    from safetensors.torch import load_file

    base = step6.base_of("quick", LEAST)

    def weights(rate: float, number: int) -> dict:
        context = step6.TrialContext(number, tmp_path / "outputs", base, lambda step, metrics: None)
        parameters = {"learning_rate": rate, "generation.num_beams": 1, "generation.max_length": 12}
        step6.run_trial(parameters, context)
        return load_file(tmp_path / context.facts["model"] / "model.safetensors")

    fresh = weights(2e-3, 0)
    key = step6.WARM.key
    weights(5e-3, 1)
    assert step6.WARM.key == key  # 다시 읽지 않았습니다
    again = weights(2e-3, 2)
    assert all((fresh[name] == again[name]).all() for name in fresh)


@pytest.mark.slow
def test_workers_share_a_sweep(tiny_sweep, tmp_path):
    words = ["--single_parallel", tiny_sweep([1e-3, 2e-3]), "--num_workers", "2"]
    done = ran("step7_parallel_sweep_runner.py", *words, f"output_dir={tmp_path / 'outputs'}", *LEAST)
    assert done.returncode == 0, done.stderr + done.stdout
    text = (tmp_path / "outputs" / "sweep_tiny" / "all_sweep_results.jsonl").read_text(encoding="utf-8")
    assert {json.loads(one)["slot"] for one in text.splitlines()} == {0, 1}
    assert (tmp_path / "sweep_results" / "logs" / "worker_1.log").is_file()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_sweeps_fit_the_settings(step6, name, monkeypatch):
    sweep = read_sweep(SHIPPED[name], step6.METRIC)
    step6.prepare(sweep, step6.base_of("configs/base_config.yaml", []))


def test_the_guides_files_are_all_there():
    wanted = {"hyperparameter_sweep", "model_comparison_sweep", "ablation_sweep", "quick_test"}
    assert wanted <= set(SHIPPED)
    for name in (*(wanted - {"quick_test"}), "quick_test", "parallel_sweep"):
        for suffix in ("sh", "bat"):
            assert (HOME / "scripts" / f"run_{name}.{suffix}").is_file()
    points = read_sweep(SHIPPED["model_comparison_sweep"]).varied
    assert len(points["model_config"].facts["values"]) * len(points["seed"].facts["values"]) == 16


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("learning_rat: {value: 1}", "learning_rat.*혹시 learning_rate"),
        ("learning_rate: {values: [fast, slow]}", "'fast'.*수를 적어"),
        ("label_smoothing: {min: 0.1, max: 1.5}", "0.9 이하"),
        ("tags: {value: [a]}", "experiment.tags 또는 wandb.tags"),
        ("batch_size: {value: 4}\n  training.batch_size: {value: 8}", "같은 것\\(training.per_device_train"),
        ("model_config: {values: [kobart, kobert]}", "kobert.*혹시 kobart"),
        ("model.architecture: {values: [kobart, t5]}\n  model.checkpoint: {values: [a, b]}", "model_config"),
    ],
)
def test_what_no_trial_could_use_is_refused_before_the_start(step6, tmp_path, parameters, words):
    path = tmp_path / "mine.yaml"
    path.write_text(f"method: random\nparameters:\n  {parameters}\n", encoding="utf-8")
    with pytest.raises(UserError, match=words):
        step6.prepare(read_sweep(path, step6.METRIC), step6.base_of("quick", []))


def test_a_metric_no_evaluation_measures_is_refused(step6, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "method: random\nmetric: {name: best/bleu, goal: maximize}\nparameters: {seed: {values: [5, 8]}}\n",
        encoding="utf-8",
    )
    with pytest.raises(UserError, match="모르는 지표입니다: bleu"):
        step6.prepare(read_sweep(path), step6.base_of("quick", []))


def test_the_shell_does_not_override_a_trial(step6, monkeypatch, capsys):
    monkeypatch.setenv("LEARNING_RATE", "0.7")
    base = step6.base_of("quick", [])
    assert step6.trial_config({"learning_rate": 3e-5}, base).training.learning_rate == 3e-5
    assert step6.trial_config({"batch_size": 4}, base).training.learning_rate == 0.7
    step6.prepare(read_sweep(SHIPPED["hyperparameter_sweep"], step6.METRIC), base)
    assert "환경 변수 LEARNING_RATE는 쓰지 않습니다" in capsys.readouterr().out


def test_a_model_that_cannot_be_reached_is_skipped_by_name(step6, monkeypatch, tmp_path):
    def refuse(name):
        raise UserError(f"허브의 모델 '{name}'을(를) 받을 수 없습니다")

    monkeypatch.setattr(step6, "resolve_pretrained", refuse)
    context = step6.TrialContext(0, tmp_path, step6.base_of("quick", []), lambda step, metrics: None)
    with pytest.raises(step6.Skipped, match="kogpt2: 허브의 모델 'skt/kogpt2-base-v2'"):
        step6.run_trial({"model_config": "kogpt2"}, context)


def test_a_pair_brings_its_architecture_and_checkpoint(step6):
    config = step6.trial_config({"model_config": "mt5", "seed": 23}, step6.base_of("configs/base_config.yaml", []))
    assert (config.model.architecture, config.model.checkpoint) == ("mt5", "google/mt5-small")
    assert config.general.seed == 23
    assert config.training.learning_rate == 5e-4  # mt5.yaml의 것


def test_an_unknown_sweep_is_one_sentence(step6, capsys):
    words = step6.arguments_of(["--sweep_config", "hyperparameter_swep"])
    with pytest.raises(SystemExit) as stopped:
        step6.run(step6.cli, words)
    assert stopped.value.code == 1
    assert "혹시 hyperparameter_sweep 인가요" in capsys.readouterr().err
