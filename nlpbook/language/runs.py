"""언어 모델의 실행 폴더와 체크포인트: 어디에 두고, 어떻게 다시 찾고 읽는지.

체크포인트 하나에 모델을 되살리는 데 필요한 것(설정, 어휘의 크기, 토크나이저)이 모두 들어 있어, 파일 하나만 옮겨도
씁니다. 공통인 것(`nlpbook.runs`)에 더해 checkpoints/에 best_model.pt와 last.pt, 그리고 samples.txt가 있습니다.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from nlpbook import runs
from nlpbook.checkpoints import load_state
from nlpbook.cli import Options
from nlpbook.errors import UserError
from nlpbook.fingerprints import fingerprint, require_same_data
from nlpbook.language.config import CHANGEABLE, FINE_TUNING_RATE, SHAPE, LMConfig, RunChoice
from nlpbook.language.texts import TextCorpus
from nlpbook.language.tokens import TextTokenizer
from nlpbook.paths import OUTPUT, located, shown, write_text
from nlpbook.resuming import with_given
from nlpbook.runs import Place, claim, latest_run, name_after, new_version, require_name, take_up
from nlpbook.screen import say

NEEDED = ("model_state_dict", "config", "vocab_size", "tokenizer")  # 모델을 되살리는 데 드는 것


class RunFolder(runs.RunFolder):
    """언어 모델의 실행 폴더 하나와 그 안의 이름들."""

    best_model = Place("checkpoints/best_model.pt")  # 검증 손실이 가장 낮은 상태
    last_state = Place("checkpoints/last.pt")  # 이어 할 마지막 상태
    samples = Place("samples.txt")
    tokenizer = Place("tokenizer.json")  # 글에서 배우지 않고 물려받은 토크나이저
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


def resumed_settings(run: RunFolder, options: Options) -> LMConfig:
    """이어 할 설정: 그때의 설정에, 지금 적은 것 가운데 바꾸어도 되는 것을 얹습니다.

    Raises:
        UserError: 바꿀 수 없는 옵션을 그때와 다르게 주었을 때.
    """
    settings = with_given(settings_of(run), LMConfig.of(options), options.given, CHANGEABLE)
    for name in ("data", "data_home"):
        value = getattr(settings, name)
        if name in options.given and Path(value).expanduser().exists():
            setattr(settings, name, _absolute(value))
    return settings


def prepare_texts(
    run: RunFolder | None, settings: LMConfig, resuming: bool, inherited: TextTokenizer | None = None
) -> None:
    """글을 읽기 전에: 글의 지문을 실행에 적고(이어 하면 처음의 것과 견주고), 물려받은 토크나이저를 설정에 적습니다.

    Args:
        run: 실행 폴더. 실행을 남기지 않으면(학습률 찾기) None입니다.
        inherited: 미세조정할 모델의 토크나이저. 같은 번호가 같은 토큰을 뜻하도록 글에서 새로 배우지 않습니다. 바뀐 글로
            이어 할 때는 모델이 배운 것을 저절로 물려받습니다.

    Raises:
        UserError: 글이 없거나, 처음과 다른데 `accept_changed_data`가 아닐 때.
    """
    if inherited is not None:
        folder = run.path if run else Path(settings.output).expanduser() / settings.project / "tokens"
        settings.tokenizer = keep_tokenizer(inherited.to_text(), folder / "tokenizer.json")
    if run is None:
        return
    now = fingerprint(TextCorpus(settings.data, settings.data_home, settings.max_bytes).files)
    changed = require_same_data(run.noted().get("data") if resuming else None, now, settings.accept_changed_data)
    if changed:
        settings.tokenizer = keep_tokenizer(read_checkpoint(run.resumable)["tokenizer"], run.tokenizer)
        say(f"바뀐 글로 이어 갑니다: {', '.join(changed)}.")
    run.note(data=now)


def keep_tokenizer(text: str, path: Path) -> str:
    """물려받은 토크나이저(`TextTokenizer.to_text()`)를 파일로 남기고, 설정의 `tokenizer`에 적을 경로를 돌려줍니다."""
    write_text(path, text)
    return str(path.resolve())


def fine_tuning(options: Options) -> Options:
    """`--init_from`을 준 학습의 옵션: 학습률을 따로 적지 않았으면 작게 합니다. `min_lr`은 그것을 따라갑니다."""
    if not options.get("init_from") or "learning_rate" in options.given:
        return options
    return options.over({"learning_rate": FINE_TUNING_RATE})


def take_shape(settings: LMConfig, source: LMConfig, given: Collection[str]) -> None:
    """미세조정할 모델의 모양을 설정에 옮깁니다.

    Raises:
        UserError: 사람이 다른 모양을 적었을 때.
    """
    for name in SHAPE:
        wanted, own = getattr(settings, name), getattr(source, name)
        if name in given and wanted != own:
            raise UserError(
                f"--init_from의 모델은 {name}이(가) {own}인데 {wanted}을(를) 주었습니다. --{name}을(를) 빼 주세요."
            )
        setattr(settings, name, own)


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
