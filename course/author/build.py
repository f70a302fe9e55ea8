"""해답에서 실습 파일을 만들고, 학습 가이드의 TODO 표를 채웁니다. `--check`는 둘이 어긋나지 않았는지만 봅니다."""

from __future__ import annotations

import re
from pathlib import Path

from console_text import with_particles
from course.book.backups import overwrite
from course.book.regions import Region, parse, to_exercise
from course.book.tables import Answers, Effort
from course.book.tasks import STEP_NAME, Task, all_tasks, find_task
from course.home import Home

TABLE = re.compile(r"(<!-- todos (?P<task>task\d+-[a-z]+) (?P<step>\d+) -->\n).*?(<!-- /todos -->)", re.DOTALL)


def wanted_files(home: Home) -> dict[Path, str]:
    """있어야 할 파일과 그 내용."""
    wanted = {}
    for task in all_tasks(home):
        for step in task.steps if task.solution.is_dir() else ():
            source = task.solution / step.file_name
            exercise = to_exercise(source.read_text(encoding="utf-8"), source.name)
            wanted[task.exercise / step.file_name] = exercise
        for name in task.companions() if task.solution.is_dir() else ():
            wanted[task.exercise / name] = (task.solution / name).read_text(encoding="utf-8")
    efforts: dict[str, dict[str, Effort]] = {task.name: Answers.load(task).efforts for task in all_tasks(home)}
    for page in home.guide_pages():
        text = page.read_text(encoding="utf-8")
        wanted[page] = TABLE.sub(lambda match: _filled_table(home, match, efforts), text)
    return wanted


def _filled_table(home: Home, match: re.Match[str], efforts: dict[str, dict[str, Effort]]) -> str:
    task = find_task(home, match["task"])
    step = task.step(int(match["step"]))
    source = task.source / step.file_name
    regions = parse(source.read_text(encoding="utf-8"), source.name)
    return "".join([match[1], *_rows(regions, efforts[task.name]), match[4]])


def _rows(regions: list[Region], efforts: dict[str, Effort]) -> list[str]:
    """표의 줄들. 드는 힘을 적은 TODO가 하나라도 있으면 그 칸도 둡니다."""
    if not any(one.id in efforts for one in regions):
        return ["| TODO | 할 일 |\n|---|---|\n", *(f"| {one.id} | {one.goal} |\n" for one in regions)]
    rows = ["| TODO | 할 일 | 난이도 | 시간 |\n|---|---|---|---|\n"]
    for one in regions:
        effort = efforts.get(one.id)
        more = (effort.stars, f"{effort.minutes}분") if effort else ("", "")
        rows.append(f"| {one.id} | {one.goal} | {more[0]} | {more[1]} |\n")
    return rows


def out_of_step(home: Home) -> list[str]:
    """해답과 어긋난 것들을 문장으로. 비어 있으면 모두 맞습니다."""
    problems = []
    for path, text in wanted_files(home).items():
        name = home.shown(path)
        if not path.is_file():
            problems.append(with_particles(f"{name}이(가) 없습니다."))
        elif path.read_text(encoding="utf-8") != text:
            problems.append(with_particles(f"{name}이(가) 해답에서 만든 것과 다릅니다."))
    for task in all_tasks(home):
        problems += [f"{home.shown(path)}: 해답에 없는 단계 파일입니다." for path in _stray(task)]
    return problems


def _stray(task: Task) -> list[Path]:
    if not (task.solution.is_dir() and task.exercise.is_dir()):
        return []
    known = {step.file_name for step in task.steps}
    return sorted(path for path in task.exercise.iterdir() if STEP_NAME.fullmatch(path.name) and path.name not in known)


def build(home: Home) -> list[tuple[Path, Path | None]]:
    """어긋난 파일을 새로 씁니다. 있던 파일은 `.course/backup/`에 남깁니다.

    Returns:
        (쓴 파일, 남겨 둔 옛 파일 또는 None).
    """
    edits = overwrite(home, list(wanted_files(home).items()), "build", can_undo=False)
    return [(edit.path, edit.kept) for edit in edits]
