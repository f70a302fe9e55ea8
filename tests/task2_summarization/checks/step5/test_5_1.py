"""5-1의 검사: 이어지는 예측의 배치 하나.

요약하는 일에는 옳은 것을 대신 둡니다. 3단계의 TODO가 비어 있거나 틀려도 검사됩니다. 일지는 진짜의 것이고, 파일에 정말
적혔는지를 봅니다.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from course.checks.recognising import recognise, sound
from course.checks.words import fail, known_as, show, todo
from course.checks.workspace import workspace
from nlpbook.summarization.predictions import Journal

MAX_LEN = 83  # 기본값(512)이 아닙니다.
TALKS = [
    f"#Person1#: {word}에 볼까요?\n#Person2#: 좋아요."
    for word in ("여섯 시", "학교", "공원", "내일", "주말", "역 앞", "도서관", *(f"{hour}시" for hour in range(3, 22)))
]
TALKS[3] += "\n#Person1#: 비가 오면 실내에서 봐요 😊" * 9  # 어느 상한(83, 512)보다도 글자 수가 많습니다.
TALKS[12] = TALKS[9]  # 같은 배치에 똑같은 대화가 둘 있습니다.
# 크기가 저마다 다르고, 긴 것부터라 차례가 섞여 있습니다. 하나는 summarize의 기본값(16)보다 큽니다. 첫 배치의 번호들은
# 커지지만 이어져 있지 않습니다.
BATCHES = [[2, 5], [6, 0, 3], [1], [*range(25, 6, -1), 4]]
KEPT = 1  # 이어 할 때, 앞서 적어 둔 배치. 처음도 마지막도 아닙니다.
BEFORE = "앞서 적어 둔 요약 "
IDEA = "이어지는 예측"


def summary_of(talk: str) -> str:
    return "요약 " + talk.split()[1]


@known_as("Journal")
class Watched(Journal):
    """진짜 일지. 언제 무엇을 적었는지도 적어 둡니다."""

    def __init__(self, path: Path, events: list[tuple[str, Any]]) -> None:
        super().__init__(path, {"검사": 5})
        self.events = events
        self.touched = 0  # `has`라는 이름을 쓴 횟수와 부른 횟수
        self.asked = 0

    @property
    def has(self) -> Callable[[Sequence[int]], bool]:
        self.touched += 1
        return self._has

    def _has(self, numbers: Sequence[int]) -> bool:
        self.asked += 1
        if isinstance(numbers, int):
            fail(idea="journal.has", expected="번호의 목록", got="번호 하나", symptom="one-number")
        return super().has(numbers)

    _has.__name__ = "has"  # 인수를 빠뜨렸을 때의 오류에 진짜의 이름이 나옵니다.

    def add(self, numbers: Sequence[int], summaries: Sequence[str]) -> None:
        numbers = numbers if isinstance(numbers, int) else list(numbers)
        if isinstance(numbers, int) or any(not isinstance(one, int) for one in numbers):
            shown = {"expected": "번호의 목록과 요약의 목록", "got": f"{show(numbers)[:30]}, …"}
            if all(isinstance(one, int) for one in summaries):
                fail(idea="journal.add", symptom="add-swapped", **{**shown, "got": "요약, 번호"})
            fail("journal.add에는 번호들, 요약들의 차례로 건넵니다.", idea="journal.add", **shown)
        numbers, summaries = list(numbers), list(summaries)
        if len(numbers) != len(summaries):
            sizes = {"expected": f"요약 {len(numbers)}개", "got": f"{len(summaries)}개"}
            self._name_the_summarized(numbers)
            fail("journal.add에 건넨 번호와 요약의 수가 다릅니다.", idea="journal.add", **sizes)
        super().add(numbers, summaries)
        self.events.append(("적음", numbers))

    def _name_the_summarized(self, numbers: list[int]) -> None:
        """번호와 요약의 수가 다르면, 방금 요약한 것이 어느 대화들인지 알아봅니다."""
        talks = next((what for name, what in reversed(self.events) if name == "요약"), [])
        if talks == TALKS:
            about = {"expected": f"대화 {len(numbers)}개", "got": f"대화 {len(TALKS)}개 모두"}
            fail(idea="배치", symptom="whole", **about)
        first, last = min(numbers), max(numbers)
        slices = [(numbers[0], numbers[-1] + 1), (first, last + 1)]
        slices += [(start, start + len(numbers)) for start in (numbers[0], first)]
        if talks and talks in [TALKS[start:end] for start, end in slices]:
            about = {"expected": ", ".join(map(str, numbers)), "got": f"대화 {len(talks)}개"}
            fail(idea="번호", symptom="sliced", **about)
        mine = [TALKS[number] for number in numbers]
        if talks and len(talks) < len(mine) and sorted(talks) == sorted(set(mine)):
            about = {"expected": f"대화 {len(mine)}개", "got": f"대화 {len(talks)}개"}
            fail(idea="배치", symptom="repeats-dropped", **about)

    def close(self) -> None:
        super().close()
        self.events.append(("닫음", None))


class Prediction:
    """학생의 함수로 예측한 것.

    Attributes:
        events: ("요약", 대화들), ("적음", 번호들), ("막대", 수)들이 일어난 차례대로.
        texts: 돌려받은 요약들. 도중에 멈추었으면 None입니다.
        written: 파일에 적힌 번호 → 요약.
        missing: 요약이 없어 멈추었으면 그 번호.
        is_has_touched_only: `journal.has`를 부르지 않고 쓰기만 했는가.
    """

    def __init__(
        self, step: Any, kept: Sequence[int] = (), broken: int | None = None, halved: int | None = None
    ) -> None:
        """`kept`는 앞서 모두 적어 둔 배치들, `halved`는 첫 대화만 적어 둔 배치입니다."""
        self.broken = broken  # 이 배치를 요약하다 멈춥니다.
        self.has_broken = False
        self.events: list[tuple[str, Any]] = []
        self.path = workspace() / "out.csv.part"
        self.path.unlink(missing_ok=True)
        for number in kept:
            numbers = BATCHES[number]
            Watched(self.path, []).add(numbers, [BEFORE + str(one) for one in numbers])
        if halved is not None:
            first = BATCHES[halved][0]
            Watched(self.path, []).add([first], [BEFORE + str(first)])
        self.lengths: set[Any] = set()
        self.sizes: list[Any] = []
        journal = Watched(self.path, self.events)
        self.texts: list[str] | None = None
        self.missing: int | None = None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("step3_rouge_metrics.summarize", self.summarize)
            patch.setattr(step, "progress_bar", self.progress_bar)
            try:
                self.texts = step.write_summaries(MODEL, TOKENIZER, list(TALKS), MAX_LEN, BATCHES, journal)
            except KeyError as error:
                if not (error.args and error.args[0] in range(len(TALKS))):
                    raise
                self.missing = error.args[0]
        self.written = dict(Watched(self.path, []).summaries)
        self.in_memory = dict(journal.summaries)
        self.is_has_touched_only = journal.touched > 0 and journal.asked == 0

    def summarize(
        self, model: Any, tokenizer: Any, dialogues: Any, max_len: int = 512, batch_size: int = 16
    ) -> list[str]:
        if model is not MODEL or tokenizer is not TOKENIZER:
            order = {"expected": "summarize(model, tokenizer, …)", "got": "다른 것"}
            fail("summarize에 건넨 model이나 tokenizer가 다릅니다.", idea="summarize의 인수", **order)
        if isinstance(dialogues, str):
            fail(idea="summarize의 인수", expected="대화의 목록", got="대화 하나(글)", symptom="one-text")
        dialogues = list(dialogues)
        if any(not isinstance(one, str) for one in dialogues):
            kind = type(next(one for one in dialogues if not isinstance(one, str))).__name__
            fail(idea="summarize의 인수", expected="대화들", got=f"{kind}들", symptom="numbers-given")
        require_whole(dialogues)
        self.lengths.add(max_len)
        self.sizes.append(batch_size)
        self.events.append(("요약", dialogues))
        if self.broken is not None and dialogues == [TALKS[number] for number in BATCHES[self.broken]]:
            self.has_broken = True
            raise Broken
        return [summary_of(one) for one in dialogues]

    @contextmanager
    def progress_bar(self, description: str, total: int, shown: bool = True) -> Iterator[Any]:
        yield lambda count=1, note="": self.events.append(("막대", count))

    def all(self, kind: str) -> list[Any]:
        return [what for name, what in self.events if name == kind]


class Broken(torch.OutOfMemoryError, ValueError):
    """요약하다 난 오류. 메모리가 모자랄 때처럼 RuntimeError의 한 갈래입니다."""


def require_whole(dialogues: list[str]) -> None:
    """파일에 있는 대화 그대로인지 봅니다."""
    for talk in dialogues:
        if talk in TALKS:
            continue
        whole = next((one for one in TALKS if one.startswith(talk) and len(talk) > 1), None)
        if whole is not None:
            about = {"expected": f"글자 {len(whole)}개인 대화", "got": f"앞의 {len(talk)}글자"}
            fail(idea="대화의 길이", symptom="cut-by-letters", **about)
        fail("파일에 없는 대화를 요약했습니다.", idea="대화", expected="dialogues의 대화", got=repr(talk[:40]))


class Named:
    """모델과 토크나이저의 자리에 둡니다. 자리의 코드는 건네기만 합니다."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        shown = f"{self.name}.{name}"
        fail(f"이 검사는 {shown}을(를) 주지 않습니다. summarize에 그대로 건네면 됩니다.", idea="summarize", got=shown)


MODEL = Named("model")
TOKENIZER = Named("tokenizer")


@pytest.fixture
def fresh(step) -> Prediction:
    return Prediction(step)


@pytest.fixture
def resumed(step) -> Prediction:
    return Prediction(step, kept=[KEPT])


def right() -> list[str]:
    return [summary_of(talk) for talk in TALKS]


def misplaced() -> list[tuple[str, list[str]]]:
    """번호와 요약이 엇갈렸을 때의 것."""
    want = right()
    first = [""] * len(want)
    in_order = [""] * len(want)
    flipped = [""] * len(want)
    sorted_in = [""] * len(want)
    sorted_out = [""] * len(want)
    count = 0
    for numbers in BATCHES:
        for place, number in enumerate(numbers):
            first[number] = want[place]  # 배치마다 dialogues[:n]을 요약
            in_order[number] = want[count]
            flipped[number] = want[numbers[-1 - place]]
            sorted_in[number] = want[sorted(numbers)[place]]
            sorted_out[sorted(numbers)[place]] = want[number]
            count += 1
    batched = [("reversed", flipped), ("sorted-in-batch", sorted_in), ("sorted-when-recorded", sorted_out)]
    return [("first-dialogues", first), ("file-order", in_order), *batched]


def sliced_talks() -> list[list[str]]:
    """배치마다 가장 작은 번호부터 그 수만큼 잇달아 자른 대화들."""
    return [TALKS[min(numbers) : min(numbers) + len(numbers)] for numbers in BATCHES]


def counted_places() -> list[list[int]]:
    """배치 안에서 센 차례를 번호로 적었을 때, 적은 것들. 이미 있는 번호뿐인 배치는 건너뜁니다."""
    done: list[list[int]] = []
    for numbers in BATCHES:
        if not set(numbers) <= set(sum(done, [])):
            done.append(list(range(len(numbers))))
    return done


@todo("5-1")
def test_every_dialogue_has_its_own_summary(fresh):
    """처음부터 하면 모든 대화가 제 번호의 요약을 갖습니다."""
    summarized = fresh.all("요약")
    if not summarized:
        symptom = "inverted" if fresh.missing is not None else None
        if fresh.is_has_touched_only:
            fail(idea="journal.has", symptom="not-called", expected="journal.has(…)", got="journal.has")
        about = {"expected": f"배치 {len(BATCHES)}개를 요약", "got": "요약하지 않음", "symptom": symptom}
        fail("아무 배치도 요약하지 않았습니다.", idea=IDEA, **about)
    if len(summarized[0]) == len(TALKS):
        about = {"expected": f"대화 {len(BATCHES[0])}개", "got": f"대화 {len(TALKS)}개 모두"}
        times = sum(len(talks) == len(TALKS) for talks in summarized)
        if times > 1:
            fail(idea="배치", symptom="whole", expected=about["expected"], got=f"{about['got']}({times}번)")
        if len(summarized) == 1 and fresh.events[0][0] == "요약":
            fail(idea="배치", symptom="whole-at-once", **about)
        fail(idea="배치", symptom="whole", **about)
    if not fresh.all("적음"):
        symptom = "memory-only" if fresh.in_memory else "not-recorded"
        fail(idea="일지", expected="journal.add", got="부르지 않음", symptom=symptom)
    if fresh.missing is not None:
        about = {"expected": "모든 번호", "got": f"{fresh.missing}번이 없음"}
        if fresh.all("적음") == counted_places():
            fail(idea="번호", symptom="counted-places", **about)
        fail("적히지 않은 대화가 있습니다.", idea="번호", **about)
    got, want = fresh.texts, right()
    if got == want:
        return
    place = next(index for index, (one, two) in enumerate(zip(got, want, strict=True)) if one != two)
    expected, shown = f"{place}번 {want[place]!r}", f"{place}번 {got[place]!r}"
    recognise(got, misplaced(), idea="번호", expected=expected, shown=shown)
    if summarized == sliced_talks():
        numbers = next(one for one in BATCHES if list(one) != list(range(min(one), min(one) + len(one))))
        took = f"{min(numbers)}번부터 {min(numbers) + len(numbers) - 1}번까지"
        fail(idea="번호", symptom="sliced-from-least", expected=", ".join(map(str, numbers)), got=took)
    fail("요약이 제 대화의 것이 아닙니다.", idea="번호", expected=expected, got=shown)


def unrecorded(made: Prediction) -> set[str]:
    """다음 것을 요약하기 시작할 때까지 적지 않은 대화들. 배치를 바로바로 적으면 비어 있습니다."""
    waiting: set[str] = set()
    late: set[str] = set()
    for name, what in made.events:
        if name == "요약":
            late |= waiting
            waiting = set(what)
        elif name == "적음":
            waiting -= {TALKS[number] for number in what}
    return late | waiting


def recorded_early(made: Prediction) -> list[tuple[list[int], int]]:
    """요약하기도 전에 적은 배치들."""
    done: set[str] = set()
    early = []
    for place, (name, what) in enumerate(made.events):
        if name == "요약":
            done |= set(what)
        elif name == "적음" and not {TALKS[number] for number in what} <= done:
            early.append((what, place))
    return early


@todo("5-1")
def test_an_error_is_not_hidden(step, fresh):
    """요약하다 오류가 나면 거기에서 멈춥니다. 그때까지 쓴 배치는 파일에 있고, 멈춘 배치는 없습니다."""
    if not sound(lambda: fresh.texts == right() and not recorded_early(fresh)):
        return
    try:
        made = Prediction(step, broken=2)
    except Broken:
        return
    left = made.written.get(BATCHES[2][0])
    if made.has_broken:
        got = "아무것도 적히지 않음" if left is None else "빈 요약" if not left else repr(left)
        fail(idea="오류", symptom="error-hidden", expected="오류로 멈춤", got=got)


@todo("5-1")
def test_a_batch_is_recorded_before_the_next_one_is_summarized(fresh):
    """배치 하나를 요약하면, 다음 배치를 요약하기 전에 적습니다. 그래야 꺼져도 남습니다."""
    if not sound(lambda: fresh.texts == right() and bool(fresh.all("적음"))):
        return
    if len(fresh.all("요약")) == len(TALKS):
        about = {"expected": f"배치 {len(BATCHES)}개", "got": f"대화 {len(TALKS)}개를 하나씩"}
        fail(idea="배치", symptom="one-by-one", **about)
    late = unrecorded(fresh)
    if late:
        order = [name for name, _ in fresh.events if name != "막대"]
        about = {"expected": "요약, 적음, 요약, 적음, …", "got": ", ".join(order[:4]) + ", …"}
        if order.count("요약") == len(BATCHES) and "적음" not in order[: len(BATCHES)]:
            fail(idea="언제 적나", symptom="saved-late", **about)
        fail("요약한 배치를 다음 배치보다 먼저 적지 않았습니다.", idea="언제 적나", **about)
    early = [numbers for numbers, _ in recorded_early(fresh)]
    if early:
        fail(idea="언제 적나", symptom="reserved", expected="요약한 다음", got="요약하기 전")
    if fresh.written != dict(enumerate(right())):
        if fresh.all("닫음"):
            fail(idea="일지", symptom="journal-closed", expected="남아 있는 일지", got="지워진 일지")
        fail("일지에 적힌 것이 돌려준 요약과 다릅니다.", idea="일지", expected="같은 요약", got="다른 요약")


@todo("5-1")
def test_what_is_recorded_is_not_summarized_again(resumed):
    """이어 할 때는 적어 둔 배치를 다시 요약하지 않고, 나머지는 모두 요약합니다."""
    kept = BATCHES[KEPT]
    again = [TALKS[number] for number in kept] in resumed.all("요약")
    done = [numbers for numbers in BATCHES if [TALKS[number] for number in numbers] in resumed.all("요약")]
    rest = [numbers for numbers in BATCHES if numbers != kept]
    about = {"idea": IDEA, "expected": f"배치 {len(rest)}개를 요약", "got": f"{len(done)}개를 요약"}
    if again and done == [kept]:
        fail(symptom="inverted", **about)
    if again and done == BATCHES:
        fail(symptom="redone", **about)
    if done == BATCHES[:KEPT] and resumed.missing is not None:
        fail(symptom="stops-at-recorded", **about)
    if resumed.missing is None and resumed.texts is not None and done == rest:
        want = right()
        for number in kept:
            want[number] = BEFORE + str(number)
        if resumed.texts != want:
            fail("앞서 적어 둔 요약이 그대로 나오지 않았습니다.", idea=IDEA, expected="적어 둔 것", got="다른 것")


@todo("5-1")
def test_a_batch_recorded_in_part_is_finished(step, fresh, resumed):
    """일부만 적힌 배치는 적어 둔 배치가 아닙니다. 빠진 대화가 없게 요약합니다."""
    if not sound(lambda: fresh.texts == right() and resumed.missing is None):
        return
    made = Prediction(step, halved=KEPT)
    if made.missing is None:
        return
    about = {"idea": IDEA, "expected": f"{made.missing}번의 요약", "got": "없음"}
    whole = [TALKS[number] for number in BATCHES[KEPT]]
    if made.missing in BATCHES[KEPT] and not any(set(talks) & set(whole) for talks in made.all("요약")):
        fail(symptom="partly-recorded", **about)
    fail("일부만 적힌 배치에서 빠진 대화가 있습니다.", **about)


@todo("5-1")
def test_the_bar_moves_by_every_batch_once(fresh, resumed):
    """진행 막대는 건너뛴 배치까지, 배치마다 한 번 나아갑니다."""
    if not sound(lambda: fresh.texts == right() and resumed.missing is None):
        return
    for one in (fresh, resumed):
        moved = sum(one.all("막대"))
        if moved != len(TALKS):
            about = {"expected": f"{len(TALKS)}개", "got": f"{moved}개"}
            skipped = len(TALKS) - len(BATCHES[KEPT])
            if one is resumed and moved == skipped:
                fail(idea="진행 막대", symptom="bar-skips", **about)
            fail(
                idea="진행 막대",
                symptom="bar-twice" if moved > len(TALKS) else None,
                message="진행 막대가 대화의 수만큼 나아가지 않습니다." if moved < len(TALKS) else "",
                **about,
            )


@todo("5-1")
def test_dialogues_are_cut_where_they_were_asked_to_be(fresh):
    """대화의 길이의 상한은 건네받은 max_len입니다."""
    if sound(lambda: fresh.texts == right()) and fresh.lengths != {MAX_LEN}:
        got = ", ".join(map(str, fresh.lengths))
        symptom = "default-length" if fresh.lengths == {512} else None
        if set(fresh.sizes) == {MAX_LEN} and fresh.lengths <= set(map(len, BATCHES)):
            symptom = "arguments-swapped"
        fail("대화의 길이의 상한이 다릅니다.", idea="max_len", expected=MAX_LEN, got=got, symptom=symptom)


@todo("5-1")
def test_a_batch_is_summarized_as_one(fresh):
    """배치 하나는 나뉘지 않고 한 번에 요약됩니다. 그래야 이어 해도 같은 배치입니다."""
    if not sound(lambda: fresh.texts == right() and fresh.lengths == {MAX_LEN}):
        return
    for talks, size in zip(fresh.all("요약"), fresh.sizes, strict=True):
        if size < len(talks):
            about = {"expected": f"대화 {len(talks)}개", "got": f"{size}개씩"}
            symptom = "default-batch" if size == 16 else None
            message = "" if symptom else "배치 하나를 더 작은 배치로 나누어 요약했습니다."
            fail(message, idea="batch_size", symptom=symptom, **about)
