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

from course.checks.words import CheckFailed, assert_close, close, fail, matches, show, todo
from tests.task3_lm import support
from todo import TodoNotDone

BATCH, LENGTH, VOCAB = 6, 11, 13  # 서로 달라, 축을 헷갈리면 값이나 모양이 어긋납니다.
SEED = 9913  # 흔한 실수들의 값이 옳은 값과도, 서로와도 다른 시드
ATOL = 1e-3  # 견주는 값의 크기는 1쯤입니다. fp32의 차이는 1e-6쯤, 가장 가까운 실수는 1e-2쯤입니다.
EXACT = 1e-4  # 텐서를 쓰지 않는 식. 32비트로 계산해도 1e-6쯤 다릅니다.
FINE = 2e-5  # 소수 넷째 자리에서 반올림한 것과 3e-5쯤 다르게 고른 지표의 값
SHARE = 4e-6  # 지표를 옳은 값으로 나눈 것과 1의 차이. 지표의 실수를 서로 가려낼 때에도 씁니다.


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
NO_F = ("alias", "이 파일에 없는 이름 F를 썼습니다.", "이 파일이 불러온 이름")
IN_PLACE = "건네받은 텐서를 제자리에서 바꾸었습니다."
LOSS_ERRORS = {
    "name 'F' is not defined": NO_F,
    "is being used in an in-place operation": ("in-place", IN_PLACE, "그대로인 로짓"),
    "modified by an inplace operation": ("in-place", IN_PLACE, "그대로인 로짓"),
    "Expected target size": ("unflattened", "배치와 길이의 축을 합치지 않았습니다.", "(예문, 어휘)와 (예문,)"),
    "class probabilities, got": ("predictions-as-logits", "로짓이 아니라 고른 번호를 건넸습니다.", "로짓"),
    "not implemented for 'Long'": ("swapped", "로짓과 정답의 자리를 바꾸어 건넸습니다.", "로짓, 정답의 차례"),
    "to match target batch_size": ("unlike-shapes", UNLIKE, "같은 수의 예문"),
    "expected target dtype": ("not-int64", "정답의 자료형을 바꾸어 건넸습니다.", "정수(int64) 번호"),
    "@_reduction.py": ("not-called", "CrossEntropyLoss를 만들면서 로짓을 건넸습니다.", "만든 뒤에 부르기"),
    "For 1D input": ("unlike-shapes", UNLIKE, "(예문, 어휘)와 (예문,)"),
    "For 1D target": ("unlike-shapes", UNLIKE, "(예문, 어휘)와 (예문,)"),
    "multi-target not supported": ("unlike-shapes", UNLIKE, "(예문, 어휘)와 (예문,)"),
    "size mismatch (got input": ("unlike-shapes", UNLIKE, "(예문, 어휘)와 (예문,)"),
}


def picked(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """자리마다 정답의 점수, (배치, 길이)."""
    return scores.gather(-1, targets[..., None])[..., 0]


def reference_losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """자리마다의 교차 엔트로피, (배치, 길이). 정의를 그대로 적습니다."""
    return logits.logsumexp(dim=-1) - picked(logits, targets)


def smoothed(logits: torch.Tensor, targets: torch.Tensor, share: float) -> torch.Tensor:
    """정답의 확률 가운데 `share`를 모든 토큰에 고르게 나누어 준(label smoothing) 손실."""
    return ((1 - share) * reference_losses(logits, targets) - share * logits.log_softmax(-1).mean(-1)).mean()


def wrong_losses(logits: torch.Tensor, targets: torch.Tensor) -> list[tuple[str, str, torch.Tensor]]:
    """평균 교차 엔트로피와 헷갈리는 손실들."""
    each = reference_losses(logits, targets)
    mean, probs = each.mean(), logits.softmax(-1)
    batch, length, vocab = logits.shape
    one_hot = functional.one_hot(targets, vocab).float()
    no_log, other = "로그를 하지 않은 값에서 손실을 구했습니다.", "교차 엔트로피가 아닌 손실입니다."
    part, mixed = "일부 자리의 손실만 구했습니다.", "로짓의 줄과 정답의 줄이 어긋났습니다."
    best, smooth = logits.argmax(-1), "정답의 확률을 다른 토큰에 나누어 주었습니다."
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
        ("mixed-rows", mixed, functional.cross_entropy(logits.transpose(1, 2).reshape(-1, vocab), targets.flatten())),
        ("wrong-axis", "어휘가 아닌 축에서 softmax를 했습니다.", -picked(logits.log_softmax(1), targets).mean()),
        ("wrong-axis", "어휘가 아닌 축에서 softmax를 했습니다.", -picked(logits.log_softmax(0), targets).mean()),
        ("own-predictions", "정답이 아니라 예측에 견주었습니다.", reference_losses(logits, best).mean()),
        *[("smoothed", smooth, smoothed(logits, targets, share)) for share in (0.05, 0.1, 0.2)],
        ("other-loss", other, functional.mse_loss(logits, one_hot)),
        ("other-loss", other, functional.mse_loss(probs, one_hot)),
        ("other-loss", other, functional.binary_cross_entropy_with_logits(logits, one_hot)),
        ("other-loss", other, functional.mse_loss(best.float(), targets.float())),
        ("other-loss", other, functional.l1_loss(best.float(), targets.float())),
        ("other-loss", other, (best != targets).float().mean()),
    ]


def loss_of(step3: Any, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """`compute_loss`의 결과. 수 하나인 텐서가 아니면 그렇다고 말합니다."""
    got = asked(step3.compute_loss, logits, targets, known=LOSS_ERRORS)
    if not isinstance(got, torch.Tensor):
        kind = type(got).__name__
        symptom = "no-gradient" if hasattr(got, "__float__") else None
        fail("손실이 텐서가 아닙니다.", idea="기울기", expected="텐서", got=kind, symptom=symptom)
    if got.shape != ():
        shape = f"모양 {tuple(got.shape)}"
        fail("손실이 수 하나가 아닙니다.", idea="평균 손실", expected="모양 ()", got=shape, symptom="not-scalar")
    return got


@todo("3-1")
def test_loss_is_the_mean_cross_entropy(step3, batch):
    """손실은 모든 자리의 교차 엔트로피를 평균한 값입니다."""
    logits, targets = batch
    got, want = loss_of(step3, logits.clone(), targets.clone()), reference_losses(logits, targets).mean()
    if not close(got, want, ATOL):
        recognise(got, wrong_losses(logits, targets), atol=ATOL, idea="교차 엔트로피", expected=want)
    message = "손실이 교차 엔트로피의 평균과 다릅니다."
    assert_close(got, want, atol=ATOL, idea="교차 엔트로피", message=message)


@todo("3-1")
def test_one_window_or_one_position_has_a_loss_too(step3, batch):
    """창이 하나뿐이거나 창의 길이가 1이어도 모든 자리의 평균입니다."""
    logits, targets = batch
    each = reference_losses(logits, targets)
    if not close(loss_of(step3, logits.clone(), targets.clone()), each.mean(), ATOL):
        return  # 흔한 크기에서도 틀린 답은 앞의 검사가 말합니다.
    for part in (slice(None), slice(1)), (slice(1), slice(None)), (slice(1), slice(1)):
        got = of_ones(loss_of, step3, logits[part].clone(), targets[part].clone())
        fail_of_ones("손실", logits[part], got, each[part].mean(), close(got, each[part].mean(), ATOL))


def of_ones(step: Callable, step3: Any, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """크기가 1인 축이 있는 로짓에서 부른 결과. 흔한 크기에서는 옳은 답이 멈추었으면 NaN입니다."""
    try:
        return step(step3, logits, targets)
    except (CheckFailed, IndexError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, TodoNotDone):
            raise
        return torch.tensor(math.nan)


def fail_of_ones(what: str, logits: torch.Tensor, got: torch.Tensor, want: torch.Tensor, is_right: bool) -> None:
    """크기가 1인 축이 있을 때만 틀렸다고 말합니다."""
    if not is_right:
        shape, came = tuple(logits.shape), "멈춤" if got.isnan() else show(got)
        message = f"로짓의 모양이 {shape}일 때의 {what}이(가) 다릅니다."
        fail(message, idea="크기가 1인 축", expected=show(want), got=came, symptom="of-ones", shape=str(shape))


@todo("3-1")
def test_loss_leaves_its_inputs_alone(step3, batch):
    """로짓과 정답은 부른 사람의 것입니다. 손실을 구한 뒤에도 그대로입니다."""
    unchanged(lambda: loss_of(step3, *batch), batch)


def unchanged(step: Callable, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    """`step`을 부른 뒤에도 로짓과 정답이 그대로인지 봅니다."""
    before = [one.clone() for one in batch]
    step()
    for name, now, was in zip(("로짓", "정답"), batch, before, strict=True):
        if not torch.equal(now, was):
            fail(IN_PLACE, idea="제자리 연산", expected=f"그대로인 {name}", got=f"달라진 {name}", symptom="in-place")


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
    "not supported between instances of": (
        "not-a-number",
        "차원의 수가 아닌 것을 수와 견주었습니다.",
        "차원의 수",
    ),
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


class Varied(Small):
    """차원이 0, 3, 4인 파라미터도 있는 모듈."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.conv, self.patches = nn.Conv1d(4, 4, 3), nn.Conv2d(3, 4, 2, bias=False)


@pytest.fixture
def varied(device):
    return Varied().to(device)


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


@todo("3-2")
def test_any_number_of_dimensions_is_welcome(step3, small, varied, config):
    """0차원도 3차원도 꼭 한 묶음에 있고, 2차원 이상이면 모두 decay가 걸립니다."""
    usual = decays_of(step3, small, config)
    if not all(usual.get(id(one)) == [config.weight_decay * (one.dim() >= 2)] for one in small.parameters()):
        return  # 흔한 파라미터에서도 틀린 답은 다른 검사가 말합니다.
    decays, idea = decays_of(step3, varied, config), "차원의 수"
    for name, parameter in varied.named_parameters():
        got, kind = decays.get(id(parameter), []), f"{parameter.dim()}차원"
        if len(got) != 1:
            message = f"{kind}인 {name}이(가) 꼭 한 묶음에 있지 않습니다."
            symptom = "exactly-one-and-two" if not got else "duplicate"
            fail(message, idea=idea, expected="한 번", got=f"{len(got)}번", symptom=symptom, name=name, kind=kind)
        want = config.weight_decay if parameter.dim() >= 2 else got[0]  # 0차원은 어느 묶음에 있어도 괜찮습니다.
        want = 0.0 if parameter.dim() == 1 else want
        symptom = "only-two-dimensions" if parameter.dim() > 2 and matches(got[0], 0.0, 1e-9) else None
        message = f"{kind}인 {name}의 weight_decay가 다릅니다."
        assert_close(got[0], want, atol=1e-9, idea=idea, message=message, symptom=symptom, name=name, kind=kind)


@todo("3-2")
def test_groups_say_nothing_but_the_decay(step3, small, config):
    """학습률과 두 beta는 묶음이 아니라 AdamW가 받습니다. 모든 묶음에서 설정의 값입니다."""
    optimizer = asked(step3.configure_optimizer, small, config, known=OPTIMIZER_ERRORS)
    for group in getattr(optimizer, "param_groups", []):
        got, want = [group["lr"], *group["betas"]], [config.learning_rate, config.beta1, config.beta2]
        message = "묶음에 weight_decay가 아닌 설정까지 적었습니다."
        assert_close(got, want, atol=1e-9, idea="묶음의 설정", message=message, symptom="own-settings")


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

HIGHEST, LOWEST = 4.5, 1.2  # 둘의 차이나 그 절반이 다시 둘 가운데 하나가 되지 않게
SPAN, MIDDLE = 3.3, 2.85
TOTAL, WARMUP = 25, 5
RATE_ERRORS = {
    "ZeroDivisionError": ("zero-division", "0으로 나누는 설정이 있습니다.", "어느 설정에서나 학습률"),
}


def rates(step3: Any, steps: list[int], total: int, warmup_rate: float) -> list[float]:
    """걸음마다의 학습률. 가장 높은 것이 4.5, 가장 낮은 것이 1.2입니다."""
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
    """코사인의 반 바퀴: 4.5에서 1.2로."""
    return MIDDLE + SPAN / 2 * math.cos(math.pi * progress)


def is_usual(step3: Any) -> bool:
    """흔한 설정에서는 학습률이 옳은가. 아니라면 드문 설정에서 이름을 붙이지 않습니다. 다른 검사가 말합니다."""
    steps = range(TOTAL + 12)
    rising = [HIGHEST * (s + 1) / WARMUP for s in steps[:WARMUP]]
    falling = [cosine(min(1.0, (s - WARMUP) / (TOTAL - WARMUP))) for s in steps[WARMUP:]]
    return matches(rates(step3, list(steps), TOTAL, 0.2), rising + falling, EXACT)


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
        ("from-lowest", "0이 아니라 lowest에서 올렸습니다.", lambda s: LOWEST + SPAN * s / WARMUP),
        ("from-lowest", "0이 아니라 lowest에서 올렸습니다.", lambda s: LOWEST + SPAN * (s + 1) / WARMUP),
        ("from-lowest", "0이 아니라 lowest에서 올렸습니다.", lambda s: LOWEST + SPAN * s / (WARMUP - 1)),
        ("fraction-only", "학습률이 아니라 비율입니다.", lambda s: (s + 1) / WARMUP),
        ("fraction-only", "학습률이 아니라 비율입니다.", lambda s: s / WARMUP),
        ("warmup-over-total", "전체 걸음 수로 나누어 올렸습니다.", lambda s: HIGHEST * (s + 1) / TOTAL),
        ("warmup-over-total", "전체 걸음 수로 나누어 올렸습니다.", lambda s: HIGHEST * s / TOTAL),
        ("no-warmup", "올리는 구간이 없습니다.", lambda s: HIGHEST),
        ("no-warmup", "올리는 구간이 없습니다.", lambda s: cosine(s / TOTAL)),
        ("overwritten", "warmup의 학습률을 덮어썼습니다.", lambda s: cosine((s - WARMUP) / (TOTAL - WARMUP))),
        ("warmup-falls", "warmup 동안 올리지 않고 내렸습니다.", lambda s: HIGHEST * (WARMUP - s) / WARMUP),
        ("warmup-falls", "warmup 동안 올리지 않고 내렸습니다.", lambda s: HIGHEST * (1 - (s + 1) / WARMUP)),
        ("floor-division", "비율의 소수를 버렸습니다.", lambda s: HIGHEST * ((s + 1) // WARMUP)),
        ("floor-division", "비율의 소수를 버렸습니다.", lambda s: HIGHEST * (s + 1) // WARMUP),
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
        ("to-zero", zero, lambda p, s: SPAN * (1 + math.cos(math.pi * p)) / 2),
        ("to-zero", zero, lambda p, s: max(LOWEST, SPAN * (1 + math.cos(math.pi * p)) / 2)),
        (
            "too-high",
            high,
            lambda p, s: LOWEST + HIGHEST * (1 + math.cos(math.pi * p)) / 2,
        ),
        ("too-high", high, lambda p, s: LOWEST + SPAN * (1 + math.cos(math.pi * p))),
        ("too-high", high, lambda p, s: HIGHEST + SPAN * (1 + math.cos(math.pi * p)) / 2),
        ("unscaled-cosine", scale, lambda p, s: LOWEST + SPAN * math.cos(math.pi * p)),
        ("unscaled-cosine", scale, lambda p, s: LOWEST + SPAN / 2 * math.cos(math.pi * p)),
        ("unscaled-cosine", scale, lambda p, s: HIGHEST * math.cos(math.pi * p)),
        ("unscaled-cosine", scale, lambda p, s: LOWEST + SPAN * (1 + math.cos(math.pi * p) / 2)),
        ("unscaled-cosine", scale, lambda p, s: HIGHEST + math.cos(math.pi * p) / 2),
        ("not-half-a-turn", angle, lambda p, s: cosine(p / math.pi)),
        ("not-half-a-turn", angle, lambda p, s: cosine(2 * p)),
        ("not-half-a-turn", angle, lambda p, s: cosine(3.14 * p / math.pi)),
        ("not-half-a-turn", angle, lambda p, s: cosine(p / 2)),
        ("not-half-a-turn", angle, lambda p, s: cosine(180 * p / math.pi)),
        ("not-half-a-turn", angle, lambda p, s: LOWEST + SPAN * math.cos(math.pi * p / 2)),
        ("not-half-a-turn", angle, lambda p, s: cosine(p / 180)),
        ("progress-outside", "코사인의 밖에서 progress를 곱했습니다.", lambda p, s: LOWEST + SPAN * (1 - p) / 2),
        ("rises", "내리지 않고 올립니다.", lambda p, s: MIDDLE - SPAN / 2 * math.cos(math.pi * p)),
        ("linear", linear, lambda p, s: HIGHEST - SPAN * p),
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
    steps = [0, 2, 4, 7, 8, 9, 20]
    got, want = rates(step3, steps, 8, 0.0), [cosine(min(1.0, s / 8)) for s in steps]
    message, idea, shown = "warmup_rate가 0일 때의 학습률이 다릅니다.", "warmup 없이", show(got)
    if not close(got, want, EXACT) and is_usual(step3):
        forced = [HIGHEST, *[cosine(min(1.0, (s - 1) / 7)) for s in steps[1:]]]
        recognise(got, [("forced-warmup", message, forced)], atol=EXACT, idea=idea, expected=want)
        if matches(got[:4], [got[0]] * 4, EXACT):
            fail(message, idea=idea, expected=show(want), got=shown, symptom="constant-at-the-edge", rate="0")
    assert_close(got, want, atol=EXACT, idea=idea, message=message)


@todo("3-3")
def test_warmup_is_a_whole_number_of_steps(step3):
    """warmup_rate와 total_steps를 곱한 것이 정수가 아니면 반올림한 걸음 수(3.6 → 4)를 씁니다."""
    got, want = rates(step3, [0, 1, 2, 3, 4, 8, 12], 12, 0.3), [1.125, 2.25, 3.375, 4.5, 4.5, MIDDLE, LOWEST]
    if close(got, want, EXACT):
        return
    if matches(got[:3], [HIGHEST * (s + 1) / 3.6 for s in range(3)], EXACT):
        message = "반올림하지 않은 걸음 수로 나누었습니다."
        fail(message, idea="warmup", expected=show(want[:4]), got=show(got[:4]), symptom="unrounded")
    fail("warmup이 4걸음일 때의 학습률이 다릅니다.", idea="warmup", expected=show(want), got=show(got))


@todo("3-3")
def test_nothing_but_warmup(step3):
    """warmup_rate가 1이면 마지막 걸음까지 올리고, total_steps부터는 lowest입니다. 학습을 마친 스케줄러가 묻습니다."""
    got, rising = rates(step3, [0, 1, 2, 3, 4, 5, 6, 9], 4, 1.0), [1.125, 2.25, 3.375, 4.5]
    message, idea, usual = "warmup_rate가 1일 때의 학습률이 다릅니다.", "warmup뿐", is_usual(step3)
    if usual and matches(got[:4], [got[0]] * 4, EXACT):
        fail(message, idea=idea, expected=show(rising), got=show(got[:4]), symptom="constant-at-the-edge", rate="1")
    assert_close(got[:4], rising, atol=EXACT, idea=idea, message=message)
    symptom = "top-after-warmup" if usual and not matches(got[4], LOWEST, EXACT) else None
    message, want = "모두 warmup일 때 total_steps부터의 학습률이 lowest가 아닙니다.", [LOWEST] * 4
    assert_close(got[4:], want, atol=EXACT, idea=idea, message=message, symptom=symptom)


@todo("3-3")
def test_one_single_step(step3):
    """한 걸음뿐인 학습은 가장 높은 학습률로 걷습니다."""
    got = rates(step3, [0, 1, 2], 1, 0.1)
    message = "total_steps가 1일 때의 학습률이 다릅니다."
    assert_close(got, [HIGHEST, LOWEST, LOWEST], atol=EXACT, idea="한 걸음", message=message)


# ── 3-4 혼란도, 3-5 바이트당 비트

# 한 지표를 다른 지표에서 구한 답도 그 TODO와 상관없이 검사하도록, 검사하는 동안 다른 지표를 이것으로 바꿉니다.
PERPLEXITY = property(lambda self: math.exp(self.loss) if self.loss <= 700 else math.inf)
BITS_PER_BYTE = property(lambda self: self.loss / math.log(2) / self.bytes_per_token)
NOT_A_TENSOR = ("not-a-tensor", "파이썬의 수를 텐서처럼 다루었습니다.", "파이썬의 수를 받는 함수")
METRIC_ERRORS = {
    "cannot assign to field": ("assigned-to-self", "바꿀 수 없는 지표의 필드에 값을 담았습니다.", "value에 담기"),
    "must be Tensor, not": NOT_A_TENSOR,
    "'float' object has no attribute": NOT_A_TENSOR,
}
PERPLEXITY_ERRORS = METRIC_ERRORS | {
    "unsupported operand type(s) for ^": ("caret", "거듭제곱이 아닌 기호를 썼습니다.", "거듭제곱"),
    "'float' object is not callable": ("called-number", "수를 함수처럼 불렀습니다.", "지수 함수"),
}
BITS_ERRORS = METRIC_ERRORS | {
    "has no attribute 'ln'": ("no-ln", "math에 없는 이름을 불렀습니다.", "자연로그의 이름"),
}
THROUGH_EXP = ("through-exp", "손실을 지수로 되돌렸다가 넘쳤습니다.", "보통의 수")
OVERFLOWS = {"OverflowError": THROUGH_EXP, "ValueError": THROUGH_EXP}
LARGE = (30.0, 100.0, 650.0)  # 이미 망가진 모델이나 잘못 건넨 정답의 손실


def metric(step3: Any, name: str, loss: float, size: float = 2.5, known: dict = METRIC_ERRORS) -> float:
    """손실과 토큰의 크기에서 구한 지표 하나."""
    made = step3.Metrics(loss, 0.25, size)
    got = asked(lambda: getattr(made, name), known=known)
    if isinstance(got, torch.Tensor):
        fail(f"{name}이(가) 텐서입니다.", idea="자료형", expected="float", got="Tensor", symptom="tensor")
    if not isinstance(got, numbers.Real):
        fail(f"{name}이(가) 수가 아닙니다.", idea="자료형", expected="float", got=type(got).__name__)
    return float(got)


def roundings(want: float) -> list[tuple[str, str, Any]]:
    """정수로 만들거나 소수 몇 자리에서 반올림한 값들."""
    whole, rounded = "소수 부분을 버렸습니다.", "값을 반올림했습니다."
    return [
        ("integer", whole, float(math.floor(want))),
        ("integer", whole, float(math.ceil(want))),
        *[("rounded", rounded, round(want, digits)) for digits in (4, 3, 2, 1)],
    ]


def perplexity_of(step3: Any, loss: float, size: float = 2.5) -> float:
    return metric(step3, "perplexity", loss, size, PERPLEXITY_ERRORS)


def wrong_perplexities(loss: float) -> list[tuple[str, str, Any]]:
    """혼란도와 헷갈리는 값들. 정확도는 0.25, 토큰의 크기는 2.5입니다."""
    base, byte = "밑이 e가 아닌 거듭제곱입니다.", "토큰이 아니라 바이트마다의 값입니다."
    log, square = "지수가 아니라 로그를 했습니다.", "e의 거듭제곱이 아니라 손실의 거듭제곱입니다."
    short = "e를 줄여 적었습니다."
    return [
        ("loss-itself", "손실을 그대로 담았습니다.", loss),
        ("base-two", base, 2**loss),
        ("base-two", base, 10**loss),
        *[("rounded-e", short, e**loss) for e in (3, 2.7, 2.71, 2.72, 2.718, 2.7182, 2.7183)],
        ("exp-of-negative", "부호가 반대입니다.", math.exp(-loss)),
        ("exp-of-negative", "부호가 반대입니다.", -math.exp(loss)),
        ("log", log, math.log(loss)),
        ("log", log, math.log2(loss)),
        ("log", log, -math.log(loss)),
        ("per-byte", byte, math.exp(loss) / 2.5),
        ("per-byte", byte, math.exp(loss) * 2.5),
        ("per-byte", byte, math.exp(loss / 2.5)),
        ("per-byte", byte, math.exp(loss * 2.5)),
        ("per-byte", byte, math.exp(loss / 2.5 / math.log(2))),
        ("square", square, loss**2),
        ("square", square, loss**math.e),
        ("square", square, loss * math.e),
        ("minus-one", "1이 빠졌습니다.", math.expm1(loss)),
        ("inverse-accuracy", "손실이 아니라 정확도를 뒤집었습니다.", 1 / 0.25),
        ("of-accuracy", "손실이 아닌 것에서 구했습니다.", math.exp(0.25)),
        ("of-accuracy", "손실이 아닌 것에서 구했습니다.", math.exp(2.5)),
        *roundings(math.exp(loss)),
    ]


@todo("3-4")
@pytest.mark.parametrize("choices", [7.83145, 100.0, 1.0])
def test_perplexity_is_the_number_of_choices(step3, monkeypatch, choices):
    """손실이 ln(n)이면 혼란도는 n입니다. 자르지도 반올림하지도 않습니다."""
    monkeypatch.setattr(step3.Metrics, "bits_per_byte", BITS_PER_BYTE)
    loss, idea = math.log(choices), "혼란도"
    got = perplexity_of(step3, loss)
    if close(got / choices, 1.0, SHARE):
        return
    if loss > 0:  # 손실이 0이면 여러 실수의 값이 같습니다.
        recognise(got, wrong_perplexities(loss), atol=SHARE, idea=idea, expected=choices)
        message = "손실이 아닌 것에서 구했습니다."
        if matches(got, perplexity_of(step3, loss / 2), FINE):
            fail(message, idea=idea, expected=show(choices), got=show(got), symptom="of-accuracy")
    fail("손실에서 구한 혼란도가 다릅니다.", idea=idea, expected=show(choices), got=show(got))


@todo("3-4")
def test_perplexity_of_a_large_loss_is_large(step3, monkeypatch):
    """손실이 700 이하이면 혼란도는 아무리 커도 float에 담깁니다."""
    monkeypatch.setattr(step3.Metrics, "bits_per_byte", BITS_PER_BYTE)
    if not close(perplexity_of(step3, 2.0) / math.exp(2.0), 1.0, SHARE):
        return  # 흔한 손실에서도 틀린 답은 앞의 검사가 말합니다.
    idea = "float의 범위"
    for loss in LARGE:
        got, want = perplexity_of(step3, loss), math.exp(loss)
        if close(got / want, 1.0, ATOL):
            continue
        more = {"idea": idea, "expected": f"{want:.4g}", "got": f"{got:.4g}", "loss": f"{loss:.0f}"}
        if math.isinf(got):
            # 32비트 실수는 e의 88제곱까지, 16비트 실수는 11제곱까지 담습니다.
            edges = [perplexity_of(step3, one) for one in (11.0, 11.2, 88.0, 89.0)]
            narrow = [math.isinf(one) for one in edges] in ([False, True, True, True], [False, False, False, True])
            symptom = "float32-overflow" if narrow else "infinite-too-early"
            fail(f"손실이 {loss:.0f}일 때 혼란도가 무한대입니다.", symptom=symptom, **more)
        symptom = "clamped" if got < want and matches(got / perplexity_of(step3, 690.0), 1.0, ATOL) else None
        fail(f"손실이 {loss:.0f}일 때의 혼란도가 다릅니다.", symptom=symptom, **more)


@todo("3-4")
def test_diverged_losses_are_reported_too(step3, monkeypatch):
    """손실이 아주 커도 멈추지 않고, 혼란도는 무한대입니다."""
    monkeypatch.setattr(step3.Metrics, "bits_per_byte", BITS_PER_BYTE)
    got = perplexity_of(step3, 5e3)
    if not got > 1e300:
        fail("아주 큰 손실의 혼란도가 작습니다.", idea="혼란도", expected="inf", got=show(got))


def bits_of(step3: Any, loss: float, size: float = 2.5, known: dict | None = None) -> float:
    return metric(step3, "bits_per_byte", loss, size, known or BITS_ERRORS)


def wrong_bits(loss: float, size: float) -> list[tuple[str, str, Any]]:
    """바이트당 비트와 헷갈리는 값들."""
    ln2, want = math.log(2), loss / math.log(2) / size
    times, eighth = "토큰의 크기로 나누지 않고 곱했습니다.", "바이트를 비트 여덟 개로 다시 나누었습니다."
    log, base = "손실의 로그를 구했습니다.", "밑이 2가 아닌 로그로 바꾸었습니다."
    choices, flipped = "손실이 아니라 혼란도를 나누었습니다.", "위와 아래가 뒤바뀌었습니다."
    inside = "토큰의 크기를 로그의 괄호 안에 넣었습니다."
    short, whole = "ln 2를 줄여 적었습니다.", "나눗셈에서 소수를 버렸습니다."
    return [
        ("still-nats", "nat을 비트로 바꾸지 않았습니다.", loss / size),
        ("still-tokens", "토큰을 바이트로 바꾸지 않았습니다.", loss / ln2),
        ("times-ln2", "ln 2로 나누지 않고 곱했습니다.", loss * ln2 / size),
        ("times-bytes", times, loss / ln2 * size),
        ("times-bytes", times, loss * size),
        ("times-both", "둘 다 나누지 않고 곱했습니다.", loss * ln2 * size),
        ("log-of-loss", log, math.log2(loss) / size),
        ("log-of-loss", log, math.log2(loss / size)),
        ("log-of-loss", log, math.log(loss) / size),
        ("log-of-loss", log, math.log2(loss)),
        *[("per-bit", eighth, one / 8) for one in (want, want * 64, loss / size, loss / ln2, loss / ln2 / size**2)],
        *[("base-ten", base, loss / math.log(one) / size) for one in (8, 10)],
        ("base-ten", base, loss / math.log10(2) / size),
        *[("size-in-the-log", inside, loss / log(2 * size)) for log in (math.log, math.log2)],
        ("halved", "ln 2가 아니라 2로 나누었습니다.", loss / 2 / size),
        ("loss-itself", "손실을 그대로 담았습니다.", loss),
        *[("of-perplexity", choices, math.exp(loss) / one) for one in (1, size, ln2, ln2 * size)],
        ("of-perplexity", choices, math.log2(math.exp(loss) / size)),
        ("upside-down", flipped, 1 / want),
        ("upside-down", flipped, size / loss / ln2),
        ("of-accuracy", "손실이 아니라 정확도에서 구했습니다.", 0.25 / ln2 / size),
        ("sign", "부호가 반대입니다.", -want),
        *[("rounded-ln2", short, loss / one / size) for one in (0.7, 0.69, 0.693, 0.694, 0.6931, 0.6932)],
        *[("rounded-ln2", short, loss * one / size) for one in (1.4, 1.44, 1.443, 1.45)],
        ("integer", whole, loss / ln2 // size),
        ("integer", whole, loss // ln2 / size),
        ("integer", whole, loss // size / ln2),
        ("integer", whole, loss / ln2 / int(size)),
        *roundings(want),
    ]


@todo("3-5")
@pytest.mark.parametrize(("loss", "size"), [(3.7, 2.3), (1.2, 4.0)])
def test_bits_per_byte_changes_both_units(step3, monkeypatch, loss, size):
    """nat은 비트로, 토큰은 바이트로 바꿉니다. 반올림하지 않습니다."""
    monkeypatch.setattr(step3.Metrics, "perplexity", PERPLEXITY)
    got, want = bits_of(step3, loss, size), loss / (size * 0.6931471805599453)
    if close(got, want, FINE):
        return
    recognise(got, wrong_bits(loss, size), atol=SHARE, idea="바이트당 비트", expected=want)
    if matches(got, bits_of(step3, loss, 2 * size), FINE):
        message = "토큰의 크기를 재지 않고 정해 두었습니다."
        fail(message, idea="바이트당 비트", expected=show(want), got=show(got), symptom="fixed-bytes")
    fail("바이트당 비트가 다릅니다.", idea="바이트당 비트", expected=show(want), got=show(got))


@todo("3-5")
def test_bits_per_byte_of_a_large_loss_is_an_ordinary_number(step3, monkeypatch):
    """나누기만 하므로, 혼란도가 float에 담기지 않는 손실에서도 값은 보통의 수입니다."""
    monkeypatch.setattr(step3.Metrics, "perplexity", PERPLEXITY)
    if not close(bits_of(step3, 3.0), 3.0 / (2.5 * 0.6931471805599453), FINE):
        return  # 흔한 손실에서도 틀린 답은 앞의 검사가 말합니다.
    for loss in (*LARGE, 800.0):
        got, want = bits_of(step3, loss, known=OVERFLOWS | BITS_ERRORS), loss / (2.5 * 0.6931471805599453)
        if close(got / want, 1.0, EXACT):
            continue
        more = {"idea": "float의 범위", "expected": show(want), "got": show(got), "loss": f"{loss:.0f}"}
        if not math.isfinite(got):
            fail(f"손실이 {loss:.0f}일 때 값이 유한하지 않습니다.", symptom="through-exp", **more)
        symptom = "clamped" if got < want and matches(got, bits_of(step3, 900.0, known=OVERFLOWS), EXACT) else None
        fail(f"손실이 {loss:.0f}일 때의 값이 다릅니다.", symptom=symptom, **more)


# ── 3-6 정확도

SHAPES = "고른 번호와 정답의 모양이 다릅니다."
ACCURACY_ERRORS = {
    "'bool' object has no attribute": ("one-bool", "견준 결과가 텐서가 아닙니다.", "자리마다의 참과 거짓"),
    "name 'F' is not defined": NO_F,
    "is being used in an in-place operation": ("in-place", IN_PLACE, "그대로인 로짓"),
    "complex dtype. Got: Bool": ("mean-of-bool", "참과 거짓을 그대로 평균했습니다.", "실수로 바꾼 것의 평균"),
    "could not infer output dtype": ("mean-of-int", "정수를 그대로 평균했습니다.", "실수로 바꾼 것의 평균"),
}


# 모양이 어긋나 멈춘 것은, 모든 축의 크기가 같아도 멈출 때에만 이름을 붙입니다. 축을 헷갈린 것이 먼저입니다.
UNLIKE_ANYWAY = {"must match the size of tensor": ("unlike-shapes", SHAPES, "targets와 같은 모양")}


def accuracy_from(
    step3: Any, logits: torch.Tensor, targets: torch.Tensor, known: dict[str, tuple[str, str, str]] = ACCURACY_ERRORS
) -> torch.Tensor:
    """`accuracy_of`의 결과. 난수를 썼거나 수 하나인 텐서가 아니면 그렇다고 말합니다."""
    before = random_state(logits.device)
    got = asked(step3.accuracy_of, logits, targets, known=known)
    if not torch.equal(before, random_state(logits.device)):
        fail("정확도를 구하면서 난수를 썼습니다.", idea="argmax", expected="난수 없이", got="난수", symptom="sampled")
    if not isinstance(got, torch.Tensor):
        kind = type(got).__name__
        symptom = "one-bool" if isinstance(got, bool) else "not-a-tensor" if isinstance(got, numbers.Real) else None
        fail("정확도가 텐서가 아닙니다.", idea="자료형", expected="텐서", got=kind, symptom=symptom)
    if got.shape != ():
        shape = f"모양 {tuple(got.shape)}"
        fail("정확도가 수 하나가 아닙니다.", idea="비율", expected="모양 ()", got=shape, symptom="not-scalar")
    return got


def random_state(device: torch.device) -> torch.Tensor:
    """이 장치의 기본 난수 생성기가 어디까지 왔는가."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def recognise_all_or_nothing(step3: Any, got: torch.Tensor, logits: torch.Tensor, want: Any) -> None:
    """모두 맞혔을 때만 1이거나, 모두 틀렸을 때만 0인 정확도인가. 옳은 값이 아닐 때만 부릅니다."""
    best, idea = logits.argmax(dim=-1), "비율"
    whole = not got.is_floating_point() and got.dtype != torch.bool
    if matches(got, 0.0, 0.0) and matches(accuracy_from(step3, logits, best), 1.0, EXACT):
        symptom, message = "all-or-nothing", "한 자리라도 틀리면 정확도가 0입니다."
        if whole:
            symptom, message = "floor-division", "나눗셈에서 소수를 버렸습니다."
        fail(message, idea=idea, expected=show(want), got=show(got), symptom=symptom)
    if matches(got, 1.0, 0.0) and matches(accuracy_from(step3, logits, (best + 1) % logits.size(-1)), 0.0, EXACT):
        message = "틀린 자리가 있는데도 정확도가 1입니다."
        fail(message, idea=idea, expected=show(want), got=show(got), symptom="all-or-nothing")


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
    pairs = best.flatten()[:, None] == targets.flatten()
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
        ("divisor", size, hits.sum() / vocab),
        ("divisor", size, hits.mean() / batch),
        ("divisor", size, hits.sum() / logits.numel()),
        ("part-only", part, hits[:, -1].mean()),
        ("part-only", part, hits[1].mean()),
        ("ignored-token", "0번 토큰이 정답인 자리를 빼고 구했습니다.", hits[targets != 0].mean()),
        ("ignored-token", "0번 토큰이 정답인 자리를 빼고 구했습니다.", hits[targets != 0].sum() / hits.numel()),
        ("part-only", part, hits[:, :-1].mean()),
        ("mixed-order", "고른 번호와 정답의 차례가 어긋났습니다.", mixed),
        ("whole-windows", windows, hits.amin(dim=1).mean()),
        ("whole-windows", windows, hits.amax(dim=1).mean()),
        *[("rounded", "정확도를 반올림했습니다.", round(hits.mean().item(), digits)) for digits in (1, 2)],
        *[("top-k", top, in_top(logits, targets, k)) for k in (2, 3, 5) if k < vocab],
        ("keepdim", "고른 번호에 축이 하나 남았습니다.", pairs.float().mean()),
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
    want = (logits.argmax(-1) == targets).double().mean()
    got = accuracy_from(step3, logits.clone(), targets.clone())
    if not close(got, want, ATOL):
        recognise_all_or_nothing(step3, got, logits, want)
        recognise(got, wrong_accuracies(logits, targets), atol=EXACT, idea="정확도", expected=want)
    assert_close(got, want, atol=ATOL, idea="정확도", message="맞힌 자리의 비율과 다릅니다.")


@todo("3-6")
def test_accuracy_of_confusable_axes(step3, cube):
    """배치, 길이, 어휘의 크기가 같아도 어휘의 축에서 고릅니다."""
    logits, targets = cube
    want = (logits.argmax(-1) == targets).double().mean()
    got = accuracy_from(step3, logits.clone(), targets.clone(), ACCURACY_ERRORS | UNLIKE_ANYWAY)
    if not close(got, want, ATOL):
        recognise_all_or_nothing(step3, got, logits, want)
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


@todo("3-6")
def test_one_window_or_one_position_has_an_accuracy_too(step3, batch):
    """창이 하나뿐이거나 창의 길이가 1이어도 견준 자리 가운데의 비율입니다."""
    logits, targets = batch
    hits = (logits.argmax(-1) == targets).double()
    if not close(accuracy_from(step3, logits.clone(), targets.clone()), hits.mean(), EXACT):
        return  # 흔한 크기에서도 틀린 답은 앞의 검사가 말합니다.
    for part in (slice(None), slice(1)), (slice(1, 2), slice(None)), (slice(5, 6), slice(1)):
        got = of_ones(accuracy_from, step3, logits[part].clone(), targets[part].clone())
        fail_of_ones("정확도", logits[part], got, hits[part].mean(), close(got, hits[part].mean(), ATOL))


@todo("3-6")
def test_accuracy_leaves_its_inputs_alone(step3, batch):
    """로짓과 정답은 부른 사람의 것입니다. 견준 뒤에도 그대로입니다."""
    unchanged(lambda: accuracy_from(step3, *batch), batch)
