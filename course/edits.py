"""학생의 파일을 고치는 일: 해답 열기(reveal), 되돌리기(reset), 견주기(diff), 방금 한 일 무르기(undo).

고치기 전의 파일은 언제나 `.course/backup/`에 남습니다. 학생이 쓴 것은 무엇도 사라지지 않습니다.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import yaml

from course.answers import Answers
from course.paths import ROOT, STATE, CourseError, Task, write_text
from course.regions import RegionError, code_of, splice, to_exercise

GATE = ROOT / "course-gate.yaml"
JOURNAL = "journal.json"


@dataclass(frozen=True)
class Edit:
    """파일 하나를 고친 일.

    Attributes:
        path: 고친 파일.
        kept: 고치기 전의 내용을 남겨 둔 파일.
        what: 무엇을 했는지. 예: `"reveal 1-2"`.
    """

    path: Path
    kept: Path
    what: str


def read_student_file(path: Path) -> str:
    """학생의 파일을 읽습니다.

    Raises:
        CourseError: 없거나 UTF-8이 아닐 때.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise CourseError(f"{path.name} 파일이 없습니다. `python -m course reset`으로 되살릴 수 있습니다.") from None
    except UnicodeDecodeError:
        raise CourseError(f"{path.name}이(가) UTF-8이 아닙니다. 편집기에서 UTF-8로 다시 저장해 주세요.") from None


def student_region_code(task: Task, todo_id: str) -> str:
    """학생이 자리에 쓴 코드.

    Raises:
        CourseError: 자리의 표시가 지워졌거나 어긋났을 때.
    """
    path = task.exercise / task.step_of(todo_id).file_name
    try:
        return code_of(read_student_file(path), todo_id)
    except RegionError as error:
        step = todo_id.split("-")[0]
        raise CourseError(
            f"{error} 표시 줄(# [TODO {todo_id}]와 # [END {todo_id}])을 되돌려 놓거나, "
            f"`python -m course reset {task.short} {step}`으로 파일을 되돌려 주세요(지금 파일은 따로 남습니다)."
        ) from None


def untouched_text(task: Task, file_name: str) -> str:
    """손대지 않은 실습 파일의 내용. 해답에서 만들고, 해답이 없는 배포판에서는 처음 받은 것을 씁니다.

    Raises:
        CourseError: 둘 다 없을 때.
    """
    solution = task.solution / file_name
    if solution.is_file():
        return to_exercise(solution.read_text(encoding="utf-8"), file_name)
    pristine = STATE / "pristine" / task.name / file_name
    if pristine.is_file():
        return pristine.read_text(encoding="utf-8")
    raise CourseError(f"{task.name}/{file_name}의 처음 모습을 찾지 못했습니다. 저장소를 다시 받아 주세요.")


def attempted(task: Task, todo_id: str) -> bool:
    """학생이 이 자리에 무언가 써 보았는가."""
    file_name = task.step_of(todo_id).file_name
    code = student_region_code(task, todo_id)
    return bool(_bare(code)) and not same_code(code, code_of(untouched_text(task, file_name), todo_id))


def same_code(one: str, other: str) -> bool:
    """주석과 빈 줄, 들여쓰기를 빼면 같은 코드인가."""
    return _bare(one) == _bare(other)


def _bare(code: str) -> str:
    """주석과 빈 줄을 뺀 코드."""
    lines = (line.split("#")[0].strip() for line in code.splitlines())
    return "\n".join(line for line in lines if line)


def may_reveal(task: Task, step: int, today: date | None = None) -> str | None:
    """강사가 정한 문. 열려 있으면 None, 닫혀 있으면 그 까닭.

    `course-gate.yaml`이 있으면 그 안의 값을 따릅니다.

        task1-cls:
          1: open            # 언제나
          2: 2026-03-10      # 이날부터
          3: closed          # 열지 않음
          default: closed    # 적지 않은 단계

    Raises:
        CourseError: 파일을 읽을 수 없을 때.
    """
    if not GATE.is_file():
        return None
    try:
        gates = (yaml.safe_load(GATE.read_text(encoding="utf-8")) or {}).get(task.name) or {}
    except (yaml.YAMLError, AttributeError) as error:
        raise CourseError(f"{GATE.name}을(를) 읽을 수 없습니다: {error}") from None
    gate = gates.get(step, gates.get("default", "open"))
    if isinstance(gate, datetime):
        gate = gate.date()
    if gate == "open" or (isinstance(gate, date) and (today or date.today()) >= gate):
        return None
    if isinstance(gate, date):
        return f"{task.name} {step}단계의 해답은 {gate.isoformat()}부터 열립니다."
    if gate == "closed":
        return f"{task.name} {step}단계의 해답은 강사가 닫아 두었습니다."
    raise CourseError(f"{GATE.name}의 {task.name} {step}단계 값을 알 수 없습니다: {gate!r} (open, closed, 또는 날짜)")


def reveal(task: Task, todo_id: str, even_untried: bool = False) -> tuple[Edit, str]:
    """자리 하나를 해답으로 바꿉니다. 다른 자리와 학생의 글은 그대로입니다.

    Returns:
        (고친 일, 설명).

    Raises:
        CourseError: 닫혀 있거나, 해답이 없거나, 아직 해 보지 않았을 때.
    """
    closed = may_reveal(task, int(todo_id.split("-")[0]))
    if closed:
        raise CourseError(closed)
    file_name = task.step_of(todo_id).file_name
    solution = task.solution / file_name
    if not solution.is_file():
        raise CourseError("이 배포판에는 해답이 들어 있지 않습니다. 강사에게 물어 주세요.")
    if not even_untried and not attempted(task, todo_id):
        raise CourseError(f"먼저 TODO {todo_id}을(를) 한 번 해 보세요. 그래도 보고 싶다면 --yes를 붙여 주세요.")
    path = task.exercise / file_name
    student_region_code(task, todo_id)  # 표시가 온전한지 먼저 봅니다.
    text = splice(read_student_file(path), todo_id, code_of(solution.read_text(encoding="utf-8"), todo_id))
    return overwrite([(path, text)], f"reveal {todo_id}")[0], Answers.load(task).explanations.get(todo_id, "")


def reset(task: Task, where: str) -> list[Edit]:
    """자리 하나(`"1-2"`)나 단계 하나(`"1"`)를 처음으로 되돌립니다.

    Raises:
        CourseError: 표시가 지워져 자리 하나만 되돌릴 수 없을 때.
    """
    if "-" not in where:
        file_name = task.step(int(where)).file_name
        return overwrite([(task.exercise / file_name, untouched_text(task, file_name))], f"reset {where}")
    file_name = task.step_of(where).file_name
    path = task.exercise / file_name
    student_region_code(task, where)
    text = splice(read_student_file(path), where, code_of(untouched_text(task, file_name), where))
    return overwrite([(path, text)], f"reset {where}")


def diff(task: Task, where: str) -> str:
    """학생의 코드와 처음 모습의 차이(unified diff). 해답과는 견주지 않습니다."""
    file_name = task.step_of(where).file_name if "-" in where else task.step(int(where)).file_name
    path = task.exercise / file_name
    mine, untouched = read_student_file(path), untouched_text(task, file_name)
    if "-" in where:
        mine, untouched = student_region_code(task, where), code_of(untouched, where)
    return "".join(
        difflib.unified_diff(
            untouched.splitlines(keepends=True), mine.splitlines(keepends=True), "처음", f"{task.name}/{file_name}"
        )
    )


def overwrite(files: list[tuple[Path, str]], what: str, can_undo: bool = True) -> list[Edit]:
    """파일들을 새 내용으로 바꾸고, 무를 수 있게 옛 내용을 남깁니다. 내용이 같은 파일은 건드리지 않습니다."""
    folder = STATE / "backup" / datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    changed = [(path, text) for path, text in files if not path.is_file() or path.read_bytes() != text.encode()]
    edits = []
    for path, _ in changed:
        kept = folder / (path.relative_to(ROOT) if path.is_relative_to(ROOT) else Path(path.parent.name) / path.name)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(path.read_bytes() if path.is_file() else b"")
        edits.append(Edit(path, kept, what))
    if edits and can_undo:
        record = {"what": what, "files": [[str(edit.path), str(edit.kept)] for edit in edits]}
        write_text(folder / JOURNAL, json.dumps(record, ensure_ascii=False, indent=2))
    for path, text in changed:
        write_text(path, text)
    return edits


def undo() -> list[Edit]:
    """가장 나중에 고친 일을 무릅니다. 여러 번 부르면 그 앞의 일도 차례로 무릅니다. 무르기 전의 파일도 남습니다.

    Raises:
        CourseError: 무를 일이 없을 때.
    """
    journals = sorted((STATE / "backup").glob(f"*/{JOURNAL}"))
    if not journals:
        raise CourseError("무를 일이 없습니다.")
    record = json.loads(journals[-1].read_text(encoding="utf-8"))
    files = [(Path(path), Path(kept).read_bytes().decode("utf-8", "surrogateescape")) for path, kept in record["files"]]
    edits = overwrite(files, f"undo {record['what']}", can_undo=False)
    journals[-1].rename(journals[-1].with_suffix(".undone"))
    return edits
