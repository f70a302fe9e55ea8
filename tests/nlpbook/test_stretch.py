"""심화 과제의 파일은 채운 것을 보이고, 비어 있는 것은 한 줄로 말합니다."""

from __future__ import annotations

import pytest

from nlpbook.errors import UserError
from nlpbook.stretch import show_stretch
from todo import todo


def unfinished():
    print("찍다 만 것")
    todo("9-2")


SHOWS = {"9-1": lambda: print("■ 9-1 보임"), "9-2": unfinished, "9-3": lambda: print("■ 9-3 보임")}


def test_what_is_done_is_shown_and_what_is_empty_is_told_in_one_line(capsys):
    show_stretch(SHOWS, [])
    first, second, _, third = capsys.readouterr().out.splitlines()
    assert (first, third) == ("■ 9-1 보임", "■ 9-3 보임")
    assert second.startswith("■ 9-2 아직 비어 있습니다: test_stretch.py ")


def test_only_the_chosen_are_shown(capsys):
    show_stretch(SHOWS, ["9-3"])
    assert capsys.readouterr().out == "■ 9-3 보임\n"


def test_unknown_number_is_one_sentence():
    with pytest.raises(UserError, match="9-7. 있는 것: 9-1, 9-2, 9-3"):
        show_stretch(SHOWS, ["9-7"])


def test_what_was_printed_before_an_error_is_shown(capsys):
    def stopped():
        print("여기까지")
        raise ValueError

    with pytest.raises(ValueError):
        show_stretch({"9-1": stopped}, [])
    assert capsys.readouterr().out == "여기까지\n"
