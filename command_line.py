"""Typer 명령줄을 한국어로: 도움말의 모양과, 잘못 적은 명령줄을 알리는 문장.

`course/`와 `nlpbook/`이 서로를 모른 채 함께 씁니다(`todo.py`처럼). Typer와 Rich의 안쪽을 고치지 않고, Typer가 받는
`cls`로 도움말을 스스로 적습니다. 한글은 터미널에서 두 칸을 차지하므로, 글자가 아니라 칸을 세어 줄을 나눕니다.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import typer
from rich.cells import cell_len
from typer.core import TyperCommand, TyperGroup

from console_text import did_you_mean

# Typer는 잘못 적은 명령줄의 공통 부모를 내보내지 않습니다. 판마다 있는 곳이 달라(click의 것이거나 Typer가 품은 것)
# 내보내는 자식에서 거슬러 찾습니다.
UsageError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")
NAME_WIDTH = 26  # 이름이 이보다 길면 설명은 다음 줄부터


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
    shown = {name: one.help or "" for name, one in commands.items() if not one.hidden}
    rows = [(name, " ".join(next(paragraphs(text), "").split())) for name, text in shown.items()]
    blocks += table("명령", rows, width)
    blocks += table("인수", [(one.metavar or one.name, one.help or "") for one in arguments], width)
    panels: dict[str, list[tuple[str, str]]] = {}
    for one in options:
        rest = "그 밖의 옵션" if any(getattr(other, "rich_help_panel", None) for other in options) else "옵션"
        panels.setdefault(getattr(one, "rich_help_panel", None) or rest, []).append(option_row(one))
    for title, rows in panels.items():
        blocks += table(title, rows, width)
    return "\n\n".join(blocks) + "\n"


def option_row(option: Any) -> tuple[str, str]:
    """옵션 하나의 (이름과 값의 자리, 설명과 기본값)."""
    if option.name == "help":
        return ", ".join(option.opts), "이 도움말을 보여 줍니다."
    name = ", ".join([*option.opts, *option.secondary_opts])
    if not option.is_flag:
        name += f" {option.metavar or '값'}"
    help = option.help or ""
    if option.show_default and not option.is_flag and option.default not in (None, ""):
        default = option.default
        shown = ", ".join(map(str, default)) if isinstance(default, (list, tuple)) else str(default)
        help += f" [기본값: {shown}]"
    return name, help


def table(title: str, rows: list[tuple[str, str]], width: int) -> Iterator[str]:
    """제목 아래에 이름과 설명을 두 줄로 맞춘 글. 줄이 없으면 아무것도 내지 않습니다."""
    if not rows:
        return
    left = min(max(cell_len(name) for name, _ in rows), NAME_WIDTH) + 4
    lines = [typer.style(title, bold=True)]
    for name, text in rows:
        described = wrapped(text, width - left)
        first = f"  {name}"
        if cell_len(first) + 2 > left:
            lines += wrapped(first, width)
            first = ""
        padding = " " * (left - cell_len(first))
        lines.append((first + padding + (described[0] if described else "")).rstrip())
        lines += [" " * left + one for one in described[1:]]
    yield "\n".join(line for line in lines if line)


def paragraphs(text: str) -> Iterator[str]:
    """빈 줄로 나뉜 문단들. 문단 안의 줄바꿈은 빈칸이 됩니다."""
    for one in re.split(r"\n\s*\n", text.strip()):
        if one.strip():
            yield " ".join(one.split())


def wrapped(text: str, width: int) -> list[str]:
    """`width`칸을 넘지 않게 나눈 줄들. 낱말 사이에서 나누고, 한 줄보다 긴 낱말만 가운데를 자릅니다."""
    indent = text[: len(text) - len(text.lstrip())]
    lines: list[str] = []
    line = indent
    for word in pieces(text.split(), max(2, width - len(indent))):
        joined = word if not line.strip() else f"{line} {word}"
        joined = joined if line.strip() else indent + word
        if line.strip() and cell_len(joined) > width:
            lines.append(line)
            joined = indent + word
        line = joined
    return [*lines, line] if line.strip() else lines


def pieces(words: Iterable[str], width: int) -> Iterator[str]:
    """낱말들. `width`칸보다 긴 것은 잘라서 냅니다."""
    for word in words:
        while cell_len(word) > width:
            end = next(end for end in range(len(word), 0, -1) if cell_len(word[:end]) <= width)
            yield word[:end]
            word = word[end:]
        yield word


def explain_usage(error: Any) -> str:
    """Typer의 영어 오류(`UsageError`)를, 무엇을 하면 되는지 적은 한국어 문장으로 바꿉니다."""
    kind = type(error).__name__
    ctx = getattr(error, "ctx", None)
    see_help = f"쓸 수 있는 것은 `{getattr(ctx, 'command_path', None) or sys.argv[0]} --help`에서 볼 수 있습니다."
    message = getattr(error, "message", str(error))
    if kind == "NoSuchOption":
        known = [name for one in ctx.command.get_params(ctx) for name in one.opts] if ctx else []
        return f"모르는 옵션입니다: {error.option_name}.{did_you_mean(error.option_name, known)} {see_help}"
    if kind == "BadOptionUsage":
        return f"옵션 {error.option_name}에 값이 없거나 쓰임이 다릅니다. {see_help}"
    if kind in ("MissingParameter", "BadParameter"):
        return f"{_explain_parameter(error, kind)} {see_help}"
    if match := re.match(r"No such command '(.+?)'", message):
        known = ctx.command.list_commands(ctx) if ctx else []
        return f"모르는 명령입니다: {match[1]}.{did_you_mean(match[1], known)} {see_help}"
    if match := re.search(r"unexpected extra argument(?:s|\(s\))? \((.+)\)", message):
        return f"남는 말이 있습니다: {match[1]}. 옵션 앞에는 --를 붙여 주세요. {see_help}"
    return f"명령을 알아듣지 못했습니다({message}). {see_help}"


def _explain_parameter(error: Any, kind: str) -> str:
    parameter = getattr(error, "param", None)
    is_argument = getattr(parameter, "param_type_name", "") == "argument"
    name = getattr(parameter, "metavar", None) if is_argument else None
    name = name or (parameter.opts[0] if parameter is not None and parameter.opts else getattr(error, "param_hint", ""))
    if kind == "MissingParameter":
        return f"{name} 이(가) 필요합니다."
    what = "인수" if is_argument else "옵션"
    return f"{what} {name}의 값이 맞지 않습니다: {_explain_value(error.message)}"


def _explain_value(message: str) -> str:
    for pattern, korean in (
        (r".*valid integer.*", "정수를 적어 주세요."),
        (r".*valid (float|number).*", "수를 적어 주세요."),
        (r".*in the range (\S+?)<=x<=(\S+?)\.", r"\1에서 \2까지의 수를 적어 주세요."),
        (r".*(?:greater than or equal to |in the range x>=)(\S+?)\.?$", r"\1 이상의 수를 적어 주세요."),
        (r".*(?:less than or equal to |in the range x<=)(\S+?)\.?$", r"\1 이하의 수를 적어 주세요."),
    ):
        if re.match(pattern, message, re.DOTALL):
            return re.sub(pattern, korean, message, flags=re.DOTALL)
    return message
