"""내보낸 폴더: 토크나이저의 패딩과 길이, 모델 카드."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nlpbook.exports import complete_tokenizer, write_model_card


@pytest.mark.parametrize(("pad", "kept"), [(None, "<end>"), ("<pad>", "<pad>")])
def test_a_tokenizer_knows_how_to_pad_and_how_long(pad, kept):
    tokenizer = SimpleNamespace(pad_token=pad, eos_token="<end>", model_max_length=10**30)
    assert complete_tokenizer(tokenizer, 64) is tokenizer
    assert (tokenizer.pad_token, tokenizer.model_max_length) == (kept, 64)


def test_the_card_says_what_it_is_and_how_to_use_it(tmp_path):
    facts = {"말뭉치": "nsmc-sample", "없는 것": None}
    write_model_card(tmp_path, "감성분석", "text-classification", facts, "재미있어요")
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlanguage: ko\n")
    assert "pipeline_tag: text-classification" in card
    assert "| 말뭉치 | nsmc-sample |" in card and "없는 것" not in card
    compile(card.split("```python\n")[1].split("```")[0], "card", "exec")
