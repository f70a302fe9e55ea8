"""노트북에서 `%check`와 `%%check`."""

from __future__ import annotations

import pytest

from course import magic
from course.author.build import build
from course.book.backups import undo
from course.book.regions import code_of, to_exercise
from course.checks import checker as checking
from course.checks.verdict import NOT_STARTED, RIGHT, Verdict
from course.student.progress import Progress
from tests.course.workshop import STEP1


class FakeChecker:
    """빈 자리면 시작 전, 아니면 맞음. 물어본 것을 적습니다."""

    def __init__(self):
        self.asked, self.closed = [], False

    def check(self, task, folder, todo_ids):
        self.asked.append(todo_ids)
        verdicts = {}
        for one in todo_ids:
            text = (folder / task.step_of(one).file_name).read_text(encoding="utf-8")
            state, title = (NOT_STARTED, "시작 전") if f'todo("{one}")' in text else (RIGHT, "맞았습니다")
            verdicts[one] = Verdict(one, state, title)
        return verdicts

    def close(self):
        self.closed = True


@pytest.fixture(scope="module")
def shell():
    """진짜 IPython. 기록을 남기지 않습니다."""
    interactive = pytest.importorskip("IPython.core.interactiveshell")
    from traitlets.config import Config

    one = interactive.InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    one.run_line_magic("load_ext", "course.magic")
    return one


@pytest.fixture
def checker(workshop, monkeypatch):
    build(workshop.home)
    fake = FakeChecker()
    monkeypatch.setattr(magic, "_checker", fake)
    monkeypatch.setattr(magic, "_home", workshop.home)
    return fake


def test_line_magic_checks_the_files_as_they_are(shell, checker, capsys):
    shell.run_line_magic("check", "tiny 1")
    assert checker.asked == [["1-1", "1-2"]]
    assert "· 1-1  시작 전" in capsys.readouterr().out


def test_line_magic_alone_checks_everything(shell, checker):
    shell.run_line_magic("check", "")
    assert checker.asked == [["1-1", "1-2", "2-1"]]


def test_cell_goes_into_the_region_and_is_checked(shell, checker, workshop, capsys):
    shell.run_cell("%%check tiny 1-1\nanswer = number + number  # 더하기\n")
    assert checker.asked == [["1-1"]]
    assert "✓ 1-1  맞았습니다" in capsys.readouterr().out
    assert code_of(workshop.step1.read_text(encoding="utf-8"), "1-1") == "answer = number + number  # 더하기\n"
    assert Progress(workshop.home).of(workshop.task, "1-1").attempts == 1


def test_cell_copied_with_its_indentation_fits_too(shell, checker, workshop):
    shell.run_cell_magic("check", "1-1", "        if True:\n            answer = number * 2\n")
    assert code_of(workshop.step1.read_text(encoding="utf-8"), "1-1") == "if True:\n    answer = number * 2\n"


def test_what_the_cell_replaced_can_be_brought_back(shell, checker, workshop):
    shell.run_cell_magic("check", "tiny 1-1", "answer = 1\n")
    undo(workshop.home)
    assert workshop.step1.read_text(encoding="utf-8") == to_exercise(STEP1)


@pytest.mark.parametrize(
    ("line", "said"),
    [("", "TODO 하나"), ("tiny 9-9", "9-9"), ("tiny 1", "TODO 1"), ("nope 1-1", "있는 과제: tiny")],
)
def test_wrong_name_is_one_sentence_and_changes_nothing(shell, checker, workshop, capsys, line, said):
    shell.run_cell_magic("check", line, "answer = 1\n")
    out = capsys.readouterr().out
    assert out.startswith("오류: ")
    assert said in out
    assert "Traceback" not in out
    assert workshop.step1.read_text(encoding="utf-8") == to_exercise(STEP1)
    assert checker.asked == []


def test_wrecked_file_is_one_sentence_and_stays_as_it_is(shell, checker, workshop, capsys):
    wrecked = to_exercise(STEP1).replace("# [END 1-1]\n", "")
    workshop.step1.write_text(wrecked, encoding="utf-8")
    shell.run_cell_magic("check", "tiny 1-1", "answer = 1\n")
    assert "오류: " in capsys.readouterr().out
    assert workshop.step1.read_text(encoding="utf-8") == wrecked


def test_unloading_ends_the_checking_process(shell, checker):
    shell.run_line_magic("unload_ext", "course.magic")
    assert checker.closed
    shell.run_line_magic("load_ext", "course.magic")


def test_interrupted_check_leaves_no_answer_for_the_next(workshop, monkeypatch):
    """셀을 멈춘 뒤의 검사가, 멈춘 검사의 답을 받으면 안 됩니다."""

    def interrupted(*_):
        raise KeyboardInterrupt

    build(workshop.home)
    workshop.install_engine()
    with checking.Checker(workshop.home) as checker:
        with monkeypatch.context() as patch:
            patch.setattr(checking, "_readline", interrupted)
            with pytest.raises(KeyboardInterrupt):
                checker.check(workshop.task, workshop.task.exercise, ["1-1"])
        verdicts = checker.check(workshop.task, workshop.task.solution, ["1-2"])
    assert verdicts["1-2"].is_right
