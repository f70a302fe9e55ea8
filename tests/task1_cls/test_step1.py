"""1단계의 검사: 말뭉치, 설정, 토크나이저, 모델.

네 TODO가 한 `__init__`에 이어져 있습니다. 그래서 하나를 검사할 때는 나머지 셋의 자리에 옳은 것을 대신 두고
`__init__`을 부릅니다. 나머지가 비어 있거나 틀려도 이 TODO가 담은 것만 봅니다.
"""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from course.book.regions import RegionError, find
from course.checks.words import assert_equal, close, deviation, fail, matches, show, todo
from nlpbook.classification.arguments import TrainArguments
from nlpbook.classification.nsmc import NsmcCorpus
from nlpbook.errors import UserError
from tests.task1_cls import support
from todo import TodoNotDone

PART = {"1-1": "data", "1-2": "lm_config", "1-3": "lm_tokenizer", "1-4": "lang_model"}
ALIAS = "checks-tiny-bert"  # resolve_pretrained만이 아는 이름. 그대로 from_pretrained에 주면 찾지 못합니다.
SPLITS = {"train": 21, "valid": 9, "test": 6}  # 파일에는 하나씩 더 있습니다. 설정의 상한이 이만큼입니다.
TEXTS = [*support.SENTENCES[:4], "처음 보는 낱말도 Apple 123 ㅋㅋㅋ", ""]
NOTHING = object()
SHAPES = ("hidden_size", "num_hidden_layers", "vocab_size", "intermediate_size", "max_position_embeddings")
# 모양은 그대로 두고 몸통이 셈하는 방법을 바꾸는 설정들
MANNERS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "hidden_act", "layer_norm_eps", "return_dict")


class NotStored(AttributeError):
    """이 TODO가 담아야 할 것을, 담기 전에 누군가 읽었습니다."""


class Trial:
    """`__init__`을 한 번 불러 본 결과.

    Attributes:
        value: 이 TODO가 self에 담은 것. 담지 않았으면 `NOTHING`.
        error: `__init__`을 멈춘 예외. 없으면 None.
        changed: 이 TODO의 자리가 부른 쪽의 설정을 바꾸었다면 (이름, 전, 후).
        loaded: `from_pretrained`가 돌려준 모델들.
        taught: `train_new_from_iterator`로 새로 가르친 토크나이저가 있는지.
        labels: 다 부른 뒤의 말뭉치들(담은 것, 대신 둔 것, 클래스)의 (라벨, 라벨의 이름).
        seen: 라벨의 이름을 다 붙이기 전에 `self.lm_config`를 읽을 때마다, 그 순간의 라벨 수. 1-2에서만 모읍니다.
        model: 만들어지다 만, 또는 다 만들어진 모델.
    """

    def __init__(self) -> None:
        self.value: Any = NOTHING
        self.error: BaseException | None = None
        self.changed: tuple[str, Any, Any] | None = None
        self.loaded: list[Any] = []
        self.taught = False
        self.labels: list[tuple[Any, Any]] = []
        self.seen: list[Any] = []
        self.model: Any = None


def limited_args() -> Any:
    """작은 모델과 말뭉치의 설정. 예문 수의 상한까지 적혀 있어, 설정을 통째로 건네지 않으면 드러납니다."""
    args = support.tiny_args()
    args.data.max_train_samples, args.data.max_valid_samples, args.data.max_test_samples = SPLITS.values()
    return args


def attempt(module: Any, todo_id: str) -> Trial:
    """이 TODO의 자리만 학생의 것으로 하여 `__init__`을 부릅니다."""
    args = limited_args()
    args.model.pretrained = ALIAS
    target, trial = PART[todo_id], Trial()
    stand_ins = {
        name: value
        for name, value in (("data", NsmcCorpus(args)), ("lm_config", config()), ("lm_tokenizer", support.tokenizer()))
        if name != target
    }

    class Probe(module.NSMCModel):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == target:
                trial.value = value
            super().__setattr__(name, stand_ins.get(name, value))

        def __getattribute__(self, name: str) -> Any:
            value = super().__getattribute__(name)
            if name == target == "lm_config" and "부정" not in (getattr(value, "label2id", None) or {}):
                trial.seen.append(getattr(value, "num_labels", None))
            return value

        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError:
                if name == target:
                    raise NotStored from None
                raise

    trial.model = Probe.__new__(Probe)
    trial.model.__dict__.update(stand_ins)
    torch.manual_seed(1)
    with pytest.MonkeyPatch.context() as patch:
        _find_models_without_the_hub(module, patch)
        _ignore_other_todos(module, todo_id, patch)
        _watch_settings(args, trial, todo_id, patch)
        _watch_library(trial, patch)
        try:
            trial.model.__init__(args)
        except Exception as error:  # noqa: BLE001 - 다른 TODO의 예외일 수 있습니다. 담은 것을 보고 판단합니다.
            trial.error = error
        for one in (trial.value, stand_ins.get("data"), NsmcCorpus):
            if isinstance(one, NsmcCorpus) or one is NsmcCorpus:
                trial.labels.append((one.labels, one.label_names))
    if trial.value is NOTHING:  # add_module처럼 대입하지 않고 담은 것
        trial.value = trial.model.__dict__.get("_modules", {}).get(target, NOTHING)
    return trial


def _find_models_without_the_hub(module: Any, patch: pytest.MonkeyPatch) -> None:
    """`resolve_pretrained`만 별명을 작은 모델의 폴더로 바꿉니다. 모르는 이름은 네트워크를 찾지 않고 바로 멈춥니다."""
    import huggingface_hub.constants

    import nlpbook.pretrained

    real = nlpbook.pretrained.resolve_pretrained

    def resolve(name: str) -> str:
        return real(str(support.tiny_model()) if name == ALIAS else name)

    patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    patch.setattr(nlpbook.pretrained, "resolve_pretrained", resolve)
    patch.setattr(module, "resolve_pretrained", resolve, raising=False)


def _ignore_other_todos(module: Any, todo_id: str, patch: pytest.MonkeyPatch) -> None:
    """다른 TODO의 빈 자리는 건너뜁니다. 그 자리의 값은 대신 둔 것이 맡습니다."""
    real = getattr(module, "todo", None)
    if real is not None:
        patch.setattr(module, "todo", lambda one: real(one) if one == todo_id else None)


def _watch_settings(args: Any, trial: Trial, todo_id: str, patch: pytest.MonkeyPatch) -> None:
    """이 TODO의 자리가 부른 쪽의 설정(묶음들까지)을 바꾸면 적어 둡니다."""
    watched = [args, *vars(args).values()]
    names = {id(args): "args"} | {id(group): f"args.{name}" for name, group in vars(args).items()}
    place = _region(trial.model, todo_id)

    def noticing(self: Any, name: str, value: Any) -> None:
        before = getattr(self, name, NOTHING)
        if any(self is one for one in watched) and before is not value and before != value and place:
            frame = sys._getframe(1)
            while frame is not None and not place(frame.f_code.co_filename, frame.f_lineno):
                frame = frame.f_back
            if frame is not None:
                trial.changed = (f"{names[id(self)]}.{name}", before, value)
        object.__setattr__(self, name, value)

    for kind in {type(one) for one in watched}:
        patch.setattr(kind, "__setattr__", noticing, raising=False)


def _watch_library(trial: Trial, patch: pytest.MonkeyPatch) -> None:
    """저장된 가중치를 읽은 모델과, 새로 가르친 토크나이저를 적어 둡니다. 말뭉치의 클래스는 끝나면 되돌립니다."""
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    for name in ("labels", "label_names"):
        patch.setattr(NsmcCorpus, name, getattr(NsmcCorpus, name))
    load, teach = PreTrainedModel.from_pretrained.__func__, PreTrainedTokenizerFast.train_new_from_iterator

    def loading(kind: type, *args: Any, **more: Any) -> Any:
        made = load(kind, *args, **more)
        trial.loaded.append(made[0] if isinstance(made, tuple) else made)
        return made

    def teaching(self: Any, *args: Any, **more: Any) -> Any:
        trial.taught = True
        return teach(self, *args, **more)

    patch.setattr(PreTrainedModel, "from_pretrained", classmethod(loading))
    patch.setattr(PreTrainedTokenizerFast, "train_new_from_iterator", teaching)


def stored(trial: Trial, todo_id: str) -> Any:
    """이 TODO가 self에 담은 것. 담지 않았으면 왜인지 말합니다."""
    error, name = trial.error, f"self.{PART[todo_id]}"
    if isinstance(error, TodoNotDone) and error.todo_id == todo_id:
        raise error
    if trial.changed is not None:
        where, before, after = trial.changed
        expected, got = (
            show(one) if isinstance(one, (str, int, float, type(None))) else type(one).__name__
            for one in (before, after)
        )
        message = "부른 쪽의 설정을 바꾸었습니다."
        fail(message, idea="설정의 흐름", expected=expected, got=got, symptom="args-changed", name=where)
    check_labels(trial)
    if trial.value is not NOTHING:
        if error is not None and _is_from(error, trial.model, todo_id):
            raise error
        return finished(trial.value, name)
    if isinstance(error, OSError) and "designed to be instantiated" in str(error):
        message = "Auto…는 이름을 보고 알맞은 클래스를 찾아 주는 입구라, 곧바로 객체가 되지 않습니다."
        fail(message, idea="from_pretrained", expected="from_pretrained", got="생성자", symptom="constructor")
    if todo_id != "1-1" and error is not None and _is_from(error, trial.model, todo_id):
        _explain(error, todo_id)
    if isinstance(error, (OSError, UserError)):
        fail(
            "그 이름의 사전학습 모델을 찾지 못했습니다.",
            idea="모델의 이름과 경로",
            expected="pretrained가 가리키는 폴더",
            got=type(error).__name__,
            symptom="wrong-name",
        )
    if todo_id == "1-2" and isinstance(error, TypeError) and "interpreted as an integer" in str(error):
        fail(
            "num_labels에 수가 아닌 것을 주었습니다.",
            idea="라벨의 수",
            expected="2",
            got=str(error).split("'")[1],
            symptom="labels-not-count",
        )
    if error is None or isinstance(error, (NotStored, TodoNotDone)):
        fail(f"{name}에 아무것도 담지 않았습니다.", idea="속성", expected=name, got="없음", symptom="not-stored")
    raise error


def check_labels(trial: Trial) -> None:
    """말뭉치의 라벨과 그 이름은 누구도 바꾸지 않습니다."""
    for labels, names in trial.labels:
        if list(labels) != ["0", "1"]:
            message, got = "말뭉치의 라벨을 바꾸었습니다.", ", ".join(map(str, labels))
            fail(message, idea="라벨", expected="0, 1", got=got, symptom="labels-changed")
        if list(names) != ["부정", "긍정"]:
            message, got = "말뭉치의 라벨 이름을 바꾸었습니다.", ", ".join(map(str, names))
            fail(message, idea="라벨", expected="부정, 긍정", got=got, symptom="names-changed")


def _explain(error: BaseException, todo_id: str) -> None:
    """from_pretrained에 다른 것을 건네어 멈췄다면, 무엇을 건넸는지 말합니다."""
    text = str(error)
    if isinstance(error, TypeError) and (kind := re.search(r"path should be string, .* not (\w+)", text)):
        message = "이름이나 경로가 와야 하는 자리에 다른 것을 건넸습니다."
        fail(message, idea="from_pretrained", expected="이름이나 경로(글)", got=kind[1], symptom="not-a-name")
    if todo_id == "1-4" and isinstance(error, TypeError) and "takes 2 positional arguments but 3 were" in text:
        message = "설정을 이름 없이 두 번째 인수로 건넸습니다."
        fail(message, idea="인수의 이름", expected="config=…", got="이름 없는 인수", symptom="config-positional")


def finished(value: Any, name: str) -> Any:
    """담은 것. 아직 값이 아니면(빈 자리, 부르지 않은 함수, 쉼표가 만든 튜플) 그렇다고 말합니다."""
    if value is None or value is ...:
        message = f"{name}에 아직 아무 값도 아닌 것을 담았습니다."
        fail(message, idea="빈 자리", expected="값", got="None" if value is None else "...", symptom="empty")
    if isinstance(value, tuple) and len(value) == 1:
        message = f"{name}에 튜플이 담겼습니다. 줄 끝에 쉼표가 있지 않은지 보세요."
        fail(message, idea="튜플", expected=type(value[0]).__name__, got="값 하나의 튜플", symptom="comma")
    if inspect.isroutine(value):
        message = f"{name}에 부르지 않은 함수를 담았습니다. 이름 뒤에 괄호가 있는지 보세요."
        fail(message, idea="부르기", expected="함수가 돌려준 것", got=value.__name__, symptom="not-called")
    return value


def _is_from(error: BaseException, model: Any, todo_id: str) -> bool:
    """예외가 이 TODO의 자리에서 났는지. 담은 뒤에 이어지는 줄에서 멈춘 것도 이 TODO의 잘못입니다."""
    place = _region(model, todo_id)
    frames = traceback.extract_tb(error.__traceback__)
    return place is not None and any(place(one.filename, one.lineno) for one in frames)


def _region(model: Any, todo_id: str) -> Callable[[str, int], bool] | None:
    """어느 파일의 몇 번째 줄이 이 TODO의 자리인지 답하는 함수. 학생이 표시를 지웠으면 None이고, 탓하지 않습니다."""
    file = inspect.getsourcefile(type(model).__mro__[1])
    try:
        region = find(Path(file).read_text(encoding="utf-8"), todo_id)
    except RegionError:
        return None
    return lambda name, line: name == file and region.begin < line <= region.end


@cache
def rows(mode: str) -> list[tuple[str, str]]:
    """작은 말뭉치의 (글, 라벨), 상한까지. 라이브러리를 거치지 않고 읽습니다."""
    lines = (support.tiny_corpus() / f"ratings_{mode}.txt").read_text(encoding="utf-8").splitlines()[1:]
    return [tuple(line.split("\t")[1:]) for line in lines[: SPLITS[mode]]]


def config() -> Any:
    """1-2가 담았어야 할 설정. 부를 때마다 새것입니다."""
    from transformers import BertConfig

    return BertConfig.from_pretrained(str(support.tiny_model()), num_labels=2)


@cache
def saved_weights() -> dict[str, torch.Tensor]:
    """작은 사전학습 모델의 몸통에 저장된 가중치."""
    from safetensors.torch import load_file

    weights = load_file(support.tiny_model() / "model.safetensors")
    return {name: value for name, value in weights.items() if name.startswith("bert.")}


# ── 1-1 말뭉치


@pytest.fixture(scope="module")
def data(load):
    value = stored(attempt(load(1), "1-1"), "1-1")
    if isinstance(value, type):
        fail("말뭉치의 클래스를 담았습니다.", idea="객체", expected="객체", got="클래스", symptom="class-not-object")
    if not callable(getattr(value, "get_examples", None)):
        got = type(value).__name__
        is_examples = isinstance(value, list) and value and hasattr(value[0], "text")
        symptom = "not-a-corpus" if is_examples else "other-thing"
        fail("self.data가 말뭉치가 아닙니다.", idea="말뭉치", expected="NsmcCorpus", got=got, symptom=symptom)
    return value


def examples(data, mode):
    """말뭉치가 스스로(다른 설정을 건네받지 않고) 읽은 예문들."""
    try:
        return [(one.text, one.label) for one in data.get_examples(mode)]
    except AttributeError:
        got = type(getattr(data, "args", None)).__name__
        symptom = "part-of-args" if got.endswith("Arguments") else "not-args"
        fail("말뭉치가 설정(args)이 아닌 것을 받았습니다.", idea="설정", expected="args", got=got, symptom=symptom)


@todo("1-1")
def test_corpus_reads_where_the_settings_say(data):
    """말뭉치는 설정(args)이 가리키는 폴더를 읽습니다."""
    got = examples(data, "train")
    default = NsmcCorpus(TrainArguments()).get_examples("train")
    if got == [(one.text, one.label) for one in default]:
        fail(
            "설정이 가리키는 말뭉치가 아니라 내장 말뭉치를 읽었습니다.",
            idea="설정의 흐름",
            expected=f"예문 {SPLITS['train']}개",
            got=f"예문 {len(got)}개",
            symptom="no-args",
        )
    assert_equal(got, rows("train"), idea="설정의 흐름", message="학습 예문이 설정이 가리키는 파일과 다릅니다.")


@todo("1-1")
@pytest.mark.parametrize("mode", ["valid", "test"])
def test_corpus_keeps_the_splits_apart(data, mode):
    """검증과 평가의 예문도 설정이 가리키는 파일에서 옵니다."""
    got = examples(data, mode)
    assert_equal(len(got), SPLITS[mode], idea="갈래", message=f"{mode} 예문의 수가 다릅니다.")
    assert_equal(got, rows(mode), idea="갈래", message=f"{mode} 예문이 설정이 가리키는 파일과 다릅니다.")


@todo("1-1")
def test_corpus_knows_its_labels(data):
    """말뭉치는 라벨이 몇 개이고 이름이 무엇인지 압니다."""
    assert_equal(data.num_labels, 2, idea="라벨", message="말뭉치의 라벨 수가 다릅니다.")
    assert_equal(data.get_labels(), ["0", "1"], idea="라벨", message="라벨의 순서가 다릅니다.")
    assert_equal(tuple(data.label_names), ("부정", "긍정"), idea="라벨", message="라벨의 이름이 다릅니다.")


# ── 1-2 설정


@pytest.fixture(scope="module")
def config_trial(load):
    from transformers import PreTrainedConfig

    trial = attempt(load(1), "1-2")
    value = stored(trial, "1-2")
    if isinstance(value, type) or not isinstance(value, PreTrainedConfig):
        got = value.__name__ if isinstance(value, type) else type(value).__name__
        fail("self.lm_config가 설정이 아닙니다.", idea="설정", expected="BertConfig", got=got, symptom="not-a-config")
    return trial


@todo("1-2")
def test_config_has_the_number_of_labels(config_trial):
    """설정의 라벨 수는 말뭉치의 라벨 수입니다. 이름을 붙이기 전에 이미 그렇습니다."""
    # 이 자리 아래의 주어진 코드가 id2label을 붙이면 라벨 수도 함께 2가 되어 실수가 가려집니다. 그래서 그 직전의 수를
    # 봅니다. 주어진 코드는 lm_config를 두 번(id2label, label2id를 붙이려고) 읽습니다.
    seen = config_trial.seen
    got = seen[-2] if len(seen) >= 2 else config_trial.value.num_labels
    if got == 5:
        fail(
            "라벨 수가 사전학습 모델에 저장된 그대로입니다.",
            idea="분류 머리의 크기",
            expected=2,
            got=got,
            symptom="no-num-labels",
        )
    if got != 2:
        message = "설정의 라벨 수가 말뭉치의 라벨 수와 다릅니다."
        fail(message, idea="분류 머리의 크기", expected=2, got=got, symptom="other-count")


@todo("1-2")
def test_config_describes_the_pretrained_body(config_trial):
    """층, 차원, 어휘의 수는 사전학습 모델의 것입니다."""
    got, want = config_trial.value, config()
    assert_equal(got.model_type, want.model_type, idea="사전학습", message="다른 종류의 모델의 설정입니다.")
    if all(getattr(got, name) == getattr(type(want)(), name) for name in SHAPES):
        fail(
            "사전학습 모델의 설정을 불러오지 않고 새로 만들었습니다.",
            idea="from_pretrained",
            expected=f"차원 {want.hidden_size}",
            got=f"차원 {got.hidden_size}",
            symptom="fresh-config",
        )
    for name in (*SHAPES, "num_attention_heads", "pad_token_id"):
        here, there = getattr(got, name), getattr(want, name)
        if here != there:
            message = f"설정의 {name}이(가) 사전학습 모델과 다릅니다."
            fail(message, idea="사전학습", expected=there, got=here, symptom="other-config", name=name)
    for name in MANNERS:
        here, there = getattr(got, name, None), getattr(want, name, None)
        if here != there:
            message = f"설정의 {name}이(가) 사전학습 모델과 다릅니다."
            fail(message, idea="사전학습", expected=there, got=here, symptom="other-setting", name=name)


@todo("1-2")
def test_config_makes_a_working_classifier(config_trial):
    """이 설정으로 만든 모델은 라벨마다 점수를 하나씩 냅니다."""
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_config(config_trial.value).eval()
    with torch.no_grad():
        got = model(torch.tensor([[2, 7, 3]]), return_dict=True).logits
    assert_equal(tuple(got.shape), (1, 2), idea="로짓의 모양", message="이 설정의 모델이 내는 로짓의 모양이 다릅니다.")
    kind = config_trial.value.problem_type
    if kind not in (None, "single_label_classification"):
        fail(
            "라벨 하나를 고르는 문제가 아닌 것으로 적었습니다.",
            idea="과제의 종류",
            expected="라벨 하나 고르기",
            got=kind,
            symptom="other-problem",
        )


# ── 1-3 토크나이저


@pytest.fixture(scope="module")
def got_tokenizer(load):
    trial = attempt(load(1), "1-3")
    value = stored(trial, "1-3")
    if isinstance(value, type) or not (callable(value) and hasattr(value, "convert_ids_to_tokens")):
        got = value.__name__ if isinstance(value, type) else type(value).__name__
        fail(
            "self.lm_tokenizer가 토크나이저가 아닙니다.",
            idea="토크나이저",
            expected="글을 받아 토큰 번호를 내는 것",
            got=got,
            symptom="not-a-tokenizer",
        )
    if trial.taught and value.get_vocab() != support.tokenizer().get_vocab():
        message = "사전학습 모델의 것이 아니라, 새로 가르친 토크나이저입니다."
        fail(message, idea="토큰 번호", expected="모델이 배운 번호", got="새로 매긴 번호", symptom="retrained")
    return value


@todo("1-3")
def test_tokenizer_speaks_the_models_numbers(got_tokenizer):
    """같은 낱말에 모델이 배운 것과 같은 번호를 붙입니다."""
    got, want = got_tokenizer.get_vocab(), support.tokenizer().get_vocab()
    if len(got) > len(want) and want.items() <= got.items():
        fail(
            "모델이 배우지 않은 토큰이 어휘에 더해졌습니다.",
            idea="어휘",
            expected=f"{len(want)}개",
            got=f"{len(got)}개",
            symptom="grown-vocabulary",
        )
    if got != want:
        fail(
            "모델의 것과 다른 토크나이저입니다.",
            idea="토큰 번호",
            expected=f"어휘 {len(want)}개",
            got=f"어휘 {len(got)}개",
            symptom="other-tokenizer",
        )


@todo("1-3")
def test_tokenizer_cuts_text_like_the_models_own(got_tokenizer):
    """같은 글을 같은 번호로 바꾸고, 앞뒤에 같은 특수 토큰을 붙입니다."""
    for text in TEXTS:
        want = support.tokenizer()(text)["input_ids"]
        ids = list(got_tokenizer(text)["input_ids"])
        if ids != want:
            message = f"{text!r}의 토큰 번호가 다릅니다."
            same_words = got_tokenizer.get_vocab() == support.tokenizer().get_vocab()  # 아니라면 다른 검사가 말합니다.
            symptom = "other-tokens" if same_words else None
            fail(message, idea="토큰 번호", expected=want, got=ids, symptom=symptom, text=text)


@todo("1-3")
def test_tokenizer_pads_and_truncates_like_the_models_own(got_tokenizer):
    """채우는 번호와 쪽, 자르는 쪽이 모델이 배운 것과 같습니다."""
    for name in ("pad_token_id", "cls_token_id", "sep_token_id", "unk_token_id", "mask_token_id"):
        got, want = getattr(got_tokenizer, name), getattr(support.tokenizer(), name)
        if got != want:
            message = f"{name}이(가) 다릅니다."
            symptom = "special-lost" if got is None else "special-token"
            fail(message, idea="특수 토큰", expected=want, got=got, symptom=symptom, name=name)
    texts = [support.LONG_TEXT, support.SENTENCES[3]]
    got, want = (
        one(texts, padding=True, truncation=True, max_length=9) for one in (got_tokenizer, support.tokenizer())
    )
    for name in ("input_ids", "attention_mask"):
        for here, there in zip(got[name], want[name], strict=True):
            if list(here) != there:
                message = "자르거나 채운 쪽이 다릅니다."
                alike = all(got_tokenizer(one)["input_ids"] == support.tokenizer()(one)["input_ids"] for one in TEXTS)
                symptom = "other-side" if alike else None
                fail(message, idea="채움과 자름", expected=there, got=list(here), symptom=symptom)


@todo("1-3")
def test_tokenizer_is_fast(got_tokenizer):
    """빠른(fast) 토크나이저는 토큰이 글의 어디에서 왔는지도 압니다."""
    if not getattr(got_tokenizer, "is_fast", False):
        fail("느린 토크나이저입니다.", idea="빠른 토크나이저", expected="is_fast=True", got="False", symptom="slow")
    got = got_tokenizer("별로", return_offsets_mapping=True)["offset_mapping"]
    assert_equal([tuple(one) for one in got][1], (0, 2), idea="빠른 토크나이저", message="토큰의 자리가 다릅니다.")


@todo("1-3")
def test_slow_tokenizer_is_not_asked_for(load, monkeypatch):
    """use_fast=False라고 적지 않습니다. transformers 5는 못 본 체하지만, 그 앞의 판에서는 느린 것이 옵니다."""
    from transformers import AutoTokenizer

    asked, real = [], AutoTokenizer.from_pretrained
    monkeypatch.setattr(
        AutoTokenizer, "from_pretrained", lambda *args, **more: asked.append(more) or real(*args, **more)
    )
    stored(attempt(load(1), "1-3"), "1-3")
    if any(not more.get("use_fast", True) for more in asked):
        idea = "빠른 토크나이저"
        fail(
            "느린 토크나이저를 달라고 했습니다.",
            idea=idea,
            expected="use_fast=True",
            got="use_fast=False",
            symptom="slow",
        )


# ── 1-4 모델


@pytest.fixture(scope="module")
def classifier_trial(load):
    trial = attempt(load(1), "1-4")
    value = stored(trial, "1-4")
    if not isinstance(value, torch.nn.Module):
        got = value.__name__ if isinstance(value, type) else type(value).__name__
        fail("self.lang_model이 모델이 아닙니다.", idea="모델", expected="nn.Module", got=got, symptom="not-a-model")
    return trial


@pytest.fixture
def classifier(classifier_trial, device):
    return classifier_trial.value.to(device)


def logits_of(classifier, device):
    """배치 하나(리뷰 3개)의 로짓. 토큰 번호는 라이브러리의 토크나이저로 만듭니다."""
    texts = support.SENTENCES[:3]
    batch = support.tokenizer()(texts, padding=True, return_tensors="pt").to(device)
    try:
        with torch.no_grad():
            output = classifier.eval()(**batch)
    except (TypeError, RuntimeError, ValueError) as error:
        kind = type(classifier).__name__
        message = f"모델이 리뷰의 배치를 읽지 못합니다({type(error).__name__})."
        fail(message, idea="모델의 입력", expected="input_ids를 받는 모델", got=kind, symptom="cannot-read")
    logits = getattr(output, "logits", None)
    if logits is None:
        logits = getattr(output, "start_logits", None)  # 질문에 답하는 머리: 토큰마다 점수를 냅니다.
        if logits is not None:
            logits = logits[..., None]
    if logits is None:
        message = "모델이 점수(logits)를 내지 않습니다."
        fail(message, idea="분류 머리", expected="(3, 2)", got="없음", symptom="no-head")
    if logits.dim() == 3:
        fail(
            "모델이 토큰마다 점수를 냅니다.",
            idea="분류 머리",
            expected="(3, 2)",
            got=tuple(logits.shape),
            symptom="other-head",
        )
    return logits


@todo("1-4")
def test_model_gives_one_score_per_label(classifier, device):
    """리뷰마다, 라벨마다 점수를 하나씩 냅니다."""
    got = logits_of(classifier, device)
    if got.shape == (3, 5):
        fail(
            "라벨 수를 알려 준 설정이 모델에 닿지 않았습니다.",
            idea="분류 머리의 크기",
            expected="(3, 2)",
            got=tuple(got.shape),
            symptom="no-config",
        )
    assert_equal(tuple(got.shape), (3, 2), idea="분류 머리의 크기", message="로짓의 모양이 (배치, 라벨 수)가 아닙니다.")


@todo("1-4")
def test_scores_are_those_of_the_last_layer(classifier, device):
    """로짓은 마지막 층이 낸 점수 그대로입니다. 확률로 바꾸는 일은 3단계가 합니다."""
    heads = [one for one in classifier.modules() if isinstance(one, torch.nn.Linear) and one.out_features == 2]
    seen: list[torch.Tensor] = []
    watching = [
        one.register_forward_hook(
            lambda layer, given, _: seen.append(torch.nn.functional.linear(given[0], layer.weight, layer.bias))
        )
        for one in heads
    ]
    try:
        logits = logits_of(classifier, device)
    finally:
        for one in watching:
            one.remove()
    if not seen or logits.shape != seen[-1].shape or deviation(logits, seen[-1]) <= 1e-3:
        return  # 모양이 다른 것은 다른 검사가 말합니다.
    kinds = {
        "확률(softmax)": seen[-1].softmax(-1),
        "확률의 로그(log_softmax)": seen[-1].log_softmax(-1),
        "0과 1 사이로 누른 값(sigmoid)": seen[-1].sigmoid(),
    }
    got = next((name for name, value in kinds.items() if matches(logits, value, 1e-3)), "한 번 더 바꾼 값")
    message = "점수를 내는 층 뒤에 다른 셈을 더했습니다."
    fail(message, idea="로짓", expected="마지막 층의 점수", got=got, symptom="not-logits")


@todo("1-4")
def test_model_brings_the_pretrained_weights(classifier_trial, classifier, device):
    """몸통의 가중치는 사전학습에서 배운 것입니다."""
    logits_of(classifier, device)
    got, want = classifier.state_dict(), saved_weights()
    same = [name for name, value in want.items() if name in got and close(got[name], value, 1e-6)]
    # 1차원은 배우기 전에도 0이나 1로 같습니다. 행렬은 자료형을 바꾸어도 0.01 안에서 같습니다.
    matrices = [name for name, value in want.items() if value.dim() == 2]
    if not any(name in got and close(got[name], want[name], 1e-2) for name in matrices):
        if any(one is classifier_trial.value for one in classifier_trial.loaded):
            message = "불러온 가중치를 다른 값으로 덮어썼습니다."
            fail(message, idea="사전학습", expected="저장된 가중치", got="덮어쓴 값", symptom="overwritten")
        fail(
            "몸통의 가중치가 사전학습한 것이 아닙니다.",
            idea="사전학습",
            expected="저장된 가중치",
            got="새로 뽑은 난수",
            symptom="from-config",
        )
    if len(same) != len(want):
        message = "가중치의 일부가 저장된 것과 다릅니다."
        fail(message, idea="사전학습", expected=f"{len(want)}개", got=f"{len(same)}개", symptom="other-weights")


@todo("1-4")
def test_model_works_as_the_settings_say(classifier, device):
    """드롭아웃 같은 나머지도 건네받은 설정 그대로이고, 라벨을 주면 라벨 하나를 고르는 손실을 냅니다."""
    logits = logits_of(classifier, device)
    got, want = classifier.config, config()
    if any(getattr(got, name, None) != getattr(want, name, None) for name in SHAPES):
        return  # 다른 모양의 몸통은 가중치의 검사가 말합니다.
    rates = [{one.p for one in part.modules() if isinstance(one, torch.nn.Dropout)} for part in (classifier, twin())]
    pairs = [(name, getattr(got, name, None), getattr(want, name, None)) for name in MANNERS]
    for name, here, there in [*pairs, ("드롭아웃", *(", ".join(map(str, sorted(one))) for one in rates))]:
        if here != there:
            message = f"모델의 {name}이(가) 건네받은 설정과 다릅니다."
            fail(message, idea="설정의 흐름", expected=there, got=here, symptom="other-setting", name=name)
    if logits.shape == (3, 2) and got.problem_type not in (None, "single_label_classification"):
        kind = got.problem_type
        message = "라벨 하나를 고르는 문제가 아닌 것으로 적었습니다."
        fail(
            message,
            idea="설정의 흐름",
            expected="라벨 하나 고르기",
            got=kind,
            symptom="other-setting",
            name="problem_type",
        )


@cache
def twin() -> torch.nn.Module:
    """1-2의 설정으로 만든 분류 모델. 모양만 봅니다."""
    from transformers import BertForSequenceClassification

    with torch.random.fork_rng(), torch.device("meta"):
        return BertForSequenceClassification(config())


@todo("1-4")
def test_model_knows_the_label_names(classifier):
    """모델은 건네받은 설정대로 라벨의 이름을 압니다. 저장한 모델이 "긍정", "부정"으로 답하게 됩니다."""
    got = [classifier.config.id2label.get(i) for i in range(2)]
    if got == ["LABEL_0", "LABEL_1"]:
        fail(
            "모델이 라벨의 이름을 모릅니다.",
            idea="설정의 흐름",
            expected="부정, 긍정",
            got=", ".join(got),
            symptom="no-config",
        )
    message, got = "모델이 아는 라벨의 이름이 설정과 다릅니다.", ", ".join(map(str, got))
    assert_equal(got, "부정, 긍정", idea="설정의 흐름", message=message, symptom="other-names")


@todo("1-4")
def test_every_weight_of_the_model_can_learn(classifier_trial):
    """몸통과 머리의 모든 가중치가 이 클래스의 것이고, 함께 배웁니다."""
    trial = classifier_trial
    own = list(trial.value.parameters())
    found = {id(parameter) for parameter in trial.model.parameters()}
    if any(id(parameter) not in found for parameter in own):
        fail(
            "모델의 가중치가 이 클래스의 파라미터로 등록되지 않았습니다.",
            idea="nn.Module",
            expected=len(own),
            got=len(found),
        )
    frozen = sum(not parameter.requires_grad for parameter in own)
    if frozen:
        fail(
            "배우지 않도록 얼린 가중치가 있습니다.",
            idea="미세조정",
            expected="모두 학습",
            got=f"{frozen}개가 얼어 있음",
            symptom="frozen",
        )
