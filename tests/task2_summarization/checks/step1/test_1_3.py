"""1-3의 검사: 앞서는 순서."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache, reduce
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from course.checks.recognising import Wrong, explained, recognise, require_value, sound, when
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_equal, fail, todo
from nlpbook.settings import UnknownSetting, WrongValue
from nlpbook.summarization.config import SummarizationConfig
from nlpbook.summarization.config_files import (
    command_line_layer,
    environment_layer,
    read_config_file,
    resolved,
    trial_layer,
)
from nlpbook.summarization.layers import Layer, Sourced, config_of
from tests.task2_summarization.checks.step1.common import Tree, layered, merged, shallow, write

IDEA = "앞서는 순서"
NAMES = ("file", "environment", "command-line", "trial")  # 뒤의 것이 앞섭니다.
KOREAN = {"file": "파일", "environment": "환경 변수", "command-line": "명령줄", "trial": "시도"}
# 이웃한 두 층마다 둘만 함께 적은 항목이 있고, 층마다 혼자 적은 항목이 있습니다. 수는 모두 다르고 기본값이 아닙니다.
PARENT = """
    training: {learning_rate: 2.7e-4, warmup_steps: 59, max_grad_norm: 0.83}
    generation: {num_beams: 5, min_length: 7}
    """
FILE = """
    inherits: parent.yaml
    training: {learning_rate: 3.1e-4, num_train_epochs: 13, per_device_train_batch_size: 21, weight_decay: 0.041}
    generation: {num_beams: 7, max_length: 71}
    general: {seed: 83}
    wandb: {mode: offline}
    """
ENVIRONMENT = {"LEARNING_RATE": "4.2e-4", "NUM_EPOCHS": "17", "BATCH_SIZE": "23", "WANDB_PROJECT": "환경의 것"}
OTHER_FILE = (
    "training: {num_train_epochs: 43, save_total_limit: 8}\ngeneral: {seed: 89}"  # 이름을 건네지 않았을 때의 설정
)
SHELL = {"LEARNING_RATE": "7.5e-4", "NUM_EPOCHS": "29", "BATCH_SIZE": "37", "WANDB_PROJECT": "셸의 것"}
OVERRIDES = ["--num_epochs", "19", "training.learning_rate=5.3e-4", "generation.num_beams=9", "logging_steps=47"]
TRIAL = {"learning_rate": 6.4e-4, "generation.num_beams": 11, "label_smoothing": 0.17, "weight_decay": 0.053}
LOOKED_AT = (
    "training.learning_rate",
    "training.num_train_epochs",
    "training.per_device_train_batch_size",
    "training.weight_decay",
    "training.logging_steps",
    "training.label_smoothing",
    "training.max_grad_norm",
    "training.warmup_steps",
    "generation.num_beams",
    "generation.min_length",
    "generation.max_length",
    "general.seed",
    "wandb.project",
    "wandb.mode",
)


@pytest.fixture(scope="module")
def setting(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("configs"), mine=FILE, parent=PARENT, quick=OTHER_FILE)["mine"]


@cache
def own_layer(path: Path) -> Layer:
    """이 파일에 적힌 것만."""
    return read_config_file(path).values


@cache
def file_layer(path: Path) -> Layer:
    """물려받은 것까지."""
    return layered(*(own_layer(one) for one in read_config_file(path).parents), own_layer(path))


@pytest.fixture
def loading(step1, setting, monkeypatch) -> Callable[..., Any]:
    """`load_config`를 부릅니다. 1-1과 1-2의 자리에는 옳은 것을 대신 두고, 셸에는 다른 환경 변수를 둡니다."""
    monkeypatch.setattr(step1, "merged", merged)
    monkeypatch.setattr(step1, "CONFIGS", setting.parent)
    monkeypatch.setattr(step1, "with_inheritance", with_inheritance)
    for name in ("MODEL_NAME", "OUTPUT_DIR", "WANDB_ENTITY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in SHELL.items():
        monkeypatch.setenv(name, value)

    def load(*args: Any, **more: Any) -> Any:
        with explained(blame_raw_layer, blame_inner_source):
            return step1.load_config(*args, **more)

    return load


def with_inheritance(path: Path | str, children: Any = ()) -> Layer:
    """학생의 1-2 자리에 대신 두는 것."""
    if not Path(path).is_file():
        fail(idea="경로", expected="찾은 파일의 경로", got=f"{path!s}", symptom="name-not-path")
    return deepcopy(file_layer(Path(path)))


def blame_raw_layer(error: Exception) -> None:
    """시도나 환경 변수의 짧은 이름을 옮기지 않고 그대로 얹었으면 그렇다고 말합니다."""
    if isinstance(error, UnknownSetting) and error.name in {*TRIAL, *ENVIRONMENT}:
        fail(idea="층", expected="묶음 안의 이름", got=error.name, symptom="raw-layer")


def blame_inner_source(error: Exception) -> None:
    """값과 온 곳의 짝(`Sourced`)을 떼지 않은 채 설정으로 바꾸었으면 그렇다고 말합니다."""
    if isinstance(error, WrongValue) and isinstance(error.value, Sourced):
        fail(idea="값이 온 곳", expected=f"{error.value.value!r}", got=f"{error.value}", symptom="source-inside")


def layers_of(path: Path) -> dict[str, Layer]:
    return {
        "file": file_layer(path),
        "environment": environment_layer(ENVIRONMENT),
        "command-line": command_line_layer(OVERRIDES),
        "trial": trial_layer(TRIAL),
    }


def looked_at(config: SummarizationConfig) -> Tree:
    return {name: config[name] for name in LOOKED_AT}


def of(layers: Any, pile: Callable[..., Layer] = layered) -> Tree:
    """이 층들을 차례로 포갰을 때의 값들."""
    return looked_at(resolved(reduce(pile, layers, {})))


def require_config(got: Any) -> SummarizationConfig:
    require_value(got, "config")
    if not isinstance(got, SummarizationConfig):
        kind = got.__name__ if isinstance(got, type) else "None" if got is None else type(got).__name__
        symptom = "not-resolved" if isinstance(got, dict) else None
        message = "config가 설정이 아닙니다."
        fail(message, idea="설정", expected="SummarizationConfig", got=kind, symptom=symptom)
    return got


def wrong_results(path: Path) -> Wrong:
    """층을 빠뜨리거나, 얕게 포개거나, 셸의 것을 읽은 값들."""
    layers = layers_of(path)
    shell = {**layers, "environment": environment_layer(SHELL)}
    every = [layers[name] for name in NAMES]
    return [
        ("no-parents", of([own_layer(path), *every[1:]])),
        ("other-file", of([own_layer(path.with_name("quick.yaml")), *every[1:]])),
        ("no-file", of(layers[name] for name in NAMES if name != "file")),
        ("only-file", of([every[0]])),
        *[("not-piled", of([every[0], one])) for one in every[1:]],
        ("no-environment", of(layers[name] for name in NAMES if name != "environment")),
        ("no-command-line", of(layers[name] for name in NAMES if name != "command-line")),
        ("no-trial", of(layers[name] for name in NAMES if name != "trial")),
        ("own-environment", of(shell[name] for name in NAMES)),
        ("shallow", of((layers[name] for name in NAMES), shallow)),
    ]


@todo("1-3")
def test_what_is_nearer_to_the_person_comes_first(loading, setting):
    """기본값 < 파일 < 환경 변수 < 명령줄 < 시도."""
    given = {"overrides": list(OVERRIDES), "trial": dict(TRIAL), "environment": dict(ENVIRONMENT)}
    with no_side_effects(inputs=given):
        config = require_config(loading(setting, **given))
    got, layers = looked_at(config), layers_of(setting)
    want = of(layers[name] for name in NAMES)
    name = next((name for name in LOOKED_AT if got[name] != want[name]), None)
    if name is None:
        return
    expected, shown = f"{name} {want[name]}", f"{name} {got[name]}"
    recognise(got, wrong_results(setting), idea=IDEA, expected=expected, shown=shown)
    for order in permutations(NAMES):
        if got == of(layers[one] for one in order):
            low, high = turned(order)
            pair = {"low": KOREAN[low], "high": KOREAN[high]}
            fail(idea=IDEA, expected=expected, got=shown, symptom="other-order", **pair)
    fail("값이 앞서는 순서대로 정해지지 않았습니다.", idea=IDEA, expected=expected, got=shown)


def turned(order: tuple[str, ...]) -> tuple[str, str]:
    """차례가 뒤집힌 두 층: (앞서면 안 되는데 앞선 것, 덮인 것)."""
    for index, low in enumerate(NAMES):
        for high in NAMES[index + 1 :]:
            if order.index(low) > order.index(high):
                return low, high
    raise AssertionError(order)


@todo("1-3")
@pytest.mark.parametrize("kind", ["이름 → 값", "한 번만 훑을 수 있는 것"])
def test_overrides_of_every_promised_kind_are_read(loading, setting, kind):
    """overrides는 딕셔너리(이름 → 값)일 수도, 말들을 하나씩 내는 것(Iterable)일 수도 있습니다."""
    pairs = {"training.num_train_epochs": 19, "generation.num_beams": 9}
    words = [f"{name}={value}" for name, value in pairs.items()]
    if not sound(lambda: looked_at(loading(setting, list(words), environment={})) == typed(setting, pairs)):
        return  # 목록일 때 틀린 것은 앞의 검사가 말합니다.
    given = dict(pairs) if kind == "이름 → 값" else iter(words)
    names_only = f"모양이 아닙니다: {next(iter(pairs))}\\."
    known = when(names_only, "names-only", idea="딕셔너리", expected="이름 → 값", got="이름뿐인 말들")
    with explained(known):
        config = require_config(loading(setting, given, environment={}))
    got, want = looked_at(config), typed(setting, pairs)
    if got == want:
        return
    name = next(name for name in LOOKED_AT if got[name] != want[name])
    expected, shown = f"{name} {want[name]}", f"{name} {got[name]}"
    left = [dict(list(pairs.items())[seen:]) for seen in range(1, len(pairs) + 1)]  # 앞의 말들은 이미 꺼냈습니다.
    is_used = kind != "이름 → 값" and got in [typed(setting, one) for one in left]
    symptom = "used-up" if is_used else None
    message = "" if symptom else "명령줄에 적은 것이 설정과 다릅니다."
    fail(message, idea="Iterable", expected=expected, got=shown, symptom=symptom)


def typed(path: Path, pairs: dict[str, Any]) -> Tree:
    """파일 위에 이것들만 적었을 때의 값들."""
    return of([layers_of(path)["file"], command_line_layer(pairs)])


@todo("1-3")
def test_text_becomes_the_kind_of_its_field(loading, setting):
    """환경 변수와 명령줄의 글은 필드의 종류가 됩니다."""
    config = require_config(loading(setting, ["generation.early_stopping=false"], None, ENVIRONMENT))
    for name, kind in {"training.learning_rate": float, "training.num_train_epochs": int}.items():
        message = f"{name}의 종류가 다릅니다."
        assert_equal(type(config[name]), kind, idea="글과 수", message=message)
    assert_equal(config.generation.early_stopping, False, idea="글과 수", message="'false'가 False가 되지 않았습니다.")


@todo("1-3")
def test_nothing_given_is_what_the_file_says(loading, setting):
    """환경 변수도, 명령줄도, 시도도 없으면 파일과 기본값입니다."""
    config = require_config(loading(setting.stem, environment={}))  # 경로가 아니라 이름으로 부릅니다.
    want = of([layers_of(setting)["file"]])
    got = looked_at(config)
    name = next((name for name in LOOKED_AT if got[name] != want[name]), LOOKED_AT[0])
    if got == of([layers_of(setting)["file"], environment_layer(SHELL)]):
        fail(idea=IDEA, expected=f"{name} {want[name]}", got=f"{name} {got[name]}", symptom="own-environment")
    message = "파일만 있을 때의 값이 다릅니다."
    assert_equal(f"{name} {got[name]}", f"{name} {want[name]}", idea=IDEA, message=message)


@todo("1-3")
def test_the_shell_is_read_when_no_environment_is_given(loading, setting):
    """environment를 건네지 않으면 셸의 환경 변수를 읽습니다."""
    full = of(layers_of(setting)[name] for name in NAMES)
    if not sound(lambda: looked_at(loading(setting, list(OVERRIDES), TRIAL, ENVIRONMENT)) == full):
        return  # 앞의 검사가 말합니다.
    config = require_config(loading(setting))
    if config.training.num_train_epochs == 13 and config.training.per_device_train_batch_size == 21:
        fail(idea=IDEA, expected="num_train_epochs 29", got="num_train_epochs 13", symptom="shell-unread")
    assert_equal(config.training.num_train_epochs, 29, idea=IDEA, message="셸의 환경 변수가 쓰이지 않았습니다.")


@todo("1-3")
def test_every_value_keeps_where_it_came_from(loading, setting):
    """값마다 온 곳이 남고, 나머지 항목도 다 갖춘 설정입니다."""
    config = require_config(loading(setting, OVERRIDES, TRIAL, ENVIRONMENT))
    sources = config.sources()
    want = {
        "training.label_smoothing": "시도",
        "generation.max_length": "mine.yaml",
        "generation.min_length": "parent.yaml",
        "training.max_grad_norm": "parent.yaml",
        "training.save_total_limit": "기본값",
    }
    named = "training.label_smoothing"
    if config[named] == TRIAL["label_smoothing"] and sources[named] == "명령줄":
        fail(idea="값이 온 곳", expected=f"{named} 시도", got=f"{named} 명령줄", symptom="trial-as-command-line")
    for name, source in want.items():
        if config[name] in (0.17, 71, 7, 0.83, 3) and source not in sources[name]:
            fail(
                "값이 온 곳이 다릅니다.", idea="값이 온 곳", expected=f"{name} {source}", got=f"{name} {sources[name]}"
            )
    if not config.wandb.enabled and config == config_of(layered(*layers_of(setting).values())):
        fail(idea="설정", expected="wandb.enabled True", got="wandb.enabled False", symptom="rules-skipped")
    message = "wandb.mode만 적으면 enabled도 그것을 따라야 합니다."
    assert_equal(config.wandb.enabled, True, idea="설정", message=message)
