"""명령의 출력과 종료 코드."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
import typer
from rich.cells import cell_len

from course import cli, front
from course.author.build import build
from course.book.regions import splice, to_exercise
from course.checks.verdict import NOT_STARTED, RIGHT, WRONG, Verdict
from course.home import ROOT
from course.student.progress import Progress
from tests.course.workshop import STEP1, STEP2


@pytest.fixture
def run(workshop, capsys):
    """`run("check", "tiny")` → (종료 코드, 표준 출력, 표준 오류)."""
    build(workshop.home)

    def command(*arguments):
        code = cli.main(list(arguments), workshop.home)
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def asked(monkeypatch):
    """검사 프로세스를 대신합니다. 물어본 것을 적고, 해답이 든 폴더면 맞았다고 합니다."""
    seen = []

    class FakeChecker:
        def __init__(self, home):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def check(self, task, folder, todo_ids, device="cpu"):
            seen.append((task.name, folder, todo_ids))
            solved = "solutions" in folder.parts
            state, title = (RIGHT, "맞았습니다") if solved else (NOT_STARTED, "아직 시작하지 않았습니다")
            return {one: Verdict(one, state, title) for one in todo_ids}

    monkeypatch.setattr(cli, "Checker", FakeChecker)
    return seen


@pytest.mark.parametrize(
    ("words", "todos"),
    [
        ([], ["1-1", "1-2", "2-1"]),
        (["tiny"], ["1-1", "1-2", "2-1"]),
        (["task1-tiny/", "1"], ["1-1", "1-2"]),
        (["task1", "1-2"], ["1-2"]),
        (["2"], ["2-1"]),
    ],
)
def test_check_asks_for_the_chosen_todos_of_the_students_folder(run, asked, workshop, words, todos):
    run("check", *words)
    assert asked == [("task1-tiny", workshop.root / "task1-tiny", todos)]


def test_check_fails_while_a_todo_is_open(run, asked):
    code, out, _ = run("check", "tiny", "1")
    assert code == 1
    assert "아직 시작하지 않았습니다" in out
    assert "0/2 맞았습니다." in out


def test_check_succeeds_when_all_are_right(run, asked):
    code, out, _ = run("check", "--target", "solutions")
    assert code == 0
    assert "3/3 맞았습니다." in out


def test_check_in_json_is_only_json(run, asked):
    code, out, _ = run("check", "tiny", "1-2", "--json")
    assert code == 1
    [verdict] = json.loads(out)
    assert (verdict["task"], verdict["todo"], verdict["state"]) == ("task1-tiny", "1-2", "not started")


def test_check_of_a_file_checks_the_folder_that_file_lies_in(run, asked, workshop):
    folders = [workshop.root / "task1-tiny", workshop.root / "solutions/task1-tiny"]
    for folder in folders:
        run("check", "--file", str(folder / "step1_numbers.py"))
    assert asked == [("task1-tiny", folder, ["1-1", "1-2"]) for folder in folders]


def test_check_for_editors_gives_file_line_and_column(run, workshop):
    workshop.install_engine()
    file = workshop.write("task1-tiny/step1_numbers.py", STEP1.replace("* 2", "* 3"))
    pattern = json.loads((ROOT / ".vscode/tasks.json").read_text("utf-8"))["tasks"][0]["problemMatcher"]["pattern"]
    code, out, _ = run("check", "--file", str(file), "--lines")
    assert code == 1
    found = re.fullmatch(pattern["regexp"], out.strip())
    place = [found[pattern[one]] for one in ("file", "line", "column", "severity")]
    number, line = next(one for one in enumerate(file.read_text("utf-8").splitlines(), 1) if "* 3" in one[1])
    assert place == ["task1-tiny/step1_numbers.py", str(number), str(len(line) - len(line.lstrip()) + 1), "error"]
    assert found[pattern["message"]].startswith("1-1 ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope"], "있는 과제: tiny"),
        (["tiny", "9"], "있는 단계: 1, 2"),
        (["1-3"], "'1-3'"),
        (["tiny", ""], "''"),
        ([""], "과제 ''"),
        (["tiny", "1", "2"], "남는 말이 있습니다: 2"),
        (["--target", "/nowhere"], "검사할 폴더가 없습니다"),
    ],
)
def test_wrong_name_is_one_korean_sentence(run, asked, words, said):
    code, out, err = run("check", *words)
    assert (code, out, asked) == (1, "", [])
    assert err.startswith("오류: ")
    assert said in err
    assert err.count("\n") == 1


def test_file_that_is_not_utf8_is_one_korean_sentence(run, asked, workshop):
    (workshop.root / "solutions/task1-tiny/step1_numbers.py").write_bytes("# 한글".encode("cp949"))
    code, _, err = run("check")
    assert code == 1
    assert "UTF-8" in err


def test_status_counts_what_is_done_in_each_step(run, asked):
    code, out, _ = run("status", "--json")
    assert code == 0
    assert json.loads(out)["steps"] == [
        {"task": "task1-tiny", "step": "step1_numbers.py", "done": 0, "todos": 2},
        {"task": "task1-tiny", "step": "step2_quadruple.py", "done": 0, "todos": 1},
    ]


def test_mistyped_todo_gets_a_guess_and_no_list(run, asked):
    code, _, err = run("check", "tiny", "2_1")
    assert code == 1
    assert "혹시 2-1 인가요?" in err
    assert "1-2" not in err


def test_no_line_ends_in_a_blank_and_help_has_no_escapes_in_a_pipe(run, asked, workshop, capsys):
    out = run("status")[1]
    said = Verdict("1-1", WRONG, "틀렸습니다", says="긴 설명입니다. " * 20, printed=["", "  42  "])
    cli.show_verdicts(workshop.home, [(workshop.task.exercise, workshop.task, said)])
    out += capsys.readouterr().out
    assert [line for line in out.splitlines() if line != line.rstrip()] == []
    assert "\x1b" not in run()[2]


def test_several_tasks_have_a_heading_and_a_count_each(workshop, capsys):
    other = SimpleNamespace(name="task2-other", exercise=workshop.task.exercise, is_stretch=lambda _: False)
    verdict = Verdict("1-1", RIGHT, "맞았습니다")
    cli.show_verdicts(workshop.home, [(task.exercise, task, verdict) for task in (workshop.task, other)])
    lines = capsys.readouterr().out.splitlines()
    assert lines.index("task1-tiny") < lines.index("task2-other") < lines.index("task1-tiny: 1/1")
    assert lines[-1] == "2/2 맞았습니다."


def test_status_takes_a_task_and_a_step(run, asked, workshop):
    run("status", "tiny", "1")
    assert asked == [("task1-tiny", workshop.root / "task1-tiny", ["1-1", "1-2"])]


def test_status_is_a_table(run, asked):
    code, out, _ = run("status")
    assert code == 0
    assert "0/2" in out
    assert "step2_quadruple" in out


def test_status_says_that_checks_were_changed(run, asked, workshop):
    assert json.loads(run("status", "--json")[1])["changed_checks"] == []
    assert "검사 파일이 받은 것과 다릅니다" not in run("status")[1]
    (workshop.task.checks / "step1/test_1_1.py").write_text("", encoding="utf-8")
    assert json.loads(run("status", "--json")[1])["changed_checks"] == ["tests/task1_tiny/checks/step1/test_1_1.py"]
    assert "검사 파일이 받은 것과 다릅니다: tests/task1_tiny/checks/step1/test_1_1.py" in run("status")[1]


def test_build_check_tells_whether_both_trees_fit(run, workshop):
    assert run("build", "--check")[:2] == (0, "실습 파일과 해답이 맞습니다.\n")
    mine = workshop.write("task1-tiny/step1_numbers.py", "# 내 것\n")
    code, out, _ = run("build", "--check")
    assert code == 1
    assert "task1-tiny/step1_numbers.py" in out
    assert mine.read_text(encoding="utf-8") == "# 내 것\n"


def test_build_tells_what_it_wrote_and_where_the_old_file_is(run, workshop):
    workshop.write("task1-tiny/step1_numbers.py", "# 내 것\n")
    code, out, _ = run("build")
    assert code == 0
    assert "썼습니다: task1-tiny/step1_numbers.py  (옛 파일: .course" in out
    assert "새로 쓴 것이 없습니다" in run("build")[1]


def test_no_command_shows_the_commands(run):
    code, out, err = run()
    assert code == 2
    assert "한국어 NLP 강의의 실습 도구입니다." in out + err
    assert "status" in out + err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["frobnicate"], "모르는 명령입니다: frobnicate."),
        (["chekc"], "혹시 check 인가요?"),
        (["check", "--nope"], "모르는 옵션입니다: --nope."),
        (["check", "--trace"], "혹시 --traceback"),
        (["check", "--target"], "옵션 --target에 값이 없습니다"),
        (["check", "--json=1"], "옵션 --json에는 값을 적지 않습니다"),
        (["build", "x"], "남는 말이 있습니다: x"),
        (["update"], "--from이 필요합니다: 새 판이 든 폴더나 내려받은 zip 파일."),
        (["record"], "파일이 필요합니다: 판정을 적을"),
    ],
)
def test_misspelled_command_line_is_told_in_korean(run, words, said):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert "No such" not in err
    assert "--help" in err


def test_unknown_device_is_refused_before_anything_is_checked(run, asked):
    assert run("check", "--device", "gpu") == (2, "", "오류: --device에는 cpu나 cuda를 적어 주세요: gpu\n")
    assert asked == []


@pytest.mark.parametrize("command", ["hint", "reveal", "diff", "reset"])
def test_missing_todo_is_answered_with_the_one_the_student_is_at(run, workshop, command):
    code, out, err = run(command)
    assert (code, out) == (2, "")
    assert err.endswith(f"지금 하는 것이라면: python -m course {command} tiny 1-1\n")
    workshop.step1.write_text(splice(to_exercise(STEP1), "1-2", "return radius"), encoding="utf-8")
    assert run(command)[2].endswith(f"python -m course {command} tiny 1-2\n")
    assert run(command, "tiny")[2].endswith(f"python -m course {command} tiny 1-2\n")


def test_a_todo_answered_right_once_is_no_longer_the_one_to_be_hinted_at(run, workshop):
    workshop.step1.write_text(splice(to_exercise(STEP1), "1-1", "answer = 1"), encoding="utf-8")
    assert run("hint")[2].endswith("hint tiny 1-1\n")
    Progress(workshop.home).record(workshop.task, Verdict("1-1", RIGHT, "맞았습니다"))
    assert run("hint")[2].endswith("hint tiny 1-2\n")
    assert run("diff")[2].endswith("diff tiny 1-1\n")


def test_help_is_grouped_and_the_same_before_and_after_installing(run, monkeypatch):
    for columns in (60, 80, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        code, out, _ = run("--help")
        assert (code, out) == (0, front.overview())
    assert out.index("배우기") < out.index("  watch") < out.index("강의 고치기") < out.index("  build")


def test_every_command_is_in_the_table_of_the_front():
    assert list(typer.main.get_command(cli.app).commands) == list(front.COMMANDS)


def test_interrupted_command_says_so(run, monkeypatch):
    def interrupted(home):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.building, "build", interrupted)
    assert run("build") == (130, "", "멈췄습니다.\n")


def test_verdict_is_shown_with_place_values_and_idea(capsys, workshop):
    values = {"expected": "4", "got": "[5]", "idea": "곱셈", "file": "step1_numbers.py", "line": 9}
    verdict = Verdict("1-1", WRONG, "더했습니다 [x]", "곱해 보세요.", **values)
    cli.show_verdicts(workshop.home, [(workshop.task.exercise, workshop.task, verdict)])
    out = " ".join(capsys.readouterr().out.split())
    assert "1-1 더했습니다 [x] task1-tiny/step1_numbers.py:9 기대: 4 나온 값: [5] 곱해 보세요. 관련된 개념: 곱셈" in out


def test_real_check_from_command_line_to_verdict(run, workshop):
    workshop.install_engine()
    workshop.write("task1-tiny/step1_numbers.py", STEP1)
    assert run("check", "tiny", "1", "--json")[0] == 0
    workshop.write("task1-tiny/step1_numbers.py", STEP1.replace("* 2", "* 3"))
    workshop.write("task1-tiny/step2_quadruple.py", STEP2)
    code, out, _ = run("check", "tiny", "--json")
    assert code == 1
    assert [one["state"] for one in json.loads(out)] == ["wrong", "right", "wrong"]


@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize(
    "command", [[], ["check"], ["tolerances"], ["demo"], ["update"]], ids=lambda words: " ".join(words)
)
def test_help_fits_the_width_and_loses_no_text(run, monkeypatch, columns, command):
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = run(*command, "-h")
    assert code == 0
    assert max(map(cell_len, out.splitlines())) <= columns
    assert "…" not in out
    told = "".join(out.split())
    root = typer.main.get_command(cli.app)
    one = root.commands[command[0]] if command else root
    texts = [one.help, *(parameter.help or "" for parameter in one.params if parameter.name != "help")]
    texts += [other.help for other in getattr(one, "commands", {}).values()]
    assert [text for text in texts if "".join(text.split()) not in told] == []
