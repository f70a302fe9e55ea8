"""분류의 지표. 세는 일은 torchmetrics가 합니다."""

from __future__ import annotations

from dataclasses import dataclass

import torch


def accuracy(preds: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """맞힌 비율.

    Args:
        preds, labels: (개수,) 정수.

    Returns:
        스칼라 float32, 0~1. 예문이 없으면 0.
    """
    if preds.shape != labels.shape:
        raise ValueError(f"예측 {tuple(preds.shape)}과 라벨 {tuple(labels.shape)}의 모양이 다릅니다")
    return (preds == labels).float().mean() if preds.numel() else torch.tensor(0.0)


@dataclass(frozen=True)
class ClassificationReport:
    """평가 한 번의 결과.

    Attributes:
        count: 예문 수.
        accuracy: 맞힌 비율, 0~1.
        f1: 라벨마다의 F1을 평균한 값(macro), 0~1.
        confusion: `confusion[정답][예측]` 개수.
    """

    count: int
    accuracy: float
    f1: float
    confusion: list[list[int]]

    def to_dict(self) -> dict:
        return {"count": self.count, "accuracy": self.accuracy, "f1": self.f1, "confusion": self.confusion}


def classification_report(preds: torch.Tensor, labels: torch.Tensor, num_labels: int) -> ClassificationReport:
    """예측과 정답을 견주어 정확도, macro F1, 혼동표를 셉니다.

    Args:
        preds, labels: (개수,) 정수.
        num_labels: 라벨의 수.
    """
    # 읽는 데 몇 초가 드는 라이브러리라, 평가할 때에야 부릅니다.
    from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_f1_score

    preds = preds.cpu()
    labels = labels.cpu()
    return ClassificationReport(
        count=labels.numel(),
        accuracy=accuracy(preds, labels).item(),
        f1=multiclass_f1_score(preds, labels, num_classes=num_labels, average="macro").item(),
        confusion=multiclass_confusion_matrix(preds, labels, num_classes=num_labels).tolist(),
    )
