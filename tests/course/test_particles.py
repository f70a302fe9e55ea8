"""조사는 앞말의 소리에 맞습니다."""

from __future__ import annotations

import pytest

from console_text import filled, with_particles


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("TODO 1-1을(를)", "TODO 1-1을"),
        ("TODO 1-2을(를)", "TODO 1-2를"),
        ("3(으)로", "3으로"),
        ("7(으)로", "7로"),
        ("100(으)로", "100으로"),
        ("길(으)로", "길로"),
        ("값(으)로", "값으로"),
        ("함수(이)라는", "함수라는"),
        ("값(이)라는", "값이라는"),
        ("int와(과) str은(는)", "int와 str는"),
        ("None이(가)", "None이"),
        ("file을(를)", "file을"),
        ("logits이(가)", "logits가"),
        ("softmax은(는)", "softmax는"),
        ("step1_numbers.py이(가)", "step1_numbers.py가"),
        ("'nope'이(가)", "'nope'가"),
        ("config은(는)", "config는"),
        ("tag을(를)", "tag를"),
        ("tab을(를)", "tab을"),
        ("`labels`을(를)", "`labels`를"),
        ("(2, 3)이(가)", "(2, 3)이"),
        ("70%은(는)", "70%는"),
        ("문장에는 조사가 없습니다(정말로).", "문장에는 조사가 없습니다(정말로)."),
    ],
)
def test_both_forms_become_the_one_that_fits(written, read):
    assert with_particles(written) == read


@pytest.mark.parametrize(
    ("template", "values", "read"),
    [
        ("{got}로 나눕니다.", {"got": 3}, "3으로 나눕니다."),
        ("{got}을 냈습니다.", {"got": "2개"}, "2개를 냈습니다."),
        ("{a}이어야 하는데 {b}이었습니다.", {"a": 2, "b": 4.0}, "2여야 하는데 4.0이었습니다."),
        ("{n:.2f}가 나왔습니다.", {"n": 0.51}, "0.51이 나왔습니다."),
        ("{name}이(가) 없습니다.", {"name": "area"}, "area가 없습니다."),
        ("{got}이야기, {got}과목", {"got": "값"}, "값이야기, 값과목"),
        ("{name!r}을 봅니다.", {"name": "x"}, "'x'를 봅니다."),
        ("{{그대로}} {got}", {"got": "[]"}, "{그대로} []"),
        ("{got}이 빈 글입니다.", {"got": ""}, "이 빈 글입니다."),
    ],
)
def test_particle_after_a_value_follows_the_value(template, values, read):
    assert filled(template, values) == read


def test_numbered_places_are_filled_too():
    assert filled("{1}은 {2}로", {}, "", "층", "수") == "층은 수로"


def test_unknown_name_is_an_error():
    with pytest.raises(KeyError):
        filled("{없는_것}", {})
