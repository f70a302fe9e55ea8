"""학습하는 도중의 한때에 일어나게 할 일들: 죽음, 멈춤, 가득 찬 디스크, 무너진 손실."""

from __future__ import annotations

from tests.task3_lm.system.running import STEP4

PATCH = f"""
import os, signal
from pathlib import Path
import {STEP4.stem} as step4
Trainer, saves = step4.Trainer, []
train_step, evaluate, replace = Trainer.train_step, Trainer.evaluate, Path.replace
"""
BEFORE_STEP = """
def killed(self, batches):
    if self.position.step == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return train_step(self, batches)
Trainer.train_step = killed
"""
WHILE_EVALUATING = """
def killed(self, *loader):
    if self.position.epoch == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return evaluate(self, *loader)
Trainer.evaluate = killed
"""
WHILE_SAVING = """
def killed(source, target):
    saves.append(target)
    if str(target).endswith(".pt") and sum(str(one).endswith(".pt") for one in saves) == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(source, target)
Path.replace = killed
"""
STOPPED = """
def interrupted(self, batches):
    made = train_step(self, batches)
    if self.position.step + 1 == {at}:
        os.kill(os.getpid(), signal.{signal})
    return made
Trainer.train_step = interrupted
"""
FULL_DISK = """
from lightning.fabric import Fabric
save = Fabric.save
def full(self, path, state, **more):
    saves.append(path)
    if len(saves) == {at}:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")
    return save(self, path, state, **more)
Fabric.save = full
"""
LOSS_OF_NAN = """
compute_loss, seen = step4.compute_loss, []
def noticed(self, batches):
    seen.append(self.position.step)
    return train_step(self, batches)
Trainer.train_step = noticed
step4.compute_loss = lambda *given: compute_loss(*given) * (float("nan") if seen[-1] == {at} else 1)
"""
WEIGHTS_OF_NAN = """
def ruined(self, batches):
    made = train_step(self, batches)
    if self.position.step == {at}:
        self.gpt.norm.weight.data.fill_(float("nan"))
    return made
Trainer.train_step = ruined
"""


def at(when: object, moment: str) -> str:
    """학습하기 전에 실행할 코드: `when`번째에 `moment`의 일이 일어나게 합니다."""
    return PATCH + moment.replace("{at}", str(when))
