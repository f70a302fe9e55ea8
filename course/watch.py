"""`course watch`: 파일을 저장할 때마다 검사하고, 지금 할 TODO를 보여 줍니다.

검사는 미리 떠 있는 프로세스가 하므로 저장하고 나서 곧 답이 나옵니다. 파일이 바뀐 것은 watchfiles가 알려 주고, 알림이
오지 않는 파일 시스템(WSL의 Windows 폴더, 네트워크 드라이브)에서는 주기적으로 들여다봅니다.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from course.answers import Answers
from course.checker import Checker
from course.edits import read_student_file, reset, reveal, undo
from course.paths import ROOT, CourseError, Task
from course.progress import Progress
from course.regions import RegionError, parse
from course.show import show_todo, show_verdict
from course.verdict import Verdict

KEYS = {
    "h": "힌트",
    "r": "단계 실행",
    "l": "목록",
    "v": "해답 보기",
    "x": "자리 되돌리기",
    "u": "무르기",
    "n": "다음",
    "p": "앞",
    "q": "끝내기",
}
SAVED, KEY = "saved", "key"


@dataclass
class Watch:
    """보고 있는 과제들과 지금의 TODO.

    Attributes:
        events: 저장과 키가 들어오는 줄. 시험은 여기에 직접 넣습니다.
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

    def __post_init__(self) -> None:
        self.todos = [(task, todo_id) for task in self.tasks for todo_id in task.regions()]
        self.answers = {task.name: Answers.load(task) for task in self.tasks}

    @property
    def current(self) -> tuple[Task, str]:
        return self.todos[self.position]

    def start(self) -> None:
        """모두 한 번 검사해, 아직 못 한 첫 TODO부터 시작합니다."""
        self.console.print("지금까지 한 것을 살펴봅니다…", style="dim")
        for task in self.tasks:
            self.remember(task)
            for todo_id, verdict in self.checker.check(task, task.exercise, list(task.regions())).items():
                self.verdicts[task.name, todo_id] = verdict
        self.position = self.first_open()
        self.show_current()

    def first_open(self, after: int = 0) -> int:
        """`after`부터, 아직 맞지 않은 첫 TODO. 모두 맞았으면 마지막 것."""
        for index in [*range(after, len(self.todos)), *range(after)]:
            task, todo_id = self.todos[index]
            if not self.verdicts[task.name, todo_id].is_right:
                return index
        return len(self.todos) - 1

    def run(self) -> None:
        """끝내기를 누를 때까지 저장과 키에 답합니다."""
        while True:
            kind, what = self.events.get()
            try:
                if kind == SAVED:
                    self.on_save(what)
                elif not self.on_key(what):
                    return
            except (CourseError, RegionError) as error:
                self.console.print(str(error), style="yellow", markup=False)

    def on_save(self, paths: set[Path]) -> None:
        """저장한 것이 영향을 주는 TODO만 다시 검사합니다. 지금의 TODO를 가장 먼저 봅니다."""
        started = time.perf_counter()
        for task in self.tasks:
            names = {path.name for path in paths if path.parent.resolve() == task.exercise.resolve()}
            affected = self.affected(task, names) if names else []
            if not affected:
                continue
            before = dict(self.verdicts)
            for todo_id, verdict in self.checker.check(task, task.exercise, affected).items():
                self.verdicts[task.name, todo_id] = verdict
                self.progress.record(task, verdict)
            for todo_id in affected:
                verdict = self.verdicts[task.name, todo_id]
                if (task, todo_id) == self.current or verdict.state != before[task.name, todo_id].state:
                    show_verdict(self.console, task, verdict, time.perf_counter() - started)
        task, todo_id = self.current
        if self.verdicts[task.name, todo_id].is_right:
            self.move_on()

    def affected(self, task: Task, names: set[str]) -> list[str]:
        """바뀐 파일에서 코드가 달라진 TODO들. 자리 밖이 바뀌었으면 그 단계의 것 모두. 지금의 TODO가 맨 앞입니다."""
        before_codes, before_around = dict(self.codes), dict(self.surroundings)
        self.remember(task)
        found = []
        for step in task.steps:
            if step.file_name not in names:
                continue
            own = [todo_id for todo_id in task.regions() if todo_id.startswith(f"{step.number}-")]
            key = (task.name, step.file_name)
            if self.surroundings.get(key) != before_around.get(key):
                found += own
            else:
                found += [one for one in own if self.codes.get((task.name, one)) != before_codes.get((task.name, one))]
            # 막혀 있던 것은 앞이 채워지면 풀립니다.
        current_task, current = self.current
        if current_task == task and current.startswith(
            tuple(f"{s.number}-" for s in task.steps if s.file_name in names)
        ):
            found = [current, *(one for one in found if one != current)]
        return list(dict.fromkeys(found))

    def remember(self, task: Task) -> None:
        """자리마다의 코드와, 자리를 뺀 나머지를 기억합니다. 표시가 깨진 파일은 통째로 나머지입니다."""
        for step in task.steps:
            try:
                text = read_student_file(task.exercise / step.file_name)
                regions = parse(text, step.file_name)
            except (CourseError, RegionError) as error:
                self.surroundings[task.name, step.file_name] = str(error)
                continue
            lines, inside = text.splitlines(), set()
            for region in regions:
                self.codes[task.name, region.id] = "\n".join(lines[region.code_begin : region.end])
                inside.update(range(region.code_begin, region.end))
            rest = "\n".join(line for number, line in enumerate(lines) if number not in inside)
            self.surroundings[task.name, step.file_name] = rest

    def move_on(self) -> None:
        """맞은 TODO에서 다음으로 갑니다. 어디로 가는지 언제나 보여 줍니다."""
        if all(verdict.is_right for verdict in self.verdicts.values()):
            self.console.print("모든 TODO를 마쳤습니다. 축하합니다!", style="bold green")
            return
        self.position = self.first_open(self.position)
        self.console.rule("다음 TODO로 넘어갑니다", style="green")
        self.show_current()

    def show_current(self) -> None:
        task, todo_id = self.current
        done = sum(verdict.is_right for verdict in self.verdicts.values())
        hints = self.progress.hints_seen(task, todo_id)
        show_todo(self.console, task, todo_id, self.answers[task.name], hints, (done, len(self.todos)))
        self.console.print("  ".join(f"[bold]{key}[/] {name}" for key, name in KEYS.items()), style="dim")

    def on_key(self, key: str) -> bool:
        """키 하나에 답합니다. 끝내야 하면 거짓."""
        task, todo_id = self.current
        actions: dict[str, Callable[[], None]] = {
            "h": self.more_hint,
            "l": self.list_todos,
            "r": self.run_step,
            "n": lambda: self.jump(1),
            "p": lambda: self.jump(-1),
            "v": lambda: self.edited(reveal(task, todo_id)[0].path),
            "x": lambda: [self.edited(edit.path) for edit in reset(task, todo_id)] and None,
            "u": lambda: [self.edited(edit.path) for edit in undo()] and None,
        }
        if key == "q":
            self.console.print("끝냈습니다. 다시 보려면: python -m course watch", style="dim")
            return False
        if key in actions:
            actions[key]()
        return True

    def edited(self, path: Path) -> None:
        """도구가 고친 파일도 저장한 것처럼 다시 검사합니다."""
        self.console.print(f"{path.name}을(를) 고쳤습니다. 무르려면 u를 누르세요.", style="dim", markup=False)
        self.events.put((SAVED, {path}))

    def more_hint(self) -> None:
        task, todo_id = self.current
        self.progress.see_hint(task, todo_id, len(self.answers[task.name].hints.get(todo_id, [])))
        self.show_current()

    def list_todos(self) -> None:
        for task, todo_id in self.todos:
            mark = "✓" if self.verdicts[task.name, todo_id].is_right else "·"
            here = "  ← 지금" if (task, todo_id) == self.current else ""
            self.console.print(f"  {mark} {todo_id}  {task.regions()[todo_id].goal}{here}", markup=False)

    def jump(self, by: int) -> None:
        self.position = (self.position + by) % len(self.todos)
        self.show_current()

    def run_step(self) -> None:
        """지금 단계의 파일을 실행합니다."""
        task, todo_id = self.current
        file = task.exercise / task.step_of(todo_id).file_name
        self.console.rule(file.name)
        subprocess.run([sys.executable, str(file)], cwd=ROOT, env={**os.environ, "PYTHONUTF8": "1"}, timeout=300)


def watch_files(folders: list[Path], events: queue.Queue, stop: threading.Event) -> None:
    """폴더의 파이썬 파일이 저장되면 `events`에 넣습니다."""
    from watchfiles import watch

    for changes in watch(*folders, debounce=60, step=20, stop_event=stop, recursive=False, raise_interrupt=False):
        paths = {Path(path) for _, path in changes if path.endswith(".py") and not Path(path).name.startswith(".")}
        if paths:
            events.put((SAVED, paths))


def read_keys(events: queue.Queue) -> None:
    """누른 키를 `events`에 넣습니다. 터미널이 아니면 한 줄씩 읽습니다."""
    for key in _keys():
        events.put((KEY, key.lower()))
        if key.lower() == "q":
            return
    events.put((KEY, "q"))


def _keys() -> Iterator[str]:
    if not sys.stdin.isatty():
        yield from (line.strip()[:1] for line in sys.stdin if line.strip())
    elif os.name == "nt":
        import msvcrt

        while True:
            yield msvcrt.getwch()
    else:
        import termios
        import tty

        before = termios.tcgetattr(sys.stdin)
        try:
            tty.setcbreak(sys.stdin)  # Ctrl-C는 그대로 듣고, Enter 없이 한 글자씩 받습니다.
            while key := sys.stdin.read(1):
                yield key
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def run_watch(tasks: list[Task], console: Console) -> None:
    """끝내기를 누를 때까지 봅니다."""
    stop = threading.Event()
    with Checker() as checker:
        watching = Watch(tasks, checker, console, Progress())
        watching.start()
        threads = [
            threading.Thread(
                target=watch_files, args=([t.exercise for t in tasks], watching.events, stop), daemon=True
            ),
            threading.Thread(target=read_keys, args=(watching.events,), daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            watching.run()
        finally:
            stop.set()
