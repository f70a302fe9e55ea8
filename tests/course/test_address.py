"""저장소의 주소는 pyproject.toml의 `Repository` 한 곳에 있고, 사람이 읽는 글은 그것과 같아야 합니다."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from course import bootstrap

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = re.search(r'^Repository = "(.+)"$', bootstrap.PROJECT.read_text(encoding="utf-8"), re.MULTILINE)[1]
NOTEBOOK = "notebooks/pipeline_tour.ipynb"
NOTEBOOKS = [NOTEBOOK, "notebooks/summarization_baseline.ipynb"]


def colab(name: str) -> str:
    home = REPOSITORY.replace("https://github.com/", "https://colab.research.google.com/github/")
    return f"{home}/blob/main/{name}"


def badge(name: str) -> str:
    return f"[![Colab에서 열기](https://colab.research.google.com/assets/colab-badge.svg)]({colab(name)})"


COLAB = colab(NOTEBOOK)
BADGE = badge(NOTEBOOK)


def cell(name: str, index: int) -> str:
    notebook = json.loads((ROOT / name).read_text(encoding="utf-8"))
    return "".join(notebook["cells"][index]["source"])


def test_address_is_a_repository_on_github():
    assert re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+(?<!\.git)", REPOSITORY)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("README.md", BADGE),
        ("README_stepwise_learning.md", f"!git clone {REPOSITORY}.git\n%cd {REPOSITORY.rpartition('/')[2]}\n"),
        ("README_stepwise_learning.md", f"[노트북]({COLAB})"),
    ],
)
def test_documents_say_the_address(name, line):
    assert line in (ROOT / name).read_text(encoding="utf-8"), f"{name}에 이렇게 적어 주세요: {line}"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_says_the_address(name):
    assert badge(name) in cell(name, 0)
    assert f'REPOSITORY = "{REPOSITORY}.git"\n' in cell(name, 2)


@pytest.mark.parametrize("name", ["README.md", "README_stepwise_learning.md", "CONTRIBUTING.md", *NOTEBOOKS])
def test_no_other_address_of_ours_is_left(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    project = REPOSITORY.rpartition("/")[2]
    owners = set(re.findall(rf"github(?:\.com)?/([\w.<>-]+)/{re.escape(project)}", text))
    assert owners <= {REPOSITORY.split("/")[3]}
    assert "<저장소>" not in text
    assert "저장소의 주소>" not in text


def test_readme_says_the_torch_and_the_index_of_the_bootstrap():
    [torch] = [line for line in bootstrap.lines_of(bootstrap.CONSTRAINTS) if bootstrap.name_of(line) == "torch"]
    command = f"python -m pip install --force-reinstall --no-deps {torch} --index-url {bootstrap.CUDA_WHEELS}"
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")


def test_guides_say_which_pythons_work():
    first, last = bootstrap.supported_minors()
    for name in ("README.md", "README_stepwise_learning.md"):
        assert f"Python 3.{first}부터 3.{last}까지" in (ROOT / name).read_text(encoding="utf-8")
