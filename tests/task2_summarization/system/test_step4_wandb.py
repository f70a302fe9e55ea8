"""W&B: 무엇을 어떤 이름으로 적는지, 언제 켜지고 꺼지는지, 서버에 닿지 않으면 어떻게 하는지.

오프라인 실행의 파일을 다시 읽어 봅니다. 파일은 LevelDB의 기록(log) 형식이고, 그 안의 기록은 W&B의 protobuf입니다.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nlpbook import tracking
from nlpbook.summarization.callbacks import SCORES, SPEEDS
from nlpbook.tracking import WandbLogger, wandb_mode
from tests.task2_summarization import trainers

if not trainers.FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)

wandb = pytest.importorskip("wandb")
HEADER, BLOCK = 7, 32768


def records(path: Path) -> Iterator[Any]:
    """오프라인 실행의 기록들, 적힌 차례대로."""
    from wandb.proto import wandb_internal_pb2

    data = path.read_bytes()
    assert data[:4] == b":W&B"
    place = HEADER
    kept = b""
    while place < len(data):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        _, size, kind = struct.unpack("<IHB", data[place : place + HEADER])
        place += HEADER
        kept += data[place : place + size]
        place += size
        if kind in (1, 4):  # 온전한 기록이거나, 나뉜 기록의 마지막 조각
            record = wandb_internal_pb2.Record()
            record.ParseFromString(kept)
            kept = b""
            yield record


def run_files(folder: Path) -> list[Path]:
    """오프라인 실행의 파일들. `finish()`는 다 쓰기 전에 돌아오기도 합니다(0.31). W&B의 프로세스가 끝나야 온전합니다."""
    wandb.teardown()
    return sorted(folder.rglob("offline-run-*/run-*.wandb"))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """오프라인으로 적은 학습의 기록들."""
    folder = tmp_path_factory.mktemp("wandb")
    made = trainers.trainer(
        folder,
        "wandb.mode=offline",
        "wandb.enabled=true",
        "wandb.project=요약",
        "experiment.tags=[baseline, kobart]",
        "wandb.tags=[더한 것]",
        use_wandb=True,
    )
    made.train()
    (file,) = run_files(folder)
    return made, list(records(file)), file


def rows_of(found: list[Any]) -> list[dict[str, Any]]:
    def name(item: Any) -> str:
        return item.key or item.nested_key[0]

    return [
        {name(item): json.loads(item.value_json) for item in one.history.item}
        for one in found
        if one.WhichOneof("record_type") == "history"
    ]


def test_exactly_the_promised_keys_are_logged(recorded):
    _, found, _ = recorded
    keys = {key for row in rows_of(found) for key in row if not key.startswith("_")}
    assert keys == {*SPEEDS, *SCORES, "predictions"}
    assert set(SPEEDS) == {"train_loss", "train_runtime", "train_samples_per_second", "train_steps_per_second"}
    assert set(SCORES) == {"eval_loss", "eval_rouge1", "eval_rouge2", "eval_rougeL", "eval_rouge_sum"}


def test_the_logged_values_are_those_of_the_training(recorded):
    made, found, _ = recorded
    logged = [(row["_step"], row["eval_rouge_sum"]) for row in rows_of(found) if "eval_rouge_sum" in row]
    history = made.trainer.state.log_history
    wanted = [(row["step"], row["eval_rouge_sum"]) for row in history if "eval_rouge_sum" in row]
    assert [step for step, _ in logged] == [step for step, _ in wanted]
    assert [value for _, value in logged] == pytest.approx([value for _, value in wanted])


def test_the_whole_config_the_name_and_the_tags_are_kept(recorded):
    made, found, _ = recorded
    (run,) = [one.run for one in found if one.WhichOneof("record_type") == "run"]
    config = {item.key: json.loads(item.value_json) for item in run.config.update if not item.key.startswith("_")}
    assert config == made.config.to_dict()
    assert config["model"]["checkpoint"] == made.config.model.checkpoint
    assert (run.project, run.display_name) == ("요약", "quick")
    assert list(run.tags) == ["baseline", "kobart", "더한 것"]


def test_the_system_is_watched(recorded):
    _, found, _ = recorded
    assert any(one.WhichOneof("record_type") == "stats" for one in found)


def test_some_predictions_are_kept_as_a_table(recorded):
    _, _, file = recorded
    (table,) = (file.parent / "files").rglob("predictions*.table.json")
    written = json.loads(table.read_text(encoding="utf-8"))
    assert written["columns"] == ["dialogue", "reference", "prediction"]
    assert [row[1] for row in written["data"]] == trainers.SUMMARIES[-5:]
    assert all("#Person1#" in row[0] for row in written["data"])


# ── 언제 켜지는가

PRECEDENCE = [  # use_wandb, 파일의 wandb.enabled, 파일의 wandb.mode, WANDB_MODE → 모드
    (True, None, None, None, "disabled"),
    (True, "true", None, None, "online"),
    (True, "true", "offline", None, "offline"),
    (True, "true", "disabled", None, "disabled"),
    (True, "false", "online", None, "disabled"),
    (True, None, "online", None, "online"),
    (True, None, "offline", None, "offline"),
    (True, None, "disabled", None, "disabled"),
    (False, "true", "online", None, "disabled"),
    (False, "true", "online", "online", "disabled"),
    (True, "true", "online", "offline", "offline"),
    (True, "true", "online", "disabled", "disabled"),
    (True, "true", "offline", "online", "online"),
    (True, "false", "online", "offline", "disabled"),
    (True, None, None, "offline", "offline"),
]


@pytest.mark.parametrize(("use_wandb", "enabled", "mode", "variable", "wanted"), PRECEDENCE)
def test_precedence(tmp_path, use_wandb, enabled, mode, variable, wanted):
    lines = [f"  {name}: {value}" for name, value in (("enabled", enabled), ("mode", mode)) if value is not None]
    file = tmp_path / "mine.yaml"
    file.write_text("\n".join(["experiment: {name: mine}", *(["wandb:", *lines] if lines else [])]), encoding="utf-8")
    environment = {"WANDB_MODE": variable} if variable else {}
    config = trainers.lesson("step1_config_and_model").load_config(file, environment=environment)
    assert wandb_mode(use_wandb, config.wandb.enabled, config.wandb.mode) == wanted


def test_the_command_line_is_ahead_of_the_environment():
    config = trainers.lesson("step1_config_and_model").load_config(
        "quick", ["wandb.enabled=true", "wandb.mode=online"], environment={"WANDB_MODE": "offline"}
    )
    assert wandb_mode(True, config.wandb.enabled, config.wandb.mode) == "online"


def test_nothing_is_asked_or_imported_when_it_is_off(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # 불러오면 ImportError가 납니다.
    made = trainers.trainer(tmp_path, "wandb.enabled=true", "training.num_train_epochs=1", use_wandb=False)
    made.train()
    assert not list(tmp_path.rglob("*.wandb"))


# ── 서버에 닿지 않을 때


@pytest.fixture
def online(tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "WAIT", 2.0)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / ".netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    made = WandbLogger("project", experiment_name="name", config={}, folder=tmp_path / "run")
    yield made
    made.finish()


def test_not_logged_in_writes_offline_without_asking(online, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(wandb, "login", lambda **given: False)
    online.init_run()
    assert "wandb login" in capsys.readouterr().out
    online.log({"eval_loss": 1.5}, 3)
    online.finish()
    (file,) = run_files(tmp_path)
    assert [row["eval_loss"] for row in rows_of(list(records(file)))] == [1.5]


@pytest.mark.slow
def test_an_unreachable_server_writes_offline_and_says_so(online, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(wandb, "login", lambda **given: True)
    real = wandb.init

    def init(**given):
        if given["mode"] == "online":
            raise wandb.errors.CommError("Run initialization has timed out after 2.0 sec.")
        return real(**given)

    monkeypatch.setattr(wandb, "init", init)
    online.init_run()
    assert "W&B의 서버에 닿지 않습니다" in capsys.readouterr().out
    online.finish()
    assert run_files(tmp_path)


def test_finishing_twice_or_before_starting_is_fine(tmp_path):
    made = WandbLogger("project", mode="disabled", folder=tmp_path)
    assert made.init_run() is None
    made.log({"eval_loss": 1.0}, 1)
    made.log_predictions(("a",), [["b"]])
    made.finish()
    made.finish()
    assert list(tmp_path.iterdir()) == []
