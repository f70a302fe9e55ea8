"""6-4의 검사: 양자화."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization
from onnxruntime.quantization import QuantType

from course.checks.words import close, fail, show, todo
from course.checks.workspace import workspace
from nlpbook.language.onnx_models import NEVER_SATURATING
from todo import TodoNotDone

ROWS, IN, OUT, HEAD_OUT = 50, 32, 24, 40
EMBEDDING, WEIGHT, HEAD = "embedding", "weight", "head"


def column_scales() -> np.ndarray:
    """행렬의 열마다의 크기. 1에서 1/1000까지 고르게 작아집니다."""
    return np.geomspace(1, 1e-3, OUT).astype("float32")


def matrices() -> dict[str, np.ndarray]:
    made = np.random.default_rng(0)
    embedding = made.standard_normal((ROWS, IN), dtype="float32")
    weight = made.standard_normal((IN, OUT), dtype="float32") * column_scales()
    head = made.standard_normal((IN, HEAD_OUT), dtype="float32")
    return {
        EMBEDDING: embedding,
        WEIGHT: weight,
        HEAD: head,
        "bias": np.zeros(OUT, dtype="float32"),
        "position": np.zeros(IN, dtype="float32"),
    }


def graph_bytes() -> bytes:
    """임베딩을 찾아 자리를 더하고, 두 행렬을 곱해 이어 붙이는 ONNX 모델. GPT처럼 임베딩과 행렬곱이 맞닿지 않습니다."""
    nodes = [
        helper.make_node("Gather", [EMBEDDING, "ids"], ["found"], name="node_embedding"),
        helper.make_node("Add", ["found", "position"], ["x"], name="node_add"),
        helper.make_node("MatMul", ["x", WEIGHT], ["y"], name="node_linear"),
        helper.make_node("Add", ["y", "bias"], ["z"], name="node_bias"),
        helper.make_node("MatMul", ["x", HEAD], ["h"], name="node_lm_head"),
        helper.make_node("Concat", ["z", "h"], ["logits"], name="node_cat", axis=-1),
    ]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "length", OUT + HEAD_OUT])
    held = [numpy_helper.from_array(one, name) for name, one in matrices().items()]
    graph = helper.make_graph(nodes, "tiny", [ids], [logits], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()


@pytest.fixture(scope="module")
def quantized(load) -> SimpleNamespace:
    """quantize를 한 번 부른 기록: 읽고 쓴 파일, 건넨 인수, 멈췄다면 그 예외."""
    step, real, folder = load(6), quantization.quantize_dynamic, workspace() / "quantize"
    made = SimpleNamespace(source=folder / "model.onnx", target=folder / "model.int8.onnx", called=None, error=None)
    made.calls = []
    folder.mkdir(exist_ok=True)
    made.target.unlink(missing_ok=True)
    made.source.write_bytes(graph_bytes())

    def recorded(*args: Any, **kwargs: Any) -> Any:
        try:
            made.called = inspect.signature(real).bind(*args, **kwargs).arguments
        except TypeError:
            return real(*args, **kwargs)  # 무엇이 빠졌는지 함수의 이름과 함께 알립니다.
        made.calls.append(made.called)
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(quantization, "quantize_dynamic", recorded)
        try:
            step.quantize(made.source, made.target)
        except Exception as error:  # noqa: BLE001 - 무엇을 건넸는지 먼저 봅니다.
            made.error = error
    return made


def require_finished(quantized: SimpleNamespace) -> None:
    """멈췄다면, 무엇을 건넸기 때문인지."""
    error, called = quantized.error, quantized.called or {}
    if isinstance(error, TodoNotDone):
        raise error
    source, target = quantized.source, quantized.target
    if not source.exists() or source.read_bytes() != graph_bytes():
        fail(idea="읽을 파일과 쓸 파일", expected="aside에 씀", got="source에 씀", symptom="source-changed")
    if error is None:
        return
    if Path(called.get("model_output", "")) == target or (not called and target.exists()):
        fail(idea="읽을 파일과 쓸 파일", expected="aside", got="target", symptom="wrote-target")
    read = called.get("model_input", source)
    if isinstance(read, (str, Path)) and Path(read) != source:
        got = "target" if Path(read) == target else "aside"
        fail(idea="읽을 파일과 쓸 파일", expected="source", got=got, symptom="read-elsewhere")
    if isinstance(error, NameError) and error.name == "model":
        fail(idea="ONNX 파일", expected="source(ONNX 파일)", got="model", symptom="not-a-module")
    types, columns = called.get("op_types_to_quantize"), called.get("per_channel", False)
    if isinstance(types, (QuantType, bool)) or not isinstance(columns, (bool, int)):
        place = "op_types_to_quantize" if isinstance(types, (QuantType, bool)) else "per_channel"
        got = f"{place}={show(called[place])}"
        fail(idea="인수의 자리", expected="이름을 적은 인수", got=got, symptom="positional")
    kind = called.get("weight_type", QuantType.QInt8)
    if not isinstance(kind, QuantType):
        fail(idea="weight_type", expected="QuantType의 하나", got=show(kind), symptom="weight-kind")
    if kind not in (QuantType.QInt8, QuantType.QUInt8):
        fail(idea="weight_type", expected="8비트", got=kind.name, symptom="not-8-bit")
    if not called and isinstance(error, FileNotFoundError):
        fail(idea="읽을 파일과 쓸 파일", expected="양자화한 모델", got="없음", symptom="nothing-written")
    raise error


@todo("6-4")
def test_the_matrices_are_eight_bit(quantized):
    """행렬곱의 가중치도 임베딩도 8비트 정수입니다."""
    require_finished(quantized)
    try:
        graph = onnx.load(quantized.target, load_external_data=False).graph
    except DecodeError:
        fail(idea="양자화", expected="ONNX 모델", got="읽을 수 없는 파일", symptom="nothing-written")
    outside = [one.name for one in graph.initializer if one.data_location == TensorProto.EXTERNAL]
    if outside or any(one.get("use_external_data_format") for one in quantized.calls):
        got = "곁의 .data 파일"
        fail(idea="파일 하나", expected="target 안의 가중치", got=got, symptom="external-data")
    kinds = {one.name: TensorProto.DataType.Name(one.data_type) for one in graph.initializer if len(one.dims) > 1}
    if not kinds:
        fail(idea="양자화", expected="양자화한 모델", got="빈 모델", symptom="nothing-written")
    wide = {name: kind for name, kind in kinds.items() if kind not in ("INT8", "UINT8")}
    if wide and "FLOAT" not in wide.values():
        kind = next(iter(wide.values()))
        fail(idea="weight_type", expected="INT8", got=kind, symptom="not-8-bit")
    about = {"idea": "op_types_to_quantize", "expected": "INT8"}
    if {EMBEDDING, WEIGHT, HEAD} <= wide.keys():
        by_name = any(one.get("nodes_to_quantize") for one in quantized.calls)
        symptom = "nodes-not-types" if by_name else "nothing-quantized"
        fail(got=wide[WEIGHT], symptom=symptom, **about)
    sources = [str(one.get("model_input", "")) for one in quantized.calls]
    if wide and len(sources) > 1 and len(set(sources)) == 1:
        more = {"count": len(sources), "got": f"{len(wide)}개는 {next(iter(wide.values()))}"}
        fail(symptom="overwritten", **about, **more)
    if EMBEDDING in wide:
        fail(got=f"임베딩은 {wide[EMBEDDING]}", symptom="embedding-left", **about)
    if {WEIGHT, HEAD} <= wide.keys():
        fail(got=f"가중치는 {wide[WEIGHT]}", symptom="matmul-left", **about)
    if left := [name for name in (WEIGHT, HEAD) if name in wide]:
        got = f"하나는 {wide[left[0]]}"
        fail(got=got, symptom="one-matmul-left", **about)
    held = [numpy_helper.to_array(one).astype(int) for one in graph.initializer if len(one.dims) > 1]
    if held and any(np.ptp(one) < 200 for one in held):  # 8비트라면 -127에서 127까지, 7비트라면 -64에서 64까지 씁니다.
        narrow = min(np.ptp(one) for one in held)
        more = {"expected": "눈금 255개", "got": f"눈금 {narrow + 1}개"}
        fail(idea="reduce_range", symptom="reduce-range", **more)


@todo("6-4")
def test_small_columns_survive(quantized):
    """작은 열의 값도 큰 열의 값만큼 잘 남습니다."""
    require_finished(quantized)
    held, ids = matrices(), np.random.default_rng(1).integers(ROWS, size=(3, 5))
    want = held[EMBEDDING][ids] @ np.concatenate([held[WEIGHT], held[HEAD]], axis=1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry(*NEVER_SATURATING)
    try:
        session = onnxruntime.InferenceSession(str(quantized.target), options, providers=["CPUExecutionProvider"])
    except Exception:
        test_the_matrices_are_eight_bit(quantized)
        raise
    (got,) = session.run(None, {"ids": ids})
    size = want.std(axis=(0, 1))  # 열마다의 크기
    # 8비트의 오차는 열의 크기의 4 %쯤입니다. 눈금이 하나뿐이면 작은 열은 250 % 틀립니다.
    if not close(got / size, want / size, 0.3):
        worst = np.abs((got - want) / size).max()
        fail(idea="열마다의 눈금", expected="오차 30 % 이하", got=f"{worst:.0%}", symptom="one-scale")
