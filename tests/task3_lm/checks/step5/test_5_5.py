"""5-5의 검사: KV 캐시."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from course.checks.words import close, fail, matches, show, todo
from tests.task3_lm.checks.step5.common import ATOL

SHAPE = (2, 3, 7, 4)  # (글, 헤드, 최대 길이, 차원/헤드)


class Kept:
    """학생의 LayerMemory 하나와, 지금까지 적은 것을 이어 붙인 기준."""

    def __init__(self, step: Any, device: str) -> None:
        self.device = device
        self.memory = step.LayerMemory(SHAPE, torch.device(device))
        self.buffers = self.memory.keys, self.memory.values
        self.random = torch.Generator().manual_seed(5)
        self.all = [torch.zeros(2, 3, 0, 4, device=device) for _ in range(2)]

    def fresh(self, length: int) -> list[Tensor]:
        """새 토큰 `length`개의 열쇠와 값."""
        return [torch.randn(2, 3, length, 4, generator=self.random).to(self.device) for _ in range(2)]

    def append(self, length: int, start: int | None = None) -> list[Tensor]:
        """새것을 적고, 돌려받은 (열쇠, 값)을 기준과 견줍니다."""
        new = self.fresh(length)
        start = self.all[0].size(2) if start is None else start
        before = [one[:, :, :start] for one in self.all]
        self.all = [torch.cat(pair, dim=2) for pair in zip(before, new, strict=True)]
        try:
            got = self.memory.append(*(one.clone() for one in new), start)
        except AttributeError as error:
            if "'LayerMemory' object has no attribute" not in str(error):
                raise
            name = str(error).split("'")[3]
            more = {"expected": "self.keys와 self.values", "got": f"self.{name}", "symptom": "other-names"}
            fail(idea="미리 잡아 둔 자리", **more)
        except (RuntimeError, IndexError) as error:
            if any(
                words in str(error) for words in ("must match", "expanded size", "out of bounds", "Sizes of tensors")
            ):
                more = {"expected": "2번 축(길이)", "got": "다른 축이나 길이", "symptom": "wrong-axis"}
                fail(idea="자리의 축", **more)
            raise
        self.judge(got, new, start)
        return list(got)

    def judge(self, got: Any, new: list[Tensor], start: int) -> None:
        idea, want = "KV 캐시", self.all
        if not (isinstance(got, tuple) and len(got) == 2 and all(isinstance(one, Tensor) for one in got)):
            fail("keys와 values가 텐서 둘이 아닙니다.", idea=idea, expected="텐서 둘", got=show(type(got).__name__))
        if all(close(one, right, ATOL) for one, right in zip(got, want, strict=True)):
            return
        what = {"expected": f"길이 {want[0].size(2)}", "got": f"길이 {got[0].size(2) if got[0].dim() == 4 else '?'}"}
        if self.same(got, want[::-1]):
            fail(idea=idea, expected="(열쇠, 값)", got="(값, 열쇠)", symptom="swapped")
        if self.same(got, [want[0]] * 2) or self.same(got, [want[1]] * 2):
            fail(idea=idea, expected="열쇠와 값", got="같은 것 둘", symptom="same-twice")
        if start and self.same(got, new):
            fail(idea=idea, symptom="only-new", **what)
        if all(one.shape == SHAPE for one in got):
            fail(idea=idea, symptom="whole-buffer", **what)
        self.judge_buffers()
        wrong = next((one, right) for one, right in zip(got, want, strict=True) if not close(one, right, ATOL))
        name = "keys" if wrong[0] is got[0] else "values"
        if wrong[0].shape != wrong[1].shape:
            expected, shape = f"모양 {tuple(wrong[1].shape)}", f"모양 {tuple(wrong[0].shape)}"
            fail(idea=idea, expected=expected, got=shape, symptom="wrong-length", name=name)
        self.recognise(*wrong, new, start, name)

    def judge_buffers(self) -> None:
        """잡아 둔 자리가 처음의 크기 그대로인지 봅니다."""
        for name in ("keys", "values"):
            now = getattr(self.memory, name)
            if not isinstance(now, Tensor) or tuple(now.shape) != SHAPE:
                shape = tuple(now.shape) if isinstance(now, Tensor) else type(now).__name__
                more = {"expected": f"모양 {SHAPE}", "got": f"모양 {shape}", "symptom": "grown"}
                fail(idea="미리 잡아 둔 자리", name=name, **more)

    def recognise(self, got: Tensor, want: Tensor, new: list[Tensor], start: int, name: str) -> None:
        idea, length = "KV 캐시", new[0].size(2)
        fresh = new[0 if name == "keys" else 1]
        old, late = matches(got[:, :, :start], want[:, :, :start], ATOL), got[:, :, start:]
        if start and not old and matches(got[:, :, :length], fresh, ATOL):
            more = {"expected": f"{start}번째 자리부터", "got": "0번째 자리부터", "symptom": "always-front"}
            fail(idea=idea, name=name, **more)
        texts = [matches(one, right, ATOL) for one, right in zip(late, fresh, strict=True)]
        if any(texts) and not all(texts) or matches(late, fresh[:1].expand_as(fresh), ATOL):
            more = {"expected": "두 글의 것", "got": "한 글의 것", "symptom": "one-text"}
            fail(idea=idea, name=name, **more)
        spots = [matches(late[:, :, one], fresh[:, :, one], ATOL) for one in range(length)]
        last_in_front = matches(late[:, :, 0], fresh[:, :, -1], ATOL) and not late[:, :, 1:].any()
        if length > 1 and (spots.count(True) == 1 and (spots[0] or spots[-1]) or last_in_front):
            more = {"expected": f"{length}자리", "got": "1자리", "symptom": "one-position"}
            fail(idea=idea, name=name, **more)
        if length and not late.any():
            more = {"expected": "새것", "got": "0", "symptom": "not-written"}
            fail(idea=idea, name=name, **more)
        if length > 1 and matches(late[:, :, 1:], fresh[:, :, :-1], ATOL):
            more = {"expected": f"{start}번째 자리부터", "got": f"{start + 1}번째 자리부터", "symptom": "shifted"}
            fail(idea=idea, name=name, **more)
        if start and not old and matches(late, fresh, ATOL) and not getattr(self.memory, name).any():
            more = {"expected": "앞서 적은 것", "got": "사라짐", "symptom": "not-stored"}
            fail(idea=idea, name=name, **more)
        if start and not got[:, :, :start].any() and matches(late, fresh, ATOL):
            more = {"expected": f"앞서 적은 {start}자리", "got": "모두 0", "symptom": "cleared"}
            fail(idea=idea, name=name, start=start, **more)
        spot = int((got - want).abs().flatten().argmax())
        expected, came = (f"{float(one.flatten()[spot]):.4f}" for one in (want, got))
        fail(f"{name}의 값이 다릅니다.", idea=idea, expected=expected, got=came)

    @staticmethod
    def same(got: Any, want: list[Tensor]) -> bool:
        return all(matches(one, right, ATOL) for one, right in zip(got, want, strict=True))


@pytest.fixture
def kept(step, device):
    return Kept(step, device)


@todo("5-5")
def test_everything_so_far_comes_back(kept):
    """앞글 셋, 새 토큰 하나, 둘, 마지막 하나를 적으면 언제나 처음부터 거기까지가 돌아옵니다."""
    for length in (3, 1, 2, 1):
        kept.append(length)


@todo("5-5")
def test_written_into_the_same_buffers(kept):
    """미리 잡아 둔 자리에 적습니다. 새로 잡거나 늘리지 않습니다."""
    kept.append(3)
    kept.append(1)
    kept.judge_buffers()
    for name, buffer in zip(("keys", "values"), kept.buffers, strict=True):
        now = getattr(kept.memory, name)
        if now.data_ptr() != buffer.data_ptr():
            more = {"expected": "같은 메모리", "got": "새 메모리", "symptom": "replaced"}
            fail(idea="미리 잡아 둔 자리", name=name, **more)
        if now[:, :, 4:].any():
            more = {"expected": "0", "got": "0이 아닌 값", "symptom": "written-past"}
            fail(idea="제자리", name=name, **more)


@todo("5-5")
def test_rewriting_replaces_the_old(kept):
    """문맥이 차서 처음부터 다시 적으면, 옛것은 새것으로 바뀝니다."""
    kept.append(4)
    new = kept.fresh(2)
    got = kept.memory.append(*(one.clone() for one in new), 0)
    if all(close(one, right, ATOL) for one, right in zip(got, new, strict=True)):
        kept.all = new
        kept.append(1)  # 다시 적은 것에 이어서
        return
    fresh = Kept.__new__(Kept)
    fresh.all = [one[:, :, :2] for one in kept.all]
    if Kept.same(got, [one + other for one, other in zip(fresh.all, new, strict=True)]):
        more = {"expected": "새것", "got": "옛것과 새것의 합", "symptom": "accumulated"}
        fail(idea="제자리", **more)
    lengths = [one.size(2) for one in got if one.dim() == 4]
    if lengths == [6, 6]:
        more = {"expected": "길이 2", "got": "길이 6", "symptom": "own-count"}
        fail(idea="제자리", **more)
    fail("처음부터 다시 적었는데 새것이 돌아오지 않습니다.", idea="제자리", expected="새것 둘", got="다른 것")
