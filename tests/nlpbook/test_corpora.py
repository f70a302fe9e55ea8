"""말뭉치: 폴더 찾기, NSMC를 한 줄도 잃지 않고 읽기, Korpora로 내려받기."""

from __future__ import annotations

import os
import unicodedata
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from nlpbook import corpora
from nlpbook.corpora import find_corpus, read_nsmc
from nlpbook.errors import UserError

HEADER = "id\tdocument\tlabel\n"
BOM = b"\xef\xbb\xbf"


def texts_of(examples) -> list[str]:
    return [example.text for example in examples]


@pytest.mark.parametrize(
    "text",
    [
        '"따옴표로 시작',
        '끝나는 "',
        '"',
        "",
        "줄\u2028구분",
        "단락\u2029구분",
        "다음\x85줄",
        "세로\x0b탭\x0c",
        "쉼표, 와 'ㅋ'",
    ],
    ids=ascii,
)
def test_no_review_is_lost_merged_or_altered(write_reviews, text):
    reviews = [("앞", "0"), (text, "1"), ('다음 줄의 "', "0"), ("뒤", "1")]
    examples = read_nsmc(write_reviews("reviews.txt", reviews))
    assert [(example.text, example.label) for example in examples] == reviews


@pytest.mark.parametrize("text", [" ", "\u200b\u200d", "\ufeff", "\u3164 \u115f", "\x01\x7f"], ids=ascii)
def test_a_review_without_a_visible_character_is_an_empty_row(write_reviews, text):
    examples = read_nsmc(write_reviews("reviews.txt", [("앞", "0"), (text, "1"), ("뒤", "1")]))
    assert [(one.text, one.label) for one in examples] == [("앞", "0"), ("", "1"), ("뒤", "1")]


def test_a_decomposed_review_is_composed(write_reviews):
    spread = unicodedata.normalize("NFD", "배우들 연기가 좋아서")
    assert texts_of(read_nsmc(write_reviews("reviews.txt", [(spread, "1")]))) == ["배우들 연기가 좋아서"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="이름 있는 파이프가 없는 운영체제입니다")
def test_a_pipe_is_refused_before_it_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(UserError, match=r"pipe\.txt.*파이프"):
        read_nsmc(tmp_path / "pipe.txt")


def test_bom_and_crlf_are_accepted(tmp_path):
    path = tmp_path / "windows.txt"
    path.write_bytes(BOM + "id\tdocument\tlabel\r\n1\t좋다\t1\r\n2\t나쁘다\t0\r\n".encode())
    assert [(one.text, one.label) for one in read_nsmc(path)] == [("좋다", "1"), ("나쁘다", "0")]


def test_the_last_line_may_lack_its_newline(tmp_path):
    path = tmp_path / "reviews.txt"
    path.write_text(HEADER + "1\t좋다\t1", encoding="utf-8")
    assert texts_of(read_nsmc(path)) == ["좋다"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param((HEADER + "1\t좋다\t1\n2\t라벨 없음\n").encode(), "3번째 줄의 열이 2개", id="missing column"),
        pytest.param((HEADER + "1\t탭\t하나 더\t1\n").encode(), "2번째 줄의 열이 4개", id="extra column"),
        pytest.param((HEADER + "1\t좋다\t1\n\n2\t좋다\t1\n").encode(), "3번째 줄의 열이 1개", id="empty line"),
        pytest.param((HEADER + "1\t좋다\t1\n2\t좋다\t2\n").encode(), "3번째 줄의 라벨이 '2'", id="unknown label"),
        pytest.param((HEADER + "1\t좋다\t1 \n").encode(), "2번째 줄의 라벨이 '1 '", id="label with a space"),
        pytest.param("번호\t글\t라벨\n1\t좋다\t1\n".encode(), "첫 줄은", id="other header"),
        pytest.param("1\t좋다\t1\n".encode(), "첫 줄은", id="no header"),
        pytest.param(b"", "비어 있습니다", id="empty file"),
        pytest.param(BOM, "비어 있습니다", id="BOM alone"),
        pytest.param(HEADER.encode(), "예문이 없습니다", id="header alone"),
        pytest.param(
            (HEADER + "1\t좋다\t1\n2\t나쁘다\t0\n").encode("cp949"), "2번째 줄이 UTF-8이 아닙니다", id="CP949"
        ),
        pytest.param(
            BOM + HEADER.encode() + b"1\tok\t1\n\xff\tbad\t0\n",
            "3번째 줄이 UTF-8이 아닙니다",
            id="bad byte after a BOM",
        ),
    ],
)
def test_a_bad_file_is_reported_with_its_name_and_line(tmp_path, content, said):
    path = tmp_path / "reviews.txt"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_nsmc(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_a_missing_file_is_reported_with_its_name(tmp_path):
    with pytest.raises(UserError, match="없습니다.*nowhere.txt"):
        read_nsmc(tmp_path / "nowhere.txt")


# ── 폴더 찾기 ──

NEEDED = ["ratings_train.txt", "ratings_test.txt"]


@pytest.fixture
def place(write_reviews, monkeypatch, tmp_path):
    """`place("a/nsmc")`는 거기에 학습과 평가 파일을 둡니다. 내장 폴더와 Korpora의 폴더도 임시 폴더로 옮깁니다."""
    monkeypatch.setattr(corpora, "DATA", tmp_path / "embedded")
    monkeypatch.setattr(corpora, "korpora_home", lambda: tmp_path / "korpora")

    def put(folder: str, files: list[str] = NEEDED) -> Path:
        for file in files:
            write_reviews(f"{folder}/{file}", [(f"{folder}의 첫 리뷰", "1"), (f"{folder}의 둘째 리뷰", "0")])
        return tmp_path / folder

    return put


def test_corpus_is_looked_for_under_home_then_embedded_then_in_korpora(place, tmp_path):
    korpora = place("korpora/nsmc")
    assert find_corpus(tmp_path / "home", "nsmc", NEEDED) == korpora
    embedded = place("embedded/nsmc")
    assert find_corpus(tmp_path / "home", "nsmc", NEEDED) == embedded
    own = place("home/nsmc")
    assert find_corpus(tmp_path / "home", "nsmc", NEEDED) == own


def test_home_may_be_the_corpus_folder_itself(place):
    own = place("reviews")
    assert find_corpus(own, "reviews", NEEDED) == own


def test_home_is_not_taken_for_a_corpus_of_another_name(place):
    own = place("reviews")
    with pytest.raises(UserError, match="movies"):
        find_corpus(own, "movies", NEEDED)


def test_a_complete_folder_wins_over_a_nearer_partial_one(place, tmp_path):
    place("home/nsmc", ["ratings_train.txt"])
    complete = place("korpora/nsmc")
    assert find_corpus(tmp_path / "home", "nsmc", NEEDED) == complete


def test_an_unknown_corpus_names_the_folder_and_the_ways_out(place, tmp_path):
    with pytest.raises(UserError) as caught:
        find_corpus(tmp_path, "nothing", NEEDED)
    for word in (str(tmp_path / "nothing"), *NEEDED, "--data_name nsmc-sample"):
        assert word in str(caught.value)


# ── Korpora ──


@pytest.fixture
def upstream(serving, monkeypatch):
    """Korpora가 내려받는 곳을 흉내 낸 서버. `files`의 내용을 보내고 받은 요청을 `asked`에 적습니다."""
    from Korpora import korpus_nsmc

    class Upstream(BaseHTTPRequestHandler):
        files = {name: (HEADER + f"1\t{name}에서 온 리뷰\t1\n2\t둘째\t0\n").encode() for name in NEEDED}
        asked: list[str] = []
        cut = 0  # 보내지 않고 끊을 바이트 수

        def do_GET(self) -> None:
            name = self.path.strip("/")
            self.asked.append(name)
            if name not in self.files:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.files[name])))
            self.end_headers()
            self.wfile.write(self.files[name][: len(self.files[name]) - self.cut])

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "*")
    with serving(Upstream) as url:
        for one in korpus_nsmc.NSMC_FETCH_INFORMATION:
            monkeypatch.setitem(one, "url", f"{url}/{Path(one['destination']).name}")
        yield Upstream


def test_a_corpus_that_is_nowhere_is_fetched_into_home(place, upstream, tmp_path):
    folder = find_corpus(tmp_path / "home", "nsmc", NEEDED)
    assert folder == tmp_path / "home" / "nsmc"
    assert upstream.asked.count("ratings_test.txt") > 0
    assert texts_of(read_nsmc(folder / "ratings_test.txt"))[0] == "ratings_test.txt에서 온 리뷰"
    assert {path.name for path in folder.iterdir()} == set(NEEDED)


def test_complete_local_files_need_no_network(place, upstream, tmp_path):
    place("home/nsmc")
    corpora.fetch_nsmc(tmp_path / "home")
    find_corpus(tmp_path / "home", "nsmc", NEEDED)
    assert upstream.asked == []


@pytest.mark.parametrize("home", ["home", "korpora"])
def test_only_the_missing_file_is_fetched(place, upstream, tmp_path, home):
    folder = place(f"{home}/nsmc", ["ratings_train.txt"])
    assert find_corpus(tmp_path / "home", "nsmc", NEEDED) == folder
    assert set(upstream.asked) == {"ratings_test.txt"}
    assert texts_of(read_nsmc(folder / "ratings_train.txt"))[0] == f"{home}/nsmc의 첫 리뷰"
    assert texts_of(read_nsmc(folder / "ratings_test.txt"))[0] == "ratings_test.txt에서 온 리뷰"


def test_an_own_file_name_in_a_partial_folder_fetches_nothing(place, upstream, tmp_path):
    folder = place("home/nsmc", ["ratings_test.txt"])
    assert find_corpus(tmp_path / "home", "nsmc", ["small.txt", "ratings_test.txt"]) == folder
    assert upstream.asked == []


def test_an_error_page_is_not_taken_for_a_corpus(place, upstream, tmp_path):
    upstream.files = dict.fromkeys(NEEDED, b"<html>502 Bad Gateway</html>")
    assert_fetch_fails_cleanly(tmp_path / "home")


def test_a_download_cut_short_leaves_nothing(place, upstream, tmp_path):
    upstream.cut = 4
    assert_fetch_fails_cleanly(tmp_path / "home")


def test_a_file_that_is_gone_upstream_leaves_nothing(place, upstream, tmp_path):
    upstream.files = {}
    assert_fetch_fails_cleanly(tmp_path / "home")


def test_no_server_leaves_nothing(place, monkeypatch, closed_port, tmp_path):
    from Korpora import korpus_nsmc

    monkeypatch.setenv("no_proxy", "*")
    for one in korpus_nsmc.NSMC_FETCH_INFORMATION:
        monkeypatch.setitem(one, "url", f"http://127.0.0.1:{closed_port}/{Path(one['destination']).name}")
    assert_fetch_fails_cleanly(tmp_path / "home")


def assert_fetch_fails_cleanly(home: Path) -> None:
    """무엇을 어디에 두면 되는지 알리고, 반쪽 파일을 남기지 않습니다."""
    with pytest.raises(UserError) as caught:
        find_corpus(home, "nsmc", NEEDED)
    for word in ("http://127.0.0.1", str(home / "nsmc" / "ratings_train.txt"), "--data_name nsmc-sample"):
        assert word in str(caught.value)
    assert list((home / "nsmc").iterdir()) == []
