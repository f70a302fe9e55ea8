"""새 판에서 바뀐 이름은 학생의 옛 답에도 옮겨지되, 검사를 통과할 때만 그렇습니다. 한 번의 undo로 모두 돌아옵니다."""

from __future__ import annotations

import json
import shutil

import pytest

from course import cli
from course.author.build import build
from course.book.backups import Journal, undo
from course.book.regions import code_of, is_untouched, splice, to_exercise
from course.book.tasks import Task
from course.checks.checker import Checker
from course.checks.verdict import RIGHT, WRONG, Verdict
from course.student.carrying import carry_over, is_due, leave_word, table_file, waiting_file, word_left
from course.student.edits import reset
from course.student.update import Source, update
from tests.course.workshop import STEP1, STEP2

NAME = "task1-tiny/step1_numbers.py"
TABLE = "tests/task1_tiny/checks/renamed.yaml"
OLD = '''"""1단계 · 수"""


class Trainer:
    def __init__(self, args):
        # [TODO 1-1] 설정을 담으세요.
        self.args = args
        # [END 1-1]

    def optimize(self, number):
        # [TODO 1-2] 몇 배인지 설정에서 읽어 곱하세요.
        args = self.args
        return args["rate"] * number  # args
        # [END 1-2]

    def state(self):
        # [TODO 1-3] 상태를 돌려주세요.
        return {"model": self.optimize(3), "note": f"args {self.args['rate']:>{self.args['width']}}"}
        # [END 1-3]
'''
NEW = (
    OLD.replace("args", "config").replace("optimize", "train_step").replace('"model"', '"model_state_dict"')
).replace("몇 배인지", "몇 배를 할지")
RENAMED = "names: {args: config, optimize: train_step}\nstrings: {model: model_state_dict}\n"
ASKED = RENAMED + 'new_questions: {"1-2": 이제 더하기를 묻습니다.}\n'


class Judge(Checker):
    """검사 프로세스 대신, 새 판의 이름으로 물어 판정합니다."""

    def check(self, task, folder, todo_ids, device="cpu", timeout=1.0):
        return {todo: Verdict(todo, RIGHT if self._is_right(folder, todo) else WRONG, "") for todo in todo_ids}

    @staticmethod
    def _is_right(folder, todo):
        names = {}
        settings = {"rate": 2, "width": 3}
        try:
            exec((folder / "step1_numbers.py").read_text(encoding="utf-8"), names)
            trainer = names["Trainer"](settings)
            wanted = {
                "1-1": lambda: trainer.config is settings,
                "1-2": lambda: trainer.train_step(5) == 10,
                "1-3": lambda: trainer.state()["model_state_dict"] == 6,
            }
            return bool(wanted[todo]()) if todo in wanted else True
        except Exception:  # noqa: BLE001  학생의 코드는 무엇으로든 멈춥니다.
            return False


@pytest.fixture
def school(workshop):
    """학생이 옛 이름으로 1단계를 다 푼 저장소."""
    workshop.write("solutions/task1-tiny/step1_numbers.py", OLD)
    build(workshop.home)
    workshop.step1.write_text(OLD, encoding="utf-8")
    return workshop


@pytest.fixture
def bring(school, tmp_path_factory):
    """`bring(표)`: 그 표가 든 새 판을 받고, 이름까지 옮깁니다."""

    def run(table=RENAMED, step1=NEW, carry=True):
        folder = tmp_path_factory.mktemp("new")
        files = {NAME: to_exercise(step1), "task1-tiny/step2_quadruple.py": to_exercise(STEP2)}
        files |= {f"solutions/{NAME}": step1, "solutions/task1-tiny/step2_quadruple.py": STEP2}
        for name, text in {**files, **({TABLE: table} if table else {})}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        update(school.home, Source(school.home, folder))
        return carry_over(school.home, Judge(school.home)) if carry else []

    return run


def contents(school):
    return {
        path.relative_to(school.root).as_posix(): path.read_bytes()
        for path in school.root.rglob("*")
        if path.is_file() and "backup" not in path.parts
    }


def mine(school, todo_id):
    return code_of(school.step1.read_text(encoding="utf-8"), todo_id)


def solve(school, todo_id, code):
    school.step1.write_text(splice(school.step1.read_text(encoding="utf-8"), todo_id, code), encoding="utf-8")


def test_old_answers_get_the_new_names_and_one_undo_takes_all_back(school, bring):
    before = contents(school)
    said = bring()
    assert mine(school, "1-1") == "self.config = config\n"
    assert mine(school, "1-2") == 'args = self.config\nreturn args["rate"] * number  # args\n'
    assert '"model_state_dict": self.train_step(3)' in mine(school, "1-3")
    assert "f\"args {self.config['rate']:>{self.config['width']}}\"" in mine(school, "1-3")
    assert said == [
        "step1_numbers.py: TODO 1-1, 1-2, 1-3의 답에 바뀐 이름을 옮겨 적었습니다(args → config, "
        '"model" → "model_state_dict", optimize → train_step).'
    ]
    undo(school.home)
    assert contents(school) == before


def test_second_time_and_second_update_change_nothing(school, bring):
    bring()
    before = contents(school)
    assert carry_over(school.home, Judge(school.home)) == []
    assert bring() == []
    assert contents(school) == before


def test_without_a_table_nothing_changes(school, bring):
    assert bring(table=None) == []
    assert mine(school, "1-1") == "self.args = args\n"


def test_answer_that_is_right_as_it_is_stays(school, bring):
    solve(school, "1-2", "args = 2\nreturn args * number\n")
    bring()
    assert mine(school, "1-2") == "args = 2\nreturn args * number\n"


def test_answer_that_does_not_pass_either_way_stays_and_is_told(school, bring):
    solve(school, "1-2", "return self.args['speed'] * number\n")
    said = bring()
    assert mine(school, "1-2") == "return self.args['speed'] * number\n"
    assert mine(school, "1-1") == "self.config = config\n"
    assert "TODO 1-2의 답에 바뀐 이름이 있지만(args → config), 옮기면 검사를 통과하지 못해" in " ".join(said)


def test_new_name_that_is_taken_in_the_answer_is_left_and_told(school, bring):
    code = "config = 7\nargs = 1\nreturn self.args['rate'] * number * args\n"
    solve(school, "1-2", code)
    bring()
    assert mine(school, "1-2") == code.replace("self.args", "self.config")
    undo(school.home)
    solve(school, "1-1", "config = args\nself.args = config\n")
    said = " ".join(bring())
    assert mine(school, "1-1") == "config = args\nself.args = config\n"
    assert "TODO 1-1의 답에서 새 이름을 이미 다른 것에 쓰고 있어 옮기지 않았습니다(args → config)" in said


def test_entry_of_one_todo_moves_only_there(school, bring):
    names = "{args: config, optimize: {to: train_step, todos: ['1-2']}}"
    said = bring(table=f"names: {names}\nstrings: {{model: model_state_dict}}\n")
    assert "self.optimize(3)" in mine(school, "1-3")
    assert "TODO 1-3의 답에 바뀐 이름이 있지만" in " ".join(said)


def test_code_outside_the_regions_moves_too_but_its_own_names_stay(school, bring):
    added = "\n\ndef shown(args, trainer):\n    return args, trainer.args, 'args'  # args\n"
    school.step1.write_text(OLD + added, encoding="utf-8")
    said = bring()
    moved = added.replace("trainer.args", "trainer.config")
    assert school.step1.read_text(encoding="utf-8").endswith(moved)
    assert "TODO 1-1, 1-2, 1-3의 답, 자리 밖에 쓴 코드에" in said[0]


def test_code_outside_that_would_break_a_right_answer_stays(school, bring):
    added = "\n\nclass Mine:\n    args = 2\n\n\nRATE = Mine().args\n"
    school.step1.write_text(OLD + added, encoding="utf-8")
    solve(school, "1-2", "return RATE * number\n")
    said = bring()
    assert school.step1.read_text(encoding="utf-8").endswith(added)
    assert mine(school, "1-2") == "return RATE * number\n"
    assert "자리 밖에 쓴 코드에 바뀐 이름이 있지만" in " ".join(said)


def test_answer_to_a_question_that_changed_stays_as_a_comment(school, bring):
    before = contents(school)
    said = bring(table=ASKED)
    text = school.step1.read_text(encoding="utf-8")
    region = Task(school.home, "task1-tiny").regions(school.task.exercise)["1-2"]
    assert is_untouched(text, region)
    lines = [line.strip() for line in mine(school, "1-2").splitlines()]
    assert lines[0].startswith('todo("1-2")')
    assert lines[1:] == [
        "# 물음이 바뀌었습니다. 이제 더하기를 묻습니다.",
        "# 전에 쓴 답:",
        "# args = self.args",
        '# return args["rate"] * number  # args',
    ]
    assert said[0].startswith("step1_numbers.py: TODO 1-2의 물음이 바뀌었습니다. 이제 더하기를 묻습니다.")
    assert carry_over(school.home, Judge(school.home)) == []
    assert bring(table=ASKED) == []
    assert school.step1.read_text(encoding="utf-8") == text
    undo(school.home)
    assert contents(school) == before


def test_new_answer_to_the_new_question_is_never_taken_away(school, bring):
    bring(table=ASKED)
    solve(school, "1-2", "return 2 * number\n")
    assert bring(table=ASKED + "# 다음 판\n") == []
    assert mine(school, "1-2") == "return 2 * number\n"


def test_unanswered_question_that_changed_says_nothing(school, bring):
    reset(school.task, "1-2")
    said = bring(table=ASKED)
    assert "물음이 바뀌었습니다" not in " ".join(said)
    assert "전에 쓴 답" not in mine(school, "1-2")


def test_windows_file_stays_one(school, bring):
    school.step1.write_bytes(("\ufeff" + OLD).replace("\n", "\r\n").encode())
    bring(table=ASKED)
    content = school.step1.read_bytes()
    assert content.startswith("\ufeff".encode())
    assert content.count(b"\n") == content.count(b"\r\n")
    assert b"self.config = config\r\n" in content


@pytest.mark.parametrize("wreck", ["return = 3\n", None], ids=["syntax", "marks"])
def test_file_that_cannot_be_read_gets_its_names_at_the_next_update(school, bring, wreck):
    whole = school.step1.read_text(encoding="utf-8")
    broken = splice(whole, "1-2", wreck) if wreck else whole.replace("        # [END 1-2]\n", "")
    school.step1.write_text(broken, encoding="utf-8")
    bring()
    assert "self.args = args" in school.step1.read_text(encoding="utf-8")
    assert list(json.loads(waiting_file(school.task).read_text(encoding="utf-8"))) == ["step1_numbers.py"]
    mended = splice(school.step1.read_text(encoding="utf-8"), "1-2", "return 2 * number\n") if wreck else whole
    school.step1.write_text(mended, encoding="utf-8")
    bring()
    assert mine(school, "1-1") == "self.config = config\n"
    assert not waiting_file(school.task).exists()


def test_what_was_written_after_the_update_survives_the_undo(school, bring):
    """이름을 옮기기 전에 학생이 더 썼으면, 옮긴 것은 따로 무릅니다."""
    bring(carry=False)
    solve(school, "1-3", "return {}\n")
    carry_over(school.home, Judge(school.home))
    assert mine(school, "1-1") == "self.config = config\n"
    undo(school.home)
    assert (mine(school, "1-1"), mine(school, "1-3")) == ("self.args = args\n", "return {}\n")
    assert not is_due(school.home)


def test_old_update_is_finished_at_the_first_start_and_not_before_an_undo(school, bring, monkeypatch, capsys):
    monkeypatch.setattr("course.student.commands.Checker", Judge)
    before = contents(school)
    bring(carry=False)
    cli.main(["diff", "1-1"], home=school.home)
    out, told = capsys.readouterr()
    assert "+self.config = config" in out
    assert "바뀐 이름을 옮겨 적었습니다" in told
    assert not is_due(school.home)
    undo(school.home)
    bring(carry=False)
    cli.main(["undo"], home=school.home)
    assert contents(school) == before


def test_word_that_could_not_be_shown_is_shown_once(school):
    leave_word(school.home, ["옮겼습니다."])
    assert word_left(school.home) == ["옮겼습니다."]
    assert word_left(school.home) == []


def test_broken_table_changes_nothing_and_is_told(school, bring, monkeypatch, capsys):
    monkeypatch.setattr("course.student.commands.Checker", Judge)
    bring(table="names: [", carry=False)
    assert cli.main(["diff", "1-1"], home=school.home) == 0
    assert "바뀐 이름을 옛 답에 옮기지 못했습니다" in capsys.readouterr().err
    assert mine(school, "1-1") == "self.args = args\n"


def test_real_checks_decide(workshop, tmp_path):
    """진짜 검사 프로세스로: 두 배를 묻던 이름이 바뀐 새 판을 받습니다."""
    workshop.install_engine()
    build(workshop.home)
    workshop.step1.write_text(splice(to_exercise(STEP1), "1-1", "answer = number * 2\n"), encoding="utf-8")
    new = tmp_path / "new"
    shutil.copytree(workshop.root, new)
    for name in (NAME, f"solutions/{NAME}"):
        text = (new / name).read_text(encoding="utf-8").replace("answer", "result").replace("number", "value")
        (new / name).write_text(text, encoding="utf-8")
    (new / TABLE).write_text("names: {answer: result, number: value}\n", encoding="utf-8")
    update(workshop.home, Source(workshop.home, new))
    with Checker(workshop.home) as checker:
        carry_over(workshop.home, checker)
    assert code_of(workshop.step1.read_text(encoding="utf-8"), "1-1") == "result = value * 2\n"
    assert table_file(workshop.task).is_file()
    assert Journal.latest(workshop.home).settled == ["renamed"]
