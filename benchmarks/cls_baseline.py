"""감성분석의 정확도를 기준선과 나란히: 낱말 주머니와 로지스틱 회귀, 난수에서 시작한 모델, 사전학습한 모델.

    pip install -e ".[baseline]"                       # scikit-learn
    OMP_NUM_THREADS=1 python benchmarks/cls_baseline.py --seeds 7 17 27

모두 내장 말뭉치(nsmc-sample)의 학습 5,500개로 배우고 평가 600개로 잽니다. 구간은 첫 시드의 95 % 윌슨(Wilson)
구간이고, 아래의 짝은 같은 예문에서 견준 차이의 95 % 구간입니다. 형태소의 줄은 kiwipiepy가 있을 때만 나옵니다
(`pip install -e ".[morpheme]"`).
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from console_text import make_printable  # noqa: E402
from nlpbook.classification.nsmc import NsmcCorpus  # noqa: E402

STEP = ROOT / "solutions" / "task1-cls" / "step5_cli_and_serving.py"
Z = 1.959964  # 95 %
Right = list[bool]  # 평가 예문마다 맞혔는지


def wilson(right: Right) -> tuple[float, float]:
    """정확도의 95 % 윌슨 구간. Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference."""
    count = len(right)
    rate = sum(right) / count
    center = (rate + Z * Z / (2 * count)) / (1 + Z * Z / count)
    half = Z * math.sqrt(rate * (1 - rate) / count + Z * Z / (4 * count * count)) / (1 + Z * Z / count)
    return center - half, center + half


def difference(one: Right, other: Right) -> tuple[int, int, float, float, float]:
    """같은 예문에서 견준 두 정확도: 한쪽만 맞힌 수 둘, 차이, 차이의 95 % 구간(정규 근사)."""
    only_one = sum(a and not b for a, b in zip(one, other, strict=True))
    only_other = sum(b and not a for a, b in zip(one, other, strict=True))
    gap = (only_one - only_other) / len(one)
    error = math.sqrt(only_one + only_other - gap * (only_one - only_other)) / len(one)
    return only_one, only_other, gap, gap - Z * error, gap + Z * error


def corpus(split: str) -> tuple[list[str], list[int]]:
    """갈래의 글과 라벨."""
    examples = NsmcCorpus().get_examples(split)
    return [one.text for one in examples], [int(one.label) for one in examples]


def bag_of_words(**how) -> list[Right]:
    """낱말(또는 글자 조각)이 있는지만 보는 로지스틱 회귀. 무엇을 낱말로 볼지만 다릅니다."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(CountVectorizer(lowercase=False, binary=True, **how), LogisticRegression(max_iter=1000))
    model.fit(*corpus("train"))
    texts, labels = corpus("test")
    return [[guess == label for guess, label in zip(model.predict(texts).tolist(), labels, strict=True)]]


def morphemes() -> Callable[[str], list[str]] | None:
    """글을 형태소로 나누는 함수. kiwipiepy가 없으면 None."""
    try:
        from kiwipiepy import Kiwi
    except ImportError:
        return None
    kiwi = Kiwi(num_workers=1)
    return lambda text: [f"{token.form}/{token.tag}" for token in kiwi.tokenize(text)]


def fine_tuned(seeds: list[int], *options: str) -> list[Right]:
    """시드마다 5단계의 train을 하고, 남은 모델로 잽니다."""
    found = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            train = ["train", "--num_epochs", "3", "--seed", str(seed), "--output", folder, *options]
            subprocess.run([sys.executable, str(STEP), *train], check=True, capture_output=True)
            [model] = [file.parent for file in Path(folder).rglob("model/config.json")]
            found.append(answers(model))
    return found


def answers(folder: Path) -> Right:
    """실행 폴더의 model/이 평가 예문마다 맞혔는지."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    texts, labels = corpus("test")
    guesses: list[int] = []
    with torch.no_grad():
        for start in range(0, len(texts), 50):
            batch = texts[start : start + 50]
            inputs = tokenizer(batch, padding=True, truncation=True, max_length=128, return_tensors="pt")
            guesses += model(**inputs).logits.argmax(dim=-1).tolist()
    return [guess == label for guess, label in zip(guesses, labels, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7])
    seeds = parser.parse_args().seeds
    rows = {
        "어절": bag_of_words(token_pattern=r"\S+"),
        "글자 1~3개의 조각": bag_of_words(analyzer="char", ngram_range=(1, 3)),
    }
    if splitter := morphemes():
        rows["형태소(Kiwi)"] = bag_of_words(tokenizer=splitter, token_pattern=None)
    rows["난수에서 시작한 BERT"] = fine_tuned(seeds, "--random_init")
    rows["사전학습한 BERT"] = fine_tuned(seeds)
    for name, found in rows.items():
        low, high = wilson(found[0])
        each = " · ".join(f"{sum(right) / len(right):.4f}" for right in found)
        print(f"| {name} | {each} | {low:.3f} ~ {high:.3f} |")
    for other in ("난수에서 시작한 BERT", "글자 1~3개의 조각"):
        mine, theirs, gap, low, high = difference(rows["사전학습한 BERT"][0], rows[other][0])
        print(
            f"사전학습한 BERT와 {other}: 한쪽만 맞힌 것 {mine}개와 {theirs}개, "
            f"차이 {100 * gap:+.1f} %p ({100 * low:+.1f} ~ {100 * high:+.1f})"
        )


if __name__ == "__main__":
    make_printable()
    main()
