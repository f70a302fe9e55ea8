"""2-4의 검사: 평가 로더."""

from __future__ import annotations

from course.checks.words import assert_equal, todo
from nlpbook.loaders import evaluation_loader
from tests.task1_cls.checks.step2.common import (
    check_collate,
    check_elsewhere,
    check_longest_first,
    check_read_again,
    check_sizes,
    check_split,
    make,
)


@todo("2-4")
def test_test_loader_reads_the_test_split(load):
    """평가 로더는 평가 데이터를 읽습니다."""
    check_split(load, "test")


@todo("2-4")
def test_test_loader_uses_the_evaluation_batch_size(load):
    """평가 배치 크기를 쓰고, 마지막의 작은 배치도 버리지 않습니다."""
    check_sizes(make(load, "test"), "test")


@todo("2-4")
def test_longest_examples_come_first(load):
    """평가는 긴 예문부터이고, 5단계가 프로세스에 나누어 다시 읽어도 예문이 빠지지 않습니다."""
    check_read_again(make(load, "test"))
    loader = make(load, "test")
    check_longest_first(loader, "test")
    order = list(evaluation_loader(loader).sampler)
    assert_equal(sorted(order), list(range(len(loader.dataset))), idea="sampler", message="빠진 예문이 있습니다.")


@todo("2-4")
def test_test_loader_is_the_same_in_other_places(load):
    """평가 로더는 모듈의 모드와 장치의 수에 상관없이 같고, 배치 크기는 설정을 따릅니다."""
    check_elsewhere(load, "test")


@todo("2-4")
def test_test_batches_are_collated(load):
    """배치로 묶는 일은 self.collate에 맡깁니다."""
    check_collate(make(load, "test"), "test")
