"""감성분석의 실행 폴더: 어디에 두고, 어떻게 다시 찾는지.

공통인 것(`nlpbook.runs`)에 더해:
    confusion_matrix.png
    checkpoints/     가장 좋은 것들(.safetensors)과 last.pt
    model/           transformers의 pipeline(...)이 바로 읽는 폴더
    test.json        mistakes.html    (test 명령이 씁니다)
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

from nlpbook import runs
from nlpbook.classification.config import CHANGEABLE, ClassificationConfig, TrainConfig
from nlpbook.classification.nsmc import training_files
from nlpbook.errors import UserError
from nlpbook.fingerprints import fingerprint, require_same_data
from nlpbook.paths import shown
from nlpbook.resuming import with_given
from nlpbook.runs import Place, claim, latest_run, name_after, new_version, require_name, take_up
from nlpbook.screen import say
from nlpbook.settings import DEFAULT

AnyConfig = TypeVar("AnyConfig", bound=ClassificationConfig)


class RunFolder(runs.RunFolder):
    """감성분석의 실행 폴더 하나와 그 안의 이름들."""

    last_state = Place("checkpoints/last.pt")
    model = Place("model")
    confusion_matrix = Place("confusion_matrix.png")
    mistakes = Place("mistakes.html")
    test = Place("test.json")

    @classmethod
    def of(cls, config: ClassificationConfig) -> RunFolder:
        """이름과 버전이 정해진 설정의 실행 폴더."""
        return cls(_home(config) / f"{config.env.job_name}-{config.env.job_version}")


def new_run(config: ClassificationConfig) -> RunFolder:
    """이 설정의 새 실행 폴더를 차지합니다.

    비워 둔 이름과 버전을 정해 `config.env`에 적고, 상대 경로는 절대 경로로 바꿉니다: 나중에 다른 폴더에서 평가해도 같은
    데이터를 찾아야 합니다.

    Raises:
        UserError: 같은 이름과 버전의 실행이 이미 있거나, 폴더 이름 한 마디로 쓸 수 없는 이름일 때.
    """
    env = config.env
    if env.job_name is None:
        env.job_name = name_after(config.model.pretrained)
    require_name("job_name", env.job_name)
    fixed = env.job_version is not None
    env.job_version = require_name("job_version", env.job_version) if fixed else new_version()
    config.data.home = _absolute(config.data.home)
    config.model.output = _absolute(config.model.output)
    if Path(config.model.pretrained).expanduser().is_dir():
        config.model.pretrained = _absolute(config.model.pretrained)
    run = claim(RunFolder.of(config), fixed_name=fixed)
    env.job_version = run.path.name.removeprefix(f"{env.job_name}-")
    return run


def find_run(config: ClassificationConfig, with_checkpoint: bool = False) -> RunFolder:
    """이름과 버전에 맞는 실행 가운데 가장 나중에 시작한 것.

    Args:
        with_checkpoint: 참이면, 시작하자마자 멈춰 체크포인트가 없는 실행은 건너뜁니다. 모두 없으면 건너뛰지 않습니다.

    Raises:
        UserError: 하나도 없을 때.
    """
    wanted = any_weights if with_checkpoint else None
    return latest_run(RunFolder, _home(config), config.env.job_name, config.env.job_version, wanted)


def run_again(run: RunFolder) -> RunFolder:
    """이어 할 실행을 붙잡습니다.

    Raises:
        UserError: 이어 할 상태가 없거나, 다른 프로세스가 학습하고 있을 때.
    """
    if not run.last_state.is_file():
        raise UserError(
            f"이어 할 학습이 없습니다: {shown(run.last_state)} 파일이 없습니다. --resume 없이 시작해 주세요."
        )
    return take_up(run)


def config_of(run: RunFolder, kind: type[AnyConfig]) -> AnyConfig:
    """그 실행의 설정. 폴더를 옮겼거나 이름을 바꾸었으면, 적힌 것이 아니라 지금 놓인 곳을 따릅니다."""
    config = kind.load(run.arguments)
    path = run.path.resolve()
    config.model.output = str(path.parent.parent)
    config.env.project = path.parent.name
    config.env.job_name, config.env.job_version = run.split_name(config.env.job_name, config.env.job_version)
    return config


def trained_config(run: RunFolder, asked: AnyConfig) -> AnyConfig:
    """학습한 모델을 쓸 설정: 그 실행의 설정에, 지금 고른 값(기본값으로 둔 것이 아닌)과 지금의 장치를 얹습니다.

    Args:
        asked: 지금의 설정. 어느 실행인지 고르는 값은 실행 폴더에서 이미 정해졌으므로 얹지 않습니다.
    """
    saved = config_of(run, type(asked))
    chosen = {
        path: asked[path]
        for path, origin in asked.sources().items()
        if origin != DEFAULT and path not in ("model.output", "env.project", "env.job_name", "env.job_version")
    }
    config = saved.merge(chosen)
    config.hardware = asked.hardware
    if "model.pretrained" not in chosen and run.model.is_dir():
        config.model.pretrained = str(run.model)  # 실행 폴더가 제 모델과 토크나이저를 갖고 있습니다.
    return config


def resumed_config(run: RunFolder, asked: TrainConfig, given: Collection[str]) -> TrainConfig:
    """이어 할 설정: 그때의 설정에, 지금 적은 것 가운데 바꾸어도 되는 것을 얹습니다.

    Args:
        given: 사람이 명령줄에 적은 옵션들.

    Raises:
        UserError: 바꿀 수 없는 옵션을 그때와 다르게 주었을 때.
    """
    return with_given(config_of(run, TrainConfig), asked, given, CHANGEABLE)


def check_data(run: RunFolder, config: TrainConfig, resuming: bool) -> None:
    """읽을 글의 지문을 실행에 적습니다. 이어 하는 것이면 처음의 것과 같은지 봅니다.

    Raises:
        UserError: 글이 없거나, 처음과 다른데 `accept_changed_data`가 아닐 때.
    """
    now = fingerprint(training_files(config.data))
    before = run.noted().get("data") if resuming else None
    changed = require_same_data(before, now, config.learning.accept_changed_data)
    if changed:
        say(f"바뀐 글로 이어 갑니다: {', '.join(changed)}.")
    run.note(data=now)


def start_from(config: TrainConfig) -> Path | None:
    """`--init_from`이 가리키는 것에서 시작하도록 설정을 고칩니다.

    Returns:
        모델을 만든 뒤에 넣을 가중치 파일(.safetensors). Hugging Face 폴더에서 시작하면 None입니다.

    Raises:
        UserError: 체크포인트가 없거나, 어느 모델의 것인지 알 수 없을 때.
    """
    source = Path(config.learning.init_from or "").expanduser()
    if source.suffix != ".safetensors":
        folder = RunFolder(source).model
        config.model.pretrained = str(folder) if folder.is_dir() else str(config.learning.init_from)
        return None
    run = RunFolder(source.resolve().parent.parent)
    if not source.is_file():
        raise UserError(f"체크포인트 파일이 없습니다: {shown(source)}. --init_from의 경로를 확인해 주세요.")
    if run.arguments.is_file():
        config.model.pretrained = str(run.model) if run.model.is_dir() else config_of(run, TrainConfig).model.pretrained
    return source


def any_weights(run: RunFolder) -> bool:
    """체크포인트가 하나라도 있는 실행인가."""
    return any(run.checkpoints.glob("*.safetensors"))


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().resolve())


def _home(config: ClassificationConfig) -> Path:
    return Path(config.model.output).expanduser() / require_name("project", config.env.project)
