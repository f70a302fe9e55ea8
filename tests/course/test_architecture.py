"""ARCHITECTURE.md가 가리키는 곳은 정말 있습니다."""

from __future__ import annotations

import re

import pytest

from course.home import ROOT

TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PLACES = sorted(set(re.findall(r"`([^`\s<…]+/[^`\s<…]*|\w+\.(?:py|txt))`", TEXT)))
PATTERNS = {
    "test_N_M.py",
    "conftest.py",
    "support.py",
    "solutions/taskN-이름/",
    "tests/taskN_이름/checks/",
    "nlpbook/이름/",
}
MENTIONED = re.findall(r"`([\w/]+-?\w*/step\d_\w+\.py|[\w/]+\.py)`의\s+`(?:(\w+)\.)?(\w+)`", TEXT)


@pytest.mark.parametrize("place", [one for one in PLACES if one not in PATTERNS])
def test_place_exists(place):
    assert (ROOT / place).exists()


@pytest.mark.parametrize(("file", "kind", "name"), MENTIONED)
def test_name_stands_in_the_file(file, kind, name):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^\s*(?:async )?(?:def|class) {name}\b", text, re.MULTILINE)
    assert not kind or re.search(rf"^class {kind}\b", text, re.MULTILINE)


def test_there_is_something_to_hold():
    assert len(PLACES) > 30
    assert len(MENTIONED) >= 4


def test_every_room_is_in_the_picture():
    tops = [path for home in ("course", "nlpbook") for path in (ROOT / home).iterdir()]
    folders = [path for path in tops if (path / "__init__.py").is_file()]
    assert [path.name for path in folders if path.name not in TEXT] == []
