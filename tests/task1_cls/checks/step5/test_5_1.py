"""5-1의 검사: 웹 API."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import Any

import pytest

from course.checks.words import assert_close, assert_equal, fail, known_as, matches, show, todo
from nlpbook.classification.config import ServeConfig

PRAISE = "그는 \"최고\"라며  <B>울었다</B> & '또' 보자 \\ 100% 😀"
COMPLAINT = "시간이 아깝다"
ENDLESS = " ".join(["지루하고"] * 60)  # 모델이 읽는 토큰보다 글자가 많습니다. 자르는 것은 모델의 토크나이저입니다.
ANSWER_NAMES = ("sentence", "prediction", "negative", "positive")
POSITIVE = {
    PRAISE: 0.8125,
    COMPLAINT: 0.0625,
    ENDLESS: 0.1875,
}  # 긍정 확률. 서로의 뒤집은 값이 아닙니다.
CERTAIN = {"다시 봐도 최고": 0.99609375, "두 번은 못 봄": 0.00390625}
UNSURE = {"그럭저럭 볼만하다": ("긍정", 0.515625), "그럭저럭 지루하다": ("부정", 0.484375)}


@known_as("Prediction")
@dataclass(frozen=True)
class FakePrediction:
    """3단계의 Prediction과 같은 모양."""

    text: str
    negative: float
    positive: float

    @property
    def label(self) -> str:
        return "긍정" if self.positive >= self.negative else "부정"


@known_as("NSMCModel")
class FakeModel:
    """정해 둔 답을 하고, 받은 문장을 적어 두는 모델."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def eval(self) -> FakeModel:
        return self

    def __call__(self, *_: Any, **__: Any) -> None:
        self._other("모델을 바로 부름")

    def __getattr__(self, name: str) -> Any:
        if name in ("forward", "training_step", "validation_step", "test_step", "lang_model", "lm_tokenizer"):
            self._other(f"self.model.{name}")
        raise AttributeError(f"'NSMCModel' object has no attribute '{name}'")

    @staticmethod
    def _other(got: str) -> None:
        more = {"expected": "self.model.infer_one", "got": got, "symptom": "other-method"}
        fail(idea="infer_one", **more)

    def infer_one(self, text: str) -> FakePrediction:
        self.asked.append(text)
        known = POSITIVE | CERTAIN | {one: positive for one, (_, positive) in UNSURE.items()}
        positive = known.get(text, 0.375) if isinstance(text, str) else 0.375
        return FakePrediction(text, negative=1 - positive, positive=positive)


class Service:
    """가짜 모델을 문 웹 앱. `ask`는 /api의 답을 딕셔너리로 돌려줍니다.

    Args:
        reading: 문장을 얼마나 읽었는지 답하는 함수.
    """

    def __init__(self, step: Any, reading: Any = None) -> None:
        self.model = FakeModel()
        config = ServeConfig()
        config.env.job_name = "check"
        app = step.build_web_app(self.model, config, reading)
        app.testing = True  # 학생의 예외가 500 속에 숨지 않게
        self.client = app.test_client()

    def ask(self, text: str, payload: Any = None) -> dict[str, Any]:
        """문장을 보냅니다. 답이 딕셔너리가 아니거나 모델이 다른 문장을 받았으면 여기서 실패합니다."""
        body = json.dumps({"text": text} if payload is None else payload, ensure_ascii=False)
        self.model.asked.clear()
        try:
            response = self.client.post("/api", data=body.encode(), content_type="application/json")
        except NameError as error:
            if error.name in ANSWER_NAMES:
                more = {"expected": f'"{error.name}"', "got": error.name, "symptom": "unquoted-keys"}
                fail(idea="딕셔너리의 이름", **more)
            raise
        asked = self.model.asked
        if text not in asked:
            self._wrong_question(text, body, response.status_code)
        if response.status_code != 200:
            more = {"idea": "웹 API", "expected": "200", "got": response.status_code, "symptom": "other-status"}
            fail(**more)
        answer = response.get_json(silent=True)
        if not isinstance(answer, dict):
            more = {"expected": "딕셔너리", "got": type(answer).__name__, "symptom": "not-a-dict"}
            fail(idea="웹 API의 약속", **more)
        return answer

    def _wrong_question(self, text: str, body: str, status: int) -> None:
        asked = self.model.asked
        got = (show(asked[-1]) if asked[-1] else "빈 글") if asked else f"문장 없음(응답 {status})"
        more: dict[str, Any] = {"idea": "요청 읽기", "expected": show(text), "got": got}
        if asked and isinstance(asked[-1], (list, tuple)):
            fail(symptom="list-of-one", **more)
        if not asked and status == 200:
            more = {"expected": "infer_one을 부름", "got": "부르지 않음", "symptom": "not-asked"}
            fail(idea="infer_one", **more)
        if asked and isinstance(asked[-1], str) and html.unescape(asked[-1]) == text:
            fail(symptom="escaped", **more)
        if not asked or asked[-1] in ("", b"", None, body, body.encode()) or isinstance(asked[-1], dict):
            fail(symptom="reread-body", **more)
        fail(symptom="asked-other", **more)


@pytest.fixture
def service(step):
    return Service(step)


@todo("5-1")
def test_answer_has_the_four_names(service):
    """답에는 sentence, prediction, negative, positive가 있습니다."""
    answer = service.ask(COMPLAINT)
    want = ANSWER_NAMES
    if missing := [name for name in want if name not in answer]:
        nested = any(isinstance(one, dict) for one in answer.values())
        symptom = "nested" if nested else "wrong-names" if {"text", "label"} & set(answer) else "missing-names"
        got = ", ".join(sorted(answer))
        fail(idea="웹 API의 약속", expected=", ".join(want), got=got, symptom=symptom, missing=", ".join(missing))


@todo("5-1")
@pytest.mark.parametrize("text", [PRAISE, COMPLAINT, ENDLESS], ids=["praise", "complaint", "endless"])
def test_probabilities_are_numbers_under_their_own_names(service, text):
    """negative와 positive는 모델이 답한 확률이고, 글이 아니라 수입니다."""
    answer = service.ask(text)
    pair = [answer.get("negative"), answer.get("positive")]
    want = [1 - POSITIVE[text], POSITIVE[text]]
    if not all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in pair):
        symptom = "text-probability" if all(isinstance(one, str) for one in pair) else None
        idea = "JSON의 수"
        got = json.dumps(pair, ensure_ascii=False)
        fail("확률이 수가 아닙니다.", idea=idea, expected=show(want), got=got, symptom=symptom)
    if matches(pair, want[::-1], 1e-3):
        others = {one: service.ask(one) for one in POSITIVE if one != text}
        if any(matches(one.get("positive") or 0.0, POSITIVE[asked], 1e-3) for asked, one in others.items()):
            more = {"expected": show(want), "got": show(pair), "symptom": "by-size"}
            fail(idea="라벨의 순서", **more)
        fail(idea="라벨의 순서", expected=show(want), got=show(pair), symptom="swapped")
    if matches(pair, [100 * one for one in want], 0.1):
        fail(idea="확률", expected=show(want), got=show(pair), symptom="percent")
    digits = [n for n in (0, 1, 2) if matches(pair, [round(one, n) for one in want], 1e-9)]
    if digits or pair[0] == pair[1]:
        message = f"확률을 소수 {digits[0]}자리에서 반올림했습니다." if digits else "두 확률에 같은 값을 담았습니다."
        symptom = "rounded" if digits else "same-twice"
        fail(message, idea="확률", expected=show(want), got=show([float(one) for one in pair]), symptom=symptom)
    # 화면에 맞추어 소수 셋째 자리까지 반올림한 것은 괜찮습니다.
    assert_close(pair, want, atol=1e-3, idea="확률", message="확률이 모델의 답과 다릅니다.")


@todo("5-1")
@pytest.mark.parametrize(("text", "want"), [(PRAISE, "긍정"), (COMPLAINT, "부정")], ids=["praise", "complaint"])
def test_prediction_is_the_word_for_the_likelier_label(service, text, want):
    """prediction은 더 그럴듯한 쪽의 이름, "긍정"이나 "부정"입니다."""
    got = service.ask(text).get("prediction")
    if got == want:
        return
    message = "prediction이 더 그럴듯한 라벨의 이름과 다릅니다."
    if got in ("긍정", "부정"):
        words = {positive: service.ask(one).get("prediction") for one, positive in {**POSITIVE, **CERTAIN}.items()}
        rising = [word for _, word in sorted(words.items())]
        symptom = None if ("긍정", "부정") in zip(rising, rising[1:], strict=False) else "own-threshold"
        symptom = "label-reversed" if rising[0] == "긍정" != rising[-1] else symptom
        symptom = "one-label" if len(set(rising)) == 1 else symptom
    elif isinstance(got, (bool, int, float)):
        symptom = "raw-label"
    else:
        symptom = "whole-prediction" if isinstance(got, dict) else "other-word" if got else None
    found = f"딕셔너리({', '.join(got)})" if isinstance(got, dict) else show(got)
    fail(message, idea="사람이 읽을 라벨", expected=want, got=found, symptom=symptom, positive=POSITIVE[text])


@todo("5-1")
@pytest.mark.parametrize("text", UNSURE, ids=["barely positive", "barely negative"])
def test_a_close_call_is_still_one_of_the_two(service, text):
    """두 확률이 비슷해도 더 큰 쪽의 이름으로 답합니다."""
    (want, positive), got = UNSURE[text], service.ask(text).get("prediction")
    if got == want:
        return
    usual = [service.ask(one).get("prediction") == word for one, word in ((PRAISE, "긍정"), (COMPLAINT, "부정"))]
    more = {"expected": want, "got": show(got), "positive": positive, "symptom": "third-label" if all(usual) else None}
    fail("두 확률이 비슷할 때의 prediction이 다릅니다.", idea="사람이 읽을 라벨", **more)


@todo("5-1")
@pytest.mark.parametrize("form", ["string", "object"])
def test_sentence_comes_back_unchanged(service, form):
    """문장은 JSON 문자열로 보내든 {"text": …}로 보내든, 따옴표와 태그까지 그대로 돌아옵니다."""
    got = service.ask(PRAISE, PRAISE if form == "string" else None).get("sentence")
    if got == PRAISE:
        return
    escaped = isinstance(got, str) and (html.unescape(got) == PRAISE or got == json.dumps(PRAISE, ensure_ascii=False))
    if isinstance(got, dict):
        got, symptom = f"딕셔너리({', '.join(got)})", "whole-prediction"
    elif got is None:
        symptom = None
    else:
        symptom = "escaped" if escaped or got == json.dumps(PRAISE) else "changed-sentence"
    idea = "JSON과 HTML"
    fail("돌아온 문장이 보낸 문장과 다릅니다.", idea=idea, expected=PRAISE, got=show(got), symptom=symptom)


@todo("5-1")
def test_every_request_gets_its_own_answer(service):
    """앞 요청의 답이 다음 요청에 남지 않습니다."""
    answers = [service.ask(text) for text in (PRAISE, COMPLAINT, PRAISE)]
    assert_equal(
        [one.get("sentence") for one in answers],
        [PRAISE, COMPLAINT, PRAISE],
        idea="요청마다 새 답",
        message="요청의 순서대로 답하지 않습니다.",
    )
    if answers[0] != answers[2]:
        fail("같은 문장을 다시 물었더니 답이 달라졌습니다.", idea="요청마다 새 답", expected=answers[0], got=answers[2])


@todo("5-1")
def test_the_answer_says_how_much_was_read(step):
    """긴 문장은 앞만 읽었다는 것이 answer에 더해집니다. 자리 아래의 줄이 하는 일입니다."""
    note = {"tokens": 913, "read": 127}
    answer = Service(step, lambda text: dict(note)).ask(COMPLAINT)
    if not note.items() <= answer.items():
        fail(idea="return", expected=", ".join(note), got=", ".join(answer), symptom="early-return")
