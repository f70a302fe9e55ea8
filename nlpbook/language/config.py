"""언어 모델 과제의 설정. 옵션의 이름, 기본값, 설명이 모두 여기 한 번만 적혀 있습니다.

묶음으로 나누지 않고 납작합니다: 학습 가이드의 `config` 사전과 같은 이름으로
`LMConfig(d_embed=128, num_layers=2)`처럼 씁니다.
"""

from __future__ import annotations

from dataclasses import dataclass

from nlpbook.errors import UserError
from nlpbook.settings import group, option, with_defaults
from nlpbook.shared_options import (
    AcceleratorOption,
    CheckpointOption,
    HardwareOptions,
    LearningOptions,
    RunOptions,
    ServerOptions,
    corpora_folder,
    output_folder,
)

EMBEDDED_TEXT = "lm-sample"
FINE_TUNING_RATE = 3e-5  # --init_from의 기본 학습률. 이미 배운 것을 망가뜨리지 않도록 처음부터 배울 때의 10분의 1
SHAPE = ("d_embed", "num_heads", "num_layers", "max_seq_len", "activation")  # 이것이 다르면 가중치를 옮길 수 없습니다.
CHANGEABLE = {  # 이어 하면서 바꾸어도 되는 것. 글은 내용이 같은지 지문으로 봅니다.
    *("num_epochs", "patience", "overfit_margin", "save_every", "data", "data_home", "accept_changed_data"),
    *("workers", "accelerator", "precision", "sample_prompt", "sample_tokens", "wandb_project", "debugging"),
}


@dataclass
class RunChoice(with_defaults(RunOptions, project="task3-lm"), AcceleratorOption):
    """어느 실행을 어떤 장치에서: 모든 명령에 공통인 옵션."""

    output: str = output_folder()


@dataclass
class LMConfig(HardwareOptions, with_defaults(LearningOptions, num_epochs=10, weight_decay=0.1), RunChoice):
    """학습 한 번의 모든 설정."""

    d_embed: int = option(256, "임베딩 차원. num_heads로 나누어떨어져야 합니다.", min=1, group="model")
    num_heads: int = option(4, "어텐션 헤드의 수.", min=1, group="model")
    num_layers: int = option(4, "블록의 수.", min=1, group="model")
    max_seq_len: int = option(256, "문맥의 길이: 한 번에 보는 토큰 수.", min=2, group="model")
    activation: str = option(
        "gelu",
        "MLP의 활성 함수. gelu_new는 GPT-2가 쓰는 tanh 근사로, CPU에서 다섯 배쯤 느립니다.",
        choices=("gelu", "gelu_new"),
        group="model",
    )
    dropout: float = option(0.1, "드롭아웃 비율.", min=0, max=0.95, group="model")

    batch_size: int = option(8, "배치 크기(프로세스마다). 창의 수입니다.", min=1, group="learning")
    min_lr: float | None = option(
        None, "코사인의 끝에서 머무는 학습률. 비우면 learning_rate의 10분의 1입니다.", min=0, group="learning"
    )
    beta1: float = option(
        0.9, "AdamW가 기울기의 이동 평균(첫째 모멘트)을 이어 가는 비율.", min=0, max=0.9999, group="learning"
    )
    beta2: float = option(
        0.95, "AdamW가 기울기 제곱의 이동 평균(둘째 모멘트)을 이어 가는 비율.", min=0, max=0.9999, group="learning"
    )
    grad_accumulation: int = option(1, "가중치를 한 번 고칠 때 기울기를 모을 배치의 수.", min=1, group="learning")
    patience: int = option(
        0, "검증 손실이 이만큼의 에포크 동안 나아지지 않으면 멈춥니다. 0이면 끝까지 합니다.", min=0, group="learning"
    )
    overfit_margin: float = option(
        0.5, "검증 손실이 가장 좋을 때보다 이만큼 커지면 과적합을 경고합니다.", min=0, group="learning"
    )
    find_lr: bool = option(False, "학습하는 대신, 알맞은 학습률을 찾아 그림과 함께 제안합니다.", group="learning")

    data: str = option(
        EMBEDDED_TEXT,
        "글: UTF-8 파일이나 폴더, 또는 이름(lm-sample, nsmc, nsmc-sample, kowikitext, namuwikitext).",
        group="data",
    )
    data_home: str = corpora_folder()
    tokenizer: str | None = option(
        None, "토크나이저: 비우면 글에서 새로 학습합니다. tokenizer.json, 폴더, 또는 허브 이름.", group="data"
    )
    vocab_size: int = option(2048, "새로 학습할 토크나이저의 어휘 크기.", min=257, group="data")
    val_ratio: float = option(0.1, "글의 끝에서 검증으로 떼어 둘 비율.", min=0.001, max=0.9, group="data")
    stride: int | None = option(
        None, "창의 간격(토큰). 비우면 작은 글은 겹쳐서, 큰 글은 겹치지 않게 자릅니다.", min=1, group="data"
    )
    max_bytes: int | None = option(None, "글에서 쓸 크기의 상한(바이트, 빨리 돌려 볼 때).", min=1, group="data")

    strategy: str = option("auto", "여러 장치를 쓰는 방법.", choices=("auto", "ddp", "fsdp"), group="hardware")

    sample_prompt: str = option("옛날 옛적에", "검증할 때마다 이 말을 이어 써 봅니다.", group="printing")
    sample_tokens: int = option(60, "그때 이어 쓸 토큰 수. 0이면 쓰지 않습니다.", min=0, group="printing")
    wandb_project: str | None = option(None, "W&B에도 적을 때의 프로젝트 이름.", group="printing")

    def __post_init__(self) -> None:
        """서로 어긋나는 값을 시작하기 전에 알립니다.

        Raises:
            UserError: 차원이 헤드로 나누어떨어지지 않거나, 학습률이 0 이하일 때.
        """
        if self.learning_rate <= 0:
            raise UserError(f"learning_rate는 0보다 커야 합니다: {self.learning_rate}. 예: 3e-4")
        if self.d_embed % self.num_heads:
            raise UserError(
                f"d_embed {self.d_embed}은(는) num_heads {self.num_heads}(으)로 나누어떨어지지 않습니다. "
                f"헤드마다 같은 차원을 나누어 갖도록 d_embed를 {self.num_heads}의 배수로 적어 주세요."
            )
        follows = self.min_lr is None
        self.min_lr = self.learning_rate / 10 if follows else min(self.min_lr, self.learning_rate)


@dataclass
class TrainedChoice(CheckpointOption, RunChoice):
    """학습해 둔 어느 모델을 쓸지."""


@dataclass
class TestConfig(TrainedChoice):
    """`test`의 설정."""

    __test__ = False  # 이름이 Test로 시작하지만 pytest의 검사가 아닙니다.

    data: str | None = option(None, "평가할 글. 비우면 학습할 때 떼어 둔 검증 글입니다.", group="data")
    data_home: str = corpora_folder()
    batch_size: int = option(16, "배치 크기.", min=1, group="hardware")


@dataclass
class GenerateConfig(TrainedChoice):
    """`generate`의 설정."""

    prompt: list[str] = option(
        ("옛날 옛적에",), "이어 쓸 앞글. 여러 번 적으면 한꺼번에 이어 씁니다.", group="generation"
    )
    max_tokens: int = option(100, "이어 쓸 토큰 수의 상한.", min=1, max=100_000, group="generation")
    temperature: float = option(
        0.8, "높을수록 다양하게, 0이면 언제나 가장 그럴듯한 것.", min=0, max=10, group="generation"
    )
    top_k: int = option(
        50, "확률이 높은 이만큼의 토큰 가운데서만 고릅니다. 0이면 모두.", min=0, max=1_000_000, group="generation"
    )
    top_p: float = option(
        0.95, "확률의 합이 이만큼이 될 때까지의 토큰 가운데서만 고릅니다. 1이면 모두.", min=0, max=1, group="generation"
    )
    repetition_penalty: float = option(
        1.1, "이미 나온 토큰의 점수를 깎는 정도. 1이면 깎지 않습니다.", min=0.01, max=100, group="generation"
    )
    seed: int | None = option(
        None, "난수 시드. 적으면 언제나 같은 글이 나옵니다.", min=0, max=2**63 - 1, group="generation"
    )


@dataclass
class Server(with_defaults(ServerOptions, port=9166, page="serve_lm.html", threads=8)):
    """웹 서비스. `config.server.port`처럼 읽습니다."""


@dataclass
class ServeConfig(TrainedChoice):
    """`serve`의 설정."""

    server: Server = group(Server)
    max_parallel: int = option(
        2, "동시에 이어 쓸 글의 수. 넘으면 잠시 뒤에 다시 오라고 답합니다.", min=1, group="server"
    )
    max_new_tokens: int = option(512, "한 요청이 이어 쓸 수 있는 토큰 수의 상한.", min=1, max=100_000, group="server")


@dataclass
class ExportConfig(TrainedChoice):
    """6단계(내보내기)의 설정."""

    export_to: str | None = option(None, "내보낼 폴더. 비우면 실행 폴더의 export/입니다.", group="export")
