"""심화 과제 · 요즘의 언어 모델이 더하는 것들 (하고 싶은 사람만)

강의를 마치는 데에는 필요하지 않습니다. 넷은 서로도, 앞 단계에도 기대지 않으므로 마음이 가는 것 하나만 해도 됩니다.
세지도 재촉하지도 않지만, 저장하면 `watch`가 검사하고 `check`, `hint`, `reveal`, `reset`도 다른 TODO와 똑같이 듣습니다.

    python stretch9_tasks.py          # 채운 것을 모두 보여 줍니다 (약 6초)
    python stretch9_tasks.py 9-2      # 하나만

배우는 것
    - 9-1 RMSNorm과 SwiGLU: LLaMA가 LayerNorm과 GELU 대신 쓰는 정규화와 MLP입니다
    - 9-2 RoPE(rotary position embedding): 위치를 더하지 않고 돌립니다. LLaMA부터 거의 모든 모델이 씁니다
    - 9-3 묶음 질의 어텐션(grouped-query attention): 글을 쓸 때의 캐시를 몇 분의 일로 줄입니다
    - 9-4 추측 디코딩(speculative decoding): 작은 모델이 앞질러 쓴 것을 큰 모델이 한꺼번에 검사합니다

하지 않는 것: 2단계의 GPT에 끼워 넣기. 하나를 끝냈다면 스스로 해 보세요. 6단계의 GPT-2로는 더 옮길 수 없게 됩니다.
"""

import math
import sys

import torch
from torch import Tensor
from torch.nn import functional

from nlpbook.cli import run_script
from nlpbook.stretch import show_stretch
from todo import todo


def gated_feed_forward(
    x: Tensor, scale: Tensor, gate: Tensor, up: Tensor, down: Tensor, eps: float = 1e-6
) -> tuple[Tensor, Tensor]:
    """LLaMA의 블록에서 어텐션 다음에 오는 절반: RMSNorm을 지나 SwiGLU로. (Touvron 외 2023, "LLaMA", 2.2절)

    RMSNorm은 평균을 빼지 않고 크기만 맞춥니다. 자리마다, 벡터를 제곱의 평균의 제곱근(root mean square)으로 나누고
    칸마다 scale을 곱합니다. (Zhang과 Sennrich 2019) SwiGLU는 넓히는 층이 둘입니다. gate를 지난 것에만 SiLU를 하고, up을
    지난 것과 칸마다 곱해 down으로 줄입니다. (Shazeer 2020, 2절)

    Args:
        x: (배치, 길이, 차원). 바꾸지 않습니다.
        scale: (차원,) RMSNorm이 배우는 크기.
        gate, up: (넓힌 차원, 차원). `nn.Linear`의 weight와 같은 모양이고, 편향은 없습니다.
        down: (차원, 넓힌 차원).
        eps: 0으로 나누지 않게 제곱의 평균에 더하는 수.

    Returns:
        (정규화한 x, SwiGLU의 결과), 둘 다 x와 같은 모양. 결과를 x에 더하는 것은 블록의 일입니다.
    """
    # [TODO 9-1] RMSNorm을 지난 x를 normed에, 그것이 SwiGLU를 지난 값을 mixed에 담으세요.
    # 힌트: SiLU(t) = t·sigmoid(t)는 functional.silu이고, 가중치를 곱하는 것은 functional.linear(x, gate)입니다.
    #       자리마다 수가 하나 나오는 평균을 (배치, 길이, 차원)인 x와 나누려면 어느 축이 남아 있어야 할까요?
    todo("9-1")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: normed, mixed
    # [END 9-1]
    return normed, mixed


def rotate(x: Tensor, positions: Tensor, base: float = 10_000.0) -> Tensor:
    """위치만큼 돌린 질의나 열쇠(RoPE). (Su 외 2021, "RoFormer", 식 34)

    i번째 칸과 (차원/2 + i)번째 칸이 짝을 이루어 평면의 점 하나가 됩니다. 위치 p에서는 그 점을 p·base^(-2i/차원)
    라디안만큼 시계 반대 방향으로 돌립니다. 두 벡터를 돌린 뒤의 내적에는 위치의 차이만 남습니다.

    Args:
        x: (배치, 헤드, 길이, 차원). 차원은 짝수입니다. 바꾸지 않습니다.
        positions: (길이,) int64. 0부터가 아닐 수도, 이어져 있지 않을 수도 있습니다.
        base: 클수록 뒤쪽의 짝이 천천히 돕니다.

    Returns:
        x와 같은 모양.
    """
    half = x.size(-1) // 2
    # [TODO 9-2] 짝마다 도는 속도와 위치에서 각을 구하고, x의 앞 절반과 뒤 절반을 그 각만큼 돌려 rotated에 담으세요.
    # 힌트: 평면의 점 (a, b)를 각 t만큼 돌리면 (a·cos t - b·sin t, a·sin t + b·cos t)입니다. 각의 모양은
    #       (길이, 차원/2)이고, 새로 만드는 텐서는 x와 같은 장치에 있어야 합니다.
    todo("9-2")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: rotated
    # [END 9-2]
    return rotated


def grouped_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """이웃한 질의 헤드 몇 개가 열쇠와 값의 헤드 하나를 함께 쓰는 인과 어텐션. (Ainslie 외 2023, "GQA")

    질의의 헤드가 여섯이고 열쇠의 헤드가 셋이면 0과 1번 질의는 0번 열쇠를, 2와 3번은 1번을, 4와 5번은 2번을 봅니다.

    Args:
        query: (배치, 헤드, 길이, 차원).
        key, value: (배치, 열쇠 헤드, 길이, 차원). 헤드의 수는 열쇠 헤드의 수로 나누어떨어집니다. 바꾸지 않습니다.

    Returns:
        섞인 값 mixed, query와 같은 모양. 자리마다 앞의 자리들과 자신만 봅니다.
    """
    length = query.size(-2)
    # [TODO 9-3] 질의 헤드마다 제 열쇠와 값을 짝지어, 뒤를 가린 어텐션으로 섞은 값을 mixed에 담으세요.
    # 힌트: 2단계의 어텐션과 다른 것은 짝짓기뿐입니다. 열쇠 [a, b, c]를 질의 여섯에 맞추면 [a, b, c, a, b, c]와
    #       [a, a, b, b, c, c] 가운데 어느 쪽인가요? 내적은 차원의 제곱근으로 나눕니다.
    todo("9-3")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: mixed
    # [END 9-3]
    return mixed


def accept_drafts(target: Tensor, draft: Tensor, tokens: Tensor, uniform: Tensor) -> tuple[int, Tensor, int]:
    """추측한 토큰을 몇 개까지 받아들이고, 그다음 토큰을 어디에서 뽑을지 정합니다. (Leviathan 외 2023, 알고리즘 1)

    작은 모델이 토큰 몇 개를 앞질러 쓰면(추측) 큰 모델은 그것을 한 번에 읽어 자리마다의 확률을 냅니다. 추측 x는 차례로
    (큰 모델의 x의 확률 / 작은 모델의 x의 확률)의 확률로 받아들이고(1을 넘으면 언제나), 처음 거절한 곳에서 그칩니다.
    거절한 자리의 토큰은 큰 모델의 확률이 작은 모델의 것보다 큰 만큼에 비례하게 다시 뽑고, 모두 받아들였으면 큰 모델의
    마지막 확률에서 하나를 더 뽑습니다. 그러면 쓴 글의 분포가 큰 모델이 혼자 쓴 것과 같습니다.

    Args:
        target: (추측 수 + 1, 어휘) 큰 모델의 확률. target[i]는 tokens[i]의 자리, 마지막 줄은 추측 다음 자리의 것입니다.
        draft: (추측 수, 어휘) 작은 모델의 확률. tokens[i]는 draft[i]에서 뽑은 것입니다.
        tokens: (추측 수,) int64, 추측한 토큰들.
        uniform: (추측 수 + 1,) 0 이상 1 미만의 고른 난수. tokens[i]에는 uniform[i]를, 다음 토큰에는 마지막 것을 씁니다.

    Returns:
        (받아들인 수, 다음 토큰의 분포 (어휘,), 거기에서 뽑은 다음 토큰).
    """
    # [TODO 9-4] 받아들인 추측의 수를 kept에, 다음 토큰의 분포를 rest에 담으세요.
    # 힌트: 0.3의 확률로 일어나게 하려면 고른 난수가 0.3보다 작은지 봅니다. 모두 받아들였을 때 draft에 그다음 줄이
    #       있나요? 분포라면 음수가 없고 합이 1이어야 합니다.
    todo("9-4")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: kept, rest
    # [END 9-4]
    token = (rest.cumsum(dim=0) <= uniform[-1]).sum().clamp(max=len(rest) - 1)  # 쌓은 확률이 난수를 처음 넘는 칸
    return int(kept), rest, int(token)


def show_gate(steps: int = 500, width: int = 8) -> None:
    x = torch.tensor([1.0, 3.0, 5.0, 7.0])
    ones = torch.ones(4)
    normed, _ = gated_feed_forward(x, ones, torch.eye(4), torch.eye(4), torch.eye(4))
    print("■ 9-1 벡터 (1, 3, 5, 7)은 RMSNorm과 LayerNorm에서")
    for name, vector in (("RMSNorm", normed), ("LayerNorm", functional.layer_norm(x, (4,)))):
        print(f"  {name:<9}  " + "  ".join(f"{one:+.3f}" for one in vector.tolist()))
    print(f"  이웃한 두 칸의 곱을 {steps}스텝 배운 뒤의 손실")
    generator = torch.Generator().manual_seed(7)
    scale = torch.ones(width)
    for name, shapes in (("GELU", [(32, width), (width, 32)]), ("SwiGLU", [(21, width), (21, width), (width, 21)])):
        weights = [(torch.randn(one, generator=generator) / one[1] ** 0.5).requires_grad_() for one in shapes]
        optimizer = torch.optim.AdamW(weights, lr=1e-2)
        for _ in range(steps):
            x = functional.rms_norm(torch.randn(256, width, generator=generator), (width,))
            if name == "GELU":
                mixed = functional.linear(functional.gelu(functional.linear(x, weights[0])), weights[1])
            else:
                _, mixed = gated_feed_forward(x, scale, *weights)
            loss = functional.mse_loss(mixed, x * x.roll(1, dims=-1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"  {name:<9}  파라미터 {sum(one.numel() for one in weights)}개   손실 {loss.item():.4f}")
    print()


def show_rotation() -> None:
    generator = torch.Generator().manual_seed(7)
    query, key = torch.randn(2, 1, 1, 1, 64, generator=generator)
    print("■ 9-2 돌린 뒤의 내적: 두 자리를 함께 옮겨도 그대로이고, 사이가 벌어지면 달라집니다")
    for distance in (0, 1, 4, 16):
        products = []
        for start in (0, 100, 5_000):
            turned = rotate(query, torch.tensor([start + distance])), rotate(key, torch.tensor([start]))
            products.append((turned[0] * turned[1]).sum().item())
        values = "   ".join(f"{one:+.3f}" for one in products)
        print(f"  {distance:>2}칸 떨어진 둘, 0 · 100 · 5,000번째 자리에서   {values}")
    print()


def show_groups(heads: int = 12, width: int = 64, layers: int = 12, length: int = 4_096) -> None:
    print(f"■ 9-3 {length:,}토큰을 기억하는 데 드는 캐시 (헤드 {heads}개, 층 {layers}개, bf16)")
    generator = torch.Generator().manual_seed(7)
    for key_heads in (12, 4, 1):
        query = torch.randn(1, heads, 8, width, generator=generator)
        key, value = torch.randn(2, 1, key_heads, 8, width, generator=generator)
        mixed = grouped_attention(query, key, value)
        size = 2 * 2 * layers * key_heads * width * length / 2**20  # 열쇠와 값, 하나에 2바이트
        print(f"  열쇠 헤드 {key_heads:>2}개   {size:>6.1f} MB   섞은 값의 모양 {tuple(mixed.shape)}")
    print()


def show_speculation(rounds: int = 2_000, guesses: int = 4) -> None:
    generator = torch.Generator().manual_seed(7)
    target = torch.tensor([0.45, 0.25, 0.15, 0.1, 0.05])
    print(f"■ 9-4 추측 {guesses}개씩 {rounds:,}번: 큰 모델을 한 번 부를 때 쓰는 토큰의 수와, 처음 쓴 토큰의 비율")
    print("  큰 모델의 확률              " + "  ".join(f"{one:.2f}" for one in target.tolist()))
    for name, draft in (("비슷한", [0.4, 0.3, 0.12, 0.12, 0.06]), ("엉뚱한", [0.05, 0.1, 0.15, 0.25, 0.45])):
        guess = torch.tensor(draft)
        first = torch.zeros(len(target))
        written = 0
        for _ in range(rounds):
            tokens = torch.multinomial(guess, guesses, replacement=True, generator=generator)
            uniform = torch.rand(guesses + 1, generator=generator)
            kept, _, token = accept_drafts(target.expand(guesses + 1, -1), guess.expand(guesses, -1), tokens, uniform)
            written += kept + 1
            first[tokens[0] if kept else token] += 1
        shares = "  ".join(f"{one:.2f}" for one in (first / rounds).tolist())
        print(f"  {name} 작은 모델   {written / rounds:.1f}토큰   {shares}")
    print()


SHOWS = {"9-1": show_gate, "9-2": show_rotation, "9-3": show_groups, "9-4": show_speculation}


def main() -> None:
    show_stretch(SHOWS, sys.argv[1:])

    # 더 해 보기: 2단계의 어텐션에서 질의와 열쇠를 rotate로 돌리고 위치 임베딩을 지워 보세요. 검증 손실은 어떻게 될까요?


if __name__ == "__main__":
    run_script(main)
