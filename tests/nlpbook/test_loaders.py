"""로더: 모든 예문을 꼭 한 번, 같은 시드에 같은 순서, 이어 읽기, 프로세스마다 나누기."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from itertools import chain

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

from nlpbook.loaders import ShardedSampler, evaluation_loader, padding_waste, training_loader

COUNT, BATCH = 103, 8


class Reviews(list):
    """항목이 제 번호인 데이터셋. 길이는 1~40에 흩어져 있습니다."""

    def __init__(self, count: int = COUNT) -> None:
        super().__init__(range(count))
        self.lengths = [1 + (i * 37) % 40 for i in range(count)]


def plain_loader(dataset: Reviews, sampler=RandomSampler) -> DataLoader:
    return DataLoader(dataset, batch_size=BATCH, sampler=sampler(dataset), collate_fn=list)


def read(loader: DataLoader, epoch: int = 0, batch: int = 0) -> list[list[int]]:
    loader.batch_sampler.start_at(epoch, batch)
    return list(loader)


def shards(count: int, processes: int) -> list[list[list[int]]]:
    """프로세스마다 읽은 배치들."""
    return [read(training_loader(plain_loader(Reviews(count)), 7, rank, processes)) for rank in range(processes)]


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_an_epoch_reads_every_example_exactly_once(epoch):
    loader = training_loader(plain_loader(Reviews()), seed=7)
    batches = read(loader, epoch)
    assert sorted(chain(*batches)) == list(range(COUNT))
    assert len(batches) == len(loader) == 13
    assert max(map(len, batches)) == BATCH


def test_the_order_follows_from_seed_and_epoch_alone():
    first = training_loader(plain_loader(Reviews()), seed=7)
    epochs = [read(first, epoch) for epoch in range(3)]
    torch.manual_seed(999)
    again = training_loader(plain_loader(Reviews()), seed=7)
    assert [read(again, epoch) for epoch in (2, 1, 0)] == epochs[::-1]
    assert epochs[0] != epochs[1] != epochs[2]
    assert read(training_loader(plain_loader(Reviews()), seed=8)) != epochs[0]


@pytest.mark.parametrize("batch", [0, 1, 12, 13])
def test_starting_in_the_middle_reads_exactly_the_rest(batch):
    loader = training_loader(plain_loader(Reviews()), seed=7)
    assert read(loader, 3, batch) == read(loader, 3)[batch:]


def test_batches_come_in_no_order_of_length():
    dataset = Reviews()
    widths = [max(dataset.lengths[i] for i in batch) for batch in read(training_loader(plain_loader(dataset), seed=7))]
    assert widths not in (sorted(widths), sorted(widths, reverse=True))


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("count", [COUNT, 96, 20])
def test_processes_together_read_everything_in_equally_many_batches(processes, count):
    parts = shards(count, processes)
    assert len({len(part) for part in parts}) == 1
    batches = Counter(tuple(batch) for part in parts for batch in part)
    assert sorted(chain(*batches)) == list(range(count))
    assert sum(batches.values()) - len(batches) < processes  # 수를 맞추려고 되풀이한 배치


@pytest.mark.parametrize(("count", "processes"), [(5, 3), (10, 5), (1, 8)])
def test_no_process_is_left_without_a_batch(count, processes):
    assert {len(part) for part in shards(count, processes)} == {1}


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_evaluation_deals_out_examples_longest_first_and_repeats_only_the_last(processes):
    lengths = Reviews(10).lengths
    parts = [list(ShardedSampler(lengths, rank, processes)) for rank in range(processes)]
    assert len({len(part) for part in parts}) == 1
    dealt = [parts[i % processes][i // processes] for i in range(processes * len(parts[0]))]
    order = ShardedSampler(lengths).order
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
    assert dealt == order + [order[-1]] * (len(dealt) - 10)
    assert len(ShardedSampler(lengths, 0, processes)) == len(parts[0])


def test_evaluation_reads_every_example_once_on_one_process():
    loader = evaluation_loader(plain_loader(Reviews(), SequentialSampler))
    assert list(chain(*loader)) == loader.sampler.order
    assert sorted(loader.sampler.order) == list(range(COUNT))


def test_reading_touches_no_global_random_state():
    torch.manual_seed(3)
    random.seed(3)
    before = torch.get_rng_state(), random.getstate()
    read(training_loader(plain_loader(Reviews()), seed=7), epoch=2)
    list(evaluation_loader(plain_loader(Reviews(), SequentialSampler)))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


def test_grouping_by_length_wastes_less_than_a_third_of_the_padding():
    dataset = Reviews(400)

    def collate(indices: list[int]) -> dict[str, torch.Tensor]:
        width = max(dataset.lengths[i] for i in indices)
        return {"attention_mask": torch.tensor([[int(j < dataset.lengths[i]) for j in range(width)] for i in indices])}

    plain = DataLoader(dataset, batch_size=BATCH, sampler=RandomSampler(dataset), collate_fn=collate)
    assert padding_waste(training_loader(plain, seed=7)) < padding_waste(plain) / 3


def test_a_dataset_without_lengths_is_read_whole_too():
    loader = DataLoader(range(10), batch_size=4, sampler=RandomSampler(range(10)), collate_fn=list)
    assert sorted(chain(*training_loader(loader, seed=7))) == list(range(10))


@pytest.mark.parametrize("wrapped", [partial(training_loader, seed=3), evaluation_loader])
def test_a_batch_sampler_is_the_same_as_batch_size_and_sampler(wrapped):
    reviews = Reviews()
    sampler = RandomSampler(reviews)
    loaders = [
        DataLoader(reviews, batch_size=BATCH, sampler=sampler, collate_fn=list),
        DataLoader(reviews, batch_sampler=BatchSampler(sampler, BATCH, drop_last=False), collate_fn=list),
    ]
    one, other = (list(wrapped(loader)) for loader in loaders)
    assert one == other
    assert sorted(chain(*one)) == list(range(COUNT))
