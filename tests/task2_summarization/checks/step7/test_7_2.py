"""7-2의 검사: 일꾼마다 제 몫의 GPU와 코어를."""

from __future__ import annotations

from typing import Any

import pytest

from course.checks.recognising import recognise, require_value, sound
from course.checks.side_effects import no_side_effects
from course.checks.words import assert_equal, fail, todo
from nlpbook.errors import UserError

IDEA = "몫 나누기"
GPUS, THREADS = "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"
NAMES = ["5", "GPU-8f3a1c", "7", "4"]


def assigned(load, count: int, gpus: list[str], cores: int) -> list[dict[str, Any]]:
    given = list(gpus)
    with no_side_effects(inputs={"gpus": given}):
        got = load(7).assign(count, given, cores)
    require_value(got, "environments")
    if not isinstance(got, list) or any(not isinstance(one, dict) for one in got):
        fail("environments가 딕셔너리의 목록이 아닙니다.", idea=IDEA, expected="[{…}, …]", got=got)
    if len(got) > 1 and all(one is got[0] for one in got):
        fail(idea=IDEA, symptom="one-dict", expected="일꾼마다 하나", got="모두 같은 것 하나")
    if gpus and len(got) == len(gpus) != count:
        fail(idea=IDEA, symptom="per-gpu", expected=f"일꾼 {count}개", got=f"{len(got)}개")
    if not got and not gpus and sound(lambda: len(load(7).assign(count, [*NAMES, "8", "9"], cores)) == count):
        fail(idea=IDEA, symptom="no-worker-without", expected=f"일꾼 {count}개", got="0개")
    if len(got) != count:
        fail("일꾼의 수만큼 있어야 합니다.", idea=IDEA, expected=f"{count}개", got=f"{len(got)}개")
    for one in got:
        for name, value in one.items():
            if not isinstance(value, str):
                fail(idea=IDEA, symptom="not-text", expected="글", got=f"{name}이 {type(value).__name__}")
    return got


@todo("7-2")
@pytest.mark.parametrize("count", [3, 4])
def test_each_worker_has_its_own_gpu(load, count):
    """일꾼마다 다른 GPU 하나, 이름 그대로입니다."""
    environments = assigned(load, count, NAMES, 11)
    got = [one.get(GPUS) for one in environments]
    want = NAMES[:count]
    if got != want:
        wrong = [
            ("all-on-one", [NAMES[0]] * count),
            ("all-on-one", ["0"] * count),
            ("all-to-each", [",".join(NAMES)] * count),
            ("worker-number", [str(number) for number in range(count)]),
            ("no-gpu", [None] * count),
            ("spare-too", [",".join(NAMES[number::count]) for number in range(count)]),
            ("spare-too", [*NAMES[: count - 1], ",".join(NAMES[count - 1 :])]),
        ]
        recognise(got, wrong, idea=IDEA, expected=want)
    assert_equal(got, want, idea=IDEA, message="일꾼의 GPU가 다릅니다.")


@todo("7-2")
@pytest.mark.parametrize(
    ("count", "cores", "want"), [(2, 7, [4, 3]), (3, 17, [6, 6, 5]), (5, 3, [1] * 5), (4, 12, [3] * 4)]
)
@pytest.mark.parametrize("gpus", [[], NAMES + ["8"]])
def test_the_cores_are_shared(load, count, cores, want, gpus):
    """코어를 고르게 나누고, 나머지도 나누어 줍니다. 적어도 하나입니다."""
    environments = assigned(load, count, gpus, cores)
    texts = [one.get(THREADS) for one in environments]
    if None in texts:
        fail(idea=IDEA, symptom="no-threads", expected=THREADS, got="적지 않음")
    if not all(text.strip().isdigit() for text in texts):
        fail(f"{THREADS}가 정수가 아닙니다.", idea=IDEA, expected=want, got=texts)
    got = [int(text) for text in texts]
    if sorted(got, reverse=True) != want:
        wrong = [
            ("all-cores", [cores] * count),
            ("remainder-lost", [max(1, cores // count)] * count),
            ("zero", [cores // count + (number < cores % count) for number in range(count)]),
            ("zero", [cores // count] * count),
            ("too-many", [-(-cores // count)] * count),
            ("bound-too-early", [max(1, cores // count) + (number < cores % count) for number in range(count)]),
            *[("rest-to-one", rest_to(one, count, cores)) for one in (0, count - 1)],
        ]
        recognise(got, wrong, idea=IDEA, expected=want, cores=cores)
        recognise(sorted(got, reverse=True), wrong, idea=IDEA, expected=want, shown=got, cores=cores)
    assert_equal(sorted(got, reverse=True), want, idea=IDEA, message="일꾼의 코어 수가 다릅니다.")


def rest_to(one: int, count: int, cores: int) -> list[int]:
    """나머지를 일꾼 `one`에게 모두 주었을 때, 큰 것부터."""
    shares = [max(1, cores // count + cores % count * (number == one)) for number in range(count)]
    return sorted(shares, reverse=True)


@todo("7-2")
def test_without_a_gpu_none_is_named(load):
    """GPU가 없으면 CUDA_VISIBLE_DEVICES를 적지 않습니다."""
    for one in assigned(load, 2, [], 8):
        if GPUS in one:
            fail(idea=IDEA, symptom="named-without", expected="적지 않음", got=repr(one[GPUS]))


@todo("7-2")
def test_fewer_gpus_than_workers_is_refused(load):
    """자리의 앞에 있는 확인은 그대로 있어야 합니다."""
    with pytest.raises(UserError, match="--num-workers 4"):
        load(7).assign(5, NAMES, 8)
