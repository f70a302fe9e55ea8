"""Ctrl-C와 SIGTERM: 스텝 사이에서 멈추기, 두 번째에는 바로, 나오면 되돌리기."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from nlpbook.interrupt import InterruptFlag, terminated_like_interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows의 os.kill은 시그널을 보내지 않고 끝냅니다")


def handlers() -> list:
    return [signal.getsignal(one) for one in SIGNALS]


@needs_signals
@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_asks_and_the_second_stops(number, capsys):
    before = handlers()
    with InterruptFlag() as flag:
        os.kill(os.getpid(), number)
        assert flag.requested
        assert "저장한 뒤 멈춥니다" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert handlers() == before


@needs_signals
def test_only_who_pressed_a_key_is_told_to_press_again(capsys):
    for number, told in ((signal.SIGINT, True), (signal.SIGTERM, False)):
        with InterruptFlag():
            os.kill(os.getpid(), number)
        assert ("한 번 더 누르면" in capsys.readouterr().err) is told


def test_nothing_changes_when_not_wanted_or_not_possible():
    before = handlers()
    with InterruptFlag(enabled=False):
        assert handlers() == before

    def elsewhere() -> None:
        with InterruptFlag() as flag, terminated_like_interrupted():
            seen.append((flag.enabled, handlers() == before))

    seen: list = []
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [(False, True)]


@needs_signals
def test_outside_of_a_training_a_termination_is_an_interrupt():
    before = handlers()
    with pytest.raises(KeyboardInterrupt), terminated_like_interrupted():
        os.kill(os.getpid(), signal.SIGTERM)
    assert handlers() == before
