"""배운 자취: 몇 번 해 보았고, 힌트를 얼마나 보았고, 처음 맞힌 것이 언제인지.

"했다"는 표시는 여기에 없습니다. 했는지는 언제나 지금의 파일을 검사해서 압니다. 자취는
`.course/progress.json`에 남습니다.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

from course.book.tasks import Task
from course.checks.verdict import NOT_STARTED, Verdict
from course.home import Home, or_skip, write_text

FILE = "progress.json"
AWAY = 10 * 60.0  # 초. 검사와 검사 사이가 이보다 길면 자리를 비운 것으로 보고 세지 않습니다.
Span = tuple[float, float]  # 처음과 끝, 1970년부터의 초


@dataclass
class Trace:
    """TODO 하나의 자취. 시각은 UTC의 ISO 8601입니다. `tried`는 처음 맞힐 때까지 검사한 시각들입니다."""

    attempts: int = 0
    hints: int = 0
    revealed: bool = False
    started: str | None = None
    first_right: str | None = None
    tried: list[str] = field(default_factory=list)

    @classmethod
    def from_saved(cls, saved: dict[str, Any]) -> Trace:
        """저장한 것에서. 모르는 항목은 다른 판이 적은 것이므로 지나칩니다.

        Raises:
            ValueError, TypeError, AttributeError: 값이 자취의 것이 아닐 때.
        """
        trace = cls(**{one.name: saved[one.name] for one in fields(cls) if one.name in saved})
        if not (type(trace.attempts) is type(trace.hints) is int):
            raise TypeError("세는 값이 정수가 아닙니다")
        trace.moments()
        return trace

    def moments(self) -> list[float]:
        """검사한 시각들(1970년부터의 초)."""
        written = filter(None, (self.started, *self.tried, self.first_right))
        return [datetime.fromisoformat(one).timestamp() for one in written]

    def holds(self, span: Span) -> bool:
        """처음 해 본 때부터 처음 맞힐 때까지의 사이인가. 아직 맞히지 못했으면 언제나 거짓입니다."""
        moments = self.moments()
        return self.first_right is not None and min(moments) <= span[0] and span[1] <= max(moments)


def minutes(spans: Iterable[Span]) -> float:
    """겹치지 않는 사이들의 분."""
    return sum(end - begin for begin, end in spans) / 60


class Progress:
    """자취를 읽고 씁니다. 파일이 깨졌으면 옆으로 치워 두고 새로 시작합니다: 자취를 잃어도 한 일은 그대로입니다."""

    def __init__(self, home: Home) -> None:
        self._home, self._file = home, home.state / FILE
        self._traces: dict[str, Trace] = {}
        self._read()

    def _read(self) -> None:
        """파일에서 다시 읽습니다. watch를 켜 둔 채 다른 터미널에서 본 힌트도 세도록, 고치기 전마다 부릅니다."""
        try:
            saved = json.loads(self._file.read_text(encoding="utf-8"))
            self._traces = {key: Trace.from_saved(value) for key, value in saved.items()}
        except OSError:  # 아직 없거나, 읽을 수 없는 저장소입니다. 이 프로세스가 아는 것은 그대로 둡니다.
            return
        except (ValueError, TypeError, AttributeError):
            broken = [self._file.with_suffix(f".broken{number}.json") for number in range(100)]
            self._traces = {}
            with or_skip(self._home, "깨진 자취 치우기"):
                self._file.replace(next((one for one in broken if not one.exists()), broken[-1]))

    def of(self, task: Task, todo_id: str) -> Trace:
        return self._traces.setdefault(f"{task.name}/{todo_id}", Trace())

    def record(self, task: Task, verdict: Verdict) -> None:
        """검사 한 번을 적습니다. 아직 시작하지 않은 것은 해 본 것이 아닙니다."""
        if verdict.state == NOT_STARTED:
            return
        self._read()
        trace, now = self.of(task, verdict.todo), datetime.now(timezone.utc).isoformat(timespec="seconds")
        trace.attempts += 1
        trace.started = trace.started or now
        if trace.first_right is None and now not in trace.tried:
            trace.tried.append(now)
        if verdict.is_right:
            trace.first_right = trace.first_right or now
        self._save()

    def busy(self, task: Task, todo_id: str) -> frozenset[Span]:
        """이 TODO를 하던 사이들. 모든 TODO의 검사가 시간을 나누므로, 여러 TODO의 것을 합집합하면 겹쳐 세지 않습니다."""
        trace = self.of(task, todo_id)
        moments = sorted({moment for one in self._traces.values() for moment in one.moments()})
        return frozenset(span for span in pairwise(moments) if span[1] - span[0] <= AWAY and trace.holds(span))

    def hints_seen(self, task: Task, todo_id: str) -> int:
        self._read()
        return self.of(task, todo_id).hints

    def see_hint(self, task: Task, todo_id: str, available: int) -> int:
        """힌트를 하나 더 봅니다. 몇 개까지 보았는지 돌려줍니다."""
        self._read()
        trace = self.of(task, todo_id)
        trace.hints = max(trace.hints, min(trace.hints + 1, available))
        self._save()
        return trace.hints

    def see_solution(self, task: Task, todo_id: str) -> None:
        self._read()
        self.of(task, todo_id).revealed = True
        self._save()

    def _save(self) -> None:
        with or_skip(self._home, "배운 자취 적기"):
            self._write()

    def _write(self) -> None:
        content = {key: asdict(trace) for key, trace in sorted(self._traces.items())}
        write_text(self._file, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
