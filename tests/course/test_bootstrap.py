"""환경을 갖추는 일. 정말로 설치하지는 않습니다."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import urllib.error
from importlib import metadata
from pathlib import Path

import pytest

from course import bootstrap

ROOT = Path(__file__).resolve().parents[2]
MINOR = sys.version_info[1]


@pytest.fixture
def requirements(tmp_path, monkeypatch):
    """`requirements("a==1\\n")`: requirements.txt의 내용을 정합니다."""
    file = tmp_path / "requirements.txt"
    monkeypatch.setattr(bootstrap, "REQUIREMENTS", file)
    file.write_text("rich==1.0\n", encoding="utf-8")
    return lambda text: file.write_text(text, encoding="utf-8")


@pytest.fixture
def installed(monkeypatch):
    """설치된 패키지와 버전."""
    have = {}

    def version(name):
        if name not in have:
            raise metadata.PackageNotFoundError(name)
        return have[name]

    monkeypatch.setattr(bootstrap.metadata, "version", version)
    return have


@pytest.fixture
def commands(monkeypatch):
    """실행했을 명령들. `commands.fails`에 든 낱말이 있는 명령은 실패합니다."""

    class Commands(list):
        fails: frozenset[str] = frozenset()

    ran = Commands()

    def run(command, **_):
        ran.append([str(word) for word in command])
        if "venv" in command:
            python = Path(command[-1]) / bootstrap_python()
            python.parent.mkdir(parents=True, exist_ok=True)
            python.touch()
        failed = bool(ran.fails & set(command)) or ("-V" in command and not Path(command[0]).is_file())
        return subprocess.CompletedProcess(command, int(failed), "", "까닭")

    monkeypatch.setattr(bootstrap.subprocess, "run", run)
    monkeypatch.setattr(bootstrap, "cpu_wheels", list)
    return ran


def bootstrap_python():
    return "Scripts/python.exe" if sys.platform == "win32" else "bin/python"


@pytest.fixture
def own(tmp_path, monkeypatch, requirements):
    """켜진 환경이 없고, 저장소의 .venv가 있을 자리."""
    monkeypatch.setattr(bootstrap, "is_activated", lambda: False)
    monkeypatch.setattr(bootstrap, "OWN", tmp_path / ".venv")
    return tmp_path / ".venv" / bootstrap_python()


def installs(commands):
    return [command for command in commands if "install" in command]


def test_only_absent_packages_and_other_versions_are_missing(requirements, installed):
    requirements("# 설명\nrich==1.0\nflask==2.0  # 서버\n\nnumpy==3.0\n")
    installed.update(rich="1.0", flask="1.9")
    assert bootstrap.missing_here() == ["flask==2.0", "numpy==3.0"]


def test_torch_of_the_machine_is_left_alone(requirements, installed):
    requirements("torch==2.13.0\n")
    installed["torch"] = "2.4.1+cu124"
    assert bootstrap.missing_here() == []
    del installed["torch"]
    assert bootstrap.missing_here() == ["torch==2.13.0"]


def test_local_build_of_the_same_version_is_enough(requirements, installed):
    requirements("rich==1.0\n")
    installed["rich"] = "1.0+ubuntu1"
    assert bootstrap.missing_here() == []


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("", True),
        (f'; python_version < "3.{MINOR}"', False),
        (f'; python_version < "3.{MINOR + 1}"', True),
        (f';python_version >= "3.{MINOR}"', True),
        (f' ; python_version>="3.{MINOR + 1}"', False),
    ],
)
def test_line_counts_only_for_the_python_it_names(requirements, installed, condition, holds):
    requirements(f"rich==1.0{condition}\n")
    assert bool(bootstrap.missing_here()) is holds
    installed["rich"] = "1.0"
    assert bootstrap.missing_here() == []


@pytest.mark.parametrize("sign", ["venv", "CONDA_PREFIX", "COLAB_RELEASE_TAG"])
def test_environment_chosen_by_a_person_is_noticed(monkeypatch, sign):
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    for name in ("CONDA_PREFIX", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    assert not bootstrap.is_activated()
    if sign == "venv":
        monkeypatch.setattr(sys, "prefix", "/somewhere/else")
    else:
        monkeypatch.setenv(sign, "있음")
    assert bootstrap.is_activated()


def test_activated_environment_is_used_and_gets_only_what_is_missing(monkeypatch, requirements, installed, commands):
    monkeypatch.setattr(bootstrap, "is_activated", lambda: True)
    requirements("rich==1.0\nflask==2.0\n")
    installed.update(rich="1.0")
    assert bootstrap.ready_python() == Path(sys.executable)
    [command] = commands
    assert command[0] == sys.executable
    assert [word for word in command if "==" in word] == ["flask==2.0"]
    installed.update(flask="2.0")
    assert bootstrap.ready_python() == Path(sys.executable)
    assert len(commands) == 1


def test_own_environment_is_made_once(own, commands):
    assert bootstrap.ready_python() == own
    assert [command[1:3] for command in commands if "-V" not in command] == [["-m", "venv"], ["-m", "pip"]]
    commands.clear()
    assert bootstrap.ready_python() == own
    assert commands == []


def test_changed_requirements_are_installed_into_the_same_environment(own, commands, requirements):
    bootstrap.ready_python()
    commands.clear()
    requirements("rich==2.0\n")
    bootstrap.ready_python()
    assert len(installs(commands)) == 1
    assert not any("venv" in command for command in commands)


def test_half_made_environment_is_made_again(own, commands):
    own.parent.mkdir(parents=True)
    own.touch()
    commands.fails = {"-V"}
    bootstrap.ready_python()
    assert any("venv" in command for command in commands)


def test_failed_installation_is_tried_again_next_time(own, commands):
    commands.fails = {"install"}
    with pytest.raises(bootstrap.SetupFailed):
        bootstrap.ready_python()
    commands.fails = set()
    bootstrap.ready_python()
    assert len(installs(commands)) == 2


@pytest.mark.parametrize(
    ("fails", "said"), [("install", "패키지를 설치하지 못했습니다"), ("venv", "가상환경을 만들지 못했습니다")]
)
def test_failure_is_said_in_korean_with_exit_code_1(own, commands, capsys, fails, said):
    commands.fails = {fails}
    assert bootstrap.main(["status"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"오류: {said}")
    assert "Traceback" not in err


def test_interrupted_installation_says_how_to_go_on(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "ready_python", interrupted)
    assert bootstrap.main([]) == 130
    assert "같은 명령을 다시 실행하면" in capsys.readouterr().err


@pytest.fixture
def wheels(monkeypatch, tmp_path):
    """CPU용 torch가 있는 곳과 GPU가 없는 Linux. `wheels.reachable`로 그곳에 닿는지를 정합니다."""

    class Wheels:
        reachable = True

    def urlopen(url, timeout):
        if not Wheels.reachable:
            raise urllib.error.URLError("닿지 않습니다")
        return io.BytesIO()

    monkeypatch.setattr(bootstrap.urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    monkeypatch.setattr(bootstrap.sys, "platform", "linux")
    monkeypatch.setattr(bootstrap, "NVIDIA", (tmp_path / "nvidia0",))
    return Wheels


def test_linux_without_a_gpu_gets_torch_without_cuda(wheels):
    assert bootstrap.cpu_wheels() == ["--extra-index-url", bootstrap.CPU_WHEELS]


@pytest.mark.parametrize(
    ("what", "asked"), [(["rich==1.0"], False), (["rich==1.0", "torch==2.13.0"], True), (["-r", "file"], True)]
)
def test_the_place_is_asked_only_when_torch_is_installed(commands, requirements, monkeypatch, what, asked):
    monkeypatch.setattr(bootstrap, "cpu_wheels", lambda: ["--extra-index-url", "there"])
    bootstrap.install(Path(sys.executable), what)
    assert ("--extra-index-url" in commands[0]) is asked


@pytest.mark.parametrize("why", ["driver", "device", "windows", "macos", "unreachable"])
def test_others_get_torch_from_the_usual_place(wheels, monkeypatch, tmp_path, why):
    if why == "driver":
        monkeypatch.setattr(bootstrap.shutil, "which", lambda name: f"/usr/bin/{name}")
    elif why == "device":
        (tmp_path / "nvidia0").touch()
    elif why == "unreachable":
        wheels.reachable = False
    else:
        monkeypatch.setattr(bootstrap.sys, "platform", {"windows": "win32", "macos": "darwin"}[why])
    assert bootstrap.cpu_wheels() == []


def imported(file: Path, *, top_level: bool = False) -> set[str]:
    """파일이 불러오는 모듈의 이름들."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = set()
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py", "bootstrap.py"])
def test_first_files_to_run_need_only_the_standard_library(name):
    outside = {one for one in imported(ROOT / "course" / name) if one.split(".")[0] not in sys.stdlib_module_names}
    # 명령(course.cli)은 환경을 갖춘 뒤에, 함수 안에서 불러옵니다.
    assert outside <= {"course.bootstrap", "course.cli"}
    assert "course.cli" not in imported(ROOT / "course" / name, top_level=True)


@pytest.mark.parametrize(("house", "stranger"), [("course", "nlpbook"), ("nlpbook", "course")])
def test_engine_and_library_do_not_know_each_other(house, stranger):
    files = sorted((ROOT / house).rglob("*.py"))
    assert files
    assert [file.name for file in files if any(one.split(".")[0] == stranger for one in imported(file))] == []
