"""환경을 갖추는 일. 정말로 설치하지는 않습니다. 무엇을 설치하는지 적은 파일들은 test_requirements.py가 봅니다."""

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
    """`requirements("a>=1\\n")`: requirements.txt의 내용을 정합니다."""
    file = tmp_path / "requirements.txt"
    monkeypatch.setattr(bootstrap, "REQUIREMENTS", file)
    monkeypatch.setattr(bootstrap, "CONSTRAINTS", tmp_path / "constraints.txt")
    monkeypatch.setattr(bootstrap, "developer_tools", lambda: ["ruff>=1", "ipykernel>=6"])
    file.write_text("rich>=1,<2\n", encoding="utf-8")
    bootstrap.CONSTRAINTS.write_text("rich==1.0\nflask==2.5\ntorch==2.13.0\n", encoding="utf-8")
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
        held: list[list[str]]  # 설치할 때마다, `-c`로 건넨 파일의 줄들

    ran = Commands()
    ran.held = []

    def run(command, **_):
        ran.append([str(word) for word in command])
        if "-c" in command and "install" in command:
            ran.held.append(Path(command[command.index("-c") + 1]).read_text(encoding="utf-8").splitlines())
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


def test_only_absent_packages_and_versions_out_of_range_are_missing(requirements, installed):
    requirements("# 설명\nrich>=1,<2\nflask>=2,<3\n\nnumpy>=1.26,<3\ntyper>=0.15,<1\n")
    installed.update(rich="1.9.3", flask="1.9", typer="1.0")
    wanted = bootstrap.requirements()
    assert bootstrap.missing_here(wanted) == ["flask>=2,<3", "numpy>=1.26,<3", "typer>=0.15,<1"]


@pytest.mark.parametrize(
    ("version", "bounds", "holds"),
    [
        ("2.13.0+cu130", ">=2.6,<3", True),
        ("2.13.0+cu130", "==2.13.0", True),
        ("2.13", "==2.13.0", True),
        ("2.13.1", "==2.13.0", False),
        ("2.5.9", ">=2.6,<3", False),
        ("3.0.0", ">=2.6,<3", False),
        ("2.9.0a0+git12", ">=2.6,<3", True),
        ("2.10", ">=2.6,<2.11", True),
        ("0.16.0", ">=0.16,<1", True),
        ("1.0.0.dev3", "<1", False),
        ("2026.11.19", ">=2025.1", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version, bounds, holds):
    assert bootstrap.fits(version, f"name{bounds}") is holds


@pytest.mark.parametrize("line", ["rich", "rich~=1.0", "rich>=1 ; sys_platform == 'linux'", "rich>=1.0rc1", "-e ."])
def test_line_of_another_form_is_not_guessed_at(line):
    with pytest.raises(ValueError, match="읽을 수 없는 줄입니다"):
        bootstrap.applies(line)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("", True),
        (f'; python_version < "3.{MINOR}"', False),
        (f'; python_version < "3.{MINOR + 1}"', True),
        (f';python_version >= "3.{MINOR}"', True),
        (f'; python_version>="3.{MINOR + 1}"', False),
    ],
)
def test_line_counts_only_for_the_python_it_names(requirements, installed, condition, holds):
    requirements(f"rich>=1{condition}\n")
    assert bootstrap.missing_here(bootstrap.requirements()) == (["rich>=1"] if holds else [])
    installed["rich"] = "1.0"
    assert bootstrap.missing_here(bootstrap.requirements()) == []


@pytest.fixture
def plain(monkeypatch):
    """아무 환경도 켜지 않은 파이썬."""
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    for name in ("CONDA_PREFIX", "CONDA_DEFAULT_ENV", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("sign", ["venv", "conda", "colab"])
def test_environment_chosen_by_a_person_is_noticed(plain, monkeypatch, sign):
    assert not bootstrap.is_activated()
    if sign == "venv":
        monkeypatch.setattr(sys, "prefix", "/somewhere/else")
    elif sign == "conda":
        monkeypatch.setenv("CONDA_PREFIX", sys.prefix)
        monkeypatch.setenv("CONDA_DEFAULT_ENV", "nlp")
    else:
        monkeypatch.setenv("COLAB_RELEASE_TAG", "있음")
    assert bootstrap.is_activated()


@pytest.mark.parametrize(("name", "prefix"), [("base", sys.base_prefix), ("nlp", "/opt/conda/envs/nlp")])
def test_conda_base_and_a_conda_that_does_not_run_us_are_not_chosen(plain, monkeypatch, name, prefix):
    monkeypatch.setenv("CONDA_PREFIX", prefix)
    monkeypatch.setenv("CONDA_DEFAULT_ENV", name)
    assert not bootstrap.is_activated()


def test_our_own_environment_is_ours_even_when_activated(monkeypatch, tmp_path):
    monkeypatch.setattr(bootstrap, "OWN", tmp_path / ".venv")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert not bootstrap.is_activated()


@pytest.fixture
def chosen(monkeypatch, requirements, installed, commands):
    """사람이 켜 둔 환경. rich와 범위 안의 torch와 ipykernel이 있고 flask가 없습니다."""
    monkeypatch.setattr(bootstrap, "is_activated", lambda: True)
    requirements("rich>=1,<2\nflask>=2,<3\ntorch>=2.6,<3\n")
    installed.update(rich="1.0", torch="2.8.0+cu126", ipykernel="6.17.1")
    return installed


def test_activated_environment_is_used_and_gets_only_what_is_missing(chosen, commands):
    assert bootstrap.ready_python() == Path(sys.executable)
    [command] = commands
    assert command[0] == sys.executable
    assert [word for word in command if ">=" in word or "==" in word] == ["flask>=2,<3"]
    chosen.update(flask="2.0")
    assert bootstrap.ready_python() == Path(sys.executable)
    assert len(commands) == 1


def test_what_is_already_fine_is_held_at_its_version(chosen, commands):
    bootstrap.ready_python()
    assert commands.held == [["rich==1.0", "torch==2.8.0+cu126", "ipykernel==6.17.1", "flask==2.5"]]


def test_exact_version_that_does_not_fit_the_environment_is_given_up(chosen, commands):
    commands.fails = {"install"}
    with pytest.raises(bootstrap.SetupFailed, match="deactivate"):
        bootstrap.ready_python()
    assert [("flask==2.5" in held, "torch==2.8.0+cu126" in held) for held in commands.held] == [
        (True, True),
        (False, True),
    ]


def test_developer_tools_come_only_with_the_tests(chosen, commands):
    chosen.update(flask="2.0")
    bootstrap.ready_python()
    assert commands == []
    bootstrap.ready_python(for_tests=True)
    assert commands[0][-1] == "ruff>=1"


def test_tests_ask_for_the_developer_tools(monkeypatch):
    asked = []

    def ready(for_tests):
        asked.append(for_tests)
        raise bootstrap.SetupFailed

    monkeypatch.setattr(bootstrap, "found_python", lambda for_tests: None)
    monkeypatch.setattr(bootstrap, "ready_python", ready)
    for arguments in (["demo"], ["test", "-k", "x"], ["check", "test"]):
        bootstrap.main(arguments)
    assert asked == [False, True, False]


def test_own_environment_gets_the_developer_tools_in_the_same_call(own, commands):
    bootstrap.ready_python(for_tests=True)
    [command] = installs(commands)
    assert command[-4:] == ["-r", str(bootstrap.REQUIREMENTS), "ruff>=1", "ipykernel>=6"]
    commands.clear()
    bootstrap.ready_python(for_tests=True)
    bootstrap.ready_python()
    assert commands == []


def test_own_environment_is_made_once(own, commands):
    assert bootstrap.ready_python() == own
    assert [command[1:3] for command in commands if "-V" not in command] == [["-m", "venv"], ["-m", "pip"]]
    assert commands[-1][commands[-1].index("-c") + 1] == str(bootstrap.CONSTRAINTS)
    commands.clear()
    assert bootstrap.ready_python() == own
    assert commands == []


@pytest.mark.parametrize("file", ["REQUIREMENTS", "CONSTRAINTS"])
def test_changed_versions_are_installed_into_the_same_environment(own, commands, file):
    bootstrap.ready_python()
    commands.clear()
    getattr(bootstrap, file).write_text("rich==1.5\n", encoding="utf-8")
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
    def interrupted(for_tests):
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "found_python", lambda for_tests: None)
    monkeypatch.setattr(bootstrap, "ready_python", interrupted)
    assert bootstrap.main(["demo"]) == 130
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
    ("what", "asked"), [(["rich>=1"], False), (["rich>=1", "torch>=2.6,<3"], True), (["-r", "file"], True)]
)
def test_the_place_is_asked_only_when_torch_is_installed(commands, requirements, monkeypatch, what, asked):
    monkeypatch.setattr(bootstrap, "cpu_wheels", lambda: ["--extra-index-url", "there"])
    bootstrap.install(Path(sys.executable), what, bootstrap.CONSTRAINTS)
    assert ("--extra-index-url" in commands[0]) is asked


@pytest.mark.parametrize(("system", "driver", "told"), [("win32", True, 1), ("win32", False, 0), ("linux", True, 0)])
def test_windows_with_a_gpu_is_told_where_torch_with_cuda_is(requirements, monkeypatch, capsys, system, driver, told):
    monkeypatch.setattr(bootstrap.sys, "platform", system)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: name if driver else None)
    bootstrap.announce(["rich>=1", "torch>=2.6,<3"])
    lines = [line for line in capsys.readouterr().out.splitlines() if bootstrap.CUDA_WHEELS in line]
    assert len(lines) == told
    assert all("torch==2.13.0 --index-url" in line for line in lines)


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


@pytest.fixture
def nothing_runs(monkeypatch):
    """아무것도 설치하지 않았음을 봅니다."""

    def ready(for_tests):
        pytest.fail("설치하려 했습니다")

    monkeypatch.setattr(bootstrap, "ready_python", ready)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "강의 고치기"),
        (["-h"], 0, "처음 모습에서 내가 무엇을 바꾸었는지"),
        ([], 2, "배우기"),
        (["check", "--help"], 0, "틀렸으면 무엇을 잘못 생각했는지"),
        (["demo", "-h"], 0, "python3 -m course demo"),
        (["chekc", "cls"], 2, "혹시 check 인가요?"),
    ],
)
def test_help_and_unknown_commands_are_answered_without_installing(
    own, commands, nothing_runs, capsys, arguments, code, said
):
    assert bootstrap.main(arguments) == code
    told = capsys.readouterr()
    assert said in (told.err if code else told.out)
    assert commands == []


def test_help_is_left_to_the_installed_tool(chosen, monkeypatch, capsys):
    chosen.update(flask="2.0")
    monkeypatch.setattr("course.cli.main", lambda arguments: print("도구가 답합니다", arguments) or 0)
    assert bootstrap.main(["check", "--help"]) == 0
    assert capsys.readouterr().out == "도구가 답합니다 ['check', '--help']\n"


@pytest.mark.parametrize("version", [(3, 9), (3, 15), (2, 7)])
@pytest.mark.parametrize("found", [["py", "-3.13"], None])
def test_python_that_does_not_work_is_refused_before_installing(nothing_runs, monkeypatch, capsys, version, found):
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    monkeypatch.setattr(bootstrap, "other_python", lambda minors: found)
    assert bootstrap.main(["demo", "lm"]) == 1
    err = capsys.readouterr().err
    assert "Python 3.10부터 3.14까지" in err
    assert "지금은 {}.{}입니다".format(*version) in err
    assert ("py -3.13 -m course demo lm" if found else "python.org") in err


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_first_and_last_python_are_let_through(monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    bootstrap.refuse_unsupported([])


def test_newest_python_that_really_runs_is_found(monkeypatch):
    """이름만 있고 실행되지 않는 것(pyenv의 shim)은 건너뜁니다."""
    runs = {"python3.13": 127, "python3.12": 0, "python3.11": 0}
    monkeypatch.setattr(bootstrap.os, "name", "posix")
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: name if name in runs else None)
    monkeypatch.setattr(
        bootstrap.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, runs[command[0]])
    )
    assert bootstrap.other_python(range(14, 9, -1)) == ["python3.12"]
    runs.clear()
    assert bootstrap.other_python(range(14, 9, -1)) is None


@pytest.mark.parametrize(("machine", "refused"), [("x86_64", True), ("arm64", False)])
def test_intel_mac_is_sent_to_colab(monkeypatch, machine, refused):
    monkeypatch.setattr(bootstrap.sys, "platform", "darwin")
    monkeypatch.setattr(bootstrap.platform, "machine", lambda: machine)
    if refused:
        with pytest.raises(bootstrap.SetupFailed, match="Colab"):
            bootstrap.refuse_unsupported([])
    else:
        bootstrap.refuse_unsupported([])


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


FIRST = ["course/__init__.py", "course/__main__.py", "course/bootstrap.py", "course/front.py", "console_text.py"]


@pytest.mark.parametrize("name", FIRST)
def test_first_files_to_run_are_read_by_an_old_python(name):
    ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.parametrize("name", FIRST)
def test_first_files_to_run_need_only_the_standard_library(name):
    outside = {one for one in imported(ROOT / name) if one.split(".")[0] not in sys.stdlib_module_names}
    # 명령(course.cli)은 환경을 갖춘 뒤에, 함수 안에서 불러옵니다.
    assert outside <= {"course.bootstrap", "course.front", "course.cli", "console_text"}
    assert "course.cli" not in imported(ROOT / name, top_level=True)


@pytest.mark.parametrize(("house", "stranger"), [("course", "nlpbook"), ("nlpbook", "course")])
def test_engine_and_library_do_not_know_each_other(house, stranger):
    files = sorted((ROOT / house).rglob("*.py"))
    assert files
    assert [file.name for file in files if any(one.split(".")[0] == stranger for one in imported(file))] == []
