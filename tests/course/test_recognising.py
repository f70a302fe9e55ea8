"""실수를 알아보는 낱말들: 증거가 있을 때만 이름을 부르고, 모르는 것은 그대로 둡니다."""

from __future__ import annotations

import json
import traceback

import pytest
import torch

from course.book.tables import COMMON
from course.checks.recognising import (
    explained,
    recognise,
    require_shape,
    require_tensor,
    require_value,
    sound,
    when,
)
from course.checks.words import CheckFailed
from todo import TodoNotDone

ABOUT = {"idea": "합", "expected": "3"}


def said(function, *args, **more):
    """`function`이 한 말. 아무 말도 하지 않았으면 None."""
    try:
        function(*args, **more)
    except CheckFailed as failure:
        return failure
    return None


def test_first_wrong_value_that_fits_names_the_mistake():
    wrong = [("doubled", 6.0), ("negated", -3.0), ("negated-again", -3.0)]
    failure = said(recognise, torch.tensor(-3.0), wrong, atol=1e-6, idea="합", expected=torch.tensor(3.0), row=2)
    assert (failure.symptom, failure.message, failure.expected, failure.got) == ("negated", "", "3.0000", "-3.0000")
    assert failure.values["row"] == 2


def test_value_that_fits_nothing_gets_no_name():
    assert said(recognise, 4.0, [("doubled", 6.0)], atol=0.1, idea="합", expected=3.0) is None


def test_what_is_shown_can_differ_from_what_is_compared():
    table = torch.arange(12.0)
    failure = said(recognise, table, [("same", table)], atol=0, idea="합", expected="셋째 글", shown=table[:2])
    assert (failure.expected, failure.got) == ("셋째 글", "[0.0000, 1.0000]")


def test_known_error_becomes_the_mistake_at_the_line_that_raised_it():
    with pytest.raises(CheckFailed) as caught, explained(when("ValueError: bad", "bad-value", **ABOUT)):
        raise ValueError("bad value\nand a second line")
    failure = caught.value
    assert (failure.symptom, failure.got) == ("bad-value", "ValueError: bad value")
    assert traceback.extract_tb(failure.__traceback__)[-1].line.startswith("raise ValueError")


def test_got_is_named_by_the_pattern_or_by_the_writer():
    with pytest.raises(CheckFailed) as caught, explained(when("attribute '(?P<got>.+)'", "foreign", **ABOUT)):
        raise AttributeError("no attribute 'wte'")
    assert caught.value.got == "wte"
    with pytest.raises(CheckFailed) as caught, explained(when("no", "foreign", **ABOUT, got="남의 이름")):
        raise AttributeError("no")
    assert caught.value.got == "남의 이름"


def test_error_can_be_known_by_the_file_it_stopped_in():
    known = when("", "not-json", **ABOUT, at="decoder.py")
    with pytest.raises(CheckFailed, match="not-json"), explained(known):
        json.loads("{")
    with pytest.raises(ValueError, match="elsewhere"), explained(known):
        raise ValueError("elsewhere")


@pytest.mark.parametrize(
    "error", [KeyError("nothing"), TodoNotDone("1-1", "step1.py", 3), CheckFailed("다릅니다.", idea="합")]
)
def test_unknown_errors_empty_todos_and_verdicts_pass_through(error):
    known = when("TODO|다릅니다", "wrong", **ABOUT)
    with pytest.raises(type(error)) as caught, explained(known):
        raise error
    assert caught.value is error


def test_sound_asks_and_swallows():
    assert sound(lambda: True)
    assert not sound(lambda: False)
    assert not sound(lambda: 1 / 0)


def test_shapes_and_kinds_are_told():
    assert said(require_tensor, torch.zeros(1), "x") is None
    failure = said(require_tensor, None, "logits", symptom="not-tensor")
    assert (failure.got, failure.symptom) == ("None", "not-tensor")
    shaped = {"idea": "축", "what": "logits", "wrong": {(3, 2): "transposed"}}
    assert said(require_shape, torch.zeros(2, 3), (2, 3), **shaped) is None
    assert said(require_shape, torch.zeros(3, 2), (2, 3), **shaped).symptom == "transposed"
    failure = said(require_shape, torch.zeros(6), (2, 3), **shaped)
    assert (failure.symptom, failure.message) == (None, "logits의 모양이 다릅니다.")


@pytest.mark.parametrize(("value", "symptom"), [(None, "empty"), (..., "empty"), ((3,), "comma"), (len, "not-called")])
def test_what_is_not_yet_a_value_is_told_in_the_words_of_every_todo(value, symptom):
    failure = said(require_value, value, "self.data")
    name, says = COMMON[symptom]
    assert failure.symptom == symptom
    assert name and says.format(**failure.values).startswith("self.data에")


def test_values_pass():
    assert require_value((1, 2), "x") == (1, 2)
    assert require_value(0, "x") == 0


def test_failure_needs_words_or_a_symptom():
    with pytest.raises(TypeError, match="symptom"):
        CheckFailed(idea="합")
