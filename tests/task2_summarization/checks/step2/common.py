"""2단계의 검사들이 함께 쓰는 것.

토큰 번호는 학생의 코드를 거치지 않고 `support.encoded`로 구한 것에 견줍니다. 데이터셋과 배치의 검사는 앞의 TODO가
채우는 함수(`encode_dialogue`, `shift_right`) 자리에 옳은 것을 대신 둡니다. 앞의 것이 비어 있거나 틀려도 뒤의 것은
검사됩니다.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from course.checks.recognising import Wrong, recognise, require_value
from course.checks.words import fail
from tests.task2_summarization.checks import support

# ── 2-1, 2-2: 글을 토큰 번호로

CAPS = (19, 41, 163, 601)  # 모두 긴 글보다 짧고, 토크나이저가 저장해 둔 상한이나 흔한 수(128, 512)와 다릅니다.
IGNORED = -100
ENDS = {number for number, token in support.SPECIAL.items() if token in ("<s>", "</s>")}
Encode = Callable[[Any, str, int], Any]  # encode_dialogue나 encode_summary


def check_encoding(encode: Encode, text: str, cap: int, name: str, adds_start: bool = True, more: Wrong = ()) -> None:
    """학생의 함수가 `text`를 `cap`개까지 옳게 바꾸는지 봅니다.

    Args:
        name: 학생이 담는 이름. 예: `"ids"`.
        adds_start: 토크나이저가 시작 토큰도 붙이는가.
        more: 이 TODO에만 있는 (증상, 그 실수를 했을 때의 번호)들.
    """
    tokenizer = support.tokenizer(adds_start)
    before = manners_of(tokenizer)
    got = encode(tokenizer, text, cap)
    check_manners(before, tokenizer)
    got = require_ids(got, name)
    want = support.encoded(text, cap, adds_start)
    if got == want:
        return
    wrong = [*more, *wrong_encodings(text, cap, adds_start)]
    said = {"expected": summed_up(want), "shown": summed_up(got), "cap": cap, "count": len(got)}
    recognise(got, wrong, idea="토큰 번호", **said)
    for letters in range(cap - 3, cap + 4):  # 시작과 끝의 자리를 남기느라 조금 더하거나 뺀 것도 있습니다.
        if got == support.encoded(text[:letters], None, adds_start):
            fail(idea="토큰 번호", got=summed_up(got), symptom="characters", **{**said, "cap": letters})
    if got == support.encoded(text, len(got), adds_start) and set(got) - ENDS:
        fail(idea="max_length", expected=f"{len(want)}개", got=f"{len(got)}개", symptom="other-cap", cap=cap)
    body = [place for place, one in enumerate(got) if one not in ENDS] or [0]
    inside = [place for place in range(body[0], body[-1]) if got[place] in ENDS]  # 앞뒤에 모두 글이 있는 것
    if inside and not set(want[1:-1]) & ENDS:
        shown = f"{inside[0]}번째에 {words_of([got[inside[0]]])}"
        fail(idea="시작과 끝", expected="처음과 마지막에만", got=shown, symptom="specials-inside", name=name)
    pairs = zip(got, want, strict=False)
    where = next((i for i, (one, two) in enumerate(pairs) if one != two), min(len(got), len(want)))
    message = f"{name}의 {where}번째 토큰부터 다릅니다."
    fail(message, idea="토큰 번호", expected=words_of(want[where:]), got=words_of(got[where:]))


def wrong_encodings(text: str, cap: int, adds_start: bool) -> Wrong:
    """흔한 실수를 했을 때 나올 번호들."""
    whole = support.encoded(text, None, adds_start)
    body = support.body_of(text)
    want = support.encoded(text, cap, adds_start)
    end = whole[-1:]
    start = whole[:1] if adds_start else []
    return [
        ("not-truncated", whole),
        ("sliced", whole[:cap]),
        ("no-specials", body[:cap]),
        ("model-cap", support.encoded(text, support.MODEL_MAX_LENGTH, adds_start)),
        ("characters", support.encoded(text[:cap], cap, adds_start)),
        ("padded", want + [support.PAD] * (cap - len(want))),
        ("kept-the-end", start + body[len(start + end) - cap :] + end),
        *[("specials-dropped", one) for one in (want[:-1], want[1:], want[1:-1])],
        ("reversed", want[::-1]),
        ("specials-twice", (start + whole)[: cap - len(end)] + end),
        ("specials-twice", (start + whole[:-1])[: cap - 2 * len(end)] + end + end),
        ("over-cap", body[:cap] + end),
        ("over-cap", (start + body)[:cap] + end),
        ("one-line", support.encoded(text.replace("\n", " "), cap, adds_start)),
        ("one-line", support.encoded("".join(text.splitlines()), cap, adds_start)),
        *[("respelled", support.encoded(change(text), cap, adds_start)) for change in (str.lower, str.upper)],
        ("mask", [1] * len(want)),
    ]


def manners_of(tokenizer: Any) -> dict[str, Any]:
    """토크나이저를 쓰는 다른 곳들이 함께 보는 것."""
    names = ("padding_side", "truncation_side", "model_max_length", "bos_token", "eos_token", "pad_token")
    return {**{name: getattr(tokenizer, name) for name in names}, "어휘의 크기": len(tokenizer)}


def check_manners(before: Mapping[str, Any], tokenizer: Any) -> None:
    for name, value in manners_of(tokenizer).items():
        if value != before[name]:
            fail(idea="부작용", expected=before[name], got=value, symptom="tokenizer-changed", name=name)


def require_ids(got: Any, name: str) -> list[int]:
    """토큰 번호들의 목록. 아니면 무엇이 왔는지 말합니다."""
    require_value(got, name)
    if isinstance(got, Mapping):
        fail(idea="토크나이저", expected="번호들의 목록", got=", ".join(got), symptom="whole-encoding")
    if isinstance(got, Tensor):
        shape = tuple(got.shape)
        fail(idea="토크나이저", expected="목록(list)", got=f"텐서 {shape}", symptom="tensor")
    if isinstance(got, list) and len(got) == 1 and isinstance(got[0], list):
        fail(idea="토크나이저", expected="[번호, …]", got="[[번호, …]]", symptom="nested", name=name)
    if isinstance(got, list) and got and got[0] is None:
        fail(idea="시작 토큰", expected="번호", got="None", symptom="start-by-hand", name=name)
    if not isinstance(got, list):
        fail(idea="토큰 번호", expected="[번호, …]", got=type(got).__name__, symptom="not-list", name=name)
    place, odd = next(((place, one) for place, one in enumerate(got) if type(one) is not int), (0, 0))
    if isinstance(odd, str):
        fail(idea="토큰 번호", expected="번호(int)", got=f"글 {odd!r}({place}번째)", symptom="strings", name=name)
    if odd is None or type(odd) is not int:
        kind = "None" if odd is None else type(odd).__name__
        fail(idea="토큰 번호", expected="[번호, …]", got=f"{place}번째가 {kind}인 목록", symptom="not-list", name=name)
    return got


def words_of(ids: Sequence[int], count: int = 3) -> str:
    """앞의 몇 토큰을 글로. 비었으면 없다고 적습니다."""
    word = support.tokenizer().convert_ids_to_tokens
    return " ".join(word(one) if one >= 0 else str(one) for one in ids[:count]) or "없음"


def summed_up(ids: Sequence[int]) -> str:
    """몇 개이고 무엇으로 시작해 무엇으로 끝나는지."""
    return f"{len(ids)}개, {words_of(ids, 1)} … {words_of(ids[-1:])}"


# ── 2-4: 디코더의 입력


def shifted(labels: Tensor, pad_id: int, start_id: int) -> Tensor:
    """옳게 한 칸 민 것. 자리마다 하나씩 적은 것이라 학생의 코드를 거치지 않습니다. 2-4의 자리에 대신 두기도 합니다."""
    if not isinstance(labels, Tensor):
        kind = type(labels).__name__
        fail(f"shift_right에 {kind}을(를) 건넸습니다.", idea="텐서", expected="텐서", got=kind, symptom="list-shifted")
    rows = [[start_id, *[pad_id if one == IGNORED else one for one in row[:-1]]] for row in labels.tolist()]
    return labels.new_tensor(rows)


# ── 2-5, 2-6: 배치로 묶기


def filled(rows: Sequence[Sequence[int]], value: int, left: bool = False) -> Tensor:
    """길이가 다른 줄들의 오른쪽(`left`이면 왼쪽)을 `value`로 채운 텐서. 단계 파일의 `padded`를 거치지 않습니다."""
    made = torch.full((len(rows), max(map(len, rows))), value)
    for line, row in zip(made, rows, strict=True):
        place = slice(len(line) - len(row), None) if left else slice(len(row))
        line[place] = torch.tensor(list(row))
    return made


def what_changed(given: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> str:
    """받은 항목들이 어떻게 달라졌는지, 짧은 말로."""
    if len(given) != len(after):
        return f"항목 {len(given)}개가 {len(after)}개로"
    for one, other in zip(given, after, strict=True):
        gone = [name for name in one if name not in other]
        if gone:
            return f"{gone[0]}가 사라진 항목"
        name = next((name for name in one if len(one[name]) != len(other[name])), None)
        if name is not None:
            return f"길이가 {len(one[name])}에서 {len(other[name])}(으)로 달라진 {name}"
    return "값이 달라진 항목"
