"""탐색의 빠르기와 메모리: 일꾼 하나와 둘, 시도마다의 덤, 일찍 멈추어 아끼는 검증, 시도 50개를 하는 일꾼의 메모리.

    python benchmarks/sweep_scaling.py workers          # 과제마다 시도 열 개를 일꾼 하나(코어 모두)와 둘로 (15분쯤)
    python benchmarks/sweep_scaling.py workers lm       # 과제 하나만
    python benchmarks/sweep_scaling.py overhead         # 시도가 하는 일이 없을 때, 시도 하나에 드는 시간 (30초쯤)
    python benchmarks/sweep_scaling.py pruning          # 시드 다섯에서, 멈추지 않은 탐색과 견줍니다 (20분쯤)
    python benchmarks/sweep_scaling.py memory           # 한 일꾼이 짧은 시도 50개를 하는 동안의 메모리 (4분쯤)

다른 일을 하지 않는 기계에서 잽니다. 일꾼의 시간에는 프로세스를 시작하고 모델을 읽는 시간도 들어갑니다.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from console_text import make_printable  # noqa: E402

SOLUTIONS = ROOT / "solutions"
HOME = SOLUTIONS / "task2-summarization"
QUICK = HOME / "configs" / "sweep" / "quick_test.yaml"
TASKS = {"cls": "task1-cls", "sum": "task2-summarization", "lm": "task3-lm"}
TRIALS = 10
LONG = 50


def ran(step: Path, *words: str) -> float:
    """명령을 실행하는 데 걸린 시간(초)."""
    started = time.perf_counter()
    subprocess.run([sys.executable, str(step), *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def written(folder: Path, name: str, source: Path = QUICK, **changes: object) -> Path:
    """`source`를 조금 바꾼 탐색 파일."""
    sweep = yaml.safe_load(source.read_text(encoding="utf-8"))
    for key, value in changes.items():
        if value is None:
            sweep.pop(key, None)
        elif key == "parameters":
            sweep[key] = {**sweep[key], **value}  # type: ignore[dict-item]
        else:
            sweep[key] = value
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(sweep, allow_unicode=True), encoding="utf-8")
    return path


def lines_of(outputs: Path, name: str) -> list[dict]:
    text = (outputs / f"sweep_{name}" / "all_sweep_results.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def equal(folder: Path, source: Path) -> Path:
    """`source`의 값 하나하나는 고정하고 시드만 열 가지인, 일찍 멈추지 않는 탐색."""
    given = yaml.safe_load(source.read_text(encoding="utf-8"))["parameters"]
    fixed = {name: {"value": one["values"][-1]} for name, one in given.items() if "values" in one}
    fixed |= {name: {"value": 2e-3} for name, one in given.items() if "min" in one}
    fixed |= {"num_epochs": {"value": 1}} if "num_epochs" in given else {}
    seeds = {"seed": {"values": list(range(100, 100 + TRIALS))}}
    changes = {"method": "grid", "early_terminate": None, "run_cap": None}
    return written(folder, "equal", source, **changes, parameters={**fixed, **seeds})


def workers(folder: Path, tasks: Iterable[str]) -> None:
    """과제마다 같은 시도 열 개를, 코어를 다 쓰는 일꾼 하나와 코어를 나누어 쓰는 일꾼 둘로."""
    for task in tasks:
        home = SOLUTIONS / TASKS[task]
        source = QUICK if task == "sum" else home / "configs" / "sweep" / "quick_sweep.yaml"
        path = equal(folder, source)
        rates, times = {}, {}
        for count in (1, 2):
            outputs = folder / task / f"outputs{count}"
            if task == "sum":
                step = home / "step7_parallel_sweep_runner.py"
                words = ["--single-parallel", str(path), f"output_dir={outputs}"]
            else:
                step = home / "step5_cli_and_serving.py"
                words = ["sweep", str(path), "--output", str(outputs)]
            seconds = ran(step, *words, "--num-workers", str(count))
            complete = [one for one in lines_of(outputs, "equal") if one["status"] == "complete"]
            if len(complete) != TRIALS:
                raise SystemExit(f"{task}: 시도 {TRIALS}개 가운데 {len(complete)}개만 마쳤습니다.")
            rates[count] = 60 * TRIALS / seconds
            times[count] = statistics.median(one["seconds"] for one in complete)
            print(f"{task} 일꾼 {count}: {seconds:.1f}초, 1분에 {rates[count]:.2f}개. 시도 하나는 {times[count]:.1f}초")
        bound = 2 * times[1] / times[2]  # 시작하는 데 드는 시간이 없을 때
        print(f"{task}: 둘이면 {rates[2] / rates[1]:.2f}배 (시도만 보면 {bound:.2f}배)", flush=True)


def overhead(folder: Path) -> None:
    """하는 일이 없는 시도 50개: 저장소와 결과 파일에 적는 시간만."""
    from nlpbook.sweeps.cli import Request, SweepTask, run_sweep

    (folder / "nothing.yaml").write_text("method: random\nparameters: {x: {min: 0.0, max: 1.0}}\n", encoding="utf-8")
    task = SweepTask(
        file=Path(__file__),
        name="-",
        trial=lambda parameters, context: {"score": parameters["x"]},
        sweeps=folder,
        outputs=lambda base: folder / "outputs",
        metric="score",
    )
    started = time.perf_counter()
    run_sweep(task, Request("nothing", count=50))
    print(f"시도 하나의 덤 {(time.perf_counter() - started) / 50:.3f}초")


def pruning(folder: Path) -> None:
    """quick_test를 시드마다, 멈출 때와 멈추지 않을 때로."""
    saved, near = [], 0
    for seed in (3, 5, 8, 13, 21):
        found = {}
        for name, early in (("pruned", {"type": "hyperband", "min_iter": 1, "eta": 3}), ("whole", None)):
            path = written(folder, f"{name}{seed}", early_terminate=early)
            outputs = folder / "outputs"
            ran(HOME / "step6_sweep_runner.py", "--sweep-config", str(path), "--count", "9", "--seed", str(seed),
                f"output_dir={outputs}")  # fmt: skip
            lines = lines_of(outputs, path.stem)
            steps = sum(len(one["steps"]) for one in lines)
            found[name] = steps, max(one["value"] for one in lines if one["status"] == "complete")
        saved.append(1 - found["pruned"][0] / found["whole"][0])
        lost = found["whole"][1] - found["pruned"][1]
        near += lost <= 0.01
        print(
            f"시드 {seed}: 검증 {found['whole'][0]} → {found['pruned'][0]} ({saved[-1]:.0%} 아낌), 잃은 점수 {lost:.4f}"
        )
    print(f"평균 {statistics.fmean(saved):.0%} 아낌, 0.01 안은 다섯 가운데 {near}")


def memory(folder: Path) -> None:
    """배치와 길이가 번갈아 바뀌는 짧은 시도 50개. 시도가 끝날 때마다 일꾼이 쓰는 메모리(RSS)를 봅니다."""
    path = written(
        folder,
        "short",
        method="random",
        early_terminate=None,
        parameters={
            "data.max_train_samples": {"value": 32},
            "training.num_train_epochs": {"value": 1},
            "generation.max_length": {"values": [20, 40]},
        },
    )
    outputs = folder / "outputs"
    command = [sys.executable, str(HOME / "step7_parallel_sweep_runner.py"), "--single-parallel", str(path)]
    command += ["--num-workers", "1", "--runs-per-worker", str(LONG), f"output_dir={outputs}"]
    used: list[float] = []  # MiB
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
        parent = psutil.Process(run.pid)
        while run.poll() is None:
            time.sleep(0.1)
            if not (outputs / "sweep_short" / "all_sweep_results.jsonl").is_file():
                continue
            finished = len(lines_of(outputs, "short"))
            for worker in parent.children():
                if finished > len(used):
                    used += [worker.memory_info().rss / 2**20] * (finished - len(used))
    print("시도가 끝날 때의 메모리(MiB): " + " ".join(f"{one:.0f}" for one in used))
    early, late = (statistics.fmean(one) for one in (used[10:20], used[-10:]))
    print(f"11~20번째의 평균 {early:.0f}, 마지막 열 개의 평균 {late:.0f} ({late / early - 1:+.1%})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("workers", "overhead", "pruning", "memory"))
    parser.add_argument("tasks", nargs="*", metavar="과제", help=f"workers가 잴 과제: {', '.join(TASKS)}. 비우면 모두.")
    given = parser.parse_args()
    unknown = [one for one in given.tasks if one not in TASKS]
    if unknown:
        parser.error(f"모르는 과제입니다: {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "workers":
            workers(Path(folder), given.tasks or TASKS)
        else:
            {"overhead": overhead, "pruning": pruning, "memory": memory}[given.what](Path(folder))


if __name__ == "__main__":
    make_printable()
    main()
