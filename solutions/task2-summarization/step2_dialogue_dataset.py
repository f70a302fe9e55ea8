"""2단계 · 대화 데이터: 대화는 입력으로, 요약은 라벨로

1단계에서 모델과 토크나이저를 준비했습니다. 이 단계에서는 대화와 요약의 짝을 모델이 배울 수 있는 배치로 바꿉니다. 분류의
라벨은 수 하나였지만, 요약의 라벨은 길이가 저마다 다른 글입니다. 그래서 새로 생각할 것이 셋 있습니다: 어디서 끝나는지,
어디를 세지 않는지, 그리고 디코더에게는 무엇을 보여 주는지.

    python step2_dialogue_dataset.py    # 대화 하나의 토큰, 배치 하나의 모양, 채움의 낭비를 보여 줍니다 (약 8초)

배우는 것
    - 잘린 글도 끝 토큰으로 끝나야 합니다: 그렇지 않은 라벨로 배운 모델은 멈추지 않습니다
    - 라벨의 -100: 채운 자리를 손실에서 빼는 PyTorch의 약속
    - 한 칸 밀기(shift): 디코더는 정답의 앞부분을 보고 다음 토큰을 맞힙니다. 한 번만 밉니다
    - 길이가 비슷한 것끼리: 긴 대화 하나가 배치의 나머지를 모두 빈칸으로 채웁니다

하지 않는 것: 학습(4단계), 잘 썼는지 재는 일(3단계).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from step1_config_and_model import load_config, load_model_and_tokenizer

from nlpbook.cli import run_script
from nlpbook.summarization.dialogues import read_dialogues

IGNORED = -100  # 이 번호의 라벨은 손실에 들어가지 않습니다(torch.nn.CrossEntropyLoss의 ignore_index).
POOL_BATCHES = 50  # 이만큼의 배치를 모아 길이순으로 늘어놓습니다. 클수록 낭비가 적고, 작을수록 잘 섞입니다.


def encode_dialogue(tokenizer: PreTrainedTokenizerBase, dialogue: str, max_len: int) -> list[int]:
    """대화를 토큰 번호로 바꿉니다.

    Args:
        tokenizer: 시작과 끝 토큰을 스스로 붙입니다(T5는 끝만).
        max_len: 시작과 끝을 더한 길이의 상한(토큰). 넘으면 대화의 뒤를 자르되, 끝 토큰은 남습니다.

    Returns:
        토큰 번호들. 채우지 않았으므로 길이는 대화마다 다릅니다.
    """
    # [TODO 2-1] 대화를 max_len까지 잘라 토큰 번호로 바꾸어 ids에 담으세요. 채우지 않습니다.
    # 힌트: 다 만든 번호를 ids[:max_len]으로 자르면 마지막에 있던 무엇이 사라질까요? 토크나이저가 알고 자르게 하세요.
    ids = tokenizer(dialogue, truncation=True, max_length=max_len)["input_ids"]
    # [END 2-1]
    return ids


def encode_summary(tokenizer: PreTrainedTokenizerBase, summary: str, max_len: int) -> list[int]:
    """요약을 라벨로 바꿉니다. 잘려도 끝 토큰으로 끝납니다.

    Args:
        max_len: 라벨의 길이의 상한(토큰).

    Returns:
        토크나이저가 붙이는 시작과 끝까지 담긴 토큰 번호들. 마지막은 언제나 끝 토큰(`tokenizer.eos_token_id`)입니다.
    """
    # [TODO 2-2] 요약을 max_len까지 잘라 토큰 번호로 바꾸어 labels에 담으세요. 마지막은 끝 토큰이어야 합니다.
    # 힌트: 요약은 모델이 써야 할 글(text_target)입니다. 라벨에 끝 토큰이 없으면, 모델은 멈추는 법을 어디에서 배울까요?
    #       한 칸 밀거나 -100으로 채우는 것은 배치를 묶을 때 할 일입니다.
    labels = tokenizer(text_target=summary, truncation=True, max_length=max_len)["input_ids"]
    # [END 2-2]
    return labels


class DialogueSummarizationDataset(Dataset):
    """대화와 요약의 짝. 토큰 번호로는 처음에 한 번만 바꿉니다.

    Args:
        dialogues: 대화들. 말마다 한 줄입니다.
        summaries: 대화마다의 요약. None이면 요약 없이 대화만 냅니다(예측할 때).
        tokenizer: 1단계의 토크나이저.
        encoder_max_len, decoder_max_len: 대화와 요약의 길이의 상한(토큰).

    Attributes:
        lengths: 예문마다의 (대화의 토큰 수, 라벨의 토큰 수).
    """

    def __init__(
        self,
        dialogues: Sequence[str],
        summaries: Sequence[str] | None,
        tokenizer: PreTrainedTokenizerBase,
        encoder_max_len: int = 512,
        decoder_max_len: int = 128,
    ) -> None:
        self.items: list[dict[str, list[int]]] = []
        # [TODO 2-3] 대화마다 input_ids와, 요약이 있으면 labels도 담은 딕셔너리를 만들어 self.items에 차례로 더하세요.
        # 힌트: encode_dialogue와 encode_summary를 씁니다. 둘의 길이의 상한은 다릅니다. 여기가 아니라 __getitem__에서
        #       토큰으로 바꾼다면, 다섯 에포크를 배우는 동안 같은 글을 몇 번 바꾸게 될까요?
        for index, dialogue in enumerate(dialogues):
            item = {"input_ids": encode_dialogue(tokenizer, dialogue, encoder_max_len)}
            if summaries is not None:
                item["labels"] = encode_summary(tokenizer, summaries[index], decoder_max_len)
            self.items.append(item)
        # [END 2-3]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return self.items[index]

    @property
    def lengths(self) -> list[tuple[int, int]]:
        return [(len(item["input_ids"]), len(item.get("labels", ()))) for item in self.items]


def shift_right(labels: Tensor, pad_id: int, start_id: int) -> Tensor:
    """디코더의 입력: 라벨을 오른쪽으로 한 칸 밀고, 앞에 시작 토큰을 놓습니다.

    Args:
        labels: (배치, 길이) int64. 채운 자리는 -100입니다. 바꾸지 않습니다.
        pad_id, start_id: 채움과 디코더 시작의 토큰 번호.

    Returns:
        (배치, 길이) int64, 라벨과 같은 장치. i번째 자리에는 i-1번째 정답이 있습니다. -100은 없습니다.
    """
    # [TODO 2-4] 라벨을 한 칸 민 inputs를 만드세요. 첫 칸은 start_id이고, -100은 pad_id로 바꿉니다.
    # 힌트: 밀지 않으면 디코더는 맞혀야 할 바로 그 토큰을 보고 맞힙니다. 임베딩에 -100번째 행이 있을까요?
    inputs = labels.new_full(labels.shape, start_id)  # (배치, 길이)
    inputs[:, 1:] = labels[:, :-1]
    inputs[inputs == IGNORED] = pad_id
    # [END 2-4]
    return inputs


class Collator:
    """데이터셋의 항목들을 배치 하나로 묶습니다.

    Args:
        pad_id, start_id: 채움과 디코더 시작의 토큰 번호. 수 둘만 가지므로, 다른 프로세스로 가볍게 건너갑니다.
    """

    def __init__(self, pad_id: int, start_id: int) -> None:
        self.pad_id = pad_id
        self.start_id = start_id

    def __call__(self, features: Sequence[dict[str, list[int]]]) -> dict[str, Tensor]:
        """배치 하나.

        Args:
            features: `{"input_ids": [int…], "labels": [int…]}`들. labels는 없을 수 있습니다.

        Returns:
            `input_ids`, `attention_mask`: (배치, 대화 길이) int64. labels가 있으면 `labels`, `decoder_input_ids`:
            (배치, 요약 길이) int64.
        """
        rows = [feature["input_ids"] for feature in features]
        # [TODO 2-5] rows를 이 배치의 가장 긴 대화에 맞추어 채운 input_ids와, 진짜 토큰이 1인 attention_mask를 만드세요.
        # 힌트: 아래의 padded(줄들, 채울 값)를 씁니다. 마스크를 채움의 번호로 알아내면(ids != pad_id), 글 안에 우연히
        #       채움 토큰이 있을 때 어떻게 될까요?
        input_ids = padded(rows, self.pad_id)  # (배치, 대화 길이)
        attention_mask = padded([[1] * len(row) for row in rows], 0)  # (배치, 대화 길이)
        # [END 2-5]
        batch = {"input_ids": input_ids, "attention_mask": attention_mask}
        if "labels" in features[0]:
            # [TODO 2-6] 라벨을 -100으로 채워 batch["labels"]에, 한 칸 민 것을 batch["decoder_input_ids"]에 담으세요.
            # 힌트: 채운 자리도 정답으로 세면, 모델은 무엇을 가장 많이 배우게 될까요? 미는 것은 shift_right가 합니다.
            labels = padded([feature["labels"] for feature in features], IGNORED)  # (배치, 요약 길이)
            batch["labels"] = labels
            batch["decoder_input_ids"] = shift_right(labels, self.pad_id, self.start_id)
            # [END 2-6]
        return batch


def padded(rows: Sequence[list[int]], value: int) -> Tensor:
    """길이가 다른 줄들의 오른쪽을 `value`로 채운 (줄 수, 가장 긴 길이) int64 텐서."""
    width = max(len(row) for row in rows)
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def length_batches(lengths: Sequence[tuple[int, int]], batch_size: int, generator: torch.Generator) -> list[list[int]]:
    """길이가 비슷한 예문끼리 묶은 배치들. 에포크마다 새로 섞입니다.

    모두 섞은 뒤 `POOL_BATCHES`개의 배치만큼씩 대화의 길이순으로 늘어놓아 자르고, 배치의 차례를 다시 섞습니다.

    Args:
        lengths: 예문마다의 (대화의 토큰 수, 라벨의 토큰 수).
        batch_size: 배치 하나의 예문 수. 마지막 배치는 더 작을 수 있습니다.
        generator: 섞는 난수.

    Returns:
        배치마다의 예문 번호들. 모든 예문이 꼭 한 번씩 나옵니다.
    """
    order = torch.randperm(len(lengths), generator=generator).tolist()
    pool = POOL_BATCHES * batch_size
    batches: list[list[int]] = []
    # [TODO 2-7] order를 pool개씩 떼어 길이순으로 늘어놓고, batch_size개씩 잘라 batches에 담으세요.
    # 힌트: 전부를 한꺼번에 길이순으로 늘어놓으면 낭비는 가장 적지만, 에포크마다 같은 예문끼리만 만납니다. 길이는
    #       (대화, 라벨)의 짝이라 그대로 견줄 수 있습니다.
    for start in range(0, len(order), pool):
        nearby = sorted(order[start : start + pool], key=lambda index: lengths[index])
        batches += [nearby[first : first + batch_size] for first in range(0, len(nearby), batch_size)]
    # [END 2-7]
    return [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]


def waste_of(lengths: Sequence[tuple[int, int]], batches: Sequence[Sequence[int]]) -> float:
    """배치들에서 대화의 채움이 차지하는 비율, 0~1."""
    cells = sum(len(batch) * max(lengths[index][0] for index in batch) for batch in batches)
    return 1 - sum(lengths[index][0] for batch in batches for index in batch) / cells


def main() -> None:
    config = load_config("quick")
    model, tokenizer = load_model_and_tokenizer(config)
    rows = read_dialogues(config.data.train, limit=512)
    dataset = DialogueSummarizationDataset(
        rows.dialogues,
        rows.summaries,
        tokenizer,
        config.tokenizer.encoder_max_len,
        config.tokenizer.decoder_max_len,
    )

    item = dataset[0]
    print("■ 대화 하나")
    print(f"  {rows.dialogues[0].splitlines()[0]}")
    print("  토큰 ", " ".join(tokenizer.convert_ids_to_tokens(item["input_ids"][:16])), "…")
    print("  라벨 ", " ".join(tokenizer.convert_ids_to_tokens(item["labels"])))

    collate = Collator(tokenizer.pad_token_id, model.config.decoder_start_token_id)
    batch = collate([dataset[index] for index in range(8)])
    print("\n■ 배치 하나")
    for name, tensor in batch.items():
        print(f"  {name:<18}{tuple(tensor.shape)!s:<12}{tensor.dtype}")
    shortest = int(batch["attention_mask"].sum(dim=1).argmin())
    print("  가장 짧은 요약의 라벨 ", batch["labels"][shortest].tolist())
    print("  디코더가 보는 것     ", batch["decoder_input_ids"][shortest].tolist())

    size = config.training.per_device_train_batch_size
    count = len(dataset)
    longest = config.tokenizer.encoder_max_len
    mean = sum(length for length, _ in dataset.lengths) / count
    in_order = [list(range(count))[start : start + size] for start in range(0, count, size)]
    by_length = length_batches(dataset.lengths, size, torch.Generator().manual_seed(config.general.seed))
    print(f"\n■ 채움의 낭비 (예문 {count}개, 배치 {size}개씩): 모델이 계산하는 자리 가운데 빈칸의 비율")
    print(f"  모두 {longest}칸으로         {1 - mean / longest:.1%}")
    print(f"  배치마다 가장 긴 대화로    {waste_of(dataset.lengths, in_order):.1%}")
    print(f"  길이가 비슷한 것끼리       {waste_of(dataset.lengths, by_length):.1%}")

    # 더 해 보기: POOL_BATCHES를 1과 1,000으로 바꾸면 낭비는 얼마나 달라질까요? 먼저 짐작하고 실행해 보세요.


if __name__ == "__main__":
    run_script(main)
