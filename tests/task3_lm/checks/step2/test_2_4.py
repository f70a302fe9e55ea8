"""2-4의 검사: 가중치 묶기."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from torch import nn

from course.checks.recognising import explained, when
from course.checks.words import fail, matches, show, todo
from nlpbook.settings import UnknownSetting
from tests.task3_lm.checks.step2.common import EMBED, FOREIGN_NAME, VOCAB, config, nothing


@pytest.fixture
def tied(load, device):
    """학생이 묶은 모델. 2-5는 부르지 않습니다."""
    module = load(2)
    torch.manual_seed(2)
    settings = config()
    before = dict(vars(settings))
    with (
        patch.object(module.GPT, "init_weights", nothing),
        explained(
            when(
                "cannot assign .* as parameter",
                "not-a-parameter",
                idea="Parameter",
                expected="token_embedding의 Parameter",
            ),
            when("leaf Variable", "copied-in-place", idea="가중치 묶기", expected="같은 Parameter 하나"),
            FOREIGN_NAME,
            explain_flag,
        ),
    ):
        made = module.GPT(settings, VOCAB).to(device)
    added = [name for name, value in vars(settings).items() if name not in before or before[name] != value]
    if added and getattr(made.lm_head, "weight", None) is not made.token_embedding.weight:
        got = f"config.{added[0]}"
        fail(idea="가중치 묶기", expected="설정은 그대로", got=got, symptom="config-flag")
    return made


def explain_flag(error: Exception) -> None:
    """묶는 대신, 설정에 없는 이름을 적어 표시만 했습니다."""
    if isinstance(error, UnknownSetting):
        got = f"config.{error.name}"
        fail(idea="가중치 묶기", expected="설정은 그대로", got=got, symptom="config-flag")


@todo("2-4")
def test_one_parameter_serves_both(tied):
    """lm_head와 token_embedding의 가중치는 같은 Parameter 하나입니다."""
    head, table = tied.lm_head, tied.token_embedding
    expected, idea = "같은 Parameter 하나", "가중치 묶기"
    if not isinstance(head, nn.Linear) or not isinstance(table, nn.Embedding):
        got = f"lm_head는 {type(head).__name__}, token_embedding은 {type(table).__name__}"
        kinds = "Linear와 Embedding"
        fail(idea=idea, expected=kinds, got=got, symptom="module-tied")
    if head.weight is table.weight:
        return
    got, symptom = "서로 다른 두 Parameter", "separate"
    if head.weight is tied.position_embedding.weight or table.weight is tied.position_embedding.weight:
        got, symptom = "position_embedding의 Parameter", "position-tied"
    elif [name for name, _ in [*head.named_parameters(), *table.named_parameters()] if name not in ("weight", "bias")]:
        got, symptom = "weight가 아닌 이름에 담은 Parameter", "other-name"
    elif head.weight.shape != table.weight.shape:
        got, symptom = f"모양이 {tuple(head.weight.shape)}인 다른 Parameter", "other-shape"
    elif head.weight.data_ptr() == table.weight.data_ptr():
        got, symptom = "값은 함께 쓰지만 서로 다른 두 Parameter", "shared-data"
    elif matches(head.weight, table.weight, 0):
        got, symptom = "값만 같은 두 Parameter", "copied"
    fail(idea=idea, expected=expected, got=got, symptom=symptom)


@todo("2-4")
def test_tied_weight_is_the_whole_table_and_learns(tied):
    """묶은 가중치는 (어휘, 차원)이고 배울 수 있으며, 다른 것과는 묶이지 않습니다."""
    weight = getattr(tied.lm_head, "weight", None)
    if weight is not getattr(tied.token_embedding, "weight", None) or not isinstance(tied.lm_head, nn.Linear):
        return  # 묶이지 않았습니다. 앞의 검사가 말합니다.
    if not isinstance(weight, nn.Parameter) or tuple(weight.shape) != (VOCAB, EMBED):
        shape, want = show(tuple(getattr(weight, "shape", ()))), (VOCAB, EMBED)
        fail(idea="가중치의 모양", expected=want, got=shape, symptom="other-shape")
    if not weight.requires_grad:
        fail(idea="requires_grad", expected="True", got="False", symptom="frozen")
    if weight is tied.position_embedding.weight:
        got = "position_embedding도 같은 것"
        fail(idea="가중치 묶기", expected="둘만", got=got, symptom="position-tied")
    if getattr(tied.lm_head, "bias", None) is not None:
        fail(idea="가중치 묶기", expected="편향 없음", got="편향 있음", symptom="bias-added")
