"""실행 폴더: 학습 한 번의 설정, 기록, 그림, 체크포인트가 모이는 곳을 차지하고, 다시 찾습니다.

이름은 약속일 뿐이고, 폴더가 지금 놓인 곳이 진짜입니다. 옮기거나 복사한 폴더도 그 자리에서 그대로 씁니다.
어떤 이름의 파일이 들어가는지는 과제마다 `RunFolder`를 물려받은 클래스에 표로 적습니다.

    class RunFolder(runs.RunFolder):
        best_model = Place("checkpoints/best_model.pt")
"""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import shutil
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from nlpbook.errors import UserError
from nlpbook.paths import remove_leftovers, shown, write_json
from nlpbook.process import is_running

Run = TypeVar("Run", bound="RunFolder")
FORBIDDEN = set('<>:"/\\|?*')  # 어느 운영체제에서든 폴더의 이름에 쓸 수 없거나, 다른 폴더를 가리키는 글자
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # Windows가 장치로 읽는 이름
LONGEST_NAME = 100  # UTF-8 바이트. 이름과 버전을 이어 붙여도 파일 시스템의 한계(255)를 넘지 않습니다.
SET_ASIDE = re.compile(r".+\.\d{8}-\d{6}(-\d+)?")  # 자리를 내주고 비켜 둔 실행의 이름


class Place:
    """실행 폴더 안의 이름 하나. `RunFolder`의 표에 적으면, 그 실행의 경로(Path)로 읽힙니다."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, run: RunFolder | None, kind: type | None = None) -> Path:
        return Path(self.name) if run is None else run.path / self.name


class RunFolder:
    """실행 폴더 하나와, 어느 과제에나 있는 이름들.

    Attributes:
        path: 폴더가 지금 놓인 곳.
        trained: 배운 것이 남았음을 말해 주는 파일들의 무늬(glob). 하나도 없으면 시작하다 만 실행입니다.
    """

    arguments = Place("arguments.json")  # 설정. 이것이 있어야 실행으로 칩니다
    facts = Place("run.json")  # 언제 누가 시작했는지, 어떤 글을 읽었는지
    log = Place("train.log")
    checkpoints = Place("checkpoints")
    learning_curve = Place("learning_curve.png")
    trained: ClassVar[tuple[str, ...]] = ("checkpoints/*.pt", "checkpoints/*.safetensors")

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.replaced: Path | None = None  # 이 실행에 자리를 내준 옛 실행이 지금 있는 곳

    def __repr__(self) -> str:
        return shown(self.path)

    @property
    def has_trained(self) -> bool:
        """체크포인트가 하나라도 있는가."""
        return any(any(self.path.glob(pattern)) for pattern in self.trained)

    def noted(self) -> dict[str, Any]:
        """`note`가 적어 둔 것. 옛 실행이나 읽을 수 없는 파일이면 비어 있습니다."""
        try:
            noted = json.loads(self.facts.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return noted if isinstance(noted, dict) else {}

    def note(self, **facts: Any) -> None:
        """설정은 아니지만 기억할 것을 `run.json`에 더해 적습니다. None은 지웁니다."""
        known = {name: value for name, value in (self.noted() | facts).items() if value is not None}
        write_json(self.facts, known)

    @property
    def busy(self) -> bool:
        """다른 프로세스가 지금 쓰고 있는가. 다른 기계에서 쓰는지는 알 수 없습니다."""
        return _is_held(self.noted())

    def split_name(self, name: str | None, version: str | None) -> tuple[str, str]:
        """폴더 이름에서 작업 이름과 버전을. 설정에 적힌 둘이 폴더 이름과 맞으면 그것이고, 사람이 폴더의 이름을
        바꾸었으면 마지막 `-`에서 나눕니다."""
        folder = _same_shape(self.path.resolve().name)
        if name and version and _same_shape(f"{name}-{version}") == folder:
            return name, version
        front, dash, back = folder.rpartition("-")
        return (front, back) if dash else (folder, "")


def _is_held(noted: Mapping[str, Any]) -> bool:
    """실행이 적어 둔 것을 보아, 이 기계의 어느 프로세스가 붙잡고 있는가."""
    pid = noted.get("pid")
    return isinstance(pid, int) and noted.get("host") == platform.node() and is_running(pid)


def new_version() -> str:
    """버전을 적지 않은 실행의 버전: 시작한 날짜와 시각."""
    return datetime.now().strftime("%Y%m%d-%H%M%S")


def require_name(option: str, name: str) -> str:
    """폴더 이름 한 마디로 쓸 수 있는 이름인지 봅니다. 다른 폴더로 나가거나 어느 운영체제에서 못 쓰는 이름은 안 됩니다.

    Args:
        option: 오류에 적을 옵션의 이름. 예: `"job_name"`.

    Returns:
        글자의 모양을 NFC로 맞춘 이름.

    Raises:
        UserError: 비었거나, 경로이거나, 쓸 수 없는 글자가 있거나, 너무 길 때.
    """
    name = _same_shape(str(name))
    if not name.strip():
        raise UserError(f"--{option}에 빈 이름을 줄 수 없습니다. 글자가 있는 이름을 적어 주세요.")
    wrong = sorted({one for one in name if one in FORBIDDEN or not one.isprintable()})
    if wrong:
        listed = " ".join(repr(one)[1:-1] for one in wrong)
        raise UserError(
            f"--{option}은(는) 폴더 이름 한 마디여야 해서 {listed} 을(를) 쓸 수 없습니다: {name!r}. "
            "폴더를 바꾸려면 --output을 주세요."
        )
    if name != name.strip() or name.startswith(".") or name.endswith(".") or DEVICES.fullmatch(name):
        raise UserError(
            f"--{option} {name!r}은(는) 폴더 이름으로 쓸 수 없습니다. 점이나 빈칸으로 시작하거나 끝나지 않게 적어 "
            "주세요."
        )
    if len(name.encode("utf-8")) > LONGEST_NAME:
        raise UserError(f"--{option}이(가) 너무 깁니다. UTF-8로 {LONGEST_NAME}바이트(한글 33자)까지 됩니다.")
    return name


def name_after(source: str | Path, fallback: str = "run") -> str:
    """파일이나 폴더, 허브 이름에서 지은 작업 이름. `"."`이나 `"/"`에서도 빈 이름이 되지 않습니다."""
    path = Path(source).expanduser()
    name = path.name.removesuffix(".txt")
    with suppress(OSError):  # 이름이 너무 길면 있는지도 물을 수 없습니다.
        if path.is_dir():
            name = path.resolve().name
        elif path.is_file():
            name = path.stem
    name = "".join("_" if one in FORBIDDEN or not one.isprintable() else one for one in _same_shape(name))
    name = name.strip(" .").encode("utf-8")[: LONGEST_NAME // 2].decode("utf-8", "ignore")
    return f"{name}_" if DEVICES.fullmatch(name) else name or fallback


def claim(run: Run, fixed_name: bool = True, overwrite: bool = False) -> Run:
    """새 실행의 폴더를 혼자 차지합니다. 무엇이든 읽기 전에 부릅니다.

    누가 시작했는지 적은 폴더를 곁에 만들어 그 이름으로 옮깁니다. 옮기는 일(rename)은 한 프로세스만 성공하고 차지한
    폴더는 빈 때가 없으므로, 같은 순간에 시작한 둘이 한 폴더를 쓰는 일은 없습니다.

    Args:
        run: 차지하고 싶은 자리.
        fixed_name: 사람이 적은 이름이면 참. 거짓이면, 이미 있을 때 이름 뒤에 `-2`, `-3`, …을 붙입니다.
        overwrite: 이미 있는 실행을 `<이름>.<시작한 시각>`으로 비켜 두고 그 자리를 씁니다. 지우지 않습니다.

    Returns:
        차지한 실행 폴더.

    Raises:
        UserError: 그 이름의 실행이 이미 있거나, 폴더를 만들 수 없을 때.
    """
    wanted, number = run.path, 1
    while True:
        run = type(run)(wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}"))
        replaced = None
        try:
            if fixed_name and run.path.exists():
                with suppress(FileNotFoundError):  # 그사이 다른 프로세스가 비웠습니다.
                    replaced = _make_way(run, overwrite)
            _put_in_place(run)
        except FileExistsError:
            if run.path.parent.is_dir():
                number += 0 if fixed_name else 1  # 이름이 정해져 있으면, 방금 누가 차지했는지 다시 봅니다.
                continue
            raise UserError(f"{shown(run.path.parent)} 은(는) 폴더가 아니라 파일입니다. 다른 곳을 주세요.") from None
        except OSError as error:
            raise UserError(
                f"실행 폴더를 만들 수 없습니다: {run} ({error.strerror}). 쓸 수 있는 폴더를 주세요."
            ) from error
        run.replaced = replaced
        return run


def _put_in_place(run: RunFolder) -> None:
    """시작을 적은 폴더를 `run`의 자리에 한 번에 놓습니다.

    Raises:
        FileExistsError: 그 자리나 그 위의 자리에 이미 무엇이 있을 때.
    """
    run.path.parent.mkdir(parents=True, exist_ok=True)
    aside = RunFolder(run.path.with_name(f".{run.path.name}.{secrets.token_hex(4)}.{os.getpid()}.tmp"))
    aside.path.mkdir()
    try:
        aside.note(started=datetime.now().astimezone().isoformat(), pid=os.getpid(), host=platform.node())
        aside.path.rename(run.path)
    except OSError as error:
        shutil.rmtree(aside.path, ignore_errors=True)
        if run.path.exists():
            raise FileExistsError(error.errno, error.strerror, str(run.path)) from error
        raise


def _make_way(run: RunFolder, overwrite: bool) -> Path | None:
    """이미 있는 `run`의 자리를 비웁니다. 배운 것이 있으면 사람이 시켰을 때만 비킵니다.

    Returns:
        비켜 둔 곳. 비어 있던 폴더라 치우기만 했으면 None입니다.

    Raises:
        UserError: 그 자리가 파일이거나, 누가 쓰고 있거나, 비키라고 하지 않았을 때.
        FileNotFoundError: 그사이 다른 프로세스가 비웠을 때.
    """
    if not run.path.is_dir():
        raise UserError(f"{run} 은(는) 폴더가 아니라 파일입니다. 다른 이름을 주세요.")
    if not any(run.path.iterdir()):
        with suppress(OSError):  # 그사이 누가 차지했으면 비어 있지 않습니다.
            run.path.rmdir()
        return None
    noted = run.noted()
    if _is_held(noted):
        raise UserError(
            f"{run} 은(는) 지금 학습하고 있는 실행입니다. 끝나기를 기다렸다가 --resume으로 이어 하거나, 다른 "
            "--job_version을 주세요."
        )
    abandoned = bool(noted) and not run.has_trained  # 꺼져 버린 시작. 붙잡고 있는 프로세스가 없습니다.
    if not (overwrite or abandoned):
        raise UserError(
            f"{run} 은(는) 이미 있는 실행입니다. 이어 하려면 --resume을, 새로 하려면 다른 --job_version을 주세요."
        )
    return _set_aside(run, noted)


def _set_aside(run: RunFolder, noted: Mapping[str, Any]) -> Path:
    """`noted`를 적어 둔 실행을 `<이름>.<시작한 날짜와 시각>-<마이크로초>`로 옮깁니다.

    이름이 그 실행에서 나오므로, 여럿이 함께 비키려 해도 하나만 옮깁니다. 늦은 쪽이 새로 차지한 것을 옮기지 않습니다.

    Raises:
        FileExistsError: 그사이 다른 실행이 그 자리를 차지했을 때.
    """
    try:
        started = datetime.fromisoformat(noted["started"])
    except (KeyError, TypeError, ValueError):  # 시작을 적지 않은 옛 실행
        started = datetime.now()
    number = started.microsecond
    while True:
        target = run.path.with_name(f"{run.path.name}.{started:%Y%m%d-%H%M%S}-{number}")
        try:
            run.path.rename(target)
            return target
        except OSError as error:
            if not target.exists():
                raise
            if run.noted() != noted:
                raise FileExistsError(error.errno, error.strerror, str(run.path)) from error
            number += 1


def take_up(run: Run) -> Run:
    """이어 할 실행을 붙잡습니다. 두 프로세스가 한 실행을 함께 고치지 않게 합니다.

    Raises:
        UserError: 다른 프로세스가 그 실행을 학습하고 있을 때.
    """
    if run.busy and run.noted().get("pid") != os.getpid():
        raise UserError(f"{run} 은(는) 지금 학습하고 있는 실행입니다. 끝나기를 기다렸다가 이어 해 주세요.")
    remove_leftovers(run.path)
    run.note(pid=os.getpid(), host=platform.node())
    return run


@contextmanager
def held(run: RunFolder | None, enabled: bool = True) -> Iterator[None]:
    """차지한 실행을 쓰는 동안. 나갈 때 놓아줍니다.

    설정을 저장하기도 전에 멈췄으면(없는 글, 없는 모델) 시작하지 않은 것이므로, 폴더를 치우고 비켜 둔 실행을 되돌립니다.

    Args:
        enabled: 거짓이면 아무것도 하지 않습니다(0번이 아닌 프로세스).
    """
    try:
        yield
    finally:
        if enabled and run is not None and run.path.is_dir():
            if run.arguments.exists() or run.has_trained:
                run.note(pid=None, host=None)
            else:
                shutil.rmtree(run.path, ignore_errors=True)
                if run.replaced and not run.path.exists():
                    run.replaced.rename(run.path)


def latest_run(
    kind: type[Run],
    home: Path,
    name: str | None,
    version: str | None,
    preferred: Callable[[Run], bool] | None = None,
) -> Run:
    """`home` 아래에서 이름과 버전이 맞는 실행 가운데 가장 나중에 시작한 것.

    Args:
        kind: 과제의 실행 폴더 클래스.
        home: 프로젝트의 폴더. 실행 폴더들이 그 아래에 있습니다.
        name, version: 작업의 이름과 버전. None이면 아무것이나.
        preferred: 이것이 참인 실행이 하나라도 있으면 그 가운데서 고릅니다.

    Raises:
        UserError: 하나도 없을 때.
    """
    name = require_name("job_name", name) if name is not None else None
    version = require_name("job_version", version) if version is not None else None
    found = [one for one in runs_in(kind, home) if _fits(one, name, version)]
    if not found:
        wanted = f" '{name or '*'}-{version or '*'}'" if name or version else ""
        raise UserError(f"{shown(home)} 에 학습한 모델{wanted}이(가) 없습니다. 먼저 train으로 학습해 주세요.")
    if preferred:
        found = [one for one in found if preferred(one)] or found
    return max(found, key=_started)


def runs_in(kind: type[Run], home: Path) -> list[Run]:
    """`home` 아래의 모든 실행. 비켜 둔 것은 뺍니다."""
    if not home.is_dir():
        return []
    found = [kind(path) for path in sorted(home.iterdir()) if not SET_ASIDE.fullmatch(path.name)]
    return [one for one in found if one.arguments.is_file()]


def _started(run: RunFolder) -> tuple[float, int]:
    """시작한 때. 복사하면 파일의 시각이 바뀌므로, 적어 둔 것을 먼저 봅니다."""
    written = run.arguments.stat().st_mtime_ns
    try:
        return datetime.fromisoformat(run.noted()["started"]).timestamp(), written
    except (KeyError, TypeError, ValueError):
        return written / 1e9, written


def _fits(run: RunFolder, name: str | None, version: str | None) -> bool:
    """폴더 이름으로 봅니다. 이름과 버전이 어디에서 나뉘는지는 설정이 알려 줍니다."""
    if name is None and version is None:
        return True
    folder = _same_shape(run.path.name)
    if name is not None and version is not None:
        return folder == f"{name}-{version}"
    try:
        saved = json.loads(run.arguments.read_text(encoding="utf-8"))
        env = saved.get("env", saved)  # 묶음으로 나눈 설정이거나, 납작한 설정이거나
        own = run.split_name(env["job_name"], env["job_version"])
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        own = run.split_name(None, None)
    return own[0] == name if version is None else own[1] == version


def _same_shape(text: str) -> str:
    """macOS는 한글을 자모로 풀어 쓰기도 합니다. 같은 이름이 같은 글자가 되도록 NFC로 맞춥니다."""
    return unicodedata.normalize("NFC", text)
