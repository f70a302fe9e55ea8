"""언어 모델의 실행 폴더와 체크포인트: 어디에 두고, 어떻게 다시 찾고 읽는지.

체크포인트 하나에 모델을 되살리는 데 필요한 것(설정, 어휘의 크기, 토크나이저)이 모두 들어 있어, 파일 하나만 옮겨도
씁니다. 공통인 것(`nlpbook.runs`)에 더해 checkpoints/에 best_model.pt와 last.pt, 그리고 samples.txt가 있습니다.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from nlpbook import runs
from nlpbook.errors import UserError
from nlpbook.language.config import LMConfig, RunChoice
from nlpbook.language.tokens import TextTokenizer
from nlpbook.paths import shown, written_aside
from nlpbook.runs import latest_run, new_version, unused

SHAPE = ("d_embed", "num_heads", "num_layers", "max_seq_len", "activation")  # 이것이 다르면 가중치를 옮길 수 없습니다.


class RunFolder(runs.RunFolder):
    """언어 모델의 실행 폴더 하나와 그 안의 이름들."""

    @property
    def best_model(self) -> Path:
        """검증 손실이 가장 낮은 상태."""
        return self.checkpoints / "best_model.pt"

    @property
    def last_state(self) -> Path:
        """이어 할 마지막 상태."""
        return self.checkpoints / "last.pt"


def new_run(config: LMConfig) -> RunFolder:
    """이 설정의 새 실행 폴더. 비워 둔 이름과 버전을 정해 설정에 적습니다.

    Raises:
        UserError: 같은 이름과 버전의 실행이 이미 있을 때.
    """
    config.job_name = config.job_name or Path(config.data).stem
    config.job_version = config.job_version or new_version()
    config.output = str(Path(config.output).expanduser().resolve())
    config.data_home = str(Path(config.data_home).expanduser().resolve())
    for name in ("data", "tokenizer"):
        value = getattr(config, name)
        if value and Path(value).expanduser().exists():
            setattr(config, name, str(Path(value).expanduser().resolve()))
    return unused(run_of(config))


def run_of(choice: RunChoice) -> RunFolder:
    """이름과 버전이 정해진 실행의 폴더."""
    return RunFolder(Path(choice.output) / choice.project / f"{choice.job_name}-{choice.job_version}")


def find_run(choice: RunChoice, resuming: bool = False) -> RunFolder:
    """이름과 버전에 맞는 실행 가운데 가장 나중 것. 시작하자마자 멈춘 실행은 다른 것이 없을 때만 고릅니다.

    Raises:
        UserError: 하나도 없을 때.
    """

    def has_checkpoint(run: RunFolder) -> bool:
        return (run.last_state if resuming else run.best_model).is_file()

    home = Path(choice.output).expanduser() / choice.project
    return latest_run(RunFolder, home, choice.job_name, choice.job_version, has_checkpoint)


def facts_of(trainer: Any) -> dict[str, Any]:
    """체크포인트에 함께 담을 것: 모델을 되살리는 데 드는 것과, 에포크의 기록.

    모든 프로세스가 함께 부릅니다.

    Args:
        trainer: 4단계의 `Trainer`.
    """
    fabric = trainer.fabric
    return {
        "epoch": trainer.position.epoch,
        "best_step": trainer.best_step,
        "sums": fabric.all_reduce(trainer.sums.clone(), reduce_op="mean"),  # 저장하는 것은 0번 프로세스뿐입니다.
        "scaler": fabric.strategy.precision.state_dict(),
        "history": trainer.tracker.history,
        "config": trainer.config.to_dict(),
        "vocab_size": trainer.gpt.vocab_size,
        "tokenizer": trainer.gpt.tokenizer.to_text(),
    }


def restore_facts(trainer: Any, state: dict[str, Any]) -> None:
    """`facts_of`가 담은 것 가운데 학습이 이어받을 것을 되돌립니다."""
    trainer.best_step = state["best_step"]
    trainer.sums.copy_(state["sums"])
    trainer.fabric.strategy.precision.load_state_dict(state["scaler"])
    trainer.tracker.restore(state["history"])


def keep_as_best(run: RunFolder) -> None:
    """방금 저장한 마지막 상태를 가장 좋은 것으로도 남깁니다."""
    with written_aside(run.best_model) as aside:
        shutil.copyfile(run.last_state, aside)


def read_checkpoint(path: Path | str, device: torch.device | str = "cpu") -> dict[str, Any]:
    """체크포인트를 읽습니다. 텐서와 수, 문자열만 읽고 코드는 실행하지 않습니다(weights_only).

    Raises:
        UserError: 파일이 없거나, 깨졌거나, 이 과제의 체크포인트가 아닐 때.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"체크포인트가 없습니다: {shown(path)}. 먼저 train으로 학습하거나 경로를 확인해 주세요.")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise UserError(
            f"체크포인트를 읽을 수 없습니다: {shown(path)} ({type(error).__name__}). 파일이 깨졌다면 다시 학습해 "
            "주세요."
        ) from error
    needed = {"model_state_dict", "config", "vocab_size", "tokenizer"}
    if not isinstance(state, dict) or not needed <= state.keys() or not isinstance(state["config"], dict):
        raise UserError(f"{shown(path)} 은(는) 이 과제의 체크포인트가 아닙니다. train이 만든 .pt 파일을 주세요.")
    return state


def load_model(kind: type, path: Path | str) -> Any:
    """체크포인트 파일 하나에서 모델을 되살립니다. 평가 모드입니다.

    Args:
        kind: 2단계의 `GPT`. `kind(설정, 어휘의 크기, 토크나이저)`로 만듭니다.

    Raises:
        UserError: 파일이 없거나, 깨졌거나, 이 과제의 체크포인트가 아닐 때.
    """
    state = read_checkpoint(path)
    config = LMConfig.from_dict(state["config"], shown(path))
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


def export_folder(choice: Any, run: RunFolder | None) -> Path:
    """내보낸 것을 둘 폴더: 적은 폴더, 없으면 실행 폴더(체크포인트를 골랐으면 그 옆)의 export/."""
    if choice.export_to:
        return Path(choice.export_to).expanduser()
    return (run.path if run else Path(choice.checkpoint).parent) / "export"
