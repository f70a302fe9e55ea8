"""요약을 쓰는 속도: 우리의 `summarize`와, 아무것도 바꾸지 않은 `Seq2SeqTrainer.predict`를 같은 모델로 나란히 잽니다.

    python benchmarks/sum_generation.py --model outputs/quick/final_model
    python benchmarks/sum_generation.py --model … --rounds 5 --dialogues 대화.csv

두 쪽 모두 토큰으로 바꾸는 일까지 잽니다. 한 번씩 먼저 돌려 데운 다음, 번갈아 `rounds`번 재어 비율의 가운데 것을
적습니다.

(가) 32비트, 같은 배치 크기, 같은 빔: 토큰 번호가 같아야 합니다. 묶는 차례가 달라 채움의 수가 다르므로, 두 후보의 점수가
     거의 같을 때는 다른 쪽을 고를 수 있습니다. 다른 것마다 두 요약의 빔 점수의 차이를 적습니다.
(나) 이 장치가 타고난 정밀도, 길이순의 큰 배치: 몇 배 빠르고, rouge_sum은 얼마나 다른지.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments

ROOT = Path(__file__).resolve().parents[1]
TASK = ROOT / "solutions" / "task2-summarization"
sys.path[:0] = [str(ROOT), str(TASK)]

from step1_config_and_model import load_config, load_model_and_tokenizer  # noqa: E402
from step2_dialogue_dataset import encode_dialogue  # noqa: E402
from step3_rouge_metrics import compute_rouge, decode, summarize  # noqa: E402

from console_text import make_printable  # noqa: E402
from nlpbook.hardware import accelerator_of, use_fast_attention  # noqa: E402
from nlpbook.summarization.beams import fast_beams, native_dtype  # noqa: E402
from nlpbook.summarization.dialogues import read_dialogues  # noqa: E402

PLAIN_BATCH = 8  # Seq2SeqTrainingArguments의 기본값
CLOSE = 1e-4  # 두 빔의 점수가 이만큼도 다르지 않으면, 어느 쪽을 골라도 셈의 순서 탓입니다.


class PlainDataset(torch.utils.data.Dataset):
    """`Seq2SeqTrainer`에 건네는 예문들."""

    def __init__(self, tokenizer: Any, dialogues: list[str], max_len: int) -> None:
        self.rows = [tokenizer(one, truncation=True, max_length=max_len) for one in dialogues]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return {name: self.rows[index][name] for name in ("input_ids", "attention_mask")}


def plain(model: Any, tokenizer: Any, dialogues: list[str], max_len: int) -> list[list[int]]:
    """아무것도 바꾸지 않은 `Seq2SeqTrainer.predict`가 쓴 요약의 번호들, 대화의 차례대로."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = Seq2SeqTrainingArguments(
            folder, predict_with_generate=True, disable_tqdm=True, use_cpu=model.device.type == "cpu"
        )
        trainer = Seq2SeqTrainer(model, arguments, processing_class=tokenizer)
        predicted = trainer.predict(PlainDataset(tokenizer, dialogues, max_len)).predictions  # type: ignore[arg-type]
    return [trimmed(row.tolist(), tokenizer) for row in predicted]


def ours(model: Any, tokenizer: Any, dialogues: list[str], max_len: int, batch_size: int) -> list[list[int]]:
    """3단계의 `summarize`가 쓴 요약의 번호들, 대화의 차례대로."""
    written: list[Tensor] = []
    generate = model.generate

    def remember(**inputs: Any) -> Tensor:
        written.append(generate(**inputs).cpu())
        return written[-1]

    model.generate = remember
    try:
        with fast_beams(model):
            summarize(model, tokenizer, dialogues, max_len, batch_size)
    finally:
        vars(model).pop("generate", None)
    lengths = [len(encode_dialogue(tokenizer, one, max_len)) for one in dialogues]
    order = sorted(range(len(dialogues)), key=lambda index: -lengths[index])  # summarize가 읽은 차례
    rows = [row.tolist() for batch in written for row in batch]
    found = dict(zip(order, rows, strict=True))
    return [trimmed(found[index], tokenizer) for index in range(len(dialogues))]


def trimmed(row: list[int], tokenizer: Any) -> list[int]:
    """시작 토큰부터 첫 끝 토큰까지."""
    row = [one for one in row if one >= 0]
    end = next((index for index, one in enumerate(row[1:], start=1) if one == tokenizer.eos_token_id), len(row) - 1)
    return row[: end + 1]


@torch.no_grad()
def beam_score(model: Any, tokenizer: Any, dialogue: str, row: list[int], max_len: int) -> float:
    """요약 하나의 빔 점수: 로그 확률의 합을 길이의 `length_penalty`제곱으로 나눈 것."""
    ids = torch.tensor([encode_dialogue(tokenizer, dialogue, max_len)], device=model.device)
    target = torch.tensor([row], device=model.device)
    logits = model(input_ids=ids, decoder_input_ids=target[:, :-1]).logits.float().log_softmax(dim=-1)
    total = logits.gather(2, target[:, 1:, None]).sum().item()
    return total / (len(row) - 1) ** model.generation_config.length_penalty


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """(돌려준 것, 지난 초, CPU가 일한 초)."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def alternate(name: str, base: Callable[[], Any], mine: Callable[[], Any], rounds: int) -> tuple[Any, Any]:
    """번갈아 재고 비율을 적습니다. 돌려주는 것은 두 쪽이 쓴 것입니다."""
    base(), mine()
    ratios: list[float] = []
    cpu_ratios: list[float] = []
    for _ in range(rounds):
        theirs, their_wall, their_cpu = timed(base)
        own, own_wall, own_cpu = timed(mine)
        ratios.append(their_wall / own_wall)
        cpu_ratios.append(their_cpu / own_cpu)
        print(f"  {name}  predict {their_wall:.1f}초  우리 {own_wall:.1f}초  {ratios[-1]:.2f}배", flush=True)
    print(
        f"  {name}  가운데 {statistics.median(ratios):.2f}배 ({min(ratios):.2f}~{max(ratios):.2f}), "
        f"CPU가 일한 시간으로는 {statistics.median(cpu_ratios):.2f}배",
        flush=True,
    )
    return theirs, own


def compare_ids(model: Any, tokenizer: Any, dialogues: list[str], theirs: list, own: list, max_len: int) -> bool:
    """번호가 다른 요약들과 그 빔 점수의 차이를 적습니다. 모두 `CLOSE`보다 작으면 참."""
    different = [index for index, (one, two) in enumerate(zip(theirs, own, strict=True)) if one != two]
    gaps = [
        abs(
            beam_score(model, tokenizer, dialogues[index], theirs[index], max_len)
            - beam_score(model, tokenizer, dialogues[index], own[index], max_len)
        )
        for index in different
    ]
    print(f"  번호까지 같은 요약 {len(own) - len(different)}/{len(own)}")
    for index, gap in zip(different, gaps, strict=True):
        print(f"    {index}번: 두 빔의 점수의 차이 {gap:.2e}")
    return all(gap < CLOSE for gap in gaps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=TASK / "outputs" / "quick" / "final_model")
    parser.add_argument("--config", default="quick", help="빔과 길이를 적은 설정")
    parser.add_argument("--dialogues", type=Path, nargs="+", help="대화와 요약의 CSV. 비우면 내장된 평가 대화들")
    parser.add_argument("--batch_size", type=int, default=32, help="(나)의 배치 크기")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()

    config = load_config(args.config, {"model.checkpoint": str(args.model.resolve())})
    model, tokenizer = load_model_and_tokenizer(config)
    device = accelerator_of(args.device)
    model = model.to(device)
    max_len = config.tokenizer.encoder_max_len
    home = Path(config.data.test).parent
    rows = [
        read_dialogues(path, need_summaries=True)
        for path in args.dialogues or [home / "dev.csv", home / "test.csv", home / "generated-test.csv"]
    ]
    dialogues = [one for each in rows for one in each.dialogues]
    references = [one for each in rows for one in each.summaries or []]
    load = f", 시작할 때의 부하 {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(
        f"대화 {len(dialogues)}개, {device}, 스레드 {torch.get_num_threads()}개, 빔 {config.generation.num_beams}{load}"
    )

    def base() -> list[list[int]]:
        return plain(model, tokenizer, dialogues, max_len)

    print(f"■ (가) 32비트, 배치 {PLAIN_BATCH}")
    theirs, own = alternate("(가)", base, lambda: ours(model, tokenizer, dialogues, max_len, PLAIN_BATCH), args.rounds)
    explained = compare_ids(model, tokenizer, dialogues, theirs, own, max_len)
    print(f"  다른 것은 {'모두' if explained else '모두가 아니라 일부만'} 점수의 차이가 {CLOSE:g}보다 작습니다.")

    dtype = native_dtype(device)
    native = copy.deepcopy(model).to(dtype)
    use_fast_attention(native, device)
    print(f"■ (나) {str(dtype).removeprefix('torch.')}, 길이순의 배치 {args.batch_size}")
    theirs, own = alternate(
        "(나)", base, lambda: ours(native, tokenizer, dialogues, max_len, args.batch_size), args.rounds
    )
    scores = [
        compute_rouge([decode(tokenizer, torch.tensor([row]))[0] for row in written], references)["rouge_sum"]
        for written in (theirs, own)
    ]
    print(f"  rouge_sum  predict {scores[0]:.4f}  우리 {scores[1]:.4f}  차이 {scores[1] - scores[0]:+.4f}")


if __name__ == "__main__":
    make_printable()
    main()
