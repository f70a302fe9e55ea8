"""3단계 · 학습과 평가의 한 스텝

2단계까지 우리는 모델과 배치를 준비했습니다. 이 단계에서는 배치 하나가 모델을 지나며 무엇이 되는지를 적습니다.
학습에서는 손실(loss)이, 검증에서는 예측이, 서비스에서는 확률이 됩니다. 반복은 아직 없습니다. 한 스텝이 옳아야
만 스텝이 옳습니다.

    python step3_training_steps.py     # 학습 한 스텝의 손실과, 문장 하나의 예측을 보여 줍니다 (약 8초)

배우는 것
    - 순전파(forward)와 손실: 라벨을 함께 주면 모델이 교차 엔트로피를 셉니다
    - `@torch.no_grad()`: 평가에서는 기울기를 기억하지 않아 빠르고 가볍습니다
    - 배치의 평균을 평균하면 안 되는 까닭: 마지막 배치는 작습니다. 그래서 검증은 예문마다의 값을 돌려줍니다
    - 로짓(logit)과 확률: softmax가 점수를 합이 1인 확률로 바꿉니다

하지 않는 것: 반복(epoch), 저장, 기록. 4단계에서 합니다.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import step2_data_processing

from nlpbook.classification.config import TrainConfig
from nlpbook.classification.metrics import accuracy
from nlpbook.cli import run_script
from nlpbook.text import normalized


@dataclass(frozen=True)
class Prediction:
    """문장 하나의 예측. 두 확률의 합은 1입니다."""

    text: str
    negative: float
    positive: float

    @property
    def label(self) -> str:
        return "긍정" if self.positive >= self.negative else "부정"


class NSMCModel(step2_data_processing.NSMCModel):
    """배치 하나, 문장 하나를 다룰 줄 아는 모델."""

    def training_step(self, batch: dict[str, Tensor], batch_idx: int = 0) -> dict[str, Tensor]:
        """학습 한 스텝의 손실과 정확도. 가중치를 고치는 일은 부른 쪽이 합니다.

        Args:
            batch: `input_ids`, `attention_mask`: (배치, 길이). `labels`: (배치,).

        Returns:
            둘 다 () 텐서. `loss`: 기울기가 이어져 있습니다. `acc`: 0~1.
        """
        # [TODO 3-1] 배치를 모델에 넣어 손실(loss)과, 가장 큰 로짓으로 고른 예측의 정확도(acc)를 구하세요.
        # 힌트: 라벨까지 함께 넣으면 outputs.loss가 생깁니다. 예측은 라벨 축에서 가장 큰 것입니다.
        outputs = self.lang_model(**batch)
        loss = outputs.loss
        preds = outputs.logits.argmax(dim=-1)  # (배치, 라벨 수) → (배치,)
        acc = accuracy(preds, batch["labels"])
        # [END 3-1]
        return {"loss": loss, "acc": acc}

    @torch.no_grad()
    def validation_step(self, batch: dict[str, Tensor], batch_idx: int = 0) -> dict[str, Tensor]:
        """검증 배치의 예측과 정답, 예문마다의 손실.

        Args:
            batch: `training_step`과 같습니다.

        Returns:
            `preds`, `labels`: (배치,) int64. `loss`: (배치,) float32, 평균하지 않은 값.
        """
        # [TODO 3-2] 예측(preds)과 정답(labels)을 모으고, 예문마다의 손실(loss)을 구하세요.
        # 힌트: outputs.loss는 배치의 평균입니다. 평균하지 않으려면 cross_entropy의 reduction을 어떻게 줄까요?
        labels = batch["labels"]
        logits = self.lang_model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        preds = logits.argmax(dim=-1)  # (배치, 라벨 수) → (배치,)
        loss = cross_entropy(logits.float(), labels, reduction="none")  # (배치,)
        # [END 3-2]
        return {"preds": preds, "labels": labels, "loss": loss}

    @torch.no_grad()
    def test_step(self, batch: dict[str, Tensor], batch_idx: int = 0) -> dict[str, Tensor]:
        """평가 배치의 예측과 정답, 확률. 확률은 가장 자신 있게 틀린 문장을 찾는 데 씁니다.

        Args:
            batch: `training_step`과 같습니다.

        Returns:
            `preds`, `labels`: (배치,) int64. `probs`: (배치, 라벨 수) float32, 줄마다 합이 1.
        """
        # [TODO 3-3] 검증과 같은 방법으로 예측(preds)과 정답(labels)을 모으고, 라벨마다의 확률(probs)을 구하세요.
        # 힌트: 확률의 합은 문장마다 1입니다. 배치 축이 아니라 라벨 축에서 나누어야 합니다.
        labels = batch["labels"]
        logits = self.lang_model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        preds = logits.argmax(dim=-1)  # (배치, 라벨 수) → (배치,)
        probs = logits.float().softmax(dim=-1)  # (배치, 라벨 수)
        # [END 3-3]
        return {"preds": preds, "labels": labels, "probs": probs}

    @torch.no_grad()
    def infer_one(self, text: str) -> Prediction:
        """문장 하나의 긍정·부정 확률을 구합니다. 웹 서비스가 부르는 함수입니다.

        Args:
            text: 리뷰 한 줄. `seq_len`을 넘는 토큰은 잘립니다.

        Returns:
            Prediction: 라벨과 두 확률(합이 1인 float).
        """
        self.lang_model.eval()
        text = normalized(text)  # 'ㅈㅗㅎㄷㅏ'로 풀어 적은 글도 배운 글과 같은 '좋다'로 모아서(NFC) 읽습니다.
        # [TODO 3-4] 문장을 모델에 넣고, 로짓을 확률로 바꾸어 negative와 positive에 담으세요.
        # 힌트: 로짓은 확률이 아닙니다. 두 값의 합이 1이 되려면 어떤 함수가, 어느 축으로 필요할까요?
        #       긴 글은 self.config.model.seq_len에서 자르고(truncation), 입력은 모델이 있는 장치로 옮기세요.
        inputs = self.lm_tokenizer(text, truncation=True, max_length=self.config.model.seq_len, return_tensors="pt")
        logits = self.lang_model(**inputs.to(self.device)).logits  # (1, 라벨 수)
        negative, positive = logits.float().softmax(dim=-1).squeeze(0).tolist()
        # [END 3-4]
        return Prediction(text, negative=negative, positive=positive)


def main() -> None:
    torch.manual_seed(7)
    model = NSMCModel(TrainConfig())
    optimizer = model.configure_optimizers()
    batch = next(iter(model.train_dataloader()))

    print("■ 같은 배치로 다섯 스텝: 손실이 줄어들면, 한 스텝이 옳게 이어진 것입니다")
    model.train()
    for step in range(1, 6):
        outputs = model.training_step(batch)
        optimizer.zero_grad()
        outputs["loss"].backward()
        optimizer.step()
        print(f"  {step}스텝  손실 {outputs['loss'].item():.4f}  정확도 {outputs['acc'].item():.3f}")

    model.eval()
    outputs = model.validation_step(next(iter(model.val_dataloader())))
    print("\n■ 검증 배치")
    for name, tensor in outputs.items():
        print(f"  {name:<8}{tuple(tensor.shape)!s:<10}{tensor.dtype}")
    print(f"  정확도  {accuracy(outputs['preds'], outputs['labels']).item():.3f}  ← 다섯 스텝으로는 아직 이만큼입니다")

    print("\n■ 문장 하나")
    answer = model.infer_one("배우들 연기가 좋아서 두 번 봤어요")
    print(f"  {answer.text} → {answer.label} (긍정 {answer.positive:.3f}, 부정 {answer.negative:.3f})")

    # 더 해 보기: 학습률을 100배로 하면 다섯 스텝의 손실은 어떻게 될까요?


if __name__ == "__main__":
    run_script(main)
