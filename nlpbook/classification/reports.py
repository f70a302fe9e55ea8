"""평가 결과를 사람이 읽는 모양으로: 터미널의 표, 가장 자신 있게 틀린 문장의 페이지."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from nlpbook.classification.metrics import ClassificationReport
from nlpbook.pages import write_page


@dataclass(frozen=True)
class Mistake:
    """틀린 예문 하나.

    Attributes:
        confidence: 틀린 라벨에 준 확률, 0~1.
    """

    text: str
    label: str
    predicted: str
    confidence: float


def confident_mistakes(
    texts: Sequence[str], labels: Sequence[int], probs: Any, names: Sequence[str], limit: int
) -> list[Mistake]:
    """틀린 예문을 자신 있게 틀린 것부터 `limit`개까지.

    Args:
        texts, labels: 예문과 정답 번호.
        probs: (예문, 라벨 수) 확률 텐서.
        names: 라벨의 이름.
    """
    confidence, predicted = probs.max(dim=-1)
    wrong = [i for i, label in enumerate(labels) if int(predicted[i]) != label]
    wrong.sort(key=lambda i: -float(confidence[i]))
    return [Mistake(texts[i], names[labels[i]], names[int(predicted[i])], float(confidence[i])) for i in wrong[:limit]]


def confusion_table(report: ClassificationReport, names: Sequence[str]) -> Table:
    """터미널에 보일 혼동표."""
    table = Table(title=None, show_lines=False)
    table.add_column("정답 \\ 예측")
    for name in names:
        table.add_column(name, justify="right")
    for name, row in zip(names, report.confusion, strict=True):
        table.add_row(name, *(f"{count:,}" for count in row))
    return table


def write_mistakes_page(path: Path, mistakes: Sequence[Mistake], report: ClassificationReport, subtitle: str) -> None:
    """가장 자신 있게 틀린 문장들을, 다른 파일이 필요 없는 HTML 한 장으로 씁니다.

    Args:
        subtitle: 어느 모델을 어느 데이터로 평가했는지.
    """
    wrong = report.count - sum(report.confusion[i][i] for i in range(len(report.confusion)))
    write_page(path, "reports/mistakes.html", mistakes=mistakes, report=report, wrong=wrong, subtitle=subtitle)
