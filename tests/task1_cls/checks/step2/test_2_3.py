"""2-3의 검사: 검증 로더."""

from __future__ import annotations

from course.checks.words import todo
from tests.task1_cls.checks.step2.common import (
    check_collate,
    check_elsewhere,
    check_in_file_order,
    check_read_again,
    check_sizes,
    check_split,
    make,
)


@todo("2-3")
def test_validation_loader_reads_the_validation_split(load):
    """검증 로더는 검증 데이터를 읽습니다."""
    check_split(load, "valid")


@todo("2-3")
def test_validation_loader_uses_the_evaluation_batch_size(load):
    """평가 배치 크기를 쓰고, 마지막의 작은 배치도 버리지 않습니다."""
    check_sizes(make(load, "valid"), "valid")


@todo("2-3")
def test_validation_order_is_the_files(load):
    """검증은 몇 번을 해도 파일 순서 그대로입니다."""
    check_read_again(make(load, "valid"))
    check_in_file_order(make(load, "valid"))


@todo("2-3")
def test_validation_loader_is_the_same_in_other_places(load):
    """검증 로더는 모듈의 모드와 장치의 수에 상관없이 같고, 배치 크기는 설정을 따릅니다."""
    check_elsewhere(load, "valid")


@todo("2-3")
def test_validation_batches_are_collated(load):
    """배치로 묶는 일은 self.collate에 맡깁니다."""
    check_collate(make(load, "valid"), "valid")
