"""문서 분류에 쓰는 것들을 한 이름으로: 노트북에서는 여기만 부르면 됩니다.

from nlpbook.classification import ClassificationTrainArguments, NsmcCorpus, ClassificationDataset
"""

from nlpbook.arguments import ClassificationTrainArguments
from nlpbook.datasets import ClassificationDataset, data_collator
from nlpbook.nsmc import ClassificationExample, NsmcCorpus

__all__ = [
    "ClassificationDataset",
    "ClassificationExample",
    "ClassificationTrainArguments",
    "NsmcCorpus",
    "data_collator",
]
