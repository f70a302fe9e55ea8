"""완성된 과제의 시연. 과제마다 무엇을 보일지는 `solutions/<과제>/demo.py`가 정합니다."""

from __future__ import annotations

import os
import subprocess
import sys

from course.book.tasks import Task
from course.home import CourseError


def run_demo(task: Task, arguments: list[str]) -> int:
    """과제의 시연을 실행하고 종료 코드를 돌려줍니다.

    Raises:
        CourseError: 시연이 없는 과제이거나, 해답이 없는 배포판일 때.
    """
    script = task.solution / "demo.py"
    if not script.is_file():
        raise CourseError(f"{task.name}의 시연이 없습니다(해답이 든 배포판에서 실행해 주세요): {script}")
    environment = {**os.environ, "PYTHONUTF8": "1"}
    process = subprocess.Popen([sys.executable, str(script), *arguments], cwd=task.home.root, env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
