"""사람이 읽을 글: 어느 콘솔에나 적고, 터미널의 폭에 맞추고, 조사를 맞추고, 가까운 이름을 묻습니다.

`course/`와 `nlpbook/`이 서로를 모른 채 함께 씁니다(`todo.py`처럼). `course/bootstrap.py`가 아무것도 설치하기 전에
부르므로 표준 라이브러리만 쓰고, Python 3.8의 문법으로 적습니다.
"""

from __future__ import annotations

import io
import re
import shutil
import string
import sys
import unicodedata
from difflib import get_close_matches
from typing import Any, Iterable, Iterator, Mapping  # noqa: UP035  Python 3.8

NAME_WIDTH = 26  # 표에서 이름이 이보다 길면 설명은 다음 줄부터
BOTH_FORMS = re.compile(r"을\(를\)|이\(가\)|은\(는\)|와\(과\)|과\(와\)|\(으\)로|\(이\)(?=[가-힣])")
PAIRS = {"을": "를", "이": "가", "은": "는", "과": "와", "으로": "로", "이라는": "라는", "이라고": "라고"}
PAIRS.update({"이어야": "여야", "이었": "였", "이면": "면", "이나": "나", "이든": "든"})  # 받침 뒤의 꼴 → 모음 뒤의 꼴
FORMS = {form: pair for pair in PAIRS.items() for form in pair}
LEADING = re.compile("|".join(sorted(FORMS, key=len, reverse=True)))
# 소리가 받침으로 끝나는 숫자(영 일 삼 육 칠 팔)와, 한 글자씩 읽는 로마자(엘 엠 엔 알). 나머지는 모음으로 끝납니다.
SPOKEN = {"0": "ㅇ", "1": "ㄹ", "3": "ㅁ", "6": "ㄱ", "7": "ㄹ", "8": "ㄹ", "L": "ㄹ", "M": "ㅁ", "N": "ㄴ", "R": "ㄹ"}
# 로마자 낱말의 끝: name, file의 소리 나지 않는 e 앞이나 마지막의 l·m·n·ng, 그리고 짧은 모음 하나 뒤의 p·t·k·c·b.
# 마지막의 g는 '그'라고 읽습니다(log, tag, config).
CLOSED = re.compile(r"(?:l|m|n|ng)e?$|(?:^|[^aeiou]|qu)[aeiou](?:p|t|k|ck|c|b)$|[^aeiou]ype$")


def final_sound(text: str) -> str:
    """글의 마지막 소리의 받침: 없으면 빈 글, ㄹ이면 `"ㄹ"`, 나머지는 비어 있지 않기만 합니다.

    따옴표나 괄호로 끝나면 그 앞을 읽습니다. 로마자 낱말의 소리는 철자에서 어림합니다.
    """
    found = re.search(r"([A-Za-z]+|[0-9가-힣]|%)[^A-Za-z0-9가-힣%]*$", text)
    word = found.group(1) if found else ""
    if "가" <= word <= "힣":
        index = (ord(word) - ord("가")) % 28
        return "ㄹ" if index == 8 else "ㄱ" * (index > 0)
    if len(word) == 1 or word.isupper():
        return SPOKEN.get(word[-1:].upper(), "")
    closed = CLOSED.search(word.lower())
    return ("ㄹ" if closed.group().startswith("l") else "ㄴ") if closed else ""


def with_particles(text: str) -> str:
    """`"3을(를)"`처럼 두 꼴을 함께 적은 조사를, 앞말의 소리에 맞는 하나로 바꿉니다.

    `with_particles("TODO 1-2이(가)") == "TODO 1-2가"`
    """

    def chosen(match: re.Match[str]) -> str:
        sound = final_sound(text[: match.start()])
        written = match.group()
        if written == "(이)":
            return "이" if sound else ""
        if written == "(으)로":
            return _fitting("으로", sound)
        first = written[0]
        return _fitting("과" if first in "와과" else first, sound)

    return BOTH_FORMS.sub(chosen, text)


def filled(template: str, values: Mapping[str, Any], *numbered: Any) -> str:
    """`{이름}`과 `{0}`에 값을 끼운 글(`str.format`). 값에 바로 붙은 조사는 값의 소리에 맞춥니다.

    `filled("{got}로 나눕니다.", {"got": 3}) == "3으로 나눕니다."`

    Raises:
        KeyError: 없는 이름을 적었을 때.
    """
    formatter, made, after_value = string.Formatter(), "", False
    for literal, name, form, conversion in formatter.parse(template):
        made += _after(made, literal) if after_value else literal
        after_value = name is not None
        if name is not None:
            value, _ = formatter.get_field(name, numbered, values)
            made += formatter.format_field(formatter.convert_field(value, conversion), form or "")
    return with_particles(made)


def _after(value: str, text: str) -> str:
    """값 뒤의 글. 조사로 시작하면 그 꼴을 값에 맞춥니다."""
    found = LEADING.match(text)
    if found is None or _goes_on(text[found.end() :], found.group()) or not re.search("[A-Za-z0-9가-힣]", value):
        return text
    closed, _ = FORMS[found.group()]
    return _fitting(closed, final_sound(value)) + text[found.end() :]


def _goes_on(rest: str, particle: str) -> bool:
    """조사가 아니라 더 긴 낱말이나 `이(가)`의 앞인가. `이었`의 뒤에는 `습니다`가 이어지므로 묻지 않습니다."""
    return particle not in ("이었", "였") and bool(re.match(r"[가-힣(]", rest))


def _fitting(closed: str, sound: str) -> str:
    """받침 뒤의 꼴 `closed`를 그 소리에 맞춘 것. 받침 ㄹ 뒤는 `으로`가 아니라 `로`입니다."""
    return PAIRS[closed] if not sound or (closed == "으로" and sound == "ㄹ") else closed


# 파이썬이 객체를 적는 모양 → 사람이 읽을 모양. 주소와 모듈의 길은 학생에게 알려 주는 것이 없습니다.
REPRS = (
    (re.compile(r"<bound method (?:[\w.<>]+\.)?(\w+) of [^>]*>+"), r"메서드 \1"),
    (
        re.compile(r"<(?:built-in )?(?:function|method) (?:[\w.<>]+\.)?(<lambda>|\w+)(?: of [^>]*)?(?: at 0x\w+)?>"),
        r"함수 \1",
    ),
    (re.compile(r"<(?:class|enum) '(?:[\w.<>]+\.)?(\w+)'>"), r"클래스 \1"),
    (re.compile(r"<(?:[\w.<>]+\.)?(\w+) object at 0x\w+>"), r"\1 객체"),
)


# 검사할 때마다 달라지는 임시 폴더: course-<프로세스>-<여덟 글자>, 그 안의 pytest-of-<사람>/pytest-0/<검사의 이름>.
TEMPORARY = re.compile(
    r"[^\s'\"]*[\\/](?:course-(?:\d+|checks|debug)-\w{8}|pytest-of-[^\\/\s'\"]+)(?=[\\/])"
    r"(?:[\\/]\w+(?=[\\/]pytest-of-))?(?:[\\/]pytest-of-[^\\/\s'\"]+)?(?:[\\/]pytest-\d+[\\/][^\\/\s'\"]+)?"
)


def readable(text: str) -> str:
    """`<function f at 0x7f…>`처럼 파이썬의 속은 `함수 f`로, 검사할 때마다 다른 임시 폴더는 `(임시 폴더)`로."""
    for pattern, shown in REPRS if "<" in text else ():
        text = pattern.sub(shown, text)
    return TEMPORARY.sub("(임시 폴더)", text) if "course-" in text or "pytest-of-" in text else text


def make_printable() -> None:
    """화면이나 파일이 담지 못하는 글자(예: cp949의 ✅) 때문에 멈추지 않게 합니다. 여러 번 불러도 됩니다.

    한글을 담는 인코딩(cp949, UTF-8)은 그대로 두고 못 담는 글자만 `?`로 적습니다. 한글을 담지 못하는 인코딩은 UTF-8로
    바꿉니다.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):  # 노트북이나 시험의 것
            continue
        try:
            "가".encode(stream.encoding)
            stream.reconfigure(errors="replace")
        except (UnicodeEncodeError, LookupError):
            stream.reconfigure(encoding="utf-8", errors="replace")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """잘못 적은 이름에 덧붙일, 가까운 이름을 묻는 문장. 가까운 것이 없으면 빈 글입니다.

    Args:
        word: 사람이 적은 이름.
        known: 있는 이름들.
    """
    close = get_close_matches(word, list(known), n=2, cutoff=0.6)
    return f" 혹시 {' 또는 '.join(close)} 인가요?" if close else ""


def cells(text: str) -> int:
    """터미널에서 차지하는 칸의 수. 한글은 두 칸입니다."""
    wide = sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)
    return wide - sum(unicodedata.combining(one) > 0 for one in text)


def paragraphs(text: str) -> Iterator[str]:
    """빈 줄로 나뉜 문단들. 문단 안의 줄바꿈은 빈칸이 됩니다."""
    for one in re.split(r"\n\s*\n", text.strip()):
        if one.strip():
            yield " ".join(one.split())


def table(title: str, rows: list[tuple[str, str]], width: int) -> Iterator[str]:
    """제목 아래에 이름과 설명을 두 줄로 맞춘 글. 줄이 없으면 아무것도 내지 않습니다."""
    if not rows:
        return
    left = min(max(cells(name) for name, _ in rows), NAME_WIDTH) + 4
    lines = [title]
    for name, text in rows:
        described = wrapped(text, width - left)
        first = f"  {name}"
        if cells(first) + 2 > left:
            lines += wrapped(first, width)
            first = ""
        padding = " " * (left - cells(first))
        lines.append((first + padding + (described[0] if described else "")).rstrip())
        lines += [" " * left + one for one in described[1:]]
    yield "\n".join(line for line in lines if line)


def wrapped(text: str, width: int) -> list[str]:
    """`width`칸을 넘지 않게 나눈 줄들. 낱말 사이에서 나누고, 한 줄보다 긴 낱말만 가운데를 자릅니다."""
    indent = text[: len(text) - len(text.lstrip())]
    lines: list[str] = []
    line = indent
    for word in _pieces(text.split(), max(2, width - len(indent))):
        joined = word if not line.strip() else f"{line} {word}"
        joined = joined if line.strip() else indent + word
        if line.strip() and cells(joined) > width:
            lines.append(line)
            joined = indent + word
        line = joined
    return [*lines, line] if line.strip() else lines


def fitted(text: str, stream: Any) -> str:
    """터미널이면 그 폭에서 낱말 사이를 나눈 글. 파일이나 파이프면 그대로입니다: 읽는 프로그램은 한 줄을 바랍니다."""
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join("\n".join(wrapped(line, width)) for line in text.split("\n"))


def _pieces(words: Iterable[str], width: int) -> Iterator[str]:
    """낱말들. `width`칸보다 긴 것은 잘라서 냅니다."""
    for word in words:
        while cells(word) > width:
            end = next(end for end in range(len(word), 0, -1) if cells(word[:end]) <= width)
            yield word[:end]
            word = word[end:]
        yield word


def unknown_command(word: str, known: Iterable[str], program: str) -> str:
    """모르는 명령을 적었을 때의 문장."""
    guess = did_you_mean(word, known)
    return f"모르는 명령입니다: {word}.{guess} 쓸 수 있는 것은 `{program} --help`에서 볼 수 있습니다."
