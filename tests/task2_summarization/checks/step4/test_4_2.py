"""4-2의 검사: 토큰 번호에서 점수까지.

3단계의 두 함수에는 옳은 것을 대신 둡니다. 3-2와 3-3이 비어 있거나 틀려도 검사됩니다.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from transformers import EvalPrediction

from course.checks.recognising import Wrong, explained, recognise, require_value, when
from course.checks.side_effects import no_side_effects
from course.checks.words import close, fail, todo
from tests.task2_summarization.checks import support
from tests.task2_summarization.checks.step3.common import KEYS, overlap
from tests.task2_summarization.checks.step4.common import new_trainer

IDEA = "토큰 번호를 점수로"
ATOL = 1e-6
IGNORED = -100
NAMES = (*KEYS, "rouge_sum", "rouge_combined_f1")
# 길이가 저마다 다르고, 어느 것도 참조와 똑같지 않습니다. 하나는 라벨의 어느 것보다도 길고, 하나는 비어 있습니다.
# 예측과 참조를 저마다 늘어놓으면(sorted) 다른 짝이 됩니다.
WRITTEN = [
    "네 시의 회의에 #Person2#는 자료를 가져옵니다.",
    "기차가 늦어 회의를 미룹니다. #Person3#",
    "",
    "비가 오는 날 #Person1#은 우산을 챙기고, #Person2#는 회의에 늦습니다. 기차가 늦어 자료는 네 시에 시작합니다.",
]
ANSWERS = [
    "#Person2#는 세 시의 회의에 자료를 챙깁니다.",
    "#Person3#의 기차가 늦어 회의를 네 시로 미룹니다.",
    "#Person1#은 우산을 챙깁니다.",
    "회의는 세 시에 시작합니다.",
]
Texts = tuple[list[str], list[str]]  # 예측들과 참조들


def pieces(text: str) -> list[str]:
    """글자마다 한 조각. 줄바꿈까지 세므로, 글에 무엇이 끼어들어도 점수가 달라집니다."""
    return list(text)


class Scoring:
    """학생의 3-3 자리에 대신 두는 것. 무엇과 무엇을 견주었는지 적어 둡니다.

    Attributes:
        calls: 부를 때마다의 (예측들, 참조들).
        other_pieces: 음절이 아닌 조각으로 세라고 했는가.
    """

    def __init__(self) -> None:
        self.calls: list[Texts] = []
        self.other_pieces = False

    def __call__(self, predictions: Sequence[str], references: Sequence[str], tokenizer: Any = "syllable") -> dict:
        given = [side if isinstance(side, str) else list(side) for side in (predictions, references)]
        for side in given:
            if isinstance(side, str) or not all(isinstance(one, str) for one in side):
                shown = {
                    "expected": "글의 목록 둘",
                    "got": "글 하나" if isinstance(side, str) else "글이 아닌 것의 목록",
                }
                if is_ids(side):
                    fail(idea=IDEA, symptom="not-decoded", **{**shown, "got": "토큰 번호"})
                fail("compute_rouge에 글의 목록이 아닌 것을 건넸습니다.", idea=IDEA, **shown)
        self.calls.append((given[0], given[1]))
        self.other_pieces |= getattr(tokenizer, "name", tokenizer) != "syllable"
        return rouge(*given, getattr(tokenizer, "tokenize", str.split) if self.other_pieces else pieces)


def is_one_text_of_all(text: str) -> bool:
    """모든 예측의 번호를 한 줄로 이어 되돌린 글인가."""
    rows = table(WRITTEN, 1)
    return "".join(text.split()) == "".join(
        support.tokenizer().decode(rows[rows >= 0], skip_special_tokens=True).split()
    )


def is_ids(side: Any) -> bool:
    """토큰 번호들, 또는 그것들의 목록인가."""
    numbers = np.asarray(side) if not isinstance(side, str) and len({np.shape(one) for one in side}) == 1 else None
    return numbers is not None and np.issubdtype(numbers.dtype, np.integer)


def rouge(predictions: Sequence[str], references: Sequence[str], cut: Any = pieces) -> dict[str, float]:
    pairs = [(cut(one), cut(other)) for one, other in zip(references, predictions, strict=True)]
    scores = {key: sum(overlap(key, *pair).fmeasure for pair in pairs) / max(1, len(pairs)) for key in KEYS}
    scores["rouge_sum"] = sum(scores[key] for key in KEYS)
    scores["rouge_combined_f1"] = scores["rouge_sum"] / len(KEYS)
    return scores


def decode(tokenizer: Any, ids: torch.Tensor) -> list[str]:
    """학생의 3-2 자리에 대신 두는 것."""
    if isinstance(ids, torch.Tensor) and ids.dtype not in (torch.int32, torch.int64):
        fail(idea="자료형", symptom="other-dtype", expected="int64", got=str(ids.dtype).removeprefix("torch."))
    filled = ids.masked_fill(ids == IGNORED, support.PAD)
    if ids.dim() == 1 and any(np.array_equal(ids, rows.argmax(-1)) for rows in (table(WRITTEN, 1), table(ANSWERS, 1))):
        shown = {"expected": "(예문, 길이)의 번호", "got": f"모양 {tuple(ids.shape)}"}
        fail(idea="번호와 로짓", symptom="argmax-of-ids", **shown)
    decode.flat |= ids.dim() == 1
    return [text.strip() for text in tokenizer.batch_decode(filled, skip_special_tokens=True)]


decode.flat = False  # 축이 하나인 번호를 되돌렸는가


def table(texts: Sequence[str], extra: int) -> np.ndarray:
    """글들의 번호, (글, 가장 긴 길이 + extra). 짧은 것의 끝은 -100이고, 첫 글에는 시작 토큰이 없습니다."""
    rows = [support.encoded(text) for text in texts]
    rows[0] = rows[0][1:]
    width = max(map(len, rows)) + extra
    return np.array([row + [IGNORED] * (width - len(row)) for row in rows])


class Scored:
    """학생의 함수가 낸 점수와, 그때 견준 글들."""

    def __init__(self, step: Any, written: Sequence[str], answers: Sequence[str], prompt: int = 0) -> None:
        """`prompt`는 디코더뿐인 모델이 읽은 토큰의 수. 라벨에서 그 자리는 -100입니다. 0이면 인코더-디코더입니다."""
        self.scoring = Scoring()
        predictions, labels = table(written, 1), table(answers, 2)
        labels = np.pad(labels, ((0, 0), (prompt, 0)), constant_values=IGNORED)
        decode.flat = False
        given = {"predictions": torch.from_numpy(predictions), "labels": torch.from_numpy(labels)}  # 같은 메모리
        with pytest.MonkeyPatch.context() as patch, explained(*KNOWN), no_side_effects(inputs=given):
            for place in (step, sys.modules["step3_rouge_metrics"]):  # 자리 안에서 3단계를 다시 불러와도
                patch.setattr(place, "decode", decode)
                patch.setattr(place, "compute_rouge", self.scoring)
            got = new_trainer(step, decoder_only=prompt > 0).compute_metrics(EvalPrediction(predictions, labels))
        self.scores = require_scores(require_value(got, "scores"))


KNOWN = (
    when(
        "OverflowError|out of range integral|can't convert negative int",
        "minus-in-vocabulary",
        idea="-100",
        expected="채움 토큰",
        got="-100",
    ),
    when(
        "ndarray' object has no attribute 'masked_fill'",
        "numpy-given",
        idea="NumPy와 텐서",
        expected="텐서",
        got="NumPy 배열",
    ),
)


@pytest.fixture
def score(load):
    """`score(예측, 참조)`: 학생의 함수가 낸 점수."""
    step = load(4)
    return lambda written=WRITTEN, answers=ANSWERS, **more: Scored(step, written, answers, **more)


def require_scores(got: Any) -> dict[str, float]:
    if isinstance(got, list) and got and all(isinstance(one, dict) for one in got):
        message = "scores에 짝마다의 점수의 목록이 담겼습니다. compute_rouge에 글의 목록 둘을 건네면 평균까지 냅니다."
        fail(message, idea=IDEA, expected="딕셔너리 하나", got=f"딕셔너리 {len(got)}개의 목록")
    if not isinstance(got, dict):
        fail("scores가 딕셔너리가 아닙니다.", idea=IDEA, expected="dict", got=type(got).__name__)
    if any(name.startswith("eval_") for name in got):
        fail(idea="이름", expected="rouge_sum", got="eval_rouge_sum", symptom="prefixed")
    missing = [name for name in NAMES if name not in got]
    if missing:
        found = ", ".join(map(str, got)) or "없음"
        fail(idea="이름", expected=", ".join(NAMES), got=found, symptom="missing-key", name=missing[0])
    return {name: float(got[name]) for name in NAMES}


def values(written: Sequence[str], answers: Sequence[str], cut: Any = pieces) -> list[float]:
    scores = rouge(written, answers, cut)
    return [scores[name] for name in NAMES]


def restored(texts: Sequence[str]) -> list[str]:
    """번호로 바꾸었다가 되돌린 글들. 어휘에 없는 글자는 사라집니다."""
    return [support.tokenizer().decode(support.encoded(text), skip_special_tokens=True).strip() for text in texts]


def zeroed(texts: Sequence[str], extra: int) -> list[str]:
    """채운 자리를 0번 토큰으로 바꾸어 되돌린 글들."""
    rows = table(texts, extra).clip(0)
    return [support.tokenizer().decode(row.tolist(), skip_special_tokens=True) for row in rows]


def with_special(texts: Sequence[str], extra: int) -> list[str]:
    """특수 토큰을 지우지 않고 되돌린 글들."""
    rows = torch.from_numpy(table(texts, extra))
    return support.tokenizer().batch_decode(rows.masked_fill(rows == IGNORED, support.PAD))


def wrong_texts() -> list[tuple[str, Texts]]:
    """흔한 실수를 했을 때 compute_rouge가 받는 글들."""
    written, answers = restored(WRITTEN), restored(ANSWERS)
    full = [place for place, one in enumerate(written) if one]
    zeros = zeroed(WRITTEN, 1), zeroed(ANSWERS, 2)
    return [
        ("answers-twice", (answers, answers)),
        ("answers-twice", (written, written)),
        ("first-only", (written[:1], answers[:1])),
        ("last-only", (written[-1:], answers[-1:])),
        *[("joined", ([mark.join(written)], [mark.join(answers)])) for mark in (" ", "\n", "")],
        ("empty-dropped", ([written[place] for place in full], [answers[place] for place in full])),
        ("clipped-to-zero", zeros),
        ("clipped-to-zero", (zeros[0], answers)),
        ("clipped-to-zero", (written, zeros[1])),
    ]


def name_the_texts(given: Texts) -> None:
    """견준 글이 되돌린 글과 다르면, 무엇이 다른지 말합니다."""
    rights = restored(WRITTEN), restored(ANSWERS)
    for side, (texts, right) in enumerate(zip(given, rights, strict=True)):
        came = [one.strip() for one in texts]
        if came == right or came == rights[1 - side] or len(came) != len(right):
            continue
        place = next(place for place, one in enumerate(right) if came[place] != one)
        about = {"idea": IDEA, "expected": repr(right[place][-40:]), "got": repr(came[place][-40:])}
        if came == [one.strip() for one in with_special((WRITTEN, ANSWERS)[side], side + 1)]:
            fail(symptom="special-kept", **about)
        if sorted(came) == sorted(right):
            fail(symptom="order-lost", **about)
        if any(came) and all(whole.endswith(one) for one, whole in zip(came, right, strict=True)):
            fail(symptom="front-cut", **{**about, "expected": repr(right[place][:40]), "got": repr(came[place][:40])})
        if any(came) and all(whole.startswith(one) for one, whole in zip(came, right, strict=True)):
            fail(symptom="cut-short", **about)
        fail(symptom="texts-changed", **about)


def wrong_values() -> Wrong:
    written, answers = restored(WRITTEN), restored(ANSWERS)
    right = values(written, answers)
    return [
        *[(symptom, values(*texts)) for symptom, texts in wrong_texts()],
        *[("rounded", [round(one, digits) for one in right]) for digits in (2, 3, 4, 5)],
        *[("percent", [round(100 * one, digits) for one in right]) for digits in (1, 2, 9)],
    ]


def shown_as(numbers: Sequence[float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in zip(NAMES[:4], numbers, strict=False))


def require_alike_without_an_encoder(scored: Scored, alike: Scored) -> None:
    """디코더뿐인 모델의 예측에도 새로 쓴 것만 있습니다. 라벨의 앞에는 앞글의 자리(-100)가 있습니다."""
    if alike.scores == scored.scores:
        return
    if len(alike.scoring.calls) == 1:
        name_the_texts(alike.scoring.calls[0])
    message = "디코더뿐인 모델(decoder_only)일 때의 점수가 되돌린 글의 ROUGE와 다릅니다."
    want, got = (shown_as(list(one.scores.values())) for one in (scored, alike))
    fail(message, idea=IDEA, expected=want, got=got)


@todo("4-2")
def test_the_scores_are_those_of_the_texts(score):
    """번호를 글로 되돌린 것의 ROUGE입니다. 채운 자리(-100)는 세지 않습니다."""
    scored = score()
    got, want = list(scored.scores.values()), values(restored(WRITTEN), restored(ANSWERS))
    if not close(got, want, ATOL):
        shown = {"expected": shown_as(want), "got": shown_as(got)}
        calls = scored.scoring.calls
        if not calls:
            fail(idea=IDEA, symptom="own-scores", **shown)
        if len(calls) == 1 and len(calls[0][0]) == 1 and decode.flat:
            fail(idea=IDEA, symptom="flattened", expected=f"글 {len(WRITTEN)}개", got="글 1개")
        if scored.scoring.other_pieces:
            fail(idea=IDEA, symptom="other-pieces", **shown)
        recognise(got, wrong_values(), atol=ATOL, idea=IDEA, expected=shown["expected"], shown=shown["got"])
        if len(calls) == 1 and len(calls[0][0]) == 1 and is_one_text_of_all(calls[0][0][0]):
            fail(idea=IDEA, symptom="flattened", expected=f"글 {len(WRITTEN)}개", got="글 1개")
        if len(calls) == 1:
            name_the_texts(calls[0])
        fail("점수가 되돌린 글의 ROUGE와 다릅니다.", idea=IDEA, **shown)
    require_alike_without_an_encoder(scored, score(prompt=3))


@todo("4-2")
def test_what_is_written_well_scores_full(score):
    """참조와 똑같이 쓴 요약은 만점입니다. 태그도 글의 일부입니다."""
    got = score(ANSWERS, ANSWERS).scores["rouge_sum"]
    if not close(got, 3.0, ATOL):
        fail("참조와 똑같은 요약의 점수가 만점이 아닙니다.", idea=IDEA, expected="3.0000", got=f"{got:.4f}")
