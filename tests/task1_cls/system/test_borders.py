"""로더의 보조 프로세스로는 가중치도 말뭉치도 건너가지 않습니다."""

from __future__ import annotations

import copy
import pickle
import sys
from multiprocessing.reduction import ForkingPickler

import pytest

from course.checks.loading import load_step
from course.home import ROOT
from nlpbook.classification.datasets import ClassificationDataset
from nlpbook.classification.nsmc import NsmcCorpus
from nlpbook.loaders import evaluation_loader, training_loader
from tests.task1_cls.checks import support

FOLDER = ROOT / "solutions" / "task1-cls"
if not FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)


@pytest.fixture
def model():
    return load_step(FOLDER, "step2_data_processing").NSMCModel(support.tiny_config())


def test_the_loaders_carry_neither_weights_nor_texts(model):
    weights = sum(one.nbytes for one in model.parameters())
    for made in (training_loader(model.train_dataloader(), seed=7), evaluation_loader(model.val_dataloader())):
        packed = pickle.dumps(made.collate_fn)
        assert len(packed) < weights / 3
        assert list(pickle.loads(packed).__self__.parameters()) == []
        assert len(ForkingPickler.dumps(made.dataset)) < 2_000


def test_what_crosses_does_not_grow_with_the_corpus(model):
    def crossing(count: int) -> int:
        config = support.tiny_config()
        config.data.max_train_samples = count
        return len(ForkingPickler.dumps(ClassificationDataset(config, NsmcCorpus(config), model.lm_tokenizer)))

    assert abs(crossing(22) - crossing(2)) < 50


def test_a_copy_inside_the_process_keeps_its_texts(model):
    dataset = model.train_dataloader().dataset
    for twin in (copy.copy(dataset), copy.deepcopy(dataset)):
        assert twin.examples == dataset.examples
        assert [*twin] == [*dataset]


@pytest.mark.slow
def test_workers_that_start_afresh_give_the_same_batches(model):
    loader = evaluation_loader(model.val_dataloader())
    expected = [batch["input_ids"].tolist() for batch in loader]
    sys.path.insert(0, str(FOLDER))  # 새 프로세스는 이 프로세스의 sys.path를 물려받습니다.
    try:
        model.config.hardware.workers = 1
        afresh = evaluation_loader(model.val_dataloader())
        afresh.multiprocessing_context = "spawn"
        assert [batch["input_ids"].tolist() for batch in afresh] == expected
    finally:
        sys.path.remove(str(FOLDER))
