"""5-2의 검사: Typer로 만든 명령."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from course.checks.words import assert_equal, fail, show, todo
from nlpbook.cli import UsageError
from nlpbook.errors import UserError
from tests.task1_cls.checks.step5.common import KINDS

LEAST = 4  # --seq_len의 가장 작은 값
CONFIG = object()  # predict_config가 낸 것. 무엇이 들었는지는 5-3이 봅니다.
OPTIONS = {"job_name": "봄날", "seq_len": 37, "device": "cpu"}
DEFAULTS = {"job_name": None, "seq_len": None, "device": "auto"}
TEXTS = ["두 번 봤어요", "졸았습니다"]


class CommandLine:
    """build_cli가 만든 명령줄. predict와 predict_config는 불린 것을 적기만 하는 함수로 바꾸어 둡니다.

    Attributes:
        answered: predict가 받은 (문장들, 설정)들.
        chosen: predict_config가 받은 옵션들. 이름 → 값.
    """

    def __init__(self, step: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answered: list[tuple[Any, Any]] = []
        self.chosen: list[dict[str, Any]] = []

        def predict(texts: Any, asked: Any = None) -> None:
            self.answered.append((texts, asked))

        def predict_config(job_name: Any, seq_len: Any, device: Any) -> Any:
            self.chosen.append({"job_name": job_name, "seq_len": seq_len, "device": device})
            return CONFIG

        for function in (predict, predict_config):
            function.__qualname__ = function.__name__  # 인수를 잘못 건넸을 때의 오류가 진짜와 같아집니다.
            monkeypatch.setattr(step, function.__name__, function)
        cli = self._build(step)
        if self.answered or self.chosen:
            fail(idea="등록과 실행", expected="아무도 명령하기 전에는 0번", got="1번", symptom="called-now")
        if not isinstance(cli, typer.Typer):
            fail(idea="명령줄", expected="typer.Typer", got=type(cli).__name__, symptom="cli-replaced")
        self.app = cli
        self.command = typer.main.get_command(cli)
        self.commands = dict(getattr(self.command, "commands", {self.command.name: self.command}))
        self.require_given()
        if "predict" not in self.commands:
            self._missing()

    @staticmethod
    def _build(step: Any) -> Any:
        try:
            return step.build_cli()
        except SystemExit:
            fail(idea="등록과 실행", expected="등록만 함", got="실행함", symptom="run-now")

    def _missing(self) -> None:
        mine = [str(name) for name in self.commands if name not in KINDS]
        got = ", ".join(mine) or "없음"
        fail(idea="명령의 등록", expected="predict", got=got, symptom="other-name" if mine else "not-registered")

    def require_given(self) -> None:
        """train, test, serve는 저마다 제 설정의 옵션을 모두 갖고 있습니다."""
        for name, kind in KINDS.items():
            options = {one.name for one in getattr(self.commands.get(name), "params", [])}
            if not set(kind.options()) <= options:
                fail(idea="명령의 등록", expected=f"준 {name} 명령", got="바뀜", symptom="given-changed", command=name)

    @property
    def parameters(self) -> dict[str, Any]:
        """predict 명령의 인수와 옵션. 이름 → Typer가 만든 것."""
        return {one.name: one for one in self.commands["predict"].params}

    def run(self, *words: str) -> tuple[Any, dict[str, Any]]:
        """predict를 실행하고, predict가 받은 문장들과 predict_config가 받은 옵션들을 돌려줍니다.

        Raises:
            UsageError: Typer가 알아듣지 못했을 때.
        """
        self.answered.clear()
        self.chosen.clear()
        endless = False
        try:
            self.command.main(args=["predict", *words], prog_name="step5", standalone_mode=False)
        except RecursionError:
            endless = True
        except TypeError as error:
            if "unexpected keyword" in str(error) or "argument" not in str(error):
                raise
            fail(idea="함수의 인수", expected="predict(texts, 설정)", got=show(error), symptom="wrong-call")
        if endless:
            shown = {"expected": "파일의 predict", "got": "방금 만든 명령"}
            fail(idea="함수의 이름", symptom="calls-itself", **shown)
        if len(self.answered) != 1:
            got = f"{len(self.answered)}번"
            symptom = "one-by-one" if self.answered else "not-called"
            fail(idea="명령이 하는 일", expected="predict 한 번", got=got, symptom=symptom)
        texts, asked = self.answered[0]
        if texts is CONFIG:
            fail(
                "predict에 건넨 두 값의 차례가 바뀌었습니다.",
                idea="인수의 차례",
                expected="predict(문장들, 설정)",
                got="predict(설정, 문장들)",
            )
        if asked is not CONFIG:
            got = "없음" if asked is None else show(asked)
            fail(idea="설정", expected="predict_config가 낸 설정", got=got, symptom="config-lost")
        return texts, self.chosen[0]

    def understood(self, *words: str) -> tuple[Any, dict[str, Any]] | None:
        """`run`의 결과. Typer가 알아듣지 못했으면 None입니다."""
        try:
            return self.run(*words)
        except UsageError:
            return None


@pytest.fixture
def command_line(step, monkeypatch):
    return CommandLine(step, monkeypatch)


def words_of(options: dict[str, Any], hyphens: bool = False) -> list[str]:
    """옵션들을 명령줄의 말로."""
    spelled = {name.replace("_", "-") if hyphens else name: value for name, value in options.items()}
    return [word for name, value in spelled.items() for word in (f"--{name}", str(value))]


@todo("5-2")
def test_predict_answers_the_texts(command_line):
    """문장은 차례로 적습니다. 몇 개든 되고, 옵션은 하나도 적지 않아도 됩니다."""
    try:
        texts, options = command_line.run(TEXTS[0])
    except UsageError as error:
        name_refusal(command_line, error)
    if isinstance(texts, str):
        command_line.understood(*TEXTS)  # 여럿을 받아 하나씩 건네는 것이라면 여기에서 알아봅니다.
        fail(idea="타입 힌트", expected="문장들의 목록", got=f"글 {show(texts)}", symptom="one-text")
    assert_equal(list(texts), TEXTS[:1], idea="인수", message="predict가 받은 문장이 적은 것과 다릅니다.")
    for name, want in DEFAULTS.items():
        if options[name] != want:
            shown = {"expected": f"{name}={want!r}", "got": f"{name}={options[name]!r}"}
            owner = next((one for one in DEFAULTS if one != name and DEFAULTS[one] == options[name]), None)
            if owner and options[owner] != DEFAULTS[owner]:
                fail(idea="인수의 차례", symptom="swapped", name=owner, other=name, **shown)
            symptom = "none-default" if options[name] is None else "own-default"
            fail(idea="기본값", symptom=symptom, **shown)
    several = command_line.understood(*TEXTS)
    if several is None:
        fail(idea="타입 힌트", expected="문장 2개", got="하나만 받음", symptom="one-text")
    if list(several[0]) in ([f"{mark}".join(TEXTS)] for mark in (" ", "", "\n", ", ", ",")):
        fail(idea="인수", expected="문장 2개", got="이어 붙인 문장 1개", symptom="joined")
    assert_equal(list(several[0]), TEXTS, idea="인수", message="predict가 받은 문장들이 적은 것과 다릅니다.")


def name_refusal(command_line: CommandLine, error: Any) -> None:
    """문장 하나를 적었는데 Typer가 거절한 까닭."""
    parameters = command_line.parameters.values()
    needed = [one for one in parameters if one.required]
    options = [one for one in needed if one.param_type_name == "option"]
    if texts := [one for one in options if one.name == "texts"]:
        fail(idea="Argument와 Option", expected="차례로 적는 인수", got=texts[0].opts[0], symptom="text-option")
    if options:
        names = ", ".join(one.opts[0] for one in options)
        fail(idea="기본값", expected="적지 않아도 됨", got=f"꼭 적어야 함: {names}", symptom="required", names=names)
    arguments = [one.name for one in parameters if one.param_type_name == "argument" and one.name != "texts"]
    if arguments:
        shown = {"expected": f"--{arguments[0]}", "got": "차례로 적는 인수", "name": arguments[0]}
        fail(idea="Argument와 Option", symptom="not-an-option", **shown)
    fail("문장 하나를 적었는데 명령이 알아듣지 못합니다.", idea="명령줄", expected="실행", got=show(error))


@todo("5-2")
@pytest.mark.parametrize("hyphens", [False, True], ids=["underscores", "hyphens"])
def test_each_option_arrives_with_its_type(command_line, hyphens):
    """옵션은 이름으로 적고, 적은 값이 제 형으로 predict_config에 갑니다."""
    if command_line.understood(TEXTS[0]) is None:
        return  # 문장 하나도 알아듣지 못하면 앞의 검사가 말합니다.
    for name, want in OPTIONS.items():
        outcome = command_line.understood(TEXTS[0], *words_of({name: want}, hyphens))
        if outcome is None:
            name_missing(command_line, name)
        name_value(outcome[1], name, want)
    everything = command_line.understood(TEXTS[0], *words_of(OPTIONS, hyphens))
    got = everything and everything[1]
    assert_equal(got, OPTIONS, idea="옵션", message="세 옵션을 함께 적었을 때 받은 값이 다릅니다.")


def name_missing(command_line: CommandLine, name: str) -> None:
    """`--name 값`을 알아듣지 못했을 때의 증상."""
    parameters = command_line.parameters
    shown = {"expected": f"--{name}", "name": name}
    if name in parameters and parameters[name].param_type_name == "argument":
        fail(idea="Argument와 Option", got="차례로 적는 인수", symptom="not-an-option", **shown)
    options = [one.opts[0] for one in parameters.values() if one.param_type_name == "option" and one.name != "help"]
    spelled = [one.lstrip("-").replace("-", "_") for one in options]
    got = ", ".join(options) or "옵션 없음"
    if name not in spelled:
        fail(idea="옵션의 이름", got=got, symptom="other-option-name", **shown)
    if command_line.understood(TEXTS[0], *words_of({name: LEAST if name == "seq_len" else OPTIONS[name]})):
        shown = {"expected": f"{OPTIONS[name]}도 받음", "got": "거절"}
        fail(idea="값의 범위", symptom="too-small-only", **shown)
    written = f"--{name} {OPTIONS[name]}"
    fail("적은 옵션을 알아듣지 못합니다.", idea="옵션", expected=written, got=got)


def name_value(options: dict[str, Any], name: str, want: Any) -> None:
    """옵션 하나만 적었을 때 predict_config가 받은 것."""
    got = options[name]
    if got == want and type(got) is type(want):
        return
    shown = {"expected": f"{name}={want!r}", "got": f"{name}={got!r}", "name": name}
    if got == str(want):
        fail(idea="타입 힌트", symptom="no-type", **shown)
    elsewhere = [other for other, value in options.items() if other != name and value == want]
    if elsewhere:
        fail(idea="인수의 차례", symptom="swapped", other=elsewhere[0], **shown)
    if got == DEFAULTS[name]:
        fail(idea="옵션", symptom="option-lost", **shown)
    fail("옵션의 값이나 형이 적은 것과 다릅니다.", idea="타입 힌트", **shown)


@todo("5-2")
def test_a_length_below_the_least_is_refused(command_line):
    """--seq_len은 4부터 받고, 그보다 작은 수와 수가 아닌 글은 실행하기 전에 거절합니다."""
    name = "seq_len"
    usual = command_line.understood(TEXTS[0], *words_of({name: OPTIONS[name]}))
    if usual is None or usual[1][name] != OPTIONS[name]:
        return  # 옵션이 없거나 수가 아니면 앞의 검사가 말합니다.
    if command_line.understood(TEXTS[0], *words_of({name: LEAST})) is None:
        fail(idea="값의 범위", expected=f"{LEAST}도 받음", got="거절", symptom="too-strict")
    if command_line.understood(TEXTS[0], *words_of({name: LEAST - 1})) is not None:
        fail(idea="값의 범위", expected=f"{LEAST - 1}은 거절", got="받음", symptom="no-least")


@todo("5-2")
@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_any_device_is_left_to_the_settings(command_line, device):
    """어느 장치를 쓸 수 있는지는 설정이 봅니다. 명령은 적은 것을 그대로 건넵니다."""
    usual = command_line.understood(TEXTS[0], *words_of({"device": OPTIONS["device"]}))
    if usual is None or usual[1]["device"] != OPTIONS["device"]:
        return
    outcome = command_line.understood(TEXTS[0], *words_of({"device": device}))
    got = "거절" if outcome is None else outcome[1]["device"]
    symptom = "own-devices" if outcome is None else None
    more = {"message": "설정이 받는 장치를 명령이 그대로 건네지 않았습니다.", "symptom": symptom, "device": device}
    assert_equal(got, device, idea="옵션", **more)


@todo("5-2")
def test_an_error_of_predict_gets_out(command_line, step, monkeypatch):
    """predict가 일으킨 오류는 명령 밖으로 나갑니다. 그래야 명령이 실패로 끝납니다."""
    if command_line.understood(TEXTS[0]) is None:
        return

    def refuse(*_: Any, **__: Any) -> None:
        raise UserError("학습한 모델이 없습니다.")

    monkeypatch.setattr(step, "predict", refuse)
    try:
        status = command_line.command.main(args=["predict", TEXTS[0]], prog_name="step5", standalone_mode=False)
    except (UserError, typer.Exit, SystemExit):
        return
    if isinstance(status, int) and status:
        return  # typer.Exit(1)은 여기에서는 예외가 아니라 종료 코드로 돌아옵니다.
    fail(idea="오류", expected="UserError가 밖으로 나감", got="오류 없이 끝남", symptom="error-swallowed")


@todo("5-2")
def test_the_help_says_what_each_is_for(command_line):
    """인수와 옵션, 명령에 저마다 한 줄의 설명이 있습니다."""
    unexplained = [one.name for one in command_line.parameters.values() if not getattr(one, "help", None)]
    unexplained = [name for name in unexplained if name != "help"]
    if unexplained:
        shown = {"expected": "한 줄씩", "got": f"설명이 없음: {', '.join(unexplained)}"}
        fail(idea="도움말", symptom="no-help", names=", ".join(unexplained), **shown)
    if not (command_line.commands["predict"].help or "").strip():
        fail(idea="도움말", expected="명령의 설명", got="없음", symptom="no-docstring")


@todo("5-2")
def test_the_given_commands_are_still_there(command_line):
    """train, test, serve는 그대로 있습니다."""
    command_line.require_given()
