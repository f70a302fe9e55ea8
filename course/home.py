"""저장소 하나의 자리(Home): 무엇이 어디에 있는지. 명령줄이 하나를 만들어 아래로 건넵니다.

강의에 무엇이 들었는지(과제, 단계)는 여기서 모릅니다.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from console_text import with_particles

# 이 파일이 든 저장소. 시험과 스크립트, 그리고 Home을 처음 만드는 곳(cli, magic)만 씁니다.
ROOT = Path(__file__).resolve().parents[1]


class CourseError(Exception):
    """사람에게 그대로 보일, 한국어 한 문장의 오류. `을(를)` 같은 조사는 앞말에 맞춥니다.

    Attributes:
        code: 명령이 이것으로 끝났을 때의 종료 코드.
    """

    code = 1

    def __init__(self, message: str) -> None:
        super().__init__(with_particles(message))


class UsageProblem(CourseError):
    """명령줄에 적어야 할 것이 빠졌거나 잘못되었습니다."""

    code = 2


@dataclass(frozen=True)
class Home:
    """저장소 하나.

    Attributes:
        root: 저장소의 맨 위 폴더.
        skipped: 이 저장소에 쓸 수 없어 하지 못한 일들의 이름. 판정은 그래도 나옵니다.
    """

    root: Path
    skipped: list[str] = field(default_factory=list, compare=False)

    @property
    def solutions(self) -> Path:
        return self.root / "solutions"

    @property
    def tests(self) -> Path:
        """과제마다의 검사와 표가 있는 폴더."""
        return self.root / "tests"

    @property
    def state(self) -> Path:
        """도구가 적어 두는 것들: 자취, 백업, 처음 모습, 받은 검사의 목록. git은 보지 않습니다."""
        return self.root / ".course"

    @property
    def backup(self) -> Path:
        return self.state / "backup"

    @property
    def gate(self) -> Path:
        """강사가 해답을 여는 때를 적는 파일. 없어도 됩니다."""
        return self.root / "course-gate.yaml"

    @property
    def templates(self) -> Path:
        """페이지의 틀."""
        return self.root / "templates"

    @property
    def guide(self) -> Path:
        return self.root / "README_stepwise_learning.md"

    def guide_pages(self) -> list[Path]:
        """TODO 표가 있는 글: 학습 가이드와, docs/guide/에 나누어 둔 장들."""
        pages = [self.guide, *sorted((self.root / "docs" / "guide").glob("*.md"))]
        return [page for page in pages if page.is_file()]

    def about_skipped(self) -> str:
        """쓸 수 없어 하지 못한 일을 알리는 한 문장."""
        what = with_particles(f"{', '.join(self.skipped)}은(는)")
        return f"이 폴더({self.root})에 쓸 수 없어 {what} 하지 못했습니다. 판정은 그대로 믿어도 됩니다."

    def shown(self, path: Path) -> str:
        """사람에게 보이거나 적어 둘 경로. 저장소 안이면 저장소에서부터입니다."""
        return (path.relative_to(self.root) if path.is_relative_to(self.root) else path).as_posix()


@contextmanager
def or_skip(home: Home, what: str) -> Iterator[None]:
    """블록의 일은 할 수 있으면 합니다. 쓸 수 없는 저장소(읽기 전용, 가득 찬 디스크)면 못 했다고 적고 지나갑니다."""
    try:
        yield
    except OSError:
        if what not in home.skipped:
            home.skipped.append(what)


def write_text(path: Path, text: str) -> None:
    """UTF-8로 옆에 쓴 뒤 이름을 바꿉니다."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("w", encoding="utf-8", newline="\n") as out:
            out.write(text)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
