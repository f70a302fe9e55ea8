"""옛 판(0.1.0)의 `update`가 새 판을 합친 뒤에 부르는 이름. 그 옛말로 물으면 지금의 검사로 답합니다.

합치기는 옛 판의 프로세스가 하고, 그 프로세스는 판정이 어떻게 달라졌는지를 `python -m course.worker`에 묻습니다. 여기서
지금의 검사 프로세스에 되물어, 답을 옛 판이 읽는 사전으로 옮깁니다. 다른 누구도 이 파일을 부르지 않습니다.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from course.checks.checker import DEFAULT_TIMEOUT, Checker
from course.checks.messages import MISSING, Job, Reply, Result
from course.home import ROOT, CourseError, Home
from course.student.carrying import carry_over, is_due, leave_word


def serve(home: Home, requests: BinaryIO, answers: BinaryIO) -> None:
    """물음(한 줄의 JSON)마다 옛 모양으로 답합니다. 입력이 끝나면 돌아옵니다.

    첫 물음은 합친 바로 뒤에 옵니다. 옛 판이 모르는 일, 바뀐 이름을 학생의 답에 옮기는 일을 그 앞에 합니다.
    """
    with Checker(home) as checker:
        with contextlib.suppress(CourseError, OSError):  # 못 한 것은 도구가 다음에 돌 때 다시 합니다.
            leave_word(home, carry_over(home, checker) if is_due(home) else [])
        for line in requests:
            asked = json.loads(line)
            timeout = asked.get("timeout", DEFAULT_TIMEOUT)
            job = Job(asked["task"], Path(asked["folder"]), asked["todos"], asked.get("device", "cpu"), timeout)
            answers.write(json.dumps(old_reply(checker.ask(job)), default=str).encode() + b"\n")
            answers.flush()


def old_reply(reply: Reply) -> dict[str, Any]:
    """옛 판의 `results`, `hashes`, `errors`, 그리고 프로세스가 죽었으면 `died`."""
    died = {"died": reply.died} if reply.died else {}
    results = [old_result(one) for one in reply.results]
    return {"results": results, "hashes": reply.hashes, "errors": reply.errors, **died}


def old_result(result: Result) -> dict[str, Any]:
    """옛 판의 검사 하나. 실패의 항목들이 그 안에 펼쳐져 있습니다."""
    told: dict[str, Any] = {"test": result.test, "todo": result.todo, "outcome": result.outcome, "doc": ""}
    if result.failure is None:
        return told
    failure = asdict(result.failure)
    if failure["kind"] == MISSING:
        failure["kind"] = "todo"
    return told | {name: value for name, value in failure.items() if value is not None or name == "symptom"}


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(Home(ROOT), sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
