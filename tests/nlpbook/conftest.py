"""nlpbook의 시험이 함께 쓰는 것: 말뭉치 파일 쓰기, 127.0.0.1의 서버, 닫힌 포트, 그림."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image


@pytest.fixture
def write_reviews(tmp_path) -> Callable[[str, list[tuple[str, str]]], Path]:
    """`write_reviews("nsmc/ratings_train.txt", [("좋다", "1")])`는 NSMC 형식의 파일을 쓰고 그 경로를 돌려줍니다."""

    def write(name: str, reviews: list[tuple[str, str]]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{number}\t{text}\t{label}" for number, (text, label) in enumerate(reviews)]
        path.write_text("\n".join(["id\tdocument\tlabel", *rows]) + "\n", encoding="utf-8", newline="\n")
        return path

    return write


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def serving() -> Callable[[type[BaseHTTPRequestHandler]], Any]:
    """`with serving(핸들러) as url:` 동안 127.0.0.1의 빈 포트에서 요청을 받습니다."""
    return _serving


@pytest.fixture
def closed_port() -> int:
    """아무도 듣지 않는 포트."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def assert_picture() -> Callable[[Path], None]:
    """`assert_picture(경로)`: 제대로 된 PNG이고, 한 가지 색이 아니며, 쓰다 만 것이 곁에 없습니다."""

    def check(path: Path) -> None:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert len(image.convert("RGB").getcolors(maxcolors=2**24)) > 10
        assert not list(path.parent.glob("*.tmp"))

    return check
