"""보조 프로세스로 건너가는 메서드: 가중치는 두고 가고, 하는 일은 같습니다."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from lightning import LightningModule
from torch import nn
from torch.utils.data import DataLoader

from nlpbook.borders import without_weights


class Model(LightningModule):
    """가중치가 4 MB인 모델."""

    def __init__(self, shift: int = 3) -> None:
        super().__init__()
        self.shift = shift
        self.layer = nn.Linear(1000, 1000)
        self.register_buffer("table", torch.ones(1000))

    @without_weights
    def collate(self, items: list[int], scale: int = 1) -> torch.Tensor:
        """항목들을 텐서로."""
        return torch.tensor(items) * scale + self.shift


@pytest.fixture
def model() -> Model:
    return Model()


def test_inside_the_process_it_is_an_ordinary_method(model):
    assert model.collate([1, 2], scale=10).tolist() == [13, 23]
    assert Model.collate(model, [1]).tolist() == [4]
    assert model.collate == model.collate != Model().collate
    assert len({model.collate, model.collate}) == 1
    assert model.collate.__self__ is model
    assert (model.collate.__name__, model.collate.__doc__) == ("collate", "항목들을 텐서로.")
    model.shift = 7
    assert model.collate([1]).tolist() == [8]


def test_across_a_border_it_works_without_the_weights(model):
    packed = pickle.dumps(model.collate)
    assert len(packed) < 10_000 < 4_000_000 < len(pickle.dumps(model))
    crossed = pickle.loads(packed)
    assert crossed([1, 2], scale=10).tolist() == [13, 23]
    assert list(crossed.__self__.parameters()) == list(crossed.__self__.buffers()) == []


def test_the_model_itself_keeps_its_weights(model):
    pickle.dumps(model.collate)
    assert len(list(model.parameters())) == 2
    twin = copy.deepcopy(model)
    assert torch.equal(twin.layer.weight, model.layer.weight)
    assert twin.collate([1]).tolist() == [4]


@pytest.mark.slow
def test_a_worker_that_starts_afresh_can_use_it(model):
    loader = DataLoader(
        range(6), batch_size=3, collate_fn=model.collate, num_workers=1, multiprocessing_context="spawn"
    )
    assert [batch.tolist() for batch in loader] == [[3, 4, 5], [6, 7, 8]]
