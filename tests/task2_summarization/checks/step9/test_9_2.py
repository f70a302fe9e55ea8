"""9-2의 검사: 빔 탐색."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from course.checks.recognising import Wrong, explained, sound, when
from course.checks.side_effects import no_side_effects, on_one_device
from course.checks.words import close, fail, matches, show, todo
from tests.task2_summarization.checks import models, support

VOCAB, END = 11, 6
ATOL = 1e-4  # 점수는 -10~0이고 더하기뿐이라 차이는 1e-6쯤입니다.
Found = list[tuple[tuple[int, ...], float]]  # (번호들, 점수), 점수가 높은 것부터
Both = tuple[Found, Found]  # 계속 쓸 글들과 끝난 글들

STARTS = [((3, 8, 5), -4.1), ((3, 2, 9), -4.6), ((3, 8, 7), -5.3)]


def table(rows: int, seed: int) -> torch.Tensor:
    """빔마다의 로그 확률."""
    return (1.7 * torch.randn(rows, VOCAB, generator=torch.Generator().manual_seed(seed))).log_softmax(-1)


def ends(rows: list[float]) -> torch.Tensor:
    """끝 토큰의 로그 확률이 `rows`인 표. 나머지는 훨씬 뒤처집니다."""
    logs = table(len(rows), seed=97) - 4.0
    logs[:, END] = torch.tensor(rows)
    return logs


# 1등과 4등이 끝 토큰입니다. 4등은 세 등 안에 들지 못했고, 끝난 것을 빼고도 계속 쓸 글이 넷입니다.
LOGS = ends([-0.31, -1.21, -7.9])
LOGS[0, 4], LOGS[1, 10], LOGS[2, 1], LOGS[0, 9] = -1.13, -0.87, -0.94, -2.15
ALL_END = ends([-0.44, -0.37, -0.52])  # 세 빔이 모두 끝나도 계속 쓸 글은 셋이어야 합니다.


def candidates(starts: Found, logs: torch.Tensor) -> list[tuple[float, int, int]]:
    """(점수, 빔, 토큰) 모두, 점수가 높은 것부터."""
    found = [
        (starts[beam][1] + logs[beam, token].item(), beam, token)
        for beam in range(len(starts))
        for token in range(logs.size(1))
    ]
    return sorted(found, reverse=True)


def chosen(starts: Found, ranked: list[tuple[float, int, int]], width: int, many: int | None = None) -> Both:
    """차례로 늘어놓은 후보에서 고른 것."""
    running: Found = []
    finished: Found = []
    for rank, (score, beam, token) in enumerate(ranked[: 2 * width if many is None else many]):
        one = ((*starts[beam][0], token), score)
        if token == END and rank < width:
            finished.append(one)
        elif token != END and len(running) < width:
            running.append(one)
    return running, finished


def wrong_choices(starts: Found, logs: torch.Tensor, width: int) -> Wrong:
    """헷갈리기 쉬운 고르기들."""
    ranked = candidates(starts, logs)
    running, finished = chosen(starts, ranked, width)
    top = ranked[: 2 * width]

    def texts(many: list[tuple[float, int, int]]) -> Found:
        return [((*starts[beam][0], token), score) for score, beam, token in many]

    yield "no-history", chosen(starts, candidates([(ids, 0.0) for ids, _ in starts], logs), width)
    by_gain = sorted(((logs[beam, token].item(), beam, token) for _, beam, token in ranked), reverse=True)
    yield (
        "ranked-by-gain",
        chosen(starts, [(gain + starts[beam][1], beam, token) for gain, beam, token in by_gain], width),
    )
    yield (
        "added-twice",
        chosen(starts, [(score + starts[beam][1], beam, token) for score, beam, token in ranked], width),
    )
    before_end = list(itertools.takewhile(lambda one: one[2] != END, top))
    first_end = [one for rank, one in enumerate(top) if rank == len(before_end) < width]
    yield "stopped-at-end", (texts(before_end)[:width], texts(first_end))
    if len(starts) < width:
        yield "as-many-as-beams", chosen(starts, ranked, width, many=2 * len(starts))
    yield "too-few", chosen(starts, ranked, width, many=width)
    yield "late-ends", (running, texts([one for one in top if one[2] == END]))
    yield "ends-run-on", (texts(top[:width]), finished)
    yield "ends-run-on", (texts(top[:width]), [])
    yield "too-many", (texts([one for one in top if one[2] != END]), finished)
    yield "ends-lost", (running, [])
    last = [(logs[beam, token].item() + starts[beam][1], beam, token) for _, beam, token in top]
    yield (
        "own-score",
        tuple([(ids, score - dict(starts)[ids[:-1]]) for ids, score in many] for many in chosen(starts, last, width)),
    )
    greedy = [max(one for one in ranked if one[1] == beam) for beam in range(len(starts))]
    yield "one-per-beam", chosen(starts, sorted(greedy, reverse=True), width)
    yield "divided-early", tuple([(ids, score / (len(ids) - 1)) for ids, score in many] for many in (running, finished))
    yield "divided-early", tuple([(ids, score / len(ids)) for ids, score in many] for many in (running, finished))
    yield "end-token-lost", (running, [(ids[:-1], score) for ids, score in finished])
    yield "lowest", chosen(starts, ranked[::-1], width)
    count = len(starts)
    swapped = [(one[1] * logs.size(1) + one[2]) for one in ranked]
    turned = [
        (score, place % count, place // count % VOCAB) for (score, *_), place in zip(ranked, swapped, strict=True)
    ]
    yield "beam-and-token", chosen(starts, turned, width)


def same(one: Both, other: Both, compare: Any = matches) -> bool:
    return all(
        [ids for ids, _ in mine] == [ids for ids, _ in yours]
        and (not mine or compare([score for _, score in mine], [score for _, score in yours], ATOL))
        for mine, yours in zip(one, other, strict=True)
    )


def told(both: Both) -> str:
    """마지막 두 토큰으로 줄인, 고른 글들."""
    running, finished = (["·".join(map(str, ids[-2:])) for ids, _ in many] for many in both)
    return f"계속 [{' '.join(running)}], 끝남 [{' '.join(finished)}]"


def advance(load: Any, starts: Found, logs: torch.Tensor, width: int) -> Both:
    """학생의 한 걸음."""
    module = load(9)
    beams = [module.Beam(*one) for one in starts]
    given = {"beams": list(beams), "log_probs": logs.clone()}
    many = {"idea": "후보의 수", "expected": f"후보 {logs.numel()}개 안에서"}
    with (
        explained(when("selected index k out of range", "k-too-large", **many)),
        no_side_effects(inputs=given, random_state=True),
        on_one_device("log_probs와 같은 장치"),
    ):
        made = module.advance(*given.values(), width, END)
    for name, texts in zip(("running", "finished"), made, strict=True):
        for one in texts:
            if not isinstance(one, module.Beam):
                fail(idea="글 하나", expected="Beam", got=type(one).__name__, symptom="not-beams", name=name)
            if not isinstance(one.ids, tuple) or not all(type(token) is int for token in one.ids):
                got = f"{type(one.ids).__name__} {one.ids}"[:50]
                fail(idea="글 하나", expected="int의 튜플", got=got, symptom="not-numbers", name=name)
    running, finished = ([(one.ids, float(one.score)) for one in many] for many in made)
    return running, finished


def require_right(load: Any, starts: Found, logs: torch.Tensor, width: int) -> None:
    got, want = advance(load, starts, logs, width), chosen(starts, candidates(starts, logs), width)
    if same(got, want, close):
        return
    about = {"idea": "빔 탐색의 한 걸음", "expected": told(want), "got": told(got)}
    sizes = {"beams": len(starts), "width": width}
    if about["expected"] == about["got"]:
        about["expected"], about["got"] = (show([score for _, score in both[0]]) for both in (want, got))
    for symptom, wrong in wrong_choices(starts, logs, width):
        if same(got, wrong):
            fail(symptom=symptom, **about, **sizes)
    if [sorted(many) for many in got] == [sorted(many) for many in want]:
        fail("고른 글은 맞지만 점수가 높은 것부터 놓이지 않았습니다.", **about)
    fail("고른 글들이 기대와 다릅니다.", **about)


def steps_rightly(load: Any) -> bool:
    return same(advance(load, STARTS, LOGS, 3), chosen(STARTS, candidates(STARTS, LOGS), 3), close)


@todo("9-2")
def test_best_of_all_continuations_go_on(load, device):
    """모든 빔의 모든 다음 토큰 가운데 좋은 것들이 남고, 끝난 것은 따로 갑니다."""
    require_right(load, STARTS, LOGS.to(device), 3)


@todo("9-2")
def test_enough_go_on_though_every_beam_ends(load, device):
    """빔이 모두 끝나도 계속 쓸 글은 width개입니다."""
    require_right(load, STARTS, ALL_END.to(device), 3)


@todo("9-2")
@pytest.mark.parametrize(("rows", "width"), [(1, 4), (2, 5), (1, 1), (2, 2), (1, 9)])
def test_any_number_of_beams(load, device, rows, width):
    """첫 걸음처럼 빔이 하나여도, 고를 수가 어휘보다 많아도 됩니다."""
    if not sound(lambda: steps_rightly(load)):  # 빔이 하나면 서로 다른 실수의 결과가 같기도 합니다.
        return
    require_right(load, STARTS[:rows], table(rows, seed=101 + width).to(device), width)


@todo("9-2")
def test_wide_search_finds_the_best_of_all_texts(load):
    """빔이 넉넉하면, 모든 글을 하나씩 재어 본 것 가운데 가장 좋은 글이 나옵니다."""
    if not sound(lambda: steps_rightly(load)):
        return
    logs = (1.5 * torch.randn(4, 4, generator=torch.Generator().manual_seed(103))).log_softmax(-1)
    start, end, longest = 2, 3, 5
    scored = {}
    for length in range(1, longest):
        for tail in itertools.product(range(4), repeat=length):
            ends = [place for place, token in enumerate(tail) if token == end]
            if ends in ([], [length - 1]) and (ends or length == longest - 1):
                path = (start, *tail)
                scored[path] = sum(logs[one, two].item() for one, two in itertools.pairwise(path)) / length
    want = max(scored, key=lambda path: scored[path])
    got = load(9).beam_search(lambda texts: logs[[ids[-1] for ids in texts]], start, end, 128, longest)
    if got.ids != want:
        more = {"expected": str(list(want)), "got": str(list(got.ids))}
        fail("빔 128개로 찾은 글이, 모든 글을 재어 본 것 가운데 가장 좋은 글이 아닙니다.", idea="빔 탐색", **more)


@todo("9-2")
@pytest.mark.parametrize("width", [1, 2, 5])
@torch.no_grad()
def test_search_writes_what_generate_writes(load, device, width):
    """작은 BART에서 generate(num_beams=…)와 같은 글을 씁니다."""
    if not sound(lambda: steps_rightly(load)):
        return
    module, model = load(9), models.model("kobart").to(device)
    end = support.tokenizer().eos_token_id
    for talk in models.TALKS[:3]:
        ids = torch.tensor([support.encoded(talk)], device=device)

        def step(texts: list[tuple[int, ...]], ids: torch.Tensor = ids) -> torch.Tensor:
            written = torch.tensor(texts, device=device)
            logits = model(input_ids=ids.expand(len(texts), -1), decoder_input_ids=written).logits
            return logits[:, -1].log_softmax(-1)

        how = {"num_beams": width, "max_length": 9, "do_sample": False, "length_penalty": 1.0}
        want = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **how)[0].tolist()
        got = list(module.beam_search(step, support.START, end, width, 9).ids)
        if got != want:
            fail(f"빔 {width}개로 쓴 글이 generate와 다릅니다.", idea="빔 탐색", expected=str(want), got=str(got))
