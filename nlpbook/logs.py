"""화면에 찍히는 것을 파일에도 남깁니다: 노트북에서, 또는 남의 코드가 `print`로 찍을 때.

    logger = Logger(create_log_path("train", "train.log"), print_also=True)
    logger.start_redirect()
    try:
        ...                      # 여기에서 찍는 것은 모두 파일에도 남습니다
    finally:
        logger.stop_redirect()
        logger.close()

우리 명령의 기록(`nlpbook.screen.log_to`)은 이것 없이도 실행 폴더에 남습니다.
"""

from __future__ import annotations

import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from nlpbook.errors import UserError
from nlpbook.paths import OUTPUT, shown

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # 색과 커서를 움직이는 글자(ANSI)


def create_log_path(kind: str, name: str, folder: Path | str = OUTPUT / "logs") -> Path:
    """새 기록의 경로: `<folder>/<kind>/<시각>/<name>`. 폴더를 만들고, 이미 있는 것은 덮어쓰지 않습니다.

    Args:
        kind: 하는 일. 예: `"train"`.
        name: 파일의 이름. 예: `"train.log"`.
    """
    home = Path(folder) / kind
    started = datetime.now().strftime("%Y%m%d-%H%M%S")
    number = 1
    while True:
        place = home / (started if number == 1 else f"{started}-{number}")
        try:
            place.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        return place / name


class Logger:
    """화면에 찍히는 것을 파일에도 적습니다.

    Args:
        log_path: 기록할 파일. 이어서 적습니다. 폴더가 없으면 만듭니다.
        print_also: 거짓이면 화면에는 보이지 않고 파일에만 남습니다.

    Raises:
        UserError: 파일을 열 수 없을 때.
    """

    redirecting: Logger | None = None  # 지금 화면을 받아 적고 있는 것. 프로세스에 하나뿐입니다.

    def __init__(self, log_path: Path | str, print_also: bool = True) -> None:
        self.log_path = Path(log_path)
        self.print_also = print_also
        self.screens: tuple[TextIO, TextIO] | None = None
        try:
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.log_path.open("a", encoding="utf-8", newline="\n", buffering=1)
        except OSError as error:
            raise UserError(
                f"기록할 파일을 열 수 없습니다: {shown(self.log_path)} ({error.strerror}). 다른 경로를 적어 주세요."
            ) from error

    def __enter__(self) -> Logger:
        self.start_redirect()
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @property
    def redirecting_now(self) -> bool:
        """지금 화면을 받아 적고 있는가."""
        return self.screens is not None

    def record(self, message: str) -> None:
        """한 줄을 시각과 함께 파일에만 적습니다."""
        self.file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {message}\n")

    def write(self, message: str) -> None:
        """한 줄을 시각과 함께 파일에 적고, `print_also`면 화면에도 보입니다."""
        self.record(message)
        if self.print_also:
            print(message, file=self.screens[0] if self.screens else sys.stdout, flush=True)

    def start_redirect(self) -> None:
        """지금부터 표준 출력과 표준 오류에 찍히는 것을 파일에도 적습니다.

        Raises:
            UserError: 이미 받아 적고 있을 때. 겹치면 어느 것이 먼저 끝나는지에 따라 화면을 잃습니다.
        """
        if Logger.redirecting is not None:
            raise UserError(
                f"이미 {shown(Logger.redirecting.log_path)} 에 화면을 받아 적고 있습니다. 그것의 stop_redirect()를 "
                "먼저 불러 주세요."
            )
        Logger.redirecting = self
        self.screens = sys.stdout, sys.stderr
        sys.stdout = _Tee(self.screens[0], self)
        sys.stderr = _Tee(self.screens[1], self)

    def stop_redirect(self) -> None:
        """화면을 되돌립니다. 받아 적고 있지 않으면 아무 일도 없습니다."""
        if self.screens is None:
            return
        for tee in (sys.stdout, sys.stderr):
            if isinstance(tee, _Tee) and tee.logger is self:
                tee.finish()
        sys.stdout, sys.stderr = self.screens
        self.screens = None
        Logger.redirecting = None

    def close(self) -> None:
        """화면을 되돌리고 파일을 닫습니다. 여러 번 불러도 됩니다."""
        self.stop_redirect()
        self.file.close()


class _Tee:
    """화면과 파일에 함께 적는 것. 화면에 대한 물음(터미널인가, 인코딩)에는 화면이 대답합니다.

    진행 막대는 같은 줄을 수백 번 고쳐 씁니다(`\\r`). 파일에는 줄이 끝났을 때의 마지막 모습만 남깁니다.
    """

    def __init__(self, screen: TextIO, logger: Logger) -> None:
        self.screen = screen
        self.logger = logger
        self.line = ""

    def write(self, text: str) -> int:
        if self.logger.print_also:
            self.screen.write(text)
        *whole, self.line = (self.line + text).split("\n")
        for line in whole:
            self._keep(line)
        self.line = self.line.rpartition("\r")[2] if "\r" in self.line[:-1] else self.line
        return len(text)

    def flush(self) -> None:
        self.screen.flush()

    def finish(self) -> None:
        """끝나지 않은 줄도 남깁니다."""
        if self.line:
            self._keep(self.line)
            self.line = ""
        self.flush()

    def _keep(self, line: str) -> None:
        self.logger.file.write(ESCAPES.sub("", line.rstrip("\r").rpartition("\r")[2]) + "\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.screen, name)
