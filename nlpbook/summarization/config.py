"""대화 요약의 설정. 항목의 이름, 기본값, 설명이 모두 여기 한 번만 적혀 있습니다.

YAML 파일, 환경 변수, 명령줄에서 읽어 층층이 쌓는 일은 `nlpbook.summarization.config_files`와 1단계가 합니다.
여기서는 무엇이 있는지와, 다 쌓은 것이 서로 어긋나지 않는지만 봅니다.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, ClassVar

from nlpbook.errors import UserError
from nlpbook.paths import DATA, OUTPUT
from nlpbook.settings import KeyPath, Settings, group, option
from nlpbook.shared_options import PRECISIONS
from nlpbook.summarization.spellings import FIXED, SAME, within

EMBEDDED_MODEL = "ko-bart-tiny"
EMBEDDED_DIALOGUES = DATA / "dialogue-sample"
EXPERIMENT = "dialogue_summarization"
ARCHITECTURES = ("kobart", "t5", "mt5", "kogpt2")
DEVICES = ("auto", "cuda", "cpu", "mps")
WANDB_MODES = ("online", "offline", "disabled")
SCHEDULES = (
    "linear",
    "cosine",
    "constant",
    "constant_with_warmup",
    "polynomial",
    "inverse_sqrt",
    "cosine_with_restarts",
)


class Spelled(Settings):
    """가이드가 부르는 다른 이름(`spellings.SPELLINGS`)으로도 읽고 쓰는 묶음: `config.training.epochs = 2`."""

    GROUP: ClassVar[str]

    @classmethod
    def known_names(cls) -> Collection[str]:
        return [*cls.names(), *within(cls.GROUP)]

    def __contains__(self, name: object) -> bool:
        return name in self.known_names()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(within(self.GROUP).get(name, name), value)

    def __getattr__(self, name: str) -> Any:
        """필드가 아닌 이름. 필드의 이름은 여기까지 오지 않습니다."""
        field_name = within(self.GROUP).get(name)
        if field_name is None:
            raise AttributeError(f"{type(self).__name__}에 {name}이(가) 없습니다.")
        return getattr(self, field_name)


@dataclass
class MetaSettings(Settings):
    """실험이 무엇인지."""

    experiment_name: str = option(
        EXPERIMENT, "실험의 이름. experiment.name과 같은 것입니다.", name="meta_experiment_name"
    )
    version: str = option("1.0", "설정의 판.")
    description: str = option("", "실험의 설명.")


@dataclass
class GeneralSettings(Settings):
    """실험 전체에 걸친 것."""

    seed: int = option(42, "난수 시드.", min=0)
    model_name: str = option(EMBEDDED_MODEL, "모델의 이름. model.checkpoint와 같은 것이고, 둘이 다르면 그쪽을 씁니다.")
    output_dir: str = option(str(OUTPUT), "결과를 모을 폴더.")
    device: str = option("auto", "계산 장치.", choices=DEVICES)


@dataclass
class ExperimentSettings(Settings):
    """기록에 남을 이름."""

    name: str = option(EXPERIMENT, "실험의 이름.", name="experiment_name")
    tags: list[str] = option([], "실험의 꼬리표.", name="experiment_tags")


@dataclass
class ModelSettings(Settings):
    """무엇을 미세조정할지."""

    architecture: str = option("kobart", "모델의 종류.", choices=ARCHITECTURES)
    checkpoint: str = option(EMBEDDED_MODEL, "사전학습 모델: 내장 모델의 이름, 폴더, 또는 허브의 이름.")
    load_pretrained: bool = option(True, "배운 가중치를 불러옵니다. false면 모양만 같은 빈 모델에서 시작합니다.")


@dataclass
class TokenizerSettings(Spelled):
    """글을 어떻게 자를지."""

    GROUP: ClassVar[str] = "tokenizer"

    encoder_max_len: int = option(512, "대화의 최대 토큰 수. 넘으면 잘립니다.", min=8)
    decoder_max_len: int = option(128, "요약의 최대 토큰 수. 넘으면 잘립니다.", min=4)
    speaker_tags: list[str] = option(
        [f"#Person{number}#" for number in range(1, 8)], "토큰 하나로 둘 말한이의 꼬리표들."
    )


@dataclass
class DataSettings(Settings):
    """대화와 요약이 적힌 CSV 파일."""

    train: str = option(str(EMBEDDED_DIALOGUES / "train.csv"), "학습 파일.", name="train_data")
    dev: str = option(str(EMBEDDED_DIALOGUES / "dev.csv"), "검증 파일.", name="val_data")
    test: str = option(str(EMBEDDED_DIALOGUES / "test.csv"), "평가 파일.", name="test_data")
    max_train_samples: int | None = option(None, "학습에 쓸 대화 수의 상한(빨리 돌려 볼 때).", min=1)
    max_eval_samples: int | None = option(None, "검증에 쓸 대화 수의 상한.", min=1)
    max_test_samples: int | None = option(None, "평가에 쓸 대화 수의 상한.", min=1)
    accept_changed_data: bool = option(False, "이어 할 때, 시작한 뒤에 대화가 바뀌었어도 받아들입니다.")


@dataclass
class TrainingSettings(Spelled):
    """학습의 하이퍼파라미터. 이름은 transformers의 것을 따릅니다."""

    GROUP: ClassVar[str] = "training"

    num_train_epochs: int = option(3, "에포크 수.", min=1)
    per_device_train_batch_size: int = option(16, "학습 배치 크기(장치마다).", min=1)
    per_device_eval_batch_size: int | None = option(None, "검증 배치 크기. 비우면 학습과 같습니다.", min=1)
    gradient_accumulation_steps: int = option(1, "가중치를 한 번 고칠 때 기울기를 모을 배치의 수.", min=1)
    learning_rate: float = option(5e-5, "가장 높은 학습률.", min=0)
    lr_scheduler_type: str = option("linear", "학습률이 변하는 모양.", choices=SCHEDULES)
    warmup_ratio: float | None = option(0.1, "학습률을 0에서 올리는 구간의 비율.", min=0, max=1)
    warmup_steps: int | None = option(None, "그 구간의 스텝 수. 적으면 비율은 쓰지 않습니다.", min=0)
    weight_decay: float = option(0.01, "AdamW의 weight decay.", min=0)
    label_smoothing: float = option(0.0, "정답의 확률에서 다른 토큰들에 나누어 줄 몫.", min=0, max=0.9)
    max_grad_norm: float = option(1.0, "기울기의 크기를 자르는 한계.", min=0)
    optim: str = option("adamw_torch", "옵티마이저의 이름.")
    metric_for_best_model: str = option("eval_rouge_sum", "가장 좋은 모델을 고르는 지표.")
    early_stopping_patience: int = option(
        0, "지표가 이만큼의 에포크 동안 나아지지 않으면 멈춥니다. 0이면 끝까지 합니다.", min=0
    )
    early_stopping_threshold: float = option(0.0, "이보다 크게 나아져야 나아진 것으로 봅니다.", min=0)
    save_total_limit: int = option(3, "남길 체크포인트 수.", min=1)
    logging_steps: int = option(20, "기록하는 간격(스텝 수).", min=1)
    dataloader_num_workers: int = option(0, "데이터를 읽는 보조 프로세스 수.", min=0)
    fp16: bool = option(True, "장치가 할 수 있으면 16비트로 계산합니다. bf16이 되면 그것을, 아니면 fp16을 씁니다.")
    fp16_opt_level: str | None = option(None, "옛 apex의 단계. 받기만 하고 쓰지 않습니다.")
    precision: str = option("auto", "수의 정밀도. auto면 fp16을 따릅니다.", choices=PRECISIONS)
    gradient_checkpointing: bool = option(False, "메모리를 아끼려고 중간값을 버렸다가 다시 셈합니다.")
    overwrite_output_dir: bool = option(True, "받기만 합니다. 실행마다 새 폴더를 쓰므로 덮어쓸 것이 없습니다.")
    logging_dir: str | None = option(None, "기록을 둘 폴더. 비우면 실행 폴더의 logs/입니다.")

    @property
    def eval_batch_size(self) -> int:
        """검증 배치의 크기."""
        return self.per_device_eval_batch_size or self.per_device_train_batch_size


@dataclass
class GenerationSettings(Spelled):
    """요약을 어떻게 쓸지. 검증과 평가, 서비스가 모두 이것을 씁니다."""

    GROUP: ClassVar[str] = "generation"

    num_beams: int = option(4, "빔(beam)의 수. 1이면 가장 그럴듯한 토큰만 따라갑니다.", min=1)
    length_penalty: float = option(1.0, "클수록 긴 요약을 고릅니다.")
    no_repeat_ngram_size: int = option(2, "이만큼 이어진 토큰은 되풀이하지 않습니다. 0이면 막지 않습니다.", min=0)
    max_length: int = option(100, "요약의 최대 토큰 수.", min=2)
    min_length: int = option(0, "요약의 최소 토큰 수.", min=0)
    early_stopping: bool = option(True, "빔의 수만큼 요약이 완성되면 멈춥니다.")


@dataclass
class PredictionSettings(Settings):
    """정답이 없는 대화를 요약할 때."""

    checkpoint: str | None = option(None, "쓸 모델의 폴더. 비우면 가장 좋은 것입니다.", name="checkpoint_path")
    result_path: str = option("prediction", "요약을 적을 폴더.")
    batch_size: int = option(32, "배치 크기.", min=1, name="predict_batch_size")
    remove_tokens: list[str] = option([], "요약에서 더 지울 토큰들. 모델의 특수 토큰은 언제나 지웁니다.")


@dataclass
class WandbSettings(Spelled):
    """W&B에 기록할지."""

    GROUP: ClassVar[str] = "wandb"

    enabled: bool = option(False, "W&B에도 기록합니다. 적지 않고 mode만 적으면 그것을 따릅니다.", name="wandb_enabled")
    project: str = option("nlp-dialogue-summarization", "프로젝트의 이름.", name="wandb_project")
    entity: str | None = option(None, "팀의 이름.", name="wandb_entity")
    mode: str = option("online", "online, offline(나중에 올리기), disabled.", choices=WANDB_MODES, name="wandb_mode")
    tags: list[str] = option([], "experiment.tags에 더할 꼬리표.", name="wandb_tags")

    @property
    def active(self) -> bool:
        """정말로 기록하는가."""
        return self.enabled and self.mode != "disabled"


@dataclass
class SummarizationConfig(Settings):
    """실험 하나의 모든 설정.

    Attributes:
        unused: 적혀 있었지만 이 강의에서는 쓰이지 않는 항목 → 값. `notices`가 까닭을 말합니다.
    """

    meta: MetaSettings = group(MetaSettings, "실험")
    general: GeneralSettings = group(GeneralSettings, "공통")
    experiment: ExperimentSettings = group(ExperimentSettings, "기록에 남을 이름")
    model: ModelSettings = group(ModelSettings)
    tokenizer: TokenizerSettings = group(TokenizerSettings, "토크나이저")
    data: DataSettings = group(DataSettings)
    training: TrainingSettings = group(TrainingSettings, "학습")
    generation: GenerationSettings = group(GenerationSettings)
    prediction: PredictionSettings = group(PredictionSettings, "예측")
    wandb: WandbSettings = group(WandbSettings, "W&B")
    unused: dict[str, Any] = field(default_factory=dict)

    def sources(self, path: KeyPath = ()) -> dict[str, str]:
        found = super().sources(path)
        return found if self.unused else {name: source for name, source in found.items() if name != "unused"}

    def require_consistent(self) -> SummarizationConfig:
        """항목끼리 어긋나지 않는지 보고, 자신을 돌려줍니다.

        Raises:
            UserError: 어긋날 때.
        """
        if self.training.learning_rate == 0:
            raise UserError("training.learning_rate가 0이면 아무것도 배우지 못합니다. 예: 5e-5")
        if self.generation.min_length >= self.generation.max_length:
            raise UserError(
                f"generation.min_length {self.generation.min_length}은(는) generation.max_length "
                f"{self.generation.max_length}보다 작아야 합니다."
            )
        return self

    def notices(self) -> list[str]:
        """오류는 아니지만 사람이 알아야 할 것들을 한 문장씩."""
        found = [
            f"{one}({self[one]!r})과(와) {other}({self[other]!r})이(가) 다릅니다. {other}을(를) 씁니다."
            for one, other in SAME
            if self[one] != self[other]
        ]
        if self.training.warmup_steps is not None and self.training.warmup_ratio:
            found.append("training.warmup_steps와 warmup_ratio를 함께 적었습니다. warmup_steps를 씁니다.")
        if self.training.fp16_opt_level is not None:
            found.append("training.fp16_opt_level은 apex의 것이라 아무 일도 하지 않습니다. fp16만으로 충분합니다.")
        if not self.training.overwrite_output_dir:
            found.append("training.overwrite_output_dir: 실행마다 새 폴더를 쓰므로 언제나 덮어쓰지 않습니다.")
        found += [f"{name}: {value!r}은(는) 쓰이지 않습니다. {FIXED[name][1]}." for name, value in self.unused.items()]
        return found
