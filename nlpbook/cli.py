"""설정 dataclass에서 명령줄 옵션을 만들고, 명령줄의 오류를 한국어 한 문장으로 바꿉니다.

옵션은 밑줄(`--num_epochs`)과 하이픈(`--num-epochs`) 어느 쪽으로 적어도 됩니다.
"""

from __future__ import annotations

import inspect
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.text import Text
from typer import rich_utils

from nlpbook.errors import UserError
from nlpbook.process import prepare_process
from nlpbook.settings import Settings, default_of
from todo import TodoNotDone

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # Typer가 내보내지 않는, 잘못 적은 명령줄의 공통 부모
EXIT_USER_ERROR, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
CHOICES: dict[
    str, tuple[str, ...]
] = {}  # 옵션 → 고를 수 있는 값들. 오류에 적습니다(Typer의 것은 하이픈이 바뀌어 있습니다).
STOPPED = "멈췄습니다. 저장한 것은 그대로 있습니다."

HELP_WORDS = {
    "OPTIONS_PANEL_TITLE": "그 밖의 옵션",
    "COMMANDS_PANEL_TITLE": "명령",
    "DEFAULT_STRING": "[기본값: {}]",
    "RANGE_STRING": "",
}


def _rstrip_end(self: Text, size: int) -> None:
    """줄 끝의 빈칸을 없앱니다. Rich는 폭을 글자 수로 세어, 두 칸을 차지하는 한글 줄의 끝을 `…`으로 바꿉니다."""
    if self.cell_len > size:
        self.right_crop(len(self.plain) - len(self.plain.rstrip()))


@contextmanager
def korean_help() -> Iterator[None]:
    """Typer와 Rich의 도움말을 한국어로 적고, 나올 때 되돌립니다."""
    korean = [(rich_utils, name, text) for name, text in HELP_WORDS.items()] + [(Text, "rstrip_end", _rstrip_end)]
    before = [getattr(owner, name) for owner, name, _ in korean]
    try:
        for owner, name, value in korean:
            setattr(owner, name, value)
        yield
    finally:
        for (owner, name, _), value in zip(korean, before, strict=True):
            setattr(owner, name, value)


def new_app(help: str, no_args_is_help: bool = True) -> typer.Typer:
    """옵션 이름의 하이픈을 밑줄로 읽는 Typer 앱.

    Args:
        help: 앱의 설명.
        no_args_is_help: 아무것도 적지 않고 실행하면 도움말을 보입니다. 명령이 하나뿐인 앱에서는 끕니다.
    """
    return typer.Typer(
        help=help,
        add_completion=False,
        no_args_is_help=no_args_is_help,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={
            "token_normalize_func": lambda name: name.replace("-", "_"),
            "help_option_names": ["--help", "-h"],
            "max_content_width": 110,
        },
    )


class Options(dict):
    """옵션 이름 → 값.

    Attributes:
        given: 사람이 명령줄에 적은 옵션의 이름. 나머지는 기본값입니다.
    """

    given: frozenset[str] = frozenset()

    @classmethod
    def of(cls, **given: Any) -> Options:
        """명령줄에 `given`만 적은 것과 같은 옵션. 적지 않은 것은 설정의 기본값이 됩니다."""
        options = cls(given)
        options.given = frozenset(given)
        return options

    def over(self, chosen: Mapping[str, Any]) -> Options:
        """`chosen`의 값으로 바꾸되, 명령줄에 적은 것은 그대로 둔 옵션."""
        both = Options({**self, **{name: value for name, value in chosen.items() if name not in self.given}})
        both.given = self.given
        return both


def with_options(kind: type[Settings]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`kind`의 모든 필드를 옵션으로 받는 명령을 만드는 데코레이터.

    꾸민 함수는 `Options` 하나를 받습니다. Typer는 함수의 서명(signature)에서 옵션을 읽으므로, dataclass의 필드에서
    서명을 지어 붙입니다. 옵션을 두 번 적지 않으니 서로 어긋날 일이 없습니다.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def command(ctx: typer.Context, **values: Any) -> None:
            options = Options(values)
            options.given = frozenset(n for n in values if _given(ctx, n))
            function(options)

        parameters = [inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
        for leaf in kind.leaves():
            name = leaf.option
            choices = leaf.field.metadata["choices"]
            annotation = leaf.kind
            if choices:
                annotation = Literal[choices]
                CHOICES[f"--{name}"] = choices
            default = default_of(leaf.field)
            described = typer.Option(
                f"--{name}",
                help=leaf.field.metadata["help"] + (f" ({', '.join(choices)})" if choices else ""),
                rich_help_panel=kind.panel(leaf.group),
                min=leaf.field.metadata.get("min"),
                max=leaf.field.metadata.get("max"),
                metavar=_metavar(annotation, choices),
                show_default=default is not None,
            )
            keyword = inspect.Parameter.KEYWORD_ONLY
            described_kind = Annotated[annotation, described]
            parameters.append(inspect.Parameter(name, keyword, default=default, annotation=described_kind))
        command.__signature__ = inspect.Signature(parameters)
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        return command

    return decorate


def _given(ctx: typer.Context, name: str) -> bool:
    """사람이 명령줄에 적은 옵션인가."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _metavar(annotation: Any, choices: tuple[str, ...]) -> str:
    """도움말에서 값의 자리에 적을 말."""
    if choices:
        return "이름"
    text = str(annotation)
    return "" if "bool" in text else "정수" if "int" in text else "수" if "float" in text else "글"


def run(app: typer.Typer, arguments: list[str] | None = None) -> None:
    """앱을 실행하고 프로세스를 끝냅니다. 사람이 고칠 수 있는 오류는 한 문장으로, 0이 아닌 코드로 알립니다."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")  # 한국어를 못 쓰는 Windows 콘솔에서도 멈추지 않게
    arguments = sys.argv[1:] if arguments is None else arguments
    debugging = "--debugging" in arguments
    prepare_process()
    try:
        with korean_help():
            command = _with_korean_help(typer.main.get_command(app))
            code = command.main(args=arguments, standalone_mode=False)
        if code == EXIT_INTERRUPTED:  # Typer는 Ctrl-C를 예외가 아니라 종료 코드로 돌려줍니다.
            fail(STOPPED, code)
        sys.exit(code if isinstance(code, int) else 0)
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.exit(EXIT_USAGE)  # 도움말은 이미 보였습니다.
        fail(explain_usage(error), EXIT_USAGE)
    except (KeyboardInterrupt, typer.Abort):  # Abort도 RuntimeError의 한 갈래입니다.
        fail(STOPPED, EXIT_INTERRUPTED)
    except TodoNotDone:
        raise  # RuntimeError의 한 갈래지만, 어디를 채우면 되는지는 todo.py가 더 잘 알립니다.
    except UserError as error:
        if debugging:
            raise
        fail(str(error), EXIT_USER_ERROR)
    except Exception as error:
        if debugging:
            raise
        fail(f"{_plain(error)} 자세히 보려면 --debugging을 덧붙여 주세요.", EXIT_USER_ERROR)


def _with_korean_help(command: Any) -> Any:
    for one in (command, *getattr(command, "commands", {}).values()):
        option = one.get_help_option(one.context_class(one, **one.context_settings))
        if option is not None:
            option.help = "이 도움말을 보여 줍니다."
    return command


def run_script(main: Callable[[], None]) -> None:
    """명령이 하나뿐인 스크립트를 실행하고 프로세스를 끝냅니다. 오류는 `run`처럼 한 문장으로 알립니다."""
    prepare_process()
    try:
        main()
    except UserError as error:
        fail(str(error), EXIT_USER_ERROR)
    except KeyboardInterrupt:
        fail(STOPPED, EXIT_INTERRUPTED)
    sys.exit(0)


def fail(message: str, code: int) -> NoReturn:
    """0번 프로세스에서만 한 문장을 적고 끝냅니다."""
    if int(os.environ.get("LOCAL_RANK", 0)) == 0:
        print(f"오류: {message}", file=sys.stderr, flush=True)
    sys.exit(code)


def _plain(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == 28:
        return "디스크에 빈 자리가 없어 저장하지 못했습니다. 자리를 만든 뒤 --resume으로 이어 주세요."
    if isinstance(error, PermissionError):
        return f"파일이나 폴더에 쓸 수 없습니다: {error.filename}."
    if "out of memory" in str(error):
        return "장치의 메모리가 모자랍니다. 배치 크기(--train_batch, --batch_size)나 문장의 길이를 줄여 주세요."
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return f"예상하지 못한 문제로 멈췄습니다: {type(error).__name__}: {first[:300]}."


def explain_usage(error: Any) -> str:
    """Typer의 영어 오류를 무엇을 하면 되는지 적은 한국어 문장으로 바꿉니다.

    Args:
        error: `UsageError`. Typer가 내보내지 않는 종류들이라, 이름과 속성으로 알아봅니다.
    """
    kind, ctx = type(error).__name__, getattr(error, "ctx", None)
    command = getattr(ctx, "command_path", None) or sys.argv[0]
    see_help = f"쓸 수 있는 것은 `{command} --help`에서 볼 수 있습니다."
    if kind == "NoSuchOption":
        close = getattr(error, "possibilities", None)
        hint = f" 혹시 {' 또는 '.join(sorted(close))} 인가요?" if close else ""
        return f"모르는 옵션입니다: {error.option_name}.{hint} {see_help}"
    if kind == "BadOptionUsage":
        return f"옵션 {error.option_name}에 값이 없거나 쓰임이 다릅니다. {see_help}"
    if kind in ("MissingParameter", "BadParameter"):
        parameter = getattr(error, "param", None)
        name = parameter.opts[0] if parameter and parameter.opts else getattr(error, "param_hint", "")
        if kind == "MissingParameter":
            return f"{name} 이(가) 필요합니다. {see_help}"
        choices = CHOICES.get(name, ())
        allowed = f" 고를 수 있는 값: {', '.join(map(repr, choices))}." if choices else ""
        return f"옵션 {name}의 값이 맞지 않습니다: {_explain_value(error.message)}{allowed} {see_help}"
    message = getattr(error, "message", str(error))
    if match := re.match(r"No such command '(.+?)'", message):
        return f"모르는 명령입니다: {match[1]}. {see_help}"
    if match := re.search(r"unexpected extra argument(?:s|\(s\))? \((.+)\)", message):
        return f"남는 말이 있습니다: {match[1]}. 옵션 앞에는 --를 붙여 주세요. {see_help}"
    return f"명령을 알아듣지 못했습니다({message}). {see_help}"


def _explain_value(message: str) -> str:
    for pattern, korean in (
        (r".*valid integer.*", "정수를 적어 주세요."),
        (r".*valid (float|number).*", "수를 적어 주세요."),
        (r".*greater than or equal to (\S+).*", r"\1 이상이어야 합니다."),
        (r".*less than or equal to (\S+).*", r"\1 이하여야 합니다."),
        (r".*?'(.*?)' is not one of.*", r"'\1'은(는) 고를 수 있는 값이 아닙니다."),
        (r"(.*) is not in the range (.*?)\.?$", r"\1은(는) 범위 \2 밖입니다."),
    ):
        if re.match(pattern, message, re.DOTALL):
            return re.sub(pattern, korean, message, flags=re.DOTALL)
    return message
