"""명령마다 받는 옵션: 어느 설정으로, 어느 모델로, 어디에서 듣는지. 나머지는 설정 파일의 것입니다(`config.py`).

명령줄에 적지 않은 옵션은 파일의 값을 덮지 않습니다. 그래서 설정의 항목에는 여기에서 기본값을 적지 않습니다.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nlpbook.cli import SETTINGS, Over
from nlpbook.errors import UserError
from nlpbook.settings import Settings, group, option, with_defaults
from nlpbook.shared_options import ServerOptions
from nlpbook.summarization.config import SummarizationConfig
from nlpbook.summarization.generation import QUANTIZATIONS
from nlpbook.summarization.spellings import PLAIN_NAMES

TRAINING = Over(SummarizationConfig, spellings=PLAIN_NAMES)
USING = Over(  # 학습해 둔 모델을 쓰는 명령들
    SummarizationConfig, ("general", "experiment", "data", "generation", "prediction"), PLAIN_NAMES
)


def assignments(options: Mapping[str, Any]) -> dict[str, str]:
    """명령줄에 `이름=값`으로 적은 것들.

    Raises:
        UserError: 그런 모양이 아닐 때.
    """
    made = {}
    for word in options.get(SETTINGS) or ():
        name, equals, value = word.partition("=")
        if not equals:
            raise UserError(
                f"남는 말이 있습니다: {word}. 설정을 바꾸려면 training.learning_rate=1e-4 처럼 이름=값으로, 옵션은 "
                "앞에 --를 붙여 적어 주세요."
            )
        made[name.strip()] = value.strip()
    return made


def quantize_option() -> Any:
    """`quantize`: 8비트로 줄일지."""
    return option("none", "가중치를 8비트 정수로 줄입니다(CPU에서).", choices=QUANTIZATIONS, group="명령")


@dataclass
class CommandOptions(Settings):
    """모든 명령의 것."""

    config: str = option("quick", "설정의 이름이나 YAML 파일의 경로.", group="명령")
    debugging: bool = option(False, "오류가 나면 traceback을 모두 보여 줍니다.", group="명령")


@dataclass
class TrainOptions(CommandOptions):
    """`train`."""

    resume_from_checkpoint: str | None = option(
        None, "이어 할 체크포인트의 폴더. 예: outputs/quick/checkpoint-158", group="명령"
    )


@dataclass
class TestOptions(CommandOptions):
    """`test`."""

    __test__ = False  # 이름이 Test로 시작하지만 pytest의 시험이 아닙니다.

    quantize: str = quantize_option()


@dataclass
class PredictOptions(CommandOptions):
    """`predict`."""

    half: bool = option(
        False, "이 장치가 타고난 16비트로 빨리 씁니다. 32비트와 요약이 조금 다를 수 있습니다.", group="명령"
    )
    input: str | None = option(None, "요약할 대화의 CSV. 비우면 평가 파일입니다.", group="명령")
    output: str | None = option(
        None, "요약을 적을 CSV. 비우면 --result_path 폴더에 같은 이름으로 적습니다.", group="명령"
    )


@dataclass
class ServerSettings(with_defaults(ServerOptions, port=9165, page="serve_sum.html")):
    """요약의 웹 서비스."""


@dataclass
class ServeOptions(CommandOptions):
    """`serve`."""

    quantize: str = quantize_option()
    max_parallel: int = option(2, "동시에 쓸 수 있는 요약의 수. 넘으면 503으로 답합니다.", min=1, group="server")
    server: ServerSettings = group(ServerSettings)
