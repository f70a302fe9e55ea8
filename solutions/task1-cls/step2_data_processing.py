"""2단계 · 데이터 처리: 예문을 배치로

1단계의 모델은 문장 하나를 받을 수 있습니다. 학습은 문장 수십 개를 한꺼번에(배치, batch) 받아야 빠르고 안정됩니다.
이 단계에서는 예문을 골라(sampler), 묶고(collate), 나르는(DataLoader) 길을 놓고, 가중치를 고쳐 줄 옵티마이저를 정합니다.

    python step2_data_processing.py    # 배치 하나의 모양과, 채움(padding)의 낭비를 보여 줍니다 (약 8초)

배우는 것
    - 데이터셋: 예문의 글을 한 번만 토큰 번호로 바꾸어 갖고 있는 것. 로더는 그 번호를 나릅니다
    - sampler: 학습은 섞어야 하고, 검증과 평가는 섞을 까닭이 없습니다. 길이순으로 읽으면 채움이 줄어듭니다
    - collate: 길이가 다른 문장들을 같은 길이의 텐서로. 채움은 계산이 드는 빈칸이므로 꼭 필요한 만큼만
    - 학습과 추론의 배치 크기가 다른 까닭: 검증과 평가는 기울기를 기억하지 않아 메모리가 남습니다
    - weight decay는 행렬에만: 편향과 정규화 층을 0으로 당기면 정규화한 값이 점점 작아집니다

하지 않는 것: 배치가 모델을 지난 뒤의 일(3단계).
"""

from typing import Any

import torch
from torch.optim import AdamW, Optimizer
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler

import step1_basic_structure

from nlpbook.borders import without_weights
from nlpbook.classification.config import TrainConfig
from nlpbook.classification.datasets import ClassificationDataset
from nlpbook.cli import run_script
from nlpbook.loaders import padding_waste, training_loader
from nlpbook.optimization import decay_groups


class NSMCModel(step1_basic_structure.NSMCModel):
    """데이터를 배치로 나르고, 옵티마이저를 정할 줄 아는 모델."""

    def configure_optimizers(self) -> Optimizer:
        """가중치를 고쳐 줄 옵티마이저.

        Returns:
            모든 학습 파라미터를 꼭 한 번씩 가진 AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101).
        """
        # 두 묶음: [{"params": 행렬들, "weight_decay": …}, {"params": 편향과 정규화 층, "weight_decay": 0}]
        groups = decay_groups(self.lang_model, self.config.learning.weight_decay)
        # [TODO 2-1] 위의 두 묶음과 설정의 학습률로 AdamW를 만들어 optimizer에 담으세요.
        # 힌트: 학습률은 self.config.learning.learning_rate입니다. 적지 않으면 PyTorch의 기본값이 쓰입니다.
        optimizer = AdamW(groups, lr=self.config.learning.learning_rate)
        # [END 2-1]
        return optimizer

    def train_dataloader(self) -> DataLoader:
        """학습 배치. 에포크마다 순서가 바뀝니다."""
        # [TODO 2-2] 학습 갈래("train")의 데이터셋을 만들고, 무작위 순서로, 학습 배치 크기로 읽는 로더를 만드세요.
        # 힌트: ClassificationDataset(설정, 말뭉치, 토크나이저, 갈래)은 만들 때 예문을 모두 토큰 번호로 바꿉니다.
        #       그래서 한 번만 만듭니다. 같은 예문이 한 에포크에 두 번 나오면 안 되고, 마지막의 작은 배치도 버리지
        #       않습니다. 배치로 묶는 일은 collate_fn=self.collate에 맡기고, 보조 프로세스는 설정의 workers만큼 둡니다.
        dataset = ClassificationDataset(self.config, self.data, self.lm_tokenizer, "train")
        loader = DataLoader(
            dataset,
            batch_size=self.config.hardware.train_batch,
            sampler=RandomSampler(dataset, replacement=False),
            collate_fn=self.collate,
            num_workers=self.config.hardware.workers,
            drop_last=False,
        )
        # [END 2-2]
        return loader

    def val_dataloader(self) -> DataLoader:
        """검증 배치. 학습 도중에 모델을 고르는 데 씁니다."""
        # [TODO 2-3] 검증 갈래("valid")의 데이터셋을 만들고, 파일 순서대로, 추론 배치 크기로 읽는 로더를 만드세요.
        # 힌트: 검증은 몇 번을 해도 같은 값이어야 합니다. 어느 갈래를 읽는지, 배치 크기는 어느 쪽인지 확인하세요.
        #       묶는 함수와 보조 프로세스의 수는 2-2와 같습니다.
        dataset = ClassificationDataset(self.config, self.data, self.lm_tokenizer, "valid")
        loader = DataLoader(
            dataset,
            batch_size=self.config.hardware.infer_batch,
            sampler=SequentialSampler(dataset),
            collate_fn=self.collate,
            num_workers=self.config.hardware.workers,
            drop_last=False,
        )
        # [END 2-3]
        return loader

    def test_dataloader(self) -> DataLoader:
        """평가 배치. 학습이 모두 끝난 뒤에 한 번만 봅니다.

        긴 문장부터 읽습니다. 길이가 비슷한 것끼리 묶여 채움이 줄고, 메모리가 모자라면 한참 뒤가 아니라 첫 배치에서
        드러납니다. 정확도와 F1은 어느 예문을 먼저 읽었는지 모르므로 그대로입니다.
        """
        # [TODO 2-4] 평가 갈래("test")의 데이터셋을 만들고, 토큰이 많은 예문부터, 추론 배치 크기로 읽는 로더를 만드세요.
        # 힌트: 예문마다의 토큰 수가 파일 순서로 dataset.lengths에 있습니다. 데이터셋은 그대로 두고 예문의 번호를
        #       늘어놓아 sampler로 건네면, 예측을 그 번호로 제 문장과 짝지을 수 있습니다. 그런데 검증과 평가는 이렇게
        #       늘어놓아도 되고 학습은 왜 안 될까요? 읽는 순서가 무엇을 바꾸나요?
        dataset = ClassificationDataset(self.config, self.data, self.lm_tokenizer, "test")
        lengths = dataset.lengths
        longest_first = sorted(range(len(dataset)), key=lambda number: lengths[number], reverse=True)
        loader = DataLoader(
            dataset,
            batch_size=self.config.hardware.infer_batch,
            sampler=longest_first,
            collate_fn=self.collate,
            num_workers=self.config.hardware.workers,
            drop_last=False,
        )
        # [END 2-4]
        return loader

    @without_weights  # 로더의 보조 프로세스로 건너갈 때 모델의 가중치를 데려가지 않습니다.
    def collate(self, features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """데이터셋의 항목들을 배치 하나로 묶습니다.

        Args:
            features: `{"input_ids": [int…], "attention_mask": [int…], "labels": int}`들. 길이는 서로 다릅니다.

        Returns:
            `input_ids`, `attention_mask`: (배치, 길이) int64. `labels`: (배치,) int64.
        """
        pad = self.lm_tokenizer.pad_token_id
        # [TODO 2-5] 이 배치에서 가장 긴 문장에 맞추어 오른쪽을 채우고, 세 텐서를 batch에 담으세요.
        # 힌트: input_ids는 pad로 채웁니다. 그런데 모델은 채운 자리를 어떻게 알아보고 무시할까요?
        width = max(len(feature["input_ids"]) for feature in features)
        ids = [one["input_ids"] + [pad] * (width - len(one["input_ids"])) for one in features]
        mask = [one["attention_mask"] + [0] * (width - len(one["attention_mask"])) for one in features]
        batch = {
            "input_ids": torch.tensor(ids),  # (배치, 길이)
            "attention_mask": torch.tensor(mask),  # (배치, 길이), 진짜 토큰 1, 채운 자리 0
            "labels": torch.tensor([one["labels"] for one in features]),  # (배치,)
        }
        # [END 2-5]
        return batch


def main() -> None:
    torch.manual_seed(7)
    model = NSMCModel(TrainConfig())
    loader = model.train_dataloader()
    test_loader = model.test_dataloader()
    batch = next(iter(loader))

    print("■ 배치 하나")
    for name, tensor in batch.items():
        print(f"  {name:<15}{tuple(tensor.shape)!s:<12}{tensor.dtype}")
    shortest = int(batch["attention_mask"].sum(dim=1).argmin())
    print("  가장 짧은 문장 ", " ".join(model.lm_tokenizer.convert_ids_to_tokens(batch["input_ids"][shortest])))

    print("\n■ 예문과 배치의 수")
    for name, one in (("학습", loader), ("검증", model.val_dataloader()), ("평가", test_loader)):
        print(f"  {name}  예문 {len(one.dataset):>6,}개  배치 {len(one):>4}개  크기 {one.batch_size}")

    print("\n■ 채움의 낭비: 모델이 계산하는 자리 가운데 빈칸의 비율")
    longest = model.config.model.seq_len
    real = sum(loader.dataset.lengths) / len(loader.dataset)
    print(f"  모두 {longest}칸으로         {1 - real / longest:.1%}")
    print(f"  배치마다 가장 긴 문장으로  {padding_waste(loader):.1%}")
    print(
        f"  길이가 비슷한 것끼리       {padding_waste(training_loader(loader, seed=7)):.1%}  ← 4단계의 학습이 쓰는 방법"
    )

    print("\n■ 평가를 읽는 순서: 채움의 낭비와, 배치마다의 길이")
    dataset = test_loader.dataset
    in_file_order = DataLoader(dataset, model.config.hardware.infer_batch, collate_fn=model.collate)
    for name, one in (("파일 순서대로", in_file_order), ("긴 문장부터  ", test_loader)):
        widths = ", ".join(str(batch["input_ids"].shape[1]) for batch in one)
        print(f"  {name}  {padding_waste(one):.1%}  ({widths}칸)")

    # 더 해 보기: train_batch를 4와 128로 바꾸면 낭비는 어느 쪽이 커질까요? 먼저 짐작하고 실행해 보세요.


if __name__ == "__main__":
    run_script(main)
