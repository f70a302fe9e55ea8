"""--help와 옵션의 오타에는 모델과 학습의 라이브러리를 읽지 않고 답합니다. 시간은 `benchmarks/help_time.py`가 잽니다."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from course.home import ROOT

SOLUTIONS = ROOT / "solutions"
HEAVY = ["lightning", "transformers", "torchmetrics", "onnxruntime", "matplotlib", "tensorboard", "sympy", "wandb"]
LOOK = """
import json, runpy, sys
_, file, heavy, *commands = sys.argv
sys.path.insert(0, file.rpartition("/")[0])
for words in commands:
    sys.argv = [file, *words.split()]
    try:
        runpy.run_path(file, run_name="__main__")
    except SystemExit as stop:
        print("\\n" + json.dumps([words, stop.code, [name for name in json.loads(heavy) if name in sys.modules]]))
"""
CASES = {
    "task1-cls/step5_cli_and_serving.py": {
        "--help": 0,
        "train --help": 0,
        "train --no_such": 2,
        "trian": 2,
        "predict": 2,
    },
    "task2-summarization/step5_cli_and_serving.py": {"--help": 0, "predict --help": 0, "train --lerning_rate 1": 2},
    "task2-summarization/step6_sweep_runner.py": {"--help": 0, "--cuont 3": 2, "report": 2},
    "task2-summarization/step7_parallel_sweep_runner.py": {"--help": 0, "--num-workers two": 2},
    "task3-lm/step4_training_pipeline.py": {"--help": 0},
    "task3-lm/step5_cli_and_serving.py": {"train --help": 0, "generate --promt 옛날": 2},
    "task3-lm/step6_export_and_quantize.py": {"--no_such": 2},
}


@pytest.mark.parametrize("file", CASES)
def test_heavy_libraries_are_left_alone(file):
    script = SOLUTIONS / file
    if not script.is_file():
        pytest.skip("해답이 없는 배포판입니다")
    done = subprocess.run(
        [sys.executable, "-c", LOOK, script.as_posix(), json.dumps(HEAVY), *CASES[file]],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    answered = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('["')]
    assert answered == [[words, code, []] for words, code in CASES[file].items()], done.stderr
