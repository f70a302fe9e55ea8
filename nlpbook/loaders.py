"""같은 예문을 더 빨리, 여러 프로세스에 나누어, 멈춘 자리부터 읽는 로더.

단계 파일이 만든 평범한 `DataLoader`를 받아 읽는 순서만 바꿉니다. 학습은 길이가 비슷한 것끼리 배치를 이루어 채움의
낭비를 줄이고, 평가는 길이순으로 읽은 뒤 모든 예문을 정확히 한 번씩 셉니다.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from torch.utils.data import BatchSampler, DataLoader, Sampler

POOL_BATCHES = 50  # 이만큼의 배치를 모아 길이순으로 늘어놓습니다. 클수록 낭비가 적고, 작을수록 잘 섞입니다.


class LengthBatchSampler(Sampler[list[int]]):
    """뽑는 순서는 `sampler`를 따르되, 길이가 비슷한 예문끼리 배치를 묶습니다.

    에포크 번호와 시드만으로 순서가 정해지므로, 멈춘 학습이 같은 배치부터 이어집니다. 프로세스가 여럿이면 배치를
    돌아가며 나누어 갖고, 배치 수가 나누어떨어지지 않으면 앞의 배치를 한 번 더 써서 모두 같은 수를 읽습니다.

    Args:
        sampler: 예문 번호를 내는 sampler. `generator` 속성이 있으면 에포크마다 시드를 정해 줍니다.
        lengths: 예문마다의 토큰 수.
        batch_size: 배치 하나의 예문 수.
        seed: 순서의 시드.
        rank, world_size: 이 프로세스의 번호와 전체 수.
    """

    def __init__(
        self, sampler: Iterable[int], lengths: list[int], batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self.sampler, self.lengths, self.batch_size = sampler, lengths, batch_size
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.epoch, self.first_batch = 0, 0

    def start_at(self, epoch: int, batch: int = 0) -> None:
        """다음 반복이 `epoch`의 `batch`번째 배치부터 시작하게 합니다."""
        self.epoch, self.first_batch = epoch, batch

    def __len__(self) -> int:
        """에포크 하나에서 이 프로세스가 읽는 배치 수."""
        return math.ceil(math.ceil(len(self.lengths) / self.batch_size) / self.world_size)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        shuffled: Any = self.sampler
        if hasattr(shuffled, "generator"):
            shuffled.generator = generator
        order = list(self.sampler)
        pool = POOL_BATCHES * self.batch_size * self.world_size
        by_length = [
            i for start in range(0, len(order), pool) for i in sorted(order[start : start + pool], key=self._length)
        ]
        batches = [by_length[i : i + self.batch_size] for i in range(0, len(by_length), self.batch_size)]
        batches = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
        batches = [batches[i % len(batches)] for i in range(len(self) * self.world_size)]  # 배치가 프로세스보다 적어도
        yield from batches[self.rank :: self.world_size][self.first_batch :]

    def _length(self, index: int) -> int:
        return self.lengths[index]


class ShardedSampler(Sampler[int]):
    """평가용: 긴 예문부터 차례로, 프로세스마다 한 칸씩 건너 읽습니다.

    모든 프로세스가 같은 수를 읽어야 서로를 기다리다 멈추지 않으므로, 모자라면 끝의 예문을 되풀이합니다. 되풀이한 것은
    `fabric.all_gather` 뒤에 세지 않습니다. `order`가 원래 순서를 기억합니다.
    """

    def __init__(self, lengths: list[int], rank: int = 0, world_size: int = 1) -> None:
        self.order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.world_size)

    def __iter__(self) -> Iterator[int]:
        repeated = self.order + self.order[-1:] * (len(self) * self.world_size - len(self.order))
        return iter(repeated[self.rank :: self.world_size])


def lengths_of(dataset: Any) -> list[int]:
    """예문마다의 토큰 수. 데이터셋에 `lengths`가 없으면 모두 1입니다."""
    return dataset.lengths if hasattr(dataset, "lengths") else [1] * len(dataset)


def batching_of(loader: DataLoader) -> BatchSampler:
    """로더가 배치를 묶는 법. batch_size와 sampler를 건네든 batch_sampler를 건네든, 여기에 있습니다."""
    return cast(BatchSampler, loader.batch_sampler)


def training_loader(loader: DataLoader, seed: int, rank: int = 0, world_size: int = 1) -> DataLoader:
    """같은 예문과 collate로, 길이끼리 묶고 이어서 읽을 수 있는 학습 로더를 만듭니다.

    순서를 바꾸려면 `loader.batch_sampler.start_at(epoch, batch)`를 부릅니다.
    """
    plain = batching_of(loader)
    lengths = lengths_of(loader.dataset)
    batches = LengthBatchSampler(plain.sampler, lengths, plain.batch_size, seed, rank, world_size)
    return DataLoader(
        loader.dataset,
        batch_sampler=batches,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        generator=torch.Generator(),  # 없으면 반복을 시작할 때마다 전역 난수를 하나씩 꺼내, 이어 한 학습이 달라집니다.
    )


def evaluation_loader(loader: DataLoader, rank: int = 0, world_size: int = 1) -> DataLoader:
    """같은 예문을 길이순으로, 프로세스마다 나누어 읽는 평가 로더를 만듭니다."""
    return DataLoader(
        loader.dataset,
        batch_size=batching_of(loader).batch_size,
        sampler=ShardedSampler(lengths_of(loader.dataset), rank, world_size),
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        generator=torch.Generator(),
    )


def padding_waste(loader: DataLoader) -> float:
    """배치들에서 채움(padding)이 차지하는 비율, 0~1."""
    real = total = 0
    for batch in loader:
        real += int(batch["attention_mask"].sum())
        total += batch["attention_mask"].numel()
    return 1 - real / total
