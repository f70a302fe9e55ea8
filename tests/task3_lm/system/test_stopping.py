"""학습을 도중에 죽이거나 멈추었다가 이어 합니다."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from nlpbook.language.config import LMConfig
from nlpbook.language.runs import load_model
from tests.bits import same
from tests.task3_lm.checks import support
from tests.task3_lm.system.moments import BEFORE_STEP, FULL_DISK, STOPPED, WHILE_EVALUATING, WHILE_SAVING, at
from tests.task3_lm.system.running import (
    FOLDER,
    STEP5,
    STEP6,
    explained,
    finished,
    needs_signals,
    options,
    resume,
    run,
    slow,
    state_of,
    words,
)

if not FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)


def assert_same_as_never_stopped(output: Path, trained: Path) -> None:
    resumed = output / "task3-lm" / "tiny-1"
    for name in ("last.pt", "best_model.pt"):
        again, never_stopped = state_of(resumed, name), state_of(trained, name)
        for state in (again, never_stopped):
            for changed in ("output", "save_every"):
                state["config"].pop(changed)
        for part in never_stopped:
            assert same(again[part], never_stopped[part]), (name, part)
    tables = [(folder / "metrics.csv").read_text(encoding="utf-8") for folder in (resumed, trained)]
    assert tables[0] == tables[1]


@slow
@needs_signals
@pytest.mark.parametrize(
    ("moment", "when", "save_every", "back_at"),
    [
        pytest.param(BEFORE_STEP, 10, 3, 9, id="in the middle of the first epoch"),
        pytest.param(BEFORE_STEP, 1, 1, 1, id="after the first step"),
        pytest.param(BEFORE_STEP, "self.config.num_epochs * self.steps_per_epoch - 1", 0, None, id="before the last"),
        pytest.param(WHILE_EVALUATING, 1, 0, None, id="while evaluating"),
        pytest.param(WHILE_SAVING, 4, 3, None, id="while saving a state"),
        pytest.param(WHILE_SAVING, 2, 0, None, id="while keeping the best"),
    ],
)
def test_killed_training_resumes_to_the_same_bits(trained, tmp_path, moment, when, save_every, back_at):
    """SIGKILL을 받은 학습을 이어 하면, 한 번도 멈추지 않은 학습과 가중치, 옵티마이저, 기록이 비트까지 같습니다."""
    killed = run(STEP5, "train", *options(tmp_path, save_every=save_every), first=at(when, moment))
    assert killed.returncode == -9, killed.stderr
    done = resume(tmp_path)
    came_back = int(re.search(r"([\d,]+)스텝에서 이어 갑니다", done.stdout)[1].replace(",", ""))
    assert came_back == back_at or (back_at is None and came_back > 0)
    assert_same_as_never_stopped(tmp_path, trained)


@needs_signals
@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_being_stopped_saves_where_it_stopped_and_says_how_to_go_on(trained, tmp_path, signal_name):
    """Ctrl-C든, 작업 관리기가 보내는 SIGTERM이든 같습니다. 오류가 아닙니다."""
    stopped = run(STEP5, "train", *options(tmp_path), first=at(5, STOPPED.replace("{signal}", signal_name)))
    assert stopped.returncode == 130
    assert "--resume" in stopped.stdout
    assert "Traceback" not in stopped.stderr
    assert stopped.stderr.strip().splitlines()[-1] == "멈췄습니다. 저장한 것은 그대로 있습니다."
    assert "오류" not in stopped.stderr
    assert state_of(tmp_path / "task3-lm" / "tiny-1")["position"] == {"epoch": 0, "batch": 10, "step": 5}
    assert "5스텝에서 이어 갑니다" in resume(tmp_path).stdout
    assert_same_as_never_stopped(tmp_path, trained)


def test_resuming_a_finished_training_changes_nothing(trained, tmp_path):
    shutil.copytree(trained.parents[1], tmp_path, dirs_exist_ok=True)
    resume(tmp_path)
    assert_same_as_never_stopped(tmp_path, trained)


def test_a_full_disk_is_one_sentence_and_loses_nothing(trained, tmp_path):
    done = run(STEP5, "train", *options(tmp_path, save_every=4), first=at(3, FULL_DISK))
    explained(done, "디스크에 빈 자리가 없어.*--resume")
    assert state_of(tmp_path / "task3-lm" / "tiny-1")["position"]["step"] == 8
    assert not list(tmp_path.rglob("*.tmp"))
    resume(tmp_path)
    assert_same_as_never_stopped(tmp_path, trained)


def test_a_text_edited_since_is_not_resumed_on_unless_accepted(tmp_path):
    """글이 바뀌면 토크나이저도 바뀝니다. 크기가 같아 티가 나지 않는 것을 그냥 두지 않습니다."""
    text = tmp_path / "text.txt"
    text.write_text(support.tiny_text().read_text(encoding="utf-8"), encoding="utf-8", newline="\n")
    finished(run(STEP5, "train", *options(tmp_path, data=text, num_epochs=1)))
    text.write_text(text.read_text(encoding="utf-8").replace("습니다", "어요"), encoding="utf-8", newline="\n")
    again = ["train", "--resume", "--num_epochs", "2", "--output", str(tmp_path)]
    explained(run(STEP5, *again), r"text\.txt의 내용이 바뀌었습니다.*--accept_changed_data")
    explained(run(STEP5, "test", "--output", str(tmp_path)), "글이나 토크나이저가.*달라졌습니다")
    before = state_of(tmp_path / "task3-lm" / "tiny-1")
    assert "바뀐 글로 이어 갑니다" in finished(run(STEP5, *again, "--accept_changed_data")).stdout
    after = state_of(tmp_path / "task3-lm" / "tiny-1")
    assert after["position"]["epoch"] == 2
    assert after["tokenizer"] == before["tokenizer"]
    finished(run(STEP5, *again, "--num_epochs", "3"))  # 받아들인 글이 이제 이 실행의 글입니다.


def test_a_training_is_made_longer_and_says_when_it_is_done(trained, tmp_path):
    """늘려 이어 한 학습은, 처음부터 그만큼 하려던 학습처럼 끝까지 가고 학습률의 계획을 새로 그립니다."""
    shutil.copytree(trained.parents[1], tmp_path, dirs_exist_ok=True)
    again = ["train", "--resume", "--output", str(tmp_path)]
    assert "이미 3에포크를 모두 마친 학습입니다" in finished(run(STEP5, *again)).stdout
    explained(run(STEP5, *again, "--learning_rate", "0.1"), r"--learning_rate\(그때 0.003, 지금 0.1\)")
    assert "Epoch 4/4" in finished(run(STEP5, *again, "--num_epochs", "4")).stdout
    state = state_of(tmp_path / "task3-lm" / "tiny-1")
    assert (state["position"]["epoch"], state["config"]["num_epochs"]) == (4, 4)
    rates = [row["lr"] for row in state["history"]]
    assert rates[-1] < rates[0]


def test_a_finished_training_says_so_in_a_notebook_too(steps, trained, capsys):
    config = LMConfig.load(trained / "arguments.json")
    data = steps.step1.LMData(config)
    trainer = steps.step4.Trainer(steps.step2.GPT(config, len(data.tokenizer), data.tokenizer), data, config)
    trainer.load_checkpoint(trained / "checkpoints" / "last.pt")
    trainer.train()
    assert "이미 3에포크를 모두 마친 학습입니다" in capsys.readouterr().out


def test_fine_tuning_starts_from_a_checkpoint_or_a_hugging_face_folder(trained, tmp_path):
    """모양과 토크나이저는 그 모델의 것이고, 학습률은 작고, 계획은 처음부터입니다."""
    finished(run(STEP6, "--output", str(trained.parents[1]), "--export_to", str(tmp_path / "out")))
    before = state_of(trained, "best_model.pt")
    for number, source in enumerate((trained / "checkpoints" / "best_model.pt", tmp_path / "out" / "hugging_face")):
        values = {"data": support.tiny_text(), "output": tmp_path, "job_name": "fine", "job_version": number}
        more = {"num_epochs": 1, "batch_size": 4, "sample_tokens": 0, "stride": 16, "accelerator": "cpu"}
        finished(run(STEP5, "train", "--init_from", str(source), *words(values | more)))
        state = state_of(tmp_path / "task3-lm" / f"fine-{number}")
        assert (state["config"]["d_embed"], state["vocab_size"]) == (32, before["vocab_size"])
        assert (state["config"]["learning_rate"], state["config"]["min_lr"]) == (3e-5, pytest.approx(3e-6))
        assert abs(state["best_val_loss"] - before["best_val_loss"]) < 0.2  # 처음부터라면 손실이 훨씬 큽니다.
    wrong = ["--init_from", str(source), "--d_embed", "64", "--output", str(tmp_path)]
    explained(run(STEP5, "train", *wrong), "d_embed가 32인데.*--d_embed")
    finished(run(STEP5, "test", *words({"output": tmp_path, "job_name": "fine"})))


def test_what_was_copied_or_moved_works_in_its_new_place_alone(trained, tmp_path):
    """옮긴 폴더에서 평가하고, 쓰고, 내보내고, 이어 합니다. 옛 자리에는 아무것도 생기지 않습니다."""
    here, there = tmp_path / "here", tmp_path / "there"
    finished(run(STEP5, "train", *options(here, num_epochs=1)))
    here.rename(there)
    (there / "task3-lm" / "tiny-1").rename(there / "task3-lm" / "new-2")
    chosen = words({"output": there, "job_name": "new", "job_version": "2"})
    finished(run(STEP5, "test", *chosen))
    finished(run(STEP5, "generate", *chosen, "--max_tokens", "3"))
    finished(run(STEP6, *chosen))
    assert "Epoch 2/2" in finished(run(STEP5, "train", "--resume", "--num_epochs", "2", *chosen)).stdout
    assert not here.exists()
    assert {path.name for path in (there / "task3-lm").iterdir()} == {"new-2", "tokens"}


def test_a_flipped_byte_in_a_checkpoint_is_noticed(trained, tmp_path):
    path = shutil.copy(trained / "checkpoints" / "best_model.pt", tmp_path / "moved.pt")
    content = bytearray(Path(path).read_bytes())
    content[len(content) // 2] ^= 1
    Path(path).write_bytes(content)
    explained(run(STEP5, "generate", "--checkpoint", str(path)), r"moved\.pt.*저장할 때와 다릅니다")


@pytest.mark.parametrize("wrong", [{"job_name": "../../x"}, {"job_version": ""}, {"project": "a/b"}, {"job_name": "."}])
def test_a_name_that_is_a_path_is_refused_by_every_command(tmp_path, wrong):
    for command in (["train", *options(tmp_path / "out", **wrong)], ["test", *words({"output": tmp_path, **wrong})]):
        explained(run(STEP5, *command), f"--{next(iter(wrong))}")
    assert not list(tmp_path.rglob("arguments.json"))


def test_a_start_that_fails_leaves_nothing_in_the_way(tmp_path):
    explained(run(STEP5, "train", *options(tmp_path, data=tmp_path / "nowhere.txt")), "글이 없습니다")
    assert not (tmp_path / "task3-lm" / "tiny-1").exists()
    finished(run(STEP5, "train", *options(tmp_path, num_epochs=1)))
    explained(run(STEP5, "train", *options(tmp_path)), "이미 있는 실행입니다.*--resume.*--job_version")


FIRST_NAMES = {"scheduler_state_dict": "scheduler", "scaler_state_dict": "scaler", "rng_states": "rng"}


def test_a_checkpoint_of_the_first_version_still_loads(trained, steps, tmp_path):
    """경로를 있는 그대로 적고, 이름이 달랐고, run.json이 없던 때의 실행입니다."""
    old = Path(shutil.copytree(trained, tmp_path / "task3-lm" / "old-1"))
    (old / "run.json").unlink()
    for name in ("last.pt", "best_model.pt"):
        state = state_of(old, name)
        state["config"] = {
            **{one: value for one, value in state["config"].items() if one not in ("init_from", "accept_changed_data")},
            "output": "/somewhere/else",
        }
        state = {FIRST_NAMES.get(one, one): value for one, value in state.items()}
        torch.save(state | {"epoch": 3}, old / "checkpoints" / name)
    (old / "arguments.json").write_text(json.dumps(state["config"]), encoding="utf-8")
    model = load_model(steps.step2.GPT, old / "checkpoints" / "best_model.pt")
    assert model.config.output == str(tmp_path)
    resumed = finished(run(STEP5, "train", "--resume", "--num_epochs", "4", "--output", str(tmp_path)))
    assert "Epoch 4/4" in resumed.stdout
