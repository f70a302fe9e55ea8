"""내장 모델 `data/models/ko-bart-tiny`를 만듭니다: 망가뜨린 글을 되살리며 배우는(denoising) 작은 BART의 사전학습입니다.

글은 세 가지입니다: NSMC 형식의 학습 파일의 본문(라벨은 보지 않습니다), 이 저장소의 이야기(`data/lm-sample`), 이
저장소의 학습용 대화(`data/dialogue-sample/train.csv`, 화자 태그는 떼고 말만). 요약은 읽지 않고, 검증과 평가 파일은
열지 않습니다.

    python scripts/make_ko_bart_tiny.py --train_file <ratings_train.txt> --output data/models/ko-bart-tiny

도중에 멈추면 같은 명령으로 마지막 에포크부터 이어집니다(`<output>.partial/`). 미세조정은 하지 않습니다.
방법: Lewis et al. 2020, BART (arXiv:1910.13461), 3절. 글의 20 %를 가리고(text infilling, 구간의 길이는 포아송 3) 넷에
하나는 문장의 차례를 섞습니다.

작은 모델이 짧은 시간에 베껴 쓰기를 배우도록 셋을 달리했습니다: 짧은 글부터 읽고, 가중치를 크게(0.05) 시작하며, 디코더의
위치 임베딩을 인코더의 것과 같게 시작합니다. 재어 보니 320스텝 뒤의 손실이 5.6에서 4.4로 내려갔습니다.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import re
import shutil
import sys
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from console_text import make_printable  # noqa: E402
from nlpbook.hardware import cpu_has_bf16  # noqa: E402

# KoBART의 차례를 따릅니다: 시작 0, 끝 1, <usr> 2, 채움 3, 가림 4, 모르는 글자 5.
SPECIAL = ["<s>", "</s>", "<usr>", "<pad>", "<mask>", "<unk>"]
BOS, EOS, _, PAD, MASK, UNK = range(len(SPECIAL))
REVIEWS_EACH = (1, 1, 1, 2, 4)  # 리뷰를 이만큼씩 이어 글 하나로 만듭니다(그때그때 고릅니다).
LONGEST = 192  # 글 하나의 토큰 수
SHORT = 32  # 이보다 짧은 글의 배치부터 읽습니다.
INITIAL_STD = 0.05
HELD_OUT = 512  # 손실을 재기만 하는 글의 수
TAG = re.compile(r"^#Person\d+#:\s*")


def reviews(path: Path, seed: int) -> list[list[str]]:
    """NSMC 파일의 본문을 섞어 `REVIEWS_EACH` 가운데 하나만큼씩 이은 글들. 글 하나는 문장의 목록입니다."""
    with path.open(encoding="utf-8-sig", newline="\n") as lines:
        next(lines)
        bodies = [line.rstrip("\r\n").split("\t")[1].strip() for line in lines]
    bodies = [body for body in bodies if body]
    dice = random.Random(seed)
    dice.shuffle(bodies)
    documents = []
    start = 0
    while start < len(bodies):
        size = dice.choice(REVIEWS_EACH)
        documents.append(bodies[start : start + size])
        start += size
    return documents


def stories(folder: Path) -> list[list[str]]:
    """이야기를 문장으로 나누고, 여섯 문장씩 한 글로."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))]
    sentences = [one for text in texts for one in re.split(r"(?<=[.?!])\s+", text) if one.strip()]
    return [sentences[start : start + 6] for start in range(0, len(sentences), 6)]


def dialogues(path: Path) -> list[list[str]]:
    """손으로 쓴 대화마다 말의 목록. 화자 태그는 뗍니다: 태그를 등록하는 것은 수업의 1단계에서 할 일입니다."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["fname"].startswith("train_")]
    return [[TAG.sub("", turn).strip() for turn in row["dialogue"].splitlines() if turn.strip()] for row in rows]


def train_tokenizer(documents: list[list[str]], vocab_size: int) -> PreTrainedTokenizerFast:
    """바이트로 물러설 수 있는 BPE. 시작과 끝은 토크나이저가 스스로 붙입니다.

    빈칸은 낱말의 앞에 `▁`로 붙습니다. 글의 처음에만 없는 빈칸을 더하므로, 뒤에 등록할 태그와 조사 사이(`#Person1#은`)는
    벌어지지 않습니다. 어휘에 없는 글자는 UTF-8 바이트로 적으므로 어떤 글도 되살릴 수 있습니다.
    """
    bpe = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    bpe.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " ")])
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme="first"),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    bpe.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    every_byte = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=3,
        limit_alphabet=1_600,
        special_tokens=SPECIAL + every_byte,
        show_progress=False,
    )
    bpe.train_from_iterator((unicodedata.normalize("NFC", " ".join(one)) for one in documents), trainer)
    saved = json.loads(bpe.to_str())
    # 바이트 조각은 보통 토큰이어야 합니다: 특수 토큰으로 두면 `skip_special_tokens=True`에 글자가 사라집니다.
    saved["added_tokens"] = [token for token in saved["added_tokens"] if token["content"] in SPECIAL]
    bpe = Tokenizer.from_str(json.dumps(saved))
    bpe.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        mask_token="<mask>",
        unk_token="<unk>",
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],  # generate는 token_type_ids를 받지 않습니다.
        clean_up_tokenization_spaces=False,
    )


def corrupt(sentences: list[list[int]], dice: random.Random) -> tuple[list[int], list[int]]:
    """문장의 차례를 섞고, 토큰의 20 %를 구간마다 `<mask>` 하나로 가립니다.

    Args:
        sentences: 글 하나. 문장마다의 토큰 번호.

    Returns:
        (망가뜨린 글, 본디 글). 둘 다 `<s> … </s>`입니다.
    """
    original = [token for sentence in sentences for token in sentence][: LONGEST - 2]
    shuffled = sentences[:]
    if dice.random() < 0.25:
        dice.shuffle(shuffled)
    tokens = [token for sentence in shuffled for token in sentence][: LONGEST - 2]
    budget = round(0.2 * len(tokens))
    hidden = [False] * len(tokens)
    starts = set()
    while budget > 0 and tokens:
        span = min(budget, max(1, poisson(3.0, dice)), len(tokens))
        start = dice.randrange(len(tokens) - span + 1)
        starts.add(start)
        for index in range(start, start + span):
            budget -= not hidden[index]
            hidden[index] = True
    noisy: list[int] = []
    for index, token in enumerate(tokens):
        if not hidden[index]:
            noisy.append(token)
        elif index == 0 or not hidden[index - 1]:
            noisy.append(MASK)
    return [BOS, *noisy, EOS], [BOS, *original, EOS]


def poisson(mean: float, dice: random.Random) -> int:
    """포아송 난수 (Knuth의 방법)."""
    limit = math.exp(-mean)
    product = dice.random()
    count = 0
    while product > limit:
        product *= dice.random()
        count += 1
    return count


def batches(
    documents: list[list[list[int]]], batch_tokens: int, dice: random.Random
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """비슷한 길이끼리 묶은 (입력, 라벨), 둘 다 (배치, 길이). 짧은 글의 배치가 먼저입니다. 라벨의 채움은 -100입니다."""
    pairs = [corrupt(one, dice) for one in documents]
    pairs.sort(key=lambda pair: len(pair[1]) + dice.random())
    groups = []
    start = 0
    while start < len(pairs):
        width = len(pairs[min(start + 63, len(pairs) - 1)][1])
        size = max(8, batch_tokens // width)
        groups.append(pairs[start : start + size])
        start += size
    dice.shuffle(groups)
    groups.sort(key=lambda group: len(group[-1][1]) > SHORT)
    for group in groups:
        yield pad([noisy for noisy, _ in group], PAD), pad([label for _, label in group], -100)


def pad(rows: list[list[int]], value: int) -> torch.Tensor:
    """(배치, 가장 긴 길이를 8의 배수로 올린 길이). 모양의 가짓수가 적어야 CPU의 커널이 새로 만들어지지 않습니다."""
    width = -(-max(map(len, rows)) // 8) * 8
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def loss_of(model: BartForConditionalGeneration, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """본디 글을 되살리는 교차 엔트로피의 평균(nat)."""
    # 흉내 낸 bf16은 수십 배 느립니다. 하드웨어가 할 줄 알 때만 씁니다.
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=cpu_has_bf16()):
        return model(input_ids=inputs, attention_mask=(inputs != PAD).long(), labels=labels).loss.float()


@torch.no_grad()
def held_out_loss(model: BartForConditionalGeneration, documents: list[list[list[int]]], args) -> float:
    """늘 같은 자리를 가린, 학습에 쓰지 않은 글의 손실(nat)."""
    model.eval()
    total = 0.0
    count = 0
    for inputs, labels in batches(documents, args.batch_tokens, random.Random(args.seed)):
        words = int((labels != -100).sum())
        total += loss_of(model, inputs, labels).item() * words
        count += words
    model.train()
    return total / count


def new_model(args) -> BartForConditionalGeneration:
    """드롭아웃이 없는 작은 BART. 글이 모자라지 않은 사전학습에서는 과적합보다 느린 것이 걱정입니다."""
    config = BartConfig(
        vocab_size=args.vocab_size,
        d_model=args.hidden_size,
        encoder_layers=args.encoder_layers,
        decoder_layers=args.decoder_layers,
        encoder_attention_heads=args.hidden_size // 64,
        decoder_attention_heads=args.hidden_size // 64,
        encoder_ffn_dim=4 * args.hidden_size,
        decoder_ffn_dim=4 * args.hidden_size,
        max_position_embeddings=512,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        scale_embedding=False,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
        decoder_start_token_id=EOS,
        forced_eos_token_id=None,
    )
    model = BartForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.mul_(INITIAL_STD / config.init_std)
        model.model.decoder.embed_positions.weight.copy_(model.model.encoder.embed_positions.weight)
    return model


def learn(model: BartForConditionalGeneration, documents, held_out, partial: Path, args) -> list[dict]:
    """정해진 에포크를 걷습니다. 에포크마다 상태를 남기고, 있으면 거기서 이어 갑니다."""
    matrices = [one for one in model.parameters() if one.dim() >= 2]
    vectors = [one for one in model.parameters() if one.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.learning_rate, betas=(0.9, 0.98), fused=True)
    length = sum(min(LONGEST, 2 + sum(map(len, one))) for one in documents)
    total = math.ceil(args.epochs * length / args.batch_tokens * 1.02)

    def rate(step: int) -> float:
        return min((step + 1) / args.warmup_steps, max(0.0, (total - step) / total))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    state_file = partial / "state.pt"
    history: list[dict] = []
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        history = state["history"]
        print(f"{len(history)}번째 에포크까지 마친 학습을 이어 갑니다.", flush=True)
    print(
        f"글 {len(documents):,}개, 토큰 {length:,}개, 파라미터 {model.num_parameters():,}개, 약 {total:,}스텝",
        flush=True,
    )
    model.train()
    for epoch in range(len(history), args.epochs):
        started = time.monotonic()
        running = 0.0
        step = 0
        for step, (inputs, labels) in enumerate(
            batches(documents, args.batch_tokens, random.Random(args.seed * 1_000 + epoch)), start=1
        ):
            loss = loss_of(model, inputs, labels)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            running += loss.item()
            if step % 200 == 0:
                print(f"  {epoch + 1:2d} {step:5d} loss {running / step:.4f}", flush=True)
        valid = held_out_loss(model, held_out, args)
        seconds = round(time.monotonic() - started)
        history.append({"epoch": epoch + 1, "train_loss": running / step, "valid_loss": valid, "seconds": seconds})
        print(f"에포크 {epoch + 1} 학습 {running / step:.4f} 검증 {valid:.4f} {seconds}초", flush=True)
        aside = state_file.with_suffix(".tmp")
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        state |= {"scheduler": scheduler.state_dict(), "history": history}
        torch.save(state, aside)
        aside.replace(state_file)
    return history


def save(model: BartForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, args, history: list[dict]) -> None:
    """bfloat16 가중치로 저장합니다. 미세조정을 위해 드롭아웃은 0.1로 적어 둡니다."""
    aside = Path(f"{args.output}.partial") / "model"
    shutil.rmtree(aside, ignore_errors=True)
    model.config.dropout = 0.1
    model.to(torch.bfloat16).save_pretrained(aside)
    # 파일은 절반 크기의 bfloat16이지만, 읽을 때는 float32로: bfloat16 가중치는 작은 학습률의 변화를 잃습니다.
    config = json.loads((aside / "config.json").read_text(encoding="utf-8"))
    (aside / "config.json").write_text(json.dumps(config | {"dtype": "float32"}, indent=2) + "\n", encoding="utf-8")
    tokenizer.save_pretrained(aside)
    recipe = {key: value for key, value in vars(args).items() if not isinstance(value, Path)}
    report = {
        "recipe": recipe,
        "seconds": sum(one["seconds"] for one in history),
        "parameters": model.num_parameters(),
        "history": history,
    }
    (aside / "pretraining.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    args.output.mkdir(parents=True, exist_ok=True)
    for file in aside.iterdir():
        file.replace(args.output / file.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train_file", type=Path, required=True, help="NSMC 형식의 학습 파일")
    parser.add_argument("--stories", type=Path, default=ROOT / "data" / "lm-sample")
    parser.add_argument("--dialogues", type=Path, default=ROOT / "data" / "dialogue-sample" / "train.csv")
    parser.add_argument("--output", type=Path, default=ROOT / "data" / "models" / "ko-bart-tiny")
    parser.add_argument("--vocab_size", type=int, default=4_000)
    parser.add_argument("--hidden_size", type=int, default=192)
    parser.add_argument("--encoder_layers", type=int, default=3)
    parser.add_argument("--decoder_layers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch_tokens", type=int, default=1_024)
    parser.add_argument("--learning_rate", type=float, default=2e-3)
    parser.add_argument("--warmup_steps", type=int, default=100)
    parser.add_argument("--repeat_own", type=int, default=4, help="이 저장소의 글을 에포크마다 되풀이하는 횟수")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()

    random.seed(args.seed)
    torch.manual_seed(args.seed)
    own = stories(args.stories) + dialogues(args.dialogues)
    written = reviews(args.train_file, args.seed)
    documents = written + own * args.repeat_own  # 앞의 `HELD_OUT`개가 검증입니다. 되풀이되는 글은 거기 없습니다.
    partial = Path(f"{args.output}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    tokenizer_file = partial / "tokenizer"
    if (
        not tokenizer_file.is_dir()
    ):  # 빈도가 같은 조각의 차례는 실행마다 다를 수 있으므로, 이어 할 때는 전의 것을 씁니다.
        train_tokenizer(documents[HELD_OUT:], args.vocab_size).save_pretrained(tokenizer_file)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_file)
    args.vocab_size = len(tokenizer)
    encode = tokenizer.backend_tokenizer.encode_batch
    encoded = [[one.ids for one in encode(document, add_special_tokens=False)] for document in documents]
    model = new_model(args)
    history = learn(model, encoded[HELD_OUT:], encoded[:HELD_OUT], partial, args)
    save(model, tokenizer, args, history)
    shutil.rmtree(partial)


if __name__ == "__main__":
    make_printable()
    main()
