"""ROUGE가 글을 낱말로 나누는 법들. 어느 것으로 쟀는지를 적지 않은 ROUGE는 견줄 수 없습니다.

| 이름 | 나누는 법 | 설치 |
|---|---|---|
| word | 화자 태그, 낱말, 문장 부호 | 없음 |
| char | 빈칸을 뺀 글자 하나하나 | 없음 |
| morpheme | 형태소 분석기 Kiwi의 형태소 | `pip install -e ".[morpheme]"` |

강의가 쓰는 기본(`syllable`)은 3단계에서 만듭니다.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Protocol

from console_text import did_you_mean
from nlpbook.errors import UserError

WORD = re.compile(r"#Person\d+#|\w+|[^\w\s]")


class RougeTokenizer(Protocol):
    """`rouge_score`가 받는 토크나이저의 모양."""

    name: str

    def tokenize(self, text: str) -> list[str]: ...


class WordTokenizer:
    """화자 태그, 낱말, 문장 부호를 저마다 하나로. 조사가 붙은 말은 조사가 다르면 다른 낱말입니다."""

    name = "word"

    def tokenize(self, text: str) -> list[str]:
        return WORD.findall(text)


class CharacterTokenizer:
    """빈칸을 뺀 글자 하나하나. 화자 태그도 아홉 글자로 흩어져, 태그만 적어도 점수가 높습니다."""

    name = "char"

    def tokenize(self, text: str) -> list[str]:
        return [character for character in text if not character.isspace()]


class MorphemeTokenizer:
    """Kiwi의 형태소.

    Raises:
        UserError: kiwipiepy가 설치되어 있지 않을 때.
    """

    name = "morpheme"

    def __init__(self) -> None:
        self.kiwi = _kiwi()

    def tokenize(self, text: str) -> list[str]:
        return [token.form for token in self.kiwi.tokenize(text)]


@cache
def _kiwi() -> Any:
    try:
        from kiwipiepy import Kiwi  # pyright: ignore[reportMissingImports]  골라서 설치하는 것입니다.
    except ImportError:
        raise UserError(
            "형태소로 나누려면 kiwipiepy가 있어야 합니다: pip install -e '.[morpheme]'. 없이 재려면 "
            "syllable, word, char를 쓰면 됩니다."
        ) from None
    return Kiwi()


TOKENIZERS: dict[str, type[RougeTokenizer]] = {
    one.name: one for one in (WordTokenizer, CharacterTokenizer, MorphemeTokenizer)
}


def rouge_tokenizer(name: str) -> RougeTokenizer:
    """이름의 토크나이저.

    Raises:
        UserError: 모르는 이름이거나, 필요한 패키지가 없을 때.
    """
    if name not in TOKENIZERS:
        known = ["syllable", *TOKENIZERS]
        raise UserError(
            f"모르는 ROUGE 토크나이저입니다: {name!r}.{did_you_mean(name, known)} 있는 것: {', '.join(known)}."
        )
    return TOKENIZERS[name]()
