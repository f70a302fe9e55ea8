"""판정: 검사들의 결과를 학생이 읽을 한 가지 말로."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from console_text import filled, readable
from course.book.tables import Answers
from course.checks import messages
from course.checks.messages import FORGED, MISSING, SKIPPED, TIMEOUT, Failure, Reply, Result

RIGHT, NOT_STARTED, BLOCKED, WRONG, BROKEN = "right", "not started", "blocked", "wrong", "broken"


@dataclass
class Verdict:
    """TODO 하나의 판정.

    Attributes:
        todo: `"3-4"`.
        state: `right`, `not started`(아직 빈 자리), `blocked`(앞의 TODO가 비어 있음), `wrong`(틀림), `broken`(예외).
        title: 한 줄. 알아본 실수라면 그 이름.
        says: 무엇을 생각해 보면 되는지. 예외라면 그 쉬운 설명.
        expected, got, idea: 기대한 것, 나온 것, 개념. 없으면 빈 글.
        guide: 그 개념을 설명하는 가이드의 자리. 예: `"docs/guide/task1-cls.md#토큰"`. 없으면 빈 글.
        symptom: 알아본 실수. 모르면 None.
        error: 코드가 멈췄다면 예외의 이름. 예: `"NameError"`.
        file, line: 학생의 파일과 줄. 모르면 None.
        code: 멈춘 줄의 코드, 들여쓰기 없이. 모르면 빈 글.
        column: 문법 오류가 난 칸(`code`의 몇 번째 글자인지, 0부터). 모르면 None.
        also: 이 답에서 함께 알아본 다른 실수의 이름들. 실수의 표를 다듬을 때 봅니다.
        hashes: 정말 읽은 파일의 해시.
        printed: 자리의 코드가 찍은 것의 마지막 줄들. 틀렸다면 틀린 검사에서 찍은 것입니다.
        checks: 돌린 검사의 수.
        ran: 돌린 검사의 이름들.
        course_version, device: 검사한 강의의 판과 장치.
    """

    todo: str
    state: str
    title: str
    says: str = ""
    expected: str = ""
    got: str = ""
    idea: str = ""
    guide: str = ""
    symptom: str | None = None
    error: str = ""
    file: str | None = None
    line: int | None = None
    code: str = ""
    column: int | None = None
    traceback: str = ""
    hashes: dict[str, str] = field(default_factory=dict)
    printed: list[str] = field(default_factory=list)
    checks: int = 0
    ran: list[str] = field(default_factory=list)
    also: list[str] = field(default_factory=list)
    course_version: str = ""
    device: str = ""

    @property
    def is_right(self) -> bool:
        return self.state == RIGHT

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge(todo_id: str, reply: Reply, answers: Answers) -> Verdict:
    """검사 결과에서 이 TODO의 판정을 냅니다. 알아본 실수가 가장 먼저, 그다음이 첫 번째 실패입니다."""
    if reply.died:
        return _died(todo_id, reply)
    if reply.rewritten:
        names = ", ".join(reply.rewritten[:3])
        says = (
            "검사와 도구의 파일을 고치는 코드를 지워 주세요. 파일은 되돌려 놓았고, 바뀐 것은 .course/backup에 있습니다."
        )
        return Verdict(todo_id, BROKEN, f"검사하는 동안 파일이 바뀌어 세지 않았습니다: {names}", says)
    if reply.tampered:
        title = f"단계 파일이 검사 도구를 바꿔치기했습니다: {', '.join(reply.tampered[:3])}"
        return Verdict(todo_id, WRONG, title, hashes=reply.hashes)
    results = [result for result in reply.results if result.todo == todo_id]
    if not results:
        why = reply.errors[0].strip().splitlines()[-1] if reply.errors else "검사가 하나도 실행되지 않았습니다"
        says = f"{why}. tests 폴더를 다시 받아 주세요."
        return Verdict(todo_id, BROKEN, "검사하지 못했습니다", says, hashes=reply.hashes)
    failed = [result for result in results if not result.passed]
    verdict = _explain(todo_id, failed, answers) if failed else Verdict(todo_id, RIGHT, "맞았습니다")
    verdict.hashes = reply.hashes
    verdict.printed = next((said for one in failed or results if (said := reply.printed.get(one.test))), [])
    verdict.checks = len(results)
    verdict.ran = [result.test for result in results]
    return verdict


def _explain(todo_id: str, failed: list[Result], answers: Answers) -> Verdict:
    failures = [result.why for result in failed]
    for failure in failures:
        if failure.kind == MISSING and failure.missing == todo_id:
            return _located(Verdict(todo_id, NOT_STARTED, "아직 시작하지 않았습니다"), failure)
    named = [(failure, answers.named(todo_id, failure.symptom)) for failure in failures if failure.symptom]
    named = [(failure, mistake) for failure, mistake in named if mistake]
    if named:
        failure, mistake = named[0]
        verdict = Verdict(todo_id, WRONG, mistake.name, filled(mistake.says, failure.values).strip())
        verdict.also = sorted({other.name for _, other in named} - {mistake.name})
        return _with_values(_located(verdict, failure), failure)
    failure = failures[0]
    if failure.kind == MISSING:
        title = f"먼저 TODO {failure.missing}을(를) 채워야 검사할 수 있습니다"
        return _located(Verdict(todo_id, BLOCKED, title), failure)
    if failure.kind == messages.WRONG:
        title = failure.message or "답이 기대와 다릅니다"  # 표에 없는 증상만 적은 검사입니다.
        return _with_values(_located(Verdict(todo_id, WRONG, title), failure), failure)
    if failed[0].outcome == SKIPPED:
        return Verdict(todo_id, BROKEN, "검사를 건너뛰었습니다", failure.message)
    return _stopped(todo_id, failure)


def _stopped(todo_id: str, failure: Failure) -> Verdict:
    """예외로 멈춘 코드: 무슨 예외인지, 어느 줄인지, 쉬운 말로 무슨 뜻인지."""
    title, says = explain([failure.error, *failure.bases], failure.message, failure.code, failure.traceback)
    title = title or f"코드가 멈췄습니다: {failure.error}: {_first_line(readable(failure.message))}".rstrip(": ")
    verdict = Verdict(todo_id, BROKEN, title, says, error=failure.error)
    verdict.code = failure.code
    verdict.column = failure.column
    return _located(verdict, failure)


def _first_line(message: str, limit: int = 200) -> str:
    line = next((line.strip() for line in message.splitlines() if line.strip()), "")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _located(verdict: Verdict, failure: Failure) -> Verdict:
    verdict.file = failure.file
    verdict.line = failure.line
    verdict.traceback = failure.traceback
    return verdict


def _with_values(verdict: Verdict, failure: Failure) -> Verdict:
    verdict.expected = failure.expected
    verdict.got = failure.got
    verdict.idea = failure.idea
    verdict.symptom = failure.symptom
    return verdict


def _died(todo_id: str, reply: Reply) -> Verdict:
    """끝까지 가지 못한 검사. 그때 돌고 있던 줄을 알면 그 줄을 가리킵니다."""
    file, line = reply.stopped_at or (None, None)
    if reply.died == FORGED:
        says = "코드가 파일 번호로 직접 쓰는 곳(os.write)이 있는지 보세요. 그런 줄을 지우고 다시 검사해 주세요."
        return Verdict(todo_id, BROKEN, "검사의 답에 다른 글이 섞였습니다", says)
    title = "검사하던 프로세스가 죽었습니다"
    says = "sys.exit를 부르거나 메모리를 지나치게 쓰는 곳이 있는지 확인해 주세요."
    if reply.died == TIMEOUT:
        title = "검사가 제시간에 끝나지 않았습니다"
        says = "이 줄을 돌고 있었습니다. " * bool(line) + "끝나지 않는 반복이 있는지 확인해 주세요."
    return Verdict(todo_id, BROKEN, title, says, error=reply.died if line else "", file=file, line=line)


CONFLICT = re.compile(r"^(<{7}|={7}|>{7}|\|{7})( |$)")


@cache
def _meanings() -> list[dict[str, str]]:
    return yaml.safe_load((Path(__file__).parent / "exceptions.yaml").read_text(encoding="utf-8"))


def plainly(kinds: list[str], message: str, code: str = "", traceback: str = "") -> str:
    """예외가 무슨 뜻이고 무엇을 살펴보면 되는지, 한두 문장. 모르는 예외면 빈 글입니다."""
    return explain(kinds, message, code, traceback)[1]


def explain(kinds: list[str], message: str, code: str = "", traceback: str = "") -> tuple[str, str]:
    """예외의 (제목, 무슨 뜻이고 무엇을 살펴보면 되는지). 표는 `exceptions.yaml`이고, 적히지 않은 것은 빈 글입니다.

    Args:
        kinds: 예외의 이름과 그 조상들의 이름.
        message: 예외의 글(영어).
        code: 멈춘 줄의 코드.
        traceback: 파이썬이 짐작한 이름(`Did you mean`)을 여기에서 찾습니다.
    """
    if "SyntaxError" in kinds and CONFLICT.match(code):
        kinds = ["MergeConflict"]
    for one in _meanings():
        match = re.search(one.get("when", ""), message) if one["error"] in kinds else None
        if match:
            groups = [_first_line(group, 60) for group in match.groups("")]
            says = filled(one["says"], {}, "", *groups)
            guess = re.search(r"Did you mean:? '([^']+)'", traceback[-500:])
            says += f" 혹시 {guess[1]}을(를) 쓰려던 것인가요?" if guess else ""
            return one.get("title", ""), says
    return "", ""
