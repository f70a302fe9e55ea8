"""감성분석(문서 분류)에 쓰는 것들을 한 이름으로: 노트북에서는 여기만 부르면 됩니다.

from nlpbook.classification import ClassificationTrainArguments, NsmcCorpus, ClassificationDataset
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # 편집기가 늦게 읽는 이름의 형을 알게 합니다.
    from nlpbook.classification.config import ClassificationTrainArguments
    from nlpbook.classification.datasets import ClassificationDataset, data_collator
    from nlpbook.classification.nsmc import ClassificationExample, NsmcCorpus

HOMES = {
    "ClassificationDataset": "datasets",
    "ClassificationExample": "nsmc",
    "ClassificationTrainArguments": "config",
    "NsmcCorpus": "nsmc",
    "data_collator": "datasets",
}

__all__ = [
    "ClassificationDataset",
    "ClassificationExample",
    "ClassificationTrainArguments",
    "NsmcCorpus",
    "data_collator",
]


def __getattr__(name: str) -> Any:
    """torch를 쓰지 않는 명령(`--help` 등)이 torch를 기다리지 않도록, 찾을 때 읽습니다."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
