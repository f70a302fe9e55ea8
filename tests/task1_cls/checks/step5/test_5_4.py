"""5-4의 검사: Fabric."""

from __future__ import annotations

import os
import re
import traceback
from dataclasses import asdict
from typing import Any, NoReturn

import pytest
import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy

from course.checks.words import CheckFailed, fail, todo
from nlpbook.classification.config import TrainConfig
from nlpbook.errors import UserError
from todo import TodoNotDone


@pytest.fixture
def eight_gpus(monkeypatch):
    """GPU가 여덟 개인 기계처럼 보이게 합니다. Fabric은 만들기만 하면 GPU를 건드리지 않습니다."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 0))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def make(step, monkeypatch):
    """`make(devices=2)`는 그 설정으로 만든 Fabric입니다. 정하지 않은 것은 CPU, 32-true, auto, 1입니다."""

    def launched(*_: Any, **__: Any) -> None:
        fail(idea="만들기와 시작하기", expected="launch 0번", got="launch 1번", symptom="launched")

    monkeypatch.setattr(Fabric, "launch", launched)

    def make(**hardware: Any) -> Fabric:
        config = TrainConfig()
        for name, value in {"accelerator": "cpu", "precision": "32-true", **hardware}.items():
            setattr(config.hardware, name, value)
        before = asdict(config)
        limit = most(config.hardware.accelerator)
        try:
            fabric = step.make_fabric(config)
        except UserError:
            if limit is None or config.hardware.devices <= limit:
                refused(config.hardware.devices, limit)
            raise
        except TypeError as error:
            if "'NoneType'" in str(error) and limit is None and stopped_in(step, error):
                more = {"expected": "CPU에서도 만들어짐", "got": "None과 견줌", "symptom": "none-compared"}
                fail(idea="CPU의 devices", **more)
            if re.search(r"Fabric\.__init__\(\) takes 1 positional argument", str(error)):
                more = {"expected": "이름=값", "got": "값만 차례로", "symptom": "positional"}
                fail(idea="Fabric", **more)
            if "`devices` selected" in str(error):
                more = {"expected": f"장치 {config.hardware.devices}개", "got": "CPU에서 쓸 수 없는 값"}
                more["symptom"] = "device-list"
                fail(idea="devices", **more)
            raise
        except ValueError as error:
            if stopped_in(step, error):
                raise
            if "devices=" in str(error):
                got = re.search(r"devices=(\S+?)\)", str(error))
                more = {"expected": f"{config.hardware.devices}개", "got": f"{got[1]}개" if got else "다른 수"}
                more["symptom"] = "no-devices"
                fail(idea="devices", **more)
            if re.search(r"Precision '(cpu|cuda|mps)'|accelerator='(\d|bf)", str(error)):
                more = {"expected": "accelerator=cpu, precision=32-true", "got": "서로 바뀜", "symptom": "mixed-up"}
                fail(idea="Fabric", **more)
            if "Precision 'auto'" in str(error):
                more = {"expected": "고른 정밀도", "got": "auto", "symptom": "raw-auto"}
                fail(idea="auto", **more)
            raise
        if not isinstance(fabric, Fabric):
            got = "클래스 Fabric" if fabric is Fabric else type(fabric).__name__
            fail(idea="Fabric", expected="Fabric", got=got, symptom="not-fabric")
        if asdict(config) != before:
            more = {"expected": "받은 그대로", "got": "바뀜", "symptom": "changed-settings"}
            fail(idea="부작용", **more)
        return fabric

    return make


def most(accelerator: str) -> int | None:
    """이 기계에 있는 그 장치의 수. CPU는 장치가 아니라 프로세스를 세므로 None입니다."""
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return {"cuda": torch.cuda.device_count(), "mps": 1}.get(accelerator)


def refused(devices: int, limit: int | None) -> NoReturn:
    """거절하지 말아야 할 것을 거절했습니다."""
    if limit is None:
        more = {"expected": f"CPU의 프로세스 {devices}개를 받아들임", "symptom": "cpu-refused"}
        fail(idea="CPU의 devices", got="거절함", devices=devices, **more)
    more = {"expected": f"{limit}개 가운데 {devices}개를 받아들임", "got": "거절함", "limit": limit}
    symptom = "refuses-all" if devices == limit else None
    fail("있는 것보다 많지 않은데 거절했습니다.", idea="devices", symptom=symptom, **more)


def stopped_in(step: Any, error: Exception) -> bool:
    """학생의 파일에서 멈췄는가(라이브러리 안이 아니라)."""
    return traceback.extract_tb(error.__traceback__)[-1].filename == step.__file__


def assert_processes(fabric: Fabric, want: int) -> None:
    nodes = getattr(fabric.strategy, "num_nodes", 1)
    if nodes != 1:
        here = f"기계 {nodes}대에 {fabric.world_size // nodes}개씩"
        more = {"expected": f"기계 한 대에 {want}개", "got": here, "symptom": "num-nodes"}
        fail(idea="devices와 num_nodes", **more)
    if fabric.device.index:  # 0번 프로세스의 장치는 언제나 0번입니다.
        more = {"expected": f"장치 {want}개", "got": f"{fabric.device.index}번 장치", "symptom": "device-list"}
        fail(idea="devices", **more)
    if fabric.world_size != want:
        more = {"expected": f"{want}개", "got": f"{fabric.world_size}개", "symptom": "no-devices"}
        fail(idea="devices", **more)


def only_when_several(make: Any) -> str | None:
    """장치가 둘일 때는 맞는 정밀도가, 하나일 때만 사라지는가. 그렇다면 그 증상입니다."""
    one, two = (make(precision="bf16-mixed", devices=devices).strategy.precision.precision for devices in (1, 2))
    return "only-several" if one != two == "bf16-mixed" else None


def assert_precision(make: Any, fabric: Fabric, want: str) -> None:
    got = fabric.strategy.precision.precision
    if got != want:
        symptom = only_when_several(make) or ("no-precision" if got == "32-true" else "fixed-precision")
        fail(idea="precision", expected=want, got=got, symptom=symptom)


def assert_device(make: Any, fabric: Fabric, want: str) -> None:
    got = fabric.device.type
    if got != want:
        symptom = only_when_several(make) or ("no-accelerator" if want == "cpu" else "fixed-device")
        fail("장치가 고른 것과 다릅니다.", idea="accelerator", expected=want, got=got, symptom=symptom)


@todo("5-4")
@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_precision_is_the_one_in_the_settings(make, precision):
    """정밀도는 설정대로입니다."""
    assert_precision(make, make(precision=precision), precision)


@todo("5-4")
@pytest.mark.parametrize("devices", [1, 2, 3])
def test_as_many_processes_as_devices(make, devices):
    """프로세스의 수는 설정의 devices이고, 여럿이면 ddp입니다. 시작은 launch를 부를 때 합니다."""
    fabric = make(devices=devices)
    assert_processes(fabric, devices)
    want, got = devices > 1, isinstance(fabric.strategy, DDPStrategy)
    if want != got:
        more = {"expected": "ddp" if want else "auto(장치 하나)", "got": type(fabric.strategy).__name__}
        symptom = "no-strategy" if want else "fixed-strategy"
        fail(idea="strategy", symptom=symptom, **more)


@todo("5-4")
def test_strategy_in_the_settings_is_kept(make):
    """장치가 하나여도 ddp를 골랐으면 ddp입니다."""
    fabric = make(strategy="ddp", devices=1)
    if not isinstance(fabric.strategy, DDPStrategy):
        more = {"expected": "DDPStrategy", "got": type(fabric.strategy).__name__}
        more["symptom"] = only_when_several(make) or "no-strategy"
        fail("고른 방법(strategy)이 전해지지 않았습니다.", idea="strategy", **more)


@todo("5-4")
def test_cpu_is_used_when_asked_even_with_gpus(make, eight_gpus):
    """GPU가 여덟 개여도 cpu를 골랐으면 CPU입니다."""
    fabric = make(accelerator="cpu", devices=1)
    assert_device(make, fabric, "cpu")
    assert_processes(fabric, 1)


@todo("5-4")
@pytest.mark.parametrize("devices", [1, 4, 8])
def test_auto_takes_the_gpu_but_only_as_many_as_asked(make, eight_gpus, devices):
    """auto는 GPU와 bf16을 고르지만, 여덟 개를 모두 차지하지는 않습니다."""
    fabric = make(accelerator="auto", precision="auto", devices=devices)
    assert_processes(fabric, devices)
    assert_device(make, fabric, "cuda")
    assert_precision(make, fabric, "bf16-mixed")


@todo("5-4")
def test_more_processes_than_cores_are_allowed_on_a_cpu(make, monkeypatch):
    """CPU에서는 코어보다 많은 프로세스도 됩니다. 느릴 뿐입니다."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 2, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert_processes(make(devices=5), 5)


@todo("5-4")
@pytest.mark.parametrize(("accelerator", "there"), [("auto", 8), ("mps", 1)])
def test_more_devices_than_there_are_is_refused(step, make, eight_gpus, monkeypatch, accelerator, there):
    """있는 것보다 많은 장치는, 몇 개까지인지 적은 UserError로 거절합니다."""
    if accelerator == "mps":
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    about = {"idea": "devices", "expected": f"{there + 3}개를 거절", "there": there}
    try:
        fabric = make(accelerator=accelerator, devices=there + 3)
    except UserError as error:
        numbers = set(re.findall(r"\d+", str(error)))
        if str(there) not in numbers:
            fail(**about | {"expected": f"{there}이(가) 든 문장"}, got=str(error), symptom="no-numbers")
        if not re.search("[가-힣]", str(error)):
            fail("오류의 문장이 한국어가 아닙니다.", **about | {"expected": "한국어 한 문장"}, got=str(error))
    except CheckFailed:
        raise
    except Exception as error:
        if isinstance(error, TodoNotDone):
            raise
        if stopped_in(step, error) and not isinstance(error, (ValueError, RuntimeError, AssertionError)):
            raise
        own = stopped_in(step, error)
        fail(**about, got=type(error).__name__, symptom="other-error" if own else "accepted")
    else:
        clamped = fabric.world_size == there
        fail(**about, got=f"{fabric.world_size}개로 만듦", symptom="clamped" if clamped else "accepted")


@todo("5-4")
def test_the_chosen_device_is_used(make, device):
    """이 기계의 장치에서도 설정대로입니다."""
    fabric = make(accelerator=device)
    assert_device(make, fabric, device)
    assert_processes(fabric, 1)
