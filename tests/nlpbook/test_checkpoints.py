"""체크포인트: 가장 좋은 것들, 끊겨도 온전한 파일, 남의 파일, 난수."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from nlpbook import checkpoints
from nlpbook.checkpoints import (
    CheckpointSaver,
    copy_state,
    load_state,
    load_weights,
    rng_state,
    save_state,
    set_rng_state,
    write_state,
)
from nlpbook.errors import UserError
from nlpbook.paths import full_disk_explained

NAN = float("nan")


@pytest.fixture
def model() -> nn.Module:
    return nn.Linear(3, 2)


def offer(saver: CheckpointSaver, *values: float) -> list[int]:
    """값들을 차례로 내놓고(1스텝부터), 남은 것의 스텝을 좋은 순서로 돌려줍니다."""
    for step, value in enumerate(values, start=1):
        if saver.is_worth_keeping(value):
            saver.save_best({"w": torch.tensor([float(step)])}, value, step)
    return [one.step for one in saver.checkpoints()]


@pytest.mark.parametrize(
    ("mode", "values", "kept"),
    [
        ("max val_acc", [0.5, 0.9, 0.7, 0.8], [2, 4]),
        ("min val_loss", [0.5, 0.9, 0.7, 0.4], [4, 1]),
        ("min val_loss", [-1.5, 0.0, -2.0], [3, 1]),
        ("max val_acc", [0.9], [1]),
    ],
)
def test_the_best_ones_are_kept_best_first(tmp_path, mode, values, kept):
    saver = CheckpointSaver(tmp_path, mode, num_saving=2)
    assert offer(saver, *values) == kept
    assert len(list(tmp_path.iterdir())) == len(kept)
    assert saver.best().step == kept[0]


@pytest.mark.parametrize("value", [0.5, 5 / 6, 1 / 6])
@pytest.mark.parametrize("mode", ["max val_acc", "min val_acc"])
def test_of_equal_values_the_earlier_stays(tmp_path, mode, value):
    saver = CheckpointSaver(tmp_path, mode, num_saving=1)
    assert offer(saver, value, value) == [1]
    assert not saver.is_worth_keeping(value)


@pytest.mark.parametrize("mode", ["max val_acc", "min val_loss"])
def test_nan_is_worse_than_anything(tmp_path, mode):
    assert offer(CheckpointSaver(tmp_path, mode, num_saving=1), NAN, 0.5, NAN, NAN) == [2]


def test_a_saved_checkpoint_holds_its_own_weights(tmp_path, model):
    saver = CheckpointSaver(tmp_path)
    path = saver.save_best(model.state_dict(), 0.75, step=12)
    other = nn.Linear(3, 2)
    load_weights(other, path)
    assert torch.equal(other.weight, model.weight)
    assert (saver.best().path, saver.best().value) == (path, 0.75)


def test_the_folder_alone_decides_what_is_there(tmp_path):
    offer(CheckpointSaver(tmp_path, num_saving=3), 0.1, 0.2, 0.3)
    (tmp_path / "notes.txt").write_text("남의 파일")
    CheckpointSaver(tmp_path).best().path.unlink()
    assert [one.step for one in CheckpointSaver(tmp_path).checkpoints()] == [2, 1]
    assert CheckpointSaver(tmp_path, "min val_loss").checkpoints() == []


def test_no_checkpoint_says_to_train_first(tmp_path):
    with pytest.raises(UserError, match="먼저 train"):
        CheckpointSaver(tmp_path / "nowhere").best()


@pytest.mark.parametrize("mode", ["val_acc", "best val_acc", "max", "max "])
def test_an_unclear_saving_mode_is_refused(tmp_path, mode):
    with pytest.raises(UserError, match="saving_mode"):
        CheckpointSaver(tmp_path, mode)


def half_written(_, target, **__) -> None:
    """저장하다가 디스크가 찬 것처럼: 조금 쓰고 예외를 냅니다."""
    Path(target if isinstance(target, Path) else target.name).write_bytes(b"half")
    raise OSError(28, "No space left on device")


def test_a_failed_save_leaves_the_old_last_state(tmp_path, monkeypatch):
    saver = CheckpointSaver(tmp_path)
    saver.save_last({"step": 1})
    with monkeypatch.context() as broken:
        broken.setattr(torch, "save", half_written)
        with pytest.raises(UserError, match="디스크에 빈 자리가 없어"):
            saver.save_last({"step": 2})
    assert saver.load_last() == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("bad", [NAN, float("inf"), -float("inf")])
def test_ruined_weights_do_not_replace_the_last_state(tmp_path, bad):
    saver = CheckpointSaver(tmp_path)
    state = {"position": {"step": 1_234}, "scheduler_state_dict": {"_last_lr": [3e-2]}}
    saver.save_last({"model_state_dict": {"w": torch.zeros(2)}, **state})
    with pytest.raises(UserError, match=r"^1,234스텝째에 가중치가 .*3.0e-02"):
        saver.save_last({"model_state_dict": {"v": torch.zeros(2), "w": torch.tensor([1.0, bad])}, **state})
    assert torch.equal(saver.load_last()["model_state_dict"]["w"], torch.zeros(2))


def test_a_failed_save_leaves_the_old_best(tmp_path, monkeypatch):
    saver = CheckpointSaver(tmp_path, num_saving=1)
    offer(saver, 0.5)
    before = list(tmp_path.iterdir())
    monkeypatch.setattr(checkpoints, "save_file", half_written)
    with pytest.raises(UserError, match="디스크에 빈 자리가 없어"):
        saver.save_best({"w": torch.zeros(1)}, 0.9, 2)
    assert list(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("other", "named"),
    [(nn.Linear(3, 5), "weight|bias"), (nn.Linear(3, 2, bias=False), "bias"), (nn.Embedding(3, 2), "bias")],
    ids=["other shape", "missing weight", "other names"],
)
def test_a_checkpoint_of_another_model_is_refused_whole(tmp_path, model, other, named):
    path = CheckpointSaver(tmp_path).save_best(model.state_dict(), 0.5, 1)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(UserError, match=f"다른 모델의 체크포인트입니다: ({named})"):
        load_weights(other, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\x10\0\0\0\0\0\0\0{broken"])
def test_a_broken_weights_file_is_reported(tmp_path, model, content):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match="깨졌습니다"):
        load_weights(model, path)


def test_a_truncated_weights_file_is_reported(tmp_path, model):
    path = CheckpointSaver(tmp_path).save_best(model.state_dict(), 0.5, 1)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match="깨졌습니다"):
        load_weights(model, path)


def flip_a_byte(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0b100
    path.write_bytes(content)


def test_a_flipped_byte_in_the_weights_is_noticed(tmp_path, model):
    """safetensors는 내용이 바뀌었는지 보지 않습니다. 가중치 하나가 조금 달라질 뿐이라 사람도 알아채지 못합니다."""
    path = CheckpointSaver(tmp_path).save_best(model.state_dict(), 0.5, 1)
    flip_a_byte(path, -3)
    with pytest.raises(UserError, match=r"깨졌습니다.*저장할 때와 다릅니다"):
        load_weights(nn.Linear(3, 2), path)


def test_a_flipped_byte_in_a_state_is_noticed(tmp_path):
    path = tmp_path / "last.pt"
    write_state(path, {"w": torch.arange(100_000)})
    flip_a_byte(path, path.stat().st_size // 2)
    assert not torch.equal(torch.load(path)["w"], torch.arange(100_000))  # PyTorch는 알아채지 못합니다.
    with pytest.raises(UserError, match=r"last\.pt.*저장할 때와 다릅니다"):
        load_state(path)


def test_weights_of_an_older_version_without_a_digest_still_load(tmp_path, model):
    checkpoints.save_file(model.state_dict(), tmp_path / "old.safetensors", metadata={"metric": "val_acc"})
    other = nn.Linear(3, 2)
    load_weights(other, tmp_path / "old.safetensors")
    assert torch.equal(other.weight, model.weight)


def test_the_digest_knows_names_shapes_and_every_value():
    whole = {"a": torch.arange(6.0), "b": torch.ones(2, dtype=torch.bfloat16)}
    assert checkpoints.digest_of(whole) == checkpoints.digest_of(dict(reversed(whole.items())))
    changed = [
        {"a": whole["a"], "c": whole["b"]},
        {"a": whole["a"].reshape(2, 3), "b": whole["b"]},
        {"a": whole["a"].double(), "b": whole["b"]},
        {"a": torch.arange(6.0).index_fill(0, torch.tensor([5]), 5.0000005), "b": whole["b"]},
    ]
    digests = {checkpoints.digest_of(one) for one in [whole, *changed]}
    assert len(digests) == 5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="언제나 가득 찬 장치가 있는 Linux에서만")
def test_a_really_full_device_is_one_sentence(tmp_path):
    (tmp_path / ".last.pt").symlink_to("/dev/full")
    with pytest.raises(UserError, match="디스크에 빈 자리가 없어"), full_disk_explained("last.pt"):
        with (tmp_path / ".last.pt").open("wb") as out:
            torch.save({"w": torch.zeros(100_000)}, out)


def test_a_missing_weights_file_is_reported(tmp_path, model):
    with pytest.raises(UserError, match="없습니다.*gone.safetensors"):
        load_weights(model, tmp_path / "gone.safetensors")


def test_the_last_state_comes_back(tmp_path):
    saver = CheckpointSaver(tmp_path)
    history = [{"step": 1, "loss": 0.5}]
    saver.save_last({"model_state_dict": {"w": torch.arange(3)}, "history": history, "rng_states": [rng_state()]})
    state = saver.load_last()
    assert state["model_state_dict"]["w"].tolist() == [0, 1, 2]
    assert state["history"] == history


OLD_STATES = {
    "classification": {"model": 11, "optimizer": 12, "scheduler": 13, "scaler": 14, "position": 15, "rng": 16},
    "language": {"model_state_dict": 11, "optimizer_state_dict": 12, "scheduler": 13, "scaler": 14, "position": 15}
    | {"rng": 16},
}


@pytest.mark.parametrize("old", OLD_STATES.values(), ids=OLD_STATES)
def test_a_state_with_the_old_names_is_read_under_the_current_ones(tmp_path, old):
    checkpoints.write_state(tmp_path / "last.pt", old)
    names = [f"{name}_state_dict" for name in ("model", "optimizer", "scheduler", "scaler")]
    state = load_state(tmp_path / "last.pt", needed=[*names, "position", "rng_states"])
    assert state == dict(zip([*names, "position", "rng_states"], range(11, 17), strict=True))


@pytest.mark.parametrize("content", [b"", b"half", None], ids=["empty", "broken", "missing"])
def test_an_unreadable_last_state_is_reported(tmp_path, content):
    if content is not None:
        (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(UserError, match="last.pt"):
        CheckpointSaver(tmp_path).load_last()


class Trap:
    """pickle로 읽으면 파일을 만드는 객체."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_reading_the_last_state_runs_no_code(tmp_path):
    marker = tmp_path / "executed"
    torch.save({"model": Trap(marker)}, tmp_path / "last.pt")
    with pytest.raises(UserError, match="last.pt"):
        CheckpointSaver(tmp_path).load_last()
    assert not marker.exists()
    torch.load(tmp_path / "last.pt", weights_only=False)
    assert marker.exists()  # 덫이 정말 덫이었는지


def draw() -> tuple:
    return random.random(), random.gauss(0, 1), float(np.random.normal()), torch.rand(2).tolist()


def test_random_numbers_continue_where_they_were_saved(tmp_path):
    draw()
    CheckpointSaver(tmp_path).save_last({"rng_states": rng_state()})
    expected = [draw(), draw()]
    set_rng_state(CheckpointSaver(tmp_path).load_last()["rng_states"])
    assert [draw(), draw()] == expected


def test_alone_the_random_states_of_everyone_are_ones_own():
    (mine,) = checkpoints.all_rng_states(SimpleNamespace(world_size=1))
    expected = draw()
    set_rng_state(mine)
    assert draw() == expected


# ── 프로세스들이 함께 저장하기 ──


class OneProcess:
    """저장하는 일만 흉내 낸 Fabric. `full`이면 반쯤 쓰다가 디스크가 찹니다."""

    is_global_zero = True
    full = False

    def barrier(self) -> None: ...

    def broadcast(self, value: object) -> object:
        return value

    def save(self, path: Path, state: dict) -> None:
        if self.full:
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        torch.save(state, path)


def test_a_full_disk_leaves_the_old_state_and_nothing_half_written(tmp_path):
    fabric, path = OneProcess(), tmp_path / "checkpoints" / "last.pt"
    save_state(fabric, path, {"step": 1})
    fabric.full = True
    with pytest.raises(UserError, match="디스크에 빈 자리가 없어"):
        save_state(fabric, path, {"step": 2})
    assert torch.load(path) == {"step": 1}
    assert [one.name for one in path.parent.iterdir()] == ["last.pt"]


def test_a_copy_on_a_full_disk_leaves_the_old_one(tmp_path, monkeypatch):
    write_state(tmp_path / "last.pt", {"step": 1})
    write_state(tmp_path / "best.pt", {"step": 2})

    def half_copied(_: Path, target: Path) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.shutil, "copyfile", half_copied)
    with pytest.raises(UserError, match="디스크에 빈 자리가 없어"):
        copy_state(tmp_path / "best.pt", tmp_path / "last.pt")
    assert load_state(tmp_path / "last.pt") == {"step": 1}
    assert {one.name for one in tmp_path.iterdir()} == {"last.pt", "best.pt"}
