"""터미널에 적는 모양: 판정 하나, TODO 하나. 80칸에서도, 색이 없어도 읽힙니다."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from course.book.regions import Region, RegionError, find, lines_of
from course.book.tables import Answers
from course.book.tasks import Task
from course.book.untouched import known_todos
from course.checks.verdict import BLOCKED, BROKEN, NOT_STARTED, RIGHT, Verdict
from course.home import Home

MARKS = {RIGHT: ("✓", "green"), NOT_STARTED: ("·", "dim"), BLOCKED: ("·", "yellow"), BROKEN: ("!", "red")}

WRONG_MARK = ("✗", "red")
LEGEND = "✓ 맞음  ✗ 틀림  ! 멈춤  · 시작 전이거나 앞의 TODO를 기다림"


def mark_of(verdict: Verdict) -> tuple[str, str]:
    """판정의 표시와 색. 표시의 뜻은 `LEGEND`입니다."""
    return MARKS.get(verdict.state, WRONG_MARK)


def show_verdict(
    console: Console,
    home: Home,
    folder: Path,
    verdict: Verdict,
    seconds: float | None = None,
    with_traceback: bool = False,
) -> None:
    """`folder`를 검사한 판정 하나를 적습니다. 알아본 실수의 이름이 맨 위에, 생각해 볼 질문이 그 아래에 옵니다."""
    mark, color = mark_of(verdict)
    time = f"  {seconds:.2f}초" if seconds is not None else ""
    console.print(Text.assemble((f"{mark} {verdict.todo}", f"{color} bold"), f"  {verdict.title}", (time, "dim")))
    if verdict.file and verdict.line and not verdict.is_right:
        indented(console, f"{home.shown(folder / verdict.file)}:{verdict.line}", style="dim")
    if verdict.code:
        _show_code(console, verdict)
    for name, value in (("기대", verdict.expected), ("나온 값", verdict.got)):
        if value:
            indented(console, f"{name}: {value}")
    if verdict.says:
        indented(console, verdict.says)
    if verdict.printed:
        indented(console, "찍은 것:", style="dim")
        for line in verdict.printed:
            indented(console, f"  {line}")
    if verdict.idea:
        indented(console, f"관련된 개념: {verdict.idea}", style="dim")
    if verdict.guide:
        _show_link(console, home, verdict.guide)
    if with_traceback and verdict.traceback:
        indented(console, verdict.traceback.rstrip(), style="dim")


def problem_line(home: Home, folder: Path, verdict: Verdict) -> str:
    """편집기가 읽는 한 줄: `파일:줄:칸: error|warning: 말`. 칸은 그 줄의 첫 글자이거나, 문법이 틀린 글자입니다."""
    kind = "warning" if verdict.state in (NOT_STARTED, BLOCKED) else "error"
    said = f"{verdict.title}: {verdict.says}" if verdict.says else verdict.title
    if verdict.file is None:
        return f"{home.shown(folder)}:1:1: {kind}: {verdict.todo} {said}"
    file, number = folder / verdict.file, verdict.line or 1
    try:
        line = lines_of(file.read_text(encoding="utf-8-sig"))[number - 1].rstrip("\r\n")
    except (OSError, UnicodeDecodeError, IndexError):
        line = ""
    column = len(line) - len(line.lstrip()) + (verdict.column or 0) + 1
    return f"{home.shown(file)}:{number}:{column}: {kind}: {verdict.todo} {' '.join(said.split())}"


def _show_link(console: Console, home: Home, place: str) -> None:
    """가이드의 자리. 링크를 아는 터미널에서는 눌러서 엽니다."""
    page, _, anchor = place.partition("#")
    uri = f"{(home.root / page).resolve().as_uri()}#{quote(anchor)}"
    line = Text.assemble(("    가이드: ", "dim"), (place, Style(dim=True, link=uri)))
    console.print(line, soft_wrap=True)


def _show_code(console: Console, verdict: Verdict) -> None:
    """멈춘 줄의 코드. 어느 칸인지 알고 한 줄에 들어가면 그 밑에 ^를 찍습니다."""
    prefix = f"{verdict.line} | " if verdict.line else "| "
    indented(console, prefix + verdict.code, style="bold")
    room = console.width - 5 - len(prefix)
    if verdict.column is not None and cell_len(verdict.code) <= room:
        indented(console, " " * (len(prefix) + cell_len(verdict.code[: verdict.column])) + "^", style="red")


def show_todo(
    console: Console,
    task: Task,
    todo_id: str,
    answers: Answers,
    hints_seen: int,
    progress: tuple[int, int] | None = None,
) -> None:
    """지금 할 TODO: 어디서 무엇을 하는지, 지금까지 본 힌트, 전체의 진행(한 것, 모두)."""
    region = known_todos(task)[todo_id]
    name = f"심화 {todo_id}" if task.is_stretch(todo_id) else f"TODO {todo_id}"
    effort = answers.efforts.get(todo_id)
    more = f"  {effort}" if effort else ""
    console.print(Text.assemble((name, "bold"), f"  {region.goal}", (more, "dim")))
    indented(console, f"{task.name}/{task.step_of(todo_id).file_name}:{_line_of(task, region)}", style="dim")
    if region.hint:
        indented(console, f"힌트: {region.hint}")
    hints = answers.hints.get(todo_id, [])
    for number, hint in enumerate(hints[:hints_seen], start=2):
        indented(console, f"힌트 {number}: {hint}")
    if progress is None:
        return
    done, total = progress
    filled = round(30 * done / total) if total else 0
    indented(console, f"{'█' * filled}{'░' * (30 - filled)} {done}/{total}", style="green")


def _line_of(task: Task, region: Region) -> int:
    """학생의 파일에서 자리의 줄 번호. 표시가 깨졌으면 처음 모습에서의 줄입니다."""
    file = task.exercise / task.step_of(region.id).file_name
    try:
        return find(file.read_text(encoding="utf-8-sig"), region.id).code_begin + 1
    except (OSError, UnicodeDecodeError, RegionError):
        return region.code_begin + 1


def indented(console: Console, text: str, style: str = "") -> None:
    """네 칸 들여, 터미널의 폭에서 나누어 적습니다. 줄의 끝에 빈칸을 남기지 않습니다."""
    for line in Text(text, style=style).wrap(console, max(console.width - 4, 1)):
        line.rstrip()
        console.print(Text("    ").append_text(line) if line else "", soft_wrap=True)
