"""단계의 `--help`와 옵션의 오타가 답하기까지 드는 CPU 시간을, `import torch`의 몇 배인지로 잽니다.

python benchmarks/help_time.py --times 3
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from console_text import make_printable
from nlpbook.paths import ROOT

COMMANDS = {
    "task1-cls/step5_cli_and_serving.py": ["train"],
    "task2-summarization/step5_cli_and_serving.py": ["train"],
    "task2-summarization/step6_sweep_runner.py": [],
    "task2-summarization/step7_parallel_sweep_runner.py": [],
    "task3-lm/step4_training_pipeline.py": [],
    "task3-lm/step5_cli_and_serving.py": ["train"],
    "task3-lm/step6_export_and_quantize.py": [],
}


def cpu_seconds(words: list[str], times: int) -> float:
    """파이썬에 `words`를 주어 실행한 프로세스의 CPU 시간(user + sys, 초). 여러 번 가운데 가장 짧은 것."""
    found = []
    for _ in range(times):
        before = os.times()
        subprocess.run([sys.executable, *words], capture_output=True, check=False)
        after = os.times()
        found.append(after.children_user - before.children_user + after.children_system - before.children_system)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3, help="되풀이할 횟수")
    asked = parser.parse_args()
    torch = cpu_seconds(["-c", "import torch"], asked.times)
    print(f"{'import torch':<44} {torch:5.1f}초")
    for file, words in COMMANDS.items():
        for option in ("--help", "--no_such_option"):
            took = cpu_seconds([str(ROOT / "solutions" / file), *words, option], asked.times)
            print(f"{file + ' ' + option:<44} {took:5.1f}초  {took / torch:.1f}배")


if __name__ == "__main__":
    make_printable()
    main()
