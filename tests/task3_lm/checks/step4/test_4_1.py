"""4-1의 검사: 끝났는가."""

from __future__ import annotations

import math
from functools import cache
from types import SimpleNamespace

from course.checks.words import (
    fail,
    show,
    todo,
)
from nlpbook.position import Position
from tests.task3_lm.checks import support
from tests.task3_lm.checks.step4.common import BATCHES, EPOCHS, PER_EPOCH


@cache
def plain_settings():
    return vars(support.tiny_config(grad_accumulation=2))


def finished_at(bare, epoch, patience, bad_epochs, walked=0):
    """그때의 답. `walked`는 이 에포크에서 더 배웠지만 아직 마무리하지 않은 스텝의 수입니다."""
    trainer = bare(
        position=Position(epoch, walked * 2, epoch * PER_EPOCH + walked),
        config=SimpleNamespace(**{**plain_settings(), "num_epochs": EPOCHS, "patience": patience}),
        bad_epochs=bad_epochs,
        best_val_loss=1.5 if epoch > bad_epochs else math.inf,
        best_step=(epoch - bad_epochs) * PER_EPOCH if epoch > bad_epochs else None,
        steps_per_epoch=PER_EPOCH,
        total_steps=EPOCHS * PER_EPOCH,
        train_loader=[None] * BATCHES,
    )
    before = state_of_walk(trainer)
    done = trainer.finished
    if done is None or done is ... or callable(done) or isinstance(done, str):
        shown = {"expected": "참 또는 거짓", "got": show(done)}
        fail(idea="조건", symptom="not-a-truth", **shown)
    after, again = state_of_walk(trainer), trainer.finished
    if after != before or bool(again) != bool(done):
        name = next((name for name in before if before[name] != after[name]), None)
        shown = {"expected": f"{name} = {show(before[name])}", "got": f"{name} = {show(after[name])}"} if name else {}
        shown = shown or {"expected": "두 번 모두 같은 답", "got": f"{show(done)}, {show(again)}"}
        fail(idea="property", symptom="asking-changes", **shown)
    return bool(done)


def state_of_walk(trainer):
    """학습의 진행을 적은 값들."""
    names = ("bad_epochs", "best_val_loss", "best_step")
    settings = {name: getattr(trainer.config, name) for name in ("num_epochs", "patience")}
    return {name: getattr(trainer, name) for name in names} | vars(trainer.position) | settings


def should_finish(epoch, patience, bad_epochs):
    return epoch >= EPOCHS or (patience > 0 and bad_epochs >= patience)


CASES = [(e, p, b) for e in (0, 1, 2, 3, 4, 5) for p in (0, 1, 2, 3) for b in (0, 1, 2, 3, 4) if b <= e]
EPOCH_RULES = {
    None: lambda e: e >= EPOCHS,
    "one-epoch-more": lambda e: e > EPOCHS,
    "one-epoch-less": lambda e: e + 1 >= EPOCHS,
    "exact-epoch": lambda e: e == EPOCHS,
    "only-early-stopping": lambda e: False,
}
PATIENCE_RULES = {
    None: lambda e, p, b: p > 0 and b >= p,
    "always-patience": lambda e, p, b: b >= p,
    "one-late": lambda e, p, b: p > 0 and b > p,
    "one-soon": lambda e, p, b: p > 0 and b + 1 >= p,
    "exact-patience": lambda e, p, b: p > 0 and b == p,
    "no-early-stopping": lambda e, p, b: False,
    "any-bad": lambda e, p, b: p > 0 and b > 0,
    "epochs-as-bad": lambda e, p, b: p > 0 and e >= p,
    "epochs-as-limit": lambda e, p, b: p > 0 and b >= EPOCHS,
    "only-patience": lambda e, p, b: p > 0,
    "zero-as-one": lambda e, p, b: b >= max(p, 1),
    "multiples": lambda e, p, b: p > 0 and b % p == 0,
    "later-multiples": lambda e, p, b: p > 0 and b > 0 and b % p == 0,
}
STOPPING = {
    **{name: lambda e, p, b, rule=rule: e >= EPOCHS or rule(e, p, b) for name, rule in PATIENCE_RULES.items() if name},
    **{
        name: lambda e, p, b, rule=rule: rule(e) or (p > 0 and b >= p)
        for name, rule in EPOCH_RULES.items()
        if name is not None
    },
    "both-needed": lambda e, p, b: e >= EPOCHS and p > 0 and b >= p,
    "both-if-patient": lambda e, p, b: e >= EPOCHS and (p == 0 or b >= p),
    "wrong-group": lambda e, p, b: (e >= EPOCHS or p > 0) and b >= p,
    "patience-guards-all": lambda e, p, b: p > 0 and (e >= EPOCHS or b >= p),
    "reversed": lambda e, p, b: not should_finish(e, p, b),
    "always": lambda e, p, b: True,
    "never": lambda e, p, b: False,
    "exact": lambda e, p, b: e == EPOCHS or (p > 0 and b == p),
}
STOP_NAMES = {
    "one-epoch-less": "one-epoch-more",
    "always": "reversed",
    "both-if-patient": "both-needed",
    "later-multiples": "multiples",
    "exact-epoch": "exact",
    "exact-patience": "exact",
    "only-early-stopping": "no-last-epoch",
    "never": "no-last-epoch",
    "one-soon": "one-late",
    "zero-as-one": "always-patience",
    "any-bad": "other-patience",
    "epochs-as-bad": "other-patience",
    "epochs-as-limit": "other-patience",
    "only-patience": "other-patience",
}


def stopping_rule(got):
    """그 답들을 내는 규칙의 이름과, 그 규칙이 틀리게 답하는 경우들. 두 가지를 함께 틀렸으면 기다림 쪽을 말합니다."""
    for name, rule in STOPPING.items():
        if all(got[case] == bool(rule(*case)) for case in CASES):
            return name, [case for case in CASES if got[case] != should_finish(*case)]
    for first, of_epochs in EPOCH_RULES.items():
        for second, of_patience in PATIENCE_RULES.items():
            if first and second and all(got[c] == bool(of_epochs(c[0]) or of_patience(*c)) for c in CASES):
                own = [c for c in CASES if bool(STOPPING[second](*c)) == got[c] != should_finish(*c)]
                return (second, own) if own else (None, [])
    return None, []


@todo("4-1")
def test_training_ends_at_the_right_epoch(bare):
    """정한 에포크를 모두 마쳤거나, patience만큼 나아지지 않으면 끝입니다."""
    got, unset = {}, None
    for case in CASES:
        try:
            got[case] = finished_at(bare, *case)
        except UnboundLocalError as error:
            if "'done'" not in str(error):
                raise
            unset = error
    if unset is not None:
        if not got:  # 어느 때에도 담기지 않았습니다. 이름의 철자가 다른지도 모릅니다.
            raise unset
        shown = {"expected": "참 또는 거짓", "got": "아무것도 담기지 않음"}
        fail(idea="조건", symptom="not-a-truth", **shown)
    wrong = [case for case in CASES if got[case] != should_finish(*case)]
    if not wrong:
        return
    name, own = stopping_rule(got)
    case = (own or wrong)[0]
    epoch, patience, bad = case
    words = {True: "끝", False: "계속"}
    fail(
        f"{EPOCHS}에포크 가운데 {epoch}에포크를 마치고 {bad}에포크째 그대로일 때(patience {patience})가 다릅니다.",
        idea="조기 종료",
        expected=words[should_finish(*case)],
        got=words[got[case]],
        symptom=STOP_NAMES.get(name, name),
        epoch=epoch,
        patience=patience,
        bad=bad,
    )


@todo("4-1")
def test_only_finished_epochs_count(bare):
    """스텝이 아니라 마친 에포크로 정합니다. 에포크의 중간이나, 마지막 스텝 뒤 아직 검증하지 않은 때도 그렇습니다."""
    for case in CASES:
        if case[0] < EPOCHS:
            for walked in (2, PER_EPOCH):
                whole, part = finished_at(bare, *case), finished_at(bare, *case, walked=walked)
                if whole != part:
                    words = {True: "끝", False: "계속"}
                    shown = {"expected": words[should_finish(*case)], "got": words[part], "walked": walked}
                    fail(idea="에포크와 스텝", symptom="by-steps", **shown)
