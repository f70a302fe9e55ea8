"""시스템 시험이 쓰는 것: 작은 글과 옵션, 단계 파일을 사람처럼 실행하기.

단계 파일 하나를 새 프로세스에서 실행하면 라이브러리를 읽는 데만 몇 초가 듭니다. 그래서 다 읽어 둔 프로세스(`Nursery`)를
하나 두고, 실행할 때마다 거기서 갈라져 나온 프로세스가 파일을 실행합니다. 죽이거나 환경을 바꾸어도 서로 섞이지 않습니다.
갈라질 수 없는 Windows에서는 그때마다 새로 띄웁니다.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch

from course.checks.workspace import workspace
from course.home import ROOT
from tests.task3_lm.checks import support

FOLDER = ROOT / "solutions" / "task3-lm"
STEP1, STEP2, STEP3, STEP4, STEP5, STEP6 = sorted(FOLDER.glob("step[1-6]_*.py")) or [FOLDER] * 6
TIMEOUT = 240
slow = pytest.mark.slow
needs_signals = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows에는 이 시그널이 없습니다")
ENVIRONMENT = {"PYTHONUTF8": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "COLUMNS": "200"}

READY = f"""
import json, os, runpy, sys, traceback
sys.path.insert(0, {str(FOLDER)!r})
"""
WAIT_FOR_JOBS = """
import signal
import torch
torch.set_num_threads(1)
import step5_cli_and_serving
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)
        continue
    signal.alarm(job["timeout"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(job[name], os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    os.environ.update(job["environment"])
    code = 1
    try:
        exec(job["code"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
"""


def options(output: Path, **more: object) -> list[str]:
    """작은 모델과 글로 몇 초 만에 끝나는 `train`의 옵션. 드롭아웃과 기울기 누적이 켜져 있습니다."""
    values = {
        "data": support.tiny_text(),
        "d_embed": 32,
        "num_heads": 2,
        "num_layers": 1,
        "max_seq_len": 16,
        "vocab_size": 300,
        "stride": 16,
        "dropout": 0.1,
        "batch_size": 4,
        "num_epochs": 3,
        "grad_accumulation": 2,
        "learning_rate": 3e-3,
        "sample_tokens": 4,
        "output": output,
        "job_name": "tiny",
        "job_version": "1",
        "accelerator": "cpu",
    }
    return words(values | more)


def words(values: dict[str, object]) -> list[str]:
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def alone(script: Path, *arguments: str, cwd: Path | None = None, **environment: str) -> CompletedProcess:
    """`python 파일 …`을 아무것도 읽어 두지 않은 새 프로세스에서 실행합니다."""
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env={**os.environ, **ENVIRONMENT, **environment},
        timeout=TIMEOUT,
    )


class Nursery:
    """단계 파일을 읽어 둔 프로세스. `run`마다 거기서 갈라져 나온 프로세스가 파일을 실행합니다."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", READY + WAIT_FOR_JOBS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ENVIRONMENT},
        )

    def run(self, code: str, environment: dict[str, str]) -> CompletedProcess:
        self.count += 1
        outputs = {name: self.folder / f"{self.count}.{name}" for name in ("stdout", "stderr")}
        job = {"code": code, "environment": environment, "timeout": TIMEOUT}
        self.process.stdin.write(json.dumps(job | {name: str(path) for name, path in outputs.items()}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"읽어 둔 프로세스가 끝났습니다: {self.process.poll()}"
        said = [path.read_text(encoding="utf-8", errors="replace") for path in outputs.values()]
        return CompletedProcess(code, int(answer), *said)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(TIMEOUT)


@cache
def nursery() -> Nursery:
    """이 프로세스가 끝날 때 함께 끝나는 하나뿐인 `Nursery`."""
    folder = workspace() / "said"
    folder.mkdir()
    made = Nursery(folder)
    atexit.register(made.close)
    return made


def run(script: Path, *arguments: str, first: str = "", **environment: str) -> CompletedProcess:
    """`python 파일 …`을 실행하되, `first`의 파이썬 코드를 먼저 실행합니다.

    Returns:
        `subprocess.run`과 같은 것. 시그널로 죽었으면 `returncode`가 음수입니다.
    """
    code = f"{first}\nsys.argv = {[str(script), *arguments]!r}\nrunpy.run_path({str(script)!r}, run_name='__main__')\n"
    if hasattr(os, "fork"):
        return nursery().run(code, environment)
    return subprocess.run(
        [sys.executable, "-c", READY + code],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, **ENVIRONMENT, **environment},
        timeout=TIMEOUT,
    )


def explained(done: CompletedProcess, said: str, codes: tuple[int, ...] = (1,)) -> None:
    """0이 아닌 코드로, 까닭이 적힌 한국어 한 문장만 남기고 끝났습니다."""
    assert done.returncode in codes, done.stdout + done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("오류: ")
    assert re.search(said, line), line
    assert re.search("[가-힣]", line)


def finished(done: CompletedProcess) -> CompletedProcess:
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def state_of(run_folder: Path, name: str = "last.pt") -> dict:
    return torch.load(run_folder / "checkpoints" / name, weights_only=True)


def resume(output: Path) -> CompletedProcess:
    return finished(run(STEP5, "train", "--resume", "--output", str(output)))
