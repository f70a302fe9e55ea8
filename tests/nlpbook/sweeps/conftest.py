"""탐색의 시험이 함께 쓰는 것: 탐색 파일 쓰기와, 작은 과제를 이 프로세스에서 해 보기."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from nlpbook.sweeps.cli import Request, run_sweep

TOY = Path(__file__).with_name("toy.py")


@pytest.fixture(scope="session")
def toy():
    """toy.py 모듈."""
    spec = importlib.util.spec_from_file_location("sweeps_toy", TOY)
    module = importlib.util.module_from_spec(spec)
    sys.modules["sweeps_toy"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def write_sweep(tmp_path):
    """`write_sweep(parameters={…}, method="grid")`는 탐색 파일을 쓰고 그 경로를 돌려줍니다."""

    def write(parameters, method="grid", name="small", **more) -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"method": method, "parameters": parameters, **more}), encoding="utf-8")
        return path

    return write


@pytest.fixture
def sweep_with(tmp_path, toy, write_sweep):
    """`sweep_with({"x": {"values": [0.1, 0.3]}})`는 작은 과제로 탐색하고 결과의 폴더를 돌려줍니다."""

    def sweep(parameters=None, method="grid", path=None, request=None, trial=toy.run_trial, **more):
        path = path or write_sweep(parameters, method, **more)
        base = {"outputs": str(tmp_path / "outputs")}
        return run_sweep(replace(toy.TASK, trial=trial), Request(str(path), base, **(request or {})))

    return sweep


@pytest.fixture
def start(tmp_path):
    """`start(탐색 파일, "--workers", "2")`는 작은 과제의 명령을 시작합니다."""
    started = []

    def begin(path, *more, outputs="outputs"):
        command = [sys.executable, str(TOY), str(path), str(tmp_path / outputs), *map(str, more)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
