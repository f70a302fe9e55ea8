"""4단계의 검사들이 함께 쓰는 것.

`ModelTrainer`는 `__init__`을 거치지 않고 만들어, 다른 TODO나 앞 단계가 비어 있어도 저마다 검사할 수 있습니다.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from course.checks.words import fail
from nlpbook.summarization import runs
from nlpbook.summarization.arguments import argument_values, require_metric
from nlpbook.summarization.config_files import command_line_layer, resolved
from tests.task2_summarization.checks import support


class Rows:
    """길이를 아는 데이터셋. 무엇이 들었는지는 아무도 묻지 않습니다. 한 에포크가 여러 배치이고 마지막 것은 짧습니다."""

    lengths = ((7, 3), (4, 5)) * 35

    def __len__(self) -> int:
        return len(self.lengths)


def settings(*words: str) -> Any:
    """명령줄에 `words`를 적은 설정. 장치는 언제나 CPU입니다."""
    return resolved(command_line_layer(["general.device=cpu", "training.precision=32-true", *words]))


def arguments_of(config: Any, folder: Path | str = "없는 폴더") -> Any:
    """그 설정의 진짜 `Seq2SeqTrainingArguments`. 4-1이 더하는 것까지 담겨, 4-1이 비어 있거나 틀려도 됩니다."""
    from transformers import Seq2SeqTrainingArguments

    metric = require_metric(config.training.metric_for_best_model)
    chosen = {
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "load_best_model_at_end": True,
        "metric_for_best_model": metric,
        "greater_is_better": metric != "eval_loss",
        "predict_with_generate": True,
        "restore_callback_states_from_checkpoint": True,
    }
    return Seq2SeqTrainingArguments(**argument_values(config, Path(folder)), **chosen)


def new_trainer(step: Any, folder: Path | str = "없는 폴더", **parts: Any) -> Any:
    """검사에 필요한 것만 붙인 `ModelTrainer`. 붙이지 않은 것을 쓰면 이 검사가 주지 않는다고 말합니다."""
    made = _bare(step.ModelTrainer)
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


REAL = ("model", "args", "running", "wandb_logger")  # 진짜 `ModelTrainer`에는 언제나 있는 것들


def _bare(kind: type) -> Any:
    def __getattr__(self: Any, name: str) -> Any:
        if name in REAL:
            fail(f"이 검사는 self.{name}을(를) 주지 않습니다.", idea="검사가 주는 것", got=f"self.{name}")
        raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}")

    bare = type(kind.__name__, (kind,), {"__getattr__": __getattr__})
    return bare.__new__(bare)
