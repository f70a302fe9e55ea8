"""4-5의 검사: 좋은 것만 남기기."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from course.checks.words import assert_close, assert_equal, fail, known_as, matches, show, todo
from nlpbook.checkpoints import LAST, CheckpointSaver
from nlpbook.position import Position
from tests.task1_cls.checks.step4.common import PER_EPOCH, WithDropout

# 검증마다의 (손실, 정확도). 어느 쪽에도 같은 값이 두 번 나오고, 남은 것 가운데 가장 나쁜 것과 비기기도 합니다. 넷째나
# 다섯째 자리에서야 갈리는 값들도 있습니다. 파일 이름에는 여섯째 자리까지 적힙니다.
VALUES = [
    (0.623418, 0.503164),
    (0.571206, 0.701427),
    (0.581952, 0.603142),
    (0.571248, 0.603142),
    (0.571132, 0.603218),
    (0.713091, 0.701427),
    (0.571109, 0.701451),
    (0.492315, 0.402633),
    (0.571109, 0.752318),
]


@known_as("CheckpointSaver")
class WatchedSaver(CheckpointSaver):
    """무엇을 저장했는지 적어 두는 saver."""

    def __init__(self, *args):
        super().__init__(*args)
        self.saved, self.asked = [], []
        self.metrics, self.step = {}, 0  # 지금의 검증 값과 스텝 수

    def is_worth_keeping(self, value):
        self._must_be_a_number(value)
        self.asked.append((value, self.metrics))
        return super().is_worth_keeping(value)

    def best(self):
        if not self.checkpoints():
            shown = {"expected": "is_worth_keeping", "got": "best"}
            fail(idea="남길 것 고르기", symptom="best-of-none", **shown)
        return super().best()

    @staticmethod
    def _must_be_a_number(value):
        if isinstance(value, (str, dict, list, tuple)) or value is None:
            got = f"'{value}'(이)라는 글" if isinstance(value, str) else type(value).__name__
            shown = {"expected": "수", "got": got, "symptom": "not-a-number"}
            fail(idea="saver.metric", **shown)

    def save_best(self, weights, value, step):
        if isinstance(value, bool):
            shown = {"expected": show(self.metrics[self.metric]), "got": value, "symptom": "kept-answer"}
            fail(idea="is_worth_keeping", **shown)
        if isinstance(weights, (int, float)) or (isinstance(step, float) and isinstance(value, int)):
            kinds = " · ".join(type(one).__name__ for one in (weights, value, step))
            fail(
                idea="save_best의 인수",
                expected="가중치(dict) · 값(float) · 스텝 수(int)",
                got=kinds,
                symptom="swapped",
            )
        if not isinstance(weights, dict) or not all(isinstance(one, torch.Tensor) for one in weights.values()):
            got = type(weights).__name__
            fail(idea="state_dict", expected="이름 → 텐서", got=got, symptom="not-weights")
        self._must_be_a_number(value)
        if not isinstance(step, (int, float)):
            shown = {"expected": "스텝 수(int)", "got": type(step).__name__}
            fail(idea="진행", symptom="wrong-step", **shown)
        weights_then = {name: one.clone() for name, one in weights.items()}
        then = {"weights": weights_then, "metrics": self.metrics, "step_then": self.step}
        self.saved.append(SimpleNamespace(value=value, step=step, **then))
        return super().save_best(weights, value, step)


def fill(model, number):
    """검증마다 다른 가중치. 16비트로는 그대로 담을 수 없는 값들입니다."""
    generator = torch.Generator().manual_seed(60 + number)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


def keep_all(new_trainer, device, folder, saving_mode, num_saving, again_at=0, values=VALUES):
    """검증 값들을 차례로 건넵니다. 검증할 때마다 가중치가 달라집니다.

    Args:
        again_at: 이만큼 검증한 뒤에는 새 루프가 같은 폴더에서 이어 합니다.
        values: 검증마다의 (손실, 정확도).

    Returns:
        (saver, 저장했어야 하는 것들). 저장했어야 하는 것은 (값, 스텝 수, 가중치).
    """
    saver = WatchedSaver(folder, saving_mode, num_saving)
    model = WithDropout(device)
    held, want = [], []
    for number, (loss, acc) in enumerate(values, start=1):
        if number in (1, again_at + 1):
            trainer = new_trainer(model=model, saver=saver, steps_per_epoch=PER_EPOCH, total_steps=100)
            trainer.config.learning.saving_mode, trainer.config.learning.num_saving = saving_mode, num_saving
            trainer.save_checkpoint = lambda: (folder / LAST).touch()
        step = number * 7
        trainer.position = Position(step // PER_EPOCH, step % PER_EPOCH, step)
        fill(model, number)
        value = acc if saving_mode.endswith("val_acc") else loss
        goodness = value if saving_mode.startswith("max") else -value
        if len(held) < num_saving or goodness > held[-1]:
            held = sorted([*held, goodness], reverse=True)[:num_saving]
            want.append((value, step, {k: v.clone() for k, v in model.plain[0].state_dict().items()}))
        saver.metrics, saver.step = {"val_loss": loss, "val_acc": acc}, step
        given = dict(saver.metrics)
        try:
            trainer.keep_if_good(given)
        except KeyError as error:
            if isinstance(name := error.args[0], str) and name not in saver.metrics:
                shown = {"expected": f"val_loss 또는 val_acc(지금은 {saver.metric})", "got": name}
                fail(idea="saver.metric", symptom="wrong-key", **shown)
            raise
        if given != saver.metrics:
            shown = {"expected": ", ".join(saver.metrics), "got": ", ".join(given) or "빈 딕셔너리"}
            fail(idea="부른 쪽의 값", symptom="changed-metrics", **shown)
    return saver, want


def check_saved(saver, want, saving_mode):
    got, values = [one.value for one in saver.saved], [value for value, _, _ in want]
    if got == values:
        return
    name_metric(saver)
    shown = {"idea": "남길 것 고르기", "mode": saving_mode}
    shown |= {"expected": f"{len(want)}번 저장", "got": f"{len(got)}번 저장"}
    if not got:
        never_saved(saver, shown)
    if got == [value for value in values for _ in range(2)]:
        fail(symptom="saved-twice", **shown)
    symptom = next((name for name, saved in habits(saver) if got == saved), None)
    if symptom == "always-save":
        fail(symptom=symptom, **shown)
    message = f"{saving_mode}일 때 저장할 것을 빠뜨렸거나, 저장하지 않을 것을 저장했습니다."
    fail(message, symptom=symptom, **{**shown, "expected": show(values), "got": show(got)})


def name_metric(saver):
    """saver에 건넨 값이 saver.metric의 것이 아니면 실패합니다."""
    used = [*saver.asked, *((one.value, one.metrics) for one in saver.saved)]
    other = "val_loss" if saver.metric == "val_acc" else "val_acc"
    shown = {"idea": "saving_mode", "expected": saver.metric}
    if used and all(value == metrics[other] for value, metrics in used):
        fail(got=other, symptom="fixed-metric", **shown)
    for value, metrics in used:
        if any(value == round(one, digits) for one in metrics.values() for digits in range(6) if value != one):
            shown = {"idea": "saver.metric", "expected": metrics[saver.metric], "got": value}
            fail(symptom="rounded", **shown)
        if value not in metrics.values():
            shown = {"idea": "saver.metric", "expected": metrics[saver.metric], "got": value}
            fail(symptom="changed-value", **shown)
    if any(value != metrics[saver.metric] for value, metrics in used):
        got = "val_loss와 val_acc를 섞음"
        fail(got=got, symptom="mixed-metrics", **shown)


def habits(saver):
    """흔한 실수가 저장하는 값들. `held`는 남아 있는 것들, 좋은 것부터입니다. 이 안에서는 클수록 좋습니다."""
    sign, count = (1 if saver.higher_is_better else -1), saver.num_saving
    values = [sign * (loss if saver.metric == "val_loss" else acc) for loss, acc in VALUES]
    rules = [
        ("always-save", lambda one, held: True),
        ("only-first", lambda one, held: not held),
        ("ties", lambda one, held: len(held) < count or one >= held[-1]),
        ("only-best", lambda one, held: not held or one > held[0]),
        ("wrong-direction", lambda one, held: len(held) < count or sign * one > min(sign * two for two in held)),
        ("wrong-direction", lambda one, held: not held or sign * one > sign * held[0]),
    ]
    for least in (1e-4, 1e-3, 1e-2):  # 이만큼은 나아져야 한다고 여길 때
        rules.append(("margin", lambda one, held, least=least: len(held) < count or one > held[-1] + least))
    made = []
    for name, is_worth in rules:
        held, saved = [], []
        for value in values:
            if is_worth(value, held):
                saved.append(sign * value)
                held = sorted([*held, value], reverse=True)[:count]
        made.append((name, saved))
    return made


def never_saved(saver, shown):
    """`save_best`를 한 번도 부르지 않았습니다."""
    if files := sorted(path.name for path in saver.folder.iterdir()):
        fail(symptom="own-file", **{**shown, "got": files[0]})
    fail(symptom="never-saved", **shown)


MODES = pytest.mark.parametrize(
    ("saving_mode", "num_saving"), [("max val_acc", 2), ("min val_loss", 2), ("min val_loss", 1), ("max val_loss", 2)]
)


@todo("4-5")
@pytest.mark.parametrize(("saving_mode", "values"), [("max val_acc", [(0.7, 0.0)]), ("min val_loss", [(0.0, 1.0)])])
def test_zero_is_a_value_too(new_trainer, device, tmp_path, saving_mode, values):
    """검증 값이 0이어도, 남길 자리가 있으면 저장합니다."""
    usual, want = keep_all(new_trainer, device, tmp_path / "usual", saving_mode, 2)
    if [one.value for one in usual.saved] != [value for value, _, _ in want]:
        return  # 보통의 값에서도 틀린 것은 다른 검사가 말합니다.
    saver, _ = keep_all(new_trainer, device, tmp_path / "zero", saving_mode, 2, values=values)
    if not saver.saved:
        fail(idea="참과 거짓", expected="0도 저장", got="저장하지 않음", symptom="zero-skipped", metric=saver.metric)


@todo("4-5")
@MODES
def test_only_the_good_ones_are_saved(new_trainer, device, tmp_path, saving_mode, num_saving):
    """saving_mode가 고르는 값으로, 남길 만한 것만 저장합니다."""
    saver, want = keep_all(new_trainer, device, tmp_path, saving_mode, num_saving)
    check_saved(saver, want, saving_mode)


@todo("4-5")
@MODES
def test_the_step_is_written(new_trainer, device, tmp_path, saving_mode, num_saving):
    """스텝 수는 처음부터 센 것입니다."""
    saver, _ = keep_all(new_trainer, device, tmp_path, saving_mode, num_saving)
    for one in saver.saved:
        if one.step != one.step_then:
            shown = {"expected": one.step_then, "got": one.step}
            fail(idea="진행", symptom="wrong-step", **shown)


@todo("4-5")
def test_the_weights_of_that_moment_are_saved(new_trainer, device, tmp_path):
    """그때의 lang_model의 가중치를, lang_model의 이름으로 저장합니다."""
    saver, want = keep_all(new_trainer, device, tmp_path, "max val_acc", 2)
    for one, (_, _, weights) in zip(saver.saved, want, strict=False):
        if set(one.weights) != set(weights):
            fail(
                idea="state_dict",
                expected=sorted(weights)[0],
                got=sorted(one.weights)[0] if one.weights else "없음",
                symptom="wrong-weights",
            )
        for name, tensor in weights.items():
            for kind in (torch.float16, torch.bfloat16):
                if not matches(one.weights[name], tensor, 0) and matches(one.weights[name], tensor.to(kind), 0):
                    kinds = [str(each).removeprefix("torch.") for each in (tensor.dtype, kind)]
                    shown = {"expected": kinds[0], "got": kinds[1], "name": name, "metric": saver.metric}
                    fail(idea="자료형", symptom="rounded-weights", **shown)
            assert_close(
                one.weights[name], tensor, atol=0, idea="state_dict", message=f"저장한 {name}이 그때의 것과 다릅니다."
            )


@todo("4-5")
def test_the_best_come_first_in_the_folder(new_trainer, device, tmp_path):
    """폴더에는 좋은 것부터 num_saving개가 남습니다."""
    saver, _ = keep_all(new_trainer, device, tmp_path, "min val_loss", 2)
    kept = [one.value for one in saver.checkpoints()]
    assert_equal(
        kept,
        sorted(loss for loss, _ in VALUES)[:2],
        idea="남길 것 고르기",
        message="남은 체크포인트가 다릅니다.",
    )


@todo("4-5")
@pytest.mark.parametrize(("saving_mode", "num_saving"), [("max val_acc", 2), ("min val_loss", 1)])
def test_a_resumed_training_asks_the_folder(new_trainer, device, tmp_path, saving_mode, num_saving):
    """이어 하는 학습은 앞서 남긴 체크포인트와도 견줍니다."""
    first, _ = keep_all(new_trainer, device, tmp_path / "first", saving_mode, num_saving)
    saver, want = keep_all(new_trainer, device, tmp_path / "again", saving_mode, num_saving, again_at=2)
    got, values = [one.value for one in saver.saved], [value for value, _, _ in want]
    symptom = "own-memory" if got != [one.value for one in first.saved] else None
    message = "이어 하는 학습이 폴더에 남아 있는 것과 견주지 않았습니다."
    assert_equal(got, values, idea="이어 하기", message=message, symptom=symptom)
