"""2단계의 검사: 옵티마이저, 로더 셋, 배치로 묶기.

1단계의 `__init__`을 거치지 않고 부품을 직접 끼운 모델을 씁니다. 1단계가 비어 있어도 2단계는 검사됩니다. 로더의 검사는
`collate` 자리에도 옳은 것을 대신 둡니다.
"""

from __future__ import annotations

import copy
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from lightning import LightningModule
from torch.utils.data import DataLoader, default_collate

from course.checks.words import CheckFailed, assert_close, assert_equal, close, fail, matches, show, todo
from nlpbook.classification.nsmc import NsmcCorpus
from nlpbook.loaders import evaluation_loader, training_loader
from tests.task1_cls import support
from todo import TodoNotDone

LR, DECAY = 0.03, 0.2  # PyTorch의 기본값(0.001, 0.01)과 멀리 떨어진 값
ATOL = 1e-6
SPLITS = {"train": 23, "valid": 19, "test": 11}  # 배치 크기 4와 8로 나누어떨어지지 않습니다.
NAMES = {"train": "학습", "valid": "검증", "test": "평가"}


@cache
def distinct_reviews() -> Path:
    """학습 예문의 토큰이 모두 서로 다른 말뭉치. 같은 예문을 두 번 읽으면 드러납니다.

    갈래마다 빈 리뷰와 한 낱말의 리뷰, 잘리는 긴 리뷰가 있습니다. 검증과 평가에는 빈 리뷰가 둘이라, 겹치는 것을
    지워도 드러납니다.
    """
    folder = support.workspace() / "distinct-reviews"
    folder.mkdir(exist_ok=True)  # 검사 프로세스에서 갈라진 자식들이 이 폴더를 함께 씁니다.
    words = sorted({word for sentence in support.SENTENCES for word in sentence.split()})
    start = 0
    for name, count in SPLITS.items():
        lines = ["id\tdocument\tlabel"]
        for i in range(start, start + count):
            text = " ".join([words[i % 7], words[7 + i // 7], *words[20 : 20 + i % 5]])
            odd = {3: "", 6: "" if name != "train" else text, 5: words[7 + i // 7], 9: f"{text} {support.LONG_TEXT}"}
            text = odd.get(i - start, text)
            lines.append(f"{i}\t{text}\t{i * i % 3 % 2 if text else 0}")
        (folder / f"ratings_{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
        start += count
    return folder


@cache
def tokenizer() -> Any:
    """채우는 번호(pad)가 0이 아닌 토크나이저."""
    one = copy.deepcopy(support.tokenizer())
    one.pad_token = "[MASK]"
    return one


def bare(load, device: str = "cpu", **learning: Any) -> Any:
    """`__init__`을 거치지 않고 부품을 끼운 2단계의 모델. `lang_model`은 아직 없습니다."""
    kind = load(2).NSMCModel
    model = kind.__new__(kind)
    LightningModule.__init__(model)
    model.args = support.tiny_args(learning_rate=LR, weight_decay=DECAY, **learning)
    model.args.data.home, model.args.data.name = str(distinct_reviews().parent), distinct_reviews().name
    model.data = NsmcCorpus(model.args)
    model.lm_tokenizer = tokenizer()
    return model.to(device)


def classifier() -> torch.nn.Module:
    """작은 분류 모델. 1차원 가중치도 0이 아니어서, 0으로 당기면 드러납니다."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig.from_pretrained(str(support.tiny_model()), num_labels=2)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = BertForSequenceClassification(config).eval()
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.copy_(torch.rand_like(parameter) + 0.5)
    return made


def settings_of(model: Any) -> dict[str, Any]:
    """설정의 모든 값. 이름은 `args.data.name`처럼 적습니다."""
    groups = model.args.to_dict().items()
    return {f"args.{group}.{name}": value for group, values in groups for name, value in values.items()}


def check_settings(before: dict[str, Any], model: Any) -> None:
    """부른 쪽의 설정이 그대로인지."""
    after = settings_of(model)
    for name, value in before.items():
        if after[name] != value:
            fail(
                "부른 쪽의 설정을 바꾸었습니다.",
                idea="설정의 흐름",
                expected=show(value),
                got=show(after[name]),
                symptom="args-changed",
                name=name,
            )


def modes_of(model: Any) -> list[bool]:
    """부품마다 학습 모드인지."""
    return [part.training for part in model.modules()]


def check_modes(before: list[bool], model: Any) -> None:
    """학습 모드와 평가 모드를 바꾸지 않았는지."""
    after = modes_of(model)
    if after != before:
        names = {True: "학습 모드", False: "평가 모드"}
        got = next(now for was, now in zip(before, after, strict=True) if was != now)
        message = "모듈의 모드를 바꾸었습니다."
        fail(message, idea="train/eval", expected=names[not got], got=names[got], symptom="mode-changed")


# ── 2-1 옵티마이저


@pytest.fixture
def model(load, device):
    made = bare(load)
    made.args.hardware.devices = 3  # 학습률에도 weight decay에도 섞이지 않는 수
    made.lang_model = classifier()
    return made.to(device)


@pytest.fixture
def optimizer(model):
    before, modes = settings_of(model), modes_of(model)
    try:
        got = model.configure_optimizers()
    except ValueError as error:
        if "more than one parameter group" in str(error):
            message = "같은 가중치를 두 묶음에 넣었습니다."
            fail(message, idea="파라미터 묶음", expected="꼭 한 번씩", got="두 번", symptom="in-two-groups")
        raise
    except TypeError as error:
        if "optimizer can only optimize Tensors" in str(error):
            message = "묶음의 목록을 한 번 더 목록에 넣었습니다."
            fail(message, idea="파라미터 묶음", expected="묶음의 목록", got="목록의 목록", symptom="nested-groups")
        if "not supported between instances of 'float' and" in str(error):
            got = str(error).rsplit("'", 2)[1]
            fail("학습률이 수가 아닙니다.", idea="학습률", expected="수", got=got, symptom="lr-not-number")
        raise
    if isinstance(got, type):
        message = "옵티마이저의 클래스를 담고, 객체를 만들지 않았습니다."
        fail(message, idea="객체", expected="AdamW 객체", got="클래스", symptom="optimizer-class")
    if not isinstance(got, torch.optim.Optimizer):
        kind = type(got).__name__
        message = "configure_optimizers의 결과가 옵티마이저가 아닙니다."
        fail(message, idea="옵티마이저", expected="AdamW", got=kind, symptom="not-optimizer")
    check_settings(before, model)
    check_modes(modes, model)
    return got


def other_kind(optimizer):
    """AdamW가 아닌 옵티마이저의 증상. AdamW이면 None."""
    name = type(optimizer).__name__
    return {"AdamW": None, "Adam": "adam", "SGD": "sgd"}.get(name, "other-optimizer")


def one_step(model: Any, optimizer: Any, gradient: float) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """모든 가중치의 기울기가 `gradient`일 때 한 걸음. 가중치의 이름 → (전, 후)."""
    before = {name: one.detach().clone() for name, one in model.lang_model.named_parameters()}
    for parameter in model.lang_model.parameters():
        parameter.grad = torch.full_like(parameter, gradient)
    optimizer.step()
    return {name: (before[name], one.detach()) for name, one in model.lang_model.named_parameters()}


def held(optimizer: Any) -> list[int]:
    return [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]


@todo("2-1")
def test_every_parameter_is_held_exactly_once(model, optimizer):
    """옵티마이저는 모든 학습 파라미터를 꼭 한 번씩 가집니다."""
    got = Counter(held(optimizer))
    parts = {name: got[id(one)] for name, one in model.lang_model.named_parameters()}
    missing = [name for name, count in parts.items() if count == 0]
    if missing:
        matrices = {name for name, one in model.lang_model.named_parameters() if one.dim() >= 2}
        half = set(missing) in (matrices, set(parts) - matrices)
        fail(
            "옵티마이저에 없는 가중치가 있어, 그것들은 배우지 않습니다.",
            idea="파라미터 묶음",
            expected=f"{len(parts)}개",
            got=f"{len(parts) - len(missing)}개",
            symptom="one-group" if half else "part-of-model",
        )
    twice = [name for name, count in parts.items() if count > 1]
    assert_equal(twice, [], idea="파라미터 묶음", message="두 번 들어간 가중치가 있습니다.")


@todo("2-1")
def test_nothing_is_frozen_or_moved(model, optimizer):
    """옵티마이저를 만들 뿐입니다. 가중치를 얼리거나, 모델의 모드와 가중치를 바꾸지 않습니다."""
    parameters = dict(model.lang_model.named_parameters())
    frozen = sum(not one.requires_grad for one in parameters.values())
    if frozen:
        got = f"{frozen}개가 얼어 있음"
        fail("가중치를 얼렸습니다.", idea="미세조정", expected="모두 학습", got=got, symptom="frozen")
    want = dict(classifier().named_parameters())
    for name, one in parameters.items():
        message = f"{name}의 값이 바뀌었습니다."
        assert_close(one, want[name], atol=0, idea="옵티마이저", message=message, symptom="weights-moved", name=name)


@todo("2-1")
def test_learning_rate_comes_from_the_settings(optimizer):
    """학습률은 설정의 것입니다."""
    got = {float(group["lr"]) for group in optimizer.param_groups}
    if got == {1e-3}:
        fail("학습률이 PyTorch의 기본값입니다.", idea="학습률", expected=LR, got="0.001", symptom="default-lr")
    if not all(close(one, LR, 1e-8) for one in got):
        values = ", ".join(f"{one:g}" for one in sorted(got))
        fail("학습률이 설정과 다릅니다.", idea="학습률", expected=LR, got=values, symptom="other-lr")


@todo("2-1")
def test_biases_and_norms_are_not_decayed(model, optimizer):
    """기울기가 0이면 편향과 정규화 층은 그대로입니다."""
    moved = one_step(model, optimizer, 0.0)
    everything = all(id(one) in held(optimizer) for one in model.lang_model.parameters())
    still = all(matches(after, before, ATOL) for before, after in moved.values() if before.dim() >= 2)
    for name, (before, after) in moved.items():
        if before.dim() < 2 and not close(after, before, ATOL):
            symptom = "decay-swapped" if still else "decay-everywhere"
            fail(
                f"{name}도 0으로 당겨졌습니다.",
                idea="weight decay",
                expected=f"{before.flatten()[0]:.4f}",
                got=f"{after.flatten()[0]:.4f}",
                symptom=symptom if everything else None,  # 빠진 가중치가 있다는 것은 다른 검사가 말합니다.
                name=name,
            )


@todo("2-1")
def test_matrices_are_decayed_apart_from_the_gradient(model, optimizer):
    """기울기가 0이면 행렬은 (1 - 학습률 x weight decay)배가 됩니다. weight decay는 기울기에 섞이지 않습니다."""
    lr = float(optimizer.param_groups[0]["lr"])
    moved = one_step(model, optimizer, 0.0)
    everything = all(id(one) in held(optimizer) for one in model.lang_model.parameters())
    others_stay = all(matches(after, before, ATOL) for before, after in moved.values() if before.dim() < 2)
    for name, (before, after) in moved.items():
        if before.dim() < 2 or id(model.lang_model.get_parameter(name)) not in held(optimizer):
            continue
        want = before * (1 - lr * DECAY)
        if lr > 0 and matches(after, before - lr, lr * 1e-3):
            fail(
                "weight decay가 기울기에 섞여, 크기와 상관없이 모두 같은 만큼 줄었습니다.",
                idea="AdamW",
                expected=f"{want.flatten()[0]:.4f}",
                got=f"{after.flatten()[0]:.4f}",
                symptom=other_kind(optimizer),
                kind=type(optimizer).__name__,
            )
        if matches(after, before, ATOL):
            fail(
                f"{name}에 weight decay가 걸리지 않았습니다.",
                idea="weight decay",
                expected=f"{want.flatten()[0]:.4f}",
                got=f"{after.flatten()[0]:.4f}",
                symptom="no-decay" if everything and others_stay else None,
                name=name,
                kind=type(optimizer).__name__,
            )
        if not close(after, want, ATOL):
            fail(
                f"{name}이(가) 줄어든 양이 설정의 weight decay와 다릅니다.",
                idea="weight decay",
                expected=f"{want.flatten()[0]:.4f}",
                got=f"{after.flatten()[0]:.4f}",
                symptom=other_kind(optimizer) or ("other-decay" if everything and others_stay else None),
                name=name,
                kind=type(optimizer).__name__,
            )


@todo("2-1")
def test_first_step_is_adamw(model, optimizer):
    """Adam의 첫걸음은 기울기의 크기와 상관없이 학습률만큼, 기울기의 반대쪽입니다."""
    lr = float(optimizer.param_groups[0]["lr"])
    for name, (before, after) in one_step(model, optimizer, 0.5).items():
        if before.dim() >= 2 or id(model.lang_model.get_parameter(name)) not in held(optimizer):
            continue
        moved = float((after - before).mean())
        # 편향까지 당긴 답은 다른 검사가 잡습니다. 여기서는 그만큼(lr x decay x 값)을 눈감습니다.
        if lr > 0 and abs(moved + lr) > lr * 0.35:
            fail(
                "첫걸음의 크기나 방향이 Adam과 다릅니다.",
                idea="AdamW",
                expected=f"{-lr:.4f}",
                got=f"{moved:.4f}",
                symptom="maximize" if matches(moved, lr, lr * 0.35) else other_kind(optimizer),
                kind=type(optimizer).__name__,
            )


# ── 2-2, 2-3, 2-4 로더


class Collating:
    """`collate` 자리에 대신 두는, 옳게 묶고 몇 번 불렸는지 세는 것."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        self.calls += 1
        return padded(features, tokenizer().pad_token_id)


def padded(features: list[dict[str, Any]], pad: int) -> dict[str, torch.Tensor]:
    """가장 긴 문장에 맞추어 오른쪽을 채운 배치."""
    width = max(len(one["input_ids"]) for one in features)
    ids = torch.full((len(features), width), pad)
    mask = torch.zeros((len(features), width), dtype=torch.long)
    for row, one in enumerate(features):
        length = len(one["input_ids"])
        ids[row, :length] = torch.tensor(one["input_ids"])
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([one["labels"] for one in features])}


@cache
def reference(mode: str) -> list[tuple[tuple[int, ...], int]]:
    """한 갈래의 (토큰 번호, 라벨), 파일 순서. 데이터셋과 말뭉치의 코드를 거치지 않습니다."""
    lines = (distinct_reviews() / f"ratings_{mode}.txt").read_text(encoding="utf-8").splitlines()[1:]
    texts, labels = zip(*(line.split("\t")[1:] for line in lines), strict=True)
    ids = support.tokenizer()(list(texts), truncation=True, max_length=support.SEQ_LEN)["input_ids"]
    return [(tuple(one), int(label)) for one, label in zip(ids, labels, strict=True)]


RAW = "데이터셋의 항목이 토큰 번호가 아닙니다."


def make(load, mode: str, training: bool = True, **hardware: Any) -> Any:
    """그 갈래의 로더를 만들어, 읽을 수 있는 것인지 봅니다."""
    model = bare(load)
    model.train(training).collate = Collating()
    for name, value in hardware.items():
        setattr(model.args.hardware, name, value)
    name = {"train": "train_dataloader", "valid": "val_dataloader", "test": "test_dataloader"}[mode]
    size = size_of(mode, **hardware)
    before, modes = settings_of(model), modes_of(model)
    try:
        loader = getattr(model, name)()
    except ValueError as error:
        if str(error).startswith("batch_sampler option is mutually exclusive"):
            message = "batch_sampler와 겹치는 인수를 함께 주었습니다."
            fail(message, idea="sampler", expected="둘 중 하나", got="둘 다", symptom="batches-twice")
        if "attribute should not be set after" in str(error):
            got = str(error).split()[0]
            message = "만들어진 로더의 속성을 바꾸려 했습니다."
            fail(message, idea="DataLoader", expected="새 로더", got=got, symptom="set-after")
        if "num_workers > 0" in str(error):
            message = "보조 프로세스가 있어야 쓰는 인수를 주었습니다."
            fail(message, idea="num_workers", expected="없음", got=str(error).split()[0], symptom="needs-workers")
        if "mutually exclusive with shuffle" in str(error):
            message = "sampler와 shuffle을 함께 주었습니다."
            fail(message, idea="sampler", expected="둘 중 하나", got="둘 다", symptom="both")
        if "batch_size should be a positive" in str(error):
            got = str(error).rsplit("=", 1)[-1]
            fail("배치 크기가 설정과 다릅니다.", idea="배치 크기", expected=size, got=got, symptom="batch-size")
        if str(error).startswith("mode는"):
            got = str(error).rsplit(": ", 1)[-1]
            message = "그런 이름의 갈래가 없습니다."
            fail(message, idea="갈래", expected="train, valid, test 가운데 하나", got=got, symptom="unknown-mode")
        raise
    except TypeError as error:
        if "features" in str(error):
            message = "collate를 건네지 않고 불렀습니다."
            fail(message, idea="함수를 건네기", expected="함수", got="호출", symptom="collate-called")
        if "'NsmcCorpus' has no len" in str(error):
            files = [frame.filename.replace("\\", "/") for frame in traceback.extract_tb(error.__traceback__)]
            if not any(file.endswith("/dataloader.py") for file in files):
                _sampler_over("NsmcCorpus")
            fail(RAW, idea="데이터셋", expected="데이터셋", got="NsmcCorpus", symptom="raw-examples")
        raise
    if not isinstance(loader, DataLoader):
        kind = loader.__name__ if isinstance(loader, type) else type(loader).__name__
        message = f"{name}의 결과가 DataLoader가 아닙니다."
        fail(message, idea="DataLoader", expected="DataLoader", got=kind, symptom="not-loader")
    if not callable(loader.collate_fn):
        message = "collate를 건네지 않고 불렀습니다."
        fail(message, idea="함수를 건네기", expected="함수", got="호출", symptom="collate-called")
    check_settings(before, model)
    check_modes(modes, model)
    plain = loader.batch_sampler
    if not (isinstance(getattr(plain, "batch_size", None), int) and hasattr(plain, "sampler")):
        fail(
            "배치 크기와 순서를 로더에서 읽을 수 없습니다. 4단계가 이것을 읽어 배치를 다시 묶습니다.",
            idea="DataLoader",
            expected="batch_size와 sampler",
            got="batch_size=None" if plain is None else type(plain).__name__,
            symptom="no-batch-size",
        )
    if not hasattr(type(loader.dataset), "__len__"):
        fail(RAW, idea="데이터셋", expected="데이터셋", got=type(loader.dataset).__name__, symptom="raw-examples")
    source = getattr(plain.sampler, "data_source", ())
    if not hasattr(type(source), "__len__"):
        _sampler_over(type(source).__name__)
    return loader


def size_of(mode: str, train_batch: int = 4, infer_batch: int = 8, **_: Any) -> int:
    """그 갈래의 로더가 써야 할 배치 크기."""
    return train_batch if mode == "train" else infer_batch


def _sampler_over(kind: str) -> NoReturn:
    message = "sampler에 데이터셋이 아닌 것을 주었습니다."
    fail(message, idea="sampler", expected="데이터셋", got=kind, symptom="sampler-source")


def batches(loader: DataLoader) -> list[list[tuple[tuple[int, ...], int]]]:
    """로더가 한 번 도는 동안 읽는 예문들, 배치마다. collate와 보조 프로세스는 거치지 않습니다."""
    read = []
    for indices in loader.batch_sampler:
        try:
            items = [loader.dataset[i] for i in indices]
        except IndexError:
            count = len(loader.dataset)
            message = "sampler가 데이터셋에 없는 번호를 냅니다."
            got = f"{max(indices)}번"
            fail(message, idea="sampler", expected=f"0~{count - 1}번", got=got, symptom="foreign-sampler")
        if not all(isinstance(one, Mapping) and "input_ids" in one and "labels" in one for one in items):
            got = type(items[0]).__name__
            fail(
                "데이터셋의 항목이 토큰 번호가 아닙니다.",
                idea="데이터셋",
                expected="dict",
                got=got,
                symptom="raw-examples",
            )
        read.append([(tuple(one["input_ids"]), int(one["labels"])) for one in items])
    return read


def flat(nested: list[list[Any]]) -> list[Any]:
    return [one for inner in nested for one in inner]


def check_split(loader: DataLoader, mode: str) -> None:
    """데이터셋이 그 갈래의 예문 전부인지."""
    got = Counter((tuple(one["input_ids"]), int(one["labels"])) for one in dataset_items(loader))
    for other in SPLITS:
        if other != mode and got == Counter(reference(other)):
            fail(
                f"{NAMES[mode]} 데이터가 아니라 {NAMES[other]} 데이터를 읽었습니다.",
                idea="갈래",
                expected=f"{NAMES[mode]} {SPLITS[mode]}개",
                got=f"{NAMES[other]} {SPLITS[other]}개",
                symptom=f"{other}-split",
                split=NAMES[other],
            )
    message = f"{NAMES[mode]} 예문의 수가 다릅니다."
    want, count = f"{SPLITS[mode]}개", f"{got.total()}개"
    right = Counter(reference(mode))
    missing, extra = right - got, got - right
    if missing and not extra:
        short = max(len(ids) for ids, _ in missing) < min(len(ids) for ids, _ in got) if got else False
        twice = all(got[one] for one in missing)
        symptom = "short-dropped" if short else "twins-dropped" if twice else "part-of-split"
        fail(message, idea="갈래", expected=want, got=count, symptom=symptom)
    if extra and not missing:
        others = Counter(one for other in SPLITS if other != mode for one in reference(other))
        symptom = "more-splits" if extra <= others else "repeated" if extra.keys() <= right.keys() else None
        fail(message, idea="갈래", expected=want, got=count, symptom=symptom)
    if not got & right:
        message = "설정이 가리키는 말뭉치의 예문이 하나도 없습니다."
        fail(message, idea="설정의 흐름", expected=want, got=count, symptom="other-corpus")
    if got != right:
        same = (got & right).total()
        want = f"{SPLITS[mode]}개 모두 같음"
        fail(f"{NAMES[mode]} 예문의 내용이 다릅니다.", idea="갈래", expected=want, got=f"{same}개만 같음")


def dataset_items(loader: DataLoader) -> list[Any]:
    items = [loader.dataset[i] for i in range(len(loader.dataset))]
    if not all(isinstance(one, Mapping) and "input_ids" in one for one in items):
        got = type(items[0]).__name__
        fail(
            "데이터셋의 항목이 토큰 번호가 아닙니다.", idea="데이터셋", expected="dict", got=got, symptom="raw-examples"
        )
    return items


def check_sizes(loader: DataLoader, mode: str) -> None:
    """배치의 크기가 설정과 같고, 마지막의 작은 배치도 남는지."""
    want, other = (4, 8) if mode == "train" else (8, 4)
    plain = loader.batch_sampler
    if plain.batch_size == other:
        symptom = "infer-batch" if mode == "train" else "train-batch"
        fail("배치 크기가 다른 쪽의 것입니다.", idea="배치 크기", expected=want, got=other, symptom=symptom)
    if plain.batch_size == 1:
        fail(
            "배치 크기를 적지 않아 한 문장씩 읽습니다.", idea="배치 크기", expected=want, got=1, symptom="batch-of-one"
        )
    if plain.batch_size == len(loader.dataset) != want:
        got, message = f"예문 {plain.batch_size}개 모두", "모든 예문을 한 배치에 담았습니다."
        fail(message, idea="배치 크기", expected=f"{want}개씩", got=got, symptom="whole-set")
    if plain.batch_size != want:
        got = plain.batch_size
        fail("배치 크기가 설정과 다릅니다.", idea="배치 크기", expected=want, got=got, symptom="batch-size")
    sizes = [len(one) for one in batches(loader)]
    left = len(loader.dataset) % want
    if drops_last(loader) and left and sizes == [want] * (len(loader.dataset) // want):
        fail(
            "마지막의 작은 배치를 버렸습니다.",
            idea="drop_last",
            expected=f"{len(sizes) + 1}배치",
            got=f"{len(sizes)}배치",
            symptom="drop-last",
            left=left,
        )
    if sum(sizes) < len(loader.dataset):
        got = f"{sum(sizes)}개"
        message = "예문을 다 읽지 않습니다."
        fail(message, idea="sampler", expected=f"{len(loader.dataset)}개", got=got, symptom="partial")
    full = [want] * (len(loader.dataset) // want) + [left] * (left > 0)
    assert_equal(sizes, full, idea="배치 크기", message="배치들의 크기가 다릅니다.")


def check_elsewhere(load, mode: str) -> None:
    """로더는 모듈의 모드나 장치의 수에 따라 달라지지 않고, 배치 크기는 설정이 바뀌면 따라 바뀝니다."""
    usual, message = make(load, mode), "{where} 로더가 달라집니다."
    if not right_loader(usual, mode, size_of(mode)):
        return  # 언제나 틀린 것은 다른 검사들이 말합니다.
    where = "모듈이 평가 모드이면"
    if (got := changed(lambda: make(load, mode, training=False), mode, size_of(mode))) is not None:
        fail(message.format(where=where), idea="train/eval", expected="같은 로더", got=got, symptom="by-mode")
    where = "장치가 여럿이면"
    if (got := changed(lambda: make(load, mode, devices=3, strategy="ddp"), mode, size_of(mode))) is not None:
        fail(message.format(where=where), idea="배치 크기", expected="같은 로더", got=got, symptom="by-devices")
    batch = {"train_batch": 5, "infer_batch": 7}
    want = size_of(mode, **batch)
    got = make(load, mode, **batch).batch_sampler.batch_size
    if got != want:
        fail("배치 크기가 설정과 다릅니다.", idea="배치 크기", expected=want, got=got, symptom="batch-size")


def right_loader(loader: DataLoader, mode: str, size: int) -> bool:
    """예문, 배치 크기, 순서가 모두 옳은지."""
    first, second = batches(loader), batches(loader)
    in_order = [reference(mode)[i : i + size] for i in range(0, SPLITS[mode], size)]
    if mode != "train":
        return loader.batch_sampler.batch_size == size and first == second == in_order
    whole = all(Counter(flat(one)) == Counter(reference(mode)) for one in (first, second))
    sizes = [len(one) for one in first] == [len(one) for one in in_order]
    return loader.batch_sampler.batch_size == size and whole and sizes and first != second != in_order != first


def changed(remake: Callable[[], Any], mode: str, size: int) -> str | None:
    """다시 만든 로더가 무엇이 다른지. 같으면 None."""
    try:
        loader = remake()
        if right_loader(loader, mode, size):
            return None
        if (got := loader.batch_sampler.batch_size) != size:
            return f"배치 크기 {got}"
        items = [(tuple(one["input_ids"]), int(one["labels"])) for one in dataset_items(loader)]
        count = len(flat(batches(loader)))
        same = Counter(items) == Counter(reference(mode)) and count == len(items)
        return "다른 순서" if same else f"예문 {min(count, len(items))}개"
    except CheckFailed as failure:
        if failure.symptom in ("mode-changed", "args-changed"):
            raise
        return failure.got


def drops_last(loader: DataLoader) -> bool:
    """마지막의 작은 배치를 버리는 로더인지. batch_sampler를 건넨 로더에서는 그것이 압니다."""
    return bool(getattr(loader.batch_sampler, "drop_last", False))


def check_in_file_order(loader: DataLoader) -> None:
    """파일 순서대로, 모든 예문을 한 번씩, 몇 번을 읽어도 같게 읽는지."""
    items = [(tuple(one["input_ids"]), int(one["labels"])) for one in dataset_items(loader)]
    want = next((reference(one) for one in SPLITS if Counter(reference(one)) == Counter(items)), items)
    first, second = flat(batches(loader)), flat(batches(loader))
    if first != second:
        fail("평가할 예문을 섞었습니다.", idea="sampler", expected="파일 순서", got="뒤섞인 순서", symptom="shuffled")
    # 마지막 배치를 버린 답은 다른 검사가 잡습니다. 여기서는 읽은 데까지의 순서를 봅니다.
    if first != want[: len(first)]:
        partial = len(first) < len(items) and not drops_last(loader)  # 빠뜨린 것은 다른 검사가 말합니다.
        fail(
            "예문을 파일 순서대로 읽지 않습니다.",
            idea="sampler",
            expected="파일 순서",
            got="다른 순서",
            symptom=None if partial else "other-order",
        )


OTHER = "self.collate가 묶은 배치와 다릅니다."


def check_collate(loader: DataLoader, mode: str) -> None:
    """배치는 `self.collate`가 묶은 것과 같고, 보조 프로세스의 수는 설정과 같습니다."""
    message = "보조 프로세스의 수가 설정(workers)과 다릅니다."
    assert_equal(loader.num_workers, 0, idea="num_workers", message=message, symptom="workers")
    everything = {ids: (ids, label) for ids, label in flat([reference(one) for one in SPLITS])}
    try:
        read = list(loader)
    except Exception as error:
        if isinstance(loader.collate_fn, Collating) or isinstance(error, TodoNotDone) or not _in_fetch(error):
            raise
        if loader.collate_fn is not default_collate:
            kind = type(error).__name__
            fail(OTHER, idea="collate", expected="self.collate", got=kind, symptom="other-collate")
        fail(
            "길이가 다른 문장들을 한 배치로 묶지 못했습니다.",
            idea="collate",
            expected="길이를 맞춘 텐서",
            got=type(error).__name__,
            symptom="no-collate",
        )
    for batch in read:
        tensors = isinstance(batch, Mapping) and [batch.get(name) for name in ("input_ids", "attention_mask", "labels")]
        if not tensors or not all(isinstance(one, torch.Tensor) for one in tensors):
            got = type(batch).__name__
            symptom = "no-collate" if loader.collate_fn is default_collate else "other-collate"
            fail("배치가 텐서로 묶이지 않았습니다.", idea="collate", expected="dict", got=got, symptom=symptom)
        rows = [
            tuple(ids[mask.bool()].tolist())
            for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
        ]
        if not all(ids in everything for ids in rows):
            continue  # 다른 말뭉치를 읽었다는 것은 다른 검사가 말합니다.
        items = [{"input_ids": list(ids), "labels": everything.get(ids, (ids, -1))[1]} for ids in rows]
        want = padded(items, tokenizer().pad_token_id)
        if any(not close(batch[name], want[name], 0) for name in want):
            fail(
                OTHER,
                idea="collate",
                expected=f"빈칸의 번호 {tokenizer().pad_token_id}",
                got="다른 함수가 묶은 배치",
                symptom="other-collate",
            )


def _in_fetch(error: Exception) -> bool:
    """예외가 배치를 묶다가 났는지."""
    files = [frame.filename.replace("\\", "/") for frame in traceback.extract_tb(error.__traceback__)]
    return any(file.endswith("/_utils/fetch.py") for file in files)


@todo("2-2")
def test_train_loader_reads_the_training_split(load):
    """학습 로더는 학습 데이터를 읽습니다."""
    check_split(make(load, "train"), "train")


@todo("2-2")
def test_train_loader_uses_the_training_batch_size(load):
    """학습 배치 크기를 쓰고, 마지막의 작은 배치도 버리지 않습니다."""
    check_sizes(make(load, "train"), "train")


@todo("2-2")
def test_train_order_changes_every_epoch(load):
    """순서는 파일과 다르고, 에포크마다 다릅니다."""
    loader = make(load, "train")
    items = [(tuple(one["input_ids"]), int(one["labels"])) for one in dataset_items(loader)]
    first, second = flat(batches(loader)), flat(batches(loader))
    in_file_order = items == reference("train") or Counter(items) != Counter(reference("train"))
    if first == items[: len(first)] and in_file_order:
        fail(
            "학습 데이터를 섞지 않았습니다.", idea="sampler", expected="무작위", got="파일 순서", symptom="not-shuffled"
        )
    if first == second:
        fail(
            "순서가 에포크마다 똑같습니다.",
            idea="sampler",
            expected="매번 다른 순서",
            got="같은 순서",
            symptom="same-order",
        )


@todo("2-2")
def test_no_example_is_read_twice_in_an_epoch(load):
    """한 에포크에 같은 예문이 두 번 나오지 않습니다."""
    loader = make(load, "train")
    batches(loader)
    read = flat(
        loader.batch_sampler
    )  # 데이터셋에 같은 예문이 여럿인지는 다른 검사가 봅니다. 여기서는 뽑은 번호를 봅니다.
    distinct = len(set(read))
    if distinct < len(read):
        fail(
            "같은 예문을 여러 번 읽었습니다.",
            idea="replacement",
            expected=f"서로 다른 예문 {len(read)}개",
            got=f"{distinct}개",
            symptom="replacement",
            missing=len(read) - distinct,
        )
    dropped = len(loader.dataset) % loader.batch_sampler.batch_size if drops_last(loader) else 0
    message = "한 에포크에 읽은 예문의 수가 다릅니다."
    assert_equal(len(read), len(loader.dataset) - dropped, idea="에포크", message=message)


@todo("2-2")
def test_train_loader_is_the_same_in_other_places(load):
    """학습 로더는 모듈의 모드와 장치의 수에 상관없이 같고, 배치 크기는 설정을 따릅니다."""
    check_elsewhere(load, "train")


@todo("2-2")
def test_train_batches_are_collated(load):
    """배치로 묶는 일은 self.collate에 맡깁니다."""
    check_collate(make(load, "train"), "train")


@todo("2-2")
def test_train_loader_can_be_regrouped_by_length(load):
    """4단계는 이 로더를 받아 길이가 비슷한 것끼리 다시 묶습니다."""
    loader = training_loader(make(load, "train"), seed=7)
    read = [loader.dataset[i] for indices in loader.batch_sampler for i in indices]
    message = "길이끼리 다시 묶으면 읽는 예문의 수가 달라집니다."
    assert_equal(len(read), len(loader.dataset), idea="sampler", message=message)


@todo("2-3")
def test_validation_loader_reads_the_validation_split(load):
    """검증 로더는 검증 데이터를 읽습니다."""
    check_split(make(load, "valid"), "valid")


@todo("2-3")
def test_validation_loader_uses_the_evaluation_batch_size(load):
    """평가 배치 크기를 쓰고, 마지막의 작은 배치도 버리지 않습니다."""
    check_sizes(make(load, "valid"), "valid")


@todo("2-3")
def test_validation_order_is_the_files(load):
    """검증은 몇 번을 해도 파일 순서 그대로입니다."""
    check_in_file_order(make(load, "valid"))


@todo("2-3")
def test_validation_loader_is_the_same_in_other_places(load):
    """검증 로더는 모듈의 모드와 장치의 수에 상관없이 같고, 배치 크기는 설정을 따릅니다."""
    check_elsewhere(load, "valid")


@todo("2-3")
def test_validation_batches_are_collated(load):
    """배치로 묶는 일은 self.collate에 맡깁니다."""
    check_collate(make(load, "valid"), "valid")


@todo("2-4")
def test_test_loader_reads_the_test_split(load):
    """평가 로더는 평가 데이터를 읽습니다."""
    check_split(make(load, "test"), "test")


@todo("2-4")
def test_test_loader_uses_the_evaluation_batch_size(load):
    """평가 배치 크기를 쓰고, 마지막의 작은 배치도 버리지 않습니다."""
    check_sizes(make(load, "test"), "test")


@todo("2-4")
def test_test_order_is_the_files(load):
    """평가는 파일 순서 그대로이고, 5단계가 길이순으로 다시 읽어도 예문이 빠지지 않습니다."""
    loader = make(load, "test")
    check_in_file_order(loader)
    order = list(evaluation_loader(loader).sampler)
    assert_equal(sorted(order), list(range(len(loader.dataset))), idea="sampler", message="빠진 예문이 있습니다.")


@todo("2-4")
def test_test_loader_is_the_same_in_other_places(load):
    """평가 로더는 모듈의 모드와 장치의 수에 상관없이 같고, 배치 크기는 설정을 따릅니다."""
    check_elsewhere(load, "test")


@todo("2-4")
def test_test_batches_are_collated(load):
    """배치로 묶는 일은 self.collate에 맡깁니다."""
    check_collate(make(load, "test"), "test")


# ── 2-5 배치로 묶기

LENGTHS = [5, 13, 3, 10]  # 가장 긴 13은 어느 수의 배수로 올려도 달라집니다. seq_len은 40입니다.


@pytest.fixture
def collating(load):
    model = bare(load)
    model.args.model.seq_len = 40
    before, modes = settings_of(model), modes_of(model)
    manners = ("padding_side", "truncation_side", "pad_token", "model_max_length")
    own = {name: getattr(model.lm_tokenizer, name) for name in manners}
    collate = model.collate

    def watched(features: list[dict[str, Any]]) -> Any:
        got = collate(features)
        check_settings(before, model)
        check_modes(modes, model)
        for name, value in own.items():
            changed = getattr(model.lm_tokenizer, name)
            setattr(model.lm_tokenizer, name, value)  # 토크나이저는 다음 검사도 씁니다.
            if changed != value:
                message = "토크나이저를 바꾸었습니다."
                fail(message, idea="부작용", expected=value, got=changed, symptom="tokenizer-changed", name=name)
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
        fail(
            "길이가 다른 목록들은 텐서 하나가 되지 못합니다.",
            idea="채움(padding)",
            expected="모두 같은 길이",
            got="서로 다른 길이",
            symptom="not-padded",
        )
    names = ("input_ids", "attention_mask", "labels")
    if not isinstance(got, Mapping) or any(name not in got for name in names):
        kind = ", ".join(sorted(got)) if isinstance(got, Mapping) else type(got).__name__
        fail("배치에 빠진 것이 있습니다.", idea="배치", expected=", ".join(names), got=kind, symptom="missing-tensor")
    for name in names:
        if not isinstance(got[name], torch.Tensor):
            kind = type(got[name]).__name__
            fail(f"{name}이(가) 텐서가 아닙니다.", idea="배치", expected="텐서", got=kind, symptom="not-tensor")
    message = "input_ids의 모양이 (배치, 길이)가 아닙니다."
    shape, count = tuple(got["input_ids"].shape), len(features)
    if count == 1 and len(shape) < 2 and collated(model, features * 2):
        squeezed("(1, 길이)", shape)
    if len(shape) != 2 or shape[0] != count:
        symptom = "transposed" if shape[1:] == (count,) else "other-shape"
        fail(message, idea="배치의 모양", expected=f"({count}, 길이)", got=shape, symptom=symptom)
    assert_equal(tuple(got["attention_mask"].shape), shape, idea="배치의 모양", message="두 텐서의 모양이 다릅니다.")
    return got


def squeezed(expected: str, shape: tuple[int, ...]) -> NoReturn:
    """여럿일 때는 옳은데, 문장이 하나뿐이면 배치 축이 사라졌습니다."""
    message = "문장이 하나뿐인 배치에서 배치 축이 사라졌습니다."
    fail(message, idea="배치의 모양", expected=expected, got=f"모양 {shape}", symptom="squeezed")


@todo("2-5")
def test_width_is_the_longest_of_the_batch(collating, features):
    """길이는 이 배치에서 가장 긴 문장에 꼭 맞춥니다."""
    chosen = (features, features[::2], features[2:])  # 13칸, 5칸, 10칸
    widths = [collated(collating, one)["input_ids"].shape[1] for one in chosen]
    longest = [max(len(one["input_ids"]) for one in items) for items in chosen]
    if len(set(widths)) == 1 and widths[0] > longest[0] and not grows(collating, features, widths[0]):
        message = "배치와 상관없이 언제나 같은 길이로 채웠습니다."
        want, got = f"{longest[0]}칸", f"{widths[0]}칸"
        fail(message, idea="채움(padding)", expected=want, got=got, symptom="pad-to-max")
    for got, need in zip(widths, longest, strict=True):
        want = f"{need}칸"
        if got < need:
            fail("긴 문장이 잘렸습니다.", idea="채움(padding)", expected=want, got=f"{got}칸", symptom="cut")
        if got != need:
            for unit in (64, 32, 16, 8, 4, 2):
                if widths == [-(-one // unit) * unit for one in longest]:
                    message, got = f"{unit}의 배수까지 채웠습니다.", f"{got}칸"
                    fail(message, idea="채움(padding)", expected=want, got=got, symptom="rounded-width", unit=unit)
            message = "가장 긴 문장의 길이와 다릅니다."
            fail(message, idea="채움(padding)", expected=want, got=f"{got}칸", symptom="other-width")


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
            message, shapes = "모듈이 평가 모드이면 다르게 묶습니다.", (tuple(here.shape), tuple(there.shape))
            expected, got = shapes if shapes[0] != shapes[1] else ("같은 배치", "다른 배치")
            fail(message, idea="train/eval", expected=expected, got=got, symptom="by-mode")


def bare_again(model: Any) -> Any:
    """같은 부품을 가진, 평가 모드의 모델."""
    other = type(model).__new__(type(model))
    LightningModule.__init__(other)
    other.args, other.data, other.lm_tokenizer = model.args, model.data, model.lm_tokenizer
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
        fail("왼쪽을 채웠습니다.", idea="채우는 쪽", expected=right[2].tolist(), got=got[2].tolist(), symptom="left")
    if matches(got, zeros, 0) and not matches(zeros, right, 0):
        fail("빈칸을 0으로 채웠습니다.", idea="pad 토큰", expected=f"pad({pad})", got="0", symptom="zeros")
    blanks = set(got[torch.arange(width) >= torch.tensor(LENGTHS)[:, None]].tolist())
    if len(blanks) == 1 and blanks != {pad}:
        other = blanks.pop()
        fail("pad가 아닌 번호로 채웠습니다.", idea="pad 토큰", expected=pad, got=other, symptom="other-pad")
    if not close(got, right, 0) and sorted(got.tolist()) == sorted(right.tolist()):
        order = [right.tolist().index(row) for row in got.tolist()]
        fail("문장의 순서를 바꾸었습니다.", idea="순서", expected=[0, 1, 2, 3], got=order, symptom="other-order")
    for row, (ids, want) in enumerate(zip(got, right, strict=True)):
        message = f"{row}번 문장의 토큰이나 빈칸이 다릅니다."
        assert_equal(ids.tolist(), want.tolist(), idea="채움(padding)", message=message)
    check_dtype(got, "input_ids")


@todo("2-5")
def test_mask_tells_tokens_from_blanks(collating, features):
    """attention_mask는 진짜 토큰이 1, 채운 자리가 0입니다."""
    batch = collated(collating, features)
    got = batch["attention_mask"]
    width = got.shape[1]
    want = torch.tensor([[1] * min(n, width) + [0] * (width - n) for n in LENGTHS])
    if 0 in want and matches(got, torch.ones_like(want), 0):
        fail(
            "채운 자리까지 모두 1이라, 모델이 빈칸도 글로 읽습니다.",
            idea="attention_mask",
            expected=f"1의 수 {int(want.sum())}",
            got=f"1의 수 {int(got.sum())}",
            symptom="mask-of-ones",
        )
    if matches(got, 1 - want, 0):
        fail(
            "1과 0이 뒤바뀌었습니다.",
            idea="attention_mask",
            expected=want[2].tolist(),
            got=got[2].tolist(),
            symptom="mask-reversed",
        )
    for row, (mask, right) in enumerate(zip(got, want, strict=True)):
        if close(mask, right, 0):
            continue
        message = f"{row}번 문장의 attention_mask가 다릅니다."
        symptom = "mask-of-pad" if set(mask[right == 0].tolist()) == {tokenizer().pad_token_id} else None
        fail(message, idea="attention_mask", expected=right.tolist(), got=mask.tolist(), symptom=symptom)
    if got.dtype == torch.bool:
        message = "attention_mask가 참·거짓입니다."
        fail(message, idea="자료형", expected="int64", got="bool", symptom="mask-bool")
    check_dtype(got, "attention_mask")


def check_dtype(got: torch.Tensor, name: str) -> None:
    """번호와 표시는 정수입니다."""
    if got.dtype != torch.int64:
        kind = str(got.dtype).removeprefix("torch.")
        message = f"{name}이(가) 정수(int64)가 아닙니다."
        fail(message, idea="자료형", expected="int64", got=kind, symptom="other-dtype", name=name)


@todo("2-5")
def test_labels_follow_their_sentences(collating, features):
    """라벨은 문장마다 하나, 받은 순서 그대로입니다."""
    got = collated(collating, features)["labels"]
    if got.shape == (len(features), 1):
        fail("라벨의 모양이 (배치, 1)입니다.", idea="배치의 모양", expected="(4,)", got="(4, 1)", symptom="labels-2d")
    want = torch.tensor([one["labels"] for one in features])
    if got.shape != want.shape:
        message, shape = "라벨이 문장마다 하나가 아닙니다.", tuple(got.shape)
        fail(message, idea="배치의 모양", expected=tuple(want.shape), got=shape, symptom="label-shape")
    assert_close(got, want, atol=0, idea="정답", message="라벨이 문장과 맞지 않습니다.")
    alone = collated(collating, features[1:2])["labels"]
    if alone.shape == ():
        squeezed("(1,)", ())
    assert_close(alone, want[1:2], atol=0, idea="정답", message="문장 하나의 라벨이 다릅니다.")
    if got.dtype != torch.int64:
        got = str(got.dtype).removeprefix("torch.")
        fail("라벨이 정수(int64)가 아닙니다.", idea="자료형", expected="int64", got=got, symptom="label-dtype")


@todo("2-5")
def test_dataset_is_not_changed(collating, features):
    """collate는 데이터셋이 가진 목록을 늘리거나 줄이지 않습니다. 다음 에포크에도 같은 문장이어야 합니다."""
    # 항목(사전)은 꺼낼 때마다 새것이라 바꾸어도 됩니다. input_ids의 목록은 데이터셋의 것입니다.
    owned = [list(one["input_ids"]) for one in features]
    given = [{**one, "input_ids": ids} for one, ids in zip(features, owned, strict=True)]
    collating.collate(given)
    for before, after in zip(features, owned, strict=True):
        if before["input_ids"] != after:
            fail(
                "데이터셋의 목록이 바뀌었습니다.",
                idea="부작용",
                expected=f"{len(before['input_ids'])}칸",
                got=f"{len(after)}칸",
                symptom="in-place",
            )


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
