"""1-2의 검사: 설정 파일의 물려받기."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import cache, reduce
from pathlib import Path
from typing import Any

import pytest

from course.checks.recognising import Wrong, recognise, sound
from course.checks.words import assert_equal, fail, todo
from nlpbook.errors import UserError
from nlpbook.summarization.config_files import read_config_file
from nlpbook.summarization.layers import Sourced
from tests.task2_summarization.checks.step1.common import (
    Tree,
    layered,
    merged,
    require_dict,
    shallow,
    values_of,
    write,
)

IDEA = "물려받기"
MOST_READS = 60  # 검사의 파일은 많아야 다섯입니다. 이보다 많이 읽었다면 맴도는 것입니다.

# mine이 [left, right]를, left는 root를 물려받습니다. 이웃한 둘만 함께 적은 항목과, 셋이 함께 적은 항목이 있습니다.
FAMILY = {
    "root": """
        training: {learning_rate: 2.5e-4, weight_decay: 0.037, num_train_epochs: 31, max_grad_norm: 0.61}
        generation: {num_beams: 7}
        """,
    "left": """
        inherits: root.yaml
        training: {num_train_epochs: 23, logging_steps: 37, per_device_train_batch_size: 29, weight_decay: 0.041}
        """,
    "right": """
        training: {logging_steps: 53, per_device_train_batch_size: 43, save_total_limit: 9}
        tokenizer: {encoder_max_len: 193}
        """,
    "mine": """
        inherits: [left.yaml, right.yaml]
        training: {per_device_train_batch_size: 13, gradient_accumulation_steps: 5, num_train_epochs: 17}
        """,
}
ROOT: Tree = {
    "training": {"learning_rate": 2.5e-4, "weight_decay": 0.037, "num_train_epochs": 31, "max_grad_norm": 0.61},
    "generation": {"num_beams": 7},
}
LEFT: Tree = {
    "training": {
        "num_train_epochs": 23,
        "logging_steps": 37,
        "per_device_train_batch_size": 29,
        "weight_decay": 0.041,
    }
}
RIGHT: Tree = {
    "training": {"logging_steps": 53, "per_device_train_batch_size": 43, "save_total_limit": 9},
    "tokenizer": {"encoder_max_len": 193},
}
MINE: Tree = {"training": {"per_device_train_batch_size": 13, "gradient_accumulation_steps": 5, "num_train_epochs": 17}}


class EndlessReading(Exception):
    """설정 파일을 너무 많이 읽었습니다."""


@cache
def file_at(path: Path) -> Any:
    return read_config_file(path)


@pytest.fixture(scope="module")
def family(tmp_path_factory) -> dict[str, Path]:
    return write(tmp_path_factory.mktemp("family"), **FAMILY)


@pytest.fixture
def walk(step1, monkeypatch) -> Callable[[Path], Any]:
    """`with_inheritance`를 부릅니다. 1-1의 자리에는 옳은 것을 대신 두고, 맴돌며 읽으면 멈춥니다."""
    count = 0

    def reading(path: Path | str) -> Any:
        nonlocal count
        count += 1
        if count > MOST_READS:
            raise EndlessReading
        return copy.deepcopy(file_at(Path(path).resolve()))

    monkeypatch.setattr(step1, "merged", merged)
    monkeypatch.setattr(step1, "read_config_file", reading)
    return step1.with_inheritance


@pytest.fixture
def way(step1, monkeypatch) -> list[bool]:
    """`with_inheritance`가 저를 부를 때마다, 여기까지 온 파일들을 모두 건네받았는지."""
    real = step1.with_inheritance
    walked: list[Path] = []
    handed: list[bool] = []

    def walking(path: Path | str, children: Any = ()) -> Any:
        handed.append(set(walked) <= {Path(one).resolve() for one in children})
        walked.append(Path(path).resolve())
        try:
            return real(path, children)
        finally:
            walked.pop()

    monkeypatch.setattr(step1, "with_inheritance", walking)
    return handed


def wrong_results() -> Wrong:
    left, both = layered(ROOT, LEFT), layered(ROOT, LEFT, RIGHT)
    return [
        ("no-parents", MINE),
        ("own-lost", both),
        ("own-lost", layered(ROOT, RIGHT)),
        ("own-lost", {}),
        ("parent-wins", layered(MINE, both)),
        ("parent-wins", layered(MINE, RIGHT, layered(LEFT, ROOT))),
        ("parent-wins", layered(MINE, layered(LEFT, ROOT), RIGHT)),
        ("parents-only", layered(LEFT, RIGHT, MINE)),
        ("one-parent", layered(left, MINE)),
        ("one-parent", layered(RIGHT, MINE)),
        ("first-parent-wins", layered(RIGHT, left, MINE)),
        ("shallow", reduce(shallow, [shallow(ROOT, LEFT), RIGHT, MINE])),
    ]


@todo("1-2")
def test_a_file_is_laid_upon_all_its_parents(walk, family):
    """부모의 부모까지, 적힌 차례대로 포개고 이 파일의 것을 맨 위에 얹습니다."""
    got = values_of(walk(family["mine"]))
    require_dict(got, "values", IDEA)
    want = layered(ROOT, LEFT, RIGHT, MINE)
    if got != want:
        expected, came = differing(want, got)
        recognise(got, wrong_results(), idea=IDEA, expected=expected, shown=came)
        if sound(lambda: values_of(walk(family["root"])) == {}):
            fail(idea=IDEA, expected="파일에 적은 값", got="빈 딕셔너리", symptom="nothing-without-parents")
        fail("물려받은 값이 다릅니다.", idea=IDEA, expected=expected, got=came)


def differing(want: Tree, got: Tree) -> tuple[str, str]:
    """값이 다른 첫 항목의 (기대한 것, 나온 것). 나온 것에만 있는 항목일 수도 있습니다."""
    every = layered(got, want)
    for group, names in every.items():
        for name in names:
            there, here = (one.get(group, {}).get(name, "없음") for one in (want, got))
            if there != here:
                return f"{group}.{name} {there}", f"{group}.{name} {here}"
    return "", ""


@todo("1-2")
def test_a_file_without_parents_is_itself(walk, family):
    """물려받지 않는 파일은 적힌 그대로입니다."""
    got = values_of(walk(family["right"]))
    assert_equal(got, RIGHT, idea=IDEA, message="물려받지 않는 파일의 값이 적힌 것과 다릅니다.")


@todo("1-2")
def test_every_value_keeps_where_it_was_written(walk, family):
    """값은 어느 파일 몇 번째 줄에 적혔는지 기억합니다."""
    training = walk(family["mine"]).get("training", {})
    for name, file in {"learning_rate": "root", "logging_steps": "right", "num_train_epochs": "mine"}.items():
        one = training.get(name)
        if one is None:
            return  # 값이 없는 것은 첫 검사가 말합니다.
        if not isinstance(one, Sourced):
            expected, kind = f"Sourced({one!r}, …)", type(one).__name__
            fail("값에서 온 곳이 떨어졌습니다.", idea="값이 온 곳", expected=expected, got=kind)
        if f"{file}.yaml" not in one.source and one.value == layered(ROOT, LEFT, RIGHT, MINE)["training"][name]:
            message = "값이 온 곳이 다릅니다."
            fail(message, idea="값이 온 곳", expected=f"{file}.yaml", got=one.source)


SHARING = {
    "두 부모가": "[one.yaml, other.yaml]",
    "먼저 나도": "[shared.yaml, one.yaml]",
    "나중에 나도": "[one.yaml, shared.yaml]",
}


@todo("1-2")
@pytest.mark.parametrize("case", SHARING)
def test_a_file_may_be_inherited_twice(walk, family, tmp_path, case):
    """두 길로 같은 파일을 물려받는 것은 맴도는 것이 아닙니다. 부모가 다른 부모를 물려받기도 합니다."""
    files = write(
        tmp_path,
        shared="training: {logging_steps: 61}",
        one="inherits: shared.yaml\ngeneral: {seed: 71}",
        other="inherits: shared.yaml\ngeneral: {device: cpu}",
        mine=f"inherits: {SHARING[case]}",
    )
    try:
        got = values_of(walk(files["mine"]))
    except UserError as error:
        if "맴" not in str(error):
            raise
        fail(idea="맴돌기", expected="설정", got="맴돈다는 오류", symptom="diamond")
    if not sound(lambda: values_of(walk(family["mine"])) == layered(ROOT, LEFT, RIGHT, MINE)):
        return  # 다른 까닭으로 값이 다른 것은 첫 검사가 말합니다.
    general = {"seed": 71, "device": "cpu"} if "other" in SHARING[case] else {"seed": 71}
    want = {"training": {"logging_steps": 61}, "general": general}
    assert_equal(got, want, idea=IDEA, message="같은 파일을 두 길로 물려받을 때의 값이 다릅니다.")


@todo("1-2")
def test_files_of_the_same_name_are_different_files(walk, tmp_path):
    """다른 폴더에 있는 같은 이름의 파일은 다른 파일입니다."""
    (tmp_path / "shared").mkdir()
    write(tmp_path / "shared", mine="training: {logging_steps: 61}")
    files = write(tmp_path, mine="inherits: shared/mine.yaml\ngeneral: {seed: 71}")
    try:
        got = values_of(walk(files["mine"]))
    except UserError as error:
        if "맴" not in str(error):
            raise
        fail(idea="경로", expected="설정", got="맴돈다는 오류", symptom="same-name")
    if "training" in got:  # 부모의 값을 읽지 않은 것은 첫 검사가 말합니다.
        want = {"training": {"logging_steps": 61}, "general": {"seed": 71}}
        assert_equal(got, want, idea=IDEA, message="이름이 같은 다른 파일을 물려받을 때의 값이 다릅니다.")


CIRCLES = {
    "저를 물려받음": ({"mine": "inherits: mine.yaml"}, ["mine"]),
    "둘이 서로를": ({"mine": "inherits: other.yaml", "other": "inherits: mine.yaml"}, ["mine", "other"]),
    "처음 파일은 고리 밖에": (
        {"mine": "inherits: one.yaml", "one": "inherits: other.yaml", "other": "inherits: one.yaml"},
        ["one", "other"],
    ),
}


@todo("1-2")
@pytest.mark.parametrize("case", CIRCLES)
def test_a_circle_is_refused_with_the_way_it_went(walk, way, step1, tmp_path, case):
    """돌고 돌아 저를 물려받는 파일은, 어떤 길로 맴도는지 말하며 멈춥니다."""
    texts, ring = CIRCLES[case]
    texts = {name: f"{text}\ngeneral: {{seed: 67}}" for name, text in texts.items()}
    files = write(tmp_path, **texts)
    idea, expected = "맴돌기", "circle(…)의 UserError"
    try:
        got = step1.with_inheritance(files["mine"]) or {}
    except UserError as error:
        missing = [name for name in ring if f"{name}.yaml" not in str(error)]
        if missing:
            told = " → ".join(re.findall(r"(\w+)\.yaml", str(error)))
            fail(idea=idea, expected=" → ".join([*ring, ring[0]]), got=told or "파일 없음", symptom="way-cut")
        return
    except (EndlessReading, RecursionError):
        got = None
    if got is None:  # except의 밖에서 말해야, 재귀의 한도가 아니라 이 실수로 읽힙니다.
        got = f"{MOST_READS}번이 넘는 읽기"
        if not all(way):
            fail(idea=idea, expected=expected, got=got, symptom="way-lost")
        symptom = "endless" if case != "처음 파일은 고리 밖에" else "start-only"
        fail(idea=idea, expected=expected, got=got, symptom=symptom)
    fail(idea=idea, expected=expected, got=f"설정 {len(got)}묶음", symptom="circle-passed")
