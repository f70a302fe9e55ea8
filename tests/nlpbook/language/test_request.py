"""웹 요청에서 앞글과 고르는 법을 읽기."""

from __future__ import annotations

import json
import unicodedata

import pytest
from flask import Flask, request
from werkzeug.exceptions import BadRequest, HTTPException

from nlpbook.language.request import read_generation
from nlpbook.language.sampling import Sampling
from nlpbook.serving import MAX_BYTES, MAX_CHARACTERS


def read(body: object, limit: int = 512):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with Flask("시험").test_request_context(method="POST", data=data):
        return read_generation(request, limit)


def test_a_request_may_say_only_the_prompt():
    assert read({"prompt": "옛날"}) == ("옛날", Sampling(), False)
    assert read({"prompt": ""}, limit=7) == ("", Sampling(max_tokens=7), False)


def test_everything_about_choosing_can_be_said():
    wanted = {"max_tokens": 5, "temperature": 0, "top_k": 3, "top_p": 0.5, "repetition_penalty": 2, "seed": 9}
    assert read({"prompt": "a", "stream": True, **wanted}) == ("a", Sampling(**wanted), True)


def test_a_decomposed_prompt_is_composed_and_an_invisible_one_is_empty():
    assert read({"prompt": unicodedata.normalize("NFD", "옛날 옛적에")})[0] == "옛날 옛적에"
    assert read({"prompt": "\u200b\u3164"})[0] == ""


def test_a_bom_and_half_a_surrogate_pair_do_no_harm():
    assert read(b'\xef\xbb\xbf{"prompt": "a\\ud83d"}')[0] == "a?"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        pytest.param(b"", 400, "JSON", id="no body"),
        pytest.param("옛날".encode(), 400, "JSON", id="not JSON"),
        pytest.param('{"prompt": "옛날"}'.encode("cp949"), 400, "JSON", id="CP949"),
        pytest.param(b"[" * 60_000, 400, "JSON", id="nested too deep"),
        pytest.param(b'{"prompt": "a", "seed": ' + b"1" * 5000 + b"}", 400, "JSON", id="number of 5,000 digits"),
        pytest.param([], 422, "앞글", id="list"),
        pytest.param("옛날", 422, "앞글", id="string"),
        pytest.param({}, 422, "앞글", id="no prompt"),
        pytest.param({"prompt": 3}, 422, "앞글", id="number as prompt"),
        pytest.param({"prompt": "a", "stream": "yes"}, 422, "stream", id="stream is no boolean"),
        pytest.param({"prompt": "a", "stream": 1}, 422, "stream", id="stream is a number"),
        pytest.param({"prompt": "a" * (MAX_CHARACTERS + 1)}, 422, "2,000자", id="too long"),
        pytest.param({"prompt": "a", "temprature": 1}, 422, "temprature", id="misspelt"),
        pytest.param({"prompt": "a", "max_tokens": 513}, 422, "512", id="more than the server allows"),
        pytest.param({"prompt": "a", "max_tokens": 0}, 422, "max_tokens", id="no tokens"),
        pytest.param({"prompt": "a", "max_tokens": True}, 422, "max_tokens", id="true tokens"),
        pytest.param({"prompt": "a", "max_tokens": None}, 422, "max_tokens", id="null tokens"),
        pytest.param({"prompt": "a", "temperature": -1}, 422, "temperature", id="negative temperature"),
        pytest.param({"prompt": "a", "temperature": float("nan")}, 422, "temperature", id="NaN"),
        pytest.param({"prompt": "a", "top_p": 1.1}, 422, "top_p", id="top_p"),
        pytest.param({"prompt": "a", "top_k": 2.5}, 422, "top_k", id="top_k"),
        pytest.param({"prompt": "a", "seed": -1}, 422, "seed", id="seed"),
        pytest.param(b'{"prompt": "' + b"a" * MAX_BYTES + b'"}', 413, "", id="64 KB"),
    ],
)
def test_a_bad_request_is_answered_with_4xx_saying_what_is_wrong(body, status, said):
    with pytest.raises(HTTPException) as caught:
        read(body)
    assert caught.value.code == status
    assert said in caught.value.description


def test_a_bad_body_shows_a_good_one():
    with pytest.raises(BadRequest, match="prompt"):
        read(b"{")
