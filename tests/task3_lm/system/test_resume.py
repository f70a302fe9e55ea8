"""끊긴 학습이 끊기지 않은 학습과 같게 끝나는지 봅니다."""

from __future__ import annotations

import pytest
import torch

from course.checks.workspace import plain_fabric
from nlpbook.language.runs import RunFolder
from tests.task3_lm.checks import support


def test_an_interrupted_run_ends_like_one_that_never_stopped(load, device, tmp_path):
    """작은 GPT를 도중에 끊었다가 이어 하면, 끊지 않은 학습과 비트까지 같습니다."""
    step4 = load(4)
    config = support.tiny_config(
        dropout=0.3, num_epochs=2, grad_accumulation=2, stride=200, job_version="4", num_layers=1, val_ratio=0.1
    )
    data = step4.LMData(config, tmp_path / "tokens")

    def run(stop_at=None, resume=False, folder="one"):
        torch.manual_seed(config.seed)
        model = step4.GPT(config, len(data.tokenizer), data.tokenizer)
        trainer = step4.Trainer(model, data, config, plain_fabric(device), RunFolder(tmp_path / folder))
        if resume:
            trainer.load_checkpoint(trainer.run_folder.last_state)
        after_step = trainer.after_step

        def stop():
            if trainer.position.step == stop_at:
                trainer.interrupt.requested = True
            after_step()

        trainer.after_step = stop
        if stop_at:
            with pytest.raises(KeyboardInterrupt):
                trainer.train()
        else:
            trainer.train()
        return trainer

    whole = run()
    run(stop_at=whole.steps_per_epoch + 2, folder="two")
    resumed = run(resume=True, folder="two")
    assert resumed.position == whole.position
    assert resumed.best_val_loss == whole.best_val_loss
    for one, other in zip(whole.gpt.parameters(), resumed.gpt.parameters(), strict=True):
        assert torch.equal(one, other)
    assert whole.run_folder.best_model.is_file()
