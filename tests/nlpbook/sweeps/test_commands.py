"""설정 클래스로 옵션을 만드는 과제의 `sweep` 명령: 감성분석과 언어 모델이 씁니다."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from nlpbook.cli import Options, new_app, run
from nlpbook.paths import ROOT
from nlpbook.settings import Settings, option
from nlpbook.sweeps.commands import Sweepable
from nlpbook.sweeps.config import read_sweep, sweep_names
from nlpbook.tracking import Tracker

SEEN: list = []


@dataclass
class Config(Settings):
    learning_rate: float = option(0.5, "학습률.", min=0, max=1)
    num_epochs: int = option(3, "에포크 수.", min=1)
    output: str = option("", "결과의 폴더.")
    job_name: str = option("", "이름.")
    job_version: str = option("", "버전.")


def train(options: Options) -> None:
    """학습률이 0.3에 가까울수록 손실이 작습니다. 학습의 값과 검증의 값을 번갈아 적습니다."""
    config = Config.of(options)
    SEEN.append((config.learning_rate, config.num_epochs))
    folder = Path(config.output) / "project" / f"{config.job_name}-{config.job_version}"
    (folder / "model").mkdir(parents=True)
    tracker = Tracker()
    for epoch in range(1, config.num_epochs + 1):
        tracker.log(epoch * 100, loss=9.0)
        tracker.log(epoch * 100, val_loss=abs(config.learning_rate - 0.3) + (1.0 if epoch == 1 else 0.1 * epoch))


@pytest.fixture
def sweepable(tmp_path):
    SEEN.clear()
    folder = tmp_path / "configs" / "sweep"
    folder.mkdir(parents=True)
    (folder / "rates.yaml").write_text(
        "method: grid\nparameters:\n  learning_rate: {values: [0.1, 0.3]}\n", encoding="utf-8"
    )
    return Sweepable(tmp_path / "step.py", "SWEEP", Config, train, metric="val_loss", goal="minimize")


def ran(sweepable, *words) -> int:
    app = new_app("시험")
    app.command("other")(lambda: None)
    sweepable.add_to(app)
    with pytest.raises(SystemExit) as stopped:
        run(app, ["sweep", *words])
    return stopped.value.code


def test_the_best_evaluation_of_each_trial_counts(sweepable, tmp_path):
    outputs = tmp_path / "outputs"
    assert ran(sweepable, "rates", "num_epochs=4", "--output", str(outputs)) == 0
    assert SEEN == [(0.1, 4), (0.3, 4)]
    folder = outputs / "sweep_rates"
    summary = json.loads((folder / "sweep_summary.json").read_text(encoding="utf-8"))
    assert summary["best_val_loss"] == pytest.approx(0.2)  # 두 번째 검증의 것
    assert summary["best_params"] == {"learning_rate": 0.3}
    assert (tmp_path / summary["best_model_path"]).is_dir()
    lines = (folder / "all_sweep_results.jsonl").read_text(encoding="utf-8").splitlines()
    assert list(json.loads(lines[0])["steps"]) == ["1", "2", "3", "4"]  # 검증의 횟수
    assert (folder / "report.html").is_file()


def test_what_an_option_does_not_take_is_refused_first(sweepable, tmp_path, capsys):
    assert ran(sweepable, "rates", "num_epoch=4", "--output", str(tmp_path / "outputs")) == 1
    assert "혹시 num_epochs 인가요" in capsys.readouterr().err
    path = tmp_path / "wrong.yaml"
    path.write_text("method: grid\nparameters:\n  learning_rate: {values: [0.1, 1.5]}\n", encoding="utf-8")
    assert ran(sweepable, str(path), "--output", str(tmp_path / "outputs")) == 1
    assert "wrong.yaml 3번째 줄: learning_rate에 맞지 않는 값입니다: 1.5. 1 이하" in capsys.readouterr().err
    path.write_text("method: grid\nparameters:\n  output: {values: [a]}\n", encoding="utf-8")
    assert ran(sweepable, str(path), "--output", str(tmp_path / "outputs")) == 1
    assert SEEN == []


@pytest.mark.parametrize(
    ("task", "module", "kind", "metric"),
    [
        ("task1-cls", "classification", "TrainConfig", "val_acc"),
        ("task3-lm", "language", "LMConfig", "val_loss"),
    ],
)
def test_the_shipped_sweeps_of_the_other_tasks_fit(task, module, kind, metric):
    import importlib

    settings = getattr(importlib.import_module(f"nlpbook.{module}.config"), kind)
    one = Sweepable(ROOT / "solutions" / task / "step5.py", "SWEEP", settings, train, metric)
    names = sweep_names(one.sweeps)
    assert names
    for path in names.values():
        one._prepare(read_sweep(path, metric), {"options": {}})


def test_other_commands_do_not_wait_for_the_engine():
    code = "import nlpbook.sweeps.commands, sys; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
