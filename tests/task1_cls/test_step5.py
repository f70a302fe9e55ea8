"""5단계의 검사: 웹 API, 명령줄, 옵션에서 설정으로, Fabric."""

from __future__ import annotations

import html
import json
import re
from dataclasses import Field, asdict, dataclass, fields
from typing import Any, get_type_hints

import pytest
import torch
import typer
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy

from course.checks.words import assert_close, assert_equal, fail, known_as, matches, show, todo
from nlpbook.classification.arguments import Arguments, ServeArguments, TestArguments, TrainArguments
from nlpbook.cli import Options, UsageError
from nlpbook.settings import default_of

KINDS = {"train": TrainArguments, "test": TestArguments, "serve": ServeArguments}


@pytest.fixture
def step(load):
    return load(5)


# ---------------------------------------------------------------- 5-1 웹 API

PRAISE = "그는 \"최고\"라며  <B>울었다</B> & '또' 보자 \\ 100% 😀"
COMPLAINT = "시간이 아깝다"
ANSWER_NAMES = ("sentence", "prediction", "negative", "positive")
POSITIVE = {PRAISE: 0.8125, COMPLAINT: 0.0625}  # 두 문장의 긍정 확률. 어느 것도 서로의 뒤집은 값이 아닙니다.
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
        fail("infer_one이 아닌 것으로 물었습니다.", idea="infer_one", **more)

    def infer_one(self, text: str) -> FakePrediction:
        self.asked.append(text)
        known = POSITIVE | {one: positive for one, (_, positive) in UNSURE.items()}
        positive = known.get(text, 0.375) if isinstance(text, str) else 0.375
        return FakePrediction(text, negative=1 - positive, positive=positive)


class Service:
    """가짜 모델을 문 웹 앱. `ask`는 /api의 답을 사전으로 돌려줍니다."""

    def __init__(self, step: Any) -> None:
        self.model = FakeModel()
        args = ServeArguments()
        args.env.job_name = "check"
        app = step.build_web_app(self.model, args)
        app.testing = True  # 학생의 예외가 500 속에 숨지 않게
        self.client = app.test_client()

    def ask(self, text: str, payload: Any = None) -> dict[str, Any]:
        """문장을 보냅니다. 답이 사전이 아니거나 모델이 다른 문장을 받았으면 여기서 실패합니다."""
        body = json.dumps({"text": text} if payload is None else payload, ensure_ascii=False)
        self.model.asked.clear()
        try:
            response = self.client.post("/api", data=body.encode(), content_type="application/json")
        except NameError as error:
            if error.name in ANSWER_NAMES:
                more = {"expected": f'"{error.name}"', "got": error.name, "symptom": "unquoted-keys"}
                fail("사전의 이름에 따옴표가 없습니다.", idea="사전의 이름", **more)
            raise
        asked = self.model.asked
        if text not in asked:
            self._wrong_question(text, body, response.status_code)
        if response.status_code != 200:
            more = {"idea": "웹 API", "expected": "200", "got": response.status_code, "symptom": "other-status"}
            fail("옳은 요청에 200이 아닌 상태로 답했습니다.", **more)
        answer = response.get_json(silent=True)
        if not isinstance(answer, dict):
            more = {"expected": "사전", "got": type(answer).__name__, "symptom": "not-a-dict"}
            fail("답이 JSON 사전이 아닙니다.", idea="웹 API의 약속", **more)
        return answer

    def _wrong_question(self, text: str, body: str, status: int) -> None:
        asked = self.model.asked
        message = "모델이 받은 문장이 사용자가 보낸 문장과 다릅니다."
        got = (show(asked[-1]) if asked[-1] else "빈 글") if asked else f"문장 없음(응답 {status})"
        more: dict[str, Any] = {"idea": "요청 읽기", "expected": show(text), "got": got}
        if asked and isinstance(asked[-1], (list, tuple)):
            fail(message, symptom="list-of-one", **more)
        if not asked and status == 200:
            more = {"expected": "infer_one을 부름", "got": "부르지 않음", "symptom": "not-asked"}
            fail("모델에 문장을 묻지 않았습니다.", idea="infer_one", **more)
        if asked and isinstance(asked[-1], str) and html.unescape(asked[-1]) == text:
            fail(message, symptom="escaped", **more)
        if not asked or asked[-1] in ("", b"", None, body, body.encode()) or isinstance(asked[-1], dict):
            fail(message, symptom="reread-body", **more)
        fail(message, **more)


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
        message = f"답에 빠진 이름이 있습니다: {', '.join(missing)}."
        got = ", ".join(sorted(answer))
        fail(
            message,
            idea="웹 API의 약속",
            expected=", ".join(want),
            got=got,
            symptom=symptom,
            missing=", ".join(missing),
        )


@todo("5-1")
@pytest.mark.parametrize("text", [PRAISE, COMPLAINT], ids=["praise", "complaint"])
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
            fail("확률을 라벨이 아니라 크기대로 담았습니다.", idea="라벨의 순서", **more)
        fail(
            "negative와 positive가 뒤바뀌었습니다.",
            idea="라벨의 순서",
            expected=show(want),
            got=show(pair),
            symptom="swapped",
        )
    if matches(pair, [100 * one for one in want], 0.1):
        fail("확률에 100을 곱했습니다.", idea="확률", expected=show(want), got=show(pair), symptom="percent")
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
        both = {service.ask(one).get("prediction") for one in POSITIVE}
        symptom = "label-reversed" if len(both) == 2 else "one-label"
    elif isinstance(got, (bool, int, float)):
        symptom = "raw-label"
    else:
        symptom = "whole-prediction" if isinstance(got, dict) else "other-word" if got else None
    found = f"사전({', '.join(got)})" if isinstance(got, dict) else show(got)
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
        got, symptom = f"사전({', '.join(got)})", "whole-prediction"
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


# ---------------------------------------------------------------- 5-2 명령줄


class CommandLine:
    """build_cli가 만든 명령줄. train, test, serve는 불린 것을 적기만 하는 함수로 바꾸어 둡니다.

    Attributes:
        calls: (불린 함수의 이름, 받은 옵션).
        commands: 명령의 이름 → Typer가 만든 명령.
    """

    def __init__(self, step: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.asked, self.wrapped = 0, 0  # cli.command와 with_options를 부른 횟수
        self.apps: list[Any] = []  # new_app이 만든 것들
        self.new_functions: set[str] = set()  # 이름은 같지만 이 파일의 것이 아닌, 감싼 함수들
        self.recorders = {name: self._recorder(name) for name in KINDS}
        for name, recorder in self.recorders.items():
            monkeypatch.setattr(step, name, recorder)
        monkeypatch.setattr(step, "new_app", self._counted_app(step.new_app))
        monkeypatch.setattr(step, "with_options", self._counted_options(step.with_options))
        self.command = self._built(self._build(step))
        self.commands = dict(getattr(self.command, "commands", {self.command.name: self.command}))
        if missing := [name for name in KINDS if name not in self.commands]:
            self._missing(missing)
        for name, kind in KINDS.items():
            if not self.options_of(name) & set(kind.options()):
                self._without_options(name)

    def _build(self, step: Any) -> Any:
        """학생의 `build_cli`를 부릅니다. 알아본 예외는 무엇이 틀렸는지로 바꿉니다."""
        try:
            cli = step.build_cli()
        except (AttributeError, TypeError, SystemExit) as error:
            if self.calls or "'ctx'" in str(error):
                self._called_too_early()
            if isinstance(error, SystemExit):
                more = {"expected": "등록만 함", "got": "실행함", "symptom": "run-now"}
                fail("명령줄을 만들면서 실행까지 했습니다.", idea="등록과 실행", **more)
            if re.search(r"'function' object has no attribute '(options|groups)'", str(error)):
                more = {"expected": "with_options(설정 클래스)(함수)", "got": "with_options(함수)(…)"}
                fail("with_options에 함수를 먼저 건넸습니다.", idea="with_options", symptom="options-first", **more)
            raise
        if self.calls:
            self._called_too_early()
        return cli

    def _counted_app(self, new_app: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            app = new_app(*args, **kwargs)
            self.apps.append(app)
            command = app.command

            def count(*args: Any, **kwargs: Any) -> Any:
                self.asked += 1
                return command(*args, **kwargs)

            app.command = count
            return app

        return counted

    def _counted_options(self, with_options: Any) -> Any:
        def with_options_(kind: Any, *more: Any) -> Any:
            if more:
                shown = {"expected": "with_options(설정 클래스)(함수)", "got": "with_options(설정 클래스, 함수)"}
                fail("with_options에 함수까지 함께 건넸습니다.", idea="with_options", symptom="options-two", **shown)
            self.wrapped += 1
            decorate = with_options(kind)

            def decorator(function: Any) -> Any:
                name = getattr(function, "__name__", "")
                if name in KINDS and function is not self.recorders[name]:
                    self.new_functions.add(name)
                return decorate(function)

            return decorator

        with_options_.__name__ = with_options_.__qualname__ = "with_options"
        return with_options_

    def _without_options(self, name: str) -> None:
        """옵션이 없는 명령: 감싸지 않았거나, 감싸다 말았거나, 등록한 뒤에 감쌌습니다."""
        got = ", ".join(sorted(self.options_of(name))) or "없음"
        symptom = "no-options"
        if self.wrapped:
            symptom = "half-wrapped" if "function" in self.options_of(name) else "wrapped-late"
        more = {"expected": "--seq_len 등", "got": got, "symptom": symptom, "command": name}
        fail(f"{name} 명령에 옵션이 없습니다.", idea="with_options", **more)

    def _recorder(self, name: str) -> Any:
        def record(options: Any = None) -> None:
            self.calls.append((name, options))

        record.__name__, record.__doc__ = name, f"{name} 명령"
        return record

    def _built(self, cli: Any) -> Any:
        if isinstance(cli, typer.Typer) and cli not in self.apps:
            more = {"expected": "new_app이 만든 cli", "got": "새로 만든 typer.Typer", "symptom": "own-app"}
            fail("윗줄이 만든 cli를 쓰지 않았습니다.", idea="new_app", **more)
        self.registered = cli.registered_commands
        if not cli.registered_commands and not cli.registered_groups:
            self._missing(list(KINDS))
        return typer.main.get_command(cli)

    def _called_too_early(self) -> None:
        called = self.calls[0][0] if self.calls else "감싼"
        message = f"명령을 등록하면서 {called} 함수를 불렀습니다."
        fail(message, idea="함수를 건네기", expected="아무도 명령하기 전에는 0번", got="1번", symptom="called-now")

    def _missing(self, names: list[str]) -> None:
        registered = [str(name) for name in getattr(self, "commands", {})]
        message = f"등록되지 않은 명령이 있습니다: {', '.join(names)}."
        if [name for name in registered if name not in KINDS]:
            symptom = "other-name"
        elif len(registered) < len(self.registered):
            symptom = "same-name"
        elif self.wrapped and not self.asked:
            symptom = "not-on-cli"
        else:
            symptom = "missing-command" if self.asked > len(self.registered) else "left-out"
        more = {"symptom": symptom, "missing": ", ".join(names)}
        got = ", ".join(registered) or "없음"
        fail(message, idea="명령의 등록", expected=", ".join(KINDS), got=got, **more)

    def options_of(self, name: str) -> set[str]:
        return {parameter.name for parameter in self.commands[name].params}

    def run(self, *words: str) -> tuple[str, Any]:
        """명령 하나를 실행하고, 불린 함수의 이름과 받은 옵션을 돌려줍니다."""
        self.calls.clear()
        try:
            self.command.main(args=list(words), prog_name="step5", standalone_mode=False)
        except UsageError as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                self._only_helped(words[0])
            fail(f"`{' '.join(words)}`를 알아듣지 못합니다.", idea="명령줄 옵션", expected="실행", got=show(error))
        if len(self.calls) != 1:
            message = f"`{words[0]}` 명령이 {words[0]} 함수를 한 번 부르지 않습니다."
            got = ", ".join(name for name, _ in self.calls) or "부르지 않음"
            symptom = "empty-function" if words[0] in self.new_functions else "not-called"
            more = {"symptom": None if self.calls else symptom, "command": words[0]}
            fail(message, idea="명령과 함수", expected=f"{words[0]} 한 번", got=got, **more)
        return self.calls[0]

    def _only_helped(self, name: str) -> None:
        more = {"expected": f"{name} 함수를 부름", "got": "도움말", "symptom": "help-when-bare", "command": name}
        fail(f"`{name}`만 적었더니 도움말을 보이고 끝났습니다.", idea="기본값", **more)


@pytest.fixture
def command_line(step, monkeypatch):
    return CommandLine(step, monkeypatch)


COMMANDS = [  # 적은 말과, 그 말이 뜻하는 옵션. 밑줄과 하이픈을 모두 쓰고, 옵션을 하나도 적지 않기도 합니다.
    (("train", "--num_epochs", "7", "--data-name", "nsmc"), {"num_epochs": 7, "data_name": "nsmc"}),
    (("test", "--all", "--infer_batch", "11"), {"all": True, "infer_batch": 11}),
    (("serve", "--server_port", "9999", "--seq-len", "64"), {"server_port": 9999, "seq_len": 64}),
    (("train",), {}),
    (("test",), {}),
    (("serve",), {}),
]


@todo("5-2")
def test_each_command_has_the_options_of_its_own_settings(command_line):
    """세 명령이 있고, --num_epochs는 train에만, --all은 test에만, --server_port는 serve에만 있습니다."""
    common = set(Arguments.options())
    own = {name: sorted(set(kind.options()) - common) for name, kind in KINDS.items()}
    for name, kind in KINDS.items():
        got, want = command_line.options_of(name), set(kind.options())
        foreign = [option for other in KINDS if other != name for option in own[other] if option in got]
        missing = sorted(want - got)
        if foreign or missing:
            message = f"{name} 명령의 옵션이 {kind.__name__}의 것과 다릅니다."
            expected = f"--{own[name][0]} 등 {len(want)}개"
            found = f"없는 것: {', '.join(missing[:3])}" if missing else f"남의 것: {', '.join(foreign[:3])}"
            more = {"symptom": "wrong-settings", "command": name}
            fail(message, idea="명령마다의 설정", expected=expected, got=found, **more)


@todo("5-2")
def test_command_calls_its_own_function_with_the_options(command_line):
    """명령은 제 이름의 함수를 부르고, 적은 옵션과 나머지의 기본값을 건넵니다."""
    for words, want in COMMANDS:
        name = words[0]
        called, options = command_line.run(*words)
        if called != name:
            same = len({command_line.run(*one)[0] for one, _ in COMMANDS}) == 1
            more = {"symptom": "one-function" if same else "wrong-function", "command": name}
            fail(f"{name} 명령이 다른 함수를 불렀습니다.", idea="명령과 함수", expected=name, got=called, **more)
        if not isinstance(options, dict):
            got = "아무것도 받지 못함" if options is None else type(options).__name__
            more = {"expected": "Options", "got": got, "symptom": "options-lost", "command": name}
            fail(f"{name} 함수가 옵션을 받지 못했습니다.", idea="with_options", **more)
        idea = "명령줄 옵션"
        got = {option: options.get(option) for option in want}
        assert_equal(got, want, idea=idea, message=f"{name} 함수가 받은 옵션의 값이 다릅니다.")
        given = sorted(getattr(options, "given", ()))
        if given != sorted(want):
            more = {"expected": f"Options(given: {', '.join(sorted(want))})", "got": type(options).__name__}
            message = "사람이 적은 옵션이 무엇인지가 전해지지 않았습니다."
            fail(message, idea=idea, symptom="options-lost", command=name, **more)
        defaults = {key: value for key, value in options_of(KINDS[name]).items() if key not in want}
        changed = [key for key, value in defaults.items() if options.get(key) != value]
        assert_equal(changed, [], idea=idea, message="적지 않은 옵션이 기본값이 아닙니다.")


# ---------------------------------------------------------------- 5-3 옵션에서 설정으로

RENAMED = {  # 옵션 이름과 필드 이름이 다른 것들. 명령줄의 약속이므로 여기 따로 적어 둡니다.
    "train": {"data_home": ("data", "home", "/corpora"), "data_name": ("data", "name", "nsmc")},
    "test": {"data_name": ("data", "name", "nsmc")},
    "serve": {
        "server_host": ("server", "host", "0.0.0.0"),
        "server_port": ("server", "port", 8080),
        "server_page": ("server", "page", "other.html"),
        "server_threads": ("server", "threads", 9),
    },
}
BIG_MODEL = "beomi/KcELECTRA-base"


def options_of(kind: type) -> dict[str, Any]:
    """명령줄에 아무것도 적지 않았을 때 함수가 받는 옵션: 모든 이름과 기본값."""
    return {name: default_of(one) for name, (_, one) in kind.options().items()}


def distinct_values(kind: type) -> dict[tuple[str, str], tuple[str, Any]]:
    """(묶음, 필드) → (옵션 이름, 값). 값은 모두 기본값과 다르고, 서로도 (참·거짓과 고르는 것 말고는) 다릅니다."""
    made: dict[tuple[str, str], tuple[str, Any]] = {}
    for group, group_kind in kind.groups().items():
        hints = get_type_hints(group_kind)
        for one in fields(group_kind):
            default, count = default_of(one), len(made)
            if one.metadata["choices"]:
                value: Any = next(choice for choice in one.metadata["choices"] if choice != default)
            elif isinstance(default, bool):
                value = not default
            elif "str" in str(hints[one.name]):
                value = f"{one.name}-{count}"
            else:
                value = 1000 + count if "int" in str(hints[one.name]) else 0.25 + count / 1000
            made[group, one.name] = (one.metadata["option"] or one.name, value)
    return made


def arguments(step: Any, kind: type, options: dict[str, Any]) -> Any:
    """학생의 함수로 만든 설정. 알아본 예외는 무엇이 틀렸는지로 바꾸고, 모르는 예외는 그대로 둡니다."""
    try:
        args = step.arguments_from(kind, options)
    except KeyError as error:
        name = error.args[0] if error.args else None
        known = isinstance(name, str) and name in kind.options() and name in options
        if known and (other := other_kind_moved(step, kind)):
            more = {"expected": kind.__name__, "got": other.__name__, "symptom": "fixed-kind"}
            fail(f"{other.__name__}의 옵션만 압니다.", idea="설정 클래스", **more)
        _explain_key(name, kind, options)
        raise
    except UnboundLocalError:
        if not options and values_arrive(step, kind):
            more = {"expected": "모두 기본값인 설정", "got": "args가 없음", "symptom": "inside-loop"}
            fail("옵션이 하나도 없으면 args가 만들어지지 않습니다.", idea="기본값", **more)
        raise
    except TypeError as error:
        _explain_type(str(error), kind, options)
        raise
    except AttributeError as error:
        if "has no attribute 'given'" in str(error):
            only_given()
        if "'dict' object" in str(error):
            not_built("dict")
        raise
    if not isinstance(args, kind):
        symptom = "fixed-kind" if isinstance(args, Arguments) else "not-built"
        more = {"expected": kind.__name__, "got": type(args).__name__, "symptom": symptom}
        fail("부탁한 설정 클래스가 아닙니다.", idea="설정 클래스", **more)
    for group, group_kind in kind.groups().items():
        got = type(getattr(args, group, None))
        if got is dict:
            not_built("dict")
        if not issubclass(got, group_kind):
            fail(
                f"{group} 묶음의 종류가 다릅니다.", idea="묶음의 클래스", expected=group_kind.__name__, got=got.__name__
            )
    return args


def values_arrive(step: Any, kind: type, options: type = dict) -> bool:
    """이 설정 클래스의 옵션은 모두 제자리로 가는가."""
    values = distinct_values(kind)
    flat = dict(values.values())
    try:
        args = step.arguments_from(kind, Options.of(**flat) if options is Options else flat)
        return all(getattr(getattr(args, group), field) == value for (group, field), (_, value) in values.items())
    except Exception:  # noqa: BLE001  무엇으로 멈추든 가지 않은 것입니다.
        return False


def other_kind_moved(step: Any, kind: type) -> type | None:
    """이 설정 클래스에서는 멈췄지만, 옵션이 제자리로 가는 다른 설정 클래스."""
    return next((one for one in KINDS.values() if one is not kind and values_arrive(step, one)), None)


def only_given() -> None:
    more = {"expected": "options에 든 것 모두", "got": "options.given에 적힌 것만", "symptom": "given-only"}
    fail("사전에 든 옵션이 아니라 given에 적힌 것만 옮겼습니다.", idea="options", **more)


def not_built(got: str) -> None:
    more = {"expected": "LearningArguments 등", "got": got, "symptom": "not-built"}
    fail("묶음이 아직 사전입니다.", idea="묶음의 클래스", **more)


def _explain_key(name: Any, kind: type, options: dict[str, Any]) -> None:
    """KeyError에서 알아볼 수 있는 실수."""
    if isinstance(name, Field):
        more = {"expected": "묶음의 이름", "got": "필드", "symptom": "unpacked-backwards"}
        fail("묶음과 필드를 바꾸어 받았습니다.", idea="kind.options()", **more)
    if name in kind.options() and name not in options:
        more = {"expected": "기본값", "got": f"KeyError: {name}", "symptom": "needs-all", "name": name}
        fail("빠진 옵션에서 멈췄습니다.", idea="기본값", **more)
    if name in kind.groups() or name in kind.options():
        more = {"expected": ", ".join(kind.groups()), "got": f"KeyError: {name}", "symptom": "no-group", "name": name}
        fail(f"'{name}' 묶음을 찾지 못했습니다.", idea="묶음", **more)


def _explain_type(message: str, kind: type, options: dict[str, Any]) -> None:
    """TypeError에서 알아볼 수 있는 실수."""
    renamed = [name for name, (_, one) in kind.options().items() if name != one.name]
    name = next((name for name in renamed if f"'{name}'" in message), None)
    if name and not message.startswith(tuple(one.__name__ for one in KINDS.values())):
        fail_with_option_name(kind, name, got="TypeError")
    if match := re.match(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", message):
        owner, name = match.groups()
        if owner == kind.__name__ and name in kind.options():
            more = {"expected": "묶음들", "got": f"{owner}({name}=…)", "symptom": "flat"}
            fail("옵션을 묶지 않고 설정 클래스에 바로 건넸습니다.", idea="묶음", **more)
        if owner != kind.__name__ and owner in [one.__name__ for one in KINDS.values()]:
            more = {"expected": kind.__name__, "got": owner, "symptom": "fixed-kind"}
            fail("부탁한 설정 클래스가 아닙니다.", idea="설정 클래스", **more)
        homes = [group for group, one in kind.groups().items() if name in [field.name for field in fields(one)]]
        if homes and owner in [one.__name__ for one in kind.groups().values()]:
            more = {"expected": f"{homes[0]} 묶음의 {name}", "got": f"{owner}({name}=…)", "symptom": "shared-dict"}
            fail("한 묶음에 다른 묶음의 값이 섞였습니다.", idea="묶음", name=name, group=homes[0], **more)
    if "NoneType" in message and "pretrained" not in options:
        more = {"expected": "기본값", "got": "None", "symptom": "none-default"}
        fail("빠진 옵션이 None이 되었습니다.", idea="기본값", **more)


def fail_with_option_name(kind: type, name: str, got: str) -> None:
    group, one = kind.options()[name]
    more = {"option": name, "group": group, "field": one.name, "symptom": "option-name"}
    fail(
        "필드의 이름 대신 옵션의 이름을 썼습니다.",
        idea="옵션과 필드",
        expected=f"args.{group}.{one.name}",
        got=got,
        **more,
    )


def assert_fields(args: Any, want: dict[tuple[str, str], Any], message: str, idea: str, **more: Any) -> None:
    """필드들의 값. 어긋난 것 하나를 보여 줍니다."""
    for (group, field), value in want.items():
        got = getattr(getattr(args, group), field)
        if got != value or type(got) is not type(value):
            where = f"args.{group}.{field}"
            fail(message, idea=idea, expected=f"{where} = {value!r}", got=f"{where} = {got!r}", **more)


def name_moves(step: Any, args: Any, kind: type, values: dict[tuple[str, str], tuple[str, Any]]) -> None:
    """옵션들이 제자리에 없을 때, 무엇을 잘못했는지 알아봅니다."""
    got = {key: getattr(getattr(args, key[0]), key[1]) for key in values}
    wrong = [key for key, (_, value) in values.items() if got[key] != value or type(got[key]) is not type(value)]
    shown = {"idea": "옵션과 필드", "expected": f"옵션 {len(values)}개", "got": f"{len(values) - len(wrong)}개"}
    option = next((name for name, _ in values.values() if hasattr(args, name)), None)
    if not wrong:
        return
    if option:
        found = {"expected": "묶음 속의 필드", "got": f"args.{option}"}
        fail("값을 묶음이 아니라 설정에 바로 담았습니다.", symptom="on-top", **{**shown, **found})
    if wrong == list(values) and values_arrive(step, kind, Options):
        only_given()
    if wrong == list(values):
        fail("옵션의 값이 하나도 옮겨지지 않았습니다.", symptom="nothing-moved", **shown)
    if wrong == list(values)[:-1]:
        fail("마지막 옵션의 값만 옮겨졌습니다.", symptom="only-last", **shown)
    prefixed = [key for key, (name, _) in values.items() if name == "_".join(key)]  # data_name처럼 묶음이 앞에 붙은 것
    if prefixed and wrong == [key for key in values if key not in prefixed]:
        found = {"got": f"{len(prefixed)}개", "moved": values[prefixed[0]][0], "left": values[wrong[0]][0]}
        fail("이름 앞에 묶음의 이름이 붙은 옵션만 옮겼습니다.", symptom="by-prefix", **{**shown, **found})
    if prefixed and wrong == prefixed:
        (group, field), name = wrong[0], values[wrong[0]][0]
        holder = getattr(args, group)
        fail_with_option_name(kind, name, f"args.{group}.{name}" if hasattr(holder, name) else "옮기지 않음")
    if all(got[key] == str(values[key][1]) for key in wrong):
        group, field = wrong[0]
        where = f"args.{group}.{field}"
        found = {"expected": f"{where} = {values[wrong[0]][1]!r}", "got": f"{where} = {got[wrong[0]]!r}"}
        fail("값을 모두 글로 바꾸었습니다.", symptom="all-text", **{**shown, **found})


def default_fields(kind: type) -> dict[tuple[str, str], Any]:
    """모든 필드의 기본값. 학습률은 내장 모델의 것입니다."""
    made = {(group, one.name): default_of(one) for group, cls in kind.groups().items() for one in fields(cls)}
    return {key: 5e-4 if key == ("learning", "learning_rate") else value for key, value in made.items()}


@todo("5-3")
@pytest.mark.parametrize("name", list(KINDS))
def test_renamed_options_reach_their_fields(step, name):
    """data_name은 data 묶음의 name으로, server_port는 server 묶음의 port로 갑니다."""
    kind = KINDS[name]
    values = distinct_values(kind)
    name_moves(step, arguments(step, kind, dict(values.values())), kind, values)
    args = arguments(step, kind, {**options_of(kind), **{option: row[2] for option, row in RENAMED[name].items()}})
    for option, (group, field, value) in RENAMED[name].items():
        holder = getattr(args, group)
        if getattr(holder, field) != value and hasattr(holder, option):
            fail_with_option_name(kind, option, got=f"args.{group}.{option}")
        assert_fields(args, {(group, field): value}, f"{option}의 값이 제자리에 없습니다.", "옵션과 필드")


@todo("5-3")
@pytest.mark.parametrize("name", list(KINDS))
def test_every_option_lands_in_its_own_field(step, name):
    """세 설정 클래스의 모든 옵션이 제 묶음의 제 필드로 갑니다."""
    values = distinct_values(KINDS[name])
    args = arguments(step, KINDS[name], dict(values.values()))
    want = {key: value for key, (_, value) in values.items()}
    assert_fields(args, want, "옵션의 값이 제자리에 없습니다.", "옵션과 필드")


@todo("5-3")
@pytest.mark.parametrize("name", list(KINDS))
def test_missing_options_take_their_defaults(step, name):
    """빠진 옵션은 기본값이 됩니다. 앞서 만든 설정의 값이 남지도 않습니다."""
    kind = KINDS[name]
    arguments(step, kind, dict(distinct_values(kind).values()))
    message = "빠진 옵션이 기본값이 아닙니다."
    assert_fields(arguments(step, kind, {}), default_fields(kind), message, "기본값")
    some = arguments(step, kind, {"seq_len": 64, "project": "other"})
    want = {**default_fields(kind), ("model", "seq_len"): 64, ("env", "project"): "other"}
    assert_fields(some, want, message, "기본값")


@todo("5-3")
def test_zero_and_false_are_values_too(step):
    """0과 False와 빈 글도 사람이 고른 값입니다."""
    chosen = {"weight_decay": 0.0, "max_grad_norm": 0.0, "warmup_rate": 0.0, "print_every": 0.0, "seed": 0}
    chosen["tag_format_on_training"] = ""
    args = arguments(step, TrainArguments, {**options_of(TrainArguments), **chosen})
    other = arguments(step, TrainArguments, {**options_of(TrainArguments), "weight_decay": 0.5, "seed": 3})
    moved = (other.learning.weight_decay, other.learning.seed) == (0.5, 3)  # 0이 아닌 값은 옮겨지는가
    for name, value in chosen.items():
        group, one = TrainArguments.options()[name]
        got = getattr(getattr(args, group), one.name)
        symptom = "drops-falsy" if moved and got == default_of(one) else None
        message = f"{name}에 준 {value!r}이(가) 사라졌습니다."
        more = {"symptom": symptom, "option": name, "value": repr(value)}
        assert_fields(args, {(group, one.name): value}, message, "거짓인 값과 없는 값", **more)


@todo("5-3")
@pytest.mark.parametrize(
    ("options", "want"),
    [
        ({}, 5e-4),
        ({"pretrained": BIG_MODEL}, 5e-5),
        ({"pretrained": BIG_MODEL, "learning_rate": 2e-5}, 2e-5),
        ({"learning_rate": 1e-3}, 1e-3),
    ],
    ids=["embedded", "big", "big-chosen", "embedded-chosen"],
)
@pytest.mark.parametrize("full", [True, False], ids=["all-options", "only-given"])
def test_learning_rate_default_follows_the_model(step, options, want, full):
    """학습률을 비우면 내장 모델은 5e-4, 다른 모델은 5e-5입니다."""
    given = {**options_of(TrainArguments), **options} if full else options
    args = arguments(step, TrainArguments, dict(given))
    got = args.learning.learning_rate
    if got == want:
        return
    big = args.model.pretrained == BIG_MODEL  # 모델의 이름은 옮겨졌는데 학습률만 앞서 정해졌는가
    late = "learning_rate" not in options and (got is None or (big and got == 5e-4))
    symptom = "late-default" if late else None
    model = options.get("pretrained", "내장 모델")
    fail(f"{model}의 학습률이 다릅니다.", idea="__post_init__", expected=want, got=got, symptom=symptom, model=model)


@todo("5-3")
@pytest.mark.parametrize("name", list(KINDS))
def test_options_are_left_as_they_were(step, name):
    """받은 옵션을 바꾸지 않습니다. load_trained가 뒤에서 다시 읽습니다."""
    options = options_of(KINDS[name])
    before = dict(options)
    arguments(step, KINDS[name], options)
    if options != before:
        lost = sorted(set(before) - set(options))
        more = {"expected": f"옵션 {len(before)}개", "got": f"{len(options)}개 남음" if lost else "값이 바뀜"}
        fail("받은 options를 바꾸었습니다.", idea="부작용", symptom="consumed" if lost else None, **more)


# ---------------------------------------------------------------- 5-4 Fabric


@pytest.fixture
def eight_gpus(monkeypatch):
    """GPU가 여덟 개인 기계처럼 보이게 합니다. Fabric은 만들기만 하면 GPU를 건드리지 않습니다."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 0))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def make(step, monkeypatch):
    """`make(devices=2)`는 그 설정으로 만든 Fabric입니다. 정하지 않은 것은 CPU, 32-true, auto, 1입니다."""

    def launched(*_: Any, **__: Any) -> None:
        message = "make_fabric 안에서 프로세스를 시작했습니다."
        fail(message, idea="만들기와 시작하기", expected="launch 0번", got="launch 1번", symptom="launched")

    monkeypatch.setattr(Fabric, "launch", launched)

    def make(**hardware: Any) -> Fabric:
        args = TrainArguments()
        for name, value in {"accelerator": "cpu", "precision": "32-true", **hardware}.items():
            setattr(args.hardware, name, value)
        before = asdict(args)
        try:
            fabric = step.make_fabric(args)
        except TypeError as error:
            if re.search(r"Fabric\.__init__\(\) takes 1 positional argument", str(error)):
                more = {"expected": "이름=값", "got": "값만 차례로", "symptom": "positional"}
                fail("인수의 이름을 적지 않았습니다.", idea="Fabric", **more)
            if "`devices` selected" in str(error):
                more = {"expected": f"장치 {args.hardware.devices}개", "got": "목록", "symptom": "device-list"}
                fail("devices에 수가 아닌 것을 건넸습니다.", idea="devices", **more)
            raise
        except ValueError as error:
            if "devices=" in str(error):
                got = re.search(r"devices=(\S+?)\)", str(error))
                more = {"expected": args.hardware.devices, "got": got[1] if got else "", "symptom": "no-devices"}
                fail("설정의 devices가 아닌 수로 Fabric을 만들었습니다.", idea="devices", **more)
            if re.search(r"Precision '(cpu|cuda|mps)'|accelerator='(\d|bf)", str(error)):
                more = {"expected": "accelerator=cpu, precision=32-true", "got": "서로 바뀜", "symptom": "mixed-up"}
                fail("인수의 이름과 값이 엇갈렸습니다.", idea="Fabric", **more)
            if "Precision 'auto'" in str(error):
                more = {"expected": "고른 정밀도", "got": "auto", "symptom": "raw-auto"}
                fail("Fabric이 정밀도 auto를 알지 못합니다.", idea="auto", **more)
            raise
        if not isinstance(fabric, Fabric):
            got = "클래스 Fabric" if fabric is Fabric else type(fabric).__name__
            fail("만든 것이 Fabric이 아닙니다.", idea="Fabric", expected="Fabric", got=got, symptom="not-fabric")
        if asdict(args) != before:
            more = {"expected": "받은 그대로", "got": "바뀜", "symptom": "changed-settings"}
            fail("받은 설정의 값을 바꾸었습니다.", idea="부작용", **more)
        return fabric

    return make


def assert_processes(fabric: Fabric, want: int) -> None:
    nodes = getattr(fabric.strategy, "num_nodes", 1)
    if nodes != 1:
        here = f"기계 {nodes}대에 {fabric.world_size // nodes}개씩"
        more = {"expected": f"기계 한 대에 {want}개", "got": here, "symptom": "num-nodes"}
        fail("장치의 수를 기계의 수로 건넸습니다.", idea="devices와 num_nodes", **more)
    if fabric.device.index:  # 0번 프로세스의 장치는 언제나 0번입니다.
        more = {"expected": f"장치 {want}개", "got": f"{fabric.device.index}번 장치", "symptom": "device-list"}
        fail("장치의 수가 아니라 번호를 건넸습니다.", idea="devices", **more)
    if fabric.world_size != want:
        more = {"expected": f"{want}개", "got": f"{fabric.world_size}개", "symptom": "no-devices"}
        fail("프로세스의 수가 설정의 devices와 다릅니다.", idea="devices", **more)


def only_when_several(make: Any) -> str | None:
    """장치가 둘일 때는 맞는 정밀도가, 하나일 때만 사라지는가. 그렇다면 그 증상입니다."""
    one, two = (make(precision="bf16-mixed", devices=devices).strategy.precision.precision for devices in (1, 2))
    return "only-several" if one != two == "bf16-mixed" else None


def assert_precision(make: Any, fabric: Fabric, want: str) -> None:
    got = fabric.strategy.precision.precision
    if got != want:
        symptom = only_when_several(make) or ("no-precision" if got == "32-true" else "fixed-precision")
        fail("정밀도가 고른 것과 다릅니다.", idea="precision", expected=want, got=got, symptom=symptom)


def assert_device(make: Any, fabric: Fabric, want: str) -> None:
    got = fabric.device.type
    if got != want:
        symptom = only_when_several(make) or ("no-accelerator" if want == "cpu" else None)
        fail("장치가 고른 것과 다릅니다.", idea="accelerator", expected=want, got=got, symptom=symptom)


@todo("5-4")
@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_precision_is_the_one_in_the_settings(make, precision):
    """정밀도는 설정대로입니다."""
    assert_precision(make, make(precision=precision), precision)


@todo("5-4")
@pytest.mark.parametrize("devices", [1, 2, 3])
def test_as_many_processes_as_devices(make, devices):
    """프로세스의 수는 설정의 devices이고, 여럿이면 ddp입니다. 시작은 launch를 부를 때 합니다."""
    fabric = make(devices=devices)
    assert_processes(fabric, devices)
    want, got = devices > 1, isinstance(fabric.strategy, DDPStrategy)
    if want != got:
        more = {"expected": "ddp" if want else "auto(장치 하나)", "got": type(fabric.strategy).__name__}
        symptom = "no-strategy" if want else "fixed-strategy"
        fail("여러 프로세스를 쓰는 방법이 고른 것과 다릅니다.", idea="strategy", symptom=symptom, **more)


@todo("5-4")
def test_strategy_in_the_settings_is_kept(make):
    """장치가 하나여도 ddp를 골랐으면 ddp입니다."""
    fabric = make(strategy="ddp", devices=1)
    if not isinstance(fabric.strategy, DDPStrategy):
        more = {"expected": "DDPStrategy", "got": type(fabric.strategy).__name__}
        more["symptom"] = only_when_several(make) or "no-strategy"
        fail("고른 방법(strategy)이 전해지지 않았습니다.", idea="strategy", **more)


@todo("5-4")
def test_cpu_is_used_when_asked_even_with_gpus(make, eight_gpus):
    """GPU가 여덟 개여도 cpu를 골랐으면 CPU입니다."""
    fabric = make(accelerator="cpu", devices=1)
    assert_device(make, fabric, "cpu")
    assert_processes(fabric, 1)


@todo("5-4")
@pytest.mark.parametrize("devices", [1, 4])
def test_auto_takes_the_gpu_but_only_as_many_as_asked(make, eight_gpus, devices):
    """auto는 GPU와 bf16을 고르지만, 여덟 개를 모두 차지하지는 않습니다."""
    fabric = make(accelerator="auto", precision="auto", devices=devices)
    assert_processes(fabric, devices)
    assert_device(make, fabric, "cuda")
    assert_precision(make, fabric, "bf16-mixed")


@todo("5-4")
def test_the_chosen_device_is_used(make, device):
    """이 기계의 장치에서도 설정대로입니다."""
    fabric = make(accelerator=device)
    assert_device(make, fabric, device)
    assert_processes(fabric, 1)
