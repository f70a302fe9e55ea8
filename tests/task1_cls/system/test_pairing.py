"""평가를 긴 문장부터 읽어도 점수는 파일 순서의 것과 같고, 예측은 제 문장과 짝지어집니다."""

from __future__ import annotations

import pytest
import torch
from lightning.fabric import Fabric
from torch.utils.data import DataLoader

from nlpbook.classification.config import TestConfig
from nlpbook.classification.runs import RunFolder
from nlpbook.loaders import evaluation_loader
from tests.task1_cls.checks import support


@pytest.fixture
def step(load):
    return load(5)


@pytest.fixture
def model(load):
    return support.build(load(3))


@pytest.fixture
def fabric():
    return Fabric(accelerator="cpu", devices=1)


def test_the_order_of_reading_changes_no_score(step, model, fabric):
    longest_first = model.test_dataloader()
    in_file_order = DataLoader(longest_first.dataset, longest_first.batch_size, collate_fn=model.collate)
    lengths = longest_first.dataset.lengths
    assert list(longest_first.sampler) != sorted(longest_first.sampler)
    assert [lengths[number] for number in longest_first.sampler] == sorted(lengths, reverse=True)
    assert step.evaluate(fabric, model, longest_first)[0] == step.evaluate(fabric, model, in_file_order)[0]


def test_one_process_evaluates_in_the_order_of_the_lesson(model):
    loader = model.test_dataloader()
    assert evaluation_loader(loader).sampler.order == list(loader.sampler)


def test_predictions_and_mistakes_belong_to_their_sentences(step, model, fabric, tmp_path, monkeypatch):
    loader = evaluation_loader(model.test_dataloader())
    report, probs = step.evaluate(fabric, model, loader)
    examples = [loader.dataset.examples[number] for number in loader.sampler.order]
    want = torch.tensor([support.reference_probabilities(model, one.text) for one in examples])
    assert torch.allclose(probs, want, atol=1e-4)

    written = []
    monkeypatch.setattr(step.reports, "write_mistakes_page", lambda path, mistakes, *_: written.extend(mistakes))
    monkeypatch.setattr(step, "confusion_matrix", lambda *_: None)
    step.publish(TestConfig(), model, RunFolder(tmp_path), report, probs, loader)
    names = model.data.label_names
    rows = zip(examples, want.argmax(dim=-1).tolist(), strict=True)
    wrong = {(one.text, names[int(one.label)], names[guess]) for one, guess in rows if int(one.label) != guess}
    assert wrong
    assert {(one.text, one.label, one.predicted) for one in written} == wrong
