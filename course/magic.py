"""Jupyter와 Colab에서 쓰는 마법: 셀의 코드를 TODO 자리에 넣어 검사합니다.

    %load_ext course.magic

    %%check cls 3-4
    inputs = self.lm_tokenizer(text, …)
    …

셀의 코드는 학생의 파일에도 저장됩니다(옛 파일은 남고, `!python -m course undo`로 되돌립니다). `%check cls 3`처럼 쓰면
지금의 파일을 검사합니다.
"""

from __future__ import annotations

import textwrap
from typing import Any

from rich.console import Console

from course.book.backups import overwrite
from course.book.regions import RegionError, splice
from course.book.untouched import read_student_file
from course.checks.checker import Checker
from course.cli import chosen
from course.home import ROOT, CourseError, Home
from course.student.commands import one_todo
from course.student.progress import Progress
from course.student.show import show_verdict

_home = Home(ROOT)
_checker = Checker(_home)


def check(line: str, cell: str | None = None) -> None:
    """`%check [과제] [단계|TODO]`와 `%%check 과제 TODO`."""
    console = Console(highlight=False)
    try:
        if cell is not None:
            task, todo_id = one_todo(_home, line.split(), "%%check")
            path = task.exercise / task.step_of(todo_id).file_name
            text = splice(read_student_file(path), todo_id, textwrap.dedent(cell))
            overwrite(_home, [(path, text)], f"%%check {todo_id}")
        for task, todo_ids in chosen(_home, line.split()):
            progress = Progress(_home)
            for verdict in _checker.check(task, task.exercise, todo_ids).values():
                progress.record(task, verdict)
                show_verdict(console, _home, task.exercise, verdict)
    except (CourseError, RegionError) as error:
        console.print(f"오류: {error}", markup=False)


def load_ipython_extension(ipython: Any) -> None:
    ipython.register_magic_function(check, "line_cell", "check")


def unload_ipython_extension(ipython: Any) -> None:
    _checker.close()
