"""토크나이저와 토큰 파일: 되돌아오는 글, 문서의 끝, 자료형, 다른 곳에서 온 토크나이저, 깨진 파일."""

from __future__ import annotations

import copy
import json
import pickle
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from nlpbook.errors import UserError
from nlpbook.language import tokens
from nlpbook.language.texts import TextCorpus
from nlpbook.language.tokens import END_OF_TEXT, TextTokenizer, TokenFile, write_tokens
from tests.task3_lm.checks import support

TEXTS = ["작은 여우", "", " 앞뒤 빈칸 ", "줄\n바꿈\r\n\t탭", "😀👨‍👩‍👧", "漢字 ﷽ \x00\x7f", "ABC xyz 0123"]


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    """바이트 단위의 작은 토크나이저."""
    return support.tokenizer()


def with_vocabulary(size: int) -> TextTokenizer:
    """낱말 `w0`, `w1`, …을 아는, 어휘가 꼭 `size`개인 토크나이저."""
    vocabulary = {f"w{number}": number for number in range(size - 1)} | {END_OF_TEXT: size - 1}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="w0"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return TextTokenizer(made)


def whole(path) -> object:
    corpus = TextCorpus(path)
    return corpus.part(0, corpus.num_bytes)


@pytest.fixture
def stories(tmp_path):
    """파일 셋, 곧 문서 셋인 폴더."""
    folder = tmp_path / "stories"
    folder.mkdir()
    for name, content in (("a", "작은 여우\n큰 곰\n"), ("b", "까치\n"), ("c", "비가 왔다\n\n그쳤다")):
        (folder / f"{name}.txt").write_text(content, encoding="utf-8", newline="\n")
    return folder


# ── 글 ↔ 번호 ──


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_any_text_comes_back_from_its_tokens(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(0 <= one < len(tokenizer) for one in ids)


def test_a_batch_is_encoded_like_one_by_one(tokenizer):
    assert tokenizer.encode_batch(TEXTS) == [tokenizer.encode(text) for text in TEXTS]


def test_a_decomposed_text_has_the_tokens_of_the_composed_one(tokenizer):
    for text in ("작은 여우", "각난닭 café", "ㄱㅏ ㄴ"):
        spread = unicodedata.normalize("NFD", text)
        assert tokenizer.encode(spread) == tokenizer.encode(text)
        assert tokenizer.encode_batch([spread, "곰"]) == tokenizer.encode_batch([text, "곰"])
        assert tokenizer.decode(tokenizer.encode(spread)) == text


def test_an_exported_tokenizer_composes_by_itself(tokenizer):
    exported = tokenizer.composing()
    spread = unicodedata.normalize("NFD", "작은 여우")
    assert exported.encode(spread).ids == tokenizer.encode("작은 여우") != tokenizer.tokenizer.encode(spread).ids
    assert tokenizer.tokenizer.normalizer is None
    tokenizer_of_bert = TextTokenizer.load("ko-bert-tiny").composing()
    assert "[UNK]" not in tokenizer_of_bert.encode(unicodedata.normalize("NFD", "재미있어요")).tokens


def test_a_token_file_crosses_a_border_as_a_path(tokenizer, tmp_path, monkeypatch):
    path = tmp_path / "book.txt"
    path.write_text("작은 여우\n" * 5_000, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    made = write_tokens(tokenizer, whole(path), Path("book.bin")).tokens
    packed = pickle.dumps(made)
    monkeypatch.chdir("/")
    again = pickle.loads(packed)
    assert len(packed) < 1_000 < made.nbytes
    assert np.array_equal(again, made)
    assert isinstance(again, np.memmap)
    assert not again.flags.writeable
    assert again.dtype == made.dtype


def test_a_piece_of_a_token_file_crosses_with_its_own_numbers(tokenizer, stories, tmp_path):
    tokens = write_tokens(tokenizer, whole(stories), tmp_path / "stories.bin").tokens
    for piece in (tokens[3:8], tokens[::2], tokens[:], tokens[:4].copy(), tokens + 1):
        assert np.array_equal(pickle.loads(pickle.dumps(piece)), piece)
        assert np.array_equal(copy.deepcopy(piece), piece)


def test_the_end_of_text_is_never_shown(tokenizer):
    assert tokenizer.decode([*tokenizer.encode("앞"), tokenizer.end_id, *tokenizer.encode("뒤")]) == "앞뒤"


def test_a_tokenizer_without_an_end_of_text_is_refused():
    with pytest.raises(UserError, match=r"글의 끝.*<\|endoftext\|>"):
        TextTokenizer(Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))


def test_saved_truncation_and_padding_are_switched_off(tokenizer, tmp_path):
    limited = Tokenizer.from_str(tokenizer.tokenizer.to_str())
    limited.enable_truncation(2)
    limited.enable_padding(length=50)
    limited.save(str(tmp_path / "tokenizer.json"))
    text = "작은 여우가 등불을 들고 언덕을 올랐습니다."
    loaded = TextTokenizer.load(str(tmp_path / "tokenizer.json"))
    assert loaded.encode(text) == tokenizer.encode(text)
    assert loaded.encode_batch([text, "곰"]) == tokenizer.encode_batch([text, "곰"])


# ── 저장과 불러오기 ──


def assert_same(one: TextTokenizer, other: TextTokenizer) -> None:
    assert (len(one), one.end_id, one.end_of_text) == (len(other), other.end_id, other.end_of_text)
    assert one.encode_batch(TEXTS) == other.encode_batch(TEXTS)


def test_a_saved_tokenizer_comes_back(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "made" / "tokenizer.json")
    assert_same(TextTokenizer.load(str(tmp_path / "made" / "tokenizer.json")), tokenizer)


def test_a_tokenizer_travels_as_text_and_stays_the_same_text(tokenizer):
    again = TextTokenizer.from_text(tokenizer.to_text())
    assert_same(again, tokenizer)
    assert again.to_text() == tokenizer.to_text()


def test_another_end_of_text_survives_the_journey():
    made = Tokenizer(models.WordLevel({"a": 0, "</s>": 1}, unk_token="a"))
    assert TextTokenizer.from_text(TextTokenizer(made, "</s>").to_text()).end_id == 1


def test_a_hugging_face_folder_with_only_a_tokenizer_is_enough(tokenizer, tmp_path):
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=tokenizer.tokenizer, eos_token=END_OF_TEXT).save_pretrained(tmp_path)
    assert_same(TextTokenizer.load(str(tmp_path)), tokenizer)


def test_a_tokenizer_of_another_kind_brings_its_own_end():
    """내장 BERT의 토크나이저에는 `[SEP]`이 글의 끝입니다. 앞뒤에 특수 토큰을 더하지 않습니다."""
    loaded = TextTokenizer.load("ko-bert-tiny")
    assert loaded.end_of_text == "[SEP]"
    assert loaded.end_id not in loaded.encode("재미있어요")
    assert loaded.decode(loaded.encode("재미있어요")).replace(" ", "") == "재미있어요"


@pytest.mark.parametrize("content", [b"", b"not json", b"{}", b'{"model": 3}', b"\xff\xfe", b"[1]"])
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        TextTokenizer.load(str(path))


@pytest.mark.parametrize("files", [{}, {"tokenizer.json": "{}"}, {"config.json": "{}"}], ids=["empty", "bad", "config"])
def test_a_folder_without_a_tokenizer_is_refused(tmp_path, files):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match="토크나이저|tokenizer"):
        TextTokenizer.load(str(tmp_path))


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="없습니다"):
        TextTokenizer.load(str(tmp_path / "nowhere"))


# ── 토큰 파일 ──


@pytest.mark.parametrize(("size", "dtype"), [(2**16, "uint16"), (2**16 + 1, "uint32")])
def test_tokens_are_as_wide_as_the_vocabulary_needs(tmp_path, size, dtype):
    """가장 큰 번호(글의 끝)까지 그대로 돌아옵니다."""
    (tmp_path / "t.txt").write_text(f"w1 w{size - 2}\n")
    written = write_tokens(with_vocabulary(size), whole(tmp_path / "t.txt"), tmp_path / "t.bin")
    assert written.tokens.dtype == dtype
    assert written.tokens.tolist() == [1, size - 2, size - 1]
    assert json.loads((tmp_path / "t.json").read_text()) == {"dtype": dtype, "num_bytes": len(f"w1 w{size - 2}\n")}


def test_every_document_ends_with_the_end_of_text(tokenizer, stories, tmp_path):
    written = write_tokens(tokenizer, whole(stories), tmp_path / "t.bin")
    ids = written.tokens.tolist()
    ends = [index for index, one in enumerate(ids) if one == tokenizer.end_id]
    documents = [tokenizer.decode(ids[a:b]) for a, b in zip([0, *(e + 1 for e in ends)], ends, strict=False)]
    assert documents == ["작은 여우\n큰 곰\n", "까치\n", "비가 왔다\n\n그쳤다"]
    assert ends[-1] == len(ids) - 1
    assert written.num_bytes == sum(path.stat().st_size for path in stories.iterdir())


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_streaming_in_small_pieces_changes_nothing(tokenizer, stories, tmp_path, monkeypatch, at_once):
    expected = write_tokens(tokenizer, whole(stories), tmp_path / "whole.bin")
    monkeypatch.setattr(tokens, "PIECES_AT_ONCE", at_once)
    streamed = write_tokens(tokenizer, whole(stories), tmp_path / "streamed.bin")
    assert streamed.tokens.tolist() == expected.tokens.tolist()
    assert streamed.num_bytes == expected.num_bytes


def test_tokens_are_mapped_from_disk_and_read_only(tokenizer, stories, tmp_path):
    write_tokens(tokenizer, whole(stories), tmp_path / "t.bin")
    again = TokenFile(tmp_path / "t.bin")
    assert isinstance(again.tokens, np.memmap)
    assert len(again) == len(again.tokens) == (tmp_path / "t.bin").stat().st_size // 2
    with pytest.raises(ValueError, match="read-only"):
        again.tokens[0] = 1


def test_an_empty_part_is_refused_and_leaves_nothing(tokenizer, stories, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UserError, match="너무 짧아"):
        write_tokens(tokenizer, TextCorpus(stories).part(0, 0), out / "t.bin")
    assert list(out.iterdir()) == []


def test_a_text_that_breaks_half_way_leaves_nothing(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(tokens, "PIECES_AT_ONCE", 1)
    (tmp_path / "t.txt").write_bytes("앞 줄\n둘째 줄\n".encode() + b"\xff\n")
    out = tmp_path / "out"
    with pytest.raises(UserError, match="UTF-8"):
        write_tokens(tokenizer, TextCorpus(tmp_path / "t.txt").part(0, 100), out / "t.bin")
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.json", None),
        ("t.json", b"{"),
        ("t.json", b"[]"),
        ("t.json", b"{}"),
        ("t.json", b'{"dtype": "uint16"}'),
        ("t.json", b'{"dtype": "banana", "num_bytes": 1}'),
        ("t.json", b'{"dtype": "uint16", "num_bytes": null}'),
        ("t.bin", None),
        ("t.bin", b""),
        ("t.bin", b"odd"),
    ],
)
def test_a_broken_token_file_is_reported(tokenizer, stories, tmp_path, name, content):
    write_tokens(tokenizer, whole(stories), tmp_path / "t.bin")
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=r"t\.bin.*다시 학습"):
        TokenFile(tmp_path / "t.bin")
