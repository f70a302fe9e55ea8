"""검사가 함께 쓰는 준비: 지워지는 폴더와, 한 번만 만드는 Fabric.

과제의 작은 모델과 말뭉치는 그 과제의 `support.py`에 있습니다.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any


@cache
def workspace() -> Path:
    """이 프로세스가 끝날 때 지워지는 폴더. 한 실행의 모든 검사가 함께 씁니다."""
    folder = Path(tempfile.mkdtemp(prefix="course-checks-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def plain_fabric(device: str) -> Any:
    """한 프로세스의 32비트 Fabric. 만들 때마다 설치된 패키지를 훑으므로 한 번만 만듭니다."""
    from lightning.fabric import Fabric

    return Fabric(accelerator=device, devices=1, precision="32-true")
