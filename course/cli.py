"""`python -m course …`의 명령들. 무엇을 하는 명령인지는 `front.py`에 적혀 있습니다."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from command_line import App, UsageError, explain_usage
from console_text import did_you_mean, fitted, make_printable
from course.author import build as building
from course.book.gone import clear_away, put_missing
from course.book.leftovers import clear_leftovers
from course.book.regions import RegionError
from course.book.tasks import Task, all_tasks, find_task
from course.checks.checker import Checker
from course.checks.verdict import NOT_STARTED, Verdict
from course.front import ABOUT, COMMANDS, PROGRAM, WHERE, told
from course.home import ROOT, CourseError, Home, UsageProblem, or_skip
from course.student import commands as student_commands
from course.student.progress import Progress
from course.student.show import problem_line, show_verdict
from course.student.whereabouts import current_todo

console = Console(highlight=False)
app = App(help=ABOUT)
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": ["-h"]}
Json = Annotated[bool, typer.Option("--json", help="사람 대신 프로그램이 읽을 JSON으로 적습니다.")]


@app.command("check", **told("check"))
def check(
    ctx: typer.Context,
    where: Annotated[
        Optional[list[str]],  # noqa: UP045  Python 3.10의 Typer가 읽는 모양
        typer.Argument(metavar=WHERE, help="예: cls, cls 3, cls 3-4. 비우면 모두."),
    ] = None,
    target: Annotated[str, typer.Option(help="검사할 폴더: task(내가 고친 것), solutions, 또는 경로")] = "task",
    show_traceback: Annotated[
        bool, typer.Option("--traceback", help="멈춘 곳의 traceback을 모두 보여 줍니다.")
    ] = False,
    device: Annotated[str, typer.Option(help="검사에 쓸 장치: cpu 또는 cuda")] = "cpu",
    file: Annotated[Optional[Path], typer.Option(help="이 단계 파일의 TODO를 모두 검사합니다(편집기용).")] = None,  # noqa: UP045
    lines: Annotated[
        bool, typer.Option("--lines", help="편집기가 읽을 `파일:줄:칸: error: 말` 모양으로 적습니다.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="TODO 하나를 이 창에서 검사합니다. input()과 breakpoint()가 됩니다.")
    ] = False,
    as_json: Json = False,
) -> None:
    from course.checks.plugin import target_folder

    home: Home = ctx.obj
    refuse_unknown_device(device)
    if debug:
        wanted = chosen_by_file(home, file) if file else chosen(home, where or [])
        if as_json or lines:
            raise UsageProblem("--debug는 사람이 보는 것이라 --json이나 --lines와 함께 쓸 수 없습니다.")
        raise typer.Exit(check_here(home, wanted, target, device, show_traceback))
    verdicts: list[tuple[Path, Task, Verdict]] = []
    with Checker(home) as checker:
        for task, todo_ids in chosen_by_file(home, file) if file else chosen(home, where or []):
            folder = file.resolve().parent if file else target_folder(target, task)
            if not folder.is_dir():
                raise CourseError(f"검사할 폴더가 없습니다: {folder}")
            found = checker.check(task, folder, todo_ids, device).values()
            verdicts += [(folder, task, one) for one in found]
            if folder == task.exercise:
                progress = Progress(home)
                for one in found:
                    progress.record(task, one)
    if as_json:
        rows = [{"task": task.name, **one.to_dict()} for _, task, one in verdicts]
        print(json.dumps(rows, ensure_ascii=False, indent=2))
    elif lines:
        for folder, _, one in verdicts:
            if not one.is_right:
                print(problem_line(home, folder, one))
    else:
        show_verdicts(home, verdicts, show_traceback)
    raise typer.Exit(0 if all(one.is_right for *_, one in counted(verdicts)) else 1)


def counted(verdicts: list[tuple[Path, Task, Verdict]]) -> list[tuple[Path, Task, Verdict]]:
    """맞고 틀림을 세는 것들. 심화 과제는 그것만 물었을 때 셉니다: 남은 일이 아니기 때문입니다."""
    required = [(folder, task, one) for folder, task, one in verdicts if not task.is_stretch(one.todo)]
    return required or verdicts


def check_here(home: Home, wanted: list[tuple[Task, list[str]]], target: str, device: str, show_traceback: bool) -> int:
    """TODO 하나를 이 프로세스에서 검사해 보이고, 종료 코드를 돌려줍니다. 자취에는 적지 않습니다.

    Raises:
        UsageProblem: TODO가 하나가 아니거나, 물음에 답할 터미널이 없을 때.
    """
    from course.checks.plugin import target_folder

    found = [(task, todo_id) for task, todo_ids in wanted for todo_id in todo_ids]
    if len(found) != 1:
        here = current_todo([task for task, _ in wanted])
        example = f"{here[0].short} {here[1]}" if here else "cls 3-4"
        raise UsageProblem(f"--debug는 TODO 하나만 검사합니다. 예: {PROGRAM} check --debug {example}")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageProblem(
            "--debug는 키보드로 답할 수 있는 터미널에서만 됩니다. 노트북이나 파이프에서는 들여다볼 것을 print로 찍으면 "
            "판정 아래에 보입니다."
        )
    [(task, todo_id)] = found
    console.print(
        f"TODO {todo_id}을 이 창에서 검사합니다. 디버거가 열리면 n 다음 줄, p 이름 값 보기, c 계속, q 그만입니다.",
        style="dim",
    )
    with Checker(home) as checker:
        folder = target_folder(target, task)
        verdict = checker.check_here(task, folder, todo_id, device)
    show_verdict(console, home, folder, verdict, with_traceback=show_traceback)
    return 0 if verdict.is_right else 1


def refuse_unknown_device(device: str) -> None:
    """
    Raises:
        UsageProblem: 검사할 수 있는 장치가 아닐 때.
    """
    if device not in ("cpu", "cuda"):
        raise UsageProblem(f"--device에는 cpu나 cuda를 적어 주세요: {device}")


@app.command("status", **told("status"))
def status(
    ctx: typer.Context,
    where: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar=WHERE, help="예: cls, cls 3, cls 3-4. 비우면 모두."),
    ] = None,
    as_json: Json = False,
    page: Annotated[Optional[Path], typer.Option("--html", help="HTML 한 장으로 저장할 파일.")] = None,  # noqa: UP045
) -> None:
    from course.student.status import changed_checks, collect, next_line, stretch_line, to_json, to_table, write_page
    from course.student.whereabouts import current_todo

    home: Home = ctx.obj
    wanted = chosen(home, where or [])
    tasks = [task for task, _ in wanted]
    with Checker(home) as checker:
        rows = collect(wanted, checker, Progress(home))
    changed = changed_checks(tasks)
    if page is not None:
        write_page(rows, page, home.templates)
        print(f"저장했습니다: {page}")
    elif as_json:
        print(json.dumps({**to_json(rows), "changed_checks": changed}, ensure_ascii=False, indent=2))
    else:
        with console.capture() as captured:
            console.print(to_table(rows))
        print("\n".join(line.rstrip() for line in captured.get().splitlines()))
        here = current_todo(tasks)
        for line in filter(None, (next_line(rows, here[0].name if here else ""), stretch_line(rows))):
            print(line)
    if changed and not as_json:
        names = ", ".join(changed[:3]) + (f" 등 {len(changed)}개" if len(changed) > 3 else "")
        print(
            f"검사 파일이 받은 것과 다릅니다: {names}. "
            "일부러 고친 것이 아니라면 `git checkout HEAD -- tests`로 되돌려 주세요."
        )


@app.command("audit", **told("audit"))
def audit(
    ctx: typer.Context,
    where: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar=WHERE, help="예: cls, cls 3, cls 3-4. 비우면 모두."),
    ] = None,
) -> None:
    from course.author.audit import audit as audited

    home: Home = ctx.obj
    weakest = 1.0
    with Checker(home, trusting=True) as checker:
        for task, todo_ids in chosen(home, where or []):
            for one in audited(task, todo_ids, checker):
                weakest = min(weakest, one.killed_share)
                same = len(one.equivalent)
                print(f"{one.todo}  변이 {one.total}개, 뜻이 같은 것 {same}개, 거른 비율 {one.killed_share:.0%}")
                for mutant in one.survivors:
                    print(f"    살아남음: {mutant.what}")
    raise typer.Exit(0 if weakest >= 0.95 else 1)


@app.command("record", **told("record"))
def record(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="파일", help="판정을 적을(또는 견줄) JSONL 파일.")],
    where: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar=WHERE, help="예: cls, cls 3, cls 3-4. 비우면 모두."),
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="적지 않고, 달라진 판정을 보여 줍니다.")] = False,
) -> None:
    from course.author import record as recording

    home: Home = ctx.obj
    before = recording.read(file) if compare else []
    wanted = chosen(home, where or [])
    said = []
    with Checker(home, trusting=True) as checker:
        for task, todo_ids in wanted:
            said += recording.record(task, todo_ids, checker, lambda folder, one: rendered(home, folder, one))
    if not compare:
        recording.write(file, said)
        print(f"썼습니다: {file} (판정 {len(said):,}개)")
        return
    asked = {(task.name, todo_id) for task, todo_ids in wanted for todo_id in todo_ids}
    changed = list(recording.differences([one for one in before if (one.task, one.todo) in asked], said))
    for one in changed:
        print(one)
    print(f"판정 {len(said):,}개 가운데 {len(changed):,}개가 달라졌습니다.")
    raise typer.Exit(1 if changed else 0)


@app.command("judge", **told("judge"))
def judge(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="폴더", help="처음 보는 답들. 예: 답들/cls/3-4.txt")],
    where: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar=WHERE, help="예: cls, cls 3, cls 3-4. 비우면 모두."),
    ] = None,
    again: Annotated[int, typer.Option(min=1, help="답 하나를 몇 번 물을지. 판정이 갈리면 알립니다.")] = 1,
    write: Annotated[Optional[Path], typer.Option(help="판정을 적을 JSONL 파일.")] = None,  # noqa: UP045
) -> None:
    from course.author import record as recording
    from course.author import unseen

    home: Home = ctx.obj
    said = []
    uneven = 0
    with Checker(home, trusting=True) as checker:
        for task, todo_ids in chosen(home, where or []):
            mine = []
            for one, *others in unseen.judged(task, unseen.read_answers(folder, task, todo_ids), checker, again):
                mine.append(one)
                other = next((other for other in others if other != one), one)
                if other != one:
                    uneven += 1
                    print(f"{one.todo}  판정이 갈립니다: {one.answer}")
                    print(f"--- 한 번은\n{one.says}\n--- 다른 때는\n{other.says}")
                if one.kind == "wrong" and one.state == "right" or one.kind == "right" and one.state != "right":
                    print(f"{one.todo}  {one.kind} → {one.state}: {one.answer}")
            if mine:
                print(unseen.sentence_of(task.short, unseen.tally(mine)))
            said += mine
    if not said:
        raise CourseError(f"{folder}에 답이 없습니다. {folder}/cls/3-4.txt처럼 적어 주세요.")
    if write is not None:
        recording.write(write, said)
    if again > 1:
        print(f"{again}번 물어 판정이 갈린 답: {len(said):,}개 가운데 {uneven:,}개")
    raise typer.Exit(1 if uneven else 0)


@app.command("tolerances", **told("tolerances"))
def tolerances(
    ctx: typer.Context,
    where: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar=WHERE, help="예: cls, cls 3, cls 3-4. 비우면 모두."),
    ] = None,
    device: Annotated[str, typer.Option(help="잴 장치: cpu 또는 cuda")] = "cpu",
    write: Annotated[
        bool, typer.Option("--write", help="잰 것을 tests/<과제>/checks/tolerances.yaml에 적습니다.")
    ] = False,
) -> None:
    from course.author.tolerances import measured, to_table, with_reasons
    from course.author.tolerances import write as write_tolerances

    home: Home = ctx.obj
    problems: list[str] = []
    with Checker(home, trusting=True) as checker:
        for task, todo_ids in chosen(home, where or []):
            rows = with_reasons(task, list(measured(task, todo_ids, checker, device)))
            problems += [problem for row in rows for problem in row.problems()]
            console.print(to_table(rows) if rows else f"{task.name}: 허용 오차를 둔 검사가 없습니다.")
            if write:
                print(f"썼습니다: {home.shown(write_tolerances(task, rows, todo_ids, device))}")
    for problem in problems:
        print(problem)
    raise typer.Exit(1 if problems else 0)


@app.command("build", **told("build"))
def build(
    ctx: typer.Context,
    check_only: Annotated[bool, typer.Option("--check", help="쓰지 않고, 해답과 어긋난 곳만 알립니다.")] = False,
) -> None:
    home: Home = ctx.obj
    if check_only:
        problems = building.out_of_step(home)
        for problem in problems:
            print(problem)
        print("실습 파일과 해답이 맞습니다." if not problems else "`python -m course build`로 다시 만들어 주세요.")
        raise typer.Exit(1 if problems else 0)
    written = building.build(home)
    for path, kept in written:
        print(f"썼습니다: {home.shown(path)}" + (f"  (옛 파일: {home.shown(kept)})" if kept else ""))
    if not written:
        print("모두 해답과 맞습니다. 새로 쓴 것이 없습니다.")


@app.command("demo", context_settings=PASSED_ON, **told("demo"))
def demo(
    ctx: typer.Context,
    task: Annotated[str, typer.Argument(metavar="과제", help="예: cls. 비우면 첫 과제.")] = "",
) -> None:
    from course.student.demo import run_demo

    if task.startswith("-"):  # `demo --serve`처럼 과제를 적지 않은 경우
        ctx.args.insert(0, task)
        task = ""
    home: Home = ctx.obj
    raise typer.Exit(run_demo(find_task(home, task) if task else all_tasks(home)[0], ctx.args))


@app.command("test", context_settings=PASSED_ON, **told("test"))
def test(ctx: typer.Context) -> None:
    from course.author.suite import run_suite

    raise typer.Exit(run_suite(ctx.obj, ctx.args))


def chosen_by_file(home: Home, file: Path) -> list[tuple[Task, list[str]]]:
    """단계 파일(실습이든 해답이든)의 경로에서 (과제, 그 단계의 TODO들)을 고릅니다.

    Raises:
        CourseError: 단계 파일이 아닐 때.
    """
    for task in all_tasks(home):
        for step in task.steps:
            if file.resolve() in (
                (task.exercise / step.file_name).resolve(),
                (task.solution / step.file_name).resolve(),
            ):
                return chosen(home, [task.short, str(step.number)])
    raise CourseError(f"{file.name}은(는) 이 강의의 단계 파일이 아닙니다.")


def chosen(home: Home, where: list[str]) -> list[tuple[Task, list[str]]]:
    """`["cls", "3"]` 같은 말에서 (과제, TODO들)을 고릅니다. 과제를 적지 않으면 모든 과제입니다.

    Raises:
        CourseError: 그런 과제, 단계, TODO가 없을 때.
    """
    words = list(where)
    tasks = all_tasks(home)
    if words and not words[0][:1].isdigit():
        tasks = [find_task(home, words.pop(0))]
    if not words:
        return [(task, list(task.regions())) for task in tasks]
    if len(words) > 1:
        raise CourseError(f"남는 말이 있습니다: {' '.join(words[1:])}. 예: python -m course check cls 3-4")
    picked = []
    for task in tasks:
        ids = [one for one in task.regions() if one == words[0] or one.startswith(f"{words[0]}-")]
        if ids:
            picked.append((task, ids))
    if not picked:
        known = {one for task in tasks for one in task.regions()}
        meant = re.sub("[^0-9]+", "-", words[0])  # 2_1이나 2.1
        guess = did_you_mean(meant, {meant} & known or known)
        steps = ", ".join(map(str, sorted({step.number for task in tasks for step in task.steps})))
        raise CourseError(f"'{words[0]}'에 맞는 단계나 TODO가 없습니다.{guess} 있는 단계: {steps}")
    return picked


def show_verdicts(home: Home, verdicts: list[tuple[Path, Task, Verdict]], show_traceback: bool = False) -> None:
    """(검사한 폴더, 과제, 판정)들을 적고, 몇 개가 맞았는지 셉니다. 함께 물은 심화 과제는 손댄 것만 적습니다."""
    asked = counted(verdicts)
    stretch = [one for one in verdicts if one not in asked]
    tried = [one for one in stretch if one[2].state != NOT_STARTED]
    tasks = list(dict.fromkeys(task.name for _, task, _ in verdicts))
    for name in tasks:
        if len(tasks) > 1:
            console.print(f"\n{name}", style="bold")
        for folder, task, one in [*asked, *tried]:
            if task.name == name:
                show_verdict(console, home, folder, one, with_traceback=show_traceback)
    if len(tasks) > 1:
        console.print()
        for name in tasks:
            own = [one for _, task, one in asked if task.name == name]
            console.print(f"{name}: {sum(one.is_right for one in own)}/{len(own)}")
    right = sum(one.is_right for *_, one in asked)
    console.print(f"\n{right}/{len(asked)} 맞았습니다.", style="bold green" if right == len(asked) else "bold")
    if tried:
        console.print(f"심화 과제는 {sum(one.is_right for *_, one in tried)}/{len(stretch)}입니다.")


def rendered(home: Home, folder: Path, verdict: Verdict) -> str:
    """판정 하나를, 색이 없는 80칸 터미널에서 읽는 글로."""
    paper = Console(file=io.StringIO(), width=80, color_system=None, highlight=False)
    with paper.capture() as captured:
        show_verdict(paper, home, folder, verdict)
    return captured.get()


student_commands.register(app)
app.registered_commands.sort(key=lambda one: list(COMMANDS).index(one.name or ""))  # 도움말의 차례


def main(arguments: list[str], home: Home | None = None) -> int:
    """명령을 실행하고 종료 코드를 돌려줍니다. 사람이 고칠 수 있는 오류는 한 문장으로 적습니다.

    Args:
        home: 명령이 돌 저장소. 주지 않으면 이 파일이 든 저장소입니다. 명령들은 `ctx.obj`로 받습니다.
    """
    make_printable()
    home = home or Home(ROOT)
    try:
        tidy_up(home, may_edit=arguments[:1] != ["undo"])  # 무를 것을 고치지 않습니다.
        command = typer.main.get_command(app)
        code = command.main(args=arguments, prog_name=PROGRAM, standalone_mode=False, obj=home)
        if code == 130:  # Typer는 Ctrl-C를 말없이 종료 코드로 바꿉니다.
            print("멈췄습니다.", file=sys.stderr)
        elif home.skipped:
            print(home.about_skipped(), file=sys.stderr)
        return code if isinstance(code, int) else 0
    except (CourseError, RegionError) as error:
        tell_error(f"오류: {error}")
        return getattr(error, "code", 1)
    except (OSError, UnicodeDecodeError) as error:  # 권한, 빈 디스크, 없어진 파일, UTF-8이 아닌 파일
        tell_error(f"오류: 파일을 읽거나 쓰지 못했습니다({error}). 파일의 권한과 빈 디스크를 확인해 주세요.")
    except UsageError as error:  # 잘못 적은 명령줄
        is_help = type(error).__name__ == "NoArgsIsHelpError"  # 오류가 곧 도움말입니다.
        if is_help:
            typer.echo(error, err=True)  # 터미널이 아니면 굵은 글씨를 뺍니다.
        else:
            tell_error(f"오류: {explain_usage(error, PROGRAM)}")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        print("멈췄습니다.", file=sys.stderr)
        return 130
    return 1


def tell_error(text: str) -> None:
    """표준 오류에, 터미널의 폭에 맞추어 적습니다."""
    print(fitted(text, sys.stderr), file=sys.stderr)


def tidy_up(home: Home, may_edit: bool) -> None:
    """갑자기 끝난 앞의 명령과 옛 판이 남긴 것을 치우고, 빠진 것을 채웁니다. 쓸 수 없는 저장소면 그대로 둡니다."""
    with or_skip(home, "옛 판이 남긴 파일 치우기"):
        clear_leftovers(home)
        if moved := clear_away(home):
            print(f"옛 판의 파일 {len(moved)}개를 백업으로 옮겼습니다: {home.shown(home.backup)}", file=sys.stderr)
        if may_edit:
            put_missing(home)
            for line in student_commands.carry_over_if_due(home):
                print(line, file=sys.stderr)
