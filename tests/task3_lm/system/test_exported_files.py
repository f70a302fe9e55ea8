"""내보낸 파일을 다른 라이브러리가 읽어 같은 값을 냅니다."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nlpbook.errors import UserError
from nlpbook.language.runs import load_model
from tests.bits import same
from tests.task3_lm.system.running import FOLDER, STEP6, finished, run, slow

if not FOLDER.is_dir():
    pytest.skip("해답이 없는 배포판입니다", allow_module_level=True)


@pytest.fixture(scope="module")
def exported(trained) -> Path:
    """6단계가 내보낸 폴더."""
    done = finished(run(STEP6, "--output", str(trained.parents[1])))
    assert "Hugging Face: 로짓의 차이는" in done.stdout
    return trained / "export"


@pytest.fixture(scope="module")
def best(steps, trained):
    return load_model(steps.step2.GPT, trained / "checkpoints" / "best_model.pt")


IDS = [torch.randint(300, shape, generator=torch.Generator().manual_seed(1)) for shape in ((1, 1), (3, 5), (2, 16))]


@slow
@torch.no_grad()
def test_transformers_reads_the_export_and_computes_the_same(exported, best):
    from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

    folder = str(exported / "hugging_face")
    plain = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    fast = AutoModelForCausalLM.from_pretrained(folder)  # CPU의 SDPA는 exp를 어림해 1e-5쯤 다릅니다.
    for ids in IDS:
        assert torch.allclose(plain(ids).logits, best(ids), atol=1e-5)
        assert torch.allclose(fast(ids).logits, best(ids), atol=1e-3)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "작은 여우가 등불을 들고"
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == best.tokenizer.encode(text)
    made = pipeline("text-generation", model=folder)("작은 여우", max_new_tokens=3, do_sample=False)
    assert made[0]["generated_text"].startswith("작은 여우")


@slow
@torch.no_grad()
def test_an_exported_model_comes_back_as_ours(exported, best, step6):
    again = step6.GPT.from_pretrained(str(exported / "hugging_face"))
    assert not again.training
    assert again.tokenizer.encode("작은 여우") == best.tokenizer.encode("작은 여우")
    assert same(dict(again.state_dict()), dict(best.state_dict()))
    assert again.lm_head.weight is again.token_embedding.weight


@slow
@torch.no_grad()
def test_onnx_computes_the_same_for_any_batch_and_length(exported, best):
    from nlpbook.language.onnx_models import OnnxModel

    whole, small = (OnnxModel(exported / name) for name in ("model.onnx", "model.int8.onnx"))
    for ids in IDS:
        expected = best(ids)
        assert torch.allclose(whole(ids), expected, atol=1e-4)
        assert small(ids).shape == expected.shape
        assert (small(ids) - expected).abs().max() < 0.25 * expected.std() * 4
    (exported / "broken.onnx").write_bytes(b"not onnx")
    with pytest.raises(UserError, match=r"ONNX.*broken\.onnx"):
        OnnxModel(exported / "broken.onnx")


@slow
def test_eight_bits_are_smaller_and_hardly_worse(exported):
    rows = json.loads((exported / "export.json").read_text(encoding="utf-8"))
    assert [row["model"] for row in rows] == ["PyTorch fp32", "ONNX fp32", "ONNX int8"]
    full, onnx, small = rows
    assert (exported / "model.int8.onnx").stat().st_size < (exported / "model.onnx").stat().st_size
    assert small["mebibytes"] < onnx["mebibytes"]
    assert onnx["perplexity"] == pytest.approx(full["perplexity"], rel=1e-3)
    assert small["perplexity"] == pytest.approx(full["perplexity"], rel=0.05)
    assert all(row["tokens_per_second"] > 0 for row in rows)
