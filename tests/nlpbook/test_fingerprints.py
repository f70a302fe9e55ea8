"""글의 지문: 내용만 보고, 무엇이 바뀌었는지 이름을 댑니다."""

from __future__ import annotations

import hashlib
import shutil

import pytest

from nlpbook.errors import UserError
from nlpbook.fingerprints import changes, fingerprint, require_same_data


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "texts"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "sub/a.txt"):
        (folder / name).write_text(f"{name}의 글", encoding="utf-8")
    return folder


def of(folder):
    return fingerprint(sorted(folder.rglob("*.txt")))


def test_it_is_the_size_and_the_content(texts):
    made = of(texts)
    assert set(made) == {"a.txt", "b.txt", "sub/a.txt"}
    content = (texts / "b.txt").read_bytes()
    assert made["b.txt"] == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert fingerprint([]) == {}


def test_a_moved_or_copied_folder_is_the_same_data(texts, tmp_path):
    copy = shutil.copytree(texts, tmp_path / "elsewhere" / "copy")
    assert changes(of(texts), of(copy)) == []


def test_a_renamed_file_alone_is_the_same_data(texts):
    assert changes(fingerprint([texts / "a.txt"]), fingerprint([(texts / "a.txt").rename(texts / "z.txt")])) == []


def test_every_change_is_named_even_of_the_same_size(texts):
    before = of(texts)
    (texts / "a.txt").write_text("a.txt의 긁", encoding="utf-8")
    (texts / "b.txt").rename(texts / "c.txt")
    found = changes(before, of(texts))
    assert [one.split()[0] for one in found] == ["a.txt의", "b.txt이(가)", "c.txt이(가)"]
    assert "12 → 12바이트" in found[0]


def test_changed_data_is_refused_unless_accepted(texts):
    before = of(texts)
    (texts / "a.txt").write_text("다른 글", encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.txt의 내용이 바뀌었습니다.*--accept_changed_data"):
        require_same_data(before, of(texts), accepted=False)
    assert len(require_same_data(before, of(texts), accepted=True)) == 1


def test_a_run_of_an_older_version_has_nothing_to_compare(texts):
    assert require_same_data(None, of(texts), accepted=False) == []


def test_many_changes_are_counted(texts):
    with pytest.raises(UserError, match="외 2개"):
        require_same_data(
            {f"{n}.txt": {"bytes": 1, "sha256": "x"} for n in range(5)},
            {f"{n}.txt": {"bytes": 2, "sha256": "y"} for n in range(5)},
            accepted=False,
        )
