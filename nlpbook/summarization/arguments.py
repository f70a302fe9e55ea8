"""설정을 transformers 5의 `Seq2SeqTrainingArguments`가 받는 이름과 값으로 바꿉니다.

검증과 저장을 언제 하고 무엇이 가장 좋은 것인지는 4단계가 정합니다. 여기서는 이름만 다른 것들을 옮깁니다.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from console_text import did_you_mean
from nlpbook.errors import UserError
from nlpbook.hardware import accelerator_of
from nlpbook.summarization.config import SummarizationConfig
from nlpbook.summarization.precision import precision_for
from nlpbook.summarization.spellings import ARGUMENT_NAMES

METRICS = ("eval_rouge_sum", "eval_rouge_combined_f1", "eval_rouge1", "eval_rouge2", "eval_rougeL", "eval_loss")
OWN_NAMES = {"warmup_ratio", "warmup_steps", "fp16", "per_device_eval_batch_size", "metric_for_best_model"}
NEARLY_ALL = 1 - 1e-9  # 1보다 작아야 비율로 읽힙니다.


def argument_values(config: SummarizationConfig, output_dir: Path) -> dict[str, Any]:
    """이름 → 값. 장치, 정밀도, 배치, 학습률, 기록처럼 뜻이 같은 것들입니다.

    Args:
        output_dir: `checkpoint-N/` 폴더들이 생길 곳.

    Raises:
        UserError: 그 장치나 정밀도를 쓸 수 없거나, 모르는 지표일 때.
    """
    training = config.training
    device = accelerator_of(config.general.device)
    precision = precision_for(config, device)
    known = {name: ARGUMENT_NAMES.get(name, name) for name in (one.name for one in fields(training))}
    same = {new: training[name] for name, new in known.items() if new is not None and name not in OWN_NAMES}
    return {
        **same,
        "output_dir": str(output_dir),
        "per_device_eval_batch_size": training.eval_batch_size,
        "warmup_steps": warmup_of(config),
        "bf16": precision.bf16,
        "fp16": precision.fp16,
        "use_cpu": device == "cpu",  # 없으면 torchrun의 프로세스들이 저마다 혼자 학습합니다.
        "seed": config.general.seed,
        "generation_max_length": config.generation.max_length,
        "generation_num_beams": config.generation.num_beams,
        "report_to": "none",  # W&B에는 우리가 가이드의 이름으로 적습니다(nlpbook.tracking.WandbLogger).
        "disable_tqdm": True,  # 막대는 nlpbook.screen의 것입니다.
        "logging_nan_inf_filter": False,  # 켜 두면 NaN인 손실을 앞의 평균으로 바꾸어 감춥니다.
    }


def warmup_of(config: SummarizationConfig) -> float:
    """`warmup_steps`에 적을 값: 스텝 수이거나, 1보다 작은 비율."""
    training = config.training
    if training.warmup_steps is not None:
        return training.warmup_steps
    return min(training.warmup_ratio or 0.0, NEARLY_ALL)


def require_metric(name: str) -> str:
    """가장 좋은 모델을 고르는 지표의 이름. `eval_`을 빼고 적어도 됩니다.

    Raises:
        UserError: 검증이 재지 않는 이름일 때. 한 에포크를 배운 뒤가 아니라 시작하기 전에 알립니다.
    """
    full = name if name.startswith("eval_") else f"eval_{name}"
    if full not in METRICS:
        raise UserError(
            f"training.metric_for_best_model에 모르는 지표입니다: {name}.{did_you_mean(full, METRICS)} 쓸 수 있는 것: "
            f"{', '.join(METRICS)}."
        )
    return full
