"""W&B의 엔진: 서버를 부르는 두 곳(`wandb.sweep`, `wandb.agent`)을 대신 세워, 우리가 무엇을 보내고 받는지 봅니다."""

from __future__ import annotations

import json

import pytest

from nlpbook.errors import UserError
from nlpbook.sweeps.wandb_engine import flat

wandb = pytest.importorskip("wandb")
PARAMETERS = {
    "x": {"values": [0.1, 0.3]},
    "training": {"parameters": {"layers": {"values": [{"wide": 3}, {"wide": 5}]}}},
    "fixed": {"value": 7},
}


class Run:
    """서버가 값을 정해 준 실행 하나."""

    def __init__(self, config) -> None:
        self.config = config
        self.id = "run12345"
        self.logged = []
        self.exit_code = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def log(self, metrics):
        self.logged.append(metrics)

    def finish(self, exit_code=0):
        self.exit_code = exit_code


@pytest.fixture
def server(monkeypatch):
    """대신 세운 서버. `given`의 값을 차례로 주고, 보낸 것을 적어 둡니다."""

    class Server:
        given: list = []
        runs: list = []
        sent: dict = {}
        calls: list = []

    one = Server()
    one.given, one.runs, one.calls = [], [], []

    def sweep(config, entity=None, project=None):
        one.sent = {"config": config, "entity": entity, "project": project}
        return "srv12345"

    def init():
        one.runs.append(Run(one.given[len(one.runs)]))
        return one.runs[-1]

    def agent(sweep_id, function=None, entity=None, project=None, count=None):
        one.calls.append((sweep_id, count))
        for _ in range(count):
            function()

    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(wandb, "sweep", sweep)
    monkeypatch.setattr(wandb, "agent", agent)
    monkeypatch.setattr(wandb, "init", init)
    return one


def config_of(x, wide=3):
    return {"x": x, "training": {"layers": {"wide": wide}}, "fixed": 7}


def test_the_file_is_sent_as_written_and_the_results_are_ours(sweep_with, server):
    server.given = [config_of(0.1), config_of(0.3, 5)]
    seen = []
    request = {"engine": "wandb", "count": 2, "entity": "team", "project": "nlp"}
    metric = {"name": "best/score", "goal": "maximize"}

    def trial(parameters, context):
        seen.append(parameters)
        return {"eval_score": parameters["x"]}

    folder = sweep_with(PARAMETERS, request=request, trial=trial, metric=metric, method="bayes")
    assert server.sent["config"]["parameters"] == PARAMETERS
    assert server.sent["config"]["metric"] == metric
    assert (server.sent["entity"], server.sent["project"]) == ("team", "nlp")
    assert seen == [
        {"x": 0.1, "training.layers": {"wide": 3}, "fixed": 7},
        {"x": 0.3, "training.layers": {"wide": 5}, "fixed": 7},
    ]
    assert folder.read_info()["sweep_id"] == "srv12345"
    summary = json.loads(folder.summary.read_text(encoding="utf-8"))
    assert summary["best_score"] == 0.3
    assert [one["status"] for one in folder.records()] == ["complete", "complete"]
    assert server.runs[1].logged[-1] == {"best/score": 0.3}  # 서버가 견줄 이름 그대로입니다


def test_every_evaluation_is_logged(sweep_with, server):
    server.given = [config_of(0.3)]
    sweep_with(PARAMETERS, request={"engine": "wandb", "count": 1}, method="random")
    assert [round(one["eval_score"], 3) for one in server.runs[0].logged[:5]] == [0.9, 0.95, 0.967, 0.975, 0.98]
    assert server.runs[0].exit_code == 0


def test_a_failing_trial_is_recorded_and_the_agent_goes_on(sweep_with, server):
    server.given = [{"trouble": "error"}, {"trouble": "none"}]
    folder = sweep_with(
        {"trouble": {"values": ["error", "none"]}}, request={"engine": "wandb", "count": 2}, method="random"
    )
    assert [one["status"] for one in folder.records()] == ["failed", "complete"]
    assert [one.exit_code for one in server.runs] == [1, 0]


def test_resuming_does_what_is_left(sweep_with, write_sweep, server):
    server.given = [config_of(0.1)] * 5
    path = write_sweep(PARAMETERS, method="random")
    sweep_with(path=path, request={"engine": "wandb", "count": 2})
    folder = sweep_with(path=path, request={"engine": "wandb", "count": 5, "sweep_id": "srv12345", "resume": True})
    assert server.calls == [("srv12345", 2), ("srv12345", 3)]
    assert len(folder.records()) == 5


def test_a_missing_metric_stops_with_its_name(sweep_with, server):
    server.given = [config_of(0.1)] * 3
    with pytest.raises(UserError, match="지표 other가"):
        sweep_with(
            PARAMETERS,
            request={"engine": "wandb", "count": 3},
            metric={"name": "other", "goal": "maximize"},
            method="random",
        )
    assert len(server.runs) == 1


def test_without_a_server_it_says_what_to_do(sweep_with, server, monkeypatch):
    def refuse(*_, **__):
        raise wandb.errors.CommError("Network error")

    monkeypatch.setattr(wandb, "sweep", refuse)
    with pytest.raises(UserError, match="W&B에 닿을 수 없습니다.*--engine optuna"):
        sweep_with(PARAMETERS, request={"engine": "wandb"}, method="random")
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(UserError, match="서버가 있어야 합니다"):
        sweep_with(PARAMETERS, request={"engine": "wandb"}, method="random")


def test_a_value_that_is_a_dict_stays_one():
    names = {"a.b": 1, "c": 1}
    assert flat({"a": {"b": {"d": 1}}, "c": 2, "_wandb": {}}, names) == {"a.b": {"d": 1}, "c": 2}
