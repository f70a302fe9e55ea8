"""5-4의 검사: 온도와 뽑기."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from course.checks.recognising import Wrong, recognise
from course.checks.side_effects import no_side_effects
from course.checks.words import CheckFailed, assert_equal, close, fail, matches, show, todo
from nlpbook.language.sampling import Sampling
from tests.task3_lm.checks.step5.common import brief, reference_penalty, reference_top_k, reference_top_p

DRAWS = 4000  # 글 둘을 이만큼씩. 비율의 표준편차는 0.008보다 작습니다.
DRAWN = 0.045  # 표준편차의 다섯 배 남짓. 아래의 헷갈리는 비율들은 서로 0.1 넘게 떨어져 있습니다.
SCORES = [[-0.7, 0.4, 0.0, -0.8, 0.6, -0.3, 0.7], [1.3, 2.6, -2.3, -2.6, -0.2, -0.4, 0.5]]


@pytest.fixture
def picking(step, device, monkeypatch):
    """앞의 세 TODO를 기준으로 바꾼 `pick`. 두 글의 점수를 DRAWS번씩 늘어놓은 것과, 한 번 뽑는 함수가 있습니다."""
    monkeypatch.setattr(step, "penalize_repetition", reference_penalty)
    swapped = {"idea": "거르는 수", "expected": "top_k와 top_p", "got": "top_p와 top_k", "symptom": "swapped-limits"}

    limits: set[float] = set()

    def keep_top_k(logits: Tensor, k: int) -> Tensor:
        limits.add(k)
        return reference_top_k(logits, k) if isinstance(k, int) else fail(**swapped)

    def keep_top_p(logits: Tensor, p: float) -> Tensor:
        limits.add(p)
        return reference_top_p(logits, p) if isinstance(p, float) else fail(**swapped)

    monkeypatch.setattr(step, "keep_top_k", keep_top_k)
    monkeypatch.setattr(step, "keep_top_p", keep_top_p)
    scores = torch.tensor(SCORES, device=device)

    def drawn(sampling: Sampling, logits: Tensor | None = None, seed: int = 3, generator: Any = None) -> Tensor:
        many = scores.repeat_interleave(DRAWS, dim=0) if logits is None else logits
        generator = generator or torch.Generator(device).manual_seed(seed)
        return tokens_of(step, many, torch.zeros_like(many, dtype=torch.bool), sampling, generator)

    return SimpleNamespace(step=step, scores=scores, drawn=drawn, limits=limits)


def tokens_of(step: Any, logits: Tensor, seen: Tensor, sampling: Sampling, generator: Any) -> Tensor:
    """고른 토큰 (글,). 모양과 자료형을 봅니다."""
    idea = "뽑기"
    marks = seen.clone()
    try:
        with no_side_effects(inputs={"seen": marks}):
            got = step.pick(logits.clone(), marks, sampling, generator)
    except RuntimeError as error:
        if "probability tensor" not in str(error):
            raise
        if sampling.temperature == 0:
            expected, got, symptom = "가장 높은 토큰", "NaN", "divided-by-zero"
        else:
            expected, got, symptom = "확률", "음수나 NaN, 무한대", "not-shares"
        fail(idea=idea, expected=expected, got=got, symptom=symptom)
    except ZeroDivisionError:
        fail(idea=idea, expected="가장 높은 토큰", got="ZeroDivisionError", symptom="divided-by-zero")
    if not isinstance(got, Tensor):
        kind = type(got).__name__
        fail(idea=idea, expected="텐서", got=kind, symptom="not-tensor")
    if got.shape == (len(logits), 1):
        more = {"expected": f"({len(logits)},)", "got": str(tuple(got.shape)), "symptom": "kept-axis"}
        fail(idea="토큰의 모양", **more)
    if len(logits) > 1 and got.numel() == 1:
        more = {"expected": f"({len(logits)},)", "got": str(tuple(got.shape)), "symptom": "one-token"}
        fail(idea="토큰의 모양", **more)
    assert_equal(tuple(got.shape), (len(logits),), idea="토큰의 모양", message="tokens의 모양이 (글,)가 아닙니다.")
    if got.is_floating_point():
        more = {"expected": "토큰의 번호(int64)", "got": str(got.dtype).removeprefix("torch."), "symptom": "not-ids"}
        fail(idea="토큰의 번호", **more)
    return got


@todo("5-4")
def test_zero_temperature_is_greedy(picking):
    """온도가 0이면 언제나 가장 높은 것을 고릅니다."""
    cold = Sampling(temperature=0, top_k=4, top_p=0.9, repetition_penalty=1.0)
    many = picking.scores.repeat(4, 1)
    want = many.max(dim=-1).indices
    for seed in range(3):
        got = picking.drawn(cold, many, seed)
        if not torch.equal(got, want):
            symptom = "lowest" if torch.equal(got, many.min(dim=-1).indices) else "cold-draws"
            first = int((got != want).nonzero()[0])
            more = {"expected": int(want[first]), "got": int(got[first]), "symptom": symptom}
            fail(idea="온도", **more)


@todo("5-4")
def test_penalty_still_counts(picking):
    """깎인 점수로 고릅니다."""
    seen = torch.zeros_like(picking.scores, dtype=torch.bool)
    seen[0, 6] = seen[1, 1] = True  # 가장 높던 것을 깎으면 둘째가 가장 높아집니다.
    sampling = Sampling(temperature=0, repetition_penalty=3.0)
    got = tokens_of(picking.step, picking.scores, seen, sampling, None)
    want = reference_penalty(picking.scores, seen, 3.0).argmax(dim=-1)
    assert_equal(got.tolist(), want.tolist(), idea="되풀이 벌점", message="깎인 점수로 고르지 않았습니다.")


@todo("5-4")
@pytest.mark.parametrize("temperature", [0, 0.02])
def test_penalty_counts_once(picking, device, temperature):
    """벌점은 자리의 위에서 이미 한 번 주었습니다. 뽑을 때도 0.02면 언제나 가장 높은 것이 나옵니다."""
    rows = [[-3.0, 1.0, 2.0, -2.5, -3.0, -2.7, -4.0], [-2.1, -3.0, -4.0, -3.0, -5.0, -3.0, -1.0]]
    scores = torch.tensor(rows, device=device)
    seen = torch.zeros_like(scores, dtype=torch.bool)
    seen[0, 2] = seen[1, 6] = True  # 한 번 깎으면 1.25와 -1.6으로 아직 가장 높고, 두 번 깎으면 아닙니다.
    sampling = Sampling(temperature=temperature, top_k=0, top_p=1.0, repetition_penalty=1.6)
    got = tokens_of(picking.step, scores, seen, sampling, torch.Generator(device).manual_seed(3)).tolist()
    if got != [2, 6]:
        symptom = "penalized-twice" if got == [1, 0] else None
        more = {"expected": show([2, 6]), "got": show(got), "symptom": symptom}
        fail(f"온도가 {temperature}일 때 가장 높은 토큰이 아닙니다.", idea="고르기", **more)


@todo("5-4")
def test_cold_is_not_zero(picking):
    """온도가 아주 낮아도 0이 아니면 확률대로 뽑습니다."""
    many = picking.scores.new_tensor([[0.5, 0.5, -3.0, -3.0, -3.0, -3.0, -3.0]] * 60)
    cold, warm = (Sampling(temperature=one, top_k=0, top_p=1.0, repetition_penalty=1.0) for one in (0.002, 2.5))
    if picking.drawn(cold, many).unique().numel() == 1 and picking.drawn(warm, many).unique().numel() > 1:
        more = {"expected": "0번과 1번", "got": "하나만", "symptom": "cold-greedy"}
        fail(idea="온도", **more)


def rates_of(tokens: Tensor) -> Tensor:
    """두 글에서 토큰마다 뽑힌 비율, (2, 어휘)."""
    return torch.stack([torch.bincount(one, minlength=len(SCORES[0])) / DRAWS for one in tokens.split(DRAWS)])


def check_rates(got: Tensor, want: Tensor, wrong: Wrong, idea: str) -> None:
    if close(got, want, DRAWN):
        return
    row = int((got - want).abs().max(dim=1).values.argmax())
    more = {"expected": brief(want[row]), "got": brief(got[row]), "row": row + 1}
    recognise(got, wrong, atol=DRAWN, idea=idea, expected=brief(want[row]), shown=brief(got[row]), row=row + 1)
    fail("토큰이 뽑힌 비율이 다릅니다.", idea=idea, **more)


def greedy_rates(scores: Tensor) -> Tensor:
    return functional.one_hot(scores.argmax(dim=-1), scores.size(-1)).float()


def always_greedy(picking: Any) -> bool:
    """온도가 낮든 높든 가장 높은 것만 골랐는가."""
    kinds = [Sampling(temperature=one, top_k=0, top_p=1.0, repetition_penalty=1.0) for one in (0.5, 2.5)]
    return all(matches(rates_of(picking.drawn(one)), greedy_rates(picking.scores), DRAWN) for one in kinds)


@todo("5-4")
@pytest.mark.parametrize("temperature", [0.5, 2.5])
def test_tokens_are_drawn_by_tempered_shares(picking, temperature):
    """로짓을 온도로 나눈 뒤의 확률대로 뽑습니다."""
    scores = picking.scores
    got = rates_of(picking.drawn(Sampling(temperature=temperature, top_k=0, top_p=1.0, repetition_penalty=1.0)))
    plain, across = scores.softmax(dim=-1), (scores / temperature).softmax(dim=0)
    wrong = [
        ("no-temperature", plain),
        ("multiplied", (scores * temperature).softmax(dim=-1)),
        *[("greedy", one) for one in [greedy_rates(scores)] if always_greedy(picking)],
        ("dim0", across / across.sum(dim=-1, keepdim=True)),
    ]
    if temperature < 1:  # 온도가 높으면 모두 고르게 뽑혀 서로 가깝습니다.
        ordered = (scores / temperature).softmax(dim=-1).sort(dim=-1, descending=True).values
        wrong += [
            ("uniform", torch.full_like(scores, 1 / scores.size(-1))),
            ("ranks", ordered),
            ("tempered-twice", (scores / temperature**2).softmax(dim=-1)),
            ("softmax-twice", (scores / temperature).softmax(dim=-1).softmax(dim=-1)),
            ("first-text", (scores[[0, 0]] / temperature).softmax(dim=-1)),
        ]
    want = (scores / temperature).softmax(dim=-1)
    if (got.max(dim=1).values == 1).all() and not matches(got, greedy_rates(scores), DRAWN):
        more = {"expected": brief(want[0]), "got": brief(got[0]), "symptom": "same-dice", "row": 1}
        fail(idea="난수", **more)
    check_rates(got, want, wrong, "온도")


@todo("5-4")
def test_filters_come_after_the_temperature(picking):
    """온도, top-k, top-p의 차례로 적용합니다."""
    scores, t, k, p = picking.scores, 1.6, 3, 0.6
    got = rates_of(picking.drawn(Sampling(temperature=t, top_k=k, top_p=p, repetition_penalty=1.0)))
    warm, top_k, top_p = scores / t, reference_top_k, reference_top_p
    if foreign := picking.limits - {k, p}:
        more = {"expected": f"{k}, {p}", "got": ", ".join(map(str, sorted(foreign))), "symptom": "fixed-limits"}
        fail(idea="설정", **more)
    p_first = top_k(top_p(warm, p), k)
    late = top_p(top_k(scores, k), p) / t
    wrong = [
        ("no-filters", warm),
        ("no-top-k", top_p(warm, p)),
        ("no-top-p", top_k(warm, k)),
        ("p-before-k", p_first),
        ("late-temperature", late),
        ("late-temperature", top_k(top_p(scores, p), k) / t),
        ("late-temperature", top_p(top_k(scores, k), p)),
    ]
    plain = rates_of(picking.drawn(Sampling(temperature=t, top_k=0, top_p=1.0, repetition_penalty=1.0)))
    if not matches(plain, warm.softmax(dim=-1), DRAWN):
        wrong = []  # 온도부터 틀렸으면 위의 검사가 말합니다.
    made = [(symptom, value.softmax(dim=-1)) for symptom, value in wrong]
    check_rates(got, top_p(top_k(warm, k), p).softmax(dim=-1), made, "거르는 차례")


@todo("5-4")
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_one_text_alone(picking, temperature):
    """글이 하나뿐이어도 tokens의 모양은 (1,)입니다."""
    alone = picking.scores[:1]
    sampling = Sampling(temperature=temperature, top_k=3, top_p=0.9)
    try:
        picking.drawn(sampling, alone)
    except CheckFailed as failure:
        if failure.got == "()":
            picking.drawn(sampling, picking.scores)  # 여럿일 때부터 틀렸으면 그것이 먼저입니다.
            more = {"expected": "(1,)", "got": "()", "symptom": "lost-batch"}
            fail(idea="토큰의 모양", **more)
        raise


@todo("5-4")
def test_generator_decides_the_draw(picking, device):
    """같은 시드의 generator면 같은 토큰을, 이어서 뽑으면 다른 토큰을 뽑습니다. sampling.seed는 보지 않습니다."""
    more = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0}
    plain, seeded = Sampling(**more), Sampling(**more, seed=5)
    many = picking.scores.repeat(40, 1)
    draws = []
    for outside in (1, 2):
        torch.manual_seed(outside)
        draws.append(picking.drawn(plain, many, seed=11))
    if not torch.equal(*draws):
        more = {"expected": "같은 토큰", "got": "다른 토큰", "symptom": "no-generator"}
        fail(idea="난수의 시드", **more)
    if torch.equal(draws[0], many.argmax(dim=-1)):
        return  # 뽑지 않는 답은 다른 검사가 말합니다.
    unseen = torch.zeros_like(many, dtype=torch.bool)
    for sampling, given in ((plain, 11), (seeded, 11), (seeded, seeded.seed), (plain, None)):
        one = None if given is None else torch.Generator(device).manual_seed(given)
        first, second = (tokens_of(picking.step, many, unseen, sampling, one) for _ in range(2))
        if torch.equal(first, second):
            more = {"expected": "다른 토큰", "got": "같은 토큰", "symptom": "same-draw"}
            fail(idea="난수의 시드", **more)
