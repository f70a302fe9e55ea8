"""`check --debug`는 TODO 하나를 이 창에서 검사합니다. 키보드와 디버거가 이어집니다."""

from __future__ import annotations

import codecs
import os
import subprocess
import sys

import pytest

from course import cli
from course.author.build import build
from course.book.regions import splice
from tests.course.workshop import STEP1

RUN = "import sys; from pathlib import Path; from course import cli; from course.home import Home\n"
RUN += "sys.exit(cli.main(sys.argv[2:], Home(Path(sys.argv[1]))))"


@pytest.fixture
def school(workshop):
    build(workshop.home)
    workshop.install_engine()
    return workshop


@pytest.fixture
def talk(school):
    """`talk(코드, [(기다릴 글, 칠 글), …])`: 진짜 터미널에서 1-1을 디버그합니다. (종료 코드, 화면)을 돌려줍니다."""
    if os.name == "nt":
        pytest.skip("pty가 없습니다")
    import pty

    def run(code, said):
        school.step1.write_text(splice(STEP1, "1-1", code), encoding="utf-8")
        master, slave = pty.openpty()
        environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONUTF8": "1", "TERM": "dumb"}
        command = [sys.executable, "-c", RUN, str(school.root), "check", "--debug", "1-1"]
        process = subprocess.Popen(command, cwd=school.root, env=environment, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        screen, seen = "", 0
        decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode  # 한 글자가 나뉘어 오기도 합니다.
        left = list(said)
        while True:
            try:
                screen += decode(os.read(master, 1 << 16))
            except OSError:  # 저쪽이 끝났습니다.
                break
            if left and left[0][0] in screen[seen:]:
                seen = len(screen)
                os.write(master, left.pop(0)[1].encode())
        os.close(master)
        return process.wait(), screen

    return run


def test_debugger_and_input_work_on_the_terminal(talk):
    code = "breakpoint()\nextra = int(input('몇을 더할까요? '))\nanswer = number * 2 + extra"
    talked = [("(Pdb)", "p number + 40\n"), ("(Pdb)", "c\n"), ("더할까요?", "0\n")]
    talked += [("(Pdb)", "c\n"), ("더할까요?", "0\n")]  # 검사가 둘입니다.
    code, screen = talk(code, talked)
    assert "42" in screen
    assert "✓ 1-1  맞았습니다" in screen
    assert code == 0


@pytest.mark.parametrize(
    "opens",
    ["breakpoint()", "import pdb; pdb.set_trace()"],
)
def test_one_quit_ends_the_debugger_and_is_not_a_verdict_on_the_code(talk, opens):
    code, screen = talk(f"{opens}\nanswer = number * 2", [("(Pdb)", "q\n")])
    assert screen.count("(Pdb)") == 1
    assert "디버거를 끝내 검사를 멈췄습니다" in screen
    assert "check --debug" not in screen
    assert code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["1-1"], "터미널에서만 됩니다"),
        (["1"], "TODO 하나만 검사합니다. 예: python -m course check --debug tiny 1-1"),
        ([], "TODO 하나만 검사합니다."),
        (["1-1", "--json"], "--json이나 --lines와 함께 쓸 수 없습니다"),
    ],
)
def test_what_cannot_be_debugged_is_refused_with_an_example(school, capsys, words, said):
    assert cli.main(["check", "--debug", *words], school.home) == 2
    assert said in capsys.readouterr().err
