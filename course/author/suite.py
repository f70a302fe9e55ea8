"""이 저장소의 시험 전부: 코드 규칙(ruff), 타입(basedpyright), 해답과 실습의 일치(build --check), pytest."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from course.home import Home


def run_suite(home: Home, arguments: list[str]) -> int:
    """차례로 돌리고, 하나라도 실패하면 1을 돌려줍니다. 앞이 실패해도 뒤를 마저 돌립니다.

    Args:
        arguments: pytest에 더할 인수. 예: `["-k", "resume"]`.
    """
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": str(home.root)}
    failed = []
    for name, command in stages(home, [*in_parallel(environment), *arguments]):
        print(f"■ {name}", flush=True)
        started = time.monotonic()
        code = subprocess.run(command, cwd=home.root, env=environment).returncode
        print(f"  {'통과' if code == 0 else '실패'} ({time.monotonic() - started:.0f}초)\n", flush=True)
        if code != 0:
            failed.append(name)
    print("모두 통과했습니다." if not failed else f"실패: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def stages(home: Home, pytest_arguments: list[str]) -> list[tuple[str, list[str]]]:
    """차례로 돌릴 (이름, 명령)들."""
    python = sys.executable
    made = [
        ("코드 규칙", [python, "-m", "ruff", "check", "."]),
        ("코드 모양", [python, "-m", "ruff", "format", "--check", "."]),
        ("타입", [python, "-m", "basedpyright", "--pythonpath", python]),
        ("해답과 실습의 일치", [python, "-m", "course", "build", "--check"]),
        ("시험", [python, "-m", "pytest", *pytest_arguments]),
    ]
    if has_cuda(python):
        step_checks = sorted(str(path) for path in home.tests.glob("*/checks/step*"))
        made.append(("CUDA에서 한 번 더", [python, "-m", "pytest", "--device", "cuda", *step_checks]))
    return made


def in_parallel(environment: dict[str, str]) -> list[str]:
    """나누어 돌리는 pytest의 인수. 프로세스마다 쓰레드를 하나만 쓰게 `environment`도 고칩니다.

    쓰레드 둘을 쓰는 프로세스 둘이 코어 둘을 다투면, 서로를 기다리느라 하나씩 돌 때보다 느립니다. 프로세스는 코어보다
    하나 많습니다: 시험의 다섯에 하나쯤은 다른 프로세스나 사건을 기다리는 시간입니다.
    """
    environment.setdefault("OMP_NUM_THREADS", "1")
    return ["-n", str(min(8, (os.cpu_count() or 1) + 1)), "--dist", "loadgroup"]  # 프로세스마다 메모리를 1 GB쯤 씁니다.


def has_cuda(python: str) -> bool:
    """이 기계에 쓸 수 있는 CUDA GPU가 있는가."""
    asked = [python, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"]
    return subprocess.run(asked, capture_output=True).returncode == 0
