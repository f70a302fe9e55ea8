"""언어 모델이 읽을 글: 파일, 폴더, 또는 이름으로 찾은 말뭉치를 한 줄씩 흘려보냅니다.

글을 통째로 메모리에 올리지 않으므로 수 GB의 글도, 줄바꿈이 하나도 없는 글도 읽습니다. 나누기(학습/검증)는 줄의 경계에서
하며, 어느 줄도 두 쪽에 들어가지 않습니다.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nlpbook.corpora import find_corpus, korpora_home, read_nsmc
from nlpbook.errors import UserError
from nlpbook.language.files import find_texts, require_plain_text
from nlpbook.paths import DATA, shown
from nlpbook.screen import say
from nlpbook.text import composed, has_visible_character, starts_character

NSMC_NAMES = {"nsmc": ["ratings_train.txt", "ratings_test.txt"], "nsmc-sample": ["ratings_train.txt"]}
WIKI_NAMES = ("kowikitext", "namuwikitext")
WIKI_TITLE = re.compile(r" = [^=].* = \n")  # 위키 말뭉치에서 새 문서의 제목
LONGEST_PIECE = 4_000  # 줄바꿈 없는 긴 글도 이만큼씩 흘려보냅니다(글자).
BLOCK = 2**20  # 틀린 바이트를 찾을 때 한 번에 읽는 크기(바이트)


@dataclass(frozen=True)
class Piece:
    """글의 한 조각(보통 한 줄).

    Attributes:
        text: 줄바꿈까지 담은 글. NFC로 모아 쓴 것입니다.
        ends_document: 문서의 마지막 조각인가. 이 뒤에 글의 끝(end of text) 토큰이 붙습니다.
    """

    text: str
    ends_document: bool = False

    @cached_property
    def num_bytes(self) -> int:
        return len(self.text.encode("utf-8"))


class TextCorpus:
    """글 하나. 폴더라면 그 안(하위 폴더까지)의 `.txt` 파일들을 이름순으로, 파일마다 문서 하나로 읽습니다.

    글은 NFC로 모아 쓰고 줄 끝을 `\\n`으로 맞추며 흘려보냅니다. 크기와 자리는 그렇게 바꾼 글의 것입니다.

    Args:
        source: 파일이나 폴더의 경로, 또는 이름(`lm-sample`, `nsmc`, `nsmc-sample`, `kowikitext`, `namuwikitext`).
        home: 이름으로 찾는 말뭉치들이 있는 폴더.
        max_bytes: 앞에서부터 이만큼만 읽습니다. None이면 모두.

    Raises:
        UserError: 그런 글이 없거나, 글이 아니거나(이진 파일, JSON, 파이프), 비었거나, (읽을 때) UTF-8이 아닐 때.
    """

    def __init__(self, source: str | Path, home: str | Path = DATA, max_bytes: int | None = None) -> None:
        self.name = Path(source).stem
        self.max_bytes = max_bytes
        self.source = str(source)
        self.files = _find_files(self.source, Path(home).expanduser())

    def __repr__(self) -> str:
        return f"{self.name} ({len(self.files)}개 파일, {self.num_bytes:,}바이트)"

    def pieces(self) -> Iterator[Piece]:
        """처음부터 끝까지의 조각들."""
        left = self.max_bytes if self.max_bytes is not None else float("inf")
        for path in self.files:
            for piece in self._pieces_of(path):
                if left <= 0:
                    return
                left -= piece.num_bytes
                yield piece

    def _pieces_of(self, path: Path) -> Iterator[Piece]:
        if self.source in NSMC_NAMES:
            return _reviews(path)
        return _lines(path, WIKI_TITLE if self.source in WIKI_NAMES else None)

    @cached_property
    def num_bytes(self) -> int:
        """모든 조각의 크기(UTF-8 바이트). 글을 한 번 읽어 셉니다.

        Raises:
            UserError: 글이 비었거나, 보이는 글자가 하나도 없을 때.
        """
        total, visible = 0, False
        for piece in self.pieces():
            total += piece.num_bytes
            visible = visible or has_visible_character(piece.text)
        if not visible:
            raise UserError(f"글이 비어 있습니다: {shown(self.files[0])}. 내용이 있는 UTF-8 글을 --data에 주세요.")
        return total

    def part(self, start: int, stop: int) -> TextPart:
        """첫 바이트가 `[start, stop)`에 있는 조각들. 줄의 가운데를 자르지 않습니다."""
        return TextPart(self, start, stop)

    def fingerprint(self) -> str:
        """글이 바뀌면 달라지는 이름: 파일의 경로, 크기, 고친 시각으로 정합니다."""
        facts = [f"{path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in self.files]
        return hashlib.sha256("\n".join([*facts, str(self.max_bytes)]).encode()).hexdigest()


@dataclass(frozen=True)
class TextPart:
    """글의 한 부분: 첫 바이트가 `[start, stop)`에 있는 조각들."""

    corpus: TextCorpus
    start: int
    stop: int

    def pieces(self) -> Iterator[Piece]:
        position = 0
        for piece in self.corpus.pieces():
            if position >= self.stop:
                return
            if position >= self.start:
                yield piece
            position += piece.num_bytes

    def texts(self) -> Iterator[str]:
        """조각들의 글만."""
        return (piece.text for piece in self.pieces())

    @property
    def num_bytes(self) -> int:
        return sum(piece.num_bytes for piece in self.pieces())


def _find_files(source: str, home: Path) -> list[Path]:
    if source in NSMC_NAMES:
        folder = find_corpus(home, source, NSMC_NAMES[source])
        return [folder / NSMC_NAMES[source][0]]
    if source in WIKI_NAMES:
        return [_wiki(source, home)]
    named = [folder / source for folder in (home, DATA) if (folder / source).is_dir() and os.sep not in source]
    path = Path(source).expanduser()
    path = path if path.exists() or not named else named[0]
    if path.is_dir():
        folder = find_texts(path)
        if (summary := folder.summary()) and int(os.environ.get("LOCAL_RANK", 0)) == 0:
            say(summary)
        return folder.files
    if not os.path.lexists(path):
        raise UserError(
            f"글이 없습니다: {source}. 파일이나 폴더의 경로, 또는 lm-sample, nsmc, nsmc-sample, kowikitext, "
            "namuwikitext 가운데 하나를 --data에 주세요."
        )
    require_plain_text(path)
    return [path]


def _lines(path: Path, title: re.Pattern[str] | None = None) -> Iterator[Piece]:
    """파일의 줄들. 마지막 줄과, 제목(`title`)의 바로 앞줄이 문서의 끝입니다."""
    before = None
    for line in _short_lines(path):
        if before is not None:
            yield Piece(before, ends_document=title is not None and title.fullmatch(line) is not None)
        before = line
    if before is not None:
        yield Piece(before, ends_document=True)


def _short_lines(path: Path) -> Iterator[str]:
    """NFC로 모아 쓴 줄들. `LONGEST_PIECE`자를 넘는 줄은 그만큼씩 자르되, 한 글자의 낱자들은 떼어 놓지 않습니다."""
    rest = ""
    try:
        with path.open(encoding="utf-8-sig") as file:  # 줄 끝의 CRLF는 LF가 되고, 첫머리의 BOM은 떨어집니다.
            while part := file.readline(LONGEST_PIECE - len(rest)):
                line, rest = rest + part, ""
                if len(line) == LONGEST_PIECE and not line.endswith("\n"):
                    cut = next((i for i in range(len(line) - 1, 0, -1) if starts_character(line[i])), len(line))
                    line, rest = line[:cut], line[cut:]
                yield composed(line)
    except UnicodeDecodeError:
        raise UserError(
            f"{shown(path)} 의 {_first_bad_byte(path):,}번째 바이트가 UTF-8이 아닙니다. 편집기에서 'UTF-8로 저장'한 뒤 "
            "다시 실행해 주세요."
        ) from None
    except OSError as error:
        raise UserError(f"글을 읽을 수 없습니다: {shown(path)} ({error.strerror}).") from None
    if rest:
        yield composed(rest)


def _first_bad_byte(path: Path) -> int:
    """UTF-8로 읽을 수 없는 첫 바이트가 파일에서 몇 번째인지, 1부터."""
    decoder, offset = codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as file:
        while True:
            block = file.read(BLOCK)
            kept = len(decoder.getstate()[0])  # 앞 덩어리의 끝에 걸려 아직 읽지 못한 바이트
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return offset - kept + error.start + 1
            offset += len(block)


def _reviews(path: Path) -> Iterator[Piece]:
    """NSMC의 리뷰마다 문서 하나. 보이는 글자가 없는 리뷰는 글이 아니므로 건너뜁니다."""
    for example in read_nsmc(path):
        if example.text:
            yield Piece(example.text, ends_document=True)


def _wiki(name: str, home: Path) -> Path:
    """Korpora의 위키 말뭉치. 있으면 그것을, 없으면 Korpora로 내려받습니다(수 GB입니다)."""
    from Korpora import korpus_kowiki, korpus_namuwiki
    from Korpora.utils import fetch

    known = {
        "kowikitext": korpus_kowiki.KOWIKI_FETCH_INFORMATION,
        "namuwikitext": korpus_namuwiki.NAMUWIKI_FETCH_INFORMATION,
    }
    one = next(one for one in known[name] if "train" in one["destination"])
    target = one["destination"].removesuffix(".zip")
    for folder in (home, korpora_home()):
        if (folder / target).is_file():
            return folder / target
    found = home / target
    found.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=found.parent) as aside:  # 반쯤 받은 것을 말뭉치로 삼지 않습니다.
            fetch(one["url"], str(Path(aside) / f"{found.name}.zip"), name, force_download=True, method=one["method"])
            (Path(aside) / found.name).replace(found)
    except Exception as error:
        raise UserError(
            f"{name}을(를) 내려받지 못했습니다({type(error).__name__}). 네트워크를 확인하거나, {one['url']} 을(를) "
            f"받아 풀어 {found} 에 두어 주세요. 네트워크 없이 하려면: --data lm-sample"
        ) from error
    return found
