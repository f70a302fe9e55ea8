"""4-3의 검사: 흩어진 값 모으기."""

from __future__ import annotations

import threading

import pytest
import torch

from course.checks.words import assert_close, assert_equal, close, fail, matches, show, todo
from tests.task1_cls.checks.step4.common import one_process
from todo import TodoNotDone


class Deadlock(Exception):
    """어떤 프로세스는 기다리는데 다른 프로세스는 오지 않습니다."""


class Processes:
    """프로세스 여럿을 쓰레드로 흉내 냅니다. `all_gather`는 모두가 불러야 끝나고, 모양이 같아야 합니다."""

    def __init__(self, count, device):
        self.count, self.device = count, device
        self.meeting, self.box, self.gone = threading.Condition(), {}, set()
        self.gathered_lists, self.was_asked = False, False

    def run(self, work, parts):
        """프로세스마다 `work(fabric, 제 몫)`을 부른 결과들."""
        results, errors = {}, {}

        def one(rank):
            try:
                results[rank] = work(self.fabric(rank), parts[rank])
            except BaseException as error:  # noqa: BLE001  쓰레드 안의 예외를 부른 쪽으로 옮깁니다.
                errors[rank] = error
            finally:
                with self.meeting:
                    self.gone.add(rank)
                    self.meeting.notify_all()

        threads = [threading.Thread(target=one, args=(rank,), daemon=True) for rank in range(self.count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for rank in sorted(errors, key=lambda rank: isinstance(errors[rank], Deadlock)):
            raise errors[rank]
        return [results[rank] for rank in range(self.count)]

    def fabric(self, rank):
        fabric = one_process(self.device, rank, self.count)
        rounds = iter(range(10**6))

        def all_gather(data, group=None, sync_grads=False):
            self.was_asked = True
            if isinstance(data, dict):
                return {name: all_gather(one) for name, one in data.items()}
            if isinstance(data, (list, tuple)):
                self.gathered_lists = True
                return type(data)(all_gather(one) for one in data)
            data = torch.as_tensor(data, device=self.device)
            return torch.stack(self._meet(next(rounds), rank, data)) if self.count > 1 else data

        def all_reduce(*args, **kwargs):
            shown = {"expected": "fabric.all_gather", "got": "fabric.all_reduce"}
            fail(idea="all_gather", symptom="all-reduce", **shown)

        fabric.all_gather, fabric.all_reduce = all_gather, all_reduce
        return fabric

    def _meet(self, number, rank, data):
        with self.meeting:
            came = self.box.setdefault(number, {})
            came[rank] = data
            self.meeting.notify_all()
            self.meeting.wait_for(lambda: len(came) == self.count or self.gone - came.keys(), timeout=30)
            if len(came) < self.count or len({one.shape for one in came.values()}) > 1:
                raise Deadlock
        return [came[one] for one in range(self.count)]


def scattered(whole, processes):
    """`evaluation_loader`처럼 한 장씩 돌려 나눈 값들. 모자라면 마지막을 되풀이합니다."""
    short = -len(whole) % processes
    cards = torch.cat([whole, *[whole[-1:]] * short])
    return [cards[rank::processes].clone() for rank in range(processes)]


def predictions(count, device):
    """같은 값이 여러 번 나오는 예측들, (count,) int64."""
    return torch.tensor([2, 0, 1, 1, 0, 2, 2, 1, 0, 0, 1, 2, 0], device=device)[:count]


def probabilities(count, device):
    """(count, 3) float32."""
    return torch.arange(3.0 * count, device=device).reshape(count, 3).sin()


def tables(count, device):
    """예문마다 표 하나, (count, 2, 3) float32."""
    return torch.arange(6.0 * count, device=device).reshape(count, 2, 3).cos()


def gather_everywhere(load, device, whole, processes):
    """프로세스마다 모은 결과를 견주어 봅니다."""
    gather, parts, world = load(4).gather, scattered(whole, processes), Processes(processes, device)
    count = len(whole)
    try:
        results = world.run(lambda fabric, values: gather(fabric, values, count), parts)
    except Deadlock:
        expected = f"프로세스 {processes}개가 같은 모양으로"
        fail(idea="all_gather", expected=expected, got="멈춤", symptom="rank-zero-only")
    except (TypeError, ValueError):
        if world.gathered_lists:
            not_a_tensor("list")
        raise
    for own, got in zip(parts, results, strict=True):
        check_gathered(got, whole, own, parts, world.was_asked)


def not_a_tensor(got):
    fail(idea="all_gather", expected="텐서", got=got, symptom="not-a-tensor")


def check_gathered(got, whole, own, parts, was_asked=True):
    """모은 것이 옳은지. `was_asked`는 all_gather를 불렀는지입니다."""
    if not isinstance(got, torch.Tensor):
        not_a_tensor("아직 비어 있음" if got is None or got is ... else type(got).__name__)
    if got.dtype != whole.dtype and got.shape == whole.shape and matches(got, whole.to(got.dtype), 1e-6):
        shown = {"expected": show_dtype(whole), "got": show_dtype(got)}
        fail(idea="dtype", symptom="other-dtype", **shown)
    if close(got, whole, 0):
        return
    count, shapes = len(whole), {"expected": tuple(whole.shape), "got": tuple(got.shape)}
    blocks, everything = torch.cat(parts), torch.stack(parts, dim=1).flatten(0, 1)
    if len(parts) > 1 and any(matches(got, one, 0) for one in (own, own[:count])):
        symptom = "own-only" if was_asked else "never-gathered"
        fail(idea="all_gather", symptom=symptom, **shapes)
    if got.dim() == whole.dim() + 1:
        fail(idea="프로세스 축", symptom="not-merged", **shapes)
    if got.dim() > 0 and len(got) > count and matches(got[:count], whole, 0):
        fail(idea="되풀이한 예문", symptom="repeats", **shapes)
    if len(parts) > 1 and any(matches(got, one, 0) for one in (blocks, blocks[:count])):
        shown = {"expected": show(whole[:4].flatten()[:4]), "got": show(got[:4].flatten()[:4])}
        fail(idea="순서", symptom="blocks", **shown)
    name_values(got, whole, everything, parts, shapes)


def show_dtype(values):
    return str(values.dtype).removeprefix("torch.")


def without_equals(got, whole, everything):
    """값이 같은 예문을 하나만 남긴 것인가."""
    first_seen = list(dict.fromkeys(map(str, everything.tolist())))
    places = [next(i for i, one in enumerate(everything.tolist()) if str(one) == row) for row in first_seen]
    every = [torch.unique(whole, dim=0), torch.unique_consecutive(everything, dim=0), everything[places]]
    return any(matches(got, one, 0) for one in every)


def name_values(got, whole, everything, parts, shapes):
    """모은 값이 다를 때, 무엇을 잘못했는지 알아봅니다."""
    count, first = len(whole), {"expected": show(whole.flatten()[:6]), "got": show(got.flatten()[:6])}
    if got.dim() > 0 and len(got) < count and matches(got, whole[: len(got)], 0):
        fail(idea="예문의 수", symptom="too-short", **shapes)
    if len(everything) > count and matches(got, everything[-count:], 0):
        fail(idea="되풀이한 예문", symptom="cut-front", **first)
    if matches(got, whole.sort(dim=0).values, 0) or matches(got, everything.sort(dim=0).values[:count], 0):
        fail(idea="순서", symptom="sorted", **first)
    two = torch.stack(parts[:2], dim=1).flatten(0, 1)[:count]
    if len(parts) > 2 and matches(got, two, 0):
        fail(idea="프로세스의 수", symptom="only-two", **shapes)
    if got.dim() > 0 and without_equals(got, whole, everything):
        fail(idea="되풀이한 예문", symptom="unique", **shapes)
    if got.dim() < whole.dim():
        symptom = "flatten-all" if got.dim() < 2 else "two-axes"
        fail(idea="축", symptom=symptom, **shapes)
    same_values = matches(got.flatten().sort().values, whole.flatten().sort().values, 0)
    rows_intact = got.shape[1:] == whole.shape[1:] and set(map(str, got.tolist())) <= set(map(str, whole.tolist()))
    if whole.dim() > 1 and not rows_intact and (got.shape != whole.shape or same_values):
        rows = {"expected": f"{shapes['expected']} {first['expected']}", "got": f"{shapes['got']} {first['got']}"}
        fail(idea="축", symptom="rows-broken", **rows)
    assert_equal(shapes["got"], shapes["expected"], idea="축", message="모은 값의 모양이 다릅니다.")
    assert_close(got, whole, atol=0, idea="순서", message="모은 값의 순서가 혼자 읽은 것과 다릅니다.")


def works_with(load, device, values_of, processes):
    """프로세스가 그만큼일 때는 옳은가."""
    whole = values_of(6, device)
    try:
        results = Processes(processes, device).run(
            lambda fabric, values: load(4).gather(fabric, values, 6), scattered(whole, processes)
        )
    except Exception:  # noqa: BLE001  무엇으로 멈추든 맞지 않는 것입니다.
        return False
    return all(isinstance(one, torch.Tensor) and matches(one, whole, 0) for one in results)


def only_one_process_fails(load, device, values_of):
    """프로세스가 둘일 때만 옳은가, 여럿이면 언제나 옳은가. 그에 맞는 증상."""
    if not works_with(load, device, values_of, 2):
        return None
    return "one-process" if works_with(load, device, values_of, 3) else "two-processes"


@todo("4-3")
@pytest.mark.parametrize("count", [5, 1])
@pytest.mark.parametrize("values_of", [predictions, probabilities, tables])
def test_one_process_keeps_its_values(load, device, values_of, count):
    """프로세스가 하나뿐이면 제 값이 그대로 모은 값입니다. 예문이 하나여도 그렇습니다."""
    whole = values_of(count, device)
    gather, world = load(4).gather, Processes(1, device)
    try:
        (got,) = world.run(lambda fabric, values: gather(fabric, values, count), [whole.clone()])
    except TodoNotDone:
        raise
    except (IndexError, RuntimeError, ValueError, TypeError) as error:
        if not (symptom := only_one_process_fails(load, device, values_of)):
            raise
        fail(idea="프로세스 축", expected=tuple(whole.shape), got=type(error).__name__, symptom=symptom)
    is_wrong = isinstance(got, torch.Tensor) and not close(got, whole, 0)
    if is_wrong and (symptom := only_one_process_fails(load, device, values_of)):
        shown = {"expected": show(whole), "got": show(got)}
        fail(idea="프로세스 축", symptom=symptom, **shown)
    check_gathered(got, whole, whole, [whole])


@todo("4-3")
@pytest.mark.parametrize(("processes", "count"), [(2, 8), (3, 9)])
def test_values_come_back_in_the_order_of_one_process(load, device, processes, count):
    """모은 예측은 한 프로세스가 혼자 읽은 것과 같은 순서입니다."""
    gather_everywhere(load, device, predictions(count, device), processes)


@todo("4-3")
@pytest.mark.parametrize(("processes", "count"), [(2, 7), (3, 10), (3, 11), (3, 1)])
def test_repeated_examples_are_dropped(load, device, processes, count):
    """수를 맞추려고 되풀이한 예문은 세지 않습니다."""
    gather_everywhere(load, device, predictions(count, device), processes)


@todo("4-3")
@pytest.mark.parametrize(
    ("values_of", "processes", "count"),
    [(probabilities, 2, 8), (probabilities, 2, 7), (probabilities, 3, 10), (tables, 2, 3)],
)
def test_rows_stay_whole(load, device, values_of, processes, count):
    """(예문, 라벨 수)인 확률도, 축이 더 많은 값도 예문마다의 모양을 지키며 모입니다."""
    gather_everywhere(load, device, values_of(count, device), processes)
