"""체크포인트: 가장 좋은 몇 개의 가중치와, 그대로 이어 할 수 있는 마지막 상태.

좋은 것들은 safetensors(가중치만, 코드가 실행될 일이 없는 형식), 마지막 상태는 `last.pt`(가중치, 옵티마이저, 스케줄러,
난수, 진행)입니다. 모두 옆에 쓴 뒤 이름을 바꾸므로 어느 순간에 꺼져도 반쯤 쓴 파일이 남지 않고, 읽을 때는 한 바이트라도
바뀌지 않았는지 봅니다.

상태를 남기고 읽는 길은 과제가 무엇이든 하나입니다: `save_state`(모든 프로세스가 함께)나 `write_state`로 쓰고
`load_state`로 읽습니다. 무엇을 담을지는 부르는 쪽이 정해 값으로 건넵니다.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
import shutil
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from nlpbook.errors import UserError
from nlpbook.loss_guard import diverged
from nlpbook.paths import aside_of, full_disk_explained, shown, written_aside

LAST = "last.pt"
OLD_NAMES = {  # 예전 판이 적은 이름 → 지금의 이름. 두 과제의 옛 체크포인트를 그대로 이어 합니다.
    "model": "model_state_dict",
    "optimizer": "optimizer_state_dict",
    "scheduler": "scheduler_state_dict",
    "scaler": "scaler_state_dict",
    "rng": "rng_states",
}


@dataclass(frozen=True)
class Checkpoint:
    """가중치 파일 하나와, 그것을 고른 값."""

    path: Path
    value: float
    step: int


class CheckpointSaver:
    """`saving_mode`로 가장 좋은 `num_saving`개를 남깁니다.

    Args:
        folder: 체크포인트 폴더.
        saving_mode: `"max val_acc"`나 `"min val_loss"`처럼 방향과 이름.
        num_saving: 남길 개수. 1 이상.

    Attributes:
        metric: 고르는 값의 이름. 예: `"val_acc"`.
        higher_is_better: 방향.
    """

    def __init__(self, folder: Path | str, saving_mode: str = "max val_acc", num_saving: int = 2) -> None:
        direction, _, self.metric = saving_mode.partition(" ")
        if direction not in ("max", "min") or not self.metric:
            raise UserError(f"saving_mode는 'max val_acc'나 'min val_loss'처럼 적습니다: {saving_mode!r}")
        self.folder = Path(folder)
        self.higher_is_better = direction == "max"
        self.num_saving = num_saving

    def checkpoints(self) -> list[Checkpoint]:
        """남아 있는 것들, 가장 좋은 것부터. 값이 같으면 먼저 저장한 것이 앞섭니다.

        상태를 따로 기억하지 않고 폴더를 봅니다. 그래서 이어 한 학습도, 사람이 지운 파일도 그대로 반영됩니다.
        """
        pattern = re.compile(rf"step=(\d+)-{re.escape(self.metric)}=(-?\d+\.\d+|-?inf|nan)\.safetensors")
        found = [
            Checkpoint(path, float(match[2]), int(match[1]))
            for path in (self.folder.iterdir() if self.folder.is_dir() else ())
            if (match := pattern.fullmatch(path.name))
        ]
        return sorted(found, key=lambda one: (self._rank(one.value), one.step))

    def _rank(self, value: float) -> tuple[bool, float]:
        """좋을수록 작은 값. NaN은 무엇보다 나쁘고, 파일 이름에 적는 여섯 자리까지 같으면 같은 값입니다."""
        if math.isnan(value):
            return True, 0.0
        return False, round(-value if self.higher_is_better else value, 6)

    def is_worth_keeping(self, value: float) -> bool:
        """이 값의 체크포인트가 남을 자리가 있는가. 가장 나쁜 것과 같은 값이면 먼저 온 것을 남깁니다."""
        kept = self.checkpoints()
        if len(kept) < self.num_saving:
            return True
        return self._rank(value) < self._rank(kept[self.num_saving - 1].value)

    def save_best(self, weights: dict[str, torch.Tensor], value: float, step: int) -> Path:
        """가중치를 저장하고, 밀려난 것을 지웁니다. 새것을 다 쓴 뒤에 지우므로 빈손이 되는 순간이 없습니다.

        Args:
            weights: 이름 → 텐서. 어느 장치에 있어도 됩니다.
            value: `metric`의 값.
            step: 몇 스텝째인지.
        """
        target = self.folder / f"step={step:06d}-{self.metric}={value:.6f}.safetensors"
        own = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        facts = {"metric": self.metric, "value": repr(value), "step": str(step), "sha256": digest_of(own)}
        with written_aside(target) as aside:
            save_file(own, aside, metadata=facts)
        for worse in self.checkpoints()[self.num_saving :]:
            worse.path.unlink(missing_ok=True)
        return target

    def best(self) -> Checkpoint:
        """가장 좋은 체크포인트.

        Raises:
            UserError: 하나도 없을 때.
        """
        found = self.checkpoints()
        if not found:
            raise UserError(f"{shown(self.folder)} 에 체크포인트가 없습니다. 먼저 train으로 학습해 주세요.")
        return found[0]

    @property
    def last_state(self) -> Path:
        """이어 할 마지막 상태."""
        return self.folder / LAST

    def save_last(self, state: dict[str, Any]) -> None:
        """이어 하는 데 필요한 모든 것을 `last.pt`에 저장합니다.

        Raises:
            UserError: 가중치가 NaN이나 무한대일 때. 앞서 저장한 것은 그대로입니다.
        """
        require_finite_weights(state.get("model_state_dict", {}), state)
        write_state(self.last_state, state)

    def load_last(self, device: torch.device | str = "cpu") -> dict[str, Any]:
        """`save_last`가 쓴 상태.

        Raises:
            UserError: 파일이 없거나 깨졌을 때.
        """
        if not self.last_state.is_file():
            raise UserError(
                f"이어 할 학습이 없습니다: {shown(self.last_state)} 파일이 없습니다. --resume 없이 시작해 주세요."
            )
        return load_state(self.last_state, device)


def write_state(path: Path | str, state: dict[str, Any]) -> None:
    """상태 하나를 옆에 쓴 뒤 이름을 바꿉니다. 앞서 저장한 것은 다 쓸 때까지 그대로입니다.

    Raises:
        UserError: 디스크에 빈 자리가 없을 때.
    """
    with written_aside(path) as aside, aside.open("wb") as out:
        torch.save(state, out)  # 파일의 이름을 건네면 PyTorch는 디스크가 찼다는 것을 알려 주지 않습니다.


def save_state(fabric: Any, path: Path, state: dict[str, Any]) -> None:
    """모든 프로세스가 함께 부릅니다. 옆에 쓴 뒤 이름을 바꾸므로, 도중에 꺼져도 앞의 것이 남습니다.

    Args:
        fabric: 학습에 쓰는 Fabric. 담긴 모델과 옵티마이저를 state_dict로 바꾸는 일을 맡습니다.

    Raises:
        UserError: 가중치가 NaN이나 무한대이거나, 디스크에 빈 자리가 없을 때.
    """
    require_finite_weights(state.get("model_state_dict", {}), state)
    aside = fabric.broadcast(aside_of(path))  # 같은 이름이어야, 나누어 가진 가중치(fsdp)를 한곳에 모읍니다.
    try:
        if fabric.is_global_zero:
            path.parent.mkdir(parents=True, exist_ok=True)
        fabric.barrier()
        with full_disk_explained(path):
            fabric.save(aside, state)
        fabric.barrier()
        if fabric.is_global_zero:
            aside.replace(path)
    finally:
        if fabric.is_global_zero:
            aside.unlink(missing_ok=True)


def copy_state(source: Path, target: Path) -> None:
    """저장해 둔 상태를 다른 이름으로도 남깁니다. `target`은 다 베낄 때까지 그대로입니다."""
    with written_aside(target) as aside:
        shutil.copyfile(source, aside)


def load_state(path: Path | str, device: torch.device | str = "cpu", needed: Iterable[str] = ()) -> dict[str, Any]:
    """저장한 상태를 읽습니다. 텐서와 수, 문자열만 읽고 코드는 실행하지 않습니다(weights_only).

    PyTorch는 읽을 때 내용이 바뀌었는지 보지 않습니다. 파일은 zip이고 조각마다 CRC-32가 적혀 있으므로 여기서 봅니다
    (1 GB에 1초쯤). 예전 판이 적은 이름(`OLD_NAMES`)은 지금의 이름이 됩니다.

    Args:
        needed: 있어야 하는 이름들, 지금의 것으로.

    Raises:
        UserError: 파일이 없거나, 깨졌거나, 코드가 들었거나, 있어야 하는 이름이 없을 때.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"체크포인트가 없습니다: {shown(path)}. 먼저 train으로 학습하거나 경로를 확인해 주세요.")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        state = None if damaged else torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise _unreadable(path, type(error).__name__) from error
    if damaged:
        raise _unreadable(path, f"{Path(damaged).name}의 내용이 저장할 때와 다릅니다")
    state = with_current_names(state) if isinstance(state, dict) else None
    if state is None or not set(needed) <= state.keys():
        raise UserError(f"{shown(path)} 은(는) 이 과제의 체크포인트가 아닙니다. train이 만든 .pt 파일을 주세요.")
    return state


def with_current_names(state: dict[str, Any]) -> dict[str, Any]:
    """예전 판의 이름을 지금의 이름으로 바꾼 상태."""
    return {OLD_NAMES.get(name, name): value for name, value in state.items()}


def _unreadable(path: Path, why: str) -> UserError:
    return UserError(
        f"체크포인트를 읽을 수 없습니다: {shown(path)} ({why}). 파일이 깨졌다면 다른 체크포인트를 쓰거나 처음부터 다시 "
        "학습해 주세요."
    )


def digest_of(tensors: dict[str, torch.Tensor]) -> str:
    """텐서들의 이름과 모양과 바이트로 정해지는 SHA-256. 한 비트만 바뀌어도 달라집니다."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        one = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {one.dtype} {tuple(one.shape)}\n".encode())
        digest.update(one.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def require_finite_weights(weights: Any, state: dict[str, Any]) -> None:
    """망가진 가중치로 멀쩡한 체크포인트를 덮어쓰지 않게 합니다. 손실은 다음 스텝에야 NaN이 됩니다.

    Args:
        weights: 저장할 가중치. 모듈이나, 이름 → 텐서인 사전. 다른 것은 보지 않습니다.
        state: 함께 저장할 것. 몇 스텝째인지(`position`)와 학습률(`scheduler_state_dict`)을 여기에서 읽습니다.

    Raises:
        UserError: 가중치에 NaN이나 무한대가 있을 때.
    """
    named = dict(weights.named_parameters()) if isinstance(weights, torch.nn.Module) else weights
    tensors = [one for one in named.values() if isinstance(one, torch.Tensor)] if isinstance(named, dict) else []
    if all(bool(torch.isfinite(one).all()) for one in tensors):
        return
    step = state["position"]["step"]
    lr = state["scheduler_state_dict"]["_last_lr"][0]
    raise diverged(step, "가중치가 NaN이나 무한대가 되었습니다", f"약 {lr:.1e}")


def load_weights(model: torch.nn.Module, path: Path | str) -> None:
    """safetensors 파일의 가중치를 모델에 넣습니다.

    Raises:
        UserError: 파일이 없거나, safetensors가 아니거나, 다른 모델의 것일 때(이름이나 모양이 다름).
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"체크포인트 파일이 없습니다: {path}")
    expected = model.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  사전이 아닙니다
            wrong = sorted(
                {name for name in shapes.keys() | expected.keys() if shapes.get(name) != _shape(expected.get(name))}
            )
            if wrong:
                raise UserError(
                    f"{path.name} 은(는) 다른 모델의 체크포인트입니다: {wrong[0]}의 모양이 파일에서는 "
                    f"{shapes.get(wrong[0], '없음')}, 모델에서는 {_shape(expected.get(wrong[0])) or '없음'}입니다"
                    f"(모두 {len(wrong)}곳). --pretrained와 --job_name을 확인해 주세요."
                )
            weights = {name: file.get_tensor(name) for name in shapes}
            written = (file.metadata() or {}).get("sha256")  # 예전 판의 파일에는 없습니다.
        if written and digest_of(weights) != written:
            raise UserError(
                f"{shown(path)} 이(가) 깨졌습니다(내용이 저장할 때와 다릅니다). 다른 체크포인트를 쓰거나 다시 학습해 "
                "주세요."
            )
        model.load_state_dict(weights)
    except SafetensorError as error:
        raise UserError(f"{path} 은(는) safetensors 파일이 아니거나 깨졌습니다({error}).") from None


def _shape(tensor: torch.Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)


def rng_state() -> dict[str, Any]:
    """파이썬, NumPy, PyTorch(CPU와 CUDA)의 난수 상태. `torch.load(weights_only=True)`로 읽히는 형으로만 담습니다."""
    legacy = np.random.get_state(legacy=False)
    twister = legacy["state"]
    keys = torch.from_numpy(twister["key"].astype(np.int64))
    version, internal, gauss = random.getstate()
    return {
        "python": [version, list(internal), gauss],
        "numpy": [legacy["bit_generator"], keys, twister["pos"], legacy["has_gauss"], legacy["gauss"]],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def all_rng_states(fabric: Any) -> list[dict[str, Any]]:
    """모든 프로세스의 `rng_state()`, 프로세스 번호순. 모든 프로세스가 함께 부릅니다."""
    states: list[Any] = [rng_state()]
    if fabric.world_size > 1:
        states = [None] * fabric.world_size
        torch.distributed.all_gather_object(states, rng_state())
    return states


def set_rng_state(state: dict[str, Any]) -> None:
    """`rng_state()`가 담은 난수 상태로 되돌립니다."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])
