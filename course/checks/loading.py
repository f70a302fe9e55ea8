"""단계 파일을 경로로 읽어 들입니다.

단계들은 서로를 이름으로 부르므로(`import step1_basic_structure`), 같은 이름의 파일이 여럿이면 엉뚱한 것을 검사하게
됩니다. 여기서는 앞서 읽은 단계 모듈을 모두 잊고, 그 폴더만을 앞세워 읽은 뒤, 정말 그 폴더에서 왔는지 확인합니다. 함수
안에서 나중에 부르는 앞 단계도 그 폴더에서 옵니다.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from course.book.tasks import STEP_NAME

NOWHERE = Path(__file__) / "no-bytecode"  # 파일의 밑에는 아무것도 둘 수 없으므로, 언제나 없는 폴더입니다.


def file_hash(path: Path) -> str:
    """파일 내용의 SHA-256 앞 16자."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def loaded_steps() -> list[str]:
    """읽어 둔 단계 모듈의 이름들."""
    starts = [name for name in list(sys.modules) if name.startswith(("step", "stretch"))]  # 모듈은 수천 개입니다.
    return [name for name in starts if STEP_NAME.fullmatch(f"{name}.py")]


def forget_steps() -> None:
    """읽어 둔 단계 모듈을 모두 잊습니다."""
    for name in loaded_steps():
        del sys.modules[name]


@contextmanager
def without_bytecode() -> Iterator[None]:
    """블록 안에서 읽는 모듈은 언제나 소스를 번역해 씁니다. 바이트코드(`__pycache__`)는 쓰지도 읽지도 않습니다.

    1초 안에 두 번 고친, 길이가 같은 파일은 옛 바이트코드로 읽힙니다. 소스와 다른 바이트코드를 끼워 둘 수도 있습니다.
    """
    before = sys.dont_write_bytecode, sys.pycache_prefix
    sys.dont_write_bytecode, sys.pycache_prefix = True, str(NOWHERE)
    try:
        yield
    finally:
        sys.dont_write_bytecode, sys.pycache_prefix = before


class FreshLoader(SourceFileLoader):
    """언제 읽어도 소스를 번역해 씁니다."""

    def get_code(self, fullname: str) -> CodeType | None:
        with without_bytecode():
            return super().get_code(fullname)


class StepFinder(MetaPathFinder):
    """함수 안의 `from step3_rouge_metrics import summarize`를, 그 단계들을 읽은 폴더에서 찾습니다.

    Attributes:
        folders: 모듈의 이름 → 그 이름의 단계를 마지막으로 읽은 폴더. 이름은 과제마다 거의 다릅니다.
    """

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}

    def watch(self, folder: Path) -> None:
        """이제부터 이 폴더의 단계들을 찾습니다."""
        if self not in sys.meta_path:
            sys.meta_path.append(self)
        names = [file.stem for file in folder.glob("step*.py") if STEP_NAME.fullmatch(file.name)]
        self.folders |= dict.fromkeys(names, folder)

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        folder = self.folders.get(fullname)
        if folder is None or not (folder / f"{fullname}.py").is_file():
            return None
        file = str(folder / f"{fullname}.py")
        return importlib.util.spec_from_file_location(fullname, file, loader=FreshLoader(fullname, file))


FINDER = StepFinder()


def load_step(folder: Path, module: str) -> ModuleType:
    """`folder`의 단계 모듈을 새로 읽습니다.

    Raises:
        ImportError: 그 모듈이나, 그것이 부른 앞 단계가 다른 폴더에서 왔을 때.
    """
    folder = folder.resolve()
    forget_steps()
    importlib.invalidate_caches()
    FINDER.watch(folder)
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        with without_bytecode():
            loaded = importlib.import_module(module)
    finally:
        sys.path[:] = before
    for name in loaded_steps():
        file = sys.modules[name].__file__
        if Path(file or "").resolve().parent != folder:
            raise ImportError(f"{name}을(를) {file}에서 읽었습니다. {folder}의 것이어야 합니다.")
    return loaded
