"""3단계의 검사: 손실, 옵티마이저의 두 묶음, 학습률, 지표."""

from __future__ import annotations

import math
import numbers
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from course.checking import CheckFailed, assert_close, close, fail, matches, show, todo
from tests.task3_lm import support
from todo import TodoNotDone

BATCH, LENGTH, VOCAB = 6, 11, 13  # 서로 달라, 축을 헷갈리면 값이나 모양이 어긋납니다.
SEED = 2264  # 흔한 실수들의 값이 옳은 값과도, 서로와도 다른 시드
ATOL = 1e-3  # 견주는 값의 크기는 1쯤입니다. fp32의 차이는 1e-6쯤, 가장 가까운 실수는 1e-2쯤입니다.
EXACT = 1e-4  # 텐서를 쓰지 않는 식. 32비트로 계산해도 1e-6쯤 다릅니다.


@pytest.fixture
def step3(load):
    return load(3)


def asked(step: Callable, *inputs: Any, known: dict[str, tuple[str, str, str]]) -> Any:
    """부른 결과. 라이브러리가 받을 수 없는 것을 건네어 멈췄으면, 무엇을 건넸는지 말합니다.

    Args:
        known: 예외의 글이나 `@멈춘 파일`의 한 토막 → (증상, 문장, 기대한 것).
    """
    try:
        return step(*inputs)
    except TodoNotDone:
        raise
    except Exception as error:
        place = Path(traceback.extract_tb(error.__traceback__)[-1].filename).name
        text = f"{type(error).__name__}: {error} @{place}"
        found = next((about for piece, about in known.items() if piece in text), None)
        if found is None:
            raise
        symptom, message, expected = found
        failure = CheckFailed(message, idea="건네는 것", expected=expected, got=type(error).__name__, symptom=symptom)
        raise failure.with_traceback(error.__traceback__) from None


def recognise(got: Any, wrong: list[tuple[str, str, Any]], *, atol: float, idea: str, expected: Any) -> None:
    """틀린 값들의 표(증상, 문장, 값)에서 같은 것을 찾으면, 그 실수라고 말합니다. 옳은 값이 아닐 때만 부릅니다."""
    for symptom, message, value in wrong:
        if matches(got, value, atol):
            fail(message, idea=idea, expected=show(expected), got=show(got), symptom=symptom)


def tensors(device: str, *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    """크기가 1쯤인 로짓과 정답. 정답의 절반쯤은 로짓이 가장 큰 토큰이고, 0번 토큰도 있습니다."""
    generator = torch.Generator().manual_seed(SEED)
    logits = 1.5 * torch.randn(*shape, generator=generator)
    targets = torch.randint(shape[-1], shape[:-1], generator=generator)
    right = torch.rand(shape[:-1], generator=generator) < 0.4
    targets = torch.where(right, logits.argmax(dim=-1), targets)
    # 축을 적지 않은 argmax가 내는 번호(2)와, 번호가 아니라 값을 견준 것(3.0)이 우연히 맞는 자리를 둡니다.
    logits[0, 0, 2], logits[1, 1, 1], targets[1, 1] = logits.max() + 1, 3.0, 3
    # 하나도 맞히지 못한 창과 통째로 맞힌 창도 하나씩 둡니다.
    targets[0], targets[-1] = (logits[0].argmax(dim=-1) + 1) % shape[-1], logits[-1].argmax(dim=-1)
    targets[0, 0] = 0
    return logits.to(device), targets.to(device)


@pytest.fixture
def batch(device):
    return tensors(device, BATCH, LENGTH, VOCAB)


@pytest.fixture
def cube(device):
    """배치, 길이, 어휘의 크기가 모두 같아, 축을 헷갈려도 멈추지 않는 로짓과 정답."""
    return tensors(device, 9, 9, 9)


# ── 3-1 손실

UNLIKE = "로짓과 정답의 모양이 서로 맞지 않습니다."
LOSS_ERRORS = {
    "Expected target size": ("unflattened", "배치와 길이의 축을 합치지 않았습니다.", "(예문, 어휘)와 (예문,)"),
    "class probabilities, got": ("predictions-as-logits", "로짓이 아니라 고른 번호를 건넸습니다.", "로짓"),
    "not implemented for 'Long'": ("swapped", "로짓과 정답의 자리를 바꾸어 건넸습니다.", "로짓, 정답의 차례"),
    "to match target batch_size": ("unlike-shapes", UNLIKE, "같은 수의 예문"),
    "expected target dtype": ("not-int64", "정답을 실수로 바꾸어 건넸습니다.", "정수(int64) 번호"),
    "@_reduction.py": ("not-called", "CrossEntropyLoss를 만들면서 로짓을 건넸습니다.", "만든 뒤에 부르기"),
    "For 1D input": ("unlike-shapes", UNLIKE, "(예문, 어휘)와 (예문,)"),
    "multi-target not supported": ("unlike-shapes", UNLIKE, "(예문, 어휘)와 (예문,)"),
}


def picked(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """자리마다 정답의 점수, (배치, 길이)."""
    return scores.gather(-1, targets[..., None])[..., 0]


def reference_losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """자리마다의 교차 엔트로피, (배치, 길이). 정의를 그대로 적습니다."""
    return logits.logsumexp(dim=-1) - picked(logits, targets)


def wrong_losses(logits: torch.Tensor, targets: torch.Tensor) -> list[tuple[str, str, torch.Tensor]]:
    """평균 교차 엔트로피와 헷갈리는 손실들."""
    each = reference_losses(logits, targets)
    mean, probs = each.mean(), logits.softmax(-1)
    batch, length, vocab = logits.shape
    one_hot = functional.one_hot(targets, vocab).float()
    no_log, other = "로그를 하지 않은 값에서 손실을 구했습니다.", "교차 엔트로피가 아닌 손실입니다."
    part, mixed = "일부 자리의 손실만 구했습니다.", "로짓의 줄과 정답의 줄이 어긋났습니다."
    summed, divided = "손실을 평균하지 않고 더했습니다.", "이미 평균한 손실을 다시 나누었습니다."
    return [
        ("shifted-again", "정답을 한 번 더 밀었습니다.", reference_losses(logits[:, :-1], targets[:, 1:]).mean()),
        ("shifted-again", "정답을 한 번 더 밀었습니다.", reference_losses(logits[:, 1:], targets[:, :-1]).mean()),
        ("sum", summed, each.sum()),
        ("sum", summed, each.sum() / batch),
        ("sum", summed, each.sum() / length),
        ("divided-again", divided, mean / batch),
        ("divided-again", divided, mean / length),
        ("divided-again", divided, mean / vocab),
        ("divided-again", divided, mean / (batch * length)),
        ("double-softmax", "softmax를 두 번 했습니다.", reference_losses(probs, targets).mean()),
        ("no-log", no_log, -picked(logits, targets).mean()),
        ("no-log", no_log, -picked(probs, targets).mean()),
        ("sign", "손실의 부호가 반대입니다.", -mean),
        ("bits", "단위가 nat이 아니라 비트입니다.", mean / math.log(2)),
        ("perplexity", "손실이 아니라 혼란도입니다.", mean.exp()),
        ("part-only", part, each[:, -1].mean()),
        ("part-only", part, each[:, :-1].mean()),
        ("part-only", part, each[:, 1:].mean()),
        ("part-only", part, each[0].mean()),
        ("part-only", part, each[-1].mean()),
        ("ignored-token", "0번 토큰이 정답인 자리를 빼고 구했습니다.", each[targets != 0].mean()),
        ("mixed-rows", mixed, functional.cross_entropy(logits.transpose(0, 1).flatten(0, 1), targets.flatten())),
        ("mixed-rows", mixed, functional.cross_entropy(logits.flatten(0, 1), targets.t().flatten())),
        ("mixed-rows", mixed, functional.cross_entropy(logits.reshape(batch, vocab, length), targets)),
        ("mixed-rows", mixed, functional.cross_entropy(logits.permute(2, 0, 1).reshape(-1, vocab), targets.flatten())),
        ("wrong-axis", "어휘가 아닌 축에서 softmax를 했습니다.", -picked(logits.log_softmax(1), targets).mean()),
        ("wrong-axis", "어휘가 아닌 축에서 softmax를 했습니다.", -picked(logits.log_softmax(0), targets).mean()),
        ("own-predictions", "정답이 아니라 예측에 견주었습니다.", reference_losses(logits, logits.argmax(-1)).mean()),
        ("other-loss", other, functional.mse_loss(logits, one_hot)),
        ("other-loss", other, functional.mse_loss(probs, one_hot)),
        ("other-loss", other, functional.binary_cross_entropy_with_logits(logits, one_hot)),
        ("other-loss", other, functional.mse_loss(logits.argmax(-1).float(), targets.float())),
        ("other-loss", other, functional.l1_loss(logits.argmax(-1).float(), targets.float())),
        ("other-loss", other, (logits.argmax(-1) != targets).float().mean()),
    ]


def loss_of(step3: Any, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """`compute_loss`의 결과. 수 하나인 텐서가 아니면 그렇다고 말합니다."""
    got = asked(step3.compute_loss, logits, targets, known=LOSS_ERRORS)
    if not isinstance(got, torch.Tensor):
        kind = type(got).__name__
        symptom = "no-gradient" if isinstance(got, float) else None
        fail("손실이 텐서가 아닙니다.", idea="기울기", expected="텐서", got=kind, symptom=symptom)
    if got.shape != ():
        shape = f"모양 {tuple(got.shape)}"
        fail("손실이 수 하나가 아닙니다.", idea="평균 손실", expected="모양 ()", got=shape, symptom="not-scalar")
    return got


@todo("3-1")
def test_loss_is_the_mean_cross_entropy(step3, batch):
    """손실은 모든 자리의 교차 엔트로피를 평균한 값입니다."""
    logits, targets = batch
    got, want = loss_of(step3, logits, targets), reference_losses(logits, targets).mean()
    if not close(got, want, ATOL):
        recognise(got, wrong_losses(logits, targets), atol=ATOL, idea="교차 엔트로피", expected=want)
    message = "손실이 교차 엔트로피의 평균과 다릅니다."
    assert_close(got, want, atol=ATOL, idea="교차 엔트로피", message=message)


@todo("3-1")
def test_gradient_reaches_every_logit(step3, batch):
    """손실의 기울기는 로짓마다 (확률 - 정답이면 1) / 자리의 수입니다."""
    logits, targets = batch[0].clone().requires_grad_(), batch[1]
    got = loss_of(step3, logits, targets)
    if logits.grad is not None:
        message = "손실을 구하면서 역전파까지 했습니다."
        fail(message, idea="한 걸음의 나눔", expected="기울기 없음", got="기울기 있음", symptom="backward-inside")
    reached = None
    if got.requires_grad:
        got.backward()
        reached = logits.grad
    if reached is None or matches(reached, torch.zeros_like(reached), 0):
        message = "손실과 로짓 사이가 끊어져 있습니다."
        fail(message, idea="기울기", expected="0이 아닌 기울기", got="없음", symptom="no-gradient")
    want = logits.softmax(-1) - functional.one_hot(targets, VOCAB)
    message = "손실의 기울기가 교차 엔트로피의 것과 다릅니다."
    assert_close(reached * targets.numel(), want, atol=ATOL, idea="기울기", message=message)


@todo("3-1")
def test_confident_mistakes_have_a_finite_loss(step3, device):
    """모델이 정답을 굳게 아니라고 해도 손실은 유한합니다."""
    logits = torch.tensor([[[120.0, 0.0, 0.0], [1.0, 1.0, 1.0]]], device=device)
    targets = torch.tensor([[1, 2]], device=device)
    if not close(loss_of(step3, logits / 40, targets), reference_losses(logits / 40, targets).mean(), ATOL):
        return  # 흔한 로짓에서도 틀린 답은 앞의 검사가 말합니다.
    got, want = loss_of(step3, logits, targets), (120 + math.log(3)) / 2
    if not got.isfinite():
        message = "로짓의 차이가 크면 손실이 유한하지 않습니다."
        fail(message, idea="log-softmax", expected=f"{want:.2f}", got=f"{got.item()}", symptom="overflow")
    message = "로짓의 차이가 클 때의 손실이 다릅니다."
    assert_close(got, want, atol=0.01, idea="log-softmax", message=message, symptom="clamped")


# ── 3-2 두 묶음

OPTIMIZER_ERRORS = {
    "more than one parameter group": ("duplicate", "한 파라미터를 두 묶음에 담았습니다.", "저마다 한 번씩"),
    "can't optimize a non-leaf": ("not-parameters", "파라미터가 아닌 것을 담았습니다.", "파라미터의 목록"),
    "KeyError: 'params'": ("no-params-key", "묶음에 params라는 이름이 없습니다.", "params와 weight_decay"),
    "one of the params is str": ("not-parameters", "파라미터가 아닌 것을 담았습니다.", "파라미터의 목록"),
    "one of the params is list": ("not-dicts", "묶음이 사전이 아닙니다.", '{"params": …, "weight_decay": …}'),
    "in ordered collections": ("set", "파라미터를 집합(set)에 담았습니다.", "목록(list)"),
}


class Small(nn.Module):
    """GPT와 같은 이름과 차원의 파라미터를 가진 작은 모듈. 머리는 토큰 임베딩과 가중치를 함께 씁니다."""

    def __init__(self) -> None:
        super().__init__()
        self.token_embedding, self.position_embedding = nn.Embedding(5, 4), nn.Embedding(3, 4)
        block = {"norm1": nn.LayerNorm(4), "qkv": nn.Linear(4, 6), "projection": nn.Linear(6, 4)}
        self.blocks = nn.ModuleList([nn.ModuleDict(block)])
        self.norm = nn.LayerNorm(4)
        self.lm_head = nn.Linear(4, 5, bias=False)
        self.lm_head.weight = self.token_embedding.weight


@pytest.fixture
def small(device):
    return Small().to(device)


@pytest.fixture
def config():
    return support.tiny_config()


def decays_of(step3: Any, model: nn.Module, config: Any) -> dict[int, list[float]]:
    """옵티마이저가 가진 파라미터(의 id)마다, 담긴 묶음들의 weight_decay."""
    optimizer = asked(step3.configure_optimizer, model, config, known=OPTIMIZER_ERRORS)
    if not isinstance(optimizer, torch.optim.Optimizer):
        kind = type(optimizer).__name__
        fail("configure_optimizer의 결과가 옵티마이저가 아닙니다.", idea="AdamW", expected="AdamW", got=kind)
    decays: dict[int, list[float]] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            decays.setdefault(id(parameter), []).append(group["weight_decay"])
    return decays


def kind_of(name: str, parameter: nn.Parameter) -> str:
    if parameter.dim() >= 2:
        return "embedding" if "embedding" in name else "matrix"
    return "norm" if "norm" in name and name.endswith("weight") else "bias"


@todo("3-2")
def test_every_parameter_is_in_one_group(step3, small, config):
    """파라미터는 저마다 꼭 한 묶음에 있습니다. 함께 쓰는 가중치도 한 번만 셉니다."""
    decays = decays_of(step3, small, config)
    own = dict(small.named_parameters())
    counts = {name: len(decays.get(id(parameter), [])) for name, parameter in own.items()}
    if twice := [name for name, count in counts.items() if count > 1]:
        message = f"{twice[0]}이(가) 여러 번 담겼습니다."
        fail(message, idea="파라미터의 묶음", expected="한 번", got=f"{counts[twice[0]]}번", symptom="duplicate")
    if decays and not any(counts.values()):
        message = "모델의 파라미터가 아닌 것이 담겼습니다."
        count = f"{len(decays)}개"
        fail(message, idea="파라미터의 묶음", expected="모델의 파라미터", got=count, symptom="not-parameters")
    if lost := [name for name, count in counts.items() if not count]:
        message = "어느 묶음에도 없는 파라미터가 있습니다."
        found = f"{len(counts) - len(lost)}개"
        fail(message, idea="파라미터의 묶음", expected=f"{len(own)}개", got=found, symptom="missing", name=lost[0])
    if len(decays) > len(own):
        message = "모델의 파라미터가 아닌 것이 담겼습니다."
        count = f"{len(decays)}개"
        fail(message, idea="파라미터의 묶음", expected=f"{len(own)}개", got=count, symptom="not-parameters")


@todo("3-2")
def test_frozen_parameters_stay_out(step3, small, config):
    """얼려 둔(requires_grad=False) 파라미터는 옵티마이저에 없습니다."""
    frozen = {"position_embedding.weight": small.position_embedding.weight, "qkv.bias": small.blocks[0]["qkv"].bias}
    for parameter in frozen.values():
        parameter.requires_grad_(False)
    decays = decays_of(step3, small, config)
    if found := [name for name, parameter in frozen.items() if id(parameter) in decays]:
        message = "얼려 둔 파라미터가 옵티마이저에 담겼습니다."
        fail(message, idea="얼린 파라미터", expected="0개", got=f"{len(found)}개", symptom="frozen", name=found[0])


@todo("3-2")
def test_only_matrices_are_decayed(step3, small, config):
    """weight decay는 행렬에만, 설정의 값으로 걸립니다."""
    decays, want = decays_of(step3, small, config), config.weight_decay
    found: dict[str, set[float]] = {"embedding": set(), "matrix": set(), "norm": set(), "bias": set()}
    for name, parameter in small.named_parameters():
        found[kind_of(name, parameter)].update(decays.get(id(parameter), []))
    matrices, vectors = found["embedding"] | found["matrix"], found["norm"] | found["bias"]
    recognise_decay(found, matrices, vectors, want)
    for name, parameter in small.named_parameters():
        for got in decays.get(id(parameter), []):
            expected = want if parameter.dim() >= 2 else 0.0
            message = f"{name}의 weight_decay가 다릅니다."
            assert_close(got, expected, atol=1e-9, idea="weight decay", message=message)


def recognise_decay(found: dict[str, set[float]], matrices: set[float], vectors: set[float], want: float) -> None:
    default = torch.optim.AdamW([torch.zeros(1)]).defaults["weight_decay"]
    idea, to_matrices, to_vectors = "weight decay", f"행렬에 {want}", "1차원에 0"

    def say(symptom: str, message: str, expected: str, got: Any) -> None:
        fail(message, idea=idea, expected=expected, got=got, symptom=symptom)

    if matrices == vectors == {default}:
        say("no-decay-key", "두 묶음 모두 weight_decay를 적지 않았습니다.", f"{want}와 0", f"모두 {default}")
    if vectors == {default}:
        say("default-decay", "decay를 걸지 않을 묶음에 기본값이 걸렸습니다.", to_vectors, default)
    if matrices == {default}:
        say("default-for-matrices", "행렬에 설정이 아니라 기본값이 걸렸습니다.", to_matrices, default)
    if matrices == vectors == {0.0}:
        say("none-decayed", "어느 것에도 decay가 걸리지 않았습니다.", to_matrices, "모두 0")
    if matrices == vectors == {want}:
        say("all-decayed", "편향과 정규화 층에도 decay가 걸렸습니다.", to_vectors, f"모두 {want}")
    if matrices == {0.0} and vectors == {want}:
        say("reversed", "두 묶음의 decay가 뒤바뀌었습니다.", to_matrices, f"행렬에 0, 1차원에 {want}")
    if found["norm"] == {want}:
        say("norms-decayed", "정규화 층의 weight에 decay가 걸렸습니다.", to_vectors, want)
    if want in found["bias"]:
        say("biases-decayed", "편향에 decay가 걸렸습니다.", to_vectors, want)
    if found["embedding"] == {0.0}:
        say("embeddings-not-decayed", "임베딩에 decay가 걸리지 않았습니다.", to_matrices, 0)
    if vectors == {0.0} and len(matrices) == 1 and matrices != {want}:
        say("not-the-setting", "행렬에 걸린 decay가 설정의 값이 아닙니다.", to_matrices, next(iter(matrices)))


# ── 3-3 학습률

HIGHEST, LOWEST = 4.5, 1.5
TOTAL, WARMUP = 25, 5
RATE_ERRORS = {
    "ZeroDivisionError": ("zero-division", "0으로 나누는 설정이 있습니다.", "어느 설정에서나 학습률"),
}


def rates(step3: Any, steps: list[int], total: int, warmup_rate: float) -> list[float]:
    """걸음마다의 학습률. 가장 높은 것이 4.5, 가장 낮은 것이 1.5입니다."""
    config = support.tiny_config(learning_rate=HIGHEST, min_lr=LOWEST, warmup_rate=warmup_rate)
    made = []
    for step in steps:
        got = asked(step3.learning_rate_at, step, total, config, known=RATE_ERRORS)
        if isinstance(got, torch.Tensor):
            fail("학습률이 텐서입니다.", idea="자료형", expected="float", got="Tensor", symptom="tensor")
        if not isinstance(got, numbers.Real):
            fail("학습률이 수가 아닙니다.", idea="자료형", expected="float", got=type(got).__name__)
        made.append(float(got))
    return made


def cosine(progress: float) -> float:
    """코사인의 반 바퀴: 4.5에서 1.5로."""
    return 3.0 + 1.5 * math.cos(math.pi * progress)


@todo("3-3")
def test_warmup_rises_in_a_straight_line(step3):
    """warmup 동안 곧게 올라, 그 마지막 걸음에 가장 높습니다."""
    steps = list(range(WARMUP))
    got, want = rates(step3, steps, TOTAL, 0.2), [0.9, 1.8, 2.7, 3.6, 4.5]
    if close(got, want, EXACT):
        return
    curves = [
        ("starts-at-zero", "첫 걸음의 학습률이 0입니다.", lambda s: HIGHEST * s / WARMUP),
        ("starts-at-zero", "첫 걸음의 학습률이 0입니다.", lambda s: HIGHEST * s / (WARMUP - 1)),
        ("never-at-the-top", "warmup의 마지막 걸음이 가장 높지 않습니다.", lambda s: HIGHEST * (s + 1) / (WARMUP + 1)),
        ("from-lowest", "0이 아니라 lowest에서 올렸습니다.", lambda s: LOWEST + 3 * s / WARMUP),
        ("from-lowest", "0이 아니라 lowest에서 올렸습니다.", lambda s: LOWEST + 3 * (s + 1) / WARMUP),
        ("from-lowest", "0이 아니라 lowest에서 올렸습니다.", lambda s: LOWEST + 3 * s / (WARMUP - 1)),
        ("fraction-only", "학습률이 아니라 비율입니다.", lambda s: (s + 1) / WARMUP),
        ("fraction-only", "학습률이 아니라 비율입니다.", lambda s: s / WARMUP),
        ("warmup-over-total", "전체 걸음 수로 나누어 올렸습니다.", lambda s: HIGHEST * (s + 1) / TOTAL),
        ("warmup-over-total", "전체 걸음 수로 나누어 올렸습니다.", lambda s: HIGHEST * s / TOTAL),
        ("no-warmup", "올리는 구간이 없습니다.", lambda s: HIGHEST),
        ("no-warmup", "올리는 구간이 없습니다.", lambda s: cosine(s / TOTAL)),
        ("overwritten", "warmup의 학습률을 덮어썼습니다.", lambda s: cosine((s - WARMUP) / (TOTAL - WARMUP))),
        ("warmup-falls", "warmup 동안 올리지 않고 내렸습니다.", lambda s: HIGHEST * (WARMUP - s) / WARMUP),
        ("warmup-falls", "warmup 동안 올리지 않고 내렸습니다.", lambda s: HIGHEST * (1 - (s + 1) / WARMUP)),
        ("warmup-is-rate", "걸음의 수가 아니라 비율로 나누었습니다.", lambda s: HIGHEST * (s + 1) / 0.2),
    ]
    wrong = [(symptom, message, [curve(s) for s in steps]) for symptom, message, curve in curves]
    recognise(got, wrong, atol=EXACT, idea="warmup", expected=want)
    fail("warmup 동안의 학습률이 다릅니다.", idea="warmup", expected=show(want), got=show(got))


@todo("3-3")
def test_cosine_falls_to_the_lowest(step3):
    """warmup이 끝난 걸음에서 가장 높고, 코사인의 반 바퀴를 따라 내려갑니다."""
    steps = list(range(WARMUP, TOTAL))
    got, left = rates(step3, steps, TOTAL, 0.2), TOTAL - WARMUP
    want = [cosine((s - WARMUP) / left) for s in steps]
    if close(got, want, EXACT):
        return
    too_long, early = "warmup이 한 걸음 더 깁니다.", "코사인이 한 걸음 일찍 갑니다."
    whole, linear = "코사인의 비율을 처음부터 세었습니다.", "코사인이 아니라 곧게 내렸습니다."
    high = "highest보다 높은 곳에서 내립니다."
    zero = "lowest가 아니라 0까지 내립니다."
    scale, angle = "코사인의 값을 0과 1 사이로 옮기지 않았습니다.", "코사인에 건넨 각이 반 바퀴가 아닙니다."
    curves = [
        ("counted-from-zero", whole, lambda p, s: cosine(s / TOTAL)),
        ("counted-from-zero", whole, lambda p, s: cosine(s / left)),
        ("divided-by-total", "warmup을 뺀 걸음 수로 나누지 않았습니다.", lambda p, s: cosine((s - WARMUP) / TOTAL)),
        ("ends-early", early, lambda p, s: cosine((s - WARMUP) / (left - 1))),
        ("ends-early", early, lambda p, s: cosine((s - WARMUP + 1) / left)),
        ("to-zero", zero, lambda p, s: HIGHEST * (1 + math.cos(math.pi * p)) / 2),
        ("to-zero", zero, lambda p, s: max(LOWEST, HIGHEST * (1 + math.cos(math.pi * p)) / 2)),
        (
            "too-high",
            high,
            lambda p, s: LOWEST + HIGHEST * (1 + math.cos(math.pi * p)) / 2,
        ),
        ("too-high", high, lambda p, s: LOWEST + 3 * (1 + math.cos(math.pi * p))),
        ("unscaled-cosine", scale, lambda p, s: LOWEST + 3 * math.cos(math.pi * p)),
        ("unscaled-cosine", scale, lambda p, s: LOWEST + 1.5 * math.cos(math.pi * p)),
        ("unscaled-cosine", scale, lambda p, s: HIGHEST * math.cos(math.pi * p)),
        ("unscaled-cosine", scale, lambda p, s: LOWEST + 3 * (1 + math.cos(math.pi * p) / 2)),
        ("not-half-a-turn", angle, lambda p, s: cosine(p / math.pi)),
        ("not-half-a-turn", angle, lambda p, s: cosine(2 * p)),
        ("not-half-a-turn", angle, lambda p, s: cosine(3.14 * p / math.pi)),
        ("not-half-a-turn", angle, lambda p, s: cosine(p / 2)),
        ("not-half-a-turn", angle, lambda p, s: cosine(180 * p / math.pi)),
        ("not-half-a-turn", angle, lambda p, s: LOWEST + 3 * math.cos(math.pi * p / 2)),
        ("rises", "내리지 않고 올립니다.", lambda p, s: 3.0 - 1.5 * math.cos(math.pi * p)),
        ("linear", linear, lambda p, s: HIGHEST - 3 * p),
        ("linear", linear, lambda p, s: HIGHEST * (1 - p)),
        ("no-cosine", "warmup 뒤에 내리지 않습니다.", lambda p, s: HIGHEST),
    ]
    wrong = [(name, says, [curve((s - WARMUP) / left, s) for s in steps]) for name, says, curve in curves]
    wrong.append(("warmup-too-long", too_long, [HIGHEST * (WARMUP + 1) / WARMUP, *want[1:]]))
    wrong.append(("warmup-too-long", too_long, [HIGHEST, *[cosine((s - WARMUP - 1) / (left - 1)) for s in steps[1:]]]))
    wrong.append(("stops-rising-late", "warmup이 끝나도 계속 올립니다.", [HIGHEST * (s + 1) / WARMUP for s in steps]))
    recognise(got, wrong, atol=EXACT, idea="코사인", expected=want)
    fail("warmup 뒤의 학습률이 다릅니다.", idea="코사인", expected=show(want), got=show(got))


@todo("3-3")
def test_rate_stays_at_the_lowest_beyond_the_end(step3):
    """total_steps부터는 lowest에 머뭅니다."""
    steps = [TOTAL, TOTAL + 1, TOTAL + 10, TOTAL + 20, TOTAL + 40]
    got, want = rates(step3, steps, TOTAL, 0.2), [LOWEST] * len(steps)
    if close(got, want, EXACT):
        return
    wrong = [
        ("rises-again", "total_steps 뒤에 학습률이 다시 오릅니다.", [cosine((s - 5) / 20) for s in steps]),
        ("ends-at-zero", "total_steps 뒤의 학습률이 0입니다.", [0.0] * len(steps)),
        ("ends-at-zero", "total_steps 뒤의 학습률이 0입니다.", [LOWEST, *[0.0] * (len(steps) - 1)]),
        ("ends-at-the-top", "total_steps 뒤의 학습률이 가장 높습니다.", [HIGHEST] * len(steps)),
    ]
    recognise(got, wrong, atol=EXACT, idea="마지막 학습률", expected=want)
    fail("total_steps 뒤의 학습률이 lowest가 아닙니다.", idea="마지막 학습률", expected=show(want), got=show(got))


@todo("3-3")
def test_no_warmup_at_all(step3):
    """warmup_rate가 0이면 첫 걸음부터 코사인입니다."""
    got, want = rates(step3, [0, 2, 4, 7, 8], 8, 0.0), [HIGHEST, cosine(0.25), 3.0, cosine(7 / 8), LOWEST]
    message = "warmup_rate가 0일 때의 학습률이 다릅니다."
    assert_close(got, want, atol=EXACT, idea="warmup 없이", message=message)


@todo("3-3")
def test_warmup_is_a_whole_number_of_steps(step3):
    """warmup_rate와 total_steps를 곱한 것이 정수가 아니면 반올림한 걸음 수(3.6 → 4)를 씁니다."""
    got, want = rates(step3, [0, 1, 2, 3, 4, 8, 12], 12, 0.3), [1.125, 2.25, 3.375, 4.5, 4.5, 3.0, LOWEST]
    if close(got, want, EXACT):
        return
    if matches(got[:3], [HIGHEST * (s + 1) / 3.6 for s in range(3)], EXACT):
        message = "반올림하지 않은 걸음 수로 나누었습니다."
        fail(message, idea="warmup", expected=show(want[:4]), got=show(got[:4]), symptom="unrounded")
    fail("warmup이 4걸음일 때의 학습률이 다릅니다.", idea="warmup", expected=show(want), got=show(got))


@todo("3-3")
def test_nothing_but_warmup(step3):
    """warmup_rate가 1이면 마지막 걸음까지 올립니다. 학습을 마친 스케줄러는 그다음 걸음의 학습률도 묻습니다."""
    got = rates(step3, [0, 1, 2, 3, 4, 5, 9], 4, 1.0)
    message = "warmup_rate가 1일 때의 학습률이 다릅니다."
    assert_close(got[:4], [1.125, 2.25, 3.375, 4.5], atol=EXACT, idea="warmup뿐", message=message)
    if not all(LOWEST - EXACT <= one <= HIGHEST + EXACT for one in got[4:]):  # 쓰이지 않으므로 값까지 정하지 않습니다.
        fail("학습을 마친 다음의 학습률이 다릅니다.", idea="warmup뿐", expected=show(LOWEST), got=show(got[4:]))


@todo("3-3")
def test_one_single_step(step3):
    """한 걸음뿐인 학습은 가장 높은 학습률로 걷습니다."""
    got = rates(step3, [0, 1, 2], 1, 0.1)
    message = "total_steps가 1일 때의 학습률이 다릅니다."
    assert_close(got, [HIGHEST, LOWEST, LOWEST], atol=EXACT, idea="한 걸음", message=message)


# ── 3-4 혼란도, 3-5 바이트당 비트

# 한 지표를 다른 지표에서 구한 답도 그 TODO와 상관없이 검사하도록, 검사하는 동안 다른 지표를 이것으로 바꿉니다.
PERPLEXITY = property(lambda self: math.exp(self.loss))
BITS_PER_BYTE = property(lambda self: self.loss / math.log(2) / self.bytes_per_token)
METRIC_ERRORS = {
    "cannot assign to field": ("assigned-to-self", "바꿀 수 없는 지표의 필드에 값을 담았습니다.", "value에 담기"),
}


def metric(step3: Any, name: str, loss: float, bytes_per_token: float = 2.5) -> float:
    """손실과 토큰의 크기에서 구한 지표 하나."""
    made = step3.Metrics(loss, 0.25, bytes_per_token)
    got = asked(lambda: getattr(made, name), known=METRIC_ERRORS)
    if isinstance(got, torch.Tensor):
        fail(f"{name}이(가) 텐서입니다.", idea="자료형", expected="float", got="Tensor", symptom="tensor")
    if not isinstance(got, numbers.Real):
        fail(f"{name}이(가) 수가 아닙니다.", idea="자료형", expected="float", got=type(got).__name__)
    return float(got)


@todo("3-4")
@pytest.mark.parametrize("choices", [7.5, 100.0, 1.0])
def test_perplexity_is_the_number_of_choices(step3, monkeypatch, choices):
    """손실이 ln(n)이면 혼란도는 n입니다."""
    monkeypatch.setattr(step3.Metrics, "bits_per_byte", BITS_PER_BYTE)
    loss = math.log(choices)
    got = metric(step3, "perplexity", loss)
    if close(got, choices, ATOL):
        return
    base = "밑이 e가 아닌 거듭제곱입니다."
    wrong = [
        ("loss-itself", "손실을 그대로 담았습니다.", loss),
        ("base-two", base, 2**loss),
        ("base-two", base, 10**loss),
        ("exp-of-negative", "부호가 반대입니다.", math.exp(-loss)),
        ("log", "지수가 아니라 로그를 했습니다.", math.log(loss) if loss > 0 else math.nan),
        ("log", "지수가 아니라 로그를 했습니다.", math.log2(loss) if loss > 0 else math.nan),
        ("per-byte", "토큰이 아니라 바이트마다의 값입니다.", choices / 2.5),
        ("per-byte", "토큰이 아니라 바이트마다의 값입니다.", math.exp(loss / 2.5)),
        ("square", "e의 거듭제곱이 아니라 손실의 거듭제곱입니다.", loss**2),
        ("square", "e의 거듭제곱이 아니라 손실의 거듭제곱입니다.", loss**math.e),
        ("minus-one", "1이 빠졌습니다.", math.expm1(loss)),
        ("of-accuracy", "손실이 아닌 것에서 구했습니다.", math.exp(0.25)),
        ("of-accuracy", "손실이 아닌 것에서 구했습니다.", math.exp(2.5)),
    ]
    if loss > 0:  # 손실이 0이면 여러 실수의 값이 같습니다.
        recognise(got, wrong, atol=EXACT, idea="혼란도", expected=choices)
    fail("손실에서 구한 혼란도가 다릅니다.", idea="혼란도", expected=show(choices), got=show(got))


@todo("3-4")
def test_diverged_losses_are_reported_too(step3, monkeypatch):
    """손실이 아주 커도 멈추지 않고, 혼란도는 무한대입니다."""
    monkeypatch.setattr(step3.Metrics, "bits_per_byte", BITS_PER_BYTE)
    got = metric(step3, "perplexity", 5e3)
    if not got > 1e300:
        fail("아주 큰 손실의 혼란도가 작습니다.", idea="혼란도", expected="inf", got=show(got))


@todo("3-5")
@pytest.mark.parametrize(("loss", "size"), [(3.0, 2.5), (1.2, 4.0)])
def test_bits_per_byte_changes_both_units(step3, monkeypatch, loss, size):
    """nat은 비트로, 토큰은 바이트로 바꿉니다."""
    monkeypatch.setattr(step3.Metrics, "perplexity", PERPLEXITY)
    got, want = metric(step3, "bits_per_byte", loss, size), loss / (size * 0.6931471805599453)
    if close(got, want, EXACT):
        return
    ln2 = math.log(2)
    nats, tokens = "nat을 비트로 바꾸지 않았습니다.", "토큰을 바이트로 바꾸지 않았습니다."
    log = "손실의 로그를 구했습니다."
    wrong = [
        ("still-nats", nats, loss / size),
        ("still-tokens", tokens, loss / ln2),
        ("times-ln2", "ln 2로 나누지 않고 곱했습니다.", loss * ln2 / size),
        ("times-bytes", "토큰의 크기로 나누지 않고 곱했습니다.", loss / ln2 * size),
        ("times-bytes", "토큰의 크기로 나누지 않고 곱했습니다.", loss * size),
        ("times-both", "둘 다 나누지 않고 곱했습니다.", loss * ln2 * size),
        ("log-of-loss", log, math.log2(loss) / size),
        ("log-of-loss", log, math.log2(loss / size)),
        ("log-of-loss", log, math.log(loss) / size),
        ("per-bit", "바이트를 비트 여덟 개로 다시 나누었습니다.", want / 8),
        ("per-bit", "바이트를 비트 여덟 개로 다시 나누었습니다.", want * 8),
        ("per-bit", "바이트를 비트 여덟 개로 다시 나누었습니다.", loss / size / 8),
        ("base-ten", "밑이 2가 아닌 로그로 바꾸었습니다.", loss / math.log(10) / size),
        ("base-ten", "밑이 2가 아닌 로그로 바꾸었습니다.", loss / math.log(8) / size),
        ("halved", "ln 2가 아니라 2로 나누었습니다.", loss / 2 / size),
        ("loss-itself", "손실을 그대로 담았습니다.", loss),
        ("of-perplexity", "손실이 아니라 혼란도를 나누었습니다.", math.exp(loss)),
        ("of-perplexity", "손실이 아니라 혼란도를 나누었습니다.", math.exp(loss) / size),
        ("of-perplexity", "손실이 아니라 혼란도를 나누었습니다.", math.exp(loss) / ln2 / size),
        ("upside-down", "위와 아래가 뒤바뀌었습니다.", 1 / want),
        ("upside-down", "위와 아래가 뒤바뀌었습니다.", size / loss / ln2),
        ("of-accuracy", "손실이 아니라 정확도에서 구했습니다.", 0.25 / ln2 / size),
    ]
    recognise(got, wrong, atol=EXACT, idea="바이트당 비트", expected=want)
    fail("바이트당 비트가 다릅니다.", idea="바이트당 비트", expected=show(want), got=show(got))


# ── 3-6 정확도

SHAPES = "고른 번호와 정답의 모양이 다릅니다."
ACCURACY_ERRORS = {
    "'bool' object has no attribute": ("one-bool", "견준 결과가 텐서가 아닙니다.", "자리마다의 참과 거짓"),
    "could not infer output dtype": ("mean-of-bool", "참과 거짓을 그대로 평균했습니다.", "실수로 바꾼 것의 평균"),
}


def accuracy_from(step3: Any, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """`accuracy_of`의 결과. 수 하나인 실수 텐서가 아니면 그렇다고 말합니다."""
    got = asked(step3.accuracy_of, logits, targets, known=ACCURACY_ERRORS)
    if not isinstance(got, torch.Tensor):
        kind, symptom = type(got).__name__, {float: "not-a-tensor", bool: "one-bool"}.get(type(got))
        fail("정확도가 텐서가 아닙니다.", idea="자료형", expected="텐서", got=kind, symptom=symptom)
    if got.shape != ():
        shape = f"모양 {tuple(got.shape)}"
        fail("정확도가 수 하나가 아닙니다.", idea="비율", expected="모양 ()", got=shape, symptom="not-scalar")
    return got


def wrong_accuracies(logits: torch.Tensor, targets: torch.Tensor) -> list[tuple[str, str, Any]]:
    """정확도와 헷갈리는 값들."""
    best = logits.argmax(dim=-1)
    hits = (best == targets).float()
    batch, length, vocab = logits.shape
    top = "가장 높은 하나가 아니라 여럿에서 찾았습니다."
    mixed = (best.t().flatten() == targets.flatten()).float().mean()
    count, part = "비율이 아니라 개수입니다.", "일부 자리만 견주었습니다."
    shifted, size = "정답을 한 번 더 밀었습니다.", "모든 자리의 수로 나누지 않았습니다."
    windows = "자리가 아니라 창을 세었습니다."
    flat, index = "모든 로짓에서 하나만 골랐습니다.", "번호가 아니라 값을 견주었습니다."
    return [
        ("count", count, hits.sum()),
        ("percent", "비율이 아니라 백분율입니다.", hits.mean() * 100),
        ("reversed", "틀린 자리의 비율입니다.", 1 - hits.mean()),
        ("argmin", "로짓이 가장 작은 토큰을 골랐습니다.", (logits.argmin(dim=-1) == targets).float().mean()),
        ("shifted-again", shifted, (best[:, :-1] == targets[:, 1:]).float().mean()),
        ("shifted-again", shifted, (best[:, 1:] == targets[:, :-1]).float().mean()),
        ("divisor", size, hits.sum() / batch),
        ("divisor", size, hits.sum() / length),
        ("divisor", size, hits.mean() / batch),
        ("divisor", size, hits.sum() / logits.numel()),
        ("part-only", part, hits[:, -1].mean()),
        ("part-only", part, hits[1].mean()),
        ("part-only", part, hits[:, :-1].mean()),
        ("mixed-order", "고른 번호와 정답의 차례가 어긋났습니다.", mixed),
        ("whole-windows", windows, hits.amin(dim=1).mean()),
        ("whole-windows", windows, hits.amax(dim=1).mean()),
        *[("top-k", top, in_top(logits, targets, k)) for k in (2, 3, 5) if k < vocab],
        ("values", index, (logits.amax(dim=-1) == targets).float().mean()),
        ("flat", flat, (logits.argmax() == targets).float().mean()),
        ("probability", "맞힌 비율이 아니라 확률의 평균입니다.", picked(logits.softmax(-1), targets).mean()),
        ("own-predictions", "정답이 아닌 것과 견주었습니다.", 1.0),
    ]


def in_top(logits: torch.Tensor, targets: torch.Tensor, k: int) -> torch.Tensor:
    return (logits.topk(k, dim=-1).indices == targets[..., None]).any(-1).float().mean()


def confused_axes(logits: torch.Tensor, targets: torch.Tensor) -> list[tuple[str, str, Any]]:
    """모든 축의 크기가 같을 때에만 값이 나오는, 축을 헷갈린 정확도들."""
    wrong_axis = "어휘가 아닌 축에서 골랐습니다."
    kept = logits.argmax(dim=-1, keepdim=True)
    return [
        ("wrong-axis", wrong_axis, (logits.argmax(dim=1) == targets).float().mean()),
        ("wrong-axis", wrong_axis, (logits.argmax(dim=0) == targets).float().mean()),
        ("keepdim", "고른 번호에 축이 하나 남았습니다.", (kept == targets).float().mean()),
        ("values", "번호가 아니라 값을 견주었습니다.", (logits == targets[..., None]).float().mean()),
    ]


@todo("3-6")
def test_accuracy_is_the_share_of_right_positions(step3, batch):
    """정확도는 모든 자리 가운데 맞힌 자리의 비율, 0~1입니다."""
    logits, targets = batch
    got, want = accuracy_from(step3, logits, targets), (logits.argmax(-1) == targets).double().mean()
    if not close(got, want, ATOL):
        recognise(got, wrong_accuracies(logits, targets), atol=EXACT, idea="정확도", expected=want)
    assert_close(got, want, atol=ATOL, idea="정확도", message="맞힌 자리의 비율과 다릅니다.")


@todo("3-6")
def test_accuracy_of_confusable_axes(step3, cube):
    """배치, 길이, 어휘의 크기가 같아도 어휘의 축에서 고릅니다."""
    logits, targets = cube
    got, want = accuracy_from(step3, logits, targets), (logits.argmax(-1) == targets).double().mean()
    if not close(got, want, ATOL):
        wrong = [*wrong_accuracies(logits, targets), *confused_axes(logits, targets)]
        recognise(got, wrong, atol=EXACT, idea="argmax의 축", expected=want)
    message = "배치, 길이, 어휘의 크기가 같을 때의 정확도가 다릅니다."
    assert_close(got, want, atol=ATOL, idea="argmax의 축", message=message)


@todo("3-6")
def test_accuracy_can_be_one_and_zero(step3, batch):
    """모두 맞히면 1, 모두 틀리면 0입니다."""
    logits, _ = batch
    best = logits.argmax(dim=-1)
    for targets, want in ((best, 1.0), ((best + 1) % VOCAB, 0.0)):
        message = f"모두 {'맞힌' if want else '틀린'} 배치의 정확도가 다릅니다."
        assert_close(accuracy_from(step3, logits, targets), want, atol=ATOL, idea="정확도", message=message)
