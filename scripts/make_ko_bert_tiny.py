"""내장 모델 `data/models/ko-bert-tiny`를 만듭니다: 리뷰 본문만 읽는 마스크 언어 모델(masked LM) 사전학습입니다.

NSMC 형식의 학습 파일(`id<TAB>document<TAB>label`)에서 본문만 쓰고 라벨은 보지 않습니다. WordPiece 토크나이저를
먼저 만들고, 작은 BERT를 처음부터 학습해 보통의 Hugging Face 폴더로 저장합니다. 평가 파일(`ratings_test.txt`)은 열지
않습니다. 시드를 정하지만, 토크나이저가 빈도가 같은 조각을 늘 같은 순서로 두지는 않아 비트까지 같지는 않습니다.

    python scripts/make_ko_bert_tiny.py --train_file <ratings_train.txt> --output data/models/ko-bert-tiny

도중에 멈추면 같은 명령으로 마지막 에포크부터 이어집니다(`<output>.partial/`). 미세조정은 하지 않습니다.
방법: Devlin et al. 2019, BERT (arXiv:1810.04805), 3.1절. 마스크된 자리에서만 출력층을 계산해 시간을 줄입니다.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import sys
import time
from pathlib import Path

import torch
from tokenizers import BertWordPieceTokenizer
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from console_text import make_printable

IGNORED = -100  # 마스크하지 않은 자리의 라벨: 손실에 들어가지 않습니다.
HELD_OUT = 2_000  # 에포크마다 손실을 재는 리뷰 수. 학습에는 쓰지 않습니다.


def read_documents(path: Path) -> list[str]:
    """NSMC 파일의 둘째 열을 순서대로 돌려줍니다. 빈 리뷰는 배울 낱말이 없으므로 뺍니다."""
    with path.open(encoding="utf-8-sig", newline="\n") as lines:
        next(lines)
        documents = [line.rstrip("\r\n").split("\t")[1] for line in lines]
    return [document for document in documents if document.strip()]


def train_tokenizer(documents: list[str], vocab_size: int) -> BertTokenizerFast:
    """대소문자와 자모를 그대로 두는 한국어 WordPiece 토크나이저를 학습합니다."""
    wordpiece = BertWordPieceTokenizer(
        clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False
    )
    wordpiece.train_from_iterator(
        documents, vocab_size=vocab_size, min_frequency=3, limit_alphabet=2_400, show_progress=False
    )
    return BertTokenizerFast(
        tokenizer_object=wordpiece._tokenizer,
        do_lower_case=False,
        strip_accents=False,
        tokenize_chinese_chars=False,
        model_max_length=128,
    )


def length_buckets(lengths: list[int], batch_size: int, shuffle: random.Random) -> list[list[int]]:
    """비슷한 길이끼리 묶은 배치의 번호들. 짧은 문장이 긴 문장에 맞추어 채워지는 낭비가 없습니다."""
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], shuffle.random()))
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    shuffle.shuffle(batches)
    return batches


def mask_tokens(ids: torch.Tensor, tokenizer: BertTokenizerFast, rate: float, generator: torch.Generator):
    """BERT의 80/10/10 마스킹.

    Args:
        ids: (배치, 길이) 정수. 바꾸지 않습니다.
        rate: 특수 토큰이 아닌 자리를 고르는 비율.

    Returns:
        (입력, 라벨), 둘 다 (배치, 길이). 고르지 않은 자리의 라벨은 -100입니다.
    """
    special = ids < 5  # [PAD] [UNK] [CLS] [SEP] [MASK]
    chosen = (torch.rand(ids.shape, generator=generator) < rate) & ~special
    labels = ids.masked_fill(~chosen, IGNORED)
    dice = torch.rand(ids.shape, generator=generator)
    random_ids = torch.randint(5, len(tokenizer), ids.shape, generator=generator)
    inputs = torch.where(chosen & (dice < 0.8), tokenizer.mask_token_id, ids)
    return torch.where(chosen & (dice >= 0.9), random_ids, inputs), labels


def pad(rows: list[list[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(배치, 가장 긴 길이를 8의 배수로 올린 길이) 토큰과 주의 마스크.

    모양의 가짓수가 적어야 CPU의 행렬곱 커널이 매번 새로 만들어지지 않습니다(두 배 넘게 차이 납니다).
    """
    width = -(-max(map(len, rows)) // 8) * 8
    ids = torch.tensor([row + [pad_id] * (width - len(row)) for row in rows])
    return ids, (ids != pad_id).long()


def masked_loss(model: BertForMaskedLM, ids, attention_mask, labels) -> torch.Tensor:
    """마스크된 자리만의 교차 엔트로피. 출력층(어휘 크기만큼 넓은 행렬곱)을 그 자리에서만 셉니다.

    자리 수를 128의 배수로 올려(남는 자리의 라벨은 -100) 행렬의 모양도 몇 가지로 묶습니다.
    """
    hidden = model.bert(input_ids=ids, attention_mask=attention_mask).last_hidden_state  # (배치, 길이, 차원)
    labels = labels.flatten()
    where = (
        (labels != IGNORED)
        .int()
        .argsort(descending=True, stable=True)[: -(-int((labels != IGNORED).sum()) // 128) * 128]
    )
    return cross_entropy(model.cls(hidden.flatten(0, 1)[where]).float(), labels[where])  # (자리 수, 어휘)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train_file", type=Path, required=True, help="NSMC 형식의 학습 파일")
    parser.add_argument("--output", type=Path, default=Path("data/models/ko-bert-tiny"))
    parser.add_argument("--vocab_size", type=int, default=10_000)
    parser.add_argument("--hidden_size", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--mask_rate", type=float, default=0.2)
    parser.add_argument("--warmup_steps", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()

    started = time.monotonic()
    random.seed(args.seed)
    torch.manual_seed(args.seed)
    documents = read_documents(args.train_file)
    tokenizer = train_tokenizer(documents, args.vocab_size)
    encoded = tokenizer(documents, truncation=True, max_length=128)["input_ids"]
    random.Random(args.seed).shuffle(encoded)
    held_out, encoded = encoded[:HELD_OUT], encoded[HELD_OUT:]

    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=args.hidden_size,
        num_hidden_layers=args.layers,
        num_attention_heads=args.heads,
        intermediate_size=4 * args.hidden_size,
        max_position_embeddings=128,
        hidden_dropout_prob=0.0,  # 매번 새로 가리므로 사전학습에서는 과적합 걱정이 적습니다.
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = BertForMaskedLM._from_config(config, attn_implementation="eager")
    decay = [p for p in model.parameters() if p.dim() >= 2]
    no_decay = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.01}, {"params": no_decay, "weight_decay": 0.0}],
        lr=args.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    total = args.epochs * math.ceil(len(encoded) / args.batch_size)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / args.warmup_steps, max(0.0, (total - step) / (total - args.warmup_steps))),
    )
    print(f"리뷰 {len(encoded):,}개, 파라미터 {model.num_parameters():,}개, {total:,} 스텝", flush=True)

    partial = Path(f"{args.output}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    state_file = partial / "state.pt"
    first_epoch, history = 0, []
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        first_epoch, history = state["epoch"], state["history"]
        print(f"{first_epoch}번째 에포크까지 마친 학습을 이어 갑니다.", flush=True)

    lengths = [len(ids) for ids in encoded]
    for epoch in range(first_epoch, args.epochs):
        # 에포크마다 시드를 새로 정하므로, 이어 한 학습도 처음부터 한 학습과 같은 순서를 지납니다.
        generator = torch.Generator().manual_seed(args.seed * 1_000 + epoch)
        batches = length_buckets(lengths, args.batch_size, random.Random(args.seed * 1_000 + epoch))
        model.train()
        running, epoch_started = 0.0, time.monotonic()
        for step, batch in enumerate(batches, start=1):
            ids, attention_mask = pad([encoded[i] for i in batch], tokenizer.pad_token_id)
            inputs, labels = mask_tokens(ids, tokenizer, args.mask_rate, generator)
            if not (labels != IGNORED).any():
                scheduler.step()
                continue
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = masked_loss(model, inputs, attention_mask, labels)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            running += loss.item()
            if step % 100 == 0:
                rate = step * args.batch_size / (time.monotonic() - epoch_started)
                print(
                    f"  {epoch + 1:2d} {step:5d}/{len(batches)} loss {running / step:.4f} {rate:.0f} 리뷰/초",
                    flush=True,
                )
        valid = held_out_loss(model, held_out, tokenizer, args)
        history.append({"epoch": epoch + 1, "train_loss": running / len(batches), "valid_loss": valid})
        print(f"에포크 {epoch + 1} 학습 {running / len(batches):.4f} 검증 {valid:.4f}", flush=True)
        aside = state_file.with_suffix(".tmp")
        torch.save(
            {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(),
                "epoch": epoch + 1,
                "history": history,
            },
            aside,
        )
        aside.replace(state_file)
        save(model, tokenizer, args, history, time.monotonic() - started)
    shutil.rmtree(partial)


@torch.no_grad()
def held_out_loss(model: BertForMaskedLM, rows: list[list[int]], tokenizer: BertTokenizerFast, args) -> float:
    """늘 같은 자리를 가린 검증 리뷰의 손실(nat)."""
    model.eval()
    generator = torch.Generator().manual_seed(args.seed)
    total = count = 0.0
    for start in range(0, len(rows), 200):
        ids, attention_mask = pad(rows[start : start + 200], tokenizer.pad_token_id)
        inputs, labels = mask_tokens(ids, tokenizer, args.mask_rate, generator)
        masked = int((labels != IGNORED).sum())
        total += masked_loss(model, inputs, attention_mask, labels).item() * masked
        count += masked
    return total / count


def save(model: BertForMaskedLM, tokenizer: BertTokenizerFast, args, history: list[dict], seconds: float) -> None:
    """bfloat16 가중치로 저장합니다. 미세조정을 위해 드롭아웃은 0.1로 적어 둡니다."""
    aside = Path(f"{args.output}.partial") / "model"
    shutil.rmtree(aside, ignore_errors=True)
    copy = BertForMaskedLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy.tie_weights()
    copy.config.hidden_dropout_prob = 0.1
    copy.to(torch.bfloat16).save_pretrained(aside)
    model.config.hidden_dropout_prob = 0.0
    # 파일은 절반 크기의 bfloat16이지만, 읽을 때는 float32로: bfloat16 가중치는 작은 학습률의 변화를 잃습니다.
    config = json.loads((aside / "config.json").read_text(encoding="utf-8"))
    (aside / "config.json").write_text(json.dumps(config | {"dtype": "float32"}, indent=2) + "\n", encoding="utf-8")
    tokenizer.save_pretrained(aside)
    recipe = {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}
    recipe = {key: value for key, value in recipe.items() if key not in ("train_file", "output")}
    report = {"recipe": recipe, "seconds": round(seconds), "parameters": model.num_parameters(), "history": history}
    (aside / "pretraining.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    args.output.mkdir(parents=True, exist_ok=True)
    for file in aside.iterdir():
        file.replace(args.output / file.name)


if __name__ == "__main__":
    make_printable()
    main()
