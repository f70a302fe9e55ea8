"""여러 프로세스: 자리를 나누어 갖고, 꺼져도 하나만 잃고, 멈추어도 이어집니다."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from nlpbook.errors import UserError
from nlpbook.sweeps.workers import GPUS, assign, visible_gpus
from tests.nlpbook.sweeps.waiting import lines_of, until


def journal_owners(folder: Path) -> list[int]:
    """저장소에 차례로 적힌, 시도를 차지한 프로세스들."""
    path = folder / "study.journal"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    return [row["user_attr"]["owner"]["pid"] for row in rows if "owner" in row.get("user_attr", {})]


@pytest.mark.slow
def test_two_workers_share_a_grid(start, write_sweep, tmp_path):
    path = write_sweep({"x": {"values": [0.1, 0.3, 0.5]}, "k": {"values": ["a", "b"]}})
    process = start(path, "--workers", 2, "--sleep", 0.05)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    found = lines_of(tmp_path / "outputs" / "sweep_small")
    assert sorted(one["slot"] for one in found) == list(range(6))
    assert {one["worker"] for one in found} == {1, 2}
    logs = sorted((tmp_path / "sweep_results" / "logs").glob("worker_*.log"))
    assert [one.name for one in logs] == ["worker_1.log", "worker_2.log"]
    assert all("마쳤습니다" in one.read_text(encoding="utf-8") for one in logs)
    assert not list((tmp_path / "outputs" / "sweep_small").glob("workers-*.json"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL은 POSIX의 것입니다")
def test_killed_workers_lose_only_their_own_trials(start, write_sweep, tmp_path):
    path = write_sweep({"x": {"values": [number / 20 for number in range(16)]}})
    folder = tmp_path / "outputs" / "sweep_small"
    gate = tmp_path / "gate"
    process = start(path, "--workers", 3, "--sleep", 0.05, "--retry", 3, "--gate", gate)
    chance = random.Random(11)
    killed = []
    for _ in range(2):
        target = until(lambda: [one for one in journal_owners(folder) if one not in killed])
        victim = chance.choice(sorted(set(target)))
        time.sleep(chance.uniform(0, 0.2))
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)
    gate.touch()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    found = lines_of(folder)
    complete = Counter(one["slot"] for one in found if one["status"] == "complete")
    assert complete == Counter(range(16))  # 잃은 것도, 두 번 한 것도 없습니다
    assert len(found) == len({one["trial"] for one in found})
    dead = [one for one in found if one["status"] == "killed"]
    assert len(dead) <= 2
    assert {one["pid"] for one in dead} <= set(killed)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT를 보내는 법이 다릅니다")
def test_ctrl_c_stops_all_and_resumes(start, write_sweep, tmp_path):
    path = write_sweep({"x": {"min": 0.0, "max": 1.0}}, method="random")
    folder = tmp_path / "outputs" / "sweep_small"
    gate = tmp_path / "gate"
    process = start(path, "--workers", 2, "--count", 9, "--gate", gate)
    until(lambda: len(lines_of(folder)) >= 2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    before = lines_of(folder)
    assert {one["status"] for one in before} <= {"complete", "interrupted"}
    gate.touch()
    again = start(path, "--workers", 2, "--resume")
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    found = lines_of(folder)
    assert found[: len(before)] == before  # 덧붙이기만 합니다
    assert Counter(one["slot"] for one in found if one["status"] == "complete") == Counter(range(9))


def test_workers_get_a_gpu_each_within_those_given():
    made = assign(2, ["5", "GPU-ab", "7"], 8)
    assert [one[GPUS] for one in made] == ["5", "GPU-ab"]
    with pytest.raises(UserError, match="GPU가 2개인데 일꾼은 3입니다.*--num-workers 2"):
        assign(3, ["0", "1"], 8)


def test_cores_are_divided_without_a_gpu():
    made = assign(3, [], 8)
    assert [one["OMP_NUM_THREADS"] for one in made] == ["3", "3", "2"]
    assert all(GPUS not in one for one in made)
    assert [one["OMP_NUM_THREADS"] for one in assign(4, [], 2)] == ["1"] * 4


@pytest.mark.parametrize(
    ("given", "names"),
    [("3,1", ["3", "1"]), ("", []), ("-1", []), ("2,-1,0", ["2"]), ("GPU-8f, 1", ["GPU-8f", "1"])],
)
def test_the_gpus_already_chosen_are_the_only_ones(given, names):
    assert visible_gpus({GPUS: given}) == names
