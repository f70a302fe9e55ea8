"""4-3의 검사: 기울기 모으기."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from lightning.fabric import Fabric

from course.checks.words import (
    close,
    fail,
    matches,
    show,
    todo,
)
from nlpbook.position import Position
from tests.task3_lm.checks.step4.common import (
    ATOL,
    HABITS,
    LENGTH,
    Bigram,
    Watched,
    building,
    gradient_of,
    pair_of,
    place_shown,
    step_with,
    watch_schedule,
)
from todo import todo as stop_here

GROUPS = [[(0, 1), (2, 3), (4, 5)], [(6, 8), (9, 11)], [(7, 13)]]  # 배치 셋, 둘, 하나. 마지막 묶음은 작습니다.


@pytest.fixture(scope="module")
def accumulated(load, device):
    """학습률 0으로 `train_step`을 세 번 부른 기록. 4-4가 비어 있으면 건너뜁니다."""
    with pytest.MonkeyPatch.context() as patch, building(load, device) as new_trainer:
        if hasattr(load(4), "todo"):
            patch.setattr(load(4), "todo", lambda one: None if one == "4-4" else stop_here(one))
        return accumulate(new_trainer, device)


def accumulate(new_trainer, device):
    model = Bigram()
    watched = Watched(model, scale=1.0)
    fabric = Fabric(accelerator=device, devices=1, plugins=watched)
    trainer = new_trainer(model, rates=lambda step: 0.0, fabric=fabric, grad_accumulation=3)
    watch_schedule(trainer, watched)
    records = []
    for number, numbers in enumerate(GROUPS):
        trainer.position = Position(0, number * 3, number)
        before = vars(trainer.position).copy()
        group = [pair_of(one, device) for one in numbers]
        want, parts = gradient_of(model, group), [gradient_of(model, [one]) for one in group]
        swapped = gradient_of(model, [pair[::-1] for pair in group])
        habits = {name: gradient_of(model, group, one) for name, one in HABITS.items()}
        habits["copied"] = gradient_of(model, [(ids, ids) for ids, _ in group])  # 읽은 것을 정답으로 삼는 버릇
        watched.clear()
        model.seen.clear()
        given = [*group]
        result = step_with(trainer, given, "4-3")
        at_step = watched.used[0].grads if watched.used else watched.grads()
        records.append(
            SimpleNamespace(
                group=group,
                want=want,
                parts=parts,
                swapped=swapped,
                habits=habits,
                left=len(given),
                moved=[one for one in watched.places[:1] if one != before],
                result=result,
                grads=at_step,
                beats=watched.beats,
                seen=[*model.seen],
            )
        )
    return records


@todo("4-3")
def test_every_batch_is_read_and_propagated(accumulated):
    """배치마다 한 번씩, Fabric이 감싼 모델을 지나 역전파합니다."""
    for record in accumulated:
        count, seen, back = len(record.group), record.seen, record.beats.count("backward")
        if len(seen) == 1 < count and len(seen[0].ids) == 2 * count:
            shown = {"expected": f"배치 {count}개를 하나씩", "got": "이어 붙인 배치 하나"}
            fail(idea="기울기 누적", symptom="one-big-batch", **shown)
        if not all(one.training for one in seen):
            shown = {"expected": "학습 모드", "got": "평가 모드"}
            fail(idea="train/eval", symptom="eval-mode", **shown)
        if not all(one.wrapped for one in seen):
            shown = {"expected": "self.model", "got": "감싸지 않은 모델"}
            fail(idea="Fabric", symptom="unwrapped", **shown)
        if back == 0:
            shown = {"expected": f"{count}번", "got": "0번"}
            fail(idea="역전파", symptom="no-backward", **shown)
        read = len({tuple(one.ids.flatten().tolist()) for one in seen})
        if read < count:
            shown = {"expected": f"배치 {count}개", "got": f"{read}개"}
            fail(idea="기울기 누적", symptom="some-batches", **shown)
        if back == 1 < count:
            shown = {"expected": f"배치마다, 모두 {count}번", "got": "1번"}
            fail(idea="기울기 누적", symptom="one-backward", **shown)
        last = len(record.beats) - record.beats[::-1].index("backward")
        if "step" in record.beats[:last]:
            shown = {"expected": "배치들을 다 모은 뒤 한 번", "got": "배치마다"}
            fail(idea="기울기 누적", symptom="step-inside", **shown)
        if "clip" in record.beats[:last]:
            shown = {"expected": "배치들을 다 모은 뒤 한 번", "got": "배치마다"}
            fail(idea="기울기 누적", symptom="clip-inside", **shown)
        if len(seen) != count or back != count:
            shown = {"expected": f"순전파와 역전파 {count}번씩", "got": f"순전파 {len(seen)}번, 역전파 {back}번"}
            fail("배치마다 한 번씩 역전파하지 않았습니다.", idea="기울기 누적", **shown)
        if stepped_before(record.beats[last:]) and len(record.group) == 1:
            shown = {"expected": "TODO 4-4에서 한 번", "got": "여기에서도 한 번"}
            fail(idea="한 스텝", symptom="step-early", **shown)


def stepped_before(beats):
    """한 스텝의 일(자르기, 고치기, 학습률)을 차례대로 다 하기 전에, 가중치나 학습률을 이미 한 번 고쳤는가."""
    return beats[-3:] == ["clip", "step", "schedule"] and bool({"step", "schedule"} & {*beats[:-3]})


@todo("4-3")
def test_what_was_given_is_only_read(accumulated):
    """받은 배치들의 목록도, 학습의 진행도 그대로 둡니다. 부른 쪽(train_epoch)이 그것으로 셉니다."""
    for record in accumulated:
        if record.left != len(record.group):
            shown = {"expected": f"배치 {len(record.group)}개", "got": f"{record.left}개"}
            fail(idea="인수", symptom="batches-changed", **shown)
        if record.moved:
            place = place_shown(record.moved[0])
            fail(idea="진행", expected="세지 않음", got=place, symptom="counted-here")


@todo("4-3")
def test_gradients_equal_those_of_one_big_batch(accumulated):
    """모인 기울기는 배치들을 이어 붙인 큰 배치의 것과 같습니다. 마지막의 작은 묶음도 그렇습니다."""
    before = torch.zeros_like(accumulated[0].grads)  # 앞의 스텝이 남긴 기울기
    for record in accumulated:
        count, want, got = len(record.group), record.want.grads, record.grads
        if "backward" not in record.beats:
            fail("역전파가 없어 기울기를 볼 수 없습니다.", idea="역전파", expected=f"{count}번", got="0번")
        if not close(got, want, ATOL):
            size = f"{float(want.norm()):.4f}", f"{float(got.norm()):.4f}"
            shown = {"idea": "기울기 누적", "expected": f"크기 {size[0]}", "got": f"크기 {size[1]}", "count": count}
            last = record.parts[-1].grads
            backwards = record.swapped.grads
            wrong = [
                ("zero-late", torch.zeros_like(want)),
                ("not-divided", want * count),
                ("fixed-divisor", want * count / 3),
                ("zero-inside", last),
                ("zero-inside", last / count),
                ("divided-twice", want / count),
                ("by-batch-size", want * count / 2),
                ("by-batch-size", want * count / LENGTH),
                ("by-batch-size", sum(one.grads / number for number, one in enumerate(record.parts, start=1))),
                ("inputs-as-targets", record.habits["copied"].grads),
                ("reversed-sign", -want),
                ("swapped-pair", backwards),
                ("shifted-again", record.habits["shifted-again"].grads),
                ("softmax-first", record.habits["softmax-first"].grads),
            ]
            for symptom, value in wrong:
                if matches(got, value, ATOL):
                    fail(symptom=symptom, **shown)
            if any(matches(got, before + one, ATOL) for one in (want, want * count, want * count / 3)):
                fail(symptom="no-zero-grad", **shown)
            fail("모인 기울기가 큰 배치 하나의 것과 다릅니다.", **shown)
        before = got


@todo("4-3")
def test_losses_and_accuracies_are_collected(accumulated):
    """돌려주는 손실과 정확도는 배치들의 평균이고, 손실에는 기울기가 매달려 있지 않습니다."""
    for record in accumulated:
        if record.result is None:  # 4-4가 비어 있어 끝까지 가지 못했습니다.
            return
        loss, accuracy = record.result
        if loss.requires_grad:
            shown = {"expected": "기울기가 없는 손실", "got": "기울기가 매달린 손실"}
            fail(idea="detach", symptom="attached", **shown)
        count, want = len(record.group), record.want
        shown = {"idea": "모으기", "expected": f"{want.loss:.4f}", "got": show(loss), "count": count}
        if not close(loss, want.loss, ATOL):
            if matches(loss, want.accuracy, ATOL) and matches(accuracy, want.loss, ATOL):
                fail(symptom="swapped-lists", **shown)
            if len({tuple(one.ids.flatten().tolist()) for one in record.seen}) < count:
                fail("배치를 모두 읽지 않아 평균이 다릅니다.", **shown)
            wrong = [
                ("scaled-loss", want.loss / count),
                ("scaled-loss", want.loss / 3),
                ("only-last", record.parts[-1].loss),
                ("only-last", record.parts[0].loss),
            ]
            for symptom, value in wrong:
                if matches(loss, value, ATOL):
                    fail(symptom=symptom, **shown)
            fail("돌려준 손실이 배치들의 평균과 다릅니다.", **shown)
        shown |= {"expected": f"{want.accuracy:.4f}", "got": show(accuracy)}
        if not close(accuracy, want.accuracy, ATOL):
            symptom = "only-last" if matches(accuracy, record.parts[-1].accuracy, ATOL) else None
            if matches(accuracy, want.of_inputs, ATOL):
                symptom = "accuracy-of-inputs"
            fail("돌려준 정확도가 배치들의 평균과 다릅니다.", symptom=symptom, **shown)
