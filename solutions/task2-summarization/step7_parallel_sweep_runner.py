"""7단계 · 나란히 하는 탐색: 일꾼마다 제자리를

6단계까지 우리는 시도를 한 프로세스에서 차례로 했습니다. 시도는 서로를 기다릴 까닭이 없으므로, 일꾼(worker) 여럿이 한
탐색을 나누어 하면 그만큼 빨라집니다. 다만 아무 준비 없이 넷을 띄우면 넷이 모두 GPU 0에 앉거나, 저마다 CPU의 코어를 다
쓰려고 다툽니다. 이 단계에서는 일꾼마다 쓸 것을 나누어 줍니다.

    python step7_parallel_sweep_runner.py --single-parallel quick_test --num-workers 2 --runs-per-worker 2   # 약 1분
    python step7_parallel_sweep_runner.py --base-config configs/base_config.yaml \\
        --single-parallel hyperparameter_sweep --num-workers 4 --runs-per-worker 5

일꾼의 화면은 sweep_results/logs/worker_N.log에 남습니다. 일꾼 하나가 꺼져도 그 시도만 잃고, Ctrl-C로 멈추면 이어 할 수
있습니다. 여러 기계가 함께 하려면 --storage에 데이터베이스의 주소를 줍니다.

배우는 것
    - `CUDA_VISIBLE_DEVICES`: 이미 정해진 GPU들 안에서 하나씩. 일꾼이 보는 첫 GPU는 언제나 0번입니다
    - 코어 나누기: 두 일꾼이 저마다 코어를 다 쓰려고 하면, 하나씩 할 때보다 느립니다

하지 않는 것: 한 시도를 여러 GPU에 나누는 일(그것은 분산 학습입니다).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from step6_sweep_runner import (
    TASK,
    BaseConfig,
    Debugging,
    Overrides,
    Resume,
    Retry,
    Seed,
    Storage,
    SweepId,
    base_of,
    sweep_metric,
)

from nlpbook.cli import new_app, run
from nlpbook.errors import UserError
from nlpbook.screen import say
from nlpbook.sweeps.cli import SEED, Request, run_sweep
from nlpbook.sweeps.workers import core_count, gpus_of_this_machine

GPUS = "CUDA_VISIBLE_DEVICES"
THREADS = "OMP_NUM_THREADS"  # PyTorch가 CPU에서 계산할 때 쓰는 쓰레드의 수


def usable_gpus(environment: Mapping[str, str], here: Sequence[str]) -> list[str]:
    """일꾼들이 쓸 수 있는 GPU의 이름들.

    Args:
        environment: 환경 변수들. `CUDA_VISIBLE_DEVICES`가 있으면 `"2,5"`나 `"GPU-8f3a"`처럼 적혀 있습니다.
        here: 이 기계의 모든 GPU. 예: `["0", "1", "2", "3"]`.
    """
    given = environment.get(GPUS)
    # [TODO 7-1] CUDA_VISIBLE_DEVICES가 적혀 있으면 거기 적힌 것들을, 없으면 here를 gpus에 담으세요.
    # 힌트: 적혀 있지만 비어 있는 것("")은 "GPU를 쓰지 말라"는 뜻입니다. 적히지 않은 것과 어떻게 가릴까요? CUDA는 "-1"을
    #       만나면 거기에서 읽기를 그칩니다. 이름은 수가 아닐 수도 있고, 쉼표 둘레에 빈칸이 있을 수도 있습니다.
    gpus: list[str] = []
    if given is None:
        gpus = list(here)
    else:
        for name in given.split(","):
            if name.strip() in ("", "-1"):
                break
            gpus.append(name.strip())
    # [END 7-1]
    return gpus


def assign(count: int, gpus: Sequence[str], cores: int) -> list[dict[str, str]]:
    """일꾼마다 더할 환경 변수.

    Args:
        count: 일꾼의 수.
        gpus: 쓸 수 있는 GPU들. 비었으면 CPU로 합니다.
        cores: CPU의 코어 수.

    Returns:
        일꾼마다의 환경 변수 이름 → 글. `OMP_NUM_THREADS`는 언제나, `CUDA_VISIBLE_DEVICES`는 GPU가 있을 때만 있습니다.

    Raises:
        UserError: GPU가 있지만 일꾼보다 적을 때.
    """
    if 0 < len(gpus) < count:
        raise UserError(
            f"GPU가 {len(gpus)}개인데 일꾼은 {count}입니다. 한 GPU를 둘이 쓰면 메모리가 모자라고 느려집니다. "
            f"--num-workers {len(gpus)}(으)로 줄여 주세요."
        )
    environments: list[dict[str, str]] = []
    # [TODO 7-2] 일꾼마다 GPU 하나(GPUS)와 제 몫의 코어 수(THREADS)를 적은 딕셔너리를 environments에 담으세요.
    # 힌트: 환경 변수의 값은 글입니다. 코어 7개를 일꾼 둘에게 나누면 4와 3입니다. 코어보다 일꾼이 많아도 0은 안 됩니다.
    for number in range(count):
        share = cores // count + (1 if number < cores % count else 0)
        environment = {THREADS: str(max(1, share))}
        if gpus:
            environment[GPUS] = gpus[number]
        environments.append(environment)
    # [END 7-2]
    return environments


def gpus_for(base: Mapping[str, Any]) -> list[str]:
    """바탕 설정이 쓰는 장치에서, 쓸 수 있는 GPU들. CPU로 하라고 적었으면 없습니다."""
    from step1_config_and_model import load_config

    config = load_config(base["config"], base["overrides"], environment=base["environment"])
    if config.general.device not in ("auto", "cuda"):
        return []
    return usable_gpus(os.environ, gpus_of_this_machine())


PARALLEL = replace(TASK, assign=assign, gpus=gpus_for)

cli = new_app("여러 일꾼이 한 탐색을 나누어 합니다.", no_args_is_help=False)


@cli.command()
def sweep(
    single_parallel: Annotated[str, typer.Option("--single-parallel", help="탐색의 이름이나 파일.", metavar="이름")],
    base_config: BaseConfig = "quick",
    num_workers: Annotated[int, typer.Option("--num-workers", help="일꾼의 수.", metavar="정수", min=1)] = 2,
    runs_per_worker: Annotated[
        int | None,
        typer.Option("--runs-per-worker", help="일꾼 하나의 몫. 모두 이것과 일꾼의 수를 곱한 만큼 시도합니다.", min=1),
    ] = None,
    sweep_id: SweepId = None,
    resume: Resume = False,
    storage: Storage = None,
    seed: Seed = SEED,
    retry: Retry = 0,
    debugging: Debugging = False,
    overrides: Overrides = None,
) -> None:
    """한 탐색을 여러 일꾼이 나누어 합니다. 빠른 일꾼이 더 합니다."""
    request = Request(
        sweep=single_parallel,
        base=base_of(base_config, overrides, sweep_metric(single_parallel)),
        count=None if runs_per_worker is None else num_workers * runs_per_worker,
        sweep_id=sweep_id,
        resume=resume,
        storage=storage,
        seed=seed,
        retry=retry,
        workers=num_workers,
    )
    say(f"CPU 코어 {core_count()}개, GPU {len(gpus_for(request.base))}개")
    run_sweep(PARALLEL, request)


if __name__ == "__main__":
    run(cli)
