"""평가의 점수를 사람이 읽는 표로."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from nlpbook.paths import portable, write_json
from nlpbook.runs import RunFolder
from nlpbook.summarization.config import SummarizationConfig
from nlpbook.summarization.dialogues import Dialogues

KEYS = ("rouge1", "rouge2", "rougeL", "rouge_sum")


def scores_table(rows: Mapping[str, Mapping[str, float]]) -> Table:
    """이름마다 한 줄의 ROUGE. `rouge_sum`은 셋의 합(0~3)입니다."""
    table = Table(title=None, show_lines=False)
    table.add_column("요약")
    for key in KEYS:
        table.add_column(key, justify="right")
    for name, scores in rows.items():
        table.add_row(name, *(f"{scores[key]:.4f}" for key in KEYS))
    return table


def write_test(
    run: RunFolder, config: SummarizationConfig, rows: Dialogues, scores: Mapping[str, Mapping[str, float]]
) -> None:
    """평가의 점수를 실행 폴더의 test.json에. 무엇으로 재었는지(파일, 나누는 법, 생성 설정)도 적습니다."""
    facts = {
        "data": {"file": str(Path(config.data.test).resolve()), "dialogues": len(rows)},
        "rouge_tokenizer": "syllable",
        "generation": config.generation.to_dict(),
        "scores": {name: dict(one) for name, one in scores.items()},
    }
    write_json(run.path / "test.json", portable(facts, run.path))


def quantization_table(rows: Sequence[tuple[str, int, float, float]]) -> Table:
    """양자화의 앞뒤: (이름, 바이트, 초, rouge_sum)들."""
    table = Table(title=None, show_lines=False)
    for title in ("가중치", "크기(MB)", "시간(초)", "rouge_sum"):
        table.add_column(title, justify="left" if title == "가중치" else "right")
    for name, size, seconds, score in rows:
        table.add_row(name, f"{size / 1e6:.1f}", f"{seconds:.1f}", f"{score:.4f}")
    return table
