"""task1-cls의 검사가 함께 쓰는 것: 아주 작은 모델과 말뭉치, 배치.

모델은 여기서 시드를 정해 만듭니다(사전학습되지 않았고, 허브에서 받지 않습니다). 흔한 실수가 드러나도록 일부러 까다롭게
만들었습니다: 저장된 라벨 수는 5, 드롭아웃은 0.3, 가중치는 크게 흩어져 있습니다.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from course.checks.workspace import workspace

SENTENCES = [
    "배우들 연기가 좋아서 두 번 봤어요",
    "시간이 아깝다 정말 지루한 영화",
    "음악도 화면도 다 좋았습니다 추천합니다",
    "별로",
    "결말이 너무 허무해서 화가 났다",
    "웃다가 울다가 두 시간이 금방 갔네요",
    "돈 주고 보기에는 아까운 영화였습니다 다음 편은 안 봅니다",
    "최고",
    "각본이 엉성하고 연기도 어색하다",
    "가족과 함께 보기 좋은 따뜻한 이야기",
]
LONG_TEXT = " ".join(SENTENCES * 4)
SEQ_LEN = 16
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@cache
def tiny_model() -> Path:
    """파라미터 수만 개짜리 BERT와 토크나이저가 든 Hugging Face 폴더."""
    from transformers import BertForMaskedLM

    folder = workspace() / "tiny-bert"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertForMaskedLM(tiny_shape())
    model.save_pretrained(folder)
    tokenizer_of().save_pretrained(folder)
    return folder


def tokenizer_of(more: Sequence[str] = ()) -> Any:
    """예문에서 배운 토크나이저. `more`의 낱말은 어휘의 맨 뒤에 더합니다."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertTokenizerFast

    how = {"handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    trained = BertWordPieceTokenizer(**how)
    trained.train_from_iterator(SENTENCES, vocab_size=300, min_frequency=1, show_progress=False)
    # 배울 때마다 번호가 달라집니다. 검사가 견주는 값이 언제나 같도록, 특수 토큰 다음부터 가나다순으로 매깁니다.
    words = [*SPECIAL_TOKENS, *sorted(trained.get_vocab().keys() - set(SPECIAL_TOKENS)), *more]
    wordpiece = BertWordPieceTokenizer(vocab={word: number for number, word in enumerate(words)}, **how)
    return BertTokenizerFast(tokenizer_object=wordpiece._tokenizer, do_lower_case=False, model_max_length=64)


def tiny_shape() -> Any:
    """작은 BERT의 설계도."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(tokenizer_of()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=0.3,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.3,
        num_labels=5,
    )


@cache
def tiny_electra() -> Path:
    """BERT가 아닌 모델의 폴더. 라이브러리의 문서가 권하는 KcELECTRA와 같은 종류입니다."""
    from transformers import ElectraConfig, ElectraForPreTraining

    folder = workspace() / "tiny-electra"
    sizes = {"embedding_size": 16, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = ElectraConfig(vocab_size=len(tokenizer()), intermediate_size=32, max_position_embeddings=64, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ElectraForPreTraining(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@cache
def tiny_corpus() -> Path:
    """학습 22, 검증 10, 평가 7개의 리뷰. 배치 크기로 나누어떨어지지 않습니다."""
    folder = workspace() / "tiny-reviews"
    folder.mkdir()
    for name, count, shift in (("train", 22, 0), ("valid", 10, 3), ("test", 7, 5)):
        rows = [f"{i}\t{SENTENCES[(i + shift) % 10]} {name} {i}\t{(i + shift) % 2}" for i in range(count)]
        text = "\n".join(["id\tdocument\tlabel", *rows]) + "\n"
        (folder / f"ratings_{name}.txt").write_text(text, encoding="utf-8", newline="\n")
    return folder


def tiny_config(**learning: Any) -> Any:
    """작은 모델과 말뭉치를 가리키는 `TrainConfig`. 어느 값도 기본값과 다릅니다."""
    from nlpbook.classification.config import TrainConfig

    config = TrainConfig()
    config.data.home, config.data.name = str(tiny_corpus().parent), tiny_corpus().name
    config.model.pretrained, config.model.seq_len = str(tiny_model()), SEQ_LEN
    config.model.output = str(workspace() / "output")
    config.hardware.train_batch, config.hardware.infer_batch = 4, 8
    config.hardware.accelerator, config.hardware.precision = "cpu", "32-true"
    config.learning.learning_rate, config.learning.num_epochs = 3e-3, 2
    for name, value in learning.items():
        setattr(config.learning, name, value)
    return config


def build(module: Any, device: str = "cpu", **learning: Any) -> Any:
    """시드를 정해 만든 그 단계의 모델, 평가 모드. 분류 머리의 가중치를 키워 예측이 고루 나오게 합니다."""
    torch.manual_seed(1)
    model = module.NSMCModel(tiny_config(**learning))
    head = getattr(getattr(model, "lang_model", None), "classifier", None)
    if isinstance(head, torch.nn.Linear):
        with torch.no_grad():
            head.weight.mul_(10)
    return model.to(device).eval()


def batch_of(model: Any, count: int = 6, mode: str = "train") -> dict[str, torch.Tensor]:
    """학생의 로더를 거치지 않고 만든 배치. `count`는 라벨 수(2)와 다릅니다."""
    return {name: tensor.to(model.device, copy=True) for name, tensor in _batch(count, mode).items()}


@cache
def _batch(count: int, mode: str) -> dict[str, torch.Tensor]:
    """한 번만 만들어 두는 배치. 파일을 읽고 토큰으로 바꾸는 일이 검사마다 되풀이되지 않습니다."""
    from nlpbook.classification.datasets import ClassificationDataset, data_collator
    from nlpbook.classification.nsmc import NsmcCorpus

    config = tiny_config()
    dataset = ClassificationDataset(config, NsmcCorpus(config), tokenizer(), mode)
    return data_collator([dataset[i] for i in range(count)])


@cache
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(tiny_model()))


@torch.no_grad()
def reference_logits(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """드롭아웃을 끈 모델에서 곧바로 구한 로짓, (배치, 라벨 수)."""
    modes = [(module, module.training) for module in model.lang_model.modules()]
    model.lang_model.eval()
    try:
        return model.lang_model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.float()
    finally:
        for module, training in modes:
            module.training = training


@torch.no_grad()
def reference_probabilities(model: Any, text: str) -> list[float]:
    """문장 하나의 [부정, 긍정] 확률."""
    inputs = tokenizer()(text, truncation=True, max_length=SEQ_LEN, return_tensors="pt")
    batch = {name: tensor.to(model.device) for name, tensor in inputs.items()}
    return reference_logits(model, batch).softmax(-1)[0].tolist()


def warm() -> None:
    """검사 프로세스가 갈라지기 전에 한 번: 작은 모델을 만들어 움직여 봅니다."""
    import typer
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from nlpbook.pretrained import quiet_transformers

    torch.set_num_threads(1)
    quiet_transformers()
    tiny_corpus()
    AutoModelForSequenceClassification.from_pretrained(str(tiny_electra()))
    config = AutoConfig.from_pretrained(str(tiny_model()), num_labels=2)
    model = AutoModelForSequenceClassification.from_pretrained(str(tiny_model()), config=config)
    inputs = tokenizer()(SENTENCES[0], return_tensors="pt")
    model(**inputs, labels=torch.tensor([1])).loss.backward()
    app = typer.Typer()
    app.command()(command_with_an_option)
    app(["--count", "2"], standalone_mode=False)  # 옵션을 처음 풀 때에야 읽히는 것들이 있습니다.


def command_with_an_option(count: int = 1) -> int:
    return count
