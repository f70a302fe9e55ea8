"""한국어 ROUGE의 자(토크나이저)들을 실제 대화로 견줍니다: 어느 자가 요약을 쓴 모델을 알아보는가.

사람이 쓴 요약과 모델이 쓴 요약의 CSV를 받아, 자마다 늘 같은 문장, 앞의 두 마디(lead-2), 모델의 점수를 적습니다. 좋은
자라면 이 차례로 높아야 합니다. 대화를 1,000번 다시 뽑아(bootstrap) 차례가 맞은 비율도 적습니다.

    python benchmarks/sum_rouge.py --references <dev.csv> --predictions <predictions.csv>

`references`에는 fname, dialogue, summary가, `predictions`에는 fname, summary가 있어야 합니다. 250대화에 2분쯤 걸립니다.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "solutions" / "task2-summarization")]

import step3_rouge_metrics as lesson  # noqa: E402

from console_text import make_printable  # noqa: E402
from nlpbook.summarization.baselines import CONSTANT, lead  # noqa: E402
from nlpbook.summarization.rouge_tokenizers import rouge_tokenizer  # noqa: E402

SAMPLES = 1_000


def read(path: Path, *columns: str) -> dict[str, tuple[str, ...]]:
    """fname → 그 줄의 열들."""
    import pandas

    table = pandas.read_csv(path, dtype=str, encoding="utf-8-sig", keep_default_na=False)
    return {row["fname"]: tuple(row[name] for name in columns) for _, row in table.iterrows()}


def scores(predictions: Sequence[str], references: Sequence[str], tokenizer: Any) -> np.ndarray:
    """짝마다의 F1, (짝 수, 3)."""
    scorer = RougeScorer(list(lesson.KEYS), tokenizer=tokenizer)
    pairs = [scorer.score(reference, text) for text, reference in zip(predictions, references, strict=True)]
    return np.array([[pair[key].fmeasure for key in lesson.KEYS] for pair in pairs])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    args = parser.parse_args()

    written = read(args.references, "dialogue", "summary")
    predicted = read(args.predictions, "summary")
    names = [name for name in written if name in predicted]
    references = [written[name][1] for name in names]
    rivals = {
        "늘 같은 문장": [CONSTANT] * len(names),
        "lead-2": [lead(written[name][0]) for name in names],
        "모델": [predicted[name][0] for name in names],
    }
    rulers: dict[str, Any] = {"영어의 것": None, "word": rouge_tokenizer("word"), "char": rouge_tokenizer("char")}
    if find_spec("kiwipiepy"):
        rulers["morpheme"] = rouge_tokenizer("morpheme")
    rulers["syllable"] = lesson.SyllableTokenizer()
    drawn = np.random.default_rng(0).integers(0, len(names), (SAMPLES, len(names)))
    print(f"대화 {len(names)}개, 다시 뽑기 {SAMPLES:,}번 (R1 / R2 / RL)")
    print(f"{'자':<10}" + "".join(f"{name:^26}" for name in rivals) + "차례가 맞은 비율")
    for name, ruler in rulers.items():
        each = {rival: scores(texts, references, ruler) for rival, texts in rivals.items()}
        means = {rival: values.mean(axis=0) for rival, values in each.items()}
        constant, opening, model = (values.sum(axis=1)[drawn].mean(axis=1) for values in each.values())
        ordered = ((constant < opening) & (opening < model)).mean()
        cells = "".join(f"{' / '.join(f'{value:.3f}' for value in row):^26}" for row in means.values())
        print(f"{name:<10}{cells}{ordered:.1%}", flush=True)


if __name__ == "__main__":
    make_printable()
    main()
