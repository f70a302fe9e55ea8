"""학생이 쓰는 명령들: 보기(watch), 힌트, 해답 열기, 되돌리기, 견주기, 무르기, 새 판 받기. `course.cli`가 등록합니다."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.console import Console
from rich.text import Text

from console_text import with_particles
from course.book.backups import Edit, undo
from course.book.regions import RegionError
from course.book.tables import Answers
from course.book.tasks import Task, all_tasks, find_task
from course.book.untouched import known_todos
from course.checks.checker import Checker
from course.checks.verdict import BLOCKED, BROKEN, NOT_STARTED, RIGHT, WRONG, Verdict
from course.front import COMMANDS, PROGRAM, told
from course.home import CourseError, Home, UsageProblem
from course.student.edits import diff, reset, reveal
from course.student.progress import Progress
from course.student.show import show_todo
from course.student.whereabouts import current_todo

if TYPE_CHECKING:
    from course.student.update import Report

console = Console(highlight=False)
STATES = {RIGHT: "맞음", NOT_STARTED: "시작 전", BLOCKED: "막힘", WRONG: "틀림", BROKEN: "멈춤", None: "없음"}
SHOWN = 10  # 한꺼번에 무른 파일이 이보다 많으면 나머지는 수만 적습니다.
ABOUT_WHERE = "예: cls 3-4. TODO의 번호가 한 과제에만 있으면 3-4만 적어도 됩니다."
Todo = Annotated[
    Optional[list[str]],  # noqa: UP045  Python 3.10의 Typer가 읽는 모양
    typer.Argument(metavar=COMMANDS["hint"].words, help=ABOUT_WHERE),
]
StepOrTodo = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Argument(metavar=COMMANDS["diff"].words, help=f"{ABOUT_WHERE} 단계 하나(cls 3)도 됩니다."),
]


def one_todo(home: Home, where: Sequence[str], command: str, of_changes: bool = False) -> tuple[Task, str]:
    """`["cls", "3-4"]`나 `["3-4"]`에서 (과제, TODO)를 고릅니다.

    Args:
        command: 무엇을 적어야 하는지 보여 줄 때의, TODO 앞까지의 명령.
        of_changes: 이미 고친 것을 다루는 명령입니다. 단계 하나(`"3"`)도 됩니다.

    Raises:
        UsageProblem: TODO를 적지 않았을 때. 지금 하고 있는 것을 예로 듭니다.
        CourseError: 어느 것인지 알 수 없을 때.
    """
    words = list(where)
    tasks = all_tasks(home)
    if words and not words[0][:1].isdigit():
        tasks = [find_task(home, words.pop(0))]
    if len(words) != 1:
        here = current_todo(tasks, changed=of_changes)
        example = f"{here[0].short} {here[1]}" if here else "cls 3-4"
        or_step = "나 단계" if of_changes else ""
        raise UsageProblem(f"TODO{or_step} 하나를 적어 주세요. 지금 하는 것이라면: {command} {example}")
    wanted = words[0]
    fitting = [
        task
        for task in tasks
        if (of_changes and any(str(step.number) == wanted for step in task.steps)) or wanted in known_todos(task)
    ]
    if not fitting:
        raise CourseError(f"TODO {wanted}이(가) 없습니다. `python -m course status`로 있는 것을 볼 수 있습니다.")
    if len(fitting) > 1:
        names = ", ".join(f"{task.short} {wanted}" for task in fitting)
        raise CourseError(f"{wanted}은(는) 여러 과제에 있습니다. 과제도 적어 주세요: {names}")
    return fitting[0], wanted


def watch_command(
    ctx: typer.Context,
    task: Annotated[str | None, typer.Argument(metavar="[과제]", help="예: cls. 비우면 모든 과제.")] = None,
) -> None:
    from course.student.watch import run_watch

    home: Home = ctx.obj
    run_watch(home, [find_task(home, task)] if task else all_tasks(home), console)


def hint_command(ctx: typer.Context, where: Todo = None) -> None:
    task, todo_id = one_todo(ctx.obj, where or (), f"{PROGRAM} hint")
    if todo_id not in task.regions():  # 해답이 없는 배포판에서 표시를 지운 파일
        step = todo_id.split("-")[0]
        raise CourseError(
            f"TODO {todo_id}의 표시 줄이 지워졌습니다. "
            f"`python -m course reset {task.short} {step}`으로 파일을 되돌려 주세요(지금 파일은 따로 남습니다)."
        )
    answers, progress = Answers.load(task), Progress(task.home)
    available = len(answers.hints.get(todo_id, []))
    before = progress.hints_seen(task, todo_id)
    seen = progress.see_hint(task, todo_id, available)
    show_todo(console, task, todo_id, answers, seen)
    if before >= available:
        console.print("    힌트는 여기까지입니다. 해답은 reveal로 볼 수 있습니다.", style="dim")


def reveal_command(
    ctx: typer.Context,
    where: Todo = None,
    yes: Annotated[bool, typer.Option("--yes", help="아직 해 보지 않았어도 봅니다.")] = False,
) -> None:
    task, todo_id = one_todo(ctx.obj, where or (), f"{PROGRAM} reveal")
    edit, explanation = reveal(task, todo_id, even_untried=yes)
    Progress(task.home).see_solution(task, todo_id)
    console.print(f"{task.home.shown(edit.path)}의 TODO {todo_id}에 해답을 넣었습니다.", markup=False)
    if explanation:
        console.print(f"\n{explanation}\n", markup=False)
    console.print("쓰던 코드로 돌아가려면: python -m course undo", style="dim")


def reset_command(ctx: typer.Context, where: StepOrTodo = None) -> None:
    task, wanted = one_todo(ctx.obj, where or (), f"{PROGRAM} reset", of_changes=True)
    edits = reset(task, wanted)
    if not edits:
        console.print("이미 처음 모습입니다.")
    for edit in edits:
        kept = f"  (쓰던 파일: {task.home.shown(edit.kept)})" if edit.kept else ""
        _say(f"되돌렸습니다: {task.home.shown(edit.path)}{kept}")


def diff_command(ctx: typer.Context, where: StepOrTodo = None) -> None:
    task, wanted = one_todo(ctx.obj, where or (), f"{PROGRAM} diff", of_changes=True)
    text = diff(task, wanted)
    if not text:
        console.print("바꾼 것이 없습니다.")
    for line in text.removesuffix("\n").split("\n") if text else ():
        _say(line, style="green" if line.startswith("+") else "red" if line.startswith("-") else "")


def undo_command(ctx: typer.Context) -> None:
    home: Home = ctx.obj
    edits = undo(home)
    for edit in edits[:SHOWN]:
        _tell_undone(home, edit)
    if len(edits) > SHOWN:
        _say(f"그 밖의 파일 {len(edits) - SHOWN}개도 되돌렸습니다.")
    if not edits:
        console.print("파일이 이미 그때와 같습니다.")


def _tell_undone(home: Home, edit: Edit) -> None:
    """무른 파일 하나. 터미널의 폭에서 끊고, 옮겨 적을 경로는 끊지 않습니다."""
    what = edit.what.removeprefix("undo ")
    console.print(Text(with_particles(f"{what}을(를) 물렀습니다: {home.shown(edit.path)}")))
    if edit.kept:
        _say(f"  무르기 전의 파일: {home.shown(edit.kept)}", style="dim")


def update_command(
    ctx: typer.Context,
    source: Annotated[Path, typer.Option("--from", help="새 판이 든 폴더나 내려받은 zip 파일.")],
) -> None:
    from course.student.update import Source, update

    home: Home = ctx.obj
    new = Source(home, source.expanduser())
    with Checker(home) as checker:
        before = _verdicts(home, checker)
    report = update(home, new)
    for name, merged in report.merged.items():
        notes = [
            f"남은 답 {len(merged.kept)}개",
            *([f"새 TODO {', '.join(merged.added)}"] if merged.added else []),
            *([f"할 일이 바뀐 TODO {', '.join(merged.changed_goals)}"] if merged.changed_goals else []),
            *([f"함께 고쳐 표시한 곳 {merged.conflicts}곳"] if merged.conflicts else []),
            *(["자리 밖에 쓴 것은 합칠 수 없어 백업에만 있습니다"] if merged.set_aside else []),
            *([f"사라진 TODO {', '.join(merged.removed)} (답은 백업에 있습니다)"] if merged.removed else []),
        ]
        _say(f"{name}: {' · '.join(notes)}")
    for name in report.created:
        _say(f"{name}: 새 단계 파일입니다.")
    for name, why in report.left_alone.items():
        _say(f"{name}: 합치지 않고 그대로 두었습니다. {why} 고친 뒤 다시 update를 하면 합칩니다.", style="yellow")
    _say(f"그 밖의 파일 {len(report.replaced)}개를 새 판으로 바꾸었습니다.")
    if report.backup:
        _say(f"옛 파일은 모두 {home.shown(report.backup)}에 있습니다. 되돌리려면: python -m course undo")
    with Checker(home) as checker:  # 새 판의 검사로 묻는 새 프로세스입니다.
        for line in _carry_over(home, checker):
            _say(line)
        _tell_changes(before, _verdicts(home, checker), report)


def _carry_over(home: Home, checker: Checker) -> list[str]:
    """새 판에서 바뀐 이름을 옛 답에 옮기고, 무엇을 옮겼는지 한 문장씩."""
    from course.student.carrying import carry_over

    try:
        return carry_over(home, checker)
    except CourseError as error:
        return [f"바뀐 이름을 옛 답에 옮기지 못했습니다. {error}"]


def carry_over_if_due(home: Home) -> list[str]:
    """옛 판의 `update`로 온 폴더라면, 그 도구가 모르던 일을 마저 합니다. 한 일을 한 문장씩 돌려줍니다."""
    from course.student.carrying import is_due, word_left

    said = word_left(home)
    if is_due(home):
        with Checker(home) as checker:
            said += _carry_over(home, checker)
    return said


def _verdicts(home: Home, checker: Checker) -> dict[tuple[str, str], Verdict]:
    """지금 파일들의 판정. 검사할 수 없는 과제는 빠집니다: 새 판을 받으면 나을 수 있습니다."""
    found = {}
    for task in all_tasks(home):
        if not task.exercise.is_dir():
            continue
        try:
            verdicts = checker.check(task, task.exercise, list(known_todos(task)))
        except (CourseError, RegionError) as error:
            _say(with_particles(f"{task.name}을(를) 검사하지 못했습니다. {error}"), style="yellow")
            continue
        found |= {(task.name, todo_id): verdict for todo_id, verdict in verdicts.items()}
    return found


def _tell_changes(
    before: dict[tuple[str, str], Verdict], after: dict[tuple[str, str], Verdict], report: Report
) -> None:
    """합치기 앞뒤로 판정이 달라진 것과 그 까닭."""
    changed = False
    for task_name, todo_id in {**before, **after}:
        was, now = (one.get((task_name, todo_id)) for one in (before, after))
        old, new = (STATES[one.state if one else None] for one in (was, now))
        if old == new:
            continue
        changed = True
        said = f" {now.title}." if now and not now.is_right else ""
        _say(f"  {task_name} {todo_id}: {old} → {new}.{said} 까닭: {_why(task_name, todo_id, report)}")
    if not changed:
        _say("판정이 달라진 TODO는 없습니다.")


def _why(task_name: str, todo_id: str, report: Report) -> str:
    """새 판의 무엇이 이 TODO의 판정을 바꾸었을지."""
    number = todo_id.split("-")[0]
    own = [(name, one) for name, one in report.merged.items() if name.startswith(f"{task_name}/")]
    file = (f"{task_name}/step{number}_", f"{task_name}/stretch{number}_")
    here = [one for name, one in own if name.startswith(file)]
    checks = f"tests/{task_name.replace('-', '_')}/"
    reasons = {
        "새로 생긴 TODO입니다": any(todo_id in one.added for one in here)
        or any(name.startswith(file) for name in report.created),
        "새 판에서 사라졌습니다": any(todo_id in one.removed for one in here),
        "할 일이나 힌트가 바뀌었습니다": any(todo_id in one.changed_goals for one in here),
        "검사가 바뀌었습니다": any(name.startswith(checks) for name in report.replaced),
        "단계 파일의 자리 밖이 바뀌었습니다": any(one.surroundings_moved for one in here),
        "다른 단계 파일이 바뀌었습니다": any(one.surroundings_moved for _, one in own if one not in here),
        "라이브러리나 도구가 바뀌었습니다": any(
            name.split("/")[0] in ("nlpbook", "course", "data") for name in report.replaced
        ),
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds) or "알 수 없습니다"


def _say(text: str, style: str = "") -> None:
    """글을 그대로 적습니다: 학생의 코드에 든 `[b]`나 `:x:`를 꾸밈으로 여기지 않고, 터미널의 폭에서 끊지 않습니다."""
    console.print(Text(text, style=style), soft_wrap=True)


def register(app: typer.Typer) -> None:
    """명령들을 등록합니다. 설명은 `front.py`의 것입니다."""
    commands = (watch_command, hint_command, diff_command, reveal_command, reset_command, undo_command, update_command)
    for command in commands:
        name = command.__name__.removesuffix("_command")
        app.command(name, **told(name))(command)
