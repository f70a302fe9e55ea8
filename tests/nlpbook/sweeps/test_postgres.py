"""여러 기계의 탐색: 진짜 PostgreSQL 하나에 두 셸이 붙습니다. 서버는 시험이 스스로, root가 아닌 사용자로 띄웁니다."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from nlpbook.errors import UserError
from nlpbook.sweeps import storages
from nlpbook.sweeps.storages import open_storage, without_password
from tests.nlpbook.sweeps.waiting import lines_of, until

USER = "postgres"


def binary(name: str) -> str | None:
    """PostgreSQL의 프로그램. Debian은 길(PATH)에 두지 않습니다."""
    found = shutil.which(name)
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return found or (str(places[0]) if places else None)


def as_user() -> dict:
    """root는 PostgreSQL을 띄울 수 없으므로 postgres 사용자가 됩니다."""
    return {"user": USER, "group": USER} if hasattr(os, "geteuid") and os.geteuid() == 0 else {}


@pytest.fixture(scope="module")
def server():
    """띄운 서버. `url`이 주소이고, `stop()`과 `start()`로 멈추고 다시 띄웁니다."""
    pytest.importorskip("psycopg", reason="psycopg가 없습니다")
    initdb, postgres = binary("initdb"), binary("postgres")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL이 설치되어 있지 않습니다")
    home = Path(tempfile.mkdtemp(prefix="sweep-pg-"))
    if as_user():
        shutil.chown(home, USER, USER)
    data = home / "data"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": home, **as_user()}
    subprocess.run([initdb, "-D", str(data), "-U", "sweep", "-A", "trust", "-N"], check=True, **options)
    command = [postgres, "-D", str(data), "-p", str(port), "-k", str(home), "-h", "127.0.0.1", "-F"]

    def ready() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    class Server:
        url = f"postgresql://sweep:secret@127.0.0.1:{port}/postgres"
        process: subprocess.Popen

        def start(self) -> None:
            self.process = subprocess.Popen(command, **options)
            until(ready, 30)

        def stop(self) -> None:
            self.process.send_signal(signal.SIGINT)  # 열린 연결을 기다리지 않고 닫습니다
            self.process.wait(30)

    running = Server()
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.slow
def test_two_shells_share_one_study(server, start, write_sweep, tmp_path):
    url = server.url
    path = write_sweep({"x": {"values": [number / 10 for number in range(8)]}})
    first = start(path, "--storage", url, "--sleep", 0.05, outputs="host_a/outputs")
    info = tmp_path / "host_a" / "outputs" / "sweep_small" / "sweep_info.json"
    until(info.is_file)
    text = info.read_text(encoding="utf-8")
    assert "secret" not in text
    id = text.partition('"sweep_id": "')[2].partition('"')[0]
    more = ["--storage", url, "--sweep-id", id, "--resume", "--sleep", 0.05]
    second = start(path, *more, outputs="host_b/outputs")
    outputs = [one.communicate(timeout=120)[0] for one in (first, second)]
    assert [one.returncode for one in (first, second)] == [0, 0], outputs
    # 끝나는 순간이 다르므로, 나중에 끝난 쪽에 모두 있습니다.
    found = max((lines_of(tmp_path / host / "outputs" / "sweep_small") for host in ("host_a", "host_b")), key=len)
    assert Counter(one["slot"] for one in found if one["status"] == "complete") == Counter(range(8))
    assert len({one["pid"] for one in found}) == 2


def test_a_trial_of_a_silent_machine_is_buried(server, sweep_with, write_sweep, monkeypatch):
    """다른 기계의 프로세스는 번호로 볼 수 없습니다. 소식이 끊기면 끝난 것으로 적습니다."""
    import psycopg

    url = server.url
    path = write_sweep({"x": {"values": [0.1, 0.4]}}, name="silent")

    def vanish(parameters, context):
        raise SystemExit("꺼졌습니다")

    monkeypatch.setattr("nlpbook.sweeps.study.platform.node", lambda: "다른 기계")
    with pytest.raises(SystemExit):
        sweep_with(path=path, request={"storage": url}, trial=vanish)
    monkeypatch.undo()
    with psycopg.connect(url) as connection:  # 한 시간이 지났습니다
        connection.execute("UPDATE trial_heartbeats SET heartbeat = heartbeat - interval '1 hour'")
    folder = sweep_with(path=path, request={"storage": url, "resume": True, "retry": 1})
    assert [(one["slot"], one["status"]) for one in folder.records()] == [
        (0, "killed"),
        (1, "complete"),
        (0, "complete"),
    ]


@pytest.mark.slow
def test_a_server_lost_in_the_middle_loses_nothing(server, sweep_with, write_sweep, toy, monkeypatch, capsys):
    """두 번째 시도를 하는 동안 서버가 꺼졌습니다. 마친 것은 남아 있고, 서버가 돌아오면 이어집니다."""
    monkeypatch.setattr(storages, "PATIENCE", (0, 0))
    path = write_sweep({"x": {"values": [0.1, 0.3, 0.5]}}, name="lost")
    count = 0

    def trial(parameters, context):
        nonlocal count
        count += 1
        if count == 2:
            server.stop()
            return {"score": parameters["x"]}
        return toy.run_trial(parameters, context)

    with pytest.raises(UserError, match="저장소에 닿을 수 없어 멈춥니다"):
        sweep_with(path=path, request={"storage": server.url}, trial=trial)
    assert capsys.readouterr().out.count("다시 해 봅니다") == 2
    server.start()
    monkeypatch.setattr("nlpbook.sweeps.study.is_running", lambda pid: False)  # 그 프로세스는 꺼졌습니다
    folder = sweep_with(path=path, request={"storage": server.url, "resume": True})
    assert [(one["slot"], one["status"]) for one in sorted(folder.records(), key=lambda one: one["slot"])] == [
        (0, "complete"),
        (1, "complete"),
        (2, "complete"),
    ]
    assert len(folder.records()) == 3


def test_a_server_that_is_not_there_is_told_after_trying(tmp_path, closed_port, capsys, monkeypatch):
    pytest.importorskip("psycopg", reason="psycopg가 없습니다")
    monkeypatch.setattr(storages, "PATIENCE", (0, 0))
    url = f"postgresql://me:secret@127.0.0.1:{closed_port}/x"
    with pytest.raises(UserError, match="저장소에 닿을 수 없어 멈춥니다"):
        open_storage(url, tmp_path / "unused")
    assert capsys.readouterr().out.count("다시 해 봅니다") == 2


def test_addresses_that_cannot_work_are_refused(tmp_path):
    with pytest.raises(UserError, match="SQLite는"):
        open_storage("sqlite:///a.db", tmp_path / "unused")
    with pytest.raises(UserError, match="주소를 쓸 수 없습니다: nonsense"):
        open_storage("nonsense", tmp_path / "unused")
    assert without_password("postgresql://me:s3cret@host/db") == "postgresql://me:***@host/db"
