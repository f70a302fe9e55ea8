"""1단계의 검사들이 함께 쓰는 것.

네 TODO가 한 `__init__`에 이어져 있습니다. 그래서 하나를 검사할 때는 나머지 셋의 자리에 옳은 것을 대신 두고
`__init__`을 부릅니다. 나머지가 비어 있거나 틀려도 이 TODO가 담은 것만 봅니다.
"""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from course.book.regions import RegionError, find
from course.checks.recognising import require_value
from course.checks.words import fail, show
from nlpbook.classification.config import ClassificationConfig, TrainConfig
from nlpbook.classification.nsmc import NsmcCorpus
from nlpbook.errors import UserError
from tests.task1_cls.checks import support
from todo import TodoNotDone

PART = {"1-1": "data", "1-2": "lm_config", "1-3": "lm_tokenizer", "1-4": "lang_model"}
ORDER = ("config", *PART.values())  # self에 담기는 차례. 앞의 것은 뒤의 자리가 읽기만 합니다.
ALIAS = "checks-tiny-bert"  # resolve_pretrained만이 아는 이름. 그대로 from_pretrained에 주면 찾지 못합니다.
SPLITS = {"train": 21, "valid": 9, "test": 6}  # 파일에는 하나씩 더 있습니다. 설정의 상한이 이만큼입니다.
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
        overwritten: 이 TODO의 자리가 앞에서 담은 속성에 다른 것을 담았다면 (이름, 전, 후).
        loaded: `from_pretrained`가 돌려준 모델들.
        tokenizers: `from_pretrained`가 돌려준 토크나이저들.
        taught: `train_new_from_iterator`로 새로 가르친 토크나이저가 있는지.
        labels: 다 부른 뒤의 말뭉치들(담은 것, 대신 둔 것, 클래스)의 (라벨, 라벨의 이름).
        seen: 라벨의 이름을 다 붙이기 전에 `self.lm_config`를 읽을 때마다, 그 순간의 라벨 수. 1-2에서만 모읍니다.
        model: 만들어지다 만, 또는 다 만들어진 모델.
    """

    def __init__(self) -> None:
        self.value: Any = NOTHING
        self.error: BaseException | None = None
        self.changed: tuple[str, Any, Any] | None = None
        self.overwritten: tuple[str, Any, Any] | None = None
        self.loaded: list[Any] = []
        self.tokenizers: list[Any] = []
        self.taught = False
        self.labels: list[tuple[Any, Any]] = []
        self.seen: list[Any] = []
        self.model: Any = None


def limited_config(data: Mapping[str, Any] | None = None) -> Any:
    """작은 모델과 말뭉치의 설정. 예문 수의 상한까지 적혀 있어, 설정을 통째로 건네지 않으면 드러납니다.

    Args:
        data: 말뭉치의 설정 가운데 다르게 적을 것.
    """
    config = support.tiny_config()
    limits = {f"max_{mode}_samples": count for mode, count in SPLITS.items()}
    for name, value in {**limits, **(data or {})}.items():
        setattr(config.data, name, value)
    return config


def attempt(
    module: Any,
    todo_id: str,
    folder: Path | None = None,
    labels: Mapping[str, str] | None = None,
    command: type[ClassificationConfig] = TrainConfig,
    data: Mapping[str, Any] | None = None,
) -> Trial:
    """이 TODO의 자리만 학생의 것으로 하여 `__init__`을 부릅니다.

    Args:
        folder: `config.model.pretrained`가 가리키는 사전학습 모델. 적지 않으면 작은 BERT입니다.
        labels: 말뭉치의 라벨과 그 이름. 적지 않으면 NSMC의 둘입니다.
        command: 학습, 평가, 서비스 가운데 어느 명령의 설정을 건넬지.
        data: 말뭉치의 설정 가운데 다르게 적을 것.
    """
    folder = folder or support.tiny_model()
    limited = limited_config(data)
    config = command()
    config.data, config.model = limited.data, limited.model
    config.model.pretrained = ALIAS
    target, trial = PART[todo_id], Trial()
    stand_ins = {
        name: value
        for name, value in (
            ("data", NsmcCorpus(config)),
            ("lm_config", right_config(folder)),
            ("lm_tokenizer", support.tokenizer()),
        )
        if name != target
    }

    earlier = ORDER[: ORDER.index(target)]

    class Probe(module.NSMCModel):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == target:
                trial.value = value
            elif name in earlier and not alike(self.__dict__.get(name), value) and _asks_from(place):
                trial.overwritten = (f"self.{name}", self.__dict__.get(name), value)
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
    trial.model.__dict__.update({"config": config, **stand_ins})
    place, own = _region(trial.model, todo_id), set(vars(Probe))
    torch.manual_seed(1)
    with pytest.MonkeyPatch.context() as patch:
        _find_models_without_the_hub(module, folder, patch)
        _ignore_other_todos(module, todo_id, patch)
        _watch_settings(config, trial, todo_id, patch)
        _watch_library(trial, patch)
        if labels:
            patch.setattr(NsmcCorpus, "labels", tuple(labels))
            patch.setattr(NsmcCorpus, "label_names", tuple(labels.values()))
        try:
            trial.model.__init__(config)
        except Exception as error:  # noqa: BLE001 - 다른 TODO의 예외일 수 있습니다. 담은 것을 보고 판단합니다.
            trial.error = error
        for one in () if labels else (trial.value, stand_ins.get("data"), NsmcCorpus):
            if isinstance(one, NsmcCorpus) or one is NsmcCorpus:
                trial.labels.append((one.labels, one.label_names))
    for name in set(vars(Probe)) - own:  # type(self)에 담은 것은 다음 모델도 봅니다.
        setattr(module.NSMCModel, name, vars(Probe)[name])
    if trial.value is NOTHING:  # add_module처럼 대입하지 않고 담은 것
        trial.value = trial.model.__dict__.get("_modules", {}).get(target, NOTHING)
    return trial


def _find_models_without_the_hub(module: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """`resolve_pretrained`만 별명을 작은 모델의 폴더로 바꿉니다. 모르는 이름은 네트워크를 찾지 않고 바로 멈춥니다."""
    import huggingface_hub.constants

    import nlpbook.pretrained

    real = nlpbook.pretrained.resolve_pretrained

    def resolve(name: str) -> str:
        return real(str(folder) if name == ALIAS else name)

    patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    patch.setattr(nlpbook.pretrained, "resolve_pretrained", resolve)
    patch.setattr(module, "resolve_pretrained", resolve, raising=False)


def _ignore_other_todos(module: Any, todo_id: str, patch: pytest.MonkeyPatch) -> None:
    """다른 TODO의 빈 자리는 건너뜁니다. 그 자리의 값은 대신 둔 것이 맡습니다."""
    real = getattr(module, "todo", None)
    if real is not None:
        patch.setattr(module, "todo", lambda one: real(one) if one == todo_id else None)


def _watch_settings(config: Any, trial: Trial, todo_id: str, patch: pytest.MonkeyPatch) -> None:
    """이 TODO의 자리가 부른 쪽의 설정(묶음들까지)을 바꾸면 적어 둡니다."""
    groups = {name: getattr(config, name) for name in config.groups()}
    watched = [config, *groups.values()]
    names = {id(config): "config"} | {id(group): f"config.{name}" for name, group in groups.items()}
    place = _region(trial.model, todo_id)

    def noticing(self: Any, name: str, value: Any) -> None:
        before = getattr(self, name, NOTHING)
        if any(self is one for one in watched) and before is not value and before != value and _asks_from(place):
            trial.changed = (f"{names[id(self)]}.{name}", before, value)
        object.__setattr__(self, name, value)

    for kind in {type(one) for one in watched}:
        patch.setattr(kind, "__setattr__", noticing, raising=False)


def _asks_from(place: Callable[[str, int], bool] | None) -> bool:
    """지금 도는 코드를 부른 줄들 가운데 `place`인 것이 있는가."""
    frame = sys._getframe(1) if place else None
    while frame is not None and not place(frame.f_code.co_filename, frame.f_lineno):
        frame = frame.f_back
    return frame is not None


def alike(before: Any, now: Any) -> bool:
    """같은 것이거나, 같은 내용으로 다시 만든 것인가."""
    if before is now or type(before) is not type(now):
        return before is now
    if hasattr(now, "get_vocab"):
        facts = ("special_tokens_map", "padding_side", "truncation_side")
        same = [getattr(before, name) for name in facts] == [getattr(now, name) for name in facts]
        return same and before.get_vocab() == now.get_vocab()
    return before.to_dict() == now.to_dict() if hasattr(now, "to_dict") else vars(before) == vars(now)


def _watch_library(trial: Trial, patch: pytest.MonkeyPatch) -> None:
    """저장된 것을 읽은 모델과 토크나이저, 새로 가르친 토크나이저를 적어 둡니다. 말뭉치의 클래스는 끝나면 되돌립니다."""
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

    for name in ("labels", "label_names"):
        patch.setattr(NsmcCorpus, name, getattr(NsmcCorpus, name))
    load, teach = PreTrainedModel.from_pretrained.__func__, PreTrainedTokenizerFast.train_new_from_iterator
    read = PreTrainedTokenizerBase.from_pretrained.__func__

    def loading(kind: type, *args: Any, **more: Any) -> Any:
        made = load(kind, *args, **more)
        trial.loaded.append(made[0] if isinstance(made, tuple) else made)
        return made

    def reading(kind: type, *args: Any, **more: Any) -> Any:
        trial.tokenizers.append(made := read(kind, *args, **more))
        return made

    def teaching(self: Any, *args: Any, **more: Any) -> Any:
        trial.taught = True
        return teach(self, *args, **more)

    patch.setattr(PreTrainedModel, "from_pretrained", classmethod(loading))
    patch.setattr(PreTrainedTokenizerBase, "from_pretrained", classmethod(reading))
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
        fail(idea="설정의 흐름", expected=expected, got=got, symptom="settings-changed", name=where)
    check_labels(trial)
    if trial.overwritten is not None:
        where, before, now = trial.overwritten
        expected, got = type(before).__name__, type(now).__name__
        got = f"내용이 다른 {got}" if got == expected else got
        fail(idea="속성", expected=expected, got=got, symptom="part-overwritten", name=where)
    if trial.value is not NOTHING:
        if error is not None and is_from(error, trial.model, todo_id):
            raise error
        return require_value(trial.value, name)
    if isinstance(error, OSError) and "designed to be instantiated" in str(error):
        message = "Auto…는 이름을 보고 알맞은 클래스를 찾아 주는 입구라, 곧바로 객체가 되지 않습니다."
        fail(message, idea="from_pretrained", expected="from_pretrained", got="생성자", symptom="constructor")
    if todo_id != "1-1" and error is not None and is_from(error, trial.model, todo_id):
        _explain(error, todo_id)
    # 스스로 멈춘 UserError(1-3의 거절)는 이름의 잘못이 아닙니다. 1-1에서는 모델이 아니라 말뭉치를 찾습니다.
    if todo_id != "1-1" and isinstance(error, (OSError, UserError)) and refusal(trial, todo_id) is None:
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
        fail(idea="속성", expected=name, got="없음", symptom="not-stored")
    raise error


def refusal(trial: Trial, todo_id: str) -> BaseException | None:
    """이 TODO의 자리가 스스로 `raise`한(또는 `assert`로 멈춘) 예외. 다른 곳에서 온 것이면 None입니다."""
    place = _region(trial.model, todo_id)
    frames = traceback.extract_tb(trial.error.__traceback__) if trial.error else []
    here = bool(frames) and place is not None and place(frames[-1].filename, frames[-1].lineno)
    return trial.error if here and re.search(r"\b(raise|assert)\b", frames[-1].line or "") else None


def check_labels(trial: Trial) -> None:
    """말뭉치의 라벨과 그 이름은 누구도 바꾸지 않습니다."""
    for labels, names in trial.labels:
        if list(labels) != ["0", "1"]:
            message, got = "말뭉치의 라벨을 바꾸었습니다.", ", ".join(map(str, labels))
            fail(message, idea="라벨", expected="0, 1", got=got, symptom="labels-changed")
        if list(names) != ["부정", "긍정"]:
            message, got = "말뭉치의 라벨 이름을 바꾸었습니다.", ", ".join(map(str, names))
            fail(message, idea="라벨", expected="부정, 긍정", got=got, symptom="names-changed")


def reaches_the_end(trial: Trial) -> None:
    """자리에서 return하여 `__init__`이 일찍 끝나지 않았는지. 끝까지 가면 모델이 있거나, 1-4가 비어 예외가 납니다."""
    if trial.error is None and trial.value is not NOTHING and not hasattr(trial.model, PART["1-4"]):
        fail(idea="return", expected="__init__의 끝까지", got="이 자리까지", symptom="early-return")


def _explain(error: BaseException, todo_id: str) -> None:
    """from_pretrained에 다른 것을 건네어 멈췄다면, 무엇을 건넸는지 말합니다."""
    text = str(error)
    if isinstance(error, TypeError) and (kind := re.search(r"path should be string, .* not (\w+)", text)):
        if kind[1] == "NoneType" and todo_id == "1-3":  # 라이브러리가 찾던 어휘 파일의 경로입니다.
            message = "그 클래스가 읽을 어휘 파일이 모델의 폴더에 없습니다."
            fail(message, idea="Auto 클래스", expected="폴더에 맞는 클래스", got="다른 파일을 찾는 클래스")
        message = "이름이나 경로가 와야 하는 자리에 다른 것을 건넸습니다."
        fail(message, idea="from_pretrained", expected="이름이나 경로(글)", got=kind[1], symptom="not-a-name")
    if todo_id == "1-4" and isinstance(error, TypeError) and "takes 2 positional arguments but 3 were" in text:
        message = "두 번째 인수를 이름 없이 건넸습니다."
        fail(message, idea="인수의 이름", expected="config=…", got="이름 없는 인수", symptom="config-positional")


def is_from(error: BaseException, model: Any, todo_id: str) -> bool:
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


def right_config(folder: Path | None = None) -> Any:
    """1-2가 담았어야 할 설정. 부를 때마다 새것입니다."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(str(folder or support.tiny_model()), num_labels=2)
