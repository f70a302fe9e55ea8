"""4-8의 검사: 되돌리기."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace

import pytest
import torch

from course.checks.words import (
    assert_close,
    fail,
    known_as,
    matches,
    show,
    todo,
)
from nlpbook.checkpoints import rng_state, set_rng_state
from nlpbook.language.runs import RunFolder
from nlpbook.position import Position
from tests.task3_lm.checks.step4.common import (
    ATOL,
    BAD,
    BEST,
    NEEDED,
    PLACE,
    VOCAB,
    Bigram,
    adamw,
    building,
    draw,
    place_shown,
    same,
    seeded,
    train_three_steps,
    walk,
)


@known_as("Fabric")
class SecondOfThree:
    """세 프로세스 가운데 1번인 것처럼 보이는 Fabric."""

    global_rank, world_size, is_global_zero, local_rank = 1, 3, False, 1

    def __init__(self, fabric):
        self._fabric = fabric

    def __getattr__(self, name):
        return getattr(self._fabric, name)


def state_of(trainer, rng):
    """손으로 담은 체크포인트."""
    return {
        "model_state_dict": trainer.gpt.state_dict(),
        "optimizer_state_dict": trainer.optimizer.state_dict(),
        "scheduler_state_dict": trainer.scheduler.state_dict(),
        "position": dict(PLACE),
        "best_val_loss": BEST,
        "bad_epochs": BAD,
        "rng_states": rng,
        "epoch": PLACE["epoch"],
        "best_step": 2,
        "sums": torch.tensor([1.0, 0.5, 2.0]),
        "scaler_state_dict": {},
        "history": [{"step": 2, "val_loss": BEST}, {"step": 3, "val_loss": 2 * BEST}],  # 마지막이 가장 좋지는 않습니다.
        "config": trainer.config.to_dict(),
        "vocab_size": VOCAB,
        "tokenizer": "{}",
    }


def restore(trainer, path):
    """`load_checkpoint`를 부릅니다. 알아본 예외는 무엇이 틀렸는지로 바꿉니다."""
    try:
        trainer.load_checkpoint(path)
    except TypeError as error:
        if "list indices must be integers" in str(error):
            shown = {"expected": "이 프로세스의 난수(딕셔너리)", "got": "프로세스마다의 난수가 든 목록"}
            fail(idea="난수", symptom="all-ranks", **shown)
        raise
    except KeyError as error:
        if error.args[0] in ("param_groups", "state"):
            shown = {"expected": "옵티마이저의 상태", "got": "다른 것의 상태"}
            fail(idea="state_dict", symptom="other-state", **shown)
        if error.args[0] not in NEEDED:
            about = str(error.args[0])  # Fabric은 이름을 영어 문장에 담습니다: … a key 'model' that does not exist …
            quoted = re.search(r"'(\w+)'", about)
            name = about if len(about) < 30 else quoted[1] if quoted else "다른 이름"
            shown = {"expected": ", ".join(NEEDED), "got": name}
            fail(idea="체크포인트", symptom="other-name", **shown)
        raise


@pytest.fixture(scope="module")
def resumed(load, device, tmp_path_factory):
    """세 스텝을 배우고 저장한 학습과, 그 파일로 되돌린 새 Trainer. 세 프로세스 가운데 1번입니다."""
    with building(load, device) as new_trainer:
        return resume(new_trainer, tmp_path_factory.mktemp("resumed"))


def resume(new_trainer, folder):
    trained = train_three_steps(new_trainer, folder)
    mine = rng_state()
    others = []
    for seed in (11, 22):
        seeded(seed)
        others.append(rng_state())
    path = folder / "hand-made.pt"
    everyone = [others[0], mine, others[1]]
    torch.save(state_of(trained, everyone), path)
    # 되돌릴 Trainer는 이미 다른 곳까지 배웠고, 그 실행 폴더에는 다른 체크포인트가 있습니다.
    new = new_trainer(Bigram(dropout=0.5, seed=4), adamw, learning_rate=0.1, run_folder=RunFolder(folder / "elsewhere"))
    seeded(8)
    walk(new, 4)
    new.position, new.best_val_loss, new.bad_epochs, new.best_step = Position(2, 1, 8), 0.5, 1, 7
    save_elsewhere(new, everyone)
    fresh = SimpleNamespace(
        weights=new.gpt.values(),
        memory=[one["exp_avg"].clone() for one in new.optimizer.state_dict()["state"].values()],
        schedule=new.scheduler.last_epoch,
        position=Position(**vars(new.position)),
    )
    new.fabric = SecondOfThree(new.fabric)
    seeded(6)
    untouched = rng_state()
    restore(new, str(path))
    return SimpleNamespace(
        old=trained, new=new, fresh=fresh, rng=rng_state(), mine=mine, others=others, untouched=untouched
    )


def save_elsewhere(trainer, rng):
    """실행 폴더의 last.pt와 best_model.pt. 가중치가 모두 1씩 큽니다."""
    state = state_of(trainer, rng)
    state["model_state_dict"] = {name: one + 1 for name, one in state["model_state_dict"].items()}
    memory = state["optimizer_state_dict"]["state"].items()
    memory = {number: {**one, "exp_avg": one["exp_avg"] + 1} for number, one in memory}
    state["optimizer_state_dict"] = {**state["optimizer_state_dict"], "state": memory}
    trainer.run_folder.last_state.parent.mkdir(parents=True)
    for path in (trainer.run_folder.last_state, trainer.run_folder.best_model):
        torch.save(state, path)


def still_fresh(resumed):
    """되돌리기 전 그대로인 것: (가중치, 옵티마이저의 기억)."""
    memory = [one["exp_avg"] for one in resumed.new.optimizer.state_dict()["state"].values()]
    kept = not memory or all(matches(one, other, 0) for one, other in zip(memory, resumed.fresh.memory, strict=True))
    return matches(resumed.new.gpt.values(), resumed.fresh.weights, 0), kept


@todo("4-8")
def test_weights_are_restored(resumed):
    """가중치가 저장한 때와 같습니다."""
    got, want = resumed.new.gpt.values(), resumed.old.gpt.values()
    shown = {"expected": show(want[:3]), "got": show(got[:3])}
    if all(still_fresh(resumed)):
        fail(idea="이어 하기", symptom="nothing-loaded", **shown)
    if still_fresh(resumed)[0]:
        fail(idea="이어 하기", symptom="no-weights", **shown)
    if matches(got, resumed.fresh.weights + 1, ATOL):
        fail(idea="인수", symptom="other-file", **shown)
    assert_close(got, want, atol=0, idea="이어 하기", message="가중치가 저장한 때와 다릅니다.")


@todo("4-8")
def test_the_optimizer_remembers(resumed):
    """AdamW가 기억하던 기울기의 평균과 스텝 수가 돌아옵니다."""
    got, want = (one.optimizer.state_dict()["state"] for one in (resumed.new, resumed.old))
    nothing, kept = still_fresh(resumed)
    if not got or kept:
        shown = {"expected": f"파라미터 {len(want)}개의 평균", "got": "되돌리기 전 그대로" if got else "없음"}
        symptom = "nothing-loaded" if nothing else "no-optimizer"
        fail(idea="옵티마이저의 상태", symptom=symptom, **shown)
    for number, memory in want.items():
        for name, value in memory.items():
            message = f"옵티마이저의 {name}이(가) 저장한 때와 다릅니다."
            mine = got.get(number, {}).get(name, torch.zeros(0))
            assert_close(mine, value, atol=0, idea="옵티마이저의 상태", message=message)


@todo("4-8")
def test_the_schedule_goes_on(resumed):
    """학습률 스케줄이 멈춘 스텝에서 이어집니다."""
    got, want = (one.scheduler.last_epoch for one in (resumed.new, resumed.old))
    if got != want:
        shown = {"expected": f"{want}스텝", "got": f"{got}스텝"}
        start = resumed.fresh.schedule
        symptom = "no-scheduler" if got == start else "scheduler-replayed" if got > start else None
        fail("학습률 스케줄이 멈춘 스텝에 있지 않습니다.", idea="학습률 스케줄", symptom=symptom, **shown)


@todo("4-8")
def test_the_learning_rate_is_the_saved_one(resumed):
    """다음 스텝의 학습률이 저장한 때의 것입니다."""
    memory, wanted = (one.optimizer.state_dict()["state"] for one in (resumed.new, resumed.old))
    other = not all(number in memory and same(memory[number], one) for number, one in wanted.items())
    if other or resumed.new.scheduler.last_epoch != resumed.old.scheduler.last_epoch:  # 다른 검사가 말합니다.
        fail("옵티마이저나 스케줄러부터 다릅니다.", idea="학습률 스케줄", expected="저장한 때와 같음", got="다름")
    got, want = ([group["lr"] for group in one.optimizer.param_groups] for one in (resumed.new, resumed.old))
    if not all(math.isclose(one, other) for one, other in zip(got, want, strict=True)):
        shown = {"expected": show(want), "got": show(got)}
        fail(idea="학습률 스케줄", symptom="lr-reset", **shown)


@todo("4-8")
def test_the_rest_is_restored_too(resumed):
    """자리 아래의 줄들까지 가서, 가장 좋은 스텝과 에포크의 손실 합도 돌아옵니다."""
    if resumed.new.best_step != 2:
        shown = {"expected": "best_step = 2", "got": f"best_step = {resumed.new.best_step}"}
        fail(idea="return", symptom="early-return", **shown)


@todo("4-8")
def test_the_position_is_restored(resumed):
    """몇 에포크, 몇 배치, 몇 스텝까지 왔는지 되살아납니다."""
    got, want = resumed.new.position, Position(**PLACE)
    shown = {"idea": "Position", "expected": place_shown(want), "got": place_shown(got)}
    if not isinstance(got, Position) or any(not isinstance(one, int) for one in vars(got).values()):
        fail(symptom="position-dict", **shown)
    if got == resumed.fresh.position:
        fail(symptom="no-position", **shown)
    if got != want:
        fail(symptom="other-position", **shown)


@todo("4-8")
def test_the_best_values_are_restored(resumed):
    """가장 좋은 값과 나아지지 않은 에포크의 수가 돌아옵니다."""
    got, want = [resumed.new.best_val_loss, resumed.new.bad_epochs], [BEST, BAD]
    shown = {"idea": "조기 종료", "expected": str(want), "got": str(got)}
    if got == want[::-1]:
        fail(symptom="swapped-best", **shown)
    if got[0] != BEST:
        fail(symptom="no-best", **shown)
    if got[1] != BAD:
        fail(symptom="no-best", **shown)


@todo("4-8")
def test_random_numbers_go_on(resumed):
    """난수는 이 프로세스가 저장한 자리에서 이어집니다."""
    got, want = draw(resumed.rng), draw(resumed.mine)
    if any(got == draw(other) for other in resumed.others):
        shown = {"expected": "1번 프로세스의 난수", "got": "다른 프로세스의 난수"}
        fail(idea="난수", symptom="wrong-rank", **shown)
    shown = {"idea": "난수", "expected": show(want), "got": show(got)}
    if got == draw(resumed.untouched):
        fail(symptom="no-rng", **shown)
    if not any(one == other for one, other in zip(got, want, strict=True)):
        fail(symptom="reseeded", **shown)
    names = ("파이썬", "NumPy", "PyTorch")
    wrong = ", ".join(name for name, one, other in zip(names, got, want, strict=True) if one != other)
    if wrong:
        fail(symptom="some-rng", wrong=wrong, **shown)


@todo("4-8")
def test_two_more_steps_are_the_same_as_never_stopping(resumed):
    """이어 한 두 스텝의 가중치가 한 번도 멈추지 않은 학습과 비트까지 같습니다."""
    set_rng_state(resumed.mine)
    walk(resumed.old, 2)
    set_rng_state(resumed.rng)
    resumed.new.gpt.train()
    walk(resumed.new, 2)
    got, want = resumed.new.gpt.values(), resumed.old.gpt.values()
    message = "이어 한 학습이 멈추지 않은 학습과 달라졌습니다."
    assert_close(got, want, atol=0, idea="이어 하기", message=message)
