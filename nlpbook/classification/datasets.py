"""예문을 토큰 번호로 바꾼 데이터셋과, 번호들을 텐서로 묶는 collate 함수."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch.utils.data import Dataset

from nlpbook.classification.config import ClassificationConfig
from nlpbook.rows import IntegerRows
from nlpbook.text import normalized


class ClassificationDataset(Dataset):
    """한 갈래(train, valid, test)의 예문을 한 번만 토큰으로 바꾸어 갖고 있습니다.

    Args:
        config: 설정. `config.model.seq_len`(또는 `max_seq_length`)에서 자릅니다. ratsnlp처럼 `args`라고 적어도 됩니다.
        corpus: `get_examples(mode, config)`와 `get_labels()`가 있는 말뭉치.
        tokenizer: Hugging Face의 빠른(fast) 토크나이저.
        mode: `"train"`, `"valid"`, `"test"`.

    항목은 `{"input_ids": [int…], "attention_mask": [int…], "labels": int}`이고, 길이는 문장마다 다릅니다.
    채우기(padding)는 배치를 묶을 때 합니다.

    데이터를 읽는 보조 프로세스에는 번호만 공유 메모리로 건너갑니다. 예문의 글(`examples`)은 이 프로세스에만 있습니다.
    """

    def __init__(
        self,
        config: ClassificationConfig | None = None,
        corpus: Any = None,
        tokenizer: Any = None,
        mode: str = "train",
        *,
        args: ClassificationConfig | None = None,
    ) -> None:
        config = config or args
        if config is None or corpus is None or tokenizer is None:
            raise TypeError("설정(config), 말뭉치(corpus), 토크나이저(tokenizer)를 모두 건네 주세요")
        self.mode = mode
        self.examples = corpus.get_examples(mode, config)
        number_of = {label: number for number, label in enumerate(corpus.get_labels())}
        self.labels = [number_of[example.label] for example in self.examples]
        self._labels = torch.tensor(self.labels, dtype=torch.int64)  # (예문,)
        ids = tokenizer(
            [normalized(example.text) for example in self.examples],  # 어떤 말뭉치에서 왔든
            truncation=True,
            max_length=config.model.seq_len,
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
        self.input_ids = IntegerRows(ids)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("examples", "labels")}

    def __copy__(self) -> ClassificationDataset:
        made = object.__new__(type(self))
        made.__dict__.update(vars(self))  # 베끼는 것은 프로세스를 건너는 일이 아니므로, 예문까지 함께 갑니다.
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> ClassificationDataset:
        return copy.copy(self)  # 만든 뒤로는 바뀌지 않으므로 나누어 가져도 됩니다.

    @property
    def lengths(self) -> list[int]:
        """문장마다의 토큰 수."""
        return self.input_ids.lengths

    def __len__(self) -> int:
        return len(self.input_ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        ids = self.input_ids[index]
        return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": int(self._labels[index])}


def data_collator(features: list[dict[str, Any]], pad_token_id: int = 0) -> dict[str, torch.Tensor]:
    """항목들을 가장 긴 문장에 맞추어 채우고 텐서로 묶습니다.

    Args:
        features: `ClassificationDataset`의 항목들.
        pad_token_id: 채울 토큰 번호. BERT 계열은 0입니다.

    Returns:
        `input_ids`, `attention_mask`: (배치, 길이) int64. `labels`: (배치,) int64.
    """
    width = max(len(feature["input_ids"]) for feature in features)

    def padded(name: str, fill: int) -> torch.Tensor:
        return torch.tensor([one[name] + [fill] * (width - len(one[name])) for one in features])

    return {
        "input_ids": padded("input_ids", pad_token_id),
        "attention_mask": padded("attention_mask", 0),
        "labels": torch.tensor([feature["labels"] for feature in features]),
    }
