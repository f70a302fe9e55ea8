"""단계 파일은 언제나 시킨 폴더에서, 지금의 내용으로 읽힙니다."""

from __future__ import annotations

import os
import py_compile
import sys

import pytest

from course.checks.loading import file_hash, forget_steps, load_step


@pytest.fixture(autouse=True)
def clean_modules():
    forget_steps()
    yield
    forget_steps()


@pytest.fixture
def folders(tmp_path):
    """두 단계가 든, 이름이 같고 내용이 다른 두 폴더."""
    made = []
    for name in ("mine", "yours"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "step1_first.py").write_text(f"OWNER = {name!r}\n")
        (folder / "step2_second.py").write_text("from step1_first import OWNER\n")
        made.append(folder)
    return made


def test_step_comes_from_the_asked_folder_each_time(folders):
    mine, yours = folders
    assert [load_step(one, "step1_first").OWNER for one in (mine, yours, mine)] == ["mine", "yours", "mine"]


def test_earlier_step_comes_from_the_same_folder(folders):
    mine, yours = folders
    assert [load_step(one, "step2_second").OWNER for one in (mine, yours, mine)] == ["mine", "yours", "mine"]


def test_earlier_step_that_a_function_reads_later_comes_from_the_same_folder(folders):
    mine, yours = folders
    for folder in folders:
        (folder / "step2_second.py").write_text("def owner():\n    from step1_first import OWNER\n    return OWNER\n")
    assert [load_step(one, "step2_second").owner() for one in (mine, yours, mine)] == ["mine", "yours", "mine"]


def test_edit_of_equal_length_within_the_same_second_is_seen(folders, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = folders[0] / "step1_first.py"
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    py_compile.compile(str(file))  # 편집하기 전의 바이트코드
    assert load_step(folders[0], "step1_first").OWNER == "mine"
    file.write_text("OWNER = 'MINE'\n")
    os.utime(file, ns=times)
    assert load_step(folders[0], "step1_first").OWNER == "MINE"


def test_earlier_step_from_another_folder_is_an_error(folders, monkeypatch):
    mine, yours = folders
    monkeypatch.syspath_prepend(str(yours))
    (mine / "step1_first.py").unlink()
    with pytest.raises(ImportError, match="step1_first") as caught:
        load_step(mine, "step2_second")
    assert str(yours) in str(caught.value)


def test_missing_step_is_an_error_even_if_another_folder_has_it(folders, monkeypatch):
    mine, yours = folders
    load_step(yours, "step1_first")
    (mine / "step1_first.py").unlink()
    with pytest.raises(ImportError):
        load_step(mine, "step1_first")


def test_search_path_and_bytecode_settings_are_restored_after_a_failure(folders, monkeypatch):
    (folders[0] / "step1_first.py").write_text("import sys\nsys.path.insert(0, '/nowhere')\nraise ValueError\n")
    before = list(sys.path), sys.dont_write_bytecode, sys.pycache_prefix
    with pytest.raises(ValueError):
        load_step(folders[0], "step1_first")
    assert (list(sys.path), sys.dont_write_bytecode, sys.pycache_prefix) == before


def test_hash_follows_the_content(tmp_path):
    one, other = tmp_path / "a.py", tmp_path / "b.py"
    one.write_text("x = 1")
    other.write_text("x = 1")
    assert file_hash(one) == file_hash(other)
    other.write_text("x = 2")
    assert file_hash(one) != file_hash(other)
