"""학습의 진행과 기록: 몇 걸음째인지, 값이 어떻게 변했는지, 화면과 파일에 어떻게 남길지."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nlpbook.errors import diverged

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
        self.save()  # 로거는 열릴 때 옛 파일을 지웁니다. 더 배울 것이 없어도 기록은 남아야 합니다.

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


def require_finite(step: int, lr: float, loss: float) -> None:
    """손실이 유한한지 봅니다.

    Raises:
        UserError: NaN이나 무한대일 때. 몇 걸음째이고 그 걸음의 학습률이 얼마였는지 적습니다.
    """
    if not math.isfinite(loss):
        raise diverged(step, f"손실이 {loss}이(가) 되었습니다", f"{lr:.1e}")


class LossGuard:
    """손실이 NaN이나 무한대가 되었는지 봅니다. 수를 꺼내는 일은 GPU를 기다리게 하므로, 모아 두었다가 가끔 봅니다."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float, Any]] = []

    def note(self, step: int, lr: float, loss: Any) -> None:
        """`step`걸음째의 손실(텐서)을 기억합니다. `lr`은 그 걸음에 쓴 학습률입니다."""
        self.seen.append((step, lr, loss))

    def check(self) -> None:
        """기억한 손실이 모두 유한한지 봅니다.

        Raises:
            UserError: 유한하지 않은 것이 있을 때. 처음으로 그렇게 된 걸음과 그때의 학습률을 적습니다.
        """
        for step, lr, loss in self.seen:
            require_finite(step, lr, float(loss))
        self.seen.clear()


@contextmanager
def progress_bar(description: str, total: int, shown: bool = True) -> Iterator[Any]:
    """오래 걸리는 일의 진행 막대. 터미널이 아니면(파일로 보낼 때) 아무것도 그리지 않습니다.

    Yields:
        `advance(count=1, note="")` 함수. `note`는 막대 끝에 보일 짧은 글입니다(예: `"loss=4.2"`).
    """
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    ]
    with Progress(*columns, console=console, transient=True, disable=not (shown and sys.stdout.isatty())) as bars:
        bar = bars.add_task(description, total=total, note="")
        yield lambda count=1, note="": bars.update(bar, advance=count, **({"note": note} if note else {}))


class Stopwatch:
    """구간의 시간을 잽니다(초)."""

    def __init__(self) -> None:
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started
