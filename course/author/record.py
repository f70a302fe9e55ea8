"""지금의 검사가 모든 답에 무어라고 하는지 적어 두고, 나중의 것과 견줍니다.

    python -m course record verdicts.jsonl              # 적어 둡니다
    python -m course record verdicts.jsonl --compare    # 다시 검사해, 달라진 판정을 보여 줍니다

검사나 도구의 자리를 옮기는 사람이 씁니다: 옮기기만 했다면 학생이 읽는 글은 한 글자도 달라지지 않아야 합니다. 흔한 실수,
다른 옳은 답, 기계적인 변이, 빈 자리, 해답을 모두 묻습니다. 두 과제의 2,535개에 5분쯤 걸립니다.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from course.author.audit import mutants
from course.author.copies import solved_copy
from course.book.regions import code_of, splice
from course.book.tables import Answers
from course.book.tasks import Task
from course.checks.checker import Checker
from course.checks.verdict import Verdict
from course.home import CourseError, write_text

TIMEOUT = 20.0  # 초


@dataclass(frozen=True)
class Said:
    """답 하나에 대한 판정.

    Attributes:
        kind: `mistake`, `right`, `mutant`, `untouched`, `solution`.
        answer: 그 종류 안에서 답을 가리키는 이름.
        says: 학생이 80칸 터미널에서 읽는 글. 답을 둔 폴더는 `.`로 적습니다.
    """

    task: str
    todo: str
    kind: str
    answer: str
    state: str
    symptom: str | None
    says: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.task, self.todo, self.kind, self.answer


Render = Callable[[Path, Verdict], str]


def record(task: Task, todo_ids: list[str], checker: Checker, render: Render) -> Iterator[Said]:
    """TODO마다 모든 답을 검사해 판정을 냅니다.

    Args:
        render: (폴더, 판정) → 학생이 읽는 글.
    """
    answers = Answers.load(task)
    with solved_copy(task) as folder:
        for todo_id in todo_ids:
            file = folder / task.step_of(todo_id).file_name
            solution = file.read_text(encoding="utf-8")
            for kind, answer, code in answers_to(todo_id, code_of(solution, todo_id), answers):
                file.write_text(splice(solution, todo_id, code), encoding="utf-8")
                verdict = checker.check(task, folder, [todo_id], timeout=TIMEOUT)[todo_id]
                says = render(folder, verdict).replace(str(folder), ".")
                yield Said(task.name, todo_id, kind, answer, verdict.state, verdict.symptom, says)
            file.write_text(solution, encoding="utf-8")


def answers_to(todo_id: str, right: str, answers: Answers) -> Iterator[tuple[str, str, str]]:
    """(종류, 이름, 코드)들."""
    for mistake in answers.mistakes:
        if mistake.todo == todo_id:
            yield "mistake", f"{mistake.symptom}: {mistake.name}", mistake.code
    for other in answers.also_right:
        if other.todo == todo_id:
            yield "right", other.name, other.code
    for number, mutant in enumerate(mutants(todo_id, right)):
        yield "mutant", f"{number}: {mutant.what}", mutant.code
    yield "untouched", "", f'from todo import todo\ntodo("{todo_id}")'
    yield "solution", "", right


def write(path: Path, said: list[Said]) -> None:
    """한 줄에 판정 하나인 JSON."""
    write_text(path, "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in said))


def read(path: Path) -> list[Said]:
    """
    Raises:
        CourseError: 없거나, 이 명령이 적은 것이 아닐 때.
    """
    try:
        return [Said(**json.loads(line)) for line in io.StringIO(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise CourseError(f"{path}을(를) 읽을 수 없습니다. 먼저 `python -m course record {path}`: {error}") from None


def differences(before: list[Said], after: list[Said]) -> Iterator[str]:
    """달라진 판정들을 글로. 한쪽에만 있는 답도 셉니다."""
    old, new = ({one.key: one for one in many} for many in (before, after))
    for key in [*old, *(key for key in new if key not in old)]:
        was, now = old.get(key), new.get(key)
        if was != now:
            shown = " ".join(key).rstrip()
            yield f"{shown}\n--- 전\n{was.says if was else '(없음)'}\n--- 후\n{now.says if now else '(없음)'}"
