"""자리의 코드가 전역 난수의 시드를 다시 정하는 것을 알아챕니다.

`torch.manual_seed(42)`를 자리에 적으면 값은 맞게 나오지만, 사용자가 고른 `--seed`가 힘을 잃고 그 뒤의 드롭아웃과
섞기까지 달라집니다. 값만 보는 검사는 알 수 없으므로, 누가 시드를 정했는지 여기에서 봅니다. 되돌려 놓으면(예:
`torch.random.fork_rng`) 아무것도 달라지지 않은 것입니다.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

SYMPTOM = "reseeds"
RANDOM = [  # 모듈, 시드를 정하는 함수, 상태를 되돌리는 함수
    ("torch", "manual_seed", "set_rng_state"),
    ("random", "seed", "setstate"),
    ("numpy.random", "seed", "set_state"),
]


class SeedLog:
    """`begin`과 `end` 사이에 `folder`의 파일이 정한 시드를 적습니다. `checks` 안의 파일이 정한 것은 검사의 일입니다.

    Attributes:
        seeded: 시드를 정하고 되돌리지 않은 (파일 이름, 줄) → 부른 함수의 이름. 예: `"torch.manual_seed"`.
    """

    def __init__(self, folder: Path, checks: Path) -> None:
        self.folder, self.checks = str(folder), str(checks) + os.sep
        self.seeded: dict[tuple[str, int], str] = {}
        self._originals: list[tuple[Any, str, Callable]] = []

    def begin(self) -> None:
        for module_name, seed, restore in RANDOM:
            if module := sys.modules.get(module_name):
                self._replace(module, seed, lambda where, name=f"{module_name}.{seed}": self._note(where, name))
                self._replace(module, restore, self._forget)

    def end(self) -> None:
        while self._originals:
            setattr(*self._originals.pop())

    def _replace(self, module: Any, name: str, tell: Callable[[tuple[str, int]], None]) -> None:
        original = getattr(module, name)

        def told(*args: Any, **kwargs: Any) -> Any:
            where = self._students_line()
            if where is not None:
                tell(where)
            return original(*args, **kwargs)

        self._originals.append((module, name, original))
        setattr(module, name, told)

    def _note(self, where: tuple[str, int], name: str) -> None:
        self.seeded[where] = name

    def _forget(self, where: tuple[str, int]) -> None:
        self.seeded = {one: name for one, name in self.seeded.items() if one[0] != where[0]}

    def _students_line(self) -> tuple[str, int] | None:
        """지금의 호출에 가장 가까운 학생의 줄. 검사가 먼저 나오면 검사가 한 일이므로 None입니다."""
        frame = sys._getframe(2)
        while frame is not None:
            file = Path(frame.f_code.co_filename)
            if str(file.parent) == self.folder:
                return file.name, frame.f_lineno
            if str(file).startswith(self.checks):
                return None
            frame = frame.f_back
        return None
