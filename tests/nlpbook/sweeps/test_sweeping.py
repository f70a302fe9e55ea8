"""탐색 한 번: 시작, 결과, 이어 하기, 말썽."""

from __future__ import annotations

import json
import shutil

import pytest

from nlpbook.errors import UserError
from nlpbook.sweeps.study import remaining

XS = {"x": {"values": [0.1, 0.3, 0.55]}}


def test_a_grid_is_done_once_and_told(sweep_with, tmp_path, capsys):
    folder = sweep_with({**XS, "kind": {"values": ["a", "b"]}})
    records = folder.records()
    assert [one["slot"] for one in records] == list(range(6))
    assert {one["status"] for one in records} == {"complete"}
    summary = json.loads(folder.summary.read_text(encoding="utf-8"))
    assert summary["best_score"] == pytest.approx(0.98)
    assert summary["best_params"] == {"x": 0.3, "kind": "a"}
    values = [one["value"] for one in records]
    assert (summary["min"], summary["max"]) == (min(values), max(values))
    assert summary["average"] == pytest.approx(sum(values) / 6)
    assert summary["counts"] == {"complete": 6}
    info = folder.read_info()
    assert info["sweep_id"] == summary["sweep_id"]
    assert f"번호(sweep id): {info['sweep_id']}" in capsys.readouterr().out


def test_the_best_path_is_relative_and_survives_a_move(sweep_with, tmp_path):
    folder = sweep_with(XS)
    summary = json.loads(folder.summary.read_text(encoding="utf-8"))
    assert summary["best_model_path"].startswith("outputs/experiments/")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(tmp_path / "outputs", moved / "outputs")
    assert (moved / summary["best_model_path"]).is_dir()


def test_starting_again_moves_the_old_results_aside(sweep_with, capsys):
    first = sweep_with(XS).read_info()["sweep_id"]
    folder = sweep_with(XS)
    assert folder.read_info()["sweep_id"] != first
    assert len(folder.records()) == 3
    [aside] = folder.outputs.glob("sweep_small.*")
    assert json.loads((aside / "sweep_info.json").read_text(encoding="utf-8"))["sweep_id"] == first
    assert "비켜 두었습니다" in capsys.readouterr().out
    assert not list(folder.outputs.glob(".*.journal"))


def test_resuming_goes_on_to_the_count(sweep_with, write_sweep):
    path = write_sweep({"x": {"min": 0.0, "max": 1.0}}, method="random")
    folder = sweep_with(path=path, request={"count": 3})
    id = folder.read_info()["sweep_id"]
    sweep_with(path=path, request={"count": 5, "resume": True, "sweep_id": id})
    assert [one["slot"] for one in folder.records()] == [0, 1, 2, 3, 4]
    sweep_with(path=path, request={"count": 5, "resume": True})
    assert len(folder.records()) == 5
    assert folder.read_info()["sweep_id"] == id


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_seed_gives_the_same_trials_even_if_stopped_between(sweep_with, write_sweep, method):
    path = write_sweep({"x": {"min": 0.0, "max": 1.0}, "k": {"values": ["a", "b"]}}, method=method)

    def parameters(folder):
        return [one["params"] for one in folder.records()]

    whole = parameters(sweep_with(path=path, request={"count": 13, "seed": 3}))
    assert len({one["x"] for one in whole}) == 13
    sweep_with(path=path, request={"count": 11, "seed": 3})
    assert parameters(sweep_with(path=path, request={"count": 13, "resume": True})) == whole
    assert parameters(sweep_with(path=path, request={"count": 2, "seed": 4})) != whole[:2]


def test_trouble_ends_a_trial_and_not_the_search(sweep_with):
    folder = sweep_with({"trouble": {"values": ["error", "memory", "skip", "none"]}})
    found = {one["params"]["trouble"]: one for one in folder.records()}
    assert found["error"]["status"] == "failed"
    assert found["error"]["error"] == "ValueError: 일부러 낸 오류"
    assert found["memory"]["error"] == "메모리가 모자랐습니다."
    assert found["skip"]["status"] == "skipped"
    assert found["none"]["status"] == "complete"


def test_failed_trials_are_retried_if_asked(sweep_with):
    folder = sweep_with({"trouble": {"values": ["error", "none"]}}, request={"retry": 2})
    tries = [one for one in folder.records() if one["params"]["trouble"] == "error"]
    assert [one["attempt"] for one in tries] == [0, 1, 2]
    assert len(folder.records()) == 4


def test_a_stopped_trial_is_done_again_on_resume(sweep_with, write_sweep, toy):
    path = write_sweep({"trouble": {"values": ["none", "interrupt", "error"]}})
    with pytest.raises(KeyboardInterrupt):
        sweep_with(path=path)

    def calm(parameters, context):
        return toy.run_trial({**parameters, "trouble": None}, context)

    folder = sweep_with(path=path, request={"resume": True}, trial=calm)
    assert [(one["slot"], one["status"]) for one in folder.records()] == [
        (0, "complete"),
        (1, "interrupted"),
        (2, "complete"),
        (1, "complete"),
    ]


def test_pruning_stops_hopeless_trials_at_the_rungs(sweep_with):
    xs = [0.3, 0.9, 0.95, 0.35]
    folder = sweep_with({"x": {"values": xs}}, early_terminate={"type": "hyperband", "min_iter": 2, "eta": 2})
    found = folder.records()
    assert [one["status"] for one in found] == ["complete", "pruned", "pruned", "pruned"]
    assert [len(one["steps"]) for one in found] == [5, 2, 2, 4]  # 두 번째로 좋은 것은 한 층을 더 올라갑니다
    assert found[1]["metrics"]["eval_score"] == pytest.approx(1 - 0.6 - 0.05)


@pytest.mark.parametrize("metric", ["score", "best/score", "eval_score"])
def test_the_metric_is_found_with_and_without_its_prefix(sweep_with, metric):
    folder = sweep_with(XS, metric={"name": metric, "goal": "maximize"})
    assert json.loads(folder.summary.read_text(encoding="utf-8"))["best_score"] == pytest.approx(0.98)


def test_a_smaller_loss_is_better_where_asked(sweep_with):
    folder = sweep_with(XS, metric={"name": "eval_score", "goal": "minimize"})
    summary = json.loads(folder.summary.read_text(encoding="utf-8"))
    assert summary["best_score"] == summary["min"]


def test_a_metric_that_never_arrives_is_named_with_those_that_did(sweep_with):
    with pytest.raises(UserError, match="지표 best/rouge가 오지 않았습니다. 온 것: eval_score"):
        sweep_with(XS, metric={"name": "best/rouge", "goal": "maximize"})


def test_another_sweep_under_the_same_id_is_refused(sweep_with, write_sweep):
    sweep_with(XS)
    with pytest.raises(UserError, match="다른 탐색입니다\\(달라진 것: parameters\\)"):
        sweep_with({"x": {"values": [0.1]}}, request={"resume": True})


def test_resuming_nothing_says_so(sweep_with):
    with pytest.raises(UserError, match="이어 할 탐색이 없습니다"):
        sweep_with(XS, request={"resume": True})
    sweep_with(XS)
    with pytest.raises(UserError, match="번호가 abcdefgh인 것이 없습니다. 있는 번호: "):
        sweep_with(XS, request={"resume": True, "sweep_id": "abcdefgh"})


@pytest.mark.parametrize(("name", "value"), [("count", 0), ("count", -1), ("workers", -1), ("engine", "optun")])
def test_wrong_options_are_refused(sweep_with, name, value):
    with pytest.raises(UserError, match=f"--{name}"):
        sweep_with(XS, request={name: value})


def test_a_torn_line_loses_nothing(sweep_with, write_sweep):
    path = write_sweep({"x": {"min": 0.0, "max": 1.0}}, method="random")
    folder = sweep_with(path=path, request={"count": 3})
    whole = folder.lines.read_bytes()
    folder.lines.write_bytes(whole[:-30])  # 마지막 줄을 쓰다가 꺼졌습니다
    sweep_with(path=path, request={"count": 4, "resume": True})
    assert sorted(one["trial"] for one in folder.records()) == [0, 1, 2, 3]


def test_a_finish_kept_on_this_machine_is_delivered(sweep_with, write_sweep, monkeypatch):
    from nlpbook.sweeps.study import Search

    path = write_sweep(XS)

    def vanish(self, letter):
        raise UserError("저장소에 닿을 수 없어 멈춥니다.")

    with monkeypatch.context() as patched:
        patched.setattr(Search, "_send", vanish)
        patched.setattr("nlpbook.sweeps.cli.finish_up", lambda search, folder: None)
        with pytest.raises(UserError, match="닿을 수 없어"):
            sweep_with(path=path)
    monkeypatch.setattr("nlpbook.sweeps.study.is_running", lambda pid: False)
    folder = sweep_with(path=path, request={"resume": True})
    assert [(one["slot"], one["status"]) for one in folder.records()] == [(n, "complete") for n in range(3)]


def test_remaining_slots():
    assert remaining(3, []) == [(0, 0), (1, 0), (2, 0)]
