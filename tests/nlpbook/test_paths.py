"""파일 쓰기."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nlpbook.errors import UserError, is_disk_full
from nlpbook.paths import (
    DATA,
    folder_written_aside,
    full_disk_explained,
    located,
    portable,
    remove_leftovers,
    write_json,
)


def test_json_is_readable_korean(tmp_path):
    write_json(tmp_path / "new" / "test.json", {"라벨": "긍정"})
    assert (tmp_path / "new" / "test.json").read_text(encoding="utf-8") == '{\n  "라벨": "긍정"\n}\n'


# ── 죽은 프로세스의 임시 파일, 옮겨도 맞는 경로, 옆에 쓴 폴더 ──


@pytest.fixture
def gone() -> int:
    """이미 끝난 프로세스의 번호."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_leftovers_of_the_dead_are_removed_and_of_the_living_kept(tmp_path, gone):
    (tmp_path / "checkpoints").mkdir()
    dead = [
        tmp_path / "checkpoints" / f".last.pt.{gone}.tmp",
        tmp_path / f".model.{gone}.tmp",
        tmp_path / ".old.pt.tmp",
    ]
    dead[1].mkdir()
    (dead[1] / "config.json").touch()
    kept = [tmp_path / f".last.pt.{os.getpid()}.tmp", tmp_path / "mine.tmp", tmp_path / "last.pt"]
    for path in (dead[0], dead[2], *kept):
        path.touch()
    assert set(remove_leftovers(tmp_path)) == set(dead)
    assert {path for path in tmp_path.iterdir() if path.name != "checkpoints"} == set(kept)


def test_a_folder_written_aside_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "model"
    for content in ("첫째", "둘째"):
        with folder_written_aside(target) as aside:
            (aside / "config.json").write_text(content, encoding="utf-8")
            assert aside != target
        assert (target / "config.json").read_text(encoding="utf-8") == content
    with pytest.raises(RuntimeError), folder_written_aside(target) as aside:
        (aside / "config.json").touch()
        raise RuntimeError
    assert (target / "config.json").read_text(encoding="utf-8") == "둘째"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_paths_inside_the_run_or_the_checkout_move_along(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    values = {"data": {"home": str(DATA), "far": str(tmp_path / "x")}, "t": str(old / "tokenizer.json"), "n": [1, None]}
    saved = portable(values, old)
    assert saved["data"] == {"home": "{checkout}/data", "far": str(tmp_path / "x")}
    assert saved["t"] == "{run}/tokenizer.json"
    assert located(saved, old) == values
    assert located(saved, new)["t"] == str(new / "tokenizer.json")
    assert located("{run}x", new) == "{run}x"


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        RuntimeError('Error while serializing: IoError(Os { code: 28, message: "No space left on device" })'),
        Exception("No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_known_in_every_library(error):
    wrapped = RuntimeError("unexpected pos 64 vs 0")
    wrapped.__context__ = error
    assert is_disk_full(error)
    assert is_disk_full(wrapped)
    assert not is_disk_full(PermissionError(13, "Permission denied"))
    with pytest.raises(UserError, match=r"last\.pt.*--resume"), full_disk_explained("last.pt"):
        raise wrapped
