"""모든 과제가 함께 쓰는 옵션들.

과제의 설정은 이것을 묶음으로 담거나(`config.learning.seed`) 물려받습니다(`config.seed`).

과제마다 다른 기본값은 `with_defaults`로 바꿉니다. 이름과 설명과 범위는 여기에만 있습니다.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nlpbook.paths import DATA, OUTPUT
from nlpbook.settings import Settings, option

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


def output_folder() -> Any:
    """`output`: 결과를 모을 폴더."""
    return option(str(OUTPUT), "결과를 모을 폴더.", group="env")


def corpora_folder() -> Any:
    """`data_home`: 말뭉치들이 있는 폴더."""
    return option(str(DATA), "말뭉치들이 있는 폴더.", name="data_home", group="data")


@dataclass
class RunOptions(Settings):
    """이름과 버전: 결과가 `<output>/<project>/<job_name>-<job_version>/`에 모입니다."""

    project: str = option("", "프로젝트 이름. 결과 폴더의 첫 이름입니다.", group="env")
    job_name: str | None = option(None, "작업 이름. 학습할 때 비우면 모델이나 데이터의 이름을 씁니다.", group="env")
    job_version: str | None = option(None, "작업 버전. 학습할 때 비우면 시작한 날짜와 시각을 씁니다.", group="env")
    debugging: bool = option(False, "오류가 나면 traceback을 모두 보여 줍니다.", group="env")


@dataclass
class AcceleratorOption(Settings):
    """어느 장치에서."""

    accelerator: str = option("auto", "계산 장치.", choices=ACCELERATORS, group="hardware")


@dataclass
class HardwareOptions(AcceleratorOption):
    """무엇으로 계산할지."""

    precision: str = option(
        "auto", "수의 정밀도. auto는 장치가 잘하는 것을 고릅니다.", choices=PRECISIONS, group="hardware"
    )
    strategy: str = option("auto", "여러 장치를 쓰는 방법.", choices=("auto", "ddp"), group="hardware")
    devices: int = option(1, "장치(CPU에서는 프로세스) 수.", min=1, group="hardware")
    workers: int = option(0, "데이터를 읽는 보조 프로세스 수.", min=0, group="hardware")


@dataclass
class LearningOptions(Settings):
    """학습의 하이퍼파라미터."""

    num_epochs: int = option(3, "에포크 수.", min=1, group="learning")
    learning_rate: float = option(3e-4, "가장 높은 학습률.", min=0, group="learning")
    weight_decay: float = option(0.01, "AdamW의 weight decay. 행렬에만 걸립니다.", min=0, group="learning")
    warmup_rate: float = option(
        0.1, "학습의 처음에 학습률을 낮은 곳에서 올리는 구간의 비율.", min=0, max=1, group="learning"
    )
    max_grad_norm: float = option(1.0, "기울기의 크기를 자르는 한계.", min=0, group="learning")
    seed: int = option(7, "난수 시드.", min=0, max=2**32 - 1, group="learning")
    save_every: int = option(
        0, "이만큼의 스텝마다 이어 할 상태를 저장합니다. 0이면 검증할 때만 저장합니다.", min=0, group="learning"
    )
    resume: bool = option(False, "마지막으로 멈춘 학습을 이어 합니다.", group="learning")
    accept_changed_data: bool = option(False, "이어 할 때, 시작한 뒤에 글이 바뀌었어도 받아들입니다.", group="learning")
    init_from: str | None = option(
        None,
        "미세조정: 처음부터 배우는 대신 이 모델에서 시작합니다. 체크포인트 파일이나 Hugging Face 폴더.",
        group="learning",
    )


@dataclass
class CheckpointOption(Settings):
    """어느 체크포인트를 쓸지."""

    checkpoint: str | None = option(None, "쓸 체크포인트 파일. 비우면 가장 좋은 것을 고릅니다.", group="evaluation")


@dataclass
class ServerOptions(Settings):
    """웹 서비스."""

    host: str = option("127.0.0.1", "듣는 주소. 다른 기기에서 열려면 0.0.0.0입니다.", name="server_host")
    port: int = option(9164, "듣는 포트.", name="server_port", min=1, max=65535)
    page: str = option("", "templates/ 안의 페이지 파일.", name="server_page")
    threads: int = option(4, "동시에 처리할 요청 수.", name="server_threads", min=1)
