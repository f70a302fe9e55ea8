"""TODO마다, 그 개념을 설명하는 가이드의 자리를 찾습니다.

가이드의 제목 아래에 적은 표시가 정합니다. 표시가 없는 TODO는 제 단계의 제목으로 갑니다.

    #### 로짓에서 확률로
    <!-- idea task1-cls 3-3 3-4 -->

장을 나누거나 제목을 고쳐도 표시가 따라가므로, 다른 어디에도 파일이나 제목을 적지 않습니다.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from course.home import Home

HEADING = re.compile(r"^(#{1,6}) (.+?)\s*$")
IDEA = re.compile(r"^<!-- idea (task\d+-[a-z]+)((?: \d+-\d+)+) -->\s*$")
STEP = re.compile(r"^<!-- todos (task\d+-[a-z]+) (\d+) -->\s*$")
TABLE_TITLE = "todo"  # 단계마다 표에 붙인 제목 "### TODO"의 앵커
FENCE = re.compile(r"^\s*(```|~~~)")


def place_of(home: Home, task: str, todo_id: str) -> str:
    """그 TODO의 개념이 있는 곳. 예: `"docs/guide/task1-cls.md#로짓에서-확률로"`. 없으면 빈 글입니다.

    Args:
        task: 과제의 이름. 예: `"task1-cls"`.
    """
    for wanted in (todo_id, todo_id.split("-")[0]):
        for page in home.guide_pages():
            anchor = _places(page, page.stat().st_mtime_ns).get((task, wanted))
            if anchor is not None:
                return f"{home.shown(page)}#{anchor}"
    return ""


@cache
def _places(page: Path, _changed: int) -> dict[tuple[str, str], str]:
    """(과제, TODO나 단계) → 제목의 앵커. 파일이 그대로인 동안에는 다시 읽지 않습니다."""
    return {(task, name): anchor for task, name, anchor in marks(page.read_text(encoding="utf-8"))}


def marks(text: str) -> Iterator[tuple[str, str, str]]:
    """글의 표시들: (과제, TODO나 단계의 번호, 제목의 앵커)."""
    above: list[tuple[int, str]] = []  # 지금 줄을 품은 제목들의 (깊이, 앵커)
    seen: dict[str, int] = {}
    in_code = False
    for line in text.splitlines():
        in_code ^= FENCE.match(line) is not None
        if in_code:
            continue
        if heading := HEADING.match(line):
            depth, slug = len(heading[1]), slug_of(heading[2])
            number = seen[slug] = seen.get(slug, -1) + 1
            above = [one for one in above if one[0] < depth]
            above.append((depth, f"{slug}-{number}" if number else slug))
        elif (idea := IDEA.match(line)) and above:
            yield from ((idea[1], todo_id, above[-1][1]) for todo_id in idea[2].split())
        elif (step := STEP.match(line)) and above:
            is_table_title = len(above) > 1 and above[-1][1].split("-")[0] == TABLE_TITLE
            yield step[1], step[2], above[-2 if is_table_title else -1][1]  # 표의 제목을 품은 제목이 단계입니다.


def slug_of(title: str) -> str:
    """GitHub가 제목에 붙이는 이름."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", title).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
