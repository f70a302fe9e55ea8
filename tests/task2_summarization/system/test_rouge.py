"""3단계의 ROUGE: 정의가 같은 곳에서는 다른 구현과 같고, 어떤 글에도 멈추지 않습니다."""

from __future__ import annotations

import random

import pytest
import torch
from korouge_score.rouge_scorer import RougeScorer as KoreanScorer
from rouge import Rouge

from course.checks.loading import load_step
from course.home import ROOT
from nlpbook.errors import UserError
from nlpbook.summarization.baselines import CONSTANT, lead
from nlpbook.summarization.dialogues import read_dialogues

FOLDER = ROOT / "solutions" / "task2-summarization"
if not FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
KEYS = ("rouge1", "rouge2", "rougeL")


@pytest.fixture(scope="module")
def lesson():
    return load_step(FOLDER, "step3_rouge_metrics")


@pytest.fixture(scope="module")
def pairs():
    """띄어 쓴 영어 낱말들의 짝. 낱말은 거듭 나오지 않습니다: `rouge`는 낱말의 집합을 셉니다."""
    dice = random.Random(5)
    return [(dice.sample(WORDS, dice.randint(3, 8)), dice.sample(WORDS, dice.randint(3, 8))) for _ in range(60)]


class Spaces:
    name = "spaces"

    def tokenize(self, text):
        return text.split()


def test_the_korean_scorer_agrees_on_ascii_words(lesson, pairs):
    scorer = KoreanScorer(list(KEYS), use_stemmer=False)
    for prediction, reference in pairs:
        texts = " ".join(prediction), " ".join(reference)
        got = lesson.compute_rouge([texts[0]], [texts[1]], Spaces())
        want = scorer.score(texts[1], texts[0])
        assert [got[key] for key in KEYS] == pytest.approx([want[key].fmeasure for key in KEYS], abs=1e-6)


def test_the_rouge_package_agrees_on_single_sentences_of_distinct_words(lesson, pairs):
    for prediction, reference in pairs:
        texts = " ".join(prediction), " ".join(reference)
        got = lesson.compute_rouge([texts[0]], [texts[1]], Spaces())
        want = Rouge().get_scores(texts[0], texts[1])[0]
        assert [got[key] for key in KEYS] == pytest.approx(
            [want[k]["f"] for k in ("rouge-1", "rouge-2", "rouge-l")], abs=1e-6
        )


def test_the_mean_is_over_pairs_and_not_over_joined_texts(lesson):
    got = lesson.compute_rouge(["가 나 다", "라"], ["가 나 다", "마 바 사"])
    assert got["rouge1"] == pytest.approx(0.5)
    assert got["rouge_sum"] == pytest.approx(sum(got[key] for key in KEYS))
    assert got["rouge_combined_f1"] == pytest.approx(got["rouge_sum"] / 3)


@pytest.mark.parametrize("ruler", ["syllable", "word", "char"])
@pytest.mark.parametrize("text", ["#Person1#은 갑니다.", "네 네", "3시에 Tom을"])
def test_a_text_is_equal_to_itself(lesson, ruler, text):
    assert lesson.compute_rouge([text], [text], ruler)["rouge_sum"] == pytest.approx(3)


@pytest.mark.parametrize("ruler", ["syllable", "word", "char"])
@pytest.mark.parametrize("text", ["", "😀", "네", "…", "\u200b", "#Person1#"])
def test_no_text_stops_it(lesson, ruler, text):
    for prediction, reference in ((text, "네, 3시에 봅시다."), ("네, 3시에 봅시다.", text), (text, text)):
        got = lesson.compute_rouge([prediction], [reference], ruler)
        assert all(0 <= value <= 3 for value in got.values())


def test_no_pair_at_all_is_zero(lesson):
    assert set(lesson.compute_rouge([], []).values()) == {0.0}


def test_lists_of_different_lengths_are_refused(lesson):
    with pytest.raises(ValueError):
        lesson.compute_rouge(["가"], ["가", "나"])


def test_an_unknown_ruler_names_those_there(lesson):
    with pytest.raises(UserError, match="syllable"):
        lesson.compute_rouge(["가"], ["가"], "sylable")


def test_a_constant_sentence_beats_nothing_by_syllables(lesson):
    """검증 대화에서 늘 같은 문장 < 앞의 두 마디. 영어의 것으로는 늘 같은 문장이 1점을 넘습니다."""
    rows = read_dialogues(ROOT / "data" / "dialogue-sample" / "dev.csv", need_summaries=True)
    constant = lesson.compute_rouge([CONSTANT] * len(rows), rows.summaries)["rouge_sum"]
    opening = lesson.compute_rouge([lead(one) for one in rows.dialogues], rows.summaries)["rouge_sum"]
    assert constant < opening
    english = lesson.RougeScorer(list(KEYS))
    scores = [english.score(one, CONSTANT) for one in rows.summaries]
    assert sum(pair[key].fmeasure for pair in scores for key in KEYS) / len(scores) > 1


def test_ignored_ids_are_read_as_padding_in_predictions_and_in_labels(lesson):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "data" / "models" / "ko-bart-tiny")
    ids = tokenizer("네, 3시에 뵐게요!")["input_ids"]
    rows = torch.tensor([ids + [-100] * 3, [-100] * (len(ids) + 3)])
    assert lesson.decode(tokenizer, rows) == ["네, 3시에 뵐게요!", ""]
    assert rows[0, -1] == -100
