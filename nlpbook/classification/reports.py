"""평가 결과를 사람이 읽는 모양으로: 터미널의 표, 가장 자신 있게 틀린 문장의 페이지."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from nlpbook.classification.metrics import ClassificationReport
from nlpbook.paths import write_text


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
    rows = "\n".join(
        f"<tr><td class=num>{number}</td><td>{html.escape(one.text) or '<i>(빈 리뷰)</i>'}</td>"
        f"<td class='{_tone(one.label)}'>{html.escape(one.label)}</td>"
        f"<td class='{_tone(one.predicted)}'>{html.escape(one.predicted)}</td>"
        f"<td class=num>{one.confidence:.1%}<div class=bar><i style='width:{one.confidence:.0%}'></i></div></td></tr>"
        for number, one in enumerate(mistakes, start=1)
    )
    wrong = report.count - sum(report.confusion[i][i] for i in range(len(report.confusion)))
    write_text(
        path,
        _PAGE.format(
            subtitle=html.escape(subtitle),
            accuracy=f"{report.accuracy:.2%}",
            f1=f"{report.f1:.4f}",
            wrong=f"{wrong:,}",
            count=f"{report.count:,}",
            shown=f"{len(mistakes):,}",
            rows=rows or f"<tr><td colspan=5>{'보여 줄' if wrong else '틀린'} 문장이 없습니다.</td></tr>",
        ),
    )


def _tone(name: str) -> str:
    return "pos" if name == "긍정" else "neg"


_PAGE = """<!doctype html>
<html lang="ko">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>가장 자신 있게 틀린 문장</title>
<style>
  :root {{ color-scheme: light dark; --line: color-mix(in srgb, currentColor 15%, transparent); }}
  body {{ font: 16px/1.6 system-ui, "Apple SD Gothic Neo", "Malgun Gothic", "Noto Sans KR", sans-serif;
         max-width: 60rem; margin: 2.5rem auto; padding: 0 1rem; }}
  h1 {{ font-size: 1.6rem; margin: 0 0 .25rem; }}
  .sub {{ opacity: .7; margin: 0 0 1.5rem; overflow-wrap: anywhere; }}
  .cards {{ display: flex; gap: 1rem; flex-wrap: wrap; margin-bottom: 1.5rem; }}
  .card {{ border: 1px solid var(--line); border-radius: .75rem; padding: .75rem 1.25rem; min-width: 8rem; }}
  .card b {{ display: block; font-size: 1.5rem; }}
  table {{ border-collapse: collapse; width: 100%; }}
  th, td {{ text-align: left; padding: .55rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }}
  th {{ font-size: .85rem; opacity: .7; white-space: nowrap; }}
  td:nth-child(n+3) {{ white-space: nowrap; }}
  .num {{ font-variant-numeric: tabular-nums; }}
  .pos {{ color: #2563eb; }} .neg {{ color: #dc2626; }}
  .bar {{ height: .3rem; width: 6rem; background: var(--line); border-radius: 1rem; overflow: hidden; }}
  .bar i {{ display: block; height: 100%; background: #f59e0b; }}
</style>
</head>
<body>
<h1>가장 자신 있게 틀린 문장</h1>
<p class="sub">{subtitle}</p>
<div class="cards">
  <div class="card">정확도<b>{accuracy}</b></div>
  <div class="card">F1 (macro)<b>{f1}</b></div>
  <div class="card">틀린 문장<b>{wrong}</b>전체 {count}개 가운데</div>
</div>
<p>모델이 틀린 답에 준 확률이 높은 순서로 {shown}개입니다. 무엇이 모델을 속였나요? 반어인가요, 부정 표현인가요,
아니면 사람도 헷갈릴 라벨인가요?</p>
<table>
<thead><tr><th>#</th><th>리뷰</th><th>정답</th><th>예측</th><th>확신</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
"""
