"""5-3의 검사: 요청한 빔과 길이로 쓰되, 모두가 함께 쓰는 설정은 그대로.

모델은 아주 작은 진짜 BART입니다. 대화를 번호로 바꾸는 일(2-1)에는 옳은 것을 대신 둡니다.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from course.checks.recognising import explained, recognise, require_value, when
from course.checks.side_effects import no_side_effects
from course.checks.words import fail, todo
from tests.task2_summarization.checks import models, support

IDEA = "요청마다의 생성 설정"
MAX_LEN = 61
BEAMS, LENGTH = 5, 14  # 모델의 것(2, 9)과도, transformers의 기본값(1, 20)과도 다릅니다.
TALK = "\n".join(support.TURNS[1:4])
PROMPT, FRESH = 23, 11  # 디코더뿐인 모델이 읽는 토큰과 새로 쓸 토큰의 수
AGAIN = {"idea": "길이", "expected": f"새로 {FRESH}토큰"}
# 쓰는 글을 바꿀 수 있는 설정과, 적지 않았을 때의 값. 빔과 길이만 요청의 것이고 이것들은 모델의 것입니다.
STEERING: dict[str, Any] = {
    "do_sample": False,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "length_penalty": 1.0,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "early_stopping": False,
    "min_length": 0,
    "renormalize_logits": False,
    "num_return_sequences": 1,
    **dict.fromkeys(("min_p", "min_new_tokens", "max_time", "stop_strings", "bad_words_ids", "suppress_tokens")),
    **dict.fromkeys(("begin_suppress_tokens", "exponential_decay_length_penalty", "sequence_bias", "guidance_scale")),
    **dict.fromkeys(("eos_token_id", "pad_token_id", "decoder_start_token_id", "forced_eos_token_id")),
}
# 빔이 하나이면 쓰이지 않는 것. 그때는 적지 않은 것과 같은 값으로 되돌려도 글이 같습니다.
FOR_BEAMS = ("length_penalty", "early_stopping")
OWN = {"length_penalty": 1.7, "repetition_penalty": 1.3, "early_stopping": True, "min_length": 5}
REQUESTS = [(1, 11), (3, 9), (2, 19), (8, 31)]  # 빔과 길이. 모델의 것(2, 9)과 하나씩만 같은 것도 있습니다.


def ids_of(talk: str = TALK) -> Tensor:
    return torch.tensor([support.encoded(talk, MAX_LEN)])


@cache
def written_with(**changes: Any) -> tuple[int, ...]:
    """모델의 설정에서 `changes`만 바꾸어 쓴 번호들."""
    with torch.no_grad():
        row = models.summarizer().generate(input_ids=ids_of(), attention_mask=torch.ones_like(ids_of()), **changes)
    return tuple(row[0].tolist())


def want() -> tuple[int, ...]:
    return written_with(num_beams=BEAMS, max_length=LENGTH)


def wrong_rows() -> list[tuple[str, tuple[int, ...]]]:
    """흔한 실수를 했을 때의 번호들."""
    return [
        ("ignored", written_with()),
        ("beams-only", written_with(num_beams=BEAMS)),
        ("max-len", written_with(num_beams=BEAMS, max_length=MAX_LEN)),
        ("swapped", written_with(num_beams=LENGTH, max_length=BEAMS)),
        ("new-tokens", written_with(num_beams=BEAMS, max_new_tokens=LENGTH)),
        ("rest-lost", written_with(num_beams=BEAMS, max_length=LENGTH, no_repeat_ngram_size=0)),
    ]


@cache
def ended_early() -> tuple[int, tuple[int, ...]]:
    """끝 토큰으로 알면 요약이 상한보다 일찍 끝나는 번호와, 그때 쓴 번호들."""
    ends = {token: written_with(num_beams=BEAMS, max_length=LENGTH, eos_token_id=token) for token in want()[1:]}
    return min(ends.items(), key=lambda one: len(one[1]))


class Writing:
    """학생의 함수로 쓴 요약.

    Attributes:
        row: 돌려받은 것.
        during: `generate`를 부르던 순간의, 모델의 생성 설정.
        before, after: 부르기 앞뒤의 것.
        beams: 쓸 때의 빔의 수.
        calls: `generate`를 부른 횟수.
        shared_given: `generate`에 모델의 생성 설정을 복사하지 않고 건넸는가.
        given: `generate`에 건넨, 생성 설정의 이름 → 값. `written_out`은 인수로 적은 이름들입니다.
        is_wrapped: 부르는 동안 모델의 `generate`가 다른 것이었는가.
        rows: `generate`가 돌려준 요약의 수.
    """

    def __init__(self, step: Any, beams: int = BEAMS, length: int = LENGTH, **own: Any) -> None:
        """`own`은 모델의 생성 설정 가운데 달리할 것."""
        writer = models.summarizer()
        writer.generation_config.update(**own)
        real = writer.generate
        self.given: dict[str, Any] = {}
        self.written_out: set[str] = set()
        self.is_wrapped = False
        self.rows = 1
        self.before = writer.generation_config.to_dict()
        self.during = self.before
        self.calls = 0
        self.shared_given = False

        def generate(*inputs: Any, **more: Any) -> Any:
            self.during = writer.generation_config.to_dict()
            self.calls += 1
            asked = more.get("generation_config")
            if isinstance(asked, Mapping):
                fail(idea=IDEA, symptom="dict-given", expected="GenerationConfig", got="딕셔너리")
            self.shared_given = asked is writer.generation_config
            self.given = {**(asked.to_dict() if asked is not None else {}), **more}
            self.written_out = set(more) - {"input_ids", "attention_mask"}
            self.is_wrapped = writer.generate is not generate
            made = real(*inputs, **more)
            self.rows = len(made)
            return made

        writer.generate = generate
        known = (
            when(
                "modified the pretrained model configuration",
                "model-config",
                idea="함께 쓰는 것",
                expected="generation_config",
                got="model.config",
            ),
            when(
                "decoder_start_token_id|bos_token_id", "rest-lost", idea=IDEA, expected="나머지는 그대로", got="빈 설정"
            ),
            when("too many indices|0-dim", "too-deep", idea="모양", expected="(1, 요약 길이)", got="0차원"),
            when("'(str|list)' object has no attribute 'cpu'", "decoded-early", idea="모양", expected="번호의 텐서"),
            when("not used by the model", "unknown-argument", idea="generate의 인수", expected="num_beams, max_length"),
        )
        summarizer = step.Summarizer(writer, support.tokenizer(), MAX_LEN)
        kept = {name: getattr(summarizer, name) for name in ("num_beams", "max_length", "max_len")}
        with pytest.MonkeyPatch.context() as patch, no_side_effects(weights=writer, modes=writer), explained(*known):
            patch.setattr(
                "step2_dialogue_dataset.encode_dialogue", lambda tokenizer, talk, length: support.encoded(talk, length)
            )
            self.row = summarizer.write(TALK, beams, length)
        for name, value in kept.items():
            if getattr(summarizer, name) != value:
                shown = {"expected": f"{name}={value}", "got": f"{name}={getattr(summarizer, name)}"}
                fail(idea="함께 쓰는 것", symptom="request-kept", name=name, **shown)
        self.after = writer.generation_config.to_dict()
        self.beams = self.given.get("num_beams", self.during.get("num_beams"))


@pytest.fixture
def writing(step) -> Writing:
    return Writing(step)


@todo("5-3")
def test_the_summary_is_written_with_what_was_asked(step, writing):
    """요청한 빔의 수와 길이로, 나머지는 모델의 설정으로 쓴 요약입니다."""
    row = require_value(writing.row, "written")
    if not isinstance(row, Tensor):
        fail(
            "written이 번호의 텐서가 아닙니다.", idea="generate", expected="(1, 요약 길이) 텐서", got=type(row).__name__
        )
    if row.dim() != 1:
        symptom = "too-deep" if row.dim() == 0 else "too-shallow"
        fail(idea="모양", expected="written (1, 요약 길이)", got=f"{row.dim() + 1}차원", symptom=symptom)
    if writing.rows > 1:
        shape = {"expected": "(1, 요약 길이)", "got": f"({writing.rows}, 요약 길이)"}
        fail(idea="모양", symptom="every-beam", **shape)
    got = tuple(row.tolist())
    if got == want():
        return
    decoded = support.tokenizer().decode(list(got), skip_special_tokens=True)
    about = {"expected": f"빔 {BEAMS}개, {LENGTH}토큰까지", "shown": f"{decoded[:40]!r} ({len(got)}토큰)"}
    if writing.given.get("do_sample"):
        fail(idea="생성", symptom="sampled", expected=about["expected"], got=about["shown"])
    name_the_overridden(writing)
    if got == written_with(max_length=LENGTH) and is_capped(step, writing):
        fail(idea=IDEA, symptom="beams-capped", expected=about["expected"], got=about["shown"])
    if got == written_with(num_beams=writing.beams, max_length=LENGTH) and writing.beams != BEAMS:
        shown = {"expected": about["expected"], "got": about["shown"]}
        fail(idea=IDEA, symptom="length-only", **shown, beams=writing.beams)
    recognise(got, wrong_rows(), idea=IDEA, **about)
    fail("요청한 빔의 수와 길이로 쓴 요약과 다릅니다.", idea=IDEA, expected=about["expected"], got=about["shown"])


@todo("5-3")
def test_a_summary_that_ends_early_stays_short(step, writing):
    """요청한 길이는 상한입니다. 끝 토큰이 일찍 나오면 거기에서 끝납니다."""
    if not (isinstance(writing.row, Tensor) and tuple(writing.row.tolist()) == want()):
        return  # 앞의 검사가 말합니다.
    end, right = ended_early()
    made = Writing(step, eos_token_id=end)
    got = tuple(made.row.tolist())
    if got != right:
        shown = {"expected": f"{len(right)}토큰", "got": f"{len(got)}토큰"}
        if any(made.given.get(name) for name in ("min_length", "min_new_tokens")):
            fail(idea="길이", symptom="minimum-too", **shown)
        name_the_overridden(made)
        fail("일찍 끝나는 요약이 모델의 설정대로 쓴 것과 다릅니다.", idea="길이", **shown)


NEUTRAL = (None, 0, 1, False)  # 적지 않았을 때의 값들


def name_the_overridden(writing: Writing) -> None:
    """모델의 설정에 없던 값을 코드에 적어 건넸으면 그렇다고 말합니다. 새 설정의 기본값은 적은 것이 아닙니다."""
    ours = ("num_beams", "max_length", "max_new_tokens", "generation_config")
    for name, value in writing.given.items():
        if name in ours or name not in writing.before or value == writing.before[name]:
            continue
        if name in writing.written_out or value not in NEUTRAL:
            shown = {"expected": f"{name}={writing.before[name]}", "got": f"{name}={value}"}
            fail(idea=IDEA, symptom="others-overridden", **shown)


def changed_settings(writing: Writing, beams: int) -> list[tuple[str, Any, Any]]:
    """요청에 없는데 모델의 것과 다르게 건넨 설정의 (이름, 모델의 값, 건넨 값)들. None은 적지 않은 것입니다."""
    changed = []
    for name, unwritten in STEERING.items():
        own, given = writing.before.get(name), writing.given.get(name)
        if given is None or given == own or given == [own]:
            continue
        if given == unwritten and (own is None or (beams == 1 and name in FOR_BEAMS)):
            continue
        changed.append((name, own, given))
    return changed


def is_capped(step: Any, writing: Writing) -> bool:
    """많이 달라고 하면 모델의 설정만큼, 적게 달라고 하면 그만큼 건네는가."""
    own = models.GENERATION["num_beams"]
    return writing.given.get("num_beams") == own and Writing(step, beams=1).given.get("num_beams") == 1


@todo("5-3")
def test_only_the_beams_and_the_length_are_the_requests(step, writing):
    """요청에 있는 것은 빔과 길이뿐입니다. 나머지는 어떤 요청에서든 모델의 것입니다."""
    if not (isinstance(writing.row, Tensor) and tuple(writing.row.tolist()) == want()):
        return  # 앞의 검사가 말합니다.
    usual = changed_settings(Writing(step, **OWN), BEAMS)
    for name, own, given in usual:
        shown = {"expected": f"{name}={own}", "got": f"{name}={given}"}
        fail(idea=IDEA, symptom="sampled" if name == "do_sample" else "others-overridden", **shown)
    for beams, length in REQUESTS:
        made = Writing(step, beams, length, **OWN)
        request = f"빔 {beams}개, {length}토큰까지"
        for name, own, given in changed_settings(made, beams):
            shown = {"expected": f"{name}={own}", "got": f"{name}={given}", "request": request}
            fail(idea=IDEA, symptom="changed-by-request", usual=f"빔 {BEAMS}개, {LENGTH}토큰까지", **shown)
        if tuple(made.row.tolist()) != written_with(num_beams=beams, max_length=length, **OWN):
            about = {"expected": f"{request} 쓴 요약", "got": f"다른 요약 ({len(made.row)}토큰)"}
            fail("요청한 빔의 수와 길이로 쓴 요약과 다릅니다.", idea=IDEA, **about)


@todo("5-3")
def test_a_decoder_only_model_writes_as_much(step, writing):
    """디코더뿐인 모델의 max_length에는 읽은 것이 이미 더해져 있습니다. 새로 쓰는 것은 요청한 만큼입니다."""
    if not (isinstance(writing.row, Tensor) and tuple(writing.row.tolist()) == want()):
        return  # 앞의 검사가 말합니다.
    writer = models.model("kogpt2")
    writer.generation_config.eos_token_id = None  # 상한까지 씁니다.
    summarizer = step.Summarizer(writer, support.tokenizer(), PROMPT)
    summarizer.max_length = None
    known = when("[Ii]nput length of input_ids is|max_length. must be|max_new_tokens. must be", "prompt-again", **AGAIN)
    with explained(known):
        row = summarizer.write(TALK, 2, FRESH)
    if len(row) != FRESH:
        symptom = "prompt-again" if len(row) in (0, 1, FRESH + PROMPT, FRESH - PROMPT) else None
        message = "" if symptom else "디코더뿐인 모델이 요청한 길이만큼 쓰지 않았습니다."
        fail(message, symptom=symptom, idea="길이", expected=f"새로 {FRESH}토큰", got=f"새로 {len(row)}토큰")


@todo("5-3")
def test_the_models_own_way_of_writing_stays(writing):
    """모델의 generate를 바꾸어 끼우지 않습니다. 그사이에 온 요청도 그것을 부르게 됩니다."""
    if writing.is_wrapped:
        fail(idea="함께 쓰는 것", symptom="generate-replaced", expected="model.generate", got="바꾸어 끼운 것")


@todo("5-3")
def test_the_shared_settings_stay(writing):
    """모델의 생성 설정은 부르는 동안에도, 부르고 나서도 그대로입니다. 다른 요청이 함께 쓰고 있습니다."""
    kept = "not-copied" if writing.shared_given else "leaks"
    for moment, symptom in ((writing.after, kept), (writing.during, "borrowed")):
        changed = [name for name, value in writing.before.items() if moment.get(name) != value]
        if changed:
            name = changed[0]
            about = {"expected": f"{name} {writing.before[name]}", "got": f"{name} {moment.get(name)}"}
            fail(idea="함께 쓰는 것", symptom=symptom, **about)


@todo("5-3")
def test_requests_do_not_share_their_settings(step, writing):
    """요청마다 제 설정으로 씁니다. 한 벌을 함께 고쳐 쓰면, 나란히 온 요청의 것이 섞입니다."""
    if not (isinstance(writing.row, Tensor) and tuple(writing.row.tolist()) == want()):
        return  # 앞의 검사가 말합니다.
    writer = models.summarizer()
    given: list[tuple[Any, dict[str, Any]]] = []
    real = writer.generate

    def generate(*inputs: Any, **more: Any) -> Any:
        asked = more.get("generation_config")
        if asked is not None and asked is not writer.generation_config:
            given.append((asked, asked.to_dict()))
        return real(*inputs, **more)

    writer.generate = generate
    summarizer = step.Summarizer(writer, support.tokenizer(), MAX_LEN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "step2_dialogue_dataset.encode_dialogue", lambda tokenizer, talk, length: support.encoded(talk, length)
        )
        for beams, length in ((BEAMS, LENGTH), (3, 7)):
            summarizer.write(TALK, beams, length)
    if len(given) == 2 and given[0][0] is given[1][0] and given[0][1] != given[1][1]:
        fail(idea="함께 쓰는 것", symptom="settings-shared", expected="요청마다 새 설정", got="같은 설정을 고친 것")


@todo("5-3")
def test_it_is_written_once(writing):
    """요약은 한 번만 씁니다."""
    if writing.calls > 1 and tuple(writing.row.tolist()) == want():
        fail(
            "generate를 두 번 넘게 불렀습니다. 요청 하나를 기다리는 시간이 그만큼 늘어납니다.",
            idea="한 번",
            got=writing.calls,
        )
