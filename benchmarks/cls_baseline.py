"""감성분석의 정확도를 기준선과 나란히: 낱말 주머니와 로지스틱 회귀, 난수에서 시작한 모델, 사전학습한 모델.

    pip install -e ".[baseline]"                       # scikit-learn
    OMP_NUM_THREADS=1 python benchmarks/cls_baseline.py --seeds 7 17 27

모두 내장 말뭉치(nsmc-sample)의 학습 5,500개로 배우고 평가 600개로 잽니다. 구간은 첫 시드의 95 % 윌슨(Wilson)
구간입니다. 형태소의 줄은 kiwipiepy가 있을 때만 나옵니다(`pip install -e ".[morpheme]"`).
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from console_text import make_printable  # noqa: E402
from nlpbook.classification.nsmc import NsmcCorpus  # noqa: E402

STEP = ROOT / "solutions" / "task1-cls" / "step5_cli_and_serving.py"
Z = 1.959964  # 95 %


def wilson(right: int, count: int) -> tuple[float, float]:
    """비율의 95 % 윌슨 구간. Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference."""
    rate = right / count
    center = (rate + Z * Z / (2 * count)) / (1 + Z * Z / count)
    half = Z * math.sqrt(rate * (1 - rate) / count + Z * Z / (4 * count * count)) / (1 + Z * Z / count)
    return center - half, center + half


def corpus(split: str) -> tuple[list[str], list[int]]:
    """갈래의 글과 라벨."""
    examples = NsmcCorpus().get_examples(split)
    return [one.text for one in examples], [int(one.label) for one in examples]


def bag_of_words(name: str, **how) -> tuple[str, list[float], float]:
    """낱말(또는 글자 조각)을 세어 로지스틱 회귀로. 세는 법만 다릅니다."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    started = time.perf_counter()
    model = make_pipeline(CountVectorizer(lowercase=False, binary=True, **how), LogisticRegression(max_iter=1000))
    model.fit(*corpus("train"))
    texts, labels = corpus("test")
    return name, [float(model.score(texts, labels))], time.perf_counter() - started


def morphemes() -> Callable[[str], list[str]] | None:
    """글을 형태소로 나누는 함수. kiwipiepy가 없으면 None."""
    try:
        from kiwipiepy import Kiwi
    except ImportError:
        return None
    kiwi = Kiwi(num_workers=1)
    return lambda text: [f"{token.form}/{token.tag}" for token in kiwi.tokenize(text)]


def fine_tuned(name: str, seeds: list[int], *options: str) -> tuple[str, list[float], float]:
    """5단계의 train과 test. 첫 시드의 것이 먼저입니다."""
    found = []
    started = time.perf_counter()
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            run = ["--output", folder, "--job_name", "baseline", "--job_version", "0"]
            train = ["train", "--num_epochs", "3", "--seed", str(seed), *options]
            subprocess.run([sys.executable, str(STEP), *train, *run], check=True, capture_output=True)
            subprocess.run([sys.executable, str(STEP), "test", *run], check=True, capture_output=True)
            [report] = Path(folder).rglob("test.json")
            [best] = json.loads(report.read_text(encoding="utf-8"))["checkpoints"].values()
            found.append(best["accuracy"])
    return name, found, (time.perf_counter() - started) / len(seeds)


def main() -> None:
    make_printable()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7])
    asked = parser.parse_args()
    count = len(corpus("test")[0])
    rows = [
        bag_of_words("어절(빈칸으로 나눈 것)", token_pattern=r"\S+"),
        bag_of_words("글자 1~3개의 조각", analyzer="char", ngram_range=(1, 3)),
    ]
    if splitter := morphemes():
        rows.append(bag_of_words("형태소(Kiwi)", tokenizer=splitter, token_pattern=None))
    rows.append(fine_tuned("난수에서 시작한 BERT (--random_init)", asked.seeds, "--random_init"))
    rows.append(fine_tuned("사전학습한 BERT", asked.seeds))
    for name, scores, seconds in rows:
        low, high = wilson(round(scores[0] * count), count)
        each = " · ".join(f"{score:.4f}" for score in scores)
        print(f"| {name} | {each} | {low:.3f} ~ {high:.3f} | {seconds:.0f}초 |", flush=True)


if __name__ == "__main__":
    main()
