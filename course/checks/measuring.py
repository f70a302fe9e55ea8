"""검사가 옳은 값과 견줄 때(`close`, `assert_close`) 얼마나 다른지 적습니다. 검사 프로세스 안에서 돕니다.

`python -m course tolerances`가 씁니다. 평소의 검사는 이 파일을 읽지 않습니다.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from course.book.tasks import Task
from course.checks import words as checking
from course.checks.messages import Comparison, Reply
from course.checks.plugin import run, todo_of

OURS = {checking.__file__, __file__}


def measured_run(task: Task, folder: Path, todo_ids: list[str], device: str, precision: str) -> Reply:
    """검사를 돌리며 비교마다의 차이를 적습니다.

    Args:
        precision: `PRECISIONS`의 하나. 학생의 계산과 기준의 계산에 모두 듣습니다.

    Returns:
        `run`의 답에 `comparisons`를 더한 것.
    """
    measuring = Measuring()
    with checking.compared_by(measuring.compare), PRECISIONS[precision]():
        reply = run(task, folder, todo_ids, device, plugins=[measuring])
    return replace(reply, comparisons=measuring.comparisons)


def short_name(file: Path) -> str:
    """검사 파일을 폴더까지 적은 이름. 예: `"step3/common.py"`. 단계마다 같은 이름의 파일이 있습니다."""
    return f"{file.parent.name}/{file.name}"


class Measuring:
    """허용 오차가 있는 비교를 모두 적는 pytest 플러그인.

    틀린 값이 나와도 검사를 끝까지 보냅니다. 알아본 실수(`matches`)에서도 멈추지 않아, 옳은 값과의 차이까지 적힙니다.
    """

    _item: pytest.Item  # 지금 돌고 있는 검사

    def __init__(self) -> None:
        self.comparisons: list[Comparison] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self._item = item
        return (yield)

    def compare(self, got: Any, want: Any, atol: float, judging: bool) -> bool:
        """`close`와 `matches`의 셈을 대신합니다."""
        if not judging:
            return False
        found = checking.deviation(got, want)
        if not atol > 0:  # 똑같아야 하는 비교에는 놓을 오차가 없습니다.
            return found <= atol
        frame = sys._getframe(1)
        while frame.f_code.co_filename in OURS and frame.f_back is not None:
            frame = frame.f_back
        self.comparisons.append(
            Comparison(
                todo=todo_of(self._item),
                check=getattr(self._item, "originalname", self._item.name),  # 매개변수는 떼고
                file=short_name(Path(frame.f_code.co_filename)),
                line=frame.f_lineno,
                atol=float(atol),
                deviation=found if math.isfinite(found) else math.inf,
                scale=checking.size(want),
            )
        )
        return math.isfinite(found)


@contextmanager
def fast_products() -> Iterator[None]:
    """블록 안에서는 장치가 제 빠른 행렬곱을 씁니다: CUDA의 TF32, 그런 명령이 있는 CPU의 bf16.

    작은 행렬에는 듣지 않습니다. AMX가 있는 CPU의 PyTorch 2.13에서 재어 보면 (8×16)·(16×16)은 fp32 그대로이고
    (32×64)·(64×64)는 달라집니다. 그래서 한 검사 안에서도 모양에 따라 정밀도가 섞입니다.
    """
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def bf16_products() -> Iterator[None]:
    """블록 안에서는 크기와 상관없이 모든 행렬곱의 두 인수를 bf16으로 깎아 곱하고, fp32로 더합니다.

    `fast_products`가 건드리지 않는 작은 행렬까지 봅니다. 큰 행렬에서는 둘의 차이가 fp32의 반올림뿐입니다. 역전파에도
    듣고, 어텐션은 두 행렬곱으로 풀어 셈합니다.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils._python_dispatch import TorchDispatchMode

    aten = torch.ops.aten
    factors = {aten.mm: (0, 1), aten.bmm: (0, 1), aten.mv: (0, 1), aten.dot: (0, 1)}
    factors |= {aten.addmm: (1, 2), aten.baddbmm: (1, 2), aten.addbmm: (1, 2), aten.addmv: (1, 2)}

    def rounded(one: Any) -> Any:
        return one.bfloat16().float() if one.dtype == torch.float32 else one

    class Bf16Products(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if places := factors.get(func.overloadpacket):
                args = [rounded(one) if place in places else one for place, one in enumerate(args)]
            else:  # inference_mode에서는 linear나 matmul이 풀리지 않은 채로 옵니다.
                with self:
                    parts = func.decompose(*args, **(kwargs or {}))
                if parts is not NotImplemented:
                    return parts
            return func(*args, **(kwargs or {}))

    with sdpa_kernel(SDPBackend.MATH), Bf16Products():
        yield


PRECISIONS: dict[str, Callable[[], AbstractContextManager]] = {
    "fp32": nullcontext,
    "fast": fast_products,
    "bf16": bf16_products,
}
