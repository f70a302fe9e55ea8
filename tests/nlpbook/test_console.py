"""어느 콘솔에나, 파일에나 적습니다: 들머리마다 cp949와 한글이 없는 인코딩에서."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nlpbook.paths import ROOT

STEPS = sorted((ROOT / "solutions").glob("*/step*.py"))
TOOLS = [
    one
    for folder in ("benchmarks", "scripts")
    for one in sorted((ROOT / folder).glob("*.py"))
    if '__name__ == "__main__"' in one.read_text(encoding="utf-8")
]
BLANK = """
import sys
sys.path.insert(0, {root!r})
from console_text import make_printable
make_printable()
print("한글 ✅ 😀")
"""


def run(*words: str, encoding: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, timeout=300)


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("cp949", "한글 ? ?".encode("cp949")),
        ("utf-8", "한글 ✅ 😀".encode()),
        ("ascii", "한글 ✅ 😀".encode()),
        ("latin-1", "한글 ✅ 😀".encode()),
    ],
)
def test_letters_a_console_lacks_become_question_marks(encoding, written):
    done = run("-c", BLANK.format(root=str(ROOT)), encoding=encoding)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == written


def test_every_program_prepares_its_console():
    """`__main__`이 부르는 것은 모두 make_printable을 거칩니다."""
    entries = ("run_script(main)", "run(cli)", "run(build_cli())", "make_printable()\n    main()")
    programs = [*STEPS, *sorted((ROOT / "solutions").glob("*/demo.py")), *TOOLS]
    assert len(programs) > 15
    wrong = [one.name for one in programs if not one.read_text(encoding="utf-8").rstrip().endswith(entries)]
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "file", [one for one in STEPS if "step1" in one.name or "step5" in one.name], ids=lambda p: p.name
)
def test_a_step_prints_on_a_cp949_console(file):
    words = ["--help"] if "step5" in file.name else []
    done = run(str(file), *words, encoding="cp949")
    assert done.returncode == 0, done.stderr.decode("cp949", "replace")
    assert any("가" <= letter <= "힣" for letter in done.stdout.decode("cp949"))


@pytest.mark.parametrize("encoding", ["cp949", "ascii"])
def test_the_course_prints_on_a_poor_console(encoding):
    done = run("-m", "course", "--help", encoding=encoding)
    assert done.returncode == 0, done.stderr
    assert "실습 도구" in done.stdout.decode("cp949" if encoding == "cp949" else "utf-8")
