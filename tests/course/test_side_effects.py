"""부작용을 보는 낱말들: 그대로면 말이 없고, 달라지면 무엇이 달라졌는지 어느 TODO에나 있는 말로 합니다."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from course.book.tables import COMMON
from course.checks.side_effects import no_side_effects, on_one_device
from course.checks.words import CheckFailed


class Config:
    def __init__(self) -> None:
        self.rate = 0.1

    def to_dict(self):
        return {"learning": {"rate": self.rate, "epochs": 3}}


@pytest.fixture
def model():
    return nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))


@pytest.fixture
def batch():
    return {"ids": torch.tensor([[1.0, float("nan"), 2.0]]), "texts": ["가", "나"]}


def told(change, **kept):
    """블록에서 `change`를 했을 때 들은 말."""
    with pytest.raises(CheckFailed) as caught, no_side_effects(**kept):
        change()
    failure = caught.value
    name, says = COMMON[failure.symptom]
    assert name
    assert "{" not in says.format(**failure.values)
    return failure


def test_what_stays_the_same_is_not_mentioned(model, batch):
    with no_side_effects(
        inputs=batch, settings=Config(), weights=model, modes=model, gradients=model, random_state=True
    ):
        batch["ids"] = batch["ids"].clone()  # 같은 값의 새것
        with torch.no_grad():
            model[0](torch.ones(1, 3))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda batch: batch["ids"].add_(1), "ids"),
        (lambda batch: batch.pop("texts"), "texts"),
        (lambda batch: batch["texts"].append("다"), "texts"),
        (lambda batch: batch.update(ids=batch["ids"].double()), "ids"),
        (lambda batch: batch.update(mask=torch.ones(1)), "mask"),
        (lambda batch: batch.update({f"x{i}": i for i in range(4)}), "x0, x1, x2 등 4개"),
    ],
)
def test_changed_input_is_named(batch, change, names):
    failure = told(lambda: change(batch), inputs=batch)
    assert (failure.symptom, failure.values["name"]) == ("inputs-changed", names)


def test_changed_setting_is_named_as_the_student_writes_it():
    config = Config()
    failure = told(lambda: setattr(config, "rate", 0.2), settings=config)
    assert (failure.symptom, failure.values["name"]) == ("settings-changed", "config.learning.rate")
    assert (failure.expected, failure.got) == ("0.1000", "0.2000")


def test_weights_of_another_dtype_are_noticed(model):
    failure = told(lambda: model.half(), weights=model)
    assert (failure.symptom, failure.expected, failure.got) == ("weights-cast", "float32", "float16")


def test_changed_weight_is_noticed_even_where_the_value_stays(model):
    with torch.no_grad():
        failure = told(lambda: model[0].weight.copy_(model[0].weight.clone()), weights=model)
    assert failure.symptom == "weights-changed"


@pytest.mark.parametrize(("before", "symptom"), [(True, "eval-mode"), (False, "train-mode")])
def test_changed_mode_of_any_part_is_told_with_its_direction(model, before, symptom):
    model.train(before)
    assert told(lambda: model[1].train(not before), modes=model).symptom == symptom


def test_gradients_must_neither_appear_nor_vanish(model):
    assert told(lambda: model[0](torch.ones(1, 3)).sum().backward(), gradients=model).symptom == "backward-inside"
    assert told(model.zero_grad, gradients=model).symptom == "grads-cleared"
    weight = model[0].weight
    weight.grad = torch.ones_like(weight)
    assert told(lambda: weight.grad.add_(1), gradients=[weight]).symptom == "backward-inside"


@pytest.mark.parametrize("draw", [random.random, lambda: torch.rand(1)])
def test_used_randomness_is_noticed(draw):
    assert told(draw, random_state=True).symptom == "random-used"


def test_first_of_several_is_told_and_an_error_goes_first(model, batch):
    def change():
        model.eval()
        batch.clear()

    model.train()
    assert told(change, modes=model, inputs=batch).symptom == "inputs-changed"
    with pytest.raises(ZeroDivisionError), no_side_effects(inputs=batch):
        batch["new"] = 1 / 0


IDS = torch.tensor([[1, 2]])


def seen(act):
    """`act`가 돌려준 것까지 보고 말한 것. 말이 없으면 None입니다."""
    try:
        with on_one_device("ids와 같은 장치") as devices:
            got = act()
        devices.require_moved(got)
    except CheckFailed as failure:
        return failure.symptom
    return None


@pytest.mark.parametrize(
    "act",
    [
        lambda: IDS + torch.arange(2),
        lambda: IDS + torch.arange(2, device="cpu"),
        lambda: IDS + torch.arange(3)[:2],
        lambda: torch.cat([torch.zeros(1, 1, dtype=torch.int64), IDS], dim=1),
        lambda: torch.full(IDS.shape, 7),
    ],
)
def test_tensor_made_without_a_device_may_not_meet_the_models(act):
    assert seen(act) == "other-device"


@pytest.mark.parametrize("act", [lambda: np.where(IDS > 1, IDS, 0), lambda: IDS.numpy()])
def test_tensor_that_was_not_moved_may_not_become_an_array(act):
    assert seen(act) == "numpy-on-device"


@pytest.mark.parametrize(
    "act",
    [
        lambda: nn.Embedding(8, 2)(torch.arange(2, device=IDS.device)) + 1,
        lambda: torch.arange(2).to(IDS.device) + IDS,
        lambda: torch.cat([IDS.new_zeros(1, 1), IDS], dim=1) + torch.tensor(3),
        lambda: (IDS.clone().detach().cpu() + 1).numpy(),
        lambda: IDS.clone().to("cpu").tolist(),
        lambda: IDS[0][torch.arange(2)] + IDS,
    ],
)
def test_what_runs_on_any_device_is_not_told(act):
    assert seen(act) is None


def test_a_device_object_nailed_to_the_cpu_is_noticed_where_only_tensors_know():
    ids = torch.tensor([[1, 2]])
    with on_one_device("ids와 같은 장치", only_tensors_know=True):
        ids + torch.arange(2, device=ids.device) + torch.arange(2, device=str(ids.device))
    with on_one_device("ids와 같은 장치"):
        ids + torch.arange(2, device=torch.device("cpu"))
    with pytest.raises(CheckFailed), on_one_device("ids와 같은 장치", only_tensors_know=True):
        ids + torch.arange(2, device=torch.device("cpu"))
