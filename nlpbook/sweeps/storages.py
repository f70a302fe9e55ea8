"""시도들이 적히는 저장소(storage): 한 기계에서는 파일 하나, 여러 기계에서는 데이터베이스.

한 기계의 저장소는 Optuna의 journal 파일입니다. 모든 일을 한 줄씩 덧붙이므로 여러 프로세스가 함께 써도 됩니다(SQLite는
쓰는 동안 잠기므로 여러 프로세스에 맞지 않습니다). 여러 기계가 함께 하려면 PostgreSQL 같은 데이터베이스의 주소를 줍니다.
"""

from __future__ import annotations

import functools
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.exc import SQLAlchemyError

from nlpbook.errors import UserError
from nlpbook.paths import shown
from nlpbook.screen import say

HEARTBEAT = 30  # 초. 짧으면 바쁜 프로세스를 죽은 것으로 잘못 봅니다.
GRACE_BEATS = 4  # 이만큼 걸러도 소식이 없으면 꺼진 것으로 봅니다.
LOCK_GRACE = 10  # 잠근 채 꺼진 프로세스의 잠금을 푸는 데 걸리는 시간(초)
PATIENCE = (1, 2, 4, 8, 16, 32)  # 저장소에 닿지 않을 때 다시 해 보는 사이의 시간(초)


class StorageLost(UserError):
    """저장소에 끝내 닿지 않았습니다."""


Given = ParamSpec("Given")
Made = TypeVar("Made")


def open_storage(url: str | None, journal: Path, heartbeat: int = HEARTBEAT) -> BaseStorage:
    """저장소를 엽니다.

    Args:
        url: 데이터베이스의 주소(`postgresql://…`). 없으면 `journal` 파일입니다.
        journal: 한 기계에서 쓰는 파일. 없으면 만듭니다.
        heartbeat: 데이터베이스에 "아직 하고 있다"고 적는 간격(초).

    Raises:
        UserError: 주소의 모양이 다르거나, 필요한 패키지가 없거나, 닿을 수 없을 때.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url is None:
        journal.parent.mkdir(parents=True, exist_ok=True)
        lock = JournalFileOpenLock(str(journal), grace_period=LOCK_GRACE)
        return JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))
    if url.startswith("sqlite"):
        raise UserError(
            "SQLite는 여러 프로세스가 함께 쓰기에 맞지 않습니다. --storage를 빼면 여러 프로세스에 맞는 파일을 쓰고, "
            "여러 기계에서 하려면 postgresql://… 주소를 주세요."
        )
    # psycopg 3을 씁니다. 주소에 드라이버를 적지 않으면 SQLAlchemy는 psycopg2를 찾습니다.
    address = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)

    def connect() -> BaseStorage:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return RDBStorage(
                address,
                engine_kwargs={"pool_pre_ping": True},
                heartbeat_interval=heartbeat,
                grace_period=max(1, GRACE_BEATS * heartbeat),
            )

    try:
        return patiently(connect)
    except ImportError as error:
        raise UserError(
            f'데이터베이스에 닿으려면 {error.name}이(가) 필요합니다. pip install -e ".[postgres]"'
        ) from None
    except UserError:
        raise
    except (ValueError, OptunaError, SQLAlchemyError) as error:
        where = without_password(url)
        raise UserError(f"--storage의 주소를 쓸 수 없습니다: {where} ({type(error).__name__}).") from error


def without_password(url: str) -> str:
    """적어 두거나 보여 주어도 되는, 비밀번호를 가린 주소."""
    return re.sub(r"(://[^:/@]+):[^@]*@", r"\1:***@", url)


def unreachable(error: BaseException) -> bool:
    """저장소에 닿지 못해서 난 예외인가. 잘못 적은 값 때문에 난 것은 다시 해도 같습니다."""
    seen: BaseException | None = error
    while seen is not None:
        if type(seen).__name__ in ("OperationalError", "InterfaceError", "DBAPIError"):
            return True
        if isinstance(seen, OSError) and isinstance(error, StorageInternalError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def patiently(action: Callable[[], Made]) -> Made:
    """저장소에 닿지 않으면 점점 오래 기다리며 다시 합니다.

    Raises:
        StorageLost: 끝내 닿지 않을 때.
    """
    for seconds in PATIENCE:
        try:
            return action()
        except Exception as error:
            if not unreachable(error):
                raise
            say(f"저장소에 닿지 않아 {seconds:g}초 뒤에 다시 해 봅니다.")
            time.sleep(seconds)
    try:
        return action()
    except Exception as error:
        if not unreachable(error):
            raise
        raise StorageLost(
            "저장소에 닿을 수 없어 멈춥니다. 마친 시도는 적어 두었으니, 저장소를 확인한 뒤 --resume으로 이어 주세요."
        ) from error


def patient(method: Callable[Given, Made]) -> Callable[Given, Made]:
    """저장소에 닿지 않으면 다시 해 보는 메서드."""

    @functools.wraps(method)
    def wrapped(*given: Given.args, **named: Given.kwargs) -> Made:
        return patiently(lambda: method(*given, **named))

    return wrapped


@contextmanager
def beating(storage: BaseStorage, trial_id: int) -> Iterator[None]:
    """블록 안에서는 데이터베이스에 "이 시도를 아직 하고 있다"고 때때로 적습니다. 파일 저장소에서는 하지 않습니다."""
    interval = storage.get_heartbeat_interval() if isinstance(storage, RDBStorage) else None
    if interval is None:
        yield
        return
    over = threading.Event()

    def beat() -> None:
        while True:
            try:
                storage.record_heartbeat(trial_id)  # type: ignore[attr-defined]
            except Exception as error:  # noqa: BLE001  닿지 않아도 학습은 계속합니다. 다음에 다시 적습니다.
                if not unreachable(error):
                    return
            if over.wait(interval):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """`path`를 한 번에 한 프로세스만 고치게 합니다. 잠근 채 꺼진 프로세스의 잠금은 풀립니다.

    Raises:
        UserError: 폴더에 쓸 수 없을 때.
    """
    lock = JournalFileOpenLock(str(path), grace_period=LOCK_GRACE)
    try:
        lock.acquire()
    except OSError as error:
        raise UserError(f"{shown(path.parent)} 폴더에 쓸 수 없습니다({error.strerror}).") from None
    try:
        yield
    finally:
        with suppress(RuntimeError):  # 너무 오래 잡고 있으면 남이 풉니다.
            lock.release()
