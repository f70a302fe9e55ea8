"""장치와 정밀도."""

from __future__ import annotations

from typing import Any

import torch

from nlpbook.errors import UserError
from nlpbook.process import prepare_process


def accelerator_of(requested: str) -> str:
    """쓸 장치의 종류: `"cuda"`, `"mps"`, `"cpu"`.

    Raises:
        UserError: 요청한 장치가 없을 때.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if requested == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    if requested == "gpu":
        requested = "cuda" if cuda or not mps else "mps"
    if (requested == "cuda" and not cuda) or (requested == "mps" and not mps):
        raise UserError(f"이 기계에서 {requested} 장치를 쓸 수 없습니다. --accelerator cpu 로 실행해 주세요.")
    return requested


def precision_of(requested: str, accelerator: str) -> str:
    """`auto`를 이 장치가 타고난 정밀도로 바꿉니다.

    bf16을 하드웨어로 하는 장치(Ampere 이후의 GPU, AMX나 AVX512-BF16이 있는 CPU)는 bf16-mixed, 그보다 앞선 CUDA는
    16-mixed, 나머지는 32-true입니다. 흉내 낸 bf16은 느리기만 합니다.

    Raises:
        UserError: 그 장치에서 뜻대로 되지 않는 정밀도일 때.
    """
    if requested == "16-mixed" and accelerator == "cpu":
        # Lightning은 이때 말없이 bf16으로 바꿉니다.
        raise UserError("CPU에서는 16-mixed를 쓸 수 없습니다. --precision auto 나 bf16-mixed 를 주세요.")
    if requested != "auto":
        return requested
    if accelerator == "cuda":
        return "bf16-mixed" if torch.cuda.get_device_capability()[0] >= 8 else "16-mixed"
    return "bf16-mixed" if accelerator == "cpu" and cpu_has_bf16() else "32-true"


def cpu_has_bf16() -> bool:
    """CPU에 bf16 곱셈 명령(AMX 또는 AVX512-BF16)이 있는가. x86이 아니면 거짓."""
    return any(
        getattr(torch.cpu, name, lambda: False)() for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    )


def most_devices(accelerator: str) -> int | None:
    """이 기계에 있는 그 장치의 수. CPU는 None입니다.

    CPU의 `--devices`는 장치가 아니라 프로세스의 수라서 정해진 끝이 없습니다. 코어보다 많으면 서로를 기다리느라
    느려질 뿐, 결과는 옳습니다.

    Args:
        accelerator: `accelerator_of`가 고른 `"cuda"`, `"mps"`, `"cpu"`.
    """
    if accelerator == "cuda":
        return torch.cuda.device_count()
    return 1 if accelerator == "mps" else None


def strategy_of(requested: str, devices: int) -> str:
    """여러 프로세스를 쓰는 방법. 하나면 `auto`, 여럿이면 ddp가 기본입니다."""
    return "ddp" if requested == "auto" and devices > 1 else requested


def make_fabric(
    accelerator: str, strategy: str, devices: int, precision: str, wrap: set[type[torch.nn.Module]] | None = None
) -> Any:
    """설정에 맞는 장치, 정밀도, 프로세스 수의 Fabric.

    Args:
        wrap: fsdp가 한 덩어리로 나누어 가질 층의 종류. fsdp는 GPU에서만 됩니다.

    Raises:
        UserError: 가진 장치로는 되지 않는 설정일 때.
    """
    from lightning.fabric import Fabric
    from lightning.fabric.strategies.fsdp import FSDPStrategy

    prepare_process()
    accelerator = accelerator_of(accelerator)
    limit = most_devices(accelerator)
    if limit is not None and devices > limit:
        raise UserError(f"이 기계의 {accelerator} 장치는 {limit}개이니, --devices {limit} 이하로 실행해 주세요.")
    chosen: Any = strategy_of(strategy, devices)
    if chosen == "fsdp":
        if accelerator != "cuda":
            raise UserError("fsdp는 GPU에서만 쓸 수 있습니다. --strategy ddp 나 auto 로 실행해 주세요.")
        chosen = FSDPStrategy(auto_wrap_policy=wrap, state_dict_type="full")
    precise: Any = precision_of(precision, accelerator)
    return Fabric(accelerator=accelerator, strategy=chosen, devices=devices, precision=precise)


def use_fast_attention(model: torch.nn.Module, accelerator: str) -> None:
    """장치와 문장 길이에 맞는 어텐션 구현을 고릅니다. 결과는 같고 속도만 다릅니다.

    PyTorch의 SDPA는 GPU와 긴 문장에 맞추어져 있어, 수십 토큰의 리뷰를 CPU에서 학습할 때는 평범한 행렬곱(eager)이
    더 빠릅니다.
    """
    choose: Any = getattr(model, "set_attn_implementation", None)
    if accelerator == "cpu" and choose is not None:
        choose("eager")
