"""화면에 말하기와 실행 기록."""

from __future__ import annotations

from nlpbook.screen import log_to, say


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


def test_other_processes_write_no_log(tmp_path):
    with log_to(tmp_path / "train.log", enabled=False):
        say("조용히")
    assert list(tmp_path.iterdir()) == []
