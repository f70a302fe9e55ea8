"""여러 프로세스로 학습하고, W&B에 적습니다."""

from __future__ import annotations

import re

import pytest
import torch

from nlpbook.language.config import LMConfig
from nlpbook.language.runs import load_model
from tests.task3_lm.system.running import FOLDER, STEP5, alone, finished, options, slow, state_of

if not FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)


@slow
def test_two_processes_train_without_hanging_and_measure_like_one(steps, tmp_path):
    """검증 창은 홀수 개라 둘이 나누면 하나를 되풀이해 읽지만, 두 번 세지 않습니다."""
    changes = {"devices": 2, "strategy": "ddp", "num_epochs": 1, "precision": "32-true", "val_ratio": 0.21}
    done = finished(alone(STEP5, "train", *options(tmp_path, **changes)))
    assert done.stdout.count("실행 폴더:") == len(re.findall(r"Epoch 1/1 +100 %", done.stdout)) == 1
    folder = tmp_path / "task3-lm" / "tiny-1"
    assert {path.name for path in folder.parent.iterdir()} == {"tiny-1", "tokens"}
    state = state_of(folder, "best_model.pt")
    assert len(state["rng_states"]) == 2
    assert not torch.equal(state["rng_states"][0]["torch"], state["rng_states"][1]["torch"])

    model = load_model(steps.step2.GPT, folder / "checkpoints" / "best_model.pt")
    config = LMConfig.from_dict(state["config"] | {"devices": 1, "strategy": "auto"})
    one = steps.step4.Trainer(model, steps.step1.LMData(config), config)
    assert len(one.val_loader.dataset) % 2 == 1
    assert one.evaluate().loss == pytest.approx(state["best_val_loss"], abs=1e-6)


@slow
def test_training_is_written_to_wandb_without_a_network(tmp_path):
    pytest.importorskip("wandb")
    changes = {"wandb_project": "task3-lm-test", "num_epochs": 1, "stride": 200}
    finished(alone(STEP5, "train", *options(tmp_path, **changes), WANDB_MODE="offline", WANDB_SILENT="true"))
    assert list((tmp_path / "task3-lm" / "tiny-1" / "wandb").glob("offline-run-*/*.wandb"))
