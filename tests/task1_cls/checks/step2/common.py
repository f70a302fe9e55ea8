"""2단계의 검사들이 함께 쓰는 것.

1단계의 `__init__`을 거치지 않고 부품을 직접 끼운 모델을 씁니다. 1단계가 비어 있어도 2단계는 검사됩니다. 로더의 검사는
`collate` 자리에도 옳은 것을 대신 둡니다.
"""

from __future__ import annotations

import copy
import pickle
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning import LightningModule
from torch.utils.data import DataLoader, default_collate

from course.checks.recognising import Explanation, explained, recognise, when
from course.checks.side_effects import ModesKept, SettingsKept
from course.checks.words import CheckFailed, assert_equal, close, fail, known_as
from course.checks.workspace import workspace
from nlpbook.classification.nsmc import ClassificationExample, NsmcCorpus
from tests.task1_cls.checks import support
from todo import TodoNotDone

LR, DECAY = 0.03, 0.2  # PyTorch의 기본값(0.001, 0.01)과 멀리 떨어진 값
SPLITS = {"train": 23, "valid": 19, "test": 11}  # 배치 크기 4와 8로 나누어떨어지지 않습니다.
WORKERS = 3  # 배치 크기나 기본값(0)이 아닌 수
NAMES = {"train": "학습", "valid": "검증", "test": "평가"}


@cache
def distinct_reviews() -> Path:
    """학습 예문의 토큰이 모두 서로 다른 말뭉치. 같은 예문을 두 번 읽으면 드러납니다.

    갈래마다 빈 리뷰와 한 낱말의 리뷰, 잘리는 긴 리뷰가 있습니다. 검증과 평가에는 빈 리뷰가 둘이라, 겹치는 것을
    지워도 드러납니다.
    """
    folder = workspace() / "distinct-reviews"
    folder.mkdir(exist_ok=True)  # 검사 프로세스에서 갈라진 자식들이 이 폴더를 함께 씁니다.
    words = sorted({word for sentence in support.SENTENCES for word in sentence.split()})
    start = 0
    for name, count in SPLITS.items():
        lines = ["id\tdocument\tlabel"]
        for i in range(start, start + count):
            text = " ".join([words[i % 7], words[7 + i // 7], *words[20 : 20 + i % 5]])
            odd = {3: "", 6: "" if name != "train" else text, 5: words[7 + i // 7], 9: f"{text} {support.LONG_TEXT}"}
            if name == "test":  # 글자는 적고 토큰은 많은 것, 글자는 많고 토큰은 적은 것
                by_letters = sorted(words, key=len)
                odd |= {7: " ".join(by_letters[:9]), 8: " ".join(by_letters[-7:])}
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
    model.config = support.tiny_config(learning_rate=LR, weight_decay=DECAY, **learning)
    model.config.data.home, model.config.data.name = str(distinct_reviews().parent), distinct_reviews().name
    model.data = Corpus(model.config)
    model.lm_tokenizer = tokenizer()
    return model.to(device)


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


MANY = 3001  # 작은 말뭉치에서는 드러나지 않는 상한(100개, 1000개, …)보다 많은 수


@known_as("NsmcCorpus")
class Corpus(NsmcCorpus):
    """어느 갈래를 몇 번 읽었는지 세는 말뭉치. `many`를 켜면 갈래마다 예문을 되풀이해 `MANY`개를 줍니다."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.many = False
        self.reads: Counter[str] = Counter()

    def get_examples(self, mode: str, config: Any = None) -> list[ClassificationExample]:
        self.reads["valid" if mode == "val" else mode] += 1
        few = super().get_examples(mode, config)
        return [few[number % len(few)] for number in range(MANY)] if self.many else few


def make(load, mode: str, training: bool = True, many: bool = False, limit: int | None = None, **hardware: Any) -> Any:
    """그 갈래의 로더를 만들어, 읽을 수 있는 것인지 봅니다.

    Args:
        many: 말뭉치의 예문이 `MANY`개인지.
        limit: 설정에 적을 예문 수의 상한. None이면 상한이 없습니다.
    """
    return made(load, mode, training, many, limit, **hardware)[0]


def made(
    load, mode: str, training: bool = True, many: bool = False, limit: int | None = None, **hardware: Any
) -> tuple[Any, int]:
    """`make`의 로더와, 그것을 만드느라 그 갈래의 예문을 읽은 횟수."""
    model = bare(load)
    model.train(training).collate = Collating()
    model.data.many = many
    setattr(model.config.data, f"max_{mode}_samples", limit)
    for name, value in hardware.items():
        setattr(model.config.hardware, name, value)
    name = {"train": "train_dataloader", "valid": "val_dataloader", "test": "test_dataloader"}[mode]
    settings, modes = SettingsKept(model.config), ModesKept(model)
    with explained(*stops(size_of(mode, **hardware))):
        loader = getattr(model, name)()
    if not isinstance(loader, DataLoader):
        kind = loader.__name__ if isinstance(loader, type) else type(loader).__name__
        fail(idea="DataLoader", expected="DataLoader", got=kind, symptom="not-loader")
    if not callable(loader.collate_fn):
        fail(idea="함수를 건네기", expected="함수", got="호출", symptom="collate-called")
    settings.check()
    modes.check()
    check_readable(loader)
    return loader, model.data.reads[mode]


def stops(size: int) -> list[Explanation]:
    """로더를 만들다 멈추는 실수들. `size`는 있어야 할 배치 크기입니다."""
    positive = "ValueError: batch_size should be a positive.*=(?P<got>.*)$"
    one_of_two = {"idea": "sampler", "expected": "둘 중 하나", "got": "둘 다"}
    modes = "train, valid, test 가운데 하나"
    corpus = {"idea": "데이터셋", "expected": "말뭉치"}
    return [
        when("ValueError: batch_sampler option is mutually exclusive", "batches-twice", **one_of_two),
        when(r": (?P<got>\S+) attribute should not be set after", "set-after", idea="DataLoader", expected="새 로더"),
        when(r"ValueError: (?P<got>\S+).*num_workers > 0", "needs-workers", idea="num_workers", expected="없음"),
        when("ValueError: .*mutually exclusive with shuffle", "both", **one_of_two),
        when(positive, "batch-size", idea="배치 크기", expected=str(size)),
        when("ValueError: mode는.*: (?P<got>.*)$", "unknown-mode", idea="갈래", expected=modes),
        when(r"'?(?P<got>\w+)'?(?: object)? has no attribute '?get_examples", "swapped-arguments", **corpus),
        when("TypeError: .*features", "collate-called", idea="함수를 건네기", expected="함수", got="호출"),
        explain_corpus_without_length,
    ]


def explain_corpus_without_length(error: Exception) -> None:
    """데이터셋 자리에 말뭉치가 왔습니다. 로더 안에서 멈췄으면 로더의, 아니면 sampler의 자리입니다."""
    if "'NsmcCorpus' has no len" not in str(error):
        return
    files = [frame.filename.replace("\\", "/") for frame in traceback.extract_tb(error.__traceback__)]
    if not any(file.endswith("/dataloader.py") for file in files):
        _sampler_over("NsmcCorpus")
    fail(idea="데이터셋", expected="데이터셋", got="NsmcCorpus", symptom="raw-examples")


def check_readable(loader: DataLoader) -> None:
    """배치 크기와 예문의 순서를 로더에서 읽을 수 있는지. 4단계가 이것을 읽어 배치를 다시 묶습니다."""
    plain = loader.batch_sampler
    if not (isinstance(getattr(plain, "batch_size", None), int) and hasattr(plain, "sampler")):
        got = "batch_size=None" if plain is None else type(plain).__name__
        fail(idea="DataLoader", expected="batch_size와 sampler", got=got, symptom="no-batch-size")
    if not hasattr(type(loader.dataset), "__len__"):
        fail(idea="데이터셋", expected="데이터셋", got=type(loader.dataset).__name__, symptom="raw-examples")
    source = getattr(plain.sampler, "data_source", ())
    if not hasattr(type(source), "__len__"):
        _sampler_over(type(source).__name__)


def size_of(mode: str, train_batch: int = 4, infer_batch: int = 8, **_: Any) -> int:
    """그 갈래의 로더가 써야 할 배치 크기."""
    return train_batch if mode == "train" else infer_batch


def _sampler_over(kind: str) -> NoReturn:
    fail(idea="sampler", expected="데이터셋", got=kind, symptom="sampler-source")


def batches(loader: DataLoader) -> list[list[tuple[tuple[int, ...], int]]]:
    """로더가 한 번 도는 동안 읽는 예문들, 배치마다. collate와 보조 프로세스는 거치지 않습니다."""
    read = []
    for indices in loader.batch_sampler:
        try:
            items = [loader.dataset[i] for i in indices]
        except IndexError:
            more = {"idea": "sampler", "expected": f"0~{len(loader.dataset) - 1}번", "got": f"{max(indices)}번"}
            lengths = sorted(len(one["input_ids"]) for one in dataset_items(loader))
            symptom = "lengths-as-order" if sorted(flat(list(loader.batch_sampler))) == lengths else "foreign-sampler"
            fail("sampler가 데이터셋에 없는 번호를 냈습니다.", symptom=symptom, **more)
        if not all(isinstance(one, Mapping) and "input_ids" in one and "labels" in one for one in items):
            got = type(items[0]).__name__
            fail(idea="데이터셋", expected="dict", got=got, symptom="raw-examples")
        read.append([(tuple(one["input_ids"]), int(one["labels"])) for one in items])
    return read


def flat(nested: list[list[Any]]) -> list[Any]:
    return [one for inner in nested for one in inner]


def check_split(load, mode: str) -> None:
    """데이터셋이 그 갈래의 예문 전부인지."""
    loader = make(load, mode)
    got = Counter((tuple(one["input_ids"]), int(one["labels"])) for one in dataset_items(loader))
    for other in SPLITS:
        if other != mode and got == Counter(reference(other)):
            fail(
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
        symptom = kind_of_missing(load, mode, got, missing)
        fail(message, idea="갈래", expected=want, got=count, symptom=symptom)
    if extra and not missing:
        others = Counter(one for other in SPLITS if other != mode for one in reference(other))
        symptom = "more-splits" if extra <= others else "repeated" if extra.keys() <= right.keys() else None
        fail(message, idea="갈래", expected=want, got=count, symptom=symptom)
    if not got & right:
        fail(idea="설정의 흐름", expected=want, got=count, symptom="other-corpus")
    if got != right:
        same = (got & right).total()
        want = f"{SPLITS[mode]}개 모두 같음"
        fail(f"{NAMES[mode]} 예문의 내용이 다릅니다.", idea="갈래", expected=want, got=f"{same}개만 같음")


def kind_of_missing(load, mode: str, got: Counter, missing: Counter) -> str:
    """빠진 예문이 어떤 것들인지. 우연히 그런 것만 빠진 것과 가리려고, 예문이 `MANY`개일 때도 봅니다."""
    short = bool(got) and max(len(ids) for ids, _ in missing) < min(len(ids) for ids, _ in got)
    twins = all(got[one] for one in missing)
    if short or twins:
        every = reference(mode)
        whole = Counter(every[number % len(every)] for number in range(MANY))
        kept = Counter((tuple(one["input_ids"]), one["labels"]) for one in dataset_items(make(load, mode, many=True)))
        least = min(len(ids) for ids, _ in got)
        if short and kept == Counter({one: count for one, count in whole.items() if len(one[0]) >= least}):
            return "short-dropped"
        if twins and kept == Counter(set(whole)):
            return "twins-dropped"
    return "part-of-split"


def dataset_items(loader: DataLoader) -> list[Any]:
    items = [loader.dataset[i] for i in range(len(loader.dataset))]
    if not all(isinstance(one, Mapping) and "input_ids" in one for one in items):
        got = type(items[0]).__name__
        fail(idea="데이터셋", expected="dict", got=got, symptom="raw-examples")
    return items


def check_sizes(loader: DataLoader, mode: str) -> None:
    """배치의 크기가 설정과 같고, 마지막의 작은 배치도 남는지."""
    want, other = (4, 8) if mode == "train" else (8, 4)
    plain = loader.batch_sampler
    if plain.batch_size == other:
        symptom = "infer-batch" if mode == "train" else "train-batch"
        fail("배치 크기가 다른 쪽의 것입니다.", idea="배치 크기", expected=want, got=other, symptom=symptom)
    if plain.batch_size == 1:
        fail(idea="배치 크기", expected=want, got=1, symptom="batch-of-one")
    if plain.batch_size == len(loader.dataset) != want:
        got = f"예문 {plain.batch_size}개 모두"
        fail(idea="배치 크기", expected=f"{want}개씩", got=got, symptom="whole-set")
    if plain.batch_size != want:
        got = plain.batch_size
        fail(idea="배치 크기", expected=want, got=got, symptom="batch-size")
    sizes = [len(one) for one in batches(loader)]
    left = len(loader.dataset) % want
    if drops_last(loader) and left and sizes == [want] * (len(loader.dataset) // want):
        fail(
            idea="drop_last", expected=f"{len(sizes) + 1}배치", got=f"{len(sizes)}배치", symptom="drop-last", left=left
        )
    if sum(sizes) < len(loader.dataset):
        got = f"{sum(sizes)}개"
        fail(idea="sampler", expected=f"{len(loader.dataset)}개", got=got, symptom="partial")
    full = [want] * (len(loader.dataset) // want) + [left] * (left > 0)
    # 작은 배치가 몇 번째에 오는지는 묻지 않습니다. 4단계가 다시 묶습니다.
    assert_equal(sorted(sizes, reverse=True), full, idea="배치 크기", message="배치들의 크기가 다릅니다.")


def check_elsewhere(load, mode: str) -> None:
    """로더는 모듈의 모드나 장치의 수에 따라 달라지지 않고, 배치 크기는 설정이 바뀌면 따라 바뀝니다."""
    usual, reads = made(load, mode)
    if not right_loader(usual, mode, size_of(mode)):
        return  # 언제나 틀린 것은 다른 검사들이 말합니다.
    if reads > 1:
        fail(idea="데이터셋", expected="한 번", got=f"{reads}번", symptom="read-again")
    check_kept_whole(usual.dataset)
    if (got := changed(lambda: make(load, mode, training=False), mode, size_of(mode))) is not None:
        fail(idea="train/eval", expected="같은 로더", got=got, symptom="by-mode")
    if (got := changed(lambda: make(load, mode, devices=3, strategy="ddp"), mode, size_of(mode))) is not None:
        fail(idea="배치 크기", expected="같은 로더", got=got, symptom="by-devices")
    batch = {"train_batch": 5, "infer_batch": 7}
    want = size_of(mode, **batch)
    got = make(load, mode, **batch).batch_sampler.batch_size
    if got != want:
        fail(idea="배치 크기", expected=want, got=got, symptom="batch-size")
    check_no_limit(make(load, mode, many=True), mode)
    check_high_limit(make(load, mode, limit=HIGH), mode)
    check_can_move(usual)
    try:
        check_collate(usual, mode)
    except CheckFailed:
        return  # 묶는 법이 틀린 것은 다른 검사가 말합니다.
    if not usual.num_workers and (got := make(load, mode, workers=WORKERS).num_workers) != WORKERS:
        fail(idea="num_workers", expected=WORKERS, got=got, symptom="no-workers")


def check_kept_whole(dataset: Any) -> None:
    """뒤의 단계는 데이터셋에서 길이(lengths)와 글(examples)을 읽습니다. 다른 것으로 감싸면 둘이 보이지 않습니다."""
    missing = [name for name in ("lengths", "examples") if not hasattr(dataset, name)]
    if missing:
        more = {"expected": "ClassificationDataset", "got": type(dataset).__name__, "missing": ", ".join(missing)}
        fail(idea="데이터셋", symptom="wrapped", **more)


def check_no_limit(loader: DataLoader, mode: str) -> None:
    """예문이 많아도 모두 읽는지."""
    held, read = len(loader.dataset), len(flat(list(loader.batch_sampler)))
    if (count := min(held, read)) < MANY:
        message = "예문이 많아지면 모두 읽지는 않습니다."
        symptom = "capped" if count > SPLITS[mode] else None  # 되풀이한 예문을 하나로 줄인 것은 상한이 아닙니다.
        fail(message, idea="예문의 수", expected=f"{MANY}개", got=f"{count}개", symptom=symptom)


HIGH = 41  # 어느 갈래의 예문보다도 많은 상한


def check_high_limit(loader: DataLoader, mode: str) -> None:
    """설정의 상한이 예문보다 많아도 예문마다 한 번씩인지."""
    held, read = len(loader.dataset), flat(list(loader.batch_sampler))
    if len(read) > held == SPLITS[mode]:
        more = {"expected": f"{held}개", "got": f"{len(read)}개", "limit": HIGH, "name": f"max_{mode}_samples"}
        fail(idea="예문의 수", symptom="over-limit", **more)


def check_can_move(loader: DataLoader) -> None:
    """로더에 건넨 함수들이 처음부터 새로 시작하는 보조 프로세스로 건너갈 수 있는지."""
    for name in ("collate_fn", "worker_init_fn"):
        try:
            pickle.dumps(getattr(loader, name))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            more = {"expected": "옮길 수 있는 함수", "got": type(error).__name__, "name": name}
            fail(idea="보조 프로세스", symptom="cannot-move", **more)


def right_loader(loader: DataLoader, mode: str, size: int) -> bool:
    """예문, 배치 크기, 순서가 모두 옳은지."""
    first, second = batches(loader), batches(loader)
    in_order = [reference(mode)[i : i + size] for i in range(0, SPLITS[mode], size)]
    sizes = sorted(map(len, first), reverse=True) == [len(one) for one in in_order]
    whole = all(Counter(flat(one)) == Counter(reference(mode)) for one in (first, second))
    if loader.batch_sampler.batch_size != size or not sizes or not whole:
        return False
    if mode == "train":
        return first != second != in_order != first
    return first == second and (first == in_order if mode == "valid" else is_longest_first(flat(first)))


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
        if failure.symptom in ("train-mode", "eval-mode", "settings-changed"):
            raise
        return failure.got


def drops_last(loader: DataLoader) -> bool:
    """마지막의 작은 배치를 버리는 로더인지. batch_sampler를 건넨 로더에서는 그것이 압니다."""
    return bool(getattr(loader.batch_sampler, "drop_last", False))


def check_read_again(loader: DataLoader) -> None:
    """한 번 읽은 로더를 다시 읽을 수 있는지. 반복자(iterator)는 한 번 읽으면 비어 있습니다."""
    first, second = (flat(list(loader.batch_sampler)) for _ in range(2))
    if first and not second:
        fail(idea="반복자", expected=f"예문 {len(first)}개", got="하나도 없음", symptom="read-once")


def check_in_file_order(loader: DataLoader) -> None:
    """파일 순서대로, 모든 예문을 한 번씩, 몇 번을 읽어도 같게 읽는지."""
    items = [(tuple(one["input_ids"]), int(one["labels"])) for one in dataset_items(loader)]
    want = next((reference(one) for one in SPLITS if Counter(reference(one)) == Counter(items)), items)
    first, second = flat(batches(loader)), flat(batches(loader))
    if first != second:
        fail(idea="sampler", expected="파일 순서", got="뒤섞인 순서", symptom="shuffled")
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


def is_longest_first(read: list[tuple[tuple[int, ...], int]]) -> bool:
    """토큰의 수가 줄어들기만 하는가. 길이가 같은 것끼리의 차례는 묻지 않습니다."""
    lengths = [len(ids) for ids, _ in read]
    return lengths == sorted(lengths, reverse=True)


def check_longest_first(loader: DataLoader, mode: str) -> None:
    """토큰이 많은 예문부터, 몇 번을 읽어도 같은 순서로 읽는지."""
    items = [(tuple(one["input_ids"]), int(one["labels"])) for one in dataset_items(loader)]
    first, second = flat(batches(loader)), flat(batches(loader))
    if first != second:
        fail(idea="sampler", expected="긴 예문부터", got="뒤섞인 순서", symptom="shuffled")
    if items != reference(mode) and Counter(items) == Counter(reference(mode)):
        fail(idea="데이터셋", expected="파일 순서의 데이터셋", got="다시 늘어놓은 데이터셋", symptom="rearranged")
    if is_longest_first(first):
        count = len(set(flat(list(loader.batch_sampler))))
        if len(first) == len(items) > count:
            fail(idea="sampler", expected=f"{len(items)}가지", got=f"{count}가지", symptom="same-length")
        return
    shown = loader.batch_sampler.batch_size + 2  # 둘째 배치의 첫머리까지
    got = f"토큰 {', '.join(str(len(ids)) for ids, _ in first[:shown])}, …개"
    letters = [letters_of().get(ids, 0) for ids, _ in first]
    size = loader.batch_sampler.batch_size
    chunks = [first[i : i + size] for i in range(0, len(first), size)]
    in_chunks = all(Counter(one) == Counter(items[i * size : (i + 1) * size]) for i, one in enumerate(chunks))
    wrong = [
        ("file-order", first == items[: len(first)]),
        ("inside-batches", in_chunks and all(is_longest_first(one) for one in chunks)),
        ("shortest-first", is_longest_first(first[::-1])),
        ("by-letters", letters == sorted(letters, reverse=True)),
    ]
    recognise(True, wrong, idea="sampler", expected="긴 예문부터", shown=got)
    fail("토큰이 많은 예문부터 읽지 않습니다.", idea="sampler", expected="긴 예문부터", got=got)


@cache
def letters_of() -> dict[tuple[int, ...], int]:
    """토큰 번호들 → 그 글의 글자 수. 모든 갈래의 것입니다."""
    found = {}
    for mode in SPLITS:
        lines = (distinct_reviews() / f"ratings_{mode}.txt").read_text(encoding="utf-8").splitlines()[1:]
        texts = [line.split("\t")[1] for line in lines]
        found |= {ids: len(text) for (ids, _), text in zip(reference(mode), texts, strict=True)}
    return found


def check_collate(loader: DataLoader, mode: str) -> None:
    """배치는 `self.collate`가 묶은 것과 같고, 보조 프로세스의 수는 설정과 같습니다."""
    assert_equal(loader.num_workers, 0, idea="num_workers", symptom="workers")
    everything = {ids: (ids, label) for ids, label in flat([reference(one) for one in SPLITS])}
    try:
        read = list(loader)
    except Exception as error:
        if isinstance(loader.collate_fn, Collating) or isinstance(error, TodoNotDone) or not _in_fetch(error):
            raise
        if loader.collate_fn is not default_collate:
            kind = type(error).__name__
            fail(idea="collate", expected="self.collate", got=kind, symptom="other-collate")
        fail(idea="collate", expected="길이를 맞춘 텐서", got=type(error).__name__, symptom="no-collate")
    for batch in read:
        tensors = isinstance(batch, Mapping) and [batch.get(name) for name in ("input_ids", "attention_mask", "labels")]
        if not tensors or not all(isinstance(one, torch.Tensor) for one in tensors):
            got = type(batch).__name__
            symptom = "no-collate" if loader.collate_fn is default_collate else "other-collate"
            fail(idea="collate", expected="dict", got=got, symptom=symptom)
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
                idea="collate",
                expected=f"빈칸의 번호 {tokenizer().pad_token_id}",
                got="다른 함수가 묶은 배치",
                symptom="other-collate",
            )


def _in_fetch(error: Exception) -> bool:
    """예외가 배치를 묶다가 났는지."""
    files = [frame.filename.replace("\\", "/") for frame in traceback.extract_tb(error.__traceback__)]
    return any(file.endswith("/_utils/fetch.py") for file in files)
