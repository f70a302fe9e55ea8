"""3-4의 검사: 문장 하나."""

from __future__ import annotations

import traceback
from functools import cache
from typing import Any

import torch

from course.checks.recognising import recognise
from course.checks.side_effects import GradientsKept, SettingsKept, WeightsKept
from course.checks.words import assert_close, close, fail, matches, show, todo
from tests.task1_cls.checks import support
from tests.task1_cls.checks.step3.common import ATOL, COUNT, asked
from todo import TodoNotDone

TEXT = "배우들 연기가 좋아서 두 번 봤어요"


def inferred(model, text):
    """문장 하나의 답. 모델은 평가 모드 그대로이고, 확률은 파이썬의 수입니다."""
    settings, weights, gradients = SettingsKept(model.config), WeightsKept(model), GradientsKept(model)
    try:
        got = asked(model.infer_one, text)
    finally:
        settings.check()  # 멈춘 까닭이 바꾸어 놓은 설정일 수도 있습니다.
        weights.check()
        gradients.check()
    if not all(hasattr(got, name) for name in ("text", "negative", "positive")):
        kind = type(got).__name__
        fail(idea="단계의 약속", expected="Prediction", got=kind, symptom="not-prediction")
    if model.lang_model.training:
        fail(idea="train/eval", expected="평가 모드", got="학습 모드", symptom="train-mode")
    kinds = [type(one).__name__ for one in (got.negative, got.positive) if not isinstance(one, float)]
    if kinds:
        fail(idea="JSON으로 보낼 값", expected="float", got=kinds[0], symptom="not-float")
    return got


def answer_to(model, ids, mask=None):
    """토큰 번호를 그대로 건넸을 때의 로짓, (라벨 수,)."""
    ids = torch.tensor([ids], device=model.device)
    mask = torch.ones_like(ids) if mask is None else mask
    return support.reference_logits(model, {"input_ids": ids, "attention_mask": mask})[0]


def wrong_answers(model):
    """TEXT의 두 확률과 헷갈리는 값들."""
    tokenizer = support.tokenizer()
    ids = tokenizer(TEXT)["input_ids"]
    logits = answer_to(model, ids)
    negative, positive = logits.softmax(-1).tolist()
    one, other = logits.sigmoid().tolist()
    blanks = ids + [tokenizer.pad_token_id] * (support.SEQ_LEN - len(ids))
    return [
        ("swapped", [positive, negative]),
        ("softmax-dim0", [1.0, 1.0]),
        ("raw-logits", logits),
        ("log-softmax", logits.log_softmax(-1)),
        ("double-softmax", logits.softmax(-1).softmax(-1)),
        ("percent", [100 * negative, 100 * positive]),
        ("one-sigmoid", [1 - other, other]),
        ("one-sigmoid", [one, 1 - one]),
        ("same-twice", [negative, negative]),
        ("same-twice", [positive, positive]),
        ("no-special", answer_to(model, ids[1:-1]).softmax(-1)),
        ("no-mask", answer_to(model, blanks).softmax(-1)),
    ]


@todo("3-4")
def test_probabilities_match_the_models_logits(model):
    """확률은 로짓에 softmax를 한 값입니다."""
    got = inferred(model, TEXT)
    want = support.reference_probabilities(model, TEXT)
    pair = [got.negative, got.positive]
    if close(pair, want, ATOL):
        recognise_rounded(pair, want)  # 넷째 자리에서 반올림한 것도 여기까지 옵니다.
        return
    check_not_sorted(model)
    recognise(pair, wrong_answers(model), atol=ATOL, idea="softmax", expected=want)
    sigmoid, total = answer_to(model, support.tokenizer()(TEXT)["input_ids"]).sigmoid(), sum(pair)
    not_one = {"idea": "softmax", "expected": "합 1.000", "got": f"합 {total:.3f}", "sum": total}
    if matches(pair, sigmoid, ATOL):
        fail(symptom="sigmoid", **not_one)
    for length in range(1, len(TEXT)):
        if matches(pair, support.reference_probabilities(model, TEXT[:length]), ATOL):
            expected, read = f"{len(TEXT)}글자", f"{length}글자"
            fail(idea="truncation", expected=expected, got=read, symptom="cut-characters")
    others = [inferred(model, text) for text in support.SENTENCES[:COUNT]]
    if all(matches(pair, [one.negative, one.positive], 0) for one in others):
        fail(idea="모델의 입력", expected=show(want), got=show(pair), symptom="constant")
    recognise_rounded(pair, want)
    if not matches(total, 1.0, ATOL):
        fail("두 확률의 합이 1이 아닙니다.", **not_one)
    assert_close(pair, want, atol=ATOL, idea="softmax", message="확률이 로짓의 softmax와 다릅니다.")


def recognise_rounded(pair, want):
    """소수 몇 자리에서 반올림한 확률인지. 넷째 자리까지만 보이면 같아 보이므로 더 적습니다."""
    expected, got = (f"[{negative:.6f}, {positive:.6f}]" for negative, positive in (want, pair))
    for digits in range(6):
        if matches(pair, [round(one, digits) for one in want], 1e-7):
            fail(idea="softmax", expected=expected, got=got, symptom="hard-probs")


def check_not_sorted(model):
    """두 자리가 라벨의 순서인지, 문장마다 확률의 크기 순서인지."""
    texts, how = support.SENTENCES[:COUNT], {"truncation": True, "max_length": support.SEQ_LEN, "padding": True}
    inputs = support.tokenizer()(texts, **how, return_tensors="pt").to(model.device)
    every = support.reference_logits(model, inputs).softmax(-1)
    chosen = [int(every[:, 0].argmax()), int(every[:, 1].argmax())]  # 가장 부정인 것과 가장 긍정인 것
    answers = [inferred(model, texts[one]) for one in chosen]
    pairs, wants = [[one.negative, one.positive] for one in answers], every[chosen].tolist()
    for down in (True, False):
        ordered = [sorted(one, reverse=down) for one in wants]
        if ordered != wants and matches(pairs, ordered, ATOL):
            i = next(i for i, (one, want) in enumerate(zip(ordered, wants, strict=True)) if one != want)
            fail(idea="라벨의 순서", expected=show(wants[i]), got=show(pairs[i]), symptom="sorted-columns")


@todo("3-4")
def test_two_places_belong_to_the_labels(model):
    """앞자리는 언제나 부정, 뒷자리는 언제나 긍정입니다. 어느 쪽이 더 큰지와 상관없습니다."""
    check_not_sorted(model)


@todo("3-4")
def test_answer_follows_the_weights(model):
    """가중치가 달라지면 같은 문장의 답도 달라집니다."""
    first, want = inferred(model, TEXT), support.reference_probabilities(model, TEXT)
    if not matches([first.negative, first.positive], want, ATOL):
        return  # 처음의 답부터 다른 것은 다른 검사가 말합니다.
    with torch.no_grad():
        model.lang_model.classifier.bias += torch.tensor([1.0, -1.0], device=model.device)
    again = inferred(model, TEXT)
    want = support.reference_probabilities(model, TEXT)
    shown = {"expected": show(want), "got": show([again.negative, again.positive])}
    if matches([again.negative, again.positive], [first.negative, first.positive], 0):
        fail(idea="가중치", symptom="remembered", **shown)
    if not matches([again.negative, again.positive], want, ATOL):
        fail("바뀐 가중치의 답이 다릅니다.", idea="가중치", **shown)


@todo("3-4")
def test_answer_keeps_the_sentence(model):
    """답에는 물어본 문장이 그대로 있습니다."""
    got = inferred(model, TEXT).text
    if not isinstance(got, str) or got.strip() != TEXT:
        kind = show(got) if isinstance(got, str) else type(got).__name__
        fail(idea="이름의 덮어쓰기", expected=TEXT, got=kind, symptom="text-lost")


VERY_LONG = " ".join([support.LONG_TEXT] * 20)


def length_read(model):
    """아주 긴 글에서 모델이 받은 토큰의 수. 모델은 그보다 긴 것도 받는 척합니다. 부르지 않았으면 None."""
    seen = []

    class Endless(torch.nn.Module):
        device = model.device

        def forward(self, input_ids=None, *_, **__):
            from transformers.modeling_outputs import SequenceClassifierOutput

            seen.append(input_ids.size(-1))
            return SequenceClassifierOutput(logits=torch.tensor([[0.0, 1.0]], device=input_ids.device))

    real, model.lang_model = model.lang_model, Endless()
    try:
        model.infer_one(VERY_LONG)
    finally:
        model.lang_model = real
    return seen[0] if seen else None


@todo("3-4")
def test_long_text_is_truncated(model):
    """seq_len을 넘는 글도 잘려서 답을 얻습니다."""
    try:
        got = inferred(model, support.LONG_TEXT)
    except (IndexError, RuntimeError):
        length, whole = length_read(model), len(support.tokenizer()(VERY_LONG, verbose=False)["input_ids"])
        if length is not None and length < whole:
            shown = {"expected": f"{support.SEQ_LEN}토큰", "got": f"{length}토큰"}
            fail(idea="truncation", symptom="other-length", **shown)
        if length is None:
            raise
        shown = {"expected": f"{support.SEQ_LEN}토큰에서 자르기", "got": f"{length}토큰 그대로"}
        fail(idea="truncation", symptom="no-truncation", **shown)
    want = support.reference_probabilities(model, support.LONG_TEXT)
    pair = [got.negative, got.positive]
    if close(pair, want, ATOL):
        return
    message = "긴 글의 답이 seq_len에서 자른 답과 다릅니다."
    short = inferred(model, TEXT)
    if not matches([short.negative, short.positive], support.reference_probabilities(model, TEXT), ATOL):
        fail(message, idea="truncation", expected=show(want), got=show(pair))  # 자르는 일 말고도 다른 것이 있습니다.
    tokenizer, limit = support.tokenizer(), support.SEQ_LEN
    whole = tokenizer(support.LONG_TEXT, verbose=False)["input_ids"]
    lengths = range(3, tokenizer.model_max_length + 1)
    cut = [tokenizer(support.LONG_TEXT, truncation=True, max_length=length) for length in lengths]
    inputs = tokenizer.pad(cut, return_tensors="pt").to(model.device)
    for length, answer in zip(lengths, support.reference_logits(model, inputs).softmax(-1), strict=True):
        if matches(pair, answer, ATOL):
            # 토크나이저가 아는 한계까지 읽었다면, 몇 토큰에서 자를지 정하지 않은 것입니다.
            symptom = "tokenizer-limit" if length == tokenizer.model_max_length else "other-length"
            fail(idea="truncation", expected=f"{limit}토큰", got=f"{length}토큰", symptom=symptom)
    check_not_chunked(model, pair)
    for ids in (whole[:limit], whole[-limit:], whole[1 : limit + 1]):
        if matches(pair, answer_to(model, ids).softmax(-1), ATOL):
            fail(idea="truncation", expected=show(want), got=show(pair), symptom="special-lost")
    fail(message, idea="truncation", expected=show(want), got=show(pair))


def check_not_chunked(model, pair):
    """긴 글을 여러 조각으로 나누어 읽고, 조각들의 답을 모은 것인지."""
    tokenizer, limit = support.tokenizer(), support.SEQ_LEN
    how = {"truncation": True, "max_length": limit, "return_overflowing_tokens": True, "padding": True}
    for stride in (0, limit // 4, limit // 2):
        inputs = tokenizer(support.LONG_TEXT, stride=stride, **how, return_tensors="pt").to(model.device)
        logits = support.reference_logits(model, inputs)
        gathered = {
            "확률을 평균한": logits.softmax(-1).mean(0),
            "로짓을 평균한": logits.mean(0).softmax(-1),
            "마지막 조각만 본": logits[-1].softmax(-1),
        }
        for name, answer in gathered.items():
            if matches(pair, answer, ATOL):
                shown = {"expected": f"앞의 {limit}토큰", "got": f"조각 {len(logits)}개", "gathered": name}
                fail(idea="truncation", symptom="chunks", **shown)


@todo("3-4")
def test_dropout_is_off(model):
    """같은 문장은 두 번 물어도 같은 답입니다. 학습 도중에 물어도 그렇습니다."""
    model.train()
    first, second = inferred(model, TEXT), inferred(model, TEXT)
    if not close([first.negative], [second.negative], 1e-6):
        fail(idea="train/eval", expected=first.negative, got=second.negative, symptom="train-mode")


# 글자마다 토큰 하나일 때 seq_len을 넘지 않는 글들
ODD_TEXTS = [
    "10점 만점에 10점!!",
    "Good 영화, BEST :)",
    "재미있어요😂👍 ㅋㅋㅋ",
    "",
]


@cache
def spelling() -> Any:
    """글자마다 번호가 다른 토크나이저. 숫자, 영어, 그림 문자, 문장 부호도 저마다 다른 번호입니다."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertTokenizerFast

    letters = sorted({one for text in [TEXT, *ODD_TEXTS] for one in text + text.lower() if not one.isspace()})
    words = [*support.SPECIAL_TOKENS, *letters, *(f"##{one}" for one in letters)]
    how = {"handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    wordpiece = BertWordPieceTokenizer(vocab={word: number for number, word in enumerate(words)}, **how)
    return BertTokenizerFast(tokenizer_object=wordpiece._tokenizer, do_lower_case=False, model_max_length=64)


@todo("3-4")
def test_every_character_reaches_the_model(model):
    """숫자, 영어, 그림 문자, 문장 부호도 지우거나 바꾸지 않고 모델에 넣고, 답에도 그대로 담습니다."""
    model.lm_tokenizer = spelling()
    if not all(matches(*spelled(model, text)[1:], ATOL) for text in (TEXT, TEXT[:7])):
        return  # 한글만 있는 글의 답도 다르면, 다른 검사가 말합니다.
    for text in ODD_TEXTS:
        got, pair, want = spelled(model, text)
        read = matches(pair, want, ATOL)
        if read and (not isinstance(got.text, str) or got.text.strip() == text):
            continue  # 문장이 아닌 것을 담은 답은 다른 검사가 말합니다.
        if not read and matches(pair, want.flip(-1), ATOL):
            continue  # 두 자리가 바뀐 것도 다른 검사가 말합니다.
        if read and model.infer_one(TEXT).text != TEXT:
            continue
        what = "답이 다름" if got.text == text else repr(got.text)
        fail(idea="모델의 입력", expected=repr(text), got=what, symptom="text-changed", text=text)


def spelled(model, text):
    """(답, 두 확률, 글자마다 읽은 옳은 확률)."""
    got = inferred(model, text)
    inputs = spelling()(text, truncation=True, max_length=support.SEQ_LEN, return_tensors="pt").to(model.device)
    want = support.reference_logits(model, inputs).softmax(-1)[0]
    return got, [got.negative, got.positive], want


class Elsewhere(torch.nn.Module):
    """다른 장치에 있는 모델 대신: 가중치는 meta에 있고, 받은 텐서들의 장치를 적어 두고, CPU의 로짓을 돌려줍니다."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, device="meta"))
        self.seen: list[str] = []

    @property
    def device(self) -> torch.device:
        return self.weight.device

    def forward(self, *tensors: torch.Tensor, **named: torch.Tensor) -> Any:
        from transformers.modeling_outputs import SequenceClassifierOutput

        self.seen += [one.device.type for one in (*tensors, *named.values()) if isinstance(one, torch.Tensor)]
        return SequenceClassifierOutput(logits=torch.tensor([[0.0, 1.0]]))


@todo("3-4")
def test_inputs_go_where_the_model_is(model):
    """입력은 모델이 있는 장치로 옮겨서 넣습니다. GPU가 없어도, 모델이 다른 장치에 있는 체하며 봅니다."""
    model.lang_model = elsewhere = Elsewhere()
    model.to("meta")
    try:
        model.infer_one(TEXT)
    except TodoNotDone:
        raise
    except Exception as error:  # noqa: BLE001 - meta에는 값이 없어, 입력의 값을 들여다보는 옳은 답도 멈춥니다.
        if any(frame.name == "_apply" for frame in traceback.extract_tb(error.__traceback__)):
            fail(idea="장치", expected="모델은 그대로", got="옮긴 모델", symptom="model-moved")
    left = [one for one in elsewhere.seen if one != "meta"]
    if left:
        fail(idea="장치", expected="모델의 장치", got=left[0], symptom="other-device")
