"""사람에게 보이는 것: 한 줄 말하기, 진행 막대, 걸린 시간. 말한 줄은 열려 있는 실행 기록에도 남습니다."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from console_text import with_particles

console = Console(highlight=False, soft_wrap=True)


@contextmanager
def log_to(path: Path, enabled: bool = True) -> Iterator[None]:
    """화면에 적는 줄을 `path`에도 시각과 함께 남깁니다. 이어 하면 덧붙입니다."""
    if not enabled:
        yield
        return
    logger = logging.getLogger("nlpbook.run")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def say(message: str) -> None:
    """사람에게 보일 한 줄. 두 꼴로 적은 조사(`을(를)`)는 하나로 맞춥니다. 열려 있는 실행 기록에도 남습니다."""
    message = with_particles(message)
    console.print(message, markup=False)
    logger = logging.getLogger("nlpbook.run")
    if logger.handlers:
        logger.info(message)


@contextmanager
def progress_bar(description: str, total: int, shown: bool = True) -> Iterator[Any]:
    """오래 걸리는 일의 진행 막대. 터미널이 아니면(파일로 보낼 때) 막대 대신 10 %마다 한 줄을 적습니다.

    Yields:
        `advance(count=1, note="")` 함수. `note`는 막대 끝에 보일 짧은 글입니다(예: `"loss=4.2"`).
    """
    if not sys.stdout.isatty():
        yield _tenths(description, total) if shown else lambda count=1, note="": None
        return
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    ]
    with Progress(*columns, console=console, transient=True, disable=not shown) as bars:
        bar = bars.add_task(description, total=total, note="")

        def advance(count: int = 1, note: str = "") -> None:
            if note:
                bars.update(bar, advance=count, note=note)
            else:
                bars.update(bar, advance=count)

        yield advance


def _tenths(description: str, total: int) -> Callable[..., None]:
    """10 %를 지날 때마다 한 줄을 적는 `advance`."""
    done = 0
    told = 0
    latest = ""

    def advance(count: int = 1, note: str = "") -> None:
        nonlocal done, told, latest
        done += count
        latest = note or latest
        tenth = 10 * done // max(1, total)
        if tenth > told:
            told = tenth
            console.print(f"{description} {10 * tenth:3d} % ({done:,}/{total:,}) {latest}".rstrip(), markup=False)

    return advance


class Stopwatch:
    """구간의 시간을 잽니다(초)."""

    def __init__(self) -> None:
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started
