"""장치와 정밀도 고르기. 이 기계에 없는 장치는 있는 것처럼 꾸밉니다."""

from __future__ import annotations

import pytest
import torch

from nlpbook import hardware
from nlpbook.errors import UserError
from nlpbook.hardware import accelerator_of, cpu_has_bf16, make_fabric, most_devices, precision_of, strategy_of


@pytest.fixture
def machine(monkeypatch):
    """`machine(cuda=2, mps=False, capability=(8, 0), bf16_cpu=False)`인 기계인 척합니다."""

    def pretend(cuda: int = 0, mps: bool = False, capability: tuple[int, int] = (8, 0), bf16_cpu: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(hardware, "cpu_has_bf16", lambda: bf16_cpu)

    return pretend


@pytest.mark.parametrize(
    ("cuda", "mps", "requested", "expected"),
    [
        (0, False, "auto", "cpu"),
        (0, True, "auto", "mps"),
        (1, True, "auto", "cuda"),
        (1, False, "gpu", "cuda"),
        (0, True, "gpu", "mps"),
        (1, False, "cpu", "cpu"),
    ],
)
def test_the_best_device_there_is_gets_chosen(machine, cuda, mps, requested, expected):
    machine(cuda, mps)
    assert accelerator_of(requested) == expected


@pytest.mark.parametrize("requested", ["gpu", "cuda", "mps"])
def test_a_device_that_is_not_there_is_an_error(machine, requested):
    machine()
    with pytest.raises(UserError, match="--accelerator cpu"):
        accelerator_of(requested)


@pytest.mark.parametrize(
    ("accelerator", "capability", "bf16_cpu", "expected"),
    [
        ("cuda", (8, 0), False, "bf16-mixed"),
        ("cuda", (9, 0), False, "bf16-mixed"),
        ("cuda", (7, 5), True, "16-mixed"),
        ("cpu", (8, 0), True, "bf16-mixed"),
        ("cpu", (8, 0), False, "32-true"),
        ("mps", (8, 0), True, "32-true"),
    ],
)
def test_auto_precision_is_what_the_device_does_natively(machine, accelerator, capability, bf16_cpu, expected):
    machine(cuda=1, capability=capability, bf16_cpu=bf16_cpu)
    assert precision_of("auto", accelerator) == expected


def test_a_requested_precision_is_kept(machine):
    machine(bf16_cpu=True)
    assert precision_of("32-true", "cpu") == "32-true"
    assert precision_of("16-mixed", "cuda") == "16-mixed"


def test_half_precision_on_cpu_is_refused():
    with pytest.raises(UserError, match="16-mixed.*--precision"):
        precision_of("16-mixed", "cpu")


@pytest.mark.parametrize(
    ("amx", "avx512", "expected"), [(True, False, True), (False, True, True), (False, False, False)]
)
def test_either_instruction_set_gives_a_cpu_bf16(monkeypatch, amx, avx512, expected):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    assert cpu_has_bf16() is expected


@pytest.mark.parametrize(
    ("requested", "devices", "expected"),
    [("auto", 1, "auto"), ("auto", 2, "ddp"), ("ddp", 1, "ddp"), ("ddp", 2, "ddp")],
)
def test_several_processes_use_ddp(requested, devices, expected):
    assert strategy_of(requested, devices) == expected


@pytest.mark.parametrize(("accelerator", "count"), [("cuda", 2), ("mps", 1), ("cpu", None)])
def test_devices_are_counted_where_they_end(machine, accelerator, count):
    machine(cuda=2, mps=True)
    assert most_devices(accelerator) == count


@pytest.mark.parametrize(("accelerator", "said"), [("cuda", "2개이니, --devices 2 이하"), ("mps", "--devices 1 이하")])
def test_more_devices_than_there_are_is_an_error(machine, accelerator, said):
    machine(cuda=2, mps=True)
    with pytest.raises(UserError, match=said):
        make_fabric(accelerator, "auto", 3, "32-true")


def test_more_processes_than_cores_are_only_slow(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert make_fabric("cpu", "auto", 5, "32-true").world_size == 5
