"""검사하는 동안 바뀐 검사와 표와 라이브러리는 세지 않고, 다음 검사는 원본을 봅니다. 바뀐 것도 잃지 않습니다."""

from __future__ import annotations

from pathlib import Path

import pytest

from course.book import manifest
from course.book.regions import splice
from course.book.tables import table_files
from course.checks.checker import Checker
from course.checks.originals import Originals
from tests.course.workshop import STEP1, STEP2, Workshop

CHECK = "tests/task1_tiny/checks/step1/test_1_1.py"
TABLE = "tests/task1_tiny/checks/step1/1-1.yaml"
EASY = 'from course.checks.words import todo\n@todo("1-1")\ndef test_nothing(load): load(1)\n'
MISTAKES = "mistakes:\n- {symptom: x, name: 원래의 이름, code: 'answer = 0', says: 생각해 보세요.}\n"
RIGHT_ANSWER, WRONG_ANSWER = "answer = number * 2", "answer = number * 3"
ATTACK = """
from pathlib import Path
from course.book import manifest
from course.book.tasks import Task
from course.home import Home
root = Path({root!r})
for name, text in {files!r}.items():
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")
task = Task(Home(root), "task1-tiny")
manifest.manifest_file(task).write_text(manifest.manifest_text(task), encoding="utf-8")
answer = number * 2
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    workshop = Workshop(tmp_path_factory.mktemp("school"))
    workshop.install_engine()
    workshop.write(TABLE, MISTAKES)
    workshop.write("nlpbook/sums.py", "TWO = 2\n")
    with Checker(workshop.home) as workshop.checker:
        yield workshop


@pytest.fixture
def check(made, tmp_path):
    def ask(answer, checker=made.checker):
        (tmp_path / "step1_numbers.py").write_text(splice(STEP1, "1-1", answer), encoding="utf-8")
        (tmp_path / "step2_quadruple.py").write_text(STEP2, encoding="utf-8")
        return checker.check(made.task, tmp_path, ["1-1"])["1-1"]

    return ask


def attacking(made, name, text):
    return ATTACK.format(root=str(made.root), files={name: text})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (CHECK, EASY),
        (TABLE, "mistakes: []\n"),
        ("tests/task1_tiny/checks/step1/conftest.py", "raise ValueError\n"),
        ("nlpbook/sums.py", "TWO = 3\n"),
        ("course/checks/words.py", "def fail(*a, **k): pass\n"),
        ("todo.py", "def todo(todo_id): pass\n"),
    ],
)
def test_what_changed_during_a_check_does_not_count_and_comes_back(made, check, name, text):
    before = _contents(made.root)
    verdict = check(attacking(made, name, text))
    assert verdict.state == "broken"
    assert name in verdict.title
    assert _contents(made.root) == before
    assert text.encode() in made.backups()
    assert check(WRONG_ANSWER).state == "wrong"
    assert check(RIGHT_ANSWER).is_right
    with Checker(made.home) as fresh:
        assert check(WRONG_ANSWER, fresh).state == "wrong"


def test_deleted_check_comes_back(made, check):
    before = _contents(made.root)
    code = f"import os; os.remove({str(made.root / CHECK)!r})\n{RIGHT_ANSWER}"
    assert check(code).state == "broken"
    assert _contents(made.root) == before


def test_time_put_back_does_not_hide_a_change(made, check):
    file = str(made.root / CHECK)
    code = f"""
import os
before = os.stat({file!r})
text = open({file!r}).read()
open({file!r}, "w").write(text.replace("4", "6", 1).replace("6", "9"))
os.utime({file!r}, ns=(before.st_atime_ns, before.st_mtime_ns))
answer = number * 3
"""
    assert check(code).state == "broken"
    assert check(WRONG_ANSWER).state == "wrong"


def test_bytecode_an_answer_leaves_is_not_read(made, check):
    planted = made.root / "nlpbook/__pycache__/sums.cpython-300.pyc"
    code = f"""
import pathlib
planted = pathlib.Path({str(planted)!r})
planted.parent.mkdir(exist_ok=True)
planted.write_bytes(b"x")
answer = number * 2
"""
    assert check(code).is_right
    assert not planted.exists()


def test_touching_a_file_changes_nothing(made, check):
    assert check(f"import os; os.utime({str(made.root / CHECK)!r})\n{RIGHT_ANSWER}").is_right


def test_what_an_author_edits_between_checks_is_used(made, check):
    kept = (made.root / CHECK).read_text(encoding="utf-8")
    try:
        made.write(CHECK, EASY)
        assert check(WRONG_ANSWER).is_right
    finally:
        made.write(CHECK, kept)
    assert check(WRONG_ANSWER).state == "wrong"


def test_author_who_trusts_the_answers_loses_no_edit(made, check):
    """해답과 표의 답만 검사하는 동안 고친 것은 그대로 남습니다."""
    file = made.root / "nlpbook/sums.py"
    with Checker(made.home, trusting=True) as trusting:
        assert check(f"open({str(file)!r}, 'w').write('TWO = 4')\n{RIGHT_ANSWER}", trusting).is_right
    assert file.read_text(encoding="utf-8") == "TWO = 4"
    made.write("nlpbook/sums.py", "TWO = 2\n")


def test_files_are_read_once_while_nothing_changes(made, monkeypatch):
    originals = Originals(made.home)
    originals.look()
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail(f"{self}을(를) 다시 읽었습니다"))
    originals.look()
    assert originals.restore() == []


def test_files_that_went_between_checks_are_no_loss(made):
    originals = Originals(made.home)
    extra = made.write("nlpbook/extra.py", "x = 1\n")
    originals.look()
    extra.unlink()
    originals.look()
    assert originals.restore() == []
    assert not extra.exists()


def test_every_kind_of_file_a_verdict_rests_on_is_kept(made):
    names = {Path(name).relative_to(made.root).as_posix() for name, _ in Originals(made.home)._files()}
    rests_on = [*table_files(made.task), *made.task.checks.rglob("*.py"), manifest.manifest_file(made.task)]
    rests_on += [*(made.root / "course").rglob("*.yaml"), made.root / "conftest.py", made.root / "pyproject.toml"]
    assert {path.relative_to(made.root).as_posix() for path in rests_on} <= names


def _contents(root):
    skipped = {".course", "__pycache__"}
    files = [path for path in root.rglob("*") if path.is_file() and not skipped & set(path.parts)]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
