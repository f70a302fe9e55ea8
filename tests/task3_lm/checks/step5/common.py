"""5단계의 검사들이 함께 쓰는 것."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course.checks.recognising import Wrong, recognise
from course.checks.words import assert_equal, close, fail, matches

ATOL = 1e-4  # 고르는 셈은 나눗셈과 덧셈뿐이라 fp32의 차이는 1e-6쯤이고, 가장 가까운 실수는 1e-2보다 멉니다.
INF = float("inf")


def table_of(got: Any, like: Tensor, name: str, idea: str) -> Tensor:
    """(글, 어휘) 텐서인지 봅니다."""
    if not isinstance(got, Tensor):
        fail(f"{name}이(가) 텐서가 아닙니다.", idea=idea, expected="텐서", got=type(got).__name__)
    want = tuple(like.shape)
    assert_equal(tuple(got.shape), want, idea=idea, message=f"{name}의 모양이 (글, 어휘)가 아닙니다.")
    return got


def among(got: Tensor, wrong: Wrong, *, idea: str, want: Tensor) -> None:
    """틀린 값들 가운데 같은 것이 있으면 그 실수라고, 처음 다른 글을 보이며 말합니다. 옳은 값이 아닐 때만 부릅니다."""
    row = int(((got - want).abs() > ATOL).reshape(len(want), -1).any(dim=1).int().argmax())
    recognise(got, wrong, atol=ATOL, idea=idea, expected=brief(want[row]), shown=brief(got[row]), row=row + 1)


def brief(row: Tensor) -> str:
    """글 하나의 점수를 짧게."""
    return "[" + ", ".join(f"{one:.2f}" for one in row.tolist()) + "]"


# ── 5-2 top-k


def kept_of(logits: Tensor, wanted: list[list[int]]) -> Tensor:
    """글마다 남길 토큰의 번호들 → 나머지를 -inf로 지운 점수."""
    made = torch.full_like(logits, -INF)
    for row, columns in enumerate(wanted):
        made[row, columns] = logits[row, columns]
    return made


def same_kept(got: Tensor, want: Tensor) -> bool:
    """지운 자리가 같고, 남은 점수도 같은가."""
    gone = want == -INF
    return torch.equal(got == -INF, gone) and close(got[~gone], want[~gone], ATOL)


def survivors(row: Tensor) -> str:
    """남은 토큰의 번호들을 보일 글."""
    left = (row != -INF).nonzero().flatten().tolist()
    return f"토큰 {', '.join(map(str, left))}" if left else "-inf만"


def judge_kept(got: Tensor, want: Tensor, logits: Tensor, wrong: Wrong, idea: str) -> None:
    """남긴 토큰이 다르면 어느 실수인지 말합니다."""
    if same_kept(got, want):
        return
    row = next(row for row in range(len(want)) if not same_kept(got[row : row + 1], want[row : row + 1]))
    more = {"expected": f"{row + 1}번째 글에서 {survivors(want[row])}", "got": survivors(got[row])}
    for symptom, value in wrong:
        if same_kept(got, value):
            fail(idea=idea, symptom=symptom, **more)
    gone = want == -INF
    filled = got[gone][0].item() if gone.any() else -INF
    if matches(got[~gone], want[~gone], ATOL) and filled != -INF and (got[gone] == filled).all():
        more = {"expected": "-inf", "got": f"{filled:.4g}", "symptom": "very-low" if filled < -1e3 else "not-minus-inf"}
        fail("지운 자리의 값이 -inf가 아닙니다.", idea=idea, **more)
    if got.isnan().any():
        fail("점수가 NaN이 되었습니다.", idea=idea, expected=brief(want[row]), got=brief(got[row]), symptom="nan")
    if torch.equal(got == -INF, gone):
        more = {"expected": brief(want[row]), "got": brief(got[row]), "symptom": "values-changed"}
        fail("남은 토큰의 점수가 바뀌었습니다.", idea=idea, **more)
    fail("남긴 토큰이 다릅니다.", idea=idea, **more)


def cut(keep: Callable[[], Any], logits: Tensor, idea: str, k: int = 0) -> Tensor:
    """거른 점수. 축을 잃어 멈췄으면 그렇다고 말합니다."""
    try:
        got = keep()
    except RuntimeError as error:
        sizes = (
            [int(one) for one in re.findall(r"\((\d+)\)", str(error))] if "must match the size" in str(error) else []
        )
        if k > 1 and k in sizes:
            more = {"expected": "(글, 1)", "got": f"(글, {k})", "symptom": "all-values"}
            fail("문턱 하나가 아니라 k개와 견주었습니다.", idea="브로드캐스트", **more)
        if len(logits) in sizes or "not broadcastable" in str(error):
            more = {"expected": "(글, 1)", "got": "(글,)", "symptom": "lost-axis"}
            fail("글마다의 문턱을 어휘와 견줄 수 없는 모양입니다.", idea="브로드캐스트", **more)
        raise
    if isinstance(got, Tensor) and got.dtype in (torch.bool, torch.int64):
        kind = str(got.dtype).removeprefix("torch.")
        fail("점수가 아닌 것을 담았습니다.", idea=idea, expected="점수(실수)", got=kind, symptom="not-scores")
    return got


def over(logits: Tensor, threshold: Tensor) -> Tensor:
    return torch.where(logits >= threshold, logits, torch.full_like(logits, -INF))


# ── 5-4 온도와 뽑기


def reference_top_k(logits: Tensor, k: int) -> Tensor:
    return over(logits, logits.sort(dim=-1, descending=True).values[:, [k - 1]]) if 0 < k < logits.size(-1) else logits


def reference_top_p(logits: Tensor, p: float) -> Tensor:
    if p >= 1:
        return logits
    shares = logits.softmax(dim=-1)
    above = (shares[:, None] * (shares[:, None] > shares[:, :, None])).sum(dim=-1)  # 자기보다 높은 것들의 합
    return logits.masked_fill((above >= p) & (shares < shares.max(dim=-1, keepdim=True).values), -INF)


def reference_penalty(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)
