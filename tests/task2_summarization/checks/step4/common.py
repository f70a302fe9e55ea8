"""4단계의 검사들이 함께 쓰는 것.

`ModelTrainer`는 `__init__`을 거치지 않고 만들어, 다른 TODO나 앞 단계가 비어 있어도 저마다 검사할 수 있습니다.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nlpbook.summarization import runs
from nlpbook.summarization.config_files import command_line_layer, resolved
from tests.task2_summarization.checks import support


class Rows:
    """길이를 아는 데이터셋. 무엇이 들었는지는 아무도 묻지 않습니다."""

    lengths = ((7, 3), (4, 5))

    def __len__(self) -> int:
        return len(self.lengths)


def settings(*words: str) -> Any:
    """명령줄에 `words`를 적은 설정. 장치는 언제나 CPU입니다."""
    return resolved(command_line_layer(["general.device=cpu", "training.precision=32-true", *words]))


def new_trainer(step: Any, folder: Path | str = "없는 폴더", **parts: Any) -> Any:
    """검사에 필요한 것만 붙인 `ModelTrainer`."""
    kind = step.ModelTrainer
    made = kind.__new__(kind)
    given = {
        "config": settings(),
        "run": runs.ExperimentRun(folder),
        "tokenizer": support.tokenizer(),
        "train_dataset": Rows(),
        "eval_dataset": Rows(),
        "decoder_only": False,
        "callbacks": [],
        **parts,
    }
    made.__dict__.update(given)  # `trainer`처럼 처음 쓸 때 만들어지는 것도 이렇게 넣어 둡니다.
    return made
