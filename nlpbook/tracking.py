"""학습의 진행과 기록: 몇 걸음째인지, 값이 어떻게 변했는지, 화면과 파일에 어떻게 남길지."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(highlight=False, soft_wrap=True)


@dataclass
class Position:
    """학습이 어디까지 왔는가.

    Attributes:
        epoch: 마친 에포크 수.
        batch: 지금 에포크에서 마친 배치 수.
        step: 처음부터의 걸음 수(가중치를 바꾼 횟수).
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0

    def next_batch(self) -> None:
        self.batch += 1
        self.step += 1

    def next_epoch(self) -> None:
        self.epoch, self.batch = self.epoch + 1, 0

    def to_dict(self) -> dict[str, int]:
        return asdict(self)


def steps_between(interval: float, steps_per_epoch: int) -> int:
    """간격 옵션을 걸음 수로 바꿉니다: 1 이하면 에포크의 비율, 1보다 크면 걸음 수. 언제나 1 이상입니다."""
    return max(1, round(interval * steps_per_epoch) if interval <= 1 else round(interval))


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
        """이어 하는 학습: 체크포인트까지의 기록을 다시 적습니다. 그 뒤의 것은 다시 할 걸음이므로 버립니다."""
        self.history = []
        for row in history:
            self.log(**{name: int(value) if name == "step" else value for name, value in row.items()})

    def save(self) -> None:
        for logger in self.loggers:
            logger.save()


def file_loggers(folder: Path) -> list[Any]:
    """`<folder>/metrics.csv`와 `<folder>/tensorboard/`에 적는 로거들."""
    import warnings

    from lightning.fabric.loggers import CSVLogger, TensorBoardLogger

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "폴더가 비어 있지 않다": 이어 할 때는 당연합니다.
        loggers = [
            CSVLogger(folder.parent, name=folder.name, version="", flush_logs_every_n_steps=10**9),
            TensorBoardLogger(folder, name="tensorboard", version=""),
        ]
        loggers[0].experiment  # noqa: B018  로거는 처음 쓸 때 파일을 엽니다.
    return loggers


@contextmanager
def log_to(path: Path, enabled: bool = True) -> Iterator[None]:
    """화면에 적는 줄을 `path`에도 시각과 함께 남깁니다. 이어 하면 덧붙입니다."""
    if not enabled:
        yield
        return
    logger = logging.getLogger("nlpbook.run")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def say(message: str) -> None:
    """사람에게 보일 한 줄. 열려 있는 실행 기록에도 남습니다."""
    console.print(message, markup=False)
    logger = logging.getLogger("nlpbook.run")
    if logger.handlers:
        logger.info(message)


@contextmanager
def progress_bar(description: str, total: int, shown: bool = True) -> Iterator[Any]:
    """오래 걸리는 일의 진행 막대. 터미널이 아니면(파일로 보낼 때) 아무것도 그리지 않습니다.

    Yields:
        `advance(count=1)` 함수.
    """
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=console, transient=True, disable=not (shown and sys.stdout.isatty())) as bars:
        bar = bars.add_task(description, total=total)
        yield lambda count=1: bars.advance(bar, count)


class Stopwatch:
    """구간의 시간을 잽니다(초)."""

    def __init__(self) -> None:
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started
