"""이어 하기: 언제 꺼져도, 이어 한 학습은 한 번도 멈추지 않은 학습과 한 비트까지 같습니다.

아이 프로세스가 학습하다가 정해진 순간에 스스로에게 SIGKILL을 보냅니다. 순간은 스텝의 처음과, 실행 폴더에 무엇을 쓰거나
지우거나 이름을 바꾸려는 때입니다. 체크포인트를 쓰는 도중도 그 가운데 있습니다.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback

from nlpbook.errors import UserError
from nlpbook.summarization import runs
from tests.bits import same
from tests.task2_summarization import trainers

if not trainers.FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="아이 프로세스를 갈라 낼 수 있어야 합니다")
OPTIONS = ("training.gradient_accumulation_steps=2", "training.early_stopping_patience=5")
TOUCHING = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}
KILLS = 14
TIMES = ("runtime", "per_second", "total_flos", "train_loss")


class Moments(TrainerCallback):
    """스텝의 처음과, `folder` 안의 것을 건드리는 때를 셉니다. `fatal`번째에 스스로를 죽입니다."""

    def __init__(self, folder: Path, fatal: int | None = None) -> None:
        self.folder = str(folder)
        self.fatal = fatal
        self.count = 0
        sys.addaudithook(self._see)

    def _see(self, event, given):
        writing = event == "open" and isinstance(given[1], str) and set("wax+") & set(given[1])
        if (writing or event in TOUCHING) and given and self.folder in str(given[0]):
            self._pass()

    def on_step_begin(self, args, state, control, **_):
        self._pass()

    def _pass(self):
        self.count += 1
        if self.count == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)


def in_a_child(work) -> int:
    """아이 프로세스에서 `work()`를 하고, 그것이 낸 수를 종료 코드로 돌려받습니다. 죽었으면 음수입니다."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            code = work() or 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def train(folder: Path, fatal: int | None = None) -> int:
    """멈춘 것이 있으면 이어서, 없으면 처음부터 학습합니다. 센 순간의 수를 돌려줍니다."""
    made = trainers.trainer(folder, *OPTIONS)
    last = trainers.lesson().last_checkpoint(folder / "quick")
    made.callbacks.append(moments := Moments(folder, fatal))
    made.train(last)
    return moments.count


def facts(run: Path) -> dict:
    """학습이 남긴 모든 것. 잰 시간은 뺍니다."""
    state = trainers.state_of(run / "checkpoint-9")
    for row in state["log_history"]:
        for name in [name for name in row if any(one in name for one in TIMES)]:
            del row[name]
    del state["best_model_checkpoint"], state["total_flos"]
    rng = torch.load(run / "checkpoint-9" / "rng_state.pth", weights_only=False)
    return {
        "state": state,
        "model": trainers.weights(run / "checkpoint-9"),
        "final": trainers.weights(run / "final_model"),
        "optimizer": torch.load(run / "checkpoint-9" / "optimizer.pt", weights_only=True),
        "scheduler": torch.load(run / "checkpoint-9" / "scheduler.pt", weights_only=True),
        "rng": [rng["cpu"], rng["python"], list(rng["numpy"][1])],
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """한 번도 멈추지 않은 학습이 남긴 것과, 센 순간의 수."""
    folder = tmp_path_factory.mktemp("whole")
    for name in ("lightning.fabric.loggers", "torch.utils.tensorboard", "transformers.models.bart.modeling_bart"):
        import_module(name)  # 아이 프로세스마다 다시 읽지 않도록
    trainers.trainer(folder).trainer.args.device  # noqa: B018
    if hasattr(os, "fork"):
        count = in_a_child(lambda: train(folder))
        assert 30 < count < 99 or count > 100, count
    else:
        count = train(folder)
    return facts(folder / "quick"), count


def require_whole_checkpoints(run: Path) -> None:
    """눈에 보이는 체크포인트는 모두 온전합니다."""
    for path in run.glob("checkpoint-*"):
        runs.require_checkpoint(path)
        trainers.weights(path)
        trainers.state_of(path)


@needs_fork
@pytest.mark.parametrize(
    "kill", [pytest.param(number, marks=pytest.mark.slow if number > 2 else ()) for number in range(KILLS)]
)
def test_killed_training_resumes_to_the_same_bits(whole, tmp_path, kill):
    want, count = whole
    moment = random.Random(41).sample(range(4, count), KILLS)[kill]
    code = in_a_child(lambda: train(tmp_path, moment) and 0)
    assert code == -signal.SIGKILL
    require_whole_checkpoints(tmp_path / "quick")
    assert in_a_child(lambda: train(tmp_path) and 0) == 0
    assert same(facts(tmp_path / "quick"), want)
    assert not list((tmp_path / "quick").rglob(".*.tmp"))


@pytest.mark.parametrize("step", [2, 4, 7])
def test_interrupted_training_resumes_to_the_same_bits(whole, tmp_path, step):
    """Ctrl-C는 하던 스텝을 마치고 저장합니다. 에포크의 한가운데에서도 이어집니다."""

    class Interrupt(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            if state.global_step == step - 1:
                signal.raise_signal(signal.SIGINT)

    made = trainers.trainer(tmp_path, *OPTIONS)
    made.callbacks.insert(0, Interrupt())
    with pytest.raises(KeyboardInterrupt):
        made.train()
    assert (tmp_path / "quick" / f"checkpoint-{step}").is_dir()
    trainers.trainer(tmp_path, *OPTIONS).train(tmp_path / "quick")
    assert same(facts(tmp_path / "quick"), whole[0])


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """에포크 둘을 마치고 멈춘 학습의 실행 폴더."""

    class Stop(TrainerCallback):
        def on_epoch_end(self, args, state, control, **_):
            control.should_training_stop = state.epoch == 2

    folder = tmp_path_factory.mktemp("stopped")
    made = trainers.trainer(folder, *OPTIONS)
    made.callbacks.append(Stop())
    made.train()
    return folder


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "rng_state.pth"])
def test_a_flipped_byte_in_a_checkpoint_is_noticed(stopped, tmp_path, name):
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    last = trainers.lesson().last_checkpoint(tmp_path / "quick")
    flip_a_byte(last / name)
    with pytest.raises(UserError, match=f"{name}의 내용이 바뀌었습니다"):
        trainers.trainer(tmp_path, *OPTIONS).train(last)


def test_a_flipped_byte_in_the_best_is_noticed(stopped, tmp_path):
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    last = trainers.lesson().last_checkpoint(tmp_path / "quick")
    state = json.loads((last / runs.STATE).read_text(encoding="utf-8"))
    made = trainers.trainer(tmp_path, *OPTIONS)
    flip_a_byte(last.parent / f"checkpoint-{state['best_global_step']}" / runs.WEIGHTS)
    with pytest.raises(UserError, match="저장할 때와 다릅니다"):
        made.trainer.restore_finished(last)


@pytest.mark.parametrize("change", ["training.learning_rate=0.25", "generation.num_beams=3", "general.seed=8"])
def test_a_setting_that_cannot_change_is_refused_by_name(stopped, tmp_path, change):
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    with pytest.raises(UserError, match=change.split("=")[0]):
        trainers.trainer(tmp_path, *OPTIONS, change).train(tmp_path / "quick")


def test_changed_dialogues_are_refused_until_they_are_accepted(stopped, tmp_path):
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)

    def resumed(*options: str):
        made = trainers.trainer(tmp_path, *OPTIONS, *options)
        made.train_dataset.items[3]["labels"][0] += 1
        return made

    with pytest.raises(UserError, match="학습 데이터의 내용이 바뀌었습니다"):
        resumed().train(tmp_path / "quick")
    resumed("data.accept_changed_data=true").train(tmp_path / "quick")


def test_the_last_checkpoint_is_the_whole_one_with_most_steps(tmp_path):
    last_checkpoint = trainers.lesson().last_checkpoint
    assert last_checkpoint(tmp_path) is None
    for step, is_whole in ((9, True), (10, True), (100, False), (11, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if is_whole:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}", encoding="utf-8")
    os.utime(tmp_path / "checkpoint-9", (4e9, 4e9))
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
