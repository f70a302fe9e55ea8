"""어디까지 했는지: 지금의 파일을 검사한 결과에 자취(횟수, 힌트, 걸린 시간)를 더해 표, JSON, HTML로 보여 줍니다."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from rich.table import Table

from course.book.manifest import changed
from course.book.tasks import Task
from course.checks.checker import Checker
from course.checks.verdict import RIGHT, Verdict
from course.home import write_text
from course.student.progress import Progress


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
    minutes: float | None
    file_hash: str

    @property
    def done(self) -> bool:
        return self.state == RIGHT


def collect(tasks: Iterable[Task], checker: Checker, progress: Progress) -> list[Row]:
    """과제들의 모든 TODO를 검사합니다."""
    rows = []
    for task in tasks:
        regions = task.regions()
        verdicts: dict[str, Verdict] = checker.check(task, task.exercise, list(regions))
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
                    minutes=trace.minutes,
                    file_hash=verdict.hashes.get(file, ""),
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


def to_table(rows: list[Row]) -> Table:
    """단계마다 한 줄인 터미널 표."""
    table = Table("과제", "단계", "한 것", "", "힌트", "시간")
    for (task, step), own in by_step(rows).items():
        done = sum(row.done for row in own)
        minutes = [row.minutes for row in own if row.minutes is not None]
        table.add_row(
            task,
            step.removesuffix(".py"),
            f"{done}/{len(own)}",
            "█" * done + "░" * (len(own) - done),
            str(sum(row.hints for row in own) or ""),
            f"{sum(minutes):.0f}분" if minutes else "",
        )
    return table


def to_json(rows: list[Row]) -> dict:
    """프로그램이 읽을 모양: 단계마다의 요약과 TODO마다의 줄."""
    steps = [
        {"task": task, "step": step, "done": sum(row.done for row in own), "todos": len(own)}
        for (task, step), own in by_step(rows).items()
    ]
    return {"steps": steps, "todos": [asdict(row) for row in rows]}


def write_page(rows: list[Row], path: Path) -> None:
    """다른 파일이 필요 없는 HTML 한 장."""
    done = sum(row.done for row in rows)
    share = done / len(rows) if rows else 0
    sections = "".join(_section(task, step, own) for (task, step), own in by_step(rows).items())
    write_text(
        path,
        _PAGE.format(
            when=datetime.now().strftime("%Y-%m-%d %H:%M"),
            done=done,
            total=len(rows),
            percent=f"{share:.0%}",
            turn=f"{share * 360:.1f}",
            hints=sum(row.hints for row in rows),
            minutes=round(sum(row.minutes or 0 for row in rows)),
            sections=sections,
        ),
    )


def _section(task: str, step: str, rows: list[Row]) -> str:
    done = sum(row.done for row in rows)
    items = "".join(
        f"<li class='{_class(row)}'><span class=id>{row.todo}</span><span class=goal>{html.escape(row.goal)}"
        f"{'' if row.done or row.state == 'not started' else f'<em>{html.escape(row.title)}</em>'}</span>"
        f"<span class=trace>{_trace(row)}</span></li>"
        for row in rows
    )
    name = html.escape(step.removesuffix(".py"))
    return (
        f"<section><header><h2>{name}</h2><span>{html.escape(task)} · {done}/{len(rows)}"
        f"</span></header><div class=bar><i style='width:{done / len(rows):.0%}'></i></div><ul>{items}</ul></section>"
    )


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


_PAGE = """<!doctype html>
<html lang="ko">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>어디까지 했나</title>
<style>
  :root {{ color-scheme: light dark; --bg: light-dark(#f8fafc, #0f172a); --card: light-dark(#fff, #1e293b);
    --text: light-dark(#0f172a, #e2e8f0); --soft: light-dark(#64748b, #94a3b8); --line: light-dark(#e2e8f0, #334155);
    --good: light-dark(#16a34a, #4ade80); --bad: light-dark(#dc2626, #f87171); }}
  * {{ box-sizing: border-box; }}
  body {{ margin: 0; background: var(--bg); color: var(--text);
    font: 16px/1.6 system-ui, "Apple SD Gothic Neo", "Malgun Gothic", "Noto Sans KR", sans-serif; }}
  main {{ max-width: 56rem; margin: 0 auto; padding: 2.5rem 1.25rem; }}
  .top {{ display: flex; gap: 1.5rem; align-items: center; margin-bottom: 2rem; }}
  .ring {{ width: 6.5rem; aspect-ratio: 1; border-radius: 50%; display: grid; place-items: center; flex: none;
    background: conic-gradient(var(--good) {turn}deg, var(--line) 0); }}
  .ring b {{ width: 5rem; aspect-ratio: 1; border-radius: 50%; background: var(--bg); display: grid;
    place-items: center; font-size: 1.4rem; }}
  h1 {{ margin: 0; font-size: 1.6rem; letter-spacing: -.02em; }}
  .top p {{ margin: .25rem 0 0; color: var(--soft); }}
  section {{ background: var(--card); border: 1px solid var(--line); border-radius: 1rem; padding: 1rem 1.25rem;
    margin-bottom: 1rem; }}
  section header {{ display: flex; justify-content: space-between; align-items: baseline; gap: 1rem; flex-wrap: wrap; }}
  h2 {{ font-size: 1.05rem; margin: 0; overflow-wrap: anywhere; }}
  section header span, .trace {{ color: var(--soft); font-size: .875rem; font-variant-numeric: tabular-nums; }}
  .bar {{ height: .4rem; border-radius: 1rem; background: var(--line); overflow: hidden; margin: .5rem 0 .75rem; }}
  .bar i {{ display: block; height: 100%; background: var(--good); }}
  ul {{ list-style: none; margin: 0; padding: 0; }}
  li {{ display: flex; gap: .75rem; padding: .35rem 0; border-top: 1px solid var(--line); align-items: baseline; }}
  li:first-child {{ border-top: 0; }}
  .id {{ font-variant-numeric: tabular-nums; font-weight: 600; min-width: 3.4rem; white-space: nowrap; }}
  .id::before {{ content: "○ "; color: var(--soft); }}
  .done .id::before {{ content: "● "; color: var(--good); }} .wrong .id::before {{ content: "✗ "; color: var(--bad); }}
  .goal {{ flex: 1; }} .goal em {{ display: block; font-style: normal; font-size: .875rem; color: var(--soft); }}
  .wrong .goal em {{ color: var(--bad); }}
  .trace {{ white-space: nowrap; }}
  @media (max-width: 40rem) {{ li {{ flex-wrap: wrap; }} .goal {{ flex-basis: 70%; }} }}
</style>
</head>
<body>
<main>
  <div class="top">
    <div class="ring"><b>{percent}</b></div>
    <div><h1>TODO {total}개 가운데 {done}개를 마쳤습니다</h1>
    <p>본 힌트 {hints}개 · 걸린 시간 {minutes}분 · {when}에 지금의 파일을 검사한 결과입니다</p></div>
  </div>
  {sections}
</main>
</body>
</html>
"""
