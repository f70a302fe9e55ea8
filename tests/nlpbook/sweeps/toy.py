"""torch를 쓰지 않는 작은 과제. 시험이 일꾼을 여럿 띄워도 금방 끝납니다.

python toy.py <탐색 파일> <결과의 폴더> [--workers 2] [--count 6] …
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

sys.path[:0] = [str(folder) for folder in Path(__file__).resolve().parents if (folder / "nlpbook").is_dir()]

from nlpbook.cli import run_script  # noqa: E402
from nlpbook.sweeps.cli import Request, SweepTask, run_sweep  # noqa: E402
from nlpbook.sweeps.loop import Skipped  # noqa: E402

PEAK = 0.3
EVALUATIONS = 5


def run_trial(parameters, context):
    """x가 0.3에 가까울수록 좋은 점수. `trouble`에 적은 대로 말썽을 부립니다."""
    trouble = parameters.get("trouble")
    if trouble == "error":
        raise ValueError("일부러 낸 오류")
    if trouble == "memory":
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
    if trouble == "skip":
        raise Skipped("이 기계에는 없는 것")
    if trouble == "interrupt":
        raise KeyboardInterrupt
    wait_for_gate(context)
    (context.folder / "model").mkdir()
    context.note(model=context.folder / "model")
    score = 0.0
    for step in range(1, EVALUATIONS + 1):
        time.sleep(float(context.base.get("sleep", 0)))
        score = 1 - abs(parameters.get("x", PEAK) - PEAK) - 0.1 / step
        context.report(step, {"eval_score": score})
    return {"best/score": score, "eval_loss": 1 - score}


def wait_for_gate(context) -> None:
    """시도 넷 뒤의 것은, 시험이 `--gate`의 파일을 만들 때까지 기다립니다. 기계가 바빠도 탐색이 먼저 끝나지 않습니다."""
    gate = context.base.get("gate")
    if gate and len(list(context.folder.parent.iterdir())) > 4:
        while not Path(gate).exists():
            time.sleep(0.02)


def outputs_of(base):
    return Path(base["outputs"])


TASK = SweepTask(
    file=Path(__file__),
    name="TASK",
    trial=run_trial,
    sweeps=Path(os.environ.get("TOY_SWEEPS", Path(__file__).parent)),
    outputs=outputs_of,
    metric="score",
    gpus=lambda base: [],
)


def main() -> None:
    # 시험을 뒤에서(&) 돌리면 SIGINT를 무시한 채 물려받습니다. 시험이 보내는 것은 어디에서나 들어야 합니다.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser()
    parser.add_argument("sweep")
    parser.add_argument("outputs")
    parser.add_argument("--sleep", type=float, default=0)
    parser.add_argument("--gate")
    parser.add_argument("--count", type=int)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--retry", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--sweep-id")
    parser.add_argument("--storage")
    given = vars(parser.parse_args())
    base = {
        "outputs": str(Path(given.pop("outputs")).resolve()),
        "sleep": given.pop("sleep"),
        "gate": given.pop("gate"),
    }
    run_sweep(TASK, Request(base=base, **given))


if __name__ == "__main__":
    run_script(main)
