"""1단계 · 설정과 모델: 실험 하나를 파일 하나로

여러 사람이 주고받은 대화를 한두 문장으로 줄이는 모델을 만듭니다. 모델의 종류, 학습률, 배치 크기, 빔의 수까지 고를 것이
수십 가지입니다. 무엇을 골랐는지 적어 두지 않으면 좋은 결과를 얻고도 다시 얻지 못하고, 코드에 적어 두면 실험마다 코드가
달라집니다. 그래서 고른 것만 YAML 파일에 적습니다. 이 단계에서는 그 파일들을 읽어 설정 하나로 만듭니다.

    python step1_config_and_model.py                                  # 내장 모델의 설정을 보여 줍니다 (약 2초)
    python step1_config_and_model.py baseline_kobart --num_epochs 5   # 값마다 어디에서 왔는지 보세요
    LEARNING_RATE=1e-4 python step1_config_and_model.py quick training.batch_size=4

배우는 것
    - 물려받기(inheritance): 모든 실험에 같은 것은 한 파일에만 적고, 실험마다 다른 것만 그 위에 얹습니다
    - 앞서는 순서(precedence): 기본값 < 파일 < 환경 변수 < 명령줄 < 시도(trial)
    - 글과 수: 환경 변수와 명령줄의 "1e-4"는 글입니다. 수로 바꾸지 않으면 옵티마이저에 가서야 멈춥니다

하지 않는 것: 대화를 읽는 일(2단계), 점수를 매기는 일(3단계), 학습(4단계).
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# 이 파일을 어디서 실행해도 nlpbook과 todo를 찾도록, 그것들이 있는 폴더를 파이썬에 알립니다.
sys.path[:0] = [str(folder) for folder in Path(__file__).resolve().parents if (folder / "nlpbook").is_dir()]

from nlpbook.cli import run_script  # noqa: E402
from nlpbook.errors import UserError  # noqa: E402
from nlpbook.summarization import config_files  # noqa: E402
from nlpbook.summarization.config import SummarizationConfig  # noqa: E402
from nlpbook.summarization.config_files import (  # noqa: E402
    circle,
    command_line_layer,
    environment_layer,
    find_config,
    problems_in,
    read_config_file,
    resolved,
    trial_layer,
)

CONFIGS = Path(__file__).resolve().parent / "configs"
DEFAULT_CONFIG = "quick"

# ── 설정


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` 위에 `over`를 얹은 새 사전. 두 인수는 그대로입니다.

    사전과 사전이 만나면 그 안까지 포갭니다: `{"training": {"epochs": 3, "fp16": true}}` 위에
    `{"training": {"epochs": 9}}`을 얹어도 fp16은 남습니다. 사전이 아닌 값(목록도)은 얹은 것으로 통째로 바뀝니다.
    """
    # [TODO 1-1] base 위에 over를 얹은 새 사전을 both에 담으세요. 사전끼리 만나면 그 안까지 얹습니다.
    # 힌트: {**base, **over}는 training을 통째로 바꿉니다. 두 사전 안의 사전을 얹는 일은, 지금 쓰는 함수가 하는 일과
    #       무엇이 다를까요? 설정 파일 하나를 여러 실험이 물려받는데, base를 고쳐 버리면 다음 실험은 무엇을 읽게 될까요?
    both = dict(base)
    for name, value in over.items():
        before = both.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            both[name] = merged(before, value)
        else:
            both[name] = value
    # [END 1-1]
    return both


def with_inheritance(path: Path | str, children: tuple[Path, ...] = ()) -> dict[str, Any]:
    """설정 파일의 값을, 그것이 물려받는(`inherits`) 파일들의 값 위에 얹은 것.

    Args:
        path: 설정 파일.
        children: 이 파일을 물려받아 여기까지 온 파일들. 처음에는 비어 있습니다.

    Returns:
        사전 안의 사전. 값은 `Sourced(값, 온 곳)`이라, 포개어도 어디에 적혀 있던 것인지 남습니다.

    Raises:
        UserError: 파일을 읽을 수 없거나, 물려받기가 맴돌 때.
    """
    path = Path(path).resolve()
    file = read_config_file(path)  # file.values는 이 파일에 적힌 것, file.parents는 물려받는 파일의 경로들
    # [TODO 1-2] file.parents의 값을 차례로 포개고 그 위에 file.values를 얹어 values에 담으세요. 맴돌면 멈춥니다.
    # 힌트: 부모에게도 부모가 있습니다. 그것까지 읽어 주는 함수는 무엇인가요? 여기까지 온 파일들(children)에 이 파일이
    #       이미 있다면 맴도는 것이니, raise circle([*children, path])로 알립니다.
    if path in children:
        raise circle([*children, path])
    values: dict[str, Any] = {}
    for parent in file.parents:
        values = merged(values, with_inheritance(parent, (*children, path)))
    values = merged(values, file.values)
    # [END 1-2]
    return values


def load_config(
    name_or_path: str | Path = DEFAULT_CONFIG,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    trial: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> SummarizationConfig:
    """실험 하나의 설정. `config.training.epochs`처럼 읽고 쓰고, `dict(config)`도 됩니다.

    Args:
        name_or_path: 설정의 이름(`"baseline_kobart"`)이나 YAML 파일의 경로.
        overrides: 명령줄에 적은 말들. 예: `["--num_epochs", "3", "training.learning_rate=1e-4"]`.
        trial: 탐색(sweep)이 고른 값. 예: `{"learning_rate": 3e-5}`.
        environment: 환경 변수. None이면 이 프로세스의 것입니다.

    Raises:
        UserError: 그런 설정이 없거나, 모르는 항목이나 맞지 않는 값이 있을 때.
    """
    path = find_config(name_or_path, CONFIGS)
    # [TODO 1-3] 파일, 환경 변수, 명령줄, 시도의 층을 앞서는 것이 뒤에 오도록 포개어, 설정 config로 바꾸세요.
    # 힌트: 층을 만드는 것은 environment_layer, command_line_layer, trial_layer이고, 다 포갠 것을 설정으로 바꾸며 글을
    #       필드의 종류로 읽는 것은 resolved입니다. 명령줄에 방금 적은 것과 셸에 늘 있던 것이 다르면, 어느 쪽이
    #       사람의 뜻일까요?
    values = with_inheritance(path)
    values = merged(values, environment_layer(environment))
    values = merged(values, command_line_layer(overrides))
    values = merged(values, trial_layer(trial))
    config = resolved(values)
    # [END 1-3]
    return config


class ConfigManager:
    """설정 파일을 읽고, 살피고, 옛 모양의 것을 옮깁니다."""

    def load_config(self, name_or_path: str | Path = DEFAULT_CONFIG, **more: Any) -> SummarizationConfig:
        """`load_config`와 같습니다."""
        return load_config(name_or_path, **more)

    def validate_config_file(self, name_or_path: str | Path) -> list[str]:
        """고칠 것들을 한 문장씩. 비어 있으면 맞습니다. 물려받는 파일들까지 봅니다."""
        try:
            path = find_config(name_or_path, CONFIGS)
            problems = problems_in(path)
            if not problems:
                resolved(with_inheritance(path))
        except UserError as error:
            return [str(error)]
        return problems

    def migrate(self, name_or_path: str | Path, to: Path | str | None = None) -> dict[str, Any]:
        """옛 단일 설정 파일을 지금의 이름으로 옮긴 값. `to`를 적으면 그 파일에 YAML로도 씁니다."""
        return config_files.migrate(find_config(name_or_path, CONFIGS), to)


def show_config(config: SummarizationConfig) -> None:
    print("■ 설정: 값과, 그것이 온 곳")
    print("  " + config.to_text().rstrip().replace("\n", "\n  "))
    for notice in config.notices():
        print(f"  알림: {notice}")


def main() -> None:
    words = sys.argv[1:]
    named = bool(words) and not words[0].startswith("-") and "=" not in words[0]
    name = words.pop(0) if named else DEFAULT_CONFIG
    config = load_config(name, words)
    show_config(config)

    # 더 해 보기: quick.yaml을 물려받는 내 설정 파일을 만들어 학습률만 바꾸어 보세요. 몇 줄이면 되나요?


if __name__ == "__main__":
    run_script(main)
