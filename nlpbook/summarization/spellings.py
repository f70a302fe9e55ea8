"""설정 항목의 여러 이름: 가이드와 transformers, 옛 설정 파일이 같은 것을 부르는 이름을 표에 한 번씩만 적었습니다.

이름은 묶음에서부터 점으로 이어 적습니다. 왼쪽으로 적어도 오른쪽의 것이 됩니다.
"""

from __future__ import annotations

from functools import cache
from typing import Any

SPELLINGS = {
    "training.epochs": "training.num_train_epochs",
    "training.num_epochs": "training.num_train_epochs",
    "training.batch_size": "training.per_device_train_batch_size",
    "training.train_batch_size": "training.per_device_train_batch_size",
    "training.eval_batch_size": "training.per_device_eval_batch_size",
    "training.label_smoothing_factor": "training.label_smoothing",
    "training.seed": "general.seed",
    "training.output_dir": "general.output_dir",
    "training.generation_max_length": "generation.max_length",
    "training.generation_num_beams": "generation.num_beams",
    "generation.generate_max_length": "generation.max_length",
    "tokenizer.special_tokens": "tokenizer.speaker_tags",
    "wandb.name": "experiment.name",
}

# 묶음 없이 적는 이름. 명령줄(`--num_epochs 3`)과 시도(trial)의 것입니다. 옵션의 이름은 여기 없어도 압니다.
PLAIN_NAMES = {
    "epochs": "training.num_train_epochs",
    "num_epochs": "training.num_train_epochs",
    "batch_size": "training.per_device_train_batch_size",
    "label_smoothing_factor": "training.label_smoothing",
    "generation_max_length": "generation.max_length",
    "generation_num_beams": "generation.num_beams",
    "train_data": "data.train",
    "val_data": "data.dev",
    "dev_data": "data.dev",
    "test_data": "data.test",
}

ENVIRONMENT = {
    "LEARNING_RATE": "training.learning_rate",
    "BATCH_SIZE": "training.per_device_train_batch_size",
    "NUM_EPOCHS": "training.num_train_epochs",
    "MODEL_NAME": "general.model_name",
    "OUTPUT_DIR": "general.output_dir",
    "WANDB_PROJECT": "wandb.project",
    "WANDB_ENTITY": "wandb.entity",
    "WANDB_MODE": "wandb.mode",
}

# 같은 것을 말하는 두 항목. 한쪽만 적으면 다른 쪽도 그것이 됩니다.
SAME = (
    ("general.model_name", "model.checkpoint"),
    ("meta.experiment_name", "experiment.name"),
)

# 한쪽만 쓰이는 두 항목. 한쪽을 적으면, 그 아래에서 적은 다른 쪽은 비웁니다.
RIVALS = (("training.warmup_ratio", "training.warmup_steps"),)

# 이 강의가 늘 정해진 대로 하는 것: 항목 → (하는 것, 까닭). 적어도 되지만, 달리 적으면 쓰이지 않는다고 알립니다.
FIXED: dict[str, tuple[Any, str]] = {
    "training.evaluation_strategy": ("epoch", "검증은 에포크마다 합니다"),
    "training.eval_strategy": ("epoch", "검증은 에포크마다 합니다"),
    "training.save_strategy": ("epoch", "체크포인트는 검증한 것을 남깁니다"),
    "training.logging_strategy": ("steps", "logging_steps마다 기록합니다"),
    "training.load_best_model_at_end": (True, "끝나면 언제나 가장 좋은 것을 남깁니다"),
    "training.predict_with_generate": (True, "ROUGE를 재려면 요약을 써 보아야 합니다"),
    "training.do_train": (True, "무엇을 할지는 명령이 정합니다"),
    "training.do_eval": (True, "무엇을 할지는 명령이 정합니다"),
    "training.report_to": (None, "어디에 기록할지는 wandb 묶음이 정합니다"),
    "training.run_name": (None, "실행의 이름은 experiment.name입니다"),
    "tokenizer.bos_token": (None, "시작 토큰은 토크나이저가 압니다"),
    "tokenizer.eos_token": (None, "끝 토큰은 토크나이저가 압니다"),
}

# 옛 단일 설정 파일(general, tokenizer, training, wandb, inference)에만 있는 항목.
OLD_FILE = {
    "inference.ckt_path": "prediction.checkpoint",
    "inference.result_path": "prediction.result_path",
    "inference.batch_size": "prediction.batch_size",
    "inference.remove_tokens": "prediction.remove_tokens",
    "inference.no_repeat_ngram_size": "generation.no_repeat_ngram_size",
    "inference.early_stopping": "generation.early_stopping",
    "inference.generate_max_length": "generation.max_length",
    "inference.generate_min_length": "generation.min_length",
    "inference.num_beams": "generation.num_beams",
    "inference.length_penalty": "generation.length_penalty",
}
OLD_REPORT = ("training.report_to", "wandb.enabled")  # W&B에 기록하라고 적었으면 켭니다.
OLD_DATA = ("general.data_path", {"data.train": "train.csv", "data.dev": "dev.csv", "data.test": "test.csv"})

# 학습 묶음의 항목 → transformers 5의 Seq2SeqTrainingArguments가 부르는 이름. 여기 없는 것은 이름이 같고, None은 없어진
# 것입니다. 스텝의 비율은 warmup_steps에 1보다 작은 수로 적습니다.
ARGUMENT_NAMES: dict[str, str | None] = {
    "label_smoothing": "label_smoothing_factor",
    "warmup_ratio": "warmup_steps",
    "precision": None,
    "early_stopping_patience": None,
    "early_stopping_threshold": None,
    "overwrite_output_dir": None,
    "logging_dir": None,
    "fp16_opt_level": None,
}


@cache
def within(group: str) -> dict[str, str]:
    """한 묶음 안에서만 본 `SPELLINGS`: 다른 이름 → 필드의 이름. 예: `"epochs" → "num_train_epochs"`."""
    pairs = ((name.split("."), field.split(".")) for name, field in SPELLINGS.items())
    return {name[1]: field[1] for name, field in pairs if name[0] == field[0] == group}
