"""학습해 둔 모델을 찾습니다: 설정의 실행, 적은 폴더, 또는 허브의 이름.

토크나이저와 생성의 항목은 학습할 때의 것을 따릅니다. 재고 서비스하는 것이 학습할 때 고른 바로 그것이 되도록, 지금
명령줄에 적은 것만 바꿉니다.
"""

from __future__ import annotations

import json
from pathlib import Path

from nlpbook.errors import UserError
from nlpbook.paths import shown
from nlpbook.settings import COMMAND_LINE
from nlpbook.summarization.architectures import architecture
from nlpbook.summarization.config import SummarizationConfig
from nlpbook.summarization.runs import (
    CHECKPOINT,
    EXPERIMENTS,
    STATE,
    RunFolder,
    TrialRun,
    outputs_of,
    run_at,
    run_for,
)

AS_TRAINED = ("model", "tokenizer", "generation")  # 학습할 때의 것을 따르는 묶음들
FIRST_TRAIN = "먼저 `train`으로 학습하거나, --checkpoint_path에 모델의 폴더를 적어 주세요."


def find_model(config: SummarizationConfig, home: Path) -> str:
    """쓸 모델의 폴더. 폴더가 아니면 내장 모델이나 허브의 이름입니다.

    Args:
        config: `prediction.checkpoint`가 있으면 그것(실행 폴더도 됩니다), 없으면 이 설정으로 학습한 것입니다.
        home: 과제의 폴더. 상대 경로를 여기에서도 찾습니다.

    Raises:
        UserError: 아직 학습하지 않았거나, 학습이 끝나지 않았을 때.
    """
    asked = config.prediction.checkpoint
    if asked:
        given = Path(asked).expanduser()
        place = given if given.exists() else home / given
        if not place.is_dir():
            return asked
        run = run_at(place)
        return str(_finished(run) if run else place)
    run = run_for(config, home)
    if isinstance(run, TrialRun):  # 이름 없는 실행은 학습할 때마다 새 폴더입니다.
        finished = sorted((outputs_of(config, home) / EXPERIMENTS).glob(f"*/{TrialRun.final_model}"))
        if not finished:
            raise UserError(f"이름 없는 실행으로 학습해 둔 모델이 없습니다. {FIRST_TRAIN}")
        return str(finished[-1])
    return str(_finished(run))


def _finished(run: RunFolder) -> Path:
    if run.final_model.is_dir():
        return run.final_model
    checkpoints = {
        int(match[1]): path
        for path in run.checkpoints.glob("checkpoint-*")
        if (match := CHECKPOINT.fullmatch(path.name)) and (path / STATE).is_file()
    }
    if checkpoints:
        last = shown(checkpoints[max(checkpoints)])
        raise UserError(
            f"{shown(run.path)} 의 학습은 아직 끝나지 않았습니다. train --resume_from_checkpoint {shown(run.path)} 로 "
            f"마치거나, --checkpoint_path {last} 처럼 체크포인트를 적어 주세요."
        )
    raise UserError(f"학습해 둔 모델이 없습니다: {shown(run.final_model)}. {FIRST_TRAIN}")


def as_trained(config: SummarizationConfig, folder: str) -> SummarizationConfig:
    """`folder`의 모델을 쓰는 설정. 학습할 때의 설정이 남아 있으면 `AS_TRAINED`는 그때의 것입니다.

    Raises:
        UserError: 설정의 구조와 모델의 구조가 다를 때.
    """
    made = config.copy()
    run = run_of(Path(folder))
    if run is not None and run.arguments.is_file():
        saved = SummarizationConfig.load(run.arguments)
        for path, source in config.sources().items():
            if path.partition(".")[0] in AS_TRAINED and not source.startswith(COMMAND_LINE):
                made[path] = saved[path]
    made.model.checkpoint = folder
    made.model.load_pretrained = True
    require_architecture(made, Path(folder))
    return made


def run_of(folder: Path) -> RunFolder | None:
    """모델의 폴더(`final_model`, `models/best_model`, `checkpoint-N`)가 들어 있는 실행. 아니면 None입니다."""
    return run_at(folder.parent) or run_at(folder.parent.parent)


def require_architecture(config: SummarizationConfig, folder: Path) -> None:
    """폴더의 모델이 설정의 구조와 같은 모양인지 봅니다.

    Raises:
        UserError: 하나는 인코더-디코더이고 하나는 디코더뿐일 때.
    """
    name = config.model.architecture
    file = folder / "config.json"
    if not file.is_file():
        return
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{shown(file)} 을(를) 읽을 수 없습니다. 다른 모델의 폴더를 적어 주세요.") from None
    if bool(saved.get("is_encoder_decoder")) == architecture(name).decoder_only:
        kind = "인코더-디코더" if saved.get("is_encoder_decoder") else "디코더뿐인 모델"
        raise UserError(
            f"{shown(folder)} 은(는) {kind}({saved.get('model_type')})인데 설정의 model.architecture는 {name}입니다. "
            "이 모델을 학습한 설정을 --config로 적어 주세요."
        )
