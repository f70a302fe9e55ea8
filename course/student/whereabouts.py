"""학생이 지금 어디쯤인지 어림합니다: TODO를 적지 않은 명령에 알맞은 예를 보여 줄 때 씁니다.

검사하지 않고, 파일과 자취만 봅니다.
"""

from __future__ import annotations

from collections.abc import Sequence

from course.book.tasks import Task
from course.student.edits import attempts
from course.student.progress import Progress


def current_todo(tasks: Sequence[Task], changed: bool = False) -> tuple[Task, str] | None:
    """가장 나중에 저장한 과제에서 지금 하고 있을 TODO. 아무것도 하지 않았으면 첫 과제의 첫 TODO입니다.

    Args:
        changed: 이미 손댄 TODO 가운데 마지막 것. 거짓이면 해 보았지만 맞히지 못한 첫 TODO, 없으면 손대지 않은 첫 TODO.

    Returns:
        (과제, TODO). TODO가 하나도 없으면 None.
    """
    tried = {task: attempts(task) for task in tasks}
    begun = [task for task in tasks if any(tried[task].values())]
    task = max(begun, key=_saved_at) if begun else next((one for one in tasks if tried[one]), None)
    if task is None:
        return None
    todos, done = list(tried[task]), [one for one, is_tried in tried[task].items() if is_tried]
    if changed:
        return task, (done or todos)[-1 if done else 0]
    progress = Progress(task.home)
    stuck = [one for one in done if progress.of(task, one).first_right is None]
    untouched = [one for one in todos if one not in done]
    return task, (stuck or untouched or todos[-1:])[0]


def _saved_at(task: Task) -> float:
    """단계 파일을 마지막으로 저장한 때."""
    files = [task.exercise / step.file_name for step in task.steps]
    return max((file.stat().st_mtime for file in files if file.is_file()), default=0.0)
