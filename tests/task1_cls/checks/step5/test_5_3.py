"""5-3의 검사: 옵션에서 설정으로."""

from __future__ import annotations

import traceback
from contextlib import suppress
from typing import Any

import pytest

from course.checks.words import fail, matches, show, todo
from nlpbook.classification.config import ClassificationConfig
from nlpbook.errors import UserError
from nlpbook.hardware import accelerator_of
from nlpbook.settings import DEFAULT, UnknownSetting, WrongValue

PATHS = {"job_name": "env.job_name", "seq_len": "model.seq_len", "device": "hardware.accelerator"}
CASES = [  # 적은 것들. 어느 값도 기본값이 아닙니다.
    {"job_name": "봄날", "seq_len": 37, "device": "cpu"},
    {"job_name": None, "seq_len": 53, "device": "gpu"},
    {"job_name": "가을", "seq_len": None, "device": "mps"},
    {"job_name": None, "seq_len": None, "device": "auto"},
    {"job_name": "ko-bert-tiny", "seq_len": 300, "device": "cuda"},  # 길이의 기본값(128)보다 큰 길이
]


def fields_of(config: Any) -> dict[str, Any]:
    """점으로 이은 이름 → 값."""
    return {f"{group}.{name}": value for group, held in config.to_dict().items() for name, value in held.items()}


def config_for(step: Any, options: dict[str, Any]) -> Any:
    """학생의 `predict_config`를 부릅니다. 알아본 예외는 무엇이 틀렸는지로 바꿉니다."""
    try:
        config = step.predict_config(**options)
    except UnknownSetting as error:
        name_unknown(error)
        raise
    except WrongValue as error:
        if error.value is None:
            fail(idea="없는 값", expected="기본값", got="None을 옮기려 함", symptom="none-moved")
        moved = [name for name, value in options.items() if value == error.value]
        if moved:
            shown = {"expected": PATHS[moved[0]], "got": str(error).split(" 값이")[0], "name": moved[0]}
            fail(idea="묶음과 필드", symptom="other-field", **shown)
        raise
    except UserError as error:
        if any(frame.name == accelerator_of.__name__ for frame in traceback.extract_tb(error.__traceback__)):
            shown = {"expected": f"{PATHS['device']}={options['device']!r}", "got": "이 기계에 없는 장치라는 오류"}
            fail(idea="설정의 흐름", symptom="device-resolved", device=options["device"], **shown)
        raise
    except AttributeError as error:
        if error.name in PATHS and isinstance(error.obj, dict):
            fail(idea="설정", expected="ClassificationConfig", got="dict", symptom="not-settings")
        raise
    if isinstance(config, type):
        fail(idea="객체", expected="ClassificationConfig()", got=f"클래스 {config.__name__}", symptom="class-itself")
    if not isinstance(config, ClassificationConfig):
        got = type(config).__name__
        fail(idea="설정", expected="ClassificationConfig", got=got, symptom="not-settings")
    return config


def name_unknown(error: UnknownSetting) -> None:
    """설정에 없는 이름을 적었을 때의 증상."""
    shown = {"got": f"{error.owner.__name__}의 {error.name}", "name": error.name}
    if error.owner is ClassificationConfig or issubclass(error.owner, ClassificationConfig):
        group = PATHS.get(error.name, "묶음").split(".")[0]
        fail(idea="묶음", expected=f"{group} 묶음의 필드", symptom="no-group", **shown)
    if error.name == "device":
        fail(idea="묶음과 필드", expected=PATHS["device"], symptom="option-name", **shown)
    if error.name in PATHS:
        fail(idea="묶음과 필드", expected=PATHS[error.name], symptom="other-group", **shown)


@todo("5-3")
@pytest.mark.parametrize("options", CASES, ids=["all", "no-name", "no-length", "none", "long"])
def test_what_was_given_is_in_its_place(step, options):
    """적은 값은 제자리에 있고, 적지 않은 것과 나머지는 모두 기본값입니다."""
    got = fields_of(config_for(step, options))
    default = fields_of(ClassificationConfig())
    for name, value in options.items():
        want = default[PATHS[name]] if value is None else value
        if got[PATHS[name]] != want:
            if value in (None, "auto") and follows_the_last(step, options, name):
                fail(idea="설정의 흐름", expected="기본값", got=f"앞에 적은 {name}", symptom="shared")
            name_value(got, default, name, value, options)
    check_left_alone(step, options)
    others = [path for path in default if path not in PATHS.values()]
    changed = {path: got[path] for path in others if got[path] != default[path]}
    for path, value in changed.items():
        shown = {"expected": f"{path}={default[path]!r}", "got": f"{path}={value!r}", "path": path}
        fail(idea="기본값", symptom="own-default", **shown)


def check_left_alone(step: Any, options: dict[str, Any]) -> None:
    """적지 않은 길이는 기본값과 같은 값이라도 담지 않습니다. 담으면 학습할 때의 길이를 덮어씁니다."""
    path = PATHS["seq_len"]
    if options["seq_len"] is None and config_for(step, options).sources()[path] != DEFAULT:
        shown = {"expected": "손대지 않음", "got": f"{path}에 값을 담음", "path": path}
        fail(idea="없는 값", symptom="default-written", **shown)


def name_value(got: dict[str, Any], default: dict[str, Any], name: str, value: Any, options: dict[str, Any]) -> None:
    """옵션 하나의 값이 제자리에 없을 때의 증상."""
    path = PATHS[name]
    here = got[path]
    want = default[path] if value is None else value
    shown = {"expected": f"{path}={want!r}", "got": f"{path}={here!r}", "name": name}
    others = [other for other, held in options.items() if other != name and held is not None and held == here]
    if others:
        fail(idea="묶음과 필드", symptom="other-option", other=others[0], **shown)
    if value in (None, "auto"):
        fail(idea="없는 값", symptom="own-default", path=path, **shown)
    if name == "device" and here == chosen_here(value):
        fail(idea="설정의 흐름", symptom="device-resolved", device=value, **shown)
    version = got["env.job_version"]
    if name == "job_name" and version and value in [f"{here}{mark}{version}" for mark in "-_"]:
        fail(idea="묶음과 필드", symptom="name-split", **{**shown, "got": here}, version=version)
    elsewhere = [one for one in default if got[one] == value and default[one] != value]
    if elsewhere:
        fail(idea="묶음과 필드", symptom="other-field", **{**shown, "got": elsewhere[0]})
    if isinstance(value, int) and matches(here, min(value, default[path]), 0):
        fail(idea="옵션에서 설정으로", symptom="capped", limit=default[path], **shown)
    if here == default[path]:
        fail(idea="옵션에서 설정으로", symptom="not-moved", **shown)
    fail("설정의 값이 적은 것과 다릅니다.", idea="옵션에서 설정으로", **{**shown, "got": show(here)})


def chosen_here(device: str) -> str | None:
    """이 기계에서 그 이름이 뜻하는 장치. 없으면 None입니다."""
    with suppress(UserError):
        return accelerator_of(device)
    return None


def follows_the_last(step: Any, options: dict[str, Any], name: str) -> bool:
    """적지 않은 옵션의 값이, 바로 앞의 부름에서 적은 것을 따라 바뀌는가."""
    written = [one[name] for one in CASES if one[name] not in (None, "auto")][:2]
    left = []
    for value in written:
        config_for(step, {**options, name: value})
        left.append(config_for(step, options)[PATHS[name]])
    return left == written


@todo("5-3")
def test_an_unknown_device_is_refused_by_the_settings(step):
    """설정이 모르는 장치의 오류는 부른 쪽으로 나갑니다. 말없이 다른 장치가 되지 않습니다."""
    try:
        config = step.predict_config(None, None, "gppu")
    except WrongValue:
        return
    path = PATHS["device"]
    got = f"{path}={fields_of(config)[path]!r}" if isinstance(config, ClassificationConfig) else "오류 없음"
    if config_for(step, CASES[0]).hardware.accelerator == CASES[0]["device"]:
        fail(idea="옵션에서 설정으로", expected="WrongValue", got=got, symptom="unknown-device")


@todo("5-3")
def test_an_empty_name_was_given(step):
    """빈 이름도 적은 것입니다. 옮겨야 뒤의 코드가 빈 이름이라고 알립니다."""
    path = PATHS["job_name"]
    named = config_for(step, CASES[0])
    try:
        got = config_for(step, {"job_name": "", "seq_len": None, "device": "auto"}).env.job_name
    except UserError:
        return  # 스스로 거절한 것도 알린 것입니다.
    if named.env.job_name != CASES[0]["job_name"] or got == "":
        return
    symptom = "empty-name" if got is None else None
    shown = {"expected": f"{path}=''", "got": f"{path}={got!r}"}
    fail("빈 이름을 건넸을 때의 값이 다릅니다.", idea="없는 값", symptom=symptom, **shown)


@todo("5-3")
def test_each_call_makes_settings_of_its_own(step):
    """부를 때마다 새 설정을 만듭니다. 앞에 적은 것이 남지 않습니다."""
    first = config_for(step, CASES[0])
    second = config_for(step, CASES[3])
    if first is second:
        fail(idea="설정의 흐름", expected="새 설정", got="앞에서 만든 설정", symptom="shared")
    left = [name for name in PATHS if follows_the_last(step, CASES[3], name)]
    if left:
        fail(idea="설정의 흐름", expected="기본값", got=f"앞에 적은 {', '.join(left)}", symptom="shared")
