"""화면에 말하기와 실행 기록."""

from __future__ import annotations

from nlpbook.errors import UserError
from nlpbook.screen import log_to, progress_bar, say


def test_what_is_said_is_kept_in_the_log_and_appended_to(tmp_path, capsys):
    log = tmp_path / "run" / "train.log"
    for message in ("첫 학습 [1/2]", "이어 한 학습"):
        with log_to(log):
            say(message)
    say("기록 밖의 말")
    assert [line.split(" ", 2)[2] for line in log.read_text(encoding="utf-8").splitlines()] == [
        "첫 학습 [1/2]",
        "이어 한 학습",
    ]
    assert "첫 학습 [1/2]" in capsys.readouterr().out


def test_particles_fit_the_word_before_them(tmp_path, capsys):
    with log_to(tmp_path / "run.log"):
        say("탐색 12을(를) 시작합니다.")
    assert capsys.readouterr().out == "탐색 12를 시작합니다.\n"
    assert "12를" in (tmp_path / "run.log").read_text(encoding="utf-8")
    assert str(UserError("설정 'quik'을(를) 찾지 못했습니다.")) == "설정 'quik'을 찾지 못했습니다."
    assert str(UserError("d_embed 17은(는) 4(으)로 나누어지지 않습니다.")) == "d_embed 17은 4로 나누어지지 않습니다."


def test_other_processes_write_no_log(tmp_path):
    with log_to(tmp_path / "train.log", enabled=False):
        say("조용히")
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_every_tenth_is_one_line(capsys):
    with progress_bar("학습", 25) as advance:
        for step in range(25):
            advance(1, f"loss={step}")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [f"{tenth}0" for tenth in range(1, 11)]
    assert lines[0] == "학습  10 % (3/25) loss=2"
    assert lines[-1] == "학습 100 % (25/25) loss=24"


def test_a_resumed_bar_starts_where_it_was(capsys):
    with progress_bar("학습", 10) as advance:
        advance(7)
        advance()
    assert capsys.readouterr().out.splitlines() == ["학습  70 % (7/10)", "학습  80 % (8/10)"]


def test_a_bar_that_is_not_shown_says_nothing(capsys):
    with progress_bar("학습", 3, shown=False) as advance:
        advance(3)
    assert capsys.readouterr().out == ""
