"""`course watch`: 파일을 저장할 때마다 검사하고, 지금 할 TODO를 보여 줍니다.

검사는 미리 떠 있는 프로세스가 하므로 저장하고 나서 곧 답이 나옵니다. 파일이 바뀐 것은 watchfiles가 알려 주고, 알림이
오지 않는 파일 시스템(WSL의 Windows 폴더, 네트워크 드라이브)에서는 주기적으로 들여다봅니다.
"""

from __future__ import annotations

import codecs
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.text import Text

from console_text import with_particles
from course.book.backups import undo
from course.book.regions import RegionError, lines_of, parse
from course.book.tables import Answers
from course.book.tasks import Task
from course.book.untouched import known_todos, read_student_file
from course.checks.checker import Checker
from course.checks.verdict import BLOCKED, BROKEN, NOT_STARTED, Verdict
from course.front import PROGRAM
from course.home import CourseError, Home
from course.student.edits import attempted, reset, reveal
from course.student.progress import Progress
from course.student.show import LEGEND, indented, mark_of, show_todo, show_verdict

KEYS = {
    "h": "힌트",
    "r": "실행",
    "l": "목록",
    "v": "해답",
    "x": "되돌리기",
    "u": "무르기",
    "n": "다음",
    "p": "앞",
    "q": "끝내기",
}
HANGUL = dict(zip("ㅗㄱㅣㅍㅌㅕㅜㅔㅂ", KEYS, strict=True))  # 한글 자판인 채로 눌러도 알아듣습니다.
SAVED, KEY = "saved", "key"
SPECIAL_KEY = re.compile(rb"\x1b(?:\[[\d;]*[A-Za-z~]|O.|)")  # 화살표와 기능 키는 ESC로 시작하는 여러 글자로 옵니다.
TIMEOUT = 10.0  # 초. 기다리는 사람이 있으므로, 끝나지 않는 코드는 이만큼만 기다립니다.
RUN_TIMEOUT = 300.0


@dataclass
class Watch:
    """보고 있는 과제들과 지금의 TODO.

    Attributes:
        events: 저장과 키가 들어오는 줄. 시험은 여기에 직접 넣습니다.
        position: `todos`에서 지금의 TODO가 몇 번째인지.
        verdicts: (과제, TODO) → 마지막 판정.
    """

    tasks: list[Task]
    checker: Checker
    console: Console
    progress: Progress
    events: queue.Queue = field(default_factory=queue.Queue)
    position: int = 0
    verdicts: dict[tuple[str, str], Verdict] = field(default_factory=dict)
    codes: dict[tuple[str, str], str] = field(default_factory=dict)
    surroundings: dict[tuple[str, str], str] = field(default_factory=dict)
    sure_to_reveal: tuple[str, str] | None = None
    explained: set[tuple[str, str]] = field(default_factory=set)  # 해답을 열며 까닭을 막 보여 준 것
    skipped: int = 0  # 쓸 수 없어 하지 못했다고 이미 말한 일의 수
    shaken: set[tuple[str, str]] = field(default_factory=set)  # 맞았지만, 기대는 것이 멈춰 지금은 알 수 없는 것
    finished: tuple[Task, int] | None = None  # 막 마친 단계. 다음 단계에 손대기 전에는 r이 이것을 실행합니다.

    def __post_init__(self) -> None:
        self.todos = [(task, todo_id) for task in self.tasks for todo_id in sorted(known_todos(task), key=_order)]
        self.answers = {task.name: Answers.load(task) for task in self.tasks}

    @property
    def current(self) -> tuple[Task, str]:
        return self.todos[self.position]

    @property
    def home(self) -> Home:
        """보고 있는 과제들이 든 저장소."""
        return self.tasks[0].home

    def start(self) -> None:
        """모두 한 번 검사해, 아직 못 한 첫 TODO부터 시작합니다."""
        self.console.print("지금까지 한 것을 살펴봅니다…", style="dim")
        for task in self.tasks:
            self.remember(task)
            self.check(task, [todo_id for other, todo_id in self.todos if other == task])
        self.position = self.first_open()
        self.show_current()
        if self.todos and self.all_done():
            self.tell_end(self.tasks)

    def check(self, task: Task, todo_ids: list[str]) -> None:
        """검사해 판정을 새로 적습니다."""
        for todo_id, verdict in self.checker.check(task, task.exercise, todo_ids, timeout=TIMEOUT).items():
            self.verdicts[task.name, todo_id] = verdict

    def first_open(self, after: int = 0) -> int:
        """`after`부터, 아직 맞지 않은 첫 TODO. 심화 과제는 나머지가 모두 맞은 다음입니다. 모두 맞았으면 마지막 것."""
        found = [
            (task.is_stretch(todo_id), index < after, index)
            for index, (task, todo_id) in enumerate(self.todos)
            if not self.verdicts[task.name, todo_id].is_right
        ]
        return min(found)[-1] if found else len(self.todos) - 1

    @property
    def required(self) -> list[Verdict]:
        """심화 과제를 뺀 TODO들의 판정."""
        return [self.verdicts[task.name, todo_id] for task, todo_id in self.todos if not task.is_stretch(todo_id)]

    def run(self) -> None:
        """끝내기를 누를 때까지 저장과 키에 답합니다."""
        while True:
            what = self.next_event()
            try:
                if not isinstance(what, str):
                    self.on_save(what)
                elif not self.on_key(what):
                    return
            except (CourseError, RegionError) as error:
                self.console.print(str(error), style="yellow", markup=False)

    def next_event(self) -> set[Path] | str:
        """다음 일: 저장한 파일들이나 누른 키. 검사하는 동안 쌓인 저장들은 하나로 묶습니다."""
        while True:
            try:
                kind, what = self.events.get(timeout=1.0)  # Windows에서는 끝없는 기다림을 Ctrl-C가 깨우지 못합니다.
                break
            except queue.Empty:
                continue
        while kind == SAVED and self.events.queue and self.events.queue[0][0] == SAVED:
            what = what | self.events.get()[1]
        return what

    def on_save(self, paths: set[Path]) -> None:
        """저장한 것이 영향을 주는 TODO만 다시 검사합니다. 지금의 TODO를 가장 먼저 보고, 곧바로 답합니다."""
        saved = time.perf_counter()
        gained: set[tuple[str, str]] = set()
        for task in self.tasks:
            names = {path.name for path in paths if path.parent.resolve() == task.exercise.resolve()}
            before = dict(self.codes)
            affected = self.affected(task, names) if names else []
            edited = {one for one in affected if self.codes.get((task.name, one)) != before.get((task.name, one))}
            first = [todo_id for todo_id in affected if (task, todo_id) == self.current]
            was_right, was_stuck = self.right_in(task), self.stuck_in(task)
            if edited:
                self.finished = None
            self.recheck(task, first, saved, edited)
            self.recheck(task, [todo_id for todo_id in affected if todo_id not in first], saved, edited)
            if self.right_in(task) - was_right or was_stuck - self.stuck_in(task):  # 그것을 기다리던 것이 풀립니다.
                own = [todo_id for other, todo_id in self.todos if other == task]
                waiting = [one for one in own if self.verdicts[task.name, one].state == BLOCKED]
                self.recheck(task, [one for one in waiting if (task.name, one) not in self.shaken])
                self.look_at_shaken(task)
            self.shake(task, self.stuck_in(task) - was_stuck, affected)
            gained |= {(task.name, one) for one in self.right_in(task) - was_right}
        self.tell_skipped()
        task, todo_id = self.current
        if self.verdicts[task.name, todo_id].is_right:
            self.move_on(gained)

    def tell_skipped(self) -> None:
        """쓸 수 없는 저장소라 하지 못한 일이 새로 생겼으면 한 번 말합니다."""
        if len(self.home.skipped) > self.skipped:
            self.skipped = len(self.home.skipped)
            self.console.print(Text(self.home.about_skipped(), style="yellow"))

    def recheck(
        self, task: Task, todo_ids: list[str], saved: float | None = None, edited: Collection[str] = ()
    ) -> None:
        """다시 검사하고, 지금의 TODO와 코드를 고친 TODO, 판정이 달라진 것을 적습니다.

        Args:
            saved: 저장을 안 때. 지금의 TODO에는 그때부터 걸린 시간도 적습니다.
            edited: 이번 저장에서 자리의 코드가 달라진 TODO들.
        """
        if not todo_ids:
            return
        before = {todo_id: self.verdicts[task.name, todo_id].state for todo_id in todo_ids}
        self.check(task, todo_ids)
        for todo_id in todo_ids:
            verdict, is_current = self.verdicts[task.name, todo_id], (task, todo_id) == self.current
            is_answer = todo_id in edited and verdict.state != NOT_STARTED
            if is_current or is_answer or verdict.state != before[todo_id]:
                self.progress.record(task, verdict)
                seconds = time.perf_counter() - saved if is_current and saved is not None else None
                show_verdict(self.console, task.home, task.exercise, verdict, seconds)
                if verdict.is_right and before[todo_id] != verdict.state:
                    self.say_why(task, todo_id)

    def shake(self, task: Task, stuck: set[str], fresh: Collection[str]) -> None:
        """코드가 멈춘 TODO들에 기대던 맞은 답을 다시 봅니다. 하나하나가 아니라, 멈춘 것이 몇인지만 말합니다.

        Args:
            stuck: 이번 저장에서 멈춘 TODO들.
            fresh: 이번 저장에서 이미 검사한 TODO들.
        """
        if not stuck:
            return
        first = min(task.step_of(todo_id).number for todo_id in stuck)
        right = sorted(self.right_in(task).difference(fresh), key=_order)
        self.check(task, [todo_id for todo_id in right if task.step_of(todo_id).number >= first])
        lost = [todo_id for todo_id in right if not self.verdicts[task.name, todo_id].is_right]
        self.shaken |= {(task.name, todo_id) for todo_id in lost}
        if lost:
            said = f"맞았던 {numbered(lost)}도 지금은 실행되지 않습니다. 이것을 고치면 다시 봅니다."
            self.console.print(f"  {with_particles(said)}", style="dim", markup=False)

    def look_at_shaken(self, task: Task) -> None:
        """기대던 것이 나았으면, 맞았던 답들이 다시 맞는지 봅니다."""
        waiting = sorted((todo_id for name, todo_id in self.shaken if name == task.name), key=_order)
        if not waiting:
            return
        self.check(task, waiting)
        back = [todo_id for todo_id in waiting if self.verdicts[task.name, todo_id].is_right]
        self.shaken -= {(task.name, todo_id) for todo_id in back}
        if back:
            self.console.print(f"  다시 맞은 것: {numbered(back)}", style="dim", markup=False)

    def say_why(self, task: Task, todo_id: str) -> None:
        """맞은 답의 까닭. 해답을 열었을 때 보이는 것과 같습니다."""
        told = (task.name, todo_id) in self.explained  # 해답을 열며 이미 보여 주었습니다.
        self.explained.discard((task.name, todo_id))
        if not told and (why := self.answers[task.name].explanations.get(todo_id)):
            indented(self.console, f"왜: {why}", style="dim")

    def right_in(self, task: Task) -> set[str]:
        return {todo_id for (name, todo_id), one in self.verdicts.items() if name == task.name and one.is_right}

    def stuck_in(self, task: Task) -> set[str]:
        """실행하면 멈추는 TODO들: 예외가 나거나, 아직(또는 다시) 빈 자리입니다."""
        stuck = (BROKEN, NOT_STARTED)
        return {todo_id for (name, todo_id), one in self.verdicts.items() if name == task.name and one.state in stuck}

    def affected(self, task: Task, names: set[str]) -> list[str]:
        """바뀐 파일에서 코드가 달라진 TODO들. 자리 밖이 바뀌었으면 그 단계의 것 모두. 지금의 TODO가 맨 앞입니다."""
        before_codes, before_around = dict(self.codes), dict(self.surroundings)
        self.remember(task)
        found = []
        for step in task.steps:
            if step.file_name not in names:
                continue
            own = [todo_id for other, todo_id in self.todos if other == task and todo_id.startswith(f"{step.number}-")]
            key = (task.name, step.file_name)
            changed = [
                todo_id
                for todo_id in own
                if self.surroundings.get(key) != before_around.get(key)
                or self.codes.get((task.name, todo_id)) != before_codes.get((task.name, todo_id))
            ]
            # 편집기는 한 번의 저장을 두 번 알리기도 합니다. 막 넘어온, 아직 빈 TODO를 그 때문에 다시 말하지 않습니다.
            here = self.current[1] if self.current[0] == task and self.current[1] in own else None
            if here and (changed or self.verdicts[task.name, here].state != NOT_STARTED):
                changed.append(here)
            found += dict.fromkeys(changed)
        return sorted(found, key=lambda todo_id: (task, todo_id) != self.current)

    def remember(self, task: Task) -> None:
        """자리마다의 코드와, 자리를 뺀 나머지를 기억합니다. 표시가 깨진 파일은 통째로 나머지입니다."""
        for step in task.steps:
            try:
                text = read_student_file(task.exercise / step.file_name)
            except CourseError as error:
                self.surroundings[task.name, step.file_name] = str(error)
                continue
            try:
                regions = parse(text, step.file_name)
            except RegionError:
                self.surroundings[task.name, step.file_name] = text
                continue
            lines = lines_of(text)
            inside: set[int] = set()
            for region in regions:
                self.codes[task.name, region.id] = "".join(lines[region.code_begin : region.end])
                inside.update(range(region.code_begin, region.end))
            rest = "".join(line for number, line in enumerate(lines) if number not in inside)
            self.surroundings[task.name, step.file_name] = rest

    def move_on(self, gained: set[tuple[str, str]]) -> None:
        """맞은 TODO에서 다음으로 갑니다. 어디로 가는지 언제나 보여 줍니다.

        Args:
            gained: 이번 저장에서 맞은 (과제, TODO)들. 단계나 과제를 마쳤다는 말은 마친 그때 한 번만 합니다.
        """
        task, todo_id = self.current
        step = task.step_of(todo_id)
        own = {one for name, one in gained if name == task.name}
        if any(task.step_of(one) == step for one in own) and self.is_done(task, f"{step.number}-"):
            self.finished = task, step.number
            name = "심화 과제" if step.is_stretch else f"{step.number}단계"
            said = f"{name}를 마쳤습니다. r을 누르면 그 파일을 실행합니다: {step.file_name}"
            self.console.print(said, style="green", soft_wrap=True)
        if any(not task.is_stretch(one) for one in own) and self.is_done(task):
            self.tell_end(self.tasks if self.all_done() else [task])
        if all(verdict.is_right for verdict in self.verdicts.values()):
            return
        self.position = self.first_open(self.position)
        self.console.rule("다음 TODO로 넘어갑니다", style="green")
        self.show_current()

    def is_done(self, task: Task, step: str = "") -> bool:
        """과제의(`"3-"`이면 그 단계의) TODO를 모두 맞혔는가. 심화 과제는 그 단계로 물을 때만 봅니다."""
        own = [one for other, one in self.todos if other == task and one.startswith(step)]
        own = own if step else [one for one in own if not task.is_stretch(one)]
        return all(self.verdicts[task.name, one].is_right for one in own)

    def all_done(self) -> bool:
        return all(self.is_done(task) for task in self.tasks)

    def tell_end(self, done: list[Task]) -> None:
        """마친 과제로 무엇을 실행하면 되는지."""
        what = "모든 TODO" if self.all_done() else f"{done[0].name}의 모든 TODO"
        self.console.print(f"{what}를 마쳤습니다. 축하합니다!", style="bold green")
        for task in done:
            steps = [one for one in task.steps if not one.is_stretch]
            step = next((one for one in steps if "cli" in one.module.split("_")), steps[-1])
            line = f"완성된 것을 써 봅니다: python {task.name}/{step.file_name} --help"
            self.console.print(line, style="dim", soft_wrap=True)
        left = [one for one in self.todos if one[0] in done and not self.verdicts[one[0].name, one[1]].is_right]
        if left:
            line = f"더 해 보고 싶다면 심화 과제가 {len(left)}개 있습니다. 여기서 마쳐도 됩니다."
            self.console.print(line, style="dim")

    def show_current(self) -> None:
        task, todo_id = self.current
        done = sum(verdict.is_right for verdict in self.required)
        hints = self.progress.hints_seen(task, todo_id)
        show_todo(self.console, task, todo_id, self.answers[task.name], hints, (done, len(self.required)))
        verdict = self.verdicts[task.name, todo_id]
        if not verdict.is_right and verdict.state != NOT_STARTED:
            show_verdict(self.console, task.home, task.exercise, verdict)
        self.show_keys()

    def on_key(self, key: str) -> bool:
        """키 하나에 답합니다. 끝내야 하면 거짓."""
        key = HANGUL.get(key, key)
        task, todo_id = self.current
        actions: dict[str, Callable[[], None]] = {
            "h": self.more_hint,
            "r": self.run_step,
            "l": self.list_todos,
            "v": self.reveal,
            "x": lambda: self.edited([edit.path for edit in reset(task, todo_id)]),
            "u": lambda: self.edited([edit.path for edit in undo(self.home)]),
            "n": lambda: self.jump(1),
            "p": lambda: self.jump(-1),
        }
        if key == "q":
            task_name = f" {self.tasks[0].short}" if len(self.tasks) == 1 else ""
            self.console.print(f"끝냈습니다. 다시 보려면: {PROGRAM} watch{task_name}", style="dim")
            return False
        if key in actions:
            actions[key]()
        elif key.isprintable() and key.strip():
            self.show_keys()
        return True

    def show_keys(self) -> None:
        keys = Text("  ").join(Text.assemble((key, "bold"), f" {name}") for key, name in KEYS.items())
        self.console.print(keys, style="dim")

    def reveal(self) -> None:
        """지금의 해답을 넣고 설명을 보여 줍니다. 해 보기 전이라면 한 번 더 눌러야 합니다."""
        task, todo_id = self.current
        sure = self.sure_to_reveal == (task.name, todo_id)
        if not sure and not attempted(task, todo_id):
            self.sure_to_reveal = task.name, todo_id
            self.console.print("먼저 한 번 해 보세요. 그래도 해답을 보려면 v를 한 번 더 누르세요.", style="yellow")
            return
        edit, explanation = reveal(task, todo_id, even_untried=sure)
        self.progress.see_solution(task, todo_id)
        self.explained.add((task.name, todo_id))
        if explanation:
            self.console.print(explanation, markup=False)
        self.edited([edit.path])

    def edited(self, paths: list[Path]) -> None:
        """무엇을 고쳤는지 적습니다. 다시 검사하는 일은, 파일이 바뀐 것을 감시가 알려 오면 합니다."""
        if not paths:
            self.console.print("바꿀 것이 없습니다.", style="dim")
            return
        names = ", ".join(path.name for path in paths)
        said = with_particles(f"{names}을(를) 고쳤습니다. 무르려면 u를 누르세요.")
        self.console.print(said, style="dim", markup=False)

    def more_hint(self) -> None:
        task, todo_id = self.current
        available = len(self.answers[task.name].hints.get(todo_id, []))
        all_seen = self.progress.hints_seen(task, todo_id) >= available
        self.progress.see_hint(task, todo_id, available)
        self.show_current()
        if all_seen:
            self.console.print("힌트는 여기까지입니다. 해답은 v로 볼 수 있습니다.", style="dim")

    def list_todos(self) -> None:
        goals = {task.name: known_todos(task) for task in self.tasks}
        for task, todo_id in self.todos:
            mark, _ = mark_of(self.verdicts[task.name, todo_id])
            here = "→" if (task, todo_id) == self.current else " "
            stretch = "(심화) " if task.is_stretch(todo_id) else ""
            line = Text(f"{here} {mark} {todo_id}  {stretch}{goals[task.name][todo_id].goal}")
            self.console.print(line, no_wrap=True, overflow="ellipsis")
        self.console.print(LEGEND, style="dim")

    def jump(self, by: int) -> None:
        self.finished = None
        self.position = (self.position + by) % len(self.todos)
        self.show_current()

    def run_step(self) -> None:
        """지금의(막 마쳤다면 그) 단계의 파일을 실행합니다. 너무 오래 걸리면 멈춥니다."""
        task, todo_id = self.current
        step = task.step_of(todo_id)
        if self.finished is not None:
            task, step = self.finished[0], self.finished[0].step(self.finished[1])
        file = task.exercise / step.file_name
        self.console.rule(file.name)
        try:
            environment = {**os.environ, "PYTHONUTF8": "1"}
            command = [sys.executable, str(file)]
            subprocess.run(command, cwd=self.home.root, env=environment, stdin=subprocess.DEVNULL, timeout=RUN_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.console.print(f"{RUN_TIMEOUT:.0f}초가 지나도 끝나지 않아 멈췄습니다.", style="yellow")
        self.console.rule()


def numbered(todo_ids: list[str]) -> str:
    """한 줄에 적을 만큼의 번호: `TODO 2-1`, `TODO 2-1, 2-2, 3-1 들 12개`."""
    named = ", ".join(todo_ids[:3])
    return f"TODO {named} 들 {len(todo_ids)}개" if len(todo_ids) > 3 else f"TODO {named}"


def _order(todo_id: str) -> tuple[int, ...]:
    return tuple(int(part) for part in todo_id.split("-"))


def watch_files(folders: list[Path], events: queue.Queue, stop: threading.Event) -> None:
    """폴더의 파이썬 파일이 저장되면 `events`에 넣습니다. 알림이 없는 곳(WSL)에서는 0.1초마다 들여다봅니다."""
    from watchfiles import watch

    changed = watch(
        *folders,
        debounce=60,
        step=20,
        poll_delay_ms=100,
        stop_event=stop,
        recursive=False,
        raise_interrupt=False,
    )
    for changes in changed:
        paths = {Path(path) for _, path in changes if path.endswith(".py") and not Path(path).name.startswith(".")}
        if paths:
            events.put((SAVED, paths))


def read_keys(events: queue.Queue) -> None:
    """누른 키를 `events`에 넣습니다. 터미널이 아니면 한 줄씩 읽고, 입력이 끝나면 끝내기입니다."""
    for key in _keys():
        events.put((KEY, key.lower()))
        if HANGUL.get(key, key).lower() == "q":
            return
    events.put((KEY, "q"))


def _keys() -> Iterator[str]:
    if not sys.stdin.isatty():
        yield from (line.strip()[:1] for line in sys.stdin if line.strip())
    elif os.name == "nt":
        import msvcrt

        while True:
            if (key := msvcrt.getwch()) in "\x00\xe0":  # 화살표와 기능 키는 두 글자로 옵니다.
                msvcrt.getwch()
            else:
                yield key
    else:
        decode = codecs.getincrementaldecoder("utf-8")(errors="ignore").decode
        while pressed := os.read(sys.stdin.fileno(), 64):
            yield from decode(SPECIAL_KEY.sub(b"", pressed))


@contextmanager
def keys_without_enter() -> Iterator[None]:
    """블록 안에서는 Enter 없이 한 글자씩 받습니다. 어떻게 끝나든 터미널을 되돌립니다. Ctrl-C는 그대로 듣습니다."""
    if os.name == "nt" or not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def run_watch(home: Home, tasks: list[Task], console: Console) -> None:
    """끝내기를 누를 때까지 봅니다."""
    stop = threading.Event()
    with keys_without_enter(), Checker(home) as checker:
        watching = Watch(tasks, checker, console, Progress(home))
        folders = [task.exercise for task in tasks]
        for work in ((watch_files, folders, watching.events, stop), (read_keys, watching.events)):
            threading.Thread(target=work[0], args=work[1:], daemon=True).start()
        try:
            watching.start()
            watching.run()
        finally:
            stop.set()
