"""이어 하기: 처음의 설정에, 지금 바꾸어도 뜻이 통하는 것만 얹습니다. 나머지는 무시하지 않고 이름을 대어 거절합니다."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

from nlpbook.errors import UserError
from nlpbook.settings import Settings

Kind = TypeVar("Kind", bound=Settings)
CHOOSING = {"project", "job_name", "job_version", "output", "resume"}  # 어느 실행을 이어 할지 고르는 것


def with_given(saved: Kind, asked: Kind, given: Collection[str], changeable: Collection[str]) -> Kind:
    """이어 할 설정.

    Args:
        saved: 그 실행의 설정.
        asked: 지금 명령줄의 설정.
        given: 사람이 명령줄에 적은 옵션들.
        changeable: 이어 하면서 바꾸어도 되는 옵션들.

    Returns:
        `saved`에 `changeable`인 것만 얹은 복사본.

    Raises:
        UserError: 바꿀 수 없는 옵션을 처음과 다르게 주었을 때. 처음과 같은 값이면 괜찮습니다.
    """
    refused = []
    made = saved.copy()
    for leaf in type(saved).leaves():
        name, path = leaf.option, ".".join(leaf.path)
        if name not in given or name in CHOOSING:
            continue
        if name in changeable:
            made[path] = asked[path]
        elif asked[path] != saved[path]:
            refused.append(f"--{name}(그때 {saved[path]}, 지금 {asked[path]})")
    _refuse(refused, [f"--{name}" for name in changeable])
    return made


def require_same_settings(saved: Settings, asked: Settings, changeable: Collection[str]) -> None:
    """설정을 통째로 다시 건네며 이어 하는 학습이, 바꿀 수 없는 것을 바꾸지 않았는지 봅니다.

    Args:
        saved: 그 실행의 설정.
        asked: 지금의 설정.
        changeable: 바꾸어도 되는 항목(`"training.num_train_epochs"`)이나 묶음(`"wandb"`).

    Raises:
        UserError: 나머지 가운데 그때와 다른 것이 있을 때.
    """
    refused = []
    for leaf in type(saved).leaves():
        path = ".".join(leaf.path)
        if path in changeable or leaf.path[0] in changeable:
            continue
        if asked[path] != saved[path]:
            refused.append(f"{path}(그때 {saved[path]}, 지금 {asked[path]})")
    _refuse(refused, changeable)


def _refuse(refused: Collection[str], changeable: Collection[str]) -> None:
    if refused:
        raise UserError(
            f"이어 하는 학습에서는 {', '.join(refused)}을(를) 바꿀 수 없습니다. 빼고 이어 하거나 새로 학습해 주세요. "
            f"바꿀 수 있는 것: {', '.join(sorted(changeable))}."
        )


def finished_already(epochs: int, num_epochs: int, bad_epochs: int = 0) -> str:
    """더 할 스텝이 없는 학습을 시작하려 할 때의 말. 무엇을 주면 더 할 수 있는지 알립니다.

    Args:
        epochs: 마친 에포크 수.
        num_epochs: 설정의 에포크 수.
        bad_epochs: 조기 종료로 마쳤으면, 나아지지 않은 에포크의 수.
    """
    if epochs < num_epochs:
        return f"조기 종료로 마친 학습입니다({epochs:,}에포크). 더 하려면 --patience를 {bad_epochs:,}보다 늘려 주세요."
    return f"이미 {epochs:,}에포크를 모두 마친 학습입니다. 더 하려면 --num_epochs를 {epochs:,}보다 크게 주세요."
