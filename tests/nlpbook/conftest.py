"""nlpbook의 시험이 함께 쓰는 것: 말뭉치 파일 쓰기, 127.0.0.1의 서버, 닫힌 포트, 설정."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from nlpbook.arguments import TrainArguments
from tests.task1_cls import support


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


@pytest.fixture
def tiny_args() -> TrainArguments:
    """아주 작은 모델과 말뭉치를 가리키는 설정."""
    return support.tiny_args()


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
