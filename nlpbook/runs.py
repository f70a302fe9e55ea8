"""실행 폴더: 학습 한 번의 설정, 기록, 그림, 체크포인트, 모델이 모이는 곳.

output/<project>/<job_name>-<job_version>/
    arguments.json   train.log        metrics.csv   tensorboard/
    learning_curve.png                confusion_matrix.png
    checkpoints/     가장 좋은 것들(.safetensors)과 last.pt
    model/           transformers의 pipeline(...)이 바로 읽는 폴더
    test.json        mistakes.html    (test 명령이 씁니다)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from nlpbook.arguments import Arguments
from nlpbook.errors import UserError
from nlpbook.paths import shown

ARGUMENTS = "arguments.json"


class RunFolder:
    """실행 폴더 하나와 그 안의 이름들."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @classmethod
    def of(cls, args: Arguments) -> RunFolder:
        """이름과 버전이 정해진 설정의 실행 폴더."""
        return cls(_home(args) / f"{args.env.job_name}-{args.env.job_version}")

    def __repr__(self) -> str:
        return shown(self.path)

    @property
    def arguments(self) -> Path:
        return self.path / ARGUMENTS

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def best_model(self) -> Path:
        """언어 모델 과제: 검증 손실이 가장 낮은 상태."""
        return self.checkpoints / "best_model.pt"

    @property
    def last_state(self) -> Path:
        """언어 모델 과제: 이어 할 마지막 상태."""
        return self.checkpoints / "last.pt"

    @property
    def learning_curve(self) -> Path:
        return self.path / "learning_curve.png"

    @property
    def confusion_matrix(self) -> Path:
        return self.path / "confusion_matrix.png"


def new_run(args: Arguments) -> RunFolder:
    """이 설정의 새 실행 폴더. 폴더를 만들지는 않습니다.

    비워 둔 이름과 버전을 정해 `args.env`에 적고, 상대 경로는 절대 경로로 바꿉니다: 나중에 다른 폴더에서 평가해도 같은
    데이터를 찾아야 합니다.

    Raises:
        UserError: 같은 이름과 버전의 실행이 이미 있을 때.
    """
    args.env.job_name = args.env.job_name or Path(args.model.pretrained).name
    args.env.job_version = args.env.job_version or new_version()
    args.data.home, args.model.output = _absolute(args.data.home), _absolute(args.model.output)
    if Path(args.model.pretrained).expanduser().is_dir():
        args.model.pretrained = _absolute(args.model.pretrained)
    return unused(RunFolder.of(args))


def new_version() -> str:
    """버전을 적지 않은 실행의 버전: 시작한 날짜와 시각."""
    return datetime.now().strftime("%Y%m%d-%H%M%S")


def unused(run: RunFolder) -> RunFolder:
    """아직 쓰이지 않은 실행 폴더면 그대로 돌려줍니다.

    Raises:
        UserError: 같은 이름과 버전의 실행이 이미 있을 때.
    """
    if run.arguments.exists():
        raise UserError(
            f"{run} 은(는) 이미 있는 실행입니다. 이어 하려면 --resume을, 새로 하려면 다른 --job_version을 주세요."
        )
    return run


def find_run(args: Arguments, with_checkpoint: bool = False) -> RunFolder:
    """이름과 버전에 맞는 실행 가운데 가장 나중에 시작한 것.

    Args:
        with_checkpoint: 참이면, 시작하자마자 멈춰 체크포인트가 없는 실행은 건너뜁니다. 모두 없으면 건너뛰지 않습니다.

    Raises:
        UserError: 하나도 없을 때.
    """
    wanted = any_weights if with_checkpoint else None
    return latest_run(_home(args), args.env.job_name, args.env.job_version, wanted)


def any_weights(run: RunFolder) -> bool:
    """체크포인트가 하나라도 있는 실행인가."""
    return any(run.checkpoints.glob("*.safetensors"))


def latest_run(
    home: Path, name: str | None, version: str | None, preferred: Callable[[RunFolder], bool] | None = None
) -> RunFolder:
    """`home` 아래에서 이름과 버전이 맞는 실행 가운데 가장 나중에 시작한 것.

    Args:
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
        found = [path for path in found if preferred(RunFolder(path))] or found
    return RunFolder(max(found, key=lambda path: (path / ARGUMENTS).stat().st_mtime_ns))


def _fits(path: Path, name: str | None, version: str | None) -> bool:
    try:
        saved = json.loads((path / ARGUMENTS).read_text(encoding="utf-8"))
        env = saved.get("env", saved)  # 묶음으로 나눈 설정이거나, 납작한 설정이거나
        return name in (None, env["job_name"]) and version in (None, env["job_version"])
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return False  # 읽을 수 없는 설정의 실행은 이름을 알 수 없습니다.


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().resolve())


def _home(args: Arguments) -> Path:
    return Path(args.model.output).expanduser() / args.env.project
