"""심화 과제 · 모델을 들여다보고 다루는 법 (하고 싶은 사람만)

강의를 마치는 데에는 필요하지 않습니다. 넷은 서로도, 앞 단계에도 기대지 않으므로 마음이 가는 것 하나만 해도 됩니다.
세지도 재촉하지도 않지만, 저장하면 `watch`가 검사하고 `check`, `hint`, `reveal`, `reset`도 다른 TODO와 똑같이 듣습니다.

    python stretch9_tasks.py          # 채운 것을 모두 보여 줍니다 (약 12초)
    python stretch9_tasks.py 9-2      # 하나만

배우는 것
    - 9-1 층 얼리기(freezing): 무엇을 배우지 않을지 고르고, 얼린 부품의 드롭아웃까지 끕니다
    - 9-2 어텐션의 그림: 층을 지나며 어느 토큰이 어디까지 흘러왔는지(attention rollout) 그립니다
    - 9-3 길이에 따른 정확도: 리뷰 스무 개로 잰 90 %와 이천 개로 잰 90 %는 같지 않습니다. 신뢰 구간을 함께 적습니다
    - 9-4 라벨 다듬기(label smoothing): 정답에 조금 덜 확신하게 가르치고, 그때의 가장 작은 손실을 구합니다

하지 않는 것: 4단계의 학습에 끼워 넣기. 하나를 끝냈다면 스스로 해 보세요.
"""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from nlpbook.classification.nsmc import NsmcCorpus
from nlpbook.cli import run_script
from nlpbook.paths import OUTPUT, shown
from nlpbook.plots import korean_font, new_figure, save_figure
from nlpbook.pretrained import resolve_pretrained
from nlpbook.stretch import show_stretch
from todo import todo


def freeze(model: PreTrainedModel, layers: int) -> None:
    """임베딩과 아래쪽 층들을 얼리고, 나머지를 학습할 준비를 합니다. 학습을 시작하기 바로 전에 부릅니다.

    Args:
        model: BERT 모양의 분류 모델. `model.base_model.embeddings`와 `model.base_model.encoder.layer`(층의 목록)가
            있습니다. 앞서 다르게 얼려 두었거나 평가 모드인 채로 올 수도 있습니다.
        layers: 아래(입력 쪽)에서부터 얼릴 층의 수. 0이면 임베딩만 얼립니다.
    """
    # [TODO 9-1] 임베딩과 아래쪽 layers개의 층은 기울기도 드롭아웃도 없게 하고, 나머지는 모두 배우게 하세요.
    # 힌트: 기울기를 받지 않는 것(requires_grad_)과 드롭아웃이 꺼지는 것(eval)은 다른 일입니다. 둘 다 부품 하나에도
    #       부를 수 있습니다. 지난번에 얼린 것은 누가 녹이나요?
    todo("9-1")  # 여기를 지우고 채워 주세요.
    # [END 9-1]


def rollout(attentions: Sequence[Tensor]) -> Tensor:
    """층들을 지나며 토큰마다의 정보가 어느 자리까지 흘러갔는지 구합니다. (Abnar와 Zuidema 2020)

    층 하나에서 자리의 새 값은 어텐션으로 섞은 것과, 더해지는(residual) 자기 자신이 반씩이라고 봅니다.

    Args:
        attentions: 층마다의 어텐션 가중치 (배치, 헤드, 길이, 길이), 아래층부터. `[:, h, i, j]`는 i번째 자리가 j번째
            자리에서 가져온 비율이고, 행마다 합이 1입니다. 바꾸지 않습니다.

    Returns:
        (배치, 길이, 길이). `[:, i, j]`는 마지막 층의 i번째 자리에 담긴, j번째 토큰의 몫입니다. 행마다 합이 1입니다.
    """
    length = attentions[0].size(-1)
    # [TODO 9-2] 헤드를 평균하고 자기 자신을 반 섞은 층마다의 흐름을 이어, 처음부터 끝까지의 흐름 flow를 구하세요.
    # 힌트: 첫 층에서 j가 k로, 둘째 층에서 k가 i로 흘렀다면 i에 담긴 j의 몫은 모든 k를 더한 것입니다. 그것은 두 표의
    #       무엇일까요? 차례가 있습니다. 단위행렬(torch.eye)은 가중치와 같은 장치에 만듭니다.
    todo("9-2")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: flow
    # [END 9-2]
    return flow


@dataclass(frozen=True)
class LengthRow:
    """길이가 `[low, high)`인 글들의 정확도와 그 신뢰 구간. 비율은 모두 0~1입니다."""

    low: int
    high: int
    count: int
    accuracy: float
    lower: float
    upper: float


def accuracy_by_length(lengths: Tensor, correct: Tensor, edges: Sequence[int], z: float = 1.96) -> list[LengthRow]:
    """길이의 구간마다 정확도와 윌슨(Wilson) 신뢰 구간을 구합니다. (Wilson 1927)

    n개 가운데 p의 비율을 맞혔을 때 구간의 가운데는 (p + z²/2n) / (1 + z²/n)이고, 양쪽으로
    z / (1 + z²/n) · √(p(1 - p)/n + z²/4n²)만큼입니다.

    Args:
        lengths: (예문 수,) 글의 길이.
        correct: (예문 수,) bool. 맞혔는가.
        edges: 구간의 경계, 작은 것부터. `[10, 20, 40]`이면 [10, 20)과 [20, 40)의 두 구간입니다.
        z: 정규분포에서 구간의 끝까지의 거리. 1.96이면 95 %입니다.

    Returns:
        글이 하나라도 있는 구간들, 짧은 것부터.
    """
    rows: list[LengthRow] = []
    # [TODO 9-3] 구간마다 글의 수, 정확도, 윌슨 구간의 두 끝을 구해 LengthRow로 rows에 담으세요.
    # 힌트: 그 구간의 글만 골라 셉니다. 경계에 있는 글은 어느 쪽인가요? 글이 없는 구간은 담지 않습니다. √(p(1 - p)/n)만
    #       쓰면, 다섯 개를 다 맞힌 구간의 폭이 얼마가 될까요?
    todo("9-3")  # 여기를 지우고 채워 주세요.
    # [END 9-3]
    return rows


def smoothed_loss(logits: Tensor, labels: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """라벨을 다듬은 교차 엔트로피와, 어떤 모델도 그보다 작게 만들 수 없는 손실. (Szegedy 외 2016, 7절)

    정답에 1을 주는 대신 `smoothing`만큼을 떼어, 정답을 포함한 모든 라벨에 고르게 나누어 줍니다.

    Args:
        logits: (배치, 라벨 수).
        labels: (배치,) int64.
        smoothing: 떼어 내는 몫, 0 이상 1 미만.

    Returns:
        (배치의 평균 손실, 가장 작은 손실). 둘 다 0차원이고, smoothing이 0이면 뒤의 것은 0입니다.
    """
    num_labels = logits.size(-1)
    # [TODO 9-4] 다듬은 정답의 분포와 견준 손실의 평균을 loss에, 그 분포로 낼 수 있는 가장 작은 손실을 floor에 담으세요.
    # 힌트: 손실은 -Σ(정답의 분포 · 로그 확률)입니다. 모델이 정답의 분포를 그대로 내면 가장 작습니다. 그때의 손실은
    #       0일까요? 분포에 0이 있을 때 0·log 0은 0이어야 합니다.
    todo("9-4")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: loss, floor
    # [END 9-4]
    return loss, floor


def _embedded(**options: object) -> tuple[PreTrainedModel, object]:
    folder = resolve_pretrained("ko-bert-tiny")
    torch.manual_seed(7)  # 분류 머리는 새로 만들어집니다.
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2, **options)
    return model, AutoTokenizer.from_pretrained(folder)


def _reviews(mode: str, count: int) -> tuple[list[str], Tensor]:
    examples = NsmcCorpus().get_examples(mode)[:count]
    return [one.text for one in examples], torch.tensor([int(one.label) for one in examples])


def show_freezing(steps: int = 20) -> None:
    texts, labels = _reviews("train", steps * 16)
    print(f"■ 9-1 얼린 층의 수에 따라 배우는 파라미터와 걸리는 시간 (리뷰 16개씩 {steps}스텝)")
    for layers in (0, 2, 4):
        model, tokenizer = _embedded()
        freeze(model, layers)
        learned = [one for one in model.parameters() if one.requires_grad]
        optimizer = torch.optim.AdamW(learned, lr=1e-4)
        started, losses = time.perf_counter(), []
        for step in range(steps):
            chosen = slice(16 * step, 16 * step + 16)
            batch = tokenizer(texts[chosen], padding=True, truncation=True, max_length=64, return_tensors="pt")
            loss = model(**batch, labels=labels[chosen]).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        count = sum(one.numel() for one in learned)
        print(
            f"  임베딩과 {layers}개 층   {count:>9,}개   {time.perf_counter() - started:4.1f}초   "
            f"마지막 다섯 스텝의 손실 {sum(losses[-5:]) / 5:.3f}"
        )
    print()


def show_attention(text: str = "배우들 연기가 좋아서 두 번 봤어요") -> None:
    model, tokenizer = _embedded(attn_implementation="eager")  # 빠른 어텐션은 가중치를 돌려주지 않습니다.
    inputs = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        attentions = model.eval()(**inputs, output_attentions=True).attentions
    flow = rollout(attentions)[0]
    tokens = tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
    font = korean_font()
    names = tokens if font else [str(number) for number in range(len(tokens))]  # 한글 글꼴이 없으면 번호로 적습니다.
    path = OUTPUT / "stretch" / "attention.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = new_figure(1, 2, (10, 4.6))
    maps = {"last layer": attentions[-1][0].mean(dim=0), "rollout through all layers": flow}
    for axis, (title, values) in zip(axes, maps.items(), strict=True):
        axis.imshow(values, cmap="Blues", vmin=0)
        axis.set_xticks(range(len(tokens)), names, rotation=90, fontfamily=font)
        axis.set_yticks(range(len(tokens)), names, fontfamily=font)
        axis.set(title=title, xlabel="from", ylabel="to")
    save_figure(figure, path)
    print(f"■ 9-2 어텐션의 그림: {shown(path)}")
    print("  토큰  " + " ".join(f"{number}:{token}" for number, token in enumerate(tokens)))
    most = sorted(zip(flow[0].tolist(), tokens, strict=True), reverse=True)[:4]
    print("  [CLS]에 가장 많이 흘러온 토큰  " + ", ".join(f"{token} {share:.0%}" for share, token in most) + "\n")


def show_lengths() -> None:
    texts, labels = _reviews("train", 4_000)
    tests, truths = _reviews("test", 600)

    def bags(many: list[str]) -> list[Tensor]:
        """글마다, 이웃한 두 글자들의 번호."""
        return [torch.tensor([sum(map(ord, two)) % 4_096 for two in pairwise(f" {text} ")]) for text in many]

    torch.manual_seed(7)
    model = nn.Sequential(nn.EmbeddingBag(4_096, 2, mode="sum"))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    numbers = bags(texts)
    for start in [*range(0, len(texts), 50)] * 3:
        batch = numbers[start : start + 50]
        offsets = torch.tensor([0, *(len(one) for one in batch[:-1])]).cumsum(0)
        loss = functional.cross_entropy(model[0](torch.cat(batch), offsets), labels[start : start + 50])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        answers = torch.stack([model[0](one[None])[0] for one in bags(tests)]).argmax(dim=-1)
    lengths = torch.tensor([len(text) for text in tests])
    print("■ 9-3 두 글자씩 본 작은 분류기의, 길이(글자 수)에 따른 정확도와 95 % 신뢰 구간")
    for row in accuracy_by_length(lengths, answers == truths, [1, 10, 20, 40, 80, 200]):
        print(
            f"  {row.low:>3}~{row.high - 1:<3}자  {row.count:>3}개   {row.accuracy:6.1%}   "
            f"[{row.lower:.1%}, {row.upper:.1%}]"
        )
    print()


def show_smoothing() -> None:
    generator = torch.Generator().manual_seed(7)
    inputs = torch.randn(200, 6, generator=generator)
    labels = (inputs[:, 0] + 0.5 * inputs[:, 1] > 0).long()
    print("■ 9-4 라벨 다듬기: 쉬운 문제를 오래 배운 뒤의 손실과, 정답에 준 확률의 평균")
    for smoothing in (0.0, 0.1, 0.3):
        torch.manual_seed(7)
        model = nn.Sequential(nn.Linear(6, 32), nn.GELU(), nn.Linear(32, 2))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(400):
            loss, floor = smoothed_loss(model(inputs), labels, smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        sure = model(inputs).softmax(dim=-1).gather(1, labels[:, None]).mean()
        print(f"  {smoothing:.1f}   손실 {loss:.4f}   가장 작은 손실 {abs(floor):.4f}   확률 {sure:.3f}")
    print()


SHOWS = {"9-1": show_freezing, "9-2": show_attention, "9-3": show_lengths, "9-4": show_smoothing}


def main() -> None:
    show_stretch(SHOWS, sys.argv[1:])

    # 더 해 보기: 층을 모두 얼리고 머리만 배우면 시험의 정확도는 얼마나 될까요? 4단계의 학습에서 freeze를 불러 보세요.


if __name__ == "__main__":
    run_script(main)
