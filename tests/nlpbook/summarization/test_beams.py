"""빔 탐색을 빠르게 해도 나오는 번호는 같습니다."""

from __future__ import annotations

import pytest
import torch

from nlpbook.summarization.beams import DialogueReadOnce, fast_beams, native_dtype
from tests.nlpbook.summarization import tiny_models

BEAMS = {"num_beams": 4, "max_length": 14, "do_sample": False, "no_repeat_ngram_size": 3}


@pytest.mark.parametrize("name", ["kobart", "t5", "mt5"])
def test_the_same_ids_with_and_without(tmp_path, name):
    from transformers import AutoModelForSeq2SeqLM

    model = AutoModelForSeq2SeqLM.from_pretrained(tiny_models.make(name, tmp_path / name)).eval()
    for weight in model.parameters():
        weight.data *= 4  # 빔의 차례가 스텝마다 바뀌도록
    ids = torch.randint(5, 100, (3, 17), generator=torch.Generator().manual_seed(3))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    want = model.generate(input_ids=ids, attention_mask=mask, **BEAMS)
    moved = []
    before = DialogueReadOnce.reorder_cache
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DialogueReadOnce, "reorder_cache", lambda self, idx: (moved.append(idx), before(self, idx)))
        with fast_beams(model):
            got = model.generate(input_ids=ids, attention_mask=mask, **BEAMS)
    assert torch.equal(got, want)
    assert any(not torch.equal(one, torch.arange(len(one))) for one in moved)


def test_the_model_is_as_before_after_an_error(tmp_path):
    from transformers import AutoModelForSeq2SeqLM

    model = AutoModelForSeq2SeqLM.from_pretrained(tiny_models.make("kobart", tmp_path / "b"))
    with pytest.raises(RuntimeError), fast_beams(model):
        raise RuntimeError
    assert "generate" not in vars(model)


def test_a_decoder_only_model_is_left_alone(tmp_path):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_models.make("kogpt2", tmp_path / "g"))
    with fast_beams(model):
        assert "generate" not in vars(model)


def test_the_native_precision_never_overflows():
    assert native_dtype("mps") is torch.float32
    assert native_dtype("cpu") in (torch.float32, torch.bfloat16)
