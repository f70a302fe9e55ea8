"""학생의 파일을 고치는 일: 해답 열기(reveal), 되돌리기(reset), 견주기(diff), 방금 한 일 무르기(undo).

고치기 전의 파일은 언제나 `.course/backup/`에 바이트 그대로 남습니다. 학생이 쓴 것은 무엇도 사라지지 않습니다.
"""

from __future__ import annotations

import codecs
import contextlib
import difflib
import json
import os
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml
from merge3 import Merge3

from course.book.regions import Region, RegionError, code_of, parse, splice
from course.book.tables import Answers
from course.book.tasks import STEP_NAME, TASK_NAME, Task
from course.home import ROOT, STATE, CourseError

GATE = ROOT / "course-gate.yaml"
JOURNAL = "journal.json"
AFTER = "after"  # 백업 폴더에서, 고친 뒤의 내용을 두는 곳. 그 뒤에 학생이 더 쓴 것을 가려내는 데 씁니다.


@dataclass(frozen=True)
class Edit:
    """파일 하나를 고친 일.

    Attributes:
        path: 고친 파일.
        kept: 고치기 전의 내용을 남겨 둔 파일. 새로 만든 파일이면 None.
        what: 무엇을 했는지. 예: `"reveal 1-2"`.
    """

    path: Path
    kept: Path | None
    what: str


def read_student_file(path: Path) -> str:
    """학생의 파일을 읽습니다. BOM은 뗍니다.

    Raises:
        CourseError: 없거나, 폴더이거나, UTF-8이 아닐 때.
    """
    step = STEP_NAME.fullmatch(path.name)
    command = f"`python -m course reset {path.parent.name.split('-')[-1]} {step[1] if step else ''}`"
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise CourseError(f"{path.name} 파일이 없습니다. {command}으로 되살릴 수 있습니다.") from None
    except UnicodeDecodeError:
        raise CourseError(
            f"{path.name}이(가) UTF-8이 아닙니다. 편집기에서 UTF-8로 다시 저장하거나 "
            f"{command}으로 되돌려 주세요(지금 파일은 따로 남습니다)."
        ) from None
    except OSError:
        _refuse_folder(path)
        raise CourseError(f"{path.name}을(를) 읽을 수 없습니다. 파일의 권한을 확인해 주세요.") from None


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise CourseError(f"{path.name}이(가) 파일이 아니라 폴더입니다. 폴더의 이름을 바꾼 뒤 다시 해 주세요.")


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
    """손대지 않은 실습 파일의 내용(`Task.first_look`).

    Raises:
        CourseError: 어디에서도 찾지 못했을 때.
    """
    text = task.first_look(file_name)
    if text is None:
        raise CourseError(f"{task.name}/{file_name}의 처음 모습을 찾지 못했습니다. 저장소를 다시 받아 주세요.")
    return text


def known_todos(task: Task) -> dict[str, Region]:
    """과제의 모든 TODO. 학생의 파일이 깨져 있어도 처음 모습에서 읽습니다."""
    found: dict[str, Region] = {}
    for step in task.steps:
        with contextlib.suppress(RegionError, CourseError):
            try:
                text = untouched_text(task, step.file_name)
            except CourseError:
                text = read_student_file(task.exercise / step.file_name)
            found |= {region.id: region for region in parse(text, step.file_name)}
    return found


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
    if not GATE.exists():
        return None
    gates = _gates(task)
    gate = gates.get(str(step), gates.get("default", "open"))
    where = f"{task.name} {step}단계"
    if gate == "open":
        return None
    if gate == "closed":
        return f"{where}의 해답은 강사가 닫아 두었습니다."
    try:
        opens = gate if isinstance(gate, datetime) else datetime.fromisoformat(str(gate))
    except ValueError:
        raise CourseError(f"{GATE.name}의 {where} 값을 알 수 없습니다: {gate!r} (open, closed, 또는 날짜)") from None
    if (now or datetime.now()).astimezone() >= opens.astimezone():
        return None
    exact = type(gate) is date or (opens.hour, opens.minute) == (0, 0)
    return f"{where}의 해답은 {opens:%Y-%m-%d}{'' if exact else f' {opens:%H:%M}'}부터 열립니다."


def _gates(task: Task) -> dict[str, Any]:
    """과제의 단계마다의 문. 단계 번호는 글로 바꿉니다."""
    try:
        content = yaml.safe_load(GATE.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CourseError(f"{GATE.name}을(를) 읽을 수 없습니다. 강사에게 알려 주세요: {reason}") from None
    content = {} if content is None else content
    if not isinstance(content, dict) or not all(TASK_NAME.fullmatch(str(name)) for name in content):
        raise CourseError(f"{GATE.name}에는 과제의 폴더 이름(예: {task.name})마다 문을 적어야 합니다.")
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
        return _fill(task, where, code_of(untouched_text(task, file_name), where), f"reset {where}")
    file_name = task.step(int(where)).file_name
    path, text = task.exercise / file_name, untouched_text(task, file_name)
    return overwrite([(path, in_style_of(path, text))], f"reset {where}")


def _fill(task: Task, todo_id: str, code: str, what: str) -> list[Edit]:
    """학생의 파일에서 자리 하나의 코드만 바꿉니다. 나머지 바이트는 BOM까지 그대로입니다."""
    path = task.exercise / task.step_of(todo_id).file_name
    student_region_code(task, todo_id)  # 표시가 온전한지 먼저 봅니다.
    text = splice(read_student_file(path), todo_id, code)
    bom = codecs.BOM_UTF8 if path.read_bytes().startswith(codecs.BOM_UTF8) else b""
    return overwrite([(path, bom + text.encode())], what)


def in_style_of(path: Path, text: str) -> bytes:
    """`text`를 지금의 파일처럼 저장할 바이트: 줄바꿈(섞였으면 많은 쪽)과 BOM을 따릅니다."""
    old = path.read_bytes() if path.is_file() else b""
    if old.count(b"\r\n") * 2 > old.count(b"\n"):
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    return (codecs.BOM_UTF8 if old.startswith(codecs.BOM_UTF8) else b"") + text.encode()


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
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def overwrite(files: list[tuple[Path, str | bytes | None]], what: str, can_undo: bool = True) -> list[Edit]:
    """파일들을 새 내용으로 바꾸고, 무를 수 있게 옛 내용을 남깁니다. 내용이 같은 파일은 건드리지 않습니다.

    Args:
        files: (파일, 새 내용). 내용이 None이면 지웁니다.
        what: 무엇을 하는지.
        can_undo: `undo`로 무를 수 있게 적어 둘지.

    Raises:
        CourseError: 파일의 자리에 폴더가 있을 때. 이때는 아무것도 바꾸지 않습니다.
    """
    wanted = {path: text.encode() if isinstance(text, str) else text for path, text in files}
    for path in wanted:
        _refuse_folder(path)
    before = {path: path.read_bytes() if path.is_file() else None for path in wanted}
    changed = [path for path in wanted if before[path] != wanted[path]]
    if not changed:
        return []
    keeps = can_undo or any(before[path] is not None for path in changed)
    folder = _new_backup_folder() if keeps else STATE  # 남길 것이 없으면 빈 폴더를 만들지 않습니다.
    edits = [Edit(path, _keep(folder, path, before[path]), what) for path in changed]
    if can_undo:
        record = [
            [_noted(edit.path), _noted(edit.kept), _noted(_keep(folder / AFTER, edit.path, wanted[edit.path]))]
            for edit in edits
        ]
        journal = json.dumps({"what": what, "files": record}, ensure_ascii=False, indent=2)
        _put(folder / JOURNAL, journal.encode())
    for path in changed:
        _put(path, wanted[path])
    return edits


def _new_backup_folder() -> Path:
    """이름이 겹치지 않고, 시계가 뒤로 가도 언제나 맨 뒤에 오는 백업 폴더."""
    backup = STATE / "backup"
    backup.mkdir(parents=True, exist_ok=True)
    while True:
        last = max((one.name for one in backup.glob("[0-9]*")), default="")
        folder = backup / max(datetime.now().strftime("%Y%m%d-%H%M%S-%f"), f"{last}+")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder


def _keep(folder: Path, path: Path, content: bytes | None) -> Path | None:
    """백업 폴더에 내용을 남깁니다. 없던 파일이면 남길 것이 없습니다."""
    if content is None:
        return None
    kept = folder / (path.relative_to(ROOT) if path.is_relative_to(ROOT) else Path(path.parent.name) / path.name)
    _put(kept, content)
    return kept


def _noted(path: Path | None) -> str | None:
    """일지에 적을 경로. 저장소를 옮겨도 무를 수 있도록 저장소 안의 경로로 적습니다."""
    return path and (path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path))


def _put(path: Path, content: bytes | None) -> None:
    """옆에 쓴 뒤 이름을 바꿉니다. 내용이 None이면 파일과, 그래서 빈 폴더가 된 것을 지웁니다."""
    if content is None:
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if not folder.is_relative_to(ROOT) or folder == ROOT or any(folder.iterdir()):
                return
            folder.rmdir()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def undo() -> list[Edit]:
    """가장 나중에 고친 일을 무릅니다. 여러 번 부르면 그 앞의 일도 차례로 무릅니다.

    고친 뒤에 학생이 더 쓴 것은 그대로 두고 고친 곳만 되돌립니다. 같은 곳이면 옛것이 돌아옵니다. 무르기 전의 파일도
    남습니다.

    Raises:
        CourseError: 무를 일이 없거나, 남겨 둔 것을 읽을 수 없을 때.
    """
    journals = sorted((STATE / "backup").glob(f"*/{JOURNAL}"))
    if not journals:
        raise CourseError("무를 일이 없습니다.")
    journal = journals[-1]
    try:
        record = json.loads(journal.read_text(encoding="utf-8"))
        what = f"undo {record['what']}"
        files = [(ROOT / path, _read(kept), _read(after)) for path, kept, after in record["files"]]
    except (OSError, ValueError, TypeError, KeyError):
        journal.rename(journal.with_suffix(".broken"))
        raise CourseError(
            f"{_noted(journal.parent)}에 남겨 둔 것을 읽을 수 없어 무르지 못했습니다. "
            "다시 undo를 하면 그 앞의 일을 무릅니다."
        ) from None
    edits = overwrite([(path, _unwound(path, kept, after)) for path, kept, after in files], what, can_undo=False)
    journal.rename(journal.with_suffix(".undone"))
    return edits


def _read(noted: str | None) -> bytes | None:
    return (ROOT / noted).read_bytes() if noted is not None else None


def _unwound(path: Path, before: bytes | None, after: bytes | None) -> bytes | None:
    """`before`를 `after`로 고친 일을 지금의 파일에서 무른 내용."""
    _refuse_folder(path)
    now = path.read_bytes() if path.is_file() else None
    if now == after or now is None or (before is not None and after is None):
        return before
    if before is None:  # 만들어 준 파일에 학생이 더 썼으니 지우지 않습니다.
        return now
    versions = (one.splitlines(keepends=True) for one in (after, now, before))
    return b"".join(line for _, *parts in Merge3(*versions).merge_groups() for line in parts[-1])
