"""웹 서비스: 어떤 요청에도 JSON으로, 잘못된 요청에는 4xx로 답합니다."""

from __future__ import annotations

import socket
import unicodedata
from types import SimpleNamespace

import pytest

from course.checks.loading import load_step
from nlpbook.classification.config import ServeConfig
from nlpbook.errors import UserError
from nlpbook.paths import ROOT
from nlpbook.serving import MAX_CHARACTERS, listen, new_app, require_servable

SOLUTION = ROOT / "solutions" / "task1-cls"


class Positive:
    """무엇을 물어도 긍정이라 하고, 들은 문장을 적어 두는 모델."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def eval(self) -> Positive:
        return self

    def infer_one(self, text: str) -> SimpleNamespace:
        self.heard.append(text)
        return SimpleNamespace(label="긍정", negative=0.25, positive=0.75)


@pytest.fixture(scope="module")
def step5():
    if not SOLUTION.is_dir():
        pytest.skip("해답이 없는 배포판입니다")
    return load_step(SOLUTION, "step5_cli_and_serving")


@pytest.fixture
def model() -> Positive:
    return Positive()


@pytest.fixture
def client(step5, model):
    config = ServeConfig()
    config.env.job_name = "<script>alert(1)</script>"
    return step5.build_web_app(model, config).test_client()


@pytest.mark.parametrize(
    "body",
    ['"재미있어요"', '{"text": "재미있어요"}', '{"text": " 재미있어요\\n", "more": 1}', '\ufeff"재미있어요"'],
)
def test_a_sentence_comes_as_a_string_or_as_text(client, model, body):
    response = client.post("/api", data=body.encode())
    assert response.status_code == 200
    assert response.get_json() == {"sentence": "재미있어요", "prediction": "긍정", "negative": 0.25, "positive": 0.75}
    assert "재미있어요" in response.get_data(as_text=True)
    assert model.heard == ["재미있어요"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="no body"),
        pytest.param("재미있어요".encode(), 400, id="not JSON"),
        pytest.param(b'{"text": "', 400, id="cut short"),
        pytest.param('"재미"'.encode("cp949"), 400, id="CP949"),
        pytest.param(b"[" * 60_000, 400, id="nested too deep"),
        pytest.param(b"1" * 5_000, 400, id="number of 5,000 digits"),
        pytest.param(b'""', 422, id="empty"),
        pytest.param(b'{"text": " \\n\\t"}', 422, id="blank"),
        pytest.param('{"text": "\u200b\ufeff"}'.encode(), 422, id="zero width"),
        pytest.param('"\u3164 \u115f"'.encode(), 422, id="Hangul fillers"),
        pytest.param(b'"\\u0000\\u001f"', 422, id="control characters"),
        pytest.param(b"3", 422, id="number"),
        pytest.param(b"null", 422, id="null"),
        pytest.param(b'["a"]', 422, id="list"),
        pytest.param(b'{"sentence": "a"}', 422, id="no text"),
        pytest.param(b'{"text": ["a"]}', 422, id="list as text"),
        pytest.param(b'"' + b"a" * (MAX_CHARACTERS + 1) + b'"', 422, id="too long"),
        pytest.param(b'"' + b"a" * 10_000_000 + b'"', 413, id="10 MB"),
    ],
)
def test_a_bad_request_is_answered_with_4xx_and_a_korean_error(client, model, body, status):
    response = client.post("/api", data=body)
    assert response.status_code == status
    assert any("가" <= letter <= "힣" for letter in response.get_json()["error"])
    assert model.heard == []


@pytest.mark.parametrize("text", ["a" * MAX_CHARACTERS, "ㅋ", "🎬", "<b>", "a\x00"])
def test_unusual_sentences_are_still_sentences(client, model, text):
    assert client.post("/api", json={"text": text}).get_json()["sentence"] == text


def test_a_decomposed_sentence_is_asked_and_answered_composed(client, model):
    spread = unicodedata.normalize("NFD", "연기가 좋아서")
    assert client.post("/api", json={"text": spread}).get_json()["sentence"] == "연기가 좋아서"
    assert model.heard == ["연기가 좋아서"]


def test_the_limit_counts_composed_characters(client):
    assert client.post("/api", json={"text": unicodedata.normalize("NFD", "각" * MAX_CHARACTERS)}).status_code == 200


def test_a_body_that_is_not_utf8_is_named_as_such(client):
    response = client.post("/api", data='"재미"'.encode("cp949"))
    assert "UTF-8" in response.get_json()["error"]


def test_half_a_surrogate_pair_does_not_break_the_answer(client):
    response = client.post("/api", data=b'"good \\ud83d"')
    assert (response.status_code, response.get_json()["sentence"]) == (200, "good ?")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("POST", "/nowhere", 404), ("GET", "/api", 405), ("DELETE", "/", 405)],
)
def test_wrong_addresses_and_methods_are_answered_in_json(client, method, path, status):
    response = client.open(path, method=method)
    assert response.status_code == status
    assert set(response.get_json()) == {"error"}


def test_health_says_which_model_is_serving(client):
    response = client.get("/healthz")
    assert response.get_json() == {"status": "ok", "model": "<script>alert(1)</script>"}


def test_the_page_shows_the_model_name_escaped(client):
    page = client.get("/").get_data(as_text=True)
    assert "영화 리뷰 감성분석" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page


@pytest.mark.parametrize("page", ["serve_clss.html", "../README.md", "", ".", "없음.html"])
def test_a_page_that_cannot_be_shown_is_refused_before_the_model_is_read(page):
    with pytest.raises(UserError, match=r"있는 것:.*serve_cls\.html"):
        require_servable(page, "127.0.0.1", 9164)


def test_a_taken_port_is_refused_before_the_model_is_read():
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        with pytest.raises(UserError, match="--server_port"):
            require_servable("serve_cls.html", "127.0.0.1", busy.getsockname()[1])


def test_a_busy_port_is_reported_with_what_to_do():
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(UserError, match=rf"{port}.*--server_port"):
            listen(new_app("시험"), "127.0.0.1", port, threads=1)


def test_an_address_that_is_not_ours_is_reported(closed_port):
    with pytest.raises(UserError, match="--server_port"):
        listen(new_app("시험"), "203.0.113.1", closed_port, threads=1)  # 문서용 주소(RFC 5737)


def test_an_answer_says_how_much_of_a_long_sentence_was_read(step5, model):
    from nlpbook.classification.limits import reading_of
    from nlpbook.pretrained import resolve_pretrained

    auto = pytest.importorskip("transformers").AutoTokenizer
    tokenizer = auto.from_pretrained(resolve_pretrained("ko-bert-tiny"))
    client = step5.build_web_app(model, ServeConfig(), reading_of(tokenizer, seq_len=9)).test_client()
    short = client.post("/api", json="좋아요").get_json()
    long = client.post("/api", json="연기가 좋아요 " * 30).get_json()
    assert short["tokens"] == short["tokens_read"] > 0
    assert long["tokens"] > long["tokens_read"] == 9 - 2  # [CLS]와 [SEP]이 두 자리를 씁니다.
