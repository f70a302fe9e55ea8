"""검사와 표를 보지 않고 쓴 답들을 판정해, 검사가 처음 보는 답을 얼마나 옳게 가리는지 셉니다.

    python -m course judge 답들                # 답들/cls/3-4.txt처럼 과제와 TODO마다 한 파일
    python -m course judge 답들 cls 3-4 --again 20    # 같은 답을 스무 번 물어, 판정이 달라지지 않는지

한 파일에는 답이 여럿 있습니다. 저마다 `### wrong: 무엇을 잘못 생각했는지`나 `### right: 왜 옳은지`로 시작하고, 그
아래에 자리의 코드 전체를 적습니다. 표의 답(`record`)과 달리, 이 답들은 검사를 고칠 때 보지 않은 것이어야 합니다.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from course.author.copies import solved_copy
from course.author.record import TIMEOUT, Said
from course.book.regions import splice
from course.book.tasks import Task
from course.checks.checker import Checker
from course.checks.verdict import BROKEN, RIGHT
from course.home import CourseError

HEAD = re.compile(r"### (wrong|right): ?(.*)")


@dataclass(frozen=True)
class Unseen:
    """처음 보는 답 하나.

    Attributes:
        kind: `wrong` 또는 `right`. 쓴 사람의 말입니다.
        what: 무엇을 잘못 생각했는지, 또는 왜 옳은지.
        code: 자리의 코드 전체.
    """

    todo: str
    kind: str
    what: str
    code: str


@dataclass(frozen=True)
class Tally:
    """한 과제에서 센 것. 옳게 가린 것은 거른 틀린 답과 받아들인 옳은 답입니다.

    Attributes:
        passed: 통과해 버린 틀린 답.
        named: 실수의 이름을 댄 틀린 답.
        explained: 코드가 멈춰, 예외를 쉬운 말로 푼 틀린 답.
        refused: 받아들이지 않은 옳은 답.
    """

    wrong: int
    passed: int
    named: int
    explained: int
    right: int
    refused: int

    @property
    def judged(self) -> float:
        """옳게 가린 비율, 0~1."""
        return 1 - (self.passed + self.refused) / max(1, self.wrong + self.right)

    @property
    def told(self) -> float:
        """틀린 답 가운데 무엇을 잘못했는지 말한 비율, 0~1."""
        return (self.named + self.explained) / max(1, self.wrong)


def read_answers(folder: Path, task: Task, todo_ids: Iterable[str]) -> list[Unseen]:
    """폴더에 적힌 이 과제의 답들.

    Raises:
        CourseError: 답이 하나도 없거나, 첫 답의 앞에 다른 글이 있을 때.
    """
    found: list[Unseen] = []
    for todo_id in todo_ids:
        path = folder / task.short / f"{todo_id}.txt"
        if not path.is_file():
            continue
        parts = re.split(r"(?m)^(?=### (?:wrong|right):)", path.read_text(encoding="utf-8"))
        if parts[0].strip():
            raise CourseError(f"{path}은 `### wrong: …`이나 `### right: …`로 시작해야 합니다.")
        for part in parts[1:]:
            head, _, code = part.partition("\n")
            match = HEAD.match(head)
            assert match is not None
            found.append(Unseen(todo_id, match[1], match[2].strip(), code.strip("\n") + "\n"))
    return found


def judged(task: Task, answers: Iterable[Unseen], checker: Checker, again: int = 1) -> Iterator[list[Said]]:
    """답마다, `again`번의 판정."""
    with solved_copy(task) as folder:
        for answer in answers:
            file = folder / task.step_of(answer.todo).file_name
            solution = file.read_text(encoding="utf-8")
            file.write_text(splice(solution, answer.todo, answer.code), encoding="utf-8")
            said = []
            for _ in range(again):
                verdict = checker.check(task, folder, [answer.todo], timeout=TIMEOUT)[answer.todo]
                says = f"{verdict.title}\n{verdict.says}".replace(str(folder), ".").strip()
                said.append(
                    Said(task.name, answer.todo, answer.kind, answer.what, verdict.state, verdict.symptom, says)
                )
            file.write_text(solution, encoding="utf-8")
            yield said


def tally(said: Sequence[Said]) -> Tally:
    """판정들을 셉니다."""
    wrong = [one for one in said if one.kind == "wrong"]
    right = [one for one in said if one.kind == "right"]
    caught = [one for one in wrong if one.state != RIGHT]
    return Tally(
        wrong=len(wrong),
        passed=len(wrong) - len(caught),
        named=sum(one.symptom is not None for one in caught),
        explained=sum(one.symptom is None and one.state == BROKEN for one in caught),
        right=len(right),
        refused=sum(one.state != RIGHT for one in right),
    )


def sentence_of(name: str, counted: Tally) -> str:
    """센 것을 한 줄로."""
    return (
        f"{name}: 틀린 답 {counted.wrong:,}개 가운데 통과 {counted.passed:,}, 이름을 댐 {counted.named:,}, 예외를 풂 "
        f"{counted.explained:,}. 옳은 답 {counted.right:,}개 가운데 거절 {counted.refused:,}. 옳게 가림 "
        f"{counted.judged:.1%}, 무엇이 틀렸는지 말함 {counted.told:.1%}"
    )
