"""`ModelTrainer`가 라이브러리 없이 쓴 반복보다 얼마나 느린지, 검증이 학습의 몇 %인지 잽니다.

    python benchmarks/sum_trainer.py                 # 대화 512개 한 에포크씩, 세 번 번갈아
    python benchmarks/sum_trainer.py --whole         # quick 설정 전체: 검증의 몫까지

두 쪽은 같은 배치를 같은 차례로 배웁니다. 다른 일과 함께 도는 기계에서도 견줄 수 있도록 CPU가 일한 시간으로 견줍니다.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import TrainerCallback

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "solutions" / "task2-summarization")]

from step1_config_and_model import load_config, load_model_and_tokenizer  # noqa: E402
from step2_dialogue_dataset import Collator, length_batches  # noqa: E402
from step4_model_trainer import create_trainer, small_datasets  # noqa: E402

from console_text import make_printable  # noqa: E402
from nlpbook.hardware import cpu_has_bf16  # noqa: E402
from nlpbook.optimization import decay_groups  # noqa: E402
from nlpbook.process import prepare_process  # noqa: E402
from nlpbook.summarization.trainer import EpochBatches  # noqa: E402


class Clock(TrainerCallback):
    """에포크의 처음부터 끝까지 CPU가 일한 시간. 검증과 저장은 세지 않습니다."""

    seconds = 0.0

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started = time.process_time()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.seconds += time.process_time() - self.started


def bare(config: Any) -> float:
    """라이브러리 없이 쓴 반복의 한 에포크(초)."""
    model, tokenizer = load_model_and_tokenizer(config)
    dataset, _ = small_datasets(config, tokenizer)
    collate = Collator(tokenizer.pad_token_id, model.config.decoder_start_token_id)
    training = config.training
    optimizer = torch.optim.AdamW(decay_groups(model, training.weight_decay), lr=training.learning_rate, fused=True)
    make = partial(length_batches, dataset.lengths)
    batches = EpochBatches(make, len(dataset), training.per_device_train_batch_size, config.general.seed)
    model.train()
    started = time.process_time()
    for numbers in batches:
        batch = collate([dataset[index] for index in numbers])
        labels = batch.pop("labels")
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=cpu_has_bf16()):
            logits = model(**batch).logits.float()
        loss = functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), label_smoothing=training.label_smoothing
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), training.max_grad_norm)
        optimizer.step()
        loss.item()
    return time.process_time() - started


def ours(config: Any, validating: bool = False) -> tuple[float, list[dict[str, float]]]:
    """`ModelTrainer`의 학습 시간(초)과 기록."""
    model, tokenizer = load_model_and_tokenizer(config)
    dataset, dev = small_datasets(config, tokenizer)
    clock = Clock()
    trainer = create_trainer(config, model, tokenizer, dataset, dev if validating else None, callbacks=[clock])
    trainer.train()
    return clock.seconds, trainer.trainer.state.log_history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="quick 설정 전체를 학습합니다")
    args = parser.parse_args()
    prepare_process()
    with tempfile.TemporaryDirectory() as folder:
        output = f"general.output_dir={folder}"
        if args.whole:
            _, history = ours(load_config("quick", [output]), validating=True)
            validation = sum(row.get("eval_runtime", 0.0) for row in history)
            training = next(row["train_runtime"] for row in history if "train_runtime" in row) - validation
            print(f"학습 {training:.0f}초, 검증 {validation:.0f}초: {validation / training:.1%}")
            return
        words = [output, f"data.max_train_samples={args.examples}", "training.num_train_epochs=1"]
        config = load_config("quick", words)
        ratios = []
        for _ in range(args.rounds):
            plain = bare(config)
            mine, _ = ours(config)
            ratios.append(mine / plain)
            print(f"라이브러리 없이 {plain:.2f}초, ModelTrainer {mine:.2f}초: {ratios[-1]:.2f}배", flush=True)
        print(f"가운데 값 {statistics.median(ratios):.2f}배")


if __name__ == "__main__":
    make_printable()
    main()
