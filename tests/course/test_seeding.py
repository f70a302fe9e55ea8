"""누가 전역 난수의 시드를 정했는지: 학생의 자리인지, 검사인지, 되돌려 놓았는지."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from course.checks.loading import load_step
from course.checks.seeding import SeedLog

STEP = """
import random
import torch

def answer():
    {code}

def calls_back(function):
    return function()
"""


@pytest.fixture
def seeded(tmp_path):
    """`seeded("torch.manual_seed(1)")`: 그 코드가 든 단계 파일이 정한 시드들의 이름."""

    def run(code, through="answer", *given):
        (tmp_path / "step1_numbers.py").write_text(STEP.format(code=code), encoding="utf-8")
        step = load_step(tmp_path, "step1_numbers")
        log = SeedLog(tmp_path.resolve(), checks=Path(__file__).resolve().parent)
        before = torch.get_rng_state(), random.getstate()
        log.begin()
        try:
            getattr(step, through)(*given)
        finally:
            log.end()
            torch.set_rng_state(before[0])
            random.setstate(before[1])
        return list(log.seeded.items())

    return run


@pytest.mark.parametrize("name", ["torch.manual_seed", "random.seed"])
def test_a_seed_is_noted_with_file_line_and_function(seeded, name):
    assert seeded(f"{name}(3)") == [(("step1_numbers.py", 6), name)]


def test_a_seed_set_through_a_library_is_the_students(seeded):
    code = "from transformers import set_seed; set_seed(3)"
    assert [where for where, _ in seeded(code)] == [("step1_numbers.py", 6)]


def test_a_seed_put_back_is_forgotten(seeded):
    assert seeded("with torch.random.fork_rng(devices=[]): torch.manual_seed(3)") == []


def test_a_seed_set_by_the_check_is_not_the_students(seeded):
    assert seeded("pass", "calls_back", lambda: torch.manual_seed(3)) == []


def test_the_functions_are_put_back(seeded):
    before = torch.manual_seed, torch.set_rng_state, random.seed, random.setstate
    seeded("pass")
    assert (torch.manual_seed, torch.set_rng_state, random.seed, random.setstate) == before
