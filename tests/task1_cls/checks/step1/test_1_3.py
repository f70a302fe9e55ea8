"""1-3의 검사: 토크나이저."""

from __future__ import annotations

import re
import shutil
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from course.checks.recognising import explained, when
from course.checks.words import assert_equal, fail, todo
from course.checks.workspace import workspace
from nlpbook.errors import UserError
from tests.task1_cls.checks import support
from tests.task1_cls.checks.step1.common import NOTHING, attempt, reaches_the_end, refusal, stored

TEXTS = [*support.SENTENCES[:4], "처음 보는 낱말도 Apple 123 ㅋㅋㅋ", ""]
NEW_WORDS = ["갓벽", "ㅋㅋㅋ", "ㅠㅠ", "노잼", "꿀잼"]  # 작은 모델의 어휘에 없는 것들


@pytest.fixture(scope="module")
def got_tokenizer(load):
    trial = attempt(load(1), "1-3")
    own = refusal(trial, "1-3")
    model = {"idea": "어휘와 임베딩", "expected": "self.lm_config", "got": "self.lang_model"}
    with explained(when("has no attribute 'lang_model'", "not-yet", **model)):
        value = stored(trial, "1-3") if own is None or trial.value is NOTHING else trial.value
    reaches_the_end(trial)
    if isinstance(value, type) or not (callable(value) and hasattr(value, "convert_ids_to_tokens")):
        got = f"{value.__name__} 클래스" if isinstance(value, type) else type(value).__name__
        fail(idea="토크나이저", expected="글을 받아 토큰 번호를 내는 것", got=got, symptom="not-a-tokenizer")
    if trial.taught and value.get_vocab() != support.tokenizer().get_vocab():
        fail(idea="토큰 번호", expected="모델이 배운 번호", got="새로 매긴 번호", symptom="retrained")
    if value.get_vocab() == support.tokenizer().get_vocab():
        check_accepted(own, len(value), len(value), "refuses-own")
    return value


@todo("1-3")
def test_tokenizer_speaks_the_models_numbers(got_tokenizer):
    """같은 낱말에 모델이 배운 것과 같은 번호를 붙입니다."""
    got, want = got_tokenizer.get_vocab(), support.tokenizer().get_vocab()
    if len(got) > len(want) and want.items() <= got.items():
        fail(idea="어휘", expected=f"{len(want)}개", got=f"{len(got)}개", symptom="grown-vocabulary")
    if got != want:
        fail(idea="토큰 번호", expected=f"어휘 {len(want)}개", got=f"어휘 {len(got)}개", symptom="other-tokenizer")


@todo("1-3")
def test_tokenizer_cuts_text_like_the_models_own(got_tokenizer):
    """같은 글을 같은 번호로 바꾸고, 앞뒤에 같은 특수 토큰을 붙입니다."""
    for text in TEXTS:
        want = support.tokenizer()(text)["input_ids"]
        ids = list(got_tokenizer(text)["input_ids"])
        if ids != want:
            message = f"{text!r}의 토큰 번호가 다릅니다."
            same_words = got_tokenizer.get_vocab() == support.tokenizer().get_vocab()  # 아니라면 다른 검사가 말합니다.
            symptom = "other-tokens" if same_words else None
            fail(message, idea="토큰 번호", expected=want, got=ids, symptom=symptom, text=text)


@todo("1-3")
def test_tokenizer_pads_and_truncates_like_the_models_own(got_tokenizer):
    """채우는 번호와 쪽, 자르는 쪽이 모델이 배운 것과 같습니다."""
    check_special_tokens(got_tokenizer, support.tokenizer())
    texts = [support.LONG_TEXT, support.SENTENCES[3]]
    got, want = (
        one(texts, padding=True, truncation=True, max_length=9) for one in (got_tokenizer, support.tokenizer())
    )
    for name in ("input_ids", "attention_mask"):
        for here, there in zip(got[name], want[name], strict=True):
            if list(here) != there:
                message = "자르거나 채운 쪽이 다릅니다."
                alike = all(got_tokenizer(one)["input_ids"] == support.tokenizer()(one)["input_ids"] for one in TEXTS)
                symptom = "other-side" if alike else None
                fail(message, idea="채움과 자름", expected=there, got=list(here), symptom=symptom)


def check_special_tokens(tokenizer: Any, right: Any, where: str = "") -> None:
    """특수 토큰의 번호가 `right`와 같은지. `where`는 어느 폴더에서인지."""
    for name in ("pad_token_id", "cls_token_id", "sep_token_id", "unk_token_id", "mask_token_id"):
        got, want = getattr(tokenizer, name), getattr(right, name)
        if got != want:
            symptom = "special-lost" if got is None else "special-token"
            fail(idea="특수 토큰", expected=want, got=got, symptom=symptom, name=f"{where}{name}")


@todo("1-3")
def test_tokenizer_is_fast(got_tokenizer):
    """빠른(fast) 토크나이저는 토큰이 글의 어디에서 왔는지도 압니다."""
    if not getattr(got_tokenizer, "is_fast", False):
        fail(idea="빠른 토크나이저", expected="is_fast=True", got="False", symptom="slow")
    got = got_tokenizer("별로", return_offsets_mapping=True)["offset_mapping"]
    assert_equal([tuple(one) for one in got][1], (0, 2), idea="빠른 토크나이저", message="토큰의 자리가 다릅니다.")


@todo("1-3")
def test_slow_tokenizer_is_not_asked_for(load, monkeypatch):
    """use_fast=False라고 적지 않습니다. transformers 5는 못 본 체하지만, 그 앞의 판에서는 느린 것이 옵니다."""
    from transformers import AutoTokenizer

    asked, real = [], AutoTokenizer.from_pretrained
    monkeypatch.setattr(
        AutoTokenizer, "from_pretrained", lambda *args, **more: asked.append(more) or real(*args, **more)
    )
    attempt(load(1), "1-3")
    if any(not more.get("use_fast", True) for more in asked):
        idea = "빠른 토크나이저"
        fail(idea=idea, expected="use_fast=True", got="use_fast=False", symptom="slow")


# ── 특수 토큰의 글자가 BERT와 다른 폴더

ROLES = {"pad": "<pad>", "unk": "<unk>", "cls": "<s>", "sep": "</s>", "mask": "<mask>"}


@cache
def other_spelling() -> Path:
    """RoBERTa처럼 특수 토큰이 <pad>, <s>, …인 폴더. 임베딩의 줄 수는 토큰의 수와 같습니다."""
    from transformers import AutoTokenizer

    folder = workspace() / "angle-brackets"
    bert = {f"[{role.upper()}]": word for role, word in ROLES.items()}
    shutil.copytree(support.tiny_model(), folder, dirs_exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        if (folder / name).is_file():
            text = (folder / name).read_text(encoding="utf-8")
            for word, other in bert.items():
                text = text.replace(word, other)
            (folder / name).write_text(text, encoding="utf-8")
    assert AutoTokenizer.from_pretrained(str(folder)).pad_token == "<pad>"
    return folder


@todo("1-3")
def test_special_tokens_are_those_of_the_folder(load, got_tokenizer):
    """특수 토큰의 글자는 모델마다 다릅니다. 폴더의 것에 더하지도 바꾸지도 않습니다."""
    from transformers import AutoTokenizer

    trial = attempt(load(1), "1-3", other_spelling())
    want = AutoTokenizer.from_pretrained(str(other_spelling()))
    if got_tokenizer.get_vocab() != support.tokenizer().get_vocab():
        return  # 언제나 다른 토크나이저를 부른 것은 다른 검사가 말합니다.
    for one in (trial.value, *trial.tokenizers):
        more = sorted(set(one.get_vocab()) - set(want.get_vocab())) if hasattr(one, "get_vocab") else []
        if more:
            shown = {"expected": f"{len(want)}개", "got": f"{len(one)}개", "more": ", ".join(more)}
            fail(idea="특수 토큰", symptom="special-added", **shown)
    if (own := refusal(trial, "1-3")) is not None:
        check_accepted(own, len(want), len(want), "refuses-own")
    check_special_tokens(stored(trial, "1-3"), want, "특수 토큰이 <pad>, <s>처럼 적힌 폴더에서 ")


# ── 토큰이 모델의 임베딩보다 많은 폴더


@cache
def mixed_folder(rows: int, added: int = 0, trained: int = 0) -> Path:
    """모델과 토크나이저의 수가 다른 폴더. 가중치는 작은 BERT의 것입니다.

    Args:
        rows: 설계도에 적힌 임베딩의 줄 수.
        added: 모델의 토크나이저에 `add_tokens`로 더한 낱말의 수. `vocab_size`는 세지 않고 `len`은 셉니다.
        trained: 처음부터 어휘에 있던 것처럼 넣은 낱말의 수. 둘 다 셉니다.
    """
    folder = workspace() / f"mixed-{rows}-{added}-{trained}"
    tokenizer = support.tokenizer_of(NEW_WORDS[:trained])
    tokenizer.add_tokens(NEW_WORDS[:added])
    tokenizer.save_pretrained(folder)
    shutil.copy(support.tiny_model() / "model.safetensors", folder)
    shape = support.tiny_shape()
    shape.vocab_size = rows
    shape.save_pretrained(folder)
    return folder


def refused(load, **mixed: int) -> tuple[BaseException | None, str]:
    """그 폴더의 토크나이저를 거절한 예외와, 화면에 찍은 글. 거절하지 않았으면 예외는 None입니다."""
    said = StringIO()
    with redirect_stdout(said):
        trial = attempt(load(1), "1-3", mixed_folder(**mixed))
    error = refusal(trial, "1-3")
    if error is None:
        stored(trial, "1-3")
    return error, said.getvalue()


@todo("1-3")
def test_more_tokens_than_the_model_has_rows_are_refused(load, got_tokenizer):
    """토큰이 임베딩보다 하나라도 많으면, 두 수를 적은 UserError로 멈춥니다."""
    if got_tokenizer.get_vocab() != support.tokenizer().get_vocab():
        return  # 언제나 다른 토크나이저를 부른 것은 다른 검사가 말합니다.
    rows = len(support.tokenizer())
    for mixed, symptom in (
        ({"trained": 5}, "accepted"),
        ({"added": 3}, "base-vocabulary"),
        ({"added": 1}, "off-by-one"),
    ):
        tokens = rows + sum(mixed.values())
        error, said = refused(load, rows=rows, **mixed)
        about = {"idea": "어휘와 임베딩", "expected": f"토큰 {tokens}개, 임베딩 {rows}줄을 거절"}
        if error is None:
            only_said = symptom == "accepted" and {rows, tokens} <= numbers_in(said)
            fail(**about, got="받아들임", symptom="only-said" if only_said else symptom)
        if not isinstance(error, UserError):
            fail(**about | {"expected": "UserError"}, got=type(error).__name__, symptom="other-error")
        message = str(error).replace(str(mixed_folder(rows=rows, **mixed)), "")
        if not {rows, tokens} <= numbers_in(message):
            fail(**about | {"expected": f"{tokens}과(와) {rows}이(가) 든 문장"}, got=message, symptom="no-numbers")
        if swapped := re.search(rf"\b{tokens}\s*줄", message.replace(",", "")):
            fail(**about, got=swapped.group(), symptom="swapped-numbers", rows=rows)
        if not re.search("[가-힣]", message):
            fail("오류의 문장이 한국어가 아닙니다.", **about | {"expected": "한국어 한 문장"}, got=message)


@todo("1-3")
def test_spare_rows_are_no_fault(load, got_tokenizer):
    """임베딩이 토큰보다 많은 것은 잘못이 아닙니다. 줄 수를 64의 배수로 올려 두는 모델이 많습니다."""
    tokens = len(support.tokenizer())
    if len(got_tokenizer) == tokens:
        check_accepted(refused(load, rows=tokens + 37)[0], tokens, tokens + 37, "refuses-fewer")


def check_accepted(error: BaseException | None, tokens: int, rows: int, symptom: str) -> None:
    """이 모델의 토크나이저를 거절하지 않았는지."""
    if error is not None:
        more = {"expected": "받아들임", "got": f"거절함({type(error).__name__})", "tokens": tokens, "rows": rows}
        fail(idea="어휘와 임베딩", symptom=symptom, **more)


def numbers_in(text: str) -> set[int]:
    """글에 적힌 수들. 10,000처럼 쉼표를 넣은 것도 하나로 봅니다."""
    return {int(one.replace(",", "")) for one in re.findall(r"\d{1,3}(?:,\d{3})+|\d+", text)}
