"""4-9의 검사: 학습률 찾기."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from course.checks.words import (
    assert_close,
    close,
    fail,
    known_as,
    matches,
    todo,
)
from course.checks.workspace import plain_fabric
from tests.task3_lm.checks.step4.common import Bigram, Windows, pair_of

LOWEST, HIGHEST = 1e-6, 1.0


@pytest.fixture
def find(load, device, monkeypatch):
    """정해 둔 손실들을 내는 모델로 학습률을 찾은 기록: (학습률, 손실), 그리고 정말 쓴 학습률."""
    step4 = load(4)

    def run(losses, num_steps):
        walked = []

        @known_as("Trainer")
        class Losses:
            def __init__(self, model, data, config, fabric=None, run_folder=None):
                self.optimizer = SimpleNamespace(param_groups=[{"lr": 0.1}, {"lr": 0.1}])
                self.train_loader = [pair_of([0]), pair_of([1])]

            def train_step(self, batches):
                if len(walked) >= 3 * num_steps:
                    shown = {"expected": f"{num_steps}스텝 이하", "got": f"{3 * num_steps}스텝이 넘도록 계속"}
                    fail(idea="반복", symptom="too-many", **shown)
                walked.append([float(group["lr"]) for group in self.optimizer.param_groups])
                value = losses[min(len(walked), len(losses)) - 1]
                return torch.tensor(value), torch.tensor(0.5)

        monkeypatch.setattr(step4, "Trainer", Losses)
        config = SimpleNamespace(learning_rate=0.1)
        found = step4.find_learning_rate(Bigram(), Windows(), config, plain_fabric(device), num_steps)
        return SimpleNamespace(rates=[float(one) for one in found[0]], losses=[*map(float, found[1])], walked=walked)

    return run


def exponents(rates):
    """학습률의 상용로그. 0 이하는 -99입니다."""
    return [math.log10(one) if one > 0 else -99.0 for one in rates]


@todo("4-9")
@pytest.mark.parametrize("num_steps", [4, 7])
def test_rates_grow_by_the_same_ratio(find, num_steps):
    """학습률은 lowest에서 시작해 같은 비율로 커져, num_steps번째에 highest가 됩니다."""
    found = find([2.0, 1.75, 1.5, 1.25, 1.0, 1.25, 1.5], num_steps)
    got, ratio = exponents(found.rates), HIGHEST / LOWEST
    want = [6 * index / (num_steps - 1) - 6 for index in range(num_steps)]
    if close(got, want, 1e-4):
        return
    shown = {"idea": "같은 비율", "expected": rates_shown(10**one for one in want), "got": rates_shown(found.rates)}
    count = len(found.rates)
    if not found.walked:
        shown |= {"expected": f"{num_steps}스텝", "got": "0스텝"}
        fail(symptom="nothing", **shown)
    if count != len(found.losses):
        shown |= {"expected": "같은 수", "got": f"학습률 {count}개, 손실 {len(found.losses)}개"}
        fail(symptom="uneven", **shown)
    if count == 0:
        shown |= {"expected": f"{num_steps}개", "got": "0개"}
        fail(symptom="stops-at-once", **shown)
    wrong = [
        ("off-by-one", [6 * i / num_steps - 6 for i in range(num_steps)]),
        ("off-by-one", [6 * (i + 1) / num_steps - 6 for i in range(num_steps)]),
        ("off-by-one", [6 * (i + 1) / (num_steps - 1) - 6 for i in range(num_steps)]),
        ("linear", exponents(LOWEST + (HIGHEST - LOWEST) * i / (num_steps - 1) for i in range(num_steps))),
        ("linear", exponents(LOWEST + (HIGHEST - LOWEST) * i / num_steps for i in range(num_steps))),
        ("linear", exponents(LOWEST * ratio * i / (num_steps - 1) for i in range(num_steps))),
        ("logspace-of-values", [LOWEST + (HIGHEST - LOWEST) * i / (num_steps - 1) for i in range(num_steps)]),
        ("downwards", want[::-1]),
        ("from-one", [one + 6 for one in want]),
        ("same-rate", got[:1] * num_steps),
        ("precedence", [6 * i - 6 - math.log10(num_steps - 1) for i in range(num_steps)]),
    ]
    for symptom, values in wrong:
        if matches(got, values, 1e-4):
            fail(symptom=symptom, **shown)
    ratios = [after - one for one, after in zip(got, got[1:], strict=False)]
    if count == num_steps and matches(got[0], -6.0, 1e-4) and matches(ratios, [ratios[0]] * len(ratios), 1e-4):
        fail(symptom="fixed-ratio", **shown)
    if count != num_steps:
        shown |= {"expected": f"{num_steps}개", "got": f"{count}개"}
        symptom = "stops-early" if count < num_steps else "too-many"
        if count < num_steps and len(find([1.0], num_steps).rates) == num_steps:  # 손실이 그대로면 끝까지 갑니다.
            shown |= {"expected": f"{num_steps}개", "when": "손실이 가장 낮던 값의 1.5배를 넘은 적이 없을 때"}
            symptom = "other-limit"
        fail(symptom=symptom, **shown)
    fail("학습률이 같은 비율로 lowest에서 highest까지 커지지 않습니다.", **shown)


def rates_shown(rates):
    return ", ".join(f"{one:.1e}" for one in [*rates][:4])


@todo("4-9")
def test_losses_belong_to_their_rates(find):
    """모은 손실은 그 학습률로 배운 스텝의 것이고, 스텝마다 한 번만 배웁니다."""
    losses = [2.0, 1.75, 1.5, 1.25, 1.0]
    found = find(losses, 5)
    if len(found.walked) > 5 and len(found.rates) < len(found.walked):
        shown = {"expected": "5스텝", "got": f"{len(found.walked)}스텝"}
        fail(idea="한 스텝", symptom="walked-twice", **shown)
    if len(found.walked) != 5:
        fail("스텝의 수가 다릅니다.", idea="반복", expected="5스텝", got=f"{len(found.walked)}스텝")
    if len(found.rates) != len(found.losses):
        fail(idea="모으기", expected="같은 수", got="다른 수", symptom="uneven")
    shown = {"idea": "모으기", "symptom": "other-losses"}
    assert_close(found.losses, losses, atol=1e-6, **shown)
    walked = [one[0] for one in found.walked]
    if not close(exponents(found.rates), exponents(walked), 1e-4):
        shown = {"expected": rates_shown(walked), "got": rates_shown(found.rates)}
        fail(idea="모으기", symptom="other-rates", **shown)


STOPS = [
    # (손실들, 담을 개수, 무엇을 보는지)
    ([3.0, 2.0, 1.0, 0.5, 1.75, 2.0, 2.125, 0.75, 0.5], 6, "가장 낮던 값의 4배"),
    ([1.0, 8.0, 1.0, 1.0], 1, "둘째에서 넘음"),
    ([2.0, 1.0, 3.5, 4.0, 2.0, 5.0, 1.0], 5, "앞의 손실이 아니라 가장 낮던 손실"),
]


@todo("4-9")
@pytest.mark.parametrize(("losses", "count"), [one[:2] for one in STOPS], ids=[one[2] for one in STOPS])
def test_it_stops_when_the_loss_explodes(find, losses, count):
    """가장 낮던 손실의 4배를 넘으면, 그 값을 담지 않고 멈춥니다."""
    found = find(losses, len(losses))
    when = "손실이 가장 낮던 값의 4배를 넘었을 때"
    # 무엇의 4배든 8.0은 넘습니다. 거기서도 멈추지 않으면 멈출 줄 모르는 것입니다.
    endless = len(find(STOPS[1][0], 4).walked) == 4
    check_stop(find, found, losses, count, when, never="no-stop" if endless else "other-limit", other="other-limit")


@todo("4-9")
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("count", [2, 0])
def test_it_stops_when_the_loss_is_not_finite(find, bad, count):
    """유한하지 않은 손실은 담지 않고 멈춥니다. 첫 스텝이어도 그렇습니다."""
    losses = [2.0, 1.5][:count] + [bad] + [1.0, 0.75]
    try:
        found = find(losses, len(losses))
    except ValueError as error:
        if "empty" not in str(error):  # min()이 빈 목록을 받았습니다.
            raise
        shown = {"expected": "빈 두 목록", "got": "ValueError"}
        fail(idea="빈 목록", symptom="min-of-empty", **shown)
    check_stop(find, found, losses, count, f"손실이 {bad}일 때", never="not-finite", other="not-finite")


def check_stop(find, found, losses, count, when, never, other):
    """`count`개를 담고 그다음 스텝에서 멈추었는가. `never`는 끝까지 갔을 때, `other`는 그 밖의 증상입니다."""
    got, walked = len(found.losses), len(found.walked)
    shown = {
        "idea": "멈추기",
        "expected": f"{count}개를 담고 멈춤",
        "got": f"{got}개를 담고 {walked}스텝",
        "when": when,
    }
    if len(found.rates) != got:
        uneven = {"expected": f"학습률 {got}개", "got": f"학습률 {len(found.rates)}개, 손실 {got}개"}
        fail(symptom="uneven", **{**shown, **uneven})
    if got == count and walked == count + 1:
        message = f"{when} 앞에서 모은 손실이 다릅니다."
        assert_close(found.losses, losses[:count], atol=1e-6, idea="모으기", message=message)
        return
    if len(find([1.0] * 5, 5).walked) != 5:  # 스텝의 수부터 틀렸습니다. 다른 검사가 말합니다.
        fail(f"{when} 제때 멈추지 않았습니다.", **shown)
    if got == count + 1 == walked:
        fail(symptom="kept-the-last", **shown)
    if walked == len(losses) and count <= got < walked:
        fail(symptom="went-on", **shown)
    fail(symptom=never if got == walked == len(losses) else other, **shown)
