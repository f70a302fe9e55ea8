"""4단계의 검사들이 함께 쓰는 것.

루프는 `__init__`을 거치지 않고 만들어, 앞 단계나 다른 TODO가 비어 있어도 저마다 검사할 수 있습니다.
"""

from __future__ import annotations

from contextlib import nullcontext
from types import MethodType, SimpleNamespace

import torch
from lightning.fabric import Fabric

from course.checks.words import fail, known_as
from course.checks.workspace import plain_fabric


@known_as("Fabric")
class OneProcess:
    """이름만 Fabric인 것. 프로세스가 몇 개이고 그 가운데 몇 번인지 압니다. 기계마다 프로세스 하나입니다."""

    def __init__(self, device, rank=0, processes=1):
        self.world_size, self.global_rank, self.local_rank = processes, rank, 0
        self.is_global_zero = rank == 0
        self.device = torch.device(device)
        self.strategy = SimpleNamespace(precision=SimpleNamespace(state_dict=dict, load_state_dict=lambda state: None))

    def barrier(self, name=None):
        pass

    def print(self, *args, **kwargs):
        pass

    log = log_dict = print

    def autocast(self):
        return nullcontext()

    def to_device(self, obj):
        return obj

    def __getattr__(self, name):
        if hasattr(Fabric, name) and not name.startswith("_"):
            fail(
                f"fabric.{name}은(는) 이 자리에서 부를 함수가 아닙니다.",
                idea="Fabric",
                expected="할 일과 힌트에 적힌 함수",
                got=f"fabric.{name}",
            )
        raise AttributeError(f"'Fabric' object has no attribute '{name}'")


def one_process(device, rank=0, processes=1):
    return OneProcess(device, rank, processes)


def method_of(trainer, function):
    """루프의 메서드처럼 보이게 합니다. 인수를 잘못 건넸을 때의 오류가 진짜와 같아집니다."""
    function.__qualname__ = f"Trainer.{function.__name__}"
    return MethodType(function, trainer)


# ── 4-1 에포크와 배치의 반복

EPOCHS, BATCHES = 3, 4


class Batches:
    """에포크마다 배치 넷을 내는 로더. 배치에 제 (에포크, 번호)가 적혀 있고, `LengthBatchSampler`처럼 움직입니다."""

    def __init__(self):
        self.batch_sampler, self.epoch, self.first, self.asked, self.trainer = self, 0, 0, 0, None
        self.started = 0  # start_at을 부른 횟수

    def start_at(self, epoch, batch=0):
        self.epoch, self.first = epoch, batch
        self.started += 1

    def __len__(self):
        return BATCHES

    def __iter__(self):
        self.asked += 1
        if self.asked > 20:
            never_ends(self.trainer.position.epoch)
        for number in range(self.first, BATCHES):
            ids = torch.tensor([[self.epoch, number]])
            yield {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.tensor([0])}


def never_ends(epoch):
    fail(
        "반복이 끝나지 않습니다.",
        idea="에포크",
        expected=f"{EPOCHS}에포크",
        got="끝없는 반복",
        symptom="no-next-epoch" if epoch == 0 else "too-many-epochs",
    )


# ── 4-4 때맞추어 검증하기

PER_EPOCH, TOTAL, PRINT_STEPS = 5, 10, 2


@known_as("NSMCModel")
class WithDropout(torch.nn.Module):
    """드롭아웃이 있는 작은 모델. `Trainer`의 모델처럼 lang_model만 Fabric이 감쌌습니다.

    Attributes:
        plain: 감싸기 전의 lang_model. `parameters()`나 `state_dict()`에 두 번 나오지 않도록 튜플에 담아 둡니다.
    """

    def __init__(self, device="cpu"):
        super().__init__()
        self.plain = (torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5)),)
        self.lang_model = plain_fabric(device).setup_module(self.plain[0])
        self.loaded = False  # 바깥 모델에 load_state_dict를 불렀는가

    def load_state_dict(self, state_dict, *args, **kwargs):
        self.loaded = True
        return super().load_state_dict(state_dict, *args, **kwargs)

    def training_step(self, batch, batch_idx=0):
        """루프를 검사할 때 손수 학습하는 답이 부르는 것."""
        return {"loss": torch.zeros((), requires_grad=True), "acc": torch.tensor(0.5)}

    def val_dataloader(self):
        """모델의 로더. 프로세스마다 나누지 않았으므로 루프는 쓰지 않습니다."""
        return ModelLoader()


@known_as("DataLoader")
class ModelLoader:
    def __iter__(self):
        return iter([{}])


class ValLoader(ModelLoader):
    """루프의 val_loader."""

    def __init__(self):
        self.dataset = ClassificationDataset()


class ClassificationDataset:
    """val_loader의 데이터셋. 로더의 자리에 건네는지 봅니다."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return {}
