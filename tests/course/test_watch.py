"""저장하면 영향받는 것만 검사하고, 맞으면 다음으로 넘어가며, 무엇이 와도 살아 있습니다."""

from __future__ import annotations

import io
import os
import queue
import select
import sys
import threading
import time

import pytest
from rich.console import Console

from course.author.build import build
from course.book.regions import splice, to_exercise
from course.book.tasks import Task
from course.checks.verdict import BLOCKED, BROKEN, NOT_STARTED, RIGHT, WRONG, Verdict
from course.home import ROOT, CourseError
from course.student import watch
from course.student.progress import Progress
from course.student.watch import KEY, SAVED, Watch, read_keys, watch_files
from tests.course.workshop import STEP1, STEP2

HINTS = "difficulty: 1\nminutes: 5\nhints: [첫째 힌트, 둘째 힌트]\nexplains: 더하기로도 되는 까닭\n"


class FakeChecker:
    """검사 프로세스를 대신합니다. 자리의 코드로 판정하고, 물어본 것을 적습니다."""

    def __init__(self):
        self.asked = []

    def check(self, task, folder, todo_ids, **_):
        self.asked.append(todo_ids)
        return {todo_id: self.judge(folder, task, todo_id) for todo_id in todo_ids}

    def judge(self, folder, task, todo_id):
        text = (folder / task.step_of(todo_id).file_name).read_text(encoding="utf-8")
        if "((" in text or not all(f"[{mark} {todo_id}]" in text for mark in ("TODO", "END")):
            return Verdict(todo_id, BROKEN, "코드가 멈췄습니다")
        if f'todo("{todo_id}")' in text:
            return Verdict(todo_id, NOT_STARTED, "아직 시작하지 않았습니다")
        if todo_id == "2-1" and 'todo("1-1")' in (folder / task.step(1).file_name).read_text(encoding="utf-8"):
            return Verdict(todo_id, BLOCKED, "먼저 TODO 1-1을 채워야 합니다")
        return Verdict(todo_id, WRONG, "틀렸습니다") if "wrong" in text else Verdict(todo_id, RIGHT, "맞았습니다")


@pytest.fixture
def watching(workshop):
    """아무것도 안 푼 학생의 폴더를 보는 watch. 화면은 80칸이고 색이 없습니다."""
    workshop.write("tests/task1_tiny/checks/step1/1-1.yaml", HINTS)
    build(workshop.home)
    console = Console(file=io.StringIO(), width=80, highlight=False, color_system=None)
    one = Watch([workshop.task], FakeChecker(), console, Progress(workshop.home))
    one.start()
    one.checker.asked.clear()
    said(one)
    return one


def said(one):
    """지난번에 물은 뒤로 화면에 나온 글."""
    text = one.console.file.getvalue()
    one.console.file.seek(0)
    one.console.file.truncate()
    return text


def save(one, name, text):
    path = one.tasks[0].exercise / name
    path.write_text(text, encoding="utf-8")
    one.on_save({path})
    return said(one)


def answering(todo_id, code, text=None):
    return splice(text or to_exercise(STEP1), todo_id, code)


def current(one):
    return one.current[1]


def test_first_screen_shows_the_first_open_todo(watching):
    watching.start()
    screen = said(watching)
    assert "TODO 1-1  두 배를 answer에 담으세요.  ★☆☆ 5분" in screen
    assert "task1-tiny/step1_numbers.py:10" in screen
    assert "힌트: 더하기로도 됩니다." in screen
    assert "0/3" in screen
    assert "h 힌트" in screen
    assert "q 끝내기" in screen


def test_save_checks_only_what_changed(watching):
    save(watching, "step1_numbers.py", answering("1-1", "answer = wrong"))
    assert watching.checker.asked == [["1-1"]]


def test_change_elsewhere_in_the_step_is_checked_after_the_current_todo(watching):
    watching.on_key("n")
    save(watching, "step1_numbers.py", answering("1-1", "answer = wrong"))
    assert watching.checker.asked == [["1-2"], ["1-1"]]


def test_change_outside_the_regions_checks_the_whole_step(watching):
    save(watching, "step1_numbers.py", to_exercise(STEP1) + "\nEXTRA = 1\n")
    assert watching.checker.asked == [["1-1"], ["1-2"]]


def test_save_of_another_file_checks_nothing(watching, tmp_path):
    watching.on_save({tmp_path / "step1_numbers.py"})
    save(watching, "notes.py", "x = 1\n")
    assert watching.checker.asked == []


def test_wrong_answer_is_told_and_the_todo_stays(watching):
    screen = save(watching, "step1_numbers.py", answering("1-1", "answer = wrong"))
    assert "✗ 1-1  틀렸습니다" in screen
    assert "초" in screen
    assert current(watching) == "1-1"
    assert watching.progress.of(watching.tasks[0], "1-1").attempts == 1


def test_same_wrong_answer_saved_again_is_told_again(watching):
    wrong = answering("1-1", "answer = wrong")
    save(watching, "step1_numbers.py", wrong)
    assert "✗ 1-1" in save(watching, "step1_numbers.py", wrong)


def test_right_answer_moves_on_and_says_where(watching):
    screen = save(watching, "step1_numbers.py", answering("1-1", "answer = 1"))
    assert screen.index("✓ 1-1") < screen.index("다음 TODO로 넘어갑니다") < screen.index("TODO 1-2  원의 넓이")
    assert "1/3" in screen
    assert current(watching) == "1-2"


def test_right_answer_tells_why(watching):
    solved = answering("1-1", "answer = 1")
    assert "왜: 더하기로도 되는 까닭" in save(watching, "step1_numbers.py", solved)
    assert "왜:" not in save(watching, "step1_numbers.py", answering("1-2", "return wrong", solved))


def test_every_todo_whose_code_changed_is_told_wherever_the_student_is(watching):
    watching.on_key("n")
    said(watching)
    for answer in ("wrong", "wrong + 1", "wrong + 2"):
        screen = save(watching, "step1_numbers.py", answering("1-1", f"answer = {answer}"))
        assert "✗ 1-1  틀렸습니다" in screen
    screen = save(watching, "step1_numbers.py", answering("1-1", "answer = wrong + 2") + "\nEXTRA = 1\n")
    assert "1-1" not in screen  # 자리 밖만 고쳤고 판정도 그대로입니다.


def test_verdict_of_the_current_todo_is_on_the_first_screen_and_with_every_hint(watching):
    save(watching, "step1_numbers.py", answering("1-1", "answer = wrong"))
    watching.start()
    assert "✗ 1-1  틀렸습니다" in said(watching)
    assert "✗ 1-1  틀렸습니다" in run(watching, (KEY, "h"))


def test_end_of_a_step_is_told_and_r_runs_that_step(watching, capfd):
    screen = save(watching, "step1_numbers.py", STEP1 + "\nprint('1단계입니다')\n")
    assert "1단계를 마쳤습니다. r을 누르면 그 파일을 실행합니다: step1_numbers.py" in screen
    assert current(watching) == "2-1"
    watching.on_key("r")
    assert capfd.readouterr().out == "1단계입니다\n"
    save(watching, "step2_quadruple.py", "print('2단계입니다')\n" + STEP2.replace("double(number)", "wrong"))
    watching.on_key("r")
    assert capfd.readouterr().out.startswith("2단계입니다\n")


def test_second_notice_of_one_save_is_silent(watching):
    solved = answering("1-1", "answer = 1")
    save(watching, "step1_numbers.py", solved)
    assert save(watching, "step1_numbers.py", solved) == ""


def test_todo_that_waited_for_an_earlier_one_is_freed(watching):
    save(watching, "step2_quadruple.py", STEP2)
    assert watching.verdicts["task1-tiny", "2-1"].state == BLOCKED
    assert "✓ 2-1" in save(watching, "step1_numbers.py", answering("1-1", "answer = 1"))


def test_last_right_answer_ends_with_congratulations(watching):
    save(watching, "step2_quadruple.py", STEP2)
    screen = save(watching, "step1_numbers.py", STEP1)
    assert "모든 TODO를 마쳤습니다" in screen
    assert "python task1-tiny/step2_quadruple.py --help" in screen


def test_everything_done_before_is_told_at_the_start(watching):
    for name, text in (("step1_numbers.py", STEP1), ("step2_quadruple.py", STEP2)):
        (watching.tasks[0].exercise / name).write_text(text, encoding="utf-8")
    watching.start()
    assert "모든 TODO를 마쳤습니다" in said(watching)


def test_end_of_one_task_among_several_says_what_to_run(workshop, watching):
    workshop.write("solutions/task2-next/step1_cli_and_more.py", STEP1)
    workshop.write("tests/task2_next/checks/step1/1-1.yaml", "{}")
    build(workshop.home)
    other = Task(workshop.home, "task2-next")
    one = Watch([workshop.task, other], FakeChecker(), watching.console, watching.progress)
    one.start()
    said(one)
    save(one, "step2_quadruple.py", STEP2)
    screen = save(one, "step1_numbers.py", STEP1)
    assert "task1-tiny의 모든 TODO를 마쳤습니다" in screen
    assert "python task1-tiny/step2_quadruple.py --help" in screen
    assert "TODO 1-1" in screen
    path = other.exercise / "step1_cli_and_more.py"
    path.write_text(STEP1, encoding="utf-8")
    one.on_save({path})
    screen = said(one)
    assert screen.count("마쳤습니다. 축하합니다!") == 1
    assert "python task2-next/step1_cli_and_more.py --help" in screen


def test_todo_blocked_by_an_exception_is_looked_at_again_when_it_is_gone(watching):
    judge = watching.checker.judge

    def blocked_by_the_first_step(folder, task, todo_id):
        text = (folder / task.step(1).file_name).read_text(encoding="utf-8")
        if todo_id == "2-1" and "((" in text:
            return Verdict(todo_id, BLOCKED, "먼저 TODO 1-1을 고쳐야 합니다")
        return judge(folder, task, todo_id)

    watching.checker.judge = blocked_by_the_first_step
    save(watching, "step1_numbers.py", answering("1-1", "answer = (("))
    save(watching, "step2_quadruple.py", STEP2)
    assert watching.verdicts["task1-tiny", "2-1"].state == BLOCKED
    assert "✓ 2-1" in save(watching, "step1_numbers.py", answering("1-1", "answer = wrong"))


@pytest.mark.parametrize(
    "earlier",
    [answering("1-1", "answer = ((", STEP1), answering("1-1", 'todo("1-1")', STEP1)],
    ids=["broken", "emptied"],
)
def test_right_answers_that_lean_on_a_stopped_one_lose_their_mark_until_it_runs(watching, earlier):
    judge = watching.checker.judge

    def leaning_on_the_first(folder, task, todo_id):
        first = judge(folder, task, "1-1")
        if todo_id != "1-1" and first.state in (BROKEN, NOT_STARTED):
            return Verdict(todo_id, BLOCKED, "먼저 TODO 1-1을 고쳐야 합니다")
        return judge(folder, task, todo_id)

    watching.checker.judge = leaning_on_the_first
    for name, text in (("step1_numbers.py", STEP1), ("step2_quadruple.py", STEP2)):
        save(watching, name, text)
    screen = save(watching, "step1_numbers.py", earlier)
    assert {watching.verdicts["task1-tiny", one].state for one in ("1-2", "2-1")} == {BLOCKED}
    assert screen.count("지금은 실행되지 않습니다") == 1
    assert "2-1  먼저" not in screen
    screen = save(watching, "step1_numbers.py", STEP1)
    assert watching.verdicts["task1-tiny", "2-1"].state == RIGHT
    assert "다시 맞은 것: TODO 1-2, 2-1" in screen


def test_end_of_a_step_is_told_once_and_not_when_something_else_breaks(watching):
    for name, text in (("step1_numbers.py", STEP1), ("step2_quadruple.py", STEP2)):
        save(watching, name, text)
    assert "마쳤습니다" not in save(watching, "step2_quadruple.py", STEP2 + "# 다시\n")
    assert "마쳤습니다" not in save(watching, "step1_numbers.py", STEP1.replace("number * 2", "wrong"))
    assert current(watching) == "1-1"
    assert "모든 TODO를 마쳤습니다" in save(watching, "step1_numbers.py", STEP1)


def test_finished_todos_are_skipped_at_the_start(watching):
    save(watching, "step1_numbers.py", answering("1-1", "answer = 1"))
    watching.start()
    assert current(watching) == "1-2"


def test_todo_broken_later_is_reported_though_another_is_current(watching):
    solved = answering("1-1", "answer = 1")
    save(watching, "step1_numbers.py", solved)
    screen = save(watching, "step1_numbers.py", answering("1-1", "answer = ((", solved))
    assert "! 1-1" in screen


@pytest.mark.parametrize(
    "text",
    [
        "def double(:\n    ((",
        "",
        to_exercise(STEP1).replace("# [END 1-1]", ""),
        to_exercise(STEP1).replace("# [TODO 1-1]", "#"),
        "<<<<<<< HEAD\n" + to_exercise(STEP1) + "=======\n>>>>>>> other\n",
    ],
    ids=["syntax error", "empty", "no end mark", "no begin mark", "merge conflict"],
)
def test_wrecked_file_does_not_stop_watching(watching, text):
    save(watching, "step1_numbers.py", text)
    assert ["1-1"] in watching.checker.asked
    assert "✓ 1-1" in save(watching, "step1_numbers.py", answering("1-1", "answer = 1"))


@pytest.mark.parametrize("wreck", [lambda path: path.unlink(), lambda path: path.write_bytes("# 한글".encode("cp949"))])
def test_file_that_cannot_be_read_is_left_to_the_verdict(watching, wreck):
    path = watching.tasks[0].exercise / "step1_numbers.py"
    wreck(path)
    watching.checker.judge = lambda folder, task, todo_id: Verdict(todo_id, BROKEN, "읽지 못했습니다")
    watching.on_save({path})
    assert "! 1-1  읽지 못했습니다" in said(watching)


def run(one, *events):
    """사건들을 넣고, q로 끝날 때까지 돌립니다."""
    for event in [*events, (KEY, "q")]:
        one.events.put(event)
    one.run()
    return said(one)


def test_error_is_one_sentence_and_watching_goes_on(watching):
    def broken(*_, **__):
        raise CourseError("검사 파일이 없습니다.")

    watching.checker.check = broken
    file = watching.tasks[0].exercise / "step1_numbers.py"
    file.write_text(STEP1, encoding="utf-8")
    screen = run(watching, (SAVED, {file}), (KEY, "l"))
    assert screen.index("검사 파일이 없습니다.") < screen.index("→ · 1-1")


def test_saves_piled_up_during_a_check_become_one(watching):
    files = [watching.tasks[0].exercise / step.file_name for step in watching.tasks[0].steps]
    for file, text in zip(files, (answering("1-1", "answer = wrong"), STEP2), strict=True):
        file.write_text(text, encoding="utf-8")
    run(watching, *[(SAVED, {file}) for file in files * 3])
    assert watching.checker.asked == [["1-1"], ["2-1"]]


def test_hints_are_shown_one_more_at_a_time(watching):
    screens = [run(watching, (KEY, "h")) for _ in range(3)]
    assert "첫째 힌트" in screens[0]
    assert "둘째 힌트" not in screens[0]
    assert "둘째 힌트" in screens[1]
    assert "힌트는 여기까지입니다" in screens[2]
    assert watching.progress.hints_seen(*watching.current) == 2


def test_step_is_run_and_its_output_is_left_alone(watching, capfd):
    save(watching, "step1_numbers.py", "print('안녕', __import__('sys').stdin.read())\n")
    watching.on_key("r")
    assert capfd.readouterr().out == "안녕 \n"


def test_step_that_never_ends_is_stopped(watching, monkeypatch):
    monkeypatch.setattr(watch, "RUN_TIMEOUT", 0.2)
    save(watching, "step1_numbers.py", "while True: pass\n")
    assert "끝나지 않아 멈췄습니다" in run(watching, (KEY, "r"))


def test_list_marks_what_is_done_and_where_we_are(watching):
    save(watching, "step1_numbers.py", answering("1-1", "answer = 1"))
    lines = run(watching, (KEY, "l")).splitlines()
    assert "  ✓ 1-1  두 배를 answer에 담으세요." in lines
    assert "→ · 1-2  원의 넓이를 돌려주세요." in lines


def test_list_marks_a_written_but_wrong_todo_apart_from_an_empty_one(watching):
    save(watching, "step1_numbers.py", answering("1-1", "answer = wrong"))
    screen = run(watching, (KEY, "l"))
    assert "→ ✗ 1-1" in screen
    assert "✗ 틀림" in screen


def test_explanation_shown_with_the_solution_is_not_repeated(watching):
    run(watching, (KEY, "v"))
    opened = run(watching, (KEY, "v"))
    file = watching.tasks[0].exercise / "step1_numbers.py"
    assert (opened + run(watching, (SAVED, {file}))).count("더하기로도 되는 까닭") == 1


def test_unknown_key_gets_the_keys_and_quitting_tells_the_task(watching):
    screen = run(watching, (KEY, "z"))
    assert screen.count("h 힌트") == 1
    assert "다시 보려면: python -m course watch tiny" in screen


def test_reveal_before_an_attempt_asks_once_more(watching):
    file = watching.tasks[0].exercise / "step1_numbers.py"
    assert "v를 한 번 더" in run(watching, (KEY, "v"))
    assert file.read_text(encoding="utf-8") == to_exercise(STEP1)
    assert "더하기로도 되는 까닭" in run(watching, (KEY, "v"))
    assert "answer = number * 2" in file.read_text(encoding="utf-8")
    assert watching.progress.of(*watching.current).revealed


def test_reveal_after_an_attempt_and_undo_bring_both_codes(watching):
    file, mine = watching.tasks[0].exercise / "step1_numbers.py", answering("1-1", "answer = wrong")
    save(watching, file.name, mine)
    run(watching, (KEY, "v"))
    assert "answer = number * 2" in file.read_text(encoding="utf-8")
    assert "고쳤습니다" in run(watching, (KEY, "u"))
    assert file.read_text(encoding="utf-8") == mine


def test_reset_brings_the_empty_region_back(watching):
    file = watching.tasks[0].exercise / "step1_numbers.py"
    save(watching, file.name, answering("1-1", "answer = wrong"))
    run(watching, (KEY, "x"))
    assert file.read_text(encoding="utf-8") == to_exercise(STEP1)
    assert "바꿀 것이 없습니다" in run(watching, (KEY, "x"))


def test_undo_with_nothing_to_undo_is_one_sentence(watching):
    assert "무를 일이 없습니다" in run(watching, (KEY, "u"))


def test_next_and_previous_walk_around(watching):
    places = []
    for key in "nnnp":
        watching.on_key(key)
        places.append(current(watching))
    assert places == ["1-2", "2-1", "1-1", "2-1"]


def test_korean_keyboard_and_unknown_keys(watching):
    assert "첫째 힌트" in run(watching, (KEY, "ㅗ"))
    assert run(watching, (KEY, "")) == "끝냈습니다. 다시 보려면: python -m course watch tiny\n"
    assert not watching.on_key("ㅂ")


def test_screen_fits_in_80_columns_without_color(watching):
    watching.start()
    watching.on_key("l")
    screen = said(watching) + save(watching, "step1_numbers.py", answering("1-1", "answer = 1"))
    assert "\x1b" not in screen
    assert max(map(watch.Text.cell_len.fget, map(watch.Text, screen.splitlines()))) <= 80


def test_keys_from_a_pipe_come_line_by_line_and_end_with_quit(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("h\n\nN\n"))
    events = queue.Queue()
    read_keys(events)
    assert list(events.queue) == [(KEY, "h"), (KEY, "n"), (KEY, "q")]


def test_arrow_and_function_keys_are_not_letters():
    pressed = "\x1b[Hㅗ\x1b[A\x1b[15~\x1bOP\x1b[1;5Cn".encode()
    assert watch.SPECIAL_KEY.sub(b"", pressed).decode() == "ㅗn"


def until(condition, seconds=20):
    """조건이 참이 될 때까지, 파일을 다시 쓰는 일 따위를 하며 기다립니다."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
    raise AssertionError("기다려도 오지 않았습니다")


@pytest.mark.parametrize("polling", ["", "1"], ids=["told by the system", "looking by itself, as on WSL"])
def test_real_save_is_noticed_and_other_files_are_not(tmp_path, monkeypatch, polling):
    monkeypatch.setenv("WATCHFILES_FORCE_POLLING", polling)
    events, stop = queue.Queue(), threading.Event()
    thread = threading.Thread(target=watch_files, args=([tmp_path], events, stop), daemon=True)
    thread.start()

    def noticed():
        (tmp_path / "notes.txt").write_text("x")
        (tmp_path / ".hidden.py").write_text("x")
        (tmp_path / "step1_numbers.py").write_text(str(time.monotonic()))
        try:
            return events.get(timeout=0.5)
        except queue.Empty:  # 아직 감시를 시작하지 않았습니다.
            return None

    until(noticed)
    stop.set()
    thread.join(timeout=10)
    assert {path.name for _, paths in events.queue for path in paths} <= {"step1_numbers.py"}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="pty가 없습니다")
def test_real_terminal_from_first_screen_to_quit():
    """진짜 터미널에서 `python -m course watch`를 띄워, 첫 화면을 보고 q로 끝냅니다. 터미널은 원래대로 돌아옵니다."""
    import pty
    import subprocess
    import termios

    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "course", "watch", "cls"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=slave, stdout=slave, stderr=slave)
    seen = b""

    def read():
        nonlocal seen
        if select.select([master], [], [], 0.5)[0]:
            seen += os.read(master, 1 << 16)

    try:
        until(lambda: read() or "끝내기".encode() in seen, seconds=120)
        os.write(master, b"q")
        until(lambda: read() or process.poll() is not None)
    finally:
        process.kill()
        process.wait()
    screen = seen.decode()
    assert process.returncode == 0, screen
    assert "TODO " in screen
    assert "/23" in screen
    assert "Traceback" not in screen
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)
