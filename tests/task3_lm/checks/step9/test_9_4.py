"""9-4의 검사: 추측 디코딩의 받아들이기."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from course.checks.recognising import Wrong, explained, recognise, require_shape, require_tensor, sound, when
from course.checks.side_effects import no_side_effects, on_one_device
from course.checks.words import assert_close, assert_equal, close, fail, show, todo

GUESSES, VOCAB, ROUNDS = 6, 11, 40
ATOL = 1e-4  # 확률이라 1보다 작고, 나눗셈과 뺄셈뿐이라 차이는 1e-7쯤입니다.
FAR = 0.03  # 난수가 받아들일 확률에서 이보다는 떨어져 있습니다.


@dataclass(frozen=True)
class Round:
    """추측 한 번. `ratio`는 토큰마다의 (큰 모델의 확률 / 작은 모델의 확률)입니다."""

    target: torch.Tensor
    draft: torch.Tensor
    tokens: torch.Tensor
    uniform: torch.Tensor

    @property
    def shares(self) -> tuple[torch.Tensor, torch.Tensor]:
        """추측한 토큰들의 확률: 큰 모델의 것과 작은 모델의 것."""
        at = self.tokens[:, None]
        return self.target[:-1].gather(1, at)[:, 0], self.draft.gather(1, at)[:, 0]

    @property
    def ratio(self) -> torch.Tensor:
        large, small = self.shares
        return large / small

    @property
    def kept(self) -> int:
        return until_refused(self.uniform[:-1] < self.ratio)

    @property
    def rest(self) -> torch.Tensor:
        kept = self.kept
        return self.target[-1] if kept == len(self.tokens) else share(self.target[kept] - self.draft[kept])


def until_refused(accepted: torch.Tensor) -> int:
    """처음으로 거절하기 전까지의 수."""
    return next((i for i, one in enumerate(accepted.tolist()) if not one), len(accepted))


def share(surplus: torch.Tensor) -> torch.Tensor:
    """양수인 것들에 비례하는 분포."""
    positive = torch.where(surplus > 0, surplus, torch.zeros_like(surplus))
    return positive / positive.sum()


def drawn_rounds(device: str, guesses: int = GUESSES, vocab: int = VOCAB, count: int = ROUNDS) -> list[Round]:
    """닮은 두 모델의 추측들. 난수가 받아들일 확률에 너무 가까운 것은 버립니다."""
    generator = torch.Generator().manual_seed(5)
    made: list[Round] = []
    while len(made) < count:
        scores = 1.3 * torch.randn(guesses + 1, vocab, generator=generator)
        draft = (scores[:-1] + 0.6 * torch.randn(guesses, vocab, generator=generator)).softmax(-1)
        tokens = torch.multinomial(draft, 1, generator=generator)[:, 0]
        uniform = torch.rand(guesses + 1, generator=generator)
        one = Round(scores.softmax(-1), draft, tokens, uniform)
        if (one.uniform[:-1] - one.ratio).abs().min() > FAR:
            made.append(Round(*(part.to(device) for part in (one.target, draft, tokens, uniform))))
    return made


def wrong_counts(rounds: list[Round]) -> Wrong:
    """헷갈리기 쉬운 규칙마다, 추측들에서 받아들인 수."""

    def counted(rule: Callable[[Round], Any]) -> list[int]:
        made = [rule(one) for one in rounds]
        return [one if isinstance(one, int) else until_refused(one) for one in made]

    yield "target-only", counted(lambda one: one.uniform[:-1] < one.shares[0])
    yield "draft-only", counted(lambda one: one.uniform[:-1] < one.shares[1])
    yield "upside-down", counted(lambda one: one.uniform[:-1] < 1 / one.ratio)
    yield "flipped", counted(lambda one: one.uniform[:-1] > one.ratio)
    yield "flipped", counted(lambda one: one.uniform[:-1] > one.ratio.clamp(max=1))
    yield "no-chance", counted(lambda one: one.ratio >= 1)
    yield "no-chance", counted(lambda one: one.target[:-1].argmax(-1) == one.tokens)
    yield "no-chance", counted(lambda one: one.draft.argmax(-1) == one.tokens)
    yield "no-chance", counted(lambda one: one.ratio > 0.5)
    yield "never-refuses", counted(lambda one: len(one.tokens))
    yield "counts-all", counted(lambda one: int((one.uniform[:-1] < one.ratio).sum()))
    yield (
        "counts-all",
        counted(lambda one: len(one.tokens) - until_refused(one.uniform[:-1].flip(0) >= one.ratio.flip(0))),
    )
    yield "joint", counted(lambda one: one.uniform[:-1] < one.ratio.cumprod(0))
    yield "joint", counted(lambda one: one.uniform[:-1] < one.ratio.clamp(max=1).cumprod(0))
    yield "last-guess", counted(lambda one: min(one.kept, len(one.tokens) - 1))
    yield "off-by-one", counted(lambda one: one.kept + 1)
    yield "off-by-one", counted(lambda one: min(one.kept + 1, len(one.tokens)))
    yield "off-by-one", counted(lambda one: one.kept - 1)
    yield "off-by-one", counted(lambda one: max(one.kept - 1, 0))
    for at in (0, -1):
        yield "other-number", counted(lambda one, at=at: one.uniform[at] < one.ratio)
    yield "other-number", counted(lambda one: one.uniform[1:] < one.ratio)
    yield (
        "next-row",
        counted(lambda one: one.uniform[:-1] < one.target[1:].gather(1, one.tokens[:, None])[:, 0] / one.shares[1]),
    )


def wrong_rests(rounds: list[Round]) -> Wrong:
    """헷갈리기 쉬운 분포들. 거절한 자리의 것입니다."""

    def stacked(rule: Callable[[Round], torch.Tensor]) -> torch.Tensor:
        return torch.stack([rule(one) for one in rounds])

    def surplus(one: Round) -> torch.Tensor:
        return one.target[one.kept] - one.draft[one.kept]

    def without_token(one: Round) -> torch.Tensor:
        left = one.target[one.kept].clone()
        left[one.tokens[one.kept]] = 0
        return left

    yield "target-again", stacked(lambda one: one.target[one.kept])
    yield "draft-again", stacked(lambda one: one.draft[one.kept])
    yield "not-shared", stacked(lambda one: surplus(one).clamp(min=0))
    yield "negative", stacked(surplus)
    yield "absolute", stacked(lambda one: surplus(one).abs() / surplus(one).abs().sum())
    yield "absolute", stacked(lambda one: surplus(one).abs())
    yield "reversed", stacked(lambda one: share(-surplus(one)))
    yield "reversed", stacked(lambda one: (-surplus(one)).clamp(min=0))
    yield "softmax", stacked(lambda one: surplus(one).softmax(-1))
    yield "softmax", stacked(lambda one: surplus(one).clamp(min=0).softmax(-1))
    yield "without-token", stacked(without_token)
    yield "without-token", stacked(lambda one: without_token(one) / without_token(one).sum())
    yield "last-row", stacked(lambda one: one.target[-1])
    for row in (1, -1):
        yield "other-row", stacked(lambda one, row=row: share(one.target[one.kept + row] - one.draft[one.kept]))
        yield "other-row", stacked(lambda one, row=row: one.target[one.kept + row])
    yield "other-row", stacked(lambda one: share(one.target[one.kept - 1] - one.draft[one.kept - 1]))


def wrong_bonuses(rounds: list[Round]) -> Wrong:
    """모두 받아들인 다음의, 헷갈리기 쉬운 분포들."""
    yield "bonus-subtracted", torch.stack([share(one.target[-1] - one.draft[-1]) for one in rounds])
    yield "bonus-subtracted", torch.stack([share(one.target[-2] - one.draft[-1]) for one in rounds])
    yield "bonus-row", torch.stack([one.target[-2] for one in rounds])
    yield "bonus-row", torch.stack([one.draft[-1] for one in rounds])


@pytest.fixture(scope="module")
def rounds(device):
    return drawn_rounds(device)


def accept(load: Any, one: Round) -> tuple[int, torch.Tensor]:
    """학생의 (받아들인 수, 다음 토큰의 분포)."""
    module, guesses = load(9), len(one.tokens)
    given = {name: getattr(one, name).clone() for name in ("target", "draft", "tokens", "uniform")}
    past = rf"index {guesses} is out of bounds for dimension 0 with size {guesses}"
    lengths = "only one element tensors can be converted|a Tensor with \\d+ elements cannot be converted to Scalar"
    with (
        explained(
            when(past, "past-the-guesses", idea="모두 받아들였을 때", expected=f"추측 {guesses}개까지"),
            when(lengths, "kept-not-a-number", idea="받아들인 수", expected="수 하나"),
        ),
        no_side_effects(inputs=given, random_state=True),
        on_one_device("target과 같은 장치"),
    ):
        kept, rest, _ = module.accept_drafts(**given)
    require_tensor(rest, "rest")
    vocab = one.target.size(1)
    wrong = {(guesses, vocab): "whole-table", (guesses + 1, vocab): "whole-table"}
    require_shape(rest, (vocab,), idea="다음 토큰의 분포", what="rest", wrong=wrong)
    return kept, rest


def require_count(load: Any, rounds: list[Round]) -> None:
    got, want = [accept(load, one)[0] for one in rounds], [one.kept for one in rounds]
    if got != want:
        at = next(i for i, pair in enumerate(zip(got, want, strict=True)) if pair[0] != pair[1])
        expected, came = f"{want[at]}개", f"{got[at]}개"
        ratio, uniform = show(rounds[at].ratio.clamp(max=1)), show(rounds[at].uniform[:-1])
        wrong, idea = wrong_counts(rounds), "받아들이기"
        recognise(got, wrong, idea=idea, expected=expected, shown=came, ratio=ratio, uniform=uniform)
        about = f"받아들일 확률이 {ratio}이고 난수가 {uniform}일 때 받아들인 수가 다릅니다."
        fail(about, idea=idea, expected=expected, got=came)


def rests(load: Any, rounds: list[Round]) -> torch.Tensor | None:
    """학생의 분포들. 받아들인 수가 틀렸으면 첫 검사가 말하므로 None입니다."""
    made = [accept(load, one) for one in rounds]
    right = all(kept == one.kept for (kept, _), one in zip(made, rounds, strict=True))
    return torch.stack([rest for _, rest in made]) if right else None


@todo("9-4")
def test_guesses_are_kept_until_the_first_refusal(load, rounds):
    """앞에서부터, 난수가 두 확률의 비율보다 작은 동안 받아들입니다."""
    require_count(load, rounds)


@todo("9-4")
def test_a_refused_place_is_drawn_from_what_the_target_has_more_of(load, rounds):
    """거절한 자리의 분포는 큰 모델의 확률이 더 큰 만큼에 비례합니다."""
    refused = [one for one in rounds if one.kept < len(one.tokens)]
    got, want = rests(load, refused), torch.stack([one.rest for one in refused])
    if got is not None and not close(got, want, ATOL):
        recognise(got, wrong_rests(refused), atol=ATOL, idea="남은 분포", expected=want[0], shown=got[0])
        about = f"거절한 자리의 분포가 기대와 다릅니다. 합은 {show(float(got[0].sum()))}입니다."
        assert_close(got, want, atol=ATOL, idea="남은 분포", message=about)


@todo("9-4")
def test_one_more_is_drawn_when_all_are_kept(load, rounds):
    """모두 받아들였으면 큰 모델의 마지막 확률 그대로입니다."""
    whole = [one for one in rounds if one.kept == len(one.tokens)]
    got, want = rests(load, whole), torch.stack([one.rest for one in whole])
    if got is not None and not close(got, want, ATOL):
        recognise(got, wrong_bonuses(whole), atol=ATOL, idea="하나 더", expected=want[0], shown=got[0])
        assert_close(got, want, atol=ATOL, idea="하나 더", message="모두 받아들인 다음의 분포가 기대와 다릅니다.")


@todo("9-4")
@pytest.mark.parametrize(("guesses", "vocab"), [(1, 5), (9, 4)])
def test_any_number_of_guesses(load, device, rounds, guesses, vocab):
    """추측이 하나뿐이어도, 어휘보다 많아도 됩니다."""
    if not sound(lambda: rests(load, rounds) is not None):  # 추측이 적으면 서로 다른 실수의 수가 같기도 합니다.
        return
    others = drawn_rounds(device, guesses, vocab, count=12)
    counts = [accept(load, one)[0] for one in others]
    about = f"추측이 {guesses}개일 때 받아들인 수가 다릅니다."
    assert_equal(counts, [one.kept for one in others], idea="받아들이기", message=about)
    got, want = rests(load, others), torch.stack([one.rest for one in others])
    assert_close(got, want, atol=ATOL, idea="남은 분포", message=f"추측이 {guesses}개일 때의 분포가 다릅니다.")
