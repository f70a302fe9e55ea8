"""감성분석의 설정. 옵션의 이름, 기본값, 설명이 모두 여기 한 번만 적혀 있습니다.

필드 하나가 명령줄 옵션 하나가 됩니다(`nlpbook.cli`). 실행마다 `arguments.json`으로 저장되고, 그 파일에서 그대로
되살아납니다. 묶음(env, data, model, …)은 `args.model.seq_len`처럼 읽히도록 나눈 것입니다.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from nlpbook.paths import DATA, OUTPUT
from nlpbook.settings import ACCELERATORS, PRECISIONS, GroupedArguments, option

EMBEDDED_MODEL = "ko-bert-tiny"
EMBEDDED_CORPUS = "nsmc-sample"


@dataclass
class EnvArguments:
    """이름과 버전: 결과가 `<output>/<project>/<job_name>-<job_version>/`에 모입니다."""

    project: str = option("task1-cls", "프로젝트 이름. 결과 폴더의 첫 이름입니다.")
    job_name: str | None = option(None, "작업 이름. 비우면 모델 이름을 씁니다.")
    job_version: str | None = option(None, "작업 버전. 비우면 시작한 날짜와 시각을 씁니다.")
    debugging: bool = option(False, "오류가 나면 traceback을 모두 보여 줍니다.")


@dataclass
class DataArguments:
    """말뭉치."""

    home: str = option(str(DATA), "말뭉치들이 있는 폴더.", name="data_home")
    name: str = option(EMBEDDED_CORPUS, "말뭉치 이름. nsmc-sample은 내장, nsmc는 실제 NSMC입니다.", name="data_name")
    train_file: str = option("ratings_train.txt", "학습 파일 이름.")
    valid_file: str | None = option(None, "검증 파일 이름. 없으면 학습 파일의 5 %를 시드를 정해 떼어 씁니다.")
    test_file: str = option("ratings_test.txt", "평가 파일 이름.")
    num_check: int = option(0, "시작할 때 보여 줄 예문 수.", min=0)
    max_train_samples: int | None = option(None, "학습에 쓸 예문 수의 상한(빨리 돌려 볼 때).", min=1)
    max_valid_samples: int | None = option(None, "검증에 쓸 예문 수의 상한.", min=1)
    max_test_samples: int | None = option(None, "평가에 쓸 예문 수의 상한.", min=1)


@dataclass
class ModelArguments:
    """사전학습 모델과 결과 폴더."""

    pretrained: str = option(
        EMBEDDED_MODEL, "사전학습 모델: 내장 모델 이름, 폴더, 또는 허브 이름(beomi/KcELECTRA-base)."
    )
    output: str = option(str(OUTPUT), "결과를 모을 폴더.")
    seq_len: int = option(128, "문장 하나의 최대 토큰 수. 넘으면 잘립니다.", min=4)


@dataclass
class HardwareArguments:
    """무엇으로, 얼마씩 계산할지."""

    workers: int = option(0, "데이터를 읽는 보조 프로세스 수.", min=0)
    train_batch: int = option(32, "학습 배치 크기(프로세스마다).", min=1)
    infer_batch: int = option(256, "검증과 평가의 배치 크기(프로세스마다).", min=1)
    accelerator: str = option("auto", "계산 장치.", choices=ACCELERATORS)
    precision: str = option("auto", "수의 정밀도. auto는 장치가 잘하는 것을 고릅니다.", choices=PRECISIONS)
    strategy: str = option("auto", "여러 장치를 쓰는 방법.", choices=("auto", "ddp"))
    devices: int = option(1, "장치(CPU에서는 프로세스) 수.", min=1)


@dataclass
class PrintingArguments:
    """화면에 언제, 어떤 모양으로 적을지."""

    print_every: float = option(0.1, "학습 상황을 적는 간격: 1 이하면 에포크의 비율, 1보다 크면 걸음 수.", min=0)
    tag_format_on_training: str = option(
        "st={step} ep={epoch:.2f} lr={lr:.1e} loss={loss:.4f} acc={acc:.4f}", "학습 줄의 모양."
    )
    tag_format_on_validate: str = option(
        "st={step} ep={epoch:.2f} val_loss={val_loss:.4f} val_acc={val_acc:.4f}", "검증 줄의 모양."
    )
    tag_format_on_evaluate: str = option("acc={accuracy:.4f} f1={f1:.4f} ({count}개)", "평가 줄의 모양.")


@dataclass
class LearningArguments:
    """학습의 하이퍼파라미터."""

    num_epochs: int = option(3, "에포크 수.", min=1)
    learning_rate: float | None = option(None, "학습률. 비우면 내장 모델은 5e-4, 다른 모델은 5e-5입니다.", min=0)
    weight_decay: float = option(0.01, "AdamW의 weight decay. 행렬에만 걸립니다.", min=0)
    warmup_rate: float = option(0.1, "학습률을 0에서 올리는 구간의 비율. 그 뒤로는 0까지 곧게 내립니다.", min=0, max=1)
    max_grad_norm: float = option(1.0, "기울기의 크기를 자르는 한계.", min=0)
    seed: int = option(7, "난수 시드.", min=0)
    saving_mode: str = option(
        "max val_acc",
        "무엇이 가장 좋은 체크포인트인지.",
        choices=("max val_acc", "min val_loss", "min val_acc", "max val_loss"),
    )
    num_saving: int = option(2, "남길 체크포인트 수.", min=1)
    val_interval: float = option(0.5, "검증 간격: 1 이하면 에포크의 비율, 1보다 크면 걸음 수.", min=0)
    save_every: int = option(0, "이만큼의 걸음마다 이어 할 상태를 저장합니다. 0이면 검증할 때만 저장합니다.", min=0)
    resume: bool = option(False, "마지막으로 멈춘 학습을 이어 합니다.")


@dataclass
class EvaluationArguments:
    """무엇을 평가할지."""

    all: bool = option(False, "가장 좋은 것만이 아니라, 남아 있는 체크포인트를 모두 평가합니다.")
    checkpoint: str | None = option(None, "평가할 체크포인트 파일. 비우면 가장 좋은 것을 고릅니다.")
    num_mistakes: int = option(50, "mistakes.html에 담을 오답 수.", min=0)


@dataclass
class ServerArguments:
    """웹 서비스."""

    host: str = option("127.0.0.1", "듣는 주소. 다른 기기에서 열려면 0.0.0.0입니다.", name="server_host")
    port: int = option(9164, "듣는 포트.", name="server_port", min=1, max=65535)
    page: str = option("serve_cls.html", "templates/ 안의 페이지 파일.", name="server_page")
    threads: int = option(4, "동시에 처리할 요청 수.", name="server_threads", min=1)


@dataclass
class Arguments(GroupedArguments):
    """모든 명령에 공통인 설정."""

    env: EnvArguments = field(default_factory=EnvArguments)
    data: DataArguments = field(default_factory=DataArguments)
    model: ModelArguments = field(default_factory=ModelArguments)
    hardware: HardwareArguments = field(default_factory=HardwareArguments)
    printing: PrintingArguments = field(default_factory=PrintingArguments)


@dataclass
class TrainArguments(Arguments):
    """`train`의 설정."""

    learning: LearningArguments = field(default_factory=LearningArguments)

    def __post_init__(self) -> None:
        if self.learning.learning_rate is None:
            # 작은 모델은 크게, 오래 사전학습한 큰 모델은 조심스럽게 움직여야 합니다.
            self.learning.learning_rate = 5e-4 if Path(self.model.pretrained).name == EMBEDDED_MODEL else 5e-5


@dataclass
class TestArguments(Arguments):
    """`test`의 설정."""

    __test__ = False  # 이름이 Test로 시작하지만 pytest의 검사가 아닙니다.

    evaluation: EvaluationArguments = field(default_factory=EvaluationArguments)


@dataclass
class ServeArguments(Arguments):
    """`serve`의 설정."""

    server: ServerArguments = field(default_factory=ServerArguments)


@dataclass
class ClassificationTrainArguments:
    """한 줄로 적는 분류 학습 설정. 노트북에서 씁니다(`notebooks/pipeline_tour.ipynb`).

    필드 이름은 ratsnlp의 같은 이름 클래스를 따릅니다. `grouped()`가 단계 파일이 쓰는 묶음으로 바꿉니다.
    """

    pretrained_model_name: str = str(DATA / "models" / EMBEDDED_MODEL)
    downstream_task_name: str = "document-classification"
    downstream_corpus_name: str = EMBEDDED_CORPUS
    downstream_corpus_root_dir: str = str(DATA)
    downstream_model_dir: str = str(OUTPUT / "pipeline-tour")
    max_seq_length: int = 128
    save_top_k: int = 1
    monitor: str = "min val_loss"
    seed: int | None = 7
    overwrite_cache: bool = False
    force_download: bool = False
    test_mode: bool = False
    learning_rate: float = 5e-5
    epochs: int = 3
    batch_size: int = 32
    cpu_workers: int = 0
    fp16: bool = False
    tpu_cores: int = 0

    def grouped(self) -> TrainArguments:
        """같은 뜻의 `TrainArguments`."""
        return TrainArguments(
            data=DataArguments(home=self.downstream_corpus_root_dir, name=self.downstream_corpus_name),
            model=ModelArguments(
                pretrained=self.pretrained_model_name, output=self.downstream_model_dir, seq_len=self.max_seq_length
            ),
            hardware=HardwareArguments(
                workers=self.cpu_workers,
                train_batch=self.batch_size,
                precision="16-mixed" if self.fp16 else "auto",
            ),
            learning=LearningArguments(
                learning_rate=self.learning_rate,
                num_epochs=self.epochs,
                seed=self.seed or 0,
                saving_mode=self.monitor,
                num_saving=self.save_top_k,
            ),
        )


def grouped(args: Arguments | ClassificationTrainArguments | None) -> Arguments:
    """어느 쪽 설정을 받아도 묶음 설정으로 바꿉니다. None이면 기본값입니다."""
    if args is None:
        return TrainArguments()
    return args.grouped() if isinstance(args, ClassificationTrainArguments) else args
