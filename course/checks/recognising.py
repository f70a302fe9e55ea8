"""실수를 알아보는 낱말들. 틀렸다는 것은 이미 알 때, 무엇을 잘못했는지 증거를 대어 이름을 부릅니다.

    if not close(got, want, ATOL):
        recognise(got, wrong_losses(logits, labels), atol=ATOL, idea="교차 엔트로피", expected=want)
    assert_close(got, want, atol=ATOL, idea="교차 엔트로피", message="손실이 교차 엔트로피의 평균과 다릅니다.")

    with explained(when("must match the size", "lost-axis", idea="브로드캐스트", expected="(글, 1)")):
        got = step.keep_top_k(logits, k)

이름을 부를 때는 실수의 증상(symptom)만 적습니다. 학생이 읽을 말은 그 TODO의 표(`N-M.yaml`)에 한 번 있습니다. 어느 것도
맞지 않으면 아무 말도 하지 않고 돌아옵니다. 증거 없이 붙인 이름은, 이름이 없는 것보다 학생을 멀리 데려갑니다.
"""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from course.checks.words import CheckFailed, close, fail, matches, show, size
from todo import TodoNotDone

Wrong = Iterable[tuple[str, Any]]  # (증상, 그 실수를 했을 때 나올 값)들. 한 증상이 여러 번 나와도 됩니다.
Explanation = Callable[[Exception], None]  # 알아본 예외라면 `fail`하고, 아니면 그냥 돌아옵니다.


def recognise(
    got: Any,
    wrong: Wrong,
    *,
    idea: str,
    expected: Any,
    atol: float | None = None,
    shown: Any = None,
    **values: Any,
) -> None:
    """틀린 값들 가운데 `got`과 같은 것이 있으면, 그 실수라고 말합니다. 옳은 값이 아닐 때만 부릅니다.

    두 실수의 값이 같을 수 있으면 더 좁은 것을 앞에 둡니다.

    Args:
        wrong: (증상, 그 실수를 했을 때의 값)들, 물어볼 차례대로.
        atol: `matches`의 것. 가장 가까운 두 실수 사이보다 작게 고릅니다. 수나 텐서가 아니면 적지 않습니다: `==`로
            견줍니다.
        expected: 기대한 것. 글이 아니면 `show`가 짧게 적습니다.
        shown: 나온 값 대신 보일 것. 적지 않으면 `got`입니다.
        values: 표의 설명에 끼워 넣을 값들.
    """
    for symptom, value in wrong:
        if got == value if atol is None else matches(got, value, atol):
            came = got if shown is None else shown
            fail(idea=idea, expected=_text(expected), got=_text(came), symptom=symptom, **values)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else show(value)


def when(
    pattern: str, symptom: str, *, idea: str, expected: str, got: str | None = None, at: str | None = None
) -> Explanation:
    """예외의 글이 이런 모양이면 이 실수입니다. `explained`에 건넵니다.

    Args:
        pattern: `"예외의 이름: 글"`에서 찾을 정규식. `(?P<got>…)`이라는 무리가 있으면 그것이 나온 것입니다.
        got: 나온 것을 보일 글. 적지 않으면 예외의 이름과 글의 첫 줄.
        at: 이 이름의 파일에서 멈췄을 때만. 예: `"_reduction.py"`.
    """

    def explain(error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        found = re.search(pattern, text)
        if found is None or (at is not None and _stopped_at(error) != at):
            return
        came = found.groupdict().get("got") or got or _first_line(error)
        fail(idea=idea, expected=expected, got=came, symptom=symptom)

    return explain


def _stopped_at(error: Exception) -> str:
    """예외가 난 파일의 이름."""
    return Path(traceback.extract_tb(error.__traceback__)[-1].filename).name


def _first_line(error: Exception, limit: int = 70) -> str:
    line = (str(error).splitlines() or [""])[0]
    shown = line if len(line) <= limit else line[:limit] + "…"
    return f"{type(error).__name__}: {shown}".removesuffix(": ")


@contextmanager
def explained(*known: Explanation) -> Iterator[None]:
    """블록이 예외로 멈췄으면 차례로 물어, 알아본 것의 말로 바꿉니다. 아무도 모르는 예외는 그대로 나갑니다.

    빈 TODO(`TodoNotDone`)와 검사가 이미 한 말(`CheckFailed`)은 묻지 않습니다.

    Args:
        known: `when(…)`이나, 예외를 받아 알아보면 `fail`하는 함수.
    """
    try:
        yield
    except (TodoNotDone, CheckFailed):
        raise
    except Exception as error:
        for explain in known:
            try:
                explain(error)
            except CheckFailed as failure:
                raise failure.with_traceback(error.__traceback__) from None  # 가리킬 곳은 학생의 줄입니다.
        raise


def sound(asked: Callable[[], bool]) -> bool:
    """이 TODO의 첫 검사가 볼 것이 맞는가. 틀렸다면 그 검사가 말하므로, 다음 검사들은 말을 보태지 않습니다."""
    with suppress(Exception):
        return asked()
    return False


def require_value(value: Any, name: str) -> Any:
    """담은 것. 아직 값이 아니면(빈 자리, 부르지 않은 함수, 쉼표가 만든 튜플) 그렇다고 말합니다.

    이 실수들의 말은 어느 TODO에나 있습니다(`course.book.tables.COMMON`). 표에 적지 않아도 됩니다.

    Args:
        name: 학생이 담은 이름. 예: `"self.data"`.
    """
    if value is None or value is ...:
        got = "None" if value is None else "..."
        fail(idea="빈 자리", expected="값", got=got, symptom="empty", name=name)
    if isinstance(value, tuple) and len(value) == 1:
        kind = type(value[0]).__name__
        fail(idea="튜플", expected=kind, got="값 하나의 튜플", symptom="comma", name=name)
    if inspect.isroutine(value):
        fail(idea="부르기", expected="함수가 돌려준 것", got=value.__name__, symptom="not-called", name=name)
    return value


def require_tensor(got: Any, name: str, *, idea: str = "텐서", symptom: str | None = None) -> None:
    """텐서가 아니면, 무엇이 왔는지 말합니다.

    Args:
        name: 학생이 아는 이름. 예: `"logits"`.
    """
    torch = sys.modules["torch"]  # 텐서를 보는 검사가 이미 불러왔습니다.
    if not isinstance(got, torch.Tensor):
        kind = "None" if got is None else type(got).__name__
        fail(f"{name}이(가) 텐서가 아닙니다.", idea=idea, expected="텐서", got=kind, symptom=symptom)


def require_dtype(got: Any, want: Any, name: str, *, symptom: str | None = None) -> None:
    """자료형이 다르면, 무엇인지 말합니다.

    Args:
        want: `torch.int64`처럼.
        name: 학생이 아는 이름. 표의 설명에도 끼워집니다.
    """
    if got.dtype != want:
        kinds = [str(one).removeprefix("torch.") for one in (want, got.dtype)]
        about = {"idea": "자료형", "expected": kinds[0], "got": kinds[1], "name": name}
        fail(f"{name}의 자료형이 다릅니다.", symptom=symptom, **about)


def require_gradients(
    parts: Mapping[str, Any], want: Mapping[str, Any] | None = None, *, atol: float = 0.05, idea: str = "기울기"
) -> None:
    """역전파한 다음, 이름마다의 텐서에 0이 아닌 기울기가 있는지 봅니다. NaN뿐인 것도 없는 것입니다.

    값은 옳다는 것을 이미 알 때 부릅니다. 길 하나만 남기고 끊은 것은 `want`를 주어야 드러납니다.

    Args:
        want: 이름 → 따로 구한 기울기(`gradients_of`).
        atol: 가장 큰 기울기를 1로 보았을 때의 허용 오차.
    """
    cut = [name for name, one in parts.items() if one.grad is None or not one.grad.abs().sum() > 0]
    if cut:
        names = ", ".join(cut[:3])
        fail(idea=idea, expected="0이 아닌 기울기", got=f"{names}에 없음", symptom="cut-graph", name=cut[0])
    for name, right in (want or {}).items():
        scale = size(right)
        if not close(parts[name].grad / scale, right / scale, atol):
            expected, got = (f"크기가 {one.norm():.4g}인 기울기" for one in (right, parts[name].grad))
            fail(idea=idea, expected=expected, got=got, symptom="part-of-graph", name=name)


def gradients_of(value: Any, parts: Mapping[str, Any]) -> dict[str, Any]:
    """따로 셈한 옳은 값 `value`의 제곱의 합(수 하나이면 그대로)에서 구한, 이름마다의 기울기."""
    torch = sys.modules["torch"]
    total = value if value.dim() == 0 else value.square().sum()
    return dict(zip(parts, torch.autograd.grad(total, list(parts.values())), strict=True))


def require_shape(
    got: Any, want: tuple[int, ...], *, idea: str, what: str, wrong: Mapping[tuple[int, ...], str] | None = None
) -> None:
    """모양이 다르면, 알아보는 모양인지 보고 그렇다고 말합니다.

    Args:
        what: 무엇의 모양인지. 예: `"logits"`.
        wrong: 그 실수를 했을 때의 모양 → 증상.
    """
    shape = tuple(got.shape)
    if shape != want:
        symptom = (wrong or {}).get(shape)
        fail(f"{what}의 모양이 다릅니다.", idea=idea, expected=want, got=shape, symptom=symptom)
