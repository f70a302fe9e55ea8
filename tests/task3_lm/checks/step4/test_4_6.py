"""4-6의 검사: 가장 좋은 것."""

from __future__ import annotations

import math

from course.checks.words import (
    assert_equal,
    fail,
    todo,
)
from nlpbook.position import Position

VAL_LOSSES = [3.0, 2.0, 2.5, 2.0, 2.25, 1.99, 1.99, 2.01, 1.0, 1.25, 1.0 - 1e-7, 0.5]
SMALL = 0.02  # 이보다 작게 나아진 것을 세지 않았다면, 얼마 넘게 나아지기를 바란 것입니다.


def habit(improves=lambda loss, best, last: loss < best, reset=True, count=True, keep=True, first=False):
    """검증 손실들에 그 버릇대로 답한 기록. `first`면 첫 손실은 적기만 하고 세지도 않습니다."""
    best, bad, last, rows = math.inf, 0, math.inf, []
    for loss in VAL_LOSSES:
        improved = improves(loss, best, last)
        only_noted = first and last == math.inf
        best = loss if improved and keep or only_noted else best
        bad = (0 if reset else bad) if improved else bad + bool(count and not only_noted)
        last = loss
        rows.append((improved, best, bad))
    return rows


def count_then_more():
    """나아졌으면 0으로 되돌리고, 그런 뒤에 언제나 하나를 세는 버릇."""
    best, bad, rows = math.inf, 0, []
    for loss in VAL_LOSSES:
        improved = loss < best
        best, bad = (loss, 1) if improved else (best, bad + 1)
        rows.append((improved, best, bad))
    return rows


def only_worse_counts():
    """가장 낮은 값과 같은 것은 나아진 것으로도, 나아지지 않은 것으로도 세지 않는 버릇."""
    best, bad, rows = math.inf, 0, []
    for loss in VAL_LOSSES:
        bad = 0 if loss < best else bad + (loss > best)
        rows.append((loss < best, min(loss, best), bad))
        best = min(loss, best)
    return rows


def every_count():
    """나아졌든 아니든 에포크마다 세는 버릇."""
    return [(improved, best, number) for number, (improved, best, _) in enumerate(habit(), start=1)]


def min_first():
    """가장 낮은 값을 먼저 고치고 나서 견주는 버릇. 제 값과 견주므로 나아지는 일이 없습니다."""
    return [(False, best, number) for number, (_, best, _) in enumerate(habit(), start=1)]


def latest_as_best():
    """나아지지 않아도 가장 낮은 값을 지금 것으로 고치는 버릇."""
    return [(row[0], loss, row[2]) for row, loss in zip(habit(lambda a, _, last: a < last), VAL_LOSSES, strict=True)]


def judged(bare):
    """검증 손실마다 `is_best`가 답한 것과 고쳐 적은 것, 그리고 best_step."""
    trainer = bare(position=Position(0, 0, 0), best_step=None)
    rows, steps = [], []
    for number, loss in enumerate(VAL_LOSSES, start=1):
        trainer.position = Position(number, 0, number * 3)
        try:
            improved = trainer.is_best(loss)
        except UnboundLocalError as error:
            if not rows or "'improved'" not in str(error):
                raise
            shown = {"expected": "improved = False", "got": "improved가 없음"}
            fail(idea="조건", symptom="unset", **shown)
        except AttributeError as error:
            if error.obj is not trainer:
                raise
            shown = {"expected": "self.best_val_loss, self.bad_epochs", "got": f"self.{error.name}"}
            fail(idea="속성", symptom="other-attribute", **shown)
        rows.append((bool(improved), trainer.best_val_loss, trainer.bad_epochs))
        steps.append(trainer.best_step)
    return rows, steps


@todo("4-6")
def test_best_and_patience_are_counted(bare):
    """가장 낮은 값과, 나아지지 않은 에포크의 수를 에포크마다 맞게 고쳐 적습니다."""
    rows, steps = judged(bare)
    want = habit()
    if rows == want:
        best = [3, 6, 6, 6, 6, 18, 18, 18, 27, 27, 33, 36]  # 가장 낮은 값이 나온 스텝
        if steps != best:
            number = next(index for index, (one, two) in enumerate(zip(steps, best, strict=True)) if one != two)
            shown = {"expected": f"best_step = {best[number]}", "got": f"best_step = {steps[number]}"}
            early = steps == [None] * len(best)
            message = "가장 좋은 스텝(best_step)이 적히지 않았습니다."
            fail(message, idea="return", symptom="early-return" if early else None, **shown)
        return
    habits = {
        "tie-counts": habit(lambda loss, best, _: loss <= best),
        "reversed": [(not row[0], *row[1:]) for row in want],
        "upside-down": habit(lambda loss, best, _: loss > best),
        "first-ignored": habit(lambda loss, best, _: loss < best < math.inf, first=True),
        "not-reset": habit(reset=False),
        "not-counted": habit(count=False),
        "not-kept": habit(keep=False),
        "versus-last": latest_as_best(),
        "always-counts": every_count(),
        "tie-ignored": only_worse_counts(),
        "counted-steps": [(*row[:2], row[2] * 3) for row in want],
        "min-first": min_first(),
    }
    names = [name for name, one in habits.items() if rows == one]
    if rows == habit(lambda loss, best, _: loss > best or best == math.inf):
        names = ["upside-down"]
    if rows == count_then_more():
        names = ["always-counts"]
    if not names and all(row[0] for row in rows):
        names = ["not-kept"]
    if not names and [row[:2] for row in rows] == [row[:2] for row in want] and {row[2] for row in rows} <= {0, 1}:
        names = ["not-added"]
    number = next(index for index, (one, two) in enumerate(zip(rows, want, strict=True)) if one != two)
    parts = ("improved", "best_val_loss", "bad_epochs")
    which = next(i for i in range(3) if rows[number][i] != want[number][i])
    if not names and number > 0 and 0 < want[number - 1][1] - VAL_LOSSES[number] < SMALL and not rows[number][0]:
        names = ["min-delta"]
    if not names and which == 2 and want[number][0] and rows[number][2] > 0:
        names = ["not-reset"]
    shown = {"expected": f"{parts[which]} = {want[number][which]}", "got": f"{parts[which]} = {rows[number][which]}"}
    fail(
        f"검증 손실이 차례로 {', '.join(map(str, VAL_LOSSES[: number + 1]))}일 때 {parts[which]}이(가) 다릅니다.",
        idea="가장 좋은 모델",
        symptom=names[0] if names else None,
        loss=VAL_LOSSES[number],
        best=want[number - 1][1] if number else math.inf,
        **shown,
    )


@todo("4-6")
def test_the_best_of_a_resumed_run_is_not_forgotten(bare):
    """이어 하는 학습은 저장된 값에서 이어 셉니다."""
    trainer = bare(best_val_loss=1.25, bad_epochs=2, best_step=6, position=Position(3, 0, 9))
    first = bool(trainer.is_best(1.5)), trainer.best_val_loss, trainer.bad_epochs
    second = bool(trainer.is_best(0.5)), trainer.best_val_loss, trainer.bad_epochs
    for got, want in ((first, (False, 1.25, 3)), (second, (True, 0.5, 0))):
        assert_equal(
            got, want, idea="이어 하기", message="저장된 값에서 이어 세지 않았습니다(나아짐, 가장 낮은 값, 수)."
        )
    trainer = bare(best_val_loss=0.0, bad_epochs=0, best_step=6, position=Position(3, 0, 9))
    got = bool(trainer.is_best(0.25)), trainer.best_val_loss, trainer.bad_epochs
    more = {}
    if got == (True, 0.25, 0) and first == (False, 1.25, 3):
        more = {"symptom": "zero-as-unset"}
    assert_equal(got, (False, 0.0, 1), idea="가장 좋은 모델", **more)
