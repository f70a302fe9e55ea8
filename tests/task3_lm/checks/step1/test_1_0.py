"""1-0의 검사: BPE의 합치기 한 번."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from course.checks.recognising import Wrong, explained, recognise, require_value, when
from course.checks.side_effects import no_side_effects
from course.checks.words import fail, todo

Word = tuple[bytes, ...]
Merged = tuple[tuple[bytes, bytes], dict[Word, int]]


def word(text: str) -> Word:
    """점으로 나눈 조각들. 예: `"a.b.ab"` → `(b"a", b"b", b"ab")`."""
    return tuple(piece.encode() for piece in text.split("."))


# 모두 세면 (b, c)가 23번으로 가장 많습니다. 횟수를 보지 않으면 (x, y)가, 낱말마다 한 번만 세면 (q, r)이 가장 많습니다.
WORDS = {
    word("b.c.b.c.b.c.b"): 7,
    word("b.c.d"): 2,
    word("x.y.k"): 3,
    word("x.y.m"): 3,
    word("x.y.n"): 3,
    word("x.y.o"): 3,
    word("x.y.p"): 3,
    word("q.r.s"): 17,
    word("lone"): 5,
    word("c.b"): 1,
}
DOUBLED = {word("a.a.a.a.a.z"): 6, word("a.a.y.a.a"): 4, word("a.ab"): 3}  # 합친 것이 겹치면 안 됩니다.
LONG = {word("h.e.llo.w"): 5, word("llo.w.h.e.llo.w"): 11, word("h.e"): 13}  # 이미 여러 바이트인 조각
SPLIT = {word("ab.c.x"): 9, word("ab.c.y"): 2, word("z.a.bc"): 4, word("a.bc.ab.c"): 3}  # ab+c와 a+bc는 다른 짝
NESTED = {word("a.c"): 8, word("ab.a"): 8}  # 조각의 차례로는 a+c가, 이은 글의 차례로는 ab+a가 앞입니다.
TIED = {word("s.t.q"): 8, word("m.n.q"): 8, word("t.s.m"): 1}


def pairs_of(pieces: Word) -> Iterator[tuple[bytes, bytes]]:
    for index in range(len(pieces) - 1):
        yield pieces[index], pieces[index + 1]


def counted(words: dict[Word, int], weight: Callable[[int], int] = lambda count: count, once: bool = False) -> dict:
    """짝 → 횟수."""
    counts: dict[tuple[bytes, bytes], int] = {}
    for pieces, count in words.items():
        for pair in dict.fromkeys(pairs_of(pieces)) if once else pairs_of(pieces):
            counts[pair] = counts.get(pair, 0) + weight(count)
    return counts


def first_of(counts: dict) -> tuple[bytes, bytes]:
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[0]


def joined(pieces: Word, pair: tuple[bytes, bytes], limit: int | None = None) -> Word:
    """짝을 앞에서부터 `limit`번까지 붙인 것."""
    made: list[bytes] = []
    index = done = 0
    while index < len(pieces):
        if pieces[index : index + 2] == pair and (limit is None or done < limit):
            made.append(b"".join(pair))
            index, done = index + 2, done + 1
        else:
            made.append(pieces[index])
            index += 1
    return tuple(made)


def overlapping(pieces: Word, pair: tuple[bytes, bytes]) -> Word:
    """짝이 나올 때마다 붙이되, 붙인 조각을 한 번 더 쓴 것."""
    made = [b"".join(two) if two == pair else two[0] for two in pairs_of(pieces)]
    return tuple(made if pieces[-2:] == pair else [*made, pieces[-1]])


def unskipped(pieces: Word, pair: tuple[bytes, bytes]) -> Word:
    """짝이 나올 때마다 붙이되, 붙인 다음에 뒤의 조각을 건너뛰지 않은 것."""
    return tuple(b"".join(pair) if pieces[at : at + 2] == pair else one for at, one in enumerate(pieces))


def skipping_once(pieces: Word, pair: tuple[bytes, bytes]) -> Word:
    """짝이 나올 때마다 붙이고, 이어진 짝들이 끝난 다음에야 한 조각을 건너뛴 것."""
    made: list[bytes] = []
    used = False
    for at, piece in enumerate(pieces):
        if pieces[at : at + 2] == pair:
            made.append(b"".join(pair))
        elif not used:
            made.append(piece)
        used = pieces[at : at + 2] == pair
    return tuple(made)


def by_spelling(pieces: Word, pair: tuple[bytes, bytes]) -> Word:
    """이은 글이 짝과 같으면, 조각이 달라도 붙인 것."""
    made: list[bytes] = []
    for piece in pieces:
        if made and made[-1] + piece == b"".join(pair):
            made[-1] += piece
        else:
            made.append(piece)
    return tuple(made)


def as_text(pieces: Word, pair: tuple[bytes, bytes]) -> Word:
    """조각들을 빈칸으로 이은 글에서 짝을 바꾼 것."""
    return tuple(b" ".join(pieces).replace(b" ".join(pair), b"".join(pair)).split(b" "))


def merged_with(words: dict[Word, int], pair: tuple[bytes, bytes], join: Callable = joined) -> Merged:
    return pair, {join(pieces, pair): count for pieces, count in words.items()}


def right(words: dict[Word, int]) -> Merged:
    return merged_with(words, first_of(counted(words)))


def wrong_merges(words: dict[Word, int]) -> Wrong:
    """헷갈리기 쉬운 합치기들."""
    counts = counted(words)
    pair, merged = right(words)
    yield "unweighted", merged_with(words, first_of(counted(words, weight=lambda count: 1)))
    yield "once-per-word", merged_with(words, first_of(counted(words, once=True)))
    yield "rarest", merged_with(words, sorted(counts, key=lambda one: (counts[one], one))[0])
    yield "first-only", merged_with(words, pair, lambda pieces, pair: joined(pieces, pair, limit=1))
    yield "overlap", merged_with(words, pair, overlapping)
    yield "overlap", merged_with(words, pair, unskipped)
    yield "overlap", merged_with(words, pair, lambda pieces, pair: unskipped(pieces, pair)[:-1])
    yield "overlap", merged_with(words, pair, skipping_once)
    yield "other-split", merged_with(words, pair, by_spelling)
    yield "inside-pieces", merged_with(words, pair, as_text)
    yield "lost-words", (pair, {pieces: count for pieces, count in merged.items() if b"".join(pair) in pieces})
    yield "not-merged", (pair, dict(words))
    yield "counts-changed", (pair, dict.fromkeys(merged, 1))
    yield "counts-changed", (pair, dict.fromkeys(merged, counts[pair]))


def shown(merged: Merged, other: Merged) -> str:
    """학생에게 보일 짧은 글: `other`와 다른 낱말 둘까지."""
    pair, words = merged
    different = [one for one in words.items() if one not in other[1].items()] or list(words.items())
    some = [b".".join(pieces).decode() + f":{count}" for pieces, count in different[:2]]
    return f"{b'+'.join(pair).decode()}, 낱말 {len(words)}개, {' '.join(some)} …"


def _first(merged: Any) -> str:
    """딕셔너리면 첫 키, 아니면 그 종류."""
    return repr(next(iter(merged), None))[:60] if isinstance(merged, dict) else type(merged).__name__


def merge(load: Any, words: dict[Word, int]) -> Merged:
    """학생이 합친 것."""
    module, given = load(1), dict(words)
    empty = {"idea": "이웃한 짝", "expected": "낱말마다의 이웃한 짝"}
    with (
        explained(when(r"(min|max)\(\) (arg|iterable argument) is|empty sequence", "no-pairs", **empty)),
        no_side_effects(inputs={"words": given}),
    ):
        pair, merged = module.merge_most_common(given)
    require_value(pair, "pair")
    require_value(merged, "merged")
    if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(one, bytes) for one in pair)):
        fail(idea="짝", expected="(bytes, bytes)", got=repr(pair)[:60], symptom="not-a-pair")
    if not isinstance(merged, dict) or not all(isinstance(one, tuple) for one in merged):
        fail(idea="낱말", expected="조각의 튜플을 키로 하는 딕셔너리", got=_first(merged), symptom="not-words")
    return pair, dict(merged)


def require_right(load: Any, words: dict[Word, int], idea: str, message: str) -> None:
    got, want = merge(load, words), right(words)
    if got != want:
        recognise(got, wrong_merges(words), idea=idea, expected=shown(want, got), shown=shown(got, want))
        fail(message, idea=idea, expected=shown(want, got), got=shown(got, want))


@todo("1-0")
def test_most_common_pair_is_merged_everywhere(load):
    """횟수까지 센 가장 흔한 짝이, 나오는 곳마다 하나가 됩니다."""
    require_right(load, WORDS, "짝의 횟수", "가장 흔한 짝을 합친 것과 다릅니다.")


@todo("1-0")
def test_pieces_are_used_once(load):
    """a a a a a는 aa aa a입니다."""
    require_right(load, DOUBLED, "겹치는 짝", "같은 조각이 이어질 때 합친 것이 다릅니다.")


@todo("1-0")
def test_pieces_of_many_bytes_are_merged_too(load):
    """이미 합쳐진 조각도 하나의 조각입니다."""
    require_right(load, LONG, "조각", "여러 바이트인 조각이 있을 때 합친 것이 다릅니다.")


@todo("1-0")
def test_only_the_pair_itself_is_merged(load):
    """a+bc는 ab+c와 이은 글이 같아도 다른 짝입니다."""
    require_right(load, SPLIT, "짝", "이은 글이 같고 조각이 다른 짝이 있을 때 합친 것이 다릅니다.")


@todo("1-0")
def test_tie_goes_to_the_smaller_bytes(load):
    """횟수가 같으면 바이트의 차례로 앞선 것입니다."""
    for words in (one for tied in (TIED, NESTED) for one in (tied, dict(reversed(tied.items())))):
        got, want = merge(load, words), right(words)
        if got[0] != want[0] and counted(words).get(got[0]) == 8:
            more = {"expected": b"+".join(want[0]).decode(), "got": b"+".join(got[0]).decode()}
            fail(idea="횟수가 같을 때", symptom="other-tie", **more)
        require_right(load, words, "횟수가 같을 때", "횟수가 같은 짝이 있을 때 합친 것이 다릅니다.")
