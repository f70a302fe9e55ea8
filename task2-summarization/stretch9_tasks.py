"""심화 과제 · 배치의 크기와 요약을 고르는 법 (하고 싶은 사람만)

강의를 마치는 데에는 필요하지 않습니다. 둘은 서로도, 앞 단계에도 기대지 않으므로 마음이 가는 것 하나만 해도 됩니다.
세지도 재촉하지도 않지만, 저장하면 `watch`가 검사하고 `check`, `hint`, `reveal`, `reset`도 다른 TODO와 똑같이 듣습니다.

    python stretch9_tasks.py          # 채운 것을 모두 보여 줍니다 (약 8초)
    python stretch9_tasks.py 9-2      # 하나만

배우는 것
    - 9-1 토큰의 수로 자른 배치: 2단계는 예문의 수를 고르게 했습니다. 메모리를 정하는 것은 채운 뒤의 칸 수입니다
    - 9-2 빔 탐색(beam search): `generate(num_beams=…)`이 스텝마다 하는 일. 손으로 쓴 것과 결과가 같은지 봅니다

하지 않는 것: 4단계의 학습에 끼워 넣기. `Trainer`의 배치 크기는 정해져 있어, 9-1을 쓰려면 로더를 직접 만들어야 합니다.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from nlpbook.cli import run_script
from nlpbook.paths import DATA
from nlpbook.pretrained import resolve_pretrained
from nlpbook.stretch import show_stretch
from nlpbook.summarization.dialogues import read_dialogues
from todo import todo


def token_batches(lengths: Sequence[int], max_tokens: int, generator: torch.Generator) -> list[list[int]]:
    """채운 뒤의 칸 수가 `max_tokens`를 넘지 않는 배치들. 짧은 예문끼리는 많이, 긴 예문끼리는 적게 묶입니다.

    Args:
        lengths: 예문마다의 토큰 수.
        max_tokens: 배치 하나의 칸 수(예문의 수 × 가장 긴 예문)의 한도. 혼자서 이보다 긴 예문은 홀로 한 배치입니다.
        generator: 배치의 차례를 섞는 난수.

    Returns:
        배치마다의 예문 번호들. 모든 예문이 꼭 한 번씩 나옵니다.
    """
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])  # 짧은 예문부터
    batches: list[list[int]] = []
    # [TODO 9-1] order를 앞에서부터, 한도를 넘기 바로 전까지 채워 가며 자른 배치들을 batches에 담으세요.
    # 힌트: 칸 수는 진짜 토큰의 합이 아닙니다. 짧은 것부터 담으면, 지금 담는 예문이 그 배치에서 몇 번째로 긴가요? 마지막
    #       배치는 한도에 닿지 않은 채로 끝납니다.
    todo("9-1")  # 여기를 지우고 채워 주세요.
    # [END 9-1]
    return [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]


@dataclass(frozen=True)
class Beam:
    """쓰고 있는 글 하나.

    Attributes:
        ids: 시작 토큰부터의 번호들.
        score: 지금까지의 로그 확률의 합.
    """

    ids: tuple[int, ...]
    score: float


def advance(beams: Sequence[Beam], log_probs: Tensor, width: int, end: int) -> tuple[list[Beam], list[Beam]]:
    """빔 탐색의 한 걸음: 모든 빔의 모든 다음 토큰 가운데 좋은 것들을 고릅니다. `generate`의 규칙을 따릅니다.

    Args:
        beams: 쓰고 있는 글들, 하나부터 width개까지.
        log_probs: (빔의 수, 어휘) 빔마다, 다음 토큰의 로그 확률.
        width: 다음 걸음으로 데려갈 글의 수.
        end: 글의 끝 토큰. 이 토큰이 붙은 글은 끝난 것입니다.

    Returns:
        (계속 쓸 글들, 이번에 끝난 글들). 둘 다 점수가 높은 것부터입니다. 계속 쓸 글은 많아야 width개이고, 끝난 글은
        후보들 가운데 width등 안에 든 것만입니다.
    """
    running: list[Beam] = []
    finished: list[Beam] = []
    # [TODO 9-2] 점수의 합이 높은 후보를 2·width개 골라, 끝난 것은 finished에 나머지는 running에 담으세요.
    # 힌트: 빔마다 따로 고르지 않고 모두를 한 줄로 세웁니다(flatten, topk). 한 줄에서의 번호 하나로 어느 빔의 어느
    #       토큰인지 어떻게 알까요? 끝난 글이 여럿이어도 계속 쓸 글이 모자라지 않도록 두 배를 고릅니다.
    todo("9-2")  # 여기를 지우고 채워 주세요. 이 아래에서 쓰는 이름: running
    # [END 9-2]
    return running, finished


def beam_search(
    step: Callable[[list[tuple[int, ...]]], Tensor], start: int, end: int, width: int, max_length: int
) -> Beam:
    """가장 그럴듯한 글 하나. 길이가 다른 글은 토큰 하나마다의 점수로 견줍니다(length_penalty 1).

    Args:
        step: 쓰고 있는 글들 → (글의 수, 어휘) 다음 토큰의 로그 확률.
        start, end: 시작 토큰과 끝 토큰.
        width: 빔의 수.
        max_length: 시작 토큰까지 센, 글의 가장 긴 길이.
    """

    def per_token(beam: Beam) -> float:
        return beam.score / (len(beam.ids) - 1)

    running = [Beam((start,), 0.0)]
    finished: list[Beam] = []
    while running and len(running[0].ids) < max_length:
        running, done = advance(running, step([beam.ids for beam in running]), width, end)
        finished = sorted([*finished, *done], key=per_token, reverse=True)[:width]
        if len(finished) == width and running and per_token(running[0]) <= per_token(finished[-1]):
            break  # 지금 가장 좋은 글도 끝난 글들을 이기지 못합니다.
    else:
        finished += running  # 길이의 한도에 닿은 글도 끝난 것입니다.
    return max(finished, key=per_token)


def show_token_batches(limit: int = 512, max_tokens: int = 4_096) -> None:
    tokenizer = AutoTokenizer.from_pretrained(resolve_pretrained("ko-bart-tiny"))
    rows = read_dialogues(DATA / "dialogue-sample" / "train.csv", limit=limit)
    lengths = [len(ids) for ids in tokenizer(rows.dialogues)["input_ids"]]
    batches = token_batches(lengths, max_tokens, torch.Generator().manual_seed(7))
    sizes = sorted(map(len, batches))
    cells = [len(batch) * max(lengths[index] for index in batch) for batch in batches]
    print(f"■ 9-1 대화 {len(lengths)}개를 {max_tokens:,}칸씩: 배치 {len(batches)}개, 예문은 {sizes[0]}~{sizes[-1]}개씩")
    print(f"  가장 큰 배치 {max(cells):,}칸, 빈칸의 비율 {1 - sum(lengths) / sum(cells):.1%}")
    size = len(lengths) // len(batches)
    fixed = [lengths[start : start + size] for start in range(0, len(lengths), size)]
    cells = [len(batch) * max(batch) for batch in fixed]
    print(f"  {size}개씩 차례로 묶으면 가장 큰 것이 {max(cells):,}칸, 빈칸이 {1 - sum(lengths) / sum(cells):.1%}\n")


@torch.no_grad()
def show_beams(max_length: int = 24) -> None:
    folder = resolve_pretrained("ko-bart-tiny")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    text = "<mask> 연기가 <mask> 감동적인 <mask>"  # 이 모델은 가린 글을 되살리는 것까지만 배웠습니다.
    inputs = tokenizer(text, return_tensors="pt")
    read = model.get_encoder()(**inputs)
    start, end = model.config.decoder_start_token_id, tokenizer.eos_token_id

    def step(texts: list[tuple[int, ...]]) -> Tensor:
        hidden = read.last_hidden_state.expand(len(texts), -1, -1)
        logits = model(
            encoder_outputs=(hidden,),
            attention_mask=inputs["attention_mask"].expand(len(texts), -1),
            decoder_input_ids=torch.tensor(texts),
        ).logits
        return logits[:, -1].log_softmax(dim=-1)

    print(f"■ 9-2 가린 글 {text!r}을 되살린 것과 그 점수(토큰 하나마다의 로그 확률)")
    for width in (1, 2, 4, 8):
        beam = beam_search(step, start, end, width, max_length)
        how = {"num_beams": width, "max_length": max_length, "do_sample": False, "length_penalty": 1.0}
        theirs = model.generate(**inputs, **how)[0].tolist()
        same = "generate와 같습니다" if theirs == list(beam.ids) else f"generate는 {tokenizer.decode(theirs)!r}"
        found = tokenizer.decode(beam.ids, skip_special_tokens=True)
        print(f"  빔 {width}개  {beam.score / (len(beam.ids) - 1):+.3f}  {found!r}  {same}")
    print()


SHOWS = {"9-1": show_token_batches, "9-2": show_beams}


def main() -> None:
    show_stretch(SHOWS, sys.argv[1:])

    # 더 해 보기: 4단계에서 학습한 모델로도 해 보세요. 빔을 늘려 점수가 좋아질 때 ROUGE도 함께 좋아지나요?


if __name__ == "__main__":
    run_script(main)
