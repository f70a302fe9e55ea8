"""7-1의 검사: 이미 정해진 GPU들 안에서."""

from __future__ import annotations

from itertools import takewhile

import pytest

from course.checks.recognising import explained, recognise, require_value, sound, when
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_equal, fail, todo

IDEA = "CUDA_VISIBLE_DEVICES"
HERE = ["0", "1", "2", "3"]
OTHERS = "11,13"  # 검사하는 프로세스의 환경 변수에 적어 두는 것


def usable(load, given: str | None) -> list[str]:
    environment = {"HOME": "/home/me", **({} if given is None else {IDEA: given})}
    here = list(HERE)
    step = load(7)
    as_number = when("invalid literal for int", "as-number", idea=IDEA, expected="GPU-8f3a1c", got="수")
    with pytest.MonkeyPatch.context() as patch, explained(as_number):
        patch.setenv(IDEA, OTHERS)  # 이 프로세스의 것이 아니라 건네받은 environment를 보아야 합니다.
        with no_side_effects(inputs={"environment": environment, "here": here}):
            got = step.usable_gpus(environment, here)
    require_value(got, "gpus")
    got = list(got)
    if got == OTHERS.split(","):
        fail(idea=IDEA, symptom="process-environment", expected="environment", got="os.environ")
    if any(not isinstance(one, str) for one in got):
        numbers = all(isinstance(one, (int, str)) for one in got)
        symptom = "numbers" if numbers else None
        fail("gpus에 글이 아닌 것이 담겼습니다.", idea=IDEA, symptom=symptom, expected="글의 목록", got=got)
    return got


@todo("7-1")
def test_all_of_them_without_the_variable(load):
    """적혀 있지 않으면 이 기계의 모든 GPU입니다."""
    assert_equal(usable(load, None), HERE, idea=IDEA, message="적혀 있지 않을 때의 GPU가 다릅니다.")


@todo("7-1")
@pytest.mark.parametrize(
    ("given", "want"),
    [
        ("2,5,3", ["2", "5", "3"]),
        ("GPU-8f3a1c", ["GPU-8f3a1c"]),
        ("5, 2 ,9", ["5", "2", "9"]),
        ("7", ["7"]),
        ("4,GPU-1f-1c,6", ["4", "GPU-1f-1c", "6"]),
    ],
)
def test_only_those_written(load, given, want):
    """적혀 있으면 그것들만, 적힌 차례대로입니다."""
    got = usable(load, given)
    if got != want:
        wrong = [
            ("ignored", HERE),
            ("renumbered", [str(number) for number in range(len(want))]),
            ("spaces", given.split(",")),
            ("one-text", [given]),
            ("letters", list(given)),
            ("sorted", sorted(want)),
            ("only-here", [one for one in want if one in HERE] or None),
        ]
        odd_names = [
            ("minus-inside", list(takewhile(lambda one: "-1" not in one, want))),
            ("minus-inside", [one for one in want if "-1" not in one]),
            ("minus-inside", given.partition("-1")[0].split(",")),
            ("as-number", list(takewhile(str.isdigit, want))),
            ("as-number", [one for one in want if one.isdigit()]),
        ]
        if sound(
            lambda: usable(load, "2,5,3") == ["2", "5", "3"]
        ):  # 보통의 번호는 옳게 담을 때만 이름의 모양을 탓합니다.
            wrong += odd_names
        recognise(got, wrong, idea=IDEA, expected=want, given=given)
    assert_equal(got, want, idea=IDEA, message=f"{IDEA}={given}일 때의 GPU가 다릅니다.")


@todo("7-1")
@pytest.mark.parametrize("given", ["", "-1"])
def test_none_where_none_is_wanted(load, given):
    """비어 있거나 -1이면 GPU를 쓰지 않습니다."""
    got = usable(load, given)
    if got == HERE:
        fail(idea=IDEA, symptom="empty-means-all", expected="[]", got=got, given=repr(given))
    if got == [given]:
        fail(idea=IDEA, symptom="not-a-name", expected="[]", got=got, given=repr(given))
    assert_equal(got, [], idea=IDEA, message=f"{IDEA}={given!r}일 때의 GPU가 다릅니다.")


@todo("7-1")
def test_reading_stops_where_cuda_stops(load):
    """-1의 뒤는 CUDA가 읽지 않습니다."""
    got = usable(load, "6,4,-1,3")
    if got == ["6", "4", "3"]:
        fail(idea=IDEA, symptom="goes-on", expected=["6", "4"], got=got)
    if got == ["6", "4", "-1", "3"]:
        fail(idea=IDEA, symptom="not-a-name", expected=["6", "4"], got=got, given="'6,4,-1,3'")
    assert_equal(got, ["6", "4"], idea=IDEA, message="-1이 있을 때의 GPU가 다릅니다.")
    got = usable(load, "6, 4, -1, 3")
    if "-1" in got or got == ["6", "4", "3"]:
        fail(idea=IDEA, symptom="stripped-late", expected=["6", "4"], got=got)
    assert_equal(got, ["6", "4"], idea=IDEA, message="-1의 앞에 빈칸이 있을 때의 GPU가 다릅니다.")
