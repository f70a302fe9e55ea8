"""가이드에 적힌 대로 모델을 읽고 글을 씁니다."""

from __future__ import annotations

import pytest

from nlpbook.errors import UserError
from nlpbook.language.config import LMConfig
from nlpbook.language.runs import load_model
from nlpbook.position import Position
from tests.task3_lm.system.running import FOLDER, state_of

if not FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)


def test_the_best_model_loads_as_the_guide_says(trained, steps):
    config = LMConfig.load(trained / "arguments.json")
    data = steps.step1.LMData(config)
    model = steps.step2.GPT(config, len(data.tokenizer), data.tokenizer)
    trainer = steps.step4.Trainer(model, data, config)
    trainer.load_checkpoint(str(trained / "checkpoints" / "best_model.pt"))
    assert trainer.position == Position(**state_of(trained, "best_model.pt")["position"])
    assert trainer.evaluate().loss == pytest.approx(trainer.best_val_loss, abs=1e-6)


def test_text_is_generated_as_the_guide_says(trained, steps):
    model = load_model(steps.step2.GPT, trained / "checkpoints" / "best_model.pt")
    for generate_text in (steps.step2.generate_text, steps.step5.generate_text):
        text = generate_text(model, "옛날 옛적에", max_tokens=100)
        assert text.startswith("옛날 옛적에")
        assert len(text) > len("옛날 옛적에")


@pytest.mark.parametrize("changes", [{"d_embed": 16}, {"num_layers": 2}, {"max_seq_len": 20}, {"num_heads": 4}])
def test_a_checkpoint_of_another_shape_is_refused_by_the_trainer(trained, steps, changes):
    config = LMConfig.load(trained / "arguments.json")
    for name, value in changes.items():
        setattr(config, name, value)
    data = steps.step1.LMData(config)
    trainer = steps.step4.Trainer(steps.step2.GPT(config, len(data.tokenizer), data.tokenizer), data, config)
    ((name, value),) = changes.items()
    with pytest.raises(UserError, match=rf"모양이 다른 모델.*{name} \d+ ≠ {value}"):
        trainer.load_checkpoint(trained / "checkpoints" / "best_model.pt")
