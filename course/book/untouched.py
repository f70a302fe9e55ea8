"""단계 파일의 처음 모습(학생이 받았을 때의 것)과 지금의 학생 파일을 읽습니다. 파일을 고치지 않습니다."""

from __future__ import annotations

import contextlib
from pathlib import Path

from course.book.backups import refuse_folder
from course.book.regions import Region, RegionError, parse
from course.book.tasks import STEP_NAME, Task
from course.home import CourseError


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
        refuse_folder(path)
        raise CourseError(f"{path.name}을(를) 읽을 수 없습니다. 파일의 권한을 확인해 주세요.") from None


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
