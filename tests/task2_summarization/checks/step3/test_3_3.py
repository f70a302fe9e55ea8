"""3-3의 검사: 짝마다의 F1과 그 평균.

조각으로 나누는 것은 여기에서 건네므로, 3-1이 비어 있거나 틀려도 검사됩니다. 옳은 점수는 rouge_score가 아니라 `common`의
것으로 구합니다.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from rouge_score.rouge_scorer import RougeScorer

from course.checks.recognising import Wrong, explained, recognise, require_value, sound, when
from course.checks.side_effects import no_side_effects
from course.checks.words import close, fail, matches, todo
from tests.task2_summarization.checks.step3.common import KEYS, overlap

IDEA = "ROUGE"
ATOL = 1e-6
NAMES = (*KEYS, "rouge_sum", "rouge_combined_f1")
# 짝은 다섯이고(점수의 종류 셋과 다릅니다) 길이가 저마다 다릅니다. 빈 예측과 참조가 있고, 거듭 나오는 조각이 있습니다.
# 영어의 어간 추출이 바꿀 낱말(running), 제 짝보다 다른 짝의 참조와 더 많이 겹치는 예측도 있습니다.
PREDICTIONS = [
    "가 나 다 라 마",
    "바 running 사 아 가 나 나 하 거 너 더",
    "",
    "자 차 카 타 파 하 자 차 카",
    "네 네 자 차 카 파",
]
REFERENCES = [
    "가 나 라 다 마 바 사",
    "runs 바 사 아 나 나",
    "아무 말도 하지 않았습니다",
    "자 차 타 카 파 하 거",
    "네 네 네 알겠습니다",
]


class Spaces:
    """빈칸에서 나눕니다. 한글이 남고, 글자의 크기도 그대로입니다."""

    name = "spaces"

    def tokenize(self, text: str) -> list[str]:
        return text.split()


@pytest.fixture
def score(load, monkeypatch):
    """학생의 함수로 구한 점수."""
    step = load(3)
    real = RougeScorer.__init__
    made: list[Any] = []  # 새로 만든 것마다 건넨 토크나이저

    def watched(self: Any, *given: Any, **named: Any) -> None:
        real(self, *given, **named)
        made.append(named.get("tokenizer", given[3] if len(given) > 3 else None))

    monkeypatch.setattr(RougeScorer, "__init__", watched)

    def scored(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        given = {"predictions": list(predictions), "references": list(references)}
        with no_side_effects(inputs=given):
            got = require_value(step.compute_rouge(*given.values(), Spaces()), "scores")
        return require_scores(got)

    scored.tokenizers = made
    return scored


def require_scores(got: Any) -> dict[str, float]:
    """다섯 이름의 수. 아니면 무엇이 왔는지 말합니다."""
    if not isinstance(got, dict):
        fail("scores가 딕셔너리가 아닙니다.", idea=IDEA, expected="dict", got=type(got).__name__)
    missing = [name for name in NAMES if name not in got]
    if missing:
        found = ", ".join(map(str, got)) or "없음"
        fail(idea="이름", expected=", ".join(NAMES), got=found, symptom="missing-key", name=missing[0])
    if all(hasattr(got[key], "fmeasure") for key in KEYS):
        fail(idea="F1", expected="수", got=type(got[KEYS[0]]).__name__, symptom="whole-score")
    for name in NAMES:
        if isinstance(got[name], bool) or not isinstance(got[name], (int, float)):
            kind = type(got[name]).__name__
            fail(idea=IDEA, expected="수(float)", got=kind, symptom="not-a-number", name=name)
    return got


def table(predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[Any]]:
    """종류 → 짝마다의 점수."""
    pairs = [(one.split(), other.split()) for one, other in zip(references, predictions, strict=True)]
    return {key: [overlap(key, *pair) for pair in pairs] for key in KEYS}


def values(predictions: Sequence[str] = PREDICTIONS, references: Sequence[str] = REFERENCES) -> list[float]:
    """옳은 점수, KEYS의 차례."""
    return [sum(one.fmeasure for one in many) / len(many) for many in table(predictions, references).values()]


def running(numbers: Sequence[float], start: float) -> float:
    """`start`에서 시작해, 앞에서 얻은 것과 다음 수를 반씩 섞어 간 것."""
    made = start
    for one in numbers:
        made = (made + one) / 2
    return made


AVERAGES = (  # 평균이 아닌 것들
    lambda numbers: sum(numbers) / (len(numbers) + 1),
    lambda numbers: sorted(numbers)[len(numbers) // 2],
    min,
)


def f1_of_means(many: Sequence[Any]) -> float:
    precision, recall = (sum(getattr(one, name) for one in many) / len(many) for name in ("precision", "recall"))
    return 2 * precision * recall / (precision + recall)


def wrong_values() -> Wrong:
    """흔한 실수를 했을 때의 세 점수, KEYS의 차례."""
    by_key = table(PREDICTIONS, REFERENCES)
    every = list(by_key.values())
    right = values()
    joined = [
        values([glue.join(PREDICTIONS)], [glue.join(REFERENCES)]) for glue in (" ", "\n")
    ]  # 빈칸에서 나누므로 둘은 같습니다.
    sizes = [len(one.split()) for one in REFERENCES]
    written = [len(one.split()) for one in PREDICTIONS]
    letters = [list(map(len, one)) for one in (REFERENCES, PREDICTIONS)]
    both = [one + other for one, other in zip(sizes, written, strict=True)]
    return [
        ("precision", [sum(one.precision for one in many) / len(many) for many in every]),
        ("recall", [sum(one.recall for one in many) / len(many) for many in every]),
        ("not-divided", [sum(one.fmeasure for one in many) for many in every]),
        ("divided-by-kinds", [sum(one.fmeasure for one in many) / len(KEYS) for many in every]),
        *[("joined", one) for one in joined],
        ("used-up", [right[0], 0.0, 0.0]),
        ("last-pair", [many[-1].fmeasure for many in every]),
        ("first-pair", [many[0].fmeasure for many in every]),
        ("best-pair", [max(one.fmeasure for one in many) for many in every]),
        *[("other-references", one) for one in crossed()],
        ("percent", [100 * one for one in right]),
        *[("percent-rounded", [round(100 * one, digits) for one in right]) for digits in range(5)],
        *[("rounded", [round(one, digits) for one in right]) for digits in (2, 3, 4, 5)],
        *[("rounded", [round(100 * one, digits) / 100 for one in right]) for digits in (1, 2, 3)],
        *[
            ("by-length", [weighted([one.fmeasure for one in many], weights) for many in every])
            for weights in (sizes, written, both, *letters)
        ],
        ("mean-of-both", [sum((one.precision + one.recall) / 2 for one in many) / len(many) for many in every]),
        ("halves", [running([one.fmeasure for one in many], 0.0) for many in every]),
        ("halves", [running([one.fmeasure for one in many[1:]], many[0].fmeasure) for many in every]),
        *[("other-average", [average([one.fmeasure for one in many]) for many in every]) for average in AVERAGES],
        ("f1-of-means", [f1_of_means(many) for many in every]),
        ("empty-skipped", [sum(one.fmeasure for one in many) / (len(many) - 1) for many in every]),
    ]


def english_values() -> Wrong:
    """영어의 것으로 나누었을 때. 남는 조각은 "running"과 "runs"뿐이고, 어간을 추출하면 둘이 같습니다."""
    one = 1 / len(PREDICTIONS)
    return [("own-ruler", [0.0, 0.0, 0.0]), ("own-ruler", [one, 0.0, one])]


def crossed() -> list[list[float]]:
    """다른 짝의 참조와도 견주었을 때: 예측마다 가장 좋은 것, 참조마다 가장 좋은 것, 모두의 평균."""
    made: list[list[float]] = [[], [], []]
    for key in KEYS:
        rows = [[overlap(key, ref.split(), one.split()).fmeasure for ref in REFERENCES] for one in PREDICTIONS]
        for numbers, many in zip(made, (rows, list(zip(*rows, strict=True)), [sum(rows, [])]), strict=True):
            each = [max(one) for one in many] if len(many) > 1 else many[0]
            numbers.append(sum(each) / len(each))
    return made


def weighted(numbers: Sequence[float], weights: Sequence[int]) -> float:
    return sum(one * weight for one, weight in zip(numbers, weights, strict=True)) / sum(weights)


@todo("3-3")
def test_each_score_is_the_mean_f1_of_the_pairs(score):
    """짝마다 구한 F1을 그냥 평균합니다."""
    got = [score(PREDICTIONS, REFERENCES)[key] for key in KEYS]
    want = values()
    if close(got, want, ATOL):
        return
    expected, shown = shown_as(want), shown_as(got)
    if None in score.tokenizers:  # 토크나이저를 건네지 않고 새로 만든 것이 있습니다.
        recognise(got, english_values(), atol=ATOL, idea=IDEA, expected=expected, shown=shown)
    recognise(got, wrong_values(), atol=ATOL, idea=IDEA, expected=expected, shown=shown)
    if math.isclose(got[0], got[1]) and math.isclose(got[1], got[2]):
        fail(idea=IDEA, expected=expected, got=shown, symptom="one-kind")
    fail("점수가 짝마다 구한 F1의 평균이 아닙니다.", idea=IDEA, expected=expected, got=shown)


def is_right(got: dict[str, float], want: Sequence[float]) -> bool:
    return close([got[key] for key in KEYS], want, ATOL)


@todo("3-3")
def test_equal_texts_stand_for_themselves(score):
    """같은 참조나 같은 예측이 여럿이어도 짝은 저마다 하나입니다."""
    if not sound(lambda: is_right(score(PREDICTIONS, REFERENCES), values())):
        return
    repeated = (["가 나 다", "가 나 라 마", "바 사", "바 사"], ["가 나 다 라", "가 나 다 라", "바 아", "사 바 사"])
    got, want = [score(*repeated)[key] for key in KEYS], values(*repeated)
    if close(got, want, ATOL):
        return
    predictions, references = repeated
    pairs = list(zip(predictions, references, strict=True))
    kept = [{other: (one, other) for one, other in pairs}, {one: (one, other) for one, other in pairs}]
    wrong = [("pairs-merged", values(*map(list, zip(*one.values(), strict=True)))) for one in kept]
    said = {"expected": shown_as(want), "shown": shown_as(got)}
    recognise(got, wrong, atol=ATOL, idea="짝", **said)
    message = "같은 글이 여럿일 때의 점수가 짝들의 평균이 아닙니다."
    fail(message, idea="짝", expected=said["expected"], got=said["shown"])


@todo("3-3")
def test_a_single_pair_is_its_own_mean(score):
    """짝이 하나면 평균은 그 짝의 F1입니다."""
    if not sound(lambda: is_right(score(PREDICTIONS, REFERENCES), values())):
        return
    one = ["가 나 다 라"], ["나 다 마"]
    got, want = [score(*one)[key] for key in KEYS], values(*one)
    if not close(got, want, ATOL):
        message = "짝이 하나일 때의 점수가 그 짝의 F1이 아닙니다."
        fail(message, idea=IDEA, expected=shown_as(want), got=shown_as(got))


def shown_as(numbers: Sequence[float]) -> str:
    return ", ".join(f"{key} {value:.4f}" for key, value in zip(KEYS, numbers, strict=True))


@todo("3-3")
def test_the_two_totals_are_the_sum_and_the_mean_of_the_three(score):
    """rouge_sum은 셋의 합(0~3), rouge_combined_f1은 셋의 평균(0~1)입니다."""
    got = score(PREDICTIONS, REFERENCES)
    three = [got[key] for key in KEYS]
    total = sum(three)
    pairs = len(PREDICTIONS)
    want = [total, total / 3]
    came = [got["rouge_sum"], got["rouge_combined_f1"]]
    if close(came, want, ATOL):
        return
    expected, shown = (f"rouge_sum {one:.4f}, rouge_combined_f1 {two:.4f}" for one, two in (want, came))
    wrong = [
        ("combined-is-sum", [total, total]),
        *[("percent", [100 * total, one]) for one in (100 * total / 3, total / 3)],
        *[("two-kinds", [sum(two), sum(two) / 2]) for two in (three[:2], three[1:], three[::2])],
        ("sum-is-mean", [total / 3, total / 3]),
        ("totals-swapped", [total / 3, total]),
        ("sum-counted-too", [total, total / 2]),  # (셋 + 합) / 4
        ("combined-over-pairs", [total, total / pairs]),
        ("mean-of-the-mean", [total / 3, total / 9]),
        *[("one-for-all", [3 * one, one]) for one in three],
        *[("other-mean", [total, one]) for one in other_means(three)],
    ]
    recognise(came, wrong, atol=ATOL, idea="두 가지 합", expected=expected, shown=shown)
    fail("rouge_sum이나 rouge_combined_f1이 다릅니다.", idea="두 가지 합", expected=expected, got=shown)


def other_means(three: Sequence[float]) -> list[float]:
    """더해서 나눈 평균이 아닌 것들: 기하 평균, 조화 평균, 가운데 값, 가장 큰 것, 가장 작은 것."""
    return [
        math.prod(three) ** (1 / 3),
        3 / sum(1 / one for one in three) if all(three) else 0.0,
        sorted(three)[1],
        max(three),
        min(three),
    ]


UNEQUAL = {
    "예측이 하나 많음": ([*PREDICTIONS, "하나 더"], REFERENCES),
    "참조가 하나 많음": (PREDICTIONS, [*REFERENCES, "하나 더"]),
    "예측이 없음": ([], REFERENCES),
    "참조가 없음": (PREDICTIONS, []),
}


@todo("3-3")
@pytest.mark.parametrize("case", UNEQUAL)
def test_lists_of_different_lengths_stop_it(score, case):
    """짝이 맞지 않으면 ValueError입니다. 남는 것을 말없이 버리지 않습니다. 한쪽이 비어 있어도 그렇습니다."""
    given = UNEQUAL[case]
    try:
        with explained(blame_other_error):
            got = score(*given)
    except ValueError:
        return
    shown = f"rouge1 {got['rouge1']:.4f}"
    symptom = None
    came = [got[key] for key in KEYS]
    if matches(came, values(), ATOL):
        symptom = "not-strict"
    elif matches(came, [0.0] * len(KEYS), ATOL):
        symptom = "zero-for-unequal"
    message = "" if symptom else "길이가 다른 두 목록에서 점수가 나왔습니다."
    sizes = " ".join(f"{name} {len(one)}개" for name, one in zip(("예측", "참조"), given, strict=True))
    fail(message, idea="짝", expected="ValueError", got=shown, symptom=symptom, sizes=sizes)


def blame_other_error(error: Exception) -> None:
    """짝이 맞지 않을 때 `ValueError`가 아닌 것으로 멈췄으면 그렇다고 말합니다."""
    if not isinstance(error, ValueError):
        got = f"{type(error).__name__}: {error}".removesuffix(": ")
        fail(idea="짝", expected="ValueError", got=got, symptom="other-error")


@todo("3-3")
def test_no_pair_at_all_is_zero(score):
    """짝이 하나도 없으면 점수는 모두 0입니다."""
    if not sound(lambda: is_right(score(PREDICTIONS, REFERENCES), values())):
        return
    known = when("ZeroDivisionError|division by zero|requires at least one", "no-pairs", idea="빈 목록", expected="0")
    with explained(known):
        got = score([], [])
    came = [got[name] for name in NAMES]
    if any(math.isnan(one) for one in came):
        fail(idea="빈 목록", expected="0", got="nan", symptom="no-pairs")
    if not close(came, [0.0] * len(NAMES), ATOL):
        fail("짝이 없는데 점수가 0이 아닙니다.", idea="빈 목록", expected="0", got=shown_as(came[:3]))
