"""학습이 무엇을 남기고, 손실이 무너지거나 나아지지 않을 때 어떻게 되는지 봅니다."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path

import pytest
import torch

from nlpbook.errors import UserError
from nlpbook.language.runs import RunFolder, load_model
from nlpbook.loaders import evaluation_loader
from tests.bits import same
from tests.task3_lm.checks import support
from tests.task3_lm.system.moments import LOSS_OF_NAN, WEIGHTS_OF_NAN, at
from tests.task3_lm.system.running import (
    FOLDER,
    STEP4,
    STEP5,
    explained,
    finished,
    options,
    run,
    slow,
    state_of,
    words,
)

if not FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)
PNG = b"\x89PNG"


def test_training_leaves_everything_a_user_needs(trained):
    for name in ("arguments.json", "train.log", "samples.txt", "checkpoints/best_model.pt", "checkpoints/last.pt"):
        assert (trained / name).stat().st_size > 0, name
    assert (trained / "learning_curve.png").read_bytes().startswith(PNG)
    assert any((trained / "tensorboard").iterdir())
    assert not list(trained.parent.rglob("*.tmp"))
    assert (trained / "samples.txt").read_text(encoding="utf-8").count("옛날 옛적에") == 3
    with (trained / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [state_of(trained)["position"]["step"] // 3 * n for n in (1, 2, 3)]
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])


def test_epochs_are_reported_in_the_form_of_the_guide(trained):
    number = r"[\d,]+\.\d+"
    form = (
        r"Epoch 1/3\n"
        rf"  Train Loss: {number}, PPL: {number}, Acc: 0\.\d+.*\n"
        rf"  Val   Loss: {number}, PPL: {number}, Acc: 0\.\d+.*\n"
        r"  LR: \d\.\de-\d\d\n"
        rf"  ✅ 최고 모델 저장! \(Val Loss: {number}\)\n"
    )
    for name in ("printed.txt", "train.log"):
        text = re.sub(r"(?m)^[\d-]+ [\d:,]+ ", "", (trained / name).read_text(encoding="utf-8"))
        assert re.search(form, text), text


def test_evaluation_repeats_the_validation_loss_of_the_best_model(trained):
    done = finished(run(STEP5, "test", "--output", str(trained.parents[1])))
    saved = json.loads((trained / "test.json").read_text(encoding="utf-8"))
    assert saved["test_loss"] == pytest.approx(state_of(trained, "best_model.pt")["best_val_loss"], abs=0.02)
    assert saved["data"] == str(support.tiny_text())
    assert f"loss {saved['test_loss']:.4f}" in done.stdout


def test_an_epoch_is_reported_with_every_window_alike_and_the_rate_just_used(steps):
    """마지막의 작은 배치도 창마다 같은 무게이고, 학습률은 다음 스텝이 아니라 마지막 스텝의 것입니다."""
    config = support.tiny_config(batch_size=7, num_epochs=1, stride=5)
    data = steps.step1.LMData(config)
    model = steps.step2.GPT(config, len(data.tokenizer), data.tokenizer)
    trainer = steps.step4.Trainer(model, data, config)
    sizes = []

    def size_as_loss(batches):
        sizes.append(len(batches[0][0]))
        return torch.tensor(float(sizes[-1])), torch.tensor(0.5)

    trainer.train_step = size_as_loss
    trainer.train()
    row = trainer.tracker.history[-1]
    assert len(set(sizes)) == 2
    assert row["train_loss"] == pytest.approx(sum(size**2 for size in sizes) / sum(sizes))
    assert row["lr"] == pytest.approx(steps.step3.learning_rate_at(len(sizes) - 1, len(sizes), config))
    assert row["lr"] > config.min_lr


def test_bits_per_byte_are_those_of_the_text_that_was_read(trained, steps):
    """검증 글이 아닌 글을 재면, 토큰 하나의 바이트도 그 글의 것입니다."""
    model = load_model(steps.step2.GPT, RunFolder(trained).best_model)
    data = steps.step1.LMData(model.config)
    trainer = steps.step4.Trainer(model, data, model.config)
    loader = evaluation_loader(data.train_dataloader())
    for found, tokens in ((trainer.evaluate(), data.valid), (trainer.evaluate(loader), data.train)):
        bytes_per_token = tokens.num_bytes / len(tokens)
        assert found.bits_per_byte == pytest.approx(found.loss / math.log(2) / bytes_per_token)
    assert data.train.bytes_per_token != pytest.approx(data.valid.bytes_per_token, rel=1e-3)


def test_any_text_can_be_evaluated(trained, tmp_path):
    (tmp_path / "short.txt").write_text("곰", encoding="utf-8")
    finished(run(STEP5, "test", *words({"output": trained.parents[1], "data": tmp_path / "short.txt"})))
    assert json.loads((trained / "test.json").read_text(encoding="utf-8"))["test_ppl"] > 1


def test_a_schedule_of_nothing_but_warmup_still_comes_down(steps):
    config = support.tiny_config(learning_rate=4.5, min_lr=1.2, warmup_rate=1.0)
    assert [steps.step3.learning_rate_at(step, 4, config) for step in range(6)] == [1.5, 3.0, 4.5, 4.5, 1.2, 1.2]


def test_a_learning_rate_far_too_high_stops_with_step_and_rate(tmp_path):
    done = run(STEP5, "train", *options(tmp_path, learning_rate=1e6, precision="32-true", save_every=1))
    explained(done, r"^오류: \d+스텝째에 손실이 (nan이|inf가) 되었습니다\(학습률 \d\.\de\+0\d\)")


def test_a_broken_loss_leaves_the_last_good_checkpoint(trained, tmp_path):
    """둘째 에포크에서 손실이 NaN이 되면, 첫 에포크의 가장 좋은 모델이 그대로 있고 그대로 쓸 수 있습니다."""
    steps = state_of(trained)["position"]["step"] // 3
    done = run(STEP5, "train", *options(tmp_path), first=at(steps + 3, LOSS_OF_NAN))
    explained(done, rf"^오류: {steps + 4}스텝째에 손실이 nan이 되었습니다\(학습률 \d\.\de-0\d\)")
    kept = tmp_path / "task3-lm" / "tiny-1"
    for name in ("last.pt", "best_model.pt"):
        assert state_of(kept, name)["position"]["step"] == steps
        assert all(torch.isfinite(one).all() for one in state_of(kept, name)["model_state_dict"].values())
    finished(run(STEP5, "generate", *words({"output": tmp_path, "max_tokens": 3})))


@slow
def test_weights_that_became_nan_do_not_overwrite_the_last_state(tmp_path):
    """기울기가 넘쳐 가중치가 망가져도 그 스텝의 손실은 멀쩡합니다. 스텝마다 저장해도 망가지기 전의 것이 남습니다."""
    done = run(STEP5, "train", *options(tmp_path, save_every=1), first=at(4, WEIGHTS_OF_NAN))
    explained(done, r"^오류: 5스텝째에 가중치가 NaN이나 무한대가 되었습니다\(학습률 약 \d\.\de-0\d\)")
    state = state_of(tmp_path / "task3-lm" / "tiny-1")
    assert state["position"]["step"] == 4
    assert all(torch.isfinite(one).all() for one in state["model_state_dict"].values())


def tiny_trainer(steps, folder: Path | None = None, **changes: object):
    """이 프로세스에서 만든 Trainer."""
    config = support.tiny_config(max_seq_len=16, stride=40, **changes)
    data = steps.step1.LMData(config)
    torch.manual_seed(config.seed)
    model = steps.step2.GPT(config, len(data.tokenizer), data.tokenizer)
    return steps.step4.Trainer(model, data, config, run_folder=folder and RunFolder(folder))


def test_training_stops_early_keeps_the_best_and_warns_of_overfitting(steps, tmp_path, monkeypatch, capsys):
    trainer = tiny_trainer(steps, tmp_path, num_epochs=9, patience=2, overfit_margin=0.5)
    losses = iter([5.0, 4.0, 4.4, 4.6, 3.0])
    monkeypatch.setattr(trainer, "evaluate", lambda: steps.step3.Metrics(next(losses), 0.1, 2.0))
    trainer.train()
    said = capsys.readouterr().out
    assert trainer.position.epoch == 4
    assert "2에포크 동안 나아지지 않아" in said
    assert said.count("과적합") == 1
    assert said.index("Epoch 4/9") < said.index("과적합")
    assert state_of(tmp_path, "best_model.pt")["best_val_loss"] == 4.0
    assert state_of(tmp_path, "best_model.pt")["position"]["epoch"] == 2
    assert state_of(tmp_path)["position"]["epoch"] == 4


def test_a_loss_of_nan_in_validation_is_no_best_model(steps, tmp_path, monkeypatch):
    trainer = tiny_trainer(steps, tmp_path, num_epochs=2)
    monkeypatch.setattr(trainer, "evaluate", lambda: steps.step3.Metrics(float("nan"), 0.1, 2.0))
    with pytest.raises(UserError, match="손실이 nan"):
        trainer.train()
    assert not (tmp_path / "checkpoints").exists()


def test_the_learning_rate_finder_draws_and_suggests(tmp_path):
    done = finished(run(STEP4, "--find_lr", *options(tmp_path)))
    suggestion = float(re.search(r"--learning_rate (\S+)", done.stdout)[1])
    assert 1e-6 < suggestion < 1
    assert (tmp_path / "task3-lm" / "lr_finder.png").read_bytes().startswith(PNG)
    assert not (tmp_path / "task3-lm" / "tiny-1").exists()


def test_finding_a_learning_rate_leaves_the_model_as_it_was(steps):
    trainer = tiny_trainer(steps)
    before = {name: tensor.clone() for name, tensor in trainer.gpt.state_dict().items()}
    rates, losses = steps.step4.find_learning_rate(trainer.gpt, trainer.data, trainer.config, trainer.fabric, 20)
    assert same(dict(trainer.gpt.state_dict()), before)
    assert len(rates) == len(losses) > 5
    assert rates == sorted(rates)
