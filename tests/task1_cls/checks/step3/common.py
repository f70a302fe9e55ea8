"""3단계의 검사들이 함께 쓰는 것."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

import torch
from torch.nn.functional import cross_entropy
from torch.overrides import TorchFunctionMode

from course.checks.recognising import explained, recognise, require_dtype, require_shape
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_close, assert_equal, close, fail, matches, show
from tests.task1_cls.checks import support

COUNT = 7  # 배치의 예문 수. 라벨 수와도, 설정의 배치 크기와도 다릅니다.
ATOL = 1e-4  # CPU와 CUDA fp32의 차이는 1e-6쯤, 가장 가까운 실수(토큰 하나를 덜 본 것)는 1e-2쯤입니다.


def asked(step: Callable, *inputs: Any) -> Any:
    """한 스텝의 결과. 모델이나 accuracy가 받을 수 없는 것을 건네어 멈췄으면, 무엇을 건넸는지 말합니다."""
    with explained(partial(_explain, given=inputs[0]), partial(_explain_third, step=step, inputs=inputs)):
        return step(*inputs)


TENSORS_OWN = "argmax|softmax|log_softmax|sigmoid|float|max|detach|squeeze|topk|dim|gather"


def _explain(error: Exception, given: Any) -> None:
    if not isinstance(error, (AttributeError, TypeError, ValueError)):
        return
    if shapes := re.match(r"예측 (\(.*?\))과 라벨 (\(.*?\))의 모양이 다릅니다", str(error)):
        message = "accuracy에 건넨 둘의 모양이 다릅니다."
        fail(message, idea="argmax의 축", expected=shapes[2], got=shapes[1], symptom="acc-shapes")
    kind = re.search(rf"'(\w+)' object has no attribute '(?:{TENSORS_OWN})'|must be Tensor, not (\w+)", str(error))
    kind = kind and (kind[1] or kind[2])
    if kind == "str":
        got_names()
    if kind and kind.endswith("Output"):
        fail(idea="모델의 출력", expected="로짓(Tensor)", got=kind, symptom="whole-output")
    files = [frame.filename.replace("\\", "/") for frame in traceback.extract_tb(error.__traceback__)]
    in_model = "/transformers/" in files[-1] and any(file.endswith("torch/nn/modules/module.py") for file in files)
    if not in_model or isinstance(error, ValueError):
        return
    kind = re.search(r"'(\w+)' object has no attribute", str(error))
    if kind and kind[1] == "str" and isinstance(given, dict):
        got_names()
    got = kind[1] if kind else "ndarray" if "not callable" in str(error) else "BatchEncoding"
    fail(idea="모델의 입력", expected="input_ids 등의 텐서", got=got, symptom="not-tensors")


def _explain_third(error: Exception, step: Callable, inputs: tuple[Any, ...]) -> None:
    """이름 없이 건넨 라벨이 token_type_ids의 자리로 들어가 멈췄는지, 모델이 무엇을 받는지 다시 보며 묻습니다."""
    labels = inputs[0].get("labels") if isinstance(inputs[0], dict) else None
    if labels is None or not isinstance(error, (RuntimeError, IndexError)):
        return
    seen: list[tuple[Any, ...]] = []
    watching = step.__self__.lang_model.register_forward_pre_hook(lambda _, given: seen.append(given))
    try:
        with suppress(Exception):
            step(*inputs)
    finally:
        watching.remove()
    third = seen[-1][2] if seen and len(seen[-1]) > 2 else None
    if isinstance(third, torch.Tensor) and matches(third, labels, 0):
        shape = tuple(labels.shape)
        shown = {"expected": "labels=…", "got": f"모양 {shape}인 세 번째 인수", "symptom": "third-argument"}
        fail("모델이 라벨을 token_type_ids의 자리에서 받았습니다.", idea="인수의 이름", **shown)


def got_names() -> NoReturn:
    fail(idea="딕셔너리의 이름과 값", expected="Tensor", got="str", symptom="names-not-values")


def outputs_of(got, names, todo_name):
    """결과가 딕셔너리이고 이름들이 있는지."""
    if not isinstance(got, dict) or any(name not in got for name in names):
        kind = sorted(got) if isinstance(got, dict) else type(got).__name__
        fail(f"{todo_name}의 결과에 빠진 것이 있습니다.", idea="단계의 약속", expected=", ".join(names), got=kind)
    return got


def evaluated(model, step, batch, names):
    """평가 한 스텝의 결과. 모델은 부르기 전과 같이 평가 모드이고, 결과는 모두 텐서입니다."""
    kept = {"settings": model.config, "weights": model, "modes": model, "gradients": model, "random_state": True}
    with no_side_effects(inputs=batch, **kept):
        got = outputs_of(asked(getattr(model, step), batch, 0), names, step)
    for name in names:
        if isinstance(got[name], tuple) and hasattr(got[name], "indices"):
            fail(idea="argmax", expected="(배치,) 텐서", got="값과 번호의 짝", symptom="max-pair")
        if not isinstance(got[name], torch.Tensor):
            kind = type(got[name]).__name__
            fail(idea="자료형", expected="텐서", got=kind, symptom="not-tensor", name=name)
        if got[name].requires_grad:
            fail(idea="no_grad", expected="기울기 없음", got="기울기가 이어짐", symptom="graph-kept", name=name)
    return got


def check_mode_stays(model, step, batch, names):
    """평가 한 스텝은 모드를 바꾸지 않습니다. 학습 도중에 불러도, 모드는 부른 쪽의 것입니다."""
    evaluated(model, step, batch, names)  # 평가 모드에서 학습 모드로 바꾸었다는 것은 여기서 말합니다.
    if any(part.training for part in model.modules()):
        return
    model.train()
    with no_side_effects(modes=model):
        asked(getattr(model, step), batch, 0)


def alone(model, step, batch, names):
    """첫 예문 하나뿐인 배치의 결과. 여럿일 때는 있던 배치 축이 사라졌으면 그렇다고 말합니다."""
    whole = evaluated(model, step, batch, names)
    one = {name: tensor[:1].clone() for name, tensor in batch.items()}
    usual = {name: tuple(whole[name].shape) for name in names}
    if any(shape[:1] != (COUNT,) for shape in usual.values()):
        return None  # 여럿일 때부터 틀린 모양은 다른 검사가 말합니다.
    try:
        got = evaluated(model, step, one, names)
    except (IndexError, RuntimeError, ValueError) as error:
        squeezed("(1, …)", type(error).__name__)
    for name, shape in usual.items():
        want = (1, *shape[1:])
        if tuple(got[name].shape) != want:
            squeezed(want, tuple(got[name].shape), name)
    return {name: (got[name], whole[name][:1]) for name in names}


def squeezed(expected, got, name="로짓") -> NoReturn:
    fail(idea="크기가 1인 축", expected=expected, got=got, symptom="squeezed", name=name)


def unmasked_logits(model, batch):
    """attention_mask를 건네지 않았을 때의 로짓."""
    return support.reference_logits(model, {**batch, "attention_mask": torch.ones_like(batch["attention_mask"])})


def preds_of(model, step, names, batch):
    return evaluated(model, step, batch, names)["preds"]


def check_predictions(preds, labels, logits, batch, again, dim0="softmax-dim0"):
    """예측은 문장마다 하나이고, 라벨 축에서 가장 큰 것입니다.

    Args:
        labels: 학생이 정답이라고 담은 것. 예측과 맞바꾸었는지 봅니다.
        again: 다른 배치의 예측. 배치 축에서 견주었는지, 정해 둔 문턱과 견주었는지를 가립니다.
        dim0: 배치 축의 softmax에서 고른 예측의 증상.
    """
    if matches(preds, batch["labels"], 0) and matches(labels, logits.argmax(dim=-1), 0):
        fail(idea="예측과 정답", expected=show(labels), got=show(preds), symptom="preds-labels-swapped")
    check_every_row(preds, batch, logits, again)
    count, labels = logits.shape
    shapes = {(labels,): "argmax-dim0", (): "argmax-flat", (count, labels): "no-argmax", (count, 1): "keepdim"}
    require_shape(preds, (count,), idea="argmax의 축", what="예측", wrong=shapes)
    want = logits.argmax(dim=-1)
    wrong = [
        ("argmin", logits.argmin(dim=-1)),
        ("max-values", logits.max(dim=-1).values),
        ("correct-flags", want == batch["labels"]),
        (dim0, logits.softmax(dim=0).argmax(dim=-1)),
        ("labels-as-preds", batch["labels"]),
        ("threshold", logits[:, 1] > 0),
    ]
    if not close(preds, want, 0):
        across = logits.softmax(dim=0).argmax(dim=-1)
        alone = {name: one[across.argmax()][None] for name, one in batch.items()}
        if matches(preds, across, 0) and again(alone).any():  # 문장이 하나면 배치 축의 확률은 모두 1입니다.
            wrong = [(symptom, value) for symptom, value in wrong if symptom != dim0]
        recognise(preds, wrong, atol=ATOL, idea="argmax", expected=str(want.tolist()), shown=preds.flatten().tolist())
    assert_close(preds, want, atol=0, idea="argmax", message="예측이 가장 큰 로짓의 라벨과 다릅니다.")
    require_dtype(preds, torch.int64, "preds", symptom="not-int64")


def check_every_row(preds, batch, logits, again):
    """배치의 예문을 골라내지 않고 모두 돌려주는지. 정답을 뒤집은 배치로 한 번 더 물어, 무엇을 골라냈는지 봅니다."""
    want, labels = logits.argmax(dim=-1), batch["labels"]
    picked = {"틀린": lambda labels: want[want != labels], "맞힌": lambda labels: want[want == labels]}
    for rows, pick in picked.items() if preds.shape != want.shape else ():
        other = 1 - labels
        if matches(preds, pick(labels), 0) and matches(again({**batch, "labels": other}), pick(other), 0):
            shown = {"expected": f"{len(want)}개", "got": f"{len(preds)}개", "rows": rows}
            fail(idea="예문의 수", symptom="part-of-rows", **shown)


def check_labels(got, batch, logits):
    want = batch["labels"]
    assert_equal(tuple(got.shape), tuple(want.shape), idea="정답", message="labels의 모양이 배치의 라벨과 다릅니다.")
    if matches(got, logits.argmax(dim=-1), 0):
        fail(idea="정답", expected=show(want), got=show(got), symptom="labels-are-preds")
    assert_close(got, want, atol=0, idea="정답", message="labels가 배치의 라벨과 다릅니다.")
    require_dtype(got, torch.int64, "labels", symptom="not-int64")


# ── 3-1 학습 한 스텝


def smoothed(logits, labels, reduction):
    """라벨을 부드럽게 한(label smoothing) 손실들."""
    shares = (0.01, 0.05, 0.1, 0.2, 0.3)
    losses = (cross_entropy(logits, labels, reduction=reduction, label_smoothing=one) for one in shares)
    return [("label-smoothing", loss) for loss in losses]


# ── 3-2 검증 한 스텝

VALIDATED, TESTED = ("preds", "labels", "loss"), ("preds", "labels", "probs")


def check_alone(found):
    """예문이 하나뿐이어도 같은 예측과 정답입니다."""
    for name in ("preds", "labels") if found else ():
        got, want = found[name]
        assert_close(got, want, atol=0, idea="크기가 1인 축", message=f"예문이 하나뿐인 배치의 {name}이(가) 다릅니다.")


class MovesToCpu(TorchFunctionMode):
    """블록 안에서 CPU로 옮긴 텐서를 모읍니다. CPU에서는 옮겨도 같은 텐서이므로, 새 이름표(view)를 붙여 구별합니다."""

    def __init__(self):
        super().__init__()
        self.moved = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        named = [one for one in (*args[1:], *(kwargs or {}).values()) if isinstance(one, str)]
        if func is torch.Tensor.cpu or (func is torch.Tensor.to and "cpu" in named):
            made = made.view_as(made)
            self.moved.append(made)
        return made


def check_together(model, step, batch, symptom=None):
    """예측과 정답이 같은 장치에 있는지, GPU 없이 봅니다. 하나만 CPU로 옮기면 GPU에서는 둘을 견줄 수 없습니다."""
    with MovesToCpu() as moves:
        got = getattr(model, step)(batch, 0)
    moved = [any(got[name] is one for one in moves.moved) for name in ("preds", "labels")]
    others = [one for one in moves.moved if not any(one is value for value in got.values())]
    if moved[0] != moved[1] and not others:
        name = "preds" if moved[0] else "labels"
        more = {"expected": "preds와 labels가 같은 장치", "got": f"{name}만 CPU", "symptom": symptom, "name": name}
        fail("예측과 정답이 다른 장치에 있습니다.", idea="장치", **more)


def check_half_model(model, step, batch, names, name, want):
    """모델의 가중치가 bfloat16이어도 `name`은 32비트 실수인지. `want`는 이 모델에서 옳은 값입니다."""
    usual = evaluated(model, step, batch, names)[name]
    if usual.dtype != torch.float32 or not matches(usual, want, ATOL):
        return  # 언제나 틀린 것은 다른 검사가 말합니다.
    model.lang_model.bfloat16()
    require_dtype(evaluated(model, step, batch, names)[name], torch.float32, name, symptom="half-model")


def check_float32(got, name):
    """손실과 확률은 32비트 실수입니다. 실수가 아닌 것은 값을 견주는 검사가 말합니다."""
    if got.is_floating_point():
        require_dtype(got, torch.float32, name, symptom="not-float32")
