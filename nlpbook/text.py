"""글이 들어오는 문: 어디에서 온 글이든 같은 모양(NFC)으로 만들고, 보이는 글자가 없으면 빈 글로 봅니다.

macOS의 파일 이름과 몇몇 편집기는 "가"를 ㄱ과 ㅏ 두 글자로 풀어 적습니다(NFD). 눈에는 똑같지만 번호가 달라서, 모아 쓴
글(NFC)로 배운 토크나이저에게는 모르는 글자의 줄이 됩니다. 그래서 파일, API, 앞글, 토크나이저 학습이 모두 이 문을
지납니다. 대답에 적히는 글과 그 안의 자리(몇 번째 글자)는 NFC로 바꾼 글의 것입니다.

출처: Unicode Standard Annex #15 https://unicode.org/reports/tr15/
"""

from __future__ import annotations

import unicodedata

# 너비는 있어도 그려지지 않는 글자들. 한글 채움 문자는 낱자(Lo), 점자 빈칸은 기호(So)라 범주로는 알 수 없습니다.
BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})  # 제어, 서식(폭 없는 빈칸, BOM), 빈칸, 줄, 문단
INVISIBLE_MARKS = (  # 앞 글자의 모양만 고르는 결합 문자: 혼자서는 보이지 않습니다.
    range(0x034F, 0x0350),
    range(0x17B4, 0x17B6),
    range(0x180B, 0x1810),
    range(0xFE00, 0xFE10),
    range(0xE0000, 0xE1000),
)


def composed(text: str) -> str:
    """NFC로 모아 쓴 글. 빈칸과 보이지 않는 글자는 그대로 둡니다."""
    return unicodedata.normalize("NFC", text)


def normalized(text: str) -> str:
    """사람이 준 글 하나: NFC로 모아 쓰고, 보이는 글자가 하나도 없으면 빈 글로 바꿉니다."""
    return composed(text) if has_visible_character(text) else ""


def has_visible_character(text: str) -> bool:
    """사람의 눈에 보이는 글자가 하나라도 있는가. 빈칸, 제어 문자, 폭 없는 문자, 한글 채움 문자는 보이지 않습니다."""
    return any(_is_visible(character) for character in text)


def _is_visible(character: str) -> bool:
    if character in BLANK_LETTERS or unicodedata.category(character) in INVISIBLE_CATEGORIES:
        return False
    return not any(ord(character) in marks for marks in INVISIBLE_MARKS)


def starts_character(character: str) -> bool:
    """이 글자의 앞에서 글을 잘라도, 잘린 조각을 저마다 모아 쓴 것이 통째로 모아 쓴 것과 같은가.

    앞 글자에 붙는 결합 문자와 한글의 가운뎃소리, 끝소리에서는 자를 수 없습니다.
    """
    code = ord(character)
    if code < 0x300 or 0xAC00 <= code <= 0xD7A3:  # 로마자와, 이미 모아 쓴 한글
        return True
    is_medial_or_final = 0x1160 <= code <= 0x11FF or 0xD7B0 <= code <= 0xD7FF
    return not is_medial_or_final and not unicodedata.category(character).startswith("M")
