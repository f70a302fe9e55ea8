"""탐색 공간: 분포마다 뜻대로 고르는지."""

from __future__ import annotations

import math
import statistics

import optuna
import pytest

from nlpbook.errors import UserError
from nlpbook.sweeps import space
from nlpbook.sweeps.config import Parameter, read_sweep

optuna.logging.set_verbosity(optuna.logging.WARNING)


def drawn(kind: str, count: int = 400, **facts) -> list:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=5))
    parameter = Parameter("x", kind, facts, "시험")
    return [space.suggest(study.ask(), parameter) for _ in range(count)]


def test_a_constant_asks_nothing():
    study = optuna.create_study()
    trial = study.ask()
    assert space.suggest(trial, Parameter("x", "constant", {"value": [8, 9]}, "")) == [8, 9]
    assert trial.params == {}


def test_categories_come_back_as_written():
    values = ["a", None, True, 2.5, {"layers": 3}, [4, 5]]
    assert {repr(one) for one in drawn("categorical", values=values)} == {repr(one) for one in values}


def test_whole_numbers_reach_both_ends():
    assert set(drawn("int_uniform", min=3, max=6)) == {3, 4, 5, 6}


@pytest.mark.parametrize("kind", ["log_uniform_values", "inv_log_uniform_values"])
def test_the_logarithm_is_uniform(kind):
    middle = statistics.median(drawn(kind, min=1e-6, max=1e-2))
    assert 3e-5 < middle < 3e-4  # 가운데는 1e-4. 고른 분포라면 5e-3입니다


def test_quantised_values_are_multiples():
    assert set(drawn("q_uniform", min=3, max=17, q=5)) == {5, 10, 15}
    tenths = drawn("q_uniform", min=0, max=0.5, q=0.1)
    assert set(tenths) == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5}
    assert {one % 8 for one in drawn("q_log_uniform_values", min=8, max=128, q=8)} == {0}


def test_normals_come_from_their_quantiles():
    values = drawn("normal", mu=7, sigma=3)
    assert statistics.mean(values) == pytest.approx(7, abs=0.5)
    assert statistics.stdev(values) == pytest.approx(3, abs=0.4)
    logs = [math.log(one) for one in drawn("log_normal", mu=-2, sigma=0.5)]
    assert statistics.mean(logs) == pytest.approx(-2, abs=0.1)
    assert all(isinstance(one, int) for one in drawn("q_normal", mu=7, sigma=3))


def test_probabilities_weigh_the_values():
    values = drawn("categorical_w_probabilities", values=["rare", "often"], probabilities=[0.1, 0.9])
    assert values.count("rare") == pytest.approx(40, abs=20)


def test_what_optuna_lacks_is_refused_by_name(write_sweep):
    path = write_sweep({"x": {"distribution": "beta", "a": 2, "b": 3}}, method="random")
    with pytest.raises(UserError, match="x의 분포 beta.*--engine wandb"):
        space.require_supported(read_sweep(path, "loss"))
    path = write_sweep({"x": {"distribution": "q_uniform", "min": 1, "max": 4, "q": 7}}, method="random")
    with pytest.raises(UserError, match="q의 배수가 없습니다"):
        space.require_supported(read_sweep(path, "loss"))


def test_a_grid_is_every_combination_once(write_sweep):
    parameters = {
        "x": {"values": [0.1, 0.3]},
        "n": {"min": 4, "max": 6},
        "q": {"distribution": "q_uniform", "min": 0, "max": 10, "q": 5},
        "fixed": {"value": 9},
    }
    points = space.grid_points(read_sweep(write_sweep(parameters), "loss").varied)
    assert len(points) == 2 * 3 * 3
    assert len({tuple(one.values()) for one in points}) == len(points)
    assert all(set(one) == {"x", "n", "q"} for one in points)
