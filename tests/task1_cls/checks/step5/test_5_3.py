"""5-3의 검사: 옵션에서 설정으로."""

from __future__ import annotations

import traceback
from dataclasses import Field, fields
from typing import Any, get_type_hints

import pytest

from course.checks.words import fail, todo
from nlpbook.classification.config import ClassificationConfig, TrainConfig
from nlpbook.cli import Options
from nlpbook.settings import UnknownSetting, WrongValue, default_of
from tests.task1_cls.checks.step5.common import KINDS, options_of

RENAMED = {  # 옵션 이름과 필드 이름이 다른 것들. 명령줄의 약속이므로 여기 따로 적어 둡니다.
    "train": {"data_home": ("data", "home", "/corpora"), "data_name": ("data", "name", "nsmc")},
    "test": {"data_name": ("data", "name", "nsmc")},
    "serve": {
        "server_host": ("server", "host", "0.0.0.0"),
        "server_port": ("server", "port", 8080),
        "server_page": ("server", "page", "other.html"),
        "server_threads": ("server", "threads", 9),
    },
}
BIG_MODEL = "beomi/KcELECTRA-base"


def distinct_values(kind: type) -> dict[tuple[str, str], tuple[str, Any]]:
    """(묶음, 필드) → (옵션 이름, 값). 값은 모두 기본값과 다르고, 서로도 (참·거짓과 고르는 것 말고는) 다릅니다."""
    made: dict[tuple[str, str], tuple[str, Any]] = {}
    for group, group_kind in kind.groups().items():
        hints = get_type_hints(group_kind)
        for one in fields(group_kind):
            default, count = default_of(one), len(made)
            if one.metadata["choices"]:
                value: Any = next(choice for choice in one.metadata["choices"] if choice != default)
            elif isinstance(default, bool):
                value = not default
            elif "str" in str(hints[one.name]):
                value = f"{one.name}-{count}"
            else:
                value = 1000 + count if "int" in str(hints[one.name]) else 0.25 + count / 1000
            made[group, one.name] = (one.metadata["option"] or one.name, value)
    return made


def arguments(step: Any, kind: type, options: dict[str, Any]) -> Any:
    """학생의 함수로 만든 설정. 알아본 예외는 무엇이 틀렸는지로 바꾸고, 모르는 예외는 그대로 둡니다."""
    try:
        config = step.arguments_from(kind, options)
    except KeyError as error:
        name = error.args[0] if error.args else None
        known = isinstance(name, str) and name in kind.options() and name in options
        if known and (other := other_kind_moved(step, kind)):
            more = {"expected": kind.__name__, "got": other.__name__, "symptom": "fixed-kind"}
            fail(idea="설정 클래스", **more)
        _explain_key(name, kind, options)
        raise
    except UnknownSetting as error:
        _explain_unknown(error, kind)
        raise
    except WrongValue as error:
        if error.value is None:
            none_default()
        raise
    except UnboundLocalError:
        if not options and values_arrive(step, kind):
            more = {"expected": "모두 기본값인 설정", "got": "config가 없음", "symptom": "inside-loop"}
            fail(idea="기본값", **more)
        raise
    except TypeError as error:
        _explain_type(str(error), kind, options)
        raise
    except AttributeError as error:
        if "has no attribute 'given'" in str(error):
            only_given()
        if "'dict' object" in str(error):
            not_built("dict")
        raise
    if not isinstance(config, kind):
        symptom = "fixed-kind" if isinstance(config, ClassificationConfig) else "not-built"
        more = {"expected": kind.__name__, "got": type(config).__name__, "symptom": symptom}
        fail(idea="설정 클래스", **more)
    for group, group_kind in kind.groups().items():
        got = type(getattr(config, group, None))
        if got is dict:
            not_built("dict")
        if not issubclass(got, group_kind):
            fail(
                f"{group} 묶음의 종류가 다릅니다.", idea="묶음의 클래스", expected=group_kind.__name__, got=got.__name__
            )
    return config


def values_arrive(step: Any, kind: type, options: type = dict) -> bool:
    """이 설정 클래스의 옵션은 모두 제자리로 가는가."""
    values = distinct_values(kind)
    flat = dict(values.values())
    try:
        config = step.arguments_from(kind, Options.of(**flat) if options is Options else flat)
        return all(getattr(getattr(config, group), field) == value for (group, field), (_, value) in values.items())
    except Exception:  # noqa: BLE001  무엇으로 멈추든 가지 않은 것입니다.
        return False


def other_kind_moved(step: Any, kind: type) -> type | None:
    """이 설정 클래스에서는 멈췄지만, 옵션이 제자리로 가는 다른 설정 클래스."""
    return next((one for one in KINDS.values() if one is not kind and values_arrive(step, one)), None)


def only_given() -> None:
    more = {"expected": "options에 든 것 모두", "got": "options.given에 적힌 것만", "symptom": "given-only"}
    fail(idea="options", **more)


def not_built(got: str) -> None:
    more = {"expected": "LearningConfig 등", "got": got, "symptom": "not-built"}
    fail(idea="묶음의 클래스", **more)


def _explain_key(name: Any, kind: type, options: dict[str, Any]) -> None:
    """KeyError에서 알아볼 수 있는 실수."""
    if isinstance(name, Field):
        more = {"expected": "묶음의 이름", "got": "필드", "symptom": "unpacked-backwards"}
        fail(idea="kind.options()", **more)
    if name in kind.options() and name not in options:
        more = {"expected": "기본값", "got": f"KeyError: {name}", "symptom": "needs-all", "name": name}
        fail(idea="기본값", **more)
    if name in kind.groups() or name in kind.options():
        more = {"expected": ", ".join(kind.groups()), "got": f"KeyError: {name}", "symptom": "no-group", "name": name}
        fail(idea="묶음", **more)


def _explain_type(message: str, kind: type, options: dict[str, Any]) -> None:
    """TypeError에서 알아볼 수 있는 실수."""
    renamed = [name for name, (_, one) in kind.options().items() if name != one.name]
    name = next((name for name in renamed if f"'{name}'" in message), None)
    if name and not message.startswith(tuple(one.__name__ for one in KINDS.values())):
        fail_with_option_name(kind, name, got="TypeError")
    if "NoneType" in message and "pretrained" not in options:
        none_default()


def none_default() -> None:
    more = {"expected": "기본값", "got": "None", "symptom": "none-default"}
    fail(idea="기본값", **more)


def _explain_unknown(error: UnknownSetting, kind: type) -> None:
    """설정이 모르는 이름에서 알아볼 수 있는 실수."""
    name, owner = error.name, error.owner
    if owner in KINDS.values() and owner is not kind:
        more = {"expected": kind.__name__, "got": owner.__name__, "symptom": "fixed-kind"}
        fail(idea="설정 클래스", **more)
    if name not in kind.options():
        return
    group, one = kind.options()[name]
    if owner is kind and traceback.extract_tb(error.__traceback__)[-1].name == "__setattr__":
        more = {"expected": "묶음 속의 필드", "got": f"config.{name}", "symptom": "on-top"}
        fail(idea="옵션과 필드", **more)
    if owner is kind:
        more = {"expected": "묶음들", "got": f"{owner.__name__}({name}=…)", "symptom": "flat"}
        fail(idea="묶음", **more)
    if owner is kind.groups()[group] and name != one.name:
        fail_with_option_name(kind, name, got=f"config.{group}.{name}")
    if owner in kind.groups().values():
        more = {"expected": f"{group} 묶음의 {one.name}", "got": f"{owner.__name__}({name}=…)"}
        more |= {"symptom": "shared-dict", "name": name, "group": group}
        fail("한 묶음에 다른 묶음의 값이 섞였습니다.", idea="묶음", **more)


def fail_with_option_name(kind: type, name: str, got: str) -> None:
    group, one = kind.options()[name]
    more = {"option": name, "group": group, "field": one.name, "symptom": "option-name"}
    fail(idea="옵션과 필드", expected=f"config.{group}.{one.name}", got=got, **more)


def assert_fields(config: Any, want: dict[tuple[str, str], Any], message: str, idea: str, **more: Any) -> None:
    """필드들의 값. 어긋난 것 하나를 보여 줍니다."""
    for (group, field), value in want.items():
        got = getattr(getattr(config, group), field)
        if got != value or type(got) is not type(value):
            where = f"config.{group}.{field}"
            fail(message, idea=idea, expected=f"{where} = {value!r}", got=f"{where} = {got!r}", **more)


def name_moves(step: Any, config: Any, kind: type, values: dict[tuple[str, str], tuple[str, Any]]) -> None:
    """옵션들이 제자리에 없을 때, 무엇을 잘못했는지 알아봅니다."""
    got = {key: getattr(getattr(config, key[0]), key[1]) for key in values}
    wrong = [key for key, (_, value) in values.items() if got[key] != value or type(got[key]) is not type(value)]
    shown = {"idea": "옵션과 필드", "expected": f"옵션 {len(values)}개", "got": f"{len(values) - len(wrong)}개"}
    if not wrong:
        return
    if wrong == list(values) and values_arrive(step, kind, Options):
        only_given()
    if wrong == list(values):
        fail(symptom="nothing-moved", **shown)
    if wrong == list(values)[:-1]:
        fail(symptom="only-last", **shown)
    prefixed = [key for key, (name, _) in values.items() if name == "_".join(key)]  # data_name처럼 묶음이 앞에 붙은 것
    if prefixed and wrong == [key for key in values if key not in prefixed]:
        found = {"got": f"{len(prefixed)}개", "moved": values[prefixed[0]][0], "left": values[wrong[0]][0]}
        fail(symptom="by-prefix", **{**shown, **found})
    if prefixed and wrong == prefixed:
        group = wrong[0][0]
        name = values[wrong[0]][0]
        holder = getattr(config, group)
        fail_with_option_name(kind, name, f"config.{group}.{name}" if hasattr(holder, name) else "옮기지 않음")


def default_fields(kind: type) -> dict[tuple[str, str], Any]:
    """모든 필드의 기본값. 학습률은 내장 모델의 것입니다."""
    made = {(group, one.name): default_of(one) for group, cls in kind.groups().items() for one in fields(cls)}
    return {key: 5e-4 if key == ("learning", "learning_rate") else value for key, value in made.items()}


@todo("5-3")
@pytest.mark.parametrize("name", list(KINDS))
def test_renamed_options_reach_their_fields(step, name):
    """data_name은 data 묶음의 name으로, server_port는 server 묶음의 port로 갑니다."""
    kind = KINDS[name]
    values = distinct_values(kind)
    name_moves(step, arguments(step, kind, dict(values.values())), kind, values)
    config = arguments(step, kind, {**options_of(kind), **{option: row[2] for option, row in RENAMED[name].items()}})
    for option, (group, field, value) in RENAMED[name].items():
        holder = getattr(config, group)
        if getattr(holder, field) != value and hasattr(holder, option):
            fail_with_option_name(kind, option, got=f"config.{group}.{option}")
        assert_fields(config, {(group, field): value}, f"{option}의 값이 제자리에 없습니다.", "옵션과 필드")


@todo("5-3")
@pytest.mark.parametrize("name", list(KINDS))
def test_every_option_lands_in_its_own_field(step, name):
    """세 설정 클래스의 모든 옵션이 제 묶음의 제 필드로 갑니다."""
    values = distinct_values(KINDS[name])
    config = arguments(step, KINDS[name], dict(values.values()))
    want = {key: value for key, (_, value) in values.items()}
    assert_fields(config, want, "옵션의 값이 제자리에 없습니다.", "옵션과 필드")


@todo("5-3")
@pytest.mark.parametrize("name", list(KINDS))
def test_missing_options_take_their_defaults(step, name):
    """빠진 옵션은 기본값이 됩니다. 앞서 만든 설정의 값이 남지도 않습니다."""
    kind = KINDS[name]
    arguments(step, kind, dict(distinct_values(kind).values()))
    message = "빠진 옵션이 기본값이 아닙니다."
    assert_fields(arguments(step, kind, {}), default_fields(kind), message, "기본값")
    some = arguments(step, kind, {"seq_len": 64, "project": "other"})
    want = {**default_fields(kind), ("model", "seq_len"): 64, ("env", "project"): "other"}
    assert_fields(some, want, message, "기본값")


@todo("5-3")
def test_zero_and_false_are_values_too(step):
    """0과 False와 빈 글도 사람이 고른 값입니다."""
    chosen = {"weight_decay": 0.0, "max_grad_norm": 0.0, "warmup_rate": 0.0, "print_every": 0.0, "seed": 0}
    chosen["tag_format_on_training"] = ""
    config = arguments(step, TrainConfig, {**options_of(TrainConfig), **chosen})
    other = arguments(step, TrainConfig, {**options_of(TrainConfig), "weight_decay": 0.5, "seed": 3})
    moved = (other.learning.weight_decay, other.learning.seed) == (0.5, 3)  # 0이 아닌 값은 옮겨지는가
    for name, value in chosen.items():
        group, one = TrainConfig.options()[name]
        got = getattr(getattr(config, group), one.name)
        symptom = "drops-falsy" if moved and got == default_of(one) else None
        message = f"{name}에 준 {value!r}이(가) 사라졌습니다."
        more = {"symptom": symptom, "option": name, "value": repr(value)}
        assert_fields(config, {(group, one.name): value}, message, "거짓인 값과 없는 값", **more)


@todo("5-3")
@pytest.mark.parametrize(
    ("options", "want"),
    [
        ({}, 5e-4),
        ({"pretrained": BIG_MODEL}, 5e-5),
        ({"pretrained": BIG_MODEL, "learning_rate": 2e-5}, 2e-5),
        ({"learning_rate": 1e-3}, 1e-3),
    ],
    ids=["embedded", "big", "big-chosen", "embedded-chosen"],
)
@pytest.mark.parametrize("full", [True, False], ids=["all-options", "only-given"])
def test_learning_rate_default_follows_the_model(step, options, want, full):
    """학습률을 비우면 내장 모델은 5e-4, 다른 모델은 5e-5입니다."""
    given = {**options_of(TrainConfig), **options} if full else options
    config = arguments(step, TrainConfig, dict(given))
    got = config.learning.learning_rate
    if got == want:
        return
    big = config.model.pretrained == BIG_MODEL  # 모델의 이름은 옮겨졌는데 학습률만 앞서 정해졌는가
    late = "learning_rate" not in options and (got is None or (big and got == 5e-4))
    symptom = "late-default" if late else None
    model = options.get("pretrained", "내장 모델")
    fail(f"{model}의 학습률이 다릅니다.", idea="__post_init__", expected=want, got=got, symptom=symptom, model=model)


@todo("5-3")
@pytest.mark.parametrize("name", list(KINDS))
def test_options_are_left_as_they_were(step, name):
    """받은 옵션을 바꾸지 않습니다. load_trained가 뒤에서 다시 읽습니다."""
    options = options_of(KINDS[name])
    before = dict(options)
    arguments(step, KINDS[name], options)
    if options != before:
        lost = sorted(set(before) - set(options))
        more = {"expected": f"옵션 {len(before)}개", "got": f"{len(options)}개 남음" if lost else "값이 바뀜"}
        fail("받은 options를 바꾸었습니다.", idea="부작용", symptom="consumed" if lost else None, **more)
