"""3단계의 여러 TODO가 함께 쓰는 준비(fixture)."""

from __future__ import annotations

import copy

import pytest
import torch

from tests.task1_cls.checks import support
from tests.task1_cls.checks.step3.common import COUNT


@pytest.fixture(scope="session")
def prepared(load, device):
    """평가 모드의 작은 모델. 머리를 고쳐 두 라벨을 고루 고르고, 흔한 실수들의 값이 서로 멀리 떨어지게 합니다."""
    made = support.build(load(3), device)
    logits = support.reference_logits(made, support.batch_of(made, COUNT))
    head = made.lang_model.classifier
    with torch.no_grad():
        scale = 2 / (logits[:, 1] - logits[:, 0]).std()
        head.weight.mul_(scale)
        head.bias.mul_(scale)
        logits = logits * scale  # 머리는 선형이므로, 다시 구하지 않아도 로짓이 어떻게 바뀌는지 압니다.
        # 긍정일수록 두 로짓을 함께 키웁니다. 예측은 그대로이지만, 배치 축에서 견준 것은 달라집니다.
        head.weight.add_(head.weight[1] - head.weight[0])
        head.bias.add_(head.bias[1] - head.bias[0])
        logits = logits + (logits[:, 1] - logits[:, 0])[:, None]
        margins = (logits[:, 1] - logits[:, 0]).sort().values
        middle = (margins[COUNT // 2] + margins[COUNT // 2 + 1]) / 2
        logits[:, 1] -= middle
        head.bias[1] -= middle  # 부정 넷, 긍정 셋
        head.bias -= logits.max() + 1  # 로짓은 모두 음수
    return made


@pytest.fixture
def model(prepared):
    """검사마다 제 것인 모델. 새로 만드는 것보다 베끼는 것이 열 배 빠릅니다."""
    made = copy.deepcopy(prepared)
    made.config.hardware.devices = 5  # 한 스텝의 어느 값에도, 배치의 이름의 수(3)에도 섞이지 않는 수
    return made


@pytest.fixture
def batch(model):
    """예측이 하나만 빗나가는 배치. 거꾸로 세거나 한 라벨만 고른 답과는 정확도가 다릅니다."""
    made = support.batch_of(model, COUNT)
    logits = support.reference_logits(model, made)
    order = logits.max(-1).values.argsort()  # 가장 큰 로짓은 마지막 줄에
    made, logits = {name: tensor[order] for name, tensor in made.items()}, logits[order]
    labels = logits.argmax(-1)
    usual = labels == labels.mode().values
    missed = (logits[:, 0] - logits[:, 1]).abs().where(usual, torch.inf).argmin()
    labels[missed] = 1 - labels[missed]
    return {**made, "labels": labels}


@pytest.fixture
def logits(model, batch):
    return support.reference_logits(model, batch)
