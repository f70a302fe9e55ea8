"""과제의 두 표: 흔한 실수와, 다르지만 옳은 답. 파일은 `tests/<과제>/answers.yaml`(또는 단계마다
나눈 `tests/<과제>/answers/*.yaml`)입니다.

    3-4:
      mistakes:
        - symptom: sigmoid
          name: 시그모이드를 썼습니다
          code: |
            …
          says: 두 확률의 합이 {sum:.3f}입니다. …
      also_right:
        - name: functional로 씁니다
          code: |
            …

`code`는 자리의 코드 전체이고, `symptom`은 검사가 알아본 실수의 이름입니다. 곁의 `hints.yaml`에는 TODO마다의
힌트(`hints`, 단계 파일의 힌트 다음 것부터)와 해답을 열었을 때 보일 설명(`explains`)이 있습니다.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from course.book.tasks import Task
from course.home import CourseError

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


COMMON = {  # 어느 TODO에서든 같은 실수
    "reseeds": (
        "전역 난수의 시드를 다시 정했습니다",
        "{got}을(를) 불렀습니다. 값은 맞지만, 사용자가 고른 시드가 여기에서 지워지고 뒤따르는 드롭아웃과 섞기까지 "
        "달라집니다. 시드는 프로그램의 처음에 한 번만 정합니다. 이 자리에 그 줄이 꼭 필요한가요?",
    )
}


@dataclass
class Answers:
    """과제 하나의 두 표와, TODO마다의 힌트와 설명."""

    hints: dict[str, list[str]] = field(default_factory=dict)
    explanations: dict[str, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    also_right: list[RightAnswer] = field(default_factory=list)

    @classmethod
    def load(cls, task: Task) -> Answers:
        """표를 읽습니다. 파일이 없으면 빈 표입니다.

        Raises:
            CourseError: YAML이 깨졌거나 빠진 항목이 있을 때.
        """
        made = cls()
        try:
            for todo_id, tables in read_tables(task, "hints").items():
                made.hints[str(todo_id)] = [str(one).strip() for one in tables.get("hints", [])]
                made.explanations[str(todo_id)] = str(tables.get("explains", "")).strip()
            for todo_id, tables in read_tables(task, "answers").items():
                made.mistakes += [Mistake(todo=str(todo_id), **one) for one in tables.get("mistakes", [])]
                made.also_right += [RightAnswer(todo=str(todo_id), **one) for one in tables.get("also_right", [])]
            return made
        except (yaml.YAMLError, TypeError, AttributeError) as error:
            raise CourseError(f"{task.name}의 answers.yaml이나 hints.yaml을 읽을 수 없습니다: {error}") from None

    def named(self, todo_id: str, symptom: str | None) -> Mistake | None:
        """이 TODO에서 이 증상을 가진 실수. 표에 없으면 어느 TODO에나 있는 실수(`COMMON`)에서 찾습니다."""
        own = next((one for one in self.mistakes if one.todo == todo_id and one.symptom == symptom), None)
        if own is None and symptom in COMMON:
            name, says = COMMON[symptom]
            return Mistake(todo_id, symptom, name, code="", says=says)
        return own


def read_tables(task: Task, name: str) -> dict[str, Any]:
    """TODO마다의 표. `<name>.yaml` 하나이거나, 단계마다 나눈 `<name>/*.yaml`입니다. 없으면 빈 사전입니다.

    Raises:
        CourseError: 같은 TODO가 두 파일에 있을 때.
    """
    merged: dict[str, Any] = {}
    for path in (task.tests / f"{name}.yaml", *sorted((task.tests / name).glob("*.yaml"))):
        tables = (yaml.load(path.read_text(encoding="utf-8"), Loader) or {}) if path.is_file() else {}
        if twice := merged.keys() & tables.keys():
            raise CourseError(f"{path.name}: TODO {min(twice)}의 표가 다른 파일에도 있습니다.")
        merged |= tables
    return merged
