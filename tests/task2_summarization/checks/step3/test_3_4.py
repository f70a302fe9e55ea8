"""3-4의 검사: 대화들을 요약하기.

데이터셋과 배치, 글로 되돌리는 일에는 옳은 것을 대신 둡니다. 2단계의 TODO나 3-2가 비어 있거나 틀려도 검사됩니다. 기준은
대화마다 채울 것이 없도록 혼자 쓰게 한 요약입니다.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from course.checks.recognising import explained, recognise, when
from course.checks.words import assert_equal, fail, known_as, todo
from tests.task2_summarization.checks import models, support

IDEA = "생성"
BATCH = 2  # 배치는 셋이고, 마지막 것은 더 작습니다. 배치 안의 번호는 작은 것부터가 아닙니다.
MAX_LEN = 41  # 가장 긴 대화보다 깁니다.


@known_as("DialogueSummarizationDataset")
class Encoded:
    """학생의 2단계 자리에 대신 두는 것."""

    def __init__(
        self, dialogues: Sequence[str], summaries: None, tokenizer: Any, encoder_max_len: int, decoder_max_len: int = 0
    ) -> None:
        self.items = [{"input_ids": support.encoded(one, encoder_max_len)} for one in dialogues]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return self.items[index]


@known_as("Collator")
class Padded:
    """학생의 2단계 자리에 대신 두는 것."""

    def __init__(self, pad_id: int, start_id: int) -> None:
        self.pad_id = pad_id
        self.start_id = start_id

    def __call__(self, features: Sequence[dict[str, list[int]]]) -> dict[str, Tensor]:
        rows = [feature["input_ids"] for feature in features]
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self.pad_id)
        mask = torch.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = 1
        return {"input_ids": ids, "attention_mask": mask}


def decode(tokenizer: Any, ids: Any) -> list[str]:
    """학생의 3-2 자리에 대신 두는 것."""
    if isinstance(tokenizer, Tensor) and hasattr(ids, "convert_tokens_to_ids"):
        got = "decode(번호들, 토크나이저)"
        fail(idea="인수의 차례", expected="decode(토크나이저, 번호들)", got=got, symptom="arguments-turned")
    rows = ids.tolist() if isinstance(ids, Tensor) else ids
    return [text_of(row) for row in rows]


def text_of(row: Sequence[int], skip: bool = True) -> str:
    kept = [one for one in row if one >= 0]
    return support.tokenizer().decode(kept, skip_special_tokens=skip).strip()


class Writing:
    """학생의 함수로 요약을 쓴 것.

    Attributes:
        calls: `generate`를 부를 때마다 건넨 것.
        texts: 돌려받은 요약들.
    """

    def __init__(self, step: Any, writer: Any, answer: Callable[..., Any] | None = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self.training: list[bool] = []
        real = writer.generate

        def generate(*inputs: Any, **more: Any) -> Any:
            names = dict(zip(("inputs", "generation_config"), inputs, strict=False))
            if isinstance(names.get("generation_config"), Tensor):
                got = "마스크(텐서)"
                fail(idea="generate의 인수", expected="이름을 적은 마스크", got=got, symptom="mask-by-place")
            self.calls.append({**names, **more})
            self.training.append(writer.training)
            return real(*inputs, **more) if answer is None else answer(len(self.calls) - 1)

        writer.generate = generate
        self.settings = writer.generation_config.to_dict()
        with pytest.MonkeyPatch.context() as patch:
            for name, one in (("DialogueSummarizationDataset", Encoded), ("Collator", Padded), ("decode", decode)):
                patch.setattr(step, name, one)
            with explained(self.blame_last_batch):
                self.texts = step.summarize(writer, support.tokenizer(), models.TALKS, MAX_LEN, BATCH)
        self.changed = writer.generation_config.to_dict() != self.settings

    def blame_last_batch(self, error: Exception) -> None:
        """앞의 배치들은 지나고, 더 작은 마지막 배치에서 없는 자리를 찾았으면 그렇다고 말합니다."""
        if isinstance(error, IndexError) and len(self.calls) == len(groups()):
            short = len(groups()[-1])
            fail(idea="마지막 배치", expected=f"대화 {short}개", got="없는 자리(IndexError)", symptom="short-batch")

    @property
    def extras(self) -> dict[str, Any]:
        """입력이 아닌 인수들 가운데, 모델의 생성 설정과 다른 것."""
        inputs = ("inputs", "input_ids", "attention_mask")
        given = {name: one for call in self.calls for name, one in call.items() if name not in inputs}
        return {name: one for name, one in given.items() if not self.is_settled(name, one)}

    def is_settled(self, name: str, value: Any) -> bool:
        """생성 설정에 이미 있는 값을 그대로 건넨 것인가."""
        if name == "generation_config":
            return hasattr(value, "to_dict") and value.to_dict() == self.settings
        if name not in self.settings:
            return value is None or value is False
        return self.settings[name] == value

    def masks(self) -> list[tuple[Tensor, Tensor | None]]:
        return [(call.get("input_ids", call.get("inputs")), call.get("attention_mask")) for call in self.calls]


def order() -> list[int]:
    """긴 대화부터의 번호들."""
    return sorted(range(len(models.TALKS)), key=lambda index: -len(support.encoded(models.TALKS[index])))


def groups() -> list[list[int]]:
    """배치마다의 번호들."""
    return [order()[first : first + BATCH] for first in range(0, len(models.TALKS), BATCH)]


def right(skip: bool = True) -> list[str]:
    return [text_of(row, skip) for row in models.summary_ids()]


@pytest.fixture(scope="module")
def writing(load) -> Writing:
    known = when(
        "token_type_ids",
        "token-types",
        idea="generate의 인수",
        expected="input_ids, attention_mask",
        got="token_type_ids까지",
    )
    with explained(known):
        return Writing(load(3), models.summarizer())


def paired(want: list[str], numbers_of: Callable[[list[int]], list[int]]) -> list[str]:
    """배치마다의 번호를 `numbers_of`의 차례로 바꾸어 짝지었을 때의 요약들."""
    made = list(want)
    for numbers in groups():
        for index, right_one in zip(numbers_of(numbers), numbers, strict=True):
            made[index] = want[right_one]
    return made


def wrong_texts() -> list[tuple[str, Any]]:
    """흔한 실수를 했을 때의 요약들."""
    want = right()
    rows = [list(one) for one in models.summary_ids()]
    empty = [""] * len(want)
    first_only, overwritten = list(empty), list(empty)
    for numbers in groups():
        first_only[numbers[0]] = want[numbers[0]]
        for place, index in enumerate(numbers):
            overwritten[place] = want[index]
    again, same = list(empty), list(empty)
    for numbers in groups():
        for place, index in enumerate(numbers):
            again[order()[place]] = want[index]
            same[index] = want[numbers[0]]
    turned = [paired(want, numbers_of) for numbers_of in (sorted, lambda numbers: numbers[::-1])]
    ends = list(empty)
    for numbers in groups():
        for index in numbers:
            ends[index] = want[numbers[-1]]
    by_length = [want[index] for index in order()]
    talks = [support.encoded(talk, MAX_LEN) for talk in models.TALKS]
    widths = {index: max(len(talks[one]) for one in numbers) for numbers in groups() for index in numbers}
    return [
        ("not-stored", empty),
        ("order", by_length),
        ("overwritten", overwritten),
        ("overwritten", again),
        ("first-of-batch", first_only),
        ("same-text", same),
        ("same-text", ends),
        *[("numbers-turned", one) for one in turned],
        ("list-replaced", [want[index] for index in groups()[-1]]),
        ("list-replaced", [want[index] for index in groups()[0]]),
        ("inputs-read", [text_of(ids) for ids in talks]),
        ("prompt-cut", [text_of(row[widths[index] :]) for index, row in enumerate(rows)]),
        ("special-kept", right(skip=False)),
        ("appended", empty + by_length),
        ("not-text", rows),
    ]


@todo("3-4")
def test_every_dialogue_gets_its_own_summary(writing):
    """대화와 같은 차례로, 저마다 혼자 썼을 때와 같은 요약입니다."""
    got, want = writing.texts, right()
    if got == want:
        return
    if not isinstance(got, list):
        got_kind = type(got).__name__
        fail("summaries가 요약들의 목록이 아닙니다.", idea="목록", expected="요약의 목록", got=got_kind)
    first = next((i for i, (one, two) in enumerate(zip(got, want, strict=False)) if one != two), len(want) - 1)
    expected, shown = f"{first}번 {want[first]!r}", f"{first}번 {str(got[first])[:60]!r}"
    if not writing.calls:
        fail(idea=IDEA, expected="model.generate", got="부르지 않음", symptom="not-generated")
    if any(writing.training):
        fail(idea="train/eval", expected="평가 모드", got="학습 모드", symptom="written-in-training")
    recognise(got, wrong_texts(), idea="차례와 글", expected=expected, shown=shown, count=len(got))
    if all(isinstance(one, str) for one in got) and sorted(got) == sorted(want):
        fail(idea="제자리", expected=expected, got=shown, symptom="misplaced")
    if any(isinstance(one, list) and all(isinstance(number, int) for number in one) for one in got):
        fail(idea="글", expected=expected, got=shown, symptom="not-text")
    if any(isinstance(one, list) for one in got):
        fail(idea="제자리", expected=expected, got=shown, symptom="lists-stored")
    if any(isinstance(one, Tensor) for one in got):
        fail(idea="글", expected=expected, got="텐서", symptom="not-text")
    require_masks(writing)
    require_settings(writing)
    fail("요약이 대화를 저마다 혼자 읽고 쓴 것과 다릅니다.", idea=IDEA, expected=expected, got=shown)


def require_masks(writing: Writing) -> None:
    """모델이 채운 자리까지 읽었으면 그렇다고 말합니다."""
    for ids, mask in writing.masks():
        if mask is None:
            fail(idea="attention_mask", expected="배치의 마스크", got="없음", symptom="no-mask")
        if not isinstance(mask, Tensor) or mask.shape != ids.shape:
            continue
        if bool((mask == 1).all()) and ids.shape[0] > 1:
            fail(idea="attention_mask", expected="진짜 토큰만 1", got="모두 1", symptom="mask-of-ones")
        if torch.equal(mask.bool(), ids == support.PAD):
            fail(idea="attention_mask", expected="진짜 토큰이 1", got="채움이 1", symptom="mask-inverted")
    guessed = [torch.equal(mask.bool(), ids != support.PAD) for ids, mask in writing.masks()]
    if guessed and all(guessed):
        fail(idea="attention_mask", expected="배치의 마스크", got="채움의 번호로 짐작", symptom="mask-by-pad")


def require_settings(writing: Writing) -> None:
    """생성 설정을 직접 적었으면 그렇다고 말합니다."""
    if writing.extras:
        got = ", ".join(f"{name}={str(one)[:30]}" for name, one in writing.extras.items())
        fail(idea="생성 설정", expected="model.generation_config", got=got, symptom="overrides")


@todo("3-4")
def test_the_settings_of_generation_stay(writing):
    """길이와 빔은 model.generation_config의 것이고, 부르고 나서도 그대로입니다. 요약이 우연히 같아도 그렇습니다."""
    if writing.texts == right():
        require_settings(writing)
    if writing.changed:
        fail(idea="생성 설정", expected="그대로", got="달라진 generation_config", symptom="settings-changed")


@todo("3-4")
def test_the_batch_moves_to_the_models_device(load, writing):
    """배치를 모델의 장치로 옮깁니다. 여기서는 값이 없는 장치(meta)에 모델을 둡니다."""
    if writing.texts != right():
        return
    rows = models.summary_ids()

    def answer(call: int) -> Tensor:
        return torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(rows[index]) for index in groups()[call]], batch_first=True, padding_value=support.PAD
        )

    moved = when("Module.to_empty", "model-moved", idea="장치", expected="모델이 있던 장치", got="모델을 옮김")
    with explained(moved):
        away = Writing(load(3), models.summarizer().to("meta"), answer)
    for ids, mask in away.masks():
        for name, one in (("input_ids", ids), ("attention_mask", mask)):
            if one.device.type != "meta":
                got = f"{name}은(는) {one.device.type}"
                fail(idea="장치", expected="모델의 장치", got=got, symptom="not-moved", name=name)
    assert_equal(away.texts, right(), idea="차례와 글", message="다른 장치의 모델이 쓴 요약이 제자리에 있지 않습니다.")


@todo("3-4")
def test_an_error_of_generate_is_not_hidden(load, writing):
    """generate가 멈추면 함수도 멈춥니다. 빈 요약을 쓴 요약인 것처럼 돌려주지 않습니다."""
    if writing.texts != right():
        return

    def answer(call: int) -> Tensor:
        raise RuntimeError("out of memory")

    try:
        Writing(load(3), models.summarizer(), answer)
    except Exception:  # noqa: BLE001 - 무엇으로 멈추든 숨기지 않은 것입니다.
        return
    fail(idea="예외", expected="RuntimeError", got="오류 없이 끝남", symptom="swallowed")
