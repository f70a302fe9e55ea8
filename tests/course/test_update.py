"""새 판을 받아도 학생의 답은 남고, 합친 파일은 바른 파이썬이며, 한 번에 무를 수 있습니다."""

from __future__ import annotations

import ast
import random
import shutil
import textwrap
import zipfile

import pytest

from course.author.build import build
from course.book.backups import undo
from course.book.gone import LIST, clear_away, put_missing
from course.book.regions import code_of, parse, splice, to_exercise
from course.book.tasks import DOOR, Task
from course.home import ROOT, CourseError, Home
from course.student.edits import reset
from course.student.update import CLOSE, MINE, THEIRS, Source, merge, update
from tests.course.workshop import ODD, STEP1, STEP2

HOME = Home(ROOT)

BASE = to_exercise(STEP1)
ANSWER = "answer = number  # 내 생각\nanswer += number\n"
SOLVED = splice(BASE, "1-1", ANSWER)
NEW_STEP1 = (
    STEP1.replace('"""1단계 · 수"""', '"""1단계 · 수와 넓이"""')
    .replace("원의 넓이를 돌려주세요", "원의 넓이를 구해 돌려주세요")
    .replace("# 힌트: 더하기로도 됩니다.", "# 힌트: 곱하기를 쓰세요.")
    + "\n\ndef half(number):\n    # [TODO 1-3] 반을 돌려주세요.\n    return number / 2\n    # [END 1-3]\n"
)
THEIRS_TEXT = to_exercise(NEW_STEP1)


# 병합


def test_answer_stays_and_the_prose_moves_on():
    merged = merge(BASE, SOLVED, THEIRS_TEXT)
    assert merged.text == splice(THEIRS_TEXT, "1-1", ANSWER)
    assert (merged.kept, merged.added, merged.changed_goals) == (["1-1"], ["1-3"], ["1-1", "1-2"])
    assert (merged.conflicts, merged.removed, merged.set_aside) == (0, {}, False)


def test_untouched_file_becomes_the_new_version():
    assert merge(BASE, BASE, THEIRS_TEXT).text == THEIRS_TEXT


def test_nothing_new_changes_nothing():
    mine = SOLVED.replace("from math import pi", "from math import pi, tau") + "\n# 메모\n"
    assert merge(BASE, mine, BASE).text == mine


@pytest.mark.parametrize("note", ['# 반지름을 제곱한다?\ntodo("1-2")\n', 'todo("1-2")\n# 반지름을 제곱한다?\n'])
def test_notes_in_an_unsolved_region_stay(note):
    merged = merge(BASE, splice(BASE, "1-2", note), THEIRS_TEXT)
    assert "# 반지름을 제곱한다?" in merged.text
    assert merged.kept == []


def test_lines_added_outside_the_regions_stay():
    mine = SOLVED.replace("    return answer\n", "    print(answer)\n    return answer\n")
    assert "    print(answer)\n" in merge(BASE, mine, THEIRS_TEXT).text


def test_place_changed_by_both_is_the_new_one_with_my_line_as_a_comment():
    mine = SOLVED.replace("def area(radius):", "def area(radius=1):")
    theirs = BASE.replace("def area(radius):", "def area(radius: float):")
    merged = merge(BASE, mine, theirs)
    assert f"{MINE}\n# def area(radius=1):\n{THEIRS}\ndef area(radius: float):\n{CLOSE}\n" in merged.text
    assert merged.conflicts == 1
    ast.parse(merged.text)


def test_answer_of_a_todo_that_is_gone_is_reported():
    theirs = to_exercise(STEP1.replace("1-1", "1-7"))
    merged = merge(BASE, SOLVED, theirs)
    assert list(merged.removed) == ["1-1"]
    assert "answer += number" in merged.removed["1-1"]
    assert [region.id for region in parse(merged.text)] == ["1-7", "1-2"]


def test_answer_follows_its_region_into_another_indent():
    block = STEP1[STEP1.index("    # [TODO 1-1]") : STEP1.index("    return answer")]
    moved = to_exercise(STEP1.replace(block, "    if number:\n" + textwrap.indent(block, "    ")))
    merged = merge(BASE, SOLVED, moved)
    assert code_of(merged.text, "1-1") == ANSWER
    ast.parse(merged.text)


def test_region_the_student_made_stays():
    mine = SOLVED + "\n\n# [TODO 8-8] 내 연습\nprint('연습')\n# [END 8-8]\n"
    assert mine.removeprefix(SOLVED) in merge(BASE, mine, to_exercise(STEP1.replace("· 수", "· 수와 넓이"))).text
    assert "# print('연습')\n" in merge(BASE, mine, THEIRS_TEXT).text


@pytest.mark.parametrize(
    "wreck",
    [
        lambda text: text.replace("    # [END 1-1]\n", ""),
        lambda text: text + text,
        lambda text: text.replace("1-1]", "1-9]"),
        lambda text: "".join(line for line in text.splitlines(True) if "1-1]" not in line),
        lambda text: text + "\0 1-1\n",
        lambda text: "",
    ],
)
def test_file_with_broken_marks_is_refused(wreck):
    with pytest.raises(ValueError, match="step1"):
        merge(BASE, wreck(SOLVED), THEIRS_TEXT, "step1_numbers.py")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(lambda text: text.replace("\n", "\r\n", 7), id="mixed"),
        pytest.param(lambda text: text.replace("\n", "\r"), id="CR"),
        pytest.param(lambda text: text.rstrip("\n"), id="no last newline"),
    ],
)
def test_line_ends_of_the_student_make_no_conflict(change):
    merged = merge(BASE, change(SOLVED), THEIRS_TEXT)
    assert (merged.text, merged.conflicts) == (splice(THEIRS_TEXT, "1-1", ANSWER), 0)


def test_tabs_everywhere_give_a_file_that_still_parses():
    mine = SOLVED.replace("    ", "\t").replace("answer += number", "if number:\n\t\tanswer += number")
    merged = merge(BASE, mine, THEIRS_TEXT)
    ast.parse(merged.text)
    assert "answer += number" in merged.text


def test_merged_file_parses_whatever_both_changed():
    """자리 밖의 줄을 아무렇게나 지우고, 되풀이하고, 옮겨도 뼈대는 바르고 답은 남습니다."""
    for seed in range(300):
        dice = random.Random(seed)
        mine, theirs = _shuffled(SOLVED, dice), _shuffled(THEIRS_TEXT, dice)
        try:
            merged = merge(BASE, mine, theirs)
        except ValueError:
            continue
        if not _is_python(theirs):
            continue
        ids = [region.id for region in parse(theirs)]
        skeleton = merged.text
        for todo_id in ids:
            skeleton = splice(skeleton, todo_id, code_of(theirs, todo_id))
        ast.parse(skeleton)
        if _is_python(mine):
            ast.parse(merged.text)
        assert sorted(region.id for region in parse(merged.text)) == sorted(ids), seed
        answer = merged.removed["1-1"] if "1-1" in merged.removed else code_of(merged.text, "1-1")
        assert answer.split() == code_of(mine, "1-1").split(), seed


def _is_python(text):
    try:
        return bool(ast.parse(text))
    except SyntaxError:
        return False


def _shuffled(text, dice):
    lines = text.splitlines(keepends=True)
    for _ in range(dice.randint(1, 4)):
        at, to = dice.randrange(len(lines)), dice.randrange(len(lines))
        if "[TODO" in lines[at] + lines[to] or "[END" in lines[at] + lines[to]:
            continue
        action = dice.choice(("drop", "double", "move", "change", "quote"))
        if action == "drop":
            del lines[at]
        elif action == "double":
            lines.insert(at, lines[at])
        elif action == "move":
            lines.insert(to, lines.pop(at))
        elif action == "change" and lines[at].strip().startswith(("def", "return")):
            lines[at] = lines[at].replace("number", "number_").replace("radius", "r")
        elif action == "quote":
            lines.insert(at, '"""설명\n"""\n')
    return "".join(lines)


def test_answer_that_moves_keeps_its_strings_and_blank_lines():
    answer = 'text = "가\u2028나"\n\nanswer = 2 * number\n'
    block = STEP1[STEP1.index("    # [TODO 1-1]") : STEP1.index("    return answer")]
    moved = to_exercise(STEP1.replace(block, "    if number:\n" + textwrap.indent(block, "    ")))
    assert code_of(merge(BASE, splice(BASE, "1-1", answer), moved).text, "1-1") == answer


# 새 판을 읽기


def lay_out(folder, step1=NEW_STEP1, with_solutions=True, **others):
    """새 판의 저장소를 폴더에 만듭니다."""
    files = {"task1-tiny/step1_numbers.py": to_exercise(step1), "task1-tiny/step2_quadruple.py": to_exercise(STEP2)}
    if with_solutions:
        files |= {"solutions/task1-tiny/step1_numbers.py": step1, "solutions/task1-tiny/step2_quadruple.py": STEP2}
    for name, text in {**files, **others}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def zipped(folder, prefix="korean-nlp-main/", extra=()):
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for one in sorted(folder.rglob("*")):
            archive.write(one, prefix + one.relative_to(folder).as_posix())
        for name in extra:
            archive.writestr(name, "x = 1\n")
    return path


@pytest.fixture
def new(tmp_path_factory):
    return tmp_path_factory.mktemp("new") / "version"


def test_folder_and_zips_hold_the_same(new):
    others = {"course/x.py": "x\n", "README.md": "새 글\n", "data/README.md": "자료\n", "output/x.py": "", "a/b.py": ""}
    lay_out(new, **others)
    wanted = Source(HOME, new).files
    assert wanted.keys() - {"course/x.py", "README.md", "data/README.md"} == {
        f"{top}{name}"
        for top in ("", "solutions/")
        for name in ("task1-tiny/step1_numbers.py", "task1-tiny/step2_quadruple.py")
    }
    assert wanted["README.md"].decode() == "새 글\n"
    assert Source(HOME, zipped(new)).files == wanted
    assert Source(HOME, zipped(new, prefix="")).files == wanted
    assert Source(HOME, zipped(new, prefix="new/").parent).files == wanted


@pytest.mark.parametrize(
    "name", ["../evil.py", "course/../../evil.py", "/evil.py", "course/..\\..\\evil.py", "C:/evil.py"]
)
def test_zip_with_a_path_that_leads_outside_is_refused(new, workshop, name):
    build(workshop.home)
    with pytest.raises(CourseError, match="밖으로 나가는"):
        Source(HOME, zipped(lay_out(new), extra=[name]))
    assert not (workshop.root.parent / "evil.py").exists()


def test_what_is_not_the_course_is_refused(new, tmp_path, workshop):
    build(workshop.home)
    new.mkdir()
    (new / "holiday.txt").write_text("사진", encoding="utf-8")
    not_a_zip = tmp_path / "x.zip"
    not_a_zip.write_bytes(b"PK not really")
    for path in (new, zipped(new), not_a_zip, tmp_path / "nowhere", new / "holiday.txt", workshop.root):
        with pytest.raises(CourseError):
            Source(workshop.home, path)


def test_damaged_zip_is_refused(new):
    path = zipped(lay_out(new))
    content = bytearray(path.read_bytes())
    content[content.index(b"def double")] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(CourseError, match="풀 수 없습니다"):
        Source(HOME, path)


@pytest.mark.parametrize("content", [b"# [TODO 1-1] x\n", "한글".encode("cp949")])
def test_new_version_that_is_itself_broken_is_refused(new, content):
    (lay_out(new) / "task1-tiny/step1_numbers.py").write_bytes(content)
    with pytest.raises(CourseError, match="새 판의 task1-tiny/step1_numbers.py"):
        Source(HOME, new)


# 받기


@pytest.fixture
def school(workshop):
    """학생이 1-1을 푼 저장소."""
    build(workshop.home)
    workshop.step1.write_text(SOLVED, encoding="utf-8")
    workshop.write("README.md", "옛 글\n")
    return workshop


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_a_line_with_an_odd_letter_stays_one_line(odd):
    base = STEP1.replace("# 힌트: 더하기로도", f"# 힌트: 더{odd}하기로도") + f'X = "앞{odd}뒤"\n'
    mine = to_exercise(base).replace('X = "앞', 'X = "내 앞')
    theirs = to_exercise(base).replace('X = "앞', 'X = "새 앞')
    merged = merge(to_exercise(base), mine, theirs)
    assert merged.conflicts == 1
    assert f'# X = "내 앞{odd}뒤"\n' in merged.text
    assert f'\nX = "새 앞{odd}뒤"\n' in merged.text


def contents(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".course" not in path.relative_to(root).parts
    }


def test_update_merges_steps_and_replaces_the_rest_and_one_undo_takes_all_back(school, new):
    before = contents(school.root)
    lay_out(new, **{"README.md": "새 글\n", "nlpbook/extra.py": "x = 1\n", "task2-more/step1_x.py": "x = 1\n"})
    (new / "docs").mkdir()
    (new / "docs/picture.png").write_bytes(b"\x89PNG\xff")
    report = update(school.home, Source(school.home, new))
    after = contents(school.root)
    assert after["task1-tiny/step1_numbers.py"].decode() == splice(THEIRS_TEXT, "1-1", ANSWER)
    assert after["docs/picture.png"] == b"\x89PNG\xff"
    assert after["README.md"].decode() == "새 글\n"
    assert set(report.merged) == {"task1-tiny/step1_numbers.py", "task1-tiny/step2_quadruple.py"}
    assert report.created == ["task2-more/step1_x.py"]
    assert {"README.md", "nlpbook/extra.py", "docs/picture.png"} <= set(report.replaced)
    assert (report.backup / "task1-tiny/step1_numbers.py").read_text(encoding="utf-8") == SOLVED
    undo(school.home)
    assert contents(school.root) == before
    assert not (school.root / "task2-more").exists()


def test_update_again_changes_nothing(school, new):
    update(school.home, Source(school.home, lay_out(new)))
    before = contents(school.root)
    report = update(school.home, Source(school.home, new))
    assert contents(school.root) == before
    assert (report.replaced, report.backup) == ([], None)


def test_files_of_the_student_and_the_gate_are_not_touched(school, new):
    mine = ["course-gate.yaml", "output/run/log.txt", "task1-tiny/notes.md", "task1-tiny/step3_extra.py"]
    for name in mine:
        school.write(name, "내 것\n")
    for name in mine[:3]:
        path = lay_out(new) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("새 판\n", encoding="utf-8")
    update(school.home, Source(school.home, new))
    assert {(school.root / name).read_text(encoding="utf-8") for name in mine} == {"내 것\n"}


def test_update_keeps_the_way_the_file_is_saved(school, new):
    school.step1.write_bytes(("\ufeff" + SOLVED).replace("\n", "\r\n").encode())
    update(school.home, Source(school.home, lay_out(new)))
    wanted = "\ufeff" + splice(THEIRS_TEXT, "1-1", ANSWER)
    assert school.step1.read_bytes() == wanted.replace("\n", "\r\n").encode()


def test_files_that_differ_only_in_line_ends_are_the_same(school, new):
    (school.root / "README.md").write_bytes("글\r\n".encode())
    assert "README.md" not in update(school.home, Source(school.home, lay_out(new, **{"README.md": "글\n"}))).replaced


@pytest.mark.parametrize("with_solutions", [True, False])
def test_file_with_broken_marks_waits_until_it_is_mended(school, new, with_solutions):
    if not with_solutions:
        school.drop_solutions()
    wrecked = SOLVED.replace("    # [END 1-1]\n", "")
    school.step1.write_text(wrecked, encoding="utf-8")
    lay_out(new, with_solutions=with_solutions)
    report = update(school.home, Source(school.home, new))
    assert list(report.left_alone) == ["task1-tiny/step1_numbers.py"]
    assert "1-1" in report.left_alone["task1-tiny/step1_numbers.py"]
    assert school.step1.read_text(encoding="utf-8") == wrecked
    school.step1.write_text(SOLVED, encoding="utf-8")
    assert update(school.home, Source(school.home, new)).left_alone == {}
    assert school.step1.read_text(encoding="utf-8") == splice(THEIRS_TEXT, "1-1", ANSWER)


@pytest.mark.parametrize("content", ["한글".encode("cp949"), b"", b"\0", None])
def test_file_that_cannot_be_read_is_left_alone(school, new, content):
    school.step1.unlink()
    school.step1.mkdir() if content is None else school.step1.write_bytes(content)
    assert list(update(school.home, Source(school.home, lay_out(new))).left_alone) == ["task1-tiny/step1_numbers.py"]
    assert school.step1.is_dir() if content is None else school.step1.read_bytes() == content


def test_reset_after_an_update_gives_the_new_version(school, new):
    for with_solutions in (True, False):
        if not with_solutions:
            school.drop_solutions()
            shutil.rmtree(new)
        lay_out(new, with_solutions=with_solutions)
        update(school.home, Source(school.home, new))
        reset(Task(school.home, school.task.name), "1")
        assert school.step1.read_text(encoding="utf-8") == THEIRS_TEXT


def test_two_updates_in_a_copy_without_solutions_keep_the_answers(school, new):
    school.drop_solutions()
    update(school.home, Source(school.home, lay_out(new, with_solutions=False)))
    mine = splice(school.step1.read_text(encoding="utf-8"), "1-3", "return number // 2\n")
    school.step1.write_text(mine, encoding="utf-8")
    newest = NEW_STEP1.replace("수와 넓이", "수와 넓이와 반")
    report = update(school.home, Source(school.home, lay_out(new, newest, with_solutions=False)))
    wanted = splice(splice(to_exercise(newest), "1-1", ANSWER), "1-3", "return number // 2\n")
    assert school.step1.read_text(encoding="utf-8") == wanted
    assert report.merged["task1-tiny/step1_numbers.py"].conflicts == 0


def test_answers_follow_a_step_that_was_renamed(school, new):
    lay_out(new)
    for folder in ("task1-tiny", "solutions/task1-tiny"):
        (new / folder / "step1_numbers.py").rename(new / folder / "step1_figures.py")
    before = contents(school.root)
    update(school.home, Source(school.home, new))
    renamed = school.step1.with_name("step1_figures.py")
    assert renamed.read_text(encoding="utf-8") == splice(THEIRS_TEXT, "1-1", ANSWER)
    assert not school.step1.exists()
    steps = Task(school.home, "task1-tiny").steps
    assert [step.file_name for step in steps] == [
        "step1_figures.py",
        "step2_quadruple.py",
    ]
    assert SOLVED.encode() in school.backups()
    undo(school.home)
    assert contents(school.root) == before


def test_copy_the_student_made_is_not_taken_for_a_renamed_step(school, new):
    mine = school.step1.rename(school.step1.with_name("step1_mine.py"))
    assert update(school.home, Source(school.home, lay_out(new))).created == ["task1-tiny/step1_numbers.py"]
    assert mine.read_text(encoding="utf-8") == SOLVED
    assert school.step1.read_text(encoding="utf-8") == THEIRS_TEXT


def test_undo_of_an_update_keeps_answers_written_since(school, new):
    update(school.home, Source(school.home, lay_out(new)))
    later = splice(school.step1.read_text(encoding="utf-8"), "1-2", "return 3 * radius**2\n")
    school.step1.write_text(later, encoding="utf-8")
    undo(school.home)
    assert code_of(school.step1.read_text(encoding="utf-8"), "1-1") == ANSWER
    assert later.encode() in school.backups()


# 단계 곁의 파일과 사라진 파일


SETTING = "task1-tiny/configs/quick.yaml"


def test_setting_that_the_student_changed_stays(school, new):
    for top in ("", "solutions/"):
        school.write(f"{top}{SETTING}", "rate: 1\n")
    school.write(SETTING, "rate: 7\n")
    lay_out(new, **{SETTING: "rate: 2\n", f"solutions/{SETTING}": "rate: 2\n"})
    report = update(school.home, Source(school.home, new))
    assert f"solutions/{SETTING}" in report.left_alone[SETTING]
    assert (school.root / SETTING).read_text(encoding="utf-8") == "rate: 7\n"
    assert (school.root / "solutions" / SETTING).read_text(encoding="utf-8") == "rate: 2\n"


def test_setting_that_nobody_changed_is_the_new_one(school, new):
    for top in ("", "solutions/"):
        school.write(f"{top}{SETTING}", "rate: 1\n")
    lay_out(new, **{SETTING: "rate: 2\n", f"solutions/{SETTING}": "rate: 2\n"})
    update(school.home, Source(school.home, new))
    assert (school.root / SETTING).read_text(encoding="utf-8") == "rate: 2\n"


def test_what_the_student_made_is_never_the_new_one(school, new):
    made = {f"task1-tiny/{name}/x.yaml": "그들의 것\n" for name in ("output", "outputs", "sweep_results", ".cache/a")}
    lay_out(new, **made)
    assert not made.keys() & Source(school.home, new).files.keys()


@pytest.mark.parametrize("name", ["course/py.typed", "data/x/dev.csv", "task1-tiny/scripts/run.sh", "scripts/run.bat"])
def test_new_kinds_of_files_are_carried(school, new, name):
    lay_out(new, **{name: "새것\n"})
    update(school.home, Source(school.home, new))
    assert (school.root / name).read_text(encoding="utf-8") == "새것\n"


def test_files_that_went_leave_with_the_update_and_come_back_with_its_undo(school, new):
    school.write("course/answers.py", "옛것\n")
    lay_out(new, **{LIST: "# 설명\ncourse/answers.py\ncourse/never.py\n"})
    update(school.home, Source(school.home, new))
    assert not (school.root / "course/answers.py").exists()
    undo(school.home)
    assert (school.root / "course/answers.py").read_text(encoding="utf-8") == "옛것\n"


def test_files_an_old_update_left_behind_go_at_the_first_start(school, new):
    school.write("course/answers.py", "옛것\n")
    lay_out(new, **{"README.md": "새 글\n"})
    update(school.home, Source(school.home, new))
    school.write(LIST, "course/answers.py\n")
    (edit,) = clear_away(school.home)
    assert edit.kept.read_text(encoding="utf-8") == "옛것\n"
    assert clear_away(school.home) == []
    undo(school.home)
    assert (school.root / "course/answers.py").read_text(encoding="utf-8") == "옛것\n"
    assert (school.root / "README.md").read_text(encoding="utf-8") == "옛 글\n"


def test_the_door_an_old_update_did_not_bring_is_put_there_at_the_first_start(school, new):
    lay_out(new, **{"README.md": "새 글\n", f"solutions/task1-tiny/{DOOR}": "# 문\n"})
    update(school.home, Source(school.home, new))
    door = school.root / "task1-tiny" / DOOR
    assert not door.exists()
    (edit,) = put_missing(school.home)
    assert (edit.path, door.read_text(encoding="utf-8")) == (door, "# 문\n")
    assert put_missing(school.home) == []
    undo(school.home)
    assert not door.exists()


def test_files_left_behind_without_a_journal_are_kept_too(workshop):
    workshop.write("course/answers.py", "옛것\n")
    workshop.write(LIST, "course/answers.py\n")
    clear_away(workshop.home)
    assert "옛것\n".encode() in workshop.backups()
    undo(workshop.home)
    assert (workshop.root / "course/answers.py").exists()
