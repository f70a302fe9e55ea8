"""5-2의 검사: 명령줄."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer

from course.checks.words import assert_equal, fail, show, todo
from nlpbook.classification.config import ClassificationConfig
from nlpbook.cli import UsageError
from tests.task1_cls.checks.step5.common import KINDS, options_of


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
                fail(idea="등록과 실행", **more)
            if re.search(r"'function' object has no attribute '(options|groups|leaves)'", str(error)):
                more = {"expected": "with_options(설정 클래스)(함수)", "got": "with_options(함수)(…)"}
                fail(idea="with_options", symptom="options-first", **more)
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
                fail(idea="with_options", symptom="options-two", **shown)
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
        fail(idea="with_options", **more)

    def _recorder(self, name: str) -> Any:
        def record(options: Any = None) -> None:
            self.calls.append((name, options))

        record.__name__, record.__doc__ = name, f"{name} 명령"
        return record

    def _built(self, cli: Any) -> Any:
        if isinstance(cli, typer.Typer) and cli not in self.apps:
            more = {"expected": "new_app이 만든 cli", "got": "새로 만든 typer.Typer", "symptom": "own-app"}
            fail(idea="new_app", **more)
        self.registered = cli.registered_commands
        if not cli.registered_commands and not cli.registered_groups:
            self._missing(list(KINDS))
        return typer.main.get_command(cli)

    def _called_too_early(self) -> None:
        fail(idea="함수를 건네기", expected="아무도 명령하기 전에는 0번", got="1번", symptom="called-now")

    def _missing(self, names: list[str]) -> None:
        registered = [str(name) for name in getattr(self, "commands", {})]
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
        fail(idea="명령의 등록", expected=", ".join(KINDS), got=got, **more)

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
        fail(idea="기본값", **more)


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
    common = set(ClassificationConfig.options())
    own = {name: sorted(set(kind.options()) - common) for name, kind in KINDS.items()}
    for name, kind in KINDS.items():
        got, want = command_line.options_of(name), set(kind.options())
        foreign = [option for other in KINDS if other != name for option in own[other] if option in got]
        missing = sorted(want - got)
        if foreign or missing:
            expected = f"--{own[name][0]} 등 {len(want)}개"
            found = f"없는 것: {', '.join(missing[:3])}" if missing else f"남의 것: {', '.join(foreign[:3])}"
            more = {"symptom": "wrong-settings", "command": name}
            fail(idea="명령마다의 설정", expected=expected, got=found, **more)


@todo("5-2")
def test_command_calls_its_own_function_with_the_options(command_line):
    """명령은 제 이름의 함수를 부르고, 적은 옵션과 나머지의 기본값을 건넵니다."""
    for words, want in COMMANDS:
        name = words[0]
        called, options = command_line.run(*words)
        if called != name:
            same = len({command_line.run(*one)[0] for one, _ in COMMANDS}) == 1
            more = {"symptom": "one-function" if same else "wrong-function", "command": name}
            fail(idea="명령과 함수", expected=name, got=called, **more)
        if not isinstance(options, dict):
            got = "아무것도 받지 못함" if options is None else type(options).__name__
            more = {"expected": "Options", "got": got, "symptom": "options-lost", "command": name}
            fail(idea="with_options", **more)
        idea = "명령줄 옵션"
        got = {option: options.get(option) for option in want}
        assert_equal(got, want, idea=idea, message=f"{name} 함수가 받은 옵션의 값이 다릅니다.")
        given = sorted(getattr(options, "given", ()))
        if given != sorted(want):
            more = {"expected": f"Options(given: {', '.join(sorted(want))})", "got": type(options).__name__}
            fail(idea=idea, symptom="options-lost", command=name, **more)
        defaults = {key: value for key, value in options_of(KINDS[name]).items() if key not in want}
        changed = [key for key, value in defaults.items() if options.get(key) != value]
        assert_equal(changed, [], idea=idea, message="적지 않은 옵션이 기본값이 아닙니다.")
