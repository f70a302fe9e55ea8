"""1-2의 검사: 글 나누기."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from course.checks.words import fail, known_as, todo
from course.checks.workspace import workspace
from nlpbook.language.texts import Piece, TextCorpus, TextPart
from tests.task3_lm.checks import support


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
    folder = workspace() / f"lines-{len(text)}"
    folder.mkdir(exist_ok=True)
    paths = [folder / "1.txt", folder / "2.txt"]
    cut = len(text) * 2 // 3
    for path, half in zip(paths, (text[:cut], text[cut:] + text * longer), strict=True):
        path.write_text(half, encoding="utf-8", newline="")
    return paths


# 줄 하나가 1바이트: 어느 바이트에서 나누어도 줄의 경계입니다. 글의 0.1%만 겹쳐도 한 줄이 넘습니다.
LETTERS = [chr(33 + number % 90) for number in range(1800)]
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
            want = "corpus.num_bytes, corpus.part(시작, 끝)"
            fail(idea="글의 부분", expected=want, got=f"TypeError: {error}", symptom="like-a-list")
        self.stops = [part.stop for part in got if isinstance(part, TextPart)]
        for part in got:
            if not isinstance(part, TextPart):
                kind = type(part).__name__
                fail(idea="글의 부분", expected="TextPart", got=kind, symptom="not-part")
            for place in (part.start, part.stop):
                if not isinstance(place, (int, float, np.number)):
                    kind = type(place).__name__
                    fail(idea="글의 부분", expected="바이트의 자리", got=kind, symptom="not-a-place")
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
        fail(
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
        else:
            which, symptom = "", "one-line-lost" if len(one.lost) == 1 else "lines-lost"
        fail(
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
            "ratio-as-bytes": all(len(split.train) <= 1 for split in splits),
            "ratio-taken-off": counts == {len(LETTERS) - 1},
            "fixed-ratio": len(counts) == 1,
            # 줄마다 1바이트인 글은 맞고 이 글은 틀렸다면, 바이트가 아닌 것을 센 것입니다.
            "not-bytes": any(one.ends_at(count * (1 - one.ratio)) for count in (characters, len(one.corpus.made))),
            "ratio-reversed": one.ends_at(size * one.ratio),
        }
        symptom = next((name for name, is_it in wrong.items() if is_it), "other-share")
        expected, got = f"글의 {1 - one.ratio:.0%}", f"{one.share:.0%}"
        fail(idea="나누는 자리", expected=expected, got=got, symptom=symptom, ratio=f"{one.ratio:g}")
