"""해답 열기, 되돌리기, 견주기, 무르기. 무엇을 하든 학생이 쓴 바이트는 파일이나 백업에 남습니다."""

from __future__ import annotations

import codecs
import json
from datetime import datetime

import pytest

from course.author.build import build
from course.book import backups
from course.book.backups import overwrite, undo
from course.book.regions import code_of, splice, to_exercise
from course.book.tasks import Task
from course.home import CourseError, Home
from course.student.edits import attempted, diff, may_reveal, reset, reveal
from tests.course.workshop import ODD, STEP1

EXERCISE = to_exercise(STEP1)
TRIED = splice(EXERCISE, "1-1", "answer = number + 3  # 내 생각\n")


@pytest.fixture
def school(workshop):
    """학생이 1-1에 틀린 답을 써 둔 저장소."""
    build(workshop.home)
    workshop.step1.write_bytes(TRIED.encode())
    return workshop


def said(error):
    message = str(error.value)
    assert "\n" not in message
    return message


# 해답 열기


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", codecs.BOM_UTF8])
def test_reveal_changes_only_its_own_region(school, newline, bom):
    mine = splice(TRIED + "\n# 뒤에 쓴 것 \t \u2028", "1-2", "return 3  # 대충\n").replace("\n", newline)
    school.step1.write_bytes(bom + mine.encode())
    edit, _ = reveal(school.task, "1-2")
    assert school.step1.read_bytes() == bom + mine.replace("return 3  # 대충", "return pi * radius**2").encode()
    assert edit.kept.read_bytes() == bom + mine.encode()


def test_reveal_asks_for_an_own_attempt_first(school):
    with pytest.raises(CourseError) as error:
        reveal(school.task, "1-2")
    assert "--yes" in said(error)
    assert school.step1.read_bytes() == TRIED.encode()
    reveal(school.task, "1-2", even_untried=True)
    assert code_of(school.step1.read_text(encoding="utf-8"), "1-2") == "return pi * radius**2\n"


@pytest.mark.parametrize(
    ("code", "tried"),
    [
        ("answer = 0\n", True),
        ('todo("1-1")\n# 어떻게 하지?\n', False),
        ("# 지우기만 했다\n", False),
        ("# 쪽을 넘기는\x0c글자\n", False),
        ("\n", False),
    ],
)
def test_comments_alone_are_not_an_attempt(school, code, tried):
    school.step1.write_text(splice(EXERCISE, "1-1", code), encoding="utf-8")
    assert attempted(school.task, "1-1") is tried


def test_reveal_brings_the_explanation(school):
    school.write("tests/task1_tiny/checks/step1/1-1.yaml", "explains: 두 배는 곱하기 2입니다.\n")
    assert reveal(school.task, "1-1")[1] == "두 배는 곱하기 2입니다."


def test_reveal_of_what_is_already_the_solution_says_so(school):
    reveal(school.task, "1-1")
    with pytest.raises(CourseError, match="이미 해답과 같습니다"):
        reveal(school.task, "1-1")


def test_broken_hints_file_stops_before_anything_is_changed(school):
    school.write("tests/task1_tiny/checks/step1/1-1.yaml", "hints: [\n")
    with pytest.raises(CourseError):
        reveal(school.task, "1-1")
    assert school.step1.read_bytes() == TRIED.encode()


def test_copy_without_solutions_has_nothing_to_reveal_but_can_reset_and_diff(school):
    school.drop_solutions()
    task = Task(school.home, school.task.name)
    with pytest.raises(CourseError, match="해답이 들어 있지 않습니다"):
        reveal(task, "1-1")
    assert "+answer = number + 3" in diff(task, "1-1")
    reset(task, "1-1")
    assert school.step1.read_text(encoding="utf-8") == EXERCISE


# 강사의 문


@pytest.mark.parametrize(
    ("gate", "step", "why"),
    [
        ("", 1, None),
        ("task1-tiny:\n  1: open\n", 1, None),
        ("task1-tiny:\n  1: closed\n", 1, "닫아 두었습니다"),
        ("task1-tiny:\n  '1': closed\n", 1, "닫아 두었습니다"),
        ("task1-tiny:\n  1: closed\n", 2, None),
        ("task1-tiny:\n  1: open\n  default: closed\n", 2, "닫아 두었습니다"),
        ("task1-tiny: closed\n", 2, "닫아 두었습니다"),
        ("task2-other: closed\n", 1, None),
        ("task1-tiny:\n  1: 2026-03-10\n", 1, None),
        ("task1-tiny:\n  1: '2026-03-10'\n", 1, None),
        ("task1-tiny:\n  1: 2026-03-11\n", 1, "2026-03-11부터"),
        ("task1-tiny:\n  1: 2026-03-10 09:00:00\n", 1, None),
        ("task1-tiny:\n  1: 2026-03-10 09:01:00\n", 1, "2026-03-10 09:01부터"),
    ],
)
def test_gate_opens_as_the_instructor_wrote(school, gate, step, why):
    school.write("course-gate.yaml", gate)
    answer = may_reveal(school.task, step, now=datetime(2026, 3, 10, 9, 0))
    assert answer is None if why is None else why in answer


@pytest.mark.parametrize(
    "gate",
    [
        "task1-tiny:\n  1: perhaps\n",
        "task1-tiny:\n  1: off\n",
        "task1-tiny:\n  1:\n",
        "task1-tiny: [closed]\n",
        "task1_tiny:\n  1: closed\n",
        "- closed\n",
        "closed\n",
        "task1-tiny: {1: clo",
        "task1-tiny:\n  1: 2026-13-45\n",
        "\0",
    ],
)
def test_gate_that_cannot_be_read_stays_shut_with_a_sentence(school, gate):
    school.write("course-gate.yaml", gate)
    with pytest.raises(CourseError) as error:
        reveal(school.task, "1-1")
    assert "course-gate.yaml" in said(error)
    assert school.step1.read_bytes() == TRIED.encode()


@pytest.mark.parametrize("wreck", ["folder", "cp949"])
def test_gate_that_is_no_text_stays_shut(school, wreck):
    gate = school.root / "course-gate.yaml"
    gate.mkdir() if wreck == "folder" else gate.write_bytes("닫음".encode("cp949"))
    with pytest.raises(CourseError, match="course-gate"):
        reveal(school.task, "1-1", even_untried=True)


def test_closed_gate_is_not_opened_by_yes(school):
    school.write("course-gate.yaml", "task1-tiny:\n  1: closed\n")
    with pytest.raises(CourseError, match="닫아 두었습니다"):
        reveal(school.task, "1-1", even_untried=True)


# 되돌리기와 견주기


def test_reset_of_a_region_leaves_the_others(school):
    school.step1.write_text(splice(TRIED, "1-2", "return 3\n"), encoding="utf-8")
    [edit] = reset(school.task, "1-2")
    assert school.step1.read_text(encoding="utf-8") == TRIED
    assert "return 3" in edit.kept.read_text(encoding="utf-8")


def test_reset_of_a_step_brings_the_whole_file_back(school):
    [edit] = reset(school.task, "1")
    assert school.step1.read_bytes() == EXERCISE.encode()
    assert edit.kept.read_bytes() == TRIED.encode()


@pytest.mark.parametrize("style", [lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text])
def test_reset_keeps_the_way_the_file_is_saved(school, style):
    school.step1.write_bytes(style(TRIED).encode())
    reset(school.task, "1")
    assert school.step1.read_bytes() == style(EXERCISE).encode()
    assert reset(school.task, "1") == []


def test_reset_of_an_untouched_file_writes_nothing(school):
    reset(school.task, "1")
    before = school.backups()
    assert (reset(school.task, "1"), reset(school.task, "1-1")) == ([], [])
    assert school.backups() == before


def test_reset_restores_a_deleted_file(school):
    school.step1.unlink()
    with pytest.raises(CourseError, match="python -m course reset tiny 1"):
        reset(school.task, "1-1")
    [edit] = reset(school.task, "1")
    assert edit.kept is None
    assert school.step1.read_text(encoding="utf-8") == EXERCISE


@pytest.mark.parametrize("edit", [reveal, reset, diff])
def test_broken_marks_are_told_with_the_way_out(school, edit):
    mine = TRIED.replace("        # [END 1-1]\n", "").replace("    # [END 1-1]\n", "")
    school.step1.write_text(mine, encoding="utf-8")
    with pytest.raises(CourseError) as error:
        edit(school.task, "1-1")
    assert "python -m course reset tiny 1" in said(error)
    assert school.step1.read_text(encoding="utf-8") == mine
    reset(school.task, "1")
    assert mine.encode() in school.backups()


def test_folder_in_the_place_of_the_file_is_told_and_kept(school):
    school.step1.unlink()
    inside = school.write("task1-tiny/step1_numbers.py/mine.txt", "내 것")
    for action in (reveal, reset, diff):
        for where in ("1-1", "1"):
            if (action, where) != (reveal, "1"):
                with pytest.raises(CourseError, match="폴더"):
                    action(school.task, where)
    assert inside.read_text(encoding="utf-8") == "내 것"


def test_diff_shows_what_the_student_changed_and_not_the_solution(school):
    for where in ("1", "1-1"):
        shown = diff(school.task, where)
        assert "+" + ("    " if where == "1" else "") + "answer = number + 3  # 내 생각\n" in shown
        assert "number * 2" not in shown
    assert diff(school.task, "1-2") == ""


def test_diff_does_not_mind_line_ends(school):
    school.step1.write_bytes(EXERCISE.replace("\n", "\r\n").encode().removesuffix(b"\r\n"))
    assert diff(school.task, "1") == ""


# 무르기


def test_undo_goes_back_one_edit_at_a_time(school):
    versions = []
    for edit in (
        lambda: reveal(school.task, "1-1"),
        lambda: reset(school.task, "1-1"),
        lambda: reveal(school.task, "1-2", even_untried=True),
    ):
        versions.append(school.step1.read_bytes())
        edit()
    for version in reversed(versions):
        undo(school.home)
        assert school.step1.read_bytes() == version
    with pytest.raises(CourseError, match="무를 일이 없습니다"):
        undo(school.home)


@pytest.mark.parametrize("content", ["한글".encode("cp949"), b"", b"\0\xff", "\ufeff\r\n섞임\n".encode()])
def test_undo_brings_back_any_bytes(school, content):
    school.step1.write_bytes(content)
    reset(school.task, "1")
    undo(school.home)
    assert school.step1.read_bytes() == content


def test_undo_keeps_what_was_written_since(school):
    reveal(school.task, "1-1")
    later = splice(school.step1.read_text(encoding="utf-8"), "1-2", "return 3.14 * radius * radius\n")
    school.step1.write_text(later, encoding="utf-8")
    undo(school.home)
    assert school.step1.read_text(encoding="utf-8") == splice(TRIED, "1-2", "return 3.14 * radius * radius\n")
    assert later.encode() in school.backups()


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_undo_does_not_cut_a_line_at_an_odd_letter(school, odd):
    school.step1.write_text(TRIED + f'text = "앞{odd}뒤"\n', encoding="utf-8")
    reveal(school.task, "1-1")
    now = school.step1.read_text(encoding="utf-8")
    school.step1.write_text(now.replace("앞", "더 앞"), encoding="utf-8")
    undo(school.home)
    assert school.step1.read_text(encoding="utf-8") == TRIED + f'text = "더 앞{odd}뒤"\n'


def test_undo_of_a_place_changed_since_brings_the_old_and_keeps_the_new(school):
    reveal(school.task, "1-1")
    later = splice(school.step1.read_text(encoding="utf-8"), "1-1", "answer = number << 1\n")
    school.step1.write_text(later, encoding="utf-8")
    [edit] = undo(school.home)
    assert school.step1.read_text(encoding="utf-8") == TRIED
    assert edit.kept.read_bytes() == later.encode()


def test_undo_removes_a_file_that_the_edit_created(school):
    school.step1.unlink()
    reset(school.task, "1")
    undo(school.home)
    assert not school.step1.exists()


def test_undo_leaves_a_created_file_in_which_the_student_wrote(school):
    school.step1.unlink()
    reset(school.task, "1")
    school.step1.write_text(TRIED, encoding="utf-8")
    assert undo(school.home) == []
    assert school.step1.read_text(encoding="utf-8") == TRIED


def test_undo_brings_back_a_deleted_file_and_keeps_what_took_its_place(school):
    overwrite(school.home, [(school.step1, None)], "update")
    school.step1.write_text("# 새로 쓴 것\n", encoding="utf-8")
    [edit] = undo(school.home)
    assert school.step1.read_bytes() == TRIED.encode()
    assert edit.kept.read_text(encoding="utf-8") == "# 새로 쓴 것\n"


def test_undo_removes_only_folders_it_leaves_empty(school):
    new, beside = school.root / "task9-new/deep/step1_x.py", school.root / "task9-new/mine.txt"
    overwrite(school.home, [(new, "x = 1\n")], "update")
    beside.write_text("내 것", encoding="utf-8")
    undo(school.home)
    assert not new.parent.exists()
    assert beside.is_file()
    overwrite(school.home, [(new, "x = 1\n")], "update")
    beside.unlink()
    undo(school.home)
    assert not beside.parent.exists()


def test_undo_works_after_the_repository_was_moved(school, tmp_path_factory):
    reset(school.task, "1")
    moved = tmp_path_factory.mktemp("moved") / "here"
    school.root.rename(moved)
    undo(Home(moved))
    assert (moved / "task1-tiny/step1_numbers.py").read_bytes() == TRIED.encode()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"what": "x", "files": [["a", "b"]]}'])
def test_unreadable_journal_is_told_and_does_not_block_the_one_before(school, content):
    reset(school.task, "1-1")
    reset(school.task, "1")
    school.step1.write_text(EXERCISE + "# 더\n", encoding="utf-8")
    reset(school.task, "1")
    last = max((school.root / ".course/backup").glob("*/journal.json"))
    last.write_bytes(content)
    with pytest.raises(CourseError, match="무르지 못했습니다"):
        undo(school.home)
    assert school.step1.read_text(encoding="utf-8") == EXERCISE
    undo(school.home)
    assert school.step1.read_text(encoding="utf-8") == TRIED


def test_lost_backup_file_is_told_and_changes_nothing(school):
    [edit] = reset(school.task, "1")
    edit.kept.unlink()
    with pytest.raises(CourseError, match="무르지 못했습니다"):
        undo(school.home)
    assert school.step1.read_text(encoding="utf-8") == EXERCISE


def test_edits_in_one_moment_and_with_the_clock_set_back_are_undone_in_order(school, monkeypatch):
    moments = iter([datetime(2026, 3, 10, 9)] * 3 + [datetime(2026, 3, 10, 8)] * 9)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return next(moments)

    monkeypatch.setattr(backups, "datetime", Clock)
    versions = [f"# {number}\n" for number in range(6)]
    for version in versions:
        overwrite(school.home, [(school.step1, version)], "edit")
    for version in reversed(versions[:-1]):
        undo(school.home)
        assert school.step1.read_text(encoding="utf-8") == version
    undo(school.home)
    assert school.step1.read_bytes() == TRIED.encode()


def test_write_that_fails_leaves_the_file_and_nothing_beside_it(school, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backups.Path, "write_bytes", full)
    with pytest.raises(OSError):
        reset(school.task, "1")
    assert school.step1.read_bytes() == TRIED.encode()
    assert [one.name for one in school.step1.parent.iterdir() if one.name.endswith(".tmp")] == []


def test_journal_names_every_file_within_the_repository(school):
    reset(school.task, "1")
    [journal] = (school.root / ".course/backup").glob("*/journal.json")
    [[path, kept, after]] = json.loads(journal.read_text(encoding="utf-8"))["files"]
    assert path == "task1-tiny/step1_numbers.py"
    assert (school.root / kept).read_bytes() == TRIED.encode()
    assert (school.root / after).read_bytes() == EXERCISE.encode()
