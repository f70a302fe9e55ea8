"""실행 환경을 갖춥니다. 표준 라이브러리만 씁니다.

사람이 켜 둔 가상환경(venv, conda, Colab)이 있으면 그것을, 없으면 이 저장소의 `.venv`를 만들어 씁니다.

- `.venv`에는 requirements.txt의 것을 constraints.txt의 정확한 버전으로 설치합니다.
- 사람이 켜 둔 환경에는 없거나 requirements.txt의 범위를 벗어난 것만 설치하고, 범위 안에 있는 것은 건드리지 않습니다.
- 쓸 수 없는 파이썬과 컴퓨터에서는 아무것도 설치하기 전에 멈추고, 무엇을 하면 되는지 말합니다.
- 도움말과 잘못 적은 명령에는 아무것도 설치하지 않고 답합니다(`front.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from importlib import metadata
from pathlib import Path

from console_text import fitted, make_printable, with_particles
from course.front import answer

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "pyproject.toml"
REQUIREMENTS = ROOT / "requirements.txt"
CONSTRAINTS = ROOT / "constraints.txt"
OWN = ROOT / ".venv"
STAMP = ".course-requirements"
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
CUDA_WHEELS = "https://download.pytorch.org/whl/cu130"
NVIDIA = (Path("/dev/nvidia0"), Path("/dev/nvidiactl"), Path("/dev/dxg"))  # 마지막 것은 WSL의 GPU입니다.
LINE = re.compile(
    r"""(?P<name>[A-Za-z0-9][\w.-]*)(\[[\w,-]+\])?
    (?P<range>(>=|<|==)[\d.]+(,(>=|<|==)[\d.]+)*)
    (;\s*python_version\s*(?P<compare><|>=)\s*"3\.(?P<minor>\d+)")?""",
    re.VERBOSE,
)


def main(arguments: list[str]) -> int:
    """환경을 갖추고 명령을 실행합니다. 종료 코드를 돌려줍니다."""
    make_printable()
    try:
        refuse_unsupported(arguments)
        for_tests = arguments[:1] == ["test"]
        python = found_python(for_tests)
        told = answer(arguments) if python is None else None
        if told is not None:
            code, text = told
            print(text, end="", file=sys.stderr if code else sys.stdout)
            return code
        python = python or ready_python(for_tests)
    except SetupFailed as error:
        print(fitted(f"오류: {with_particles(str(error))}", sys.stderr), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("설치를 멈췄습니다. 같은 명령을 다시 실행하면 이어서 설치합니다.", file=sys.stderr)
        return 130
    if not same_file(python, Path(sys.executable)):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
        process = subprocess.Popen([str(python), "-m", "course", *arguments], env=environment)
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # Ctrl-C는 자식도 받습니다. 자식이 마무리하기를 기다립니다.
                continue
    sys.path.insert(0, str(ROOT))
    from course.cli import main as run

    return run(arguments)


class SetupFailed(Exception):
    """환경을 갖추지 못했습니다. 사람에게 그대로 보일 문장입니다."""


def refuse_unsupported(arguments: list[str]) -> None:
    """쓸 수 없는 파이썬이나 컴퓨터이면 멈춥니다. 쓸 수 있는 파이썬이 있으면 그것으로 실행할 명령을 말합니다.

    Raises:
        SetupFailed: 강의를 설치할 수 없을 때.
    """
    first, last = supported_minors()
    if not (3, first) <= sys.version_info[:2] <= (3, last):
        now = "{}.{}".format(*sys.version_info[:2])
        here = f"이 강의는 Python 3.{first}부터 3.{last}까지에서 됩니다. 지금은 {now}입니다."
        found = other_python(range(last, first - 1, -1))
        if found is None:
            raise SetupFailed(f"{here} https://www.python.org/downloads/ 에서 Python 3.{last - 1}을 설치해 주세요.")
        raise SetupFailed(f"{here} 이렇게 실행해 주세요: {' '.join([*found, '-m', 'course', *arguments])}")
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        raise SetupFailed(
            "Intel Mac용 PyTorch는 더 나오지 않으므로, README의 단추로 Colab에서 열어 주세요"
            "(Apple Silicon Mac이라면 arm64용 파이썬으로 다시 실행해 주세요)."
        )


def supported_minors() -> tuple[int, int]:
    """쓸 수 있는 Python 3.x의 처음과 마지막 x. pyproject.toml의 requires-python을 읽습니다."""
    match = in_project(r'^requires-python = ">=3\.(\d+),<3\.(\d+)"$')
    return int(match[1]), int(match[2]) - 1


def other_python(minors: range) -> list[str] | None:
    """이 컴퓨터에 있는, 그 가운데 하나인 파이썬을 부르는 명령. 이름만 있고 실행되지 않는 것은 건너뜁니다."""
    for minor in minors:
        command = ["py", f"-3.{minor}"] if os.name == "nt" else [f"python3.{minor}"]
        if shutil.which(command[0]) is None:
            continue
        asked = [*command, "-c", f"import sys; sys.exit(sys.version_info[:2] != (3, {minor}))"]
        with contextlib.suppress(OSError):
            if subprocess.run(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                return command
    return None


def found_python(for_tests: bool = False) -> Path | None:
    """필요한 것이 이미 모두 설치된 파이썬. 없으면 None입니다. 아무것도 설치하지 않습니다.

    Args:
        for_tests: 저장소의 시험이 쓰는 개발 도구(pyproject.toml의 dev)도 있어야 합니다.
    """
    if is_activated():
        return None if missing_here(wanted_packages(for_tests)) else Path(sys.executable)
    python, stamp = own_python(), stamp_of(for_tests)
    is_ready = python.is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == fingerprint(for_tests)
    return python if is_ready else None


def ready_python(for_tests: bool = False) -> Path:
    """필요한 것이 모두 설치된 파이썬. 없으면 설치합니다.

    Args:
        for_tests: 저장소의 시험이 쓰는 개발 도구도 갖춥니다.

    Raises:
        SetupFailed: 가상환경을 만들거나 패키지를 설치하지 못했을 때.
    """
    found = found_python(for_tests)
    if found is not None:
        return found
    if is_activated():
        complete_here(wanted_packages(for_tests))
        return Path(sys.executable)
    python, tools = own_python(), developer_tools() if for_tests else []
    if not has_pip(python):
        create_environment(python)
    announce(requirements() + tools)
    if not install(python, ["-r", str(REQUIREMENTS), *tools], CONSTRAINTS):
        raise SetupFailed(
            "패키지를 설치하지 못했습니다. 네트워크와 빈 디스크를 확인하고 같은 명령을 다시 실행해 주세요."
        )
    for tests_too in {False, for_tests}:
        stamp_of(tests_too).write_text(fingerprint(tests_too), encoding="utf-8")
    return python


def own_python() -> Path:
    """저장소의 `.venv`의 파이썬."""
    return OWN / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def wanted_packages(for_tests: bool) -> list[str]:
    return requirements() + (developer_tools() if for_tests else [])


def stamp_of(for_tests: bool) -> Path:
    """무엇까지 설치했는지 적어 두는 파일."""
    return OWN / (f"{STAMP}-test" if for_tests else STAMP)


def fingerprint(for_tests: bool) -> str:
    """설치할 것을 정하는 파일들의 해시. 달라지면 다시 설치합니다."""
    facts = REQUIREMENTS.read_bytes() + CONSTRAINTS.read_bytes()
    tools = developer_tools() if for_tests else []
    return hashlib.sha256(facts + "\n".join(tools).encode()).hexdigest()


def is_activated() -> bool:
    """사람이 고른 환경에서 실행되었는가: venv, conda, Colab.

    저장소의 `.venv`는 우리가 만든 것이고, conda의 `base`는 켜지 않아도 켜져 있는 것이라 고른 것이 아닙니다.
    """
    if sys.prefix != sys.base_prefix:
        return Path(sys.prefix).resolve() != OWN.resolve()
    conda = os.environ.get("CONDA_PREFIX", "")
    chose_conda = conda != "" and os.environ.get("CONDA_DEFAULT_ENV") != "base"
    runs_in_conda = chose_conda and Path(conda).resolve() == Path(sys.prefix).resolve()
    return runs_in_conda or "COLAB_RELEASE_TAG" in os.environ


def complete_here(wanted: list[str]) -> None:
    """켜져 있는 환경에 모자란 것만 설치합니다. 이미 있고 범위 안인 것은 그 버전에 묶어 두어 pip이 바꾸지 못합니다.

    먼저 constraints.txt의 정확한 버전으로 해 보고, 있는 것과 맞지 않으면 범위 안의 아무 버전으로 다시 합니다.

    Raises:
        SetupFailed: 있는 것을 그대로 두고는 설치할 수 없을 때.
    """
    missing = missing_here(wanted)
    if not missing:
        return
    absent = {name_of(line) for line in missing}
    exact = [line for line in lines_of(CONSTRAINTS) if name_of(line) in absent]
    here = versions_here(requirements() + developer_tools())
    present = [f"{name}=={have}" for name, have in here if name not in absent]
    announce(missing)
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder) / "constraints.txt"
        for lines in ([*present, *exact], present):
            held.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            if install(Path(sys.executable), missing, held):
                return
            print("이 환경에 있는 것을 그대로 두고 다시 맞춰 봅니다.", flush=True)
    raise SetupFailed(
        "켜져 있는 환경에 패키지를 설치하지 못했습니다. 네트워크와 빈 디스크를 확인해 주세요. 있는 패키지와 맞지 않는 "
        "것이라면, 환경을 끄고(`deactivate`) 같은 명령을 실행하면 저장소의 .venv에 따로 설치합니다."
    )


def missing_here(wanted: list[str]) -> list[str]:
    """`wanted` 가운데 이 파이썬에 없거나 범위를 벗어난 것들."""
    have = dict(versions_here(wanted))
    return [line for line in wanted if name_of(line) not in have or not fits(have[name_of(line)], line)]


def versions_here(wanted: list[str]) -> list[tuple[str, str]]:
    """`wanted` 가운데 이 파이썬에 있는 것의 이름과 버전."""
    found = []
    for name in map(name_of, wanted):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append((name, metadata.version(name)))
    return found


def requirements() -> list[str]:
    """requirements.txt에서 이 파이썬에 해당하는 줄들."""
    return lines_of(REQUIREMENTS)


def developer_tools() -> list[str]:
    """pyproject.toml의 `dev` 목록. Python 3.10에는 tomllib이 없어, 한 줄에 하나씩 적은 것을 읽습니다."""
    block = in_project(r"^dev = \[\n(.*?)^\]")
    return re.findall(r'^    "(.+)",$', block[1], re.MULTILINE)


def in_project(pattern: str) -> re.Match[str]:
    """pyproject.toml에서 찾은 곳.

    Raises:
        SetupFailed: 그런 곳이 없을 때.
    """
    match = re.search(pattern, PROJECT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if match is None:
        raise SetupFailed(f"{PROJECT.name}이 강의의 것과 다릅니다. 저장소를 다시 받아 주세요.")
    return match


def lines_of(file: Path) -> list[str]:
    """설명을 뺀, 이 파이썬에 해당하는 줄들. 조건은 떼고 돌려줍니다."""
    lines = [line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return [line.partition(";")[0].strip() for line in lines if line and applies(line)]


def parsed(line: str) -> re.Match[str]:
    """`이름>=1,<2; python_version < "3.14"` 모양의 한 줄. 우리가 적는 것은 이 모양뿐입니다.

    Raises:
        ValueError: 그 모양이 아닐 때.
    """
    match = LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"읽을 수 없는 줄입니다: {line}")
    return match


def name_of(line: str) -> str:
    return parsed(line)["name"]


def applies(line: str) -> bool:
    """줄의 조건이 이 파이썬에 맞는가."""
    match = parsed(line)
    if match["minor"] is None:
        return True
    return (sys.version_info[1] < int(match["minor"])) == (match["compare"] == "<")


def fits(version: str, line: str) -> bool:
    """버전이 줄의 범위 안인가. `2.13.0+cu130`의 `+` 뒤는 보지 않습니다."""
    have = release(version)
    for part in parsed(line)["range"].split(","):
        bound = part.lstrip("<>=")
        sign = part[: len(part) - len(bound)]
        if not {">=": have >= release(bound), "<": have < release(bound), "==": have == release(bound)}[sign]:
            return False
    return True


def release(version: str) -> tuple[int, ...]:
    """`"2.13.0rc1"`의 수들 `(2, 13)`. `2.13`과 `2.13.0`이 같도록 끝의 0은 뗍니다."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    numbers = match[0] if match else ""
    return tuple(int(number) for number in re.sub(r"(\.0+)+$", "", numbers).split(".") if number)


def has_pip(python: Path) -> bool:
    """쓸 수 있는 가상환경인가. 만들다가 멈춘 것은 파이썬만 있고 pip이 없습니다."""
    try:
        return subprocess.run([str(python), "-m", "pip", "-V"], capture_output=True).returncode == 0
    except OSError:
        return False


def create_environment(python: Path) -> None:
    print(f"가상환경을 만듭니다: {OWN}", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(OWN)], capture_output=True, text=True)
    if made.returncode != 0 or not python.is_file():
        raise SetupFailed(
            "가상환경을 만들지 못했습니다. "
            "Debian이나 Ubuntu라면 `sudo apt install python3-venv` 뒤에 다시 실행해 주세요.\n"
            + (made.stderr or made.stdout).strip()
        )


def announce(what: list[str]) -> None:
    """무엇을 설치하는지, 왜 오래 걸리는지 먼저 말합니다."""
    print(f"필요한 패키지를 설치합니다: {', '.join(map(name_of, what))}", flush=True)
    if "torch" not in map(name_of, what):
        return
    print("PyTorch가 커서 처음 한 번은 2~10분 걸립니다. 다음부터는 바로 시작합니다.", flush=True)
    if sys.platform == "win32" and shutil.which("nvidia-smi"):
        [torch] = [line for line in lines_of(CONSTRAINTS) if name_of(line) == "torch"]
        command = f"python -m pip install --force-reinstall --no-deps {torch} --index-url {CUDA_WHEELS}"
        print(f"NVIDIA GPU가 있습니다. CPU용이 설치되므로, GPU를 쓰려면 뒤에 실행해 주세요: {command}", flush=True)


def install(python: Path, what: list[str], constraints: Path) -> bool:
    """pip을 한 번 불러 설치합니다. 되었는지를 돌려줍니다."""
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "-q", "-c", str(constraints)]
    gets_torch = "-r" in what or any(name_of(one) == "torch" for one in what)
    return subprocess.run([*pip, *(cpu_wheels() if gets_torch else []), *what]).returncode == 0


def cpu_wheels() -> list[str]:
    """GPU가 없는 Linux에서 CPU용 PyTorch를 받게 하는 pip의 옵션.

    PyPI에 있는 Linux용 torch에는 CUDA가 딸려 와 몇 GB를 받습니다. 같은 버전의 CPU용(`2.13.0+cpu`)이 있는 곳을 함께
    알려 주면 pip은 그것을 고릅니다. Windows와 macOS의 것은 CUDA 없이 나옵니다. 그곳에 닿지 않으면 PyPI의 것을 씁니다.
    """
    if not sys.platform.startswith("linux") or shutil.which("nvidia-smi") or any(one.exists() for one in NVIDIA):
        return []
    try:
        urllib.request.urlopen(f"{CPU_WHEELS}/torch/", timeout=5).close()
    except OSError:
        return []
    return ["--extra-index-url", CPU_WHEELS]


def same_file(one: Path, other: Path) -> bool:
    """두 파이썬이 같은 환경인가. 링크를 따라가면 venv와 시스템이 같아 보이므로 폴더를 견줍니다."""
    return one.absolute().parent == other.absolute().parent
