"""--help와 옵션의 오타에는 학습과 내보내기의 라이브러리를 읽지 않고 답합니다.

시간은 `benchmarks/help_time.py`가 잽니다.
"""

from __future__ import annotations

import json

import pytest

from tests.task3_lm.system.running import FOLDER, STEP4, STEP5, STEP6, alone

HEAVY = ["lightning", "transformers", "torchmetrics", "onnxruntime", "matplotlib", "tensorboard", "sympy"]
LOOK = f"""
import json, runpy, sys
sys.path.insert(0, {str(FOLDER)!r})
file, *sys.argv[1:] = sys.argv[1:]
try:
    runpy.run_path(file, run_name="__main__")
except SystemExit as stop:
    print(json.dumps([stop.code, [name for name in {HEAVY} if name in sys.modules]]))
"""


@pytest.mark.parametrize(
    ("step", "words", "code"),
    [
        (STEP4, ["--help"], 0),
        (STEP5, ["train", "--help"], 0),
        (STEP5, ["generate", "--promt", "옛날"], 2),
        (STEP6, ["--no_such"], 2),
    ],
    ids=["help-of-step4", "help-of-train", "option-typo", "option-typo-of-step6"],
)
def test_heavy_libraries_are_left_alone(step, words, code, tmp_path):
    if not FOLDER.is_dir():
        pytest.skip("해답이 없는 배포판입니다")
    look = tmp_path / "look.py"
    look.write_text(LOOK, encoding="utf-8")
    done = alone(look, str(step), *words)
    assert json.loads(done.stdout.splitlines()[-1]) == [code, []], done.stderr
