"""1-4의 검사: 구조에 맞는 모델."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from course.checks.recognising import explained, recognise, require_value, when
from course.checks.words import close, fail, matches, todo
from nlpbook.summarization.config import SummarizationConfig
from tests.task2_summarization.checks import models

NAMES = ("kobart", "kogpt2")
SHAPES = {  # 모양을 정하는 설정들
    "kobart": ("vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_ffn_dim", "decoder_ffn_dim"),
    "kogpt2": ("vocab_size", "n_embd", "n_layer", "n_head", "n_positions"),
}
NICKNAMES = {
    "kobart": "가 작은 모델",
    "kogpt2": "나 작은 모델",
}  # 구조를 알려 주지 않고, 빈칸이 있어 허브의 이름이 될 수 없습니다. resolve_pretrained를 지나야 폴더가 됩니다.
Load = Callable[..., Any]


@pytest.fixture(scope="module")
def ask(load) -> Load:
    """학생의 함수로 만든 모델. `ask("kobart", load_pretrained=True)`. 같은 것은 한 번만 만듭니다."""
    step = load(1)
    kept: dict[Any, Any] = {}

    def asked(name: str, *, load_pretrained: bool, seed: int = 61) -> Any:
        key = name, load_pretrained, seed
        if key not in kept:
            kept[key] = loaded(step, name, load_pretrained, seed)
        return kept[key]

    return asked


def loaded(step: Any, name: str, load_pretrained: bool, seed: int) -> Any:
    config = SummarizationConfig()
    config.model.architecture = name
    config.model.checkpoint = NICKNAMES[name]
    config.model.load_pretrained = load_pretrained
    before = config.to_text()
    place = str(models.folder(name))
    known = (
        when("<class 'str'>", "config-by-name", idea="AutoConfig", expected="설정 객체", got="글(str)"),
        when(
            "class.*SummarizationConfig", "config-by-name", idea="AutoConfig", expected="모델의 설정", got="실험의 설정"
        ),
        when("작은 모델", "wrong-name", idea="모델의 이름", expected="checkpoint", got=config.model.checkpoint),
    )
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(), explained(*known):
        patch.setattr(step, "resolve_pretrained", lambda *_: place)
        for auto_class in (AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM):
            patch.setattr(auto_class, "from_config", shape_first(auto_class, name))
        torch.manual_seed(seed)
        made = step.load_pretrained_model(config)
    if config.to_text() != before:
        fail(idea="부작용", expected="그대로", got="달라진 설정", symptom="inputs-changed", name="config")
    return require_value(made, "model")


def shape_first(auto_class: Any, name: str) -> Any:
    """모델을 만들기 전에 설정의 모양부터 보는 `from_config`. 기본 설정의 모델은 커서 만드는 데 오래 걸립니다."""
    build = auto_class.from_config

    def from_config(config: Any, **more: Any) -> Any:
        require_shape(config, name)
        return build(config, **more)

    return from_config


def require_shape(config: Any, name: str) -> None:
    """어휘와 층의 수가 저장된 모델의 것과 다르면 그렇다고 말합니다."""
    for key in SHAPES[name]:
        there = getattr(models.model(name).config, key)
        here = getattr(config, key, there)
        if here != there:
            fail(idea="AutoConfig", expected=f"{key} {there}", got=f"{key} {here}", symptom="other-shape")


def kind_of(ask: Load, name: str, load_pretrained: bool) -> str:
    """학생이 만든 것의 종류: 고른 자동 클래스의 이름, 또는 클래스의 이름."""
    try:
        made = ask(name, load_pretrained=load_pretrained)
    except ValueError as error:  # 이 자동 클래스는 이 구조를 모릅니다.
        auto_class = str(error).split("AutoModel: ")[-1].split(".")[0]
        if not auto_class.startswith("AutoModel"):
            raise
        return auto_class
    class_name = type(made).__name__
    return {
        "BartForConditionalGeneration": "AutoModelForSeq2SeqLM",
        "BartForCausalLM": "AutoModelForCausalLM",
        "GPT2LMHeadModel": "AutoModelForCausalLM",
        "BartModel": "AutoModel",
        "GPT2Model": "AutoModel",
    }.get(class_name, class_name)


SEQ2SEQ, CAUSAL, BODY = "AutoModelForSeq2SeqLM", "AutoModelForCausalLM", "AutoModel"
RIGHT = (SEQ2SEQ, CAUSAL)  # kobart, kogpt2


@todo("1-4")
@pytest.mark.parametrize("load_pretrained", [True, False], ids=["배운 것", "모양만"])
def test_each_architecture_gets_its_own_kind_of_model(ask, load_pretrained):
    """인코더-디코더는 AutoModelForSeq2SeqLM, 디코더뿐인 것은 AutoModelForCausalLM입니다."""
    got = tuple(kind_of(ask, name, load_pretrained) for name in NAMES)
    if got == RIGHT:
        return
    shown = ", ".join(f"{name} {kind}" for name, kind in zip(NAMES, got, strict=True))
    expected = ", ".join(f"{name} {kind}" for name, kind in zip(NAMES, RIGHT, strict=True))
    wrong = [
        ("swapped", (CAUSAL, SEQ2SEQ)),
        ("always-seq2seq", (SEQ2SEQ, SEQ2SEQ)),
        ("always-causal", (CAUSAL, CAUSAL)),
        ("body-only", (BODY, BODY)),
    ]
    recognise(got, wrong, idea="자동 클래스", expected=expected, shown=shown)
    fail("구조에 맞는 종류의 모델이 아닙니다.", idea="자동 클래스", expected=expected, got=shown)


def is_right_kind(ask: Load, load_pretrained: bool) -> bool:
    return tuple(kind_of(ask, name, load_pretrained) for name in NAMES) == RIGHT


def share_saved(made: Any, name: str, same_as: Callable[..., bool] = matches) -> float:
    """저장된 행렬 가운데 모델에 그대로 있는 것의 비율, 0~1. 나머지는 배우기 전에도 0이나 1로 같습니다.

    그대로여야 옳은 곳에서는 `close`로, 그대로면 틀린 곳에서는 `matches`로 봅니다.
    """
    here = made.state_dict()
    matrices = {key: value for key, value in models.saved_weights(name).items() if value.dim() == 2 and value.std() > 0}
    same = [key for key, value in matrices.items() if key in here and same_as(here[key], value, 1e-3)]
    return len(same) / len(matrices)


@todo("1-4")
@pytest.mark.parametrize("name", NAMES)
def test_pretrained_model_brings_the_learned_weights(ask, name):
    """load_pretrained가 참이면 저장된 가중치를 그대로 읽습니다."""
    if not is_right_kind(ask, True):
        return
    made = ask(name, load_pretrained=True)
    share = share_saved(made, name, close)
    if share == 1:
        return
    idea, expected, got = "사전학습", "저장된 가중치", f"저장된 행렬의 {share:.0%}"
    again = ask(name, load_pretrained=True, seed=67)
    if share == 0 and not matches(again.get_input_embeddings().weight, made.get_input_embeddings().weight, 1e-3):
        inverted = is_right_kind(ask, False) and share_saved(ask(name, load_pretrained=False), name) == 1
        symptom = "inverted" if inverted else "never-pretrained"
        fail(idea=idea, expected=expected, got="새로 뽑은 난수", symptom=symptom)
    fail("모델의 가중치가 저장된 것과 다릅니다.", idea=idea, expected=expected, got=got)


@todo("1-4")
@pytest.mark.parametrize("name", NAMES)
def test_untrained_model_has_the_shape_alone(ask, name):
    """load_pretrained가 거짓이면 모양은 같고, 가중치는 새로 뽑은 난수입니다."""
    if not is_right_kind(ask, False):
        return
    made = ask(name, load_pretrained=False)
    require_shape(made.config, name)
    if any(one.is_meta for one in made.parameters()):
        fail("가중치에 값이 없습니다.", idea="from_config", expected="난수", got="빈 자리(meta)")
    share = share_saved(made, name)
    if share == 1:
        never = is_right_kind(ask, True) and share_saved(ask(name, load_pretrained=True), name) == 0
        symptom = "inverted" if never else "always-pretrained"
        fail(idea="load_pretrained", expected="새로 뽑은 난수", got="저장된 가중치", symptom=symptom)
    if share > 0:
        got = f"저장된 행렬의 {share:.0%}"
        fail("배운 가중치가 섞여 있습니다.", idea="load_pretrained", expected="새로 뽑은 난수", got=got)


@todo("1-4")
@pytest.mark.parametrize("load_pretrained", [True, False], ids=["배운 것", "모양만"])
def test_weights_have_32_bits(ask, load_pretrained):
    """16비트로 저장된 모델도 32비트로 읽고, 만듭니다."""
    if not is_right_kind(ask, load_pretrained):
        return
    made = {name: ask(name, load_pretrained=load_pretrained) for name in NAMES}
    found = {name: {one.dtype for one in one.parameters()} for name, one in made.items()}
    if all(one == {torch.float32} for one in found.values()):
        return
    wrong = next(one for one in found.values() if one != {torch.float32})
    said = {"idea": "정밀도", "expected": "torch.float32", "got": ", ".join(sorted(map(str, wrong)))}
    if found == {name: {dtype} for name, dtype in models.SAVED_DTYPES.items()}:
        fail(symptom="half-weights" if load_pretrained else "half-shape", **said)
    if len(wrong) == 1 and len({frozenset(one) for one in found.values()}) == 1:
        fail(symptom="other-precision", **said)
    fail("가중치가 32비트가 아닙니다.", **said)


@todo("1-4")
@pytest.mark.parametrize("load_pretrained", [True, False], ids=["배운 것", "모양만"])
def test_every_weight_can_learn(ask, load_pretrained):
    """4단계의 학습은 모든 가중치를 바꿉니다."""
    if not is_right_kind(ask, load_pretrained):
        return
    for name in NAMES:
        every = list(ask(name, load_pretrained=load_pretrained).parameters())
        frozen = sum(not one.requires_grad for one in every)
        if frozen:
            fail(idea="미세조정", expected="0개", got=f"{len(every)}개 중 {frozen}개", symptom="frozen")


@todo("1-4")
def test_an_unreadable_checkpoint_is_not_hidden(load, ask):
    """저장된 가중치를 읽지 못하면 멈춥니다. 배우지 않은 모델을 배운 것인 듯이 돌려주지 않습니다."""
    if not is_right_kind(ask, True):
        return
    asked = []

    def unreadable(*inputs: Any, **more: Any) -> Any:
        asked.append(inputs)
        raise OSError("Unable to load weights")

    with pytest.MonkeyPatch.context() as patch:
        for auto_class in (AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM):
            patch.setattr(auto_class, "from_pretrained", unreadable)
        try:
            loaded(load(1), "kobart", load_pretrained=True, seed=61)
        except Exception:  # noqa: BLE001 - 무엇으로 멈추든 숨기지 않은 것입니다.
            return
    if asked:
        fail(idea="예외", expected="OSError", got="오류 없이 나온 모델", symptom="swallowed")
