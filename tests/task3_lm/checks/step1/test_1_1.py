"""1-1의 검사: 토크나이저."""

from __future__ import annotations

import re
import traceback
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from tokenizers import Tokenizer, pre_tokenizers

from course.checks.recognising import explained
from course.checks.words import assert_equal, fail, show, todo
from nlpbook.language.tokens import END_OF_TEXT, TextTokenizer
from tests.task3_lm.checks import support
from tests.task3_lm.checks.step1.common import named

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
            with explained(explain_stop):
                learnt[key] = step.train_tokenizer((text for text in texts), vocab_size)
        return learnt[key]

    monkeypatch.setattr(step, "TextTokenizer", checked)
    make(many_texts())  # 무엇을 빠뜨렸는지는 글이 넉넉해야 드러납니다.
    return make


def explain_stop(error: Exception) -> None:
    """tokenizers가 받을 수 없는 것을 건네어 멈췄으면, 무엇을 건넸는지 말합니다."""
    text = str(error)
    if text == "'str' object is not an instance of 'list'":
        fail(idea="특수 토큰", expected="list", got="str", symptom="special-not-list")
    if found := re.search(r"'(\w+)' object is not an instance of '(\w+)'", text):
        given, wanted = found.groups()
        about = {"idea": "tokenizers의 부품", "expected": wanted, "got": given}
        if given == "type":
            fail(symptom="class-not-object", **about)
        if given in ("builtin_function_or_method", "method", "function"):
            fail(symptom="not-called", **about)
        if wanted == "Trainer":
            fail(symptom="trainer-place", **about)
    given_as_path = "is not an instance of 'Sequence'" in text or re.search("No such file|name too long", text)
    if given_as_path and ".train(" in (traceback.extract_tb(error.__traceback__)[-1].line or ""):
        fail(idea="학습", expected="글", got="파일의 경로", symptom="texts-as-files")


def check_kind(raw: Any) -> None:
    if not isinstance(raw, Tokenizer):
        kind = named(raw)
        fail(idea="Tokenizer", expected="Tokenizer", got=kind, symptom="not-tokenizer")
    if type(raw.model).__name__ != "BPE":
        kind = type(raw.model).__name__
        fail(idea="BPE", expected="BPE", got=kind, symptom="not-bpe")
    if mark := raw.model.continuing_subword_prefix or raw.model.end_of_word_suffix:
        fail(idea="바이트 단위", expected="표시 없음", got=mark, symptom="marked-pieces")


def check_end_is_known(raw: Tokenizer, vocab_size: int) -> None:
    """글의 끝 토큰이 어휘에 있는지. 없다면 왜 없는지."""
    if raw.token_to_id(END_OF_TEXT) is not None:
        return
    size, idea = raw.get_vocab_size(), "특수 토큰"
    if size == 0:
        fail(idea="학습", expected=f"토큰 {vocab_size}개", got="0개", symptom="not-trained")
    if size > vocab_size and not knows_every_byte(raw):
        fail(idea="trainer", expected=f"토큰 {vocab_size}개", got=f"{size}개", symptom="no-trainer")
    others = [one.content for one in raw.get_added_tokens_decoder().values()]
    symptom = "other-special" if others else "no-special"
    fail(idea=idea, expected=END_OF_TEXT, got=", ".join(others) or "없음", symptom=symptom)


def knows_every_byte(raw: Tokenizer) -> bool:
    return all(raw.token_to_id(one) is not None for one in pre_tokenizers.ByteLevel.alphabet())


def in_letters(text: str) -> str:
    """글의 바이트를 적은 글자들."""
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    return "".join(piece for piece, _ in pieces)


def knows_learnt_bytes(raw: Tokenizer) -> bool:
    """배운 글에 나온 바이트는 모두 아는가."""
    return all(raw.token_to_id(one) is not None for one in set(in_letters("".join(many_texts()))))


def writes_bytes(raw: Tokenizer) -> bool:
    """글을 바이트의 글자들로 바꾸어 읽는지. 배운 글의 토큰으로 봅니다."""
    letters = set(pre_tokenizers.ByteLevel.alphabet())
    known = [*many_texts()[:3], *FOX[:1], *BEAR[:1]]
    return all(set(token) <= letters for text in known for token in raw.encode(text, add_special_tokens=False).tokens)


def check_bytes(raw: Tokenizer) -> None:
    if not writes_bytes(raw):
        kind = type(raw.pre_tokenizer).__name__.replace("NoneType", "없음")
        symptom = "no-pretokenizer" if raw.pre_tokenizer is None else "not-byte-level"
        fail(idea="바이트 단위", expected="ByteLevel", got=kind, symptom=symptom)


@todo("1-1")
def test_any_text_comes_back_unchanged(trained):
    """어떤 글이든 번호로 바꾸었다가 되돌리면 (NFC로 모아 쓴) 그대로입니다. 처음 보는 이모지도 그렇습니다."""
    tokenizer = trained(many_texts())
    check_bytes(tokenizer.tokenizer)
    for what, text in ANY_TEXTS.items():
        ids = tokenizer.encode(text)
        if tokenizer.encode(text) != ids:
            fail(idea="토크나이저", expected="언제나 같은 번호", got="다른 번호", symptom="random")
        check_round_trip(tokenizer, what, text)


def check_round_trip(tokenizer: TextTokenizer, what: str, text: str) -> None:
    text = unicodedata.normalize("NFC", text)  # TextTokenizer는 어떤 글이든 NFC로 모아 쓴 뒤에 번호로 바꿉니다.
    got, raw = tokenizer.decode(tokenizer.encode(text)), tokenizer.tokenizer
    if got == text:
        return
    message = f"글이 그대로 돌아오지 않습니다({what})."
    letters = "".join(raw.encode(text, add_special_tokens=False).tokens)
    folded = [unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")]
    if letters.removeprefix("Ġ") == in_letters(text) and got.replace(" ", "") == letters:
        symptom = "no-decoder"
    elif got == " " + text:
        symptom = "prefix-space"
    elif not knows_every_byte(raw):
        others = [chr(one) for one in range(256) if chr(one) not in pre_tokenizers.ByteLevel.alphabet()]
        given = any(raw.token_to_id(one) is not None for one in others)
        symptom = "other-alphabet" if given else "no-alphabet" if knows_learnt_bytes(raw) else "few-letters"
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
        fail(idea="어휘의 크기", expected=f"{vocab_size}개", got=f"{got}개", symptom=symptom)


@todo("1-1")
def test_end_of_text_is_the_only_special_token(trained):
    """글의 끝은 특수 토큰 하나입니다. 읽을 글로 되돌릴 때는 보이지 않습니다."""
    tokenizer = trained(many_texts())
    added = tokenizer.tokenizer.get_added_tokens_decoder().values()
    ids, shown = tokenizer.encode(f"하나{END_OF_TEXT}둘"), tokenizer.decode([tokenizer.end_id])
    if shown or not any(one.special for one in added if one.content == END_OF_TEXT):
        more = {"symptom": "not-special", "token": END_OF_TEXT}
        fail(idea="특수 토큰", expected="특수 토큰", got="보통 토큰", **more)
    others = sorted(one.content for one in added if one.content != END_OF_TEXT)
    if others:
        got = ", ".join(others)
        fail(idea="특수 토큰", expected=END_OF_TEXT, got=got, symptom="extra-special")
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
            expected, merged = f"{size}토큰", f"{got}토큰"
            fail(idea="새어 나감", expected=expected, got=merged, symptom="other-texts", word=word)


@todo("1-1")
def test_no_token_crosses_words(trained):
    """먼저 낱말과 문장 부호로 가르므로, 그 사이를 넘어 합친 토큰은 없습니다. 앞의 빈칸은 낱말에 붙습니다."""
    for texts in ([*FOX, *OWL, *BEAR], ["여우.곰돌 부엉!\n" * 20]):
        tokenizer = trained(texts)
        raw = tokenizer.tokenizer
        if raw.model.dropout or not knows_every_byte(raw) or not writes_bytes(raw):
            return  # 다른 검사가 말합니다.
        pieces = [tokenizer.decode([number]) for token, number in raw.get_vocab().items() if token != END_OF_TEXT]
        whole = [one for one in pieces if "\ufffd" not in one]  # 글자의 일부만 담은 토큰은 글로 볼 수 없습니다.
        crossing = sorted((one for one in whole if re.search(r"\S\s|\w[^\w\s]", one)), key=lambda one: (len(one), one))
        if crossing:
            fail(idea="낱말 가르기", expected="낱말 하나까지", got=repr(crossing[0]), symptom="across-words")
