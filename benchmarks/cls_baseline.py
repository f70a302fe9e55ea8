"""감성분석의 정확도를 기준선과 나란히: 낱말 주머니와 로지스틱 회귀, 난수에서 시작한 모델, 사전학습한 모델.

    pip install -e ".[baseline]"                       # scikit-learn
    OMP_NUM_THREADS=1 python benchmarks/cls_baseline.py --seeds 7 17 27

모두 내장 말뭉치(nsmc-sample)의 학습 5,500개로 배우고 평가 600개로 잽니다. 구간은 첫 시드의 95 % 윌슨(Wilson)
구간이고, 아래의 짝은 같은 예문에서 견준 차이의 95 % 구간입니다. 끝의 칸은 평가 리뷰의 빈칸을 모두 지웠을 때의
정확도입니다. 형태소의 줄은 kiwipiepy가 있을 때만 나옵니다(`pip install -e ".[morpheme]"`).
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from console_text import make_printable  # noqa: E402
from nlpbook.classification.nsmc import NsmcCorpus  # noqa: E402

STEP = ROOT / "solutions" / "task1-cls" / "step5_cli_and_serving.py"
Z = 1.959964  # 95 %
Right = list[bool]  # 평가 예문마다 맞혔는지


class Judged(NamedTuple):
    """한 모델의 답: 그대로인 평가 리뷰와, 빈칸을 모두 지운 평가 리뷰에서."""

    plain: Right
    unspaced: Right


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


def judged(guess: Callable[[list[str]], list[int]]) -> Judged:
    """글들에 라벨로 답하는 함수를, 두 가지 평가 리뷰로 잽니다."""
    texts, labels = corpus("test")
    found = [guess(texts), guess([text.replace(" ", "") for text in texts])]
    return Judged(*([one == label for one, label in zip(guesses, labels, strict=True)] for guesses in found))


def bag_of_words(**how) -> list[Judged]:
    """낱말(또는 글자 조각)이 있는지만 보는 로지스틱 회귀. 무엇을 낱말로 볼지만 다릅니다."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(CountVectorizer(lowercase=False, binary=True, **how), LogisticRegression(max_iter=1000))
    model.fit(*corpus("train"))
    return [judged(lambda texts: model.predict(texts).tolist())]


def morphemes() -> Callable[[str], list[str]] | None:
    """글을 형태소로 나누는 함수. kiwipiepy가 없으면 None."""
    try:
        from kiwipiepy import Kiwi
    except ImportError:
        return None
    kiwi = Kiwi(num_workers=1)
    return lambda text: [f"{token.form}/{token.tag}" for token in kiwi.tokenize(text)]


def fine_tuned(seeds: list[int], *options: str) -> list[Judged]:
    """시드마다 5단계의 train을 하고, 남은 모델로 잽니다."""
    found = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            train = ["train", "--num_epochs", "3", "--seed", str(seed), "--output", folder, *options]
            subprocess.run([sys.executable, str(STEP), *train], check=True, capture_output=True)
            [model] = [file.parent for file in Path(folder).rglob("model/config.json")]
            found.append(judged(classifier(model)))
    return found


def classifier(folder: Path) -> Callable[[list[str]], list[int]]:
    """실행 폴더의 model/로, 글들에 라벨로 답하는 함수."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()

    @torch.no_grad()
    def guess(texts: list[str]) -> list[int]:
        found: list[int] = []
        for start in range(0, len(texts), 50):
            batch = texts[start : start + 50]
            inputs = tokenizer(batch, padding=True, truncation=True, max_length=128, return_tensors="pt")
            found += model(**inputs).logits.argmax(dim=-1).tolist()
        return found

    return guess


def main() -> None:
    make_printable()
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
        low, high = wilson(found[0].plain)
        each = " · ".join(f"{accuracy(one.plain):.4f}" for one in found)
        print(f"| {name} | {each} | {low:.3f} ~ {high:.3f} | {accuracy(found[0].unspaced):.4f} |")
    pretrained = rows["사전학습한 BERT"][0]
    for other in ("난수에서 시작한 BERT", "글자 1~3개의 조각"):
        show_difference(f"사전학습한 BERT와 {other}", pretrained.plain, rows[other][0].plain)
    for name, found in rows.items():
        show_difference(f"{name}: 그대로와 빈칸을 지운 것", found[0].plain, found[0].unspaced)


def accuracy(right: Right) -> float:
    return sum(right) / len(right)


def show_difference(what: str, one: Right, other: Right) -> None:
    mine, theirs, gap, low, high = difference(one, other)
    span = f"{100 * gap:+.1f} %p ({100 * low:+.1f} ~ {100 * high:+.1f})"
    print(f"{what}: 한쪽만 맞힌 것 {mine}개와 {theirs}개, 차이 {span}")


if __name__ == "__main__":
    main()
