"""감성분석의 설정. 옵션의 이름, 기본값, 설명이 모두 여기 한 번만 적혀 있습니다.

필드 하나가 명령줄 옵션 하나가 됩니다(`nlpbook.cli`). 실행마다 `arguments.json`으로 저장되고, 그 파일에서 그대로
되살아납니다. 묶음(env, data, model, …)은 `config.model.seq_len`처럼 읽히도록 나눈 것입니다.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpbook.paths import DATA, OUTPUT
from nlpbook.settings import Settings, group, option, with_defaults
from nlpbook.shared_options import (
    CheckpointOption,
    HardwareOptions,
    LearningOptions,
    RunOptions,
    ServerOptions,
    corpora_folder,
    output_folder,
)

EMBEDDED_MODEL = "ko-bert-tiny"
FINE_TUNING_RATE = 5e-5  # 이미 배운 것을 망가뜨리지 않을 만큼 작은 학습률
CHANGEABLE = {  # 이어 하면서 바꾸어도 되는 것. 글은 내용이 같은지 지문으로 봅니다.
    *("num_epochs", "save_every", "num_saving", "val_interval", "data_home", "accept_changed_data", "num_check"),
    *("workers", "infer_batch", "accelerator", "precision", "print_every", "debugging"),
    *("tag_format_on_training", "tag_format_on_validate", "tag_format_on_evaluate"),
}
EMBEDDED_CORPUS = "nsmc-sample"


@dataclass
class EnvConfig(with_defaults(RunOptions, project="task1-cls")):
    """이름과 버전: 결과가 `<output>/<project>/<job_name>-<job_version>/`에 모입니다."""


@dataclass
class DataConfig(Settings):
    """말뭉치."""

    home: str = corpora_folder()
    name: str = option(EMBEDDED_CORPUS, "말뭉치 이름. nsmc-sample은 내장, nsmc는 실제 NSMC입니다.", name="data_name")
    train_file: str = option("ratings_train.txt", "학습 파일 이름.")
    valid_file: str | None = option(None, "검증 파일 이름. 없으면 학습 파일의 5 %를 시드를 정해 떼어 씁니다.")
    test_file: str = option("ratings_test.txt", "평가 파일 이름.")
    num_check: int = option(0, "시작할 때 보여 줄 예문 수.", min=0)
    max_train_samples: int | None = option(None, "학습에 쓸 예문 수의 상한(빨리 돌려 볼 때).", min=1)
    max_valid_samples: int | None = option(None, "검증에 쓸 예문 수의 상한.", min=1)
    max_test_samples: int | None = option(None, "평가에 쓸 예문 수의 상한.", min=1)


@dataclass
class ModelConfig(Settings):
    """사전학습 모델과 결과 폴더."""

    pretrained: str = option(
        EMBEDDED_MODEL, "사전학습 모델: 내장 모델 이름, 폴더, 또는 허브 이름(beomi/KcELECTRA-base)."
    )
    random_init: bool = option(False, "사전학습한 가중치를 버리고, 같은 모양의 난수에서 시작합니다(절제 실험).")
    output: str = output_folder()
    seq_len: int = option(128, "문장 하나의 최대 토큰 수. 넘으면 잘립니다.", min=4)


@dataclass
class HardwareConfig(HardwareOptions):
    """무엇으로, 얼마씩 계산할지."""

    train_batch: int = option(32, "학습 배치 크기(프로세스마다).", min=1)
    infer_batch: int = option(256, "검증과 평가의 배치 크기(프로세스마다).", min=1)


@dataclass
class PrintingConfig(Settings):
    """화면에 언제, 어떤 모양으로 적을지."""

    print_every: float = option(0.1, "학습 상황을 적는 간격: 1 이하면 에포크의 비율, 1보다 크면 스텝 수.", min=0)
    tag_format_on_training: str = option(
        "st={step} ep={epoch:.2f} lr={lr:.1e} loss={loss:.4f} acc={acc:.4f}", "학습 줄의 모양."
    )
    tag_format_on_validate: str = option(
        "st={step} ep={epoch:.2f} val_loss={val_loss:.4f} val_acc={val_acc:.4f}", "검증 줄의 모양."
    )
    tag_format_on_evaluate: str = option("acc={accuracy:.4f} f1={f1:.4f} ({count}개)", "평가 줄의 모양.")


@dataclass
class LearningConfig(LearningOptions):
    """학습의 하이퍼파라미터."""

    learning_rate: float | None = option(None, "학습률. 비우면 내장 모델은 5e-4, 다른 모델은 5e-5입니다.", min=0)
    saving_mode: str = option(
        "max val_acc",
        "무엇이 가장 좋은 체크포인트인지.",
        choices=("max val_acc", "min val_loss", "min val_acc", "max val_loss"),
    )
    num_saving: int = option(2, "남길 체크포인트 수.", min=1)
    val_interval: float = option(0.5, "검증 간격: 1 이하면 에포크의 비율, 1보다 크면 스텝 수.", min=0)


@dataclass
class EvaluationConfig(CheckpointOption):
    """무엇을 평가할지."""

    all: bool = option(False, "가장 좋은 것만이 아니라, 남아 있는 체크포인트를 모두 평가합니다.")
    num_mistakes: int = option(50, "mistakes.html에 담을 오답 수.", min=0)


@dataclass
class ServerConfig(with_defaults(ServerOptions, page="serve_cls.html")):
    """웹 서비스."""


@dataclass
class ClassificationConfig(Settings):
    """모든 명령에 공통인 설정."""

    env: EnvConfig = group(EnvConfig)
    data: DataConfig = group(DataConfig)
    model: ModelConfig = group(ModelConfig)
    hardware: HardwareConfig = group(HardwareConfig)
    printing: PrintingConfig = group(PrintingConfig)


@dataclass
class TrainConfig(ClassificationConfig):
    """`train`의 설정."""

    learning: LearningConfig = group(LearningConfig)

    def __post_init__(self) -> None:
        if self.learning.learning_rate is None:
            # 작은 모델은 크게, 오래 사전학습한 큰 모델은 조심스럽게 움직여야 합니다.
            from_embedded = Path(self.model.pretrained).name == EMBEDDED_MODEL and not self.learning.init_from
            self.learning.learning_rate = 5e-4 if from_embedded else FINE_TUNING_RATE


@dataclass
class TestConfig(ClassificationConfig):
    """`test`의 설정."""

    __test__ = False  # 이름이 Test로 시작하지만 pytest의 검사가 아닙니다.

    evaluation: EvaluationConfig = group(EvaluationConfig)


@dataclass
class ServeConfig(ClassificationConfig):
    """`serve`의 설정."""

    server: ServerConfig = group(ServerConfig)


class ClassificationTrainArguments(TrainConfig):
    """한 줄로 적는 분류 학습 설정. 노트북에서 씁니다(`notebooks/pipeline_tour.ipynb`).

    ratsnlp의 같은 이름 클래스처럼 쓰고 읽지만(`args.batch_size`), 값은 `TrainConfig`의 묶음에 있습니다. `UNUSED`의
    이름은 옛 코드가 그대로 돌도록 받기만 합니다.
    """

    NAMES = {
        "pretrained_model_name": "model.pretrained",
        "downstream_corpus_name": "data.name",
        "downstream_corpus_root_dir": "data.home",
        "downstream_model_dir": "model.output",
        "max_seq_length": "model.seq_len",
        "save_top_k": "learning.num_saving",
        "monitor": "learning.saving_mode",
        "seed": "learning.seed",
        "learning_rate": "learning.learning_rate",
        "epochs": "learning.num_epochs",
        "batch_size": "hardware.train_batch",
        "cpu_workers": "hardware.workers",
        "fp16": "hardware.precision",
    }
    OTHER_DEFAULTS = {
        "pretrained_model_name": str(DATA / "models" / EMBEDDED_MODEL),
        "downstream_model_dir": str(OUTPUT / "pipeline-tour"),
        "save_top_k": 1,
        "monitor": "min val_loss",
        "learning_rate": 5e-5,
    }
    UNUSED = ("downstream_task_name", "overwrite_cache", "force_download", "test_mode", "tpu_cores")

    def __init__(self, **given: Any) -> None:
        named = {**self.OTHER_DEFAULTS, **{name: value for name, value in given.items() if name in self.NAMES}}
        if "fp16" in named:
            named["fp16"] = "16-mixed" if named["fp16"] else "auto"
        groups = {name: value for name, value in given.items() if name in self.keys()}
        start = TrainConfig(**groups).merge({self.NAMES[name]: value for name, value in named.items()})
        super().__init__(**{name: start[name] for name in start})
        for name in self.UNUSED:
            object.__setattr__(self, name, given.get(name))

    @classmethod
    def names(cls) -> list[str]:
        return [*super().names(), *cls.NAMES, *cls.UNUSED]

    def __getattr__(self, name: str) -> Any:
        """ratsnlp의 이름으로 읽은 값. 묶음의 이름은 여기까지 오지 않습니다."""
        if name not in self.NAMES:
            raise AttributeError(f"{type(self).__name__}에 {name}이(가) 없습니다.")
        value = self[self.NAMES[name]]
        return value == "16-mixed" if name == "fp16" else value
