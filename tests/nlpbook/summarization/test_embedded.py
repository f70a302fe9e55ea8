"""딸려 있는 작은 BART는 작고, 이름만으로 읽히고, 한국어를 그대로 되살립니다."""

import json

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from nlpbook.paths import MODELS
from nlpbook.summarization.config import EMBEDDED_MODEL

FOLDER = MODELS / EMBEDDED_MODEL


def test_it_fits_in_the_repository():
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 18_000_000


def test_it_is_as_large_as_its_reports_say():
    model = AutoModelForSeq2SeqLM.from_pretrained(FOLDER)
    assert model.num_parameters() <= 8_000_000
    report = json.loads((FOLDER / "pretraining.json").read_text(encoding="utf-8"))
    assert report["parameters"] == model.num_parameters()
    assert f"{model.num_parameters():,}" in (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(weights.dtype == torch.float32 for weights in model.parameters())


def test_every_text_comes_back():
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    for text in ("네, 3시에 뵐게요!", "뷁 😀 Tom과 ABC", "#Person1#은 #Person2#에게 묻습니다."):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
        assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)


def test_it_restores_a_corrupted_text_better_than_it_could_guess():
    """사전학습이 되었는가: 가린 글을 되살리는 손실이 고른 추측(ln 4000 = 8.29)보다 훨씬 낮습니다."""
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    model = AutoModelForSeq2SeqLM.from_pretrained(FOLDER).eval()
    whole = tokenizer("오늘 점심은 김치찌개로 하고 저녁에는 영화를 보러 가기로 했습니다.", return_tensors="pt")
    hidden = whole["input_ids"].clone()
    hidden[0, 4] = tokenizer.mask_token_id
    with torch.no_grad():
        loss = model(input_ids=hidden, attention_mask=whole["attention_mask"], labels=whole["input_ids"]).loss
    assert loss.item() < 3
