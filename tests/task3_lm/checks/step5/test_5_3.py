"""5-3의 검사: top-p."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from course.checks.recognising import Wrong
from course.checks.words import fail, todo
from tests.task3_lm.checks.step5.common import INF, cut, judge_kept, kept_of, same_kept, survivors, table_of

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


def wrong_nuclei(logits: Tensor, p: float) -> Wrong:
    """top-p와 헷갈리는 것들. 가장 높은 것을 지킨 것과 지키지 않은 것을 함께 둡니다."""
    ordered = logits.sort(dim=-1, descending=True).values
    shares = ordered.softmax(dim=-1)
    total, unsorted = shares.cumsum(dim=-1), logits.softmax(dim=-1)
    across, down = ordered.softmax(dim=0), shares.cumsum(dim=0)
    both = [
        ("crossing-removed", total >= p),
        ("reversed", total - shares < p),
        ("reversed", total < p),
        ("other-side", total - shares >= 1 - p),
        ("other-side", total >= 1 - p),
        ("each-share", shares < p),
        ("each-share", shares < 1 - p),
        ("min-p", shares < p * shares[:, :1]),
        ("min-p", shares <= p * shares[:, :1]),
        ("no-softmax", ordered.cumsum(dim=-1) - ordered >= p),
        ("no-softmax", ordered.cumsum(dim=-1) >= p),
        ("unsorted", unsorted.cumsum(dim=-1) - unsorted >= p),
        ("dim0", across.cumsum(dim=-1) - across >= p),
        ("dim0", across.cumsum(dim=-1) >= p),
        ("dim0", down - shares >= p),
        ("dim0", down >= p),
        ("whole-batch", shares.flatten().cumsum(dim=0).view_as(shares) - shares >= p),
        ("whole-batch", shares.flatten().cumsum(dim=0).view_as(shares) >= p),
        ("added", total + shares >= p),
        ("subtracted-best", total - shares[:, :1] >= p),
        ("ascending", total <= 1 - p),
    ]
    made = [(symptom, removing(logits, one, guard)) for symptom, one in both for guard in (1, 0)]
    before = total - shares >= p
    late = functional.pad(total[:, :-2] >= p, (2, 0), value=False)
    early = [functional.pad(total[:, 1:] >= p, (0, 1), value=last) for last in (False, True)]
    others = [("shifted-left", one) for one in early]
    for one in (before, total >= p):
        others.append(("guarded-row", functional.pad(one[1:], (0, 0, 1, 0), value=False)))
        others.append(("guarded-last", functional.pad(one[:, :-1], (0, 1), value=False)))
    others.append(("ascending", functional.pad((total <= 1 - p)[:, :-1], (0, 1), value=False)))
    made += [(symptom, removing(logits, one, guard)) for symptom, one in others for guard in (1, 0)]
    ours = torch.zeros_like(shares, dtype=torch.bool)
    ours = ours.scatter(1, logits.argsort(dim=-1, descending=True), total - shares >= p)
    return [
        *made,
        ("one-more", removing(logits, late)),
        (
            "wrapped",
            removing(logits, functional.pad(before[:, 1:], (1, 0), value=True), False),
        ),
        ("first-text", removing(logits, before[:1].expand_as(before))),
        ("first-only", torch.cat([removing(logits, before)[:1], logits[1:]])),
        ("vocabulary-order", removing(logits, ours, guard=False)),
        ("vocabulary-order", removing(logits, ours)),
        ("unchanged", logits),
    ]


def nucleus_kept(step: Any, logits: Tensor, p: float) -> Tensor:
    """학생의 top-p로 거른 점수."""
    try:
        got = cut(lambda: step.keep_top_p(logits.clone(), p), logits, "top-p")
    except (RuntimeError, TypeError) as error:
        if "boolean" in str(error) or "bool" in str(error).lower():
            more = {"expected": "bool", "got": "수", "symptom": "not-bool"}
            fail(idea="마스크", **more)
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
            fail(idea="겹치는 자리", symptom="overwritten", **more)
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
    judge_kept(got, want, shared, [("top-removed", torch.full_like(shared, -INF))], "top-p")


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
