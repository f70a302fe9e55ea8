"""파일 쓰기."""

from __future__ import annotations

from nlpbook.paths import write_json


def test_json_is_readable_korean(tmp_path):
    write_json(tmp_path / "new" / "test.json", {"라벨": "긍정"})
    assert (tmp_path / "new" / "test.json").read_text(encoding="utf-8") == '{\n  "라벨": "긍정"\n}\n'
