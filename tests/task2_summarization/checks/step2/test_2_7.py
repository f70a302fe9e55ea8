"""2-7의 검사: 길이가 비슷한 예문끼리."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch

from course.checks.recognising import require_value
from course.checks.words import fail, todo

Batches = list[list[int]]
POOL = 7  # 50 대신 둡니다. 예문이 적어도 무리가 여럿이 됩니다.
SIZE = 3
COUNT = 71  # 무리 21개가 셋에 8개가 남고, 마지막 배치는 둘입니다.
EVEN_SIZE = 4
EVEN_COUNT = 84  # 무리도 배치도 나누어떨어집니다.


def lengths_of(count: int) -> list[tuple[int, int]]:
    """(대화, 라벨)의 길이. 대화의 길이는 겹치기도 하고, 라벨의 길이는 대화를 따르지 않습니다."""
    made = random.Random(29)
    return [(made.randrange(20, 512, 7), made.randrange(8, 128)) for _ in range(count)]


def order_of(count: int, seed: int) -> list[int]:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.fixture
def group(load, monkeypatch):
    """학생의 배치들을 만드는 함수. 번호의 목록들인지, 받은 길이를 바꾸지 않는지도 봅니다."""
    step = load(2)
    monkeypatch.setattr(step, "POOL_BATCHES", POOL)

    def grouped(count: int = COUNT, size: int = SIZE, seed: int = 5) -> Batches:
        lengths = lengths_of(count)
        generator = torch.Generator().manual_seed(seed)
        batches = step.length_batches(lengths, size, generator)
        if lengths != lengths_of(count):
            fail(idea="부작용", expected="받은 그대로", got="달라진 lengths", symptom="lengths-changed")
        return checked(batches, count)

    return grouped


def checked(batches: Batches, count: int) -> Batches:
    """예문 번호의 목록들. 아니면 무엇이 왔는지 말합니다."""
    require_value(batches, "batches")
    if not batches:
        fail(idea="배치", expected=f"예문 {count}개", got="0개", symptom="empty-batches")
    first = next(iter(batches))
    if isinstance(first, int):
        fail(idea="목록의 목록", expected="[[번호, …], …]", got="[번호, …]", symptom="flat")
    inner = next(iter(first), None)
    if isinstance(inner, tuple):
        fail(idea="번호", expected="예문의 번호", got=f"{inner}", symptom="lengths-not-indices")
    if isinstance(inner, list):
        fail(idea="목록의 목록", expected="[[번호, …], …]", got="[[[번호, …], …], …]", symptom="nested")
    return [[int(one) for one in batch] for batch in batches]


@todo("2-7")
def test_every_example_appears_once(group):
    """예문마다 꼭 한 번씩 나옵니다. 마지막의 작은 배치도 버리지 않습니다."""
    for count, size in ((COUNT, SIZE), (EVEN_COUNT, EVEN_SIZE)):
        batches = group(count, size)
        read = [index for batch in batches for index in batch]
        distinct = len(set(read))
        missing = count - distinct
        said = {"expected": f"예문 {count}개", "got": f"{distinct}개", "missing": missing}
        pool = POOL * size
        order = order_of(count, 5)
        if sorted(read) == sorted(at % pool for at in range(count)):
            fail(idea="번호", symptom="places-not-numbers", **said)
        if any(sorted(read) == sorted(column) for column in zip(*lengths_of(count), strict=True)):
            fail(idea="번호", expected="예문의 번호", got=f"길이 {read[0]}", symptom="lengths-not-indices")
        stray = [index for index in read if not 0 <= index < count]
        if stray:
            fail("예문의 번호가 아닌 수가 있습니다.", idea="번호", expected=f"0~{count - 1}", got=stray[0])
        if len(read) > distinct:
            fail(idea="한 번씩", symptom="repeated", **{**said, "got": f"{len(read)}번 (서로 다른 것 {distinct}개)"})
        if not missing:
            continue
        if missing == count % size and all(len(batch) == size for batch in batches):
            fail(idea="마지막 배치", symptom="last-dropped", **said)
        kept = set(read)
        whole = count // pool * pool
        if kept in (set(order[:pool]), set(order[whole:])):
            fail(idea="무리", symptom="one-pool", **said)
        if kept == set(order[:whole]):
            fail(idea="무리", symptom="rest-dropped", **said)
        heads = ({number for at, number in enumerate(order) if at % pool < most} for most in range(1, pool))
        if kept in heads:  # 무리마다 앞의 몇만
            fail(idea="무리", symptom="heads-of-pools", **said)
        fail("빠진 예문이 있습니다.", idea="한 번씩", **said)


@todo("2-7")
def test_batches_have_the_given_size(group):
    """배치는 batch_size개씩이고, 더 작은 것은 마지막 하나뿐입니다."""
    for count, size in ((COUNT, SIZE), (EVEN_COUNT, EVEN_SIZE)):
        batches = group(count, size)
        sizes = sorted(map(len, batches), reverse=True)
        want = [size] * (count // size) + [count % size] * (count % size > 0)
        if sizes == want:
            continue
        said = {"expected": f"{size}개씩", "got": f"{sizes[0]}개", "size": size}
        if sizes[0] == POOL * size or (len(sizes) == 1 and sizes[0] == count):
            fail(idea="배치 크기", symptom="pool-is-batch", **said)
        if sizes[0] > size:
            fail(idea="배치 크기", symptom="too-big", **said)
        if sizes[0] < size:
            fail(idea="배치 크기", symptom="too-small", **said)
        if 0 in sizes:
            fail(idea="배치 크기", symptom="empty-ones", **{**said, "got": f"{sizes.count(0)}개"})
        if {*map(frozenset, batches)} == small_pools(count, size):
            fail(idea="무리", symptom="pool-of-examples", **{**said, "got": f"{POOL}개"})
        small = f"{sum(one < size for one in sizes)}개"
        fail("작은 배치가 여럿입니다.", idea="배치 크기", expected=f"{len(want)}배치", got=f"작은 것 {small}")


def cut(order: Sequence[int], pool: int, size: int, key: Callable[[int], object] | None) -> Iterator[frozenset[int]]:
    """`order`를 `pool`개씩 떼어 `key`의 차례로 늘어놓고 자른 배치들. `key`가 None이면 늘어놓지 않습니다."""
    for start in range(0, len(order), pool):
        nearby = list(order[start : start + pool])
        nearby = nearby if key is None else sorted(nearby, key=key)
        yield from (frozenset(nearby[first : first + size]) for first in range(0, len(nearby), size))


def strided(order: Sequence[int], pool: int, size: int, key: Callable[[int], object]) -> Iterator[frozenset[int]]:
    """`cut`처럼 늘어놓은 다음, 이웃한 것이 아니라 배치의 수만큼 건너뛰며 모은 배치들."""
    for start in range(0, len(order), pool):
        nearby = sorted(order[start : start + pool], key=key)
        count = -(-len(nearby) // size)
        yield from (frozenset(nearby[first::count]) for first in range(count))


def small_pools(count: int, size: int) -> set[frozenset[int]]:
    """무리를 배치 `POOL`개가 아니라 예문 `POOL`개씩 떼었을 때의 배치들."""
    lengths = lengths_of(count)
    return set(cut(order_of(count, 5), POOL, size, lambda index: lengths[index]))


def again_shuffled(count: int, seed: int) -> list[int]:
    """받은 난수로 한 번 더 섞은 차례."""
    generator = torch.Generator().manual_seed(seed)
    torch.randperm(count, generator=generator)
    return torch.randperm(count, generator=generator).tolist()


def places(order: list[int], pool: int, size: int, lengths: list[tuple[int, int]]) -> Iterator[frozenset[int]]:
    """예문의 번호 대신, 섞은 차례에서의 자리를 담은 것."""
    return cut(range(len(order)), pool, size, lambda place: lengths[order[place]])


def known_groupings(count: int, size: int, seed: int) -> list[tuple[str, set[frozenset[int]]]]:
    """흔한 실수를 했을 때의 배치들. 배치의 차례는 다시 섞이므로 보지 않습니다."""
    lengths = lengths_of(count)
    order = order_of(count, seed)
    in_file = list(range(count))
    pool = POOL * size

    def pair(index: int) -> tuple[int, int]:
        return lengths[index]

    made = [
        ("not-sorted", cut(order, pool, size, None)),
        ("file-order", cut(in_file, pool, size, pair)),
        ("file-order", cut(in_file, pool, size, None)),
        ("global-sort", cut(order, count, size, pair)),
        ("global-sort", cut(in_file, count, size, pair)),
        ("global-sort", cut(sorted(in_file, key=pair, reverse=True), count, size, None)),
        ("by-label", cut(order, pool, size, lambda index: lengths[index][1])),
        ("by-label", cut(order, pool, size, lambda index: lengths[index][::-1])),
        ("by-index", cut(order, pool, size, lambda index: index)),
        ("order-twice", cut(order, pool, size, lambda index: lengths[order[index]])),
        ("lengths-of-places", cut(order, pool, size, lambda index: lengths[order.index(index) % pool])),
        ("lengths-of-places", cut(order, pool, size, lambda index: lengths[order.index(index)])),
        ("shuffled-again", cut(again_shuffled(count, seed), pool, size, pair)),
        ("places-not-numbers", places(order, pool, size, lengths)),
        ("strided", strided(order, pool, size, pair)),
        ("strided", strided(order, pool, size, lambda index: lengths[index][0])),
        ("by-sum", cut(order, pool, size, lambda index: sum(lengths[index]))),
    ]
    return [(symptom, set(batches)) for symptom, batches in made]


@todo("2-7")
def test_neighbours_in_length_share_a_batch(group):
    """무리 안에서 대화의 길이순입니다. 오름차순이든 내림차순이든, 같은 길이 안의 차례가 어떻든 좋습니다."""
    for count, size in ((COUNT, SIZE), (EVEN_COUNT, EVEN_SIZE)):
        batches = group(count, size)
        if not good(batches, count, size, seed=5):
            blame(batches, count, size)


def good(batches: Batches, count: int, size: int, seed: int) -> bool:
    """배치마다 한 무리의 예문이고, 무리 안에서 대화의 길이가 겹치지 않게 나뉘었는가."""
    lengths = lengths_of(count)
    place = {index: at // (POOL * size) for at, index in enumerate(order_of(count, seed))}
    ranges: dict[int, list[tuple[int, int]]] = {}
    for batch in batches:
        pools = {place[index] for index in batch}
        if len(pools) > 1:
            return False
        long = [lengths[index][0] for index in batch]
        ranges.setdefault(pools.pop(), []).append((min(long), max(long)))
    steps = [pair for one in ranges.values() for pair in zip(sorted(one), sorted(one)[1:], strict=False)]
    return all(before[1] <= after[0] for before, after in steps)


def blame(batches: Batches, count: int, size: int) -> None:
    """길이순이 아닌 배치들이 어떻게 묶였는지 말합니다."""
    lengths = lengths_of(count)
    widest = max(batches, key=lambda batch: max(lengths[i][0] for i in batch) - min(lengths[i][0] for i in batch))
    long = sorted(lengths[index][0] for index in widest)
    said = {"expected": "비슷한 길이끼리", "got": f"한 배치에 {long[0]}~{long[-1]}"}
    grouping = {frozenset(batch) for batch in batches}
    for symptom, wrong in known_groupings(count, size, seed=5):
        if grouping == wrong:
            fail(idea="길이순", symptom=symptom, **said)
    fail("무리마다 대화의 길이순으로 묶이지 않았습니다.", idea="길이순", **said)


@todo("2-7")
def test_the_generator_alone_decides(group):
    """같은 난수에서는 같은 배치, 다른 난수에서는 다른 이웃입니다."""
    random.seed(1)
    first = group(seed=5)
    random.seed(2)
    again = group(seed=5)
    if first != again:  # 배치 안의 차례도 받은 난수만 따릅니다.
        fail(idea="난수", expected="같은 배치", got="다른 배치", symptom="own-random")
    other = group(seed=6)
    if {frozenset(batch) for batch in first} == {frozenset(batch) for batch in other}:
        fail(idea="섞기", expected="다른 이웃", got="같은 이웃", symptom="same-neighbours")


@todo("2-7")
def test_fewer_examples_than_a_batch_make_one(group):
    """예문이 배치 하나보다 적으면 배치 하나입니다."""
    batches = group(count=5, size=8)
    if [sorted(batch) for batch in batches] != [list(range(5))]:
        fail("예문 5개가 배치 하나(크기 8)가 되지 않았습니다.", idea="배치 크기", expected="5개", got=batches)
