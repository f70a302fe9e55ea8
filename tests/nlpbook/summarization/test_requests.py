"""웹 요청에서 대화를 읽기: 이름은 태그가 되고, 상한을 넘는 것은 한 문장으로 거절합니다."""

from __future__ import annotations

import json
import unicodedata

import pytest
from flask import Flask, request
from werkzeug.exceptions import BadRequest, HTTPException, UnprocessableEntity

from nlpbook.summarization.requests import Asked, Limits, read_summarization

LIMITS = Limits(speakers=("#Person1#", "#Person2#", "#Person3#"), turns=5, characters=60, num_beams=6, max_length=70)


def read(body: object) -> Asked:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with Flask("시험").test_request_context(method="POST", data=data):
        return read_summarization(request, LIMITS, num_beams=4, max_length=50)


def test_a_request_may_say_only_the_dialogue():
    asked = read({"dialogue": "민수: 세 시에 볼까?\n지영: 좋아"})
    assert (asked.num_beams, asked.max_length) == (4, 50)
    assert asked.dialogue == "#Person1#: 세 시에 볼까?\n#Person2#: 좋아"
    assert [turn.speaker for turn in asked.turns] == ["민수", "지영"]


def test_beams_and_length_can_be_said():
    asked = read({"dialogue": "가: 나", "num_beams": 1, "max_length": 70})
    assert (asked.num_beams, asked.max_length) == (1, 70)


def test_names_become_tags_in_the_order_they_appear_and_tags_stay():
    asked = read({"dialogue": "#Person2#: 하나\n두리: 둘\n세진: 셋\n두리: 넷"})
    assert [turn.tag for turn in asked.turns] == ["#Person2#", "#Person1#", "#Person3#", "#Person1#"]


def test_a_line_without_a_name_belongs_to_the_one_before():
    asked = read({"dialogue": "김 대리: 여보세요\n\n  안 들리나요\r\n박 과장 ：네"})
    assert [turn.text for turn in asked.turns] == ["여보세요 안 들리나요", "네"]
    assert [turn.speaker for turn in asked.turns] == ["김 대리", "박 과장"]


def test_only_the_first_colon_parts_the_name():
    assert read({"dialogue": "가: 12:30에: 봐요"}).turns[0].text == "12:30에: 봐요"


def test_an_empty_turn_is_no_turn_and_a_decomposed_one_is_composed():
    asked = read({"dialogue": unicodedata.normalize("NFD", "민수: 네\n지영:   \n민수: 그래요")})
    assert asked.dialogue == "#Person1#: 네\n#Person1#: 그래요"


@pytest.mark.parametrize("body", [b"", b"\xff", "민수: 네".encode(), b'{"dialogue": "'])
def test_what_is_no_json_is_a_bad_request(body):
    with pytest.raises(BadRequest):
        read(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "문자열"),
        ({"dialogue": 3}, "문자열"),
        ({"dialogue": ["가: 나"]}, "문자열"),
        ("가: 나", "문자열"),
        ({"dialogue": ""}, "비어"),
        ({"dialogue": "\u200b\n\u3164"}, "비어"),
        ({"dialogue": "가:\n나: "}, "비어"),
        ({"dialogue": "가: \u200b"}, "비어"),
        ({"dialogue": "\u200b: 네"}, "이름: 말"),
        ({"dialogue": "그냥 적은 글"}, "이름: 말"),
        ({"dialogue": "\n".join(f"가: {n}" for n in range(6))}, "6마디"),
        ({"dialogue": "가: " + "나" * 60}, "60자"),
        ({"dialogue": "가: 1\n나: 2\n다: 3\n라: 4"}, "3명"),
        ({"dialogue": "#Person9#: 네"}, "#Person9#"),
        ({"dialogue": "가: 나", "beams": 3}, "beams"),
        ({"dialogue": "가: 나", "num_beams": 0}, "1에서 6"),
        ({"dialogue": "가: 나", "num_beams": 7}, "1에서 6"),
        ({"dialogue": "가: 나", "num_beams": True}, "정수"),
        ({"dialogue": "가: 나", "num_beams": 2.5}, "정수"),
        ({"dialogue": "가: 나", "max_length": 71}, "2에서 70"),
        ({"dialogue": "가: 나", "max_length": None}, "정수"),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence(body, said):
    with pytest.raises(UnprocessableEntity) as refused:
        read(body)
    assert said in str(refused.value.description)


def test_a_huge_body_is_refused_before_it_is_read():
    with pytest.raises(HTTPException) as refused:
        read(b'"' + b"a" * 70_000 + b'"')
    assert refused.value.code == 413
