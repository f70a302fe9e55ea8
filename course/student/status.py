"""어디까지 했는지: 지금의 파일을 검사한 결과에 자취(횟수, 힌트, 걸린 시간)를 더해 표, JSON, HTML로 보여 줍니다."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from course.book.manifest import changed
from course.book.tables import Answers, Effort
from course.book.tasks import Task, short_name
from course.checks.checker import Checker
from course.checks.verdict import RIGHT, Verdict
from course.home import write_text
from course.student.progress import Progress, Span, minutes


@dataclass(frozen=True)
class Row:
    """TODO 하나의 상태. 판정은 지금 파일(`file_hash`)을 검사한 것입니다."""

    task: str
    step: str
    todo: str
    goal: str
    state: str
    title: str
    attempts: int
    hints: int
    revealed: bool
    busy: frozenset[Span] | None  # 이 학생이 이것을 하던 사이들. 아직 맞히지 못했으면 None입니다.
    file_hash: str
    stretch: bool = False  # 심화 과제인가. 남은 일로 세지 않습니다.
    effort: Effort | None = None  # 표에 적힌 난이도와 시간. 이 학생에게 걸린 시간은 busy입니다.

    @property
    def minutes(self) -> float | None:
        """이 학생에게 걸린 분. 아직 맞히지 못했으면 None입니다."""
        return None if self.busy is None else minutes(self.busy)

    @property
    def done(self) -> bool:
        return self.state == RIGHT


def collect(wanted: Iterable[tuple[Task, list[str]]], checker: Checker, progress: Progress) -> list[Row]:
    """고른 (과제, TODO들)을 검사합니다."""
    rows = []
    for task, todo_ids in wanted:
        regions, efforts = task.regions(), Answers.load(task).efforts
        verdicts: dict[str, Verdict] = checker.check(task, task.exercise, todo_ids)
        for todo_id, verdict in verdicts.items():
            trace, file = progress.of(task, todo_id), task.step_of(todo_id).file_name
            rows.append(
                Row(
                    task=task.name,
                    step=file,
                    todo=todo_id,
                    goal=regions[todo_id].goal,
                    state=verdict.state,
                    title=verdict.title,
                    attempts=trace.attempts,
                    hints=trace.hints,
                    revealed=trace.revealed,
                    busy=progress.busy(task, todo_id) if trace.first_right else None,
                    file_hash=verdict.hashes.get(file, ""),
                    stretch=task.is_stretch(todo_id),
                    effort=efforts.get(todo_id),
                )
            )
    return rows


def changed_checks(tasks: Iterable[Task]) -> list[str]:
    """받은 것과 다른 검사 파일들. 예: `"tests/task1_cls/checks/step1/test_1_1.py"`.

    해답이 있는 저장소에서는 고쳐진 검사로도 판정하므로, 센 것을 믿을지 보는 사람이 알아야 합니다.
    """
    return [task.home.shown(task.checks / name) for task in tasks for name in changed(task)]


def by_step(rows: list[Row]) -> dict[tuple[str, str], list[Row]]:
    """(과제, 단계 파일) → 그 단계의 줄들."""
    steps: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        steps.setdefault((row.task, row.step), []).append(row)
    return steps


def minutes_of(rows: Iterable[Row]) -> float | None:
    """줄들에 걸린 분. 함께 하던 시간은 한 번만 셉니다. 맞힌 것이 없으면 None입니다."""
    spent = [row.busy for row in rows if row.busy is not None]
    return minutes(frozenset[Span]().union(*spent)) if spent else None


def required(rows: list[Row]) -> list[Row]:
    """강의를 마치려면 해야 하는 것들."""
    return [row for row in rows if not row.stretch]


def stretch_line(rows: list[Row]) -> str:
    """심화 과제를 과제마다 몇 개나 했는지 한 줄. 심화 과제가 없으면 빈 글입니다."""
    tasks: dict[str, list[Row]] = {}
    for row in rows:
        if row.stretch:
            tasks.setdefault(row.task, []).append(row)
    counts = [f"{task} {sum(row.done for row in own)}/{len(own)}" for task, own in tasks.items()]
    return f"심화 과제(하고 싶은 사람만): {' · '.join(counts)}" if counts else ""


def next_line(rows: list[Row], task: str) -> str:
    """다음에 할 TODO와 그 난이도와 시간 한 줄. 심화 과제는 말하지 않고, 모두 마쳤으면 빈 글입니다.

    Args:
        task: 지금 하는 과제의 이름. 다른 과제보다 먼저 봅니다.
    """
    left = [one for one in required(rows) if not one.done]
    if not left:
        return ""
    row = min(left, key=lambda one: one.task != task)
    return f"다음 TODO: {row.task} {row.todo}  {row.goal}" + (f"  {row.effort}" if row.effort else "")


def to_table(rows: list[Row]) -> Table:
    """단계마다 한 줄인 터미널 표. 심화 과제는 없습니다(`stretch_line`)."""
    table = Table("과제", "단계", "한 것", "", "힌트", "시간")
    for (task, step), own in by_step(required(rows)).items():
        done = sum(row.done for row in own)
        spent = minutes_of(own)
        table.add_row(
            short_name(task),
            step.removesuffix(".py"),
            f"{done}/{len(own)}",
            "█" * done + "░" * (len(own) - done),
            str(sum(row.hints for row in own) or ""),
            f"{spent:.0f}분" if spent is not None else "",
        )
    return table


def to_json(rows: list[Row]) -> dict:
    """프로그램이 읽을 모양: 단계마다의 요약, 심화 과제의 요약, TODO마다의 줄."""
    sums = {
        kind: [
            {"task": task, "step": step, "done": sum(row.done for row in own), "todos": len(own)}
            for (task, step), own in by_step(chosen).items()
        ]
        for kind, chosen in (("steps", required(rows)), ("stretch", [row for row in rows if row.stretch]))
    }
    return {**sums, "todos": [_to_dict(row) for row in rows]}


def _to_dict(row: Row) -> dict[str, Any]:
    told = asdict(row)
    del told["busy"]
    return {**told, "minutes": row.minutes}


def write_page(rows: list[Row], path: Path, templates: Path) -> None:
    """다른 파일이 필요 없는 HTML 한 장."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    asked = required(rows)
    done = sum(row.done for row in asked)
    share = done / len(asked) if asked else 0
    pages = Environment(loader=FileSystemLoader(templates), autoescape=True, undefined=StrictUndefined)
    page = pages.get_template("reports/status.html").render(
        nonce="",
        when=datetime.now().strftime("%Y-%m-%d %H:%M"),
        done=done,
        total=len(asked),
        percent=f"{share:.0%}",
        turn=f"{share * 360:.1f}",
        hints=sum(row.hints for row in rows),
        minutes=round(minutes_of(rows) or 0),
        sections=[_section(task, step, own) for (task, step), own in by_step(sorted(rows, key=_last)).items()],
    )
    write_text(path, page)


def _last(row: Row) -> bool:
    """심화 과제는 다른 것들의 뒤에 둡니다."""
    return row.stretch


def _section(task: str, step: str, rows: list[Row]) -> dict[str, Any]:
    todos = [
        {
            "todo": row.todo,
            "goal": row.goal,
            "look": _class(row),
            "said": "" if row.done or row.state == "not started" else row.title,
            "trace": _trace(row),
        }
        for row in rows
    ]
    name = step.removesuffix(".py") + (" (심화, 하고 싶은 사람만)" if rows[0].stretch else "")
    return {"task": task, "step": name, "done": sum(row.done for row in rows), "todos": todos}


def _class(row: Row) -> str:
    return "done" if row.done else "open" if row.state in ("not started", "blocked") else "wrong"


def _trace(row: Row) -> str:
    parts = [
        f"{row.attempts}번 검사" if row.attempts else "",
        f"힌트 {row.hints}" if row.hints else "",
        "해답 봄" if row.revealed else "",
        f"{row.minutes:.0f}분" if row.minutes is not None else "",
    ]
    return " · ".join(part for part in parts if part)
