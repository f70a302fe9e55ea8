"""학습하며 잰 값의 기록: 그림을 그릴 수 있게 갖고 있고, CSV와 TensorBoard, W&B에 적습니다."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nlpbook.screen import say

WAIT = 20.0  # W&B의 서버를 기다리는 시간(초). 넘으면 오프라인으로 적습니다.


Listener = Callable[[int, Mapping[str, float]], None]
_listeners: list[Listener] = []


@contextmanager
def listening(hear: Listener) -> Iterator[None]:
    """블록 안에서 `Tracker`들이 적는 값을 `hear(스텝, 값들)`로도 듣습니다. `hear`가 낸 예외는 학습을 멈춥니다."""
    _listeners.append(hear)
    try:
        yield
    finally:
        _listeners.remove(hear)


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
        for hear in tuple(_listeners):
            hear(step, row)

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


def wandb_mode(use_wandb: bool, enabled: bool, mode: str) -> str:
    """W&B에 어떻게 적을지: `"online"`, `"offline"`, `"disabled"`.

    앞의 것이 하나라도 끄면 뒤의 것은 보지 않습니다.

    | 차례 | 어디에 적나 | 끄는 값 | 그 밖에는 |
    |---|---|---|---|
    | 1 | `create_trainer(…, use_wandb=…)` | `False` | 다음을 봅니다 |
    | 2 | 설정의 `wandb.enabled` | `false` | 다음을 봅니다. 적지 않으면 `wandb.mode`를 따릅니다 |
    | 3 | 설정의 `wandb.mode` | `disabled` | `online`이나 `offline` |

    환경 변수 `WANDB_MODE`는 `wandb.mode`의 자리에 적힌 것으로 칩니다: 설정 파일보다 앞서고 명령줄보다 뒤입니다. 그래서
    `WANDB_MODE=offline`은 켜 둔 기록을 오프라인으로 바꾸지만, `wandb.enabled: false`나 `use_wandb=False`를 켜지는
    못합니다.
    """
    if not use_wandb or not enabled:
        return "disabled"
    return mode


class WandbLogger:
    """W&B의 실행 하나. 로그인을 묻지 않고, 서버에 닿지 않으면 오프라인으로 적으며 그렇다고 말합니다.

    시스템의 값(CPU, 메모리, GPU)은 W&B가 스스로 적습니다.

    Args:
        project_name, entity: 프로젝트와 팀. 팀이 None이면 내 계정입니다.
        experiment_name: 실행의 이름.
        config: 함께 적을 설정 전체. 사전 안의 사전도, `dict(config)`도 됩니다.
        tags: 꼬리표.
        mode: `"online"`, `"offline"`, `"disabled"`.
        folder: `wandb/` 폴더가 생길 곳. None이면 지금 폴더입니다.

    Attributes:
        run: W&B의 실행. `init_run` 전이거나 꺼져 있으면 None입니다.
    """

    def __init__(
        self,
        project_name: str,
        entity: str | None = None,
        experiment_name: str | None = None,
        config: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        mode: str = "online",
        folder: Path | str | None = None,
    ) -> None:
        self.project_name = project_name
        self.entity = entity
        self.experiment_name = experiment_name
        self.config = _plain(config or {})
        self.tags = list(tags)
        self.mode = mode
        self.folder = Path(folder) if folder is not None else Path.cwd()
        self.run: Any = None

    def init_run(self) -> Any:
        """실행을 시작합니다. 꺼져 있으면 아무 일도 하지 않고 None을 돌려줍니다."""
        if self.mode == "disabled" or self.run is not None:
            return self.run
        import wandb

        wandb.setup(settings=wandb.Settings(silent=True))  # 영어 안내 대신 우리가 말합니다.
        if self.mode == "online":
            why = self._why_not_online(wandb)
            if why is None:
                return self.run
            say(f"{why} 오프라인으로 기록합니다. 나중에 `wandb sync`로 올릴 수 있습니다.")
        self.run = self._start(wandb, "offline")
        return self.run

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """값들을 그 스텝의 것으로 적습니다."""
        if self.run is not None:
            self.run.log(dict(metrics), step=step)

    def log_predictions(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """예측을 표(`predictions`)로 남깁니다."""
        if self.run is not None:
            import wandb

            self.run.log({"predictions": wandb.Table(columns=list(columns), data=[list(row) for row in rows])})

    def finish(self) -> None:
        """실행을 닫습니다. 여러 번 불러도 됩니다."""
        if self.run is not None:
            self.run.finish()
            self.run = None

    def _why_not_online(self, wandb: Any) -> str | None:
        """온라인으로 시작해 보고, 안 되면 까닭을 한 문장으로."""
        try:
            if not wandb.login(prompt=False, verify=False):
                return "W&B에 로그인하지 않았습니다(`wandb login`)."
            self.run = self._start(wandb, "online")
            say(f"W&B에 기록합니다: {self.run.url}")
        except (wandb.errors.Error, OSError, TimeoutError) as error:
            return f"W&B의 서버에 닿지 않습니다({type(error).__name__})."
        return None

    def _start(self, wandb: Any, mode: str) -> Any:
        self.folder.mkdir(parents=True, exist_ok=True)
        quiet = wandb.Settings(silent=True, console="off", init_timeout=WAIT, login_timeout=WAIT)
        return wandb.init(
            project=self.project_name,
            entity=self.entity,
            name=self.experiment_name,
            config=self.config,
            tags=self.tags,
            mode=mode,
            dir=str(self.folder),
            settings=quiet,
        )


def _plain(value: Any) -> Any:
    """설정의 묶음까지 보통의 사전으로."""
    if hasattr(value, "keys"):
        return {str(name): _plain(one) for name, one in dict(value).items()}
    return value
