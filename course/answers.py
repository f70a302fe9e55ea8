"""과제의 두 표: 흔한 실수와, 다르지만 옳은 답. 파일은 `tests/<과제>/answers.yaml`입니다.

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

`code`는 자리의 코드 전체이고, `symptom`은 검사가 알아본 실수의 이름입니다.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml

from course.paths import CourseError, Task


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


@dataclass
class Answers:
    """과제 하나의 두 표."""

    mistakes: list[Mistake] = field(default_factory=list)
    also_right: list[RightAnswer] = field(default_factory=list)

    @classmethod
    def load(cls, task: Task) -> Answers:
        """표를 읽습니다. 파일이 없으면 빈 표입니다.

        Raises:
            CourseError: YAML이 깨졌거나 빠진 항목이 있을 때.
        """
        path = task.tests / "answers.yaml"
        if not path.is_file():
            return cls()
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            made = cls()
            for todo_id, tables in content.items():
                made.mistakes += [Mistake(todo=str(todo_id), **one) for one in tables.get("mistakes", [])]
                made.also_right += [RightAnswer(todo=str(todo_id), **one) for one in tables.get("also_right", [])]
            return made
        except (yaml.YAMLError, TypeError, AttributeError) as error:
            raise CourseError(f"{path.name}을(를) 읽을 수 없습니다: {error}") from None

    def named(self, todo_id: str, symptom: str | None) -> Mistake | None:
        """이 TODO에서 이 증상을 가진 실수."""
        return next((one for one in self.mistakes if one.todo == todo_id and one.symptom == symptom), None)
