"""--help와 옵션의 오타에는 모델과 학습을 읽지 않고 답합니다. 시간은 `benchmarks/help_time.py`가 잽니다."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from course.home import ROOT

SCRIPT = ROOT / "solutions" / "task1-cls" / "step5_cli_and_serving.py"
HEAVY = ["lightning", "transformers", "torchmetrics", "matplotlib", "tensorboard", "sympy"]
LOOK = """
import json, runpy, sys
file, heavy, *sys.argv[1:] = sys.argv[1:]
sys.path.insert(0, file.rpartition("/")[0])
try:
    runpy.run_path(file, run_name="__main__")
except SystemExit as stop:
    print(json.dumps([stop.code, [name for name in json.loads(heavy) if name in sys.modules]]))
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--help"], 0), (["train", "--help"], 0), (["train", "--no_such"], 2), (["trian"], 2), (["predict"], 2)],
    ids=["help", "help-of-train", "option-typo", "command-typo", "nothing-to-answer"],
)
def test_heavy_libraries_are_left_alone(words, code):
    if not SCRIPT.is_file():
        pytest.skip("해답이 없는 배포판입니다")
    done = subprocess.run(
        [sys.executable, "-c", LOOK, SCRIPT.as_posix(), json.dumps(HEAVY), *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [code, []], done.stderr
