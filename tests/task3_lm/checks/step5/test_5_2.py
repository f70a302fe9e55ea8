"""5-2의 검사: top-k."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from course.checks.words import fail, todo
from tests.task3_lm.checks.step5.common import INF, cut, judge_kept, kept_of, over, survivors, table_of


def ranked(row: Tensor) -> list[int]:
    """높은 것부터의 토큰 번호."""
    values = row.tolist()
    return sorted(range(len(values)), key=lambda one: -values[one])


@pytest.fixture
def ladder(device):
    """다섯 글, 일곱 토큰. 글마다 점수의 높이와 순서가 달라, 다른 글의 문턱이나 다른 축의 순위로는 맞지 않습니다."""
    rows = [[0.9, 3.1, -0.4, 2.2, 1.6, -1.8, 0.2], [-3.5, -2.1, -5.0, -4.2, -1.3, -2.9, -6.1]]
    rows += [[5.2, 5.5, 4.7, 7.1, 6.3, 9.4, 3.7], [0.3, -0.7, 0.6, 6.8, 1.3, 0.8, 1.9]]
    rows.append([-1.0, 0.1, -2.0, 0.5, -0.2, 2.4, 1.1])
    return torch.tensor(rows, device=device)


@todo("5-2")
@pytest.mark.parametrize("k", [3, 1, 6])
def test_k_highest_tokens_remain(step, ladder, k):
    """글마다 점수가 높은 k개만 그대로 남고 나머지는 -inf입니다."""
    logits, idea = ladder, "top-k"
    got = cut(lambda: step.keep_top_k(logits.clone(), k), logits, idea, k)
    if isinstance(got, Tensor) and got.shape == (len(logits), k) and k != 1:
        more = {"expected": f"모양 {tuple(logits.shape)}", "got": f"모양 {tuple(got.shape)}", "symptom": "only-values"}
        fail(idea=idea, **more)
    got = table_of(got, logits, "kept", idea)
    order = [ranked(row) for row in logits]
    if k == 3:  # 실수를 알아보는 것은 값이 서로 멀리 떨어진 k 하나로 충분합니다.
        flat = logits.flatten().sort(descending=True).values
        columns = logits.sort(dim=0, descending=True).values
        ids = torch.tensor(order, device=logits.device)
        anyone = sorted({token for one in order for token in one[:k]})
        wrong = [
            ("unchanged", logits),
            ("kth-removed", kept_of(logits, [one[: k - 1] for one in order])),
            ("one-more", kept_of(logits, [one[: k + 1] for one in order])),
            ("highest-threshold", kept_of(logits, [one[:1] for one in order])),
            ("lowest", kept_of(logits, [one[-k:] for one in order])),
            ("reversed", kept_of(logits, [one[k:] for one in order])),
            ("reversed", kept_of(logits, [one[k - 1 :] for one in order])),
            *[("one-threshold", over(logits, row[one[k - 1]])) for row, one in zip(logits, order, strict=True)],
            ("union", kept_of(logits, [anyone] * len(logits))),
            ("ids-as-scores", over(logits, ids[:, [k - 1]])),
            ("ids-as-scores", over(logits, ids[:, [0]])),
            ("ascending", kept_of(logits, [one[: 1 - k] for one in order])),
            ("all-removed", torch.full_like(logits, -INF)),
            (
                "first-only",
                torch.cat([kept_of(logits, [one[:k] for one in order])[:1], logits[1:]]),
            ),
            ("all-texts", over(logits, flat[k - 1])),
            ("dim0", over(logits, columns[k - 1])),
            ("dim0", over(logits, columns[:, [k - 1]])),
            ("probabilities", kept_of(logits, [one[:k] for one in order]).softmax(dim=-1)),
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
