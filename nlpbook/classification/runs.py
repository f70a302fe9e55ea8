"""감성분석의 실행 폴더: 어디에 두고, 어떻게 다시 찾는지.

공통인 것(`nlpbook.runs`)에 더해:
    confusion_matrix.png
    checkpoints/     가장 좋은 것들(.safetensors)과 last.pt
    model/           transformers의 pipeline(...)이 바로 읽는 폴더
    test.json        mistakes.html    (test 명령이 씁니다)
"""

from __future__ import annotations

from pathlib import Path

from nlpbook import runs
from nlpbook.classification.arguments import Arguments
from nlpbook.runs import latest_run, new_version, unused


class RunFolder(runs.RunFolder):
    """감성분석의 실행 폴더 하나와 그 안의 이름들."""

    @classmethod
    def of(cls, args: Arguments) -> RunFolder:
        """이름과 버전이 정해진 설정의 실행 폴더."""
        return cls(_home(args) / f"{args.env.job_name}-{args.env.job_version}")

    @property
    def model(self) -> Path:
        return self.path / "model"

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
    args.data.home = _absolute(args.data.home)
    args.model.output = _absolute(args.model.output)
    if Path(args.model.pretrained).expanduser().is_dir():
        args.model.pretrained = _absolute(args.model.pretrained)
    return unused(RunFolder.of(args))


def find_run(args: Arguments, with_checkpoint: bool = False) -> RunFolder:
    """이름과 버전에 맞는 실행 가운데 가장 나중에 시작한 것.

    Args:
        with_checkpoint: 참이면, 시작하자마자 멈춰 체크포인트가 없는 실행은 건너뜁니다. 모두 없으면 건너뛰지 않습니다.

    Raises:
        UserError: 하나도 없을 때.
    """
    wanted = any_weights if with_checkpoint else None
    return latest_run(RunFolder, _home(args), args.env.job_name, args.env.job_version, wanted)


def any_weights(run: RunFolder) -> bool:
    """체크포인트가 하나라도 있는 실행인가."""
    return any(run.checkpoints.glob("*.safetensors"))


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().resolve())


def _home(args: Arguments) -> Path:
    return Path(args.model.output).expanduser() / args.env.project
