"""TODO마다의 표: 흔한 실수, 다르지만 옳은 답, 힌트. 3-4의 것은 그 검사 곁의 `checks/step3/3-4.yaml`입니다.

    mistakes:                       # 흔한 실수
      - symptom: sigmoid
        name: 시그모이드를 썼습니다
        code: |
          …
        says: 두 확률의 합이 {sum:.3f}입니다. …
    also_right:                     # 해답과 다르지만 옳은 답
      - name: functional로 씁니다
        code: |
          …
    hints: […]                      # 단계 파일의 힌트 다음 세 단: 어디를 볼지, 다음 질문, 답의 모양
    difficulty: 2                   # 1(아는 것 하나를 부릅니다), 2(생각할 것이 있습니다), 3(오래 생각합니다)
    minutes: 30                     # 처음 하는 사람이 걸릴 만한 시간(분). 재어 본 값이 아니라 어림입니다
    explains: …                     # 해답을 열었을 때 보일 설명
    equivalents:                    # 뜻이 해답과 같은 변이 (course/author/audit.py)
      - reason: …
        code: |
          …

`code`는 자리의 코드 전체이고, `symptom`은 검사가 알아본 실수의 이름입니다.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from course.book.tasks import Task
from course.home import CourseError

TABLE_NAME = re.compile(r"\d+-\d+\.yaml")
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # C로 짠 것이 열 배 빠릅니다. 표는 수천 줄입니다.


@dataclass(frozen=True)
class Mistake:
    """흔한 실수 하나. `says`에는 검사가 건넨 값이 `{이름}`으로 끼워집니다."""

    todo: str
    symptom: str
    name: str
    code: str
    says: str


@dataclass(frozen=True)
class RightAnswer:
    """해답과 다르지만 옳은 답 하나."""

    todo: str
    name: str
    code: str


@dataclass(frozen=True)
class Effort:
    """TODO 하나에 드는 힘.

    Attributes:
        difficulty: 1(쉬움)부터 3까지.
        minutes: 처음 하는 사람이 걸릴 만한 시간(분).
    """

    difficulty: int
    minutes: int

    @property
    def stars(self) -> str:
        return "★" * self.difficulty + "☆" * (3 - self.difficulty)

    def __str__(self) -> str:
        return f"{self.stars} {self.minutes}분"


def _common() -> dict[str, tuple[str, str]]:
    rows = yaml.load((Path(__file__).parent / "common.yaml").read_text(encoding="utf-8"), Loader)
    return {one["symptom"]: (one["name"], one["says"]) for one in rows}


COMMON = _common()  # 어느 TODO에서든 같은 실수: 증상 → (이름, 설명)


@dataclass
class Answers:
    """과제 하나의 두 표와, TODO마다의 힌트와 설명."""

    hints: dict[str, list[str]] = field(default_factory=dict)
    explanations: dict[str, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    also_right: list[RightAnswer] = field(default_factory=list)
    efforts: dict[str, Effort] = field(default_factory=dict)

    @classmethod
    def load(cls, task: Task) -> Answers:
        """표를 읽습니다. 파일이 없으면 빈 표입니다.

        Raises:
            CourseError: YAML이 깨졌거나 빠진 항목이 있을 때.
        """
        made = cls()
        try:
            for todo_id, table in read_tables(task).items():
                made.hints[todo_id] = [str(one).strip() for one in table.get("hints", [])]
                made.explanations[todo_id] = str(table.get("explains", "")).strip()
                made.mistakes += [Mistake(todo=todo_id, **one) for one in table.get("mistakes", [])]
                made.also_right += [RightAnswer(todo=todo_id, **one) for one in table.get("also_right", [])]
                if table.keys() & {"difficulty", "minutes"}:
                    made.efforts[todo_id] = Effort(table["difficulty"], table["minutes"])
            return made
        except (TypeError, KeyError) as error:
            raise CourseError(f"{task.name} {todo_id}.yaml의 항목이 모자라거나 남습니다: {error}") from None

    def named(self, todo_id: str, symptom: str | None) -> Mistake | None:
        """이 TODO에서 이 증상을 가진 실수. 표에 없으면 어느 TODO에나 있는 실수(`COMMON`)에서 찾습니다."""
        own = next((one for one in self.mistakes if one.todo == todo_id and one.symptom == symptom), None)
        if own is None and symptom in COMMON:
            name, says = COMMON[symptom]
            return Mistake(todo_id, symptom, name, code="", says=says)
        return own


def read_tables(task: Task) -> dict[str, dict[str, Any]]:
    """TODO → 그 표. 번호순이고, 파일이 없는 TODO는 없습니다.

    Raises:
        CourseError: 파일을 읽을 수 없거나, 표가 아닐 때.
    """
    tables = {}
    for path in table_files(task):
        try:
            table = yaml.load(path.read_text(encoding="utf-8"), Loader) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise CourseError(f"{task.name}의 {path.name}을(를) 읽을 수 없습니다: {error}") from None
        if not isinstance(table, dict):
            raise CourseError(f"{task.name}의 {path.name}을(를) 읽을 수 없습니다: 표(이름: 값)가 아닙니다.")
        tables[path.stem] = table
    return tables


def table_files(task: Task) -> list[Path]:
    """표 파일들, TODO의 번호순."""
    found = [path for path in task.checks.glob("step*/*.yaml") if TABLE_NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: tuple(map(int, path.stem.split("-"))))
