"""6-1의 검사: 분포를 Optuna의 Trial에게 묻는 말로."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from course.checks.recognising import explained, recognise, when
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_equal, fail, todo
from nlpbook.sweeps.config import Parameter

IDEA = "탐색 공간"
NAME = "training.thing"
LISTS = [[3, 5], {"layers": 7}, "글"]


def asked(load, kind: str, picked: Any, **facts: Any) -> tuple[Any, Any]:
    """고른 값과, Trial에게 물은 분포. `picked`는 Trial이 고르는 것입니다."""
    step = load(6)
    trial = optuna.trial.FixedTrial({NAME: picked})
    parameter = Parameter(NAME, kind, facts, "my_sweep.yaml 7번째 줄")
    unknown = when("not found in the fixed parameters|is not found", "other-name", idea=IDEA, expected=NAME)
    with explained(unknown), no_side_effects(inputs={"parameter.facts": facts}):
        value = step.suggest(trial, parameter)
    return value, trial.distributions.get(NAME)


@todo("6-1")
def test_a_constant_is_not_asked(load):
    """언제나 같은 값은 묻지 않습니다."""
    for value in (37, None, [5, 9]):
        got, distribution = asked(load, "constant", 37, value=value)
        if distribution is not None:
            fail(idea=IDEA, symptom="constant-asked", expected="묻지 않음", got=type(distribution).__name__)
        if got == {"value": value}:
            fail(idea=IDEA, symptom="facts-given", expected=repr(value), got="facts 전체")
        assert_equal(got, value, idea=IDEA, message="constant의 값이 파일에 적힌 것과 다릅니다.")


@todo("6-1")
@pytest.mark.parametrize(
    ("kind", "picked", "low", "high"),
    [
        ("uniform", 0.3714159, 0.11, 0.83),
        ("uniform", 4.7265358, 3, 9),  # 두 끝을 정수로 적어도 그 사이의 소수입니다.
        ("log_uniform_values", 3.141592e-5, 4e-6, 7e-3),
        ("int_uniform", 17, 6, 41),
    ],
)
def test_a_range_is_asked_as_it_is(load, kind, picked, low, high):
    """범위는 두 끝과, 고르는 눈금(고르게, 로그로, 정수로)이 모두 맞아야 합니다."""
    got, distribution = asked(load, kind, picked, min=low, max=high)
    want = {
        "uniform": FloatDistribution(low, high),
        "log_uniform_values": FloatDistribution(low, high, log=True),
        "int_uniform": IntDistribution(low, high) if kind == "int_uniform" else None,
    }[kind]
    if distribution is None:
        fail(idea=IDEA, symptom="not-asked", expected=str(want), got=f"{kind}을(를) 묻지 않음", name=kind)
    if kind == "log_uniform_values":
        ends = [FloatDistribution(log(low), log(high)) for log in (math.log10, math.log, math.log2)]
        if distribution in ends:
            fail(idea=IDEA, symptom="exponents-asked", expected=str(want), got=str(distribution), name=kind)
    for base, power in (("10", 10**picked), ("e", math.exp(picked))):
        if got == power and kind != "int_uniform":
            about = {"expected": repr(picked), "got": f"{got:.6g}"}
            fail(idea=IDEA, symptom="as-exponent", **about, base=base, name=kind)
    if distribution != want:
        wrong = [("not-log", FloatDistribution(low, high))] if kind == "log_uniform_values" else []
        if kind == "uniform":
            wrong = [("log-everywhere", FloatDistribution(low, high, log=True))]
            wrong += [("int-for-float", IntDistribution(int(low), int(high)))]
        if kind == "int_uniform":
            wrong = [("float-for-int", FloatDistribution(low, high)), ("last-lost", IntDistribution(low, high - 1))]
            wrong += [("past-the-last", IntDistribution(low, high + 1))]
        recognise(distribution, wrong, idea=IDEA, expected=str(want), shown=str(distribution), name=kind)
        fail(f"{kind}을(를) 물은 분포가 다릅니다.", idea=IDEA, expected=want, got=distribution)
    if got != picked and got in [round(picked, digits) for digits in range(7)]:
        fail(idea=IDEA, symptom="value-rounded", expected=repr(picked), got=repr(got), name=kind)
    assert_equal(got, picked, idea=IDEA, message=f"{kind}에서 Trial이 고른 것을 그대로 돌려주지 않습니다.")


@todo("6-1")
@pytest.mark.parametrize(("values", "place"), [(["linear", "cosine", None, 0.25], 1), (LISTS, 1), (LISTS, 0)])
def test_categories_come_back_as_written(load, values, place):
    """고를 값이 목록이나 딕셔너리여도, 파일에 적힌 그대로 돌아옵니다."""
    from nlpbook.sweeps.space import choices

    encoded = choices(values)
    want = CategoricalDistribution(encoded)

    def other_choices(error: Exception) -> None:
        """고를 값들이 달라서 멈췄다면, 적힌 값 그대로였는지 봅니다."""
        if f"not in {tuple(values)}" in str(error):
            fail(idea=IDEA, symptom="raw-choices", expected="space.choices(값들)", got=values)
        if isinstance(error, ValueError) and " not in (" in str(error):
            fail("categorical을 물은 분포가 다릅니다.", idea=IDEA, expected=encoded, got=str(error))

    numbers = when("not a valid type", "index", idea=IDEA, expected="suggest_categorical")
    with explained(other_choices, numbers):
        got, distribution = asked(load, "categorical", encoded[place], values=list(values))
    if distribution is None:
        fail(idea=IDEA, symptom="not-asked", expected=str(want), got="categorical을 묻지 않음", name="categorical")
    if distribution != want:
        if isinstance(distribution, IntDistribution):
            fail(idea=IDEA, symptom="index", expected=want, got=distribution)
        if list(getattr(distribution, "choices", ())) == list(values):
            fail(idea=IDEA, symptom="raw-choices", expected=want, got=distribution)
        fail("categorical을 물은 분포가 다릅니다.", idea=IDEA, expected=want, got=distribution)
    if got == encoded[place] and got != values[place]:
        fail(idea=IDEA, symptom="encoded", expected=values[place], got=repr(got))
    assert_equal(got, values[place], idea=IDEA, message="categorical에서 고른 값이 다릅니다.")


@todo("6-1")
@pytest.mark.parametrize(
    ("kind", "facts", "picked"),
    [
        ("q_uniform", {"min": 8, "max": 56, "q": 8}, 24.0),
        ("q_log_uniform_values", {"min": 6.0, "max": 700.0, "q": 4}, 29.3),
        ("normal", {"mu": 7.0, "sigma": 3.0}, 0.7),
        ("q_normal", {"mu": 24.0, "sigma": 9.0, "q": 5}, 0.31),
        ("log_normal", {"mu": 1.3, "sigma": 0.4}, 0.82),
        ("q_log_normal", {"mu": 2.9, "sigma": 0.6, "q": 3}, 0.44),
        ("inv_log_uniform_values", {"min": 1e-5, "max": 1e-3}, 3e-4),
        ("categorical_w_probabilities", {"values": [3, "글", 7], "probabilities": [0.2, 0.5, 0.3]}, 0.6),
    ],
)
def test_the_rest_is_left_to_the_library(load, kind, facts, picked):
    """나머지 분포도 빠짐없이, 그 분포대로 골라야 합니다."""
    from nlpbook.sweeps.space import suggest_special

    trial = optuna.trial.FixedTrial({NAME: picked})
    value = suggest_special(trial, Parameter(NAME, kind, facts, ""))
    want = trial.distributions[NAME]

    def even_choices(error: Exception) -> None:
        """분위를 고를 값들에서 찾다가 멈췄는지 봅니다."""
        if "values" in facts and isinstance(error, ValueError) and " not in (" in str(error):
            about = {"expected": str(want), "got": "CategoricalDistribution", "name": kind}
            fail(idea=IDEA, symptom="rest-as-ordinary", **about)

    with explained(even_choices):
        got, distribution = asked(load, kind, picked, **facts)
    if got is None:
        fail(idea=IDEA, symptom="rest-forgotten", expected=value, got=f"{kind}에서 None", name=kind)
    if distribution != want:
        low, high = facts.get("min", 0), facts.get("max", 1)
        about = {"idea": IDEA, "expected": str(want), "got": str(distribution), "name": kind}
        ordinary = [FloatDistribution(low, high), FloatDistribution(low, high, log=True) if low > 0 else None]
        if distribution in [*ordinary, IntDistribution(int(low), int(high) or 1)]:
            fail(symptom="rest-as-ordinary", **about)
        fail(f"{kind}을(를) 물은 분포가 다릅니다.", **{name: one for name, one in about.items() if name != "name"})
    if got == picked and got != value and "q" in facts:
        about = {"expected": repr(value), "got": repr(got), "q": facts["q"], "name": kind}
        fail(idea=IDEA, symptom="not-a-multiple", **about)
    if got != value or type(got) is not type(value):
        fail(f"{kind}에서 고른 값이 다릅니다.", idea=IDEA, expected=repr(value), got=repr(got))
