"""판정이 가리키는 곳을 자리와 이어, 누구의 잘못인지 가립니다.

- 손대지 않은 자리는 틀리지 않습니다: 아직 시작하지 않은 것입니다.
- 다른 자리에서 멈췄으면 그 자리의 판정이 한 번 말하고, 그것을 기다리는 TODO는 막힌(blocked) 것입니다.
- 파일이 없거나 비었거나 잘렸거나 표시가 지워졌으면, 예외의 글 대신 그렇다고 말합니다.

남의 탓이라고 하는 것은, 멈춘 곳이 그 자리이고 그 자리의 검사도 실패할 때뿐입니다.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from course.book.regions import TODO_IMPORT, Region, RegionError, is_untouched, lines_of, promised_names, whole_regions
from course.book.tasks import Task
from course.checks.messages import INTERRUPTED
from course.checks.verdict import BLOCKED, BROKEN, NOT_STARTED, WRONG, Verdict

UNREADABLE = ("SyntaxError", "IndentationError", "TabError")  # 파이썬이 파일을 읽지 못했습니다.
NO_NAME = ("NameError", "UnboundLocalError")
NAME = re.compile(r"name '(\w+)'|variable '(\w+)'")
NO_IMPORT = (
    "빈 자리를 알리는 todo를 불러오는 줄이 없습니다. import들 아래에 `from todo import todo`를 되돌려 놓아 주세요."
)
FORGOTTEN = (
    "이 줄의 위에 `except … as {name}`이 있습니다. as 뒤의 이름은 except의 묶음이 끝나면 지워지고, 묶음 안에서 그 "
    "이름에 새로 담은 값도 함께 사라집니다. as 뒤에 다른 이름을 쓰면 어떨까요?"
)
NOT_A_STOP = ("", INTERRUPTED)  # 학생의 줄에서 멈춘 것이 아닙니다.


@dataclass(frozen=True)
class Source:
    """학생의 단계 파일 하나.

    Attributes:
        regions, errors: 온전한 자리들과, 어긋난 표시들.
        damage: 파일을 통째로 쓸 수 없는 까닭의 (제목, 무엇을 하면 되는지). 쓸 수 있으면 None.
    """

    name: str
    text: str = ""
    regions: list[Region] = field(default_factory=list)
    errors: list[RegionError] = field(default_factory=list)
    damage: tuple[str, str] | None = None

    def region(self, todo_id: str) -> Region | None:
        return next((one for one in self.regions if one.id == todo_id), None)

    def region_at(self, line: int) -> Region | None:
        """그 줄(1부터)이 든 자리."""
        return next((one for one in self.regions if one.begin < line <= one.end), None)

    def is_untouched(self, todo_id: str) -> bool:
        region = self.region(todo_id)
        return region is not None and is_untouched(self.text, region)

    @property
    def knows_todo(self) -> bool:
        """빈 자리가 부르는 `todo`를 불러오는가."""
        return TODO_IMPORT.search(self.text) is not None

    @cached_property
    def _tree(self) -> ast.Module | None:
        """파일의 구문. 문법이 틀린 파일이면 None."""
        try:
            return ast.parse(self.text)
        except (SyntaxError, ValueError):
            return None

    @cached_property
    def _functions(self) -> list[tuple[int, int]] | None:
        """함수마다의 첫 줄과 끝 줄(1부터). 문법이 틀린 파일이면 None."""
        if self._tree is None:
            return None
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        return [(one.lineno, one.end_lineno or one.lineno) for one in ast.walk(self._tree) if isinstance(one, kinds)]

    def is_forgotten(self, name: str, line: int) -> bool:
        """그 줄의 위에, 같은 함수 안에, `except … as 이름`이 있는가. 그 이름은 except의 묶음이 끝나면 지워집니다."""
        first = max((begin for begin, end in self._functions or () if begin <= line <= end), default=1)
        handlers = [one for one in ast.walk(self._tree or ast.Module([], [])) if isinstance(one, ast.ExceptHandler)]
        return any(
            name and one.name == name and first <= one.lineno and (one.end_lineno or 0) < line for one in handlers
        )

    def above(self, line: int) -> Iterator[Region]:
        """그 줄 위의 자리들, 가까운 것부터. 읽을 수 있는 파일이면 같은 함수 안의 것만."""
        first = 1
        if self._functions is not None:
            first = max((begin for begin, end in self._functions if begin <= line <= end), default=line)
        yield from (one for one in reversed(self.regions) if first <= one.begin + 1 and one.end < line)


def read_source(task: Task, folder: Path, file_name: str) -> Source:
    """학생의 단계 파일을 읽습니다. 읽을 수 없으면 왜인지 적습니다."""
    try:
        text = (folder / file_name).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        says = f"이름을 바꾸거나 지우지 않았는지 보세요. {_again(task, file_name)}"
        return Source(file_name, damage=(f"{file_name} 파일이 없습니다", says))
    except UnicodeDecodeError:
        says = f"편집기에서 UTF-8로 다시 저장해 주세요. {_again(task, file_name)}"
        return Source(file_name, damage=(f"{file_name}이(가) UTF-8이 아닙니다", says))
    except OSError:
        says = "파일의 권한을 보고, 같은 이름의 폴더가 아닌지 보세요."
        return Source(file_name, damage=(f"{file_name}을(를) 읽을 수 없습니다", says))
    if not text.strip():
        says = f"편집기의 되돌리기를 먼저 해 보세요. {_again(task, file_name)}"
        return Source(file_name, damage=(f"{file_name} 파일이 비어 있습니다", says))
    return Source(file_name, text, *whole_regions(text, file_name))


def _again(task: Task, file_name: str) -> str:
    number = next(one.number for one in task.steps if one.file_name == file_name)
    command = f"`python -m course reset {task.short} {number}`"
    return f"{command}으로 처음 모습을 되살릴 수 있습니다(지금 파일은 따로 남습니다)."


class Blame:
    """한 폴더의 판정들을 가립니다.

    Args:
        ask: 함께 묻지 않은 TODO 하나의 판정. 다른 자리에서 멈췄을 때, 그 자리가 정말 틀렸는지 봅니다.

    Attributes:
        endless: 자리의 코드가 끝나지 않은 TODO들.
    """

    def __init__(self, task: Task, folder: Path, ask: Callable[[str], Verdict]) -> None:
        self._task, self._folder, self._ask = task, folder, ask
        self.endless: set[str] = set()
        self._sources: dict[str, Source] = {}
        self._verdicts: Mapping[str, Verdict] = {}
        self._alone: dict[str, Verdict] = {}
        self._said: set[str] = set()  # 무엇이 잘못되었는지 이미 말한 파일들

    def todo_at(self, place: list) -> str | None:
        """그 (파일, 줄)이 든 자리의 TODO."""
        region = self._source(place[0]).region_at(place[1]) if place else None
        return region and region.id

    def settle(self, verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
        """판정들을 가려 새로 돌려줍니다."""
        self._verdicts = verdicts
        return {todo_id: self._with_marks(self._settled(one)) for todo_id, one in verdicts.items()}

    def _source(self, file_name: str) -> Source:
        if file_name not in self._sources:
            self._sources[file_name] = read_source(self._task, self._folder, file_name)
        return self._sources[file_name]

    def _own(self, verdict: Verdict) -> Source:
        return self._source(self._task.step_of(verdict.todo).file_name)

    def _settled(self, verdict: Verdict) -> Verdict:
        if verdict.is_right:
            return verdict
        own = self._own(verdict)
        if damage := own.damage or self._cut(verdict, own):
            return self._damaged(verdict, own, damage)
        if verdict.error in UNREADABLE and verdict.file:
            return self._unreadable(verdict, self._source(verdict.file))
        if verdict.state in (BROKEN, WRONG) and own.is_untouched(verdict.todo):
            return self._not_started(verdict, own)
        for step in self._task.steps:  # 앞 단계의 파일을 쓸 수 없으면 그 단계의 TODO가 말합니다.
            source = self._source(step.file_name) if step.number < int(verdict.todo.split("-")[0]) else own
            if source.damage and verdict.error:
                says = f"{source.damage[0]}. {source.damage[1]}"
                says = "" if source.name in self._said else says
                self._said.add(source.name)
                return _waiting(verdict, f"먼저 {source.name}을(를) 고쳐야 검사할 수 있습니다", says)
        if verdict.file is None or verdict.line is None:
            return self._pointed(verdict, own)
        if verdict.error in NOT_A_STOP and verdict.state != WRONG:
            return verdict
        return self._stopped(verdict, self._source(verdict.file), verdict.line)

    def _damaged(self, verdict: Verdict, source: Source, damage: tuple[str, str]) -> Verdict:
        """파일을 쓸 수 없습니다. 그 파일의 첫 TODO가 말하고, 나머지는 기다립니다."""
        if source.name in self._said:
            return _waiting(verdict, f"먼저 {source.name}을(를) 고쳐야 검사할 수 있습니다")
        self._said.add(source.name)
        line = len(lines_of(source.text)) or None
        title, says = damage
        return replace(_bare(verdict), state=BROKEN, title=title, says=says, file=line and source.name, line=line)

    def _cut(self, verdict: Verdict, own: Source) -> tuple[str, str] | None:
        """뒤쪽이 사라진 파일이고, 이 TODO가 그 때문에 멈췄으면 (제목, 무엇을 하면 되는지).

        뒤쪽의 TODO들이 표시 하나 없이 사라졌거나, 시작한 자리가 끝나기 전에 파일이 끝나 파이썬이 읽지 못한 것입니다.
        """
        whole = {one.id for one in own.regions}
        marked = whole | {one.todo for one in own.errors}
        cannot_read = verdict.error in UNREADABLE and verdict.file == own.name
        if not own.text or verdict.todo in whole and not cannot_read:
            return None
        known = [one for one in self._task.regions() if self._task.step_of(one).file_name == own.name]
        lost = [one for one in known if one not in marked]
        if own.errors and not _marks_after(own.text, own.errors[-1]):  # 시작한 자리가 끝나기 전에 파일이 끝났습니다.
            marked -= {own.errors[-1].todo}
        gone = [one for one in known if one not in marked]
        if not gone or known[-len(gone) :] != gone or verdict.todo not in gone and not cannot_read:
            return None
        if not lost and not cannot_read or not own.errors and gone == known:
            return None
        title = f"{own.name}이(가) 중간에서 끝납니다: TODO {gone[0]}부터 없습니다"
        return title, f"파일의 뒤쪽이 지워졌습니다. 편집기의 되돌리기를 먼저 해 보세요. {_again(self._task, own.name)}"

    def _unreadable(self, verdict: Verdict, source: Source) -> Verdict:
        """파이썬이 파일을 읽지 못했습니다. 그 줄이 든(없으면 바로 위의, 손댄) 자리의 TODO가 말합니다."""
        own = self._own(verdict)
        line = verdict.line or 1
        region = source.region_at(line) or next(
            (one for one in source.above(line) if not is_untouched(source.text, one)), None
        )
        if region is not None and region.id == verdict.todo:
            return verdict
        if own.is_untouched(verdict.todo) and (region is not None or own is not source):
            return self._not_started(verdict, own)
        if region is not None and not is_untouched(source.text, region):
            return self._behind(verdict, region.id)
        is_said = source.name in self._said
        self._said.add(source.name)
        if is_said or own is not source:
            says = "" if is_said else f"{verdict.title}. {verdict.says}"
            return _waiting(verdict, f"먼저 {source.name}을(를) 고쳐야 검사할 수 있습니다", says)
        return replace(verdict, state=BLOCKED if own.is_untouched(verdict.todo) else BROKEN)

    def _stopped(self, verdict: Verdict, source: Source, line: int) -> Verdict:
        """학생의 파일 `source`의 `line`에서 멈췄습니다."""
        region = source.region_at(line)
        if region is not None and region.id == verdict.todo:
            name = _missing_name(verdict)
            return replace(verdict, says=FORGOTTEN.format(name=name)) if source.is_forgotten(name, line) else verdict
        if region is not None and is_untouched(source.text, region):  # todo의 import가 지워졌습니다.
            title = f"먼저 TODO {region.id}을(를) 채워야 검사할 수 있습니다"
            return _waiting(verdict, title, self._about_import(source))
        if region is not None:
            return self._in_another(verdict, region.id)
        if verdict.state == WRONG:
            return verdict
        if verdict.error in NO_NAME:
            return self._without_name(verdict, source, line)
        if source is not self._own(verdict):
            for one in source.above(line):
                if _same_stop(self._verdict_of(one.id), verdict):
                    return self._behind(verdict, one.id)
        return verdict

    def _not_started(self, verdict: Verdict, own: Source) -> Verdict:
        region = own.region(verdict.todo)
        line = None if region is None else region.code_begin + 1
        title, says = "아직 시작하지 않았습니다", self._about_import(own)
        bare = replace(_bare(verdict), traceback="")
        return replace(bare, state=NOT_STARTED, title=title, says=says, file=own.name, line=line)

    def _about_import(self, source: Source) -> str:
        """빈 자리가 부르는 `todo`를 불러오지 않는 파일이면 그렇다고, 파일마다 한 번만."""
        if source.knows_todo or source.name in self._said:
            return ""
        self._said.add(source.name)
        return NO_IMPORT

    def _in_another(self, verdict: Verdict, todo_id: str) -> Verdict:
        """다른 TODO의 자리에서 멈췄습니다. 그 자리도 틀렸으면 그것부터입니다."""
        if verdict.state == WRONG and todo_id not in self._verdicts:
            return verdict
        if not self._verdict_of(todo_id).is_right:
            return self._behind(verdict, todo_id)
        if verdict.state == WRONG:
            return verdict
        says = f"멈춘 줄은 TODO {todo_id}의 자리이지만 그 자리는 맞았습니다. 이 TODO가 거기에 건넨 것을 보세요."
        return replace(verdict, says=f"{verdict.says} {says}".strip())

    def _without_name(self, verdict: Verdict, source: Source, line: int) -> Verdict:
        """자리 밖의 줄이 쓰는 이름이 없습니다. 그 이름을 만들기로 한 자리의 TODO가 말합니다."""
        name = _missing_name(verdict)
        promised = promised_names(self._task.first_look(source.name) or "")
        maker = next((one.id for one in source.above(line) if name in promised.get(one.id, ())), verdict.todo)
        if maker != verdict.todo and not self._verdict_of(maker).is_right:
            return self._behind(verdict, maker)
        says = (
            "위의 TODO가 만들어야 할 이름을 쓰는 줄입니다. 자리 안에서 같은 철자의 이름에 값을 담았는지, "
            "if나 for의 안에서만 담지는 않았는지 보세요."
        )
        return replace(verdict, says=FORGOTTEN.format(name=name) if source.is_forgotten(name, line) else says)

    def _pointed(self, verdict: Verdict, own: Source) -> Verdict:
        """어디인지 모르는 판정에 제 자리를 이어 줍니다."""
        region = own.region(verdict.todo)
        if region is None:
            return verdict
        says = verdict.says
        if verdict.error not in NOT_A_STOP:
            says = f"이 TODO가 만든 것을 검사가 쓰다가 멈췄습니다. {says}".rstrip()
        return replace(verdict, file=own.name, line=region.code_begin + 1, says=says)

    def _behind(self, verdict: Verdict, todo_id: str) -> Verdict:
        """`todo_id`를 기다립니다. 까닭은 그 TODO의 판정이 말하므로, 함께 묻지 않았을 때만 여기에 적습니다."""
        says = ""
        if todo_id not in self._verdicts:
            other = self._verdict_of(todo_id)
            says = f"TODO {todo_id}: {other.title}. {other.says}".strip()
        return _waiting(verdict, f"먼저 TODO {todo_id}을(를) 고쳐야 검사할 수 있습니다", says)

    def _verdict_of(self, todo_id: str) -> Verdict:
        if todo_id in self._verdicts:
            return self._verdicts[todo_id]
        if todo_id not in self._alone:
            self._alone[todo_id] = self._ask(todo_id)
        return self._alone[todo_id]

    def _with_marks(self, verdict: Verdict) -> Verdict:
        """제 자리의 표시가 지워졌으면 판정에 덧붙여 말합니다. 코드가 맞았어도 도구는 그 자리를 찾지 못합니다."""
        own = self._own(verdict)
        if own.region(verdict.todo) is not None or own.name in self._said:
            return verdict
        there = f"{own.name}에 TODO {verdict.todo}의 표시 줄이 없습니다."
        error = next((str(one) for one in own.errors if one.todo == verdict.todo), there)
        marks = f"# [TODO {verdict.todo}]와(과) # [END {verdict.todo}]"
        says = f"{error} 자리의 처음과 끝에 {marks} 줄을 되돌려 놓아 주세요."
        return replace(verdict, says=f"{verdict.says} {says}".strip())


def _missing_name(verdict: Verdict) -> str:
    """없다고 멈춘 이름. 이름 때문에 멈춘 것이 아니면 빈 글입니다."""
    found = NAME.search(verdict.title) if verdict.error in NO_NAME else None
    return (found[1] or found[2]) if found else ""


def _marks_after(text: str, error: RegionError) -> bool:
    """어긋난 표시의 아래에 다른 표시가 있는가."""
    return any("[TODO " in one or "[END " in one for one in lines_of(text)[error.line or 0 :])


def _same_stop(one: Verdict, other: Verdict) -> bool:
    return (one.error, one.file, one.line) == (other.error, other.file, other.line)


def _bare(verdict: Verdict) -> Verdict:
    """실수와 예외를 말하던 것을 뺀 판정."""
    return replace(
        verdict,
        says="",
        expected="",
        got="",
        idea="",
        symptom=None,
        error="",
        code="",
        column=None,
        also=[],
        printed=[],
    )


def _waiting(verdict: Verdict, title: str, says: str = "") -> Verdict:
    """다른 것을 기다리는 판정."""
    return replace(_bare(verdict), state=BLOCKED, title=title, says=says)
