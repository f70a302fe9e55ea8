"""화면을 받아 적는 Logger."""

from __future__ import annotations

import sys

import pytest
from rich.console import Console

from nlpbook.errors import UserError
from nlpbook.logs import Logger, create_log_path


@pytest.fixture
def logger(tmp_path):
    made = Logger(tmp_path / "logs" / "train.log", print_also=True)
    yield made
    made.close()


def text_of(logger):
    return logger.log_path.read_text(encoding="utf-8")


def test_what_is_printed_is_also_in_the_file(logger, capsys):
    logger.start_redirect()
    print("에포크 1 손실 3.2")
    print("조심하세요", file=sys.stderr)
    logger.stop_redirect()
    print("여기는 남지 않습니다")
    assert text_of(logger) == "에포크 1 손실 3.2\n조심하세요\n"
    seen = capsys.readouterr()
    assert "에포크 1 손실 3.2" in seen.out
    assert "조심하세요" in seen.err


def test_the_screen_comes_back_after_an_error(logger):
    before = sys.stdout, sys.stderr
    with pytest.raises(ZeroDivisionError), logger:
        print("끝나지 않은 줄", end="")
        1 / 0  # noqa: B018
    assert (sys.stdout, sys.stderr) == before
    assert text_of(logger) == "끝나지 않은 줄\n"
    assert logger.file.closed


def test_nested_use_is_refused_and_leaves_the_first_one_working(logger, tmp_path):
    logger.start_redirect()
    other = Logger(tmp_path / "other.log")
    with pytest.raises(UserError, match="train.log"):
        other.start_redirect()
    with pytest.raises(UserError):
        logger.start_redirect()
    other.close()
    print("아직 적습니다")
    logger.stop_redirect()
    assert text_of(logger) == "아직 적습니다\n"


def test_closing_twice_and_stopping_without_starting_are_fine(logger):
    logger.stop_redirect()
    logger.close()
    logger.close()


def test_a_progress_bar_leaves_one_line(logger):
    with logger:
        for number in range(300):
            sys.stdout.write(f"\r\x1b[32m학습 {number}/300\x1b[0m")
        sys.stdout.write("\n")
    assert text_of(logger) == "학습 299/300\n"


def test_a_rich_console_made_earlier_writes_into_it(logger):
    console = Console(highlight=False)
    with logger:
        console.print("막대를 그리는 것")
    assert text_of(logger) == "막대를 그리는 것\n"


def test_the_screen_answers_what_it_is(logger):
    asked = sys.stdout.isatty(), sys.stdout.encoding
    with logger:
        assert (sys.stdout.isatty(), sys.stdout.encoding) == asked


def test_it_can_be_silent(tmp_path, capsys):
    with Logger(tmp_path / "silent.log", print_also=False) as quiet:
        print("파일에만")
    quiet_text = quiet.log_path.read_text(encoding="utf-8")
    assert capsys.readouterr().out == ""
    assert quiet_text == "파일에만\n"


def test_a_message_has_its_time(logger, capsys):
    logger.write("시작합니다")
    assert text_of(logger).endswith(" 시작합니다\n")
    assert capsys.readouterr().out == "시작합니다\n"


def test_writing_while_redirecting_is_recorded_once(logger):
    with logger:
        logger.write("한 번")
    assert text_of(logger).count("한 번") == 1


def test_a_path_that_cannot_be_opened_is_told(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="기록할 파일을 열 수 없습니다"):
        Logger(tmp_path / "file" / "train.log")


def test_log_paths_never_collide(tmp_path):
    first, second = (create_log_path("train", "train.log", tmp_path) for _ in range(2))
    assert first != second
    assert first.name == second.name == "train.log"
    assert first.parent.parent == tmp_path / "train"
    assert first.parent.is_dir()
