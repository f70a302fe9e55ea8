"""시스템 시험이 함께 쓰는 준비(fixture)."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from course.checks.loading import load_step
from course.checks.plugin import step_loader
from tests.task3_lm.checks import support
from tests.task3_lm.system.running import FOLDER, STEP1, STEP2, STEP3, STEP4, STEP5, STEP6, finished, options, run

load = step_loader(__file__)


@pytest.fixture(scope="module")
def steps() -> SimpleNamespace:
    """이 프로세스에서 읽은 해답의 단계들."""
    load_step(FOLDER, STEP5.stem)
    return SimpleNamespace(**{f"step{n}": sys.modules[path.stem] for n, path in enumerate((STEP1, STEP2, STEP3), 1)},
                           step4=sys.modules[STEP4.stem], step5=sys.modules[STEP5.stem])  # fmt: skip


@pytest.fixture(scope="module")
def step6(steps):
    sys.modules.update({getattr(steps, f"step{n}").__name__: getattr(steps, f"step{n}") for n in range(1, 6)})
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(STEP6.stem)
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def model(steps):
    """배우지 않은 두 층짜리 작은 모델. 문맥은 16토큰이고, 로짓이 서로 뚜렷이 다르도록 가중치를 키웠습니다."""
    torch.manual_seed(3)
    made = steps.step2.GPT(support.tiny_config(d_embed=16, max_seq_len=16), 300, support.tokenizer())
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(6 if parameter.dim() == 2 else 1)
    return made.eval()


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """한 번도 멈추지 않은 학습의 실행 폴더. 화면에 적힌 것은 `printed.txt`에 있습니다."""
    output = tmp_path_factory.mktemp("output")
    done = finished(run(STEP5, "train", *options(output)))
    folder = output / "task3-lm" / "tiny-1"
    (folder / "printed.txt").write_text(done.stdout, encoding="utf-8")
    return folder
