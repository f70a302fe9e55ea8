"""6단계의 검사: 가중치 옮기기, ONNX, 양자화."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType
from torch import nn
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel

from course.checks.words import assert_close, close, fail, matches, show, todo
from nlpbook.language.config import LMConfig
from tests.task3_lm import support
from todo import TodoNotDone

WIDTH, HEADS, LAYERS, LENGTH, VOCAB = (
    4,
    2,
    2,
    6,
    11,
)  # 어느 두 축의 길이도 우연히 같지 않습니다. 어텐션의 정사각형만 빼고요.
BLOCK = {
    "norm1": "ln_1",
    "attention.qkv": "attn.c_attn",
    "attention.projection": "attn.c_proj",
    "norm2": "ln_2",
    "mlp.expand": "mlp.c_fc",
    "mlp.projection": "mlp.c_proj",
}
LAID = ("attention.qkv", "attention.projection", "mlp.expand", "mlp.projection")  # GPT-2가 눕혀 두는 층
ATOL = 2e-3  # fp32의 차이는 1e-6쯤이고, 가중치를 16비트로 줄이기만 해도 로짓이 5e-3 넘게 다릅니다.


def names() -> dict[str, tuple[str, bool]]:
    """우리의 이름 → (GPT-2의 이름, 눕혀 두는가). 단계 파일의 표와는 따로 적은 것입니다."""
    made = {
        "token_embedding.weight": ("transformer.wte.weight", False),
        "position_embedding.weight": ("transformer.wpe.weight", False),
        "norm.weight": ("transformer.ln_f.weight", False),
        "norm.bias": ("transformer.ln_f.bias", False),
    }
    for layer in range(LAYERS):
        for ours, theirs in BLOCK.items():
            for kind in ("weight", "bias"):
                laid = ours in LAID and kind == "weight"
                made[f"blocks.{layer}.{ours}.{kind}"] = (f"transformer.h.{layer}.{theirs}.{kind}", laid)
    return made


class OurBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention, self.mlp = nn.Module(), nn.Module()
        self.attention.qkv, self.attention.projection = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp.expand, self.mlp.projection = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = (len(x), x.size(1), HEADS, WIDTH // HEADS)
        query, key, value = (one.view(shape).transpose(1, 2) for one in self.attention.qkv(self.norm1(x)).chunk(3, -1))
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attention.projection(mixed.transpose(1, 2).flatten(2))
        wide = functional.gelu(self.mlp.expand(self.norm2(x)), approximate="tanh")
        return x + self.mlp.projection(wide)


class OurModel(nn.Module):
    """2단계의 GPT와 이름도 계산도 같은 모델. 학생의 2단계를 거치지 않습니다."""

    def __init__(self, config: Any = None, vocab_size: int = VOCAB, tokenizer: Any = None) -> None:
        super().__init__()
        self.config, self.vocab_size, self.tokenizer = config, vocab_size, tokenizer
        self.token_embedding, self.position_embedding = nn.Embedding(VOCAB, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(OurBlock() for _ in range(LAYERS))
        self.norm, self.lm_head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCAB, bias=False)
        self.lm_head.weight = self.token_embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.token_embedding(ids) + self.position_embedding.weight[: ids.size(1)]
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.norm(x))


def scattered(model: nn.Module, seed: int) -> nn.Module:
    """모든 가중치를, 편향과 정규화의 것까지, 서로 다른 큰 값으로."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in model.parameters():
            one.copy_(torch.randn(one.shape, generator=generator))
    return model.eval()


def their_model() -> GPT2LMHeadModel:
    shape = GPT2Config(
        vocab_size=VOCAB, n_positions=LENGTH, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, bos_token_id=0, eos_token_id=0
    )
    return GPT2LMHeadModel(shape).eval()


def some_ids(device: str = "cpu") -> torch.Tensor:
    return torch.tensor([[1, 7, 3, 10, 2], [4, 4, 0, 9, 8]], device=device)


def is_reshaped(got: torch.Tensor, source: torch.Tensor) -> bool:
    """눕히는 대신 모양만 고쳐, 값의 차례가 그대로인가."""
    return got.shape == source.t().shape and matches(got.reshape(-1), source.reshape(-1), 0)


# ── 6-1 우리 → GPT-2


@pytest.fixture
def ours(device) -> dict[str, torch.Tensor]:
    return scattered(OurModel(), 3).to(device).state_dict()


def converted(load, ours) -> dict[str, torch.Tensor]:
    given, kept = dict(ours), {name: one.clone() for name, one in ours.items()}
    try:
        made = load(6).to_gpt2_weights(given)
    except ValueError as error:
        if "unpack" not in str(error):
            raise
        message, got = "사전을 그대로 돌며 둘로 풀었습니다.", f"ValueError: {error}"
        fail(message, idea="사전의 반복", expected="이름과 텐서의 짝", got=got, symptom="no-items")
    except KeyError as error:
        if "lm_head" in str(error):
            message, got = "lm_head의 이름을 GPT-2의 것으로 바꾸려 했습니다.", f"KeyError: {error}"
            fail(message, idea="묶인 가중치", expected="lm_head는 뺍니다", got=got, symptom="lm-head")
        raise
    if not isinstance(made, dict) or not all(isinstance(one, torch.Tensor) for one in made.values()):
        kinds = sorted({type(one).__name__ for one in made.values()}) if isinstance(made, dict) else type(made).__name__
        message = "담은 것이 텐서가 아닙니다."
        fail(message, idea="state_dict", expected="이름마다 텐서", got=show(kinds), symptom="not-tensors")
    changed = [name for name in {**kept, **given} if not unchanged(given.get(name), kept.get(name))]
    if changed:
        message, got = "건네받은 weights를 바꾸었습니다.", f"{changed[0]}이(가) 달라진 weights"
        fail(
            message, idea="건네받은 것", expected="그대로인 weights", got=got, symptom="caller-changed", name=changed[0]
        )
    return made


def unchanged(now: Any, before: torch.Tensor | None) -> bool:
    """사전에 있던 텐서가 그대로인가. 없던 것이 생겼거나 있던 것이 없어져도 달라진 것입니다."""
    return isinstance(now, torch.Tensor) and before is not None and torch.equal(now, before)


@todo("6-1")
def test_every_weight_gets_its_gpt2_name(load, ours):
    """lm_head를 뺀 모든 가중치가 GPT-2의 이름으로 있습니다."""
    made, wanted = converted(load, ours), {theirs for theirs, _ in names().values()}
    if "lm_head.weight" in made:
        message = "lm_head.weight까지 담았습니다."
        fail(message, idea="묶인 가중치", expected="담지 않음", got="담음", symptom="lm-head-kept")
    if made and set(made) <= set(ours):
        message, name = "이름이 우리의 것 그대로입니다.", min(made)
        fail(message, idea="이름의 짝", expected=names()[name][0], got=name, symptom="our-names")
    missing, extra = sorted(wanted - set(made)), sorted(set(made) - wanted)
    count, all_of = f"{len(made)}개", f"{len(wanted)}개"
    if extra:
        message = "GPT-2에 없는 이름이 있습니다."
        fail(message, idea="이름의 짝", expected=missing[0] if missing else "없음", got=extra[0], symptom="odd-names")
    if missing == ["transformer.wte.weight"]:
        message = "토큰 임베딩까지 뺐습니다."
        fail(message, idea="묶인 가중치", expected=missing[0], got="없음", symptom="embedding-dropped")
    if missing and len(made) <= 1:
        message = "마지막 하나만 남았거나 아무것도 담기지 않았습니다."
        fail(message, idea="반복", expected=all_of, got=count, symptom="only-one")
    if missing:
        message = "빠진 가중치가 있습니다."
        fail(message, idea="이름의 짝", expected=all_of, got=count, symptom="some-missing", name=missing[0])


@todo("6-1")
def test_only_the_laid_down_matrices_are_transposed(load, ours):
    """블록 안 Linear의 행렬만 눕고, 임베딩과 나머지는 그대로입니다."""
    made = converted(load, ours)
    pairs = {name: (made[theirs], laid) for name, (theirs, laid) in names().items() if theirs in made}
    wrong = {}
    for name, (got, laid) in pairs.items():
        want = ours[name].t() if laid else ours[name]
        if not close(got, want, 0):
            wrong[name] = (got, want)
    if not wrong:
        return
    if kinds := {str(got.dtype) for got, _ in wrong.values()} - {"torch.float32"}:
        say = {"expected": "torch.float32", "got": kinds.pop(), "symptom": "other-dtype"}
        fail("가중치의 자료형을 바꾸었습니다.", idea="dtype", **say)
    flat = [name for name, (got, _) in wrong.items() if names()[name][1] and matches(got, ours[name], 0)]
    turned = [name for name, (got, _) in wrong.items() if not names()[name][1] and matches(got, ours[name].t(), 0)]
    name = next(iter(wrong))
    got, want = wrong[name]
    about = {"idea": "Conv1D와 Linear", "expected": tuple(want.shape), "got": tuple(got.shape), "name": name}
    if turned and flat:
        fail("눕힐 것은 그대로 두고, 그대로 둘 것을 눕혔습니다.", symptom="reversed", **about)
    if turned:
        fail("눕히지 않는 가중치까지 눕혔습니다.", symptom="embeddings-laid", **about)
    cut = [one for one, (got, _) in wrong.items() if ours[one].dim() == 2 and is_reshaped(got, ours[one])]
    if cut and any(ours[one].size(0) != ours[one].size(1) for one in cut):
        values = {"expected": "행과 열을 바꾼 값", "got": "차례가 그대로인 값", "name": cut[0], "idea": "모양과 값"}
        fail("모양만 바꾸고 눕히지는 않았습니다.", symptom="reshaped", **values)
    if flat and all(ours[one].size(0) == ours[one].size(1) for one in flat):
        values = {"expected": "눕힌 (4, 4)", "got": "그대로인 (4, 4)", "name": flat[0], "idea": "모양과 값"}
        fail("정사각 행렬을 눕히지 않았습니다.", symptom="square-missed", **values)
    if len(flat) == LAYERS * len(LAID):
        fail("아무것도 눕히지 않았습니다.", symptom="no-transpose", **about)
    if flat:
        about |= {"expected": tuple(ours[flat[0]].t().shape), "got": tuple(ours[flat[0]].shape), "name": flat[0]}
        fail("눕히지 않은 행렬이 있습니다.", symptom="some-flat", **about)
    if tuple(got.shape) == tuple(want.shape):
        about |= {"expected": "우리 모델의 값", "got": "다른 값"}
    fail(f"{name}의 값이 다릅니다.", **about)


@todo("6-1")
def test_gpt2_with_these_weights_says_the_same(load, ours, device):
    """옮긴 가중치를 넣은 GPT-2의 로짓은 우리 모델의 것과 같습니다."""
    made = converted(load, ours)
    theirs, model = their_model().to(device), scattered(OurModel(), 3).to(device)
    shapes = {name: tuple(one.shape) for name, one in theirs.state_dict().items()}
    fitting = {name: one for name, one in made.items() if shapes.get(name) == tuple(one.shape)}
    theirs.load_state_dict(fitting, strict=False)
    theirs.tie_weights()
    with torch.no_grad():
        got, want = theirs(some_ids(device)).logits, model(some_ids(device))
    message = "옮긴 GPT-2의 로짓이 우리 모델과 다릅니다."
    assert_close(got, want, atol=ATOL, idea="같은 모델인가", message=message)


# ── 6-2 GPT-2 → 우리


class FakePretrained:
    """`GPT2Config.from_pretrained`와 `GPT2LMHeadModel.from_pretrained`를 대신합니다. 폴더를 읽지 않습니다."""

    def __init__(self, made: Any) -> None:
        self.made = made

    def from_pretrained(self, *_: Any, **__: Any) -> Any:
        return self.made


@pytest.fixture
def theirs() -> GPT2LMHeadModel:
    return scattered(their_model(), 5)


@pytest.fixture
def read(load, theirs, monkeypatch):
    """`from_pretrained`를 우리 모델(OurModel)로 부르는 함수."""
    step = load(6)
    monkeypatch.setattr(step, "resolve_pretrained", lambda name: name)
    monkeypatch.setattr(step, "GPT2Config", FakePretrained(theirs.config))
    monkeypatch.setattr(step, "GPT2LMHeadModel", FakePretrained(theirs))
    monkeypatch.setattr(step, "TextTokenizer", SimpleNamespace(load=lambda name: None))

    loaded: list[OurModel] = []

    class Model(OurModel):
        """채우지 않은 채로 남은 가중치를 알아볼 수 있도록, 모두 0.5에서 시작합니다."""

        def __init__(self, *inputs: Any) -> None:
            super().__init__(*inputs)
            with torch.no_grad():
                for one in self.parameters():
                    one.fill_(0.5)
            loaded.append(self)

    def call() -> OurModel:
        loaded.clear()
        try:
            made = step.GPT.from_pretrained.__func__(Model, "작은 GPT-2")
        except AttributeError as error:
            if not re.search(
                r"'(_IncompatibleKeys|NoneType|(?:collections\.Ordered)?[dD]ict)' object has no", str(error)
            ):
                raise
            message, got = "model에 모델이 아닌 것을 담았습니다.", str(error).split("'")[1]
            fail(message, idea="load_state_dict", expected="채운 model", got=got, symptom="model-replaced")
        except KeyError as error:
            _explain_key(error)
            raise
        except RuntimeError as error:
            _explain_loading(error)
            raise
        if not isinstance(made, OurModel):
            message, kind = "우리 모델을 돌려주지 않았습니다.", type(made).__name__
            fail(message, idea="from_pretrained의 약속", expected="가중치를 채운 model", got=kind)
        filled = [one for one in loaded if not matches(one.norm.weight, torch.full_like(one.norm.weight, 0.5), 0)]
        if filled and made not in filled:
            message = "돌려주는 model이 아니라 다른 모델에 넣었습니다."
            got = f"새로 만든 {len(loaded) - 1}개"
            fail(message, idea="같은 객체", expected="위에서 만든 model", got=got, symptom="other-instance")
        return made

    return call


def _explain_key(error: KeyError) -> None:
    name = str(error.args[0]) if error.args else ""
    got = f"KeyError: {name!r}"
    if name in ("lm_head", "transformer.lm_head.weight"):
        message = "lm_head의 이름까지 gpt2_name으로 바꾸려 했습니다."
        fail(message, idea="이름의 짝", expected="lm_head.weight", got=got, symptom="lm-head")
    if name in names():
        message = "theirs에서 우리의 이름을 찾았습니다."
        fail(message, idea="이름의 짝", expected=names()[name][0], got=name, symptom="our-name-in-theirs")
    if name.startswith("transformer"):
        message = "GPT-2의 이름을 gpt2_name에 건넸거나, 우리 쪽에서 찾았습니다."
        fail(message, idea="이름의 짝", expected="우리의 이름", got=got, symptom="wrong-way")


def _explain_loading(error: RuntimeError) -> None:
    """load_state_dict가 알린 것에서 무엇이 틀렸는지."""
    text = str(error)
    if "leaf Variable" in text:
        message, got = "기울기를 재는 중에 값을 베껴 넣었습니다.", "배울 값을 그 자리에서 고침"
        fail(message, idea="no_grad", expected="기울기를 재지 않고 베낌", got=got, symptom="needs-grad")
    if "Error(s) in loading" not in text and "must match the size" not in text:
        return
    if "Unexpected key(s)" in text and "transformer." in text:
        message, got = "GPT-2의 이름 그대로 넣으려 했습니다.", "transformer.wte.weight"
        fail(message, idea="이름의 짝", expected="token_embedding.weight", got=got, symptom="their-names")
    if "size mismatch for token_embedding" in text or "size mismatch for position_embedding" in text:
        message, got = "임베딩까지 세웠습니다.", f"({WIDTH}, {VOCAB})"
        fail(message, idea="눕혀 둔 것", expected=f"({VOCAB}, {WIDTH})", got=got, symptom="embeddings-turned")
    if "size mismatch" in text or "must match the size" in text:
        message, got = "눕혀 둔 가중치를 그대로 넣으려 했습니다.", f"({WIDTH}, {3 * WIDTH})"
        fail(message, idea="눕혀 둔 것", expected=f"({3 * WIDTH}, {WIDTH})", got=got, symptom="no-transpose")
    if 'Missing key(s) in state_dict: "lm_head.weight".' in text:
        message, got = "lm_head.weight를 담지 않았습니다.", "lm_head.weight가 빠짐"
        fail(message, idea="load_state_dict", expected="모든 이름", got=got, symptom="lm-head-missing")
    if "Missing key(s)" in text:
        message, got = "넣은 사전에 빠진 이름이 있습니다.", f"{text.count(chr(34)) // 2}개가 빠짐"
        fail(message, idea="load_state_dict", expected="모든 이름", got=got, symptom="missing-keys")


def wanted_from(theirs: GPT2LMHeadModel) -> dict[str, torch.Tensor]:
    """GPT-2의 가중치를 우리의 이름과 방향으로 놓은 것."""
    weights = theirs.state_dict()
    return {ours: weights[name].t() if laid else weights[name] for ours, (name, laid) in names().items()}


@todo("6-2")
def test_every_weight_is_taken_over(read, theirs):
    """GPT-2의 모든 가중치가 우리 모델의 제자리에 있습니다."""
    got, want = read().state_dict(), wanted_from(theirs)
    wrong = [name for name in want if not close(got[name], want[name], 0)]
    if not wrong:
        return
    if kinds := {str(got[name].dtype) for name in wrong} - {"torch.float32"}:
        say = {"expected": "torch.float32", "got": kinds.pop(), "symptom": "other-dtype"}
        fail("읽은 모델의 자료형을 바꾸었습니다.", idea="dtype", **say)
    left = [name for name in wrong if matches(got[name], torch.full_like(got[name], 0.5), 0)]
    if len(left) == len(want):
        message = "모델의 가중치가 처음 그대로입니다."
        fail(message, idea="load_state_dict", expected="GPT-2의 가중치", got="처음의 가중치", symptom="nothing-loaded")
    if left:
        message, count = "옮기지 않은 가중치가 있습니다.", f"{len(want) - len(left)}개"
        fail(
            message,
            idea="이름의 짝",
            expected=f"{len(want)}개",
            got=count,
            symptom="some-left",
            name=left[0],
        )
    name = wrong[0]
    flat = [one for one in wrong if want[one].dim() == 2 and matches(got[one], want[one].t(), 0)]
    if flat and flat == wrong:
        values = {"expected": "다시 세운 (4, 4)", "got": "누워 있는 (4, 4)", "name": flat[0]}
        fail("정사각 행렬을 다시 세우지 않았습니다.", idea="모양과 값", symptom="square-missed", **values)
    if any(want[one].dim() == 2 and is_reshaped(got[one], want[one].t()) for one in wrong):
        values = {"expected": "행과 열을 바꾼 값", "got": "차례가 그대로인 값", "name": name}
        fail("모양만 바꾸고 세우지는 않았습니다.", idea="모양과 값", symptom="reshaped", **values)
    if all(".qkv." in one and same_rows(got[one], want[one]) for one in wrong):
        values = {"expected": "GPT-2가 놓은 차례", "got": "뒤섞인 차례", "name": name}
        fail("질의, 열쇠, 값의 차례를 바꾸었습니다.", idea="qkv의 차례", symptom="qkv-rearranged", **values)
    fail(f"{name}의 값이 GPT-2의 것과 다릅니다.", idea="이름의 짝", expected=show(want[name]), got=show(got[name]))


def same_rows(got: torch.Tensor, want: torch.Tensor) -> bool:
    """줄의 차례만 다르고 줄마다의 값은 같은가."""
    rows = [sorted(one.reshape(len(one), -1).tolist()) for one in (got, want)]
    return rows[0] == rows[1]


@todo("6-2")
def test_every_weight_can_still_learn(read):
    """읽은 뒤에도 모든 가중치를 이어서 배울 수 있습니다."""
    frozen = [name for name, one in read().named_parameters() if not one.requires_grad]
    if frozen:
        message = "배울 수 없게 된 가중치가 있습니다."
        more = {"expected": "requires_grad=True", "got": f"{frozen[0]}는 아님"}
        fail(message, idea="requires_grad", symptom="frozen", name=frozen[0], **more)


@todo("6-2")
def test_the_head_stays_tied_to_the_embedding(read):
    """옮긴 뒤에도 lm_head와 토큰 임베딩은 같은 가중치 하나입니다."""
    model = read()
    if model.lm_head.weight is not model.token_embedding.weight:
        message = "lm_head와 토큰 임베딩이 서로 다른 가중치가 되었습니다."
        fail(message, idea="가중치 묶기", expected="같은 Parameter 하나", got="둘", symptom="untied")


@todo("6-2")
def test_the_model_says_what_gpt2_says(read, theirs):
    """읽은 모델의 로짓은 GPT-2의 것과 같습니다."""
    with torch.no_grad():
        got, want = read()(some_ids()), theirs(some_ids()).logits
    message = "읽은 모델의 로짓이 GPT-2와 다릅니다."
    assert_close(got, want, atol=ATOL, idea="같은 모델인가", message=message)


# ── 6-3 ONNX로 내보내기


class Positions(nn.Module):
    """GPT처럼 길이만큼의 자리를 잘라 쓰는 아주 작은 모델."""

    def __init__(self) -> None:
        super().__init__()
        self.config = LMConfig(d_embed=3, num_heads=1, num_layers=1, max_seq_len=16, dropout=0.0)
        self.embedding = nn.Embedding(20, 3)
        self.register_buffer("positions", torch.arange(48.0).view(16, 3))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.embedding(ids) + self.positions[: ids.size(1)]


class Program:
    """`torch.onnx.ONNXProgram`을 대신합니다."""

    def save(self, path: Any, **_: Any) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(b"onnx")


class Exporter:
    """`torch.onnx.export`를 대신해 무엇을 건넸는지 읽습니다. 진짜로 내보내면 작은 모델도 1초가 걸립니다.

    달라지는 축을 사전이나 목록에 적은 부름은 스스로 읽고, 그 밖의 것(torch.export로 이미 옮긴 모델 등)은 진짜로
    내보내어 그래프에 적힌 것을 봅니다. 둘의 말이 같은지는 test_export.py가 진짜로 내보내어 확인합니다.

    Attributes:
        called: 건넨 인수들. 부르지 않았으면 None.
        axes: 입력의 축마다, 달라지는 축이면 그 이름(글), 굳었으면 크기(수).
        error: to_onnx가 멈췄다면 그 예외.
        given: to_onnx에 건넨 모델.
        want: 건네기 전에 그 모델이 낸 로짓.
        learning: 내보낼 때 그 모델이나 내보낸 모델에 학습 모드인 부품이 있었는가.
    """

    def __init__(self) -> None:
        self.real, self.signature = torch.onnx.export, inspect.signature(torch.onnx.export)
        self.called: dict[str, Any] | None = None
        self.axes: list[str | int] = []
        self.error: Exception | None = None
        self.given = scattered(Positions(), 7)
        with torch.no_grad():
            self.want = self.given(some_ids())
        self.learning = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError:
            return self.real(*args, **kwargs)  # 무엇이 빠졌는지 함수의 이름과 함께 알립니다.
        bound.apply_defaults()
        self.called = called = bound.arguments
        model, shapes = called["model"], called["dynamic_shapes"]
        inner = [one for one in model.modules() if one is not model] if isinstance(model, nn.Module) else []
        self.learning = any(
            one.training for one in [*inner, *self.given.modules()]
        )  # 감싼 껍데기의 모드는 상관없습니다.
        if isinstance(model, torch.export.ExportedProgram) or hasattr(shapes, "dynamic_shapes"):  # ShapesCollection
            return self._really(*args, **kwargs)
        if not isinstance(model, nn.Module) or self.example is None:
            raise TypeError("torch.onnx.export가 받을 수 없는 모델이나 예입니다.")
        if not called["dynamo"]:
            return None  # 예전의 방식은 파일에 쓰고 아무것도 돌려주지 않습니다.
        self.axes = self._read_axes(list(inspect.signature(model.forward).parameters)[0])
        return Program()

    def _really(self, *args: Any, **kwargs: Any) -> Any:
        program = self.real(*args, **kwargs)
        graph = program.model.graph
        self.axes = [one if isinstance(one, int) else str(one) for one in graph.inputs[0].shape]
        self.called["input_names"] = [one.name for one in graph.inputs]
        self.called["output_names"] = [one.name for one in graph.outputs]
        return program

    @property
    def example(self) -> torch.Tensor | None:
        """예로 건넨 입력. 텐서 하나이거나, 그것을 담은 튜플이나 사전입니다. 받을 수 없는 것이면 None."""
        args, kwargs = self.called["args"], self.called["kwargs"]
        if isinstance(args, tuple) and args and isinstance(args[-1], dict):
            args, kwargs = args[:-1], args[-1]
        given = [args] if isinstance(args, torch.Tensor) else [*(args if isinstance(args, tuple) else ())]
        given += list((kwargs or {}).values())
        fits = len(given) == 1 and isinstance(given[0], torch.Tensor) and given[0].dim() == 2
        return given[0] if fits and given[0].dtype == torch.int64 else None

    def _read_axes(self, parameter: str) -> list[str | int]:
        shapes, axes = self.called["dynamic_shapes"], self.called["dynamic_axes"]
        if shapes is None and axes is not None:
            outputs = list(self.called["output_names"] or ())
            shapes = dict(zip([parameter], [axes[name] for name in axes if name not in outputs], strict=False))
            if set(axes) - {parameter, *outputs, *(self.called["input_names"] or ())}:
                raise Unreadable("dynamic_axes에 없는 이름이 있습니다.", got=", ".join(map(str, axes)))
            if isinstance(shapes.get(parameter), list):
                shapes = {parameter: dict.fromkeys(shapes[parameter], torch.export.Dim.DYNAMIC)}
        if isinstance(shapes, dict) and shapes and set(shapes) != {parameter}:
            numbers = all(isinstance(one, int) for one in shapes)
            raise Unreadable(
                "dynamic_shapes의 이름이 모델의 입력과 다릅니다.",
                got=show(list(shapes)),
                symptom="axes-without-input" if numbers else "unknown-input",
            )
        if isinstance(shapes, (tuple, list)) and (len(shapes) != 1 or isinstance(shapes[0], str)):
            got = show(shapes)
            raise Unreadable("dynamic_shapes에 입력마다 하나씩 적지 않았습니다.", got=got, symptom="axes-without-input")
        if not isinstance(shapes or {}, (dict, tuple, list)):
            raise Unreadable("dynamic_shapes에 사전이 아닌 것을 적었습니다.", got=show(shapes))
        entry = (shapes.get(parameter) if isinstance(shapes, dict) else shapes[0] if shapes else None) or {}
        if isinstance(entry, (tuple, list)):
            entry = dict(enumerate(entry))
        if not isinstance(entry, dict):
            raise Unreadable("입력의 달라지는 축을 읽을 수 없습니다.", got=show(entry))
        if any(isinstance(one, int) for one in entry.values()):
            got = ", ".join(f"{axis}번 축에 {one}" for axis, one in entry.items())
            raise Unreadable("축의 이름이 아니라 크기를 적었습니다.", got=got, symptom="fixed-sizes")
        if any(not isinstance(axis, int) or axis > 1 for axis in entry):
            got = show(sorted(entry, key=str))
            raise Unreadable("입력에 없는 축이 적혀 있습니다.", got=got, symptom="no-such-axis")
        return [self._named(entry.get(axis), size) for axis, size in enumerate(self.example.shape)]

    @staticmethod
    def _named(one: Any, size: int) -> str | int:
        """축 하나에 적힌 것. 달라지는 축이면 이름(맡겼으면 빈 글)을, 아니면 굳은 크기를 냅니다."""
        dim = torch.export.Dim
        if one is None or one == dim.STATIC:
            return size
        return one if isinstance(one, str) else "" if isinstance(one, type(dim.AUTO)) else one.__name__


class Unreadable(Exception):
    """torch.onnx.export도 받지 않는 dynamic_shapes."""

    def __init__(self, message: str, *, got: str, symptom: str | None = None) -> None:
        super().__init__(message)
        self.got, self.symptom = got, symptom


@pytest.fixture(scope="module")
def exported(load) -> Exporter:
    """to_onnx를 한 번 부른 기록."""
    step, exporter = load(6), Exporter()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.onnx, "export", exporter)
        try:
            step.to_onnx(exporter.given, support.workspace() / "export" / "model.onnx")
        except Exception as error:  # noqa: BLE001 - 무엇을 건넸는지 먼저 봅니다.
            exporter.error = error
    return exporter


def check_exported_logits(got: Any, want: torch.Tensor) -> None:
    """내보낸 모델이 낸 것이, 건네받은 모델의 로짓인가."""
    got = got if isinstance(got, torch.Tensor) else torch.tensor(torch.nan)
    about = {"idea": "같은 모델인가", "expected": f"(배치, 길이, 어휘) = {tuple(want.shape)}", "got": tuple(got.shape)}
    if got.shape != want.shape and any(
        got.shape == one.shape and matches(got, one, ATOL) for one in (want[:, -1], want[:, -1:])
    ):
        fail("마지막 자리의 로짓만 내는 모델을 내보냈습니다.", symptom="last-only", **about)
    made = [want.argmax(-1), want.softmax(-1), want.log_softmax(-1), want.softmax(-1)[:, -1], want[:, -1].argmax(-1)]
    if any(matches(got, one, ATOL) for one in made):
        fail("로짓이 아닌 것을 내는 모델을 내보냈습니다.", symptom="not-logits", **about)
    if got.is_floating_point() and got.dtype != want.dtype and got.shape == want.shape:
        about |= {"expected": str(want.dtype), "got": str(got.dtype)}
        fail("자료형을 바꾼 모델을 내보냈습니다.", symptom="other-dtype", **about)
    assert_close(got, want, atol=ATOL, idea="같은 모델인가", message="다른 모델을 내보냈습니다.")


@todo("6-3")
def test_the_model_itself_is_exported(exported):
    """모델과 예를 torch.onnx.export에 건네고, 돌려받은 것을 program에 담습니다."""
    called, error = exported.called, exported.error
    if isinstance(error, TodoNotDone):
        raise error
    if called is None:
        if isinstance(error, AttributeError) and "save" in str(error):
            message, got = "program이 ONNX로 바꾼 것이 아닙니다.", str(error).split("'")[1]
            fail(message, idea="ONNX", expected="torch.onnx.export의 결과", got=got, symptom="not-onnx")
        if error is not None:
            raise error
        message = "torch.onnx.export를 부르지 않았습니다."
        fail(message, idea="ONNX", expected="한 번 부름", got="부르지 않음", symptom="not-onnx")
    model = called["model"]
    if not callable(model) or isinstance(model, type):
        message, got = "내보낼 모델의 자리에 다른 것이 있습니다.", type(model).__name__
        fail(message, idea="torch.onnx.export의 인수", expected="model", got=got, symptom="no-model")
    if isinstance(model, nn.Module):
        if exported.example is None:
            message, got = "예로 건넨 입력을 쓸 수 없습니다.", show(called["args"])
            fail(message, idea="예로 추적하기", expected="(example,)", got=got, symptom="no-example")
        if exported.learning:
            message = "학습 모드의 모델을 내보냈습니다."
            fail(message, idea="train/eval", expected="평가 모드", got="학습 모드", symptom="training-mode")
        if 1 in exported.example.shape:
            message, shape = "예의 크기가 1인 축이 있습니다.", show(tuple(exported.example.shape))
            fail(message, idea="예로 추적하기", expected="축마다 2 이상", got=shape, symptom="size-one-example")
        with torch.no_grad():
            check_exported_logits(model(some_ids()), exported.want)
    kinds = {str(one.dtype) for one in exported.given.parameters()} - {"torch.float32"}
    if kinds:
        message, got = "건네받은 모델의 자료형을 바꾸어 놓았습니다.", kinds.pop()
        fail(message, idea="dtype", expected="torch.float32", got=got, symptom="other-dtype")
    if exported.given.training:
        message = "건네받은 모델을 학습 모드로 바꾸어 놓았습니다."
        fail(message, idea="train/eval", expected="평가 모드", got="학습 모드", symptom="training-mode")
    if not called["dynamo"]:
        message, got = "예전 방식으로 내보내어 program에 담길 것이 없습니다.", "dynamo=False"
        fail(message, idea="torch.export", expected="dynamo=True", got=got, symptom="old-exporter")
    if isinstance(error, AttributeError) and "'NoneType' object has no attribute 'save'" in str(error):
        message, got = "program에 내보낸 것이 아니라 저장한 결과를 담았습니다.", "None"
        fail(message, idea="ONNX", expected="torch.onnx.export의 결과", got=got, symptom="saved-early")
    if error is not None and not isinstance(error, Unreadable):
        raise error


@todo("6-3")
def test_batch_and_length_may_change(exported):
    """그래프의 입력은 두 축이 모두 이름이어서, 아무 배치와 길이나 받습니다."""
    if isinstance(exported.error, Unreadable):
        error, about = exported.error, {"idea": "dynamic_shapes", "expected": "{'ids': {0: …, 1: …}}"}
        fail(str(error), got=error.got, symptom=error.symptom, **about)
    if exported.error is not None or not exported.axes:
        test_the_model_itself_is_exported(exported)
        return
    batch, length = exported.axes
    got = f"ids[{batch}, {length}]"
    about = {"idea": "달라지는 축", "expected": "ids[batch, length]", "got": got}
    if isinstance(batch, int) and isinstance(length, int):
        fail("배치도 길이도 example의 것으로 굳었습니다.", symptom="static", **about)
    if isinstance(length, int):
        fail("길이가 example의 것으로 굳었습니다.", symptom="length-fixed", **about)
    if isinstance(batch, int):
        fail("배치가 example의 것으로 굳었습니다.", symptom="batch-fixed", **about)
    if batch and batch == length:
        fail("두 축에 같은 이름을 붙였습니다.", symptom="same-name", **about)
    kinds = [("batch", "배치"), ("length", "길이", "seq")]
    here = [[any(word in name.lower() for word in words) for words in kinds] for name in (batch, length)]
    if here == [[False, True], [True, False]]:
        fail("두 축의 이름이 서로 바뀌었습니다.", symptom="swapped-names", **about)


@todo("6-3")
def test_input_and_output_have_their_names(exported):
    """입력은 ids, 출력은 logits입니다."""
    called = exported.called
    if called is None or exported.error is not None:
        test_the_model_itself_is_exported(exported)
        return
    inputs, outputs = called["input_names"], called["output_names"]
    if inputs is not None and list(inputs) != ["ids"]:
        message = "입력의 이름이 ids가 아닙니다."
        fail(message, idea="입력의 이름", expected="['ids']", got=show(list(inputs)), symptom="input-name")
    if outputs is None or list(outputs) != ["logits"]:
        message, got = "출력의 이름이 logits가 아닙니다.", show(list(outputs)) if outputs else "없음"
        fail(message, idea="출력의 이름", expected="['logits']", got=got, symptom="output-name")


# ── 6-4 양자화

ROWS, IN, OUT, HEAD_OUT = 50, 32, 24, 40
EMBEDDING, WEIGHT, HEAD = "embedding", "weight", "head"


def column_scales() -> np.ndarray:
    """행렬의 열마다의 크기. 1에서 1/1000까지 고르게 작아집니다."""
    return np.geomspace(1, 1e-3, OUT).astype("float32")


def matrices() -> dict[str, np.ndarray]:
    made = np.random.default_rng(0)
    embedding = made.standard_normal((ROWS, IN), dtype="float32")
    weight = made.standard_normal((IN, OUT), dtype="float32") * column_scales()
    head = made.standard_normal((IN, HEAD_OUT), dtype="float32")
    return {EMBEDDING: embedding, WEIGHT: weight, HEAD: head, "bias": np.zeros(OUT, dtype="float32")}


def graph_bytes() -> bytes:
    """임베딩을 찾아 두 행렬을 곱하고 이어 붙이는 ONNX 모델."""
    nodes = [
        helper.make_node("Gather", [EMBEDDING, "ids"], ["x"], name="node_embedding"),
        helper.make_node("MatMul", ["x", WEIGHT], ["y"], name="node_linear"),
        helper.make_node("Add", ["y", "bias"], ["z"], name="node_bias"),
        helper.make_node("MatMul", ["x", HEAD], ["h"], name="node_lm_head"),
        helper.make_node("Concat", ["z", "h"], ["logits"], name="node_cat", axis=-1),
    ]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "length", OUT + HEAD_OUT])
    held = [numpy_helper.from_array(one, name) for name, one in matrices().items()]
    graph = helper.make_graph(nodes, "tiny", [ids], [logits], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()


@pytest.fixture(scope="module")
def quantized(load) -> SimpleNamespace:
    """quantize를 한 번 부른 기록: 읽고 쓴 파일, 건넨 인수, 멈췄다면 그 예외."""
    step, real, folder = load(6), load(6).quantize_dynamic, support.workspace() / "quantize"
    made = SimpleNamespace(source=folder / "model.onnx", target=folder / "model.int8.onnx", called=None, error=None)
    made.calls = []
    folder.mkdir(exist_ok=True)
    made.target.unlink(missing_ok=True)
    made.source.write_bytes(graph_bytes())

    def recorded(*args: Any, **kwargs: Any) -> Any:
        try:
            made.called = inspect.signature(real).bind(*args, **kwargs).arguments
        except TypeError:
            return real(*args, **kwargs)  # 무엇이 빠졌는지 함수의 이름과 함께 알립니다.
        made.calls.append(made.called)
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(step, "quantize_dynamic", recorded)
        try:
            step.quantize(made.source, made.target)
        except Exception as error:  # noqa: BLE001 - 무엇을 건넸는지 먼저 봅니다.
            made.error = error
    return made


def explained(quantized: SimpleNamespace) -> None:
    """멈췄다면, 무엇을 건넸기 때문인지."""
    error, called = quantized.error, quantized.called or {}
    if isinstance(error, TodoNotDone):
        raise error
    source, target = quantized.source, quantized.target
    if not source.exists() or source.read_bytes() != graph_bytes():
        message = "원래 모델의 파일을 바꾸었거나 없앴습니다."
        fail(message, idea="읽을 파일과 쓸 파일", expected="aside에 씀", got="source에 씀", symptom="source-changed")
    if error is None:
        return
    if Path(called.get("model_output", "")) == target or (not called and target.exists()):
        message = "aside가 아니라 target에 바로 썼습니다."
        fail(message, idea="읽을 파일과 쓸 파일", expected="aside", got="target", symptom="wrote-target")
    read = called.get("model_input", source)
    if isinstance(read, (str, Path)) and Path(read) != source:
        got = "target" if Path(read) == target else "aside"
        message = f"{got}에서 읽으려 했습니다."
        fail(message, idea="읽을 파일과 쓸 파일", expected="source", got=got, symptom="read-elsewhere")
    if isinstance(error, NameError) and error.name == "model":
        message = "여기에는 PyTorch의 모델이 없습니다."
        fail(message, idea="ONNX 파일", expected="source(ONNX 파일)", got="model", symptom="not-a-module")
    types, columns = called.get("op_types_to_quantize"), called.get("per_channel", False)
    if isinstance(types, (QuantType, bool)) or not isinstance(columns, (bool, int)):
        place = "op_types_to_quantize" if isinstance(types, (QuantType, bool)) else "per_channel"
        message, got = "인수가 다른 자리에 들어갔습니다.", f"{place}={show(called[place])}"
        fail(message, idea="인수의 자리", expected="이름을 적은 인수", got=got, symptom="positional")
    kind = called.get("weight_type", QuantType.QInt8)
    if not isinstance(kind, QuantType):
        message = "weight_type이 onnxruntime의 자료형이 아닙니다."
        fail(message, idea="weight_type", expected="QuantType의 하나", got=show(kind), symptom="weight-kind")
    if kind not in (QuantType.QInt8, QuantType.QUInt8):
        message = "8비트가 아닌 자료형으로 줄이려 했습니다."
        fail(message, idea="weight_type", expected="8비트", got=kind.name, symptom="not-8-bit")
    if not called and isinstance(error, FileNotFoundError):
        message = "aside에 아무것도 쓰지 않았습니다."
        fail(message, idea="읽을 파일과 쓸 파일", expected="양자화한 모델", got="없음", symptom="nothing-written")
    raise error


@todo("6-4")
def test_the_matrices_are_eight_bit(quantized):
    """행렬곱의 가중치도 임베딩도 8비트 정수입니다."""
    explained(quantized)
    try:
        graph = onnx.load(quantized.target, load_external_data=False).graph
    except DecodeError:
        message = "쓴 파일이 ONNX 모델이 아닙니다."
        fail(message, idea="양자화", expected="ONNX 모델", got="읽을 수 없는 파일", symptom="nothing-written")
    outside = [one.name for one in graph.initializer if one.data_location == TensorProto.EXTERNAL]
    if outside or any(one.get("use_external_data_format") for one in quantized.calls):
        message, got = "가중치를 다른 파일에 따로 썼습니다.", "곁의 .data 파일"
        fail(message, idea="파일 하나", expected="target 안의 가중치", got=got, symptom="external-data")
    kinds = {one.name: TensorProto.DataType.Name(one.data_type) for one in graph.initializer if len(one.dims) > 1}
    if not kinds:
        message = "쓴 파일에 가중치가 없습니다."
        fail(message, idea="양자화", expected="양자화한 모델", got="빈 모델", symptom="nothing-written")
    wide = {name: kind for name, kind in kinds.items() if kind not in ("INT8", "UINT8")}
    if wide and "FLOAT" not in wide.values():
        message, kind = "8비트가 아닌 자료형으로 줄였습니다.", next(iter(wide.values()))
        fail(message, idea="weight_type", expected="INT8", got=kind, symptom="not-8-bit")
    about = {"idea": "op_types_to_quantize", "expected": "INT8"}
    if {EMBEDDING, WEIGHT, HEAD} <= wide.keys():
        by_name = any(one.get("nodes_to_quantize") for one in quantized.calls)
        symptom = "nodes-not-types" if by_name else "nothing-quantized"
        fail("아무것도 줄이지 않았습니다.", got=wide[WEIGHT], symptom=symptom, **about)
    sources = [str(one.get("model_input", "")) for one in quantized.calls]
    if wide and len(sources) > 1 and len(set(sources)) == 1:
        more = {"count": len(sources), "got": f"{len(wide)}개는 {next(iter(wide.values()))}"}
        fail("나중에 쓴 것이 먼저 쓴 것을 덮었습니다.", symptom="overwritten", **about, **more)
    if EMBEDDING in wide:
        fail("임베딩을 줄이지 않았습니다.", got=f"임베딩은 {wide[EMBEDDING]}", symptom="embedding-left", **about)
    if {WEIGHT, HEAD} <= wide.keys():
        fail("행렬곱의 가중치를 줄이지 않았습니다.", got=f"가중치는 {wide[WEIGHT]}", symptom="matmul-left", **about)
    if left := [name for name in (WEIGHT, HEAD) if name in wide]:
        got = f"하나는 {wide[left[0]]}"
        fail("줄이지 않은 행렬곱이 있습니다.", got=got, symptom="one-matmul-left", **about)
    held = [numpy_helper.to_array(one).astype(int) for one in graph.initializer if len(one.dims) > 1]
    if held and any(np.ptp(one) < 200 for one in held):  # 8비트라면 -127에서 127까지, 7비트라면 -64에서 64까지 씁니다.
        narrow = min(np.ptp(one) for one in held)
        more = {"expected": "눈금 255개", "got": f"눈금 {narrow + 1}개"}
        fail("8비트를 다 쓰지 않았습니다.", idea="reduce_range", symptom="reduce-range", **more)


@todo("6-4")
def test_small_columns_survive(quantized):
    """작은 열의 값도 큰 열의 값만큼 잘 남습니다."""
    explained(quantized)
    held, ids = matrices(), np.random.default_rng(1).integers(ROWS, size=(3, 5))
    want = held[EMBEDDING][ids] @ np.concatenate([held[WEIGHT], held[HEAD]], axis=1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(quantized.target), options, providers=["CPUExecutionProvider"])
    except Exception:
        test_the_matrices_are_eight_bit(quantized)
        raise
    (got,) = session.run(None, {"ids": ids})
    size = want.std(axis=(0, 1))  # 열마다의 크기
    # 8비트의 오차는 열의 크기의 4 %쯤입니다. 눈금이 하나뿐이면 작은 열은 250 % 틀립니다.
    if not close(got / size, want / size, 0.3):
        worst = np.abs((got - want) / size).max()
        fail(
            "작은 열의 값이 사라졌습니다.",
            idea="열마다의 눈금",
            expected="오차 30 % 이하",
            got=f"{worst:.0%}",
            symptom="one-scale",
        )
