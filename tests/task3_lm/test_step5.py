"""5단계의 검사: 다음 토큰 고르기, KV 캐시, 이어 쓰기, server-sent events."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from course.checks.words import CheckFailed, assert_close, assert_equal, close, fail, known_as, matches, show, todo
from nlpbook.language.sampling import Sampling

ATOL = 1e-4  # 고르는 셈은 나눗셈과 덧셈뿐이라 fp32의 차이는 1e-6쯤이고, 가장 가까운 실수는 1e-2보다 멉니다.
INF = float("inf")


@pytest.fixture
def step(load):
    return load(5)


def table_of(got: Any, like: Tensor, name: str, idea: str) -> Tensor:
    """(글, 어휘) 텐서인지 봅니다."""
    if not isinstance(got, Tensor):
        fail(f"{name}이(가) 텐서가 아닙니다.", idea=idea, expected="텐서", got=type(got).__name__)
    want = tuple(like.shape)
    assert_equal(tuple(got.shape), want, idea=idea, message=f"{name}의 모양이 (글, 어휘)가 아닙니다.")
    return got


def among(got: Tensor, wrong: list[tuple[str, str, Tensor]], *, idea: str, want: Tensor) -> None:
    """틀린 값들의 표(증상, 문장, 값)에서 같은 것을 찾으면 그 실수라고 말합니다. 옳은 값이 아닐 때만 부릅니다."""
    row = int(((got - want).abs() > ATOL).reshape(len(want), -1).any(dim=1).int().argmax())  # 처음으로 다른 글
    more = {"expected": brief(want[row]), "got": brief(got[row]), "row": row + 1}
    for symptom, message, value in wrong:
        if matches(got, value, ATOL):
            fail(message, idea=idea, symptom=symptom, **more)


def brief(row: Tensor) -> str:
    """글 하나의 점수를 짧게."""
    return "[" + ", ".join(f"{one:.2f}" for one in row.tolist()) + "]"


# ── 5-1 되풀이 벌점


@pytest.fixture
def scored(device):
    """세 글의 점수와 글마다 나온 토큰. 나온 것에도 나오지 않은 것에도 양수와 음수가 있습니다."""
    logits = torch.tensor(
        [[2.4, -1.2, 0.6, -0.3, 1.8], [-2.1, 0.9, 3.0, -0.6, -1.5], [1.2, -0.9, -2.4, 2.7, 0.3]], device=device
    )
    seen = torch.tensor([[1, 1, 0, 0, 0], [0, 1, 0, 1, 0], [0, 1, 0, 1, 0]], dtype=torch.bool, device=device)
    return logits, seen


def penalized_of(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """되풀이 벌점의 기준. 원소마다 하나씩 셈합니다."""
    rows = zip(logits.tolist(), seen.tolist(), strict=True)
    made = [
        [(x / penalty if x > 0 else x * penalty) if was else x for x, was in zip(*row, strict=True)] for row in rows
    ]
    return torch.tensor(made, device=logits.device)


def lowered_by(step: Any, logits: Tensor, seen: Tensor, penalty: float) -> Any:
    """학생의 벌점을 받은 점수. seen을 번호로 써서 멈췄으면 그렇다고 말합니다."""
    try:
        return step.penalize_repetition(logits.clone(), seen.clone(), penalty)
    except RuntimeError as error:
        if "int64 for index" not in str(error):
            raise
        more = {"expected": "참과 거짓", "got": "번호", "symptom": "seen-as-ids"}
        fail("seen을 토큰의 번호로 썼습니다.", idea="마스크", **more)


@todo("5-1")
@pytest.mark.parametrize("penalty", [1.5, 0.8])
def test_seen_tokens_become_less_likely(step, scored, penalty):
    """나온 토큰의 점수는 양수면 나누고 음수면 곱합니다. 나오지 않은 것은 그대로입니다."""
    logits, seen = scored
    got = table_of(lowered_by(step, logits, seen, penalty), logits, "penalized", "되풀이 벌점")
    want = penalized_of(logits, seen, penalty)
    if close(got, want, ATOL):
        return
    if torch.equal(got < -1e3, seen):
        message = "나온 토큰을 아예 지웠습니다."
        fail(message, idea="되풀이 벌점", expected=brief(want[0]), got=brief(got[0]), symptom="banned", row=1)
    divided, multiplied = logits / penalty, logits * penalty
    lowered = torch.where(logits > 0, divided, multiplied)
    swapped = torch.where(logits > 0, multiplied, divided)
    minus, others = "음수인 점수까지 나누었습니다.", "다른 글에 나온 토큰까지 깎았습니다."
    formula, size = "양수와 음수를 한 식으로 깎았습니다.", logits.abs()
    shares, first = logits.softmax(dim=-1), seen & (torch.arange(len(seen), device=seen.device) == 0)[:, None]
    front = torch.arange(logits.size(1), device=logits.device) < 2  # 참은 1번 토큰, 거짓은 0번 토큰이 됩니다.
    wrong = [
        ("unchanged", "점수가 그대로입니다.", logits),
        ("divided-negatives", minus, torch.where(seen, divided, logits)),
        ("swapped", "나눌 것과 곱할 것이 뒤바뀌었습니다.", torch.where(seen, swapped, logits)),
        ("multiplied-all", "양수인 점수까지 곱했습니다.", torch.where(seen, multiplied, logits)),
        ("seen-reversed", "나오지 않은 토큰을 깎았습니다.", torch.where(seen, logits, lowered)),
        ("everyone", "나오지 않은 토큰까지 깎았습니다.", lowered),
        ("everyone", "나오지 않은 토큰까지 깎았습니다.", divided),
        ("everyone", "나오지 않은 토큰까지 깎았습니다.", swapped),
        ("everyone", "나오지 않은 토큰까지 깎았습니다.", multiplied),
        ("subtracted", "나누거나 곱하지 않고 뺐습니다.", logits - penalty * seen),
        ("subtracted", "나누거나 곱하지 않고 뺐습니다.", logits - (penalty - 1) * seen),
        ("others-zero", "나오지 않은 토큰의 점수가 0이 되었습니다.", lowered * seen),
        ("one-sign", "한쪽 부호의 점수만 깎았습니다.", torch.where(seen & (logits > 0), divided, logits)),
        ("one-sign", "한쪽 부호의 점수만 깎았습니다.", torch.where(seen & (logits < 0), multiplied, logits)),
        ("one-sign", "한쪽 부호의 점수만 깎았습니다.", torch.where(seen & (logits < 0), divided, logits)),
        ("one-text", others, torch.where(seen.any(dim=0), lowered, logits)),
        ("one-text", others, torch.where(seen[0], lowered, logits)),
        ("one-text", others, torch.where(seen[-1], lowered, logits)),
        ("one-formula", formula, torch.where(seen, logits - size * (penalty - 1), logits)),
        ("one-formula", formula, torch.where(seen, logits - size * (1 - 1 / penalty), logits)),
        ("from-shares", "점수가 아니라 확률을 깎았습니다.", torch.where(seen, shares / penalty, shares)),
        ("first-only", "첫 글의 점수만 깎았습니다.", torch.where(first, lowered, logits)),
        ("zeroed", "나온 토큰의 점수를 0으로 바꾸었습니다.", logits * ~seen),
        ("seen-as-ids", "seen을 토큰의 번호로 썼습니다.", torch.where(front, lowered, logits)),
    ]
    among(got, wrong, idea="되풀이 벌점", want=want)
    row = int((got - want).abs().max(dim=1).values.argmax())
    message = f"{row + 1}번째 글의 점수가 다릅니다."
    fail(message, idea="되풀이 벌점", expected=brief(want[row]), got=brief(got[row]))


@todo("5-1")
def test_penalty_does_not_touch_the_given_logits(step, scored):
    """부른 쪽의 로짓은 그대로 남습니다. 5-6이 고르기 전의 확률을 내보낼 때 다시 씁니다."""
    logits, seen = scored
    given, marks = logits.clone(), seen.clone()
    got = step.penalize_repetition(given, marks, 1.5)
    if not torch.equal(given, logits):
        right = isinstance(got, Tensor) and matches(got, penalized_of(logits, seen, 1.5), ATOL)
        more = {"expected": brief(logits[0]), "got": brief(given[0]), "symptom": "in-place" if right else None}
        fail("건네받은 logits를 바꾸었습니다.", idea="제자리 계산", **more)
    assert_equal(torch.equal(marks, seen), True, idea="제자리 계산", message="건네받은 seen을 바꾸었습니다.")


# ── 5-2 top-k


def kept_of(logits: Tensor, wanted: list[list[int]]) -> Tensor:
    """글마다 남길 토큰의 번호들 → 나머지를 -inf로 지운 점수."""
    made = torch.full_like(logits, -INF)
    for row, columns in enumerate(wanted):
        made[row, columns] = logits[row, columns]
    return made


def ranked(row: Tensor) -> list[int]:
    """높은 것부터의 토큰 번호."""
    values = row.tolist()
    return sorted(range(len(values)), key=lambda one: -values[one])


def same_kept(got: Tensor, want: Tensor) -> bool:
    """지운 자리가 같고, 남은 점수도 같은가."""
    gone = want == -INF
    return torch.equal(got == -INF, gone) and close(got[~gone], want[~gone], ATOL)


def survivors(row: Tensor) -> str:
    """남은 토큰의 번호들을 보일 글."""
    left = (row != -INF).nonzero().flatten().tolist()
    return f"토큰 {', '.join(map(str, left))}" if left else "하나도 없음"


def judge_kept(got: Tensor, want: Tensor, logits: Tensor, wrong: list[tuple[str, str, Tensor]], idea: str) -> None:
    """남긴 토큰이 다르면 어느 실수인지 말합니다."""
    if same_kept(got, want):
        return
    row = next(row for row in range(len(want)) if not same_kept(got[row : row + 1], want[row : row + 1]))
    more = {"expected": f"{row + 1}번째 글에서 {survivors(want[row])}", "got": survivors(got[row])}
    for symptom, message, value in wrong:
        if same_kept(got, value):
            fail(message, idea=idea, symptom=symptom, **more)
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


@pytest.fixture
def ladder(device):
    """다섯 글, 일곱 토큰. 글마다 점수의 높이와 순서가 달라, 다른 글의 문턱이나 다른 축의 순위로는 맞지 않습니다."""
    rows = [[0.9, 3.1, -0.4, 2.2, 1.6, -1.8, 0.2], [-3.5, -2.1, -5.0, -4.2, -1.3, -2.9, -6.1]]
    rows += [[5.2, 5.5, 4.7, 7.1, 6.3, 9.4, 3.7], [0.3, -0.7, 0.6, 6.8, 1.3, 0.8, 1.9]]
    rows.append([-1.0, 0.1, -2.0, 0.5, -0.2, 2.4, 1.1])
    return torch.tensor(rows, device=device)


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


@todo("5-2")
@pytest.mark.parametrize("k", [3, 1, 6])
def test_k_highest_tokens_remain(step, ladder, k):
    """글마다 점수가 높은 k개만 그대로 남고 나머지는 -inf입니다."""
    logits, idea = ladder, "top-k"
    got = cut(lambda: step.keep_top_k(logits.clone(), k), logits, idea, k)
    if isinstance(got, Tensor) and got.shape == (len(logits), k) and k != 1:
        more = {"expected": f"모양 {tuple(logits.shape)}", "got": f"모양 {tuple(got.shape)}", "symptom": "only-values"}
        fail("높은 점수 k개만 따로 담았습니다.", idea=idea, **more)
    got = table_of(got, logits, "kept", idea)
    order = [ranked(row) for row in logits]
    if k == 3:  # 실수를 알아보는 것은 값이 서로 멀리 떨어진 k 하나로 충분합니다.
        flat = logits.flatten().sort(descending=True).values
        columns = logits.sort(dim=0, descending=True).values
        ids = torch.tensor(order, device=logits.device)
        anyone = sorted({token for one in order for token in one[:k]})
        same, numbers = "모든 글에 같은 문턱을 썼습니다.", "점수를 토큰의 번호와 견주었습니다."
        wrong = [
            ("unchanged", "아무것도 지우지 않았습니다.", logits),
            ("kth-removed", "k번째 토큰까지 지웠습니다.", kept_of(logits, [one[: k - 1] for one in order])),
            ("one-more", "하나를 더 남겼습니다.", kept_of(logits, [one[: k + 1] for one in order])),
            ("highest-threshold", "가장 높은 것만 남았습니다.", kept_of(logits, [one[:1] for one in order])),
            ("lowest", "점수가 낮은 k개를 남겼습니다.", kept_of(logits, [one[-k:] for one in order])),
            ("reversed", "남길 것을 지우고 지울 것을 남겼습니다.", kept_of(logits, [one[k:] for one in order])),
            ("reversed", "남길 것을 지우고 지울 것을 남겼습니다.", kept_of(logits, [one[k - 1 :] for one in order])),
            *[("one-threshold", same, over(logits, row[one[k - 1]])) for row, one in zip(logits, order, strict=True)],
            ("union", "다른 글에서 높은 토큰까지 남겼습니다.", kept_of(logits, [anyone] * len(logits))),
            ("ids-as-scores", numbers, over(logits, ids[:, [k - 1]])),
            ("ids-as-scores", numbers, over(logits, ids[:, [0]])),
            ("ascending", "낮은 것부터 세어 문턱을 골랐습니다.", kept_of(logits, [one[: 1 - k] for one in order])),
            ("all-removed", "모두 지웠습니다.", torch.full_like(logits, -INF)),
            (
                "first-only",
                "첫 글만 걸렀습니다.",
                torch.cat([kept_of(logits, [one[:k] for one in order])[:1], logits[1:]]),
            ),
            ("all-texts", "글을 나누지 않고 k개를 골랐습니다.", over(logits, flat[k - 1])),
            ("dim0", "토큰이 아니라 글 사이에서 순위를 매겼습니다.", over(logits, columns[k - 1])),
            ("dim0", "토큰이 아니라 글 사이에서 순위를 매겼습니다.", over(logits, columns[:, [k - 1]])),
        ]
    else:
        wrong = []
    judge_kept(got, kept_of(logits, [one[:k] for one in order]), logits, wrong, idea)


@todo("5-2")
def test_one_text_keeps_its_k_highest(step, ladder):
    """글이 하나뿐이어도 k개만 남습니다."""
    for row in ladder:
        got = cut(lambda row=row: step.keep_top_k(row[None].clone(), 2), ladder[:1], "top-k")
        got = table_of(got, row[None], "kept", "top-k")
        more = {"expected": survivors(kept_of(row[None], [ranked(row)[:2]])[0]), "got": survivors(got[0])}
        if more["expected"] != more["got"]:
            fail("글이 하나일 때 남긴 토큰이 다릅니다.", idea="top-k", **more)


def over(logits: Tensor, threshold: Tensor) -> Tensor:
    return torch.where(logits >= threshold, logits, torch.full_like(logits, -INF))


# ── 5-3 top-p

SHARES = [
    [0.06, 0.02, 0.04, 0.29, 0.33, 0.01, 0.14, 0.11],
    [0.07, 0.08, 0.17, 0.16, 0.14, 0.13, 0.15, 0.1],
    [0.08, 0.06, 0.01, 0.18, 0.23, 0.13, 0.22, 0.09],
    [0.15, 0.105, 0.14, 0.12, 0.135, 0.11, 0.125, 0.115],
]
P = 0.65  # 이 확률들에서는 아래의 실수마다 남는 토큰이 모두 다릅니다. 어느 합도 P와 0.005 안에 있지 않습니다.


@pytest.fixture
def shared(device):
    """글마다 확률이 SHARES인 점수. 순서가 섞여 있고, 모든 점수에 더한 수가 글마다 다릅니다(확률은 그대로입니다)."""
    return torch.tensor(SHARES, device=device).log() + torch.tensor([[3.0], [1.5], [0.2], [-1.0]], device=device)


def nucleus(logits: Tensor, p: float) -> list[list[int]]:
    """글마다 남길 토큰들. 파이썬의 수로 높은 것부터 하나씩 담습니다."""
    wanted = []
    for row in logits.double().softmax(dim=-1).tolist():
        kept: list[int] = []
        for one in sorted(range(len(row)), key=lambda one: -row[one]):
            if kept and math.fsum(row[other] for other in kept) >= p:
                break
            kept.append(one)
        wanted.append(kept)
    return wanted


def removing(logits: Tensor, removed: Tensor, guard: bool = True) -> Tensor:
    """높은 것부터 늘어놓은 자리 가운데 `removed`를 지운 점수."""
    removed = removed.clone()
    if guard:
        removed[:, 0] = False
    gone = torch.zeros_like(removed).scatter(1, logits.argsort(dim=-1, descending=True), removed)
    return logits.masked_fill(gone, -INF)


def wrong_nuclei(logits: Tensor, p: float) -> list[tuple[str, str, Tensor]]:
    """top-p와 헷갈리는 것들. 가장 높은 것을 지킨 것과 지키지 않은 것을 함께 둡니다."""
    ordered = logits.sort(dim=-1, descending=True).values
    shares = ordered.softmax(dim=-1)
    total, unsorted = shares.cumsum(dim=-1), logits.softmax(dim=-1)
    across, down = ordered.softmax(dim=0), shares.cumsum(dim=0)
    axis = "글 사이에서 더하거나 나누었습니다."
    both = [
        ("crossing-removed", "p에 이르게 한 토큰까지 지웠습니다.", total >= p),
        ("reversed", "남길 것과 지울 것이 뒤바뀌었습니다.", total - shares < p),
        ("reversed", "남길 것과 지울 것이 뒤바뀌었습니다.", total < p),
        ("other-side", "1 - p와 견주었습니다.", total - shares >= 1 - p),
        ("other-side", "1 - p와 견주었습니다.", total >= 1 - p),
        ("each-share", "합이 아니라 확률 하나하나를 p와 견주었습니다.", shares < p),
        ("each-share", "합이 아니라 확률 하나하나를 p와 견주었습니다.", shares < 1 - p),
        ("no-softmax", "확률이 아니라 점수를 더했습니다.", ordered.cumsum(dim=-1) - ordered >= p),
        ("no-softmax", "확률이 아니라 점수를 더했습니다.", ordered.cumsum(dim=-1) >= p),
        ("unsorted", "늘어놓기 전의 확률을 더했습니다.", unsorted.cumsum(dim=-1) - unsorted >= p),
        ("dim0", axis, across.cumsum(dim=-1) - across >= p),
        ("dim0", axis, across.cumsum(dim=-1) >= p),
        ("dim0", axis, down - shares >= p),
        ("dim0", axis, down >= p),
        ("added", "합에 한 번 더 더했습니다.", total + shares >= p),
        ("subtracted-best", "가장 높은 것의 확률을 뺐습니다.", total - shares[:, :1] >= p),
        ("ascending", "낮은 것부터 늘어놓은 줄 알았습니다.", total <= 1 - p),
    ]
    made = [(symptom, message, removing(logits, one, guard)) for symptom, message, one in both for guard in (1, 0)]
    before = total - shares >= p
    late = functional.pad(total[:, :-2] >= p, (2, 0), value=False)
    early = [functional.pad(total[:, 1:] >= p, (0, 1), value=last) for last in (False, True)]
    first_text, last, wrong_end = (
        "첫 글 전체를 지켰습니다.",
        "가장 낮은 것을 지켰습니다.",
        "낮은 것부터 늘어놓은 줄 알았습니다.",
    )
    others = [("shifted-left", "반대쪽으로 밀었습니다.", one) for one in early]
    for one in (before, total >= p):
        others.append(("guarded-row", first_text, functional.pad(one[1:], (0, 0, 1, 0), value=False)))
        others.append(("guarded-last", last, functional.pad(one[:, :-1], (0, 1), value=False)))
    others.append(("ascending", wrong_end, functional.pad((total <= 1 - p)[:, :-1], (0, 1), value=False)))
    made += [(symptom, message, removing(logits, one, guard)) for symptom, message, one in others for guard in (1, 0)]
    twice = "removed를 어휘의 순서로 되돌려 놓았습니다."
    ours = torch.zeros_like(shares, dtype=torch.bool)
    ours = ours.scatter(1, logits.argsort(dim=-1, descending=True), total - shares >= p)
    return [
        *made,
        ("one-more", "하나를 더 남겼습니다.", removing(logits, late)),
        (
            "wrapped",
            "밀려난 값이 맨 앞으로 돌아왔습니다.",
            removing(logits, functional.pad(before[:, 1:], (1, 0), value=True), False),
        ),
        ("first-text", "모든 글에 첫 글의 자리를 썼습니다.", removing(logits, before[:1].expand_as(before))),
        ("first-only", "첫 글만 걸렀습니다.", torch.cat([removing(logits, before)[:1], logits[1:]])),
        ("vocabulary-order", twice, removing(logits, ours, guard=False)),
        ("vocabulary-order", twice, removing(logits, ours)),
        ("unchanged", "아무것도 지우지 않았습니다.", logits),
    ]


def nucleus_kept(step: Any, logits: Tensor, p: float) -> Tensor:
    """학생의 top-p로 거른 점수."""
    try:
        got = cut(lambda: step.keep_top_p(logits.clone(), p), logits, "top-p")
    except (RuntimeError, TypeError) as error:
        if "boolean" in str(error) or "bool" in str(error).lower():
            more = {"expected": "bool", "got": "수", "symptom": "not-bool"}
            fail("removed가 참과 거짓이 아닙니다.", idea="마스크", **more)
        raise
    return table_of(got, logits, "removed", "top-p")


@todo("5-3")
def test_smallest_set_reaching_p_remains(step, shared):
    """높은 것부터 더해 p에 처음 이르는 토큰까지 남습니다."""
    got, want = nucleus_kept(step, shared, P), kept_of(shared, nucleus(shared, P))
    if torch.equal(got, shared) and torch.equal(nucleus_kept(step, shared, 0.35), shared):
        gone = nucleus_kept(step, shared, 0) == -INF  # 모두 참이면 번져도 맞습니다.
        if torch.equal(gone, kept_of(shared, nucleus(shared, 0)) == -INF):
            more = {"expected": f"1번째 글에서 {survivors(want[0])}", "got": survivors(got[0])}
            fail("옮겨 적다가 덮어썼습니다.", idea="겹치는 자리", symptom="overwritten", **more)
    judge_kept(got, want, shared, wrong_nuclei(shared, P), "top-p")


@todo("5-3")
@pytest.mark.parametrize("p", [0.35, 0.5, 0.995])
def test_other_shares(step, shared, p):
    """p가 작으면 적게, 1에 가까우면 모두 남습니다."""
    got, want = nucleus_kept(step, shared, p), kept_of(shared, nucleus(shared, p))
    if same_kept(got, want):
        return
    if not same_kept(nucleus_kept(step, shared, P), kept_of(shared, nucleus(shared, P))):
        fail(f"p가 {p}일 때 남긴 토큰이 다릅니다.", idea="top-p")  # 무엇이 틀렸는지는 위의 검사가 말합니다.
    judge_kept(got, want, shared, [("top-removed", NOTHING, torch.full_like(shared, -INF))], "top-p")


NOTHING = "가장 높은 토큰까지 지웠습니다."


TIES = [([0.5, 0.25, 0.125, 0.125], 0.5), ([0.5, 0.25, 0.125, 0.125], 0.75), ([0.5, 0.5], 0.5)]
TIES += [([0.25] * 4, p) for p in (0.25, 0.5, 0.75)]


@todo("5-3")
def test_exactly_p_is_enough(step, shared, device):
    """앞선 것들의 합이 꼭 p여도 지웁니다. 이진수로 딱 떨어지는 확률이라 반올림이 없습니다."""
    extra, first = [], None
    for shares, p in TIES:
        logits = torch.tensor([shares, shares[::-1]], device=device).log()
        if logits.softmax(dim=-1)[0].tolist() != shares:
            continue  # 이 장치의 exp가 딱 떨어지지 않습니다.
        got = nucleus_kept(step, logits, p)
        first = got[0] if first is None else first
        enough = next(count for count in range(1, len(shares) + 1) if math.fsum(shares[:count]) >= p)
        extra += ((got != -INF).sum(dim=-1) - enough).tolist()
    if not {*extra} <= {0, 1}:
        fail("앞선 것들의 합이 꼭 p일 때 남긴 것이 다릅니다.", idea="top-p")
    if all(extra):  # 확률을 다른 길로 구하느라 한두 번 반올림된 것은 괜찮습니다.
        gone = nucleus_kept(step, shared, P) == -INF
        right = torch.equal(gone, kept_of(shared, nucleus(shared, P)) == -INF)  # 다른 것은 모두 맞았습니다.
        more = {"expected": "토큰 0", "got": survivors(first), "symptom": "strictly-greater" if right else None}
        fail("앞선 것들의 합이 꼭 p인데 더 남겼습니다.", idea="이상과 초과", **more)


@todo("5-3")
def test_one_text_keeps_its_nucleus(step, shared):
    """글이 하나뿐이어도 같은 토큰이 남습니다."""
    for row, wanted in zip(shared, nucleus(shared, P), strict=True):
        got, want = nucleus_kept(step, row[None], P), kept_of(row[None], [wanted])
        more = {"expected": survivors(want[0]), "got": survivors(got[0])}
        if more["expected"] != more["got"]:
            fail("글이 하나일 때 남긴 토큰이 다릅니다.", idea="top-p", **more)


@todo("5-3")
def test_highest_always_remains(step, shared):
    """p가 0이어도 가장 높은 것 하나는 남습니다."""
    got, want = nucleus_kept(step, shared, 0), kept_of(shared, nucleus(shared, 0))
    if same_kept(got, want):
        return
    empty = (got == -INF).all(dim=1)
    row = int((empty if empty.any() else (got != want).any(dim=1)).int().argmax())
    right = same_kept(nucleus_kept(step, shared, P), kept_of(shared, nucleus(shared, P)))
    more = {"expected": f"{row + 1}번째 글에서 {survivors(want[row])}", "got": survivors(got[row])}
    if empty.any():
        fail(NOTHING, idea="top-p", symptom="top-removed" if right else None, **more)
    fail("p가 0인데 가장 높은 것 하나만 남지 않았습니다.", idea="top-p", **more)


@todo("5-3")
def test_already_removed_tokens_stay_removed(step, shared):
    """top-k가 이미 -inf로 지운 토큰이 있어도 됩니다. 남은 것들의 확률로 셈합니다."""
    logits = shared.masked_fill(shared < shared.topk(3, dim=-1).values[:, -1:], -INF)
    got, want = nucleus_kept(step, logits, 0.6), kept_of(logits, nucleus(logits, 0.6))
    for row, (one, right) in enumerate(zip(got, want, strict=True), start=1):
        if not same_kept(one[None], right[None]):
            more = {"expected": f"{row}번째 글에서 {survivors(right)}", "got": survivors(one)}
            fail("top-k가 지운 토큰이 있을 때 남긴 것이 다릅니다.", idea="top-p", **more)


# ── 5-4 온도와 뽑기

DRAWS = 4000  # 글 둘을 이만큼씩. 비율의 표준편차는 0.008보다 작습니다.
DRAWN = 0.045  # 표준편차의 다섯 배 남짓. 아래의 헷갈리는 비율들은 서로 0.1 넘게 떨어져 있습니다.
SCORES = [[-0.7, 0.4, 0.0, -0.8, 0.6, -0.3, 0.7], [1.3, 2.6, -2.3, -2.6, -0.2, -0.4, 0.5]]


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


@pytest.fixture
def picking(step, device, monkeypatch):
    """앞의 세 TODO를 기준으로 바꾼 `pick`. 두 글의 점수를 DRAWS번씩 늘어놓은 것과, 한 번 뽑는 함수가 있습니다."""
    monkeypatch.setattr(step, "penalize_repetition", reference_penalty)
    swapped = {"idea": "거르는 수", "expected": "top_k와 top_p", "got": "top_p와 top_k", "symptom": "swapped-limits"}

    def keep_top_k(logits: Tensor, k: int) -> Tensor:
        return reference_top_k(logits, k) if isinstance(k, int) else fail("top_k가 정수가 아닙니다.", **swapped)

    def keep_top_p(logits: Tensor, p: float) -> Tensor:
        return reference_top_p(logits, p) if isinstance(p, float) else fail("top_p가 실수가 아닙니다.", **swapped)

    monkeypatch.setattr(step, "keep_top_k", keep_top_k)
    monkeypatch.setattr(step, "keep_top_p", keep_top_p)
    scores = torch.tensor(SCORES, device=device)

    def drawn(sampling: Sampling, logits: Tensor | None = None, seed: int = 3, generator: Any = None) -> Tensor:
        many = scores.repeat_interleave(DRAWS, dim=0) if logits is None else logits
        generator = generator or torch.Generator(device).manual_seed(seed)
        return tokens_of(step, many, torch.zeros_like(many, dtype=torch.bool), sampling, generator)

    return SimpleNamespace(step=step, scores=scores, drawn=drawn)


def tokens_of(step: Any, logits: Tensor, seen: Tensor, sampling: Sampling, generator: Any) -> Tensor:
    """고른 토큰 (글,). 모양과 자료형을 봅니다."""
    idea = "뽑기"
    marks = seen.clone()
    try:
        got = step.pick(logits.clone(), marks, sampling, generator)
    except RuntimeError as error:
        if "probability tensor" not in str(error):
            raise
        if sampling.temperature == 0:
            message, expected, got, symptom = "온도 0으로 나누었습니다.", "가장 높은 토큰", "NaN", "divided-by-zero"
        else:
            message, expected, got, symptom = "확률이 아닌 것에서 뽑았습니다.", "확률", "음수나 NaN", "not-shares"
        fail(message, idea=idea, expected=expected, got=got, symptom=symptom)
    except ZeroDivisionError:
        message = "온도 0으로 나누었습니다."
        fail(message, idea=idea, expected="가장 높은 토큰", got="ZeroDivisionError", symptom="divided-by-zero")
    if not torch.equal(marks, seen):
        fail("건네받은 seen을 고쳤습니다.", idea=idea, expected="그대로", got="바뀜", symptom="seen-changed")
    if not isinstance(got, Tensor):
        kind = type(got).__name__
        fail("tokens가 텐서가 아닙니다.", idea=idea, expected="텐서", got=kind, symptom="not-tensor")
    if got.shape == (len(logits), 1):
        more = {"expected": f"({len(logits)},)", "got": str(tuple(got.shape)), "symptom": "kept-axis"}
        fail("tokens에 축이 하나 남았습니다.", idea="토큰의 모양", **more)
    if len(logits) > 1 and got.numel() == 1:
        more = {"expected": f"({len(logits)},)", "got": str(tuple(got.shape)), "symptom": "one-token"}
        fail("글이 여럿인데 토큰은 하나뿐입니다.", idea="토큰의 모양", **more)
    assert_equal(tuple(got.shape), (len(logits),), idea="토큰의 모양", message="tokens의 모양이 (글,)가 아닙니다.")
    if got.is_floating_point():
        more = {"expected": "토큰의 번호(int64)", "got": str(got.dtype).removeprefix("torch."), "symptom": "not-ids"}
        fail("tokens가 번호가 아닙니다.", idea="토큰의 번호", **more)
    return got


@todo("5-4")
def test_zero_temperature_is_greedy(picking):
    """온도가 0이면 언제나 가장 높은 것을 고릅니다."""
    cold = Sampling(temperature=0, top_k=4, top_p=0.9, repetition_penalty=1.0)
    many = picking.scores.repeat(4, 1)
    want = many.max(dim=-1).indices
    for seed in range(3):
        got = picking.drawn(cold, many, seed)
        if not torch.equal(got, want):
            symptom = "lowest" if torch.equal(got, many.min(dim=-1).indices) else "cold-draws"
            more = {"expected": show(want[:2]), "got": show(got[:2]), "symptom": symptom}
            fail("온도가 0인데 가장 높은 토큰이 아닙니다.", idea="온도", **more)


@todo("5-4")
def test_penalty_still_counts(picking):
    """깎인 점수로 고릅니다."""
    seen = torch.zeros_like(picking.scores, dtype=torch.bool)
    seen[0, 6] = seen[1, 1] = True  # 가장 높던 것을 깎으면 둘째가 가장 높아집니다.
    sampling = Sampling(temperature=0, repetition_penalty=3.0)
    got = tokens_of(picking.step, picking.scores, seen, sampling, None)
    want = reference_penalty(picking.scores, seen, 3.0).argmax(dim=-1)
    assert_equal(got.tolist(), want.tolist(), idea="되풀이 벌점", message="깎인 점수로 고르지 않았습니다.")


@todo("5-4")
@pytest.mark.parametrize("temperature", [0, 0.02])
def test_penalty_counts_once(picking, device, temperature):
    """벌점은 자리의 위에서 이미 한 번 주었습니다. 뽑을 때도 0.02면 언제나 가장 높은 것이 나옵니다."""
    rows = [[-3.0, 1.0, 2.0, -2.5, -3.0, -2.7, -4.0], [-2.1, -3.0, -4.0, -3.0, -5.0, -3.0, -1.0]]
    scores = torch.tensor(rows, device=device)
    seen = torch.zeros_like(scores, dtype=torch.bool)
    seen[0, 2] = seen[1, 6] = True  # 한 번 깎으면 1.25와 -1.6으로 아직 가장 높고, 두 번 깎으면 아닙니다.
    sampling = Sampling(temperature=temperature, top_k=0, top_p=1.0, repetition_penalty=1.6)
    got = tokens_of(picking.step, scores, seen, sampling, torch.Generator(device).manual_seed(3)).tolist()
    if got != [2, 6]:
        symptom = "penalized-twice" if got == [1, 0] else None
        more = {"expected": show([2, 6]), "got": show(got), "symptom": symptom}
        fail(f"온도가 {temperature}일 때 가장 높은 토큰이 아닙니다.", idea="고르기", **more)


@todo("5-4")
def test_cold_is_not_zero(picking):
    """온도가 아주 낮아도 0이 아니면 확률대로 뽑습니다."""
    many = picking.scores.new_tensor([[0.5, 0.5, -3.0, -3.0, -3.0, -3.0, -3.0]] * 60)
    cold, warm = (Sampling(temperature=one, top_k=0, top_p=1.0, repetition_penalty=1.0) for one in (0.002, 0.5))
    if picking.drawn(cold, many).unique().numel() == 1 and picking.drawn(warm, many).unique().numel() > 1:
        more = {"expected": "0번과 1번", "got": "하나만", "symptom": "cold-greedy"}
        fail("온도가 0.002인데 뽑지 않았습니다.", idea="온도", **more)


def rates_of(tokens: Tensor) -> Tensor:
    """두 글에서 토큰마다 뽑힌 비율, (2, 어휘)."""
    return torch.stack([torch.bincount(one, minlength=len(SCORES[0])) / DRAWS for one in tokens.split(DRAWS)])


def check_rates(got: Tensor, want: Tensor, wrong: list[tuple[str, str, Tensor]], idea: str) -> None:
    if close(got, want, DRAWN):
        return
    row = int((got - want).abs().max(dim=1).values.argmax())
    more = {"expected": brief(want[row]), "got": brief(got[row]), "row": row + 1}
    for symptom, message, value in wrong:
        if matches(got, value, DRAWN):
            fail(message, idea=idea, symptom=symptom, **more)
    fail("토큰이 뽑힌 비율이 다릅니다.", idea=idea, **more)


def greedy_rates(scores: Tensor) -> Tensor:
    return functional.one_hot(scores.argmax(dim=-1), scores.size(-1)).float()


@todo("5-4")
@pytest.mark.parametrize("temperature", [0.5, 2.5])
def test_tokens_are_drawn_by_tempered_shares(picking, temperature):
    """로짓을 온도로 나눈 뒤의 확률대로 뽑습니다."""
    scores = picking.scores
    got = rates_of(picking.drawn(Sampling(temperature=temperature, top_k=0, top_p=1.0, repetition_penalty=1.0)))
    plain, across = scores.softmax(dim=-1), (scores / temperature).softmax(dim=0)
    wrong = [
        ("no-temperature", "온도가 아무 일도 하지 않습니다.", plain),
        ("multiplied", "온도로 나누지 않고 곱했습니다.", (scores * temperature).softmax(dim=-1)),
        ("greedy", "뽑지 않고 언제나 가장 높은 것을 골랐습니다.", greedy_rates(scores)),
        ("dim0", "어휘가 아니라 글을 따라 확률을 나누었습니다.", across / across.sum(dim=-1, keepdim=True)),
    ]
    if temperature < 1:  # 온도가 높으면 모두 고르게 뽑혀 서로 가깝습니다.
        ordered = (scores / temperature).softmax(dim=-1).sort(dim=-1, descending=True).values
        wrong += [
            ("uniform", "모든 토큰을 똑같이 뽑았습니다.", torch.full_like(scores, 1 / scores.size(-1))),
            ("ranks", "번호가 아니라 순위를 담았습니다.", ordered),
            ("tempered-twice", "온도를 두 번 적용했습니다.", (scores / temperature**2).softmax(dim=-1)),
            ("softmax-twice", "softmax를 두 번 했습니다.", (scores / temperature).softmax(dim=-1).softmax(dim=-1)),
            ("first-text", "모든 글을 첫 글의 확률로 뽑았습니다.", (scores[[0, 0]] / temperature).softmax(dim=-1)),
        ]
    want = (scores / temperature).softmax(dim=-1)
    if (got.max(dim=1).values == 1).all() and not matches(got, greedy_rates(scores), DRAWN):
        more = {"expected": brief(want[0]), "got": brief(got[0]), "symptom": "same-dice", "row": 1}
        fail("모든 글을 같은 난수로 뽑았습니다.", idea="난수", **more)
    check_rates(got, want, wrong, "온도")


@todo("5-4")
def test_filters_come_after_the_temperature(picking):
    """온도, top-k, top-p의 차례로 적용합니다."""
    scores, t, k, p = picking.scores, 1.6, 3, 0.6
    got = rates_of(picking.drawn(Sampling(temperature=t, top_k=k, top_p=p, repetition_penalty=1.0)))
    warm, top_k, top_p = scores / t, reference_top_k, reference_top_p
    p_first = top_k(top_p(warm, p), k)
    late = top_p(top_k(scores, k), p) / t
    wrong = [
        ("no-filters", "거르지 않고 뽑았습니다.", warm),
        ("no-top-k", "top-k로 거르지 않았습니다.", top_p(warm, p)),
        ("no-top-p", "top-p로 거르지 않았습니다.", top_k(warm, k)),
        ("p-before-k", "top-p를 top-k보다 먼저 했습니다.", p_first),
        ("late-temperature", "거른 뒤에 온도를 적용했습니다.", late),
        ("late-temperature", "거른 뒤에 온도를 적용했습니다.", top_k(top_p(scores, p), k) / t),
        ("late-temperature", "거른 뒤에 온도를 적용했습니다.", top_p(top_k(scores, k), p)),
    ]
    plain = rates_of(picking.drawn(Sampling(temperature=t, top_k=0, top_p=1.0, repetition_penalty=1.0)))
    if not matches(plain, warm.softmax(dim=-1), DRAWN):
        wrong = []  # 온도부터 틀렸으면 위의 검사가 말합니다.
    made = [(symptom, message, value.softmax(dim=-1)) for symptom, message, value in wrong]
    check_rates(got, top_p(top_k(warm, k), p).softmax(dim=-1), made, "거르는 차례")


@todo("5-4")
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_one_text_alone(picking, temperature):
    """글이 하나뿐이어도 tokens의 모양은 (1,)입니다."""
    alone = picking.scores[:1]
    sampling = Sampling(temperature=temperature, top_k=3, top_p=0.9)
    try:
        picking.drawn(sampling, alone)
    except CheckFailed as failure:
        if failure.got == "()":
            picking.drawn(sampling, picking.scores)  # 여럿일 때부터 틀렸으면 그것이 먼저입니다.
            more = {"expected": "(1,)", "got": "()", "symptom": "lost-batch"}
            fail("글이 하나일 때 글의 축까지 사라졌습니다.", idea="토큰의 모양", **more)
        raise


@todo("5-4")
def test_generator_decides_the_draw(picking, device):
    """같은 시드의 generator면 같은 토큰을, 이어서 뽑으면 다른 토큰을 뽑습니다. sampling.seed는 보지 않습니다."""
    more = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0}
    plain, seeded = Sampling(**more), Sampling(**more, seed=5)
    many = picking.scores.repeat(40, 1)
    draws = []
    for outside in (1, 2):
        torch.manual_seed(outside)
        draws.append(picking.drawn(plain, many, seed=11))
    if not torch.equal(*draws):
        more = {"expected": "같은 토큰", "got": "다른 토큰", "symptom": "no-generator"}
        fail("같은 시드인데 다른 토큰을 뽑았습니다.", idea="난수의 시드", **more)
    if torch.equal(draws[0], many.argmax(dim=-1)):
        return  # 뽑지 않는 답은 다른 검사가 말합니다.
    unseen = torch.zeros_like(many, dtype=torch.bool)
    for sampling, given in ((plain, 11), (seeded, 11), (seeded, seeded.seed), (plain, None)):
        one = None if given is None else torch.Generator(device).manual_seed(given)
        first, second = (tokens_of(picking.step, many, unseen, sampling, one) for _ in range(2))
        if torch.equal(first, second):
            more = {"expected": "다른 토큰", "got": "같은 토큰", "symptom": "same-draw"}
            fail("이어서 뽑았는데 언제나 같은 토큰이 나옵니다.", idea="난수의 시드", **more)


# ── 5-5 KV 캐시

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
            fail("LayerMemory에 없는 이름을 썼습니다.", idea="미리 잡아 둔 자리", **more)
        except (RuntimeError, IndexError) as error:
            if any(
                words in str(error) for words in ("must match", "expanded size", "out of bounds", "Sizes of tensors")
            ):
                more = {"expected": "2번 축(길이)", "got": "다른 축이나 길이", "symptom": "wrong-axis"}
                fail("적을 자리와 새것의 모양이 맞지 않습니다.", idea="자리의 축", **more)
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
            fail("열쇠와 값이 뒤바뀌었습니다.", idea=idea, expected="(열쇠, 값)", got="(값, 열쇠)", symptom="swapped")
        if self.same(got, [want[0]] * 2) or self.same(got, [want[1]] * 2):
            fail(
                "두 곳에 같은 것을 담았습니다.", idea=idea, expected="열쇠와 값", got="같은 것 둘", symptom="same-twice"
            )
        if start and self.same(got, new):
            fail("새것만 돌려주었습니다.", idea=idea, symptom="only-new", **what)
        if all(one.shape == SHAPE for one in got):
            message = "아직 적지 않은 자리까지 돌려주었습니다."
            fail(message, idea=idea, symptom="whole-buffer", **what)
        self.judge_buffers()
        wrong = next((one, right) for one, right in zip(got, want, strict=True) if not close(one, right, ATOL))
        name = "keys" if wrong[0] is got[0] else "values"
        if wrong[0].shape != wrong[1].shape:
            message = f"{name}의 길이가 다릅니다."
            expected, shape = f"모양 {tuple(wrong[1].shape)}", f"모양 {tuple(wrong[0].shape)}"
            fail(message, idea=idea, expected=expected, got=shape, symptom="wrong-length", name=name)
        self.recognise(*wrong, new, start, name)

    def judge_buffers(self) -> None:
        """잡아 둔 자리가 처음의 크기 그대로인지 봅니다."""
        for name in ("keys", "values"):
            now = getattr(self.memory, name)
            if not isinstance(now, Tensor) or tuple(now.shape) != SHAPE:
                shape = tuple(now.shape) if isinstance(now, Tensor) else type(now).__name__
                more = {"expected": f"모양 {SHAPE}", "got": f"모양 {shape}", "symptom": "grown"}
                fail(f"self.{name}의 크기가 달라졌습니다.", idea="미리 잡아 둔 자리", name=name, **more)

    def recognise(self, got: Tensor, want: Tensor, new: list[Tensor], start: int, name: str) -> None:
        idea, length = "KV 캐시", new[0].size(2)
        fresh = new[0 if name == "keys" else 1]
        old, late = matches(got[:, :, :start], want[:, :, :start], ATOL), got[:, :, start:]
        if start and not old and matches(got[:, :, :length], fresh, ATOL):
            more = {"expected": f"{start}번째 자리부터", "got": "0번째 자리부터", "symptom": "always-front"}
            fail("새것을 언제나 맨 앞에 적었습니다.", idea=idea, name=name, **more)
        texts = [matches(one, right, ATOL) for one, right in zip(late, fresh, strict=True)]
        if any(texts) and not all(texts) or matches(late, fresh[:1].expand_as(fresh), ATOL):
            more = {"expected": "두 글의 것", "got": "한 글의 것", "symptom": "one-text"}
            fail("글이 여럿인데 한 글의 것만 적었습니다.", idea=idea, name=name, **more)
        spots = [matches(late[:, :, one], fresh[:, :, one], ATOL) for one in range(length)]
        last_in_front = matches(late[:, :, 0], fresh[:, :, -1], ATOL) and not late[:, :, 1:].any()
        if length > 1 and (spots.count(True) == 1 and (spots[0] or spots[-1]) or last_in_front):
            more = {"expected": f"{length}자리", "got": "1자리", "symptom": "one-position"}
            fail("새것이 여럿인데 한 자리만 적었습니다.", idea=idea, name=name, **more)
        if length and not late.any():
            more = {"expected": "새것", "got": "0", "symptom": "not-written"}
            fail("새것이 제자리에 없습니다.", idea=idea, name=name, **more)
        if length > 1 and matches(late[:, :, 1:], fresh[:, :, :-1], ATOL):
            more = {"expected": f"{start}번째 자리부터", "got": f"{start + 1}번째 자리부터", "symptom": "shifted"}
            fail("새것을 한 자리 뒤에 적었습니다.", idea=idea, name=name, **more)
        if start and not old and matches(late, fresh, ATOL) and not getattr(self.memory, name).any():
            more = {"expected": "앞서 적은 것", "got": "사라짐", "symptom": "not-stored"}
            fail("앞서 적은 것이 남아 있지 않습니다.", idea=idea, name=name, **more)
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
            fail(f"self.{name}을(를) 새 텐서로 갈아 끼웠습니다.", idea="미리 잡아 둔 자리", name=name, **more)
        if now[:, :, 4:].any():
            more = {"expected": "0", "got": "0이 아닌 값", "symptom": "written-past"}
            fail("아직 오지 않은 자리에도 적었습니다.", idea="제자리", name=name, **more)


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
        fail("옛것을 지우지 않고 더했습니다.", idea="제자리", **more)
    lengths = [one.size(2) for one in got if one.dim() == 4]
    if lengths == [6, 6]:
        more = {"expected": "길이 2", "got": "길이 6", "symptom": "own-count"}
        fail("처음부터 다시 적지 않고 뒤에 이어 적었습니다.", idea="제자리", **more)
    fail("처음부터 다시 적었는데 새것이 돌아오지 않습니다.", idea="제자리", expected="새것 둘", got="다른 것")


# ── 5-6 이어 쓰기: 대본대로 답하는 모델

VOCAB, END = 12, 0
UNUSUAL = {"temperature": 0.7, "top_k": 5, "top_p": 0.9, "repetition_penalty": 1.3}  # 모두 기본값이 아닙니다.
MORE = 3  # 멈추지 않는 답에서도, 약속한 것보다 이만큼만 더 받아 봅니다.


@known_as("GPT")
class ScriptedModel(nn.Module):
    """대본의 토큰을 차례로 가장 높게 답하는 모델. 통째로 부르면 캐시를 쓰지 않은 것입니다."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, device=device))
        self.tokenizer, self.vocab_size = SimpleNamespace(end_id=END), VOCAB
        self.config = SimpleNamespace(max_seq_len=64)

    def forward(self, *_: Any) -> Tensor:
        more = {"expected": "reader.read", "got": "model(…)", "symptom": "uncached"}
        fail("캐시를 쓰지 않고 모델을 통째로 불렀습니다.", idea="KV 캐시", **more)


def altered(sampling: Sampling, logits: Tensor, seen: Tensor) -> list[Tensor]:
    """모델의 것이 아니라, 벌점과 온도와 거르개 가운데 하나라도 지난 로짓들."""
    made = []
    for lowered in (logits, reference_penalty(logits, seen, sampling.repetition_penalty)):
        for warm in (lowered, lowered / sampling.temperature):
            few = reference_top_k(warm, sampling.top_k)
            made += [warm, few, reference_top_p(warm, sampling.top_p), reference_top_p(few, sampling.top_p)]
    return [one for one in made if one is not logits]


class Scene:
    """continue_tokens를 한 번 돌린 기록. 읽고 고르는 일은 대본과 기준으로 바꾸어 둡니다.

    Attributes:
        reads: reader.read가 받은 것마다의 모양.
        picks, choices: 고를 때마다의 (로짓, seen)과, 고른 토큰.
        steps: 내보낸 (토큰, 확률)들.
        reads_at_yield: 하나를 내보낼 때까지 읽은 횟수.
    """

    def __init__(
        self,
        step: Any,
        monkeypatch: pytest.MonkeyPatch,
        device: str,
        script: list[list[int]],
        max_tokens: int,
        pick: Callable | None = None,
        **sampling: Any,
    ) -> None:
        self.script, self.device = torch.tensor(script, device=device), device
        self.prompts = [[5, 6, 7], [8, 9]]
        self.reads: list[tuple[int, ...]] = []
        self.picks: list[tuple[Tensor, Tensor]] = []
        self.choices: list[Tensor] = []
        self.steps: list[tuple[Tensor, Tensor]] = []
        self.reads_at_yield: list[int] = []
        self.max_tokens, self._choose = max_tokens, pick
        self.ended = torch.zeros(len(script), dtype=torch.bool, device=device)  # 끝난 글에는 무엇을 적어도 됩니다.
        monkeypatch.setattr(step, "CachedReader", self._reader())
        monkeypatch.setattr(step, "pick", self._pick)
        model = ScriptedModel(device)
        self.sampling = Sampling(max_tokens=max_tokens, **UNUSUAL, **sampling)
        made = step.continue_tokens(model, self.prompts, self.sampling)
        if not isinstance(made, Iterator):
            more = {"expected": "yield", "got": "yield가 없음", "symptom": "no-yield"}
            fail("아무것도 내보내지 않습니다.", idea="generator", **more)
        try:
            for one in islice(made, max_tokens + MORE):
                self.reads_at_yield.append(len(self.reads))
                self.steps.append(self._pair(one))
        except (RuntimeError, IndexError) as error:
            self._explain(str(error))
            raise

    @staticmethod
    def _explain(error: str) -> None:
        """글이 여럿일 때 멈추는 흔한 까닭들."""
        if "Boolean value of Tensor" in error or "converted to Scalar" in error or "only one element" in error:
            more = {"expected": "글마다 하나", "got": "수 하나", "symptom": "one-text"}
            fail("글이 하나일 때만 되는 코드입니다.", idea="함께 쓰는 글들", **more)
        if "Index tensor must have the same number of dimensions" in error:
            more = {"expected": "(글, 1)", "got": "(글,)", "symptom": "scatter-shape"}
            fail("scatter에 건넨 번호의 축이 모자랍니다.", idea="seen", **more)
        if "generator raised StopIteration" in error:
            more = {"expected": "반복을 끝내기", "got": "StopIteration", "symptom": "raised-stop"}
            fail("generator 안에서 StopIteration을 던졌습니다.", idea="generator", **more)
        if "out of bounds for dimension 0" in error:
            more = {"expected": "글의 번호", "got": "토큰의 번호", "symptom": "token-as-row"}
            fail("글의 번호 자리에 토큰의 번호를 썼습니다.", idea="seen", **more)

    def _reader(self) -> type:
        scene = self

        @known_as("CachedReader")
        class ScriptedReader:
            def __init__(self, model: Any, padding: Tensor) -> None:
                self.model, self.padding = model, padding

            def read(self, new: Tensor) -> Tensor:
                return scene._read(new)

        return ScriptedReader

    def logits_after(self, count: int, length: int) -> Tensor:
        """`count`번 읽었을 때의 로짓 (글, 길이, 어휘). 마지막 자리만 대본의 토큰이 가장 높습니다."""
        random = torch.Generator().manual_seed(count)
        made = torch.randn(len(self.script), length, VOCAB, generator=random).to(self.device)
        made[:, :-1, VOCAB - 1] += 9.0  # 다른 자리를 골랐는지 알아보도록
        column = self.script[:, min(count, self.script.size(1) - 1)]
        made[:, -1] += 6.0 * functional.one_hot(column, VOCAB)
        return made

    def _read(self, new: Any) -> Tensor:
        rows, idea = len(self.script), "KV 캐시"
        shape = tuple(new.shape) if isinstance(new, Tensor) else type(new).__name__
        if self.reads and isinstance(new, Tensor) and new.dim() == 2 and new.size(1) == 1 and len(new) < rows:
            more = {"expected": f"({rows}, 1)", "got": shape, "symptom": "dropped-texts"}
            fail("글 몇 개를 빼고 읽었습니다.", idea=idea, **more)
        if not isinstance(new, Tensor) or new.dim() != 2 or len(new) != rows or new.is_floating_point():
            more = {"expected": f"({rows}, 새 길이)", "got": shape, "symptom": "read-shape" if self.reads else None}
            fail("reader.read에 건넨 것의 모양이 다릅니다.", idea=idea, **more)
        if self.reads and new.size(1) != 1:
            message = "이미 읽은 것을 또 읽었습니다."
            fail(message, idea=idea, expected=f"({rows}, 1)", got=shape, symptom="reread")
        if not self.reads and new.size(1) != 3:
            fail(
                "앞글을 통째로 읽지 않았습니다.",
                idea=idea,
                expected=f"({rows}, 3)",
                got=shape,
                symptom="part-of-prompt",
            )
        if self.reads and self.picks and not torch.equal(new[~self.ended, 0], self.chosen[~self.ended]):
            more = {"expected": show(self.chosen), "got": show(new[:, 0]), "symptom": "read-other"}
            fail("방금 고른 토큰이 아닌 것을 읽었습니다.", idea=idea, **more)
        self.reads.append(shape)
        return self.logits_after(len(self.reads) - 1, new.size(1))

    def _pick(self, logits: Tensor, seen: Tensor, sampling: Any = None, generator: Any = None) -> Tensor:
        rows, idea = len(self.script), "다음 토큰의 로짓"
        if not isinstance(logits, Tensor) or tuple(logits.shape) != (rows, VOCAB):
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            symptom = None
            if isinstance(logits, Tensor) and shape[-1:] == (VOCAB,):
                symptom = "all-positions" if logits.dim() == 3 else "one-text-logits"
            message = "pick에 건넨 로짓의 모양이 다릅니다."
            fail(message, idea=idea, expected=f"({rows}, {VOCAB})", got=shape, symptom=symptom)
        self._judge_logits(logits, seen, idea)
        if not isinstance(seen, Tensor) or seen.dtype != torch.bool or tuple(seen.shape) != (rows, VOCAB):
            got, symptom = type(seen).__name__, None
            if isinstance(seen, Tensor):
                kind = str(seen.dtype).removeprefix("torch.")
                got, symptom = f"{tuple(seen.shape)} {kind}", "seen-not-bool" if kind != "bool" else None
            more = {"expected": f"({rows}, {VOCAB}) bool", "got": got, "symptom": symptom}
            fail("pick에 건넨 seen이 다릅니다.", idea="seen", **more)
        if any(getattr(sampling, name, None) != value for name, value in UNUSUAL.items()):
            kind = "다른 값의 Sampling" if isinstance(sampling, Sampling) else type(sampling).__name__
            more = {"expected": "받은 sampling", "got": kind, "symptom": "other-sampling"}
            fail("pick에 받은 sampling을 건네지 않았습니다.", idea="고르는 법", **more)
        self.picks.append((logits.clone(), seen.clone()))
        self.chosen = self._choose(logits, generator) if self._choose else logits.argmax(dim=-1)
        self.choices.append(self.chosen.cpu())
        self.ended |= self.chosen == END
        return self.chosen.clone()

    def _judge_logits(self, logits: Tensor, seen: Any, idea: str) -> None:
        """고르려는 로짓은 마지막으로 읽은 것의 마지막 자리입니다."""
        count = len(self.reads) - 1
        want = self.logits_after(count, self.reads[-1][1])
        if close(logits, want[:, -1], ATOL):
            return
        row = int(((logits - want[:, -1]).abs() > ATOL).any(dim=1).int().argmax())
        more = {"expected": brief(want[row, -1]), "got": brief(logits[row])}
        if count and matches(logits, self.logits_after(0, 3)[:, -1], ATOL):
            fail("언제나 앞글의 로짓에서 골랐습니다.", idea=idea, symptom="old-logits", **more)
        if any(matches(logits, want[:, one], ATOL) for one in range(want.size(1) - 1)):
            fail("마지막 자리가 아닌 곳의 로짓에서 골랐습니다.", idea=idea, symptom="other-position", **more)
        if matches(logits, want[:, -1].softmax(dim=-1), ATOL):
            fail("로짓이 아니라 확률을 건넸습니다.", idea=idea, symptom="picked-shares", **more)
        right = isinstance(seen, Tensor) and seen.dtype == torch.bool and seen.shape == logits.shape
        for value in altered(self.sampling, want[:, -1], seen) if right else ():
            if matches(logits.isfinite(), value.isfinite(), 0) and matches(logits.exp(), value.exp(), ATOL):
                fail("이미 깎거나 나누거나 거른 로짓을 건넸습니다.", idea=idea, symptom="altered-logits", **more)
        fail("pick에 건넨 로짓이 다릅니다.", idea=idea, **more)

    def _pair(self, one: Any) -> tuple[Tensor, Tensor]:
        """내보낸 것이 (토큰 (글,), 확률 (글, 어휘))인지 봅니다."""
        rows, idea = len(self.script), "내보낼 것"
        expected = f"토큰 ({rows},), 확률 ({rows}, {VOCAB})"
        if not (isinstance(one, (tuple, list)) and len(one) == 2 and all(isinstance(part, Tensor) for part in one)):
            got = f"텐서 {tuple(one.shape)} 하나" if isinstance(one, Tensor) else type(one).__name__
            fail("내보낸 것이 (토큰, 확률)의 짝이 아닙니다.", idea=idea, expected=expected, got=got, symptom="not-pair")
        shapes = [tuple(part.shape) for part in one]
        got = f"{shapes[0]}, {shapes[1]}"
        if shapes == [(rows, VOCAB), (rows,)]:
            fail("토큰과 확률의 차례가 바뀌었습니다.", idea=idea, expected=expected, got=got, symptom="yield-swapped")
        if shapes != [(rows,), (rows, VOCAB)]:
            fail("내보낸 것의 모양이 다릅니다.", idea=idea, expected=expected, got=got, symptom="yield-shape")
        return one[0].clone(), one[1].clone()


STORY = [[1, 4, 2, 3, 6, 1, 4, 2], [3, 8, 9, 5, 2, 3, 8, 9]]


@pytest.fixture
def play(step, device, monkeypatch):
    """대본으로 continue_tokens를 돌립니다."""

    def run(script: list[list[int]] = STORY, max_tokens: int = 5, **more: Any) -> Scene:
        return Scene(step, monkeypatch, device, script, max_tokens, **more)

    return run


@todo("5-6")
def test_one_token_per_step_up_to_max_tokens(play):
    """한 걸음에 글마다 토큰 하나를, max_tokens번 내보냅니다."""
    scene = play()
    count, want = len(scene.steps), scene.max_tokens
    if count and not scene.picks:
        more = {"expected": "pick(…)", "got": "부르지 않음", "symptom": "no-pick"}
        fail("pick을 부르지 않고 골랐습니다.", idea="고르는 법", **more)
    if count != want:
        got = f"{count}번" if count < want + MORE else f"{count}번 넘게"
        symptom = "endless" if count >= want + MORE else "wrong-count"
        fail("내보낸 횟수가 max_tokens와 다릅니다.", idea="max_tokens", expected=f"{want}번", got=got, symptom=symptom)
    made = torch.stack([tokens for tokens, _ in scene.steps], dim=1)
    want = scene.script[:, : made.size(1)]
    assert_equal(made.tolist(), want.tolist(), idea="고른 토큰", message="내보낸 토큰이 고른 토큰과 다릅니다.")
    assert_equal(len(play(max_tokens=1).steps), 1, idea="max_tokens", message="max_tokens가 1일 때의 횟수가 다릅니다.")


@todo("5-6")
def test_probabilities_are_the_models(play):
    """함께 내보내는 것은 고르기 전의 로짓에 softmax를 한 확률입니다."""
    scene = play()
    for number, (_, got) in enumerate(scene.steps[:3]):
        logits = scene.logits_after(number, 3 if number == 0 else 1)[:, -1]
        want = logits.softmax(dim=-1)
        if close(got, want, ATOL):
            continue
        wrong = [
            ("yield-logits", "확률이 아니라 로짓을 내보냈습니다.", logits),
            ("log-shares", "확률의 로그를 내보냈습니다.", logits.log_softmax(dim=-1)),
            ("shares-dim0", "글을 따라 확률을 나누었습니다.", logits.softmax(dim=0)),
        ]
        if number < len(scene.picks):
            altered_shares = (one.softmax(dim=-1) for one in altered(scene.sampling, logits, scene.picks[number][1]))
            wrong += [("altered-shares", "고르느라 바꾼 확률을 내보냈습니다.", one) for one in altered_shares]
        among(got, wrong, idea="내보낼 것", want=want)
        message = f"{number + 1}번째로 내보낸 확률이 다릅니다."
        fail(message, idea="내보낼 것", expected=brief(want[0, :4]), got=brief(got[0, :4]))


@todo("5-6")
def test_token_is_sent_before_it_is_read(play):
    """고른 토큰은 다시 읽기 전에 내보냅니다. 받는 사람은 그 시간만큼 먼저 봅니다."""
    scene = play()
    for number, reads in enumerate(scene.reads_at_yield[: scene.max_tokens], start=1):
        if reads > number:
            more = {"expected": f"{number}번 읽고", "got": f"{reads}번 읽고", "symptom": "late-yield"}
            fail(f"{number}번째 토큰을 늦게 내보냈습니다.", idea="흘려보내기", **more)
        if reads < number:
            more = {"expected": f"{number}번 읽고", "got": f"{reads}번 읽고", "symptom": "not-read"}
            fail("고른 토큰을 읽지 않고 다음을 골랐습니다.", idea="KV 캐시", **more)


@todo("5-6")
def test_chosen_tokens_are_remembered(play):
    """고른 토큰은 그 글의 seen에 적힙니다."""
    scene = play()
    want = torch.zeros(2, VOCAB, dtype=torch.bool)
    want[0, [5, 6, 7]] = want[1, [8, 9]] = True
    for number, (_, seen) in enumerate(scene.picks[: scene.max_tokens]):
        if number:
            want[range(2), scene.choices[number - 1]] = True
        seen = seen.cpu()
        if torch.equal(seen, want):
            continue
        row = int((seen != want).any(dim=1).int().argmax())
        expected, got = (", ".join(map(str, one[row].nonzero().flatten().tolist())) for one in (want, seen))
        more = {"expected": f"{'둘째' if row else '첫째'} 글에서 {expected}", "got": got or "하나도 없음"}
        kept = (seen >= want).all(dim=1).tolist()
        if number and not (seen >= scene.picks[0][1].cpu()).all():
            fail("앞글에 나온 토큰을 seen에서 잊었습니다.", idea="seen", symptom="seen-replaced", **more)
        if number and kept == [True, False]:
            fail("첫째 글의 seen에만 적었습니다.", idea="seen", symptom="remembered-in-first", **more)
        if number and seen.sum() < want.sum():
            fail("고른 토큰을 seen에 적지 않았습니다.", idea="seen", symptom="not-remembered", **more)
        if number and (seen >= want).all():
            fail("다른 글이 고른 토큰까지 seen에 적었습니다.", idea="seen", symptom="remembered-for-all", **more)
        fail("seen이 다릅니다.", idea="seen", **more)


@todo("5-6")
def test_stops_when_every_text_has_ended(play):
    """글들이 저마다 다른 때에 끝나도, 모두 끝나면 바로 멈춥니다. 끝 토큰도 내보냅니다."""
    together = [[1, 2, END, 3, 4, 1, 2], [5, 6, END, 7, 8, 5, 6]]
    apart = [[1, END, 2, 3, 4, 1, 2], [5, 6, 7, END, 8, 5, 6]]
    counts = [len(play(script, max_tokens=7).steps) for script in (together, apart, apart[::-1])]
    if counts == [3, 4, 4]:
        return
    idea = "글의 끝"
    count = counts[2] if counts[1] == 4 else counts[1]
    more = {"expected": "글들이 2번째와 4번째에 끝나면 4번", "got": f"{count}번"}
    if counts[0] == 3 and counts[1] >= 7:
        fail("먼저 끝난 글을 잊었습니다.", idea=idea, symptom="forgot-finished", **more)
    if counts == [3, 2, 2]:
        fail("글 하나가 끝나자 모두 멈추었습니다.", idea=idea, symptom="stopped-at-first", **more)
    if counts in ([3, 2, 4], [3, 4, 2]):
        fail("정해진 글 하나가 끝나자 모두 멈추었습니다.", idea=idea, symptom="one-text-decides", **more)
    if counts in ([2, 3, 3], [2, 1, 1]):
        fail("끝 토큰을 내보내지 않고 멈추었습니다.", idea=idea, symptom="end-not-sent", **more)
    if counts[0] >= 7:
        scene = play()
        told = len(scene.steps) == scene.max_tokens and len(scene.reads) >= scene.max_tokens
        symptom = "never-stops" if told else None  # 반복이나 읽기부터 틀렸으면 위의 검사가 말합니다.
        fail("모든 글이 끝났는데 멈추지 않습니다.", idea=idea, symptom=symptom, **more)
    if counts == [4, 5, 5]:
        fail("모두 끝난 뒤에 한 걸음을 더 갔습니다.", idea=idea, symptom="one-step-late", **more)
    fail("모든 글이 끝난 때와 멈춘 때가 다릅니다.", idea=idea, **more)


@todo("5-6")
def test_seed_reaches_the_draw(play):
    """시드를 주면 언제나 같은 토큰이 나옵니다."""

    def draw(logits: Tensor, generator: Any) -> Tensor:
        return 1 + torch.multinomial(torch.ones(2, VOCAB - 1, device=logits.device), 1, generator=generator).squeeze(1)

    made = []
    for outside, seed in ((1, 4), (2, 4), (2, 5)):
        torch.manual_seed(outside)
        scene = play(max_tokens=6, pick=draw, seed=seed)
        if not scene.picks:
            return  # 고르지 않는 답은 위의 검사가 말합니다.
        made.append([tokens.tolist() for tokens, _ in scene.steps])
    idea, same, other = "난수의 시드", "같은 토큰", "다른 토큰"
    if made[0] != made[1]:
        more = {"expected": same, "got": other, "symptom": "no-generator"}
        fail("같은 시드인데 다른 토큰이 나왔습니다.", idea=idea, **more)
    if len(made[0]) > 1 and all(one == made[0][0] for one in made[0]):
        fail("걸음마다 같은 토큰이 뽑혔습니다.", idea=idea, expected=other, got=same, symptom="reseeded")
    if made[0] and made[1] == made[2]:
        fail("다른 시드인데 같은 토큰이 나왔습니다.", idea=idea, expected=other, got=same, symptom="fixed-seed")


# ── 5-6 이어 쓰기: 정말로 셈하는 모델

CONTEXT, WIDTH, HEADS = 12, 8, 2


class ReferenceAttention(nn.Module):
    """2단계의 어텐션과 이름이 같은 기준."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.qkv, self.projection = HEADS, nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def heads(self, x: Tensor) -> list[Tensor]:
        return list(self.qkv(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4))

    def merge(self, mixed: Tensor) -> Tensor:
        return self.projection(mixed.transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        """캐시 없이, 길이 전체를 한꺼번에."""
        query, key, value = self.heads(x)
        scores = torch.einsum("bhid,bhjd->bhij", query, key) / math.sqrt(WIDTH / HEADS)
        later = torch.ones(scores.shape[-2:], device=x.device).triu(1).bool()
        return self.merge(scores.masked_fill(later, -INF).softmax(dim=-1) @ value)


class ReferenceBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(WIDTH), ReferenceAttention()
        self.norm2, self.mlp = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, attend: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        x = x + (attend or self.attention)(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ReferenceGPT(nn.Module):
    """2단계의 GPT와 이름이 같은 작은 기준. 배정밀도라, 캐시를 쓴 것과 쓰지 않은 것의 차이는 실수뿐입니다."""

    def __init__(self) -> None:
        super().__init__()
        self.token_embedding, self.position_embedding = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(ReferenceBlock() for _ in range(2))
        self.norm, self.lm_head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCAB, bias=False)
        self.tokenizer, self.vocab_size = SimpleNamespace(end_id=END), VOCAB
        self.config = SimpleNamespace(max_seq_len=CONTEXT, d_embed=WIDTH)
        random = torch.Generator().manual_seed(2)
        for one in self.parameters():
            nn.init.normal_(one, std=0.7, generator=random)
        with torch.no_grad():
            self.lm_head.weight[END] = 0  # 글이 일찍 끝나지 않도록

    @torch.no_grad()
    def full(self, ids: list[int]) -> Tensor:
        """캐시 없이 구한 마지막 자리의 로짓, (어휘,)."""
        given = torch.tensor([ids], device=self.lm_head.weight.device)
        x = self.token_embedding(given) + self.position_embedding.weight[: len(ids)]
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.norm(x))[0, -1]


@known_as("LayerMemory")
class ReferenceMemory:
    """5-5의 기준."""

    def __init__(self, shape: tuple[int, ...], device: torch.device) -> None:
        self.keys, self.values = torch.zeros(2, *shape, device=device, dtype=torch.double)

    def append(self, key: Tensor, value: Tensor, start: int) -> tuple[Tensor, Tensor]:
        end = start + key.size(2)
        self.keys.narrow(2, start, key.size(2)).copy_(key)
        self.values.narrow(2, start, key.size(2)).copy_(value)
        return self.keys.narrow(2, 0, end), self.values.narrow(2, 0, end)


@pytest.fixture
def written(step, device, monkeypatch):
    """기준 모델로 continue_tokens를 돌려, 내보낸 토큰과 고를 때마다의 로짓을 돌려주는 함수."""
    model = ReferenceGPT().double().to(device)
    monkeypatch.setattr(step, "LayerMemory", ReferenceMemory)

    def run(prompts: list[list[int]], count: int) -> tuple[list[list[int]], list[Tensor]]:
        made: list[Tensor] = []

        def greedy(logits: Tensor, *_: Any, **__: Any) -> Tensor:
            made.append(logits.clone())
            return logits.argmax(dim=-1)

        monkeypatch.setattr(step, "pick", greedy)
        steps = islice(step.continue_tokens(model, prompts, Sampling(max_tokens=count)), count)
        tokens = [one.tolist() for one, *_ in steps]
        return [list(row) for row in zip(*tokens, strict=True)], made[:count]

    run.model = model
    return run


def uncached(model: ReferenceGPT, prompt: list[int], count: int) -> tuple[list[int], Tensor]:
    """캐시 없이 이어 쓴 것. 문맥이 차면 뒤의 절반(새 토큰까지)만 남깁니다."""
    window, made, logits = list(prompt), [], []
    for _ in range(count):
        logits.append(model.full(window))
        made.append(int(logits[-1].argmax()))
        window = window + [made[-1]] if len(window) < CONTEXT else (window + [made[-1]])[-(CONTEXT // 2) :]
    return made, torch.stack(logits)


def compare(written: Callable, prompts: list[list[int]], count: int, what: str) -> None:
    """함께 이어 쓴 것이, 하나씩 캐시 없이 이어 쓴 것과 같은지 봅니다."""
    made, logits = written(prompts, count)
    assert_equal(len(logits), count, idea="KV 캐시", message="pick을 부른 횟수가 쓴 토큰의 수와 다릅니다.")
    for row, prompt in enumerate(prompts):
        want, scores = uncached(written.model, prompt, count)
        got = torch.stack([one[row] for one in logits])
        message = f"{what} 로짓이 캐시 없이 구한 것과 다릅니다."
        assert_close(got, scores, atol=1e-5, idea="KV 캐시", message=message)
        assert_equal(made[row], want, idea="KV 캐시", message=f"{what} 쓴 글이 캐시 없이 쓴 것과 다릅니다.")


@todo("5-6")
def test_cache_changes_nothing(written):
    """캐시를 쓰고 쓴 글은, 걸음마다 처음부터 다시 읽으며 쓴 글과 같습니다."""
    compare(written, [[3, 7, 1, 4]], 6, "캐시를 쓴")


@todo("5-6")
def test_texts_together_equal_texts_alone(written):
    """길이가 다른 앞글들을 함께 이어 써도 하나씩 이어 쓴 것과 같습니다."""
    compare(written, [[2], [3, 7, 1, 4, 9], [8, 8, 5]], 6, "함께 쓸 때의")


@todo("5-6")
def test_goes_on_past_the_context(written):
    """문맥보다 긴 글도 이어 씁니다."""
    compare(written, [[5, 2, 9]], CONTEXT + 3, "문맥이 찬 뒤의")


# ── 5-7 server-sent events

EVENTS = [
    {"text": "옛날 옛적에", "probability": 0.25, "alternatives": [{"text": "\n", "probability": 0.5}]},
    {"text": '"여우야,\n\n어디 가니?"\r\n😀\\', "probability": None, "alternatives": []},
    {"done": True, "reason": "length", "text": "data: 끝\n\n"},
]


def unreadable(body: str, event: dict[str, Any]) -> str:
    """JSON으로 읽을 수 없는 것이 무엇인지."""
    if body == str(event):
        return "python-dict"
    if body == event["text"].strip():
        return "text-only"
    if body.startswith(("b'", 'b"')):
        return "bytes-in-text"
    return "done-marker" if body == "[DONE]" else "not-json"


def without_texts(value: Any) -> Any:
    """글의 내용만 지운 것."""
    if isinstance(value, dict):
        return {name: without_texts(one) for name, one in value.items()}
    if isinstance(value, list):
        return [without_texts(one) for one in value]
    return "" if isinstance(value, str) else value


@pytest.fixture
def messages(step):
    """사건마다의 메시지."""
    idea = "server-sent events"
    try:
        made = list(islice(step.server_sent_events(iter(deepcopy(EVENTS))), len(EVENTS) + 1))
    except (TypeError, RuntimeError) as error:
        known = {"argument: 'fp'": "dumped-to-file", "must be str, bytes": "loads", "application context": "jsonify"}
        symptom = next((name for words, name in known.items() if words in str(error)), None)
        if symptom is None:
            raise
        fail("JSON으로 바꾸는 함수가 아닙니다.", idea="JSON", expected="JSON인 글", got="멈춤", symptom=symptom)
    assert_equal(len(made), len(EVENTS), idea=idea, message="사건과 메시지의 수가 다릅니다.")
    for one in made:
        if not isinstance(one, str):
            more = {"expected": "글(str)", "got": type(one).__name__, "symptom": "not-text"}
            fail("message가 글이 아닙니다.", idea=idea, **more)
    return made


@todo("5-7")
def test_message_begins_with_data(messages):
    """메시지는 "data: "로 시작합니다."""
    for one in messages:
        if one.startswith("data: "):
            continue
        if one.startswith("data:"):
            symptom, message = "no-space", "data: 다음의 빈칸이 없습니다."
        elif one.lstrip("\r\n").startswith("data:"):
            symptom, message = "newline-first", "메시지가 줄바꿈으로 시작합니다."
        else:
            symptom, message = "no-prefix", 'message가 "data: "로 시작하지 않습니다.'
        got = one[: one.find("data:") + 5] if symptom == "newline-first" else one[:12]
        fail(message, idea="메시지의 처음", expected=repr("data: "), got=repr(got), symptom=symptom)


@todo("5-7")
def test_message_ends_with_one_blank_line(messages):
    """메시지는 빈 줄 하나로 끝납니다."""
    for one in messages:
        body = one.rstrip("\r\n")
        end = one[len(body) :]
        if end == "\n\n":
            continue
        symptom, message = "one-newline", "메시지가 빈 줄로 끝나지 않습니다."
        if body.endswith("\\n\\n"):
            end, symptom, message = "\\n\\n", "literal-newline", "줄바꿈이 아니라 역슬래시와 n이라는 글자로 끝납니다."
        elif "\r" in end:
            symptom, message = "carriage-return", "줄바꿈에 \\r이 섞였습니다."
        elif len(end) > 2:
            symptom, message = "blank-lines", "줄바꿈이 너무 많습니다."
        elif not end and one.startswith("\n"):
            symptom = None  # 줄바꿈이 앞에 있다고 위의 검사가 말합니다.
        fail(message, idea="메시지의 끝", expected=repr("\n\n"), got=repr(end), symptom=symptom, count=len(end))


@todo("5-7")
def test_message_carries_the_whole_event(messages):
    """가운데는 사건 전체를 담은 JSON 한 줄입니다. 글 속의 줄바꿈과 한글도 그대로 돌아옵니다."""
    idea = "JSON"
    for event, one in zip(EVENTS, messages, strict=True):
        body = one.rstrip("\r\n").removeprefix("data:").removeprefix(" ").removesuffix("\\n\\n")
        if "\n" in body or "\r" in body:
            lines = len(body.splitlines())
            named = all(line.startswith("data:") for line in one.splitlines() if line)  # 줄마다 이름을 적었습니다.
            more = {"expected": "한 줄", "got": f"{lines}줄", "symptom": None if named else "many-lines"}
            fail("메시지의 가운데가 여러 줄입니다.", idea=idea, **more)
        try:
            got = json.loads(body)
        except ValueError:
            symptom = unreadable(body, event)
            more = {"expected": json.dumps(event, ensure_ascii=False)[:40], "got": body[:40], "symptom": symptom}
            fail("data: 다음이 JSON이 아닙니다.", idea=idea, **more)
        if got == event:
            continue
        message, symptom = "메시지의 사건이 받은 사건과 다릅니다.", None
        if isinstance(got, str):
            message, symptom = "JSON을 두 번 했습니다.", "twice"
            if got == event["text"]:
                message, symptom = "글만 보냈습니다.", "text-only"
            elif got == str(event):
                message, symptom = "사전을 그대로 글로 바꾸었습니다.", "python-dict"
        elif isinstance(got, dict) and got.keys() != event.keys():
            message, symptom = "사건에서 빠지거나 더해진 것이 있습니다.", "other-names"
        elif without_texts(got) == without_texts(event):
            message, symptom = "사건의 글이 바뀌었습니다.", "text-changed"
        expected, shown = (json.dumps(part, ensure_ascii=False)[:60] for part in (event, got))
        fail(message, idea=idea, expected=expected, got=shown, symptom=symptom)
