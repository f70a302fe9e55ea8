"""저장에서 판정까지 얼마나 걸리는지 TODO마다 재고, 차가운 pytest와 견줍니다.

    python benchmarks/feedback.py            # 모든 TODO, 저마다 20번
    python benchmarks/feedback.py cls -n 5

임시 폴더의 파일을 정말로 쓰고, `course watch`와 같은 길(watchfiles → 검사 프로세스 → 판정)을 지나 판정이 나오기까지를
잽니다. 답은 해답과 첫 번째 실수를 번갈아 씁니다. 차가운 pytest는 같은 TODO를 새 프로세스에서 한 번 검사한 시간입니다.
"""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from console_text import make_printable
from course.book.regions import code_of, splice
from course.book.tables import Answers
from course.book.tasks import Task, all_tasks, find_task
from course.checks.checker import Checker
from course.home import ROOT, Home
from course.student.watch import watch_files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="?", help="과제의 짧은 이름. 비우면 모두")
    parser.add_argument("-n", "--repeats", type=int, default=20, help="TODO마다 저장하는 횟수")
    parser.add_argument("--without_cold", action="store_true", help="차가운 pytest는 재지 않습니다")
    asked = parser.parse_args()
    home = Home(ROOT)
    tasks = [find_task(home, asked.task)] if asked.task else all_tasks(home)
    everything: list[float] = []
    print(f"{'TODO':<6}{'중앙값':>8}{'95 %':>8}{'가장 김':>8}{'차가운 pytest':>14}{'배':>7}")
    for task in tasks:
        for todo_id, times, cold in measure(task, asked.repeats, not asked.without_cold):
            everything += times
            median = statistics.median(times)
            ratio = f"{cold / median:6.1f}" if cold else ""
            print(
                f"{todo_id:<6}{median:>9.3f}초{percentile(times, 95):>8.3f}초{max(times):>8.3f}초"
                + (f"{cold:>11.2f}초{ratio:>8}" if cold else ""),
                flush=True,
            )
    middle, slow = statistics.median(everything), percentile(everything, 95)
    print(f"모두 {len(everything)}번: 중앙값 {middle:.3f}초, 95 % {slow:.3f}초")


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share / 100))]


def measure(task: Task, repeats: int, with_cold: bool):
    """TODO마다 (번호, 저장에서 판정까지의 초들, 차가운 pytest의 초)."""
    answers = Answers.load(task)
    with tempfile.TemporaryDirectory() as name, Checker(task.home) as checker:
        folder = Path(name).resolve()
        for step in task.steps:
            shutil.copy(task.solution / step.file_name, folder)
        events: queue.Queue = queue.Queue()
        stop = threading.Event()
        threading.Thread(target=watch_files, args=([folder], events, stop), daemon=True).start()
        checker.check(task, folder, [next(iter(task.regions()))])  # 검사 프로세스가 뜨는 시간은 빼고 잽니다.
        time.sleep(0.5)  # 감시가 자리를 잡을 때까지
        for todo_id in task.regions():
            file = folder / task.step_of(todo_id).file_name
            solution = file.read_text(encoding="utf-8")
            wrong = next(one.code for one in answers.mistakes if one.todo == todo_id)
            texts = [splice(solution, todo_id, code) for code in (wrong, code_of(solution, todo_id))]
            times = []
            for repeat in range(repeats):
                while not events.empty():
                    events.get()
                started = time.perf_counter()
                file.write_text(texts[repeat % 2] + f"# {repeat}\n", encoding="utf-8")
                events.get(timeout=10)
                verdict = checker.check(task, folder, [todo_id])[todo_id]
                times.append(time.perf_counter() - started)
                assert verdict.is_right == (repeat % 2 == 1), verdict
            file.write_text(solution, encoding="utf-8")
            yield todo_id, times, cold_pytest(task, folder, todo_id) if with_cold else 0.0
        stop.set()


def cold_pytest(task: Task, folder: Path, todo_id: str) -> float:
    test_file = task.check_file(todo_id)
    command = [sys.executable, "-m", "pytest", "-q", str(test_file), "--todo", todo_id, "--target", str(folder)]
    started = time.perf_counter()
    subprocess.run(
        command, cwd=task.home.root, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, check=True
    )
    return time.perf_counter() - started


if __name__ == "__main__":
    make_printable()
    main()
