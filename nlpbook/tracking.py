"""학습하며 잰 값의 기록: 그림을 그릴 수 있게 갖고 있고, CSV와 TensorBoard, W&B에 적습니다."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Tracker:
    """값을 Fabric의 로거(CSV, TensorBoard)에 적고, 그림을 그릴 수 있게 갖고 있습니다.

    Attributes:
        loggers: `log_metrics(metrics, step)`과 `save()`가 있는 것들. 0번 프로세스가 아니면 빈 목록입니다.
        history: 적은 값들. 항목은 `{"step": …, 이름: 값, …}`.
    """

    loggers: list[Any] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)

    def log(self, step: int, **metrics: float) -> None:
        row = {name: float(value) for name, value in metrics.items()}
        self.history.append({"step": step, **row})
        for logger in self.loggers:
            logger.log_metrics(row, step)

    def restore(self, history: list[dict[str, float]]) -> None:
        """이어 하는 학습: 체크포인트까지의 기록을 다시 적습니다. 그 뒤의 것은 다시 할 스텝이므로 버립니다."""
        self.history = []
        for row in history:
            metrics = {name: value for name, value in row.items() if name != "step"}
            self.log(int(row["step"]), **metrics)
        self.save()  # 로거는 열릴 때 옛 파일을 지웁니다. 더 배울 것이 없어도 기록은 남아야 합니다.

    def save(self) -> None:
        for logger in self.loggers:
            logger.save()


def file_loggers(folder: Path) -> list[Any]:
    """`<folder>/metrics.csv`와 `<folder>/tensorboard/`에 적는 로거들."""
    from lightning.fabric.loggers.csv_logs import CSVLogger
    from lightning.fabric.loggers.tensorboard import TensorBoardLogger

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "폴더가 비어 있지 않다": 이어 할 때는 당연합니다.
        loggers = [
            CSVLogger(folder.parent, name=folder.name, version="", flush_logs_every_n_steps=10**9),
            TensorBoardLogger(folder, name="tensorboard", version=""),
        ]
        loggers[0].experiment  # noqa: B018  로거는 처음 쓸 때 파일을 엽니다.
    return loggers


def wandb_logger(project: str, folder: Path, name: str, config: dict[str, Any]) -> Any:
    """W&B에 적는 로거. 네트워크 없이 하려면 환경 변수 `WANDB_MODE=offline`을 줍니다.

    Args:
        project: W&B의 프로젝트.
        folder: `wandb/` 폴더가 생길 곳.
        name: 실행의 이름. 이어 하면 같은 실행에 이어 적습니다.
        config: 함께 적을 설정.
    """
    from lightning.pytorch.loggers import WandbLogger

    logger = WandbLogger(project=project, save_dir=folder, name=name, id=name, resume="allow")
    logger.log_hyperparams(config)
    return logger
