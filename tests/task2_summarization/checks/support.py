"""task2-summarization의 검사가 함께 쓰는 것: 대화와 요약, 작은 토크나이저.

글은 이 검사를 위해 지은 것입니다. 토크나이저는 배우지 않고 여기에 적힌 대로 만들므로 번호가 언제나 같습니다. 흔한
실수가 드러나도록 특수 토큰의 번호는 0, 1, 2가 아니고, 글 안에 채움 토큰과 똑같은 글이 나오기도 합니다.
"""

from __future__ import annotations

import copy
import os
from functools import cache
from typing import Any

# 검사 프로세스는 갈라집니다(fork). 갈라진 뒤에 새로 뜬 쓰레드에서는 PyTorch가 수의 정밀도를 바꾸지 못하므로("Invalid
# thread pool"), 가중치도 한 쓰레드로 읽습니다.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_DEACTIVATE_ASYNC_LOAD", "1")

import torch

TURNS = [
    "#Person1#: 회의가 몇 시에 시작하나요?",
    "#Person2#: 세 시에 시작합니다. 자료는 제가 챙길게요 😊",
    "#Person1#: 고맙습니다. 비가 오니 우산도 가져오세요.",
    "#Person3#: 저는 기차가 늦어서 네 시에 도착합니다.",
    "#Person2#: 그러면 회의를 네 시로 미루는 것이 좋겠습니다.",
]
DIALOGUES = [
    "\n".join(TURNS[:2]),
    "#Person1#: 네.",
    "\n".join([*TURNS[2:], "#Person1#: 빈칸은 <pad>로 채우나요?", "#Person2#: 네, <pad>"]),
    "",
    "\n".join(TURNS[:2]),  # 같은 대화에 다른 요약
    "\n".join(TURNS * 9),  # 어느 상한보다도 깁니다.
]
SUMMARIES = [
    "#Person2#는 세 시의 회의에 자료를 챙깁니다.",
    "",
    "#Person3#의 기차가 늦어 회의를 네 시로 미룹니다. 빈칸은 <pad>로 채웁니다.",
    "아무도 말하지 않았습니다.",
    "회의는 세 시에 시작합니다.",
    " ".join(["#Person1#과 #Person2#는 비가 오는 날의 회의를 이야기하고, #Person3#는 늦습니다."] * 19),
]
TAGS = ["#Person1#", "#Person2#", "#Person3#"]
MERGED = ["▁회의", "습니다", "합니다", "▁자료", "▁기차", "▁시작", "세요", "▁네"]  # 여러 글자로 된 조각들
SPECIAL = {5: "</s>", 7: "<s>", 9: "<pad>", 11: "<usr>", 13: "<unk>"}  # 번호 → 특수 토큰
PAD, START, END = 9, 11, 5
MODEL_MAX_LENGTH = 97  # 토크나이저가 저장해 둔 상한. 검사가 건네는 상한과 다릅니다.


def _pieces() -> tuple[list[str], list[tuple[str, str]]]:
    """글자와 조각들을 특수 토큰의 자리를 비켜 늘어놓은 어휘와, 조각을 만드는 차례."""
    letters = set("".join([*DIALOGUES, *SUMMARIES, *MERGED])) - {"😊", " "}
    merges: dict[tuple[str, str], str] = {}
    for word in MERGED:
        for end in range(1, len(word)):
            merges[word[:end], word[end]] = word[: end + 1]
    words = [*sorted(letters), *merges.values()]
    for number, token in sorted(SPECIAL.items()):
        words.insert(number, token)
    return words, list(merges)


@cache
def _backend(adds_start: bool) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    words, merges = _pieces()
    ids = {word: number for number, word in enumerate(words)}
    made = Tokenizer(models.BPE(vocab=ids, merges=merges, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.add_special_tokens([token for _, token in sorted(SPECIAL.items())])
    made.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in TAGS])
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>" if adds_start else "$A </s>",
        special_tokens=[(token, ids[token]) for token in ("<s>", "</s>")],
    )
    return made


@cache
def _tokenizer(adds_start: bool) -> Any:
    from transformers import PreTrainedTokenizerFast

    made = PreTrainedTokenizerFast(
        tokenizer_object=copy.deepcopy(_backend(adds_start)),
        bos_token="<s>" if adds_start else None,
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=MODEL_MAX_LENGTH,
    )
    made.model_input_names = ["input_ids", "attention_mask"]
    return made


def tokenizer(adds_start: bool = True) -> Any:
    """새 토크나이저. 글을 `<s> … </s>`로 만듭니다. `adds_start`가 거짓이면 T5처럼 끝만 붙이고, 시작 토큰이 없습니다."""
    return copy.deepcopy(_tokenizer(adds_start))


def body_of(text: str) -> list[int]:
    """시작과 끝을 붙이지 않은, 자르지 않은 토큰 번호들. 학생이 쓰는 토크나이저를 거치지 않습니다."""
    return _backend(True).encode(text, add_special_tokens=False).ids


def encoded(text: str, max_len: int | None = None, adds_start: bool = True) -> list[int]:
    """옳게 자른 토큰 번호들: 시작과 끝을 더해 `max_len`개까지. None이면 자르지 않습니다."""
    start = [_backend(True).token_to_id("<s>")] if adds_start else []
    end = [_backend(True).token_to_id("</s>")]
    body = body_of(text)
    room = len(body) if max_len is None else max_len - len(start) - len(end)
    return start + body[:room] + end


def warm() -> None:
    """검사 프로세스가 갈라지기 전에 한 번: 설정 파일을 읽는 것들과 두 토크나이저를 미리 움직여 봅니다."""
    from nlpbook.pretrained import quiet_transformers
    from nlpbook.summarization.config_files import command_line_layer, resolved
    from tests.task2_summarization.checks import models

    torch.set_num_threads(1)
    quiet_transformers()
    resolved(command_line_layer(["num_epochs=5"]))
    models.warm()
    for adds_start in (True, False):
        tokenizer(adds_start)(DIALOGUES[0], truncation=True, max_length=8)
