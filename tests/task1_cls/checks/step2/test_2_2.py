"""2-2의 검사: 학습 로더."""

from __future__ import annotations

from collections import Counter

from course.checks.words import assert_equal, fail, todo
from nlpbook.loaders import training_loader
from tests.task1_cls.checks.step2.common import (
    batches,
    check_collate,
    check_elsewhere,
    check_read_again,
    check_sizes,
    check_split,
    dataset_items,
    drops_last,
    flat,
    make,
    reference,
)


@todo("2-2")
def test_train_loader_reads_the_training_split(load):
    """학습 로더는 학습 데이터를 읽습니다."""
    check_split(load, "train")


@todo("2-2")
def test_train_loader_uses_the_training_batch_size(load):
    """학습 배치 크기를 쓰고, 마지막의 작은 배치도 버리지 않습니다."""
    check_sizes(make(load, "train"), "train")


@todo("2-2")
def test_train_order_changes_every_epoch(load):
    """순서는 파일과 다르고, 에포크마다 다릅니다."""
    check_read_again(make(load, "train"))
    loader = make(load, "train")
    items = [(tuple(one["input_ids"]), int(one["labels"])) for one in dataset_items(loader)]
    first, second = flat(batches(loader)), flat(batches(loader))
    in_file_order = items == reference("train") or Counter(items) != Counter(reference("train"))
    if first == items[: len(first)] and in_file_order:
        fail(idea="sampler", expected="무작위", got="파일 순서", symptom="not-shuffled")
    if first == second:
        fail(idea="sampler", expected="매번 다른 순서", got="같은 순서", symptom="same-order")


@todo("2-2")
def test_no_example_is_read_twice_in_an_epoch(load):
    """한 에포크에 같은 예문이 두 번 나오지 않습니다."""
    loader = make(load, "train")
    batches(loader)
    read = flat(
        loader.batch_sampler
    )  # 데이터셋에 같은 예문이 여럿인지는 다른 검사가 봅니다. 여기서는 뽑은 번호를 봅니다.
    distinct = len(set(read))
    if distinct < len(read):
        fail(
            idea="replacement",
            expected=f"서로 다른 예문 {len(read)}개",
            got=f"{distinct}개",
            symptom="replacement",
            missing=len(read) - distinct,
        )
    dropped = len(loader.dataset) % loader.batch_sampler.batch_size if drops_last(loader) else 0
    message = "한 에포크에 읽은 예문의 수가 다릅니다."
    assert_equal(len(read), len(loader.dataset) - dropped, idea="에포크", message=message)


@todo("2-2")
def test_train_loader_is_the_same_in_other_places(load):
    """학습 로더는 모듈의 모드와 장치의 수에 상관없이 같고, 배치 크기는 설정을 따릅니다."""
    check_elsewhere(load, "train")


@todo("2-2")
def test_train_batches_are_collated(load):
    """배치로 묶는 일은 self.collate에 맡깁니다."""
    check_collate(make(load, "train"), "train")


@todo("2-2")
def test_train_loader_can_be_regrouped_by_length(load):
    """4단계는 이 로더를 받아 길이가 비슷한 것끼리 다시 묶습니다."""
    loader = training_loader(make(load, "train"), seed=7)
    read = [loader.dataset[i] for indices in loader.batch_sampler for i in indices]
    message = "길이끼리 다시 묶으면 읽는 예문의 수가 달라집니다."
    assert_equal(len(read), len(loader.dataset), idea="sampler", message=message)
