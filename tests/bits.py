"""두 값이 텐서까지 한 비트도 다르지 않은지 봅니다."""

from __future__ import annotations


def same(one: object, other: object) -> bool:
    """텐서, 딕셔너리, 목록을 속까지 견줍니다."""
    import torch

    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return isinstance(other, (list, tuple)) and len(one) == len(other) and all(map(same, one, other))
    return one == other
