"""과제와 그 단계들. 과제는 폴더의 이름만으로 생깁니다."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from course.book import git
from course.book.regions import Region, is_first_look, parse, to_exercise
from course.home import CourseError, Home

TASK_NAME = re.compile(r"task(\d+)-([a-z]+)")
STEP_NAME = re.compile(r"(?:step|stretch)(\d+)_\w+\.py")  # stretch는 0.1.0의 도구가 단계로 보지 않습니다.
COMPANIONS = (".yaml", ".yml", ".json", ".csv", ".txt", ".md", ".sh", ".bat")  # 단계 곁에 두는 글로 된 파일들
DOOR = "nlpbook.py"  # 단계 파일이 저장소의 라이브러리를 찾게 하는 파일. 단계 파일 곁에 둡니다.
RESULTS = ("output", "outputs", "sweep_results", "wandb", "lightning_logs", "__pycache__")  # 돌린 사람의 것


def is_companion(name: str) -> bool:
    """단계가 함께 쓰는 파일인가: 하위 폴더의 설정과 스크립트, 라이브러리로 가는 문.

    Args:
        name: 저장소에서부터의 경로. 예: `task2-summarization/configs/quick.yaml`.
    """
    task, *folders = name.split("/")
    if TASK_NAME.fullmatch(task) and folders == [DOOR]:
        return True
    if not TASK_NAME.fullmatch(task) or len(folders) < 2 or not name.endswith(COMPANIONS):
        return False
    return folders[0] not in RESULTS and not any(one.startswith(".") for one in folders)


@dataclass(frozen=True)
class Step:
    """과제의 단계 하나."""

    number: int
    file_name: str

    @property
    def module(self) -> str:
        return self.file_name.removesuffix(".py")

    @property
    def is_stretch(self) -> bool:
        """심화 과제의 파일(`stretch9_tasks.py`)인가: 해 본 것만 검사하고, 남은 일로 세지 않습니다."""
        return self.module.startswith("stretch")


def subject_of(name: str) -> str:
    """과제 폴더의 이름에서 번호를 뗀 것."""
    return name.split("-", 1)[1]


def short_name(name: str) -> str:
    """명령에 적는 과제의 짧은 이름: 다섯 글자까지는 그대로, 길면 첫 세 글자."""
    subject = subject_of(name)
    return subject if len(subject) <= 5 else subject[:3]


@dataclass(frozen=True)
class Task:
    """과제 하나.

    Attributes:
        home: 과제가 든 저장소.
        name: 폴더의 이름. 예: `"task1-cls"`.
    """

    home: Home
    name: str

    @property
    def subject(self) -> str:
        """폴더의 이름에서 번호를 뗀 것. 예: `"task2-summarization"` → `"summarization"`."""
        return subject_of(self.name)

    @property
    def short(self) -> str:
        """명령에 적는 짧은 이름. 예: `"cls"`, `"sum"`."""
        return short_name(self.name)

    @property
    def exercise(self) -> Path:
        """학생이 고치는 폴더."""
        return self.home.root / self.name

    @property
    def solution(self) -> Path:
        return self.home.solutions / self.name

    @property
    def tests(self) -> Path:
        """이 과제의 시험이 모두 있는 폴더. 예: `tests/task1_cls`."""
        return self.home.tests / self.name.replace("-", "_")

    @property
    def checks(self) -> Path:
        """검사와 표가 있는 폴더. 단계마다 `stepN/`이, TODO마다 그 안에 방이 있습니다."""
        return self.tests / "checks"

    def check_file(self, todo_id: str) -> Path:
        """TODO의 검사 파일. 예: `"3-4"` → `checks/step3/test_3_4.py`. 곁의 `3-4.yaml`이 그 표입니다."""
        return self.checks / f"step{todo_id.split('-')[0]}" / f"test_{todo_id.replace('-', '_')}.py"

    @property
    def source(self) -> Path:
        """단계와 TODO의 목록을 읽을 폴더: 해답, 없으면 학생의 폴더."""
        return self.solution if self.solution.is_dir() else self.exercise

    @cached_property
    def steps(self) -> list[Step]:
        """단계들, 번호순."""
        if self.solution.is_dir():
            return [Step(*one) for one in _numbered(self.solution)]
        mine, pristine = _numbered(self.exercise), _numbered(self.pristine("step").parent)
        # 학생이 만든 사본보다 처음 모습이 있는 것을, 이름이 바뀐 옛 처음 모습보다 학생의 것을 앞세웁니다.
        by_number = {**dict(pristine), **dict(reversed(mine)), **dict(one for one in mine if one in pristine)}
        return [Step(*one) for one in sorted(by_number.items())]

    def companions(self) -> list[str]:
        """단계가 함께 쓰는, 하위 폴더의 파일들. 해답의 폴더에서부터의 경로입니다. 예: `configs/quick.yaml`."""
        files = [path for path in self.solution.rglob("*") if path.is_file()]
        names = [path.relative_to(self.solution).as_posix() for path in files]
        return sorted(name for name in names if is_companion(f"{self.name}/{name}"))

    def step(self, number: int) -> Step:
        for step in self.steps:
            if step.number == number:
                return step
        known = ", ".join(str(step.number) for step in self.steps)
        raise CourseError(f"{self.name}에는 {number}단계가 없습니다. 있는 단계: {known}")

    def step_of(self, todo_id: str) -> Step:
        """TODO가 있는 단계. 예: `"3-4"` → 3단계."""
        return self.step(int(todo_id.split("-")[0]))

    def is_stretch(self, todo_id: str) -> bool:
        """하고 싶은 사람만 하는 심화 과제인가."""
        return self.step_of(todo_id).is_stretch

    def pristine(self, file_name: str) -> Path:
        """새 판을 합칠 때(update) 견주려고, 학생이 받았던 처음 모습을 따로 두는 곳."""
        return self.home.state / "pristine" / self.name / file_name

    def first_look(self, file_name: str) -> str | None:
        """손대지 않은 실습 파일: 따로 둔 처음 모습, 해답에서 만든 것, git에 남은 것 가운데 먼저 있는 것."""
        pristine, solution = self.pristine(file_name), self.solution / file_name
        if pristine.is_file():
            return pristine.read_text(encoding="utf-8-sig")
        if solution.is_file():
            return to_exercise(solution.read_text(encoding="utf-8"), file_name)
        return git.latest(self.home.root, f"{self.name}/{file_name}", is_first_look)

    def regions(self, folder: Path | None = None) -> dict[str, Region]:
        """모든 TODO 자리. 폴더를 주지 않으면 해답에서, 없으면 처음 모습에서, 그것도 없으면 학생의 폴더에서 읽습니다."""
        untouched = folder is None and not self.solution.is_dir()
        folder = folder or self.source
        found: dict[str, Region] = {}
        for step in self.steps:
            path = folder / step.file_name
            try:
                text = (self.first_look(step.file_name) if untouched else None) or path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                raise CourseError(f"{path.name}을(를) 읽을 수 없습니다. 편집기에서 UTF-8로 저장해 주세요.") from None
            for region in parse(text, path.name):
                found[region.id] = region
        return dict(sorted(found.items(), key=lambda one: tuple(map(int, one[0].split("-")))))


def _numbered(folder: Path) -> list[tuple[int, str]]:
    """폴더의 단계 파일들을 (번호, 이름)으로, 번호순."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted((int(match[1]), name) for name in names if (match := STEP_NAME.fullmatch(name)))


def all_tasks(home: Home) -> list[Task]:
    """저장소의 모든 과제, 번호순."""
    found = {
        (int(match[1]), path.name)
        for folder in (home.solutions, home.root)
        if folder.is_dir()
        for path in folder.iterdir()
        if path.is_dir() and (match := TASK_NAME.fullmatch(path.name))
    }
    return [Task(home, name) for _, name in sorted(found)]


def find_task(home: Home, name: str) -> Task:
    """`sum`, `summarization`, `task2`, `task2-summarization` 가운데 어느 것으로도 찾습니다.

    Raises:
        CourseError: 그런 과제가 없거나, 짧은 이름이 같은 과제가 둘일 때.
    """
    tasks, name = all_tasks(home), name.rstrip("/")
    exact = [task for task in tasks if name in (task.name, task.subject, task.name.split("-", 1)[0])]
    found = exact or [task for task in tasks if name == task.short]
    if len(found) == 1:
        return found[0]
    if found:
        raise CourseError(f"'{name}'은(는) 어느 과제인지 알 수 없습니다: {', '.join(task.subject for task in found)}")
    raise CourseError(f"과제 '{name}'이(가) 없습니다. 있는 과제: {', '.join(task.short for task in tasks)}")
