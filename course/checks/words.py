"""검사를 쓰는 사람이 쓰는 낱말들. 검사는 pytest 함수이고, 무엇이 왜 틀렸는지를 `CheckFailed`로 말합니다.

    @todo("3-4")
    def test_probabilities_sum_to_one(model):
        got = model.infer_one("재미있어요")
        if not close(got.negative + got.positive, 1.0):
            fail("두 확률의 합이 1이 아닙니다.", idea="softmax", expected="1.000", got=f"{...:.3f}")

알아본 실수라면 문장 대신 표(`3-4.yaml`)의 실수를 가리키는 이름 `symptom`을 적습니다. 학생은 표의 말을 읽습니다.
실수를 알아보는 낱말은 `course.checks.recognising`에 있습니다.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest

from console_text import readable
from todo import TodoNotDone


def todo(todo_id: str) -> Any:
    """이 검사가 어느 TODO의 것인지 적습니다."""
    return pytest.mark.todo(todo_id)


class CheckFailed(AssertionError):
    """검사가 틀린 답을 찾았습니다.

    Attributes:
        message: 무엇이 틀렸는지 한 문장. 표의 실수라면 비워 둡니다: 그 말은 표에 한 번 있습니다.
        idea: 관련된 개념. 예: `"softmax"`.
        expected, got: 기대한 것과 나온 것(값, 모양). 없으면 빈 글.
        symptom: 표의 실수 이름. 모르면 None.
        values: 실수의 설명(`says`)에 끼워 넣을 값들.
    """

    def __init__(
        self,
        message: str = "",
        *,
        idea: str,
        expected: Any = "",
        got: Any = "",
        symptom: str | None = None,
        **values: Any,
    ) -> None:
        if not message and symptom is None:
            raise TypeError("무엇이 틀렸는지 message로 적거나, 표의 실수를 symptom으로 가리켜 주세요.")
        self.message, self.idea, self.symptom = message, idea, symptom
        self.expected, self.got = readable(str(expected)), readable(str(got))
        self.values = {"expected": self.expected, "got": self.got, **values}
        if self.expected == self.got:  # 둘 다 "모양 (2, 3)"이라면 학생에게 알려 주는 것이 없습니다.
            self.expected = self.got = ""
        super().__init__(f"{message or symptom} (기대: {self.expected}, 나온 값: {self.got}, 개념: {idea})")


def fail(message: str = "", *, idea: str, **more: Any) -> NoReturn:
    """검사를 실패로 끝냅니다. 인수는 `CheckFailed`와 같습니다.

    표에 있는 실수는 `fail(idea="softmax", symptom="sigmoid", …)`처럼 증상만 부릅니다. 학생이 읽을 말은 표에 있습니다.
    표에 없는 것은 `fail("확률이 로짓의 softmax와 다릅니다.", idea="softmax", …)`처럼 문장으로 말합니다.
    """
    raise CheckFailed(message, idea=idea, **more)


def deviation(got: Any, want: Any) -> float:
    """가장 많이 다른 원소의 차이. 텐서, 수, 수의 목록을 받습니다. 모양이 다르면 무한대, NaN이 있으면 NaN입니다."""
    got, want = _plain(got), _plain(want)
    return size(got - want) if got.shape == want.shape else math.inf


def size(value: Any) -> float:
    """원소의 크기(절댓값) 가운데 가장 큰 것. 비었으면 0입니다."""
    value = _plain(value).abs()
    return float(value.max()) if value.numel() else 0.0


def _plain(value: Any) -> Any:
    import torch

    return torch.as_tensor(value).detach().double().cpu()


def _within(got: Any, want: Any, atol: float, judging: bool) -> bool:
    return deviation(got, want) <= atol


_compare = _within


def close(got: Any, want: Any, atol: float) -> bool:
    """옳은 값 `want`와 모양이 같고 모든 원소의 차이가 `atol` 이하인가. NaN은 언제나 다릅니다.

    맞고 틀림을 정하는 비교입니다. `python -m course tolerances`가 이 `atol`이 제자리에 있는지 잽니다.
    """
    return _compare(got, want, atol, judging=True)


def matches(got: Any, wrong: Any, atol: float) -> bool:
    """틀린 값 `wrong`과 같은가. 셈은 `close`와 같지만, 실수를 알아보는 비교입니다.

    `if matches(got, logits.sigmoid(), ATOL): fail(symptom="sigmoid", …)`
    """
    return _compare(got, wrong, atol, judging=False)


@contextmanager
def compared_by(compare: Callable[..., bool]) -> Iterator[None]:
    """블록 안에서는 `close`와 `matches`가 `compare(got, want, atol, judging=…)`에게 묻습니다(`measuring`)."""
    global _compare
    before, _compare = _compare, compare
    try:
        yield
    finally:
        _compare = before


def assert_close(got: Any, want: Any, *, atol: float, idea: str, message: str = "", **more: Any) -> None:
    """값이 `want`와 `atol` 안에서 같은지 봅니다. 아니면 `fail`처럼 말합니다."""
    if not close(got, want, atol):
        expected, came = show(want), show(got)
        if expected == came:  # 큰 텐서는 모양만 보이므로, 모양이 같으면 값이 얼마나 다른지 적습니다.
            expected, came = "옳은 값과의 차이 0", f"가장 큰 차이 {deviation(got, want):.3g}"
        fail(message, idea=idea, expected=expected, got=came, **more)


def assert_equal(got: Any, want: Any, *, idea: str, message: str = "", **more: Any) -> None:
    """두 값이 같은지 봅니다. 아니면 `fail`처럼 말합니다."""
    if got != want:
        expected, came = show(want), show(got)
        if expected == came:  # 짧게 적어 같아 보이면 그대로 적습니다.
            expected, came = repr(want), repr(got)
        fail(message, idea=idea, expected=expected, got=came, **more)


def show(value: Any) -> str:
    """화면에 보일 짧은 글. 큰 텐서는 모양을, 작은 것은 값을 적습니다."""
    torch = sys.modules.get("torch")  # 아무도 불러오지 않았다면 텐서일 리 없습니다.
    if torch and isinstance(value, torch.Tensor):
        if value.numel() > 6:
            return f"모양 {tuple(value.shape)}, {value.dtype}"
        value = value.detach().cpu().tolist()
    if isinstance(value, float):
        tiny = 0 < abs(value) < 1e-3  # 0.00003을 0.0000이라 하지 않습니다.
        return f"{value:.3g}" if tiny else f"{value:.4f}"
    if isinstance(value, (list, tuple)) and value and all(isinstance(one, float) for one in value):
        return "[" + ", ".join(f"{one:.4f}" for one in value[:6]) + (", …]" if len(value) > 6 else "]")
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "…"


def known_as(name: str) -> Callable[[Any], Any]:
    """검사가 대신 세운 클래스나 함수가, 학생이 읽을 오류에서는 진짜의 이름으로 나오게 합니다.

    @known_as("Prediction")
    class FakePrediction: ...
    """

    def rename(kind: Any) -> Any:
        for one in vars(kind).values() if isinstance(kind, type) else ():
            if callable(one) and hasattr(one, "__qualname__") and not isinstance(one, type):
                one.__qualname__ = f"{name}.{one.__name__}"
        kind.__name__ = kind.__qualname__ = name
        return kind

    return rename


@contextmanager
def other_todos_may_be_missing(todo_id: str) -> Iterator[None]:
    """블록 안에서 *다른* TODO가 비어 있어 멈추는 것은 괜찮습니다. 거기까지 된 것을 검사합니다.

    한 함수에 TODO가 여럿이면 뒤의 것이 비어 있어도 앞의 것은 검사할 수 있어야 합니다.
    """
    try:
        yield
    except TodoNotDone as error:
        if _order(error.todo_id) <= _order(todo_id):
            raise


def _order(todo_id: str) -> tuple[int, ...]:
    return tuple(int(part) for part in todo_id.split("-"))
