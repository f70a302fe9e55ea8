"""하이퍼파라미터 하나씩을 바꾸어 작은 GPT를 학습하고, 검증 손실이 어떻게 달라지는지 표와 그림으로 남깁니다.

    python benchmarks/lm_hyperparameters.py                       # 2코어 CPU에서 약 5분, docs/lm_hyperparameters.png
    python benchmarks/lm_hyperparameters.py --num_epochs 1        # 빨리 훑어보기

기본 설정에서 한 번에 하나만 바꿉니다. 검증 손실은 에포크들 가운데 가장 낮은 것이고, 학습 손실은 그 에포크의 것입니다.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "solutions" / "task3-lm"), str(ROOT)]

import torch  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from step1_tokenizer_and_data import LMData  # noqa: E402
from step2_gpt_model import GPT  # noqa: E402
from step4_training_pipeline import Trainer, fabric_of  # noqa: E402

from console_text import make_printable  # noqa: E402
from nlpbook import plots  # noqa: E402
from nlpbook.language.config import LMConfig  # noqa: E402
from nlpbook.paths import shown  # noqa: E402
from nlpbook.screen import console  # noqa: E402

BASE = {"d_embed": 128, "num_heads": 4, "num_layers": 3, "max_seq_len": 128, "batch_size": 8, "stride": 32}
BASE |= {"learning_rate": 1e-3, "dropout": 0.1, "weight_decay": 0.1, "sample_tokens": 0}
CHANGES = {
    "learning_rate": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2],
    "batch_size": [4, 8, 16, 32],
    "d_embed": [64, 128, 256],
    "num_layers": [1, 3, 6],
    "dropout": [0.0, 0.1, 0.3],
    "weight_decay": [0.0, 0.1, 0.5],
}


def train(folder: str, num_epochs: int, **changed: float) -> tuple[float, float, float, float]:
    """한 번 학습합니다. (가장 낮은 검증 손실, 그 에포크의 학습 손실, 바이트당 비트, 걸린 초)."""
    config = LMConfig(**{**BASE, "num_epochs": num_epochs, "output": folder, **changed})
    torch.manual_seed(config.seed)
    data = LMData(config)
    model = GPT(config, len(data.tokenizer), data.tokenizer)
    started = time.perf_counter()
    trainer = Trainer(model, data, config, fabric_of(config))
    with console.capture():  # 에포크마다의 보고는 적지 않습니다.
        trainer.train()
    best = min(trainer.tracker.history, key=lambda row: row["val_loss"])
    return best["val_loss"], best["train_loss"], best["val_bpb"], time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num_epochs", type=int, default=3)
    parser.add_argument("--plot", type=Path, default=ROOT / "docs" / "lm_hyperparameters.png")
    asked = parser.parse_args()
    table = Table("바꾼 것", "값", "검증 손실", "혼란도", "바이트당 비트", "학습 손실", "초")
    curves: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        base = train(folder, asked.num_epochs)
        for name, values in CHANGES.items():
            for value in values:
                result = base if value == BASE[name] else train(folder, asked.num_epochs, **{name: value})
                loss, train_loss, bits, seconds = result
                curves.setdefault(name, []).append((value, loss))
                mark = " (기본)" if value == BASE[name] else ""
                row = (f"{loss:.3f}", f"{math.exp(loss):.1f}", f"{bits:.3f}", f"{train_loss:.3f}", f"{seconds:.0f}")
                table.add_row(name, f"{value:g}{mark}", *row)
                print(name, value, *row, flush=True)
    Console(width=110).print(table)
    plots.small_multiples(curves, asked.plot, ylabel="best validation loss", log_x={"learning_rate"})
    print(f"그림: {shown(asked.plot)} ({asked.num_epochs} 에포크, 쓰레드 {torch.get_num_threads()}개)")


if __name__ == "__main__":
    make_printable()
    main()
