"""언어 모델의 실행 폴더와 체크포인트: 어디에 두고, 어떻게 다시 찾고 읽는지.

체크포인트 하나에 모델을 되살리는 데 필요한 것(설정, 어휘의 크기, 토크나이저)이 모두 들어 있어, 파일 하나만 옮겨도
씁니다. 공통인 것(`nlpbook.runs`)에 더해 checkpoints/에 best_model.pt와 last.pt, 그리고 samples.txt가 있습니다.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from nlpbook import runs
from nlpbook.checkpoints import load_state
from nlpbook.errors import UserError
from nlpbook.language.config import LMConfig, RunChoice
from nlpbook.language.tokens import TextTokenizer
from nlpbook.paths import OUTPUT, located, shown
from nlpbook.runs import Place, claim, held, latest_run, name_after, new_version, require_name, take_up

__all__ = ["RunFolder", "find_run", "held", "load_model", "new_run", "read_checkpoint", "run_again"]

SHAPE = ("d_embed", "num_heads", "num_layers", "max_seq_len", "activation")  # 이것이 다르면 가중치를 옮길 수 없습니다.
NEEDED = ("model_state_dict", "config", "vocab_size", "tokenizer")  # 모델을 되살리는 데 드는 것


class RunFolder(runs.RunFolder):
    """언어 모델의 실행 폴더 하나와 그 안의 이름들."""

    best_model = Place("checkpoints/best_model.pt")  # 검증 손실이 가장 낮은 상태
    last_state = Place("checkpoints/last.pt")  # 이어 할 마지막 상태
    samples = Place("samples.txt")
    test = Place("test.json")
    export = Place("export")

    @property
    def resumable(self) -> Path:
        """이어 할 상태. 가장 좋은 것을 남긴 뒤 last.pt를 쓰기 전에 꺼졌으면 가장 좋은 것에서 이어 합니다."""
        return self.best_model if self.best_model.is_file() and not self.last_state.is_file() else self.last_state


def new_run(config: LMConfig) -> RunFolder:
    """이 설정의 새 실행 폴더를 차지합니다. 비워 둔 이름과 버전을 정해 설정에 적습니다.

    Raises:
        UserError: 같은 이름과 버전의 실행이 이미 있거나, 폴더 이름 한 마디로 쓸 수 없는 이름일 때.
    """
    require_name("project", config.project)
    if config.job_name is None:
        config.job_name = name_after(config.data)
    require_name("job_name", config.job_name)
    fixed = config.job_version is not None
    config.job_version = require_name("job_version", config.job_version) if fixed else new_version()
    config.output = _absolute(config.output)
    config.data_home = _absolute(config.data_home)
    for name in ("data", "tokenizer"):
        value = getattr(config, name)
        if value and Path(value).expanduser().exists():
            setattr(config, name, _absolute(value))
    run = claim(run_of(config), fixed_name=fixed)
    config.job_version = run.path.name.removeprefix(f"{config.job_name}-")
    return run


def run_of(choice: RunChoice) -> RunFolder:
    """이름과 버전이 정해진 실행의 폴더."""
    return RunFolder(Path(choice.output) / choice.project / f"{choice.job_name}-{choice.job_version}")


def find_run(choice: RunChoice, resuming: bool = False) -> RunFolder:
    """이름과 버전에 맞는 실행 가운데 가장 나중 것. 시작하자마자 멈춘 실행은 다른 것이 없을 때만 고릅니다.

    Raises:
        UserError: 하나도 없을 때.
    """

    def has_checkpoint(run: RunFolder) -> bool:
        return (run.resumable if resuming else run.best_model).is_file()

    home = Path(choice.output).expanduser() / require_name("project", choice.project)
    return latest_run(RunFolder, home, choice.job_name, choice.job_version, has_checkpoint)


def settings_of(run: RunFolder) -> LMConfig:
    """그 실행의 설정. 폴더를 옮겼거나 이름을 바꾸었으면, 적힌 것이 아니라 지금 놓인 곳을 따릅니다."""
    return _placed(LMConfig.load(run.arguments), run)


def _placed(config: LMConfig, run: RunFolder) -> LMConfig:
    path = run.path.resolve()
    config.output, config.project = str(path.parent.parent), path.parent.name
    config.job_name, config.job_version = run.split_name(config.job_name, config.job_version)
    return config


def run_again(run: RunFolder) -> RunFolder:
    """이어 할 실행을 붙잡습니다.

    Raises:
        UserError: 이어 할 상태가 없거나, 다른 프로세스가 학습하고 있을 때.
    """
    if not run.resumable.is_file():
        raise UserError(
            f"체크포인트가 없습니다: {shown(run.last_state)}. 저장하기 전에 멈춘 학습입니다. --resume 없이 새로 학습해 "
            "주세요."
        )
    return take_up(run)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().resolve())


def read_checkpoint(path: Path | str, device: torch.device | str = "cpu") -> dict[str, Any]:
    """체크포인트를 읽습니다. 그 안의 설정은 파일이 지금 놓인 실행 폴더의 것으로 바꿉니다.

    Raises:
        UserError: 파일이 없거나, 깨졌거나, 이 과제의 체크포인트가 아닐 때.
    """
    state = load_state(path, device, NEEDED)
    if not isinstance(state["config"], dict):
        raise UserError(f"{shown(path)} 은(는) 이 과제의 체크포인트가 아닙니다. train이 만든 .pt 파일을 주세요.")
    run = run_around(path)
    state["config"] = located(state["config"], run.path if run else Path(path).parent)
    return state


def run_around(checkpoint: Path | str) -> RunFolder | None:
    """체크포인트 파일이 들어 있는 실행 폴더. 홀로 옮겨 놓은 파일이면 None입니다."""
    run = RunFolder(Path(checkpoint).expanduser().resolve().parent.parent)
    return run if run.arguments.is_file() else None


def load_model(kind: type, path: Path | str) -> Any:
    """체크포인트 파일 하나에서 모델을 되살립니다. 평가 모드입니다.

    Args:
        kind: 2단계의 `GPT`. `kind(설정, 어휘의 크기, 토크나이저)`로 만듭니다.

    Raises:
        UserError: 파일이 없거나, 깨졌거나, 이 과제의 체크포인트가 아닐 때.
    """
    state = read_checkpoint(path)
    config = LMConfig.from_dict(state["config"], shown(path))
    run = run_around(path)
    if run:
        _placed(config, run)
    else:
        config.output = str(OUTPUT)  # 학습한 곳은 다른 기계였거나 이제 없을 수 있습니다.
    try:
        tokenizer = TextTokenizer.from_text(state["tokenizer"])
    except Exception as error:
        raise _mismatch(path, "토크나이저") from error
    model = kind(config, state["vocab_size"], tokenizer)
    try:
        model.load_state_dict(state["model_state_dict"])
    except Exception as error:
        raise _mismatch(path, "가중치") from error
    return model.eval()


def _mismatch(path: Path | str, what: str) -> UserError:
    return UserError(f"{shown(path)} 의 {what}이(가) 함께 담긴 설정과 맞지 않습니다. 깨졌다면 다시 학습해 주세요.")


def require_same_shape(state: dict[str, Any], config: LMConfig, vocab_size: int, path: Path | str) -> None:
    """체크포인트의 모델이 지금 모델과 같은 모양인지 봅니다.

    Raises:
        UserError: 다를 때. 어느 항목이 어떻게 다른지 적습니다.
    """
    saved = {**state["config"], "vocab_size": state["vocab_size"]}
    wanted = {**config.to_dict(), "vocab_size": vocab_size}
    different = [
        f"{name} {saved.get(name)} ≠ {wanted[name]}"
        for name in (*SHAPE, "vocab_size")
        if saved.get(name) != wanted[name]
    ]
    if different:
        raise UserError(
            f"{shown(path)} 은(는) 모양이 다른 모델의 체크포인트입니다({', '.join(different)}). 같은 설정으로 모델을 "
            "만들거나 다른 체크포인트를 주세요."
        )


def require_same_tokenizer(learned: str, now: TextTokenizer) -> None:
    """모델이 배운 토크나이저와 지금의 토크나이저가 같은지 봅니다. 다르면 같은 번호가 다른 토큰을 뜻합니다.

    Args:
        learned: 모델과 함께 저장된 토크나이저(`TextTokenizer.to_text()`).

    Raises:
        UserError: 다를 때. 배운 뒤에 글을 고치면 토크나이저도 새로 만들어져 달라집니다.
    """
    if learned != now.to_text():
        raise UserError(
            "글이나 토크나이저가 이 모델을 학습할 때와 달라졌습니다. 그때의 글로 되돌리거나, 지금의 글로 새로 학습해 "
            "주세요."
        )
