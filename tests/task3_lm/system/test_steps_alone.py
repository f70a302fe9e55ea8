"""단계 파일과 시연을 하나씩 실행해 봅니다."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from course.home import ROOT
from nlpbook.language.config import LMConfig, TestConfig
from tests.task3_lm.system.running import FOLDER, STEP1, STEP2, STEP3, STEP4, alone, finished, slow, words

if not FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """다른 곳에 놓인 강의. 결과가 이 저장소의 output/에 쌓이지 않습니다."""
    root = tmp_path_factory.mktemp("elsewhere") / "강의 폴더"
    for name in ("nlpbook", "data/lm-sample", "solutions/task3-lm"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("todo.py", "console_text.py", "command_line.py"):
        shutil.copy(ROOT / name, root)
    return root / "solutions" / "task3-lm"


@slow
def test_step1_shows_tokens_and_windows(project, tmp_path):
    done = finished(alone(project / STEP1.name, cwd=tmp_path))
    assert re.search(r"학습 [\d,]{7,}바이트 = [\d,]+토큰", done.stdout)
    assert "길이 256" in done.stdout
    assert "(8, 256)" in done.stdout


@slow
def test_step2_shows_a_model_that_guesses_at_random(project, tmp_path):
    done = finished(alone(project / STEP2.name, cwd=tmp_path))
    loss, chance = map(float, re.search(r"손실 ([\d.]+)\. .*= ([\d.]+)입니다", done.stdout).groups())
    assert loss == pytest.approx(chance, abs=0.3)
    assert "옛날 옛적에" in done.stdout


@slow
def test_step3_shows_loss_groups_and_a_picture(project, tmp_path):
    done = finished(alone(project / STEP3.name, cwd=tmp_path))
    assert re.search(r"배우기 전: 손실 [\d.]+, 혼란도 [\d,]+", done.stdout)
    assert "weight_decay 0.1" in done.stdout
    assert "weight_decay 0.0" in done.stdout
    picture = project.parents[1] / "output" / "task3-lm" / "learning_rate.png"
    assert picture.read_bytes().startswith(PNG)


@slow
def test_step4_uses_its_config_and_lets_options_override_it(project, tmp_path):
    """`my_config` 딕셔너리에 적은 값으로 학습하고, 명령줄의 옵션은 그보다 앞섭니다."""
    script = project / STEP4.name
    source = script.read_text(encoding="utf-8")
    changed = source.replace("\nmy_config = {}\n", '\nmy_config = {"batch_size": 5, "dropout": 0.3}\n')
    script.write_text(changed, encoding="utf-8")
    assert changed != source
    small = {"d_embed": 16, "num_layers": 1, "max_seq_len": 16, "num_epochs": 1, "dropout": 0.2, "stride": 400}
    done = finished(alone(script, *words({**small, "job_version": "x", "sample_tokens": 2}), cwd=tmp_path))
    assert "Epoch 1/1" in done.stdout
    saved = json.loads(
        (project.parents[1] / "output" / "task3-lm" / "lm-sample-x" / "arguments.json").read_text(encoding="utf-8")
    )
    assert {name: saved[name] for name in small} == small
    assert (saved["batch_size"], saved["num_heads"], saved["learning_rate"]) == (5, 4, 3e-4)


def test_the_demo_asks_only_for_what_the_commands_know(steps, monkeypatch):
    spec = importlib.util.spec_from_file_location("lm_demo", FOLDER / "demo.py")
    demo = importlib.util.module_from_spec(spec)
    sys.modules.update({steps.step4.__name__: steps.step4, steps.step5.__name__: steps.step5})
    spec.loader.exec_module(demo)
    asked = []
    monkeypatch.setattr(demo.step4, "train", asked.append)
    monkeypatch.setattr(demo.step5, "test", asked.append)
    monkeypatch.setattr(demo, "find_run", lambda choice: 1 / 0)  # 여기까지만 봅니다.
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    with pytest.raises(ZeroDivisionError):
        demo.main()
    train, test = asked
    assert LMConfig.of(train).num_epochs == train["num_epochs"]
    assert TestConfig.of(test).job_name == LMConfig.of(train).job_name == "demo"
    assert train.given == set(train)
