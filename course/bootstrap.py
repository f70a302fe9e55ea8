"""실행 환경을 갖춥니다. 표준 라이브러리만 씁니다.

켜져 있는 가상환경(venv, conda, Colab)이 있으면 그것을, 없으면 이 저장소의 `.venv`를 만들어 씁니다. requirements.txt의
패키지가 모두 있으면 아무것도 설치하지 않습니다.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements.txt"
OWN = ROOT / ".venv"
STAMP = ".course-requirements"
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
NVIDIA = (Path("/dev/nvidia0"), Path("/dev/nvidiactl"), Path("/dev/dxg"))  # 마지막 것은 WSL의 GPU입니다.


def main(arguments: list[str]) -> int:
    """환경을 갖추고 명령을 실행합니다. 종료 코드를 돌려줍니다."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        python = ready_python()
    except SetupFailed as error:
        print(f"오류: {error}", file=sys.stderr)
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


def ready_python() -> Path:
    """필요한 것이 모두 설치된 파이썬. 없으면 설치합니다.

    Raises:
        SetupFailed: 가상환경을 만들거나 패키지를 설치하지 못했을 때.
    """
    if is_activated():
        missing = missing_here()
        if missing:
            install(Path(sys.executable), missing)
        return Path(sys.executable)
    python = OWN / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = OWN / STAMP
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not python.is_file() or not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        if not has_pip(python):
            create_environment(python)
        install(python, ["-r", str(REQUIREMENTS)])
        stamp.write_text(wanted, encoding="utf-8")
    return python


def is_activated() -> bool:
    """사람이 고른 환경에서 실행되었는가: venv, conda, Colab."""
    return sys.prefix != sys.base_prefix or "CONDA_PREFIX" in os.environ or "COLAB_RELEASE_TAG" in os.environ


def missing_here() -> list[str]:
    """이 파이썬에 없는, requirements.txt의 항목들.

    torch는 어떤 버전이든 있으면 그대로 둡니다: Colab이나 GPU 서버의 것은 그 기계의 CUDA에 맞추어져 있습니다.
    """
    missing = []
    for requirement in requirements():
        name = re.split(r"[=<>!~;\[ ]", requirement, maxsplit=1)[0]
        wanted = requirement.split(";")[0].strip().partition("==")[2]
        try:
            have = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(requirement)
            continue
        if wanted and have.split("+")[0] != wanted and name != "torch":
            missing.append(requirement)
    return missing


def requirements() -> list[str]:
    """requirements.txt에서 이 파이썬에 해당하는 줄들."""
    lines = [line.split("#")[0].strip() for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and applies(line)]


def applies(requirement: str) -> bool:
    """`; python_version < "3.11"` 같은 조건이 이 파이썬에 맞는가. 우리가 쓰는 조건은 이 한 가지입니다."""
    match = re.search(r';\s*python_version\s*(<|>=)\s*"3\.(\d+)"', requirement)
    if not match:
        return True
    return (sys.version_info[1] < int(match[2])) == (match[1] == "<")


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


def install(python: Path, what: list[str]) -> None:
    """pip으로 설치합니다. 무엇을, 왜 오래 걸리는지 먼저 말합니다."""
    names = ", ".join(line.split("==")[0] for line in requirements())
    print(f"필요한 패키지를 설치합니다: {names}", flush=True)
    print("PyTorch가 커서 처음 한 번은 2~10분 걸립니다. 다음부터는 바로 시작합니다.", flush=True)
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "-q"]
    gets_torch = "-r" in what or any(one.startswith("torch==") for one in what)
    done = subprocess.run([*pip, *(cpu_wheels() if gets_torch else []), *what])
    if done.returncode != 0:
        raise SetupFailed(
            "패키지를 설치하지 못했습니다. 네트워크와 빈 디스크를 확인하고 같은 명령을 다시 실행해 주세요."
        )


def cpu_wheels() -> list[str]:
    """GPU가 없는 Linux에서 CPU용 PyTorch를 받게 하는 pip의 옵션.

    PyPI에 있는 Linux용 torch에는 CUDA가 딸려 와 몇 GB를 받습니다. 같은 버전의 CPU용(`2.13.0+cpu`)이 있는 곳을 함께
    알려 주면 pip은 그것을 고릅니다. Windows와 macOS의 것은 처음부터 CPU용입니다. 그곳에 닿지 않으면 PyPI의 것을 씁니다.
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
