"""1-5의 검사: 학습 로더."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from course.checks.words import assert_equal, fail, todo
from nlpbook.loaders import training_loader
from tests.task3_lm.checks import support
from tests.task3_lm.checks.step1.common import LENGTH, named, windows

WINDOWS, BATCH, WORKERS = 20, 6, 2  # 창의 수는 배치 크기로 나누어떨어지지 않습니다.
ACCUMULATION, DEVICES = 3, 2  # 배치의 크기와 곱하거나 나누어도 흔히 적는 수(8, 16, …)가 되지 않습니다.
STEP_SIZES = [BATCH * ACCUMULATION, BATCH * DEVICES, BATCH * ACCUMULATION * DEVICES]
STEP_SIZES += [BATCH // ACCUMULATION, BATCH // DEVICES]


class Windows(Dataset):
    """`WindowDataset` 자리에 대신 두는 옳은 데이터셋. 학생의 1-3과 1-4를 거치지 않습니다."""

    def __init__(self, tokens: np.ndarray, max_seq_len: int, stride: int, bytes_per_token: float = 0.0) -> None:
        self.tokens, self.max_seq_len, self.stride = tokens, max_seq_len, stride
        self.bytes_per_token = bytes_per_token

    def __len__(self) -> int:
        return windows(len(self.tokens), self.max_seq_len, self.stride)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = index * self.stride
        taken = torch.from_numpy(self.tokens[start : start + self.max_seq_len + 1].astype("int64"))
        return taken[:-1], taken[1:]


class Tokens:
    """`TokenFile` 자리에 대신 두는 것."""

    def __init__(self, first: int, count: int) -> None:
        self.tokens, self.num_bytes = np.arange(first, first + count).astype("uint16"), 3 * count
        self.bytes_per_token = self.num_bytes / count

    def __len__(self) -> int:
        return len(self.tokens)


@pytest.fixture
def make(load, monkeypatch) -> Callable[..., DataLoader]:
    """설정의 workers와 stride를 받아 학생의 학습 로더를 만드는 함수. stride가 None이어도 창은 같습니다."""
    step = load(1)
    monkeypatch.setattr(step, "SMALL_TEXT_WINDOWS", WINDOWS - 1)
    monkeypatch.setattr(step, "WindowDataset", Windows)

    def made(workers: int = 0, stride: int | None = LENGTH) -> DataLoader:
        torch.manual_seed(11)
        data = step.LMData.__new__(step.LMData)
        data.config = support.tiny_config(
            batch_size=BATCH, workers=workers, grad_accumulation=ACCUMULATION, devices=DEVICES, stride=stride
        )
        data.train, data.valid = Tokens(0, 8 + LENGTH * (WINDOWS - 1) + 1), Tokens(1_000, 8 * 4 + 1)
        try:
            loader = data.train_dataloader()
        except ValueError as error:
            explain_refusal(error)
            raise
        return checked_loader(loader)

    return made


def explain_refusal(error: ValueError) -> None:
    """DataLoader가 받지 않은 인수들이 무엇이었는지."""
    text = str(error)
    if "sampler option is mutually exclusive with shuffle" in text:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        given = next((one.f_locals["sampler"] for one in frames if "sampler" in one.f_locals), None)
        if isinstance(given, int):
            expected, got = "num_workers", f"sampler={given}"
            fail(idea="인수의 자리", expected=expected, got=got, symptom="positional")
        fail(idea="sampler", expected="둘 중 하나", got="둘 다", symptom="both")
    if "batch_sampler option is mutually exclusive" in text:
        fail(idea="batch_sampler", expected="둘 중 하나", got="둘 다", symptom="both-batches")
    if found := re.search(r"(persistent_workers|prefetch_factor|multiprocessing_context)\b", text):
        expected, got = "workers가 0일 때도 만들어짐", f"ValueError: {text[:70]}"
        fail(idea="num_workers", expected=expected, got=got, symptom="workers-only", argument=found[1])


def batch_size_of(loader: DataLoader) -> int | None:
    """4단계가 읽는 자리에 적힌 배치 크기. `batch_size`로 주든 `batch_sampler`로 주든 여기에 있습니다."""
    return getattr(loader.batch_sampler, "batch_size", None)


def checked_loader(loader: Any) -> DataLoader:
    if not isinstance(loader, DataLoader):
        fail(idea="DataLoader", expected="DataLoader 객체", got=named(loader), symptom="not-loader")
    if loader.batch_sampler is None:
        got = "batch_size=None"
        fail(idea="배치 크기", expected=f"batch_size={BATCH}", got=got, symptom="no-batching")
    if not isinstance(loader.dataset, Windows):
        same_items = len(loader.dataset) == WINDOWS and isinstance(loader.dataset[0], tuple)
        if not same_items:
            kind = type(loader.dataset).__name__
            fail(idea="데이터셋", expected=f"창 {WINDOWS}개", got=kind, symptom="other-dataset")
        if not hasattr(loader.dataset, "bytes_per_token"):
            kind = type(loader.dataset).__name__
            fail(idea="데이터셋", expected="dataset", got=kind, symptom="copied-windows")
    elif loader.dataset.tokens[0] >= 1_000:
        fail(idea="데이터셋", expected="학습할 글", got="검증할 글", symptom="valid-windows")
    elif len(loader.dataset) != WINDOWS:
        got = f"창 {len(loader.dataset)}개"
        fail(idea="데이터셋", expected=f"창 {WINDOWS}개", got=got, symptom="other-windows")
    if batch_size_of(loader) is None or not hasattr(loader.batch_sampler, "sampler"):
        sequential = all(one == list(range(one[0], one[0] + len(one))) for one in epoch(loader))
        symptom = "batches-shuffled" if sequential else "no-batch-size"
        got, want = type(loader.batch_sampler).__name__, "sampler와 batch_size"
        fail(idea="batch_sampler", expected=want, got=got, symptom=symptom)
    return loader


def epoch(loader: DataLoader) -> list[list[int]]:
    """한 에포크의 배치들. 창은 그 번호로 적습니다. 보조 프로세스는 띄우지 않습니다."""
    batches = []
    for indices in loader.batch_sampler:
        batch = loader.collate_fn([loader.dataset[index] for index in indices])
        if not isinstance(batch, (tuple, list)) or len(batch) != 2 or not isinstance(batch[0], torch.Tensor):
            got = type(batch).__name__
            fail(idea="배치", expected="두 텐서", got=got, symptom="other-batch")
        inputs, targets = batch
        shapes = f"{tuple(inputs.shape)}, {tuple(targets.shape)}"
        stacked = (len(indices), loader.dataset[0][0].numel())
        if tuple(inputs.shape) != stacked or inputs.shape != targets.shape or not torch.equal(inputs + 1, targets):
            fail(idea="배치", expected="모두 (배치, 길이)", got=shapes, symptom="other-batch")
        batches.append([first // LENGTH for first in inputs[:, 0].tolist()])
    return batches


def flat(nested: list[list[int]]) -> list[int]:
    return [one for inner in nested for one in inner]


@todo("1-5")
def test_batches_have_the_configured_size(make):
    """배치의 크기는 설정의 것이고, 마지막의 작은 배치도 버리지 않습니다."""
    loader = make()
    size, sizes = batch_size_of(loader), [len(one) for one in epoch(loader)]
    if size != BATCH:
        symptom = "batch-of-one" if size == 1 else "step-size" if size in STEP_SIZES else "batch-size"
        fail(idea="배치 크기", expected=BATCH, got=size, symptom=symptom)
    want, left = [BATCH] * (WINDOWS // BATCH) + [WINDOWS % BATCH], WINDOWS % BATCH
    if loader.drop_last or sizes == want[:-1]:
        got = f"{len(sizes)}배치"
        fail(idea="drop_last", expected=f"{len(want)}배치", got=got, symptom="drop-last", left=left)
    if sum(sizes) < WINDOWS:
        fail(idea="sampler", expected=f"창 {WINDOWS}개", got=f"{sum(sizes)}개", symptom="partial")
    # 작은 배치가 몇 번째에 오는지는 묻지 않습니다. 4단계가 다시 묶습니다.
    assert_equal(sorted(sizes, reverse=True), want, idea="배치 크기", message="배치들의 크기가 다릅니다.")


@todo("1-5")
def test_order_changes_every_epoch(make):
    """읽는 순서는 글의 순서와 다르고, 에포크마다 다릅니다."""
    orders = {stride: flat(epoch(make(stride=stride))) for stride in (LENGTH, None)}
    unshuffled = [stride for stride, order in orders.items() if order == list(range(len(order)))]
    if len(unshuffled) == 1:
        stride = unshuffled[0] or "None(적지 않음)"
        fail(idea="섞기", expected="무작위", got="글의 순서", symptom="sometimes-shuffled", stride=stride)
    loader = make()
    first, second = flat(epoch(loader)), flat(epoch(loader))
    if first == list(range(len(first))):
        busy = make(WORKERS)
        if busy.num_workers == 0 and not isinstance(busy.batch_sampler.sampler, SequentialSampler):
            expected, got = "num_workers", "shuffle"
            fail(idea="인수의 자리", expected=expected, got=got, symptom="positional")
        fail(idea="섞기", expected="무작위", got="글의 순서", symptom="not-shuffled")
    if first == second:
        fail(idea="섞기", expected="매번 다른 순서", got="같은 순서", symptom="same-order")


@todo("1-5")
def test_every_window_is_read_once(make):
    """한 에포크에 창마다 한 번씩 읽습니다."""
    loader = make()
    read = flat(epoch(loader))
    if len(set(read)) < len(read):
        expected, got = f"서로 다른 창 {WINDOWS}개", f"{len(set(read))}개"
        fail(idea="replacement", expected=expected, got=got, symptom="replacement")
    again = training_loader(loader, seed=7)  # 4단계는 이 로더의 sampler를 받아 배치를 다시 묶습니다.
    message = "4단계가 배치를 다시 묶으면 읽는 창이 달라집니다."
    if len(read) == WINDOWS and sorted(flat(epoch(again))) != list(range(WINDOWS)):
        fail(message, idea="sampler", expected=f"창 {WINDOWS}개", got=f"{len(set(flat(epoch(again))))}개")


@todo("1-5")
def test_workers_come_from_the_settings(make):
    """보조 프로세스의 수는 설정의 것입니다."""
    for workers in (WORKERS, 0):
        got = make(workers).num_workers
        if got != workers:
            symptom = "no-workers" if got == 0 else "fixed-workers"
            fail(idea="num_workers", expected=workers, got=got, symptom=symptom)
