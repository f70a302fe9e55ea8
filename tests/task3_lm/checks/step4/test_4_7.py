"""4-7의 검사: 남기기."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import pytest
import torch

from course.checks.words import (
    assert_close,
    assert_equal,
    fail,
    known_as,
    matches,
    show,
    todo,
)
from nlpbook.checkpoints import rng_state, set_rng_state
from nlpbook.paths import portable
from tests.task3_lm.checks.step4.common import (
    BAD,
    BEST,
    NEEDED,
    PLACE,
    Bigram,
    adamw,
    building,
    draw,
    place_shown,
    same,
    train_three_steps,
    walk,
)

REST = {
    "scaler_state_dict": "no-rest",
    "best_step": "no-rest",
    "sums": "no-rest",
    "history": "no-rest",
    "config": "no-description",
    "vocab_size": "no-description",
    "tokenizer": "no-description",
}
WHOLE = {**NEEDED, **REST}
OTHER_SUMS = [10.25, 3.5, 4.0]  # 다른 프로세스의 합
BEST_STEP, SUMS, SCALER = 11, [13.5, 2.25, 6.0], {"scale": 1024.0, "growth": 17}
HISTORY = [{"step": 1, "val_loss": BEST}, {"step": 3, "val_loss": 2 * BEST}]


@pytest.fixture(scope="module")
def saved(load, device, tmp_path_factory):
    """`save_checkpoint()`가 남긴 파일의 내용과, 저장할 때의 난수."""
    with building(load, device) as new_trainer:
        trained = train_three_steps(new_trainer, tmp_path_factory.mktemp("saved"))
        trained.best_step = BEST_STEP
        trained.sums.copy_(torch.tensor(SUMS))
        trained.tracker.history = [dict(row) for row in HISTORY]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trained.fabric.strategy.precision, "state_dict", lambda: dict(SCALER))
            patch.setattr(trained.fabric, "all_reduce", reduced)
            return save(trained, load(4), patch)


def reduced(value, group=None, reduce_op="mean"):
    """이 프로세스의 값이 `value`이고 다른 프로세스의 것이 `OTHER_SUMS`일 때의 평균이나 합."""
    total = value + torch.tensor(OTHER_SUMS, device=value.device)
    return total / 2 if str(reduce_op).lower() in ("mean", "avg") else total


def written_by_the_second(trained, step4, patch):
    """두 프로세스 가운데 1번이 `save_state`에 건넨 것들. 저장은 모든 프로세스가 함께 합니다."""
    written = []
    real = trained.fabric
    patch.setattr(step4, "save_state", lambda fabric, path, state: written.append(state))
    patch.setattr(step4, "all_rng_states", lambda fabric: [rng_state(), rng_state()])
    trained.fabric = SecondOfTwo(real)
    try:
        trained.save_checkpoint()
    finally:
        trained.fabric = real
    return written


@known_as("Fabric")
class SecondOfTwo:
    """두 프로세스 가운데 1번인 것처럼 보이는 Fabric."""

    global_rank, world_size, is_global_zero, local_rank = 1, 2, False, 1

    def __init__(self, fabric):
        self._fabric = fabric

    def __getattr__(self, name):
        return getattr(self._fabric, name)


def save(trained, step4, patch):
    mine, before = rng_state(), copy_of(trained)
    folder = trained.run_folder
    try:
        trained.save_checkpoint()
        state = torch.load(folder.last_state, map_location="cpu", weights_only=True)
        changed = next((name for name, one in before.items() if not same(one, copy_of(trained)[name])), None)
        set_rng_state(mine)
        trained.save_checkpoint(best=True)
        again = torch.load(folder.last_state, map_location="cpu", weights_only=True)
        second = written_by_the_second(trained, step4, patch)
        trained.run_folder = None
        trained.save_checkpoint()
    except UnboundLocalError as error:
        if "'state'" not in str(error):
            raise
        trained.save_checkpoint(best=True)  # 이것도 멈추면, 어느 때에도 담지 않은 것입니다.
        shown = {"expected": "언제나 딕셔너리", "got": "best일 때만 딕셔너리"}
        fail(idea="조건", symptom="only-when-best", **shown)
    except (pickle.UnpicklingError, pickle.PicklingError, AttributeError, TypeError) as error:
        about = str(error)
        unpicklable = "pickle" in about or "local object" in about
        if "|=" in about or (isinstance(error, AttributeError) and error.obj is None and not unpicklable):
            not_a_state(about)
        if not unpicklable and "Unpickler" not in about and not isinstance(error, pickle.UnpicklingError):
            raise
        kind = next((name for name in ("Position", "Scheduler", "LambdaLR") if name in about), "메서드나 객체")
        shown = {"expected": "텐서, 수, 글과 그것들의 딕셔너리", "got": kind}
        fail(idea="체크포인트", symptom="whole-object", **shown)
    finally:
        trained.run_folder = folder
    return SimpleNamespace(
        trainer=trained,
        folder=folder,
        state=state,
        again=again,
        mine=mine,
        before=before,
        changed=changed,
        second=second,
    )


def not_a_state(about):
    """state가 딕셔너리가 아니거나, 실행 폴더가 없는 학습도 여기에서 파일에 쓰려 했습니다."""
    quoted = about.split("'")
    got = quoted[1] if "|=" in about else "실행 폴더가 없으면 멈추는 코드"
    shown = {"expected": "딕셔너리", "got": "None" if got == "NoneType" else got}
    fail(idea="딕셔너리", symptom="saved-here", **shown)


def copy_of(trainer):
    """저장해도 그대로여야 하는 것들의 사본."""
    return {
        "가중치": {name: one.detach().clone() for name, one in trainer.gpt.state_dict().items()},
        "진행": vars(trainer.position).copy(),
        "best_val_loss": trainer.best_val_loss,
        "bad_epochs": trainer.bad_epochs,
        "스케줄러": trainer.scheduler.last_epoch,
        "모드": trainer.gpt.training,
        "손실의 합": trainer.sums.clone(),
    }


def content_of(value):
    """저장된 것이 무엇인지, 화면에 보일 글."""
    if not isinstance(value, dict):
        return show(value) if isinstance(value, (int, float, str)) else f"{type(value).__name__}"
    if "param_groups" in value:
        return "옵티마이저의 state_dict"
    if "last_epoch" in value:
        return "스케줄러의 state_dict"
    if value and all(isinstance(one, torch.Tensor) for one in value.values()):
        return "가중치"
    return show(value)


@todo("4-7")
def test_everything_is_saved_under_its_name(saved):
    """그대로 이어 하는 데 필요한 것이 모두, load_checkpoint가 찾는 이름으로 있습니다."""
    state = saved.state
    missing = [name for name in WHOLE if name not in state]
    if not missing:
        return
    extra = sorted(map(str, state.keys() - WHOLE.keys()))
    shown = {"idea": "체크포인트", "expected": missing[0], "name": missing[0]}
    if extra:
        fail(symptom="other-name", **shown, got=", ".join(extra))
    shown["got"] = ", ".join(name for name in WHOLE if name in state) or "없음"
    fail(symptom=WHOLE[missing[0]], **shown)


@todo("4-7")
def test_the_best_state_is_as_complete_as_the_last(saved):
    """가장 좋을 때의 저장에도 모든 것이 있습니다. 그 파일(last.pt)에서도 이어 하기 때문입니다."""
    missing = [name for name in WHOLE if name in saved.state and name not in saved.again]
    if missing:
        shown = {"expected": ", ".join(WHOLE), "got": ", ".join(name for name in WHOLE if name in saved.again)}
        fail(idea="체크포인트", symptom="best-incomplete", missing=", ".join(missing), **shown)
    for name in ("position", "best_val_loss", "bad_epochs"):
        one, other = saved.state.get(name), saved.again.get(name)
        message = f"가장 좋을 때(best=True)에 저장한 {name}이(가) 다릅니다."
        assert_equal(other, one, idea="체크포인트", message=message)


@todo("4-7")
def test_saving_changes_nothing(saved):
    """저장은 담기만 합니다. 저장한 뒤의 학습은 저장하지 않은 것과 같아야 합니다."""
    if saved.changed:
        shown = {"expected": f"그대로인 {saved.changed}", "got": f"달라진 {saved.changed}"}
        fail(idea="체크포인트", symptom="saving-changes", **shown)


def kept(saved, name):
    """저장된 것 하나. 이름이 틀렸거나 저장하면서 바뀐 것은 앞의 검사가 말합니다."""
    state = saved.state
    if saved.changed:
        shown = {"expected": "그대로", "got": f"달라진 {saved.changed}"}
        fail("저장하면서 학습의 상태가 바뀌어 볼 수 없습니다.", idea="체크포인트", **shown)
    if name not in state:
        fail(f"{name}이(가) 없어 볼 수 없습니다.", idea="체크포인트", expected=name, got="없음")
    return state[name]


@todo("4-7")
def test_weights_and_the_optimizer_are_saved(saved):
    """가중치와 옵티마이저의 기억이 저장할 때와 같습니다."""
    weights = kept(saved, "model_state_dict")
    wanted = saved.before["가중치"]
    shown = {"idea": "state_dict", "expected": "모델의 가중치", "got": content_of(weights)}
    if isinstance(weights, dict) and weights and weights.keys() < wanted.keys():
        missing = ", ".join(name for name in wanted if name not in weights)
        shown |= {"expected": ", ".join(wanted), "got": ", ".join(weights), "missing": missing}
        fail(symptom="some-weights", **shown)
    if not isinstance(weights, dict) or weights.keys() != wanted.keys():
        fail(symptom="other-state", **shown)
    for name, one in wanted.items():
        lossy = weights[name].dtype != one.dtype or matches(weights[name], one, 0.05)
        more = {"idea": "state_dict", "symptom": "lossy-weights" if lossy else "other-state"}
        if weights[name].dtype != one.dtype:
            fail(expected=str(one.dtype), got=str(weights[name].dtype), **more)
        assert_close(weights[name], one, atol=0, **more)
    memory, wanted = kept(saved, "optimizer_state_dict"), saved.trainer.optimizer.state_dict()
    if (
        not isinstance(memory, dict)
        or memory.keys() != wanted.keys()
        or memory["state"].keys() != wanted["state"].keys()
    ):
        shown |= {"expected": "옵티마이저의 state_dict", "got": content_of(memory)}
        fail(symptom="other-state", **shown)


@todo("4-7")
def test_the_schedule_and_the_position_are_saved(saved):
    """스케줄러와 진행이 저장할 때와 같습니다."""
    schedule, wanted = kept(saved, "scheduler_state_dict"), saved.trainer.scheduler.state_dict()
    if not isinstance(schedule, dict) or schedule.get("last_epoch") != wanted["last_epoch"]:
        shown = {"idea": "state_dict", "expected": "스케줄러의 state_dict", "got": content_of(schedule)}
        fail(symptom="other-state", **shown)
    position = kept(saved, "position")
    if position != PLACE:
        shown = {"idea": "Position", "expected": place_shown(PLACE), "got": place_shown(position)}
        whole = isinstance(position, dict) and position.keys() == PLACE.keys()
        symptom = "moved-position" if whole else "other-position"
        fail(symptom=symptom, **shown)


@todo("4-7")
def test_the_best_values_are_saved(saved):
    """가장 좋은 값과 나아지지 않은 에포크의 수가 저장할 때와 같습니다."""
    got = [kept(saved, name) for name in ("best_val_loss", "bad_epochs")]
    got = [one.item() if isinstance(one, torch.Tensor) and one.numel() == 1 else one for one in got]
    if got != [BEST, BAD]:
        shown = {"idea": "조기 종료", "expected": f"{BEST}, {BAD}", "got": ", ".join(map(repr, got))}
        if isinstance(got[0], (float, torch.Tensor)) and matches(got[0], BEST, 0.05) and got[1] == BAD:
            fail(symptom="rounded-best", **shown)
        fail(symptom="other-best", **shown)


@todo("4-7")
def test_what_else_resuming_needs_is_saved(saved):
    """16비트의 배율, 가장 좋은 스텝, 에포크의 합과 기록이 저장할 때와 같습니다."""
    mean = (torch.tensor(SUMS) + torch.tensor(OTHER_SUMS)) / 2
    if same(torch.tensor(SUMS), kept(saved, "sums")):
        fail(idea="여러 프로세스", symptom="own-sums", expected=show(mean), got=show(torch.tensor(SUMS)))
    wanted = {"scaler_state_dict": SCALER, "best_step": BEST_STEP, "sums": mean, "history": HISTORY}
    require_same(saved, wanted)


@todo("4-7")
def test_every_process_saves(saved):
    """저장은 모든 프로세스가 함께 합니다. 흩어진 가중치를 모으려면 모두가 있어야 하기 때문입니다."""
    if not saved.second:
        fail(idea="여러 프로세스", expected="모든 프로세스가 저장", got="1번 프로세스는 하지 않음", symptom="zero-only")


@todo("4-7")
def test_the_file_tells_which_model_it_holds(saved):
    """설정과 어휘의 크기, 토크나이저가 지금 모델의 것입니다."""
    trainer = saved.trainer
    config = portable(trainer.config.to_dict(), saved.folder.path)
    require_same(saved, {"config": config, "vocab_size": trainer.gpt.vocab_size, "tokenizer": "{}"})


def require_same(saved, wanted):
    for name, one in wanted.items():
        got = kept(saved, name)
        if not same(one, got):
            if isinstance(one, dict) and isinstance(got, dict):
                keys = [key for key in [*one, *got] if one.get(key) != got.get(key)][:2]
                one, got = ({key: held[key] for key in keys if key in held} for held in (one, got))
            fail(idea="체크포인트", symptom="other-rest", name=name, expected=show(one), got=show(got))


@todo("4-7")
def test_random_states_of_every_process_are_saved(saved):
    """난수는 모든 프로세스의 것이 목록으로 있습니다."""
    everyone = kept(saved, "rng_states")
    if not isinstance(everyone, (list, tuple)) or len(everyone) != 1 or not isinstance(everyone[0], dict):
        shown = {"expected": "프로세스마다의 난수가 든 목록", "got": type(everyone).__name__}
        fail(idea="난수", symptom="other-rng", **shown)
    of_two = saved.second[0].get("rng_states") if saved.second and isinstance(saved.second[0], dict) else everyone * 2
    if isinstance(of_two, (list, tuple)) and len(of_two) != 2:
        shown = {"expected": "프로세스 2개의 난수", "got": f"프로세스 {len(of_two)}개의 난수"}
        fail(idea="난수", symptom="rng-of-one", **shown)
    if draw(everyone[0]) != draw(saved.mine):
        want, got = (f"이어 뽑으면 {show(draw(one))}인 난수" for one in (saved.mine, everyone[0]))
        fail(idea="난수", symptom="other-rng", expected=want, got=got)


@todo("4-7")
def test_a_run_started_from_the_file_is_the_same(saved, new_trainer):
    """저장된 것만으로 이어 간 두 스텝이, 멈추지 않은 두 스텝과 비트까지 같습니다."""
    state = saved.state
    if any(name not in state for name in NEEDED) or not isinstance(state["rng_states"], list) or saved.changed:
        fail("빠진 것이 있어 이어 갈 수 없습니다.", idea="이어 하기", expected=", ".join(NEEDED), got="일부")
    set_rng_state(saved.mine)
    walk(saved.trainer, 2)
    other = new_trainer(Bigram(dropout=0.5, seed=4), adamw, learning_rate=0.1)
    other.gpt.load_state_dict(state["model_state_dict"], strict=False)  # 빠진 이름은 앞의 검사가 말합니다.
    other.optimizer.load_state_dict(state["optimizer_state_dict"])
    other.scheduler.load_state_dict(state["scheduler_state_dict"])
    set_rng_state(state["rng_states"][0])
    walk(other, 2)
    message = "저장된 상태로 이어 간 학습이 멈추지 않은 학습과 달라졌습니다."
    assert_close(other.gpt.values(), saved.trainer.gpt.values(), atol=0, idea="이어 하기", message=message)
