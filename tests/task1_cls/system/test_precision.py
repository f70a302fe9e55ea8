"""정밀도가 단계 파일 전체에 닿는지 봅니다."""

from __future__ import annotations

import torch
from lightning.fabric import Fabric

from course.checks.words import assert_equal
from nlpbook.checkpoints import CheckpointSaver
from tests.task1_cls.checks import support


def test_mixed_precision_reaches_every_linear_layer(load, tmp_path):
    """bf16-mixed로 만든 루프에서는 training_step 안의 Linear가 모두 bfloat16으로 셈합니다."""
    step4 = load(4)
    model = support.build(step4)
    saver = CheckpointSaver(tmp_path, model.config.learning.saving_mode, 1)
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    trainer = step4.Trainer(fabric, model, saver)
    layers = {name: one for name, one in trainer.model.lang_model.named_modules() if isinstance(one, torch.nn.Linear)}
    dtypes = {}
    for name, layer in layers.items():
        layer.register_forward_hook(lambda _, __, output, name=name: dtypes.update({name: output.dtype}))
    trainer.model.train()
    trainer.model.training_step(support.batch_of(model))
    assert_equal(
        {name: dtypes.get(name) for name in layers},
        dict.fromkeys(layers, torch.bfloat16),
        idea="autocast",
        message="정밀도(bf16-mixed)가 training_step의 계산에 닿지 않았습니다.",
    )
    assert layers
    assert {one.dtype for one in trainer.model.parameters()} == {torch.float32}  # 가중치는 32비트로 남습니다.
