"""4-4의 검사: 자르고 고치기."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from lightning.fabric import Fabric
from torch.nn import functional

from course.checks.words import (
    assert_close,
    assert_equal,
    close,
    fail,
    matches,
    todo,
)
from nlpbook.position import Position
from tests.task3_lm.checks.step4.common import (
    ATOL,
    Bigram,
    Watched,
    building,
    pair_of,
    place_shown,
    step_with,
    watch_schedule,
)

LIMIT, RATES = 0.25, [0.5, 0.2, 0.3, 0.7]
SURE = 6.0  # 둘째 묶음은 이만큼 자신 있게 맞혀, 기울기가 한계보다 작습니다.


@pytest.fixture(scope="module")
def steps(load, device):
    """기울기가 큰 것, 작은 것, 큰 것으로 `train_step`을 세 번 부른 기록."""
    with building(load, device) as new_trainer:
        return take_steps(new_trainer, device)


def cut(grads):
    """크기가 LIMIT을 넘으면 거기까지 줄인 기울기."""
    return grads * min(1.0, LIMIT / float(grads.norm()))


def take_steps(new_trainer, device):
    model = Bigram()
    watched = Watched(model, scale=1024.0)
    fabric = Fabric(accelerator=device, devices=1, plugins=watched)
    settings = {"max_grad_norm": LIMIT, "grad_accumulation": 2}
    trainer = new_trainer(model, rates=lambda step: RATES[min(step, 3)], fabric=fabric, **settings)
    watch_schedule(trainer, watched)
    records, start = [], Position()
    for number, numbers in enumerate([[(0, 1), (2, 3)], [(6, 8), (6, 8)], [(4, 9)]]):
        trainer.position = Position(**vars(start))
        group = [pair_of(one, device) for one in numbers]
        with torch.no_grad():
            for place, target in zip(group[0][0].flatten(), group[0][1].flatten(), strict=True):
                model.table.weight[place, target] = SURE if number == 1 else -1.0
        watched.clear()
        before = model.values()
        step_with(trainer, group, "4-4")
        training = all(part.training for part in trainer.model.modules())
        model.train()
        if watched.summed is None or not float(watched.summed.norm()) > 0:
            shown = {"expected": "역전파한 기울기", "got": "기울기 없음"}
            fail("기울기가 없어 그다음을 볼 수 없습니다. TODO 4-3부터 고쳐 주세요.", idea="역전파", **shown)
        after, rate = model.values(), trainer.optimizer.param_groups[0]["lr"]
        last = len(watched.beats) - watched.beats[::-1].index("backward")
        want = cut(watched.summed)
        records.append(
            SimpleNamespace(
                beats=watched.beats[last:],
                early=watched.beats[:last],
                summed=watched.summed,
                used=watched.used,
                want=want,
                before=before,
                after=after,
                rate=rate,
                place=place_shown(trainer.position) if trainer.position != start else None,
                given=[*watched.given],
                number=number,
                training=training,
                evaluated=any(not one.training for one in model.seen),
            )
        )
        watched.given.clear()
        start = Position(0, start.batch + len(group), start.step + 1)  # 스텝을 세는 것은 train_epoch입니다.
    return records


BEATS = {
    "clip": "기울기 자르기(fabric.clip_gradients)",
    "step": "가중치 고치기(optimizer.step)",
    "schedule": "학습률 옮기기(scheduler.step)",
}
MISSING = {"clip": "no-clip", "step": "no-step", "schedule": "no-schedule"}


@todo("4-4")
def test_clip_step_and_schedule_happen_once_in_order(steps):
    """자르기 → 고치기 → 학습률의 차례로 한 번씩입니다. 배치를 몇 개 모으든 부를 때마다 한 스텝입니다."""
    some = {beat for record in steps for beat in record.beats}
    idle = next((record for record in steps if not record.beats), None)
    if idle is not None and some:
        shown = {"expected": "부를 때마다 한 스텝", "got": f"{idle.number + 1}번째에는 아무것도 하지 않았습니다"}
        fail(idea="기울기 누적", symptom="waits-again", **shown)
    for record in steps:
        beats = record.beats
        shown = {"idea": "한 스텝의 차례", "expected": "clip → step → schedule"}
        shown["got"] = " → ".join(beats) or "아무것도 하지 않음"
        if "clip" not in beats and record.used and clipped_elsewhere(record):
            fail(symptom="clip-outside", **shown)
        if "step" not in beats and not matches(record.after, record.before, 0):
            fail(symptom="step-outside", **shown)
        if "schedule" not in beats and "schedule" in some:
            fail(symptom="schedule-sometimes", **shown)
        for beat in BEATS:
            if beat not in beats:
                fail(symptom=MISSING[beat], **shown)
        for beat, name in BEATS.items():
            if beats.count(beat) != 1:
                fail(symptom="twice", name=name, **shown)
        if beats.index("clip") > beats.index("step"):
            fail(symptom="clip-late", **shown)
        if beats.index("schedule") < beats.index("step"):
            fail(symptom="schedule-first", **shown)


def clipped_elsewhere(record):
    """Fabric을 거치지 않고 잘랐다면, 불린 채인 기울기(의 크기나 값)가 한계에 맞추어져 있습니다."""
    raw = record.used[0].raw
    return float(raw.norm()) <= 2 * LIMIT or float(raw.abs().max()) <= LIMIT * 1.001


@todo("4-4")
def test_gradients_are_cut_at_the_limit(steps):
    """기울기 전체의 크기가 max_grad_norm을 넘으면 거기까지 줄이고, 넘지 않으면 그대로 둡니다."""
    for record in steps:
        if not record.used or "clip" not in record.beats:
            fail(
                "자르기나 고치기가 빠져 자른 크기를 볼 수 없습니다.", idea="기울기 자르기", expected="둘 다", got="하나"
            )
        got, want = record.used[0].grads, record.want
        if close(got, want, ATOL):
            continue
        norm = float(got.norm())
        shown = {"idea": "기울기 자르기", "expected": f"크기 {float(want.norm()):.4f}", "got": f"크기 {norm:.4f}"}
        shown["limit"] = LIMIT
        if norm == 0:
            fail(symptom="zero-before-step", **shown)
        if record.beats.index("clip") > record.beats.index("step"):
            fail(symptom="clip-late", **shown)
        if matches(got, record.summed.clamp(-LIMIT, LIMIT), ATOL):
            fail(symptom="clip-by-value", **shown)
        count = record.early.count("backward")
        if count > 1 and any(matches(got, cut(record.summed * times), ATOL) for times in (count, 1 / count)):
            fail(symptom="scaled-again", count=count, **shown)
        direction = functional.cosine_similarity(got, want, dim=0)
        if direction > 0.9999 and any(matches(float(got.norm(p)), LIMIT, ATOL) for p in (1, torch.inf)):
            fail(symptom="other-norm", **shown)
        if direction > 0.9999:
            fail(symptom="wrong-limit", **shown)
        fail("고칠 때의 기울기가 max_grad_norm까지 자른 것과 다릅니다.", **shown)


@todo("4-4")
def test_weights_and_rate_match_the_arithmetic(steps):
    """세 스텝의 가중치와 다음 학습률이 손으로 셈한 것과 같습니다."""
    for record in steps:
        if not record.used:
            fail("옵티마이저로 가중치를 고치지 않았습니다.", idea="옵티마이저", expected="고침", got="그대로")
        want = record.before - RATES[record.number] * record.want
        message = "고친 뒤의 가중치가 손으로 셈한 것과 다릅니다."
        assert_close(record.after, want, atol=ATOL, idea="한 스텝", message=message)
        if record.place:
            shown = {"expected": "세지 않음", "got": record.place}
            fail(idea="진행", symptom="counted-twice", **shown)
        message = "다음 스텝의 학습률이 스케줄과 다릅니다."
        more = {"idea": "학습률 스케줄", "symptom": "schedule-by-number" if record.given else None}
        assert_close(record.rate, RATES[record.number + 1], atol=1e-9, message=message, **more)


@todo("4-4")
def test_the_model_stays_in_training_mode(steps):
    """스텝이 끝나도 학습 모드입니다."""
    if not all(record.training for record in steps) and not any(record.evaluated for record in steps):
        fail(idea="train/eval", expected="학습 모드", got="평가 모드", symptom="eval-mode")


@todo("4-4")
def test_an_infinite_gradient_does_not_stop_the_training(new_trainer, device):
    """기울기가 무한대여도 스텝을 마칩니다. 16-mixed에서는 그런 스텝을 GradScaler가 건너뜁니다."""
    model = Bigram()
    watched = Watched(model, scale=1024.0)
    trainer = new_trainer(model, fabric=Fabric(accelerator=device, devices=1, plugins=watched))
    watch_schedule(trainer, watched)
    with torch.no_grad():
        model.table.weight.fill_(torch.inf)
    try:
        step_with(trainer, [pair_of((0, 1), device)], "4-4")
    except RuntimeError as error:
        if "non-finite" not in str(error):
            raise
        shown = {"expected": "스텝을 마침", "got": type(error).__name__}
        fail(idea="기울기 자르기", symptom="stops-at-overflow", **shown)
    if "step" not in watched.beats and {"clip", "schedule"} & {*watched.beats}:
        shown = {"expected": "optimizer.step을 부름", "got": "부르지 않음"}
        fail(idea="16비트", symptom="own-skip", **shown)
    message = "기울기가 무한대인 스텝을 끝까지 마치지 않았습니다."
    assert_equal(watched.beats[-1:], ["schedule"], idea="한 스텝의 차례", message=message)
