"""6-3의 검사: ONNX로 내보내기."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from course.checks.words import assert_close, fail, matches, show, todo
from course.checks.workspace import workspace
from tests.task3_lm.checks.step6.common import ATOL, Positions, scattered, some_ids
from todo import TodoNotDone


class Program:
    """`torch.onnx.ONNXProgram`을 대신합니다."""

    def save(self, path: Any, **_: Any) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(b"onnx")


class Exporter:
    """`torch.onnx.export`를 대신해 무엇을 건넸는지 읽습니다. 진짜로 내보내면 작은 모델도 1초가 걸립니다.

    달라지는 축을 딕셔너리나 목록에 적은 부름은 스스로 읽고, 그 밖의 것(torch.export로 이미 옮긴 모델 등)은 진짜로
    내보내어 그래프에 적힌 것을 봅니다. 둘의 말이 같은지는 test_export.py가 진짜로 내보내어 확인합니다.

    Attributes:
        called: 건넨 인수들. 부르지 않았으면 None.
        axes: 입력의 축마다, 달라지는 축이면 그 이름(글), 굳었으면 크기(수).
        error: to_onnx가 멈췄다면 그 예외.
        given: to_onnx에 건넨 모델.
        want: 건네기 전에 그 모델이 낸 로짓.
        learning: 내보낼 때 그 모델이나 내보낸 모델에 학습 모드인 부품이 있었는가.
    """

    def __init__(self) -> None:
        self.real, self.signature = torch.onnx.export, inspect.signature(torch.onnx.export)
        self.called: dict[str, Any] | None = None
        self.axes: list[str | int] = []
        self.error: Exception | None = None
        self.given = scattered(Positions(), 7)
        with torch.no_grad():
            self.want = self.given(some_ids())
        self.learning = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError:
            return self.real(*args, **kwargs)  # 무엇이 빠졌는지 함수의 이름과 함께 알립니다.
        bound.apply_defaults()
        self.called = called = bound.arguments
        model, shapes = called["model"], called["dynamic_shapes"]
        inner = [one for one in model.modules() if one is not model] if isinstance(model, nn.Module) else []
        self.learning = any(
            one.training for one in [*inner, *self.given.modules()]
        )  # 감싼 껍데기의 모드는 상관없습니다.
        if isinstance(model, torch.export.ExportedProgram) or hasattr(shapes, "dynamic_shapes"):  # ShapesCollection
            return self._really(*args, **kwargs)
        if not isinstance(model, nn.Module) or self.example is None:
            raise TypeError("torch.onnx.export가 받을 수 없는 모델이나 예입니다.")
        if not called["dynamo"]:
            return None  # 예전의 방식은 파일에 쓰고 아무것도 돌려주지 않습니다.
        self.axes = self._read_axes(list(inspect.signature(model.forward).parameters)[0])
        return Program()

    def _really(self, *args: Any, **kwargs: Any) -> Any:
        program = self.real(*args, **kwargs)
        graph = program.model.graph
        self.axes = [one if isinstance(one, int) else str(one) for one in graph.inputs[0].shape]
        self.called["input_names"] = [one.name for one in graph.inputs]
        self.called["output_names"] = [one.name for one in graph.outputs]
        return program

    @property
    def example(self) -> torch.Tensor | None:
        """예로 건넨 입력. 텐서 하나이거나, 그것을 담은 튜플이나 딕셔너리입니다. 받을 수 없는 것이면 None."""
        args, kwargs = self.called["args"], self.called["kwargs"]
        if isinstance(args, tuple) and args and isinstance(args[-1], dict):
            args, kwargs = args[:-1], args[-1]
        given = [args] if isinstance(args, torch.Tensor) else [*(args if isinstance(args, tuple) else ())]
        given += list((kwargs or {}).values())
        fits = len(given) == 1 and isinstance(given[0], torch.Tensor) and given[0].dim() == 2
        return given[0] if fits and given[0].dtype == torch.int64 else None

    def _read_axes(self, parameter: str) -> list[str | int]:
        shapes, axes = self.called["dynamic_shapes"], self.called["dynamic_axes"]
        if shapes is None and axes is not None:
            outputs = list(self.called["output_names"] or ())
            shapes = dict(zip([parameter], [axes[name] for name in axes if name not in outputs], strict=False))
            if set(axes) - {parameter, *outputs, *(self.called["input_names"] or ())}:
                raise Unreadable("dynamic_axes에 없는 이름이 있습니다.", got=", ".join(map(str, axes)))
            if isinstance(shapes.get(parameter), list):
                shapes = {parameter: dict.fromkeys(shapes[parameter], torch.export.Dim.DYNAMIC)}
        if isinstance(shapes, dict) and shapes and set(shapes) != {parameter}:
            numbers = all(isinstance(one, int) for one in shapes)
            raise Unreadable(
                "dynamic_shapes의 이름이 모델의 입력과 다릅니다.",
                got=show(list(shapes)),
                symptom="axes-without-input" if numbers else "unknown-input",
            )
        if isinstance(shapes, (tuple, list)) and (len(shapes) != 1 or isinstance(shapes[0], str)):
            got = show(shapes)
            raise Unreadable("dynamic_shapes에 입력마다 하나씩 적지 않았습니다.", got=got, symptom="axes-without-input")
        if not isinstance(shapes or {}, (dict, tuple, list)):
            raise Unreadable("dynamic_shapes에 딕셔너리가 아닌 것을 적었습니다.", got=show(shapes))
        entry = (shapes.get(parameter) if isinstance(shapes, dict) else shapes[0] if shapes else None) or {}
        if isinstance(entry, (tuple, list)):
            entry = dict(enumerate(entry))
        if not isinstance(entry, dict):
            raise Unreadable("입력의 달라지는 축을 읽을 수 없습니다.", got=show(entry))
        if any(isinstance(one, int) for one in entry.values()):
            got = ", ".join(f"{axis}번 축에 {one}" for axis, one in entry.items())
            raise Unreadable("축의 이름이 아니라 크기를 적었습니다.", got=got, symptom="fixed-sizes")
        if any(not isinstance(axis, int) or axis > 1 for axis in entry):
            got = show(sorted(entry, key=str))
            raise Unreadable("입력에 없는 축이 적혀 있습니다.", got=got, symptom="no-such-axis")
        return [self._named(entry.get(axis), size) for axis, size in enumerate(self.example.shape)]

    @staticmethod
    def _named(one: Any, size: int) -> str | int:
        """축 하나에 적힌 것. 달라지는 축이면 이름(맡겼으면 빈 글)을, 아니면 굳은 크기를 냅니다."""
        dim = torch.export.Dim
        if one is None or one == dim.STATIC:
            return size
        return one if isinstance(one, str) else "" if isinstance(one, type(dim.AUTO)) else one.__name__


class Unreadable(Exception):
    """torch.onnx.export도 받지 않는 dynamic_shapes."""

    def __init__(self, message: str, *, got: str, symptom: str | None = None) -> None:
        super().__init__(message)
        self.got, self.symptom = got, symptom


@pytest.fixture(scope="module")
def exported(load) -> Exporter:
    """to_onnx를 한 번 부른 기록."""
    step, exporter = load(6), Exporter()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.onnx, "export", exporter)
        try:
            step.to_onnx(exporter.given, workspace() / "export" / "model.onnx")
        except Exception as error:  # noqa: BLE001 - 무엇을 건넸는지 먼저 봅니다.
            exporter.error = error
    return exporter


def check_exported_logits(got: Any, want: torch.Tensor) -> None:
    """내보낸 모델이 낸 것이, 건네받은 모델의 로짓인가."""
    got = got if isinstance(got, torch.Tensor) else torch.tensor(torch.nan)
    about = {"idea": "같은 모델인가", "expected": f"(배치, 길이, 어휘) = {tuple(want.shape)}", "got": tuple(got.shape)}
    if got.shape != want.shape and any(
        got.shape == one.shape and matches(got, one, ATOL) for one in (want[:, -1], want[:, -1:])
    ):
        fail(symptom="last-only", **about)
    made = [want.argmax(-1), want.softmax(-1), want.log_softmax(-1), want.softmax(-1)[:, -1], want[:, -1].argmax(-1)]
    if any(matches(got, one, ATOL) for one in made):
        fail(symptom="not-logits", **about)
    if got.is_floating_point() and got.dtype != want.dtype and got.shape == want.shape:
        about |= {"expected": str(want.dtype), "got": str(got.dtype)}
        fail(symptom="other-dtype", **about)
    assert_close(got, want, atol=ATOL, idea="같은 모델인가", message="다른 모델을 내보냈습니다.")


@todo("6-3")
def test_the_model_itself_is_exported(exported):
    """모델과 예를 torch.onnx.export에 건네고, 돌려받은 것을 program에 담습니다."""
    called, error = exported.called, exported.error
    if isinstance(error, TodoNotDone):
        raise error
    if called is None:
        if isinstance(error, AttributeError) and "save" in str(error):
            got = str(error).split("'")[1]
            fail(idea="ONNX", expected="torch.onnx.export의 결과", got=got, symptom="not-onnx")
        if error is not None:
            raise error
        fail(idea="ONNX", expected="한 번 부름", got="부르지 않음", symptom="not-onnx")
    model = called["model"]
    if not callable(model) or isinstance(model, type):
        got = type(model).__name__
        fail(idea="torch.onnx.export의 인수", expected="model", got=got, symptom="no-model")
    if isinstance(model, nn.Module):
        if exported.example is None:
            got = show(called["args"])
            fail(idea="예로 추적하기", expected="(example,)", got=got, symptom="no-example")
        if exported.learning:
            fail(idea="train/eval", expected="평가 모드", got="학습 모드", symptom="training-mode")
        if any(model is one for one in [*exported.given.modules()][1:]):
            got = type(model).__name__
            fail(idea="같은 모델인가", expected="model", got=got, symptom="part-of-model")
        if 1 in exported.example.shape:
            shape = show(tuple(exported.example.shape))
            fail(idea="예로 추적하기", expected="축마다 2 이상", got=shape, symptom="size-one-example")
        with torch.no_grad():
            check_exported_logits(model(some_ids()), exported.want)
    kinds = {str(one.dtype) for one in exported.given.parameters()} - {"torch.float32"}
    if kinds:
        got = kinds.pop()
        fail(idea="dtype", expected="torch.float32", got=got, symptom="other-dtype")
    if exported.given.training:
        fail(idea="train/eval", expected="평가 모드", got="학습 모드", symptom="training-mode")
    if not called["dynamo"]:
        got = "dynamo=False"
        fail(idea="torch.export", expected="dynamo=True", got=got, symptom="old-exporter")
    if isinstance(error, AttributeError) and "'NoneType' object has no attribute 'save'" in str(error):
        got = "None"
        fail(idea="ONNX", expected="torch.onnx.export의 결과", got=got, symptom="saved-early")
    if error is not None and not isinstance(error, Unreadable):
        raise error


@todo("6-3")
def test_batch_and_length_may_change(exported):
    """그래프의 입력은 두 축이 모두 이름이어서, 아무 배치와 길이나 받습니다."""
    if isinstance(exported.error, Unreadable):
        error, about = exported.error, {"idea": "dynamic_shapes", "expected": "{'ids': {0: …, 1: …}}"}
        fail(str(error), got=error.got, symptom=error.symptom, **about)
    if exported.error is not None or not exported.axes:
        test_the_model_itself_is_exported(exported)
        return
    batch, length = exported.axes
    got = f"ids[{batch}, {length}]"
    about = {"idea": "달라지는 축", "expected": "ids[batch, length]", "got": got}
    if isinstance(batch, int) and isinstance(length, int):
        fail(symptom="static", **about)
    if isinstance(length, int):
        fail(symptom="length-fixed", **about)
    if isinstance(batch, int):
        fail(symptom="batch-fixed", **about)
    if batch and batch == length:
        fail(symptom="same-name", **about)
    kinds = [("batch", "배치"), ("length", "길이", "seq")]
    here = [[any(word in name.lower() for word in words) for words in kinds] for name in (batch, length)]
    if here == [[False, True], [True, False]]:
        fail(symptom="swapped-names", **about)


@todo("6-3")
def test_input_and_output_have_their_names(exported):
    """입력은 ids, 출력은 logits입니다."""
    called = exported.called
    if called is None or exported.error is not None:
        test_the_model_itself_is_exported(exported)
        return
    inputs, outputs = called["input_names"], called["output_names"]
    if inputs is not None and list(inputs) != ["ids"]:
        fail(idea="입력의 이름", expected="['ids']", got=show(list(inputs)), symptom="input-name")
    if outputs is None or list(outputs) != ["logits"]:
        got = show(list(outputs)) if outputs else "없음"
        fail(idea="출력의 이름", expected="['logits']", got=got, symptom="output-name")
