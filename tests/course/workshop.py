"""시험용 작은 저장소. 과제 하나(task1-tiny)와 그 검사가 들어 있고, 무거운 라이브러리를 쓰지 않습니다."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from course.book import manifest as trust
from course.book.tasks import Task
from course.book.untouched import untouched_text
from course.checks.checker import Checker
from course.home import ROOT, Home

STEP1 = '''"""1단계 · 수"""

from math import pi


def double(number):
    # [TODO 1-1] 두 배를 answer에 담으세요.
    # 힌트: 더하기로도 됩니다.
    answer = number * 2
    # [END 1-1]
    return answer


def area(radius):
    # [TODO 1-2] 원의 넓이를 돌려주세요.
    return pi * radius**2
    # [END 1-2]
'''
STEP2 = '''"""2단계 · 수를 네 배로"""

import step1_numbers


def quadruple(number):
    # [TODO 2-1] double을 두 번 부르세요.
    return step1_numbers.double(step1_numbers.double(number))
    # [END 2-1]
'''
CONFTEST = """
from course.checks.plugin import step_loader

load = step_loader(__file__)
"""
CHECK11 = """
from course.checks.words import fail, todo


@todo("1-1")
def test_double_of_two(load):
    if (got := load(1).double(2)) != 4:
        fail("두 배가 아닙니다.", idea="곱셈", expected=4, got=got)


@todo("1-1")
def test_double_of_three(load):
    if (got := load(1).double(3)) != 6:
        fail("두 배가 아닙니다.", idea="곱셈", expected=6, got=got)
"""
CHECK12 = """
from course.checks.words import assert_equal, todo


@todo("1-2")
def test_area(load):
    assert_equal(round(load(1).area(1), 2), 3.14, idea="넓이", message="넓이가 다릅니다.")
"""
CHECK21 = """
from course.checks.words import fail, todo


@todo("2-1")
def test_quadruple(load):
    if (got := load(2).quadruple(2)) != 8:
        fail("네 배가 아닙니다.", idea="곱셈", expected=8, got=got)
"""
ODD = [
    "\x0c",
    "\x1c",
    "\x85",
    "\u2028",
]  # `str.splitlines`만 줄바꿈으로 보는 글자들. 파이썬의 줄 번호는 이것을 세지 않습니다.
GUIDE = "# 가이드\n\n<!-- todos task1-tiny 1 -->\n옛 표\n<!-- /todos -->\n\n끝\n"


class Workshop:
    """`root`에 만든 작은 저장소. 진짜 저장소의 Home 대신 `workshop.home`을 건네면 모든 일이 이곳에서 일어납니다."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = Home(root)
        self.task = Task(self.home, "task1-tiny")
        self.guide = self.home.guide
        self.write("solutions/task1-tiny/step1_numbers.py", STEP1)
        self.write("solutions/task1-tiny/step2_quadruple.py", STEP2)
        self.write("tests/task1_tiny/checks/conftest.py", CONFTEST)
        self.write("tests/task1_tiny/checks/step1/test_1_1.py", CHECK11)
        self.write("tests/task1_tiny/checks/step1/test_1_2.py", CHECK12)
        self.write("tests/task1_tiny/checks/step2/test_2_1.py", CHECK21)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if name.startswith("tests/"):
            self.seal()
        return path

    def seal(self) -> None:
        """지금의 검사를 배포된 것으로 삼습니다."""
        trust.manifest_file(self.task).write_text(trust.manifest_text(self.task), encoding="utf-8")

    @property
    def step1(self) -> Path:
        """학생의 1단계 파일."""
        return self.task.exercise / "step1_numbers.py"

    def drop_solutions(self) -> None:
        """해답이 없는 배포판으로 만듭니다. 처음 모습은 따로 남습니다."""
        for step in Task(self.home, self.task.name).steps:
            file = self.task.pristine(step.file_name)
            self.write(file.relative_to(self.root).as_posix(), untouched_text(self.task, step.file_name))
        shutil.rmtree(self.root / "solutions")

    def backups(self) -> set[bytes]:
        """`.course/backup`에 남은 모든 파일의 내용."""
        return {path.read_bytes() for path in (self.root / ".course" / "backup").rglob("*") if path.is_file()}

    def install_engine(self) -> None:
        """검사 프로세스가 여기서 돌 수 있도록 도구를 복사합니다."""
        shutil.copytree(ROOT / "course", self.root / "course", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("todo.py", "console_text.py", "command_line.py", "conftest.py", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root)


@contextmanager
def checking_workshop(root: Path) -> Iterator[Workshop]:
    """도구까지 갖춘 작은 저장소와, 그것을 묻는 검사 프로세스 하나(`checker`)."""
    workshop = Workshop(root)
    workshop.install_engine()
    with Checker(workshop.home) as workshop.checker:
        yield workshop
