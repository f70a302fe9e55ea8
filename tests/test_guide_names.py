"""가이드의 이름과 우리의 이름(docs/guide/names.md): 오른쪽에 적힌 것은 정말 있습니다."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from course.checks.loading import load_step
from course.home import ROOT
from nlpbook.summarization.config import SummarizationConfig

TEXT = (ROOT / "docs" / "guide" / "names.md").read_text(encoding="utf-8")
ROWS = [
    line.rsplit(" | ", 1) for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| 가이드")
]
OURS = sorted({name for _, right in ROWS for name in re.findall(r"`([^`]+)`", right)})
INLINE = sorted(set(re.findall(r"`(nlpbook/[^`]+:[^`]+)`", TEXT)))
COMMANDS = [name for name in OURS if name.startswith("python ")]
DEFINED = sorted({*(name for name in OURS if ".py:" in name), *INLINE})
SETTINGS = {".".join(leaf.path) for leaf in SummarizationConfig.leaves()}
GROUPS = {name.partition(".")[0] for name in SETTINGS}
INSIDE_RUNS = {"model.safetensors", "tokenizer_config.json"}  # 실행 폴더에 생기는 파일
KEYS = [name for name in OURS if name.partition(".")[0] in GROUPS and "/" not in name and name not in INSIDE_RUNS]
PATHS = [name for name in OURS if name not in {*COMMANDS, *DEFINED, *KEYS, *INSIDE_RUNS}]


@cache
def names_in(path: Path) -> set[str]:
    """파일의 함수와 클래스, `클래스.메서드`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return found


@pytest.mark.parametrize("name", DEFINED)
def test_a_function_or_class_of_ours_exists(name):
    path, _, member = name.partition(":")
    assert member in names_in(ROOT / path)


@pytest.mark.parametrize("name", PATHS)
def test_a_file_or_folder_of_ours_exists(name):
    assert (ROOT / name).exists()


@pytest.mark.parametrize("name", KEYS)
def test_a_setting_of_ours_exists(name):
    assert name in SETTINGS


@cache
def command_of(script: str, name: str) -> Any:
    """단계의 명령. 이름을 적지 않은 것(`--`로 시작)은 기본 명령입니다."""
    solution = ROOT / "solutions" / script
    if not solution.is_file():
        pytest.skip("해답이 없는 배포판입니다")
    step = load_step(solution.parent, solution.stem)
    whole = typer.main.get_command(step.build_cli() if hasattr(step, "build_cli") else step.cli)
    return getattr(whole, "commands", {}).get("run" if name.startswith("--") else name, whole)


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_ours_takes_these_options(line):
    _, script, *words = line.split()
    assert (ROOT / script).is_file()
    known = {name for one in command_of(script, words[0]).params for name in one.opts}
    assert {word.replace("-", "_") for word in words if word.startswith("--")} <= {
        name.replace("-", "_") for name in known
    }


def test_every_row_says_something_of_ours():
    assert len(ROWS) > 110
    assert all(right.strip(" |") for _, right in ROWS)
    assert len(DEFINED) > 55
    assert len(COMMANDS) >= 9
    assert len(KEYS) > 30
