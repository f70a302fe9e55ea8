"""여러 프로세스(일꾼, worker)가 한 탐색을 나누어 합니다. 일꾼마다 GPU 하나, 또는 CPU의 코어를 나누어 갖습니다.

일꾼은 새로 시작한 파이썬입니다(fork하지 않으므로 어느 운영체제에서나 같습니다). 화면에 적을 것은
`sweep_results/logs/worker_N.log`에 남습니다. 일꾼이 꺼지면 하던 시도 하나만 잃고, 나머지는 다른 일꾼들이 마저 합니다.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nlpbook.errors import UserError
from nlpbook.paths import ROOT

GPUS = "CUDA_VISIBLE_DEVICES"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
LOGS = Path("sweep_results") / "logs"
GRACE = 60  # 초. 멈추라고 한 뒤 이만큼 기다립니다.
Assign = Callable[[int, Sequence[str], int], list[dict[str, str]]]


def visible_gpus(environment: Mapping[str, str] | None = None) -> list[str]:
    """쓸 수 있는 GPU들. `CUDA_VISIBLE_DEVICES`에 적힌 것이 있으면 그것뿐입니다."""
    given = (os.environ if environment is None else environment).get(GPUS)
    if given is not None:
        names: list[str] = []
        for name in (one.strip() for one in given.split(",")):
            if not name or name == "-1":  # CUDA는 여기까지만 읽습니다.
                break
            names.append(name)
        return names
    return gpus_of_this_machine()


def gpus_of_this_machine() -> list[str]:
    """이 프로세스가 볼 수 있는 GPU의 번호들: `["0", "1"]`."""
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def core_count() -> int:
    """이 프로세스가 쓸 수 있는 CPU의 코어 수. 컨테이너가 나누어 받은 것만 셉니다."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def assign(count: int, gpus: Sequence[str], cores: int) -> list[dict[str, str]]:
    """일꾼마다 줄 환경 변수.

    Args:
        count: 일꾼의 수.
        gpus: 쓸 수 있는 GPU의 이름들. 비었으면 CPU로 합니다.
        cores: CPU의 코어 수.

    Raises:
        UserError: GPU가 일꾼보다 적을 때.
    """
    if gpus and len(gpus) < count:
        raise UserError(
            f"GPU가 {len(gpus)}개인데 일꾼은 {count}입니다. 한 GPU를 둘이 쓰면 메모리가 모자라고 느려집니다. "
            f"--num-workers {len(gpus)}(으)로 줄여 주세요."
        )
    made = []
    for number in range(count):
        share = max(1, cores // count + (number < cores % count))
        environment = {name: str(share) for name in THREADS}
        if gpus:
            environment[GPUS] = gpus[number]
        made.append(environment)
    return made


def run_workers(
    spec: Path,
    environments: Sequence[Mapping[str, str]],
    logs: Path,
    secrets: Mapping[str, str] | None = None,
    watch: Callable[[], None] = lambda: None,
) -> list[int]:
    """일꾼들을 시작하고 모두 끝나기를 기다립니다.

    Args:
        spec: 무엇을 할지 적은 파일. `nlpbook.sweeps.worker`가 읽습니다.
        environments: 일꾼마다 더할 환경 변수.
        logs: `worker_N.log`를 둘 폴더.
        secrets: 파일에 남기지 않고 환경 변수로만 건넬 것(저장소의 주소).
        watch: 기다리는 동안 때때로 부를 함수.

    Returns:
        일꾼마다의 종료 코드.

    Raises:
        KeyboardInterrupt: 사람이 멈췄을 때. 일꾼들이 하던 것의 끝을 적기를 기다린 뒤입니다.
    """
    logs.mkdir(parents=True, exist_ok=True)
    processes: list[subprocess.Popen[Any]] = []
    try:
        for number, more in enumerate(environments, start=1):
            processes.append(_start(spec, number, {**more, **(secrets or {})}, logs / f"worker_{number}.log"))
        while any(one.poll() is None for one in processes):
            watch()
            time.sleep(0.1)
    except BaseException:
        _stop(processes)
        raise
    finally:
        watch()
    return [one.returncode for one in processes]


def _start(spec: Path, number: int, more: Mapping[str, str], log: Path) -> subprocess.Popen[Any]:
    path = os.pathsep.join(one for one in (str(ROOT), os.environ.get("PYTHONPATH", "")) if one)
    environment = {**os.environ, **more, "PYTHONPATH": path, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "nlpbook.sweeps.worker", str(spec), str(number)]
    apart: dict[str, Any] = {"start_new_session": True}  # Ctrl-C는 우리만 받고, 우리가 한 번만 전합니다.
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    with log.open("ab") as out:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, **apart
        )


def _stop(processes: Sequence[subprocess.Popen[Any]]) -> None:
    """멈추라고 하고 기다립니다. 기다리는 동안 한 번 더 누르면 바로 끝냅니다."""
    gentle = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM)
    for one in processes:
        if one.poll() is None:
            one.send_signal(gentle)
    try:
        until = time.monotonic() + GRACE
        for one in processes:
            one.wait(max(0.1, until - time.monotonic()))
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        for one in processes:
            one.kill()
        for one in processes:
            one.wait()
