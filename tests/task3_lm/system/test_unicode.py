"""풀어 적은(NFD) 글도 모아 쓴 것과 똑같이 배우고 이어 씁니다."""

from __future__ import annotations

import sys
import unicodedata
from types import SimpleNamespace

import pytest
import torch

from course.checks.loading import load_step
from nlpbook.language.sampling import Sampling
from nlpbook.language.tokens import write_tokens
from tests.task3_lm.checks import support
from tests.task3_lm.system.running import FOLDER, STEP1, STEP2, STEP5

if not FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)
STORY = "".join(f"{number}번째 {sentence}\n" for number, sentence in enumerate(support.SENTENCES * 3))


@pytest.fixture(scope="module")
def steps() -> SimpleNamespace:
    step5 = load_step(FOLDER, STEP5.stem)
    return SimpleNamespace(step1=sys.modules[STEP1.stem], step2=sys.modules[STEP2.stem], step5=step5)


def test_a_tokenizer_learns_the_same_from_decomposed_texts(steps):
    texts = STORY.splitlines(keepends=True)
    composed = steps.step1.train_tokenizer(texts, 320).tokenizer
    spread = steps.step1.train_tokenizer([unicodedata.normalize("NFD", one) for one in texts], 320).tokenizer
    assert spread.get_vocab() == composed.get_vocab()


def test_a_decomposed_file_becomes_the_same_tokens(steps, tmp_path):
    written = []
    for form in ("NFC", "NFD"):
        path = tmp_path / f"{form}.txt"
        path.write_text(unicodedata.normalize(form, STORY), encoding="utf-8")
        corpus = steps.step1.TextCorpus(path)
        tokens = write_tokens(support.tokenizer(), corpus.part(0, corpus.num_bytes), tmp_path / f"{form}.bin")
        written.append((tokens.num_bytes, tokens.tokens.tolist()))
    assert written[0] == written[1]


def test_a_decomposed_prompt_is_continued_like_the_composed_one(steps):
    torch.manual_seed(3)
    tokenizer = support.tokenizer()
    model = steps.step2.GPT(support.tiny_config(max_seq_len=64), len(tokenizer), tokenizer).eval()
    prompt, sampling = "작은 여우가", Sampling(max_tokens=8, seed=5)
    spread = unicodedata.normalize("NFD", prompt)
    answers = steps.step5.generate_texts(model, [spread, prompt], sampling)
    assert answers[0].startswith(prompt)
    assert steps.step5.generate_texts(model, [spread], sampling) == steps.step5.generate_texts(
        model, [prompt], sampling
    )
