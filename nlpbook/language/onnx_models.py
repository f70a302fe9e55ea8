"""ONNX 파일을 PyTorch 모델처럼 부르고, 크기와 속도를 잽니다."""

from __future__ import annotations

import io
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import torch
from torch import Tensor

from nlpbook.errors import UserError
from nlpbook.paths import shown

# VNNI 명령이 없는 x86 CPU는 8비트끼리의 곱 둘을 16비트에 더하다 넘칩니다. 그런 CPU에서도 옳게, 대신 조금 느리게 셉니다.
# https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html (U8S8, U8U8)
NEVER_SATURATING = ("session.x64quantprecision", "1")


class OnnxModel:
    """onnxruntime으로 도는 언어 모델. `model(ids)`는 (배치, 길이) → (배치, 길이, 어휘)입니다.

    Raises:
        UserError: ONNX 파일이 아니거나 깨졌을 때.
    """

    def __init__(self, path: Path | str) -> None:
        import onnxruntime

        self.path = Path(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry(*NEVER_SATURATING)
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise UserError(f"ONNX 모델을 읽을 수 없습니다: {shown(path)}. 다시 내보내 주세요.") from error

    def __call__(self, ids: Tensor) -> Tensor:
        name = self.session.get_inputs()[0].name
        return torch.from_numpy(self.session.run(None, {name: ids.cpu().numpy()})[0])


@contextmanager
def quiet_export() -> Iterator[None]:
    """내보내는 동안 PyTorch와 onnxruntime의 영어 안내를 숨깁니다."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "")]
    before = [one.level for one in loggers]
    try:
        for one in loggers:
            one.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)


def seconds_per_call(model: Callable[[Tensor], Tensor], ids: Tensor, repeats: int = 5) -> float:
    """한 번 부르는 데 걸리는 시간의 가운데값(초). 처음 한 번은 세지 않습니다."""
    model(ids)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        model(ids)
        seconds.append(time.perf_counter() - started)
    return sorted(seconds)[repeats // 2]
