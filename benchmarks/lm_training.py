"""작은 GPT의 학습과 글쓰기의 속도: 4·5단계의 코드와, 흔히 쓰는 방법들을 같은 실행에서 번갈아 재어 비율을 냅니다.

    python benchmarks/lm_training.py                     # 학습 가이드의 기본 설정, 내장 이야기 (2코어에서 약 5분)
    python benchmarks/lm_training.py --data 내글.txt --steps 50 --rounds 1

학습에서 견주는 것(모델의 구조와 처음 가중치, 배치의 순서, 학습률은 같고, 검증까지의 시간을 셉니다):
    우리 것   4단계의 Trainer: 정밀도 auto(bf16), CPU용 드롭아웃, fused AdamW
    (a)       Hugging Face GPT2LMHeadModel과 Trainer, fp32
    (b)       nanoGPT의 CPU 길을 따른 평범한 루프: fp32, SDPA 어텐션, nn.Dropout
글쓰기에서 견주는 것: 5단계의 KV 캐시와, 토큰마다 앞글을 모두 다시 읽는 방법.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import MethodType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "solutions" / "task3-lm"), str(ROOT)]

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.optim import AdamW  # noqa: E402

from step1_tokenizer_and_data import LMData  # noqa: E402
from step2_gpt_model import GPT, CausalSelfAttention  # noqa: E402
from step3_loss_and_optimizer import compute_loss, learning_rate_at  # noqa: E402
from step4_training_pipeline import Trainer, fabric_of  # noqa: E402
from step5_cli_and_serving import continue_tokens  # noqa: E402
from step6_export_and_quantize import GPT as ExportedGPT  # noqa: E402

from console_text import make_printable  # noqa: E402
from nlpbook.language.config import LMConfig  # noqa: E402
from nlpbook.language.layers import Dropout  # noqa: E402
from nlpbook.language.metrics import window_scores  # noqa: E402
from nlpbook.language.sampling import Sampling  # noqa: E402
from nlpbook.loaders import training_loader  # noqa: E402
from nlpbook.pretrained import quiet_transformers  # noqa: E402

LABELS = {
    "a": "학습: (a) Hugging Face Trainer의",
    "b": "학습: (b) 평범한 루프의",
    "whole": "글쓰기, 1→256토큰: 다시 읽기의",
    "late": "글쓰기, 224→256토큰: 다시 읽기의",
}


class Setting:
    """한 번 만들어 모두가 함께 쓰는 것: 데이터와 처음 가중치."""

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        config = LMConfig(data=asked.data, output=str(folder), num_epochs=1, sample_tokens=0)
        spacing = (len(LMData(config).train) - config.max_seq_len) // (asked.steps * config.batch_size)
        self.config = LMConfig(**{**config.to_dict(), "stride": max(1, spacing)})
        self.data = LMData(self.config)
        torch.manual_seed(0)
        self.model = GPT(self.config, len(self.data.tokenizer), self.data.tokenizer)
        self.batches = len(self.data.train_dataloader())
        self.tokens = len(self.data.train_dataloader().dataset) * self.config.max_seq_len


def ours(setting: Setting) -> tuple[float, float]:
    """4단계의 Trainer. (걸린 초, 검증 손실)."""
    model, started = copy.deepcopy(setting.model), time.perf_counter()
    trainer = Trainer(model, setting.data, setting.config, fabric_of(setting.config))
    trainer.model.train()
    trainer.interrupt = type("Never", (), {"requested": False})
    trainer.train_epoch()
    loss = trainer.evaluate().loss
    return time.perf_counter() - started, loss


def plain(setting: Setting) -> tuple[float, float]:
    """nanoGPT의 CPU 길을 따른 fp32 루프. (걸린 초, 검증 손실)."""
    model, config = copy.deepcopy(setting.model), setting.config
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Dropout):
                setattr(module, name, nn.Dropout(child.p))
        if isinstance(module, CausalSelfAttention):
            module.attend = MethodType(_sdpa, module)
    started = time.perf_counter()
    matrices = [one for one in model.parameters() if one.dim() >= 2]
    vectors = [one for one in model.parameters() if one.dim() < 2]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2))
    torch.manual_seed(config.seed)
    model.train()
    for step, (inputs, targets) in enumerate(training_loader(setting.data.train_dataloader(), config.seed)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, setting.batches, config)
        loss = compute_loss(model(inputs), targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    model.eval()
    with torch.no_grad():
        scores = torch.cat([window_scores(model(x), y) for x, y in setting.data.val_dataloader()])
    return time.perf_counter() - started, scores[:, 0].mean().item()


def _sdpa(self: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    dropout = self.attention_dropout.p if self.training else 0.0
    mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True, dropout_p=dropout)
    return mixed.transpose(1, 2).flatten(2)


def hugging_face(setting: Setting) -> tuple[float, float]:
    """Hugging Face의 GPT2LMHeadModel과 Trainer, fp32. (걸린 초, 검증 손실은 재지 않아 NaN)."""
    from transformers import Trainer as HuggingFaceTrainer
    from transformers import TrainingArguments

    twin = ExportedGPT(setting.config, setting.model.vocab_size, setting.model.tokenizer)
    twin.load_state_dict(setting.model.state_dict())
    windows = setting.data.train_dataloader().dataset
    dataset = [{"input_ids": windows[i][0], "labels": windows[i][0]} for i in range(len(windows))]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=setting.config.batch_size,
            learning_rate=setting.config.learning_rate,
            weight_decay=setting.config.weight_decay,
            lr_scheduler_type="cosine",
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            logging_strategy="no",
        )
        started = time.perf_counter()
        HuggingFaceTrainer(twin.to_hugging_face().train(), arguments, train_dataset=dataset).train()
        return time.perf_counter() - started, float("nan")


def generation(setting: Setting, prompt: int, count: int) -> tuple[float, float]:
    """`prompt`토큰의 앞글을 `count`토큰 이어 쓰는 속도: (캐시, 토큰마다 앞글을 다시 읽기) 초당 토큰."""
    model, ids = setting.model.eval(), list(range(1, prompt + 1))
    model.tokenizer = _NeverEnds()
    speeds = []
    for write in (
        lambda: sum(1 for _ in continue_tokens(model, [ids], Sampling(max_tokens=count, seed=0))),
        lambda: model.generate(torch.tensor([ids]), count, seed=0),
    ):
        started = time.perf_counter()
        write()
        speeds.append(count / (time.perf_counter() - started))
    model.tokenizer = setting.data.tokenizer
    return speeds[0], speeds[1]


class _NeverEnds:
    end_id = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="lm-sample")
    parser.add_argument("--steps", type=int, default=60, help="학습할 스텝 수(대략)")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    quiet_transformers()
    ratios: dict[str, list[float]] = {name: [] for name in LABELS}
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(asked, Path(folder))
        print(f"{setting.batches}스텝, {setting.tokens:,}토큰, 쓰레드 {torch.get_num_threads()}개", flush=True)
        for number in range(1, asked.rounds + 1):
            (fast, our_loss), (slow, plain_loss), (trainer, _) = ours(setting), plain(setting), hugging_face(setting)
            whole, late = generation(setting, 1, 255), generation(setting, 224, 32)
            for name, ratio in zip(
                LABELS, (trainer / fast, slow / fast, whole[0] / whole[1], late[0] / late[1]), strict=True
            ):
                ratios[name].append(ratio)
            speeds = [f"{setting.tokens / seconds:,.0f}" for seconds in (fast, trainer, slow)]
            print(f"{number}번째  토큰/초: 우리 것 {speeds[0]}, (a) {speeds[1]}, (b) {speeds[2]}")
            print(f"  검증 손실: 우리 것 {our_loss:.4f}, (b) {plain_loss:.4f} (차이 {our_loss / plain_loss - 1:+.2%})")
            print(f"  글쓰기 토큰/초, 1→256토큰: 캐시 {whole[0]:,.0f}, 다시 읽기 {whole[1]:,.0f}")
            print(f"  글쓰기 토큰/초, 224→256토큰: 캐시 {late[0]:,.0f}, 다시 읽기 {late[1]:,.0f}", flush=True)
    for name, label in LABELS.items():
        print(f"{label} {statistics.median(ratios[name]):.2f}배 (중앙값)")


if __name__ == "__main__":
    make_printable()
    main()
