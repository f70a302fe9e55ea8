"""6단계의 해답을 정말로 내보내 봅니다. 판정에 쓰는 빠른 검사(checks/step6)가 진짜와 같은 말을 하는지도 봅니다."""

from __future__ import annotations

import json
import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from course.book.regions import splice
from course.book.tables import Answers
from course.book.tasks import Task
from course.checks.loading import load_step
from course.home import ROOT, Home
from nlpbook.errors import UserError
from nlpbook.language.metrics import window_scores
from nlpbook.language.onnx_models import OnnxModel
from tests.task3_lm.checks import support
from tests.task3_lm.checks.step6.common import Positions, scattered

TASK, LENGTH = Task(Home(ROOT), "task3-lm"), 16
ANSWERS = Answers.load(TASK)
SHAPES = ((1, 1), (2, 8), (3, 5), (5, LENGTH))  # 예와 같은 것은 하나뿐입니다.
RIGHT = [one for one in ANSWERS.also_right if one.todo == "6-3"]
ONE_SHAPE = ("static", "length-fixed", "batch-fixed")
REFUSED = ("no-such-axis", "same-name", "unknown-input", "axes-without-input", "fixed-sizes")
NOT_A_CALL = ("no-example", "no-model", "old-exporter")
WRONG = [one for one in ANSWERS.mistakes if one.todo == "6-3" and one.symptom in (*ONE_SHAPE, *REFUSED, *NOT_A_CALL)]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TASK.solution.is_dir(), reason="해답이 없는 저장소입니다"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def step():
    return load_step(TASK.solution, TASK.step(6).module)


@pytest.fixture(scope="module")
def model(step):
    tokenizer = support.tokenizer()
    config = support.tiny_config(d_embed=32, num_layers=1, max_seq_len=LENGTH, dropout=0.1)
    torch.manual_seed(0)
    made = step.GPT(config, len(tokenizer), tokenizer).eval()
    with torch.no_grad():
        for one in made.parameters():
            one.mul_(4)  # 로짓이 고르지 않도록
    return made


@pytest.fixture(scope="module")
def onnx_file(step, model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    step.to_onnx(model, path)
    return path


def some_ids(shape: tuple[int, int], vocab_size: int) -> torch.Tensor:
    return torch.randint(vocab_size, shape, generator=torch.Generator().manual_seed(1))


def says_the_same(path: Path, model: torch.nn.Module, vocab_size: int) -> None:
    exported = OnnxModel(path)
    assert [one.name for one in exported.session.get_inputs()] == ["ids"]
    assert [one.name for one in exported.session.get_outputs()] == ["logits"]
    for shape in SHAPES:
        ids = some_ids(shape, vocab_size)
        with torch.no_grad():
            torch.testing.assert_close(exported(ids), model(ids), atol=1e-4, rtol=0)


def with_export(code: str, folder: Path):
    """6-3의 자리를 `code`로 바꾼 6단계."""
    for one in TASK.steps:
        shutil.copy(TASK.solution / one.file_name, folder)
    file = folder / TASK.step(6).file_name
    file.write_text(splice(file.read_text(encoding="utf-8"), "6-3", code), encoding="utf-8")
    return load_step(folder, TASK.step(6).module)


def test_an_exported_folder_reads_decomposed_text_like_composed(model, tmp_path):
    from transformers import AutoTokenizer

    model.save_hugging_face(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    spread = unicodedata.normalize("NFD", "작은 여우가 살았습니다")
    assert tokenizer(spread)["input_ids"] == tokenizer("작은 여우가 살았습니다")["input_ids"]


def test_onnx_says_the_same_at_every_batch_and_length(onnx_file, model):
    says_the_same(onnx_file, model, model.vocab_size)


@pytest.mark.parametrize("answer", RIGHT, ids=lambda one: one.name)
def test_every_other_right_answer_really_exports(answer, model, tmp_path):
    with_export(answer.code, tmp_path).to_onnx(model, tmp_path / "model.onnx")
    says_the_same(tmp_path / "model.onnx", model, model.vocab_size)


@pytest.mark.parametrize("mistake", WRONG, ids=lambda one: one.symptom)
def test_every_mistake_really_fails(mistake, tmp_path):
    model, path = scattered(Positions(), 7), tmp_path / "model.onnx"
    step = with_export(mistake.code, tmp_path)
    if mistake.symptom not in ONE_SHAPE:
        with pytest.raises(Exception):  # noqa: B017 - PyTorch는 저마다 다른 예외를 냅니다.
            step.to_onnx(model, path)
        return
    step.to_onnx(model, path)
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        says_the_same(path, model, 20)


def test_int8_is_smaller_and_nearly_as_good(step, model, onnx_file, tmp_path):
    small = tmp_path / "model.int8.onnx"
    step.quantize(onnx_file, small)
    assert small.stat().st_size < 0.6 * onnx_file.stat().st_size
    ids = some_ids((4, LENGTH), model.vocab_size)
    with torch.no_grad():
        targets = model(ids).argmax(-1)  # 모델이 맞히는 글에서는, 조금만 나빠져도 손실이 달라집니다.
        before, after = (window_scores(one(ids), targets)[:, 0].mean() for one in (model, OnnxModel(small)))
    assert after.exp() < 1.05 * before.exp()


@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
def test_hugging_face_reads_what_we_save_and_we_read_it_back(step, model, activation, tmp_path):
    from transformers import AutoTokenizer, GPT2LMHeadModel

    weights = model.state_dict()
    model = step.GPT(replace(model.config, activation=activation), model.vocab_size, model.tokenizer).eval()
    model.load_state_dict(weights)
    model.save_hugging_face(tmp_path)
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    back = step.GPT.from_pretrained(str(tmp_path))
    ids = some_ids((2, LENGTH), model.vocab_size)
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, model(ids), atol=1e-5, rtol=0)
        torch.testing.assert_close(back(ids), model(ids), atol=0, rtol=0)
    assert back.lm_head.weight is back.token_embedding.weight
    text = support.SENTENCES[0]
    assert AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"] == model.tokenizer.encode(text)
    assert back.tokenizer.encode(text) == model.tokenizer.encode(text)
    assert back.tokenizer.end_id == model.tokenizer.end_id


@pytest.mark.parametrize(
    "change", [{"tie_word_embeddings": False}, {"activation_function": "relu"}, {"scale_attn_weights": False}]
)
def test_a_different_shape_is_refused(step, model, change, tmp_path):
    model.save_hugging_face(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    with pytest.raises(UserError, match="같은 구조"):
        step.GPT.from_pretrained(str(tmp_path))
