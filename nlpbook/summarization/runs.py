"""대화 요약의 실행 폴더: 어디에 두고, 체크포인트가 어느 실행의 것인지.

두 가지입니다. 공통인 것(`nlpbook.runs`)에 더해:

    outputs/<실험>/                          experiment.name을 적은 설정의 실행(`ExperimentRun`)
        checkpoint-N/  final_model/  logs/
    outputs/experiments/<시각>_<16진수 8자>/     설정 파일 하나로 다 적은 실행과 탐색의 시도(`TrialRun`)
        training_results.json  training.log  checkpoints/checkpoint-N/  models/best_model/

상대 경로인 `general.output_dir`은 과제의 폴더에서 셉니다. 어디에서 실행하든 같은 곳입니다.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from nlpbook import runs
from nlpbook.errors import UserError
from nlpbook.fingerprints import changes, fingerprint, require_same_data
from nlpbook.paths import shown, write_json
from nlpbook.resuming import require_same_settings
from nlpbook.runs import Place, claim, new_version, require_name, take_up
from nlpbook.summarization.config import SummarizationConfig
from nlpbook.summarization.config_files import TRIAL

EXPERIMENTS = "experiments"
CHECKPOINT = re.compile(r"checkpoint-(\d+)")
STATE = "trainer_state.json"  # 체크포인트에 맨 나중에 쓰는 파일. 이것이 없으면 쓰다 만 것입니다.
WEIGHTS = "model.safetensors"
DIGESTS = "digests.json"  # 파일마다의 크기와 SHA-256. 저장한 뒤에 한 바이트라도 바뀌면 압니다.
META_NAME = "meta.experiment_name"
CHANGEABLE = {
    # 더 하거나 덜 하기, 적고 남기는 법, 어디서 셈할지. 모델의 가중치와 데이터는 값이 아니라 내용으로 견줍니다.
    *("training.num_train_epochs", "training.early_stopping_patience", "training.early_stopping_threshold"),
    *("training.save_total_limit", "training.logging_steps", "training.logging_dir", "training.overwrite_output_dir"),
    *("training.dataloader_num_workers", "training.per_device_eval_batch_size", "training.gradient_checkpointing"),
    *("training.fp16", "training.fp16_opt_level", "training.precision"),
    *("general.device", "general.output_dir", "general.model_name", "model.checkpoint", "model.load_pretrained"),
    *("meta", "experiment", "data", "prediction", "wandb"),
}


class RunFolder(runs.RunFolder):
    """두 가지 실행 폴더에 다 있는 이름들. 체크포인트는 `checkpoints`, 끝난 모델은 `final_model`에 있습니다."""

    results = Place("training_results.json")
    logs = Place("logs")
    final_model = Place("final_model")


class ExperimentRun(RunFolder):
    """이름 있는 실험의 실행: `outputs/<실험>/`."""

    log = Place("logs/train.log")
    checkpoints = Place(".")
    trained: ClassVar[tuple[str, ...]] = (f"checkpoint-*/{WEIGHTS}", f"final_model/{WEIGHTS}")


class TrialRun(RunFolder):
    """이름을 짓지 않은 실행과 탐색의 시도: `outputs/experiments/<시각>_<16진수 8자>/`."""

    log = Place("training.log")
    checkpoints = Place("checkpoints")
    final_model = Place("models/best_model")
    trained: ClassVar[tuple[str, ...]] = (f"checkpoints/checkpoint-*/{WEIGHTS}", f"models/best_model/{WEIGHTS}")


def outputs_of(config: SummarizationConfig, home: Path) -> Path:
    """결과를 모을 폴더. `home`은 과제의 폴더입니다."""
    return home / Path(config.general.output_dir).expanduser()


def run_for(config: SummarizationConfig, home: Path) -> ExperimentRun | TrialRun:
    """이 설정으로 학습할 때 쓸 폴더. 아직 만들지 않습니다.

    Raises:
        UserError: 실험의 이름을 폴더 이름으로 쓸 수 없을 때.
    """
    outputs = outputs_of(config, home)
    sources = config.sources()
    named = "experiment.name" in sources and not sources["experiment.name"].endswith(META_NAME)
    if named and not any(source.startswith(TRIAL) for source in sources.values()):
        return ExperimentRun(outputs / require_name("experiment_name", config.experiment.name))
    return new_trial(outputs)


def new_trial(outputs: Path) -> TrialRun:
    """새 시도의 폴더. 같은 순간에 시작한 시도들도 서로 다른 이름을 갖습니다."""
    return TrialRun(outputs / EXPERIMENTS / f"{new_version().replace('-', '_')}_{secrets.token_hex(4)}")


def claim_run(run: RunFolder) -> RunFolder:
    """새 실행의 폴더를 혼자 차지합니다. 같은 이름의 지난 실행은 지우지 않고 `<이름>.<시각>`으로 비켜 둡니다.

    Raises:
        UserError: 다른 프로세스가 그 실행을 학습하고 있거나, 폴더를 만들 수 없을 때.
    """
    if run.busy:
        raise UserError(
            f"{run} 은(는) 지금 학습하고 있는 실행입니다. 끝나기를 기다리거나 experiment.name을 다르게 적어 주세요."
        )
    return claim(run, overwrite=True)


def run_around(checkpoint: Path | str) -> RunFolder | None:
    """체크포인트가 들어 있는 실행. 홀로 옮겨 놓은 체크포인트면 None입니다."""
    parent = Path(checkpoint).expanduser().resolve().parent
    run = TrialRun(parent.parent) if parent.name == TrialRun.checkpoints.name else ExperimentRun(parent)
    return run if run.facts.is_file() else None


def run_at(folder: Path | str) -> RunFolder | None:
    """실행 폴더의 경로가 가리키는 실행. 실행 폴더가 아니면 None입니다."""
    folder = Path(folder).expanduser()
    if not (folder / RunFolder.facts).is_file():
        return None
    return TrialRun(folder) if (folder / TrialRun.checkpoints).is_dir() else ExperimentRun(folder)


def run_again(run: RunFolder) -> RunFolder:
    """이어 할 실행을 붙잡습니다.

    Raises:
        UserError: 다른 프로세스가 학습하고 있을 때.
    """
    return take_up(run)


def require_same_run(run: RunFolder, config: SummarizationConfig, data: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """이어 할 수 있는 설정과 데이터인지 봅니다.

    Args:
        run: 이어 할 실행.
        data: 지금의 데이터의 지문(`nlpbook.fingerprints.dataset_fingerprint`), 이름마다.

    Returns:
        사람이 받아들인 데이터의 변화들.

    Raises:
        UserError: 바꿀 수 없는 설정이 그때와 다르거나, 받아들이지 않은 데이터의 변화가 있을 때.
    """
    if run.arguments.is_file():
        require_same_settings(SummarizationConfig.load(run.arguments), config, CHANGEABLE)
    return require_same_data(run.noted().get("data"), data, config.data.accept_changed_data)


def require_checkpoint(path: Path | str) -> Path:
    """이어 할 수 있는 온전한 체크포인트인지 봅니다.

    Raises:
        UserError: 폴더가 없거나, 쓰다 만 것이거나, 체크포인트가 아닐 때.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        raise UserError(f"체크포인트 폴더가 없습니다: {shown(path)}. checkpoint-500처럼 끝나는 폴더를 적어 주세요.")
    missing = [name for name in (WEIGHTS, "optimizer.pt", "scheduler.pt", STATE) if not (path / name).is_file()]
    if missing:
        raise UserError(
            f"{shown(path)} 에서는 이어 할 수 없습니다({', '.join(missing)} 이(가) 없습니다). 쓰다 만 것이거나 끝난 "
            "모델의 폴더입니다. checkpoint-500처럼 끝나는 다른 폴더를 적어 주세요."
        )
    return require_unchanged(path)


def write_digests(folder: Path) -> None:
    """폴더의 파일마다 크기와 SHA-256을 적어 둡니다(1 GB에 1초쯤)."""
    write_json(folder / DIGESTS, fingerprint(sorted(path for path in folder.iterdir() if path.is_file())))


def require_unchanged(folder: Path) -> Path:
    """저장할 때의 내용 그대로인지 봅니다. 적어 둔 것이 없는 체크포인트(다른 도구의 것)는 그대로 믿습니다.

    Raises:
        UserError: 저장한 뒤에 바뀌거나 없어진 파일이 있을 때.
    """
    if not (folder / DIGESTS).is_file():
        return folder
    before = json.loads((folder / DIGESTS).read_text(encoding="utf-8"))
    now = fingerprint([folder / name for name in before if (folder / name).is_file()])
    found = changes(before, now)
    if found:
        raise UserError(
            f"{shown(folder)} 은(는) 저장할 때와 다릅니다: {', '.join(found)}. 파일이 깨진 것이니 다른 체크포인트에서 "
            "이어 하거나 처음부터 학습해 주세요."
        )
    return folder
