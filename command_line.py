"""Typer 명령줄을 한국어로: 도움말의 모양과, 잘못 적은 명령줄을 알리는 문장.

`course/`와 `nlpbook/`이 서로를 모른 채 함께 씁니다(`todo.py`처럼). Typer와 Rich의 안쪽을 고치지 않고, Typer가 받는
`cls`로 도움말을 스스로 적습니다. 한글은 터미널에서 두 칸을 차지하므로, 글자가 아니라 칸을 세어 줄을 나눕니다.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from console_text import did_you_mean, paragraphs, table, unknown_command, with_particles, wrapped

# Typer는 잘못 적은 명령줄의 공통 부모를 내보내지 않습니다. 판마다 있는 곳이 달라(click의 것이거나 Typer가 품은 것)
# 내보내는 자식에서 거슬러 찾습니다.
UsageError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")


class KoreanCommand(TyperCommand):
    """도움말을 한국어로 적는 명령."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(help_text(self, ctx, formatter.width))


class KoreanGroup(TyperGroup):
    """도움말을 한국어로 적는 명령들의 묶음."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(help_text(self, ctx, formatter.width))


class App(typer.Typer):
    """도움말과 오류가 한국어인 Typer 앱. 옵션 이름의 하이픈은 밑줄로도 읽습니다.

    Args:
        help: 앱의 설명.
        no_args_is_help: 아무것도 적지 않고 실행하면 도움말을 보입니다. 명령이 하나뿐인 앱에서는 끕니다.
    """

    def __init__(self, help: str, no_args_is_help: bool = True) -> None:
        super().__init__(
            help=help,
            cls=KoreanGroup,
            add_completion=False,
            no_args_is_help=no_args_is_help,
            pretty_exceptions_enable=False,
            rich_markup_mode=None,
            context_settings={
                "token_normalize_func": lambda name: name.replace("-", "_"),
                "help_option_names": ["--help", "-h"],
                "max_content_width": 110,
            },
        )

    def command(self, name: str | None = None, **more: Any) -> Any:
        return super().command(name, **{"cls": KoreanCommand, **more})


def help_text(command: Any, ctx: Any, width: int) -> str:
    """명령 하나의 도움말. 어느 줄도 `width`칸을 넘지 않습니다."""
    arguments = [one for one in command.get_params(ctx) if one.param_type_name == "argument"]
    options = [one for one in command.get_params(ctx) if one.param_type_name == "option" and not one.hidden]
    commands = {name: command.get_command(ctx, name) for name in getattr(command, "commands", {})}
    words = ["명령"] if commands else [one.metavar or one.name for one in arguments]
    usage = " ".join(["사용법:", ctx.command_path, *words, "[옵션]"])
    blocks = ["\n".join(wrapped(usage, width))]
    blocks += ["\n".join(wrapped(paragraph, width)) for paragraph in paragraphs(command.help or "")]
    shown = [one for one in commands.values() if not one.hidden]
    blocks += _panels("명령", [(one, (one.name, next(paragraphs(one.help or ""), ""))) for one in shown], width)
    blocks += table(_bold("인수"), [(one.metavar or one.name, one.help or "") for one in arguments], width)
    blocks += _panels("옵션", [(one, option_row(one)) for one in options], width)
    return "\n\n".join(blocks) + "\n"


def _panels(title: str, shown: list[tuple[Any, tuple[str, str]]], width: int) -> list[str]:
    """(명령이나 옵션, 이름과 설명)들을 `rich_help_panel`이 같은 것끼리 모은 표들.

    Args:
        title: 그것을 적지 않은 것들의 제목.
    """
    named = {getattr(one, "rich_help_panel", None) for one, _ in shown} - {None}
    panels: dict[str, list[tuple[str, str]]] = {}
    for one, row in shown:
        panel = getattr(one, "rich_help_panel", None) or (f"그 밖의 {title}" if named else title)
        panels.setdefault(panel, []).append(row)
    return [block for panel, rows in panels.items() for block in table(_bold(panel), rows, width)]


def _bold(title: str) -> str:
    return typer.style(title, bold=True)


def option_row(option: Any) -> tuple[str, str]:
    """옵션 하나의 (이름과 값의 자리, 설명과 기본값)."""
    if option.name == "help":
        # Typer는 이름들을 집합에 담아, 차례가 실행할 때마다 다릅니다.
        return ", ".join(sorted(option.opts, key=len, reverse=True)), "이 도움말을 보여 줍니다."
    name = ", ".join([*option.opts, *option.secondary_opts])
    if not option.is_flag:
        name += f" {option.metavar or '값'}"
    help = option.help or ""
    if option.show_default and not option.is_flag and option.default not in (None, ""):
        default = option.default
        shown = ", ".join(map(str, default)) if isinstance(default, (list, tuple)) else str(default)
        help += f" [기본값: {shown}]"
    return name, help


def explain_usage(error: Any, program: str | None = None) -> str:
    """Typer의 영어 오류(`UsageError`)를, 무엇을 하면 되는지 적은 한국어 문장으로 바꿉니다.

    Args:
        program: 오류가 어느 명령의 것인지 모를 때 적을 프로그램의 이름. 주지 않으면 실행한 파일입니다.
    """
    return with_particles(_explained(error, program or Path(sys.argv[0]).name))


def _explained(error: Any, program: str) -> str:
    kind = type(error).__name__
    ctx = getattr(error, "ctx", None)
    program = getattr(ctx, "command_path", None) or program
    see_help = f"쓸 수 있는 것은 `{program} --help`에서 볼 수 있습니다."
    message = getattr(error, "message", str(error))
    if kind == "NoSuchOption":
        known = [name for one in ctx.command.get_params(ctx) for name in one.opts] if ctx else []
        return f"모르는 옵션입니다: {error.option_name}.{did_you_mean(error.option_name, known)} {see_help}"
    if kind == "BadOptionUsage":
        wrong = "에는 값을 적지 않습니다" if "does not take a value" in message else "에 값이 없습니다"
        return f"옵션 {error.option_name}{wrong}. {see_help}"
    if kind in ("MissingParameter", "BadParameter"):
        return f"{_explain_parameter(error, kind)} {see_help}"
    if match := re.match(r"No such command '(.+?)'", message):
        return unknown_command(match[1], ctx.command.list_commands(ctx) if ctx else [], program)
    if match := re.search(r"unexpected extra argument(?:s|\(s\))? \((.+)\)", message):
        return f"남는 말이 있습니다: {match[1]}. 옵션 앞에는 --를 붙여 주세요. {see_help}"
    return f"명령을 알아듣지 못했습니다({message}). {see_help}"


def _explain_parameter(error: Any, kind: str) -> str:
    parameter = getattr(error, "param", None)
    is_argument = getattr(parameter, "param_type_name", "") == "argument"
    name = getattr(parameter, "metavar", None) if is_argument else None
    name = name or (parameter.opts[0] if parameter is not None and parameter.opts else getattr(error, "param_hint", ""))
    if kind == "MissingParameter":
        help = (getattr(parameter, "help", None) or "").rstrip(".")
        return f"{name}이(가) 필요합니다" + (f": {help}." if help else ".")
    what = "인수" if is_argument else "옵션"
    return f"{what} {name}의 값이 맞지 않습니다: {_explain_value(error.message)}"


def _explain_value(message: str) -> str:
    for pattern, korean in (
        (r".* is not one of (.+?)\.?$", r"\1 가운데 하나를 적어 주세요."),
        (r".*valid integer.*", "정수를 적어 주세요."),
        (r".*valid (float|number).*", "수를 적어 주세요."),
        (r".*in the range (\S+?)<=x<=(\S+?)\.", r"\1에서 \2까지의 수를 적어 주세요."),
        (r".*(?:greater than or equal to |in the range x>=)(\S+?)\.?$", r"\1 이상의 수를 적어 주세요."),
        (r".*(?:less than or equal to |in the range x<=)(\S+?)\.?$", r"\1 이하의 수를 적어 주세요."),
    ):
        if re.match(pattern, message, re.DOTALL):
            return re.sub(pattern, korean, message, flags=re.DOTALL)
    return message
