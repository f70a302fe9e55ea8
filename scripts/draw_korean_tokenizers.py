"""같은 한국어 문장을 내장된 토크나이저들이 어떻게 나누는지: 표(docs/guide/korean.md)와 그림.

    python scripts/draw_korean_tokenizers.py            # 표를 화면에, 그림을 docs/korean_tokenizers.png에
    python scripts/draw_korean_tokenizers.py --write    # korean.md의 표도 다시 씁니다

그림의 형태소 막대는 kiwipiepy가 있을 때만 있습니다(`pip install -e ".[morpheme]"`). 표에는 언제나 있는 것만 적습니다.
"""

from __future__ import annotations

import argparse
import re
import sys
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tokenizers import Tokenizer  # noqa: E402

from console_text import make_printable  # noqa: E402

PAGE = ROOT / "docs" / "guide" / "korean.md"
PICTURE = ROOT / "docs" / "korean_tokenizers.png"
MARK = re.compile(r"(<!-- tokenizers -->\n).*?(<!-- /tokenizers -->)", re.DOTALL)
SENTENCES = (
    "여우 단비가 웃었습니다",
    "영화가 정말 재미있었습니다",
    "영화가정말재미있었습니다",
    "영화는 영화를 영화에서 영화까지도",
    "먹다 먹었다 먹겠지 먹으니까",
    "갓벽한 배우들 ㅋㅋㅋ",
)
Split = Callable[[str], list[str]]


@cache
def embedded(name: str) -> Tokenizer:
    return Tokenizer.from_file(str(ROOT / "data" / "models" / name / "tokenizer.json"))


def pieces_of(tokenizer: Tokenizer, text: str) -> list[str]:
    """특수 토큰을 뺀 토큰들."""
    return tokenizer.encode(text, add_special_tokens=False).tokens


@cache
def story_tokenizer() -> Any:
    """task3의 1단계가 내장된 이야기에서 배우는 바이트 단위 BPE(어휘 2,048)."""
    from course.checks.loading import load_step

    step = load_step(ROOT / "solutions" / "task3-lm", "step1_tokenizer_and_data")
    files = sorted((ROOT / "data" / "lm-sample").glob("*.txt"))
    return step.train_tokenizer([file.read_text(encoding="utf-8") for file in files], 2048)


def story_pieces(text: str) -> list[str]:
    """바이트 토큰을 글로. 글자의 일부만 담은 토큰은 �로 보입니다."""
    tokenizer = story_tokenizer()
    return [tokenizer.decode([number]).replace(" ", "▁") for number in tokenizer.encode(text)]


def splitters() -> dict[str, Split]:
    """이름 → 글을 조각들로 나누는 함수. 그림의 이름은 영어입니다(글꼴에 한글이 없는 컴퓨터가 많습니다)."""
    return {
        "bytes (UTF-8)": lambda text: [f"{byte:02X}" for byte in text.encode("utf-8")],
        "characters": list,
        "whitespace": str.split,
        "ko-bert-tiny (WordPiece)": lambda text: pieces_of(embedded("ko-bert-tiny"), text),
        "ko-bart-tiny (BPE)": lambda text: pieces_of(embedded("ko-bart-tiny"), text),
        "task3 stories (byte BPE)": story_pieces,
    }


def morphemes() -> Split | None:
    """형태소로 나누는 함수. kiwipiepy가 없으면 None."""
    try:
        from kiwipiepy import Kiwi
    except ImportError:
        return None
    kiwi = Kiwi(num_workers=1)
    return lambda text: [token.form for token in kiwi.tokenize(text)]


def table() -> str:
    """문장마다 토크나이저마다의 조각들을 적은 Markdown 표들."""
    rows = []
    for number, text in enumerate(SENTENCES, start=1):
        rows += [f"**S{number}. {text}**", "", "| 토크나이저 | 토큰 수 | 조각 |", "|---|---|---|"]
        for name, split in splitters().items():
            found = split(text)
            shown = " ".join(f"`{piece}`" for piece in found if piece.strip())
            rows.append(f"| {name} | {len(found)} | {'…' if name.startswith('bytes') else shown} |")
        rows.append("")
    return "\n".join(rows)


def draw(path: Path) -> None:
    """문장마다 토큰의 수를 막대로."""
    from nlpbook.plots import new_figure, save_figure

    named = {**splitters(), **({"morphemes (Kiwi)": split} if (split := morphemes()) else {})}
    figure, axis = new_figure(1, 1, (10, 4.5))
    width = 0.8 / len(named)
    for index, (name, cut) in enumerate(named.items()):
        counts = [len(cut(text)) for text in SENTENCES]
        places = [row + (index - (len(named) - 1) / 2) * width for row in range(len(SENTENCES))]
        bars = axis.bar(places, counts, width, label=name)
        axis.bar_label(bars, fontsize=6)
    axis.set_xticks(range(len(SENTENCES)), [f"S{number}" for number in range(1, len(SENTENCES) + 1)])
    axis.set_ylabel("pieces per sentence")
    axis.set_title("The same Korean sentences, split in different ways")
    axis.legend(fontsize=8, ncols=2)
    save_figure(figure, path)


def decomposed(text: str) -> str:
    """풀어 쓴(NFD) 글. 눈에는 같아 보입니다."""
    return unicodedata.normalize("NFD", text)


def page_with_table(text: str) -> str:
    """표를 지금 것으로 바꾼 페이지."""
    return MARK.sub(lambda match: match[1] + "\n" + table() + match[2], text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    print(table())
    draw(PICTURE)
    if parser.parse_args().write:
        PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    make_printable()
    main()
