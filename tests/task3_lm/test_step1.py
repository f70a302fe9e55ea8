"""1단계의 검사: 토크나이저, 글 나누기, 창, 학습 로더.

창의 수와 내용은 하나씩 센 것에 견줍니다. 로더의 검사는 `WindowDataset` 자리에 옳은 것을 대신 둡니다. 1-3과 1-4가 틀려도
1-5는 제대로 검사됩니다.
"""

from __future__ import annotations

import math
import re
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from course.checks.words import assert_equal, fail, known_as, show, todo
from nlpbook.language.texts import Piece, TextCorpus, TextPart
from nlpbook.language.tokens import END_OF_TEXT, TextTokenizer
from nlpbook.loaders import training_loader
from tests.task3_lm import support

# ── 1-1 토크나이저

VOCAB_SIZE = 300
FOX, OWL, BEAR = ([f"{word} {word} {word} {word}\n" * 12] for word in ("여우", "부엉", "곰돌"))
UNSEEN = "xzxzxz"  # 어느 글에도 없는 글자들. 배우지 않았다면 한 글자가 토큰 하나입니다.
ANY_TEXTS = {
    "배운 글": support.SENTENCES[0],
    "처음 보는 한글": "뷁 쀍 힣",
    "처음 보는 이모지": "🦊😀👩‍👩‍👧‍👦 ❤️",
    "다른 나라의 글": "Ünïcödé 漢字 ひらがな العربية",
    "앞뒤의 빈칸": "  두 칸  또 두 칸  ",
    "줄바꿈과 탭": "\t한 줄\r\n\n두 줄\n",
    "대문자": "GPT와 Transformer",
    "나눈 자모와 전각 글자": unicodedata.normalize("NFD", "한글") + " Ａ①ﬁ",
    "빈 글": "",
    "UTF-8의 모든 바이트": "".join(map(chr, [*range(0x800), *range(0x800, 0xD800, 0x3F), 0xE000, 0xFFFD]))
    + "".join(chr(point) for point in range(0x10000, 0x110000, 0x3FFFF)),
}


@cache
def many_texts() -> list[str]:
    """어휘 300개를 채우고도 남는 글."""
    return support.tiny_text().read_text(encoding="utf-8").splitlines(keepends=True)


@pytest.fixture(scope="module")
def learnt() -> dict[tuple[str, int], TextTokenizer]:
    """이미 학습한 토크나이저들. 같은 글과 크기로 두 번 학습하지 않습니다."""
    return {}


@pytest.fixture
def trained(load, learnt, monkeypatch) -> Callable[[list[str], int], TextTokenizer]:
    """학생의 토크나이저를 학습하는 함수. 글은 실제로 쓸 때처럼 한 번만 흘려보낼 수 있습니다."""
    step = load(1)
    wanted: list[int] = []

    def checked(raw: Any, end_of_text: str = END_OF_TEXT) -> TextTokenizer:
        check_kind(raw)
        check_end_is_known(raw, wanted[-1])
        return TextTokenizer(raw, end_of_text)

    def make(texts: list[str], vocab_size: int = VOCAB_SIZE) -> TextTokenizer:
        wanted.append(vocab_size)
        key = "".join(texts), vocab_size
        if key not in learnt:
            try:
                learnt[key] = step.train_tokenizer((text for text in texts), vocab_size)
            except Exception as error:  # tokenizers는 파일을 찾지 못하면 Exception 그대로를 냅니다.
                explain_stop(error)
                raise
        return learnt[key]

    monkeypatch.setattr(step, "TextTokenizer", checked)
    make(many_texts())  # 무엇을 빠뜨렸는지는 글이 넉넉해야 드러납니다.
    return make


def explain_stop(error: Exception) -> None:
    """tokenizers가 받을 수 없는 것을 건네어 멈췄으면, 무엇을 건넸는지 말합니다."""
    text = str(error)
    if text == "'str' object is not an instance of 'list'":
        message = "특수 토큰을 목록에 담지 않았습니다."
        fail(message, idea="특수 토큰", expected="list", got="str", symptom="special-not-list")
    if found := re.search(r"'(\w+)' object is not an instance of '(\w+)'", text):
        given, wanted = found.groups()
        about = {"idea": "tokenizers의 부품", "expected": wanted, "got": given, "symptom": None}
        if given == "type":
            fail("클래스를 그대로 건넸습니다.", **{**about, "symptom": "class-not-object"})
        if given in ("builtin_function_or_method", "method", "function"):
            fail("함수를 부르지 않고 그대로 건넸습니다.", **{**about, "symptom": "not-called"})
        if wanted == "Trainer":
            fail("trainer의 자리에 다른 것이 왔습니다.", **{**about, "symptom": "trainer-place"})
    if "is not an instance of 'Sequence'" in text or "No such file or directory" in text or "name too long" in text:
        message = "글을 파일의 경로로 여겼습니다."
        fail(message, idea="학습", expected="글", got="파일의 경로", symptom="texts-as-files")


def named(thing: Any) -> str:
    """담긴 것의 종류. 괄호 없이 클래스를 담았으면 그렇다고 적습니다."""
    return f"{thing.__name__} 클래스" if isinstance(thing, type) else type(thing).__name__


def check_kind(raw: Any) -> None:
    if not isinstance(raw, Tokenizer):
        kind = named(raw)
        message = "tokenizer에 담긴 것이 tokenizers의 Tokenizer가 아닙니다."
        fail(message, idea="Tokenizer", expected="Tokenizer", got=kind, symptom="not-tokenizer")
    if type(raw.model).__name__ != "BPE":
        kind = type(raw.model).__name__
        fail("BPE가 아닌 모델입니다.", idea="BPE", expected="BPE", got=kind, symptom="not-bpe")
    if mark := raw.model.continuing_subword_prefix or raw.model.end_of_word_suffix:
        message = "토큰에 낱말의 앞뒤를 알리는 표시를 붙였습니다."
        fail(message, idea="바이트 단위", expected="표시 없음", got=mark, symptom="marked-pieces")


def check_end_is_known(raw: Tokenizer, vocab_size: int) -> None:
    """글의 끝 토큰이 어휘에 있는지. 없다면 왜 없는지."""
    if raw.token_to_id(END_OF_TEXT) is not None:
        return
    size, idea = raw.get_vocab_size(), "특수 토큰"
    if size == 0:
        message = "어휘가 비어 있습니다."
        fail(message, idea="학습", expected=f"토큰 {vocab_size}개", got="0개", symptom="not-trained")
    if size > vocab_size and not knows_every_byte(raw):
        message = "trainer에 적은 것이 쓰이지 않았습니다."
        fail(message, idea="trainer", expected=f"토큰 {vocab_size}개", got=f"{size}개", symptom="no-trainer")
    message, others = (
        "글의 끝 토큰이 어휘에 없습니다.",
        [one.content for one in raw.get_added_tokens_decoder().values()],
    )
    symptom = "other-special" if others else "no-special"
    fail(message, idea=idea, expected=END_OF_TEXT, got=", ".join(others) or "없음", symptom=symptom)


def knows_every_byte(raw: Tokenizer) -> bool:
    return all(raw.token_to_id(one) is not None for one in pre_tokenizers.ByteLevel.alphabet())


def writes_bytes(raw: Tokenizer) -> bool:
    """글을 바이트의 글자들로 바꾸어 읽는지. 배운 글의 토큰으로 봅니다."""
    letters = set(pre_tokenizers.ByteLevel.alphabet())
    known = [*many_texts()[:3], *FOX[:1], *BEAR[:1]]
    return all(set(token) <= letters for text in known for token in raw.encode(text, add_special_tokens=False).tokens)


def check_bytes(raw: Tokenizer) -> None:
    if not writes_bytes(raw):
        kind = type(raw.pre_tokenizer).__name__.replace("NoneType", "없음")
        symptom = "no-pretokenizer" if raw.pre_tokenizer is None else "not-byte-level"
        message = "글을 바이트로 바꾸지 않고 글자 그대로 다룹니다."
        fail(message, idea="바이트 단위", expected="ByteLevel", got=kind, symptom=symptom)


@todo("1-1")
def test_any_text_comes_back_unchanged(trained):
    """어떤 글이든 번호로 바꾸었다가 되돌리면 그대로입니다. 처음 보는 이모지도 그렇습니다."""
    tokenizer = trained(many_texts())
    check_bytes(tokenizer.tokenizer)
    for what, text in ANY_TEXTS.items():
        ids = tokenizer.encode(text)
        if tokenizer.encode(text) != ids:
            message = "같은 글의 번호가 부를 때마다 다릅니다."
            fail(message, idea="토크나이저", expected="언제나 같은 번호", got="다른 번호", symptom="random")
        check_round_trip(tokenizer, what, text)


def check_round_trip(tokenizer: TextTokenizer, what: str, text: str) -> None:
    got, raw = tokenizer.decode(tokenizer.encode(text)), tokenizer.tokenizer
    if got == text:
        return
    message = f"글이 그대로 돌아오지 않습니다({what})."
    letters = "".join(raw.encode(text, add_special_tokens=False).tokens)
    folded = [unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")]
    if got in (" ".join(letters), letters) or got.replace(" ", "") == letters:
        symptom = "no-decoder"
    elif got == " " + text:
        symptom = "prefix-space"
    elif not knows_every_byte(raw):
        symptom = "no-alphabet"
    elif got != text and (got.lower() == text.lower() or got in folded or got.lower() in [f.lower() for f in folded]):
        symptom = "normalized"
    elif "".join(got.split()) == "".join(text.split()):
        symptom = "spaces-lost"
    else:
        symptom = None
    fail(message, idea="되돌리기", expected=show(repr(text)), got=show(repr(got)), symptom=symptom, what=what)


@todo("1-1")
def test_vocabulary_has_the_asked_size(trained):
    """어휘의 크기는 vocab_size입니다. 바이트 256개와 글의 끝 토큰까지 센 것입니다."""
    for vocab_size in (VOCAB_SIZE, 320, 257):
        tokenizer = trained(many_texts(), vocab_size)
        check_bytes(tokenizer.tokenizer)
        got = len(tokenizer)
        nothing_merged, extra = got == 257, len(tokenizer.tokenizer.get_added_tokens_decoder()) > 1
        if got == vocab_size or nothing_merged or extra or not knows_every_byte(tokenizer.tokenizer):
            continue  # 까닭이 따로 있습니다. 다른 검사가 말합니다.
        one_more = got == vocab_size + 1
        symptom = "one-more" if one_more else "vocab-size" if got > vocab_size else "vocab-too-small"
        message = "어휘의 크기가 vocab_size와 다릅니다."
        fail(message, idea="어휘의 크기", expected=f"{vocab_size}개", got=f"{got}개", symptom=symptom)


@todo("1-1")
def test_end_of_text_is_the_only_special_token(trained):
    """글의 끝은 특수 토큰 하나입니다. 읽을 글로 되돌릴 때는 보이지 않습니다."""
    tokenizer = trained(many_texts())
    added = tokenizer.tokenizer.get_added_tokens_decoder().values()
    ids, shown = tokenizer.encode(f"하나{END_OF_TEXT}둘"), tokenizer.decode([tokenizer.end_id])
    if shown or not any(one.special for one in added if one.content == END_OF_TEXT):
        message = "글의 끝 토큰이 특수 토큰이 아닙니다."
        more = {"symptom": "not-special", "token": END_OF_TEXT}
        fail(message, idea="특수 토큰", expected="특수 토큰", got="보통 토큰", **more)
    others = sorted(one.content for one in added if one.content != END_OF_TEXT)
    if others:
        message = "글의 끝 말고도 특수 토큰이 있습니다."
        got = ", ".join(others)
        fail(message, idea="특수 토큰", expected=END_OF_TEXT, got=got, symptom="extra-special")
    assert_equal(ids.count(tokenizer.end_id), 1, idea="특수 토큰", message="글의 끝이 토큰 하나가 아닙니다.")


@todo("1-1")
def test_frequent_neighbours_are_merged(trained):
    """자주 나온 낱말은 토큰 하나가 됩니다. 첫 글에 있든 마지막 글에 있든 그렇습니다."""
    tokenizer = trained([*FOX, *OWL, *BEAR])
    raw = tokenizer.tokenizer
    if raw.model.dropout or not knows_every_byte(raw) or not writes_bytes(raw):
        return  # 다른 검사가 말합니다.
    counts = {
        word: min(len(tokenizer.encode(text)) for text in (word, f" {word}", f" {word}\n"))
        for word in ("여우", "부엉", "곰돌")
    }
    word, got = max(counts.items(), key=lambda one: one[1])
    if got > 1:
        lost = [name for name, count in counts.items() if count > 1]
        some = "first-lost" if lost == ["여우"] else "some-texts"
        symptom = some if len(lost) < 3 else {2: "characters", 6: "nothing-learnt"}.get(got, "merges-limited")
        message = "자주 나온 낱말이 하나로 합쳐지지 않았습니다."
        fail(message, idea="BPE", expected="1토큰", got=f"{got}토큰", symptom=symptom, word=word)


@todo("1-1")
def test_only_the_given_texts_are_learnt(trained):
    """건네받은 글에 없는 것은 배우지 않습니다."""
    for texts, word in ((FOX, UNSEEN), (BEAR, UNSEEN), (BEAR, "여우"), (FOX, "곰돌")):
        tokenizer = trained(texts)
        if not knows_every_byte(tokenizer.tokenizer) or not writes_bytes(tokenizer.tokenizer):
            return  # 다른 검사가 말합니다.
        got, size = len(tokenizer.encode(word)), len(word.encode())  # 두 글에 함께 나오는 바이트의 짝은 없습니다.
        if got < size:
            message = "건네받은 글에 없는 낱말까지 배웠습니다."
            expected, merged = f"{size}토큰", f"{got}토큰"
            fail(message, idea="새어 나감", expected=expected, got=merged, symptom="other-texts", word=word)


# ── 1-2 글 나누기


@known_as("TextCorpus")
class Lines(TextCorpus):
    """줄마다 조각 하나인 말뭉치. 파일은 둘입니다. `STORY`는 뒤의 파일을 `max_bytes`까지만 읽습니다."""

    def __init__(self, lines: list[str]) -> None:
        self.name = self.source = "lines"
        self.files = text_files("".join(lines), lines is STORY)
        self.made = [Piece(line) for line in lines]
        whole = sum(piece.num_bytes for piece in self.made)
        self.max_bytes = whole - 9 if lines is STORY else None  # 마지막 줄은 상한을 넘어도 끝까지 읽습니다.

    def pieces(self) -> Iterator[Piece]:
        return iter(self.made)

    def starts(self) -> list[int]:
        """줄마다 첫 바이트의 자리."""
        return [0, *np.cumsum([piece.num_bytes for piece in self.made]).tolist()][:-1]


@cache
def text_files(text: str, longer: bool) -> list[Path]:
    """글의 앞부분을 담은 파일과, 나머지를 담은 파일. `longer`면 뒤의 것에는 읽지 않을 글이 더 있습니다."""
    folder = support.workspace() / f"lines-{len(text)}"
    folder.mkdir(exist_ok=True)
    paths = [folder / "1.txt", folder / "2.txt"]
    cut = len(text) * 2 // 3
    for path, half in zip(paths, (text[:cut], text[cut:] + text * longer), strict=True):
        path.write_text(half, encoding="utf-8", newline="")
    return paths


LETTERS = [chr(code) for code in range(33, 33 + 90)]  # 줄 하나가 1바이트: 어느 바이트에서 나누어도 줄의 경계입니다.
STORY = [f"{index}째 줄. {support.SENTENCES[index % 8]}\n" for index in range(15)] + ["b\n", "a" * 40 + "\n"] * 6
RATIOS = (0.1, 0.2, 0.3, 0.5, 0.75, 0.9)


class Split:
    """나눈 결과: 줄의 번호로 적은 두 부분."""

    def __init__(self, step: Any, lines: list[str], ratio: float) -> None:
        self.corpus, self.ratio = Lines(lines), ratio
        try:
            got = step.split_corpus(self.corpus, ratio)
        except TypeError as error:
            if "'TextCorpus'" not in str(error) or not any(one in str(error) for one in ("len()", "script", "iter")):
                raise
            message, want = "말뭉치를 목록처럼 다루었습니다.", "corpus.num_bytes, corpus.part(시작, 끝)"
            fail(message, idea="글의 부분", expected=want, got=f"TypeError: {error}", symptom="like-a-list")
        self.stops = [part.stop for part in got if isinstance(part, TextPart)]
        for part in got:
            if not isinstance(part, TextPart):
                message = "나눈 것이 말뭉치의 한 부분(TextPart)이 아닙니다."
                kind = type(part).__name__
                fail(message, idea="글의 부분", expected="TextPart", got=kind, symptom="not-part")
            for place in (part.start, part.stop):
                if not isinstance(place, (int, float, np.number)):
                    kind = type(place).__name__
                    message = "part의 시작이나 끝이 수가 아닙니다."
                    fail(message, idea="글의 부분", expected="바이트의 자리", got=kind, symptom="not-a-place")
        number = {id(piece): index for index, piece in enumerate(self.corpus.made)}
        self.train, self.valid = ([number[id(piece)] for piece in part.pieces()] for part in got)
        self.shared = sorted(set(self.train) & set(self.valid))
        self.lost = sorted(set(range(len(lines))) - {*self.train, *self.valid})

    @property
    def name(self) -> str:
        return f"{len(self.corpus.made)}줄, 검증 {self.ratio:g}"

    @property
    def share(self) -> float:
        """학습할 줄들의 크기가 글에서 차지하는 몫."""
        return sum(self.corpus.made[index].num_bytes for index in self.train) / self.corpus.num_bytes

    @property
    def mismeasured(self) -> str | None:
        """글의 크기로 다른 것을 재어 끝을 정했다면 그 증상."""
        sizes = [path.stat().st_size for path in self.corpus.files]
        characters, stop = sum(len(piece.text) for piece in self.corpus.made), max(self.stops)
        if stop == self.corpus.num_bytes:
            return None
        return "file-size" if stop in (*sizes, sum(sizes)) else "not-bytes" if stop == characters else None

    @property
    def in_order(self) -> bool:
        """빠지거나 겹친 줄 없이, 학습이 앞이고 검증이 뒤인가."""
        return self.train + self.valid == list(range(len(self.corpus.made)))

    def ends_at(self, boundary: float) -> bool:
        """학습이 `boundary`바이트에서 끝나는가. 반올림하든 버리든 올리든 괜찮도록, 하나까지 다를 수 있습니다."""
        starts = self.corpus.starts()
        least, most = (sum(start < boundary + slack for start in starts) for slack in (-1, 1))
        return least <= len(self.train) <= most


@pytest.fixture
def splits(load) -> list[Split]:
    return [Split(load(1), lines, ratio) for lines in (LETTERS, STORY) for ratio in RATIOS]


@todo("1-2")
def test_no_line_is_in_both_parts(splits):
    """학습에도 검증에도 들어간 줄은 없습니다."""
    for one in splits:
        if not one.shared:
            continue
        everything = set(one.valid) <= set(one.train)
        symptom = "one-line-twice" if len(one.shared) == 1 else "leak-all" if everything else "leak"
        message = "학습할 줄이 검증에도 있습니다."
        fail(
            message,
            idea="새어 나감",
            expected="겹치는 줄 0개",
            got=f"{len(one.shared)}개",
            symptom=symptom,
            case=one.name,
            lines=len(one.valid),
        )


@todo("1-2")
def test_no_line_is_lost(splits):
    """모든 줄이 둘 가운데 한 곳에 있습니다."""
    for one in splits:
        if one.mismeasured == "file-size" or one.lost and one.mismeasured:
            expected, got = f"글의 {1 - one.ratio:.0%}", f"{one.share:.0%}"
            more = {"symptom": one.mismeasured, "case": one.name, "ratio": f"{one.ratio:g}", "stop": max(one.stops)}
            more["size"] = one.corpus.num_bytes
            fail("글의 크기를 바이트로 재지 않았습니다.", idea="글의 크기", expected=expected, got=got, **more)
        if not one.lost:
            continue
        if not one.valid or not one.train:
            which = "검증" if not one.valid else "학습"
            symptom = "empty-part"
            message = f"{which}할 글이 비어 있습니다."
        else:
            which, symptom = "", "one-line-lost" if len(one.lost) == 1 else "lines-lost"
            message = "어느 쪽에도 없는 줄이 있습니다."
        fail(
            message,
            idea="빠진 글",
            expected="빠진 줄 0개",
            got=f"{len(one.lost)}개",
            symptom=symptom,
            case=one.name,
            which=which,
        )


@todo("1-2")
def test_training_text_comes_first(splits):
    """앞부분이 학습이고 뒷부분이 검증입니다."""
    for one in splits:
        if one.train and one.valid and not one.lost and not one.shared and min(one.train) > max(one.valid):
            # 둘을 맞바꾼 것이라면 학습이 val_ratio만큼뿐입니다. 0.5에서는 알 수 없습니다.
            swapped = abs(len(splits[0].train) - len(LETTERS) * RATIOS[0]) <= 1
            fail(
                "글의 앞부분이 검증이 되었습니다.",
                idea="두 부분의 차례",
                expected="앞은 학습, 뒤는 검증",
                got="앞은 검증, 뒤는 학습",
                symptom="swapped" if swapped else "valid-in-front",
                case=one.name,
            )


@todo("1-2")
def test_boundary_is_where_the_ratio_says(splits):
    """학습은 글의 크기(바이트)의 (1 - val_ratio)만큼입니다. 반올림은 자유입니다."""
    if not all(one.in_order for one in splits) or any(one.mismeasured == "file-size" for one in splits):
        return  # 다른 검사가 말합니다.
    counts = {len(one.train) for one in splits[: len(RATIOS)]}
    for one in splits:
        size = one.corpus.num_bytes
        if one.ends_at(size * (1 - one.ratio)):
            continue
        characters = sum(len(piece.text) for piece in one.corpus.made)
        wrong = {
            "all-or-nothing": all(not split.train or not split.valid for split in splits),
            "fixed-ratio": len(counts) == 1 and counts != {len(LETTERS)},
            # 줄마다 1바이트인 글은 맞고 이 글은 틀렸다면, 바이트가 아닌 것을 센 것입니다.
            "not-bytes": any(one.ends_at(count * (1 - one.ratio)) for count in (characters, len(one.corpus.made))),
            "ratio-reversed": one.ends_at(size * one.ratio),
        }
        symptom = next((name for name, is_it in wrong.items() if is_it), "other-share")
        message = "학습할 글의 크기가 (1 - val_ratio)와 다릅니다."
        expected, got = f"글의 {1 - one.ratio:.0%}", f"{one.share:.0%}"
        fail(message, idea="나누는 자리", expected=expected, got=got, symptom=symptom, ratio=f"{one.ratio:g}")


# ── 1-3 창의 수

GRID = [
    (total, length, stride) for total, length, stride in product(range(27), (1, 2, 3, 5, 8), (1, 2, 3, 4, 8, 11))
] + [(1_000, 8, 3), (1_000, 8, 8), (65_537, 256, 256), (65_536, 256, 256)]


def windows(total: int, length: int, stride: int) -> int:
    """하나씩 세어 본 창의 수: 창마다 입력 `length`개와, 마지막 정답을 위한 하나가 더 있어야 합니다."""
    return len([start for start in range(0, total, stride) if start + length < total])


@cache
def right_counts() -> list[int]:
    return [windows(*case) for case in GRID]


# 흔히 헷갈리는 셈. 모두 0보다 작아지지 않게 하여 견줍니다.
WRONG_COUNTS: dict[str, list[Callable[[int, int, int], float]]] = {
    "no-target": [
        lambda total, length, stride: (total - length) // stride + 1 if total >= length else 0,
        lambda total, length, stride: (total - length) // stride + 1,
        lambda total, length, stride: (total - length + 1) // stride + 1,
    ],
    "one-less": [lambda total, length, stride: (total - length - 1) // stride],
    "one-more": [lambda total, length, stride: (total - length - 1) // stride + 2],
    "target-minus": [
        lambda total, length, stride: (total - length - 2) // stride + 1,
        lambda total, length, stride: (total - length) // stride,
        lambda total, length, stride: windows(total, length, stride) if total > length + 1 else 0,
    ],
    "no-stride": [
        lambda total, length, stride: total,
        lambda total, length, stride: total - length,
        lambda total, length, stride: total - length - 1,
        lambda total, length, stride: total - length + 1,
    ],
    "length-is-stride": [
        lambda total, length, stride: (total - length - 1) // length + 1,
        lambda total, length, stride: (total - 1) // length,
        lambda total, length, stride: total // length,
        lambda total, length, stride: total // (length + 1),
    ],
    "no-length": [
        lambda total, length, stride: total // stride,
        lambda total, length, stride: (total - 1) // stride,
        lambda total, length, stride: (total - 1) // stride + 1,
        lambda total, length, stride: math.ceil(total / stride),
    ],
    "partial": [
        lambda total, length, stride: math.ceil((total - length - 1) / stride) + 1 if total > length else 0,
        lambda total, length, stride: math.ceil((total - length) / stride) + 1 if total >= length else 0,
    ],
    "truncated": [lambda total, length, stride: int((total - length - 1) / stride) + 1],
    "precedence": [
        lambda total, length, stride: total - length - 1 // stride + 1,
        lambda total, length, stride: total - (length + 1) // stride + 1,
    ],
    "two-lengths": [lambda total, length, stride: (total - 2 * length) // stride + 1],
    "roles-swapped": [
        lambda total, length, stride: (total - stride - 1) // length + 1,
        lambda total, length, stride: (total - stride) // length + 1,
        lambda total, length, stride: (total - stride) // length,
    ],
    "at-least-one": [lambda total, length, stride: max(1, windows(total, length, stride))],
}


def counted(step: Any, total: int, length: int, stride: int) -> int | None:
    """학생의 `len(dataset)`. 음수여서 파이썬이 받지 않으면 None입니다."""
    dataset = step.WindowDataset(np.zeros(total, dtype="uint16"), length, stride)
    try:
        return len(dataset)
    except ValueError as error:
        if "should return >= 0" not in str(error):
            raise
        return None
    except TypeError as error:
        if "cannot be interpreted as an integer" not in str(error):
            raise
        kind = str(error).split("'")[1]
        symptom = "not-int" if kind == "float" else None
        message = "창의 수가 정수가 아닙니다."
        fail(message, idea="몫", expected="int", got=kind, symptom=symptom, **case_of(total, length, stride))


def case_of(total: int, length: int, stride: int) -> dict[str, Any]:
    case = f"토큰 {total}개, 길이 {length}, 간격 {stride}"
    return {"case": case, "total": total, "length": length, "stride": stride}


@todo("1-3")
def test_windows_are_counted_as_by_hand(load):
    """창의 수는 하나씩 세어 본 것과 같습니다. 글이 길든 짧든, 간격이 길이보다 좁든 넓든 그렇습니다."""
    step, want = load(1), right_counts()
    got = [counted(step, *case) for case in GRID]
    if got == want:
        return
    known = [one or 0 for one in got]  # 음수는 0으로 보고, 그것 말고도 다른지부터 봅니다.
    wrong = [index for index, (a, b) in enumerate(zip(known, want, strict=True)) if a != b]
    if not wrong or None in got and len(set(got)) == 1:
        index = got.index(None)
        message = "창의 수가 음수입니다."
        expected = f"{want[index]}개"
        fail(message, idea="짧은 글", expected=expected, got="음수", symptom="negative", **case_of(*GRID[index]))
    symptom = next((name for name, rules in WRONG_COUNTS.items() for rule in rules if same(known, rule)), "other-count")
    if len(set(got)) == 1:
        symptom = "constant"
    # 설명하기 쉬운 보기를 고릅니다: 창이 두셋이고, 길이와 간격이 1이 아닌 것.
    index = next((i for i in wrong if want[i] in (2, 3) and GRID[i][1] >= 3 and GRID[i][2] >= 2), wrong[0])
    case, count = case_of(*GRID[index]), known[index]
    fail(
        f"창의 수가 다릅니다: {case['case']}.",
        idea="창의 수",
        expected=f"{want[index]}개",
        got=f"{count}개" if got[index] is not None else "음수",
        symptom=symptom,
        last=(count - 1) * case["stride"] + case["length"],
        **case,
    )


def same(got: list[int], rule: Callable[[int, int, int], float]) -> bool:
    return got == [max(0, rule(*case)) for case in GRID]


# ── 1-4 창의 내용

LENGTH, STRIDE, TOTAL = 6, 4, 39
PLACES = (0, 1, 5, 8)  # 마지막 것은 마지막 창입니다: 8 x 4 + 6 + 1 = 39


@cache
def tokens() -> np.ndarray:
    """서로 다르고 이웃과도 차이가 고르지 않은 번호들. 메모리 맵처럼 읽기만 됩니다."""
    made = np.random.default_rng(5).permutation(np.arange(60_000, 60_000 + 7 * TOTAL, 7)).astype("uint16")
    made.flags.writeable = False
    return made


def window(step: Any, index: int) -> tuple[list[int], list[int]]:
    """학생의 `index`번째 창. 텐서로 바꿀 수 없는 것을 담았으면 그렇다고 말합니다."""
    dataset = step.WindowDataset(tokens(), LENGTH, STRIDE)
    try:
        inputs, targets = dataset[index]
        again = [dataset[index] for _ in range(4)]
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        message = "토큰을 그 자리에서 고치려 했습니다."
        fail(message, idea="슬라이스", expected="읽기만", got=f"ValueError: {error}", symptom="in-place")
    except AttributeError as error:
        if "no attribute 'astype'" not in str(error):
            raise
        message = "배열이 아닌 것을 담았습니다."
        kind = str(error).split("'")[1]
        fail(message, idea="배열", expected="numpy 배열", got=kind, symptom="not-array")
    except TypeError as error:
        if "expected np.ndarray" not in str(error):
            raise
        message = "토큰을 하나만 꺼냈습니다."
        fail(message, idea="창", expected=f"토큰 {LENGTH}개", got="토큰 1개", symptom="one-token")
    if any(not torch.equal(inputs, one) or not torch.equal(targets, two) for one, two in again):
        message = "같은 번호의 창이 읽을 때마다 다릅니다."
        fail(message, idea="창", expected="언제나 같은 창", got="다른 창", symptom="random-window", index=index)
    if inputs.dim() != 1 or targets.dim() != 1:
        message = "창 하나에 축이 하나 더 있습니다."
        got = f"{tuple(inputs.shape)}, {tuple(targets.shape)}"
        fail(message, idea="창의 모양", expected=f"({LENGTH},), ({LENGTH},)", got=got, symptom="extra-axis")
    return inputs.tolist(), targets.tolist()


def part(start: int, stop: int) -> list[int]:
    """`tokens()`의 한 부분. 앞으로 벗어난 자리는 파이썬의 슬라이스를 따릅니다."""
    return tokens()[start:stop].tolist()


@todo("1-4")
def test_inputs_start_at_the_window(load):
    """입력은 start에서 시작하는 max_seq_len개의 토큰입니다."""
    for index in PLACES:
        got, targets = window(load(1), index)
        start = index * STRIDE
        want = part(start, start + LENGTH)
        if got == want:
            continue
        shifted = part(start + 1, start + LENGTH + 1)
        known = {
            "swapped": got == shifted and targets == want,
            "not-shifted": got == shifted and targets == shifted,
            "index-not-start": got == part(index, index + LENGTH),
            "window-plus-one": got == part(start, start + LENGTH + 1),
            "window-minus-one": got == part(start, start + LENGTH - 1),
            "to-the-end": got == part(start, TOTAL),
            "starts-early": got == part(start - 1, start - 1 + LENGTH),
            "length-is-stop": got == part(start, LENGTH),
            "length-is-stride": got == part(index * LENGTH, (index + 1) * LENGTH),
            "stride-is-length": got == part(start, start + STRIDE),
        }
        blame("입력", "inputs", index, got, want, known)


@todo("1-4")
def test_targets_are_one_token_later(load):
    """정답의 i번째는 입력의 i번째 바로 다음 토큰입니다."""
    for index in PLACES:
        inputs, got = window(load(1), index)
        start = index * STRIDE
        want = part(start + 1, start + LENGTH + 1)
        if got == want:
            continue
        plain = part(start, start + LENGTH)
        known = {
            "not-shifted": got == plain and inputs == plain,
            "swapped": got == plain and inputs == want,
            "starts-early": got == plain and inputs == part(start - 1, start - 1 + LENGTH),
            "index-not-start": got == part(index + 1, index + LENGTH + 1),
            "shifted-back": got == (part(start - 1, start - 1 + LENGTH) if start else part(-1, LENGTH - 1)),
            "shifted-two": got == part(start + 2, start + LENGTH + 2),
            "shifted-stride": got == part(start + STRIDE, start + STRIDE + LENGTH),
            "window-minus-one": got == part(start + 1, start + LENGTH),
            "window-plus-one": got == part(start + 1, start + LENGTH + 2),
            "next-window": got == part(start + LENGTH, start + 2 * LENGTH),
            "one-token": got == part(start + LENGTH, start + LENGTH + 1),
            "to-the-end": got == part(start + 1, TOTAL),
            "length-is-stop": got == part(start + 1, LENGTH + 1),
            "length-is-stride": got == part(index * LENGTH + 1, (index + 1) * LENGTH + 1),
            "stride-is-length": got == part(start + 1, start + STRIDE + 1),
            "rolled": got == [*plain[1:], plain[0]],
            "made-up-last": len(got) == LENGTH and got[:-1] == want[:-1],
            "value-plus-one": got == [(one + 1) % 2**16 for one in plain],
        }
        blame("정답", "targets", index, got, want, known)


def blame(what: str, name: str, index: int, got: list[int], want: list[int], known: dict[str, bool]) -> None:
    """틀린 창을 말합니다. 길이부터 다르면 길이를, 같으면 값을 적습니다."""
    symptom = next((one for one, is_it in known.items() if is_it), "other-window")
    length = len(got) != len(want)
    fail(
        f"{index}번째 창의 {what}({name})이 다릅니다.",
        idea="창",
        expected=f"{len(want)}개" if length else want,
        got=f"{len(got)}개" if length else got,
        symptom=symptom,
        what=what,
        name=name,
    )


# ── 1-5 학습 로더

WINDOWS, BATCH, WORKERS = 20, 6, 2  # 창의 수는 배치 크기로 나누어떨어지지 않습니다.
ACCUMULATION, DEVICES = 3, 2  # 배치의 크기와 곱하거나 나누어도 흔히 적는 수(8, 16, …)가 되지 않습니다.
STEP_SIZES = [BATCH * ACCUMULATION, BATCH * DEVICES, BATCH * ACCUMULATION * DEVICES]
STEP_SIZES += [BATCH // ACCUMULATION, BATCH // DEVICES]


class Windows(Dataset):
    """`WindowDataset` 자리에 대신 두는 옳은 데이터셋. 학생의 1-3과 1-4를 거치지 않습니다."""

    def __init__(self, tokens: np.ndarray, max_seq_len: int, stride: int) -> None:
        self.tokens, self.max_seq_len, self.stride = tokens, max_seq_len, stride

    def __len__(self) -> int:
        return windows(len(self.tokens), self.max_seq_len, self.stride)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = index * self.stride
        taken = torch.from_numpy(self.tokens[start : start + self.max_seq_len + 1].astype("int64"))
        return taken[:-1], taken[1:]


class Tokens:
    """`TokenFile` 자리에 대신 두는 것."""

    def __init__(self, first: int, count: int) -> None:
        self.tokens, self.num_bytes = np.arange(first, first + count).astype("uint16"), 3 * count

    def __len__(self) -> int:
        return len(self.tokens)


@pytest.fixture
def make(load, monkeypatch) -> Callable[[int], DataLoader]:
    """설정의 workers를 받아 학생의 학습 로더를 만드는 함수."""
    step = load(1)
    monkeypatch.setattr(step, "WindowDataset", Windows)

    def made(workers: int = 0) -> DataLoader:
        torch.manual_seed(11)
        data = step.LMData.__new__(step.LMData)
        data.config = support.tiny_config(
            batch_size=BATCH, workers=workers, grad_accumulation=ACCUMULATION, devices=DEVICES, stride=LENGTH
        )
        data.train, data.valid = Tokens(0, 8 + LENGTH * (WINDOWS - 1) + 1), Tokens(1_000, 8 * 4 + 1)
        try:
            loader = data.train_dataloader()
        except ValueError as error:
            explain_refusal(error)
            raise
        return checked_loader(loader)

    return made


def explain_refusal(error: ValueError) -> None:
    """DataLoader가 받지 않은 인수들이 무엇이었는지."""
    text = str(error)
    if "sampler option is mutually exclusive with shuffle" in text:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        given = next((one.f_locals["sampler"] for one in frames if "sampler" in one.f_locals), None)
        if isinstance(given, int):
            expected, got = "num_workers", f"sampler={given}"
            message = "보조 프로세스의 수가 sampler의 자리에 들어갔습니다."
            fail(message, idea="인수의 자리", expected=expected, got=got, symptom="positional")
        message = "sampler와 shuffle을 함께 주었습니다."
        fail(message, idea="sampler", expected="둘 중 하나", got="둘 다", symptom="both")
    if "batch_sampler option is mutually exclusive" in text:
        message = "batch_sampler와, 그것이 이미 정하는 것을 함께 주었습니다."
        fail(message, idea="batch_sampler", expected="둘 중 하나", got="둘 다", symptom="both-batches")
    if found := re.search(r"(persistent_workers|prefetch_factor|multiprocessing_context|timeout)\b", text):
        message = "보조 프로세스가 없을 때는 쓸 수 없는 인수를 적었습니다."
        expected, got = "workers가 0일 때도 만들어짐", f"ValueError: {text[:70]}"
        fail(message, idea="num_workers", expected=expected, got=got, symptom="workers-only", argument=found[1])


def batch_size_of(loader: DataLoader) -> int | None:
    """4단계가 읽는 자리에 적힌 배치 크기. `batch_size`로 주든 `batch_sampler`로 주든 여기에 있습니다."""
    return getattr(loader.batch_sampler, "batch_size", None)


def checked_loader(loader: Any) -> DataLoader:
    if not isinstance(loader, DataLoader):
        message = "loader에 담긴 것이 DataLoader가 아닙니다."
        fail(message, idea="DataLoader", expected="DataLoader 객체", got=named(loader), symptom="not-loader")
    if loader.batch_sampler is None:
        message, got = "DataLoader가 창을 배치로 묶지 않습니다.", "batch_size=None"
        fail(message, idea="배치 크기", expected=f"batch_size={BATCH}", got=got, symptom="no-batching")
    if not isinstance(loader.dataset, Windows):
        same_items = len(loader.dataset) == WINDOWS and isinstance(loader.dataset[0], tuple)
        if not same_items:
            kind = type(loader.dataset).__name__
            message = "로더가 읽는 것이 dataset이 아닙니다."
            fail(message, idea="데이터셋", expected=f"창 {WINDOWS}개", got=kind, symptom="other-dataset")
    elif loader.dataset.tokens[0] >= 1_000:
        message = "학습할 글이 아니라 검증할 글을 읽습니다."
        fail(message, idea="데이터셋", expected="학습할 글", got="검증할 글", symptom="valid-windows")
    elif len(loader.dataset) != WINDOWS:
        message = "학습할 창의 수가 다릅니다."
        got = f"창 {len(loader.dataset)}개"
        fail(message, idea="데이터셋", expected=f"창 {WINDOWS}개", got=got, symptom="other-windows")
    if batch_size_of(loader) is None or not hasattr(loader.batch_sampler, "sampler"):
        sequential = all(one == list(range(one[0], one[0] + len(one))) for one in epoch(loader))
        message = "4단계가 읽을 sampler와 batch_size가 없습니다."
        symptom = "batches-shuffled" if sequential else "no-batch-size"
        got, want = type(loader.batch_sampler).__name__, "sampler와 batch_size"
        fail(message, idea="batch_sampler", expected=want, got=got, symptom=symptom)
    return loader


def epoch(loader: DataLoader) -> list[list[int]]:
    """한 에포크의 배치들. 창은 그 번호로 적습니다. 보조 프로세스는 띄우지 않습니다."""
    batches = []
    for indices in loader.batch_sampler:
        batch = loader.collate_fn([loader.dataset[index] for index in indices])
        if not isinstance(batch, (tuple, list)) or len(batch) != 2 or not isinstance(batch[0], torch.Tensor):
            message = "배치가 (입력, 정답) 두 텐서가 아닙니다."
            got = type(batch).__name__
            fail(message, idea="배치", expected="두 텐서", got=got, symptom="other-batch")
        inputs, targets = batch
        shapes = f"{tuple(inputs.shape)}, {tuple(targets.shape)}"
        stacked = (len(indices), loader.dataset[0][0].numel())
        if tuple(inputs.shape) != stacked or inputs.shape != targets.shape or not torch.equal(inputs + 1, targets):
            message = "배치의 입력과 정답이 창의 것과 다릅니다."
            fail(message, idea="배치", expected="모두 (배치, 길이)", got=shapes, symptom="other-batch")
        batches.append([first // LENGTH for first in inputs[:, 0].tolist()])
    return batches


def flat(nested: list[list[int]]) -> list[int]:
    return [one for inner in nested for one in inner]


@todo("1-5")
def test_batches_have_the_configured_size(make):
    """배치의 크기는 설정의 것이고, 마지막의 작은 배치도 버리지 않습니다."""
    loader = make()
    size, sizes = batch_size_of(loader), [len(one) for one in epoch(loader)]
    if size != BATCH:
        symptom = "batch-of-one" if size == 1 else "step-size" if size in STEP_SIZES else "batch-size"
        message = "배치 크기가 설정과 다릅니다."
        fail(message, idea="배치 크기", expected=BATCH, got=size, symptom=symptom)
    want, left = [BATCH] * (WINDOWS // BATCH) + [WINDOWS % BATCH], WINDOWS % BATCH
    if loader.drop_last or sizes == want[:-1]:
        got = f"{len(sizes)}배치"
        message = "마지막의 작은 배치를 버렸습니다."
        fail(message, idea="drop_last", expected=f"{len(want)}배치", got=got, symptom="drop-last", left=left)
    if sum(sizes) < WINDOWS:
        message = "창을 다 읽지 않습니다."
        fail(message, idea="sampler", expected=f"창 {WINDOWS}개", got=f"{sum(sizes)}개", symptom="partial")
    assert_equal(sizes, want, idea="배치 크기", message="배치들의 크기가 다릅니다.")


@todo("1-5")
def test_order_changes_every_epoch(make):
    """읽는 순서는 글의 순서와 다르고, 에포크마다 다릅니다."""
    loader = make()
    first, second = flat(epoch(loader)), flat(epoch(loader))
    if first == list(range(len(first))):
        busy = make(WORKERS)
        if busy.num_workers == 0 and not isinstance(busy.batch_sampler.sampler, SequentialSampler):
            message = "보조 프로세스의 수가 shuffle의 자리에 들어갔습니다."
            expected, got = "num_workers", "shuffle"
            fail(message, idea="인수의 자리", expected=expected, got=got, symptom="positional")
        message = "창을 글의 순서대로 읽습니다."
        fail(message, idea="섞기", expected="무작위", got="글의 순서", symptom="not-shuffled")
    if first == second:
        message = "순서가 에포크마다 똑같습니다."
        fail(message, idea="섞기", expected="매번 다른 순서", got="같은 순서", symptom="same-order")


@todo("1-5")
def test_every_window_is_read_once(make):
    """한 에포크에 창마다 한 번씩 읽습니다."""
    loader = make()
    read = flat(epoch(loader))
    if len(set(read)) < len(read):
        expected, got = f"서로 다른 창 {WINDOWS}개", f"{len(set(read))}개"
        fail("같은 창을 여러 번 읽었습니다.", idea="replacement", expected=expected, got=got, symptom="replacement")
    again = training_loader(loader, seed=7)  # 4단계는 이 로더의 sampler를 받아 배치를 다시 묶습니다.
    message = "4단계가 배치를 다시 묶으면 읽는 창이 달라집니다."
    if len(read) == WINDOWS and sorted(flat(epoch(again))) != list(range(WINDOWS)):
        fail(message, idea="sampler", expected=f"창 {WINDOWS}개", got=f"{len(set(flat(epoch(again))))}개")


@todo("1-5")
def test_workers_come_from_the_settings(make):
    """보조 프로세스의 수는 설정의 것입니다."""
    for workers in (WORKERS, 0):
        got = make(workers).num_workers
        if got != workers:
            symptom = "no-workers" if got == 0 else "fixed-workers"
            message = "보조 프로세스의 수가 설정(workers)과 다릅니다."
            fail(message, idea="num_workers", expected=workers, got=got, symptom=symptom)
