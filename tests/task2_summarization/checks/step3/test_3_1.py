"""3-1의 검사: 한국어 요약을 조각으로."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from course.checks.recognising import recognise, require_value
from course.checks.words import fail, todo

IDEA = "조각 나누기"
TAG = re.compile(r"#person[0-9]+#")
# 두 자리의 태그, 대문자, 여러 자리의 수, 붙어 있는 수와 낱말, 닫히지 않은 태그, 되풀이, 줄바꿈, 낱자와 한자가 있습니다.
TEXTS = [
    "#Person1#은 3시에 Tom을 만납니다.",
    "#Person12#와 #Person2#는 KTX로 1,250원을 아꼈다고 합니다!",
    "네, 네. B2층의 Wi-Fi는\n24시간 켜져 있습니다 😊",
    "ㅋㅋㅋ #Person3#의 美 팀이 2대1로 이겼대요 ㅠㅠ #첫승#",
    "#PERSON3#이(가) #Person4 대신 my_file2를 읽고\t'네'라고 합니다…",
    "회의를 해 봤더니 힘들었지만, 다음 화요일에 또 하자는 희망이 있어요. 뷁힣",  # 핳보다 뒤의 음절들
    "",
    " .,!? 😊 ",
]


def syllable(one: str) -> bool:
    return "가" <= one <= "힣"


def latin(one: str) -> bool:
    return "a" <= one <= "z"


def digit(one: str) -> bool:
    return "0" <= one <= "9"


def cut(
    text: str,
    *,
    lower: bool = True,
    tag: re.Pattern[str] | None = TAG,
    joined: tuple[Callable[[str], bool], ...] = (latin, digit),
    alone: tuple[Callable[[str], bool], ...] = (syllable,),
) -> list[str]:
    """글을 앞에서부터 읽으며 나눈 조각들. 정규식을 쓰는 해답과 따로 씁니다.

    Args:
        tag: 한 조각으로 둘 태그의 모양. None이면 태그도 글자로 봅니다.
        joined: 이어지면 한 조각인 글자의 종류들.
        alone: 하나하나가 조각인 글자의 종류들.
    """
    text = text.lower() if lower else text
    pieces: list[str] = []
    at = 0
    while at < len(text):
        found = tag.match(text, at) if tag else None
        if found:
            pieces.append(found.group())
            at = found.end()
            continue
        kind = next((one for one in joined if one(text[at])), None)
        end = at + 1
        while kind and end < len(text) and kind(text[end]):
            end += 1
        if kind or any(one(text[at]) for one in alone):
            pieces.append(text[at:end])
        at = end
    return pieces


def punctuation(one: str) -> bool:
    return not (one.isalnum() or one.isspace())


def jamo(one: str) -> bool:
    return "ㄱ" <= one <= "ㅣ"


def word_letter(one: str) -> bool:
    return one.isalnum() or one == "_"


def foreign(one: str) -> bool:
    return one.isalpha() and not (syllable(one) or latin(one.lower()) or jamo(one))


def ascii_word(one: str) -> bool:
    return latin(one) or digit(one)


def capital_too(one: str) -> bool:
    return latin(one.lower())


def mixed(text: str, tag: re.Pattern[str]) -> list[str]:
    """대문자를 그대로 둔 조각들. 낱말은 대문자와 소문자가 이어집니다."""
    return cut(text, lower=False, tag=tag, joined=(capital_too, digit))


WAYS: list[tuple[str, Callable[[str], list[str]]]] = [  # (증상, 그렇게 나눈 것)
    ("no-hangul", lambda text: cut(text, alone=())),
    ("no-hangul", lambda text: cut(text, tag=None, joined=(ascii_word,), alone=())),
    ("tag-split", lambda text: cut(text, tag=None)),
    ("tag-split", lambda text: cut(text, tag=None, alone=(syllable, lambda one: one == "#"))),
    ("one-digit-tag", lambda text: cut(text, tag=re.compile(r"#person[0-9]#"))),
    ("hangul-words", lambda text: cut(text, joined=(syllable, latin, digit), alone=())),
    ("any-hash", lambda text: cut(text, tag=re.compile(r"#\w+#"))),
    ("any-hash", lambda text: cut(text, tag=re.compile(r"#.+#"))),
    ("no-tags", lambda text: cut(TAG.sub(" ", text.lower()))),
    ("no-tags", lambda text: [one for one in cut(text) if not TAG.fullmatch(one)]),
    ("hashes-off", lambda text: [one.strip("#") for one in cut(text)]),
    ("hashes-off", lambda text: cut(text, tag=re.compile(r"#person[0-9]+"))),
    ("upper-case", lambda text: [one.upper() for one in cut(text)]),
    ("first-only", lambda text: cut(text)[:1]),
    ("first-only", lambda text: [one for one in cut(text)[:1] if text.lower().startswith(one)]),
    ("pairs", lambda text: [one + two for one, two in pairwise(cut(text))]),
    ("pairs", lambda text: [f"{one} {two}" for one, two in pairwise(cut(text))]),
    ("jamo-kept", lambda text: cut(text, alone=(syllable, jamo))),
    ("foreign-kept", lambda text: cut(text, alone=(syllable, jamo, foreign))),
    ("foreign-kept", lambda text: cut(text, alone=(syllable, foreign))),
    ("all-joined", lambda text: cut(text, joined=(word_letter,), alone=())),
    ("all-joined", lambda text: cut(text, joined=(lambda one: one.isalnum(),), alone=())),
    ("all-joined", lambda text: cut(text, joined=(lambda one: ascii_word(one) or syllable(one),), alone=())),
    ("one-by-one", lambda text: cut(text, joined=(), alone=(syllable, latin, digit))),
    ("one-group", lambda text: [one.strip("#person") if TAG.fullmatch(one) else "" for one in cut(text)]),
    ("capitals-lost", lambda text: cut(text, lower=False)),
    ("capitals-lost", lambda text: cut(text, lower=False, tag=re.compile(r"#Person[0-9]+#"))),
    (
        "not-lowered",
        lambda text: cut(text, lower=False, tag=re.compile(r"#Person[0-9]+#"), joined=(capital_too, digit)),
    ),
    (
        "not-lowered",
        lambda text: cut(text, lower=False, tag=re.compile(TAG.pattern, re.IGNORECASE), joined=(capital_too, digit)),
    ),
    *[
        (
            "tag-not-lowered",
            lambda text, tag=tag: [one if tag.fullmatch(one) else one.lower() for one in mixed(text, tag)],
        )
        for tag in (
            re.compile(r"#[Pp]erson[0-9]+#"),
            re.compile(r"#Person[0-9]+#"),
            re.compile(TAG.pattern, re.IGNORECASE),
        )
    ],
    ("whole-tag-words", lambda text: cut(text, tag=re.compile(r"#person\S*"))),
    ("whole-tag-words", lambda text: cut(text, tag=re.compile(r"#person[0-9]+#\S*"))),
    ("digits-alone", lambda text: cut(text, joined=(latin,), alone=(syllable, digit))),
    ("letters-alone", lambda text: cut(text, joined=(digit,), alone=(syllable, latin))),
    ("mixed-words", lambda text: cut(text, joined=(ascii_word,))),
    ("mixed-words", lambda text: cut(text, joined=(lambda one: ascii_word(one) or one == "_",))),
    ("punctuation-kept", lambda text: cut(text, alone=(syllable, punctuation))),
    ("punctuation-kept", lambda text: cut(text, alone=(syllable, lambda one: punctuation(one) and one != "_"))),
    ("spaces-kept", lambda text: cut(text, alone=(syllable, str.isspace))),
    ("spaces-kept", lambda text: cut(text, alone=(syllable, lambda one: one == " "))),
    ("all-kept", lambda text: cut(text, alone=(lambda one: True,))),
    ("all-kept", lambda text: cut(text, alone=(lambda one: one != "\n",))),
    ("by-spaces", lambda text: text.lower().split()),
    ("by-spaces", str.split),
    ("characters", lambda text: [one for one in text.lower() if not one.isspace()]),
    ("characters", lambda text: list(text.lower())),
    ("characters", lambda text: [one for one in text.lower() if one.isalnum()]),
    *[
        ("short-range", lambda text, last=last: cut(text, alone=(lambda one: "가" <= one <= last,)))
        for last in "하핗핳해히힐"
    ],
    ("zeros-lost", lambda text: cut(text, joined=(latin, lambda one: "1" <= one <= "9"))),
    ("no-numbers", lambda text: cut(text, joined=(latin,))),
    ("no-words", lambda text: cut(text, joined=(digit,))),
    ("no-repeats", lambda text: list(dict.fromkeys(cut(text)))),
    ("out-of-order", lambda text: sorted(cut(text))),
    ("out-of-order", lambda text: [*TAG.findall(text.lower()), *cut(TAG.sub(" ", text.lower()))]),
    (
        "out-of-order",
        lambda text: [
            *TAG.findall(text.lower()),
            *cut(TAG.sub(" ", text.lower()), joined=(), alone=(syllable,)),
            *cut(TAG.sub(" ", text.lower()), joined=(latin,), alone=()),
            *cut(TAG.sub(" ", text.lower()), joined=(digit,), alone=()),
        ],
    ),
]


@pytest.fixture
def tokenize(load):
    return load(3).SyllableTokenizer().tokenize


def require_pieces(got: Any) -> list[str]:
    """글들의 목록. 아니면 무엇이 왔는지 말합니다."""
    require_value(got, "pieces")
    if isinstance(got, str):
        fail(idea=IDEA, expected="글의 목록", got=f"글 {got!r}", symptom="one-text")
    if isinstance(got, set):
        fail(idea=IDEA, expected="글의 목록", got="집합(set)", symptom="no-repeats", text=TEXTS[0])
    if not isinstance(got, list):
        fail(idea=IDEA, expected="글의 목록", got=type(got).__name__, symptom="not-list")
    if any(isinstance(one, tuple) for one in got):
        fail(idea="정규식의 묶음", expected="글의 목록", got=f"{got[:2]}", symptom="groups")
    odd = next((one for one in got if not isinstance(one, str)), "")
    if odd != "":
        fail(idea=IDEA, expected="글(str)", got=type(odd).__name__, symptom="not-text")
    return got


def is_part(some: list[str], whole: list[str]) -> bool:
    """`whole`에서 몇을 빼면 `some`이 되는가."""
    left = iter(whole)
    return all(one in left for one in some)


def shown(pieces: list[str]) -> str:
    return " ".join(repr(one)[1:-1] if one.strip() else repr(one) for one in pieces) or "없음"


@todo("3-1")
def test_a_summary_is_cut_into_tags_syllables_words_and_numbers(tokenize):
    """태그, 음절, 낱말, 수가 저마다 한 조각이고, 나머지는 버립니다."""
    got = [require_pieces(tokenize(text)) for text in TEXTS]
    want = [cut(text) for text in TEXTS]
    if got == want:
        return
    first = next(i for i, (one, two) in enumerate(zip(got, want, strict=True)) if one != two)
    said = {"expected": shown(want[first]), "shown": shown(got[first]), "text": TEXTS[first].replace("\n", " ")}
    recognise(got, [(symptom, [way(text) for text in TEXTS]) for symptom, way in WAYS], idea=IDEA, **said)
    if not any(pieces for text, pieces in zip(TEXTS, got, strict=True) if text):
        fail(idea="정규식", expected=said["expected"], got=said["shown"], symptom="nothing-found", text=said["text"])
    if any("" in pieces for pieces in got):
        fail(idea="정규식", expected=said["expected"], got=said["shown"], symptom="empty-pieces", text=said["text"])
    if [sorted(pieces) for pieces in got] == [sorted(set(pieces)) for pieces in want]:
        fail(idea=IDEA, expected=said["expected"], got=said["shown"], symptom="no-repeats", text=said["text"])
    if all(is_part(one, whole) for one, whole in zip(got, want, strict=True)):
        lost = [one for one in dict.fromkeys(sum(want, [])) if sum(want, []).count(one) > sum(got, []).count(one)]
        more = {"expected": said["expected"], "got": said["shown"], "text": said["text"]}
        fail(idea=IDEA, symptom="pieces-lost", lost=", ".join(lost[:5]), **more)
    fail("글을 나눈 조각들이 다릅니다.", idea=IDEA, expected=said["expected"], got=said["shown"])
