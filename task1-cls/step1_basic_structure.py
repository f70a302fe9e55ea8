"""1단계 · 기본 구조: 말뭉치, 설정, 토크나이저, 모델

영화 리뷰가 긍정인지 부정인지 알아맞히는 모델을 다섯 단계로 만듭니다. 이 단계에서는 부품 네 가지를 한 클래스에 모읍니다.
말뭉치는 무엇을 배울지, 설정은 모델이 어떤 모양일지, 토크나이저는 글을 수로 어떻게 바꿀지 정하고, 모델은 그 수를 받아
라벨마다 점수(logit)를 냅니다. 점수를 내는 마지막 층들은 아직 배운 것이 없으므로, 지금의 대답은 동전 던지기와 같습니다.

    python step1_basic_structure.py    # 네 부품과, 토큰으로 나눈 리뷰 한 줄을 보여 줍니다 (약 8초)

배우는 것
    - `LightningModule`: PyTorch의 `nn.Module`에 학습의 각 스텝을 적는 자리를 더한 클래스
    - `AutoConfig` · `AutoTokenizer` · `AutoModelForSequenceClassification`: 이름으로 알맞은 클래스를 찾는 세 입구
    - 미세조정(fine-tuning): 미리 배운 몸통(백본, backbone)에 우리 과제의 작은 머리(head)를 새로 얹어 함께 배우는 방법

하지 않는 것: 데이터를 배치로 묶는 일(2단계), 학습(3, 4단계).
"""

import torch
from lightning import LightningModule
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from nlpbook.classification.config import ClassificationConfig, TrainConfig
from nlpbook.classification.nsmc import NsmcCorpus
from nlpbook.cli import run_script
from nlpbook.errors import UserError
from nlpbook.limits import require_positions
from nlpbook.pretrained import resolve_pretrained, untrained
from todo import todo


class NSMCModel(LightningModule):
    """네 부품을 가진 감성분석 모델. 다음 단계들이 이 클래스를 이어받습니다.

    Args:
        config: 설정. `config.data`가 말뭉치를, `config.model.pretrained`가 사전학습 모델을 가리킵니다.

    Raises:
        UserError: 토크나이저의 토큰이 모델의 임베딩보다 많거나, 문장이 모델이 아는 위치보다 길 때.

    Attributes:
        data: 말뭉치. 라벨의 수와 예문을 압니다.
        lm_config: 모델의 설계도.
        lm_tokenizer: 글 ↔ 토큰 번호.
        lang_model: (배치, 길이) 토큰 번호 → (배치, 라벨 수) 로짓.
    """

    def __init__(self, config: ClassificationConfig) -> None:
        super().__init__()
        self.config = config
        pretrained = resolve_pretrained(config.model.pretrained)  # 폴더의 경로 또는 허브 이름

        # [TODO 1-1] 설정을 건네며 NSMC 말뭉치를 만들어 self.data에 담으세요.
        # 힌트: 설정(config)을 건네지 않으면, --data_name을 무엇으로 주든 내장 말뭉치만 읽게 됩니다.
        todo("1-1")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: self.data
        # [END 1-1]

        # [TODO 1-2] 라벨 수를 알려 주며 사전학습 모델의 설정을 불러와 self.lm_config에 담으세요.
        # 힌트: 머리의 크기는 몸통이 아니라 우리 과제가 정합니다. 라벨이 몇 개인지는 누가 알고 있나요?
        todo("1-2")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: self.lm_config
        # [END 1-2]
        self.lm_config.id2label = dict(enumerate(self.data.label_names))  # 저장한 모델이 "긍정", "부정"으로 답하도록
        self.lm_config.label2id = {name: number for number, name in enumerate(self.data.label_names)}

        # [TODO 1-3] 같은 사전학습 모델의 토크나이저를 self.lm_tokenizer에 담고, 모델보다 토큰이 많으면 거절하세요.
        # 힌트: 폴더에 다른 모델의 토크나이저가 섞이기도 합니다. 모델의 임베딩은 self.lm_config.vocab_size줄뿐이라,
        #       토큰이 그보다 많으면 한참 뒤에 모델 깊은 곳에서 IndexError가 납니다. 그 전에 두 수를 적은 한 문장으로
        #       raise UserError("…")를 합니다. 그런데 수는 맞고 번호의 뜻만 다르다면, 그때는 무엇이 보일까요?
        todo("1-3")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: self.lm_tokenizer
        # [END 1-3]

        # [TODO 1-4] 위의 설정으로, 분류 머리가 얹힌 사전학습 모델을 불러와 self.lang_model에 담으세요.
        # 힌트: from_config는 모양만 만들고, from_pretrained는 배운 가중치까지 가져옵니다.
        todo("1-4")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: self.lang_model
        # [END 1-4]
        if config.model.random_init:  # 절제 실험: 사전학습한 것을 버리면 얼마나 나빠질까요?
            self.lang_model = untrained(self.lang_model)
        # 모델이 아는 위치보다 긴 문장은 읽을 수 없습니다.
        require_positions(self.config.model.pretrained, self.config.model.seq_len, self.lang_model)


def count_parameters(module: torch.nn.Module) -> int:
    """학습할 파라미터(수)의 개수."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def main() -> None:
    torch.manual_seed(7)
    model = NSMCModel(TrainConfig()).eval()

    print("■ 부품")
    print(f"  말뭉치        {model.data}")
    print(f"  설정          {model.lm_config.model_type}, 층 {model.lm_config.num_hidden_layers}개, ", end="")
    print(f"차원 {model.lm_config.hidden_size}, 라벨 {model.lm_config.num_labels}개")
    print(f"  토크나이저    어휘 {len(model.lm_tokenizer):,}개")
    print(f"  모델          파라미터 {count_parameters(model):,}개")
    for name, part in model.lang_model.named_children():
        print(f"    {name:<12}{count_parameters(part):>10,}개")

    text = "배우들 연기가 좋아서 두 번 봤어요"
    inputs = model.lm_tokenizer(text, return_tensors="pt")  # input_ids: (1, 길이)
    print(f"\n■ 리뷰 한 줄: {text}")
    print("  토큰 ", " ".join(model.lm_tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])))
    print("  번호 ", " ".join(map(str, inputs["input_ids"][0].tolist())))
    with torch.no_grad():
        logits = model.lang_model(**inputs).logits  # (1, 라벨 수)
    named = zip(model.data.label_names, logits[0].tolist(), strict=True)
    scores = ", ".join(f"{name} {score:+.3f}" for name, score in named)
    print(f"  점수  {scores}  ← pooler와 머리가 아직 난수라 아무 뜻이 없습니다")

    # 더 해 보기: 리뷰에 오타나 새로 생긴 말을 넣어 보세요. 토큰은 어디에서 잘게 부서지나요?


if __name__ == "__main__":
    run_script(main)
