"""디코더뿐인 모델(kogpt2)로 요약하기: 대화 뒤에 "요약:"을 적고, 이어 쓰게 합니다.

    학습   <대화> \\n요약: <요약> </s>     손실은 요약의 자리에서만
    생성   <대화> \\n요약:                 채움은 왼쪽에: 이어 쓸 자리가 줄마다 같은 곳이 되도록

대화가 길면 대화의 뒤를 자르고 "요약:"은 남깁니다. 생성할 때 대답이 섞인 글을 건네면 정답을 보여 주는 셈이므로, 앞글만
건네고 새로 쓴 토큰만 글로 되돌립니다.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from nlpbook.summarization.architectures import PROMPT_END

IGNORED = -100


def prompt_ids(tokenizer: Any, dialogue: str, max_len: int) -> list[int]:
    """앞글의 토큰 번호: 대화와 "요약:". 모두 `max_len`을 넘지 않습니다."""
    end = tokenizer(PROMPT_END, add_special_tokens=False)["input_ids"]
    room = max(1, max_len - len(end))
    body = tokenizer(dialogue, add_special_tokens=False, truncation=True, max_length=room)["input_ids"]
    return body + end


class CausalSummarizationDataset(Dataset):
    """앞글과 요약을 한 줄로 이은 예문들. 라벨은 앞글의 자리에서 -100입니다.

    Args:
        dialogues, summaries: 대화와 요약. 요약이 None이면 앞글만 냅니다.
        encoder_max_len, decoder_max_len: 앞글과 요약의 길이의 상한(토큰).
    """

    def __init__(
        self,
        dialogues: Sequence[str],
        summaries: Sequence[str] | None,
        tokenizer: Any,
        encoder_max_len: int = 512,
        decoder_max_len: int = 128,
    ) -> None:
        self.items: list[dict[str, list[int]]] = []
        for index, dialogue in enumerate(dialogues):
            prompt = prompt_ids(tokenizer, dialogue, encoder_max_len)
            item = {"input_ids": prompt}
            if summaries is not None:
                answer = tokenizer(
                    summaries[index], add_special_tokens=False, truncation=True, max_length=decoder_max_len - 1
                )["input_ids"] + [tokenizer.eos_token_id]
                item = {"input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer}
            self.items.append(item)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return self.items[index]

    @property
    def lengths(self) -> list[tuple[int, int]]:
        return [(len(item["input_ids"]), len(item.get("labels", ()))) for item in self.items]


class CausalCollator:
    """배치 하나로 묶습니다. 학습할 때는 오른쪽을, 이어 쓸 때(라벨이 없을 때)는 왼쪽을 채웁니다."""

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, features: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        training = "labels" in features[0]
        rows = [feature["input_ids"] for feature in features]
        batch = {
            "input_ids": self._padded(rows, self.pad_id, left=not training),
            "attention_mask": self._padded([[1] * len(row) for row in rows], 0, left=not training),
        }
        if training:
            batch["labels"] = self._padded([feature["labels"] for feature in features], IGNORED, left=False)
        return batch

    @staticmethod
    def _padded(rows: list[list[int]], value: int, left: bool) -> torch.Tensor:
        width = max(len(row) for row in rows)
        filling = [[value] * (width - len(row)) for row in rows]
        return torch.tensor([fill + row if left else row + fill for row, fill in zip(rows, filling, strict=True)])


@torch.no_grad()
def continue_prompts(model: Any, tokenizer: Any, dialogues: Sequence[str], max_len: int = 512) -> torch.Tensor:
    """앞글을 이어 쓴 토큰 번호, (대화 수, 새로 쓴 길이). 앞글은 빼고 돌려줍니다."""
    dataset = CausalSummarizationDataset(dialogues, None, tokenizer, encoder_max_len=max_len)
    batch = CausalCollator(tokenizer.pad_token_id)([dataset[index] for index in range(len(dataset))])
    prompt = batch["input_ids"].to(model.device)
    ids = model.generate(input_ids=prompt, attention_mask=batch["attention_mask"].to(model.device))
    return ids[:, prompt.shape[1] :]


def summarize_by_continuing(
    model: Any, tokenizer: Any, dialogues: Sequence[str], max_len: int = 512, batch_size: int = 16
) -> list[str]:
    """대화와 같은 차례의 요약들. 길이와 빔은 `model.generation_config`를 따릅니다."""
    summaries: list[str] = []
    was_training = model.training
    model.eval()
    for first in range(0, len(dialogues), batch_size):
        ids = continue_prompts(model, tokenizer, dialogues[first : first + batch_size], max_len)
        summaries += [text.strip() for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
    model.train(was_training)
    return summaries
