"""다른 프로세스가 하는 일을 기다리고 읽습니다."""

from __future__ import annotations

import json
import time
from pathlib import Path


def lines_of(folder: Path) -> list[dict]:
    path = folder / "all_sweep_results.jsonl"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text.splitlines()]


def until(question, seconds: float = 60):
    """`question`이 참인 값을 낼 때까지 기다려 그 값을 돌려줍니다."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := question():
            return found
        time.sleep(0.02)
    raise AssertionError("기다리던 일이 일어나지 않았습니다.")
