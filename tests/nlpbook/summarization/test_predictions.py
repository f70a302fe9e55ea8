"""요약을 파일에 적기: 꺼져도 쓴 데까지 남고, 다른 것의 기록은 쓰지 않습니다."""

from __future__ import annotations

import csv

import pytest

from nlpbook.errors import UserError
from nlpbook.summarization.predictions import (
    Journal,
    journal_of,
    length_ordered_batches,
    require_output,
    without,
    write_predictions,
)

FACTS = {"모델": {"bytes": 3}, "배치": 4}


@pytest.fixture
def path(tmp_path):
    return journal_of(tmp_path / "없던 폴더" / "out.csv")


def test_what_was_added_is_there_for_the_next_one(path):
    first = Journal(path, FACTS)
    first.add([5, 2], ["다섯\n줄", "둘 😊"])
    second = Journal(path, FACTS)
    assert second.summaries == {5: "다섯\n줄", 2: "둘 😊"}
    assert second.has([2, 5])
    assert second.has([5])
    assert not second.has([5, 3])
    assert not second.restarted


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_half_written_is_forgotten(path, cut):
    journal = Journal(path, FACTS)
    journal.add([0], ["하나"])
    before = path.read_bytes()
    journal.add([1], ["둘"])
    line = path.read_bytes()[len(before) :]
    path.write_bytes(before + line[: min(cut, len(line) - 1)])
    again = Journal(path, FACTS)
    assert again.summaries == {0: "하나"}
    again.add([1], ["둘"])
    assert Journal(path, FACTS).summaries == {0: "하나", 1: "둘"}


@pytest.mark.parametrize("facts", [{"모델": {"bytes": 4}, "배치": 4}, {**FACTS, "배치": 5}, {}])
def test_the_record_of_something_else_is_not_used(path, facts):
    Journal(path, FACTS).add([0], ["하나"])
    other = Journal(path, facts)
    assert other.summaries == {}
    assert other.restarted
    other.add([0], ["다른 하나"])
    assert Journal(path, facts).summaries == {0: "다른 하나"}


@pytest.mark.parametrize("rubbish", [b"", b"\n", b"abc\n", b"\xff\xfe\n[]\n", b"{}\n"])
def test_rubbish_is_no_record(path, rubbish):
    path.parent.mkdir(parents=True)
    path.write_bytes(rubbish)
    assert Journal(path, FACTS).summaries == {}


def test_as_many_summaries_as_numbers(path):
    with pytest.raises(ValueError):
        Journal(path, FACTS).add([0, 1], ["하나"])


def test_half_a_surrogate_pair_does_no_harm(path):
    Journal(path, FACTS).add([0], ["a\ud83d"])
    assert Journal(path, FACTS).summaries == {0: "a?"}


def test_closing_leaves_nothing(path):
    journal = Journal(path, FACTS)
    journal.add([0], ["하나"])
    journal.close()
    assert not path.exists()


def test_the_file_has_one_row_per_dialogue_and_the_same_bytes_everywhere(tmp_path):
    target = tmp_path / "out.csv"
    write_predictions(target, ["가", "나"], ['쉼표, 따옴표 "', "줄\n바꿈"])
    raw = target.read_bytes()
    assert b"\r" not in raw
    assert raw.startswith(b"fname,summary\n")
    with target.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["fname", "summary"], ["가", '쉼표, 따옴표 "'], ["나", "줄\n바꿈"]]
    assert [one.name for one in tmp_path.iterdir()] == ["out.csv"]


def test_long_dialogues_come_first_and_every_number_once():
    batches = length_ordered_batches([3, 9, 9, 1, 5], 2)
    assert batches == [[1, 2], [4, 0], [3]]
    assert length_ordered_batches([], 2) == []


def test_tokens_to_remove_are_gone():
    assert without("<usr> 하나 <s>둘", ["<usr>", "<s>"]) == "하나 둘"
    assert without("  그대로 ", []) == "  그대로 "


def test_the_output_must_not_be_the_input_or_a_folder(tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("dialogue\n", encoding="utf-8")
    with pytest.raises(UserError, match="같은 파일"):
        require_output(source, tmp_path / "." / "in.csv")
    with pytest.raises(UserError, match="폴더"):
        require_output(source, tmp_path)
    with pytest.raises(UserError, match="파일입니다"):
        require_output(source, source / "out.csv")
    assert require_output(source, tmp_path / "a" / "out.csv") == tmp_path / "a" / "out.csv"
