"""네 가지 구조의 아주 작은 모델을, 허브의 것과 같은 종류의 토크나이저와 함께 폴더에 만듭니다.

가중치는 시드를 정한 난수입니다. 허브의 KoBART처럼 토크나이저가 시작과 끝을 붙이지 않고, 생성 설정에는 `<usr>`로
시작하라고 적혀 있습니다. mT5의 출력층은 입력 임베딩과 따로 배운 것처럼 다릅니다.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SENTENCES = [
    "네, 3시에 뵐게요!",
    "안녕하세요, 오늘 점심은 무엇을 먹을까요?",
    "비가 와서 등산을 미루기로 했습니다.",
    "회의는 7시 30분에 시작합니다.",
    "고양이가 창가에서 낮잠을 잡니다.",
    "요약: 두 사람이 약속을 정합니다. #Person1#: #Person2#: #Person3#:",
] * 3
KOBART_SPECIAL = ["<s>", "</s>", "<usr>", "<pad>", "<mask>", "<unk>"]


def metaspace_bpe(special: list[str]) -> Tokenizer:
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.train_from_iterator(
        SENTENCES, trainers.BpeTrainer(vocab_size=190, special_tokens=special, show_progress=False)
    )
    return made


def save_tokenizer(tokenizer: Tokenizer, folder: Path, **config: object) -> None:
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def kobart(folder: Path) -> Path:
    """tokenizer_config.json에 종류가 적히지 않은 BART: AutoTokenizer는 바이트 단위로 잘못 읽습니다."""
    from transformers import BartConfig, BartForConditionalGeneration

    tokenizer = metaspace_bpe(KOBART_SPECIAL)
    save_tokenizer(tokenizer, folder)
    config = BartConfig(
        vocab_size=tokenizer.get_vocab_size(),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=3,
        decoder_start_token_id=2,
        forced_eos_token_id=2,
    )
    BartForConditionalGeneration(config).save_pretrained(folder)
    return folder


def t5(folder: Path) -> Path:
    """끝을 스스로 붙이는 BPE의 T5."""
    from tokenizers import processors
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = metaspace_bpe(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "extra_ids": 0}
    save_tokenizer(tokenizer, folder, tokenizer_class="PreTrainedTokenizerFast", **names)
    shape = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
    T5ForConditionalGeneration(T5Config(vocab_size=tokenizer.get_vocab_size(), **shape)).save_pretrained(folder)
    return folder


def mt5(folder: Path) -> Path:
    """SentencePiece 파일(spiece.model)뿐인 mT5. 어휘보다 임베딩의 행이 많고, 출력층은 따로입니다."""
    import sentencepiece
    from transformers import MT5Config, MT5ForConditionalGeneration

    folder.mkdir(parents=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_prefix=str(folder / "spiece"),
        vocab_size=110,
        hard_vocab_limit=False,
        character_coverage=1.0,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.vocab").unlink()
    names = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0}
    (folder / "tokenizer_config.json").write_text(json.dumps(names), encoding="utf-8")
    shape = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
    model = MT5ForConditionalGeneration(MT5Config(vocab_size=118, **shape))
    model.lm_head.weight = torch.nn.Parameter(torch.randn(118, 16))
    model.save_pretrained(folder)
    return folder


def kogpt2(folder: Path) -> Path:
    """아무것도 붙이지 않는 BPE의 GPT-2. tokenizer_config.json에 종류가 적히지 않았습니다."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = metaspace_bpe(["<s>", "</s>", "<usr>", "<pad>", "<unk>", "<mask>"])
    save_tokenizer(tokenizer, folder)
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(),
        n_positions=64,
        n_embd=16,
        n_layer=1,
        n_head=2,
        bos_token_id=1,
        eos_token_id=1,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


MAKERS: dict[str, Callable[[Path], Path]] = {"kobart": kobart, "t5": t5, "mt5": mt5, "kogpt2": kogpt2}


def make(name: str, folder: Path) -> Path:
    """`folder`에 그 구조의 작은 모델을 만듭니다. 전역 난수는 건드리지 않습니다."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        return MAKERS[name](folder)
