"""글에 보인 판정의 본보기는 도구가 적은 것 그대로이고, README와 학습 가이드에서 같습니다.

본보기는 `<!-- verdict 과제 TODO 증상 -->`과 `<!-- /verdict -->` 사이에 있습니다. 말이 바뀌면
`python -m tests.test_guide_samples`가 다시 적습니다.
"""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path

import pytest
from rich.console import Console

from course.book.tables import Answers
from course.book.tasks import find_task
from course.checks.checker import Checker
from course.home import ROOT, Home, write_text
from course.student.show import show_verdict
from tests.course.test_answers import with_answer
from todo import TodoNotDone

HOME = Home(ROOT)
WITH_SAMPLES = [HOME.root / "README.md", *HOME.guide_pages()]
SAMPLE = re.compile(r"(<!-- verdict (\S+) (\S+) (\S+) -->\n)(.*?)(<!-- /verdict -->)", re.DOTALL)
WIDTH = 80


def sample(checker: Checker, short: str, todo_id: str, symptom: str) -> str:
    """해답에 그 실수를 넣은 파일의 판정을, 학생의 폴더에서 본 모양으로."""
    task = find_task(HOME, short)
    [mistake] = [one for one in Answers.load(task).mistakes if (one.todo, one.symptom) == (todo_id, symptom)]
    with tempfile.TemporaryDirectory() as name:
        folder = with_answer(task, todo_id, mistake.code, Path(name))
        verdict = checker.check(task, folder, [todo_id])[todo_id]
        out = io.StringIO()
        show_verdict(Console(file=out, width=WIDTH), HOME, folder, verdict)
    shown = "\n".join(line.rstrip() for line in out.getvalue().splitlines())
    return f"```\n{shown.replace(HOME.shown(folder), task.name)}\n```\n"


def without_numbers(text: str) -> str:
    """줄 번호와 소수를 가린 글. 줄 번호는 앞의 코드가, 소수는 CPU의 종류가 바꿉니다."""
    return re.sub(r"\.py:\d+|\d+\.\d+|\d+번째 줄", "#", text)


def samples() -> dict[tuple[str, str, str], set[str]]:
    """(과제, TODO, 증상) → 글들에 적힌 본보기들."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for page in WITH_SAMPLES:
        for _, short, todo_id, symptom, text, _ in SAMPLE.findall(page.read_text(encoding="utf-8")):
            found.setdefault((short, todo_id, symptom), set()).add(text)
    return found


@pytest.mark.slow
def test_verdicts_in_the_texts_are_those_of_the_tool():
    if not HOME.solutions.is_dir():
        pytest.skip("해답이 없는 배포판입니다")
    assert samples()
    with Checker(HOME, trusting=True) as checker:
        for key, texts in samples().items():
            assert {without_numbers(text) for text in texts} == {without_numbers(sample(checker, *key))}


def test_readme_and_guide_show_the_same_verdict():
    assert [texts for texts in samples().values() if len(texts) > 1] == []
    for page in (HOME.root / "README.md", HOME.guide):
        assert "<!-- verdict " in page.read_text(encoding="utf-8")


def test_what_an_empty_todo_says_is_shown_as_it_is():
    said = f"아직 여기까지입니다. {TodoNotDone('1-1', 'step1_basic_structure.py', 1)}\n"
    assert without_numbers(said) in without_numbers(HOME.guide.read_text(encoding="utf-8"))


def main() -> None:
    with Checker(HOME, trusting=True) as checker:
        for page in WITH_SAMPLES:
            text = page.read_text(encoding="utf-8")
            now = SAMPLE.sub(lambda found: found[1] + sample(checker, *found.groups()[1:4]) + found[6], text)
            if now != text:
                write_text(page, now)


if __name__ == "__main__":
    main()
