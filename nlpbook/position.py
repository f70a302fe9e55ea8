"""학습이 어디까지 왔는지: 에포크, 배치, 스텝. 간격 옵션을 스텝 수로 바꾸는 법도 여기에 있습니다."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass
class Position:
    """학습이 어디까지 왔는가.

    Attributes:
        epoch: 마친 에포크 수.
        batch: 지금 에포크에서 마친 배치 수.
        step: 처음부터의 스텝 수(가중치를 바꾼 횟수).
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0

    def next_batch(self) -> None:
        self.batch += 1
        self.step += 1

    def next_epoch(self) -> None:
        self.epoch, self.batch = self.epoch + 1, 0

    def to_dict(self) -> dict[str, int]:
        return asdict(self)


def steps_between(interval: float, steps_per_epoch: int) -> int:
    """간격 옵션을 스텝 수로 바꿉니다: 1 이하면 에포크의 비율, 1보다 크면 스텝 수. 언제나 1 이상입니다."""
    return max(1, round(interval * steps_per_epoch) if interval <= 1 else round(interval))
