"""학생의 파일을 고치는 일: 해답 열기(reveal), 되돌리기(reset). 그리고 견주기(diff).

고치기 전의 파일은 언제나 남습니다(`course.book.backups`). 학생이 쓴 것은 무엇도 사라지지 않습니다.
"""

from __future__ import annotations

import codecs
import contextlib
import difflib
from datetime import date, datetime
from typing import Any

import yaml

from course.book.backups import Edit, in_style_of, overwrite
from course.book.locking import editing
from course.book.regions import RegionError, code_of, lines_of, parse, splice, with_todo_import
from course.book.tables import Answers
from course.book.tasks import TASK_NAME, Task
from course.book.untouched import read_student_file, untouched_text
from course.home import CourseError


def student_region_code(task: Task, todo_id: str) -> str:
    """학생이 자리에 쓴 코드.

    Raises:
        CourseError: 자리의 표시가 지워졌거나 어긋났을 때.
    """
    path = task.exercise / task.step_of(todo_id).file_name
    try:
        return code_of(read_student_file(path), todo_id, path.name)
    except RegionError as error:
        step = todo_id.split("-")[0]
        raise CourseError(
            f"{error} 표시 줄(# [TODO {error.todo}], # [END {error.todo}])을 되돌려 놓거나, "
            f"`python -m course reset {task.short} {step}`으로 파일을 되돌려 주세요(지금 파일은 따로 남습니다)."
        ) from None


def attempted(task: Task, todo_id: str) -> bool:
    """학생이 이 자리에 무언가 써 보았는가."""
    file_name = task.step_of(todo_id).file_name
    return _is_try(student_region_code(task, todo_id), code_of(untouched_text(task, file_name), todo_id))


def _is_try(code: str, untouched: str) -> bool:
    return bool(_bare(code)) and not same_code(code, untouched)


def attempts(task: Task) -> dict[str, bool]:
    """과제의 모든 TODO마다, 학생이 무언가 써 보았는가. 표시가 깨진 자리는 써 보지 않은 것으로 봅니다."""
    found: dict[str, bool] = {}
    for step in task.steps:
        untouched = untouched_text(task, step.file_name)
        for region in parse(untouched, step.file_name):
            found[region.id] = False
            with contextlib.suppress(CourseError, RegionError):
                mine = code_of(read_student_file(task.exercise / step.file_name), region.id)
                found[region.id] = _is_try(mine, code_of(untouched, region.id))
    return found


def same_code(one: str, other: str) -> bool:
    """주석과 빈 줄, 들여쓰기를 빼면 같은 코드인가."""
    return _bare(one) == _bare(other)


def _bare(code: str) -> str:
    """주석과 빈 줄을 뺀 코드."""
    lines = (line.split("#")[0].strip() for line in lines_of(code))
    return "\n".join(line for line in lines if line)


def may_reveal(task: Task, step: int, now: datetime | None = None) -> str | None:
    """강사가 정한 문. 열려 있으면 None, 닫혀 있으면 그 까닭.

    `course-gate.yaml`이 있으면 그 안의 값을 따릅니다. 읽을 수 없는 파일은 열린 문이 아닙니다.

        task1-cls:
          1: open            # 언제나
          2: 2026-03-10      # 이날부터 (시각까지 적어도 됩니다: 2026-03-10 09:00:00)
          3: closed          # 열지 않음
          default: closed    # 적지 않은 단계
        task2-summarization: closed   # 과제 전체

    Raises:
        CourseError: 파일을 읽을 수 없을 때.
    """
    if not task.home.gate.exists():
        return None
    gates = _gates(task)
    gate = gates.get(str(step), gates.get("default", "open"))
    file = task.home.gate.name
    where = f"{task.name} {step}단계"
    if gate == "open":
        return None
    if gate == "closed":
        return f"{where}의 해답은 강사가 닫아 두었습니다."
    try:
        opens = gate if isinstance(gate, datetime) else datetime.fromisoformat(str(gate))
    except ValueError:
        raise CourseError(f"{file}의 {where} 값을 알 수 없습니다: {gate!r} (open, closed, 또는 날짜)") from None
    if (now or datetime.now()).astimezone() >= opens.astimezone():
        return None
    exact = type(gate) is date or (opens.hour, opens.minute) == (0, 0)
    return f"{where}의 해답은 {opens:%Y-%m-%d}{'' if exact else f' {opens:%H:%M}'}부터 열립니다."


def _gates(task: Task) -> dict[str, Any]:
    """과제의 단계마다의 문. 단계 번호는 글로 바꿉니다."""
    file = task.home.gate
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CourseError(f"{file.name}을(를) 읽을 수 없습니다. 강사에게 알려 주세요: {reason}") from None
    content = {} if content is None else content
    if not isinstance(content, dict) or not all(TASK_NAME.fullmatch(str(name)) for name in content):
        raise CourseError(f"{file.name}에는 과제의 폴더 이름(예: {task.name})마다 문을 적어야 합니다.")
    gates = content.get(task.name) or {}
    if not isinstance(gates, dict):
        gates = {"default": gates}
    return {str(step): gate for step, gate in gates.items()}


def reveal(task: Task, todo_id: str, even_untried: bool = False) -> tuple[Edit, str]:
    """자리 하나를 해답으로 바꿉니다. 다른 자리와 학생의 글은 그대로입니다.

    Returns:
        (고친 일, 설명).

    Raises:
        CourseError: 닫혀 있거나, 해답이 없거나, 아직 해 보지 않았거나, 이미 해답과 같을 때.
    """
    closed = may_reveal(task, int(todo_id.split("-")[0]))
    if closed:
        raise CourseError(closed)
    solution = task.solution / task.step_of(todo_id).file_name
    if not solution.is_file():
        raise CourseError("이 배포판에는 해답이 들어 있지 않습니다. 강사에게 물어 주세요.")
    if not even_untried and not attempted(task, todo_id):
        raise CourseError(f"먼저 TODO {todo_id}을(를) 한 번 해 보세요. 그래도 보고 싶다면 --yes를 붙여 주세요.")
    explanation = Answers.load(task).explanations.get(todo_id, "")
    edits = _fill(task, todo_id, code_of(solution.read_text(encoding="utf-8"), todo_id), f"reveal {todo_id}")
    if not edits:
        raise CourseError(f"TODO {todo_id}의 코드는 이미 해답과 같습니다. {explanation}".rstrip())
    return edits[0], explanation


def reset(task: Task, where: str) -> list[Edit]:
    """자리 하나(`"1-2"`)나 단계 하나(`"1"`)를 처음으로 되돌립니다.

    Raises:
        CourseError: 표시가 지워져 자리 하나만 되돌릴 수 없을 때.
    """
    if "-" in where:
        file_name = task.step_of(where).file_name
        return _fill(task, where, code_of(untouched_text(task, file_name), where), f"reset {where}", needs_todo=True)
    file_name = task.step(int(where)).file_name
    path, text = task.exercise / file_name, untouched_text(task, file_name)
    with editing(task.home):
        return overwrite(task.home, [(path, in_style_of(path, text))], f"reset {where}")


def _fill(task: Task, todo_id: str, code: str, what: str, needs_todo: bool = False) -> list[Edit]:
    """학생의 파일에서 자리 하나의 코드만 바꿉니다. 나머지 바이트는 BOM까지 그대로입니다.

    Args:
        needs_todo: 코드가 `todo`를 부릅니다. 불러오는 줄이 지워졌으면 그것도 되돌립니다.
    """
    path = task.exercise / task.step_of(todo_id).file_name
    with editing(task.home):  # 읽은 다음 쓰기까지, 다른 창의 일이 끼어들지 않도록
        student_region_code(task, todo_id)  # 표시가 온전한지 먼저 봅니다.
        text = splice(read_student_file(path), todo_id, code)
        text = with_todo_import(text) if needs_todo else text
        bom = codecs.BOM_UTF8 if path.read_bytes().startswith(codecs.BOM_UTF8) else b""
        return overwrite(task.home, [(path, bom + text.encode())], what)


def diff(task: Task, where: str) -> str:
    """학생의 코드와 처음 모습의 차이(unified diff). 해답과는 견주지 않습니다. 줄바꿈의 종류는 보지 않습니다."""
    file_name = task.step_of(where).file_name if "-" in where else task.step(int(where)).file_name
    mine, untouched = read_student_file(task.exercise / file_name), untouched_text(task, file_name)
    if "-" in where:
        mine, untouched = student_region_code(task, where), code_of(untouched, where)
    lines = difflib.unified_diff(
        _plain_lines(untouched), _plain_lines(mine), "처음", f"{task.name}/{file_name}", lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)


def _plain_lines(text: str) -> list[str]:
    return [line.rstrip("\r\n") for line in lines_of(text)] or [""]
