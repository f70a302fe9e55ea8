"""2-5의 검사: 배치로 묶기."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NoReturn

import pytest
import torch
from lightning import LightningModule

from course.checks.recognising import require_dtype
from course.checks.side_effects import ModesKept, SettingsKept
from course.checks.words import CheckFailed, assert_close, assert_equal, close, fail, matches, todo
from tests.task1_cls.checks import support
from tests.task1_cls.checks.step2.common import bare, tokenizer

LENGTHS = [5, 13, 3, 10]  # 가장 긴 13은 어느 수의 배수로 올려도 달라집니다. seq_len은 40입니다.


@pytest.fixture
def collating(load):
    model = bare(load)
    model.config.model.seq_len = 40
    settings, modes = SettingsKept(model.config), ModesKept(model)
    manners = ("padding_side", "truncation_side", "pad_token", "model_max_length")
    own = {name: getattr(model.lm_tokenizer, name) for name in manners}
    collate = model.collate

    def watched(features: list[dict[str, Any]]) -> Any:
        got = collate(features)
        settings.check()
        modes.check()
        for name, value in own.items():
            changed = getattr(model.lm_tokenizer, name)
            setattr(model.lm_tokenizer, name, value)  # 토크나이저는 다음 검사도 씁니다.
            if changed != value:
                fail(idea="부작용", expected=value, got=changed, symptom="tokenizer-changed", name=name)
        return got

    model.collate = watched
    return model


@pytest.fixture
def features():
    """길이가 다른 항목 넷. 토큰 번호는 특수 토큰(0~4)이 아닙니다."""
    return [
        {"input_ids": list(range(10 + 20 * i, 10 + 20 * i + n)), "attention_mask": [1] * n, "labels": label}
        for i, (n, label) in enumerate(zip(LENGTHS, (1, 0, 1, 1), strict=True))
    ]


def collated(model: Any, features: list[dict[str, Any]]) -> Mapping[str, torch.Tensor]:
    """학생의 collate가 묶은 배치. 세 텐서가 모두 있고 이차원인지 봅니다."""
    try:
        got = model.collate(copy.deepcopy(features))
    except (ValueError, RuntimeError) as error:
        ragged = ("expected sequence of length", "expects each tensor to be equal size", "should be of equal size")
        if not any(words in str(error) for words in ragged):
            raise
        fail(idea="채움(padding)", expected="모두 같은 길이", got="서로 다른 길이", symptom="not-padded")
    names = ("input_ids", "attention_mask", "labels")
    if not isinstance(got, Mapping) or any(name not in got for name in names):
        kind = ", ".join(sorted(got)) if isinstance(got, Mapping) else type(got).__name__
        fail(idea="배치", expected=", ".join(names), got=kind, symptom="missing-tensor")
    for name in names:
        if not isinstance(got[name], torch.Tensor):
            kind = type(got[name]).__name__
            fail(idea="배치", expected="텐서", got=kind, symptom="not-tensor")
    shape, count = tuple(got["input_ids"].shape), len(features)
    if count == 1 and len(shape) < 2 and collated(model, features * 2):
        squeezed("(1, 길이)", shape)
    if len(shape) != 2 or shape[0] != count:
        symptom = "transposed" if shape[1:] == (count,) else "other-shape"
        fail(idea="배치의 모양", expected=f"({count}, 길이)", got=shape, symptom=symptom)
    assert_equal(tuple(got["attention_mask"].shape), shape, idea="배치의 모양", message="두 텐서의 모양이 다릅니다.")
    return got


def squeezed(expected: str, shape: tuple[int, ...]) -> NoReturn:
    """여럿일 때는 옳은데, 문장이 하나뿐이면 배치 축이 사라졌습니다."""
    fail(idea="배치의 모양", expected=expected, got=f"모양 {shape}", symptom="squeezed")


@todo("2-5")
def test_width_is_the_longest_of_the_batch(collating, features):
    """길이는 이 배치에서 가장 긴 문장에 꼭 맞춥니다."""
    chosen = (features, features[::2], features[2:])  # 13칸, 5칸, 10칸
    widths = [collated(collating, one)["input_ids"].shape[1] for one in chosen]
    longest = [max(len(one["input_ids"]) for one in items) for items in chosen]
    if len(set(widths)) == 1 and widths[0] > longest[0] and not grows(collating, features, widths[0]):
        want, got = f"{longest[0]}칸", f"{widths[0]}칸"
        fail(idea="채움(padding)", expected=want, got=got, symptom="pad-to-max")
    for got, need in zip(widths, longest, strict=True):
        want = f"{need}칸"
        if got < need:
            fail(idea="채움(padding)", expected=want, got=f"{got}칸", symptom="cut")
        if got != need:
            for unit in (64, 32, 16, 8, 4, 2):
                if widths == [-(-one // unit) * unit for one in longest]:
                    got = f"{got}칸"
                    fail(idea="채움(padding)", expected=want, got=got, symptom="rounded-width", unit=unit)
            fail(idea="채움(padding)", expected=want, got=f"{got}칸", symptom="other-width")


def grows(model: Any, features: list[dict[str, Any]], width: int) -> bool:
    """`width`보다 긴 문장이 있으면 배치도 길어지는지. 길이를 못 박은 답은 자르거나 멈춥니다."""
    long = {"input_ids": [10] * (width + 1), "attention_mask": [1] * (width + 1), "labels": 0}
    try:
        return collated(model, [*features, long])["input_ids"].shape[1] > width
    except (CheckFailed, ValueError, RuntimeError):
        return False


@todo("2-5")
def test_mode_does_not_matter(collating, features):
    """학습할 때도 평가할 때도 똑같이 묶습니다."""
    training = collated(collating, features)
    other = bare_again(collating)
    evaluating = collated(other, features)
    for name in ("input_ids", "attention_mask", "labels"):
        here, there = training[name], evaluating[name]
        if not close(here, there, 0):
            shapes = (tuple(here.shape), tuple(there.shape))
            expected, got = shapes if shapes[0] != shapes[1] else ("같은 배치", "다른 배치")
            fail(idea="train/eval", expected=expected, got=got, symptom="by-mode")


def bare_again(model: Any) -> Any:
    """같은 부품을 가진, 평가 모드의 모델."""
    other = type(model).__new__(type(model))
    LightningModule.__init__(other)
    other.config, other.data, other.lm_tokenizer = model.config, model.data, model.lm_tokenizer
    return other.eval()


@todo("2-5")
def test_tokens_stay_and_blanks_are_the_pad_token(collating, features):
    """문장은 왼쪽에 그대로 있고, 오른쪽 빈칸은 pad로 채웁니다. 순서는 받은 그대로입니다."""
    got = collated(collating, features)["input_ids"]
    pad = tokenizer().pad_token_id
    width = got.shape[1]
    rows = [one["input_ids"] for one in features]
    right = torch.tensor([row[:width] + [pad] * (width - len(row)) for row in rows])
    left = torch.tensor([[pad] * (width - len(row)) + row[:width] for row in rows])
    zeros = torch.tensor([row[:width] + [0] * (width - len(row)) for row in rows])
    if matches(got, left, 0) and not matches(left, right, 0):
        fail(idea="채우는 쪽", expected=right[2].tolist(), got=got[2].tolist(), symptom="left")
    if matches(got, zeros, 0) and not matches(zeros, right, 0):
        fail(idea="pad 토큰", expected=f"pad({pad})", got="0", symptom="zeros")
    blanks = set(got[torch.arange(width) >= torch.tensor(LENGTHS)[:, None]].tolist())
    if len(blanks) == 1 and blanks != {pad}:
        other = blanks.pop()
        fail(idea="pad 토큰", expected=pad, got=other, symptom="other-pad")
    if not close(got, right, 0) and sorted(got.tolist()) == sorted(right.tolist()):
        order = [right.tolist().index(row) for row in got.tolist()]
        fail(idea="순서", expected=[0, 1, 2, 3], got=order, symptom="other-order")
    for row, (ids, want) in enumerate(zip(got, right, strict=True)):
        message = f"{row}번 문장의 토큰이나 빈칸이 다릅니다."
        assert_equal(ids.tolist(), want.tolist(), idea="채움(padding)", message=message)
    require_dtype(got, torch.int64, "input_ids", symptom="other-dtype")


@todo("2-5")
def test_mask_tells_tokens_from_blanks(collating, features):
    """attention_mask는 진짜 토큰이 1, 채운 자리가 0입니다."""
    batch = collated(collating, features)
    got = batch["attention_mask"]
    width = got.shape[1]
    want = torch.tensor([[1] * min(n, width) + [0] * (width - n) for n in LENGTHS])
    if 0 in want and matches(got, torch.ones_like(want), 0):
        fail(
            idea="attention_mask",
            expected=f"1의 수 {int(want.sum())}",
            got=f"1의 수 {int(got.sum())}",
            symptom="mask-of-ones",
        )
    if matches(got, 1 - want, 0):
        fail(idea="attention_mask", expected=want[2].tolist(), got=got[2].tolist(), symptom="mask-reversed")
    for row, (mask, right) in enumerate(zip(got, want, strict=True)):
        if close(mask, right, 0):
            continue
        message = f"{row}번 문장의 attention_mask가 다릅니다."
        symptom = "mask-of-pad" if set(mask[right == 0].tolist()) == {tokenizer().pad_token_id} else None
        fail(message, idea="attention_mask", expected=right.tolist(), got=mask.tolist(), symptom=symptom)
    if got.dtype == torch.bool:
        fail(idea="자료형", expected="int64", got="bool", symptom="mask-bool")
    require_dtype(got, torch.int64, "attention_mask", symptom="other-dtype")


@todo("2-5")
def test_pad_number_inside_a_text_is_a_token(collating, features):
    """글 속에 pad와 같은 번호가 있어도 진짜 토큰입니다. 어디까지가 글인지는 번호가 아니라 길이가 압니다."""
    pad = tokenizer().pad_token_id
    plain = collated(collating, features)["attention_mask"]
    for one, places in zip(features, ((2,), (1, 12), (), (9,)), strict=True):  # 가운데에도, 맨 끝에도
        for place in places:
            one["input_ids"][place] = pad
    batch = collated(collating, features)
    ids, got = batch["input_ids"], batch["attention_mask"]
    want = (torch.arange(ids.shape[1]) < torch.tensor(LENGTHS)[:, None]).long()
    if not matches(plain, want, 0) or close(got, want, 0):
        return  # 언제나 틀린 표시는 앞의 검사가 말합니다.
    symptom = "mask-by-number" if matches(got, (ids != pad).long(), 0) else None
    shown = {"expected": want[0].tolist(), "got": got[0].tolist(), "pad": pad}
    fail("글 속에 pad와 같은 번호가 있으면 attention_mask가 다릅니다.", idea="attention_mask", symptom=symptom, **shown)


@todo("2-5")
def test_labels_follow_their_sentences(collating, features):
    """라벨은 문장마다 하나, 받은 순서 그대로입니다."""
    got = collated(collating, features)["labels"]
    if got.shape == (len(features), 1):
        fail(idea="배치의 모양", expected="(4,)", got="(4, 1)", symptom="labels-2d")
    want = torch.tensor([one["labels"] for one in features])
    if got.shape != want.shape:
        shape = tuple(got.shape)
        fail(idea="배치의 모양", expected=tuple(want.shape), got=shape, symptom="label-shape")
    assert_close(got, want, atol=0, idea="정답", message="라벨이 문장과 맞지 않습니다.")
    alone = collated(collating, features[1:2])["labels"]
    if alone.shape == ():
        squeezed("(1,)", ())
    assert_close(alone, want[1:2], atol=0, idea="정답", message="문장 하나의 라벨이 다릅니다.")
    require_dtype(got, torch.int64, "labels", symptom="label-dtype")


@todo("2-5")
def test_dataset_is_not_changed(collating, features):
    """collate는 데이터셋이 가진 목록을 늘리거나 줄이지 않습니다. 다음 에포크에도 같은 문장이어야 합니다."""
    # 항목(딕셔너리)은 꺼낼 때마다 새것이라 바꾸어도 됩니다. input_ids의 목록은 데이터셋의 것입니다.
    owned = [list(one["input_ids"]) for one in features]
    given = [{**one, "input_ids": ids} for one, ids in zip(features, owned, strict=True)]
    collating.collate(given)
    for before, after in zip(features, owned, strict=True):
        if before["input_ids"] != after:
            kept = len(before["input_ids"])
            got = f"{len(after)}칸" if len(after) != kept else f"값이 다른 {kept}칸"
            fail(idea="부작용", expected=f"{kept}칸", got=got, symptom="in-place")


@todo("2-5")
def test_padding_does_not_change_the_models_answer(collating, features, device):
    """여럿이 함께 지나도, 혼자 지날 때와 같은 점수를 받습니다."""
    lang_model = twin(device)
    batch = {name: tensor.to(device) for name, tensor in collated(collating, features).items() if name != "labels"}
    with torch.no_grad():
        try:
            together = lang_model(**batch).logits
        except TypeError:
            names = ", ".join(batch)
            fail(
                "모델이 모르는 것이 배치에 있습니다.",
                idea="배치",
                expected="input_ids, attention_mask, labels",
                got=names,
            )
        alone = [lang_model(input_ids=torch.tensor([one["input_ids"]], device=device)).logits[0] for one in features]
    message = "빈칸이 모델의 점수를 바꾸었습니다."
    # 묶은 것과 혼자인 것은 행렬의 크기가 달라, 장치가 한쪽만 낮은 정밀도로 곱하기도 합니다.
    assert_close(together, torch.stack(alone), atol=0.1, idea="attention_mask", message=message)


def twin(device: str) -> torch.nn.Module:
    """시드를 정해 만든 작은 분류 모델, 평가 모드."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig.from_pretrained(str(support.tiny_model()), num_labels=2)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return BertForSequenceClassification(config).eval().to(device)
