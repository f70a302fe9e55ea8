"""부작용을 보는 낱말들: 자리의 코드가 부른 쪽의 것을 바꾸어 놓지 않는지.

    with no_side_effects(inputs=batch, settings=model.config, weights=model, modes=model, gradients=model):
        got = model.validation_step(batch, 0)

값이 옳아도 이것이 어긋나면 다른 곳에서 탈이 납니다. 그래서 자리의 코드를 부르는 곳에서는 언제나 함께 봅니다.
어긋난 것마다의 말은 어느 TODO에나 있습니다(`course/book/common.yaml`). 그 TODO에 맞는 말은 표에 같은 증상으로 적습니다.
"""

from __future__ import annotations

import copy
import random
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from course.checks.words import fail, show


@contextmanager
def no_side_effects(
    *,
    inputs: Mapping[str, Any] | None = None,
    settings: Any = None,
    weights: Any = None,
    modes: Any = None,
    gradients: Any = None,
    random_state: bool = False,
) -> Iterator[None]:
    """블록을 지나도 이것들이 그대로인지, 적은 차례대로 봅니다. 블록이 멈추면 보지 않습니다.

    Args:
        inputs: 이름 → 건넨 것. 건넨 사전을 그대로 주면, 더하거나 뺀 것도 봅니다.
        settings: `to_dict()`가 있는 설정.
        weights, modes: `nn.Module`. 가중치와, 부품마다의 train/eval을 봅니다.
        gradients: `nn.Module`이나 텐서들. 모아 둔 기울기를 봅니다.
        random_state: 전역 난수 생성기들을 쓰지 않아야 하는가.
    """
    kept: list[Kept] = []
    if inputs is not None:
        kept.append(InputsKept(inputs))
    if settings is not None:
        kept.append(SettingsKept(settings))
    if weights is not None:
        kept.append(WeightsKept(weights))
    if modes is not None:
        kept.append(ModesKept(modes))
    if gradients is not None:
        kept.append(GradientsKept(gradients))
    if random_state:
        kept.append(RandomStateKept())
    yield
    for one in kept:
        one.check()


class Kept(ABC):
    """만들 때의 모습을 적어 두고, `check`할 때 그대로인지 봅니다."""

    @abstractmethod
    def check(self) -> None:
        """달라졌으면 `fail`합니다."""


class InputsKept(Kept):
    """건넨 것들. 텐서는 값과 자료형을, 나머지는 `==`를 봅니다."""

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self._inputs = inputs
        self._things = dict(inputs)
        self._before = {name: _copied(one) for name, one in inputs.items()}

    def check(self) -> None:
        changed = [name for name in self._before if not self._is_same(name)]
        changed += [name for name in self._inputs if name not in self._before]
        if changed:
            names = ", ".join(changed[:3]) + (f" 등 {len(changed)}개" if len(changed) > 3 else "")
            fail(idea="부작용", expected="그대로", got=f"바뀐 {names}", symptom="inputs-changed", name=names)

    def _is_same(self, name: str) -> bool:
        """이름에 담긴 것도, 처음에 담겨 있던 것도 그대로인가. 같은 값의 새것으로 바꾸어 담은 것은 괜찮습니다."""
        before = self._before[name]
        return name in self._inputs and _equal(self._inputs[name], before) and _equal(self._things[name], before)


class SettingsKept(Kept):
    """설정의 모든 값. 학생에게는 `config.data.name`처럼 적습니다.

    Args:
        name: 학생이 설정을 부르는 이름.
    """

    def __init__(self, settings: Any, name: str = "config") -> None:
        self._settings, self._name = settings, name
        self._before = self._now()

    def check(self) -> None:
        now = self._now()
        for name, want in self._before.items():
            got = now.get(name)
            if got != want:
                fail(idea="부작용", expected=show(want), got=show(got), symptom="settings-changed", name=name)

    def _now(self) -> dict[str, Any]:
        return dict(_flattened(self._settings.to_dict(), self._name))


class WeightsKept(Kept):
    """모듈의 파라미터들. 같은 값을 다시 담은 것도, 자료형을 바꾼 것도 고친 것입니다."""

    def __init__(self, module: Any) -> None:
        self._versions = [(one, one._version, one.dtype) for one in module.parameters()]

    def check(self) -> None:
        for one, version, dtype in self._versions:
            if one.dtype != dtype:
                kinds = [str(kind).removeprefix("torch.") for kind in (dtype, one.dtype)]
                fail(idea="자료형", expected=kinds[0], got=kinds[1], symptom="weights-cast")
            if one._version != version:
                fail(idea="한 스텝의 나눔", expected="그대로", got="바뀐 가중치", symptom="weights-changed")


class ModesKept(Kept):
    """모듈의 부품마다의 학습 모드와 평가 모드."""

    def __init__(self, module: Any) -> None:
        self._modes = [(part, part.training) for part in module.modules()]

    def check(self) -> None:
        for part, before in self._modes:
            if part.training and not before:
                fail(idea="train/eval", expected="평가 모드", got="학습 모드", symptom="train-mode")
            if before and not part.training:
                fail(idea="train/eval", expected="학습 모드", got="평가 모드", symptom="eval-mode")


class GradientsKept(Kept):
    """모듈의 파라미터나 텐서마다 모아 둔 기울기."""

    def __init__(self, owner: Any) -> None:
        tensors = owner.parameters() if hasattr(owner, "parameters") else owner
        self._grads = [(one, None if one.grad is None else one.grad.clone()) for one in tensors]

    def check(self) -> None:
        for one, before in self._grads:
            now = one.grad
            if before is not None and before.any() and (now is None or not now.any()):
                fail(idea="한 스텝의 나눔", expected="그대로", got="지운 기울기", symptom="grads-cleared")
            if now is not None and (before is None or not _equal(now, before)):
                fail(idea="한 스텝의 나눔", expected="기울기 없음", got="기울기 있음", symptom="backward-inside")


class RandomStateKept(Kept):
    """전역 난수 생성기들: 파이썬, NumPy, PyTorch(CPU와 CUDA)."""

    def __init__(self) -> None:
        self._before = _random_states()

    def check(self) -> None:
        if _random_states() != self._before:
            fail(idea="난수", expected="난수 없이", got="난수", symptom="random-used")


def _random_states() -> list[Any]:
    torch, numpy = sys.modules["torch"], sys.modules.get("numpy")
    states = [random.getstate(), torch.get_rng_state().tolist()]
    if torch.cuda.is_initialized():
        states.append([one.tolist() for one in torch.cuda.get_rng_state_all()])
    if numpy is not None:
        kind, keys, *rest = numpy.random.get_state()
        states.append([kind, keys.tolist(), *rest])
    return states


def _flattened(values: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{path}.{name}")
        else:
            yield f"{path}.{name}", value


def _copied(value: Any) -> Any:
    return value.detach().clone() if _is_tensor(value) else copy.deepcopy(value)


def _equal(now: Any, before: Any) -> bool:
    """텐서라면 모양과 자료형과 모든 값이 같은가. 제자리의 NaN은 같은 것으로 봅니다."""
    if not _is_tensor(before):
        return bool(now == before)
    if not _is_tensor(now) or now.shape != before.shape or now.dtype != before.dtype:
        return False
    return bool(((now == before) | ((now != now) & (before != before))).all())


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")  # 아무도 불러오지 않았다면 텐서일 리 없습니다.
    return torch is not None and isinstance(value, torch.Tensor)


class Devices:
    """`on_one_device`가 블록 안에서 본 것.

    Attributes:
        left: 장치를 적지 않고(또는 `"cpu"`라고 적어) 만든 텐서들. GPU의 모델 곁에서도 CPU에 있습니다.
        is_mixed: 그런 텐서가 다른 텐서와 한 계산에 들어갔는가.
        is_numpy: CPU로 옮기지 않은 텐서를 NumPy의 것으로 바꾸었는가.
    """

    def __init__(self, expected: str) -> None:
        self._expected = expected
        self._home: list[Any] = []  # CPU로 옮긴 것과, 그것만으로 셈한 것들
        self.left: list[Any] = []
        self.is_mixed = False
        self.is_numpy = False
        self.nailed: tuple[Any, ...] = ("cpu",)  # 어느 장치인지 묻지 않고 CPU라고 못 박은 것들

    def require_moved(self, got: Any) -> None:
        """자리의 코드가 돌려준 텐서가 CPU에 남은 것이면 `fail`합니다."""
        if any(got is one for one in self.left):
            fail(idea="장치", expected=self._expected, got="언제나 CPU", symptom="other-device")

    def check(self) -> None:
        if self.is_mixed:
            fail(idea="장치", expected=self._expected, got="언제나 CPU", symptom="other-device")
        if self.is_numpy:
            fail(idea="장치", expected="CPU로 옮긴 텐서", got="옮기지 않은 텐서", symptom="numpy-on-device")

    def saw(self, func: Any, args: Any, kwargs: Mapping[str, Any], made: Any) -> None:
        """계산 하나를 적어 둡니다: 무엇을 무엇으로 셈해 `made`가 나왔는지."""
        torch = sys.modules["torch"]
        tensors = [one for one in _leaves([*args, *kwargs.values()]) if _is_tensor(one) and one.dim()]
        left = [one for one in tensors if _has(self.left, one)]
        home = [one for one in tensors if _has(self._home, one)]
        to_cpu = func is torch.Tensor.cpu or (func is torch.Tensor.to and _says_cpu([*args[1:], *kwargs.values()]))
        if func in (torch.Tensor.numpy, torch.Tensor.__array__):
            self.is_numpy |= not kwargs.get("force") and len(left) + len(home) < len(tensors)
        elif to_cpu or (tensors and len(home) == len(tensors)):
            self._home.append(made)
        if func in _movers(torch):
            self.left = [one for one in self.left if one is not made]
            if func is torch.Tensor.__getitem__ and _has(left, args[0]):
                self.left.append(made)  # 자른 것은 자르기 전의 것과 같은 장치에 있습니다.
        elif left and len(left) < len(tensors):
            self.is_mixed = True
        elif _is_tensor(made) and (left or (func in _makers(torch) and _stays_home(kwargs, self.nailed))):
            self.left.append(made)


def _makers(torch: Any) -> tuple[Any, ...]:
    names = ("arange", "tensor", "zeros", "ones", "full", "empty", "eye", "rand", "randn", "linspace", "as_tensor")
    return tuple(getattr(torch, name) for name in names)


def _movers(torch: Any) -> tuple[Any, ...]:
    tensor = torch.Tensor
    return (tensor.to, tensor.type_as, tensor.__getitem__, tensor.__setitem__)


def _stays_home(kwargs: Mapping[str, Any], nailed: tuple[Any, ...]) -> bool:
    """GPU에서 불러도 CPU의 텐서를 만드는가. 다른 텐서의 장치는 글이 아니라 `torch.device`로 옵니다."""
    device = kwargs.get("device")
    stays = any(type(device) is type(one) and device == one for one in nailed)
    return (device is None or stays) and kwargs.get("out") is None


def _is_device(value: Any) -> bool:
    return isinstance(value, sys.modules["torch"].device)


def _says_cpu(values: list[Any]) -> bool:
    return any(str(one) == "cpu" for one in values if isinstance(one, str) or _is_device(one))


def _leaves(values: list[Any]) -> Iterator[Any]:
    """인수들과, 목록으로 건넨 것 속의 것들(`torch.cat([…])`)."""
    for one in values:
        if isinstance(one, (list, tuple)):
            yield from one
        else:
            yield one


def _has(many: list[Any], wanted: Any) -> bool:
    return any(one is wanted for one in many)


@contextmanager
def on_one_device(expected: str, *, only_tensors_know: bool = False) -> Iterator[Devices]:
    """블록 안의 셈에서 장치가 섞이지 않는지, GPU 없이 봅니다.

    장치를 적지 않고(또는 `device="cpu"`라고 적어) 만든 텐서가 모델의 텐서와 한 계산에 들어가는 순간과, 옮기지 않은
    텐서를 NumPy에 건네는 순간을 봅니다. GPU에서는 거기에서 멈춥니다. `.to`로 옮긴 것, 색인, 0차원의 수는 GPU에서도
    괜찮습니다.

        with on_one_device("labels와 같은 장치") as devices:
            got = step.shift_right(labels, pad_id, start_id)
        devices.require_moved(got)

    Args:
        expected: 어느 장치여야 하는지. 예: `"ids와 같은 장치"`.
        only_tensors_know: 장치를 아는 것이 텐서뿐인 자리인가. 그렇다면 텐서에게 묻지 않은 `torch.device("cpu")`도
            글 `"cpu"`와 같이 봅니다. 블록 안에서 텐서는 제 장치를 `cpu:0`이라고 답하므로 둘이 갈립니다.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    devices = Devices(expected)
    devices.nailed = ("cpu", torch.device("cpu")) if only_tensors_know else ("cpu",)

    class Watching(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            if only_tensors_know and func == torch.Tensor.device.__get__ and made.type == "cpu":
                return torch.device("cpu:0")
            devices.saw(func, args, kwargs or {}, made)
            return made

    with Watching():
        yield devices
    devices.check()
