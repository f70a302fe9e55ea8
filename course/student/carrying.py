"""새 판을 받은 뒤, 바뀐 이름을 학생의 옛 답에 옮겨 적습니다. 무엇이 바뀌었는지는 새 판의 표에 있습니다(`renaming`).

옮긴 답은 검사를 통과할 때만 씁니다. 통과하지 못하면 학생의 글을 그대로 두고 그렇다고 말합니다. 물음이 바뀐 TODO는 옛
답을 주석으로 남기고 처음으로 돌립니다. 고친 것은 모두 그 `update`의 하나로 적혀, 한 번의 `undo`로 돌아옵니다.

옛 판의 `update`는 이 일을 모릅니다. 그래서 새 판의 도구가 처음 돌 때(`course.cli`, `course.worker`) 아직이면 합니다.
"""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

from course.book.backups import Journal, in_style_of, overwrite_along
from course.book.regions import Region, RegionError, code_of, lines_of, parse, splice
from course.book.tasks import STEP_NAME, Task, all_tasks
from course.book.untouched import known_todos, read_student_file, untouched_text
from course.checks.checker import Checker
from course.home import CourseError, Home, write_text
from course.student.edits import same_code
from course.student.renaming import FILE_NAME, Edit, Reading, Table, applied, read_table

UPDATE, DONE = "update", "renamed"
WORD = "renamed.txt"
OUTSIDE = ""  # 자리 밖에 학생이 쓴 코드


@dataclass
class Unit:
    """함께 옮기거나 함께 두는 줄들: 자리 하나, 또는 한 파일에서 학생이 자리 밖에 쓴 것.

    Attributes:
        todo: 자리의 번호. 자리 밖이면 `OUTSIDE`.
        taken: 새 이름을 여기에서 이미 다른 것에 쓰고 있어 옮기지 못하는 옛 이름들.
        ways: 아직 해 보지 않은, 옮기는 방법들. 맨 앞의 것을 씁니다.
        chosen: 옮기는가.
        moved: 옮겼거나 옮겨 본 이름들. 예: `"args → config"`.
        failed: 옮겨 보았지만 검사를 통과하지 못했는가.
    """

    file: str
    todo: str
    taken: list[str]
    ways: list[list[Edit]]
    moved: list[str]
    chosen: bool = False
    failed: bool = False

    @property
    def step(self) -> int:
        return int(self.todo.split("-")[0])

    def give_up(self) -> None:
        """옮기지 않기로 합니다."""
        self.chosen, self.failed = False, True

    def give_up_this_way(self) -> None:
        """다음 방법을 씁니다. 더 없으면 옮기지 않습니다."""
        self.ways.pop(0)
        if not self.ways:
            self.give_up()


@dataclass
class Carried:
    """과제 하나에서 옮긴 결과.

    Attributes:
        texts: 고친 단계 파일 → 새 내용.
        said: 학생에게 할 말들.
        waiting: 읽을 수 없어 다음 `update`에 옮길 파일들.
    """

    texts: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


def is_due(home: Home) -> bool:
    """마지막 일이 `update`인데, 그것이 가져온 표로 아직 이름을 옮기지 않았는가."""
    journal = _unsettled(home)
    return journal is not None and any(journal.before(home, table_file(task))[0] for task in all_tasks(home))


def carry_over(home: Home, checker: Checker) -> list[str]:
    """받은 새 판의 표로 학생의 답의 이름을 옮깁니다.

    Returns:
        무엇을 옮겼고 무엇을 그대로 두었는지, 한 문장씩.

    Raises:
        CourseError: 표를 읽을 수 없거나 검사할 수 없을 때. 아무것도 고치지 않습니다.
    """
    journal = _unsettled(home)
    said: list[str] = []
    writes: list[tuple[Path, str | bytes | None]] = []
    for task in all_tasks(home):
        olds = _old_tables(task, journal)
        new = _text_of(table_file(task))
        tables = {name: _table(task, new).since(_table(task, old)) for name, old in olds.items()}
        tables = {name: table for name, table in tables.items() if table}
        carried = _carry(task, tables, checker) if tables else Carried()
        said += carried.said
        writes += [(path := task.exercise / name, in_style_of(path, text)) for name, text in carried.texts.items()]
        waiting = json.dumps({name: olds[name] for name in carried.waiting}, ensure_ascii=False, indent=2)
        writes.append((waiting_file(task), waiting if carried.waiting else None))
    overwrite_along(home, writes, UPDATE)
    if journal is not None:
        journal.settle(home, DONE)
    return said


def table_file(task: Task) -> Path:
    return task.checks / FILE_NAME


def waiting_file(task: Task) -> Path:
    """아직 읽을 수 없어 이름을 옮기지 못한 단계 파일 → 그 파일이 쓰인 때의 표."""
    return task.home.state / "renamed" / f"{task.name}.json"


def _unsettled(home: Home) -> Journal | None:
    journal = Journal.latest(home)
    return journal if journal and journal.what == UPDATE and DONE not in journal.settled else None


def _text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _table(task: Task, text: str) -> Table:
    return read_table(text, task.home.shown(table_file(task)))


def _old_tables(task: Task, journal: Journal | None) -> dict[str, str]:
    """단계 파일 → 그 파일이 쓰인 때의 표(YAML)."""
    old = _text_of(table_file(task))
    if journal is not None:
        is_new, before = journal.before(task.home, table_file(task))
        old = (before or b"").decode() if is_new else old
    try:
        waiting = dict(json.loads(waiting_file(task).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        waiting = {}
    names = [step.file_name for step in task.steps if (task.exercise / step.file_name).exists()]
    return {name: waiting.get(name, old) for name in names}


def _carry(task: Task, tables: dict[str, Table], checker: Checker) -> Carried:
    """한 과제의 단계 파일들에서 옮깁니다."""
    carried = Carried()
    texts: dict[str, str] = {}
    units: list[Unit] = []
    for name, table in tables.items():
        try:
            before = read_student_file(task.exercise / name)
            parse(before, name)
        except (CourseError, RegionError):  # 무엇이 어긋났는지는 `update`가 말합니다.
            carried.waiting.append(name)
            continue
        texts[name] = _asked_anew(task, name, before, table, carried.said)
        if texts[name] != before:
            carried.texts[name] = texts[name]
        try:
            units += _units(task, name, texts[name], table)
        except ValueError:
            carried.waiting.append(name)
            if names := [f"{one.old} → {one.new}" for one in sorted(table.names, key=str) if one.old in before]:
                carried.said.append(
                    f"{name}: 파이썬이 읽지 못하는 곳이 있어 바뀐 이름을 옮기지 못했습니다({', '.join(names)}). "
                    "고친 뒤 다시 update를 하면 옮깁니다."
                )
    if units:
        units = _choose(task, units, texts, checker)
        carried.texts |= {name: text for name, text in _mixed(texts, units).items() if text != texts[name]}
        carried.said += _told(units)
    return carried


def _asked_anew(task: Task, name: str, text: str, table: Table, said: list[str]) -> str:
    """물음이 바뀐 TODO의 답을 주석으로 남기고 처음으로 돌린 글."""
    untouched = untouched_text(task, name)
    for todo_id, why in table.new_questions.items():
        if not all(any(one.id == todo_id for one in parse(where)) for where in (text, untouched)):
            continue
        code, empty = code_of(text, todo_id), code_of(untouched, todo_id)
        if same_code(code, "") or same_code(code, empty):
            continue
        kept = "".join(f"# {line}" if line.strip() else "#\n" for line in lines_of(code))
        text = splice(text, todo_id, f"{empty}# 물음이 바뀌었습니다. {why}\n# 전에 쓴 답:\n{kept}")
        said.append(f"{name}: TODO {todo_id}의 물음이 바뀌었습니다. {why} 전에 쓴 답은 그 자리에 주석으로 남겼습니다.")
    return text


def _units(task: Task, name: str, text: str, table: Table) -> list[Unit]:
    """파일 하나에서 바뀐 이름이 나오는 자리들과, 자리 밖에 학생이 쓴 것.

    Raises:
        ValueError: 파이썬이 읽을 수 없는 글일 때.
    """
    reading = Reading(text)
    regions = parse(text)
    places = {one.id: set(range(one.code_begin, one.end)) for one in regions}
    places[OUTSIDE] = _own_lines(text, regions, untouched_text(task, name))
    units = []
    for todo_id, lines in places.items():
        names = table.names_for(todo_id)
        ways = reading.ways(lines, names, table.strings_for(todo_id), own_too=todo_id != OUTSIDE)
        taken = sorted({f"{old} → {names[old]}" for _, old in reading.clashes(lines, names)})
        if ways or taken:
            pairs = dict.fromkeys(f"{text[start:end]} → {new}" for way in ways for start, end, new in way)
            units.append(Unit(name, todo_id, taken, ways, list(pairs)))
    return units


def _own_lines(text: str, regions: list[Region], untouched: str) -> set[int]:
    """자리 밖에서 학생이 쓴 줄의 번호: 처음 모습에 없는 줄들."""

    def outside(lines: list[str], inside: list[Region]) -> list[tuple[int, str]]:
        taken = {number for one in inside for number in range(one.code_begin, one.end)}
        return [(number, line.rstrip("\r\n")) for number, line in enumerate(lines) if number not in taken]

    mine, given = outside(lines_of(text), regions), outside(lines_of(untouched), parse(untouched))
    matcher = SequenceMatcher(None, [line for _, line in given], [line for _, line in mine], autojunk=False)
    changed = [mine[begin:end] for kind, _, _, begin, end in matcher.get_opcodes() if kind in ("replace", "insert")]
    return {number for part in changed for number, _ in part}


def _choose(task: Task, units: list[Unit], texts: dict[str, str], checker: Checker) -> list[Unit]:
    """검사에 물어 옮길 것을 고릅니다. 자리 밖에 쓴 것은, 옮기지 않을 때 맞는 답이 더 많으면 옮기지 않습니다."""
    before = _right(task, texts, checker)
    has_outside = any(one.todo == OUTSIDE and one.ways for one in units)
    best: tuple[tuple[bool, int], list[Unit]] = ((False, -1), units)
    for with_outside in (True, False) if has_outside else (False,):
        chosen = copy.deepcopy(units)
        for one in chosen:
            is_outside = one.todo == OUTSIDE and bool(one.ways)
            one.chosen, one.failed = is_outside and with_outside, is_outside and not with_outside
        right = _choose_inside(task, chosen, texts, checker, before)
        if (score := (before <= right, len(right))) > best[0]:
            best = score, chosen
        if all(one.todo in right for one in chosen if one.todo != OUTSIDE):
            break
    return best[1]


def _choose_inside(
    task: Task, units: list[Unit], texts: dict[str, str], checker: Checker, before: set[str]
) -> set[str]:
    """자리마다 고릅니다. 옮기지 않아도 맞는 것은 그대로 두고, 옮겨도 맞지 않는 것은 포기합니다.

    Args:
        before: 하나도 옮기지 않았을 때 맞는 TODO들.

    Returns:
        고른 대로 옮겼을 때 맞는 TODO들.
    """
    inside = [one for one in units if one.todo != OUTSIDE]
    untouched = now = before if not any(one.chosen for one in units) else _right(task, _mixed(texts, units), checker)
    for one in inside:
        one.chosen = bool(one.ways) and one.todo not in now
    while any(one.chosen for one in inside):
        now = _right(task, _mixed(texts, units), checker)
        spoiled = [one for one in inside if not one.chosen and one.ways and one.todo in before - now]
        failing = [one for one in inside if one.chosen and one.todo not in now]
        for one in spoiled:  # 이웃의 이름이 바뀌어 틀리게 된 것은 함께 옮깁니다.
            one.chosen = True
        if not spoiled and failing:  # 앞 단계가 틀리면 뒤도 틀리므로, 가장 앞 단계의 것부터 다른 방법을 씁니다.
            first = min(one.step for one in failing)
            for one in failing:
                if one.step == first:
                    one.give_up_this_way()
        elif not spoiled:
            break
    if before - now:  # 맞던 것이 틀리게 된다면 하나도 옮기지 않습니다.
        for one in inside:
            one.failed = one.failed or one.chosen
            one.chosen = False
        now = untouched
    for one in inside:
        if one.todo in now:
            one.taken = []
    return now


def _mixed(texts: dict[str, str], units: Iterable[Unit]) -> dict[str, str]:
    """고른 것들을 옮긴 파일들."""
    edits: dict[str, list[Edit]] = {name: [] for name in texts}
    for one in units:
        if one.chosen:
            edits[one.file] += one.ways[0]
    return {name: applied(text, edits[name]) for name, text in texts.items()}


def _right(task: Task, texts: dict[str, str], checker: Checker) -> set[str]:
    """학생의 폴더에 이 글들을 놓으면 맞는 TODO들. 학생의 파일은 건드리지 않습니다."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        for path in task.exercise.iterdir():
            if STEP_NAME.fullmatch(path.name) and path.is_file():
                shutil.copy(path, folder)
        for name, text in texts.items():
            (folder / name).write_bytes(text.encode())
        verdicts = checker.check(task, folder, list(known_todos(task)))
    return {todo_id for todo_id, verdict in verdicts.items() if verdict.is_right}


def _told(units: list[Unit]) -> list[str]:
    """옮긴 것과 그대로 둔 것을 파일마다 한 문장씩."""
    said = []
    for file in dict.fromkeys(one.file for one in units):
        own = [one for one in units if one.file == file]
        if moved := [one for one in own if one.chosen and one.ways[0]]:
            pairs = dict.fromkeys(pair for one in moved for pair in one.moved)
            said.append(f"{file}: {_where(moved)}에 바뀐 이름을 옮겨 적었습니다({', '.join(pairs)}).")
        for one in own:
            if one.failed:
                why = f"바뀐 이름이 있지만({', '.join(one.moved)}), 옮기면 검사를 통과하지 못해 그대로 두었습니다."
                said.append(f"{file}: {_where([one])}에 {why}")
            if one.taken:
                said.append(
                    f"{file}: {_where([one])}에서 새 이름을 이미 다른 것에 쓰고 있어 옮기지 않았습니다"
                    f"({', '.join(one.taken)})."
                )
    return said


def _where(units: list[Unit]) -> str:
    todos = ", ".join(one.todo for one in units if one.todo != OUTSIDE)
    outside = ["자리 밖에 쓴 코드"] if any(one.todo == OUTSIDE for one in units) else []
    return ", ".join([*([f"TODO {todos}의 답"] if todos else []), *outside])


def leave_word(home: Home, said: list[str]) -> None:
    """지금은 보일 곳이 없는 말을, 도구가 다음에 돌 때 보이도록 적어 둡니다."""
    if said:
        write_text(home.state / WORD, "\n".join(said) + "\n")


def word_left(home: Home) -> list[str]:
    """적어 둔 말. 한 번만 돌려줍니다."""
    file = home.state / WORD
    if not file.is_file():
        return []
    said = file.read_text(encoding="utf-8").splitlines()
    file.unlink(missing_ok=True)
    return said
