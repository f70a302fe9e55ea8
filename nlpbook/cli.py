"""설정 dataclass에서 명령줄 옵션을 만들고, 명령줄의 오류를 한국어 한 문장으로 바꿉니다.

옵션은 밑줄(`--num_epochs`)과 하이픈(`--num-epochs`) 어느 쪽으로 적어도 됩니다.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, NoReturn, get_args

import typer

from command_line import App, UsageError, explain_usage
from console_text import make_printable
from nlpbook.casting import Refused
from nlpbook.errors import UserError, is_disk_full
from nlpbook.interrupt import terminated_like_interrupted
from nlpbook.process import prepare_process
from nlpbook.settings import Leaf, Settings, default_of
from todo import TodoNotDone

EXIT_USER_ERROR, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
STOPPED = "멈췄습니다. 저장한 것은 그대로 있습니다."
new_app = App  # 도움말과 오류가 한국어인 Typer 앱. 단계 파일은 이 이름으로 부릅니다.


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
        options.given = frozenset(given) - {SETTINGS}
        return options

    def over(self, chosen: Mapping[str, Any]) -> Options:
        """`chosen`의 값으로 바꾸되, 명령줄에 적은 것은 그대로 둔 옵션."""
        both = Options({**self, **{name: value for name, value in chosen.items() if name not in self.given}})
        both.given = self.given
        return both


SETTINGS = "settings"  # 이름=값의 모양으로 적은 말들이 담기는 이름


class Over(NamedTuple):
    """설정 파일에 적힌 것을 명령줄에서 바꾸게 합니다. 적지 않은 것은 None이어서, 파일의 값을 덮지 않습니다.

    Attributes:
        kind: 파일의 설정.
        groups: 그 가운데 이 명령이 받는 묶음들. 비었으면 모두.
        spellings: 옵션의 다른 이름 → 점으로 이은 이름. 예: `{"num_epochs": "training.num_train_epochs"}`.
    """

    kind: type[Settings]
    groups: tuple[str, ...] = ()
    spellings: Mapping[str, str] = {}

    def leaves(self) -> list[Leaf]:
        return [leaf for leaf in self.kind.leaves() if not self.groups or leaf.path[0] in self.groups]

    def names_of(self, leaf: Leaf) -> list[str]:
        """옵션의 이름들. 맨 앞이 제 이름입니다."""
        others = [name for name, path in self.spellings.items() if path == ".".join(leaf.path)]
        return list(dict.fromkeys([leaf.option, *others]))


def with_options(kind: type[Settings], over: Over | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`kind`의 모든 필드를 옵션으로 받는 명령을 만드는 데코레이터.

    꾸민 함수는 `Options` 하나를 받습니다. Typer는 함수의 서명(signature)에서 옵션을 읽으므로, dataclass의 필드에서
    서명을 지어 붙입니다. 옵션을 두 번 적지 않으니 서로 어긋날 일이 없습니다.

    Args:
        over: 함께 받을, 설정 파일의 항목들. `이름=값`으로도 적을 수 있고, 그 말들은 `options["settings"]`에 담깁니다.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def command(ctx: typer.Context, **values: Any) -> None:
            options = Options(values)
            options.given = frozenset(n for n in values if n != SETTINGS and _given(ctx, n))
            function(options)

        parameters = [inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
        for leaf in kind.leaves():
            default = default_of(leaf.field)
            parameters.append(_option(leaf, kind.panel(leaf.group), [leaf.option], default))
        if over:
            parameters.append(_settings_argument())
            parameters += [
                _option(leaf, over.kind.panel(leaf.group), over.names_of(leaf), None) for leaf in over.leaves()
            ]
        command.__signature__ = inspect.Signature(parameters)
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        return command

    return decorate


def _option(leaf: Leaf, panel: str, names: list[str], default: Any) -> inspect.Parameter:
    """옵션 하나. 기본값이 None이면 적지 않은 것과 구별됩니다: 참·거짓은 `--no_이름`으로 끌 수 있습니다."""
    choices = leaf.field.metadata["choices"]
    declared = [f"--{name}" for name in names]
    kind = leaf.kind
    if default is None and kind is bool:
        declared = [f"--{name}/--no_{name}" for name in names]
    if default is None and type(None) not in get_args(kind):
        kind = kind | None
    described = typer.Option(
        *declared,
        help=leaf.field.metadata["help"] + (f" ({', '.join(choices)})" if choices else ""),
        rich_help_panel=panel,
        metavar=_metavar(leaf.kind, choices),
        callback=_checked(leaf),
        show_default=default is not None,
    )
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(leaf.option, keyword, default=default, annotation=Annotated[kind, described])


def _settings_argument() -> inspect.Parameter:
    """`이름=값`의 모양으로 적은 말들."""
    described = typer.Argument(
        help="설정 파일의 값을 바꿉니다. 예: training.learning_rate=1e-4", metavar="이름=값 …", show_default=False
    )
    kind = Annotated[list[str] | None, described]
    return inspect.Parameter(SETTINGS, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def _given(ctx: typer.Context, name: str) -> bool:
    """사람이 명령줄에 적은 옵션인가."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _checked(leaf: Leaf) -> Callable[[Any], Any]:
    """값이 범위와 고를 수 있는 것 안에 있는지 보는 Typer의 콜백. 설정 파일의 값과 같은 말로 거절합니다."""

    def check(value: Any) -> Any:
        if value is None:  # 적지 않은 것
            return value
        try:
            leaf.owner.cast(leaf.field.name, value)
        except Refused as reason:
            raise typer.BadParameter(str(reason)) from None
        return value

    return check


def _metavar(annotation: Any, choices: tuple[str, ...]) -> str:
    """도움말에서 값의 자리에 적을 말."""
    if choices:
        return "이름"
    text = str(annotation)
    return "" if "bool" in text else "정수" if "int" in text else "수" if "float" in text else "글"


def run(app: typer.Typer, arguments: list[str] | None = None) -> None:
    """앱을 실행하고 프로세스를 끝냅니다. 사람이 고칠 수 있는 오류는 한 문장으로, 0이 아닌 코드로 알립니다."""
    make_printable()
    arguments = sys.argv[1:] if arguments is None else arguments
    debugging = "--debugging" in arguments
    prepare_process()
    try:
        with terminated_like_interrupted():
            code = typer.main.get_command(app).main(args=arguments, standalone_mode=False)
        if code == EXIT_INTERRUPTED:  # Typer는 Ctrl-C를 예외가 아니라 종료 코드로 돌려줍니다.
            stop(code)
        sys.exit(code if isinstance(code, int) else 0)
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error, file=sys.stderr)  # 오류가 곧 도움말입니다.
            sys.exit(EXIT_USAGE)
        fail(explain_usage(error), EXIT_USAGE)
    except (KeyboardInterrupt, typer.Abort):  # Abort도 RuntimeError의 한 갈래입니다.
        stop(EXIT_INTERRUPTED)
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


def run_script(main: Callable[[], None]) -> None:
    """명령이 하나뿐인 스크립트를 실행하고 프로세스를 끝냅니다. 오류는 `run`처럼 한 문장으로 알립니다."""
    make_printable()
    prepare_process()
    try:
        with terminated_like_interrupted():
            main()
    except UserError as error:
        fail(str(error), EXIT_USER_ERROR)
    except KeyboardInterrupt:
        stop(EXIT_INTERRUPTED)
    sys.exit(0)


def stop(code: int) -> NoReturn:
    """사람이나 작업 관리기가 멈춘 것은 오류가 아닙니다. 한 문장을 적고 끝냅니다."""
    if int(os.environ.get("LOCAL_RANK", 0)) == 0:
        print(STOPPED, file=sys.stderr, flush=True)
    sys.exit(code)


def fail(message: str, code: int) -> NoReturn:
    """0번 프로세스에서만 한 문장을 적고 끝냅니다."""
    if int(os.environ.get("LOCAL_RANK", 0)) == 0:
        print(f"오류: {message}", file=sys.stderr, flush=True)
    sys.exit(code)


def _plain(error: Exception) -> str:
    if is_disk_full(error):
        return "디스크에 빈 자리가 없어 저장하지 못했습니다. 자리를 만든 뒤 --resume으로 이어 주세요."
    if isinstance(error, PermissionError):
        return f"파일이나 폴더에 쓸 수 없습니다: {error.filename}."
    if "out of memory" in str(error):
        return "장치의 메모리가 모자랍니다. 배치 크기(--train_batch, --batch_size)나 문장의 길이를 줄여 주세요."
    if "weights_only" in str(error):  # PyTorch는 끄라고 권하지만, 끄면 남의 코드가 실행됩니다.
        return "텐서 말고 코드가 든 파일이라 읽지 않았습니다. train이 만든 체크포인트나 safetensors 파일을 주세요."
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return f"예상하지 못한 문제로 멈췄습니다: {type(error).__name__}: {first[:300]}."
