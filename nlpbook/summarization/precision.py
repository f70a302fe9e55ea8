"""`fp16: true`가 이 장치에서 무엇을 뜻하는지.

가이드의 `fp16: true`는 16비트로 메모리를 아끼라는 말입니다. 할 수 있는 장치에서는 그 뜻대로 하되, 지수의 범위가
32비트와 같아 넘치지 않는 bf16을 fp16보다 먼저 고릅니다.
"""

from __future__ import annotations

from typing import NamedTuple

from nlpbook.summarization.config import SummarizationConfig

OVERFLOWING = ("t5", "mt5")  # fp16의 범위(65,504)를 넘는 값이 나와 손실이 NaN이 되는 모델 (transformers#11735)
NAMES = {"bf16-mixed": "bf16", "16-mixed": "fp16", "32-true": "32비트"}


class Precision(NamedTuple):
    """고른 정밀도.

    Attributes:
        name: `"bf16-mixed"`, `"16-mixed"`, `"32-true"`.
        sentence: 사람에게 보일 한 문장.
        warning: 조심할 것. 없으면 빈 글입니다.
    """

    name: str
    sentence: str
    warning: str = ""

    @property
    def bf16(self) -> bool:
        return self.name == "bf16-mixed"

    @property
    def fp16(self) -> bool:
        return self.name == "16-mixed"


def precision_for(config: SummarizationConfig, accelerator: str) -> Precision:
    """설정과 장치에 맞는 정밀도. `training.precision`을 적었으면 그것을, 아니면 `training.fp16`을 따릅니다.

    Args:
        accelerator: `"cuda"`, `"mps"`, `"cpu"`.

    Raises:
        UserError: 그 장치에서 되지 않는 정밀도를 적었을 때.
    """
    from nlpbook.hardware import precision_of

    training = config.training
    asked = training.precision
    if asked == "auto" and not training.fp16:
        asked = "32-true"
    name = precision_of(asked, accelerator)
    if training.precision != "auto":
        why = f"training.precision이 {training.precision}입니다."
    elif not training.fp16:
        why = "training.fp16이 false입니다."
    elif name == "32-true":
        why = "training.fp16이 true이지만 이 장치는 16비트 셈이 빠르지 않습니다."
    else:
        why = "training.fp16이 true입니다."
    warning = ""
    if name == "16-mixed" and config.model.architecture in OVERFLOWING:
        warning = (
            f"{config.model.architecture}은(는) fp16에서 값이 넘쳐 손실이 NaN이 되곤 합니다. 그러면 training.fp16을 "
            "false로 적어 주세요."
        )
    return Precision(name, f"정밀도 {NAMES[name]}({accelerator}): {why}", warning)
