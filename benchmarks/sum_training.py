"""작은 한국어 BART를 1~3단계의 부품으로 가르치고, 배우지 않은 대화에서 잽니다.

    python benchmarks/sum_training.py                            # 내장 모델과 내장 대화, 시드 셋
    python benchmarks/sum_training.py --real <대화.csv>          # 실제 대화에서도 재고, 몇 개를 읽어 봅니다

견주는 것은 늘 같은 문장과 앞의 두 마디(lead-2)입니다. 시험은 두 가지입니다: 한 편씩 쓴 대화(test.csv)와, 학습에 없던
조합으로 지은 대화(generated-test.csv). 점수는 rouge_sum(0~3, syllable)입니다.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "solutions" / "task2-summarization")]

from step1_config_and_model import load_config, load_model_and_tokenizer  # noqa: E402
from step2_dialogue_dataset import Collator, DialogueSummarizationDataset, length_batches  # noqa: E402
from step3_rouge_metrics import compute_rouge, summarize  # noqa: E402

from console_text import make_printable  # noqa: E402
from nlpbook.hardware import cpu_has_bf16  # noqa: E402
from nlpbook.optimization import decay_groups  # noqa: E402
from nlpbook.summarization.baselines import CONSTANT, lead  # noqa: E402
from nlpbook.summarization.dialogues import Dialogues, read_dialogues  # noqa: E402


def train(config, rows: Dialogues, seed: int, minutes: float) -> tuple:
    """설정대로 가르친 모델과 토크나이저. `minutes`가 지나면 그 에포크의 도중이라도 멈춥니다."""
    torch.manual_seed(seed)
    random.seed(seed)
    model, tokenizer = load_model_and_tokenizer(config)
    lengths = config.tokenizer.encoder_max_len, config.tokenizer.decoder_max_len
    dataset = DialogueSummarizationDataset(rows.dialogues, rows.summaries, tokenizer, *lengths)
    collate = Collator(tokenizer.pad_token_id, model.config.decoder_start_token_id)
    generator = torch.Generator().manual_seed(seed)
    training = config.training
    per_epoch = -(-len(dataset) // training.per_device_train_batch_size)
    total = per_epoch * training.num_train_epochs
    warmup = round(total * training.warmup_ratio)
    optimizer = torch.optim.AdamW(
        decay_groups(model, training.weight_decay), lr=training.learning_rate, betas=(0.9, 0.98), fused=True
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / max(1, warmup), max(0.0, (total - step) / max(1, total - warmup)))
    )
    started = time.monotonic()
    model.train()
    for epoch in range(training.num_train_epochs):
        losses = []
        for numbers in length_batches(dataset.lengths, training.per_device_train_batch_size, generator):
            batch = collate([dataset[index] for index in numbers])
            labels = batch.pop("labels")
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=cpu_has_bf16()):
                logits = model(**batch).logits.float()  # (배치, 요약 길이, 어휘)
            loss = functional.cross_entropy(
                logits.flatten(0, 1), labels.flatten(), label_smoothing=training.label_smoothing
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), training.max_grad_norm)
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
            if time.monotonic() - started > 60 * minutes:
                print(f"  {minutes}분이 지나 {epoch + 1}번째 에포크에서 멈춥니다.", flush=True)
                return model.eval(), tokenizer, time.monotonic() - started
        print(f"  에포크 {epoch + 1} 손실 {statistics.mean(losses):.3f} {time.monotonic() - started:.0f}초", flush=True)
    return model.eval(), tokenizer, time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="quick")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 17, 27])
    parser.add_argument("--minutes", type=float, default=5.0, help="시드 하나의 학습 시간의 상한")
    parser.add_argument("--real", type=Path, help="대화와 요약이 든 CSV. 재기만 합니다")
    parser.add_argument("--show", type=int, default=3, help="읽어 볼 요약의 수")
    parser.add_argument("overrides", nargs="*", help="training.learning_rate=1e-3처럼 바꿀 설정")
    args = parser.parse_args()

    config = load_config(args.config, overrides=args.overrides)
    rows = read_dialogues(config.data.train, need_summaries=True)
    home = Path(config.data.test).parent
    tests = {"쓴 대화": home / "test.csv", "지은 대화": home / "generated-test.csv"}
    if args.real:
        tests["실제 대화"] = args.real
    held_out = {name: read_dialogues(path, need_summaries=True) for name, path in tests.items()}
    reached: dict[str, list[float]] = {name: [] for name in held_out}
    for seed in args.seeds:
        print(f"■ 시드 {seed}, 학습 대화 {len(rows):,}개", flush=True)
        model, tokenizer, seconds = train(config, rows, seed, args.minutes)
        print(f"  학습 {seconds:.0f}초", flush=True)
        for name, test in held_out.items():
            written = summarize(model, tokenizer, test.dialogues, config.tokenizer.encoder_max_len)
            scores = compute_rouge(written, test.summaries)
            constant = compute_rouge([CONSTANT] * len(test), test.summaries)["rouge_sum"]
            opening = compute_rouge([lead(one) for one in test.dialogues], test.summaries)["rouge_sum"]
            reached[name].append(scores["rouge_sum"])
            print(
                f"  {name:<8} {len(test)}개  모델 {scores['rouge_sum']:.3f} (R1 {scores['rouge1']:.3f} R2 "
                f"{scores['rouge2']:.3f} RL {scores['rougeL']:.3f})  늘 같은 문장 {constant:.3f}  lead-2 {opening:.3f}",
                flush=True,
            )
            for number in range(args.show):
                print(f"    참조 {test.summaries[number]}\n    모델 {written[number]}", flush=True)
    print("■ 시드마다의 rouge_sum")
    for name, values in reached.items():
        print(f"  {name:<8} " + "  ".join(f"{value:.3f}" for value in values))


if __name__ == "__main__":
    make_printable()
    main()
