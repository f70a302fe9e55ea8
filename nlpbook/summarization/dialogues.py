"""대화와 요약이 든 CSV를 읽습니다: 열의 차례가 달라도, 따옴표 안에 줄바꿈이 있어도, BOM이나 cp949여도.

    fname,dialogue,summary,topic
    train_0001,"#Person1#: 안녕하세요.
    #Person2#: 네, 안녕하세요.",#Person1#과 #Person2#가 인사합니다.,인사

`dialogue`만 있으면 읽고, `summary`가 없거나 비었으면 요약 없는 대화입니다. 글은 모두 NFC로 바꿉니다.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console_text import did_you_mean
from nlpbook.errors import UserError
from nlpbook.paths import shown
from nlpbook.text import normalized

COLUMNS = ("fname", "dialogue", "summary", "topic")


@dataclass(frozen=True)
class Dialogues:
    """파일 하나의 대화들.

    Attributes:
        names: 대화마다의 이름(`fname`). 없으면 파일 안의 번호입니다.
        dialogues: 대화들. 말마다 한 줄입니다.
        summaries: 대화마다의 요약. 하나라도 없으면 None입니다.
        topics: 대화마다의 주제. 없으면 빈 글입니다.
    """

    names: list[str]
    dialogues: list[str]
    summaries: list[str] | None
    topics: list[str]

    def __len__(self) -> int:
        return len(self.dialogues)


def read_dialogues(path: Path | str, limit: int | None = None, need_summaries: bool = False) -> Dialogues:
    """CSV의 대화들을 파일의 차례대로.

    Args:
        path: CSV 파일. UTF-8(BOM이 있어도 됩니다)이나 cp949입니다.
        limit: 앞의 몇 개만. None이면 모두.
        need_summaries: 참이면 요약이 빠진 대화를 오류로 봅니다(학습과 평가).

    Raises:
        UserError: 파일이 없거나, CSV가 아니거나, 열이 없거나, 빈 대화나 빠진 요약이 있을 때. 몇 번째 대화인지 적습니다.
    """
    path = Path(path).expanduser()
    table = _table(path)
    column = {str(name).strip().lower(): name for name in table.columns}
    if "dialogue" not in column:
        there = ", ".join(map(str, table.columns))
        hint = did_you_mean("dialogue", column)
        raise UserError(
            f"{shown(path)} 에 dialogue 열이 없습니다(있는 열: {there}).{hint} 첫 줄에 열의 이름을 적어 주세요."
        )
    if need_summaries and "summary" not in column:
        raise UserError(f"{shown(path)} 에 summary 열이 없습니다. 배우고 재려면 대화마다 요약이 있어야 합니다.")
    if limit is not None:
        table = table.head(limit)
    texts = {name: _column(table, column.get(name)) for name in COLUMNS}
    _require_text(texts["dialogue"], path, "대화가 비었습니다")
    if need_summaries:
        _require_text(texts["summary"], path, "요약이 비었습니다")
    names = texts["fname"]
    if not any(names):
        names = [str(number) for number in range(len(table))]
    summaries = texts["summary"] if "summary" in column and all(texts["summary"]) else None
    return Dialogues(names, [_turns(text) for text in texts["dialogue"]], summaries, texts["topic"])


def _table(path: Path) -> Any:
    import pandas

    if not path.is_file():
        raise UserError(f"대화 파일이 없습니다: {shown(path)}. 경로를 확인해 주세요.")
    for encoding in ("utf-8-sig", "cp949"):
        try:
            table = pandas.read_csv(path, encoding=encoding, dtype=str, keep_default_na=False)
        except UnicodeDecodeError:
            continue
        except (pandas.errors.ParserError, pandas.errors.EmptyDataError) as error:
            raise UserError(
                f"{shown(path)} 을(를) CSV로 읽을 수 없습니다({error}). 줄바꿈이 든 대화는 큰따옴표로 감싸 주세요."
            ) from None
        if table.empty:
            raise UserError(f"{shown(path)} 에 대화가 하나도 없습니다.")
        return table
    raise UserError(f"{shown(path)} 의 인코딩을 알 수 없습니다. UTF-8로 저장해 주세요.")


def _column(table: Any, name: Any) -> list[str]:
    if name is None:
        return [""] * len(table)
    return [normalized(text).strip() for text in table[name].fillna("")]


def _turns(dialogue: str) -> str:
    """말마다 한 줄. 어느 운영체제의 줄바꿈이든 같게 하고, 빈 줄을 없앱니다."""
    return "\n".join(line.strip() for line in dialogue.splitlines() if line.strip())


def _require_text(texts: list[str], path: Path, problem: str) -> None:
    empty = [number for number, text in enumerate(texts, start=1) if not text]
    if empty:
        more = f" 외 {len(empty) - 1}개" if len(empty) > 1 else ""
        raise UserError(f"{shown(path)} 의 {empty[0]}번째 대화{more}: {problem}. 채우거나 그 줄을 지워 주세요.")


def shared_rows(first: Dialogues, second: Dialogues) -> int:
    """두 파일에 똑같이 들어 있는 대화의 수. 빈칸과 줄바꿈의 차이는 보지 않습니다."""
    seen = {" ".join(text.split()) for text in first.dialogues}
    return sum(" ".join(text.split()) in seen for text in second.dialogues)


def require_apart(train: Dialogues, other: Dialogues, train_path: Path | str, other_path: Path | str) -> None:
    """학습한 대화로 고르거나 재지 않게 합니다.

    Raises:
        UserError: 두 파일에 같은 대화가 있을 때. 몇 개인지 적습니다.
    """
    same = shared_rows(train, other)
    if same:
        raise UserError(
            f"{shown(train_path)} 와 {shown(other_path)} 에 같은 대화가 {same:,}개 있습니다. 배운 것으로 재면 점수가 "
            "부풀려집니다. 서로 다른 파일을 주세요."
        )


def turns_cut(tokenizer: Any, dialogue: str, max_len: int) -> int:
    """`max_len` 토큰으로 자를 때 조금이라도 잘려 나가는 말(turn)의 수."""
    kept = tokenizer(dialogue, truncation=True, max_length=max_len)["input_ids"]
    if len(kept) < max_len:
        return 0
    text = tokenizer.decode(kept, skip_special_tokens=True)
    return dialogue.count("\n") + 1 - _whole_turns(dialogue, text)


def _whole_turns(dialogue: str, kept: str) -> int:
    """`kept`에 온전히 남은 말의 수. 토크나이저는 줄바꿈을 빈칸으로 바꿀 수 있으므로 빈칸은 세지 않습니다."""
    room = len("".join(kept.split()))
    whole = 0
    used = 0
    for turn in dialogue.split("\n"):
        used += len("".join(turn.split()))
        if used > room:
            break
        whole += 1
    return whole
