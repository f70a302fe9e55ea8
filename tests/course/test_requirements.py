"""무엇을 설치하는지 적은 곳들: requirements.txt, constraints.txt, pyproject.toml. 사실마다 한 곳에만 있어야 합니다."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from course import bootstrap
from course.author import suite
from course.home import Home

ROOT = Path(__file__).resolve().parents[2]
SUPPORTED = range(10, 15)
# 코드가 부르는 이름과 설치하는 이름이 다른 것.
INSTALLED_AS = {
    "flask_classful": "flask-classful",
    "google": "protobuf",
    "huggingface_hub": "huggingface-hub",
    "PIL": "pillow",
    "traitlets": "ipykernel",
    "IPython": "ipykernel",
    "korouge_score": "korouge-score",
    "rouge_score": "rouge-score",
    "yaml": "PyYAML",
}
EXTRAS = {"kiwipiepy", "sklearn"}  # pyproject.toml의 선택 설치. 없으면 코드가 설치하는 법을 알려 줍니다.
OURS = {"course", "nlpbook", "tests", "todo", "console_text", "command_line", "scripts", "benchmarks"}


def written(file: Path) -> list[str]:
    """설명을 뺀 줄들. 다른 파이썬의 줄도 있습니다."""
    lines = [line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line]


def names(lines: list[str]) -> list[str]:
    return [bootstrap.name_of(line) for line in lines]


def imported(folders: list[str]) -> set[str]:
    """폴더들의 코드가 불러오는, 우리 것도 표준 라이브러리도 아닌 것의 이름."""
    found = set()
    for folder in folders:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {one.name.split(".")[0] for one in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    found.add(node.module.split(".")[0])
    return {
        INSTALLED_AS.get(name, name)
        for name in found - OURS - EXTRAS - set(sys.stdlib_module_names)
        if not re.match(r"step\d", name)
    }


def test_requirements_are_ranges_we_can_read():
    lines = written(bootstrap.REQUIREMENTS) + bootstrap.developer_tools()
    assert lines
    wrong = [line for line in lines if not re.fullmatch(r"[\w.-]+>=[\d.]+,<[\d.]+", line) or not bootstrap.parsed(line)]
    assert wrong == []


def test_constraints_are_exact_versions_we_can_read():
    lines = written(bootstrap.CONSTRAINTS)
    assert lines
    assert [line for line in lines if re.match(r"==[\d.]+$", bootstrap.parsed(line)["range"]) is None] == []


@pytest.mark.parametrize("minor", SUPPORTED)
def test_every_package_has_one_exact_version_within_its_range(monkeypatch, minor):
    monkeypatch.setattr(sys, "version_info", (3, minor, 0))
    ranges = bootstrap.requirements() + bootstrap.developer_tools()
    exact = bootstrap.lines_of(bootstrap.CONSTRAINTS)
    assert sorted(names(exact)) == sorted(names(ranges))
    versions = {bootstrap.name_of(line): line.partition("==")[2] for line in exact}
    assert [line for line in ranges if not bootstrap.fits(versions[bootstrap.name_of(line)], line)] == []


def test_everything_the_students_code_imports_is_required():
    needed = imported(["course", "nlpbook", "solutions"])
    assert needed - set(names(written(bootstrap.REQUIREMENTS))) == set()


def test_everything_the_tests_import_is_required():
    needed = imported(["tests", "scripts", "benchmarks"])
    assert needed - set(names(written(bootstrap.REQUIREMENTS) + bootstrap.developer_tools())) == set()


def test_every_tool_the_suite_runs_is_required(monkeypatch):
    monkeypatch.setattr(suite, "has_cuda", lambda python: True)
    stages = suite.stages(Home(ROOT), [])
    tools = {command[command.index("-m") + 1] for _, command in stages}
    assert {"ruff", "basedpyright", "pytest"} <= tools
    assert tools - OURS - set(names(written(bootstrap.REQUIREMENTS) + bootstrap.developer_tools())) == set()


def test_supported_pythons_are_read_from_the_project():
    assert bootstrap.supported_minors() == (SUPPORTED[0], SUPPORTED[-1])


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib은 3.11부터 있습니다")
def test_project_is_read_as_toml_reads_it():
    import tomllib

    project = tomllib.loads(bootstrap.PROJECT.read_text(encoding="utf-8"))
    assert bootstrap.developer_tools() == project["project"]["optional-dependencies"]["dev"]
    assert project["project"]["dynamic"] == ["dependencies"]
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"]["file"] == [bootstrap.REQUIREMENTS.name]
    for package, files in project["tool"]["setuptools"]["package-data"].items():
        assert [one for one in files if not (ROOT / package / one).is_file()] == []


def test_ci_runs_every_supported_python():
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert set(re.findall(r'"3\.(\d+)"', text)) == {str(minor) for minor in SUPPORTED}
