"""실행 폴더: 학습 한 번의 설정, 기록, 그림, 체크포인트가 모이는 곳.

output/<project>/<job_name>-<job_version>/
    arguments.json   train.log        metrics.csv   tensorboard/
    learning_curve.png
    checkpoints/

과제마다 더 남기는 것은 `RunFolder`를 물려받은 클래스가 이름을 붙입니다.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from nlpbook.errors import UserError
from nlpbook.paths import shown

ARGUMENTS = "arguments.json"
Run = TypeVar("Run", bound="RunFolder")


class RunFolder:
    """실행 폴더 하나와, 어느 과제에나 있는 이름들."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return shown(self.path)

    @property
    def arguments(self) -> Path:
        return self.path / ARGUMENTS

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def learning_curve(self) -> Path:
        return self.path / "learning_curve.png"


def new_version() -> str:
    """버전을 적지 않은 실행의 버전: 시작한 날짜와 시각."""
    return datetime.now().strftime("%Y%m%d-%H%M%S")


def unused(run: Run) -> Run:
    """아직 쓰이지 않은 실행 폴더면 그대로 돌려줍니다.

    Raises:
        UserError: 같은 이름과 버전의 실행이 이미 있을 때.
    """
    if run.arguments.exists():
        raise UserError(
            f"{run} 은(는) 이미 있는 실행입니다. 이어 하려면 --resume을, 새로 하려면 다른 --job_version을 주세요."
        )
    return run


def latest_run(
    kind: type[Run],
    home: Path,
    name: str | None,
    version: str | None,
    preferred: Callable[[Run], bool] | None = None,
) -> Run:
    """`home` 아래에서 이름과 버전이 맞는 실행 가운데 가장 나중에 시작한 것.

    Args:
        kind: 과제의 실행 폴더 클래스.
        home: 프로젝트의 폴더. 실행 폴더들이 그 아래에 있습니다.
        name, version: 작업의 이름과 버전. None이면 아무것이나.
        preferred: 이것이 참인 실행이 하나라도 있으면 그 가운데서 고릅니다.

    Raises:
        UserError: 하나도 없을 때.
    """
    found = [path.parent for path in home.glob(f"*/{ARGUMENTS}")]
    if name or version:
        found = [path for path in found if _fits(path, name, version)]
    if not found:
        wanted = f" '{name or '*'}-{version or '*'}'" if name or version else ""
        raise UserError(f"{shown(home)} 에 학습한 모델{wanted}이(가) 없습니다. 먼저 train으로 학습해 주세요.")
    if preferred:
        found = [path for path in found if preferred(kind(path))] or found
    return kind(max(found, key=lambda path: (path / ARGUMENTS).stat().st_mtime_ns))


def _fits(path: Path, name: str | None, version: str | None) -> bool:
    try:
        saved = json.loads((path / ARGUMENTS).read_text(encoding="utf-8"))
        env = saved.get("env", saved)  # 묶음으로 나눈 설정이거나, 납작한 설정이거나
        return name in (None, env["job_name"]) and version in (None, env["job_version"])
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return False  # 읽을 수 없는 설정의 실행은 이름을 알 수 없습니다.
