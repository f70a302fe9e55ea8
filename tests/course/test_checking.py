"""검사를 쓰는 낱말들."""

from __future__ import annotations

import pytest

from course.checks.words import CheckFailed, assert_close, fail, known_as


def test_a_stand_in_is_called_by_the_name_of_the_real_one():
    @known_as("Prediction")
    class FakePrediction:
        def label(self):
            return "긍정"

    with pytest.raises(TypeError, match="'Prediction' object is not subscriptable"):
        FakePrediction()["label"]
    with pytest.raises(AttributeError, match="'Prediction' object has no attribute 'text'"):
        FakePrediction().text  # noqa: B018
    with pytest.raises(TypeError, match=r"^Prediction\.label\(\) takes 1 positional argument"):
        FakePrediction().label("부정")
    assert FakePrediction().label() == "긍정"


def test_two_tensors_of_one_shape_are_told_apart_by_how_much_they_differ():
    import torch

    with pytest.raises(CheckFailed) as caught:
        assert_close(torch.ones(3, 4), torch.zeros(3, 4), atol=0.1, idea="값", message="다릅니다.")
    assert (caught.value.expected, caught.value.got) == ("옳은 값과의 차이 0", "가장 큰 차이 1")


def test_what_was_expected_is_not_shown_when_it_reads_like_what_came():
    with pytest.raises(CheckFailed) as caught:
        fail("다릅니다.", idea="값", expected="모양 (2, 3)", got="모양 (2, 3)")
    assert caught.value.expected == caught.value.got == ""
    with pytest.raises(CheckFailed) as caught:
        fail("다릅니다.", idea="값", expected="2", got="3")
    assert (caught.value.expected, caught.value.got) == ("2", "3")
