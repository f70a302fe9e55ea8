"""5-1의 검사: 되풀이 벌점."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from course.checks.recognising import explained, when
from course.checks.words import assert_equal, close, fail, matches, todo
from tests.task3_lm.checks.step5.common import ATOL, among, brief, table_of


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
    with explained(when("int64 for index", "seen-as-ids", idea="마스크", expected="참과 거짓", got="번호")):
        return step.penalize_repetition(logits.clone(), seen.clone(), penalty)


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
        fail(idea="되풀이 벌점", expected=brief(want[0]), got=brief(got[0]), symptom="banned", row=1)
    divided, multiplied = logits / penalty, logits * penalty
    lowered = torch.where(logits > 0, divided, multiplied)
    swapped = torch.where(logits > 0, multiplied, divided)
    size = logits.abs()
    shares, first = logits.softmax(dim=-1), seen & (torch.arange(len(seen), device=seen.device) == 0)[:, None]
    front = torch.arange(logits.size(1), device=logits.device) < 2  # 참은 1번 토큰, 거짓은 0번 토큰이 됩니다.
    wrong = [
        ("unchanged", logits),
        ("divided-negatives", torch.where(seen, divided, logits)),
        # 1보다 큰 벌점에서 맞았다면(그것이 먼저입니다), 1보다 작을 때 커져야 할 점수를 줄인 것입니다.
        ("swapped" if penalty > 1 else "always-lowered", torch.where(seen, swapped, logits)),
        ("multiplied-all", torch.where(seen, multiplied, logits)),
        ("seen-reversed", torch.where(seen, logits, lowered)),
        ("everyone", lowered),
        ("everyone", divided),
        ("everyone", swapped),
        ("everyone", multiplied),
        ("subtracted", logits - penalty * seen),
        ("subtracted", logits - (penalty - 1) * seen),
        ("others-zero", lowered * seen),
        ("one-sign", torch.where(seen & (logits > 0), divided, logits)),
        ("one-sign", torch.where(seen & (logits < 0), multiplied, logits)),
        ("one-sign", torch.where(seen & (logits < 0), divided, logits)),
        ("one-text", torch.where(seen.any(dim=0), lowered, logits)),
        ("one-text", torch.where(seen[0], lowered, logits)),
        ("one-text", torch.where(seen[-1], lowered, logits)),
        ("others-multiplied", torch.where(seen & (logits > 0), divided, multiplied)),
        ("one-formula", torch.where(seen, logits - size * (penalty - 1), logits)),
        ("one-formula", torch.where(seen, logits - size * (1 - 1 / penalty), logits)),
        ("from-shares", torch.where(seen, shares / penalty, shares)),
        ("first-only", torch.where(first, lowered, logits)),
        ("zeroed", logits * ~seen),
        ("seen-as-ids", torch.where(front, lowered, logits)),
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
