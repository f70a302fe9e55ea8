"""단계 파일을 경로로 읽어 들입니다.

단계들은 서로를 이름으로 부르므로(`import step1_basic_structure`), 같은 이름의 파일이 여럿이면 엉뚱한 것을 검사하게
됩니다. 여기서는 앞서 읽은 단계 모듈을 모두 잊고, 그 폴더만을 앞세워 읽은 뒤, 정말 그 폴더에서 왔는지 확인합니다.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path
from types import ModuleType

from course.paths import STATE, STEP_NAME


def file_hash(path: Path) -> str:
    """파일 내용의 SHA-256 앞 16자."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def forget_steps() -> None:
    """읽어 둔 단계 모듈을 모두 잊습니다."""
    for name in [name for name in sys.modules if STEP_NAME.fullmatch(f"{name}.py")]:
        del sys.modules[name]


def load_step(folder: Path, module: str) -> ModuleType:
    """`folder`의 단계 모듈을 새로 읽습니다.

    Raises:
        ImportError: 그 모듈이나, 그것이 부른 앞 단계가 다른 폴더에서 왔을 때.
    """
    folder = folder.resolve()
    forget_steps()
    importlib.invalidate_caches()
    before = list(sys.path)
    bytecode = sys.dont_write_bytecode, sys.pycache_prefix
    sys.path.insert(0, str(folder))
    # 1초 안에 두 번 고친, 길이가 같은 파일은 옛 바이트코드로 읽힙니다. 그래서 쓰지도 읽지도 않습니다.
    sys.dont_write_bytecode, sys.pycache_prefix = True, str(STATE / "no-bytecode")
    try:
        loaded = importlib.import_module(module)
    finally:
        sys.path[:] = before
        sys.dont_write_bytecode, sys.pycache_prefix = bytecode
    for name, one in list(sys.modules.items()):
        if STEP_NAME.fullmatch(f"{name}.py") and Path(one.__file__ or "").resolve().parent != folder:
            raise ImportError(f"{name}을(를) {one.__file__}에서 읽었습니다. {folder}의 것이어야 합니다.")
    return loaded
