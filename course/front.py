"""명령들의 이름과 설명. 아무것도 설치하지 않은 기계에서도 `--help`와 잘못 적은 명령에 답합니다.

설명은 여기에 한 번만 적습니다: `cli.py`와 `student/commands.py`가 같은 것을 Typer에 건넵니다. `bootstrap.py`가 설치하기
전에 부르므로 표준 라이브러리만 쓰고, Python 3.8의 문법으로 적습니다.
"""

from __future__ import annotations

import shutil
from typing import Any, NamedTuple

from console_text import table, unknown_command, wrapped

PROGRAM = "python -m course"
ABOUT = "한국어 NLP 강의의 실습 도구입니다."
LEARNING, MAKING = "배우기", "강의 고치기"
HELP = ("--help", "-h")
NOT_YET = (
    "명령마다의 옵션은 필요한 것을 설치한 뒤에 `{program} {name} --help`로 볼 수 있습니다. "
    "`python3 -m course demo`(Windows에서는 `py -m course demo`)가 설치하고 완성된 것을 보여 줍니다."
)


class Command(NamedTuple):
    """명령 하나: 어느 묶음의 것인지, 인수의 자리에 적을 말, 설명."""

    group: str
    words: str
    help: str


WHERE = "[과제] [단계|TODO]"
COMMANDS = {
    "demo": Command(
        LEARNING,
        "[과제]",
        "완성된 과제를 내장 데이터로 학습하고, 평가하고, 몇 문장에 답해 봅니다. --serve를 붙이면 웹 페이지까지 엽니다.",
    ),
    "watch": Command(LEARNING, "[과제]", "파일을 저장할 때마다 검사하고, 지금 할 TODO를 보여 줍니다."),
    "check": Command(LEARNING, WHERE, "TODO를 검사합니다. 틀렸으면 무엇을 잘못 생각했는지 알려 줍니다."),
    "hint": Command(LEARNING, "[과제] TODO", "힌트를 하나 더 봅니다. 어디를 볼지 → 다음 질문 → 답의 모양 순서입니다."),
    "diff": Command(LEARNING, "[과제] 단계|TODO", "처음 모습에서 내가 무엇을 바꾸었는지 봅니다."),
    "reveal": Command(
        LEARNING,
        "[과제] TODO",
        "TODO 하나의 해답을 내 파일에 넣고 설명을 봅니다. 쓰던 코드는 남겨 두고, undo로 되돌릴 수 있습니다.",
    ),
    "reset": Command(
        LEARNING,
        "[과제] 단계|TODO",
        "TODO 하나(3-4)나 단계 하나(3)를 처음으로 되돌립니다. 쓰던 코드는 남겨 둡니다.",
    ),
    "undo": Command(
        LEARNING, "", "reveal, reset, update로 바뀐 것을 무릅니다. 여러 번 부르면 그 앞의 것도 차례로 무릅니다."
    ),
    "status": Command(LEARNING, WHERE, "어디까지 했는지 보여 줍니다. 지금 있는 파일을 검사해서 셉니다."),
    "update": Command(
        LEARNING,
        "--from 폴더",
        "새 판의 실습을 내 파일에 합칩니다. 내가 쓴 답은 남고, 설명과 뼈대는 새 판을 따릅니다.",
    ),
    "build": Command(MAKING, "", "해답(solutions/)에서 실습 파일과 가이드의 TODO 표를 만듭니다."),
    "audit": Command(MAKING, WHERE, "해답을 기계적으로 망가뜨려, 검사가 걸러 내지 못하는 것을 찾습니다."),
    "record": Command(
        MAKING, f"파일 {WHERE}", "모든 답의 판정을 적어 두거나 견줍니다. 검사나 도구의 자리를 옮길 때 씁니다."
    ),
    "judge": Command(
        MAKING, f"폴더 {WHERE}", "검사를 보지 않고 쓴 답들을 판정해, 처음 보는 답을 얼마나 옳게 가리는지 셉니다."
    ),
    "tolerances": Command(MAKING, WHERE, "검사의 허용 오차가 장치의 차이와 가장 가까운 실수 사이에 있는지 잽니다."),
    "test": Command(
        MAKING,
        "",
        "이 저장소의 시험을 모두 돌립니다: 코드 규칙, 두 폴더의 일치, 모든 검사. 덧붙인 옵션은 pytest에 건넵니다.",
    ),
}


def told(name: str) -> dict[str, Any]:
    """Typer에 명령을 등록할 때 건넬 설명과 묶음."""
    return {"help": COMMANDS[name].help, "rich_help_panel": COMMANDS[name].group}


def answer(arguments: list[str]) -> tuple[int, str] | None:
    """설치하지 않고도 답할 수 있는 명령줄이면 (종료 코드, 적을 글). 아니면 None입니다.

    도움말을 부탁했거나, 아무것도 적지 않았거나, 모르는 명령을 적은 것입니다.
    """
    if not arguments or arguments[0] in HELP:
        return (0 if arguments else 2), overview()
    name = arguments[0]
    if name not in COMMANDS:
        return 2, f"오류: {unknown_command(name, COMMANDS, PROGRAM)}\n"
    return (0, about(name)) if set(HELP) & set(arguments) else None


def overview() -> str:
    """명령들의 목록. Typer가 보이는 것과 같습니다."""
    width = _width()
    blocks = [f"사용법: {PROGRAM} 명령 [옵션]", *("\n".join(wrapped(one, width)) for one in (ABOUT,))]
    for group in (LEARNING, MAKING):
        blocks += table(group, [(name, one.help) for name, one in COMMANDS.items() if one.group == group], width)
    blocks += table("옵션", [(", ".join(HELP), "이 도움말을 보여 줍니다.")], width)
    return "\n\n".join(blocks) + "\n"


def about(name: str) -> str:
    """명령 하나의 쓰임과 설명. 옵션의 목록은 Typer만 압니다."""
    command, width = COMMANDS[name], _width()
    usage = " ".join(word for word in ("사용법:", PROGRAM, name, command.words, "[옵션]") if word)
    told = (usage, command.help, NOT_YET.format(program=PROGRAM, name=name))
    return "\n\n".join("\n".join(wrapped(one, width)) for one in told) + "\n"


def _width() -> int:
    """도움말의 폭. 클릭(Typer)이 쓰는 것과 같습니다."""
    return max(min(shutil.get_terminal_size().columns, 110) - 2, 50)
