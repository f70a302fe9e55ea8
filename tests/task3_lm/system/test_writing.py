"""글을 이어 씁니다: 캐시, 길이가 다른 글, 문맥보다 긴 글, 시드."""

from __future__ import annotations

import shutil

import pytest
import torch

from nlpbook.language.sampling import Sampling
from tests.task3_lm.system.running import FOLDER, STEP5, finished, run, words

if not FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)


@torch.no_grad()
def test_cached_logits_equal_the_full_forward(steps, model):
    ids = torch.randint(300, (1, 16), generator=torch.Generator().manual_seed(1))
    for cuts in ([16], [1] * 16, [5, 1, 1, 9], [15, 1]):
        reader = steps.step5.CachedReader(model, torch.tensor([0]))
        logits = torch.cat([reader.read(part) for part in ids.split(cuts, dim=1)], dim=1)
        assert torch.allclose(logits, model(ids), atol=1e-5), cuts


@torch.no_grad()
def test_prompts_of_unequal_length_are_read_together_as_if_alone(steps, model):
    prompts = [[5, 9, 3], [7], [1, 2, 3, 4, 5, 6, 7, 8]]
    following = torch.randint(300, (3, 6), generator=torch.Generator().manual_seed(2))
    padding = torch.tensor([8 - len(one) for one in prompts])
    reader = steps.step5.CachedReader(model, padding)
    reader.read(torch.tensor([[0] * (8 - len(one)) + one for one in prompts]))
    together = torch.stack([reader.read(following[:, [step]])[:, -1] for step in range(6)], dim=1)
    for row, prompt in enumerate(prompts):
        alone_ids = torch.tensor([prompt + following[row].tolist()])
        assert torch.allclose(together[row], model(alone_ids)[0, len(prompt) :], atol=1e-5)


@torch.no_grad()
def test_beyond_the_context_reading_goes_on_from_its_latter_half(steps, model):
    ids = torch.randint(300, (1, 40), generator=torch.Generator().manual_seed(4))
    reader = steps.step5.CachedReader(model, torch.tensor([0]))
    for step in range(40):
        logits = reader.read(ids[:, [step]])
        seen = reader.ids.size(1)
        assert 8 <= seen <= 16 or step < 8
        assert torch.allclose(logits[:, -1], model(ids[:, step + 1 - seen : step + 1])[:, -1], atol=1e-5)


def test_two_prompts_are_continued_as_each_alone(steps, model):
    prompts = ["여우", "곰", "곰은"]
    greedy = Sampling(max_tokens=8, temperature=0)  # 문맥 16토큰 안에서
    together = steps.step5.generate_texts(model, prompts, greedy)
    assert together == [steps.step5.generate_texts(model, [one], greedy)[0] for one in prompts]


def test_a_text_longer_than_the_context_is_written_to_its_end(steps, model):
    ids = [one for one in range(300) if one != model.tokenizer.end_id][:5]
    made = list(steps.step5.continue_tokens(model, [ids], Sampling(max_tokens=50, seed=1)))
    assert len(made) == 50 or made[-1][0].item() == model.tokenizer.end_id
    assert len(made) > 16


def test_a_seed_writes_the_same_again_and_another_seed_does_not(steps, model):
    texts = [steps.step5.generate_text(model, "여우", max_tokens=20, seed=seed) for seed in (5, 5, 6)]
    assert texts[0] == texts[1] != texts[2]


def test_generate_continues_every_prompt_on_the_command_line(trained):
    asked = ["--prompt", "작은 여우", "--prompt", "곰은", *words({"max_tokens": 8, "seed": 3})]
    said = [finished(run(STEP5, "generate", *asked, "--output", str(trained.parents[1]))).stdout for _ in range(2)]
    assert said[0] == said[1]
    assert said[0].startswith("작은 여우")
    assert "\n\n곰은" in said[0]


def test_a_checkpoint_file_alone_is_enough_to_write(trained, tmp_path):
    shutil.copy(trained / "checkpoints" / "best_model.pt", tmp_path / "moved.pt")
    asked = words({"checkpoint": tmp_path / "moved.pt", "output": tmp_path / "nowhere", "max_tokens": 2})
    assert finished(run(STEP5, "generate", *asked)).stdout.startswith("옛날 옛적에")
