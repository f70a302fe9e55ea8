"""5-6의 검사: 이어 쓰기."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import chain, islice
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from course.checks.recognising import explained, when
from course.checks.words import assert_close, assert_equal, close, fail, known_as, matches, show, todo
from nlpbook.language.sampling import Sampling
from tests.task3_lm.checks.step5.common import (
    ATOL,
    INF,
    among,
    brief,
    reference_penalty,
    reference_top_k,
    reference_top_p,
)

VOCAB, END = 12, 0
UNUSUAL = {"temperature": 0.7, "top_k": 5, "top_p": 0.9, "repetition_penalty": 1.3}  # 모두 기본값이 아닙니다.
MORE = 3  # 멈추지 않는 답에서도, 약속한 것보다 이만큼만 더 받아 봅니다.


@known_as("GPT")
class ScriptedModel(nn.Module):
    """대본의 토큰을 차례로 가장 높게 답하는 모델. 통째로 부르면 캐시를 쓰지 않은 것입니다."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, device=device))
        self.tokenizer, self.vocab_size = SimpleNamespace(end_id=END), VOCAB
        self.config = SimpleNamespace(max_seq_len=64)

    def forward(self, *_: Any) -> Tensor:
        more = {"expected": "reader.read", "got": "model(…)", "symptom": "uncached"}
        fail(idea="KV 캐시", **more)


def altered(sampling: Sampling, logits: Tensor, seen: Tensor) -> list[Tensor]:
    """모델의 것이 아니라, 벌점과 온도와 거르개 가운데 하나라도 지난 로짓들."""
    made = []
    for lowered in (logits, reference_penalty(logits, seen, sampling.repetition_penalty)):
        for warm in (lowered, lowered / sampling.temperature):
            few = reference_top_k(warm, sampling.top_k)
            made += [warm, few, reference_top_p(warm, sampling.top_p), reference_top_p(few, sampling.top_p)]
    return [one for one in made if one is not logits]


ONE_NUMBER = "Boolean value of Tensor|converted to Scalar|only one element"
SAME_AXES = "Index tensor must have the same number of dimensions"
STOPS = [  # 글이 여럿일 때 멈추는 흔한 까닭들
    when(ONE_NUMBER, "one-text", idea="함께 쓰는 글들", expected="글마다 하나", got="수 하나"),
    when(SAME_AXES, "scatter-shape", idea="seen", expected="(글, 1)", got="(글,)"),
    when(
        "generator raised StopIteration", "raised-stop", idea="generator", expected="반복을 끝내기", got="StopIteration"
    ),
    when("out of bounds for dimension 0", "token-as-row", idea="seen", expected="글의 번호", got="토큰의 번호"),
]


class Scene:
    """continue_tokens를 한 번 돌린 기록. 읽고 고르는 일은 대본과 기준으로 바꾸어 둡니다.

    Attributes:
        reads: reader.read가 받은 것마다의 모양.
        picks, choices: 고를 때마다의 (로짓, seen)과, 고른 토큰.
        steps: 내보낸 (토큰, 확률)들.
        reads_at_yield: 하나를 내보낼 때까지 읽은 횟수.
    """

    def __init__(
        self,
        step: Any,
        monkeypatch: pytest.MonkeyPatch,
        device: str,
        script: list[list[int]],
        max_tokens: int,
        pick: Callable | None = None,
        **sampling: Any,
    ) -> None:
        self.script, self.device = torch.tensor(script, device=device), device
        self.prompts = [[5, 6, 7], [8, 9]]
        self.reads: list[tuple[int, ...]] = []
        self.picks: list[tuple[Tensor, Tensor]] = []
        self.choices: list[Tensor] = []
        self.steps: list[tuple[Tensor, Tensor]] = []
        self.reads_at_yield: list[int] = []
        self.max_tokens, self._choose = max_tokens, pick
        self.ended = torch.zeros(len(script), dtype=torch.bool, device=device)  # 끝난 글에는 무엇을 적어도 됩니다.
        monkeypatch.setattr(step, "CachedReader", self._reader())
        monkeypatch.setattr(step, "pick", self._pick)
        model = ScriptedModel(device)
        self.sampling = Sampling(max_tokens=max_tokens, **UNUSUAL, **sampling)
        made = step.continue_tokens(model, self.prompts, self.sampling)
        if not isinstance(made, Iterator):
            more = {"expected": "yield", "got": "yield가 없음", "symptom": "no-yield"}
            fail(idea="generator", **more)
        with explained(*STOPS):
            for one in islice(made, max_tokens + MORE):
                self.reads_at_yield.append(len(self.reads))
                self.steps.append(self._pair(one))

    def _reader(self) -> type:
        scene = self

        @known_as("CachedReader")
        class ScriptedReader:
            def __init__(self, model: Any, padding: Tensor) -> None:
                self.model, self.padding = model, padding

            def read(self, new: Tensor) -> Tensor:
                return scene._read(new)

        return ScriptedReader

    def logits_after(self, count: int, length: int) -> Tensor:
        """`count`번 읽었을 때의 로짓 (글, 길이, 어휘). 마지막 자리만 대본의 토큰이 가장 높습니다."""
        random = torch.Generator().manual_seed(count)
        made = torch.randn(len(self.script), length, VOCAB, generator=random).to(self.device)
        made[:, :-1, VOCAB - 1] += 9.0  # 다른 자리를 골랐는지 알아보도록
        column = self.script[:, min(count, self.script.size(1) - 1)]
        made[:, -1] += 6.0 * functional.one_hot(column, VOCAB)
        return made

    def _read(self, new: Any) -> Tensor:
        rows, idea = len(self.script), "KV 캐시"
        shape = tuple(new.shape) if isinstance(new, Tensor) else type(new).__name__
        if self.reads and isinstance(new, Tensor) and new.dim() == 2 and new.size(1) == 1 and len(new) < rows:
            more = {"expected": f"({rows}, 1)", "got": shape, "symptom": "dropped-texts"}
            fail(idea=idea, **more)
        if not isinstance(new, Tensor) or new.dim() != 2 or len(new) != rows or new.is_floating_point():
            more = {"expected": f"({rows}, 새 길이)", "got": shape, "symptom": "read-shape" if self.reads else None}
            fail("reader.read에 건넨 것의 모양이 다릅니다.", idea=idea, **more)
        if self.reads and new.size(1) != 1:
            fail(idea=idea, expected=f"({rows}, 1)", got=shape, symptom="reread")
        if not self.reads and new.size(1) != 3:
            fail(idea=idea, expected=f"({rows}, 3)", got=shape, symptom="part-of-prompt")
        if self.reads and self.picks and not torch.equal(new[~self.ended, 0], self.chosen[~self.ended]):
            more = {"expected": show(self.chosen), "got": show(new[:, 0]), "symptom": "read-other"}
            fail(idea=idea, **more)
        self.reads.append(shape)
        return self.logits_after(len(self.reads) - 1, new.size(1))

    def _pick(self, logits: Tensor, seen: Tensor, sampling: Any = None, generator: Any = None) -> Tensor:
        rows, idea = len(self.script), "다음 토큰의 로짓"
        if not isinstance(logits, Tensor) or tuple(logits.shape) != (rows, VOCAB):
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            symptom = None
            if isinstance(logits, Tensor) and shape[-1:] == (VOCAB,):
                symptom = "all-positions" if logits.dim() == 3 else "one-text-logits"
            message = "pick에 건넨 로짓의 모양이 다릅니다."
            fail(message, idea=idea, expected=f"({rows}, {VOCAB})", got=shape, symptom=symptom)
        self._judge_logits(logits, seen, idea)
        if not isinstance(seen, Tensor) or seen.dtype != torch.bool or tuple(seen.shape) != (rows, VOCAB):
            got, symptom = type(seen).__name__, None
            if isinstance(seen, Tensor):
                kind = str(seen.dtype).removeprefix("torch.")
                got, symptom = f"{tuple(seen.shape)} {kind}", "seen-not-bool" if kind != "bool" else None
            more = {"expected": f"({rows}, {VOCAB}) bool", "got": got, "symptom": symptom}
            fail("pick에 건넨 seen이 다릅니다.", idea="seen", **more)
        if any(getattr(sampling, name, None) != value for name, value in UNUSUAL.items()):
            kind = "다른 값의 Sampling" if isinstance(sampling, Sampling) else type(sampling).__name__
            more = {"expected": "받은 sampling", "got": kind, "symptom": "other-sampling"}
            fail(idea="고르는 법", **more)
        self.picks.append((logits.clone(), seen.clone()))
        self.chosen = self._choose(logits, generator) if self._choose else logits.argmax(dim=-1)
        self.choices.append(self.chosen.cpu())
        self.ended |= self.chosen == END
        return self.chosen.clone()

    def _judge_logits(self, logits: Tensor, seen: Any, idea: str) -> None:
        """고르려는 로짓은 마지막으로 읽은 것의 마지막 자리입니다."""
        count = len(self.reads) - 1
        want = self.logits_after(count, self.reads[-1][1])
        if close(logits, want[:, -1], ATOL):
            return
        row = int(((logits - want[:, -1]).abs() > ATOL).any(dim=1).int().argmax())
        more = {"expected": brief(want[row, -1]), "got": brief(logits[row])}
        if count and matches(logits, self.logits_after(0, 3)[:, -1], ATOL):
            fail(idea=idea, symptom="old-logits", **more)
        if any(matches(logits, want[:, one], ATOL) for one in range(want.size(1) - 1)):
            fail(idea=idea, symptom="other-position", **more)
        if matches(logits, want[:, -1].softmax(dim=-1), ATOL):
            fail(idea=idea, symptom="picked-shares", **more)
        right = isinstance(seen, Tensor) and seen.dtype == torch.bool and seen.shape == logits.shape
        seens = [seen, self._seen_so_far()] if right else [self._seen_so_far()]
        for value in chain.from_iterable(altered(self.sampling, want[:, -1], one) for one in seens):
            if matches(logits.isfinite(), value.isfinite(), 0) and matches(logits.exp(), value.exp(), ATOL):
                fail(idea=idea, symptom="altered-logits", **more)
        fail("pick에 건넨 로짓이 다릅니다.", idea=idea, **more)

    def _seen_so_far(self) -> Tensor:
        """앞글과 지금까지 고른 토큰들, (글, 어휘) bool."""
        seen = torch.zeros(len(self.script), VOCAB, dtype=torch.bool)
        for row, prompt in enumerate(self.prompts):
            seen[row, prompt] = True
        for chosen in self.choices:
            seen.scatter_(1, chosen[:, None], True)
        return seen.to(self.device)

    def _pair(self, one: Any) -> tuple[Tensor, Tensor]:
        """내보낸 것이 (토큰 (글,), 확률 (글, 어휘))인지 봅니다."""
        rows, idea = len(self.script), "내보낼 것"
        expected = f"토큰 ({rows},), 확률 ({rows}, {VOCAB})"
        if not (isinstance(one, (tuple, list)) and len(one) == 2 and all(isinstance(part, Tensor) for part in one)):
            got = f"텐서 {tuple(one.shape)} 하나" if isinstance(one, Tensor) else type(one).__name__
            fail(idea=idea, expected=expected, got=got, symptom="not-pair")
        shapes = [tuple(part.shape) for part in one]
        got = f"{shapes[0]}, {shapes[1]}"
        if shapes == [(rows, VOCAB), (rows,)]:
            fail(idea=idea, expected=expected, got=got, symptom="yield-swapped")
        if shapes != [(rows,), (rows, VOCAB)]:
            fail(idea=idea, expected=expected, got=got, symptom="yield-shape")
        return one[0].clone(), one[1].clone()


STORY = [[1, 4, 2, 3, 6, 1, 4, 2], [3, 8, 9, 5, 2, 3, 8, 9]]


@pytest.fixture
def play(step, device, monkeypatch):
    """대본으로 continue_tokens를 돌립니다."""

    def run(script: list[list[int]] = STORY, max_tokens: int = 5, **more: Any) -> Scene:
        return Scene(step, monkeypatch, device, script, max_tokens, **more)

    return run


@todo("5-6")
def test_one_token_per_step_up_to_max_tokens(play):
    """한 스텝에 글마다 토큰 하나를, max_tokens번 내보냅니다."""
    scene = play()
    count, want = len(scene.steps), scene.max_tokens
    if count and not scene.picks:
        more = {"expected": "pick(…)", "got": "부르지 않음", "symptom": "no-pick"}
        fail(idea="고르는 법", **more)
    if count != want:
        got = f"{count}번" if count < want + MORE else f"{count}번 넘게"
        symptom = "endless" if count >= want + MORE else "wrong-count"
        fail(idea="max_tokens", expected=f"{want}번", got=got, symptom=symptom)
    made = torch.stack([tokens for tokens, _ in scene.steps], dim=1)
    want = scene.script[:, : made.size(1)]
    assert_equal(made.tolist(), want.tolist(), idea="고른 토큰", message="내보낸 토큰이 고른 토큰과 다릅니다.")
    assert_equal(len(play(max_tokens=1).steps), 1, idea="max_tokens", message="max_tokens가 1일 때의 횟수가 다릅니다.")


@todo("5-6")
def test_probabilities_are_the_models(play):
    """함께 내보내는 것은 고르기 전의 로짓에 softmax를 한 확률입니다."""
    scene = play()
    for number, (_, got) in enumerate(scene.steps[:3]):
        logits = scene.logits_after(number, 3 if number == 0 else 1)[:, -1]
        want = logits.softmax(dim=-1)
        if close(got, want, ATOL):
            continue
        wrong = [
            ("yield-logits", logits),
            ("log-shares", logits.log_softmax(dim=-1)),
            ("shares-dim0", logits.softmax(dim=0)),
        ]
        if number < len(scene.picks):
            altered_shares = (one.softmax(dim=-1) for one in altered(scene.sampling, logits, scene.picks[number][1]))
            wrong += [("altered-shares", one) for one in altered_shares]
        among(got, wrong, idea="내보낼 것", want=want)
        message = f"{number + 1}번째로 내보낸 확률이 다릅니다."
        fail(message, idea="내보낼 것", expected=brief(want[0, :4]), got=brief(got[0, :4]))


@todo("5-6")
def test_token_is_sent_before_it_is_read(play):
    """고른 토큰은 다시 읽기 전에 내보냅니다. 받는 사람은 그 시간만큼 먼저 봅니다."""
    scene = play()
    for number, reads in enumerate(scene.reads_at_yield[: scene.max_tokens], start=1):
        if reads > number:
            more = {"expected": f"{number}번 읽고", "got": f"{reads}번 읽고", "symptom": "late-yield"}
            fail(idea="흘려보내기", **more)
        if reads < number:
            more = {"expected": f"{number}번 읽고", "got": f"{reads}번 읽고", "symptom": "not-read"}
            fail(idea="KV 캐시", **more)


@todo("5-6")
def test_chosen_tokens_are_remembered(play):
    """고른 토큰은 그 글의 seen에 적힙니다."""
    scene = play()
    want = torch.zeros(2, VOCAB, dtype=torch.bool)
    want[0, [5, 6, 7]] = want[1, [8, 9]] = True
    for number, (_, seen) in enumerate(scene.picks[: scene.max_tokens]):
        if number:
            want[range(2), scene.choices[number - 1]] = True
        seen = seen.cpu()
        if torch.equal(seen, want):
            continue
        row = int((seen != want).any(dim=1).int().argmax())
        expected, got = (", ".join(map(str, one[row].nonzero().flatten().tolist())) for one in (want, seen))
        more = {"expected": f"{'둘째' if row else '첫째'} 글에서 {expected}", "got": got or "하나도 없음"}
        kept = (seen >= want).all(dim=1).tolist()
        if number and not (seen >= scene.picks[0][1].cpu()).all():
            fail(idea="seen", symptom="seen-replaced", **more)
        if number and kept == [True, False]:
            fail(idea="seen", symptom="remembered-in-first", **more)
        if number and seen.sum() < want.sum():
            fail(idea="seen", symptom="not-remembered", **more)
        if number and (seen >= want).all():
            fail(idea="seen", symptom="remembered-for-all", **more)
        fail("seen이 다릅니다.", idea="seen", **more)


@todo("5-6")
def test_stops_when_every_text_has_ended(play):
    """글들이 저마다 다른 때에 끝나도, 모두 끝나면 바로 멈춥니다. 끝 토큰도 내보냅니다."""
    together = [[1, 2, END, 3, 4, 1, 2], [5, 6, END, 7, 8, 5, 6]]
    apart = [[1, END, 2, 3, 4, 1, 2], [5, 6, 7, END, 8, 5, 6]]
    counts = [len(play(script, max_tokens=7).steps) for script in (together, apart, apart[::-1])]
    if counts == [3, 4, 4]:
        return
    idea = "글의 끝"
    count = counts[2] if counts[1] == 4 else counts[1]
    more = {"expected": "글들이 2번째와 4번째에 끝나면 4번", "got": f"{count}번"}
    if counts[0] == 3 and counts[1] >= 7:
        fail(idea=idea, symptom="forgot-finished", **more)
    if counts == [3, 2, 2]:
        fail(idea=idea, symptom="stopped-at-first", **more)
    if counts in ([3, 2, 4], [3, 4, 2]):
        fail(idea=idea, symptom="one-text-decides", **more)
    if counts in ([2, 3, 3], [2, 1, 1]):
        fail(idea=idea, symptom="end-not-sent", **more)
    if counts[0] >= 7:
        scene = play()
        told = len(scene.steps) == scene.max_tokens and len(scene.reads) >= scene.max_tokens
        symptom = "never-stops" if told else None  # 반복이나 읽기부터 틀렸으면 위의 검사가 말합니다.
        fail("모든 글이 끝났는데 멈추지 않습니다.", idea=idea, symptom=symptom, **more)
    if counts == [4, 5, 5]:
        fail(idea=idea, symptom="one-step-late", **more)
    fail("모든 글이 끝난 때와 멈춘 때가 다릅니다.", idea=idea, **more)


@todo("5-6")
def test_seed_reaches_the_draw(play):
    """시드를 주면 언제나 같은 토큰이 나옵니다."""

    def draw(logits: Tensor, generator: Any) -> Tensor:
        return 1 + torch.multinomial(torch.ones(2, VOCAB - 1, device=logits.device), 1, generator=generator).squeeze(1)

    made = []
    for outside, seed in ((1, 4), (2, 4), (2, 5)):
        torch.manual_seed(outside)
        scene = play(max_tokens=6, pick=draw, seed=seed)
        if not scene.picks:
            return  # 고르지 않는 답은 위의 검사가 말합니다.
        made.append([tokens.tolist() for tokens, _ in scene.steps])
    idea, same, other = "난수의 시드", "같은 토큰", "다른 토큰"
    if made[0] != made[1]:
        more = {"expected": same, "got": other, "symptom": "no-generator"}
        fail(idea=idea, **more)
    if len(made[0]) > 1 and all(one == made[0][0] for one in made[0]):
        fail(idea=idea, expected=other, got=same, symptom="reseeded")
    if made[0] and made[1] == made[2]:
        fail(idea=idea, expected=other, got=same, symptom="fixed-seed")


CONTEXT, WIDTH, HEADS = 12, 8, 2


class ReferenceAttention(nn.Module):
    """2단계의 어텐션과 이름이 같은 기준."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.qkv, self.projection = HEADS, nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def heads(self, x: Tensor) -> list[Tensor]:
        return list(self.qkv(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4))

    def forward(self, x: Tensor) -> Tensor:
        """캐시 없이, 길이 전체를 한꺼번에."""
        query, key, value = self.heads(x)
        scores = torch.einsum("bhid,bhjd->bhij", query, key) / math.sqrt(WIDTH / HEADS)
        later = torch.ones(scores.shape[-2:], device=x.device).triu(1).bool()
        mixed = scores.masked_fill(later, -INF).softmax(dim=-1) @ value
        return self.projection(mixed.transpose(1, 2).flatten(2))


class ReferenceBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(WIDTH), ReferenceAttention()
        self.norm2, self.mlp = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, attend: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        x = x + (attend or self.attention)(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ReferenceGPT(nn.Module):
    """2단계의 GPT와 이름이 같은 작은 기준. 배정밀도라, 캐시를 쓴 것과 쓰지 않은 것의 차이는 실수뿐입니다."""

    def __init__(self) -> None:
        super().__init__()
        self.token_embedding, self.position_embedding = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(ReferenceBlock() for _ in range(2))
        self.norm, self.lm_head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCAB, bias=False)
        self.tokenizer, self.vocab_size = SimpleNamespace(end_id=END), VOCAB
        self.config = SimpleNamespace(max_seq_len=CONTEXT, d_embed=WIDTH, num_heads=HEADS)
        random = torch.Generator().manual_seed(2)
        for one in self.parameters():
            nn.init.normal_(one, std=0.7, generator=random)
        with torch.no_grad():
            self.lm_head.weight[END] = 0  # 글이 일찍 끝나지 않도록

    @torch.no_grad()
    def full(self, ids: list[int]) -> Tensor:
        """캐시 없이 구한 마지막 자리의 로짓, (어휘,)."""
        given = torch.tensor([ids], device=self.lm_head.weight.device)
        x = self.token_embedding(given) + self.position_embedding.weight[: len(ids)]
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.norm(x))[0, -1]


@known_as("LayerMemory")
class ReferenceMemory:
    """5-5의 기준."""

    def __init__(self, shape: tuple[int, ...], device: torch.device) -> None:
        self.keys, self.values = torch.zeros(2, *shape, device=device, dtype=torch.double)

    def append(self, key: Tensor, value: Tensor, start: int) -> tuple[Tensor, Tensor]:
        end = start + key.size(2)
        self.keys.narrow(2, start, key.size(2)).copy_(key)
        self.values.narrow(2, start, key.size(2)).copy_(value)
        return self.keys.narrow(2, 0, end), self.values.narrow(2, 0, end)


@pytest.fixture
def written(step, device, monkeypatch):
    """기준 모델로 continue_tokens를 돌려, 내보낸 토큰과 고를 때마다의 로짓을 돌려주는 함수."""
    model = ReferenceGPT().double().to(device)
    monkeypatch.setattr(step, "LayerMemory", ReferenceMemory)

    def run(prompts: list[list[int]], count: int) -> tuple[list[list[int]], list[Tensor]]:
        made: list[Tensor] = []

        def greedy(logits: Tensor, *_: Any, **__: Any) -> Tensor:
            made.append(logits.clone())
            return logits.argmax(dim=-1)

        monkeypatch.setattr(step, "pick", greedy)
        steps = islice(step.continue_tokens(model, prompts, Sampling(max_tokens=count)), count)
        tokens = [one.tolist() for one, *_ in steps]
        return [list(row) for row in zip(*tokens, strict=True)], made[:count]

    run.model = model
    return run


def uncached(model: ReferenceGPT, prompt: list[int], count: int) -> tuple[list[int], Tensor]:
    """캐시 없이 이어 쓴 것. 문맥이 차면 뒤의 절반(새 토큰까지)만 남깁니다."""
    window, made, logits = list(prompt), [], []
    for _ in range(count):
        logits.append(model.full(window))
        made.append(int(logits[-1].argmax()))
        window = window + [made[-1]] if len(window) < CONTEXT else (window + [made[-1]])[-(CONTEXT // 2) :]
    return made, torch.stack(logits)


def compare(written: Callable, prompts: list[list[int]], count: int, what: str) -> None:
    """함께 이어 쓴 것이, 하나씩 캐시 없이 이어 쓴 것과 같은지 봅니다."""
    made, logits = written(prompts, count)
    assert_equal(len(logits), count, idea="KV 캐시", message="pick을 부른 횟수가 쓴 토큰의 수와 다릅니다.")
    for row, prompt in enumerate(prompts):
        want, scores = uncached(written.model, prompt, count)
        got = torch.stack([one[row] for one in logits])
        message = f"{what} 로짓이 캐시 없이 구한 것과 다릅니다."
        assert_close(got, scores, atol=1e-5, idea="KV 캐시", message=message)
        assert_equal(made[row], want, idea="KV 캐시", message=f"{what} 쓴 글이 캐시 없이 쓴 것과 다릅니다.")


@todo("5-6")
def test_cache_changes_nothing(written):
    """캐시를 쓰고 쓴 글은, 스텝마다 처음부터 다시 읽으며 쓴 글과 같습니다."""
    compare(written, [[3, 7, 1, 4]], 6, "캐시를 쓴")


@todo("5-6")
def test_texts_together_equal_texts_alone(written):
    """길이가 다른 앞글들을 함께 이어 써도 하나씩 이어 쓴 것과 같습니다."""
    compare(written, [[2], [3, 7, 1, 4, 9], [8, 8, 5]], 6, "함께 쓸 때의")


@todo("5-6")
def test_goes_on_past_the_context(written):
    """문맥보다 긴 글도 이어 씁니다."""
    compare(written, [[5, 2, 9]], CONTEXT + 3, "문맥이 찬 뒤의")
