"""1-1의 검사: 딕셔너리 위에 딕셔너리를 얹기."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from course.checks.recognising import Wrong, explained, recognise, sound
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_equal, fail, todo
from tests.task2_summarization.checks.step1.common import Tree, layered, require_dict, shallow

IDEA = "딕셔너리 포개기"
# 세 겹입니다. 한쪽에만 있는 이름, 거짓으로 읽히는 값(0, False, None, 빈 목록), 딕셔너리와 값이 만나는 곳이 있습니다.
BASE = {
    "seed": 37,
    "note": "바탕",
    "tags": ["바탕", "셋"],
    "extra": ["남습니다"],
    "limit": 53,
    "training": {
        "epochs": 11,
        "fp16": True,
        "warmup": {"steps": 230, "shape": "linear"},
        "optimizer": {"name": "adamw"},
        "patience": 7,
    },
    "generation": {"num_beams": 6, "bad_words": ["음"]},
}
OVER = {
    "note": "얹은 것",
    "tags": ["넷"],
    "extra": [],
    "limit": None,
    "model": {"architecture": "t5", "size": {"layers": 13}},
    "training": {
        "epochs": 19,
        "fp16": False,
        "warmup": {"steps": 0, "hold": 41},
        "optimizer": "sgd",
        "patience": {"epochs": 3},
    },
    "generation": {},
}
SMALL = (
    {"training": {"epochs": 23, "fp16": True}, "seed": 29, "note": "바탕에만"},
    {"training": {"epochs": 31, "patience": 43}, "seed": 47, "name": "작은 것"},
)
EMPTY_ENDS = [(BASE, {}), ({}, OVER)]


def pairwise(choose: Callable[[Any, Any], Any], base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """두 딕셔너리에 함께 있는 값을 `choose`가 고르게 하여 안까지 포갠 것."""
    made = dict(base)
    for name, value in over.items():
        both = isinstance(made.get(name), Mapping) and isinstance(value, Mapping)
        if both:
            made[name] = pairwise(choose, made[name], value)
        else:
            made[name] = choose(made[name], value) if name in made else value
    return made


def inside_kept(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """사전이 아닌 값만 얹고, 사전끼리 만난 곳은 바탕의 것 그대로인 것."""
    both = {name for name, value in over.items() if isinstance(value, Mapping) and isinstance(base.get(name), Mapping)}
    return {**base, **{name: value for name, value in over.items() if name not in both}}


def turned_inside(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """한 겹 들어갈 때마다 두 사전의 자리가 뒤바뀐 것. 맨 위에서는 얹은 것이 앞섭니다."""
    made = dict(base)
    for name, value in over.items():
        both = isinstance(made.get(name), Mapping) and isinstance(value, Mapping)
        made[name] = turned_inside(value, made[name]) if both else value
    return made


def without_none(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """얹은 값이 None인 이름을 지운 것."""
    made = layered(base, over)
    for name, value in over.items():
        if value is None:
            del made[name]
        elif isinstance(value, Mapping) and isinstance(base.get(name), Mapping):
            made[name] = without_none(base[name], value)
    return made


def crosswise(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """바탕이 앞서게 얹되, 한 겹 들어갈 때마다 두 딕셔너리가 자리를 바꾼 것."""
    made = dict(over)
    for name, value in base.items():
        both = isinstance(made.get(name), Mapping) and isinstance(value, Mapping)
        made[name] = crosswise(made[name], value) if both else value
    return made


def one_level(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """딕셔너리 안의 딕셔너리까지만 포갠 것."""
    return {
        name: {**base[name], **over[name]}
        if isinstance(base.get(name), Mapping) and isinstance(over.get(name), Mapping)
        else over.get(name, base.get(name))
        for name in {**base, **over}
    }


def known_only(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """`base`에 있는 이름만 남은 것."""
    made = layered(base, over)
    return {
        name: known_only(base[name], over[name])
        if isinstance(base[name], Mapping) and isinstance(over.get(name), Mapping)
        else made[name]
        for name in base
    }


def joined(before: Any, value: Any) -> Any:
    return before + value if isinstance(before, list) and isinstance(value, list) else value


def same_kind(before: Any, value: Any) -> Any:
    """바탕의 값과 딕셔너리가 만나면 바탕의 것."""
    return before if isinstance(value, Mapping) and not isinstance(before, Mapping) else value


def empty_replaced(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """얹은 것이 빈 딕셔너리면 통째로 바꾼 것."""
    made = layered(base, over)
    for name, value in over.items():
        if value == {}:
            made[name] = {}
        elif isinstance(value, Mapping) and isinstance(base.get(name), Mapping):
            made[name] = empty_replaced(base[name], value)
    return made


def agreeing(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """`over`에서 사전과 사전이 아닌 값이 만나는 이름을 뺀 것."""
    kept: Tree = {}
    for name, value in over.items():
        before = base.get(name, value)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            kept[name] = agreeing(before, value)
        elif not isinstance(before, Mapping) and not isinstance(value, Mapping):
            kept[name] = value
    return kept


def wrong_results(base: Tree, over: Tree) -> Wrong:
    return [
        ("shallow", shallow(base, over)),
        ("not-stored", inside_kept(base, over)),
        ("turned-inside", turned_inside(base, over)),
        ("kinds-kept", pairwise(same_kind, base, over)),
        ("empty-replaced", empty_replaced(base, over)),
        ("base-wins", layered(over, base)),
        ("base-wins", pairwise(lambda before, value: before, base, over)),
        ("base-wins", crosswise(base, over)),
        ("base-wins", shallow(over, base)),
        ("one-level", one_level(base, over)),
        ("falsy-lost", pairwise(lambda before, value: value or before, base, over)),
        ("none-lost", pairwise(lambda before, value: before if value is None else value, base, over)),
        ("none-removed", without_none(base, over)),
        ("lists-joined", pairwise(joined, base, over)),
        ("lists-joined", pairwise(lambda before, value: joined(value, before), base, over)),
        ("known-only", known_only(base, over)),
        ("nothing-laid", dict(base)),
        ("over-alone", dict(over)),
    ]


@pytest.fixture
def attempt(step1):
    """두 딕셔너리의 사본으로 부르고, (결과, 부른 뒤의 두 딕셔너리)을 돌려줍니다."""

    def call(base: Tree, over: Tree) -> tuple[Any, Tree, Tree]:
        mine, other = copy.deepcopy(base), copy.deepcopy(over)
        with explained(lambda error: blame_kinds(step1.merged, base, over, error)):
            return step1.merged(mine, other), mine, other

    return call


def blame_kinds(merged: Callable[[Tree, Tree], Any], base: Tree, over: Tree, error: Exception) -> None:
    """사전과 값이 만나는 곳을 빼면 멈추지 않는다면, 그것이 까닭입니다."""
    less = agreeing(base, over)
    if less != over and sound(lambda: merged(copy.deepcopy(base), copy.deepcopy(less)) == layered(base, less)):
        got = f"{type(error).__name__}: {error}"
        fail(idea=IDEA, expected="얹은 값으로 바뀜", got=got, symptom="kinds-meet")


@todo("1-1")
@pytest.mark.parametrize(("base", "over"), [SMALL, (BASE, OVER)], ids=["작은 것", "큰 것"])
def test_over_is_laid_upon_base_to_the_bottom(attempt, base, over):
    """얹은 값이 앞서고, 딕셔너리끼리는 안까지 포개며, 나머지는 남습니다."""
    got, *_ = attempt(base, over)
    require_dict(got, "both", IDEA)
    want = layered(base, over)
    if got != want:
        recognise(got, wrong_results(base, over), idea=IDEA, expected=at(want, got, want), shown=at(got, got, want))
    got, want = at(got, got, want), at(want, got, want)
    assert_equal(got, want, idea=IDEA, message="얹은 결과가 다릅니다.")


def at(tree: Tree, one: Any, other: Any) -> str:
    """두 딕셔너리가 처음으로 다른 곳에서 `tree`에 있는 것. 예: `training.fp16 = True`."""
    path = difference(one, other)
    value: Any = tree
    for name in path:
        value = value.get(name, "없음") if isinstance(value, Mapping) else "없음"
    shown = "딕셔너리" if isinstance(value, Mapping) else repr(value)
    return f"{'.'.join(path)} = {shown}" if path else "같음"


def difference(one: Any, other: Any) -> tuple[str, ...]:
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return ()
    for name in {**other, **one}:
        if name not in one or name not in other or one[name] != other[name]:
            return (name, *difference(one.get(name), other.get(name)))
    return ()


@todo("1-1")
@pytest.mark.parametrize(("base", "over"), EMPTY_ENDS, ids=["얹을 것이 없음", "바탕이 없음"])
def test_an_empty_side_leaves_the_other(attempt, base, over):
    """한쪽이 비어 있으면 다른 쪽의 것이 그대로 나옵니다."""
    got, *_ = attempt(base, over)
    require_dict(got, "both", IDEA)
    want = layered(base, over)
    message = "한쪽이 빈 딕셔너리일 때의 결과가 다릅니다."
    assert_equal(at(got, got, want), at(want, got, want), idea=IDEA, message=message)


@todo("1-1")
@pytest.mark.parametrize(("base", "over"), [SMALL, (BASE, OVER)], ids=["작은 것", "큰 것"])
def test_both_arguments_stay_as_they_were(step1, base, over):
    """설정 파일 하나를 여러 실험이 물려받으므로, 건네받은 딕셔너리는 그대로여야 합니다."""
    mine, other = copy.deepcopy(base), copy.deepcopy(over)
    with no_side_effects(inputs={"base": mine, "over": other}):
        got = step1.merged(mine, other)
        if got is mine and mine != base:
            fail(idea="이름과 사본", expected="그대로인 base", got="고친 base", symptom="base-itself")


@todo("1-1")
@pytest.mark.parametrize(("base", "over"), [SMALL, *EMPTY_ENDS], ids=["보통", "얹을 것이 없음", "바탕이 없음"])
def test_result_is_a_new_dict(attempt, base, over):
    """돌려준 딕셔너리에 무엇을 더해도 건네받은 것은 달라지지 않습니다."""
    got, mine, other = attempt(base, over)
    for one, name in ((mine, "base"), (other, "over")):
        if got is one:
            fail(idea="새 딕셔너리", expected="새 딕셔너리", got=f"{name} 그것", symptom="same-dict", name=name)
