"""결과 파일: 무엇을 찾았는지 사람과 프로그램이 읽습니다.

    outputs/sweep_<이름>/
        sweep_info.json          번호, 방법, 시작한 때, 이어 할 때 필요한 것
        all_sweep_results.jsonl  끝난 시도마다 한 줄. 덧붙이기만 합니다
        sweep_summary.json       가장 좋은 것과 통계
        study.journal            시도들의 저장소(한 기계일 때)
        report.html              `report`가 만드는 페이지

저장소가 진짜이고, 줄들은 그것을 옮겨 적은 것입니다. 적기 전에 꺼진 프로세스의 줄은 다음에 누가 적을 때 함께 적힙니다.
경로는 `outputs`를 담은 폴더에서 센 것이라, 그 폴더를 통째로 옮겨도 맞습니다.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from nlpbook.errors import UserError
from nlpbook.paths import full_disk_explained, shown, write_json
from nlpbook.runs import new_version
from nlpbook.sweeps.config import Sweep, metric_name
from nlpbook.sweeps.storages import locked
from nlpbook.sweeps.study import COMPLETE, FINISHED, Attempt, Search, sweep_id_of, utc_text

PREFIX = "sweep_"
Summarize = Callable[[Sequence[Mapping[str, Any]], bool], dict[str, Any]]


def summarize(records: Sequence[Mapping[str, Any]], maximize: bool) -> dict[str, Any]:
    """결과 줄들의 통계. 끝까지 한 시도만 견줍니다.

    Returns:
        `best`(가장 좋은 줄), `average`, `min`, `max`. 끝까지 한 시도가 없으면 모두 None입니다.
    """
    complete = [one for one in records if one["status"] == COMPLETE]
    if not complete:
        return {"best": None, "average": None, "min": None, "max": None}
    values = [one["value"] for one in complete]
    choose = max if maximize else min
    return {
        "best": choose(complete, key=lambda one: one["value"]),
        "average": fmean(values),
        "min": min(values),
        "max": max(values),
    }


class SweepFolder:
    """한 탐색의 결과가 모이는 폴더.

    Args:
        outputs: 결과를 모으는 폴더. 시도들의 실행 폴더도 이 아래에 있습니다.
        name: 탐색의 이름.
        summarize: 줄들에서 통계를 내는 함수.
    """

    def __init__(self, outputs: Path, name: str, summarize: Summarize = summarize) -> None:
        self.outputs = outputs
        self.path = outputs / f"{PREFIX}{name}"
        self.info = self.path / "sweep_info.json"
        self.lines = self.path / "all_sweep_results.jsonl"
        self.summary = self.path / "sweep_summary.json"
        self.journal = self.path / "study.journal"
        self.pending = self.path / "pending"
        self.report = self.path / "report.html"
        self._summarize = summarize

    def read_info(self) -> dict[str, Any]:
        """`sweep_info.json`. 없으면 비어 있습니다.

        Raises:
            UserError: 읽을 수 없을 때.
        """
        try:
            return json.loads(self.info.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise UserError(
                f"{shown(self.info)} 을(를) 읽을 수 없습니다({error}). 지우고 새로 시작해 주세요."
            ) from None

    def write_info(self, **facts: Any) -> None:
        """아는 것을 더해 적습니다."""
        write_json(self.info, {**self.read_info(), **facts})

    def move_aside(self) -> Path | None:
        """있던 결과를 `sweep_<이름>.<시각>`으로 비켜 둡니다. 지우지 않습니다.

        Returns:
            비켜 둔 곳. 아무것도 없었으면 None입니다.
        """
        if not self.path.exists() or not any(self.path.iterdir()):
            return None
        front = f"{self.path.name}.{new_version()}"
        target = self.path.with_name(front)
        number = 1
        while target.exists():
            number += 1
            target = self.path.with_name(f"{front}-{number}")
        self.path.rename(target)
        return target

    def records(self) -> list[dict[str, Any]]:
        """결과 줄들. 쓰다 만 줄은 건너뜁니다."""
        if not self.lines.is_file():
            return []
        found = []
        for line in self.lines.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def record(self, search: Search) -> list[dict[str, Any]]:
        """저장소에서 끝난 시도 가운데 아직 적지 않은 것을 덧붙이고, 요약을 새로 씁니다.

        Returns:
            모든 줄.
        """
        attempts = [one for one in search.attempts() if one.status in FINISHED]
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.lines):
            records = self.records()
            known = {one["trial"] for one in records}
            new = [self._line(search, one) for one in attempts if one.number not in known]
            if new:
                self._append(new)
            records += new
            self._write_summary(search.sweep, sweep_id_of(search), search.planned[0], records)
        return records

    def append(self, line: Mapping[str, Any], sweep: Sweep, sweep_id: str) -> None:
        """줄 하나를 덧붙이고 요약을 새로 씁니다. 저장소가 우리 것이 아닐 때(W&B) 씁니다."""
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.lines):
            self._append([line])
            self._write_summary(sweep, sweep_id, None, self.records())

    def _line(self, search: Search, one: Attempt) -> dict[str, Any]:
        owner = one.facts.get("owner") or {}
        return {
            "trial": one.number,
            "slot": one.slot,
            "attempt": one.attempt,
            "status": one.status,
            "metric": search.sweep.metric,
            "value": one.value,
            "params": one.parameters,
            "metrics": one.facts.get("metrics", {}),
            "run": one.facts.get("run"),
            "model_path": one.facts.get("model"),
            "steps": {str(step): value for step, value in one.steps.items()},
            "started": utc_text(one.started),
            "seconds": None if one.seconds is None else round(one.seconds, 3),
            "host": owner.get("host"),
            "pid": owner.get("pid"),
            "worker": owner.get("worker"),
            "error": one.facts.get("error"),
        }

    def _append(self, new: Sequence[Mapping[str, Any]]) -> None:
        """한 번의 쓰기로 덧붙입니다. 앞의 줄이 쓰다 만 것이면 줄을 바꾸고 적습니다."""
        torn = self.lines.is_file() and not self.lines.read_bytes().endswith(b"\n") and self.lines.stat().st_size > 0
        text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in new)
        with full_disk_explained(self.lines), self.lines.open("ab") as out:
            out.write((("\n" if torn else "") + text).encode("utf-8"))
            out.flush()
            os.fsync(out.fileno())

    def _write_summary(
        self, sweep: Sweep, sweep_id: str, planned: int | None, records: Sequence[Mapping[str, Any]]
    ) -> None:
        found = self._summarize(records, sweep.maximize)
        best = found.pop("best") or {}
        write_json(
            self.summary,
            {
                "sweep": sweep.name,
                "sweep_id": sweep_id,
                "metric": sweep.metric,
                "goal": sweep.goal,
                f"best_{metric_name(sweep.metric)}": best.get("value"),
                "best_model_path": best.get("model_path"),
                "best_params": best.get("params", {}),
                "best_trial": best.get("trial"),
                "best_run": best.get("run"),
                **found,
                "planned": planned,
                "counts": dict(Counter(one["status"] for one in records)),
            },
        )
