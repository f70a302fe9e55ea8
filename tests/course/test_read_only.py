"""쓸 수 없는 저장소에서도 판정은 나옵니다. 적지 못한 것은 한 문장으로 알립니다."""

from __future__ import annotations

import io
import shutil

import pytest
from rich.console import Console

from course import cli
from course.author.build import build
from course.checks.checker import Checker
from course.student.progress import Progress
from course.student.watch import Watch
from tests.course.workshop import STEP1


@pytest.fixture
def sealed(workshop):
    """`.course`에 아무것도 쓸 수 없는 저장소. 관리자에게도 통하도록, 폴더의 자리에 파일을 둡니다."""
    build(workshop.home)
    workshop.install_engine()
    workshop.step1.write_text(STEP1.replace("* 2", "* 3"), encoding="utf-8")
    shutil.rmtree(workshop.home.state)
    workshop.home.state.write_text("폴더가 아닙니다", encoding="utf-8")
    return workshop


@pytest.mark.parametrize("command", [["check", "1-1"], ["check", "tiny"]])
def test_check_still_gives_the_verdict_and_says_once_what_it_could_not_write(sealed, capsys, command):
    assert cli.main(command, sealed.home) == 1
    told = capsys.readouterr()
    assert "✗ 1-1  두 배가 아닙니다." in told.out
    assert told.err.count("\n") == 1
    assert "쓸 수 없어 배운 자취 적기는 하지 못했습니다" in told.err


@pytest.mark.parametrize("command", [["status"], ["hint", "1-2"], ["diff", "1-1"]])
def test_other_commands_that_only_look_work_too(sealed, capsys, command):
    assert cli.main(command, sealed.home) == 0
    assert capsys.readouterr().out


def test_command_that_must_write_says_that_it_cannot(sealed, capsys):
    before = sealed.step1.read_bytes()
    assert cli.main(["reset", "1-1"], sealed.home) == 1
    assert "파일을 읽거나 쓰지 못했습니다" in capsys.readouterr().err
    assert sealed.step1.read_bytes() == before


def test_watch_gives_verdicts_and_says_once_what_it_could_not_write(sealed):
    console = Console(file=io.StringIO(), width=200, color_system=None)
    with Checker(sealed.home) as checker:
        one = Watch([sealed.task], checker, console, Progress(sealed.home))
        one.start()
        for text in (STEP1.replace("* 2", "* 4"), STEP1):
            sealed.step1.write_text(text, encoding="utf-8")
            one.on_save({sealed.step1})
    screen = console.file.getvalue()
    assert "✗ 1-1" in screen
    assert "✓ 1-1" in screen
    assert screen.count("쓸 수 없어") == 1
    assert one.progress.of(sealed.task, "1-1").attempts == 2
