"""감성분석의 말뭉치: NSMC의 예문을 학습, 검증, 평가로 나누어 냅니다.

파일을 찾고 읽는 일은 `nlpbook.corpora`가 합니다.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from nlpbook.classification.config import ClassificationConfig, DataConfig, TrainConfig
from nlpbook.corpora import find_corpus, read_nsmc
from nlpbook.errors import UserError

VALID_SHARE = 0.05
VALID_SEED = 20150816  # 검증으로 떼어 내는 예문이 실행마다 같도록 못 박은 수. 학습 시드와 상관없습니다.


@dataclass(frozen=True)
class ClassificationExample:
    """예문 하나. 라벨은 `NsmcCorpus.labels` 안의 문자열입니다."""

    text: str
    label: str


class NsmcCorpus:
    """영화 리뷰와 긍정·부정 라벨.

    Args:
        config: 말뭉치가 어디 있는지(`config.data`). 생략하면 내장 말뭉치입니다.

    Attributes:
        labels: 라벨 문자열. 순서가 곧 모델의 출력 번호입니다.
        label_names: 사람에게 보일 이름.
    """

    labels = ("0", "1")
    label_names = ("부정", "긍정")

    def __init__(self, config: ClassificationConfig | None = None) -> None:
        self.config = config or TrainConfig()

    def __repr__(self) -> str:
        where = self.config.data
        return f"NsmcCorpus(name={where.name!r}, labels={self.labels})"

    @property
    def num_labels(self) -> int:
        return len(self.labels)

    def get_labels(self) -> list[str]:
        return list(self.labels)

    def get_examples(self, mode: str, config: ClassificationConfig | None = None) -> list[ClassificationExample]:
        """한 갈래의 예문 전부를 파일 순서대로 돌려줍니다.

        Args:
            mode: `"train"`, `"valid"`(또는 `"val"`), `"test"`.
            config: 이 말뭉치를 만들 때와 다른 곳을 읽으려면 줍니다.

        Raises:
            UserError: 파일이 없거나 형식이 틀렸을 때.
        """
        if mode not in ("train", "valid", "val", "test"):
            raise ValueError(f"mode는 train, valid, test 가운데 하나입니다: {mode!r}")
        data = (config or self.config).data
        if mode == "test":
            folder = find_corpus(data.home, data.name, [data.train_file, data.test_file])
            return self._read(folder / data.test_file)[: data.max_test_samples]
        limit = data.max_train_samples if mode == "train" else data.max_valid_samples
        train_file, *valid_file = training_files(data)
        if valid_file:
            return self._read(train_file if mode == "train" else valid_file[0])[:limit]
        examples = self._read(train_file)
        kept = split_for_validation(len(examples))[0 if mode == "train" else 1]
        return [examples[i] for i in kept][:limit]

    def _read(self, path: Path) -> list[ClassificationExample]:
        return [ClassificationExample(text, label) for text, label in read_nsmc(path, self.labels)]


def training_files(data: DataConfig) -> list[Path]:
    """학습할 때 읽는 파일들: 학습 파일과, 따로 있으면 검증 파일.

    Raises:
        UserError: 말뭉치를 찾지 못했을 때.
    """
    folder = find_corpus(data.home, data.name, [data.train_file, data.test_file])
    usual = "ratings_valid.txt" if (folder / "ratings_valid.txt").is_file() else None
    return [folder / name for name in (data.train_file, data.valid_file or usual) if name]


def split_for_validation(count: int, share: float = VALID_SHARE) -> tuple[list[int], list[int]]:
    """검증 파일이 없을 때 학습 예문을 (학습, 검증) 번호로 나눕니다. 언제나 같은 나눔이고, 순서는 파일의 순서입니다.

    Raises:
        UserError: 둘로 나눌 만큼 예문이 없을 때.
    """
    if count < 2:
        raise UserError(
            f"학습 예문이 {count}개뿐이라 검증용을 떼어 낼 수 없습니다. --valid_file을 주거나 예문을 더해 주세요."
        )
    order = torch.randperm(count, generator=torch.Generator().manual_seed(VALID_SEED)).tolist()
    cut = max(1, round(count * share))
    return sorted(order[cut:]), sorted(order[:cut])
