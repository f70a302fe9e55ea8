"""과제를 더하는 일은 폴더를 더하는 일입니다: 넷째 과제를 놓으면 모든 명령이 그것을 압니다."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course.home import ROOT

STEP = '''"""1단계 · 수"""


def double(number):
    # [TODO 1-1] 두 배를 answer에 담으세요.
    # 힌트: 더하기로도 됩니다.
    answer = number * 2
    # [END 1-1]
    return answer


if __name__ == "__main__":
    print(double(21))
'''
CHECK = '''"""TODO 1-1의 검사."""

from __future__ import annotations

from course.checks.words import fail, todo


@todo("1-1")
def test_two_doubles_to_four(load):
    """두 배는 두 번 더한 것입니다."""
    known = {25: "squares", 15: "triples", 7: "adds-two"}
    if (got := load(1).double(5)) != 10:
        fail("두 배가 아닙니다.", idea="곱셈", expected=10, got=got, symptom=known.get(got))
'''
CONFTEST = '''"""과제의 검사가 함께 쓰는 것."""

from course.checks.plugin import step_loader

load = step_loader(__file__)
'''
TABLE = """mistakes:
  - symptom: squares
    name: 제곱했습니다
    code: |
      answer = number**2
    says: '{got}이(가) 나왔습니다. 두 번 곱한 것과 두 배는 같은가요?'
  - symptom: triples
    name: 세 배 했습니다
    code: |
      answer = number * 3
    says: '{got}이(가) 나왔습니다. 몇 배가 되었나요?'
  - symptom: adds-two
    name: 2를 더했습니다
    code: |
      answer = number + 2
    says: '{got}이(가) 나왔습니다. 더한 것과 곱한 것은 다릅니다.'
also_right:
  - name: 더합니다
    code: |
      answer = number + number
  - name: 차례를 바꿉니다
    code: |
      answer = 2 * number
difficulty: 1
minutes: 5
hints:
  - 같은 수를 두 번 더하면 무엇이 될까요?
explains: 두 배는 2를 곱한 것입니다.
"""
FILES = {
    "solutions/task4-toy/step1_numbers.py": STEP,
    "solutions/task4-toy/configs/quick.yaml": "학습률: 1e-3\n",
    "tests/task4_toy/checks/conftest.py": CONFTEST,
    "tests/task4_toy/checks/step1/test_1_1.py": CHECK,
    "tests/task4_toy/checks/step1/1-1.yaml": TABLE,
}
EXERCISE = "task4-toy/step1_numbers.py"
TODO_LINE = 'todo("1-1")'
RUN = "import sys; from course.cli import main; sys.exit(main(sys.argv[1:]))"


def lay_out(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """이 저장소의 복사본에 과제의 폴더 둘만 더하고 `build`한 것."""
    folder = tmp_path_factory.mktemp("copy") / "course"
    ignored = shutil.ignore_patterns(".git", ".venv", ".course", "output", "outputs", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, folder, ignore=ignored)
    lay_out(folder, FILES)
    built = course(folder, "build")
    assert built.returncode == 0, built.stderr
    assert f"썼습니다: {EXERCISE}" in built.stdout
    return folder


def course(folder: Path, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONUTF8": "1", "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-c", RUN, *words],
        cwd=folder,
        env=environment,
        input=said,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
    )


def answered(folder: Path, code: str) -> None:
    path = folder / EXERCISE
    solution = STEP.replace("answer = number * 2", code)
    path.write_text(solution, encoding="utf-8")


@pytest.mark.slow
@pytest.mark.spread
def test_every_command_knows_the_new_task(copy, tmp_path):
    assert TODO_LINE in (copy / EXERCISE).read_text(encoding="utf-8")
    assert (copy / "task4-toy/configs/quick.yaml").read_text(encoding="utf-8") == "학습률: 1e-3\n"
    assert course(copy, "build", "--check").returncode == 0
    untouched = course(copy, "check", "toy")
    assert "아직 시작하지 않았습니다" in untouched.stdout
    answered(copy, "answer = number**2")
    wrong = course(copy, "check", "toy")
    assert "✗ 1-1  제곱했습니다" in wrong.stdout
    assert "25가 나왔습니다" in wrong.stdout
    answered(copy, "answer = number + number")
    watched = course(copy, "watch", "toy", said="l\nq\n")
    assert "✓ 1-1  두 배를 answer에 담으세요." in watched.stdout, watched.stdout + watched.stderr
    status = json.loads(course(copy, "status", "--json").stdout)
    assert {"task": "task4-toy", "step": "step1_numbers.py", "done": 1, "todos": 1} in status["steps"]
    newer = tmp_path / "newer"
    lay_out(newer, {**FILES, EXERCISE: STEP.replace("answer = number * 2", TODO_LINE).replace("두 배를", "갑절을")})
    updated = course(copy, "update", "--from", str(newer))
    assert f"{EXERCISE}: 남은 답 1개 · 할 일이 바뀐 TODO 1-1" in updated.stdout, updated.stdout + updated.stderr
    text = (copy / EXERCISE).read_text(encoding="utf-8")
    assert "갑절을" in text
    assert "answer = number + number" in text
    assert course(copy, "check", "toy").returncode == 0


@pytest.mark.slow
@pytest.mark.spread
def test_rules_of_the_repository_hold_for_the_new_task(copy):
    """코드 규칙과 표의 시험도 새 과제를 스스로 찾습니다. 아무 목록에도 적지 않았습니다."""
    command = [sys.executable, "-m", "ruff", "check", "solutions/task4-toy", "tests/task4_toy"]
    ruff = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert ruff.returncode == 0, ruff.stdout
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONUTF8": "1"}
    pytest_quietly = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command = [*pytest_quietly, "tests/task4_toy"]
    checks = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert "1 passed" in checks.stdout, checks.stdout + checks.stderr
    command = [*pytest_quietly, "tests/course/test_answers.py", "-k", "toy"]
    answers = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert answers.returncode == 0, answers.stdout + answers.stderr
    assert "9 passed" in answers.stdout
