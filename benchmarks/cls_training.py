"""감성분석 학습의 속도: 4단계의 루프와, 흔히 쓰는 평범한 루프를 같은 실행에서 번갈아 재어 비율을 냅니다.

    python benchmarks/cls_training.py                                   # 내장 데이터
    python benchmarks/cls_training.py --data_home <폴더> --data_name nsmc --samples 20000

견주는 것(모델과 예문과 배치 크기는 같습니다):
    우리 것    길이가 비슷한 배치 + 평범한 어텐션(eager) + 정밀도 auto
    평범한 것  무작위 배치를 가장 긴 문장에 맞춤 + SDPA 어텐션 + fp32
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "solutions" / "task1-cls"), str(ROOT)]

import torch  # noqa: E402
from lightning.fabric import Fabric  # noqa: E402

from step4_training_loops import NSMCModel, Trainer  # noqa: E402

from console_text import make_printable  # noqa: E402
from nlpbook.checkpoints import CheckpointSaver  # noqa: E402
from nlpbook.classification.config import TrainConfig  # noqa: E402
from nlpbook.hardware import accelerator_of, precision_of  # noqa: E402
from nlpbook.process import prepare_process  # noqa: E402


def settings(asked: argparse.Namespace) -> TrainConfig:
    config = TrainConfig()
    config.data.home, config.data.name = asked.data_home or config.data.home, asked.data_name
    config.data.max_train_samples, config.data.max_valid_samples = asked.samples, 32
    config.hardware.train_batch = asked.batch
    config.learning.num_epochs, config.learning.val_interval, config.printing.print_every = 1, 1, 1
    return config


def ours(asked: argparse.Namespace) -> float:
    """4단계의 루프로 한 에포크. 초당 예문 수."""
    config = settings(asked)
    accelerator = accelerator_of("auto")
    fabric = Fabric(accelerator=accelerator, devices=1, precision=precision_of("auto", accelerator))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(fabric, NSMCModel(config), CheckpointSaver(folder))
        started = time.perf_counter()
        trainer.train()
        return len(trainer.train_loader.dataset) / (time.perf_counter() - started)


def plain(asked: argparse.Namespace) -> float:
    """평범한 PyTorch 루프로 한 에포크. 초당 예문 수."""
    model = NSMCModel(settings(asked)).to(accelerator_of("auto"))
    model.lang_model.set_attn_implementation("sdpa")
    optimizer, loader = model.configure_optimizers(), model.train_dataloader()
    model.train()
    started = time.perf_counter()
    for batch in loader:
        loss = model.training_step({name: tensor.to(model.device) for name, tensor in batch.items()})["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return len(loader.dataset) / (time.perf_counter() - started)


def main() -> None:
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_home")
    parser.add_argument("--data_name", default="nsmc-sample")
    parser.add_argument("--samples", type=int)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    ratios = []
    for number in range(1, asked.rounds + 1):
        fast, slow = ours(asked), plain(asked)
        ratios.append(fast / slow)
        print(f"{number}번째  우리 것 {fast:6.0f}개/초  평범한 것 {slow:6.0f}개/초  비율 {ratios[-1]:.2f}", flush=True)
    print(f"비율의 중앙값 {statistics.median(ratios):.2f} (배치 {asked.batch}, 쓰레드 {torch.get_num_threads()}개)")


if __name__ == "__main__":
    make_printable()
    main()
