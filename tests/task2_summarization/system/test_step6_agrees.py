"""6, 7단계에서 손수 쓰는 조각들은, 다른 두 과제의 `sweep`이 쓰는 라이브러리의 것과 같은 일을 합니다."""

from __future__ import annotations

import random

import optuna
import pytest

from course.checks.loading import load_step
from course.home import ROOT
from nlpbook.errors import UserError
from nlpbook.sweeps import loop, results, space, study, workers
from nlpbook.sweeps.config import read_sweep, sweep_names

HOME = ROOT / "solutions" / "task2-summarization"
if not HOME.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)

EVERY_KIND = """
method: random
parameters:
  constant: {value: 7}
  categorical: {values: [a, [1, 2], {b: 3}, null]}
  int_uniform: {min: 3, max: 9}
  uniform: {min: 0.25, max: 0.75}
  log_uniform: {distribution: log_uniform_values, min: 1.0e-6, max: 1.0e-3}
  inverse: {distribution: inv_log_uniform_values, min: 1.0e-6, max: 1.0e-3}
  stepped: {distribution: q_uniform, min: 0.5, max: 9.5, q: 1.5}
  stepped_log: {distribution: q_log_uniform_values, min: 8, max: 512, q: 8}
  normal: {distribution: normal, mu: 1.0, sigma: 0.25}
"""
STATUSES = [
    study.COMPLETE,
    study.PRUNED,
    study.FAILED,
    study.KILLED,
    study.SKIPPED,
    study.INTERRUPTED,
    study.WAITING,
    study.RUNNING,
]


@pytest.fixture(scope="module")
def step7():
    return load_step(HOME, "step7_parallel_sweep_runner")


@pytest.fixture(scope="module")
def step6(step7):
    return step7.TASK.trial.__globals__


def asked(suggest, sweep, seed):
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    return {name: suggest(trial, one) for name, one in sweep.parameters.items()}, trial.distributions


def test_the_same_values_are_suggested(step6, tmp_path):
    (tmp_path / "every.yaml").write_text(EVERY_KIND, encoding="utf-8")
    paths = [tmp_path / "every.yaml", *sweep_names(HOME / "configs" / "sweep").values()]
    for path in paths:
        sweep = read_sweep(path, "score")
        for seed in range(5):
            assert asked(step6["suggest"], sweep, seed) == asked(space.suggest, sweep, seed)


@pytest.mark.parametrize(
    "end",
    [
        None,
        loop.Pruned(),
        loop.Skipped("까닭"),
        KeyboardInterrupt(),
        MemoryError(),
        UserError("고쳐 주세요."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=repr,
)
def test_a_trial_ends_the_same_way(step6, end):
    def trial():
        if end is not None:
            raise end
        return {"score": 0.25, "other": 1.0}

    assert step6["attempt"](trial, "score") == loop.attempt(trial, "score")


def test_a_metric_that_does_not_come_stops_both(step6):
    for attempt in (step6["attempt"], loop.attempt):
        with pytest.raises(loop.MetricMissing):
            attempt(lambda: {"other": 1.0}, "score")


def attempt_of(slot: int, number: int, status: str) -> study.Attempt:
    empty = {"parameters": {}, "raw": {}, "facts": {}, "steps": {}, "started": None, "finished": None}
    return study.Attempt(number=0, slot=slot, attempt=number, status=status, value=None, **empty)


def test_the_same_summary_and_the_same_places_are_left():
    """시드를 정한 난수로 만든 기록 2백 벌에서."""
    module = load_step(HOME, "step6_sweep_runner")
    draw = random.Random(5)
    for _ in range(200):
        count = draw.randrange(6)
        rows = [{"status": draw.choice(STATUSES), "value": draw.random()} for _ in range(draw.randrange(7))]
        attempts = [
            attempt_of(slot, number, draw.choice(STATUSES))
            for slot in range(count)
            for number in range(draw.randrange(4))
        ]
        draw.shuffle(attempts)
        retry = draw.randrange(3)
        for maximize in (True, False):
            assert module.summarize(rows, maximize) == results.summarize(rows, maximize)
        assert module.remaining(count, attempts, retry) == study.remaining(count, attempts, retry)


@pytest.mark.parametrize("given", [None, "", "-1", "0", "2, 5", "1,-1,3", "GPU-8f3a,GPU-11"])
def test_the_same_devices_are_shared_out(step7, given, monkeypatch):
    here = ["0", "1", "2"]
    monkeypatch.setattr(workers, "gpus_of_this_machine", lambda: here)
    environment = {} if given is None else {workers.GPUS: given}
    gpus = step7.usable_gpus(environment, here)
    assert gpus == workers.visible_gpus(environment)
    for count in (1, 2, 3, 5):
        for cores in (1, 2, 7, 64):
            try:
                want = workers.assign(count, gpus, cores)
            except UserError as refused:
                with pytest.raises(UserError, match="--num-workers") as caught:
                    step7.assign(count, gpus, cores)
                assert str(caught.value) == str(refused)
                continue
            made = step7.assign(count, gpus, cores)
            assert made == [{name: one[name] for name in one if name in (workers.GPUS, step7.THREADS)} for one in want]
