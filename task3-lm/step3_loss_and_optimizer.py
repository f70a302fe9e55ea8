"""3단계 · 손실과 옵티마이저: 얼마나 틀렸고, 어느 쪽으로 얼마나 움직일까

2단계의 모델은 자리마다 다음 토큰의 로짓을 냅니다. 이 단계에서는 그 로짓이 얼마나 틀렸는지를 재고(손실), 가중치를 어느
쪽으로(AdamW), 얼마나(학습률) 움직일지를 정합니다.

    python step3_loss_and_optimizer.py     # 손실과 지표, decay 묶음의 표, 학습률 곡선의 그림 (약 4초)

배우는 것
    - AdamW의 한 스텝: 뒤에서 부르기만 할 것을 먼저 손으로 씁니다(준비 운동, 3-0)
    - 교차 엔트로피(cross entropy): 정답에 준 확률의 로그에 음의 부호를 붙인 것
    - 혼란도(perplexity), 정확도(accuracy), 그리고 토크나이저가 달라도 견줄 수 있는 바이트당 비트(bits per byte)
    - weight decay는 행렬에만: 정규화 층과 편향을 0으로 끌어당기면 층의 크기 조절이 망가집니다
    - 학습률: 처음에는 천천히 올리고(warmup), 그 뒤로는 코사인을 따라 내립니다

하지 않는 것: 반복. 4단계에서 합니다.

출처: Loshchilov & Hutter "Decoupled Weight Decay Regularization"(AdamW)과 "SGDR"(코사인), Brown 외 2020 "GPT-3" 부록 B
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW

from step1_tokenizer_and_data import LMData
from step2_gpt_model import GPT

from nlpbook import plots
from nlpbook.cli import run_script
from nlpbook.language.config import LMConfig
from nlpbook.paths import OUTPUT, shown
from todo import todo


def adamw_step(
    weight: Tensor,
    grad: Tensor,
    mean: Tensor,
    square: Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """AdamW의 한 스텝. `torch.optim.AdamW`와 같은 값이 됩니다. (Loshchilov와 Hutter 2019, 알고리즘 2)

    Args:
        weight: 가중치. 바꾸지 않습니다.
        grad: 이번 스텝의 기울기, 같은 모양.
        mean, square: 지금까지의 기울기와 그 제곱의 이동평균. 처음에는 0이고, 바꾸지 않습니다.
        step: 몇 번째 스텝인가. 1부터 셉니다.
        lr: 학습률.
        betas: 두 이동평균이 옛것을 남기는 비율.
        eps: 나누는 수가 0이 되지 않게 제곱근에 더하는 수.
        weight_decay: 가중치를 0으로 당기는 세기. 학습률을 곱해 씁니다.

    Returns:
        (새 가중치, 새 mean, 새 square). 두 이동평균은 치우침을 고치기 전의 것입니다.
    """
    beta1, beta2 = betas
    # [TODO 3-0] 두 이동평균을 새로 구해 new_mean과 new_square에, 한 스텝 고친 가중치를 new_weight에 담으세요.
    # 힌트: 이동평균은 0에서 시작해 처음 몇 스텝은 너무 작으므로, 쓸 때 (1 - beta의 step제곱)으로 나눕니다. 가중치
    #       감쇠(weight decay)는 기울기에 섞지 않고, 고치기 전의 가중치를 lr·weight_decay의 비율만큼 줄입니다.
    todo("3-0")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: new_mean, new_square, new_weight
    # [END 3-0]
    return new_weight, new_mean, new_square


def compute_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """배치의 모든 자리에 걸친 평균 교차 엔트로피(nat).

    Args:
        logits: (배치, 길이, 어휘).
        targets: (배치, 길이) 정답 토큰의 번호.

    Returns:
        () 손실. 기울기가 이어져 있습니다.
    """
    # [TODO 3-1] 로짓과 정답의 평균 교차 엔트로피를 loss에 담으세요.
    # 힌트: functional.cross_entropy는 (예문, 어휘)와 (예문,)을 받습니다. 배치와 길이는 둘 다 "예문"의 축입니다.
    todo("3-1")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: loss
    # [END 3-1]
    return loss


def configure_optimizer(model: nn.Module, config: LMConfig) -> AdamW:
    """AdamW를 만듭니다. weight decay는 행렬(2차원 이상)에만 걸고, 편향과 정규화 층(1차원)에는 걸지 않습니다.

    배울 파라미터는 차원이 몇이든(0차원도 3차원도) 저마다 꼭 한 묶음에 있습니다.

    Args:
        model: 학습할 모델.
        config: `learning_rate`, `weight_decay`, `beta1`, `beta2`.

    Returns:
        decay를 거는 묶음과 걸지 않는 묶음이 있는 AdamW. CPU와 GPU에서 모두 빠른 fused 구현입니다.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]  # 얼려 둔 것은 뺍니다.
    # [TODO 3-2] parameters를 두 묶음으로 나누어 groups에 담으세요. 묶음은 "params"와 "weight_decay"의 딕셔너리입니다.
    # 힌트: parameter.dim()이 차원의 수입니다. 편향은 1차원, 행렬은 2차원입니다. decay를 걸지 않는 묶음에도
    #       weight_decay를 적어야 합니다. 적지 않으면 AdamW의 기본값은 얼마인가요?
    todo("3-2")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: groups
    # [END 3-2]
    return AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True)


def learning_rate_at(step: int, total_steps: int, config: LMConfig) -> float:
    """`step`번째 스텝(0부터)에 쓸 학습률.

    처음 `warmup` 스텝은 곧게 올리고, 그 뒤로는 코사인의 반 바퀴를 따라 `min_lr`까지 내립니다. 첫 스텝의 학습률이 0이면
    그 스텝은 버려지므로 1/warmup에서 시작해, warmup의 마지막 스텝에 가장 높아집니다. (transformers의 스케줄은 0에서
    시작합니다)

    Args:
        step: 0 이상. `total_steps`부터는 `min_lr`입니다.
        total_steps: 학습 전체의 스텝 수.
        config: `learning_rate`(가장 높은 값), `min_lr`, `warmup_rate`.
    """
    highest = config.learning_rate
    lowest = config.min_lr
    warmup = min(round(config.warmup_rate * total_steps), total_steps - 1)  # 내려갈 스텝을 하나는 남깁니다.
    # [TODO 3-3] warmup 스텝까지는 곧게 올리고, total_steps까지는 코사인으로 내려 lr에 담으세요.
    # 힌트: (1 + cos(π × progress)) / 2는 progress가 0에서 1로 갈 때 1에서 0으로 갑니다. progress는 warmup번째
    #       스텝에서 0, total_steps번째 스텝에서 1이고, 그 뒤로는 언제나 lowest입니다. warmup이 0이면 첫 스텝은
    #       어느 구간에 있나요?
    todo("3-3")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: lr
    # [END 3-3]
    return lr


@dataclass(frozen=True)
class Metrics:
    """글 하나를 얼마나 잘 맞혔는가.

    Attributes:
        loss: 토큰 하나의 평균 교차 엔트로피(nat).
        accuracy: 가장 그럴듯하다고 한 토큰이 정답인 비율, 0~1.
        bytes_per_token: 토큰 하나가 담은 글의 평균 크기(UTF-8 바이트).
    """

    loss: float
    accuracy: float
    bytes_per_token: float

    @property
    def perplexity(self) -> float:
        """혼란도: 모델이 평균 몇 개의 후보 사이에서 망설이는가. 토크나이저가 같을 때만 견줄 수 있습니다.

        손실이 700 이하이면 아무리 커도 float에 담기므로, 자르거나 반올림하지 않습니다.
        """
        if self.loss > 700:  # e의 710제곱은 float에 담기지 않습니다.
            return math.inf
        # [TODO 3-4] 손실에서 혼란도 value를 구하세요.
        # 힌트: 손실은 확률의 자연로그에 음의 부호를 붙인 것의 평균입니다. 손실이 ln(100)이면 혼란도는 100입니다.
        todo("3-4")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: value
        # [END 3-4]
        return value

    @property
    def bits_per_byte(self) -> float:
        """바이트당 비트: 글 1바이트를 적는 데 드는 정보량. 토크나이저가 달라도 견줄 수 있습니다.

        혼란도가 무한대인 손실에서도 이것은 보통의 수입니다.
        """
        # [TODO 3-5] 토큰 하나의 손실(nat)을 바이트 하나의 비트로 바꾸어 value에 담으세요.
        # 힌트: 1비트는 ln 2 nat입니다. 토큰 하나는 평균 bytes_per_token바이트입니다. 단위를 하나씩 바꾸어 보세요.
        todo("3-5")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: value
        # [END 3-5]
        return value

    def values(self) -> dict[str, float]:
        """지표의 이름 → 값. 화면과 기록에 건넵니다."""
        return {
            "loss": self.loss,
            "perplexity": self.perplexity,
            "accuracy": self.accuracy,
            "bits_per_byte": self.bits_per_byte,
        }


@torch.no_grad()
def accuracy_of(logits: Tensor, targets: Tensor) -> Tensor:
    """가장 높은 로짓이 정답인 자리의 비율.

    Args:
        logits: (배치, 길이, 어휘).
        targets: (배치, 길이).

    Returns:
        () 0과 1 사이.
    """
    # [TODO 3-6] 자리마다 로짓이 가장 큰 토큰이 정답과 같은 비율을 accuracy에 담으세요.
    # 힌트: 어느 축을 따라 가장 큰 것을 골라야 모양이 targets와 같아질까요?
    todo("3-6")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: accuracy
    # [END 3-6]
    return accuracy


def show_adamw(steps: int = 200) -> None:
    generator = torch.Generator().manual_seed(7)
    inputs = torch.randn(64, 5, generator=generator, dtype=torch.float64)
    targets = inputs @ torch.tensor([1.5, -2.0, 0.5, 0.0, 3.0], dtype=torch.float64)
    options = {"lr": 0.05, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}
    theirs = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimizer = AdamW([theirs], **options)
    ours, mean, square = torch.zeros(3, 5, dtype=torch.float64)
    print("■ 직선을 맞히는 두 옵티마이저: 손으로 쓴 것과 torch.optim.AdamW")
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss = functional.mse_loss(inputs @ theirs, targets)
        loss.backward()
        optimizer.step()
        grad = 2 * inputs.T @ (inputs @ ours - targets) / len(targets)
        ours, mean, square = adamw_step(ours, grad, mean, square, step, **options)
        if step in (1, steps):
            apart = (ours - theirs.detach()).abs().max()
            print(f"  {step:>3}스텝   손실 {loss.item():7.4f}   두 가중치의 가장 큰 차이 {apart:.0e}")
    print()


def main() -> None:
    show_adamw()
    config = LMConfig()
    data = LMData(config)
    torch.manual_seed(config.seed)
    model = GPT(config, len(data.tokenizer), data.tokenizer)

    inputs, targets = next(iter(data.val_dataloader()))
    logits = model.eval()(inputs)
    loss = compute_loss(logits, targets).item()
    accuracy = accuracy_of(logits, targets).item()
    metrics = Metrics(loss, accuracy, data.valid.bytes_per_token)
    print(
        f"■ 배우기 전: 손실 {metrics.loss:.2f}, 혼란도 {metrics.perplexity:,.0f}, 정확도 {metrics.accuracy:.2%}", end=""
    )
    print(f", 바이트당 {metrics.bits_per_byte:.2f}비트")

    print("\n■ AdamW의 두 묶음")
    optimizer = configure_optimizer(model, config)
    for group in optimizer.param_groups:
        count = sum(parameter.numel() for parameter in group["params"])
        print(f"  weight_decay {group['weight_decay']:.1f}: 텐서 {len(group['params']):>3}개, 값 {count:>10,}개")

    total = config.num_epochs * len(data.train_dataloader())
    curve = [learning_rate_at(step, total, config) for step in range(total)]
    path = OUTPUT / config.project / "learning_rate.png"
    plots.line(range(total), curve, path, xlabel="step", ylabel="learning rate", title="warmup + cosine")
    print(f"\n■ 학습률 {total:,}스텝: 첫 {curve[0]:.1e} → 최고 {max(curve):.1e} → 끝 {curve[-1]:.1e}")
    print(f"  그림: {shown(path)}")

    # 더 해 보기: --warmup_rate를 0으로 하면 첫 스텝의 학습률은 얼마일까요? 갓 태어난 모델에게 그 스텝은 너무 크지
    # 않을까요?


if __name__ == "__main__":
    run_script(main)
