"""대화 CSV는 어떤 모양으로 와도 같게 읽히고, 잘못된 것은 몇 번째인지 알려 줍니다."""

import unicodedata

import pytest

from nlpbook.errors import UserError
from nlpbook.summarization.dialogues import read_dialogues, require_apart, turns_cut

ROWS = [
    ("a", "#Person1#: 안녕, 잘 지냈어?\n#Person2#: 응, 너는?", "두 사람이 인사합니다.", "인사"),
    ("b", '#Person1#: "비"가 오네.\n#Person2#: 그러게.', "#Person1#은 비가 온다고, 말합니다.", "날씨"),
]


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


def write(path, columns, rows, encoding="utf-8", newline="\n"):
    lines = [",".join(columns), *(",".join(quoted(one) for one in row) for row in rows)]
    path.write_bytes((newline.join(lines) + newline).encode(encoding))
    return path


def check(read):
    assert read.dialogues == [row[1] for row in ROWS]
    assert read.summaries == [row[2] for row in ROWS]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_quotes_newlines_and_encodings_lose_nothing(tmp_path, encoding, newline):
    check(read_dialogues(write(tmp_path / "d.csv", ("fname", "dialogue", "summary", "topic"), ROWS, encoding, newline)))


def test_columns_may_come_in_any_order_and_with_others_between(tmp_path):
    rows = [(topic, "7", summary, name, dialogue) for name, dialogue, summary, topic in ROWS]
    read = read_dialogues(write(tmp_path / "d.csv", ("topic", "score", "Summary", " fname ", "DIALOGUE"), rows))
    check(read)
    assert read.names == ["a", "b"]
    assert read.topics == ["인사", "날씨"]


def test_windows_line_ends_inside_a_dialogue_are_turns(tmp_path):
    rows = [("a", ROWS[0][1].replace("\n", "\r\n\r\n"), "요약", "")]
    read = read_dialogues(write(tmp_path / "d.csv", ("fname", "dialogue", "summary", "topic"), rows))
    assert read.dialogues == [ROWS[0][1]]


def test_decomposed_text_is_composed(tmp_path):
    rows = [tuple(unicodedata.normalize("NFD", one) for one in row) for row in ROWS]
    check(read_dialogues(write(tmp_path / "d.csv", ("fname", "dialogue", "summary", "topic"), rows)))


def test_dialogues_without_summaries_are_read_for_prediction_only(tmp_path):
    path = write(tmp_path / "d.csv", ("fname", "dialogue"), [row[:2] for row in ROWS])
    assert read_dialogues(path).summaries is None
    with pytest.raises(UserError, match="summary 열이 없습니다"):
        read_dialogues(path, need_summaries=True)


def test_a_missing_summary_is_named_by_its_number(tmp_path):
    rows = [ROWS[0], (*ROWS[1][:2], "\u200b", "")]
    path = write(tmp_path / "d.csv", ("fname", "dialogue", "summary", "topic"), rows)
    assert read_dialogues(path).summaries is None
    with pytest.raises(UserError, match="2번째 대화: 요약이 비었습니다"):
        read_dialogues(path, need_summaries=True)


def test_an_empty_dialogue_is_named_by_its_number(tmp_path):
    rows = [ROWS[0], ("b", " \n", "요약", ""), ("c", "", "요약", "")]
    path = write(tmp_path / "d.csv", ("fname", "dialogue", "summary", "topic"), rows)
    with pytest.raises(UserError, match="2번째 대화 외 1개: 대화가 비었습니다"):
        read_dialogues(path)


def test_a_missing_column_names_those_there(tmp_path):
    path = write(tmp_path / "d.csv", ("fname", "dialog", "summary"), [row[:3] for row in ROWS])
    with pytest.raises(UserError, match="fname, dialog, summary.*혹시 dialog 인가요"):
        read_dialogues(path)


@pytest.mark.parametrize("content", [b"", b"fname,dialogue,summary\n", b"\xff\xfe\x00\x81\x20"])
def test_what_is_no_table_of_dialogues_is_refused(tmp_path, content):
    (tmp_path / "d.csv").write_bytes(content)
    with pytest.raises(UserError):
        read_dialogues(tmp_path / "d.csv")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="대화 파일이 없습니다"):
        read_dialogues(tmp_path / "none.csv")


def test_the_same_dialogue_in_train_and_dev_is_counted(tmp_path):
    columns = ("fname", "dialogue", "summary", "topic")
    train = read_dialogues(write(tmp_path / "t.csv", columns, ROWS))
    changed = [("z", ROWS[1][1].replace("\n", "  \n "), "다른 요약", "")]
    dev = read_dialogues(write(tmp_path / "d.csv", columns, changed))
    with pytest.raises(UserError, match="같은 대화가 1개"):
        require_apart(train, dev, "t.csv", "d.csv")


class Syllables:
    """빈칸을 뺀 글자 하나가 토큰 하나인 토크나이저."""

    def __call__(self, text, truncation, max_length):
        self.letters = list("".join(text.split()))
        return {"input_ids": list(range(len(self.letters)))[:max_length]}

    def decode(self, ids, skip_special_tokens):
        return "".join(self.letters[: len(ids)])


@pytest.mark.parametrize(("max_len", "cut"), [(100, 0), (12, 0), (11, 1), (7, 1), (6, 2), (3, 3)])
def test_turns_cut_counts_every_turn_that_loses_something(max_len, cut):
    assert turns_cut(Syllables(), "가나 다라\n마바사\n아자차카타", max_len) == cut
