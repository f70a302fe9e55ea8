"""1-6의 검사: 새 토큰의 임베딩.

모델은 둘입니다. 하나는 행이 모자라 늘어나고, 하나는 어휘보다 행이 많아 늘어나지 않으며 출력층이 입력 임베딩과 따로
있습니다(허브의 mT5가 그렇습니다).
둘째 것에서는 태그 하나를 토크나이저가 이미 알고 있습니다: 우리가 저장한 모델에서 다시 배울 때가 그렇습니다.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from course.checks.recognising import Wrong, explained, recognise, when
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_close, assert_equal, close, deviation, fail, matches, todo
from tests.task2_summarization.checks import models, support
from tests.task2_summarization.checks.step1.common import NEW_TAGS, new_tokenizer, pieces_of, registered

IDEA = "임베딩의 처음 값"
ATOL = 1e-4
SPARE_ROWS = 17  # 어휘보다 많은 행
KINDS = ("kobart", "kogpt2")  # 늘어나는 모델, 행이 남는 모델
TAGS = {
    "kobart": NEW_TAGS,
    "kogpt2": [NEW_TAGS[0], support.TAGS[1], *NEW_TAGS[1:]],
}  # 이미 아는 것은 조각이 저 하나입니다.


@dataclass
class Trial:
    """학생의 함수를 한 번 부른 것.

    Attributes:
        pieces: 태그 → 조각들의 번호. 학생에게 건넨 것의 사본입니다.
        ids: 태그의 번호들.
        before: 늘린 다음, 채우기 전의 행들. (어휘, 차원)
        after: 부른 뒤의 행들.
        heads: 출력층의 행들. 부르기 앞과 뒤.
        words: 어휘의 크기. 행은 이보다 많을 수 있습니다.
    """

    model: Any
    pieces: dict[str, list[int]]
    given: dict[str, list[int]]
    ids: list[int]
    before: Tensor
    after: Tensor
    heads: tuple[Tensor, Tensor]
    words: int

    @property
    def want(self) -> Tensor:
        """태그들의 옳은 행, (태그, 차원)."""
        return torch.stack([sum(self.before[one] for one in ids) / len(ids) for ids in self.pieces.values()])

    @property
    def got(self) -> Tensor:
        return self.after[self.ids]

    @property
    def old(self) -> list[int]:
        """태그의 것이 아닌 행들의 번호."""
        return [row for row in range(len(self.before)) if row not in self.ids]


@pytest.fixture(scope="module")
def trials(load) -> dict[str, Trial]:
    return {}


@pytest.fixture
def attempt(load, trials):
    """그 모델로 학생의 함수를 부릅니다. 모델마다 한 번만 부릅니다."""
    step = load(1)

    def tried(kind: str) -> Trial:
        if kind not in trials:
            trials[kind] = call(step, kind)
        return trials[kind]

    return tried


def call(step: Any, kind: str) -> Trial:
    tokenizer = new_tokenizer()
    rows = len(tokenizer) + (SPARE_ROWS if kind == "kogpt2" else 0)
    model = models.model(kind, rows)
    if kind == "kogpt2":
        untie(model)
    tokenizer = registered(tokenizer, TAGS[kind])
    grown: list[Tensor] = []
    resize = step.resize_embedding_rows

    def growing(one: Any, size: int) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(43)  # 새 행의 난수
            resize(one, size)
        grown.append(one.get_input_embeddings().weight.detach().clone())

    given = pieces_of(TAGS[kind])
    head = model.get_output_embeddings().weight.detach().clone()
    known = (
        when(
            "shape mismatch|expanded size|size of tensor|must match", "other-axis", idea="평균의 축", expected="(차원,)"
        ),
        when(
            r"invalid literal for int.*'#'",
            "text-for-number",
            idea="태그의 번호",
            expected="태그의 번호",
            got="태그의 글",
        ),
    )
    with pytest.MonkeyPatch.context() as patch, explained(*known):
        patch.setattr(step, "resize_embedding_rows", growing)
        with no_side_effects(random_state=True):
            step.resize_embeddings(model, tokenizer, given)
    after = model.get_input_embeddings().weight.detach()
    ids = tokenizer.convert_tokens_to_ids(TAGS[kind])
    heads = head, model.get_output_embeddings().weight.detach()
    return Trial(model, pieces_of(TAGS[kind]), given, ids, grown[-1], after, heads, len(tokenizer))


def untie(model: Any) -> None:
    """출력층에 입력 임베딩과 다른 가중치를 둡니다."""
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().flip(0))


SOME = (  # 조각의 일부를 고르는 법. 하나뿐인 조각은 그대로 둡니다.
    lambda rows: rows[1:] if len(rows) > 1 else rows,
    lambda rows: rows[:-1] if len(rows) > 1 else rows,
    lambda rows: rows[1:-1] if len(rows) > 2 else rows,
    lambda rows: torch.unique(rows, dim=0),
    lambda rows: rows[[0, -1]],
)
SUMMARIES = (  # 평균이 아닌 것으로 모으는 법
    lambda rows: rows.amax(dim=0),
    lambda rows: rows.amin(dim=0),
    lambda rows: rows.median(dim=0).values,
    lambda rows: torch.nn.functional.normalize(rows.mean(dim=0), dim=0),
)


def wrong_rows(trial: Trial) -> Wrong:
    """흔한 실수를 했을 때 태그들의 행, (태그, 차원)."""
    rows = [trial.before[ids] for ids in trial.pieces.values()]  # 태그마다 (조각, 차원)
    every = torch.cat(rows).mean(dim=0)
    left = trial.before[trial.ids]
    alone = [torch.cat([left[:at], trial.want[at : at + 1], left[at + 1 :]]) for at in range(len(rows))]
    wholes = (trial.before, trial.before[: trial.ids[0]])
    return [
        ("left", left),
        *[("one-tag", one) for one in alone if not torch.equal(one, left)],
        ("mean-of-all", one_after_another(trial)),
        *[("mean-of-all", whole.mean(dim=0).expand_as(trial.want)) for whole in wholes],
        ("same-row", every.expand_as(trial.want)),
        ("same-row", torch.stack([rows[-1].mean(dim=0)] * len(rows))),
        ("same-row", torch.stack([rows[0].mean(dim=0)] * len(rows))),
        ("halves", torch.stack([halves(one[1:], one[0]) for one in rows])),
        ("halves", torch.stack([halves(one, torch.zeros_like(one[0])) for one in rows])),
        ("halves", torch.stack([halves(one, old) for one, old in zip(rows, left, strict=True)])),
        ("other-divisor", torch.stack([one.sum(dim=0) / len(rows) for one in rows])),
        *[
            ("nearly-divided", torch.stack([one.sum(dim=0) / (len(one) + more) for one in rows]))
            for more in (1, -1)
            if all(len(one) + more for one in rows)
        ],
        ("added-on", left + trial.want),
        ("sum", torch.stack([one.sum(dim=0) for one in rows])),
        ("one-piece", torch.stack([one[0] for one in rows])),
        ("one-piece", torch.stack([one[-1] for one in rows])),
        *[("some-pieces", torch.stack([some(one).mean(dim=0) for one in rows])) for some in SOME],
        *[("other-summary", torch.stack([summary(one) for one in rows])) for summary in SUMMARIES],
        ("one-number", torch.stack([one.mean().expand_as(one[0]) for one in rows])),
        ("zeros", torch.zeros_like(trial.want)),
        *[("other-token", trial.before[one].expand_as(left)) for one in support.SPECIAL],
        ("others-pieces", torch.stack([torch.cat(rows[: at + 1]).mean(dim=0) for at in range(len(rows))])),
        ("same-row", trial.got[:1].expand_as(trial.want)),  # 무엇으로 채웠든
    ]


def halves(rows: Tensor, start: Tensor) -> Tensor:
    """`start`에서 시작해, 앞에서 얻은 것과 다음 행을 반씩 섞어 간 것."""
    for row in rows:
        start = (start + row) / 2
    return start


def summed_in_place(trial: Trial) -> list[Tensor]:
    """첫 조각의 행(뷰)에 나머지를 더해 모든 행이 어떻게 되는지. 나누는 것도 그 자리에서 했거나, 나눈 것만 적었거나."""
    made = []
    for divides in (False, True):
        rows = trial.before.clone()
        for number, ids in zip(trial.ids, trial.pieces.values(), strict=True):
            for piece in ids[1:]:
                rows[ids[0]] += rows[piece]
            if divides:
                rows[ids[0]] /= len(ids)
            rows[number] = rows[ids[0]] / (1 if divides else len(ids))
        made.append(rows)
    return made


def one_after_another(trial: Trial) -> Tensor:
    """모든 행의 평균을 차례로 적은 것. 앞에 적은 행이 다음 평균에 들어갑니다."""
    rows = trial.before.clone()
    for number in trial.ids:
        rows[number] = rows.mean(dim=0)
    return rows[trial.ids]


@todo("1-6")
@pytest.mark.parametrize("kind", KINDS, ids=["늘어나는 모델", "행이 남는 모델"])
def test_a_tags_row_is_the_mean_of_its_pieces(attempt, kind):
    """태그의 행은 등록하기 전에 나뉘던 조각들의 행의 평균입니다."""
    trial = attempt(kind)
    require_rows(trial)
    if close(trial.got, trial.want, ATOL):
        return
    expected, shown = "조각들의 평균", f"가장 큰 차이 {deviation(trial.got, trial.want):.3g}"
    require_place(trial)
    if any(matches(trial.after, one, ATOL) for one in summed_in_place(trial)):
        firsts = len({ids[0] for ids in trial.pieces.values() if len(ids) > 1})
        said = {"expected": "조각의 행은 그대로", "got": f"조각의 행 {firsts}개가 달라짐"}
        fail(idea="뷰", symptom="summed-in-place", **said)
    recognise(trial.got, wrong_rows(trial), atol=ATOL, idea=IDEA, expected=expected, shown=shown, tag=NEW_TAGS[0])
    message = "태그의 행이 조각들의 행의 평균이 아닙니다."
    assert_close(trial.got, trial.want, atol=ATOL, idea=IDEA, message=message)


def require_rows(trial: Trial) -> None:
    """행의 수가 늘린 그대로인지 봅니다."""
    if trial.after.shape != trial.before.shape:
        got, want = tuple(trial.after.shape), tuple(trial.before.shape)
        fail("임베딩의 모양이 달라졌습니다.", idea="임베딩", expected=want, got=got)


def require_place(trial: Trial) -> None:
    """옳은 행을 다른 자리에 적었으면 그렇다고 말합니다."""
    expected = f"{numbered(trial.ids)}번 행"
    changed_head = trial.heads[0].shape == trial.heads[1].shape and not torch.equal(*trial.heads)
    if changed_head and matches(trial.after, trial.before, 1e-6):
        fail(idea="두 층", expected="입력 임베딩의 행", got="출력층의 행", symptom="output-only")
    for end in (len(trial.before), trial.words):
        rows = list(range(end - len(trial.ids), end))
        if rows != trial.ids and matches(trial.after, written(trial, rows), ATOL):
            fail(idea="태그의 번호", expected=expected, got=f"{numbered(rows)}번 행", symptom="from-the-end")
    for rows in ([one - 1 for one in trial.ids], [one + 1 for one in trial.ids], list(range(len(trial.ids)))):
        if max(rows) < len(trial.before) and matches(trial.after, written(trial, rows), ATOL):
            fail(idea="태그의 번호", expected=expected, got=f"{numbered(rows)}번 행", symptom="other-rows")
    changed = [row for row in trial.old if not matches(trial.after[row], trial.before[row], 1e-6)]
    pieces = sorted({one for ids in trial.pieces.values() for one in ids})
    if matches(trial.got, trial.before[trial.ids], 1e-6) and changed and set(changed) <= set(pieces):
        fail(idea="태그의 번호", expected=expected, got=f"조각의 행 {len(changed)}개", symptom="wrote-to-pieces")


def written(trial: Trial, rows: list[int]) -> Tensor:
    """조각들의 평균을 차례로 `rows`번 행에 적은 것."""
    made = trial.before.clone()
    for row, ids in zip(rows, trial.pieces.values(), strict=True):
        made[row] = made[ids].mean(dim=0)
    return made


def numbered(rows: list[int]) -> str:
    return ", ".join(map(str, rows))


@todo("1-6")
@pytest.mark.parametrize("kind", KINDS, ids=["늘어나는 모델", "행이 남는 모델"])
def test_the_other_rows_stay(attempt, kind):
    """사전학습이 배운 다른 토큰의 행은 그대로입니다."""
    trial = attempt(kind)
    require_rows(trial)
    old = trial.old
    if close(trial.after[old], trial.before[old], 1e-6) or not close(trial.got, trial.want, ATOL):
        return  # 태그의 행이 틀린 것은 앞의 검사가 말합니다.
    changed = [row for row in old if not close(trial.after[row], trial.before[row], 1e-6)]
    fail(idea="사전학습", expected="그대로", got=f"{len(changed)}개의 행", symptom="others-changed")


@todo("1-6")
@pytest.mark.parametrize("kind", KINDS, ids=["늘어나는 모델", "행이 남는 모델"])
def test_the_embedding_is_still_the_models_own(attempt, kind):
    """배울 수 있는 파라미터이고, 출력층과 하나로 묶인 채입니다. 건네받은 조각들도 그대로입니다."""
    trial = attempt(kind)
    weight = trial.model.get_input_embeddings().weight
    if not isinstance(weight, torch.nn.Parameter) or not weight.requires_grad:
        fail(
            "임베딩이 배울 수 없게 되었습니다.",
            idea="파라미터",
            expected="requires_grad=True",
            got=type(weight).__name__,
        )
    if weight.dtype != torch.float32:
        fail("임베딩의 자료형이 바뀌었습니다.", idea="정밀도", expected="torch.float32", got=weight.dtype)
    if trial.model.config.tie_word_embeddings and trial.model.get_output_embeddings().weight is not weight:
        fail(idea="묶인 가중치", expected="출력층과 같은 것", got="따로 있는 것", symptom="untied")
    assert_equal(trial.given, trial.pieces, idea="부작용", symptom="inputs-changed", name="pieces")
