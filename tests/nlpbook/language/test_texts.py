"""글: 파일과 폴더와 이름, 줄마다 한 조각, 나누기, 알아볼 수 없는 글, 내려받기."""

from __future__ import annotations

import io
import json
import os
import socket
import tracemalloc
import unicodedata
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path

import pytest

from nlpbook import corpora
from nlpbook.errors import UserError
from nlpbook.language import texts
from nlpbook.language.texts import LONGEST_PIECE, Piece, TextCorpus
from nlpbook.paths import DATA

BOM = b"\xef\xbb\xbf"
LINES = ["첫 줄입니다.\n", "\n", "둘째 줄 😀\n", "a\n", "줄\u2028구분과 \x85 문자\n", "끝\n"]


@pytest.fixture
def put(tmp_path) -> Callable[[str, str | bytes], Path]:
    """`put("이름", 내용)`은 임시 폴더에 파일을 쓰고 그 경로를 돌려줍니다."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def texts_of(corpus: TextCorpus) -> list[str]:
    return [piece.text for piece in corpus.pieces()]


def endings(corpus: TextCorpus) -> list[str]:
    """문서의 마지막 조각들."""
    return [piece.text for piece in corpus.pieces() if piece.ends_document]


# ── 파일과 폴더 ──


def test_each_line_of_a_file_is_a_piece_and_the_file_one_document(put):
    corpus = TextCorpus(put("book.txt", "".join(LINES)))
    assert texts_of(corpus) == LINES
    assert endings(corpus) == LINES[-1:]
    assert corpus.name == "book"
    assert corpus.num_bytes == len("".join(LINES).encode())
    assert repr(corpus) == f"book (1개 파일, {corpus.num_bytes:,}바이트)"


def test_the_last_line_may_lack_its_newline(put):
    corpus = TextCorpus(put("book.txt", "앞\n뒤"))
    assert list(corpus.pieces()) == [Piece("앞\n"), Piece("뒤", ends_document=True)]


def test_bom_and_crlf_do_not_reach_the_model(put):
    corpus = TextCorpus(put("windows.txt", BOM + "첫 줄\r\n둘째\r\n".encode()))
    assert texts_of(corpus) == ["첫 줄\n", "둘째\n"]
    assert corpus.num_bytes == len("첫 줄\n둘째\n".encode())


def test_a_bom_inside_the_text_is_kept(put):
    assert texts_of(TextCorpus(put("book.txt", "앞\n\ufeff뒤\n"))) == ["앞\n", "\ufeff뒤\n"]


@pytest.mark.parametrize("length", [LONGEST_PIECE - 1, LONGEST_PIECE, LONGEST_PIECE + 1, 3 * LONGEST_PIECE + 5])
def test_a_very_long_line_flows_in_pieces_and_is_still_one_document(put, length):
    line = "가나다😀 " * (length // 5) + "끝" * (length % 5)
    corpus = TextCorpus(put("book.txt", f"앞\n{line}\n뒤\n"))
    pieces = texts_of(corpus)
    assert "".join(pieces) == f"앞\n{line}\n뒤\n"
    assert pieces[0] == "앞\n"
    assert pieces[-1] == "뒤\n"
    assert max(map(len, pieces)) <= LONGEST_PIECE
    assert endings(corpus) == ["뒤\n"]


def test_a_folder_is_read_by_name_with_one_document_a_file(put, tmp_path, capsys):
    put("stories/b.txt", "둘\n")
    put("stories/a.txt", "하나\n하나 더\n")
    put("stories/README.md", "읽지 않을 글\n")
    corpus = TextCorpus(tmp_path / "stories")
    assert texts_of(corpus) == ["하나\n", "하나 더\n", "둘\n"]
    assert endings(corpus) == ["하나 더\n", "둘\n"]
    assert corpus.name == "stories"
    assert capsys.readouterr().out == ""


def test_sub_folders_and_every_case_of_the_suffix_are_read_and_said(put, tmp_path, capsys):
    put("stories/b.TXT", "둘\n")
    put("stories/a/z.Txt", "하나\n")
    put("stories/c/d/e.txt", "셋\n")
    assert texts_of(TextCorpus(tmp_path / "stories")) == ["하나\n", "둘\n", "셋\n"]
    assert ".txt 파일 3개를 읽습니다(하위 폴더 2개에서도)." in capsys.readouterr().out


def test_what_is_skipped_is_counted_in_one_line(put, tmp_path, capsys):
    put("stories/a.txt", "하나\n")
    for name in ("._a.txt", ".DS_Store", ".git/HEAD.txt", "__MACOSX/a.txt", "b.docx", "c.md", "d.MD", "e"):
        put(f"stories/{name}", b"\xff\x00")
    assert texts_of(TextCorpus(tmp_path / "stories")) == ["하나\n"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    for word in ("숨김 파일 4개", ".docx 1개", ".md 2개", "확장자 없는 파일 1개"):
        assert word in lines[0]


def test_a_folder_with_only_hidden_texts_says_so(put, tmp_path):
    put("stories/._a.txt", b"\x00\x05\x16\x07")
    with pytest.raises(UserError, match=r"\.txt 파일이 없습니다.*숨김 파일 1개"):
        TextCorpus(tmp_path / "stories")


# ── 글이 아닌 것 ──

ESCAPED = "".join(json.dumps({"text": f"{number}번째 글입니다"}) + "\n" for number in range(30))
NOT_TEXT = [
    pytest.param("a.ipynb", '{"cells": [], "nbformat": 4}', "노트북", id="notebook"),
    pytest.param("a.txt", '{\n "cells": [\n  {}\n ]\n}', "노트북", id="notebook called text"),
    pytest.param("a.jsonl", ESCAPED, "JSON", id="escaped JSON lines"),
    pytest.param("a.txt", ESCAPED, "JSON", id="JSON lines called text"),
    pytest.param("a.txt", json.dumps("가나다") + "\n" + json.dumps("라마바") + "\n", "JSON", id="escaped strings"),
    pytest.param("a.txt", '[\n  {"text": "가"}\n]', "JSON", id="JSON document"),
    pytest.param("a.txt", '{"text": "' + "가" * 100_000 + '"}\n', "JSON", id="JSON longer than the head"),
    pytest.param("a.txt", b"data\x00\x01", "이진 파일", id="binary"),
    pytest.param("a.txt", b"%PDF-1.7\n", "PDF", id="PDF"),
    pytest.param("a.hwp", b"\xd0\xcf\x11\xe0\xa1\xb1", "한글이나 오피스", id="HWP"),
    pytest.param("a.docx", b"PK\x03\x04", "docx", id="DOCX"),
]


@pytest.mark.parametrize(("name", "content", "said"), NOT_TEXT)
def test_what_is_no_text_is_named_rather_than_trained_on(put, tmp_path, name, content, said):
    path = put(f"folder/{name}", content)
    with pytest.raises(UserError, match=said) as caught:
        TextCorpus(path)
    assert name in str(caught.value)
    assert ".txt" in str(caught.value)
    if name.endswith(".txt"):
        with pytest.raises(UserError, match=said):
            TextCorpus(tmp_path / "folder")


@pytest.mark.parametrize(
    "content",
    [
        '"어디 가니?"\n"산에 간다."\n',
        "[1장] 옛날 옛적에\n",
        '["어린 왕자" 가운데]\n',
        "{여는 괄호}로 시작하는 글\n",
        "12\n34\n",
        "",
    ],
)
def test_a_story_with_brackets_or_quotes_is_a_text(put, content):
    path = put("story.txt", content)
    assert "".join(texts_of(TextCorpus(path))) == content


def special(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "stories" / "special.txt"
    path.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.symlink_to(path)
    return path


@pytest.mark.skipif(os.name == "nt", reason="Windows에는 이런 파일이 없습니다")
@pytest.mark.parametrize(
    ("kind", "said"), [("pipe", "파이프"), ("socket", "소켓"), ("device", "장치"), ("loop", "링크와 권한")]
)
def test_what_would_never_end_is_refused_before_it_is_opened(tmp_path, kind, said):
    path = special(tmp_path, kind)
    for source in (path, path.parent):
        with pytest.raises(UserError, match=said) as caught:
            TextCorpus(source)
        assert "special.txt" in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="Windows에서는 링크를 만들 권한이 따로 있어야 합니다")
def test_a_folder_that_contains_itself_is_refused(put, tmp_path):
    put("stories/a.txt", "하나\n")
    (tmp_path / "stories" / "again").symlink_to(tmp_path / "stories")
    with pytest.raises(UserError, match=r"again.*링크"):
        TextCorpus(tmp_path / "stories")


# ── 글자의 모양과 줄의 길이 ──


def test_a_decomposed_text_reads_like_the_composed_one(put):
    story = "옛날 옛적에 작은 여우가 살았습니다.\n까치도 살았습니다. e\u0301\n"
    one = TextCorpus(put("composed.txt", unicodedata.normalize("NFC", story)))
    other = TextCorpus(put("spread.txt", unicodedata.normalize("NFD", story)))
    assert list(other.pieces()) == list(one.pieces())
    assert other.num_bytes == one.num_bytes


@pytest.mark.parametrize("shift", range(4))
def test_no_character_is_torn_where_a_long_line_is_cut(put, shift):
    line = "가" * shift + "각난닭e\u0301🏳️\u200d🌈" * LONGEST_PIECE
    pieces = texts_of(TextCorpus(put("spread.txt", unicodedata.normalize("NFD", line))))
    assert "".join(pieces) == unicodedata.normalize("NFC", line)
    assert max(map(len, pieces)) <= LONGEST_PIECE


def test_a_heap_of_marks_without_a_letter_still_flows(put):
    heap = "e" + "\u0323" * (3 * LONGEST_PIECE)
    assert "".join(texts_of(TextCorpus(put("heap.txt", heap)))).endswith("\u0323" * LONGEST_PIECE)


@pytest.mark.parametrize("content", [" \n\n", "\u200b\n\ufeff", "\u3164\u115f \uffa0", "\x01\n\x7f\ufe0f"], ids=ascii)
def test_a_text_without_a_visible_character_is_empty(put, content):
    with pytest.raises(UserError, match="비어 있습니다"):
        _ = TextCorpus(put("blank.txt", content)).num_bytes


@pytest.mark.slow
def test_memory_is_flat_for_a_text_without_line_breaks(put):
    sizes = []
    for repeats in (100_000, 1_600_000):  # 1.7 MB와 27 MB
        path = put("one-line.txt", "작은 여우 " * repeats)
        tracemalloc.start()
        corpus = TextCorpus(path)
        assert corpus.num_bytes == path.stat().st_size
        sizes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert sizes[1] < 1.5 * sizes[0]
    assert sizes[1] < 2_000_000


def test_the_embedded_stories_are_found_by_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpus = TextCorpus("lm-sample", home=tmp_path)
    assert corpus.files == sorted((DATA / "lm-sample").glob("*.txt"))
    assert len(endings(corpus)) == len(corpus.files) > 50
    assert corpus.num_bytes > 100_000


def test_ones_own_folder_of_that_name_comes_before_the_embedded_one(put, tmp_path, monkeypatch):
    put("home/lm-sample/mine.txt", "내 글\n")
    assert texts_of(TextCorpus("lm-sample", home=tmp_path / "home")) == ["내 글\n"]
    put("here/lm-sample", "지금 폴더의 글\n")
    monkeypatch.chdir(tmp_path / "here")
    assert texts_of(TextCorpus("lm-sample", home=tmp_path / "home")) == ["지금 폴더의 글\n"]


def test_max_bytes_stops_with_the_piece_that_reaches_it(put):
    path = put("book.txt", "0123456789\n" * 10)
    assert [TextCorpus(path, max_bytes=limit).num_bytes for limit in (1, 11, 12, 10_000)] == [11, 11, 22, 110]


def test_the_fingerprint_follows_the_text_and_the_limit(put):
    path = put("book.txt", "글\n")
    before = TextCorpus(path).fingerprint()
    assert TextCorpus(path).fingerprint() == before
    assert TextCorpus(path, max_bytes=3).fingerprint() != before
    path.write_text("다른 글\n", encoding="utf-8")
    longer = TextCorpus(path).fingerprint()
    os.utime(path, ns=(1, 1))
    assert len({before, longer, TextCorpus(path).fingerprint()}) == 3


# ── 나누기 ──


def test_two_parts_hold_every_piece_exactly_once_wherever_they_meet(put):
    corpus = TextCorpus(put("book.txt", "".join(LINES)))
    for boundary in range(corpus.num_bytes + 1):
        before, after = corpus.part(0, boundary), corpus.part(boundary, corpus.num_bytes)
        assert [*before.texts(), *after.texts()] == LINES
        assert before.num_bytes + after.num_bytes == corpus.num_bytes


@pytest.mark.parametrize("boundary", [0, 1, 18, 19, 20])
def test_a_line_belongs_to_the_part_its_first_byte_is_in(put, boundary):
    corpus = TextCorpus(put("book.txt", "".join(LINES)))
    start = 0
    expected = []
    for line in LINES:
        if start < boundary:
            expected.append(line)
        start += len(line.encode())
    assert list(corpus.part(0, boundary).texts()) == expected


def test_many_parts_hold_every_piece_of_many_files_exactly_once(put, tmp_path):
    for number in range(5):
        put(f"stories/{number}.txt", "".join(f"{number}의 {line}번째 줄\n" for line in range(number + 1)))
    corpus = TextCorpus(tmp_path / "stories")
    edges = [0, 7, 7, 40, 41, 200, corpus.num_bytes]
    parts = [corpus.part(start, stop) for start, stop in pairwise(edges)]
    assert [piece for part in parts for piece in part.pieces()] == list(corpus.pieces())
    assert parts[1].num_bytes == 0


# ── 알아볼 수 없는 글 ──


@pytest.mark.parametrize("content", [b"", BOM], ids=["nothing", "BOM alone"])
def test_an_empty_file_is_reported(put, content):
    path = put("empty.txt", content)
    with pytest.raises(UserError, match=r"비어 있습니다.*empty\.txt.*--data"):
        _ = TextCorpus(path).num_bytes


def test_an_empty_folder_is_reported(tmp_path):
    with pytest.raises(UserError, match=r"\.txt 파일이 없습니다"):
        TextCorpus(tmp_path)


@pytest.mark.parametrize("source", ["nowhere.txt", "no-such-name", "no/such/folder"])
def test_a_missing_text_is_reported_with_what_can_be_given(source):
    with pytest.raises(UserError) as caught:
        TextCorpus(source)
    for word in (source, "--data", "lm-sample", "nsmc", "kowikitext", "namuwikitext"):
        assert word in str(caught.value)


BAD_BYTE = [
    pytest.param(b"\xff\n", 1, id="first byte"),
    pytest.param(b"ab\xffcd\n", 3, id="middle of the first line"),
    pytest.param("가나\n".encode() + b"a\xffb\n", 9, id="second line"),
    pytest.param(BOM + b"a\xff\n", 5, id="first line after a BOM"),
    pytest.param(BOM + b"a\nb\xff\n", 7, id="second line after a BOM"),
    pytest.param("가\n".encode() + "나".encode()[:2], 5, id="character cut at the end"),
    pytest.param("옛날 옛적에\n".encode("cp949"), 1, id="CP949"),
    pytest.param("글\n".encode("utf-16"), 1, id="UTF-16"),
]


@pytest.mark.parametrize(("content", "position"), BAD_BYTE)
def test_a_byte_that_is_not_utf8_is_reported_with_file_and_position(put, content, position):
    path = put("broken.txt", content)
    with pytest.raises(UserError, match="UTF-8") as caught:
        list(TextCorpus(path).pieces())
    assert "broken.txt" in str(caught.value)
    assert f" {position:,}번째 바이트" in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="Windows에서는 링크를 만들 권한이 따로 있어야 합니다")
def test_a_text_that_cannot_be_opened_is_reported(tmp_path):
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"읽을 수 없습니다.*gone\.txt"):
        TextCorpus(tmp_path)


# ── NSMC ──

REVIEWS = [("좋다", "1"), ('따옴표 " 하나', "0"), ("  ", "0"), ("", "1"), ("또 봤다", "1")]


def test_each_review_is_a_document_and_blank_ones_are_left_out(write_reviews, tmp_path):
    for name in ("ratings_train.txt", "ratings_test.txt"):
        write_reviews(f"home/nsmc/{name}", REVIEWS if "train" in name else [("평가 리뷰", "1")])
    corpus = TextCorpus("nsmc", home=tmp_path / "home")
    assert texts_of(corpus) == endings(corpus) == ["좋다", '따옴표 " 하나', "또 봤다"]


def test_the_embedded_reviews_come_from_the_train_file_alone():
    corpus = TextCorpus("nsmc-sample")
    examples = corpora.read_nsmc(DATA / "nsmc-sample" / "ratings_train.txt")
    assert texts_of(corpus) == [one.text for one in examples if one.text.strip()]


def test_a_broken_review_file_is_reported_with_its_line(put, tmp_path):
    for name in ("ratings_train.txt", "ratings_test.txt"):
        put(f"home/nsmc/{name}", "id\tdocument\tlabel\n1\t좋다\n")
    with pytest.raises(UserError, match=r"ratings_train\.txt 2번째 줄"):
        _ = TextCorpus("nsmc", home=tmp_path / "home").num_bytes


# ── 위키 ──

WIKI = " = 지미 카터 = \n본문입니다.\n = = 생애 = = \n절의 글입니다.\n = 수학 = \n수를 배웁니다.\n"
TRAIN = {"kowikitext": "kowikitext_20200920.train", "namuwikitext": "namuwikitext_20200302.train"}


@pytest.fixture
def korpora(tmp_path, monkeypatch) -> Path:
    """Korpora의 폴더 대신 쓸 임시 폴더."""
    monkeypatch.setattr(texts, "korpora_home", lambda: tmp_path / "korpora")
    return tmp_path / "korpora"


@pytest.mark.parametrize("name", TRAIN)
def test_a_wiki_document_ends_before_the_next_title_and_not_at_a_section(put, korpora, tmp_path, name):
    put(f"home/{name}/{TRAIN[name]}", WIKI)
    corpus = TextCorpus(name, home=tmp_path / "home")
    assert "".join(texts_of(corpus)) == WIKI
    assert endings(corpus) == ["절의 글입니다.\n", "수를 배웁니다.\n"]


def test_a_wiki_is_looked_for_at_home_and_then_where_korpora_keeps_it(put, korpora, tmp_path):
    put(f"korpora/kowikitext/{TRAIN['kowikitext']}", "Korpora의 글\n")
    assert texts_of(TextCorpus("kowikitext", home=tmp_path / "home")) == ["Korpora의 글\n"]
    put(f"home/kowikitext/{TRAIN['kowikitext']}", "내 글\n")
    assert texts_of(TextCorpus("kowikitext", home=tmp_path / "home")) == ["내 글\n"]


def zipped(name: str, content: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr(name, content)
    return held.getvalue()


@pytest.fixture
def upstream(serving, monkeypatch, korpora):
    """위키를 내려받는 곳을 흉내 낸 서버. `answer`를 보내고, 받은 요청을 `asked`에 적습니다."""
    from Korpora import korpus_kowiki, korpus_namuwiki

    class Upstream(BaseHTTPRequestHandler):
        answer: bytes | None = zipped(TRAIN["kowikitext"], WIKI)
        asked: list[str] = []
        cut = 0  # 보내지 않고 끊을 바이트 수

        def do_GET(self) -> None:
            self.asked.append(self.path)
            if self.answer is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.answer)))
            self.end_headers()
            self.wfile.write(self.answer[: len(self.answer) - self.cut])

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "*")
    with serving(Upstream) as url:
        for one in (*korpus_kowiki.KOWIKI_FETCH_INFORMATION, *korpus_namuwiki.NAMUWIKI_FETCH_INFORMATION):
            monkeypatch.setitem(one, "url", f"{url}/{Path(one['destination']).name}")
        yield Upstream


def test_a_wiki_that_is_nowhere_is_fetched_once_into_home(upstream, tmp_path):
    home = tmp_path / "home"
    assert "".join(texts_of(TextCorpus("kowikitext", home=home))) == WIKI
    assert {path.split("/")[-1] for path in upstream.asked} == {f"{TRAIN['kowikitext']}.zip"}
    asked = len(upstream.asked)
    assert len(texts_of(TextCorpus("kowikitext", home=home))) == 6
    assert len(upstream.asked) == asked
    assert [path.name for path in (home / "kowikitext").iterdir()] == [TRAIN["kowikitext"]]


def test_the_other_wiki_is_fetched_from_its_own_address(upstream, tmp_path):
    upstream.answer = zipped(TRAIN["namuwikitext"], " = 나무 = \n글\n")
    assert texts_of(TextCorpus("namuwikitext", home=tmp_path)) == [" = 나무 = \n", "글\n"]
    assert upstream.asked[-1].endswith(f"{TRAIN['namuwikitext']}.zip")


def assert_fetch_fails_cleanly(home: Path) -> None:
    """무엇을 어디에 두면 되는지 알리고, 반쪽 파일을 남기지 않습니다."""
    with pytest.raises(UserError) as caught:
        TextCorpus("kowikitext", home=home)
    for word in ("http://127.0.0.1", str(home / "kowikitext" / TRAIN["kowikitext"]), "--data lm-sample"):
        assert word in str(caught.value)
    assert list((home / "kowikitext").iterdir()) == []


def test_a_zip_cut_short_leaves_nothing(upstream, tmp_path):
    upstream.cut = 30
    assert_fetch_fails_cleanly(tmp_path / "home")


@pytest.mark.parametrize(
    "answer",
    [None, b"<html>502 Bad Gateway</html>", zipped("another.file", "글")],
    ids=["gone upstream", "error page", "zip without the text"],
)
def test_anything_but_the_text_leaves_nothing(upstream, tmp_path, answer):
    upstream.answer = answer
    assert_fetch_fails_cleanly(tmp_path / "home")


def test_no_server_leaves_nothing(korpora, monkeypatch, closed_port, tmp_path):
    from Korpora import korpus_kowiki

    monkeypatch.setenv("no_proxy", "*")
    for one in korpus_kowiki.KOWIKI_FETCH_INFORMATION:
        monkeypatch.setitem(one, "url", f"http://127.0.0.1:{closed_port}/{Path(one['destination']).name}")
    assert_fetch_fails_cleanly(tmp_path / "home")
