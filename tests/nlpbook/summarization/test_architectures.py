"""네 가지 구조의 토크나이저와 임베딩이 같은 약속을 지킵니다."""

import json
from types import SimpleNamespace

import pytest
import torch
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from nlpbook.errors import UserError
from nlpbook.summarization import architectures
from nlpbook.summarization.architectures import ARCHITECTURES
from tests.nlpbook.summarization import tiny_models

TAGS = ["#Person1#", "#Person2#"]
GENERATION = SimpleNamespace(
    num_beams=3, length_penalty=0.7, no_repeat_ngram_size=4, max_length=23, min_length=2, early_stopping=True
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("tiny")
    return {name: tiny_models.make(name, home / name) for name in ARCHITECTURES}


@pytest.fixture(params=ARCHITECTURES)
def name(request):
    return request.param


@pytest.fixture
def tokenizer(name, folders):
    return architectures.load_tokenizer(name, str(folders[name]), 48)


@pytest.fixture
def model(name, folders):
    auto = AutoModelForCausalLM if ARCHITECTURES[name].decoder_only else AutoModelForSeq2SeqLM
    return auto.from_pretrained(folders[name]).eval()


def with_tags(tokenizer):
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in TAGS])
    return tokenizer


def test_the_saved_folder_alone_gives_the_same_ids(tokenizer, tmp_path):
    with_tags(tokenizer).save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = "#Person1#: 네, 3시에 뵐게요!"
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert set(again(text)) == {"input_ids", "attention_mask"}
    assert again.model_max_length == 48


def test_a_text_ends_in_eos_even_when_it_is_cut(name, tokenizer):
    if ARCHITECTURES[name].decoder_only:
        pytest.skip("디코더뿐인 모델은 끝을 요약 뒤에 따로 붙입니다.")
    ids = tokenizer("회의는 7시 30분에 시작합니다. " * 9, truncation=True, max_length=13)["input_ids"]
    assert len(ids) == 13
    assert ids[-1] == tokenizer.eos_token_id
    if ARCHITECTURES[name].adds_bos:
        assert ids[0] == tokenizer.bos_token_id


def test_speaker_tags_are_one_token_and_survive_decoding(tokenizer):
    with_tags(tokenizer)
    ids = tokenizer("#Person1#: 네, #Person2#", add_special_tokens=False)["input_ids"]
    assert [ids.count(number) for number in tokenizer.convert_tokens_to_ids(TAGS)] == [1, 1]
    text = tokenizer.decode(tokenizer("#Person1#은 #Person2#에게")["input_ids"], skip_special_tokens=True)
    assert all(tag in text for tag in TAGS)


def test_a_tokenizer_read_as_the_wrong_kind_is_refused(folders):
    with pytest.raises(UserError, match="되살리지 못합니다"):
        broken = AutoTokenizer.from_pretrained(folders["t5"])
        broken.backend_tokenizer.decoder = None
        broken.backend_tokenizer.pre_tokenizer = __import__("tokenizers").pre_tokenizers.ByteLevel()
        architectures.require_round_trip(broken, "somewhere", "t5")


def test_resizing_keeps_every_old_row_and_an_output_layer_of_its_own(name, model, tokenizer):
    before = model.get_input_embeddings().weight.detach().clone()
    head = model.get_output_embeddings().weight.detach().clone()
    apart = model.get_output_embeddings().weight is not model.get_input_embeddings().weight
    assert apart == (name == "mt5")
    with_tags(tokenizer)
    architectures.resize_embedding_rows(model, len(before) + 5)
    assert torch.equal(model.get_input_embeddings().weight[: len(before)], before)
    assert torch.equal(model.get_output_embeddings().weight[: len(head)], head)
    assert (model.get_output_embeddings().weight is not model.get_input_embeddings().weight) == apart
    assert model.config.vocab_size == len(before) + 5


def test_rows_are_never_taken_away(model):
    rows = model.get_input_embeddings().weight.shape[0]
    architectures.resize_embedding_rows(model, rows - 7)
    assert model.get_input_embeddings().weight.shape[0] == rows


def test_a_resized_model_is_the_same_after_saving(name, model, tokenizer, tmp_path):
    architectures.resize_embedding_rows(model, model.get_input_embeddings().weight.shape[0] + 3)
    architectures.settle_generation(model, tokenizer, GENERATION)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path).eval()
    ids = torch.tensor([[5, 9, 7]])
    extra = {} if ARCHITECTURES[name].decoder_only else {"decoder_input_ids": torch.tensor([[1, 8]])}
    with torch.no_grad():
        torch.testing.assert_close(again(input_ids=ids, **extra).logits, model(input_ids=ids, **extra).logits)
    assert again.generation_config.num_beams == 3


def test_generation_follows_the_settings_and_never_a_stray_start(name, model, tokenizer):
    architectures.settle_generation(model, tokenizer, GENERATION)
    made = model.generation_config
    assert (made.num_beams, made.length_penalty, made.no_repeat_ngram_size) == (3, 0.7, 4)
    length = made.max_new_tokens if ARCHITECTURES[name].decoder_only else made.max_length
    assert length == 23
    assert made.forced_eos_token_id is None
    if name == "kobart":
        assert made.decoder_start_token_id == tokenizer.eos_token_id
        assert model.config.decoder_start_token_id == tokenizer.eos_token_id
    ids = model.generate(**tokenizer("네, 3시에 뵐게요!", return_tensors="pt"))
    assert ids.shape[1] <= 23 + (30 if ARCHITECTURES[name].decoder_only else 0)


def test_an_unknown_architecture_names_the_known_ones():
    with pytest.raises(UserError, match="kobart.*t5.*mt5.*kogpt2"):
        architectures.architecture("kobard")


def test_a_folder_that_wants_to_run_code_is_not_run(folders, tmp_path):
    import shutil

    shutil.copytree(folders["t5"], tmp_path / "t5")
    config = json.loads((tmp_path / "t5" / "tokenizer_config.json").read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoTokenizer": ["evil.Tokenizer", None]}
    (tmp_path / "t5" / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "t5" / "evil.py").write_text("raise SystemExit('ran')", encoding="utf-8")
    assert architectures.load_tokenizer("t5", str(tmp_path / "t5"), 48)("네")["input_ids"]
