"""검사를 쓰는 낱말들."""

from __future__ import annotations

import pytest

from course.checking import known_as


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
