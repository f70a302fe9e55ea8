"""2단계 · GPT: 앞만 보고 다음을 맞히는 모델

1단계의 창을 받아 자리마다 다음 토큰의 점수(로짓)를 내는 모델을 만듭니다. 구조가 GPT-2와 같아서, 6단계에서는 공개된
GPT-2의 가중치를 그대로 옮겨 담습니다.

    python step2_gpt_model.py     # 부품과 파라미터 수, 그리고 아무것도 배우지 않은 모델의 첫 글 (약 3초)

배우는 것
    - 층 정규화(layer normalization): 자리마다 벡터의 평균을 0으로, 분산을 1로 맞춥니다
    - 인과 어텐션(causal self-attention): 자리마다 앞의 자리들만 봅니다. 뒤를 보면 답을 베끼는 것입니다
    - 블록: 정규화 → 어텐션 → 더하기, 정규화 → MLP → 더하기 (pre-norm residual)
    - 가중치 묶기(weight tying): 토큰을 벡터로 바꾸는 표와 벡터를 토큰으로 바꾸는 표는 하나입니다
    - 초기화: 층이 깊어져도 값의 크기가 그대로이도록

하지 않는 것: 학습. 3단계에서 손실과 옵티마이저를, 4단계에서 루프를 만듭니다.

출처: Ba 외 2016 "Layer Normalization", Vaswani 외 2017 "Attention Is All You Need",
      Radford 외 2019 "Language Models are Unsupervised Multitask Learners"
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from step1_tokenizer_and_data import LMData

from nlpbook.cli import run_script
from nlpbook.errors import UserError
from nlpbook.language.config import LMConfig
from nlpbook.language.layers import Dropout
from nlpbook.language.tokens import TextTokenizer
from todo import todo


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """자리마다 그 자리의 벡터를 정규화합니다: γ · (x − μ) / √(σ² + ε) + β. (Ba 외 2016, 식 3과 4)

    μ와 σ²은 벡터 하나의 평균과, 차이의 제곱을 모두 더해 값의 수 n으로 나눈 분산입니다. 라이브러리가 하는 일을 한 번
    손으로 적어 보는 자리라 PyTorch의 `layer_norm`은 부르지 않습니다. 모델은 `nn.LayerNorm`을 씁니다: 한 번에 셈해
    빠르고, autocast로 정밀도를 낮춘 곳에서도 평균과 분산은 float32로 구합니다.

    Args:
        x: (배치, 길이, 차원). 바꾸지 않습니다.
        weight: (차원,) 배우는 크기 γ.
        bias: (차원,) 배우는 편향 β.
        eps: 벡터의 값이 모두 같을 때에도 0으로 나누지 않게 하는 작은 수 ε.

    Returns:
        정규화한 normalized, x와 같은 모양.
    """
    # [TODO 2-0] x의 벡터마다 평균과 분산을 구해 정규화하고, weight를 곱하고 bias를 더해 normalized에 담으세요.
    # 힌트: 벡터는 마지막 축에 있습니다. 그 축을 줄여 구한 평균을 x에서 빼려면 줄어든 축을 어떻게 남겨야 할까요?
    #       Tensor.var는 따로 적지 않으면 n과 n-1 가운데 무엇으로 나눌까요? eps는 근호의 안과 밖 가운데 어디인가요?
    todo("2-0")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: normalized
    # [END 2-0]
    return normalized


class CausalSelfAttention(nn.Module):
    """여러 헤드의 인과 어텐션.

    Args:
        config: `d_embed`, `num_heads`, `max_seq_len`, `dropout`을 씁니다.
    """

    def __init__(self, config: LMConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(config.d_embed, 3 * config.d_embed)  # 질의, 열쇠, 값을 한 번에
        self.projection = nn.Linear(config.d_embed, config.d_embed)
        self.attention_dropout = Dropout(config.dropout)
        self.output_dropout = Dropout(config.dropout)
        allowed = torch.ones(config.max_seq_len, config.max_seq_len, dtype=torch.bool).tril()
        self.register_buffer("allowed", allowed, persistent=False)  # allowed[i, j]: i번째 자리가 j번째를 보아도 되는가

    def forward(self, x: Tensor) -> Tensor:
        """(배치, 길이, 차원) → (배치, 길이, 차원)."""
        query, key, value = self.heads(x)
        mixed = self.attend(query, key, value)
        return self.output_dropout(self.projection(mixed))

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """질의(query), 열쇠(key), 값(value)을 헤드마다 나눕니다.

        Args:
            x: (배치, 길이, 차원).

        Returns:
            셋 다 (배치, 헤드, 길이, 차원/헤드).
        """
        batch, length, width = x.shape
        # [TODO 2-1] self.qkv로 셋을 한 번에 구해, 헤드마다 나눈 query, key, value를 만드세요.
        # 힌트: self.qkv(x)는 (배치, 길이, 3×차원)이고 질의, 열쇠, 값의 차례로 이어져 있습니다. 차원을 (헤드,
        #       차원/헤드)로 나눈 다음, 헤드 축을 길이 축보다 앞으로 옮기려면 무엇이 필요할까요?
        todo("2-1")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: query, key, value
        # [END 2-1]
        return query, key, value

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """자리마다 앞의 자리들(자신을 포함)의 값을 섞고, 나누었던 헤드를 다시 잇습니다.

        Args:
            query, key, value: (배치, 헤드, 길이, 차원/헤드).

        Returns:
            섞어서 이은 값 mixed, (배치, 길이, 차원). 0번 헤드의 값이 맨 앞에 옵니다.
        """
        length = query.size(-2)
        # [TODO 2-2] 뒤를 가린 어텐션 가중치로 값을 섞은 다음, 나누었던 헤드를 다시 이어 mixed에 담으세요.
        # 힌트: 질의와 열쇠의 내적은 헤드 차원의 제곱근으로 나눕니다. self.allowed[:length, :length]가 거짓인 곳의
        #       점수를 -inf로 채우면 softmax가 0이 됩니다. softmax는 어느 축을 따라 합이 1이 되어야 할까요? 값을 섞기
        #       전의 가중치에는 self.attention_dropout을 겁니다. 잇기는 2-1의 두 동작(나누기, 축 옮기기)을 거꾸로
        #       하는 것입니다. 무엇부터 되돌려야 할까요?
        todo("2-2")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: mixed
        # [END 2-2]
        return mixed


class Block(nn.Module):
    """트랜스포머 블록 하나: 자리들을 섞는 어텐션과, 자리마다 따로 셈하는 MLP.

    Args:
        config: `d_embed`, `dropout`, `activation`과, 어텐션이 쓰는 것을 씁니다.
    """

    def __init__(self, config: LMConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.d_embed)
        self.attention = CausalSelfAttention(config)
        self.norm2 = nn.LayerNorm(config.d_embed)
        self.mlp = nn.ModuleDict(
            {
                "expand": nn.Linear(config.d_embed, 4 * config.d_embed),
                "projection": nn.Linear(4 * config.d_embed, config.d_embed),
                "dropout": Dropout(config.dropout),
            }
        )
        self.approximate = "tanh" if config.activation == "gelu_new" else "none"  # functional.gelu의 인수

    def forward(self, x: Tensor, attend: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """(배치, 길이, 차원) → 같은 모양.

        Args:
            x: 앞 블록의 출력.
            attend: 어텐션 대신 쓸 함수. 5단계의 KV 캐시가 씁니다. 주지 않으면 이 블록의 어텐션입니다.
        """
        attend = attend or self.attention
        # [TODO 2-3] x에 attend의 결과를, 이어서 MLP의 결과를 더하세요. 둘 다 정규화한 x를 읽습니다.
        # 힌트: 정규화는 attend와 MLP에 들어가는 쪽에만 걸립니다. 더해지는 x는 그대로 흘러야 기울기도 그대로 흐릅니다.
        #       MLP는 self.mlp.expand로 네 배 넓힌 것을 functional.gelu로 구부리고, self.mlp.projection으로 되돌려
        #       self.mlp.dropout을 거는 것입니다. 구부리는 것이 없다면 두 선형 층은 무엇과 같을까요? gelu에는
        #       approximate=self.approximate도 건넵니다.
        todo("2-3")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: x
        # [END 2-3]
        return x


class GPT(nn.Module):
    """토큰 번호를 받아 자리마다 다음 토큰의 로짓을 냅니다.

    Args:
        config: 모델의 크기.
        vocab_size: 어휘의 크기.
        tokenizer: 글을 이어 쓸 때 쓸 토크나이저. 모델과 늘 함께 다닙니다.
    """

    def __init__(self, config: LMConfig, vocab_size: int, tokenizer: TextTokenizer | None = None) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        self.tokenizer = tokenizer
        self.token_embedding = nn.Embedding(vocab_size, config.d_embed)
        self.position_embedding = nn.Embedding(config.max_seq_len, config.d_embed)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.d_embed)
        self.lm_head = nn.Linear(config.d_embed, vocab_size, bias=False)
        # [TODO 2-4] lm_head가 token_embedding과 같은 가중치(같은 Parameter 하나)를 쓰게 하세요.
        # 힌트: 값을 베끼면 처음에만 같고, 학습하면서 갈라집니다. 두 가중치의 모양은 무엇인가요?
        todo("2-4")  # 여기를 지우고 채워 주세요.
        # [END 2-4]
        self.init_weights()

    def init_weights(self) -> None:
        """가중치를 GPT-2처럼 초기화합니다. LayerNorm은 PyTorch의 기본값(1과 0) 그대로 둡니다."""
        std = 0.02
        residual_std = std / math.sqrt(2 * self.config.num_layers)  # 블록마다 두 번씩 더해지는 것을 셈에 넣습니다.
        # [TODO 2-5] Linear와 Embedding의 가중치를 평균 0인 정규분포로, Linear의 편향을 0으로 채우세요.
        # 힌트: 표준편차는 std이고, 이름이 "projection"으로 끝나는 Linear(x에 더해지는 것)만 residual_std입니다.
        #       self.named_modules()가 (이름, 모듈)을 냅니다. nn.init.normal_과 nn.init.zeros_가 있습니다. 편향이 없는
        #       Linear도 하나 있습니다.
        todo("2-5")  # 여기를 지우고 채워 주세요.
        # [END 2-5]

    def forward(self, ids: Tensor) -> Tensor:
        """자리마다 다음 토큰의 로짓을 구합니다.

        Args:
            ids: (배치, 길이) 토큰 번호. 길이는 max_seq_len 이하.

        Returns:
            (배치, 길이, 어휘). `[:, i]`는 i번째까지 읽고 i+1번째를 맞힌 것입니다.

        Raises:
            UserError: 길이가 max_seq_len을 넘을 때.
        """
        length = ids.size(1)
        if length > self.config.max_seq_len:
            raise UserError(
                f"글이 {length}토큰인데, 이 모델은 한 번에 {self.config.max_seq_len}토큰까지 봅니다. 글을 줄이거나 "
                "--max_seq_len을 키워 다시 학습해 주세요."
            )
        # [TODO 2-6] 토큰 임베딩에 위치 임베딩을 더해 dropout을 건 뒤, 블록들과 norm, lm_head를 지나 logits를 구하세요.
        # 힌트: 위치의 번호는 0부터 length-1까지이고, ids와 같은 장치에 있어야 합니다. 블록이 하나뿐인 모델이라면,
        #       위치를 더하지 않을 때 무엇을 구별하지 못할까요?
        todo("2-6")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: logits
        # [END 2-6]
        return logits

    def num_parameters(self) -> int:
        """배우는 값의 수. 함께 쓰는 가중치는 한 번만 셉니다."""
        return sum(parameter.numel() for parameter in self.parameters())

    @torch.no_grad()
    def generate(self, ids: Tensor, max_tokens: int, seed: int | None = None, temperature: float = 1.0) -> Tensor:
        """확률대로 한 토큰씩 뽑아 이어 붙입니다. 5단계에서 더 잘, 더 빨리 합니다.

        Args:
            ids: (배치, 길이).
            temperature: 로짓을 나누는 수. 작을수록 그럴듯한 것만 뽑습니다.

        Returns:
            (배치, 길이 + max_tokens).
        """
        was_training = self.training
        self.eval()
        generator = torch.Generator(ids.device).manual_seed(seed) if seed is not None else None
        for _ in range(max_tokens):
            logits = self(ids[:, -self.config.max_seq_len :])[:, -1].float() / temperature  # (배치, 어휘)
            ids = torch.cat([ids, torch.multinomial(logits.softmax(dim=-1), 1, generator=generator)], dim=1)
        self.train(was_training)
        return ids


def generate_text(
    model: GPT, prompt: str, max_tokens: int = 100, seed: int | None = None, temperature: float = 0.7
) -> str:
    """앞글을 이어 씁니다. 돌려주는 글은 앞글로 시작합니다."""
    tokenizer = model.tokenizer
    ids = tokenizer.encode(prompt) or [tokenizer.end_id]
    device = next(model.parameters()).device
    made = model.generate(torch.tensor([ids], device=device), max_tokens, seed, temperature)
    return prompt + tokenizer.decode(made[0, len(ids) :].tolist())


def main() -> None:
    config = LMConfig()
    data = LMData(config)
    torch.manual_seed(config.seed)
    x = 3 * torch.randn(2, 5, config.d_embed) + 1  # (배치, 길이, 차원)
    weight = torch.randn(config.d_embed)
    bias = torch.randn(config.d_embed)
    library = functional.layer_norm(x, (config.d_embed,), weight, bias)
    difference = (layer_norm(x, weight, bias) - library).abs().max()
    print(f"■ 손으로 적은 LayerNorm과 torch.nn.functional.layer_norm의 가장 큰 차이: {difference:.0e}\n")

    torch.manual_seed(config.seed)
    model = GPT(config, len(data.tokenizer), data.tokenizer)

    print("■ 부품")
    for name, module in [*model.named_children(), *model.blocks[0].named_children()]:
        count = sum(parameter.numel() for parameter in module.parameters())
        print(f"  {name:20s} {count:>10,}개  {type(module).__name__}")
    print(f"  {'모두':20s} {model.num_parameters():>9,}개 (lm_head는 token_embedding과 같은 것이라 한 번만 셉니다)")

    inputs, targets = next(iter(data.val_dataloader()))
    logits = model.eval()(inputs)
    loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    print(
        f"\n■ 배우기 전의 손실 {loss:.2f}. 아무렇게나 찍으면 ln({model.vocab_size:,}) = "
        f"{math.log(model.vocab_size):.2f}입니다"
    )
    print(f"\n■ 첫 글: {generate_text(model, '옛날 옛적에', max_tokens=20, seed=config.seed)!r}")

    # 더 해 보기: 뒤의 자리를 가리는 줄을 지우면, 배우기 전의 손실은 달라질까요? `--max_seq_len 32 --num_epochs 20`으로
    #             배운 뒤의 검증 손실과 이어 쓴 글은요? 손실은 낮은데 글을 못 쓴다면 모델은 무엇을 배운 것일까요?


if __name__ == "__main__":
    run_script(main)
